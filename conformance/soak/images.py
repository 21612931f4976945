"""ELF images of guests that are written in assembly language."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final

from jit.assemble import assemble

#: Low, so that many guests have room beside each other.
BASE: Final = 0x0080_0000
#: Where the code begins, and on pages of its own behind it the data.
CODE: Final = BASE + 0x1000
DATA: Final = BASE + 0x2_0000
_READ, _WRITE, _EXECUTE = 4, 2, 1
_HEADER: Final = struct.Struct("<16s2H5I6H")
_PROGRAM_HEADER: Final = struct.Struct("<8I")
_PAGE: Final = 0x1000


def image(code: bytes, *, memory: int = 1 << 16, mutable: bool = False) -> bytes:
    """A static program: ``code`` at CODE, which it may write if it is ``mutable``, and ``memory`` bytes of zeros at DATA."""
    offset = _PAGE
    rights = _READ | _EXECUTE | (_WRITE if mutable else 0)
    headers = _PROGRAM_HEADER.pack(1, offset, CODE, CODE, len(code), len(code), rights, _PAGE)
    headers += _PROGRAM_HEADER.pack(1, 0, DATA, DATA, 0, memory, _READ | _WRITE, _PAGE)
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header = _HEADER.pack(ident, 2, 3, 1, CODE, _HEADER.size, 0, 0, _HEADER.size, _PROGRAM_HEADER.size, 2, 0, 0, 0)
    return (header + headers).ljust(offset, b"\0") + code


@lru_cache(256)
def assembled(text: str) -> bytes:
    """The machine code of a text; DATA and CODE are known to it."""
    return assemble(text, bits=32, constants={"DATA": DATA, "CODE": CODE}).code
