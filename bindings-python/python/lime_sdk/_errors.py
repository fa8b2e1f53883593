"""The exception classes of both packages, and which kind of native error becomes which."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class LimeError(Exception):
    """Base class of every error of the library.

    Attributes:
        message: What happened, for people.
        code: The platform's own code, for example ``SITE_TOKEN_INVALID``.
        http_status: Status of the answer that the error was read from.
        detail: The platform's ``detail`` object.
        request_id: The login request that the failed call was about.
        retry_after: Seconds that the platform asked to wait before the next try.
        kind: The name of the error's kind, the same in every language of the library.
    """

    kind: str | None = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        http_status: int | None = None,
        detail: dict[str, Any] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Make the error; the library does, and tests of programs.

        Args:
            message: What happened, for people.
            code: The platform's own code.
            http_status: Status of the answer that the error was read from.
            detail: The platform's ``detail`` object.
            request_id: The login request that the failed call was about.
            retry_after: Seconds that the platform asked to wait before the next try.
        """
        self.message = message
        self.code = code
        self.http_status = http_status
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle by their positional arguments alone, which would lose the others.
        return _rebuild, (type(self), self.args, self.__dict__.copy())


class AuthenticationError(LimeError):
    """The token is missing or refused."""


class AgentInactiveError(AuthenticationError):
    """The agent was switched off by its owner (``AGENT_INACTIVE``)."""


class AgentUserSuspendedError(AuthenticationError):
    """The account of the agent's owner is suspended (``AGENT_USER_SUSPENDED``)."""


class RequestExpiredError(LimeError):
    """A login request, or the passport made for it, has expired."""


class InvalidPassportError(LimeError):
    """A passport that must not be trusted."""


class PassportExpiredError(RequestExpiredError, InvalidPassportError):
    """A passport that was good once and has expired.

    The published package documents ``RequestExpiredError`` for this and raises
    ``InvalidPassportError``; this is both, so either ``except`` catches it.
    """


class InvalidTokenError(LimeError):
    """An access token that an MCP server must not trust; ``code`` says why.

    One of ``missing_token``, ``ambiguous_token``, ``malformed``, ``unknown_key``, ``bad_signature``,
    ``invalid_claim``, ``not_yet_valid``, ``expired``, ``wrong_issuer``, ``wrong_audience``,
    ``forbidden_claim``, ``missing_subject``, ``missing_domain``, ``invalid_domain``, ``wrong_domain``.
    """

    kind: str | None = "invalid_token"


class PowTimeoutError(LimeError):
    """The proof of work was not solved within its budget, or nobody could solve it."""


class RateLimitError(LimeError):
    """HTTP 429: too many requests; ``retry_after`` says how long to wait, if the platform does."""


class ApiError(LimeError):
    """Any other error that the platform reports."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        http_status: int,
        detail: dict[str, Any] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Make the error; the library does, and tests of programs.

        Args:
            code: The platform's own code.
            message: What happened, for people.
            http_status: Status of the answer that the error was read from.
            detail: The platform's ``detail`` object.
            request_id: The login request that the failed call was about.
            retry_after: Seconds that the platform asked to wait before the next try.
        """
        super().__init__(
            message,
            code=code,
            http_status=http_status,
            detail=detail,
            request_id=request_id,
            retry_after=retry_after,
        )


class AuthUnavailableError(ApiError):
    """The platform cannot look at agents' tokens at the moment (``AUTH_UNAVAILABLE``); try again later."""


class SiteAuthUnavailableError(ApiError):
    """The platform cannot look at sites' tokens at the moment (``SITE_TOKEN_AUTH_UNAVAILABLE``); try again later."""


class OutcomeUnknownError(LimeError):
    """An approval was sent and its answer got lost: the site may have let the agent in.

    Do not count it as failed. ``request_id`` names the login request.
    """


class OAuthCapabilityError(ApiError):
    """The platform gives this agent no tokens for MCP servers: it lacks the grant ``oauth:mcp``."""


class McpAuthenticationError(LimeError):
    """An MCP server refuses the token, also the new one that was fetched when it refused the first."""


class McpError(LimeError):
    """An MCP server reports an error, as JSON-RPC or by its HTTP status.

    Where ``mcp`` is installed, what is raised is an ``mcp.McpError``, too.

    Attributes:
        code: The number of the JSON-RPC error as a text, or ``HTTP_<status>``.
        detail: Its ``code`` and its ``data``.
    """


class LoginTimeoutError(LimeError, TimeoutError):
    """No agent signed in within the time that the caller gave."""


_CLASSES: dict[str, type[LimeError]] = {
    "timeout": LoginTimeoutError,
    "outcome_unknown": OutcomeUnknownError,
    "rate_limit": RateLimitError,
    "authentication": AuthenticationError,
    "api": ApiError,
    "agent_inactive": AgentInactiveError,
    "agent_user_suspended": AgentUserSuspendedError,
    "auth_unavailable": AuthUnavailableError,
    "site_auth_unavailable": SiteAuthUnavailableError,
    "invalid_passport": InvalidPassportError,
    "passport_expired": PassportExpiredError,
    "invalid_token": InvalidTokenError,
    "pow_timeout": PowTimeoutError,
    "pow_difficulty": PowTimeoutError,
    "oauth_capability": OAuthCapabilityError,
    "mcp_authentication": McpAuthenticationError,
    "mcp": McpError,
}


def from_native(
    kind: str,
    message: str,
    code: str | None,
    http_status: int | None,
    detail: dict[str, Any] | None,
    request_id: str | None,
    retry_after: float | None,
) -> Exception:
    """Make the exception for a native error."""
    if kind == "invalid_argument":
        return ValueError(message)
    cls = _CLASSES.get(kind, LimeError)
    error = cls.__new__(cls, message)
    # Past ApiError's own signature: all classes take the same fields.
    LimeError.__init__(
        error,
        message,
        code=code,
        http_status=http_status,
        detail=detail,
        request_id=request_id,
        retry_after=retry_after,
    )
    error.kind = kind
    return error


def _rebuild(cls: type[LimeError], args: tuple[Any, ...], state: dict[str, Any]) -> LimeError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error
