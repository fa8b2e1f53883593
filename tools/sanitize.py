"""Builds the C library for a sanitizer and runs the C and C++ tests under it.

    python3 tools/sanitize.py [address] [thread]     (make sanitize: both)

`address`: AddressSanitizer and LeakSanitizer for library and tests, UndefinedBehaviorSanitizer for the tests.
`thread`: ThreadSanitizer for library and tests. Rust's standard library is built for it, too: with the one that
Rust brings, it would not see what the library's locks and counters order, and report what is no race. That needs
the library's source: where the component rust-src is not there, it is fetched into build/.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/sanitize"
FLAGS = {
    "address": "-Zsanitizer=address",
    # The standard library's parts that are not Rust are not instrumented.
    "thread": "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
}
SOURCE = "https://static.rust-lang.org/dist/rust-src-{version}.tar.xz"


def said_by(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def version() -> dict[str, str]:
    """Release and host of the compiler."""
    return dict(re.findall(r"^(\w[\w -]*): (.*)$", said_by("rustc", "-vV"), re.MULTILINE))


def standard_library() -> Path:
    """The source of Rust's standard library, the compiler's own version."""
    there = Path(said_by("rustc", "--print", "sysroot").strip()) / "lib/rustlib/src/rust/library"
    if there.is_dir():
        return there
    release = version()["release"]
    name = f"rust-src-{release}"
    folder = BUILD / name / "rust-src/lib/rustlib/src/rust/library"
    if folder.is_dir():
        return folder
    address = SOURCE.format(version=release)
    print(f"fetching {address}", flush=True)
    try:
        with urllib.request.urlopen(address, timeout=300) as answer:
            packed = answer.read()
        with urllib.request.urlopen(f"{address}.sha256", timeout=60) as answer:
            digest = answer.read().decode().split()[0]
    except OSError as error:
        sys.exit(f"{address} is not to be had ({error}): `rustup component add rust-src` does as well")
    if hashlib.sha256(packed).hexdigest() != digest:
        sys.exit(f"{address} is not what its checksum says")
    archive = BUILD / f"{name}.tar.xz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(packed)
    subprocess.run(["tar", "-xf", archive, "-C", BUILD], check=True)
    archive.unlink()
    if (BUILD / name / "git-commit-hash").read_text().strip() != version()["commit-hash"]:
        sys.exit(f"{address} is not the source of this compiler")
    return folder


def build(sanitizer: str) -> Path:
    """Build liblime.so with what panics on purpose in it; answers the folder."""
    host = version()["host"]
    target = BUILD / sanitizer
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": FLAGS[sanitizer]}
    command = ["cargo", "build", "--quiet", "--locked", "-p", "lime-ffi", "--lib", "--features", "test-panic"]
    command += ["--target", host, "--target-dir", str(target)]
    if sanitizer == "thread":
        command.append("-Zbuild-std")
        # Where cargo looks for the source; a toolchain may be somebody else's to write to.
        environment["__CARGO_TESTS_ONLY_SRC_ROOT"] = str(standard_library())
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    return target / host / "debug"


def main() -> None:
    wanted = sys.argv[1:] or list(FLAGS)
    if not set(wanted) <= FLAGS.keys():
        sys.exit(f"usage: {sys.argv[0]} [{'] ['.join(FLAGS)}]")
    failed = False
    for sanitizer in wanted:
        library = build(sanitizer)
        for runner in ("tests/c/run.py", "tests/cpp/run.py"):
            command = [sys.executable, runner, "--sanitizer", sanitizer, "--target-dir", str(library)]
            command += ["--sandbox", "target/debug/lime-sandbox"]
            failed |= subprocess.run(command, cwd=ROOT).returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
