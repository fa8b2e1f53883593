"""A site that follows its event stream and verifies who signed in.

Reads LIME_API_BASE and LIME_SITE_TOKEN. Prints `listening` once the stream is open, creates as many login
requests as the argument says (default 3), prints each (`request<TAB>ID`) and how each ends
(`event<TAB>ID<TAB>signed in|expired`), and the stream's states on stderr (`state<TAB>NAME`). Ends with 0 when all
its requests have ended.
"""

import asyncio
import sys

from lime_sites import LimeSite, StreamStatus


async def main(count: int) -> None:
    opened = asyncio.Event()
    events: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()

    async with LimeSite() as site:

        @site.on_state
        def changed(status: StreamStatus) -> None:
            print(f"state\t{status.state}", file=sys.stderr, flush=True)
            if status.state == "open":
                opened.set()

        @site.on_login
        async def ended(request_id: str, passport: str | None) -> None:
            await events.put((request_id, passport))

        await opened.wait()
        print("listening", flush=True)

        left = set()
        for _ in range(count):
            request = await site.create_login_request()
            print(f"request\t{request.request_id}", flush=True)
            left.add(request.request_id)

        while left:
            request_id, passport = await events.get()
            if passport is not None:
                await site.verify_passport(passport, expected_request_id=request_id)
            print(f"event\t{request_id}\t{'signed in' if passport else 'expired'}", flush=True)
            left.discard(request_id)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
