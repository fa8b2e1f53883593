"""What a compiled program is made of: a bill of materials (CycloneDX), and the licences that have to go with it.

maturin writes the bill of a wheel by itself; npm packages get theirs from here. Both name what is compiled in: not what
only builds or tests it, nor macros.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomllib

ROOT = Path(__file__).resolve().parents[1]
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)([.\-_].*)?", re.IGNORECASE)


@dataclass
class Crate:
    """A crate that is compiled in."""

    name: str
    version: str
    licence: str
    authors: list[str]
    folder: Path
    ours: bool
    checksum: str | None
    needs: set[tuple[str, str]] = field(default_factory=set)

    @property
    def reference(self) -> str:
        """What other parts of the bill call it."""
        return f"{self.name}@{self.version}"


def cargo(*arguments: str) -> str:
    """What cargo says."""
    return subprocess.run(
        ["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def crates(package: str) -> list[Crate]:
    """All that is compiled into a package of the workspace for this machine, itself first, then by name."""
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--locked"))
    known = {(found["name"], found["version"]): found for found in metadata["packages"]}
    with (ROOT / "Cargo.lock").open("rb") as file:
        lock = {(locked["name"], locked["version"]): locked for locked in tomllib.load(file)["package"]}
    found: dict[tuple[str, str], Crate] = {}
    above: list[tuple[str, str]] = []
    tree = cargo(
        *("tree", "--locked", "--package", package, "--edges", "normal,no-proc-macro"),
        *("--prefix", "depth", "--format", " {p}"),
    )
    for line in tree.splitlines():
        depth, name, version = line.split()[:3]
        key = (name, version.removeprefix("v"))
        if key not in found:
            about, locked = known[key], lock[key]
            found[key] = Crate(
                *key,
                about["license"] or "",
                about["authors"],
                Path(about["manifest_path"]).parent,
                about["source"] is None,
                locked.get("checksum"),
            )
        above[int(depth) :] = [key]
        if len(above) > 1:
            found[above[-2]].needs.add(key)
    first, *others = found.values()
    return [first, *sorted(others, key=lambda crate: (crate.name, crate.version))]


def materials(package: str) -> str:
    """The bill of materials as JSON: the same for the same sources."""
    itself, *others = crates(package)

    def component(crate: Crate) -> dict[str, Any]:
        described: dict[str, Any] = {
            "type": "library",
            "bom-ref": crate.reference,
            "name": crate.name,
            "version": crate.version,
            "licenses": [{"expression": crate.licence}],
        }
        if crate.checksum:
            described["hashes"] = [{"alg": "SHA-256", "content": crate.checksum}]
        if not crate.ours:
            described["purl"] = f"pkg:cargo/{crate.name}@{crate.version}"
        return described

    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(itself)},
        "components": [component(crate) for crate in others],
        "dependencies": [
            {
                "ref": crate.reference,
                "dependsOn": sorted(f"{name}@{version}" for name, version in crate.needs),
            }
            for crate in (itself, *others)
        ],
    }
    return json.dumps(bill, indent=1) + "\n"


def licences(package: str) -> str:
    """The names and licences of all crates that are not ours, and the texts of those licences."""
    others = [crate for crate in crates(package) if not crate.ours]
    users: dict[str, list[Crate]] = {}
    texts: dict[str, str] = {}
    for crate in others:
        for text in [file.read_text(errors="replace").strip() for file in texts_of(crate)] or [
            unwritten(crate)
        ]:
            digest = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            texts.setdefault(digest, text)
            if crate not in users.setdefault(digest, []):
                users[digest].append(crate)
    parts = [
        "What is compiled into this beside lime's own code, and under which licences.",
        "\n".join(f"{crate.name} {crate.version}: {crate.licence}" for crate in others),
    ]
    rule = "─" * 100
    for digest, crates_ in users.items():
        names = ", ".join(f"{crate.name} {crate.version}" for crate in crates_)
        parts.append(f"{rule}\n{names}\n{rule}\n\n{texts[digest]}")
    return "\n\n".join(parts) + "\n"


def unwritten(crate: Crate) -> str:
    """The licence of a crate whose package has no text of it."""
    if "MIT" not in crate.licence:
        sys.exit(f"{crate.name} {crate.version} has no text of its licence, {crate.licence}")
    _, grant = (ROOT / "LICENSE").read_text().split("\n\nPermission", 1)
    return f"The MIT License\n\nCopyright (c) {', '.join(crate.authors)}\n\nPermission{grant}".strip()


def texts_of(crate: Crate) -> list[Path]:
    """The licence files of a crate, also of what it has taken in from elsewhere; those of its tests are none."""
    found = []
    for file in sorted(crate.folder.rglob("*")):
        inner = file.relative_to(crate.folder).parts[:-1]
        if (
            file.is_file()
            and LICENCE_FILE.fullmatch(file.name)
            and not {"test", "tests", "target"} & set(inner)
        ):
            found.append(file)
    return found
