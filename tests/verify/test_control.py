"""What the verifier knows of the control segment and the stubs is its own, and right."""

from __future__ import annotations

import capstone
from capstone import x86

from reference import layout, runtime
from reference.traps import SOFTWARE_INTERRUPT, Vector
from vx32py.verify import control, instructions, stub_problems
from vx32py.verify.decoding import copy_problem

SEGMENT = bytes(runtime.STUBS).ljust(layout.SCRATCH_CODE, b"\0")


def test_its_numbers_are_those_of_the_layout() -> None:
    for name in (
        "SPILL_ECX",
        "TRAP_EIP",
        "REASON",
        "SITE",
        "SPILL_EDX",
        "DIRECT_TABLE",
        "HASHED_TABLE",
        "FIRST_FRAGMENT",
    ):
        assert getattr(control, name) == getattr(layout, name)
    assert control.NO_CODE == layout.NO_CODE
    assert control.SCRATCH == layout.SCRATCH_CODE
    assert {Vector.INVALID_OPCODE, layout.Reason.ASSIST} == control.OF_THE_INSTRUCTION
    interrupts = {SOFTWARE_INTERRUPT + number for number in range(256)}
    assert {Vector.BREAKPOINT, Vector.OVERFLOW, Vector.SYSCALL} | interrupts == control.OF_THE_NEXT


def test_all_that_a_guest_has_influence_on_is_where_no_entry_can_be() -> None:
    for word in (control.SPILL_ECX, control.TRAP_EIP, control.REASON, control.SITE, control.SPILL_EDX, control.FUEL):
        assert word % 8 == 4


def test_it_finds_the_stubs_where_the_runtime_has_them() -> None:
    for name in ("lookup", "miss", "stepped", "chain", "exit"):
        assert control.stubs()[name] == getattr(runtime, name.upper())
    assert stub_problems(SEGMENT) == []


def test_no_byte_of_the_stubs_can_be_changed() -> None:
    """Whatever is put in its place, but for three bits that mean nothing: ModRM.reg of SETO."""
    seto = SEGMENT.index(b"\x0f\x90") + 2
    for position in range(len(runtime.STUBS)):
        for change in (1, 2, 4, 8, 16, 32, 64, 128, 0xFF):
            code = bytearray(SEGMENT)
            code[position] ^= change
            meaningless = position == seto and change in (8, 16, 32)
            assert bool(stub_problems(bytes(code))) is not meaningless, f"byte {position:#x} ^ {change:#x}"


def test_stubs_that_end_early_are_refused() -> None:
    for length in range(len(runtime.STUBS)):
        assert stub_problems(SEGMENT[:length])


def test_every_instruction_that_capstone_can_name_is_either_safe_or_refused() -> None:
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    names = {disassembler.insn_name(number) for number in range(1, x86.X86_INS_ENDING)} - {None}
    assert len(names) > 1400
    assert not instructions.SAFE & instructions.REFUSED
    assert names <= instructions.SAFE | instructions.REFUSED
    assert names | {"faddp"} >= instructions.SAFE  # which it has under another number


def test_no_transfer_and_no_instruction_of_the_system_is_safe() -> None:
    """By capstone's own groups: jumps, calls, returns, interrupts, privileged instructions."""
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    disassembler.detail = True
    groups = {
        x86.X86_GRP_JUMP,
        x86.X86_GRP_CALL,
        x86.X86_GRP_RET,
        x86.X86_GRP_INT,
        x86.X86_GRP_IRET,
        x86.X86_GRP_PRIVILEGE,
    }
    seen = set()
    for prefix in (b"", b"\x66", b"\xf3", b"\xf2"):
        for escape in (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a", b"\x0f\x01", b"\x0f\xae", b"\x0f\xc7"):
            for opcode in range(256):
                for modrm in (0x00, 0x10, 0x18, 0x28, 0x30, 0xC0, 0xD0, 0xE0, 0xE8, 0xF0, 0xF8):
                    code = prefix + escape + bytes([opcode, modrm]) + bytes(12)
                    for instruction in disassembler.disasm(code, 0, 1):
                        if groups & set(instruction.groups):
                            seen.add(instruction.mnemonic)
                            assert copy_problem(code[: instruction.size]) is not None, instruction
    assert len(seen) > 50
