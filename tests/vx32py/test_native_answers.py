"""Native answers: with them and without, a guest gets the same, and its host sees the same.

The handlers in Python are the oracle. Every guest here makes each call several times in a loop: the first time is always
Python's, because nobody knows yet where the guest goes on.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import random
import signal
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
from asm import assemble
from child import in_child, skip_without_ldt
from images import DATA, ENTRY, Elf, Load, R, W, X, image

import vx32py
from jit import hostarea
from vx32py import Grant, Process, Sandbox, SystemCalls, Trap, Vector, _turn
from vx32py._calls import signed

ROUNDS = 4
#: Where a guest of :func:`repeated` puts its results.
RESULTS = DATA + 0x800
#: Page-sized and mapped by nobody; the guest's last page; bytes that are there.
UNMAPPED = DATA + 0x4000
CONTENT = bytes(range(256)) * 48
VX_REGISTERS = ("edx", "ecx", "ebx", "edi", "esi")
LINUX_REGISTERS = ("ebx", "ecx", "edx", "esi", "edi")
READ, WRITE, CLOSE, LSEEK, GETTIMEOFDAY, CLOCK, DUP, BRK, GETPID = 3, 4, 6, 7, 9, 10, 16, 2, 29
MINUS_1 = 0xFFFF_FFFF


def call(number: int, *arguments: int, linux: bool = False) -> str:
    """Assembly text of one call, with nothing but EAX changed behind it that counts."""
    names = LINUX_REGISTERS if linux else VX_REGISTERS
    loads = "".join(f"mov {name}, {value:#x}\n" for name, value in zip(names, arguments, strict=False))
    return f"{loads} mov eax, {number}\n {'int 0x80' if linux else 'syscall'}\n"


def leave(linux: bool = False) -> str:
    return call(1, 0, linux=linux)


def repeated(*texts: str, linux: bool = False, rounds: int = ROUNDS) -> bytes:
    """An image that makes calls in turn, so many rounds of them, and keeps all results from RESULTS on."""
    body = "".join(f"{text} mov [ebp], eax\n add ebp, 4\n" for text in texts)
    end = RESULTS + 4 * rounds * len(texts)
    code = f"mov ebp, {RESULTS:#x}\nagain:\n{body} cmp ebp, {end:#x}\n jb again\n{leave(linux)}"
    return image(code, CONTENT[:0x800], linux=linux, memory=0x2000)


@dataclass
class Outcome:
    """What a guest and its host have seen."""

    results: list[int]
    registers: tuple[int, ...]
    memory: bytes
    calls: dict[str, int]
    traps: int
    written: bytes
    position: int
    answered: int

    def same_as(self, other: Outcome) -> None:
        ours, theirs = vars(self) | {"answered": 0}, vars(other) | {"answered": 0}
        assert ours == theirs


def outcome(
    native: bool,
    path: Path,
    program: bytes,
    count: int,
    prepare: Callable[[Process], None] | None = None,
    **limits: Any,
) -> Outcome:
    """Run a program with a file of CONTENT as its standard input and another as its output."""
    (path / "in").write_bytes(CONTENT)
    with (path / "in").open("rb") as source, (path / "out").open("wb") as target:
        box = Sandbox(engine="jit", native_answers=native, **limits)
        with box.spawn(program, stdin=source.fileno(), stdout=target.fileno()) as process:
            if prepare is not None:
                prepare(process)
            process.run()
            assert process.exit_code == 0
            end = next(end for start, end, _ in process.memory.regions() if start <= DATA < end)
            memory = process.engine.space.load(DATA, end - DATA)
            at = [process.memory.read_u32(RESULTS + 4 * i) for i in range(count)]
            return Outcome(
                results=[signed(word) for word in at],
                registers=tuple(process.registers.words),
                memory=memory,
                calls=dict(process.calls),
                traps=process.stats.counters.traps,
                written=(path / "out").read_bytes(),
                position=os.lseek(source.fileno(), 0, os.SEEK_CUR),
                answered=process.engine.answers.total(),  # type: ignore[attr-defined]
            )


def both(path: Path, program: bytes, count: int = ROUNDS, **options: Any) -> Outcome:
    """Run it both ways; they must agree. What came out with native answers."""
    skip_without_ldt()
    with_answers = outcome(True, path, program, count, **options)
    without = outcome(False, path, program, count, **options)
    assert without.answered == 0
    with_answers.same_as(without)
    return with_answers


# -- reading and writing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linux", [False, True])
def test_writes_and_reads_are_answered(tmp_path: Path, linux: bool) -> None:
    program = repeated(
        call(WRITE, 1, DATA + 5, 100, linux=linux), call(READ, 0, DATA + 0x1004, 0x123, linux=linux), linux=linux
    )
    found = both(tmp_path, program, 2 * ROUNDS)
    assert found.results == [100, 0x123] * ROUNDS
    assert found.written == CONTENT[5:105] * ROUNDS
    assert found.position == 0x123 * ROUNDS
    assert found.calls == {"write": ROUNDS, "read": ROUNDS, "exit": 1}
    assert found.answered >= 2 * (ROUNDS - 2)


HOSTILE = [
    (0, 1), (0x1234, 100), (DATA + 0x1FFF, 2), (DATA, 0x2001), (UNMAPPED, 1), (UNMAPPED - 1, 2), (DATA, 0x7FFF_FFFF),
    (DATA, 0xFFFF_FFFF), (DATA + 1, 0xFFFF_FFFF), (0xFFFF_FFFF, 1), (0xFFFF_FFFF, 0xFFFF_FFFF), (0xFFFF_F000, 0x2000),
    (DATA, 0x8000_0000), (DATA, 0), (UNMAPPED, 0), (0xFFFF_FFFF, 0), (ENTRY, 4), (ENTRY + 0xFFC, 8), (DATA - 1, 1),
]  # fmt: skip


#: Those that begin where there is memory: how many bytes of it there are.
PARTS = {
    (address, count): DATA + 0x2000 - address
    for address, count in HOSTILE
    if DATA <= address < DATA + 0x2000 < address + count
}


@pytest.mark.parametrize(("address", "count"), list(PARTS))
def test_linux_writes_what_there_is_of_a_buffer(tmp_path: Path, address: int, count: int) -> None:
    program = repeated(call(WRITE, 1, DATA, 8, linux=True), call(WRITE, 1, address, count, linux=True), linux=True)
    found = both(tmp_path, program, 2 * ROUNDS)
    assert found.results == [8, PARTS[address, count]] * ROUNDS
    assert len(found.written) == (8 + PARTS[address, count]) * ROUNDS


@pytest.mark.parametrize(
    ("linux", "address", "count"),
    [(linux, *buffer) for linux in (False, True) for buffer in HOSTILE if not linux or buffer not in PARTS],
)
def test_hostile_buffers(tmp_path: Path, linux: bool, address: int, count: int) -> None:
    # The good calls in between see to it that the bad ones are met by a page of answers at work.
    program = repeated(
        call(WRITE, 1, DATA, 8, linux=linux),
        call(WRITE, 1, address, count, linux=linux),
        call(READ, 0, address, count, linux=linux),
        linux=linux,
    )
    found = both(tmp_path, program, 3 * ROUNDS)
    inside = count and address in (ENTRY, ENTRY + 0xFFC, DATA - 1)  # code may be read, and so be written from
    assert found.results[1::3] == [count if inside or not count else -errno.EFAULT] * ROUNDS
    assert found.results[2::3] == [0 if not count else -errno.EFAULT] * ROUNDS
    assert found.position == 0


@pytest.mark.parametrize("offset", [0, 1, -1, -8])
def test_the_end_of_the_address_space(tmp_path: Path, offset: int) -> None:
    """The guest's last page is mapped, so only the limit is in the way."""
    skip_without_ldt()

    def prepare(process: Process) -> None:
        space = process.engine.space
        if not space.is_mapped(space.limit - 0x1000, 0x1000):
            space.map(space.limit - 0x1000, 0x1000, vx32py.Access.RW)

    limit = Sandbox(engine="jit").spawn(repeated(call(GETPID))).engine.space.limit
    program = repeated(
        call(READ, 0, limit - 16, 16), call(READ, 0, limit + offset, 8), call(WRITE, 1, limit + offset, 8)
    )
    found = both(tmp_path, program, 3 * ROUNDS, prepare=prepare)
    assert found.results == [16, *[8 if offset == -8 else -errno.EFAULT] * 2] * ROUNDS


