"""What Plan 9 costs as a library: the paper's programs on the kernel, beside the same sources as native 32-bit processes.

``vx32py bench plan9`` (or ``python -m conformance.paper plan9``) prints two tables and, with ``--json``, keeps every figure.
The programs are in ``plan9_programs``, written after the paper's names for them: its own were never published. The first
table has the paper's columns beside, which are of other things: there native is Plan 9 on the same machine, and here it is
Linux, where pipes, files and processes are those of the host's kernel itself. The second table is of single calls.

Times are processor time, user and system: of a native program that of its processes, of a guest that of this process while
the kernel lasts. Each is less that of a run which does nothing, and then by the number of times. The columns take turns, and
a ratio is of neighbours. Native processes that wait for one another are kept on one processor, as the kernel's are: else a
switch would not be one.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from conformance.paper import driver, plan9_report
from conformance.paper.inputs import BUILD
from conformance.paper.samples import Failed, Sample, median, processor_time, seconds
from jit import diskcache
from vx32py import _compile, guest
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.namespace import MBEFORE, MCREATE, MREPL
from vx32py.vfs.host import HostTree

Column = Literal["native", "plan9"]
COLUMNS: Final[tuple[Column, ...]] = ("native", "plan9")
TITLES: Final[dict[Column, str]] = {"native": "native Linux", "plan9": "on the kernel"}
PROGRAMS: Final = Path(__file__).resolve().parent / "plan9_programs"
#: The name that a granted folder has on the kernel.
TREE: Final = "bench"
ROUNDS: Final = 7
QUICK_SHARE: Final = 20
TIMEOUT: Final = 300.0
MEMORY: Final = "256M"
KIB: Final = 1 << 10
MIB: Final = 1 << 20
COMPUTE: Final = 1.05
#: The file that is read, and the tree that is listed: directories, and files in each of them.
_FILE: Final = 8 * MIB
_FOLDERS, _FILES = 20, 50


@dataclass(frozen=True)
class Paper:
    """What the paper has: time over that of native Plan 9 on a Pentium M, under 9vx, VMware and QEMU with kqemu."""

    vx: float
    vmware: float
    qemu: float


@dataclass(frozen=True)
class Job:
    """A program with its arguments: N stands for how often, ``{tree}`` for the folder, ``{bin}`` for that of the programs.
    ``times``: how often a measurement does it; ``each``: how many of what the table counts that is each time. ``limit``: what
    the ratio may be at most, where there is an aim."""

    name: str
    command: str
    times: int
    each: int = 1
    unit: str = ""
    paper: Paper | None = None
    limit: float | None = None

    def words(self, times: int, tree: str, programs: str) -> list[str]:
        """The command."""
        words = self.command.format(tree=tree, bin=programs).split()
        return [str(times) if word == "N" else word for word in words]


JOBS: Final = (
    Job("swtch", "swtch N", 40_000, 2, "switch", Paper(1.69, 4.8, 23)),
    Job("pipe-byte", "pipe-byte N", 15_000, 1, "round trip", Paper(2.7, 3.8, 21)),
    Job("pipe-bulk", "pipe-bulk N", 30_000, 1, "8 KiB", Paper(2.5, 2.8, 22)),
    Job("rdwr", "rdwr N", 60_000, 1, "8 KiB", Paper(0.93, 2.6, 18)),
    Job("sha1zero", "sha1zero N", 192, 1, "MiB", Paper(1.00, 1.90, 1.90), COMPUTE),
    Job("du", "du {tree}/du N", 12, _FOLDERS * (_FILES + 1), "file", Paper(0.57, 2.7, 9.1)),
    Job("a call", "costs nothing N", 100_000),
    Job("semaphores", "costs semaphore N", 6_000, 2, "switch"),
    Job("stat", "costs stat N {tree}/file", 8_000),
    Job("open and close", "costs open N {tree}/file", 8_000),
    Job("read 4 KiB", "costs read N {tree}/file 4096", 40_000),
    Job("read 64 KiB", "costs read N {tree}/file 65536", 10_000),
    Job("write 4 KiB", "costs write N {tree}/made 4096", 20_000),
    Job("touch a page", "costs touch N", 30_000),
    Job("fork and wait", "costs fork N", 400),
    Job("fork, exec and wait", "costs exec N {bin}/costs", 200),
    Job("the same of 1 MiB", "costs exec N {bin}/large", 150),
)
#: The sources, all of which are built.
_SOURCES: Final = sorted(PROGRAMS.glob("*.c"))


@dataclass
class Row(driver.Row[Column]):
    """A job that is done so many times in each run."""

    job: Job
    times: int

    def spent(self, column: Column, attribute: str = "cpu") -> list[float]:
        """Seconds for one of what is counted, less what a run takes that does nothing."""
        start = median(self.idle.get(column, []), attribute)
        done = self.times * self.job.each
        return [max(getattr(s, attribute) - start, 0.0) / done for s in self.runs.get(column, [])]

    def ratios(self, attribute: str = "cpu") -> list[float]:
        """On the kernel over native, of the same round."""
        pairs = zip(self.spent("plan9", attribute), self.spent("native", attribute), strict=False)
        return [a / b for a, b in pairs if b > 0]

    def met(self) -> bool | None:
        """Whether the aim is; None without one, or without figures."""
        ratios = self.ratios()
        return None if self.job.limit is None or not ratios else statistics.median(ratios) <= self.job.limit


# -- running ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A folder with the files that programs use, and those with the programs, one for each column."""

    folder: Path
    programs: dict[Column, Path]

    def run(self, column: Column, job: Job, times: int) -> Sample:
        """Run a job. Raises Failed, Error, Vx32Error."""
        return self._native(job, times) if column == "native" else self._plan9(job, times)

    def _native(self, job: Job, times: int) -> Sample:
        programs = self.programs["native"]
        name, *arguments = job.words(times, str(self.folder), str(programs))
        with tempfile.TemporaryFile() as out:
            start = time.perf_counter()
            pid = os.posix_spawn(
                programs / name, [name, *arguments], {}, file_actions=[(os.POSIX_SPAWN_DUP2, out.fileno(), 1)]
            )
            _, status, usage = os.wait4(pid, 0)
            wall = time.perf_counter() - start
            if status:
                raise Failed(f"{job.name} ended with status {status:#x}")
            out.seek(0)
            return Sample(usage.ru_utime + usage.ru_stime, wall, out.read())

    def _plan9(self, job: Job, times: int) -> Sample:
        trees = {
            TREE: HostTree(self.folder, writable=True),
            "bin": HostTree(self.programs["plan9"], writable=False),
        }
        name, *arguments = job.words(times, "/n", "/bin")
        before, start = processor_time(), time.perf_counter()
        with Kernel(engine="jit", memory=MEMORY, timeout=TIMEOUT, trees=trees) as kernel:
            kernel.host.bind(f"#U{TREE}", "/n", MREPL | MCREATE)
            kernel.host.bind("#Ubin", "/bin", MBEFORE)
            result = kernel.run([name, *arguments])
        wall, cpu = time.perf_counter() - start, processor_time() - before
        if result.status:
            raise Failed(f"{job.name} ended with {result.status!r} {result.stderr.decode(errors='replace').strip()}")
        return Sample(cpu, wall, result.stdout)


