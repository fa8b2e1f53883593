"""What people install: the wheel in a clean environment, header and libraries under a prefix."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, Sandbox

BUILD = ROOT / "build/packaging"
STEPS = [
    "request created",
    "challenge solved and approved",
    "event received",
    "passport verified",
    "profile read",
]


@pytest.fixture(scope="module")
def wheel() -> Path:
    """As `make wheel` builds it, without link-time optimisation."""
    out = BUILD / "dist"
    shutil.rmtree(out, ignore_errors=True)
    manifest = str(ROOT / "bindings-python/Cargo.toml")
    command = [str(Path(sys.executable).parent / "maturin"), "build", "--quiet", "--locked"]
    subprocess.run([*command, "--profile", "dev", "--manifest-path", manifest, "--out", str(out)], check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    folder = BUILD / "clean"
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True)
    return folder / "bin/python"


@pytest.fixture(scope="module")
def prefix() -> Path:
    """As `make install` lays it out, without link-time optimisation."""
    folder = BUILD / "prefix"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([str(ROOT / "packaging/install.sh"), str(folder), str(ROOT / "target/debug")], check=True)
    return folder


def lines(output: str) -> list[str]:
    return [line.split("\t")[0] for line in output.splitlines()]


def test_the_wheel_is_abi3_and_holds_what_it_should(wheel: Path) -> None:
    assert "-cp310-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    for name in ("lime_sdk/_native.abi3.so", "lime_sdk/_native.pyi", "lime_sdk/py.typed"):
        assert name in names
    for package in ("lime_sites", "lime_agents", "sesame_sdk"):
        assert {f"{package}/py.typed", f"{package}/__init__.py"} <= set(names)
    assert any("LICENSE" in name for name in names)
    assert not any(name.split("/")[0] == "lime" for name in names)
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    assert all("extra ==" in line for line in required), "nothing is needed at run time"


def test_the_wheel_works_in_a_clean_environment(installed: Path, sandbox: Sandbox) -> None:
    story = subprocess.run(
        [str(installed), "-I", str(ROOT / "examples/login/main.py")],
        env={**os.environ, **sandbox.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (story.returncode, story.stderr, lines(story.stdout)) == (0, "", STEPS)


def test_the_wheels_gate_works_in_a_clean_environment(installed: Path, sandbox: Sandbox) -> None:
    sandbox.control("POST", "/rules", {"action": "payments.*", "decision": "approved"})
    story = subprocess.run(
        [str(installed), "-I", str(ROOT / "examples/approval_gate/main.py")],
        env={**os.environ, **sandbox.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (story.returncode, story.stderr) == (0, "")
    assert lines(story.stdout) == ["approval granted", "operation run"]


def compiled(prefix: Path, name: str, *pkg_config: str) -> Path:
    program = BUILD / name
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", *pkg_config, "lime"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    source = str(ROOT / "examples/login/main.c")
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-o", str(program), source, *flags], check=True)
    return program


def test_a_c_program_links_and_signs_in(prefix: Path, sandbox: Sandbox) -> None:
    program = compiled(prefix, "login-shared")
    environment = {**os.environ, **sandbox.environment, "LD_LIBRARY_PATH": str(prefix / "lib")}
    story = subprocess.run([str(program)], env=environment, capture_output=True, text=True, timeout=120)
    assert (story.returncode, story.stderr, lines(story.stdout)) == (0, "", STEPS)


def test_a_c_program_links_statically(prefix: Path, sandbox: Sandbox) -> None:
    source = str(ROOT / "examples/login/main.c")
    program = BUILD / "login-static"
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    flags = subprocess.run(
        ["pkg-config", "--static", "--libs-only-l", "lime"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    others = [flag for flag in flags if flag != "-llime"]
    archive = str(prefix / "lib/liblime.a")
    include = str(prefix / "include")
    subprocess.run(
        [os.environ.get("CC", "cc"), "-I", include, "-o", str(program), source, archive, *others], check=True
    )
    story = subprocess.run(
        [str(program)], env={**os.environ, **sandbox.environment}, capture_output=True, text=True, timeout=120
    )
    assert (story.returncode, story.stderr, lines(story.stdout)) == (0, "", STEPS)


def test_valgrind_finds_no_error_and_no_definite_leak(prefix: Path, sandbox: Sandbox) -> None:
    program = compiled(prefix, "login-valgrind")
    environment = {**os.environ, **sandbox.environment, "LD_LIBRARY_PATH": str(prefix / "lib")}
    checks = ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
    story = subprocess.run(
        ["valgrind", "--quiet", "--error-exitcode=99", *checks, str(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert (story.returncode, story.stderr, lines(story.stdout)) == (0, "", STEPS)


def test_the_example_is_short_enough_to_read() -> None:
    assert len((ROOT / "examples/login/main.c").read_text().splitlines()) <= 60


def test_the_installed_libraries_export_lime_and_nothing_else(prefix: Path) -> None:
    for library, options in ((prefix / "lib/liblime.so", ["-D"]), (prefix / "lib/liblime.a", ["-g"])):
        listed = subprocess.run(
            ["nm", "--defined-only", *options, str(library)], check=True, capture_output=True, text=True
        ).stdout
        symbols = {line.split()[-1] for line in listed.splitlines() if len(line.split()) == 3}
        assert symbols
        assert all(symbol.startswith("lime_") for symbol in symbols), library
    dynamic = subprocess.run(
        ["readelf", "-d", str(prefix / "lib/liblime.so")], check=True, capture_output=True, text=True
    ).stdout
    assert "[liblime.so.0]" in dynamic
