"""One case again, on every oracle, in a process that it may kill.

A case of a ``translate`` campaign is only translated, by the translators; its origin says that it is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from conformance import oracles, translate
from conformance.campaign.finding import kinds
from conformance.campaign.isolation import Failed, Isolated
from conformance.campaign.shard import PATIENCE
from conformance.case import Case
from conformance.outcome import Outcome, differences
from conformance.reduce.cause import Symptoms


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an oracle made of a case.

    ``against`` is what it was compared with: ``the case file`` or another oracle, empty for the first. ``found`` are the
    differences. ``failure`` says how the oracle died, and ``silence`` why it has nothing to say.
    """

    oracle: str
    outcome: Outcome | None = None
    against: str = ""
    found: tuple[str, ...] = ()
    failure: str = ""
    silence: str = ""

    @property
    def disagrees(self) -> bool:
        """Whether it differs, or died."""
        return bool(self.found or self.failure)

    def __str__(self) -> str:
        if self.silence:
            return f"nothing to say: {self.silence}"
        if self.failure:
            return self.failure
        if self.found:
            return "\n".join((f"differs from {self.against}:", *self.found))
        return f"as {self.against}" if self.against else "others are compared with this one"


def kind_of(case: Case) -> str:
    """The kind of campaign that a case is from; ``isa`` where it does not say."""
    return "translate" if case.origin.startswith("translate ") else "isa"


def oracles_for(kind: str) -> tuple[str, ...]:
    """The oracles for cases of a kind."""
    return translate.ORACLES if kind == "translate" else oracles.NAMES


def unavailable(kind: str, oracle: str) -> str | None:
    """Why an oracle cannot run here, or None if it can. Raises ValueError for a name that is none."""
    return translate.available(oracle) if kind == "translate" else oracles.available(oracle)


class Replayer:
    """Runs cases on oracles: those of a case's kind, or only some. A case that kills its process costs one process."""

    def __init__(self, only: Sequence[str] = (), *, patience: float = PATIENCE) -> None:
        self._only = only
        self._patience = patience
        self._process = Isolated((__name__,))

    def run(self, case: Case, expected: Outcome | None = None) -> list[Verdict]:
        """A verdict of each oracle: compared with what is expected, or else with the first that has an outcome."""
        kind = kind_of(case)
        verdicts: list[Verdict] = []
        standard, against = expected, "the case file"
        for oracle in oracles_for(kind):
            if self._only and oracle not in self._only:
                continue
            if reason := unavailable(kind, oracle):
                verdicts.append(Verdict(oracle, silence=reason))
                continue
            verdict = self._run(kind, case, oracle, standard, against)
            verdicts.append(verdict)
            if standard is None and verdict.outcome is not None:
                standard, against = verdict.outcome, oracle
        return verdicts

    def symptoms(self, case: Case) -> Symptoms:
        """Who disagrees with the first, and about what, in the words of the reducer."""
        verdicts = self.run(case)
        dead = next((verdict for verdict in verdicts if verdict.failure), None)
        return Symptoms(
            tuple((each.oracle, frozenset(kinds(each.found).split(", "))) for each in verdicts if each.found),
            frozenset(each.oracle for each in verdicts if each.silence),
            None if dead is None else (dead.oracle, kinds([dead.failure])),
        )

    def _run(self, kind: str, case: Case, oracle: str, standard: Outcome | None, against: str) -> Verdict:
        function = translate_alone if kind == "translate" else run_alone
        try:
            answer: tuple[Outcome, list[str]] | str = self._process.call(
                f"{__name__}:{function.__name__}", case, oracle, standard, patience=self._patience
            )
        except Failed as failure:
            return Verdict(oracle, failure=str(failure))
        if isinstance(answer, str):
            return Verdict(oracle, silence=answer)
        outcome, found = answer
        return Verdict(oracle, outcome, against if standard is not None else "", tuple(found))

    def close(self) -> None:
        """End the process."""
        self._process.close()


# -- what runs in the isolated process -------------------------------------------------------------------------------

_opened: Final[dict[str, oracles.Oracle]] = {}


def run_alone(
    case: Case, name: str, standard: Outcome | None, tick: Callable[[int], None]
) -> tuple[Outcome, list[str]] | str:
    """What one oracle makes of a case and how that differs from another outcome; or why it has nothing to say."""
    if name not in _opened:
        _opened[name] = oracles.open_oracle(name)
    oracle = _opened[name]
    tick(0)
    if reason := oracle.cannot_judge(case):
        return reason
    try:
        outcome = oracle.run(case)
    except oracles.CannotJudge as error:
        return str(error)
    if standard is not None and isinstance(oracle, oracles.Reconciling):
        outcome = oracle.reconcile(case, outcome, standard)
    return outcome, [] if standard is None else differences(case, standard, outcome)


def translate_alone(
    case: Case, name: str, standard: Outcome | None, tick: Callable[[int], None]
) -> tuple[Outcome, list[str]]:
    """What one translator makes of a case, and how that differs from an outcome, and in its tables from the first
    translator's."""
    tick(0)
    made = translate.made_by(name, case)
    outcome = translate.outcome_of(case, made)
    found = [] if standard is None else differences(case, standard, outcome)
    if name != translate.ORACLES[0]:
        found += translate.fragment_differences(translate.made_by(translate.ORACLES[0], case), made)
    return outcome, found