@pytest.mark.parametrize("fd", [0, 1, 2, 3, 63, 64, 65, 0x7FFF_FFFF, 0x8000_0000, 0x1000_0000, MINUS_1])
def test_every_descriptor(tmp_path: Path, fd: int) -> None:
    program = repeated(call(WRITE, fd, DATA, 8), call(READ, fd, DATA, 8))
    found = both(tmp_path, program, 2 * ROUNDS)
    write = 8 if fd in (1, 2) else -errno.EBADF
    assert found.results == [write, 8 if fd == 0 else -errno.EBADF] * ROUNDS


@pytest.mark.parametrize("number", [0, 11, 30, 256, 511, 512, 513, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0004, MINUS_1])
def test_every_number(tmp_path: Path, number: int) -> None:
    program = repeated(call(WRITE, 1, DATA, 8), call(number, 0, 0, 0))
    both(tmp_path, program, 2 * ROUNDS)


def test_a_read_to_the_end_of_the_file(tmp_path: Path) -> None:
    found = both(tmp_path, repeated(call(READ, 0, DATA + 0x1000, 0x1000), rounds=15), 15)
    assert found.results == [0x1000] * 3 + [0] * 12
    assert found.answered >= 12


def test_descriptors_that_are_closed_and_duplicated(tmp_path: Path) -> None:
    program = repeated(
        call(WRITE, 1, DATA, 1), call(DUP, 1, 5), call(WRITE, 5, DATA + 1, 1), call(CLOSE, 5), call(WRITE, 5, DATA, 1),
        call(DUP, 0, 5), call(READ, 5, DATA + 0x1000, 4), call(WRITE, 5, DATA, 1),
    )  # fmt: skip
    found = both(tmp_path, program, 8 * ROUNDS)
    assert found.results == [1, 5, 1, 0, -errno.EBADF, 5, 4, -errno.EBADF] * ROUNDS
    assert found.written == CONTENT[:2] * ROUNDS


