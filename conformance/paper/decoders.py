"""What decoding in a guest costs: each decoder of :mod:`vx32py.decoders`, and hash functions, against the same source natively.

``vx32py bench decoders`` (or ``python -m conformance.paper decoders``) prints three tables and, with ``--json``, keeps every
figure:

* *decoders*: processor time of a file that takes a second or more, through a :class:`vx32py.Stream` that is there already,
  over that of a process of the same source as a native 32-bit program. They take turns (A B A B ...), ratios are of
  neighbours, and medians of those are told. Both read a file and write to /dev/null; that they write the same is looked
  at once, before. The aim is 1.10.
* *reuse*: 10,000 small files one by one through one stream, less one file that is all of them behind each other, by the
  number of files: what starting anew for each of them costs. The aim is 50 µs. With it the same through ``fork`` and ``exec``
  of the native program, a thousand times.
* *parallel*: the members of an archive, by one guest and by two, and by the native program, one process and two at a time:
  wall time.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import vx32py
from conformance import busybox
from conformance.paper import driver, machine, material, report, tables
from conformance.paper.samples import Failed, processor_time
from vx32py import _compile, _engines, decoders
from vx32py.decoders.recipes import RECIPES
from vx32py.pki import plugins
from vx32py.upstream import building, sources
from vx32py.upstream.recipes import Recipe

MIB: Final = material.MIB
ROUNDS: Final = 5
TIMEOUT: Final = 300.0
AIM: Final = 1.10
AIM_REUSE: Final = 50e-6
#: How large the files are, for a second or more natively; with --quick a small part of it. MiB of text, the side of a
#: picture in pixels, seconds of sound; and MiB for hash functions.
SIZES: Final = {
    "deflate": 256, "gzip": 320, "bzip2": 48, "xz": 128, "zstd": 800, "brotli": 256,
    "jpeg": 9000, "jp2": 2000, "png": 5000, "vorbis": 600, "flac": 900,
}  # fmt: skip
HASHES: Final = {
    "md5": 800, "sha1": 600, "sha256": 320, "sha512": 160, "ripemd160": 320, "whirlpool": 150, "blake2b": 160,
    "blake2s": 400, "sha3_256": 120,
}  # fmt: skip
FOLDER: Final = Path(__file__).resolve().parents[2] / "build" / "bench-decoders"
DIGEST: Final = Path(__file__).resolve().parent / "upstream" / "digest.c"
SMALL_FILES: Final = 10_000
MEMBERS: Final = 16


@dataclass
class Row:
    """A decoder's samples, in seconds of processor time and of the clock, one a round."""

    name: str
    size: int = 0
    written: int = 0
    native: list[tuple[float, float]] = field(default_factory=list)
    guest: list[tuple[float, float]] = field(default_factory=list)
    compiler: str = ""
    remark: str = ""

    def ratios(self, which: int = 0) -> list[float]:
        """Guest over native: of processor time (0) or of the clock (1)."""
        return [ours[which] / theirs[which] for ours, theirs in zip(self.guest, self.native, strict=False)]

    @property
    def met(self) -> bool | None:
        """Whether the aim is; None without figures."""
        return statistics.median(self.ratios()) <= AIM if self.ratios() else None


@dataclass(frozen=True)
class Pair:
    """A decoder as a guest and as a native program."""

    guest: vx32py.Module
    native: Path
    memory: int
    compiler: str


def recipe_of(name: str) -> Recipe:
    """The recipe of a decoder; of a hash function that of its plug-in, with a driver that is a program."""
    if name in RECIPES:
        return RECIPES[name]
    return replace(plugins.RECIPES[name], name=name, driver=DIGEST, plugin=False)


def pair(name: str, progress: driver.Progress) -> Pair:
    """Both, built if they are not there: by the recipe's compiler, or by gcc where that has no C library for the native
    one. Raises NotBuilt."""
    recipe = recipe_of(name)
    for compiler in dict.fromkeys((recipe.compiler, "gcc")):
        chosen = replace(recipe, compiler=compiler)
        targets = [
            building.Target(chosen, FOLDER / compiler / f"{name}.elf"),
            building.Target(chosen, FOLDER / compiler / "native" / name, native=True),
        ]
        try:
            building.build(targets, progress=lambda line, _done, _all: progress(line))
        except building.NotBuilt:
            if compiler == "gcc":
                raise
            continue
        memory = decoders.MEMORY.get(name, 8 * MIB)
        return Pair(vx32py.Module.from_file(targets[0].output), targets[1].output, memory, compiler)
    raise AssertionError


