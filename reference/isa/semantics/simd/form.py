"""Forms: from a lane to instructions on packed and scalar values, with VEX and without.

A scalar instruction computes the lowest lane; the others are those of its first source (SDM volume 1, figure 10-6). The
first source is the destination itself, unless VEX names another. Exceptions are settled before the result is stored.
"""

from __future__ import annotations

from itertools import cycle
from typing import Final

from reference.floating import DOUBLE, SINGLE, Format
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.packed.lanes import U16, U32, U64, Lanes
from reference.isa.semantics.registry import Semantics, semantics
from reference.isa.semantics.simd.lane import Lane, Result
from reference.isa.semantics.simd.mxcsr import Control, control, settle

#: Vectors by the width of a lane in bits.
LANES: Final[dict[int, Lanes]] = {16: U16, 32: U32, 64: U64}
#: How the names of instructions end.
PACKED: Final = {"ps": SINGLE, "pd": DOUBLE}
SCALAR: Final = {"ss": SINGLE, "sd": DOUBLE}


def across(lanes: tuple[Lane, ...], form: Format, rule: Control, size: int, *sources: int) -> Result:
    """All lanes of vectors of ``size`` bytes. Lanes of several kinds take turns, beginning with the lowest."""
    row = LANES[form.bits]
    results, exceptions = [], 0
    columns = zip(*(row.split(source, size) for source in sources), strict=True)
    for lane, encodings in zip(cycle(lanes), columns, strict=False):
        bits, raised = lane(form, rule, *encodings)
        results.append(bits)
        exceptions |= raised
    return row.join(results), exceptions


def packed(m: Machine, op: Operation, form: Format, lanes: tuple[Lane, ...], *sources: int) -> int:
    """Execute an instruction on all lanes of its sources."""
    result, exceptions = across(lanes, form, control(m), op.size, *sources)
    if exceptions:
        settle(m, op, exceptions)
    op.store(result)
    return op.next


def scalar(m: Machine, op: Operation, form: Format, lane: Lane, rest: int, *sources: int) -> int:
    """Execute an instruction on the lowest lanes of its sources; the other lanes become those of ``rest``."""
    mask = (1 << form.bits) - 1
    bits, exceptions = lane(form, control(m), *[source & mask for source in sources])
    if exceptions:
        settle(m, op, exceptions)
    op.store(rest & ~mask | bits)
    return op.next


def unary(name: str, lane: Lane, forms: tuple[str, ...] = ("ps", "pd", "ss", "sd")) -> None:
    """Define an operation on one source. The scalar instructions have a first source too, for its other lanes."""
    for suffix in forms:
        run = _packed_unary(PACKED[suffix], lane) if suffix in PACKED else _scalar_unary(SCALAR[suffix], lane)
        semantics(name + suffix, "v" + name + suffix)(run)


def _packed_unary(form: Format, lane: Lane) -> Semantics:
    return lambda m, op: packed(m, op, form, (lane,), op.source())


def _scalar_unary(form: Format, lane: Lane) -> Semantics:
    def run(m: Machine, op: Operation) -> int:
        first, second = op.two_sources()
        return scalar(m, op, form, lane, first, second)

    return run


def binary(name: str, lane: Lane) -> None:
    """Define an operation on two sources."""
    for suffix, form in PACKED.items():
        semantics(name + suffix, "v" + name + suffix)(packed_binary(form, lane))
    for suffix, form in SCALAR.items():
        semantics(name + suffix, "v" + name + suffix)(_scalar_binary(form, lane))


def packed_binary(form: Format, *lanes: Lane) -> Semantics:
    """An instruction on two sources whose lanes, if of several kinds, take turns."""
    return lambda m, op: packed(m, op, form, lanes, *op.two_sources())


def _scalar_binary(form: Format, lane: Lane) -> Semantics:
    def run(m: Machine, op: Operation) -> int:
        first, second = op.two_sources()
        return scalar(m, op, form, lane, first, first, second)

    return run
