"""Login requests created: ``requests.py BASE-URL TASKS``. The same program for the published package and for ours."""

from __future__ import annotations

import asyncio
import sys

import turns

from lime_sites import LimeSite

base_url, tasks = sys.argv[1], int(sys.argv[2])
loop = asyncio.new_event_loop()


async def start() -> LimeSite:
    """Make the client where it belongs: on the loop."""
    return LimeSite(site_token="st_bench", base_url=base_url)


async def create(count: int) -> dict[str, int]:
    """Create as many, by so many tasks at a time."""
    share = max(count // tasks, 1)

    async def worker() -> None:
        for _ in range(share):
            request = await site.create_login_request()
            assert request.request_id

    await asyncio.gather(*(worker() for _ in range(tasks)))
    return {"count": share * tasks}


site = loop.run_until_complete(start())
turns.serve(lambda count: loop.run_until_complete(create(count)))
