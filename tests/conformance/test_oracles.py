"""Every oracle runs a case as if it were the first, and says what it cannot judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from asm import assemble

from conformance.case import (
    CODE,
    CODE_END,
    DATA,
    DATA_END,
    ENTRY,
    LOW,
    MUTABLE,
    READ_ONLY,
    STACK,
    Case,
    background,
)
from conformance.oracles import NAMES, Benched, CannotJudge, Oracle, Reconciling, available, open_oracle
from conformance.oracles.bench import INITIAL_FP, Bench, pack_words
from conformance.outcome import Outcome, changes, differences
from reference.errors import MemoryFault
from reference.isa.semantics.registry import SEMANTICS
from reference.policy import Policy
from reference.registers import EAX, EBX, ECX, EFLAGS, EIP
from reference.traps import Access, Vector
from vx32py import UnsupportedHost

ESP_VALUE = STACK + 0x800


@pytest.fixture(params=NAMES, scope="module")
def oracle(request: pytest.FixtureRequest) -> Iterator[Oracle]:
    name: str = request.param
    reason = available(name)
    if reason is not None:
        pytest.skip(f"the {name} oracle cannot run here: {reason}")
    found = open_oracle(name)
    yield found
    found.close()


def case(text: str, *, eip: int = ENTRY, memory: tuple[tuple[int, bytes], ...] = (), **registers: int) -> Case:
    words = [0, 0, 0, 0, ESP_VALUE, 0, 0, 0, eip, 0x202]
    for name, value in registers.items():
        words[("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi").index(name)] = value
    return Case(text, assemble(text), tuple(words), memory)


# -- what a case leads to --------------------------------------------------------------------------------------------


def test_registers_flags_and_eip_after_an_instruction(oracle: Oracle) -> None:
    outcome = oracle.run(case("add eax, ebx", eax=0xFFFF_FFFF, ebx=1))
    assert outcome.words[EAX] == 0
    assert outcome.words[EIP] == ENTRY + 2
    assert outcome.words[EFLAGS] & 0x8D5 == 0x55
    assert outcome.trap is None
    assert outcome.memory == ()


def test_memory_that_has_changed_and_nothing_else(oracle: Oracle) -> None:
    before = ((DATA + 0x100, bytes(range(8))),)
    outcome = oracle.run(case("mov [eax], ebx", memory=before, eax=DATA + 0x101, ebx=0x04FF_0201))
    assert outcome.memory == ((DATA + 0x103, b"\xff"),)


def test_a_store_far_from_what_the_case_mentions_is_seen(oracle: Oracle) -> None:
    assert oracle.run(case("push ebx", ebx=0x1234_5678)).memory == ((ESP_VALUE - 4, b"\x78\x56\x34\x12"),)


def test_what_one_case_has_changed_the_next_does_not_see(oracle: Oracle) -> None:
    oracle.run(case("mov [eax], ebx", eax=DATA + 0x100, ebx=0x1234_5678))
    assert oracle.run(case("mov ecx, [eax]", eax=DATA + 0x100)).words[ECX] == 0


def test_the_page_that_cannot_be_written_has_its_pattern(oracle: Oracle) -> None:
    address = READ_ONLY + 0x345
    outcome = oracle.run(case("mov ecx, [eax]", eax=address))
    assert outcome.words[ECX] == int.from_bytes(background(address, 4), "little")


def test_content_may_be_given_where_nothing_can_be_written(oracle: Oracle) -> None:
    before = ((READ_ONLY + 8, b"four"),)
    assert oracle.run(case("mov ecx, [eax]", eax=READ_ONLY + 8, memory=before)).words[ECX] == 0x7275_6F66
    assert oracle.run(case("mov ecx, [eax]", eax=READ_ONLY + 8)).words[ECX] != 0x7275_6F66


def test_content_on_the_page_of_the_code_is_data_and_does_not_run(oracle: Oracle) -> None:
    before = ((ENTRY - 4, b"abcdefgh" + b"\xcc" * 8),)
    given = case("mov ecx, [eax]", eax=ENTRY - 4, memory=before)
    assert oracle.run(given).words[ECX] == int.from_bytes(b"abcd", "little")
    assert oracle.run(case("mov ecx, [eax]", eax=ENTRY - 4)).words[ECX] == 0xCCCC_CCCC


def test_a_fault_leaves_everything_as_it_was(oracle: Oracle) -> None:
    given = case("mov [eax], ebx", eax=DATA_END - 2, ebx=0x1234_5678)
    outcome = oracle.run(given)
    assert outcome.trap is not None
    assert outcome.trap.number == Vector.PAGE_FAULT
    assert outcome.words == given.words
    if oracle.name != "unicorn":  # which stores the first half
        assert outcome.memory == ()
        assert (outcome.trap.address, outcome.trap.access) == (DATA_END, Access.WRITE)


def test_a_division_by_zero_is_a_divide_error(oracle: Oracle) -> None:
    trap = oracle.run(case("div ecx")).trap
    assert trap is not None
    assert (trap.number, trap.eip) == (Vector.DIVIDE_ERROR, ENTRY)


def test_several_instructions_run_until_the_end(oracle: Oracle) -> None:
    outcome = oracle.run(case("inc eax; push eax; pop ecx; add ecx, ecx", eax=20))
    assert outcome.words[ECX] == 42
    assert outcome.trap is None
    assert outcome.words[EIP] == ENTRY + 5


def test_a_fault_in_the_middle_has_its_own_eip(oracle: Oracle) -> None:
    trap = oracle.run(case("inc eax; mov ecx, [edx]; inc eax", edx=0x30)).trap
    assert trap is not None
    assert trap.eip == ENTRY + 1


def test_floating_point_state_goes_in_and_comes_out(oracle: Oracle) -> None:
    image = bytearray(INITIAL_FP)
    image[160:176] = (3).to_bytes(8, "little") + (5).to_bytes(8, "little")
    image[176:192] = (4).to_bytes(8, "little") + (6).to_bytes(8, "little")
    outcome = oracle.run(dataclasses.replace(case("paddq xmm0, xmm1"), fp=bytes(image)))
    assert outcome.fp is not None
    assert outcome.fp[160:176] == (7).to_bytes(8, "little") + (11).to_bytes(8, "little")
    assert outcome.fp[192:288] == bytes(96)


def test_low_memory_is_there_or_the_oracle_says_so(oracle: Oracle) -> None:
    given = Case(
        "16-bit address", b"\x67\x8b\x07", (0, 0, 0, LOW, 0, 0, 0, 0, ENTRY, 0x202), ((LOW, b"\x2a"),)
    )  # mov eax, [bx]
    if oracle.cannot_judge(given) is None:
        assert oracle.run(given).words[EAX] == 0x2A
    else:
        assert oracle.cannot_judge(given) == "no low memory"


def test_code_that_modifies_itself(oracle: Oracle) -> None:
    store = b"\xc6\x05" + (MUTABLE + 8).to_bytes(4, "little") + b"\x2a"  # mov byte [the immediate below], 42
    given = Case("self", store + b"\xb8\x01\x00\x00\x00", (0,) * 4 + (ESP_VALUE, 0, 0, 0, MUTABLE, 0x202))  # mov eax, 1
    if oracle.name == "processor":
        assert oracle.cannot_judge(given) == "modifies its own code"
        return
    outcome = oracle.run(given)
    assert outcome.words[EAX] == 0x2A
    assert outcome.memory == ((MUTABLE + 8, b"\x2a"),)
    assert oracle.run(given) == outcome


def test_an_instruction_that_reaches_beyond_its_page(oracle: Oracle) -> None:
    cut = Case("cut", b"\xb8\x01", (0,) * 8 + (CODE_END - 2, 0x202))
    if oracle.name in ("processor", "unicorn"):
        assert oracle.cannot_judge(cut) == "not admitted as it stands"
        return
    trap = oracle.run(cut).trap
    assert trap is not None
    assert (trap.number, trap.address, trap.access) == (Vector.PAGE_FAULT, CODE_END, Access.EXECUTE)


def test_branches_lead_to_int3_wherever_they_lead(oracle: Oracle) -> None:
    given = Case("jmp", b"\xeb\x40", (0,) * 8 + (ENTRY, 0x202))
    if oracle.cannot_judge(given) is None:
        outcome = oracle.run(given)
        assert outcome.trap is None
        assert outcome.words[EIP] == ENTRY + 0x42
        assert CODE < outcome.words[EIP] < CODE_END


def test_a_thread_pointer(oracle: Oracle) -> None:
    given = dataclasses.replace(
        Case("mov ecx, gs:[4]", b"\x65\x8b\x0d\x04\x00\x00\x00", (0,) * 8 + (ENTRY, 0x202)),
        gs_base=DATA + 0x10,
        memory=((DATA + 0x14, b"\x2a"),),
    )
    if oracle.name in ("processor", "unicorn"):
        assert oracle.cannot_judge(given) is not None
        return
    assert oracle.run(given).words[ECX] == 0x2A
    assert oracle.run(case("mov ecx, [eax]", eax=DATA, memory=((DATA, b"\x07"),))).words[ECX] == 7


def test_a_policy(oracle: Oracle) -> None:
    given = dataclasses.replace(case("addps xmm0, xmm1"), groups=Policy.integer_only().groups)
    if oracle.name in ("processor", "unicorn"):
        assert oracle.cannot_judge(given) is not None
        return
    trap = oracle.run(given).trap
    assert trap is not None
    assert trap.number == Vector.INVALID_OPCODE
    assert oracle.run(case("addps xmm0, xmm1")).trap is None


def test_content_outside_of_what_is_mapped_is_refused(oracle: Oracle) -> None:
    if isinstance(oracle, Benched):
        with pytest.raises(MemoryFault):
            oracle.run(case("nop", memory=((DATA_END - 1, b"ab"),)))


# -- oracles ---------------------------------------------------------------------------------------------------------


def test_names_are_those_that_can_be_opened() -> None:
    assert available("reference") is None
    with pytest.raises(ValueError, match="oracle must be one of reference, translated, jit, processor, unicorn"):
        available("crystal ball")
    with pytest.raises(ValueError, match="not 'crystal ball'"):
        open_oracle("crystal ball")


def test_an_oracle_that_cannot_be_had_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.oracles.available", lambda name: "it is raining")
    with pytest.raises(UnsupportedHost, match="the jit oracle cannot run here: it is raining"):
        open_oracle("jit")


@pytest.mark.parametrize("name", NAMES)
def test_closing_twice_is_fine(name: str) -> None:
    if available(name) is not None:
        pytest.skip(f"the {name} oracle cannot run here: {available(name)}")
    oracle = open_oracle(name)
    oracle.run(case("nop"))
    oracle.close()
    oracle.close()


def test_what_is_not_modelled_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = open_oracle("reference")
    given = case("pabsd xmm0, xmm1")
    monkeypatch.delitem(SEMANTICS, "pabsd", raising=False)
    assert oracle.cannot_judge(given) == "not modelled: pabsd"
    with pytest.raises(CannotJudge, match="not modelled: pabsd"):
        oracle.run(given)
    oracle.close()


def test_a_defect_of_the_oracle_itself_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(machine: object, operation: object) -> int:
        raise IndexError("no such lane")

    monkeypatch.setitem(SEMANTICS, "pabsd", broken)
    oracle = open_oracle("reference")
    given = case("pabsd xmm0, xmm1")
    outcome = oracle.run(given)
    assert outcome.failure == "IndexError: no such lane"
    fine = Outcome(given.words, (), None)
    assert differences(given, fine, outcome) == ["failure: none or IndexError: no such lane"]
    assert oracle.run(case("inc eax")).words[EAX] == 1
    oracle.close()


def test_the_processor_judges_only_what_runs_as_it_stands() -> None:
    if available("processor") is not None:
        pytest.skip(f"the processor oracle cannot run here: {available('processor')}")
    oracle = open_oracle("processor")
    reasons = {
        "call eax": "the translator rewrites it",
        "popf": "the translator rewrites it",
        "int 0x80": "it is for the host",
        "cpuid": "the host does it for the guest",
        "popa": None,
        "rep movsb": None,
        "vaddps ymm0, ymm1, ymm2": None,
    }
    for text, reason in reasons.items():
        assert oracle.cannot_judge(case(text)) == reason, text
    assert oracle.cannot_judge(Case("gs", b"\x65\x8b\x00", (0,) * 8 + (ENTRY, 0x202))) == "not admitted as it stands"
    oracle.close()


def test_unicorn_takes_from_others_only_what_it_is_known_to_get_wrong() -> None:
    pytest.importorskip("unicorn")
    oracle: Any = open_oracle("unicorn")
    assert isinstance(oracle, Reconciling)
    given = case("blsi eax, ecx", ecx=4)
    own = oracle.run(given)
    other = dataclasses.replace(own, words=(5, *own.words[1:9], own.words[9] ^ 1))
    taken = oracle.reconcile(given, own, other)
    assert taken.words[EAX] == 4
    assert taken.words[EFLAGS] == other.words[EFLAGS]
    assert oracle.cannot_judge(case("vaddps xmm0, xmm1, xmm2")) == "AVX is not implemented"


# -- benches ---------------------------------------------------------------------------------------------------------


def test_states_are_equal_where_nothing_differs_and_become_outcomes(oracle: Oracle) -> None:
    if not isinstance(oracle, Benched):
        pytest.skip("it has no bench")
    given = case("add [eax], ebx", eax=DATA, ebx=5, memory=((DATA, b"\x02"),))
    bench = oracle.bench_for(given)
    assert isinstance(bench, Bench)
    states = [bench.execute(pack_words(given.words), INITIAL_FP, given.memory) for _ in range(2)]
    assert states[0] == states[1]
    assert bench.outcome(given, states[0]) == oracle.run(given)
    other = bench.execute(pack_words((DATA, 0, 0, 6, *given.words[4:])), INITIAL_FP, given.memory)
    assert other != states[0]
    assert other.words[4 * EBX] == 6


@pytest.mark.parametrize("length", [0, 1, 511, 512, 513, 2000])
def test_changes_are_what_is_different(length: int) -> None:
    before = bytes(length)
    for at in {0, 1, length // 2, length - 1}:
        if 0 <= at < length:
            after = bytearray(before)
            after[at] = 9
            assert changes(0x1000, before, bytes(after)) == [(0x1000 + at, b"\x09")]
    assert changes(0, before, before) == []
    assert changes(0, before, b"\x01" * length) == ([(0, b"\x01" * length)] if length else [])
