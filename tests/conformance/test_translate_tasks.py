"""Tasks of translations: the two translators make the same fragments of anything, and what differs is found."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from conformance import translate as tasks
from conformance.case import Case
from conformance.case_file import dumps, loads
from conformance.isa import Task
from conformance.translate import available, case_of, fragment_differences, mutated, run_task
from reference.isa.opcodes import ROWS
from reference.policy import Group, Policy
from reference.registers import ECX, EDX, EIP
from reference.translator import Fragment, Span, translate
from vx32py import UnsupportedHost

TASK = Task("translate", 1, 0, 300, ("reference", "jit"))


def quietly(number: int) -> None:
    pass


def needs_the_compiled_translator() -> None:
    reason = available("jit")
    if reason is not None:
        pytest.skip(reason)
    try:
        tasks._compiled()
    except UnsupportedHost as error:
        pytest.skip(str(error))


def test_the_two_translators_make_the_same_fragments() -> None:
    needs_the_compiled_translator()
    ticks: list[int] = []
    result = run_task(TASK, ticks.append)
    assert [divergence.found for divergence in result.divergences] == []
    assert ticks == list(range(TASK.count))
    assert result.cases == TASK.count
    assert sum(result.rows["jit"].values()) > TASK.count // 4


def test_a_task_has_the_same_cases_every_time() -> None:
    assert [case_of(TASK, number) for number in range(30)] == [case_of(TASK, number) for number in range(30)]
    assert case_of(TASK, 1) != case_of(dataclasses.replace(TASK, shard=1), 1)


def test_cases_are_of_every_kind_and_survive_their_files() -> None:
    made = [case_of(TASK, number) for number in range(200)]
    assert len({case.label for case in made}) == 4
    assert len({case.words[ECX] for case in made}) > 3
    assert len({case.words[EDX] for case in made}) == 3
    assert {case.gs_base is None for case in made} == {True, False}
    assert any(case.groups != frozenset(Group) for case in made)
    for case in made[:40]:
        assert loads(dumps(case))[0] == case


def test_rows_can_be_chosen() -> None:
    row = next(row.index for row in ROWS if row.mnemonic == "bound")
    task = dataclasses.replace(TASK, rows=frozenset({row}))
    assert {case_of(task, number).rows for number in range(20)} == {(row,)}


def test_what_is_to_be_skipped_is_not_run() -> None:
    ticks: list[int] = []
    run_task(dataclasses.replace(TASK, count=10, skip=frozenset(range(8)), oracles=("reference",)), ticks.append)
    assert ticks == [8, 9]


def test_other_oracles_are_refused() -> None:
    with pytest.raises(ValueError, match="translator must be one of reference, jit, not 'unicorn'"):
        run_task(dataclasses.replace(TASK, oracles=("reference", "unicorn")), quietly)


def test_a_translator_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(code: bytes, eip: int, policy: Policy, **where: Any) -> Fragment:
        made = translate(code, eip, policy, **where)
        return dataclasses.replace(made, code=made.code[:-1] + b"\xcc")

    monkeypatch.setattr(tasks, "_compiled", lambda: wrong)
    result = run_task(dataclasses.replace(TASK, count=40), quietly)
    assert result.divergences
    divergence = result.divergences[0]
    assert divergence.case == case_of(TASK, divergence.number)
    assert divergence.found[0].startswith("code at 0x")
    text = dumps(divergence.case, divergence.outcomes["reference"])
    assert loads(text) == (divergence.case, divergence.outcomes["reference"])


def test_the_verifier_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Fragment] = []

    def problems(fragment: Fragment, **where: object) -> list[str]:
        asked.append(fragment)
        return ["it looks odd"]

    monkeypatch.setattr(tasks, "problems", problems)
    result = run_task(dataclasses.replace(TASK, count=20, oracles=("reference",)), quietly)
    assert asked
    assert {tuple(each.found) for each in result.divergences} == {("verifier: it looks odd",)}


def test_differences_name_what_is_different() -> None:
    made = translate(b"\x40\xc3", 0x1000, Policy.default(), offset=0x200)
    assert fragment_differences(made, made) == []
    other = dataclasses.replace(made, spans=(Span(0x200, 0x1000),), length=3)
    assert [line.split(":")[0] for line in fragment_differences(made, other)] == ["length", "spans"]


def test_refusals_are_compared_by_what_they_say() -> None:
    def refusal(code: bytes) -> Any:
        return tasks._make(translate, Case("", code, (*[0] * ECX, 0x200, *[0] * 6, 0x1000, 0x202)))

    assert fragment_differences(refusal(b"\x0f\x01\x10"), refusal(b"\x0f\x01\x10")) == []
    assert "or code ends at" in fragment_differences(refusal(b"\x0f\x01\x10"), refusal(b"\x0f"))[0]
    made = tasks._make(translate, Case("", b"\xc3", (*[0] * ECX, 0x200, *[0] * 6, 0x1000, 0x202)))
    assert fragment_differences(made, refusal(b"\x0f"))[0].startswith("refusal: none or code ends")
    outcome = tasks.outcome_of(case_of(TASK, 0), refusal(b"\x0f"))
    assert outcome.trap is not None
    assert outcome.words[EIP] == case_of(TASK, 0).words[EIP]


def test_changed_programs_are_changed() -> None:
    rng = random.Random(1)
    code = bytes(range(64))
    changed = [mutated(code, rng) for _ in range(50)]
    assert sum(each != code for each in changed) > 40
    assert {len(each) > 64 for each in changed} == {True, False}
