"""Everything public says what it takes, gives and raises."""

from __future__ import annotations

import importlib
import inspect
import pydoc
import re
from collections.abc import Iterator
from typing import Any

import pytest

PACKAGES = (
    *("lime_sdk", "lime_sites", "lime_agents", "lime_mcp_server", "lime_mcp_server.asgi"),
    *("lime_mcp_server.wsgi", "sesame_sdk", "lime_sdk.testing"),
)
# Raises nothing of its own.
SILENT = re.compile(
    r"\.(aclose|close|on_login|on_state|on_gap|forget|in_environment|parse_frame|__init__"
    r"|warm|invalidate|invalidate_cache|verify|verify_async)$"
)
# Says in one sentence which other one it is like, or that it is not for programs.
REFERS = re.compile(r"see :\w+:`|[Ss]ame as :meth:`|programs do not make one|Made by :class:")


def ours(module: str | None) -> bool:
    return module is not None and module.split(".")[0] in PACKAGES


def public() -> Iterator[tuple[str, Any]]:
    """Every public class, function, method and property."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        yield package, module
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value):
                continue
            yield f"{package}.{name}", value
            if not inspect.isclass(value):
                continue
            for attribute in dir(value):
                owner = next((base for base in value.__mro__ if attribute in vars(base)), None)
                if owner is None or not ours(owner.__module__) or attribute.startswith("_"):
                    continue
                member = inspect.getattr_static(value, attribute)
                if isinstance(member, (property, classmethod, staticmethod)) or inspect.isfunction(member):
                    yield f"{package}.{name}.{attribute}", getattr(member, "__func__", member)
            # What a dataclass has generated is documented as the class's attributes.
            made = inspect.isfunction(value.__init__) and not hasattr(value, "__dataclass_fields__")
            if made and ours(value.__init__.__module__):
                yield f"{package}.{name}.__init__", value.__init__


EVERYTHING = dict(public())


def test_there_is_enough() -> None:
    assert len(EVERYTHING) >= 150


@pytest.mark.parametrize("name", EVERYTHING)
def test_it_is_documented(name: str) -> None:
    value = EVERYTHING[name]
    text = value.__doc__
    assert text, f"{name} has no docstring"
    first = text.splitlines()[0]
    assert first.endswith((".", ".)")), f"{name}: the first line is a sentence"
    if inspect.isfunction(value) and not REFERS.search(text):
        for parameter in inspect.signature(value).parameters:
            if parameter not in ("self", "cls"):
                assert re.search(rf"^ +{parameter}: \S", text, re.M), (
                    f"{name} does not say what {parameter} is"
                )
        assert "Raises:" in text or SILENT.search(name), f"{name} does not say what it raises"
    if hasattr(value, "__dataclass_fields__") and inspect.isclass(value):
        for field in value.__dataclass_fields__:
            assert re.search(rf"^ +{field}: \S", text, re.M), f"{name} does not say what {field} is"


@pytest.mark.parametrize(
    "name",
    [
        *("lime_sites.LimeSite", "lime_agents.LimeAgent", "sesame_sdk.Sesame", "sesame_sdk.AsyncSesame"),
        *("sesame_sdk.require_approval", "sesame_sdk.verify_webhook", "lime_mcp_server.TokenVerifier"),
        *("lime_mcp_server.asgi.TokenMiddleware", "lime_mcp_server.wsgi.TokenMiddleware"),
    ],
)
def test_what_people_begin_with_has_an_example_that_compiles(name: str) -> None:
    text = inspect.getdoc(EVERYTHING[name]) or ""
    assert "Example::" in text
    code = inspect.cleandoc(text.partition("Example::")[2])
    # In a function: examples await.
    body = "\n".join(f"    {line}" for line in code.splitlines())
    compile(f"async def example():\n{body}\n", name, "exec")


def test_help_reads_well() -> None:
    text = pydoc.render_doc(EVERYTHING["lime_sites.LimeSite"], renderer=pydoc.plaintext)
    for said in (
        "Make one per site token and process, inside a running event loop",
        "timeout: Seconds that one attempt of a request may take.",
        "AuthenticationError: There is no site token.",
        "async create_login_request(self)",
        "The passport, not verified yet; ``None`` when the request expired.",
    ):
        assert said in text
    # Nothing that is not meant for people: no private names beside Python's own.
    assert not re.findall(r"^ \|  (?:async )?(_[a-z]\w*)\(", text, re.M)
    # All is prose of a width that can be read, but for signatures, which pydoc writes in one line; the constructor's
    # has every setting.
    lines = [line for line in text.splitlines() if not re.match(r" \|  (?:async )?\w+\(", line)]
    assert max(map(len, lines)) < 125
