"""Forge: ZIP archives in which every field can be a lie.

Written from APPNOTE.TXT 6.3.10 (sections 4.3 to 4.6) and docs/archive.md with :mod:`struct` alone: nothing of
:mod:`vx32py.archive` is used, so that a mistake there is not made here again. A field that is not given is as it should be.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

#: External attributes of a plain file, as Unix writes them.
FILE: Final = 0o100644 << 16
UTF8: Final = 1 << 11
DESCRIBED: Final = 1 << 3
STORED, DEFLATED, VX = 0, 8, 0x5856

Fields = dict[str, Any]

#: The fixed fields of the records, in their order.
LOCAL: Final = ("<4s5H3I2H", "signature needed flags method time date crc csize size name_length extra_length")
CENTRAL: Final = (
    "<4s6H3I5H2I",
    "signature made_by needed flags method time date crc csize size name_length extra_length comment_length disk internal external offset",
)
END: Final = ("<4s4H2IH", "signature disk start_disk here entries size offset comment_length")
END64: Final = ("<4sQ2H2I4Q", "signature record_size made_by needed disk start_disk here entries size offset")
LOCATOR: Final = ("<4sIQI", "signature disk offset disks")
#: The archive's own extra field 0x7856, but for its two names.
REFERENCE: Final = ("<BBQ32sQ32sB", "version flags offset sha256 size content cut")


def record(layout: tuple[str, str], honest: Fields, forged: Fields | None = None) -> bytes:
    """A record with honest fields, some of them forged; ``raw`` replaces all of it."""
    form, names = layout
    values = honest | (forged or {})
    if "raw" in values:
        return bytes(values["raw"])
    unknown = values.keys() - names.split()
    if unknown:
        raise ValueError(f"no such fields: {unknown}")
    return struct.pack(form, *(values[name] for name in names.split()))


def deflate(data: bytes, level: int = 9) -> bytes:
    """A raw deflate stream."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


def extra(identifier: int, content: bytes, *, length: int | None = None) -> bytes:
    """An extra field, with another length than it has if one is given."""
    return struct.pack("<HH", identifier, len(content) if length is None else length) + content


def elf(code: bytes, *, memory: int = 0x10000) -> bytes:
    """An ELF program: ``code`` at 0x08049000, where it begins, and ``memory`` writable bytes at 0x0804A000."""
    start = 0x0804_9000
    header = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, start, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    loads = struct.pack("<8I", 1, 0x1000, start, start, len(code), len(code), 5, 0x1000)
    loads += struct.pack("<8I", 1, 0, start + 0x1000, start + 0x1000, 0, memory, 6, 0x1000)
    return (header + loads).ljust(0x1000, b"\0") + code


@dataclass
class Decoder:
    """A decoder in an archive: a deflated pseudo-file without a name that no directory has."""

    program: bytes
    codec: str = "xor"
    payload: bytes | None = None
    method: int = DEFLATED
    local: Fields = field(default_factory=dict)
    #: Where it is; known once it has been put into an archive, and what a reference says unless it is forged.
    offset: int = 0

    @property
    def sha256(self) -> bytes:
        """The digest of the program."""
        return hashlib.sha256(self.program).digest()


@dataclass
class Entry:
    """A member. ``content`` is what standard tools extract, ``payload`` its compressed form. With ``decoder``, what that
    decoder is said to make of the payload is ``decoded``. ``local``, ``central`` and ``reference`` forge fields."""

    name: bytes | str
    content: bytes = b""
    method: int = STORED
    payload: bytes | None = None
    external: int = FILE
    made_by: int = 3 << 8 | 63
    flags: int = UTF8
    local: Fields = field(default_factory=dict)
    central: Fields = field(default_factory=dict)
    extra_local: bytes = b""
    extra_central: bytes = b""
    decoder: Decoder | None = None
    decoded: bytes | None = None
    suffix: bytes = b""
    reference: Fields = field(default_factory=dict)
    #: A whole extra field instead of the honest reference.
    reference_field: bytes | None = None
    comment: bytes = b""
    descriptor: bytes = b""
    in_directory: bool = True
    #: How often its payload and header are written: 0 for a name in the directory alone.
    in_data: bool = True
    #: Directory entries that share the local header of this one.
    sharing: Sequence[Entry] = ()
    offset: int = 0

    def raw_name(self) -> bytes:
        """Its name in the archive."""
        return self.name.encode() if isinstance(self.name, str) else self.name

    def data(self) -> bytes:
        """Its data in the archive."""
        if self.payload is not None:
            return self.payload
        return deflate(self.content) if self.method == DEFLATED else self.content

    def numbers(self) -> Fields:
        """The fields that both headers have."""
        return {
            "needed": 20, "flags": self.flags, "method": self.method, "time": 0, "date": 0x21, "crc": zlib.crc32(self.content),
            "csize": len(self.data()), "size": len(self.content), "name_length": len(self.raw_name()),
        }  # fmt: skip

    def own_extra(self) -> bytes:
        """The reference to its decoder."""
        if self.reference_field is not None:
            return self.reference_field
        if self.decoder is None:
            return b""
        return reference(self)


