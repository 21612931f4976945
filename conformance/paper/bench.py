"""Measuring: guest and native program take turns, A B A B, and what counts are the ratios of neighbours.

Times are processor time, user and system, of the whole process for a native program and of this process while it runs a
guest: on a machine with other things to do, wall time says more about them. The ratio of wall times stands beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

import vx32py
from conformance import busybox, guests
from conformance.paper import report
from conformance.paper.programs import PROGRAMS, Pair, Program, prepare
from vx32py import _compile, _engines

ROUNDS: Final = 7
#: A guest that needs more than this is broken, in seconds.
TIMEOUT: Final = 600.0
MEMORY: Final = "1G"


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: processor time and wall time in seconds, and what it printed. Of a guest, what its engine counted, too."""

    cpu: float
    wall: float
    output: bytes = field(repr=False)
    translating: float = 0.0
    fragments: int = 0
    calls: int = 0


@dataclass
class Row:
    """A program's samples, in pairs; and pairs of runs in which it only starts and ends."""

    program: Program
    native: list[Sample] = field(default_factory=list)
    guest: list[Sample] = field(default_factory=list)
    idle_native: list[Sample] = field(default_factory=list)
    idle_guest: list[Sample] = field(default_factory=list)
    remark: str = ""

    def ratios(self, attribute: str = "cpu") -> list[float]:
        """Guest over native, of each pair."""
        pairs = zip(self.guest, self.native, strict=True)
        return [getattr(guest, attribute) / getattr(native, attribute) for guest, native in pairs]

    def working_ratios(self) -> list[float]:
        """The same without starting and ending: less the medians of runs that do nothing else."""
        repeat = self.program.repeat
        guest_start, native_start = (repeat * median(s) for s in (self.idle_guest, self.idle_native))
        pairs = zip(self.guest, self.native, strict=True)
        return [(g.cpu - guest_start) / (n.cpu - native_start) for g, n in pairs if n.cpu > native_start]


def median(samples: Sequence[Sample]) -> float:
    """The median of processor times."""
    return statistics.median(sample.cpu for sample in samples)


@contextlib.contextmanager
def _stdin_file(content: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.fileno()


def run_native(pair: Pair, args: Sequence[str], stdin: int, repeat: int = 1) -> Sample:
    """The program as a process of its own. Raises RuntimeError if it fails."""
    with tempfile.TemporaryFile() as out:
        cpu = 0.0
        start = time.perf_counter()
        for _ in range(repeat):
            os.lseek(stdin, 0, os.SEEK_SET)
            actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, out.fileno(), 1)]
            pid = os.posix_spawn(pair.native, [pair.argv0, *args], {}, file_actions=actions)
            _, status, usage = os.wait4(pid, 0)
            cpu += usage.ru_utime + usage.ru_stime
            if status:
                raise RuntimeError(f"the native program ended with status {status:#x}")
        wall = time.perf_counter() - start
        out.seek(0)
        return Sample(cpu, wall, out.read())


def run_guest(pair: Pair, args: Sequence[str], stdin: int, repeat: int = 1) -> Sample:
    """The program as a guest of this process. Raises what ``Result.check`` raises."""
    with tempfile.TemporaryFile() as out:
        box = vx32py.Sandbox(engine="jit", memory=MEMORY, timeout=TIMEOUT)
        # Another module for each run, or the second would find the first one's code translated.
        modules = [vx32py.Module.from_bytes(pair.guest.data, pair.guest.name) for _ in range(repeat)]
        before = resource.getrusage(resource.RUSAGE_SELF)
        start = time.perf_counter()
        for module in modules:
            os.lseek(stdin, 0, os.SEEK_SET)
            result = box.run(module, args, stdin=stdin, stdout=out.fileno(), name=pair.argv0).check()
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        counters = result.stats.counters
        out.seek(0)
        return Sample(
            cpu, wall, out.read(), counters.seconds_translating, counters.fragments, sum(result.stats.calls.values())
        )


def measure(program: Program, rounds: int, progress: _compile.Progress) -> Row:
    """A program's row. ``remark`` says why it is empty, or what is wrong."""
    row = Row(program)
    progress(f"{program.name}: preparing")
    try:
        pair = prepare(program, progress)
        content = program.stdin() if program.stdin else b""
    except (busybox.Unavailable, FileNotFoundError, _compile.CompileError) as error:
        row.remark = str(error)
        return row
    with _stdin_file(b"") as nothing, _stdin_file(content) as stdin:
        for _ in range(2):  # the first ones load what later ones find
            run_native(pair, program.idle, nothing)
            run_guest(pair, program.idle, nothing)
        for turn in range(rounds):
            progress(f"{program.name}: {turn + 1} of {rounds}")
            row.idle_native.append(run_native(pair, program.idle, nothing))
            row.idle_guest.append(run_guest(pair, program.idle, nothing))
            row.native.append(run_native(pair, program.args, stdin, program.repeat))
            row.guest.append(run_guest(pair, program.args, stdin, program.repeat))
            if row.guest[-1].output != row.native[-1].output:
                row.remark = "the outputs differ"
                return row
    return row


def facts() -> list[str]:
    """The machine, one fact a line, without its name."""
    model = platform.processor()
    with contextlib.suppress(OSError, StopIteration), open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        model = next(line for line in file if line.startswith("model name")).split(":", 1)[1].strip()
    kernel = re.match(r"[\d.]*\d", platform.release())
    versions = []
    for package in ("llvmlite", "numba"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    using = guests.compiler()
    name = next(iter(_compile.compilers()), "no compiler") if using == "auto" else using
    return [
        f"{model}, {os.cpu_count()} processors; load {os.getloadavg()[0]:.1f} when the run began",
        f"{platform.system()} {kernel.group() if kernel else ''}, Python {platform.python_version()}, "
        + ", ".join([*versions, f"{name} {_compile.compilers().get(name, '')}".strip()]),
    ]


def build_translator(progress: _compile.Progress) -> str:
    """Have the compiled translator ready, so that no measurement sees it being built. How that went."""
    from jit import compiled

    try:
        compiled.build(lambda seconds: progress(f"building the translator: {seconds:.0f} s"))
    except compiled.BuildError as error:
        return f"translated by the specification's translator: {error}"
    return "translated by the compiled translator"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report; 1 if an output was wrong or nothing could be measured, 2 for usage."""
    parser = argparse.ArgumentParser(prog="vx32py bench", description="The paper's evaluation: guests against natives.")
    parser.add_argument("only", nargs="*", metavar="NAME", help="measure what has this in its name; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs of runs (default: %(default)s)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the results as Markdown")
    parser.add_argument("--list", action="store_true", help="name what can be measured, and stop")
    options = parser.parse_args(argv)
    chosen = [p for p in PROGRAMS if not options.only or any(word in p.name for word in options.only)]
    if options.list:
        print("\n".join(program.name for program in PROGRAMS))
        return 0
    if not chosen or options.rounds < 1:
        print("vx32py bench: nothing to measure (--list says what there is)", file=sys.stderr)
        return 2
    reason = _engines.unavailable("jit")
    if reason is not None:
        print(
            f"vx32py bench: only the jit engine is worth measuring, and it cannot run here: {reason}", file=sys.stderr
        )
        return 125
    with report.status() as progress:
        notes = [*facts(), build_translator(progress)]
        rows = [measure(program, options.rounds, progress) for program in chosen]
    report.show(rows, notes)
    if options.write:
        options.write.write_text(report.markdown(rows, notes), encoding="utf-8")
    measured = [row for row in rows if row.guest]
    return 0 if measured and not any(row.remark for row in measured) else 1
