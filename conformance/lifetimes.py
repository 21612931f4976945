"""``python -m conformance.lifetimes``: many guests one after another, and what they leave behind in their host.

Guests of a few kinds are made, run, trapped, snapshotted, restored, forked, interrupted, killed and closed. At times the
process looks at itself: memory, descriptors, entries of the descriptor table, threads, mappings. After a warm-up none of
these may grow by more than its bound, however many guests there are. The exit code is 1 if one does.
"""

from __future__ import annotations

import argparse
import gc
import os
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from jit.assemble import assemble
from reference.records import dataclass
from vx32py import Grant, LimitExceeded, Module, Process, Sandbox, Vector, _engines

KIB: Final = 1 << 10
#: How far a figure may be above the highest of the warm-up. Memory in KiB: the allocators of Python and of the C library
#: keep what they have once had, in other places each time; a page lost for each guest would be 400 MB.
BOUNDS: Final = {
    "VmRSS KiB": 16 * KIB,
    "private dirty KiB": 16 * KIB,
    "descriptors": 4,
    "LDT entries": 6,
    "threads": 2,
    "mappings": 40,
}
#: So many samples, of which those up to the warm-up say what is normal.
SAMPLES: Final = 20
WARM_UP: Final = 5


CODE: Final = 0x0804_9000
DATA: Final = 0x0804_A000
HEAP: Final = 0x0810_0000
_EXIT: Final = "mov eax, 1; mov edx, 0; syscall"


def program(text: str) -> Module:
    """A guest with this code at CODE, and a page of data."""
    code = assemble(text, bits=32).code
    header = b"\x7fELF\1\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIIIIIHHHHHH", 2, 3, 1, CODE, 52, 0, 0, 52, 32, 2, 0, 0, 0
    )
    loads = struct.pack("<8I", 1, 0x1000, CODE, CODE, len(code), 0x1000, 5, 0x1000)
    loads += struct.pack("<8I", 1, 0, DATA, DATA, 0, 0x1000, 6, 0x1000)
    return Module.from_bytes((header + loads).ljust(0x1000, b"\0") + code)


