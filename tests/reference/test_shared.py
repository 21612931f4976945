"""Memory that several spaces have at once: it goes where nobody has it, and has no rights behind its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from reference.errors import MemoryFault
from reference.memory import PAGE, AddressSpace
from reference.shared import Shared
from reference.traps import Access

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memory files (Linux)")

START = 0x10000
LIMIT = 1 << 20


@pytest.fixture(params=["specification", "native"])
def new_space(request: pytest.FixtureRequest) -> Iterator[Callable[[], AddressSpace]]:
    """Spaces of both kinds."""
    made: list[AddressSpace] = []

    def make() -> AddressSpace:
        if request.param == "specification":
            made.append(AddressSpace(LIMIT))
        else:
            from jit import lowmem
            from jit.resting import Loan
            from jit.space import HostSpace

            made.append(HostSpace(Loan(lowmem.place(LIMIT, prefer_zero=False))))
        return made[-1]

    yield make
    for each in made:
        each.close()


def held(shared: Shared) -> int:
    """How many pages the host has given for it."""
    return os.fstat(shared.file).st_blocks * 512 // PAGE


def test_what_nobody_has_mapped_any_more_takes_no_memory(new_space: Callable[[], AddressSpace]) -> None:
    shared, one, other = Shared(8 * PAGE), new_space(), new_space()
    one.map_shared(START, 8 * PAGE, Access.RW, shared, 0)
    other.map_shared(START, 8 * PAGE, Access.RW, shared, 0)
    one.write(START, b"x" * 8 * PAGE)
    assert held(shared) == 8
    one.unmap(START + PAGE, 6 * PAGE)
    assert held(shared) == 8
    assert other.read(START + PAGE, 4) == b"xxxx"
    other.map(START + 2 * PAGE, 6 * PAGE, Access.RW)
    assert held(shared) == 3  # the first one has the first and the last, the other one the first two
    other.close()
    assert held(shared) == 2
    assert one.read(START, 2) == b"xx"


def test_pages_behind_the_end_come_and_go_with_it(new_space: Callable[[], AddressSpace]) -> None:
    shared, one, other = Shared(4 * PAGE), new_space(), new_space()
    shared.end = PAGE + 1
    one.map_shared(START, 4 * PAGE, Access.RW, shared, 0)
    other.map_shared(START, 3 * PAGE, Access.READ, shared, PAGE)
    one.write(START + PAGE, b"second")
    assert other.read(START, 6) == b"second"
    for space, address in ((one, START + 2 * PAGE), (other, START + PAGE)):
        for access in (Access.READ, Access.WRITE):
            with pytest.raises(MemoryFault) as caught:
                space.check(address, 1, access)
            assert caught.value.address == address
    shared.end_at(3 * PAGE)
    one.write(START + 2 * PAGE, b"third")
    assert other.read(START + PAGE, 5) == b"third"
    with pytest.raises(MemoryFault):
        other.check(START + PAGE, 1, Access.WRITE)
    one.protect(START, 4 * PAGE, Access.READ)
    with pytest.raises(MemoryFault):
        one.check(START + 3 * PAGE, 1, Access.READ)
    shared.end_at(4 * PAGE)
    assert one.read(START + 3 * PAGE, 1) == b"\0"
    shared.end_at(0)
    with pytest.raises(MemoryFault):
        one.check(START, 1, Access.READ)
