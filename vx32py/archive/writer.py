"""Writer: decoders and members one behind the other, and the central directory at the end.

Sizes and checksums are known before a member is written, so nothing is ever corrected, and the output need not seek.
"""

from __future__ import annotations

import hashlib
import stat
import zlib
from collections.abc import Iterable
from typing import BinaryIO, Final

from reference.records import dataclass, replace
from vx32py.archive import extras, records
from vx32py.archive.errors import ArchiveError
from vx32py.archive.extras import Reference
from vx32py.archive.members import to_dos_time
from vx32py.archive.records import MAX32, CentralHeader, End, LocalHeader

#: The attribute of a directory, as DOS has it.
_DOS_DIRECTORY: Final = 0x10
#: 1 January 1980: decoders have no time, so that the same archive is always the same bytes.
_NO_TIME: Final = 0x0021_0000


@dataclass(frozen=True, slots=True)
class Packed:
    """A member as it is to be written. ``data`` are the bytes in the archive, in pieces; ``mode`` is as in ``os.stat``."""

    name: bytes
    mode: int
    mtime: float
    uid: int | None
    gid: int | None
    method: int
    size: int
    compressed_size: int
    crc: int
    decoder: Reference | None = None


class Writer:
    """Writes an archive to ``output``, which has ``offset`` bytes of it already."""

    def __init__(self, output: BinaryIO, offset: int = 0) -> None:
        self._output = output
        self.offset = offset
        self._directory: list[bytes] = []
        self._decoders: dict[bytes, int] = {}

    def _write(self, data: bytes) -> None:
        self._output.write(data)
        self.offset += len(data)

    def decoder(self, codec: str, elf: bytes) -> tuple[int, bytes]:
        """Where a decoder is, and its SHA-256. It is written if the archive does not have it yet: as a deflated file
        without a name, which the directory does not mention."""
        digest = hashlib.sha256(elf).digest()
        if digest not in self._decoders:
            deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
            data = deflater.compress(elf) + deflater.flush()
            extra = extras.pack_decoder(codec, digest)
            header = LocalHeader(
                records.NEEDED[records.DEFLATE], 0, records.DEFLATE, _NO_TIME, zlib.crc32(elf), len(data), len(elf), 0,
                len(extra),
            )  # fmt: skip
            self._decoders[digest] = self.offset
            self._write(header.pack() + extra + data)
        return self._decoders[digest], digest

    def knows(self, digest: bytes, offset: int) -> None:
        """An archive that is added to has this decoder."""
        self._decoders.setdefault(digest, offset)

    def add(self, packed: Packed, data: Iterable[bytes]) -> None:
        """Write a member. Raises ArchiveError where ``data`` is not of the size and, if stored, of the CRC-32 that were said:
        then what has been written since is no archive."""
        offset = self.offset
        local, central = headers(packed, offset)
        self._write(local)
        count = crc = 0
        for piece in data:
            self._write(piece)
            count += len(piece)
            crc = zlib.crc32(piece, crc)
        if count != packed.compressed_size or (packed.method == records.STORED and crc != packed.crc):
            raise ArchiveError(f"{packed.name.decode('utf-8', 'replace')}: it was changed while it was being read")
        self._directory.append(central)

    def keep(self, entry: bytes) -> None:
        """A member that is there already: its entry in the directory."""
        self._directory.append(entry)

    def finish(self, comment: bytes = b"") -> None:
        """Write the central directory. Raises ValueError for a comment that is too long."""
        if len(comment) > records.MAX16:
            raise ValueError(f"a comment has at most {records.MAX16} bytes")
        start = self.offset
        for entry in self._directory:
            self._write(entry)
        self._write(End(len(self._directory), self.offset - start, start).pack(comment))


def headers(packed: Packed, offset: int) -> tuple[bytes, bytes]:
    """A member's local header and its entry in the directory."""
    common = extras.pack_time(packed.mtime)
    if packed.uid is not None and packed.gid is not None:
        common += extras.pack_owner(packed.uid, packed.gid)
    if packed.decoder is not None:
        common += packed.decoder.pack()
    local_extra = extras.pack_zip64(packed.size, packed.compressed_size, None) + common
    central_extra = extras.pack_zip64(packed.size, packed.compressed_size, offset) + common
    needed = records.NEEDED[packed.method]
    large = max(packed.size, packed.compressed_size) >= MAX32
    flags = 0 if packed.name.isascii() or not _is_utf8(packed.name) else records.UTF8
    local = LocalHeader(
        max(needed, records.NEEDED_ZIP64) if large else needed, flags, packed.method, to_dos_time(packed.mtime),
        packed.crc, MAX32 if large else packed.compressed_size, MAX32 if large else packed.size, len(packed.name),
        len(local_extra),
    )  # fmt: skip
    central = CentralHeader(
        records.MADE_BY, max(needed, records.NEEDED_ZIP64) if large or offset >= MAX32 else needed, flags,
        packed.method, local.time, packed.crc, min(packed.compressed_size, MAX32), min(packed.size, MAX32),
        len(packed.name), len(central_extra), 0, 0,
        packed.mode << 16 | (_DOS_DIRECTORY if stat.S_ISDIR(packed.mode) else 0), min(offset, MAX32),
    )  # fmt: skip
    return local.pack() + packed.name + local_extra, central.pack() + packed.name + central_extra


def with_decoder(packed: Packed, codec: str, place: tuple[int, bytes]) -> Packed:
    """The member with the place of its decoder, which is known when that is written."""
    if packed.decoder is None:
        return packed
    return replace(packed, decoder=replace(packed.decoder, codec=codec, offset=place[0], sha256=place[1]))


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
