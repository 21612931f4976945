"""The reducer: what it makes of cases, whatever it is that diverges. Here a predicate says so, or the specification."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from asm import assemble

from conformance.case import DATA, ENTRY, LOW, MUTABLE, STACK, Case
from conformance.isa import Task, case_of
from conformance.oracles import open_oracle
from conformance.oracles.bench import INITIAL_FP
from conformance.outcome import Outcome
from conformance.reduce import reduce
from conformance.reduce.cause import SameCause, Symptoms
from conformance.reduce.memory import contents
from conformance.reduce.program import pieces_of
from conformance.reduce.size import size
from conformance.reduce.values import simpler, simplify, weight
from reference.flags import OF
from reference.isa.format import format_instruction
from reference.policy import Group
from reference.registers import EAX, ECX, EDX, EFLAGS, ESI, MASK32

Diverges = Callable[[Case], bool]


def case_with(text: str, *, eip: int = ENTRY, memory: tuple[tuple[int, bytes], ...] = (), **registers: int) -> Case:
    words = [0x1111_1111 * (i + 1) for i in range(8)] + [eip, 0x2D7]
    words[4] = STACK + 0x800
    for name, value in registers.items():
        words[("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi").index(name)] = value
    return Case("case", assemble(text), tuple(words), memory)


def texts(case: Case) -> list[str]:
    return [format_instruction(piece.instruction) for piece in pieces_of(case) if piece.instruction]


def mnemonics(case: Case) -> list[str]:
    return [piece.instruction.mnemonic if piece.instruction else "?" for piece in pieces_of(case)]


def having(*wanted: str) -> Diverges:
    """Whether there are such instructions, in this order."""

    def diverges(case: Case) -> bool:
        found = iter(mnemonics(case))
        return all(mnemonic in found for mnemonic in wanted)

    return diverges


def outcome_of(case: Case) -> Outcome:
    return _REFERENCE.run(case)


_REFERENCE = open_oracle("reference")


# -- the program -----------------------------------------------------------------------------------------------------


def test_a_sequence_becomes_the_one_instruction_that_matters() -> None:
    case = case_with(
        "mov eax, 7; add ebx, [esi + 4*edi + 0x100]; imul ecx, edx, 0x12345; push eax; cmc", esi=DATA, edi=2
    )
    small = reduce(case, having("imul"))
    assert texts(small) == ["imul eax, eax, 0"]
    assert small.words == (0,) * 8 + (ENTRY, 0x202)
    assert not small.memory
    assert small.groups == {Group.BASE}


def test_instructions_that_matter_together_stay_together() -> None:
    case = case_with("inc eax\n" * 20 + "stc\n" + "dec ecx\n" * 20 + "adc eax, ebx\n" + "nop\n" * 20)
    assert texts(reduce(case, having("stc", "adc"))) == ["stc", "adc eax, eax"]


def test_a_branch_leads_where_it_led() -> None:
    case = case_with("inc ecx; jmp over; inc ebx; mov eax, 5; over: inc ecx; mov edx, 9; nop; nop", eax=0, edx=0)
    small = reduce(case, lambda each: "jmp" in mnemonics(each) and outcome_of(each).words[EDX] == 9)
    assert [text.split()[0] for text in texts(small)] == ["jmp", "mov"]
    assert outcome_of(small).words[EAX] == 0


def test_a_branch_that_would_have_to_reach_further_than_it_can_is_left_alone() -> None:
    case = case_with("jz far; " + "nop; " * 60 + "far: inc eax")
    small = reduce(case, lambda each: "je" in mnemonics(each) and len(each.code) > 50)
    assert "je" in mnemonics(small)


def test_code_that_modifies_itself_still_does() -> None:
    eip = MUTABLE + 0x800
    body = f"nop; inc ecx; mov byte ptr [{eip + 14}], 0x42; inc ebx; cmc; nop; nop; inc esi; inc eax; inc edi"
    case = case_with(body, eip=eip, edx=5)
    assert outcome_of(case).words[EDX] == 6
    small = reduce(case, lambda each: outcome_of(each).words[EDX] == each.words[EDX] + 1)
    assert texts(small) == [f"mov byte ptr ds:[{eip + 7:#x}], 0x42"], "it makes an instruction of the INT3 behind it"
    assert small.eip == eip
    longer = reduce(
        case, lambda each: outcome_of(each).words[EDX] > each.words[EDX] and mnemonics(each)[-1:] == ["inc"]
    )
    assert mnemonics(longer) == ["mov", "inc"]


def test_code_across_two_pages_stays_across_them_if_that_matters() -> None:
    eip = MUTABLE + 0x1000 - 12
    case = case_with("inc eax; inc eax; inc eax; mov ecx, 0x12345678; inc eax; add edx, 0x1234567; inc ebx", eip=eip)

    def crosses(each: Case) -> bool:
        return any(p.eip < MUTABLE + 0x1000 < p.eip + len(p.raw) for p in pieces_of(each) if p.instruction)

    small = reduce(case, lambda each: crosses(each) and "add" in mnemonics(each))
    assert crosses(small)
    assert mnemonics(small) == ["add"]


def test_a_case_can_begin_later() -> None:
    """What the first instructions do can be put into the state; none of them can simply be left out."""
    case = case_with("mov eax, 0x30; push eax; pop ebx; add ebx, 4; mul ebx", ebx=0)
    small = reduce(case, lambda each: mnemonics(each)[-1:] == ["mul"] and outcome_of(each).words[EAX] == 0x30 * 0x34)
    assert mnemonics(small) == ["mul"]


def test_prefixes_addresses_and_immediates_become_simple() -> None:
    case = case_with(
        ".byte 0x36, 0x3e; add dword ptr [ebp + 8*esi + 0x345], 0x8765432",
        ebp=DATA,
        esi=3,
        memory=((DATA, b"\1" * 64),),
    )
    small = reduce(case, having("add"))
    assert texts(small) == ["add eax, 0"]
    assert len(small.code) == 6
    still_memory = reduce(case, lambda each: "add" in mnemonics(each) and "[" in texts(each)[0])
    assert texts(still_memory) == ["add dword ptr ds:[0x200000], 0"]


def test_a_long_vex_prefix_becomes_short() -> None:
    small = reduce(case_with("{vex3} vaddps ymm5, ymm6, ymm7"), having("vaddps"))
    assert small.code == assemble("vaddps ymm0, ymm0, ymm0")


def test_a_vector_in_memory_goes_into_a_register() -> None:
    vector = bytes(range(1, 17))
    case = replace(
        case_with("paddb xmm3, [edx]", edx=DATA + 0x40, memory=((DATA, bytes(0x40) + vector),)), fp=INITIAL_FP
    )
    small = reduce(case, lambda each: "paddb" in mnemonics(each) and vector in (outcome_of(each).fp or b""))
    assert texts(small) == ["paddb xmm1, xmm0"]
    assert small.memory == ()


@pytest.mark.parametrize("seed", range(4))
def test_what_instructions_there_are_does_not_change(seed: int) -> None:
    """Whatever a predicate accepts: a bug in another instruction is another bug."""
    rng = random.Random(seed)
    case = case_of(Task("isa", seed, 0, 1, ()), rng.choice((448, 449, 1000, 2000)))
    before = [piece.row for piece in pieces_of(case)]
    small = reduce(case, lambda each: hash((each.code, each.words)) % 3 > 0 or each == case)
    remaining = iter(before)
    assert all(piece.row in remaining for piece in pieces_of(small))


def test_bytes_that_are_no_instructions_are_left_out_as_well() -> None:
    case = Case("noise", b"\x0f\x04\x40\xd6\x90\x0f\x24\xf1", (0,) * 8 + (0xFFFF_FFFC, 0x202))
    small = reduce(case, lambda each: any(p.raw == b"\xd6" and p.instruction is None for p in pieces_of(each)))
    assert small.code == b"\xd6"


# -- the state -------------------------------------------------------------------------------------------------------


def test_registers_and_flags_become_zero_or_simple() -> None:
    case = case_with("shl eax, cl", eax=0x8765_4321, ecx=0x1234_560C)
    small = reduce(case, lambda each: each.words[EAX] & 0x4000 > 0 and each.words[ECX] & 31 > 8)
    assert (small.words[EAX], small.words[ECX], small.words[EDX]) == (0x4000, 0xC0 >> 4, 0) or (
        small.words[EAX] in (0x4000, 0xFFFF_FFFF) and small.words[ECX] & 31 > 8 and small.words[EDX] == 0
    )
    assert small.words[EFLAGS] == 0x202


def test_memory_is_only_what_matters() -> None:
    case = case_with("nop", memory=((DATA, bytes(range(256))), (DATA + 0x1000, b"\xaa" * 64), (STACK, b"\x55" * 64)))
    small = reduce(case, lambda each: contents(each).get(DATA + 200, 0) > 100)
    assert small.memory == ((DATA + 200, b"\x80"),)


def test_floating_point_state_is_only_what_matters() -> None:
    image = bytearray(random.Random(1).randbytes(len(INITIAL_FP)))
    image[512:576] = INITIAL_FP[512:576]
    case = replace(case_with("nop"), fp=bytes(image))
    small = reduce(case, lambda each: each.fp is not None and each.fp[160 + 16 * 3 + 5] == image[160 + 16 * 3 + 5])
    expected = bytearray(INITIAL_FP)
    expected[160 + 16 * 3 + 5] = image[160 + 16 * 3 + 5]
    assert small.fp == bytes(expected)
    assert reduce(case, having("nop")).fp is None


def test_one_is_a_simple_number() -> None:
    case = replace(case_with("nop"), fp=INITIAL_FP[:160] + bytes.fromhex("a7c3b244") * 4 + INITIAL_FP[176:])
    small = reduce(case, lambda each: each.fp is not None and each.fp[163] & 0x7F >= 0x3F)
    assert small.fp is not None
    assert small.fp[160:176] == bytes.fromhex("0000803f") + bytes(12)


def test_a_case_that_needs_low_memory_goes_on_needing_it() -> None:
    case = case_with("mov eax, [bx + si + 4]", ebx=LOW, esi=8, memory=((LOW, bytes(range(32))),))
    small = reduce(case, lambda each: [p.instruction.address_size for p in pieces_of(each) if p.instruction] == [2])
    assert small.needs_low_memory


def test_what_is_undefined_follows_from_the_operands() -> None:
    """OF is undefined after a shift by more than one: a shift that becomes longer must not compare it."""
    case = case_with("sar eax, cl", ecx=0x1234_0001)
    small = reduce(case, lambda each: "sar" in mnemonics(each) and each.words[ECX] in (0x1234_0001, MASK32))
    assert small.words[ECX] == MASK32
    assert small.undefined & OF


def test_results_do_not_become_undefined() -> None:
    case = case_with("shld ax, cx, 7; ret")
    small = reduce(case, lambda each: each.code[:3] == case.code[:3] and each.code[4] >= 7)
    assert 7 <= small.code[4] & 31 <= 16 or small.code[4] & 31 == 0


# -- the search ------------------------------------------------------------------------------------------------------


def test_what_comes_back_diverges_and_is_not_larger_and_is_the_same_every_time() -> None:
    rng = random.Random(7)
    for number in (5, 450, 901, 1348, 2250):
        case = case_of(Task("isa", 3, 1, 1, ()), number)
        salt = rng.getrandbits(32)

        def diverges(each: Case, case: Case = case, salt: int = salt) -> bool:
            return each == case or random.Random(f"{salt} {each}").random() < 0.4

        small = reduce(case, diverges)
        assert diverges(small)
        assert size(small) <= size(case)
        assert reduce(case, diverges) == small


def test_no_more_cases_are_executed_than_allowed() -> None:
    case = case_of(Task("isa", 1, 0, 1, ()), 448)
    executed = 0

    def diverges(each: Case) -> bool:
        nonlocal executed
        executed += 1
        return hash(each.words) % 2 == 0 or each == case

    reduce(case, diverges, budget=25)
    assert executed <= 25


def test_a_case_that_does_not_diverge_cannot_be_reduced() -> None:
    with pytest.raises(ValueError, match="does not diverge"):
        reduce(case_with("nop"), lambda each: False)


# -- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16, 32, 64, 80])
def test_simpler_numbers_are_simpler(bits: int) -> None:
    rng = random.Random(bits)
    for value in (rng.getrandbits(rng.randint(1, bits)) for _ in range(50)):
        found = [weight(each, bits) for each in simpler(value, bits)]
        assert found == sorted(found)
        assert all(each < weight(value, bits) for each in found)


def test_a_number_becomes_the_simplest_that_will_do() -> None:
    assert simplify(0xDEAD_BEEF, 32, lambda value: value >> 31 > 0) == 0x8000_0000
    assert simplify(0xDEAD_BEEF, 32, lambda value: value % 8 == 7) == 0xFFFF_FFFF
    assert simplify(0xDEAD_BEEF, 32, lambda value: value & 0x700 == 0x600) == 0x600
    assert simplify(0xDEAD_BEEF, 32, lambda value: False) == 0xDEAD_BEEF


# -- causes ----------------------------------------------------------------------------------------------------------

ONE = case_with("nop")
TWO = case_with("nop; nop")


def symptoms(*differing: tuple[str, str], silent: tuple[str, ...] = (), death: str = "") -> Symptoms:
    found = tuple((oracle, frozenset(kinds.split(", "))) for oracle, kinds in differing)
    return Symptoms(found, frozenset(silent), ("jit", death) if death else None)


def same(first: Case, before: Symptoms, second: Case, after: Symptoms) -> bool:
    found = {id(first): before, id(second): after}
    cause = SameCause(lambda case: found[id(case)])
    assert cause(first)
    return cause(second)


@pytest.mark.parametrize(
    ("before", "after", "sequence", "single"),
    [
        (symptoms(("jit", "xmm")), symptoms(("jit", "xmm")), True, True),
        (symptoms(("jit", "memory, xmm")), symptoms(("jit", "xmm")), True, False),
        (symptoms(("jit", "xmm")), symptoms(("jit", "memory, xmm")), False, False),
        (symptoms(("jit", "flags OZ")), symptoms(("jit", "flags Z")), True, True),
        (symptoms(("jit", "eip, trap none or 0x6, xmm")), symptoms(("jit", "eip, xmm")), False, False),
        (symptoms(("jit", "eip, trap none or 0x6")), symptoms(("jit", "eip, trap none or 0xe")), False, False),
        (symptoms(("jit", "xmm"), ("unicorn", "xmm")), symptoms(("jit", "xmm")), False, False),
        (symptoms(("jit", "xmm")), symptoms(("jit", "xmm"), ("unicorn", "xmm")), False, False),
        (symptoms(("jit", "xmm"), silent=("unicorn",)), symptoms(("jit", "xmm"), ("unicorn", "xmm")), True, True),
        (symptoms(("jit", "xmm")), symptoms(("unicorn", "xmm")), False, False),
        (symptoms(("jit", "xmm")), symptoms(), False, False),
        (symptoms(death="killed the process: SIGSEGV"), symptoms(death="killed the process: SIGSEGV"), True, True),
        (symptoms(death="killed the process: SIGSEGV"), symptoms(death="hung"), False, False),
        (symptoms(death="killed the process: SIGSEGV"), symptoms(("jit", "xmm")), False, False),
    ],
)  # fmt: skip
def test_one_cause_or_another(before: Symptoms, after: Symptoms, sequence: bool, single: bool) -> None:
    assert same(TWO, before, replace(TWO, label="smaller"), after) == sequence
    assert same(ONE, before, replace(ONE, label="smaller"), after) == single


def test_what_is_gone_must_not_come_back() -> None:
    answers = iter([symptoms(("jit", "memory, xmm")), symptoms(("jit", "xmm")), symptoms(("jit", "memory, xmm"))])
    cause = SameCause(lambda case: next(answers))
    assert [cause(TWO) for _ in range(3)] == [True, True, False]


def test_data_moves_to_the_beginning_of_its_region_with_its_pointers() -> None:
    case = case_with("lodsb; nop", esi=DATA + 0x845, memory=((DATA + 0x845, b"a"),))
    small = reduce(case, lambda each: outcome_of(each).words[EAX] & 0xFF == ord("a") and "lods" in mnemonics(each))
    assert (small.words[ESI], small.memory) == (DATA, ((DATA, b"a"),))
    aligned = reduce(case, lambda each: contents(each).get(each.words[ESI]) == ord("a") and each.words[ESI] & 0x3F == 5)
    assert aligned.words[ESI] == DATA + 5
