"""The semantics of every encoding that Unicorn knows agree with it, on boundary and random operands.

``tests/conformance/test_cases.py`` runs the same cases on the processor itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("unicorn")

from conformance.cases import cases, shapes
from conformance.encodings import Shape
from conformance.oracles.engines import EngineOracle
from conformance.oracles.unicorn import DEFECTS, UnicornOracle
from conformance.outcome import differences, report
from reference.flags import AF, CF
from reference.isa.instruction import Kind
from reference.isa.lookup import FORMS
from reference.policy import Group

#: Cases of each shape: each row of the table, by operand size, register or memory, prefixes; twice as many where Unicorn can
#: judge few of them.
PER_SHAPE = 24

SHAPES: dict[str, list[Shape]] = defaultdict(list)
for _shape in shapes():
    if Group.AVX not in _shape.form.groups and _shape.form.row.kind in (Kind.COPY, Kind.APPROXIMATE, Kind.REWRITE):
        SHAPES[f"{_shape.form.row.group.value}-{_shape.mnemonic[:2]}"].append(_shape)
#: Instructions that Unicorn does not have, or computes otherwise: there are defects for them.
NEVER_JUDGED = frozenset({
    "sha1msg1", "sha1msg2", "sha1nexte", "sha1rnds4", "sha256msg1", "sha256msg2", "sha256rnds2", "dpps", "dppd", "enter",
    "fst", "fstp", "fbstp", "fisttp", "fldcw", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fsin", "fcos", "fsincos",
    "fptan", "fpatan", "f2xm1", "fyl2x", "fyl2xp1", "fprem", "fprem1", "fscale", "fxtract", "rcpps", "rcpss", "rsqrtps", "rsqrtss",
})  # fmt: skip

Oracles = tuple[EngineOracle, UnicornOracle]


@pytest.fixture(scope="module")
def oracles() -> Iterator[Oracles]:
    ours = EngineOracle("reference")
    yield ours, UnicornOracle()
    ours.close()


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_instruction_agrees_with_unicorn(name: str, oracles: Oracles) -> None:
    ours, oracle = oracles
    failures: list[str] = []
    judged: set[str] = set()
    for shape in SHAPES[name]:
        for number, case in enumerate(cases(shape, 2 * PER_SHAPE)):
            if number >= PER_SHAPE and shape.mnemonic in judged:
                break
            if oracle.cannot_judge(case) is not None:
                continue
            judged.add(shape.mnemonic)
            actual = ours.run(case)
            found = differences(case, oracle.reconcile(case, oracle.run(case), actual), actual)
            if found:
                failures.append(report(case, found))
    assert not failures, f"{len(failures)} cases differ (ours second):\n" + "\n".join(failures[:5])
    assert judged >= {shape.mnemonic for shape in SHAPES[name]} - NEVER_JUDGED


@pytest.mark.parametrize("mnemonic", ["daa", "das", "aaa", "aas", "aam", "aad"])
def test_decimal_adjustment_agrees_for_every_value(mnemonic: str, oracles: Oracles) -> None:
    """All values of AL with all values of AF and CF: the rules have too many corners to meet by chance."""
    ours, oracle = oracles
    template = next(cases(next(shape for shape in shapes() if shape.mnemonic == mnemonic), 1))
    for al in range(256):
        for flags in (0, CF, AF, AF | CF):
            eax = 0x1234_0000 | (al * 0x53 & 0xFF) << 8 | al
            case = replace(template, words=(eax, *template.words[1:9], 0x202 | flags))
            actual = ours.run(case)
            found = differences(case, oracle.reconcile(case, oracle.run(case), actual), actual)
            assert not found, report(case, found)


def test_every_defect_has_a_reason_of_its_own_and_shows_somewhere() -> None:
    """A defect that concerns no instruction of the table is one that nobody needs."""
    assert len({defect.reason for defect in DEFECTS}) == len(DEFECTS)
    mnemonics = {form.row.mnemonic for form in FORMS}
    for defect in DEFECTS:
        assert defect.mnemonics <= mnemonics, defect.reason
