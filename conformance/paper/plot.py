"""The ratios as a picture: a line for each program, a mark for each way to run it, on a logarithmic axis.

The native 32-bit process is at 1. A mark is the median, the line through it reaches from the lowest to the highest ratio;
the paper's range is shaded where it has one for the same thing, and a tick is the most that we aim at. Needs matplotlib
(the extra ``plots``). The picture has a background of its own and reads on light and dark pages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from conformance.paper.bars import limit_of
from conformance.paper.columns import TITLES, Column
from conformance.paper.programs import KINDS, Kind
from conformance.paper.results import Results, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS: Final = (".svg", ".png")
#: Marks, and colours that people with colour-blindness tell apart (Okabe and Ito); what is drawn last lies on top.
_MARKS: Final[dict[Column, tuple[str, str, float]]] = {
    "native64": ("|", "#8c8c8c", 8),
    "qemu": ("s", "#e69f00", 4.5),
    "wasm": ("^", "#009e73", 5.5),
    "guest": ("o", "#0072b2", 6.5),
}
_HEADINGS: Final[dict[Kind, str]] = {
    "micro": "Loops of control transfers", "compute": "Computations", "interpreter": "Interpreters",
    "application": "Programs",
}  # fmt: skip
_BACKGROUND, _BAND, _INK, _QUIET = "#fcfcfc", "#f2f2ee", "#222222", "#777777"
_PAPER, _AIM = "#d5c6e0", "#c0392b"
#: The axis reaches as far at least, and to the left not farther: there are jumps that vanish in fragments.
_NARROWEST: Final = (0.5, 2.0)
_FARTHEST: Final = 0.05
_TICKS: Final = tuple(digit * 10.0**power for power in range(-2, 3) for digit in (1, 2, 5))
_NUMBER: Final = r"\d*\.?\d+"


def draw(results: Results, file: Path) -> None:
    """Write the picture; the suffix says which kind. Draws nothing for rows that were not measured."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    lines = _lines([row for row in results.rows if row.best() is not None])
    mpl.rcParams.update({"svg.hashsalt": "vx32py", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(figsize=(9.5, 1.5 + 0.235 * len(lines)), facecolor=_BACKGROUND, layout="constrained")
    axes.set_facecolor(_BACKGROUND)
    for at, line in enumerate(lines):
        if isinstance(line, Row):
            _draw_row(axes, at, line)
    _dress(axes, lines)
    _legend(axes, [line for line in lines if isinstance(line, Row)])
    # Neither date nor random names: the same figures give the same file.
    figure.savefig(file, dpi=144, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(figure)


def paper_range(row: Row) -> tuple[float, float] | None:
    """What the paper has, if it is of the same program: where it is another's, that one is named."""
    found = re.fullmatch(rf"({_NUMBER})-({_NUMBER})", row.program.paper)
    return (float(found[1]), float(found[2])) if found else None


def _lines(rows: Sequence[Row]) -> list[Row | str]:
    """Headings and rows from top to bottom."""
    lines: list[Row | str] = []
    for kind in KINDS:
        of_kind = [row for row in rows if row.program.kind == kind]
        if of_kind:
            lines += [_HEADINGS[kind], *of_kind]
    return lines


def _ratios(row: Row, column: Column) -> list[float]:
    return row.at_work(column) or row.ratios(column)


def _draw_row(axes: Axes, at: int, row: Row) -> None:
    if at % 2:
        axes.axhspan(at - 0.5, at + 0.5, color=_BAND, zorder=0)
    paper = paper_range(row)
    if paper:
        axes.barh(at, paper[1] - paper[0], left=paper[0], height=0.72, color=_PAPER, zorder=1.5)
    limit = limit_of(row.program)
    if limit is not None:
        axes.plot([limit, limit], [at - 0.36, at + 0.36], color=_AIM, linewidth=1.6, zorder=2.5)
    for layer, (column, (mark, colour, size)) in enumerate(_MARKS.items()):
        ratios, middle = _ratios(row, column), row.best(column)
        if middle is None:
            continue
        if column != "native64":
            axes.plot([min(ratios), max(ratios)], [at, at], color=colour, linewidth=1.6, zorder=3 + layer)
        axes.plot(
            middle,
            at,
            mark,
            color=colour,
            markersize=size,
            zorder=3.5 + layer,
            markeredgewidth=1.6 if mark == "|" else 0,
        )


def _dress(axes: Axes, lines: Sequence[Row | str]) -> None:
    from matplotlib.ticker import FixedLocator, NullFormatter

    axes.set_xscale("log")
    axes.set_ylim(len(lines) - 0.4, -0.6)
    reached = [ratio for row in lines if isinstance(row, Row) for column in _MARKS for ratio in _ratios(row, column)]
    reached += [edge for row in lines if isinstance(row, Row) for edge in paper_range(row) or ()]
    axes.set_xlim(max(_FARTHEST, min(_NARROWEST[0], *reached) / 1.15), max(_NARROWEST[1], *reached) * 1.15)
    axes.set_yticks(range(len(lines)), [line if isinstance(line, str) else line.program.name for line in lines])
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_color(_INK)
        if isinstance(line, str):
            label.set_fontweight("bold")
    axes.axvline(1, color=_INK, linewidth=1, zorder=2)
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", which="both", colors=_QUIET, labelcolor=_INK, top=True, labeltop=True)
    for label_at in ("left", "right", "top", "bottom"):
        axes.spines[label_at].set_visible(False)
    axes.grid(axis="x", which="major", color="#cccccc", linewidth=0.8, zorder=1)
    axes.grid(axis="x", which="minor", color="#e4e4e4", linewidth=0.5, zorder=1)
    axes.set_xlabel("processor time at work over that of the native 32-bit process (1 is native speed)", color=_INK)


def _legend(axes: Axes, rows: Sequence[Row]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Line2D([], [], color=colour, marker=mark, markersize=size, linewidth=0 if mark == "|" else 1.6,
               markeredgewidth=1.6 if mark == "|" else 0, label=TITLES[column])
        for column, (mark, colour, size) in reversed(_MARKS.items())
        if any(row.best(column) is not None for row in rows)
    ]  # fmt: skip
    if any(limit_of(row.program) is not None for row in rows):
        handles.append(
            Line2D([], [], color=_AIM, marker="|", markersize=9, markeredgewidth=1.6, linewidth=0, label="aim")
        )
    if any(map(paper_range, rows)):
        handles.append(Patch(color=_PAPER, label="the paper"))
    axes.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.42, 1.0), ncols=max(1, len(handles)), frameon=False,
        borderaxespad=1.6, handletextpad=0.6, columnspacing=1.6,
    )  # fmt: skip
