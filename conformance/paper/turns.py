"""Taking turns: the ways to run a program run it one after the other, A B C A B C, so that a ratio compares neighbours.

A machine changes its speed from second to second, for reasons of its own; what two neighbours have in common cancels in
their ratio. Two rules save time where it buys nothing, and neither looks at which way a ratio goes: a row ends when its
ratios agree, and a column that takes much longer than the others ends after fewer rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from conformance.paper.columns import TITLES, Column, Runner
from conformance.paper.results import Row
from conformance.paper.samples import Sample
from vx32py import Vx32Error

#: What a ratio needs: a row without them is empty, one without another column is not.
NEEDED: Final = frozenset({"native", "guest"})
#: A row ends after this many rounds if the guest's ratios differ by no more than ``AGREEMENT`` of the lowest.
FEWEST: Final = 4
AGREEMENT: Final = 0.02
#: A column that is not needed ends when it has taken this many seconds of a row.
PATIENCE: Final = 25.0


def take_turns(
    row: Row,
    runners: dict[Column, Runner],
    rounds: int,
    args: list[str],
    files: tuple[Path, Path],
    progress: Callable[[str], None],
) -> None:
    """Fill in the row: ``rounds`` rounds at most. ``files`` are the standard input of a run that has nothing to do, and of
    one that works with ``args``."""
    program = row.program
    spent: dict[Column, float] = dict.fromkeys(runners, 0.0)
    for turn in range(-1, rounds):  # the first time loads what later ones find, and does not count
        if turn >= FEWEST and agree(row.at_work() or row.ratios()):
            return
        for column, run in list(runners.items()):
            if row.remark:
                return
            if column not in NEEDED and spent[column] > PATIENCE:
                continue
            progress(f"{program.name}: {max(turn, 0) + 1} of {rounds}, {TITLES[column]}")
            try:
                idle = run(program.idle, files[0], 1)
                sample = run(args, files[1], program.repeat) if turn >= 0 else None
            except (RuntimeError, OSError, Vx32Error) as error:
                _give_up(row, runners, column, str(error))
                continue
            if sample is None:
                continue
            spent[column] += sample.wall
            row.idle.setdefault(column, []).append(idle)
            row.runs.setdefault(column, []).append(sample)
            if not _prints_the_same(row, column, sample):
                _give_up(row, runners, column, "the output differs from the native program's")


def agree(ratios: Collection[float]) -> bool:
    """Whether more ratios would tell little more."""
    return bool(ratios) and max(ratios) <= (1 + AGREEMENT) * min(ratios)


def _prints_the_same(row: Row, column: Column, sample: Sample) -> bool:
    """Whether it printed what the native 32-bit program printed; other processors may round otherwise."""
    if column in {"native64", "wasm"} and not row.program.exact:
        return True
    return sample.output == row.runs["native"][-1].output


def _give_up(row: Row, runners: dict[Column, Runner], column: Column, why: str) -> None:
    """Measure no more of a column; without a needed one, no more of the row."""
    del runners[column]
    row.runs.pop(column, None)
    row.missing[column] = why
    if column in NEEDED:
        row.remark = f"{TITLES[column]}: {why}"
        runners.clear()
