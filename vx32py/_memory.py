"""GuestMemory: guest memory as the host's Python sees it, with the guest's own permissions checked."""

from __future__ import annotations

from typing import overload

from reference.memory import AddressSpace
from reference.traps import Access


class GuestMemory:
    """The memory of a process, by guest address. Every access is checked as the guest's own would be.

    ``memory[a:b]`` is bytes, ``memory[a]`` a byte, and both can be assigned to. Accesses raise MemoryFault, whose
    ``address`` is the first byte that is out of reach; an assignment that faults has changed nothing.
    """

    __slots__ = ("space",)

    def __init__(self, space: AddressSpace) -> None:
        self.space = space

    def __len__(self) -> int:
        """The size of the address space in bytes: every valid address is below it."""
        return self.space.limit

    @overload
    def __getitem__(self, where: int) -> int: ...
    @overload
    def __getitem__(self, where: slice) -> bytes: ...
    def __getitem__(self, where: int | slice) -> int | bytes:
        if isinstance(where, slice):
            start, stop = _bounds(where)
            return self.space.read(start, stop - start)
        return self.space.read(where, 1)[0]

    def __setitem__(self, where: int | slice, value: int | bytes | bytearray | memoryview) -> None:
        if isinstance(where, slice):
            if isinstance(value, int):
                raise TypeError("a range takes bytes, not an int")
            start, stop = _bounds(where)
            data = memoryview(value).cast("B")
            if len(data) != stop - start:
                raise ValueError(f"a range of {stop - start} bytes cannot take {len(data)}: memory does not move")
            self.space.write(start, data)
        elif isinstance(value, int):
            self.space.write(where, bytes([value]))
        else:
            raise TypeError("one byte takes an int")

    def read(self, address: int, length: int) -> bytes:
        """A copy of ``length`` bytes."""
        return self.space.read(address, length)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store ``data``, all of it or nothing."""
        self.space.write(address, data)

    def view(self, address: int, length: int, *, writable: bool = False) -> memoryview:
        """The bytes themselves, without a copy, checked now.

        A view is good **until the guest runs on**: then the guest may have unmapped or protected these pages, and on the
        jit engine touching them ends the host process; and code translated from them is dropped when the view is made,
        not when it is written to. Slices of this object are copies, and always safe.
        """
        return self.space.view(address, length, Access.WRITE if writable else Access.READ)

    def check(self, address: int, length: int, *, writable: bool = False) -> None:
        """Raise MemoryFault unless the guest itself could read (or write) every byte of the range."""
        self.space.check(address, length, Access.WRITE if writable else Access.READ)

    def read_string(self, address: int, *, most: int = 1 << 20) -> bytes:
        """The bytes up to a zero byte. Raises ValueError when there is none within ``most`` bytes."""
        return self.space.read_string(address, most=most)

    def read_u8(self, address: int) -> int:
        """One byte."""
        return self.space.read_u8(address)

    def read_u16(self, address: int) -> int:
        """A little-endian 16-bit word."""
        return self.space.read_u16(address)

    def read_u32(self, address: int) -> int:
        """A little-endian 32-bit word."""
        return self.space.read_u32(address)

    def read_u64(self, address: int) -> int:
        """A little-endian 64-bit word."""
        return self.space.read_u64(address)

    def write_u8(self, address: int, value: int) -> None:
        """Store the low byte of ``value``."""
        self.space.write_u8(address, value)

    def write_u16(self, address: int, value: int) -> None:
        """Store the low 16 bits of ``value``."""
        self.space.write_u16(address, value)

    def write_u32(self, address: int, value: int) -> None:
        """Store the low 32 bits of ``value``."""
        self.space.write_u32(address, value)

    def write_u64(self, address: int, value: int) -> None:
        """Store the low 64 bits of ``value``."""
        self.space.write_u64(address, value)

    def regions(self) -> list[tuple[int, int, Access]]:
        """What is mapped: (start, end, access) for each run of pages with equal permissions."""
        return self.space.regions()

    def __repr__(self) -> str:
        return f"GuestMemory({self.space.mapped:#x} of {self.space.limit:#x} bytes mapped)"


def _bounds(where: slice) -> tuple[int, int]:
    start = where.start or 0
    if where.step not in (None, 1) or where.stop is None or start < 0 or where.stop < start:
        raise ValueError("a range of guest memory is memory[start:stop] with 0 <= start <= stop")
    return start, where.stop
