"""Faults of the library itself: each becomes an error, is told without what it was about, and everything lives on.

Only development builds panic on request: the tests run with those.
"""

from __future__ import annotations

import asyncio
import traceback

import httpx
import pytest

from lime_agents import LimeAgent, LimeError
from lime_sdk import _bridge, _native
from sesame_sdk import ApprovalError, AsyncSesame


def is_internal(error: Exception) -> None:
    assert isinstance(error, LimeError | ApprovalError)
    assert error.kind == "internal"
    assert "A fault of the library was caught" in str(error)
    assert ".rs:" in str(error)  # where


@pytest.fixture
def panics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every request of a client with an ``http_client`` panic on the library's thread."""
    monkeypatch.setattr(_native, "HostTransport", lambda _id: _native._panicking_transport())


@pytest.mark.parametrize(("function", "family"), [("_panic", LimeError), ("_panic_in_sesame", ApprovalError)])
def test_a_panic_in_a_function_is_an_error_and_no_base_exception(
    function: str, family: type[Exception], capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "at_secret"
    with pytest.raises(family) as caught:
        getattr(_native, function)(secret)
    is_internal(caught.value)
    assert type(caught.value) is family
    # What was put together at run time may be a token: a Rust index into a text shows the text.
    assert secret not in "".join(traceback.format_exception(caught.value))
    assert capfd.readouterr() == ("", "")


def test_a_panic_in_the_midst_of_a_call_ends_it(panics: None, capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client, LimeAgent(agent_token="at_1", http_client=client) as agent:
            for _ in range(2):  # the client lives on
                with pytest.raises(LimeError) as caught:
                    await agent.get_profile()
                is_internal(caught.value)
                assert caught.value.code == "INTERNAL"

    asyncio.run(main())
    assert capfd.readouterr() == ("", "")


def test_a_panic_in_the_midst_of_an_approval_is_one_of_its_errors(panics: None) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client, AsyncSesame(api_key="sk_1", http_client=client) as sesame:
            with pytest.raises(ApprovalError) as caught:
                await sesame.approvals.get("appr_1")
            is_internal(caught.value)

    asyncio.run(main())


def test_a_result_that_cannot_be_made_ends_its_call(capfd: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:
        for _ in range(2):  # the loop's queue lives on
            with pytest.raises(LimeError) as caught:
                await asyncio.wait_for(_bridge.current().call(False, None, _native._end_badly), 10)
            is_internal(caught.value)

    asyncio.run(main())
    assert capfd.readouterr() == ("", "")
