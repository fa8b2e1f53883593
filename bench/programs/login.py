"""Whole logins: ``login.py BASE-URL SITE-TOKEN AGENT-TOKEN AT-ONCE``. The same program for the published package and ours.

The requests are created beforehand and not measured.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import time
import urllib.parse

import turns

from lime_agents import LimeAgent

base_url, site_token, agent_token, at_once = *sys.argv[1:4], int(sys.argv[4])
loop = asyncio.new_event_loop()
root = urllib.parse.urlsplit(base_url)


def create(count: int) -> list[str]:
    """Ids of new login requests."""
    connection = http.client.HTTPConnection(root.netloc)
    ids = []
    for _ in range(count):
        connection.request(
            "POST", f"{root.path}/modules/agent-login/requests", "{}", {"X-Site-Token": site_token}
        )
        ids.append(json.loads(connection.getresponse().read())["data"]["login_request_id"])
    connection.close()
    return ids


async def start() -> LimeAgent:
    """Make the client where it belongs: on the loop."""
    return LimeAgent(agent_token=agent_token, base_url=base_url)


async def login(ids: list[str]) -> None:
    """Log in to each, so many at a time."""

    async def worker() -> None:
        while ids:
            result = await agent.login(ids.pop())
            assert result.status in ("APPROVED", "DELIVERED")

    await asyncio.gather(*(worker() for _ in range(at_once)))


def work(count: int) -> dict[str, float]:
    """Log in as often; the time is that of the logins."""
    count = max(count, at_once)
    ids = create(count)
    cpu, wall = time.process_time(), time.perf_counter()
    loop.run_until_complete(login(ids))
    return {
        "count": count,
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
    }


agent = loop.run_until_complete(start())
turns.serve(work)
