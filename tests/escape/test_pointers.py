"""Pointers and lengths in system calls: whatever a guest passes, nothing but its own memory is touched, and only where it
may be; the same on every engine, and with native answers.

The tables of calls say what there is to try: each parameter of each call gets every hostile value in turn, while the others
are harmless.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import needs
import pytest
from images import BASE, DATA, ENTRY, image

from jit.engine import JitEngine
from reference.memory import MAPPED, PAGE
from reference.traps import Access
from vx32py import Policy, Process, Sandbox, SystemCalls, Timeout
from vx32py._calls import Call, Entry, signed
from vx32py._engines import unavailable

#: Arguments that do no harm; a page of records, which the guest works off; and what hostile pointers lead to: a page that
#: can be written, one that is not there, one that can only be read, another to be written, and the last page of all.
TEXT, VECTOR = DATA + 0xE00, DATA + 0x800
RECORDS, MOST = DATA + 0x1000, 256
AREA = DATA + 0x4000
HOLE, READ_ONLY, WRITABLE, READ_ONLY_AGAIN = AREA + PAGE, AREA + 2 * PAGE, AREA + 3 * PAGE, AREA + 4 * PAGE
PATTERN = bytes((11 * i + 3) & 0xFF for i in range(PAGE))

#: Hostile values: numbers as they are, and distances from the end of the address space.
NUMBERS = (
    0, 1, 3, 0xFFF, PAGE, BASE, ENTRY, AREA + 1, HOLE - 1, HOLE - 3, HOLE - 4, HOLE - 9, HOLE, READ_ONLY, READ_ONLY - 2, WRITABLE - 1,
    READ_ONLY_AGAIN - 2, READ_ONLY_AGAIN - 8, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_F000, 0xFFFF_FFF0, 0xFFFF_FFFC, 0xFFFF_FFFF,
)  # fmt: skip
FROM_THE_END = (-PAGE, -10, -4, -1, 0, 1)
#: What the others are meanwhile, where a place in the page of harmless arguments would not do: by name.
HARMLESS = {
    "fd": 0, "new_fd": 5, "old_fd": 0, "directory_fd": 0xFFFF_FF9C, "path": TEXT, "new_path": TEXT, "content": TEXT,
    "count": 2, "length": PAGE, "size": 8, "vector": VECTOR, "flags": 0, "mode": 0o600, "number": 10, "whence": 0,
    "offset": 0, "offset_low": 0, "offset_high": 0, "clock_id": 1, "option": 0, "command": 3, "request": 0x5401, "resource": 3,
    "milliseconds": 0, "seconds": 0, "pid": 0, "options": 1, "operation": 1, "value": 1, "protection": 3, "how": 0, "advice": 4,
    "wanted": 6, "page_offset": 0, "address": WRITABLE, "first": 30, "last": 31, "thread": 1, "group": 1, "status": DATA,
}  # fmt: skip


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: After these there is nobody left, or somebody else, or other memory.
ALONE = _names(
    "exit exit_group exec execve fork vfork clone brk mmap mmap2 munmap mremap mprotect madvise kill tkill tgkill alarm"
    " set_thread_area setitimer"
)
#: These may wait for ever, and are left alone with a length of time.
WAITING = _names(
    "sleep select _newselect pselect6 pselect6_time64 poll ppoll ppoll_time64 futex futex_time64 nanosleep clock_nanosleep"
    " clock_nanosleep_time64 rt_sigsuspend rt_sigtimedwait"
)
#: These tell of the host, or of time.
VARYING = _names("getcpu clock times getrusage sysinfo gettimeofday time clock_gettime clock_gettime64 uname")

#: Makes the calls of all records: eight words each, of which the last takes the result.
LOOP = """
    mov     esp, {records}
next:
    mov     eax, [esp]
    cmp     eax, -1
    je      done
    mov     ebx, [esp + 4]
    mov     ecx, [esp + 8]
    mov     edx, [esp + 12]
    mov     esi, [esp + 16]
    mov     edi, [esp + 20]
    mov     ebp, [esp + 24]
    {call}
    mov     [esp + 28], eax
    add     esp, 32
    jmp     next
done:
    int3
