"""Guest memory: permissions to the byte, budgets, and watchers that hear of every change before it happens."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reference.errors import MemoryFault, OutOfMemory
from reference.memory import MAPPED, MAX_LIMIT, PAGE, USED, WATCHED, AddressSpace, page_ceil, page_floor
from reference.traps import Access

LIMIT = 16 * PAGE


@pytest.fixture
def space() -> AddressSpace:
    """Read-write, read-only, executable, nothing: a page each from page 1 on."""
    made = AddressSpace(LIMIT)
    made.map(PAGE, PAGE, Access.RW)
    made.map(2 * PAGE, PAGE, Access.READ)
    made.map(3 * PAGE, PAGE, Access.RX)
    return made


def fault_of(call: object, *arguments: object) -> tuple[int, Access]:
    assert callable(call)
    with pytest.raises(MemoryFault) as caught:
        call(*arguments)
    return caught.value.address, caught.value.access


# -- shape ---------------------------------------------------------------------------------------------------------------


def test_limit_is_whole_pages_below_four_gigabytes() -> None:
    for limit in (0, -PAGE, 1, PAGE + 1, MAX_LIMIT + PAGE):
        with pytest.raises(ValueError, match="limit"):
            AddressSpace(limit)


def test_rounding_to_pages() -> None:
    assert [page_floor(n) for n in (0, 1, PAGE - 1, PAGE)] == [0, 0, 0, PAGE]
    assert [page_ceil(n) for n in (0, 1, PAGE, PAGE + 1)] == [0, PAGE, PAGE, 2 * PAGE]


def test_ranges_are_whole_pages_inside_the_limit(space: AddressSpace) -> None:
    for change in (space.map, space.protect):
        for start, length in ((1, PAGE), (0, 1), (-PAGE, PAGE), (LIMIT, PAGE), (LIMIT - PAGE, 2 * PAGE)):
            with pytest.raises(ValueError, match="not within"):
                change(start, length, Access.READ)
    with pytest.raises(ValueError, match="not within"):
        space.unmap(LIMIT, PAGE)


def test_fresh_pages_are_zero_even_where_something_was_before(space: AddressSpace) -> None:
    space.write(PAGE, b"secret")
    space.map(PAGE, PAGE, Access.RW)
    assert space.read(PAGE, PAGE) == bytes(PAGE)
    space.write(PAGE, b"secret")
    space.unmap(PAGE, PAGE)
    space.map(PAGE, PAGE, Access.READ)
    assert space.read(PAGE, PAGE) == bytes(PAGE)


def test_budget_counts_mapped_bytes_once() -> None:
    space = AddressSpace(LIMIT, budget=3 * PAGE)
    space.map(0, 2 * PAGE, Access.RW)
    space.map(PAGE, 2 * PAGE, Access.READ)
    assert space.mapped == 3 * PAGE
    with pytest.raises(OutOfMemory, match="0x3000 bytes of memory"):
        space.map(8 * PAGE, PAGE, Access.RW)
    assert not space.is_mapped(8 * PAGE, PAGE)
    space.unmap(0, PAGE)
    space.unmap(0, PAGE)
    assert space.mapped == 2 * PAGE
    space.map(8 * PAGE, PAGE, Access.RW)


def test_regions_join_neighbours_with_equal_rights(space: AddressSpace) -> None:
    space.map(5 * PAGE, 2 * PAGE, Access.RW)
    space.map(7 * PAGE, PAGE, Access.RW)
    assert space.regions() == [
        (PAGE, 2 * PAGE, Access.RW),
        (2 * PAGE, 3 * PAGE, Access.READ),
        (3 * PAGE, 4 * PAGE, Access.RX),
        (5 * PAGE, 8 * PAGE, Access.RW),
    ]


def test_find_free_takes_the_highest_gap(space: AddressSpace) -> None:
    assert space.find_free(PAGE, low=0, high=LIMIT) == LIMIT - PAGE
    assert space.find_free(1, low=0, high=4 * PAGE) == 0
    assert space.find_free(2 * PAGE, low=0, high=4 * PAGE) is None
    assert space.find_free(PAGE, low=1, high=4 * PAGE) is None
    assert space.find_free(3 * PAGE, low=0, high=7 * PAGE) == 4 * PAGE
    assert space.find_free(PAGE, low=0, high=1 << 40) == LIMIT - PAGE


# -- access --------------------------------------------------------------------------------------------------------------


def test_checks_reach_the_last_byte_and_no_further(space: AddressSpace) -> None:
    """The original's check missed the last page of a range that ended on a page boundary."""
    space.check(PAGE, PAGE, Access.RW)
    assert fault_of(space.check, PAGE, PAGE + 1, Access.RW) == (2 * PAGE, Access.RW)
    space.check(PAGE, 3 * PAGE, Access.READ)
    assert fault_of(space.check, PAGE, 3 * PAGE + 1, Access.READ) == (4 * PAGE, Access.READ)
    assert fault_of(space.check, PAGE - 1, 2, Access.READ) == (PAGE - 1, Access.READ)
    space.map(LIMIT - PAGE, PAGE, Access.RW)
    space.check(LIMIT - PAGE, PAGE, Access.RW)
    assert fault_of(space.check, LIMIT - PAGE, PAGE + 1, Access.RW) == (LIMIT, Access.RW)
    assert fault_of(space.check, LIMIT, 1, Access.READ) == (LIMIT, Access.READ)


