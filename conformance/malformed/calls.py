"""Judging one sequence of random system calls.

A process makes the calls with a real instruction, from its first to where it ends, on the native engine with native answers;
every few sequences also without them and on the reference, which must answer the same. Whatever the calls are: no exception
of the host's but the documented ones, results that are results or error numbers, registers, read-only pages and the page
between gaps as they were, nothing changed outside of what is granted, nothing of it seen, and nothing left open behind.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from conformance.malformed.finding import Verdict, cause_of
from conformance.malformed.plan import (
    CODE,
    MEMORY,
    OPEN_FILES,
    ROOT,
    SENTINEL,
    STRINGS,
    Call,
    Calls,
    guest,
    sequence,
)
from conformance.malformed.world import SECRET, World
from reference.memory import PAGE
from reference.policy import Policy
from reference.traps import Vector
from vx32py import DEVNULL, LimitExceeded, MemoryFault, Module, Process, Sandbox, SystemCalls
from vx32py.strace import printer

#: Wall time for sequences that may wait, and for those that have no reason to.
WAITING: Final = 0.15
PLAIN: Final = 20.0
OUTPUT: Final = 1 << 16
PROCESSES: Final = 4
#: Every so many sequences are played on the other engines, too.
COMPARED: Final = 5
#: Every so many times the descriptor table is looked at, which takes a while.
COUNTED: Final = 20
#: Contents of memory that rest for the next guest of the same program (jit/resting.py), programs and snapshots.
MOST_IMAGES: Final = 24
#: LDT entries that guests which have been closed may keep for the next one, and threads that end in a moment.
MOST_ENTRIES: Final = 64
_KEPT: Final = ("ebx", "ecx", "edx", "esi", "edi", "ebp", "esp")
_LINUX: Final = ("ebx", "ecx", "edx", "esi", "edi", "ebp")
_VX: Final = ("edx", "ecx", "ebx", "edi", "esi")
#: Calls that change what is mapped, or what runs.
_MAPPING: Final = frozenset(
    {"mmap", "mmap2", "munmap", "mprotect", "mremap", "madvise", "brk", "exec", "execve", "clone", "vfork", "fork"}
)
_REPLACING: Final = frozenset({"exec", "execve"})


@dataclass
class Played:
    """How a sequence went on one engine."""

    results: list[int] = field(default_factory=list)
    end: str = "all calls made"
    output: bytes = b""


_worlds: Final[list[World]] = []


def world(folder: str | None = None) -> World:
    """This process's world: made in ``folder`` when it is first asked for, and its ``cwd`` the working directory then."""
    if not _worlds:
        _worlds.append(World(folder))
        os.chdir(_worlds[0].root / "cwd")
    return _worlds[0]


@cache
def _module(linux: bool) -> Module:
    return Module.from_bytes(guest(linux), "calls")


def judge_numbered(seed: int, number: int, folder: str | None) -> tuple[str, Verdict]:
    """Make a sequence and judge it, in a world in ``folder``."""
    world(folder)
    calls, verdict = sequence(seed, number), Verdict()
    kind = "linux" if calls.linux else "vx"
    with verdict.bounded():
        played = _play(calls, verdict, "jit", native=True)
        verdict.end(f"{kind}: {played.end}")
        for result in played.results:
            verdict.end("calls that failed" if result >= 0xFFFF_F001 else "calls that succeeded")
        if number % COMPARED == 0 and not calls.waits:
            for engine, native in (("jit", False), ("reference", True)):
                watched = engine == "reference" and number % (2 * COMPARED) == 0
                other = _play(calls, verdict, engine, native=native, watched=watched)
                _compare(calls, played, other, engine, verdict)
    if number % COUNTED == 0 and (entries := _ldt_entries()) > MOST_ENTRIES:
        verdict.wrong("LDT entries left behind", str(entries))
    return f"{kind}, {len(calls.calls)} calls", verdict


def _compare(calls: Calls, one: Played, other: Played, engine: str, verdict: Verdict) -> None:
    verdict.end("compared with another engine")
    for index, (a, b) in enumerate(zip(one.results, other.results, strict=False)):
        if a != b:
            verdict.wrong(
                f"{calls.calls[index].name}: another result on another engine", f"call {index}: {a:#x}, {engine} {b:#x}"
            )
            return
    if (len(one.results), one.end) != (len(other.results), other.end):
        verdict.wrong(
            "another end on another engine",
            f"{one.end} after {len(one.results)}, {engine} {other.end} after {len(other.results)}",
        )
    elif one.output != other.output:
        verdict.wrong("other output on another engine", f"{one.output[:60]!r}, {engine} {other.output[:60]!r}")


