"""Machine states by the hundred: registers, flags, and the floating-point image, as arrays with one row a state.

Most of a state is drawn blindly from the pools of :mod:`conformance.lanes`; what an instruction needs to be interesting,
and where its operands are, is filled in afterwards (:mod:`conformance.operands`, :mod:`conformance.specials`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from conformance.case import STACK
from conformance.dice import U8, U32, Bools, Dice
from conformance.encodings import BOUNDARY
from conformance.lanes import FAMILIES, FAMILY, LOWER_HALF, POOL, VARIANTS, extended_pool, pool, unit_size
from conformance.oracles.bench import INITIAL_FP
from reference.flags import DF, STATUS
from reference.registers import EFLAGS, ESP, FP_IMAGE_BYTES, REGISTER_WORDS

_BOUNDARY: Final = np.array(BOUNDARY, dtype="<u4")
#: Of the XSAVE image (SDM volume 1, section 13.4): control word, status word, tags, MXCSR, registers.
FCW: Final = slice(0, 2)
FSW: Final = slice(2, 4)
FTW: Final = 4
MXCSR: Final = slice(24, 28)

_X87_MASKS: Final = 0x3F
_X87_ALWAYS: Final = 0x40  # reads as one
_X87_SUMMARY: Final = 0x8080  # ES, and B, which mirrors it
_INITIAL_IMAGE: Final = np.frombuffer(INITIAL_FP, dtype=np.uint8)


@dataclass(slots=True)
class States:
    """``count`` states. ``words`` are their registers, ``fp`` their XSAVE images, or None where no instruction cares;
    ``memory`` is for each of them the content of its windows, by address.

    ``kind`` is the kind of lanes that vectors hold, ``narrow`` the states whose lanes are all of two families.
    """

    count: int
    dice: Dice
    words: U32
    kind: str
    narrow: Bools
    variant: int
    fp: U8 | None = None
    memory: list[dict[int, bytearray]] = field(default_factory=list)

    @property
    def rng(self) -> random.Random:
        """Random numbers, one at a time."""
        return self.dice.rng

    def lanes(self, length: int, kind: str | None = None) -> U8:
        """``length`` bytes for each state, made of lanes."""
        kind = kind or self.kind
        units = -(-length // unit_size(kind))
        dice, count, values = self.dice, self.count, pool(kind, self.variant)
        any_ = dice.u64(count, units)
        narrow = self.narrow[:, None]
        families = FAMILY * dice.below(FAMILIES, count, 2)
        related = np.where(any_ & 3 > 0, families[:, :1], families[:, 1:]) + (any_ >> 2 & 3).view(np.int64)
        found = values[np.where(narrow, related, any_.view(np.int64) >> 8 & POOL - 1)]
        # The lower half of some lanes at random: the exponent stays what it is.
        noise = (any_ >> 32 & LOWER_HALF[kind]).astype(values.dtype)
        found ^= np.where(narrow | (any_ >> 4 & 3 > 0), values.dtype.type(0), noise)
        return found.view(np.uint8).reshape(count, -1)[:, :length]

    def vector(self, number: int) -> U8:
        """The 32 bytes of a YMM register in each state, as a copy."""
        assert self.fp is not None
        low, high = 160 + 16 * number, 576 + 16 * number
        return np.concatenate((self.fp[:, low : low + 16], self.fp[:, high : high + 16]), axis=1)

    def set_vector(self, number: int, content: U8) -> None:
        """Replace the low bytes of a YMM register, as many as there are."""
        assert self.fp is not None
        low, high, width = 160 + 16 * number, 576 + 16 * number, content.shape[1]
        self.fp[:, low : low + min(width, 16)] = content[:, :16]
        if width > 16:
            self.fp[:, high : high + width - 16] = content[:, 16:]

    def window(self, number: int, address: int, content: bytes | bytearray) -> None:
        """Give a state some content of memory."""
        self.memory[number][address] = bytearray(content)

    def poke(self, number: int, address: int, content: bytes) -> None:
        """Write into the windows of a state, as far as the address is in one."""
        for start, window in self.memory[number].items():
            if start <= address and address + len(content) <= start + len(window):
                window[address - start : address - start + len(content)] = content


def values(dice: Dice, *shape: int) -> U32:
    """General registers: boundaries, numbers of any length, their complements, and anything."""
    kind = dice.below(4, *shape)
    any_ = dice.u32(*shape)
    short = any_ >> dice.below(32, *shape).astype(np.uint32)
    found = np.where(kind == 0, _BOUNDARY[dice.below(len(BOUNDARY), *shape)], any_)
    found = np.where(kind == 1, short, found)
    return np.where(kind == 2, ~short, found).astype(np.uint32)


def draw(
    count: int, dice: Dice, *, kind: str = "q", vectors: Sequence[int] | None = None, width: int = 16, x87: bool = False
) -> States:
    """States with registers drawn blindly.

    ``vectors`` are the vector registers that matter, ``width`` bytes of each; there is an image if it is not None, or with
    ``x87``, which fills the x87 state, also that of MMX.
    """
    words = np.zeros((count, REGISTER_WORDS), dtype="<u4")
    words[:, :8] = values(dice, count, 8)
    any_ = dice.u32(count)
    # An ESP that is valid whatever else it is: signal handlers and debuggers like one.
    words[:, ESP] = STACK + 0x800 + (any_ >> 20 & 0x7C) + (any_ >> 18 & 3) * (any_ >> 29 == 0)
    words[:, EFLAGS] = 0x202 | any_ & STATUS | DF * (any_ >> 12 & 7 == 0)
    found = States(count, dice, words, kind, (any_ >> 15 & 7) < 3, dice.rng.randrange(VARIANTS))
    found.memory = [{} for _ in range(count)]
    if vectors is not None or x87:
        found.fp = np.empty((count, FP_IMAGE_BYTES), dtype=np.uint8)
        found.fp[:] = _INITIAL_IMAGE
    if vectors is not None:
        _draw_vectors(found, vectors, width)
    if x87:
        _draw_x87(found)
    return found


def _draw_vectors(states: States, vectors: Sequence[int], width: int) -> None:
    """The registers that matter; the others are the same in all states."""
    assert states.fp is not None
    states.fp[:, 160:288] = np.frombuffer(states.rng.randbytes(128), dtype=np.uint8)
    states.fp[:, 576:704] = np.frombuffer(states.rng.randbytes(128), dtype=np.uint8)
    content = states.lanes(width * len(vectors))
    for i, number in enumerate(vectors):
        states.set_vector(number, content[:, width * i : width * (i + 1)])
    states.fp[:, MXCSR] = _mxcsr(states.dice.u32(states.count)).view(np.uint8).reshape(states.count, 4)


def _mxcsr(any_: U32) -> U32:
    """All roundings, FTZ and DAZ; mostly all exceptions masked, sometimes some not; flags that are set already."""
    masks = np.where(any_ & 7 > 0, 0x1F80, any_ >> 3 & 0x1F80)
    flags = np.where(any_ >> 16 & 3 > 0, 0, any_ >> 18 & 0x3F)
    modes = any_ >> 11 & 0x6000 | np.where(any_ >> 26 & 1, any_ >> 12 & 0x8040, 0)
    return (masks | flags | modes).astype("<u4")


def _draw_x87(states: States) -> None:
    """Registers, control word, status word and tags. ES is set where it must be, which is seldom."""
    assert states.fp is not None
    dice, count, fp = states.dice, states.count, states.fp
    mantissas, exponents = extended_pool(states.variant)
    chosen = dice.below(POOL, count, 8)
    families = FAMILY * dice.below(FAMILIES, count, 2)
    related = np.where(dice.chance(0.6, count, 8), families[:, :1], families[:, 1:]) + dice.below(FAMILY, count, 8)
    chosen = np.where(states.narrow[:, None], related, chosen)
    registers = fp[:, 32:160].reshape(count, 8, 16)
    registers[:, :, :8] = mantissas[chosen].reshape(count, 8, 1).view(np.uint8)
    registers[:, :, 8:10] = exponents[chosen].reshape(count, 8, 1).view(np.uint8)
    fp[:, 32:160] = registers.reshape(count, 128)
    any_, more = dice.u32(count), dice.u32(count)
    masks = np.where(any_ & 3 > 0, _X87_MASKS, any_ >> 2 & _X87_MASKS)
    control = masks | _X87_ALWAYS | any_ & 0xF00
    raised = np.where(any_ >> 12 & 3 > 0, 0, any_ >> 14 & _X87_MASKS)
    raised = np.where(any_ >> 20 & 7 > 0, raised & masks, raised)
    status = raised | np.where(raised & 1, any_ >> 24 & 0x40, 0) | more & 0x7F00
    status = status | np.where(raised & ~masks, _X87_SUMMARY, 0)
    fp[:, FCW] = control.astype("<u2").view(np.uint8).reshape(count, 2)
    fp[:, FSW] = status.astype("<u2").view(np.uint8).reshape(count, 2)
    # All in use, or all but the next to be pushed, or all but a few, or any, or none.
    tags, way = more >> 16 & 0xFF, more >> 24 & 15
    others = np.select(
        (way < 11, way < 13, way < 15), (0xFF ^ 1 << ((status >> 11) + 7 & 7), tags | more >> 8, tags), 0
    )
    fp[:, FTW] = np.where(way < 7, 0xFF, others) & 0xFF
