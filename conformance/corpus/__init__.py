"""The corpus: one case for every divergence that there has been, named after its cause.

    python -m conformance.corpus FILE NAME      add a case (a reduced one: vx32py fuzz reduce)
    python -m conformance.corpus                judge all of them again, on every oracle

Each ``*.case`` (:mod:`conformance.case_file`) holds what the processor made of it, never what the specification did:
:func:`judged` asks the bare processor, or, where the case is not for it, the native engine. Tests run all cases on all
oracles.

Files called ``original-…`` are defects of the original vx32, by the paper's number; the others are our own, or places
where it was easy to be wrong. Of the original's, five are not about what code does and are no cases: system calls that
trust pointers (6), signal stacks (9), code that changes between two looks (10), vector registers that guests found in use
(13), and speed (14).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from conformance import case_file
from conformance.campaign.replay import Replayer
from conformance.case import Case
from conformance.outcome import FP_FIELDS, Outcome

FOLDER: Final = Path(__file__).parent
SUFFIX: Final = ".case"
#: Who may say what a case leads to: the first of them that can.
JUDGES: Final = ("processor", "jit")

#: Who rightly makes something else of a case, and why.
EXCEPTIONS: Final = {
    ("original-11-alignment-check-flag", "unicorn"): "a bare processor lets POPF set AC and TF; a guest's does not",
}


class CannotJudge(Exception):
    """No judge can run the case here; the message says why."""


def files() -> Iterator[Path]:
    """The files of the corpus, by name."""
    return iter(sorted(FOLDER.glob(f"*{SUFFIX}")))


def load(path: Path) -> tuple[Case, Outcome]:
    """A case and what it leads to. Raises CaseFileError, and ValueError where the outcome is missing."""
    case, expected = case_file.loads(path.read_text(encoding="utf-8"), path.name)
    if expected is None:
        raise ValueError(f"{path.name} does not say what to expect")
    return case, expected


def judged(case: Case) -> tuple[Case, Outcome]:
    """The case, its origin saying who judged it, and what the judge made of it. Raises CannotJudge."""
    reasons = []
    for judge in JUDGES:
        replayer = Replayer((judge,))
        try:
            (verdict,) = replayer.run(case)
        finally:
            replayer.close()
        if verdict.outcome is not None:
            told = case.origin.partition("; judged by ")[0]
            return replace(case, origin=f"{told}; judged by {judge}".removeprefix("; ")), _compared(
                case, verdict.outcome
            )
        reasons.append(f"{judge}: {verdict.silence or verdict.failure}")
    raise CannotJudge("; ".join(reasons))


def _compared(case: Case, outcome: Outcome) -> Outcome:
    """An outcome without changes to what is never compared: pointers and the header of the floating-point image."""
    if case.fp is None or outcome.fp is None:
        return outcome
    image = bytearray(case.fp)
    for _, start, length in FP_FIELDS:
        image[start : start + length] = outcome.fp[start : start + length]
    return replace(outcome, fp=bytes(image))


def add(case: Case, name: str, folder: Path = FOLDER) -> Path:
    """Keep a case under a name, with what the judge makes of it. Raises CannotJudge."""
    path = folder / f"{name}{SUFFIX}"
    path.write_text(case_file.dumps(*judged(case)), encoding="utf-8")
    return path
