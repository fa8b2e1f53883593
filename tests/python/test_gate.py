"""`require_approval`: what runs, what does not, and what the human is shown."""

from __future__ import annotations

import array
import asyncio
import collections
import contextlib
import copy
import ctypes
import dataclasses
import enum
import fractions
import functools
import inspect
import ipaddress
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date, datetime, timedelta, tzinfo
from datetime import time as daytime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pydantic
import pytest
from conftest import Sandbox

from sesame_sdk import (
    ApprovalDenied,
    ApprovalError,
    ApprovalTimeout,
    AsyncSesame,
    Sesame,
    SesameConnectionError,
    require_approval,
)


class Broker:
    """A client of the program's own, as tests of gated functions have one: it decides by itself."""

    # Not id(): the next one may be made where this one was, and its approvals would count as used.
    numbers = itertools.count()

    def __init__(self, status: str = "approved", meanwhile: Callable[[], None] = lambda: None) -> None:
        self.number = next(self.numbers)
        self.approvals = self
        self.status = status
        self.meanwhile = meanwhile
        self.asked: list[dict[str, Any]] = []
        self.waited: list[dict[str, Any]] = []

    def trigger(self, action: str, summary: str, **more: Any) -> Any:
        self.asked.append({"action": action, "summary": summary, **more})
        key = more.get("dedup_key")
        approval = mock.Mock(approval_id=f"ap_{self.number}_{key or len(self.asked)}", status="pending")
        approval.approved = False
        approval.note = None

        def wait(**options: Any) -> None:
            self.waited.append(options)
            self.meanwhile()
            approval.status = self.status
            approval.approved = self.status == "approved"

        approval.wait.side_effect = wait
        return approval


def run(result: Any) -> Any:
    """Whatever a gated function gives, driven to its end."""
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if inspect.isgenerator(result):
        return list(result)
    if inspect.isasyncgen(result):

        async def collect() -> list[Any]:
            return [item async for item in result]

        return asyncio.run(collect())
    return result


class Kinds:
    """One function of each kind, gated by the same decorator."""

    def __init__(self, gate: Callable[[Any], Any], ran: list[str] | None = None) -> None:
        self.ran = ran = [] if ran is None else ran

        @gate
        def function(x: int) -> int:
            ran.append("function")
            return x

        @gate
        async def coroutine(x: int) -> int:
            ran.append("coroutine")
            return x

        @gate
        def generator(x: int) -> Iterator[int]:
            ran.append("generator")
            yield x

        @gate
        async def async_generator(x: int) -> AsyncIterator[int]:
            ran.append("async generator")
            yield x

        class Holder:
            @gate
            def method(self, x: int) -> int:
                ran.append("method")
                return x

            @gate
            async def coroutine_method(self, x: int) -> int:
                ran.append("coroutine method")
                return x

            @gate
            @classmethod
            def over_class_method(cls, x: int) -> int:
                ran.append(f"class method of {cls.__name__}")
                return x

            @classmethod
            @gate
            def under_class_method(cls, x: int) -> int:
                ran.append(f"class method of {cls.__name__}")
                return x

            @gate
            @staticmethod
            def static(x: int) -> int:
                ran.append("static")
                return x

        holder = Holder()
        self.all: dict[str, Callable[..., Any]] = {
            "function": function,
            "coroutine": coroutine,
            "generator": generator,
            "async generator": async_generator,
            "method": holder.method,
            "coroutine method": holder.coroutine_method,
            "class method, outside": Holder.over_class_method,
            "class method, inside": holder.under_class_method,
            "static": Holder.static,
            "partial": functools.partial(function),
        }


def test_every_kind_of_function_runs_once_when_approved_and_stays_what_it_is() -> None:
    broker = Broker()
    kinds = Kinds(require_approval("act", client=broker))
    for number, (name, function) in enumerate(kinds.all.items(), 1):
        assert run(function(7)) in (7, [7]), name
        assert len(kinds.ran) == len(broker.asked) == number, name
    assert inspect.iscoroutinefunction(kinds.all["coroutine"])
    assert inspect.iscoroutinefunction(kinds.all["coroutine method"])
    assert inspect.isgeneratorfunction(kinds.all["generator"])
    assert inspect.isasyncgenfunction(kinds.all["async generator"])
    assert kinds.all["function"].__name__ == "function"
    assert str(inspect.signature(kinds.all["coroutine"])) == "(x: 'int') -> 'int'"


@pytest.mark.parametrize("status", ["denied", "expired", "pending", "something else"])
def test_nothing_but_approved_lets_a_call_through(status: str) -> None:
    broker = Broker(status)
    kinds = Kinds(require_approval("act", client=broker))
    for function in kinds.all.values():
        with pytest.raises(ApprovalDenied) as caught:
            run(function(7))
        assert str(caught.value) == f"Approval for 'act' was {status}"
        assert (caught.value.status, caught.value.reason) == (status, status)
        assert caught.value.approval_id
    assert kinds.ran == []


@pytest.mark.parametrize("error", [ApprovalTimeout("late"), SesameConnectionError("down"), KeyError("bug")])
def test_whatever_goes_wrong_the_function_does_not_run(error: Exception) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    broker = Broker(meanwhile=fail)
    trigger = Broker()
    trigger.trigger = fail  # type: ignore[method-assign]
    settings: list[dict[str, Any]] = [{"client": broker}, {"client": trigger}]
    names = ("summary", "reason", "context", "dedup_key", "severity", "callback_url", "poll_interval", "when")
    settings += [{"client": Broker(), name: fail} for name in names]
    settings.append({"client": Broker(), "context": {"a": 1}, "redact": fail})
    for setting in settings:
        kinds = Kinds(require_approval("act", **setting))
        for function in kinds.all.values():
            with pytest.raises(type(error)):
                run(function(7))
        assert kinds.ran == [], setting


def test_wrong_arguments_are_told_before_anybody_is_asked() -> None:
    broker = Broker()
    for function in Kinds(require_approval("act", client=broker)).all.values():
        with pytest.raises(TypeError):
            run(function(1, 2, 3))
    assert broker.asked == []


def test_settings_are_values_or_functions_of_the_arguments() -> None:
    broker = Broker()

    def of(name: str) -> Callable[..., str]:
        return lambda amount, *, customer: f"{name} {amount} {customer}"

    @require_approval(
        "pay",
        client=broker,
        summary=of("summary"),
        reason=of("reason"),
        dedup_key=of("key"),
        severity=of("severity"),
        callback_url=of("url"),
        context=lambda amount, *, customer: {"amount": amount},
        poll_interval=lambda amount, *, customer: amount / 10,
        timeout=12,
    )
    def pay(amount: int, *, customer: str) -> None: ...

    pay(42, customer="c")
    assert broker.asked == [
        {
            "action": "pay",
            "summary": "summary 42 c",
            "reason": "reason 42 c",
            "dedup_key": "key 42 c",
            "severity": "severity 42 c",
            "callback_url": "url 42 c",
            "context": {"amount": 42},
        }
    ]
    assert broker.waited == [{"timeout": 12, "poll_interval": 4.2}]


def test_a_client_that_knows_only_the_published_calls_is_enough() -> None:
    client = mock.Mock()
    client.approvals.trigger.return_value = mock.Mock(approved=True, approval_id="ap_1")

    @require_approval("payments.refund", client=client)
    def refund() -> str:
        return "done"

    assert refund() == "done"
    client.approvals.trigger.assert_called_once_with(
        "payments.refund", "Approval required for payments.refund (via refund)", reason=None
    )
    client.approvals.trigger.return_value.wait.assert_called_once_with(timeout=300.0)


