"""The arguments of a gated call: what they were when a human was asked."""

from __future__ import annotations

import copyreg
import dataclasses
import hashlib
import inspect
import itertools
import sys
from collections import OrderedDict, defaultdict, deque
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PosixPath, PurePath, PurePosixPath
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from uuid import UUID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Literal

    # What an object that is no data counts by: which object it is, its type, or not at all.
    Opaque = Literal["identity", "type", "refused"]

# Their repr is exact, and all that there is to them.
_EXACT = (date, timedelta, timezone, Decimal, Fraction, UUID, complex)
# These have no attributes.
_BASES = (int, bool, float, str, bytes, bytearray, PosixPath, PurePosixPath, *_EXACT)


_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))
_DESCRIPTORS = (
    *(MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType),
    *(GetSetDescriptorType, MemberDescriptorType),
)
_BUILT_IN = (BuiltinFunctionType, MethodWrapperType)
_CODE = (type, ModuleType, FunctionType, MethodType, *_BUILT_IN, *_DESCRIPTORS)
# Of a class that was made by a program, or could have been (Py_TPFLAGS_HEAPTYPE).
_HEAP = 1 << 9
# In the format of a buffer: objects, pointers, functions.
_POINTERS = frozenset("O&PXzZ")

# Nodes of cycles in sets are told apart by so many steps from one to the next.
_STEPS = 16


class NoData(TypeError):
    """An argument is no data, and so cannot be part of a name that holds in every process."""


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
        self._kept = _Kept()
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

        Of an object all counts that it holds: its fields, and whatever else is in its ``__dict__``, its
        slots and what pydantic keeps beside the fields. But for two things:

        - What a ``cached_property`` has kept is no part of what names a call: the same call has it or not.
          With ``identity`` the first fingerprint says what there is: what is kept later does not count,
          and what was kept then must stay as it is.
        - What a class leaves out by a ``__reduce__`` or ``__getstate__`` of its own, if it is no dataclass
          or the like: it says itself what its data is. For a class that inherits them it counts.

        Raises:
            NoData: Something is no data, and ``opaque`` refuses that.
        """
        receiver = None if self._receiver is None else id(self._receiver)
        kept = self._kept if opaque == "identity" else None
        fingerprint = _Data(opaque, receiver, kept).hash(self.named).hex()
        if kept is not None:
            kept.complete = True
        return fingerprint


class _Kept:
    """What was there when the arguments were bound, and what objects had cached.

    Attributes:
        complete: The arguments are bound.
        opaque: What counts by which object it is; kept, or another could come to be where it was.
    """

    def __init__(self) -> None:
        self.complete = False
        self.opaque: list[Any] = []
        # By the object's id: the object, which keeps that from being another's, and the names.
        self._caches: dict[int, tuple[Any, set[str]]] = {}

    def that_count(self, value: Any, caches: set[str]) -> set[str]:
        """Those of an object's caches that count: the ones that there were at first."""
        if not self.complete and caches:
            self._caches.setdefault(id(value), (value, set()))[1].update(caches)
        return self._caches.get(id(value), (None, set()))[1]


class _NotData:
    """What counts by which object it is.

    Attributes:
        name: Its type, or the name that it has.
        is_code: A function or a class: what has one is data all the same.
    """

    def __init__(self, name: str, *, is_code: bool = False) -> None:
        self.name = name
        self.is_code = is_code


class _Parts:
    """What a value is made of.

    Attributes:
        label: What it is, without its parts.
        order: ``list``; ``set`` and ``pairs``, whose order does not count. Pairs are two parts each.
        values: Its parts.
        pickled: It is what its parts say only if all below it is data, too.
        beside: More parts, of which that need not hold.
    """

    def __init__(
        self, label: bytes, order: str, values: list[Any], *, pickled: bool = False, beside: Any = None
    ) -> None:
        self.label = label
        self.order = order
        self.values = values
        self.pickled = pickled
        self.beside = beside


