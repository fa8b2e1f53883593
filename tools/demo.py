"""The main jobs in every language, against sandboxes that this starts.

An agent signs in, plainly and then through faults. A refund waits for an approval: a rule decides, then a
person – a real browser that clicks Approve on the sandbox's page. Webhooks arrive and are verified. An agent calls a
tool of an MCP server, which verifies its token.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


MCP = ("token issued", "tools listed", "tool called")
MCP_HOSTNAME = "tools.example.com"
GATE = {
    "approved": ["approval granted", "operation run"],
    "denied": ["approval denied"],
}


def languages(task: str) -> dict[str, list[str]]:
    """The program of each language for a task, built where it has to be."""
    build = ROOT / "build/demo"
    build.mkdir(parents=True, exist_ok=True)
    # Programs look for the library by its SONAME, as an installation has it.
    for name in ("liblime.so", "liblime.so.0"):
        (build / name).unlink(missing_ok=True)
        (build / name).symlink_to(TARGET / "liblime.so")
    program, source = build / task, ROOT / f"examples/{task}/main.c"
    flags = ["-I", str(ROOT / "include"), "-L", str(build), "-llime", f"-Wl,-rpath,{build}"]
    subprocess.run([os.environ.get("CC", "cc"), "-o", str(program), str(source), *flags], check=True)
    cpp = [os.environ.get("CXX", "c++"), "-std=c++17", "-pthread", "-o", f"{program}-cpp"]
    subprocess.run([*cpp, str(source.with_suffix(".cpp")), *flags], check=True)
    go = build / f"{task}-go"
    in_go = [str(ROOT / "tools/go.sh"), "-C", str(ROOT / "examples"), "build", "-tags", "lime_static"]
    subprocess.run([*in_go, "-o", str(go), f"{task}/main.go"], check=True)
    return {
        "Rust": [str(TARGET / "examples" / task)],
        "C": [str(program)],
        "C++": [f"{program}-cpp"],
        "Go": [str(go)],
        "Python": [sys.executable, str(ROOT / f"examples/{task}/main.py")],
        "Node": ["node", str(ROOT / f"examples/{task}/main.mjs")],
    }


class Sandbox:
    """A running sandbox."""

    def __enter__(self) -> Sandbox:
        command = [str(TARGET / "lime-sandbox"), "--port", "0", "--json", "--exit-with-parent"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.info = json.loads(self._process.stdout.readline())
        self.more: dict[str, str] = {}
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
            "SESAME_BROKER_URL": self.info["sesame_url"],
            "SESAME_API_KEY": self.info["sesame_api_key"],
            "SESAME_WEBHOOK_SECRET": self.info["webhook_secret"],
            **self.more,
        }

    def get(self, path: str) -> Any:
        """Read from the control API."""
        with urllib.request.urlopen(self.info["control_url"] + path, timeout=30) as response:
            return json.load(response)

    def put(self, path: str, body: object) -> None:
        """Change something by the control API."""
        self.post(path, body, "PUT")

    def post(self, path: str, body: object, method: str = "POST") -> None:
        """Call the control API."""
        request = urllib.request.Request(
            self.info["control_url"] + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(request, timeout=10).close()


class Program:
    """A program that prints its steps, each as `name<TAB>milliseconds`."""

    def __init__(self, command: list[str], sandbox: Sandbox) -> None:
        self._process = subprocess.Popen(command, env=sandbox.environment, stdout=subprocess.PIPE, text=True)

    def steps(self) -> Iterator[tuple[str, float]]:
        """The steps as they come."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            name, milliseconds = line.rstrip("\n").split("\t")
            print(f"  {name:<32}{float(milliseconds):>9.1f} ms", flush=True)
            yield name, float(milliseconds)

    def status(self) -> int:
        """How it ended."""
        return self._process.wait()


def sign_in(language: str, command: list[str], faults: bool) -> list[tuple[str, float]]:
    """Run one program against a sandbox of its own and print its steps as they come."""
    print(f"\n{language}{', through faults' if faults else ''}")
    with Sandbox() as sandbox:
        if faults:
            sandbox.post("/faults", FAULT_PLAN)
        program = Program([*command, *(["2"] if faults else [])], sandbox)
        steps = list(program.steps())
        if (status := program.status()) != 0:
            sys.exit(f"{language} ended with {status}")
    rounds = 2 if faults else 1
    if tuple(name for name, _ in steps) != STEPS * rounds:
        sys.exit(f"{language} did not go through every step: {steps}")
    return steps


def gate(
    title: str, command: list[str], sandbox: Sandbox, decision: str, *arguments: str
) -> list[tuple[str, float]]:
    """Run a gated refund that is to be decided like this."""
    print(f"\n{title}")
    program = Program([*command, *arguments], sandbox)
    steps = list(program.steps())
    status = program.status()
    if [name for name, _ in steps] != GATE[decision] or status != (0 if decision == "approved" else 3):
        sys.exit(f"{title} ended with {status} after {steps}")
    return steps


