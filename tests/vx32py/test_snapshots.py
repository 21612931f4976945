"""Snapshots: a process becomes again what it was, on every engine, by the test of a full copy."""

from __future__ import annotations

import errno
import gc
import os
import threading
import time
from dataclasses import dataclass

import pytest
from asm import assemble
from child import in_child
from images import DATA, ENTRY, Elf, Load, R, W, X, image

import jit.image
import jit.space
from reference.memory import PAGE
from reference.traps import Access, Vector
from vx32py import LimitExceeded, Module, Process, Sandbox, SystemCalls
from vx32py._engines import unavailable

HEAP = 0x0810_0000
#: Grows the heap and writes to ten pages of it, to its data and its stack; the FPU, SSE and flags have something, too. The
#: host sees INT 0x41 before and INT 0x42 behind that.
WRITER = f"""
    fld1
    mov eax, 0x1234
    movd xmm3, eax
    push 77
    stc
    int 0x41
    mov eax, 2; mov edx, {HEAP + 0x10_0000}; syscall
    mov ecx, 10
    mov edi, {HEAP}
1:  mov [edi], ecx
    mov [edi + 4092], esp
    add edi, 4096
    loop 1b
    inc dword ptr [{DATA}]
    push 88
    fldpi
    movd xmm3, ecx
    clc
    int 0x42
    mov eax, 1; mov edx, [{DATA}]; syscall
"""


@dataclass(frozen=True)
class State:
    """All that a snapshot is to bring back, copied out one by one."""

    pages: dict[int, bytes]
    regions: list[tuple[int, int, int]]
    words: tuple[int, ...]
    fp: bytes
    thread_pointer: tuple[int | None, int | None]
    heap_end: int

    @classmethod
    def of(cls, process: Process) -> State:
        space, cpu = process.engine.space, process.registers
        regions = space.regions()
        pages = {here: space.load(here, PAGE) for start, end, _ in regions for here in range(start, end, PAGE)}
        return cls(
            pages,
            [(start, end, int(access)) for start, end, access in regions],
            tuple(cpu.words),
            bytes(cpu.fp),
            (cpu.gs_selector, cpu.gs_base),
            process.heap_end,
        )


def _writable_code(text: str) -> Module:
    loads = [Load(p_flags=R | W | X), Load(p_offset=0x2000, p_vaddr=DATA, p_flags=R | W)]
    return Module.from_bytes(Elf(loads=loads, code=assemble(text)).pack())


def test_everything_comes_back_again_and_again(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image(WRITER)) as process:
        assert process.run().number == 0x241
        snapshot, state = process.snapshot(), State.of(process)
        for _ in range(3):
            assert process.run().number == 0x242
            changed = State.of(process)
            assert changed.pages[HEAP + 9 * PAGE][:4] == b"\1\0\0\0"
            process.run()
            assert process.exit_code == 1
            process.restore(snapshot)
            assert State.of(process) == state


def test_any_of_several_snapshots_can_be_gone_back_to(engine_name: str) -> None:
    text = f"again: int 0x41; inc dword ptr [{DATA}]; add esp, -4096; push dword ptr [{DATA}]; jmp again"
    with Sandbox(engine=engine_name).spawn(image(text)) as process:
        taken = []
        for _ in range(4):
            process.run()
            taken.append((process.snapshot(), State.of(process)))
        for index in (0, 3, 3, 1, 2, 0, 0):
            process.restore(taken[index][0])
            assert State.of(process) == taken[index][1]
            process.run()
            assert process.memory.read_u32(DATA) == index + 1


def test_a_snapshot_begins_processes_that_share_nothing(engine_name: str) -> None:
    table = SystemCalls.vx()
    box = Sandbox(engine=engine_name, calls=table)
    with box.spawn(image(WRITER)) as process:
        process.run()
        snapshot, state = process.snapshot(), State.of(process)
    with box.spawn_from(snapshot) as first, box.spawn_from(snapshot) as second:
        assert State.of(first) == state == State.of(second)
        first.run()
        assert State.of(second) == state
        assert second.run().number == 0x242
        assert State.of(first) == State.of(second)
        second.run()
        assert (first.exit_code, second.exit_code) == (None, 1)


