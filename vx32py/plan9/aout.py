"""a.out: the format of Plan 9's executables for the 386 (a.out(6)).

Eight big-endian words, the text, the data, the symbols. The header and the text are mapped together at 0x1000, the data at
the next page, zeros behind it (bss). The input is hostile: every number is checked before it is used.
"""

from __future__ import annotations

import struct
from functools import cached_property
from typing import Final

from reference.memory import page_ceil
from reference.records import dataclass
from reference.traps import Access
from vx32py._elf import Image, Symbol
from vx32py._elf import Segment as Part
from vx32py._errors import BadImage
from vx32py._module import Module

#: I_MAGIC: (((4*11)+0)*11)+7.
MAGIC: Final = 0x1EB
HEADER: Final = struct.Struct(">8I")
#: The other processors' (a.out(6)): ((((4 * n) + 0) * n) + 7), with a bit for headers of 64-bit programs.
_OTHERS: Final = {
    4 * number * number + 7 | wide << 15: name
    for number, wide, name in (
        (8, 0, "the 68020"), (13, 0, "the SPARC"), (16, 0, "the MIPS"), (18, 0, "the MIPS"), (20, 0, "the ARM"), (21, 0, "the PowerPC"),
        (22, 0, "the MIPS"), (23, 0, "the Alpha"), (24, 0, "the MIPS"), (25, 0, "the SPARC64"), (26, 1, "amd64"),
        (27, 1, "the PowerPC64"), (28, 1, "arm64"),
    )
}  # fmt: skip
_ELF: Final = 0x7F454C46
#: Where the header goes (UTZERO).
TEXT: Final = 0x1000
#: No address of a program is above: USTKTOP, where its stack ends.
STACK_TOP: Final = 0x4000_0000
#: A symbol table with more bytes is not looked at.
_MOST_SYMBOLS: Final = 16 << 20
_FUNCTIONS: Final = b"TtLl"
_OBJECTS: Final = b"DdBb"


@dataclass(frozen=True, slots=True)
class Header:
    """The eight words, sizes in bytes."""

    magic: int
    text: int
    data: int
    bss: int
    symbols: int
    entry: int
    sp_table: int
    pc_table: int

    @property
    def data_start(self) -> int:
        """Where the data goes."""
        return page_ceil(TEXT + HEADER.size + self.text)

    @property
    def bss_start(self) -> int:
        """The first page that has nothing of the file."""
        return page_ceil(self.data_start + self.data)

    @property
    def end(self) -> int:
        """The first page behind all."""
        return page_ceil(self.data_start + self.data + self.bss)


def parse_header(data: bytes | memoryview) -> Header:
    """Read and check the header, of which as many bytes of the file are needed. Raises BadImage."""
    if len(data) < HEADER.size:
        raise BadImage(f"truncated: an a.out header has {HEADER.size} bytes, the file has {len(data)}")
    header = Header(*HEADER.unpack_from(data))
    if header.magic == _ELF:
        raise BadImage("an ELF program, not an a.out file of Plan 9's for the 386")
    if header.magic in _OTHERS:
        raise BadImage(f"an a.out file for {_OTHERS[header.magic]}, not for the 386")
    if header.magic != MAGIC:
        raise BadImage(f"not an a.out file for the 386: its magic number is {header.magic:#x}, not {MAGIC:#x}")
    if not TEXT + HEADER.size <= header.entry < TEXT + HEADER.size + header.text:
        raise BadImage(f"the entry point {header.entry:#x} is not in the text, which has {header.text:#x} bytes")
    if header.end >= STACK_TOP:
        raise BadImage(f"text, data and bss end at {header.end:#x}, above {STACK_TOP:#x}")
    return header


class Program(Module):
    """An a.out that has passed every check, as a module."""

    @cached_property
    def header(self) -> Header:
        """Its first words."""
        return parse_header(self.data)

    @classmethod
    def from_aout(cls, data: bytes | bytearray | memoryview, name: str = "program") -> Program:
        """Check an image. Raises BadImage."""
        held = bytes(data)
        header = parse_header(held)
        view = memoryview(held)
        text_end, data_end = HEADER.size + header.text, HEADER.size + header.text + header.data
        if data_end > len(held):
            raise BadImage(f"truncated: header, text and data are {data_end} bytes, the file has {len(held)}")
        parts = [Part(TEXT, TEXT + text_end, view[:text_end], Access.RX, 0)]
        start, end = header.data_start, header.data_start + header.data + header.bss
        if end > start:
            # On a 386 what can be read can be executed.
            parts.append(Part(start, end, view[text_end:data_end], Access.RWX, 1))
        image = Image(header.entry, 0, tuple(parts), 0, 0, frozenset(), 0, 0, 0)
        return cls(held, name, image)

    @cached_property
    def abi(self) -> str:  # type: ignore[override]
        """Of no importance here."""
        return "linux"

    @cached_property
    def _symbols(self) -> tuple[list[int], list[Symbol]]:
        """By address: a value, a letter with its high bit set, a name with its zero byte. What is wrong ends the table."""
        header = self.header
        start = HEADER.size + header.text + header.data
        table = self.data[start : start + min(header.symbols, _MOST_SYMBOLS)]
        found, here = [], 0
        while here + 6 <= len(table):
            value, letter = int.from_bytes(table[here : here + 4], "big"), table[here + 4] & 0x7F
            if letter in b"Zz":  # a path, in numbers of two bytes
                end = table.find(b"\0\0", here + 6)
                end += 1
            else:
                end = table.find(b"\0", here + 5)
            if end <= here:
                break
            if letter in _FUNCTIONS or letter in _OBJECTS:
                name = table[here + 5 : end].decode(errors="replace")
                found.append(Symbol(name, value, 0, letter in _FUNCTIONS, chr(letter).islower()))
            here = end + 1
        found.sort(key=lambda symbol: symbol.address)
        return [symbol.address for symbol in found], found
