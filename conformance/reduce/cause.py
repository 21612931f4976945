"""Whether two cases diverge for one reason.

A smaller case may diverge too, but because of another defect. :class:`SameCause` tells from the symptoms: which oracles
disagree with the first one, and in what kinds of things. Of a single instruction they must stay what they are. In a
sequence, what is wrong spreads from one instruction to the next; there the symptoms may become fewer, as long as traps
stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from conformance.case import Case
from conformance.reduce.program import pieces_of

#: Kinds of difference that are not only what others have led to.
_LASTING: Final = ("trap", "failure", "refusal")


@dataclass(frozen=True, slots=True)
class Symptoms:
    """What oracles make of a case: the kinds of difference of those that disagree with the first one that has something to
    say (:func:`conformance.campaign.finding.kinds`); those that are silent; and which of them died, and what of."""

    differing: tuple[tuple[str, frozenset[str]], ...] = ()
    silent: frozenset[str] = frozenset()
    death: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.differing or self.death)

    def __str__(self) -> str:
        if self.death is not None:
            return f"{self.death[0]}: {self.death[1]}"
        return "; ".join(f"{oracle}: {', '.join(sorted(found))}" for oracle, found in self.differing) or "agreement"


class SameCause:
    """A predicate for the reducer: whether a candidate has the symptoms of the last one that had them, or fewer as said
    above. ``examine`` finds out what symptoms a case has; where cases may kill, in another process
    (:meth:`conformance.campaign.replay.Replayer.symptoms`)."""

    def __init__(self, examine: Callable[[Case], Symptoms]) -> None:
        self._examine = examine
        self._last: Symptoms | None = None
        self._strict = False

    def __call__(self, case: Case) -> bool:
        found = self._examine(case)
        if not found or (self._last is not None and not self._agree(self._last, found)):
            return False
        self._last, self._strict = found, len(pieces_of(case)) == 1
        return True

    def _agree(self, before: Symptoms, after: Symptoms) -> bool:
        if before.death or after.death:
            return before.death == after.death
        old, new = dict(before.differing), dict(after.differing)
        return (
            all(oracle in new and self._alike(each, new[oracle]) for oracle, each in old.items())
            # Who agreed must not disagree. Who was silent may: it can judge now.
            and new.keys() - before.silent <= old.keys()
        )

    def _alike(self, before: frozenset[str], after: frozenset[str]) -> bool:
        """Which flags differ does not count: that is chance."""
        one, other = (
            {each.partition(" ")[0] if each.startswith("flags") else each for each in found}
            for found in (before, after)
        )
        if self._strict:
            return one == other
        return {each for each in one if each.startswith(_LASTING)} <= other <= one
