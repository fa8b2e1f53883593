"""Runs the fault campaign or the soak, see docs/reliability.md, after compiling the program of C.

    chaos.py campaign 1-1000 [--lanes N] [--verbose]
    chaos.py soak --minutes 30

Both need `make build`. What fails leaves its story in build/chaos.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import throwaway
from local_network import Certificates

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "target/debug"
BUILD = ROOT / "build/chaos"
HERE = ROOT / "tests/chaos"
FLAGS = ("-std=c11", "-D_DEFAULT_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


def c_worker() -> Path:
    """Compile the program of C against the library as it was built."""
    library = BUILD / "lib"
    library.mkdir(parents=True, exist_ok=True)
    for name in ("liblime.so", "liblime.so.0"):
        (library / name).unlink(missing_ok=True)
        (library / name).symlink_to(TARGET / "liblime.so")
    program = BUILD / "worker"
    subprocess.run(
        [
            *("cc", *FLAGS, f"-I{ROOT / 'include'}", str(HERE / "worker.c"), "-o", str(program)),
            *(f"-L{library}", f"-Wl,-rpath,{library}", "-llime", "-pthread"),
        ],
        check=True,
    )
    return program


def main() -> None:
    """Pass the arguments on, with where the programs are."""
    what, *arguments = sys.argv[1:]
    programs = ["--python", sys.executable, "--python-worker", str(HERE / "worker.py")]
    programs += ["--c-worker", str(c_worker())]
    samples = BUILD / "soak.tsv"
    environment = dict(os.environ)
    if what == "campaign":
        certificates = Certificates(BUILD)
        environment["SSL_CERT_FILE"] = str(certificates.ca)
        place = ["--stories", str(BUILD), "--certificate", str(certificates.server)]
    else:
        place = ["--samples", str(samples)]
    command = [str(TARGET / "lime-chaos"), what, *programs, *place, *arguments]
    done = subprocess.run(command, env=environment)
    if what == "soak" and samples.exists():
        python = throwaway.environment("bench-charts", *throwaway.CHARTS_NEED)
        chart = [str(python), str(HERE / "chart.py"), str(samples), str(BUILD / "soak.svg")]
        subprocess.run(chart, check=True)
        print(f"chart: {BUILD / 'soak.svg'}")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
