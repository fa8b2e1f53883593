"""Reads lime.h: what it declares, and what it says about it. Only what cbindgen writes, not C in general."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

IDENTIFIER = r"[A-Za-z_]\w*"


@dataclass(frozen=True)
class Parameter:
    """`type` has single spaces and no `struct`: "const lime_site *", "int32_t", "lime_error **"."""

    type: str
    name: str

    @property
    def is_pointer(self) -> bool:
        return self.type.endswith("*")

    @property
    def handle(self) -> str | None:
        """The lime type that this points to one of."""
        found = re.fullmatch(r"(?:const )?(lime_\w+) \*", self.type)
        return found[1] if found else None


@dataclass(frozen=True)
class Function:
    name: str
    returns: str
    parameters: tuple[Parameter, ...]
    comment: str = ""

    @property
    def declaration(self) -> str:
        """In one line, `extern "C"` aside exactly what a compiler sees."""
        parameters = ", ".join(join(p.type, p.name) for p in self.parameters) or "void"
        return f"{join(self.returns, self.name)}({parameters})"

    @property
    def returns_status(self) -> bool:
        return "@return LIME_OK" in self.comment

    def about(self, name: str) -> str:
        """What the comment says about a parameter."""
        for names, text in re.findall(
            r"@param(?:\[out\])? ([\w,]+)  (.*?)(?=@param|@return|\Z)", self.comment
        ):
            if name in names.split(","):
                return text.strip()
        raise KeyError(f"{self.name}: {name} is not described")


@dataclass
class Header:
    functions: dict[str, Function] = field(default_factory=dict)
    callbacks: dict[str, Function] = field(default_factory=dict)
    handles: list[str] = field(default_factory=list)
    constants: dict[str, str] = field(default_factory=dict)


def join(type_: str, name: str) -> str:
    return type_ + ("" if type_.endswith("*") else " ") + name


def parameter(text: str) -> Parameter:
    found = re.fullmatch(rf"(.*?)\s*\b({IDENTIFIER})", text.strip())
    assert found, text
    return Parameter(plain(found[1]), found[2])


def plain(type_: str) -> str:
    """A type as everybody would write it."""
    type_ = re.sub(r"\bstruct\s+", "", type_)
    return re.sub(r"\s+", " ", type_).strip()


def parameters(text: str) -> tuple[Parameter, ...]:
    text = text.strip()
    return () if text in ("", "void") else tuple(parameter(part) for part in text.split(","))


def read(path: Path) -> Header:
    """Everything that a header of this library declares."""
    header = Header()
    text = path.read_text()
    code = re.compile(
        r"/\*(?P<comment>.*?)\*/"
        r"|^\s*\#\s*define\s+(?P<constant>LIME_\w+)[ \t]+(?P<value>\S[^\n]*)$"
        r"|^\s*\#[^\n]*$"
        r"|//[^\n]*$"
        r"|(?P<linkage>extern \"C\" \{|^\})"
        r"|(?P<declaration>[A-Za-z_][^;{}#]*);",
        re.DOTALL | re.MULTILINE,
    )
    comment, at = "", 0
    for found in code.finditer(text):
        between = text[at : found.start()].strip()
        if between:
            raise SyntaxError(f"{path}: what is this? {between}")
        at = found.end()
        if found["comment"] is not None:
            lines = [line.strip().removeprefix("*").strip() for line in found["comment"].splitlines()]
            comment = " ".join(line for line in lines if line)
            continue
        if found["constant"]:
            header.constants[found["constant"]] = found["value"].strip()
        elif found["declaration"]:
            declare(header, found["declaration"], comment)
        comment = ""
    if text[at:].strip():
        raise SyntaxError(f"{path}: what is this? {text[at:].strip()}")
    return header


def declare(header: Header, code: str, comment: str) -> None:
    code = re.sub(r"\s+", " ", code).strip()
    if found := re.fullmatch(r"typedef struct (\w+) (\w+)", code):
        assert found[1] == found[2], code
        header.handles.append(found[1])
    elif found := re.fullmatch(r"typedef (.*?)\(\*(\w+)\)\s?\((.*)\)", code):
        name = found[2]
        header.callbacks[name] = Function(name, plain(found[1]), parameters(found[3]), comment)
    elif found := re.fullmatch(rf"(.*?)\b({IDENTIFIER})\s?\(([^()]*)\)", code):
        name = found[2]
        header.functions[name] = Function(name, plain(found[1]), parameters(found[3]), comment)
    else:
        raise SyntaxError(f"what is this? {code}")
