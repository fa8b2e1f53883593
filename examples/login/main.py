"""A site signs an agent in, from both sides.

Reads LIME_API_BASE, LIME_SITE_TOKEN and LIME_AGENT_TOKEN; prints each step and its milliseconds.
An argument says how often (default once).
"""

import asyncio
import sys
import time

from lime_agents import LimeAgent
from lime_sites import LimeSite


class Steps:
    """Prints `name<TAB>milliseconds` for each step."""

    def __init__(self) -> None:
        self.last = time.perf_counter()

    def done(self, name: str) -> None:
        now = time.perf_counter()
        print(f"{name}\t{(now - self.last) * 1000:.1f}", flush=True)
        self.last = now


async def main(rounds: int) -> None:
    steps = Steps()
    passports: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()

    async with LimeSite() as site, LimeAgent() as agent:

        @site.on_login
        async def signed_in(request_id: str, passport: str | None) -> None:
            await passports.put((request_id, passport))

        for _ in range(rounds):
            request = await site.create_login_request()
            steps.done("request created")

            await agent.login(request.request_id)
            steps.done("challenge solved and approved")

            request_id, passport = await asyncio.wait_for(passports.get(), timeout=60)
            assert request_id == request.request_id
            assert passport is not None, "the login request expired"
            steps.done("event received")

            verified = await site.verify_passport(passport, expected_request_id=request_id)
            steps.done("passport verified")

            profile = await agent.get_profile()
            assert profile.agent_id == verified.claims["agent_id"]
            steps.done("profile read")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
