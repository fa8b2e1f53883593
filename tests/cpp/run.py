"""Builds and runs the C++ tests of lime.hpp: vectors, boundary, story, units, examples.

    python3 tests/cpp/run.py --target-dir target/debug [--only PREFIX]

Needs liblime.so and lime-sandbox in the target folder. Writes to build/cpp and build/parity. How the header
compiles as every language and with every compiler is among the C tests.
"""

import argparse
import os
import re
import subprocess
import sys
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


GROUPS = (vectors,)


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