class _Data:
    """Hashes a value so that no two different ones have the same hash.

    A value with parts is a node, and each object is one node however many others refer to it, so that the
    work grows with the number of objects and nothing has to be left out. Nothing here calls itself: a chain
    of objects may be as long as it likes.
    """

    def __init__(self, opaque: Opaque, receiver: int | None, kept: _Kept | None) -> None:
        self._opaque: Opaque = opaque
        self._receiver = receiver
        self._kept = kept
        # By the number of the node.
        self._values: list[Any] = []  # and so none of the ids below can become another object's
        self._labels: list[bytes] = []
        self._orders: list[str] = []
        self._parts: list[list[bytes | int]] = []
        self._below_pickled: list[bool] = []
        # An object is one node where it stands by itself, another below one that is what it would pickle.
        self._numbers: dict[tuple[int, bool], int] = {}
        # Nodes that are being read, outermost first: the parts to come, each with whether it is below one.
        self._open: list[tuple[int, Iterator[tuple[Any, bool]]]] = []
        # Nodes below an object that would pickle, with something in them that would not.
        self._unpicklable: set[int] = set()
        # By node: its hash, if it leads to no cycle.
        self._digests: dict[int, bytes] = {}
        self._colors: dict[int, bytes] | None = None

    def hash(self, value: Any) -> bytes:
        """The hash of a value and of all that it refers to."""
        root = self._part(value, False)
        while self._open:
            number, values = self._open[-1]
            for below, below_pickled in values:
                part = self._part(below, below_pickled)
                if part is None:
                    self._give_up()
                    break
                self._parts[number].append(part)
                if self._open[-1][0] != number:
                    break  # it is a new one, and read first
            else:
                self._open.pop()
        assert root is not None
        if isinstance(root, bytes):
            return root
        self._spread_unpicklable()
        self._hash_trees(root)
        return self._digests.get(root) or self._hash_graph(root)

    def _part(self, value: Any, below_pickled: bool) -> bytes | int | None:
        """A value's hash, or its node. None if it makes what it is in no data."""
        known = self._numbers.get((id(value), below_pickled))
        if known is not None:
            return None if known in self._unpicklable else known
        parts = self._look_at(value)
        if isinstance(parts, bytes):
            return parts
        if isinstance(parts, _NotData):
            spoils = below_pickled and not parts.is_code and self._opaque != "refused"
            return None if spoils else self._not_data(parts.name, value)
        number = len(self._values)
        self._values.append(value)
        self._labels.append(parts.label)
        self._orders.append(parts.order)
        self._parts.append([])
        self._below_pickled.append(below_pickled)
        self._numbers[id(value), below_pickled] = number
        values = zip(parts.values, itertools.repeat(below_pickled or parts.pickled))
        beside = [(parts.beside, False)] if parts.beside else []
        self._open.append((number, itertools.chain(values, beside)))
        return number

    def _give_up(self) -> None:
        """What is being read would not pickle, out to the outermost object that was to."""
        while True:
            number = self._open.pop()[0]
            if not self._below_pickled[number]:
                self._make_opaque(number)
                return
            self._unpicklable.add(number)

    def _make_opaque(self, number: int) -> None:
        value = self._values[number]
        self._labels[number] = self._not_data(_name(type(value)), value)
        self._parts[number] = []

    def _spread_unpicklable(self) -> None:
        """The same for what was read before it was known: in a cycle, the end of which is the beginning."""
        if not self._unpicklable:
            return
        inside: dict[int, list[int]] = {}
        for number, parts in enumerate(self._parts):
            for part in parts:
                if isinstance(part, int) and self._below_pickled[part]:
                    inside.setdefault(part, []).append(number)
        found = list(self._unpicklable)
        while found:
            for number in inside.get(found.pop(), ()):
                if not self._below_pickled[number]:
                    self._make_opaque(number)
                elif number not in self._unpicklable:
                    self._unpicklable.add(number)
                    found.append(number)

    def _hash_trees(self, root: int) -> None:
        """Hash each node that leads to no cycle."""
        reading = [(root, iter(self._parts[root]))]
        met = {root}
        while reading:
            number, parts = reading[-1]
            for part in parts:
                if isinstance(part, int) and part not in met:
                    met.add(part)
                    reading.append((part, iter(self._parts[part])))
                    break
            else:
                reading.pop()
                hashes = [
                    part if isinstance(part, bytes) else self._digests.get(part)
                    for part in self._parts[number]
                ]
                # One that has none is above this node, or leads to one that is.
                if None not in hashes:
                    self._digests[number] = self._hash_node(number, hashes)  # type: ignore[arg-type]

    def _hash_node(self, number: int, hashes: list[bytes]) -> bytes:
        order = self._orders[number]
        if order == "pairs":
            hashes = sorted(map(bytes.__add__, hashes[::2], hashes[1::2]))
        elif order == "set":
            hashes = sorted(hashes)
        return hashlib.sha256(_joined("node", self._labels[number], order.encode(), *hashes)).digest()

    def _hash_graph(self, root: int) -> bytes:
        """Hash what is in cycles or leads there: each node once, and by its number where it is met again."""
        digest = hashlib.sha256()
        numbers: dict[int, int] = {}
        rest: list[bytes | int] = [root]
        while rest:
            part = rest.pop()
            if isinstance(part, int):
                part = self._digests.get(part, part)
            if isinstance(part, bytes):
                digest.update(b"#" + part)
            elif part in numbers:
                digest.update(b"@%d;" % numbers[part])
            else:
                numbers[part] = len(numbers)
                parts = self._ordered(part)
                digest.update(
                    _joined("node", self._labels[part], self._orders[part].encode()) + b"%d;" % len(parts)
                )
                rest.extend(reversed(parts))
        return digest.digest()

    def _ordered(self, number: int) -> list[bytes | int]:
        """A node's parts in an order that is the same in every process."""
        parts, order = self._parts[number], self._orders[number]
        if order == "list":
            return parts
        width = 2 if order == "pairs" else 1
        groups = [parts[start : start + width] for start in range(0, len(parts), width)]
        if len(groups) > 1:
            first = {id(group): self._rank(group[0]) for group in groups}
            groups.sort(key=lambda group: first[id(group)])
            if len(set(first.values())) < len(groups):
                groups.sort(key=lambda group: [self._rank(part) for part in group])
        return [part for group in groups for part in group]

    def _rank(self, part: bytes | int) -> tuple[bool, bytes]:
        if isinstance(part, int) and part not in self._digests:
            if self._colors is None:
                self._colors = self._color()
            return True, self._colors[part]
        return False, part if isinstance(part, bytes) else self._digests[part]

    def _color(self) -> dict[int, bytes]:
        """Tell nodes in cycles apart by what is around them, as far as a few steps reach.

        This is for order and nothing else: where it does not suffice, the same data in another process may
        get another hash, and never different data the same.
        """
        nodes = [number for number in range(len(self._parts)) if number not in self._digests]
        colors = {number: self._hash_node(number, []) for number in nodes}
        for _ in range(_STEPS):
            before = len(set(colors.values()))
            colors = {
                number: self._hash_node(
                    number,
                    [
                        part if isinstance(part, bytes) else self._digests.get(part) or colors[part]
                        for part in self._parts[number]
                    ],
                )
                for number in nodes
            }
            if len(set(colors.values())) in (before, len(nodes)):
                break
        return colors

    def _look_at(self, value: Any) -> bytes | _NotData | _Parts:
        """A value's hash, or what it is made of."""
        kind = type(value)
        name = _name(kind)
        if value is None or value is Ellipsis or value is NotImplemented:
            return _hash(repr(value))
        # By their type, not by what they say of themselves; and as they are, not as a subclass shows them.
        if issubclass(kind, Enum):
            # Beside what the class has made of it: members may have attributes.
            own = {key: item for key, item in vars(value).items() if not (key[:1] == key[-1:] == "_")}
            return _Parts(_joined("enum", name.encode()), "list", [value._value_, own])
        if (data := _written(kind, value)) is not None:
            label = _joined(name, data)
            attributes = {} if kind in _BASES else self._attributes(value)
            return _Parts(label, "list", [attributes]) if attributes else hashlib.sha256(label).digest()
        if kind is datetime or kind is time:
            naive = repr(value.replace(tzinfo=None)).encode()
            return _Parts(_joined(name, naive), "list", [value.tzinfo])
        if kind is range or kind is slice:
            return _Parts(name.encode(), "list", [value.start, value.stop, value.step])
        if kind is dict or kind is MappingProxyType:
            return _Parts(kind.__name__.encode(), "pairs", list(itertools.chain.from_iterable(value.items())))
        if kind is list or kind is tuple:
            return _Parts(kind.__name__.encode(), "list", list(value))
        if kind is set or kind is frozenset:
            return _Parts(b"set", "set", list(value))
        if kind in _VIEWS:
            return _Parts(name.encode(), "list", list(value))
        if isinstance(value, _CODE):
            return _named(value)
        fields = declared_fields(value)
        if fields is None and id(value) == self._receiver:
            return _NotData(name)
        label = _joined("object", name.encode())
        if (content := _content(value)) is None and (buffer := _buffer(value)) is not None:
            written, content = buffer
            if not _POINTERS.isdisjoint(written):
                # What it contains is not in it; there are only addresses.
                pickled = self._pickled(name, value)
                if not isinstance(pickled, _NotData) or self._kept is None:
                    return pickled
                label = _joined("opaque", self._not_data(name, value))
        if fields is not None or content is not None:
            fields = fields or {}
            more = {
                key: item
                for key, item in self._attributes(value).items()
                if key not in fields or fields[key] is not item
            }
            if isinstance(value, BaseException):
                content = value.args
            return _Parts(label, "list", [fields, content, more])
        return self._pickled(name, value)

    def _attributes(self, value: Any, below: type = object) -> dict[str, Any]:
        return self._without_caches(value, _attributes(value, below))

    def _without_caches(self, value: Any, attributes: dict[str, Any]) -> dict[str, Any]:
        kind = type(value)
        caches = {name for name in attributes if _is_cached_property(kind, name)}
        if self._kept is not None:
            caches = caches - self._kept.that_count(value, caches)
        return (
            {name: item for name, item in attributes.items() if name not in caches} if caches else attributes
        )

    def _pickled(self, name: str, value: Any) -> bytes | _NotData | _Parts:
        """What `pickle` would write of an object."""
        kind = type(value)
        # As pickle does: some types are known to it by another way.
        reduce = copyreg.dispatch_table.get(kind)
        reduced: Any
        try:
            reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
        except (RecursionError, MemoryError):
            raise  # which says nothing of the object
        except Exception:
            return _NotData(name)
        if not isinstance(reduced, tuple):
            return _found(value, getattr(value, "__module__", None), str(reduced))
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        author = _author_of_pickles(kind) if reduce is None else kind
        beside: dict[str, Any] = {}
        if author is object:
            state = self._attributes(value)
        else:
            states: tuple[Any, ...] = state if isinstance(state, tuple) and len(state) == 2 else (state,)
            # No attributes are none: that an exception has an empty __dict__ only says that somebody looked.
            states = tuple(
                (self._without_caches(value, it) or None) if isinstance(it, dict) else it for it in states
            )
            if author is not kind:
                written = {name for it in states if isinstance(it, dict) for name in it}
                attributes = self._attributes(value, author).items()
                beside = {name: item for name, item in attributes if name not in written}
            state = states
        parts = [make, arguments, state, None if items is None else list(items)]
        parts.append(None if pairs is None else list(pairs))
        return _Parts(_joined("reduced", name.encode()), "list", parts, pickled=True, beside=beside)

    def _not_data(self, name: str, value: Any) -> bytes:
        if self._opaque == "refused":
            raise NoData(
                f"dedup_key='auto' cannot name this call: a {name} is no data that holds in every process; "
                "name the arguments that matter with bind=, or give a key"
            )
        identity = ""
        if self._kept is not None:
            identity = str(id(value))
            if not self._kept.complete:
                self._kept.opaque.append(value)
        return _hash("opaque", name.encode(), identity.encode())


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _joined(kind: str, *parts: bytes) -> bytes:
    # With their lengths: the parts cannot run into each other.
    return b"".join(b"%d:%b" % (len(part), part) for part in (kind.encode(), *parts)) + b";"


