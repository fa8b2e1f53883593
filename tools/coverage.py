"""Which lines of `core` the tests in Rust run: `make coverage`. Less than 95 % fails.

Builds the crates of the workspace once more, so that they count (what they depend on is that of `make test`), runs their
tests, and writes `build/coverage/lcov.info` and, in `build/coverage/missed.txt`, the lines that nothing runs. Lines of
tests do not count. Needs the tools of rustc's own LLVM: `rustup component add llvm-tools`, or Debian's of that version.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "build/coverage"
LEAST = 95.0
# The whole workspace, since one package would be built with other features; and of its tests those of core.
TESTS = [f"--test={path.stem}" for path in sorted((ROOT / "core/tests").glob("*.rs"))]
CARGO = ["cargo", "test", "--quiet", "--locked", "--workspace", "--lib", *TESTS]


def said(*command: str) -> str:
    """What a command prints; it has to end well."""
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def tool(name: str) -> str:
    """A program of LLVM that reads what this rustc writes."""
    version = re.search(r"LLVM version: (\d+)", said("rustc", "-vV"))
    host = re.search(r"host: (\S+)", said("rustc", "-vV"))
    assert version
    assert host
    own = Path(said("rustc", "--print", "sysroot").strip()) / "lib/rustlib" / host[1] / "bin" / name
    found = str(own) if own.exists() else shutil.which(f"{name}-{version[1]}")
    if found is None:
        sys.exit(f"there is no {name} of LLVM {version[1]}: rustup component add llvm-tools")
    return found


def main() -> None:
    """Build, run, add up, and say whether it is enough."""
    merge, cover = tool("llvm-profdata"), tool("llvm-cov")
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "raw").mkdir(parents=True)
    environment = {
        **os.environ,
        "RUSTC_WORKSPACE_WRAPPER": str(ROOT / "tools/instrumented.sh"),
        # One for each process: some tests run themselves again.
        "LLVM_PROFILE_FILE": str(OUT / "raw/%p-%m.profraw"),
    }
    built = subprocess.run(
        [*CARGO, "--no-run", "--message-format", "json"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    messages = [json.loads(line) for line in built.splitlines()]
    programs = [message["executable"] for message in messages if message.get("executable")]
    subprocess.run([*CARGO, "--no-fail-fast"], cwd=ROOT, env=environment, check=True)
    raw = OUT / "raw.txt"
    raw.write_text("\n".join(map(str, (OUT / "raw").glob("*.profraw"))))
    said(merge, "merge", "-sparse", "--failure-mode=all", "-f", str(raw), "-o", str(OUT / "all.profdata"))
    objects = [argument for program in programs for argument in ("-object", program)]
    sources = ("-sources", "core/src")
    report = said(
        cover, "export", "--format=lcov", f"--instr-profile={OUT / 'all.profdata'}", *objects, *sources
    )
    (OUT / "lcov.info").write_text(report)
    summarise(report)


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
        if name is None:
            continue
        path = ROOT / name[1]
        if ROOT / "core/src" not in path.parents:
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
    if share < LEAST:
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
