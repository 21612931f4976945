"""Plug-ins for tests: written by hand in assembly, with whatever section and symbols, or compiled from C once."""

from __future__ import annotations

import functools
import hashlib
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from asm import assemble
from images import BASE, DATA, ENTRY, Elf, Header, Load, R, W

from vx32py import _compile, guest

FOLDER = Path(__file__).resolve().parent.parent / "build" / "small-programs"
MARK = b"vxplugin 1"
#: Of hand-written plug-ins: the section is behind the data, at this address.
SECTION = DATA + 0x800
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB = 1, 2, 3


def texts(*lines: bytes | str) -> bytes:
    """A section of these texts."""
    return b"".join((line.encode() if isinstance(line, str) else line) + b"\0" for line in lines)


def plugin_image(
    code: str,
    declared: Sequence[str] | bytes = (),
    symbols: Mapping[str, int] | None = None,
    *,
    entry: int = ENTRY,
    name: bytes = b".vx_plugin",
    section_type: int = SHT_PROGBITS,
    sections: Sequence[tuple[int, ...]] = (),
) -> bytes:
    """An image whose code, assembled at ENTRY, begins with its initialisation. ``declared`` are the lines behind the mark,
    or a whole section; ``symbols`` lead to addresses; ``sections`` are more section headers."""
    section = declared if isinstance(declared, bytes) else texts(MARK, *declared)
    symbols = symbols or {}
    strings = b"\0" + texts(*symbols)
    names = b"\0" + texts(name, ".symtab", ".strtab", ".shstrtab")
    table = bytes(16)
    for symbol, address in symbols.items():
        table += struct.pack("<IIIBBH", 1 + strings[1:].index(symbol.encode() + b"\0"), address, 0, 0x12, 0, 1)
    data_offset = 0x2000
    offset = data_offset + 0x800
    assert len(section) <= 0x800
    front = data_offset + 0x1000
    headers = [
        (0,) * 10,
        (names.index(name), section_type, 2, SECTION, offset, len(section), 0, 0, 1, 0),
        (names.index(b".symtab"), SHT_SYMTAB, 0, 0, front, len(table), 3, 0, 4, 16),
        (names.index(b".strtab"), SHT_STRTAB, 0, 0, front + len(table), len(strings), 0, 0, 1, 0),
        (names.index(b".shstrtab"), SHT_STRTAB, 0, 0, front + len(table) + len(strings), len(names), 0, 0, 1, 0),
        *sections,
    ]
    behind = table + strings + names
    header = Header(e_entry=entry, e_shoff=front + len(behind), e_shentsize=40, e_shnum=len(headers))
    loads = [Load(), Load(p_offset=data_offset, p_vaddr=DATA, p_flags=R | W)]
    elf = Elf(header=header, loads=loads, code=assemble(code), data=bytes(0x800) + section)
    made = bytearray(elf.pack() + behind + b"".join(struct.pack("<10I", *each) for each in headers))
    struct.pack_into("<H", made, 50, 4)  # e_shstrndx
    return bytes(made)


def import_address(declared: Sequence[str], name: str) -> int:
    """Where the text of an import will be."""
    section = texts(MARK, *declared)
    return SECTION + section.index(f"import {name} ".encode())


@functools.cache
def compiled_plugin(source: str, compiler: _compile.CompilerName = "auto", optimise: str = "-O1") -> Path:
    """A plug-in from one C source. The test is skipped where there is no such compiler."""
    available = _compile.compilers()
    if not available or (compiler != "auto" and compiler not in available):
        pytest.skip(f"no compiler for guests here ({compiler})")
    digest = hashlib.sha256("\0".join((source, compiler, optimise, repr(available))).encode())
    for file in guest.files():
        digest.update(file.read_bytes())
    output = FOLDER / f"plugin-{digest.hexdigest()[:24]}"
    if not output.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        text = output.with_suffix(f".{os.getpid()}.c")
        text.write_text(source)
        try:
            _compile.compile_guest([text], output, compiler=compiler, optimise=optimise, plugin=True)
        finally:
            text.unlink()
    return output


__all__ = ["BASE", "DATA", "ENTRY", "MARK", "SECTION", "compiled_plugin", "import_address", "plugin_image", "texts"]
