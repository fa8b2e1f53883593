"""The arguments of a gated call: what they were when a human was asked, and what the human sees of them."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from uuid import UUID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

# Where people look for secrets first. Compared without case, dashes and underscores, anywhere in a name.
_SECRET_NAMES = (
    *("password", "passwd", "passphrase", "secret", "token", "authorization", "apikey", "accesskey"),
    *("privatekey", "credential", "cookie", "session", "signature", "cardnumber", "cvv", "cvc", "pincode"),
)
_MASK = "[redacted]"

_LONGEST_TEXT = 1000
_MOST_ITEMS = 100
_DEEPEST = 8

_SCALARS = (date, datetime, time, timedelta, Decimal, UUID, PurePath, complex)


def bound(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    only: tuple[str, ...] | None,
) -> dict[str, Any]:
    """A call's arguments by name, defaults included, without the object that a method belongs to.

    Raises:
        TypeError: The function does not take these arguments, or has none of a name in ``only``.
    """
    call = inspect.signature(function).bind(*args, **kwargs)
    call.apply_defaults()
    named: dict[str, Any] = {}
    for position, (name, parameter) in enumerate(call.signature.parameters.items()):
        if parameter.kind is parameter.VAR_KEYWORD:
            named.update(call.arguments[name])
        elif position > 0 or name not in ("self", "cls"):
            named[name] = call.arguments[name]
    if only is None:
        return named
    missing = [name for name in only if name not in named]
    if missing:
        raise TypeError(f"bind names what is no argument of the call: {', '.join(missing)}")
    return {name: named[name] for name in only}


def fingerprint(arguments: Any, *, identity: bool) -> str:
    """A hash of everything in the arguments that is data; equal data has equal hashes.

    Args:
        arguments: The arguments by name.
        identity: Tell apart objects that are no data (clients, sessions, files) by which object it is,
            which holds within this process; else by their type, which holds in every process.
    """
    digest = hashlib.sha256()
    _feed(digest.update, arguments, identity, ())
    return digest.hexdigest()


def _feed(update: Callable[[bytes], None], value: Any, identity: bool, above: tuple[int, ...]) -> None:
    def put(kind: str, data: bytes = b"") -> None:
        # Lengths keep the parts apart: no two different values are written the same.
        update(f"{kind}:{len(data)}:".encode())
        update(data)

    def inside(kind: str, parts: Iterable[bytes]) -> None:
        listed = list(parts)
        put(kind, str(len(listed)).encode())
        for part in listed:
            update(part)

    def hashed(part: Any) -> bytes:
        digest = hashlib.sha256()
        _feed(digest.update, part, identity, (*above, id(value)))
        return digest.digest()

    kind = type(value)
    if value is None or kind is bool or kind is int or kind is float:
        put(kind.__name__, repr(value).encode())
    elif isinstance(value, Enum):
        put("enum", f"{kind.__module__}.{kind.__qualname__}.{value.name}".encode())
    elif isinstance(value, (int, float, *_SCALARS)):
        put(kind.__name__, repr(value).encode())
    elif isinstance(value, str):
        put("str", value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, (bytes, bytearray, memoryview)):
        put("bytes", bytes(value))
    elif id(value) in above:
        put("cycle", str(above.index(id(value))).encode())
    elif isinstance(value, dict):
        inside("dict", sorted(hashed(key) + hashed(item) for key, item in value.items()))
    elif isinstance(value, (list, tuple)):
        inside("list" if isinstance(value, list) else "tuple", map(hashed, value))
    elif isinstance(value, (set, frozenset)):
        inside("set", sorted(map(hashed, value)))
    elif (fields := _fields(value)) is not None:
        put("object", f"{kind.__module__}.{kind.__qualname__}".encode())
        inside("fields", (hashed(part) for part in fields.items()))
    elif (data := _buffer(value)) is not None:
        put("buffer", data)
    else:
        put("opaque", f"{kind.__module__}.{kind.__qualname__}".encode())
        if identity:
            put("id", str(id(value)).encode())


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields of an object that is nothing but its fields."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    names = getattr(type(value), "model_fields", None) or getattr(type(value), "__attrs_attrs__", None)
    if names is None:
        return None
    # pydantic has a dict by name, attrs a tuple of attributes.
    listed = names if isinstance(names, dict) else [attribute.name for attribute in names]
    return {name: getattr(value, name, None) for name in listed}


def _buffer(value: Any) -> bytes | None:
    """The bytes of arrays and the like."""
    try:
        view = memoryview(value)
    except TypeError:
        return None
    return f"{view.format}{view.shape}".encode() + view.tobytes()


def preview(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """What a human sees of a call: data as it is, cut where it is long, everything else by its type."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return {"function": name, "arguments": {key: _shown(item, 0) for key, item in arguments.items()}}


def _shown(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, int):
        # Beyond these, JSON numbers lose digits on their way to a page.
        return int(value) if abs(value) < 2**53 else str(int(value))
    if isinstance(value, float):
        return value if value - value == 0 else repr(value)
    if isinstance(value, str):
        text = value.encode("utf-8", "replace").decode()
        return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"
    if isinstance(value, _SCALARS):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    fields = _fields(value)
    items = value if isinstance(value, dict) else fields
    if depth < _DEEPEST and items is not None:
        shown = {str(key): _shown(item, depth + 1) for key, item in list(items.items())[:_MOST_ITEMS]}
        return shown if len(items) <= _MOST_ITEMS else {**shown, "…": f"{len(items) - _MOST_ITEMS} more"}
    if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        listed = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else list(value)
        shown_items = [_shown(item, depth + 1) for item in listed[:_MOST_ITEMS]]
        more = len(listed) - _MOST_ITEMS
        return shown_items if more <= 0 else [*shown_items, f"… {more} more"]
    # Not its repr, which may hold anything.
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def masked(context: Any, names: Iterable[str], *, usual: bool) -> Any:
    """A copy in which the values of these names are masked, at any depth.

    Args:
        context: What would be shown.
        names: Whole names, compared without case.
        usual: Mask also what looks like a secret by its name.
    """
    wanted = {name.lower() for name in names}

    def hides(name: str) -> bool:
        lowered = name.lower()
        bare = lowered.replace("_", "").replace("-", "").replace(" ", "")
        return lowered in wanted or (usual and any(secret in bare for secret in _SECRET_NAMES))

    def copy(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: _MASK if hides(str(key)) else copy(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [copy(item) for item in value]
        return value

    return copy(context)


def automatic_key(action: str, digest: str) -> str:
    """The ``dedup_key`` of a call that has no other name than what it does."""
    return f"{action}:{hashlib.sha256(json.dumps([action, digest]).encode()).hexdigest()}"
