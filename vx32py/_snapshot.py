"""Snapshots: the state of a process, to come back to.

A snapshot holds memory, registers, heap, program, and what the personality keeps. It does not hold what is behind
descriptors: positions of files and the content of pipes stay as they are, and so do the counters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from reference.memory import AddressSpace
from reference.records import dataclass
from reference.registers import CPU
from reference.traps import Access

if TYPE_CHECKING:
    from vx32py._loader import Layout
    from vx32py._module import Module

#: Memory is held, compared and copied in pieces of this size; pieces that are all zeros are not held at all.
PIECE: Final = 64 << 10
ZEROS: Final = bytes(PIECE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A process as it was. Made by ``Process.snapshot``; opaque, and good for ``Process.restore`` of any process of the
    same sandbox and address-space size."""

    limit: int
    regions: list[tuple[int, int, Access]]
    pieces: dict[int, bytes]
    cpu: CPU
    module: Module
    layout: Layout
    heap_end: int
    states: dict[Any, Any]
    pending: Any


def pieces_of(start: int, end: int) -> Iterator[tuple[int, int]]:
    """A region in pieces: (start, length)."""
    for here in range(start, end, PIECE):
        yield here, min(PIECE, end - here)


def copy_memory(space: AddressSpace) -> dict[int, bytes]:
    """Everything in a space that is not zero, by address."""
    found = {}
    for start, end, _ in space.regions():
        for here, length in pieces_of(start, end):
            piece = space.load(here, length)
            if piece != ZEROS[:length]:
                found[here] = piece
    return found


def copy_registers(cpu: CPU) -> CPU:
    """A CPU of its own with the same registers."""
    copy = CPU()
    copy.copy_from(cpu)
    return copy


def restore_memory(space: AddressSpace, regions: list[tuple[int, int, Access]], pieces: dict[int, bytes]) -> None:
    """Make a space what it was, touching only what differs."""
    if space.regions() != regions:
        kept = set(regions)
        for start, end, access in space.regions():
            if (start, end, access) not in kept:
                space.unmap(start, end - start)
        present = set(space.regions())
        for start, end, access in regions:
            if (start, end, access) not in present:
                space.map(start, end - start, access)
    for start, end, _ in regions:
        for here, length in pieces_of(start, end):
            wanted = pieces.get(here) or ZEROS[:length]
            if space.load(here, length) != wanted:
                space.store(here, wanted)
