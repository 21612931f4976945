"""The decoder's own rules: prefixes, segment overrides, policies, truncation, and what an Instruction says."""

from __future__ import annotations

import pytest

from reference.isa.decode import MAX_LENGTH, decode
from reference.isa.format import format_instruction
from reference.isa.instruction import (
    File,
    Immediate,
    Instruction,
    InvalidOpcode,
    Kind,
    Memory,
    Register,
    Relative,
    TruncatedCode,
)
from reference.policy import Group, Policy
from reference.registers import EAX, EBP, EBX, ECX, EDI, ESI, Segment

EIP = 0x1000
DEFAULT = Policy.default()
THREADS = Policy(DEFAULT.groups, thread_pointer=True)
EVERYTHING = Policy(Policy.everything().groups, thread_pointer=True)


def one(code: str, policy: Policy = DEFAULT, eip: int = EIP) -> Instruction:
    return decode(bytes.fromhex(code), eip, policy)


def refused(code: str, why: str, policy: Policy = EVERYTHING) -> None:
    with pytest.raises(InvalidOpcode, match=why) as caught:
        one(code, policy)
    assert caught.value.eip == EIP


# -- what an Instruction says ----------------------------------------------------------------------------------------


def test_offsets_of_all_fields() -> None:
    instruction = one("66 81 84 8b 12 34 56 78 9a bc")  # add word ptr [ebx + ecx*4 + 0x78563412], 0xbc9a
    assert instruction.operands == (
        Memory(Segment.DS, EBX, ECX, 4, 0x78563412, 2),
        Immediate(0xBC9A, 2),
    )
    assert (instruction.opcode_offset, instruction.modrm_offset) == (1, 2)
    assert (instruction.displacement_offset, instruction.displacement_size) == (4, 4)
    assert (instruction.immediate_offset, instruction.immediate_size) == (8, 2)
    assert (instruction.operand_size, instruction.address_size, instruction.vector_length) == (2, 4, 0)
    assert instruction.length == 10
    assert instruction.next_eip == EIP + 10


def test_fields_that_are_absent() -> None:
    instruction = one("90")
    assert instruction.modrm_offset == instruction.displacement_offset == instruction.immediate_offset == -1
    assert instruction.displacement_size == instruction.immediate_size == 0


def test_two_immediates_are_one_field() -> None:
    instruction = one("c8 34 12 05")
    assert instruction.operands == (Immediate(0x1234, 2), Immediate(5, 1))
    assert (instruction.immediate_offset, instruction.immediate_size) == (1, 3)


def test_memory_at_an_offset_is_a_displacement() -> None:
    instruction = one("a1 78 56 34 12")
    assert instruction.operands[1] == Memory(Segment.DS, None, None, 1, 0x12345678, 4)
    assert (instruction.displacement_offset, instruction.displacement_size) == (1, 4)
    assert instruction.immediate_offset == -1


@pytest.mark.parametrize(
    ("code", "memory"),
    [
        ("8b 03", Memory(Segment.DS, EBX, None, 1, 0, 4)),
        ("8b 45 f8", Memory(Segment.SS, EBP, None, 1, 0xFFFF_FFF8, 4)),
        ("8b 04 24", Memory(Segment.SS, 4, None, 1, 0, 4)),
        ("8b 04 25 00 00 00 80", Memory(Segment.DS, None, None, 1, 0x8000_0000, 4)),
        ("8b 04 2b", Memory(Segment.DS, EBX, EBP, 1, 0, 4)),
        ("8b 44 eb 04", Memory(Segment.DS, EBX, EBP, 8, 4, 4)),
        ("8b 05 44 33 22 11", Memory(Segment.DS, None, None, 1, 0x11223344, 4)),
        ("67 8b 00", Memory(Segment.DS, EBX, ESI, 1, 0, 4, 2)),
        ("67 8b 42 ff", Memory(Segment.SS, EBP, ESI, 1, 0xFFFF, 4, 2)),
        ("67 8b 06 34 12", Memory(Segment.DS, None, None, 1, 0x1234, 4, 2)),
        ("67 8b 46 00", Memory(Segment.SS, EBP, None, 1, 0, 4, 2)),
        ("67 a1 34 12", Memory(Segment.DS, None, None, 1, 0x1234, 4, 2)),
    ],
)
def test_addressing(code: str, memory: Memory) -> None:
    assert one(code).operands[1] == memory


