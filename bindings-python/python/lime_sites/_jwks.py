"""What tests of programs call between two tests; here there is nothing to be done.

The published package keeps the signing keys of all platforms in one place for the whole process. Here
they belong to the client that fetched them, so that a new client begins without any.
"""

from __future__ import annotations

__all__ = ["clear_jwks_cache"]


def clear_jwks_cache() -> None:
    """Do nothing: no keys outlive their client."""
