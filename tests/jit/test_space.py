"""Guest memory on the host: it behaves as the specification's, and what the processor sees agrees with its permissions."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import random
import weakref
from typing import Any
from unittest import mock

import pytest
from bare import DATA, LIMIT, STACK, Bare
from child import in_child

from jit import lowmem, mappings, resting, system
from jit.image import Image
from jit.resting import Loan
from jit.space import HostSpace
from reference.contents import Contents
from reference.errors import MemoryFault, OutOfMemory
from reference.memory import MAPPED, PAGE, PAGE_SHIFT, WATCHED, AddressSpace, permissions_of
from reference.traps import Access

_SMALL = 64 * PAGE


def _host_permissions(space: HostSpace) -> dict[int, str]:
    """What /proc/self/maps says of each page."""
    found = {}
    with open("/proc/self/maps", encoding="ascii") as file:
        for line in file:
            place, rights = line.split()[:2]
            start, end = (int(part, 16) for part in place.split("-"))
            for address in range(max(start, space.base), min(end, space.base + space.limit), PAGE):
                found[(address - space.base) >> PAGE_SHIFT] = rights[:3]
    return found


class _Pair:
    """A space on the host and the specification's, which are asked the same and must answer the same."""

    def __init__(self, zero: bool, seed: int) -> None:
        self.rng = random.Random(seed)
        loan = Loan(lowmem.place(_SMALL, prefer_zero=zero))
        self.host, self.model = HostSpace(loan, budget=40 * PAGE), AddressSpace(_SMALL, budget=40 * PAGE)
        self.spaces: tuple[AddressSpace, AddressSpace] = (self.host, self.model)
        self.touched: tuple[list[tuple[int, int]], ...] = ([], [])
        self.host.add_watcher(lambda first, last: self.touched[0].append((first, last)))
        self.model.add_watcher(lambda first, last: self.touched[1].append((first, last)))
        self.low = loan.placement.lowest >> PAGE_SHIFT
        #: Contents of both, and what they are by a full copy.
        self.captured: list[tuple[tuple[Contents, Contents], bytes, dict[int, bytes]]] = []

    def both(self, name: str, *arguments: object) -> None:
        outcome = []
        for space in self.spaces:
            try:
                result = getattr(space, name)(*arguments)
                outcome.append(bytes(result) if isinstance(result, memoryview) else result)
            except (MemoryFault, OutOfMemory, ValueError) as error:
                outcome.append((type(error), getattr(error, "address", None)))
        assert outcome[0] == outcome[1], (name, arguments)

    def operate(self) -> None:
        """Something at random."""
        rng = self.rng
        page = rng.randrange(self.low, 62)
        count = rng.randrange(1, 64 - page)
        address = page * PAGE + rng.choice([0, 1, 4093, rng.randrange(PAGE)])
        data = rng.randbytes(rng.choice([1, 4, 100, PAGE, 9000]))
        access = rng.choice([Access.RW, Access.RW, Access.READ, Access.RX, Access.EXECUTE, Access.RWX, Access.NONE])
        match rng.randrange(13):
            case 0 | 1:
                self.both("map", page * PAGE, min(count, 8) * PAGE, access)
            case 2:
                self.both("unmap", page * PAGE, min(count, 3) * PAGE)
            case 3:
                self.both("protect", page * PAGE, min(count, 3) * PAGE, access)
            case 4 | 5:
                self.both("write", address, data)
            case 6:
                self.both("read", address, len(data))
            case 7:
                self.both("load", address, len(data))
            case 8:
                self.both("store", address, data)
            case 9:
                self.both("fetch", address, 64)
            case 10:
                self.both("view", address, len(data))
            case 11:
                if self.host.is_mapped(page * PAGE, PAGE):
                    self.both("watch", page, page + 1)
            case 12:  # as a guest stores: nobody is told
                for space in self.spaces:
                    if space.permissions[page] & (Access.WRITE | WATCHED) == Access.WRITE:
                        space.buffer[address : (page + 1) * PAGE] = bytes([count]) * ((page + 1) * PAGE - address)
        self.compare()

    def compare(self) -> None:
        self.both("regions")
        assert _held(self.host) == _held(self.model)
        assert self.host.mapped == self.model.mapped

    def capture(self) -> None:
        base = self.rng.random() < 0.7
        contents = self.host.capture(base=base), self.model.capture(base=base)
        self.captured.append((contents, bytes(_held(self.host).translate(_FORGET_WATCHED)), _copy(self.host)))
        assert _copy(self.host) == _copy(self.model)

    def restore(self) -> None:
        contents, states, copy = self.rng.choice(self.captured[-3:])
        for space, mine in zip(self.spaces, contents, strict=True):
            before, old = bytes(space.permissions), _copy(space)
            space.restore(mine)
            assert _held(space).translate(_FORGET_WATCHED) == states
            assert _copy(space) == copy
            for page, state in enumerate(space.permissions):
                if state & WATCHED:
                    assert state == before[page], "rights of code have changed"
                    assert copy.get(page) == old.get(page), "code has changed"
        self.both("touch", 0, 64)  # how much is still watched may differ
        for heard in self.touched:
            heard.clear()
        self.compare()


