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

from jit import lowmem, mappings
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

    def take(self, suits: Callable[[Rest], bool]) -> Rest | None:
        with self.lock:
            found = next((rest for rest in self.rests if suits(rest)), None)
            if found is not None:
                self.rests.remove(found)
            return found


_resting: Final = _Resting()


def place(
    limit: int, program: object, *, needs_page_zero: bool = False, prefer_zero: bool = True
) -> tuple[Placement, Rest | None]:
    """Memory for a guest as :func:`jit.lowmem.place` finds it, or where a guest of the same program has left its own.
    Raises LowMemoryError."""
    zero = prefer_zero and not needs_page_zero
    if zero:
        rest = _resting.take(lambda rest: rest.placement.base == 0)
        if rest is not None:
            if rest.program is program and rest.placement.limit == limit:
                return rest.placement, rest
            _discard(rest)
    if not zero or not lowmem.zero_may_be_free():
        rest = _resting.take(
            lambda rest: rest.program is program and rest.placement.limit == limit and rest.placement.base != 0
        )
        if rest is not None:
            return rest.placement, rest
    return lowmem.place(limit, needs_page_zero=needs_page_zero, prefer_zero=prefer_zero), None


def give_back(placement: Placement, rest: Rest | None) -> None:
    """A guest needs its memory no more; ``rest`` says what it has left there, if anything."""
    if rest is None:
        lowmem.give_back(placement)
        return
    with _resting.lock:
        _resting.rests.append(rest)
        oldest = _resting.rests.pop(0) if len(_resting.rests) > _MOST else None
    if oldest is not None:
        _discard(oldest)


def empty() -> None:
    """Give all up: the room is needed."""
    while (rest := _resting.take(lambda rest: True)) is not None:
        _discard(rest)


def _discard(rest: Rest) -> None:
    mappings.change(-rest.mappings)
    lowmem.give_back(rest.placement)
