"""Tasks of the kind ``isa``: generated cases, run on several oracles and compared.

A :class:`Task` names its cases by a seed and the number of a shard, so that it can be sent anywhere and gives the same
cases there. :func:`run_task` runs it; :func:`case_of` makes a single case of it again.

The cases of a shard come in batches with the code in common. Oracles that have a bench (:mod:`conformance.oracles.bench`)
are given bytes and give bytes; as long as these are equal, nobody asks what they mean. All others get cases.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from conformance import sequences
from conformance.case import Case
from conformance.cases import BATCH, Batch, batch
from conformance.encodings import Shape, shapes
from conformance.oracles import Benched, CannotJudge, Oracle, Reconciling, open_oracle
from conformance.oracles.bench import INITIAL_FP, Bench, State
from conformance.outcome import Outcome, differences
from reference.errors import NotModelled

#: Of so many batches one is of sequences.
_SEQUENCES_ONE_IN: Final = 8
#: Batches of single instructions after which the next shard's shapes begin.
_SHAPES_A_SHARD: Final = 56
#: How many cases a shard should have, so that each shape has its turn.
SHARD_CASES: Final = BATCH * _SHAPES_A_SHARD * _SEQUENCES_ONE_IN // (_SEQUENCES_ONE_IN - 1)


@dataclass(frozen=True, slots=True)
class Task:
    """``count`` cases of one shard, without those whose numbers are in ``skip``.

    The first of ``oracles`` that can judge a case is compared with each of the others that can. ``kind`` says what is made
    and how it is compared: ``isa`` here, ``translate`` in :mod:`conformance.translate`. With ``rows`` there are single
    instructions only, of these rows of the instruction table. Raises ValueError where they have no encoding.
    """

    kind: str
    seed: int
    shard: int
    count: int
    oracles: tuple[str, ...]
    skip: frozenset[int] = frozenset()
    rows: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Divergence:
    """A case that oracles disagree about: its number in the shard, what each made of it, and what is different."""

    case: Case
    outcomes: dict[str, Outcome]
    found: list[str]
    number: int


@dataclass(slots=True)
class ShardResult:
    """What became of a task.

    ``rows`` counts the cases that an oracle has judged, by oracle and row of the instruction table; ``seconds`` is the time
    spent in each oracle, ``seconds_generating`` the time it took to make the cases; ``unjudged`` counts the cases that an
    oracle could not judge, by reason, and ``unjudged_rows`` has one of its reasons for each row.
    """

    cases: int = 0
    rows: dict[str, dict[int, int]] = field(default_factory=dict)
    divergences: list[Divergence] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    unjudged: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds_generating: float = 0.0
    unjudged_rows: dict[str, dict[int, str]] = field(default_factory=dict)


# -- which cases -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _order(seed: int, round_: int, rows: frozenset[int] | None) -> tuple[Shape, ...]:
    """All shapes of some rows, in an order of their own for each seed and each round through them."""
    found = [shape for shape in shapes() if rows is None or shape.form.row.index in rows]
    random.Random(f"shapes {seed} {round_}").shuffle(found)  # noqa: S311 - reproducible, not secret
    return tuple(found)


def batch_of(task: Task, number: int) -> Batch:
    """Batch ``number`` of a shard: cases ``number * BATCH`` and so on. Raises ValueError for rows without an encoding."""
    rng = random.Random(f"isa {task.seed} {task.shard} {number}")  # noqa: S311 - reproducible, not secret
    if task.rows is not None:
        place = task.shard * (SHARD_CASES // BATCH) + number
    elif number % _SEQUENCES_ONE_IN == _SEQUENCES_ONE_IN - 1:
        return sequences.batch(rng)
    else:
        place = task.shard * _SHAPES_A_SHARD + number - number // _SEQUENCES_ONE_IN
    count = len(_order(task.seed, 0, task.rows))
    if not count:
        raise ValueError("no encoding is made of these rows of the instruction table")
    return batch(_order(task.seed, place // count, task.rows)[place % count], rng)


def case_of(task: Task, number: int) -> Case:
    """Case ``number`` of a task, as :func:`run_task` makes it."""
    return batch_of(task, number // BATCH).case(number % BATCH, _origin(task, number))


def _origin(task: Task, number: int) -> str:
    return f"{task.kind} seed {task.seed} shard {task.shard} number {number}"


# -- running them ----------------------------------------------------------------------------------------------------

_open: Final[dict[str, Oracle]] = {}


def oracle(name: str) -> Oracle:
    """The oracle of that name in this process: opened once, since opening takes longer than many cases."""
    found = _open.get(name)
    if found is None:
        found = _open[name] = open_oracle(name)
    return found


def close_oracles() -> None:
    """Close what :func:`oracle` has opened."""
    while _open:
        _open.popitem()[1].close()


def run_task(task: Task, tick: Callable[[int], None]) -> ShardResult:
    """Run a task; ``tick(number)`` is called before each case, so that whoever watches knows which one ends the process.

    Raises UnsupportedHost where an oracle cannot be had here.
    """
    run = _Run(task, tick)
    for number in range(-(-task.count // BATCH)):
        run.batch(number)
    return run.result()


class _Run:
    """One run of a task."""

    def __init__(self, task: Task, tick: Callable[[int], None]) -> None:
        self.task = task
        self.tick = tick
        self.oracles = [oracle(name) for name in task.oracles]
        self.cases = 0
        self.rows: dict[str, dict[int, int]] = {name: defaultdict(int) for name in task.oracles}
        self.seconds = dict.fromkeys(task.oracles, 0.0)
        self.unjudged: dict[str, dict[str, int]] = {name: defaultdict(int) for name in task.oracles}
        self.unjudged_rows: dict[str, dict[int, str]] = {name: {} for name in task.oracles}
        self.divergences: list[Divergence] = []
        self.generating = 0.0

    def result(self) -> ShardResult:
        return ShardResult(
            self.cases,
            {name: dict(rows) for name, rows in self.rows.items()},
            self.divergences,
            self.seconds,
            {name: dict(reasons) for name, reasons in self.unjudged.items()},
            self.generating,
            self.unjudged_rows,
        )

    def batch(self, number: int) -> None:
        """Run the cases of a batch, as many as the task wants."""
        task = self.task
        first = number * BATCH
        if all(first + i in task.skip for i in range(min(BATCH, task.count - first))):
            return
        begin = time.perf_counter()
        made = batch_of(task, number)
        self.generating += time.perf_counter() - begin
        wanted = [i for i in range(min(len(made), task.count - first)) if first + i not in task.skip]
        example = made.case(0)
        judges: list[tuple[Oracle, Bench | None]] = []
        for each in self.oracles:
            reason = each.cannot_judge(example) if isinstance(each, Benched) else None
            if reason is None:
                judges.append((each, self._bench(each, example)))
            else:
                self._leave(each.name, reason, made, len(wanted))
        if len(judges) == 2 and all(bench is not None for _, bench in judges):
            self._compare_two(made, first, wanted, judges)
        elif len(judges) > 1 or len(self.oracles) == 1:
            for i in wanted:
                self.tick(first + i)
                self._compare(made, first, i, judges)
        self.cases += len(wanted)

    def _bench(self, each: Oracle, example: Case) -> Bench | None:
        return each.bench_for(example) if isinstance(each, Benched) else None

    def _compare_two(
        self, made: Batch, first: int, wanted: Sequence[int], judges: Sequence[tuple[Oracle, Bench | None]]
    ) -> None:
        """The usual case, and the fast one: two benches, and bytes that are equal."""
        (one, one_bench), (other, other_bench) = judges
        assert one_bench is not None
        assert other_bench is not None
        run_one, run_other, tick, clock = one_bench.execute, other_bench.execute, self.tick, time.perf_counter
        words, memory, images = made.words, made.memory, made.fp
        fp = INITIAL_FP
        seconds_one = seconds_other = 0.0
        judged = 0
        try:
            for i in wanted:
                tick(first + i)
                if images is not None:
                    fp = images[i]
                begin = clock()
                a = run_one(words[i], fp, memory[i])
                between = clock()
                b = run_other(words[i], fp, memory[i])
                end = clock()
                seconds_one += between - begin
                seconds_other += end - between
                judged += 1
                if not alike(a, b, images is not None):
                    case = made.case(i, _origin(self.task, first + i))
                    self._judge(
                        case,
                        first + i,
                        {one.name: one_bench.outcome(case, a), other.name: other_bench.outcome(case, b)},
                    )
        except NotModelled as error:
            self._leave(one.name, f"not modelled: {error.instruction}", made, len(wanted) - judged)
        for each, seconds in ((one, seconds_one), (other, seconds_other)):
            self.seconds[each.name] += seconds
            self._count(each, made, judged)

    def _compare(self, made: Batch, first: int, i: int, judges: Sequence[tuple[Oracle, Bench | None]]) -> None:
        """One case, on any number of oracles of any kind."""
        case = made.case(i, _origin(self.task, first + i))
        outcomes: dict[str, Outcome] = {}
        for each, bench in judges:
            reason = each.cannot_judge(case) if bench is None else None
            begin = time.perf_counter()
            if reason is None:
                try:
                    outcomes[each.name] = each.run(case)
                except CannotJudge as error:
                    reason = str(error)
            self.seconds[each.name] += time.perf_counter() - begin
            if reason is None:
                self._count(each, made, 1)
            else:
                self._leave(each.name, reason, made, 1)
        self._judge(case, first + i, outcomes)

    def _count(self, each: Oracle, made: Batch, count: int) -> None:
        for row in made.rows:
            self.rows[each.name][row] += count

    def _leave(self, name: str, reason: str, made: Batch, count: int) -> None:
        self.unjudged[name][reason] += count
        for row in made.rows:
            self.unjudged_rows[name].setdefault(row, reason)

    def _judge(self, case: Case, number: int, outcomes: dict[str, Outcome]) -> None:
        """Compare the first outcome with each of the others."""
        found: list[str] = []
        names = list(outcomes)
        for name in names[1:]:
            expected, actual = outcomes[names[0]], outcomes[name]
            for each, own, other in ((names[0], expected, actual), (name, actual, expected)):
                judge = oracle(each)
                if isinstance(judge, Reconciling):
                    if own is expected:
                        expected = judge.reconcile(case, own, other)
                    else:
                        actual = judge.reconcile(case, own, other)
            different = differences(case, expected, actual)
            found += different if len(names) == 2 else [f"{names[0]} or {name}: {line}" for line in different]
        if found:
            self.divergences.append(Divergence(case, outcomes, found, number))


def alike(a: State, b: State, floating: bool) -> bool:
    """Whether two states are equal, to the last bit of what is ever compared."""
    if a.words != b.words or a.failure != b.failure:
        return False
    if a.memory != b.memory:
        # The first region, low memory, is not there for every bench; a case that needs it is not run on those.
        common = min(len(a.memory), len(b.memory))
        if len(a.memory) == len(b.memory) or not common or a.memory[-common:] != b.memory[-common:]:
            return False
    if a.trap is not b.trap and (a.trap is None or b.trap is None or not a.trap.agrees_with(b.trap)):
        return False
    one, other = a.fp, b.fp
    return (
        not floating
        or one == other
        or (
            one[:5] == other[:5]
            and one[24:28] == other[24:28]
            and one[160:288] == other[160:288]
            and one[576:704] == other[576:704]
            and all(one[i : i + 10] == other[i : i + 10] for i in range(32, 160, 16))
        )
    )
