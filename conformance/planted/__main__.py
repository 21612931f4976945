"""The command: plant, hunt, reduce, and report."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

import click

from conformance.planted.bugs import BUGS
from conformance.planted.hunt import Examiner, Found, Reduced, assembly, hunt

#: The most instructions that a reduced case may have.
MOST: Final = 3
#: The least time for the control, in seconds.
_CONTROL: Final = 20.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one bug. ``others`` counts divergences that were not due to it."""

    bug: str
    found: Found | None
    reduced: Reduced | None
    others: int

    @property
    def good(self) -> bool:
        """Whether it was found and made small."""
        return self.reduced is not None and self.reduced.after <= MOST


def try_bug(bug: str, *, seconds: float, jobs: int, seed: int) -> Verdict:
    """Hunt one bug and reduce what the campaign finds first."""
    others = 0
    examiners: dict[tuple[str, ...], Examiner] = {}
    with ExitStack() as stack:
        hunting = stack.enter_context(closing(hunt(bug, seconds=seconds, jobs=jobs, seed=seed)))
        for found in hunting:
            names = found.shard.oracles
            if names not in examiners:
                examiners[names] = stack.enter_context(closing(Examiner(bug, names)))
            if examiners[names].is_due_to_the_bug(found.finding.text):
                hunting.close()
                return Verdict(bug, found, examiners[names].reduce(found.finding.text), others)
            others += 1
    return Verdict(bug, None, None, others)


def show(verdict: Verdict) -> None:
    """One bug, for people."""
    click.echo(f"{verdict.bug}: {BUGS[verdict.bug].what}")
    if verdict.found is None or verdict.reduced is None:
        click.echo("  NOT FOUND")
    else:
        found, reduced = verdict.found, verdict.reduced
        click.echo(
            f"  found after {found.seconds:.1f} s and {found.cases:,} cases, {found.shard.oracles[0]} and"
            f" {found.shard.oracles[-1]} on {found.finding.label!r}: {found.finding.cause.kinds}"
        )
        click.echo(
            f"  reduced from {reduced.before} instructions to {reduced.after}"
            f" ({reduced.executions:,} cases, {reduced.seconds:.1f} s):"
        )
        for line in assembly(reduced.text):
            click.echo(f"    {line}")
    if verdict.others:
        click.echo(f"  besides {verdict.others} divergences that are not due to it")


def show_table(verdicts: Sequence[Verdict]) -> None:
    """All of them in a table."""
    click.echo(f"\n{'bug':<14} {'found after':>11} {'cases':>9} {'instructions':>13}  reduced case")
    for verdict in verdicts:
        if verdict.found is None or verdict.reduced is None:
            click.echo(f"{verdict.bug:<14} {'not found':>11}")
            continue
        found, reduced = verdict.found, verdict.reduced
        change = f"{reduced.before} to {reduced.after}"
        code = "; ".join(assembly(reduced.text))
        click.echo(f"{verdict.bug:<14} {found.seconds:>9.1f} s {found.cases:>9,} {change:>13}  {code}")


def control(*, seconds: float, jobs: int, seed: int) -> list[Found]:
    """What a campaign finds without a bug."""
    return list(hunt("", seconds=seconds, jobs=jobs, seed=seed))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--time", "seconds", default=120.0, show_default=True, help="Seconds for each bug.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one for each processor]")
@click.option("--seed", default=1, show_default=True, help="What the cases are made from.")
@click.option("--no-control", is_flag=True, help="Leave out the campaign without a bug.")
@click.argument("names", metavar="[NAME]...", nargs=-1, type=click.Choice(list(BUGS)))
def main(names: tuple[str, ...], *, seconds: float, jobs: int | None, seed: int, no_control: bool) -> None:
    """Plant bugs, one at a time, and see whether a campaign finds them and the reducer makes them small.

    The exit code is 0 if it does, and if a campaign without a bug finds nothing.
    """
    jobs = jobs or len(os.sched_getaffinity(0))
    verdicts = []
    for name in names or BUGS:
        verdicts.append(try_bug(name, seconds=seconds, jobs=jobs, seed=seed))
        show(verdicts[-1])
    show_table(verdicts)
    good = all(verdict.good for verdict in verdicts)
    if not no_control:
        slowest = max((verdict.found.seconds for verdict in verdicts if verdict.found is not None), default=0.0)
        span = max(slowest, _CONTROL)
        false = control(seconds=span, jobs=jobs, seed=seed)
        click.echo(f"\ncontrol: {len(false) or 'no'} divergences in {span:.0f} s without a planted bug")
        for found in false:
            click.echo(f"  {found.finding.cause}")
        good = good and not false
    sys.exit(0 if good else 1)


main()
