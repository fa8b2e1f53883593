"""What a target of an MCP call means."""

from __future__ import annotations

from lime_sdk import _native

__all__ = ["extract_and_normalize_domain", "resolve_mcp_http_url"]


def checked(target: str) -> str:
    """The target, if it is a text at all."""
    if not isinstance(target, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("target must be a non-empty string")
    return target


def extract_and_normalize_domain(target: str) -> str:
    """The host name that tokens for a target are issued and kept for.

    Args:
        target: A URL or a host name; scheme, port and path are left out.

    Raises:
        ValueError: It is no public DNS name: a user name, an IP address in any spelling (``127.1``,
            ``2130706433``), ``localhost`` or another reserved name. No name is resolved for that.

    >>> extract_and_normalize_domain("https://Tools.Example.com:8443/mcp")
    'tools.example.com'
    """
    return _native.extract_and_normalize_domain(checked(target))


def resolve_mcp_http_url(target: str) -> str:
    """The address of the MCP server that a target means.

    Args:
        target: A URL, which is given back without white space around it and slashes at its end, or a
            host name, which stands for ``https://<host>/mcp``.

    Raises:
        ValueError: As :func:`extract_and_normalize_domain`.

    >>> resolve_mcp_http_url("tools.example.com")
    'https://tools.example.com/mcp'
    """
    return _native.resolve_mcp_http_url(checked(target))