def test_when_decides_whether_anybody_is_asked() -> None:
    broker = Broker("denied")

    @require_approval("pay", client=broker, when=lambda amount: amount > 100)
    def pay(amount: int) -> int:
        return amount

    assert pay(100) == 100
    assert broker.asked == []
    with pytest.raises(ApprovalDenied):
        pay(101)

    async def is_large(amount: int) -> bool:
        await asyncio.sleep(0)
        return amount > 100

    @require_approval("pay", client=broker, when=is_large)
    async def pay_async(amount: int) -> int:
        return amount

    assert asyncio.run(pay_async(100)) == 100
    with pytest.raises(ApprovalDenied):
        asyncio.run(pay_async(101))
    # A coroutine is true: in a function that cannot await it, it must not count as an answer.
    with pytest.raises(TypeError, match="when is a coroutine function"):
        require_approval("pay", client=broker, when=is_large)(lambda amount: amount)(1)


@dataclasses.dataclass
class Order:
    lines: list[str]


@pytest.mark.parametrize(
    ("argument", "change"),
    [
        ([1, 2], lambda value: value.append(3)),
        ({"to": "alice"}, lambda value: value.update(to="mallory")),
        ({"deep": [{"x": {1}}]}, lambda value: value["deep"][0]["x"].add(2)),
        (Order(["a"]), lambda value: value.lines.append("b")),
        (bytearray(b"a"), lambda value: value.extend(b"b")),
        (types.SimpleNamespace(to="alice"), lambda value: setattr(value, "to", "mallory")),
        (collections.deque([1]), lambda value: value.append(2)),
        (collections.UserDict(to="alice"), lambda value: value.update(to="mallory")),
        ([1], lambda value: value.__setitem__(0, True)),
        ([1], lambda value: value.__setitem__(0, 1.0)),
        ([["a"], []], lambda value: value.__setitem__(slice(None), [[], ["a"]])),
    ],
)
def test_arguments_that_change_while_it_is_pending_are_not_those_that_were_approved(
    argument: Any, change: Callable[[Any], None]
) -> None:
    broker = Broker()
    kinds = Kinds(require_approval("act", client=broker))
    for function in kinds.all.values():
        given = copy.deepcopy(argument)
        broker.meanwhile = functools.partial(change, given)
        with pytest.raises(ApprovalDenied) as caught:
            run(function(given))
        assert (caught.value.reason, caught.value.status) == ("args_changed", "approved")
    assert kinds.ran == []


def test_what_is_no_data_may_change_and_incidental_arguments_can_be_left_out() -> None:
    class Session:
        def __init__(self) -> None:
            self.lock = threading.Lock()  # which makes it no data
            self.calls = 0

    session = Session()
    note = ["typing"]

    def meanwhile() -> None:
        session.calls += 1
        note.append("more")

    broker = Broker(meanwhile=meanwhile)

    @require_approval("act", client=broker, bind=["session", "amount", "tag"])
    def act(session: Session, amount: int, note: list[str], **more: str) -> int:
        return amount

    assert act(session, 5, note, tag="x") == 5
    with pytest.raises(TypeError, match="tag"):
        act(session, 5, note)


def test_an_approval_lets_one_call_through_and_only_for_its_arguments() -> None:
    broker = Broker()

    @require_approval("pay", client=broker, dedup_key=lambda amount, order: order)
    def pay(amount: int, order: str) -> int:
        return amount

    assert pay(5, "o-1") == 5
    with pytest.raises(ApprovalDenied) as caught:
        pay(5, "o-1")
    assert caught.value.reason == "already_used"
    with pytest.raises(ApprovalDenied) as caught:
        pay(5000, "o-1")
    assert caught.value.reason == "args_changed"
    assert pay(5000, "o-2") == 5000


def test_many_threads_with_one_key_run_it_once() -> None:
    broker = Broker()
    ran: list[int] = []
    denied: list[str | None] = []

    @require_approval("pay", client=broker, dedup_key="one")
    def pay() -> None:
        ran.append(1)

    def call() -> None:
        try:
            pay()
        except ApprovalDenied as error:
            denied.append(error.reason)

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(ran), denied) == (1, ["already_used"] * 19)


def test_the_automatic_key_is_the_call() -> None:
    broker = Broker()

    @require_approval("pay", client=broker, dedup_key="auto")
    def pay(amount: Decimal, on: date | None = None, **tags: str) -> None: ...

    @require_approval("refund", client=broker, dedup_key="auto")
    def refund(amount: Decimal, on: date | None = None, **tags: str) -> None: ...

    for call in [
        lambda: pay(Decimal(1)),
        lambda: pay(amount=Decimal(1), on=None),
        lambda: pay(Decimal("1.0")),
        lambda: pay(Decimal(1), date(2026, 1, 1)),
        lambda: pay(Decimal(1), a="1", b="2"),
        lambda: pay(Decimal(1), b="2", a="1"),
        lambda: refund(Decimal(1)),
    ]:
        # Those that are the same call as one before: the approval was used.
        with contextlib.suppress(ApprovalDenied):
            call()  # type: ignore[no-untyped-call]
    keys = [asked["dedup_key"] for asked in broker.asked]
    assert keys[0] == keys[1]
    assert keys[4] == keys[5]
    assert len(set(keys)) == 5


@dataclasses.dataclass
class Target:
    name: str


