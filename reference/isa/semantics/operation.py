"""Binding: a decoded instruction becomes an :class:`Operation`, whose operands are functions ready to be called.

Decoding asks once which register or address an operand names; running asks for its value each time. Binding does the
first part when an instruction is met for the first time, so that the loop of the interpreter only calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from reference.isa.instruction import File, Instruction, Memory, Operand, Register, Relative
from reference.registers import MASK32, Segment
from reference.segmentation import SegmentFault
from reference.traps import Access

if TYPE_CHECKING:
    from reference.isa.semantics.machine import Machine

Load = Callable[[], int]
Store = Callable[[int], None]

#: Legacy-encoded instructions whose 16-byte operand may stand anywhere; of all others it must be aligned
#: (SDM volume 1, section 4.1.1, and volume 2, the PCMPxSTRx instructions).
_UNALIGNED: Final = frozenset({
    "movups", "movupd", "movdqu", "lddqu", "pcmpestri", "pcmpestrm", "pcmpistri", "pcmpistrm",
})  # fmt: skip
#: VEX-encoded instructions whose operand must be aligned; of all others it may stand anywhere (section 14.9).
_ALIGNED_WITH_VEX: Final = frozenset({
    "vmovaps", "vmovapd", "vmovdqa", "vmovntps", "vmovntpd", "vmovntdq", "vmovntdqa",
})  # fmt: skip
_MASK64: Final = 0xFFFF_FFFF_FFFF_FFFF


def _no_load() -> int:
    raise AssertionError("this instruction has no such operand")


def _no_store(value: int) -> None:
    raise AssertionError("this operand cannot be written")


class Operation:
    """One instruction bound to a machine.

    ``load``, ``modify`` and ``store`` act on the first operand, ``source`` and ``store_source`` on the second, ``third``
    on the third, ``fourth`` on the fourth. ``modify`` is a load by an instruction that will store: it faults as a write.
    Stored values must fit the operand. ``address`` is the offset of the memory operand within ``segment``.

    ``size`` is the first operand's width in bytes, ``bits`` in bits; ``mask`` covers it and ``sign`` is its highest bit.
    ``vex`` tells that there is a VEX prefix: a store to an XMM register then clears the upper half of its YMM register.
    Vector registers load and store as integers, the lowest lane in the lowest bits.

    ``eip`` and ``next`` are the addresses of this instruction and the one behind it, ``target`` that of a branch.
    """

    __slots__ = (
        "address",
        "bits",
        "eip",
        "fourth",
        "instruction",
        "load",
        "mask",
        "modify",
        "next",
        "operands",
        "run",
        "segment",
        "sign",
        "size",
        "source",
        "store",
        "store_source",
        "target",
        "third",
        "vex",
    )

    def __init__(self, machine: Machine, instruction: Instruction, run: Callable[[Machine, Operation], int]) -> None:
        self.run = run
        self.vex = instruction.vector_length != 0
        self.instruction = instruction
        self.operands = operands = instruction.operands
        self.eip = instruction.eip
        self.next = instruction.next_eip
        self.target = 0
        self.segment = Segment.DS
        self.address: Load = _no_load
        self.load, self.modify, self.store = self._bind(machine, operands[0]) if operands else _NOTHING
        self.source, _, self.store_source = self._bind(machine, operands[1]) if len(operands) > 1 else _NOTHING
        self.third: Load = self._bind(machine, operands[2])[0] if len(operands) > 2 else _no_load
        self.fourth: Load = self._bind(machine, operands[3])[0] if len(operands) > 3 else _no_load
        self.set_size(size_of(operands[0]) if operands else instruction.operand_size)
        if any(isinstance(operand, Register) and operand.file is File.MMX for operand in operands):
            self.run = _among_mmx_registers(run)

    def two_sources(self) -> tuple[int, int]:
        """The sources of a vector instruction: the first is the destination, unless VEX names another (SDM volume 1,
        section 14.1.2)."""
        return (self.source(), self.third()) if self.vex else (self.load(), self.source())

    def control(self) -> int:
        """What stands behind :meth:`two_sources`: an immediate, or a register that says how."""
        return self.fourth() if self.vex else self.third()

    def set_size(self, size: int) -> None:
        """Choose the width that ``bits``, ``mask`` and ``sign`` describe."""
        self.size = size
        self.bits = 8 * size
        self.mask = (1 << self.bits) - 1
        self.sign = (self.mask >> 1) + 1

    def _bind(self, machine: Machine, operand: Operand) -> tuple[Load, Load, Store]:
        if isinstance(operand, Register):
            if operand.file is File.GENERAL:
                load, store = _bind_register(machine.words, operand.number, operand.size)
                return load, load, store
            if operand.file is File.SEGMENT:
                return _bind_selector(machine, Segment(operand.number))
            if operand.file is File.X87:
                return _NOTHING
            load, store = bind_vector(machine, operand, self.vex)
            return load, load, store
        if isinstance(operand, Memory):
            self.segment = operand.segment
            if operand.index_file is not File.GENERAL:
                return _NOTHING
            self.address = bind_address(machine.words, operand)
            if operand.size not in machine.readers:
                return _NOTHING
            if self._must_be_aligned(operand):
                self.address = _aligned(self.address, machine, operand)
            return _bind_memory(machine, operand, self.address)
        value = operand.target if isinstance(operand, Relative) else operand.value
        if isinstance(operand, Relative):
            self.target = value
        return lambda: value, _no_load, _no_store

    def _must_be_aligned(self, operand: Memory) -> bool:
        if operand.size < 16:
            return False
        mnemonic = self.instruction.mnemonic
        return mnemonic in _ALIGNED_WITH_VEX if self.vex else mnemonic not in _UNALIGNED


_NOTHING: tuple[Load, Load, Store] = (_no_load, _no_load, _no_store)


def size_of(operand: Operand) -> int:
    """The width of an operand in bytes."""
    return 4 if isinstance(operand, Relative) else operand.size


def _bind_register(words: memoryview, number: int, size: int) -> tuple[Load, Store]:
    """A general register of 4, 2 or 1 bytes; writing a part leaves the rest of the register alone."""
    if size == 4:

        def store32(value: int) -> None:
            words[number] = value

        return lambda: words[number], store32

    if size == 2:

        def store16(value: int) -> None:
            words[number] = words[number] & 0xFFFF_0000 | value

        return lambda: words[number] & 0xFFFF, store16

    if number < 4:

        def store_low(value: int) -> None:
            words[number] = words[number] & 0xFFFF_FF00 | value

        return lambda: words[number] & 0xFF, store_low

    whole = number - 4

    def store_high(value: int) -> None:
        words[whole] = words[whole] & 0xFFFF_00FF | value << 8

    return lambda: words[whole] >> 8 & 0xFF, store_high


def bind_vector(machine: Machine, operand: Register, vex: bool) -> tuple[Load, Store]:
    """An MMX, XMM or YMM register, in the XSAVE image (SDM volume 1, sections 10.5.1 and 13.4)."""
    image, number = machine.image, operand.number
    if operand.file is File.MMX:

        def load64() -> int:
            return image[machine.mmx_index(number)]

        def store64(value: int) -> None:
            index = machine.mmx_index(number)
            image[index] = value
            image[index + 1] = image[index + 1] | 0xFFFF  # an x87 NaN

        return load64, store64

    low, high = 20 + 2 * number, 72 + 2 * number

    def load128() -> int:
        return image[low] | image[low + 1] << 64

    def store128(value: int) -> None:
        image[low] = value & _MASK64
        image[low + 1] = value >> 64

    def store128_clearing(value: int) -> None:
        image[low] = value & _MASK64
        image[low + 1] = value >> 64
        image[high] = image[high + 1] = 0

    def load256() -> int:
        return image[low] | image[low + 1] << 64 | image[high] << 128 | image[high + 1] << 192

    def store256(value: int) -> None:
        image[low] = value & _MASK64
        image[low + 1] = value >> 64 & _MASK64
        image[high] = value >> 128 & _MASK64
        image[high + 1] = value >> 192

    if operand.file is File.YMM:
        return load256, store256
    return load128, store128_clearing if vex else store128


def _among_mmx_registers(run: Callable[[Machine, Operation], int]) -> Callable[[Machine, Operation], int]:
    """An instruction with MMX registers waits for x87 exceptions before, and has taken over the x87 registers after
    (SDM volume 1, section 9.5)."""

    def run_among_mmx_registers(machine: Machine, operation: Operation) -> int:
        machine.wait_for_x87(operation.eip)
        eip = run(machine, operation)
        machine.enter_mmx()
        return eip

    return run_among_mmx_registers


def _aligned(address: Load, machine: Machine, operand: Memory) -> Load:
    """An address that must be a multiple of the operand's size: what is not is a protection fault, whatever is there.

    A processor checks the linear address. All segments of a guest begin at multiples of 32 bytes, the thread pointer
    apart.
    """
    low = operand.size - 1
    segment, segments = operand.segment, machine.segments

    def checked() -> int:
        offset = address()
        linear = segments.linear(segment, offset, 1, Access.READ) if segment == Segment.GS else offset
        if linear & low:
            raise SegmentFault(f"the operand at {offset:#010x} is not aligned to {operand.size} bytes")
        return offset

    return checked


def _bind_selector(machine: Machine, register: Segment) -> tuple[Load, Load, Store]:
    segments = machine.segments

    def load() -> int:
        return segments.selector(register)

    def store(value: int) -> None:
        before = segments.hidden[register]
        segments.load(register, value & 0xFFFF)
        if segments.hidden[register] is not before:
            machine.segments_loaded()

    return load, load, store


def bind_address(words: memoryview, operand: Memory) -> Load:
    """The effective address (SDM volume 1, section 3.7.5): a sum modulo 2^32, or 2^16 with 16-bit addressing."""
    base, index, scale, displacement = operand.base, operand.index, operand.scale, operand.displacement
    if operand.address_size == 2:
        registers = [number for number in (base, index) if number is not None]
        return lambda: sum((words[number] for number in registers), displacement) & 0xFFFF
    if base is None and index is None:
        return lambda: displacement
    if index is None:
        assert base is not None
        if not displacement:
            return lambda: words[base]
        return lambda: words[base] + displacement & MASK32
    if base is None:
        return lambda: words[index] * scale + displacement & MASK32
    return lambda: words[base] + words[index] * scale + displacement & MASK32


def _bind_memory(machine: Machine, operand: Memory, address: Load) -> tuple[Load, Load, Store]:
    """A memory operand. Most segments are a constant window of linear addresses; the others are asked each time."""
    segment, size = operand.segment, operand.size
    memory, linear = machine.memory, machine.segments.linear
    read, write, check = machine.readers[size], machine.writers[size], memory.check
    read_base, read_last = machine.segments.window(segment, Access.READ)
    write_base, write_last = machine.segments.window(segment, Access.WRITE)
    read_top, write_top = read_last - size + 1, write_last - size + 1

    def load() -> int:
        offset = address()
        if offset <= read_top:
            return read(offset + read_base & MASK32)
        return read(linear(segment, offset, size, Access.READ))

    def modify() -> int:
        offset = address()
        inside = offset <= write_top
        where = offset + write_base & MASK32 if inside else linear(segment, offset, size, Access.WRITE)
        check(where, size, Access.WRITE)
        return read(where)

    def store(value: int) -> None:
        offset = address()
        if offset <= write_top:
            write(offset + write_base & MASK32, value)
        else:
            write(linear(segment, offset, size, Access.WRITE), value)

    return load, modify, store
