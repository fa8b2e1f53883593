"""Runs the Go tests in the two ways that find most, and counts them: with the race detector against the shared
library, and with cgo's strictest checks of pointers against the static one.

    python3 tests/go/run.py [--only REGEXP]

Needs what `make build` and tools/setup_go.sh make.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WAYS = {
    "race detector, shared library": (["-race"], {}),
    "cgocheck2, static library": (["-tags", "lime_static"], {"GOEXPERIMENT": "cgocheck2"}),
}


def run(name: str, flags: list[str], environment: dict[str, str], only: str) -> tuple[set[str], set[str]]:
    """One way: the names of the tests that passed and of those that failed; what those said is printed."""
    print(f"   {name}", flush=True)
    command = [
        str(ROOT / "tools/go.sh"),
        "-C",
        "bindings-go",
        "test",
        "-json",
        "-count=1",
        "-timeout",
        "300s",
    ]
    process = subprocess.Popen(
        [*command, *flags, *(["-run", only] if only else []), "./..."],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    passed, failed, said = set[str](), set[str](), dict[str, list[str]]()
    for line in process.stdout:
        try:
            event = json.loads(line)
        except ValueError:  # the go command's own words
            print(line, end="", flush=True)
            continue
        test = event.get("Test", "")
        match event["Action"]:
            case "output" | "build-output":
                said.setdefault(test, []).append(event["Output"])
            case "pass" if test:
                passed.add(test)
            case "fail":
                failed.add(test or name)
                print("".join(said.get(test, [])), end="", flush=True)
            case "skip" if test:
                failed.add(test)
                print(f"FAIL {test}: was skipped", flush=True)
    # A build that failed, or a process that crashed.
    if process.wait() != 0 and not failed:
        failed.add(name)
        print("".join(said.get("", [])), end="", flush=True)
    return passed, failed


def main() -> int:
    """Run both ways; a test has passed when it has in both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", default="", help="which tests: a regular expression, as go test -run takes it"
    )
    only = parser.parse_args().only
    passed, failed = set[str](), set[str]()
    for name, (flags, environment) in WAYS.items():
        good, bad = run(name, flags, environment, only)
        passed |= good
        failed |= bad
    print(f"Go: {len(passed - failed)} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