def test_a_read_over_code_is_followed(tmp_path: Path) -> None:
    """The page with the function is written to by read: what was translated from it has to go, every time."""
    function = DATA + 0x100
    code = f"mov esi, {RESULTS:#x}\nagain:\n{call(READ, 0, function + 1, 1)} mov eax, {function:#x}\n call eax\n"
    code += f"mov [esi], eax\n add esi, 4\n cmp esi, {RESULTS + 40:#x}\n jb again\n{leave()}"
    loads = [Load(), Load(p_offset=0x2000, p_vaddr=DATA, p_flags=R | W | X)]
    data = bytes(0x100) + assemble("mov eax, 0x11111100\n ret")
    found = both(tmp_path, Elf(loads=loads, code=assemble(code), data=data).pack(), 10)
    assert found.results == [0x1111_1100 + i for i in range(10)]


def test_the_state_of_the_processor_is_kept(tmp_path: Path) -> None:
    """Flags, among them DF, AC and ID, and vector registers, whatever answers."""
    state = f"""
        movups xmm0, [{DATA:#x}]
        movups xmm1, [{DATA + 16:#x}]
        movups xmm7, [{DATA + 32:#x}]
        fld qword ptr [{DATA + 48:#x}]
        pushfd
        or dword ptr [esp], 0x200CD5
        popfd
        std
    """
    store = f"""
        pushfd
        cld
        movups [{DATA + 0x1000:#x}], xmm0
        movups [{DATA + 0x1010:#x}], xmm1
        movups [{DATA + 0x1020:#x}], xmm7
        fstp qword ptr [{DATA + 0x1030:#x}]
        pop dword ptr [{DATA + 0x1040:#x}]
    """
    texts = [
        f"{state}{call(*arguments)}{store}"
        for arguments in ((WRITE, 1, DATA, 8), (GETPID,), (GETTIMEOFDAY, DATA + 0x1FF0, 0), (BRK, 0))
    ]
    zero = f"mov dword ptr [{DATA + 0x1FF0:#x}], 0\n mov dword ptr [{DATA + 0x1FF4:#x}], 0\n"
    found = both(tmp_path, repeated(*texts[:2], texts[2] + zero, texts[3]), 4 * ROUNDS)
    where = found.memory.index(CONTENT[:0x800])
    assert found.memory[where + 0x1000 : where + 0x1030] == CONTENT[:0x30]
    assert found.answered >= 3 * (ROUNDS - 2)


