"""Draws results.json: ``charts.py results.json FOLDER``. Runs where matplotlib is, which nothing else here needs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# The same figures give the same file, and its texts stay texts.
mpl.rcParams.update({"svg.hashsalt": "lime", "svg.fonttype": "none", "font.size": 9})

import matplotlib.pyplot as plt  # noqa: E402

OURS, THEIRS = "#3f8f29", "#b9c4b2"


def save(figure: Any, path: Path) -> None:
    """Without the date, so that a run with the same figures changes nothing."""
    figure.savefig(path, format="svg", metadata={"Date": None}, bbox_inches="tight")


def ratios(lines: list[dict[str, Any]], path: Path) -> None:
    """How many times as much as the published package, from Python."""
    shown: dict[str, float] = {}
    for line in lines:
        rate = line["unit"].endswith("/s")
        if rate and line["ratio"] and line["against"].split("-")[0] in ("lime", "sesame"):
            shown[f"{line['row']}: {line['what']}\n{line['against']}"] = line["ratio"]
    figure, axes = plt.subplots(figsize=(8, 0.42 * len(shown) + 0.8))
    names = list(shown)[::-1]
    bars = axes.barh(names, [shown[name] for name in names], color=OURS, height=0.6)
    axes.bar_label(bars, [f"{shown[name]:.3g} ×" for name in names], padding=3)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlim(0.8, max(shown.values()) * 2.5)
    axes.set_xlabel("times the published package (log scale)")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def scale(curves: list[dict[str, Any]], path: Path) -> None:
    """How memory, threads and CPU grow with the number of clients."""
    figure, places = plt.subplots(2, 3, figsize=(9, 5), layout="constrained")
    for axes, curve in zip(places.flat, curves, strict=False):
        across, up = zip(*curve["points"], strict=True)
        axes.plot(across, up, marker="o", color=OURS)
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_title(curve["name"])
        axes.set_ylabel(curve["unit"])
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def main() -> None:
    """Draw what there is."""
    found = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    ratios(found["lines"], folder / "ratios.svg")
    scale(found["curves"], folder / "scale.svg")


main()
