"""What is measured: ours as people install it, and the published packages in environments that are thrown away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/bench"
sys.path.insert(0, str(ROOT / "tools"))

import throwaway  # noqa: E402

SITES = "lime-sites-sdk==1.0.1"
PACKAGES = {
    # The newest PyJWT, which checks keys on every call, and the fastest one.
    "sites": (SITES, "PyJWT[crypto]==2.15.1"),
    "sites-jwt210": (SITES, "PyJWT[crypto]==2.10.1"),
    "sites-today": ("lime-sites-sdk==2.0.6", "PyJWT[crypto]==2.15.1"),
    "agents": ("lime-agents-sdk==0.2.0",),
    "agents-today": ("lime-agents-sdk==3.0.2",),
    "mcp-server": ("lime-mcp-server-sdk==1.0.2",),
    "sesame": ("sesame-sdk==0.1.2",),
    "all": (SITES, "lime-agents-sdk==0.2.0", "sesame-sdk==0.1.2"),
    "empty": (),
}
NODE_PACKAGES = {"jose": "6.1.0"}


def python_of(name: str) -> Path:
    """An interpreter that has one of PACKAGES."""
    return throwaway.environment(f"bench-{name}", *PACKAGES[name])


@dataclass(frozen=True)
class Ours:
    """Where the parts of ours are."""

    python: Path
    bench: Path
    server: Path
    sandbox: Path
    native: Path
    """The measurements in C."""
    node: Path
    """The measurements in Node, beside the packages that they need."""
    library: Path
    wheel: Path | None
    """None in a development build, which is not packed."""


def run(*command: str | Path, folder: Path = ROOT) -> None:
    """Run a command; what it says is of interest when it fails."""
    done = subprocess.run([str(part) for part in command], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def compiled(library: Path, profile: str) -> Path:
    """The program in C, linked with a liblime."""
    program = BUILD / f"native-{profile}"
    BUILD.mkdir(parents=True, exist_ok=True)
    source = ROOT / "bench/programs/native.c"
    link = (f"-L{library.parent}", f"-Wl,-rpath,{library.parent}", "-llime", "-lpthread")
    run(
        "cc",
        "-std=c11",
        "-D_GNU_SOURCE",
        "-O2",
        "-Wall",
        "-Wextra",
        f"-I{ROOT / 'include'}",
        "-o",
        program,
        source,
        *link,
    )
    return program


def development() -> Ours:
    """What `make build` and `make node` have left: not as fast, but there."""
    target = ROOT / "target/debug"
    # The tests of the C library make the name that a program looks for.
    folder = BUILD / "lib-dev"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "liblime.so").symlink_to(target / "liblime.so")
    for soname in sonames(target / "liblime.so"):
        (folder / soname).symlink_to(target / "liblime.so")
    return Ours(
        python=ROOT / ".venv/bin/python",
        bench=target / "lime-bench",
        server=target / "lime-bench-server",
        sandbox=target / "lime-sandbox",
        native=compiled(folder / "liblime.so", "dev"),
        node=ROOT / "bench/programs/node.mjs",
        library=target / "liblime.so",
        wheel=None,
    )


def sonames(library: Path) -> list[str]:
    """The name that a program linked with the library will look for."""
    output = subprocess.run(
        ["readelf", "-d", str(library)], check=True, capture_output=True, text=True
    ).stdout
    return [line.split("[")[1].rstrip("]") for line in output.splitlines() if "(SONAME)" in line]


def release() -> Ours:
    """Everything as people install it: wheel, npm packages, liblime.so, optimised at link time."""
    import wheel

    packed = BUILD / "dist"
    packed.mkdir(parents=True, exist_ok=True)
    sdk, _ = wheel.build(packed, "release")
    parts = ("lime-ffi", "lime-node", "lime-sandbox", "lime-bench")
    run(
        "cargo",
        "build",
        "--quiet",
        "--locked",
        "--release",
        *(word for part in parts for word in ("-p", part)),
    )
    prefix = BUILD / "prefix"
    shutil.rmtree(prefix, ignore_errors=True)
    run(ROOT / "packaging/install.sh", prefix, "target/release")
    python = throwaway.environment("bench-ours")
    run(
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--force-reinstall",
        "--no-deps",
        sdk,
    )
    return Ours(
        python=python,
        bench=ROOT / "target/release/lime-bench",
        server=ROOT / "target/release/lime-bench-server",
        sandbox=ROOT / "target/release/lime-sandbox",
        native=compiled(prefix / "lib/liblime.so", "release"),
        node=node_packages(packed),
        library=(prefix / "lib/liblime.so").resolve(),
        wheel=sdk,
    )


def node_packages(packed: Path) -> Path:
    """A folder in which ours, from the tarballs, and what it is compared with are installed."""
    run(ROOT / "tools/setup_node.sh")
    run("node", ROOT / "bindings-node/build.mjs")
    run(sys.executable, ROOT / "tools/npm.py", "--profile", "release", "--out", packed)
    folder = BUILD / "node"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    tarballs = [path for path in packed.glob("*.tgz") if "sandbox" not in path.name]
    others = [f"{name}@{version}" for name, version in NODE_PACKAGES.items()]
    run("npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *tarballs, *others, folder=folder)
    # Node looks for packages where the program is.
    return Path(shutil.copy(ROOT / "bench/programs/node.mjs", folder))


@contextmanager
def server(ours: Ours) -> Iterator[str]:
    """The server that has no rules; gives its address."""
    process = subprocess.Popen([ours.server], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@contextmanager
def sandbox(ours: Ours, *arguments: str) -> Iterator[dict[str, str]]:
    """The platform with its rules; gives its addresses and tokens."""
    command = [str(ours.sandbox), "--port", "0", "--json", "--exit-with-parent", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    cpu = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    flags = Path("/proc/cpuinfo").read_text()

    def said(*command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    return {
        "cpu": cpu[0] if cpu else "unknown",
        "cores": os.cpu_count() or 0,
        "sha_extensions": int(" sha_ni" in flags or " sha2" in flags),
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        "node": said("node", "--version"),
        "rustc": said("rustc", "--version"),
        "openssl": said("openssl", "version"),
    }
