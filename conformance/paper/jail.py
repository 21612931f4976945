"""What the system-call jail costs: Debian's programs in it, natively, and under qemu-i386, in turns.

``vx32py bench jail`` (or ``python -m conformance.paper jail``) prints a table and, with ``--json``, keeps every figure. The
programs are those of Debian's i386 packages (:mod:`conformance.programs`), dynamically linked; the native ones run in a
chroot, and the jail has the same tree as its root. The columns take turns, so that a ratio compares neighbours.

Times are processor time, user and system, of all processes of a job: of a native job that of its processes, of a jailed
one that of this process while ``Jail.run`` lasts. The same job on an empty file is measured with each, and its median taken
away for the ratio *at work*; the start of the jail and of the programs is in the other one. (For jobs of many calls, what
is taken away is a shell that starts one program: what programs' starts cost is what they are to tell.) Wall time stands
beside it.
"""

from __future__ import annotations

import hashlib
import os
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal

import vx32py
from conformance import busybox
from conformance.paper import driver, samples, tables
from conformance.paper.columns import QEMU
from conformance.paper.samples import Failed, Sample, processor_time
from conformance.programs import native, roots, sets

Column = Literal["native", "jail", "qemu"]
TITLES: Final[dict[Column, str]] = {"native": "native", "jail": "jail", "qemu": "qemu-i386"}
#: The tree, and where the jobs' own files are in it.
TREE: Final = "base"
PLACE: Final = "/work/bench"
ROUNDS: Final = 5
TIMEOUT: Final = 600.0
MEMORY: Final = "512M"
ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/"}
MIB: Final = 1 << 20

_AWK: Final = "{ words[$5]++; bytes += $4 } END { for (w in words) n++; print n, NR, bytes }"
_FORKS: Final = (
    "i=0; while [ $i -lt COUNT ]; do $run /bin/true; i=$((i+1)); done; "
    "while [ $i -gt 0 ]; do echo $i | $run /bin/cat | $run /bin/cat > /dev/null; i=$((i-2)); done"
)


@dataclass(frozen=True)
class Job:
    """A command of the tree's shell, in the place of the jobs. ``limit``: what the ratio may be at most, where there is an
    aim; ``qemu``: whether it is measured under qemu-i386, which the jail must then beat. COUNT in the script is
    ``much``, or ``little`` for a quick look. Everything is done on the file ``text``, of 50 MiB (5 MiB), the file ``large``,
    of 1 GiB (100 MiB) of zeros that take no room, ``empty``, and the folder ``tree`` of 50,000 (5,000) files; what is in
    ``copy`` in the end counts as output."""

    name: str
    kind: Literal["compute", "calls", "blocks"]
    script: str
    much: int = 0
    little: int = 0
    limit: float | None = None
    qemu: bool = False

    def command(self, *, quick: bool) -> list[str]:
        """A program and its arguments: of the kind "compute" the script is one, of the others a shell's."""
        if self.kind == "compute":
            return shlex.split(self.script)
        return [*SHELL, "run=; " + self.script.replace("COUNT", str(self.little if quick else self.much))]

    def idle(self) -> list[str]:
        """The same on an empty file; for many calls hardly any."""
        if self.kind == "calls":
            return [*SHELL, "run=; $run /bin/true"]
        return replace(self, script=re.sub(r"\b(text|large)\b", "empty", self.script)).command(quick=True)


SHELL: Final = ("/bin/sh", "-c")
COMPUTE: Final = 1.10
BLOCKS: Final = 1.80
JOBS: Final = (
    Job("gzip", "compute", "gzip -c text", limit=COMPUTE),
    Job("bzip2", "compute", "bzip2 -c text", limit=COMPUTE),
    Job("xz -0", "compute", "xz -0 -c text", limit=COMPUTE),
    Job("sha256sum", "compute", "sha256sum text text text text", limit=COMPUTE),
    Job("awk", "compute", f"gawk -F ';' '{_AWK}' text", limit=COMPUTE),
    Job("gzip, a child of sh", "calls", "gzip -c text > copy; true"),
    Job("500 fork and exec", "calls", _FORKS, 250, 24, qemu=True),
    Job("find", "calls", "find tree -name '*7' -newer text > copy; find tree >> copy"),
    Job("one-byte writes", "calls", "dd if=/dev/zero of=/dev/null bs=1 count=COUNT 2>&1 | head -n 1", 1_000_000, 50_000),
    Job("file, 4 KiB", "blocks", "dd if=large of=copy bs=4k count=COUNT 2> log", 64_000, 6_400, limit=BLOCKS),
    Job("file, 64 KiB", "blocks", "dd if=large of=copy bs=64k count=COUNT 2> log", 4_000, 400, limit=BLOCKS),
    Job("cat", "blocks", "cat text text text text > copy", limit=BLOCKS),
    Job("pipe, 4 KiB", "blocks", "dd if=large bs=4k 2> log | dd bs=4k of=/dev/null 2> log", limit=BLOCKS),
    Job("pipe, 64 KiB", "blocks", "dd if=large bs=64k 2> log | dd bs=64k of=/dev/null 2> log", limit=BLOCKS),
)  # fmt: skip


