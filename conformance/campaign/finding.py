"""What a shard comes back with, and when two divergences have one cause.

A campaign that finds one defect finds it thousands of times. So divergences are kept by :class:`Cause`: the row of the
instruction table, the oracles, and the kinds of difference. Each cause keeps one case, the first in the order of shards
and numbers, and a count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from reference.registers import GENERAL_NAMES

_TRAPS: Final = re.compile(r"trap: (none|0x[0-9a-f]+)\b.*? or (none|0x[0-9a-f]+)\b")
_FLAGS: Final = re.compile(r"flags: ([A-Z-]+) or ([A-Z-]+)")
#: Registers that are alike, whatever their number.
_CLASSES: Final = {
    **dict.fromkeys((name for name in GENERAL_NAMES if name != "esp"), "register"),
    **{f"{name}{i}": name for name in ("st", "xmm") for i in range(8)},
    **{f"ymm{i} high": "ymm" for i in range(8)},
}
_NUMBERS: Final = re.compile(r"0x[0-9a-f]+|\d+")


def kinds(found: Sequence[str]) -> str:
    """The kinds of difference in what :func:`conformance.outcome.differences` says, without the values.

    Flags are named where nothing else differs; behind a wrong result, which of them differ is chance.

    >>> kinds(["flags: ZC or C (compared OSZAPC)"])
    'flags Z'
    >>> kinds(["xmm3: 00ff or 00fe", "xmm5: 00 or 01", "trap: none or 0x6 at 0x00100800 (vector 6)"])
    'trap none or 0x6, xmm'
    """
    names: dict[str, None] = {}
    for text in found:
        name = text.partition(":")[0]
        if match := _TRAPS.match(text):
            names[f"trap {match[1]} or {match[2]}"] = None
        elif name.startswith(("memory at", "code at")):
            names[name.partition(" ")[0]] = None
        elif match := _FLAGS.match(text):
            changed = "".join(letter for letter in "OSZAPCD" if (letter in match[1]) != (letter in match[2]))
            names[f"flags {changed}" if len(found) == 1 else "flags"] = None
        elif name == "failure":
            names[_NUMBERS.sub("#", text)] = None
        elif name == "killed the process" or name.startswith("raised"):
            names[text.partition(" (")[0]] = None
        else:
            names[_CLASSES.get(name, name)] = None
    return ", ".join(sorted(names))


@dataclass(frozen=True, slots=True, order=True)
class Cause:
    """What divergences have in common. ``row`` is -1 where a case was not made from one row of the instruction table;
    ``subject`` is its mnemonic, or the case's label. ``oracles`` are those that disagree, or that died."""

    row: int
    subject: str
    oracles: str
    kinds: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.kinds} ({self.oracles})"


@dataclass(frozen=True, slots=True)
class Finding:
    """A divergence: its cause, and the first case of it. ``found`` are the differences in words, ``text`` is the case
    file, and ``count`` says how many cases have this cause. ``number`` is the case's number in its shard."""

    cause: Cause
    shard: int
    number: int
    label: str
    found: tuple[str, ...]
    text: str
    count: int = 1


@dataclass(slots=True)
class ShardReport:
    """What became of a shard.

    ``judged`` counts cases by oracle and row of the instruction table. ``unjudged`` counts those that an oracle could not
    judge, by reason, and ``reasons`` has one for each row. ``seconds`` is the time in each oracle, ``generating`` that
    of making the cases, ``elapsed`` all of it. ``killed`` counts the cases that ended their process; ``lost`` counts
    processes that died without a case to blame: killed from outside, or out of memory for a moment.
    """

    cases: int = 0
    judged: dict[str, dict[int, int]] = field(default_factory=dict)
    unjudged: dict[str, dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, dict[int, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    generating: float = 0.0
    elapsed: float = 0.0
    killed: int = 0
    lost: int = 0

    def add(self, finding: Finding) -> None:
        """Take in a finding; of several with one cause, the one with the lowest number is kept."""
        for i, other in enumerate(self.findings):
            if other.cause == finding.cause:
                first = min(other, finding, key=lambda each: each.number)
                self.findings[i] = replace(first, count=other.count + finding.count)
                return
        self.findings.append(finding)
