"""ELF: a small strict parser for the images that guests come in.

Accepted: 32-bit little-endian i386, ET_EXEC or ET_DYN. An image may name an interpreter (the dynamic linker), which is
another image. The input is hostile: every number is checked before it is used, and whatever is wrong raises :class:`BadImage` with one line that says what and
where. Names and structures are those of the System V gABI, chapter 4 (object files) and 5 (program loading).
"""

from __future__ import annotations

import os
import struct
from itertools import pairwise
from typing import Final

from reference.memory import PAGE, page_ceil, page_floor
from reference.records import dataclass, replace
from reference.traps import Access
from vx32py._errors import BadImage

ET_EXEC: Final = 2
ET_DYN: Final = 3
EM_386: Final = 3
PT_LOAD: Final = 1
PT_DYNAMIC: Final = 2
PT_INTERP: Final = 3
PT_NOTE: Final = 4
PT_PHDR: Final = 6
PT_TLS: Final = 7
PT_GNU_STACK: Final = 0x6474E551
PT_GNU_RELRO: Final = 0x6474E552
SHT_NULL: Final = 0
SHT_SYMTAB: Final = 2
SHT_NOBITS: Final = 8
SHT_DYNSYM: Final = 11
STB_LOCAL: Final = 0
STT_NOTYPE: Final = 0
STT_OBJECT: Final = 1
STT_FUNC: Final = 2
SHN_UNDEF: Final = 0
SHN_ABS: Final = 0xFFF1
PN_XNUM: Final = 0xFFFF

#: Where a static-PIE is placed: as low as leaves room for guard pages, so that the address space stays small.
PIE_BASE: Final = 0x0040_0000
#: Where a position-independent executable is placed whose libraries go below it, close to its own code.
DYNAMIC_BASE: Final = 0x0400_0000
#: The longest path of an interpreter (PATH_MAX).
_MOST_INTERPRETER: Final = 4096
#: A symbol table with more entries is refused: each becomes an object some ten times as large as its entry.
MAX_SYMBOLS: Final = 1 << 19
#: All names together may be so many times as long as the string table: names can be the ends of one another.
_SHARED_NAMES: Final = 16
#: No segment may reach this address: the last page of the 4 GiB stays free, so that no end wraps to zero.
ADDRESS_END: Final = 0x1_0000_0000 - PAGE

_HEADER: Final = struct.Struct("<16sHHIIIIIHHHHHH")
_PROGRAM_HEADER: Final = struct.Struct("<IIIIIIII")
_SECTION_HEADER: Final = struct.Struct("<IIIIIIIIII")
_SYMBOL: Final = struct.Struct("<IIIBBH")

_TYPES: Final = {
    0: "no type",
    1: "a relocatable object file",
    2: "an executable",
    3: "a shared object",
    4: "a core dump",
}
_MACHINES: Final = {62: "x86-64", 40: "ARM", 183: "AArch64", 243: "RISC-V", 8: "MIPS", 20: "PowerPC"}
#: EI_OSABI values that say nothing special: System V, and Linux (set where GNU extensions such as IFUNC are used).
_OSABI: Final = (0, 3)


