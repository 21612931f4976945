"""Comparison of floating-point values: CMP with its predicates, COMI and UCOMI, MIN and MAX."""

from __future__ import annotations

from typing import Final

from reference.flags import CF, PF, STATUS, ZF
from reference.floating import Format, compare
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import Semantics, semantics
from reference.isa.semantics.simd.form import PACKED, SCALAR, binary, packed, scalar
from reference.isa.semantics.simd.lane import QUIET, SIGNALLING, ZERO, Lane, Result, operand
from reference.isa.semantics.simd.mxcsr import DENORMAL, INVALID, Control, control, settle
from reference.registers import EFLAGS

#: How two values compare; the last if one is a NaN at least.
LESS, EQUAL, GREATER, UNORDERED = 1, 2, 4, 8


def _relation(form: Format, rule: Control, x: int, y: int) -> tuple[int, int]:
    """How two encodings compare, and the exceptions that this raises whoever asks."""
    a, b = operand(x, form, rule), operand(y, form, rule)
    if a.kind >= QUIET or b.kind >= QUIET:
        return UNORDERED, INVALID if a.kind is SIGNALLING or b.kind is SIGNALLING else 0
    order = compare(a, b)
    relation = LESS if order < 0 else GREATER if order else EQUAL
    return relation, DENORMAL if a.denormal or b.denormal else 0


# -- CMP ---------------------------------------------------------------------------------------------------------------

_QUIET, _SIGNALLING = False, True
#: The predicates by their number: the relations for which they hold, and whether a quiet NaN is invalid (SDM volume 2,
#: CMPPD, table 3-1). There are 16 more, which differ from these in the latter only.
_PREDICATES: Final = (
    (EQUAL, _QUIET),                                # EQ_OQ
    (LESS, _SIGNALLING),                            # LT_OS
    (LESS | EQUAL, _SIGNALLING),                    # LE_OS
    (UNORDERED, _QUIET),                            # UNORD_Q
    (LESS | GREATER | UNORDERED, _QUIET),           # NEQ_UQ
    (EQUAL | GREATER | UNORDERED, _SIGNALLING),     # NLT_US
    (GREATER | UNORDERED, _SIGNALLING),             # NLE_US
    (LESS | EQUAL | GREATER, _QUIET),               # ORD_Q
    (EQUAL | UNORDERED, _QUIET),                    # EQ_UQ
    (LESS | UNORDERED, _SIGNALLING),                # NGE_US
    (LESS | EQUAL | UNORDERED, _SIGNALLING),        # NGT_US
    (0, _QUIET),                                    # FALSE_OQ
    (LESS | GREATER, _QUIET),                       # NEQ_OQ
    (EQUAL | GREATER, _SIGNALLING),                 # GE_OS
    (GREATER, _SIGNALLING),                         # GT_OS
    (LESS | EQUAL | GREATER | UNORDERED, _QUIET),   # TRUE_UQ
)  # fmt: skip


def _predicate(relations: int, signalling: bool) -> Lane:
    """All ones where the predicate holds, else zeros."""

    def lane(form: Format, rule: Control, x: int, y: int) -> Result:
        relation, exceptions = _relation(form, rule, x, y)
        if signalling and relation == UNORDERED:
            exceptions = INVALID
        return (1 << form.bits) - 1 if relation & relations else 0, exceptions

    return lane


_LANES: Final = tuple(
    _predicate(relations, signalling is not flipped)
    for flipped in (False, True)
    for relations, signalling in _PREDICATES
)


def _lane(op: Operation) -> Lane:
    """What the immediate chooses: without VEX, one of the first eight."""
    return _LANES[op.control() & (31 if op.vex else 7)]


def _compare_packed(form: Format) -> Semantics:
    return lambda m, op: packed(m, op, form, (_lane(op),), *op.two_sources())


def _compare_scalar(form: Format) -> Semantics:
    def run(m: Machine, op: Operation) -> int:
        first, second = op.two_sources()
        return scalar(m, op, form, _lane(op), first, first, second)

    return run


for _suffix, _form in PACKED.items():
    semantics("cmp" + _suffix, "vcmp" + _suffix)(_compare_packed(_form))
for _suffix, _form in SCALAR.items():
    semantics("cmp" + _suffix, "vcmp" + _suffix)(_compare_scalar(_form))


# -- COMI, UCOMI -------------------------------------------------------------------------------------------------------

_FLAGS: Final = {LESS: CF, EQUAL: ZF, GREATER: 0, UNORDERED: ZF | PF | CF}


def _compare_to_flags(form: Format, signalling: bool) -> Semantics:
    """The relation to ZF, PF and CF; the other status flags are cleared."""
    mask = (1 << form.bits) - 1

    def run(m: Machine, op: Operation) -> int:
        relation, exceptions = _relation(form, control(m), op.load() & mask, op.source() & mask)
        if signalling and relation == UNORDERED:
            exceptions = INVALID
        settle(m, op, exceptions)
        m.words[EFLAGS] = m.words[EFLAGS] & ~STATUS | _FLAGS[relation]
        return op.next

    return run


for _suffix, _form in SCALAR.items():
    semantics("comi" + _suffix, "vcomi" + _suffix)(_compare_to_flags(_form, signalling=True))
    semantics("ucomi" + _suffix, "vucomi" + _suffix)(_compare_to_flags(_form, signalling=False))


# -- MIN, MAX ----------------------------------------------------------------------------------------------------------


def _extreme(wanted: int) -> Lane:
    """The first operand if it compares as wanted, else the second: also if they are equal, zeros of different signs
    included, or if one is a NaN, which is invalid then and not quieted."""

    def lane(form: Format, rule: Control, x: int, y: int) -> Result:
        relation, exceptions = _relation(form, rule, x, y)
        if relation == UNORDERED:
            exceptions = INVALID
        bits = x if relation == wanted else y
        chosen = operand(bits, form, rule)
        return form.zero(chosen.sign) if chosen.kind is ZERO else bits, exceptions

    return lane


binary("min", _extreme(LESS))
binary("max", _extreme(GREATER))
