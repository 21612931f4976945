"""The instruction table for the compiled translator: the decoding trie and what it must know of each row, as arrays.

Nothing is listed here: the trie is the specification's (:mod:`reference.isa.lookup`), and what an instruction becomes is
found out by asking the specification's scan pass about a sample of every row.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Final

from jit.passes import records

if TYPE_CHECKING:
    from jit.stencils import Stencils
from reference.isa.encoding import PREFIX_66, PREFIX_F2, PREFIX_F3
from reference.isa.instruction import File, Immediate, Instruction, Kind, Operand, Register, Relative
from reference.isa.lookup import FORMS, ROOTS, SELECTORS, Form
from reference.policy import Policy
from reference.translator.scan import Item, classify

_REPEATS: Final = {"": 0, "rep": 1, "repe": 2}


def compile_roots() -> bytes:
    """256 signed half-words for each root."""
    return b"".join(struct.pack("<256h", *root) for root in ROOTS)


def compile_selectors() -> bytes:
    """72 signed half-words for each selector."""
    return b"".join(struct.pack(f"<{len(selector)}h", *selector) for selector in SELECTORS)


def compile_forms() -> bytes:
    """A :class:`jit.passes.records.Form` for each row."""
    return b"".join(bytes(_form(form)) for form in FORMS)


def compile_stencils(stencils: Stencils) -> tuple[bytes, bytes, bytes]:
    """The stencils' records, their holes' records, and their code."""
    code = bytearray()
    heads: list[records.Stencil] = []
    holes: list[records.Hole] = []
    for stencil in stencils.all:
        heads.append(records.Stencil(len(code), len(stencil.code), len(holes), len(stencil.holes)))
        code += stencil.code
        for hole in stencil.holes:
            argument = -1 if hole.argument is None else hole.argument
            holes.append(records.Hole(hole.offset, hole.size, hole.relative, argument, hole.stub))
    return b"".join(map(bytes, heads)), b"".join(map(bytes, holes)), bytes(code)


def _form(form: Form) -> records.Form:
    row, classes = form.row, form.encoding.classes
    compiled = records.Form(
        groups=records.group_mask(form.groups),
        immediate=form.immediate,
        has_modrm=form.encoding.has_modrm,
        refused=row.kind is Kind.REFUSE,
        lock=row.lock,
        rep=_REPEATS[row.rep],
        mandatory=form.encoding.mandatory,
        only_66=classes == (PREFIX_66,),
        only_repeat=classes in ((PREFIX_F2,), (PREFIX_F3,)),
        near=form.near,
        hint=form.hint,
        conditional=form.conditional,
        addressable=form.addressable,
        thread=form.thread,
        third=form.third,
        vsib=form.vsib,
        copied=row.kind in (Kind.COPY, Kind.APPROXIMATE),
        approximate=row.kind is Kind.APPROXIMATE,
        moves=row.mnemonic == "movs",
    )
    if row.kind is not Kind.REFUSE:
        item, other = (classify(_sample(form, immediate), None, _ANY) for immediate in (0, 1))
        compiled.shape = records.SHAPES.index(item.shape)
        compiled.reason = item.reason
        compiled.reported_behind = _reports_behind(item)
        compiled.numbered = other.reason != item.reason
    return compiled


_SAMPLE_EIP: Final = 0x1000
#: A policy that lets approximate instructions be copied; where it does not, the pass knows.
_ANY: Final = Policy.everything()


def _reports_behind(item: Item) -> bool:
    """Whether a trap reports the EIP behind the instruction."""
    assert item.instruction is not None
    return item.reported == item.instruction.next_eip


def _sample(form: Form, immediate: int) -> Instruction:
    """An instruction of a row, with as much of it filled in as tells what kind of instruction it is."""
    operands: list[Operand] = []
    for code in form.operands:
        if code.method == "J":
            operands.append(Relative(_SAMPLE_EIP))
        elif code.method == "I":
            operands.append(Immediate(immediate, 1))
        else:
            operands.append(Register(File.GENERAL, 0, 4))
    return Instruction(
        eip=_SAMPLE_EIP,
        raw=b"\x90",
        row=form.row,
        operands=tuple(operands),
        operand_size=4,
        address_size=4,
        lock=False,
        rep=0,
        segment=None,
        opcode_offset=0,
        modrm_offset=-1,
        displacement_offset=-1,
        displacement_size=0,
        immediate_offset=-1,
        immediate_size=0,
        vector_length=0,
        copy=b"\x90",
    )


def compile_all(stencils: Stencils) -> dict[str, bytes]:
    """Every table, by the name of its address in :class:`jit.passes.records.Context`."""
    heads, holes, code = compile_stencils(stencils)
    return {
        "roots": compile_roots(),
        "selectors": compile_selectors(),
        "forms": compile_forms(),
        "stencils": heads,
        "holes": holes,
        "stencil_code": code,
    }


assert ctypes.sizeof(records.Form) % 8 == 0  # rows are aligned
