"""``python -m lime_sandbox``: becomes the sandbox, so that signals and the exit code are its own."""

import os
import sys

from lime_sandbox import find_binary


def main() -> None:
    """Replace this process by the sandbox, with the same arguments."""
    binary = find_binary()
    os.execv(binary, [binary, *sys.argv[1:]])


if __name__ == "__main__":
    main()
