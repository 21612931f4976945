"""Passes over the code: fewer instructions, and simpler ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from conformance.case import DATA, LAYOUT, Case
from conformance.oracles.bench import INITIAL_FP
from conformance.reduce import encoding
from conformance.reduce.memory import contents, with_contents
from conformance.reduce.program import Piece, in_place_of, moved, pieces_of, rewritten, without
from conformance.reduce.search import Search
from conformance.reduce.size import HOMES
from conformance.reduce.trace import later, registers_at
from conformance.reduce.values import simplify
from reference.isa.instruction import File, Immediate, Instruction, Memory, Operand, Register
from reference.isa.lookup import FORMS
from reference.policy import Group, with_needs
from reference.registers import EIP, MASK32, Segment

_GS_PREFIX: Final = b"\x65"
_LINE: Final = 0x3F
#: Where an operand may be instead of in memory.
_FILES: Final = (File.GENERAL, File.MMX, File.XMM, File.YMM)


# -- fewer -----------------------------------------------------------------------------------------------------------


def drop_instructions(search: Search) -> None:
    """Leave out as many as possible."""
    search.without(pieces_of, without)


def skip_beginning(search: Search) -> None:
    """Begin later, with the state that the first instructions lead to; the later the better."""
    for steps in range(min(len(pieces_of(search.case)) - 1, 16), 0, -1):
        found = later(search.case, steps)
        if found is not None and any(map(search.attempt, in_place_of(search.case, found))):
            return


def drop_groups(search: Search) -> None:
    """Admit no more than the instructions need."""
    rows = [piece.row for piece in pieces_of(search.case) if piece.row is not None]
    needed = with_needs({Group.BASE}.union(*(FORMS[row].groups for row in rows)))
    if needed < search.case.groups:
        search.attempt(replace(search.case, groups=needed))


def move_home(search: Search) -> None:
    """Put the code where code usually is."""
    for home in HOMES:
        if search.case.eip != home and search.attempt(moved(search.case, home)):
            return


# -- simpler ---------------------------------------------------------------------------------------------------------


def simplify_instructions(search: Search) -> None:
    """Simplify each instruction by itself, the last one first: the others stay where they are then."""
    for index in reversed(range(len(pieces_of(search.case)))):
        for transform in (_drop_prefixes, _simplify_immediates, _simplify_address, _use_register, _lower_registers):
            pieces = pieces_of(search.case)
            if pieces[index].instruction is not None:
                transform(search, index)


def _attempt(search: Search, piece: Piece, raw: bytes, state: Case | None = None) -> bool:
    """Try other bytes for an instruction, with another state at the beginning if one is given."""
    return any(search.attempt(candidate) for candidate in rewritten(state or search.case, {piece.eip: raw}))


def _at(search: Search, index: int) -> tuple[Piece, Instruction]:
    piece = pieces_of(search.case)[index]
    assert piece.instruction is not None
    return piece, piece.instruction


def _drop_prefixes(search: Search, index: int) -> None:
    piece, instruction = _at(search, index)
    while any(_attempt(search, piece, raw) for raw in encoding.without_prefixes(instruction)):
        piece, instruction = _at(search, index)


def _simplify_immediates(search: Search, index: int) -> None:
    _, instruction = _at(search, index)
    if not any(isinstance(operand, Immediate) for operand in instruction.operands):
        return
    for offset, size in encoding.immediate_fields(instruction):

        def attempt(value: int, offset: int = offset, size: int = size) -> bool:
            piece, instruction = _at(search, index)
            return _attempt(search, piece, encoding.with_immediate(instruction, offset, size, value))

        at = instruction.immediate_offset + offset
        simplify(int.from_bytes(instruction.raw[at : at + size], "little"), 8 * size, attempt)


def _memory_operand(instruction: Instruction) -> Memory | None:
    """The operand in memory that ModRM names."""
    if instruction.modrm_offset < 0:
        return None
    return next((operand for operand in instruction.operands if isinstance(operand, Memory)), None)


def _simplify_address(search: Search, index: int) -> None:
    """The address as a number; else without an index, without a displacement, without a scale."""
    piece, instruction = _at(search, index)
    operand = _memory_operand(instruction)
    if operand is None or (operand.base is None and operand.index is None and operand.address_size == 4):
        return
    base, number, scale, displacement = operand.base, operand.index, operand.scale, operand.displacement
    if operand.index_file is not File.GENERAL:
        if base is not None:
            state = _with_register(search.case, base, search.case.words[base] + displacement)
            _attempt(search, piece, encoding.with_address(instruction, base, number, scale, 0, vsib=True), state)
            piece, instruction = _at(search, index)
        if scale > 1:
            _attempt(search, piece, encoding.with_address(instruction, base, number, 1, displacement, vsib=True))
        return
    words = registers_at(search.case).get(piece.eip, search.case.words)
    offset, address = _addresses(search.case, operand, words)
    if _attempt(search, piece, encoding.with_address(instruction, None, None, 1, address, drop=_GS_PREFIX)):
        return
    if _attempt(search, piece, encoding.with_address(instruction, None, None, 1, offset)) or base is None:
        return
    if number is not None and number != base:
        scaled = words[number] * scale
        state = _with_register(search.case, base, search.case.words[base] + scaled)
        _attempt(search, piece, encoding.with_address(instruction, base, None, 1, displacement), state)
        piece, instruction = _at(search, index)
    operand = _memory_operand(instruction)
    assert operand is not None
    if operand.displacement:
        state = _with_register(search.case, base, search.case.words[base] + displacement)
        raw = encoding.with_address(instruction, base, operand.index, operand.scale, 0)
        _attempt(search, piece, raw, state)


def _addresses(case: Case, operand: Memory, words: tuple[int, ...]) -> tuple[int, int]:
    """The offset that an operand names, and where that is in memory."""
    offset = operand.displacement
    if operand.base is not None:
        offset += words[operand.base]
    if operand.index is not None:
        offset += words[operand.index] * operand.scale
    offset &= 0xFFFF if operand.address_size == 2 else MASK32
    thread = case.gs_base if operand.segment is Segment.GS else None
    return offset, offset + (thread or 0) & MASK32


def _use_register(search: Search, index: int) -> None:
    """A register instead of memory, with what memory held."""
    piece, instruction = _at(search, index)
    operand = _memory_operand(instruction)
    if operand is None or operand.index_file is not File.GENERAL or not operand.size:
        return
    _, address = _addresses(search.case, operand, registers_at(search.case).get(piece.eip, search.case.words))
    if not any(start <= address and address + operand.size <= start + length for start, length, _ in LAYOUT):
        return
    value = int.from_bytes(search.case.before(address, address + operand.size), "little")
    for number in range(8):
        raw = encoding.with_register_for_memory(instruction, number, _GS_PREFIX)
        for file in _FILES:
            state = _with_operand(search.case, Register(file, number, operand.size), value)
            if state is not None and _attempt(search, piece, raw, state):
                return


def _lower_registers(search: Search, index: int) -> None:
    """Registers with low numbers, and what the others held in them."""
    piece, instruction = _at(search, index)
    while any(
        _attempt(search, piece, raw, state)
        for raw in encoding.with_lower_registers(instruction)
        for state in (_carried(search.case, instruction, raw), None)
    ):
        piece, instruction = _at(search, index)


def _carried(case: Case, instruction: Instruction, raw: bytes) -> Case | None:
    """The case with its registers' content in those that an instruction names when it is encoded like this."""
    found = next((piece.instruction for piece in pieces_of(replace(case, code=raw))), None)
    if found is None or found.row is not instruction.row:
        return None
    state: Case | None = case
    for old, new in zip(_registers(instruction), _registers(found), strict=False):
        if old != new and state is not None:
            state = _with_operand(state, new, _value(case, old))
    return state


