"""Puts into a target's committed corpus what there is place for of the inputs that libFuzzer's merge has left, which each
reach something that the others do not.

Usage: python3 fuzz/keep.py FROM TO
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

MOST_BYTES = 8000
MOST_FILES = 120


def main() -> None:
    """Replace what is in the second folder."""
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    inputs = sorted((path.read_bytes() for path in source.iterdir()), key=lambda data: (len(data), data))
    # Every so many-th of them: small ones and large ones.
    for step in range(1, len(inputs) + 1):
        kept = inputs[::step]
        size = sum(map(len, kept))
        if size <= MOST_BYTES and len(kept) <= MOST_FILES:
            break
    for path in folder.iterdir():
        # What has found something once stays, whatever it reaches.
        if not path.name.startswith("found-"):
            path.unlink()
    for data in kept:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    print(f"{folder}: {len(kept)} of {len(inputs)} inputs, {size} bytes")


if __name__ == "__main__":
    main()
