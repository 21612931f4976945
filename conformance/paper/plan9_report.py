"""The tables and the picture of :mod:`conformance.paper.plan9`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from conformance.paper import tables

if TYPE_CHECKING:
    from conformance.paper.plan9 import Row

FORMATS: Final = (".svg", ".png")
_HEADINGS: Final = ("job", "µs a", "native", "vx32py", "ratio", "spread", "wall")
_PAPER_HEADINGS: Final = ("9vx / VMware / QEMU",)
_LAST_HEADINGS: Final = ("aim", "")
#: Marks, and colours that people with colour-blindness tell apart (Okabe and Ito).
_MARKS: Final = (
    ("vx", "9vx over Plan 9 (the paper)", "D", "#cc79a7"), ("vmware", "VMware over Plan 9 (the paper)", "^", "#009e73"),
    ("qemu", "QEMU over Plan 9 (the paper)", "s", "#e69f00"),
)  # fmt: skip
_OURS: Final = "#0072b2"


def cells(row: Row, *, paper: bool) -> list[str]:
    """A row of a table."""
    found = [
        row.job.name, row.job.unit or "time", *(tables.median([1e6 * s for s in row.spent(each)]) for each in ("native", "plan9")),
        tables.median(row.ratios()), tables.spread(row.ratios()), tables.median(row.ratios("wall")),
    ]  # fmt: skip
    if paper:
        theirs = row.job.paper
        found.append("" if theirs is None else f"{theirs.vx:g} / {theirs.vmware:g} / {theirs.qemu:g}")
    return [*found, tables.aim(row.job.limit), row.remark or tables.verdict(row.met())]


def grids(rows: Sequence[Row]) -> list[tables.Grid]:
    """What the paper has, and the rest."""
    of_paper = [row for row in rows if row.job.paper is not None]
    others = [row for row in rows if row.job.paper is None]
    made = [
        tables.Grid(
            (*_HEADINGS, *_PAPER_HEADINGS, *_LAST_HEADINGS), [cells(row, paper=True) for row in of_paper], left=2
        ),
        tables.Grid((*_HEADINGS, *_LAST_HEADINGS), [cells(row, paper=False) for row in others], left=2),
    ]
    return [grid for grid in made if grid.rows]


def cannot_plot(file: Path) -> str:
    """Why a plot would fail at the end of a long run, or nothing."""
    if file.suffix not in FORMATS:
        return f"{file}: pictures are {' or '.join(FORMATS)}"
    if find_spec("matplotlib") is None:
        return "--plot needs matplotlib (pip install 'vx32py[plots]')"
    return ""


def draw(rows: Sequence[Row], file: Path) -> None:
    """Write the picture: the median of each job on a logarithmic axis with its spread, and the paper's figures."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    shown = [row for row in rows if row.ratios()]
    mpl.rcParams.update({"svg.hashsalt": "vx32py", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(figsize=(8.5, 1.4 + 0.27 * len(shown)), facecolor="#fcfcfc", layout="constrained")
    for at, row in enumerate(shown):
        ratios = row.ratios()
        axes.plot([min(ratios), max(ratios)], [at, at], color=_OURS, linewidth=1.6)
        axes.plot(statistics.median(ratios), at, "o", color=_OURS, label="vx32py over Linux" if not at else None)
    for name, label, mark, colour in _MARKS:
        points = [(getattr(row.job.paper, name), at) for at, row in enumerate(shown) if row.job.paper is not None]
        if points:
            axes.plot(*zip(*points, strict=True), mark, color=colour, markersize=5, label=label)
    axes.set_xscale("log")
    axes.set_yticks(range(len(shown)), [row.job.name for row in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.axvline(1, color="#222222", linewidth=1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_xlabel("processor time over that of the native process (1 is native speed)")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=144, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(figure)