class Basket:
    """An object that pickles, of any size."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Plain:
    def __init__(self, to: str) -> None:
        self.to = to


class Slotted:
    __slots__ = ("to",)

    def __init__(self, to: str) -> None:
        self.to = to


class Odd(int):
    def __repr__(self) -> str:
        return "always the same"


class Rights(enum.IntFlag):
    READ = 4
    WRITE = 8
    RUN = 16


class Loose(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str = "n"


DIFFERENT: list[tuple[Any, Any]] = [
    (1, 2),
    (1, True),
    (1, 1.0),
    ("1", 1),
    ("1", b"1"),
    ([1, [2]], [[1], 2]),
    ([1], (1,)),
    ({"a": 1}, {"a": 2}),
    ({1, 2}, {1, 3}),
    (ipaddress.ip_network("10.0.0.1/32"), ipaddress.ip_network("0.0.0.0/0")),
    (fractions.Fraction(1, 3), fractions.Fraction(2, 3)),
    (range(3), range(4)),
    (collections.deque([1]), collections.deque([2])),
    (types.SimpleNamespace(to="a"), types.SimpleNamespace(to="b")),
    (collections.UserDict(a=1), collections.UserDict(a=2)),
    (Plain("a"), Plain("b")),
    (Slotted("a"), Slotted("b")),
    (Target("a"), Target("b")),
    (Odd(1), Odd(2)),
    (Rights(8), Rights(16)),
    (Rights(24), Rights(12)),
    (Loose(extra=1), Loose(extra=2)),
    (int, str),
    (len, max),
    (functools.partial(max, 1), functools.partial(max, 2)),
    (10**5000, 10**5000 + 1),
    (ValueError("a"), ValueError("b")),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=range(len(DIFFERENT)))
def test_different_calls_have_different_keys(one: Any, other: Any) -> None:
    broker = Broker()

    @require_approval("act", client=broker, dedup_key="auto")
    def act(argument: Any) -> str:
        return "ran"

    assert act(one) == act(other) == "ran"
    with pytest.raises(ApprovalDenied) as caught:
        act(copy.deepcopy(one))
    assert caught.value.reason == "already_used"
    keys = [asked["dedup_key"] for asked in broker.asked]
    assert keys[0] != keys[1]
    assert keys[0] == keys[2], "and equal ones the same"


def made(value: Any, **attributes: Any) -> Any:
    """A value with attributes that nobody declared."""
    for name, attribute in attributes.items():
        object.__setattr__(value, name, attribute)
    return value


class Refund(Target):
    """Of a dataclass, and no dataclass."""

    def __init__(self, name: str, amount: int) -> None:
        super().__init__(name)
        self.amount = amount


@dataclasses.dataclass
class Prepared:
    name: str

    def __post_init__(self) -> None:
        self.amount = len(self.name)


@dataclasses.dataclass(frozen=True)
class Frozen:
    name: str


@dataclasses.dataclass(slots=True)
class SlottedTarget:
    name: str


class SlottedRefund(SlottedTarget):
    __slots__ = ("__secret", "amount")

    def __init__(self, name: str, amount: int, secret: int = 0) -> None:
        super().__init__(name)
        self.amount = amount
        self.__secret = secret


class Private(pydantic.BaseModel):
    name: str = "n"
    note: str | None = None
    _amount: int = pydantic.PrivateAttr(default=5)


class Attrs:
    """As a class of attrs is."""

    __attrs_attrs__ = (types.SimpleNamespace(name="name"),)

    def __init__(self, name: str, amount: int) -> None:
        self.name = name
        self.amount = amount


class Text(str):
    pass


class Whole(int):
    pass


class Real(float):
    pass


class Raw(bytes):
    def __bytes__(self) -> bytes:
        return b"always the same"


class Place(type(Path())):  # type: ignore[misc]
    pass


class Money(Decimal):
    currency: str


class Share(fractions.Fraction):
    pass


class Day(date):
    pass


class Many(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(())


class Table(dict[Any, Any]):
    def items(self) -> Any:
        return {}.items()


class Row(tuple[Any, ...]):
    pass


class Some(set[Any]):
    pass


class Ordered(collections.OrderedDict[Any, Any]):
    pass


@dataclasses.dataclass
class TableWithName(dict[str, int]):
    name: str


@dataclasses.dataclass
class Fault(Exception):
    code: int


class Withheld:
    """Keeps a lock out of its pickles, and so do those that inherit from it."""

    def __init__(self, to: str) -> None:
        self.to = to
        self.counted = 0

    def __getstate__(self) -> dict[str, Any]:
        return {"to": self.to}


class Inherited(Withheld):
    def __init__(self, to: str, amount: int) -> None:
        super().__init__(to)
        self.amount = amount


class Queue(collections.deque[str]):
    pass


class Failure(Exception):
    pass


class SlottedError(ValueError):
    __slots__ = ("amount",)


class Codes(array.array):  # type: ignore[type-arg]
    def __new__(cls, text: str) -> Codes:
        return super().__new__(cls, "b", text.encode())


def without(value: Any, name: str) -> Any:
    delattr(value, name)
    return value


def private(amount: int) -> Private:
    model = Private()
    model._amount = amount
    return model


def filled(table: Any, **items: Any) -> Any:
    dict.update(table, items)
    return table


# What is approved, and what is not the same.
UNDECLARED: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
    (lambda: Refund("r", 5), lambda: Refund("r", 6)),
    (lambda: Prepared("p"), lambda: made(Prepared("p"), amount=6)),
    (lambda: Prepared("p"), lambda: made(Prepared("p"), more=6)),
    (lambda: made(Prepared("p"), more=6), lambda: Prepared("p")),
    (lambda: Prepared("p"), lambda: without(Prepared("p"), "name")),
    (lambda: made(Prepared("p"), name=None), lambda: without(Prepared("p"), "name")),
    (lambda: Frozen("f"), lambda: made(Frozen("f"), amount=6)),
    (lambda: SlottedRefund("t", 5), lambda: SlottedRefund("t", 6)),
    (lambda: SlottedRefund("t", 5, 1), lambda: SlottedRefund("t", 5, 2)),
    (lambda: SlottedRefund("t", 5), lambda: without(SlottedRefund("t", 5), "amount")),
    (lambda: private(5), lambda: private(6)),
    (lambda: Private(), lambda: Private(note=None)),  # model_dump(exclude_unset=True) sends one of them
    (lambda: Loose(extra=1), lambda: Loose(extra=2)),
    (lambda: Attrs("a", 5), lambda: Attrs("a", 6)),
    (lambda: made(Text("a"), to="x"), lambda: made(Text("a"), to="y")),
    (lambda: made(Text("a"), to="x"), lambda: Text("a")),
    (lambda: made(Whole(1), to="x"), lambda: made(Whole(1), to="y")),
    (lambda: made(Real(1), to="x"), lambda: made(Real(1), to="y")),
    (lambda: Raw(b"a"), lambda: Raw(b"b")),
    (lambda: made(Raw(b"a"), to="x"), lambda: made(Raw(b"a"), to="y")),
    (lambda: made(Place("a"), to="x"), lambda: made(Place("a"), to="y")),
    (lambda: made(Money(1), currency="EUR"), lambda: made(Money(1), currency="JPY")),
    (lambda: made(Share(1, 3), to="x"), lambda: made(Share(1, 3), to="y")),
    (lambda: made(Day(2026, 1, 2), to="x"), lambda: made(Day(2026, 1, 2), to="y")),
    (lambda: Many([1]), lambda: Many([2])),
    (lambda: made(Many([1]), to="x"), lambda: made(Many([1]), to="y")),
    (lambda: Table(a=1), lambda: Table(a=2)),
    (lambda: made(Table(a=1), to="x"), lambda: made(Table(a=1), to="y")),
    (lambda: Row([1]), lambda: Row([2])),
    (lambda: made(Row([1]), to="x"), lambda: made(Row([1]), to="y")),
    (lambda: Some([1]), lambda: Some([2])),
    (lambda: made(Some([1]), to="x"), lambda: made(Some([1]), to="y")),
    (lambda: Ordered(a=1, b=2), lambda: Ordered(b=2, a=1)),
    (lambda: collections.defaultdict(int, a=1), lambda: collections.defaultdict(str, a=1)),
    (lambda: collections.Counter("ab"), lambda: collections.Counter("aab")),
    (lambda: made(Codes("IBM"), to="x"), lambda: made(Codes("IBM"), to="y")),
    (lambda: filled(TableWithName("t"), a=1), lambda: filled(TableWithName("t"), a=2)),
    (lambda: made(Fault(1), args=("a",)), lambda: made(Fault(1), args=("b",))),
    (lambda: Inherited("a", 5), lambda: Inherited("a", 6)),
    (lambda: made(SlottedError("a"), amount=5), lambda: made(SlottedError("a"), amount=6)),
    (
        lambda: time.struct_time((1,) * 9, {"tm_zone": "CET"}),
        lambda: time.struct_time((1,) * 9, {"tm_zone": "UTC"}),
    ),
    (lambda: collections.deque([1], 1), lambda: collections.deque([1], 2)),
    (lambda: made(Queue("ab"), to="x"), lambda: made(Queue("ab"), to="y")),
    (lambda: Failure("a"), lambda: Failure("b")),
    (lambda: Failure("a"), lambda: made(Failure("a"), amount=5)),
    (lambda: made(Rights(24), note="x"), lambda: made(Rights(24), note="y")),
]


@pytest.mark.parametrize(("one", "other"), UNDECLARED, ids=range(len(UNDECLARED)))
def test_all_that_an_object_holds_is_bound(one: Callable[[], Any], other: Callable[[], Any]) -> None:
    given = [one()]
    broker = Broker(meanwhile=lambda: given.__setitem__(0, other()))
    gate = require_approval("act", client=broker)

    @gate
    def in_a_list(values: list[Any]) -> None: ...

    @gate
    def in_an_object(basket: Basket) -> None: ...

    for call in (lambda: in_a_list(given), lambda: in_an_object(Basket(values=given))):
        given[:] = [one()]
        with pytest.raises(ApprovalDenied) as caught:
            call()  # type: ignore[no-untyped-call]
        assert caught.value.reason == "args_changed"

    given[:] = [one()]
    broker.meanwhile = lambda: given.__setitem__(0, one())
    in_a_list(given)

    @require_approval("act", client=broker, dedup_key="auto")
    def act(argument: Any) -> None: ...

    for make in (one, one, other):
        with contextlib.suppress(ApprovalDenied):
            act(make())
    keys = [asked["dedup_key"] for asked in broker.asked[-3:]]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]


class Invoice:
    def __init__(self) -> None:
        self.lines = [1, 2]

    @functools.cached_property
    def total(self) -> int:
        return sum(self.lines)


@dataclasses.dataclass
class DeclaredInvoice:
    lines: list[int] = dataclasses.field(default_factory=lambda: [1, 2])

    @functools.cached_property
    def total(self) -> int:
        return sum(self.lines)


@pytest.mark.parametrize("make", [Invoice, DeclaredInvoice])
def test_what_a_cached_property_keeps_is_no_change_until_it_is_another_value(make: Callable[[], Any]) -> None:
    broker = Broker()

    @require_approval("act", client=broker, summary=lambda invoice: f"Pay {invoice.total}")
    def act(invoice: Any) -> int:
        return invoice.total  # type: ignore[no-any-return]

    assert act(make()) == 3, "first asked for after the arguments are bound"

    def denied(change: Callable[[Any], None]) -> bool:
        invoice = make()
        assert invoice.total == 3
        broker.meanwhile = lambda: change(invoice)
        try:
            act(invoice)
        except ApprovalDenied as error:
            return error.reason == "args_changed"
        return False

    assert not denied(lambda invoice: invoice.total)
    assert denied(lambda invoice: setattr(invoice, "total", 1_000_000))
    assert denied(lambda invoice: delattr(invoice, "total"))
    assert denied(lambda invoice: invoice.lines.append(3))

    broker.meanwhile = lambda: None

    @require_approval("act", client=broker, dedup_key="auto")
    def pay(invoice: Any) -> None: ...

    pay(make())
    seen = make()
    assert seen.total == 3
    with pytest.raises(ApprovalDenied) as caught:
        pay(seen)
    assert caught.value.reason == "already_used", "the same call"


def test_what_a_class_keeps_out_of_its_pickles_does_not_count_for_it() -> None:
    withheld = Withheld("alice")

    def meanwhile() -> None:
        withheld.counted += 1

    broker = Broker(meanwhile=meanwhile)

    @require_approval("act", client=broker)
    def act(argument: Withheld) -> str:
        return "ran"

    assert act(withheld) == "ran"
    broker.meanwhile = lambda: setattr(withheld, "to", "mallory")
    with pytest.raises(ApprovalDenied):
        act(withheld)


def charge(amount: int) -> int:
    return amount


def charging(amount: int) -> Callable[..., int]:
    """A function that says that it is another."""
    return functools.wraps(charge)(lambda *_: charge(amount))


charge_5, charge_6 = charging(5), charging(6)


class Zone(tzinfo):
    """Looks always the same."""

    def __init__(self, hours: int) -> None:
        self.hours = hours

    def utcoffset(self, _: Any) -> timedelta:
        return timedelta(hours=self.hours)

    def __repr__(self) -> str:
        return "Zone()"


class Holder(ctypes.Structure):
    _fields_ = [("held", ctypes.py_object)]


class PickledHolder(Holder):
    """As an array of objects: what is in memory are addresses, what is pickled are the objects."""

    def __reduce__(self) -> Any:
        return PickledHolder, (self.held,)


def local_class(name: str) -> type:
    return type(name, (), {})


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (lambda: [charge_5], lambda it: it.__setitem__(0, charge_6)),
        (lambda: [charging], lambda it: it.__setitem__(0, charge_6)),
        (lambda: [local_class("A")], lambda it: it.__setitem__(0, local_class("A"))),
        (lambda: Basket(to="alice", call=lambda: 1), lambda it: setattr(it, "to", "mallory")),
        (lambda: Basket(to="alice", kind=local_class("A")), lambda it: setattr(it, "to", "mallory")),
        (lambda: made(local_class("A")(), to="alice"), lambda it: setattr(it, "to", "mallory")),
        (lambda: Basket(to="alice", name=re.compile("a")), lambda it: setattr(it, "to", "mallory")),
        (lambda: Basket(to="alice", view={}.keys()), lambda it: setattr(it, "to", "mallory")),
        (lambda: datetime(2026, 1, 2, tzinfo=Zone(1)), lambda it: setattr(it.tzinfo, "hours", 2)),
        (lambda: daytime(1, 2, tzinfo=Zone(1)), lambda it: setattr(it.tzinfo, "hours", 2)),
        (lambda: slice(Basket(to="alice")), lambda it: setattr(it.stop, "to", "mallory")),
        (lambda: (table := {"a": 1}, table.keys()), lambda it: it[0].update(b=1)),
        (
            lambda: [table := {"a": 1}, table.values()],
            lambda it: it.__setitem__(slice(None), [{"a": 1}, {"a": 2}.values()]),
        ),
        (lambda: [{"a": 1}.items()], lambda it: it.__setitem__(0, {"a": 2}.items())),
        # What it holds is an address.
        (lambda: Holder([1]), lambda it: setattr(it, "held", [2])),
        (lambda: PickledHolder([1]), lambda it: it.held.append(2)),
    ],
    ids=range(16),
)
def test_nothing_is_taken_for_the_same_by_its_name_or_looks(
    make: Callable[[], Any], change: Callable[[Any], None]
) -> None:
    argument = make()
    broker = Broker()

    @require_approval("act", client=broker)
    def act(argument: Any) -> str:
        return "ran"

    assert act(argument) == "ran"
    broker.meanwhile = lambda: change(argument)
    with pytest.raises(ApprovalDenied) as caught:
        act(argument)
    assert caught.value.reason == "args_changed"


def test_a_key_names_what_can_be_found_by_its_name() -> None:
    broker = Broker()

    @require_approval("act", client=broker, dedup_key="auto")
    def act(argument: Any) -> str:
        return "ran"

    for argument in (charge_5, [charge_5], Basket(call=charge_5), local_class("A"), made(local_class("A")())):
        with pytest.raises(TypeError, match="no data"):
            act(argument)
    assert broker.asked == []
    found = [charge, Basket, re, len, str.upper, "a".upper, type(None), dict.fromkeys, re.compile("a")]
    found += [Path("a").joinpath, date.today]
    for argument in found:
        assert act(argument) == "ran"
        with pytest.raises(ApprovalDenied) as caught:
            act(argument)
        assert caught.value.reason == "already_used"
    assert len({asked["dedup_key"] for asked in broker.asked}) == len(found)


def test_another_connection_at_the_same_address_is_another() -> None:
    class Connection:
        def __init__(self) -> None:
            self.lock = threading.Lock()

    arguments = {"connection": Connection()}

    def meanwhile() -> None:
        address = id(arguments.pop("connection"))
        kept = []
        for _ in range(1000):
            arguments["connection"] = Connection()
            if id(arguments["connection"]) == address:
                return
            kept.append(arguments["connection"])

    @require_approval("act", client=Broker(meanwhile=meanwhile))
    def act(arguments: dict[str, Connection]) -> None: ...

    with pytest.raises(ApprovalDenied) as caught:
        act(arguments)
    assert caught.value.reason == "args_changed"


def test_running_out_of_stack_is_not_taken_for_what_does_not_pickle() -> None:
    class Deep:
        def __reduce_ex__(self, protocol: Any) -> Any:
            raise RecursionError

    broker = Broker()
    with pytest.raises(RecursionError):
        require_approval("act", client=broker)(lambda argument: argument)(Deep())
    assert broker.asked == []


def test_a_path_that_was_looked_at_is_the_same() -> None:
    place = Place("a/b")
    summary = lambda place: f"{place.parts} {place.parent} {hash(place)} {place.name}"  # noqa: E731

    @require_approval("act", client=Broker(), summary=summary)
    def act(place: Path) -> str:
        return "ran"

    assert act(place) == "ran"


def test_what_is_no_data_makes_no_key() -> None:
    broker = Broker()

    @require_approval("act", client=broker, dedup_key="auto")
    def act(argument: Any) -> None: ...

    class Service:
        @require_approval("act", client=broker, dedup_key="auto")
        def act(self) -> None: ...

        @require_approval("act", client=broker, dedup_key="auto", bind=["x"])
        def bound(self, x: int) -> None: ...

    for argument in (threading.Lock(), lambda: None, (x for x in ())):
        with pytest.raises(TypeError, match="no data"):
            act(argument)
    with pytest.raises(TypeError, match="no data"):
        Service().act()
    assert broker.asked == []
    Service().bound(1)


def test_the_key_names_the_function_and_the_object() -> None:
    broker = Broker()
    gate = require_approval("delete", client=broker, dedup_key="auto")

    @dataclasses.dataclass
    class Account:
        name: str

        @gate
        def close(self) -> str:
            return self.name

    @gate
    def delete_orders(count: int) -> None: ...

    @gate
    def delete_users(count: int) -> None: ...

    assert (Account("A").close(), Account("B").close()) == ("A", "B")
    delete_orders(5)
    delete_users(5)
    assert len({asked["dedup_key"] for asked in broker.asked}) == 4


def test_arguments_are_the_ones_that_were_given() -> None:
    broker = Broker()

    def with_session(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function("session", *args, **kwargs)

        return inner

    @require_approval("pay", client=broker, dedup_key="auto", context="auto")
    @with_session
    def pay(session: str, amount: int = 10) -> int:
        return amount

    assert (pay(5), pay(5_000_000)) == (5, 5_000_000)
    shown = [asked["context"]["arguments"] for asked in broker.asked]
    assert shown == [{"args": [5], "kwargs": {}}, {"args": [5_000_000], "kwargs": {}}]
    with pytest.raises(TypeError, match="bind"):
        require_approval("pay", client=broker, bind=["amount"])(with_session(pay))(5)

    @require_approval("pay", client=broker, dedup_key="auto", context="auto")
    def odd(amount: int, /, **more: Any) -> int:
        return amount

    assert odd(5, amount="x") == 5
    assert broker.asked[-1]["context"]["arguments"] == {"amount": 5, "more": {"amount": "x"}}
    assert odd(6, amount="x") == 6
    values = {"a": 1}
    assert require_approval("pop", client=broker)(values.pop)("a") == 1, "without a signature, too"
    assert len({asked["dedup_key"] for asked in broker.asked[:4]}) == 4


def test_objects_that_refer_to_each_other_are_bound_without_end() -> None:
    class Node:
        pass

    nodes = [Node() for _ in range(60)]
    for node in nodes:
        node.others = nodes  # type: ignore[attr-defined]
    broker = Broker()

    @require_approval("act", client=broker)
    def act(argument: Any) -> str:
        return "ran"

    assert act(nodes[0]) == "ran"


def chain(length: int) -> Basket:
    """A list that is linked both ways."""
    first = last = Basket(to="alice", before=None, after=None)
    for _ in range(length):
        last.after = Basket(to="alice", before=last, after=None)  # type: ignore[attr-defined]
        last = last.after  # type: ignore[attr-defined]
    last.to = "the end"  # type: ignore[attr-defined]
    return first


def end_of(link: Any) -> Any:
    while link.after is not None:
        link = link.after
    return link


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (
            lambda: Basket(amount=5, lines=[{"id": 1} for _ in range(4_000)]),
            lambda it: setattr(it, "amount", 6),
        ),
        (lambda: Basket(lines=list(range(11_000))), lambda it: it.lines.__setitem__(-1, 0)),
        (
            lambda: Basket(all=[Basket(id=id_) for id_ in range(3_000)]),
            lambda it: setattr(it.all[-1], "id", 0),
        ),
        # Longer than Python calls itself, and each link in cycles with its neighbours.
        (lambda: chain(3_000), lambda it: setattr(end_of(it), "to", "mallory")),
        (lambda: {"set": {(*range(20_000),)}}, lambda it: it["set"].add(1)),
    ],
    ids=["attribute beside many", "last of many", "below many", "end of a long chain", "set"],
)
def test_no_object_is_too_large_to_be_bound(make: Callable[[], Any], change: Callable[[Any], None]) -> None:
    argument = make()
    broker = Broker(meanwhile=lambda: change(argument))
    ran: list[Any] = []
    with pytest.raises(ApprovalDenied) as caught:
        require_approval("act", client=broker)(ran.append)(argument)
    assert caught.value.reason == "args_changed"
    broker.meanwhile = lambda: None

    @require_approval("act", client=broker, dedup_key="auto")
    def act(argument: Any) -> None: ...

    for given in (make(), make(), argument):
        with contextlib.suppress(ApprovalDenied):
            act(given)
    keys = [asked["dedup_key"] for asked in broker.asked[1:]]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]


def test_cycles_are_told_apart_and_recognized() -> None:
    def ring(*names: str) -> Basket:
        baskets = [Basket(name=name) for name in names]
        for basket, after in zip(baskets, baskets[1:] + baskets[:1], strict=True):
            basket.after = after  # type: ignore[attr-defined]
        return baskets[0]

    def crowd(*names: str) -> Basket:
        center = Basket(members=set())
        center.members.update(Basket(name=name, center=center) for name in names)  # type: ignore[attr-defined]
        return center

    def list_in_itself(*before: Any) -> list[Any]:
        values = [*before]
        values.append(values)
        return values

    def back_to(index: int) -> Basket:
        baskets = [Basket(), Basket(), Basket()]
        baskets[0].after = baskets[1]  # type: ignore[attr-defined]
        baskets[1].after = baskets[2]  # type: ignore[attr-defined]
        baskets[2].after = baskets[index]  # type: ignore[attr-defined]
        return baskets[0]

    def held_by(container: Callable[[Any], Any]) -> Basket:
        basket = Basket()
        basket.held = container([basket])  # type: ignore[attr-defined]
        return basket

    makers: list[Callable[[], Any]] = [
        lambda: back_to(0),
        lambda: back_to(1),
        lambda: back_to(2),
        lambda: held_by(list),
        lambda: held_by(tuple),
        lambda: ring("a"),
        lambda: ring("b"),
        lambda: ring("a", "b", "c"),
        lambda: ring("a", "c", "b"),
        lambda: ring("b", "c", "a"),
        lambda: [ring("a"), ring("b")],
        lambda: [ring("b"), ring("a")],
        lambda: crowd("a", "b", "c"),
        lambda: crowd("a", "b", "d"),
        lambda: {crowd("a"): 1, crowd("b"): 2},
        lambda: {crowd("a"): 2, crowd("b"): 1},
        lambda: list_in_itself(),
        lambda: list_in_itself(1),
        lambda: [list_in_itself(1)],
        lambda: [[1]],
    ]
    broker = Broker()

    @require_approval("act", client=broker, dedup_key="auto")
    def act(argument: Any) -> str:
        return "ran"

    for make in makers:
        assert act(make()) == "ran"
        with pytest.raises(ApprovalDenied):
            act(make())
    keys = [asked["dedup_key"] for asked in broker.asked]
    assert keys[::2] == keys[1::2]
    assert len(set(keys)) == len(makers)


def test_what_an_object_that_is_no_data_shares_with_others_stays_data() -> None:
    shared = Basket(to="alice")
    shared.back = Basket(shared=shared)  # type: ignore[attr-defined]
    machine = Basket(shared=shared, lock=threading.Lock())
    reached = Basket(before=Basket(shared=shared), machine=machine)
    machine.reached = reached  # type: ignore[attr-defined]
    # Read to its end before it is seen that it leads to a lock.
    part = Basket()
    part.whole = Basket(part=part, shared=shared, lock=threading.Lock())  # type: ignore[attr-defined]
    user = Basket(part=part, shared=shared)
    broker = Broker()

    @require_approval("act", client=broker)
    def act(*arguments: Any) -> str:
        return "ran"

    broker.meanwhile = lambda: setattr(shared, "to", "bob")
    for arguments in (
        *([machine], [reached], [reached, machine], [[machine, reached]]),
        *([user], [part.whole, user], [user, part.whole]),  # type: ignore[attr-defined]
    ):
        shared.to = "alice"  # type: ignore[attr-defined]
        assert act(*arguments) == "ran"
    for arguments in (
        [machine, shared],
        [shared, machine],
        [reached, shared],
        [reached, [machine], {1: shared}],
    ):
        shared.to = "alice"  # type: ignore[attr-defined]
        with pytest.raises(ApprovalDenied) as caught:
            act(*arguments)
        assert caught.value.reason == "args_changed"


def test_the_automatic_key_is_the_same_in_every_process() -> None:
    program = """
