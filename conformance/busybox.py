"""Debian's static busybox for i386: a program that nobody here compiled, run in the jail and natively.

:func:`fetch` gets the package with the host's own ``apt-get``, from the sources that the host has, into directories of its
own: the host's list of architectures and its package database stay as they are, and no privilege is needed. What was
unpacked is kept in ``build/busybox``. :data:`JOBS` says what is run, and :func:`text` makes what it is run on.

``python -m conformance.busybox`` runs every job on 50 MiB, in turns with the native program, compares and times.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import hashlib
import itertools
import os
import random
import shutil
import statistics
import string
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

import vx32py

PACKAGE: Final = "busybox-static"
ARCHITECTURE: Final = "i386"
BUILD: Final = Path(__file__).resolve().parent.parent / "build" / "busybox"
#: What the jobs are run on where speed is the question.
LARGE: Final = 50 << 20
#: No download and no native run takes longer, in seconds.
TIMEOUT: Final = 300.0
#: `sort` keeps its input in memory, and twice of some of it.
MEMORY: Final = "1G"

_CHAPTER: Final = 4 << 20
_MOST_STREAMS: Final = 2


class Unavailable(Exception):
    """The program cannot be had here; the message says why."""


@dataclass(frozen=True)
class Job:
    """One call of busybox on its standard input."""

    name: str
    args: tuple[str, ...]
    input: Literal["text", "gzip", "bzip2"] = "text"


_AWK: Final = "{ words[$5]++; bytes += $4 } END { for (w in words) print w, words[w]; print NR, bytes }"
#: Quick ones first. Each reads all of its input.
JOBS: Final = (
    Job("sha256sum", ("sha256sum",)),
    Job("md5sum", ("md5sum",)),
    Job("gzip -d", ("gzip", "-d"), "gzip"),
    Job("zcat", ("zcat",), "gzip"),
    Job("bunzip2", ("bunzip2",), "bzip2"),
    Job("sort", ("sort",)),
    Job("awk", ("awk", _AWK)),
    Job("sed", ("sed", "-e", "/^[a-m]*;/d", "-e", "s/;\\([0-9]*\\);/ = \\1 /")),
    Job("wc", ("wc",)),
    Job("tr", ("tr", "a-z", "A-Z")),
    Job("grep", ("grep", "-n", "-v", "[aeiou]b")),
    Job("cut", ("cut", "-d", ";", "-f", "2,4")),
    Job("uniq", ("uniq", "-c", "-w", "3")),
    Job("base64", ("base64",)),
    Job("od", ("od", "-t", "x4")),
    Job("gzip", ("gzip", "-c")),
    Job("bzip2", ("bzip2", "-c")),
    Job("crc32", ("crc32",)),
    Job("tac", ("tac",)),
    Job("rev", ("rev",)),
    Job("head", ("head", "-n", "20")),
    Job("tail", ("tail", "-n", "20")),
    Job("sh", ("sh", "-c", "while read line; do n=$((n + ${#line})); done; echo $n")),
)


def job(name: str) -> Job:
    """The job of a name."""
    return next(each for each in JOBS if each.name == name)


# -- input -----------------------------------------------------------------------------------------------------------


def text(size: int) -> bytes:
    """A table as programs log it, with fields between semicolons: a word, two numbers, a phrase. The same every time."""
    chapters = -(-size // _CHAPTER)
    return b"".join(_chapter(number) for number in range(chapters))[:size]


def packed(kind: Literal["text", "gzip", "bzip2"], size: int) -> bytes:
    """Input for a job: :func:`text`, or streams behind each other that are `size` bytes of text when they are unpacked."""
    if kind == "text":
        return text(size)
    pieces = [min(_CHAPTER, size - start) for start in range(0, size, _CHAPTER)]
    return b"".join(_stream(kind, i % _MOST_STREAMS, piece) for i, piece in enumerate(pieces))


@cache
def _stream(kind: Literal["gzip", "bzip2"], chapter: int, size: int) -> bytes:
    content = _chapter(chapter)[:size]
    return gzip.compress(content, 6, mtime=0) if kind == "gzip" else bz2.compress(content, 9)


@cache
def _chapter(number: int) -> bytes:
    """The first chapter, in an alphabet of its own: other words with the same structure."""
    if number == 0:
        return _first_chapter()
    letters = string.ascii_lowercase
    shift = number % len(letters)
    return _chapter(0).translate(bytes.maketrans(letters.encode(), (letters[shift:] + letters[:shift]).encode()))


def _first_chapter() -> bytes:
    random_ = random.Random(20080625)  # noqa: S311 - reproducible, not secret
    words = ["".join(random_.choices("aeiounrstlbcdmp", k=random_.randint(2, 9))) for _ in range(3000)]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, len(words) + 1)))  # Zipf's law
    lines: list[str] = []
    length = 0
    while length < _CHAPTER:
        phrase = random_.choices(words, cum_weights=weights, k=random_.randint(3, 14))
        lines.append(f"{phrase[0]};{random_.getrandbits(20)}; {random_.getrandbits(12)} {' '.join(phrase[1:])}\n")
        length += len(lines[-1])
    return "".join(lines).encode()[:_CHAPTER]


# -- the program -----------------------------------------------------------------------------------------------------


def fetch() -> Path:
    """The program: kept from the last time, or downloaded. Raises Unavailable."""
    found = _fetched()
    if isinstance(found, str):
        raise Unavailable(found)
    return found


@cache
def _fetched() -> Path | str:
    """The program, or why there is none: what failed once in a process is not tried again."""
    kept = sorted(BUILD.glob(f"{PACKAGE}_*"))
    if kept:
        return kept[-1]
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            return f"{tool} is missing: busybox comes from a Debian package"
    try:
        with tempfile.TemporaryDirectory(prefix="vx32py-") as name:
            package = _download(Path(name))
            unpacked = Path(name, "unpacked")
            _run(["dpkg-deb", "--extract", str(package), str(unpacked)], Path(name))
            return _keep((unpacked / "bin" / "busybox").read_bytes(), package.name.split("_")[1])
    except Unavailable as error:
        return str(error)


def _keep(program: bytes, version: str) -> Path:
    BUILD.mkdir(parents=True, exist_ok=True)
    place = BUILD / f"{PACKAGE}_{version.replace('%3a', '-')}_{hashlib.sha256(program).hexdigest()[:16]}"
    with tempfile.NamedTemporaryFile(dir=BUILD, prefix=".fresh-", delete=False) as fresh:
        fresh.write(program)
        os.fchmod(fresh.fileno(), 0o755)
    Path(fresh.name).rename(place)
    return place


def _download(folder: Path) -> Path:
    """The package file, by an apt that believes itself on an i386 machine on which nothing is installed."""
    for part in ("state/lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "status").touch()
    options = [
        f"Dir::State={folder / 'state'}",
        f"Dir::State::status={folder / 'status'}",
        f"Dir::Cache={folder / 'cache'}",
        f"APT::Architecture={ARCHITECTURE}",
        f"APT::Architectures={ARCHITECTURE}",
        "Acquire::Languages=none",
        "Acquire::Retries=2",
        "Acquire::http::Timeout=20",
    ]
    apt = ["apt-get", "--quiet=2", *(part for option in options for part in ("-o", option))]
    # One source of several that cannot be reached is no failure yet: what counts is whether the package is found.
    _run([*apt, "update"], folder, check=False)
    _run([*apt, "download", f"{PACKAGE}:{ARCHITECTURE}"], folder)
    found = list(folder.glob("*.deb"))
    if not found:
        raise Unavailable(f"apt-get did not download {PACKAGE}:{ARCHITECTURE}")
    return found[0]


def _run(command: list[str], folder: Path, *, check: bool = True) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} took more than {TIMEOUT:.0f} s") from None
    if check and done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unavailable(f"{command[0]} could not get {PACKAGE}:{ARCHITECTURE}: {lines[-1]}")


def native(program: Path, args: tuple[str, ...], stdin: bytes) -> bytes:
    """What the program prints when the host runs it. Raises Unavailable where the host cannot, CalledProcessError."""
    try:
        done = subprocess.run([program, *args], input=stdin, env={}, capture_output=True, timeout=TIMEOUT, check=True)
    except OSError as error:
        raise Unavailable(f"this host does not run {ARCHITECTURE} programs: {error}") from None
    return done.stdout


def guest(
    module: vx32py.Module, args: tuple[str, ...], stdin: bytes, *, engine: str, policy: vx32py.Policy | None = None,
    memory: str = MEMORY,
) -> vx32py.Result:  # fmt: skip
    """How the program ends in the jail."""
    box = vx32py.Sandbox(engine=engine, policy=policy, memory=memory, output_limit=MEMORY, timeout=TIMEOUT)
    return box.run(module, args, stdin=stdin, name="busybox")


def main() -> int:
    """Compare and time; the number of jobs that went wrong."""
    parser = argparse.ArgumentParser(prog="python -m conformance.busybox", description="busybox in the jail")
    parser.add_argument("--size", type=int, default=LARGE, help="bytes of text (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="runs that a median is taken of")
    parser.add_argument("jobs", nargs="*", help="names of jobs; all by default")
    options = parser.parse_args()
    program = fetch()
    module = vx32py.Module.from_file(program)
    wrong = 0
    for each in JOBS:
        if options.jobs and each.name not in options.jobs:
            continue
        stdin = packed(each.input, options.size)
        pairs: list[tuple[float, float]] = []
        remark = "agrees"
        for _ in range(options.rounds):
            start = time.perf_counter()
            expected = native(program, each.args, stdin)
            middle = time.perf_counter()
            result = guest(module, each.args, stdin, engine="jit")
            pairs.append((middle - start, time.perf_counter() - middle))
            if (result.exit_code, result.stdout) != (0, expected):
                remark = "the output differs" if result.ok else result.describe()
        wrong += remark != "agrees"
        seconds = [statistics.median(column) for column in zip(*pairs, strict=True)]
        ratio = statistics.median(guest / native for native, guest in pairs)
        print(f"{each.name:10} native {seconds[0]:7.3f} s  guest {seconds[1]:7.3f} s  ratio {ratio:5.2f}  {remark}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
