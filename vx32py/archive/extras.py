"""Extra fields: what a ZIP header says of a member beyond its own columns.

Written: ZIP64 sizes 0x0001, extended timestamp 0x5455, Unix owner 0x7875, NTFS times 0x000A where 0x5455 has too few bits,
and the archive's own 0x7856. Read as well: ASi Unix 0x756E, Unicode path 0x7075. Layouts: APPNOTE.TXT 4.5 and 4.6, Info-ZIP's
proginfo/extrafld.txt; the one of 0x7856 is in docs/archive.md.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from reference.records import dataclass
from vx32py.archive.records import MAX32

ZIP64: Final = 0x0001
NTFS: Final = 0x000A
TIMESTAMP: Final = 0x5455
UNICODE_PATH: Final = 0x7075
ASI_UNIX: Final = 0x756E
UNIX: Final = 0x7875
#: "Vx": which decoder reads a member. Not an identifier that PKWARE or Info-ZIP have given to somebody.
DECODER: Final = 0x7856

#: The version of the archive's own field.
VERSION: Final = 1
#: Its flags: the member is a file that was compressed before it came into the archive, stored as it is; and the field
#: belongs to a decoder, not to a member.
PRECOMPRESSED: Final = 1 << 0
IS_DECODER: Final = 1 << 7

#: 100 ns between 1601, where NTFS begins to count, and 1970.
_NTFS_EPOCH: Final = 116_444_736_000_000_000
_CODEC_NAME = re.compile(rb"[a-z0-9][a-z0-9._+-]{0,31}")
#: What a decoded file's name may end with.
_SUFFIX = re.compile(r"(\.[A-Za-z0-9_+-]{1,16}){0,2}")

_REFERENCE = struct.Struct("<BBQ32sQ32sB")
_OWN = struct.Struct("<BB32s")


class BadExtra(ValueError):
    """An extra field that cannot be read. One line."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Which decoder reads a member, and what must come out of it: the content of extra field 0x7856.

    ``offset`` is where the decoder's local header is, ``sha256`` the SHA-256 of its ELF file. ``size`` and ``content`` are the
    number of bytes and the SHA-256 of what it makes of the member's data. A decoded file is called as the member, without
    the last ``cut`` bytes of its name, and with ``suffix``.
    """

    codec: str
    offset: int
    sha256: bytes
    size: int
    content: bytes
    precompressed: bool
    cut: int = 0
    suffix: str = ""

    def pack(self) -> bytes:
        """The extra field, with its header."""
        codec, suffix = self.codec.encode(), self.suffix.encode()
        check_codec_name(self.codec)
        flags = PRECOMPRESSED if self.precompressed else 0
        fixed = _REFERENCE.pack(VERSION, flags, self.offset, self.sha256, self.size, self.content, self.cut)
        return pack(DECODER, fixed + bytes([len(codec)]) + codec + bytes([len(suffix)]) + suffix)

    @classmethod
    def unpack(cls, data: bytes) -> Reference:
        """From the content of a field. Bytes behind what this version has are ignored. Raises BadExtra."""
        if len(data) < _REFERENCE.size:
            raise BadExtra("its decoder record is too short")
        version, flags, offset, sha256, size, content, cut = _REFERENCE.unpack_from(data)
        if version != VERSION:
            raise BadExtra(f"its decoder record has version {version}; known is {VERSION}")
        if flags & ~PRECOMPRESSED:
            raise BadExtra(f"its decoder record has unknown flags {flags:#04x}")
        codec, at = _text(data, _REFERENCE.size)
        suffix, _ = _text(data, at)
        if not _CODEC_NAME.fullmatch(codec):
            raise BadExtra("its decoder record has no proper name of a codec")
        try:
            text = suffix.decode("ascii")
        except UnicodeDecodeError:
            text = "?"
        if not _SUFFIX.fullmatch(text):
            raise BadExtra("its decoder record has no proper suffix for the decoded file")
        return cls(codec.decode(), offset, sha256, size, content, bool(flags & PRECOMPRESSED), cut, text)


def check_codec_name(name: str) -> None:
    """Raises ValueError for what cannot name a codec.

    >>> check_codec_name("JPEG 2000")
    Traceback (most recent call last):
    ValueError: a codec's name is at most 32 of a-z 0-9 . _ + -, not 'JPEG 2000'
    """
    if not _CODEC_NAME.fullmatch(name.encode(errors="replace")):
        raise ValueError(f"a codec's name is at most 32 of a-z 0-9 . _ + -, not {name!r}")


def check_suffix(suffix: str) -> None:
    """Raises ValueError for what a decoded file's name cannot end with."""
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"a suffix is such as '.wav', not {suffix!r}")


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes that their number stands before, and where they end."""
    if at >= len(data) or at + 1 + data[at] > len(data):
        raise BadExtra("its decoder record is too short")
    end = at + 1 + data[at]
    return data[at + 1 : end], end


def pack_decoder(codec: str, sha256: bytes) -> bytes:
    """The field in a decoder's own local header, for people and programs that look for decoders without a directory."""
    check_codec_name(codec)
    return pack(DECODER, _OWN.pack(VERSION, IS_DECODER, sha256) + bytes([len(codec)]) + codec.encode())


