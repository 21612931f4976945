"""One shard, whatever its cases do to the process that runs them.

:func:`run_shard` sends the shard to an isolated process. When that dies, the case it was at is the suspect. It is run
alone, on one oracle after the other: if that dies too, the case is a divergence that says which oracle it killed, and the
shard is run again without it. If the case survives alone, the shard is run again as it was. Only when it dies at the same
case once more is the case to blame, together with the cases before it; a process that somebody else killed is not
mistaken for a defect.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from conformance.campaign.finding import Cause, Finding, ShardReport, kinds
from conformance.campaign.isolation import Failed, Isolated
from conformance.campaign.plan import Shard

#: What isolated processes need besides the module that makes the cases.
PRELOAD: Final = (__name__, "conformance.case_file", "reference.engines", "vx32py")
#: What a case may take, in seconds.
PATIENCE: Final = 10.0
#: So many cases of a shard may kill their process; the rest of the shard is left out then.
MOST_KILLED: Final = 50
#: So many processes may be lost without a case to blame.
MOST_LOST: Final = 5
GIVEN_UP: Final = f"left out after {MOST_KILLED} cases of the shard had killed their process"


class CannotRun(Exception):
    """The shard cannot be run here at all: an oracle cannot be opened, or processes die before the first case."""


def run_shard(
    process: Isolated, shard: Shard, *, patience: float = PATIENCE, progress: Callable[[int], None] | None = None
) -> ShardReport:
    """Run a shard to its end. Raises CannotRun, and Stopped where somebody stopped the process."""
    started = time.monotonic()
    killed: dict[int, Finding] = {}
    suspects: Counter[int] = Counter()
    lost = 0
    left_out: frozenset[int] = frozenset()
    while True:
        skip = left_out | killed.keys()
        try:
            report: ShardReport = process.call(_name(judge), shard, skip, patience=patience, progress=progress)
            break
        except Failed as failure:
            number = failure.number
            if number is None:
                lost += 1
                if failure.why.startswith("raised") or lost > MOST_LOST:
                    raise CannotRun(str(failure)) from failure
                continue
            suspects[number] += 1
            blamed = _blame(process, shard, number, patience)
            if blamed or suspects[number] > 1:
                why = next(iter(blamed.values()), failure)
                killed[number] = process.call(
                    _name(describe), shard, number, tuple(blamed), str(why), patience=patience
                )
            else:
                lost += 1
                if lost > MOST_LOST:
                    raise CannotRun(f"{lost} processes died without a case to blame: {failure}") from failure
            if len(killed) >= MOST_KILLED:
                left_out = frozenset(range(number + 1, shard.end))
    for finding in killed.values():
        report.add(finding)
    report.killed = len(killed)
    report.cases += report.killed
    if not_run := len(left_out - killed.keys()):
        for oracle in shard.oracles:
            report.unjudged.setdefault(oracle, {})[GIVEN_UP] = not_run
        report.cases += not_run
    report.lost = lost - sum(suspects[number] - 1 for number in killed)
    report.elapsed = time.monotonic() - started
    return report


def _blame(process: Isolated, shard: Shard, number: int, patience: float) -> dict[str, Failed]:
    """The oracles that die of a case when it is run alone, and what of."""
    found = {}
    for oracle in shard.oracles:
        try:
            process.call(_name(judge_alone), shard, number, oracle, patience=patience)
        except Failed as failure:
            found[oracle] = failure
    return found


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__}:{function.__name__}"


# -- what runs in the isolated process -------------------------------------------------------------------------------


def judge(shard: Shard, skip: frozenset[int], tick: Callable[[int], None]) -> ShardReport:
    """Run the shard without the cases in ``skip``, and put the result into plain data."""
    result = import_module(shard.module).run_task(_task(shard, skip | frozenset(range(shard.first))), tick)
    report = ShardReport(
        result.cases,
        {oracle: dict(rows) for oracle, rows in result.rows.items()},
        {oracle: dict(reasons) for oracle, reasons in result.unjudged.items()},
        {oracle: dict(rows) for oracle, rows in getattr(result, "unjudged_rows", {}).items()},
        dict(result.seconds),
        generating=getattr(result, "seconds_generating", 0.0),
    )
    for divergence in result.divergences:
        report.add(_finding(shard, divergence))
    return report


def judge_alone(shard: Shard, number: int, oracle: str, tick: Callable[[int], None]) -> None:
    """Run a single case on a single oracle."""
    others = frozenset(range(number)) | frozenset(range(number + 1, shard.end))
    import_module(shard.module).run_task(_task(shard, others, (oracle,)), tick)


def describe(shard: Shard, number: int, oracles: tuple[str, ...], why: str, tick: Callable[[int], None]) -> Finding:
    """The finding for a case that ended its process."""
    from conformance import case_file

    case = import_module(shard.module).case_of(_task(shard, frozenset()), number)
    row, subject = _subject(case)
    suspects = "/".join(oracles) if oracles else f"{'/'.join(shard.oracles)}, after the cases before it"
    return Finding(
        Cause(row, subject, suspects, kinds([why])),
        shard.number,
        number,
        case.label,
        (why,),
        case_file.dumps(case, None),
    )


def _task(shard: Shard, skip: frozenset[int], oracles: tuple[str, ...] = ()) -> Any:
    rows = {} if shard.rows is None else {"rows": shard.rows}
    return import_module(shard.module).Task(
        kind=shard.kind,
        seed=shard.seed,
        shard=shard.number,
        count=shard.end,
        oracles=oracles or shard.oracles,
        skip=skip,
        **rows,
    )


def _finding(shard: Shard, divergence: Any) -> Finding:
    from conformance import case_file

    case, outcomes = divergence.case, divergence.outcomes
    row, subject = _subject(case)
    first, *others = outcomes
    # Of several oracles each difference says which two it is between: "reference or jit: eax: 0x1 or 0x2".
    different = {
        name: [text for text in divergence.found if text.startswith(f"{first} or {name}: ")] for name in others
    }
    culprits = [name for name in others if different[name]] or others
    found = [
        text.removeprefix(f"{first} or {name}: ") for name in others for text in different[name]
    ] or divergence.found
    return Finding(
        Cause(row, subject, "/".join((first, *culprits)), kinds(found)),
        shard.number,
        divergence.number,
        case.label,
        tuple(divergence.found),
        case_file.dumps(case, outcomes[first]),
    )


def _subject(case: Any) -> tuple[int, str]:
    """The row that a case was made from and its mnemonic, where it is one; else -1 and the case's label."""
    from reference.isa.opcodes import ROWS

    if len(case.rows) == 1:
        return case.rows[0], ROWS[case.rows[0]].mnemonic
    return -1, case.label
