"""Event loops: who keeps what alive, contexts, and hosts that do unexpected things."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import os
import weakref
from typing import Any

import httpx
import pytest
from conftest import Sandbox, until_open

import lime_agents
from lime_agents import LimeAgent
from lime_sites import LimeSite


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_closed_loops_leave_nothing_behind(sandbox: Sandbox) -> None:
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        async with LimeAgent() as agent, LimeSite() as site:
            await agent.get_profile()
            await site.create_login_request()

    asyncio.run(main())
    gc.collect()
    before = descriptors()
    for _ in range(50):
        asyncio.run(main())
    gc.collect()
    assert [loop for loop in loops if loop() is not None] == []
    assert descriptors() <= before + 2


def test_a_site_works_though_nothing_refers_to_it(sandbox: Sandbox) -> None:
    async def main() -> None:
        arrived: asyncio.Queue[str] = asyncio.Queue()

        async def set_up() -> str:
            site = LimeSite()

            @site.on_login
            async def handler(request_id: str, passport: str | None) -> None:
                await arrived.put(request_id)

            return (await site.create_login_request()).request_id

        request_id = await set_up()
        gc.collect()
        await asyncio.to_thread(sandbox.approve, request_id)
        assert await asyncio.wait_for(arrived.get(), 30) == request_id

    asyncio.run(main())


def test_a_site_that_outlives_its_loop_takes_no_more_events(sandbox: Sandbox) -> None:
    async def main() -> LimeSite:
        site = LimeSite()
        await until_open(site)
        return site

    loop = asyncio.new_event_loop()
    site = loop.run_until_complete(main())
    loop.close()
    gc.collect()
    sandbox.control("GET", "/streams?max_open=0&wait_ms=20000")
    assert site.stream_status.state == "closed"


def test_a_cancelled_error_of_a_handlers_own_is_logged(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> int:
        handled = 0
        async with LimeSite() as site:
            done = asyncio.Event()

            @site.on_login
            async def handler(request_id: str, passport: str | None) -> None:
                nonlocal handled
                handled += 1
                if handled == 4:  # by now what came of the third is logged
                    done.set()
                    return
                other = asyncio.ensure_future(asyncio.sleep(3600))
                other.cancel()
                await other

            for _ in range(4):
                request = await site.create_login_request()
                await asyncio.to_thread(sandbox.expire, request.request_id)
            await asyncio.wait_for(done.wait(), 30)
        return handled

    assert asyncio.run(main()) == 4
    records = [record for record in caplog.records if "on_login handler was cancelled" in record.message]
    assert len(records) == 3


def test_a_loop_that_ends_is_not_held_up_by_a_handler(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """``asyncio.run`` cancels every task, that of the handlers too, which is nobody's fault."""
    handled = []

    async def main() -> None:
        site = LimeSite()
        running = asyncio.Event()

        @site.on_login
        async def handler(request_id: str, passport: str | None) -> None:
            handled.append(site)
            running.set()
            await asyncio.sleep(3600)

        request = await site.create_login_request()
        await asyncio.to_thread(sandbox.expire, request.request_id)
        await asyncio.wait_for(running.wait(), 30)

    asyncio.run(main())
    assert handled[0].stream_status.state == "closed"
    assert not [record for record in caplog.records if "handler" in record.message]


def test_a_logging_filter_that_raises_costs_nobody_a_result(sandbox: Sandbox) -> None:
    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("the host's own")

    told: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        sandbox.fault("profile", status=503)
        async with LimeAgent() as agent:
            await asyncio.wait_for(agent.get_profile(), 30)

    logger, broken = logging.getLogger("lime"), Broken()
    logger.addFilter(broken)
    try:
        asyncio.run(main())
    finally:
        logger.removeFilter(broken)
    assert [type(context["exception"]) for context in told] == [RuntimeError]


def test_every_state_handler_is_told_the_state_as_it_is(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite() as site:
            await until_open(site)
            await until_open(site)

    asyncio.run(main())


def test_requests_of_an_injected_client_run_in_their_callers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nobody's")
    seen: dict[str, str] = {}

    async def answer(request: httpx.Request) -> httpx.Response:
        seen[request.url.path.rsplit("/", 1)[-1]] = variable.get()
        if request.url.path.endswith("events"):
            return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=": hello\n\n")
        return httpx.Response(200, json={"ok": True, "data": {"status": "PENDING"}})

    async def main() -> None:
        variable.set("the site's")
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        site = LimeSite(site_token="st_x", base_url="https://example.invalid/api/v1", http_client=client)

        async def ask(name: str) -> None:
            variable.set(name)
            await site.read_login_request(name)

        await asyncio.gather(*(ask(f"lr_{n}") for n in range(5)))
        while "events" not in seen:
            await asyncio.sleep(0)
        await site.aclose()
        await client.aclose()

    asyncio.run(main())
    assert seen == {"events": "the site's", **{f"lr_{n}": f"lr_{n}" for n in range(5)}}


