"""Calls of a tool on a session that is there: ``call_tool.py PORT``; LIME_API_BASE and LIME_AGENT_TOKEN are the sandbox's.

The same program for the published package and for ours. Names are looked up in this process, or ours is told by
LIME_MCP_ADDRESSES: tokens are for public names only.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import turns

from lime_agents import LimeAgent

HOSTNAME = "tools.example.com"
url = f"http://{HOSTNAME}:{sys.argv[1]}/mcp"
loop = asyncio.new_event_loop()
look_up = socket.getaddrinfo


def here(host: Any, *rest: Any, **more: Any) -> Any:
    """Where names are, and this one is here."""
    return look_up("127.0.0.1" if host in (HOSTNAME, HOSTNAME.encode()) else host, *rest, **more)


socket.getaddrinfo = here  # type: ignore[assignment]


async def start() -> LimeAgent:
    """Make the client where it belongs: on the loop; the session begins."""
    agent = LimeAgent()
    await agent.call_tool(url, "echo", {"text": "x"})
    return agent


async def call(count: int) -> None:
    """Call, one after the other."""
    for _ in range(count):
        await agent.call_tool(url, "echo", {"text": "x"})


agent = loop.run_until_complete(start())
turns.serve(lambda count: loop.run_until_complete(call(count)))