@dataclass(frozen=True, slots=True)
class Segment:
    """One PT_LOAD: ``data`` goes to ``start``, zeros follow up to ``end``. Addresses are where it will be in memory."""

    start: int
    end: int
    data: memoryview
    access: Access
    index: int

    @property
    def pages(self) -> tuple[int, int]:
        """The whole pages that it touches, as (start, end)."""
        return page_floor(self.start), page_ceil(self.end)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A name in the symbol table. ``size`` may be 0 where the assembler was not told; ``is_function`` for STT_FUNC;
    ``is_local`` for STB_LOCAL: other files may have the same name for something else."""

    name: str
    address: int
    size: int
    is_function: bool
    is_local: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """The contents of a section, and where they will be in memory, if they will."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """What the program headers say. ``bias`` was added to every address (0 for ET_EXEC).

    ``program_headers`` is the address at which the guest can read its own program headers, 0 where no segment contains
    them. ``types`` are the p_type values that occur.
    """

    entry: int
    bias: int
    segments: tuple[Segment, ...]
    program_headers: int
    program_header_count: int
    types: frozenset[int]
    section_offset: int
    section_count: int
    section_entry_size: int
    #: The path of the interpreter that the image needs, empty for none.
    interpreter: str = ""
    #: Of an image with its interpreter: where that was placed, and where execution begins; 0 without.
    interpreter_base: int = 0
    interpreter_entry: int = 0

    @property
    def start(self) -> int:
        """Where execution begins."""
        return self.interpreter_entry or self.entry


def parse(data: bytes | memoryview, base: int | None = None) -> Image:
    """Read and check header and program headers. ``base`` is where an ET_DYN image is to be placed. Raises BadImage."""
    view = memoryview(data).cast("B")
    if bytes(view[:4]) != b"\x7fELF":
        raise BadImage("not an ELF file: it does not begin with 7F 45 4C 46")
    if len(view) < _HEADER.size:
        raise BadImage(f"truncated: an ELF header has {_HEADER.size} bytes, the file has {len(view)}")
    (
        ident, e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, _e_flags, e_ehsize, e_phentsize, e_phnum,
        e_shentsize, e_shnum, _e_shstrndx,
    ) = _HEADER.unpack_from(view)  # fmt: skip
    if ident[4] != 1:
        raise BadImage("a 64-bit ELF file; guests are 32-bit" if ident[4] == 2 else f"EI_CLASS is {ident[4]}, not 1")
    if ident[5] != 1:
        raise BadImage(f"EI_DATA is {ident[5]}: not little-endian")
    if ident[6] != 1 or e_version != 1:
        raise BadImage(f"ELF version is {ident[6]} in the identification and {e_version} in the header, not 1")
    if ident[7] not in _OSABI:
        raise BadImage(f"EI_OSABI is {ident[7]}: neither System V (0) nor Linux (3)")
    if e_machine != EM_386:
        raise BadImage(f"made for {_MACHINES.get(e_machine, f'machine {e_machine}')}, not for i386")
    if e_type not in (ET_EXEC, ET_DYN):
        raise BadImage(f"e_type {e_type}: {_TYPES.get(e_type, 'unknown')}, not an executable")
    if e_ehsize != _HEADER.size:
        raise BadImage(f"e_ehsize is {e_ehsize}, not {_HEADER.size}")
    if e_phnum == 0:
        raise BadImage("no program headers: nothing to load")
    if e_phnum == PN_XNUM:
        raise BadImage("e_phnum is PN_XNUM: too many program headers")
    if e_phentsize != _PROGRAM_HEADER.size:
        raise BadImage(f"e_phentsize is {e_phentsize}, not {_PROGRAM_HEADER.size}")
    if e_phoff + e_phnum * _PROGRAM_HEADER.size > len(view):
        raise BadImage(
            f"truncated: {e_phnum} program headers at offset {e_phoff:#x} reach past the end of the file at {len(view):#x}"
        )
    headers = [_PROGRAM_HEADER.unpack_from(view, e_phoff + index * _PROGRAM_HEADER.size) for index in range(e_phnum)]
    interpreter = _interpreter(view, headers)
    bias = 0
    if e_type == ET_DYN:
        bias = base if base is not None else DYNAMIC_BASE if interpreter else PIE_BASE
    types = set()
    segments = []
    for index, header in enumerate(headers):
        types.add(header[0])
        if header[0] == PT_LOAD:
            segment = _load_segment(view, index, header, bias)
            if segment is not None:
                segments.append(segment)
    if not segments:
        raise BadImage("no PT_LOAD segment: nothing to load")
    segments.sort(key=lambda segment: segment.start)
    for below, above in pairwise(segments):
        if above.start < below.end:
            raise BadImage(
                f"segments {below.index} [{below.start:#x}, {below.end:#x}) and {above.index} "
                f"[{above.start:#x}, {above.end:#x}) overlap"
            )
    entry = e_entry + bias
    if not any(s.start <= entry < s.end and s.access & Access.EXECUTE for s in segments):
        raise BadImage(f"the entry point {entry:#010x} is in no executable segment")
    table = 0
    for segment, offset in ((s, _offset_in(view, s)) for s in segments):
        if offset <= e_phoff and e_phoff + e_phnum * _PROGRAM_HEADER.size <= offset + len(segment.data):
            table = segment.start + e_phoff - offset
    return Image(
        entry, bias, tuple(segments), table, e_phnum, frozenset(types), e_shoff, e_shnum, e_shentsize, interpreter
    )  # fmt: skip


def _interpreter(view: memoryview, headers: list[tuple[int, ...]]) -> str:
    """The path in the PT_INTERP header, empty where there is none. Raises BadImage."""
    found = [(index, header) for index, header in enumerate(headers) if header[0] == PT_INTERP]
    if not found:
        return ""
    index, (_type, offset, _vaddr, _paddr, size, *_) = found[0]
    if not 2 <= size <= _MOST_INTERPRETER:
        raise BadImage(f"program header {index} (PT_INTERP): a path of {size} bytes")
    if offset + size > len(view):
        raise BadImage(
            f"truncated: program header {index} (PT_INTERP) reaches past the end of the file at {len(view):#x}"
        )
    path = bytes(view[offset : offset + size])
    if path[-1] or 0 in path[:-1]:
        raise BadImage(f"program header {index} (PT_INTERP): a path that does not end with its only zero byte")
    return os.fsdecode(path[:-1])


def with_interpreter(image: Image, data: bytes | memoryview) -> Image:
    """The image together with its interpreter, whose file ``data`` is; right below it. Raises BadImage."""
    probe = parse(data, 0x1_0000)
    if probe.interpreter:
        raise BadImage(f"its interpreter needs an interpreter itself, {probe.interpreter}")
    if not probe.bias:
        raise BadImage("its interpreter is not position-independent")
    size = probe.segments[-1].pages[1] - 0x1_0000
    base = (image.segments[0].pages[0] - size) & -0x1_0000
    if base < 0x1_0000:
        raise BadImage(f"no room for its interpreter of {size:#x} bytes below {image.segments[0].pages[0]:#x}")
    placed = parse(data, base)
    return replace(
        image,
        segments=(*placed.segments, *image.segments),
        interpreter_base=base,
        interpreter_entry=placed.entry,
    )


def _load_segment(view: memoryview, index: int, header: tuple[int, ...], bias: int) -> Segment | None:
    _type, p_offset, p_vaddr, _paddr, p_filesz, p_memsz, p_flags, p_align = header
    where = f"segment {index}"
    if p_memsz < p_filesz:
        raise BadImage(f"{where}: p_memsz {p_memsz:#x} is less than p_filesz {p_filesz:#x}")
    if p_offset + p_filesz > len(view):
        raise BadImage(
            f"truncated: {where} [{p_offset:#x}, {p_offset + p_filesz:#x}) reaches past the end of the file at "
            f"{len(view):#x}"
        )
    if p_align & (p_align - 1):
        raise BadImage(f"{where}: p_align {p_align:#x} is not a power of two")
    if p_align > 1 and (p_vaddr - p_offset) % p_align:
        raise BadImage(f"{where}: p_vaddr {p_vaddr:#x} and p_offset {p_offset:#x} differ modulo p_align {p_align:#x}")
    if bias and bias % max(p_align, 1):
        raise BadImage(f"{where}: p_align {p_align:#x} is more than a position-independent image can have here")
    if p_memsz == 0:
        return None
    start = p_vaddr + bias
    if start + p_memsz > ADDRESS_END:
        raise BadImage(f"{where}: [{start:#x}, {start + p_memsz:#x}) reaches past {ADDRESS_END:#x}")
    if start < PAGE:
        raise BadImage(f"{where} is at {start:#x}; page 0 is never mapped, so that null pointers fault")
    access = Access.NONE
    if p_flags & 4:
        access |= Access.READ
    if p_flags & 2:
        access |= Access.RW  # the processor cannot express a page that is writable but not readable
    if p_flags & 1:
        access |= Access.RX  # nor, without protection keys, one that is executable but not readable
    return Segment(start, start + p_memsz, view[p_offset : p_offset + p_filesz], access, index)


def _offset_in(view: memoryview, segment: Segment) -> int:
    """The file offset of a segment's data, from its program header."""
    e_phoff = _HEADER.unpack_from(view)[5]
    return int(_PROGRAM_HEADER.unpack_from(view, e_phoff + segment.index * _PROGRAM_HEADER.size)[1])


