"""Which lines of `core` its own tests run: `make coverage`. Less than 95 % fails.

    python3 tools/coverage.py [TEST ...]

Runs the tests of lime-core, or those that are named, in a build of their own; writes `build/coverage/html` and a list of
the lines that nothing runs, `build/coverage/missed.txt`. Lines of the tests themselves do not count. Needs the tools of rustc's own LLVM (`rustup
component add llvm-tools`, or Debian's llvm of the same version).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build/coverage"
LEAST = 95.0


def tools() -> dict[str, str]:
    """Where llvm-cov and llvm-profdata are, if cargo-llvm-cov does not find them by itself."""
    version = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"LLVM version: (\d+)", version)
    names = {"LLVM_COV": "llvm-cov", "LLVM_PROFDATA": "llvm-profdata"}
    paths = {
        variable: path
        for variable, name in names.items()
        if found and (path := shutil.which(f"{name}-{found[1]}"))
    }
    return paths if len(paths) == len(names) else {}


def main() -> None:
    """Run, report, and say whether it is enough."""
    OUT.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        **tools(),
        "CARGO_LLVM_COV_SETUP": "no",
        "CARGO_LLVM_COV_TARGET_DIR": str(OUT / "target"),
    }
    command = [str(ROOT / "build/tools/bin/cargo-llvm-cov"), "llvm-cov"]

    def run(*arguments: str) -> None:
        subprocess.run([*command, *arguments], cwd=ROOT, env=environment, check=True)

    tests = [argument for name in sys.argv[1:] for argument in ("--test", name)]
    run("--no-report", "--locked", "-p", "lime-core", *(tests or ["--lib", "--tests"]))
    only = ["--ignore-filename-regex", r"(^|/)(tests|sandbox|bench|examples)/"]
    run("report", "--lcov", "--output-path", str(OUT / "lcov.info"), *only)
    run("report", "--html", "--output-dir", str(OUT), *only)
    summarise((OUT / "lcov.info").read_text())


def test_lines(file: Path) -> int:
    """The line at which the tests inside of a source file begin."""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if line.startswith("#[cfg(test)]"):
            return number
    return sys.maxsize


def summarise(report: str) -> None:
    """Count lines by file, without those of tests."""
    covered = total = 0
    missed = []
    for record in report.split("end_of_record"):
        name = re.search(r"^SF:(.*)$", record, re.MULTILINE)
        if name is None or ROOT / "core/src" not in (path := Path(name[1])).parents:
            continue
        end = test_lines(path)
        lines = {
            int(line): int(count) for line, count in re.findall(r"^DA:(\d+),(\d+)", record, re.MULTILINE)
        }
        counts = {line: count for line, count in lines.items() if line < end}
        none = sorted(line for line, count in counts.items() if count == 0)
        covered += len(counts) - len(none)
        total += len(counts)
        if counts:
            share = 100 * (len(counts) - len(none)) / len(counts)
            missed.append(f"{share:6.1f} %  {path.relative_to(ROOT)}: {ranges(none)}")
    (OUT / "missed.txt").write_text("\n".join(sorted(missed)) + "\n")
    share = 100 * covered / total
    print(f"core: {covered} of {total} lines, {share:.2f} %; the others: {OUT / 'missed.txt'}")
    if share < LEAST and not sys.argv[1:]:
        sys.exit(f"that is less than {LEAST:.0f} %")


def ranges(lines: list[int]) -> str:
    """Lines as people write them: 1-3, 7."""
    parts: list[list[int]] = []
    for line in lines:
        if parts and line == parts[-1][1] + 1:
            parts[-1][1] = line
        else:
            parts.append([line, line])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


if __name__ == "__main__":
    main()
