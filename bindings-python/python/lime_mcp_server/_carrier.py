"""A program's own ``httpx.Client`` as the way that the keys take."""

from __future__ import annotations

import select
from collections import deque

from lime_sdk import _bridge, _http, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import httpx

# First member of the tuples that Queue.take gives, see lime_sdk._bridge.
_DONE, _HTTP_BEGIN, _HTTP_RESUME, _HTTP_ABORT, _LOG = 0, 3, 4, 5, 6


class SyncCarrier:
    """Makes native calls whose requests the calling thread carries through an injected client."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.native = _native.HostTransport(_bridge.new_id())

    def call(self, start: Callable[..., int], *args: Any) -> Any:
        """Start a native call and work for it until its result is there."""
        _bridge.set_log_level()
        queue, token = _native.Queue(), _bridge.new_id()
        inbox = _Inbox(queue)
        operation = start(queue, token, *args)
        try:
            while True:
                item = inbox.next()
                if item[0] == _DONE and item[1] == token:
                    value, error = item[2]
                    if error is not None:
                        raise error
                    return value
                if item[0] == _HTTP_BEGIN:
                    _, _, exchange, _, method, url, headers, *_ = item
                    self._carry(inbox, exchange, method, url, headers)
        except BaseException:
            _native.cancel(operation)
            raise

    def _carry(
        self, inbox: _Inbox, exchange: int, method: str, url: str, headers: list[tuple[bytes, bytes]]
    ) -> None:
        native = self.native
        try:
            stream = self._client.stream(method, url, headers=headers, follow_redirects=False)
            with stream as response:
                native.head(exchange, response.status_code, response.headers.raw)
                # Piece by piece: the library reads no more than an answer may have.
                for chunk in response.iter_bytes():
                    wants_more = native.chunk(exchange, chunk)
                    if inbox.is_over(exchange, wait=not wants_more):
                        return
                native.end(exchange)
        except Exception as error:
            native.fail(exchange, _http.describe(error), _http.reach(error), _http.timed_out(error))
        except BaseException:
            native.fail(exchange, "The request was cancelled", "maybe_sent", False)
            raise


class _Inbox:
    """What the library has put into a queue, in order; its log records are written on the way."""

    def __init__(self, queue: _native.Queue) -> None:
        self._queue = queue
        self._poll = select.poll()
        self._poll.register(queue.fileno(), select.POLLIN)
        self._items: deque[Any] = deque()

    def next(self) -> Any:
        """The next of it, waited for."""
        while not self._items:
            self._fill(wait=True)
        return self._items.popleft()

    def is_over(self, exchange: int, *, wait: bool) -> bool:
        """Whether the library does not want the rest of an answer; with ``wait``, once it says what it wants."""
        self._fill(wait=False)
        while True:
            for item in list(self._items):
                if item[0] == _DONE:
                    return True
                if item[0] in (_HTTP_RESUME, _HTTP_ABORT) and item[2] == exchange:
                    self._items.remove(item)
                    if item[0] == _HTTP_ABORT:
                        return True
                    wait = False
            if not wait:
                return False
            self._fill(wait=True)

    def _fill(self, *, wait: bool) -> None:
        if not self._poll.poll(None if wait else 0):
            return
        for item in self._queue.take():
            if item[0] == _LOG:
                _bridge.logger().log(item[1], "%s", item[2])
            else:
                self._items.append(item)