def test_a_snapshot_begins_processes_with_streams_of_their_own(engine_name: str) -> None:
    text = f"""
        int 0x41
        mov eax, 3; mov edx, 0; mov ecx, {DATA}; mov ebx, 64; syscall
        mov ebx, eax; mov eax, 4; mov edx, 1; mov ecx, {DATA}; syscall
        mov eax, 1; mov edx, 0; syscall
    """
    box = Sandbox(engine=engine_name)
    with box.spawn(image(text)) as process:
        process.run()
        snapshot = process.snapshot()
    for data in (b"one", b"two"):
        with box.spawn_from(snapshot, stdin=data) as process:
            process.run()
            assert (process.exit_code, process.stdout) == (0, data)
    with pytest.raises(LimitExceeded), Sandbox(engine=engine_name, memory="4M").spawn_from(snapshot):
        pass


def test_code_that_was_changed_since_is_what_it_was(engine_name: str) -> None:
    text = "again: mov eax, 1; int 0x41; jmp again"
    module = _writable_code(text)
    with Sandbox(engine=engine_name).spawn(module) as process:
        process.run()
        snapshot = process.snapshot()
        for value in (2, 3):
            process.memory.write_u32(ENTRY + 1, value)
            process.run()
            assert process.registers.eax == value
            process.restore(snapshot)
            process.run()
            assert process.registers.eax == 1


def test_a_guest_that_changes_its_own_code_finds_it_unchanged(engine_name: str) -> None:
    text = f"int 0x41; inc byte ptr [{ENTRY + 16}]; jmp 1f; .org 15; 1: mov eax, 5; int 0x42"
    module = _writable_code(text)
    with Sandbox(engine=engine_name).spawn(module) as process:
        process.run()
        snapshot = process.snapshot()
        for _ in range(4):
            assert process.run().number == 0x242
            assert process.registers.eax == 6
            process.restore(snapshot)


def test_rights_and_mappings_that_have_changed_are_what_they_were(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image(WRITER)) as process:
        process.run()
        snapshot, state = process.snapshot(), State.of(process)
        space = process.engine.space
        for _ in range(2):
            space.protect(DATA, PAGE, Access.READ)
            space.store(DATA, b"changed")
            space.unmap(process.layout.stack_start, PAGE)
            space.map(0x0900_0000, 4 * PAGE, Access.RWX)
            space.write(0x0900_0000, b"new")
            space.store(ENTRY, b"\xcc" * 8)
            process.restore(snapshot)
            assert State.of(process) == state
        assert process.run().number == 0x242


def test_a_call_whose_handler_raised_is_made_again_after_each_restore(engine_name: str) -> None:
    """The middle of a system call: what the handler has done to the guest is part of the snapshot, the call is yet to come."""
    table = SystemCalls.vx()
    answers: list[int | Exception] = [KeyError("first")]
    seen = []

    @table.define(200, "ask")
    def ask(process: Process, value: int) -> int:
        seen.append(value)
        process.memory.write_u32(DATA, process.memory.read_u32(DATA) + 1)
        answer = answers.pop()
        if isinstance(answer, Exception):
            raise answer
        with pytest.raises(RuntimeError, match="running"):
            process.snapshot()
        return answer

    code = "mov edx, 9; mov eax, 200; syscall; mov edx, eax; mov eax, 1; syscall"
    with Sandbox(engine=engine_name, calls=table).spawn(image(code)) as process:
        with pytest.raises(KeyError, match="first"):
            process.run()
        snapshot, state = process.snapshot(), State.of(process)
        for answer in (5, 6, 7):
            answers.append(answer)
            process.run()
            assert (process.exit_code, process.memory.read_u32(DATA)) == (answer, 2)
            process.restore(snapshot)
            assert State.of(process) == state
    answers.append(8)
    with Sandbox(engine=engine_name, calls=table).spawn_from(snapshot) as process:
        process.run()
        assert process.exit_code == 8
    assert seen == [9] * 5


