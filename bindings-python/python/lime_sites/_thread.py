"""The thread that the handlers of a blocking site run on."""

from __future__ import annotations

import atexit
import contextvars
import os
import select
import threading
import weakref
from collections import deque

from lime_sdk import _bridge, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # Calls a handler with arguments, unless it is too late for that.
    Call = Callable[..., None]

# First member of the tuples that Queue.take gives; bindings-python/src/queue.rs has the same numbers.
_EVENTS, _STATE, _LOG, _GAP = 1, 2, 6, 7

_threads: weakref.WeakSet[HandlerThread] = weakref.WeakSet()


def _leave_the_library() -> None:
    """Let no thread of this process be inside the native library when the interpreter ends.

    CPython before 3.14 ends a daemon thread where it next asks for the interpreter, by unwinding its stack. The
    native library's frames cannot be unwound so: the process would be aborted.
    """
    for thread in list(_threads):
        thread.leave_the_library()


# Before what was registered earlier, so the last ones of those find that no handler runs any more.
atexit.register(_leave_the_library)


class HandlerThread:
    """Takes what a site's queue brings and hands it on, one thing at a time.

    It waits in ``select``, not in the native library, and is a daemon: whatever it is busy with, the
    interpreter can end. It holds its site until the site is closed. It is one process's; a forked child
    makes another one.
    """

    def __init__(
        self,
        name: str,
        context: contextvars.Context,
        on_event: Callable[[Call, str, str | None], None],
        on_state: Callable[[Call, int, tuple[Any, ...]], None],
        on_gap: Callable[[Call, int, list[str]], None],
    ) -> None:
        """Make the queue; the handlers will run in a copy of the context.

        Args:
            name: The thread's name.
            context: The context.
            on_event: Called with each event; what it is given first calls a handler.
            on_state: Called with each change of the stream's state, and the number it was watched by.
            on_gap: Called with the login requests whose events are lost, and the number they were watched by.
        """
        self.process = os.getpid()
        self.queue = _native.Queue()
        self._name = name
        self._context = context
        self._on_event = on_event
        self._on_state = on_state
        self._on_gap = on_gap
        self._ended = False
        self._running = threading.Lock()
        # These are this process's, too: a fork leaves none of them held for ever.
        self._starting = threading.Lock()
        self._serving = threading.Lock()
        self._taking = threading.Lock()
        _threads.add(self)
        self._thread: threading.Thread | None = None
        self._begun = False

    def start(self, begin: Callable[[_native.Queue], None]) -> None:
        """See to it that the thread runs and that ``begin`` was called, once, with the queue.

        What was interrupted, has failed or has ended before its time is made up for by the next call.

        Args:
            begin: Starts what fills the queue.

        Raises:
            RuntimeError: The system or the ending interpreter gives no more threads.
        """
        if self._begun and self._is_there:
            return
        with self._starting:
            if not self._ended and not self._is_there:
                run = self._context.copy().run
                self._thread = threading.Thread(target=run, args=(self._run,), name=self._name, daemon=True)
                self._thread.start()
            if not self._begun:
                begin(self.queue)
                self._begun = True

    @property
    def _is_there(self) -> bool:
        return self._serving.locked() or (self._thread is not None and self._thread.is_alive())

    def end(self) -> None:
        """Let no handler begin any more, and wait for the one that runs, unless that is the caller.

        It does not wait for a log record to be written: the caller may hold the lock that a log handler
        of the host's waits for.
        """
        self.let_none_begin()
        if self._thread is not threading.current_thread():
            with self._running:
                pass

    def let_none_begin(self) -> None:
        """Let no handler begin any more, without waiting for the one that runs."""
        self._ended = True
        self.queue.wake()

    def leave_the_library(self) -> None:
        """Let no handler begin any more, and wait until the native library has been left for good."""
        if self.process == os.getpid():
            self._ended = True
            # It is held for moments only; a second is for a machine that has no time for us.
            if self._taking.acquire(timeout=1):
                self._taking.release()

    def _call(self, handler: Callable[..., object], *args: object) -> None:
        with self._running:
            if self._goes_on:
                handler(*args)

    @property
    def _goes_on(self) -> bool:
        # A handler may have forked, and returned in the child.
        return not self._ended and self.process == os.getpid()

    def _run(self) -> None:
        # One whose start was interrupted may run all the same: events must not be handled by two at once.
        if not self._serving.acquire(blocking=False):
            return
        try:
            self._serve()
        finally:
            self._serving.release()

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self.queue.fileno(), select.POLLIN)
        # The queue stays alive as long as it is watched, however that ends.
        while self._goes_on:
            poll.poll()
            # One after the other out of here: each gives its place in the queue back when it is done.
            with self._taking:
                if not self._goes_on:
                    return
                items = deque(self.queue.take())
            while items and self._goes_on:
                self._hand_on(items.popleft())

    def _hand_on(self, item: tuple[Any, ...]) -> None:
        if item[0] == _EVENTS:
            for request_id, passport in item[2]:
                self._guarded(self._on_event, self._call, request_id, passport)
                if not self._goes_on:
                    return
        elif item[0] == _STATE:
            self._guarded(self._on_state, self._call, item[1], item[2])
        elif item[0] == _GAP:
            self._guarded(self._on_gap, self._call, item[1], item[2])
        elif item[0] == _LOG:
            self._guarded(_bridge.write_records, [item[1:]])

    def _guarded(self, work: Callable[..., None], *args: Any) -> None:
        try:
            work(*args)
        except BaseException as error:
            # A logging filter of the host's, say: it must not cost what comes after it.
            thread = threading.current_thread()
            threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))
