"""Descriptors, the LDT, selector loads, limits and linear addresses; and code that runs under such segments.

The bytes of descriptors are compared with values worked out by hand from SDM volume 3, figure 3-8, and with what the
kernel of this machine puts into a real LDT.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys

import pytest
from asm import assemble
from hypothesis import given
from hypothesis import strategies as st

from reference.interpreter import Interpreter
from reference.memory import PAGE, AddressSpace
from reference.policy import Policy
from reference.registers import CPU, MASK32, Segment
from reference.segmentation import LDT, LDT_ENTRIES, USER_LDT, Descriptor, SegmentFault, Segments
from reference.traps import Access, Trap, Vector

#: Worked out by hand: limit 15:0, base 15:0, base 23:16, access byte, flags and limit 19:16, base 31:24.
BY_HAND = [
    (Descriptor(0, 0xFFFFF, writable=True, page_granular=True), "ff ff 00 00 00 f3 cf 00"),
    (Descriptor(0x12345678, 0xABCDE, writable=True), "de bc 78 56 34 f3 4a 12"),
    (Descriptor(0x12345678, 0xABCDE), "de bc 78 56 34 f1 4a 12"),
    (Descriptor(0xFEDC0000, 0x00FFF, code=True), "ff 0f 00 00 dc f9 40 fe"),
    (Descriptor(0, 0x00FFF, code=True, readable=True, page_granular=True), "ff 0f 00 00 00 fb c0 00"),
    (Descriptor(0x1000, 0, expand_down=True, writable=True), "00 00 00 10 00 f7 40 00"),
    (Descriptor(0, 0xFFFF, writable=True, big=False), "ff ff 00 00 00 f3 00 00"),
    (Descriptor(0, 0xFFFF, writable=True, present=False), "ff ff 00 00 00 73 40 00"),
    (Descriptor(0, 0xFFFF, writable=True, dpl=0), "ff ff 00 00 00 93 40 00"),
]


@pytest.mark.parametrize(("descriptor", "raw"), BY_HAND, ids=[raw for _, raw in BY_HAND])
def test_descriptor_has_the_bytes_of_the_manual(descriptor: Descriptor, raw: str) -> None:
    assert descriptor.pack() == bytes.fromhex(raw)
    assert Descriptor.unpack(bytes.fromhex(raw)) == descriptor


@st.composite
def descriptors(draw: st.DrawFn) -> Descriptor:
    code = draw(st.booleans())
    return Descriptor(
        base=draw(st.integers(0, MASK32)),
        limit=draw(st.integers(0, 0xFFFFF)),
        code=code,
        writable=not code and draw(st.booleans()),
        readable=code and draw(st.booleans()),
        expand_down=not code and draw(st.booleans()),
        page_granular=draw(st.booleans()),
        big=draw(st.booleans()),
        present=draw(st.booleans()),
        dpl=draw(st.integers(0, 3)),
    )


@given(descriptors())
def test_unpacking_is_the_reverse_of_packing(descriptor: Descriptor) -> None:
    assert Descriptor.unpack(descriptor.pack()) == descriptor


def test_what_is_no_segment_descriptor_is_refused() -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        Descriptor.unpack(b"\0" * 7)
    with pytest.raises(ValueError, match="system descriptor"):
        Descriptor.unpack(bytes.fromhex("00 00 00 00 00 e9 00 00"))
    for base, limit in ((-1, 0), (1 << 32, 0), (0, -1), (0, 1 << 20)):
        with pytest.raises(ValueError, match="does not fit"):
            Descriptor(base, limit)
    with pytest.raises(ValueError, match="neither writable"):
        Descriptor(0, 0, code=True, writable=True)


def test_sizes_become_limits() -> None:
    assert Descriptor.data(0, 1).last == 0
    assert Descriptor.data(0, 1 << 20).last == 0xFFFFF
    assert not Descriptor.data(0, 1 << 20).page_granular
    assert Descriptor.data(0, (1 << 20) + 4096).last == 0x100FFF
    assert Descriptor.execute_only(0, 1 << 32).last == MASK32
    for size in (0, -1, (1 << 32) + 1, (1 << 20) + 1):
        with pytest.raises(ValueError, match="segment"):
            Descriptor.data(0, size)


# -- the kernel as an oracle -------------------------------------------------------------------------------------------

MODIFY_LDT = 154
READ, WRITE = 0, 1
#: A free entry, far from those that engines use.
SLOT = LDT_ENTRIES - 7

needs_ldt = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="modify_ldt is a system call of x86-64 Linux"
)


def _modify_ldt(function: int, buffer: ctypes.Array[ctypes.c_char], size: int) -> int:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    result = int(call(ctypes.c_long(MODIFY_LDT), ctypes.c_int(function), buffer, ctypes.c_ulong(size)))
    if result < 0 and function == WRITE and ctypes.get_errno() == 38:
        pytest.skip("this kernel has no modify_ldt")
    # The kernel returns an int, which the C library hands on as an unsigned long.
    return ctypes.c_int(result).value


def _user_desc(descriptor: Descriptor | None) -> ctypes.Array[ctypes.c_char]:
    """struct user_desc of <asm/ldt.h>: entry, base, limit, and bits from seg_32bit upwards."""
    if descriptor is None:
        return ctypes.create_string_buffer(struct.pack("<4I", SLOT, 0, 0, 0x28), 16)
    contents = 2 if descriptor.code else int(descriptor.expand_down)
    read_or_execute_only = not (descriptor.readable if descriptor.code else descriptor.writable)
    bits = (
        descriptor.big
        | contents << 1
        | read_or_execute_only << 3
        | descriptor.page_granular << 4
        | (not descriptor.present) << 5
    )
    return ctypes.create_string_buffer(struct.pack("<4I", SLOT, descriptor.base, descriptor.limit, bits), 16)


@needs_ldt
@pytest.mark.ldt
@pytest.mark.parametrize("descriptor", [row for row, _ in BY_HAND if row.dpl == 3 and row.big], ids=repr)
def test_kernel_stores_the_same_bytes(descriptor: Descriptor) -> None:
    if _modify_ldt(WRITE, _user_desc(descriptor), 16) != 0:
        pytest.fail(f"modify_ldt: errno {ctypes.get_errno()}")
    try:
        table = ctypes.create_string_buffer(8 * LDT_ENTRIES)
        assert _modify_ldt(READ, table, 8 * LDT_ENTRIES) == 8 * LDT_ENTRIES
        stored = table.raw[8 * SLOT : 8 * SLOT + 8]
    finally:
        _modify_ldt(WRITE, _user_desc(None), 16)
    assert stored == descriptor.pack()
    assert Descriptor.unpack(stored) == descriptor


# -- limits and types --------------------------------------------------------------------------------------------------


@given(descriptors(), st.integers(0, MASK32), st.sampled_from([1, 2, 4, 8, 16, 512]))
def test_access_is_contained_if_each_of_its_bytes_is(descriptor: Descriptor, offset: int, size: int) -> None:
    def inside(byte: int) -> bool:
        last = descriptor.limit << 12 | 0xFFF if descriptor.page_granular else descriptor.limit
        if descriptor.expand_down:
            return last < byte <= (MASK32 if descriptor.big else 0xFFFF)
        return byte <= last

    assert descriptor.contains(offset, size) == (inside(offset) and inside(offset + size - 1))


def test_limit_is_the_last_valid_byte() -> None:
    descriptor = Descriptor.data(0x1000, 0x100)
    assert descriptor.contains(0xFC, 4)
    assert not descriptor.contains(0xFD, 4)
    assert not descriptor.contains(0xFFFF_FFFF, 1)
    down = Descriptor(0, 0xFF, expand_down=True, writable=True)
    assert down.contains(0x100, 4)
    assert not down.contains(0xFF, 1)
    assert down.contains(0xFFFF_FFFC, 4)
    assert not down.contains(0xFFFF_FFFD, 4)


def test_types_permit_what_they_say() -> None:
    allowed = {
        Descriptor(0, 0, writable=True): {Access.READ, Access.WRITE},
        Descriptor(0, 0): {Access.READ},
        Descriptor(0, 0, code=True): {Access.EXECUTE},
        Descriptor(0, 0, code=True, readable=True): {Access.EXECUTE, Access.READ},
    }
    for descriptor, accesses in allowed.items():
        for access in (Access.READ, Access.WRITE, Access.EXECUTE):
            assert descriptor.permits(access) == (access in accesses), (descriptor, access)


# -- the table and the registers ---------------------------------------------------------------------------------------


def test_selectors_name_the_users_table() -> None:
    ldt = LDT()
    selector = ldt.set(5, Descriptor.data(0, 4096))
    assert selector == 5 << 3 | USER_LDT
    assert ldt.lookup(selector).last == 0xFFF
    ldt.set(5, None)
    for wrong in (selector, 0x2B, 0x23, 0x33):
        with pytest.raises(SegmentFault):
            ldt.lookup(wrong)
    for index in (-1, LDT_ENTRIES):
        with pytest.raises(ValueError, match="LDT index"):
            ldt.set(index, None)


def _table() -> dict[str, int]:
    _ldt.entries.clear()
    return {
        "data": _ldt.set(0, Descriptor.data(0x1000, 0x1000)),
        "constant": _ldt.set(1, Descriptor.data(0x2000, 0x1000, writable=False)),
        "code": _ldt.set(2, Descriptor.execute_only(0x3000, 0x1000)),
        "readable code": _ldt.set(3, Descriptor(0x4000, 0xFFF, code=True, readable=True)),
        "absent": _ldt.set(4, Descriptor(0, 0xFFF, writable=True, present=False)),
        "kernel's": _ldt.set(5, Descriptor(0, 0xFFF, writable=True, dpl=0)),
        "null": 0,
        "host's": 0x2B,
    }


_ldt = LDT()
#: Which selectors each register takes (SDM volume 2, MOV and JMP).
LOADABLE = {
    Segment.DS: {"data", "constant", "readable code", "null"},
    Segment.ES: {"data", "constant", "readable code", "null"},
    Segment.FS: {"data", "constant", "readable code", "null"},
    Segment.GS: {"data", "constant", "readable code", "null"},
    Segment.SS: {"data"},
    Segment.CS: {"code", "readable code"},
}


@pytest.mark.parametrize("register", list(LOADABLE), ids=lambda register: register.name)
def test_selector_loads_follow_the_manual(register: Segment) -> None:
    for name, selector in _table().items():
        segments = Segments(_ldt)
        if name in LOADABLE[register]:
            segments.load(register, selector)
            assert segments.selector(register) == selector
        else:
            with pytest.raises(SegmentFault):
                segments.load(register, selector)
            assert segments.selector(register) == 0, "a refused load changes nothing"
    segments = Segments(_ldt)
    with pytest.raises(SegmentFault) as fault:
        segments.load(register, _table()["absent"])
    if register != Segment.CS:
        assert fault.value.not_present
        assert fault.value.stack == (register == Segment.SS)


def test_stack_segment_needs_the_guests_own_privilege() -> None:
    selector = _table()["data"]
    with pytest.raises(SegmentFault):
        Segments(_ldt).load(Segment.SS, selector & ~3)
    Segments(_ldt).load(Segment.DS, selector & ~3)


def test_descriptor_is_read_when_the_selector_is_loaded() -> None:
    selector = _table()["data"]
    segments = Segments(_ldt)
    segments.load(Segment.DS, selector)
    _ldt.set(0, Descriptor.data(0x9000, 0x1000))
    assert segments.linear(Segment.DS, 0x10, 4, Access.READ) == 0x1010
    segments.load(Segment.DS, selector)
    assert segments.linear(Segment.DS, 0x10, 4, Access.READ) == 0x9010


def test_linear_address_is_base_plus_offset_modulo_4_gigabytes() -> None:
    ldt = LDT()
    segments = Segments(ldt)
    segments.load(Segment.DS, ldt.set(0, Descriptor.data(0xFFFF_F000, 0x10000)))
    assert segments.linear(Segment.DS, 0x1234, 4, Access.WRITE) == 0x234


def test_refusals_tell_stack_from_other_segments() -> None:
    table = _table()
    segments = Segments(_ldt)
    segments.load(Segment.SS, table["data"])
    segments.load(Segment.DS, table["constant"])
    segments.load(Segment.CS, table["code"])
    refused = [
        (Segment.SS, 0xFFD, 4, Access.READ, True),
        (Segment.DS, 0xFFD, 4, Access.READ, False),
        (Segment.DS, 0, 4, Access.WRITE, False),
        (Segment.CS, 0, 4, Access.READ, False),
        (Segment.CS, 0x1000, 1, Access.EXECUTE, False),
        (Segment.ES, 0, 1, Access.READ, False),
        (Segment.SS, 0, 1, Access.EXECUTE, True),
    ]
    for register, offset, size, access, stack in refused:
        with pytest.raises(SegmentFault) as fault:
            segments.linear(register, offset, size, access)
        assert fault.value.stack == stack


@given(descriptors(), st.integers(0, MASK32), st.sampled_from([1, 2, 4, 8]))
def test_window_promises_only_what_linear_grants(descriptor: Descriptor, offset: int, size: int) -> None:
    segments = Segments(LDT())
    segments.hidden[Segment.DS] = descriptor
    for access in (Access.READ, Access.WRITE, Access.EXECUTE):
        base, last = segments.window(Segment.DS, access)
        if offset + size - 1 <= last:
            assert segments.linear(Segment.DS, offset, size, access) == (base + offset) & MASK32


# -- code under segments -----------------------------------------------------------------------------------------------

DATA_BASE, CODE_BASE, CONTROL_BASE = 0x10_0000, 0x20_0000, 0x30_0000
SIZE = 0x2000


class Sandbox:
    """The three segments of a guest, as a translator lays them out, over one linear memory."""

    def __init__(self, code: str, **registers: int) -> None:
        self.space = AddressSpace(0x40_0000)
        self.space.map(DATA_BASE, SIZE, Access.RW)
        self.space.map(CODE_BASE, 2 * SIZE, Access.RX)
        self.space.map(CONTROL_BASE, SIZE, Access.RW)
        self.space.store(CODE_BASE, assemble(code))
        ldt = LDT()
        segments = Segments(ldt)
        data = ldt.set(0, Descriptor.data(DATA_BASE, SIZE))
        for register in (Segment.DS, Segment.ES, Segment.SS):
            segments.load(register, data)
        segments.load(Segment.CS, ldt.set(1, Descriptor.execute_only(CODE_BASE, SIZE)))
        segments.load(Segment.GS, ldt.set(2, Descriptor.data(CONTROL_BASE, SIZE)))
        self.cpu = CPU()
        self.cpu.esp = SIZE
        for name, value in registers.items():
            setattr(self.cpu, name, value)
        policy = Policy(Policy.default().groups, thread_pointer=True)
        self.interpreter = Interpreter(self.cpu, self.space, segments, policy)

    def run(self) -> Trap:
        trap = self.interpreter.run(1000)
        assert trap is not None
        return trap


def test_offsets_are_relative_to_their_segments() -> None:
    box = Sandbox("mov eax, [8]; mov gs:[12], eax; push eax; call gs:[16]; .org 0x40; pop edx; int3")
    box.space.write_u32(DATA_BASE + 8, 42)
    box.space.write_u32(CONTROL_BASE + 16, 0x40)
    assert box.run().agrees_with(Trap(3, 0x42, vector=3))
    assert box.space.read_u32(CONTROL_BASE + 12) == 42
    assert box.space.read_u32(DATA_BASE + SIZE - 4) == 42
    assert box.cpu.edx == 0x13, "the return address is an offset in CS"


def test_nothing_outside_the_data_segment_can_be_named() -> None:
    for offset in (SIZE, SIZE - 3, CODE_BASE, CODE_BASE - DATA_BASE, 0xFFFF_FFFF, (-DATA_BASE) & MASK32):
        for code in ("mov eax, [ebx]", "mov [ebx], eax", "lock inc dword ptr [ebx]", "movsd", "call [ebx]"):
            trap = Sandbox(code, ebx=offset, esi=offset).run()
            assert trap.agrees_with(Trap(14, 0, 0, Access.NONE, 13)), (hex(offset), code)
    assert Sandbox("push eax", esp=0).run().vector == Vector.STACK_FAULT


def test_page_fault_has_a_linear_address() -> None:
    box = Sandbox("mov eax, [0x1004]")
    box.space.unmap(DATA_BASE + PAGE, PAGE)
    assert box.run().agrees_with(Trap(14, 0, DATA_BASE + 0x1004, Access.READ, 14))


def test_transfer_beyond_the_code_segment_faults_where_it_stands() -> None:
    for code in ("jmp eax", "call eax", "push eax; ret"):
        box = Sandbox(code, eax=SIZE)
        trap = box.run()
        assert trap.agrees_with(Trap(14, len(assemble(code)) - len(assemble(code.split("; ")[-1])), vector=13)), code
        assert box.cpu.esp == (SIZE - 4 if "push" in code else SIZE), "neither pushed nor popped"
    box = Sandbox(f"stc; .byte 0x0f, 0x82; .long {SIZE - 7}")
    assert box.run().agrees_with(Trap(14, 1, vector=13))


def test_instruction_across_the_end_of_the_code_segment_faults() -> None:
    box = Sandbox("nop", eip=SIZE - 2)
    box.space.store(CODE_BASE + SIZE - 2, b"\xb8\0\0\0\0")
    assert box.run().agrees_with(Trap(14, SIZE - 2, vector=13))
    box = Sandbox("nop", eip=SIZE - 1)
    box.space.store(CODE_BASE + SIZE - 1, b"\x90")
    assert box.run().agrees_with(Trap(14, SIZE, vector=13))


def test_code_that_changes_is_found_by_its_linear_address() -> None:
    box = Sandbox("inc eax; int3", eax=0)
    box.run()
    box.space.store(CODE_BASE, b"\x48")
    box.cpu.eip = 0
    box.run()
    assert box.cpu.eax == 0


def test_operands_follow_a_segment_register_that_is_loaded_again() -> None:
    """What was bound to the old descriptor is dropped, of this pass through the loop and of the next."""
    box = Sandbox("again: mov edx, gs:[0]; mov gs, ecx; jmp again", ecx=0)
    ldt = box.interpreter.machine.segments.ldt
    box.cpu.ecx = ldt.set(3, Descriptor.data(DATA_BASE, SIZE))
    box.space.write_u32(CONTROL_BASE, 1)
    box.space.write_u32(DATA_BASE, 2)
    machine = box.interpreter
    assert machine.run(2) is None
    assert (box.cpu.edx, machine.machine.segments.selector(Segment.GS)) == (1, box.cpu.ecx)
    assert machine.run(2) is None
    assert box.cpu.edx == 2
    box.cpu.ecx = 0x2B
    assert box.run().agrees_with(Trap(14, 7, vector=13))
