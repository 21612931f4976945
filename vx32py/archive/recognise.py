"""Recognisers: which files are compressed already, by their first bytes, and what their decoded forms are called.

Whether a file really is what it looks like shows when its decoder has read all of it, which it does before the file goes into
an archive as one. Brotli streams have no mark at all: there the name is the only hint.
"""

from __future__ import annotations

import re
from typing import Final

from reference.records import dataclass

#: So many bytes of a file are enough to recognise it.
HEAD: Final = 64


@dataclass(frozen=True, slots=True)
class Format:
    """A format: ``mark`` is what files begin with, ``suffixes`` what names end with, and what that becomes in the name of
    the decoded file; ``otherwise`` is put behind names that end in no such way. ``by_name``: the mark is not enough."""

    codec: str
    mark: re.Pattern[bytes]
    suffixes: dict[str, str]
    otherwise: str = ""
    by_name: bool = False


def _format(codec: str, mark: bytes, suffixes: dict[str, str], otherwise: str = "", *, by_name: bool = False) -> Format:
    return Format(codec, re.compile(mark, re.DOTALL), suffixes, otherwise, by_name)


def _all(suffixes: str, becomes: str) -> dict[str, str]:
    return dict.fromkeys(suffixes.split(), becomes)


#: RFC 1952 2.3; bzip2's file format; xz's 2.1.1.1; RFC 8878 3.1.1; ITU T.81 B.1.1; T.800 I.5.1 and A.4.1; PNG 5.2; Vorbis I
#: 4.2.1 within RFC 3533 6; FLAC's RFC 9639 6; RFC 7932.
FORMATS: Final = (
    _format("gzip", rb"\x1f\x8b\x08", {".gz": "", ".tgz": ".tar", ".svgz": ".svg"}),
    _format("bzip2", rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)", {".bz2": "", ".tbz2": ".tar", ".tbz": ".tar"}),
    _format("xz", rb"\xfd7zXZ\0", {".xz": "", ".txz": ".tar"}),
    _format("zstd", rb"\x28\xb5\x2f\xfd", {".zst": "", ".tzst": ".tar"}),
    _format("jpeg", rb"\xff\xd8\xff", _all(".jpg .jpeg .jpe .jfif", ".bmp"), ".bmp"),
    _format("jp2", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _all(".jp2 .j2k .j2c .jpc .jpf .jpx", ".bmp"), ".bmp"),
    _format("png", rb"\x89PNG\r\n\x1a\n", {".png": ".bmp"}, ".bmp"),
    _format("vorbis", rb"OggS.{24}\x01vorbis", _all(".ogg .oga", ".wav"), ".wav"),
    _format("flac", rb"fLaC", _all(".flac .fla", ".wav"), ".wav"),
    _format("brotli", rb"", {".br": "", ".tbr": ".tar"}, by_name=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recognised:
    """A file's format, and the name of its decoded form: the file's without the last ``cut`` bytes, and with ``suffix``."""

    codec: str
    cut: int
    suffix: str


def recognise(head: bytes, name: str) -> Recognised | None:
    """What a file looks like that begins with ``head`` and is called ``name``; None for nothing in particular.

    >>> recognise(b"\\x1f\\x8b\\x08", "paper.tgz")
    Recognised(codec='gzip', cut=4, suffix='.tar')
    """
    for known in FORMATS:
        if known.mark.match(head):
            found = _named(known, name)
            if found is not None or not known.by_name:
                return found or Recognised(known.codec, 0, known.otherwise)
    return None


def naming(codec: str, name: str) -> tuple[int, str]:
    """How many bytes of a name the decoded form of a file of this codec is without, and what it ends with."""
    for known in FORMATS:
        if known.codec == codec:
            found = _named(known, name)
            return (0, known.otherwise) if found is None else (found.cut, found.suffix)
    return 0, ""


def _named(known: Format, name: str) -> Recognised | None:
    for suffix, becomes in known.suffixes.items():
        if name.lower().endswith(suffix):
            return Recognised(known.codec, len(suffix), becomes)
    return None
