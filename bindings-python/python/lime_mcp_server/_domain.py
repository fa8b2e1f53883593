"""The host names that access tokens are bound to."""

from __future__ import annotations

from lime_sdk import _native


def normalize_mcp_domain(raw: str) -> str:
    """The canonical form of a host name: in lower case, without scheme and path.

    Args:
        raw: A host name or a URL.

    Raises:
        ValueError: It has a user name or a port, or it is an address, a reserved name (``localhost``,
            ``*.internal``, ...) or no DNS name at all.
    """
    if not isinstance(raw, str):  # pyright: ignore[reportUnnecessaryIsInstance] - programs that are not checked
        raise ValueError("domain is required")
    return _native.normalize_mcp_domain(raw)
