"""Linking: one relocatable object of LLVM's, and tables, to a flat image that runs wherever it is mapped.

An image needs no linker when it is loaded, and so no LLVM: it is copied into memory and jumped into. What makes that
possible is checked here: the object refers to nothing but itself, and only relative to the instruction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jit import objectfile
from reference.records import dataclass

#: Relocation types that count from the field itself (System V ABI, AMD64 supplement, table 4.9).
_R_X86_64_PC32, _R_X86_64_PLT32 = 2, 4
_ALIGNMENT: Final = 64


class LinkError(Exception):
    """The object does not stand alone; the message says what it wants."""


@dataclass(frozen=True, slots=True)
class Image:
    """``data`` is position-independent; ``entry`` is the offset of its function, ``tables`` those of its tables."""

    data: bytes
    entry: int
    tables: Mapping[str, int]


def link(image: bytes, entry: str, tables: Mapping[str, bytes]) -> Image:
    """Lay out the object's sections and the tables, and resolve every reference. Raises LinkError."""
    parts = objectfile.read(image)
    data = bytearray()
    where: dict[int, int] = {}
    for number, section in enumerate(parts.sections):
        # Unwind tables are for debuggers and C++; nothing here throws.
        if section.flags & objectfile.SHF_ALLOC and section.name != ".eh_frame":
            if section.type != objectfile.SHT_PROGBITS:
                if section.data:
                    raise LinkError(f"the object has a section {section.name}")
                continue
            where[number] = _append(data, section.data)
    for relocation in parts.relocations:
        if relocation.section in where:
            _resolve(data, where, relocation)
    offsets = {name: _append(data, table) for name, table in tables.items()}
    for symbol in parts.symbols:
        if symbol.name == entry and symbol.section in where:
            return Image(bytes(data), where[symbol.section] + symbol.value, offsets)
    raise LinkError(f"the object does not define {entry}")


def _append(data: bytearray, part: bytes) -> int:
    data += bytes(-len(data) % _ALIGNMENT)
    offset = len(data)
    data += part
    return offset


def _resolve(data: bytearray, where: Mapping[int, int], relocation: objectfile.Relocation) -> None:
    symbol = relocation.symbol
    if relocation.type not in (_R_X86_64_PC32, _R_X86_64_PLT32):
        raise LinkError(f"the object has a relocation of type {relocation.type}")
    if symbol.section not in where:
        raise LinkError(f"the object refers to {symbol.name or 'a section that is not loaded'}")
    field = where[relocation.section] + relocation.offset
    value = where[symbol.section] + symbol.value + relocation.addend - field
    data[field : field + 4] = value.to_bytes(4, "little", signed=True)
