"""The claims of an access token."""

from __future__ import annotations

from typing import TypedDict


class McpAccessTokenClaims(TypedDict):
    """The claims of an access token, as the platform issues them."""

    sub: str
    iss: str
    aud: str
    iat: int
    exp: int
    jti: str
    domain: str
