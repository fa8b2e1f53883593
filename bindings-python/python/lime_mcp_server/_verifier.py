"""Verifies the access tokens that agents show to an MCP server."""

from __future__ import annotations

from lime_mcp_server._cache import JwksCache
from lime_mcp_server._config import LimeConfig
from lime_mcp_server._domain import normalize_mcp_domain
from lime_mcp_server._jwt import require_rs256, text_of, verify_mcp_access_token
from lime_mcp_server._types import TokenValidationResult
from lime_sdk import _bridge, _native
from lime_sdk._errors import InvalidTokenError, LimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lime_mcp_server._claims import McpAccessTokenClaims

# Programs compare these words.
_WORDS = {
    "expired": "Token expired",
    "wrong_issuer": "Invalid issuer",
    "wrong_audience": "Invalid audience",
    "missing_domain": "Missing domain claim",
    "invalid_domain": "Invalid domain claim",
    "wrong_domain": "Domain mismatch",
}


class TokenVerifier:
    """Verifies the access tokens that agents show to one MCP server.

    Make one per host name and process, anywhere; any number of threads and event loops may use it at once, and
    a forked child too. Verifying takes microseconds on the calling thread once the platform's keys are there.

    Example::

        verifier = TokenVerifier(expected_domain="tools.example.com")
        result = verifier.verify(token)  # the JWT alone, without "Bearer"
        if result.is_valid:
            agent_id = result.agent_id
    """

    def __init__(
        self,
        *,
        expected_domain: str | None = None,
        base_url: str | None = None,
        audience: str | None = None,
        cache_ttl: int | None = None,
        leeway_seconds: int | None = None,
        min_refresh_seconds: int | None = None,
        allowed_algorithms: tuple[str, ...] | None = None,
        config: LimeConfig | None = None,
        cache: JwksCache | None = None,
    ) -> None:
        """Make the verifier; nothing is started or sent yet.

        Args:
            expected_domain: The host name that this server is reached by; else ``config``'s, else
                ``LIME_EXPECTED_DOMAIN``. A URL will do, a port will not.
            base_url: The platform's origin, without ``/api/v1``; else ``LIME_BASE_URL``, else
                ``https://lime.pics``.
            audience: Whom tokens must be for; else ``LIME_OAUTH_AUDIENCE``, else ``mcp``.
            cache_ttl: Seconds that signing keys are used before they are fetched again; else
                ``LIME_JWKS_CACHE_TTL_SECONDS``, else 3600. A day at most.
            leeway_seconds: How far clocks may be apart; else ``LIME_JWT_VERIFY_LEEWAY_SECONDS``, else 120.
            min_refresh_seconds: The least time between two fetches that a token with an unknown key or a
                warm-up can cause; else ``LIME_JWKS_MIN_REFRESH_SECONDS``, else 60.
            allowed_algorithms: Must have ``RS256``, which is the only one that is accepted.
            config: All of these; other arguments come first.
            cache: Keys that others use, too; then the settings about fetching are the cache's.

        Raises:
            ValueError: There is no host name, it is none, or another setting makes no sense.
        """
        defaults = config or LimeConfig()
        pinned = expected_domain
        if pinned is None:
            pinned = defaults.expected_domain or LimeConfig().expected_domain
        if pinned is None or not pinned.strip():
            raise ValueError("expected_domain is required")

        def given(value: int | None, default: int) -> int:
            return default if value is None else value

        self._config = LimeConfig(
            base_url=(base_url or defaults.base_url).rstrip("/"),
            audience=audience or defaults.audience,
            cache_ttl=given(cache_ttl, defaults.cache_ttl),
            leeway_seconds=given(leeway_seconds, defaults.leeway_seconds),
            min_refresh_seconds=given(min_refresh_seconds, defaults.min_refresh_seconds),
            allowed_algorithms=allowed_algorithms or defaults.allowed_algorithms,
            user_agent=defaults.user_agent,
            http_timeout=defaults.http_timeout,
            expected_domain=normalize_mcp_domain(pinned),
        )
        require_rs256(self._config.allowed_algorithms)
        self._cache = JwksCache(self._config) if cache is None else cache
        # A test's own cache, or one that changes what ours does, is asked as the published package asks it.
        self._native: _native.TokenVerifier | None = None
        if type(self._cache) is JwksCache:
            self._native = _native.TokenVerifier(
                self._cache._native,  # pyright: ignore[reportPrivateUsage]
                expected_domain=self._config.expected_domain or "",
                audience=self._config.audience,
                leeway=self._config.leeway_seconds,
            )

    @property
    def config(self) -> LimeConfig:
        """The settings, with the host name in canonical form."""
        return self._config

    @property
    def cache(self) -> JwksCache:
        """The platform's keys."""
        return self._cache

    def warmup(self, *, raise_on_failure: bool = False) -> bool:
        """Fetch the platform's keys ahead of the first token, for the start of a server.

        Args:
            raise_on_failure: Raise instead of logging a warning and returning ``False``.

        Returns:
            Whether there are keys.

        Raises:
            LimeError: They cannot be had, with ``raise_on_failure``.
        """
        if raise_on_failure:
            self._cache.refresh(force=True)
            return True
        return self._cache.warm()

    async def verify_async(self, token: str) -> TokenValidationResult:
        """Verify a token without blocking the event loop.

        Args:
            token: The JWT alone, without ``Bearer``.

        Returns:
            See :meth:`verify`.
        """
        try:
            return _valid(await self.claims_async(token))
        except LimeError as error:
            return _refused(error)

    def verify(self, token: str) -> TokenValidationResult:
        """Verify a token; blocks only while the platform's keys are fetched.

        Args:
            token: The JWT alone, without ``Bearer``.

        Returns:
            The claims, or why it is not valid. An error that begins with ``Verification error`` says that the
            keys could not be had, and nothing of the token.
        """
        try:
            return _valid(self.claims(token))
        except LimeError as error:
            return _refused(error)

    def claims(self, token: str) -> McpAccessTokenClaims:
        """Like :meth:`verify`, but raising: for what has to tell a bad token from a platform that is away.

        Args:
            token: The JWT alone, without ``Bearer``.

        Raises:
            InvalidTokenError: It must not be trusted; ``code`` says why.
            LimeError: The keys could not be had.
        """
        text = text_of(token)
        native = self._native
        if native is None:
            return self._claims_with_another_cache(text)
        claims = native.verify_cached(text)
        if claims is None:
            claims = self._cache._call(native.verify, native.verify_blocking, text)  # pyright: ignore[reportPrivateUsage]
        return claims  # type: ignore[return-value]

    async def claims_async(self, token: str) -> McpAccessTokenClaims:
        """Like :meth:`claims`, without blocking the event loop.

        Args:
            token: The JWT alone, without ``Bearer``.

        Raises:
            InvalidTokenError: It must not be trusted; ``code`` says why.
            LimeError: The keys could not be had.
        """
        text = text_of(token)
        native = self._native
        if native is not None:
            claims = native.verify_cached(text)
            if claims is not None:
                return claims  # type: ignore[return-value]
            if self._cache._carrier is None:  # pyright: ignore[reportPrivateUsage]
                return await _bridge.current().call(False, None, native.verify, text)  # type: ignore[no-any-return]
        # The program's own client or cache blocks.
        from asyncio import to_thread

        return await to_thread(self.claims, token)

    def _claims_with_another_cache(self, token: str) -> McpAccessTokenClaims:
        try:
            keys, issuer = self._cache.get_jwks(_kid_of(token))
        except LimeError:
            raise
        except Exception as error:
            raise LimeError(str(error)) from error
        return verify_mcp_access_token(
            token,
            issuer=issuer,
            audience=self._config.audience,
            jwks_keys=keys,
            expected_domain=self._config.expected_domain or "",
            leeway_seconds=self._config.leeway_seconds,
            allowed_algorithms=self._config.allowed_algorithms,
        )

    def refresh_cache(self) -> None:
        """Fetch the platform's keys, unless that was done less than ``min_refresh_seconds`` ago.

        Raises:
            LimeError: They cannot be had; those that are held stay.
        """
        self._cache.refresh(force=True)

    def invalidate_cache(self) -> None:
        """Forget the platform's keys; the next verification fetches them."""
        self._cache.invalidate()

    def close(self) -> None:
        """Refuse further calls, of all verifiers with the same cache."""
        self._cache.close()

    def __enter__(self) -> TokenVerifier:
        return self

    def __exit__(self, *_args: Any) -> None:
        self.close()


def _valid(claims: McpAccessTokenClaims) -> TokenValidationResult:
    return TokenValidationResult(True, claims)


def _refused(error: LimeError) -> TokenValidationResult:
    if isinstance(error, InvalidTokenError):
        words = _WORDS.get(error.code or "") or f"Invalid token: {error}"
    else:
        words = f"Verification error: {error}"
    return TokenValidationResult(is_valid=False, error=words)


def _kid_of(token: str) -> str | None:
    import base64
    import json

    try:
        header = token.split(".")[0]
        kid = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))).get("kid")
    except (ValueError, AttributeError):
        return None
    return kid if isinstance(kid, str) else None
