"""What is measured: programs, their work, and how guest and native program come from the same objects.

Guest and native program are linked from the same object files at the same addresses: program, library, and one of the two
versions of the one function that makes system calls (``calls.S``). So what a ratio compares is the same machine code in
two places. :func:`differences` finds what else differs, and a program for which it finds something is not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import vx32py
from conformance import busybox, guests
from jit import diskcache
from vx32py import _compile, guest

HERE: Final = Path(__file__).resolve().parent
BUILD: Final = guests.ROOT / "build" / "paper"
_CALLS: Final = (HERE / "calls.S", HERE / "calls.h")
_COMPRESSED: Final = 16 << 20

Input = Callable[[], bytes]


@dataclass(frozen=True)
class Program:
    """One program at work. ``idle`` are the arguments with which it starts and has nothing to do; then it gets no input.

    ``source`` is a C file, or "" for busybox. It is run ``repeat`` times in a row to be measured once. ``paper`` are the
    paper's ratios for the same thing or something like it.
    """

    name: str
    source: str
    args: tuple[str, ...]
    idle: tuple[str, ...]
    optimise: str = "-O2"
    flags: tuple[str, ...] = ()
    stdin: Input | None = None
    paper: str = ""
    repeat: int = 1


@dataclass(frozen=True)
class Pair:
    """A program, ready to be run both ways."""

    guest: vx32py.Module
    native: Path
    argv0: str


def _text() -> bytes:
    return busybox.text(_COMPRESSED)


def _compressed() -> bytes:
    """What the decoder of the lz example gets, from the guest that makes it."""
    made = BUILD / f"lz-{diskcache.key_of(_text(), (guests.EXAMPLES / 'lz.c').read_bytes())[:12]}"
    if not made.exists():
        stream = vx32py.run(guests.example("lz", using=guests.compiler()), ["-c"], _text(), check=True).stdout
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(stream)
    return made.read_bytes()


def _example(name: str, title: str, args: str, idle: str, **more: object) -> Program:
    return Program(title, f"examples/{name}.c", tuple(args.split()), tuple(idle.split()), **more)  # type: ignore[arg-type]


def _loop(name: str, count: int, paper: str) -> Program:
    source = "conformance/paper/micro.c"
    return Program(name, source, (name, str(count)), (name, "0"), paper=paper)


def _applet(name: str, paper: str = "") -> Program:
    job = busybox.job(name)
    return Program(
        f"busybox {name}",
        "",
        job.args,
        ("true",),
        stdin=lambda: busybox.packed(job.input, busybox.LARGE),
        paper=paper,
    )


PROGRAMS: Final = (
    _example("sha256", "sha256, 200 MiB of zeros", "-z 200", "-z 0", paper="sha1 1.03-1.15, sha512 .85-1.14"),
    _example("fib", "fib 42, as -O2 has it", "42", "1"),
    _example("fib", "fib 38, every call made", "38", "1", optimise="-O1", flags=("-fno-inline",)),
    _example("qsort", "qsort, 5 million numbers", "5000000", "1"),
    _example("lisp", "Lisp: fib 30", "-d fib 30", "-e 0", paper="perlbench 1.16-1.78"),
    _example("lisp", "Lisp: 9 queens", "-d queens 9", "-e 0"),
    _example("lz", "lz, compress 16 MiB", "-c", "-c", stdin=_text),
    _example("lz", "lz, decompress to 16 MiB", "-d", "-c", stdin=_compressed, paper="zlib .95-1.08, bzip2 .94-1.06"),
    _example("primes", "primes below 50 million", "50000000", "10"),
    _loop("jump", 500_000_000, ".28-1.00"),
    _loop("jumpal", 1_000_000_000, "1.00-1.50"),
    _loop("jumpfar", 100_000_000, ".006-.14"),
    _loop("call", 300_000_000, "1.96-7.3"),
    _loop("callind", 300_000_000, "1.43-4.6"),
    _loop("syscall", 200_000, "2.5-3.3"),
    _example("fib", "nullrun", "1", "1", paper="3.3-6.8", repeat=200),
    _applet("sha256sum"),
    _applet("gzip -d", "zlib .95-1.08"),
    _applet("bunzip2", "bzip2 .94-1.06"),
    _applet("sort"),
    _applet("awk"),
    _applet("sed"),
)


def prepare(program: Program, progress: _compile.Progress | None = None) -> Pair:
    """Compile, or fetch. Raises CompileError, FileNotFoundError outside the source tree, busybox.Unavailable."""
    if not program.source:
        found = busybox.fetch()
        return Pair(vx32py.Module.from_file(found), found, "busybox")
    source = guests.ROOT / program.source
    if not source.is_file():
        raise FileNotFoundError(f"{program.source} is not here: it is in the source tree, not in the installed package")
    made = [_compiled(source, program, flags, progress) for flags in ((), ("-DNATIVE",))]
    pair = Pair(vx32py.Module.from_file(made[0]), made[1], source.stem)
    found_differences = differences(pair)
    if found_differences:
        raise _compile.CompileError(f"{program.name}: guest and native program differ at {found_differences[0]:#x}")
    return pair


def _compiled(source: Path, program: Program, flags: Sequence[str], progress: _compile.Progress | None) -> Path:
    using = guests.compiler()
    chosen = next(iter(_compile.compilers()), "") if using == "auto" else using
    parts = sorted(source.with_suffix("").glob("*.c"))
    files = (source, *parts, *_CALLS, *guest.files(), Path(_compile.__file__))
    digest = diskcache.key_of(*(file.read_bytes() for file in files))
    # The library's key on disk knows options, and not what a header included by one says: so the digest is an option.
    options = ("-include", str(_CALLS[1]), f"-DMEASURED=0x{digest[:8]}", *program.flags)
    version = _compile.compilers().get(chosen, "")
    name = diskcache.key_of(digest, chosen, version, program.optimise, *program.flags, *flags)[:12]
    made = BUILD / f"{source.stem}-{'native' if flags else 'guest'}-{name}"
    if not made.exists():
        _compile.compile_guest(
            [source, _CALLS[0]],
            made,
            compiler=using,
            optimise=program.optimise,
            flags=(*options, *flags),
            progress=progress,
        )
    return made


def differences(pair: Pair) -> list[int]:
    """The addresses at which guest and native program differ, outside the function that makes system calls."""
    modules = (pair.guest, vx32py.Module.from_file(pair.native))
    shapes = [[(s.start, s.end, s.access) for s in module.segments] for module in modules]
    if shapes[0] != shapes[1]:
        return [modules[0].start]
    symbols = modules[0].symbols
    own = range(symbols["measured_call"].address, symbols["measured_call_end"].address)
    found = []
    for one, other in zip(*(module.segments for module in modules), strict=True):
        a, b = bytes(one.data), bytes(other.data)
        if a != b:
            found += [one.start + i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    return [address for address in found if address not in own]
