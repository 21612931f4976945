"""One regression test for each known defect of the original vx32; each fails on the original's behaviour."""

from __future__ import annotations

import ctypes
import mmap

import pytest
from asm import assemble
from machine import CODE, DATA, SENTINELS, STACK_TOP, all_agree, end_of, guest

from reference import flags
from reference.errors import MemoryFault
from reference.memory import PAGE
from reference.policy import Policy
from reference.registers import ECX
from reference.traps import Access, Vector

OVERFLOWED = "mov edx, 0x7fffffff; inc edx"  # sets OF, SF, PF? and AF; clears ZF


@pytest.mark.parametrize(
    "transfer",
    ["jmp eax", "call eax", "push eax; ret", "jmp target", "call target", "jo target", f"jmp [{DATA}]"],
)
def test_01_overflow_flag_survives_indirect_and_unpatched_transfers(engine_name: str, transfer: str) -> None:
    code = f"{OVERFLOWED}; {transfer}; ud2; .org 0x300; target: seto bl; int3"
    with guest(engine_name, assemble(code), eax=CODE + 0x300) as engine:
        engine.space.write_u32(DATA, CODE + 0x300)
        end = end_of(engine)
    assert end.number == Vector.BREAKPOINT
    assert end.words[3] & 0xFF == 1


def test_02_ret_with_a_count_releases_arguments_and_keeps_flags(engine_name: str) -> None:
    code = f"push 1; push 2; push 3; {OVERFLOWED}; stc; call f; back: int3; f: ret 12"
    with guest(engine_name, code) as engine:
        end = end_of(engine)
    assert end.number == Vector.BREAKPOINT
    assert end.words[4] == STACK_TOP - 64
    assert end.words[9] & (flags.OF | flags.CF) == flags.OF | flags.CF


@pytest.mark.parametrize(
    "code",
    ["f090", "f089c8", "f001c8", "f08b0d00000200", "f0c3", "f0e800000000", "f0cd80", "f00fb6c0", "f00f05", "f0f4",
     "f08d0500000200", "f085c0", "f0390500000200", "f0a4", "f0c7050000020000000000"],
)  # fmt: skip
def test_03_lock_before_anything_it_cannot_prefix_is_an_invalid_opcode(engine_name: str, code: str) -> None:
    with guest(engine_name, bytes.fromhex(code) + b"\xcc") as engine:
        end = end_of(engine)
    assert (end.number, end.eip) == (Vector.INVALID_OPCODE, CODE)


def test_04_length_of_66_0f_38_has_its_modrm_and_displacement() -> None:
    from reference.isa.decode import decode

    for code, length in [("660f3800c1", 5), ("660f3800812cd00408", 9), ("660f3a0fc108", 6), ("0f3800c1", 4)]:
        raw = bytes.fromhex(code)
        assert decode(raw + b"\xcd\x80" * 5, 0x1000, Policy.everything()).length == length


def test_05_permission_check_covers_the_last_byte_of_the_last_page(engine_name: str) -> None:
    with guest(engine_name, "nop") as engine:
        end = DATA + 2 * PAGE
        engine.space.check(end - 8, 8, Access.READ)
        for address, length in [(end - 8, 9), (end, 1), (end - PAGE, PAGE + 1), (end - 1, 0xFFFF_FFFF)]:
            with pytest.raises(MemoryFault) as caught:
                engine.space.check(address, length, Access.READ)
            assert caught.value.address == end


def test_07_registers_are_repaired_whatever_branches_came_before(engine_name: str) -> None:
    """Earlier branches own the first trampolines; the push of a later call faults, and ECX must be the guest's."""
    code = "test eax, eax; jz elsewhere; jc elsewhere; js next; next: mov esp, 0x50004; call [esi]; .org 0x80; elsewhere: int3"
    with guest(engine_name, code, esi=DATA) as engine:
        end = end_of(engine)
    assert (end.number, end.address) == (Vector.PAGE_FAULT, 0x50000)
    assert end.words[ECX] == SENTINELS["ecx"]