"""
#: Which words of a record are the arguments, in order.
ARGUMENTS = {"linux": (1, 2, 3, 4, 5, 6), "vx": (3, 2, 1, 5, 4)}
NOT_MADE = 0x6E6F_6E65

Record = tuple[int, ...]
CONFIGURATIONS = [("reference", True), ("translated", True), ("jit", False), ("jit", True)]
TABLES = [SystemCalls.vx(), SystemCalls.linux()]
ENTRIES = [(table, entry) for table in TABLES for entry in table]


@cache
def limit_of(name: str) -> int:
    """Where the address space of a guest with such a table ends."""
    with sandbox("reference", native=False).spawn(image("nop", linux=name == "linux")) as process:
        return process.engine.space.limit


def sandbox(engine: str, *, native: bool) -> Sandbox:
    """For guests with a mebibyte beyond their program."""
    return Sandbox(
        engine=engine, native_answers=native, memory="1M", timeout=60.0, processes=2, policy=Policy.deterministic()
    )


def records(table: SystemCalls, entry: Entry, part: int) -> list[Record]:
    """Each parameter with every hostile value; lengths and the pointers before them together. Of these one in ``part``."""
    usual = [HARMLESS.get(name, DATA + 0x40 * i) for i, name in enumerate(entry.parameters)]
    sets = [tuple(usual)]
    limit = limit_of(table.name)
    hostile = (*NUMBERS, *(limit + distance for distance in FROM_THE_END))
    for i, name in enumerate(entry.parameters):
        if entry.name in WAITING and name in ("seconds", "milliseconds", "timeout", "value", "count"):
            continue
        sets += [(*usual[:i], value, *usual[i + 1 :]) for value in hostile]
    for i, name in enumerate(entry.parameters[1:], 1):
        if name in ("count", "length", "size") and entry.name not in WAITING:
            lengths = (0, 1, 5, PAGE + 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
            pointers = (AREA + 1, HOLE - 3, READ_ONLY, READ_ONLY_AGAIN - 2, limit - 4, 0xFFFF_FFFC, 0)
            sets += [(*usual[: i - 1], at, length, *usual[i + 1 :]) for at in pointers for length in lengths]
    found = []
    for arguments in sets:
        words = [entry.number] + [0] * 6 + [NOT_MADE]
        for where, value in zip(ARGUMENTS[table.name], arguments, strict=False):
            words[where] = value
        found.append(tuple(words))
    return found[entry.number % part :: part]


class Guard:
    """An observer: a call that ends with EFAULT has written nothing that hostile pointers lead to."""

    def __init__(self) -> None:
        self.before = b""
        self.wrong: list[str] = []

    def entered(self, call: Call) -> None:
        self.before = hostile_memory(call.process)

    def returned(self, call: Call, result: int | None) -> None:
        if result == -errno.EFAULT and hostile_memory(call.process) != self.before:
            self.wrong.append(f"{call.name}{tuple(map(hex, call.arguments))} has written before it found the fault")


def hostile_memory(process: Any) -> bytes:
    """What hostile pointers lead to, as far as it is there."""
    space = process.engine.space
    pages = (AREA, READ_ONLY, WRITABLE, READ_ONLY_AGAIN, space.limit - PAGE)
    return b"".join(space.load(page, PAGE) for page in pages if space.permissions[page // PAGE] & MAPPED)


@dataclass
class Made:
    """What came of the calls of an entry: results in order, what memory holds behind them, what was wrong, how many native
    answers there were."""

    results: list[int | str]
    memory: list[bytes]
    wrong: list[str]
    answered: int


def spawn(box: Sandbox, table: SystemCalls, streams: tuple[int, int]) -> Process:
    """A guest that will work off records, among pages of every kind."""
    linux = table.name == "linux"
    code = LOOP.format(records=RECORDS, call="int 0x80" if linux else "syscall")
    os.lseek(streams[0], 0, os.SEEK_SET)
    program = image(code, linux=linux, memory=AREA + 5 * PAGE - DATA)
    process = box.spawn(program, stdin=streams[0], stdout=streams[1])
    space = process.engine.space
    last = limit_of(table.name) - PAGE
    for page in (AREA, READ_ONLY, WRITABLE, READ_ONLY_AGAIN):
        space.store(page, PATTERN)
    space.unmap(HOLE, PAGE)
    space.protect(READ_ONLY, PAGE, Access.READ)
    space.protect(READ_ONLY_AGAIN, PAGE, Access.READ)
    space.map(last, PAGE, Access.RW)
    space.store(last, PATTERN)
    space.store(TEXT, b"/nowhere\0")
    space.store(VECTOR, struct.pack("<4I", DATA + 0xA00, 8, AREA + 0x100, 4))
    return process


def make(
    table: SystemCalls,
    entry: Entry,
    todo: list[Record],
    streams: tuple[int, int],
    engine: str,
    *,
    native: bool,
    watched: bool,
) -> Made:
    """Make calls of an entry. The processes that they end are replaced. While they are watched, there are no native
    answers."""
    box = sandbox(engine, native=native)
    made = Made([], [], [], 0)
    waiting = todo
    while waiting:
        batch = waiting[: 1 if entry.name in ALONE else MOST - 1]
        with spawn(box, table, streams) as process:
            guard = Guard()
            if watched:
                process.observers.append(guard)
            space = process.engine.space
            space.store(RECORDS, b"".join(struct.pack("<8I", *words) for words in batch) + b"\xff" * 4)
            code = space.load(ENTRY, PAGE)
            try:
                end: str = str(process.run().number)
            except Timeout:
                end = "timeout"
            made.wrong += guard.wrong
            made.answered += process.engine.answers.total() if isinstance(process.engine, JitEngine) else 0
            results = [struct.unpack_from("<I", record, 28)[0] for record in slices(process, len(batch))]
            done = next((i for i, result in enumerate(results) if result == NOT_MADE), len(batch))
            made.results += [signed(result) for result in results[:done]]
            if done < len(batch):  # it ended, or its memory went
                made.results.append(f"{end}, exit code {process.exit_code}")
                done += 1
            made.memory.append(hostile_memory(process) if process.engine.space is space else b"")
            if entry.name not in ALONE:
                kept = [
                    (ENTRY, code),
                    (READ_ONLY, PATTERN),
                    (READ_ONLY_AGAIN, PATTERN),
                    (AREA, PATTERN[:1]),
                    (WRITABLE, PATTERN[:9]),
                ]
                made.wrong += [f"{at:#x} was written" for at, what in kept if space.load(at, len(what)) != what]
        waiting = waiting[done:]
    return made


def slices(process: Process, count: int) -> Iterator[bytes]:
    """The records, or what is left of them."""
    space = process.engine.space
    for i in range(count):
        at = RECORDS + 32 * i
        mapped = any(start <= at and at + 32 <= end for start, end, _ in space.regions())
        yield space.load(at, 32) if mapped else struct.pack("<8I", *[NOT_MADE] * 8)


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """A file to read and one to write: descriptors for which there are native answers."""
    path = tmp_path_factory.mktemp("streams") / "in"
    path.write_bytes(b"0123456789" * 400)
    with path.open("rb") as source, open(os.devnull, "wb") as target:
        yield source.fileno(), target.fileno()


@pytest.mark.parametrize(("table", "entry"), ENTRIES, ids=[f"{table.name}-{entry.name}" for table, entry in ENTRIES])
def test_hostile_arguments_reach_nothing(table: SystemCalls, entry: Entry, streams: tuple[int, int]) -> None:
    todo = records(table, entry, 15 if entry.name in ALONE else 2)
    made = make(table, entry, todo, streams, "reference", native=True, watched=True)
    assert not made.wrong, made.wrong[:3]
    assert len(made.results) == len(todo)


@pytest.mark.parametrize(("table", "entry"), ENTRIES, ids=[f"{table.name}-{entry.name}" for table, entry in ENTRIES])
def test_hostile_arguments_have_the_same_answers_everywhere(
    table: SystemCalls, entry: Entry, streams: tuple[int, int]
) -> None:
    todo = records(table, entry, 71 if entry.name in ALONE else 15)
    expected: Made | None = None
    for engine, native in CONFIGURATIONS:
        if unavailable(engine) is not None:
            continue
        made = make(table, entry, todo, streams, engine, native=native, watched=False)
        assert not made.wrong, f"{engine}, native answers {native}: {made.wrong[:3]}"
        assert not made.answered or (native and entry.native)
        assert len(made.results) == len(todo)
        if expected is None:
            expected = made
        elif entry.name not in VARYING:
            assert made.results == expected.results, f"{engine}, native answers {native}"
            assert made.memory == expected.memory, f"{engine}, native answers {native}"


def test_some_of_the_answers_were_native(streams: tuple[int, int]) -> None:
    needs.engine("jit")
    for table in TABLES:
        for entry in table:
            if entry.name in ("read", "write"):
                todo = records(table, entry, 1)
                made = make(table, entry, todo, streams, "jit", native=True, watched=False)
                assert made.answered, entry.name
