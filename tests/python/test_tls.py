"""Servers with the right key and with another, through every client; and an answer that never ends."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest
from tls_server import PINS, TlsServer

from lime_agents import LimeAgent, SyncLimeAgent
from lime_mcp_server import JwksCache, LimeConfig, LimeError
from lime_sites import LimeSite, SyncLimeSite
from sesame_sdk import ApprovalError, AsyncSesame, Sesame


def site(pins: Sequence[str]) -> Any:
    with SyncLimeSite(tls_pins=pins, max_retries=0) as client:
        return client.create_login_request()


def site_on_a_loop(pins: Sequence[str]) -> Any:
    async def main() -> Any:
        async with LimeSite(tls_pins=pins, max_retries=0) as client:
            return await client.create_login_request()

    return asyncio.run(main())


def agent(pins: Sequence[str]) -> Any:
    with SyncLimeAgent(tls_pins=pins, max_retries=0) as client:
        return client.get_profile()


def agent_on_a_loop(pins: Sequence[str]) -> Any:
    async def main() -> Any:
        async with LimeAgent(tls_pins=pins, max_retries=0) as client:
            return await client.get_profile()

    return asyncio.run(main())


def sesame(pins: Sequence[str]) -> Any:
    with Sesame(tls_pins=pins, max_retries=0) as client:
        return client.approvals.get("apr_1")


def sesame_on_a_loop(pins: Sequence[str]) -> Any:
    async def main() -> Any:
        async with AsyncSesame(tls_pins=pins, max_retries=0) as client:
            return await client.approvals.get("apr_1")

    return asyncio.run(main())


def verifier(pins: Sequence[str]) -> Any:
    cache = JwksCache(LimeConfig(), tls_pins=pins)
    cache.refresh(force=True)
    return cache


CALLS = [site, site_on_a_loop, agent, agent_on_a_loop, sesame, sesame_on_a_loop, verifier]
calls = pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    with TlsServer() as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        yield running


@calls
def test_the_server_s_key_has_to_be_one_of_the_pins(server: TlsServer, call: Callable[..., Any]) -> None:
    # The event stream is asked for beside it where there is one.
    call([PINS["other"], PINS["good"].removeprefix("sha256/")])
    assert server.requests
    server.requests.clear()
    with pytest.raises((LimeError, ApprovalError), match="is none of tls_pins"):
        call([PINS["other"], PINS["next"]])
    assert server.requests == []


@calls
def test_pins_come_from_the_environment(
    server: TlsServer, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Any]
) -> None:
    for name in ("LIME_TLS_PINS", "SESAME_TLS_PINS"):
        monkeypatch.setenv(name, f"{PINS['other']}, {PINS['next']}")
    with pytest.raises((LimeError, ApprovalError), match="is none of tls_pins"):
        call([])
    assert server.requests == []
    call([PINS["good"]])


@calls
def test_what_is_no_pin_is_refused(server: TlsServer, call: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="tls_pins must be SHA-256 fingerprints"):
        call(["sha256/"])
    with pytest.raises(ValueError, match="tls_pins must be SHA-256 fingerprints"):
        call(PINS["good"])  # a text is no list of them
    assert server.requests == []


def test_a_client_of_the_programs_own_is_not_pinned(server: TlsServer) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client:
            for make in (LimeAgent, LimeSite, AsyncSesame):
                with pytest.raises(ValueError, match="cannot be kept by the host's own HTTP client"):
                    make(http_client=client, tls_pins=[PINS["good"]])

    asyncio.run(main())
    with httpx.Client() as client, pytest.raises(ValueError, match="cannot be kept"):
        JwksCache(LimeConfig(), http_client=client, tls_pins=[PINS["good"]])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_old_tls_is_not_spoken(monkeypatch: pytest.MonkeyPatch, version: ssl.TLSVersion) -> None:
    """OpenSSL would speak it if it were asked to."""
    with TlsServer(version=version) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        if version == ssl.TLSVersion.TLSv1_2:
            agent([PINS["good"]])
            return
        with pytest.raises(LimeError, match=r"(?i)protocol ?version"):
            agent([PINS["good"]])
        assert server.requests == []


@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_without_end_is_not_read_to_its_end(status: int) -> None:
    """Through a client of the program's own, which has no limit itself."""
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1 << 14):  # a gigabyte
            taken += 1
            yield bytes(65536)

    async def endless_on_a_loop() -> Any:
        for piece in endless():
            yield piece

    config = LimeConfig(base_url="http://127.0.0.1:1")
    with (
        httpx.Client(
            transport=httpx.MockTransport(lambda _: httpx.Response(status, content=endless()))
        ) as client,
        pytest.raises(LimeError, match="larger than"),
    ):
        JwksCache(config, http_client=client).refresh(force=True)
    assert taken < 64
    taken = 0

    async def main() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(status, content=endless_on_a_loop()))
        async with httpx.AsyncClient(transport=transport) as client:
            agent = LimeAgent(agent_token="at_x", base_url="http://127.0.0.1:1", http_client=client)
            with pytest.raises(LimeError, match="larger than"):
                await agent.get_profile()

    asyncio.run(main())
    assert taken < 64
