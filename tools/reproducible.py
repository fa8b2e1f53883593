"""Whether `liblime.so` is the same wherever it is built: two builds for people, in two folders, have one hash.

    python3 tools/reproducible.py [build one | build other | compare]     (make reproducible: all three)

Takes as long as two builds with link-time optimisation.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Names of other lengths: what depends on them has another size, too.
FOLDERS = {
    "one": ROOT / "build/reproducible/one",
    "other": ROOT / "build/reproducible/an/other/with-a-longer-name",
}
LIBRARY = "target/release/liblime.so"


def build(folder: Path) -> None:
    """Build what git knows of in a folder of its own, with a cargo home of its own."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    home = folder / "build/cargo"
    downloads = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    for part in ("registry/index", "registry/cache", "config.toml"):
        source, target = downloads / part, home / part
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy2(source, target)
    environment = {**os.environ, "CARGO_HOME": str(home)}
    flags = subprocess.run(
        ["tools/release_flags.sh"], cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    command = ["cargo", "build", "--quiet", "--locked", "--release", "-p", "lime-ffi"]
    subprocess.run(command, cwd=folder, env={**environment, "RUSTFLAGS": flags}, check=True)


def compare() -> None:
    """One hash, and nothing of the machine in the bytes."""
    libraries = {name: (folder / LIBRARY).read_bytes() for name, folder in FOLDERS.items()}
    hashes = {name: hashlib.sha256(library).hexdigest() for name, library in libraries.items()}
    for name, found in hashes.items():
        print(f"{found}  {name}  {len(libraries[name])} bytes")
    paths = {
        path.decode()
        for library in libraries.values()
        for path in re.findall(rb"/[\w./@+-]{3,}", library)
        if any(str(place) in path.decode() for place in (ROOT, Path.home()))
    }
    if paths:
        sys.exit(f"paths of this machine are in it: {sorted(paths)[:5]}")
    if len(set(hashes.values())) != 1:
        sys.exit("the two are not the same")


def main() -> None:
    """What the command line says; without a word, everything."""
    match sys.argv[1:]:
        case []:
            for folder in FOLDERS.values():
                build(folder)
            compare()
        case ["build", name] if name in FOLDERS:
            build(FOLDERS[name])
        case ["compare"]:
            compare()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
