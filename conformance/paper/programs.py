"""What is measured: programs, and what each of them is asked to do.

:mod:`conformance.paper.targets` says how they are built, :mod:`conformance.paper.columns` how they are run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from conformance import busybox
from conformance.paper import inputs
from conformance.paper.inputs import Input

#: A loop of one kind of transfer; a computation; an interpreter; a program as people use them.
Kind: TypeAlias = Literal["micro", "compute", "interpreter", "application"]
KINDS: Final[tuple[Kind, ...]] = ("micro", "compute", "interpreter", "application")


@dataclass(frozen=True)
class Program:
    """One program at work: a second or more of it natively, where it is a computation. ``idle`` are the arguments with
    which it starts and has nothing to do; then it gets no input.

    ``source`` is a C file, ``upstream`` a recipe's name; neither is busybox. "{}" in ``args`` stands for ``work``, or
    ``quick`` for a quick look. It is run ``repeat`` times in a row to be measured once. ``paper`` are the paper's ratios
    for the same thing or something like it. ``not_wasm`` says why there is no WebAssembly program of the kind.
    ``exact``: it prints the same on every processor; one that rounds as the x87 does not.
    """

    name: str
    source: str
    args: tuple[str, ...]
    idle: tuple[str, ...]
    kind: Kind = "application"
    work: int = 0
    quick: int = 0
    upstream: str = ""
    optimise: str = "-O2"
    flags: tuple[str, ...] = ()
    stdin: Input | None = None
    quick_stdin: Input | None = None
    paper: str = ""
    repeat: int = 1
    not_wasm: str = ""
    exact: bool = True

    def arguments(self, quick: bool = False) -> list[str]:
        """The arguments with which it works."""
        return [arg.replace("{}", str(self.quick if quick else self.work)) for arg in self.args]

    def input(self, quick: bool = False) -> Input | None:
        """What makes its input."""
        return self.quick_stdin if quick and self.quick_stdin else self.stdin


#: Why some have no WebAssembly program.
_NO_JUMPS: Final = "WebAssembly has no such jumps"
_NO_LONGJMP: Final = "WASI has no setjmp without an extension"


def _example(name: str, title: str, args: str, idle: str, work: int = 0, quick: int = 0, **more: object) -> Program:
    source = name if "/" in name else f"examples/{name}.c"
    return Program(title, source, tuple(args.split()), tuple(idle.split()), work=work, quick=quick, **more)  # type: ignore[arg-type]


def _loop(name: str, work: int, quick: int, paper: str = "", *, not_wasm: str = _NO_JUMPS) -> Program:
    return _example(
        "conformance/paper/micro.c", name, f"{name} {{}}", f"{name} 0", work, quick,
        kind="micro", paper=paper, not_wasm=not_wasm,
    )  # fmt: skip


def _transfer(name: str, title: str, work: int, quick: int, *, kind: Kind = "micro") -> Program:
    return _example("conformance/paper/transfers.c", title, f"{name} {{}}", f"{name} 0", work, quick, kind=kind)


def _hash(name: str, title: str, work: int, quick: int, paper: str = "") -> Program:
    args = (name, "{}")
    return Program(f"{title} of zeros", "", args, (name, "0"), "compute", work, quick, upstream="hashes", paper=paper)


def _upstream(
    recipe: str,
    title: str,
    work: int,
    quick: int,
    stdin: Input | None = None,
    paper: str = "",
    quick_stdin: Input | None = None,
    *,
    kind: Kind = "compute",
    exact: bool = True,
) -> Program:
    return Program(
        title, "", ("{}",), ("0",), kind, work, quick,
        upstream=recipe, stdin=stdin, quick_stdin=quick_stdin, paper=paper, exact=exact,
    )  # fmt: skip


def _applet(name: str, paper: str = "") -> Program:
    job = busybox.job(name)
    return Program(
        f"busybox {name}", "", job.args, ("true",), paper=paper,
        stdin=inputs.packed(job, 16 << 20), quick_stdin=inputs.packed(job, 1 << 20),
    )  # fmt: skip


# fmt: off
PROGRAMS: Final = (
    _loop("jump", 500_000_000, 20_000_000, ".28-1.00"),
    _loop("jumpal", 1_000_000_000, 100_000_000, "1.00-1.50"),
    _loop("jumpfar", 100_000_000, 10_000_000, ".006-.14"),
    _loop("call", 300_000_000, 30_000_000, "1.96-7.3"),
    _loop("callind", 300_000_000, 30_000_000, "1.43-4.6"),
    _loop("syscall", 200_000, 10_000, "2.5-3.3", not_wasm=""),
    _example("fib", "nullrun", "1", "1", kind="micro", paper="3.3-6.8", repeat=200),
    _example("fib", "Fibonacci, every call made", "{}", "1", 38, 32, kind="micro", optimise="-O1", flags=("-fno-inline",)),
    _transfer("switch", "switch interpreter", 40_000_000, 1_000_000, kind="interpreter"),
    _transfer("goto", "computed-goto interpreter", 45_000_000, 1_000_000, kind="interpreter"),
    _transfer("virtual", "virtual calls", 60_000_000, 4_000_000),
    _transfer("qsort", "qsort with a callback", 3_000_000, 200_000),
    _transfer("chase", "pointer chase", 6_000_000, 500_000),
    _transfer("deep", "deep recursion, 64 return sites", 60_000_000, 4_000_000),
    _hash("md5", "MD5", 800, 15),
    _hash("sha1", "SHA-1", 700, 20, "1.03-1.15"),
    _hash("sha512", "SHA-512", 170, 5, ".85-1.14"),
    _hash("rmd160", "RIPEMD-160", 360, 10),
    _hash("whirlpool", "Whirlpool", 150, 4),
    _example("sha256", "SHA-256 of zeros", "-z {}", "-z 0", 320, 8, kind="compute"),
    _upstream("inflate", "zlib, decompress", 72, 4, inputs.zlib_stream(4 << 20), ".95-1.08"),
    _upstream("bunzip2", "bzip2, decompress", 8, 1, inputs.bzip2_stream(4 << 20), ".94-1.06", inputs.bzip2_stream(1 << 18)),
    _upstream("jpeg", "JPEG, decode", 180, 6, inputs.encoded(1024)),
    _upstream("jpeg2000", "JPEG 2000, decode", 100, 4, inputs.encoded(512)),
    _upstream("vorbis", "Vorbis, decode", 30, 2, inputs.encoded(20), exact=False),
    _upstream("flac", "FLAC, decode", 66, 3, inputs.encoded(20)),
    _example("matmul", "matrix product, SSE2", "256 {}", "4 0", 350, 10, kind="compute", optimise="-O3"),
    _example("nbody", "n-body, x87", "{}", "0", 700_000, 20_000, kind="compute", flags=("-mno-sse",), exact=False),
    _example("nbody", "n-body, SSE2", "{}", "0", 1_400_000, 40_000, kind="compute"),
    _upstream("sqlite", "SQLite in memory", 400_000, 8_000),
    _upstream("lua", "Lua", 33, 1, inputs.script("structures.lua"), kind="interpreter"),
    _example("lisp", "Lisp: fib", "-d fib {}", "-e 0", 33, 25, kind="interpreter", paper="perlbench 1.16-1.78", not_wasm=_NO_LONGJMP),
    _example("lisp", "Lisp: queens", "-d queens {}", "-e 0", 10, 7, kind="interpreter", not_wasm=_NO_LONGJMP),
    _example("lz", "lz, compress", "-c", "-c", stdin=inputs.text(4 << 20), quick_stdin=inputs.text(1 << 18)),
    _example("lz", "lz, decompress", "-d", "-c", stdin=inputs.lz_stream(16 << 20), quick_stdin=inputs.lz_stream(1 << 20), paper="zlib .95-1.08"),
    _example("primes", "primes", "{}", "10", 50_000_000, 4_000_000),
    _applet("sha256sum"),
    _applet("gzip -d", "zlib .95-1.08"),
    _applet("bunzip2", "bzip2 .94-1.06"),
    _applet("sort"),
    _applet("awk"),
    _applet("sed"),
)
# fmt: on
