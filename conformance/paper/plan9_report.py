"""The tables and the picture of :mod:`conformance.paper.plan9`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

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


def _median(values: Sequence[float], unit: float = 1.0) -> str:
    return f"{statistics.median(values) / unit:.2f}" if values else ""


def cells(row: Row, *, paper: bool) -> list[str]:
    """A row of a table."""
    ratios = row.ratios()
    spread = f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else ""
    found = [
        row.job.name, row.job.unit or "time", _median(row.spent("native"), 1e-6), _median(row.spent("plan9"), 1e-6),
        _median(ratios), spread, _median(row.ratios("wall")),
    ]  # fmt: skip
    if paper:
        theirs = row.job.paper
        found.append("" if theirs is None else f"{theirs.vx:g} / {theirs.vmware:g} / {theirs.qemu:g}")
    said = {True: "met", False: "not met", None: ""}[row.met()]
    return [*found, "" if row.job.limit is None else f"<= {row.job.limit:.2f}", row.remark or said]


def _tables(rows: Sequence[Row]) -> list[tuple[tuple[str, ...], list[list[str]]]]:
    """Headings and rows of what the paper has, and of the rest."""
    of_paper = [row for row in rows if row.job.paper is not None]
    others = [row for row in rows if row.job.paper is None]
    made: list[tuple[tuple[str, ...], list[list[str]]]] = []
    if of_paper:
        headings = (*_HEADINGS, *_PAPER_HEADINGS, *_LAST_HEADINGS)
        made.append((headings, [cells(row, paper=True) for row in of_paper]))
    if others:
        made.append(((*_HEADINGS, *_LAST_HEADINGS), [cells(row, paper=False) for row in others]))
    return made


def show(rows: Sequence[Row]) -> None:
    """Print the tables."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    for headings, lines in _tables(rows):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for i, heading in enumerate(headings):
            table.add_column(
                heading, justify="right" if 1 < i < len(headings) - 1 else "left", no_wrap=i < len(headings) - 1
            )
        for line in lines:
            table.add_row(*line)
        Console().print(table)


def markdown(rows: Sequence[Row], facts: Sequence[str]) -> str:
    """The tables for a page."""
    lines = [f"* {fact}" for fact in facts]
    for headings, found in _tables(rows):
        lines += ["", "| " + " | ".join(headings) + " |", "|---|---|" + "---:|" * (len(headings) - 2)]
        lines += ["| " + " | ".join(line) + " |" for line in found]
    return "\n".join([*lines, ""])


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
