"""``require_approval``: a function that runs only if a human approves the call.

The gate fails closed: whatever goes wrong between the call and the decision – the broker is down, the
connection breaks, nobody answers, an argument of the gate itself raises – the function does not run.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
import os
import sys
from collections.abc import Iterable, Mapping

from sesame_sdk._arguments import Arguments, automatic_key, function_name
from sesame_sdk._preview import masked, preview
from sesame_sdk.approvals import AsyncApprovals, does_not_block_as_it_is
from sesame_sdk.client import AsyncSesame, Sesame
from sesame_sdk.exceptions import ApprovalDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeVar

    from lime_sdk._progress import WaitProgress

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
    journal: str | os.PathLike[str] | None = None,
    on_progress: Callable[[WaitProgress], object] | None = None,
) -> Callable[[F], F]:
    """Gate a function behind a human approval.

    Each call asks for an approval and waits; the function runs once it is granted, and only then. Works
    on functions, ``async def`` functions (the event loop stays free), generators and async generators
    (asked when they are first advanced), methods, class methods and static methods.

    An approval counts for the call that it was asked for. The call's arguments are bound when the human
    is asked; if data in them has changed when the decision comes, :class:`ApprovalDenied` is raised with
    the reason ``args_changed``. Data is what can be written down: numbers, texts, containers, dataclasses,
    models, objects that can be pickled; of any size, and with all that they hold: fields, attributes that
    nobody declared, slots, private attributes. Two things are no change: that a ``cached_property`` has come
    to keep its value (another value in the place of one is), and what a class that is no dataclass or model
    leaves out by a ``__reduce__`` or ``__getstate__`` of its own. What cannot be pickled (connections, files,
    an object with a lock in it), functions, classes, and the object that a method belongs to unless it is a
    dataclass or a model, counts by which object it is: changes inside are not seen.

    An approval lets one call through, also one that then fails: another that attaches to it by its
    ``dedup_key`` is denied with the reason ``already_used``. This process remembers that; ``journal``
    makes every process that shares it remember.

    Every argument from ``summary`` to ``when`` except ``timeout`` and ``client`` may be a function of the
    call's arguments, for ``async def`` functions also a coroutine function. It must give what the argument
    takes, and not ``None``: a function that has forgotten to give something is a ``TypeError``, as is
    whatever else an argument does not take, before anybody is asked.

    Args:
        action: What kind of operation it is, such as ``"payments.refund"``.
        summary: One line for the human; made from the action and the function's name if left out.
        reason: Why it is asked for.
        timeout: Seconds to wait for a decision, from when the broker has taken the question; ``None``
            waits for ever. The client's own ``timeout`` and ``max_retries`` bound the question.
        client: The client to ask with, blocking or not; one made from the environment if left out.
        context: More for the human to look at. ``"auto"`` shows the arguments, with what looks like a
            secret by its name masked.
        dedup_key: Names the operation: calls with the same key share one approval, also from another
            process, so that a call that was cut off can be made again and finds its decision. The
            broker cannot compare arguments, so the key must say all that matters, and something that
            belongs to this one operation: without a ``journal``, a program that is started again is let
            through again. ``"auto"`` makes the key from the action, the function and its arguments, which
            must be data; what a function that was made inside another has from there is no part of
            it. Since every call like it has the same one, an approval that was granted before the call is
            denied (``already_used``) unless there is a ``journal``: also where a call like it has asked
            for it and given up (:class:`ApprovalTimeout`, Ctrl-C), in this process or another. While it is
            still pending, the next call like it waits for it instead of asking again.
        severity: How much is at stake, such as ``"high"``.
        callback_url: Where the broker reports the decision too, see ``verify_webhook``.
        poll_interval: The least time in seconds between two questions to the broker.
        when: Gate only if this is true; the function runs without asking where it is false. Nothing but a
            ``bool`` is either.
        redact: Names whose values are masked in the context at any depth, or a function that makes of
            the context what may be shown, as a dict.
        bind: The names of the arguments that the approval is bound to; all of them if left out. For
            calls with incidental arguments, such as a text that is never twice the same.
        journal: A folder in which each approval that has let a call through is noted, and the note
            synced to the disk, before the call runs. Processes that share it let each approval through
            once between them, whatever is started again or crashes, also the machine: at most once, never
            twice. Made if it is not there; a relative path is one from where the program is when it
            decorates. Where it cannot be written or synced, the call raises ``OSError`` and does not run.
        on_progress: Called with a :class:`WaitProgress` a few times a second while the decision is waited
            for, see :meth:`Approval.wait`. What it raises is raised from the call, which does not run.

    Raises:
        ApprovalDenied: (from the call) Denied, expired, arguments changed, or approval already used.
        ApprovalTimeout: (from the call) Nobody decided in time.
        ApprovalError: (from the call) The broker could not be reached or refused.
        TypeError: An argument of the gate is none. (From the call) The function does not take these
            arguments, or a function among the gate's has given something else; nobody is asked.
        ValueError: The same, for an empty ``dedup_key`` or ``journal``, or a number that is none.

    A client of the program's own that blocks gates an ``async def`` from a thread; cancelling the call does
    not end that thread's wait.

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
        action=_action(action),
        when=when,
        summary=summary,
        reason=reason,
        timeout=None if timeout is None else _seconds("timeout", timeout, "is"),
        client=client,
        context=context,
        dedup_key=dedup_key,
        severity=severity,
        callback_url=callback_url,
        poll_interval=poll_interval,
        redact=redact if callable(redact) else _names("redact", redact),
        bind=None if bind is None else _names("bind", bind),
        journal=None if journal is None else _folder(journal),
        on_progress=_progress(on_progress),
    )
    return gate.around


