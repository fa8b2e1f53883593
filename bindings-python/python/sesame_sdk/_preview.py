"""What a human sees of a call's arguments, and what nobody sees."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from uuid import UUID

from sesame_sdk._arguments import declared_fields, function_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

MASK = "[redacted]"

# Where people look for secrets first: anywhere in a name, without case and separators ...
_PARTS = (
    *("password", "passwd", "passphrase", "passcode", "secret", "token", "authorization", "apikey"),
    *("accesskey", "privatekey", "signingkey", "encryptionkey", "credential", "cookie", "session"),
    *("signature", "cardnumber", "pincode"),
)
# ... and as a whole word of a name.
_WORDS = {"pwd", "otp", "pin", "ssn", "auth", "bearer", "jwt", "cvv", "cvc", "iban"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# In texts: user and password of a URL, and what follows the name of an HTTP scheme.
_IN_TEXT = (
    (re.compile(r"(?<=://)[^/\s@]*:[^/\s@]*(?=@)"), MASK),
    (re.compile(r"\b(bearer|basic)(\s+)[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1\2{MASK}"),
)

_LONGEST_TEXT = 1000
_MOST_ITEMS = 100
_DEEPEST = 8
_AS_TEXT = (date, datetime, time, timedelta, Decimal, Fraction, UUID, PurePath, complex)


def looks_secret(name: str) -> bool:
    """Whether people keep secrets under such names."""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    return any(part in bare for part in _PARTS) or any(word.lower() in _WORDS for word in _WORD.findall(name))


def preview(function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """A call as JSON: data as it is, cut where it is long, everything else by its type."""
    return {
        "function": function_name(function),
        "arguments": {name: _shown(value, 0) for name, value in arguments.items()},
    }


def _shown(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, int):
        # Beyond these, JSON numbers lose digits on their way to a page; and some are too long for any.
        number = int(value)
        return number if abs(number) < 2**53 else _cut(hex(number) if abs(number) > 2**4096 else str(number))
    if isinstance(value, float):
        return float(value) if value - value == 0 else float.__repr__(value)
    if isinstance(value, str):
        return _cut(str.encode(value, "utf-8", "replace").decode())
    if isinstance(value, _AS_TEXT):
        return _cut(str(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    items = dict(value) if isinstance(value, dict) else declared_fields(value)
    if depth < _DEEPEST and items is not None:
        hidden = _hidden_fields(value)
        shown = {
            _key(key): MASK if key in hidden else _shown(item, depth + 1)
            for key, item in list(items.items())[:_MOST_ITEMS]
        }
        return shown if len(items) <= _MOST_ITEMS else {**shown, "…": f"{len(items) - _MOST_ITEMS} more"}
    if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        shown_items = [_shown(item, depth + 1) for item in list(value)[:_MOST_ITEMS]]
        if isinstance(value, (set, frozenset)):
            shown_items.sort(key=str)  # the same every time
        more = len(value) - _MOST_ITEMS
        return shown_items if more <= 0 else [*shown_items, f"… {more} more"]
    # Not its repr, which may hold anything.
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def _key(key: Any) -> str:
    if isinstance(key, (str, int, float, bool, date, UUID)) or key is None:
        return _cut(str(key))
    return f"<{type(key).__module__}.{type(key).__qualname__}>"


def _cut(text: str) -> str:
    for pattern, instead in _IN_TEXT:
        text = pattern.sub(instead, text)
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + "…"


def _hidden_fields(value: Any) -> set[str]:
    """The fields that their own class does not show."""
    if dataclasses.is_dataclass(value):
        return {field.name for field in dataclasses.fields(value) if not field.repr}
    known = getattr(type(value), "model_fields", None)
    if isinstance(known, dict):
        return {
            name
            for name, field in known.items()
            if getattr(field, "exclude", None) is True or getattr(field, "repr", True) is False
        }
    known = getattr(type(value), "__attrs_attrs__", None)
    if isinstance(known, tuple):
        return {attribute.name for attribute in known if getattr(attribute, "repr", True) is False}
    return set()


def masked(context: Any, names: Iterable[str], *, usual: bool) -> Any:
    """A copy in which the values of these names are masked, at any depth.

    In lists too: the second of a pair whose first is such a name, and what follows such a flag
    (``["--password", "x"]``, ``"--password=x"``).

    Args:
        context: What would be shown.
        names: Whole names, compared without case.
        usual: Mask also what looks like a secret by its name.
    """
    wanted = {name.lower() for name in names}

    def hides(name: Any) -> bool:
        return isinstance(name, str) and (name.lower() in wanted or (usual and looks_secret(name)))

    def copy_list(items: list[Any]) -> list[Any]:
        if len(items) == 2 and hides(items[0]) and not str(items[0]).startswith("-"):
            return [items[0], MASK]
        copied: list[Any] = []
        flagged = False
        for item in items:
            if flagged:
                copied.append(MASK)
                flagged = False
            elif isinstance(item, str) and item.startswith("-"):
                flag, equals, _ = item.partition("=")
                secret = hides(flag.lstrip("-"))
                copied.append(f"{flag}={MASK}" if secret and equals else item)
                flagged = secret and not equals
            else:
                copied.append(copy(item))
        return copied

    def copy(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: MASK if hides(key) else copy(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return copy_list(list(value))
        return value

    return copy(context)


__all__ = ["MASK", "looks_secret", "masked", "preview"]
