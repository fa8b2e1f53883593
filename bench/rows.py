"""The rows of the table: what is measured for each, against what, and what has to be reached."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import environments
from environments import Ours
from measure import OpenSsl, Program, Runs, Sample, in_turns

PROGRAMS = Path(__file__).parent / "programs"


@dataclass
class Line:
    """One figure of ours beside one of something else."""

    row: str
    what: str
    unit: str
    ours: Sample
    against: str
    theirs: Sample | None
    bound: str
    """``≥ 80 ×`` or ``≤ 4.5 MB``; empty where the figure is only of interest."""
    ratio: float | None = None
    ok: bool | None = None

    def __post_init__(self) -> None:
        """Hold it against its bound."""
        if self.theirs is not None:
            self.ratio = self.ours.median / self.theirs.median
        if not self.bound:
            return
        sign, limit, *unit = self.bound.split()
        figure = self.ratio if unit == ["×"] else self.ours.median
        assert figure is not None
        self.ok = figure >= number(limit) if sign == "≥" else figure <= number(limit)


def number(text: str) -> float:
    """``1/15`` or ``0.9``."""
    above, _, below = text.partition("/")
    return float(above) / float(below or 1)


@dataclass
class Curve:
    """How a figure grows; drawn."""

    name: str
    unit: str
    points: list[tuple[float, float]]


@dataclass
class Bench:
    """What a row needs to measure, and what it has found."""

    ours: Ours
    rounds: int = 5
    seconds: float = 0.5
    """About how long one batch takes."""
    smoke: bool = False
    """Only whether something was lost: fewer figures, against the published packages alone."""
    lines: list[Line] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    def python(self, name: str, program: str, *arguments: str) -> Program:
        """One of programs/*.py in the environment of ours or of a published package."""
        python = self.ours.python if name == "ours" else environments.python_of(name)
        return Program([python, PROGRAMS / program, *arguments])

    def rust(self, *arguments: str) -> Program:
        """The measurements in Rust."""
        return Program([self.ours.bench, *arguments])

    def native(self, base_url: str, token: str, *arguments: str) -> Program:
        """The measurements in C."""
        return Program([self.ours.native, *arguments], {"LIME_API_BASE": base_url, "LIME_SITE_TOKEN": token})

    def node(self, base_url: str, token: str, *arguments: str) -> Program:
        """The measurements in Node."""
        environment = {"LIME_API_BASE": base_url, "LIME_SITE_TOKEN": token}
        return Program(["node", self.ours.node, *arguments], environment)

    def turns(self, programs: dict[str, Any], seconds: float | None = None) -> dict[str, Runs]:
        """Measure them."""
        return in_turns(programs, self.rounds, seconds or self.seconds)

    def add(
        self, row: str, what: str, unit: str, ours: Sample, against: str, theirs: Sample | None, bound: str
    ) -> None:
        """Note a line down."""
        self.lines.append(Line(row, what, unit, ours, against, theirs, bound))


def proof_of_work(bench: Bench) -> None:
    """Nonces a second, from Python, and the kernel beside what it is made of."""
    for digest, package in (("seed", "agents"), ("today", "agents-today")):
        for length in (32, 64):
            what = f"{digest} digest, {length} characters"
            programs: dict[str, Any] = {
                "ours": bench.python("ours", "pow.py", "ours", digest, str(length)),
                "published": bench.python(package, "pow.py", "published", digest, str(length)),
            }
            if not bench.smoke:
                programs["kernel"] = bench.rust("pow", digest, str(length))
                programs["sha2"] = bench.rust("sha2")
                programs["clock"] = bench.rust("clock")
            found = bench.turns(programs)
            named = environments.PACKAGES[package][0]
            bench.add("pow", what, "hashes/s", found["ours"].rate, named, found["published"].rate, "≥ 80 ×")
            if bench.smoke:
                return
            kernel = found["kernel"].rate
            bench.add(
                "pow",
                f"{what}, Rust",
                "hashes/s",
                kernel,
                "sha2's block function",
                found["sha2"].rate,
                "≥ 1.8 ×",
            )
            cycles = Sample(
                [clock / ours for clock, ours in zip(found["clock"].rate.values, kernel.values, strict=True)]
            )
            bound = "≤ 85 cycles" if environments.machine()["sha_extensions"] else ""
            bench.add(
                "pow", f"{what}, Rust", "cycles/hash", cycles, "64, what the unit can do at best", None, bound
            )
    found = bench.turns(
        {"two": bench.rust("pow", "today", "32", "2"), "one": bench.rust("pow", "today", "32", "1")}
    )
    bench.add("pow", "two threads", "hashes/s", found["two"].rate, "one thread", found["one"].rate, "≥ 1.8 ×")


@contextmanager
def passport_of(bench: Bench) -> Iterator[tuple[dict[str, str], str, Path]]:
    """A sandbox, a passport that it has issued, and a file with its keys."""
    with environments.sandbox(bench.ours, "--difficulty", "1") as info:
        base = info["lime_api_base"]

        def ask(path: str, token: dict[str, str], body: str | None) -> dict[str, Any]:
            headers = {"Content-Type": "application/json", **token}
            request = urllib.request.Request(base + path, body.encode() if body else None, headers)
            with urllib.request.urlopen(request) as answer:
                found: dict[str, Any] = json.loads(answer.read())
            return found

        story = (
            "import asyncio, sys\n"
            "from lime_sites import LimeSite\n"
            "from lime_agents import LimeAgent\n"
            "async def main():\n"
            "    base, site_token, agent_token = sys.argv[1:]\n"
            "    async with LimeSite(site_token=site_token, base_url=base) as site:\n"
            "        async with LimeAgent(agent_token=agent_token, base_url=base) as agent:\n"
            "            request = await site.create_login_request()\n"
            "            await agent.login(request.request_id)\n"
            "            print(await site.wait_for_login(request.request_id))\n"
            "asyncio.run(main())\n"
        )
        command = [str(bench.ours.python), "-c", story, base, info["site_token"], info["agent_token"]]
        jwt = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        keys = ask("/core/.well-known/jwks.json", {}, None)
        file = environments.BUILD / "keys.json"
        file.write_text(json.dumps(keys.get("data", keys)))
        yield info, jwt, file


def verify_passport(bench: Bench) -> None:
    """Passports verified a second, the key at hand. One lives for two minutes, which is long enough."""
    with passport_of(bench) as (info, jwt, keys):
        base, token = info["lime_api_base"], info["site_token"]
        programs: dict[str, Any] = {
            "ours": bench.python("ours", "passport.py", base, token, jwt),
            "PyJWT 2.15": bench.python("sites", "passport.py", base, token, jwt),
        }
        if not bench.smoke:
            programs |= {
                "PyJWT 2.10": bench.python("sites-jwt210", "passport.py", base, token, jwt),
                "C": bench.native(base, token, "passport", jwt),
                "Rust": bench.rust("passport", jwt, str(keys), base),
                "Node": bench.node(base, token, "ours", "passport", jwt, str(keys)),
                "jose": bench.node(base, token, "jose", "passport", jwt, str(keys)),
                "node:crypto": bench.node(base, token, "crypto", "passport", jwt, str(keys)),
                "openssl": OpenSsl(),
            }
        found = bench.turns(programs)
    unit, ours = "calls/s", found["ours"].rate
    today = "lime-sites-sdk 1.0.1, PyJWT 2.15.1"
    bench.add("verify_passport", "Python, awaited", unit, ours, today, found["PyJWT 2.15"].rate, "≥ 8 ×")
    if bench.smoke:
        return
    before, openssl = "lime-sites-sdk 1.0.1, PyJWT 2.10.1", found["openssl"].rate
    bench.add("verify_passport", "Python, awaited", unit, ours, before, found["PyJWT 2.10"].rate, "≥ 3 ×")
    speed = "openssl speed rsa2048"
    bench.add("verify_passport", "Python, awaited", unit, ours, speed, openssl, "≥ 0.75 ×")
    bench.add("verify_passport", "Rust", unit, found["Rust"].rate, speed, openssl, "")
    bench.add("verify_passport", "C", unit, found["C"].rate, speed, openssl, "≥ 0.9 ×")
    bench.add("verify_passport", "Node, awaited", unit, found["Node"].rate, speed, openssl, "≥ 0.9 ×")
    bench.add(
        "verify_passport", "Node, awaited", unit, found["Node"].rate, "jose", found["jose"].rate, "≥ 5 ×"
    )
    bench.add(
        "verify_passport",
        "Node, awaited",
        unit,
        found["Node"].rate,
        "node:crypto",
        found["node:crypto"].rate,
        "",
    )


def verify_webhook(bench: Bench) -> None:
    """Webhooks verified and parsed a second, from Python."""
    for length, what, bound in ((300, "300 B", "≥ 3 ×"), (1 << 20, "1 MiB", "≥ 1.25 ×")):
        programs = {
            "ours": bench.python("ours", "webhook.py", str(length)),
            "published": bench.python("sesame", "webhook.py", str(length)),
        }
        found = bench.turns(programs)
        theirs = found["published"].rate
        bench.add("verify_webhook", what, "calls/s", found["ours"].rate, "sesame-sdk 0.1.2", theirs, bound)


def create_login_request(bench: Bench) -> None:
    """Requests a second against a server that is faster than its clients."""
    with environments.server(bench.ours) as address:
        base = f"{address}/api/v1"
        for tasks, rate, cpu in ((1, "≥ 10 ×", "≤ 1/10 ×"), (100, "≥ 50 ×", "≤ 1/50 ×")):
            programs: dict[str, Any] = {
                "Python": bench.python("ours", "login_requests.py", base, str(tasks)),
                "published": bench.python("sites", "login_requests.py", base, str(tasks)),
            }
            if not bench.smoke:
                programs |= {
                    "Rust": bench.rust("requests", "core", address, str(tasks)),
                    "reqwest": bench.rust("requests", "reqwest", address, str(tasks)),
                    "C": bench.native(base, "st_bench", "requests", str(tasks)),
                    "Node": bench.node(base, "st_bench", "ours", "requests", str(tasks)),
                    "fetch": bench.node(base, "st_bench", "fetch", "requests", str(tasks)),
                }
                if tasks == 1:
                    programs["Rust, blocking"] = bench.rust("requests", "blocking", address, "1")
            found = bench.turns(programs)
            what = "one at a time" if tasks == 1 else f"{tasks} at a time"
            row, unit, each = "create_login_request", "requests/s", "µs CPU each"
            python, theirs = found["Python"], found["published"]
            bench.add(row, f"Python, {what}", unit, python.rate, "lime-sites-sdk 1.0.1", theirs.rate, rate)
            bench.add(row, f"Python, {what}", each, python.cpu, "lime-sites-sdk 1.0.1", theirs.cpu, cpu)
            if bench.smoke:
                continue
            rust, reqwest, node = found["Rust"], found["reqwest"], found["Node"]
            bench.add(row, f"Rust, {what}", unit, rust.rate, "bare reqwest", reqwest.rate, "≥ 0.9 ×")
            peer = found.get("Rust, blocking", rust)
            name = "Rust, blocking" if tasks == 1 else "Rust"
            bench.add(row, f"C, {what}", unit, found["C"].rate, name, peer.rate, "≥ 0.95 ×")
            bench.add(row, f"C, {what}", unit, found["C"].rate, "bare reqwest", reqwest.rate, "≥ 0.9 ×")
            bench.add(row, f"Node, {what}", unit, node.rate, "Node's fetch", found["fetch"].rate, "≥ 3 ×")


def event_stream(bench: Bench) -> None:
    """Events of 700 bytes a second, from the server to the handler."""
    with environments.server(bench.ours) as address:
        base = f"{address}/api/v1"
        names = ("published", "Python") if bench.smoke else ("published", "Python", "C")
        count = 10_000 if bench.smoke else 50_000
        batches: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        # Each by itself: a program whose stream is open has something to do.
        for number in range(bench.rounds):
            for name in names:
                if name == "C":
                    program = bench.native(base, f"st_bench_c{number}", "events", address)
                else:
                    program = bench.python("ours" if name == "Python" else "sites", "events.py", address)
                program.batch(count // 10)
                batches[name].append(program.batch(count))
                program.close()
    found = {name: Runs(runs) for name, runs in batches.items()}
    theirs, named = found["published"], "lime-sites-sdk 1.0.1"
    bench.add("events", "Python handler", "events/s", found["Python"].rate, named, theirs.rate, "≥ 6 ×")
    if bench.smoke:
        return
    bench.add("events", "Python handler", "µs CPU each", found["Python"].cpu, named, theirs.cpu, "")
    bench.add("events", "C handler", "events/s", found["C"].rate, named, theirs.rate, "≥ 12 ×")
    bench.add("events", "C handler", "µs CPU each", found["C"].cpu, named, theirs.cpu, "")
    parser = bench.turns({"parser": bench.rust("parser")})["parser"].rate
    bench.add("events", "parser alone", "events/s", parser, "", None, "≥ 5000000 events/s")


def event_latency(bench: Bench) -> None:
    """From the server's write to the Python handler."""
    with environments.server(bench.ours) as address:
        for rate, count in ((10, 30), (1_000, 3_000), (5_000, 10_000)):
            batches: dict[str, list[dict[str, Any]]] = {"ours": [], "sites": []}
            for _ in range(min(bench.rounds, 3)):
                for name, runs in batches.items():
                    program = bench.python(name, "latency.py", address, str(rate))
                    program.batch(max(count // 10, 1))
                    runs.append(program.batch(count))
                    program.close()
            for name, bound in (("p50", "≤ 300 µs"), ("p99", "≤ 2000 µs")):
                ours, theirs = Runs(batches["ours"]).of(name), Runs(batches["sites"]).of(name)
                what = f"{name} at {rate:,} events/s"
                if rate <= 1_000:
                    bench.add("latency", what, "µs", ours, "", None, bound)
                bench.add("latency", what, "µs", ours, "lime-sites-sdk 1.0.1", theirs, "≤ 1 ×")


def login(bench: Bench) -> None:
    """Whole logins a second at production's difficulty, proof of work and all, against the sandbox."""
    with environments.sandbox(bench.ours, "--difficulty", "15", "--request-ttl", "3600") as info:
        tokens = (info["lime_api_base"], info["site_token"], info["agent_token"])
        for at_once in (1,) if bench.smoke else (1, 50):
            programs = {
                "ours": bench.python("ours", "login.py", *tokens, str(at_once)),
                "published": bench.python("agents", "login.py", *tokens, str(at_once)),
            }
            found = bench.turns(programs, bench.seconds * 4)
            theirs, what = found["published"].rate, f"{at_once} at a time"
            bench.add(
                "login", what, "logins/s", found["ours"].rate, "lime-agents-sdk 0.2.0", theirs, "≥ 20 ×"
            )


def access_token(bench: Bench) -> None:
    """Access tokens that an MCP server verifies a second. One lives for five minutes."""
    domain = "tools.example.com"
    with environments.sandbox(bench.ours, "--platform", "today") as info:
        body = json.dumps({"domain": domain}).encode()
        request = urllib.request.Request(
            f"{info['control_url']}/mcp-tokens", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            token = json.loads(answer.read())["access_token"]
        origin = info["lime_api_base"].removesuffix("/api/v1")
        programs = {
            name: bench.python(name, "access_token.py", origin, domain, token)
            for name in ("ours", "mcp-server")
        }
        found = bench.turns(programs)
    theirs, named = found["mcp-server"].rate, environments.PACKAGES["mcp-server"][0]
    bench.add("verify_access_token", "Python", "calls/s", found["ours"].rate, named, theirs, "≥ 8 ×")


def call_tool(bench: Bench) -> None:
    """Calls of a tool a second, one after the other, on a session that is there."""
    with environments.sandbox(bench.ours, "--platform", "today") as info:
        environment = {
            "LIME_API_BASE": info["lime_api_base"],
            "LIME_AGENT_TOKEN": info["agent_token"],
            "LIME_MCP_ADDRESSES": "tools.example.com=127.0.0.1",
        }
        for form, what in ((), "answers in JSON"), (("--stream",), "answers as events"):
            server = subprocess.Popen(
                [str(bench.ours.python), str(PROGRAMS / "mcp_server.py"), *form],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            pythons = {"ours": bench.ours.python, "published": environments.python_of("agents-today")}
            programs = {
                name: Program([python, PROGRAMS / "call_tool.py", port], environment)
                for name, python in pythons.items()
            }
            found = bench.turns(programs)
            server.kill()
            server.communicate()
            theirs, named = found["published"].rate, environments.PACKAGES["agents-today"][0]
            bench.add("call_tool", what, "calls/s", found["ours"].rate, named, theirs, "≥ 3 ×")


IMPORTS = (
    # What is used of it, the environment of the published package, and its name.
    ("lime_sites.LimeSite", "sites", "lime-sites-sdk 1.0.1"),
    ("lime_sites.LimeSite", "sites-today", "lime-sites-sdk 2.0.6"),
    ("lime_agents.LimeAgent", "agents", "lime-agents-sdk 0.2.0"),
    ("lime_agents.LimeAgent", "agents-today", "lime-agents-sdk 3.0.2"),
    ("sesame_sdk.Sesame", "sesame", "sesame-sdk 0.1.2"),
)
MEMORY = 'print(open("/proc/self/status").read().split("VmRSS:")[1].split()[0])'


def started(python: Path, program: str) -> tuple[float, float]:
    """Milliseconds of a whole process, and the kilobytes that it ends with."""
    begun = time.perf_counter()
    done = subprocess.run(
        [str(python), "-I", "-c", f"{program}\n{MEMORY}"], check=True, capture_output=True, text=True
    )
    return (time.perf_counter() - begun) * 1e3, float(done.stdout)


def installed(python: Path) -> float:
    """Megabytes of an environment."""
    folder = python.parents[1] / "lib"
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def import_cost(bench: Bench) -> None:
    """What importing a client's class costs beyond a bare interpreter: time, memory, and space on the disk."""
    bare = installed(environments.python_of("empty"))
    for used, package, named in IMPORTS:
        module = used.split(".")[0]
        programs = {"bare": "pass", "used": f"import {module}; {used}"}
        times: dict[str, list[float]] = {"ours": [], "theirs": []}
        memory: dict[str, list[float]] = {"ours": [], "theirs": []}
        pythons = {"ours": bench.ours.python, "theirs": environments.python_of(package)}
        for _ in range(bench.rounds * 3):
            for name, python in pythons.items():
                (bare_ms, bare_kb), (ms, kb) = (
                    started(python, programs[which]) for which in ("bare", "used")
                )
                times[name].append(ms - bare_ms)
                memory[name].append((kb - bare_kb) / 1e3)
        bench.add(
            "import", f"{used}: time", "ms", Sample(times["ours"]), named, Sample(times["theirs"]), "≤ 1/15 ×"
        )
        bench.add(
            "import",
            f"{used}: memory",
            "MB",
            Sample(memory["ours"]),
            named,
            Sample(memory["theirs"]),
            "≤ 1/8 ×",
        )
    size = Sample([installed(bench.ours.python) - bare])
    theirs = Sample([installed(environments.python_of("all")) - bare])
    bench.add("import", "all three installed", "MB", size, "the three seed packages", theirs, "≤ 1/3 ×")
    for package in ("sites", "agents", "agents-today", "sesame"):
        theirs = Sample([installed(environments.python_of(package)) - bare])
        bench.add("import", "all three installed", "MB", size, environments.PACKAGES[package][0], theirs, "")


def sizes(bench: Bench) -> None:
    """What is downloaded and linked."""
    assert bench.ours.wheel is not None
    library = Sample([bench.ours.library.stat().st_size / 1e6])
    bench.add("size", "liblime.so, stripped", "MB", library, "", None, "≤ 4.5 MB")
    bench.add("size", "wheel", "MB", Sample([bench.ours.wheel.stat().st_size / 1e6]), "", None, "≤ 3 MB")


def scale(bench: Bench) -> None:
    """What many clients in one Python process cost, and what they do while nothing happens."""
    steps = {"sites": (1, 10, 100, 1_000), "waits": (10, 100, 1_000, 10_000)}
    for what, bound in (("sites", "≤ 64 KiB"), ("waits", "≤ 32 KiB")):
        with environments.server(bench.ours) as address:
            program = bench.python("ours", "scale.py", address, what)
            runs = [program.batch(count) for count in steps[what]]
            program.close()
        first, last = runs[0], runs[-1]
        each = (last["kilobytes"] - first["kilobytes"]) / (steps[what][-1] - steps[what][0])
        bench.add(
            "scale", f"memory of each of {steps[what][-1]:,} {what}", "KiB", Sample([each]), "", None, bound
        )
        threads = Sample([last["threads"]])
        bench.add("scale", f"threads with {steps[what][-1]:,} {what}", "threads", threads,
                  f"with {steps[what][0]}", Sample([first["threads"]]), "≤ 1 ×")  # fmt: skip
        if what == "sites":
            share = Sample([last["cpu_at_rest"] * 100 / (steps[what][-1] / 100)])
            bench.add("scale", "CPU at rest, each 100 sites", "%", share, "", None, "≤ 0.1 %")
        points = list(zip(map(float, steps[what]), runs, strict=True))
        bench.curves += [
            Curve(f"memory, {what}", "MB", [(at, run["kilobytes"] / 1e3) for at, run in points]),
            Curve(f"threads, {what}", "threads", [(at, run["threads"]) for at, run in points]),
            Curve(
                f"CPU at rest, {what}", "% of a core", [(at, run["cpu_at_rest"] * 100) for at, run in points]
            ),
        ]


ROWS: dict[str, Callable[[Bench], None]] = {
    "pow": proof_of_work,
    "verify_passport": verify_passport,
    "verify_webhook": verify_webhook,
    "create_login_request": create_login_request,
    "events": event_stream,
    "latency": event_latency,
    "login": login,
    "access_token": access_token,
    "call_tool": call_tool,
    "import": import_cost,
    "size": sizes,
    "scale": scale,
}
# A tenth of what today's development build reaches would be below these.
SMOKE = ("pow", "verify_passport", "verify_webhook", "create_login_request", "events", "login")
__all__ = ["ROWS", "SMOKE", "Bench", "Curve", "Line"]