# What comes from a program is looked at before anybody is asked: what is not understood must not come to be
# what was left out. Only types are named in errors, since values may be secret.


def _action(action: Any) -> str:
    if not isinstance(action, str):
        raise TypeError('action is no text: a gate is written @require_approval("what.kind")')
    return action


def _names(option: str, names: Any) -> tuple[str, ...]:
    # A single name is iterable too, and would mask its letters.
    if isinstance(names, str):
        return (names,)
    found = tuple(names) if isinstance(names, Iterable) and not isinstance(names, bytes) else None
    if found is None or not all(isinstance(name, str) for name in found):
        raise _wrong(
            option, "is", names, "and takes names" + (" or a function" if option == "redact" else "")
        )
    return found


def _progress(on_progress: Any) -> Any:
    if on_progress is not None and not callable(on_progress):
        raise _wrong("on_progress", "is", on_progress, "and takes a function")
    if inspect.iscoroutinefunction(on_progress) or inspect.iscoroutinefunction(type(on_progress).__call__):
        raise TypeError("on_progress is a coroutine function, which nobody would wait for")
    return on_progress


def _seconds(option: str, value: Any, verb: str) -> float:
    from decimal import Decimal
    from numbers import Real

    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        raise _wrong(option, verb, value, "and takes seconds")
    seconds = float(value) if isinstance(value, Decimal) else value
    if seconds != seconds:
        raise ValueError(f"{option} {verb} not a number")
    return seconds  # type: ignore[return-value]


def _setting(option: str, value: Any, verb: str) -> Any:
    """What an option is, or what a function gave for it, if that is what it takes."""
    if option == "when":
        numpy = sys.modules.get("numpy")  # its comparisons give a bool of its own
        if isinstance(value, bool) or (numpy is not None and isinstance(value, numpy.bool_)):
            return bool(value)
        raise _wrong(option, verb, value, "which is neither true nor false")
    if option == "poll_interval":
        if not 0 <= (seconds := _seconds(option, value, verb)) < math.inf:
            raise ValueError(f"{option} {verb} {seconds}: it takes seconds")
        return seconds
    if value is None and verb == "is":
        return None  # left out; a function that gives it has more likely forgotten to give something
    if option == "context":
        if not isinstance(value, Mapping) and not (isinstance(value, str) and value == "auto"):
            raise _wrong(option, verb, value, 'and takes a dict or "auto"')
        return value
    if not isinstance(value, str):
        raise _wrong(option, verb, value, "and takes a text")
    if option == "dedup_key" and not value.strip():
        raise ValueError(
            f"{option} {verb} empty: calls that have nothing to do with each other would share it"
        )
    return value


