"""How calls behave as coroutines: errors, cancelling, loops that end early."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import pickle
import time
import warnings
from typing import Any

import httpx
import pytest
from conftest import Sandbox

import lime_agents
import lime_sites
from lime_agents import LimeAgent, LimeError, OutcomeUnknownError, SyncLimeAgent
from lime_sites import LimeSite


def test_calls_are_coroutines_and_send_nothing_before_they_are_awaited(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite() as site:
            assert inspect.iscoroutinefunction(site.create_login_request)
            coroutine = site.create_login_request()
            assert inspect.iscoroutine(coroutine)
            await asyncio.sleep(0)
            assert sandbox.received("create_request") == []
            await asyncio.create_task(coroutine)

    asyncio.run(main())


def test_missing_tokens_come_before_the_loop_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIME_SITE_TOKEN", raising=False)
    monkeypatch.delenv("LIME_AGENT_TOKEN", raising=False)
    for token in (None, "", "   "):
        with pytest.raises(lime_sites.AuthenticationError, match="Site token is required"):
            LimeSite(site_token=token)
        with pytest.raises(lime_agents.AuthenticationError, match="Agent token is required") as caught:
            LimeAgent(agent_token=token)
        assert caught.value.message.startswith("Agent token is required")
    with pytest.raises(RuntimeError, match="running asyncio event loop"):
        LimeSite(site_token="st_x")


@pytest.mark.parametrize(
    ("status", "code", "cls"),
    [
        (429, "SLOW_DOWN", lime_sites.RateLimitError),
        (400, "RATE_LIMIT_EXCEEDED", lime_sites.RateLimitError),
        (401, "WHATEVER", lime_sites.AuthenticationError),
        (403, "SITE_SUSPENDED", lime_sites.AuthenticationError),
        (418, "TEAPOT", lime_sites.ApiError),
    ],
)
def test_errors_of_the_platform(sandbox: Sandbox, status: int, code: str, cls: type[Exception]) -> None:
    envelope = {"ok": False, "error": {"code": code, "message": "No.", "detail": {"a": [1, None, 2.5]}}}

    async def main() -> lime_sites.LimeError:
        async with LimeSite(max_retries=0) as site:
            sandbox.fault("create_request", status=status, body=envelope, headers={"Retry-After": "3"})
            with pytest.raises(lime_sites.LimeError) as caught:
                await site.create_login_request()
            return caught.value

    error = asyncio.run(main())
    assert type(error) is cls
    assert (error.message, error.code, error.http_status) == ("No.", code, status)
    assert error.detail == {"a": [1, None, 2.5]}
    assert error.retry_after == 3.0
    assert str(error) == "No."
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is cls
    assert copy.__dict__ == error.__dict__


def test_an_answer_that_is_no_json(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite() as site:
            sandbox.fault("create_request", action="garbage")
            with pytest.raises(lime_sites.LimeError, match=r"Invalid JSON response \(HTTP 200\)") as caught:
                await site.create_login_request()
            assert type(caught.value) is lime_sites.LimeError
            assert caught.value.http_status == 200

    asyncio.run(main())


def test_passport_errors_are_what_is_published_and_what_is_documented(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite() as site:
            for nonsense in ("", "garbage", "a.b.c"):
                with pytest.raises(lime_sites.InvalidPassportError):
                    await site.verify_passport(nonsense)
            sandbox.control("PUT", "/settings", {"passport_ttl_seconds": 1})
            sandbox.control("POST", "/clock", {"advance_seconds": -60})
            request = await site.create_login_request()
            sandbox.approve(request.request_id)
            passport = await site.wait_for_login(request.request_id)
            assert passport is not None
            with pytest.raises(lime_sites.InvalidPassportError, match="expired") as caught:
                await site.verify_passport(passport)
            assert isinstance(caught.value, lime_sites.RequestExpiredError)

    asyncio.run(main())


def test_fault_12_a_lost_approve_answer(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite() as site, LimeAgent(max_retries=1) as agent:
            request = await site.create_login_request()
            sandbox.fault("approve", action="drop_after")
            with pytest.raises(OutcomeUnknownError) as caught:
                await agent.login(request.request_id)
            assert caught.value.request_id == request.request_id

    asyncio.run(main())


def test_fault_6_ids_that_are_no_ids(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeAgent() as agent:
            for request_id in ("", "  ", "../../core/agents/me", "a?b"):
                with pytest.raises(lime_agents.ApiError) as caught:
                    await agent.login(request_id)
                assert (caught.value.code, caught.value.http_status) == ("INVALID_REQUEST_ID", 400)

    asyncio.run(main())
    assert (
        sandbox.control("GET", "/received") in ([], {"received": []}) or sandbox.received("challenge") == []
    )


@pytest.mark.parametrize("injected", [False, True], ids=["own-transport", "httpx"])
def test_cancelling_an_awaited_call(sandbox: Sandbox, injected: bool) -> None:
    async def main() -> None:
        client = httpx.AsyncClient() if injected else None
        sandbox.fault("profile", action="half_open", count=0)
        async with LimeAgent(http_client=client) as agent:
            call = asyncio.ensure_future(agent.get_profile())
            while not await asyncio.to_thread(sandbox.received, "profile"):
                pass
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(agent.get_profile(), 0.05)
        if client is not None:
            await client.aclose()

    asyncio.run(main())


def test_a_platform_that_does_not_answer(sandbox: Sandbox) -> None:
    sandbox.fault("profile", action="half_open", count=0)
    with SyncLimeAgent(timeout=0.05, max_retries=1) as agent, pytest.raises(LimeError) as late:
        agent.get_profile()
    assert (late.value.kind, late.value.http_status) == ("transport_timeout", None)


def test_five_hundred_loops_that_end_with_a_call_pending(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.fault("profile", action="half_open", count=0)
    agent = LimeAgent()

    async def main() -> None:
        pending = asyncio.ensure_future(agent.get_profile())
        await asyncio.sleep(0)
        assert not pending.done()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(500):
            asyncio.run(main())
        gc.collect()
    assert capfd.readouterr() == ("", "")


def test_an_injected_client_sees_every_request_and_keeps_its_own_time() -> None:
    seen: list[tuple[str, str, str | None]] = []
    hooked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.path, request.headers.get("X-Site-Token")))
        if request.url.path.endswith("/events"):
            frame = '{"type":"approved","login_request_id":"lr_1","agent_passport_jwt":"j.w.t"}'
            headers = {"Content-Type": "text/event-stream"}
            return httpx.Response(200, headers=headers, text=f"data: {frame}\n\n")
        if request.url.path.endswith("/jwks.json"):
            return httpx.Response(200, json={"keys": []})
        data = {"login_request_id": "lr_1", "status": "PENDING", "expires_at": "2026-01-01T00:00:00+02:00"}
        return httpx.Response(201, json={"ok": True, "data": data})

    async def hook(request: httpx.Request) -> None:
        hooked.append(request.url.path)

    async def main() -> None:
        client = httpx.AsyncClient(
            transport=httpx.MockTransport(answer),
            event_hooks={"request": [hook]},
            headers={"X-Site-Token": "of the client, for everything"},
        )
        async with LimeSite(
            site_token="st_x", base_url="https://example.invalid/api/v1", http_client=client
        ) as site:
            arrived: asyncio.Future[tuple[str, str | None]] = asyncio.get_running_loop().create_future()

            @site.on_login
            async def handler(request_id: str, passport: str | None) -> None:
                if not arrived.done():
                    arrived.set_result((request_id, passport))

            request = await site.create_login_request()
            assert request.expires_at.isoformat() == "2026-01-01T00:00:00+02:00"
            assert await asyncio.wait_for(arrived, 30) == ("lr_1", "j.w.t")
            with pytest.raises(lime_sites.InvalidPassportError, match="kid"):
                await site.verify_passport("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA")
        assert not client.is_closed
        await client.aclose()

    asyncio.run(main())
    assert ("POST", "/api/v1/modules/agent-login/requests", "st_x") in seen
    assert ("GET", "/api/v1/modules/agent-login/events", "st_x") in seen
    assert ("GET", "/api/v1/core/.well-known/jwks.json", None) in seen, "no token on a public endpoint"
    assert set(hooked) == {path for _, path, _ in seen}


def test_the_injected_clients_exceptions_are_the_cause_of_ours() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to anywhere", request=request)

    async def main() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(refuse))
        agent = LimeAgent(agent_token="at_x", max_retries=0, http_client=client)
        with pytest.raises(lime_agents.LimeError, match="no route to anywhere") as caught:
            await agent.get_profile()
        assert isinstance(caught.value.__cause__, httpx.ConnectError)
        await client.aclose()

    asyncio.run(main())


def test_the_logger_is_lime_and_nothing_secret_is_in_it(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    passports: list[str] = []

    async def main() -> None:
        sandbox.fault("create_request", status=503)
        async with LimeSite() as site, LimeAgent() as agent:
            request = await site.create_login_request()
            await agent.login(request.request_id)
            passport = await site.wait_for_login(request.request_id)
            assert passport is not None
            passports.append(passport)
            await site.verify_passport(passport)
            repr_of = repr((site, agent, request, vars(site), vars(agent)))
            for secret in (sandbox.site_token, sandbox.agent_token):
                assert secret not in repr_of

    with caplog.at_level(logging.DEBUG, logger="lime"):
        asyncio.run(main())
    text = "\n".join(record.getMessage() for record in caplog.records if record.name == "lime")
    assert f"POST {sandbox.api_base}/modules/agent-login/requests" in text
    assert any(r.levelno == logging.WARNING and "Retrying POST" in r.getMessage() for r in caplog.records)
    for secret in (sandbox.site_token, sandbox.agent_token, *passports):
        assert secret not in text


def test_clients_made_in_threads_with_debug_logging_do_not_deadlock(sandbox: Sandbox) -> None:
    import threading

    logging.getLogger("lime").setLevel(logging.DEBUG)
    try:

        async def main() -> None:
            async with LimeSite() as site:
                await site.create_login_request()

        threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
            assert not thread.is_alive()
    finally:
        logging.getLogger("lime").setLevel(logging.NOTSET)


def test_many_calls_at_once(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite() as site:
            requests = await asyncio.gather(*(site.create_login_request() for _ in range(300)))
            assert len({request.request_id for request in requests}) == 300

    asyncio.run(main())


def test_results_are_frozen_dataclasses() -> None:
    import dataclasses

    data: dict[str, Any] = {
        "login_request_id": "lr_1",
        "status": "PENDING",
        "expires_at": "2026-01-01T00:00:00Z",
    }
    result = lime_sites.LoginRequestResult.from_api(data)
    assert result.expires_at.timestamp() == 1767225600
    assert dataclasses.asdict(result)["request_id"] == "lr_1"
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.status = "x"  # type: ignore[misc]
    assert not hasattr(result, "__dict__")
    with pytest.raises(ValueError, match="agent_passport_jwt"):
        lime_sites.LoginResult.from_sse({"login_request_id": "lr_1"})


def test_settings_that_make_no_sense() -> None:
    for setting in ({"base_url": "nonsense"}, {"timeout": -1.0}, {"timeout": 0.0}, {"post_retry": "never"}):
        with pytest.raises(ValueError, match=r"base_url|timeout|post_retry"):
            LimeAgent(agent_token="at_x", **setting)


def test_a_closed_client_refuses(sandbox: Sandbox) -> None:
    async def main() -> None:
        agent = LimeAgent()
        await agent.get_profile()
        await agent.aclose()
        await agent.aclose()
        with pytest.raises(lime_agents.LimeError, match="closed"):
            await agent.get_profile()

    asyncio.run(main())


def test_cancel_stops_the_proof_of_work(sandbox: Sandbox) -> None:
    sandbox.control("PUT", "/settings", {"pow_difficulty": 200})

    async def main() -> None:
        async with LimeSite() as site, LimeAgent(pow_timeout=3600) as agent:
            request = await site.create_login_request()
            login = asyncio.ensure_future(agent.login(request.request_id))
            while not await asyncio.to_thread(sandbox.received, "challenge"):
                pass
            login.cancel()
            with pytest.raises(asyncio.CancelledError):
                await login

    asyncio.run(main())
    # Whatever still searched would keep a core busy: the process's clock would run on without us.
    before, started = time.process_time(), time.monotonic()
    while time.monotonic() - started < 0.2:
        time.sleep(0.05)
    assert time.process_time() - before < 0.15
