"""An agent's worker: signs in at a site and places orders there, each of which a human approves.

    python main.py SITE_URL [JOBS] [AT_ONCE]

Reads LIME_API_BASE, LIME_AGENT_TOKEN, SESAME_BROKER_URL, SESAME_API_KEY, and CALLBACK_URL for the broker's
webhooks; prints a line for each job. The site is examples/site_fastapi. Ends with 0 when all jobs are done.
"""

import asyncio
import os
import sys

import httpx

from lime_agents import LimeAgent
from sesame_sdk import require_approval


@require_approval(
    "orders.place",
    summary=lambda request_id, session: f"Place the order of {request_id}",
    # Whoever does the job again after a crash asks for the same approval, not for another one.
    dedup_key=lambda request_id, session: f"order-{request_id}",
    callback_url=os.environ.get("CALLBACK_URL"),
    timeout=120,
)
async def place_order(request_id: str, session: str) -> None:
    """Here the order is sent."""
    print(f"order placed\t{request_id}\t{session}", flush=True)


async def sign_in(agent: LimeAgent, site: httpx.AsyncClient) -> tuple[str, str]:
    """The login request's id, and the session that it ended in."""
    login = (await site.post("/login")).raise_for_status().json()
    await agent.login(login["request_id"])
    while True:
        answer = (await site.get("/session", headers={"ticket": login["ticket"]})).raise_for_status()
        if answer.status_code == 200:
            return login["request_id"], answer.json()["session"]
        await asyncio.sleep(0.1)


async def main(url: str, jobs: int, at_once: int) -> int:
    places = asyncio.Semaphore(at_once)
    # One agent for the process: it is used by all jobs at the same time.
    async with LimeAgent() as agent, httpx.AsyncClient(base_url=url, timeout=60) as site:

        async def job() -> None:
            async with places:
                await place_order(*await sign_in(agent, site))

        results = await asyncio.gather(*(job() for _ in range(jobs)), return_exceptions=True)
    failures = [error for error in results if error is not None]
    for error in failures:
        print(f"job failed\t{error!r}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    defaults = ["", "1", "20"]
    url, jobs, at_once = sys.argv[1:] + defaults[len(sys.argv) - 1 :]
    sys.exit(asyncio.run(main(url, int(jobs), int(at_once))))