@dataclass
class Row(driver.Row[Column]):
    """A job; ``missing`` says why a column is empty."""

    job: Job
    missing: dict[Column, str] = field(default_factory=dict)

    def ratios(self, column: Column = "jail", attribute: str = "cpu") -> list[float]:
        """Over the native run of the same round, as a whole."""
        return samples.ratios(self.runs.get(column, []), self.runs.get("native", []), attribute)

    def at_work(self, column: Column = "jail") -> list[float]:
        """The same of processor time, less the medians of starting and ending."""
        idle = self.idle.get(column, []), self.idle.get("native", [])
        return samples.ratios_at_work(self.runs.get(column, []), self.runs.get("native", []), idle)

    def met(self) -> bool | None:
        """Whether the aim is, by the ratio at work; None without one, or without figures."""
        ours = self.at_work()
        if not ours:
            return None
        if self.job.qemu:
            theirs = self.at_work("qemu")
            return statistics.median(ours) < statistics.median(theirs) if theirs else None
        return None if self.job.limit is None else statistics.median(ours) <= self.job.limit


# -- running ---------------------------------------------------------------------------------------------------------


def _digest(file: BinaryIO) -> bytes:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").digest()[:8]  # type: ignore[arg-type]


def _outside(command: list[str], directory: Path | None = None) -> Sample:
    """A process of the host's, and all that it waits for."""
    with tempfile.TemporaryFile() as out:
        before, start = processor_time(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, env=ENVIRONMENT | {"PATH": os.defpath + ":/usr/sbin"},
        cwd=directory, timeout=TIMEOUT, check=False,
    )  # fmt: skip
        wall, cpu = time.perf_counter() - start, processor_time(resource.RUSAGE_CHILDREN) - before
        if done.returncode:
            raise Failed(f"exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()[-200:]}")
        return Sample(cpu, wall, _digest(out))


@dataclass
class Place:
    """The tree, and the folder of the jobs' files in it."""

    root: Path
    folder: Path

    @property
    def copy(self) -> Path:
        """What jobs write."""
        return self.folder / "copy"

    def made(self) -> bytes:
        """A digest of it."""
        if not self.copy.exists():
            return b""
        with self.copy.open("rb") as file:
            return _digest(file)

    def native(self, command: list[str]) -> Sample:
        """In a chroot."""
        return _outside(native.command(self.root, PLACE, command))

    def jail(self, command: list[str]) -> Sample:
        """In the jail, whose start and end count."""
        before, start = processor_time(), time.perf_counter()
        jail = vx32py.Jail(
            root=self.root, dirs={PLACE: vx32py.Grant(self.folder, writable=True), "/dev": vx32py.Dev(), "/proc": vx32py.Proc()},
            env=ENVIRONMENT, cwd=PLACE, allow_exec=True, engine="jit", memory=MEMORY, timeout=TIMEOUT,
        )  # fmt: skip
        with tempfile.TemporaryFile() as out:
            result = jail.run(command, stdout=out.fileno())
            wall, cpu = time.perf_counter() - start, processor_time() - before
            if result.exit_code != 0:
                raise Failed(f"{result.describe()}: {result.stderr.decode(errors='replace').strip()[-200:]}")
            return Sample(cpu, wall, _digest(out))

    def qemu(self, command: list[str]) -> Sample:
        """Under qemu-user. The host's kernel would run natively what an emulated shell executes: so the script says that
        the emulator is to run it, as the kernel's binfmt_misc would."""
        emulator = f"{shutil.which(QEMU)} -L {self.root}"
        words = [word.replace("run=;", f"run='{emulator}';") for word in command]
        words = [re.sub(r"/bin/(true|cat|sh)\b", f"{self.root}/bin/\\1", word) for word in words]
        return _outside([*emulator.split(), *words], self.folder)


def prepare(folder: Path, progress: driver.Progress, *, quick: bool) -> None:
    """The files that the jobs are done on."""
    progress("making the files")
    (folder / "empty").touch()
    (folder / "text").write_bytes(busybox.text(5 * MIB if quick else 50 * MIB))
    with (folder / "large").open("wb") as file:
        file.truncate(100 * MIB if quick else 1024 * MIB)
    for i in range(5_000 if quick else 50_000):
        if i % 200 == 0:
            directory = folder / "tree" / f"group{i // 2000}" / f"folder{i // 200}"
            directory.mkdir(parents=True)
        (directory / f"file{i}").touch()


