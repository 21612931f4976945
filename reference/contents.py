"""What an address space holds at one moment: bytes and permissions, to be put back there, or into others of its size.

A loader makes one of a program, once for all guests that run it; a snapshot is one of a guest at work.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Memory is copied and compared in pieces of this size.
PIECE: Final = 64 << 10


class Contents:
    """``permissions`` has a byte for each page as :class:`reference.memory.AddressSpace` has it, zero where nothing is
    mapped, and nothing is watched; ``mapped`` is the number of mapped bytes; ``pieces`` are bytes at addresses of mapped
    pages, and everything else there is zero. Immutable.

    ``backing`` is for an engine's own space: what it has made of the bytes, so that it need not do so again.
    """

    __slots__ = ("backing", "mapped", "pages", "permissions", "pieces")

    def __init__(
        self, permissions: bytes, mapped: int, pieces: Iterable[tuple[int, bytes | bytearray | memoryview]]
    ) -> None:
        self.permissions = permissions
        self.mapped = mapped
        self.pieces = tuple((start, memoryview(data).toreadonly()) for start, data in pieces)
        #: The pages from the first to the last that is mapped, half-open.
        number = int.from_bytes(permissions, "little")
        self.pages = max((number & -number).bit_length() - 1, 0) >> 3, (number.bit_length() + 7) >> 3
        self.backing: object = None

    def read(self, start: int, length: int) -> bytes:
        """The bytes of a range, permitted or not."""
        found = bytearray(length)
        for here, data in self.pieces:
            low, high = max(start, here), min(start + length, here + len(data))
            if low < high:
                found[low - start : high - start] = data[low - here : high - here]
        return bytes(found)
