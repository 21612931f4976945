"""Forms: from a function of vectors to instructions that name registers and memory.

Most vector instructions compute their destination from one or two sources, and perhaps an immediate or a mask register
that controls how. MMX and SSE encodings name the destination once, and it is the first source too; VEX encodings name it
and both sources (SDM volume 1, section 14.1.2). The operation is the same, so it is written once, as a function of
integers, and registered by one of these decorators under the names of all its encodings:

    one_source              DEST = f(SRC, size)
    one_source_control      DEST = f(SRC, control, size)
    two_sources             DEST = f(SRC1, SRC2, size)
    two_sources_control     DEST = f(SRC1, SRC2, control, size)

``size`` is that of the destination in bytes: 8 for MMX, 16 or 32. A source may have more bytes, or less in memory; what
stands above the bytes that the instruction reads must not matter to the function. No flag changes.
"""

from __future__ import annotations

from collections.abc import Callable

from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics

Unary = Callable[[int, int], int]
Binary = Callable[[int, int, int], int]
Ternary = Callable[[int, int, int, int], int]


def one_source(*mnemonics: str) -> Callable[[Unary], Unary]:
    """Instructions whose operands are a destination and a source, with VEX and without."""

    def register(function: Unary) -> Unary:
        def run(m: Machine, op: Operation) -> int:
            op.store(function(op.source(), op.size))
            return op.next

        semantics(*mnemonics)(run)
        return function

    return register


def one_source_control(*mnemonics: str) -> Callable[[Binary], Binary]:
    """Instructions whose operands are a destination, a source and a control, with VEX and without."""

    def register(function: Binary) -> Binary:
        def run(m: Machine, op: Operation) -> int:
            op.store(function(op.source(), op.third(), op.size))
            return op.next

        semantics(*mnemonics)(run)
        return function

    return register


def two_sources(*mnemonics: str) -> Callable[[Binary], Binary]:
    """Instructions of which the first source is the destination, unless VEX names another."""

    def register(function: Binary) -> Binary:
        def run(m: Machine, op: Operation) -> int:
            op.store(function(*op.two_sources(), op.size))
            return op.next

        semantics(*mnemonics)(run)
        return function

    return register


def two_sources_control(*mnemonics: str) -> Callable[[Ternary], Ternary]:
    """Likewise, with a control behind the sources: an immediate, a register in an immediate, or XMM0."""

    def register(function: Ternary) -> Ternary:
        def run(m: Machine, op: Operation) -> int:
            op.store(function(*op.two_sources(), op.control(), op.size))
            return op.next

        semantics(*mnemonics)(run)
        return function

    return register