def _wrong(option: str, verb: str, value: Any, why: str) -> TypeError:
    given = "None" if value is None else f"a {type(value).__qualname__}"
    if inspect.iscoroutine(value):
        value.close()
    return TypeError(f"{option} {verb} {given}, {why}")


def _folder(journal: str | os.PathLike[str]) -> str:
    path = os.fspath(journal)
    if not isinstance(path, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError("journal must be the path of a folder, as a text")
    if not path:
        raise ValueError("journal is empty: it must be the path of a folder")
    # Of now: a program that goes to another folder must not leave its journal behind.
    return os.path.abspath(path)


class _Gate:
    """The settings of one decorator."""

    def __init__(self, **settings: Any) -> None:
        self.action: str = settings.pop("action")
        self.client: Any = settings.pop("client")
        self.timeout: float | None = settings.pop("timeout")
        self.redact: Any = settings.pop("redact")
        self.bind: tuple[str, ...] | None = settings.pop("bind")
        self.journal: str | None = settings.pop("journal")
        self.on_progress: Any = settings.pop("on_progress")
        # In the order in which they are worked out: `when` first, since it may end the matter.
        self.given: dict[str, Any] = {
            name: setting if callable(setting) else _setting(name, setting, "is")
            for name, setting in settings.items()
        }

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
            value: Any = setting
            if callable(setting):
                value = setting(*args, **kwargs)
                if inspect.isawaitable(value):
                    if inspect.iscoroutine(value):
                        value.close()
                    raise TypeError(
                        f"{name} is a coroutine function, which only an async def can be gated with"
                    )
                value = _setting(name, value, "gave")
            if name == "when" and not value:
                return
            settings[name] = value
        client = _get_default_client() if self.client is None else self.client
        approval = client.approvals.trigger(*call.asked(settings), **call.options(settings))
        call.attach(approval)
        approval.wait(**self.patience(settings))
        call.admit(approval)
        if self.journal is not None:
            call.enter(approval)
            call.check_arguments(approval)

    async def pass_async(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Return if the call may run, raise if not. The loop stays free."""
        call = _Call(self, function, args, kwargs)
        settings: dict[str, Any] = {}
        for name, setting in self.given.items():
            value: Any = setting
            if callable(setting):
                value = setting(*args, **kwargs)
                awaited = inspect.isawaitable(value)
                value = _setting(name, await value if awaited else value, "gave")
                if name == "when" and awaited and not value:
                    call.check_arguments(None)
            if name == "when" and not value:
                return
            settings[name] = value
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
        if self.journal is not None:
            # It waits for the disk.
            import asyncio

            await asyncio.to_thread(call.enter, approval)
            call.check_arguments(approval)

    def async_approvals(self) -> Any:
        """The client's approvals in the form that does not block, where there is one."""
        client = _get_default_client() if self.client is None else self.client
        approvals = client.approvals
        if (native := does_not_block_as_it_is(approvals)) is not None:
            return AsyncApprovals(native, None)
        return approvals

    def patience(self, settings: dict[str, Any]) -> dict[str, Any]:
        """What to wait with. Only what was set: a client of the program's own may know no more."""
        interval = settings["poll_interval"]
        more = {} if interval == _DEFAULT_POLL_INTERVAL else {"poll_interval": interval}
        if self.on_progress is not None:
            more["on_progress"] = self.on_progress
        return {"timeout": self.timeout, **more}


class _Call:
    """One call of a gated function."""

    def __init__(self, gate: _Gate, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._gate = gate
        self._function = function
        self._arguments = Arguments(function, args, kwargs)
        if gate.bind is not None:
            self._arguments.only(gate.bind)
        # Before anybody is asked: what is shown is made from these arguments.
        self._before = self._arguments.fingerprint("identity")
        # Whether other calls can get the same approval, and whether by a key that nobody chose.
        self._shared = self._automatic = False

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
        self._shared, self._automatic = dedup_key is not None, dedup_key == "auto"
        if self._automatic:
            dedup_key = automatic_key(self._gate.action, self._function, self._arguments)
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
        automatic = isinstance(context, str)  # "auto"
        if automatic:
            context = preview(self._function, self._arguments.named)
        if context is None:
            return None
        redact = self._gate.redact
        if callable(redact):
            # A copy: it may change what it gets.
            shown = redact(masked(context, (), usual=automatic))
            if not isinstance(shown, Mapping):
                raise _wrong("redact", "gave", shown, "and what may be shown is a dict")
            return dict(shown)
        return masked(context, redact, usual=automatic)

    def attach(self, approval: Any) -> None:
        """Refuse an approval that is not, or may not be, this call's."""
        if not self._shared:
            return
        digest = f"{function_name(self._function)} {self._arguments.fingerprint('type')}"
        if _shared_approvals.attach(approval.approval_id, digest) != digest:
            raise self._denied(approval, "was asked for with other arguments", "args_changed")
        # A key that the call made by itself names every call like it: the one of yesterday, and the one
        # that gave up hours ago and that somebody may have made up for since.
        is_approved = approval.approved is True or getattr(approval, "status", None) == "approved"
        if self._automatic and is_approved and self._gate.journal is None:
            raise self._denied(approval, "was decided before this call asked for it", "already_used")

    def admit(self, approval: Any) -> None:
        """Return if this approval lets this call run, but for the journal; raise if not."""
        if approval.approved is not True:
            raise self._denied(approval, f"was {approval.status}", None)
        self.check_arguments(approval)
        if self._shared and not _shared_approvals.use(approval.approval_id):
            raise self._denied(approval, "has let a call through before", "already_used")

    def check_arguments(self, approval: Any) -> None:
        """Raise if the arguments are not those that were looked at. The last thing before the call runs."""
        if self._arguments.fingerprint("identity") != self._before:
            if approval is None:
                why = "was not asked for, and the arguments have changed while that was decided"
                raise self._denied(None, why, "args_changed")
            raise self._denied(approval, "does not count: the arguments have changed since", "args_changed")

    def enter(self, approval: Any) -> None:
        """Note in the journal that the approval is used; raise if it was. Any thread."""
        assert self._gate.journal is not None
        if not _enter(self._gate.journal, approval.approval_id):
            raise self._denied(approval, "has let a call through before", "already_used")

    def _denied(self, approval: Any, why: str, reason: str | None) -> ApprovalDenied:
        return ApprovalDenied(
            f"Approval for {self._gate.action!r} {why}",
            approval_id=getattr(approval, "approval_id", None),
            status=getattr(approval, "status", None),
            reason=reason,
            note=getattr(approval, "note", None),
        )


def _enter(journal: str, approval_id: str) -> bool:
    """Note in a folder that an approval was used; whether this is the first note of it.

    The file system decides between processes. What it has created it does not forget, not even when the
    machine stops, since it is on the disk before this returns.
    """
    made = [journal]  # and those above it that are not there yet
    while not os.path.isdir(os.path.dirname(made[-1])):
        made.append(os.path.dirname(made[-1]))
    os.makedirs(journal, exist_ok=True)
    name = hashlib.sha256(approval_id.encode("utf-8", "surrogatepass")).hexdigest()
    try:
        note = os.open(os.path.join(journal, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    try:
        os.fsync(note)
    finally:
        os.close(note)
    # Also where the folder was there: the process that has made it may not have come so far.
    for folder in (*made, os.path.dirname(made[-1])):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return True


class _SharedApprovals:
    """What this process knows of approvals that several calls can get by one ``dedup_key``.

    Every step is one operation on a dict, which is atomic: no lock, which a fork could leave held. It
    forgets nothing: an approval is as much work for a human as it is memory here.
    """

    def __init__(self) -> None:
        # By the approval's id: the call that it was asked for with, and who used it.
        self._calls: dict[str, str] = {}
        self._used: dict[str, object] = {}

    def attach(self, approval_id: str, call: str) -> str:
        """The call that the approval was asked for with; this one, if none is known."""
        return self._calls.setdefault(approval_id, call)

    def use(self, approval_id: str) -> bool:
        """Let one call through; whether it is the first."""
        me = object()
        return self._used.setdefault(approval_id, me) is me


_shared_approvals = _SharedApprovals()
