"""``python -m conformance.decoders``: every case on tens of megabytes, small ones on every engine; a table of what came out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Final

import click

import vx32py
from conformance.decoders import cases, making
from conformance.decoders.cases import CASES, LARGE, MEDIUM, SMALL, Case, Size
from reference.policy import Group, Policy
from vx32py import _engines, decoders

SIZES: Final = {size.name: size for size in (SMALL, MEDIUM, LARGE)}
#: Integers and SSE2 are all that a decoder may need.
POLICY: Final = Policy(frozenset({Group.BASE, Group.CMOV, Group.SSE, Group.SSE2}), reproducible=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[NAMES]...")
@click.option(
    "--size", type=click.Choice(list(SIZES)), default="large", show_default=True, help="How large the files are."
)
@click.option("--engines", is_flag=True, help="Small files, on every engine that runs here.")
def main(names: tuple[str, ...], size: str, engines: bool) -> None:
    """Decode files that Debian's tools made, and compare with what those tools decode.

    NAMES are decoders, or parts of the names of cases; without any all cases run. The table has the size of the file and
    of what came out of it, the guest's memory, and how long it took: one run each, and no measurement. The exit code is 1
    if anything came out wrong.

    \b
    Examples:
      python -m conformance.decoders
      python -m conformance.decoders flac vorbis
      python -m conformance.decoders --engines
    """
    chosen = [case for case in CASES if not names or any(name in case.name for name in names)]
    if not chosen:
        raise click.BadParameter(f"no case has {' or '.join(names)} in its name")
    click.echo(f"{'case':38} {'engine':10} {'file':>12} {'output':>12} {'memory':>8} {'time':>8}  result")
    used = SMALL if engines else SIZES[size]
    wrong = sum(not _report(case, used, engine) for case, engine in _runs(chosen, engines))
    click.echo(f"{wrong} wrong" if wrong else "all right")
    sys.exit(1 if wrong else 0)


def _runs(chosen: Iterable[Case], engines: bool) -> Iterable[tuple[Case, str]]:
    available = [name for name in ("jit", "translated", "reference") if _engines.unavailable(name) is None]
    for case in chosen:
        for engine in available if engines else available[:1]:
            yield case, engine


def _report(case: Case, size: Size, engine: str) -> bool:
    """Print a line; whether all is as it should be."""
    try:
        data, check = cases.made(case, size)
    except making.ToolMissing as missing:
        click.echo(f"{case.name:38} {missing}")
        return False
    box = vx32py.Sandbox(
        engine=engine, memory=decoders.MEMORY[case.decoder], policy=POLICY, timeout=600, output_limit="1G"
    )
    began = time.perf_counter()
    result = box.run(decoders.load(case.decoder), stdin=data)
    took = time.perf_counter() - began
    if result.exit_code or result.trap is not None or result.limit is not None:
        said = result.stderr.decode(errors="replace").strip()
        wrong: str | None = f"exit code {result.exit_code}: {said or result.trap or result.limit}"
    else:
        wrong = check(result.stdout)
    memory = f"{result.stats.memory / 2**20:.0f} MiB"
    click.echo(
        f"{case.name:38} {engine:10} {len(data):12,} {len(result.stdout):12,} {memory:>8} {took:7.2f} s  {wrong or 'right'}"
    )
    return wrong is None


if __name__ == "__main__":
    main(prog_name="python -m conformance.decoders")