def test_empty_ranges_are_always_allowed(space: AddressSpace) -> None:
    for address in (0, PAGE, LIMIT, LIMIT + 5):
        space.check(address, 0, Access.RWX)
        assert space.read(address, 0) == b""
        space.write(address, b"")
        assert space.load(address, 0) == b""
        space.store(address, b"")


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_numbers_are_little_endian_and_cut_to_size(space: AddressSpace, size: int) -> None:
    read, write = getattr(space, f"read_u{8 * size}"), getattr(space, f"write_u{8 * size}")
    value = 0xF1F2_F3F4_F5F6_F7F8_F9
    for address in (PAGE, PAGE + 13, 2 * PAGE - size):
        write(address, value)
        assert read(address) == value & (1 << 8 * size) - 1
        assert space.read(address, size) == (value & (1 << 8 * size) - 1).to_bytes(size, "little")


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_numbers_fault_at_the_first_byte_out_of_reach(space: AddressSpace, size: int) -> None:
    read, write = getattr(space, f"read_u{8 * size}"), getattr(space, f"write_u{8 * size}")
    space.map(LIMIT - PAGE, PAGE, Access.RW)
    assert fault_of(read, 0) == (0, Access.READ)
    assert fault_of(read, LIMIT) == (LIMIT, Access.READ)
    assert fault_of(write, 2 * PAGE, 1) == (2 * PAGE, Access.WRITE)
    assert fault_of(write, 0xFFFF_FFFF, 1) == (0xFFFF_FFFF, Access.WRITE)
    for cut in range(1, size):
        assert fault_of(read, 4 * PAGE - cut) == (4 * PAGE, Access.READ)
        assert fault_of(read, PAGE - cut) == (PAGE - cut, Access.READ)
        assert fault_of(read, LIMIT - cut) == (LIMIT, Access.READ)
        before = space.read(2 * PAGE - 8, 8)
        assert fault_of(write, 2 * PAGE - cut, -1) == (2 * PAGE, Access.WRITE)
        assert space.read(2 * PAGE - 8, 8) == before, "all or nothing"


def test_write_is_all_or_nothing(space: AddressSpace) -> None:
    assert fault_of(space.write, 2 * PAGE - 3, b"abcdef") == (2 * PAGE, Access.WRITE)
    assert space.read(2 * PAGE - 3, 3) == b"\0\0\0"


def test_host_sees_and_writes_what_is_mapped_whatever_its_rights(space: AddressSpace) -> None:
    space.map(5 * PAGE, PAGE, Access.NONE)
    space.store(2 * PAGE - 1, b"xy")
    assert space.load(2 * PAGE - 1, 2) == b"xy"
    space.store(5 * PAGE, b"z")
    assert space.load(5 * PAGE, 1) == b"z"
    assert fault_of(space.read, 5 * PAGE, 1) == (5 * PAGE, Access.READ)
    assert fault_of(space.load, 4 * PAGE - 1, 2) == (4 * PAGE, Access.READ)
    assert fault_of(space.store, 4 * PAGE - 1, b"ab") == (4 * PAGE, Access.WRITE)
    assert fault_of(space.store, 0, b"ab") == (0, Access.WRITE)
    space.map(LIMIT - PAGE, PAGE, Access.NONE)
    assert fault_of(space.load, LIMIT - 1, 2) == (LIMIT, Access.READ)
    assert fault_of(space.load, LIMIT, 1) == (LIMIT, Access.READ)


