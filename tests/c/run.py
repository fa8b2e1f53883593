"""Builds and runs the C tests: header, symbols, vectors, boundary, scenario, examples.

    python3 tests/c/run.py --target-dir target/debug [--only PREFIX]

Needs liblime.so and lime-sandbox in the target folder. Writes to build/c and build/parity. With --sanitizer
(see tools/sanitize.py, which builds the library for it) the programs run under that one.
"""

import argparse
import contextlib
import http.server
import json
import os
import queue
import re
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

import calls as cases
import serving
from c_header import read
from mcp_server import McpServer
from tables import Vectors
from tls_server import TlsServer

import abi as interface

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/c"
BUILD = ROOT / "build/c"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
CPP_WARNINGS = ["-Wshadow", "-Wconversion"]
LIMIT = 300  # seconds; nothing here takes nearly as long


# How the programs are compiled for a sanitizer, what it is told, and what the library is linked with: the runtime
# that Rust brings, which always knows what Rust's compiler asks for; that of another compiler may be too old.
SANITIZERS = {
    "address": (
        ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-sanitize=vptr"],
        {"ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1"},
        "asan",
    ),
    # A child is made while threads run, the last second of a process need not be watched, and a worker that is
    # ending in that moment by itself is no leak.
    "thread": (
        ["-fsanitize=thread"],
        {
            "TSAN_OPTIONS": f"die_after_fork=0:atexit_sleep_ms=0:report_thread_leaks=0:suppressions={ROOT / 'tests/cpp/tsan.supp'}"
        },
        "tsan",
    ),
}


class Tests:
    def __init__(
        self, target: Path, sandbox: Path, only: str, build: Path, sanitizer: str | None = None
    ) -> None:
        self.library = build / "lib"
        self.sandbox = sandbox
        self.only = only
        self.sanitizer = sanitizer
        self.flags, self.link = [], []
        if sanitizer:
            self.flags, options, runtime = SANITIZERS[sanitizer]
            os.environ.update(options)
            rust = ["rustc", "--print", "target-libdir"]
            folder = subprocess.run(rust, check=True, capture_output=True, text=True).stdout.strip()
            [archive] = Path(folder).glob(f"librustc*_rt.{runtime}.a")
            self.link = [
                "-Wl,--whole-archive",
                str(archive),
                "-Wl,--no-whole-archive",
                "-Wl,--export-dynamic",
            ]
            self.link += ["-lstdc++", "-lm", "-ldl", "-lrt"]
        self.passed = self.failed = 0
        shutil.rmtree(build, ignore_errors=True)
        self.library.mkdir(parents=True)
        # A copy: a build that goes on meanwhile must not change what is tested.
        shutil.copy(target / "liblime.so", self.library / "liblime.so.0")
        (self.library / "liblime.so").symlink_to("liblime.so.0")
        self.compilers = [found for name in ("gcc", "clang") if (found := shutil.which(name))]

    def wanted(self, group: str) -> bool:
        return not self.only or group.startswith(self.only)

    def result(self, test_id: str, why: str | None = None) -> None:
        if self.sanitizer:
            test_id = f"{self.sanitizer}:{test_id}"
        if why is None:
            self.passed += 1
            print(f"ok {test_id}")
        else:
            self.failed += 1
            print(f"FAIL {test_id}: {why}", flush=True)

    def compile(self, source: Path, *flags: str, include: Path = ROOT / "include") -> Path:
        name = source.stem if source.parent == HERE else f"example_{source.parent.name}"
        program = BUILD / (name if include == ROOT / "include" else f"{name}_{include.name}")
        compiler = [self.compilers[0], "-g", "-O1", *WARNINGS, *flags, *self.flags]
        # In two steps: the linker must not add the compiler's own runtime of a sanitizer.
        unit = program.with_suffix(".o")
        subprocess.run([*compiler, f"-I{include}", f"-I{BUILD}", "-c", source, "-o", unit], check=True)
        library = [f"-L{self.library}", f"-Wl,-rpath,{self.library}", "-llime", "-pthread"]
        subprocess.run([self.compilers[0], unit, "-o", program, *self.link, *library], check=True)
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
            "LIME_BASE_URL": self.info["lime_base_url"],
            "LIME_EXPECTED_DOMAIN": "tools.example.com",
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


