"""Faults: every processor exception of a guest comes out with its vector, EIP, address and access, and nothing else."""

from __future__ import annotations

import pytest
from bare import CODE, DATA, LIMIT, STACK, Bare
from child import in_child

from jit import system
from reference import layout
from reference.memory import PAGE, PAGE_SHIFT
from reference.stop import StopKind
from reference.traps import Access, Vector

_HOLE = 0x0080_0000


def _expect(
    bare: Bare, text: str | bytes, vector: int, address: int = 0, access: Access = Access.NONE, *, at: int = 0
) -> None:
    before = bare.cpu.general()
    stop = bare.run(text)
    found = (stop.kind, stop.vector, stop.offset - CODE, stop.address, stop.access)
    assert found == (StopKind.FAULT, vector, at, address, access), f"{text!r}: {stop}"
    if not at:
        after = bare.cpu.general()
        assert {k: after[k] for k in before if k != "eip"} == {k: before[k] for k in before if k != "eip"}, text


@pytest.mark.parametrize("zero", [True, False])
@in_child
def test_page_faults_have_the_exact_address_and_access(zero: bool) -> None:
    bare = Bare(prefer_zero=zero)
    fault = Vector.PAGE_FAULT
    _expect(bare, f"mov eax, [{_HOLE + 0x123}]", fault, _HOLE + 0x123, Access.READ)
    _expect(bare, f"mov byte ptr [{_HOLE + 0xFFF}], 1", fault, _HOLE + 0xFFF, Access.WRITE)
    _expect(bare, f"add dword ptr [{_HOLE}], 1", fault, _HOLE, Access.WRITE)
    _expect(bare, f"lock inc dword ptr [{_HOLE}]", fault, _HOLE, Access.WRITE)
    _expect(bare, f"mov eax, [{DATA + PAGE - 2}]", fault, DATA + PAGE, Access.READ)
    _expect(bare, f"mov dword ptr [{DATA + PAGE - 2}], 7", fault, DATA + PAGE, Access.WRITE)
    assert bare.space.read(DATA + PAGE - 2, 2) == b"\0\0", "a store that faults half-way changes nothing"
    bare.cpu.esp = STACK - 4 * PAGE
    _expect(bare, "push eax", fault, STACK - 4 * PAGE - 4, Access.WRITE)
    bare.cpu.esp = _HOLE
    _expect(bare, "pop eax", fault, _HOLE, Access.READ)
    bare.space.protect(DATA, PAGE, Access.READ)
    _expect(bare, f"mov [{DATA + 8}], eax", fault, DATA + 8, Access.WRITE)
    assert bare.run(f"mov eax, [{DATA + 8}]").kind == StopKind.LEFT
    bare.space.protect(DATA, PAGE, Access.EXECUTE)
    _expect(bare, f"mov eax, [{DATA + 8}]", fault, DATA + 8, Access.READ)
    bare.space.unmap(DATA, PAGE)
    _expect(bare, f"mov eax, [{DATA + 8}]", fault, DATA + 8, Access.READ)
    bare.space.map(DATA, PAGE, Access.RW)
    bare.space.watch(DATA >> PAGE_SHIFT, (DATA >> PAGE_SHIFT) + 1)
    _expect(bare, f"mov [{DATA + 8}], eax", fault, DATA + 8, Access.WRITE)
    bare.space.touch(DATA >> PAGE_SHIFT, (DATA >> PAGE_SHIFT) + 1)
    assert bare.run(f"mov [{DATA + 8}], eax").kind == StopKind.LEFT
    _expect(bare, "mov eax, [0]", fault, 0, Access.READ)
    bare.cpu.esi, bare.cpu.edi, bare.cpu.ecx = DATA, _HOLE - 8, PAGE
    bare.space.map(_HOLE - PAGE, PAGE, Access.RW)
    assert bare.run("rep movsb").address == _HOLE
    assert (bare.cpu.ecx, bare.cpu.edi, bare.cpu.esi) == (PAGE - 8, _HOLE, DATA + 8), "as far as it came"