_FORGET_WATCHED = bytes(state & ~WATCHED for state in range(256))
_MAPPED_ONLY = bytes(state if state & MAPPED else 0 for state in range(256))


def _held(space: AddressSpace) -> bytes:
    """The states of pages; whether one that is not mapped ever was does not matter."""
    return bytes(space.permissions).translate(_MAPPED_ONLY)


def _copy(space: AddressSpace) -> dict[int, bytes]:
    """Every mapped page, one by one."""
    return {
        page: space.load(page << PAGE_SHIFT, PAGE) for page, state in enumerate(space.permissions) if state & MAPPED
    }


def _check_host(space: HostSpace, low: int) -> None:
    """What the processor sees is what the permissions say."""
    rights = _host_permissions(space)
    for page in range(low, 64):
        state = space.permissions[page]
        writable = state & 2 and not state & 8 and state & 16
        readable = state & 3 and state & 16
        assert rights.get(page) == ("rw-" if writable else "r--" if readable else "---"), (page, state)


@pytest.mark.parametrize("zero", [True, False])
@in_child
def test_random_operations_do_what_the_specification_does(zero: bool) -> None:
    pair = _Pair(zero, 7)
    for _ in range(3000):
        pair.operate()
    assert pair.touched[0] == pair.touched[1]
    _check_host(pair.host, pair.low)
    pair.host.close()


@pytest.mark.parametrize("help_of_kernel", ["all", "no list of written pages", "no files in memory", "locked memory"])
@pytest.mark.parametrize("zero", [True, False])
@in_child
def test_contents_come_back_whatever_has_happened(zero: bool, help_of_kernel: str) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EINVAL, "refused")

    refuse: Any = refused
    if help_of_kernel == "no list of written pages":
        system.ioctl = refuse
    elif help_of_kernel == "no files in memory":
        os.memfd_create = refuse
    elif help_of_kernel == "locked memory":
        system.forget = refuse
    pair = _Pair(zero, 11)
    for _ in range(60):
        pair.operate()
    pair.capture()
    for turn in range(150):
        for _ in range(pair.rng.choice([1, 3, 20])):
            pair.operate()
        pair.restore()
        if turn % 10 == 0:
            pair.capture()
        if turn % 50 == 0:
            _check_host(pair.host, pair.low)
    pair.host.close()


@in_child
def test_many_written_pages_come_back_too() -> None:
    bare = Bare()
    bare.space.map(0x40_0000, 400 * PAGE, Access.RW)
    for page in range(0, 400, 7):
        bare.space.write(0x40_0000 + page * PAGE, bytes([page & 0xFF]) * PAGE)
    contents = bare.space.capture(base=True)
    copy = bare.space.load(0x40_0000, 400 * PAGE)
    for count in (400, 10, 33, 1):
        for page in range(count):
            bare.space.write_u32(0x40_0000 + page * PAGE + 8, 0xFFFF_FFFF)
        bare.space.restore(contents)
        assert bare.space.load(0x40_0000, 400 * PAGE) == copy
    bare.close()


