"""The settings of a verifier."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


def _text(name: str, default: str) -> str:
    return os.environ.get(name, default)


def _number(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


@dataclass(frozen=True, slots=True)
class LimeConfig:
    """How to verify access tokens. What is left out comes from the environment.

    Attributes:
        base_url: The platform's origin, without ``/api/v1`` (``LIME_BASE_URL``).
        audience: Whom tokens must be for (``LIME_OAUTH_AUDIENCE``).
        cache_ttl: Seconds that signing keys are used before they are fetched again
            (``LIME_JWKS_CACHE_TTL_SECONDS``); a day at most.
        leeway_seconds: How far clocks may be apart (``LIME_JWT_VERIFY_LEEWAY_SECONDS``).
        min_refresh_seconds: The least time between two fetches that are not due
            (``LIME_JWKS_MIN_REFRESH_SECONDS``).
        allowed_algorithms: Must have ``RS256``, which is the only one that is accepted.
        user_agent: Sent when keys are fetched (``LIME_VERIFY_USER_AGENT``).
        http_timeout: Seconds that one attempt of a request may take.
        expected_domain: The host name that the server is reached by (``LIME_EXPECTED_DOMAIN``).
    """

    base_url: str = field(default_factory=lambda: _text("LIME_BASE_URL", "https://lime.pics").rstrip("/"))
    audience: str = field(default_factory=lambda: _text("LIME_OAUTH_AUDIENCE", "mcp"))
    cache_ttl: int = field(default_factory=lambda: _number("LIME_JWKS_CACHE_TTL_SECONDS", 3600))
    leeway_seconds: int = field(default_factory=lambda: _number("LIME_JWT_VERIFY_LEEWAY_SECONDS", 120))
    min_refresh_seconds: int = field(default_factory=lambda: _number("LIME_JWKS_MIN_REFRESH_SECONDS", 60))
    allowed_algorithms: tuple[str, ...] = ("RS256",)
    user_agent: str = field(default_factory=lambda: _text("LIME_VERIFY_USER_AGENT", "curl/8.5.0"))
    http_timeout: float = 30.0
    expected_domain: str | None = field(
        default_factory=lambda: _text("LIME_EXPECTED_DOMAIN", "").strip() or None
    )


def jwks_cache_ttl_seconds() -> int:
    """How long signing keys are used, in seconds, as the environment says.

    Raises:
        ValueError: The variable is no number.
    """
    return LimeConfig().cache_ttl
