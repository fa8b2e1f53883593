"""Between an event loop and the native library: one queue for each loop, one wake-up for many results.

asyncio is imported when a client is used, not before: it costs more than all the rest.
"""

from __future__ import annotations

import itertools
import logging
import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from lime_sdk import _native

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger("lime")

# First member of the tuples that Queue.take gives; bindings-python/src/queue.rs has the same numbers.
_DONE, _EVENT, _STATE, _HTTP_BEGIN, _HTTP_RESUME, _HTTP_ABORT, _LOG = range(7)

new_id = itertools.count(1).__next__


class EventReceiver(Protocol):
    """A site, as its loop's bridge sees it."""

    def _on_event(self, request_id: str, passport: str | None, permit: _native.Permit) -> None: ...
    def _on_state_change(self, status: tuple[str, Exception | None, int, int, int]) -> None: ...


class Carrier(Protocol):
    """A host transport, as its loop's bridge sees it."""

    def begin(
        self,
        exchange: int,
        method: str,
        url: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        stream: bool,
    ) -> None: ...
    def resume(self, exchange: int) -> None: ...
    def abort(self, exchange: int) -> None: ...


# By their number, which is all that the native side knows of them.
sites: weakref.WeakValueDictionary[int, EventReceiver] = weakref.WeakValueDictionary()
carriers: weakref.WeakValueDictionary[int, Carrier] = weakref.WeakValueDictionary()


class Bridge:
    """The queue of one event loop, and the calls that wait for something out of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.process = os.getpid()
        self.queue = _native.Queue()
        self._create_future = loop.create_future
        self._pending: dict[int, asyncio.Future[Any]] = {}
        loop.add_reader(self.queue.fileno(), self._drain)

    async def call(self, start: Callable[..., int], *args: Any) -> Any:
        """Start a native call and wait for its result; cancelling the wait cancels the call."""
        level = logger.getEffectiveLevel()
        if level != _log_level[0]:
            _log_level[0] = level
            _native.set_log_level(level)
        token = new_id()
        future = self._create_future()
        self._pending[token] = future
        try:
            operation = start(self.queue, token, *args)
            try:
                return await future
            except BaseException:
                if not future.done() or future.cancelled():
                    _native.cancel(operation)
                raise
        finally:
            del self._pending[token]

    def _drain(self) -> None:
        for item in self.queue.take():
            kind = item[0]
            if kind == _DONE:
                _, token, (value, error) = item
                future = self._pending.get(token)
                if future is None or future.done():
                    continue  # cancelled in the meantime
                if error is None:
                    future.set_result(value)
                else:
                    future.set_exception(error)
            elif kind == _EVENT:
                if (site := sites.get(item[1])) is not None:
                    site._on_event(*item[2:])  # pyright: ignore[reportPrivateUsage]
            elif kind == _LOG:
                logger.log(item[1], "%s", item[2])
            elif kind == _STATE:
                if (site := sites.get(item[1])) is not None:
                    site._on_state_change(item[2])  # pyright: ignore[reportPrivateUsage]
            elif (carrier := carriers.get(item[1])) is not None:
                if kind == _HTTP_BEGIN:
                    carrier.begin(*item[2:])
                elif kind == _HTTP_RESUME:
                    carrier.resume(item[2])
                elif kind == _HTTP_ABORT:
                    carrier.abort(item[2])


_log_level = [logging.WARNING]
_bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Bridge] = weakref.WeakKeyDictionary()


def current() -> Bridge:
    """The bridge of the running loop.

    Raises:
        RuntimeError: No loop is running in this thread.
    """
    from asyncio import get_running_loop

    loop = get_running_loop()
    bridge = _bridges.get(loop)
    # A forked child has its parent's memory, but the other end of the parent's queue is not here.
    if bridge is None or bridge.process != os.getpid():
        bridge = _bridges[loop] = Bridge(loop)
    return bridge
