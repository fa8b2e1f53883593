"""The exception classes, and which kind of native error becomes which."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal


class ApprovalError(Exception):
    """Base class of every error of the package. Whatever it is: the operation must not run.

    Attributes:
        approval_id: The approval that the failed call was about.
        http_status: Status of the broker's answer.
        retry_after: Seconds that the broker asked to wait before the next try.
        kind: The name of the error's kind, the same in every language of the library.
    """

    approval_id: str | None = None
    http_status: int | None = None
    retry_after: float | None = None
    kind: str | None = None


class SesameAuthError(ApprovalError):
    """The broker rejects the API key (HTTP 401)."""


class NotFoundError(ApprovalError):
    """The broker does not know this approval (HTTP 404)."""


class SesameRateLimitError(ApprovalError):
    """HTTP 429: too many requests; ``retry_after`` says how long to wait, if the broker does."""


class SesameConnectionError(ApprovalError):
    """The broker could not be reached, or the connection broke off."""


class SesameTimeoutError(SesameConnectionError, TimeoutError):
    """The broker did not answer in time. (No *decision* in time is :class:`ApprovalTimeout`.)"""


class OutcomeUnknownError(ApprovalError):
    """An approval was asked for and no answer came back: the human may have been asked.

    Asking again asks twice, unless the request has a ``dedup_key``; with one it is repeated by itself
    and this error does not occur.
    """


class ApprovalDenied(ApprovalError):
    """The operation must not run.

    Attributes:
        approval_id: The approval.
        status: ``denied`` or ``expired``; ``approved`` where ``reason`` says why that does not count.
        reason: ``denied`` or ``expired`` by the decision; ``args_changed``: the call's arguments are
            not those that were approved; ``already_used``: the approval has let a call through before,
            or may have, since it was granted before this call.
        note: What the human wrote beside the decision.
    """

    def __init__(
        self,
        message: str,
        *,
        approval_id: str | None = None,
        status: str | None = None,
        reason: Literal["denied", "expired", "args_changed", "already_used"] | str | None = None,
        note: str | None = None,
    ) -> None:
        """Make the error; the library does, and tests of programs.

        Args:
            message: What happened, for people.
            approval_id: The approval.
            status: Where it stands.
            reason: Why it does not count; ``status`` if left out.
            note: What the human wrote beside the decision.
        """
        super().__init__(message)
        self.approval_id = approval_id
        self.status = status
        self.reason: str | None = status if reason is None else reason
        self.note = note


class ApprovalTimeout(ApprovalError):
    """Nobody decided within the caller's timeout. A decision that comes later does not run this call."""

    def __init__(self, message: str, *, approval_id: str | None = None) -> None:
        """Make the error; the library does, and tests of programs.

        Args:
            message: What happened, for people.
            approval_id: The approval.
        """
        super().__init__(message)
        self.approval_id = approval_id


class WebhookVerificationError(ApprovalError):
    """A webhook that must not be trusted.

    Attributes:
        reason: ``empty_secret``, ``missing_header``, ``malformed_header``, ``too_old``, ``too_new``,
            ``mismatch``, ``not_json``, ``not_an_object``, ``replayed`` or ``undatable`` (both by a
            :class:`~sesame_sdk.ReplayGuard`), ``invalid_argument`` (by the caller: a tolerance that
            is no time, a body that is no bytes, objects that cannot be read).
    """

    reason: str | None = None


class WebhookBodyError(WebhookVerificationError, TypeError):
    """The body is not the raw bytes of the request but something a framework made of them."""

    reason: str | None = "invalid_argument"


_CLASSES: dict[str, type[ApprovalError]] = {
    "timeout": ApprovalTimeout,
    "transport": SesameConnectionError,
    "transport_timeout": SesameTimeoutError,
    "outcome_unknown": OutcomeUnknownError,
    "rate_limit": SesameRateLimitError,
    "authentication": SesameAuthError,
    "not_found": NotFoundError,
    "webhook": WebhookVerificationError,
}


def from_native(
    kind: str,
    message: str,
    code: str | None,
    http_status: int | None,
    detail: dict[str, Any] | None,
    approval_id: str | None,
    retry_after: float | None,
) -> Exception:
    """Make the exception for a native error."""
    if kind == "invalid_argument":
        return ValueError(message)
    error = _CLASSES.get(kind, ApprovalError)(message)
    error.kind = kind
    error.approval_id = approval_id
    error.http_status = http_status
    error.retry_after = retry_after
    if isinstance(error, WebhookVerificationError):
        error.reason = code
    return error