@in_child
def test_memory_that_rests_has_nothing_of_its_last_guest() -> None:
    """The next guest of the same program finds what its program brings, and zeros."""
    program, rng = object(), random.Random(3)
    permissions = permissions_of(LIMIT, [(DATA, DATA + 8 * PAGE, Access.RW), (STACK, STACK + 4 * PAGE, Access.RWX)])
    contents = Contents(permissions, 12 * PAGE, [(DATA + 5, b"loaded"), (DATA + 3 * PAGE, b"more")])
    for zero in (True, False):
        places, counts = set(), []
        for _ in range(40):
            loan = resting.place(LIMIT, program, prefer_zero=zero)
            places.add((loan.placement.base, loan.rest is not None))
            space = HostSpace(loan, program=program)
            del loan
            assert not space.regions()
            space.restore(contents)
            assert space.load(DATA, 8 * PAGE) == contents.read(DATA, 8 * PAGE)
            assert space.load(STACK, 4 * PAGE) == bytes(4 * PAGE)
            for start, end, _ in space.regions():
                space.write(rng.randrange(start, end - 4), b"left")
            match rng.randrange(5):
                case 0:
                    space.map(0x60_0000, PAGE, Access.RW)
                    space.write(0x60_0000, b"left")
                case 1:
                    space.protect(DATA, 2 * PAGE, Access.READ)
                    space.store(DATA, b"left behind")
                case 2:
                    space.unmap(DATA + PAGE, PAGE)
                case 3:
                    space.watch(STACK >> PAGE_SHIFT, (STACK >> PAGE_SHIFT) + 2)
                case 4:
                    space.restore(space.capture(base=True))
            assert not any(state & WATCHED for state in space.permissions[: STACK >> PAGE_SHIFT])
            space.close()
            counts.append(mappings.count())
        assert max(counts[20:]) <= max(counts[:20]), "what is counted is given back"
        assert {base for base, _ in places} == {0} or not zero
        assert {rested for _, rested in places} == {True, False}
    space = HostSpace(resting.place(LIMIT, object()), program=object())
    space.map(DATA, 8 * PAGE, Access.RW)
    assert space.load(DATA, 8 * PAGE) == bytes(8 * PAGE), "another program's guest finds zeros"


@in_child
def test_memory_with_views_does_not_rest() -> None:
    """What is written through a view, later, is not found by the next guest."""
    program = object()
    contents = Contents(permissions_of(LIMIT, [(DATA, DATA + PAGE, Access.RW)]), PAGE, [(DATA, b"loaded")])
    for zero in (True, False):
        space = HostSpace(resting.place(LIMIT, program, prefer_zero=zero), program=program)
        space.restore(contents)
        view = space.view(DATA, 16, Access.WRITE)
        space.close()
        assert bytes(view) == bytes(16)
        view[:] = b"x" * 16
        other = resting.place(LIMIT, program, prefer_zero=zero)
        assert other.rest is None
        assert other.placement.base != space.base
        del view, other
        space = HostSpace(resting.place(LIMIT, program, prefer_zero=zero), program=program)
        space.restore(contents)
        assert space.load(DATA, PAGE) == contents.read(DATA, PAGE)
        space.close()


@in_child
def test_memory_rested_that_an_exception_had_left_half_mapped() -> None:
    """Other contents were being mapped over what a guest had left, which was taken for untouched until that was done."""
    program = object()
    permissions = permissions_of(LIMIT, [(DATA, DATA + PAGE, Access.RW)])
    contents, others = (Contents(permissions, PAGE, [(DATA, data)]) for data in (b"loaded", b"others"))
    space = HostSpace(resting.place(LIMIT, program), program=program)
    space.restore(contents)
    space.close()
    del space
    mapped = Image.map

    def interrupted(self: Image, *arguments: int) -> int:
        mapped(self, *arguments)
        raise KeyboardInterrupt

    space = HostSpace(resting.place(LIMIT, program), program=program)
    with mock.patch.object(Image, "map", interrupted), contextlib.suppress(KeyboardInterrupt):
        space.restore(others)
    space.close()
    del space
    space = HostSpace(resting.place(LIMIT, program), program=program)
    space.restore(contents)
    assert space.load(DATA, 6) == b"loaded"
    space.close()


@in_child
def test_memory_that_rests_and_is_not_wanted_is_as_new() -> None:
    program = object()
    contents = Contents(permissions_of(LIMIT, [(DATA, DATA + PAGE, Access.RW)]), PAGE, [(DATA, b"loaded")])
    for use in range(3):
        loan = resting.place(LIMIT, program)
        rested = loan.rest is not None
        space = HostSpace(loan, program=program)
        del loan
        if use < 2:
            space.restore(contents)
        else:
            assert rested
            space.map(DATA, PAGE, Access.RW)
            assert space.load(DATA, PAGE) == bytes(PAGE)
            assert _host_permissions(space)[(DATA >> PAGE_SHIFT) + 1] == "---"
        space.close()


