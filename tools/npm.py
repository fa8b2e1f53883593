"""Packs the npm packages into a folder: lime-sdk, lime-sandbox for tests, and for each the binary of this platform.

The binaries are packages of their own, which npm installs where `os`, `cpu` and `libc` fit, as optional
dependencies: no package has an install script. Everything is there already: `make node` has built the JavaScript,
cargo the binaries.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import bill
import tomllib

ROOT = Path(__file__).resolve().parents[1]
BINDING = ROOT / "bindings-node"
STAGE = ROOT / "build/npm"
CPUS = {"x86_64": "x64", "aarch64": "arm64"}
SCOPE = "@lime-sdk"
# What a package of a binary tells of what is compiled in.
TOLD = ["sbom.cdx.json", "THIRD-PARTY-LICENSES.txt"]


def version() -> str:
    """The version of everything here; the manifest that people edit must have it too."""
    with (ROOT / "Cargo.toml").open("rb") as file:
        found: str = tomllib.load(file)["workspace"]["package"]["version"]
    own = json.loads((BINDING / "package.json").read_text())["version"]
    if own != found:
        sys.exit(f"bindings-node/package.json is of version {own}, Cargo.toml of {found}")
    return found


def target() -> tuple[str, dict[str, list[str]]]:
    """This platform as Node names it, and where npm is to install what was built on it."""
    libc, _ = platform.libc_ver()
    cpu = CPUS.get(platform.machine())
    if sys.platform != "linux" or cpu is None:
        sys.exit(f"npm packages are not built on {sys.platform} {platform.machine()}")
    gnu = libc == "glibc"
    fits = {"os": ["linux"], "cpu": [cpu], "libc": ["glibc" if gnu else "musl"]}
    return f"linux-{cpu}-{'gnu' if gnu else 'musl'}", fits


def stage(name: str, manifest: dict[str, Any], files: dict[str, Path]) -> Path:
    """Put a package's files together."""
    folder = STAGE / name.replace("@", "").replace("/", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, source in {**files, "LICENSE": ROOT / "LICENSE"}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, folder / path)
        else:
            shutil.copy(source, folder / path)
    (folder / "package.json").write_text(json.dumps({"name": name, **manifest}, indent=2) + "\n")
    return folder


def binary(folder: Path, path: str, crate: str, readme: str) -> None:
    """What a package of a binary has: no symbols for a debugger, a word on what it is, and what is compiled in."""
    subprocess.run(["strip", "--strip-unneeded", str(folder / path)], check=True)
    name = json.loads((folder / "package.json").read_text())["name"]
    (folder / "README.md").write_text(f"# {name}\n\n{readme}\n")
    for told, content in zip(TOLD, (bill.materials(crate), bill.licences(crate)), strict=True):
        (folder / told).write_text(content)


def stage_all(profile: str) -> list[Path]:
    """Put all packages together."""
    built = ROOT / "target" / ("debug" if profile == "dev" else profile)
    name, fits = target()
    common = {"version": version(), "license": "MIT", "engines": {"node": ">=20"}}

    own = json.loads((BINDING / "package.json").read_text())
    own["optionalDependencies"] = {f"{SCOPE}/{name}": common["version"]}
    sdk = stage("lime-sdk", own, {"dist": BINDING / "dist", "README.md": BINDING / "README.md"})

    about = f"Binary of lime-sdk for {name}; it comes with it."
    manifest = {**common, "description": about, "main": "lime.node", "files": ["lime.node", *TOLD], **fits}
    module = stage(f"{SCOPE}/{name}", manifest, {"lime.node": built / "liblime_node.so"})
    binary(module, "lime.node", "lime-node", about)

    sandbox = json.loads((ROOT / "sandbox/npm/package.json").read_text())
    sandbox = {**sandbox, **common, "optionalDependencies": {f"{SCOPE}/sandbox-{name}": common["version"]}}
    files = {path: ROOT / "sandbox/npm" / path for path in sandbox["files"]}
    sandbox_package = stage("lime-sandbox", sandbox, {**files, "README.md": ROOT / "sandbox/README.md"})

    about = f"Binary of lime-sandbox for {name}; it comes with it."
    manifest = {**common, "description": about, "files": ["lime-sandbox", *TOLD], **fits}
    program = stage(f"{SCOPE}/sandbox-{name}", manifest, {"lime-sandbox": built / "lime-sandbox"})
    binary(program, "lime-sandbox", "lime-sandbox", about)
    return [sdk, module, sandbox_package, program]


def pack(out: Path, profile: str) -> list[Path]:
    """Pack all packages into a folder; tarballs that it had are gone.

    Args:
        out: The folder.
        profile: Cargo's: ``dev`` for tests, ``release`` for people.

    Returns:
        The tarballs of lime-sdk, its binary, lime-sandbox, its binary.
    """
    out.mkdir(parents=True, exist_ok=True)
    for stale in out.glob("lime-*.tgz"):
        stale.unlink()
    tarballs = []
    for folder in stage_all(profile):
        command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(out), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{done.stdout}{done.stderr}npm pack has failed for {folder.name}")
        tarballs.append(out / done.stdout.strip().splitlines()[-1])
    return tarballs


def main() -> None:
    """Pack, and say what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="release")
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    for tarball in pack(arguments.out.resolve(), arguments.profile):
        print(f"{tarball.relative_to(Path.cwd())}  {tarball.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
