"""What programs see of the packages – names, signatures, results, errors, requests – against the published ones.

Every difference that is found must be in the table of bindings-python/COMPATIBILITY.md, and every row of
that table must have been found.
"""

from __future__ import annotations

import base64
import fnmatch
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from test_published import MCP_SERVER, PAIRS
from throwaway import environment

HERE = Path(__file__).resolve().parent
DOCUMENT = ROOT / "bindings-python/COMPATIBILITY.md"
PACKAGES = {"lime": ("lime_sites", "lime_agents"), "sesame": ("sesame_sdk",), "mcp": ("lime_mcp_server",)}


def published(family: str) -> Path:
    """The interpreter of an environment with the published packages."""
    if family == "lime":
        return environment("seed", *PAIRS["seed"])
    if family == "mcp":
        return environment("mcp-server", *MCP_SERVER)
    return environment("sesame-seed", "sesame-sdk==0.1.1")


def dump(python: Path | str, script: str, *arguments: str) -> Any:
    secrets = ("LIME_", "SESAME_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(secrets)}
    done = subprocess.run(
        [str(python), str(HERE / script), *arguments], env=clean, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def differing_signatures(published: list[list[str]], ours: list[list[str]] | None) -> bool:
    """Whether ours lacks, changes or moves a parameter, or adds one that is not keyword-only."""
    if ours is None or ours[: len(published)] != published:
        return True
    return any(kind != "KEYWORD_ONLY" for _, kind, _ in ours[len(published) :])


def differences_of_surface(published: Any, ours: Any, path: str) -> Iterator[str]:
    """Where ours is not what is published; what ours has more is none."""
    for name, there in published.items():
        here, where = ours.get(name), f"{path}.{name}" if path else name
        if here is None or (isinstance(there, dict) and there.get("is") != here.get("is")):
            yield where
        elif "is" not in there:
            yield from differences_of_surface(there, here, where)
        else:
            # Ours may have further bases between.
            order = iter(here.get("mro", ()))
            if not all(base in order for base in there.get("mro", ())):
                yield f"{where}.__mro__"
            called = there.get("signature")
            if called is not None and differing_signatures(called, here["signature"]):
                yield f"{where}()"
            for exact in ("async", "type", "dataclass", "model", "model_config"):
                if there.get(exact) != here.get(exact):
                    yield f"{where}.{exact}"
            if there.get("hints") and not here.get("hints"):
                yield f"{where}.hints"
            yield from differences_of_surface(there.get("members", {}), here.get("members", {}), where)


def differences_of_behaviour(published: Any, ours: Any, path: str) -> Iterator[str]:
    """Where values differ; attributes that ours has more are none."""
    if isinstance(published, dict) and isinstance(ours, dict):
        for name, value in published.items():
            if name not in ours:
                yield f"{path}.{name}"
            else:
                yield from differences_of_behaviour(value, ours[name], f"{path}.{name}")
    elif published != ours:
        yield path


def rows() -> list[str]:
    """The patterns in the first column of the document's table of differences that were found."""
    _, _, section = DOCUMENT.read_text().partition("<!-- found by tests/published/test_surface.py -->")
    table = section.lstrip().split("\n\n", 1)[0].splitlines()[2:]
    assert all(len(row.strip("|").split("|")) == 4 for row in table), "where, published, here, why"
    return [pattern for row in table for pattern in re.findall(r"`([^`]+)`", row.split("|")[1])]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """Both sides' surface and behaviour, and the differences."""
    result: dict[str, Any] = {"differences": [], "surface": {}, "behaviour": {}}
    for family, packages in PACKAGES.items():
        python = published(family)
        there, here = (dump(each, "surface.py", *packages) for each in (python, sys.executable))
        result["differences"] += differences_of_surface(there, here, "")
        result["surface"][family] = there, here
        there, here = (dump(each, "behaviour.py", family) for each in (python, sys.executable))
        result["behaviour"][family] = there, here
        compared = {name: value for name, value in there.items() if not name.startswith("pickle")}
        result["differences"] += differences_of_behaviour(compared, here, family)
    return result


def test_differences_are_those_that_the_document_explains(found: dict[str, Any]) -> None:
    patterns = rows()
    differences = found["differences"]
    unexplained = [d for d in differences if not any(fnmatch.fnmatchcase(d, p) for p in patterns)]
    assert unexplained == []
    stale = [p for p in patterns if not any(fnmatch.fnmatchcase(d, p) for d in differences)]
    assert stale == []


def test_enough_was_compared(found: dict[str, Any]) -> None:
    """An import that gives nothing, or a script that prints nothing, must not look like agreement."""
    signatures = names = 0

    def count(value: Any) -> None:
        nonlocal signatures, names
        if isinstance(value, dict):
            names += "is" in value
            signatures += value.get("signature") is not None
            for item in value.values():
                count(item)

    for there, _ in found["surface"].values():
        count(there)
    answers = [
        outcome
        for there, _ in found["behaviour"].values()
        for each in there["answers"].values()
        for outcome in each
    ]
    print(f"\n{names} names, {signatures} signatures, {len(answers)} answers compared")
    assert names >= 110
    assert signatures >= 65
    assert len(answers) >= 80


def test_what_the_published_packages_pickled_can_be_read(found: dict[str, Any]) -> None:
    for there, here in found["behaviour"].values():
        assert len(there["pickles"]) == len(there["pickled"]) >= 7
        for old, new, shown in zip(there["pickles"], here["pickles"], there["pickled"], strict=True):
            before, after = (pickle.loads(base64.b64decode(text)) for text in (old, new))
            assert type(before) is type(after)
            assert repr(before) == repr(after) == shown
            if isinstance(before, Exception):
                # What only ours has is not in the old pickle.
                known = {name: value for name, value in vars(before).items() if value is not None}
                assert known.items() <= vars(after).items()
            else:
                assert before == after


def test_the_comparison_sees_what_differs() -> None:
    """Each kind of difference, in a small surface of its own."""
    method = {"is": "method", "async": True, "signature": [["a", "KEYWORD_ONLY", "=1"]]}
    there = {"m": {"C": {"is": "class", "mro": ["C", "B"], "signature": None, "members": {"f": method}}}}

    def changed(**change: Any) -> list[str]:
        here = json.loads(json.dumps(there))
        target = here["m"]["C"]["members"]["f"]
        if "mro" in change:
            here["m"]["C"]["mro"] = change["mro"]
        else:
            target.update(change)
        return list(differences_of_surface(there, here, ""))

    more = ["b", "KEYWORD_ONLY", "=None"]
    assert changed() == []
    assert changed(signature=[["a", "KEYWORD_ONLY", "=1"], more]) == []
    assert changed(mro=["C", "X", "B"]) == []
    assert changed(mro=["C"]) == ["m.C.__mro__"]
    assert changed(**{"is": "property"}) == ["m.C.f"]
    method["hints"] = True
    assert changed(hints=False) == ["m.C.f.hints"]
    assert changed(**{"async": False}) == ["m.C.f.async"]
    for signature in (
        [["a", "KEYWORD_ONLY", "=2"]],
        [["a", "POSITIONAL_OR_KEYWORD", "=1"]],
        [["b", "KEYWORD_ONLY", "=1"]],
        [more, ["a", "KEYWORD_ONLY", "=1"]],
        [["a", "KEYWORD_ONLY", "=1"], ["b", "VAR_KEYWORD", ""]],
        [],
    ):
        assert changed(signature=signature) == ["m.C.f()"]
    assert list(differences_of_surface(there, {"m": {}}, "")) == ["m.C"]
    assert list(differences_of_behaviour({"a": {"b": 1}}, {"a": {"b": 2, "c": 3}}, "x")) == ["x.a.b"]
