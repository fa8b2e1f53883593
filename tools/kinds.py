"""That the tests of every language meet every kind of error: each names it, or runs a vector that expects it.

What a test looks at is read from its text: the class, the constant or the sentinel of a kind. That a name stands there
does not show that the test is a good one; that none does shows that there is no test.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "Rust": ("core/tests/*.rs", "core/src/**/*.rs"),
    "C": ("tests/c/*.c",),
    "C++": ("tests/cpp/*.cpp",),
    "Go": ("bindings-go/*_test.go",),
    "Node": ("tests/node/*.mjs",),
    "Python": ("tests/python/*.py",),
}
# What Python calls them where that is not the kind's name with Error behind it: as the published packages do.
PYTHON = {
    "approval_denied": ("ApprovalDenied",),
    "bad_response": ("BadResponseError", "bad_response", "LimeError"),
    "cancelled": ("CancelledError",),
    "closed": ("closed",),
    "internal": ("internal",),
    "invalid_argument": ("ValueError",),
    "passport_expired": ("RequestExpiredError", "PassportExpiredError"),
    "timeout": ("LoginTimeoutError", "ApprovalTimeout"),
    "transport": ("transport",),
    "transport_timeout": ("transport_timeout",),
    "webhook": ("WebhookVerificationError",),
    "would_deadlock": ("would_deadlock",),
}

# What cannot happen there.
NEVER = {
    ("Go", "would_deadlock"): "what the library calls runs on goroutines",
    ("Python", "would_deadlock"): "no thread of the library runs Python",
}


def kinds() -> dict[str, str]:
    """Each kind's name in Rust, by its own name."""
    source = (ROOT / "core/src/error.rs").read_text()
    return {
        name: variant for variant, name in re.findall(r'^    (\w+) = \d+, "(\w+)";', source, re.MULTILINE)
    }


def names(language: str, kind: str, variant: str) -> tuple[str, ...]:
    """How tests of a language name a kind."""
    match language:
        case "Rust":
            return (rf"\b{variant}\b",)
        case "C":
            return (rf"LIME_ERROR_{kind.upper()}\b",)
        case "C++":
            return (rf"LIME_ERROR_{kind.upper()}\b", rf"lime::{variant}Error\b")
        case "Go":
            spelt = variant.replace("Api", "API").replace("Mcp", "MCP")
            return (rf"\b(Err|Kind){spelt}\b",)
        case "Node":
            return (
                rf"\b{variant}(Verification)?Error\b",
                rf"'{kind}'",
                *([r"AbortError"] if kind == "cancelled" else []),
            )
    return tuple(rf"\b{name}\b" for name in PYTHON.get(kind, (f"{variant}Error",)))


def of_vectors() -> set[str]:
    """What the shared vectors, which every language runs, expect."""

    def found(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in ("error", "kind") and isinstance(inner, str):
                    yield inner
                yield from found(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from found(inner)

    paths = (ROOT / "tests/vectors").glob("*.json")
    return {kind for path in paths for kind in found(json.loads(path.read_text()))}


def main() -> None:
    """Name what nobody tests."""
    shared, missing = of_vectors(), []
    for language, patterns in FILES.items():
        texts = []
        for path in (path for pattern in patterns for path in ROOT.glob(pattern)):
            text = path.read_text()
            # In sources, only the tests that are in them.
            texts.append(text.partition("#[cfg(test)]")[2] if "/src/" in str(path) else text)
        text = "\n".join(texts)
        for kind, variant in kinds().items():
            if (language, kind) in NEVER or kind in shared:
                continue
            if not any(re.search(name, text) for name in names(language, kind, variant)):
                missing.append(f"{language}: {kind}")
    if missing:
        sys.exit("no test meets " + ", ".join(missing))


if __name__ == "__main__":
    main()
