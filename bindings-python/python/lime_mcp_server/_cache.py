"""The platform's keys for access tokens."""

from __future__ import annotations

import json

from lime_sdk import _blocking, _bridge, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence
    from typing import Any

    import httpx

    from lime_mcp_server._carrier import SyncCarrier
    from lime_mcp_server._config import LimeConfig


def _logger() -> logging.Logger:
    import logging

    return logging.getLogger("lime.mcp_server")


class JwksCache:
    """The keys of one platform: fetched when they are needed, one fetch at a time, for any number of threads.

    While the platform cannot be reached, old keys serve for up to a day past their time. Verifiers of several
    host names may share one: ``TokenVerifier(expected_domain=..., cache=cache)``.
    """

    def __init__(
        self,
        config: LimeConfig,
        *,
        http_client: httpx.Client | None = None,
        tls_pins: Sequence[str] = (),
    ) -> None:
        """Make the cache; nothing is started or sent yet.

        Args:
            config: Where the platform is, and how long keys are used.
            http_client: Your own client; every byte goes through it, on one of the threads that need the keys,
                and it stays yours to close.
            tls_pins: Public keys that the platform's server may have, beside the usual checks: SHA-256 of its
                certificate's SubjectPublicKeyInfo in base64, ``sha256/`` in front or not; else
                ``LIME_TLS_PINS``, with commas between. Name the next key before it comes. Not with an
                ``http_client``.

        Raises:
            ValueError: A setting makes no sense.
        """
        self._config = config
        self._carrier: SyncCarrier | None = None
        if http_client is not None:
            from lime_mcp_server._carrier import SyncCarrier

            self._carrier = SyncCarrier(http_client)
        self._native = _native.TokenKeys(
            base_url=config.base_url,
            cache_ttl=config.cache_ttl,
            min_refresh=config.min_refresh_seconds,
            user_agent=config.user_agent,
            timeout=config.http_timeout,
            tls_pins=list(tls_pins),
            transport=None if self._carrier is None else self._carrier.native,
        )

    @property
    def fetch_count(self) -> int:
        """How many fetches have brought keys."""
        return self._native.fetches()

    def close(self) -> None:
        """Refuse further calls. An injected ``http_client`` stays open."""
        self._native.close()

    def warm(self) -> bool:
        """Fetch the keys ahead of the first token; whether there are any. A failure is logged."""
        try:
            self.refresh(force=True)
        except Exception:
            _logger().warning("JWKS cache warmup failed", exc_info=True)
            return False
        return True

    def invalidate(self) -> None:
        """Forget the keys; the next who needs one fetches them."""
        self._native.forget()

    def refresh(self, *, force: bool = False) -> None:
        """Fetch the keys.

        Args:
            force: Do nothing if that was done less than ``min_refresh_seconds`` ago and there are keys. (The
                name is the published package's.)

        Raises:
            LimeError: They cannot be had; those that are held stay.
        """
        self._call(self._native.refresh, self._native.refresh_blocking, not force)

    def get_jwks(self, kid: str | None) -> tuple[list[dict[str, Any]], str]:
        """The keys to look for one in, and the issuer; fetched if they are too old or without this one.

        Args:
            kid: The key's name; ``None`` for whatever keys there are.

        Raises:
            LimeError: They cannot be had.
        """
        issuer, document = self._call(self._native.find, self._native.find_blocking, kid)
        found = json.loads(document)
        return found.get("keys") or found["data"]["keys"], issuer

    def _call(self, start: Callable[..., int], block: Callable[..., Any], *args: Any) -> Any:
        if self._carrier is not None:
            return self._carrier.call(start, *args)
        _bridge.set_log_level()
        return _blocking.call(start, block, *args)
