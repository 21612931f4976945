"""Pass 1, scan: decode guest code from a private copy, up to an unconditional transfer, a trap or a size limit.

What is scanned here is what gets emitted: the guest's bytes are read once, by the caller, before this pass, so that
another guest thread cannot change them between check and use. (Paper, section 3.2; the original read them twice.)

A call does not end a fragment: the code behind it is the landing of its return.
"""

from __future__ import annotations

from typing import Final

from reference.isa.decode import decode
from reference.isa.instruction import DecodeError, Immediate, Instruction, Kind, Relative
from reference.layout import Reason
from reference.policy import Policy
from reference.records import dataclass
from reference.registers import Segment
from reference.translator.shape import FETCH_BYTES, MOST_BYTES, MOST_INSTRUCTIONS, Shape
from reference.traps import SOFTWARE_INTERRUPT, Vector

__all__ = ["ENDS", "FETCH_BYTES", "MOST_BYTES", "MOST_INSTRUCTIONS", "Item", "Shape", "classify", "scan"]

#: Shapes after which guest code does not go on in sequence.
ENDS: Final = frozenset({Shape.JUMP, Shape.JUMP_INDIRECT, Shape.RETURN, Shape.TRAP, Shape.ASSIST, Shape.FALL})

_LOOPS: Final = frozenset({"loop", "loope", "loopne", "jecxz", "jcxz"})
_FAULTING_TRAPS: Final = frozenset({"ud0", "ud1", "ud2", "hlt", "sysenter"})


@dataclass(slots=True)
class Item:
    """One template of the fragment in the making. The passes fill it in from left to right.

    scan: ``eip``, ``instruction`` (None for the closing jump of a fragment that ran out), ``shape``, ``target`` of a
    direct branch, ``reason`` of a trap and the EIP it reports. simplify: ``inside``, the item that the branch leads to,
    and ``short``. meter: ``charge``, of how many instructions the meter in front of the template takes the fuel, 0 if there
    is none. place: ``offset`` and ``size`` in the code segment, with the meter, and where the ``template`` is.
    """

    eip: int
    instruction: Instruction | None
    shape: Shape
    target: int = 0
    reason: int = 0
    reported: int = 0
    inside: int | None = None
    short: bool = False
    charge: int = 0
    offset: int = 0
    size: int = 0
    template: int = 0


def scan(code: bytes, eip: int, policy: Policy, gs_base: int | None) -> list[Item]:
    """The items of the fragment at ``eip``, from a copy of the guest's bytes there.

    Raises DecodeError when not even the first instruction can be translated; later, such an instruction ends the
    fragment, and the error comes when it is reached.
    """
    items: list[Item] = []
    position = 0
    while len(items) < MOST_INSTRUCTIONS and position < MOST_BYTES:
        here = (eip + position) & 0xFFFF_FFFF
        try:
            instruction = decode(code[position : position + 15], here, policy)
        except DecodeError:
            if not items:
                raise
            break
        item = classify(instruction, gs_base, policy)
        items.append(item)
        position += instruction.length
        if item.shape in ENDS:
            return items
    items.append(Item((eip + position) & 0xFFFF_FFFF, None, Shape.FALL, target=(eip + position) & 0xFFFF_FFFF))
    return items


def kind_under(policy: Policy, instruction: Instruction) -> Kind:
    """What becomes of the instruction under a policy: APPROXIMATE is decided.

    REP MOVS with 16-bit addresses is never copied. Zen 5 does it wrongly: whether source and destination overlap it finds
    out from all of ESI and EDI, and where their upper halves differ it copies other bytes than one element after the other
    would.
    """
    kind = instruction.row.kind
    if instruction.mnemonic == "movs" and instruction.rep and instruction.address_size == 2:
        return Kind.ASSIST
    if kind != Kind.APPROXIMATE:
        return kind
    return Kind.ASSIST if policy.reproducible else Kind.COPY


def classify(instruction: Instruction, gs_base: int | None, policy: Policy) -> Item:
    """The template for one instruction."""
    eip, kind, mnemonic = instruction.eip, kind_under(policy, instruction), instruction.mnemonic
    if instruction.segment == Segment.GS and gs_base is None:
        # No thread pointer yet: the reference semantics raise the fault that a null selector means.
        return Item(eip, instruction, Shape.ASSIST, reason=Reason.ASSIST, reported=eip)
    if kind == Kind.COPY:
        folded = instruction.segment == Segment.GS
        return Item(eip, instruction, Shape.FOLD if folded else Shape.COPY)
    if kind == Kind.REWRITE:
        return _classify_transfer(instruction)
    if kind == Kind.ASSIST:
        return Item(eip, instruction, Shape.ASSIST, reason=Reason.ASSIST, reported=eip)
    if mnemonic == "into":
        return Item(eip, instruction, Shape.OVERFLOW, reason=Vector.OVERFLOW, reported=instruction.next_eip)
    if mnemonic in _FAULTING_TRAPS:
        return Item(eip, instruction, Shape.TRAP, reason=Vector.INVALID_OPCODE, reported=eip)
    return Item(eip, instruction, Shape.TRAP, reason=_trap_number(instruction), reported=instruction.next_eip)


def _classify_transfer(instruction: Instruction) -> Item:
    eip, mnemonic = instruction.eip, instruction.mnemonic
    operand = instruction.operands[0] if instruction.operands else None
    if isinstance(operand, Relative):
        if mnemonic == "jmp":
            shape = Shape.JUMP
        elif mnemonic == "call":
            shape = Shape.CALL
        else:
            shape = Shape.LOOP if mnemonic in _LOOPS else Shape.BRANCH
        return Item(eip, instruction, shape, target=operand.target)
    if mnemonic in ("popf", "popfd", "popfw"):
        # The guest may not have every flag that POPF would set: the reference semantics know which.
        return Item(eip, instruction, Shape.ASSIST, reason=Reason.ASSIST, reported=eip)
    if mnemonic.startswith("ret"):
        return Item(eip, instruction, Shape.RETURN)
    return Item(eip, instruction, Shape.CALL_INDIRECT if mnemonic == "call" else Shape.JUMP_INDIRECT)


def _trap_number(instruction: Instruction) -> int:
    match instruction.mnemonic:
        case "int3":
            return Vector.BREAKPOINT
        case "syscall":
            return Vector.SYSCALL
        case "int":
            number = instruction.operands[0]
            assert isinstance(number, Immediate)
            return SOFTWARE_INTERRUPT + (number.value & 0xFF)
    raise AssertionError(f"no trap number for {instruction.mnemonic}")
