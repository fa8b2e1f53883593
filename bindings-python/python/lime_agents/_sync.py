"""The client of an agent worker that blocks."""

from __future__ import annotations

from lime_agents._types import AgentProfile, ApprovalResult
from lime_sdk import _bridge, _native
from lime_sdk._times import from_native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Literal

    from typing_extensions import Self

    from lime_sdk._progress import LoginProgress


class SyncLimeAgent:
    """Confirms login requests for an agent, blocking: for scripts, Celery, Django, Flask.

    Make one per agent token and process, anywhere; any number of threads may use it at once, and a
    forked child too. While a call blocks, other threads run and Ctrl-C is heard.
    :class:`~lime_agents.LimeAgent` is for event loops.

    Example::

        with SyncLimeAgent(agent_token="at_...") as agent:
            result = agent.login(request_id)
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
            timeout: Seconds that one attempt of a request may take.
            max_retries: Further attempts on transport errors and HTTP 408, 429, 500, 502, 503, 504.
            pow_timeout: Seconds that a proof of work may take.
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
            transport=None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def login(
        self,
        request_id: str,
        *,
        on_progress: Callable[[LoginProgress], object] | None = None,
    ) -> ApprovalResult:
        """Confirm a site's login request: fetch its challenge, solve it, send the approval.

        Args:
            request_id: The login request, from the site.
            on_progress: Called on this thread with a :class:`LoginProgress`, at once, a few times a
                second, and when the login has succeeded. What it raises ends the login.

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

            with tqdm(unit="hash", unit_scale=True) as bar:

                def show(progress: LoginProgress) -> None:
                    bar.total = progress.expected
                    bar.set_description(progress.stage)
                    bar.update(progress.hashes - bar.n)

                agent.login(request_id, on_progress=show)
        """
        return self._login(request_id, on_progress)

    def approve(
        self,
        request_id: str,
        *,
        on_progress: Callable[[LoginProgress], object] | None = None,
    ) -> ApprovalResult:
        """The same as :meth:`login`, by its earlier name."""
        return self._login(request_id, on_progress)

    def _login(
        self, request_id: str, on_progress: Callable[[LoginProgress], object] | None
    ) -> ApprovalResult:
        _bridge.set_log_level()
        if on_progress is None:
            return _result(self._native.login_blocking(request_id))
        from lime_sdk._progress import LoginReporter

        progress = self._native.progress()
        reporter = LoginReporter(on_progress, progress)
        result = _result(self._native.login_blocking(request_id, progress, reporter))
        reporter.done()
        return result

    def get_profile(self) -> AgentProfile:
        """Read the agent's own profile.

        Raises:
            AuthenticationError: The platform does not take the token.
            ApiError: Any other error that the platform reports.
        """
        _bridge.set_log_level()
        return AgentProfile.from_api(self._native.get_profile_blocking())

    def close(self) -> None:
        """Refuse further calls; those that other threads wait for go on."""
        self._native.close()


def _result(answer: tuple[str, str, str, tuple[int, int | None], str | None]) -> ApprovalResult:
    request_id, site_id, status, expires_at, agent_id = answer
    return ApprovalResult(request_id, site_id, status, from_native(expires_at), agent_id)