def build(progress: driver.Progress) -> dict[Column, Path]:
    """The programs, of the same compiler with the same options. Raises CompileError."""
    chosen: _compile.CompilerName = (
        "gcc" if "gcc" in _compile.compilers() and _compile.can_build_native("gcc") else "zig"
    )
    files = [*_SOURCES, PROGRAMS / "bench.h", *guest.plan9_files(), Path(_compile.__file__)]
    version = _compile.compilers().get(chosen, "")
    made = BUILD / f"plan9-{diskcache.key_of(chosen, version, *(file.read_bytes() for file in files))[:12]}"
    folders: dict[Column, Path] = {column: made / column for column in COLUMNS}
    for source in _SOURCES:
        if not (folders["plan9"] / source.stem).exists():
            _compile.compile_guest(
                [source], folders["plan9"] / source.stem, compiler=chosen, libc="plan9", progress=progress
            )
        if not (folders["native"] / source.stem).exists():
            _compile.compile_native([source], folders["native"] / source.stem, compiler=chosen, progress=progress)
    return folders


@contextmanager
def place(progress: driver.Progress) -> Iterator[Place]:
    """The programs, and a folder with files. Raises CompileError."""
    programs = build(progress)
    with tempfile.TemporaryDirectory(prefix="vx32py-") as name:
        folder = Path(name)
        (folder / "file").write_bytes(os.urandom(_FILE))
        for i in range(_FOLDERS):
            directory = folder / "du" / f"folder{i}"
            directory.mkdir(parents=True)
            for j in range(_FILES):
                (directory / f"file{j}").write_bytes(bytes(i * j))
        yield Place(folder, programs)


def measure(job: Job, where: Place, progress: driver.Progress, *, rounds: int, quick: bool) -> Row:
    """A job's row."""
    row = Row(job, max(job.times // QUICK_SHARE, 1) if quick else job.times)

    def way(column: Column) -> tuple[Sample, Sample]:
        return where.run(column, job, 0), where.run(column, job, row.times)

    driver.take_turns(row, job.name, {column: partial(way, column) for column in COLUMNS}, TITLES, rounds, progress)
    return row


# -- the command -----------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report: 1 if an output was wrong or nothing could be measured, 2 for usage, 125 where it cannot be done,
    130 if it was interrupted."""
    parser = driver.parser(
        "plan9",
        "The paper's programs on the Plan 9 kernel, and the same sources natively: processor time over the native one's.",
        rounds=ROUNDS, names="measure what has this in its name; all by default", quick="a small part of the work", plots=True,
    )  # fmt: skip
    options = parser.parse_args(argv)
    words = [word.casefold() for word in options.names]
    jobs = [job for job in JOBS if not words or any(word in job.name.casefold() for word in words)]
    if options.list:
        print("\n".join(f"{job.name:20} {job.command}" for job in jobs))
        return 0
    rounds = driver.rounds_of(options, ROUNDS)
    if not driver.has_work(parser, jobs, rounds):
        return 2
    problem = next(filter(None, map(plan9_report.cannot_plot, options.plot)), "")
    if problem:
        parser.error(problem)
    return driver.run(
        parser, options, jobs, place=place, unavailable=_compile.CompileError,
        measure=partial(measure, rounds=rounds, quick=options.quick), as_json=as_json, grids=plan9_report.grids,
        draw=plan9_report.draw,
    )  # fmt: skip


def as_json(row: Row) -> dict[str, Any]:
    """Every sample, and the ratios."""
    return {
        "name": row.job.name, "command": row.job.command, "times": row.times, "each": row.job.each,
        "paper": None if row.job.paper is None else vars(row.job.paper), "limit": row.job.limit, "met": row.met(),
        "remark": row.remark, "ratio": row.ratios(), "ratio_wall": row.ratios("wall"),
        "columns": {
            column: seconds(runs, row.idle.get(column, [])) | {"spent": row.spent(column)}
            for column, runs in row.runs.items()
        },
    }  # fmt: skip
