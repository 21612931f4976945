"""Measuring: what is chosen, in what order, with what result, and the command line.

Times are processor time, user and system, of the whole process for a native program and of this process while it runs a
guest or WebAssembly: on a machine with other things to do, wall time says more about them. The ratio of wall times stands
beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import vx32py
from conformance import busybox
from conformance.paper import columns, driver, host, machine, plot, report, targets, turns
from conformance.paper.columns import COLUMNS, Column, Runner
from conformance.paper.programs import KINDS, PROGRAMS, Program
from conformance.paper.results import Results, Row, as_json, from_json
from vx32py import _compile
from vx32py.upstream import sources

ROUNDS: Final = 7
#: About how long one run of a program takes, in seconds, with starting and a run that has nothing to do.
_SECONDS: Final[dict[Column, float]] = {"native": 1.0, "native64": 0.9, "guest": 1.2, "qemu": 5.0, "wasm": 1.2}
#: How much of that a quick look takes, and how many rounds most rows have of so many.
_QUICK_SHARE: Final = 0.1
_ROUNDS_SHARE: Final = 0.9
_FIGURE_SECONDS: Final = 1.5

_HELP: Final = """\
The paper's evaluation: programs as guests of vx32py beside the same programs run natively, under qemu-i386 and as
WebAssembly under wasmtime, where these are installed. They take turns, so that a ratio compares neighbours.
"""
_EPILOG: Final = """\
examples:
  vx32py bench --quick                    everything in a minute or so, once all is compiled; rough figures
  vx32py bench fibonacci call             what has one of these words in its name
  vx32py bench --kind compute --columns native,guest
  vx32py bench --json r.json --write r.md --plot r.svg --plot r.png
  vx32py bench --json r.json --resume     go on where that was interrupted, or add to it
  vx32py bench --from r.json --plot r.svg measure nothing, and show what was measured

reading the table:
  A ratio is processor time over that of the native 32-bit process: 1 is native speed, lower is better. It is the median
  of so many pairs; behind it are the lowest and the highest. "at work" is without starting and ending. The second table
  is about the host side, in units of its own; the third says which of our aims are met.

  A row ends before the last round when its ratios agree within 2 %, and a slow column (qemu, mostly) after 25 seconds of
  a row. Neither looks at what the ratio is.

what is compared with what:
  The guest is the very program that runs natively: the same machine code. Every target gets the compiler and the options
  that make it fast: x86 whichever of gcc and clang is better at a program, and what the default policy admits (SSE4.2);
  WebAssembly clang -O3 with 128-bit vectors, compiled by wasmtime before the measurement. --json has all of it.

what is needed:
  vx32py's jit engine and a C compiler for guests (pip install 'vx32py[bench]' has zig, and wasmtime); for upstream
  programs Debian's archive, from which their sources come the first time; qemu-user for qemu-i386; the extra "plots" for
  --plot. Whatever is missing is named, and the rest is measured. What was compiled is kept in build/.

All of it takes about half an hour, and the first time some minutes more for compiling. For figures to show to others, let
the machine do nothing else, and look at the spread.
"""


def measure(
    program: Program,
    rounds: int,
    progress: _compile.Progress,
    *,
    quick: bool = False,
    chosen: Collection[Column] = COLUMNS,
) -> Row:
    """A program's row. ``remark`` says why it is empty, or what is wrong."""
    row = Row(program)
    progress(f"{program.name}: preparing")
    try:
        pair = targets.prepare(program, progress)
        make = program.input(quick)
        content = make(pair.native) if make else b""
    except (
        busybox.Unavailable, sources.SourceUnavailable, FileNotFoundError, _compile.CompileError,
        vx32py.Vx32Error, subprocess.CalledProcessError,
    ) as error:  # fmt: skip
        row.remark = str(error)
        return row
    row.built = targets.how_built(program)
    runners = _runners(row, pair, progress, chosen)
    with tempfile.TemporaryDirectory(prefix="vx32py-") as folder:
        files = Path(folder, "empty"), Path(folder, "input")
        for file, held in zip(files, (b"", content), strict=True):
            file.write_bytes(held)
        turns.take_turns(row, runners, rounds, program.arguments(quick), files, progress)
    return row


def _runners(
    row: Row, pair: targets.Pair, progress: _compile.Progress, chosen: Collection[Column]
) -> dict[Column, Runner]:
    """What can be run, in order; why the rest cannot is noted."""
    runners: dict[Column, Runner] = {}
    for column in COLUMNS:
        if column in chosen or column in turns.NEEDED:
            try:
                runners[column] = columns.runner(column, row.program, pair, progress)
            except targets.NotBuilt as error:
                row.missing[column] = str(error)
    return runners


def build_translator(progress: _compile.Progress) -> str:
    """Have the compiled translator ready, so that no measurement sees it being built. How that went."""
    from jit import compiled

    try:
        compiled.build(lambda seconds: progress(f"building the translator: {seconds:.0f} s"))
    except compiled.BuildError as error:
        return f"translated by the specification's translator: {error}"
    return "translated by the compiled translator"


def expected_seconds(
    programs: int, figures: int, rounds: int, *, quick: bool = False, chosen: Collection[Column] = COLUMNS
) -> float:
    """About how long it takes to measure so much, once everything is compiled."""
    once = sum(
        seconds for column, seconds in _SECONDS.items()
        if column in turns.NEEDED or (column in chosen and columns.unavailable(column) is None)
    )  # fmt: skip
    share = _QUICK_SHARE if quick else _ROUNDS_SHARE
    return share * (programs * once + figures * _FIGURE_SECONDS) * rounds


