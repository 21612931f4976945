"""Bugs of our own: each test is named after what went wrong."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
from asm import assemble
from images import DATA, image
from machine import CODE, guest

from reference import layout
from reference.memory import PAGE
from reference.traps import Access, Vector
from vx32py import Module, Process, Sandbox, SystemCalls, _execution
from vx32py._calls import LINUX_TRAP


@pytest.mark.parametrize("fillers", [62, 63, 64])
def test_call_that_ends_a_full_fragment_jumped_to_itself_for_ever(engine_name: str, fillers: int) -> None:
    """The landing behind such a call held only the jump to the next fragment, and that jump was linked to the landing."""
    code = "inc eax\n" * fillers + "call f; inc ebx; int3; f: ret"
    with guest(engine_name, code, eax=0, ebx=0) as engine:
        trap = engine.run()
        assert (trap.number, trap.eip) == (Vector.BREAKPOINT, CODE + fillers + 7)
        assert (engine.cpu.eax, engine.cpu.ebx) == (fillers, 1)


def test_wrong_guess_of_a_landing_does_not_show(engine_name: str) -> None:
    """Two functions and two return points whose EIPs share their low halves take turns, with flags in use behind each.

    The first wrong guess shows in the segment's limit, the later ones are the lookup stub's; both keep all state.
    """
    far = CODE + 0x10000
    near_code = f"""
        mov edi, 50
    again:
        mov eax, {CODE + 0x100}
        stc
        call eax
        adc ebx, 0
        mov eax, {far + 0x100}
        call eax
        adc ebx, 0
        mov eax, {far}
        call eax
        dec edi
        jnz again
        int3
    .org 0x100
        inc esi
        ret
    """
    far_code = f"""
        mov eax, {CODE + 0x100}
        mov ecx, 7
        mov edx, 9
        stc
        call eax
        adc ebx, 0
        xor ecx, 7
        xor edx, 9
        or ecx, edx
        jnz bad
        ret
    bad: ud2
    .org 0x100
        inc ebp
        stc
        ret
    """
    with guest(engine_name, near_code, ebx=0, esi=0, ebp=0, limit=1 << 20) as engine:
        engine.space.map(far & -PAGE, PAGE, Access.RX)
        engine.space.store(far, assemble(far_code))
        assert far & 0xFFFF == CODE & 0xFFFF
        trap = engine.run()
        assert trap.number == Vector.BREAKPOINT, trap
        assert (engine.cpu.esi, engine.cpu.ebp, engine.cpu.ebx) == (100, 50, 150)


@pytest.mark.parametrize("distance", [0x10000 * k for k in (1, 2, 3, 4, 5, 7, 8, 255, 8191, 8192, 16384, 57344, 65535)])
def test_target_that_shares_the_low_half_of_a_landing_is_no_way_in(engine_name: str, distance: int) -> None:
    """From one entry of the table to every kind of distance, half gigabytes among them: the target decides."""
    target = CODE + 0x40 & 0xFFFF_FFFF
    wrong = target + distance & 0xFFFF_FFFF
    code = f"mov eax, {target}; stc; call eax; mov eax, {wrong}; stc; call eax; int3; .org 0x40; inc edx; ret"
    with guest(engine_name, code, edx=0, ecx=11, limit=1 << 20) as engine:
        trap = engine.run()
        assert (trap.number, trap.eip, trap.address, trap.access) == (
            Vector.PAGE_FAULT,
            wrong,
            wrong,
            Access.EXECUTE,
        )
        assert (engine.cpu.edx, engine.cpu.ecx, engine.cpu.eflags & 1) == (1, 11, 1)


def test_thread_that_makes_a_pending_call_first_entered_the_guest_unprepared(engine_name: str) -> None:
    """A handler raises in one thread, and another one runs the guest on: it had no alternate stack, and the next fault or
    signal in the guest killed the process."""
    table = SystemCalls.vx()
    raising = [KeyError("first")]

    @table.define(200, "ask")
    def ask(process: Process, value: int) -> int:
        if raising:
            raise raising.pop()
        return value + 1

    code = "mov edx, 9; mov eax, 200; syscall; mov ecx, [0x3000000]; ud2"
    with Sandbox(engine=engine_name, calls=table).spawn(image(code)) as process:
        with pytest.raises(KeyError):
            process.run()
        found = []
        thread = threading.Thread(target=lambda: found.append(process.run()))
        thread.start()
        thread.join()
        assert [(trap.number, trap.address) for trap in found] == [(Vector.PAGE_FAULT, 0x0300_0000)]
        assert process.registers.eax == 10


def test_exception_out_of_a_single_instruction_sent_the_guest_where_an_earlier_trap_had_been(
    engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler raises while an instruction is executed alone: EIP became what the exit stub had last reported."""
    code = "mov eax, 29; syscall; nop; inc ebx; mov edx, ebx; mov eax, 1; syscall"
    with Sandbox(engine=engine_name).spawn(image(code)) as process:
        engine: Any = process.engine
        if not hasattr(engine, "_enter"):
            pytest.skip("an engine that does not translate")
        for _ in range(3):
            process.step()
        enter = engine._enter

        def interrupted(offset: int, single: bool) -> None:
            enter(offset, single)
            raise KeyError

        monkeypatch.setattr(engine, "_enter", interrupted)
        with pytest.raises(KeyError):
            process.step()
        monkeypatch.undo()
        assert process.registers.ebx == 1
        assert process.run().number == Vector.SYSCALL
        assert process.exit_code == 1


