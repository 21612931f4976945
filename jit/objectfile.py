"""Relocatable ELF objects: sections, symbols and relocations, for either class. What LLVM emits, and no more.

ELF specification, book I: figures 1-3 (header), 1-9 (section header), 1-16 (symbol), 1-21 (relocation).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from reference.records import dataclass

SHT_PROGBITS: Final = 1
_SHT_SYMTAB, _SHT_RELA, _SHT_NOBITS, _SHT_REL = 2, 4, 8, 9
SHF_ALLOC: Final = 2
#: Section index of a symbol that is not in this object.
UNDEFINED: Final = 0


@dataclass(frozen=True, slots=True)
class Section:
    """``data`` is empty where the file has none (NOBITS)."""

    name: str
    type: int
    flags: int
    link: int
    info: int
    alignment: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Symbol:
    """``section`` is the number of its section; ``value`` is an offset there."""

    name: str
    section: int
    value: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """The field at ``offset`` of section ``section`` refers to ``symbol``; ``type`` says how. ``addend`` is 0 where the
    object keeps it in the field."""

    section: int
    offset: int
    type: int
    symbol: Symbol
    addend: int


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """An object, taken apart."""

    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]

    def defined(self, section: int) -> Mapping[str, int]:
        """The named symbols of a section."""
        return {symbol.name: symbol.value for symbol in self.symbols if symbol.section == section and symbol.name}

    def section_number(self, name: str) -> int:
        """The number of the section of that name. Raises LookupError where there is none."""
        for number, section in enumerate(self.sections):
            if section.name == name:
                return number
        raise LookupError(f"the object has no section {name}")


def read(image: bytes) -> ObjectFile:
    """Take an object apart."""
    wide = image[4] == 2
    sections = _sections(image, wide)
    symbols: tuple[Symbol, ...] = ()
    for section in sections:
        if section.type == _SHT_SYMTAB:
            symbols = _symbols(section.data, sections[section.link].data, wide)
    relocations: list[Relocation] = []
    for section in sections:
        if section.type in (_SHT_REL, _SHT_RELA):
            relocations += _relocations(section, symbols, wide)
    return ObjectFile(sections, symbols, tuple(relocations))


def _sections(image: bytes, wide: bool) -> tuple[Section, ...]:
    (table,) = struct.unpack_from("<Q", image, 0x28) if wide else struct.unpack_from("<I", image, 0x20)
    size, count, names = struct.unpack_from("<HHH", image, 0x3A if wide else 0x2E)
    headers = [
        # name, type, flags, address, offset, size, link, info, alignment
        struct.unpack_from("<IIQQQQIIQ" if wide else "<IIIIIIIII", image, table + i * size)
        for i in range(count)
    ]
    strings = image[headers[names][4] :]
    return tuple(
        Section(
            _string(strings, name), kind, flags, link, info, alignment,
            b"" if kind == _SHT_NOBITS else image[offset : offset + length],
        )
        for name, kind, flags, _, offset, length, link, info, alignment in headers
    )  # fmt: skip


def _symbols(data: bytes, strings: bytes, wide: bool) -> tuple[Symbol, ...]:
    symbols = []
    if wide:
        for name, _, _, section, value, _ in struct.iter_unpack("<IBBHQQ", data):
            symbols.append(Symbol(_string(strings, name), section, value))
    else:
        for name, value, _, _, _, section in struct.iter_unpack("<IIIBBH", data):
            symbols.append(Symbol(_string(strings, name), section, value))
    return tuple(symbols)


def _relocations(table: Section, symbols: tuple[Symbol, ...], wide: bool) -> list[Relocation]:
    with_addend = table.type == _SHT_RELA
    layout = ("<QQ" if wide else "<II") + (("q" if wide else "i") if with_addend else "")
    shift = 32 if wide else 8
    relocations = []
    for offset, info, *addend in struct.iter_unpack(layout, table.data):
        kind, symbol = info & ((1 << shift) - 1), symbols[info >> shift]
        relocations.append(Relocation(table.info, offset, kind, symbol, addend[0] if addend else 0))
    return relocations


def _string(table: bytes, offset: int) -> str:
    return table[offset : table.index(0, offset)].decode()
