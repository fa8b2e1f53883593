"""The main job in every language, against a sandbox that this starts: plainly, then through faults."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "target/debug"
STEPS = (
    "request created",
    "challenge solved and approved",
    "event received",
    "passport verified",
    "profile read",
)
# The first approve answers 503, the stream is cut in the middle of the first event's frame, and the
# signing keys are rotated before the second login request.
FAULT_PLAN = [
    {"route": "approve", "status": 503},
    {"route": "events", "action": "cut"},
    {"route": "create_request", "action": "rotate_keys", "skip": 1},
]


def languages() -> dict[str, list[str]]:
    """The program of each language, built where it has to be."""
    build = ROOT / "build/demo"
    build.mkdir(parents=True, exist_ok=True)
    # Programs look for the library by its SONAME, as an installation has it.
    for name in ("liblime.so", "liblime.so.0"):
        (build / name).unlink(missing_ok=True)
        (build / name).symlink_to(TARGET / "liblime.so")
    program, source = build / "login", ROOT / "examples/login/main.c"
    flags = ["-I", str(ROOT / "include"), "-L", str(build), "-llime", f"-Wl,-rpath,{build}"]
    subprocess.run([os.environ.get("CC", "cc"), "-o", str(program), str(source), *flags], check=True)
    return {
        "Rust": [str(TARGET / "examples/login")],
        "C": [str(program)],
        "Python": [sys.executable, str(ROOT / "examples/login/main.py")],
    }


class Sandbox:
    """A running sandbox."""

    def __enter__(self) -> Sandbox:
        command = [str(TARGET / "lime-sandbox"), "--port", "0", "--json", "--exit-with-parent"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.info = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    @property
    def environment(self) -> dict[str, str]:
        """What points a program at it."""
        return {
            **os.environ,
            "LIME_API_BASE": self.info["lime_api_base"],
            "LIME_SITE_TOKEN": self.info["site_token"],
            "LIME_AGENT_TOKEN": self.info["agent_token"],
        }

    def post(self, path: str, body: object) -> None:
        """Call the control API."""
        request = urllib.request.Request(
            self.info["control_url"] + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=10).close()


def run(language: str, command: list[str], faults: bool) -> list[tuple[str, float]]:
    """Run one program against a sandbox of its own and print its steps as they come."""
    print(f"\n{language}{', through faults' if faults else ''}")
    steps: list[tuple[str, float]] = []
    with Sandbox() as sandbox:
        if faults:
            sandbox.post("/faults", FAULT_PLAN)
        arguments = ["2"] if faults else []
        process = subprocess.Popen(
            [*command, *arguments], env=sandbox.environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line in process.stdout:
            name, milliseconds = line.rstrip("\n").split("\t")
            steps.append((name, float(milliseconds)))
            print(f"  {name:<32}{float(milliseconds):>9.1f} ms", flush=True)
        if process.wait() != 0:
            sys.exit(f"{language} ended with {process.returncode}")
    rounds = 2 if faults else 1
    if tuple(name for name, _ in steps) != STEPS * rounds:
        sys.exit(f"{language} did not go through every step: {steps}")
    return steps


def main() -> None:
    """Run everything and print the table."""
    started = time.perf_counter()
    programs = languages()
    runs = {}
    for faults in (False, True):
        for language, command in programs.items():
            runs[language, faults] = run(language, command, faults)

    width = min(shutil.get_terminal_size((100, 20)).columns, 100)
    print("\n" + "─" * width)
    columns = [*((name, False) for name in programs), *((name, True) for name in programs)]
    print(f"{'milliseconds':<32}" + "".join(f"{name + (' ⚡' if bad else ''):>11}" for name, bad in columns))
    for row, step in enumerate(STEPS):
        cells = []
        for key in columns:
            values = [value for _, value in runs[key][row :: len(STEPS)]]
            cells.append(f"{' + '.join(f'{value:.0f}' for value in values):>11}")
        print(f"{step:<32}" + "".join(cells))
    print("─" * width)
    print("⚡ two sign-ins: first approve 503, stream cut mid-frame, keys rotated in between")
    print(f"{len(runs)} stories in {len(programs)} languages, {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
