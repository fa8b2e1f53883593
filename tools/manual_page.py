"""Doxygen's filter for lime.h: the manual at its beginning becomes the first page of the documentation.

    python3 tools/manual_page.py include/lime.h

The header itself stays as people read it; here headings become sections, and what is indented becomes code.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path


def page(lines: list[str]) -> Iterator[str]:
    """The manual's lines as Doxygen reads them."""
    code: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("  ") or (code and not line):
            code.append(line.removeprefix("  "))
            continue
        yield from block(code)
        code = []
        if re.fullmatch(r"[A-Z][A-Z ]+", line):
            yield f"@section manual_{line.lower().replace(' ', '_')} {line.capitalize()}"
        else:
            yield line
    yield from block(code)


def block(lines: list[str]) -> Iterator[str]:
    """What is indented: a list, or code, or what has columns."""
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return
    if re.match(r"\d\. ", lines[0]):
        end = lines.index("") if "" in lines else len(lines)
        yield from [*lines[:end], ""]
        yield from block(lines[end + 1 :])
        return
    kind = "{.c}" if any(line.endswith((";", "{")) for line in lines) else "{.sh}"
    yield from [f"@code{kind}", *lines, "@endcode", ""]


def main() -> None:
    text = Path(sys.argv[1]).read_text()
    manual, rest = text.split("*/", 1)
    lines = [line.removeprefix(" *").removeprefix(" ") for line in manual.splitlines()[1:]]
    title, _, first = lines[0].partition(" - ")
    commented = "\n".join(f" * {line}".rstrip() for line in page([first[:1].upper() + first[1:], *lines[1:]]))
    print(f"/** @file\n * {title}: what liblime offers to C. */\n/** @mainpage lime\n *\n{commented}\n */")
    print(rest)


if __name__ == "__main__":
    main()