# -- what is no descriptor's -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("linux", "number"), [(False, GETPID), (True, 20), (True, 224)])
def test_constants(tmp_path: Path, linux: bool, number: int) -> None:
    found = both(tmp_path, repeated(call(number, linux=linux), linux=linux))
    assert len(set(found.results)) == 1
    assert found.answered >= ROUNDS - 2


@pytest.mark.parametrize("linux", [False, True])
def test_the_end_of_the_heap(tmp_path: Path, linux: bool) -> None:
    number = 45 if linux else BRK
    heap = DATA + 0x2000
    ends = (heap + 1, heap + 2, 0, heap - 1, 0x0920_0000, 0x0920_0000, 0x091F_FFFF, 0x0920_0001, MINUS_1, heap)
    program = repeated(*(call(number, end, linux=linux) for end in ends), linux=linux)
    both(tmp_path, program, len(ends) * ROUNDS)
    same = both(tmp_path, repeated(call(number, 0x0920_0000, linux=linux), linux=linux))
    assert same.answered >= ROUNDS - 2
    assert same.results == [0x0920_0000 if linux else 0] * ROUNDS


CLOCKS = [
    (False, GETTIMEOFDAY, (DATA, 0), 8), (False, GETTIMEOFDAY, (DATA, 1), 8), (True, 78, (DATA, 0), 8),
    (True, 265, (0, DATA), 8), (True, 265, (1, DATA), 8), (True, 403, (0, DATA), 16), (True, 403, (1, DATA), 16),
]  # fmt: skip


@pytest.mark.parametrize(("linux", "number", "arguments", "size"), CLOCKS)
def test_clocks_are_the_hosts(tmp_path: Path, linux: bool, number: int, arguments: tuple[int, ...], size: int) -> None:
    skip_without_ldt()
    program = repeated(call(number, *arguments, linux=linux), linux=linux, rounds=100)
    with Sandbox(engine="jit").spawn(program) as process:
        before, monotonic = time.time(), process.clock.monotonic() / 1e9
        process.run()
        after, later = time.time(), process.clock.monotonic() / 1e9
        half = size // 2
        whole = int.from_bytes(process.memory.read(DATA, half), "little")
        part = int.from_bytes(process.memory.read(DATA + half, half), "little")
        assert [process.memory.read_u32(RESULTS + 4 * i) for i in range(100)] == [0] * 100
        found = whole + part / (1e6 if number in (GETTIMEOFDAY, 78) else 1e9)
        first, last = (monotonic, later) if number != GETTIMEOFDAY and arguments[0] == 1 else (before, after)
        assert first - 1e-6 <= found <= last + 1e-6
        assert process.memory.read(DATA + size, 16) == CONTENT[size : size + 16]
        assert process.engine.answers.total() >= 90  # type: ignore[attr-defined]
        assert process.calls.total() == 101


@pytest.mark.parametrize("address", [0, ENTRY, DATA + 0x1FFC, UNMAPPED, 0xFFFF_FFFC, MINUS_1])
@pytest.mark.parametrize(("linux", "number", "first"), [(False, GETTIMEOFDAY, ()), (True, 78, ()), (True, 265, (1,))])
def test_hostile_pointers_to_times(
    tmp_path: Path, linux: bool, number: int, first: tuple[int, ...], address: int
) -> None:
    program = repeated(
        call(199 if linux else GETPID, linux=linux), call(number, *first, address, 0, linux=linux), linux=linux
    )
    found = both(tmp_path, program, 2 * ROUNDS)
    nothing_asked = address == 0 and not first
    assert found.results[1::2] == [0 if nothing_asked else -errno.EFAULT] * ROUNDS


def test_made_up_time_stays_made_up(tmp_path: Path) -> None:
    program = repeated(call(GETTIMEOFDAY, DATA, 0), call(CLOCK))
    found = both(tmp_path, program, 2 * ROUNDS, policy=vx32py.Policy.deterministic())
    assert found.results[1::2] == [2 * (i + 1) for i in range(ROUNDS)]


