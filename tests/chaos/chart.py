"""Draws the samples of a soak: ``chart.py soak.tsv soak.svg``. Runs where matplotlib is, which nothing else here needs."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
# The same figures give the same file, and its texts stay texts.
mpl.rcParams.update({"svg.hashsalt": "lime", "svg.fonttype": "none", "font.size": 9})

import matplotlib.pyplot as plt  # noqa: E402

COLOURS = {"rust": "#3f8f29", "python": "#2f6fb0", "c": "#b0652f"}
ROWS = (("resident_kib", "memory, MiB", 1024), ("descriptors", "descriptors", 1), ("threads", "threads", 1))
MOST_POINTS = 120


def main() -> None:
    """Draw memory, descriptors and threads of each program over the time."""
    samples: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    with Path(sys.argv[1]).open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            samples[row["language"]].append(row)
    figure, places = plt.subplots(3, 1, figsize=(8, 6), layout="constrained", sharex=True)
    for axes, (field, name, unit) in zip(places, ROWS, strict=True):
        for language, rows in samples.items():
            # As many as can be told apart: the file is committed.
            shown = rows[:: max(1, len(rows) // MOST_POINTS)]
            minutes = [float(row["seconds"]) / 60 for row in shown]
            values = [int(row[field]) / unit for row in shown]
            axes.plot(minutes, values, color=COLOURS[language], label=language, linewidth=1.2)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(name)
        axes.spines[["top", "right"]].set_visible(False)
    places[0].legend(frameon=False, ncols=3, loc="lower right")
    places[-1].set_xlabel("minutes")
    figure.savefig(sys.argv[2], format="svg", metadata={"Date": None}, bbox_inches="tight")


main()