@in_child
def test_page_zero_cannot_be_mapped_at_linear_address_zero() -> None:
    bare = Bare()
    assert bare.space.base == 0
    with pytest.raises(OutOfMemory, match="below"):
        bare.space.map(0, PAGE, Access.RW)
    assert bare.run("mov eax, [0]").vector == 14
    with pytest.raises(MemoryFault):
        bare.space.read(0, 1)
    other = Bare(needs_page_zero=True)
    assert "page 0" in str(other.space.placement)
    other.space.map(0, PAGE, Access.RW)
    other.space.write_u32(0, 77)
    other.run("mov eax, [0]; mov dword ptr [4], 5")
    assert (other.cpu.eax, other.space.read_u32(4)) == (77, 5)


@in_child
def test_memory_is_zero_when_mapped_and_gone_when_unmapped() -> None:
    for zero in (True, False):
        bare = Bare(prefer_zero=zero)
        bare.space.write(DATA, b"x" * PAGE)
        bare.space.map(DATA, PAGE, Access.RW)
        assert bare.space.read(DATA, PAGE) == bytes(PAGE)
        bare.space.write(DATA, b"x" * PAGE)
        bare.space.unmap(DATA, PAGE)
        bare.space.map(DATA, PAGE, Access.READ)
        assert bare.space.read(DATA, PAGE) == bytes(PAGE)
        bare.space.store(DATA + 3, b"read-only")
        assert bare.space.read(DATA + 3, 9) == b"read-only"
        bare.close()
        again = Bare(prefer_zero=zero)
        assert again.space.read(DATA, PAGE) == bytes(PAGE), "nothing of the guest before"
        again.close()


@in_child
def test_guest_and_host_share_memory_without_copies() -> None:
    bare = Bare()
    view = bare.space.view(DATA, 16, Access.RW)
    view[0:4] = b"\x01\x02\x03\x04"
    bare.run(f"mov eax, [{DATA}]; bswap eax; mov [{DATA + 4}], eax")
    assert bytes(view[:8]) == b"\x01\x02\x03\x04\x04\x03\x02\x01"


@in_child
def test_a_view_that_outlives_its_guest_is_harmless() -> None:
    for zero in (True, False):
        bare = Bare(prefer_zero=zero)
        bare.space.write(DATA, b"secret")
        view = bare.space.view(DATA, PAGE, Access.RW)
        hole = bare.space.buffer[LIMIT - 16 :]
        bare.close()
        assert bytes(view[:6]) == bytes(6), "wiped"
        view[0] = 1
        assert bytes(hole) == bytes(16)
        other = Bare()
        assert (other.space.base == 0) == (not zero), "linear address zero is free again once the view has gone"
        other.close()
        del view, hole, bare, other
        gc.collect()
    third = Bare()
    assert third.space.base == 0
    third.close()


@in_child
def test_closing_twice_and_forgetting_to_close() -> None:
    bare = Bare()
    bare.close()
    bare.close()
    forgotten = Bare()
    watch = weakref.ref(forgotten.processor)
    del forgotten
    gc.collect()
    assert watch() is None
    assert Bare().space.base == 0


@in_child
def test_budget_and_limit_are_kept() -> None:
    bare = Bare(budget=20 * PAGE)
    with pytest.raises(OutOfMemory):
        bare.space.map(0x40_0000, 20 * PAGE, Access.RW)
    with pytest.raises(ValueError, match="not within"):
        bare.space.map(LIMIT, PAGE, Access.RW)
    with pytest.raises(MemoryError):
        Bare(limit=(4 << 30) - PAGE)


@in_child
def test_too_many_mappings_are_an_error_and_no_crash() -> None:
    with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
        most = int(file.read())
    bare = Bare(limit=1 << 30)

    def scatter() -> None:
        for page in range(2 * most):
            bare.space.map(0x40_0000 + 2 * page * PAGE, PAGE, Access.RW)

    with pytest.raises(OutOfMemory, match="host cannot map"):
        scatter()
    for start, end, access in bare.space.regions():
        if access & Access.WRITE:
            bare.space.write_u8(start, 1)
            bare.space.write_u8(end - 1, 1)
    assert bare.run("nop").kind.value == "left"


@in_child
def test_hidden_pages_are_read_and_written_by_the_host_in_a_forked_child_too() -> None:
    bare = Bare()
    bare.space.protect(DATA, PAGE, Access.EXECUTE)
    bare.space.store(DATA, b"parent")
    assert bare.space.load(DATA, 6) == b"parent"
    child = os.fork()
    if child == 0:
        bare.space.store(DATA, b"child!")
        os._exit(0 if bare.space.fetch(DATA, 6) == b"child!" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert bare.space.load(DATA, 6) == b"parent"