# -- running ---------------------------------------------------------------------------------------------------------


def natively(program: Path, source: Path, target: int) -> tuple[float, float]:
    """Processor time and time of a process."""
    with source.open("rb") as file:
        start = time.perf_counter()
        process = subprocess.Popen([program], stdin=file, stdout=target, stderr=subprocess.PIPE)
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Failed(f"the native program: exit code {process.returncode}: {said.decode(errors='replace').strip()}")
    return usage.ru_utime + usage.ru_stime, wall


def in_guest(stream: vx32py.Stream, source: Path, target: int) -> tuple[float, float]:
    """Processor time of this process while a stream decodes, and time."""
    with source.open("rb") as file:
        start, before = time.perf_counter(), processor_time()
        result = stream.run(file.fileno(), target)
        spent, wall = processor_time() - before, time.perf_counter() - start
    if result.exit_code != 0:
        raise Failed(f"the guest: {result.describe()}: {result.stderr.decode(errors='replace').strip()}")
    return spent, wall


def _digest(write: Callable[[int], object]) -> tuple[str, int]:
    with tempfile.TemporaryFile(dir=FOLDER) as file:
        write(file.fileno())
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest(), size


def _compare(ours: str, theirs: str) -> None:
    if ours != theirs:
        raise Failed("the outputs differ")


