"""Pass 4, emit: write each template's bytes (reference.translator.emit, which lists the templates)."""

from __future__ import annotations

from typing import Final

from jit.passes.native import (
    compiled,
    hole_at,
    item_at,
    load_byte,
    load_signed_byte,
    load_signed_word,
    result_at,
    stencil_at,
    store_byte,
    store_word,
)
from jit.passes.place import (
    ADDRESS_PREFIX,
    BRANCH_NEAR,
    BRANCH_SHORT,
    DISPATCH,
    JUMP_NEAR,
    JUMP_SHORT,
    LANDING,
    LOOP_NEAR,
    LOOP_SHORT,
    METER,
    OVERFLOW_TRAP,
    POP_TARGET,
    PUSH_RETURN,
    RELEASE,
    SPILL,
    TRAMPOLINE,
    branch_end,
    for_table,
    leaves,
    size_of,
)
from jit.passes.place import TRAP as TRAP_STENCIL
from jit.passes.records import RESULT_WORDS, TRIPLE, Context, Item
from jit.passes.scan import (
    BRANCH,
    CALL,
    CALL_INDIRECT,
    COPY,
    FALL,
    FOLD,
    JUMP,
    JUMP_INDIRECT,
    LOOP,
    OVERFLOW,
    RETURN,
)
from jit.stencils import MOST_ARGUMENTS
from reference.layout import DIRECT_TABLE, HASHED_ENTRIES, HASHED_TABLE, SPILL_ECX, SPILL_EDX
from reference.registers import ECX, MASK32
from reference.translator.meter import METER_BORROWS

assert MOST_ARGUMENTS <= 3  # what _stamp takes

_GS_PREFIX: Final = 0x65
_CS_PREFIX, _DS_PREFIX = 0x2E, 0x3E


@compiled
def emit(context: Context, count: int, eip: int, offset: int, tail: int) -> None:
    """Write the fragment's code to ``context.output``, and what is to be known about it to ``context.result``."""
    base = context.output - offset  # plus a code offset: the address for it
    landings, exits, spans = 1, 0, count
    for i in range(count):
        item = item_at(context.items, i)
        landings += item.shape in (CALL, CALL_INDIRECT)
        exits += leaves(item)
    landing_words = context.result + 4 * RESULT_WORDS
    exit_words = landing_words + 4 * TRIPLE * landings
    span_words = exit_words + 4 * TRIPLE * exits

    here = _landing(context, base, offset, eip)
    landing_words = _triple(landing_words, eip, offset, here)
    for i in range(count):
        item = item_at(context.items, i)
        if item.charge:
            _stamp(context, base, item.offset, METER, -item.charge, 0, 0)
            span_words = _triple(span_words, item.offset, item.eip, item.offset + METER_BORROWS)
            spans += 1
        _template(context, base, item)
        here = item.offset + item.size
        span_words = _triple(span_words, item.template, item.eip, _borrowed(context, item))
        if item.shape in (CALL, CALL_INDIRECT):
            where = here - size_of(context, for_table(context, LANDING))
            landing_words = _triple(landing_words, (item.eip + item.length) & MASK32, where, here)
        if leaves(item):
            exit_words = _triple(exit_words, branch_end(context, item) - 4, item.target, item.trampoline)
    for i in range(count):
        if item_at(context.items, i).trampoline == here:
            here = _stamp(context, base, here, TRAMPOLINE, here, 0, 0)

    last = item_at(context.items, count - 1)
    result = result_at(context.result, 0)
    result.code_size = here - offset
    result.length = ((last.eip - eip) & MASK32) + last.length
    result.tail = tail
    result.landing_count = landings
    result.exit_count = exits
    result.span_count = spans


@compiled
def _triple(address: int, first: int, second: int, third: int) -> int:
    store_word(address, 0, first)
    store_word(address, 1, second)
    store_word(address, 2, third)
    return address + 4 * TRIPLE


@compiled
def _stamp(context: Context, base: int, here: int, number: int, first: int, second: int, third: int) -> int:
    """Write a stencil at code offset ``here``, its holes filled from three values; the offset behind it."""
    stencil = stencil_at(context.stencils, number)
    size = int(stencil.size)
    _copy(base + here, context.stencil_code + stencil.start, size)
    for i in range(stencil.hole_count):
        hole = hole_at(context.holes, stencil.first_hole + i)
        if hole.argument < 0:
            value = int(hole.stub)
        elif hole.argument == 0:
            value = first
        else:
            value = second if hole.argument == 1 else third
        where = here + hole.offset
        if hole.relative:
            value -= where + hole.size
        if hole.size == 1:
            store_byte(base + where, 0, value)
        else:
            store_word(base + where, 0, value)
    return here + size


@compiled
def _copy(destination: int, source: int, size: int) -> None:
    for i in range(size):
        store_byte(destination, i, load_byte(source, i))


