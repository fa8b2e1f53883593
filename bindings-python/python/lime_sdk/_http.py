"""The host's own ``httpx.AsyncClient`` as the way that every request takes."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from typing import TYPE_CHECKING, Any

from lime_sdk import _bridge, _native

if TYPE_CHECKING:
    import httpx

_TOKEN_HEADERS = (b"x-site-token", b"x-agent-token")
# What the client raised last for the call that this context belongs to.
_last_failure: contextvars.ContextVar[list[Exception] | None] = contextvars.ContextVar(
    "lime_http_last_failure", default=None
)
# Errors that stand for the client's own.
_OF_TRANSPORT = ("transport", "transport_timeout", "outcome_unknown")
# Ours to state: the rest of the headers is the injected client's.
_EVENT_STREAM_SILENCE = 310.0
_EVENT_STREAM_CONNECT = 30.0
# Pieces of a body after which the event loop has a turn.
_TURN = 16


class HttpxTransport:
    """Carries the library's requests through an injected client, which stays its owner's to close."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.id = _bridge.new_id()
        self.native = _native.HostTransport(self.id)
        # Where requests run that no call of the program asked for: the event stream, signing keys.
        self._context = contextvars.copy_context()
        self._client = client
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._streams: set[int] = set()
        self._paused: dict[int, asyncio.Future[None]] = {}
        self._failures: deque[Exception] = deque(maxlen=16)
        _bridge.carriers[self.id] = self

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
    ) -> None:
        """Begin to carry a request in the context of the call that it is for; called by the bridge."""
        loop = asyncio.get_running_loop()
        work = self._carry(exchange, method, url, headers, body, stream, limit)
        # A task copies the context that it is made in; its own argument for that is not in 3.10.
        run = (self._context if context is None else context).copy().run
        task = run(loop.create_task, work, name=f"lime-http-{exchange}")
        self._tasks[exchange] = task
        if stream:
            self._streams.add(exchange)
        # Also when it was cancelled before its first step.
        task.add_done_callback(lambda _: self._forget(exchange))

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

    async def close_streams(self) -> None:
        """End the event stream's request and wait until the client has let go of it."""
        tasks = [self._tasks[exchange] for exchange in self._streams if exchange in self._tasks]
        loop = asyncio.get_running_loop()
        tasks = [task for task in tasks if task.get_loop() is loop and task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    @staticmethod
    def watch(last: list[Exception] | None) -> list[Exception] | None:
        """Note in this list what the client raises for the calls of this context; give the one before it."""
        before = _last_failure.get()
        # No token to be reset: a coroutine that is thrown away ends in whatever context that happens in.
        _last_failure.set(last)
        return before

    def cause_of(self, error: Exception, last: list[Exception]) -> Exception | None:
        """The client's own exception behind one of ours."""
        if getattr(error, "kind", None) not in _OF_TRANSPORT:
            return None
        if last:
            return last[0]
        # Signing keys are fetched for all who wait for them, in nobody's context.
        return next((failure for failure in self._failures if describe(failure) == str(error)), None)

    def _forget(self, exchange: int) -> None:
        self._tasks.pop(exchange, None)
        self._paused.pop(exchange, None)
        self._streams.discard(exchange)

    async def _carry(
        self,
        exchange: int,
        method: str,
        url: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        stream: bool,
        limit: float | None,
    ) -> None:
        native = self.native
        try:
            content = body if method == "POST" else None
            # Public endpoints see no token, not even one among the client's own default headers.
            named = {name.lower() for name, _ in headers}
            absent = [name.decode() for name in _TOKEN_HEADERS if name not in named]
            timeout = self._timeout(stream, limit)
            try:
                request = self._client.build_request(method, url, headers=headers, content=content, **timeout)
            finally:
                # Whoever reports an error with the variables of its frames must find no secret in ours.
                del headers, body, content
            for name in absent:
                request.headers.pop(name, None)
            # A redirect would take the token along to wherever it points.
            sending = self._client.send(request, stream=True, follow_redirects=False)
            del request
            response = await sending
            try:
                native.head(exchange, response.status_code, response.headers.raw)
                pieces = 0
                async for chunk in response.aiter_bytes():
                    wants_more = native.chunk(exchange, chunk)
                    del chunk  # a passport may be in it
                    pieces += 1
                    if not wants_more:
                        # Before the loop has any other turn: it may be the one that has us go on.
                        paused = asyncio.get_running_loop().create_future()
                        self._paused[exchange] = paused
                        await paused
                    elif pieces % _TURN == 0:
                        # A body that always has more at hand would leave the loop no turn, not even one to abort it in.
                        await asyncio.sleep(0)
                native.end(exchange)
            finally:
                await response.aclose()
        except Exception as error:
            if (last := _last_failure.get()) is None:
                self._failures.append(error)
            else:
                last[:] = [error]
            native.fail(exchange, describe(error), reach(error), timed_out(error))
        except BaseException:
            native.fail(exchange, "The request was cancelled", "maybe_sent", False)
            raise

    def _timeout(self, stream: bool, limit: float | None) -> dict[str, Any]:
        """The argument that states a request's own time limits, where it has any."""
        import httpx

        if stream:
            return {"timeout": httpx.Timeout(_EVENT_STREAM_CONNECT, read=_EVENT_STREAM_SILENCE)}
        if limit is None:
            return {}
        # The platform holds its answer back; to the client's own limit it would look dead.
        own = self._client.timeout
        return {"timeout": httpx.Timeout(connect=own.connect, read=limit, write=own.write, pool=own.pool)}


def describe(error: Exception) -> str:
    """What the client says, for people."""
    return str(error) or type(error).__name__


def is_of_the_network(error: Exception) -> bool:
    """Whether it is a failure that becomes one of ours; any other is the program's own."""
    import httpx

    return isinstance(error, httpx.TransportError)


def reach(error: Exception) -> str:
    """How far a request got that failed so."""
    import httpx

    if not is_of_the_network(error):
        return "host_fault"
    before = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
    return "not_sent" if isinstance(error, (*before, httpx.UnsupportedProtocol)) else "maybe_sent"


def timed_out(error: Exception) -> bool:
    """Whether the client gave up waiting."""
    import httpx

    return isinstance(error, httpx.TimeoutException)
