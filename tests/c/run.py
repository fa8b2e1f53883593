"""Builds and runs the C tests: header, symbols, vectors, boundary, scenario, examples.

    python3 tests/c/run.py --target-dir target/debug [--only PREFIX]

Needs liblime.so and lime-sandbox in the target folder. Writes to build/c and build/parity.
"""

import argparse
import http.server
import json
import os
import queue
import re
import resource
import shutil
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

from tables import Vectors

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/c"
BUILD = ROOT / "build/c"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
LIMIT = 300  # seconds; nothing here takes nearly as long


class Tests:
    def __init__(self, target: Path, only: str) -> None:
        self.library = BUILD / "lib"
        self.sandbox = target / "lime-sandbox"
        self.only = only
        self.passed = self.failed = 0
        shutil.rmtree(BUILD, ignore_errors=True)
        self.library.mkdir(parents=True)
        # A copy: a build that goes on meanwhile must not change what is tested.
        shutil.copy(target / "liblime.so", self.library / "liblime.so.0")
        (self.library / "liblime.so").symlink_to("liblime.so.0")
        self.compilers = [found for name in ("gcc", "clang") if (found := shutil.which(name))]

    def wanted(self, group: str) -> bool:
        return not self.only or group.startswith(self.only)

    def result(self, test_id: str, why: str | None = None) -> None:
        if why is None:
            self.passed += 1
            print(f"ok {test_id}")
        else:
            self.failed += 1
            print(f"FAIL {test_id}: {why}", flush=True)

    def compile(self, source: Path, *flags: str) -> Path:
        program = BUILD / source.stem if source.parent == HERE else BUILD / f"example_{source.parent.name}"
        command = [self.compilers[0], "-g", "-O1", *WARNINGS, *flags, f"-I{ROOT / 'include'}", f"-I{BUILD}"]
        subprocess.run(
            [
                *command,
                str(source),
                "-o",
                str(program),
                f"-L{self.library}",
                f"-Wl,-rpath,{self.library}",
                "-llime",
                "-pthread",
            ],
            check=True,
        )
        return program

    def run(
        self,
        group: str,
        command: list[str],
        expected: list[str] | None = None,
        vectors: Vectors | None = None,
        environment: dict[str, str] | None = None,
    ) -> list[str]:
        """Runs a test program and counts its lines; a crash or a test that is missing is a failure."""
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=LIMIT,
            env={**os.environ, **(environment or {})},
        )
        seen, failures = [], 0
        for line in done.stdout.split("\n")[:-1]:  # not splitlines(): U+2028 is text
            if line.startswith("ok "):
                seen.append(line[3:])
                self.result(line[3:])
            elif line.startswith("json ") and vectors:
                test_id, text = line[5:].split("\t", 1)
                if test_id not in seen:
                    seen.append(test_id)
                    self.result(test_id, vectors.differs(test_id, text))
            elif line.startswith("FAIL "):
                failures += 1
                seen.append(line[5:].split(": ")[0])
                self.result(seen[-1], line)
            else:
                print(line)
        if (done.returncode != 0) != (failures > 0) or done.returncode < 0:
            self.result(f"{group}:ends", f"the program ended with {done.returncode}")
        for test_id in expected or []:
            if test_id not in seen:
                self.result(test_id, "was not run")
        return seen

    def step(self, test_id: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        """A test that is one command, which has to end with 0."""
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            env={**os.environ, **(environment or {})},
        )
        self.result(test_id, None if done.returncode == 0 else f"ended with {done.returncode}\n{done.stdout}")


