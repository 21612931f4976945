"""How large a case is: what the search makes smaller.

Sizes compare like this: first the number of instructions; then what is in them: prefixes, registers in addresses,
numbers of registers, immediates; then what is around them: memory, registers, floating-point state. A simpler
instruction is worth more state, since it is what people read first.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from conformance.case import DATA, ENTRY, LAYOUT, MUTABLE, Case
from conformance.oracles.bench import INITIAL_FP
from conformance.outcome import FP_FIELDS
from conformance.reduce.program import Piece, pieces_of
from conformance.reduce.values import weight
from reference.isa.instruction import Immediate, Instruction, Memory, Register
from reference.policy import Group
from reference.registers import EFLAGS, EIP

#: Addresses at which code begins if nothing speaks against it.
HOMES: Final = (ENTRY, MUTABLE + 0x800)
_PREFIX: Final = 64
_REGISTER_OF_ADDRESS: Final = 48
_SCALE: Final = 8
_BYTE_OF_MEMORY: Final = 8
_INITIAL_FLAGS: Final = 0x202

Size = tuple[int, int, int, int]


def size(case: Case) -> Size:
    """Instructions, what is in them, the state around them, and what is not compared or not needed."""
    pieces = pieces_of(case)
    return len(pieces), sum(map(_weight_of_piece, pieces)), _weight_of_state(case), _weight_of_rest(case)


@lru_cache(maxsize=256)
def _weight_of_piece(piece: Piece) -> int:
    instruction = piece.instruction
    if instruction is None:
        return 0x100 + piece.raw[0]
    found = _PREFIX * instruction.opcode_offset
    if piece.raw[instruction.opcode_offset] == 0xC4 and instruction.vector_length:
        found += _PREFIX
    return found + sum(_weight_of_operand(instruction, operand) for operand in instruction.operands)


def _weight_of_operand(instruction: Instruction, operand: object) -> int:
    if isinstance(operand, Register):
        return operand.number
    if isinstance(operand, Immediate):
        return weight(operand.value, 8 * operand.size)
    if not isinstance(operand, Memory) or instruction.modrm_offset < 0:
        return 0
    registers = [number for number in (operand.base, operand.index) if number is not None]
    found = sum(_REGISTER_OF_ADDRESS + number for number in registers) + _SCALE * (operand.scale > 1)
    return found + (weight(operand.displacement, 32) if registers else weight_of_address(operand.displacement))


def weight_of_address(address: int) -> int:
    """How far from the beginning of mapped memory an address is."""
    for start, length, _ in LAYOUT:
        if start <= address < start + length:
            return (address - start).bit_length() + (start != DATA)
    return weight(address, 32)


def _weight_of_state(case: Case) -> int:
    found = sum(weight(word, 32) for i, word in enumerate(case.words) if i not in (EIP, EFLAGS))
    found += weight(case.words[EFLAGS] ^ _INITIAL_FLAGS, 32)
    for address, content in case.memory:
        found += weight_of_address(address)
        found += sum(_BYTE_OF_MEMORY + weight(byte, 8) for byte in content)
    if case.gs_base is not None:
        found += 1 + weight(case.gs_base, 32)
    return found if case.fp is None else found + _weight_of_fp(case.fp)


@lru_cache(maxsize=64)
def _weight_of_fp(image: bytes) -> int:
    found = 1
    rest = bytearray(image)
    for _, start, length in FP_FIELDS:
        initial, value = INITIAL_FP[start : start + length], image[start : start + length]
        rest[start : start + length] = initial
        if value != initial:
            found += 1 + _weight_of_field(value, initial)
    return found + sum(1 for byte, initial in zip(rest, INITIAL_FP, strict=True) if byte != initial)


def _weight_of_field(value: bytes, initial: bytes) -> int:
    """Vectors weigh what their lanes weigh, whichever they are taken for."""
    number = int.from_bytes(value, "little")
    if len(value) == 16:
        return min(
            sum(weight(number >> i & (1 << bits) - 1, bits) for i in range(0, 128, bits)) for bits in (8, 16, 32, 64)
        )
    return weight(number ^ int.from_bytes(initial, "little"), 8 * len(value)) if len(value) < 10 else weight(number, 80)


def _weight_of_rest(case: Case) -> int:
    """Policy groups, undefined bits, an unusual place."""
    found = len(case.groups) * (case.groups != frozenset(Group)) or 2 * len(Group)
    found += case.undefined.bit_count() + case.undefined_fsw.bit_count()
    return found + 100 * (case.eip not in HOMES)
