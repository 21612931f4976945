"""The decoder: :mod:`reference.isa.decode` from compiled tables, as far as a translator needs it.

Same order, same names: prefixes, opcode and ModRM name the row; the row is admitted or refused; then comes the rest. What
the specification raises, this returns: a :class:`Status`. Operands are left out; a translator needs their places only.
"""

from __future__ import annotations

from typing import Final

from jit.passes.native import compiled, form_at, load_byte, load_signed_half
from jit.passes.records import Context, Fields, Form, Status
from reference.isa import decode as reference_decode
from reference.isa.encoding import NO_PREFIX, PREFIX_66, PREFIX_F2, PREFIX_F3, Space
from reference.isa.lookup import LEGACY_VARIANTS, SLOTS, VEX_VARIANTS, ImmediateRule
from reference.registers import EBP, Segment

MAX_LENGTH: Final = reference_decode.MAX_LENGTH

# Enumerations as plain integers: numba would carry the class along.
_DONE: Final = int(Status.DONE)
_INVALID: Final = int(Status.INVALID_OPCODE)
#: A byte beyond the end of the code: the specification's IndexError.
_SHORT: Final = int(Status.TRUNCATED_CODE)

_CS, _FS, _GS = int(Segment.CS), int(Segment.FS), int(Segment.GS)
_ONE_BYTE, _MAP_0F = int(Space.ONE_BYTE), int(Space.MAP_0F)
_MAP_0F38, _MAP_0F3A = int(Space.MAP_0F38), int(Space.MAP_0F3A)
_VEX_0F: Final = int(Space.VEX_0F)
_WORD_BYTE, _OFFSET = int(ImmediateRule.WORD_BYTE), int(ImmediateRule.OFFSET)
_NO_FORM: Final = -1


@compiled
def decode(context: Context, f: Fields, code: int, available: int) -> int:
    """Fill in ``f`` from the bytes at ``code``, of which ``available`` are there, and return a status."""
    f.code = code
    f.available = min(available, MAX_LENGTH)
    status = _read_opcode(context, f)
    if status == _DONE:
        form = form_at(context.forms, f.form)
        if not _admitted(context, f, form):
            return _INVALID
        status = _read_rest(f, form)
    if status == _SHORT and f.available == MAX_LENGTH:
        return _INVALID  # longer than an instruction can be
    return status


# -- bytes to fields -------------------------------------------------------------------------------------------------


@compiled
def _read_opcode(context: Context, f: Fields) -> int:
    f.operand_prefix = 0
    f.operand_size = f.address_size = 4
    f.lock = f.repeat = 0
    f.segment = f.barred = -1
    f.modrm = 0
    f.modrm_offset = -1
    f.third = f.vector_length = 0
    code, position = f.code, 0
    while True:
        if position >= f.available:
            return _SHORT
        byte = load_byte(code, position)
        if byte == 0x66:
            f.operand_prefix = 1
        elif byte == 0x67:
            f.address_size = 2
        elif byte == 0xF0:
            f.lock = 1
        elif byte in (0xF2, 0xF3):
            f.repeat = byte
        elif byte & 0xE7 == 0x26 or byte in (0x64, 0x65):
            if f.segment == _CS or f.segment >= _FS:
                f.barred = f.segment
            # 26, 2E, 36, 3E are ES, CS, SS, DS; 64 and 65 are FS and GS.
            f.segment = byte & 7 if byte >= 0x64 else byte >> 3 & 3
        else:
            break
        position += 1
    f.opcode_offset = position
    space = _ONE_BYTE
    plain = PREFIX_66 if f.operand_prefix else NO_PREFIX
    if byte in (0xC4, 0xC5):
        if position + 1 >= f.available:
            return _SHORT
        if load_byte(code, position + 1) >= 0xC0:
            space = _VEX_0F
    if space == _VEX_0F:
        status = _read_vex(f, position)
        if status < 0:
            return -status
        root = status
    else:
        if byte == 0x0F:
            position += 1
            if position >= f.available:
                return _SHORT
            byte = load_byte(code, position)
            space = _MAP_0F
            if byte in (0x38, 0x3A):
                space = _MAP_0F38 if byte == 0x38 else _MAP_0F3A
                position += 1
                if position >= f.available:
                    return _SHORT
                byte = load_byte(code, position)
        prefix_class = plain
        if f.repeat:
            prefix_class = PREFIX_F2 if f.repeat == 0xF2 else PREFIX_F3
        root = _root_of(space, prefix_class)
        f.opcode = byte
        f.position = position + 1
    if _needs_modrm(context, root, f.opcode):
        if f.position >= f.available:
            return _SHORT
        f.modrm = load_byte(code, f.position)
        f.modrm_offset = f.position
        f.position += 1
    number = _find(context, root, f.opcode, f.modrm)
    if f.repeat and number != _NO_FORM:
        form = form_at(context.forms, number)
        if form.mandatory and form.groups & ~context.groups:
            # TZCNT is BSF, LZCNT is BSR and so on where F3 means nothing, as on a processor without them.
            fallback = _find(context, _root_of(space, plain), f.opcode, f.modrm)
            if fallback != _NO_FORM and not form_at(context.forms, fallback).mandatory:
                number = fallback
    if number == _NO_FORM:
        return _INVALID
    if f.operand_prefix and not form_at(context.forms, number).only_66:
        f.operand_size = 2
    f.form = number
    return _DONE


