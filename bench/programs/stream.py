"""What the programs of the event stream share: a site that counts what it is told, and the server that tells it."""

from __future__ import annotations

import asyncio
import os
import urllib.error
import urllib.request
from collections.abc import Callable

from lime_sites import LimeSite

# Of this process alone: the stream of one that was measured before may still be there.
TOKEN = f"st_bench_{os.getpid()}"


def ask(server: str, what: str) -> int:
    """Have the server write to the stream; its answer's status, 404 while there is no stream."""
    request = urllib.request.Request(f"{server}/bench/{what}", b"", {"X-Site-Token": TOKEN})
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


class Listener:
    """A site whose handler hands each request's id to `see` until as many as expected have come."""

    def __init__(self, server: str, see: Callable[[str], None] | None = None) -> None:
        """Open the stream; returns when the server has it."""
        self.loop = asyncio.new_event_loop()
        self.left = 0
        self.done: asyncio.Future[None] | None = None
        self.server = server
        self.see = see
        self.loop.run_until_complete(self._open())

    async def _open(self) -> None:
        self.site = LimeSite(site_token=TOKEN, base_url=f"{self.server}/api/v1")

        @self.site.on_login
        async def handler(request_id: str, passport: str | None) -> None:
            if self.see is not None:
                self.see(request_id)
            self.left -= 1
            if self.left == 0 and self.done is not None:
                self.done.set_result(None)

        while await asyncio.to_thread(ask, self.server, "burst?n=0") != 200:
            await asyncio.sleep(0.01)

    def receive(self, count: int, what: str) -> None:
        """Have `count` events sent and handled."""

        async def run() -> None:
            self.left, self.done = count, self.loop.create_future()
            asked = asyncio.create_task(asyncio.to_thread(ask, self.server, what))
            await self.done
            await asked

        self.loop.run_until_complete(run())