def test_high_byte_registers_have_numbers_4_to_7_of_size_1() -> None:
    assert one("88 e7").operands == (Register(File.GENERAL, 7, 1), Register(File.GENERAL, 4, 1))


@pytest.mark.parametrize(
    ("code", "value", "size"),
    [
        ("83 c0 ff", 0xFFFF_FFFF, 4),
        ("66 83 c0 80", 0xFF80, 2),
        ("6a 7f", 0x7F, 4),
        ("04 ff", 0xFF, 1),
        ("6b c0 fe", 0xFFFF_FFFE, 4),
    ],
)
def test_immediates_are_sign_extended_where_the_encoding_says_so(code: str, value: int, size: int) -> None:
    assert one(code).operands[-1] == Immediate(value, size)


def test_branch_targets_wrap() -> None:
    assert one("eb fe").operands == (Relative(EIP),)
    assert one("e9 00 00 00 00", eip=0xFFFF_FFFB).operands == (Relative(0),)
    assert one("e8 fb ff ff ff", eip=0).operands == (Relative(0),)


def test_string_operands_are_memory() -> None:
    assert one("a4").operands == (Memory(Segment.ES, EDI, None, 1, 0, 1), Memory(Segment.DS, ESI, None, 1, 0, 1))
    assert one("67 66 a5").operands == (
        Memory(Segment.ES, EDI, None, 1, 0, 2, 2),
        Memory(Segment.DS, ESI, None, 1, 0, 2, 2),
    )
    assert one("d7").operands == (Memory(Segment.DS, EBX, None, 1, 0, 1),)


def test_a_source_string_takes_an_override_and_a_destination_does_not() -> None:
    destination, source = one("36 a4").operands
    assert isinstance(destination, Memory)
    assert isinstance(source, Memory)
    assert (destination.segment, source.segment) == (Segment.ES, Segment.SS)


def test_gather_has_a_vector_index() -> None:
    operand = one("c4 e2 65 92 4c 95 12", EVERYTHING).operands[1]  # vgatherdps ymm1, [ebp + ymm2*4 + 0x12], ymm3
    assert operand == Memory(Segment.SS, EBP, 2, 4, 0x12, 4, 4, File.YMM)


def test_gather_needs_three_registers_and_a_sib_byte() -> None:
    refused("c4 e2 65 92 54 95 12", "register twice")
    refused("c4 e2 65 92 4d 12", "without SIB")
    refused("67 c4 e2 65 92 4c 12", "16-bit address")


def test_vector_length() -> None:
    assert one("0f 58 c1").vector_length == 0
    assert one("c5 f8 58 c1", EVERYTHING).vector_length == 16
    assert one("c5 fc 58 c1", EVERYTHING).vector_length == 32
    assert one("c5 fc 58 c1", EVERYTHING).operands[0] == Register(File.YMM, 0, 32)


def test_a_mandatory_66_is_no_operand_size() -> None:
    assert one("66 0f 6f c1").operand_size == 4
    assert one("66 f3 0f b8 c1").operand_size == 2


# -- prefixes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", ["f0 01 c8", "f0 03 01", "f0 8b 01", "f0 39 01", "f0 85 01", "f0 90", "f0 0f a3 01", "f0 c3", "f0 f3 a4"]
)
def test_lock_only_before_a_memory_destination_that_may_have_it(code: str) -> None:
    refused(code, "LOCK")