def _material(name: str, folder: Path, *, quick: bool) -> Path:
    file = folder / f"{name}.{name}"
    if name in SIZES:
        size = SIZES[name]
        picture = name in {"jpeg", "jp2", "png"}
        material.MAKERS[name](max(size // 20 if not picture else size // 5, 4) if quick else size, file)
    else:
        block = busybox.text(8 * MIB)
        with file.open("wb") as out:
            for _ in range(max(HASHES[name] // (80 if quick else 8), 1)):
                out.write(block)
    return file


def measure(name: str, rounds: int, progress: driver.Progress, *, quick: bool) -> Row:
    """A decoder's row."""
    row = Row(name)
    try:
        progress(f"{name}: building")
        both = pair(name, progress)
        row.compiler = both.compiler
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder, open(os.devnull, "wb") as sink:
            progress(f"{name}: making the file")
            source = _material(name, Path(folder), quick=quick)
            row.size = source.stat().st_size
            box = vx32py.Sandbox(engine="jit", memory=max(both.memory, 8 * MIB), timeout=TIMEOUT)
            with box.stream(both.guest) as stream:
                progress(f"{name}: comparing")
                theirs, row.written = _digest(lambda out: natively(both.native, source, out))
                ours, _ = _digest(lambda out: in_guest(stream, source, out))
                _compare(ours, theirs)
                for turn in range(rounds):
                    progress(f"{name}: {turn + 1} of {rounds}")
                    row.native.append(natively(both.native, source, sink.fileno()))
                    row.guest.append(in_guest(stream, source, sink.fileno()))
    except (Failed, material.NoTool, sources.SourceUnavailable, vx32py.Vx32Error, OSError) as error:
        row.remark = str(error).splitlines()[0]
    return row


@dataclass
class Reuse:
    """Seconds, one a round: of the small files one by one, of all in one file, and of native processes."""

    files: int
    one_by_one: list[tuple[float, float]] = field(default_factory=list)
    as_one: list[tuple[float, float]] = field(default_factory=list)
    process: list[float] = field(default_factory=list)

    def costs(self, which: int = 0) -> list[float]:
        """Seconds a file over the decoding itself: of processor time (0) or of the clock (1)."""
        pairs = zip(self.one_by_one, self.as_one, strict=True)
        return [(apart[which] - together[which]) / self.files for apart, together in pairs]


def measure_reuse(rounds: int, progress: driver.Progress, *, quick: bool) -> Reuse:
    """gzip files of about 100 bytes of text each; all of them behind each other are a gzip file, too. Raises Failed."""
    both = pair("gzip", progress)
    count = SMALL_FILES // (10 if quick else 1)
    text = busybox.text(count * 100)
    contents = [text[100 * i : 100 * (i + 1)] for i in range(count)]
    files = [gzip.compress(content, 6, mtime=0) for content in contents]
    everything = b"".join(files)
    found = Reuse(count)
    box = vx32py.Sandbox(engine="jit", memory=max(both.memory, 8 * MIB), timeout=TIMEOUT)
    with box.stream(both.guest) as stream:
        for file, content in zip(files[:200], contents, strict=False):
            if stream.run(file).stdout != content:
                raise Failed("a small file came out wrong")
        if stream.run(everything).stdout != text:
            raise Failed("the small files behind each other came out wrong")
        for turn in range(rounds):
            progress(f"reuse: {turn + 1} of {rounds}")
            start, before = time.perf_counter(), processor_time()
            for file in files:
                stream.run(file)
            found.one_by_one.append((processor_time() - before, time.perf_counter() - start))
            start, before = time.perf_counter(), processor_time()
            stream.run(everything)
            found.as_one.append((processor_time() - before, time.perf_counter() - start))
            start = time.perf_counter()
            for file in files[: count // 10]:
                subprocess.run([both.native], input=file, stdout=subprocess.PIPE, check=True)
            found.process.append((time.perf_counter() - start) / (count // 10))
    return found


@dataclass
class Parallel:
    """Seconds of the clock, one a round, for all members: by who decodes them."""

    members: int
    written: int
    seconds: dict[str, list[float]] = field(default_factory=dict)


def measure_parallel(rounds: int, progress: driver.Progress, *, quick: bool) -> Parallel:
    """Members of an archive, bzip2 files of some MiB, written to files of their own. Raises Failed."""
    both = pair("bzip2", progress)
    size = 4 * MIB
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        sources_of: list[Path] = []
        for i in range(MEMBERS):
            file = folder / f"{i}.bz2"
            if not sources_of:
                material.MAKERS["bzip2"](size // MIB, file)
            else:
                os.link(sources_of[0], file)
            sources_of.append(file)
        found = Parallel(MEMBERS, MEMBERS * size)
        box = vx32py.Sandbox(engine="jit", memory=max(both.memory, 8 * MIB), timeout=TIMEOUT)

        def native(at_once: int) -> None:
            def one(file: Path) -> None:
                with file.with_suffix(".out").open("wb") as out:
                    natively(both.native, file, out.fileno())

            with ThreadPoolExecutor(at_once) as threads:
                list(threads.map(one, sources_of))

        def guests(at_once: int) -> None:
            opened = [(file.open("rb"), file.with_suffix(".out").open("wb")) for file in sources_of]
            with vx32py.StreamPool(box, both.guest, guests=at_once) as pool:
                for done in pool.map(vx32py.Job(source.fileno(), out.fileno()) for source, out in opened):
                    done.get().check()
            for source, out in opened:
                source.close()
                out.close()

        ways: dict[str, Callable[[], None]] = {
            "native, one process": partial(native, 1),
            "one guest": partial(guests, 1),
            "native, two processes": partial(native, 2),
            "two guests": partial(guests, 2),
        }
        for turn in range(-1, rounds):
            for title, way in ways.items():
                progress(f"parallel: {title}, {max(turn, 0) + 1} of {rounds}")
                start = time.perf_counter()
                way()
                if turn >= 0:
                    found.seconds.setdefault(title, []).append(time.perf_counter() - start)
    return found


# -- telling ---------------------------------------------------------------------------------------------------------

HEADINGS: Final = (
    "decoder",
    "file MiB",
    "output MiB",
    "native s",
    "MiB/s",
    "guest / native",
    "spread",
    "wall",
    "by",
    "",
)


def cells(row: Row) -> list[str]:
    """A row of the first table."""
    ratios, native = row.ratios(), [sample[0] for sample in row.native]
    # A hash function has hardly any output: what it reads counts.
    done = max(row.size, row.written) / MIB
    return [
        row.name, f"{row.size / MIB:.1f}", f"{row.written / MIB:.1f}", tables.median(native),
        f"{done / statistics.median(native):.0f}" if native else "", tables.median(ratios),
        tables.spread(ratios), tables.median(row.ratios(1)), row.compiler, row.remark or tables.verdict(row.met),
    ]  # fmt: skip


def lines_of(reuse: Reuse | None, parallel: Parallel | None) -> list[str]:
    """What else was measured, for people."""
    said = []
    if reuse is not None:
        cost = statistics.median(reuse.costs())
        said.append(
            f"reuse: {reuse.files} small files through one decoder: {cost * 1e6:.1f} µs of processor time a file over the"
            f" decoding itself ({tables.median(reuse.costs(1), '.7f')} s of the clock); aim {AIM_REUSE * 1e6:.0f} µs:"
            f" {'met' if cost <= AIM_REUSE else 'not met'}. A native process for each: {statistics.median(reuse.process) * 1e6:.0f} µs"
        )
    if parallel is not None:
        for title, seconds in parallel.seconds.items():
            best = statistics.median(seconds)
            said.append(
                f"parallel: {parallel.members} members by {title}: {best:.2f} s,"
                f" {parallel.written / MIB / best:.0f} MiB/s"
            )
    return said


def grid(rows: Sequence[Row]) -> tables.Grid:
    """The first table."""
    return tables.Grid(HEADINGS, [cells(row) for row in rows])


def show(rows: Sequence[Row], others: Sequence[str]) -> None:
    """Print it all."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 140)
    if rows:
        tables.show([grid(rows)], console)
    for line in others:
        console.print(line, highlight=False, soft_wrap=True)


def markdown(rows: Sequence[Row], others: Sequence[str], facts: Sequence[str]) -> str:
    """The same for a page."""
    return "\n".join([tables.page(facts, [grid(rows)]), *(f"* {line}" for line in others), ""])


def as_json(rows: Sequence[Row], reuse: Reuse | None, parallel: Parallel | None) -> dict[str, Any]:
    """Every sample."""
    found: dict[str, Any] = {}
    found["decoders"] = [
        {
            "name": row.name, "size": row.size, "written": row.written, "compiler": row.compiler, "native": row.native,
            "guest": row.guest, "ratio": row.ratios(), "ratio_wall": row.ratios(1), "met": row.met, "remark": row.remark,
        }
        for row in rows
    ]  # fmt: skip
    if reuse is not None:
        found["reuse"] = {
            "files": reuse.files, "one_by_one": reuse.one_by_one, "as_one": reuse.as_one, "process": reuse.process,
            "cost": reuse.costs(), "cost_wall": reuse.costs(1),
        }  # fmt: skip
    if parallel is not None:
        found["parallel"] = {"members": parallel.members, "written": parallel.written, "seconds": parallel.seconds}
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report: 1 if an output was wrong or something could not be measured, 2 for usage, 125 where it cannot be
    done, 130 if it was interrupted."""
    parser = driver.parser(
        "decoders",
        "Decoders and hash functions in guests over the same source natively; the cost of reuse; several guests.",
        rounds=ROUNDS, names="measure these only (--list names them)", quick="small files",
    )  # fmt: skip
    options = parser.parse_args(argv)
    known = [*SIZES, *HASHES, "reuse", "parallel"]
    if options.list:
        print("\n".join(known))
        return 0
    unknown = [name for name in options.names if name not in known]
    rounds = driver.rounds_of(options, ROUNDS)
    if unknown or rounds < 1:
        what = f"nothing is called {unknown[0]!r}" if unknown else f"{rounds} rounds are none"
        driver.complain(parser, f"{what} (--list says what there is)")
        return 2
    reason = _engines.unavailable("jit")
    if reason is None and not _compile.can_build_native():
        reason = "no compiler for native 32-bit programs"
    if reason is not None:
        driver.complain(parser, f"it cannot be measured here: {reason}")
        return 125
    names = options.names or known
    head = driver.heading(options)
    rows: list[Row] = []
    reuse: Reuse | None = None
    parallel: Parallel | None = None
    FOLDER.mkdir(parents=True, exist_ok=True)
    status = 0

    def keep() -> None:
        driver.keep(head | as_json(rows, reuse, parallel), options.json)

    try:
        with report.status() as progress:
            wanted = (name for name in names if name in SIZES or name in HASHES)
            for name in wanted:
                rows.append(measure(name, rounds, progress, quick=options.quick))
                keep()
            if "reuse" in names:
                reuse = measure_reuse(rounds, progress, quick=options.quick)
            if "parallel" in names:
                parallel = measure_parallel(rounds, progress, quick=options.quick)
    except (Failed, sources.SourceUnavailable, vx32py.Vx32Error) as error:
        driver.complain(parser, str(error).splitlines()[0])
        status = 1
    except KeyboardInterrupt:
        driver.complain(parser, "interrupted")
        status = driver.INTERRUPTED
    others = lines_of(reuse, parallel)
    show(rows, others)
    keep()
    if options.write:
        options.write.write_text(markdown(rows, others, machine.lines(head["machine"])), encoding="utf-8")
    return status or int(any(row.remark for row in rows))
