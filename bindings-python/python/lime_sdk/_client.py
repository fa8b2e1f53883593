"""What the clients of both packages have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lime_sdk import _bridge
from lime_sdk._errors import LimeError

if TYPE_CHECKING:
    import httpx

    from lime_sdk._http import HttpxTransport


def carrier_for(http_client: httpx.AsyncClient | None) -> HttpxTransport | None:
    """The transport over an injected client, if there is one."""
    if http_client is None:
        return None
    from lime_sdk._http import HttpxTransport

    return HttpxTransport(http_client)


async def call(carrier: HttpxTransport | None, start: Callable[..., int], *args: Any) -> Any:
    """Make a native call on the running loop."""
    try:
        return await _bridge.current().call(start, *args)
    except LimeError as error:
        if carrier is not None and (cause := carrier.cause_of(error.message)) is not None:
            raise error from cause
        raise