@pytest.mark.parametrize("caught", [False, True], ids=["before the next call", "with the next call"])
def test_process_restored_after_a_signal_handler_had_raised_went_on_where_it_had_been(
    engine_name: str, caught: bool
) -> None:
    """What a resumed guest had done last was only looked at by the next run, and took the place of what was restored."""
    table = SystemCalls.vx()
    ticks = []

    @table.define(200, "tick")
    def tick(process: Process, value: int) -> None:
        ticks.append(value)
        if len(ticks) == 5:
            signal.setitimer(signal.ITIMER_REAL, 0.02)

    def raising(*_: object) -> None:
        raise InterruptedError

    wait = (
        f"2: mov edx, 50; mov eax, 200; cmp dword ptr [{DATA:#x}], 0; jne 3f; {'syscall' if caught else 'nop'}; jmp 2b"
    )
    code = f"mov ebp, 1; 1: mov edx, ebp; mov eax, 200; syscall; inc ebp; cmp ebp, 6; jne 1b; {wait}; 3: mov edx, 33; mov eax, 1; syscall"
    before = signal.signal(signal.SIGALRM, raising)
    try:
        with Sandbox(engine=engine_name, calls=table).spawn(image(code)) as process:
            snapshot = process.snapshot()
            with pytest.raises(InterruptedError):
                process.run()
            later = process.snapshot()
            done = len(ticks)
            for state, expected in ((snapshot, 5), (later, None)):
                ticks.clear()
                ticks.extend([-1] * 5)
                process.restore(state)
                process.memory.write_u32(DATA, 1)
                assert process.run().number == Vector.SYSCALL
                assert process.exit_code == 33
                assert expected is None or ticks[5:] == [1, 2, 3, 4, 5]
            assert done >= 5
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_program_that_was_replaced_by_one_of_another_kind_was_stopped_at_its_first_call(engine_name: str) -> None:
    """The engine still expected the calls of the first program, by a trap for which the second has a table, too, but which
    is not the one that it was loaded for."""
    table = SystemCalls.linux()
    calls = "mov ebp, 5; 1: mov eax, 20; int 0x80; dec ebp; jne 1b; mov ebx, 3;"
    second = Module.from_bytes(image(f"{calls} mov eax, 1; int 0x80"))
    assert second.abi == "vx"

    @table.define(300, "replace")
    def replace(process: Process) -> None:
        _execution.execute(process, second, [], [])

    first = image(f"{calls} mov eax, 300; int 0x80; ud2", linux=True)
    with Sandbox(engine=engine_name, calls=table).spawn(first) as process:
        assert process.run().number == LINUX_TRAP
        assert process.exit_code == 3


def test_call_was_lost_when_a_signal_handler_raised_just_after_the_guest_had_left(
    engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor had forgotten by then how the guest had left, and nobody else knew it yet."""
    with Sandbox(engine=engine_name).spawn(image("mov eax, 1; mov edx, 7; syscall; ud2")) as process:
        engine: Any = process.engine
        if not hasattr(engine, "_note_x87_pointer"):
            pytest.skip("an engine that does not translate")

        def interrupted() -> None:
            if engine._words[layout.control_word(layout.REASON)] == Vector.SYSCALL:
                monkeypatch.undo()
                raise KeyError

        monkeypatch.setattr(engine, "_note_x87_pointer", interrupted)
        with pytest.raises(KeyError):
            process.run()
        assert process.run().number == Vector.SYSCALL
        assert process.exit_code == 7


@pytest.mark.parametrize(("distance", "size"), [(1, 1), (7, 1), (3, 2), (7, 4), (8, 4), (60, 4)])
def test_rep_movs_with_16_bit_addresses_missed_an_overlap_where_upper_halves_differed(
    engine_name: str, distance: int, size: int
) -> None:
    """Zen 5 looks for overlap in all of ESI and EDI, of which only the lower halves are addresses here."""
    move = {1: "movsb", 2: "movsw", 4: "movsd"}[size]
    low, count, source = 0x8000, 24, 3
    expected = bytearray(range(5, 205))
    for i in range(source, source + count * size, size):
        expected[i + distance : i + distance + size] = expected[i : i + size]
    esi, edi, ecx = 0xA5CF_8000 + source, 0xD054_8000 + source + distance, 0xC9EF_0000 + count
    with guest(engine_name, f"addr16 rep {move}; int3", limit=1 << 20, esi=esi, edi=edi, ecx=ecx) as engine:
        engine.space.map(low, PAGE, Access.RW)
        engine.space.store(low, bytes(range(5, 205)))
        assert engine.run().number == Vector.BREAKPOINT
        assert engine.space.load(low, 200) == expected
        assert (engine.cpu.esi, engine.cpu.edi) == (esi + count * size, edi + count * size)
        assert engine.cpu.ecx == 0xC9EF_0000


@pytest.mark.parametrize("fuel", [20_000, None])
def test_chain_of_forks_was_run_for_ever_and_the_first_process_never(engine_name: str, fuel: int | None) -> None:
    """Each process forks one, and ends: the next turn was always that of the youngest, the only one with a higher number."""
    code = f"""
        mov eax, 24; syscall; test eax, eax; jz link
        mov eax, 25; mov edx, -1; mov ecx, {DATA}; syscall
        mov eax, 1; mov edx, 42; syscall
    link:
        mov eax, 24; syscall; test eax, eax; jz link
        mov eax, 1; mov edx, 0; syscall
    """
    assert Sandbox(engine=engine_name, fuel=fuel, timeout=20).run(image(code)).exit_code == 42
