"""The a.out format: what is refused, and that nothing hostile gets through."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan9_programs import aout

from vx32py._errors import BadImage
from vx32py.plan9.aout import HEADER, MAGIC, TEXT, Program

CODE = bytes.fromhex("b808000000 6a00 6a00 cd40".replace(" ", ""))


def test_where_things_go_is_what_the_header_says() -> None:
    program = Program.from_aout(aout(CODE, b"data", 5000), "name")
    text, data = program.segments
    assert (text.start, bytes(text.data)[HEADER.size :]) == (TEXT, CODE)
    assert (data.start, bytes(data.data), data.end) == (0x2000, b"data", 0x2000 + 4 + 5000)
    assert program.entry == TEXT + HEADER.size
    assert program.name == "name"


def test_text_that_ends_with_a_page_has_its_data_on_the_next_one() -> None:
    program = Program.from_aout(aout(bytes(4096 - HEADER.size), b"x"), "name")
    assert program.header.data_start == 0x2000
    program = Program.from_aout(aout(bytes(4097 - HEADER.size), b"x"), "name")
    assert program.header.data_start == 0x3000


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "truncated: an a.out header has 32 bytes, the file has 0"),
        (b"\x7fELF" + bytes(60), "an ELF program, not an a.out file of Plan 9's for the 386"),
        (aout(CODE, entry=TEXT), "the entry point 0x1000 is not in the text"),
        (aout(CODE, entry=TEXT + HEADER.size + len(CODE)), "is not in the text"),
        (aout(CODE, magic=0x8A97), "an a.out file for amd64, not for the 386"),
        (aout(CODE)[:-1], "truncated: header, text and data are"),
        (HEADER.pack(MAGIC, 0xFFFFFFFF, 0, 0, 0, 0x1020, 0, 0), "above 0x40000000"),
        (HEADER.pack(MAGIC, 16, 0, 0xFFFFFFFF, 0, 0x1020, 0, 0) + bytes(16), "above 0x40000000"),
        (HEADER.pack(MAGIC, 16, 0x7FFFFFFF, 0x7FFFFFFF, 0, 0x1020, 0, 0) + bytes(16), "above 0x40000000"),
    ],
)
def test_a_file_that_is_no_program_is_refused_with_a_reason(image: bytes, message: str) -> None:
    with pytest.raises(BadImage, match=message):
        Program.from_aout(image)


def test_symbols_name_addresses_and_a_broken_table_names_fewer() -> None:
    table = (0x1020).to_bytes(4, "big") + bytes([0x80 | ord("T")]) + b"main\0"
    table += (0x1026).to_bytes(4, "big") + bytes([0x80 | ord("t")]) + b"inner\0"
    table += bytes(4) + bytes([0x80 | ord("z")]) + b"\0\0\1\0\2\0\0"
    table += (0x1028).to_bytes(4, "big") + bytes([0x80 | ord("T")]) + b"last\0"
    image = bytearray(aout(CODE))
    image[16:20] = (len(table) + 40).to_bytes(4, "big")
    program = Program.from_aout(bytes(image) + table + b"\xff" * 40)
    assert program.symbol_at(0x1020) == "main"
    assert program.symbol_at(0x1027) == "inner+0x1"
    assert program.symbol_at(0x1028) == "last"
    assert program.symbol_at(0x9000) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 0xFFFFFFFF), min_size=7, max_size=7))
def test_no_header_whatever_it_says_does_more_than_be_refused(rest: bytes, words: list[int]) -> None:
    try:
        program = Program.from_aout(HEADER.pack(MAGIC, *words) + rest)
    except BadImage:
        return
    assert program.end <= 0x4000_0000
    program.symbol_at(0x1020)