@pytest.mark.parametrize("zero", [True, False])
@in_child
def test_limits_of_the_data_segments(zero: bool) -> None:
    bare = Bare(prefer_zero=zero)
    bare.space.map(LIMIT - PAGE, PAGE, Access.RW)
    for segment, vector in (("ds", 13), ("es", 13), ("ss", 12)):
        assert bare.run(f"mov eax, {segment}:[{LIMIT - 4}]").kind == StopKind.LEFT
        assert bare.run(f"mov {segment}:[{LIMIT - 1}], al").kind == StopKind.LEFT
        for address in (LIMIT - 3, LIMIT - 1, LIMIT, LIMIT + PAGE, 0x8000_0000, 0xFFFF_FFFC, 0xFFFF_FFFF):
            _expect(bare, f"mov eax, {segment}:[{address}]", vector)
            _expect(bare, f"mov {segment}:[{address}], eax", vector)
        _expect(bare, f"movdqu xmm0, {segment}:[{LIMIT - 15}]", vector)
        _expect(bare, f"fld tbyte ptr {segment}:[{LIMIT - 9}]", vector)
    bare.cpu.esp = LIMIT + 4
    _expect(bare, "push eax", 12)
    bare.cpu.esp = 0
    _expect(bare, "push eax", 12)
    bare.cpu.esp = 0xFFFF_FFFF
    _expect(bare, "pop eax", 12)


@pytest.mark.parametrize("limit", [PAGE * 16, 1 << 20, (1 << 20) + PAGE, 64 << 20])
@in_child
def test_limit_is_exact_at_every_granularity(limit: int) -> None:
    bare = Bare(limit=LIMIT)
    bare.close()
    from jit.native import NativeProcessor
    from reference import runtime

    for zero in (True, False):
        processor = NativeProcessor(limit=limit, prefer_zero=zero)
        processor.space.map(limit - PAGE, PAGE, Access.RW)
        processor.code[: len(runtime.STUBS)] = runtime.STUBS
        bare.processor = processor
        assert bare.run(f"mov al, [{limit - 1}]").kind == StopKind.LEFT
        assert bare.run(f"mov al, [{limit}]").vector == 13
        processor.close()


@pytest.mark.parametrize("based_code", [True, False])
@in_child
def test_code_segment_can_only_be_executed_and_ends_at_its_limit(based_code: bool) -> None:
    bare = Bare(based_code=based_code)
    origin, size = bare.processor.origin, layout.DEFAULT_CODE_SIZE
    for offset in (0, CODE, size - 4):
        _expect(bare, f"mov eax, cs:[{(origin + offset) & 0xFFFF_FFFF:#x}]", 13)
        _expect(bare, f"mov cs:[{(origin + offset) & 0xFFFF_FFFF:#x}], eax", 13)
    if not based_code:
        return  # with base zero the limit is 4 GiB: see native.py
    # A near jump that would pass the limit faults at the jump (SDM volume 2, JMP: #GP before EIP changes).
    for target in (origin + size, origin + size + PAGE, 0xFFFF_FFF0):
        _expect(bare, f"mov eax, {target:#x}; jmp eax", 13, at=5)
    bare.processor.code[size - 1] = 0x90
    assert bare.run(f"mov eax, {origin + size - 1:#x}; jmp eax").vector == 13, "running over the end"
    # Entering beyond the limit is a fault, not the end of the process.
    stop = bare.processor.enter(size)
    assert (stop.kind, stop.vector, stop.offset) == (StopKind.FAULT, 13, size)
    stop = bare.processor.enter(size, True)
    assert (stop.kind, stop.vector) == (StopKind.FAULT, 13)
    assert bare.run("nop").kind == StopKind.LEFT


