"""Strategies and the enumeration of encodings: what they give is what they say."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from conformance import strategies
from conformance.case import MUTABLE, MUTABLE_END, STACK, STACK_END, Case
from conformance.encodings import POLICY_WITH_GS, shapes
from conformance.enumerate import all_encodings, encodings
from conformance.oracles.engines import EngineOracle
from conformance.outcome import differences, report
from conformance.strategies import MachineState
from reference.isa.decode import decode
from reference.isa.enumerate import examples
from reference.isa.instruction import DecodeError, Kind
from reference.isa.lookup import FORMS, Form
from reference.registers import EIP

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(strategies.instructions())
def test_instructions_are_admitted(code: bytes) -> None:
    assert decode(code, 0x1000, POLICY_WITH_GS).length == len(code)


@quick
@given(strategies.guest_code())
def test_guest_code_is_code_and_noise(code: bytes) -> None:
    assert code or code == b""


@quick
@given(strategies.machine_states())
def test_machine_states_are_possible(state: MachineState) -> None:
    assert STACK <= state.words[4] < STACK_END
    control, status = (int.from_bytes(state.fp[i : i + 2], "little") for i in (0, 2))
    assert (status >> 7 & 1) == bool(status & ~control & 0x3F)
    assert state.case(b"\x90").code == b"\x90"


@pytest.fixture(scope="module")
def oracles() -> tuple[EngineOracle, EngineOracle]:
    return EngineOracle("reference"), EngineOracle("translated")


@quick
@given(data=st.data())
def test_interpreter_and_translated_code_agree_on_them(
    data: st.DataObject, oracles: tuple[EngineOracle, EngineOracle]
) -> None:
    case: Case = data.draw(
        st.one_of(
            strategies.cases(),
            strategies.sequence_cases(),
            strategies.self_modifying_cases(),
            st.builds(lambda state, code: state.case(code), strategies.machine_states(), strategies.instructions()),
        )
    )
    found = differences(case, oracles[0].run(case), oracles[1].run(case))
    assert not found, report(case, found)


@quick
@given(strategies.self_modifying_cases())
def test_self_modifying_code_stands_where_it_can_be_written(case: Case) -> None:
    assert MUTABLE <= case.words[EIP] < MUTABLE_END


def test_a_failing_case_is_made_smaller() -> None:
    state = find(strategies.machine_states(), lambda state: state.words[0] > 0x1000, settings=settings(deadline=None))
    assert state.memory == ()
    assert sum(word != 0 for word in state.words[:8]) <= 3


# -- every encoding --------------------------------------------------------------------------------------------------


def _sample(step: int) -> list[tuple[Form, bytes]]:
    return [pair for i, pair in enumerate(all_encodings(every_register=False)) if i % step == 0]


def test_every_encoding_decodes_to_its_row() -> None:
    found: Counter[int] = Counter()
    for form, code in _sample(67):
        try:
            instruction = decode(code, 0x1000, POLICY_WITH_GS)
        except DecodeError as error:
            raise AssertionError(f"{form.row.opcode} {form.row.mnemonic}: {code.hex(' ')}: {error}") from error
        assert instruction.row is form.row
        assert instruction.length == len(code)
        found[form.row.index] += 1
    assert len(found) > 600


def test_no_encoding_comes_twice_and_every_example_is_among_them() -> None:
    for form in FORMS[::61]:
        if form.row.kind is not Kind.REFUSE:
            made = list(encodings(form))
            distinct = set(made)
            assert len(made) == len(distinct), form.row.opcode
            missing = [code.hex(" ") for code in examples(form.row) if code not in distinct]
            assert not missing, (form.row.opcode, form.row.mnemonic, missing)


def test_every_admitted_row_is_enumerated() -> None:
    for form in FORMS:
        if form.row.kind is not Kind.REFUSE:
            assert next(encodings(form, every_register=False), None), form.row.opcode


def test_all_shapes_can_be_drawn_and_chosen() -> None:
    chosen = shapes()[:3]
    assert find(strategies.shapes_of_the_table(chosen), lambda shape: True) in chosen
