"""Hunting a planted bug: the campaign that finds it, and the reducer that makes the case small.

The campaign is the one that ``vx32py fuzz`` runs, with the same runner and the same shards in the same order; only their
module is this one, which plants the bug named in front of the kind and then does what the kind's own module does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any, Final

from conformance import case_file, isa, oracles, translate
from conformance.campaign.finding import Finding
from conformance.campaign.isolation import Isolated
from conformance.campaign.local import Done, LocalRunner
from conformance.campaign.plan import DEFAULT_ORACLES, KINDS, Plan, Shard, shard_cases
from conformance.case import Case
from conformance.planted.bugs import plant
from conformance.planted.witness import Witness
from conformance.reduce import reduce
from conformance.reduce.cause import SameCause, Symptoms
from conformance.reduce.program import pieces_of

#: Seconds without a step of the reducer after which it is given up.
_PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Task(isa.Task):
    """A task of a kind with a bug: ``kind`` is the name of the bug, a blank, and the kind."""

    @property
    def module(self) -> Any:
        """The kind's own module."""
        return import_module(KINDS[self.kind.partition(" ")[2]])

    @cached_property
    def task(self) -> Any:
        """The kind's own task."""
        kind = self.kind.partition(" ")[2]
        return self.module.Task(kind, self.seed, self.shard, self.count, self.oracles, self.skip, self.rows)


def run_task(task: Task, tick: Callable[[int], None]) -> Any:
    """Plant the bug and run the task."""
    plant(task.kind.partition(" ")[0])
    return task.module.run_task(task.task, tick)


def case_of(task: Task, number: int) -> Case:
    """A case of the task, as it is where the bug is planted."""
    plant(task.kind.partition(" ")[0])
    case: Case = task.module.case_of(task.task, number)
    return case


# -- the campaign ----------------------------------------------------------------------------------------------------


def plans(seed: int) -> list[Plan]:
    """What ``vx32py fuzz`` would do by default, for every kind of case that there is."""
    found = []
    for kind, groups in DEFAULT_ORACLES.items():
        available = translate.available if kind == "translate" else oracles.available
        usable = tuple(group for group in groups if not any(map(available, group)))
        if usable:
            found.append(Plan(kind, seed, usable, shard_cases(kind)))
    return found


def shards(bug: str, seed: int) -> Iterator[Shard]:
    """The shards of all plans, in turn, with the bug in them. Without end."""
    made = plans(seed)
    walks = [plan.shards(None) for plan in made]
    groups = max(len(plan.oracles) for plan in made)
    while True:
        for number, walk in enumerate(walks):
            shard = next(walk)
            # Groups have numbers of their own in every plan; here all of them go to one runner.
            yield replace(shard, module=__name__, kind=f"{bug} {shard.kind}", group=number * groups + shard.group)


@dataclass(frozen=True, slots=True)
class Found:
    """A divergence: after how many seconds and cases, and what a report says of it."""

    seconds: float
    cases: int
    shard: Shard
    finding: Finding


def hunt(bug: str, *, seconds: float, jobs: int, seed: int = 1) -> Generator[Found, None, None]:
    """The divergences that a campaign finds in so many seconds, as they come; close the generator when it is enough."""
    started = time.monotonic()
    cases = 0

    def until_then() -> Iterator[Shard]:
        for shard in shards(bug, seed):
            if time.monotonic() - started >= seconds:
                return
            yield shard

    with closing(LocalRunner(jobs, (__name__,))) as runner:
        for event in runner.run(until_then()):
            if isinstance(event, Done):
                cases += event.report.cases
                for finding in event.report.findings:
                    yield Found(time.monotonic() - started, cases, event.shard, finding)


# -- what it found ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reduced:
    """A case that was made small: how many instructions it had and has, how many cases and seconds that took."""

    before: int
    after: int
    executions: int
    seconds: float
    text: str


class Examiner:
    """Looks at findings of some oracles, with a bug and without."""

    def __init__(self, bug: str, names: tuple[str, ...]) -> None:
        self._bug, self._names = bug, names
        self._stack = ExitStack()
        self._sound = self._stack.enter_context(Witness("", names))
        self._ill = self._stack.enter_context(Witness(bug, names))

    def is_due_to_the_bug(self, text: str) -> bool:
        """Whether a case diverges where the bug is, and nowhere else."""
        case, _ = case_file.loads(text)
        return bool(self._ill.symptoms(case)) and not self._sound.symptoms(case)

    def reduce(self, text: str) -> Reduced:
        """Make a case small; where the bug is too, since it may be in the decoder that the reducer works with."""
        with Isolated((__name__,)) as process:
            found: Reduced = process.call(
                f"{__name__}:{reduce_here.__name__}", self._bug, text, self._names, patience=_PATIENCE
            )
        return found

    def close(self) -> None:
        """End all processes."""
        self._stack.close()


def reduce_here(bug: str, text: str, names: tuple[str, ...], tick: Callable[[int], None]) -> Reduced:
    """Plant the bug in this process and reduce a case that further processes execute."""
    plant(bug)
    with Witness(bug, names) as witness:
        return reduced(text, witness.symptoms, tick)


def reduced(text: str, examine: Callable[[Case], Symptoms], tick: Callable[[int], None]) -> Reduced:
    """Reduce a case; ``tick`` is told how many have been executed."""
    case, _ = case_file.loads(text)
    started = time.monotonic()
    same = SameCause(examine)
    executions = 0

    def diverges(candidate: Case) -> bool:
        nonlocal executions
        executions += 1
        tick(executions)
        return same(candidate)

    small = reduce(case, diverges)
    elapsed = time.monotonic() - started
    return Reduced(len(pieces_of(case)), len(pieces_of(small)), executions, elapsed, case_file.dumps(small))


def assembly(text: str) -> list[str]:
    """The instructions in a case file, without their addresses."""
    lines = [line[1:].split(maxsplit=1) for line in text.splitlines() if line.startswith("#         ")]
    return [words[1] for words in lines]