from datetime import date, datetime, timedelta, tzinfo
from datetime import time as daytime
from ipaddress import ip_network
from types import SimpleNamespace
from sesame_sdk._arguments import Arguments
values = {"b": {"x", 1, (2, "y")}, "a": [None, 1.5, b"c", date(2026, 1, 2), ip_network("10.0.0.0/8"), len]}
print(Arguments(lambda *args: None, (values, SimpleNamespace(x={"p", "q", "r"})), {}).fingerprint("refused"))
"""
    keys = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(keys) == 1


def test_shown_arguments_hide_secrets_and_stay_json() -> None:
    broker = Broker()

    @dataclasses.dataclass(frozen=True)
    class Card:
        card_number: str
        holder: str

    @dataclasses.dataclass
    class Hidden:
        value: str = dataclasses.field(repr=False)

    class HiddenAttrs:
        __attrs_attrs__ = (types.SimpleNamespace(name="value", repr=False),)
        value = "hunter2"

    @require_approval("act", client=broker, context="auto", redact=["iban"])
    def act(
        user: str, password: str, headers: dict[str, str], card: Card, *rest: Any, **more: Any
    ) -> None: ...

    act(
        "ada",
        "hunter2",
        {"Authorization": "Bearer hunter2", "X-Api-Key": "hunter2", "Accept": "*/*"},
        Card("hunter2", "Ada"),
        b"hunter2",
        object(),
        float("nan"),
        2**60,
        "x" * 5000,
        list(range(200)),
        ["--password", "hunter2", "--token=hunter2", "-v"],
        [("Authorization", "Bearer hunter2")],
        "https://user:hunter2@host/ and Authorization: bearer hunter2",
        [Hidden("hunter2"), HiddenAttrs()],
        {Card("hunter2", "Ada"): 1},
        10**5000,
        IBAN="hunter2",
        client_secret="hunter2",
        pwd="hunter2",
        otpCode="hunter2",
        user_pin="hunter2",
        jwt="hunter2",
        signing_key="hunter2",
        day=date(2026, 1, 2),
        key="shown",
    )
    context = broker.asked[0]["context"]
    text = json.dumps(context, allow_nan=False)
    assert "hunter2" not in text
    assert len(text) < 10_000
    shown = context["arguments"]
    assert shown["user"] == "ada"
    assert shown["headers"]["Accept"] == "*/*"
    assert shown["card"] == {"card_number": "[redacted]", "holder": "Ada"}
    assert shown["more"]["day"] == "2026-01-02"
    assert shown["more"]["key"] == "shown"
    assert shown["rest"][-6] == ["--password", "[redacted]", "--token=[redacted]", "-v"]
    assert shown["rest"][-4] == "https://[redacted]@host/ and Authorization: bearer [redacted]"
    assert shown["rest"][:4] == ["<7 bytes>", "<builtins.object>", "nan", str(2**60)]
    assert context["function"].endswith("act")


def test_a_context_of_the_callers_own_is_shown_as_it_is_but_for_what_is_named() -> None:
    broker = Broker()

    @require_approval("a", client=broker, context={"token": "t", "deep": [{"SSN": 1}]}, redact="ssn")
    def named() -> None: ...

    @require_approval("a", client=broker, context={"token": "t"}, redact=lambda context: {"n": len(context)})
    def made() -> None: ...

    named()
    made()
    contexts = [asked["context"] for asked in broker.asked]
    assert contexts == [{"token": "t", "deep": [{"SSN": "[redacted]"}]}, {"n": 1}]

    kept = {"count": 0}

    @require_approval(
        "a", client=broker, context=kept, redact=lambda context: context.update(count=1) or context
    )
    def counted() -> None: ...

    counted()
    assert kept == {"count": 0}, "it gets a copy"


def test_generators_pass_on_what_is_sent_and_thrown() -> None:
    @require_approval("act", client=Broker())
    def echo() -> Any:
        received = []
        try:
            while True:
                received.append((yield len(received)))
        except KeyError:
            return received

    generator = echo()
    assert next(generator) == 0
    assert generator.send("a") == 1
    with pytest.raises(StopIteration) as caught:
        generator.throw(KeyError())
    assert caught.value.value == ["a"]

    closed = []

    @require_approval("act", client=Broker())
    async def echo_async() -> Any:
        received: list[Any] = []
        try:
            while True:
                try:
                    received.append((yield list(received)))
                except KeyError:
                    received.append("thrown")
        finally:
            closed.append(True)

    async def main() -> None:
        generator = echo_async()
        assert await generator.__anext__() == []
        assert await generator.asend("a") == ["a"]
        assert await generator.athrow(KeyError()) == ["a", "thrown"]
        await generator.aclose()
        assert closed == [True]

    asyncio.run(main())


def test_an_async_client_cannot_gate_what_blocks() -> None:
    with pytest.raises(TypeError, match="AsyncSesame cannot gate a function that blocks"):
        require_approval("act", client=AsyncSesame(api_key="sk_x"))(lambda: None)


def decide(sandbox: Sandbox, decision: str, **more: Any) -> None:
    """Decide the only pending approval, once there is one that is polled for."""
    sandbox.control("GET", "/polls?min=1&wait_ms=20000")
    pending = sandbox.control("GET", "/approvals?status=pending")["approvals"]
    assert len(pending) == 1
    path = f"/approvals/{pending[0]['approval_id']}/decision"
    sandbox.control("POST", path, {"decision": decision, **more})


def test_the_object_of_a_method_may_change_unless_it_is_data() -> None:
    class Service:
        calls = 0

        @require_approval("act", client=Broker(meanwhile=lambda: setattr(service, "calls", 1)))
        def act(self) -> int:
            return self.calls

    @dataclasses.dataclass
    class Transfer:
        to: str

        @require_approval("act", client=Broker(meanwhile=lambda: setattr(transfer, "to", "mallory")))
        def send(self) -> str:
            return self.to

    service, transfer = Service(), Transfer("alice")
    assert service.act() == 1
    with pytest.raises(ApprovalDenied) as caught:
        transfer.send()
    assert caught.value.reason == "args_changed"


def test_nothing_that_merely_looks_true_lets_a_call_through() -> None:
    ran: list[int] = []
    with pytest.raises(ApprovalDenied):
        require_approval("act", client=mock.Mock())(lambda: ran.append(1))()
    with pytest.raises(TypeError, match="None"):
        require_approval("act", client=Broker(), when=lambda: None)(lambda: ran.append(1))()
    with pytest.raises(ValueError, match="empty"):
        require_approval("act", client=Broker(), dedup_key=lambda: "")(lambda: ran.append(1))()
    assert ran == []


NOT_GIVEN: list[tuple[str, Any]] = [
    ("when", None),
    ("when", "no"),
    ("when", 0),
    ("when", 1),
    ("when", []),
    ("when", float("nan")),
    ("summary", None),
    ("summary", 5),
    ("summary", b"text"),
    ("reason", None),
    ("reason", ["x"]),
    ("context", None),
    ("context", "text"),
    ("context", [1]),
    ("context", {1, 2}),
    ("dedup_key", None),
    ("dedup_key", 7),
    ("severity", None),
    ("severity", 3),
    ("callback_url", None),
    ("callback_url", b"https://host"),
    ("poll_interval", None),
    ("poll_interval", "2"),
    ("poll_interval", True),
    ("redact", None),
    ("redact", "text"),
    ("redact", ["name"]),
]


@pytest.mark.parametrize(("name", "given"), NOT_GIVEN)
def test_a_function_that_gives_something_else_is_an_error_before_anybody_is_asked(
    name: str, given: Any
) -> None:
    broker = Broker()
    kinds = Kinds(
        require_approval("act", **{"client": broker, "context": {"a": 1}, name: lambda *_, **__: given})
    )
    for function in kinds.all.values():
        with pytest.raises(TypeError, match=f"^{name} "):
            run(function(7))

    async def later(*_: Any, **__: Any) -> Any:
        return given

    kinds = Kinds(require_approval("act", **{"client": broker, "context": {"a": 1}, name: later}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for function in kinds.all.values():
            with pytest.raises(TypeError, match=f"^{name} "):
                run(function(7))
    assert broker.asked == []
    assert kinds.ran == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name, value in NOT_GIVEN if value is not None),
        *(("when", None), ("poll_interval", None), ("redact", None), ("redact", [1]), ("redact", b"name")),
        *(("bind", [1]), ("bind", b"x"), ("bind", lambda x: ["x"]), ("timeout", "300"), ("timeout", True)),
        *(("timeout", float("nan")), ("timeout", lambda x: 5), ("on_progress", 5), ("action", None)),
        *(
            ("action", lambda x: x),
            ("poll_interval", float("nan")),
            ("poll_interval", -1),
            ("dedup_key", " "),
        ),
    ],
)
def test_a_wrong_option_is_an_error_where_it_is_written(name: str, value: Any) -> None:
    if name == "redact" and value in ("text", ["name"]):
        return  # which are names
    with pytest.raises((TypeError, ValueError), match=f"^{name} "):
        require_approval(**{"action": "act", "client": Broker(), name: value})


async def nobody_waits_for(progress: Any) -> None: ...


def test_progress_that_nobody_would_wait_for_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"^on_progress "):
        require_approval("act", client=Broker(), on_progress=nobody_waits_for)


def test_what_a_function_gives_that_is_right_is_asked_with() -> None:
    class Name(str):
        pass

    class Answer(collections.UserDict[str, Any]):
        pass

    broker = Broker()
    ran: list[int] = []
    require_approval(
        "act",
        client=broker,
        when=lambda: True,
        summary=lambda: Name("summary"),
        context=lambda: types.MappingProxyType(
            {"password": "hunter2", "deep": Answer(iban="hunter2", count=1)}
        ),
        redact=["password", "iban"],
        poll_interval=lambda: Decimal("0.5"),
        timeout=Decimal(5),  # type: ignore[arg-type]
    )(lambda: ran.append(1))()
    assert broker.asked[0]["context"] == {
        "password": "[redacted]",
        "deep": {"iban": "[redacted]", "count": 1},
    }
    assert type(broker.asked[0]["context"]["deep"]) is dict
    context = "auto"
    require_approval("act", client=broker, context=lambda: context, redact=types.MappingProxyType)(
        lambda: ran.append(2)
    )()
    assert broker.asked[1]["context"]["arguments"] == {}
    assert json.dumps(broker.asked[1]["context"])
    assert ran == [1, 2]


def test_what_changes_while_it_is_thought_about_asking_is_not_let_through() -> None:
    order = {"amount": 5}

    async def is_large(order: dict[str, int]) -> bool:
        large = order["amount"] > 100
        order["amount"] = 1_000_000  # as another task may, while this one waits for something
        return large

    @require_approval("pay", client=Broker(), when=is_large)
    async def pay(order: dict[str, int]) -> int:
        return order["amount"]

    with pytest.raises(ApprovalDenied) as caught:
        asyncio.run(pay(order))
    assert (caught.value.reason, caught.value.approval_id) == ("args_changed", None)


def test_a_gate_asks_the_client_that_a_test_has_changed(sandbox: Sandbox) -> None:
    client = Sesame()

    @require_approval("act", client=client)
    async def act() -> str:
        return "ran"

    answer = mock.Mock(approved=True, approval_id="ap_1")
    for patched in (
        mock.patch.object(client.approvals, "trigger", return_value=answer),
        mock.patch("sesame_sdk.approvals.Approvals.trigger", return_value=answer),
        mock.patch(
            "sesame_sdk.approval.Approval.wait", lambda self, **_: setattr(self, "status", "approved")
        ),
    ):
        with patched:
            assert asyncio.run(act()) == "ran"
    assert sandbox.received("read_approval") == []


JOURNALED = """
    import sys
    from sesame_sdk import ApprovalDenied, require_approval

    @require_approval("act", dedup_key="auto", timeout=60, journal=sys.argv[1] or None)
    def act(order):
        print("ran", order)

    try:
        act(7)
    except ApprovalDenied as error:
        print(error.reason)
