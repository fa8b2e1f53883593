"""The proof of work by the name that tests of programs import; the client does not come by here."""

from __future__ import annotations

from lime_sdk import _native

__all__ = ["solve"]


def solve(challenge: str, difficulty: int, *, max_timeout: float = 10.0) -> str:
    """Find the smallest nonce for a challenge, with the digest of lime-agents-sdk 0.2.0. Blocks.

    Args:
        challenge: The platform's ``pow_challenge``.
        difficulty: Leading zero bits that the digest must have.
        max_timeout: Budget in seconds.

    Raises:
        PowTimeoutError: Not solved in time.
    """
    return _native.solve_pow(challenge, difficulty, "seed", max_timeout, 1)