def _registers(instruction: Instruction) -> Iterator[Register]:
    """All registers among the operands and in their addresses."""
    for operand in instruction.operands:
        if isinstance(operand, Register):
            yield operand
        elif isinstance(operand, Memory):
            for number, file, size in ((operand.base, File.GENERAL, 4), (operand.index, operand.index_file, 4)):
                if number is not None:
                    yield Register(file, number, size if file is File.GENERAL else 16 if file is File.XMM else 32)


# -- state that goes with an instruction -----------------------------------------------------------------------------


def _with_register(case: Case, number: int, value: int) -> Case:
    words = list(case.words)
    words[number] = value & MASK32
    return replace(case, words=tuple(words))


def _place(case: Case, register: Register) -> tuple[int, int] | None:
    """Where in the image a register is, and how many bytes of it are together; None for other registers."""
    if register.file is File.MMX:
        top = (case.fp or INITIAL_FP)[3] >> 3 & 7
        return 32 + 16 * (register.number - top & 7), 8
    return (160 + 16 * register.number, 16) if register.file in (File.XMM, File.YMM) else None


def _value(case: Case, register: Register) -> int:
    """What a register holds."""
    if register.file is File.GENERAL:
        high = register.size == 1 and register.number > 3
        word = case.words[register.number - 4 * high] >> 8 * high
        return word & (1 << 8 * register.size) - 1
    image, place = case.fp or INITIAL_FP, _place(case, register)
    if place is None:
        return 0
    start, length = place
    value = int.from_bytes(image[start : start + length], "little")
    if register.file is File.YMM:
        value |= int.from_bytes(image[start + 416 : start + 432], "little") << 128
    return value


