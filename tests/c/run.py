"""Builds and runs the C tests: header, symbols, vectors, boundary, scenario, examples.

    python3 tests/c/run.py --target-dir target/debug [--only PREFIX]

Needs liblime.so and lime-sandbox in the target folder. Writes to build/c and build/parity.
"""

import argparse
import json
import os
import re
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


def login(tests: Tests) -> None:
    """The story with faults: the program says where it is, and the platform is changed there."""
    program = tests.compile(HERE / "login.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox:
        story = subprocess.Popen(
            [program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **sandbox.environment},
        )
        watchdog = threading.Timer(LIMIT, story.kill)
        watchdog.start()
        for line in story.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "at":
                try:
                    AT[rest](sandbox)
                    story.stdin.write("go\n")
                except Exception as why:  # the story ends, and the failure is told
                    tests.result(f"login:{rest}", repr(why))
                    break
                story.stdin.flush()
            elif word == "ok":
                tests.result(rest)
            elif word == "FAIL":
                tests.result(rest.split(":")[0], rest)
            else:
                print(line, end="")
        story.stdin.close()
        code = story.wait()
        watchdog.cancel()
        tests.result("login:ends", None if code == 0 else f"the program ended with {code}")
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


AT = {
    "first-login": first_login_goes_wrong,
    "before-second-login": keys_rotate,
    "before-expiry": request_expires,
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


GROUPS = (headers, symbols, vectors, boundary, login, examples)


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
