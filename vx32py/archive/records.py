"""The records of a ZIP file: local headers, data descriptors, the central directory and its end, with and without ZIP64.

Names, order and sizes are those of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.6 to 4.3.16; all numbers are little-endian.
"""

from __future__ import annotations

import struct
from typing import Final

from reference.records import dataclass

LOCAL: Final = b"PK\3\4"
DESCRIPTOR: Final = b"PK\7\x08"
CENTRAL: Final = b"PK\1\2"
END: Final = b"PK\5\6"
END64: Final = b"PK\6\6"
LOCATOR64: Final = b"PK\6\7"

LOCAL_SIZE: Final = 30
CENTRAL_SIZE: Final = 46
END_SIZE: Final = 22
END64_SIZE: Final = 56
LOCATOR64_SIZE: Final = 20

#: In a field of 16 or 32 bits: look in the ZIP64 record (4.4.1.4).
MAX16: Final = 0xFFFF
MAX32: Final = 0xFFFF_FFFF

#: General purpose flags (4.4.4).
ENCRYPTED: Final = 1 << 0
DESCRIBED: Final = 1 << 3  # sizes and CRC-32 follow the data
PATCHED: Final = 1 << 5
UTF8: Final = 1 << 11
MASKED: Final = 1 << 13

#: Compression methods (4.4.5).
STORED: Final = 0
DEFLATE: Final = 8
BZIP2: Final = 12
ZSTD: Final = 93
XZ: Final = 95
#: "VX": a stream that only the member's own decoder reads. Not a method that PKWARE has given a number.
VX: Final = 0x5856

#: "version needed to extract" (4.4.3) of the methods, and of ZIP64 records.
NEEDED: Final = {STORED: 20, DEFLATE: 20, BZIP2: 46, ZSTD: 63, XZ: 63, VX: 63}
NEEDED_ZIP64: Final = 45
#: "version made by": Unix, and the version of the APPNOTE that this follows.
MADE_BY_UNIX: Final = 3
MADE_BY: Final = MADE_BY_UNIX << 8 | 63

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")


@dataclass(frozen=True, slots=True)
class LocalHeader:
    """What stands before a member's data (4.3.7). ``time`` is the DOS date in the high half, the DOS time in the low."""

    needed: int
    flags: int
    method: int
    time: int
    crc: int
    compressed_size: int
    size: int
    name_length: int
    extra_length: int

    @classmethod
    def unpack(cls, data: bytes) -> LocalHeader | None:
        """The header at the beginning of ``data``; None where there is none."""
        if len(data) < LOCAL_SIZE or data[:4] != LOCAL:
            return None
        _, needed, flags, method, time, date, crc, compressed, size, name, extra = _LOCAL.unpack_from(data)
        return cls(needed, flags, method, date << 16 | time, crc, compressed, size, name, extra)

    def pack(self) -> bytes:
        """The 30 bytes; name and extra field follow them."""
        return _LOCAL.pack(
            LOCAL, self.needed, self.flags, self.method, self.time & MAX16, self.time >> 16, self.crc,
            self.compressed_size, self.size, self.name_length, self.extra_length,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CentralHeader:
    """A member's entry in the central directory (4.3.12)."""

    made_by: int
    needed: int
    flags: int
    method: int
    time: int
    crc: int
    compressed_size: int
    size: int
    name_length: int
    extra_length: int
    comment_length: int
    disk: int
    external: int
    offset: int

    @classmethod
    def unpack(cls, data: bytes) -> CentralHeader | None:
        """The header at the beginning of ``data``; None where there is none."""
        if len(data) < CENTRAL_SIZE or data[:4] != CENTRAL:
            return None
        (_, made, needed, flags, method, time, date, crc, compressed, size, name, extra, comment, disk, _, external, offset) = (
            _CENTRAL.unpack_from(data)
        )  # fmt: skip
        return cls(
            made, needed, flags, method, date << 16 | time, crc, compressed, size, name, extra, comment, disk, external, offset
        )  # fmt: skip

    def pack(self) -> bytes:
        """The 46 bytes; name, extra field and comment follow them."""
        return _CENTRAL.pack(
            CENTRAL, self.made_by, self.needed, self.flags, self.method, self.time & MAX16, self.time >> 16, self.crc,
            self.compressed_size, self.size, self.name_length, self.extra_length, self.comment_length, self.disk, 0,
            self.external, self.offset,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class End:
    """The end of the central directory, of the old kind (4.3.16) or of ZIP64 (4.3.14)."""

    entries: int
    size: int
    offset: int
    comment_length: int = 0
    disk: int = 0

    @classmethod
    def unpack(cls, data: bytes) -> End | None:
        """The old record at the beginning of ``data``; None where there is none."""
        if len(data) < END_SIZE or data[:4] != END:
            return None
        _, disk, _, _, entries, size, offset, comment = _END.unpack_from(data)
        return cls(entries, size, offset, comment, disk)

    @classmethod
    def unpack64(cls, data: bytes) -> End | None:
        """The ZIP64 record at the beginning of ``data``; None where there is none."""
        if len(data) < END64_SIZE or data[:4] != END64:
            return None
        _, _, _, _, disk, _, _, entries, size, offset = _END64.unpack_from(data)
        return cls(entries, size, offset, 0, disk)

    @property
    def wants_zip64(self) -> bool:
        """Whether a field is too large for the old record, or stands for one in the ZIP64 record."""
        return self.entries >= MAX16 or self.size >= MAX32 or self.offset >= MAX32

    def pack(self, comment: bytes = b"") -> bytes:
        """The record, with a ZIP64 record and locator before it if it needs them. They are to be written at the end of
        the central directory, so at ``offset + size``."""
        front = b""
        if self.wants_zip64:
            end64 = _END64.pack(
                END64, END64_SIZE - 12, MADE_BY, NEEDED_ZIP64, 0, 0, self.entries, self.entries, self.size, self.offset
            )
            front = end64 + _LOCATOR64.pack(LOCATOR64, 0, self.offset + self.size, 1)
        entries = min(self.entries, MAX16)
        size, offset = min(self.size, MAX32), min(self.offset, MAX32)
        return front + _END.pack(END, 0, 0, entries, entries, size, offset, len(comment)) + comment


def unpack_locator64(data: bytes) -> int | None:
    """Where the ZIP64 end of the central directory is, from its locator (4.3.15); None where ``data`` is none."""
    if len(data) < LOCATOR64_SIZE or data[:4] != LOCATOR64:
        return None
    _, _, offset, _ = _LOCATOR64.unpack_from(data)
    return int(offset)
