"""Verifying a token with keys that are at hand."""

from __future__ import annotations

import json
import time

from lime_sdk import _native
from lime_sdk._errors import InvalidTokenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lime_mcp_server._claims import McpAccessTokenClaims


def verify_mcp_access_token(
    token: str,
    *,
    issuer: str,
    audience: str,
    jwks_keys: list[dict[str, Any]],
    expected_domain: str,
    leeway_seconds: int = 120,
    allowed_algorithms: tuple[str, ...] = ("RS256",),
    now: float | None = None,
) -> McpAccessTokenClaims:
    """Verify an access token with keys that are at hand, and return its claims.

    Args:
        token: The JWT, without ``Bearer``.
        issuer: What ``iss`` must be, letter by letter.
        audience: Whom it must be for.
        jwks_keys: The ``keys`` of the platform's key document.
        expected_domain: The host name that it must be for, in canonical form.
        leeway_seconds: How far clocks may be apart.
        allowed_algorithms: Must have ``RS256``, which is the only one that is accepted.
        now: Unix time in seconds; the current time if left out.

    Raises:
        InvalidTokenError: It must not be trusted; ``code`` says why.
        ValueError: ``allowed_algorithms`` is without ``RS256``.
    """
    require_rs256(allowed_algorithms)
    document = json.dumps({"keys": jwks_keys}).encode()
    moment = time.time() if now is None else now
    claims = _native.verify_access_token(
        text_of(token), document, issuer, expected_domain, audience, leeway_seconds, moment
    )
    return claims  # type: ignore[return-value]


def require_rs256(allowed_algorithms: tuple[str, ...]) -> None:
    """Refuse settings under which no token could be right."""
    if "RS256" not in allowed_algorithms:
        raise ValueError("allowed_algorithms must have RS256: the platform signs with nothing else")


def text_of(token: object) -> str:
    """The token as a text; what is none is a token that must not be trusted."""
    if type(token) is str and token.isascii():  # as it always is
        return token
    if isinstance(token, (bytes, bytearray)):
        token = bytes(token).decode("utf-8", "replace")
    # Half of a surrogate pair cannot be handed over, and is in no token.
    if not isinstance(token, str) or not token.isascii():
        raise InvalidTokenError("JWT is not a text of base64url segments", code="malformed")
    return token
