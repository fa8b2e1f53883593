"""The arguments of a gated call: what they were when a human was asked."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from uuid import UUID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    # What an object that is no data counts by: which object it is, its type, or not at all.
    Opaque = Literal["identity", "type", "refused"]

# Their repr is exact, and all that there is to them.
_EXACT = (date, datetime, time, timedelta, Decimal, Fraction, UUID, PurePath, complex, range, slice)


# An object with more than so many parts below it is a machine, not data.
_MOST_PARTS = 10_000


class NoData(TypeError):
    """An argument is no data, and so cannot be part of a name that holds in every process."""


class _NoObject(Exception):
    """An object has too many parts, or one that is no data."""


class Arguments:
    """A call's arguments by name.

    Attributes:
        named: The arguments, defaults included. Those of ``*args`` and ``**kwargs`` are below the names
            that the function has for them. A callable without a signature has ``args`` and ``kwargs``.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Bind a call's arguments.

        Raises:
            TypeError: The function does not take them.
        """
        self._keywords: dict[str, Any] = {}
        # The object that a method belongs to.
        self._receiver: Any = None
        try:
            # Not the signature of what a decorator wraps: it may pass on other arguments than these.
            signature = inspect.signature(function, follow_wrapped=False)
        except ValueError:
            self.named: dict[str, Any] = {"args": args, "kwargs": kwargs}
            return
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        self.named = dict(call.arguments)
        owner = getattr(function, "__qualname__", "").rpartition("<locals>.")[2]
        if "." in owner and next(iter(signature.parameters), None) in ("self", "cls") and args:
            self._receiver = args[0]
        for name, parameter in signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                self._keywords = self.named[name]

    def only(self, names: tuple[str, ...]) -> None:
        """Leave out all but these.

        Raises:
            TypeError: There is no argument of this name.
        """
        found = {**self._keywords, **self.named}
        missing = [name for name in names if name not in found]
        if missing:
            raise TypeError(f"bind names what is no argument of the call: {', '.join(missing)}")
        self.named = {name: found[name] for name in names}

    def fingerprint(self, opaque: Opaque) -> str:
        """A hash of all data in the arguments; equal data has equal hashes, in every process.

        Data is what can be written down: numbers, texts, times, containers, dataclasses, objects that
        can be pickled. Of the object that a method belongs to, only a dataclass, pydantic or attrs
        object is data: services have counters and connections that change while a human thinks.

        Raises:
            NoData: Something is no data, and ``opaque`` refuses that.
        """
        digest = hashlib.sha256()
        receiver = None if self._receiver is None else id(self._receiver)
        _Writer(digest.update, opaque, receiver).write(self.named)
        return digest.hexdigest()


class _Writer:
    """Writes values into a hash so that no two different ones are written the same."""

    def __init__(
        self,
        update: Callable[[bytes], None],
        opaque: Opaque,
        receiver: int | None,
        above: tuple[int, ...] = (),
        parts_left: list[int] | None = None,
    ) -> None:
        self._update = update
        self._opaque: Opaque = opaque
        self._receiver = receiver
        # Below an object: how many more parts it may have. Objects may refer to each other in so many
        # ways that following all of them would never end.
        self._parts_left = parts_left
        # The containers that the value is in, by id: an object may hold itself.
        self._above = above

    def write(self, value: Any) -> None:
        if self._parts_left is not None:
            self._parts_left[0] -= 1
            if self._parts_left[0] < 0:
                raise _NoObject
        kind = type(value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if value is None or value is Ellipsis or value is NotImplemented:
            self._put(repr(value))
        elif isinstance(value, Enum):
            self._put("enum", name.encode(), self._hash(value.value, value))
        # Of subclasses too: their own repr may leave something out.
        elif isinstance(value, int):
            self._put(name, hex(value).encode())
        elif isinstance(value, float):
            self._put(name, float.hex(value).encode())
        elif isinstance(value, str):
            self._put(name, str.encode(value, "utf-8", "surrogatepass"))
        elif isinstance(value, (bytes, bytearray, memoryview)):
            self._put("bytes", bytes(value))
        elif kind in _EXACT or isinstance(value, PurePath):
            self._put(name, repr(value).encode("utf-8", "surrogatepass"))
        elif id(value) in self._above:
            self._put("cycle", str(self._above.index(id(value))).encode())
        elif kind is dict:
            parts = (self._hash(key, value) + self._hash(item, value) for key, item in value.items())
            self._put("dict", *sorted(parts))
        elif kind is list or kind is tuple:
            self._put(kind.__name__, *(self._hash(item, value) for item in value))
        elif kind is set or kind is frozenset:
            self._put("set", *sorted(self._hash(item, value) for item in value))
        elif isinstance(value, type) or inspect.isroutine(value) or inspect.ismodule(value):
            self._write_named(value)
        elif (fields := declared_fields(value)) is not None:
            self._put("object", name.encode(), self._hash(fields, value))
        elif (data := _buffer(value)) is not None:
            self._put("buffer", name.encode(), data)
        elif id(value) == self._receiver or not self._write_reduced(name, value):
            self._write_opaque(name, value)

    def _put(self, kind: str, *parts: bytes) -> None:
        # With their lengths: the parts cannot run into each other.
        for part in (kind.encode(), *parts):
            self._update(f"{len(part)}:".encode())
            self._update(part)
        self._update(b";")

    def _hash(self, part: Any, inside: Any) -> bytes:
        digest = hashlib.sha256()
        above = (*self._above, id(inside))
        _Writer(digest.update, self._opaque, self._receiver, above, self._parts_left).write(part)
        return digest.digest()

    def _write_named(self, value: Any) -> None:
        """A function, class or module: its name says which, unless it was made inside a function."""
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__class__)}"
        receiver = getattr(value, "__self__", None)
        if receiver is not None and not inspect.ismodule(receiver):
            self._put("method", name.encode(), self._hash(receiver, value))
        elif "<" in name:
            self._write_opaque(name, value)
        else:
            self._put("named", name.encode())

    def _write_reduced(self, name: str, value: Any) -> bool:
        """What `pickle` would write of an object; false when it would not."""
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:
            return False
        if not isinstance(reduced, tuple):
            self._put("global", name.encode(), str(reduced).encode())
            return True
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        parts = [make, arguments, state, None if items is None else list(items)]
        parts.append(None if pairs is None else list(pairs))
        outermost = self._parts_left is None
        if outermost:
            self._parts_left = [_MOST_PARTS]
        try:
            self._put("reduced", name.encode(), self._hash(parts, value))
        except _NoObject:
            if not outermost:
                raise
            return False
        finally:
            if outermost:
                self._parts_left = None
        return True

    def _write_opaque(self, name: str, value: Any) -> None:
        if self._parts_left is not None and self._opaque != "refused":
            raise _NoObject  # and so the object that it is a part of is no data either
        if self._opaque == "refused":
            raise NoData(
                f"dedup_key='auto' cannot name this call: a {name} is no data that holds in every process; "
                "name the arguments that matter with bind=, or give a key"
            )
        identity = str(id(value)) if self._opaque == "identity" else ""
        self._put("opaque", name.encode(), identity.encode())


def declared_fields(value: Any) -> dict[str, Any] | None:
    """The fields of an object that is nothing but its fields: a dataclass, a pydantic model, attrs."""
    kind = type(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if isinstance(known := getattr(kind, "model_fields", None), dict):
        more = getattr(value, "__pydantic_extra__", None) or {}
        return {**{name: getattr(value, name, None) for name in known}, **more}
    if isinstance(known := getattr(kind, "__attrs_attrs__", None), tuple):
        return {attribute.name: getattr(value, attribute.name, None) for attribute in known}
    return None


def _buffer(value: Any) -> bytes | None:
    """The bytes of arrays and the like."""
    try:
        view = memoryview(value)
    except TypeError:
        return None
    return f"{view.format}{view.shape}".encode() + view.tobytes()


def function_name(function: Callable[..., Any]) -> str:
    """Where a function is from and what it is called."""
    named = inspect.unwrap(function)
    named = getattr(named, "func", named)  # functools.partial
    kind = type(named)
    module = getattr(named, "__module__", None) or kind.__module__
    return f"{module}.{getattr(named, '__qualname__', kind.__qualname__)}"


def automatic_key(action: str, function: Callable[..., Any], arguments: Arguments) -> str:
    """The ``dedup_key`` of a call that has no other name than what it does; the same in every process.

    Raises:
        NoData: An argument is no data.
    """
    text = "\0".join((action, function_name(function), arguments.fingerprint("refused")))
    return f"{action}:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


__all__ = ["Arguments", "NoData", "automatic_key", "declared_fields", "function_name"]
