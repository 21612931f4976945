"""The instruction table: every encoding that the translator knows, one line each.

The lines stand in :mod:`reference.isa.tables`, in the columns of Intel's manual and some more:

    opcode   mnemonic   operands   group   kind   prefixes   reads   writes   undefined

* *opcode*: Intel's notation (SDM volume 2, section 3.1.1.1); :mod:`reference.isa.encoding` reads it. Two blanks end it.
  Immediates are not repeated here, the operands have them.
* *operands*: Intel's operand codes; :mod:`reference.isa.operands` reads them. ``-`` where there are none.
* *group*: a :class:`~reference.policy.Group`. An encoding with VEX on vector registers needs ``avx`` besides, one with an
  x87 opcode (D8 to DF) ``x87``, and if it knows EFLAGS ``cmov``: CPUID reports FCMOV and FCOMI by both bits together.
* *kind*: what the translator does with it, a :class:`~reference.isa.instruction.Kind`.
* *prefixes*: ``lock`` where LOCK may stand before a memory destination, ``rep`` or ``repe`` on string instructions.
* *reads*, *writes*, *undefined*: letters of EFLAGS. What is undefined need not be repeated under *writes*.

``-`` means nothing; a line may end after the group, and is then a plain ``copy`` that touches no flag.

A write that depends on data stands under *reads* and under *writes*: a shift whose count may be zero, a string
comparison that REP may run zero times. Nobody who looks for dead flags then takes it for a full write. *Undefined* are the
flags that are undefined for some operands at least: OF after a shift by more than one, for instance.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from reference import flags
from reference.isa.instruction import Kind, Row
from reference.isa.tables import avx, integer, mmx, refused, sse, x87
from reference.policy import Group

_TABLES: Final = (integer.TABLE, refused.TABLE, x87.TABLE, mmx.TABLE, sse.TABLE, avx.TABLE)
_GROUPS: Final = {group.value: group for group in Group}
_KINDS: Final = {kind.value: kind for kind in Kind}
_PREFIXES: Final = {"-": (False, ""), "lock": (True, ""), "rep": (False, "rep"), "repe": (False, "repe")}
_DEFAULTS: Final = ("copy", "-", "-", "-", "-")


_flags: Final = cache(flags.parse)


@cache
def _operands(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


def read_table(text: str, first_index: int = 0) -> list[Row]:
    """The rows of a table's text. Raises ValueError for a line that does not follow the rules above.

    >>> read_table("00 /r  add  Eb,Gb  base  copy  lock  -  oszapc  -")[0].operands
    ('Eb', 'Gb')
    """
    rows: list[Row] = []
    for line in text.splitlines():
        if not line or line[0] == "#":
            continue
        opcode, _, rest = line.partition("  ")
        columns = rest.split()
        if len(columns) < 8:
            columns.extend(_DEFAULTS[len(columns) - 8 :] if len(columns) >= 3 else ())
        try:
            mnemonic, operands, group, kind, prefixes, reads, writes, undefined = columns
            lock, rep = _PREFIXES[prefixes]
            rows.append(
                Row(
                    first_index + len(rows),
                    opcode,
                    mnemonic,
                    _operands(operands),
                    _GROUPS[group],
                    _KINDS[kind],
                    _flags(reads),
                    _flags(writes) | _flags(undefined),
                    _flags(undefined),
                    lock,
                    rep,
                )
            )
        except (KeyError, ValueError) as error:
            raise ValueError(f"instruction table: {line!r}") from error
    return rows


def _read_all() -> tuple[Row, ...]:
    rows: list[Row] = []
    for text in _TABLES:
        rows += read_table(text, len(rows))
    return tuple(rows)


#: Every encoding; a row's ``index`` is its place.
ROWS: Final = _read_all()
