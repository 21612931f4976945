"""Floating-point state in signal frames: struct _fpstate_32 with the XSAVE extension behind it.

First the 112 bytes of FNSAVE (from which the x87 registers are restored), then the 512 of FXSAVE, whose last 48 say what
follows: the XSAVE header, the upper halves of the YMM registers if the policy has them, and a magic word
(arch/x86/kernel/fpu/signal.c and regset.c; arch/x86/include/uapi/asm/sigcontext.h).

The engine's image (:data:`reference.registers.FP_IMAGE_BYTES`) has the layout of XSAVE. What a guest hands back reaches it
only in parts that have been checked, so that the processor can load the image whatever the guest has written.
"""

from __future__ import annotations

import struct
from typing import Final

from reference.cpuid import xcr0
from reference.policy import Group, Policy
from reference.registers import CPU, FP_IMAGE_BYTES
from vx32py._memory import GuestMemory

FNSAVE_BYTES: Final = 112
FXSAVE_BYTES: Final = 512
HEADER_BYTES: Final = 64
YMM_BYTES: Final = 256
#: Where in the FXSAVE area the kernel's own words are, and what is in them (struct _fpx_sw_bytes).
SOFTWARE_BYTES: Final = 464
_SOFTWARE: Final = struct.Struct("<IIQI28x")
MAGIC1: Final = 0x4650_5853
MAGIC2: Final = 0x4650_5845
#: All state components that an image can hold: x87, SSE, AVX.
_X87, _SSE, _AVX = 1, 2, 4
#: The bits of MXCSR that exist: a processor refuses to load others.
_MXCSR_BITS: Final = 0xFFFF
#: CS and DS as a 32-bit kernel has them for user mode.
USER_CS, USER_DS = 0x73, 0x7B

_INITIAL: Final = bytes(CPU().fp)
#: Which bytes of the image belong to which component. MXCSR belongs to none; it is always there.
_X87_PARTS: Final = (slice(0, 24), slice(32, 160))
_SSE_PARTS: Final = (slice(160, 288),)
_AVX_PARTS: Final = (slice(576, 704),)
_PARTS: Final = {_X87: _X87_PARTS, _SSE: _SSE_PARTS, _AVX: _AVX_PARTS}


class BadState(Exception):
    """What the guest wants to have loaded no processor would load."""


def size(policy: Policy) -> int:
    """Bytes from the beginning of the FXSAVE area on, with the magic word."""
    return _saved(policy) + 4 * (Group.XSAVE in policy.groups)


def pack(cpu: CPU, policy: Policy) -> bytes:
    """The state as a signal handler finds it: :data:`FNSAVE_BYTES` and :func:`size` bytes."""
    image = _current(cpu)
    legacy = bytearray(image[:288]).ljust(FXSAVE_BYTES, b"\0")
    data = bytearray(_fnsave(image))
    extended = Group.XSAVE in policy.groups
    saved, features = _saved(policy), xcr0(policy)
    if extended:
        _SOFTWARE.pack_into(legacy, SOFTWARE_BYTES, MAGIC1, FNSAVE_BYTES + saved + 4, features, saved)
    data += legacy
    if extended:
        data += struct.pack("<Q56x", features)
        data += image[576:704].ljust(saved - FXSAVE_BYTES - HEADER_BYTES, b"\0")
        data += struct.pack("<I", MAGIC2)
    return bytes(data)


def initialise(cpu: CPU) -> None:
    """What a handler begins with."""
    cpu.fp[:] = _INITIAL


