"""The arena: guest memory that the host maps for byte strings that are too long for the stack, or that a callback returns.

It belongs to the calls: what a call puts there goes when the call is over. A small piece of it stays for the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reference.errors import OutOfMemory
from reference.memory import page_ceil
from reference.traps import Access
from vx32py._errors import LimitExceeded

if TYPE_CHECKING:
    from reference.memory import AddressSpace
    from vx32py._loader import Layout

ALIGNMENT: Final = 16
#: A chunk has so many bytes at least, and one of at most so many, or of this share of the memory, stays between calls:
#: fresh pages cost more than what is copied into them.
_LEAST: Final = 64 << 10
_MOST_KEPT: Final = 4 << 20
_SHARE_KEPT: Final = 8


class _Chunk:
    __slots__ = ("end", "next", "start")

    def __init__(self, start: int, size: int) -> None:
        self.start = self.next = start
        self.end = start + size


class Arena:
    """Memory of calls that are under way, the last one first, in a guest that may have ``budget`` bytes."""

    def __init__(self, layout: Layout, budget: int) -> None:
        self._kept = min(_MOST_KEPT, budget // _SHARE_KEPT)
        self._low, self._high = layout.heap, layout.map_end
        self._chunks: list[_Chunk] = []

    def put(self, space: AddressSpace, data: bytes | bytearray | memoryview) -> int:
        """Copy a byte string into the guest; its address. Raises LimitExceeded("memory"), and MemoryFault where the guest
        has taken the pages away."""
        size = len(data)
        needed = size + -size % ALIGNMENT
        chunk = self._chunks[-1] if self._chunks else None
        if chunk is None or chunk.end - chunk.next < needed:
            if chunk is not None and self._is_empty():
                self._unmap_last(space)  # a larger one takes its place, and stays
            chunk = self._map(space, max(page_ceil(needed), _LEAST), size)
        address = chunk.next
        space.write(address, data)
        chunk.next += needed
        return address

    def _map(self, space: AddressSpace, size: int, wanted: int) -> _Chunk:
        problem = LimitExceeded(
            "memory", f"{wanted} bytes for the plug-in do not fit its {space.budget} bytes of memory"
        )
        start = space.find_free(size, low=self._low, high=self._high)
        if start is None:
            raise problem
        try:
            space.map(start, size, Access.RW)
        except OutOfMemory as error:
            raise problem from error
        chunk = _Chunk(start, size)
        self._chunks.append(chunk)
        return chunk

    def mark(self) -> tuple[int, int]:
        """Where it ends now, for :meth:`release`."""
        chunks = self._chunks
        return (0, 0) if self._is_empty() else (len(chunks), chunks[-1].next)

    def _is_empty(self) -> bool:
        """Whether it has nothing, or only a chunk that was kept."""
        chunks = self._chunks
        return not chunks or (len(chunks) == 1 and chunks[0].next == chunks[0].start)

    def release(self, space: AddressSpace, mark: tuple[int, int]) -> None:
        """Give back what has come since a mark; the first chunk stays if it is small."""
        count, here = mark
        chunks = self._chunks
        while len(chunks) > count:
            last = chunks[-1]
            if count == 0 and len(chunks) == 1 and last.end - last.start <= self._kept:
                last.next = last.start
                return
            self._unmap_last(space)
        if chunks:
            chunks[-1].next = here

    def _unmap_last(self, space: AddressSpace) -> None:
        chunk = self._chunks.pop()
        space.unmap(chunk.start, chunk.end - chunk.start)

    def forget(self) -> None:
        """The guest's memory is what it was before there was any arena."""
        self._chunks.clear()
