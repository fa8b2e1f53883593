"""Builds both wheels and both source distributions: lime-sdk, and lime-sandbox for tests.

maturin audits the symbols that the code needs and names the oldest manylinux that has them; it writes the
SBOM (CycloneDX, PEP 770) of the crates inside. What it leaves in there of the folder that it was built in
is taken out, so that a wheel does not tell of the machine it comes from.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECTS = ("bindings-python", "sandbox")


def maturin(command: str, project: str, *arguments: str) -> None:
    """Run maturin on one project; what it says is of interest when it fails."""
    program = str(Path(sys.executable).parent / "maturin")
    manifest = str(ROOT / project / "Cargo.toml")
    done = subprocess.run(
        [program, command, "--manifest-path", manifest, *arguments], capture_output=True, text=True
    )
    if done.returncode != 0:
        sys.exit(f"{done.stdout}{done.stderr}maturin {command} has failed for {project}")


def without_build_folder(wheel: Path) -> None:
    """Write the wheel anew with SBOMs that name crates by their place in the sources."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    record = {}
    for number, (info, content) in enumerate(entries):
        if "/sboms/" in info.filename:
            content = content.replace(f"file://{ROOT}/".encode(), b"file:///")
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            record[info.filename] = f"{info.filename},sha256={digest},{len(content)}"
            entries[number] = (info, content)
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for info, content in entries:
            if info.filename.endswith(".dist-info/RECORD"):
                lines = content.decode().splitlines()
                content = "".join(f"{record.get(line.split(',')[0], line)}\n" for line in lines).encode()
            archive.writestr(info, content)


def build(out: Path, profile: str) -> list[Path]:
    """Build both wheels into a folder; wheels that it had are gone.

    Args:
        out: The folder.
        profile: Cargo's: ``dev`` for tests, ``release`` for people.

    Returns:
        The wheels of lime-sdk and of lime-sandbox.
    """
    for stale in (*out.glob("lime_*.whl"), *out.glob("lime_*.tar.gz")):
        stale.unlink()
    wheels = []
    for project in PROJECTS:
        maturin("build", project, "--locked", "--profile", profile, "--out", str(out))
        (built,) = set(out.glob("lime_*.whl")) - set(wheels)
        without_build_folder(built)
        wheels.append(built)
    return wheels


def sources(out: Path) -> list[Path]:
    """Write the source distributions of lime-sdk and of lime-sandbox."""
    for project in PROJECTS:
        maturin("sdist", project, "--out", str(out))
    return [*out.glob("lime_sdk-*.tar.gz"), *out.glob("lime_sandbox-*.tar.gz")]


def main() -> None:
    """Build all four and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--profile", default="release")
    options = parser.parse_args()
    for built in [*build(options.out, options.profile), *sources(options.out)]:
        print(f"{built.stat().st_size / 1e6:7.1f} MB  {built}")


if __name__ == "__main__":
    main()