def by_rule(programs: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    """A rule decides after 100 ms: refunds are approved, deletions denied."""
    rules = [
        {"action": "payments.*", "decision": "approved", "delay_ms": 100},
        {"action": "db.*", "decision": "denied", "delay_ms": 100},
    ]
    table: dict[str, dict[str, float]] = {}
    with Sandbox() as sandbox:
        sandbox.post("/rules", rules)
        for language, command in programs.items():
            steps = gate(f"{language}, a rule approves", command, sandbox, "approved", "payments.refund")
            denied = gate(f"{language}, a rule denies", command, sandbox, "denied", "db.delete")
            table[language] = dict([*steps, *denied])
    return table


def by_hand(programs: dict[str, list[str]]) -> None:
    """A real browser clicks Approve on the sandbox's page, for each language's refund."""
    with Sandbox() as sandbox:
        clicks = subprocess.Popen(
            ["node", str(ROOT / "tests/browser/approve.mjs"), sandbox.info["sesame_url"], str(len(programs))],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert clicks.stdout is not None
        if clicks.stdout.readline() != "ready\n":
            sys.exit("the browser did not open the page")
        for language, command in programs.items():
            gate(f"{language}, a browser clicks Approve", command, sandbox, "approved")
        if clicks.wait() != 0:
            sys.exit("the browser did not click every time")


def webhooks(language: str, command: list[str], receiving: list[str]) -> None:
    """A decision arrives at a local receiver and verifies; a tampered one does not."""
    print(f"\n{language}, webhooks")
    with Sandbox() as sandbox:
        sandbox.post("/rules", {"action": "*", "decision": "approved", "delay_ms": 100})
        receiver = subprocess.Popen(
            receiving,
            env=sandbox.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert receiver.stdout is not None

        def heard(wanted: str) -> str:
            name, _, what = receiver.stdout.readline().rstrip("\n").partition("\t")  # type: ignore[union-attr]
            print(f"  {name:<32}{what}", flush=True)
            if name != wanted:
                sys.exit(f"the receiver said {name!r}, not {wanted!r}")
            return what

        url = heard("listening")
        gate(f"{language}, with a callback_url", command, sandbox, "approved", "payments.refund", url)
        heard("webhook verified")
        sent = sandbox.get("/webhooks?min=1&wait_ms=10000")["webhooks"][0]
        headers = {"X-Sesame-Signature": sent["signature"], "X-Sesame-Timestamp": str(sent["timestamp"])}
        tampered = sent["body"].replace("approved", "denied").encode()
        try:
            urllib.request.urlopen(urllib.request.Request(url, tampered, headers), timeout=10).close()
            sys.exit("a tampered webhook was accepted")
        except urllib.error.HTTPError as error:
            if error.code != 400:
                raise
        heard("webhook refused")
        receiver.terminate()
        receiver.wait()


@contextmanager
def mcp_server(sandbox: Sandbox) -> Iterator[None]:
    """An MCP server – the official SDK's – that verifies tokens with a sandbox's keys; programs are told where it is."""
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "examples/mcp_tool/server.py")],
        env={
            **sandbox.environment,
            "LIME_BASE_URL": sandbox.info["lime_base_url"],
            "LIME_EXPECTED_DOMAIN": MCP_HOSTNAME,
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().removeprefix("listening\t"))
        # Tokens are for public names; the name system is told nothing of this one.
        sandbox.more |= {
            "MCP_SERVER_URL": f"http://{MCP_HOSTNAME}:{port}/mcp",
            "LIME_MCP_ADDRESSES": f"{MCP_HOSTNAME}=127.0.0.1",
        }
        yield
    finally:
        server.terminate()
        server.wait()


def mcp(programs: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    """An agent calls a tool of an MCP server, which verifies its token with the platform's keys."""
    rows: dict[str, dict[str, float]] = {}
    with Sandbox() as sandbox, mcp_server(sandbox):
        for language, command in programs.items():
            print(f"\n{language}, a tool of an MCP server")
            program = Program(command, sandbox)
            steps = list(program.steps())
            if (status := program.status()) != 0 or tuple(name for name, _ in steps) != MCP:
                sys.exit(f"{language} ended with {status} after {steps}")
            rows[language] = dict(steps)
    return rows


def table(title: str, rows: Iterable[str], columns: dict[str, Callable[[str], str]]) -> None:
    """Print a table; each column gives the text for a row."""
    width = min(shutil.get_terminal_size((100, 20)).columns, 100)
    print("\n" + "─" * width)
    print(f"{title:<32}" + "".join(f"{name:>11}" for name in columns))
    for row in rows:
        print(f"{row:<32}" + "".join(f"{cell(row):>11}" for cell in columns.values()))
    print("─" * width)


def main() -> None:
    """Run everything and print the tables."""
    started = time.perf_counter()
    signing = languages("login")
    runs = {
        (language, faults): sign_in(language, command, faults)
        for faults in (False, True)
        for language, command in signing.items()
    }
    gated = languages("approval_gate")
    decided = by_rule(gated)
    by_hand(gated)
    receivers = ROOT / "examples/webhook_receiver"
    webhooks("Python", gated["Python"], [sys.executable, str(receivers / "main_fastapi.py")])
    for framework in ("express", "fastify"):
        webhooks(f"Node, {framework}", gated["Node"], ["node", str(receivers / f"main_{framework}.mjs")])

    called = mcp(languages("mcp_tool"))

    def signing_cell(key: tuple[str, bool]) -> Callable[[str], str]:
        def cell(step: str) -> str:
            return " + ".join(f"{value:.0f}" for name, value in runs[key] if name == step)

        return cell

    for faults, title in ((False, "sign-in, milliseconds"), (True, "two sign-ins, through faults")):
        table(title, STEPS, {language: signing_cell((language, faults)) for language in signing})
    print("faults: first approve 503, stream cut mid-frame, keys rotated in between")
    steps = [*GATE["approved"], *GATE["denied"]]
    table(
        "gate, decided after 100 ms",
        steps,
        {language: (lambda step, times=times: f"{times[step]:.0f}") for language, times in decided.items()},
    )
    table(
        "a tool of an MCP server, milliseconds",
        MCP,
        {language: (lambda step, times=times: f"{times[step]:.0f}") for language, times in called.items()},
    )
    print(f"{len(signing)} languages, {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
