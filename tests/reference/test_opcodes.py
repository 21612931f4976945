"""The instruction table: it is consistent, complete, and each row decodes to itself."""

from __future__ import annotations

import doctest
import itertools
import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest

from reference.flags import AF, CF, OF, PF, SF, STATUS, ZF
from reference.isa import encoding, enumerate, format, lookup, opcodes, operands, trie  # noqa: A004 (module names)
from reference.isa.decode import decode
from reference.isa.enumerate import all_examples, examples
from reference.isa.instruction import InvalidOpcode, Kind, Row
from reference.isa.lookup import FORMS, ROOTS, SELECTORS, ImmediateRule
from reference.isa.opcodes import ROWS, read_table
from reference.policy import Group, Policy

EVERYTHING = Policy(Policy.everything().groups, thread_pointer=True)


def rows_of(mnemonic: str) -> list[Row]:
    found = [row for row in ROWS if row.mnemonic == mnemonic]
    assert found, mnemonic
    return found


@pytest.mark.parametrize(
    "module", [encoding, enumerate, format, lookup, opcodes, operands, trie], ids=lambda m: m.__name__
)
def test_examples_in_documentation_hold(module: ModuleType) -> None:
    assert doctest.testmod(import_module(module.__name__)).failed == 0


def test_index_of_a_row_is_its_place() -> None:
    assert [row.index for row in ROWS] == list(range(len(ROWS)))


def test_no_line_stands_twice() -> None:
    lines = [(row.opcode, row.operands) for row in ROWS]
    assert len(lines) == len(set(lines))


def test_no_two_rows_claim_the_same_bytes() -> None:
    trie.build(ROWS)
    with pytest.raises(ValueError, match="two rows claim '00 /r'"):
        trie.build((*ROWS, ROWS[0]))


@pytest.mark.parametrize(
    "line",
    [
        "00 /r  add  Eb,Gb",
        "00 /r  add  Eb,Gb  nowhere",
        "00 /r  add  Eb,Gb  base  eat",
        "00 /r  add  Eb,Gb  base  copy  often",
        "00 /r  add  Eb,Gb  base  copy  lock  q  -  -",
        "00 /r  add  Eb,Gb  base  copy  lock  -  -  -  -",
    ],
)
def test_a_line_that_breaks_the_rules_is_named(line: str) -> None:
    with pytest.raises((ValueError, KeyError), match="instruction table"):
        read_table(line)


@pytest.mark.parametrize(
    "text", ["0F", "00 /r /r", "00 C0 C0", "0F 01 20", "41+r", "VEX.66.W0 10 /r", "VEX.512.0F 10 /r"]
)
def test_opcode_notation_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        encoding.parse_encoding(text)


@pytest.mark.parametrize("text", ["Kb", "Ek", "Mb/Rd", "VM32", "BBk", "ST7"])
def test_unknown_operand_code_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, IndexError)):
        operands.parse_operand(text)


def test_every_row_decodes_to_itself() -> None:
    """Encoder and decoder read the notation in opposite directions."""
    for row, code in all_examples():
        if row.kind is Kind.REFUSE:
            with pytest.raises(InvalidOpcode, match=f"{row.mnemonic} is refused"):
                decode(code, 0x1000, EVERYTHING)
            continue
        instruction = decode(code, 0x1000, EVERYTHING)
        assert instruction.row is row, (row.opcode, code.hex(" "))
        assert instruction.raw == code
        assert len(instruction.operands) == len(row.operands)


def test_every_row_has_examples() -> None:
    assert all(next(examples(row), None) for row in ROWS)


def test_every_row_needs_its_group() -> None:
    for row in ROWS:
        if row.kind is Kind.REFUSE:
            continue
        policy = EVERYTHING.without_groups(row.group)
        for code in itertools.islice(examples(row), 2):
            if _falls_back(row):
                assert decode(code, 0x1000, policy).row.group is Group.BASE
                continue
            with pytest.raises(InvalidOpcode, match=f"{row.mnemonic} needs group .*{row.group.value}"):
                decode(code, 0x1000, policy)


def _falls_back(row: Row) -> bool:
    return row.mnemonic in ("tzcnt", "lzcnt")


def test_vector_instructions_with_vex_need_avx_besides() -> None:
    vaesenc = bytes.fromhex("c4e271dcc2")
    with pytest.raises(InvalidOpcode, match="group avx"):
        decode(vaesenc, 0, Policy.default().with_groups(Group.AES))
    with pytest.raises(InvalidOpcode, match="group aes"):
        decode(vaesenc, 0, Policy.default().with_groups(Group.AVX))
    assert decode(vaesenc, 0, Policy.default().with_groups(Group.AES, Group.AVX)).mnemonic == "vaesenc"
    assert decode(bytes.fromhex("c4e270f2c2"), 0, Policy.default().with_groups(Group.BMI1)).mnemonic == "andn"