"""


def test_what_is_started_again_is_let_through_once(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.control("POST", "/rules", {"action": "act", "decision": "approved"})

    def run_program(journal: str) -> str:
        command = [sys.executable, "-c", textwrap.dedent(JOURNALED), journal]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert [run_program(str(tmp_path / "journal")) for _ in range(3)] == [
        "ran 7\n",
        "already_used\n",
        "already_used\n",
    ]
    # Without a journal: an automatic key would find yesterday's decision.
    assert run_program("") == "already_used\n"
    sandbox.control("POST", "/reset")
    sandbox.control("POST", "/rules", {"action": "act", "decision": "approved"})
    assert [run_program("") for _ in range(2)] == ["ran 7\n", "already_used\n"]


def give_up(pay: Callable[[], Any], sandbox: Sandbox) -> str:
    """Ask and wait in vain; the approval's id."""
    with pytest.raises(ApprovalTimeout):
        pay()
    sandbox.control("GET", "/polls?max=0&wait_ms=20000")
    pending = sandbox.control("GET", "/approvals?status=pending")["approvals"]
    assert len(pending) == 1
    return str(pending[0]["approval_id"])


def test_a_call_that_gave_up_is_picked_up_while_it_is_pending_and_not_after(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    ran: list[int] = []

    def paying(timeout: float, **more: Any) -> Callable[..., None]:
        @require_approval("pay", dedup_key="auto", timeout=timeout, **more)
        def pay(amount: int) -> None:
            ran.append(amount)

        return pay

    give_up(lambda: paying(0.2)(1), sandbox)
    human = threading.Thread(target=decide, args=(sandbox, "approved"))
    human.start()
    paying(60)(1)
    human.join()
    assert ran == [1], "decided while the second call waited for it"

    for amount, decision, reason in ((2, "approved", "already_used"), (3, "denied", "denied")):
        approval = give_up(lambda amount=amount: paying(0.2)(amount), sandbox)  # type: ignore[misc]
        sandbox.control("POST", f"/approvals/{approval}/decision", {"decision": decision})
        for _ in range(2):
            with pytest.raises(ApprovalDenied) as caught:
                paying(60)(amount)
            assert (caught.value.reason, caught.value.status) == (reason, decision)

    journal = tmp_path / "journal"
    approval = give_up(lambda: paying(0.2, journal=journal)(4), sandbox)
    sandbox.control("POST", f"/approvals/{approval}/decision", {"decision": "approved"})
    paying(60, journal=journal)(4)
    with pytest.raises(ApprovalDenied) as caught:
        paying(60, journal=journal)(4)
    assert caught.value.reason == "already_used"
    assert ran == [1, 4]
    assert len(sandbox.control("GET", "/approvals")["approvals"]) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ApprovalTimeout("late")])
