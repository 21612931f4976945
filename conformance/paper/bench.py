"""Measuring: the ways to run a program take turns, A B C A B C, and what counts are the ratios of neighbours.

Times are processor time, user and system, of the whole process for a native program and of this process while it runs a
guest or WebAssembly: on a machine with other things to do, wall time says more about them. The ratio of wall times stands
beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import vx32py
from conformance import busybox, guests
from conformance.paper import columns, host, plot, report, sources, targets
from conformance.paper.columns import COLUMNS, Column, Runner, Sample
from conformance.paper.programs import KINDS, PROGRAMS, Program
from conformance.paper.results import Results, Row, as_json
from vx32py import _compile, _engines

ROUNDS: Final = 7
QUICK_ROUNDS: Final = 3
#: What a ratio needs: a row without them is empty, one without another column is not.
_NEEDED: Final = frozenset({"native", "guest"})

_HELP: Final = """\
The paper's evaluation: programs as guests of vx32py beside the same programs run natively, under qemu-i386 and as
WebAssembly under wasmtime, where these are installed. They take turns, so that a ratio compares neighbours.
"""
_EPILOG: Final = """\
examples:
  vx32py bench --quick                    everything in a minute or two, once all is compiled; rough figures
  vx32py bench fibonacci call             what has one of these words in its name
  vx32py bench --kind compute --columns native,guest
  vx32py bench --rounds 11 --write results.md --json results.json --plot results.svg

reading the table:
  A ratio is processor time over that of the native 32-bit process: 1 is native speed, lower is better. It is the median
  of so many pairs; behind it are the lowest and the highest. "at work" is without starting and ending. The second table
  is about the host side, in units of its own; the third says which of our aims are met.

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
    runners = _runners(row, pair, progress, chosen)
    with tempfile.TemporaryDirectory(prefix="vx32py-") as folder:
        files = Path(folder, "empty"), Path(folder, "input")
        for file, held in zip(files, (b"", content), strict=True):
            file.write_bytes(held)
        _take_turns(row, runners, rounds, quick, files, progress)
    return row


def _runners(
    row: Row, pair: targets.Pair, progress: _compile.Progress, chosen: Collection[Column]
) -> dict[Column, Runner]:
    """What can be run, in order; why the rest cannot is noted."""
    runners: dict[Column, Runner] = {}
    for column in COLUMNS:
        if column in chosen or column in _NEEDED:
            try:
                runners[column] = columns.runner(column, row.program, pair, progress)
            except targets.NotBuilt as error:
                row.missing[column] = str(error)
    return runners


def _take_turns(
    row: Row,
    runners: dict[Column, Runner],
    rounds: int,
    quick: bool,
    files: tuple[Path, Path],
    progress: _compile.Progress,
) -> None:
    program = row.program
    args = program.arguments(quick)
    for turn in range(-1, rounds):  # the first time loads what later ones find, and does not count
        for column, run in list(runners.items()):
            if row.remark:
                return
            progress(f"{program.name}: {max(turn, 0) + 1} of {rounds}, {columns.TITLES[column]}")
            try:
                idle = run(program.idle, files[0], 1)
                sample = run(args, files[1], program.repeat) if turn >= 0 else None
            except (RuntimeError, OSError, vx32py.Vx32Error) as error:
                _give_up(row, runners, column, str(error))
                continue
            if sample is None:
                continue
            row.idle.setdefault(column, []).append(idle)
            row.runs.setdefault(column, []).append(sample)
            if not _agrees(row, column, sample):
                _give_up(row, runners, column, "the output differs from the native program's")


def _agrees(row: Row, column: Column, sample: Sample) -> bool:
    """Whether it printed what the native 32-bit program printed; other processors may round otherwise."""
    if column in {"native64", "wasm"} and not row.program.exact:
        return True
    return sample.output == row.runs["native"][-1].output


