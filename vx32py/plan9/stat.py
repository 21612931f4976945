"""Directory entries as 9P2000 and the calls have them (stat(5)): little-endian, strings with their lengths before them.

size[2] type[2] dev[4] qid.type[1] qid.vers[4] qid.path[8] mode[4] atime[4] mtime[4] length[8] name[s] uid[s] gid[s] muid[s]
"""

from __future__ import annotations

import struct
from typing import Final

from reference.records import dataclass
from vx32py.plan9.chan import QTDIR, Qid
from vx32py.plan9.errors import Ebadstat, Error

_FIXED: Final = struct.Struct("<HHIBIQIIIQ")
_PLACE: Final = struct.Struct("<HHIBIQ")
_LENGTH: Final = struct.Struct("<H")
#: STATFIXLEN: with the lengths of the four strings.
LEAST: Final = _FIXED.size + 4 * _LENGTH.size
#: BIT16SZ: what can be asked for, to find out how much the rest is.
SIZE_BYTES: Final = 2
_MOST: Final = 0xFFFF
_ALL32: Final = 0xFFFF_FFFF
_ALL64: Final = 0xFFFF_FFFF_FFFF_FFFF
#: What packoldstat (/sys/src/9/port/sysfile.c) makes of it for programs before the fourth edition.
_OLD: Final = struct.Struct("<28s28s28sIIIIIQHH")


@dataclass(slots=True)
class Dir:
    """What stat(2) tells of a file. ``type`` is the letter of the device and ``dev`` its instance, which are the kernel's.
    In a change (wstat) the values here stand for "as it is"."""

    name: str = ""
    qid: Qid = Qid(_ALL64, _ALL32, 0xFF)
    mode: int = _ALL32
    atime: int = _ALL32
    mtime: int = _ALL32
    length: int = _ALL64
    uid: str = ""
    gid: str = ""
    muid: str = ""
    type: int = 0xFFFF
    dev: int = _ALL32

    def pack(self) -> bytes:
        """Its bytes. Raises Error for strings that are too long."""
        strings = b"".join(_string(text) for text in (self.name, self.uid, self.gid, self.muid))
        size = _FIXED.size + len(strings) - SIZE_BYTES
        if size > _MOST:
            raise Error(Ebadstat)
        return (
            _FIXED.pack(
                size, self.type & 0xFFFF, self.dev & _ALL32, self.qid.type & 0xFF, self.qid.version & _ALL32,
                self.qid.path & _ALL64, self.mode & _ALL32, self.atime & _ALL32, self.mtime & _ALL32,
                self.length & _ALL64,
            )
            + strings
        )  # fmt: skip

    def pack_old(self) -> bytes:
        """The same for programs before the fourth edition."""
        path = self.qid.path & 0x7FFF_FFFF | (0x8000_0000 if self.qid.type & QTDIR else 0)
        texts = [text.encode(errors="surrogateescape") for text in (self.name, self.uid, self.gid)]
        return _OLD.pack(
            *texts, path, self.qid.version & _ALL32, self.mode & _ALL32, self.atime & _ALL32, self.mtime & _ALL32,
            self.length & _ALL64, self.type & 0xFFFF, self.dev & 0xFFFF,
        )  # fmt: skip

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> Dir:
        """From bytes, which are one entry and nothing else. Raises Error."""
        found, end = cls.unpack_from(data, 0)
        if end != len(data):
            raise Error(Ebadstat)
        return found

    @classmethod
    def unpack_from(cls, data: bytes | memoryview, start: int) -> tuple[Dir, int]:
        """The entry at ``start``, and where it ends. Raises Error."""
        if len(data) - start < LEAST:
            raise Error(Ebadstat)
        fixed = _FIXED.unpack_from(data, start)
        end = start + SIZE_BYTES + fixed[0]
        if end > len(data):
            raise Error(Ebadstat)
        here, texts = start + _FIXED.size, []
        for _ in range(4):
            if here + _LENGTH.size > end:
                raise Error(Ebadstat)
            (length,) = _LENGTH.unpack_from(data, here)
            here += _LENGTH.size
            if here + length > end:
                raise Error(Ebadstat)
            texts.append(bytes(data[here : here + length]).decode(errors="surrogateescape"))
            here += length
        if here != end or "\0" in "".join(texts):
            raise Error(Ebadstat)
        name, uid, gid, muid = texts
        qid = Qid(fixed[5], fixed[4], fixed[3])
        mode, atime, mtime, length = fixed[6:]
        return cls(name, qid, mode, atime, mtime, length, uid, gid, muid, fixed[1], fixed[2]), end


def unpack_all(data: bytes) -> list[Dir]:
    """The entries of a directory. Raises Error."""
    found, here = [], 0
    while here < len(data):
        entry, here = Dir.unpack_from(data, here)
        found.append(entry)
    return found


def split(data: bytes, *, ours: bool = False) -> list[bytes]:
    """The same, entry by entry, unread; ``ours``: this package has made them. Raises Error."""
    pieces, here = [], 0
    while here < len(data):
        end = here + SIZE_BYTES + _LENGTH.unpack_from(data, here)[0] if ours else Dir.unpack_from(data, here)[1]
        pieces.append(data[here:end])
        here = end
    return pieces


def place_of(entry: bytes) -> tuple[str, int, int]:
    """Which file an entry is of, among all of a kernel: see :attr:`vx32py.plan9.chan.Chan.key`."""
    _, kind, dev, _, _, path = _PLACE.unpack_from(entry)
    return chr(kind), dev, path


def _string(text: str) -> bytes:
    data = text.encode(errors="surrogateescape")
    if len(data) > _MOST:
        raise Error(Ebadstat)
    return _LENGTH.pack(len(data)) + data
