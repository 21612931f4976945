"""One instruction, encoded differently: with another address, another register, without a prefix."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reference.isa.encoding import Space
from reference.isa.instruction import Instruction
from reference.isa.lookup import FORMS
from reference.registers import EBP, ESP

_ADDRESS_SIZE: Final = 0x67
_MANDATORY: Final = (0x66, 0xF2, 0xF3)


def prefixes_and_opcode(instruction: Instruction) -> tuple[bytes, bytes]:
    """The bytes before the opcode, and those up to the ModRM byte."""
    end = instruction.modrm_offset if instruction.modrm_offset >= 0 else instruction.immediate_offset
    raw = instruction.raw
    return raw[: instruction.opcode_offset], raw[instruction.opcode_offset : end if end >= 0 else len(raw)]


def immediates(instruction: Instruction) -> bytes:
    """The bytes behind the operands."""
    return instruction.raw[instruction.immediate_offset :] if instruction.immediate_size else b""


def without_prefixes(instruction: Instruction) -> Iterator[bytes]:
    """Each prefix left out once, and a VEX prefix in its short form."""
    raw, opcode = instruction.raw, instruction.opcode_offset
    for i in range(opcode):
        yield raw[:i] + raw[i + 1 :]
    if instruction.vector_length and raw[opcode] == 0xC4 and raw[opcode + 1] & 0x1F == 1:
        last = raw[opcode + 2] & 0x7F
        yield raw[:opcode] + bytes([0xC5, 0x80 | last]) + raw[opcode + 3 :]


def with_address(
    instruction: Instruction,
    base: int | None,
    index: int | None,
    scale: int,
    displacement: int,
    *,
    drop: bytes = b"",
    vsib: bool = False,
) -> bytes:
    """The instruction with a 32-bit address in the place of its own, in as few bytes as possible; ``drop`` are prefixes to
    be left out. An index that is a vector (``vsib``) may have any number."""
    prefixes, opcode = prefixes_and_opcode(instruction)
    prefixes = bytes(byte for byte in prefixes if byte not in drop and byte != _ADDRESS_SIZE)
    reg = instruction.raw[instruction.modrm_offset] & 0x38
    signed = (displacement ^ 1 << 31) - (1 << 31)
    if base is None:
        mod, field = 0, displacement.to_bytes(4, "little")
    elif displacement == 0 and base != EBP:
        mod, field = 0, b""
    elif -128 <= signed < 128:
        mod, field = 1, signed.to_bytes(1, "little", signed=True)
    else:
        mod, field = 2, displacement.to_bytes(4, "little")
    rm = EBP if base is None else base
    address = bytes([mod << 6 | reg | rm])
    if index is not None or base == ESP or vsib:
        sib = (scale.bit_length() - 1) << 6 | (ESP if index is None else index) << 3 | rm
        address = bytes([mod << 6 | reg | 4, sib])
    return prefixes + opcode + address + field + immediates(instruction)


def with_register_for_memory(instruction: Instruction, register: int, drop: bytes = b"") -> bytes:
    """The instruction with a register as the operand that may also be in memory."""
    prefixes, opcode = prefixes_and_opcode(instruction)
    prefixes = bytes(byte for byte in prefixes if byte not in drop and byte != _ADDRESS_SIZE)
    reg = instruction.raw[instruction.modrm_offset] & 0x38
    return prefixes + opcode + bytes([0xC0 | reg | register]) + immediates(instruction)


def with_immediate(instruction: Instruction, offset: int, size: int, value: int) -> bytes:
    """The instruction with other bytes in a part of its immediates."""
    raw, at = instruction.raw, instruction.immediate_offset + offset
    return raw[:at] + value.to_bytes(size, "little") + raw[at + size :]


def immediate_fields(instruction: Instruction) -> list[tuple[int, int]]:
    """Offset and size of each immediate."""
    size = instruction.immediate_size
    return [(0, 2), (2, 1)] if size == 3 else [(0, size)] if size else []


def with_lower_registers(instruction: Instruction) -> Iterator[bytes]:
    """Each field that may be the number of a register with each lower number. Some are none: the row tells."""
    raw, modrm = instruction.raw, instruction.modrm_offset
    encoding = FORMS[instruction.row.index].encoding
    fields: list[tuple[int, int, bool]] = []  # where, shift, whether all bits are inverted
    if encoding.plus_register:
        fields.append(((modrm if modrm >= 0 else _end_of_opcode(instruction)) - 1, 0, False))
    if modrm >= 0:
        memory, sib = raw[modrm] < 0xC0, raw[modrm] & 7 == 4 and raw[modrm] < 0xC0 and instruction.address_size == 4
        fields.append((modrm, 3, False))
        if not memory or instruction.address_size == 4:
            fields.append((modrm + sib, 0, False))
        if sib:
            fields.append((modrm + 1, 3, False))
    if encoding.space >= Space.VEX_0F:
        fields.append((instruction.opcode_offset + (1 if raw[instruction.opcode_offset] == 0xC5 else 2), 3, True))
    for where, shift, inverted in fields:
        number = (raw[where] ^ (0xFF if inverted else 0)) >> shift & 7
        for lower in range(number):
            byte = raw[where] ^ (number ^ lower) << shift
            yield raw[:where] + bytes([byte]) + raw[where + 1 :]


def _end_of_opcode(instruction: Instruction) -> int:
    if instruction.displacement_offset >= 0:
        return instruction.displacement_offset
    return instruction.immediate_offset if instruction.immediate_size else instruction.length