def compiler(name: str) -> str | None:
    """A compiler by its name, or as Debian names its versions."""
    names = [name, *(f"{name}-{version}" for version in range(25, 12, -1))]
    return next((found for each in names if (found := shutil.which(each))), None)


# What the headers have to compile as.
STANDARDS = {
    "lime.h": ("c99", "c11", "c17", "c++11", "c++17", "c++20"),
    "lime.hpp": ("c++17", "c++20"),
}


def headers(tests: Tests) -> None:
    """The headers stand alone, may be included twice, and compile as every language they name, with gcc and
    clang."""
    compilers = {name: compiler(name) for name in ("gcc", "clang")}
    for name, found in compilers.items():
        # Not left out where it is missing: nobody would ever notice.
        missing = f"there is no {name} to compile the headers with: tools/setup.sh installs it"
        tests.result(f"header:there-is-{name}", None if found else missing)
    for header, standards in STANDARDS.items():
        for standard in standards:
            language = "c++" if "+" in standard else "c"
            twice = BUILD / f"twice_{header}.{language}"
            twice.write_text(
                f"#include <{header}>\n#include <{header}>\nint main(void) {{ return LIME_OK; }}\n"
            )
            extra = CPP_WARNINGS if language == "c++" else ["-Wstrict-prototypes"]
            for name, found in compilers.items():
                if found:
                    flags = [f"-std={standard}", *WARNINGS, *extra, f"-I{ROOT / 'include'}"]
                    command = [found, *flags, "-x", language, "-fsyntax-only", str(twice)]
                    tests.step(f"header:{header}-{name}-{standard}", command)
    # What the manual shows are programs, and a piece of one.
    manual = (ROOT / "include/lime.h").read_text().split(" */")[0]
    lines = [line.removeprefix(" *")[1:] for line in manual.splitlines()]
    programs = re.findall(r"^  #include.*?^  }$", "\n".join(lines), re.MULTILINE | re.DOTALL)
    piece = re.search(r"^  const char \*names.*?^$", "\n".join(lines), re.MULTILINE | re.DOTALL)
    programs.append(CGI % piece[0])
    piece = re.search(
        r"^  // The person wants it.*?^  connect\(.*?$", "\n".join(lines), re.MULTILINE | re.DOTALL
    )
    programs.append(BINDING % piece[0])
    for number, text in enumerate(programs):
        source = BUILD / f"manual_{number}.c"
        source.write_text(text + "\n")
        command = [tests.compilers[0], "-std=c11", *WARNINGS, f"-I{ROOT / 'include'}", str(source)]
        link = ["-o", str(source.with_suffix("")), f"-L{tests.library}", "-llime"]
        tests.step(f"header:manual-program-{number}", [*command, *link])
    tests.result("header:manual-programs", None if len(programs) == 4 else f"there are {len(programs)}")


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