def _hash(kind: str, *parts: bytes) -> bytes:
    return hashlib.sha256(_joined(kind, *parts)).digest()


def _named(value: Any) -> bytes | _NotData | _Parts:
    """A function, class or module: its name says which, if it is what is found there."""
    if isinstance(value, ModuleType):
        name = value.__name__
        is_found = sys.modules.get(name) is value
        return _hash("module", name.encode()) if is_found else _NotData(name, is_code=True)
    if isinstance(value, MethodType):
        return _Parts(b"method", "list", [value.__self__, value.__func__])
    name = value.__qualname__
    if isinstance(value, _DESCRIPTORS):
        return _Parts(_joined("descriptor", name.encode()), "list", [value.__objclass__])
    receiver = getattr(value, "__self__", None)
    if isinstance(value, _BUILT_IN) and not (receiver is None or isinstance(receiver, ModuleType)):
        return _Parts(_joined("method", name.encode()), "list", [receiver])
    if isinstance(value, BuiltinFunctionType) or (isinstance(value, type) and not value.__flags__ & _HEAP):
        return _hash("named", f"{value.__module__}.{name}".encode())  # programs do not make these
    return _found(value, value.__module__, name)


def _found(value: Any, module: Any, name: str) -> bytes | _NotData:
    """What is to be found by a name, if that is where it is."""
    found: Any = sys.modules.get(module) if isinstance(module, str) else None
    for part in name.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    if found is value or (isinstance(found, (staticmethod, classmethod)) and found.__func__ is value):
        return _hash("named", f"{module}.{name}".encode())
    return _NotData(f"{module}.{name}", is_code=True)


