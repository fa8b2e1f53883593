"""One approval: where it stands, and ways to wait until it is decided."""

from __future__ import annotations

import math

from sesame_sdk.exceptions import ApprovalTimeout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from lime_sdk._progress import WaitProgress, WaitReporter
    from sesame_sdk.approvals import Approvals, AsyncApprovals

    # approval_id, status, expires_at, decided_at, requester_label, note
    Stamp = tuple[int, int | None]
    State = tuple[str, str, Stamp | None, Stamp | None, str | None, str | None]

# Terminal states: no further decision can change them.
TERMINAL_STATUSES = frozenset({"approved", "denied", "expired"})


def _reporter(on_progress: Callable[[WaitProgress], object] | None, timeout: float) -> WaitReporter | None:
    if on_progress is None:
        return None
    from lime_sdk._progress import WaitReporter

    return WaitReporter(on_progress, timeout)


def _as_given(error: ApprovalTimeout, timeout: float) -> None:
    """Say the time as the caller wrote it, ``1`` or ``1.0``, which a number of seconds does not know."""
    import re

    error.args = (re.sub(r"(?<= not decided within )\S+(?=s )", f"{timeout}", str(error), count=1),)


class _Approval:
    """What both kinds of approvals know."""

    def __init__(self, approval_id: str, status: str, expires_at: datetime | None) -> None:
        self.approval_id = approval_id
        self.status: str = status
        self.expires_at = expires_at
        self.decided_at: datetime | None = None
        self.requester_label: str | None = None
        self.note: str | None = None

    @property
    def approved(self) -> bool:
        """Whether a human granted it. Nothing else means "go on"."""
        return self.status == "approved"

    @property
    def is_terminal(self) -> bool:
        """Whether no further decision can change it."""
        return self.status in TERMINAL_STATUSES

    def _apply(self, state: State) -> None:
        from lime_sdk._times import from_native

        _, self.status, expires_at, decided_at, self.requester_label, self.note = state
        # The answer to a trigger need not have it; what is known stays.
        if expires_at is not None:
            self.expires_at = from_native(expires_at)
        self.decided_at = None if decided_at is None else from_native(decided_at)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(approval_id={self.approval_id!r}, status={self.status!r})"


class Approval(_Approval):
    """An approval that was asked for.

    Attributes:
        approval_id: Another process can pick it up by this: ``client.approvals.get(approval_id)``.
        status: ``pending``, ``approved``, ``denied`` or ``expired``, as of the last answer.
        expires_at: When it expires undecided, where the broker tells.
        decided_at: When it was decided, where the broker tells.
        requester_label: Who asked, by the name that the broker has for the key; where it tells.
        note: What the human wrote beside the decision, where the broker tells.
    """

    def __init__(
        self, approval_id: str, status: str, approvals: Approvals, expires_at: datetime | None = None
    ) -> None:
        """Made by :class:`~sesame_sdk.approvals.Approvals`; programs do not make one."""
        super().__init__(approval_id, status, expires_at)
        self._approvals = approvals

    def refresh(self, *, wait: bool = False) -> Approval:
        """Ask the broker where it stands.

        Args:
            wait: Let the broker hold its answer until there is a decision, for half a minute at most.

        Raises:
            ApprovalError: As :meth:`Approvals.get <sesame_sdk.approvals.Approvals.get>`.
        """
        self._apply(self._approvals._state(self.approval_id, wait))  # pyright: ignore[reportPrivateUsage]
        return self

    def wait(
        self,
        timeout: float | None = 300.0,
        poll_interval: float = 2.0,
        *,
        on_progress: Callable[[WaitProgress], object] | None = None,
    ) -> Approval:
        """Block until it is decided, whichever way. Ctrl-C interrupts it.

        Broker restarts, broken connections and polls that hang are ridden out.

        Args:
            timeout: Seconds to wait at most; ``None`` waits for ever.
            poll_interval: The least time in seconds between two questions to the broker. It matters
                only when the broker does not hold its answers back.
            on_progress: Called on this thread with a :class:`WaitProgress`, at once and a few times a
                second, until it is decided. What it raises ends the wait.

        Raises:
            ApprovalTimeout: Nobody decided in time.
            SesameAuthError: The broker rejects the API key.
            NotFoundError: The broker does not know this approval.
            TypeError: ``on_progress`` is a coroutine function, which nobody would await.

        Example::

            if approval.wait(timeout=60).approved:
                run_deletion()

            with rich.status.Status("waiting") as status:
                approval.wait(on_progress=lambda wait: status.update(f"{wait.left:.0f} s left"))
        """
        if not self.is_terminal:
            patience = math.inf if timeout is None else timeout
            report = _reporter(on_progress, patience)
            decided = self._approvals._decided  # pyright: ignore[reportPrivateUsage]
            try:
                state = decided(self.approval_id, patience, poll_interval, report)
            except ApprovalTimeout as error:
                _as_given(error, patience)
                raise
            self._apply(state)
        return self


class AsyncApproval(_Approval):
    """An approval that was asked for with :class:`~sesame_sdk.AsyncSesame`; see :class:`Approval`."""

    def __init__(
        self, approval_id: str, status: str, approvals: AsyncApprovals, expires_at: datetime | None = None
    ) -> None:
        """Made by :class:`~sesame_sdk.approvals.AsyncApprovals`; programs do not make one."""
        super().__init__(approval_id, status, expires_at)
        self._approvals = approvals

    async def refresh(self, *, wait: bool = False) -> AsyncApproval:
        """Ask the broker where it stands; see :meth:`Approval.refresh`."""
        self._apply(await self._approvals._state(self.approval_id, wait))  # pyright: ignore[reportPrivateUsage]
        return self

    async def wait(
        self,
        timeout: float | None = 300.0,
        poll_interval: float = 2.0,
        *,
        on_progress: Callable[[WaitProgress], object] | None = None,
    ) -> AsyncApproval:
        """Wait until it is decided; see :meth:`Approval.wait`. The loop stays free meanwhile.

        Cancelling ends the question to the broker at once.
        """
        if not self.is_terminal:
            patience = math.inf if timeout is None else timeout
            report = _reporter(on_progress, patience)
            decided = self._approvals._decided  # pyright: ignore[reportPrivateUsage]
            try:
                state = await decided(self.approval_id, patience, poll_interval, report)
            except ApprovalTimeout as error:
                _as_given(error, patience)
                raise
            self._apply(state)
        return self
