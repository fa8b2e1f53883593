"""The host's own ``httpx.AsyncClient`` as the way that every request takes."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from lime_sdk import _bridge, _native

if TYPE_CHECKING:
    import httpx

_TOKEN_HEADERS = (b"x-site-token", b"x-agent-token")
# Ours to state: the rest of the headers is the injected client's.
_EVENT_STREAM_SILENCE = 310.0
_EVENT_STREAM_CONNECT = 30.0


class HttpxTransport:
    """Carries the library's requests through an injected client, which stays its owner's to close."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.id = _bridge.new_id()
        self.native = _native.HostTransport(self.id)
        self._client = client
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._paused: dict[int, asyncio.Future[None]] = {}
        self._failures: deque[Exception] = deque(maxlen=16)
        _bridge.carriers[self.id] = self

    def begin(
        self,
        exchange: int,
        method: str,
        url: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        stream: bool,
    ) -> None:
        """Begin to carry a request; called by the bridge on its loop."""
        loop = asyncio.get_running_loop()
        work = self._carry(exchange, method, url, headers, body, stream)
        self._tasks[exchange] = loop.create_task(work, name=f"lime-http-{exchange}")

    def resume(self, exchange: int) -> None:
        """The library has room for more of the body."""
        paused = self._paused.pop(exchange, None)
        if paused is not None and not paused.done():
            paused.set_result(None)

    def abort(self, exchange: int) -> None:
        """The library has given this request up."""
        task = self._tasks.get(exchange)
        if task is not None:
            task.cancel()

    def cause_of(self, message: str) -> Exception | None:
        """The client's own exception behind one of ours, found by its text."""
        return next((failure for failure in self._failures if _describe(failure) == message), None)

    async def _carry(
        self,
        exchange: int,
        method: str,
        url: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        stream: bool,
    ) -> None:
        native = self.native
        try:
            request = self._request(method, url, headers, body, stream)
            # A redirect would take the token along to wherever it points.
            response = await self._client.send(request, stream=True, follow_redirects=False)
            try:
                native.head(exchange, response.status_code, response.headers.raw)
                async for chunk in response.aiter_bytes():
                    if not native.chunk(exchange, chunk):
                        paused = asyncio.get_running_loop().create_future()
                        self._paused[exchange] = paused
                        await paused
                native.end(exchange)
            finally:
                await response.aclose()
        except Exception as error:
            self._failures.append(error)
            native.fail(exchange, _describe(error), _may_have_left(error), _timed_out(error))
        except BaseException:
            native.fail(exchange, "The request was cancelled", True, False)
            raise
        finally:
            self._tasks.pop(exchange, None)
            self._paused.pop(exchange, None)

    def _request(
        self, method: str, url: str, headers: list[tuple[bytes, bytes]], body: bytes, stream: bool
    ) -> httpx.Request:
        import httpx

        options: dict[str, Any] = {}
        if stream:
            options["timeout"] = httpx.Timeout(_EVENT_STREAM_CONNECT, read=_EVENT_STREAM_SILENCE)
        content = body if method == "POST" else None
        request = self._client.build_request(method, url, headers=headers, content=content, **options)
        # Public endpoints see no token, not even one among the client's own default headers.
        named = {name.lower() for name, _ in headers}
        for header in _TOKEN_HEADERS:
            if header not in named:
                request.headers.pop(header.decode(), None)
        return request


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__


def _may_have_left(error: Exception) -> bool:
    import httpx

    before = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
    return not isinstance(error, (*before, httpx.UnsupportedProtocol, httpx.InvalidURL))


def _timed_out(error: Exception) -> bool:
    import httpx

    return isinstance(error, httpx.TimeoutException)