def test_view_is_the_memory_itself(space: AddressSpace) -> None:
    space.write(PAGE, b"hello")
    view = space.view(PAGE, 5)
    assert bytes(view) == b"hello"
    assert view.readonly
    space.write(PAGE, b"J")
    assert bytes(view) == b"Jello"
    space.view(PAGE, 1, Access.RW)[0] = ord("C")
    assert space.read(PAGE, 5) == b"Cello"
    assert fault_of(space.view, 2 * PAGE, 1, Access.WRITE) == (2 * PAGE, Access.WRITE)


def test_strings_end_at_their_zero(space: AddressSpace) -> None:
    space.store(2 * PAGE - 2, b"a\0")
    assert space.read_string(2 * PAGE - 2) == b"a"
    space.store(2 * PAGE - 3, b"across\0")
    assert space.read_string(2 * PAGE - 3) == b"across"
    space.store(4 * PAGE - 2, b"ab")
    assert fault_of(space.read_string, 4 * PAGE - 2) == (4 * PAGE, Access.READ)
    with pytest.raises(ValueError, match="no end of string within 5 bytes"):
        space.read_string(2 * PAGE - 3, most=5)


def test_fetch_ends_where_execution_does(space: AddressSpace) -> None:
    space.map(4 * PAGE, PAGE, Access.RWX)
    space.store(4 * PAGE - 2, b"\x01\x02\x03\x04")
    assert space.fetch(4 * PAGE - 2, 15)[:4] == b"\x01\x02\x03\x04"
    assert len(space.fetch(4 * PAGE - 2, 15)) == 15
    assert len(space.fetch(5 * PAGE - 3, 15)) == 3
    assert space.fetch(PAGE, 15) == b""
    assert space.fetch(LIMIT, 15) == b""
    assert space.fetch(0xFFFF_FFFF, 15) == b""
    space.map(LIMIT - PAGE, PAGE, Access.RX)
    assert len(space.fetch(LIMIT - 5, 15)) == 5


def test_protect_needs_mapped_pages(space: AddressSpace) -> None:
    assert fault_of(space.protect, 3 * PAGE, 2 * PAGE, Access.RW) == (4 * PAGE, Access.RW)
    assert space.regions()[-1] == (3 * PAGE, 4 * PAGE, Access.RX), "nothing has changed"
    space.store(3 * PAGE, b"kept")
    space.protect(3 * PAGE, PAGE, Access.READ)
    assert space.read(3 * PAGE, 4) == b"kept"


# -- watchers ------------------------------------------------------------------------------------------------------------


def test_watcher_hears_of_every_change_once_and_before_it(space: AddressSpace) -> None:
    changes: list[Callable[[], object]] = [
        lambda: space.write(PAGE + 5, b"x"),
        lambda: space.write_u8(PAGE, 1),
        lambda: space.write_u16(PAGE + PAGE - 2, 2),
        lambda: space.write_u32(PAGE, 3),
        lambda: space.write_u64(PAGE, 4),
        lambda: space.store(PAGE, b"x"),
        lambda: space.view(PAGE, 1, Access.WRITE),
        lambda: space.touch(1, 2),
        lambda: space.protect(PAGE, PAGE, Access.RW),
        lambda: space.map(PAGE, PAGE, Access.RW),
        lambda: space.unmap(PAGE, PAGE),
    ]
    for change in changes:
        heard: list[tuple[int, int, bytes, int]] = []

        def watcher(first: int, last: int, heard: list[tuple[int, int, bytes, int]] = heard) -> None:
            heard.append((first, last, space.load(PAGE, PAGE), space.permissions[1] & WATCHED))

        before = space.load(PAGE, PAGE)
        space.add_watcher(watcher)
        space.watch(1, 2)
        change()
        assert heard == [(1, 2, before, 0)]
        if space.is_mapped(PAGE, PAGE):
            space.store(PAGE, b"again")
        assert len(heard) == 1, "nothing is derived from the page any more"
        space.remove_watcher(watcher)


def test_reading_and_other_pages_disturb_no_watcher(space: AddressSpace) -> None:
    heard: list[tuple[int, int]] = []
    space.add_watcher(lambda first, last: heard.append((first, last)))
    space.watch(3, 4)
    space.write(PAGE, b"x")
    space.store(2 * PAGE, bytes(PAGE))
    space.read(3 * PAGE, PAGE)
    space.load(3 * PAGE, PAGE)
    space.fetch(3 * PAGE, 15)
    with pytest.raises(MemoryFault):
        space.write(3 * PAGE, b"refused")
    assert heard == []
    space.store(3 * PAGE - 1, b"ab")
    assert heard == [(2, 4)]