@pytest.mark.parametrize(
    "code", ["f0 01 08", "f0 87 01", "f0 0f c7 09", "f0 0f ba 29 03", "66 f0 ff 00", "3e f0 0f b1 0a"]
)
def test_lock_where_it_belongs(code: str) -> None:
    instruction = one(code)
    assert instruction.lock
    assert instruction.copy == instruction.raw


@pytest.mark.parametrize(
    ("code", "copy"),
    [
        ("f3 c3", "c3"),  # rep ret
        ("f2 ff e0", "ff e0"),  # bnd jmp eax
        ("f2 f0 01 08", "f0 01 08"),  # xacquire lock add
        ("f3 89 01", "89 01"),
        ("f3 66 89 01", "66 89 01"),
        ("66 f3 89 01", "66 89 01"),
        ("f3 f3 89 01", "89 01"),
    ],
)
def test_repeat_prefixes_that_mean_nothing_are_left_out(code: str, copy: str) -> None:
    instruction = one(code)
    assert instruction.rep == 0
    assert instruction.copy == bytes.fromhex(copy)
    assert instruction.raw == bytes.fromhex(code)


@pytest.mark.parametrize(
    ("code", "rep", "copy"),
    [
        ("f3 a4", 0xF3, "f3 a4"),
        ("f2 a4", 0xF3, "f3 a4"),  # REPNE repeats MOVS just the same
        ("f3 a6", 0xF3, "f3 a6"),
        ("f2 ae", 0xF2, "f2 ae"),
        ("f3 f2 ae", 0xF2, "f2 ae"),
        ("66 f3 ab", 0xF3, "f3 66 ab"),
        ("f3 66 ab", 0xF3, "f3 66 ab"),
    ],
)
def test_repeat_prefixes_of_strings(code: str, rep: int, copy: str) -> None:
    instruction = one(code)
    assert instruction.rep == rep
    assert instruction.copy == bytes.fromhex(copy)


def test_of_two_mandatory_prefixes_the_last_counts_and_goes_into_the_copy() -> None:
    instruction = one("f2 f3 0f 58 c1")
    assert instruction.mnemonic == "addss"
    assert instruction.copy == bytes.fromhex("f3 0f 58 c1")
    assert one("66 f2 0f 58 c1").mnemonic == "addsd"


@pytest.mark.parametrize("code", ["66 c5 f8 58 c1", "f3 c5 f8 58 c1", "f2 c4 e2 70 f2 c2", "f0 c5 f8 58 c1"])
def test_no_prefix_before_vex_but_overrides(code: str) -> None:
    refused(code, "VEX")


def test_overrides_before_vex() -> None:
    assert one("36 67 c5 f8 58 02", EVERYTHING).operands[-1] == Memory(Segment.SS, EBP, ESI, 1, 0, 16, 2)


@pytest.mark.parametrize("code", ["c4 c1 78 58 c1", "c4 e1 38 58 c1"])
def test_vex_cannot_name_registers_that_32_bit_mode_lacks(code: str) -> None:
    refused(code, "register above 7")


def test_vex_vvvv_must_be_unused_where_nothing_uses_it() -> None:
    refused("c5 f0 28 c1", "VEX.vvvv")
    assert one("c5 f8 28 c1", EVERYTHING).mnemonic == "vmovaps"


@pytest.mark.parametrize("code", ["c4 e1 f9 6e c1", "c4 e2 f0 f2 c2", "c4 e2 79 19 c1"])
def test_vex_w_and_l_are_those_of_the_manual(code: str) -> None:
    refused(code, "no instruction")


@pytest.mark.parametrize(
    "code",
    [
        "66 e8 00 00",
        "66 e9 00 00",
        "66 eb 00",
        "66 74 00",
        "66 0f 84 00 00",
        "66 c3",
        "66 c2 00 00",
        "66 ff e0",
        "66 ff d0",
        "66 e2 00",
        "66 e3 00",
    ],
)
def test_no_near_transfer_with_16_bits(code: str) -> None:
    refused(code, "16-bit operand size")