def test_processor_time_passes(tmp_path: Path) -> None:
    skip_without_ldt()
    with Sandbox(engine="jit").spawn(repeated(call(CLOCK), rounds=200)) as process:
        process.run()
        times = [process.memory.read_u32(RESULTS + 4 * i) for i in range(200)]
        assert times == sorted(times)
        assert times[-1] <= process.clock.cpu() // 1000
        assert process.engine.answers.total() > 100  # type: ignore[attr-defined]


# -- who has the last word -------------------------------------------------------------------------------------------


@contextmanager
def spinning(text: str, box: Sandbox, **streams: Any) -> Iterator[Process]:
    """A process that makes calls for ever."""
    with box.spawn(image(f"again:\n{text} jmp again", CONTENT[:0x800], memory=0x2000), **streams) as process:
        yield process


@pytest.fixture
def null() -> Iterator[int]:
    skip_without_ldt()
    fd = os.open(os.devnull, os.O_RDWR)
    yield fd
    os.close(fd)


def test_a_table_that_changes_is_obeyed_at_once(null: int) -> None:
    table = SystemCalls.vx()
    seen: list[int] = []

    @table.define(100, "change")
    def change(process: Process) -> None:
        table.define(WRITE, "mine")(mine)

    def mine(process: Process, fd: int, data: int, count: int) -> int:
        seen.append(count)
        return process.exit(7) if len(seen) == 3 else count

    loop = f"mov ebp, 100\nagain:\n{call(WRITE, 1, DATA, 9)} dec ebp\n jnz again\n"
    program = image(f"{loop} mov eax, 100\n syscall\n mov ebp, 100\nagain2:\n{call(WRITE, 1, DATA, 9)} jmp again2\n")
    with Sandbox(engine="jit", calls=table).spawn(program, stdout=null) as process:
        process.run()
        assert (process.exit_code, seen) == (7, [9, 9, 9])
        assert process.calls == {"write": 100, "change": 1, "mine": 3}
        assert process.engine.answers.total() > 90  # type: ignore[attr-defined]


def test_an_observer_sees_every_call_from_when_it_comes(null: int) -> None:
    table = SystemCalls.vx()
    seen: list[str] = []

    class Watch:
        def entered(self, call: Any) -> None:
            seen.append(call.name)

        def returned(self, call: Any, result: int | None) -> None:
            pass

    @table.define(100, "watch")
    def watch(process: Process) -> None:
        process.observers.append(Watch())

    loop = f"mov ebp, 50\nagain:\n{call(WRITE, 1, DATA, 9)} dec ebp\n jnz again\n"
    program = image(f"{loop} mov eax, 100\n syscall\n{loop.replace('again', 'more')}{leave()}")
    box = Sandbox(engine="jit", calls=table)
    with box.spawn(program, stdout=null) as process:
        process.run()
        assert process.engine.answers.total() >= 48  # type: ignore[attr-defined]
        assert seen == ["write"] * 50 + ["exit"]
        assert process.calls == {"write": 100, "watch": 1, "exit": 1}


def test_counts_are_exact_inside_a_handler(null: int) -> None:
    table = SystemCalls.vx()
    counts: list[int] = []

    @table.define(100, "look")
    def look(process: Process) -> None:
        counts.append(process.calls["write"])

    loop = f"mov ebp, 5\nagain:\n{call(WRITE, 1, DATA, 9) * 10} mov eax, 100\n syscall\n dec ebp\n jnz again\n"
    result = Sandbox(engine="jit", calls=table).run(image(loop + leave()), stdout=null).check()
    assert counts == [10, 20, 30, 40, 50]
    assert result.stats.calls == {"write": 50, "look": 5, "exit": 1}


def test_a_guest_that_only_gets_native_answers_can_be_stopped(null: int) -> None:
    for text in (call(WRITE, 1, DATA, 9), call(GETPID), call(GETTIMEOFDAY, DATA, 0), call(READ, 0, DATA, 9)):
        with (
            spinning(text, Sandbox(engine="jit", timeout=0.3), stdin=null, stdout=null) as process,
            pytest.raises(vx32py.Timeout),
        ):
            process.run()
        with spinning(text, Sandbox(engine="jit"), stdin=null, stdout=null) as process:
            threading.Timer(0.2, process.interrupt).start()
            assert process.run().number == Vector.IRQ
            assert process.engine.answers.total() > 1000  # type: ignore[attr-defined]


