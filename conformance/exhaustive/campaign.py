"""All units, in several processes, with what has been done kept in a file; and what came of it, for people.

The file has one line of JSON for each unit that is done. It is believed if it was made with the same seed and the same
sources of decoder and translators.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from conformance.campaign.isolation import Failed, Isolated, Stopped
from conformance.exhaustive.run import PRELOAD, UnitResult
from conformance.exhaustive.space import Unit
from jit import compiled

#: Seconds that one encoding may take.
PATIENCE: Final = 30.0
#: So many encodings of a unit may kill their process before the unit is given up.
_MOST_DEATHS: Final = 50
#: Examples of each class of finding, over all units.
_EXAMPLES: Final = 5
_RUN: Final = "conformance.exhaustive.run:run_unit"


@dataclass(slots=True)
class Total:
    """What became of all units that are done. ``deaths`` are units, numbers and causes of encodings that killed their
    process."""

    units: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[Any]] = field(default_factory=dict)
    capstone: Counter[str] = field(default_factory=Counter)
    deaths: list[str] = field(default_factory=list)

    def add(self, result: UnitResult, deaths: Sequence[str]) -> None:
        """Add a unit's."""
        self.units += 1
        self.counts.update(result.counts)
        self.capstone.update(result.capstone)
        for name, (count, *examples) in result.findings.items():
            found = self.findings.setdefault(name, [0])
            found[0] += count
            found += examples[: max(0, 1 + _EXAMPLES - len(found))]
        self.deaths += deaths

    def sum(self, what: str) -> int:
        """A count over all tables of opcodes."""
        return sum(count for name, count in self.counts.items() if name.partition("/")[2] == what)

    @property
    def executed(self) -> int:
        """Runs of admitted encodings on the processor."""
        return self.sum("executed, good state") + self.sum("executed, bad state")

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings and not self.deaths


def run_with_deaths(
    process: Isolated, unit: Unit, seed: int, most: int, tick: Callable[[int], None]
) -> tuple[UnitResult, list[str]]:
    """Run a unit in ``process``, again without each encoding that kills it; the result, and what killed it. Raises
    Stopped, and Failed for what is no encoding's fault."""
    skip: dict[int, str] = {}
    while True:
        try:
            result = process.call(_RUN, *unit, seed, frozenset(skip), most, patience=PATIENCE, progress=tick)
        except Failed as error:
            if error.number is None or error.why.startswith("raised") or len(skip) >= _MOST_DEATHS:
                raise
            skip[error.number] = f"{unit.part}, {unit.name}, number {error.number}: {error}"
        else:
            assert isinstance(result, UnitResult)
            return result, list(skip.values())


class Campaign:
    """Units to be run by ``jobs`` processes. ``most`` encodings of each, all if it is zero. ``store`` is the file, if
    any. Raises BuildError where there is no compiled translator, ValueError for a file that is something else."""

    def __init__(self, units: Sequence[Unit], jobs: int, seed: int, most: int, store: Path | None) -> None:
        compiled.build()
        self.total = Total()
        self._key = f"{compiled.key()} {seed} {most}"
        self._seed, self._most, self._store = seed, most, store
        done = set(self._read()) if store is not None and store.exists() else set()
        self.left = [unit for unit in units if unit not in done]
        self._queue: SimpleQueue[Unit] = SimpleQueue()
        for unit in self.left:
            self._queue.put(unit)
        self._events: SimpleQueue[tuple[Unit, UnitResult, list[str]] | BaseException | None] = SimpleQueue()
        self._processes = [Isolated(PRELOAD) for _ in range(min(jobs, len(self.left)))]

    def _read(self) -> Iterator[Unit]:
        assert self._store is not None
        for number, line in enumerate(self._store.read_text(encoding="utf-8").splitlines(), 1):
            try:
                entry = json.loads(line)
                unit = Unit(*entry["unit"])
                result = UnitResult(Counter(entry["counts"]), entry["findings"], Counter(entry["capstone"]))
                if entry["key"] != self._key:
                    raise ValueError(f"{self._store} was made with another seed, or of other sources")
            except (KeyError, TypeError, json.JSONDecodeError) as error:
                raise ValueError(f"{self._store}, line {number}: not the result of a unit") from error
            self.total.add(result, entry["deaths"])
            yield unit

    def run(self, tick: Callable[[], None]) -> Iterator[Unit]:
        """Run all that is left; each unit when it is done, in whatever order. ``tick`` is called now and then."""
        threads = [threading.Thread(target=self._work, args=(each, tick), daemon=True) for each in self._processes]
        for thread in threads:
            thread.start()
        running = len(threads)
        while running:
            event = self._events.get()
            if event is None:
                running -= 1
                continue
            if isinstance(event, BaseException):
                raise event
            unit, result, deaths = event
            self.total.add(result, deaths)
            self._note(unit, result, deaths)
            yield unit

    def _note(self, unit: Unit, result: UnitResult, deaths: list[str]) -> None:
        if self._store is None:
            return
        entry = {
            "unit": unit, "key": self._key, "counts": result.counts, "findings": result.findings,
            "capstone": result.capstone, "deaths": deaths,
        }  # fmt: skip
        with self._store.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def _work(self, process: Isolated, tick: Callable[[], None]) -> None:
        try:
            while not self._queue.empty():
                unit = self._queue.get_nowait()
                result, deaths = run_with_deaths(process, unit, self._seed, self._most, lambda _: tick())
                self._events.put((unit, result, deaths))
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits for the units
            self._events.put(error)
        self._events.put(None)

    def close(self) -> None:
        """End all processes; units that are under way are lost."""
        for process in self._processes:
            process.close()


_COLUMNS: Final = (
    "enumerated", "refused", "copied", "folded", "rewritten", "left to the host", "trapped", "verified", "same template",
    "executed, good state", "executed, bad state", "refused and executed", "differing",
)  # fmt: skip


def report(total: Total) -> str:
    """The counts as a table, the findings, and what capstone says otherwise."""
    tables = sorted({name.partition("/")[0] for name in total.counts} - {"all"})
    lines = ["what".ljust(24) + "".join(table.rjust(14) for table in (*tables, "sum"))]
    for column in _COLUMNS:
        row = [total.counts[f"{table}/{column}"] for table in tables]
        lines.append(column.ljust(24) + "".join(f"{count:14,}" for count in (*row, sum(row))))
    lines.append("")
    agreed = ("agreed to the last bit", "agreed where defined", "not of this processor", "refused leaves")
    lines += [f"{name:24}{total.sum(name):14,}" for name in agreed]
    lines += [f"{name[4:]:40}{count:14,}" for name, count in sorted(total.counts.items()) if name.startswith("all/")]
    lines += ["", "capstone has another length, or another opinion, because:"]
    lines += [f"{count:12,}  {why}" for why, count in total.capstone.most_common()]
    lines += ["", f"killed the process: {len(total.deaths)}", *total.deaths]
    lines.append(
        f"findings: {len(total.findings)} classes, {sum(found[0] for found in total.findings.values())} in all"
    )
    for name, (count, *examples) in sorted(total.findings.items(), key=lambda each: -each[1][0]):
        lines += [f"{count:12,}  {name}", *(f"{'':14}{example}" for example in examples)]
    return "\n".join(lines)