# -- segments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("prefix", "segment"), [("26", Segment.ES), ("36", Segment.SS), ("3e", Segment.DS)])
def test_overrides_of_the_data_segment_are_admitted(prefix: str, segment: Segment) -> None:
    instruction = one(f"{prefix} 8b 45 00")
    assert instruction.segment is segment
    operand = instruction.operands[1]
    assert isinstance(operand, Memory)
    assert operand.segment is segment
    assert instruction.copy == instruction.raw
    assert one(f"{prefix} 89 c8").mnemonic == "mov"  # and mean nothing without a memory operand


@pytest.mark.parametrize(
    "code", ["64 8b 00", "64 a1 00 00 00 00", "64 90", "64 0f 1f 00", "64 74 00", "64 89 c8", "64 a4"]
)
def test_fs_is_admitted_nowhere(code: str) -> None:
    refused(code, "FS override")


@pytest.mark.parametrize(
    "code", ["2e 8b 00", "2e a1 00 00 00 00", "2e a4", "2e ff 20", "2e ff e0", "2e e9 00 00 00 00", "2e 89 c8", "2e d7"]
)
def test_cs_reads_nothing(code: str) -> None:
    refused(code, "CS override")


def test_cs_is_a_branch_hint() -> None:
    assert one("2e 74 00").mnemonic == one("3e 0f 84 00 00 00 00").mnemonic == "je"


def test_cs_on_a_no_operation_becomes_ds() -> None:
    instruction = one("66 2e 0f 1f 84 00 00 00 00 00")
    assert instruction.copy == bytes.fromhex("66 3e 0f 1f 84 00 00 00 00 00")
    assert instruction.segment is Segment.CS


def test_gs_needs_a_thread_pointer() -> None:
    refused("65 a1 14 00 00 00", "GS override", DEFAULT)
    refused("8c e8", "thread pointer", DEFAULT)
    operand = one("65 a1 14 00 00 00", THREADS).operands[1]
    assert operand == Memory(Segment.GS, None, None, 1, 0x14, 4)
    assert one("65 ff 15 10 00 00 00", THREADS).row.kind is Kind.REWRITE
    for code in ("8c e8", "8e e8", "8e 28", "0f a8", "0f a9"):
        assert one(code, THREADS).row.kind is Kind.ASSIST


@pytest.mark.parametrize(
    "code", ["65 a4", "65 aa", "65 d7", "65 67 8b 00", "65 89 c8", "65 74 00", "65 8d 00", "65 0f 1f 00", "65 90"]
)
def test_gs_only_where_its_base_can_be_added(code: str) -> None:
    refused(code, "GS override")


@pytest.mark.parametrize("code", ["65 3e 8b 00", "2e 3e 0f 1f 00", "64 36 89 c8"])
def test_an_override_that_another_one_follows_must_be_harmless(code: str) -> None:
    refused(code, "two overrides")


def test_of_harmless_overrides_the_last_counts() -> None:
    assert one("36 3e 8b 00").segment is Segment.DS


# -- policies --------------------------------------------------------------------------------------------------------


def test_tzcnt_and_lzcnt_are_bsf_and_bsr_without_their_groups() -> None:
    for code, old, new, group in (
        ("f3 0f bc c1", "bsf", "tzcnt", Group.BMI1),
        ("f3 0f bd c1", "bsr", "lzcnt", Group.LZCNT),
        ("66 f3 0f bc c1", "bsf", "tzcnt", Group.BMI1),
    ):
        assert one(code, DEFAULT.with_groups(group)).mnemonic == new
        instruction = one(code, DEFAULT.without_groups(group))
        assert instruction.mnemonic == old
        assert 0xF3 not in instruction.copy


