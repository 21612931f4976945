"""What the commands of the evaluation share: options, what is said where nothing can be measured, and the measuring of jobs.

A job is one row of a table. Its columns take turns, and the first of them is what the others are compared with.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

from conformance.paper import machine, report, tables
from conformance.paper.samples import Failed, Sample
from vx32py import Vx32Error, _engines
from vx32py.plan9.errors import Error

QUICK_ROUNDS: Final = 2
#: A version number for readers of the JSON.
FORMAT: Final = 1
#: The exit code of a command that was interrupted, as of a shell.
INTERRUPTED: Final = 130
#: Says what goes on.
Progress: TypeAlias = Callable[[str], None]

ColumnT = TypeVar("ColumnT", bound=str)


@dataclass(kw_only=True)
class Row(Generic[ColumnT]):
    """Samples in each column, one a round, and those of runs that only start and end; ``remark`` says what is wrong."""

    runs: dict[ColumnT, list[Sample]] = field(default_factory=dict)
    idle: dict[ColumnT, list[Sample]] = field(default_factory=dict)
    remark: str = ""


JobT = TypeVar("JobT")
PlaceT = TypeVar("PlaceT")
RowT = TypeVar("RowT", bound=Row[Any])


# -- the command line ------------------------------------------------------------------------------------------------


def parser(
    name: str, description: str, *, rounds: int, names: str, quick: str, written: str = "tables", plots: bool = False
) -> argparse.ArgumentParser:
    """The options of ``vx32py bench`` with this name. ``names``, ``quick`` and ``written`` say what these options mean."""
    made = argparse.ArgumentParser(prog=f"vx32py bench {name}", description=description)
    made.add_argument("names", nargs="*", metavar="NAME", help=names)
    made.add_argument("--quick", action="store_true", help=f"{quick} and fewer rounds: a look, not a measurement")
    made.add_argument(
        "--rounds", type=int, help=f"how often each takes its turn (default: {rounds}; with --quick, {QUICK_ROUNDS})"
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured as JSON")
    made.add_argument("--write", type=Path, metavar="FILE", help=f"write the {written} as Markdown")
    made.set_defaults(plot=[])
    if plots:
        add_plot(made)
    add_list(made)
    return made


def add_plot(to: argparse.ArgumentParser) -> None:
    """The option that draws."""
    to.add_argument("--plot", type=Path, action="append", default=[], metavar="FILE",
                    help="draw the ratios; FILE.svg or FILE.png; may be given twice")  # fmt: skip


def add_list(to: argparse.ArgumentParser) -> None:
    """The option that names what there is."""
    to.add_argument("--list", action="store_true", help="name what can be measured, and stop")


def rounds_of(options: argparse.Namespace, usual: int) -> int:
    """How many rounds are asked for."""
    given: int | None = options.rounds
    return given if given is not None else QUICK_ROUNDS if options.quick else usual


def complain(to: argparse.ArgumentParser, what: str) -> None:
    """Say why the command does not do what it was asked to."""
    print(f"{to.prog}: {what}", file=sys.stderr)


def has_work(to: argparse.ArgumentParser, chosen: Sequence[object], rounds: int) -> bool:
    """Whether there is anything to measure; says so if not."""
    found = bool(chosen) and rounds >= 1
    if not found:
        complain(to, "nothing to measure (--list says what there is)")
    return found


def has_engine(to: argparse.ArgumentParser) -> bool:
    """Whether the jit engine runs here; says why if not."""
    reason = _engines.unavailable("jit")
    if reason is not None:
        complain(to, f"only the jit engine is worth measuring, and it cannot run here: {reason}")
    return reason is None


def heading(options: argparse.Namespace) -> dict[str, Any]:
    """What the JSON begins with."""
    return {"format": FORMAT, "machine": machine.describe(), "quick": options.quick}


def keep(found: Mapping[str, Any], file: Path | None) -> None:
    """Write what has been measured so far, if that is asked for."""
    if file is not None:
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


# -- jobs ------------------------------------------------------------------------------------------------------------


def take_turns(
    row: Row[ColumnT], name: str, ways: Mapping[ColumnT, Callable[[], tuple[Sample, Sample]]],
    titles: Mapping[ColumnT, str], rounds: int, progress: Progress,
) -> None:  # fmt: skip
    """Fill in the row, until something is wrong. A way does the job, and gives a sample of a run that does nothing, and one of
    the job."""
    for turn in range(-1, rounds):  # the first time loads what later ones find, and does not count
        for column, way in ways.items():
            progress(f"{name}: {max(turn, 0) + 1} of {rounds}, {titles[column]}")
            try:
                idle, sample = way()
            except (Failed, OSError, subprocess.TimeoutExpired, Error, Vx32Error) as error:
                row.remark = f"{titles[column]}: {error}"
                return
            if turn < 0:
                continue
            row.idle.setdefault(column, []).append(idle)
            row.runs.setdefault(column, []).append(sample)
            if sample.output != next(iter(row.runs.values()))[-1].output:
                row.remark = f"{titles[column]}: the output differs from the native one"
                return


def run(
    to: argparse.ArgumentParser, options: argparse.Namespace, jobs: Iterable[JobT], *,
    place: Callable[[Progress], AbstractContextManager[PlaceT]], unavailable: type[Exception],
    measure: Callable[[JobT, PlaceT, Progress], RowT], as_json: Callable[[RowT], dict[str, Any]],
    grids: Callable[[Sequence[RowT]], Sequence[tables.Grid]], draw: Callable[[Sequence[RowT], Path], None] | None = None,
) -> int:  # fmt: skip
    """Measure jobs, and show, write and draw what came of them: 1 if an output was wrong or nothing could be measured, 125
    where it cannot be done, which is what the exception ``unavailable`` of ``place`` says, 130 if it was interrupted."""
    if not has_engine(to):
        return 125
    head = heading(options)
    rows: list[RowT] = []
    status = 0
    try:
        with report.status() as progress, place(progress) as where:
            for job in jobs:
                rows.append(measure(job, where, progress))
                keep(head | {"jobs": [as_json(row) for row in rows]}, options.json)
    except unavailable as error:
        complain(to, str(error))
        return 125
    except KeyboardInterrupt:
        complain(to, "interrupted")
        status = INTERRUPTED
    found = grids(rows)
    tables.show(found)
    if options.write:
        options.write.write_text(tables.page(machine.lines(head["machine"]), found), encoding="utf-8")
    if draw is not None:
        for file in options.plot:
            draw(rows, file)
    return status or int(not rows or any(row.remark for row in rows))
