"""``make demo``: real programs, on every engine that this host has and natively, compared and timed.

Each example is compiled twice from one source, as a guest and as an ordinary program. The fast engine gets megabytes, the
engines that are there to be read get kilobytes. Whatever a run prints is compared with what Python says it must be, and
with the native program. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

import vx32py
from conformance import guests
from vx32py import _compile, _engines

MIB: Final = 1 << 20
#: What the fast engine works on, and how often it and the native program take turns.
LARGE: Final = 9 * MIB
ROUNDS: Final = 3
#: What the slow engines work on: they interpret some hundred thousand instructions a second.
SMALL: Final = 1500
#: No run of a demonstration takes longer.
TIMEOUT: Final = 300.0

#: Integer code alone: the compilers would copy small blocks in vector registers, which the two engines in Python model
#: exactly but slowly, and every engine is to run the same program.
INTEGER_ONLY: Final = ("-mno-sse", "-mno-mmx", "-mfpmath=387")


@dataclass(frozen=True)
class Task:
    """One program at work. ``expected`` is its output; None means whatever the native program says."""

    title: str
    program: str
    args: tuple[str, ...]
    stdin: bytes
    expected: bytes | None


@dataclass
class Row:
    """How one task went on one engine. Times are medians in seconds; ``ok`` is None where the engine cannot run it."""

    task: Task
    engine: str
    seconds: float | None = None
    native: float | None = None
    ok: bool | None = None
    remark: str = ""
    output: bytes = field(default=b"", repr=False)


def corpus(size: int) -> bytes:
    """A deterministic file: the sources of Python's standard library one after the other, each behind a header."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    parts: list[bytes] = []
    length = 0
    while length < size:
        before = length
        for path in sorted(folder.rglob("*.py")):
            if "site-packages" in path.parts or "dist-packages" in path.parts:
                continue
            content = path.read_bytes()
            parts += [f"{path.relative_to(folder)}\0{len(content)}\n".encode(), content]
            length += len(parts[-2]) + len(content)
            if length >= size:
                break
        if length == before:  # a Python without its sources
            parts.append(bytes(size))
            length += size
    return b"".join(parts)[:size]


def digest(data: bytes) -> bytes:
    """What the sha256 example prints for ``data``."""
    return hashlib.sha256(data).hexdigest().encode() + b"\n"


