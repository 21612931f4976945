"""Oracles: whatever can say what a case leads to.

reference    the executable specification
translated   the specification's translator on the modelled processor
jit          translated code on the real processor
processor    the case's own bytes on the real processor: no translator in between
unicorn      QEMU's processor model, of which nothing is in this project

oracle = open_oracle("jit")
if oracle.cannot_judge(case) is None:
    outcome = oracle.run(case)
oracle.close()
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from conformance.case import Case
from conformance.outcome import Outcome
from vx32py import _engines
from vx32py._errors import UnsupportedHost

if TYPE_CHECKING:
    from conformance.oracles.bench import Bench

NAMES: Final = ("reference", "translated", "jit", "processor", "unicorn")


class CannotJudge(Exception):
    """Raised by :meth:`Oracle.run` where it turns out only then that the oracle has nothing to say. The message says
    why."""


class Oracle(Protocol):
    """Runs cases, one after the other; each as if it were the first."""

    name: str

    def cannot_judge(self, case: Case) -> str | None:
        """Why the oracle has nothing to say about a case, in words that are the same for cases of a kind; or None."""

    def run(self, case: Case) -> Outcome:
        """What the case leads to. Raises CannotJudge."""

    def close(self) -> None:
        """Give back everything. Closing twice is fine."""


@runtime_checkable
class Reconciling(Oracle, Protocol):
    """An oracle with defects that are known and explained."""

    def reconcile(self, case: Case, own: Outcome, other: Outcome) -> Outcome:
        """Its own outcome, with the parts that it is known to get wrong taken from the other oracle's."""


@runtime_checkable
class Benched(Oracle, Protocol):
    """An oracle with a bench, for those who run many cases with the same code: what it cannot judge, it can judge in none
    of them."""

    def bench_for(self, case: Case) -> Bench:
        """The bench for a case's policy and thread pointer, with its code in place."""


def available(name: str) -> str | None:
    """None where this host has the oracle, else the reason why not. Raises ValueError for a name that is none."""
    if name not in NAMES:
        raise ValueError(f"oracle must be one of {', '.join(NAMES)}, not {name!r}")
    if name == "unicorn":
        found = importlib.util.find_spec("unicorn")
        return None if found is not None else "unicorn is not installed (pip install 'vx32py[fuzz]')"
    return _engines.unavailable("jit" if name == "processor" else name)


def open_oracle(name: str) -> Oracle:
    """The oracle of that name. Raises ValueError for a name that is none, UnsupportedHost where it cannot be had."""
    reason = available(name)
    if reason is not None:
        raise UnsupportedHost(f"the {name} oracle cannot run here: {reason}")
    if name == "unicorn":
        from conformance.oracles.unicorn import UnicornOracle

        return UnicornOracle()
    if name == "processor":
        from conformance.oracles.processor import ProcessorOracle

        return ProcessorOracle()
    from conformance.oracles.engines import EngineOracle

    return EngineOracle(name)
