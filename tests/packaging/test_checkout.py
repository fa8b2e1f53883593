"""The checkout itself: what `make` does there to programs that run from it, and to charts."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import throwaway


def test_a_new_module_does_not_change_the_one_that_programs_run_with(tmp_path: Path) -> None:
    """Writing into a file that is mapped is felt by whoever has mapped it, up to SIGBUS."""
    module = tmp_path / "_native.abi3.so"
    before = b"what a program has mapped\n" * 1000
    module.write_bytes(before)
    # Only what comes after the build is of interest.
    nothing = tmp_path / "bin/cargo"
    nothing.parent.mkdir()
    nothing.symlink_to("/bin/true")
    path = f"{nothing.parent}{os.pathsep}{os.environ['PATH']}"
    with module.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        make = ["make", "--silent", "--old-file=setup", "build", f"NATIVE={module}"]
        subprocess.run(make, cwd=ROOT, env={**os.environ, "PATH": path}, check=True)
        assert mapped[:] == before
    assert module.read_bytes() == (ROOT / "target/debug/lib_native.so").read_bytes()
    assert [found.name for found in sorted(tmp_path.iterdir())] == ["_native.abi3.so", "bin"]


@pytest.mark.parametrize("samples", [1, 500])
def test_a_soak_can_draw_its_chart(samples: int, tmp_path: Path) -> None:
    """With the packages that it names, on this Python, in an environment that may be a new one."""
    table = tmp_path / "soak.tsv"
    lines = ["seconds\tlanguage\tthreads\tdescriptors\tresident_kib\tbegun"]
    for number in range(samples):
        lines += [
            f"{5 * number}\t{name}\t5\t50\t{10_000 + number}\t{number}" for name in ("rust", "python", "c")
        ]
    table.write_text("\n".join(lines) + "\n")
    python = throwaway.environment("bench-charts", *throwaway.CHARTS_NEED)
    chart = tmp_path / "soak.svg"
    subprocess.run([str(python), "tests/chaos/chart.py", str(table), str(chart)], cwd=ROOT, check=True)
    drawn = chart.read_text()
    assert all(name in drawn for name in ("memory, MiB", "descriptors", "threads", "rust", "python"))
