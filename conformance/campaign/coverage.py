"""What a store says, cell by cell: instructions by oracles, with a number or a reason in each.

A report that shows what was compared must not be silent about what was not. So every cell without a case has a reason: the
campaign did not ask for the instruction, the oracle cannot judge it, no engine executes it, or chance has not come upon
it yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from conformance import tolerance
from conformance.campaign.finding import Finding
from conformance.campaign.plan import Plan
from conformance.campaign.store import Store, TableRow, Totals

NOT_ASKED_FOR: Final = "not asked for"
NOTHING_RAN: Final = "nothing has run"
NO_OUTCOME: Final = "its cases ended before this oracle's turn"
REFUSED: Final = "refused: to a guest it is an invalid opcode"
NOT_YET: Final = "no case made of it yet"


@dataclass(frozen=True, slots=True)
class Column:
    """An oracle of a group of oracles."""

    group: int
    oracle: str


@dataclass(frozen=True, slots=True)
class Cell:
    """How many cases an oracle judged, or why none."""

    cases: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """A row of the instruction table with a cell for each column. ``inexact`` is why its results are compared inexactly,
    empty for most."""

    instruction: TableRow
    cells: tuple[Cell, ...]
    inexact: str

    @property
    def judged_by(self) -> int:
        """How many columns have cases."""
        return sum(cell.cases > 0 for cell in self.cells)


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """A group of instructions: how many rows all oracles have judged, some have, none has, and how many are ``refused``,
    so that nobody can; and cases by column."""

    name: str
    all: int
    some: int
    none: int
    refused: int
    cases: tuple[int, ...]
    divergences: int

    @property
    def rows(self) -> int:
        """All that could be judged."""
        return self.all + self.some + self.none


@dataclass(frozen=True, slots=True)
class Speed:
    """``judged`` cases by one oracle in ``seconds`` of one process. (Cases by rows add up to more: a sequence of
    instructions counts for the row of each.)"""

    column: Column
    judged: int
    seconds: float

    @property
    def rate(self) -> float:
        """Cases a second; 0 where nothing was measured."""
        return self.judged / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Explained:
    """What was not compared, or not exactly, and why; in how many cases."""

    oracles: str
    reason: str
    cases: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Everything that a report shows."""

    plan: Plan
    host: str
    started: str
    totals: list[Totals]
    columns: list[Column]
    rows: list[CoverageRow]
    groups: list[GroupSummary]
    speeds: list[Speed]
    unjudged: list[Explained]
    inexact: list[Explained]
    findings: list[Finding]

    @property
    def cases(self) -> int:
        """Cases of all groups of oracles."""
        return sum(totals.cases for totals in self.totals)

    @property
    def divergences(self) -> int:
        """Cases that oracles disagree about, or that killed one."""
        return sum(finding.count for finding in self.findings)

    @property
    def rows_to_judge(self) -> int:
        """Rows that are not refused."""
        return sum(group.rows for group in self.groups)

    @property
    def rows_judged(self) -> int:
        """Rows that any oracle has judged."""
        return sum(row.judged_by > 0 for row in self.rows)


def coverage_of(store: Store) -> Coverage:
    """What a store says."""
    plan, totals, judged = store.plan, store.totals(), store.judged()
    columns = [Column(group, oracle) for group, oracles in enumerate(plan.oracles) for oracle in oracles]
    findings = store.findings()
    reason = _reasons(store, totals, judged)
    rows = [
        CoverageRow(
            row,
            tuple(
                Cell(cases)
                if (cases := judged.get((column.group, column.oracle), {}).get(row.number, 0))
                else Cell(0, reason(row, column))
                for column in columns
            ),
            (tolerance.reason(row.mnemonic) or "") if plan.kind == "isa" else "",
        )
        for row in store.table()
    ]
    seconds, unjudged = store.seconds(), store.unjudged()
    return Coverage(
        plan,
        *store.made(),
        totals,
        columns,
        rows,
        _by_group(plan, rows, findings),
        [
            Speed(
                column,
                totals[column.group].cases
                - totals[column.group].killed
                - sum(unjudged.get((column.group, column.oracle), {}).values()),
                seconds.get((column.group, column.oracle), 0.0),
            )
            for column in columns
        ],
        [
            Explained(f"{oracle} of {' / '.join(plan.oracles[group])}", why, cases)
            for (group, oracle), reasons in sorted(unjudged.items())
            for why, cases in reasons.items()
        ],
        _inexact_cases(plan, rows, columns),
        findings,
    )


def _reasons(
    store: Store, totals: list[Totals], judged: dict[tuple[int, str], dict[int, int]]
) -> Callable[[TableRow, Column], str]:
    plan, reasons = store.plan, store.reasons()

    def reason(row: TableRow, column: Column) -> str:
        if plan.rows is not None and row.number not in plan.rows:
            return NOT_ASKED_FOR
        if totals[column.group].cases == 0:
            return NOTHING_RAN
        if why := reasons.get((column.group, column.oracle), {}).get(row.number):
            return why
        if any(row.number in judged.get((column.group, other), {}) for other in plan.oracles[column.group]):
            return NO_OUTCOME
        return NOT_YET if plan.covers(row.number, refused=row.refused) else REFUSED

    return reason


def _by_group(plan: Plan, rows: list[CoverageRow], findings: list[Finding]) -> list[GroupSummary]:
    summaries = []
    for name in dict.fromkeys(row.instruction.group for row in rows):
        own = [row for row in rows if row.instruction.group == name]
        numbers = {row.instruction.number for row in own}
        full = sum(row.judged_by == len(row.cells) for row in own)
        refused = sum(plan.kind == "isa" and row.instruction.refused for row in own)
        none = sum(row.judged_by == 0 for row in own) - refused
        summaries.append(
            GroupSummary(
                name,
                full,
                len(own) - full - none - refused,
                none,
                refused,
                tuple(map(sum, zip(*([cell.cases for cell in row.cells] for row in own), strict=True))),
                sum(finding.count for finding in findings if finding.cause.row in numbers),
            )
        )
    return summaries


def _inexact_cases(plan: Plan, rows: list[CoverageRow], columns: list[Column]) -> list[Explained]:
    """For each reason, the cases compared inexactly: those that the last oracle of a group judged."""
    reasons = sorted({row.inexact for row in rows} - {""})
    found = [
        Explained(" / ".join(oracles), why, sum(row.cells[last].cases for row in rows if row.inexact == why))
        for group, oracles in enumerate(plan.oracles)
        for last in [columns.index(Column(group, oracles[-1]))]
        for why in reasons
    ]
    return [each for each in found if each.cases]