@compiled
def _read_vex(f: Fields, position: int) -> int:
    """The root of the trie that a VEX prefix selects, or the negative of a status."""
    code = f.code
    first = load_byte(code, position + 1)
    if f.operand_prefix or f.repeat or f.lock:
        return -_INVALID
    if load_byte(code, position) == 0xC5:
        space, last, width = 1, first, 0
        position += 2
    else:
        if position + 2 >= f.available:
            return -_SHORT
        last = load_byte(code, position + 2)
        space = first & 0x1F
        if space < 1 or space > 3:
            return -_INVALID
        if not first & 0x20 or not last & 0x40:
            return -_INVALID  # a register above 7
        width = last >> 7
        position += 3
    f.third = ~last >> 3 & 7
    long = last >> 2 & 1
    f.vector_length = 32 if long else 16
    if position >= f.available:
        return -_SHORT
    f.opcode = load_byte(code, position)
    f.position = position + 1
    return _root_of(_VEX_0F + space - 1, last & 3 | width << 2 | long << 3)


@compiled
def _root_of(space: int, variant: int) -> int:
    if space < _VEX_0F:
        return space * LEGACY_VARIANTS + variant
    return _VEX_0F * LEGACY_VARIANTS + (space - _VEX_0F) * VEX_VARIANTS + variant


@compiled
def _needs_modrm(context: Context, root: int, opcode: int) -> bool:
    entry = load_signed_half(context.roots, root * 256 + opcode)
    if entry <= 0:
        return entry < 0
    return form_at(context.forms, entry - 1).has_modrm != 0


@compiled
def _find(context: Context, root: int, opcode: int, modrm: int) -> int:
    entry = load_signed_half(context.roots, root * 256 + opcode)
    if entry < 0:
        slot = 8 + (modrm & 0x3F) if modrm >= 0xC0 else modrm >> 3 & 7
        entry = load_signed_half(context.selectors, (-1 - entry) * SLOTS + slot)
    return entry - 1


@compiled
def _read_rest(f: Fields, form: Form) -> int:
    """SIB, displacement and immediates."""
    f.index = -1
    f.displacement_offset = f.immediate_offset = -1
    f.displacement_size = f.immediate_size = 0
    if f.modrm_offset >= 0 and f.modrm < 0xC0:
        status = _read_address_32(f, form) if f.address_size == 4 else _read_address_16(f, form)
        if status != _DONE:
            return status
    rule = form.immediate
    size = f.operand_size
    if rule <= _WORD_BYTE:
        size = int(rule)
    elif rule == _OFFSET:
        if not _read_displacement(f, f.address_size):
            return _SHORT
        size = 0
    if size:
        f.immediate_offset = f.position
        f.immediate_size = size
        f.position += size
        if f.position > f.available:
            return _SHORT
    f.length = f.position
    if form.vsib and (f.index == f.third or f.index == f.modrm >> 3 & 7 or f.third == f.modrm >> 3 & 7):
        return _INVALID  # a gather with a register twice
    return _DONE


@compiled
def _read_address_32(f: Fields, form: Form) -> int:
    mod = f.modrm >> 6
    base = f.modrm & 7
    if base == 4:
        if f.position >= f.available:
            return _SHORT
        sib = load_byte(f.code, f.position)
        f.position += 1
        base = sib & 7
        if sib & 0x38 != 0x20 or form.vsib:
            f.index = sib >> 3 & 7
    elif form.vsib:
        return _INVALID
    size = 0
    if mod == 0:
        if base == EBP:
            size = 4
    else:
        size = 1 if mod == 1 else 4
    return _DONE if size == 0 or _read_displacement(f, size) else _SHORT


@compiled
def _read_address_16(f: Fields, form: Form) -> int:
    if form.vsib:
        return _INVALID
    size = f.modrm >> 6
    if size == 0 and f.modrm & 7 == 6:
        size = 2
    return _DONE if size == 0 or _read_displacement(f, size) else _SHORT


@compiled
def _read_displacement(f: Fields, size: int) -> bool:
    if f.position + size > f.available:
        return False
    f.displacement_offset = f.position
    f.displacement_size = size
    f.position += size
    return True


# -- admission -------------------------------------------------------------------------------------------------------


@compiled
def _admitted(context: Context, f: Fields, form: Form) -> bool:
    """Whether the table and the policy admit the instruction with these prefixes."""
    if form.refused or form.groups & ~context.groups:
        return False
    if form.thread and not context.thread_pointer:
        return False
    if f.lock and not (form.lock and f.modrm < 0xC0):
        return False
    if form.near and f.operand_prefix:
        return False
    if f.vector_length and f.third and not form.third:
        return False
    if f.barred >= 0:
        return False
    return _segment_admitted(context, f, form)


@compiled
def _segment_admitted(context: Context, f: Fields, form: Form) -> bool:
    if f.segment == _CS:
        return bool(form.hint or form.conditional)
    if f.segment == _GS and context.thread_pointer:
        in_memory = form.immediate == _OFFSET or f.modrm < 0xC0
        return bool(form.addressable and f.address_size == 4 and in_memory)
    return f.segment < _FS
