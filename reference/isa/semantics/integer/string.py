"""String instructions: MOVS STOS LODS SCAS CMPS, alone and repeated (SDM volume 2, REP).

Addresses are DS:ESI (or another segment's) and ES:EDI, and step up or down by the operand size as DF says; with 16-bit
addressing SI, DI and CX take the places of ESI, EDI and ECX. A repetition that faults or is interrupted has completed the
iterations that ESI, EDI, ECX and the flags show, and EIP is still at the instruction, so that it can go on.

A repetition that goes up through memory does so in runs of elements that touch one page of each side only. What holds
for a run holds for each of its elements, so its access is checked, and done, at once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from reference.flags import DF, ZF
from reference.isa.semantics.integer.status import after_subtract
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.memory import PAGE
from reference.registers import EAX, ECX, EDI, EFLAGS, ESI, MASK32, Segment
from reference.traps import Access

_REPNE: Final = 0xF2
_FORMATS: Final = {1: "B", 2: "H", 4: "I"}
#: What one iteration does, given the offsets from ESI and EDI.
Step = Callable[[int, int], None]
#: Does several iterations from these offsets on, at most so many, and tells how many; None where it must be one by one.
Run = Callable[[int, int, int], int | None]


def _source_segment(op: Operation) -> Segment:
    """The segment that ESI is in: DS, or an override. EDI's is always ES."""
    return op.instruction.segment if op.instruction.segment is not None else Segment.DS


def _repeat(
    m: Machine,
    op: Operation,
    step: Step,
    *,
    moves_si: bool = False,
    moves_di: bool = False,
    until: bool = False,
    run: Run | None = None,
) -> int:
    """Do ``step`` as often as the prefix asks, and move the index registers after each time.

    ``until``: REPE ends when ZF is off, REPNE when it is on.
    """
    words = m.words
    mask = MASK32 if op.instruction.address_size == 4 else 0xFFFF
    delta = -op.size if words[EFLAGS] & DF else op.size

    def advance(distance: int) -> None:
        for moves, register in ((moves_si, ESI), (moves_di, EDI)):
            if moves:
                words[register] = words[register] & ~mask | words[register] + distance & mask

    if not op.instruction.rep:
        step(words[ESI] & mask, words[EDI] & mask)
        advance(delta)
        return op.next

    wanted = 0 if op.instruction.rep == _REPNE else ZF
    in_runs = run is not None and delta > 0 and mask == MASK32
    while count := words[ECX] & mask:
        if m.interrupted:
            m.take_interrupt(op.eip)
        done = run(words[ESI], words[EDI], count) if run is not None and in_runs else None
        if done is None:
            step(words[ESI] & mask, words[EDI] & mask)
            done = 1
        advance(done * delta)
        words[ECX] = words[ECX] & ~mask | count - done
        if until and words[EFLAGS] & ZF != wanted:
            break
    return op.next


def _run_length(m: Machine, segment: Segment, offset: int, size: int, access: Access) -> tuple[int, int]:
    """How many elements from ``segment:offset`` on are on its page and within a constant window; and their address."""
    base, last = m.segments.window(segment, access)
    linear = offset + base & MASK32
    return min(PAGE - linear % PAGE, last + 1 - offset) // size, linear


@semantics("movs")
def movs(m: Machine, op: Operation) -> int:
    """[EDI] becomes [ESI]."""
    source, size = _source_segment(op), op.size

    def step(si: int, di: int) -> None:
        m.store(Segment.ES, di, size, m.load(source, si, size))

    def run(si: int, di: int, count: int) -> int | None:
        from_count, from_linear = _run_length(m, source, si, size, Access.READ)
        to_count, to_linear = _run_length(m, Segment.ES, di, size, Access.WRITE)
        count = min(count, from_count, to_count)
        distance = to_linear - from_linear
        if 0 < distance < count * size:  # the first elements stored are among the later ones loaded
            count = distance // size
        if count < 2:
            return None
        m.memory.write(to_linear, m.memory.read(from_linear, count * size))
        return count

    return _repeat(m, op, step, moves_si=True, moves_di=True, run=run)


@semantics("stos")
def stos(m: Machine, op: Operation) -> int:
    """[EDI] becomes the accumulator."""
    size, value = op.size, op.source()

    def step(si: int, di: int) -> None:
        m.store(Segment.ES, di, size, value)

    def run(si: int, di: int, count: int) -> int | None:
        to_count, to_linear = _run_length(m, Segment.ES, di, size, Access.WRITE)
        count = min(count, to_count)
        if count < 2:
            return None
        m.memory.write(to_linear, value.to_bytes(size, "little") * count)
        return count

    return _repeat(m, op, step, moves_di=True, run=run)


@semantics("lods")
def lods(m: Machine, op: Operation) -> int:
    """The accumulator becomes [ESI]."""
    source, size = _source_segment(op), op.size

    def step(si: int, di: int) -> None:
        op.store(m.load(source, si, size))

    return _repeat(m, op, step, moves_si=True)


def _elements(data: bytes, size: int) -> tuple[int, ...]:
    """A run's bytes as numbers."""
    return struct.unpack(f"<{len(data) // size}{_FORMATS[size]}", data)


@semantics("scas")
def scas(m: Machine, op: Operation) -> int:
    """Compare the accumulator with [EDI]."""
    size, words = op.size, m.words
    accumulator = words[EAX] & op.mask
    until_equal = op.instruction.rep == _REPNE

    def compare(value: int) -> None:
        difference = accumulator - value
        words[EFLAGS] = after_subtract(words[EFLAGS], accumulator, value, difference, op.mask, op.sign)

    def step(si: int, di: int) -> None:
        compare(m.load(Segment.ES, di, size))

    def run(si: int, di: int, count: int) -> int | None:
        most, linear = _run_length(m, Segment.ES, di, size, Access.READ)
        count = min(count, most)
        if count < 2:
            return None
        values = _elements(m.memory.read(linear, count * size), size)
        ends = (i for i in range(count) if (accumulator == values[i]) == until_equal)
        end = next(ends, count - 1)
        compare(values[end])
        return end + 1

    return _repeat(m, op, step, moves_di=True, until=True, run=run)


@semantics("cmps")
def cmps(m: Machine, op: Operation) -> int:
    """Compare [ESI] with [EDI]. [EDI] is read first, which shows where both would fault."""
    source, size, words = _source_segment(op), op.size, m.words
    until_equal = op.instruction.rep == _REPNE

    def compare(first: int, second: int) -> None:
        words[EFLAGS] = after_subtract(words[EFLAGS], first, second, first - second, op.mask, op.sign)

    def step(si: int, di: int) -> None:
        second = m.load(Segment.ES, di, size)
        compare(m.load(source, si, size), second)

    def run(si: int, di: int, count: int) -> int | None:
        first_most, first_linear = _run_length(m, source, si, size, Access.READ)
        second_most, second_linear = _run_length(m, Segment.ES, di, size, Access.READ)
        count = min(count, first_most, second_most)
        if count < 2:
            return None
        seconds = _elements(m.memory.read(second_linear, count * size), size)
        firsts = _elements(m.memory.read(first_linear, count * size), size)
        ends = (i for i in range(count) if (firsts[i] == seconds[i]) == until_equal)
        end = next(ends, count - 1)
        compare(firsts[end], seconds[end])
        return end + 1

    return _repeat(m, op, step, moves_si=True, moves_di=True, until=True, run=run)
