"""Images: what is accepted, and that everything else is refused with one line that says why."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from hypothesis import given, settings
from hypothesis import strategies as st
from images import BASE, DATA, ENTRY, PT_DYNAMIC, PT_GNU_STACK, PT_INTERP, PT_NOTE, PT_TLS, Elf, Load, R, W, X
from small_programs import compiled

from reference.traps import Access
from vx32py import BadImage, Module, Sandbox
from vx32py._elf import PIE_BASE


def segments(*loads: Load, e_type: int = 2) -> bytes:
    """Other program headers."""
    elf = Elf(loads=list(loads))
    elf.header.e_type = e_type
    return elf.pack()


def header(**fields: int | bytes) -> bytes:
    elf = Elf()
    for name, value in fields.items():
        assert hasattr(elf.header, name)
        setattr(elf.header, name, value)
    return elf.pack()


def segment(**fields: int) -> bytes:
    """The data segment spoilt."""
    elf = Elf()
    for name, value in fields.items():
        assert hasattr(elf.loads[1], name)
        setattr(elf.loads[1], name, value)
    return elf.pack()


MALFORMED = {
    "empty": (b"", "not an ELF file"),
    "text": (b"#!/bin/sh\n", "not an ELF file"),
    "magic only": (b"\x7fELF", "truncated: an ELF header has 52 bytes, the file has 4"),
    "header cut": (Elf().pack()[:51], "truncated: an ELF header"),
    "64-bit": (header(ei_class=2), "64-bit"),
    "class 0": (header(ei_class=0), "EI_CLASS is 0"),
    "big-endian": (header(ei_data=2), "not little-endian"),
    "identification version": (header(ei_version=0), "ELF version"),
    "header version": (header(e_version=7), "ELF version"),
    "osabi": (header(ei_osabi=9), "EI_OSABI is 9"),
    "x86-64": (header(e_machine=62), "made for x86-64"),
    "machine 0": (header(e_machine=0), "made for machine 0"),
    "object file": (header(e_type=1), "relocatable object file"),
    "core": (header(e_type=4), "core dump"),
    "ehsize": (header(e_ehsize=64), "e_ehsize is 64"),
    "phentsize": (header(e_phentsize=56), "e_phentsize is 56"),
    "no program headers": (header(e_phnum=0), "no program headers"),
    "PN_XNUM": (header(e_phnum=0xFFFF), "PN_XNUM"),
    "program headers past the end": (header(e_phoff=0x2FFF), "2 program headers at offset 0x2fff reach past the end"),
    "program headers far past the end": (header(e_phoff=0xFFFF_FFF0), "reach past the end"),
    "many program headers": (header(e_phnum=0xFFFE), "reach past the end"),
    "data cut": (Elf().pack()[:-1], "truncated: segment 1"),
    "offset wraps": (segment(p_offset=0xFFFF_F000), "truncated: segment 1"),
    "file size": (segment(p_filesz=0xFFFF_FFFF, p_memsz=0xFFFF_FFFF), "truncated: segment 1"),
    "memsz below filesz": (segment(p_memsz=0xFFF), "p_memsz 0xfff is less than p_filesz 0x1000"),
    "past 4 GiB": (segment(p_vaddr=0xFFFF_F000, p_memsz=0x2000), r"segment 1: \[0xfffff000, 0x100001000\) reaches past"),
    "huge": (segment(p_memsz=0xFFFF_FFFF), "reaches past"),
    "last page": (segment(p_vaddr=0xFFFF_F000), "reaches past"),
    "page 0": (segment(p_vaddr=0), "page 0"),
    "align": (segment(p_align=0x1800), "not a power of two"),
    "misaligned": (segment(p_vaddr=DATA + 4), "differ modulo p_align"),
    "overlap": (segment(p_vaddr=ENTRY), "overlap"),
    "inner overlap": (segment(p_vaddr=ENTRY - 0x1000, p_memsz=0x1001), "overlap"),
    "entry in data": (header(e_entry=DATA), "entry point 0x0804a000 is in no executable segment"),
    "entry nowhere": (header(e_entry=0), "entry point"),
    "no PT_LOAD": (segments(Load(p_type=PT_NOTE)), "no PT_LOAD"),
    "empty PT_LOAD": (segments(Load(p_filesz=0, p_memsz=0)), "no PT_LOAD"),
    "interpreter without end": (segments(Load(), Load(p_type=PT_INTERP)), "PT_INTERP.* does not end with its only zero"),
    "interpreter too long": (segments(Load(), Load(p_type=PT_INTERP, p_filesz=0x1001, p_memsz=0x1001)), "PT_INTERP"),
    "interpreter too short": (segments(Load(), Load(p_type=PT_INTERP, p_filesz=1)), "PT_INTERP"),
    "interpreter beyond the end": (
        segments(Load(), Load(p_type=PT_INTERP, p_offset=1 << 30, p_filesz=16)), "truncated.*PT_INTERP"),
    "position-independent, big alignment": (
        segments(Load(p_vaddr=0x1000, p_align=1 << 31, p_offset=0x1000), e_type=3), "p_align"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_image_is_refused_in_one_line(name: str) -> None:
    data, message = MALFORMED[name]
    with pytest.raises(BadImage, match=message) as caught:
        Module.from_bytes(data)
    assert "\n" not in str(caught.value)


def dynamic(path: bytes = b"/lib/ld.so\0") -> bytes:
    """An image that needs an interpreter, whose path is at the beginning of its data."""
    data = Load(p_offset=0x2000, p_vaddr=DATA, p_flags=R | W)
    name = Load(p_offset=0x2000, p_vaddr=DATA, p_filesz=len(path), p_type=PT_INTERP, p_align=1)
    return Elf(data=path, loads=[Load(), data, name]).pack()


def test_an_interpreter_that_is_not_there_is_named_when_the_program_is_loaded() -> None:
    module = Module.from_bytes(dynamic())
    assert module.image.interpreter == "/lib/ld.so"
    with pytest.raises(BadImage, match=r"dynamically linked, and its interpreter /lib/ld.so is not .* -static"):
        Sandbox(engine="reference").spawn(module)


@pytest.mark.parametrize(
    ("interpreter", "message"),
    [
        (b"\x7fELF", "truncated"),
        (Elf().pack(), "its interpreter is not position-independent"),
        (dynamic(), "its interpreter needs an interpreter itself"),
    ],
)
def test_a_bad_interpreter_is_refused_in_one_line(interpreter: bytes, message: str) -> None:
    box = Sandbox(engine="reference", files={"/lib/ld.so": interpreter})
    with pytest.raises(BadImage, match=message) as caught:
        box.spawn(dynamic())
    assert "\n" not in str(caught.value)


def test_a_good_image() -> None:
    module = Module.from_bytes(Elf(data=b"hello").pack(), "good")
    assert (module.entry, module.start, module.end, module.abi) == (ENTRY, ENTRY, DATA + 0x1000, "vx")
    assert [(s.start, s.end, s.access) for s in module.segments] == [
        (ENTRY, ENTRY + 0x1000, Access.RX),
        (DATA, DATA + 0x1000, Access.RW),
    ]
    assert bytes(module.segments[1].data[:5]) == b"hello"
    assert module.notes == ()


@pytest.mark.parametrize("kind", [PT_TLS, PT_GNU_STACK, PT_DYNAMIC])
def test_linux_toolchains_are_recognised(kind: int) -> None:
    elf = Elf()
    elf.loads.append(Load(0, 0, 0, 0, R | W, 4, kind))
    assert Module.from_bytes(elf.pack()).abi == "linux"


def test_the_mark_of_the_guest_library_makes_a_vx_guest() -> None:
    elf = Elf(code=b"\x90" * 100 + b"VX ABI 1\0")
    elf.loads.append(Load(0, 0, 0, 0, R | W, 4, PT_GNU_STACK))
    assert Module.from_bytes(elf.pack()).abi == "vx"


def test_segments_on_one_page_share_their_rights() -> None:
    elf = Elf()
    elf.loads = [
        Load(0x1000, ENTRY, 0x800, 0x800, R | X),
        Load(0x1800, ENTRY + 0x800, 0x800, 0x1000, R | W),
        Load(0x2900, ENTRY + 0x1900, 0x100, 0x100, R),
    ]
    module = Module.from_bytes(elf.pack())
    assert module.pages() == [
        (ENTRY, ENTRY + 0x1000, Access.RWX),
        (ENTRY + 0x1000, ENTRY + 0x2000, Access.RW),
    ]
    assert "share the page at 0x08049000" in module.notes[0]


def test_three_segments_on_one_page() -> None:
    elf = Elf()
    elf.loads = [Load(0x1000 + n * 0x100, ENTRY + n * 0x100, 0x100, 0x100, f) for n, f in enumerate([R | X, R, W])]
    assert Module.from_bytes(elf.pack()).pages() == [(ENTRY, ENTRY + 0x1000, Access.RWX)]


def test_writable_code_is_noted() -> None:
    elf = Elf()
    elf.loads[0].p_flags = R | W | X
    assert Module.from_bytes(elf.pack()).notes == ("segment 0 is both writable and executable",)


def test_static_pie_is_placed_at_a_fixed_address() -> None:
    elf = Elf()
    elf.header.e_type, elf.header.e_entry = 3, 0x1000
    elf.loads[0].p_vaddr, elf.loads[1].p_vaddr = 0x1000, 0x2000
    module = Module.from_bytes(elf.pack())
    assert (module.entry, module.start) == (PIE_BASE + 0x1000, PIE_BASE + 0x1000)


def test_program_headers_are_found_in_memory() -> None:
    elf = Elf()
    elf.loads.insert(0, Load(0, BASE, 0x1000, 0x1000, R))
    assert Module.from_bytes(elf.pack()).image.program_headers == BASE + 52
    assert Module.from_bytes(Elf().pack()).image.program_headers == 0


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Module.from_file(tmp_path / "nothing")


VALID = Elf(data=b"data").pack()


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, len(VALID))
)
def test_a_damaged_image_raises_nothing_but_bad_image(changes: list[tuple[int, int]], length: int) -> None:
    data = bytearray(VALID)
    for where, value in changes:
        data[where] = value
    for candidate in (data, data[:length]):
        try:
            module = Module.from_bytes(candidate)
        except BadImage:
            continue
        assert any(s.start <= module.entry < s.end for s in module.segments)
        assert all(start < end <= 1 << 32 for start, end, _ in module.pages())
        module.symbol_at(module.entry)


# -- against pyelftools ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def native() -> Path:
    """A static i386 program of the host's own toolchain."""
    source = "int table[3] = {1, 2, 3}; int used(int i) { return table[i]; } void _start(void) { used(1); }"
    return compiled(source, "-nostdlib", "-O0")


