"""A program's own ``httpx.Client`` as the way that the keys take."""

from __future__ import annotations

import os
import select
import threading
from collections import deque

from lime_sdk import _bridge, _http, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import httpx

# First member of the tuples that Queue.take gives, see lime_sdk._bridge.
_DONE, _HTTP_BEGIN, _HTTP_RESUME, _HTTP_ABORT, _LOG = 0, 3, 4, 5, 6
# Seconds in which the library, which has got one document, asks for another one if it wants that.
_NEXT = 0.1


class SyncCarrier:
    """Makes native calls whose requests go through an injected client, on the threads that make the calls.

    The library fetches keys for all who wait for them, so a request is no particular call's: one of the threads that
    are here carries it to its end, also when its own call was answered with old keys in the meantime.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.native = _native.HostTransport(_bridge.new_id())
        self._desks: dict[int, _Desk] = {}

    def call(self, start: Callable[..., int], *args: Any) -> Any:
        """Start a native call and work for the library until its result is there."""
        _bridge.set_log_level()
        # A forked child has a copy of its parent's: the queue is not the child's, and a lock may be held for ever.
        process = os.getpid()
        desk = self._desks.get(process) or self._desks.setdefault(process, _Desk())
        token = _bridge.new_id()
        operation = None
        desk.come(token)
        try:
            operation = start(desk.queue, token, *args)
            patience = 0.0
            while (request := desk.next(token, patience)) is not None:
                patience = _NEXT if self._carry(desk, token, *request) else 0.0
            value, error = desk.outcome(token)
        except BaseException:
            if operation is not None:
                _native.cancel(operation)
            raise
        finally:
            desk.leave(token)
        if error is not None:
            raise error
        return value

    def _carry(
        self,
        desk: _Desk,
        token: int,
        exchange: int,
        method: str,
        url: str,
        headers: list[tuple[bytes, bytes]],
    ) -> bool:
        """Carry a request; whether it has succeeded for others only, who may want another one next."""
        native = self.native
        try:
            stream = self._client.stream(method, url, headers=headers, follow_redirects=False)
            with stream as response:
                native.head(exchange, response.status_code, response.headers.raw)
                # Piece by piece: the library reads no more than an answer may have.
                for chunk in response.iter_bytes():
                    wants_more = native.chunk(exchange, chunk)
                    if desk.is_over(exchange, wait=not wants_more):
                        return False
                # Looked at before the end, which may be what our own call waits for.
                for_others = desk.is_done(token)
                native.end(exchange)
                return for_others
        except Exception as error:
            native.fail(exchange, _http.describe(error), _http.reach(error), _http.timed_out(error))
            return False
        except BaseException:
            native.fail(exchange, "The request was cancelled", "maybe_sent", False)
            raise
        finally:
            desk.put_down(exchange)


class _Desk:
    """What the library says to the threads of a process: one that waits listens for all who are here.

    It is there for good. A request that comes when everybody has left waits for the next one: were it refused, the
    library would not try again for a while, in which new keys stay unknown.
    """

    def __init__(self) -> None:
        self.queue = _native.Queue()
        self._poll = select.poll()
        self._poll.register(self.queue.fileno(), select.POLLIN)
        self._changed = threading.Condition()
        self._is_listening = False
        # How many wait for their calls' outcomes, and carry nothing.
        self._waiting = 0
        self._outcomes: dict[int, tuple[Any, BaseException | None] | None] = {}
        self._requests: deque[tuple[int, str, str, list[tuple[bytes, bytes]]]] = deque()
        # By the requests that are being carried, what the library has said of each since that was asked last.
        self._carried: dict[int, int | None] = {}
        self._records: list[tuple[int, str]] = []

    def come(self, token: int) -> None:
        """Begin to keep what comes for a call."""
        with self._changed:
            self._outcomes[token] = None

    def leave(self, token: int) -> None:
        """Forget a call."""
        with self._changed:
            del self._outcomes[token]

    def outcome(self, token: int) -> tuple[Any, BaseException | None]:
        """Value and error of a call that is done."""
        outcome = self._outcomes[token]
        assert outcome is not None
        return outcome

    def is_done(self, token: int) -> bool:
        """Whether a call is, as far as can be told without waiting."""
        with self._changed:
            self._look()
            return self._outcomes[token] is not None

    def next(self, token: int, patience: float) -> tuple[int, str, str, list[tuple[bytes, bytes]]] | None:
        """A request for this thread to carry, waited for; ``None`` when its call is done and no request left to it.

        With ``patience`` (in seconds) a thread whose call is done waits so long for a request that only it could carry.
        """
        while True:
            self._write_records()
            with self._changed:
                self._look()
                is_done = self._outcomes[token] is not None
                # Who is done leaves the requests to those who have to wait anyway, if there is anybody.
                if self._requests and not (is_done and self._waiting):
                    request = self._requests.popleft()
                    self._carried[request[0]] = None
                    return request
                if is_done and (self._waiting or not patience):
                    return None
                if is_done:
                    self._listen(patience)
                    patience = 0.0
                else:
                    self._waiting += 1
                    try:
                        self._listen(None)
                    finally:
                        self._waiting -= 1

    def is_over(self, exchange: int, *, wait: bool) -> bool:
        """Whether the library does not want the rest of an answer; with ``wait``, once it says what it wants."""
        with self._changed:
            self._look()
            while wait and self._carried[exchange] is None:
                self._listen(None)
            said, self._carried[exchange] = self._carried[exchange], None
            return said == _HTTP_ABORT

    def put_down(self, exchange: int) -> None:
        """Forget a request that was carried."""
        with self._changed:
            del self._carried[exchange]

    def _listen(self, timeout: float | None) -> None:
        """Wait until something has changed, or the time is up. With the lock, which others can have meanwhile."""
        if self._is_listening:
            self._changed.wait(timeout)
            return
        self._is_listening = True
        self._changed.release()
        try:
            self._poll.poll(None if timeout is None else timeout * 1000)
        finally:
            self._changed.acquire()
            self._is_listening = False
            # Also when this one was interrupted: another one must listen.
            self._changed.notify_all()
        self._look()

    def _look(self) -> None:
        """Sort what there is. With the lock."""
        # Else whoever listens would not wake up, though there may be something for it.
        if self._is_listening:
            return
        for item in self.queue.take():
            kind = item[0]
            if kind == _LOG:
                self._records.append(item[1:])
            elif kind == _DONE:
                if item[1] in self._outcomes:
                    self._outcomes[item[1]] = item[2]
            elif kind == _HTTP_BEGIN:
                _, _, exchange, _, method, url, headers, *_ = item
                self._requests.append((exchange, method, url, headers))
            elif item[2] in self._carried:
                self._carried[item[2]] = kind
            elif kind == _HTTP_ABORT:
                self._requests = deque(request for request in self._requests if request[0] != item[2])
            self._changed.notify_all()

    def _write_records(self) -> None:
        """Write the library's log records. Without the lock: the program's handlers may make calls of their own."""
        with self._changed:
            records, self._records = self._records, []
        _bridge.write_records(records)
