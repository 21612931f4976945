"""Judging cases in a process where a bug is planted, and which they may kill."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from conformance.campaign.finding import kinds
from conformance.campaign.isolation import Failed, Isolated
from conformance.campaign.replay import kind_of, run_alone, translate_alone
from conformance.case import Case
from conformance.outcome import Outcome
from conformance.planted.bugs import plant
from conformance.reduce.cause import Symptoms

#: What a case may take, in seconds.
_PATIENCE: Final = 5.0


class Witness:
    """Says what oracles make of a case where a bug is planted; of no bug if its name is empty."""

    def __init__(self, bug: str, oracles: Sequence[str]) -> None:
        self._bug = bug
        self._oracles = tuple(oracles)
        self._process = Isolated((__name__,))

    def symptoms(self, case: Case) -> Symptoms:
        """Who disagrees with the first oracle, and about what."""
        try:
            found: Symptoms = self._process.call(
                f"{__name__}:{examine.__name__}", self._bug, case, self._oracles, patience=_PATIENCE
            )
        except Failed as failure:
            if failure.number is None:
                raise
            return Symptoms(death=(self._oracles[failure.number], kinds([str(failure)])))
        return found

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def examine(bug: str, case: Case, oracles: Sequence[str], tick: Callable[[int], None]) -> Symptoms:
    """Plant a bug in this process and run a case; ``tick`` is told which oracle is at work."""
    plant(bug)
    run = translate_alone if kind_of(case) == "translate" else run_alone
    standard: Outcome | None = None
    differing: list[tuple[str, frozenset[str]]] = []
    silent: set[str] = set()
    for number, name in enumerate(oracles):
        answer = run(case, name, standard, lambda _, number=number: tick(number))  # type: ignore[misc]
        if isinstance(answer, str):
            silent.add(name)
            continue
        outcome, found = answer
        if found:
            differing.append((name, frozenset(kinds(found).split(", "))))
        standard = standard or outcome
    return Symptoms(tuple(differing), frozenset(silent))