def test_popcnt_without_its_group_is_invalid() -> None:
    refused("f3 0f b8 c1", "popcnt needs group popcnt", Policy.integer_only())


def test_integer_only_has_no_floating_point() -> None:
    for code in ("d9 e8", "0f 58 c1", "0f 77", "0f ae 00", "9b"):
        refused(code, "needs group", Policy.integer_only())


def test_the_message_names_instruction_and_group() -> None:
    with pytest.raises(InvalidOpcode) as caught:
        one("c5 f8 58 c1")
    assert str(caught.value) == "invalid opcode: vaddps needs group avx, which the policy does not admit"


# -- lengths ---------------------------------------------------------------------------------------------------------


def test_fifteen_bytes_and_no_more() -> None:
    assert one("66" * 9 + "81 00 00 00").length == 13
    longest = "2e" + "66" * 5 + "0f 1f 84 00 00 00 00 00"
    assert one(longest).length == 14
    assert one("66" + longest).length == MAX_LENGTH
    refused("66 66" + longest, "longer than 15 bytes")
    refused("66" * 15, "longer than 15 bytes")
    refused("66" * 20 + "90", "longer than 15 bytes")


@pytest.mark.parametrize(
    "code",
    [
        "90",
        "8b 84 8b 00 00 00 80",
        "66 81 40 01 00 00",
        "0f 3a 0f c1 02",
        "c4 e2 79 18 05 00 00 00 00",
        "a1 00 00 00 00",
    ],
)
def test_a_byte_is_missing_only_when_it_is_needed(code: str) -> None:
    whole = bytes.fromhex(code)
    assert decode(whole, EIP, EVERYTHING).length == len(whole)
    for end in range(len(whole)):
        with pytest.raises(TruncatedCode) as caught:
            decode(whole[:end], EIP, EVERYTHING)
        assert caught.value.missing == EIP + end


def test_the_missing_address_wraps() -> None:
    with pytest.raises(TruncatedCode) as caught:
        decode(b"\xe8", 0xFFFF_FFFF, DEFAULT)
    assert caught.value.missing == 0


def test_a_refused_instruction_is_refused_before_its_last_bytes_are_needed() -> None:
    refused("9a", "callf is refused")
    refused("ff 1d", "callf is refused")
    refused("65 8b 80", "GS", DEFAULT)
    with pytest.raises(TruncatedCode):
        one("ff")


def test_bytes_behind_the_instruction_do_not_matter() -> None:
    assert one("90 ff ff ff ff").raw == b"\x90"


# -- listings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("f0 0f b1 4d f8", "lock cmpxchg dword ptr [ebp - 8], ecx"),
        ("f3 a5", "rep movs dword ptr es:[edi], dword ptr [esi]"),
        ("f2 ae", "repne scas al, byte ptr es:[edi]"),
        ("66 98", "cbw"),
        ("98", "cwde"),
        ("66 99", "cwd"),
        ("67 e3 00", "jcxz 0x1003"),
        ("d8 c1", "fadd st, st(1)"),
        ("d9 28", "fldcw word ptr [eax]"),
        ("db 28", "fld tbyte ptr [eax]"),
        ("8d 84 9d 00 10 00 00", "lea eax, [ebp + ebx*4 + 0x1000]"),
        ("a1 78 56 34 12", "mov eax, dword ptr ds:[0x12345678]"),
        ("3e 8b 00", "mov eax, dword ptr ds:[eax]"),
        ("66 0f 6f c1", "movdqa xmm0, xmm1"),
        ("c3", "ret"),
    ],
)
def test_listing(code: str, text: str) -> None:
    assert format_instruction(one(code)) == text
    assert one(code).operands == one(code).operands


def test_eax_is_what_an_accumulator_operand_is() -> None:
    assert one("05 01 00 00 00").operands[0] == Register(File.GENERAL, EAX, 4)
    assert one("66 05 01 00").operands[0] == Register(File.GENERAL, EAX, 2)
