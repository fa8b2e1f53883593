"""Throw-away environments with the published Python packages, for tests and measurements that compare with them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = Path(__file__).resolve().parents[1] / "build/published"
# What draws charts, of versions that run on the oldest Python that this works with.
CHARTS_NEED = ("matplotlib==3.10.7", "contourpy==1.3.2", "numpy==2.2.6")


def environment(name: str, *requirements: str) -> Path:
    """The interpreter of an environment with these packages, made once for each list of them."""
    folder = ENVIRONMENTS / name
    stamp = folder / "requirements.stamp"
    wanted = "\n".join(requirements)
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        if requirements:
            # sesame-sdk asks for Python 3.12 and needs no more than 3.10.
            subprocess.run([*pip, "--ignore-requires-python", *requirements], check=True)
        stamp.write_text(wanted)
    return folder / "bin/python"