def test_watched_pages_keep_their_rights(space: AddressSpace) -> None:
    space.watch(1, 4)
    assert [access for _, _, access in space.regions()] == [Access.RW, Access.READ, Access.RX]
    assert fault_of(space.write_u32, 2 * PAGE, 1) == (2 * PAGE, Access.WRITE)
    space.write_u32(PAGE, 7)
    assert space.read_u32(PAGE) == 7


def test_page_states() -> None:
    space = AddressSpace(LIMIT)
    assert space.permissions[1] == 0
    space.map(PAGE, PAGE, Access.RX)
    assert space.permissions[1] == Access.RX | MAPPED | USED
    space.unmap(PAGE, PAGE)
    assert space.permissions[1] == USED


# -- against a simple model ----------------------------------------------------------------------------------------------

PAGES = st.integers(0, 7)
RIGHTS = st.sampled_from([Access.NONE, Access.READ, Access.RW, Access.RX, Access.RWX])
ADDRESSES = st.integers(0, 8 * PAGE + 8)


class AgainstDictionary(RuleBasedStateMachine):
    """An address space is a dictionary from addresses to bytes, and one from pages to rights."""

    def __init__(self) -> None:
        super().__init__()
        self.space = AddressSpace(8 * PAGE)
        self.rights: dict[int, Access] = {}
        self.bytes: dict[int, int] = {}

    @rule(first=PAGES, count=st.integers(1, 3), access=RIGHTS)
    def map(self, first: int, count: int, access: Access) -> None:
        count = min(count, 8 - first)
        self.space.map(first * PAGE, count * PAGE, access)
        for page in range(first, first + count):
            self.rights[page] = access
            self._forget(page)

    @rule(first=PAGES, count=st.integers(1, 3))
    def unmap(self, first: int, count: int) -> None:
        count = min(count, 8 - first)
        self.space.unmap(first * PAGE, count * PAGE)
        for page in range(first, first + count):
            self.rights.pop(page, None)
            self._forget(page)

    @rule(page=PAGES, access=RIGHTS)
    def protect(self, page: int, access: Access) -> None:
        if page in self.rights:
            self.space.protect(page * PAGE, PAGE, access)
            self.rights[page] = access

    @rule(page=PAGES)
    def watch(self, page: int) -> None:
        self.space.watch(page, page + 1)

    @rule(address=ADDRESSES, data=st.binary(min_size=1, max_size=9))
    def write(self, address: int, data: bytes) -> None:
        bad = self._first_bad(address, len(data), Access.WRITE)
        if bad is not None:
            assert fault_of(self.space.write, address, data) == (bad, Access.WRITE)
        else:
            self.space.write(address, data)
            self.bytes.update(enumerate(data, address))

    @rule(address=ADDRESSES, size=st.sampled_from([1, 2, 4, 8]), value=st.integers(0, (1 << 64) - 1))
    def write_number(self, address: int, size: int, value: int) -> None:
        write = getattr(self.space, f"write_u{8 * size}")
        bad = self._first_bad(address, size, Access.WRITE)
        if bad is not None:
            assert fault_of(write, address, value) == (bad, Access.WRITE)
        else:
            write(address, value)
            self.bytes.update(enumerate(struct.pack("<Q", value)[:size], address))

    @rule(address=ADDRESSES, size=st.sampled_from([1, 2, 4, 8]))
    def read_number(self, address: int, size: int) -> None:
        read = getattr(self.space, f"read_u{8 * size}")
        bad = self._first_bad(address, size, Access.READ)
        if bad is not None:
            assert fault_of(read, address) == (bad, Access.READ)
        else:
            expected = bytes(self.bytes.get(address + i, 0) for i in range(size))
            assert read(address) == int.from_bytes(expected, "little")

    @invariant()
    def mapped_bytes_are_counted(self) -> None:
        assert self.space.mapped == len(self.rights) * PAGE

    def _forget(self, page: int) -> None:
        self.bytes = {address: value for address, value in self.bytes.items() if address // PAGE != page}

    def _first_bad(self, address: int, length: int, access: Access) -> int | None:
        for at in range(address, address + length):
            if not self.rights.get(at // PAGE, Access.NONE) & access:
                return at
        return None


TestAgainstDictionary = AgainstDictionary.TestCase
TestAgainstDictionary.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