def _give_up(row: Row, runners: dict[Column, Runner], column: Column, why: str) -> None:
    """Measure no more of a column; without a needed one, no more of the row."""
    del runners[column]
    row.runs.pop(column, None)
    row.missing[column] = why
    if column in _NEEDED:
        row.remark = f"{columns.TITLES[column]}: {why}"
        runners.clear()


def facts() -> list[str]:
    """The machine, one fact a line, without its name."""
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = next(line for line in file if line.startswith("model name")).split(":", 1)[1].strip()
    kernel = re.match(r"[\d.]*\d", platform.release())
    versions = []
    for package in ("llvmlite", "numba", "wasmtime"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    compilers = [f"{name} {version}" for name, version in _compile.compilers().items()]
    of_examples = "gcc" if guests.compiler() == "gcc" else next(iter(_compile.compilers()), "nobody")
    return [
        f"{model}, {os.cpu_count()} processors; load {os.getloadavg()[0]:.1f} when the run began",
        f"{platform.system()} {kernel.group() if kernel else ''}, Python {platform.python_version()}, "
        + ", ".join([*versions, *_qemu_version(), *compilers]),
        f"examples and loops by {of_examples}, upstream programs and WebAssembly by zig",
    ]


def _qemu_version() -> list[str]:
    if shutil.which(columns.QEMU) is None:
        return []
    said = subprocess.run([columns.QEMU, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version ([\d.]+)", said)
    return [f"{columns.QEMU} {found[1]}"] if found else []


def build_translator(progress: _compile.Progress) -> str:
    """Have the compiled translator ready, so that no measurement sees it being built. How that went."""
    from jit import compiled

    try:
        compiled.build(lambda seconds: progress(f"building the translator: {seconds:.0f} s"))
    except compiled.BuildError as error:
        return f"translated by the specification's translator: {error}"
    return "translated by the compiled translator"


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
    parser.add_argument("--rounds", type=int, help=f"how often each takes its turn (default: {ROUNDS}; with --quick, "
                        f"{QUICK_ROUNDS})")  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the results as Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the ratios; FILE.svg or FILE.png")
    parser.add_argument("--list", action="store_true", help="name what can be measured, and stop")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report; 1 if an output was wrong or nothing could be measured, 2 for usage."""
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
    rounds = options.rounds if options.rounds is not None else QUICK_ROUNDS if options.quick else ROUNDS
    if not (chosen or measurements) or rounds < 1:
        print("vx32py bench: nothing to measure (--list says what there is)", file=sys.stderr)
        return 2
    problem = _cannot_plot(options.plot)
    if problem:
        parser.error(problem)
    reason = _engines.unavailable("jit")
    if reason is not None:
        print(
            f"vx32py bench: only the jit engine is worth measuring, and it cannot run here: {reason}", file=sys.stderr
        )
        return 125
    with report.status() as progress:
        results = Results([*facts(), build_translator(progress)], options.quick, rounds)
        for program in chosen:
            results.rows.append(measure(program, rounds, progress, quick=options.quick, chosen=options.columns))
        for measurement in measurements:
            progress(measurement.name)
            results.figures.append(host.measure(measurement, rounds, options.quick))
    report.show(results)
    if options.write:
        options.write.write_text(report.markdown(results), encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(as_json(results), indent=1) + "\n", encoding="utf-8")
    if options.plot:
        plot.draw(results, options.plot)
    measured = any(row.runs for row in results.rows) or any(figure.values for figure in results.figures)
    return 0 if measured and not any(row.remark for row in results.rows) else 1


def _cannot_plot(file: Path | None) -> str:
    """Why a plot would fail at the end of a long run, or nothing."""
    if file is None:
        return ""
    if file.suffix not in plot.FORMATS:
        return f"--plot makes {' and '.join(plot.FORMATS)}, not {file.suffix or 'a file without a suffix'}"
    return "" if find_spec("matplotlib") else "--plot needs matplotlib (pip install 'vx32py[plots]')"
