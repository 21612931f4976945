"""The ratios as a picture: a bar for each program and way to run it, on a logarithmic axis, with the native process at 1.

Needs matplotlib (the extra ``plots``). The picture has a background of its own and reads on light and dark pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from conformance.paper.columns import TITLES, Column
from conformance.paper.results import Results

FORMATS: Final = (".svg", ".png")
#: Colours that people with colour-blindness tell apart (Okabe and Ito), on near-white.
_COLOURS: Final[dict[Column, str]] = {
    "guest": "#0072b2",
    "wasm": "#009e73",
    "qemu": "#e69f00",
    "native64": "#999999",
}
_BACKGROUND: Final = "#fcfcfc"
_INK: Final = "#222222"


def draw(results: Results, file: Path) -> None:
    """Write the picture; the suffix says which kind. Draws nothing for rows that were not measured."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    rows = [row for row in results.rows if row.best() is not None][::-1]
    shown = [column for column in _COLOURS if any(row.best(column) is not None for row in rows)]
    height = 0.8 / max(1, len(shown))
    mpl.rcParams.update({"svg.hashsalt": "vx32py", "svg.fonttype": "none", "font.size": 9})
    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.34 * len(rows)), facecolor=_BACKGROUND, layout="constrained")
    axes.set_facecolor(_BACKGROUND)
    for i, column in enumerate(shown):
        found = [(at, row.best(column)) for at, row in enumerate(rows)]
        bars = [(at + 0.4 - height * (i + 0.5), ratio) for at, ratio in found if ratio is not None]
        axes.barh(
            [at for at, _ in bars],
            # A bar starts at 1, to the right for slower and to the left for faster.
            [ratio - 1 for _, ratio in bars],
            left=1, height=height, color=_COLOURS[column], label=TITLES[column],
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [row.program.name for row in rows])
    axes.set_ylim(-0.6, max(0.6, len(rows) - 0.4))
    axes.axvline(1, color=_INK, linewidth=1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", which="both", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("processor time at work over that of the native 32-bit process (lower is better)", color=_INK)
    axes.tick_params(colors=_INK)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=max(1, len(shown)), frameon=False)
    # Neither date nor random names: the same figures give the same file.
    figure.savefig(file, dpi=144, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(figure)
