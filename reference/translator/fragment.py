"""Fragments: a stretch of guest code, translated, and the tables that make its traps precise."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from reference.records import dataclass
from reference.registers import MASK32


class Span(NamedTuple):
    """The code of one guest instruction: ``offset`` in the code segment, ``eip`` in the guest.

    ``borrowed`` is the code offset from which on, within this span, the guest's ECX is in its spill word (an indirect call
    can fault there, on its push, and a meter when the fuel is used up); 0 where no fault can find a register borrowed.

    A meter has a span of its own, in front of that of the instruction that it stands in front of, with the same ``eip``.
    """

    offset: int
    eip: int
    borrowed: int = 0


class Exit(NamedTuple):
    """A direct branch that leaves the fragment: the 32-bit displacement at code offset ``field`` leads to
    ``trampoline`` until a fragment for guest EIP ``target`` exists."""

    field: int
    target: int
    trampoline: int


class Landing(NamedTuple):
    """Where indirect branches to guest EIP ``eip`` arrive: at ``offset``, which gives borrowed registers back if ECX is
    ``eip`` and faults if it is not; ``body`` is the code itself."""

    eip: int
    offset: int
    body: int


@dataclass(slots=True)
class Fragment:
    """``length`` bytes of guest code from ``eip`` on as ``code``, to stand at ``offset`` in the code segment.

    ``spans`` are in order of both offsets and EIPs; behind the last one stand jump and trampolines, from ``tail`` on,
    which belong to no instruction. ``landings`` has the fragment's own entry first, then one for each call's return.
    """

    eip: int
    length: int
    offset: int
    code: bytes
    spans: tuple[Span, ...]
    tail: int
    exits: tuple[Exit, ...]
    landings: tuple[Landing, ...]

    def landing_words(self) -> Iterable[tuple[int, int, int]]:
        """The landings, as plain tuples: all that a code cache asks for, which an implementation may have without
        objects."""
        return self.landings

    def exit_words(self) -> Iterable[tuple[int, int, int]]:
        """The exits, likewise."""
        return self.exits

    def with_code(self, code: bytes) -> Fragment:
        """The same tables, with other code."""
        return Fragment(
            self.eip, self.length, self.offset, code, self.spans, self.tail, self.exits, self.landings
        )  # fmt: skip

    @property
    def end(self) -> int:
        """The code offset behind the last byte."""
        return self.offset + len(self.code)

    @property
    def next_eip(self) -> int:
        """The guest EIP behind the last instruction."""
        return (self.eip + self.length) & MASK32

    def span_at(self, offset: int) -> Span | None:
        """The span that covers a code offset; None in the entry landing and in the tail."""
        spans = self.spans  # which some fragments make each time they are asked
        index = bisect_right(spans, offset, key=_offset_of) - 1
        return spans[index] if index >= 0 and offset < self.tail else None

    def stretch_at(self, offset: int) -> tuple[bool, int]:
        """Of a metered fragment: whether a meter covers a code offset, and how many instructions the stretch has from there
        on, with the one that is there. (False, 0) in landings and in the tail."""
        spans = self.spans
        here = bisect_right(spans, offset, key=_offset_of) - 1
        if here < 0 or offset >= self.tail:
            return False, 0
        is_meter = _is_meter(spans, here)
        count, end = 0, self.next_eip  # which the closing jump has, if there is one
        for index in range(here + is_meter, len(spans)):
            if _is_meter(spans, index) or spans[index].eip == end:
                break
            count += 1
        return is_meter, count


def _is_meter(spans: Sequence[Span], index: int) -> bool:
    return index + 1 < len(spans) and spans[index].eip == spans[index + 1].eip


_offset_of: Final = attrgetter("offset")
