"""Builds and runs the C++ tests of lime.hpp: vectors, boundary, story, units, examples.

    python3 tests/cpp/run.py --target-dir target/debug [--only PREFIX]

Needs liblime.so and lime-sandbox in the target folder. Writes to build/cpp and build/parity. The programs are
built by gcc and clang, as C++17 and as C++20, each by another pair; how the header alone compiles is among the
C tests. With --sanitizer (see tools/sanitize.py) they run under that one.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "c"))

import run as c  # noqa: E402
from tables import Vectors  # noqa: E402

ROOT = HERE.parents[1]
BUILD = ROOT / "build/cpp"


def compiler(name: str) -> str:
    """One that is not there is an error, and not left out: nobody would ever notice."""
    found = c.compiler(name)
    if found is None:
        raise OSError(f"there is no {name}: tools/setup.sh installs it")
    return found


def compiled(
    tests: c.Tests, name: str, source: Path, cxx: str = "g++", standard: str = "c++17", *flags: str
) -> Path:
    if tests.sanitizer:
        cxx = "g++"  # clang's asks for functions that only its own runtime has
    program = BUILD / name
    unit = program.with_suffix(".o")
    command = [compiler(cxx), f"-std={standard}", "-g", *c.WARNINGS, *c.CPP_WARNINGS, *flags, *tests.flags]
    include = [f"-I{ROOT / 'include'}", f"-I{BUILD}"]
    # In two steps: the linker must not add the compiler's own runtime of a sanitizer.
    subprocess.run([*command, *include, "-c", str(source), "-o", str(unit)], check=True)
    link = [f"-L{tests.library}", f"-Wl,-rpath,{tests.library}", "-llime", "-pthread"]
    subprocess.run([compiler(cxx), str(unit), "-o", str(program), *tests.link, *link], check=True)
    return program


def vectors(tests: c.Tests) -> None:
    shared = Vectors(ROOT / "tests/vectors")
    (BUILD / "vectors_table.h").write_text(shared.tables())
    tables = ("-Wno-overlength-strings", "-Wno-missing-field-initializers", "-Wno-missing-braces")
    program = compiled(tests, "vectors", HERE / "vectors.cpp", "clang++", "c++17", *tables)
    seen = tests.run("vectors", [str(program)], expected=shared.ids, vectors=shared)
    parity = ROOT / "build/parity/cpp.txt"
    parity.parent.mkdir(parents=True, exist_ok=True)
    parity.write_text("".join(f"{test_id}\n" for test_id in seen))


def told(tests: c.Tests, name: str, places: dict, cxx: str, standard: str, **environment: str) -> None:
    """A program that is driven as it says, against a sandbox of its own."""
    program = compiled(tests, name, HERE / f"{name}.cpp", cxx, standard)
    with c.Sandbox(tests.sandbox) as sandbox:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": 8})
        c.story(tests, name, program, sandbox, places, **environment)


def boundary(tests: c.Tests) -> None:
    told(tests, "boundary", PLACES, "g++", "c++17")


def host(tests: c.Tests) -> None:
    told(tests, "host", PLACES, "clang++", "c++20")


def story(tests: c.Tests) -> None:
    with c.Receiver() as receiver:
        places = {
            **c.BROKER,
            **c.PERSON,
            "auth": all_is_well,
            "another-agent": another_agent,
            "before-expiry": c.request_expires,
            "before-second-login": c.keys_rotate,
            "clear": lambda sandbox: sandbox.control("DELETE", "/received"),
            "first-login": c.first_login_goes_wrong,
            "issuer": lambda sandbox: sandbox.control("PATCH", "/settings", {"issuer": True}),
            "key-fetches": lambda sandbox: len(sandbox.control("GET", "/received?route=jwks")["received"]),
            "no-issuer": lambda sandbox: sandbox.control("PATCH", "/settings", {"issuer": False}),
            "token": c.issued,
            "webhook": lambda _: receiver.next(),
        }
        told(tests, "story", places, "g++", "c++20", CALLBACK_URL=receiver.url)


def mcp(tests: c.Tests) -> None:
    program = compiled(tests, "mcp", HERE / "mcp.cpp", "clang++", "c++17")
    with c.Sandbox(tests.sandbox) as sandbox, c.McpServer(environment=sandbox.environment) as server:
        tests.run("mcp", [str(program)], environment={**sandbox.environment, **c.addressed(server)})


def tls(tests: c.Tests) -> None:
    program = compiled(tests, "tls", HERE / "tls.cpp", "g++", "c++17")
    with c.TlsServer() as server:
        tests.run("tls", [str(program)], environment=server.environment)


def another_agent(sandbox: c.Sandbox) -> str:
    agent = {
        "display_name": "Ada",
        "avatar_url": "https://a.b/ada.png",
        "description": "Counts",
        "owner_kyc_level": 2,
        "agent_reputation": -7,
    }
    return sandbox.control("POST", "/agents", agent)["agent_token"]


def all_is_well(sandbox: c.Sandbox) -> None:
    sandbox.control("PATCH", "/settings", {"auth_unavailable": False, "platform": "both"})
    c.agent_is("activate")(sandbox)
    c.agent_is("resume-user")(sandbox)


def units(tests: c.Tests) -> None:
    """Two units that include the header, twice, are one program, also as two standards by two compilers."""
    unit = "#include <lime.hpp>\n#include <lime.hpp>\n"
    (BUILD / "one.cpp").write_text(
        unit
        + """
lime::Error other(std::int32_t status);
lime::Site make_site(const lime::SiteOptions &options);

