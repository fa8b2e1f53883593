"""The client of a site's backend."""

from __future__ import annotations

import contextvars
import os
import weakref

import lime_sites  # its classes of results are loaded with the first client
from lime_sdk import _bridge, _native
from lime_sdk._client import call, carrier_for, load_results

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections import deque
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType
    from typing import Any, Literal, TypeVar

    import httpx
    from typing_extensions import Self

    from lime_sdk._progress import WaitProgress
    from lime_sites._types import (
        BindingRequestResult,
        LoginRequestResult,
        LoginRequestStatus,
        PassportVerificationResult,
        StreamStatus,
    )

    LoginHandler = Callable[[str, str | None], Awaitable[None]]
    StateHandler = Callable[[StreamStatus], Awaitable[None] | None]
    AnyStateHandler = TypeVar("AnyStateHandler", bound=StateHandler)
    GapHandler = Callable[[list[str]], Awaitable[None] | None]
    AnyGapHandler = TypeVar("AnyGapHandler", bound=GapHandler)

_LOOP_REQUIRED = (
    "LimeSite must be constructed inside a running asyncio event loop "
    "(e.g. FastAPI lifespan or asyncio.run). Register on_login handlers for SSE delivery."
)


class LimeSite:
    """Creates login requests, receives passports on an event stream, verifies them.

    Make one per site token and process, inside a running event loop; its event stream starts at once
    and reconnects for ever. Handlers run on that loop, in the context the client was made in.

    Example::

        async with LimeSite(site_token="st_...") as site:

            @site.on_login
            async def signed_in(request_id: str, passport: str | None) -> None:
                if passport is None:
                    return  # expired
                verified = await site.verify_passport(passport, expected_request_id=request_id)
                print(verified.claims["agent_id"])

            request = await site.create_login_request()
    """

    def __init__(
        self,
        *,
        site_token: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 3,
        sse_backoff_base: float = 0.5,
        http_client: httpx.AsyncClient | None = None,
        event_queue_limit: int = 1024,
        jwks_cache_ttl: float | None = None,
        platform: Literal["auto", "seed", "today"] = "auto",
        require_issuer: bool | None = None,
        post_retry: Literal["auto", "seed", "today"] | None = None,
        jwks_form: Literal["auto", "envelope", "bare"] | None = None,
        tls_pins: Sequence[str] = (),
    ) -> None:
        """Make the client and start its event stream.

        Args:
            site_token: The site's secret, ``st_...``; else ``LIME_SITE_TOKEN``.
            base_url: The API root with ``/api/v1``; else ``LIME_API_BASE``, else
                ``https://lime.pics/api/v1``.
            timeout: Seconds that one attempt of a request may take. An injected ``http_client``
                keeps its own time instead.
            max_retries: Further attempts on transport errors and HTTP 408, 429, 500, 502, 503, 504.
            sse_backoff_base: Seconds before the first reconnect of the event stream; doubles to 8.
            http_client: Your own client; every byte goes through it, and it stays yours to close.
            event_queue_limit: Events that may wait for handlers before the stream is read no further.
            jwks_cache_ttl: Seconds that signing keys are kept; else ``LIME_JWKS_CACHE_TTL_SECONDS``,
                else 300.
            platform: What differs between the platform's times, all at once; the next three change it.
                ``"auto"`` works with all of them.
            require_issuer: Refuse passports without an ``iss`` claim.
            post_retry: ``"today"`` never repeats a POST after 500, 502 or 504; ``"auto"`` never one that the
                first releases did not have.
            jwks_form: Which key documents are taken.
            tls_pins: Public keys that the platform's server may have, beside the usual checks: SHA-256 of its
                certificate's SubjectPublicKeyInfo in base64, ``sha256/`` in front or not; else
                ``LIME_TLS_PINS``, with commas between. Name the next key before it comes. Not with an ``http_client``.

        Raises:
            AuthenticationError: There is no site token.
            RuntimeError: No event loop is running in this thread.
            ValueError: A setting makes no sense.
        """
        load_results("lime_sites._types")
        self._id = _bridge.new_id()
        self._carrier = carrier_for(http_client)
        self._native = _native.Site(
            id=self._id,
            site_token=site_token,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            sse_backoff_base=sse_backoff_base,
            event_queue_limit=event_queue_limit,
            jwks_cache_ttl=jwks_cache_ttl,
            platform=platform,
            require_issuer=require_issuer,
            post_retry=post_retry,
            jwks_form=jwks_form,
            tls_pins=list(tls_pins),
            transport=self._carrier.native if self._carrier is not None else None,
        )
        try:
            bridge = _bridge.current()
        except RuntimeError as error:
            raise RuntimeError(_LOOP_REQUIRED) from error
        import asyncio
        from collections import deque

        loop = asyncio.get_running_loop()
        self._handlers: tuple[LoginHandler, ...] = ()
        self._state_handlers: dict[int, StateHandler] = {}
        self._gap_handlers: list[GapHandler] = []
        self._events: deque[_native.EventBatch] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._loop = loop
        self._context = contextvars.copy_context()
        self._closed = False
        bridge.add_site(self._id, self, self._native)
        self._bridge = weakref.ref(bridge)
        # A task has the context of the moment it is made in: so have the handlers.
        work, name = self._run_handlers(), f"lime-site-{self._id}"
        self._runner: asyncio.Task[None]
        if hasattr(asyncio.Task, "cancelling"):
            self._runner = loop.create_task(work, name=name)
        else:  # before 3.11
            from lime_sites._task import Cancelling

            self._runner = Cancelling(work, loop=loop, name=name)
        self._native.start_events(bridge.queue)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    def on_login(self, handler: LoginHandler) -> LoginHandler:
        """Register an async handler for the end of every login request of this site.

        It is called with the request's id and the passport, or ``None`` when the request expired.
        Handlers run one after the other, in order; one that raises is logged and the next one still
        runs. While they are busy, the stream goes on being read.

        Args:
            handler: ``async def handler(request_id: str, passport: str | None) -> None``.

        Returns:
            The handler, so this can be used as a decorator.
        """
        self._handlers = (*self._handlers, handler)
        return handler

    def on_state(self, handler: AnyStateHandler) -> AnyStateHandler:
        """Register a handler, async or not, for every change of the event stream's state.

        It is first called with the state as it is.

        Args:
            handler: Takes a :class:`StreamStatus`.

        Returns:
            The handler, so this can be used as a decorator.
        """
        bridge = self._bridge()
        if bridge is not None and not self._closed:
            # Each has a watch of its own: what waits in the queue for the others is not told to this one too.
            number = _bridge.new_id()
            self._state_handlers[number] = handler
            bridge.add_watch(number, self)
            self._native.watch_state(bridge.queue, number)
        return handler

    def on_gap(self, handler: AnyGapHandler) -> AnyGapHandler:
        """Register a handler, async or not, for login requests whose events are lost.

        The platform says of them that they have ended, and neither the stream nor the platform tells how; a
        passport that there was is lost. Each is named once. Should such an event come all the same, it is
        handed on.

        Args:
            handler: Takes a list of request ids.

        Returns:
            The handler, so this can be used as a decorator.
        """
        bridge = self._bridge()
        if bridge is not None and not self._closed and not self._gap_handlers:
            self._native.watch_gaps(bridge.queue, self._id)
        self._gap_handlers.append(handler)
        return handler

    @property
    def stream_status(self) -> StreamStatus:
        """Where the event stream stands."""
        return _stream_status(self._native.stream_status())

    async def create_login_request(self) -> LoginRequestResult:
        """Create a login request, to be handed to the agent by its ``request_id``.

        Raises:
            AuthenticationError: The platform does not take the token.
            RateLimitError: Too many requests.
            ApiError: Any other error that the platform reports.
            LimeError: The platform could not be reached or understood.
        """
        from lime_sdk._times import from_native

        request_id, status, expires_at = await self._call(self._native.create_login_request)
        return lime_sites.LoginRequestResult(request_id, status, from_native(expires_at))

    async def read_login_request(self, request_id: str) -> LoginRequestStatus:
        """Read where a login request of this site stands.

        Args:
            request_id: The login request.

        Raises:
            ApiError: It is not a request of this site, or another error that the platform reports.
        """
        from lime_sdk._times import from_native

        found, status, expires_at = await self._call(self._native.read_login_request, request_id)
        return lime_sites.LoginRequestStatus(found, status, from_native(expires_at) if expires_at else None)

    async def wait_for_login(
        self,
        request_id: str,
        *,
        timeout: float = 120.0,
        on_progress: Callable[[WaitProgress], object] | None = None,
    ) -> str | None:
        """Wait until this login request ends.

        Args:
            request_id: The login request. An event that came in the last two minutes counts.
            timeout: Seconds to wait.
            on_progress: Called on the loop's thread with a :class:`WaitProgress`, at once and a few
                times a second. What it raises ends the wait.

        Returns:
            The passport, not verified yet; ``None`` when the request expired.

        Raises:
            LoginTimeoutError: Nothing happened in time.
            OutcomeUnknownError: It has ended, and the event that told how is lost, with its passport. Create a
                new one.
            TypeError: ``on_progress`` is a coroutine function, which nobody would await.
        """
        report = None
        if on_progress is not None:
            from lime_sdk._progress import WaitReporter

            report = WaitReporter(on_progress, timeout)
        wait = self._native.wait_for_login
        _, passport = await self._call(wait, request_id, timeout, report=report)
        return passport  # type: ignore[no-any-return]

    async def verify_passport(
        self,
        jwt: str,
        *,
        expected_request_id: str | None = None,
    ) -> PassportVerificationResult:
        """Verify an agent's passport with the platform's signing keys.

        Args:
            jwt: The passport.
            expected_request_id: The login request that it must be for. Always pass it.

        Raises:
            InvalidPassportError: It must not be trusted.
            PassportExpiredError: It has expired.
            LimeError: The signing keys could not be had.
        """
        claims = self._native.verify_passport_cached(jwt, expected_request_id)
        if claims is None:
            claims = await self._call(self._native.verify_passport, jwt, expected_request_id)
        return lime_sites.PassportVerificationResult(valid=True, claims=claims)

    async def create_binding_request(self, *, redirect_uri: str) -> BindingRequestResult:
        """Ask for a binding: a person is to connect one of their agents with their account at this site.

        Keep its ``binding_id`` beside the person's session, then send their browser to its ``connect_url``.
        They come back to ``redirect_uri`` with ``?binding_code=`` in the query.

        Args:
            redirect_uri: An absolute ``https`` URL of the site.

        Raises:
            ApiError: The platform does not take the ``redirect_uri``, or another error that it reports.
            AuthenticationError: The platform does not take the token.
            RateLimitError: Too many requests.
            LimeError: The platform could not be reached or understood.

        Example::

            request = await site.create_binding_request(redirect_uri="https://shop.example/bind")
            session["binding_id"] = request.binding_id
            return redirect(request.connect_url)

            # the page at https://shop.example/bind
            passport = await site.exchange_binding_code(query["binding_code"])
            verified = await site.verify_binding_passport(
                passport, expected_binding_id=session.pop("binding_id")
            )
            account.agent_id = verified.claims["agent_id"]
        """
        from lime_sdk._times import from_native

        binding_id, connect_url, status, expires_at = await self._call(
            self._native.create_binding_request, redirect_uri
        )
        return lime_sites.BindingRequestResult(binding_id, connect_url, status, from_native(expires_at))

    async def exchange_binding_code(self, code: str) -> str:
        """Exchange the code that a person came back with for the binding passport, which counts once.

        Args:
            code: The value of ``binding_code`` in the query that the person came back with.

        Returns:
            The passport, not verified yet: give it to :meth:`verify_binding_passport`.

        Raises:
            ApiError: The code is unknown, used or expired, or another error that the platform reports.
            OutcomeUnknownError: The code was sent and the answer got lost. It may be used up: let the person
                start again.
            AuthenticationError: The platform does not take the token.
            LimeError: The platform could not be reached or understood.
        """
        return await self._call(self._native.exchange_binding_code, code)  # type: ignore[no-any-return]

    async def verify_binding_passport(
        self,
        jwt: str,
        *,
        expected_binding_id: str | None = None,
    ) -> PassportVerificationResult:
        """Verify a binding passport with the platform's signing keys.

        Its claims ``binding_id`` and ``agent_id`` say which agent is the person's.

        Args:
            jwt: The passport, from :meth:`exchange_binding_code`.
            expected_binding_id: The binding that it must be for, which was kept beside the session of the
                person who came back. Always pass it, or compare the claim yourself: a person could be sent back
                with a stranger's code.

        Raises:
            InvalidPassportError: It must not be trusted.
            PassportExpiredError: It has expired.
            LimeError: The signing keys could not be had.
        """
        claims = self._native.verify_binding_passport_cached(jwt, expected_binding_id)
        if claims is None:
            claims = await self._call(self._native.verify_binding_passport, jwt, expected_binding_id)
        return lime_sites.PassportVerificationResult(valid=True, claims=claims)

    async def aclose(self) -> None:
        """End the event stream. A handler that is running is cancelled, unless it is the caller."""
        import asyncio

        self._end()
        if asyncio.get_running_loop() is not self._loop:
            # From another loop (also in a forked child) the handlers' task cannot be waited for.
            bridge = self._bridge()
            if bridge is not None and bridge.process == os.getpid() and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._runner.cancel)
            return
        if self._carrier is not None:
            await self._carrier.close_streams()
        if self._runner is asyncio.current_task():
            return  # it ends after this handler
        self._runner.cancel()
        # Not gather: this may be a task that a handler waits for, and would be cancelled with it.
        await asyncio.wait([self._runner])

    def _end(self) -> None:
        self._closed = True
        self._native.close()
        bridge = self._bridge()
        if bridge is not None:
            bridge.remove_site(self._id, list(self._state_handlers))

    async def _call(
        self, start: Callable[..., int], *args: Any, report: Callable[[], None] | None = None
    ) -> Any:
        if self._carrier is not None:
            import asyncio

            if asyncio.get_running_loop() is not self._loop:
                raise RuntimeError("A LimeSite with an http_client works on the event loop it was made in")
        return await call(self._carrier, start, *args, report=report)

    def _on_events(self, batch: _native.EventBatch) -> None:
        self._events.append(batch)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    async def _run_handlers(self) -> None:
        import asyncio

        try:
            while not self._closed:
                if not self._events:
                    self._arrived = self._loop.create_future()
                    await self._arrived
                    continue
                # An event has its place in the queue until the batch is asked for the next one.
                for request_id, passport in self._events.popleft():
                    for handler in self._handlers:
                        try:
                            await handler(request_id, passport)
                        except Exception:
                            _bridge.logger().exception(
                                "on_login handler failed for request_id=%s", request_id
                            )
                        except asyncio.CancelledError:
                            # Something that the handler waited for was cancelled, or this task was: a loop
                            # that ends must not be held up.
                            if self._closed or self._runner.cancelling():  # type: ignore[attr-defined]
                                raise
                            _bridge.logger().exception(
                                "on_login handler was cancelled for request_id=%s", request_id
                            )
                    if self._closed:
                        break
        finally:
            # Whoever cancels this (a loop that ends) ends the stream: nobody would handle its events.
            self._end()

    def _on_state_change(self, number: int, status: tuple[str, Exception | None, int, int, int]) -> None:
        handler = self._state_handlers[number]
        self._context.copy().run(_run, "on_state", handler, _stream_status(status))

    def _on_gap(self, request_ids: list[str]) -> None:
        for handler in list(self._gap_handlers):
            self._context.copy().run(_run, "on_gap", handler, list(request_ids))


_running: set[asyncio.Task[None]] = set()


def _run(name: str, handler: Callable[[Any], Awaitable[None] | None], told: object) -> None:
    """Call a handler of ``on_state`` or ``on_gap``."""
    try:
        result = handler(told)
        if result is not None:
            _keep(name, result)
    except Exception:
        _bridge.logger().exception("%s handler failed", name)


def _keep(name: str, awaitable: Awaitable[None]) -> None:
    """Run an async handler; the loop itself keeps only a weak hold on its tasks."""
    import asyncio

    async def run() -> None:
        try:
            await awaitable
        except Exception:
            _bridge.logger().exception("%s handler failed", name)

    task = asyncio.get_running_loop().create_task(run())
    _running.add(task)
    task.add_done_callback(_running.discard)


def _stream_status(status: tuple[Any, Exception | None, int, int, int]) -> StreamStatus:
    return lime_sites.StreamStatus(*status)
