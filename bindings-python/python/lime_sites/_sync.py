"""The client of a site's backend that blocks."""

from __future__ import annotations

import contextvars
import inspect
import os

import lime_sites  # its classes of results are loaded with the first client
from lime_sdk import _blocking, _bridge, _native
from lime_sdk._client import load_results

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, Literal, TypeVar

    from typing_extensions import Self

    from lime_sdk._progress import WaitProgress
    from lime_sites._thread import Call, HandlerThread
    from lime_sites._types import (
        BindingRequestResult,
        LoginRequestResult,
        LoginRequestStatus,
        PassportVerificationResult,
        StreamStatus,
    )

    LoginHandler = Callable[[str, str | None], object]
    StateHandler = Callable[[StreamStatus], object]
    AnyLoginHandler = TypeVar("AnyLoginHandler", bound=LoginHandler)
    AnyStateHandler = TypeVar("AnyStateHandler", bound=StateHandler)
    GapHandler = Callable[[list[str]], object]
    AnyGapHandler = TypeVar("AnyGapHandler", bound=GapHandler)


class SyncLimeSite:
    """Creates login requests, receives passports, verifies them, blocking: for Flask, Django, scripts.

    Make one per site token and process, anywhere; any number of threads may use it at once. While a
    call blocks, other threads run and Ctrl-C is heard. :class:`~lime_sites.LimeSite` is for event loops.

    The event stream starts with the first handler or the first wait, and with it a thread of this site,
    on which all handlers run. Both go on until the site is closed. A forked child can use the site too;
    it has no stream until it registers a handler or waits, and then one of its own, with all handlers.

    Example::

        with SyncLimeSite(site_token="st_...") as site:
            request = site.create_login_request()
            passport = site.wait_for_login(request.request_id)
            if passport is not None:
                verified = site.verify_passport(passport, expected_request_id=request.request_id)
                print(verified.claims["agent_id"])
    """

    def __init__(
        self,
        *,
        site_token: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 3,
        sse_backoff_base: float = 0.5,
        event_queue_limit: int = 1024,
        jwks_cache_ttl: float | None = None,
        platform: Literal["auto", "seed", "today"] = "auto",
        require_issuer: bool | None = None,
        post_retry: Literal["auto", "seed", "today"] | None = None,
        jwks_form: Literal["auto", "envelope", "bare"] | None = None,
        tls_pins: Sequence[str] = (),
    ) -> None:
        """Make the client; nothing is started or sent yet.

        Args:
            site_token: The site's secret, ``st_...``; else ``LIME_SITE_TOKEN``.
            base_url: The API root with ``/api/v1``; else ``LIME_API_BASE``, else
                ``https://lime.pics/api/v1``.
            timeout: Seconds that one attempt of a request may take.
            max_retries: Further attempts on transport errors and HTTP 408, 429, 500, 502, 503, 504.
            sse_backoff_base: Seconds before the first reconnect of the event stream; doubles to 8.
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
                ``LIME_TLS_PINS``, with commas between. Name the next key before it comes.

        Raises:
            AuthenticationError: There is no site token.
            ValueError: A setting makes no sense.
        """
        load_results("lime_sites._types")
        self._id = _bridge.new_id()
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
            transport=None,
        )
        self._handlers: list[LoginHandler] = []
        self._state_handlers: dict[int, StateHandler] = {}
        self._gap_handlers: dict[int, GapHandler] = {}
        self._context = contextvars.copy_context()
        self._threads: dict[int, HandlerThread] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def on_login(self, handler: AnyLoginHandler) -> AnyLoginHandler:
        """Register a handler for the end of every login request of this site; starts the event stream.

        It is called with the request's id and the passport, or ``None`` when the request expired.
        Handlers run on a thread of the site's own, in the context that the site was made in, one after
        the other, in order; one that raises is logged and the next one still runs. While they are busy,
        the stream goes on being read. A handler may call every method of the site.

        Args:
            handler: ``def handler(request_id: str, passport: str | None)``.

        Returns:
            The handler, so this can be used as a decorator.

        Raises:
            TypeError: It is a coroutine function, which nobody here would await.
            LimeError: The site is closed.

        Example::

            @site.on_login
            def signed_in(request_id: str, passport: str | None) -> None:
                if passport is not None:
                    verified = site.verify_passport(passport, expected_request_id=request_id)
                    sessions[request_id] = verified.claims["agent_id"]
        """
        _refuse_coroutines(handler)
        self._handlers.append(handler)
        try:
            self._listen()
        except BaseException:
            self._handlers.remove(handler)
            raise
        return handler

    def on_state(self, handler: AnyStateHandler) -> AnyStateHandler:
        """Register a handler for every change of the event stream's state, which it does not start.

        It is first called with the state as it is, on the thread of :meth:`on_login`'s handlers.

        Args:
            handler: Takes a :class:`StreamStatus`.

        Returns:
            The handler, so this can be used as a decorator.

        Raises:
            TypeError: It is a coroutine function.
            LimeError: The site is closed.
        """
        _refuse_coroutines(handler)
        queue = self._handlers_queue()
        number = _bridge.new_id()
        self._state_handlers[number] = handler
        try:
            self._native.watch_state(queue, number)
        except BaseException:
            del self._state_handlers[number]
            raise
        return handler

    def on_gap(self, handler: AnyGapHandler) -> AnyGapHandler:
        """Register a handler for login requests whose events are lost. It does not start the stream.

        The platform says of them that they have ended, and neither the stream nor the platform tells how; a
        passport that there was is lost. Each is named once. Should such an event come all the same, it is
        handed on. It runs on the thread of :meth:`on_login`'s handlers.

        Args:
            handler: Takes a list of request ids.

        Returns:
            The handler, so this can be used as a decorator.

        Raises:
            TypeError: It is a coroutine function.
            LimeError: The site is closed.
        """
        _refuse_coroutines(handler)
        queue = self._handlers_queue()
        number = _bridge.new_id()
        self._gap_handlers[number] = handler
        try:
            self._native.watch_gaps(queue, number)
        except BaseException:
            del self._gap_handlers[number]
            raise
        return handler

    @property
    def stream_status(self) -> StreamStatus:
        """Where the event stream stands."""
        return lime_sites.StreamStatus(*self._native.stream_status())  # type: ignore[arg-type]

    def create_login_request(self) -> LoginRequestResult:
        """Create a login request, to be handed to the agent by its ``request_id``.

        Raises:
            AuthenticationError: The platform does not take the token.
            RateLimitError: Too many requests.
            ApiError: Any other error that the platform reports.
            LimeError: The platform could not be reached or understood.
        """
        from lime_sdk._times import from_native

        _bridge.set_log_level()
        native = self._native
        request_id, status, expires_at = _blocking.call(
            native.create_login_request, native.create_login_request_blocking
        )
        return lime_sites.LoginRequestResult(request_id, status, from_native(expires_at))

    def read_login_request(self, request_id: str) -> LoginRequestStatus:
        """Read where a login request of this site stands.

        Args:
            request_id: The login request, as :meth:`create_login_request` gave it.

        Raises:
            ApiError: It is not a request of this site, or another error that the platform reports.
        """
        from lime_sdk._times import from_native

        _bridge.set_log_level()
        native = self._native
        found, status, expires_at = _blocking.call(
            native.read_login_request, native.read_login_request_blocking, request_id
        )
        return lime_sites.LoginRequestStatus(found, status, from_native(expires_at) if expires_at else None)

    def wait_for_login(
        self,
        request_id: str,
        *,
        timeout: float = 120.0,
        on_progress: Callable[[WaitProgress], object] | None = None,
    ) -> str | None:
        """Block until this login request ends; starts the event stream. Ctrl-C interrupts it.

        Args:
            request_id: The login request. An event that came in the last two minutes counts.
            timeout: Seconds to wait.
            on_progress: Called on this thread with a :class:`WaitProgress`, at once and a few times a
                second. What it raises ends the wait.

        Returns:
            The passport, not verified yet; ``None`` when the request expired.

        Raises:
            LoginTimeoutError: Nothing happened in time.
            OutcomeUnknownError: It has ended, and the event that told how is lost, with its passport. Create a
                new one.
            TypeError: ``on_progress`` is a coroutine function, which nobody would await.
        """
        self._listen()
        report = None
        if on_progress is not None:
            from lime_sdk._progress import WaitReporter

            report = WaitReporter(on_progress, timeout)
        native = self._native
        return _blocking.call(
            native.wait_for_login, native.wait_for_login_blocking, request_id, timeout, report=report
        )[1]

    def verify_passport(
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
        native = self._native
        claims = native.verify_passport_cached(jwt, expected_request_id)
        if claims is None:
            _bridge.set_log_level()
            claims = _blocking.call(
                native.verify_passport, native.verify_passport_blocking, jwt, expected_request_id
            )
        return lime_sites.PassportVerificationResult(valid=True, claims=claims)

    def create_binding_request(self, *, redirect_uri: str) -> BindingRequestResult:
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

            request = site.create_binding_request(redirect_uri="https://shop.example/bind")
            session["binding_id"] = request.binding_id
            return redirect(request.connect_url)

            # the page at https://shop.example/bind
            passport = site.exchange_binding_code(query["binding_code"])
            verified = site.verify_binding_passport(
                passport, expected_binding_id=session.pop("binding_id")
            )
            account.agent_id = verified.claims["agent_id"]
        """
        from lime_sdk._times import from_native

        _bridge.set_log_level()
        native = self._native
        binding_id, connect_url, status, expires_at = _blocking.call(
            native.create_binding_request, native.create_binding_request_blocking, redirect_uri
        )
        return lime_sites.BindingRequestResult(binding_id, connect_url, status, from_native(expires_at))

    def exchange_binding_code(self, code: str) -> str:
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
        _bridge.set_log_level()
        native = self._native
        return _blocking.call(native.exchange_binding_code, native.exchange_binding_code_blocking, code)

    def verify_binding_passport(
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
        native = self._native
        claims = native.verify_binding_passport_cached(jwt, expected_binding_id)
        if claims is None:
            _bridge.set_log_level()
            claims = _blocking.call(
                native.verify_binding_passport,
                native.verify_binding_passport_blocking,
                jwt,
                expected_binding_id,
            )
        return lime_sites.PassportVerificationResult(valid=True, claims=claims)

    def close(self) -> None:
        """End the event stream and refuse further calls.

        Waits for a handler that is running, unless it is the caller; none begins after that.
        """
        self._closed = True
        thread = self._threads.get(os.getpid())
        if thread is not None:
            # Before the stream says that it is closed: whoever sees that sees no handler begin.
            thread.let_none_begin()
        self._native.close()
        if thread is not None:
            thread.end()

    def _listen(self) -> None:
        """Start the event stream of this process and the thread for its handlers, once."""
        queue = self._handlers_queue()
        try:
            self._native.start_events(queue)
        except BaseException:
            if self._closed and (thread := self._threads.get(os.getpid())) is not None:
                thread.end()  # by another thread, which may not have seen this one
            raise

    def _handlers_queue(self) -> _native.Queue:
        """Start this process's thread for handlers, once; answers what it takes from.

        Not the stream: an event that comes before there is a handler for it would be nobody's.
        """
        _bridge.set_log_level()
        process = os.getpid()
        if self._closed:
            return _native.Queue()  # without a thread; the native client says that it is closed
        if (thread := self._threads.get(process)) is None:
            from lime_sites._thread import HandlerThread

            made = HandlerThread(
                f"lime-site-{self._id}", self._context, self._on_event, self._on_state, self._on_gap
            )
            # One step, which only one of several threads wins: no lock, which a fork could leave held.
            thread = self._threads.setdefault(process, made)
        try:
            thread.start(self._watch_again)
        except BaseException:
            if self._closed:
                thread.end()
            raise
        return thread.queue

    def _watch_again(self, queue: _native.Queue) -> None:
        # The parent's handlers, which told the parent's thread.
        for number in list(self._state_handlers):
            self._native.watch_state(queue, number)
        for number in list(self._gap_handlers):
            self._native.watch_gaps(queue, number)

    def _on_event(self, call: Call, request_id: str, passport: str | None) -> None:
        for handler in list(self._handlers):
            try:
                call(handler, request_id, passport)
            except BaseException:  # which would end the thread, and nothing else
                _bridge.logger().exception("on_login handler failed for request_id=%s", request_id)

    def _on_state(self, call: Call, number: int, status: tuple[Any, ...]) -> None:
        try:
            if (handler := self._state_handlers.get(number)) is not None:
                call(handler, lime_sites.StreamStatus(*status))
        except BaseException:
            _bridge.logger().exception("on_state handler failed")

    def _on_gap(self, call: Call, number: int, request_ids: list[str]) -> None:
        try:
            if (handler := self._gap_handlers.get(number)) is not None:
                call(handler, request_ids)
        except BaseException:
            _bridge.logger().exception("on_gap handler failed")


def _refuse_coroutines(handler: object) -> None:
    if inspect.iscoroutinefunction(handler):
        raise TypeError(
            "The handlers of a SyncLimeSite are plain functions; LimeSite takes coroutine functions"
        )
