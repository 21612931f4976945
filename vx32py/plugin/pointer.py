"""GuestPointer: an address in a plug-in's memory, with which the host reads and writes there.

    table = plugin.call("lookup")
    table.read_u32(), (table + 4).read_u32(), table.unpack("<4I"), table.bytes(1024)

Every access is checked first: the whole range must be in the plug-in's memory and permit it to the plug-in itself. A pointer
is good until the plug-in is reset.
"""

from __future__ import annotations

import struct
from functools import total_ordering
from typing import TYPE_CHECKING, Any, Final, overload

from reference.memory import AddressSpace
from reference.registers import MASK32

if TYPE_CHECKING:
    from vx32py.plugin.plugin import Plugin

_I32: Final = struct.Struct("<i")
_I64: Final = struct.Struct("<q")
_F64: Final = struct.Struct("<d")


@total_ordering
class GuestPointer:
    """An address in the memory of one plug-in. Immutable; adding and subtracting bytes makes others.

    Reads and writes raise MemoryFault, whose ``address`` is the first byte out of reach, before anything is read or
    written; StalePointer when the plug-in was reset meanwhile, PluginClosed when it is closed. False for the null pointer.
    """

    __slots__ = ("_generation", "_plugin", "address")

    def __init__(self, plugin: Plugin, address: int) -> None:
        if not 0 <= address <= MASK32:
            raise ValueError(f"an address is 0 to {MASK32:#x}, not {address:#x}")
        self._plugin = plugin
        self._generation = plugin.generation
        self.address = address

    def address_in(self, plugin: Plugin) -> int:
        """The address, for calls of ``plugin``. Raises ValueError for a pointer into another one, and StalePointer."""
        if plugin is not self._plugin:
            raise ValueError("the pointer is another plug-in's")
        self._check_fresh()
        return self.address

    def _check_fresh(self) -> None:
        if self._generation != self._plugin.generation:
            self._plugin.refuse_stale(self.address)

    @property
    def _space(self) -> AddressSpace:
        self._check_fresh()
        return self._plugin.space

    # -- arithmetic ----------------------------------------------------------------------------------------------

    def __add__(self, offset: int) -> GuestPointer:
        """So many bytes further. Raises ValueError for what is no address."""
        other = GuestPointer(self._plugin, self.address + offset)
        other._generation = self._generation
        return other

    @overload
    def __sub__(self, other: int) -> GuestPointer: ...
    @overload
    def __sub__(self, other: GuestPointer) -> int: ...
    def __sub__(self, other: int | GuestPointer) -> int | GuestPointer:
        """So many bytes back; or how many bytes it is behind another pointer."""
        if isinstance(other, GuestPointer):
            if other._plugin is not self._plugin:
                raise ValueError("the pointers are two plug-ins'")
            return self.address - other.address
        return self + -other

    def __bool__(self) -> bool:
        return self.address != 0

    def __int__(self) -> int:
        return self.address

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GuestPointer):
            return NotImplemented
        return self._plugin is other._plugin and self.address == other.address

    def __lt__(self, other: GuestPointer) -> bool:
        return self - other < 0

    def __hash__(self) -> int:
        return hash((id(self._plugin), self.address))

    def __repr__(self) -> str:
        return f"GuestPointer({self.address:#010x})"

    # -- reading -------------------------------------------------------------------------------------------------

    def bytes(self, size: int) -> bytes:
        """A copy of ``size`` bytes."""
        if size < 0:
            raise ValueError(f"size must be 0 or more, not {size}")
        return self._space.read(self.address, size)

    def string(self, *, most: int = 1 << 20) -> bytes:  # type: ignore[valid-type]
        """The bytes up to a zero byte. Raises ValueError when there is none within ``most`` bytes."""
        return self._space.read_string(self.address, most=most)

    def unpack(self, format: str) -> tuple[Any, ...]:  # noqa: A002 - struct's word
        """Values in a format of :mod:`struct`, "<" if it says nothing else."""
        layout = struct.Struct(_little_endian(format))
        return layout.unpack(self.bytes(layout.size))

    def read_u8(self) -> int:
        """One byte."""
        return self._space.read_u8(self.address)

    def read_u16(self) -> int:
        """A little-endian 16-bit word."""
        return self._space.read_u16(self.address)

    def read_u32(self) -> int:
        """A little-endian 32-bit word."""
        return self._space.read_u32(self.address)

    def read_u64(self) -> int:
        """A little-endian 64-bit word."""
        return self._space.read_u64(self.address)

    def read_i32(self) -> int:
        """The same as a signed number."""
        return int(_I32.unpack(self.bytes(4))[0])

    def read_i64(self) -> int:
        """The same as a signed number."""
        return int(_I64.unpack(self.bytes(8))[0])

    def read_f64(self) -> float:
        """A double."""
        return float(_F64.unpack(self.bytes(8))[0])

    def read_pointer(self) -> GuestPointer:
        """The pointer that is there."""
        other = GuestPointer(self._plugin, self.read_u32())
        other._generation = self._generation
        return other

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:  # type: ignore[valid-type]
        """Store bytes, all of them or nothing."""
        self._space.write(self.address, memoryview(data).cast("B"))

    def pack(self, format: str, *values: Any) -> None:  # noqa: A002 - struct's word
        """Store values in a format of :mod:`struct`, which raises struct.error for what does not fit."""
        self.write(struct.pack(_little_endian(format), *values))

    def write_u8(self, value: int) -> None:
        """Store the low byte of ``value``."""
        self._space.write_u8(self.address, value)

    def write_u16(self, value: int) -> None:
        """Store the low 16 bits of ``value``."""
        self._space.write_u16(self.address, value)

    def write_u32(self, value: int) -> None:
        """Store the low 32 bits of ``value``."""
        self._space.write_u32(self.address, value)

    def write_u64(self, value: int) -> None:
        """Store the low 64 bits of ``value``."""
        self._space.write_u64(self.address, value)

    def write_f64(self, value: float) -> None:
        """Store a double."""
        self.write(_F64.pack(value))

    def write_pointer(self, value: GuestPointer | None) -> None:
        """Store a pointer into the same plug-in, or the null pointer."""
        self.write_u32(0 if value is None else value.address_in(self._plugin))


def _little_endian(format: str) -> str:  # noqa: A002 - struct's word
    return format if format[:1] in ("<", ">", "!", "=") else "<" + format
