"""The code cache: which fragments exist, what leads to them, and how they are linked and dropped.

The bytes are in the code segment and the entry table in the control segment, which translated code uses without the host;
this module keeps the host's side of both in step. A direct branch is linked when its target exists, whichever comes
first. Dropping a fragment points every branch into it back at its trampoline.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from reference import layout as at
from reference import runtime
from reference.encode import mov_gs_immediate
from reference.memory import PAGE, PAGE_SHIFT, AddressSpace
from reference.registers import MASK32
from reference.translator.fragment import Fragment, Landing, Span
from reference.translator.shape import placed
from reference.traps import Access

_WORD: Final = struct.Struct("<I")
#: For bytes.translate: which permissions include that to execute.
_EXECUTABLE: Final = bytes(bool(state & Access.EXECUTE) for state in range(256))
_LOW_HALF: Final = at.HASHED_ENTRIES - 1
_EMPTY_PROBED: Final = memoryview(bytes(at.HASHED_TABLE - at.PROBED_TABLE)).cast("I")


@lru_cache(maxsize=8)
def _unused_entries(lookup: int) -> memoryview:
    """The first level of the hashed table when every entry leads to the lookup stub."""
    return memoryview(lookup.to_bytes(4, "little") * at.HASHED_ENTRIES).cast("I")


def choose_window(space: AddressSpace, segment: int) -> int | None:
    """The first EIP of a window with all code that ``space`` has, in the middle, because there may be more later; for a
    direct table in a control segment of that size. None if there is too much between the first and the last code."""
    pages = space.permissions.translate(_EXECUTABLE)
    first, last = pages.index(1) << PAGE_SHIFT, (pages.rindex(1) + 1) << PAGE_SHIFT
    spare = at.direct_entries(segment) - (last - first)
    return max(first - (spare >> 1 & -PAGE), 0) if spare >= 0 else None


def _nobody() -> None:
    """Nobody remembers where fragments are."""


class Translated(NamedTuple):
    """What there is of translated code at one moment, as it stands: ``code`` has the code segment's bytes, ``control`` the
    words of the control area, ``bodies`` where the code of each EIP is, ``fragments`` all of them, as they were made."""

    code: memoryview
    control: memoryview
    origin: int
    window: int | None
    gs_base: int | None
    metered: bool
    bodies: Mapping[int, int]
    fragments: Sequence[Fragment]


class HeldCode(NamedTuple):
    """A cache with the direct table as it was: see :meth:`CodeCache.hold`. Nobody changes what is in it."""

    window: int
    next: int
    code: bytes
    fragments: Sequence[Fragment]
    offsets: Sequence[int]
    pages: Mapping[int, dict[int, Fragment]]
    bodies: Mapping[int, int]
    landings: Mapping[int, int]
    sites: Mapping[int, dict[int, int]]
    trampolines: Mapping[int, int]


class CacheFull(Exception):
    """There is no room for another fragment; the cache must be flushed."""


class CodeCache:
    """Bookkeeping over ``code`` (the code segment's bytes) and ``control`` (the control area's 32-bit words), whose entry
    table must be empty.

    ``window`` is the first EIP that the direct entry table has an entry for, ``reach`` how many it has; they are chosen
    when there is a first fragment to make (:meth:`arrange`). ``window`` is None with the hashed table.

    ``origin`` is the EIP of code offset 0, which the table holds; ``changed(start, end)`` is called after bytes of the
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
        #: Called with each fragment before it can be reached; raises if it must not be.
        self.check: Callable[[Fragment], None] | None = None
        #: False while a change is under way: an exception may have left it half done.
        self.sound = False
        self.window: int | None = 0
        self.reach = 0
        #: The word of the control area in which EIP 0 would have its entry.
        self._zero = 0
        self.bodies: dict[int, int] = {}
        #: The code offset of the landing of each EIP in ``bodies``.
        self._landings: dict[int, int] = {}
        self.flush()

    def covers(self, eip: int) -> bool:
        """Whether code at ``eip`` can be given an entry in the table."""
        return self.window is None or self.window <= eip < self.window + self.reach

    def arrange(self, window: int | None) -> None:
        """Begin anew with a direct table for EIPs from ``window`` on, or for good with the hashed one."""
        self.flush()
        self.sound = False
        self.window = window
        if window is None:
            self.reach = 0
            self._empty_hashed_table()
        else:
            self.reach = at.direct_entries(4 * len(self.control) - at.CONTROL_BLOCK)
            self._zero = at.control_word(at.direct_slot(window, window)) - 2 * window  # entries are two words apart
        self.sound = True

    def flush(self) -> None:
        """Forget every fragment, and start again behind the stubs."""
        self.sound = False
        self.dropped()
        if self.window is None:
            self._empty_hashed_table()
        else:
            self._set_entries(dict.fromkeys(self._landings, -self._origin))
        self.write(0, runtime.STUBS)
        self.next: int = at.FIRST_FRAGMENT
        #: What is below is kept for fragments that have stood there before; a flush ends that.
        self.claimed: int = at.FIRST_FRAGMENT
        self.bodies.clear()
        self._landings.clear()
        self._offsets: list[int] = []
        self._fragments: list[Fragment] = []
        #: The fragments with code of each guest page, by code offset.
        self._pages: dict[int, dict[int, Fragment]] = {}
        #: The direct branches to each EIP: where their displacement is, and their trampoline.
        self._sites: dict[int, dict[int, int]] = {}
        #: The EIP behind each trampoline.
        self._trampolines: dict[int, int] = {}
        #: Of which pages and targets the dictionaries are somebody else's, too: see :meth:`hold`.
        self._shared_pages: set[int] = set()
        self._shared_sites: set[int] = set()
        self._contended: set[int] = set()
        #: With the hashed table: by the low half of the return address, the landings that calls store, each with the
        #: fragment it is in.
        self._callers: dict[int, dict[int, Fragment]] = {}
        if self._changed is not None:
            self._changed(0, len(self.code))
        self.sound = True

    def detach(self) -> None:
        """Let go of the two segments, which somebody keeps as they are until :meth:`attach`."""
        self.code = memoryview(b"")
        self.control = self.code.cast("B")
        self.dropped = _nobody
        self.check = None

    def attach(self, code: memoryview, control: memoryview) -> None:
        """Go on with other views of the same two segments."""
        self.code, self.control = code, control

    def pages(self) -> list[int]:
        """The guest pages that fragments were made from."""
        return list(self._pages)

    def write(self, offset: int, code: bytes) -> None:
        """Put bytes into the code segment."""
        self.code[offset : offset + len(code)] = code
        if self._changed is not None:
            self._changed(offset, offset + len(code))

    def reserve(self, eip: int, size: int, *, indirect: bool = False) -> int:
        """The offset for a fragment for ``eip``, which is needed because an ``indirect`` branch or another one goes
        there; raises CacheFull if ``size`` bytes do not fit there."""
        offset = placed(self.next, eip, self.window, indirect=indirect)
        if offset + size > len(self.code):
            raise CacheFull
        return offset

    def claim(self, end: int) -> None:
        """Keep the code offsets below ``end`` for fragments that have stood there before."""
        self.claimed = self.next = max(self.next, end)

    def install(self, fragment: Fragment) -> None:
        """Make a fragment, for the offset that :meth:`reserve` gave or for one that is claimed, reachable, and link it both
        ways."""
        if self.check is not None:
            self.check(fragment)
        self.sound = False
        offset, code = fragment.offset, fragment.code
        self.write(offset, code)
        self.next = max(self.next, offset + len(code))
        if not self._offsets or offset > self._offsets[-1]:
            self._offsets.append(offset)
            self._fragments.append(fragment)
        else:
            index = bisect_left(self._offsets, offset)
            self._offsets.insert(index, offset)
            self._fragments.insert(index, fragment)
        for page in _pages(fragment):
            if page in self._shared_pages:
                self._own_page(page)
            self._pages.setdefault(page, {})[offset] = fragment
        bodies, sites, trampolines, control = self.bodies, self._sites, self._trampolines, self.control
        next_eip = fragment.next_eip
        is_return, hashed = False, self.window is None
        first, zero, origin = self.window or 0, self._zero, self._origin
        end = first + self.reach
        for eip, landing, body in fragment.landing_words():
            # Behind a call that ends a fragment there is only the jump onwards: nothing to send others to, least of
            # all that jump itself.
            if eip not in bodies and eip != next_eip:
                bodies[eip] = body
                self._landings[eip] = landing
                if not hashed and first <= eip < end:  # the landing behind a guest's very last instruction has none
                    control[zero + 2 * eip] = origin + landing
                if eip in sites:
                    for field in sites[eip]:
                        self._point(field, body)
            if is_return and hashed:
                low = eip & _LOW_HALF
                self._callers.setdefault(low, {})[landing] = fragment
                if low in self._contended:
                    self._disarm(fragment, low, landing)
            is_return = True
        for field, target, trampoline in fragment.exit_words():
            if target in sites:
                if target in self._shared_sites:
                    self._own_sites(target)
                sites[target][field] = trampoline
            else:
                sites[target] = {field: trampoline}
            trampolines[trampoline] = target
            if target in bodies:
                self._point(field, bodies[target])
        self.sound = True

    def hold(self) -> HeldCode:
        """A copy of all that there is, for the direct table, for :meth:`resume`."""
        assert self.window is not None
        self._shared_pages, self._shared_sites = set(self._pages), set(self._sites)
        return HeldCode(
            self.window,
            self.next,
            bytes(self.code[at.FIRST_FRAGMENT : self.next]),
            tuple(self._fragments),
            tuple(self._offsets),
            dict(self._pages),
            dict(self.bodies),
            dict(self._landings),
            dict(self._sites),
            dict(self._trampolines),
        )

    def resume(self, held: HeldCode) -> None:
        """Have all that another cache has had, linked as it was. This one is empty, and its window is the same."""
        assert held.window == self.window
        assert not self.bodies
        if self.check is not None:
            for fragment in held.fragments:
                self.check(fragment)
        self.sound = False
        self.write(at.FIRST_FRAGMENT, held.code)
        self.next = self.claimed = held.next
        self._fragments, self._offsets = list(held.fragments), list(held.offsets)
        self._pages, self._sites = dict(held.pages), dict(held.sites)
        self._shared_pages, self._shared_sites = set(held.pages), set(held.sites)
        self._trampolines = dict(held.trampolines)
        self.bodies.update(held.bodies)
        self._landings = dict(held.landings)
        self._set_entries(held.landings)
        self.sound = True

    def _own_page(self, page: int) -> None:
        self._shared_pages.discard(page)
        self._pages[page] = dict(self._pages[page])

    def _own_sites(self, target: int) -> None:
        self._shared_sites.discard(target)
        self._sites[target] = dict(self._sites[target])

    def learn(self, eip: int) -> None:
        """An indirect branch went to ``eip``: let the hashed table lead the next one to its landing."""
        if self.window is not None:
            return
        landing = self._origin + self._landings[eip]
        if eip & _LOW_HALF not in self._contended:
            self.control[_hashed_word(eip)] = landing
        words = _probed_words(eip)
        word = next((each for each in words if self.control[each + 1] == 0 or self.control[each] == eip), words[0])
        self.control[word] = eip
        self.control[word + 1] = landing

    def contend(self, eip: int) -> None:
        """An indirect branch to ``eip`` met the landing of another EIP with the same low half: let the lookup stub decide
        between them from now on. Calls no longer store the landings of their returns in that entry."""
        low = eip & _LOW_HALF
        if self.window is not None or low in self._contended:
            return
        self.sound = False
        self._contended.add(low)
        self.control[_hashed_word(eip)] = self._origin + runtime.LOOKUP
        for landing, fragment in self._callers.get(low, {}).items():
            self._disarm(fragment, low, landing)
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

    def is_free(self, fragment: Fragment) -> bool:
        """Whether a fragment stands where code may stand, and no other does."""
        index = bisect_left(self._offsets, fragment.end)
        others = index > 0 and self._fragments[index - 1].end > fragment.offset
        return not others and fragment.offset >= at.FIRST_FRAGMENT and fragment.end <= len(self.code)

    def span_at(self, offset: int) -> Span | None:
        """The guest instruction whose template covers a code offset."""
        fragment = self.fragment_at(offset)
        return fragment.span_at(offset) if fragment is not None else None

    def branch_target(self, trampoline: int) -> int:
        """The guest EIP that the branch behind a trampoline leads to."""
        return self._trampolines[trampoline]

    def drop_pages(self, first: int, last: int) -> int:
        """Drop every fragment with guest code in pages [first, last); how many there were."""
        doomed = {id(f): f for page in range(first, last) for f in self._pages.get(page, {}).values()}
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

    def _drop(self, fragment: Fragment) -> None:
        index = bisect_left(self._offsets, fragment.offset)
        del self._offsets[index], self._fragments[index]
        for page in _pages(fragment):
            if page in self._shared_pages:
                self._own_page(page)
            _remove(self._pages, page, fragment.offset)
        for field, target, trampoline in fragment.exit_words():
            if target in self._shared_sites:
                self._own_sites(target)
            _remove(self._sites, target, field)
            self._trampolines.pop(trampoline, None)  # which two exits may share
        hashed = self.window is None
        if hashed:
            for eip, landing, _ in fragment.landings[1:]:
                _remove(self._callers, eip & _LOW_HALF, landing)
        for eip, landing, _ in fragment.landings:
            if hashed:
                self._forget_hashed(eip, landing)
            if self._landings.get(eip) == landing:
                if not hashed:
                    self._set_entry(eip, 0)
                del self.bodies[eip], self._landings[eip]
                for field, trampoline in self._sites.get(eip, {}).items():
                    self._point(field, trampoline)

    def _set_entries(self, landings: Mapping[int, int]) -> None:
        """Set the entries of the direct table to these code offsets, by EIP; all at once, and quicker."""
        first, zero, control, origin = self.window, self._zero, self.control, self._origin
        assert first is not None
        end = first + self.reach
        for eip, landing in landings.items():
            if first <= eip < end:
                control[zero + 2 * eip] = origin + landing

    def _set_entry(self, eip: int, landing: int) -> None:
        """Set the entry of the direct table."""
        if self.covers(eip):
            self.control[self._zero + 2 * eip] = landing

    def _empty_hashed_table(self) -> None:
        self.control[at.control_word(at.PROBED_TABLE) : at.control_word(at.HASHED_TABLE)] = _EMPTY_PROBED
        first = at.control_word(at.HASHED_TABLE)
        self.control[first : first + at.HASHED_ENTRIES] = _unused_entries(self._origin + runtime.LOOKUP)

    def _forget_hashed(self, eip: int, landing: int) -> None:
        landing += self._origin
        slot = _hashed_word(eip)
        if self.control[slot] == landing:
            self.control[slot] = self._origin + runtime.LOOKUP
        for word in _probed_words(eip):
            if self.control[word + 1] == landing:
                self.control[word] = self.control[word + 1] = 0

    def _disarm(self, fragment: Fragment, low: int, landing: int) -> None:
        """Have the call in front of a landing store the lookup stub instead, in the entry for this low half."""
        where = _store_of(fragment.code, fragment.offset, low, landing, self._origin)
        self.write(fragment.offset + where, mov_gs_immediate(at.hashed_slot(low), self._origin + runtime.LOOKUP))

    def _point(self, field: int, destination: int) -> None:
        """Let the branch with its displacement there lead to a code offset."""
        _WORD.pack_into(self.code, field, destination - (field + 4) & MASK32)
        if self._changed is not None:
            self._changed(field, field + 4)