def _play(calls: Calls, verdict: Verdict, engine: str, *, native: bool, watched: bool = False) -> Played:
    """Make the calls, and check what the host can see afterwards. ``watched``: as ``vx32py trace`` shows them."""
    around = world()
    around.reset()
    played = Played()
    policy = Policy.default() if calls.timed else Policy.deterministic()
    sandbox = Sandbox(
        engine=engine, memory=MEMORY, timeout=WAITING if calls.waits else PLAIN if calls.limited else None, policy=policy, files=around.grants(),
        output_limit=OUTPUT, open_files=OPEN_FILES, processes=PROCESSES, native_answers=native,
    )  # fmt: skip
    with ExitStack() as stack:
        streams = _streams(calls, around, stack)
        before, threads = _open_descriptors(), threading.active_count()
        process: Process | None = None
        try:
            process = sandbox.spawn(_module(calls.linux), ["an argument"], env={"NAME": "value"}, **streams)
            if watched:
                process.observers.append(printer(lambda text: _check_text(text, verdict)))
            _make_calls(process, calls, played, verdict)
            played.output = process.stdout
            if _holds_secret(process) or SECRET in process.stdout + process.stderr:
                verdict.wrong("a guest has what it was not granted")
        except Exception as error:  # noqa: BLE001 - this is what we are here for
            verdict.wrong(*cause_of(error))
            played.end = "an exception"
        finally:
            if process is not None:
                process.close()
        del process  # its files are open as long as somebody may look at them
        _check_host(around, before, threads, verdict)
    return played


def _check_text(text: str, verdict: Verdict) -> None:
    if not text.removesuffix("\n").isprintable():
        verdict.wrong("a line of trace that is not printable", repr(text))


def _make_calls(process: Process, calls: Calls, played: Played, verdict: Verdict) -> None:
    names, cpu = _LINUX if calls.linux else _VX, process.registers
    root, mapped = os.fsencode(world().root), False
    fixed, space = _fixed(process), process.engine.space
    for call in calls.calls:
        for address, data in call.stores:
            try:
                process.memory.write(address, data.replace(ROOT, root))
            except MemoryFault:
                continue  # the guest has taken its own memory away
        cpu.eip, cpu.eax = CODE, call.number
        for name, value in zip(names, call.arguments, strict=False):
            setattr(cpu, name, value)
        held = space.mapped, len(process.family.processes)
        kept = [getattr(cpu, name) for name in _KEPT]
        module = process.module
        try:
            trap = process.run()
        except LimitExceeded as error:
            played.end = f"limit {error.limit}"
            if error.limit == "time" and not calls.waits:
                verdict.wrong("a wait without a reason", str(call))
            elif error.limit not in ("time", "output"):
                verdict.wrong(f"limit {error.limit} while running", f"{call}: {error}")
            return
        failed = process.module is module and trap.number == Vector.BREAKPOINT and cpu.eax >= 0xFFFF_F001
        mapped = mapped or (call.name in _MAPPING and not failed)
        if failed and (space.mapped, len(process.family.processes)) != held:
            verdict.wrong(f"{call.name} failed, and left something behind", str(call))
        if process.exit_code is not None:
            played.end = "exit"
            if not (call.name in _ENDING or process.signal or process.module is not module):
                verdict.wrong(f"{call.name} ended the process", str(call))
            return
        if trap.number != Vector.BREAKPOINT:
            played.end = "trap"
            if not mapped:
                verdict.wrong(f"{call.name}: a trap", f"{call}: {trap}")
            return
        played.results.append(cpu.eax)
        if process.module is not module:
            calls_again = process.module.data == module.data
            played.end = "another program"
            if not calls_again:
                return
            fixed = _fixed(process)
            continue
        _check_result(process, call, verdict)
        if kept != [getattr(cpu, name) for name in _KEPT]:
            verdict.wrong(f"{call.name} changed registers", str(call))
        if not mapped and _fixed(process) != fixed:
            verdict.wrong(f"{call.name} changed memory that is not the guest's to change", str(call))
            return


_ENDING: Final = frozenset({"exit", "exit_group", "kill", "tkill", "tgkill", "exec", "execve"})


