"""Linking: an a.out of an ELF program that was linked with the script of :mod:`vx32py.guest` for Plan 9.

What 8l would write (a.out(6)): eight words, the text, the data, and the symbols, functions and data, by address.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from reference.memory import page_ceil
from vx32py._errors import BadImage
from vx32py.plan9.aout import HEADER, MAGIC, TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator

_ALLOCATED: Final = 2  # SHF_ALLOC
_SHOWN: Final = {"STT_FUNC", "STT_OBJECT"}
_BOUNDS: Final = ("etext", "edata", "end")


def aout_of(elf: bytes, *, symbols: bool = True) -> bytes:
    """The a.out of an ELF program. Raises BadImage for one that was not linked for this."""
    try:
        image = ELFFile(io.BytesIO(elf))
        table = image.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise BadImage("not linked for Plan 9: it has no symbols")
        etext, edata, end = (_value(table, name) for name in _BOUNDS)
        start = TEXT + HEADER.size
        text, data, data_start = bytearray(etext - start), bytearray(max(edata - page_ceil(etext), 0)), page_ceil(etext)
        for section in image.iter_sections():
            address, size = section["sh_addr"], section["sh_size"]
            if not section["sh_flags"] & _ALLOCATED or section["sh_type"] == "SHT_NOBITS" or not size:
                continue
            where, base = (text, start) if address < etext else (data, data_start)
            if not base <= address <= address + size <= base + len(where):
                raise BadImage(f"not linked for Plan 9: {section.name} is at {address:#x}")
            where[address - base : address - base + size] = section.data()
        names = b"".join(_symbols(table, etext, edata)) if symbols else b""
        bss, entry = end - data_start - len(data), image["e_entry"]
    except (ELFError, ValueError) as error:
        raise BadImage(f"not an ELF program: {error}") from None
    return HEADER.pack(MAGIC, len(text), len(data), bss, len(names), entry, 0, 0) + text + data + names


def _value(table: SymbolTableSection, name: str) -> int:
    found = table.get_symbol_by_name(name)
    if not found:
        raise BadImage(f"not linked for Plan 9: it has no symbol {name}")
    value: int = found[0]["st_value"]
    return value


def _symbols(table: SymbolTableSection, etext: int, edata: int) -> Iterator[bytes]:
    """Value, letter with its high bit set, name and a zero byte; small letters are local."""
    found = sorted(
        (symbol["st_value"], symbol.name, symbol["st_info"]["bind"] == "STB_LOCAL")
        for symbol in table.iter_symbols()
        if symbol.name and symbol["st_info"]["type"] in _SHOWN and symbol["st_shndx"] != "SHN_ABS"
    )
    for value, name, local in found:
        letter = "T" if value < etext else "D" if value < edata else "B"
        yield (
            value.to_bytes(4, "big") + bytes([ord(letter.lower() if local else letter) | 0x80]) + name.encode() + b"\0"
        )