def fibonacci(n: int) -> bytes:
    """What the interpreter prints for the n-th Fibonacci number."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return b"%d\n" % a


def tasks(data: bytes, compress: Callable[[bytes], bytes], *, small: bool) -> list[Task]:
    """The demonstration on ``data``; ``compress`` makes the stream that the decoder gets."""
    size = f"{len(data) / MIB:.0f} MiB" if len(data) >= MIB else f"{len(data)} bytes"
    fib = 5 if small else 24
    made = [
        Task(f"sha256 of {size}", "sha256", (), data, digest(data)),
        Task(f"compress {size}", "lz", ("-c",), data, None),
        Task(f"decompress {size}", "lz", ("-d",), compress(data), data),
        Task(f"Lisp: fib {fib}", "lisp", ("-d", "fib", str(fib)), b"", fibonacci(fib)),
    ]
    if not small:
        made.append(Task("Lisp: 8 queens", "lisp", ("-d", "queens", "8"), b"", b"92\n"))
    return made


class Demo:
    """The programs, compiled, and the ways to run them."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.compiler = guests.compiler()
        self.has_native = _compile.can_build_native(self.compiler)
        self.modules: dict[str, vx32py.Module] = {}
        self.natives: dict[str, Path] = {}

    def build(self) -> None:
        """Compile what is not there yet. Raises CompileError."""
        with self.status("compiling") as say:
            for name in ("sha256", "lz", "lisp"):
                self.modules[name] = vx32py.Module.from_file(
                    guests.example(name, using=self.compiler, flags=INTEGER_ONLY, progress=say)
                )
                if self.has_native:
                    self.natives[name] = guests.example(
                        name, "native", using=self.compiler, flags=INTEGER_ONLY, progress=say
                    )

    @contextmanager
    def status(self, text: str) -> Iterator[Callable[[str], None]]:
        """A line that says what goes on, on a terminal; the function changes it."""
        with self.console.status(text) as status:
            yield lambda line: status.update(line.splitlines()[0])

    def native(self, task: Task) -> bytes:
        """What the native program prints. Raises RuntimeError if it fails."""
        command = [str(self.natives[task.program]), *task.args]
        done = subprocess.run(command, input=task.stdin, capture_output=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise RuntimeError(f"the native {task.program} failed with {done.returncode}: {done.stderr.decode()}")
        return done.stdout

    def guest(self, task: Task, engine: str) -> vx32py.Result:
        """How the guest ends on an engine."""
        return vx32py.Sandbox(engine=engine, timeout=TIMEOUT).run(
            self.modules[task.program], args=list(task.args), stdin=task.stdin
        )

    def compress(self, data: bytes) -> bytes:
        """A stream for the decoder, from the native program or else from the fastest engine."""
        task = Task("", "lz", ("-c",), data, None)
        if self.has_native:
            return self.native(task)
        return self.guest(task, vx32py.engines()[0]).check().stdout

    def row(self, task: Task, engine: str, rounds: int) -> Row:
        """Run a task ``rounds`` times on an engine, in turns with the native program, and compare."""
        row = Row(task, engine)
        seconds: list[float] = []
        native: list[float] = []
        expected = task.expected
        for _ in range(rounds):
            start = time.perf_counter()
            try:
                result = self.guest(task, engine)
            except vx32py.NotModelled as error:
                row.remark = str(error).split(" at eip")[0]
                return row
            seconds.append(time.perf_counter() - start)
            if not result.ok:
                row.ok, row.remark = False, result.describe()
                return row
            row.output = result.stdout
            if self.has_native:
                start = time.perf_counter()
                output = self.native(task)
                native.append(time.perf_counter() - start)
                expected = output if expected is None else expected
                if output != expected:
                    row.ok, row.remark = False, "the native program is wrong"
                    return row
        row.seconds = statistics.median(seconds)
        row.native = statistics.median(native) if native else None
        row.ok = expected is None or row.output == expected
        row.remark = "agrees" if row.ok else "the output differs"
        return row


def table(rows: list[Row]) -> Table:
    """The rows, for people. A ratio is a guest's time over the native program's, start-up included."""
    made = Table(title="One source, every engine")
    for heading in ("program", "engine"):
        made.add_column(heading)
    for heading in ("guest", "native", "ratio"):
        made.add_column(heading, justify="right")
    made.add_column("output")
    previous = ""
    for row in rows:
        timed = row.engine == "jit"  # what the other engines take says nothing about a ratio
        ratio = row.seconds / row.native if timed and row.seconds and row.native else None
        style = {True: "green", False: "bold red", None: "yellow"}[row.ok]
        made.add_row(
            row.task.title if row.task.title != previous else "",
            row.engine,
            f"{row.seconds:.3f} s" if row.seconds is not None else "",
            f"{row.native:.3f} s" if timed and row.native is not None else "",
            f"{ratio:.2f}" if ratio is not None else "",
            f"[{style}]{row.remark}[/]",
        )
        previous = row.task.title
    return made


#: Primes up to here, a process for each of them: on the fast engine, and on the others.
_SIEVE: Final = 200
_SMALL_SIEVE: Final = 14


def plan9(console: Console, engine: str) -> bool:
    """A Plan 9 program on a kernel in Python: a sieve of processes and pipes. Whether it says what Python says."""
    from vx32py.plan9 import Kernel

    limit = _SIEVE if engine == "jit" else _SMALL_SIEVE
    program = guests.example("sieve", "plan9").read_bytes()
    primes = [n for n in range(2, limit + 1) if all(n % m for m in range(2, n))]
    start = time.perf_counter()
    with Kernel(engine=engine, memory="16M", timeout=TIMEOUT) as kernel:
        # What Python has is a file of the program's, and so is the program itself.
        kernel.bind({"sieve": program}, "/bin")
        result = kernel.run(["sieve", "-n", str(limit)])
        seconds, started = time.perf_counter() - start, kernel.family.processes_started
    agrees = result.status == "" and [int(line) for line in result.stdout.split()] == primes
    said = "[green]agrees[/]" if agrees else f"[bold red]differs: {result.status}[/]"
    console.print(
        f"Plan 9: primes to {limit} by {started} processes and their pipes on {engine}, {seconds:.3f} s: {said}",
        soft_wrap=True,
    )
    return agrees


def main() -> int:
    """Run the demonstration; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m conformance.demo", description="Real programs on every engine.")
    parser.add_argument("--size", type=int, default=LARGE, help="bytes for the jit engine (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="runs that a median is taken of")
    options = parser.parse_args()
    console = Console()
    demo = Demo(console)
    try:
        demo.build()
    except _compile.CompileError as error:
        console.print(f"[bold red]{error}[/]\n{error.stderr}")
        return 1
    version = _compile.compilers().get(demo.compiler) or "".join(list(_compile.compilers().values())[:1])
    console.print(f"compiled with {demo.compiler} {version}; a ratio is time under vx32py / time of the native program")
    for name in _engines.NAMES:
        reason = _engines.unavailable(name)
        if reason is not None:
            console.print(f"[yellow]the {name} engine cannot run here: {reason}[/]")
    if not demo.has_native:
        console.print("[yellow]no 32-bit C library here: no native programs to compare with[/]")

    data = corpus(options.size)
    rows: list[Row] = []
    with demo.status("running") as say:
        for small in (False, True):
            engines = [name for name in vx32py.engines() if (name != "jit") or not small]
            for task in tasks(data[:SMALL] if small else data, demo.compress, small=small):
                for engine in engines:
                    if small == (engine == "jit"):
                        continue
                    say(f"{task.title} on {engine}")
                    rows.append(demo.row(task, engine, options.rounds if engine == "jit" else 1))
    console.print(table(rows))
    on_plan9 = [plan9(console, engine) for engine in vx32py.engines()]
    wrong = sum(row.ok is False for row in rows) + on_plan9.count(False)
    agreed = sum(row.ok is True for row in rows) + on_plan9.count(True)
    console.print(f"{agreed} runs agree" + (f", [bold red]{wrong} do not[/]" if wrong else ""))
    return 1 if wrong or not agreed else 0


if __name__ == "__main__":
    sys.exit(main())
