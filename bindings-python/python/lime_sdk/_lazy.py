"""Packages whose names load the module that has them when they are first used.

Importing a package then costs next to nothing, whatever a program goes on to use of it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would be most of what this import costs
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


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
        from importlib import import_module

        found = modules.get(name)
        if found is None and name in submodules:
            return import_module(f"{namespace['__name__']}.{name}")
        if found is None:
            raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")

        module, _, other = found.partition(":")
        value = namespace[name] = getattr(import_module(module), other or name)
        return value

    def listing() -> list[str]:
        return sorted({*namespace, *modules})

    return load, listing