@pytest.mark.parametrize(
    "code",
    ["pause", "nop dword ptr [eax + eax]", ".byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0", "bt eax, 5",
     "clc; stc; cmc", "pusha; popa", "lfence; mfence; sfence", ".byte 0xf3, 0x0f, 0x1e, 0xfb", "xor ecx, ecx; jecxz 1f; 1:",
     "call 1f; jmp 2f; 1: .byte 0xf3, 0xc3; 2:", "rep bsf eax, ecx"],
)  # fmt: skip
def test_08_what_todays_compilers_emit_is_admitted(engine_name: str, code: str) -> None:
    with guest(engine_name, code + "; int3") as engine:
        assert engine.run().number == Vector.BREAKPOINT


def test_10_code_that_changes_between_two_reads_is_never_half_checked(engine_name: str) -> None:
    """Memory whose code is different at every look: what runs is one of the versions, and the trap fits it."""
    versions = [b"\xb8\x01\x00\x00\x00\xcc", b"\x0f\x05\x90\x90\x90\x90"]
    with guest(engine_name, versions[0]) as engine:
        real = engine.space.fetch
        looks = 0

        def fetch(address: int, most: int) -> bytes:
            nonlocal looks
            looks += 1
            return (versions[looks % 2] if looks < 8 else versions[0]) + real(address, most)[6:]

        engine.space.fetch = fetch  # type: ignore[method-assign]
        trap = engine.run()
    assert (trap.number, trap.eip) in [(Vector.BREAKPOINT, CODE + 6), (Vector.SYSCALL, CODE + 2)]


def test_11_alignment_check_flag_never_reaches_the_host(engine_name: str) -> None:
    code = f"push {flags.AC | flags.NT | flags.TF | flags.IOPL | flags.DF | 2}; popfd; mov eax, [{DATA + 1}]; int3"
    with guest(engine_name, code) as engine:
        trap = engine.run()
        assert trap.number == Vector.BREAKPOINT
        assert engine.cpu.eflags & (flags.AC | flags.NT | flags.TF | flags.IOPL) == 0
        assert engine.cpu.eflags & flags.DF
        # A misaligned access and a block move in the host: SIGBUS with AC, garbage with DF.
        page = mmap.mmap(-1, PAGE)
        page[1:101] = bytes(range(100))
        assert ctypes.c_uint32.from_buffer(page, 1).value == 0x03020100


@pytest.mark.parametrize("code", ["d9d1", "d9df", "d9e2", "d9e6", "d9ef", "dbe6", "dbf8", "dfe1", "df f8", "ded8"])
def test_12_holes_of_the_x87_map_are_invalid_opcodes(engine_name: str, code: str) -> None:
    raw = bytes.fromhex(code)
    with guest(engine_name, raw + b"\xcc") as engine:
        end = end_of(engine)
    assert (end.number, end.eip) == (Vector.INVALID_OPCODE, CODE)


def test_13_guests_start_with_clean_vector_registers(engine_name: str) -> None:
    code = "; ".join(f"movups [{DATA + 16 * i}], xmm{i}" for i in range(8)) + f"; fxsave [{DATA + 512}]; int3"
    with guest(engine_name, code) as engine:
        assert bytes(engine.cpu.fp[32:416]) == bytes(384)
        engine.space.write(DATA, b"\xee" * 128)
        sum(x * 1.5 for x in range(100))  # the host's own vector registers are in use
        engine.run()
        assert engine.space.read(DATA, 128) == bytes(128)


def test_14_the_first_guest_has_base_zero_where_the_host_can() -> None:
    jit_engine = pytest.importorskip("jit.engine")
    if jit_engine.available() is not None:
        pytest.skip(jit_engine.available())
    with guest("jit", "int3") as engine:
        placement = engine.space.placement  # type: ignore[attr-defined]
        assert placement.base == 0 or placement.reason


def test_agreement_on_a_mixture_of_all_of_the_above() -> None:
    end = all_agree(f"{OVERFLOWED}; call f; seto cl; push 7; call g; pushfd; pop ebx; int3; f: ret; g: ret 4")
    assert end.number == Vector.BREAKPOINT
    assert end.words[ECX] & 0xFF == 1
