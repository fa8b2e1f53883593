"""What C and C++ programs are built with: headers and libraries under a prefix."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, Sandbox

BUILD = ROOT / "build/packaging"
VERSION = re.search(r'LIME_VERSION "(.*)"', (ROOT / "include/lime.h").read_text())[1]
MAJOR, MINOR, PATCH = map(int, VERSION.split("."))
# What a CMake project may ask for, and what it may not: with 0 as its major version, a minor one may break it.
FOUND = [
    VERSION,
    f"{MAJOR}.{MINOR}",
    f"{MAJOR}.{MINOR}.0...{MAJOR}.{MINOR + 2}",
    f"{MAJOR}.{MINOR}...<{MAJOR}.{MINOR + 1}",
]
NOT_FOUND = [
    f"{MAJOR}.{MINOR}.{PATCH + 1}",
    f"{MAJOR}.{MINOR + 1}",
    f"{MAJOR + 1}",
    f"{MAJOR}.{MINOR + 1}...{MAJOR}.{MINOR + 2}",
    f"0.0...<{VERSION}",
    *([f"0.{MINOR - 1}"] if MAJOR == 0 else []),
]
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


def flags(prefix: Path, *options: str) -> list[str]:
    """What pkg-config says."""
    return subprocess.run(
        ["pkg-config", "--cflags", "--libs", *options, "lime"],
        env={**os.environ, "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig")},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()


def compiled(prefix: Path, name: str, *options: str, task: str = "login", language: str = "c") -> Path:
    program = BUILD / name
    source = str(ROOT / f"examples/{task}/main.{language}")
    compiler = {
        "c": [os.environ.get("CC", "cc")],
        "cpp": [os.environ.get("CXX", "c++"), "-std=c++17", "-pthread"],
    }[language]
    subprocess.run([*compiler, "-o", str(program), source, *flags(prefix, *options)], check=True)
    return program


def needs(program: Path) -> list[str]:
    """The shared libraries that a program or library asks for."""
    dynamic = subprocess.run(
        ["readelf", "-d", str(program)], check=True, capture_output=True, text=True
    ).stdout
    return re.findall(r"NEEDED.*\[(.*)\]", dynamic)


def signs_in(program: Path, sandbox: Sandbox, **environment: str) -> None:
    story = subprocess.run(
        [str(program)],
        env={**os.environ, **sandbox.environment, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (story.returncode, story.stderr, lines(story.stdout)) == (0, "", STEPS)


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_a_program_links_with_pkg_config_and_signs_in(prefix: Path, sandbox: Sandbox, language: str) -> None:
    program = compiled(prefix, f"login-shared-{language}", language=language)
    assert "liblime.so.0" in needs(program)
    signs_in(program, sandbox, LD_LIBRARY_PATH=str(prefix / "lib"))


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_a_program_links_statically_with_pkg_config(prefix: Path, sandbox: Sandbox, language: str) -> None:
    # Where liblime.so is not installed, and elsewhere than where it was.
    elsewhere = BUILD / f"static-{language}"
    shutil.rmtree(elsewhere, ignore_errors=True)
    shutil.copytree(prefix, elsewhere, symlinks=True, ignore=shutil.ignore_patterns("liblime.so*"))
    program = compiled(elsewhere, f"login-static-{language}", "--static", language=language)
    assert not any("lime" in library for library in needs(program))
    signs_in(program, sandbox)


@pytest.fixture(scope="module")
def consumer(prefix: Path) -> tuple[Path, str]:
    """tests/packaging/cmake, built with a prefix that was moved to where a space is in the path."""
    moved, build = BUILD / "moved here/lime", BUILD / "consumer"
    shutil.rmtree(moved.parent, ignore_errors=True)
    shutil.rmtree(build, ignore_errors=True)
    shutil.copytree(prefix, BUILD / "moving", symlinks=True)
    moved.parent.mkdir()
    (BUILD / "moving").rename(moved)
    configured = subprocess.run(
        [
            *("cmake", "-S", str(ROOT / "tests/packaging/cmake"), "-B", str(build), "--no-warn-unused-cli"),
            *(f"-DCMAKE_PREFIX_PATH={moved}", f"-DEXAMPLES={ROOT / 'examples'}"),
            f"-DVERSIONS={';'.join([*FOUND, *NOT_FOUND])}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert configured.returncode == 0, configured.stdout
    assert "warning" not in configured.stdout.lower(), configured.stdout
    subprocess.run(["cmake", "--build", str(build), "--parallel", "2"], check=True)
    return build, configured.stdout


@pytest.mark.parametrize("target", ["lime", "lime_static"])
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_a_cmake_project_uses_it(
    consumer: tuple[Path, str], sandbox: Sandbox, language: str, target: str
) -> None:
    program = consumer[0] / f"login-{language}-{target}"
    wanted = [library for library in needs(program) if "lime" in library]
    assert wanted == (["liblime.so.0"] if target == "lime" else [])
    signs_in(program, sandbox)


def test_cmake_finds_the_versions_that_will_do(consumer: tuple[Path, str]) -> None:
    found = dict(re.findall(r"^-- lime (\S+): (\w+)$", consumer[1], re.MULTILINE))
    assert found == {**dict.fromkeys(FOUND, "1"), **dict.fromkeys(NOT_FOUND, "0")}


def test_cmake_and_pkg_config_name_the_same_system_libraries(
    consumer: tuple[Path, str], prefix: Path
) -> None:
    # A compiler may add them by itself, so that it would not be noticed if they were not there.
    needed = re.search(r"^-- static needs: (.*)$", consumer[1], re.MULTILINE)[1].split(";")
    libraries = [flag for flag in flags(prefix, "--static") if flag.startswith("-l") and flag != "-llime"]
    assert needed == ["Threads::Threads", *libraries]
    assert "-lgcc_s" in libraries


DLOPEN = """
#include <dlfcn.h>
#include <lime.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    void *library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    if (!library) return fprintf(stderr, "%s\\n", dlerror()), 1;
    const char *(*version)(void) = (const char *(*)(void))dlsym(library, "lime_version");
    int32_t (*make)(const lime_site_options *, lime_site **, lime_error **) =
        (int32_t (*)(const lime_site_options *, lime_site **, lime_error **))dlsym(library, "lime_site_new");
    int32_t (*create)(const lime_site *, lime_login_request **, lime_error **) = (int32_t (*)(
        const lime_site *, lime_login_request **, lime_error **))dlsym(library, "lime_site_create_login_request");
    void (*drop)(lime_login_request *) = (void (*)(lime_login_request *))dlsym(library, "lime_login_request_free");
    void (*end)(lime_site *) = (void (*)(lime_site *))dlsym(library, "lime_site_free");
    lime_site *site;
    lime_login_request *request;
    if (strcmp(version(), LIME_VERSION) || make(NULL, &site, NULL) || create(site, &request, NULL)) return 2;
    drop(request);
    end(site);
    return dlclose(library);
}
"""


def test_a_program_opens_it_at_run_time(prefix: Path, sandbox: Sandbox) -> None:
    source, program = BUILD / "open.c", BUILD / "open"
    source.write_text(DLOPEN)
    compiler = os.environ.get("CC", "cc")
    include = ["-I", str(prefix / "include")]
    subprocess.run([compiler, "-o", str(program), *include, str(source), "-ldl"], check=True)
    assert not any("lime" in library for library in needs(program))
    environment = {**os.environ, **sandbox.environment}
    subprocess.run([str(program), str(prefix / "lib/liblime.so.0")], env=environment, check=True, timeout=60)


def test_links_soname_and_what_it_needs(prefix: Path) -> None:
    library = prefix / "lib"
    assert os.readlink(library / "liblime.so") == "liblime.so.0"
    assert os.readlink(library / "liblime.so.0") == f"liblime.so.{VERSION}"
    assert not (library / f"liblime.so.{VERSION}").is_symlink()
    assert set(needs(library / "liblime.so")) <= {
        "libgcc_s.so.1",
        "libc.so.6",
        "libm.so.6",
        "ld-linux-x86-64.so.2",
    }


def test_destdir_is_put_before_the_prefix(prefix: Path) -> None:
    stage = BUILD / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    install = [str(ROOT / "packaging/install.sh"), "/opt/lime", str(ROOT / "target/debug")]
    subprocess.run(install, env={**os.environ, "DESTDIR": str(stage)}, check=True)

    def files(folder: Path) -> set[Path]:
        return {path.relative_to(folder) for path in folder.rglob("*")}

    assert files(stage / "opt/lime") == files(prefix)
    assert {path.relative_to(stage) for path in stage.glob("*/*")} == {Path("opt/lime")}


def sections(library: Path) -> set[str]:
    listed = subprocess.run(["readelf", "-SW", str(library)], capture_output=True, text=True, check=True)
    return set(re.findall(r"\] (\.\w+)", listed.stdout))


def test_only_a_development_build_keeps_what_a_debugger_wants(prefix: Path, tmp_path: Path) -> None:
    built = tmp_path / "release"
    built.mkdir()
    for name in ("liblime.so", "liblime.a"):
        (built / name).symlink_to(ROOT / "target/debug" / name)
    subprocess.run([str(ROOT / "packaging/install.sh"), str(tmp_path / "prefix"), str(built)], check=True)
    kept, stripped = (sections(folder / "lib/liblime.so") for folder in (prefix, tmp_path / "prefix"))
    assert {".symtab", ".debug_line"} <= kept
    assert not {".symtab", ".debug_line"} & stripped
    assert ".dynsym" in stripped


def test_nothing_names_the_place_or_is_left_to_fill_in(prefix: Path) -> None:
    texts = [*prefix.rglob("*.pc"), *prefix.rglob("*.cmake"), *prefix.rglob("*.h*")]
    assert {path.name for path in texts} == {
        "lime.pc",
        "lime-config.cmake",
        "lime-config-version.cmake",
        "lime.h",
        "lime.hpp",
    }
    for path in texts:
        text = path.read_text()
        assert str(ROOT) not in text
        assert not re.search(r"@[A-Z_]+@", text), path


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
