"""Guest memory on the host: it behaves as the specification's, and what the processor sees agrees with its permissions."""

from __future__ import annotations

import gc
import os
import random
import weakref

import pytest
from bare import DATA, LIMIT, Bare
from child import in_child

from jit import lowmem
from jit.space import HostSpace
from reference.errors import MemoryFault, OutOfMemory
from reference.memory import PAGE, PAGE_SHIFT, AddressSpace
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


@pytest.mark.parametrize("zero", [True, False])
@in_child
def test_random_operations_do_what_the_specification_does(zero: bool) -> None:
    rng = random.Random(7)
    placement = lowmem.place(_SMALL, prefer_zero=zero)
    host, model = HostSpace(placement, budget=40 * PAGE), AddressSpace(_SMALL, budget=40 * PAGE)
    touched: tuple[list[tuple[int, int]], ...] = ([], [])
    spaces: tuple[AddressSpace, ...] = (host, model)
    host.add_watcher(lambda first, last: touched[0].append((first, last)))
    model.add_watcher(lambda first, last: touched[1].append((first, last)))
    low = placement.lowest >> PAGE_SHIFT

    def both(name: str, *arguments: object) -> None:
        outcome = []
        for space in spaces:
            try:
                result = getattr(space, name)(*arguments)
                outcome.append(bytes(result) if isinstance(result, memoryview) else result)
            except (MemoryFault, OutOfMemory, ValueError) as error:
                outcome.append((type(error), getattr(error, "address", None)))
        assert outcome[0] == outcome[1], (name, arguments)

    for _ in range(3000):
        page = rng.randrange(low, 62)
        count = rng.randrange(1, 64 - page)
        address = page * PAGE + rng.choice([0, 1, 4093, rng.randrange(PAGE)])
        data = rng.randbytes(rng.choice([1, 4, 100, PAGE, 9000]))
        access = rng.choice([Access.RW, Access.RW, Access.READ, Access.RX, Access.EXECUTE, Access.RWX, Access.NONE])
        match rng.randrange(12):
            case 0 | 1:
                both("map", page * PAGE, min(count, 8) * PAGE, access)
            case 2:
                both("unmap", page * PAGE, min(count, 3) * PAGE)
            case 3:
                both("protect", page * PAGE, min(count, 3) * PAGE, access)
            case 4 | 5:
                both("write", address, data)
            case 6:
                both("read", address, len(data))
            case 7:
                both("load", address, len(data))
            case 8:
                both("store", address, data)
            case 9:
                both("fetch", address, 64)
            case 10:
                both("view", address, len(data))
            case 11:
                if host.is_mapped(page * PAGE, PAGE):
                    both("watch", page, page + 1)
        both("regions")
        assert host.permissions == model.permissions
        assert host.mapped == model.mapped
    assert touched[0] == touched[1]
    rights = _host_permissions(host)
    for page in range(low, 64):
        state = host.permissions[page]
        writable = state & 2 and not state & 8 and state & 16
        readable = state & 3 and state & 16
        assert rights.get(page) == ("rw-" if writable else "r--" if readable else "---"), (page, state)
    host.close()


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
