"""Webhooks: the broker reports a decision by a POST that is signed with a shared secret.

The signature covers the raw body and nothing else. **The timestamp is not signed**: whoever has once
seen a delivery can send it again, at any later time, with a fresh timestamp; ``tolerance`` does not stop
that. Therefore, best first:

1. treat a webhook as a hint: read the approval with ``client.approvals.get(payload["approval_id"])``
   and act on that, once for each ``approval_id``;
2. record each ``approval_id`` where the decision takes effect, in the same transaction;
3. pass a :class:`ReplayGuard`, which does that in this process's memory.

The broker repeats a delivery whose answer got lost. A guard refuses it as ``replayed``: answer with 204, for
it was taken already; to any other answer the broker would send it yet again.
"""

from __future__ import annotations

import time

from lime_sdk import _native
from sesame_sdk.exceptions import WebhookBodyError, WebhookVerificationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Secrets = str | bytes | Iterable[str | bytes]

SIGNATURE_HEADER = "X-Sesame-Signature"
TIMESTAMP_HEADER = "X-Sesame-Timestamp"

__all__ = ["SIGNATURE_HEADER", "TIMESTAMP_HEADER", "ReplayGuard", "sign_webhook", "verify_webhook"]


class ReplayGuard:
    """Lets each webhook body in once. Make one per process and pass it to every ``verify_webhook``.

    Bodies whose signed ``decided_at`` lies further back than ``horizon`` are refused, so that it need
    not remember for ever. Safe to use from any thread; it knows one process only.

    Example::

        guard = ReplayGuard()
        try:
            payload = verify_webhook(headers, raw, secret, replay_guard=guard)
        except WebhookVerificationError as error:
            return 204 if error.reason == "replayed" else 400  # repeated by the broker, or nobody's
        try:
            handle(payload)
        except Exception:
            guard.forget(raw)  # the broker will send it once more
            raise
        return 204
    """

    def __init__(self, *, horizon: float = 86_400.0, capacity: int = 100_000) -> None:
        """Make a guard that remembers nothing yet.

        Args:
            horizon: Seconds that a decision may lie back.
            capacity: How many bodies to remember at most.

        Raises:
            ValueError: ``horizon`` is no number of seconds.
        """
        self._native = _native.ReplayGuard(horizon, max(1, capacity))

    def forget(self, body: bytes | str) -> bool:
        """Let a body in again, since it could not be handled.

        Args:
            body: The raw body that had been let in.

        Returns:
            Whether it had been.
        """
        return self._native.forget(_raw(body))


def verify_webhook(
    headers: Mapping[str, Any] | Iterable[tuple[Any, Any]],
    body: bytes | str,
    secret: Secrets,
    *,
    tolerance: float = 300,
    now: float | Callable[[], float] | None = None,
    replay_guard: ReplayGuard | None = None,
) -> dict[str, Any]:
    """Verify a webhook and return its payload.

    Never blocks; safe to call from any thread.

    Args:
        headers: The request's headers: a mapping or pairs, names in any case, values as text, bytes or
            lists of them; a WSGI environment (Django's ``request.META``) does too.
        body: The raw body, exactly as it arrived.
        secret: The webhook secret, or several while one replaces another.
        tolerance: Seconds that the timestamp may lie in the past or in the future.
        now: Unix time in seconds, or a function that gives it; ``time.time`` if left out.
        replay_guard: Refuses what it has seen before, as ``replayed``; answer that with 204. See the
            module's documentation.

    Raises:
        WebhookVerificationError: Whatever is wrong; its ``reason`` says what.

    Example::

        @app.post("/sesame/webhook")
        def sesame_webhook():
            try:
                payload = verify_webhook(request.headers, request.get_data(), SECRET)
            except WebhookVerificationError as error:
                app.logger.warning("refused: %s", error.reason)
                abort(400)
            ...
    """
    try:
        return _native.verify_webhook(
            headers,
            body if type(body) is bytes else _raw(body),
            secret if type(secret) is str else _secrets(secret),
            tolerance,
            time.time() if now is None else now() if callable(now) else now,
            None if replay_guard is None else replay_guard._native,  # pyright: ignore[reportPrivateUsage]
        )
    except WebhookVerificationError:
        raise
    except Exception as error:
        # An object that cannot be read is no header, no body and no secret: whoever calls this must be
        # able to rely on there being one exception.
        refusal = WebhookVerificationError(f"Webhook could not be verified: {error}")
        refusal.reason = "invalid_argument"
        raise refusal from error


def sign_webhook(body: bytes | str, secret: str | bytes, *, timestamp: float | None = None) -> dict[str, str]:
    """Sign a body as the broker does: for the tests of programs that receive webhooks.

    Args:
        body: The raw body.
        secret: The webhook secret.
        timestamp: Unix time of sending in seconds; the current time if left out.

    Returns:
        The two headers.

    Raises:
        WebhookVerificationError: The secret is empty.

    Example::

        raw = json.dumps({"approval_id": "ap_1", "action": "db.delete", "status": "approved"})
        response = client.post("/sesame/webhook", data=raw, headers=sign_webhook(raw, SECRET))
    """
    moment = time.time() if timestamp is None else timestamp
    signature, sent = _native.sign_webhook(_raw(body), _secret(secret), max(0, int(moment)))
    return {SIGNATURE_HEADER: signature, TIMESTAMP_HEADER: sent}


def _raw(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return _encoded(body)
    if isinstance(body, (bytearray, memoryview)):
        return bytes(body)
    raise WebhookBodyError(
        f"The body must be the raw bytes of the request, not {type(body).__name__}: the signature covers "
        "them exactly (Flask: request.get_data(), FastAPI and Starlette: await request.body(), "
        "Django: request.body)"
    )


def _encoded(text: str | bytes | bytearray | memoryview) -> bytes:
    # A lone surrogate is no text that anybody has signed: as bytes it is refused like any other.
    return str.encode(text, "utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)


def _secret(secret: Any) -> bytes:
    # Whatever else it is, nobody has agreed on it: it counts as none and is refused.
    return _encoded(secret) if isinstance(secret, (str, bytes, bytearray, memoryview)) else b""


def _secrets(secret: Any) -> list[bytes]:
    single = isinstance(secret, (str, bytes, bytearray, memoryview)) or not hasattr(secret, "__iter__")
    # The keys of a mapping are names of secrets.
    if single or hasattr(secret, "keys"):
        return [_secret(secret)]
    return [_secret(each) for each in secret]