@contextmanager
def place(progress: driver.Progress, *, quick: bool) -> Iterator[Place]:
    """A tree with a folder of the jobs' own, which is removed afterwards. Raises roots.Unavailable."""
    root = sets.fetch(TREE, progress)
    inside = root.path / PLACE.strip("/")
    inside.mkdir(parents=True, exist_ok=True)
    # The folder has one name in the chroot and in the jail, and is the tree's own: no copy stands between them.
    try:
        prepare(inside, progress, quick=quick)
        yield Place(root.path, inside)
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def measure(job: Job, where: Place, progress: driver.Progress, *, rounds: int, quick: bool) -> Row:
    """A job's row."""
    row = Row(job)
    runners: dict[Column, Callable[[list[str]], Sample]] = {"native": where.native, "jail": where.jail}
    if job.qemu:
        if shutil.which(QEMU):
            runners["qemu"] = where.qemu
        else:
            row.missing["qemu"] = f"{QEMU} is not installed"
    command = job.command(quick=quick)

    def way(run: Callable[[list[str]], Sample]) -> tuple[Sample, Sample]:
        where.copy.unlink(missing_ok=True)
        idle = run(job.idle())
        where.copy.unlink(missing_ok=True)
        sample = run(command)
        return idle, replace(sample, output=sample.output + where.made())

    ways = {column: partial(way, run) for column, run in runners.items()}
    driver.take_turns(row, job.name, ways, TITLES, rounds, progress)
    return row


# -- telling ---------------------------------------------------------------------------------------------------------

HEADINGS: Final = (
    "job", "native s", "jail", "spread", "at work", "spread", "wall", "qemu", "start ms", "aim", "",
)  # fmt: skip


def cells(row: Row) -> list[str]:
    """A row of the table."""

    def start(column: Column) -> str:
        return f"{1000 * samples.median(row.idle[column]):.0f}" if row.idle.get(column) else ""

    natively = [s.cpu for s in row.runs.get("native", [])]
    return [
        row.job.name, tables.median(natively), tables.median(row.ratios()), tables.spread(row.ratios()),
        tables.median(row.at_work()), tables.spread(row.at_work()), tables.median(row.ratios(attribute="wall")),
        tables.median(row.at_work("qemu")), f"{start('native')} / {start('jail')}",
        "< qemu" if row.job.qemu else tables.aim(row.job.limit), row.remark or tables.verdict(row.met()),
    ]  # fmt: skip


def grids(rows: Sequence[Row]) -> list[tables.Grid]:
    """The table."""
    return [tables.Grid(HEADINGS, [cells(row) for row in rows])]


def as_json(row: Row, *, quick: bool) -> dict[str, Any]:
    """Every sample, and the ratios."""
    return {
        "name": row.job.name, "kind": row.job.kind, "command": row.job.command(quick=quick), "limit": row.job.limit,
        "met": row.met(), "remark": row.remark, "missing": row.missing,
        "columns": {
            column: samples.seconds(runs, row.idle.get(column, [])) | {
                "ratio": row.ratios(column), "ratio_at_work": row.at_work(column), "ratio_wall": row.ratios(column, "wall"),
            }
            for column, runs in row.runs.items()
        },
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report: 1 if an output was wrong or nothing could be measured, 2 for usage, 125 where it cannot be done,
    130 if it was interrupted."""
    parser = driver.parser(
        "jail", "Debian's programs in the jail, natively and under qemu-i386: processor time over the native one's.",
        rounds=ROUNDS, quick="a tenth of the work", written="table",
        names="measure what has this in its name or is of this kind (compute, calls, blocks); all by default",
    )  # fmt: skip
    options = parser.parse_args(argv)
    words = [word.casefold() for word in options.names]
    jobs = [job for job in JOBS if not words or any(word in job.name.casefold() or word == job.kind for word in words)]
    if options.list:
        print("\n".join(f"{job.kind:8} {job.name}" for job in jobs))
        return 0
    rounds = driver.rounds_of(options, ROUNDS)
    if not driver.has_work(parser, jobs, rounds):
        return 2
    return driver.run(
        parser, options, jobs, place=partial(place, quick=options.quick), unavailable=roots.Unavailable,
        measure=partial(measure, rounds=rounds, quick=options.quick), as_json=partial(as_json, quick=options.quick), grids=grids,
    )  # fmt: skip
