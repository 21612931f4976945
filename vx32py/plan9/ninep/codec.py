"""9P2000's messages and their bytes (intro(5)).

size[4] type[1] tag[2], and the fields of the type, little-endian; strings have their length (2 bytes) before them. What is
read is hostile: a message that is not exactly one of these raises :class:`BadMessage`.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from vx32py.plan9.chan import Qid

VERSION: Final = "9P2000"
NOTAG: Final = 0xFFFF
NOFID: Final = 0xFFFF_FFFF
#: IOHDRSZ: what reading and writing need besides the data.
IOHDRSZ: Final = 24
#: MAXWELEM.
MOST_NAMES: Final = 16
HEADER: Final = struct.Struct("<IBH")
_QID: Final = struct.Struct("<BIQ")
_STRING: Final = struct.Struct("<H")
_NUMBERS: Final = {
    "1": struct.Struct("<B"),
    "2": struct.Struct("<H"),
    "4": struct.Struct("<I"),
    "8": struct.Struct("<Q"),
}

#: Type: name, and its fields: 1, 2, 4, 8 bytes; s a string; q a qid; d data with a length of 4 bytes, n with one of 2;
#: w names and Q qids, whose number has 2 bytes.
_TYPES: Final[dict[int, tuple[str, tuple[tuple[str, str], ...]]]] = {
    100: ("Tversion", (("msize", "4"), ("version", "s"))),
    101: ("Rversion", (("msize", "4"), ("version", "s"))),
    102: ("Tauth", (("afid", "4"), ("uname", "s"), ("aname", "s"))),
    103: ("Rauth", (("aqid", "q"),)),
    104: ("Tattach", (("fid", "4"), ("afid", "4"), ("uname", "s"), ("aname", "s"))),
    105: ("Rattach", (("qid", "q"),)),
    107: ("Rerror", (("ename", "s"),)),
    108: ("Tflush", (("oldtag", "2"),)),
    109: ("Rflush", ()),
    110: ("Twalk", (("fid", "4"), ("newfid", "4"), ("wname", "w"))),
    111: ("Rwalk", (("wqid", "Q"),)),
    112: ("Topen", (("fid", "4"), ("mode", "1"))),
    113: ("Ropen", (("qid", "q"), ("iounit", "4"))),
    114: ("Tcreate", (("fid", "4"), ("name", "s"), ("perm", "4"), ("mode", "1"))),
    115: ("Rcreate", (("qid", "q"), ("iounit", "4"))),
    116: ("Tread", (("fid", "4"), ("offset", "8"), ("count", "4"))),
    117: ("Rread", (("data", "d"),)),
    118: ("Twrite", (("fid", "4"), ("offset", "8"), ("data", "d"))),
    119: ("Rwrite", (("count", "4"),)),
    120: ("Tclunk", (("fid", "4"),)),
    121: ("Rclunk", ()),
    122: ("Tremove", (("fid", "4"),)),
    123: ("Rremove", ()),
    124: ("Tstat", (("fid", "4"),)),
    125: ("Rstat", (("stat", "n"),)),
    126: ("Twstat", (("fid", "4"), ("stat", "n"))),
    127: ("Rwstat", ()),
}
_NUMBER_OF: Final = {name: number for number, (name, _) in _TYPES.items()}


class BadMessage(ValueError):
    """Bytes that are no message; or values that fit in none."""


class Message:
    """``name`` such as Twalk, ``tag``, and ``fields`` by name."""

    __slots__ = ("fields", "name", "tag")

    def __init__(self, name: str, tag: int, fields: dict[str, Any]) -> None:
        self.name = name
        self.tag = tag
        self.fields = fields

    def __getitem__(self, field: str) -> Any:
        """A field."""
        return self.fields[field]

    def __repr__(self) -> str:
        return f"<{self.name} {self.tag} {self.fields}>"


def pack(name: str, tag: int, /, **fields: Any) -> bytes:
    """The bytes of a message. Raises BadMessage for what does not fit.

    >>> pack("Tclunk", 1, fid=2).hex()
    '0b00000078010002000000'
    """
    number = _NUMBER_OF[name]
    try:
        body = b"".join([_pack_field(kind, fields[field]) for field, kind in _TYPES[number][1]])
        return HEADER.pack(HEADER.size + len(body), number, tag) + body
    except struct.error as error:
        raise BadMessage(f"{name}: {error}") from None


def _pack_field(kind: str, value: Any) -> bytes:
    data: bytes
    if kind in _NUMBERS:
        return _NUMBERS[kind].pack(value)
    if kind == "s":
        data = value.encode(errors="surrogateescape")
        return _STRING.pack(len(data)) + data
    if kind == "q":
        return _QID.pack(value.type, value.version, value.path)
    if kind in "dn":
        data = value
        return _NUMBERS["4" if kind == "d" else "2"].pack(len(data)) + data
    if len(value) > MOST_NAMES:
        raise BadMessage(f"{len(value)} names in a walk")
    return _STRING.pack(len(value)) + b"".join(_pack_field("s" if kind == "w" else "q", each) for each in value)


def unpack(data: bytes | memoryview) -> Message:
    """A message from its bytes, which are that message and nothing else. Raises BadMessage."""
    if len(data) < HEADER.size:
        raise BadMessage(f"a message of {len(data)} bytes")
    size, number, tag = HEADER.unpack_from(data)
    if size != len(data):
        raise BadMessage(f"a message of {len(data)} bytes that says that it has {size}")
    if number not in _TYPES:
        raise BadMessage(f"a message of type {number}")
    name, layout = _TYPES[number]
    here, fields = HEADER.size, {}
    for field, kind in layout:
        fields[field], here = _unpack_field(kind, data, here, name)
    if here != size:
        raise BadMessage(f"{name}: {size - here} bytes too many")
    return Message(name, tag, fields)


def _unpack_field(kind: str, data: bytes | memoryview, here: int, name: str) -> tuple[Any, int]:
    try:
        if kind in _NUMBERS:
            return _NUMBERS[kind].unpack_from(data, here)[0], here + _NUMBERS[kind].size
        if kind == "q":
            sort, version, path = _QID.unpack_from(data, here)
            return Qid(path, version, sort), here + _QID.size
        if kind in "sdn":
            length = _NUMBERS["4" if kind == "d" else "2"]
            (count,) = length.unpack_from(data, here)
            here += length.size
            piece = bytes(data[here : here + count])
            if len(piece) != count:
                raise BadMessage(f"{name}: {count} bytes, of which {len(piece)} are there")
            if kind == "s":
                if b"\0" in piece:
                    raise BadMessage(f"{name}: a zero byte in a string")
                return piece.decode(errors="surrogateescape"), here + count
            return piece, here + count
        (count,) = _STRING.unpack_from(data, here)
    except struct.error:
        raise BadMessage(f"{name}: too short") from None
    if count > MOST_NAMES:
        raise BadMessage(f"{name}: {count} names")
    here += _STRING.size
    found = []
    for _ in range(count):
        each, here = _unpack_field("s" if kind == "w" else "q", data, here, name)
        found.append(each)
    return found, here
