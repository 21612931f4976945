"""Ways out of a 32-bit sandbox: each is refused or trapped at its own EIP, on every engine, and the host is unharmed.

What a case can say is in conformance/corpus/escape.
"""

from __future__ import annotations

import os

import pytest
from asm import assemble
from machine import CODE, DATA, LIMIT, STACK_TOP, all_agree, end_of, guest

from reference.memory import PAGE
from reference.traps import Access, Vector


def test_int_0x80_never_reaches_the_kernel(engine_name: str) -> None:
    """exit(7), getpid and an open of a host file: all of them are only traps."""
    for number in (1, 20, 5):
        with guest(engine_name, "int 0x80; int3", eax=number, ebx=7) as engine:
            assert engine.run().number == 0x280
            assert engine.cpu.eax == number
    assert os.getpid() > 0


def test_jump_into_the_middle_of_an_instruction_is_decoded_anew(engine_name: str) -> None:
    """``mov eax, 0x0580cd90`` hides ``nop; int 0x80``; ``mov ecx, 0x9025d8e`` style hides a segment load."""
    with guest(engine_name, "jmp hidden + 1; hidden: mov eax, 0x0580cd90; int3") as engine:
        assert engine.run().number == 0x280
    with guest(engine_name, "jmp hidden + 1; hidden: mov eax, 0x90d88e90; int3") as engine:  # nop; mov ds, eax
        end = end_of(engine)
    assert (end.number, end.eip) == (Vector.INVALID_OPCODE, CODE + 4)


def test_code_that_rewrites_itself_while_it_runs_is_checked_anew(engine_name: str) -> None:
    """A store changes the very next instruction, the one it stands in, and one executed before."""
    next_one = "mov byte ptr [patch], 0xf4; patch: nop; int3".replace("[patch]", f"[{CODE + 7}]")
    with guest(engine_name, next_one, code_access=Access.RWX) as engine:
        end = end_of(engine)
    assert (end.number, end.eip) == (Vector.INVALID_OPCODE, CODE + 7)

    loop = f"""
        mov ecx, 3
    again:
        inc eax
        mov byte ptr [{CODE + 5}], 0x48
        dec ecx
        jnz again
        int3
    """
    with guest(engine_name, loop, code_access=Access.RWX, eax=10) as engine:
        end = end_of(engine)
    assert end.number == Vector.BREAKPOINT
    assert end.words[0] == 10 + 1 - 1 - 1  # once INC EAX, then DEC EAX twice


def test_rep_movs_over_the_running_code_takes_effect(engine_name: str) -> None:
    code = assemble(
        f"mov esi, {DATA}; mov edi, {CODE + 17}; mov ecx, 8; rep movsb; .org 17; nop; nop; nop; nop; nop; nop; nop; nop; int3"
    )
    with guest(engine_name, code, code_access=Access.RWX) as engine:
        engine.space.write(DATA, b"\x40\x40\x40\x40\x40\x40\x40\xf4")
        end = end_of(engine)
    assert (end.number, end.eip) == (Vector.INVALID_OPCODE, CODE + 24)


def test_host_write_into_code_takes_effect(engine_name: str) -> None:
    with guest(engine_name, "again: inc eax; int3; jmp again", eax=0) as engine:
        engine.run()
        engine.space.store(CODE, b"\x48")  # dec eax
        engine.run()
        assert engine.cpu.eax == 0


def test_page_that_loses_execute_permission_stops_executing(engine_name: str) -> None:
    with guest(engine_name, "again: inc eax; int3; jmp again", eax=0) as engine:
        engine.run()
        engine.space.protect(CODE, PAGE, Access.READ)
        trap = engine.run()
        assert (trap.number, trap.address, trap.access) == (Vector.PAGE_FAULT, CODE + 2, Access.EXECUTE)


def test_eip_cannot_run_off_the_end_of_memory(engine_name: str) -> None:
    with guest(engine_name, "mov eax, target; jmp eax".replace("target", str(LIMIT - 2))) as engine:
        engine.space.map(LIMIT - PAGE, PAGE, Access.RWX)
        engine.space.write(LIMIT - 2, b"\x40\x40")
        end = end_of(engine)
    assert (end.number, end.eip, end.address, end.access) == (Vector.PAGE_FAULT, LIMIT, LIMIT, Access.EXECUTE)


def test_instruction_across_the_end_of_memory_is_a_fetch_fault(engine_name: str) -> None:
    with guest(engine_name, f"mov eax, {LIMIT - 2}; jmp eax") as engine:
        engine.space.map(LIMIT - PAGE, PAGE, Access.RWX)
        engine.space.write(LIMIT - 2, b"\xb8\x01")  # mov eax, imm32, cut off
        end = end_of(engine)
    assert (end.number, end.eip, end.address, end.access) == (Vector.PAGE_FAULT, LIMIT - 2, LIMIT, Access.EXECUTE)


@pytest.mark.parametrize("esp", [0, 2, 0xFFFF_FFFC, LIMIT, LIMIT + 4, 0x8000_0000, 0xFFFF_FFFF])
@pytest.mark.parametrize("code", ["push eax", "pop eax", "call 1f; 1:", "ret", "pusha", "popa", "enter 8, 2", "pushfd"])
def test_stack_pointer_anywhere_is_only_a_fault(esp: int, code: str) -> None:
    end = all_agree(code + "; int3", esp=esp)
    assert end.number == Vector.PAGE_FAULT


def test_translated_return_addresses_never_reach_the_guest(engine_name: str) -> None:
    """What a call pushes is the guest's own EIP, and returning into changed stack words goes where they say."""
    code = "call f; .org 0x40; f: pop eax; push eax; add dword ptr [esp], 0x70; ret; .org 0x75; int3"
    with guest(engine_name, code) as engine:
        end = end_of(engine)
    assert (end.number, end.eip) == (Vector.BREAKPOINT, CODE + 0x76)
    assert end.words[0] == CODE + 5


def test_memory_behind_the_limit_is_out_of_reach_for_every_address(engine_name: str) -> None:
    for address in (LIMIT, LIMIT + PAGE, 1 << 24, 1 << 30, 1 << 31, 0xFFFF_F000, 0xFFFF_FFFF):
        with guest(engine_name, "mov eax, [ecx]; int3", ecx=address) as engine:
            trap = engine.run()
            assert (trap.number, trap.address, trap.vector) == (Vector.PAGE_FAULT, 0, Vector.GENERAL_PROTECTION)


def test_stack_is_not_executable_and_code_is_not_writable(engine_name: str) -> None:
    with guest(engine_name, "jmp esp") as engine:
        assert engine.run().access == Access.EXECUTE
    with guest(engine_name, f"mov byte ptr [{CODE}], 0") as engine:
        assert engine.run().access == Access.WRITE


def test_endless_recursion_is_a_fault_at_the_end_of_the_stack(engine_name: str) -> None:
    with guest(engine_name, "f: call f") as engine:
        trap = engine.run()
    assert (trap.number, trap.address, trap.access) == (Vector.PAGE_FAULT, STACK_TOP - 2 * PAGE - 4, Access.WRITE)