def _with_operand(case: Case, register: Register, value: int) -> Case | None:
    """The case with a value in a register; None where it does not fit."""
    if register.file is File.GENERAL:
        if register.size > 4:
            return None
        high = register.size == 1 and register.number > 3
        number, shift = register.number - 4 * high, 8 * high
        mask = (1 << 8 * register.size) - 1 << shift
        return _with_register(case, number, case.words[number] & ~mask | value << shift & mask)
    place = _place(case, register)
    if place is None or case.fp is None or register.size > 8 * (1 + (place[1] > 8) + 2 * (register.file is File.YMM)):
        return None
    start, length = place
    image = bytearray(case.fp)
    content = value.to_bytes(32, "little")
    image[start : start + length] = content[:length]
    if register.file is File.YMM:
        image[start + 416 : start + 432] = content[16:]
    return replace(case, fp=bytes(image))


# -- places ----------------------------------------------------------------------------------------------------------


def move_data(search: Search) -> None:
    """Bring data to the beginning of its region, or to that of the first one; what points there follows. What cannot be at
    the very beginning may still be near, aligned as it is."""
    for start, length, _ in LAYOUT:
        used = [address for address in _used(search.case) if start <= address < start + length]
        if not used or start <= search.case.eip < start + length:
            continue
        distances = [min(used) - target for target in (DATA, start)]
        distances += [distance & ~_LINE for distance in distances]
        any(search.attempt(_shifted(search.case, start, start + length, -distance)) for distance in distances)


def _used(case: Case) -> Iterator[int]:
    """Addresses of data: what is filled, and what instructions name."""
    yield from contents(case)
    for piece in pieces_of(case):
        for operand in piece.instruction.operands if piece.instruction is not None else ():
            if _is_absolute(operand):
                assert isinstance(operand, Memory)
                yield operand.displacement


def _is_absolute(operand: Operand) -> bool:
    return isinstance(operand, Memory) and operand.base is None and operand.index is None and operand.address_size == 4


def _shifted(case: Case, start: int, end: int, distance: int) -> Case | None:
    """The case with everything from one address to another somewhere else."""

    def shift(address: int) -> int:
        return address + distance & MASK32 if start <= address < end else address

    changes: dict[int, bytes] = {}
    for piece in pieces_of(case):
        instruction = piece.instruction
        if instruction is not None and instruction.displacement_size == 4:
            at = instruction.displacement_offset
            address = int.from_bytes(piece.raw[at : at + 4], "little")
            changes[piece.eip] = piece.raw[:at] + shift(address).to_bytes(4, "little") + piece.raw[at + 4 :]
    words = tuple(word if i == EIP else shift(word) for i, word in enumerate(case.words))
    content = {shift(address): byte for address, byte in contents(case).items()}
    found = rewritten(with_contents(replace(case, words=words), content), changes)
    return found[0] if found else None
