"""Members by their local headers alone, from an archive whose central directory is missing or damaged.

Modes, owners and decoders of files that this package packed are in their local headers, too, but for the mode, which only the
directory has. The time that this takes is proportional to the size of the file, whatever is in it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from vx32py.archive import extras, records
from vx32py.archive.bytestore import PIECE, Bytes
from vx32py.archive.members import MOST_MEMBERS, Member, decode_name, from_dos_time
from vx32py.archive.records import LocalHeader

_HEADER: Final = re.compile(re.escape(records.LOCAL))
#: What can follow data whose size the local header does not tell.
_BEHIND: Final = re.compile(b"PK(?:\\x07\\x08|\\x03\\x04|\\x01\\x02|\\x05\\x06|\\x06\\x06)")
_DIRECTORY: Final = (records.CENTRAL, records.END, records.END64)


def members(source: Bytes, end: int) -> Iterator[Member]:
    """The members whose local headers are found before ``end``, one behind the other."""
    at = 0
    most = MOST_MEMBERS
    while at < end and most:
        header = LocalHeader.unpack(source.read_at(at, records.LOCAL_SIZE))
        if header is None:
            if source.read_at(at, 4) in _DIRECTORY:
                return
            at = _search(source, _HEADER, at + 1, end)[0]
            continue
        member, at = _member(source, header, at, end)
        if member is not None:
            most -= 1
            yield member


def _member(source: Bytes, header: LocalHeader, at: int, end: int) -> tuple[Member | None, int]:
    """The member of a local header (None for a decoder), and where to go on."""
    name_at = at + records.LOCAL_SIZE
    raw_name = source.read_at(name_at, header.name_length)
    extra = source.read_at(name_at + header.name_length, header.extra_length)
    found, problems = extras.read(
        extra, size=header.size, compressed_size=header.compressed_size, offset=0, raw_name=raw_name
    )
    data_at = name_at + header.name_length + header.extra_length
    if data_at > end:
        return None, end  # the header itself is cut off
    crc, size, compressed_size = header.crc, found.size, found.compressed_size
    behind = data_at + compressed_size
    if header.flags & records.DESCRIBED and not compressed_size:
        described = _described(source, data_at, end)
        if described is None:
            behind = _search(source, _BEHIND, data_at, end)[0]
            problems.append("its size is not known: the central directory would tell")
        else:
            crc, compressed_size, size, behind = described
    if not header.name_length:
        return None, behind
    flags = header.flags & ~records.DESCRIBED
    try:
        # Nothing says which system made it; those that do not set the flag write UTF-8 all the same, mostly.
        name = found.name if found.name is not None else decode_name(raw_name, flags, records.MADE_BY)
    except UnicodeDecodeError:
        name = raw_name.decode("utf-8", "backslashreplace")
        problems.append("its name is not UTF-8, and the archive says that it is")
    member = Member(
        name=name, raw_name=raw_name, method=header.method, flags=header.flags, mode=0,
        mtime=found.mtime if found.mtime is not None else from_dos_time(header.time), uid=found.uid, gid=found.gid,
        size=size, compressed_size=compressed_size, crc=crc, offset=at, decoder=found.decoder, extra=extra,
        dos_time=header.time, recovered=True, problems=problems,
    )  # fmt: skip
    return member, max(behind, data_at)


def _described(source: Bytes, start: int, end: int) -> tuple[int, int, int, int] | None:
    """CRC-32, compressed size, size, and where the data descriptor ends that says them (4.3.9). The search ends at the next
    thing that looks like a header, so that the time that all searches take is that of reading the file once."""
    at, signature = _search(source, _BEHIND, start, end)
    while signature == records.DESCRIPTOR:
        fields = source.read_at(at + 4, 20)
        for form in ("<III", "<IQQ"):
            length = struct.calcsize(form)
            if len(fields) >= length:
                crc, compressed, size = struct.unpack_from(form, fields)
                if compressed == at - start:
                    return crc, compressed, size, at + 4 + length
        at, signature = _search(source, _BEHIND, at + 4, end)
    return None


def _search(source: Bytes, pattern: re.Pattern[bytes], at: int, end: int) -> tuple[int, bytes]:
    """Where the next signature is, and which; the end where there is none."""
    while at < end:
        piece = source.read_at(at, min(PIECE, end - at))
        found = pattern.search(piece)
        if found:
            return at + found.start(), found.group()
        if len(piece) < 4:
            break
        at += len(piece) - 3
    return end, b""
