"""Stories against the sandbox, the same in every language: the examples' programs, plainly and when something breaks.

    python tests/scenarios/run.py [ID-PREFIX]

`scenarios.json` says by example what happens to its program and what it must have done when it ends. A program prints
its steps, each as `name<TAB>…`; one that something stops has to end by itself, with an error, having done no more than
`ends_after`. Writes which ran to build/parity, by language.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import demo  # noqa: E402

LIMIT = 60  # seconds, for a program that hangs; none of these takes one
PARITY = {"Rust": "rust", "C": "c", "C++": "cpp", "Go": "go", "Python": "python", "Node": "node"}


class Failed(Exception):
    """A program did not do what it should have."""


@contextmanager
def running(command: list[str], sandbox: demo.Sandbox) -> Iterator[subprocess.Popen[str]]:
    """The program, ended in any case."""
    process = subprocess.Popen(
        command,
        env=sandbox.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ran(command: list[str], sandbox: demo.Sandbox) -> tuple[int, list[str], str]:
    """How a program ended, its steps, and what it said of errors."""
    with running(command, sandbox) as process:
        try:
            output, errors = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Failed(f"it had not ended after {LIMIT} s") from None
        return process.returncode, [line.split("\t")[0] for line in output.splitlines()], errors


def must(scenario: dict[str, Any], found: tuple[int, list[str], str], status: int, steps: list[str]) -> None:
    """Compare how a program ended with how it should have."""
    code, done, errors = found
    if "ends_after" in scenario:
        # How a language tells of an error is its own: that it is told, and ends the program, is not.
        if code in (0, 3) or code < 0 or done != scenario["ends_after"] or not errors:
            raise Failed(f"it ended with {code} after {done}, saying {errors!r}")
    elif (code, done) != (status, steps):
        raise Failed(f"it ended with {code} after {done}, saying {errors!r}")


def login(scenario: dict[str, Any], command: list[str], sandbox: demo.Sandbox) -> None:
    """A site and an agent in one program."""
    rounds = scenario.get("rounds", 1)
    must(scenario, ran([*command, str(rounds)], sandbox), 0, list(demo.STEPS) * rounds)


def approval_gate(scenario: dict[str, Any], command: list[str], sandbox: demo.Sandbox) -> None:
    """A refund that waits for a decision, which a rule makes."""
    decision = scenario.get("decision", "approved")
    sandbox.post("/rules", {"action": "*", "decision": decision, "delay_ms": 50})
    status = 0 if decision == "approved" else 3
    must(scenario, ran([*command, "payments.refund"], sandbox), status, demo.GATE[decision])


def event_stream(scenario: dict[str, Any], command: list[str], sandbox: demo.Sandbox) -> None:
    """A site that is told how each of its login requests ends.

    With `events` each event meets that fault, and then all streams break.
    """
    ends = list(scenario["ends"])
    with running([*command, str(len(ends))], sandbox) as process:
        assert process.stdout is not None
        expected: dict[str, str] = {}
        told: dict[str, str] = {}
        for line in process.stdout:
            what, *rest = line.rstrip("\n").split("\t")
            if what == "request":
                expected[rest[0]] = ends[len(expected)]
                if fault := scenario.get("events"):
                    sandbox.post("/faults", {"route": "events", "action": fault})
                call = "expire" if expected[rest[0]] == "expired" else "approve"
                sandbox.post(f"/login-requests/{rest[0]}/{call}", {})
                while fault and any(site["undelivered"] for site in sandbox.get("/streams")["sites"]):
                    pass  # until the stream has had it
                if fault and len(expected) == len(ends):
                    sandbox.post("/streams/disconnect", {"abort": True})
            elif what == "event":
                if rest[0] in told:
                    raise Failed(f"it was told twice of {rest[0]}")
                told[rest[0]] = rest[1]
        if process.wait(LIMIT) != 0 or told != expected or len(told) != len(ends):
            raise Failed(f"it ended with {process.returncode}, told of {told}, not of {expected}")


def mcp_tool(scenario: dict[str, Any], command: list[str], sandbox: demo.Sandbox) -> None:
    """An agent calls a tool of an MCP server, which verifies its token."""
    if scenario.get("revoked"):
        sandbox.post(f"/agents/{sandbox.info['agent_id']}/revoke-mcp", {})
    with demo.mcp_server(sandbox):
        must(scenario, ran(command, sandbox), 0, list(demo.MCP))


STORIES: dict[str, Callable[[dict[str, Any], list[str], demo.Sandbox], None]] = {
    "login": login,
    "approval_gate": approval_gate,
    "event_stream": event_stream,
    "mcp_tool": mcp_tool,
}


def main() -> int:
    """Run what is asked for in every language."""
    prefix = sys.argv[1] if len(sys.argv) > 1 else ""
    done: dict[str, list[str]] = {language: [] for language in PARITY}
    passed = failed = 0
    for example, scenarios in json.loads((ROOT / "tests/scenarios/scenarios.json").read_text()).items():
        scenarios = [scenario for scenario in scenarios if scenario["id"].startswith(prefix)]
        programs = demo.languages(example) if scenarios else {}
        for scenario in scenarios:
            for language, command in programs.items():
                with demo.Sandbox() as sandbox:
                    if settings := scenario.get("settings"):
                        sandbox.put("/settings", settings)
                    if faults := scenario.get("faults"):
                        sandbox.post("/faults", faults)
                    sandbox.more = dict(scenario.get("environment", {}))
                    try:
                        STORIES[example](scenario, command, sandbox)
                    except Failed as failure:
                        failed += 1
                        print(f"FAIL {scenario['id']} {language}: {failure}", flush=True)
                    else:
                        passed += 1
                        done[language].append(f"scenario:{scenario['id']}")
                        print(f"ok {scenario['id']} {language}", flush=True)
    folder = ROOT / "build/parity"
    folder.mkdir(parents=True, exist_ok=True)
    for language, name in PARITY.items():
        (folder / f"{name}.scenarios.txt").write_text("\n".join(done[language]))
    print(f"scenarios: {passed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
