"""Everything that CI runs, one stage after the other; ends with how many tests ran in each language."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import interpreters
import wheel

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PYTEST = [str(BIN / "pytest"), "-q", "--timeout", "300", "-p", "no:cacheprovider"]
PARITY = ROOT / "build/parity"
# Of the fault campaign.
SEEDS = ["1-12", "21", "36", "38"]

passed: Counter[str] = Counter()
failed: Counter[str] = Counter()
broken: list[str] = []
telling = threading.Lock()


def stage(name: str, command: list[str], language: str | None = None, **environment: str) -> str:
    """Run one stage, echoing what it prints; count its tests where it has some."""
    # One of several that run side by side is silent until it has ended.
    alone = threading.current_thread() is threading.main_thread()
    if alone:
        print(f"\n━━ {name}", flush=True)
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if alone:
            sys.stdout.write(line)
            sys.stdout.flush()
    status = process.wait()
    output = "".join(lines)
    end = f"   {'ok' if status == 0 else 'FAILED'} in {time.perf_counter() - started:.1f} s"
    with telling:
        if language is not None:
            count(language, output)
        if status != 0:
            broken.append(name)
        print(end if alone else f"\n━━ {name}\n{output}{end}", flush=True)
    return output


def side_by_side(*lanes: Callable[[], object]) -> None:
    """Run some of the stages while others run: much of what tests do is wait."""
    with ThreadPoolExecutor(len(lanes)) as pool:
        for lane in [pool.submit(lane) for lane in lanes]:
            lane.result()


def count(language: str, output: str) -> None:
    """Add up the closing lines of cargo test, pytest, node's runner and our own runners."""
    for good, bad in re.findall(r"test result: \w+\. (\d+) passed; (\d+) failed", output):
        passed[language] += int(good)
        failed[language] += int(bad)
    for line in output.splitlines():
        if re.match(r"=* ?\d+ (passed|failed|error).* in [\d.]+s", line):
            passed[language] += sum(int(n) for n in re.findall(r"(\d+) passed", line))
            failed[language] += sum(int(n) for n in re.findall(r"(\d+) (?:failed|error)", line))
        if found := re.match(r"(?:#|ℹ) (pass|fail) (\d+)", line):
            (passed if found[1] == "pass" else failed)[language] += int(found[2])
        if found := re.match(r"(?:C|C\+\+|Go|fuzz|scenarios|chaos): (\d+) passed, (\d+) failed", line):
            passed[language] += int(found[1])
            failed[language] += int(found[2])


def python_from_the_wheel() -> list[str]:
    """Run tests/python on every interpreter, all at once, for they wait a lot; answers their names."""
    name = "Python from the wheel"
    print(f"\n━━ {name}", flush=True)
    started = time.perf_counter()
    try:
        wheels = wheel.build(interpreters.FOLDER / "dist", "dev")
    except SystemExit as error:
        print(error)
        broken.append(name)
        return []
    found = interpreters.found()

    def run(version: str) -> None:
        try:
            done = interpreters.run(version, found[version], wheels)
            status, output = done.returncode, done.stdout
        except (OSError, subprocess.CalledProcessError) as error:
            status, output = None, str(error)
        with telling:
            print(f"   Python {version}\n{output}", flush=True)
            count(f"Python {version}", output)
            if status != 0:
                broken.append(f"{name}: {version}")
        ran = interpreters.tests(version) / "build/parity/python.txt"
        if ran.exists():
            PARITY.mkdir(parents=True, exist_ok=True)
            # The name up to the first dot is the language.
            (PARITY / f"python{version.replace('.', '')}.txt").write_text(ran.read_text())

    side_by_side(*(partial(run, version) for version in found))
    print(f"   {time.perf_counter() - started:.1f} s", flush=True)
    return [f"python{version.replace('.', '')}" for version in found]