def symbols(data: bytes | memoryview, image: Image) -> list[Symbol]:
    """The named functions and objects of .symtab, or of .dynsym where there is no .symtab, sorted by address.

    Sections are not needed to run, so an image may have none. Raises BadImage where there are some and they are broken.
    """
    view = memoryview(data).cast("B")
    headers = _section_headers(view, image)
    for wanted in (SHT_SYMTAB, SHT_DYNSYM):
        for index, header in enumerate(headers):
            if header[1] == wanted:
                return _symbol_table(view, headers, index, image.bias)
    return []


def _section_headers(view: memoryview, image: Image) -> list[tuple[int, ...]]:
    """The section headers; none where the image has no sections. Raises BadImage."""
    if image.section_count == 0 or image.section_offset == 0:
        return []
    if image.section_entry_size != _SECTION_HEADER.size:
        raise BadImage(f"e_shentsize is {image.section_entry_size}, not {_SECTION_HEADER.size}")
    if image.section_offset + image.section_count * _SECTION_HEADER.size > len(view):
        raise BadImage(
            f"truncated: {image.section_count} section headers at offset {image.section_offset:#x} reach past the end of "
            f"the file at {len(view):#x}"
        )
    return [
        _SECTION_HEADER.unpack_from(view, image.section_offset + i * _SECTION_HEADER.size)
        for i in range(image.section_count)
    ]