def test_only_what_may_take_lock_and_rep_does() -> None:
    assert {row.mnemonic for row in ROWS if row.lock} == {
        "adc", "add", "and", "btc", "btr", "bts", "cmpxchg", "cmpxchg8b", "dec", "inc", "neg", "not", "or", "sbb", "sub",
        "xadd", "xchg", "xor",
    }  # fmt: skip
    assert all(row.operands[0][0] in "EM" for row in ROWS if row.lock)
    assert {row.mnemonic: row.rep for row in ROWS if row.rep} == {
        "movs": "rep", "stos": "rep", "lods": "rep", "cmps": "repe", "scas": "repe",
    }  # fmt: skip


def test_control_transfers_are_rewritten_trapped_or_refused() -> None:
    for row in ROWS:
        transfers = row.mnemonic[0] == "j" or row.mnemonic in ("call", "ret", "loop", "loope", "loopne")
        far = row.mnemonic == "jmpf"
        assert (row.kind is Kind.REWRITE) == ((transfers and not far) or row.mnemonic == "popf"), row.opcode
        if any(code.startswith("J") for code in row.operands):
            assert row.kind is Kind.REWRITE or row.mnemonic == "xbegin"


def test_nothing_that_names_a_segment_register_is_copied() -> None:
    named = {"ES", "CS", "SS", "DS", "FS", "GS", "Sw", "Cd", "Dd", "Ap", "Mp", "Ms"}
    for row in ROWS:
        if named & set(row.operands):
            assert row.kind in (Kind.REFUSE, Kind.ASSIST), row.opcode
            assert row.kind is Kind.REFUSE or "GS" in row.operands


@pytest.mark.parametrize(
    ("mnemonic", "reads", "writes", "undefined"),
    [
        ("add", 0, STATUS, 0),
        ("adc", CF, STATUS, 0),
        ("and", 0, STATUS, AF),
        ("inc", 0, STATUS & ~CF, 0),
        ("not", 0, 0, 0),
        ("mul", 0, STATUS, SF | ZF | AF | PF),
        ("div", 0, STATUS, STATUS),
        ("bt", 0, STATUS & ~ZF, OF | SF | AF | PF),
        ("bsf", 0, STATUS, STATUS & ~ZF),
        ("aaa", AF, STATUS, OF | SF | ZF | PF),
        ("daa", AF | CF, STATUS, OF),
        ("cmpxchg8b", 0, ZF, 0),
        ("jbe", CF | ZF, 0, 0),
        ("setl", SF | OF, 0, 0),
        ("cmovg", SF | OF | ZF, 0, 0),
        ("adcx", CF, CF, 0),
        ("lahf", STATUS & ~OF, 0, 0),
        ("sahf", 0, STATUS & ~OF, 0),
        ("fcmovu", PF, 0, 0),
        ("ptest", 0, STATUS, 0),
        ("andn", 0, STATUS, AF | PF),
    ],
)
def test_flags_are_those_of_the_manual(mnemonic: str, reads: int, writes: int, undefined: int) -> None:
    for row in rows_of(mnemonic):
        assert (row.reads, row.writes, row.undefined) == (reads, writes, undefined), row.opcode


def test_a_shift_by_a_count_that_may_be_zero_is_no_full_write() -> None:
    for row in itertools.chain.from_iterable(map(rows_of, ("rol", "ror", "rcl", "rcr", "shl", "shr", "sar"))):
        if row.operands[1] != "1":
            assert row.reads & row.writes == row.writes, row.opcode
    for row in rows_of("shl"):
        if row.operands[1] == "1":
            assert row.reads == 0


def test_all_groups_have_rows() -> None:
    assert {row.group for row in ROWS} == set(Group)


def test_the_trie_leads_to_every_row_and_to_rows_only() -> None:
    reached = set()
    for root in ROOTS:
        assert len(root) == 256
        for entry in root:
            reached |= set(SELECTORS[-1 - entry]) if entry < 0 else {entry}
    assert reached == set(range(len(ROWS) + 1))


def test_immediates_follow_from_the_operand_codes() -> None:
    rules = {row.opcode: FORMS[row.index].immediate for row in ROWS}
    assert rules["C8"] is ImmediateRule.WORD_BYTE
    assert rules["A1"] is ImmediateRule.OFFSET
    assert rules["E8"] is ImmediateRule.OPERAND
    assert rules["C2"] is ImmediateRule.WORD
    assert rules["83 /0"] is ImmediateRule.BYTE
    assert rules["F7 /2"] is ImmediateRule.NONE
    assert rules["VEX.66.0F3A.W0 4A /r"] is ImmediateRule.BYTE


def test_decoding_imports_the_standard_library_only() -> None:
    source = (
        "import sys, reference.isa.decode, reference.isa.format, reference.isa.enumerate;"
        "own = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names);"
        "print(sorted(name for name in own if not name.startswith(('_', 'sitecustomize'))))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['reference']"
