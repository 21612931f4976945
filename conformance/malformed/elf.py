"""Writing ELF images from their parts, and where each field of one is. Nothing here is shared with the parser under test.

Structures and names: System V gABI, chapters 4 and 5.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_PHDR, PT_TLS = 1, 2, 3, 4, 6, 7
PT_GNU_STACK, PT_GNU_RELRO = 0x6474E551, 0x6474E552
X, W, R = 1, 2, 4

HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
PROGRAM_HEADER: Final = struct.Struct("<8I")
SECTION_HEADER: Final = struct.Struct("<10I")
SYMBOL: Final = struct.Struct("<IIIBBH")
PAGE: Final = 0x1000

#: Fields by name, as (offset, size).
HEADER_FIELDS: Final = {
    "e_ident[0]": (0, 1), "ei_class": (4, 1), "ei_data": (5, 1), "ei_version": (6, 1), "ei_osabi": (7, 1),
    "e_type": (16, 2), "e_machine": (18, 2), "e_version": (20, 4), "e_entry": (24, 4), "e_phoff": (28, 4),
    "e_shoff": (32, 4), "e_flags": (36, 4), "e_ehsize": (40, 2), "e_phentsize": (42, 2), "e_phnum": (44, 2),
    "e_shentsize": (46, 2), "e_shnum": (48, 2), "e_shstrndx": (50, 2),
}  # fmt: skip
PROGRAM_FIELDS: Final = {
    name: (4 * i, 4)
    for i, name in enumerate(("p_type", "p_offset", "p_vaddr", "p_paddr", "p_filesz", "p_memsz", "p_flags", "p_align"))
}
SECTION_FIELDS: Final = {
    name: (4 * i, 4)
    for i, name in enumerate(
        ("sh_name", "sh_type", "sh_flags", "sh_addr", "sh_offset", "sh_size", "sh_link", "sh_info", "sh_addralign",
         "sh_entsize")
    )
}  # fmt: skip
SYMBOL_FIELDS: Final = {
    "st_name": (0, 4), "st_value": (4, 4), "st_size": (8, 4), "st_info": (12, 1), "st_other": (13, 1), "st_shndx": (14, 2)
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A segment: ``data`` at ``address``, zeros behind it up to ``size`` bytes."""

    address: int
    data: bytes
    flags: int
    size: int = 0
    kind: int = PT_LOAD


@dataclass(frozen=True)
class Image:
    """What an image is made of. Parts begin at pages of the file; ``symbols`` are (name, address, size)."""

    parts: Sequence[Part]
    entry: int
    symbols: Sequence[tuple[bytes, int, int]] = ()
    e_type: int = 2
    markers: Sequence[int] = field(default=())

    def pack(self) -> bytes:
        """The file. ``markers`` are types of empty program headers to add, as toolchains write them."""
        count = len(self.parts) + len(self.markers)
        body = bytearray()
        headers = bytearray()
        for part in self.parts:
            offset = PAGE + len(body)
            if part.address % PAGE:
                raise ValueError("parts begin at pages")
            headers += PROGRAM_HEADER.pack(
                part.kind, offset, part.address, part.address, len(part.data), max(part.size, len(part.data)),
                part.flags, PAGE,
            )  # fmt: skip
            body += part.data.ljust(-(-len(part.data) // PAGE) * PAGE, b"\0")
        for kind in self.markers:
            headers += PROGRAM_HEADER.pack(kind, 0, 0, 0, 0, 0, R | W, 16)
        sections, table_offset, table_count = b"", 0, 0
        if self.symbols:
            table_offset = PAGE + len(body)
            sections, table_count = self._sections(table_offset), 3
        header = HEADER.pack(
            b"\x7fELF\1\1\1".ljust(16, b"\0"), self.e_type, 3, 1, self.entry, HEADER.size, table_offset, 0, HEADER.size,
            PROGRAM_HEADER.size, count, SECTION_HEADER.size if self.symbols else 0, table_count, 0,
        )  # fmt: skip
        front = header + bytes(headers)
        if len(front) > PAGE:
            raise ValueError("too many program headers for one page")
        return front.ljust(PAGE, b"\0") + bytes(body) + sections

    def _sections(self, offset: int) -> bytes:
        """Section headers (none, .symtab, .strtab), then what is in them."""
        strings, table = b"\0", SYMBOL.pack(0, 0, 0, 0, 0, 0)
        for name, address, size in self.symbols:
            table += SYMBOL.pack(len(strings), address, size, 0x12, 0, 1)
            strings += name + b"\0"
        start = offset + 3 * SECTION_HEADER.size
        return b"".join((
            bytes(SECTION_HEADER.size),
            SECTION_HEADER.pack(0, 2, 0, 0, start, len(table), 2, 1, 4, SYMBOL.size),
            SECTION_HEADER.pack(0, 3, 0, 0, start + len(table), len(strings), 0, 0, 1, 0),
            table,
            strings,
        ))  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field of an image: its name, for people, and where it is in the file."""

    name: str
    offset: int
    size: int


def fields(data: bytes) -> list[Field]:
    """All fields of a valid image: header, program headers, section headers, and the first and last few symbols."""
    found = [Field(name, offset, size) for name, (offset, size) in HEADER_FIELDS.items()]
    values = HEADER.unpack_from(data)
    program_offset, section_offset, programs, sections = values[5], values[6], values[10], values[12]
    for index in range(programs):
        found += _fields_at(f"program header {index}", program_offset + index * PROGRAM_HEADER.size, PROGRAM_FIELDS)
    for index in range(sections):
        at = section_offset + index * SECTION_HEADER.size
        found += _fields_at(f"section {index}", at, SECTION_FIELDS)
        _, kind, _, _, offset, size, *_ = SECTION_HEADER.unpack_from(data, at)
        if kind in (2, 11):
            count = size // SYMBOL.size
            for number in sorted({*range(min(6, count)), *range(max(0, count - 6), count)}):
                found += _fields_at(f"symbol {number}", offset + number * SYMBOL.size, SYMBOL_FIELDS)
    return [one for one in found if one.offset + one.size <= len(data)]


def _fields_at(what: str, at: int, layout: dict[str, tuple[int, int]]) -> list[Field]:
    return [Field(f"{name} of {what}", at + offset, size) for name, (offset, size) in layout.items()]