@compiled
def _template(context: Context, base: int, item: Item) -> None:
    shape, here = item.shape, item.template
    if shape in (COPY, FOLD):
        _instruction(context, base + here, item)
    elif shape in (JUMP, FALL):
        _jump(context, base, here, item)
    elif shape == BRANCH:
        stencil = (BRANCH_SHORT if item.short else BRANCH_NEAR) + _condition(item)
        _stamp(context, base, here, stencil, _destination(context, item), 0, 0)
    elif shape == LOOP:
        if item.address_size == 2:
            here = _stamp(context, base, here, ADDRESS_PREFIX, 0, 0, 0)
        # E0 to E3: the two low bits say which.
        stencil = (LOOP_SHORT if item.short else LOOP_NEAR) + (load_byte(item.code, item.opcode_offset) & 3)
        _stamp(context, base, here, stencil, _destination(context, item), 0, 0)
    elif shape == CALL:
        here = _push_return(context, base, here, item)
        here = _jump(context, base, here, item)
        _landing(context, base, here, (item.eip + item.length) & MASK32)
    elif shape in (CALL_INDIRECT, JUMP_INDIRECT):
        here = _spill(context, base, here)
        here = _load_target(context, base, here, item)
        if shape == CALL_INDIRECT:
            here = _push_return(context, base, here, item)
        here = _dispatch(context, base, here)
        if shape == CALL_INDIRECT:
            _landing(context, base, here, (item.eip + item.length) & MASK32)
    elif shape == RETURN:
        here = _spill(context, base, here)
        here = _stamp(context, base, here, POP_TARGET, 0, 0, 0)
        if item.released:
            here = _stamp(context, base, here, RELEASE, item.released, 0, 0)
        _dispatch(context, base, here)
    else:
        stencil = OVERFLOW_TRAP if shape == OVERFLOW else TRAP_STENCIL
        _stamp(context, base, here, stencil, item.reported, item.reason, 0)


@compiled
def _destination(context: Context, item: Item) -> int:
    return item.trampoline if item.inside < 0 else item_at(context.items, item.inside).offset


@compiled
def _jump(context: Context, base: int, here: int, item: Item) -> int:
    stencil = JUMP_SHORT if item.short else JUMP_NEAR
    return _stamp(context, base, here, stencil, _destination(context, item), 0, 0)


@compiled
def _condition(item: Item) -> int:
    """The condition is the low half of the last opcode byte, in both the 8-bit and the 32-bit form."""
    opcode = load_byte(item.code, item.opcode_offset)
    if opcode == 0x0F:
        opcode = load_byte(item.code, item.opcode_offset + 1)
    return opcode & 0xF


@compiled
def _spill(context: Context, base: int, here: int) -> int:
    return _stamp(context, base, here, for_table(context, SPILL), 0, 0, 0)


@compiled
def _dispatch(context: Context, base: int, here: int) -> int:
    table = DIRECT_TABLE - 8 * context.window
    return _stamp(context, base, here, for_table(context, DISPATCH), table, 0, 0)


@compiled
def _push_return(context: Context, base: int, here: int, item: Item) -> int:
    where = context.origin + item.offset + item.size - size_of(context, for_table(context, LANDING))
    back = (item.eip + item.length) & MASK32
    slot = HASHED_TABLE + 4 * (back & (HASHED_ENTRIES - 1))
    return _stamp(context, base, here, for_table(context, PUSH_RETURN), back, slot, where)


@compiled
def _landing(context: Context, base: int, here: int, eip: int) -> int:
    give_back = SPILL_ECX - eip
    if context.window < 0:
        return _stamp(context, base, here, for_table(context, LANDING), SPILL_EDX - 8 * eip, give_back, 0)
    return _stamp(context, base, here, LANDING, give_back, 0, 0)


@compiled
def _borrowed(context: Context, item: Item) -> int:
    """In an indirect call the push can fault when ECX already holds the target."""
    if item.shape != CALL_INDIRECT:
        return 0
    behind = (
        size_of(context, for_table(context, PUSH_RETURN))
        + size_of(context, for_table(context, DISPATCH))
        + size_of(context, for_table(context, LANDING))
    )
    return item.offset + item.size - behind


@compiled
def _load_target(context: Context, base: int, here: int, item: Item) -> int:
    """``mov ecx, r/m`` with the operand of an indirect branch: opcode FF becomes 8B, the /digit becomes ECX."""
    end = _instruction(context, base + here, item)
    opcode = base + here + item.opcode_offset - (item.length - item.copy_size)
    store_byte(opcode, 0, 0x8B)
    store_byte(opcode, 1, load_byte(opcode, 1) & ~0x38 | ECX << 3)
    return end - base


@compiled
def _instruction(context: Context, address: int, item: Item) -> int:
    """The copy of an instruction, folded where its operand is GS-relative; the address behind it.

    The copy has one F2 or F3 where it means something and none where it does not. CS, on branch hints and no-operations,
    becomes DS; so does a GS whose base is folded into the displacement.
    """
    if item.keep:
        store_byte(address, 0, item.keep)
        address += 1
    for i in range(item.opcode_offset):
        byte = load_byte(item.code, i)
        if byte & 0xFE != 0xF2:
            store_byte(address, 0, _DS_PREFIX if byte in (_CS_PREFIX, _GS_PREFIX) else byte)
            address += 1
    if item.folded:
        return _fold(context, address, item)
    size = item.length - item.opcode_offset
    _copy(address, item.code + item.opcode_offset, size)
    return address + size


@compiled
def _fold(context: Context, address: int, item: Item) -> int:
    """The rest of an instruction behind its prefixes, its displacement widened and moved by the thread pointer's base."""
    size, where = item.displacement_size, item.displacement_offset
    displacement = context.gs_base
    if size == 0:
        modrm = load_byte(item.code, item.modrm_offset)
        where = item.modrm_offset + (2 if modrm & 7 == 4 else 1)  # behind ModRM, and SIB if there is one
    elif size == 1:
        displacement += load_signed_byte(item.code, where)
    else:
        displacement += load_signed_word(item.code + where, 0)
    head = where - item.opcode_offset
    _copy(address, item.code + item.opcode_offset, head)
    if item.modrm_offset >= 0 and size != 4:
        modrm_address = address + item.modrm_offset - item.opcode_offset
        # mod 2: a 32-bit displacement follows
        store_byte(modrm_address, 0, load_byte(modrm_address, 0) & 0x3F | 0x80)
    address += head
    store_word(address, 0, displacement)
    address += 4
    behind = where + size
    _copy(address, item.code + behind, item.length - behind)
    return address + item.length - behind