def _written(kind: type, value: Any) -> bytes | None:
    """All that there is to a value without parts, but for attributes of a subclass."""
    if issubclass(kind, int):
        return hex(value).encode()
    if issubclass(kind, float):
        return float.hex(value).encode()
    if issubclass(kind, str):
        return str.encode(value, "utf-8", "surrogatepass")
    if issubclass(kind, (bytes, bytearray)):
        return memoryview(value).tobytes()
    if issubclass(kind, PurePath):
        return PurePath.__str__(value).encode("utf-8", "surrogatepass")
    return repr(value).encode("utf-8", "surrogatepass") if kind in _EXACT else None


def _content(value: Any) -> Any:
    """What a container of the program's own contains, whatever it says when asked."""
    if isinstance(value, OrderedDict):
        return list(OrderedDict.items(value))
    if isinstance(value, defaultdict):
        return [value.default_factory, dict.copy(value)]
    if isinstance(value, dict):
        return dict.copy(value)
    if isinstance(value, list):
        return list.copy(value)
    if isinstance(value, tuple):
        return [*tuple.__iter__(value)]
    if isinstance(value, deque):
        return [value.maxlen, list(deque.__iter__(value))]
    if isinstance(value, (set, frozenset)):
        return frozenset(set.__iter__(value) if isinstance(value, set) else frozenset.__iter__(value))
    return None