def reference(entry: Entry) -> bytes:
    """The extra field that names a member's decoder."""
    decoder = entry.decoder
    assert decoder is not None
    decoded = entry.content if entry.decoded is None else entry.decoded
    forged = dict(entry.reference)
    codec = forged.pop("codec", decoder.codec.encode())
    suffix = forged.pop("suffix", entry.suffix)
    names = forged.pop("names", bytes([len(codec)]) + codec + bytes([len(suffix)]) + suffix)
    honest: Fields = {
        "version": 1, "flags": int(entry.method == STORED), "offset": decoder.offset, "sha256": decoder.sha256,
        "size": len(decoded), "content": hashlib.sha256(decoded).digest(), "cut": 0,
    }  # fmt: skip
    return extra(0x7856, record(REFERENCE, honest, forged) + names)


def archive(
    *parts: Entry | Decoder | bytes,
    end: Fields | None = None,
    end64: Fields | None = None,
    locator: Fields | None = None,
    comment: bytes = b"",
    before_directory: bytes = b"",
    after_directory: bytes = b"",
) -> bytes:
    """Entries, decoders and raw bytes, one behind the other, with directory and end. ``end64`` and ``locator`` add the records of
    ZIP64, with forged fields."""
    made = bytearray()
    entries: list[Entry] = []
    for part in parts:
        if isinstance(part, bytes):
            made += part
            continue
        part.offset = len(made)
        if isinstance(part, Decoder):
            made += _decoder(part)
            continue
        if part.in_data:
            made += _local(part)
        for sharing in part.sharing:
            sharing.offset = part.offset
        entries += [part, *part.sharing]
    made += before_directory
    start = len(made)
    listed = [entry for entry in entries if entry.in_directory]
    for entry in listed:
        made += _central(entry)
    size = len(made) - start
    made += after_directory
    numbers: Fields = {
        "disk": 0, "start_disk": 0, "here": len(listed), "entries": len(listed), "size": size, "offset": start,
    }  # fmt: skip
    if end64 is not None or locator is not None:
        at = len(made)
        own: Fields = numbers | {"signature": b"PK\6\6", "record_size": 44, "made_by": 0x33F, "needed": 45}
        made += record(END64, own, end64)
        made += record(LOCATOR, {"signature": b"PK\6\7", "disk": 0, "offset": at, "disks": 1}, locator)
    numbers |= {"signature": b"PK\5\6", "comment_length": len(comment)}
    return bytes(made + record(END, numbers, end) + comment)


def _decoder(decoder: Decoder) -> bytes:
    payload = decoder.payload
    if payload is None:
        payload = deflate(decoder.program) if decoder.method == DEFLATED else decoder.program
    codec = decoder.codec.encode()
    own = extra(0x7856, struct.pack("<BB32s", 1, 1 << 7, decoder.sha256) + bytes([len(codec)]) + codec)
    honest: Fields = {
        "signature": b"PK\3\4", "needed": 20, "flags": 0, "method": decoder.method, "time": 0, "date": 0x21,
        "crc": zlib.crc32(decoder.program), "csize": len(payload), "size": len(decoder.program), "name_length": 0,
        "extra_length": len(own),
    }  # fmt: skip
    return record(LOCAL, honest, decoder.local) + own + payload


def _local(entry: Entry) -> bytes:
    own = entry.own_extra() + entry.extra_local
    honest = entry.numbers() | {"signature": b"PK\3\4", "extra_length": len(own)}
    forged = dict(entry.local)
    name: bytes = forged.pop("name", entry.raw_name())
    return record(LOCAL, honest, forged) + name + own + entry.data() + entry.descriptor


def _central(entry: Entry) -> bytes:
    own = entry.own_extra() + entry.extra_central
    honest = entry.numbers() | {
        "signature": b"PK\1\2", "made_by": entry.made_by, "extra_length": len(own), "comment_length": len(entry.comment),
        "disk": 0, "internal": 0, "external": entry.external, "offset": entry.offset,
    }  # fmt: skip
    forged = dict(entry.central)
    name: bytes = forged.pop("name", entry.raw_name())
    return record(CENTRAL, honest, forged) + name + own + entry.comment
