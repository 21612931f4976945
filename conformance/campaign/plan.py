"""What a campaign is: the kind of its cases, a seed, oracles, and the shards that all of it is cut into.

Results depend on the :class:`Plan` and on nothing else, neither on how many processes there are nor on their order: a
shard's cases come from the seed and the shard's number, and every group of oracles gets the same cases.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib import import_module
from typing import Final

from reference.isa.opcodes import ROWS
from reference.policy import Group

#: Kind of task → the module that makes and runs its cases.
KINDS: Final = {"isa": "conformance.isa", "translate": "conformance.translate"}
#: Oracles that are compared when nobody says which: as many of these groups as the host has, or else the fallback.
DEFAULT_ORACLES: Final = {
    "isa": (("reference", "jit"), ("reference", "unicorn")),
    "translate": (("reference", "jit"),),
}
FALLBACK_ORACLES: Final = {"isa": (("reference", "translated"),)}
_SHARD_CASES: Final = 500


@dataclass(frozen=True, slots=True)
class Shard:
    """Some cases for some oracles: the unit of work. ``group`` and ``number`` name it within its campaign.

    It has the cases from ``first`` up to and without ``end``. A whole shard begins with 0; the rest of one begins later,
    where a campaign ended in the middle of it and another goes on with more cases.
    """

    module: str
    kind: str
    seed: int
    group: int
    number: int
    first: int
    end: int
    oracles: tuple[str, ...]
    rows: frozenset[int] | None

    @property
    def name(self) -> str:
        """For messages and keys."""
        return f"{'-'.join(self.oracles)} {self.number}:{self.first}-{self.end}"


@dataclass(frozen=True, slots=True)
class Plan:
    """``oracles`` are groups of them; the first of a group is compared with each of the others. ``shard_cases`` is how
    many cases a shard has. ``rows`` are those of the instruction table that cases are made from; None means all."""

    kind: str
    seed: int
    oracles: tuple[tuple[str, ...], ...]
    shard_cases: int
    rows: frozenset[int] | None = None

    def shards(self, cases: int | None, done: Mapping[tuple[int, int], int] | None = None) -> Iterator[Shard]:
        """The shards with the first ``cases`` cases, without end if None.

        ``done`` says up to which case a (group, number) has been done before.
        """
        number = 0
        while cases is None or number * self.shard_cases < cases:
            end = self.shard_cases if cases is None else min(self.shard_cases, cases - number * self.shard_cases)
            for group, oracles in enumerate(self.oracles):
                first = done.get((group, number), 0) if done else 0
                if first < end:
                    yield Shard(KINDS[self.kind], self.kind, self.seed, group, number, first, end, oracles, self.rows)
            number += 1

    def covers(self, row: int, *, refused: bool) -> bool:
        """Whether there will be cases of a row of the instruction table: if it was asked for, and if anybody has more
        to say about it than that it is ``refused``. A translator has: it must refuse in the right words."""
        return (self.rows is None or row in self.rows) and not (refused and self.kind == "isa")

    def to_json(self) -> str:
        """For a store."""
        values = asdict(self)
        values["rows"] = None if self.rows is None else sorted(self.rows)
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """What :meth:`to_json` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        values = json.loads(text)
        return cls(
            str(values["kind"]),
            int(values["seed"]),
            tuple(tuple(str(name) for name in group) for group in values["oracles"]),
            int(values["shard_cases"]),
            None if values["rows"] is None else frozenset(int(row) for row in values["rows"]),
        )


def shard_cases(kind: str) -> int:
    """How many cases a shard has: what its generator thinks a good number, else enough for a second or two."""
    return int(getattr(import_module(KINDS[kind]), "SHARD_CASES", _SHARD_CASES))


def select_rows(groups: Collection[str], rows: Collection[str]) -> frozenset[int] | None:
    """The rows of some instruction groups, and some rows by mnemonic or number; None if neither is given.

    Raises ValueError for a name that is none.

    >>> sorted(ROWS[row].operands for row in select_rows((), ("bsf",)))
    [('Gv', 'Ev')]
    """
    if not groups and not rows:
        return None
    known = {group.value for group in Group}
    for group in groups:
        if group not in known:
            raise ValueError(f"no instruction group {group!r}: there are {', '.join(sorted(known))}")
    chosen = {row.index for row in ROWS if row.group.value in groups}
    for name in rows:
        named = {row.index for row in ROWS if name in (row.mnemonic, str(row.index))}
        if not named:
            raise ValueError(f"no instruction {name!r} in the table")
        chosen |= named
    return frozenset(chosen)


def table_fingerprint() -> str:
    """A digest of the instruction table: numbers of rows mean the same wherever it is equal."""
    lines = (f"{row.index} {row.opcode} {row.mnemonic} {row.operands} {row.group.value}" for row in ROWS)
    return sha256("\n".join(lines).encode()).hexdigest()[:16]
