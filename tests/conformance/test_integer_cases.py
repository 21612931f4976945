"""Every integer encoding, on the processor itself and on the modelled one, against the reference semantics.

The native engine makes the processor the oracle: what the semantics say is what it does, to the flag, the fault address
and the kind of access. Each case runs as a single step and as translated code.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from conformance.case import LIMIT
from conformance.integer_cases import Shape, cases, shapes
from conformance.run_case import EngineBench, differences, report
from reference.engines import ReferenceEngine
from reference.policy import Group, Policy
from vx32py import _engines

#: Cases of each shape, by engine.
PER_SHAPE = {"jit": 64, "translated": 8}

SHAPES: dict[str, list[Shape]] = defaultdict(list)
for _shape in shapes():
    SHAPES[_shape.mnemonic[0]].append(_shape)


def _bench(name: str, *, stepping: bool) -> EngineBench:
    engine = _engines.create(name, limit=LIMIT, budget=LIMIT, policy=Policy.everything())
    return EngineBench(
        lambda space, policy: engine, make_space=lambda limit: engine.space, low_memory=False, stepping=stepping
    )


def _groups_of_this_host() -> frozenset[Group]:
    """What the processor has, as far as Linux says; all of it elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="ascii") as info:
            flags = next(line for line in info if line.startswith("flags")).split()
    except (OSError, StopIteration):
        return frozenset(Group)
    optional = {"abm": Group.LZCNT, "movbe": Group.MOVBE, "bmi1": Group.BMI1, "bmi2": Group.BMI2, "adx": Group.ADX}
    return frozenset(Group) - {group for flag, group in optional.items() if flag not in flags}


@pytest.mark.parametrize("initial", sorted(SHAPES))
@pytest.mark.parametrize("way", ["stepping", "running"])
@pytest.mark.parametrize("name", sorted(PER_SHAPE))
def test_integer_instructions_agree_with_the_reference(name: str, way: str, initial: str) -> None:
    reason = _engines.unavailable(name)
    if reason is not None:
        pytest.skip(f"the {name} engine cannot run here: {reason}")
    groups = _groups_of_this_host() if name == "jit" else frozenset(Group)
    ours, oracle = EngineBench(ReferenceEngine), _bench(name, stepping=way == "stepping")
    failures: list[str] = []
    try:
        for shape in SHAPES[initial]:
            if shape.form.row.group not in groups:
                continue
            for case in cases(shape, PER_SHAPE[name], seed=2):
                if case.needs_low_memory:
                    continue
                actual = ours.run(case)
                found = differences(case, oracle.run(case), actual)
                if found:
                    failures.append(report(case, found))
    finally:
        ours.close()
        oracle.close()
    assert not failures, f"{len(failures)} cases differ (reference second):\n" + "\n".join(failures[:5])
