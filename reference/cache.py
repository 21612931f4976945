"""The code cache: which fragments exist, what leads to them, and how they are linked and dropped.

The bytes are in the code segment and the tables in the control segment, which translated code uses without the host;
this module keeps the host's side of both in step. A direct branch is linked when its target exists, whichever comes
first. Dropping a fragment points every branch into it back at its trampoline.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from reference import layout as at
from reference import runtime
from reference.encode import mov_gs_immediate
from reference.memory import PAGE_SHIFT
from reference.registers import MASK32
from reference.translator.fragment import Exit, Fragment, Landing, Span
from reference.translator.shape import placed

_LOW_HALF: Final = at.ENTRY_COUNT - 1
_EMPTY_HASH: Final = memoryview(bytes(at.ENTRY_TABLE - at.HASH_TABLE)).cast("I")


@lru_cache(maxsize=8)
def _unused_entries(lookup: int) -> memoryview:
    """The entry table when every entry leads to the lookup stub; kept, because every guest begins with it."""
    return memoryview(lookup.to_bytes(4, "little") * at.ENTRY_COUNT).cast("I")


def _nobody() -> None:
    """Nobody remembers where fragments are."""


class CacheFull(Exception):
    """There is no room for another fragment; the cache must be flushed."""


@dataclass(frozen=True, slots=True)
class _Site:
    """A direct branch in the cache, and the fragment that it is part of."""

    fragment: Fragment
    exit: Exit


class CodeCache:
    """Bookkeeping over ``code`` (the code segment's bytes) and ``control`` (the control segment's 32-bit words).

    ``origin`` is the EIP of code offset 0, which the tables hold; ``changed(start, end)`` is called after bytes of the
    code segment were written.
    """

    def __init__(
        self,
        code: memoryview,
        control: memoryview,
        *,
        origin: int = 0,
        changed: Callable[[int, int], None] | None = None,
    ) -> None:
        self.code = code
        self.control = control
        self._origin = origin
        self._changed = changed
        #: Called when fragments cease to exist, for whoever remembers where they are.
        self.dropped: Callable[[], None] = _nobody
        #: False while a change is under way: an exception may have left it half done.
        self.sound = False
        self.bodies: dict[int, int] = {}
        self.flush()

    def flush(self) -> None:
        """Forget every fragment, and start again behind the stubs."""
        self.sound = False
        self.dropped()
        self.write(0, runtime.STUBS)
        self.next: int = at.FIRST_FRAGMENT
        self.bodies.clear()
        self._landings: dict[int, Landing] = {}
        self._offsets: list[int] = []
        self._fragments: list[Fragment] = []
        self._pages: dict[int, list[Fragment]] = {}
        self._sites: dict[int, list[_Site]] = {}
        self._contended: set[int] = set()
        #: Fragments with a call that stores its return's landing, by the low half of the return address.
        self._callers: dict[int, list[tuple[Fragment, Landing]]] = {}
        self.control[at.HASH_TABLE >> 2 : at.ENTRY_TABLE >> 2] = _EMPTY_HASH
        self.control[at.ENTRY_TABLE >> 2 :] = _unused_entries(self._origin + runtime.LOOKUP)
        if self._changed is not None:
            self._changed(0, len(self.code))
        self.sound = True

    def detach(self) -> None:
        """Let go of the two segments, which somebody keeps as they are until :meth:`attach`."""
        self.code = memoryview(b"")
        self.control = self.code.cast("B")
        self.dropped = _nobody

    def attach(self, code: memoryview, control: memoryview) -> None:
        """Go on with other views of the same two segments."""
        self.code, self.control = code, control

    def pages(self) -> list[int]:
        """The guest pages that fragments were made from."""
        return [page for page, fragments in self._pages.items() if fragments]

    def write(self, offset: int, code: bytes) -> None:
        """Put bytes into the code segment."""
        self.code[offset : offset + len(code)] = code
        if self._changed is not None:
            self._changed(offset, offset + len(code))

    def reserve(self, eip: int, size: int) -> int:
        """The offset for a fragment for ``eip``; raises CacheFull if ``size`` bytes do not fit there."""
        offset = placed(self.next, eip)
        if offset + size > len(self.code):
            raise CacheFull
        return offset

    def install(self, fragment: Fragment) -> None:
        """Make a fragment for the offset that :meth:`reserve` gave reachable, and link it both ways."""
        self.sound = False
        self.write(fragment.offset, fragment.code)
        self.next = fragment.end
        self._offsets.append(fragment.offset)
        self._fragments.append(fragment)
        for page in _pages(fragment):
            self._pages.setdefault(page, []).append(fragment)
        for entry in fragment.landings:
            # Behind a call that ends a fragment there is only the jump onwards: nothing to send others to, least of
            # all that jump itself.
            if entry.eip != fragment.next_eip and entry.eip not in self.bodies:
                self._add_entry(entry)
        for entry in fragment.landings[1:]:
            self._callers.setdefault(entry.eip & _LOW_HALF, []).append((fragment, entry))
            if entry.eip & _LOW_HALF in self._contended:
                self._disarm(fragment, entry)
        for branch in fragment.exits:
            self._sites.setdefault(branch.target, []).append(_Site(fragment, branch))
            body = self.bodies.get(branch.target)
            if body is not None:
                self._point(branch, body)
        self.sound = True

    def learn(self, eip: int) -> None:
        """An indirect branch went to ``eip``: let the tables lead the next one to its landing."""
        landing = self._origin + self._landings[eip].offset
        if eip & _LOW_HALF not in self._contended:
            self.control[at.entry_slot(eip) >> 2] = landing
        first = self._hash_word(eip)
        for word in range(first, first + 2 * at.HASH_PROBES, 2):
            if self.control[word + 1] == 0 or self.control[word] == eip:
                break
        else:
            word = first
        self.control[word] = eip
        self.control[word + 1] = landing

    def contend(self, eip: int) -> None:
        """An indirect branch to ``eip`` met the landing of another EIP with the same low half: let the lookup stub decide
        between them from now on. Calls no longer store the landings of their returns in that entry."""
        low = eip & _LOW_HALF
        if low in self._contended:
            return
        self.sound = False
        self._contended.add(low)
        self.control[at.entry_slot(eip) >> 2] = self._origin + runtime.LOOKUP
        for fragment, entry in self._callers.get(low, ()):
            self._disarm(fragment, entry)
        self.sound = True

    def landing_at(self, offset: int) -> Landing | None:
        """The landing (not its body) that covers a code offset."""
        fragment = self.fragment_at(offset)
        if fragment is None:
            return None
        return next((entry for entry in fragment.landings if entry.offset <= offset < entry.body), None)

    def fragment_at(self, offset: int) -> Fragment | None:
        """The fragment whose code covers a code offset."""
        index = bisect_right(self._offsets, offset) - 1
        if index < 0 or offset >= self._fragments[index].end:
            return None
        return self._fragments[index]

    def span_at(self, offset: int) -> Span | None:
        """The guest instruction whose template covers a code offset."""
        fragment = self.fragment_at(offset)
        return fragment.span_at(offset) if fragment is not None else None

    def branch_target(self, trampoline: int) -> int:
        """The guest EIP that the branch behind a trampoline leads to."""
        fragment = self.fragment_at(trampoline)
        assert fragment is not None, f"no fragment at trampoline {trampoline:#x}"
        return next(branch.target for branch in fragment.exits if branch.trampoline == trampoline)

    def drop_pages(self, first: int, last: int) -> int:
        """Drop every fragment with guest code in pages [first, last); how many there were."""
        doomed = {id(f): f for page in range(first, last) for f in self._pages.get(page, ())}
        if doomed:
            self.sound = False
            self.dropped()
            for fragment in doomed.values():
                self._drop(fragment)
            self.sound = True
        return len(doomed)

    def fragments(self) -> list[Fragment]:
        """All fragments, by code offset."""
        return list(self._fragments)

    def _add_entry(self, entry: Landing) -> None:
        self.bodies[entry.eip] = entry.body
        self._landings[entry.eip] = entry
        for site in self._sites.get(entry.eip, ()):
            self._point(site.exit, entry.body)

    def _drop(self, fragment: Fragment) -> None:
        index = bisect_left(self._offsets, fragment.offset)
        del self._offsets[index], self._fragments[index]
        for page in _pages(fragment):
            self._pages[page].remove(fragment)
        for branch in fragment.exits:
            others = [site for site in self._sites.get(branch.target, ()) if site.fragment is not fragment]
            if others:
                self._sites[branch.target] = others
            else:
                self._sites.pop(branch.target, None)
        for entry in fragment.landings[1:]:
            callers = self._callers[entry.eip & _LOW_HALF]
            callers.remove((fragment, entry))
            if not callers:
                del self._callers[entry.eip & _LOW_HALF]
        for entry in fragment.landings:
            self._forget_tables(entry)
            if self._landings.get(entry.eip) == entry:
                del self.bodies[entry.eip], self._landings[entry.eip]
                for site in self._sites.get(entry.eip, ()):
                    self._point(site.exit, site.exit.trampoline)

    def _forget_tables(self, entry: Landing) -> None:
        landing = self._origin + entry.offset
        slot = at.entry_slot(entry.eip) >> 2
        if self.control[slot] == landing:
            self.control[slot] = self._origin + runtime.LOOKUP
        first = self._hash_word(entry.eip)
        for word in range(first, first + 2 * at.HASH_PROBES, 2):
            if self.control[word + 1] == landing:
                self.control[word] = self.control[word + 1] = 0

    def _disarm(self, fragment: Fragment, entry: Landing) -> None:
        """Have the call in front of its return's landing store the lookup stub instead."""
        slot = at.entry_slot(entry.eip)
        store = mov_gs_immediate(slot, self._origin + entry.offset)
        where = fragment.code.rindex(store, 0, entry.offset - fragment.offset)
        self.write(fragment.offset + where, mov_gs_immediate(slot, self._origin + runtime.LOOKUP))

    def _point(self, branch: Exit, destination: int) -> None:
        distance = (destination - (branch.field + 4)) & MASK32
        self.write(branch.field, distance.to_bytes(4, "little"))

    @staticmethod
    def _hash_word(eip: int) -> int:
        return (at.HASH_TABLE >> 2) + 2 * at.hash_index(eip)


def _pages(fragment: Fragment) -> range:
    """The guest pages whose content a fragment depends on."""
    last: Final = (fragment.eip + max(fragment.length, 1) - 1) & MASK32
    return range(fragment.eip >> PAGE_SHIFT, (last >> PAGE_SHIFT) + 1)
