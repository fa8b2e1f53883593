"""What Python programs are installed from: both wheels in a clean environment, and the sources."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
import tomllib
from conftest import ROOT, Sandbox

sys.path.insert(0, str(ROOT / "tools"))
import wheel as build_wheels

BUILD = ROOT / "build/packaging"
STEPS = [
    "request created",
    "challenge solved and approved",
    "event received",
    "passport verified",
    "profile read",
]


@pytest.fixture(scope="module")
def wheels() -> list[Path]:
    """As `make wheel` builds them, without link-time optimisation."""
    sandbox = Path(os.environ["LIME_SANDBOX_BINARY"])
    before = sandbox.stat().st_ctime_ns
    built = build_wheels.build(BUILD / "dist", "dev")
    assert sandbox.stat().st_ctime_ns == before, "it was taken away from tests that run beside these"
    return built


@pytest.fixture(scope="module")
def installed(wheels: list[Path]) -> Path:
    """The interpreter of an environment that has both wheels and nothing else."""
    folder = BUILD / "clean"
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-index", *map(str, wheels)], check=True)
    return folder / "bin/python"


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def lines(output: str) -> list[str]:
    return [line.split("\t")[0] for line in output.splitlines()]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    # The clean environment must find its own sandbox.
    inherited = {name: value for name, value in os.environ.items() if name != "LIME_SANDBOX_BINARY"}
    return subprocess.run(
        [str(part) for part in command],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=280,
    )


# ── what is inside ────────────────────────────────────────────────────────────────────────────────


def test_the_wheel_is_abi3_and_holds_what_it_should(wheels: list[Path]) -> None:
    sdk, _ = wheels
    assert sdk.name.startswith("lime_sdk-")
    assert "-cp310-abi3-manylinux_" in sdk.name
    with zipfile.ZipFile(sdk) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    for name in ("lime_sdk/_native.abi3.so", "lime_sdk/_native.pyi", "lime_sdk/testing/plugin.py"):
        assert name in names
    for package in ("lime_sdk", "lime_sites", "lime_agents", "lime_mcp_server", "sesame_sdk"):
        assert {f"{package}/py.typed", f"{package}/__init__.py"} <= set(names)
    assert not any(name.split("/")[0] == "lime" for name in names)


def test_nothing_is_needed_at_run_time_and_extras_bring_the_rest(wheels: list[Path]) -> None:
    sdk, sandbox = map(metadata, wheels)
    assert sdk["Requires-Python"] == sandbox["Requires-Python"] == ">=3.10"
    required = sdk.get_all("Requires-Dist", [])
    extras = {
        (re.split(r"[^\w-]", text)[0], match[1])
        for text in required
        if (match := re.search(r"extra == '(\w+)'", text))
    }
    assert len(extras) == len(required), "nothing is needed at run time"
    assert extras == {
        *(("httpx", "httpx"), ("pydantic", "pydantic")),
        *(("lime-sandbox", "testing"), ("pytest", "testing")),
    }
    assert sandbox.get_all("Requires-Dist") is None
    assert sdk["Version"] == sandbox["Version"]


@pytest.mark.parametrize("which", [0, 1], ids=["lime-sdk", "lime-sandbox"])
def test_licence_and_bill_of_materials_are_inside(wheels: list[Path], which: int) -> None:
    with zipfile.ZipFile(wheels[which]) as archive:
        names = archive.namelist()
        (licence,) = (name for name in names if name.endswith(".dist-info/licenses/LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
        (bill,) = (name for name in names if ".dist-info/sboms/" in name)
        content = archive.read(bill)
    assert str(ROOT).encode() not in content, "where it was built is nobody's business"
    found = json.loads(content)
    assert found["bomFormat"] == "CycloneDX"
    locked = {
        (package["name"], package["version"])
        for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    }
    components = {(component["name"], component["version"]) for component in found["components"]}
    assert components <= locked
    names_of = {name for name, _ in components}
    inside, outside = ("reqwest", "axum") if which == 0 else ("axum", "reqwest")
    assert {inside, "tokio", "aws-lc-sys"} <= names_of
    assert not {outside, "proptest"} & names_of, "what is only tested with is not in it"


@pytest.mark.parametrize("which", [0, 1], ids=["lime-sdk", "lime-sandbox"])
def test_the_tag_names_no_older_glibc_than_the_code_needs(
    wheels: list[Path], which: int, tmp_path: Path
) -> None:
    found = re.search(r"manylinux_(\d+)_(\d+)_", wheels[which].name)
    assert found is not None
    with zipfile.ZipFile(wheels[which]) as archive:
        name = next(name for name in archive.namelist() if name.endswith((".so", "scripts/lime-sandbox")))
        program = archive.extract(name, tmp_path)
    listed = subprocess.run(["readelf", "-V", program], check=True, capture_output=True, text=True).stdout
    needed = {(int(major), int(minor)) for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", listed)}
    assert (2, 2) < max(needed) <= (int(found[1]), int(found[2]))


# ── in a clean environment ────────────────────────────────────────────────────────────────────────


def test_the_wheel_works_in_a_clean_environment(installed: Path, sandbox: Sandbox) -> None:
    story = run(installed, "-I", ROOT / "examples/login/main.py", **sandbox.environment)
    assert (story.returncode, story.stderr, lines(story.stdout)) == (0, "", STEPS)


def test_the_wheels_gate_works_in_a_clean_environment(installed: Path, sandbox: Sandbox) -> None:
    sandbox.auto_approve("payments.*")
    story = run(installed, "-I", ROOT / "examples/approval_gate/main.py", **sandbox.environment)
    assert (story.returncode, story.stderr) == (0, "")
    assert lines(story.stdout) == ["approval granted", "operation run"]


def test_the_sandbox_wheel_is_a_command_and_a_module(installed: Path) -> None:
    for command in ([installed, "-m", "lime_sandbox"], [installed.parent / "lime-sandbox"]):
        assert run(*command, "--version").stdout.startswith("lime-sandbox 0.")
        assert run(*command, "--no-such-option").returncode == 2
        # It is the sandbox itself that runs: signals reach it, and its exit code is the program's.
        running = subprocess.Popen(
            [*map(str, command), "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert running.stdout is not None
        with running.stdout:
            assert json.loads(running.stdout.readline())["pid"] == running.pid
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 0


def test_lime_sdk_testing_finds_the_sandbox_wheel(installed: Path, tmp_path: Path) -> None:
    program = (
        "from lime_sdk.testing import LimeSandbox, find_binary\n"
        "with LimeSandbox() as sandbox, sandbox.sesame() as client, sandbox.auto_approve():\n"
        "    assert client.approvals.trigger('a', 'b').wait(timeout=30).approved\n"
        "print(find_binary())"
    )
    # Nothing on PATH: it is found where the wheel has put it.
    found = run(installed, "-I", "-c", program, PATH=str(tmp_path))
    assert (found.stderr, found.stdout.strip()) == ("", str(installed.parent / "lime-sandbox"))


# ── from the sources ──────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def sources() -> list[Path]:
    """Both source distributions, unpacked; what has not changed is not written, so cargo need not build it."""
    folders = []
    for packed in build_wheels.sources(BUILD / "dist"):
        folder = BUILD / "sources" / packed.name.removesuffix(".tar.gz")
        wanted = {}
        with tarfile.open(packed) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member)
                assert content is not None
                wanted[folder.parent / member.name] = content.read()
        for path in folder.rglob("*"):
            if path.is_file() and path not in wanted:
                path.unlink()
        for path, data in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
        folders.append(folder)
    return folders


PIP = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"]


def test_the_sources_build_where_rust_is(sources: list[Path], tmp_path: Path) -> None:
    for folder in sources:
        built = run(
            *(*PIP, "--wheel-dir", tmp_path, folder),
            MATURIN_PEP517_ARGS="--profile dev --offline",
            PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # maturin
            # Dependencies have been built for the wheels: with the same settings they are not built again.
            CARGO_TARGET_DIR=str(ROOT / "target"),
            PYO3_BUILD_EXTENSION_MODULE="1",
            PYO3_NO_PYTHON="1",
        )
        assert built.returncode == 0, built.stdout + built.stderr
    folder = tmp_path / "clean"
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    run(python, "-m", "pip", "install", "--no-index", *tmp_path.glob("*.whl")).check_returncode()
    program = (
        "import lime_sdk.testing\nlime_sdk.testing.LimeSandbox().close()\nprint(lime_sdk.solve_pow('c', 0))"
    )
    found = run(python, "-I", "-W", "error", "-c", program)
    assert (found.stderr, found.stdout) == ("", "0\n")


def test_the_sources_say_what_is_missing_where_rust_is_not(sources: list[Path], tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for folder in sources:
        for missing, there in (("cargo", ["cc"]), ("cargo and cc", []), ("cc", ["cargo"])):
            for name in ("cargo", "cc"):
                (tools / name).unlink(missing_ok=True)
            for name in there:
                found = shutil.which(name)
                assert found is not None
                (tools / name).symlink_to(found)
            refused = run(*PIP, "--wheel-dir", tmp_path, folder, PATH=str(tools), CC="")
            assert refused.returncode != 0
            (said,) = [line for line in refused.stderr.splitlines() if "https://rustup.rs" in line]
            assert f"to build one {missing} " in said
            assert "Traceback" not in refused.stderr
    assert not list(tmp_path.glob("*.whl"))


# ── beside the C library ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["local", "global"])
def test_the_wheel_and_two_copies_of_the_c_library_work_in_one_process(
    mode: str, installed: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    copies = [tmp_path / name / "liblime.so.0" for name in ("one", "other")]
    for copy in copies:
        copy.parent.mkdir()
        shutil.copy(ROOT / "target/debug/liblime.so", copy)
    program = ROOT / "tests/packaging/one_process.py"
    done = run(installed, program, mode, *copies, **sandbox.environment)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "3 artefacts signed in\n")
