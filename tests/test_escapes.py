"""Ways out of a 32-bit sandbox: each is refused or trapped at its own EIP, on every engine, and the host is unharmed."""

from __future__ import annotations

import os

import pytest
from asm import assemble
from machine import CODE, DATA, LIMIT, STACK_TOP, all_agree, end_of, guest

from reference.memory import PAGE
from reference.policy import Policy
from reference.traps import Access, Vector

#: Refused as they stand: what, bytes.
REFUSED = [
    ("CS override, load", "2e8b0500000000"),
    ("CS override, store", "2e890500000000"),
    ("CS override behind other prefixes", "3e662e8b0500000000"),
    ("FS override", "648b0500000000"),
    ("FS override, address", "64a100000000"),
    ("GS override", "658b0500000000"),
    ("GS override, store to the control segment", "65c7052400000000000000"),
    ("GS override under DS", "653e8b0500000000"),
    ("GS string source", "65a4"),
    ("FS XLAT", "64d7"),
    ("indirect jump through GS", "65ff2500000100"),
    ("indirect call through FS", "64ff1500000100"),
    ("mov ds", "8ed8"),
    ("mov es", "8ec0"),
    ("mov ss", "8ed0"),
    ("mov fs", "8ee0"),
    ("mov gs", "8ee8"),
    ("mov cs", "8ec8"),
    ("read gs", "8ce8"),
    ("read cs", "8cc8"),
    ("read ds to memory", "8c1d00000200"),
    ("pop ds", "1f"),
    ("pop es", "07"),
    ("pop ss", "17"),
    ("pop fs", "0fa1"),
    ("pop gs", "0fa9"),
    ("push cs", "0e"),
    ("push gs", "0fa8"),
    ("lds", "c50500000200"),
    ("les", "c40500000200"),
    ("lss", "0fb22500000200"),
    ("lfs", "0fb40500000200"),
    ("lgs", "0fb50500000200"),
    ("far jump to 64-bit code", "ea000000003300"),
    ("far call to 64-bit code", "9a000000003300"),
    ("far jump through memory", "ff2d00000200"),
    ("far call through memory", "ff1d00000200"),
    ("far jump through the control segment", "65ff2d24000000"),
    ("far return", "cb"),
    ("far return and release", "ca0800"),
    ("iret", "cf"),
    ("16-bit iret", "66cf"),
    ("sysenter", "0f34"),
    ("sysexit", "0f35"),
    ("sysret", "0f07"),
    ("16-bit jump", "66e90000"),
    ("16-bit short jump", "66eb00"),
    ("16-bit conditional jump", "660f840000"),
    ("16-bit call", "66e80000"),
    ("16-bit return", "66c3"),
    ("16-bit return and release", "66c20400"),
    ("16-bit indirect jump", "66ffe0"),
    ("16-bit indirect call", "66ffd0"),
    ("in", "ec"),
    ("out", "ee"),
    ("ins", "6c"),
    ("outs", "f36f"),
    ("cli", "fa"),
    ("sti", "fb"),
    ("hlt", "f4"),
    ("mov from cr0", "0f20c0"),
    ("mov to cr3", "0f22d8"),
    ("mov from dr7", "0f21f8"),
    ("mov to dr0", "0f23c0"),
    ("clts", "0f06"),
    ("lmsw", "0f01f0"),
    ("smsw", "0f01e0"),
    ("sgdt", "0f010500000200"),
    ("sidt", "0f010d00000200"),
    ("sldt", "0f00c0"),
    ("str", "0f00c8"),
    ("lldt", "0f00d0"),
    ("ltr", "0f00d8"),
    ("verr", "0f00e0"),
    ("verw", "0f00e8"),
    ("lar", "0f02c0"),
    ("lsl", "0f03c0"),
    ("arpl", "63c0"),
    ("invlpg", "0f013d00000200"),
    ("invd", "0f08"),
    ("wbinvd", "0f09"),
    ("rdmsr", "0f32"),
    ("wrmsr", "0f30"),
    ("rdpmc", "0f33"),
    ("swapgs", "0f01f8"),
    ("xbegin", "c7f800000000"),
    ("xabort", "c6f800"),
    ("xend", "0f01d5"),
    ("xtest", "0f01d6"),
    ("rdpkru", "0f01ee"),
    ("wrpkru", "0f01ef"),
    ("xsetbv", "0f01d1"),
    ("vmcall", "0f01c1"),
    ("vmmcall", "0f01d9"),
    ("monitor", "0f01c8"),
    ("mwait", "0f01c9"),
    ("clac", "0f01ca"),
    ("stac", "0f01cb"),
    ("icebp", "f1"),
    ("salc", "d6"),
    ("rsm", "0faa"),
    ("EVEX", "62f17c4858c1"),
    ("XOP", "8fe878c000"),
    ("fifteen bytes and one", "66" * 15 + "90"),
    ("a page of prefixes", "3e" * 20 + "c3"),
    ("LOCK and REP on a call", "f0f3e800000000"),
    ("VEX with an operand prefix", "66c5f858c1"),
    ("VEX with LOCK", "f0c5f858c1"),
]


@pytest.mark.parametrize(("name", "code"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused_at_its_own_eip(engine_name: str, name: str, code: str) -> None:
    raw = b"\x43" + bytes.fromhex(code) + b"\xcc" * 16  # inc ebx; …; int3
    with guest(engine_name, raw, policy=Policy.everything()) as engine:
        before = engine.cpu.ebx
        end = end_of(engine)
    assert (end.number, end.eip) == (Vector.INVALID_OPCODE, CODE + 1)
    assert end.words[3] == before + 1, "the instruction before it was executed"


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
