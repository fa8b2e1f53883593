"""The client of an agent worker."""

from __future__ import annotations

from lime_agents._types import AgentProfile, ApprovalResult
from lime_sdk import _native
from lime_sdk._client import call, carrier_for
from lime_sdk._times import from_native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Literal, Protocol, overload

    import httpx
    from typing_extensions import Self

    from lime_sdk._progress import LoginProgress

    class TakesProgress(Protocol):
        """An agent whose ``login`` takes ``on_progress``: not one that overrides it as it was published."""

        async def login(
            self, request_id: str, *, on_progress: Callable[[LoginProgress], object] | None
        ) -> ApprovalResult: ...


class LimeAgent:
    """Confirms login requests for an agent.

    Make one per agent token and process, anywhere; use it from any event loop.

    Example::

        async with LimeAgent(agent_token="at_...") as agent:
            result = await agent.login(request_id)
            print(result.status)
    """

    def __init__(
        self,
        *,
        agent_token: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 3,
        pow_timeout: float = 10.0,
        http_client: httpx.AsyncClient | None = None,
        platform: Literal["auto", "seed", "today"] = "auto",
        pow_digest: Literal["auto", "seed", "today"] | None = None,
        pow_threads: int = 1,
        post_retry: Literal["auto", "seed", "today"] | None = None,
    ) -> None:
        """Make the client; nothing is started or sent yet.

        Args:
            agent_token: The agent's secret, ``at_...``; else ``LIME_AGENT_TOKEN``.
            base_url: The API root with ``/api/v1``; else ``LIME_API_BASE``, else
                ``https://lime.pics/api/v1``.
            timeout: Seconds that one attempt of a request may take. An injected ``http_client``
                keeps its own time instead.
            max_retries: Further attempts on transport errors and HTTP 408, 429, 500, 502, 503, 504.
            pow_timeout: Seconds that a proof of work may take.
            http_client: Your own client; every byte goes through it, and it stays yours to close.
            platform: What differs between the platform's times, all at once; ``pow_digest`` and ``post_retry``
                change it. ``"auto"`` works with all of them.
            pow_digest: ``"auto"`` tries the seed's digest first, then today's, and remembers per API
                root which one the platform took.
            pow_threads: Threads that search for a proof of work.
            post_retry: ``"today"`` never repeats a POST after 500, 502 or 504; ``"auto"`` never one that the
                first releases did not have.

        Raises:
            AuthenticationError: There is no agent token.
            ValueError: A setting makes no sense.
        """
        self._carrier = carrier_for(http_client)
        self._native = _native.Agent(
            agent_token=agent_token,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            pow_timeout=pow_timeout,
            pow_threads=pow_threads,
            platform=platform,
            pow_digest=pow_digest,
            post_retry=post_retry,
            transport=self._carrier.native if self._carrier is not None else None,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()

    if TYPE_CHECKING:
        # A subclass may override it as the published package has it, without on_progress: what is declared
        # for TakesProgress does not bind such a class.
        @overload
        async def login(self, request_id: str) -> ApprovalResult: ...
        @overload
        async def login(
            self: TakesProgress, request_id: str, *, on_progress: Callable[[LoginProgress], object] | None
        ) -> ApprovalResult: ...

    async def login(
        self,
        request_id: str,
        *,
        on_progress: Callable[[LoginProgress], object] | None = None,
    ) -> ApprovalResult:
        """Confirm a site's login request: fetch its challenge, solve it, send the approval.

        The event loop stays free while the proof of work is computed.

        Args:
            request_id: The login request, from the site.
            on_progress: Called on the loop's thread with a :class:`LoginProgress`, at once, a few times
                a second, and when the login has succeeded. What it raises ends the login.

        Raises:
            TypeError: ``on_progress`` is a coroutine function, which nobody would await.
            PowTimeoutError: The challenge was not solved within ``pow_timeout``.
            OutcomeUnknownError: The approval was sent and its answer got lost.
            AuthenticationError: The platform does not take the token.
            RateLimitError: Too many requests.
            ApiError: Any other error that the platform reports; ``INVALID_REQUEST_ID`` for an id
                that is empty or no id at all.
            LimeError: The platform could not be reached or understood.

        Example::

            with rich.progress.Progress() as bars:
                bar = bars.add_task("login", total=None)

                def show(progress: LoginProgress) -> None:
                    bars.update(
                        bar,
                        description=progress.stage,
                        completed=progress.hashes,
                        total=progress.expected,
                    )

                await agent.login(request_id, on_progress=show)
        """
        return await self._login(request_id, on_progress)

    async def approve(
        self,
        request_id: str,
        *,
        on_progress: Callable[[LoginProgress], object] | None = None,
    ) -> ApprovalResult:
        """The same as :meth:`login`, by its earlier name."""
        return await self._login(request_id, on_progress)

    async def _login(
        self, request_id: str, on_progress: Callable[[LoginProgress], object] | None
    ) -> ApprovalResult:
        progress = reporter = None
        if on_progress is not None:
            from lime_sdk._progress import LoginReporter

            progress = self._native.progress()
            reporter = LoginReporter(on_progress, progress)
        found, site_id, status, expires_at, agent_id = await call(
            self._carrier, self._native.login, request_id, progress, report=reporter
        )
        if reporter is not None:
            reporter.done()
        return ApprovalResult(found, site_id, status, from_native(expires_at), agent_id)

    async def get_profile(self) -> AgentProfile:
        """Read the agent's own profile.

        Raises:
            AuthenticationError: The platform does not take the token.
            ApiError: Any other error that the platform reports.
        """
        return AgentProfile.from_api(await call(self._carrier, self._native.get_profile))

    async def aclose(self) -> None:
        """Refuse further calls. An injected ``http_client`` stays open."""
        self._native.close()