int main() {
    lime::SiteOptions options;
    options.site_token = "st_x";
    const lime::Site site = make_site(options);
    try {
        other(LIME_ERROR_APPROVAL_DENIED).raise();
    } catch (const lime::ApprovalDeniedError &error) {
        return error.what() == std::string("why") && site.state() == lime::StreamState::idle ? 0 : 1;
    }
}
"""
    )
    (BUILD / "two.cpp").write_text(
        unit
        + """
lime::Error other(std::int32_t status) { return lime::Error(status, "why"); }
lime::Site make_site(const lime::SiteOptions &options) { return lime::Site(options); }
"""
    )
    include = f"-I{ROOT / 'include'}"
    link = [f"-L{tests.library}", f"-Wl,-rpath,{tests.library}", "-llime", "-pthread"]
    for cxx in ("g++", "clang++"):
        for name, standard in (("one", "c++17"), ("two", "c++20")):
            flags = [f"-std={standard}", "-fvisibility=hidden", *c.WARNINGS, *c.CPP_WARNINGS, include]
            output = ["-c", str(BUILD / f"{name}.cpp"), "-o", str(BUILD / f"{name}-{cxx}.o")]
            subprocess.run([compiler(cxx), *flags, *output], check=True)
    for one, two in (("g++", "g++"), ("clang++", "clang++"), ("g++", "clang++")):
        program = str(BUILD / f"units-{one}-{two}")
        objects = [str(BUILD / f"one-{one}.o"), str(BUILD / f"two-{two}.o")]
        subprocess.run([compiler(one), *objects, "-o", program, *link], check=True)
        tests.step(f"units:{one}-{two}", [program])


def manual(tests: c.Tests) -> None:
    """What the header's manual shows are programs, which compile and say what is wrong."""
    text = (ROOT / "include/lime.hpp").read_text().split(" */")[0]
    lines = [line.removeprefix(" *")[1:] for line in text.splitlines()]
    programs = re.findall(r"^  #include.*?^  }$", "\n".join(lines), re.MULTILINE | re.DOTALL)
    for number, program in enumerate(programs):
        source = BUILD / f"manual_{number}.cpp"
        source.write_text(program + "\n")
        compiled(tests, f"manual_{number}", source)
        tests.result(f"manual:program-{number}")
    tests.result("manual:programs", None if len(programs) == 2 else f"there are {len(programs)}")


def examples(tests: c.Tests) -> None:
    """The programs that people read, with the arguments and the steps that those in C have."""
    programs = {
        task: str(compiled(tests, f"example_{task}", ROOT / f"examples/{task}/main.cpp", cxx, standard))
        for task, cxx, standard in (
            ("login", "g++", "c++17"),
            ("approval_gate", "clang++", "c++20"),
            ("event_stream", "g++", "c++20"),
            ("webhook_receiver", "clang++", "c++17"),
            ("mcp_tool", "g++", "c++17"),
        )
    }
    c.run_examples(tests, programs)


def rate_limit(sandbox: c.Sandbox) -> None:
    failure = {
        "ok": False,
        "error": {"code": "RATE_LIMIT_EXCEEDED", "message": "Slow down", "detail": {"limit": 5}},
    }
    rule = {"route": "create_request", "status": 429, "headers": {"retry-after": "7"}, "body": failure}
    sandbox.control("POST", "/faults", rule)


def received(sandbox: c.Sandbox) -> str:
    requests = sandbox.control("GET", "/received")["received"]
    return str(sum(request["route"] != "events" for request in requests))


def expire(sandbox: c.Sandbox, request_id: str) -> None:
    sandbox.control("POST", f"/login-requests/{request_id}/expire")


def difficulty(bits: int) -> Callable[[c.Sandbox], None]:
    def change(sandbox: c.Sandbox) -> None:
        sandbox.control("PATCH", "/settings", {"pow_difficulty": bits})
        sandbox.control("DELETE", "/received")

    return change


def challenged(sandbox: c.Sandbox) -> None:
    sandbox.control("GET", "/received?route=challenge&min=1&wait_ms=30000")


PLACES = {
    "challenged": challenged,
    "easy": difficulty(8),
    "expire": expire,
    "hard": difficulty(60),
    "rate-limit": rate_limit,
    "received": received,
}

GROUPS = (units, manual, vectors, boundary, host, story, mcp, tls, examples)
# What a sanitizer is for: the first looks at memory, the second at threads.
SANITIZED = {
    "address": (vectors, boundary, host, story, mcp, tls, examples),
    "thread": (boundary, host, story),
}


def main() -> int:
    global BUILD
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target/debug")
    parser.add_argument("--sandbox", type=Path, help="default: the one in the target folder")
    parser.add_argument("--sanitizer", choices=SANITIZED)
    parser.add_argument(
        "--only", default="", help="a group: " + ", ".join(group.__name__ for group in GROUPS)
    )
    options = parser.parse_args()
    if options.sanitizer:
        BUILD = ROOT / f"build/cpp-{options.sanitizer}"
    target = options.target_dir.resolve()
    sandbox = (options.sandbox or target / "lime-sandbox").resolve()
    tests = c.Tests(target, sandbox, options.only, BUILD, options.sanitizer)
    for group in SANITIZED.get(options.sanitizer, GROUPS):
        if tests.wanted(group.__name__):
            try:
                group(tests)
            except (subprocess.SubprocessError, OSError) as why:
                tests.result(f"{group.__name__}:runs", repr(why))
    print(f"C++: {tests.passed} passed, {tests.failed} failed")
    return 1 if tests.failed else 0


if __name__ == "__main__":
    sys.exit(main())
