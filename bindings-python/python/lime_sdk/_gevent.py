"""Between gevent and the native library: a greenlet that waits for a call lets the others run.

gevent's own pool of threads would not do: it has ten, which as many waits for a human would use up, for the name
system too, and a call in it cannot be given up.
"""

from __future__ import annotations

import os
import weakref

from gevent import get_hub
from gevent.event import Event
from gevent.select import select

from lime_sdk import _bridge, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# First member of the tuples that Queue.take gives, see lime_sdk._bridge.
_DONE, _LOG = 0, 6
# Seconds between two reports of a call that tells how it goes.
_TICK = 0.1


class _Call:
    """A call that a greenlet waits for: its value and its error, once it has them."""

    def __init__(self) -> None:
        self.outcome: tuple[Any, Exception | None] | None = None
        self.stirred = Event()


class HubBridge:
    """The queue of one hub, which is one thread, and the calls that wait for something out of it.

    No greenlet of its own reads the queue: one of those that wait does so for all. So nothing goes on when nobody
    waits, and log records are written by greenlets of the program.
    """

    def __init__(self) -> None:
        self.process = os.getpid()
        self._queue = _native.Queue()
        self._calls: dict[int, _Call] = {}
        # Those that wait for another one to read, by their tokens. (Others write records, or tell how it goes.)
        self._at_rest: dict[int, _Call] = {}
        self._is_read = False

    def call(self, start: Callable[..., int], *args: Any, report: Callable[[], None] | None = None) -> Any:
        """Start a native call and wait for its result; what is thrown into the greenlet cancels the call.

        ``report`` is called ten times a second meanwhile; what it raises cancels the call too.
        """
        token = _bridge.new_id()
        call = self._calls[token] = _Call()
        operation = None
        try:
            operation = start(self._queue, token, *args)
            while call.outcome is None:
                timeout = None if report is None else _TICK
                if not self._is_read:
                    self._read(timeout)
                elif not self._rest(token, call, timeout):
                    continue
                if report is not None and call.outcome is None:
                    report()
            value, error = call.outcome
        except BaseException:
            if operation is not None and call.outcome is None:
                _native.cancel(operation)
            raise
        finally:
            del self._calls[token]
            self._stir_another()
        if error is None:
            return value
        try:
            raise error
        finally:
            del error, call  # or the error would hold this frame, which holds the error

    def _rest(self, token: int, call: _Call, timeout: float | None) -> bool:
        """Wait while another one reads; false if that has ended, and this one must read first of all."""
        self._at_rest[token] = call
        try:
            call.stirred.wait(timeout)
            self._stay_with_the_parent()
        finally:
            del self._at_rest[token]
        call.stirred.clear()
        return self._is_read

    def _read(self, timeout: float | None) -> None:
        """Wait until something is in the queue, or the time is up, and hand on what there is."""
        self._is_read = True
        try:
            ready, _, _ = select([self._queue.fileno()], [], [], timeout)
            self._stay_with_the_parent()
            items = self._queue.take() if ready else []
        finally:
            self._is_read = False
        records = []
        for item in items:
            if item[0] == _DONE and (call := self._calls.get(item[1])) is not None:
                call.outcome = item[2]
                call.stirred.set()
            elif item[0] == _LOG:
                records.append(item[1:])
        # Before the host's log handlers are called, which may take their time or make calls of their own.
        self._stir_another()
        if records:
            _bridge.write_records(records)

    def _stir_another(self) -> None:
        """Let one that waits read in the place of the greenlet that did."""
        if not self._is_read and self._at_rest:
            next(iter(self._at_rest.values())).stirred.set()

    def _stay_with_the_parent(self) -> None:
        # A forked child has all greenlets of its parent, unlike threads. What they wait for is the parent's.
        if self.process != os.getpid():
            get_hub().switch()


# Not by thread: what gevent has patched tells greenlets apart where it should tell threads.
_bridges: weakref.WeakKeyDictionary[Any, HubBridge] = weakref.WeakKeyDictionary()


def current() -> HubBridge:
    """The bridge of this thread's hub."""
    hub = get_hub()
    bridge = _bridges.get(hub)
    # A forked child has its parent's memory, but the other end of the parent's queue is not here.
    if bridge is None or bridge.process != os.getpid():
        bridge = _bridges[hub] = HubBridge()
    return bridge
