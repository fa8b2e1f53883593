"""The program of Python: see src/worker.rs for what it is told and tells."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lime_agents import LimeAgent
from lime_sites import LimeSite
from sesame_sdk import AsyncSesame, Sesame, require_approval


def tell(*fields: object) -> None:
    # In one write: handlers and threads tell at the same time.
    sys.stdout.write("\t".join(map(str, fields)) + "\n")
    sys.stdout.flush()


KINDS = {"ApprovalDenied": "approval_denied", "ApprovalTimeout": "timeout"}


def kind(error: BaseException) -> str:
    name = type(error).__name__
    return getattr(error, "kind", None) or KINDS.get(name, name)


class Clients:
    """What is open at a time."""

    def __init__(
        self, api: str, broker: str, agent: str, key: str, timeout: str, platform: Any, *sites: str
    ) -> None:
        seconds = int(timeout) / 1000
        self.sites = [
            LimeSite(
                site_token=token,
                base_url=api,
                timeout=seconds,
                sse_backoff_base=0.005,
                platform=platform,
                require_issuer=False,
            )
            for token in sites
        ]
        for number, site in enumerate(self.sites):
            site.on_login(self.handler(number, site))
            site.on_gap(self.gap_handler(number))
        self.agent = LimeAgent(agent_token=agent, base_url=api, timeout=seconds, platform=platform)
        self.sesame = AsyncSesame(key, broker, seconds, poll_timeout=seconds)
        self.blocking = Sesame(key, broker, seconds, poll_timeout=seconds)
        self.threads = ThreadPoolExecutor()
        self.turns = itertools.count()
        self.jobs: set[asyncio.Task[None]] = set()

    def handler(self, number: int, site: LimeSite) -> Any:
        async def handle(request_id: str, passport: str | None) -> None:
            tell("event", number, request_id, "expired" if passport is None else "approved")
            if passport is not None:
                # Elsewhere: the next event must not wait for the keys.
                self.start(self.verify(site, request_id, passport))

        return handle

    def gap_handler(self, number: int) -> Any:
        def handle(request_ids: list[str]) -> None:
            for request_id in request_ids:
                tell("gap", number, request_id)

        return handle

    def start(self, job: Any) -> None:
        task = asyncio.ensure_future(job)
        self.jobs.add(task)
        task.add_done_callback(self.jobs.discard)

    async def verify(self, site: LimeSite, request_id: str, passport: str) -> None:
        try:
            await site.verify_passport(passport, expected_request_id=request_id)
            tell("session", request_id, "ok")
        except Exception as error:
            tell("session", request_id, kind(error))

    async def login(self, job: str, site: str, agent: str) -> None:
        try:
            request = await self.sites[int(site)].create_login_request()
        except Exception as error:
            tell("create", job, kind(error))
            return
        tell("created", job, request.request_id)
        if agent == "1":
            try:
                await self.agent.login(request.request_id)
                tell("login", job, "ok")
            except Exception as error:
                tell("login", job, kind(error))

    async def gate(self, job: str, action: str, dedup: str, timeout: str) -> None:
        options: dict[str, Any] = {"timeout": int(timeout) / 1000, "poll_interval": 0.01}
        if dedup:
            options["dedup_key"] = dedup

        # Every other one blocks a thread.
        @require_approval(action, client=self.blocking, **options)
        def function(number: str) -> None:
            tell("ran", number)

        @require_approval(action, client=self.sesame, **options)
        async def coroutine(number: str) -> None:
            tell("ran", number)

        try:
            if next(self.turns) % 2:
                await asyncio.get_running_loop().run_in_executor(self.threads, function, job)
            else:
                await coroutine(job)
            tell("gate", job, "ok")
        except Exception as error:
            tell("gate", job, kind(error))

    async def close(self) -> None:
        while self.jobs:
            await asyncio.wait(self.jobs)
        for site in self.sites:
            await site.aclose()
        await self.agent.aclose()
        await self.sesame.aclose()
        self.blocking.close()
        self.threads.shutdown()


async def main() -> None:
    # What a client says of the faults is of no interest here.
    logging.disable(logging.CRITICAL)
    clients: Clients | None = None
    # A thread of our own: one of the loop's would be counted among what a run has left behind.
    reader = ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(reader, sys.stdin.readline):
        order, *fields = line.rstrip("\n").split("\t")
        if order == "open":
            clients = Clients(*fields)
            tell("opened")
        elif order == "close":
            if clients is not None:
                await clients.close()
            clients = None
            tell("closed")
        elif clients is not None:
            clients.start(getattr(clients, order)(*fields))


asyncio.run(main())