def _attributes(value: Any, below: type = object) -> dict[str, Any]:
    """What is in an object's ``__dict__``, and in the slots of its classes below one that it inherits from."""
    found: dict[str, Any] = {}
    for owner in type(value).__mro__:
        if owner is below:
            break
        # C has made the hidden fields of a struct_time slots. Those of paths keep what somebody has asked for.
        slots = {"__slots__", "n_unnamed_fields"}
        if slots.isdisjoint(vars(owner)) or owner.__module__.partition(".")[0] == "pathlib":
            continue
        for name, slot in vars(owner).items():
            if isinstance(slot, MemberDescriptorType):
                try:
                    item = slot.__get__(value)
                except AttributeError:
                    continue  # nothing is in it
                # A slot that a subclass has another of is still there.
                found[name if name not in found else f"{_name(owner)}.{name}"] = item
    try:
        attributes = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return found
    return {**found, **attributes}


def _is_cached_property(kind: type, name: Any) -> bool:
    """Whether an attribute is what a cached_property keeps: that of functools, Django or Werkzeug."""
    for owner in kind.__mro__:
        if name in vars(owner):
            return any(base.__name__ == "cached_property" for base in type(vars(owner)[name]).__mro__)
    return False


def _author_of_pickles(kind: type) -> type:
    """The class that says what of its objects is pickled; object, which takes all."""
    for owner in kind.__mro__[:-1]:
        if not vars(owner).keys().isdisjoint(("__reduce__", "__reduce_ex__", "__getstate__")):
            # The standard library's classes know each other: an ip_network keeps a function of its own.
            module = owner.__module__
            return kind if module == kind.__module__ and module in sys.stdlib_module_names else owner
    return object


def declared_fields(value: Any) -> dict[str, Any] | None:
    """The fields that the class of an object declares: a dataclass, a pydantic model, attrs."""
    kind = type(value)
    more: dict[str, Any] = {}
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    elif isinstance(known := getattr(kind, "model_fields", None), dict):
        names = list(known)
        more = getattr(value, "__pydantic_extra__", None) or {}
    elif isinstance(known := getattr(kind, "__attrs_attrs__", None), tuple):
        names = [attribute.name for attribute in known]
    else:
        return None
    # One that was deleted is not one that is None.
    return {**{name: getattr(value, name) for name in names if hasattr(value, name)}, **more}


def _buffer(value: Any) -> tuple[str, bytes] | None:
    """The format and the bytes of arrays and the like."""
    try:
        view = memoryview(value)
    except (TypeError, ValueError, BufferError):
        return None  # of times, or closed: numpy's arrays of them have no such format
    return view.format, f"{view.format}{view.shape}".encode() + view.tobytes()


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