class Sandbox:
    """A platform of one's own, and its control API."""

    def __init__(self, program: Path) -> None:
        self.process = subprocess.Popen(
            [program, "--port", "0", "--json", "--exit-with-parent"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.info = json.loads(self.process.stdout.readline())
        self.environment = {
            "LIME_API_BASE": self.info["lime_api_base"],
            "LIME_SITE_TOKEN": self.info["site_token"],
            "LIME_AGENT_TOKEN": self.info["agent_token"],
            "SESAME_BROKER_URL": self.info["sesame_url"],
            "SESAME_API_KEY": self.info["sesame_api_key"],
            "SESAME_WEBHOOK_SECRET": self.info["webhook_secret"],
        }

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=30)

    def control(self, method: str, path: str, body: object = None) -> dict:
        request = urllib.request.Request(
            self.info["control_url"] + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")


def headers(tests: Tests) -> None:
    """The header stands alone, may be included twice, and compiles as every language it names."""
    twice = BUILD / "twice.c"
    twice.write_text("#include <lime.h>\n#include <lime.h>\nint main(void) { return LIME_OK; }\n")
    for compiler in tests.compilers:
        for language, standard in (
            ("c", "c99"),
            ("c", "c11"),
            ("c", "c17"),
            ("c++", "c++11"),
            ("c++", "c++17"),
        ):
            flags = [*WARNINGS, "-Wstrict-prototypes"] if language == "c" else WARNINGS
            command = [
                compiler,
                f"-std={standard}",
                *flags,
                "-x",
                language,
                "-fsyntax-only",
                f"-I{ROOT / 'include'}",
                str(twice),
            ]
            tests.step(f"header:{Path(compiler).name}-{standard}", command)
    # What the manual shows are programs, and a piece of one.
    manual = (ROOT / "include/lime.h").read_text().split(" */")[0]
    lines = [line.removeprefix(" *")[1:] for line in manual.splitlines()]
    programs = re.findall(r"^  #include.*?^  }$", "\n".join(lines), re.MULTILINE | re.DOTALL)
    piece = re.search(r"^  const char \*names.*?^$", "\n".join(lines), re.MULTILINE | re.DOTALL)
    programs.append(CGI % piece[0])
    for number, text in enumerate(programs):
        source = BUILD / f"manual_{number}.c"
        source.write_text(text + "\n")
        command = [tests.compilers[0], "-std=c11", *WARNINGS, f"-I{ROOT / 'include'}", str(source)]
        link = ["-o", str(source.with_suffix("")), f"-L{tests.library}", "-llime"]
        tests.step(f"header:manual-program-{number}", [*command, *link])
    tests.result("header:manual-programs", None if len(programs) == 3 else f"there are {len(programs)}")


# What the piece in the manual is a piece of.
CGI = """
#include <lime.h>
#include <stdlib.h>

int32_t verify(const lime_webhook_verifier *verifier, const void *body, size_t length) {
    lime_webhook *webhook = NULL;
    lime_error *error = NULL;
    int32_t status = LIME_OK;
%s
    lime_error_free(error);
    lime_webhook_free(webhook);
    return status;
}

int main(void) { return verify(NULL, NULL, 0) == LIME_ERROR_INVALID_ARGUMENT ? 0 : 1; }
"""


def symbols(tests: Tests) -> None:
    """The library exports what ffi-c/src/lib.rs spells out, and nothing else, under its SONAME."""
    source = (ROOT / "ffi-c/src/lib.rs").read_text().split("EXPORTS")[1].split("];")[0]
    spelled_out = set(re.findall(r'"(lime_\w+)"', source))
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", str(tests.library / "liblime.so")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    exported = {line.split()[2].split("@")[0] for line in listing.splitlines()}
    extra, missing = exported - spelled_out, spelled_out - exported
    tests.result(
        "symbols:exports",
        f"not in the list: {extra}, not in the library: {missing}" if extra or missing else None,
    )
    dynamic = subprocess.run(
        ["readelf", "-d", str(tests.library / "liblime.so")], check=True, capture_output=True, text=True
    ).stdout
    soname = re.search(r"SONAME.*\[(.*)\]", dynamic)
    wrong = soname is None or soname[1] != "liblime.so.0"
    tests.result("symbols:soname", f"{soname and soname[1]}" if wrong else None)


def vectors(tests: Tests) -> None:
    shared = Vectors(ROOT / "tests/vectors")
    (BUILD / "vectors_table.h").write_text(shared.tables())
    program = tests.compile(HERE / "vectors.c", "-std=c11", "-Wno-overlength-strings")
    seen = tests.run("vectors", [str(program)], expected=shared.ids, vectors=shared)
    parity = ROOT / "build/parity/c.txt"
    parity.parent.mkdir(parents=True, exist_ok=True)
    parity.write_text("".join(f"{test_id}\n" for test_id in seen))


def boundary(tests: Tests) -> None:
    program = tests.compile(HERE / "boundary.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": 8})
        tests.run("boundary", [str(program)], environment=sandbox.environment)


def story(
    tests: Tests, group: str, program: Path, sandbox: Sandbox, places: dict, **environment: str
) -> None:
    """A program that says where it is, `at <place> <arguments>`: what happens there happens here, and the
    program gets a line for it, or more. A failure of it ends the story."""
    process = subprocess.Popen(
        [program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **sandbox.environment, **environment},
    )
    watchdog = threading.Timer(LIMIT, process.kill)
    watchdog.start()
    for line in process.stdout:
        word, _, rest = line.strip().partition(" ")
        if word == "at":
            place, *arguments = rest.split()
            try:
                process.stdin.write(f"{places[place](sandbox, *arguments) or 'go'}\n")
            except Exception as why:
                tests.result(f"{group}:{rest}", repr(why))
                break
            process.stdin.flush()
        elif word == "ok":
            tests.result(rest)
        elif word == "FAIL":
            tests.result(rest.split(": ")[0], rest)
        else:
            print(line, end="")
    process.stdin.close()
    code = process.wait()
    watchdog.cancel()
    tests.result(f"{group}:ends", None if code == 0 else f"the program ended with {code}")


def login(tests: Tests) -> None:
    """The story of a login with faults."""
    program = tests.compile(HERE / "login.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox:
        places = {
            "first-login": first_login_goes_wrong,
            "before-second-login": keys_rotate,
            "before-expiry": request_expires,
        }
        story(tests, "login", program, sandbox, places)
        routes = [
            (request["route"], request["status"])
            for request in sandbox.control("GET", "/received")["received"]
        ]
        approvals = [status for route, status in routes if route == "approve"]
        tests.result("login:approve-was-sent-again", None if approvals[:2] == [503, 200] else f"{approvals}")


def first_login_goes_wrong(sandbox: Sandbox) -> None:
    sandbox.control("GET", "/streams?min_open=1&wait_ms=30000")
    sandbox.control(
        "POST",
        "/faults",
        [
            {"route": "approve", "status": 503, "headers": {"retry-after": "0"}},
            {"route": "events", "action": "cut"},
        ],
    )


def keys_rotate(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/keys/rotate", {})


def request_expires(sandbox: Sandbox) -> None:
    pending = [
        r for r in sandbox.control("GET", "/login-requests")["login_requests"] if r["status"] == "PENDING"
    ]
    for request in pending:
        sandbox.control("POST", f"/login-requests/{request['login_request_id']}/expire")


def sesame(tests: Tests) -> None:
    """The story of a gate, with a human, rules, faults, and a receiver of webhooks."""
    program = tests.compile(HERE / "sesame.c", "-std=c11", "-D_DEFAULT_SOURCE")
    # A thousand polls need as many descriptors; the sandbox inherits what this process may have.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with Sandbox(tests.sandbox) as sandbox, Receiver() as receiver:
        places = {**BROKER, "webhook": lambda _: receiver.next()}
        story(tests, "sesame", program, sandbox, places, CALLBACK_URL=receiver.url)


class Receiver:
    """A web server that takes webhooks."""

    def __init__(self) -> None:
        received: queue.SimpleQueue[tuple[list[tuple[str, str]], str]] = queue.SimpleQueue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                received.put((self.headers.items(), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.received = received
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def next(self) -> str:
        """The next delivery, as the program reads it: how many headers, each in two lines, the body."""
        headers, body = self.received.get(timeout=60)
        assert "\n" not in body
        return "\n".join([str(len(headers)), *(text for header in headers for text in header), body])


def pending(sandbox: Sandbox, action: str) -> list[str]:
    """The approvals of an action that nobody has decided; there is one at least."""
    found = sandbox.control("GET", "/approvals?status=pending&min=1&wait_ms=30000")["approvals"]
    ids = [approval["approval_id"] for approval in found if approval["action"] == action]
    return ids or pending(sandbox, action)


def asked(sandbox: Sandbox, approval_id: str) -> None:
    approval = sandbox.control("GET", f"/approvals/{approval_id}")
    wanted = {
        "action": "first.refund",
        "summary": "Refund €42",
        "reason": "charged twice",
        "severity": "high",
        "dedup_key": "refund-1",
        "callback_url": None,
        "status": "pending",
    }
    assert {name: approval[name] for name in wanted} == wanted, approval
    body = sandbox.control("GET", "/received?route=trigger_approval")["received"][0]["body"]
    context = {"amount": 4200, "exact": 123456789012345678901234567890, "who": "Zoë"}
    assert json.loads(body)["context"] == context, body


def transport(tests: Tests) -> None:
    program = tests.compile(HERE / "transport.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": 8})
        sandbox.control("POST", "/rules", {"action": "host.*", "decision": "approved", "delay_ms": 20})
        tests.run("transport", [str(program)], environment=sandbox.environment)


def decide(sandbox: Sandbox, approval_id: str, decision: str) -> None:
    body = {"decision": decision, "note": "Decided by a test"}
    sandbox.control("POST", f"/approvals/{approval_id}/decision", body)


def decide_all(sandbox: Sandbox, action: str, decision: str) -> None:
    sandbox.control("POST", "/rules", {"action": action, "decision": decision})


def expire(sandbox: Sandbox, action: str) -> str:
    [approval_id] = pending(sandbox, action)
    sandbox.control("POST", f"/approvals/{approval_id}/expire")
    return approval_id


def rule(sandbox: Sandbox, action: str, decision: str) -> None:
    sandbox.control(
        "POST",
        "/rules",
        {"action": action, "decision": decision, "delay_ms": 20, "count": 1, "note": "Decided by a test"},
    )


def hold(sandbox: Sandbox, seconds: str) -> None:
    sandbox.control("PATCH", "/settings", {"long_poll_seconds": float(seconds)})


def polls(sandbox: Sandbox, number: str) -> None:
    sandbox.control("GET", f"/polls?min={number}&max={number}&wait_ms=60000")


def reads(sandbox: Sandbox, number: str) -> None:
    after = sandbox.control("GET", "/received")["received"][-1]["n"]
    sandbox.control("GET", f"/received?route=read_approval&after={after}&min={number}&wait_ms=30000")


def faults_of_polls(sandbox: Sandbox) -> None:
    sandbox.control(
        "POST",
        "/faults",
        [
            {"route": "read_approval", "status": 503},
            {"route": "read_approval", "action": "drop_before", "reset": True},
            {"route": "read_approval", "action": "garbage"},
            {"route": "read_approval", "status": 429, "headers": {"retry-after": "0"}},
        ],
    )


def lose(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/faults", {"route": "trigger_approval", "action": "drop_after"})


def count(sandbox: Sandbox, action: str, number: str) -> None:
    found = sandbox.control("GET", "/approvals")["approvals"]
    assert sum(approval["action"] == action for approval in found) == int(number), found


def resend(sandbox: Sandbox, approval_id: str) -> None:
    first = sandbox.control("GET", f"/webhooks?approval_id={approval_id}&min=1&wait_ms=30000")["webhooks"][0]
    sandbox.control("POST", f"/webhooks/{first['n']}/resend")


BROKER = {
    "asked": asked,
    "count": count,
    "decide": decide,
    "decide-all": decide_all,
    "expire": expire,
    "faults": faults_of_polls,
    "hold": hold,
    "lose": lose,
    "polls": polls,
    "reads": reads,
    "resend": resend,
    "rule": rule,
}


LOGIN = [
    "request created",
    "challenge solved and approved",
    "event received",
    "passport verified",
    "profile read",
]


def examples(tests: Tests) -> None:
    """The programs that people read, with the arguments and the steps that the demo has."""
    login = str(tests.compile(ROOT / "examples/login/main.c"))
    gate = str(tests.compile(ROOT / "examples/approval_gate/main.c"))
    with Sandbox(tests.sandbox) as sandbox:
        sandbox.control("POST", "/rules", [{"action": "payments.*", "decision": "approved"}])
        sandbox.control("POST", "/rules", [{"action": "db.*", "decision": "denied"}])
        for name, command, steps, code in (
            ("login", [login], LOGIN, 0),
            ("approval_gate-approved", [gate], ["approval granted", "operation run"], 0),
            ("approval_gate-denied", [gate, "db.delete"], ["approval denied"], 3),
            ("approval_gate-refused", [gate, ""], [], 1),
        ):
            environment = {**os.environ, **sandbox.environment}
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment)
            printed = [line.split("\t")[0] for line in done.stdout.splitlines()]
            good = done.returncode == code and printed == steps and bool(done.stderr) == (code == 1)
            why = f"ended with {done.returncode}: {done.stdout}{done.stderr}"
            tests.result(f"example:{name}", None if good else why)
        if valgrind := shutil.which("valgrind"):
            leaks = ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
            checked = [valgrind, "-q", *leaks, "--error-exitcode=99"]
            tests.step("example:login-valgrind", [*checked, login], sandbox.environment)
            tests.step("example:approval_gate-valgrind", [*checked, gate], sandbox.environment)


GROUPS = (headers, symbols, vectors, boundary, transport, login, sesame, examples)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target/debug")
    parser.add_argument(
        "--only", default="", help="a group: " + ", ".join(group.__name__ for group in GROUPS)
    )
    options = parser.parse_args()
    tests = Tests(options.target_dir.resolve(), options.only)
    for group in GROUPS:
        if tests.wanted(group.__name__):
            try:
                group(tests)
            except (subprocess.SubprocessError, OSError) as why:
                tests.result(f"{group.__name__}:runs", repr(why))
    print(f"C: {tests.passed} passed, {tests.failed} failed")
    return 1 if tests.failed else 0


if __name__ == "__main__":
    sys.exit(main())
