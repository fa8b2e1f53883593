"""From the server's write to the handler: ``latency.py SERVER RATE``; answers microseconds.

The same program for the published package and for ours. The request's id says when it was written, by the clock
that both processes have in common.
"""

from __future__ import annotations

import sys
import time

import stream
import turns

waited: list[int] = []
listener = stream.Listener(
    sys.argv[1], lambda request_id: waited.append(time.monotonic_ns() - int(request_id[3:]))
)


def work(count: int) -> dict[str, float]:
    """The median and the 99th percentile of so many events."""
    waited.clear()
    listener.receive(count, f"pace?n={count}&rate={sys.argv[2]}")
    ordered = sorted(waited)
    return {"p50": ordered[count // 2] / 1e3, "p99": ordered[min(count * 99 // 100, count - 1)] / 1e3}


turns.serve(work)
