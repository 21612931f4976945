"""The corpus: one case for every divergence that there has been, named after its cause.

    python -m conformance.corpus FILE NAME      add a case (a reduced one: vx32py fuzz reduce)
    python -m conformance.corpus FILE escape/CLASS/NAME     add a trick, with the outcome that FILE says it must have
    python -m conformance.corpus                judge all of them again, on every oracle

Each ``*.case`` (:mod:`conformance.case_file`) holds what the processor made of it, never what the specification did:
:func:`judged` asks the bare processor, or, where the case is not for it, the native engine. Tests run all cases on all
oracles.

Files called ``original-…`` are defects of the original vx32, by the paper's number; the others are our own, or places
where it was easy to be wrong. Of the original's, five are not about what code does and are no cases: system calls that
trust pointers (6), signal stacks (9), code that changes between two looks (10), vector registers that guests found in use
(13), and speed (14).

``escape`` has a folder for each class of trick that a hostile guest can try, and in it a case for each. What must become of
most of them is not the processor's to say, which would do as it is told, but a rule: refused at its own EIP with all before
it done, a trap for the host, a fault. Their origin says so. Two of the oracles know no such rules, and are not asked about
those (:data:`RULED`).
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
from vx32py import _engines

FOLDER: Final = Path(__file__).parent
SUFFIX: Final = ".case"
#: Who may say what a case leads to: the first of them that can.
JUDGES: Final = ("processor", "jit")
#: Where the tricks are, and the end of the origin of those whose outcome is a rule's.
ESCAPE: Final = FOLDER / "escape"
RULED: Final = "the outcome is the rule's"

#: Who rightly makes something else of a case, and why.
EXCEPTIONS: Final = {
    ("original-11-alignment-check-flag", "unicorn"): "a bare processor lets POPF set AC and TF; a guest's does not",
    ("escape/prefix/f2-and-f3-on-scas", "unicorn"): "of two repeat prefixes the last one counts, not F2",
}


class CannotJudge(Exception):
    """No judge can run the case here; the message says why."""


def files(folder: Path = FOLDER) -> Iterator[Path]:
    """The files of the corpus, or of a folder of it, by name."""
    return iter(sorted(folder.rglob(f"*{SUFFIX}")))


def name_of(path: Path) -> str:
    """What a file of the corpus is called: escape/far/iret."""
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def asked(case: Case, oracle: str) -> bool:
    """Whether an oracle has anything to do with a case: a rule's outcome concerns only who knows the rules."""
    return not case.origin.endswith(RULED) or oracle in _engines.NAMES


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
    return _write(name, *judged(case), folder)


def add_ruled(case: Case, expected: Outcome, name: str, folder: Path = FOLDER) -> Path:
    """Keep a case under a name, with an outcome that is a rule."""
    told = case.origin if case.origin.endswith(RULED) else f"{case.origin}; {RULED}".removeprefix("; ")
    return _write(name, replace(case, origin=told), expected, folder)


def _write(name: str, case: Case, expected: Outcome, folder: Path) -> Path:
    path = folder / f"{name}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(case_file.dumps(case, expected), encoding="utf-8")
    return path
