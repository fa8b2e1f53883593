"""A site that follows its event stream and verifies who signed in.

Reads LIME_API_BASE and LIME_SITE_TOKEN. Prints `listening` once the stream is open, creates as many login
requests as the argument says (default 3), prints each (`request<TAB>ID`) and how each ends
(`event<TAB>ID<TAB>signed in|expired|lost`), and the stream's states on stderr (`state<TAB>NAME`). Ends with 0 when all
its requests have ended.
"""

import asyncio
import sys

from lime_sites import LimeSite, StreamStatus


async def main(count: int) -> None:
    opened = asyncio.Event()
    ends: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async with LimeSite() as site:

        @site.on_state
        def changed(status: StreamStatus) -> None:
            print(f"state\t{status.state}", file=sys.stderr, flush=True)
            if status.state == "open":
                opened.set()

        @site.on_login
        async def ended(request_id: str, passport: str | None) -> None:
            if passport is not None:
                await site.verify_passport(passport, expected_request_id=request_id)
            await ends.put((request_id, "signed in" if passport else "expired"))

        @site.on_gap
        def lost(request_ids: list[str]) -> None:
            for request_id in request_ids:
                ends.put_nowait((request_id, "lost"))

        await opened.wait()
        print("listening", flush=True)

        left = set()
        for _ in range(count):
            request = await site.create_login_request()
            print(f"request\t{request.request_id}", flush=True)
            left.add(request.request_id)

        while left:
            request_id, end = await ends.get()
            print(f"event\t{request_id}\t{end}", flush=True)
            left.discard(request_id)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
