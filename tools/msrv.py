"""That `rust-version` is true of the dependencies, too: none says that it needs a later Rust.

What the code here uses of the standard library, clippy compares with `rust-version` (`incompatible_msrv`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[1]


def number(version: str) -> tuple[int, ...]:
    """As something that can be compared; `1.89` is `1.89.0`."""
    parts = tuple(int(part) for part in version.split("."))
    return parts + (0,) * (3 - len(parts))


def main() -> None:
    """Name every crate that asks for more."""
    ours = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    members = set(metadata["workspace_members"])
    wrong = [
        f"{package['name']} {package['version']} needs {package['rust_version']}"
        for package in metadata["packages"]
        if package["id"] not in members
        and package["rust_version"]
        and number(package["rust_version"]) > number(ours)
    ]
    wrong += [
        f"{package['name']} says {package['rust_version']}"
        for package in metadata["packages"]
        if package["id"] in members and package["rust_version"] != ours
    ]
    if wrong:
        sys.exit(f"rust-version is {ours}: " + ", ".join(wrong))


if __name__ == "__main__":
    main()
