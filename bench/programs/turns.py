"""The other end of measure.py: prints ``ready``, then does as much as each line of standard input says."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def serve(work: Callable[[int], dict[str, Any] | None]) -> None:
    """Answer each line, a number, with how long doing that many took.

    Args:
        work: Does the given number of things; what it returns goes into the answer, also a ``count``
            that differs from what was asked for.
    """
    print("ready", flush=True)
    for line in sys.stdin:
        count = int(line)
        cpu, wall = time.process_time(), time.perf_counter()
        more = work(count) or {}
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps({"count": count, "wall": wall, "cpu": cpu, **more}), flush=True)
