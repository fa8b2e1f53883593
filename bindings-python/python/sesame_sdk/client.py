"""The clients of the Sesame broker."""

from __future__ import annotations

import math

from lime_sdk import _native
from lime_sdk._client import carrier_for, load_results
from sesame_sdk.approvals import Approvals, AsyncApprovals
from sesame_sdk.exceptions import SesameAuthError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import httpx
    from typing_extensions import Self

DEFAULT_BASE_URL = "https://getsesame.dev"


def _native_client(
    api_key: str | None,
    base_url: str | None,
    timeout: float | None,
    max_retries: int,
    poll_timeout: float,
    tls_pins: Sequence[str],
    transport: _native.HostTransport | None = None,
) -> _native.Sesame:
    load_results("lime_sdk._times")
    try:
        return _native.Sesame(
            api_key=api_key,
            base_url=base_url,
            timeout=math.inf if timeout is None else timeout,
            max_retries=max_retries,
            poll_timeout=poll_timeout,
            tls_pins=list(tls_pins),
            transport=transport,
        )
    except SesameAuthError as error:
        # There is no key; the published package says so with the class for wrong arguments.
        raise ValueError(str(error)) from None


class Sesame:
    """Client of the Sesame broker, blocking. :class:`AsyncSesame` is for event loops.

    Make one per API key and process; any number of threads may use it at once, and a forked child too.

    Example::

        client = Sesame()  # SESAME_API_KEY
        approval = client.approvals.trigger("db.delete", "Delete 1,204 rows from prod.orders")
        if approval.wait(timeout=300).approved:
            run_deletion()
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | None = 30.0,
        *,
        max_retries: int = 3,
        poll_timeout: float = 40.0,
        tls_pins: Sequence[str] = (),
    ) -> None:
        """Make the client; nothing is started or sent yet.

        Args:
            api_key: The key, ``sk_...``; else ``SESAME_API_KEY``.
            base_url: The broker; else ``SESAME_BROKER_URL``, else ``https://getsesame.dev``.
            timeout: Seconds that one attempt of a request may take; ``None`` is for ever.
            max_retries: Further attempts of a request after a failed one, where that is safe. Waits do
                not count: they go on until their own time is up.
            poll_timeout: Seconds after which a poll that the broker holds counts as hung. The broker
                holds one for up to 30 s.
            tls_pins: Public keys that the broker's server may have, beside the usual checks: SHA-256 of its
                certificate's SubjectPublicKeyInfo in base64, ``sha256/`` in front or not; else
                ``SESAME_TLS_PINS``, with commas between. Name the next key before it comes.

        Raises:
            ValueError: There is no API key, or a setting makes no sense.
        """
        self._native = _native_client(api_key, base_url, timeout, max_retries, poll_timeout, tls_pins)
        self.approvals: Approvals = Approvals(self._native)

    def close(self) -> None:
        """Refuse further calls."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class AsyncSesame:
    """Client of the Sesame broker for event loops. Make it anywhere, use it from any loop.

    Example::

        async with AsyncSesame() as client:
            approval = await client.approvals.trigger("db.delete", "Delete 1,204 rows")
            if (await approval.wait(timeout=300)).approved:
                await run_deletion()
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | None = 30.0,
        *,
        max_retries: int = 3,
        poll_timeout: float = 40.0,
        http_client: httpx.AsyncClient | None = None,
        tls_pins: Sequence[str] = (),
    ) -> None:
        """Make the client; nothing is started or sent yet.

        Args:
            api_key: See :class:`Sesame`.
            base_url: See :class:`Sesame`.
            timeout: See :class:`Sesame`. An injected ``http_client`` keeps its own time instead.
            max_retries: See :class:`Sesame`.
            poll_timeout: See :class:`Sesame`.
            http_client: Your own client; every byte goes through it, and it stays yours to close. With
                one, use this client from one loop at a time.
            tls_pins: See :class:`Sesame`. Not with an ``http_client``.

        Raises:
            ValueError: There is no API key, or a setting makes no sense.
        """
        self._carrier = carrier_for(http_client)
        transport = None if self._carrier is None else self._carrier.native
        self._native = _native_client(
            api_key, base_url, timeout, max_retries, poll_timeout, tls_pins, transport
        )
        self.approvals: AsyncApprovals = AsyncApprovals(self._native, self._carrier)

    async def aclose(self) -> None:
        """Refuse further calls. An injected ``http_client`` stays open."""
        self._native.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.aclose()