def parity(pythons: list[str]) -> None:
    """Every language has run every case of every shared vector file, and every scenario."""
    print("\n━━ parity of the languages", flush=True)
    ran: dict[str, set[str]] = {}
    for path in PARITY.glob("*.txt"):
        language = path.name.split(".")[0]
        ran.setdefault(language, set()).update(path.read_text().split())
    vectors = {
        f"{path.name}:{case['id']}"
        for path in (ROOT / "tests/vectors").glob("*.json")
        if path.name != "keys.json"
        for case in json.loads(path.read_text())["cases"]
    }
    stories = json.loads((ROOT / "tests/scenarios/scenarios.json").read_text())
    scenarios = {f"scenario:{scenario['id']}" for group in stories.values() for scenario in group}
    compiled = ["rust", "c", "cpp", "go", "node"]
    for what, wanted, languages in (
        ("vectors", vectors, [*compiled, *pythons]),
        ("scenarios", scenarios, [*compiled, "python"]),
    ):
        for language in languages:
            found = {
                name
                for name in ran.get(language, ())
                if name.startswith("scenario:") == (what == "scenarios")
            }
            print(f"   {language:<11}{len(found & wanted)} of {len(wanted)} {what}")
            if found != wanted:
                broken.append(f"parity of {what}: {language}")
                print(f"   differs: {sorted(found ^ wanted)[:5]} …")


def c_family() -> None:
    """C, also as a sanitizer sees it."""
    stage("C", [sys.executable, "tests/c/run.py", "--target-dir", "target/debug"], "C")
    # ThreadSanitizer takes longer to build than all that is built here: it is in `make sanitize`.
    stage("C, address sanitizer", [sys.executable, "tools/sanitize.py", "address"], "C, sanitized")


def other_languages() -> None:
    """C++, Go and Node."""
    stage("C++", [sys.executable, "tests/cpp/run.py", "--target-dir", "target/debug"], "C++")
    stage("Go", [sys.executable, "tests/go/run.py"], "Go")
    # Every file in a process of its own, one after the other: some count what the process has open.
    # One that hangs is a failure: no file takes nearly as many milliseconds.
    node = ["node", "--test", "--test-concurrency=1", "--test-timeout=600000"]
    node.append("--test-reporter=./tests/node/reporter.mjs")
    stage("Node", [*node, *sorted(map(str, ROOT.glob("tests/node/*.test.mjs")))], "Node")


def documents_and_others() -> None:
    """The documents that the Python surfaces come from, the published packages, and the sandbox's page."""
    stage("seed documents", [*PYTEST, "tests/seeds"], "documents")
    stage("published packages", [*PYTEST, "tests/published"], "published")
    # With a picture of the page, which is how the README's was made.
    environment = {"LIME_SCREENSHOT": str(ROOT / "build/sandbox.png")}
    # The copy that tests/conftest.py has made, which builds beside this do not take away.
    environment["LIME_SANDBOX_BINARY"] = str(ROOT / "build/tests/lime-sandbox")
    stage("browser", ["node", "--test", "tests/browser/"], "browser", **environment)


def packages() -> None:
    """What people install, and an Express site, a worker and a receiver at once."""
    stage("packaging", [*PYTEST, "tests/packaging"], "packaging")
    stage("together", [*PYTEST, "tests/together"], "together")


def main() -> None:
    """Run all stages; the exit status says whether all is well."""
    started = time.perf_counter()
    for path in PARITY.glob("*.txt"):
        path.unlink()
    stage("build", ["make", "build"])
    if broken:
        sys.exit("the build failed")
    stage("check", ["make", "check"])
    stage("Rust", ["cargo", "test", "--quiet", "--locked", "--workspace", "--no-fail-fast"], "Rust")
    # The corpora, and what is made of them at random; `make fuzz` is what looks for more.
    stage("fuzz", ["target/debug/lime-fuzz"], "fuzz")
    side_by_side(c_family, other_languages)
    pythons = python_from_the_wheel()
    side_by_side(documents_and_others, packages)
    stage("speed", ["make", "bench-smoke"])
    stage("scenarios", [sys.executable, "tests/scenarios/run.py"], "scenarios")
    # Those that failed once, and some more: a thousand are `make chaos SEEDS=1-1000`.
    stage("chaos", [sys.executable, "tools/chaos.py", "campaign", *SEEDS], "chaos")
    stage("demo", ["make", "demo"])
    parity(pythons)

    print(f"\n━━ {time.perf_counter() - started:.0f} s")
    for language in passed | failed:
        print(f"   {language:<12}{passed[language]} passed, {failed[language]} failed")
    for name in broken:
        print(f"   FAILED    {name}")
    print(f"{sum(passed.values())} passed, {sum(failed.values())} failed")
    if broken or failed.total():
        sys.exit(1)


if __name__ == "__main__":
    main()