def test_others_run_meanwhile(null: int) -> None:
    """A guest that is entered with the interpreter lock held gives it up in time."""
    table = SystemCalls.vx()
    stop = threading.Event()

    @table.define(100, "look")
    def look(process: Process) -> None:
        if stop.is_set():
            process.exit(0)

    quick = "mov ebp, 300\nquick:\n mov eax, 100\n syscall\n dec ebp\n jnz quick\n mov ebp, 2000000\n"
    text = f"{quick}native:\n{call(GETPID)} dec ebp\n jnz native\n"
    with spinning(text, Sandbox(engine="jit", calls=table)) as process:
        threading.Timer(0.3, stop.set).start()
        process.run()
        assert process.exit_code == 0


def interrupt_when_it_waits(process: Process, pipe: int, writer: FileIO | None = None) -> None:
    """For more, when it has read all there is in the pipe; with ``writer`` it gets something more before."""
    if writer is not None:
        time.sleep(0.1)  # it waits by then; at any other time it must work as well
        writer.write(b"y" * 30)
    filled = array.array("i", [1])
    while filled[0] or process.waiting is None:
        time.sleep(0.001)
        fcntl.ioctl(pipe, termios.FIONREAD, filled)
    process.interrupt()


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_an_empty_pipe_is_waited_for_as_ever(timeout: float | None) -> None:
    skip_without_ldt()
    for native in (True, False):
        source, sink = os.pipe()
        with open(source, "rb"), open(sink, "wb", buffering=0) as writer:
            box = Sandbox(engine="jit", timeout=timeout, native_answers=native)
            with box.spawn(repeated(call(READ, 0, DATA, 100), rounds=8), stdin=source) as process:
                writer.write(b"x" * 150)
                threading.Thread(target=interrupt_when_it_waits, args=(process, source)).start()
                assert process.run().number == Vector.IRQ
                assert process.memory.read_u32(RESULTS + 4) == 50
                threading.Thread(target=interrupt_when_it_waits, args=(process, source, writer)).start()
                assert process.run().number == Vector.IRQ
                assert process.memory.read_u32(RESULTS + 8) == 30
                assert process.memory.read(DATA, 31) == b"y" * 30 + b"x"
                writer.write(b"z" * 300)
                writer.close()
                process.run()
                results = [process.memory.read_u32(RESULTS + 4 * i) for i in range(8)]
                assert results == [100, 50, 30, 100, 100, 100, 0, 0]
                assert process.calls["read"] >= 8


def test_a_pipe_that_nobody_reads_ends_the_guest_as_ever() -> None:
    skip_without_ldt()
    for native in (True, False):
        source, sink = os.pipe()
        os.close(source)
        with open(sink, "wb"):
            box = Sandbox(engine="jit", native_answers=native)
            program = repeated(call(WRITE, 2, DATA, 4, linux=True), call(WRITE, 1, DATA, 4, linux=True), linux=True)
            with box.spawn(program, stdout=sink) as process:
                process.run()
                assert process.exit_code == 128 + signal.SIGPIPE
                assert process.calls == {"write": 2}


def test_a_full_pipe_takes_all_in_the_end() -> None:
    skip_without_ldt()
    for native in (True, False):
        source, sink = os.pipe()
        with open(source, "rb") as reader, open(sink, "wb"):
            taken: list[bytes] = []
            box = Sandbox(engine="jit", native_answers=native)
            rounds = 0x200
            program = repeated(call(WRITE, 1, DATA, 1000), rounds=rounds)
            with box.spawn(program, stdout=sink) as process:
                thread = threading.Thread(target=lambda r=reader, t=taken, n=1000 * rounds: t.append(r.read(n)))
                threading.Timer(0.2, thread.start).start()
                process.run()
                thread.join()
                assert taken[0] == CONTENT[:1000] * rounds
                assert process.calls["write"] == rounds


