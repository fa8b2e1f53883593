"""A program's own ``httpx.Client`` as the way that the keys take."""

from __future__ import annotations

import select

from lime_sdk import _bridge, _http, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import httpx

# First member of the tuples that Queue.take gives, see lime_sdk._bridge.
_DONE, _HTTP_BEGIN, _LOG = 0, 3, 6


class SyncCarrier:
    """Makes native calls whose requests the calling thread carries through an injected client."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.native = _native.HostTransport(_bridge.new_id())

    def call(self, start: Callable[..., int], *args: Any) -> Any:
        """Start a native call and work for it until its result is there."""
        _bridge.set_log_level()
        queue, token = _native.Queue(), _bridge.new_id()
        poll = select.poll()
        poll.register(queue.fileno(), select.POLLIN)
        operation = start(queue, token, *args)
        try:
            while True:
                poll.poll()
                for item in queue.take():
                    if item[0] == _DONE and item[1] == token:
                        value, error = item[2]
                        if error is not None:
                            raise error
                        return value
                    if item[0] == _HTTP_BEGIN:
                        _, _, exchange, _, method, url, headers, *_ = item
                        self._carry(exchange, method, url, headers)
                    elif item[0] == _LOG:
                        _bridge.logger().log(item[1], "%s", item[2])
        except BaseException:
            _native.cancel(operation)
            raise

    def _carry(self, exchange: int, method: str, url: str, headers: list[tuple[bytes, bytes]]) -> None:
        native = self.native
        try:
            response = self._client.request(method, url, headers=headers, follow_redirects=False)
        except Exception as error:
            native.fail(exchange, _http.describe(error), _http.reach(error), _http.timed_out(error))
        except BaseException:
            native.fail(exchange, "The request was cancelled", "maybe_sent", False)
            raise
        else:
            native.head(exchange, response.status_code, response.headers.raw)
            native.chunk(exchange, response.content)
            native.end(exchange)