def section(data: bytes | memoryview, image: Image, name: bytes, most: int) -> Section | None:
    """The one section of this name, of at most ``most`` bytes; None where there is none. Raises BadImage."""
    view = memoryview(data).cast("B")
    headers = _section_headers(view, image)
    names_index = _HEADER.unpack_from(view)[13]
    if not 0 < names_index < len(headers):
        return None
    names_offset, names_size = headers[names_index][4:6]
    if names_offset + names_size > len(view):
        raise BadImage(f"truncated: section {names_index}, the names of sections, reaches past the end of the file")
    found: Section | None = None
    for index, header in enumerate(headers):
        if header[0] + len(name) >= names_size:
            continue
        start = names_offset + header[0]
        if header[1] == SHT_NULL or view[start : start + len(name) + 1] != name + b"\0":
            continue
        text = f"section {index}, {name.decode()}"
        if found is not None:
            raise BadImage(f"{text}: there is another one of that name")
        if header[1] == SHT_NOBITS:
            raise BadImage(f"{text}: it has no contents (SHT_NOBITS)")
        if header[5] > most:
            raise BadImage(f"{text}: {header[5]} bytes; {most} are the most")
        if header[4] + header[5] > len(view):
            raise BadImage(f"truncated: {text}, reaches past the end of the file")
        contents = bytes(view[header[4] : header[4] + header[5]])
        found = Section((header[3] + image.bias) & 0xFFFF_FFFF, contents)
    return found


def _symbol_table(view: memoryview, headers: list[tuple[int, ...]], index: int, bias: int) -> list[Symbol]:
    _name, _type, _flags, _addr, offset, size, link, _info, _align, entry_size = headers[index]
    if entry_size != _SYMBOL.size or size % _SYMBOL.size:
        raise BadImage(f"section {index}: a symbol table of {size:#x} bytes with entries of {entry_size}")
    if size // _SYMBOL.size > MAX_SYMBOLS:
        raise BadImage(f"section {index}: a table of {size // _SYMBOL.size} symbols; {MAX_SYMBOLS} are the most")
    if offset + size > len(view):
        raise BadImage(f"truncated: section {index} [{offset:#x}, {offset + size:#x}) reaches past the end of the file")
    if link >= len(headers):
        raise BadImage(f"section {index}: its string table is section {link} of {len(headers)}")
    strings_offset, strings_size = headers[link][4], headers[link][5]
    if strings_offset + strings_size > len(view):
        raise BadImage(f"truncated: section {link}, a string table, reaches past the end of the file")
    strings = bytes(view[strings_offset : strings_offset + strings_size])
    found = []
    names: dict[int, str] = {}
    room = _SHARED_NAMES * len(strings)
    for name, value, length, info, _other, section in _SYMBOL.iter_unpack(view[offset : offset + size]):
        kind = info & 0xF
        if section in (SHN_UNDEF, SHN_ABS) or kind not in (STT_NOTYPE, STT_OBJECT, STT_FUNC) or not name:
            continue
        text = names.get(name)
        if text is None:
            end = strings.find(b"\0", name)
            if name >= len(strings) or end < 0:
                raise BadImage(f"section {index}: the name of a symbol is at {name:#x}, outside its string table")
            room -= end - name
            if room < 0:
                raise BadImage(
                    f"section {index}: the names of its symbols are too long for {len(strings)} bytes of strings"
                )
            text = names[name] = _printable(strings[name:end])
        found.append(Symbol(text, (value + bias) & 0xFFFF_FFFF, length, kind == STT_FUNC, info >> 4 == STB_LOCAL))
    found.sort(key=lambda symbol: (symbol.address, not symbol.is_function, symbol.name))
    return found


def _printable(name: bytes) -> str:
    """A name as text that can be shown on one line of a terminal: everything else in it is escaped."""
    text = name.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return text.translate(
        {ord(c): c.encode("unicode_escape").decode("ascii") for c in set(text) if not c.isprintable()}
    )
