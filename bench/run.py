"""Measures ours beside the published packages, in turns, and writes down what was found.

python bench/run.py            every row: RESULTS.md, results.json, charts/   (make bench)
python bench/run.py ROW        one row, printed only                          (make bench ROW=name)
python bench/run.py --smoke    whether something was lost, in a minute        (make bench-smoke)
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace

import environments
import report
from rows import ROWS, SMOKE, Bench, number

# What a development build has to reach of a row's bound: that is for the optimised one, on an idle machine.
GENEROUS = 0.2


def smoke() -> int:
    """Ratios alone, with generous bounds: a tenfold loss cannot land unseen."""
    bench = Bench(environments.development(), rounds=3, seconds=0.25, smoke=True)
    for name in SMOKE:
        ROWS[name](bench)
    for at, line in enumerate(bench.lines):
        sign, limit, unit = line.bound.split()
        eased = number(limit) * (GENEROUS if sign == "≥" else 1 / GENEROUS)
        bench.lines[at] = replace(line, bound=f"{sign} {eased:.3g} {unit}", ok=None, ratio=None)
    print(report.table(bench.lines), flush=True)
    return int(any(line.ok is False for line in bench.lines))


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("row", nargs="?", choices=ROWS, help="one row alone")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        return smoke()
    begun = time.monotonic()
    print("building what people install", file=sys.stderr, flush=True)
    bench = Bench(environments.release())
    for name in [options.row] if options.row else ROWS:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        ROWS[name](bench)
    if not options.row:
        report.write(bench, time.monotonic() - begun)
    print(report.table(bench.lines), flush=True)
    held = [line for line in bench.lines if line.ok is not None]
    print(f"\n{sum(line.ok is True for line in held)} of {len(held)} reached", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
