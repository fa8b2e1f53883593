"""The pure functions, for programs that do their own I/O."""

from __future__ import annotations

import json
import time
from datetime import datetime

from lime_sdk import _native, _times
from lime_sdk._native import EventParser

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

__all__ = [
    "EventParser",
    "open_envelope",
    "parse_frame",
    "parse_timestamp",
    "solve_pow",
    "verify_binding_passport",
    "verify_passport",
]


def solve_pow(
    challenge: str,
    difficulty: int,
    *,
    digest: Literal["seed", "today"] = "seed",
    timeout: float = 10.0,
    threads: int = 1,
) -> str:
    """Find the smallest nonce for a challenge. Blocks; other threads of the program go on.

    Args:
        challenge: The platform's ``pow_challenge``.
        difficulty: Leading zero bits that the digest must have.
        digest: Which of the platform's two digests to compute.
        timeout: Budget in seconds.
        threads: Threads that search; the nonce is the same for any number.

    Raises:
        PowTimeoutError: Not solved in time, or ``difficulty`` is above 256.
    """
    return _native.solve_pow(challenge, difficulty, digest, timeout, threads)


def verify_passport(
    jwt: str,
    *,
    jwks: Mapping[str, Any] | bytes,
    api_root: str = "https://lime.pics/api/v1",
    expected_request_id: str | None = None,
    require_issuer: bool = False,
    now: float | None = None,
) -> dict[str, Any]:
    """Verify a passport with keys that are at hand, and return its claims.

    Args:
        jwt: The passport.
        jwks: The platform's key document, bare or in its envelope, parsed or as bytes.
        api_root: The API root that the passport must come from.
        expected_request_id: The login request that it must be for.
        require_issuer: Refuse a passport without an ``iss`` claim.
        now: Unix time in seconds; the current time if left out.

    Raises:
        InvalidPassportError: It must not be trusted.
        PassportExpiredError: It has expired.
    """
    document = jwks if isinstance(jwks, bytes) else json.dumps(jwks).encode()
    moment = time.time() if now is None else now
    return _native.verify_passport(jwt, document, api_root, expected_request_id, require_issuer, moment)


def verify_binding_passport(
    jwt: str,
    *,
    jwks: Mapping[str, Any] | bytes,
    api_root: str = "https://lime.pics/api/v1",
    expected_binding_id: str | None = None,
    require_issuer: bool = False,
    now: float | None = None,
) -> dict[str, Any]:
    """Verify a binding passport with keys that are at hand, and return its claims.

    Args:
        jwt: The passport.
        jwks: The platform's key document, bare or in its envelope, parsed or as bytes.
        api_root: The API root that the passport must come from.
        expected_binding_id: The binding that it must be for.
        require_issuer: Refuse a passport without an ``iss`` claim.
        now: Unix time in seconds; the current time if left out.

    Raises:
        InvalidPassportError: It must not be trusted.
        PassportExpiredError: It has expired.
    """
    document = jwks if isinstance(jwks, bytes) else json.dumps(jwks).encode()
    moment = time.time() if now is None else now
    return _native.verify_binding_passport(
        jwt, document, api_root, expected_binding_id, require_issuer, moment
    )


def open_envelope(http_status: int, body: bytes) -> dict[str, Any]:
    """Take the ``data`` out of an answer of the platform.

    Args:
        http_status: The answer's status.
        body: The answer's body.

    Raises:
        LimeError: The error that the platform reports, as the subclass that fits.
    """
    return _native.open_envelope(http_status, body)


def parse_frame(data: str) -> tuple[str, ...]:
    """What the data of one event says: its kind, then its texts.

    Args:
        data: The data, as :class:`EventParser` gives it.

    Returns:
        One of ``("keepalive",)``, ``("approved", request_id, passport)``, ``("expired", request_id)``,
        ``("error", code, message)``, ``("ignored",)``, ``("malformed", reason)``.
    """
    return _native.parse_frame(data)


def parse_timestamp(text: str) -> datetime:
    """Read ISO 8601 with ``Z`` or an offset as an aware datetime.

    Args:
        text: The text; without a zone it is taken for UTC.

    Raises:
        ValueError: The text is no point in time.
    """
    return _times.parse(text)