class Programs:
    """What the guests run."""

    def __init__(self) -> None:
        write = f"mov eax, 4; mov edx, 1; mov ecx, {DATA}; syscall"
        self.writer = program(
            f"mov dword ptr [{DATA}], 0x73657567; mov byte ptr [{DATA + 4}], 0x74; mov ebx, 5; {write}; {_EXIT}"
        )
        self.chatty = program(f"again: mov ebx, 5; {write}; jmp again")
        self.faulting = program("mov eax, 0x40; mov [eax], eax")
        self.spinning = program("again: inc eax; jmp again")
        #: Stops with EBX 0; then fills 64 KiB of new heap, and stops with EBX 1.
        self.stages = program(
            f"int3; mov eax, 2; mov edx, {HEAP + (1 << 20)}; syscall; mov edi, {HEAP}; mov ecx, 0x4000; rep stosd;"
            " mov ebx, 1; int3"
        )
        #: Its child exits with 3, and so does it.
        self.parent = program(
            "mov eax, 24; syscall; test eax, eax; jz child;"
            f" mov edx, eax; mov eax, 25; mov ecx, {DATA}; mov ebx, 0; syscall;"
            f" mov edx, [{DATA}]; shr edx, 8; mov eax, 1; syscall;"
            " child: mov eax, 1; mov edx, 3; syscall"
        )
        #: Makes the file /d/a, and leaves it open, with the descriptor in EAX.
        self.opening = program(
            f"mov dword ptr [{DATA}], 0x612f642f; mov eax, 5; mov edx, {DATA}; mov ecx, 0x11; mov ebx, 0x180; syscall;"
            f" mov esi, eax; mov edx, eax; mov eax, 4; mov ecx, {DATA}; mov ebx, 64; syscall; mov eax, esi; int3"
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process had after so many guests."""

    guests: int
    figures: dict[str, int]


def look() -> dict[str, int]:
    """The figures of this process now, by the names of BOUNDS."""
    gc.collect()
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        status = dict(line.split(":", 1) for line in file)
    with open("/proc/self/smaps_rollup", encoding="ascii", errors="replace") as file:
        rollup = dict(line.split(":", 1) for line in file.readlines()[1:])
    with open("/proc/self/maps", "rb") as maps:
        mappings = sum(1 for _ in maps)
    return {
        "VmRSS KiB": int(status["VmRSS"].split()[0]),
        "private dirty KiB": int(rollup["Private_Dirty"].split()[0]),
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,
        "LDT entries": _ldt_entries(),
        "threads": int(status["Threads"]),
        "mappings": mappings,
    }


def _ldt_entries() -> int:
    if _engines.unavailable("jit") is not None:
        return 0
    from jit import ldt

    return sum(1 for raw in ldt.read_entries() if any(raw))


class Lives:
    """Guests of one engine, one life each: ``live()`` is the next one's."""

    def __init__(self, engine: str, folder: str) -> None:
        self.programs = Programs()
        files = {"/d": Grant(folder, writable=True)}
        self.plain = Sandbox(engine=engine)
        self.limited = Sandbox(
            engine=engine, timeout=60.0, cpu_time=60.0, output_limit="64K", write_limit="64K", guests=64, files=files
        )
        self.tiny = Sandbox(engine=engine, output_limit=8)
        self.lives = 0
        long = (
            self._is_restored, self._is_forked, self._is_interrupted, self._is_killed, self._has_children,
            self._opens_files, self._is_stepped,
        )  # fmt: skip
        # Most are short: those that take snapshots take ten times as long, and would be nearly all of the time.
        short = self._exits, self._traps, self._is_forgotten, self._passes_a_limit, self._exits
        self._kinds: list[Callable[[], None]] = [
            kind for each in long for kind in (*short[: len(short) - 1], each, short[-1])
        ]

    def live(self) -> None:
        """One more guest, or two or three that belong together."""
        self._kinds[self.lives % len(self._kinds)]()
        self.lives += 1

    def _exits(self) -> None:
        box = self.limited if self.lives & 1 else self.plain
        expect(box.run(self.programs.writer).stdout == b"guest")

    def _traps(self) -> None:
        with self.plain.spawn(self.programs.faulting) as process:
            expect(process.run().number == Vector.PAGE_FAULT)

    def _is_forgotten(self) -> None:
        """Nobody closes it."""
        self.plain.spawn(self.programs.writer).run()

    def _is_restored(self) -> None:
        with self.plain.spawn(self.programs.stages) as process:
            process.run()
            snapshot = process.snapshot()
            for _ in range(2):
                process.run()
                expect(process.registers.ebx == 1)
                process.restore(snapshot)
            with self.limited.spawn_from(snapshot) as other:
                other.run()
                expect(other.registers.ebx == 1)

    def _is_forked(self) -> None:
        with self.plain.spawn(self.programs.stages) as process:
            process.run()
            with process.fork() as other, other.fork() as third:
                third.run()
                expect((process.registers.ebx, third.registers.ebx) == (0, 1))

    def _is_interrupted(self) -> None:
        with self.limited.spawn(self.programs.spinning) as process:
            timer = threading.Timer(0.0002, process.interrupt)
            timer.start()
            expect(process.run().number == Vector.IRQ)
            timer.join()

    def _is_killed(self) -> None:
        with self.plain.spawn(self.programs.spinning) as process:
            timer = threading.Timer(0.0002, process.kill)
            timer.start()
            with suppress(ValueError):  # the timer may be first
                process.run()
            timer.join()
            expect(process.exit_code == 128 + 9)

    def _has_children(self) -> None:
        with self.limited.spawn(self.programs.parent) as process:
            process.run()
            expect(process.exit_code == 3)

    def _opens_files(self) -> None:
        with self.limited.spawn(self.programs.opening) as process:
            process.run()
            expect(process.registers.eax == 3)
            process.snapshot()

    def _passes_a_limit(self) -> None:
        process: Process = self.tiny.spawn(self.programs.chatty)
        try:
            process.run()
        except LimitExceeded as error:
            expect(error.limit == "output")
        else:
            expect(condition=False)
        process.close()

    def _is_stepped(self) -> None:
        with self.plain.spawn(self.programs.stages) as process:
            for _ in range(3):
                process.step()


def expect(condition: bool) -> None:
    """A guest did what it was to do."""
    if not condition:
        raise AssertionError("a guest went wrong")


def run(guests: int, engine: str, tell: Callable[[Sample], None]) -> list[Sample]:
    """So many lives, and samples at equal distances; each is told when it is taken."""
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        lives = Lives(engine, folder)
        for number in range(1, SAMPLES + 1):
            while lives.lives < guests * number // SAMPLES:
                lives.live()
            samples.append(Sample(lives.lives, look()))
            tell(samples[-1])
    return samples


def growth(samples: list[Sample]) -> dict[str, int]:
    """By how much each figure has grown since the warm-up: the end against the highest before."""
    return {
        name: samples[-1].figures[name] - max(sample.figures[name] for sample in samples[:WARM_UP]) for name in BOUNDS
    }


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m conformance.lifetimes", description=__doc__)
    parser.add_argument("--guests", type=int, default=100_000, help="how many (default: %(default)s)")
    parser.add_argument("--engine", default=_engines.resolve("auto"), choices=_engines.NAMES)
    options = parser.parse_args(arguments)
    if options.guests < SAMPLES:
        parser.error(f"--guests must be at least {SAMPLES}")
    print(" ".join(["   guests", *(f"{name:>17}" for name in BOUNDS)]))

    def tell(sample: Sample) -> None:
        print(" ".join([f"{sample.guests:9,}", *(f"{sample.figures[name]:17,}" for name in BOUNDS)]), flush=True)

    grown = growth(run(options.guests, options.engine, tell))
    print(" ".join(["   growth", *(f"{value:+17,}" for value in grown.values())]))
    print(" ".join(["    bound", *(f"{value:+17,}" for value in BOUNDS.values())]))
    failed = [name for name in BOUNDS if grown[name] > BOUNDS[name]]
    for name in failed:
        print(f"{name} grew by {grown[name]:,}, more than {BOUNDS[name]:,}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
