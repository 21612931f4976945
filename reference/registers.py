"""Registers: the general registers, EIP and EFLAGS of a guest, and its FP/SSE/AVX image.

Names and numbers are Intel's (SDM volume 1, section 3.4): the number of a register is its number in ModRM.

A :class:`CPU` is the part of the machine that belongs to the guest and nothing else. It is a thin view over two byte
buffers, so that one class serves every engine: the reference engine owns plain buffers, the native engine lays the same
view over the control block that its machine code saves registers into, and nobody ever copies a register.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
EIP: Final = 8
EFLAGS: Final = 9

GENERAL_NAMES: Final = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
WORD_NAMES: Final = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
BYTE_NAMES: Final = ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh")

MASK32: Final = 0xFFFF_FFFF

#: Words in the register file: eight general registers, EIP, EFLAGS.
REGISTER_WORDS: Final = 10
#: Bytes of the floating-point image: an XSAVE area in the standard format with x87, SSE and AVX state
#: (SDM volume 1, section 13.4): legacy region 512, header 64, upper halves of YMM 256.
FP_IMAGE_BYTES: Final = 832

#: The x87 control word and MXCSR after FNINIT and at reset: everything masked, round to nearest.
INITIAL_X87_CONTROL: Final = 0x037F
INITIAL_MXCSR: Final = 0x1F80


class Segment(IntEnum):
    """Segment registers by their number in ModRM.reg (SDM volume 2, table 2-1 and MOV Sreg)."""

    ES = 0
    CS = 1
    SS = 2
    DS = 3
    FS = 4
    GS = 5


#: What a new guest finds: EFLAGS with the fixed bit 1, and IF, as user mode always sees them; in the image the two control
#: words, and XSTATE_BV, which says that x87, SSE and AVX state are present.
_INITIAL_WORDS: Final = memoryview(struct.pack("<10I", *bytes(EFLAGS), 0x202)).cast("I")
_INITIAL_FP: Final = struct.pack(
    f"<H22xI484xB{FP_IMAGE_BYTES - 513}x", INITIAL_X87_CONTROL, INITIAL_MXCSR, 0b111
)  # fmt: skip


class _Word:
    """A 32-bit register as an attribute: reads unsigned, and keeps the low 32 bits of what is written."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __get__(self, cpu: CPU, owner: type[CPU]) -> int:
        return cpu.words[self.index]

    def __set__(self, cpu: CPU, value: int) -> None:
        cpu.words[self.index] = value & MASK32


class CPU:
    """The guest's registers, over two buffers that the engine supplies.

    ``words`` holds ten 32-bit words: EAX ECX EDX EBX ESP EBP ESI EDI EIP EFLAGS. ``fp`` holds an XSAVE image of
    :data:`FP_IMAGE_BYTES` bytes. Both are live: what the engine's code changes shows here at the next trap.

    ``gs_base`` is the linear address of the guest's thread pointer (what ``GS:0`` means where a personality has given
    the guest thread descriptors), and ``gs_selector`` the selector the guest loaded; both None where GS is unusable.
    """

    __slots__ = ("fp", "gs_base", "gs_selector", "words")

    words: memoryview
    fp: memoryview
    gs_base: int | None
    gs_selector: int | None

    eax = _Word(EAX)
    ecx = _Word(ECX)
    edx = _Word(EDX)
    ebx = _Word(EBX)
    esp = _Word(ESP)
    ebp = _Word(EBP)
    esi = _Word(ESI)
    edi = _Word(EDI)
    eip = _Word(EIP)
    eflags = _Word(EFLAGS)

    def __init__(self, words: memoryview | None = None, fp: memoryview | None = None) -> None:
        self.words = words if words is not None else memoryview(bytearray(4 * REGISTER_WORDS)).cast("I")
        self.fp = fp if fp is not None else memoryview(bytearray(FP_IMAGE_BYTES))
        if len(self.words) != REGISTER_WORDS or self.words.format != "I":
            raise ValueError(f"words must be {REGISTER_WORDS} 32-bit words")
        if len(self.fp) != FP_IMAGE_BYTES:
            raise ValueError(f"fp must be {FP_IMAGE_BYTES} bytes")
        self.reset()

    def reset(self) -> None:
        """Put every register into the state that a new guest finds: zero, with FP control at its power-up values."""
        self.words[:] = _INITIAL_WORDS
        self.fp[:] = _INITIAL_FP
        self.gs_base = None
        self.gs_selector = None

    def copy_from(self, other: CPU) -> None:
        """Take over every register of ``other``."""
        self.words[:] = other.words
        self.fp[:] = other.fp
        self.gs_base = other.gs_base
        self.gs_selector = other.gs_selector

    def general(self) -> dict[str, int]:
        """The ten words by name, for messages and comparisons."""
        names = (*GENERAL_NAMES, "eip", "eflags")
        return {name: self.words[i] for i, name in enumerate(names)}

    def __repr__(self) -> str:
        return "CPU(" + " ".join(f"{name}={value:08x}" for name, value in self.general().items()) + ")"

    def xmm(self, number: int) -> bytes:
        """The sixteen bytes of XMM ``number`` (0 to 7)."""
        start = 160 + 16 * number
        return bytes(self.fp[start : start + 16])
