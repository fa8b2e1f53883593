"""Fixtures for pytest, loaded by its entry point: nothing is imported or started before one is used.

One sandbox runs for the whole session (for each worker of pytest-xdist); each test begins with it reset.
A reset takes a millisecond, addresses and tokens stay, so a server that runs for the whole session can be
pointed at it once. A test that kills it leaves a new one, at the same place, to the next test.

The names ``site``, ``agent`` and ``sesame`` are easily taken: a fixture of yours with that name wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lime_agents import LimeAgent
    from lime_sdk.testing import LimeSandbox
    from lime_sites import LimeSite
    from sesame_sdk import Sesame


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "lime_sandbox(**settings): settings of the sandbox for this test, as request_ttl_seconds=1",
    )


class _Shared:
    """The session's sandbox, started when it is first asked for, and again after a test has killed it."""

    def __init__(self) -> None:
        self._running: LimeSandbox | None = None

    def get(self) -> LimeSandbox:
        from lime_sdk.testing import LimeSandbox

        before = self._running
        if before is None:
            self._running = LimeSandbox()
        elif not before.running:
            # At the same place with the same secrets: whatever knew the old one knows the new one.
            self._running = LimeSandbox(
                port=int(before.sesame_url.rsplit(":", 1)[1]),
                site_token=before.site_token,
                agent_token=before.agent_token,
                sesame_api_key=before.sesame_api_key,
                webhook_secret=before.webhook_secret,
            )
        assert self._running is not None
        return self._running

    def close(self) -> None:
        if self._running is not None:
            self._running.close()


@pytest.fixture(scope="session")
def _lime_sandbox_shared() -> Iterator[_Shared]:
    shared = _Shared()
    yield shared
    shared.close()


@pytest.fixture(scope="session")
def lime_sandbox_environment(_lime_sandbox_shared: _Shared) -> dict[str, str]:
    """The variables that point clients at the sandbox, for servers that run for the whole session."""
    return _lime_sandbox_shared.get().environment


@pytest.fixture
def lime_sandbox(_lime_sandbox_shared: _Shared, request: pytest.FixtureRequest) -> Iterator[LimeSandbox]:
    """A running sandbox as if just started, with the environment pointing at it.

    ``@pytest.mark.lime_sandbox(request_ttl_seconds=1)`` changes its settings for a test.
    """
    sandbox = _lime_sandbox_shared.get()
    sandbox.reset()
    settings = {
        name: value
        for marker in reversed(list(request.node.iter_markers("lime_sandbox")))
        for name, value in marker.kwargs.items()
    }
    if settings:
        sandbox.settings(**settings)
    with sandbox.in_environment():
        yield sandbox


@pytest.fixture
def site(lime_sandbox: LimeSandbox) -> Callable[..., LimeSite]:
    """Makes a ``LimeSite``, which belongs to a running loop: ``async with site() as client:``.

    The same in an ``async def`` test (pytest-asyncio, anyio) and in a coroutine for ``asyncio.run``.
    """
    return lime_sandbox.site


@pytest.fixture
def agent(lime_sandbox: LimeSandbox) -> Iterator[LimeAgent]:
    """A ``LimeAgent``, for any loop."""
    client = lime_sandbox.agent()
    yield client
    # A loop of its own, which is not made the thread's: an asynchronous test runner has that.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(client.aclose())
    finally:
        loop.close()


@pytest.fixture
def sesame(lime_sandbox: LimeSandbox) -> Iterator[Sesame]:
    """A ``Sesame`` client."""
    with lime_sandbox.sesame() as client:
        yield client
