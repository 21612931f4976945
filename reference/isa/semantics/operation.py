"""Binding: a decoded instruction becomes an :class:`Operation`, whose operands are functions ready to be called.

Decoding asks once which register or address an operand names; running asks for its value each time. Binding does the
first part when an instruction is met for the first time, so that the loop of the interpreter only calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reference.isa.instruction import File, Instruction, Memory, Operand, Register, Relative
from reference.registers import MASK32, Segment
from reference.traps import Access

if TYPE_CHECKING:
    from reference.isa.semantics.machine import Machine

Load = Callable[[], int]
Store = Callable[[int], None]


def _no_load() -> int:
    raise AssertionError("this instruction has no such operand")


def _no_store(value: int) -> None:
    raise AssertionError("this operand cannot be written")


class Operation:
    """One instruction bound to a machine.

    ``load``, ``modify`` and ``store`` act on the first operand, ``source`` and ``store_source`` on the second, ``third``
    on the third. ``modify`` is a load by an instruction that will store: it faults as a write. Stored values must fit
    the operand. ``address`` is the offset of the memory operand within ``segment``.

    ``size`` is the first operand's width in bytes, ``bits`` in bits; ``mask`` covers it and ``sign`` is its highest bit.
    ``eip`` and ``next`` are the addresses of this instruction and the one behind it, ``target`` that of a branch.
    """

    __slots__ = (
        "address",
        "bits",
        "eip",
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
    )

    def __init__(self, machine: Machine, instruction: Instruction, run: Callable[[Machine, Operation], int]) -> None:
        self.run = run
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
        self.set_size(size_of(operands[0]) if operands else instruction.operand_size)

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
            return _NOTHING
        if isinstance(operand, Memory):
            self.segment = operand.segment
            self.address = bind_address(machine.words, operand)
            if operand.size not in machine.readers:
                return _NOTHING
            return _bind_memory(machine, operand, self.address)
        value = operand.target if isinstance(operand, Relative) else operand.value
        if isinstance(operand, Relative):
            self.target = value
        return lambda: value, _no_load, _no_store


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
