"""``require_approval``: a function that runs only if a human approves the call.

The gate fails closed: whatever goes wrong between the call and the decision – the broker is down, the
connection breaks, nobody answers, an argument of the gate itself raises – the function does not run.
"""

from __future__ import annotations

import contextlib
import functools
import inspect

from sesame_sdk._arguments import automatic_key, bound, fingerprint, masked, preview
from sesame_sdk.approvals import Approvals, AsyncApprovals
from sesame_sdk.client import AsyncSesame, Sesame
from sesame_sdk.exceptions import ApprovalDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Literal, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["require_approval"]

# Lazily built, shared by decorators that do not pass their own.
_default_client: Sesame | None = None

_DEFAULT_POLL_INTERVAL = 2.0


def _get_default_client() -> Sesame:
    # Without a lock, which a fork could leave held; two threads at once make one client too many.
    global _default_client
    if _default_client is None:
        _default_client = Sesame()
    return _default_client


def require_approval(
    action: str,
    *,
    summary: str | Callable[..., Any] | None = None,
    reason: str | Callable[..., Any] | None = None,
    timeout: float | None = 300.0,
    client: Sesame | AsyncSesame | Any | None = None,
    context: dict[str, Any] | Callable[..., Any] | Literal["auto"] | None = None,
    dedup_key: str | Callable[..., Any] | None = None,
    severity: str | Callable[..., Any] | None = None,
    callback_url: str | Callable[..., Any] | None = None,
    poll_interval: float | Callable[..., Any] = _DEFAULT_POLL_INTERVAL,
    when: bool | Callable[..., Any] = True,
    redact: Iterable[str] | Callable[[dict[str, Any]], dict[str, Any]] = (),
    bind: Iterable[str] | None = None,
) -> Callable[[F], F]:
    """Gate a function behind a human approval.

    Each call asks for an approval and waits; the function runs once it is granted, and only then. Works
    on functions, ``async def`` functions (the event loop stays free), generators and async generators
    (asked when they are first advanced), methods, class methods and static methods.

    An approval counts for the call that it was asked for. The call's arguments are bound when the human
    is asked; if data in them has changed when the decision comes, :class:`ApprovalDenied` is raised with
    the reason ``args_changed``. An approval lets one call through: another one that attaches to it by its
    ``dedup_key`` is denied with the reason ``already_used`` (this process remembers that; see below).

    Every argument from ``summary`` to ``when`` except ``timeout`` and ``client`` may be a function of the
    call's arguments, for ``async def`` functions also a coroutine function.

    Args:
        action: What kind of operation it is, such as ``"payments.refund"``.
        summary: One line for the human; made from the action and the function's name if left out.
        reason: Why it is asked for.
        timeout: Seconds to wait for a decision; ``None`` waits for ever.
        client: The client to ask with, blocking or not; one made from the environment if left out.
        context: More for the human to look at. ``"auto"`` shows the arguments, with what looks like a
            secret by its name masked.
        dedup_key: Names the operation: calls with the same key share one approval, also from another
            process, so that a call that was cut off can be made again and finds its decision. The
            broker cannot compare arguments, so the key must say all that matters; ``"auto"`` makes it
            from the action and the arguments.
        severity: How much is at stake, such as ``"high"``.
        callback_url: Where the broker reports the decision too, see ``verify_webhook``.
        poll_interval: The least time in seconds between two questions to the broker.
        when: Gate only if this is true; the function runs without asking where it is false.
        redact: Names whose values are masked in the context at any depth, or a function that makes of
            the context what may be shown.
        bind: The names of the arguments that the approval is bound to; all of them if left out. For
            calls with incidental arguments, such as a text that is never twice the same.

    Raises:
        ApprovalDenied: (from the call) Denied, expired, arguments changed, or approval already used.
        ApprovalTimeout: (from the call) Nobody decided in time.
        ApprovalError: (from the call) The broker could not be reached or refused.
        TypeError: (from the call) The function does not take these arguments; nobody is asked.

    A process that dies between the decision and the end of the function does not know, when it makes the
    call again with the same ``dedup_key``, that it had begun: make the function itself safe to repeat, or
    give it the key as an idempotency key of its own.

    Example::

        @require_approval(
            "payments.refund",
            summary=lambda amount, **_: f"Refund ${amount/100:.2f} to customer",
            dedup_key=lambda amount, customer_id: f"refund-{customer_id}-{amount}",
            when=lambda amount, **_: amount > 10_000,
            timeout=300,
        )
        def issue_refund(amount: int, customer_id: str) -> None:
            ...
    """
    gate = _Gate(
        action=action,
        when=when,
        summary=summary,
        reason=reason,
        timeout=timeout,
        client=client,
        context=context,
        dedup_key=dedup_key,
        severity=severity,
        callback_url=callback_url,
        poll_interval=poll_interval,
        redact=redact if callable(redact) else _names(redact),
        bind=None if bind is None else _names(bind),
    )
    return gate.around


