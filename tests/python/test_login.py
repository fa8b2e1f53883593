"""The main job from Python, plainly, through faults, and through an injected client."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import httpx
import pytest
from conftest import Sandbox, until_open

from lime_agents import AgentProfile, ApprovalResult, LimeAgent
from lime_sites import LimeSite, LoginRequestResult, PassportVerificationResult


async def sign_in(site: LimeSite, agent: LimeAgent, events: asyncio.Queue[Any]) -> None:
    request = await site.create_login_request()
    assert isinstance(request, LoginRequestResult)
    assert request.status == "PENDING"
    assert request.expires_at.tzinfo is not None
    result = await agent.login(request.request_id)
    assert isinstance(result, ApprovalResult)
    assert result.request_id == request.request_id
    request_id, passport = await asyncio.wait_for(events.get(), 30)
    assert request_id == request.request_id
    verified = await site.verify_passport(passport, expected_request_id=request_id)
    assert isinstance(verified, PassportVerificationResult)
    assert verified.valid
    profile = await agent.get_profile()
    assert isinstance(profile, AgentProfile)
    assert verified.claims["agent_id"] == profile.agent_id == result.approved_agent_id


def listen(site: LimeSite) -> asyncio.Queue[Any]:
    events: asyncio.Queue[Any] = asyncio.Queue()

    @site.on_login
    async def handler(request_id: str, passport: str | None) -> None:
        await events.put((request_id, passport))

    return events


@pytest.mark.parametrize("injected", [False, True], ids=["own-transport", "httpx"])
def test_signs_in_and_through_a_fault_plan(sandbox: Sandbox, injected: bool) -> None:
    async def main() -> None:
        client = httpx.AsyncClient() if injected else None
        async with (
            LimeSite(http_client=client, sse_backoff_base=0.01) as site,
            LimeAgent(http_client=client) as agent,
        ):
            events = listen(site)
            await sign_in(site, agent, events)
            sandbox.fault("approve", status=503)
            sandbox.fault("events", action="cut")
            sandbox.control("POST", "/keys/rotate", {})
            await sign_in(site, agent, events)
            assert site.stream_status.connections >= 2
        if client is not None:
            assert not client.is_closed
            await client.aclose()

    asyncio.run(main())
    agents = {entry["headers"].get("user-agent", "") for entry in sandbox.received("create_request")}
    assert all(name.startswith("python-httpx/" if injected else "lime-sdk/") for name in agents)


def test_approve_is_login_by_its_earlier_name(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite() as site, LimeAgent() as agent:
            request = await site.create_login_request()
            assert (await agent.approve(request.request_id)).request_id == request.request_id

    asyncio.run(main())


def test_a_subclass_with_another_constructor(sandbox: Sandbox) -> None:
    class Lime(LimeAgent):
        def __init__(self, token: str) -> None:
            super().__init__(agent_token=token)

    async def main() -> None:
        lime = Lime(sandbox.agent_token)
        try:
            async with LimeSite() as site:
                request = await site.create_login_request()
                assert (await lime.login(request.request_id)).status in ("APPROVED", "DELIVERED")
        finally:
            await lime.aclose()

    asyncio.run(main())


def test_handlers_run_on_the_loop_and_in_the_context_of_the_constructor(sandbox: Sandbox) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def main() -> None:
        variable.set("constructor's")
        async with LimeSite() as site:
            variable.set("later")
            seen: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

            @site.on_login
            async def handler(request_id: str, passport: str | None) -> None:
                seen.set_result((threading.get_ident(), asyncio.get_running_loop(), variable.get()))

            request = await site.create_login_request()
            sandbox.approve(request.request_id)
            assert await asyncio.wait_for(seen, 30) == (
                threading.get_ident(),
                asyncio.get_running_loop(),
                "constructor's",
            )

    asyncio.run(main())


def test_two_sites_on_two_loops_do_not_mix(sandbox: Sandbox) -> None:
    second = sandbox.control("POST", "/sites", {})["site_token"]
    results: dict[str, set[str]] = {}

    async def main(token: str) -> None:
        async with LimeSite(site_token=token) as site:
            events = listen(site)
            own = [(await site.create_login_request()).request_id for _ in range(5)]
            for request_id in own:
                await asyncio.to_thread(sandbox.approve, request_id)
            got = {(await asyncio.wait_for(events.get(), 30))[0] for _ in own}
            assert got == set(own)
            results[token] = got

    threads = [
        threading.Thread(target=asyncio.run, args=(main(token),)) for token in (sandbox.site_token, second)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2


def test_a_failing_handler_is_logged_and_the_next_one_still_runs(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with LimeSite() as site:

            @site.on_login
            async def failing(request_id: str, passport: str | None) -> None:
                raise RuntimeError("the host's own")

            events = listen(site)
            for _ in range(2):
                request = await site.create_login_request()
                sandbox.expire(request.request_id)
                assert await asyncio.wait_for(events.get(), 30) == (request.request_id, None)

    asyncio.run(main())
    failed = [record for record in caplog.records if "on_login handler failed" in record.message]
    assert len(failed) == 2
    assert failed[0].name == "lime"
    assert failed[0].exc_info is not None


def test_fault_4_a_slow_handler_does_not_hold_up_the_stream(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite() as site:
            go = asyncio.Event()
            handled: list[str] = []

            @site.on_login
            async def slow(request_id: str, passport: str | None) -> None:
                await go.wait()
                handled.append(request_id)

            await until_open(site)
            frames = (f'data: {{"type":"expired","login_request_id":"lr_{n}"}}\n\n' for n in range(300))
            await asyncio.to_thread(sandbox.push_raw, "".join(frames))
            while site.stream_status.events < 300:
                await asyncio.sleep(0)
            assert handled == []
            go.set()
            while len(handled) < 300:
                await asyncio.sleep(0)
            assert handled == [f"lr_{n}" for n in range(300)]

    asyncio.run(main())


def test_fault_8_the_loop_stays_free_while_the_proof_of_work_runs(sandbox: Sandbox) -> None:
    sandbox.control("PUT", "/settings", {"pow_difficulty": 200})

    async def main() -> None:
        async with LimeSite() as site, LimeAgent(pow_timeout=0.3) as agent:
            request = await site.create_login_request()
            login = asyncio.ensure_future(agent.login(request.request_id))
            turns = 0
            while not login.done():
                await asyncio.sleep(0)
                turns += 1
            assert login.exception() is not None
            assert turns > 100  # a blocked loop turns once

    asyncio.run(main())


def test_closing_inside_a_handler_returns(sandbox: Sandbox) -> None:
    async def main() -> None:
        site = LimeSite()
        closed = asyncio.Event()

        @site.on_login
        async def handler(request_id: str, passport: str | None) -> None:
            await site.aclose()
            closed.set()

        request = await site.create_login_request()
        sandbox.expire(request.request_id)
        await asyncio.wait_for(closed.wait(), 30)
        assert site.stream_status.state == "closed"

    asyncio.run(main())


def test_closing_cancels_a_running_handler(sandbox: Sandbox) -> None:
    async def main() -> None:
        site = LimeSite()
        running, cancelled = asyncio.Event(), asyncio.Event()

        @site.on_login
        async def handler(request_id: str, passport: str | None) -> None:
            running.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        request = await site.create_login_request()
        sandbox.expire(request.request_id)
        await asyncio.wait_for(running.wait(), 30)
        await site.aclose()
        assert cancelled.is_set()

    asyncio.run(main())


def test_waiting_for_one_request(sandbox: Sandbox) -> None:
    from lime_sites import LoginTimeoutError

    async def main() -> None:
        async with LimeSite() as site:
            request = await site.create_login_request()
            waiting = asyncio.ensure_future(site.wait_for_login(request.request_id))
            await asyncio.to_thread(sandbox.approve, request.request_id)
            passport = await waiting
            assert passport is not None
            await site.verify_passport(passport, expected_request_id=request.request_id)

            status = await site.read_login_request(request.request_id)
            assert status.status == "DELIVERED"

            other = await site.create_login_request()
            with pytest.raises(LoginTimeoutError) as caught:
                await site.wait_for_login(other.request_id, timeout=0.01)
            assert isinstance(caught.value, TimeoutError)
            assert caught.value.request_id == other.request_id

    asyncio.run(main())


def test_a_refused_token_is_seen_in_the_state(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite(site_token="st_wrong") as site:
            states: asyncio.Queue[Any] = asyncio.Queue()

            @site.on_state
            async def changed(status: Any) -> None:
                await states.put(status)

            while (status := await asyncio.wait_for(states.get(), 30)).state != "refused":
                pass
            assert status.last_error.code == "SITE_TOKEN_INVALID"
            assert status.last_error.http_status == 401

    asyncio.run(main())


def test_every_handler_hears_each_state_once_and_in_order(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite(sse_backoff_base=8) as site:
            while site.stream_status.state != "open":
                pass
            heard: dict[str, list[str]] = {"one": [], "two": [], "late": []}
            told: asyncio.Queue[None] = asyncio.Queue()

            def hear(name: str) -> None:
                def changed(status: Any) -> None:
                    heard[name].append(status.state)
                    told.put_nowait(None)

                site.on_state(changed)

            async def tellings(count: int) -> None:
                for _ in range(count):
                    await asyncio.wait_for(told.get(), 30)

            hear("one")
            hear("two")
            await tellings(2)
            assert heard == {"one": ["open"], "two": ["open"], "late": []}
            sandbox.disconnect()
            while site.stream_status.state == "open":
                pass
            # The loop has had no turn since: what the others will hear waits for it.
            hear("late")
            await tellings(3)
            assert heard == {
                "one": ["open", "backing_off"],
                "two": ["open", "backing_off"],
                "late": ["backing_off"],
            }

    asyncio.run(main())


def test_a_handler_that_comes_while_a_change_waits_hears_nothing_older_after_it(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite(sse_backoff_base=8) as site:
            while site.stream_status.state != "open":
                pass
            heard: list[tuple[str, str]] = []
            last = asyncio.Event()
            site.on_state(lambda status: heard.append(("one", status.state)))
            sandbox.disconnect()
            while site.stream_status.state == "open":
                pass
            site.on_state(lambda status: heard.append(("two", status.state)))
            site.on_state(lambda status: last.set())
            await asyncio.wait_for(last.wait(), 30)
            await asyncio.to_thread(sandbox.received)  # the loop has turns for what should not come
            assert heard == [("one", "open"), ("one", "backing_off"), ("two", "backing_off")]

    asyncio.run(main())