def _columns(text: str) -> tuple[Column, ...]:
    words = text.split(",")
    unknown = [word for word in words if word not in COLUMNS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(COLUMNS)}")
    return tuple(column for column in COLUMNS if column in words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vx32py bench", description=_HELP, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="measure what has this in its name; all by default")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="the same as NAME")
    parser.add_argument("--kind", action="append", choices=[*KINDS, "host"], help="measure what is of this kind")
    parser.add_argument("--columns", type=_columns, default=COLUMNS, metavar="A,B",
                        help=f"of {', '.join(COLUMNS)}; native and guest are always measured")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="less work and fewer rounds: a look, not a measurement")
    parser.add_argument("--rounds", type=int, help=f"how often each takes its turn at most (default: {ROUNDS}; with "
                        f"--quick, {driver.QUICK_ROUNDS})")  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the results as Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE",
                        help="write everything that was measured as JSON, anew after every row")  # fmt: skip
    parser.add_argument("--resume", action="store_true",
                        help="measure what the file of --json does not have yet, and add it")  # fmt: skip
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE",
                        help="measure nothing: show, write or draw what is in a file of --json")  # fmt: skip
    driver.add_plot(parser)
    driver.add_list(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report; 1 if an output was wrong or nothing could be measured, 2 for usage, 130 if interrupted."""
    parser = _parser()
    options = parser.parse_args(argv)
    wanted = [word.casefold() for word in (*options.names, *options.only)]

    def is_chosen(name: str, kind: str) -> bool:
        of_kind = not options.kind or kind in options.kind
        return of_kind and (not wanted or any(word in name.casefold() for word in wanted))

    chosen = [p for p in PROGRAMS if is_chosen(p.name, p.kind)]
    measurements = [m for m in host.MEASUREMENTS if is_chosen(m.name, "host")]
    if options.list:
        for title, kind in [*((p.name, p.kind) for p in chosen), *((m.name, "host") for m in measurements)]:
            print(f"{kind:12} {title}")
        return 0
    rounds = driver.rounds_of(options, ROUNDS)
    if not driver.has_work(parser, [*chosen, *measurements], rounds):
        return 2
    problem = next(filter(None, map(_cannot_plot, options.plot)), "")
    if options.resume and not options.json:
        problem = "--resume goes on with the file of --json, which is not given"
    if problem:
        parser.error(problem)
    try:
        if options.source:
            return _finish(_read(options.source), options)
        if not driver.has_engine(parser):
            return 125
        return _measure_all(chosen, measurements, rounds, options)
    except BadFile as error:
        parser.error(str(error))


class BadFile(Exception):
    """A file of results cannot be used; the message says which and why."""


def _measure_all(
    chosen: Sequence[Program], measurements: Sequence[host.Measurement], rounds: int, options: argparse.Namespace
) -> int:
    interrupted = False
    with report.status() as progress:
        results = Results(machine.describe() | {"translator": build_translator(progress)}, options.quick, rounds)
        if options.resume and options.json.exists():
            results = _taken_up(options.json, results)
        programs = [program for program in chosen if results.row(program.name) is None]
        figures = [each for each in measurements if results.figure(each.name) is None]
        seconds = expected_seconds(len(programs), len(figures), rounds, quick=options.quick, chosen=options.columns)
        report.announce(len(programs), len(figures), rounds, seconds)
        try:
            for program in programs:
                results.add(measure(program, rounds, progress, quick=options.quick, chosen=options.columns))
                _keep(results, options.json)
            for measurement in figures:
                progress(measurement.name)
                results.add_figure(host.measure(measurement, rounds, options.quick))
                _keep(results, options.json)
        except KeyboardInterrupt:
            interrupted = True
    status = _finish(results, options)
    if not interrupted:
        return status
    print("vx32py bench: interrupted" + ("; --resume goes on" if options.json else ""), file=sys.stderr)
    return driver.INTERRUPTED


def _finish(results: Results, options: argparse.Namespace) -> int:
    """Show, write and draw."""
    report.show(results)
    if options.write:
        options.write.write_text(report.markdown(results), encoding="utf-8")
    for file in options.plot:
        plot.draw(results, file)
    measured = any(row.runs for row in results.rows) or any(figure.values for figure in results.figures)
    return 0 if measured and not any(row.remark for row in results.rows) else 1


def _keep(results: Results, file: Path | None) -> None:
    """What has been measured so far, whatever happens next."""
    if file is not None:
        fresh = file.with_name(f".{file.name}.new")
        fresh.write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")
        fresh.replace(file)


def _read(file: Path) -> Results:
    try:
        return from_json(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{file} is no file of results: {error}") from error


def _taken_up(file: Path, now: Results) -> Results:
    """The results in a file, to which more of the same kind are to be added."""
    held = _read(file)
    if held.quick != now.quick:
        raise BadFile(f"{file} has {'a quick look' if held.quick else 'full measurements'}: --quick must be the same")
    if not machine.same(held.machine, now.machine):
        raise BadFile(f"{file} is of another machine, or of other versions; use another file")
    held.rounds = max(held.rounds, now.rounds)
    return held


def _cannot_plot(file: Path) -> str:
    """Why a plot would fail at the end of a long run, or nothing."""
    if file.suffix not in plot.FORMATS:
        return f"--plot makes {' and '.join(plot.FORMATS)}, not {file.suffix or 'a file without a suffix'}"
    return "" if find_spec("matplotlib") else "--plot needs matplotlib (pip install 'vx32py[plots]')"