def _names(names: Iterable[str]) -> tuple[str, ...]:
    # A single name is iterable too, and would mask its letters.
    return (names,) if isinstance(names, str) else tuple(names)


class _Gate:
    """The settings of one decorator."""

    def __init__(self, **settings: Any) -> None:
        self.action: str = settings.pop("action")
        self.client: Any = settings.pop("client")
        self.timeout: float | None = settings.pop("timeout")
        self.redact: Any = settings.pop("redact")
        self.bind: tuple[str, ...] | None = settings.pop("bind")
        # In the order in which they are worked out: `when` first, since it may end the matter.
        self.given: dict[str, Any] = settings

    def around(self, function: Any) -> Any:
        """The gated function, of the same kind as the function."""
        if isinstance(function, (classmethod, staticmethod)):
            return type(function)(self.around(function.__func__))
        wraps = functools.wraps(function)
        if inspect.iscoroutinefunction(function):

            @wraps
            async def gated_coroutine(*args: Any, **kwargs: Any) -> Any:
                await self.pass_async(function, args, kwargs)
                return await function(*args, **kwargs)

            return gated_coroutine
        if inspect.isasyncgenfunction(function):

            @wraps
            async def gated_async_generator(*args: Any, **kwargs: Any) -> Any:
                await self.pass_async(function, args, kwargs)
                inner = function(*args, **kwargs)
                try:
                    item = await inner.__anext__()
                    while True:
                        try:
                            sent = yield item
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            item = await inner.athrow(error)
                        else:
                            item = await inner.asend(sent)
                except StopAsyncIteration:
                    return
                finally:
                    await inner.aclose()

            return gated_async_generator
        if isinstance(self.client, AsyncSesame):
            raise TypeError(
                "An AsyncSesame cannot gate a function that blocks: pass a Sesame, or gate an async def"
            )
        if inspect.isgeneratorfunction(function):

            @wraps
            def gated_generator(*args: Any, **kwargs: Any) -> Any:
                self.pass_blocking(function, args, kwargs)
                return (yield from function(*args, **kwargs))

            return gated_generator

        @wraps
        def gated(*args: Any, **kwargs: Any) -> Any:
            self.pass_blocking(function, args, kwargs)
            return function(*args, **kwargs)

        return gated

    def pass_blocking(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Return if the call may run, raise if not."""
        call = _Call(self, function, args, kwargs)
        settings: dict[str, Any] = {}
        for name, setting in self.given.items():
            value = settings[name] = setting(*args, **kwargs) if callable(setting) else setting
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise TypeError(f"{name} is a coroutine function, which only an async def can be gated with")
            if name == "when" and not value:
                return
        client = _get_default_client() if self.client is None else self.client
        approval = client.approvals.trigger(*call.asked(settings), **call.options(settings))
        call.attach(approval)
        approval.wait(**self.patience(settings))
        call.admit(approval)

    async def pass_async(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Return if the call may run, raise if not. The loop stays free."""
        call = _Call(self, function, args, kwargs)
        settings: dict[str, Any] = {}
        for name, setting in self.given.items():
            value = setting(*args, **kwargs) if callable(setting) else setting
            settings[name] = await value if inspect.isawaitable(value) else value
            if name == "when" and not settings[name]:
                return
        approvals = self.async_approvals()
        asked, options = call.asked(settings), call.options(settings)
        if inspect.iscoroutinefunction(approvals.trigger):
            approval = await approvals.trigger(*asked, **options)
            call.attach(approval)
            await approval.wait(**self.patience(settings))
        else:
            # A client of the program's own that blocks.
            import asyncio

            approval = await asyncio.to_thread(approvals.trigger, *asked, **options)
            call.attach(approval)
            await asyncio.to_thread(approval.wait, **self.patience(settings))
        call.admit(approval)

    def async_approvals(self) -> Any:
        """The client's approvals in the form that does not block, where there is one."""
        client = _get_default_client() if self.client is None else self.client
        approvals = client.approvals
        if type(approvals) is Approvals:
            return AsyncApprovals(approvals._native, None)  # pyright: ignore[reportPrivateUsage]
        return approvals

    def patience(self, settings: dict[str, Any]) -> dict[str, Any]:
        """What to wait with. Only what was set: a client of the program's own may know no more."""
        interval = settings["poll_interval"]
        more = {} if interval == _DEFAULT_POLL_INTERVAL else {"poll_interval": interval}
        return {"timeout": self.timeout, **more}


class _Call:
    """One call of a gated function."""

    def __init__(self, gate: _Gate, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._gate = gate
        self._function = function
        self._arguments = bound(function, args, kwargs, gate.bind)
        # Before anybody is asked: what is shown is made from these arguments.
        self._before = fingerprint(self._arguments, identity=True)
        self._digest = fingerprint([gate.action, self._arguments], identity=False)
        self._shared = False

    def asked(self, settings: dict[str, Any]) -> tuple[str, str]:
        """Action and summary."""
        action, summary = self._gate.action, settings["summary"]
        if summary is None:
            name = getattr(self._function, "__name__", type(self._function).__name__)
            summary = f"Approval required for {action} (via {name})"
        return action, summary

    def options(self, settings: dict[str, Any]) -> dict[str, Any]:
        """The rest of what is asked for."""
        dedup_key = settings["dedup_key"]
        if dedup_key == "auto":
            dedup_key = automatic_key(self._gate.action, self._digest)
        self._shared = dedup_key is not None
        more = {
            "context": self._context(settings["context"]),
            "dedup_key": dedup_key,
            "severity": settings["severity"],
            "callback_url": settings["callback_url"],
        }
        # Only what was set: a client of the program's own may know no more.
        return {
            "reason": settings["reason"],
            **{name: value for name, value in more.items() if value is not None},
        }

    def _context(self, context: Any) -> Any:
        automatic = context == "auto"
        if automatic:
            context = preview(self._function, self._arguments)
        redact = self._gate.redact
        if context is None or (not redact and not automatic):
            return context
        if not callable(redact):
            return masked(context, redact, usual=automatic)
        return redact(masked(context, (), usual=True) if automatic else context)

    def attach(self, approval: Any) -> None:
        """Refuse an approval that this process has asked for with other arguments."""
        if self._shared and not _shared_approvals.attach(approval.approval_id, self._digest):
            raise self._denied(approval, "was asked for with other arguments", "args_changed")

    def admit(self, approval: Any) -> None:
        """Return if this approval lets this call run, now; raise if not."""
        if not approval.approved:
            raise self._denied(approval, f"was {approval.status}", None)
        if fingerprint(self._arguments, identity=True) != self._before:
            raise self._denied(approval, "does not count: the arguments have changed since", "args_changed")
        if self._shared and not _shared_approvals.use(approval.approval_id):
            raise self._denied(approval, "has let a call through before", "already_used")

    def _denied(self, approval: Any, why: str, reason: str | None) -> ApprovalDenied:
        return ApprovalDenied(
            f"Approval for {self._gate.action!r} {why}",
            approval_id=getattr(approval, "approval_id", None),
            status=getattr(approval, "status", None),
            reason=reason,
            note=getattr(approval, "note", None),
        )


class _SharedApprovals:
    """What this process knows of approvals that several calls can get by one ``dedup_key``.

    Every step is one operation on a dict, which is atomic: no lock, which a fork could leave held.
    """

    _MOST = 100_000

    def __init__(self) -> None:
        # By the approval's id, oldest first: the arguments that it was asked for with, and who used it.
        self._digests: dict[str, str] = {}
        self._used: dict[str, object] = {}

    def attach(self, approval_id: str, digest: str) -> bool:
        """Whether the approval, as far as is known, was asked for with these arguments."""
        known = self._digests.setdefault(approval_id, digest)
        self._trim(self._digests)
        return known == digest

    def use(self, approval_id: str) -> bool:
        """Let one call through; whether it is the first."""
        me = object()
        first = self._used.setdefault(approval_id, me) is me
        self._trim(self._used)
        return first

    def _trim(self, entries: dict[str, Any]) -> None:
        if len(entries) > self._MOST:
            # Another thread may be at it too; the next call looks again.
            with contextlib.suppress(RuntimeError, StopIteration):
                entries.pop(next(iter(entries)), None)


_shared_approvals = _SharedApprovals()
