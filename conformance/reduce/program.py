"""The code of a case as pieces: instructions, and single bytes where there are none.

Pieces can be left out, or replaced by others. Branches among them then lead where they led, and addresses within the code,
in displacements and immediates of 32 bits, follow what they named: code that modifies itself still does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate

from conformance import undefined
from conformance.case import CODE, CODE_END, LOW, MUTABLE, MUTABLE_END, Case
from conformance.encodings import DOUBLE_SHIFTS
from conformance.listing import policy_of
from reference.isa.decode import MAX_LENGTH, decode
from reference.isa.instruction import DecodeError, Immediate, Instruction, Operand, Relative
from reference.memory import PAGE
from reference.policy import Policy
from reference.registers import ECX, EIP, MASK32


@dataclass(frozen=True, slots=True)
class Piece:
    """An instruction, or a byte that none begins with. ``eip`` may be beyond 4 GiB, where code goes on at the bottom."""

    eip: int
    raw: bytes
    instruction: Instruction | None

    @property
    def row(self) -> int | None:
        """The row of the instruction table."""
        return None if self.instruction is None else self.instruction.row.index


def pieces_of(case: Case) -> tuple[Piece, ...]:
    """The code from beginning to end."""
    return _pieces(case.code, case.eip, policy_of(case))


@lru_cache(maxsize=256)
def _pieces(code: bytes, eip: int, policy: Policy) -> tuple[Piece, ...]:
    found: list[Piece] = []
    position = 0
    while position < len(code):
        try:
            instruction = decode(code[position : position + MAX_LENGTH], eip + position & MASK32, policy)
            piece = Piece(eip + position, instruction.raw, instruction)
        except DecodeError:
            piece = Piece(eip + position, code[position : position + 1], None)
        found.append(piece)
        position += len(piece.raw)
    return tuple(found)


# -- other code ------------------------------------------------------------------------------------------------------


def without(case: Case, gone: Sequence[Piece]) -> list[Case]:
    """The case without some pieces, in more than one way: see :func:`rewritten`."""
    return rewritten(case, {piece.eip: b"" for piece in gone})


def rewritten(case: Case, changes: Mapping[int, bytes]) -> list[Case]:
    """The case with other bytes instead of the pieces that are at these addresses.

    Alignment may matter to what diverges, and where a page ends. So there are several: either what precedes has moved,
    or what follows; and code across two pages that can be written is also put across them in all other ways.
    """
    pieces = pieces_of(case)
    length = sum(len(changes.get(piece.eip, piece.raw)) for piece in pieces)
    made = (_laid_out(case, pieces, changes, start, length) for start in _starts(case, length))
    return [candidate for candidate in made if candidate is not None]


def moved(case: Case, start: int) -> Case | None:
    """The case with its code elsewhere."""
    return _laid_out(case, pieces_of(case), {}, start, len(case.code))


def in_place_of(case: Case, shorter: Case) -> list[Case]:
    """Another case in all the places that :func:`rewritten` would put it in if it was made from the first."""
    made = (moved(shorter, start) for start in _starts(case, len(shorter.code)))
    return [candidate for candidate in made if candidate is not None]


def _starts(case: Case, length: int) -> list[int]:
    end = case.eip + len(case.code)
    found = [end - length, case.eip]
    if case.eip < MUTABLE + PAGE < end:
        found += range(MUTABLE + PAGE - 1, MUTABLE + PAGE - length, -1)
    return list(dict.fromkeys(found))


def _laid_out(
    case: Case, pieces: Sequence[Piece], changes: Mapping[int, bytes], start: int, length: int
) -> Case | None:
    """The pieces from ``start`` on, with other bytes for those whose addresses ``changes`` names; None where a branch does
    not reach, or the code would not be on a page for code."""
    if _is_code(case.eip, 0) and not _is_code(start, length):
        return None
    layout = _Layout(pieces, [changes.get(piece.eip, piece.raw) for piece in pieces], start)
    code = b""
    for piece, raw in zip(pieces, layout.raws, strict=True):
        instruction = piece.instruction if raw == piece.raw else _decoded(raw, piece.eip, policy_of(case))
        linked = raw if instruction is None else layout.link(piece, instruction, start + len(code))
        if linked is None:
            return None
        code += linked
    words = list(case.words)
    words[EIP] = start & MASK32
    return replace(case, code=code, words=tuple(words))


def _is_code(start: int, length: int) -> bool:
    return any(low <= start and start + length <= high for low, high in ((CODE, CODE_END), (MUTABLE, MUTABLE_END)))


class _Layout:
    """Where pieces were, and where they are when each of them has other bytes."""

    def __init__(self, pieces: Sequence[Piece], raws: Sequence[bytes], start: int) -> None:
        self.raws = raws
        self._old = [*(piece.eip for piece in pieces), *(piece.eip + len(piece.raw) for piece in pieces[-1:])]
        self._new = [start, *(start + length for length in accumulate(map(len, raws)))]

    def follow(self, address: int) -> int:
        """Where something is that was at an address; the same place, unless that was in the code."""
        unwrapped = address if address >= self._old[0] else address + MASK32 + 1
        if unwrapped > self._old[-1]:
            return address
        which = bisect_right(self._old, unwrapped) - 1
        inside = len(self.raws[which]) if which < len(self.raws) else 0
        return self._new[which] + min(unwrapped - self._old[which], inside) & MASK32

    def link(self, piece: Piece, instruction: Instruction, here: int) -> bytes | None:
        """The bytes of an instruction that stands for a piece and is ``here`` now. It leads where the piece led; None where
        that is too far."""
        raw = instruction.raw
        if isinstance(target := _target(piece), Relative):
            size = instruction.immediate_size
            distance = self.follow(target.target) - (here + len(raw)) & MASK32
            signed = (distance ^ 1 << 31) - (1 << 31)
            if not -(1 << 8 * size - 1) <= signed < 1 << 8 * size - 1:
                return None
            return raw[:-size] + signed.to_bytes(size, "little", signed=True)
        code = bytearray(raw)
        for offset, size in (
            (instruction.displacement_offset, instruction.displacement_size),
            (instruction.immediate_offset, instruction.immediate_size),
        ):
            if size == 4:
                address = self.follow(int.from_bytes(code[offset : offset + 4], "little"))
                code[offset : offset + 4] = address.to_bytes(4, "little")
        return bytes(code)


def _target(piece: Piece) -> Operand | None:
    operands = piece.instruction.operands if piece.instruction is not None else ()
    return operands[-1] if operands else None


def _decoded(raw: bytes, eip: int, policy: Policy) -> Instruction | None:
    """The instruction that these bytes are, all of them."""
    try:
        found = decode(raw, eip, policy)
    except (DecodeError, IndexError):
        return None
    return found if found.length == len(raw) else None


# -- what goes with the code -----------------------------------------------------------------------------------------


def consistent(candidate: Case, original: Case, present: Case) -> Case | None:
    """A candidate with everything that follows from its code brought into line; None where it has other instructions than
    the present case (all of which are some), or does what the manual leaves undefined and the present one does not."""
    pieces, before = pieces_of(candidate), [piece.row for piece in pieces_of(present)]
    rows = [piece.row for piece in pieces if piece.row is not None]
    if None not in before and not _is_subsequence(rows, before):
        return None
    instructions = [piece.instruction for piece in pieces if piece.instruction is not None]
    if not _defined(candidate) and _defined(present):
        return None
    flags, status = _undefined(instructions, candidate.words)
    memory = candidate.memory
    if original.needs_low_memory and not candidate.needs_low_memory and any(i.address_size == 2 for i in instructions):
        # Those who have no low memory must go on saying so.
        memory = ((LOW, b"\0"), *memory)
    return replace(
        candidate,
        memory=memory,
        rows=tuple(dict.fromkeys(rows)) if original.rows else (),
        undefined=candidate.undefined | flags,
        undefined_fsw=candidate.undefined_fsw | status,
        repeats=any(each.rep for each in instructions),
    )


def exactly_undefined(case: Case) -> Case:
    """The case with nothing declared undefined but what its own instructions leave so."""
    flags, status = _undefined([each.instruction for each in pieces_of(case) if each.instruction], case.words)
    return replace(case, undefined=flags, undefined_fsw=status)


def _undefined(instructions: Sequence[Instruction], words: Sequence[int]) -> tuple[int, int]:
    """Flags, and bits of the x87 status word."""
    flags = status = 0
    for each in instructions:
        flags |= undefined.flags(each, words) if len(instructions) == 1 else each.row.undefined
        status |= undefined.status_word(each)
    return flags, status


def _defined(case: Case) -> bool:
    """Whether all results are: that of a double shift of 16 bits by more than those is not (SDM volume 2, SHLD)."""
    for piece in pieces_of(case):
        instruction = piece.instruction
        if instruction is not None and instruction.mnemonic in DOUBLE_SHIFTS and instruction.operand_size == 2:
            count = instruction.operands[-1]
            if (count.value if isinstance(count, Immediate) else case.words[ECX]) & 31 > 16:
                return False
    return True


def _is_subsequence(rows: Sequence[int], whole: Sequence[int | None]) -> bool:
    remaining = iter(whole)
    return all(row in remaining for row in rows)
