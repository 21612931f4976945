"""Pass 1, scan: decode guest code up to an unconditional transfer, a trap or a size limit (reference.translator.scan).

What an instruction becomes stands in its row already: :mod:`jit.tables` asked the specification for every row.
"""

from __future__ import annotations

from typing import Final

from jit.passes.decode import decode
from jit.passes.native import (
    compiled,
    fields_at,
    form_at,
    item_at,
    load_byte,
    load_half,
    load_signed_byte,
    load_signed_word,
)
from jit.passes.records import SHAPES, Context, Fields, Item, Status
from reference.layout import Reason
from reference.registers import MASK32, Segment
from reference.translator.scan import ENDS, MOST_BYTES, MOST_INSTRUCTIONS, Shape

(
    COPY, FOLD, JUMP, BRANCH, LOOP, CALL, JUMP_INDIRECT, CALL_INDIRECT, RETURN, TRAP, OVERFLOW, ASSIST, FALL,
) = (SHAPES.index(shape) for shape in (
    Shape.COPY, Shape.FOLD, Shape.JUMP, Shape.BRANCH, Shape.LOOP, Shape.CALL, Shape.JUMP_INDIRECT, Shape.CALL_INDIRECT,
    Shape.RETURN, Shape.TRAP, Shape.OVERFLOW, Shape.ASSIST, Shape.FALL,
))  # fmt: skip
#: A mask over shapes.
_ENDS: Final = sum(1 << SHAPES.index(shape) for shape in ENDS)

_DONE: Final = int(Status.DONE)
_GS: Final = int(Segment.GS)
_ASSIST_REASON: Final = int(Reason.ASSIST)


@compiled
def scan(context: Context, available: int, eip: int) -> int:
    """Make the items of the fragment at ``eip``; their number, or the negative of a status.

    A later instruction that cannot be translated ends the fragment; the error comes when it is reached.
    """
    fields = fields_at(context.fields, 0)
    count = position = 0
    while count < MOST_INSTRUCTIONS and position < MOST_BYTES:
        status = decode(context, fields, context.code + position, available - position)
        if status != _DONE:
            if count == 0:
                return -status
            break
        item = item_at(context.items, count)
        item.eip = (eip + position) & MASK32
        _take_over(context, item, fields)
        _classify(context, item, fields)
        count += 1
        position += fields.length
        if _ENDS >> item.shape & 1:
            return count
    item = item_at(context.items, count)
    item.eip = item.target = (eip + position) & MASK32
    item.length = item.copy_size = 0
    item.shape = FALL
    return count + 1


@compiled
def _take_over(context: Context, item: Item, f: Fields) -> None:
    """What later passes need of the instruction; above all the size of its copy, without prefixes that mean nothing."""
    form = form_at(context.forms, f.form)
    item.code = f.code
    item.length = f.length
    item.opcode_offset = f.opcode_offset
    item.modrm_offset = f.modrm_offset
    item.displacement_offset = f.displacement_offset
    item.displacement_size = f.displacement_size
    item.address_size = f.address_size
    item.folded = f.segment == _GS
    item.keep = 0
    item.copy_size = f.length
    if f.repeat:
        if (form.mandatory and form.only_repeat) or form.rep == 2:
            item.keep = f.repeat
        elif form.rep:
            item.keep = 0xF3  # REPNE on an instruction that compares nothing repeats just the same
        for i in range(f.opcode_offset):
            if load_byte(f.code, i) & 0xFE == 0xF2:
                item.copy_size -= 1
        if item.keep:
            item.copy_size += 1


@compiled
def _classify(context: Context, item: Item, f: Fields) -> None:
    """The template for one instruction."""
    form = form_at(context.forms, f.form)
    shape = int(form.shape)
    item.target = item.reason = item.reported = item.released = 0
    if f.segment == _GS:
        if context.gs_base < 0:
            # No thread pointer yet: the reference semantics raise the fault that a null selector means.
            item.shape, item.reason, item.reported = ASSIST, _ASSIST_REASON, item.eip
            return
        if form.copied:
            shape = FOLD
    miscopied = form.moves and f.repeat and f.address_size == 2  # see kind_under in the specification
    if miscopied or (form.approximate and context.reproducible):
        item.shape, item.reason, item.reported = ASSIST, _ASSIST_REASON, item.eip
        return
    item.shape = shape
    if shape in (JUMP, BRANCH, LOOP, CALL):
        item.target = (item.eip + f.length + _immediate(f)) & MASK32
    elif shape == RETURN:
        if f.immediate_size:
            item.released = load_half(f.code + f.immediate_offset, 0)
    elif shape in (TRAP, OVERFLOW, ASSIST):
        item.reason = form.reason
        if form.numbered:
            item.reason += load_byte(f.code, f.immediate_offset)
        item.reported = (item.eip + f.length) & MASK32 if form.reported_behind else item.eip


@compiled
def _immediate(f: Fields) -> int:
    """The distance of a relative branch: never 16 bits, which the decoder refuses."""
    address = f.code + f.immediate_offset
    return load_signed_byte(address, 0) if f.immediate_size == 1 else load_signed_word(address, 0)
