"""Many at once in one process: ``scale.py SERVER sites|waits``; a line says how many are to be there, in total.

Answers resident kilobytes, threads, and the share of one core that they take while nothing happens.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import time
from pathlib import Path

import turns

server, what = sys.argv[1:]
loop = asyncio.new_event_loop()
REST_SECONDS = 5.0
there: list[object] = []


async def add(count: int) -> None:
    """Open so many more, and return when the server has them."""
    if what == "sites":
        from lime_sites import LimeSite

        opened = asyncio.Event()
        left = count

        def changed(status: object) -> None:
            nonlocal left
            if getattr(status, "state", None) == "open":
                left -= 1
                if left == 0:
                    opened.set()

        for _ in range(count):
            site = LimeSite(site_token=f"st_{len(there)}", base_url=f"{server}/api/v1")
            site.on_login(handler)
            if hasattr(site, "on_state"):
                site.on_state(changed)
            there.append(site)
        if hasattr(LimeSite, "on_state"):
            await opened.wait()
        else:
            await asyncio.sleep(2.0)  # the published package does not tell
    else:
        from sesame_sdk import AsyncSesame

        client = AsyncSesame(api_key="sk_bench", base_url=server)
        for number in range(count):
            approval = await client.approvals.trigger("scale.wait", str(number))
            there.append(asyncio.create_task(approval.wait(timeout=3600)))
        there.append(client)
        await asyncio.sleep(1.0 + count / 5000)  # until the polls hang


async def handler(request_id: str, passport: str | None) -> None:
    """Nothing comes."""


def work(count: int) -> dict[str, float]:
    """What so many cost."""
    loop.run_until_complete(add(count - len(there)))
    gc.collect()
    status = Path("/proc/self/status").read_text()
    begun, cpu = time.perf_counter(), time.process_time()
    loop.run_until_complete(asyncio.sleep(REST_SECONDS))
    cpu = (time.process_time() - cpu) / (time.perf_counter() - begun)
    memory, threads = (
        int(re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[1])  # type: ignore[index]
        for name in ("VmRSS", "Threads")
    )
    return {"kilobytes": memory, "threads": threads, "cpu_at_rest": cpu}


turns.serve(work)