def load(cpu: CPU, policy: Policy, memory: GuestMemory, address: int) -> None:
    """Restore the state at ``address`` (0: the initial one). Raises BadState, and MemoryFault."""
    if not address:
        initialise(cpu)
        return
    fnsave = memory.read(address, FNSAVE_BYTES)
    start = address + FNSAVE_BYTES
    fxsave = memory.read(start, FXSAVE_BYTES)
    present = _X87 | _SSE
    upper = b""
    wanted = _extension(memory, start, fxsave, policy)
    if wanted is not None:
        header = memory.read(start + FXSAVE_BYTES, HEADER_BYTES)
        features, *reserved = struct.unpack("<8Q", header)
        if features & ~xcr0(policy) or any(reserved):
            raise BadState
        present = features & wanted
        if present & _AVX:
            upper = memory.read(start + FXSAVE_BYTES + HEADER_BYTES, YMM_BYTES)
    mxcsr = fxsave[24:28]
    if int.from_bytes(mxcsr, "little") & ~_MXCSR_BITS:
        raise BadState
    image = bytearray(_INITIAL)
    image[24:28] = mxcsr
    image[28:32] = cpu.fp[28:32]
    if present & _X87:
        _take_fnsave(image, fnsave)
    if present & _SSE:
        image[160:288] = fxsave[160:288]
    if upper:
        image[576:704] = upper[:128]
    cpu.fp[:] = image


def _saved(policy: Policy) -> int:
    if Group.XSAVE not in policy.groups:
        return FXSAVE_BYTES
    return FXSAVE_BYTES + HEADER_BYTES + YMM_BYTES * (Group.AVX in policy.groups)


def _extension(memory: GuestMemory, start: int, fxsave: bytes, policy: Policy) -> int | None:
    """Which components an extended area has, None without one (check_xstate_in_sigframe)."""
    if Group.XSAVE not in policy.groups:
        return None
    magic, extended, features, saved = _SOFTWARE.unpack_from(fxsave, SOFTWARE_BYTES)
    if magic != MAGIC1 or not FXSAVE_BYTES + HEADER_BYTES <= saved <= min(_saved(policy), extended):
        return None
    return int(features) if memory.read_u32(start + saved) == MAGIC2 else None


def _current(cpu: CPU) -> bytearray:
    """The image with every component in it, also those that the processor has not written because they are initial."""
    image = bytearray(cpu.fp)
    for component, parts in _PARTS.items():
        if not image[FXSAVE_BYTES] & component:
            for part in parts:
                image[part] = _INITIAL[part]
    return image


def _fnsave(image: bytearray) -> bytes:
    """struct _fpstate_32 up to its magic (convert_from_fxsr): control, status and tags, where the last instruction and its
    operand are, eight registers, and the status word once more. Magic 0 means that FXSAVE's data follow."""
    control, status = struct.unpack_from("<HH", image)
    eip, operand = struct.unpack_from("<I4xI", image, 8)
    registers = b"".join(image[start : start + 10] for start in range(32, 160, 16))
    words = (control | 0xFFFF_0000, status | 0xFFFF_0000, _full_tags(image, status), eip, USER_CS, operand)
    return struct.pack("<7I", *words, USER_DS | 0xFFFF_0000) + registers + struct.pack("<HH", status, 0)


def _full_tags(image: bytearray, status: int) -> int:
    """The tag word of FNSAVE: two bits for each physical register (SDM volume 1, section 8.1.7)."""
    tags, top = 0xFFFF_0000, status >> 11 & 7
    for register in range(8):
        start = 32 + 16 * (register - top & 7)
        significand, exponent = struct.unpack_from("<QH", image, start)
        exponent &= 0x7FFF
        if not image[4] >> register & 1:
            tag = 3
        elif exponent == 0 and significand == 0:
            tag = 1
        else:
            tag = 0 if exponent not in (0, 0x7FFF) and significand >> 63 else 2
        tags |= tag << 2 * register
    return tags


def _take_fnsave(image: bytearray, fnsave: bytes) -> None:
    """The x87 state of FNSAVE into an image (convert_to_fxsr)."""
    control, status, tags, eip, code, operand = struct.unpack_from("<6I", fnsave)
    abridged = sum(1 << register for register in range(8) if tags >> 2 * register & 3 != 3)
    opcode = code >> 16 & 0x7FF
    struct.pack_into("<HHBxHI4xI4x", image, 0, control & 0xFFFF, status & 0xFFFF, abridged, opcode, eip, operand)
    for register in range(8):
        image[32 + 16 * register : 42 + 16 * register] = fnsave[28 + 10 * register : 38 + 10 * register]


assert len(_INITIAL) == FP_IMAGE_BYTES
