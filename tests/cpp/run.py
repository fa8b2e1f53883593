"""Builds and runs the C++ tests of lime.hpp: vectors, boundary, story, units, examples.

    python3 tests/cpp/run.py --target-dir target/debug [--only PREFIX]

Needs liblime.so and lime-sandbox in the target folder. Writes to build/cpp and build/parity. How the header
compiles as every language and with every compiler is among the C tests.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "c"))

import run as c  # noqa: E402
from tables import Vectors  # noqa: E402

ROOT = HERE.parents[1]
BUILD = ROOT / "build/cpp"


def compiled(tests: c.Tests, name: str, *sources: Path, flags: tuple[str, ...] = ()) -> Path:
    program = BUILD / name
    command = [os.environ.get("CXX", "g++"), "-std=c++17", "-g", "-O1", *c.WARNINGS, *c.CPP_WARNINGS, *flags]
    include = [f"-I{ROOT / 'include'}", f"-I{BUILD}"]
    link = [f"-L{tests.library}", f"-Wl,-rpath,{tests.library}", "-llime", "-pthread"]
    subprocess.run([*command, *include, *map(str, sources), "-o", str(program), *link], check=True)
    return program


def vectors(tests: c.Tests) -> None:
    shared = Vectors(ROOT / "tests/vectors")
    (BUILD / "vectors_table.h").write_text(shared.tables())
    program = compiled(tests, "vectors", HERE / "vectors.cpp", flags=("-Wno-overlength-strings", "-Wno-missing-field-initializers"))
    seen = tests.run("vectors", [str(program)], expected=shared.ids, vectors=shared)
    parity = ROOT / "build/parity/cpp.txt"
    parity.parent.mkdir(parents=True, exist_ok=True)
    parity.write_text("".join(f"{test_id}\n" for test_id in seen))


def told(tests: c.Tests, name: str, places: dict, **environment: str) -> None:
    """A program that is driven as it says, against a sandbox of its own."""
    program = compiled(tests, name, HERE / f"{name}.cpp")
    with c.Sandbox(tests.sandbox) as sandbox:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": 8})
        c.story(tests, name, program, sandbox, places, **environment)


def boundary(tests: c.Tests) -> None:
    told(tests, "boundary", PLACES)


def host(tests: c.Tests) -> None:
    told(tests, "host", PLACES)


def rate_limit(sandbox: c.Sandbox) -> None:
    failure = {
        "ok": False,
        "error": {"code": "RATE_LIMIT_EXCEEDED", "message": "Slow down", "detail": {"limit": 5}},
    }
    rule = {"route": "create_request", "status": 429, "headers": {"retry-after": "7"}, "body": failure}
    sandbox.control("POST", "/faults", rule)


def received(sandbox: c.Sandbox) -> str:
    requests = sandbox.control("GET", "/received")["received"]
    return str(sum(request["route"] != "events" for request in requests))


def expire(sandbox: c.Sandbox, request_id: str) -> None:
    sandbox.control("POST", f"/login-requests/{request_id}/expire")


def difficulty(bits: int) -> Callable[[c.Sandbox], None]:
    def change(sandbox: c.Sandbox) -> None:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": bits})
        sandbox.control("DELETE", "/received")

    return change


def challenged(sandbox: c.Sandbox) -> None:
    sandbox.control("GET", "/received?route=challenge&min=1&wait_ms=30000")


PLACES = {
    "challenged": challenged,
    "easy": difficulty(8),
    "expire": expire,
    "hard": difficulty(60),
    "rate-limit": rate_limit,
    "received": received,
}

GROUPS = (vectors, boundary, host)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target/debug")
    parser.add_argument(
        "--only", default="", help="a group: " + ", ".join(group.__name__ for group in GROUPS)
    )
    options = parser.parse_args()
    tests = c.Tests(options.target_dir.resolve(), options.only, BUILD)
    for group in GROUPS:
        if tests.wanted(group.__name__):
            try:
                group(tests)
            except (subprocess.SubprocessError, OSError) as why:
                tests.result(f"{group.__name__}:runs", repr(why))
    print(f"C++: {tests.passed} passed, {tests.failed} failed")
    return 1 if tests.failed else 0


if __name__ == "__main__":
    sys.exit(main())
