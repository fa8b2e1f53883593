"""That no function which another language calls lets a panic out: each is guarded, in C, Python and Node.

What is looked at is the text: that the guard is there, or is in what the function calls. That it does what it should
is for tests/c/panics.c, tests/python/test_fault.py and tests/node/fault.test.mjs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUNCTION = re.compile(
    r'^(?:pub(?:\(crate\))? )?(?:unsafe )?(?P<extern>extern "C" )?fn (?P<name>\w+)[^;]*?\{\n(?P<body>.*?)^\}',
    re.DOTALL | re.MULTILINE,
)
# What another language calls begins with one of these; the guard stands above it, or in it.
PYTHON = re.compile(r"^(?P<above>.*)\n#\[(?:pymethods|pyfunction)\b.*\n", re.MULTILINE)
NODE = re.compile(
    r"^ *#\[napi(?P<how>.*)\]\n(?: *(?:#\[|//).*\n)* *pub (?P<what>fn \w+|struct \w+)", re.MULTILINE
)


def sources(folder: str) -> Iterator[tuple[str, str]]:
    """Name and text of each file, without its tests."""
    for path in sorted((ROOT / folder).rglob("*.rs")):
        yield str(path.relative_to(ROOT)), path.read_text().partition("#[cfg(test)]\nmod tests")[0]


def of_c() -> Iterator[str]:
    """Exports that neither call `panic::…` nor a function that does."""
    bodies, exports = {}, {}
    for path, text in sources("ffi-c/src"):
        for found in FUNCTION.finditer(text):
            body = re.sub(r"//.*", "", found["body"])
            if found["extern"]:
                exports[found["name"]] = path, body
            else:
                bodies[found["name"]] = body
    guarding = {"panic::call", "panic::value"}
    before = 0
    while len(guarding) > before:
        before = len(guarding)
        call = re.compile(rf"(?<![\w.])(?:{'|'.join(guarding)})\(")
        guarding |= {name for name, body in bodies.items() if call.search(body)}
    if len(exports) < 300:
        yield f"ffi-c: only {len(exports)} exports were found"
    for name, (path, body) in exports.items():
        if not call.search(body) and not re.fullmatch(r"\s*[A-Z_]+\s*", body):  # a constant
            yield f"{path}: {name}"


def of_python() -> Iterator[str]:
    """Entries without `#[guarded]`."""
    entries = 0
    for path, text in sources("bindings-python/src"):
        for found in PYTHON.finditer(text):
            entries += 1
            if not found["above"].startswith("#[guarded"):
                yield f"{path}:{text.count(chr(10), 0, found.start()) + 2}"
    if entries < 25:
        yield f"bindings-python: only {entries} entries were found"


def of_node() -> Iterator[str]:
    """Functions without `catch_unwind`."""
    entries = 0
    for path, text in sources("bindings-node/src"):
        for found in NODE.finditer(text):
            if found["what"].startswith("fn"):
                entries += 1
                if "catch_unwind" not in found["how"]:
                    yield f"{path}: {found['what']}"
    if entries < 60:
        yield f"bindings-node: only {entries} entries were found"


def main() -> None:
    """Name what is not guarded."""
    open_ones = [*of_c(), *of_python(), *of_node()]
    if open_ones:
        sys.exit("a panic can get out of\n  " + "\n  ".join(open_ones))


if __name__ == "__main__":
    main()