@pytest.mark.parametrize(
    "told", [{"approved": True}, {"status": "approved"}, {"is_terminal": True, "approved": True}]
)
def test_a_decision_from_before_the_call_does_not_count_whoever_asks(
    error: BaseException, told: dict[str, Any]
) -> None:
    broker = Broker()
    ran: list[int] = []

    @require_approval("pay", client=broker, dedup_key="auto")
    def pay() -> None:
        ran.append(1)

    def fail() -> None:
        raise error

    broker.meanwhile = fail
    with pytest.raises(type(error)):
        pay()
    broker.meanwhile = lambda: None
    asked = broker.trigger

    def trigger(*args: Any, **more: Any) -> Any:
        approval = asked(*args, **more)
        approval.configure_mock(**told)
        return approval

    broker.trigger = trigger  # type: ignore[method-assign]
    with pytest.raises(ApprovalDenied) as caught:
        pay()
    assert caught.value.reason == "already_used"
    assert ran == []


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is synced, by path, in order; tests add to it."""
    happened: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        happened.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", noted)
    return happened


@pytest.mark.parametrize("name", ["function", "coroutine", "generator", "async generator"])
def test_a_journal_is_on_the_disk_before_the_call_runs(
    name: str, tmp_path: Path, happened: list[str]
) -> None:
    journal = tmp_path / "not" / "yet" / "there"
    kinds = Kinds(require_approval("act", client=Broker(), journal=journal), happened)
    run(kinds.all[name](7))
    (note,) = journal.iterdir()
    at = happened.index(name)
    before = happened[:at]
    for folder in (journal, tmp_path / "not" / "yet", tmp_path / "not", tmp_path):
        assert str(folder) in before
    assert str(journal) in before[before.index(str(note)) :], "that the note is there, too"
    happened.clear()
    run(kinds.all[name](7))
    at = happened.index(name)
    assert {str(journal), str(journal.parent)} <= set(happened[:at]), (
        "the one that was there may not be synced yet"
    )


def test_a_journal_that_cannot_be_written_lets_nothing_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    broker = Broker()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OSError, match="file"):
        require_approval("act", client=broker, journal=file)(lambda: ran.append(1))()

    def fail(descriptor: int) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(os, "fsync", fail)
    gate = require_approval("act", client=broker, journal=tmp_path / "journal", dedup_key="one")
    for _ in range(2):
        with pytest.raises((OSError, ApprovalDenied)):
            gate(lambda: ran.append(1))()
    assert ran == []
    for wrong in ("", 5, b""):
        with pytest.raises((TypeError, ValueError), match=r"journal|PathLike"):
            require_approval("act", client=broker, journal=wrong)  # type: ignore[arg-type]


def test_a_journal_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    act = require_approval("act", client=Broker(), journal="journal")(lambda: "ran")
    monkeypatch.chdir("/")
    assert act() == "ran"
    assert len(list((tmp_path / "journal").iterdir())) == 1


def test_arguments_that_change_while_the_journal_is_written_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = {"amount": 5}
    monkeypatch.setattr(os, "fsync", lambda _: order.update(amount=6))
    kinds = Kinds(require_approval("act", client=Broker(), journal=tmp_path))
    for name in ("function", "coroutine"):
        order["amount"] = 5
        with pytest.raises(ApprovalDenied) as caught:
            run(kinds.all[name](order))
        assert caught.value.reason == "args_changed"
    assert kinds.ran == []


def test_the_loop_stays_free_while_the_journal_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda _: threads.add(threading.get_ident()))

    @require_approval("act", client=Broker(), journal=tmp_path)
    async def act() -> None: ...

    asyncio.run(act())
    assert threads
    assert threading.get_ident() not in threads


def test_through_a_broker(sandbox: Sandbox) -> None:
    ran: list[int] = []

    @require_approval(
        "payments.refund",
        summary=lambda amount, **_: f"Refund ${amount / 100:.2f} to customer",
        timeout=60,
    )
    def issue_refund(amount: int, customer_id: str) -> str:
        ran.append(amount)
        return customer_id

    human = threading.Thread(target=decide, args=(sandbox, "approved"))
    human.start()
    assert issue_refund(4200, customer_id="cus_123") == "cus_123"
    human.join()
    assert ran == [4200]
    asked = sandbox.control("GET", "/approvals")["approvals"][0]
    assert (asked["action"], asked["summary"]) == ("payments.refund", "Refund $42.00 to customer")

    human = threading.Thread(target=decide, args=(sandbox, "denied"), kwargs={"note": "not him"})
    human.start()
    with pytest.raises(ApprovalDenied) as caught:
        issue_refund(1, customer_id="cus_123")
    human.join()
    assert (caught.value.status, caught.value.note) == ("denied", "not him")
    with pytest.raises(ApprovalTimeout):
        require_approval("a", timeout=0.2)(lambda: ran.append(0))()
    assert ran == [4200]


def test_a_coroutine_with_a_blocking_client_leaves_the_loop_free(sandbox: Sandbox) -> None:
    @require_approval("act")
    async def act() -> int:
        return threading.get_ident()

    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticker = asyncio.create_task(tick())

        async def decide_once_the_loop_has_been_free() -> None:
            while ticks < 100:
                await asyncio.sleep(0)
            await asyncio.to_thread(decide, sandbox, "approved")

        human = asyncio.create_task(decide_once_the_loop_has_been_free())
        assert await act() == threading.get_ident()
        await human
        ticker.cancel()

    asyncio.run(main())


def test_cancelling_a_gate_ends_the_question(sandbox: Sandbox) -> None:
    ran: list[int] = []

    async def main() -> None:
        async with AsyncSesame() as client:

            @require_approval("act", client=client)
            async def act() -> None:
                ran.append(1)

            call = asyncio.create_task(act())
            await asyncio.to_thread(sandbox.control, "GET", "/polls?min=1&wait_ms=20000")
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await asyncio.to_thread(sandbox.control, "GET", "/polls?max=0&wait_ms=20000")
            for approval in sandbox.control("GET", "/approvals")["approvals"]:
                path = f"/approvals/{approval['approval_id']}/decision"
                sandbox.control("POST", path, {"decision": "approved"})

    asyncio.run(main())
    assert ran == []


def test_a_broker_that_is_down_means_not_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    client = Sesame(api_key="sk_x", base_url="http://127.0.0.1:1", max_retries=0)

    @require_approval("act", client=client)
    def act() -> None:
        ran.append(1)

    @require_approval("act", client=client)
    async def act_async() -> None:
        ran.append(1)

    for call in (act, lambda: asyncio.run(act_async())):
        with pytest.raises(SesameConnectionError) as caught:
            call()
        assert isinstance(caught.value, ApprovalError)
    assert ran == []


RESUMED = """
    import sys
    from sesame_sdk import require_approval

    @require_approval("act", dedup_key=lambda order: f"order-{order}", timeout=60)
    def act(order):
        print("ran", order, flush=True)

    act(7)
"""


def test_a_process_that_was_killed_is_followed_by_one_that_finishes_the_call(sandbox: Sandbox) -> None:
    program = [sys.executable, "-c", textwrap.dedent(RESUMED)]
    first = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    sandbox.control("GET", "/polls?min=1&wait_ms=20000")
    first.send_signal(signal.SIGKILL)
    assert first.communicate()[0] == ""
    sandbox.control("GET", "/polls?max=0&wait_ms=20000")
    pending = sandbox.control("GET", "/approvals?status=pending")["approvals"]
    sandbox.control("POST", f"/approvals/{pending[0]['approval_id']}/decision", {"decision": "approved"})
    second = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (second.stdout, second.stderr) == ("ran 7\n", "")
    assert len(sandbox.control("GET", "/approvals")["approvals"]) == 1