BINDING = """
#include <lime.h>
#include <stddef.h>

static void keep_in_session(const char *id) { (void)id; }
static void redirect_to(const char *url) { (void)url; }
static const char *id_of_session(void) { return "br_1"; }
static void connect(const char *agent_id) { (void)agent_id; }

int32_t bind_agent(const lime_site *site, const char *code) {
    lime_binding_request *request = NULL;
    lime_binding_exchange *exchange = NULL;
    lime_passport *passport = NULL;
    lime_error *error = NULL;
    int32_t status = LIME_OK;
    if (!site) return LIME_ERROR_INVALID_ARGUMENT;
%s
    lime_error_free(error);
    lime_passport_free(passport);
    lime_binding_exchange_free(exchange);
    lime_binding_request_free(request);
    return status;
}

int main(void) { return bind_agent(NULL, NULL) == LIME_ERROR_INVALID_ARGUMENT ? 0 : 1; }
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


def documents(tests: Tests) -> None:
    """What the documents of the C API point to is there: files, and tests by their ids."""
    tested = [*HERE.glob("*.c"), HERE / "run.py", ROOT / "tools/abi.py"]
    sources = "".join(path.read_text() for path in tested)
    groups = "|".join(group.__name__ for group in GROUPS)
    for name in ("c-api-conventions.md", "abi-stability.md"):
        words = re.findall(r"`([^`\n]+)`", (ROOT / "docs" / name).read_text())
        files = {word for word in words if re.fullmatch(r"(abi|core|ffi-c|tests)/[\w./-]+", word)}
        ids = {word for word in words if re.fullmatch(rf"({groups}):[\w.:-]+", word)}
        missing = {word for word in files if "/N/" not in word and not (ROOT / word).exists()}
        for word in ids:
            last = word.replace("abi:N:", "").split(":")[-1]
            if not any(f"{start}{last}" in sources for start in ("", ":")):
                missing.add(word)
        good = files and ids and not missing
        tests.result(f"documents:{name}", None if good else f"not there: {sorted(missing)}")


def vectors(tests: Tests) -> None:
    shared = Vectors(ROOT / "tests/vectors")
    (BUILD / "vectors_table.h").write_text(shared.tables())
    program = tests.compile(HERE / "vectors.c", "-std=c11", "-Wno-overlength-strings")
    seen = tests.run("vectors", [str(program)], expected=shared.ids, vectors=shared)
    if tests.sanitizer:
        return  # it is the same vectors
    parity = ROOT / "build/parity/c.txt"
    parity.parent.mkdir(parents=True, exist_ok=True)
    parity.write_text("".join(f"{test_id}\n" for test_id in seen))


def boundary(tests: Tests) -> None:
    program = tests.compile(HERE / "boundary.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": 8})
        tests.run("boundary", [str(program)], environment=sandbox.environment)


def calls(tests: Tests) -> None:
    """Every function, with each argument missing or wrong."""
    source, ids = cases.source(read(ROOT / "include/lime.h"))
    (BUILD / "calls_table.h").write_text(source)
    program = tests.compile(HERE / "calls.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O0")
    with Sandbox(tests.sandbox) as sandbox, McpServer(environment=sandbox.environment) as server:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": 8})
        token = sandbox.control("POST", "/mcp-tokens", {"domain": "tools.example.com"})["access_token"]
        exchanged = {"ok": True, "data": {"passport": "a.b.c"}}
        rule = {"route": "exchange_binding", "status": 200, "body": exchanged, "count": 0}
        sandbox.control("POST", "/faults", rule)
        environment = {**sandbox.environment, **addressed(server), "MCP_TOKEN": token}
        tests.run("calls", [str(program)], expected=ids, environment=environment)


def addressed(server: McpServer) -> dict[str, str]:
    """What tells a program of an MCP server. Tokens are for public names, and the name system knows nothing of these."""
    names = f"{server.hostname}=127.0.0.1,other.example.com=127.0.0.1"
    other = server.url.replace(server.hostname, "other.example.com")
    return {"MCP_SERVER_URL": server.url, "MCP_OTHER_URL": other, "LIME_MCP_ADDRESSES": names}


def mcp(tests: Tests) -> None:
    """An agent and an MCP server."""
    program = tests.compile(HERE / "mcp.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox, McpServer(environment=sandbox.environment) as server:
        tests.run("mcp", [str(program)], environment={**sandbox.environment, **addressed(server)})


def resets(tests: Tests) -> None:
    """A platform that resets its connections. The program leaves SIGPIPE as it is: not ignored, unlike Python's."""
    from local_network import Certificates  # needs what nothing else here does

    program = tests.compile(HERE / "resets.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    certificates = Certificates(BUILD)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                    tls.recv(1)
                    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        serving = threading.Thread(target=serve)
        serving.start()
        environment = {
            "LIME_API_BASE": f"https://127.0.0.1:{listener.getsockname()[1]}/api/v1",
            "LIME_AGENT_TOKEN": "at_example",
            "SSL_CERT_FILE": str(certificates.ca),
        }
        expected = ["resets:a-host-outlives-them", "resets:callbacks-have-the-signal"]
        tests.run("resets", [str(program)], expected, environment=environment)
        listener.shutdown(socket.SHUT_RDWR)
        serving.join()


def tls(tests: Tests) -> None:
    """A server with the right key, and one with another."""
    program = tests.compile(HERE / "tls.c", "-std=c11")
    for name, more in (("tls", {}), ("tls-refused", {"TLS_REFUSED": "1"})):
        with TlsServer() as server:
            tests.run(name, [str(program)], environment={**server.environment, **more})
            asked = len(server.requests)
        tests.result(f"{name}:requests", None if (asked == 0) == bool(more) else f"there were {asked}")


def lifecycle(tests: Tests) -> None:
    """Every function that calls back, in every turn that it can take."""
    program = tests.compile(HERE / "lifecycle.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": 8})
        # Nobody listens where it says.
        addresses = {"LIME_MCP_ADDRESSES": "tools.example.com=127.0.0.1"}
        tests.run("lifecycle", [str(program)], environment={**sandbox.environment, **addresses})
    known = (HERE / "lifecycle.c").read_text().split("kinds[] = {")[1].split("};")[0]
    missing = [
        name
        for name, function in read(ROOT / "include/lime.h").functions.items()
        if any(p.name == "drop_user_data" for p in function.parameters)
        # Loggers are boundary.c's, transports are transport.c's.
        if not name.endswith("_set_log_callback") and name != "lime_transport_new"
        if f'"{name}"' not in known
    ]
    tests.result(
        "lifecycle:all-that-call-back", f"lifecycle.c does not know {', '.join(missing)}" if missing else None
    )


