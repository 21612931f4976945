"""Planted bugs are found and made small. Quickly: in shards that are known to have cases for them.

``python -m conformance.planted`` does the same without knowing anything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from conformance import case_file
from conformance.campaign.isolation import Failed, Isolated
from conformance.campaign.plan import Shard, select_rows, shard_cases
from conformance.campaign.shard import judge, run_shard
from conformance.planted import hunt
from conformance.planted.bugs import BUGS
from conformance.planted.hunt import Reduced, assembly, reduced
from conformance.planted.witness import Witness, examine
from vx32py import _engines

pytestmark = [
    pytest.mark.ldt,
    pytest.mark.skipif(
        _engines.unavailable("jit") is not None, reason=f"the native engine cannot run: {_engines.unavailable('jit')}"
    ),
]

ORACLES = ("reference", "jit")
#: A few cases of every encoding.
FEW = 1024
PATIENCE = 60.0


@dataclass(frozen=True)
class Known:
    """Where a bug shows: cases of a kind, of instructions with these names (sequences if there are none)."""

    kind: str = "isa"
    mnemonics: tuple[str, ...] = ()


KNOWN = {
    "flag": Known(mnemonics=("sar",)),
    "carry": Known(mnemonics=("adox",)),
    "operands": Known(mnemonics=("subps",)),
    "lane": Known(mnemonics=("pshufb",)),
    "rounding": Known(mnemonics=("fadd",)),
    "alignment": Known(mnemonics=("mulpd",)),
    "length": Known("translate"),
    "stencil": Known("translate"),
    "borrowed": Known(mnemonics=("call",)),
    "invalidation": Known(),
    "second-page": Known(),
    "death": Known(mnemonics=("div", "idiv")),
}


def shards(bug: str, known: Known) -> Iterator[Shard]:
    rows = select_rows((), known.mnemonics)
    cases = FEW if rows else shard_cases(known.kind)
    for number in range(12):
        yield Shard(hunt.__name__, f"{bug} {known.kind}", 1, 0, number, 0, cases, ORACLES, rows)


@pytest.fixture(scope="module")
def process() -> Iterator[Isolated]:
    with Isolated((hunt.__name__, __name__)) as process:
        yield process


@pytest.fixture(scope="module")
def sound() -> Iterator[Witness]:
    with Witness("", ORACLES) as witness:
        yield witness


def renew(process: Isolated) -> None:
    """Let the next bug have a process in which there is none."""
    with pytest.raises(Failed):
        process.call(f"{__name__}:{leave.__name__}", patience=PATIENCE)


def leave(tick: Callable[[int], None]) -> None:
    raise SystemExit


def find_and_reduce(bug: str, known: Known, tick: Callable[[int], None]) -> tuple[str, Reduced] | None:
    """Plant a bug in this process, find it, and reduce what was found."""
    for shard in shards(bug, known):
        findings = judge(shard, frozenset(), tick).findings
        if findings:
            text = findings[0].text
            check = functools.partial(examine, bug, oracles=shard.oracles, tick=lambda number: None)
            return text, reduced(text, check, tick)
    return None


@pytest.mark.parametrize("bug", [name for name in BUGS if name != "death"])
def test_a_planted_bug_is_found_and_made_small(bug: str, process: Isolated, sound: Witness) -> None:
    if bug == "stencil":
        pytest.importorskip("numba")
    try:
        found = process.call(f"{__name__}:{find_and_reduce.__name__}", bug, KNOWN[bug], patience=PATIENCE)
    finally:
        renew(process)
    assert found is not None
    text, small = found
    assert small.after <= min(3, small.before)
    for each in (text, small.text):
        assert not sound.symptoms(case_file.loads(each)[0]), "it diverges without the bug"
    if KNOWN[bug].mnemonics:
        assert len(assembly(small.text)) == 1
        assert assembly(small.text)[0].split()[0] in KNOWN[bug].mnemonics


def test_a_planted_bug_that_kills_is_found_and_made_small(process: Isolated, sound: Witness) -> None:
    shard = next(shards("death", KNOWN["death"]))
    report = run_shard(process, replace(shard, end=64))
    renew(process)
    text = report.findings[0].text
    assert "SIGSEGV" in report.findings[0].cause.kinds
    small: Reduced = process.call(f"{hunt.__name__}:reduce_here", "death", text, ORACLES, patience=PATIENCE)
    renew(process)
    (instruction,) = assembly(small.text)
    assert instruction.startswith(("div", "idiv"))
    assert not sound.symptoms(case_file.loads(small.text)[0])


def test_every_bug_is_tested() -> None:
    assert KNOWN.keys() == BUGS.keys()
