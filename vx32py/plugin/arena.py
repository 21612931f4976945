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
#: A chunk has so many bytes at least, and one of at most so many, or of this share of the memory, stays between calls.
_LEAST: Final = 64 << 10
_MOST_KEPT: Final = 2 << 20
_SHARE_KEPT: Final = 16


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
        return (len(chunks), chunks[-1].next) if chunks else (0, 0)

    def release(self, space: AddressSpace, mark: tuple[int, int]) -> None:
        """Give back what has come since a mark; the first chunk stays if it is small."""
        count, here = mark
        chunks = self._chunks
        while len(chunks) > count:
            last = chunks[-1]
            if count == 0 and len(chunks) == 1 and last.end - last.start <= self._kept:
                last.next = last.start
                return
            chunks.pop()
            space.unmap(last.start, last.end - last.start)
        if chunks:
            chunks[-1].next = here

    def forget(self) -> None:
        """The guest's memory is what it was before there was any arena."""
        self._chunks.clear()