def story(
    tests: Tests,
    group: str,
    program: Path,
    sandbox: Sandbox,
    places: dict,
    prefix: str = "",
    **environment: str,
) -> None:
    """A program that says where it is, `at <place> <arguments>`: what happens there happens here, and the
    program gets a line for it, or more. A failure of it ends the story."""
    group = prefix + group
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
            tests.result(prefix + rest)
        elif word == "FAIL":
            tests.result(prefix + rest.split(": ")[0], rest)
        else:
            print(line, end="")
    process.stdin.close()
    code = process.wait()
    watchdog.cancel()
    tests.result(f"{group}:ends", None if code == 0 else f"the program ended with {code}")


def panics(tests: Tests) -> None:
    """A library that panics where it is told to."""
    program = tests.compile(HERE / "panics.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox:
        environment = {**os.environ, **sandbox.environment}
        command = [str(program)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(" ")
        tests.result(rest.split(": ")[0], None if word == "ok" else rest)
    quiet = done.returncode == 0 and not done.stderr
    tests.result("panics:print-nothing", None if quiet else f"ended with {done.returncode}: {done.stderr}")


def guest(tests: Tests) -> None:
    """The library leaves the process as it was, and says nothing."""
    program = tests.compile(HERE / "guest.c", "-std=c11")
    command = [str(program), str(tests.library / "liblime.so.0")]
    with Sandbox(tests.sandbox) as sandbox:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": 8})
        environment = {**os.environ, **sandbox.environment}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT)
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(" ")
        tests.result(rest.split(": ")[0], None if word == "ok" else rest)
    quiet = done.returncode == 0 and not done.stderr
    tests.result("guest:prints-nothing", None if quiet else f"ended with {done.returncode}: {done.stderr}")


# Each fault, and what has to be said of it: by the sanitizer, or by valgrind without one.
FAULTS = {
    "address": {
        "use-after-free": ["heap-use-after-free", "lime_error_status"],
        "beyond-the-end": ["heap-buffer-overflow", "lime_sse_parser_feed"],
        "leak": ["LeakSanitizer: detected memory leaks", "lime_site_options_new"],
        "overflow": ["signed integer overflow"],
        "misaligned": ["load of misaligned address"],
    },
    "thread": {
        "race-with-a-callback": ["data race", "on_profile"],
        "race-in-the-library": ["data race", "lime_site_options_set_max_retries"],
    },
    None: {
        "use-after-free": ["Invalid read", "lime_error_status"],
        "leak": ["definitely lost", "lime_site_options_new"],
        "uninitialised": ["uninitialised value", "faults.c"],
    },
}


def faults(tests: Tests) -> None:
    """The tools that watch see what there is to see: a fault that is there is found, and the program fails."""
    program = str(tests.compile(HERE / "faults.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L"))
    watched = [] if tests.sanitizer else VALGRIND
    with Sandbox(tests.sandbox) as sandbox:
        for fault, words in FAULTS[tests.sanitizer].items():
            done = subprocess.run(
                [*watched, program, fault],
                env={**os.environ, **sandbox.environment},
                capture_output=True,
                text=True,
                timeout=LIMIT,
            )
            missing = [word for word in words if word not in done.stderr]
            good = done.returncode not in (0, 2) and not missing
            why = f"was not found; ended with {done.returncode}, without {missing}:\n{done.stderr}"
            tests.result(f"faults:{fault}", None if good else why)


def token_verifier(tests: Tests) -> None:
    """An MCP server's side: tokens that are good and bad, keys that rotate, a platform that is away."""
    program = tests.compile(HERE / "token_verifier.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox:
        places = {
            "token": issued,
            "rotate": lambda sandbox: sandbox.control("POST", "/keys/rotate", {})["kid"],
            "down": lambda sandbox: str(
                sandbox.control("POST", "/faults", {"route": "mcp_metadata", "status": 503, "count": 0})[
                    "ids"
                ]
            ),
        }
        story(tests, "token_verifier", program, sandbox, places)
        asked = [request["route"] for request in sandbox.control("GET", "/received")["received"]]
        wrong = asked[:2] != ["mcp_metadata", "jwks"] or asked.count("jwks") != 3
        tests.result("token_verifier:keys-were-fetched-three-times", str(asked) if wrong else None)


def login(tests: Tests, include: Path = ROOT / "include", prefix: str = "") -> None:
    """The story of a login with faults."""
    program = tests.compile(HERE / "login.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L", include=include)
    with Sandbox(tests.sandbox) as sandbox:
        places = {
            "first-login": first_login_goes_wrong,
            "before-second-login": keys_rotate,
            "before-expiry": request_expires,
        }
        story(tests, "login", program, sandbox, places, prefix)
        routes = [
            (request["route"], request["status"])
            for request in sandbox.control("GET", "/received")["received"]
        ]
        approvals = [status for route, status in routes if route == "approve"]
        tests.result(
            f"{prefix}login:approve-was-sent-again", None if approvals[:2] == [503, 200] else f"{approvals}"
        )


def issued(sandbox: Sandbox, domain: str) -> str:
    return sandbox.control("POST", "/mcp-tokens", {"domain": domain})["access_token"]


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


def bindings(tests: Tests) -> None:
    """The story of an agent that is connected with an account, and of agents that are not let in."""
    program = tests.compile(HERE / "bindings.c", "-std=c11", "-D_POSIX_C_SOURCE=200809L")
    with Sandbox(tests.sandbox) as sandbox:
        story(tests, "bindings", program, sandbox, PERSON)


def completes(sandbox: Sandbox, binding_id: str) -> str:
    return sandbox.control("POST", f"/bindings/{binding_id}/complete", {})["binding_code"]


def agent_is(what: str) -> Callable[[Sandbox], None]:
    def change(sandbox: Sandbox) -> None:
        first = sandbox.control("GET", "/info")["agent_id"]
        sandbox.control("POST", f"/agents/{first}/{what}")

    return change


def settings_are(settings: dict) -> Callable[[Sandbox], None]:
    def change(sandbox: Sandbox) -> None:
        sandbox.control("PATCH", "/settings", settings)

    return change


def loses_an_answer(sandbox: Sandbox) -> None:
    sandbox.control("POST", "/faults", {"route": "exchange_binding", "action": "drop_after"})


# Where the person comes in, and what the platform then does with agents and tokens.
PERSON = {
    "complete": completes,
    "lose-answer": loses_an_answer,
    "bare-keys-no-issuer": settings_are({"jwks_form": "bare", "issuer": False}),
    "revoke-mcp": agent_is("revoke-mcp"),
    "suspend-user": agent_is("suspend-user"),
    "deactivate": agent_is("deactivate"),
    "no-auth": settings_are({"auth_unavailable": True}),
}


def sesame(tests: Tests, include: Path = ROOT / "include", prefix: str = "") -> None:
    """The story of a gate, with a human, rules, faults, and a receiver of webhooks."""
    program = tests.compile(HERE / "sesame.c", "-std=c11", "-D_DEFAULT_SOURCE", include=include)
    # A thousand polls need as many descriptors; the sandbox inherits what this process may have.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with Sandbox(tests.sandbox) as sandbox, Receiver() as receiver:
        places = {**BROKER, "webhook": lambda _: receiver.next()}
        story(tests, "sesame", program, sandbox, places, prefix, CALLBACK_URL=receiver.url)


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
    """The programs that people read, with the arguments and the steps that the demo has; under valgrind, too."""
    programs = {
        task: str(tests.compile(ROOT / f"examples/{task}/main.c"))
        for task in ("login", "approval_gate", "event_stream", "webhook_receiver", "mcp_tool")
    }
    run_examples(tests, programs)
    if tests.sanitizer:
        return
    with Sandbox(tests.sandbox) as sandbox:
        sandbox.control("POST", "/rules", [{"action": "payments.*", "decision": "approved"}])
        for task in ("login", "approval_gate"):
            tests.step(f"example:{task}-valgrind", [*VALGRIND, programs[task]], sandbox.environment)
    serve_examples(tests, {f"{task}-valgrind": [*VALGRIND, programs[task]] for task in SERVING})


SERVING = {"event_stream": serving.event_stream, "webhook_receiver": serving.webhook_receiver}


def run_examples(tests: Tests, programs: dict[str, str]) -> None:
    """Programs of one language, built."""
    login, gate = programs["login"], programs["approval_gate"]
    with Sandbox(tests.sandbox) as sandbox:
        sandbox.control("POST", "/rules", [{"action": "payments.*", "decision": "approved"}])
        sandbox.control("POST", "/rules", [{"action": "db.*", "decision": "denied"}])
        for name, command, steps, code in (
            ("login", [login], LOGIN, 0),
            ("login-twice", [login, "2"], LOGIN * 2, 0),
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
    call_examples(tests, "mcp_tool", [programs["mcp_tool"]])
    serve_examples(tests, {task: [programs[task]] for task in SERVING})


def call_examples(tests: Tests, name: str, command: list[str]) -> None:
    """The program that calls a tool of an MCP server."""
    with Sandbox(tests.sandbox) as sandbox, McpServer(environment=sandbox.environment) as server:
        environment = {**os.environ, **sandbox.environment, **addressed(server)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment)
    printed = [line.split("\t")[0] for line in done.stdout.splitlines()]
    good = (
        done.returncode == 0
        and printed == ["token issued", "tools listed", "tool called"]
        and not done.stderr
    )
    why = f"ended with {done.returncode}: {done.stdout}{done.stderr}"
    tests.result(f"example:{name}", None if good else why)


def serve_examples(tests: Tests, commands: dict[str, list[str]]) -> None:
    """Programs that listen, each against a sandbox of its own."""
    for name, command in commands.items():
        with Sandbox(tests.sandbox) as sandbox:
            why = None
            try:
                SERVING[name.split("-")[0]](command, sandbox)
            except AssertionError as wrong:
                why = str(wrong)
            tests.result(f"example:{name}", why)


VALGRIND = [
    *("valgrind", "-q", "--leak-check=full", "--show-leak-kinds=definite"),
    *("--errors-for-leak-kinds=definite", "--error-exitcode=99"),
]


def abi(tests: Tests) -> None:
    """What there is, is what is written down; what was released is still there; programs of then run now."""
    now = interface.texts(tests.library / "liblime.so")
    for name, text in now.items():
        tests.result(f"abi:{name}", interface.difference(name, (interface.ABI / name).read_text(), text))
    released = interface.released()
    tests.result("abi:released", None if released else "there is no released header to compare with")
    for old in released:
        version = old.parent.name
        tests.result(f"abi:{version}:is-still-there", "\n".join(interface.broken(old)) or None)
        # The dump is that of its header, whatever the compiler that made it.
        tests.result(
            f"abi:{version}:dump", "\n".join(interface.abidiff(old.parent / "lime.abi", old)) or None
        )
        # Compiled with the header of then, run with the library of now.
        login(tests, old.parent, f"abi:{version}:")
        sesame(tests, old.parent, f"abi:{version}:")
    changes_are_noticed(tests, released[-1], now)


# Changes of the header, and words of what has to be said of them: by the comparison with the last released
# version, and by the one with what is written down.
CHANGES = {
    "a-function-that-is-gone": (
        r"^void lime_site_close\(.*?;",
        "",
        [
            "gone or changed: void lime_site_close(",
            "[D] 'function void lime_site_close(",
            "-void lime_site_close(",
        ],
    ),
    "another-type-of-a-parameter": (
        r"uint64_t timeout_ms,\n( +uint64_t poll_interval_ms,\n +lime_approval_callback)",
        r"uint32_t timeout_ms,\n\1",
        ["lime_sesame_wait_start(", "type size changed from 64 to 32", "+int32_t lime_sesame_wait_start("],
    ),
    "another-type-of-a-callback": (
        r"(\(\*lime_log_callback\)\(void \*user_data, )int32_t",
        r"\1int64_t",
        [
            "gone or changed: typedef void (*lime_log_callback)",
            "type size changed from 32 to 64",
            "+typedef void (*lime_log",
        ],
    ),
    "another-number": (
        "#define LIME_ERROR_CLOSED 11",
        "#define LIME_ERROR_CLOSED 18",
        ["LIME_ERROR_CLOSED was 11, is 18", "+LIME_ERROR_CLOSED 18"],
    ),
    "a-constant-that-is-gone": (
        "^#define LIME_STREAM_IDLE 0$",
        "",
        ["LIME_STREAM_IDLE was 0, is gone", "-LIME_STREAM_IDLE 0"],
    ),
    "a-lesser-version": (
        r"#define LIME_ABI_VERSION \d+",
        "#define LIME_ABI_VERSION 1",
        ["LIME_ABI_VERSION has become less"],
    ),
    "more-of-the-same-version": (
        r"#define LIME_ABI_VERSION \d+(.*)#ifdef __cplusplus\n}",
        r"#define LIME_ABI_VERSION 2\1void lime_new(void);\n#ifdef __cplusplus\n}",
        ["there is more than in version 2", "+void lime_new(void);"],
    ),
}


def changes_are_noticed(tests: Tests, released: Path, now: dict[str, str]) -> None:
    changed = BUILD / "changed/lime.h"
    changed.parent.mkdir()
    for what, (pattern, replacement, words) in CHANGES.items():
        text = (ROOT / "include/lime.h").read_text()
        text, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE | re.DOTALL)
        changed.write_text(text)
        said = list(interface.broken(released, changed))
        for name, text in interface.texts(tests.library / "liblime.so", changed).items():
            said.append(interface.difference(name, now[name], text) or "")
        missing = [word for word in words if not any(word in fault for fault in said)]
        good = count == 1 and not missing
        tests.result(f"abi:notices-{what}", None if good else f"{missing} not in\n" + "\n".join(said))
    # What is only new is no fault, but is to be written down.
    pattern, replacement, _ = CHANGES["more-of-the-same-version"]
    text = (ROOT / "include/lime.h").read_text()
    text = re.sub(
        pattern, replacement.replace("VERSION 2", "VERSION 9999"), text, flags=re.MULTILINE | re.DOTALL
    )
    changed.write_text(text)
    said = list(interface.broken(released, changed))
    recorded = interface.difference(
        "declarations.txt", now["declarations.txt"], interface.declarations(changed)
    )
    good = not said and recorded is not None and "+void lime_new(void);" in recorded
    tests.result("abi:allows-what-is-new", None if good else f"{said}, {recorded}")


GROUPS = (
    *(
        headers,
        symbols,
        abi,
        documents,
        vectors,
        boundary,
        calls,
        lifecycle,
        resets,
        guest,
        transport,
        login,
        bindings,
        sesame,
        mcp,
        tls,
        token_verifier,
        examples,
    ),
    faults,
)
# With a library that was built for them, and with the feature test-panic.
SANITIZED = {
    "address": (
        vectors,
        boundary,
        calls,
        lifecycle,
        resets,
        transport,
        login,
        bindings,
        sesame,
        mcp,
        tls,
        token_verifier,
        examples,
        panics,
        faults,
    ),
    "thread": (boundary, calls, lifecycle, transport, login, bindings, sesame, mcp, tls, panics, faults),
}


def main() -> int:
    global BUILD
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target/debug")
    parser.add_argument("--sandbox", type=Path, help="default: the one in the target folder")
    parser.add_argument("--sanitizer", choices=SANITIZED)
    parser.add_argument(
        "--only", default="", help="a group: " + ", ".join(group.__name__ for group in (*GROUPS, panics))
    )
    options = parser.parse_args()
    if options.sanitizer:
        BUILD = ROOT / f"build/c-{options.sanitizer}"
    target = options.target_dir.resolve()
    sandbox = (options.sandbox or target / "lime-sandbox").resolve()
    tests = Tests(target, sandbox, options.only, BUILD, options.sanitizer)
    for group in SANITIZED.get(options.sanitizer, GROUPS):
        if tests.wanted(group.__name__):
            try:
                group(tests)
            except (subprocess.SubprocessError, OSError) as why:
                tests.result(f"{group.__name__}:runs", repr(why))
    print(f"C: {tests.passed} passed, {tests.failed} failed")
    return 1 if tests.failed else 0


if __name__ == "__main__":
    sys.exit(main())
