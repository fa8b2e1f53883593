"""What a verification gives."""

from __future__ import annotations

from dataclasses import dataclass

from lime_mcp_server._claims import McpAccessTokenClaims


@dataclass(frozen=True, slots=True)
class TokenValidationResult:
    """How a verification ended. It raises nothing for a bad token: look at ``is_valid``.

    Attributes:
        is_valid: Whether the token is the platform's, alive, and for this server.
        claims: The claims of a valid token.
        error: Why it is not valid, in a few words.
    """

    is_valid: bool
    claims: McpAccessTokenClaims | None = None
    error: str | None = None

    @property
    def agent_id(self) -> str | None:
        """The agent that shows the token (its claim ``sub``)."""
        return self._text("sub")

    @property
    def domain(self) -> str | None:
        """The host name that the token is for."""
        return self._text("domain")

    @property
    def valid_claims(self) -> McpAccessTokenClaims | None:
        """The claims, if the token is valid."""
        return self.claims if self.is_valid else None

    def _text(self, name: str) -> str | None:
        claims = self.valid_claims
        value = None if claims is None else claims.get(name)
        return value if isinstance(value, str) and value.strip() else None
