"""A kind of task for the tests of campaigns: cases that cost nothing, and oracles that misbehave as their names say.

``steady`` and ``calm`` agree, ``slow`` agrees too but takes its time, ``mute`` never judges. The others do something of their
own at one case in ten (:func:`is_special`): ``wrong`` gives another result, ``picky`` cannot judge, ``dying`` ends its
process with SIGSEGV, ``exiting`` with a silent exit, ``hanging`` never ends, ``raising`` raises. ``fickle`` is killed from
outside, once; ``brittle`` dies if it ran another case before.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from conformance.case import DATA, ENTRY, Case
from conformance.outcome import Outcome, differences

ROWS = range(40)
ORACLES = frozenset({
    "steady", "calm", "slow", "mute", "wrong", "picky", "dying", "exiting", "hanging", "raising", "fickle", "brittle",
})  # fmt: skip
#: A row that ``picky`` never judges.
PICKY_ROW = 7
#: A file that exists once ``fickle`` has died.
FICKLE = "FAKE_CAMPAIGN_FICKLE"


@dataclass(frozen=True)
class TaskWithoutRows:
    """As in :mod:`conformance.isa`."""

    kind: str
    seed: int
    shard: int
    count: int
    oracles: tuple[str, ...]
    skip: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Task(TaskWithoutRows):
    """With a choice of rows."""

    rows: frozenset[int] | None = None


@dataclass(frozen=True)
class Divergence:
    """As in :mod:`conformance.isa`."""

    case: Case
    outcomes: dict[str, Outcome]
    found: list[str]
    number: int


@dataclass
class ShardResult:
    """As in :mod:`conformance.isa`."""

    cases: int = 0
    rows: dict[str, dict[int, int]] = field(default_factory=dict)
    divergences: list[Divergence] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    unjudged: dict[str, dict[str, int]] = field(default_factory=dict)
    unjudged_rows: dict[str, dict[int, str]] = field(default_factory=dict)


def available(name: str) -> str | None:
    """All but one can run anywhere."""
    if name == "absent":
        return "it is a fake"
    if name not in ORACLES:
        raise ValueError(f"no oracle {name!r}")
    return None


def is_special(shard: int, number: int) -> bool:
    """Whether an oracle that misbehaves does so."""
    return number % 10 == shard % 10


def case_of(task: Task, number: int) -> Case:
    """A case whose row and registers are random."""
    rng = random.Random(f"{task.seed} {task.shard} {number}")
    row = rng.choice(sorted(task.rows) if task.rows is not None else ROWS)
    return Case(
        f"fake {row}",
        b"\x90",
        (*(rng.getrandbits(32) for _ in range(8)), ENTRY, 0x202),
        ((DATA, rng.randbytes(8)),),
        rows=(row,),
        origin=f"fake seed {task.seed} shard {task.shard} number {number}",
    )


def run_task(task: Task, tick: Callable[[int], None]) -> ShardResult:
    """What :func:`conformance.isa.run_task` does, without engines."""
    result = ShardResult()
    ran = 0
    for number in range(task.count):
        if number in task.skip:
            continue
        tick(number)
        case = case_of(task, number)
        result.cases += 1
        outcomes: dict[str, Outcome] = {}
        for oracle in task.oracles:
            started = time.perf_counter()
            outcome = _run(oracle, case, is_special(task.shard, number), ran)
            if outcome is None:
                reason = "it is picky" if oracle == "picky" else "it never speaks"
                reasons = result.unjudged.setdefault(oracle, {})
                reasons[reason] = reasons.get(reason, 0) + 1
                result.unjudged_rows.setdefault(oracle, {})[case.rows[0]] = reason
            else:
                outcomes[oracle] = outcome
                rows = result.rows.setdefault(oracle, {})
                rows[case.rows[0]] = rows.get(case.rows[0], 0) + 1
            result.seconds[oracle] = result.seconds.get(oracle, 0.0) + time.perf_counter() - started
        ran += 1
        found: list[str] = []
        first, *others = outcomes
        for other in others:
            different = differences(case, outcomes[first], outcomes[other])
            found += different if len(others) == 1 else [f"{first} or {other}: {text}" for text in different]
        if found:
            result.divergences.append(Divergence(case, outcomes, found, number))
    return result


def _run(oracle: str, case: Case, special: bool, ran: int) -> Outcome | None:
    result = Outcome(case.words, (), None)
    if oracle == "slow":
        time.sleep(0.002)
    if oracle == "mute" or (oracle == "picky" and (special or case.rows[0] == PICKY_ROW)):
        return None
    if oracle == "fickle" and special and not Path(os.environ[FICKLE]).exists():
        Path(os.environ[FICKLE]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if oracle == "brittle" and special and ran:
        os.kill(os.getpid(), signal.SIGBUS)
    if not special:
        return result
    if oracle == "wrong":
        words = list(case.words)
        words[case.rows[0] % 2] ^= 1  # EAX or ECX
        return Outcome(tuple(words), (), None)
    if oracle == "dying":
        os.kill(os.getpid(), signal.SIGSEGV)
    if oracle == "exiting":
        print("goodbye", file=sys.stderr, flush=True)
        os._exit(3)
    if oracle == "hanging":
        while True:
            pass
    if oracle == "raising":
        raise ValueError("it always does")
    return result


# -- calls for the tests of isolation --------------------------------------------------------------------------------


def divide(a: int, b: int, tick: Callable[[int], None]) -> tuple[int, int]:
    """The quotient, and who made it."""
    tick(0)
    return a // b, os.getpid()


def execute(action: str, tick: Callable[[int], None]) -> None:
    """Run a statement as item 41."""
    tick(41)
    exec(action)  # noqa: S102 - the statements stand in the tests


def dawdle(count: int, seconds: float, tick: Callable[[int], None]) -> None:
    """Take a while, with progress."""
    for number in range(count):
        tick(number)
        time.sleep(seconds)
