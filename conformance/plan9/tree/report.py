"""What has come out, as a table for people: docs/plan9-programs.md."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance.plan9.tree.recipes import PROGRAMS
from reference.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from conformance.plan9.tree.comparing import Comparison

_HEAD = """# Programs of Plan 9's

`python -m conformance.plan9 tree` builds a tree for the kernel of `docs/plan9.md` to boot: {count} programs. Their sources are
those of Debian's package `9base` 6, which has them from plan9port, and plan9port from Plan 9; they are fetched when they are
needed and are no part of this repository. They are compiled for a 386 with an x87 and linked into a.outs. Of 9base's library they have
what does not depend on the system; what plan9port makes of Unix there is made of Plan 9's own calls
here (`conformance/plan9/tree/c`), with what rc, mk and sam ask of the system: the environment in `/env`, notes, wait messages,
descriptors in `/fd`. {ours} small commands are ours, as 9base leaves them to Unix.

`python -m conformance.plan9 programs` runs scripts with them, on the kernel and with Debian's build of the same sources for
Linux, and compares what they write and whether they end well; `--write` writes this file. What Linux cannot say (notes, statuses,
the environment, name spaces, descriptors, processes: the rows without a time on Linux) is compared with what the scripts themselves
expect, as Plan 9's manual has it. Seconds are wall-clock, of all cases together, and on the kernel they have the time in which each
program's code is translated first. `programs stress` runs what takes longer: six hundred processes at a time, pipelines of a hundred, fifty
megabytes sorted, ten thousand files, parallel builds.

| program | cases | agree | s on the kernel | s on Linux |
|---|---:|---:|---:|---:|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A program, how many cases it has, how many agree, and the seconds that they took."""

    program: str
    cases: int
    agree: int
    plan9: float
    linux: float


def rows(done: Iterable[Comparison]) -> list[Row]:
    """By program."""
    found: dict[str, list[Comparison]] = {}
    for each in done:
        found.setdefault(each.case.program, []).append(each)
    return [_row(program, group) for program, group in sorted(found.items())]


def _row(program: str, group: Sequence[Comparison]) -> Row:
    seconds = (sum(each.plan9.seconds for each in group), sum(each.linux.seconds for each in group))
    return Row(program, len(group), sum(each.agree for each in group), *seconds)


def text(table: Sequence[Row], done: Sequence[Comparison]) -> str:
    """The document."""
    ours = sum(recipe.files[0].startswith("@") for recipe in PROGRAMS.values())
    head = _HEAD.format(count=len(PROGRAMS), ours=ours)
    lines = [
        f"| {row.program} | {row.cases} | {row.agree} | {row.plan9:.1f} | {f'{row.linux:.1f}' if row.linux else '-'} |"
        for row in table
    ]
    total = f"| all | {len(done)} | {sum(row.agree for row in table)} | {sum(row.plan9 for row in table):.1f} | "
    lines.append(total + f"{sum(row.linux for row in table):.1f} |")
    differing = [each for each in done if not each.agree]
    if differing:
        lines += ["", "## What differs", ""]
        lines += [f"* {each.case.title}: {each.case.differs or each.problem}" for each in differing]
    about = {word for row in table for word in row.program.replace(",", "").split()}
    about |= set(re.findall(r"\w+", " ".join(each.case.script for each in done)))
    without = sorted(set(PROGRAMS) - about)
    if without:
        lines += ["", "In no case: " + ", ".join(f"`{name}`" for name in without) + "."]
    return head + "\n".join(lines) + "\n"
