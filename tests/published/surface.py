"""Prints what importable packages show, as JSON. Run by the published packages' environments and by ours.

Usage: python surface.py PACKAGE...
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import pkgutil
import sys
import typing
from typing import Any

OURS = ("lime_sites", "lime_agents", "lime_mcp_server", "lime_sdk", "sesame_sdk")
# Beside the names without an underscore, what programs use of a class without writing it down.
SPECIAL = ("__aenter__", "__aexit__", "__enter__", "__exit__")


def signature(function: Any) -> list[list[str]] | None:
    """Name, kind and default of every parameter."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return [
        [p.name, p.kind.name, "" if p.default is p.empty else f"={p.default!r}"]
        for p in found.parameters.values()
    ]


def hints(value: Any) -> bool:
    """Whether what the annotations name can be looked up, as pydantic, FastAPI and containers do."""
    try:
        typing.get_type_hints(value)
    except NameError:
        return False
    return True


def member(kind: type, name: str) -> dict[str, Any]:
    """One attribute of a class: what it is and how it is called."""
    raw = inspect.getattr_static(kind, name)
    value = getattr(kind, name)
    shape = type(raw).__name__ if isinstance(raw, (classmethod, staticmethod, property)) else "attribute"
    if not callable(value):
        # Slots are descriptors, one for each instance attribute.
        return {"is": shape if shape == "property" or inspect.isdatadescriptor(raw) else repr(value)}
    plain = shape if shape != "attribute" else "method"
    return {
        **{"is": plain, "async": inspect.iscoroutinefunction(value)},
        **{"signature": signature(value), "hints": hints(value)},
    }


def default(field: dataclasses.Field[Any]) -> str:
    """A field's default."""
    return "required" if field.default is dataclasses.MISSING else repr(field.default)


def described_class(kind: type) -> dict[str, Any]:
    """A class as its users see it."""
    found: dict[str, Any] = {
        "is": "class",
        "mro": [base.__name__ for base in kind.__mro__ if base is not object],
        "signature": signature(kind),
        "hints": hints(kind) and hints(kind.__init__),
        "members": {},
    }
    for name in dir(kind):
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        if owner is None or owner.__module__.split(".")[0] not in OURS:
            continue  # of Exception, BaseModel and the like
        if not name.startswith("_") or name in SPECIAL:
            found["members"][name] = member(kind, name)
    if dataclasses.is_dataclass(kind):
        parameters: Any = kind.__dataclass_params__  # type: ignore[attr-defined]
        found["dataclass"] = {
            "fields": [[f.name, str(f.type), default(f)] for f in dataclasses.fields(kind)],
            **{name: getattr(parameters, name) for name in ("frozen", "eq", "order", "unsafe_hash")},
            "slots": list(getattr(kind, "__slots__", ["none"])),
            "match_args": list(getattr(kind, "__match_args__", ())),
            "hashable": kind.__hash__ is not None,
        }
    if hasattr(kind, "model_fields"):
        fields: Any = kind.model_fields
        found["model"] = {
            name: [str(f.annotation), "required" if f.is_required() else repr(f.default)]
            for name, f in fields.items()
        }
        found["model_config"] = dict(kind.model_config)  # type: ignore[attr-defined]
    return found


def described(value: Any) -> dict[str, Any]:
    """A name of a module."""
    if inspect.ismodule(value):
        return {"is": "module"}
    if inspect.isclass(value):
        return described_class(value)
    if callable(value):
        return {
            "is": "function",
            "async": inspect.iscoroutinefunction(value),
            "signature": signature(value),
            "hints": hints(value),
        }
    return {"is": "value", "type": type(value).__name__}


def modules(package: str) -> list[str]:
    """The package and its modules without an underscore."""
    found = importlib.import_module(package)
    names = [info.name for info in pkgutil.iter_modules(found.__path__) if not info.name.startswith("_")]
    return [package, *(f"{package}.{name}" for name in names)]


def names(module: Any) -> list[str]:
    """Public names: what the module lists, and what else it defines without an underscore."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", module.__name__) == module.__name__
        and not isinstance(value, typing.TypeVar)
    ]
    return sorted({*getattr(module, "__all__", ()), *own})


def surface(packages: list[str]) -> dict[str, Any]:
    """All of it, by module."""
    found: dict[str, Any] = {}
    for package in packages:
        for path in modules(package):
            module = importlib.import_module(path)
            found[path] = {name: described(getattr(module, name)) for name in names(module)}
    return found


if __name__ == "__main__":
    json.dump(surface(sys.argv[1:]), sys.stdout, default=str)