def pack(identifier: int, content: bytes) -> bytes:
    """An extra field."""
    return struct.pack("<HH", identifier, len(content)) + content


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a header's extra part: identifier and content. Raises BadExtra where they are not whole.

    Up to three bytes of nothing at the end are common (Android's zipalign) and harmless.
    """
    at = 0
    while len(data) - at >= 4:
        identifier, length = struct.unpack_from("<HH", data, at)
        if at + 4 + length > len(data):
            raise BadExtra(f"extra field {identifier:#06x} is longer than the header's extra part")
        yield identifier, data[at + 4 : at + 4 + length]
        at += 4 + length
    if data[at:].strip(b"\0"):
        raise BadExtra("its extra part ends in the middle of a field")


@dataclass(slots=True)
class Extras:
    """What the extra part of a header says. Sizes and offset are the header's own, or ZIP64's in their place."""

    size: int
    compressed_size: int
    offset: int
    mtime: float | None = None
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    link: bytes | None = None
    name: str | None = None
    decoder: Reference | None = None


def read(data: bytes, *, size: int, compressed_size: int, offset: int, raw_name: bytes) -> tuple[Extras, list[str]]:
    """What an extra part says, and what is wrong with it. ``size``, ``compressed_size`` and ``offset`` are the header's."""
    found = Extras(size, compressed_size, offset)
    problems: list[str] = []
    ntfs: float | None = None
    seen: set[int] = set()
    wants_zip64 = MAX32 in {size, compressed_size, offset}
    try:
        for identifier, content in fields(data):
            if identifier in {ZIP64, DECODER} and identifier in seen:
                problems.append(f"two extra fields {identifier:#06x}")
                break
            seen.add(identifier)
            if identifier == ZIP64:
                _read_zip64(found, content)
            elif identifier == TIMESTAMP and len(content) >= 5 and content[0] & 1:
                found.mtime = float(struct.unpack_from("<i", content, 1)[0])
            elif identifier == NTFS:
                ntfs = _ntfs_mtime(content)
            elif identifier == UNIX:
                _read_unix(found, content)
            elif identifier == ASI_UNIX:
                _read_asi(found, content)
            elif identifier == UNICODE_PATH and len(content) > 5 and content[0] == 1:
                if struct.unpack_from("<I", content, 1)[0] == zlib.crc32(raw_name):
                    found.name = content[5:].decode("utf-8")
            elif identifier == DECODER:
                found.decoder = Reference.unpack(content)
    except BadExtra as error:
        problems.append(str(error))
    except UnicodeDecodeError:
        problems.append("its Unicode name is not UTF-8")
    if wants_zip64 and ZIP64 not in seen:
        problems.append("it has no ZIP64 sizes, and its header says that it has")
    if ntfs is not None:
        found.mtime = ntfs  # more exact, and no end in 2038
    return found, problems


def _read_zip64(found: Extras, content: bytes) -> None:
    """The numbers that the header has no room for, in this order, and only those (APPNOTE 4.5.3)."""
    at = 0
    for name in ("size", "compressed_size", "offset"):
        if getattr(found, name) == MAX32:
            if at + 8 > len(content):
                raise BadExtra("its ZIP64 field is too short")
            setattr(found, name, struct.unpack_from("<Q", content, at)[0])
            at += 8


def _read_unix(found: Extras, content: bytes) -> None:
    """Version 1: the number of bytes of the user number, and it; the same for the group."""
    if len(content) < 3 or content[0] != 1:
        return
    width = content[1]
    end = 2 + width
    if end >= len(content) or end + 1 + content[end] > len(content):
        raise BadExtra("its Unix owner field is too short")
    uid = int.from_bytes(content[2:end], "little")
    gid = int.from_bytes(content[end + 1 : end + 1 + content[end]], "little")
    if uid < MAX32 and gid < MAX32:
        found.uid, found.gid = uid, gid


def _read_asi(found: Extras, content: bytes) -> None:
    """CRC-32 of the rest; mode, size or device, uid, gid, the target of a link."""
    if len(content) < 14 or zlib.crc32(content[4:]) != struct.unpack_from("<I", content)[0]:
        return
    found.mode, _, found.uid, found.gid = struct.unpack_from("<HIHH", content, 4)
    found.link = content[14:] or None


def _ntfs_mtime(content: bytes) -> float | None:
    """Four reserved bytes, then attributes; number 1 is modification, access and creation time."""
    at = 4
    while at + 4 <= len(content):
        tag, length = struct.unpack_from("<HH", content, at)
        if tag == 1 and length >= 24 and at + 12 <= len(content):
            ticks = int(struct.unpack_from("<Q", content, at + 4)[0])
            return (ticks - _NTFS_EPOCH) / 1e7
        at += 4 + length
    return None


def pack_time(mtime: float) -> bytes:
    """A modification time: as 0x5455, or as 0x000A before 1902 and after 2037."""
    seconds = int(mtime // 1)
    if -(1 << 31) <= seconds < 1 << 31:
        return pack(TIMESTAMP, struct.pack("<Bi", 1, seconds))
    ticks = min(max(seconds * 10**7 + _NTFS_EPOCH, 0), (1 << 64) - 1)
    return pack(NTFS, struct.pack("<IHH3Q", 0, 1, 24, ticks, ticks, ticks))


def pack_owner(uid: int, gid: int) -> bytes:
    """User and group as 0x7875."""
    return pack(UNIX, struct.pack("<BBIBI", 1, 4, uid, 4, gid))


def pack_zip64(size: int, compressed_size: int, offset: int | None) -> bytes:
    """The numbers that do not fit into a header, which has MAX32 in their places; nothing where all fit. ``offset`` is None
    in a local header: there both sizes are given if one is (APPNOTE 4.5.3)."""
    if offset is None:
        wanted = [size, compressed_size] if size >= MAX32 or compressed_size >= MAX32 else []
    else:
        wanted = [number for number in (size, compressed_size, offset) if number >= MAX32]
    return pack(ZIP64, struct.pack(f"<{len(wanted)}Q", *wanted)) if wanted else b""
