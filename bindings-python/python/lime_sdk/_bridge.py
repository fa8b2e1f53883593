"""Between an event loop and the native library: one queue for each loop, one wake-up for many results.

asyncio is imported when a client is used, not before: it costs more than all the rest.
"""

from __future__ import annotations

import contextvars
import os
import weakref

from lime_sdk import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    class EventReceiver(Protocol):
        """A site, as its loop's bridge sees it."""

        def _on_events(self, batch: _native.EventBatch) -> None: ...
        def _on_state_change(
            self, number: int, status: tuple[str, Exception | None, int, int, int]
        ) -> None: ...
        def _on_gap(self, request_ids: list[str]) -> None: ...

    class Carrier(Protocol):
        """A host transport, as its loop's bridge sees it."""

        def begin(
            self,
            context: contextvars.Context | None,
            exchange: int,
            method: str,
            url: str,
            headers: list[tuple[bytes, bytes]],
            body: bytes,
            stream: bool,
            limit: float | None,
        ) -> None: ...
        def resume(self, exchange: int) -> None: ...
        def abort(self, exchange: int) -> None: ...


def logger() -> logging.Logger:
    """The logger ``lime``. Looked up when it is used: logging is a large part of what an import costs."""
    import logging

    return logging.getLogger("lime")


# First member of the tuples that Queue.take gives; bindings-python/src/queue.rs has the same numbers.
_DONE, _EVENTS, _STATE, _HTTP_BEGIN, _HTTP_RESUME, _HTTP_ABORT, _LOG, _GAP = range(8)

# The native one: itertools.count gives a number twice to two threads of a free-threaded 3.13.
new_id = _native.new_id


# By its number, which is all that the native side knows of it.
carriers: weakref.WeakValueDictionary[int, Carrier] = weakref.WeakValueDictionary()


class Bridge:
    """The queue of one event loop, the calls that wait for something out of it, and the loop's sites.

    It lives as long as the loop watches its descriptor: nothing else holds it, so that a closed loop
    takes everything along.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.process = os.getpid()
        self.queue = _native.Queue()
        self._loop = loop
        self._logger = logger()
        self._pending: dict[int, asyncio.Future[Any]] = {}
        # The contexts that injected clients' requests run in, by the number of the call.
        self._contexts: dict[int, contextvars.Context] = {}
        # A site works until it is closed, also when the program keeps no hold on it.
        self._sites: dict[int, EventReceiver] = {}
        # The same by the numbers that their states are watched with.
        self._watches: dict[int, EventReceiver] = {}
        natives: dict[int, _native.Site] = {}
        self._natives = natives
        # A site that outlives its loop must not go on taking events that nobody handles.
        weakref.finalize(self, _close_all, natives).atexit = False
        # What the loop runs for us has no caller; it must not have the first one's context either.
        contextvars.Context().run(loop.add_reader, self.queue.fileno(), self._drain)

    def add_site(self, number: int, site: EventReceiver, native: _native.Site) -> None:
        """Deliver a site's events to it from now on."""
        self._sites[number] = site
        self._natives[number] = native

    def add_watch(self, number: int, site: EventReceiver) -> None:
        """Deliver the states that are watched with this number to a site from now on."""
        self._watches[number] = site

    def remove_site(self, number: int, watches: Iterable[int]) -> None:
        """Forget a site that was closed, and what it has watched."""
        self._sites.pop(number, None)
        self._natives.pop(number, None)
        for watch in watches:
            self._watches.pop(watch, None)

    async def call(
        self,
        keep_context: bool,
        report: Callable[[], None] | None,
        start: Callable[..., int],
        *args: Any,
    ) -> Any:
        """Start a native call and wait for its result; cancelling the wait cancels the call.

        ``report`` is called ten times a second meanwhile; what it raises cancels the call too.
        """
        set_log_level(self._logger)
        token = new_id()
        future = self._loop.create_future()
        self._pending[token] = future
        operation = None
        try:
            operation = start(self.queue, token, *args)
            if keep_context:
                self._contexts[operation] = contextvars.copy_context()
            try:
                if report is not None:
                    await _reporting(future, report)
                return await future
            except BaseException:
                if not future.done() or future.cancelled():
                    _native.cancel(operation)
                raise
        finally:
            del self._pending[token]
            if operation is not None:
                self._contexts.pop(operation, None)

    def _drain(self) -> None:
        for item in self.queue.take():
            try:
                self._handle(item)
            except Exception as error:
                # A logging filter of the host's, say: it must not cost the items behind it.
                context = {"message": "Exception while handling a result of lime", "exception": error}
                self._loop.call_exception_handler(context)

    def _handle(self, item: tuple[Any, ...]) -> None:
        kind = item[0]
        if kind == _DONE:
            _, token, (value, error) = item
            future = self._pending.get(token)
            if future is None or future.done():
                return  # cancelled in the meantime
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
        elif kind == _EVENTS:
            if (site := self._sites.get(item[1])) is not None:
                site._on_events(item[2])  # pyright: ignore[reportPrivateUsage]
        elif kind == _LOG:
            self._logger.log(item[1], "%s", item[2])
        elif kind == _STATE:
            if (site := self._watches.get(item[1])) is not None:
                site._on_state_change(item[1], item[2])  # pyright: ignore[reportPrivateUsage]
        elif kind == _GAP:
            if (site := self._sites.get(item[1])) is not None:
                site._on_gap(item[2])  # pyright: ignore[reportPrivateUsage]
        elif (carrier := carriers.get(item[1])) is not None:
            if kind == _HTTP_BEGIN:
                _, _, exchange, operation, *request = item
                carrier.begin(self._contexts.get(operation), exchange, *request)
            elif kind == _HTTP_RESUME:
                carrier.resume(item[2])
            elif kind == _HTTP_ABORT:
                carrier.abort(item[2])


async def _reporting(future: asyncio.Future[Any], report: Callable[[], None]) -> None:
    import asyncio

    # Not wait_for, which would cancel the future that it waits for.
    while not (await asyncio.wait((future,), timeout=0.1))[0]:
        report()


def _close_all(natives: dict[int, _native.Site]) -> None:
    for native in natives.values():
        native.close()


def set_log_level(lime: logging.Logger | None = None) -> None:
    """Tell the native side which records are wanted; it makes no others."""
    level = (lime or logger()).getEffectiveLevel()
    if level != _log_level[0]:
        _log_level[0] = level
        _native.set_log_level(level)


def write_records(records: list[tuple[int, str]]) -> None:
    """Write what has come up while a thread waited for a blocking call; called on that thread."""
    lime = logger()
    for level, message in records:
        lime.log(level, "%s", message)


_log_level = [30]  # as the native side begins: WARNING
# Weak on both sides: see Bridge.
_bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Bridge]] = (
    weakref.WeakKeyDictionary()
)


def current() -> Bridge:
    """The bridge of the running loop.

    Raises:
        RuntimeError: No loop is running in this thread.
    """
    from asyncio import get_running_loop

    loop = get_running_loop()
    held = _bridges.get(loop)
    bridge = held() if held is not None else None
    # A forked child has its parent's memory, but the other end of the parent's queue is not here.
    if bridge is None or bridge.process != os.getpid():
        bridge = Bridge(loop)
        _bridges[loop] = weakref.ref(bridge)
    return bridge