def test_children_write_through_what_they_inherit(tmp_path: Path) -> None:
    fork = "mov eax, 24\n syscall\n add eax, 0x41\n mov [esp - 64], al\n"
    fork += f"mov ebp, 20\nagain:\n lea ecx, [esp - 64]\n mov edx, 1\n mov ebx, 1\n mov eax, {WRITE}\n syscall\n"
    program = image(
        f"{fork} dec ebp\n jnz again\n mov edx, -1\n xor ecx, ecx\n xor ebx, ebx\n mov eax, 25\n syscall\n{leave()}"
    )
    found = []
    for native in (True, False):
        skip_without_ldt()
        with (tmp_path / "out").open("wb") as target:
            result = Sandbox(engine="jit", native_answers=native).run(program, stdout=target.fileno()).check()
        # Whose turn it is when is a matter of time.
        found.append((sorted((tmp_path / "out").read_bytes()), result.stats.calls))
    assert found[0] == found[1]
    assert found[0][1]["write"] == 40


def test_granted_files_are_answered_too(tmp_path: Path) -> None:
    skip_without_ldt()
    (tmp_path / "file").write_bytes(b"0123456789")
    name = DATA + 0x400
    open_it = call(5, name, 2, 0)
    program = repeated(open_it, call(READ, 3, DATA, 2), call(WRITE, 3, DATA, 1), call(CLOSE, 3), rounds=3)
    for native in (True, False):
        (tmp_path / "file").write_bytes(b"0123456789")
        box = Sandbox(engine="jit", files={"/f": Grant(tmp_path, writable=True)}, native_answers=native)
        with box.spawn(program) as process:
            process.memory.write(name, b"/f/file\0")
            process.run()
            results = [signed(process.memory.read_u32(RESULTS + 4 * i)) for i in range(12)]
            assert results == [3, 2, 1, 0] * 3
            assert (tmp_path / "file").read_bytes() == b"0103456789"


# -- signals ---------------------------------------------------------------------------------------------------------


@in_child
def test_no_byte_is_lost_or_written_twice_whatever_arrives() -> None:
    """Kicks, interrupts, and handlers in Python that raise, at random moments of calls in a row: each is made once."""
    import tempfile

    class Stop(Exception):
        pass

    def handler(number: int, frame: Any) -> None:
        if frame.f_code is _turn.run.__code__:  # what happens within a call of the host's is another matter
            raise Stop

    signal.signal(signal.SIGALRM, handler)
    count = 150_000
    text = f"""
        mov dword ptr [{DATA:#x}], 0
    again:
        {call(WRITE, 1, DATA, 4)}
        cmp eax, 4
        jne wrong
        {call(100, 0)}
        inc dword ptr [{DATA:#x}]
        {call(GETPID)}
        cmp dword ptr [{DATA:#x}], {count}
        jb again
        {leave()}
    wrong:
        ud2
    """
    table = SystemCalls.vx()
    handled: list[int] = []

    @table.define(100, "next")
    def following(process: Process) -> None:
        handled.append(process.memory.read_u32(DATA))

    rng = random.Random(7)
    with tempfile.TemporaryFile() as target:
        box = Sandbox(engine="jit", calls=table)
        with box.spawn(image(text, memory=0x1000), stdout=target.fileno()) as process:
            ended = threading.Event()

            def disturb() -> None:
                while not ended.is_set():
                    process.interrupt()
                    time.sleep(rng.random() * 1e-3)

            thread = threading.Thread(target=disturb)
            thread.start()
            interrupted = raised = 0
            trap: Trap | None = None
            try:
                while process.exit_code is None:
                    try:
                        signal.setitimer(signal.ITIMER_REAL, rng.random() * 2e-3 + 1e-5)
                        trap = process.run()
                    except Stop:
                        raised += 1
                    else:
                        interrupted += trap.number == Vector.IRQ
                        assert trap.number in (Vector.IRQ, Vector.SYSCALL)  # of exit
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                ended.set()
                thread.join()
            assert interrupted > 5
            assert raised > 5
            assert process.engine.answers.total() > count  # type: ignore[attr-defined]
        target.seek(0)
        written = target.read()
        words = memoryview(written).cast("I").tolist()
        assert words == list(range(count))
        assert handled == list(range(count))


