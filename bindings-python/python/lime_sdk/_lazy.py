"""Packages whose names load the module that has them when they are first used.

Importing a package then costs next to nothing, whatever a program goes on to use of it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would be most of what this import costs
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


_SUBINTERPRETERS = (
    "lime does not work in subinterpreters: its native library belongs to the main interpreter of the "
    "process. Use it there, or in a process of its own (multiprocessing). For mod_wsgi, set "
    "WSGIApplicationGroup %{GLOBAL}; for uWSGI, single-interpreter."
)


def _import(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        # pyo3 says so, and from 3.12 on CPython of interpreters with a lock of their own.
        if "subinterpreters" in str(error) and str(error) != _SUBINTERPRETERS:
            raise ImportError(_SUBINTERPRETERS, name=error.name) from error
        raise


def loader(
    namespace: dict[str, Any], modules: dict[str, str], submodules: tuple[str, ...] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package.

    Args:
        namespace: The package's ``globals()``.
        modules: Of each public name, the module that has it; ``module:other`` where it is called
            something else there.
        submodules: Modules of the package that are attributes of it without having been imported, as
            in a package that imports them all.
    """

    def load(name: str) -> Any:
        found = modules.get(name)
        if found is None and name in submodules:
            return _import(f"{namespace['__name__']}.{name}")
        if found is None:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")

        module, _, other = found.partition(":")
        value = namespace[name] = getattr(_import(module), other or name)
        return value

    def listing() -> list[str]:
        return sorted({*namespace, *modules})

    return load, listing