def _check_result(process: Process, call: Call, verdict: Verdict) -> None:
    result = process.registers.eax
    if result >= 0xFFFF_F001 and (1 << 32) - result not in errno.errorcode:
        verdict.wrong(f"{call.name}: a result that is no result", f"{call}: {result:#x}")
    table = process.tables[_trap_of(process)]
    if table.get(call.number) is None and result != 0x1_0000_0000 - errno.ENOSYS:
        verdict.wrong("an unknown call that does not answer ENOSYS", f"{call}: {result:#x}")


def _trap_of(process: Process) -> int:
    linux = SystemCalls.linux().trap
    return linux if process.module.abi == "linux" else next(trap for trap in process.tables if trap != linux)


def _fixed(process: Process) -> tuple[bytes, ...]:
    """What no call may change: the guest's code, its read-only data, and the page between gaps."""
    space = process.engine.space
    try:
        return tuple(space.load(address, PAGE) for address in (CODE, STRINGS, SENTINEL))
    except MemoryFault:
        return ()


def _holds_secret(process: Process) -> bool:
    space = process.engine.space
    return any(SECRET in space.load(start, end - start) for start, end, _ in process.memory.regions())


def _streams(calls: Calls, around: World, stack: ExitStack) -> dict[str, Any]:
    """The process's standard streams; what they are made of is closed with ``stack``."""

    def descriptor(path: Path, flags: int) -> int:
        fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, fd)
        return fd

    def pipe() -> tuple[int, int]:
        ends = os.pipe()
        for fd in ends:
            stack.callback(os.close, fd)
        return ends

    streams: dict[str, Any] = {}
    match calls.stdin:
        case "bytes":
            streams["stdin"] = b"some input\n" * 30
        case "file object":
            streams["stdin"] = io.BytesIO(b"some input\n" * 30)
        case "file":
            streams["stdin"] = descriptor(around.root / "rw/f1", os.O_RDONLY)
        case "open pipe":
            reader, writer = pipe()
            os.write(writer, b"input")
            streams["stdin"] = reader
        case "closed pipe":
            reader, writer = os.pipe()
            os.write(writer, b"input")
            os.close(writer)
            stack.callback(os.close, reader)
            streams["stdin"] = reader
    match calls.stdout:
        case "file object":
            streams["stdout"] = io.BytesIO()
        case "discarded":
            streams["stdout"] = DEVNULL
        case "file":
            streams["stdout"] = descriptor(around.root / "rw/output", os.O_WRONLY | os.O_CREAT)
        case "pipe":
            streams["stdout"] = pipe()[1]
    return streams


def _open_descriptors() -> list[str]:
    """What is open in this process: an entry for each descriptor."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that listed them
            target, status = os.readlink(f"/proc/self/fd/{name}"), os.fstat(int(name))
            # Guests rename and remove what is open.
            found.append(target if _is_engines(target) else f"{status.st_dev} {status.st_ino}")
    return found


def _is_engines(target: str) -> bool:
    """Whether an open file is the native engine's own: contents of guests' memory, and what the kernel tells of it."""
    return target.startswith("/memfd:vx32py") or target.endswith("/pagemap")


def _check_host(around: World, descriptors: list[str], threads: int, verdict: Verdict) -> None:
    """What a process that has been closed must have left alone, and given back."""
    kept, after = (Counter(one for one in fds if not _is_engines(one)) for fds in (descriptors, _open_descriptors()))
    if after - kept:  # there may be fewer: what an earlier guest was granted goes when the garbage collector comes
        verdict.wrong("host descriptors left open", f"{list(after - kept)}")
    if (own := sum(map(_is_engines, _open_descriptors()))) > MOST_IMAGES:
        verdict.wrong("images of guest memory left behind", str(own))
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.001)  # the watchdog of a run that is over ends by itself
    if threading.active_count() > threads:
        verdict.wrong("threads left behind", repr(threading.enumerate()))
    if around.state() != around.before:
        changed = {key for key, value in around.state().items() if around.before.get(key) != value}
        verdict.wrong("a change outside of what is granted", repr(sorted(changed)[:5]))
    if found := around.leaks():
        verdict.wrong("a file holds what was not granted", repr(found))
    if os.getcwd() != str(around.root / "cwd"):
        verdict.wrong("the host's working directory changed", os.getcwd())


def _ldt_entries() -> int:
    """How many descriptors this process has in its table."""
    from vx32py import _engines

    if _engines.unavailable("jit") is not None:
        return 0
    from jit.ldt import read_entries

    return sum(any(raw) for raw in read_entries())
