"""Sources: archives in which all is right, to be damaged; and where in them each member lies."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Final

from conformance.archives import forge
from conformance.archives.forge import DEFLATED, DESCRIBED, STORED, UTF8, VX, Decoder, Entry, archive, extra

#: A decoder that turns bits 0, 2, 4 and 6 of every byte; tests/conformance/test_archives.py has its source.
XOR: Final = bytes.fromhex(
    "b80300000031d2b900a00408bb001000000f0585c07e2f89c6bf00a00408803755474875f9bf00a00408b8040000"
    "00ba0100000089f989f30f0585c07e1101c729c675e6ebba89c2b8010000000f05b801000000ba020000000f05"
)
LINK: Final = 0o120777 << 16
FOLDER: Final = 0o40755 << 16


@dataclass(frozen=True)
class Source:
    """An archive. ``contents`` is what its files are, as they are and decoded; ``regions`` where local header and data of
    each member are."""

    name: str
    data: bytes
    contents: dict[str, bytes]
    regions: dict[str, tuple[int, int]]


def xor(data: bytes) -> bytes:
    """What the decoder makes of data."""
    return bytes(byte ^ 0x55 for byte in data)


def all_sources() -> list[Source]:
    """The same ones every time."""
    return [_everything(), _everything(plain=False), _small(), _zip64(), _described(), _foreign(zipfile.ZIP_DEFLATED), _foreign(zipfile.ZIP_STORED)]  # fmt: skip


def _contents(count: int) -> list[bytes]:
    random_ = random.Random(7)  # noqa: S311 - the same contents every time
    return [random_.randbytes(20) + b"line %d\n" % i * random_.randrange(1, 60) for i in range(count)]


def _source(name: str, entries: list[Entry], *front: Decoder, **options: object) -> Source:
    data = archive(*front, *entries, **options)  # type: ignore[arg-type]
    starts = [entry.offset for entry in entries] + [data.find(b"PK\1\2")]
    regions = {entry.raw_name().decode(): span for entry, *span in zip(entries, starts, starts[1:], strict=False)}
    return Source(name, data, {e.raw_name().decode(): e.content for e in entries}, {n: (a, b) for n, (a, b) in regions.items()})  # fmt: skip


def _everything(*, plain: bool = True) -> Source:
    """Every kind of member; with or without a comment."""
    decoder = Decoder(forge.elf(XOR))
    texts = _contents(5)
    stamp = extra(0x5455, b"\1\0\0\0\x40") + extra(0x7875, b"\1\4" + bytes(4) + b"\4" + bytes(4))
    entries = [
        Entry("stored", texts[0], extra_central=stamp, extra_local=stamp), Entry("d/", external=FOLDER),
        Entry("d/deflated", texts[1], DEFLATED), Entry("d/link", b"deflated", external=LINK),
        Entry("décodé", texts[2], VX, xor(texts[2]), decoder=decoder, extra_central=stamp),
        Entry("d/media.xor", texts[3], STORED, decoder=decoder, decoded=xor(texts[3]), suffix=b".raw", reference={"cut": 4}),
        Entry("again", texts[4], VX, xor(texts[4]), decoder=decoder, external=0o100755 << 16), Entry("empty", b""),
    ]  # fmt: skip
    if plain:
        return _source("everything", entries, decoder)
    return _source("everything, with a comment", entries, decoder, comment=b"a comment")


def _small() -> Source:
    return _source("small", [Entry("a", b"content"), Entry("b", b"other content", DEFLATED)])


def _zip64() -> Source:
    texts = _contents(3)
    entries = []
    for name, text in zip("abc", texts, strict=True):
        sizes = struct.pack("<QQ", len(text), len(forge.deflate(text)))
        big = {"size": 0xFFFF_FFFF, "csize": 0xFFFF_FFFF}
        field = extra(1, sizes)
        entries.append(Entry(name, text, DEFLATED, local=big, central=big, extra_local=field, extra_central=field))
    most = {"entries": 0xFFFF, "here": 0xFFFF, "size": 0xFFFF_FFFF, "offset": 0xFFFF_FFFF}
    return _source("zip64", entries, end64={}, end=most)


def _described() -> Source:
    entries = []
    for name, text in zip("abc", _contents(3), strict=True):
        data = forge.deflate(text)
        descriptor = b"PK\7\x08" + struct.pack("<III", zlib.crc32(text), len(data), len(text))
        flags = UTF8 | DESCRIBED
        nothing = {"crc": 0, "size": 0, "csize": 0}
        entries.append(Entry(name, text, DEFLATED, flags=flags, local=nothing, descriptor=descriptor))
    return _source("described", entries)


def _foreign(method: int) -> Source:
    """As Python's zipfile writes it."""
    buffer, contents = io.BytesIO(), {f"n{i}": text for i, text in enumerate(_contents(4))}
    with zipfile.ZipFile(buffer, "w", method) as made:
        for name, text in contents.items():
            made.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text, method)
        starts = [info.header_offset for info in made.infolist()]
    starts.append(made.start_dir)
    regions = {name: (starts[i], starts[i + 1]) for i, name in enumerate(contents)}
    return Source(f"zipfile, method {method}", buffer.getvalue(), contents, regions)
