"""The plot of docs/queue-design.md, from what bench/queue_sim.c found.

python bench/queue_plot.py queue.csv docs/queue-sharing.svg
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

Row = dict[str, str]
Line = tuple[str, int, str, str, str]

# How, round trip (ms), label, colour, style; the colours are seen on white and on black.
LINES: list[Line] = [
    ("shards by count", 0, "fixed shards by count (whole files)", "#d9822b", "s:"),
    ("shards by time", 0, "fixed shards by time (each test)", "#c94f7c", "^--"),
    ("one machine", 0, "one machine with as many workers", "#8b8b8b", "x-."),
    ("queue", 1, "queue, 1 ms to the server", "#3a8fd9", "o-"),
    ("queue", 50, "queue, 50 ms to the server", "#2fa36b", "v-"),
]
COLUMNS = [
    ("noisy", "steady", "durations known, off by a third"),
    ("noisy", "lost", "likewise; a fifth of the nodes is lost"),
    ("unknown", "steady", "durations unknown"),
]
INK = "#7f868d"
GREY = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")


def _read(path: Path) -> list[Row]:
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["median_ms"] == "100"]


def _panel(axes: Any, rows: list[Row], shape: str, known: str, fate: str) -> None:
    for how, trip, label, colour, style in LINES:
        found = [
            (int(row["nodes"]), float(row["ratio"]))
            for row in rows
            if (row["shape"], row["known"], row["fate"]) == (shape, known, fate)
            and (row["how"], int(row["trip_ms"])) == (how, trip)
        ]
        if found:
            axes.plot(*zip(*found, strict=True), style, color=colour, label=label, markersize=4)
    axes.axhspan(1, 1.05, color=INK, alpha=0.25, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_ylim(0.97, 4)
    axes.set_yticks([1, 1.05, 1.2, 1.5, 2, 3], ["1", "1.05", "1.2", "1.5", "2", "3"])
    axes.minorticks_off()
    nodes = [1, 2, 4, 8, 16, 32, 64, 128, 256]
    axes.set_xticks(nodes, [str(n) for n in nodes])
    axes.grid(color=INK, alpha=0.25, linewidth=0.6)


def draw(source: Path, target: Path) -> None:
    """Writes the plot.

    Args:
        source: what ``queue_sim --csv`` printed.
        target: the SVG file.

    Example:
        ``draw(Path("build/bench/queue.csv"), Path("docs/queue-sharing.svg"))``
    """
    import matplotlib

    matplotlib.use("svg")
    settings: dict[Any, Any] = {
        "svg.hashsalt": "qe",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 9,
        **dict.fromkeys(GREY, INK),
    }
    matplotlib.rcParams.update(settings)
    from matplotlib import pyplot

    rows = _read(source)
    figure, grid = pyplot.subplots(2, 3, figsize=(11, 6.4), sharex=True, sharey=True)
    for line, shape in zip(grid, ("lognormal", "pareto"), strict=True):
        for axes, (known, fate, title) in zip(line, COLUMNS, strict=True):
            _panel(axes, rows, shape, known, fate)
            if shape == "lognormal":
                axes.set_title(title, fontsize=9)
            else:
                axes.set_xlabel("nodes of one worker")
        line[0].set_ylabel(f"{shape}: of the best possible")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(target, metadata={"Date": None, "Creator": None}, transparent=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("usage: queue_plot.py CSV SVG")
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