def test_faults_of_the_hosts_own_client_are_raised_as_they_are_and_once() -> None:
    asked = 0

    def broken(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        raise AssertionError("a test's own expectation")

    async def main() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(broken))
        agent = LimeAgent(agent_token="at_x", base_url="https://example.invalid", http_client=client)
        with pytest.raises(AssertionError, match="own expectation"):
            await agent.get_profile()
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await agent.get_profile()

    asyncio.run(main())
    assert asked == 1


def test_closing_in_a_task_that_a_handler_waits_for(sandbox: Sandbox) -> None:
    async def main() -> None:
        site = LimeSite()
        closed = asyncio.Event()

        @site.on_login
        async def handler(request_id: str, passport: str | None) -> None:
            try:
                await asyncio.create_task(site.aclose())
            finally:
                closed.set()

        request = await site.create_login_request()
        sandbox.expire(request.request_id)
        await asyncio.wait_for(closed.wait(), 30)
        await asyncio.wait_for(asyncio.gather(site.aclose(), site.aclose()), 30)

    asyncio.run(main())


def test_calls_given_up_at_once_leave_no_request_behind(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client, LimeAgent(http_client=client) as agent:
            calls = [asyncio.ensure_future(agent.get_profile()) for _ in range(50)]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            await agent.get_profile()
            carrier = agent._carrier
            assert carrier is not None
            while carrier._tasks:
                await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_site_with_a_client_of_another_loop_says_so(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client, LimeSite(http_client=client) as site:

            def elsewhere() -> None:
                asyncio.run(site.create_login_request())  # type: ignore[arg-type]

            with pytest.raises(RuntimeError, match="event loop it was made in"):
                await asyncio.to_thread(elsewhere)

    asyncio.run(main())


def test_a_profile_is_what_the_platform_says() -> None:
    data = {"agent_id": 7, "user_id": "o", "agent_reputation": 4.5, "owner_kyc_level": "2", "new": []}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"ok": True, "data": data})

    async def main() -> lime_agents.AgentProfile:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            return await LimeAgent(agent_token="at_x", max_retries=-1, http_client=client).get_profile()

    profile = asyncio.run(main())
    assert profile == lime_agents.AgentProfile.from_api(data)
    assert (profile.agent_id, profile.agent_reputation, profile.owner_kyc_level) == ("7", 4.5, "2")


def test_closing_a_site_from_another_loop_returns(sandbox: Sandbox) -> None:
    async def main() -> LimeSite:
        return LimeSite()

    loop = asyncio.new_event_loop()
    site = loop.run_until_complete(main())
    asyncio.run(asyncio.wait_for(site.aclose(), 30))
    assert site.stream_status.state == "closed"
    loop.run_until_complete(asyncio.sleep(0.01))
    assert site._runner.done()
    loop.close()


def test_an_empty_context_is_a_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(variable.get())
        return httpx.Response(200, json={"ok": True, "data": {"agent_id": "a", "owner_id": "o"}})

    variable.set("the constructor's")
    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    agent = LimeAgent(agent_token="at_x", base_url="https://example.invalid", http_client=client)
    contextvars.Context().run(asyncio.run, agent.get_profile())
    assert seen == ["unset"]


def test_a_retry_after_the_other_loop_is_gone_fails_instead_of_hanging(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client:
            agent = LimeAgent(http_client=client)
            sandbox.fault("profile", status=503)
            call = asyncio.ensure_future(agent.get_profile())
            while not await asyncio.to_thread(sandbox.received, "profile"):
                pass

            def elsewhere() -> None:
                async def ask() -> None:
                    with pytest.raises(asyncio.TimeoutError):
                        await asyncio.wait_for(agent.get_profile(), 0)

                asyncio.run(ask())

            await asyncio.to_thread(elsewhere)
            gc.collect()
            await asyncio.wait([call], timeout=30)
            assert call.done()

    asyncio.run(main())
