"""What the middlewares have in common: the token in a request, and the answer to one that is not let in."""

from __future__ import annotations

from lime_sdk import _native
from lime_sdk._errors import LimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def bearer_token(authorization: Sequence[str]) -> str:
    """The token in a request's ``Authorization`` headers.

    Raises:
        InvalidTokenError: There is none, or there are several.
    """
    return _native.bearer_token(list(authorization))


def refusal(error: LimeError, resource_metadata: str | None) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the answer."""
    status, challenge, retry_after, text = _native.token_refusal(
        error.kind or "internal", error.code, str(error), error.retry_after, resource_metadata
    )
    body = text.encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if challenge is not None:
        headers.append(("WWW-Authenticate", challenge))
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    return status, headers, body
