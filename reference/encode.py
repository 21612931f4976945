"""Encoders: the few instructions that templates and runtime stubs are made of, by hand, one function each.

Nothing here is general: an encoder exists because a template needs it, and its name says the instruction. ``gs`` in a
name is an operand in the control segment (prefix 65). SDM volume 2, chapter 2 (ModRM, SIB) and the instruction pages.
The native translator's templates come from LLVM's assembler instead; that both agree byte for byte checks either.
"""

from __future__ import annotations

from typing import Final

from reference.registers import EAX, ESP, MASK32

GS: Final = b"\x65"


def word(value: int) -> bytes:
    """A 32-bit little-endian field, modulo 2^32."""
    return (value & MASK32).to_bytes(4, "little")


def modrm(mod: int, reg: int, rm: int) -> int:
    """The ModRM byte from its three fields."""
    return mod << 6 | reg << 3 | rm


def mov_gs_from(offset: int, register: int) -> bytes:
    """``mov gs:[offset], register``"""
    if register == EAX:
        return GS + b"\xa3" + word(offset)
    return GS + bytes([0x89, modrm(0, register, 5)]) + word(offset)


def mov_from_gs(register: int, offset: int) -> bytes:
    """``mov register, gs:[offset]``"""
    if register == EAX:
        return GS + b"\xa1" + word(offset)
    return GS + bytes([0x8B, modrm(0, register, 5)]) + word(offset)


def mov_gs_immediate(offset: int, value: int) -> bytes:
    """``mov dword gs:[offset], value``"""
    return GS + b"\xc7\x05" + word(offset) + word(value)


def mov_from_gs_indexed8(register: int, table: int, index: int) -> bytes:
    """``mov register, gs:[table + index * 8]``"""
    return GS + bytes([0x8B, modrm(0, register, 4), 3 << 6 | index << 3 | 5]) + word(table)


def mov_from_gs_based(register: int, offset: int, base: int) -> bytes:
    """``mov register, gs:[base + offset]`` with 32 bits of displacement."""
    return GS + bytes([0x8B, modrm(2, register, base)]) + word(offset)


def cmp_gs_indexed8(table: int, index: int, register: int) -> bytes:
    """``cmp gs:[table + index * 8], register``"""
    return GS + bytes([0x39, modrm(0, register, 4), 3 << 6 | index << 3 | 5]) + word(table)


def jmp_gs_indexed4(table: int, index: int) -> bytes:
    """``jmp gs:[table + index * 4]``"""
    return GS + bytes([0xFF, modrm(0, 4, 4), 2 << 6 | index << 3 | 5]) + word(table)


def jmp_gs_indexed8(table: int, index: int) -> bytes:
    """``jmp gs:[table + index * 8]``"""
    return GS + bytes([0xFF, modrm(0, 4, 4), 3 << 6 | index << 3 | 5]) + word(table)


def jmp_gs(offset: int) -> bytes:
    """``jmp gs:[offset]``"""
    return GS + bytes([0xFF, modrm(0, 4, 5)]) + word(offset)


def jmp_far_gs(offset: int) -> bytes:
    """``jmp far gs:[offset]``"""
    return GS + bytes([0xFF, modrm(0, 5, 5)]) + word(offset)


def lea(register: int, base: int, displacement: int) -> bytes:
    """``lea register, [base + displacement]`` with 32 bits of displacement; adds without touching flags."""
    if base == ESP:
        return bytes([0x8D, modrm(2, register, 4), 0x24]) + word(displacement)
    return bytes([0x8D, modrm(2, register, base)]) + word(displacement)


def lea_short(register: int, displacement: int) -> bytes:
    """``lea register, [register + displacement]`` with 8 bits of displacement; not for ESP."""
    return bytes([0x8D, modrm(1, register, register), displacement & 0xFF])


def movzx_byte_from_gs(register: int, offset: int) -> bytes:
    """``movzx register, byte gs:[offset]``"""
    return GS + bytes([0x0F, 0xB6, modrm(0, register, 5)]) + word(offset)


def movzx_word(destination: int, source: int) -> bytes:
    """``movzx destination, source16``"""
    return bytes([0x0F, 0xB7, modrm(3, destination, source)])


def push_immediate(value: int) -> bytes:
    """``push value`` with 32 bits of immediate."""
    return b"\x68" + word(value)


def pop(register: int) -> bytes:
    """``pop register``"""
    return bytes([0x58 + register])


def increment(register: int) -> bytes:
    """``inc register``"""
    return bytes([0x40 + register])


def imul_immediate(destination: int, source: int, value: int) -> bytes:
    """``imul destination, source, value``"""
    return bytes([0x69, modrm(3, destination, source)]) + word(value)


def shr(register: int, count: int) -> bytes:
    """``shr register, count``"""
    return bytes([0xC1, modrm(3, 5, register), count])


def test(register: int) -> bytes:
    """``test register, register``"""
    return bytes([0x85, modrm(3, register, register)])


def lahf_seto() -> bytes:
    """``lahf; seto al``: the six status flags into AX."""
    return b"\x9f\x0f\x90\xc0"


def restore_flags() -> bytes:
    """``add al, 0x7f; sahf``: the reverse of :func:`lahf_seto`; the addition overflows just if AL is 1."""
    return b"\x04\x7f\x9e"


def jump_short(opcode: int, distance: int) -> bytes:
    """A two-byte jump (``EB`` or ``7x``, or ``E0`` to ``E3``): ``distance`` counts from its end, -128 to 127."""
    return bytes([opcode, distance & 0xFF])


def jmp(distance: int) -> bytes:
    """``jmp`` with 32 bits; ``distance`` counts from its end."""
    return b"\xe9" + word(distance)


def jcc(condition: int, distance: int) -> bytes:
    """``jcc`` with 32 bits for condition 0 to 15 (SDM volume 1, appendix B); ``distance`` counts from its end."""
    return bytes([0x0F, 0x80 + condition]) + word(distance)
