"""What was found, for people and for programs: a table with a mark for each row, and results.json beside it."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from typing import Any

import environments
from environments import ROOT
from rows import Bench, Line

HERE = ROOT / "bench"
MARKS = {True: "✓", False: "✗", None: " "}


def short(value: float) -> str:
    """Three digits that count."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scaled = value / (1e3 if unit == "k" else limit)
            return f"{scaled:.3g} {unit}"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def cells(line: Line) -> list[str]:
    """A line of the table."""
    low, high = line.ours.spread
    middle = line.ours.median
    spread = f" ±{(high - low) / middle * 50:.0f} %" if middle and high > low else ""
    theirs = f"{line.against}: {short(line.theirs.median)}" if line.theirs else line.against
    ratio = "" if line.ratio is None else f"{line.ratio:.3g} ×"
    return [
        MARKS[line.ok],
        f"{line.row}: {line.what}",
        f"{short(middle)} {line.unit}{spread}",
        theirs,
        ratio,
        line.bound,
    ]


HEAD = ["", "what", "ours", "against", "ratio", "must reach"]


def table(lines: list[Line]) -> str:
    """The table as text, for a terminal."""
    rows = [HEAD, *map(cells, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_json(bench: Bench, seconds: float) -> dict[str, Any]:
    """Every figure, with all that were measured."""
    return {
        "machine": environments.machine(),
        "seconds": round(seconds),
        "rounds": bench.rounds,
        "lines": [
            {
                "row": line.row,
                "what": line.what,
                "unit": line.unit,
                "ours": {"median": line.ours.median, "spread": line.ours.spread, "values": line.ours.values},
                "against": line.against,
                "theirs": line.theirs
                and {
                    "median": line.theirs.median,
                    "spread": line.theirs.spread,
                    "values": line.theirs.values,
                },
                "ratio": line.ratio,
                "bound": line.bound,
                "reached": line.ok,
            }
            for line in bench.lines
        ],
        "curves": [dataclasses.asdict(curve) for curve in bench.curves],
    }


def markdown(bench: Bench, seconds: float) -> str:
    """RESULTS.md."""
    machine = environments.machine()
    found = "\n".join(f"| {' | '.join(cells(line))} |" for line in bench.lines)
    held = [line for line in bench.lines if line.ok is not None]
    missed = [line for line in held if not line.ok]
    notes = (HERE / "NOTES.md").read_text().strip()
    return f"""# What `make bench` found

Written by `make bench`, in {seconds / 60:.0f} minutes, on: {machine["cpu"]}, {machine["cores"]} cores, SHA extensions:
{"yes" if machine["sha_extensions"] else "no"}; {machine["python"]} (Python), {machine["node"]} (Node), {machine["rustc"]},
{machine["openssl"]}. Ours is what people install: the wheel, the npm packages, `liblime.so`. Everything ran in turns,
{bench.rounds} times; figures are medians, ± is half of the distance between the lowest and the highest. Machines are noisy:
the ratio is what counts.

{len(held) - len(missed)} of {len(held)} figures are where they have to be{"." if not missed else "; the others are marked ✗ and explained below."}

| {" | ".join(HEAD)} |
|{"---|" * len(HEAD)}
{found}

![What a second is enough for, beside the published packages](charts/ratios.svg)

![What many clients in one process cost](charts/scale.svg)

{notes}
"""


def write(bench: Bench, seconds: float) -> None:
    """Write results.json, RESULTS.md and the charts."""
    results = HERE / "results.json"
    results.write_text(json.dumps(as_json(bench, seconds), indent=1, ensure_ascii=False) + "\n")
    (HERE / "RESULTS.md").write_text(markdown(bench, seconds))
    import throwaway

    python = throwaway.environment("bench-charts", *throwaway.CHARTS_NEED)
    subprocess.run([str(python), str(HERE / "charts.py"), str(results), str(HERE / "charts")], check=True)
