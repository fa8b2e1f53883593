"""Clients are ordinary objects: programs derive from them, hold them weakly, and put mocks in their place."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref
from typing import Any
from unittest import mock

import pytest
from conftest import Sandbox

from lime_agents import LimeAgent, SyncLimeAgent
from lime_sites import LimeSite, SyncLimeSite
from sesame_sdk import AsyncSesame, Sesame

# What the secret is called, and a method that asks the platform, by the object that has it.
CLIENTS: list[tuple[Any, str, str]] = [
    (LimeSite, "site_token", "create_login_request"),
    (SyncLimeSite, "site_token", "create_login_request"),
    (LimeAgent, "agent_token", "get_profile"),
    (SyncLimeAgent, "agent_token", "get_profile"),
    (AsyncSesame, "api_key", "approvals.trigger"),
    (Sesame, "api_key", "approvals.trigger"),
]
# With the sandbox, also where it is not asked for anything: a site's stream begins at once.
clients = pytest.mark.parametrize(("kind", "secret", "method"), CLIENTS)


def owner(client: Any, method: str) -> tuple[Any, str]:
    """The object that has the method, and its name there."""
    path, _, name = method.rpartition(".")
    return (getattr(client, path) if path else client), name


async def called(client: Any, method: str) -> Any:
    of, name = owner(client, method)
    result = getattr(of, name)(*(("a", "b") if name == "trigger" else ()))
    return await result if inspect.isawaitable(result) else result


@clients
def test_a_derived_client_with_attributes_of_its_own(
    sandbox: Sandbox, kind: Any, secret: str, method: str
) -> None:
    class Derived(kind):  # type: ignore[misc]
        def __init__(self, config: str) -> None:
            self.config = config
            super().__init__(**{secret: config})

        async def ask(self) -> Any:
            return await called(self, method)

    async def main() -> None:
        client = Derived(getattr(sandbox, "sesame_api_key" if secret == "api_key" else secret))
        client.asked = await client.ask()
        assert client.asked is not None
        assert client.config not in repr(client)
        ended = client.aclose() if hasattr(client, "aclose") else client.close()
        if ended is not None:
            await ended
        with pytest.raises(Exception, match="closed"):
            await client.ask()

    asyncio.run(main())


@clients
def test_a_method_that_is_replaced_is_called(sandbox: Sandbox, kind: Any, secret: str, method: str) -> None:
    async def main() -> None:
        client = kind(**{secret: "x"})
        of, name = owner(client, method)
        original = getattr(of, name)
        with mock.patch.object(of, name, autospec=True, return_value="mine"):
            assert await called(client, method) == "mine"
        with mock.patch.object(type(of), name, autospec=True, return_value="everybody's") as replaced:
            assert await called(client, method) == "everybody's"
        assert replaced.call_args.args[0] is of
        assert getattr(of, name) == original

    asyncio.run(main())


@clients
def test_a_mock_made_after_a_client_takes_its_calls_only(kind: Any, secret: str, method: str) -> None:
    mocked = mock.create_autospec(kind)
    client = mocked(**{secret: "x"})
    assert isinstance(client, kind)
    mocked.assert_called_once_with(**{secret: "x"})
    with pytest.raises(TypeError):
        mocked(no_setting=1)
    with pytest.raises(AttributeError):
        client.no_method  # noqa: B018
    if "." not in method:  # what a client has made for itself is no part of its class
        getattr(client, method).return_value = "mine"
        assert asyncio.run(called(client, method)) == "mine"
        with pytest.raises(TypeError):
            getattr(client, method)(no_argument=1)


@clients
def test_a_client_is_held_weakly(sandbox: Sandbox, kind: Any, secret: str, method: str) -> None:
    async def main() -> None:
        client = kind(**{secret: "x"})
        held = weakref.ref(client)
        assert held() is client
        if kind is LimeSite:  # it works until it is closed, whoever holds it
            await client.aclose()
        del client
        gc.collect()
        assert held() is None

    asyncio.run(main())