@in_child
def test_guest_memory_is_never_executable() -> None:
    for zero in (True, False):
        bare = Bare(prefer_zero=zero, based_code=False)
        bare.space.map(0x40_0000, 4 * PAGE, Access.RWX)
        bare.space.store(0x40_0000, b"\x90" * 64)
        with open("/proc/self/maps", encoding="ascii") as file:
            for line in file:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                inside = start < bare.space.base + LIMIT and end > bare.space.base
                assert not (inside and "x" in line.split()[1]), line
        target = bare.space.base + 0x40_0000
        stop = bare.run(f"mov eax, {target:#x}; jmp eax")
        assert (stop.vector, stop.access, stop.offset + bare.processor.origin & 0xFFFF_FFFF) == (
            14,
            Access.EXECUTE,
            target,
        )
        bare.close()


@in_child
def test_control_segment_ends_at_its_limit() -> None:
    bare = Bare()
    for size in (layout.segment_size(bare.processor.space.limit), layout.HASHED_SIZE):
        bare.processor.bound_control(size)
        assert bare.run(f"mov eax, gs:[{size - 4}]").kind == StopKind.LEFT
        _expect(bare, f"mov eax, gs:[{size - 3}]", 13)
        _expect(bare, f"mov gs:[{size}], eax", 13)
    _expect(bare, "mov eax, gs:[-4]", 13)


@in_child
def test_other_exceptions_have_their_vectors() -> None:
    bare = Bare()
    bare.cpu.ecx = 0
    _expect(bare, "div ecx", Vector.DIVIDE_ERROR)
    _expect(bare, "ud2", Vector.INVALID_OPCODE)
    _expect(bare, "int3", Vector.BREAKPOINT, at=1)
    _expect(bare, b"\xcd\x03", Vector.BREAKPOINT, at=2)
    _expect(bare, "int 0x81", Vector.GENERAL_PROTECTION)
    _expect(bare, "hlt", Vector.GENERAL_PROTECTION)
    _expect(bare, "cli", Vector.GENERAL_PROTECTION)
    _expect(bare, "in al, 0x60", Vector.GENERAL_PROTECTION)
    _expect(bare, "mov cr0, eax", Vector.GENERAL_PROTECTION)
    _expect(bare, "mov eax, 0x1000; mov ds, eax", Vector.GENERAL_PROTECTION, at=5)
    _expect(bare, f"mov eax, 5; bound eax, [{DATA}]", Vector.BOUND, at=5)
    bare.cpu.eflags = 0xA02
    _expect(bare, "into", Vector.OVERFLOW, at=1)
    bare.cpu.eflags = 0x202
    _expect(bare, f"movaps xmm0, [{DATA + 1}]", Vector.GENERAL_PROTECTION)
    bare.cpu.fp[0:2] = (0x0370).to_bytes(2, "little")
    _expect(bare, "fldz; fld1; fdivrp; fwait", Vector.FP_ERROR, at=6)
    bare.cpu.reset()
    bare.cpu.fp[24:28] = (0x1D80).to_bytes(4, "little")
    bare.space.write_u32(DATA, 0x3F80_0000)
    _expect(bare, f"movss xmm0, [{DATA}]; divss xmm0, [{DATA + 4}]", Vector.SIMD_ERROR, at=8)
    bare.cpu.reset()
    bare.cpu.esp, bare.cpu.eflags = STACK, 0x40202
    _expect(bare, f"mov eax, [{DATA + 1}]", Vector.ALIGNMENT)
    assert bare.run(f"mov eax, [{DATA + 4}]").kind == StopKind.LEFT


@in_child
def test_trap_flag_set_by_a_guest_stops_it_and_does_not_stick() -> None:
    bare = Bare()
    stop = bare.run("pushfd; or dword ptr [esp], 0x100; popfd; nop; nop")
    assert (stop.kind, stop.vector) == (StopKind.FAULT, Vector.DEBUG)
    assert not bare.cpu.eflags & 0x100
    assert bare.run("nop").kind == StopKind.LEFT


@in_child
def test_faults_by_the_thousand() -> None:
    bare = Bare()
    end = bare.load("mov eax, [eax]")
    for i in range(20_000):
        bare.cpu.eax = _HOLE + i * 4
        stop = bare.processor.enter(CODE)
        assert (stop.address, stop.access) == (_HOLE + i * 4, Access.READ)
    assert end > CODE
    assert system.PAGE == PAGE
