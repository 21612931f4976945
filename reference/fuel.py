"""Fuel: how many instructions a guest may still execute, where its fragments have meters (translator/meter.py).

Some of it is in the control segment, where meters take it from; the rest is the host's, which lends it by and by, so that one
byte of that word tells a meter when there is not enough.
"""

from __future__ import annotations

from typing import Final

from reference import layout as at
from reference.registers import MASK32

_FUEL: Final = at.control_word(at.FUEL)
#: More than any guest uses up.
UNLIMITED: Final = 1 << 62


class Tank:
    """The fuel of one guest, whose control area has these 32-bit ``words``."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        #: What is not lent.
        self.reserve = 0

    def fill(self, instructions: int) -> None:
        """Let there be fuel for so many instructions."""
        self._words[_FUEL] = 0
        self.reserve = instructions
        self.lend()

    def lend(self) -> int:
        """Lend the guest as much as it may have at a time; how much it has then."""
        left = self._words[_FUEL] + self.reserve
        lent = self._words[_FUEL] = min(left, at.MOST_FUEL)
        self.reserve = left - lent
        return lent

    def charge(self, instructions: int) -> None:
        """Take the fuel of some instructions, or give it back. (Without meters nobody asks what is there.)"""
        self._words[_FUEL] = self._words[_FUEL] - instructions & MASK32

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left; what is left is lent."""
        return not self._words[_FUEL] and not self.lend()

    @property
    def state(self) -> tuple[int, int]:
        """What there is, to come back to."""
        return self._words[_FUEL], self.reserve

    @state.setter
    def state(self, state: tuple[int, int]) -> None:
        self._words[_FUEL], self.reserve = state
