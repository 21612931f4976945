"""The semantics of every integer encoding agree with Unicorn on boundary and random operands.

A second test runs the same cases on the processor itself, through the native engine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("unicorn")

from conformance.case import Case
from conformance.integer_cases import Shape, cases, shapes
from conformance.run_case import EngineBench, Outcome, differences, report
from conformance.unicorn_oracle import UnicornBench, reconcile
from reference.engines import ReferenceEngine
from reference.flags import AF, CF, STATUS

#: Cases of each shape: each row of the table, by operand size, register or memory, prefixes.
PER_SHAPE = 200

SHAPES: dict[str, list[Shape]] = defaultdict(list)
for _shape in shapes():
    SHAPES[_shape.mnemonic].append(_shape)


def refused_by_unicorn(shape: Shape) -> bool:
    """Encodings that processors have and Unicorn takes for invalid opcodes: TEST as /1, and 0F 18 on a register."""
    opcode = shape.form.row.opcode
    return opcode in ("F6 /1", "F7 /1") or (opcode.startswith("0F 18 /") and not shape.memory)


def undefined_in_unicorn(shape: Shape) -> int:
    """Flags that Unicorn gets wrong, where processors, asked, agree with the manual and with us."""
    if shape.mnemonic == "neg" and shape.lock:
        return STATUS  # computed from a value that was loaded twice
    if shape.mnemonic == "blsi":
        return CF  # inverted
    return 0


def wrong_in_unicorn(shape: Shape, case: Case, ours: Outcome) -> bool:
    """What else it gets wrong: BZHI from bit 31 on, BEXTR of 32 bits or more, faults that come when half is done or never."""
    if shape.mnemonic in ("bzhi", "bextr"):
        third = case.words[~case.code[2] >> 3 & 7]
        return third & 0xFF >= 31 or (shape.mnemonic == "bextr" and third >> 8 & 0xFF >= 32)
    return shape.mnemonic in ("rcl", "rcr", "cmpxchg8b", "clflush") and ours.trap is not None


@pytest.fixture(scope="module")
def benches() -> Iterator[tuple[EngineBench, UnicornBench]]:
    ours = EngineBench(ReferenceEngine)
    yield ours, UnicornBench()
    ours.close()


@pytest.mark.parametrize("mnemonic", sorted(SHAPES))
def test_integer_instruction_agrees_with_unicorn(mnemonic: str, benches: tuple[EngineBench, UnicornBench]) -> None:
    ours, oracle = benches
    failures: list[str] = []
    for shape in SHAPES[mnemonic]:
        if refused_by_unicorn(shape):
            continue
        known = undefined_in_unicorn(shape)
        for case in cases(shape, PER_SHAPE):
            actual = ours.run(case)
            if wrong_in_unicorn(shape, case, actual):
                continue
            found = differences(case, reconcile(oracle.run(case), actual), actual, ignore_flags=known)
            if found:
                failures.append(report(case, found))
    assert not failures, f"{len(failures)} cases differ (ours second):\n" + "\n".join(failures[:5])


@pytest.mark.parametrize("mnemonic", ["daa", "das", "aaa", "aas", "aam", "aad"])
def test_decimal_adjustment_agrees_for_every_value(mnemonic: str, benches: tuple[EngineBench, UnicornBench]) -> None:
    """All values of AL with all values of AF and CF: the rules have too many corners to meet by chance."""
    ours, oracle = benches
    template = next(cases(SHAPES[mnemonic][0], 1))
    for al in range(256):
        for flags in (0, CF, AF, AF | CF):
            eax = 0x1234_0000 | (al * 0x53 & 0xFF) << 8 | al
            case = replace(template, words=(eax, *template.words[1:9], 0x202 | flags))
            actual = ours.run(case)
            found = differences(case, reconcile(oracle.run(case), actual), actual)
            assert not found, report(case, found)


def test_every_integer_row_has_a_shape() -> None:
    """The generator leaves out no row but traps, refused ones, and those whose result is nobody's function."""
    assert {"add", "enter", "cmpxchg8b", "cmps", "xlat", "bound", "popcnt"} <= set(SHAPES)
    assert len(SHAPES) > 100


def test_cases_are_the_same_every_time() -> None:
    shape = SHAPES["add"][0]
    assert list(cases(shape, 20)) == list(cases(shape, 20))
    assert list(cases(shape, 20, seed=2)) != list(cases(shape, 20))
