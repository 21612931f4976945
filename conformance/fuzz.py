"""``vx32py fuzz``: differential campaigns from the command line. :mod:`conformance.campaign` does the work."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import fields
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from vx32py.cli import EXIT_SIGNAL, EXIT_USAGE, fail

if TYPE_CHECKING:
    from rich.console import Console

    from conformance.campaign.local import Runner
    from conformance.campaign.plan import Plan
    from conformance.campaign.store import Store
    from conformance.case import Case
    from conformance.outcome import Outcome

#: The exit code where oracles disagree.
EXIT_DIVERGENCE: Final = 1
#: Cases of each group of oracles where nobody says how many, nor for how long.
_CASES: Final = 100_000
_PROGRAM: Final = "fuzz"

_EPILOG: Final = """\b
Examples:
  vx32py fuzz isa                                 100,000 cases on the oracles that this host has
  vx32py fuzz isa --time 3600 --store night.db    an hour, kept in a file
  vx32py fuzz isa --resume --store night.db       go on after Ctrl-C, a crash, or a reboot
  vx32py fuzz report night.db --html night.html   what was compared, and what was not and why
  vx32py fuzz replay found/*.case                 one case again, on every oracle

\b
Exit codes: 0 if all oracles agree, 1 if not, 2 for wrong usage, 125 where an oracle cannot run, 130 after Ctrl-C.
"""

_CAMPAIGN_EPILOG: Final = """\b
Examples:
  vx32py fuzz {kind} --seed 7 --count 450000 --jobs 4
  vx32py fuzz {kind} --oracles reference,jit --oracles reference,unicorn --time 600
  vx32py fuzz {kind} --groups x87,sse2 --rows fsin,1204
  vx32py fuzz {kind} --time 3600 --store night.db --save found --html night.html
  vx32py fuzz {kind} --resume --store night.db --count 1000000
  vx32py fuzz {kind} --count 1000000 --store big.db --cluster tcp://10.0.0.5:8786

\b
The first oracle of a group is compared with each of the others. Equal seeds give equal cases and equal results, whatever
--jobs is. A case that kills its process, or hangs, is a divergence; the campaign goes on without it. What has one cause
(the instruction, the oracles, the kinds of difference) is kept once, with the first case of it and a count.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command; the exit code."""
    try:
        code = fuzz.main(args=None if argv is None else list(argv), prog_name="vx32py fuzz", standalone_mode=False)
    except SystemExit as end:
        code = end.code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:  # Ctrl-C; click's own code for it, 1, is taken
        code = EXIT_SIGNAL + signal.SIGINT
    return code if isinstance(code, int) else 0


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def fuzz() -> None:
    """Compare oracles on generated cases: the specification, the native engine, the bare processor, Unicorn."""


# -- campaigns -------------------------------------------------------------------------------------------------------


def _names(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Names with commas between them as a tuple; a tuple of such tuples where the option may be given several times."""
    if not value:
        return ()
    if isinstance(value, tuple):
        return tuple(_names(context, option, each) for each in value)
    names = tuple(name.strip() for name in value.split(","))
    if not all(names):
        raise click.BadParameter(f"an empty name in {value!r}", context, option)
    return names


def _campaign_options(function: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option("--seed", type=click.IntRange(min=0), help="What the cases are made from.  [default: 1]"),
        click.option(
            "--count", type=click.IntRange(min=1), metavar="N", help=f"So many cases.  [default: {_CASES:,} without --time]"
        ),
        click.option(
            "--time", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="No new shard after so long."
        ),
        click.option(
            "--jobs", type=click.IntRange(min=1), metavar="N", help="Processes.  [default: one for each processor]"
        ),
        click.option(
            "--oracles", callback=_names, multiple=True, metavar="A,B[,…]", help="Oracles to compare; may be given again."
        ),
        click.option("--groups", callback=_names, metavar="NAMES", help="Only these groups of instructions."),
        click.option(
            "--rows", callback=_names, metavar="NAMES", help="Only these mnemonics, or rows of the table."
        ),
        click.option("--patience", type=click.FloatRange(min=0.1), default=10.0, show_default=True, metavar="SECONDS",
                     help="A case that takes longer hangs."),
        click.option("--store", metavar="FILE", help="Keep the campaign in this file."),
        click.option("--resume", is_flag=True, help="Go on with the campaign in --store."),
        click.option("--cluster", metavar="ADDRESS", help="Run on the Dask cluster with this scheduler."),
        click.option("--save", metavar="DIR", help="Write a case file for each divergence there."),
        click.option("--html", metavar="FILE", help="Write a report as a page."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@fuzz.command(epilog=_CAMPAIGN_EPILOG.format(kind="isa"))
@_campaign_options
def isa(**options: Any) -> None:
    """Single instructions: every row of the instruction table, with boundary and random operands."""
    _campaign("isa", options)


@fuzz.command(epilog=_CAMPAIGN_EPILOG.format(kind="translate"))
@_campaign_options
def translate(**options: Any) -> None:
    """Whole pieces of guest code: what translation makes of several instructions together."""
    _campaign("translate", options)


def _campaign(kind: str, options: dict[str, Any]) -> None:
    """Run a campaign and report; does not return."""
    from rich.console import Console

    from conformance.campaign.progress import Progress
    from conformance.campaign.run import run_campaign
    from conformance.campaign.shard import CannotRun
    from conformance.campaign.store import StoreError

    console = Console(stderr=True)
    interrupted = False
    with ExitStack() as stack:
        try:
            _check_writable(options["html"], options["save"])
            plan = None if options["resume"] else _new_plan(kind, options)
            if plan is not None:
                _check_oracles(plan, remote=options["cluster"] is not None)
            store = stack.enter_context(_open_store(kind, plan, options))
            _check_oracles(store.plan, remote=options["cluster"] is not None)
            cases = _goal(store, options)
            runner = stack.enter_context(closing(_runner(store.plan, options)))
            progress = Progress(store, console, where=runner.where, cases=cases, seconds=options["seconds"])
            try:
                with progress:
                    run_campaign(store, runner, progress, cases=cases, seconds=options["seconds"])
            except KeyboardInterrupt:
                interrupted = True
                runner.close()
            failed = _report(store, console, html=options["html"], save=options["save"])
        except StoreError as error:
            fail(_PROGRAM, error, EXIT_USAGE)
        except CannotRun as error:
            fail(_PROGRAM, error)
        except OSError as error:
            fail(_PROGRAM, f"{error.filename}: {error.strerror}" if error.filename else error, EXIT_USAGE)
        if interrupted:
            kept = f"; --resume --store {store.path} goes on" if options["store"] else ""
            fail(_PROGRAM, f"interrupted{kept}", EXIT_SIGNAL + signal.SIGINT)
        if failed:
            sys.exit(EXIT_DIVERGENCE)
        _check_that_something_was_compared(store)
    sys.exit(0)


def _check_writable(html: str | None, save: str | None) -> None:
    """Hours of work are not to end in a file that cannot be written."""
    if html is not None:
        with open(html, "a", encoding="utf-8"):
            pass
    if save is not None:
        Path(save).mkdir(parents=True, exist_ok=True)


def _new_plan(kind: str, options: dict[str, Any]) -> Plan:
    from conformance.campaign.plan import DEFAULT_ORACLES, FALLBACK_ORACLES, KINDS, Plan, select_rows, shard_cases

    module = import_module(KINDS[kind])
    try:
        rows = select_rows(options["groups"], options["rows"])
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if rows is not None and "rows" not in {field.name for field in fields(module.Task)}:
        raise click.UsageError(f"the generator of {kind} does not choose by instruction: no --groups, no --rows")
    groups = options["oracles"] or tuple(
        group for group in DEFAULT_ORACLES[kind] if all(_unavailable(kind, oracle) is None for oracle in group)
    )
    return Plan(
        kind,
        1 if options["seed"] is None else options["seed"],
        groups or FALLBACK_ORACLES.get(kind, DEFAULT_ORACLES[kind]),
        shard_cases(kind),
        rows,
    )


def _unavailable(kind: str, oracle: str) -> str | None:
    """Why this host does not have an oracle. A kind may have oracles of its own."""
    from conformance import oracles
    from conformance.campaign.plan import KINDS

    available: Callable[[str], str | None] = getattr(import_module(KINDS[kind]), "available", oracles.available)
    try:
        return available(oracle)
    except ValueError as error:
        raise click.UsageError(f"--oracles: {error}") from error


def _check_oracles(plan: Plan, *, remote: bool) -> None:
    for group in plan.oracles:
        if len(set(group)) < max(2, len(group)):
            raise click.UsageError(f"--oracles {','.join(group)}: two different ones at least")
        for oracle in group:
            reason = _unavailable(plan.kind, oracle)
            if reason is not None and not remote:
                fail(_PROGRAM, f"the {oracle} oracle cannot run here: {reason}")


def _open_store(kind: str, plan: Plan | None, options: dict[str, Any]) -> Store:
    from conformance.campaign.store import Store

    if plan is not None:
        return Store.create(options["store"] or ":memory:", plan)
    if options["store"] is None:
        raise click.UsageError("--resume goes on with the campaign in --store FILE: which?")
    store = Store.open(options["store"])
    try:
        _check_resumed(kind, store, options)
    except BaseException:
        store.close()
        raise
    return store


def _check_resumed(kind: str, store: Store, options: dict[str, Any]) -> None:
    """What the results depend on is in the store; options may repeat it, not change it."""
    for option, here, there in (
        ("the command", kind, store.plan.kind),
        ("--seed", options["seed"], store.plan.seed),
        ("--oracles", options["oracles"] or None, store.plan.oracles),
    ):
        if here is not None and here != there:
            raise click.UsageError(f"{option} is {here!r}, but that of the campaign in {store.path} is {there!r}")
    if options["groups"] or options["rows"]:
        raise click.UsageError(f"--groups and --rows are those of the campaign in {store.path}")
    store.check_table()


def _goal(store: Store, options: dict[str, Any]) -> int | None:
    """How many cases there are to be; kept in the store for those who resume."""
    cases: int | None = options["count"]
    if cases is None:
        cases = store.goal()
    if cases is None and options["seconds"] is None:
        if options["resume"]:
            raise click.UsageError("how much further? --count N or --time SECONDS")
        cases = _CASES
    store.set_goal(cases)
    return cases


def _runner(plan: Plan, options: dict[str, Any]) -> Runner:
    if options["cluster"] is not None:
        from conformance.campaign.cluster import ClusterRunner

        return ClusterRunner(options["cluster"], patience=options["patience"])
    from conformance.campaign.local import LocalRunner
    from conformance.campaign.plan import KINDS

    jobs = options["jobs"] or (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1)
    return LocalRunner(jobs, (KINDS[plan.kind],), patience=options["patience"])


def _check_that_something_was_compared(store: Store) -> None:
    """Silence is not agreement."""
    judged, unjudged = store.judged(), store.unjudged()
    for group, (oracles, totals) in enumerate(zip(store.plan.oracles, store.totals(), strict=True)):
        for oracle in oracles:
            if not judged.get((group, oracle)):
                reasons = ", ".join(unjudged.get((group, oracle), {})) or "there was no time for any"
                fail(_PROGRAM, f"{oracle} judged none of the {totals.cases:,} cases: {reasons}")


# -- reports ---------------------------------------------------------------------------------------------------------


@fuzz.command(
    epilog="""\b
Examples:
  vx32py fuzz report night.db                    coverage, speed, exceptions, divergences
  vx32py fuzz report night.db --rows | less -R   every row of the instruction table
  vx32py fuzz report night.db --cases            with the case files
  vx32py fuzz report night.db --html night.html --save found
"""
)
@click.option("--rows", is_flag=True, help="A line for each row of the instruction table.")
@click.option("--cases", is_flag=True, help="Show the case files of divergences.")
@click.option("--save", metavar="DIR", help="Write a case file for each divergence there.")
@click.option("--html", metavar="FILE", help="Write the report as a page.")
@click.argument("store", metavar="STORE")
def report(store: str, *, rows: bool, cases: bool, save: str | None, html: str | None) -> None:
    """What the campaign in STORE has compared, what it has not and why, and what it has found.

    The exit code is 1 if it has found a divergence.
    """
    from rich.console import Console

    from conformance.campaign.store import Store, StoreError

    try:
        with Store.open(store) as opened:
            _check_writable(html, save)
            failed = _report(opened, Console(stderr=True), html=html, save=save, rows=rows, cases=cases)
    except StoreError as error:
        fail(_PROGRAM, error, EXIT_USAGE)
    except OSError as error:
        fail(_PROGRAM, f"{error.filename}: {error.strerror}", EXIT_USAGE)
    sys.exit(EXIT_DIVERGENCE if failed else 0)


def _report(
    store: Store,
    notes: Console,
    *,
    html: str | None,
    save: str | None,
    rows: bool = False,
    cases: bool = False,
) -> bool:
    """Report in all ways asked for; whether there is a divergence."""
    from rich.console import Console

    from conformance.campaign import report_html, report_text
    from conformance.campaign.coverage import coverage_of

    coverage = coverage_of(store)
    report_text.show(coverage, Console(), rows=rows, cases=cases)
    if html is not None:
        Path(html).write_text(report_html.page(coverage), encoding="utf-8")
        notes.print(f"report in {html}", highlight=False, markup=False, soft_wrap=True)
    if save is not None:
        for finding in coverage.findings:
            words = re.sub(r"[^a-z0-9]+", "-", f"{finding.cause.subject} {finding.cause.kinds}".lower()).strip("-")
            digest = sha256(repr(finding.cause).encode()).hexdigest()[:8]
            (Path(save) / f"{words[:60]}-{digest}.case").write_text(finding.text, encoding="utf-8")
        notes.print(f"case files in {save}: {len(coverage.findings)}", highlight=False, markup=False, soft_wrap=True)
    return bool(coverage.findings)


# -- single cases ----------------------------------------------------------------------------------------------------


@fuzz.command(
    epilog="""\b
Examples:
  vx32py fuzz replay found/fyl2x-flags-1f3a0c77.case
  vx32py fuzz replay --oracles reference,jit,unicorn found/*.case
"""
)
@click.option("--oracles", callback=_names, metavar="A,B[,…]", help="Only these.  [default: all]")
@click.option("--patience", type=click.FloatRange(min=0.1), default=10.0, show_default=True, metavar="SECONDS")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def replay(files: tuple[str, ...], oracles: tuple[str, ...], patience: float) -> None:
    """Run the case in each FILE again on every oracle, and compare.

    The exit code is 1 if an oracle disagrees with the outcome in the file, or with another oracle, or dies.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from conformance.campaign.replay import Replayer

    cases = [_read_case(path) for path in files]
    _check_names([case for case, _ in cases], oracles)
    failed = False
    console = Console()
    with closing(Replayer(oracles, patience=patience)) as replayer:
        for path, (case, expected) in zip(files, cases, strict=True):
            table = Table(
                title=Text(f"{path}: {case.label}"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
            )
            table.add_column("oracle")
            table.add_column("result")
            verdicts = replayer.run(case, expected)
            for verdict in verdicts:
                table.add_row(verdict.oracle, Text(str(verdict), "bold red" if verdict.disagrees else ""))
            console.print(table)
            if all(verdict.silence for verdict in verdicts):
                fail(path, "no oracle has anything to say about it")
            failed |= any(verdict.disagrees for verdict in verdicts)
    sys.exit(EXIT_DIVERGENCE if failed else 0)


@fuzz.command(
    epilog="""\b
Examples:
  vx32py fuzz reduce found/fyl2x-flags-1f3a0c77.case
  vx32py fuzz reduce found/fyl2x-flags-1f3a0c77.case -o tests/regressions/fyl2x.case
"""
)
@click.option("--oracles", callback=_names, metavar="A,B[,…]", help="Only these.  [default: all]")
@click.option("--patience", type=click.FloatRange(min=0.1), default=10.0, show_default=True, metavar="SECONDS")
@click.option("-o", "--output", metavar="FILE", help="Write the case there instead of to stdout.")
@click.argument("file", metavar="FILE")
def reduce(file: str, oracles: tuple[str, ...], patience: float, output: str | None) -> None:
    """Make the case in FILE smaller, as long as the same oracles disagree about the same kinds of things."""
    from conformance import case_file
    from conformance import reduce as reducer
    from conformance.campaign.replay import Replayer
    from conformance.reduce.cause import SameCause

    case, _ = _read_case(file)
    _check_names([case], oracles)
    with closing(Replayer(oracles, patience=patience)) as replayer:
        symptoms = replayer.symptoms(case)
        if not symptoms:
            fail(file, "no oracle disagrees with another", EXIT_DIVERGENCE)
        click.echo(f"{file}: {symptoms}", err=True)
        small = reducer.reduce(case, SameCause(replayer.symptoms))
        standard = next((verdict.outcome for verdict in replayer.run(small) if verdict.outcome is not None), None)
    text = case_file.dumps(small, standard)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        fail(output, error.strerror or error, EXIT_USAGE)


def _check_names(cases: Sequence[Case], oracles: tuple[str, ...]) -> None:
    from conformance.campaign.replay import kind_of, oracles_for

    for case in cases:
        known = oracles_for(kind_of(case))
        for name in oracles:
            if name not in known:
                raise click.UsageError(f"--oracles: no oracle {name!r} for {case.label}: there are {', '.join(known)}")


def _read_case(path: str) -> tuple[Case, Outcome | None]:
    from conformance import case_file

    try:
        return case_file.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        fail(path, error.strerror or error, EXIT_USAGE)
    except ValueError as error:  # CaseFileError, or bytes that are no text
        fail(path, error, EXIT_USAGE)


if __name__ == "__main__":
    sys.exit(main())
