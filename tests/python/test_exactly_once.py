"""What the event stream did not bring, and what it brought twice."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

import pytest
from conftest import Sandbox, until_open

import lime_sites
from lime_sites import LimeSite, OutcomeUnknownError, SyncLimeSite


def lose_a_login(sandbox: Sandbox, request_id: str) -> None:
    """Let an agent sign in, lose the event, and break the stream."""
    sandbox.fault("events", action="lose")
    sandbox.approve(request_id)
    sandbox.control("GET", f"/login-requests/{request_id}?status=DELIVERED&wait_ms=30000")
    sandbox.disconnect(abort=True)


def test_a_login_that_was_lost_is_reported(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with LimeSite(sse_backoff_base=0.01) as site:
            await until_open(site)
            gaps: asyncio.Queue[Any] = asyncio.Queue()

            @site.on_gap
            def failing(request_ids: list[str]) -> None:
                raise ValueError("the host's own")

            @site.on_gap
            async def failing_later(request_ids: list[str]) -> None:
                raise ValueError("the host's own, later")

            @site.on_gap
            async def lost(request_ids: list[str]) -> None:
                await gaps.put(request_ids)

            request = await site.create_login_request()
            lose_a_login(sandbox, request.request_id)
            with pytest.raises(OutcomeUnknownError) as caught:
                await site.wait_for_login(request.request_id)
            assert caught.value.request_id == request.request_id
            assert caught.value.code == "LOGIN_EVENT_LOST"
            assert await asyncio.wait_for(gaps.get(), 30) == [request.request_id]
            assert any(request.request_id in record.message for record in caplog.records)
            failed = [record for record in caplog.records if record.message == "on_gap handler failed"]
            assert len(failed) == 2
            assert all(record.exc_info is not None for record in failed)

    asyncio.run(main())


def test_a_login_that_was_lost_is_reported_to_a_site_that_blocks(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    with SyncLimeSite(sse_backoff_base=0.01) as site:
        opened = threading.Event()
        site.on_login(lambda request_id, passport: None)
        site.on_state(lambda status: opened.set() if status.state == "open" else None)
        assert opened.wait(30)
        gaps: queue.Queue[Any] = queue.Queue()

        @site.on_gap
        def failing(request_ids: list[str]) -> None:
            raise ValueError("the host's own")

        @site.on_gap
        def lost(request_ids: list[str]) -> None:
            gaps.put((request_ids, threading.current_thread().name))

        request = site.create_login_request()
        lose_a_login(sandbox, request.request_id)
        request_ids, thread = gaps.get(timeout=30)
        assert request_ids == [request.request_id]
        assert thread.startswith("lime-site-")
        assert any(record.message == "on_gap handler failed" for record in caplog.records)
        with pytest.raises(TypeError, match="LimeSite takes coroutine functions"):

            @site.on_gap
            async def too_late(request_ids: list[str]) -> None: ...

    with pytest.raises(lime_sites.LimeError):
        site.on_gap(lost)


def test_an_expiry_that_was_lost_is_asked_for_and_told_once(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with LimeSite(sse_backoff_base=0.01) as site:
            await until_open(site)
            events: asyncio.Queue[tuple[str, str | None]] = asyncio.Queue()
            site.on_login(lambda request_id, passport: events.put((request_id, passport)))
            first = await site.create_login_request()
            sandbox.fault("events", action="lose")
            sandbox.expire(first)
            while any(entry["undelivered"] for entry in sandbox.control("GET", "/streams")["sites"]):
                await asyncio.sleep(0)
            sandbox.disconnect(abort=True)
            assert await asyncio.wait_for(events.get(), 30) == (first.request_id, None)
            # What is sent twice is told once.
            sandbox.fault("events", action="repeat")
            second = await site.create_login_request()
            sandbox.expire(second)
            third = await site.create_login_request()
            sandbox.expire(third)
            for request in (second, third):
                assert await asyncio.wait_for(events.get(), 30) == (request.request_id, None)

    asyncio.run(main())
