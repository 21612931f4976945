"""Guest memory between two guests of one program: loaded, wiped, and waiting for the next one.

To load a program is to map its image and to protect its pages, and to unload it is to unmap them: a dozen system calls,
which most guests, being short, would notice. So the memory of a closed guest rests as it was when that guest began,
without anything that it has written. It is given up when another guest needs the place.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final

from jit import lending, lowmem, mappings
from jit.image import Image
from jit.lowmem import Placement
from reference.records import dataclass

#: So many rest at most.
_MOST: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """Memory that holds what ``image`` holds and nothing else. ``program`` is whatever tells one program from another, by
    identity; ``host`` has the state of each page and ``mappings`` their number, as :class:`jit.space.HostSpace` counts
    them."""

    placement: Placement
    program: object
    image: Image
    host: bytearray
    mappings: int


class _Resting:
    """All that rest."""

    def __init__(self) -> None:
        # Reentrant: the garbage collector may give memory back at any time.
        self.lock = threading.RLock()
        self.rests: list[Rest] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self.lock = threading.RLock()  # another thread of the parent may have held it

    def take(self, suits: Callable[[Rest], bool], terms: Terms) -> Rest | None:
        """One that suits, if there is one; ``terms`` have it then."""
        with self.lock:
            index = next((i for i, rest in enumerate(self.rests) if suits(rest)), None)
            if index is None:
                return None
            terms.rests.extend(map(self.rests.pop, (index,)))  # in one call: see jit.lending
            return terms.rests[-1]


_resting: Final = _Resting()


class Terms(lowmem.Hold):
    """What a loan is about, which outlives it: a placement, with the number of mappings there and the descriptor through
    which the host reaches all of it, if there is one; or memory that rests."""

    __slots__ = ("file", "mappings", "rests")

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[Rest] = []
        self.mappings = 0
        self.file: list[int] = []

    def end(self) -> None:
        """Let the memory rest, or give it back."""
        lending.close_file(self.file)
        if not self.rests:
            count, self.mappings = self.mappings, 0
            mappings.change(-count)
            super().end()
            return
        resting = _resting
        with resting.lock:
            resting.rests.extend(map(self.rests.pop, (0,)))
            crowded = len(resting.rests) > _MOST
        if crowded:
            _discard(lambda rest: True)


class Loan:
    """A guest's memory, for as long as somebody refers to this object."""

    def __init__(self, placement: Placement | None = None) -> None:
        self.terms = Terms()
        lending.lend(self, self.terms.end)
        if placement is not None:
            self.terms.take(placement)

    @property
    def rest(self) -> Rest | None:
        """What a guest of the same program has left there, until somebody takes it."""
        return self.terms.rests[0] if self.terms.rests else None

    @property
    def placement(self) -> Placement:
        """Where it is."""
        placement = self.rest.placement if self.rest is not None else self.terms.placement
        assert placement is not None
        return placement

    def take_rest(self) -> Rest | None:
        """What was left there, which changes from now on."""
        rest = self.rest
        if rest is not None:
            terms, placement = self.terms, rest.placement
            rests: list[Rest] = []
            room = [placement.base] if placement.base else []
            terms.mappings = rest.mappings
            terms.placement, terms.room, terms.size, terms.rests = placement, room, placement.limit, rests
        return rest

    def leave(self, rest: Rest) -> None:
        """The memory will have this when it is given back."""
        rests = [rest]
        room: list[int] = []
        self.terms.rests, self.terms.room, self.terms.placement, self.terms.mappings = rests, room, None, 0


def place(
    limit: int, program: object, *, needs_page_zero: bool = False, prefer_zero: bool = True, loan: Loan | None = None
) -> Loan:
    """Memory for a guest as :func:`jit.lowmem.place` finds it, or where a guest of the same program has left its own.
    Raises LowMemoryError."""
    lending.collect()
    loan = Loan() if loan is None else loan
    terms = loan.terms
    zero = prefer_zero and not needs_page_zero

    def suits(rest: Rest) -> bool:
        return rest.program is program and rest.placement.limit == limit

    if zero:
        if _resting.take(lambda rest: suits(rest) and rest.placement.base == 0, terms):
            return loan
        _discard(lambda rest: rest.placement.base == 0)
    if (not zero or not lowmem.zero_may_be_free()) and _resting.take(
        lambda rest: suits(rest) and rest.placement.base != 0, terms
    ):
        return loan
    lowmem.place(limit, needs_page_zero=needs_page_zero, prefer_zero=prefer_zero, hold=terms)
    return loan


def empty() -> None:
    """Give all up: the room is needed."""
    while _discard(lambda rest: True):
        pass


def _discard(suits: Callable[[Rest], bool]) -> bool:
    """Give up the memory that has rested longest of those that suit; whether there was any."""
    loan = Loan()
    if _resting.take(suits, loan.terms) is None:
        return False
    loan.take_rest()
    del loan
    lending.collect()
    return True
