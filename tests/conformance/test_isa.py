"""Tasks of generated cases: the same cases every time, run on oracles and compared; what differs is found."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from conformance import isa
from conformance.case_file import dumps, loads
from conformance.cases import BATCH, shapes
from conformance.isa import ShardResult, Task, case_of, run_task
from conformance.oracles import available, open_oracle
from conformance.oracles.bench import INITIAL_FP
from conformance.outcome import differences
from reference.isa.opcodes import ROWS
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import SEMANTICS

TASK = Task("isa", 1, 0, 8 * BATCH, ("reference", "translated"))


@pytest.fixture(autouse=True)
def fresh_oracles() -> Iterator[None]:
    """Oracles that no other test has bound semantics in."""
    isa.close_oracles()
    yield
    isa.close_oracles()


def quietly(number: int) -> None:
    pass


def rows_named(*mnemonics: str) -> frozenset[int]:
    return frozenset(row.index for row in ROWS if row.mnemonic in mnemonics)


# -- cases -----------------------------------------------------------------------------------------------------------


def test_a_task_has_the_same_cases_every_time_and_everywhere() -> None:
    numbers = (0, 1, BATCH, 7 * BATCH + 3)
    first = [case_of(TASK, number) for number in numbers]
    isa._order.cache_clear()
    sent = pickle.loads(pickle.dumps(TASK))  # noqa: S301 - our own
    assert [case_of(sent, number) for number in numbers] == first
    for other in (dataclasses.replace(TASK, seed=2), dataclasses.replace(TASK, shard=1)):
        assert [case_of(other, number) for number in numbers] != first


def test_the_number_of_cases_does_not_change_which_they_are() -> None:
    shorter = dataclasses.replace(TASK, count=3)
    assert case_of(shorter, 2) == case_of(TASK, 2)


def test_a_case_says_where_it_comes_from() -> None:
    assert case_of(TASK, 93).origin == "isa seed 1 shard 0 number 93"


def test_a_case_survives_its_file() -> None:
    for number in (0, 2 * BATCH, 5 * BATCH, 7 * BATCH):
        case = case_of(TASK, number)
        assert loads(dumps(case))[0] == case


def test_shards_go_through_all_shapes_before_one_comes_again() -> None:
    per_shard = isa._SHAPES_A_SHARD
    seen = [
        isa.batch_of(dataclasses.replace(TASK, shard=shard), number).label
        for shard in (0, 1, 5)
        for number in range(per_shard * 8 // 7)
        if number % 8 != 7
    ]
    assert len(seen) == 3 * per_shard == len(set(seen))
    assert len(isa._order(1, 0, None)) == len(shapes())
    assert isa._order(1, 0, None) != isa._order(1, 1, None)


def test_one_batch_in_eight_is_of_sequences() -> None:
    labels = [isa.batch_of(TASK, number).label for number in range(32)]
    assert [number % 8 == 7 for number in range(32)] == [
        label.startswith(("sequence", "instruction cut")) for label in labels
    ]


def test_rows_can_be_chosen() -> None:
    rows = rows_named("paddb", "fadd")
    task = dataclasses.replace(TASK, rows=rows, count=20 * BATCH)
    assert {case_of(task, number).rows for number in range(0, task.count, BATCH)} <= {(row,) for row in rows}
    assert run_task(dataclasses.replace(task, count=100), quietly).rows["reference"].keys() <= rows


def test_rows_without_an_encoding_are_refused() -> None:
    refused = rows_named("lgdt", "wrmsr")
    with pytest.raises(ValueError, match="no encoding"):
        case_of(dataclasses.replace(TASK, rows=refused), 0)


# -- running ---------------------------------------------------------------------------------------------------------


def test_reference_and_model_agree_and_everything_is_counted() -> None:
    ticks: list[int] = []
    result = run_task(TASK, ticks.append)
    assert [divergence.found for divergence in result.divergences] == []
    assert result.cases == len(ticks)
    assert ticks == sorted(set(ticks))
    for name in TASK.oracles:
        judged = sum(count for row, count in result.rows[name].items())
        assert judged >= 7 * BATCH - sum(result.unjudged[name].values())
        assert result.seconds[name] > 0
    assert result.seconds_generating > 0
    assert pickle.dumps(result)


def test_what_is_to_be_skipped_is_not_run() -> None:
    skip = frozenset({0, 5, *range(BATCH, 2 * BATCH)})
    ticks: list[int] = []
    result = run_task(dataclasses.replace(TASK, count=2 * BATCH, skip=skip), ticks.append)
    assert ticks == [number for number in range(2 * BATCH) if number not in skip]
    assert result.cases == len(ticks)


def test_one_oracle_alone_only_runs() -> None:
    ticks: list[int] = []
    result = run_task(dataclasses.replace(TASK, count=10, oracles=("reference",)), ticks.append)
    assert ticks == list(range(10))
    assert result.divergences == []
    assert sum(result.rows["reference"].values()) == 10


@pytest.fixture
def wrong_addition(monkeypatch: pytest.MonkeyPatch) -> frozenset[int]:
    """PADDB of the specification is wrong in its lowest bit, on the reference engine; the rows of it."""
    if available("jit") is not None:
        pytest.skip(f"the jit engine cannot run here: {available('jit')}")
    right = SEMANTICS["paddb"]

    def wrong(machine: Machine, operation: Operation) -> int:
        eip = right(machine, operation)
        operation.store(operation.load() ^ 1)
        return eip

    monkeypatch.setitem(SEMANTICS, "paddb", wrong)
    return rows_named("paddb")


@pytest.mark.ldt
def test_an_instruction_that_is_wrong_is_found(wrong_addition: frozenset[int]) -> None:
    task = Task("isa", 1, 0, 2 * BATCH, ("reference", "jit"), rows=wrong_addition)
    result = run_task(task, quietly)
    assert len(result.divergences) > BATCH
    divergence = result.divergences[0]
    assert divergence.case == case_of(task, divergence.number)
    assert set(divergence.outcomes) == {"reference", "jit"}
    assert divergence.found == differences(divergence.case, *divergence.outcomes.values())
    assert divergence.found[0].startswith(("xmm", "st"))


@pytest.mark.ldt
def test_of_three_oracles_each_difference_says_which_two_disagree(wrong_addition: frozenset[int]) -> None:
    oracles = ("jit", "processor", "reference")
    result = run_task(Task("isa", 1, 0, BATCH, oracles, rows=wrong_addition), quietly)
    assert result.divergences
    assert {line.split(":")[0] for each in result.divergences for line in each.found} == {"jit or reference"}
    assert result.rows["processor"]


@pytest.mark.ldt
def test_a_defect_that_raises_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    if available("jit") is not None:
        pytest.skip(f"the jit engine cannot run here: {available('jit')}")

    def broken(machine: Machine, operation: Operation) -> int:
        raise KeyError("lane")

    monkeypatch.setitem(SEMANTICS, "paddb", broken)
    result = run_task(Task("isa", 1, 0, 8, ("reference", "jit"), rows=rows_named("paddb")), quietly)
    assert result.divergences
    assert result.divergences[0].found == ["failure: KeyError: 'lane' or none"]


def test_what_the_reference_does_not_model_is_counted_as_unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SEMANTICS, "paddb")
    rows = rows_named("paddb")
    result = run_task(Task("isa", 1, 0, BATCH, ("reference", "translated"), rows=rows), quietly)
    assert result.cases == BATCH
    assert result.unjudged["reference"] == {"not modelled: paddb": BATCH}
    assert set(result.unjudged_rows["reference"].values()) == {"not modelled: paddb"}
    assert result.rows["reference"] == {}


@pytest.mark.ldt
def test_processor_and_native_engine_agree_on_thousands_of_cases() -> None:
    if available("processor") is not None:
        pytest.skip(f"the processor cannot be had here: {available('processor')}")
    result: ShardResult = run_task(Task("isa", 3, 0, 4096, ("processor", "jit")), quietly)
    assert [divergence.found for divergence in result.divergences] == []
    assert sum(result.rows["processor"].values()) > 3000


def test_an_oracle_with_known_defects_is_reconciled() -> None:
    pytest.importorskip("unicorn")
    result = run_task(Task("isa", 4, 0, 6 * BATCH, ("reference", "unicorn")), quietly)
    assert [divergence.found for divergence in result.divergences] == []
    assert result.rows["unicorn"]


def test_alike_means_no_difference() -> None:
    """The fast comparison finds nothing equal that the slow one would tell apart."""
    oracle: Any = open_oracle("reference")
    for number in range(8):
        made = isa.batch_of(TASK, number)
        case = made.case(0)
        if oracle.cannot_judge(case) is not None:
            continue
        bench = oracle.bench_for(case)
        image = made.fp[0] if made.fp is not None else INITIAL_FP
        state = bench.execute(made.words[0], image, made.memory[0])
        outcome = bench.outcome(case, state)
        for at in (0, 2, 4, 24, 32, 41, 160, 287, 576, 703):
            fp = bytearray(state.fp)
            fp[at] ^= 0x80
            other = state._replace(fp=bytes(fp))
            found = differences(case, outcome, dataclasses.replace(outcome, fp=bytes(fp)))
            assert isa.alike(state, other, floating=False)
            if case.fp is not None and found:
                assert not isa.alike(state, other, floating=True), at
        assert not isa.alike(state, state._replace(words=bytes(40)), floating=True)
        assert not isa.alike(state, state._replace(memory=()), floating=True)
    oracle.close()
