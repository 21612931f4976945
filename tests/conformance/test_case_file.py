"""Cases survive being written to a file and read again, and a bad file is refused with its line."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.case import DATA, ENTRY, Case
from conformance.case_file import TITLE, CaseFileError, dumps, loads
from conformance.outcome import Outcome
from reference.flags import AF, STATUS
from reference.policy import Group, with_needs
from reference.registers import CPU
from reference.traps import Access, Trap, Vector, page_fault

WORDS = (DATA, 0, 0, 7, 0x30_0800, 0, 0, 0, ENTRY, 0x202)
CASE = Case("add [eax], ebx", bytes.fromhex("0118"), WORDS, ((DATA, b"abc"),), AF, rows=(1,), origin="by hand")

numbers = st.integers(0, 0xFFFF_FFFF)
lines = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp", "Zs")), max_size=30)
words = st.tuples(*[st.one_of(st.just(0), numbers)] * 10)
memory = st.lists(st.tuples(numbers, st.binary(max_size=100)), max_size=3).map(tuple)
plain_image = bytes(CPU().fp)
images = st.one_of(
    st.none(),
    st.just(plain_image),
    st.builds(
        lambda at, data: (plain_image[:at] + data + plain_image[at + len(data) :])[:832],
        st.integers(0, 800),
        st.binary(max_size=60),
    ),
)
cases = st.builds(
    Case,
    label=lines,
    code=st.binary(max_size=40),
    words=words,
    memory=memory,
    undefined=st.one_of(st.integers(0, STATUS), numbers),
    undefined_if_trapped=st.sampled_from((0, STATUS)),
    partial_if_trapped=st.booleans(),
    repeats=st.booleans(),
    fp=images,
    undefined_registers=st.integers(0, 255),
    undefined_fsw=st.integers(0, 0xFFFF),
    groups=st.one_of(st.just(frozenset(Group)), st.frozensets(st.sampled_from(list(Group))).map(with_needs)),
    gs_base=st.one_of(st.none(), numbers),
    rows=st.lists(st.integers(0, 2000), max_size=3).map(tuple),
    origin=lines,
)
traps = st.builds(
    Trap,
    number=st.integers(0, 0x500),
    eip=numbers,
    address=numbers,
    access=st.sampled_from(list(Access)),
    vector=st.one_of(st.none(), st.integers(0, 31)),
)
outcomes = st.builds(
    Outcome,
    words=words,
    memory=memory,
    trap=st.one_of(st.none(), traps),
    fp=images,
    failure=st.sampled_from(("", "E: x")),
)


@given(case=cases, expected=st.one_of(st.none(), outcomes))
def test_what_is_written_is_read_again(case: Case, expected: Outcome | None) -> None:
    assert loads(dumps(case, expected)) == (case, expected)


def test_a_file_shows_the_instruction_and_nothing_that_is_as_usual() -> None:
    expected = Outcome((*WORDS[:8], ENTRY + 2, 0x202), ((DATA, b"h"),), None)
    text = dumps(CASE, expected)
    assert text.splitlines() == [
        TITLE,
        "label     add [eax], ebx",
        "origin    by hand",
        "rows      1",
        "code      01 18",
        "#         00100800  add dword ptr [eax], ebx",
        "before",
        "  eax     00200000",
        "  ebx     00000007",
        "  esp     00300800",
        "  memory  00200000: 61 62 63",
        "undefined",
        "  flags   A",
        "expected",
        "  eip     00100802",
        "  memory  00200000: 68",
    ]


def test_a_trap_is_kept_with_everything_that_engines_must_agree_on() -> None:
    trap = page_fault(ENTRY, 0x20_2000, Access.WRITE, "some detail")
    _, outcome = loads(dumps(CASE, Outcome(WORDS, (), trap)))
    assert outcome is not None
    assert outcome.trap == trap
    assert dataclasses.replace(trap, number=Vector.ALIGNMENT) != trap


def test_long_memory_is_continued_and_stays_one_piece() -> None:
    case = dataclasses.replace(CASE, memory=((DATA, bytes(range(100))), (DATA + 100, b"next")))
    text = dumps(case)
    assert "          +0020: 20 21" in text
    assert loads(text)[0] == case


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.case, line 0: the file ends, and there was no code"),
        ("code 9\n", "bad.case, line 1: '9' is not a row of bytes in hexadecimal"),
        ("# x\ncolour red\n", "bad.case, line 2: 'colour' is not a key of a case file"),
        ("code 90\nbefore\n  eax 123456789\n", "bad.case, line 3: 123456789 is not a number of 32 bits"),
        ("code 90\nbefore\n  xyz 1\n", "bad.case, line 3: 'xyz' is not a register, nor memory"),
        ("code 90\n  eax 1\n", "bad.case, line 2: an indented line belongs under before, undefined or expected"),
        (
            "code 90\nbefore\n  memory 00200000 61\n",
            "bad.case, line 3: '00200000 61' is not an address, a colon and bytes",
        ),
        ("code 90\n +0003: 90\n", "bad.case, line 2: +0003: continues nothing that ends there"),
        (
            "groups base avx\n",
            "bad.case, line 1: instruction group avx needs sse4.2 and xsave; Policy.of adds what groups need",
        ),
        ("code 90\nundefined\n  flags q\n", "bad.case, line 3: 'q' is not a flag"),
        (
            "code 90\nexpected\n  trap never\n",
            "bad.case, line 3: 'never' is not a trap: number at eip, access of address, vector",
        ),
        ("code 90\nbefore\n  image 0340: 00\n", "bad.case, line 3: the floating-point image has 832 bytes"),
    ],
)
def test_a_bad_file_is_refused_with_the_line_and_the_reason(text: str, message: str) -> None:
    with pytest.raises(CaseFileError) as error:
        loads(text, "bad.case")
    assert str(error.value) == message


def test_a_label_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="label of a case is one line"):
        dumps(dataclasses.replace(CASE, label="one\ntwo"))


@pytest.mark.parametrize("highest", [0xA, 0xC, 0xD])
def test_masks_that_begin_with_a_letter_were_taken_for_flags(highest: int) -> None:
    case = dataclasses.replace(CASE, undefined=highest << 28)
    assert loads(dumps(case, None)) == (case, None)