def test_segments_and_symbols_agree_with_pyelftools(native: Path) -> None:
    module = Module.from_file(native)
    oracle = ELFFile(io.BytesIO(native.read_bytes()))
    loads = [s for s in oracle.iter_segments() if s["p_type"] == "PT_LOAD" and s["p_memsz"]]
    assert [(s.start, s.end, bytes(s.data)) for s in module.segments] == [
        (s["p_vaddr"], s["p_vaddr"] + s["p_memsz"], s.data()) for s in loads
    ]
    assert module.entry == oracle["e_entry"]
    table = oracle.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    names = {s.name: s["st_value"] for s in table.iter_symbols()}
    for name in ("_start", "used", "table"):
        assert module.symbols[name].address == names[name]
    assert module.symbol_at(names["used"]) == "used"
    assert module.symbol_at(names["used"] + 3) == "used+0x3"
    assert module.symbol_at(0x10) is None


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_symbols_raise_nothing_but_bad_image(native: Path, data: st.DataObject) -> None:
    image = bytearray(native.read_bytes())
    table = struct.unpack_from("<I", image, 32)[0]
    for _ in range(data.draw(st.integers(1, 5))):
        where = data.draw(st.one_of(st.integers(32, 51), st.integers(table, len(image) - 1)))
        image[where] = data.draw(st.integers(0, 255))
    try:
        module = Module.from_bytes(image)
        module.symbol_at(module.entry)
        _ = module.symbols
    except BadImage:
        pass
