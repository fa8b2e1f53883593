"""Calls that block: a thread of the program waits for them, or under gevent a greenlet."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    Arguments = ParamSpec("Arguments")
    Result = TypeVar("Result")


def call(
    start: Callable[..., int],
    block: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Make a native call and wait for its result.

    Args:
        start: Starts the call on a queue.
        block: Makes the same call on this thread, which hears nothing else meanwhile but Ctrl-C.
        args: The call's.
        kwargs: ``report``, where the call takes it.
    """
    # Nothing of gevent is imported unless the program has done so; and one that has may not have patched.
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("socket"):
        return block(*args, **kwargs)
    from lime_sdk._gevent import current

    return current().call(start, *args, **kwargs)  # type: ignore[arg-type, no-any-return]
