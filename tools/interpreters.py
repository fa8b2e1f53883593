"""Runs tests/python on every CPython of the machine, from the wheels in clean environments.

Each interpreter gets an environment under build/interpreters with the wheels and what the tests import, and a
copy of the tests outside of the source tree: what is imported there comes from the wheel or not at all.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build/interpreters"
MINIMUM = (3, 10)
# What the tests are checked and built with, not run with.
NOT_IMPORTED = ("maturin", "mypy", "pyright", "ruff", "gunicorn", "types-gevent", "uvicorn-worker")
COPIED = (
    "README.md",
    "bindings-python/*.md",
    "examples",
    "tests/*.*",
    "tests/python",
    "tests/tls",
    "tests/vectors",
)


def found() -> dict[str, str]:
    """CPythons from 3.10 up by version, as "3.12": the one that runs this, those on PATH, and pyenv's."""
    folders = [Path(entry) for entry in os.get_exec_path()]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [
        *(path for folder in folders for path in sorted(folder.glob("python3.[0-9]*"))),
        *sorted(pyenv.glob("versions/*/bin/python3")),
    ]
    interpreters = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for path in candidates:
        if not re.fullmatch(r"python3(\.\d+)?", path.name) or not os.access(path, os.X_OK):
            continue
        # pyenv's shims are there for versions that are not active, too, and then fail.
        program = (
            "import sys, sysconfig, venv, ensurepip; assert sys.implementation.name == 'cpython'; "
            "assert not sysconfig.get_config_var('Py_GIL_DISABLED'); print('%d.%d' % sys.version_info[:2])"
        )
        answer = subprocess.run([str(path), "-I", "-c", program], capture_output=True, text=True)
        version = answer.stdout.strip()
        if answer.returncode == 0 and tuple(map(int, version.split("."))) >= MINIMUM:
            interpreters.setdefault(version, str(path))
    return dict(sorted(interpreters.items(), key=lambda item: tuple(map(int, item[0].split(".")))))


def requirements() -> list[str]:
    """What the tests import."""
    lines = (ROOT / "tests/requirements.txt").read_text().splitlines()
    return [
        line for line in lines if re.match(r"\w", line) and re.split(r"[^\w-]", line)[0] not in NOT_IMPORTED
    ]


def environment(version: str, interpreter: str, wheels: list[Path]) -> Path:
    """A clean environment of this interpreter with the wheels; its Python."""
    folder = FOLDER / version
    python = folder / "bin/python"
    stamp = folder / "requirements.stamp"
    wanted = "\n".join([interpreter, *requirements()])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([interpreter, "-m", "venv", "--clear", str(folder)], check=True)
        together = subprocess.run([*pip, *requirements()], capture_output=True)
        for requirement in requirements() if together.returncode else ():
            if subprocess.run([*pip, requirement], capture_output=True).returncode != 0:
                # Not every release is there for every Python: then the newest one that is.
                name = requirement.split("==")[0]
                print(f"   Python {version}: another {name} than {requirement}", flush=True)
                subprocess.run([*pip, name], check=True)
        stamp.write_text(wanted)
    subprocess.run([*pip, "--no-index", "--no-deps", "--force-reinstall", *map(str, wheels)], check=True)
    return python


def tests(version: str) -> Path:
    """Where the copy of the tests for a version is."""
    return FOLDER / f"tests-{version}"


def copy(version: str) -> Path:
    """A copy of the tests, and of what they read, where no source package is near."""
    folder = tests(version)
    shutil.rmtree(folder, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__", "node_modules")
    for pattern in COPIED:
        for path in ROOT.glob(pattern):
            target = folder / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                shutil.copytree(path, target, ignore=ignored)
            else:
                shutil.copy2(path, target)
    return folder


def command(python: Path, folder: Path) -> list[str]:
    """Runs the tests of that folder with that Python, having made sure that it has the wheels' packages."""
    program = (
        "import sys, lime_sdk._native, lime_sites, lime_agents, lime_mcp_server, sesame_sdk, lime_sandbox\n"
        "for module in (lime_sdk._native, lime_sites, lime_agents, lime_mcp_server, sesame_sdk, lime_sandbox):\n"
        "    assert module.__file__.startswith(sys.prefix), f'{module.__file__} is not from the wheel'\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([str(python), "-c", program], cwd=folder, env=environment, check=True)
    options = ["-q", "--timeout", "300", "-p", "no:cacheprovider"]
    return [str(python), "-m", "pytest", *options, str(folder / "tests/python")]


def run(version: str, interpreter: str, wheels: list[Path]) -> subprocess.CompletedProcess[str]:
    """Make the environment and the copy of one interpreter, and run the tests there.

    Raises:
        subprocess.CalledProcessError: The environment could not be made.
    """
    python = environment(version, interpreter, wheels)
    folder = copy(version)
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LIME_SANDBOX_BINARY")
    }
    return subprocess.run(
        command(python, folder),
        cwd=folder,
        env=inherited,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
