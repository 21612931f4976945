"""The search: one case after the other is tried, and each that still diverges is the next one's beginning.

A case is only tried if it is simpler than the one at hand (:func:`~conformance.reduce.size.size`), so every search
ends; and it never comes to anything that does not diverge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from conformance.case import Case
from conformance.reduce.program import consistent
from conformance.reduce.size import size
from conformance.reduce.trace import ends

T = TypeVar("T")


class Search:
    """``case`` is the simplest so far; ``left`` is how many more may be executed."""

    def __init__(self, case: Case, diverges: Callable[[Case], bool], budget: int) -> None:
        self.case = case
        self.left = budget
        self._original = case
        self._ends = ends(case)
        self._diverges = diverges
        self._tried: set[Case] = set()

    def attempt(self, candidate: Case | None) -> bool:
        """Take a case instead of the one at hand, if it is simpler, means the same instructions, ends, and diverges."""
        if candidate is None or not self.left:
            return False
        candidate = consistent(candidate, self._original, self.case)
        if candidate is None or candidate in self._tried or size(candidate) >= size(self.case):
            return False
        self._tried.add(candidate)
        if self._ends and not ends(candidate):
            return False
        self.left -= 1
        if not self._diverges(candidate):
            return False
        self.case = candidate
        return True

    def without(
        self, items: Callable[[Case], Sequence[T]], remove: Callable[[Case, Sequence[T]], Sequence[Case]]
    ) -> None:
        """Do without as many ``items`` of the case as possible: with all of them gone, halves, and so on down to single
        ones (delta debugging). ``remove`` says what the case is without some of them, in one or more ways."""
        count = len(items(self.case))
        while count:
            position = len(items(self.case))
            while position > 0:
                found = items(self.case)
                position = min(position, len(found))
                chunk = found[max(0, position - count) : position]
                position -= len(chunk)
                if not chunk:
                    break
                any(self.attempt(candidate) for candidate in remove(self.case, chunk))
            count //= 2
