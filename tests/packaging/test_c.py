"""What C programs are built with: header and libraries under a prefix."""

from __future__ import annotations

import os
import shutil
import subprocess
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
def prefix() -> Path:
    """As `make install` lays it out, without link-time optimisation."""
    folder = BUILD / "prefix"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([str(ROOT / "packaging/install.sh"), str(folder), str(ROOT / "target/debug")], check=True)
    return folder


def lines(output: str) -> list[str]:
    return [line.split("\t")[0] for line in output.splitlines()]


def compiled(prefix: Path, name: str, *pkg_config: str, task: str = "login") -> Path:
    program = BUILD / name
    environment = {**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")}
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", *pkg_config, "lime"],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    source = str(ROOT / f"examples/{task}/main.c")
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


@pytest.mark.parametrize(
    ("task", "arguments", "steps", "status"),
    [
        ("login", [], STEPS, 0),
        ("approval_gate", ["payments.refund"], ["approval granted", "operation run"], 0),
        ("approval_gate", ["db.delete"], ["approval denied"], 3),
    ],
)
def test_valgrind_finds_no_error_and_no_definite_leak(
    prefix: Path, sandbox: Sandbox, task: str, arguments: list[str], steps: list[str], status: int
) -> None:
    for action, decision in (("payments.*", "approved"), ("db.*", "denied")):
        sandbox.control("POST", "/rules", {"action": action, "decision": decision})
    program = compiled(prefix, f"{task}-valgrind", task=task)
    environment = {**os.environ, **sandbox.environment, "LD_LIBRARY_PATH": str(prefix / "lib")}
    checks = ["--leak-check=full", "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]
    story = subprocess.run(
        ["valgrind", "--quiet", "--error-exitcode=99", *checks, str(program), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert (story.returncode, story.stderr, lines(story.stdout)) == (status, "", steps)


def test_the_examples_are_short_enough_to_read() -> None:
    for task in ("login", "approval_gate"):
        assert len((ROOT / f"examples/{task}/main.c").read_text().splitlines()) <= 60


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