@in_child
def test_a_handler_that_takes_the_fault_signals_does_not_keep_them() -> None:
    """What a system call of the application's does to the process is put right before the guest can fault."""
    import faulthandler

    table = SystemCalls.vx()
    deeds: list[Callable[[], object]] = [
        faulthandler.enable,
        lambda: signal.signal(signal.SIGSEGV, lambda number, frame: None),
        faulthandler.disable,
        lambda: signal.signal(signal.SIGSEGV, signal.SIG_DFL),
        lambda: None,
    ]

    @table.define(100, "deed")
    def deed(process: Process, which: int) -> None:
        deeds[which]()

    for which in range(len(deeds)):
        warm = f"mov ebp, 100\nagain:\n mov edx, {len(deeds) - 1}\n mov eax, 100\n syscall\n dec ebp\n jnz again\n"
        program = image(f"{warm}{call(100, which)} mov eax, [0x20]\n")
        with Sandbox(engine="jit", calls=table).spawn(program) as process:
            trap = process.run()
            assert (trap.number, trap.address) == (Vector.PAGE_FAULT, 0x20)


@in_child
def test_a_handler_that_forks_leaves_a_guest_that_can_be_stopped() -> None:
    """In the child the thread has another number, and interrupts must find it."""
    table = SystemCalls.vx()
    child = -1

    @table.define(100, "fork")
    def fork(process: Process) -> None:
        nonlocal child
        child = os.fork()
        if child:
            process.exit(0)
        threading.Timer(0.2, process.interrupt).start()

    again = "again:\n mov eax, 29\n syscall\n jmp again\n"
    program = image(f"{call(GETPID)}{call(100)}{again}")
    with Sandbox(engine="jit", calls=table).spawn(program) as process:
        trap = process.run()
        if not child:
            os._exit(0 if trap.number == Vector.IRQ else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@in_child
def test_a_fresh_guest_is_entered_without_the_interpreter_lock() -> None:
    """Nobody knows yet how long it stays."""
    with Sandbox(engine="jit").spawn(repeated(call(GETPID))) as process:
        control = process.engine.processor.control  # type: ignore[attr-defined]
        assert control[: hostarea.STAYS_UNTIL_QUICK + 4].cast("I")[-1] == hostarea.QUICK_STAYS


@in_child
def test_more_places_than_the_page_knows() -> None:
    """Hundreds of calls at as many addresses, again and again: places crowd each other out, and the code is dropped once."""
    for native in (True, False):
        texts = [call(GETPID) + "nop\n" * (i % 7) for i in range(300)]
        body = "".join(f"{text} add edi, eax\n" for text in texts)
        # Longer than a page, so it stands in memory that is mapped for it.
        program = image(
            f"xor edi, edi\n mov ebp, 20\nagain:\n mov eax, {DATA + 0x1000:#x}\n call eax\n dec ebp\n jnz again\n{leave()}"
        )
        with Sandbox(engine="jit", native_answers=native).spawn(program) as process:
            code = assemble(body + "ret")
            where = DATA + 0x1000
            process.engine.space.map(where, (len(code) + 0xFFF) & -0x1000, vx32py.Access.RWX)
            process.engine.space.store(where, code)
            process.run()
            assert process.exit_code == 0
            assert process.registers.edi == 20 * 300 * process.pid
            assert process.calls == {"getpid": 6000, "exit": 1}


@in_child
def test_table_changed_while_a_guest_ran_sent_it_to_an_answer_that_was_not_there() -> None:
    """The record of a call was cleared between the moment when the gateway found it and the jump to its routine."""
    table = SystemCalls.vx()
    text = f"1: mov eax, {GETPID}; syscall; cmp dword ptr [{DATA}], 0; je 1b; mov edx, 4; mov eax, 1; syscall"
    with Sandbox(engine="jit", calls=table).spawn(image(text, bytes(4))) as process:
        thread = threading.Thread(target=process.run)
        thread.start()
        while process.calls["getpid"] < 1000:
            time.sleep(0.001)
        for _ in range(10_000):
            for number in (READ, WRITE, GETPID):
                table.define(number, f"call_{number}")(lambda process: 0)
            table.define(GETPID, "getpid", native="process_number")(lambda process: process.pid)
        process.memory.write_u32(DATA, 1)
        thread.join()
        assert process.exit_code == 4
