"""What was measured: rows of samples, figures of the host side, the arithmetic on both, and how they are kept as JSON.

A file of results is whole after every row, so that a run can be interrupted and taken up again (:func:`from_json`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from conformance.paper import samples
from conformance.paper.columns import COLUMNS, Column
from conformance.paper.programs import PROGRAMS, Kind, Program
from conformance.paper.samples import Sample

#: A version number for readers of :func:`as_json`.
FORMAT: Final = 2


@dataclass
class Row:
    """A program's samples in each column, one a round; and those of runs in which it only starts and ends.

    ``missing`` says why a column is empty; ``remark`` why the row is, or what is wrong with it; ``built`` how its programs
    were made. A column may have fewer rounds than others: the first ones.
    """

    program: Program
    runs: dict[Column, list[Sample]] = field(default_factory=dict)
    idle: dict[Column, list[Sample]] = field(default_factory=dict)
    missing: dict[Column, str] = field(default_factory=dict)
    remark: str = ""
    built: dict[str, str] = field(default_factory=dict)

    def ratios(self, column: Column = "guest", attribute: str = "cpu", *, over: Column = "native") -> list[float]:
        """One column over another, of each round."""
        return samples.ratios(self.runs.get(column, []), self.runs.get(over, []), attribute)

    def at_work(self, column: Column = "guest", *, over: Column = "native") -> list[float]:
        """The same without starting and ending: less the medians of runs that do nothing else."""
        if self.program.repeat > 1:
            return []
        idle = self.idle.get(column, []), self.idle.get(over, [])
        return samples.ratios_at_work(self.runs.get(column, []), self.runs.get(over, []), idle)

    def best(self, column: Column = "guest", *, over: Column = "native") -> float | None:
        """The ratio that bars and means use: at work, where the program can be idle, else the whole."""
        found = self.at_work(column, over=over) or self.ratios(column, over=over)
        return statistics.median(found) if found else None


@dataclass(frozen=True)
class Figure:
    """A figure of the host side: the median of several, the lowest and the highest; or a remark instead."""

    name: str
    unit: str
    values: tuple[float, ...] = ()
    remark: str = ""

    @property
    def value(self) -> float | None:
        """The median."""
        return statistics.median(self.values) if self.values else None


@dataclass
class Results:
    """Everything that one run of the evaluation found out, with ``rounds`` rounds at most, on the ``machine`` that
    :mod:`conformance.paper.machine` describes."""

    machine: dict[str, Any]
    quick: bool
    rounds: int
    rows: list[Row] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def row(self, name: str) -> Row | None:
        """The row of a name, if it was measured."""
        return next((row for row in self.rows if row.program.name == name and row.runs.get("guest")), None)

    def add(self, row: Row) -> None:
        """Add a row, in the place of one with that name; rows are in the order in which programs are listed."""
        order = [program.name for program in PROGRAMS]
        self.rows = [each for each in self.rows if each.program.name != row.program.name] + [row]
        self.rows.sort(key=lambda each: order.index(each.program.name))

    def add_figure(self, figure: Figure) -> None:
        """Add a figure of the host side, in the place of one with that name."""
        self.figures = [each for each in self.figures if each.name != figure.name] + [figure]

    def of_kind(self, kind: Kind) -> list[Row]:
        """All rows of a kind that were measured."""
        return [row for row in self.rows if row.program.kind == kind and row.runs.get("guest")]

    def figure(self, name: str) -> float | None:
        """The median of a figure of the host side, if it was measured."""
        return next((figure.value for figure in self.figures if figure.name == name), None)


def geometric_mean(values: Iterable[float]) -> float | None:
    """None of nothing."""
    logarithms = [math.log(value) for value in values]
    return math.exp(statistics.fmean(logarithms)) if logarithms else None


def as_json(results: Results) -> dict[str, Any]:
    """Everything, as what JSON has: seconds of every run, the ratio of each pair, its median and spread, and the aims."""
    from conformance.paper.bars import judge

    return {
        "format": FORMAT,
        "machine": results.machine,
        "quick": results.quick,
        "rounds": results.rounds,
        "programs": [_row(row) for row in results.rows],
        "host": [
            {"name": f.name, "unit": f.unit, "median": f.value, "values": list(f.values), "remark": f.remark}
            for f in results.figures
        ],
        "bars": [
            {
                "aim": v.bar.title, "limit": v.bar.limit, "unit": v.bar.unit, "sense": v.bar.sense, "value": v.value,
                "met": v.met,
            }
            for v in judge(results)
        ],
    }  # fmt: skip


def from_json(read: Mapping[str, Any]) -> Results:
    """What :func:`as_json` was made of, but for what programs printed. Programs that are no longer measured are left out.

    Raises ValueError for another format.
    """
    if read.get("format") != FORMAT:
        raise ValueError(f"results of format {read.get('format')}, not {FORMAT}")
    known = {program.name: program for program in PROGRAMS}
    return Results(
        machine=read["machine"],
        quick=read["quick"],
        rounds=read["rounds"],
        rows=[_row_of(known[row["name"]], row) for row in read["programs"] if row["name"] in known],
        figures=[Figure(f["name"], f["unit"], tuple(f["values"]), f["remark"]) for f in read["host"]],
    )


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.program.name,
        "kind": row.program.kind,
        "remark": row.remark,
        "built": row.built,
        "columns": {column: _column(row, column) for column in COLUMNS if row.runs.get(column)},
        "missing": row.missing,
    }


def _column(row: Row, column: Column) -> dict[str, Any]:
    found = row.runs[column]
    return samples.seconds(found, row.idle.get(column, [])) | {
        "translating": [sample.translating for sample in found],
        "calls": [sample.calls for sample in found],
        "ratio": spread(row.ratios(column)),
        "ratio_at_work": spread(row.at_work(column)),
        "ratio_wall": spread(row.ratios(column, "wall")),
    }


def _row_of(program: Program, read: Mapping[str, Any]) -> Row:
    columns = read["columns"]
    row = Row(program, missing=read["missing"], remark=read["remark"], built=read["built"])
    for column in COLUMNS:
        if column in columns:
            held = columns[column]
            times = zip(held["cpu"], held["wall"], held["translating"], held["calls"], strict=True)
            row.runs[column] = [Sample(cpu, wall, b"", *more) for cpu, wall, *more in times]
            row.idle[column] = [Sample(cpu, cpu, b"") for cpu in held["idle_cpu"]]
    return row


def spread(values: Sequence[float]) -> dict[str, Any] | None:
    """Median, lowest and highest, and all of them."""
    if not values:
        return None
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "each": list(values)}