def test_views_show_what_was_restored(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image(WRITER)) as process:
        process.run()
        process.memory.write(DATA, b"before")
        snapshot = process.snapshot()
        view = process.memory.view(DATA, 6, writable=True)
        for _ in range(2):
            view[:] = b"after!"
            assert process.memory[DATA : DATA + 6] == b"after!"
            process.restore(snapshot)
            assert bytes(view) == b"before"
        del view


def test_the_working_directory_comes_back(engine_name: str) -> None:
    path = DATA + 100
    text = f"int 0x41; mov eax, 14; mov edx, {path}; syscall; int 0x42"
    with Sandbox(engine=engine_name, files={"/sub/file": b""}).spawn(image(text)) as process:
        process.run()
        process.memory.write(path, b"/sub\0")
        snapshot = process.snapshot()
        process.run()
        assert process.files.cwd == "/sub"
        process.restore(snapshot)
        assert process.files.cwd == "/"


@pytest.mark.skipif(unavailable("jit") is not None, reason=str(unavailable("jit")))
def test_translated_code_stays_over_a_restore() -> None:
    with Sandbox(engine="jit").spawn(image(WRITER)) as process:
        process.run()
        snapshot = process.snapshot()
        process.run()
        fragments = process.stats.counters.fragments
        other = process.snapshot()
        for each in (snapshot, snapshot, other, snapshot):
            process.restore(each)
            process.run()
        assert process.stats.counters.fragments <= fragments + 1  # what follows the second trap


@in_child
def test_a_guest_that_is_closed_while_it_writes_leaves_nothing_to_the_next_one() -> None:
    """It is in there again after a system call, which is another way in than the first."""
    text = f"mov ebp, 50; 1: mov eax, 6; mov edx, -1; syscall; dec ebp; jnz 1b; 2: inc dword ptr [{DATA}]; jmp 2b"
    module, box = Module.from_bytes(image(text)), Sandbox(engine="jit")
    for turn in range(60):
        process = box.spawn(module)
        assert process.memory.read_u32(DATA) == 0
        problems: list[BaseException] = []

        def work(process: Process = process, problems: list[BaseException] = problems) -> None:
            try:
                process.run()
            except ValueError as problem:
                problems.append(problem)

        thread = threading.Thread(target=work)
        thread.start()
        while process.tally.get("close", 0) < 50:
            time.sleep(0.0001)
        time.sleep(0.0005 * (turn % 3))
        process.close()
        with box.spawn(module) as after:
            assert not any(after.memory.read_u32(DATA) for _ in range(200))
        thread.join()
        assert "closed" in str(problems[0])


@in_child
def test_snapshots_leave_nothing_behind() -> None:
    box, module = Sandbox(engine="jit"), Module.from_bytes(image(WRITER))

    def one() -> None:
        with box.spawn(module) as process:
            process.run()
            snapshot = process.snapshot()
            process.run()
            process.restore(snapshot)
        box.spawn_from(snapshot).close()

    def footprint() -> tuple[int, int]:
        gc.collect()
        with open("/proc/self/maps", "rb") as file:
            return sum(1 for _ in file), len(os.listdir("/proc/self/fd"))

    for _ in range(20):
        one()
    before = footprint()
    for _ in range(200):
        one()
    after = footprint()
    assert all(now <= then + 4 for then, now in zip(before, after, strict=True)), (before, after)


@pytest.mark.skipif(unavailable("jit") is not None, reason=str(unavailable("jit")))
def test_snapshot_lost_what_an_image_held_after_the_system_had_once_refused_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages that had not changed stayed mapped from the first image, of which nobody knew any more."""
    text = f"mov ebx, [{DATA}]; int3; mov ebx, [{DATA}]; int3"
    with Sandbox(engine="jit").spawn(image(text, b"\x21\0\0\0")) as process:
        process.run()
        with monkeypatch.context() as patch:
            for place in (jit.space, jit.image):
                patch.setattr(place, "Image", refuse)
            process.restore(process.snapshot())
        process.registers.ebx = 0
        process.restore(process.snapshot())
        assert process.run().number == Vector.BREAKPOINT
        assert process.registers.ebx == 0x21


def refuse(*_: object) -> None:
    raise OSError(errno.EMFILE, "no more files")
