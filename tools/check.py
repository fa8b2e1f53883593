"""Formats, lints, types, and generated files that must be up to date. Prints what is not in order."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PACKAGES = ("lime_sdk", "lime_sites", "lime_agents", "lime_mcp_server", "sesame_sdk")
PYRIGHT = ["node", "tests/typing/node_modules/pyright/index.js", "--pythonpath", str(BIN / "python")]
# Where pyright looks for a package that it is to verify.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "bindings-python/python")}
GO = ["tools/go.sh", "-C"]
STATICCHECK = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"
GO_EXAMPLES = sorted(path.relative_to(ROOT / "examples") for path in (ROOT / "examples").glob("*/main.go"))
CHECKS = {
    "rustfmt": ["cargo", "fmt", "--all", "--check"],
    "clippy": [
        *("cargo", "clippy", "--quiet", "--locked", "--workspace", "--all-targets"),
        *("--", "-D", "warnings"),
    ],
    "licences, bans, sources": [
        str(ROOT / "build/tools/bin/cargo-deny"),
        *("--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"),
    ],
    "every kind of error is tested": [str(BIN / "python"), "tools/kinds.py"],
    "no panic gets out": [str(BIN / "python"), "tools/guards.py"],
    "rust-version": [str(BIN / "python"), "tools/msrv.py"],
    "rustdoc": ["cargo", "doc", "--quiet", "--locked", "--no-deps", "-p", "lime-core", "-p", "lime-sandbox"],
    # As `make build` has built it: cargo run would build it anew, with the features of this package alone.
    "lime.h is up to date": [str(ROOT / "target/debug/lime-header"), "--check"],
    "C reference": ["make", "--silent", "docs"],
    "ruff format": [str(BIN / "ruff"), "format", "--quiet", "--check"],
    "ruff": [str(BIN / "ruff"), "check", "--quiet"],
    "mypy": [
        *(str(BIN / "mypy"), "--config-file", "bindings-python/pyproject.toml"),
        *("--cache-dir", "build/cache/mypy"),
        *(argument for package in PACKAGES for argument in ("-p", package)),
    ],
    "mypy lime_sandbox": [
        *(str(BIN / "mypy"), "--config-file", "bindings-python/pyproject.toml"),
        *("--cache-dir", "build/cache/mypy", "sandbox/python/lime_sandbox"),
    ],
    # One at a time: two programs that are called main are one module to mypy.
    **{
        f"mypy {example.parent.name}/{example.name}": [
            *(str(BIN / "mypy"), "--config-file", "bindings-python/pyproject.toml"),
            *("--cache-dir", "build/cache/mypy", str(example.relative_to(ROOT))),
        ]
        for example in sorted([*(ROOT / "examples").glob("*/*.py"), *(ROOT / "tests/typing").glob("*.py")])
    },
    "the seed documents' programs": [str(BIN / "python"), "tests/seeds/programs.py", "build/seeds"],
    "mypy seeds": [
        *(str(BIN / "mypy"), "--config-file", "bindings-python/pyproject.toml"),
        *("--cache-dir", "build/cache/mypy"),
        # Strict but for what the documents leave out themselves: annotations of their own functions.
        *("--allow-untyped-defs", "--allow-incomplete-defs", "--allow-untyped-calls"),
        *("--no-warn-return-any", "--check-untyped-defs", "build/seeds"),
    ],
    "pyright": [*PYRIGHT, "-p", "bindings-python/pyproject.toml"],
    "pyright seeds and examples": [*PYRIGHT, "-p", "tests/typing"],
    # What an editor knows of everything public, and what is misspelt is not taken for something.
    **{
        f"types of {name} are known": [*PYRIGHT, "--ignoreexternal", "--verifytypes", name]
        for name in (*PACKAGES, "lime_sdk.testing")  # not part of the one around it to pyright
    },
    "stubs": [
        *(str(BIN / "python"), "-m", "mypy.stubtest", "lime_sdk._native"),
        *("--mypy-config-file", "bindings-python/pyproject.toml", "--ignore-disjoint-bases"),
    ],
    # bindings-node itself is checked when it is built; this is what a program makes of its types.
    "tsc": ["node", "node_modules/typescript/bin/tsc", "-p", "tests/node/types"],
    "biome": ["node_modules/.bin/biome", "check", "--error-on-warnings"],
    "vectors": [str(BIN / "python"), "tests/vectors/generate.py", "--check"],
    # gofmt ends with 0 whatever it finds.
    "gofmt": [
        "sh",
        "-c",
        'found=$("$(tools/go.sh env GOROOT)"/bin/gofmt -l bindings-go examples) && echo "$found" && test -z "$found"',
    ],
    "go vet": [*GO, "bindings-go", "vet", "./..."],
    "go vet lime_static": [*GO, "bindings-go", "vet", "-tags", "lime_static", "./..."],
    "staticcheck": [*GO, "bindings-go", "run", STATICCHECK, "./..."],
    # By file: beside them are programs in C, which `./...` would take for cgo's.
    **{f"go vet {example}": [*GO, "examples", "vet", str(example)] for example in GO_EXAMPLES},
    **{
        f"staticcheck {example}": [*GO, "examples", "run", STATICCHECK, str(example)]
        for example in GO_EXAMPLES
    },
}


def main() -> None:
    """Run every check, then say which failed."""
    failed = []
    for name, command in CHECKS.items():
        started = time.perf_counter()
        result = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
        verdict = "ok" if result.returncode == 0 else "FAILED"
        print(f"  {verdict:<7}{name:<40}{time.perf_counter() - started:6.1f} s", flush=True)
        if result.returncode != 0:
            failed.append(name)
            print(result.stdout + result.stderr)
    if failed:
        sys.exit(f"check: {', '.join(failed)}")


if __name__ == "__main__":
    main()
