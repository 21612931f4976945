"""Member: what an archive says of one file, directory or link."""

from __future__ import annotations

import stat
import time
from typing import Final

from reference.records import dataclass, field
from vx32py.archive import records
from vx32py.archive.extras import Reference

#: So many members, or a directory is not read any further: each takes a kilobyte of memory.
MOST_MEMBERS: Final = 4_000_000
#: Of standard methods, the codec that reads them; a stored member needs none.
CODEC_OF: Final = {records.DEFLATE: "deflate", records.BZIP2: "bzip2", records.ZSTD: "zstd", records.XZ: "xz"}
#: The method under which a codec's stream is put into an archive.
METHOD_OF: Final = {codec: method for method, codec in CODEC_OF.items()} | {"brotli": records.VX}

_METHOD_NAMES: Final = {
    0: "stored", 1: "shrunk", 2: "reduced", 3: "reduced", 4: "reduced", 5: "reduced", 6: "imploded", 8: "deflate",
    9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 94: "mp3", 95: "xz", 96: "jpeg", 97: "wavpack", 98: "ppmd",
    99: "encrypted", records.VX: "vx",
}  # fmt: skip
#: 1980, where DOS dates begin, and how they say that.
_FIRST: Final = 315_532_800.0
_FIRST_DOS: Final = 0x0021_0000
#: The host systems whose upper half of the external attributes is a Unix mode: Unix, and OS X.
_UNIX_HOSTS: Final = {3, 19}


@dataclass(slots=True)
class Member:
    """A member as the central directory has it. Nothing here has been compared with the member's data yet.

    ``name`` is ``raw_name`` as text: UTF-8 where the archive says so, with ``/`` between the parts and at the end of a
    directory's. ``mode`` is as in ``os.stat``, type included; 0 where the archive has none. ``mtime`` is in seconds since
    1970, ``crc`` the CRC-32 of ``size`` bytes: of what standard tools extract. ``decoder`` says which decoder reads it, if
    one does. ``offset`` is where the local header is, in the file. ``problems`` is why it cannot be used; the
    first of several is the one to show.
    """

    name: str
    raw_name: bytes
    method: int
    flags: int
    mode: int
    mtime: float
    uid: int | None
    gid: int | None
    size: int
    compressed_size: int
    crc: int
    offset: int
    decoder: Reference | None = None
    link_target: bytes | None = None
    comment: bytes = b""
    extra: bytes = b""
    made_by: int = 0
    external: int = 0
    dos_time: int = 0
    #: Found by its local header alone, because the central directory is missing or damaged.
    recovered: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory: by its name, as for every other tool."""
        return self.raw_name.endswith(b"/")

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.mode) and not self.is_directory

    @property
    def is_file(self) -> bool:
        """Whether it is neither."""
        return not self.is_directory and not self.is_link

    @property
    def permissions(self) -> int | None:
        """The permission bits of its mode, or None where the archive has none."""
        return stat.S_IMODE(self.mode) if self.mode else None

    @property
    def owner(self) -> tuple[int | None, int | None, int]:
        """What must not change between two members for a decoder to go on: user, group and mode."""
        return self.uid, self.gid, self.mode

    @property
    def is_precompressed(self) -> bool:
        """Whether it came into the archive as a compressed file, and can be extracted as it is or decoded."""
        return self.decoder is not None and self.decoder.precompressed

    @property
    def decoded_name(self) -> str:
        """What the decoded file is called; the name itself where there is no other form of it."""
        if self.decoder is None or not self.decoder.precompressed:
            return self.name
        folder, slash, name = self.name.rpartition("/")
        kept = name[: len(name) - self.decoder.cut] if self.decoder.cut < len(name) else name
        decoded = kept + self.decoder.suffix
        return folder + slash + (decoded if decoded != name and decoded.strip(".") else name + ".decoded")

    @property
    def decoded_size(self) -> int:
        """How many bytes the decoded file has."""
        return self.decoder.size if self.decoder is not None and self.decoder.precompressed else self.size

    @property
    def method_name(self) -> str:
        """The method in a word; for a codec without a method of its own, the codec."""
        if self.method == records.VX and self.decoder is not None:
            return self.decoder.codec
        return _METHOD_NAMES.get(self.method, f"method {self.method}")


def decode_name(raw: bytes, flags: int, made_by: int) -> str:
    """A name as text. Without the UTF-8 flag, what Unix systems wrote is UTF-8 or bytes (as ``os.fsdecode`` has them), and
    what others wrote is code page 437 (APPNOTE, appendix D). Raises UnicodeDecodeError for UTF-8 that is none."""
    if flags & records.UTF8:
        return raw.decode("utf-8")
    if raw.isascii() or made_by >> 8 in _UNIX_HOSTS:
        return raw.decode("utf-8", "surrogateescape")
    return raw.decode("cp437")


def mode_of(made_by: int, external: int, name: bytes) -> int:
    """A member's mode from its external attributes; 0 where they have none."""
    if made_by >> 8 not in _UNIX_HOSTS or not external >> 16:
        return 0
    mode = external >> 16
    if not stat.S_IFMT(mode):
        mode |= stat.S_IFDIR if name.endswith(b"/") else stat.S_IFREG
    return mode


def from_dos_time(dos: int) -> float:
    """Seconds since 1970 of a DOS date and time, which is local; 1980 for what is no date.

    >>> time.localtime(from_dos_time(to_dos_time(1e9)))[:6] == time.localtime(1e9)[:6]
    True
    """
    date = dos >> 16
    fields = (
        1980 + (date >> 9), date >> 5 & 15, date & 31, dos >> 11 & 31, dos >> 5 & 63, (dos & 31) * 2, 0, 0, -1,
    )  # fmt: skip
    possible = 1 <= fields[1] <= 12 and 1 <= fields[2] <= 31 and fields[3] < 24 and fields[4] < 60
    try:
        return time.mktime(fields) if possible else _FIRST
    except (OverflowError, ValueError):
        return _FIRST


def to_dos_time(mtime: float) -> int:
    """DOS date and time, local, two seconds exact; the nearest there is, from 1980 to 2107."""
    try:
        local = time.localtime(mtime)
    except (OverflowError, ValueError, OSError):
        return _FIRST_DOS
    if local.tm_year < 1980:
        return _FIRST_DOS
    if local.tm_year > 2107:
        return 0xFF9F_BF7D
    date = (local.tm_year - 1980) << 9 | local.tm_mon << 5 | local.tm_mday
    return date << 16 | local.tm_hour << 11 | local.tm_min << 5 | min(local.tm_sec, 59) // 2
