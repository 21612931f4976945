"""The records that the compiled translator works on: what it is given, what it keeps, what it returns.

Each class is at once a ctypes structure, so that Python can fill tables and read results without numba or numpy, and the
source of the numpy record type that numba compiles for (:mod:`jit.passes.native`). The fields of :class:`Fields`,
:class:`Form` and :class:`Item` are those of the specification's classes of these names, in numbers.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum
from typing import Final, TypeAlias, TypeVar

from reference.policy import Group
from reference.translator.shape import MOST_INSTRUCTIONS, Shape

U8: TypeAlias = int
I16: TypeAlias = int
I32: TypeAlias = int
U32: TypeAlias = int
I64: TypeAlias = int
#: A bool, as a byte.
Flag: TypeAlias = int

_C_TYPES: Final = {
    "U8": ctypes.c_uint8,
    "I16": ctypes.c_int16,
    "I32": ctypes.c_int32,
    "U32": ctypes.c_uint32,
    "I64": ctypes.c_int64,
    "Flag": ctypes.c_uint8,
}

Class = TypeVar("Class", bound=type[ctypes.Structure])


def record(cls: Class) -> Class:
    """Turn the annotations of a ctypes structure into its fields."""
    cls._fields_ = [(name, _C_TYPES[kind]) for name, kind in cls.__annotations__.items()]
    return cls


class Status(IntEnum):
    """What the compiled translator returns."""

    DONE = 0
    INVALID_OPCODE = 1
    TRUNCATED_CODE = 2


#: Shapes by number.
SHAPES: Final = tuple(Shape)
#: One more item than there are instructions: the closing jump.
MOST_ITEMS: Final = MOST_INSTRUCTIONS + 1


#: The bit of each instruction group in a mask.
GROUP_BITS: Final = {group: 1 << number for number, group in enumerate(Group)}
assert len(GROUP_BITS) < 64


def group_mask(groups: frozenset[Group]) -> int:
    """The mask of a set of groups."""
    return sum([GROUP_BITS[group] for group in groups])


@record
class Form(ctypes.Structure):
    """A row of the instruction table: :class:`reference.isa.lookup.Form`, and what its row says to the translator.

    ``groups`` is a mask. ``only_66``, ``only_repeat``: the one prefix class of the row is 66, is F2 or F3. ``rep`` is 0, 1
    (REP) or 2 (REPE and REPNE). ``shape`` is what an instruction of this row without a GS override becomes, ``reason``
    with ``reported_behind`` the trap it reports, ``numbered`` that its immediate is added to the reason (INT n). ``moves``:
    it is MOVS.
    """

    groups: I64
    reason: I32
    immediate: U8
    has_modrm: Flag
    refused: Flag
    lock: Flag
    rep: U8
    mandatory: Flag
    only_66: Flag
    only_repeat: Flag
    near: Flag
    hint: Flag
    conditional: Flag
    addressable: Flag
    thread: Flag
    third: Flag
    vsib: Flag
    copied: Flag
    approximate: Flag
    moves: Flag
    shape: U8
    reported_behind: Flag
    numbered: Flag


@record
class Fields(ctypes.Structure):
    """What the bytes of one instruction say: :class:`reference.isa.fields.Fields`.

    ``code`` is the address of its first byte, of which ``available`` can be read. ``segment`` and ``barred`` are -1 for
    none. ``form`` is the number of its row.
    """

    code: I64
    available: I64
    position: I64
    length: I64
    form: I64
    operand_prefix: I64
    operand_size: I64
    address_size: I64
    lock: I64
    repeat: I64
    segment: I64
    barred: I64
    opcode: I64
    opcode_offset: I64
    modrm: I64
    modrm_offset: I64
    index: I64
    displacement_offset: I64
    displacement_size: I64
    immediate_offset: I64
    immediate_size: I64
    third: I64
    vector_length: I64


@record
class Item(ctypes.Structure):
    """One template of the fragment in the making: :class:`reference.translator.scan.Item`.

    In place of the instruction: ``code`` is the address of its bytes, ``length`` of them, 0 for the closing jump.
    ``keep`` is the F2 or F3 that its copy has, or 0; ``copy_size`` is the size of the copy. ``folded``: its operand is
    GS-relative. ``released`` are the bytes that a return releases. ``inside`` is -1 for a target elsewhere.
    ``earlier``, of an item with a trampoline of its own, is the last such item before it, or -1.
    """

    eip: I64
    code: I64
    length: I64
    keep: I64
    copy_size: I64
    opcode_offset: I64
    modrm_offset: I64
    displacement_offset: I64
    displacement_size: I64
    address_size: I64
    folded: I64
    shape: I64
    target: I64
    reason: I64
    reported: I64
    released: I64
    inside: I64
    short: I64
    offset: I64
    size: I64
    trampoline: I64
    earlier: I64
    charge: I64
    template: I64


@record
class Stencil(ctypes.Structure):
    """A stencil: ``size`` bytes from ``start`` on, with ``hole_count`` holes from ``first_hole`` on."""

    start: I32
    size: I32
    first_hole: I32
    hole_count: I32


@record
class Hole(ctypes.Structure):
    """``size`` bytes at ``offset`` in a stencil. ``argument`` is the number of the value that goes there, -1 for the code
    offset ``stub``. ``relative``: it counts from the end of the hole."""

    offset: I32
    size: I32
    relative: I32
    argument: I32
    stub: I32


@record
class Context(ctypes.Structure):
    """What a call is given besides its arguments. Addresses: of the tables, of what the passes write, of the guest's code
    (filled in by each call). And what the translation depends on besides the code: the policy as a mask of ``groups`` and
    ``thread_pointer`` and ``reproducible``, the guest's thread pointer as a displacement, or -1, the EIP of code
    offset 0, the first EIP of the direct entry table, or -1 for the hashed one, and whether fragments are ``metered``."""

    roots: I64
    selectors: I64
    forms: I64
    stencils: I64
    holes: I64
    stencil_code: I64
    fields: I64
    items: I64
    code: I64
    output: I64
    result: I64
    groups: I64
    thread_pointer: I64
    reproducible: I64
    gs_base: I64
    origin: I64
    window: I64
    metered: I64


@record
class Result(ctypes.Structure):
    """The numbers of a finished fragment. Behind them stand, as triples of words, its landings, exits and spans."""

    code_size: U32
    length: U32
    tail: U32
    landing_count: U32
    exit_count: U32
    span_count: U32


#: Room for a fragment's code. The largest templates are indirect calls: 14 + 19 + 16 + 11 + 15 bytes, a meter of 42, and a
#: trampoline.
OUTPUT_BYTES: Final = 16 << 10
assert MOST_ITEMS * (75 + 42 + 16) + 15 <= OUTPUT_BYTES

RESULT_WORDS: Final = ctypes.sizeof(Result) // 4
#: Words of a Landing, an Exit and a Span.
TRIPLE: Final = 3
#: The first landing, and for each instruction no more than one landing, one exit and two spans.
MOST_WORDS: Final = RESULT_WORDS + TRIPLE * (1 + 4 * MOST_ITEMS)
