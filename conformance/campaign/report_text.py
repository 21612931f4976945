"""A campaign's report on a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from conformance.campaign.coverage import Coverage

#: Divergences of which the differences are shown where nobody asks for all cases.
_SHOWN: Final = 10


def show(coverage: Coverage, console: Console, *, rows: bool = False, cases: bool = False) -> None:
    """Print the report; with ``rows`` a line for each row of the instruction table, with ``cases`` the case files."""
    plan = coverage.plan
    oracles = ", ".join(" / ".join(group) for group in plan.oracles)
    _say(console, f"{plan.kind} campaign, seed {plan.seed}, {oracles}; begun {coverage.started} on {coverage.host}")
    _speeds(coverage, console)
    _groups(coverage, console)
    if rows:
        _rows(coverage, console)
    else:
        _gaps(coverage, console)
    _explained(coverage, console)
    _findings(coverage, console, cases=cases)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _table(title: str, *headings: str, left: int = 1) -> Table:
    """A table whose first ``left`` columns are text and whose others are numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < left else "right")
    return table


def _add(table: Table, *cells: str | Text) -> None:
    """Add a row; what brackets a case has in its name is not markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def _headings(coverage: Coverage) -> list[str]:
    """The columns' names, with the others of their group where an oracle is in several."""
    counts = Counter(column.oracle for column in coverage.columns)
    groups = coverage.plan.oracles
    return [
        column.oracle if counts[column.oracle] == 1 else f"{column.oracle} of {'/'.join(groups[column.group])}"
        for column in coverage.columns
    ]


def _speeds(coverage: Coverage, console: Console) -> None:
    table = _table("Cases", "oracles", "cases", "shards", "process s", "cases/s")
    for oracles, totals in zip(coverage.plan.oracles, coverage.totals, strict=True):
        rate = totals.cases / totals.seconds if totals.seconds else 0.0
        _add(
            table,
            " / ".join(oracles),
            f"{totals.cases:,}",
            f"{totals.shards:,}",
            f"{totals.seconds:,.1f}",
            f"{rate:,.0f}",
        )
    if generating := sum(totals.generating for totals in coverage.totals):
        made = sum(totals.cases for totals in coverage.totals)
        _add(table, "  making the cases", f"{made:,}", "", f"{generating:,.1f}", f"{made / generating:,.0f}")
    for heading, speed in zip(_headings(coverage), coverage.speeds, strict=True):
        _add(table, f"  {heading}", f"{speed.judged:,}", "", f"{speed.seconds:,.1f}", f"{speed.rate:,.0f}")
    console.print(table)
    if lost := sum(totals.lost for totals in coverage.totals):
        _say(console, f"{lost} processes were lost without a case to blame; their shards were run again.\n")


def _groups(coverage: Coverage, console: Console) -> None:
    # The page has the cases of every oracle; here those of the first one stand for all.
    table = _table(
        "Coverage", "instructions", "rows", "by all", "by some", "by none", "refused", "cases", "divergences"
    )
    for group in coverage.groups:
        numbers = (group.rows, group.all, group.some, group.none, group.refused, group.cases[0], group.divergences)
        _add(table, group.name, *(f"{number:,}" for number in numbers))
    console.print(table)


def _rows(coverage: Coverage, console: Console) -> None:
    table = _table("Rows", "encoding", "mnemonic", "operands", *_headings(coverage), left=3)
    for row in coverage.rows:
        each = row.instruction
        cells = [f"{cell.cases:,}" if cell.cases else Text(cell.reason, "dim") for cell in row.cells]
        _add(table, each.opcode, each.mnemonic, each.operands or "none", *cells)
    console.print(table)


def _gaps(coverage: Coverage, console: Console) -> None:
    """The empty cells by reason, without their names."""
    table = _table("Rows without a case, by reason", "oracle", "reason", "rows", left=2)
    for number, heading in enumerate(_headings(coverage)):
        reasons = Counter(row.cells[number].reason for row in coverage.rows if not row.cells[number].cases)
        for reason, count in reasons.most_common():
            _add(table, heading, reason, f"{count:,}")
    if table.row_count:
        console.print(table)


def _explained(coverage: Coverage, console: Console) -> None:
    for title, explained in (("Not judged", coverage.unjudged), ("Compared inexactly", coverage.inexact)):
        if explained:
            table = _table(title, "oracles", "reason", "cases", left=2)
            for each in explained:
                _add(table, each.oracles, each.reason, f"{each.cases:,}")
            console.print(table)


def _findings(coverage: Coverage, console: Console, *, cases: bool) -> None:
    if not coverage.findings:
        _say(console, f"No divergence in {coverage.cases:,} cases.")
        return
    table = _table(
        f"Divergences: {_count(coverage.divergences, 'case')} of {_count(len(coverage.findings), 'cause')}",
        *("instruction", "encoding", "oracles", "difference", "cases"),
        left=4,
    )
    for finding in coverage.findings:
        cause = finding.cause
        encoding = coverage.rows[cause.row].instruction.opcode if cause.row >= 0 else ""
        _add(table, cause.subject, encoding, cause.oracles, cause.kinds, f"{finding.count:,}")
    console.print(table)
    for finding in coverage.findings if cases else coverage.findings[:_SHOWN]:
        _say(console, f"{finding.cause}; first in case {finding.number} of shard {finding.shard}, {finding.label}")
        for line in finding.found:
            _say(console, f"  {line}")
        if cases:
            _say(console, "\n" + finding.text)
    if not cases and len(coverage.findings) > _SHOWN:
        _say(
            console, f"… and {len(coverage.findings) - _SHOWN:,} more: report --cases shows all, --save DIR writes them"
        )
