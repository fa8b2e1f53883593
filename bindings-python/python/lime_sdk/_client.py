"""What the clients of all packages have in common."""

from __future__ import annotations

from lime_sdk import _bridge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import httpx

    from lime_sdk._http import HttpxTransport


def load_results(module: str) -> None:
    """Load what a client makes its results of: when a client is made.

    Not with the package: dataclasses and the like are most of what an import would cost. Not with the first result
    either: a fork in that moment would leave the child with an import that never ends.
    """
    from importlib import import_module

    import_module(module)


def carrier_for(http_client: httpx.AsyncClient | None) -> HttpxTransport | None:
    """The transport over an injected client, if there is one."""
    if http_client is None:
        return None
    from lime_sdk._http import HttpxTransport

    return HttpxTransport(http_client)


async def call(
    carrier: HttpxTransport | None,
    start: Callable[..., int],
    *args: Any,
    report: Callable[[], None] | None = None,
) -> Any:
    """Make a native call on the running loop; ``report`` is called now and then while it runs."""
    if carrier is None:
        return await _bridge.current().call(False, report, start, *args)
    from lime_sdk._http import is_of_the_network

    last: list[Exception] = []
    before = carrier.watch(last)
    try:
        return await _bridge.current().call(True, report, start, *args)
    except Exception as error:
        cause = carrier.cause_of(error, last)
        if cause is None:
            raise
        # The injected client's own fault, as it is; unless something may have happened before it.
        if not is_of_the_network(cause) and getattr(error, "kind", None) != "outcome_unknown":
            raise cause from None
        raise error from cause
    finally:
        carrier.watch(before)