def _hashed_word(eip: int) -> int:
    """The word of the hashed table's first level that is for ``eip``."""
    return at.control_word(at.hashed_slot(eip))


def _probed_words(eip: int) -> range:
    """Where ``eip`` may be in its second level; behind each of these words is that of the landing."""
    first = at.control_word(at.PROBED_TABLE) + 2 * at.first_probe(eip)
    return range(first, first + 2 * at.PROBES, 2)


def rebased(code: bytes, offset: int, landings: Sequence[Landing], old: int, new: int) -> bytes:
    """The code of a fragment for the hashed table, for another ``origin``: all that depends on it are the stores of calls.
    Raises ValueError for code that is not such a fragment's."""
    if old == new or len(landings) == 1:
        return code
    changed = bytearray(code)
    for entry in landings[1:]:
        where = _store_of(code, offset, entry.eip, entry.offset, old)
        store = mov_gs_immediate(at.hashed_slot(entry.eip), new + entry.offset)
        changed[where : where + len(store)] = store
    return bytes(changed)


def _store_of(code: bytes, offset: int, eip: int, landing: int, origin: int) -> int:
    """Where in a fragment's code the call in front of its return's landing stores that."""
    store = mov_gs_immediate(at.hashed_slot(eip), origin + landing)
    return code.rindex(store, 0, landing - offset)


def _remove(groups: dict[int, dict[int, Any]], group: int, key: int) -> None:
    del groups[group][key]
    if not groups[group]:
        del groups[group]


def _pages(fragment: Fragment) -> range:
    """The guest pages whose content a fragment depends on."""
    first = fragment.eip >> PAGE_SHIFT
    last = (fragment.eip + fragment.length - 1 & MASK32) >> PAGE_SHIFT
    return range(first, last + 1)
