"""The command line of ``python -m conformance.plan9``."""

from __future__ import annotations

import click

from conformance.plan9 import cases, golang
from conformance.plan9.soak.command import soak
from conformance.plan9.tree.command import tree

_EPILOG = """\b
Examples:
  python -m conformance.plan9                          all Go programs
  python -m conformance.plan9 run files digests        some of them
  python -m conformance.plan9 gotests --packages sort  tests of Go's own library
  python -m conformance.plan9 gotests --write          all of them, and docs/plan9-go.md
  python -m conformance.plan9 soak --minutes 10        hundreds of processes for a long time
"""


def progress(line: str) -> None:
    """Say what goes on."""
    click.echo(line, err=True)


@click.group(
    invoke_without_command=True, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)  # fmt: skip
@click.pass_context
def main(context: click.Context) -> None:
    """Real programs of Plan 9's, made by Go's compiler, on the kernel; without a command all programs are run."""
    if context.invoked_subcommand is None:
        context.invoke(run)


@main.command()
@click.option("--engine", default="auto", help="auto, jit, translated or reference")
@click.option("--list", "listing", is_flag=True, help="Say which programs there are.")
@click.argument("names", nargs=-1, metavar="[PROGRAM]...")
def run(names: tuple[str, ...] = (), engine: str = "auto", listing: bool = False) -> None:
    """Build Go programs, run each on the kernel and, where that says what it should do, on Linux. The exit code is 1 if one
    does not do what it should, 2 without Go."""
    from conformance.plan9 import programs

    try:
        chosen = cases.chosen(names)
    except KeyError as error:
        raise click.UsageError(f"no program is called {error.args[0]}; --list says which are") from None
    wrong = 0
    for case in chosen:
        if listing:
            click.echo(case.title)
            continue
        try:
            outcome = programs.compare(case, engine, progress)
        except golang.Unavailable as error:
            raise click.UsageError(str(error)) from None
        wrong += bool(outcome.problem)
        native = f"{outcome.native:6.2f}" if outcome.native is not None else "     -"
        click.echo(f"{outcome.name:18} {outcome.seconds:6.2f} s {native} s  {outcome.problem or 'as it should be'}")
    raise SystemExit(1 if wrong else 0)


main.add_command(tree)
main.add_command(soak)
