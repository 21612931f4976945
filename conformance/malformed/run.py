"""Running many cases in processes that may die of them, and putting together what came out."""

from __future__ import annotations

import gc
import pickle
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from importlib import import_module
from queue import Empty, SimpleQueue
from typing import Any, Final

from conformance.campaign.isolation import Failed, Isolated
from conformance.malformed.finding import Finding

#: Cases that a process judges before it reports.
BATCH: Final = 250
#: A case that has not ended after so many seconds is killed.
PATIENCE: Final = 30.0
#: Findings of one kind that are kept; the others are counted.
MOST_KEPT: Final = 20
#: How much a process may grow from batch to batch once it is warm, in bytes.
MOST_GROWTH: Final = 64 << 20

_WORK: Final = "conformance.malformed.run:work"
_KINDS: Final = {"images": "conformance.malformed.images", "calls": "conformance.malformed.calls"}


@dataclass
class Report:
    """What became of cases: outcomes by name, findings by kind, and how long it took."""

    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    interrupted: bool = False

    def add(self, other: Report) -> None:
        """Take another report into this one."""
        self.cases += other.cases
        self.outcomes.update(other.outcomes)
        for finding in other.findings:
            self.found(finding)

    def found(self, finding: Finding) -> None:
        """A finding more."""
        self.kinds[finding.kind] += 1
        if self.kinds[finding.kind] <= MOST_KEPT:
            self.findings.append(finding)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.kinds


def work(kind: str, seed: int, first: int, count: int, given: bytes, tick: Callable[[int], None]) -> Report:
    """Judge a batch of cases; in a process of its own, in which no fragment is reached that the verifier has not accepted.
    ``given``: what the kind of case needs, pickled."""
    from reference.dispatch import TranslatingEngine
    from vx32py import _engines, verify

    TranslatingEngine.verifier = verify
    judge = import_module(_module_of(kind)).judge_numbered
    things, report = pickle.loads(given), Report()  # noqa: S301 - from our own process
    context: Any = nullcontext()
    if _engines.unavailable("jit") is None:
        from jit import library

        context = library.unused()  # each case is a program of its own: nothing is gained by keeping its fragments
    with context:
        for number in range(first, first + count):
            tick(number)
            before = _size()
            label, verdict = judge(seed, number, things)
            report.cases += 1
            report.outcomes.update(verdict.outcomes)
            for name, detail in verdict.findings:
                report.found(Finding(number, name, f"{label}: {detail}"))
            if number > first and _size() - before > MOST_GROWTH:
                gc.collect()
                if _size() - before > MOST_GROWTH:
                    report.found(Finding(number, "memory that stays", f"{label}: {(_size() - before) >> 20} MiB"))
    return report


def _module_of(kind: str) -> str:
    """The module whose ``judge_numbered`` judges cases of a kind; another module can be named itself."""
    return _KINDS.get(kind, kind)


def _size() -> int:
    """The bytes of memory that this process has at the moment."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def run(
    kind: str, *, count: int, seed: int, jobs: int, given: Any, first: int = 0, tell: Callable[[Report], None]
) -> Report:
    """Judge ``count`` cases from ``first`` on, in ``jobs`` processes at a time; ``tell`` hears what is known so far. Ctrl-C
    ends it after the batches that are under way."""
    batches: SimpleQueue[tuple[int, int]] = SimpleQueue()
    for number in range(first, first + count, BATCH):
        batches.put((number, min(BATCH, first + count - number)))
    results: SimpleQueue[Report] = SimpleQueue()
    packed, stopped = pickle.dumps(given), threading.Event()
    total, started = Report(), time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        workers = [pool.submit(_work_off, kind, seed, packed, batches, results, stopped) for _ in range(jobs)]
        try:
            while not all(worker.done() for worker in workers) or not results.empty():
                with suppress(Empty):
                    total.add(results.get(timeout=0.5))
                total.seconds = time.monotonic() - started
                tell(total)
        except KeyboardInterrupt:
            total.interrupted = True
        finally:
            stopped.set()
    for worker in workers:
        worker.result()
    return total


def _work_off(
    kind: str, seed: int, given: bytes, batches: SimpleQueue[tuple[int, int]], results: SimpleQueue[Report],
    stopped: threading.Event,
) -> None:  # fmt: skip
    with Isolated(preload=[_module_of(kind), "conformance.malformed.run"]) as process:
        while not stopped.is_set():
            try:
                first, count = batches.get_nowait()
            except Empty:
                return
            try:
                results.put(process.call(_WORK, kind, seed, first, count, given, patience=PATIENCE))
            except Failed as failed:
                at = first if failed.number is None else failed.number
                dead = Report(cases=1, outcomes=Counter({"the process died or hung": 1}))
                dead.found(Finding(at, failed.why, str(failed)))
                results.put(dead)
                # What had been judged before it went with the process, and is judged again.
                for begin, end in ((first, at), (at + 1, first + count)):
                    if begin < end:
                        batches.put((begin, end - begin))
