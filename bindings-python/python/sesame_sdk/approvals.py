"""Ask for approvals, and pick them up again."""

from __future__ import annotations

from lime_sdk import _blocking
from sesame_sdk.approval import Approval, AsyncApproval

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from lime_sdk import _native
    from lime_sdk._http import HttpxTransport
    from sesame_sdk.approval import State

    Request = tuple[str, str, str | None, str | None, str | None, str | None, str | None]


def _request(
    action: str,
    summary: str,
    reason: str | None,
    dedup_key: str | None,
    callback_url: str | None,
    severity: str | None,
    context: dict[str, Any] | None,
) -> Request:
    text = None
    if context is not None:
        import json

        text = json.dumps(context, ensure_ascii=False, allow_nan=False)
    return action, summary, reason, dedup_key, callback_url, severity, text


class Approvals:
    """``client.approvals``: asks for approvals, blocking."""

    def __init__(self, native: _native.Sesame) -> None:
        """Made by :class:`~sesame_sdk.Sesame`."""
        self._native = native

    def trigger(
        self,
        action: str,
        summary: str,
        *,
        reason: str | None = None,
        dedup_key: str | None = None,
        callback_url: str | None = None,
        severity: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> Approval:
        """Ask a human for an approval. Returns at once, with the approval pending.

        Args:
            action: What kind of operation it is, such as ``"payments.refund"``.
            summary: One line for the human.
            reason: Why it is asked for.
            dedup_key: Names the operation: the same key gives the same approval, in whatever state it
                is, from any process. Only with one is a failed attempt repeated after it was sent.
            callback_url: Where the broker reports the decision, see ``verify_webhook``.
            severity: How much is at stake, such as ``"high"``.
            context: More for the human to look at; must be JSON. No secrets: people see it.

        Raises:
            SesameAuthError: The broker rejects the API key.
            OutcomeUnknownError: It was sent and no answer came back.
            SesameConnectionError: The broker could not be reached.
            ApprovalError: Any other failure.

        Example::

            approval = client.approvals.trigger("db.delete", "Delete 1,204 rows", severity="high")
            if approval.wait(timeout=300).approved:
                run_deletion()
        """
        self._set_log_level()
        request = _request(action, summary, reason, dedup_key, callback_url, severity, context)
        native = self._native
        return self._made(_blocking.call(native.trigger, native.trigger_blocking, request))

    def get(self, approval_id: str, *, wait: bool = False) -> Approval:
        """Pick up an approval by its id, in this process or another.

        Args:
            approval_id: The approval.
            wait: Let the broker hold its answer until there is a decision, for half a minute at most.

        Raises:
            NotFoundError: The broker does not know this approval.
            SesameAuthError: The broker rejects the API key.
            ApprovalError: Any other failure.
        """
        return self._made(self._state(approval_id, wait))

    def _state(self, approval_id: str, wait: bool) -> State:
        self._set_log_level()
        return _blocking.call(self._native.get, self._native.get_blocking, approval_id, wait)

    def _decided(
        self, approval_id: str, timeout: float, poll_interval: float, report: Callable[[], None] | None
    ) -> State:
        self._set_log_level()
        native = self._native
        return _blocking.call(
            native.wait, native.wait_blocking, approval_id, timeout, poll_interval, report=report
        )

    def _made(self, state: State) -> Approval:
        approval = Approval(state[0], state[1], self)
        approval._apply(state)  # pyright: ignore[reportPrivateUsage]
        return approval

    @staticmethod
    def _set_log_level() -> None:
        from lime_sdk import _bridge

        _bridge.set_log_level()


_TRIGGER, _WAIT = Approvals.trigger, Approval.wait


def does_not_block_as_it_is(approvals: Any) -> _native.Sesame | None:
    """The native client under these approvals, which can do the same without blocking.

    None where they, or the approvals that they give, are not what they were: a subclass, or a test that
    has put something of its own in place of a method. That must be called, not gone around.
    """
    if (
        type(approvals) is Approvals
        and "trigger" not in vars(approvals)
        and Approvals.trigger is _TRIGGER
        and Approval.wait is _WAIT
    ):
        return approvals._native  # pyright: ignore[reportPrivateUsage]
    return None


class AsyncApprovals:
    """``client.approvals`` of :class:`~sesame_sdk.AsyncSesame`; see :class:`Approvals`."""

    def __init__(self, native: _native.Sesame, carrier: HttpxTransport | None) -> None:
        """Made by :class:`~sesame_sdk.AsyncSesame`."""
        self._native = native
        self._carrier = carrier

    async def trigger(
        self,
        action: str,
        summary: str,
        *,
        reason: str | None = None,
        dedup_key: str | None = None,
        callback_url: str | None = None,
        severity: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> AsyncApproval:
        """Ask a human for an approval; see :meth:`Approvals.trigger`."""
        request = _request(action, summary, reason, dedup_key, callback_url, severity, context)
        return self._made(await self._call(self._native.trigger, request))

    async def get(self, approval_id: str, *, wait: bool = False) -> AsyncApproval:
        """Pick up an approval by its id; see :meth:`Approvals.get`."""
        return self._made(await self._state(approval_id, wait))

    async def _state(self, approval_id: str, wait: bool) -> State:
        state: State = await self._call(self._native.get, approval_id, wait)
        return state

    async def _decided(
        self, approval_id: str, timeout: float, poll_interval: float, report: Callable[[], None] | None
    ) -> State:
        wait = self._native.wait
        state: State = await self._call(wait, approval_id, timeout, poll_interval, report=report)
        return state

    async def _call(self, start: Any, *args: Any, report: Callable[[], None] | None = None) -> Any:
        from lime_sdk._client import call

        return await call(self._carrier, start, *args, report=report)

    def _made(self, state: State) -> AsyncApproval:
        approval = AsyncApproval(state[0], state[1], self)
        approval._apply(state)  # pyright: ignore[reportPrivateUsage]
        return approval
