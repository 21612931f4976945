"""Pass 4, emit: write each template's bytes.

The templates, in the order of their frequency; T is the entry table, R the guest's return address:

    copied      the instruction itself
    jcc L       jcc L'                                      L' inside the fragment, or a trampoline until it is linked
    call L      push R; mov gs:[T + 4 * low16(R)], landing; jmp L'; landing of R
    ret         spill EDX, ECX; pop ecx; movzx edx, cx; jmp gs:[T + edx * 4]
    jmp r/m     spill EDX, ECX; mov ecx, r/m; movzx edx, cx; jmp gs:[T + edx * 4]
    call r/m    spill EDX, ECX; mov ecx, r/m; push R; mov gs:[T + 4 * low16(R)], landing; movzx …; jmp …; landing of R
    int n       store the guest's EIP and the trap number; jmp EXIT
    landing     mov edx, gs:[spilled EDX + (ecx - R) * 8]; mov ecx, gs:[spilled ECX + (ecx - R)]

An indirect branch arrives at the landing that the entry table names for the low 16 bits of its target, with the target
in ECX. The landing gives back the two registers, and *that is also the check*: if the target is R, it reads the spill
words; if not, the distance is a multiple of 64 KiB, eight times that is beyond the limit of the control segment, and
segmentation raises a fault. (Distances of half a gigabyte are lost in the first product; the second load catches them.)
Two loads, no branch, and no flag is touched, so that they survive whether the guess was right or not: a CMP would spoil
flags that the true target may read.

A call stores its own landing, so that the return finds it. Where two targets compete for an entry, one fault shows it,
and the entry leads to the lookup stub from then on (reference/cache.py).
"""

from __future__ import annotations

from typing import Final

from reference import encode as e
from reference import layout as at
from reference import runtime
from reference.isa.instruction import Instruction, Memory
from reference.registers import ECX, EDX, ESP, Segment
from reference.translator.fragment import Exit, Fragment, Landing, Span
from reference.translator.place import CALL_HEAD, DISPATCH_SIZE, LANDING_SIZE, Placement, branch_end, leaves, released
from reference.translator.scan import Item, Shape

_GS_PREFIX: Final = 0x65
_DS_PREFIX: Final = 0x3E
_ADDRESS_PREFIX: Final = b"\x67"
_JNO: Final = 0x71


def emit(items: list[Item], placement: Placement, eip: int, offset: int, gs_base: int | None, origin: int) -> Fragment:
    """The finished fragment. ``placement`` is what :func:`reference.translator.place.place` said for ``offset``."""
    code = bytearray(landing(eip))
    landings = [Landing(eip, offset, placement.body)]
    spans: list[Span] = []
    exits: list[Exit] = []
    for item in items:
        assert offset + len(code) == item.offset, f"template of {item.shape.name} at {item.eip:#x} misplaced"
        code += _template(item, items, placement, gs_base, origin)
        spans.append(Span(item.offset, item.eip, _borrowed(item)))
        if item.shape in (Shape.CALL, Shape.CALL_INDIRECT):
            assert item.instruction is not None
            end = item.offset + item.size
            landings.append(Landing(item.instruction.next_eip, end - LANDING_SIZE, end))
        if leaves(item):
            exits.append(Exit(branch_end(item) - 4, item.target, placement.trampolines[item.target]))
    assert offset + len(code) == placement.tail
    for where in placement.trampolines.values():
        code += trampoline(where)
    assert offset + len(code) == placement.end
    last = items[-1].instruction
    length = (items[-1].eip - eip & 0xFFFF_FFFF) + (last.length if last is not None else 0)
    return Fragment(eip, length, offset, bytes(code), tuple(spans), placement.tail, tuple(exits), tuple(landings))


def landing(eip: int) -> bytes:
    """Where indirect branches to ``eip`` arrive; what follows is the code for ``eip``."""
    return e.mov_from_gs_indexed8(EDX, at.SPILL_EDX - 8 * eip, ECX) + e.mov_from_gs_based(ECX, at.SPILL_ECX - eip, ECX)


def trampoline(offset: int) -> bytes:
    """Where an unlinked branch ends up: tell the host which one it was, and leave."""
    return e.mov_gs_immediate(at.SITE, offset) + e.jmp(runtime.CHAIN - (offset + 16))


def _template(item: Item, items: list[Item], placement: Placement, gs_base: int | None, origin: int) -> bytes:
    instruction = item.instruction
    if instruction is None:
        return e.jmp(_destination(item, items, placement) - branch_end(item))
    match item.shape:
        case Shape.COPY:
            return instruction.copy
        case Shape.FOLD:
            return fold(instruction, gs_base)
        case Shape.JUMP:
            return _jump(item, items, placement)
        case Shape.BRANCH:
            return _branch(item, instruction, items, placement)
        case Shape.LOOP:
            return _loop(item, instruction, items, placement)
        case Shape.CALL:
            return (
                _push_return(item, instruction, origin) + _jump(item, items, placement) + landing(instruction.next_eip)
            )
        case Shape.CALL_INDIRECT:
            return (
                _spill()
                + _load_target(instruction, gs_base)
                + _push_return(item, instruction, origin)
                + _dispatch()
                + landing(instruction.next_eip)
            )
        case Shape.JUMP_INDIRECT:
            return _spill() + _load_target(instruction, gs_base) + _dispatch()
        case Shape.RETURN:
            release = released(instruction)
            return _spill() + e.pop(ECX) + (e.lea(ESP, ESP, release) if release else b"") + _dispatch()
        case Shape.OVERFLOW:
            return e.jump_short(_JNO, item.size - 2) + _trap(item, item.offset + 2)
        case _:
            return _trap(item, item.offset)


def _destination(item: Item, items: list[Item], placement: Placement) -> int:
    return placement.trampolines[item.target] if item.inside is None else items[item.inside].offset


def _jump(item: Item, items: list[Item], placement: Placement) -> bytes:
    distance = _destination(item, items, placement) - branch_end(item)
    return e.jump_short(0xEB, distance) if item.short else e.jmp(distance)


def _branch(item: Item, instruction: Instruction, items: list[Item], placement: Placement) -> bytes:
    distance = _destination(item, items, placement) - branch_end(item)
    condition = _condition(instruction)
    return e.jump_short(0x70 + condition, distance) if item.short else e.jcc(condition, distance)


def _condition(instruction: Instruction) -> int:
    """The condition is the low half of the last opcode byte, in both the 8-bit and the 32-bit form."""
    opcode = instruction.raw[instruction.opcode_offset]
    return (instruction.raw[instruction.opcode_offset + 1] if opcode == 0x0F else opcode) & 0xF


def _loop(item: Item, instruction: Instruction, items: list[Item], placement: Placement) -> bytes:
    """LOOP and JECXZ have only an 8-bit form: ``loop +2; jmp +5; jmp L'``."""
    prefix = _ADDRESS_PREFIX if instruction.address_size == 2 else b""
    opcode = instruction.raw[instruction.opcode_offset]
    distance = _destination(item, items, placement) - branch_end(item)
    if item.short:
        return prefix + e.jump_short(opcode, distance)
    return prefix + e.jump_short(opcode, 2) + e.jump_short(0xEB, 5) + e.jmp(distance)


def _spill() -> bytes:
    return e.mov_gs_from(at.SPILL_EDX, EDX) + e.mov_gs_from(at.SPILL_ECX, ECX)


def _dispatch() -> bytes:
    return e.movzx_word(EDX, ECX) + e.jmp_gs_indexed(at.ENTRY_TABLE, EDX)


def _push_return(item: Item, instruction: Instruction, origin: int) -> bytes:
    where = origin + item.offset + item.size - LANDING_SIZE
    back = instruction.next_eip
    return e.push_immediate(back) + e.mov_gs_immediate(at.entry_slot(back), where)


def _load_target(instruction: Instruction, gs_base: int | None) -> bytes:
    """``mov ecx, r/m`` with the operand of an indirect branch: opcode FF becomes 8B, the /digit becomes ECX."""
    operand = instruction.operands[0]
    through_gs = isinstance(operand, Memory) and operand.segment == Segment.GS
    code = bytearray(fold(instruction, gs_base) if through_gs else instruction.copy)
    opcode = instruction.opcode_offset - (len(instruction.raw) - len(instruction.copy))
    code[opcode] = 0x8B
    code[opcode + 1] = code[opcode + 1] & ~0x38 | ECX << 3
    return bytes(code)


def _trap(item: Item, offset: int) -> bytes:
    stores = e.mov_gs_immediate(at.EIP_SAVED, item.reported) + e.mov_gs_immediate(at.REASON, item.reason)
    return stores + e.jmp(runtime.EXIT - (offset + len(stores) + 5))


def _borrowed(item: Item) -> int:
    """In an indirect call the push can fault when ECX already holds the target."""
    if item.shape != Shape.CALL_INDIRECT:
        return 0
    return item.offset + item.size - LANDING_SIZE - DISPATCH_SIZE - CALL_HEAD


def fold(instruction: Instruction, gs_base: int | None) -> bytes:
    """An instruction with a GS operand, its displacement widened and moved by the thread pointer's linear address.

    The GS prefix becomes DS, so that the same segment is used, and the same fault is raised, for every base register.
    """
    assert gs_base is not None
    dropped = len(instruction.raw) - len(instruction.copy)
    code = bytearray(instruction.copy)
    opcode = instruction.opcode_offset - dropped
    code[code.index(_GS_PREFIX, 0, opcode)] = _DS_PREFIX
    where, size = instruction.displacement_offset - dropped, instruction.displacement_size
    if size:
        displacement = int.from_bytes(code[where : where + size], "little", signed=True)
    else:
        where, displacement = _displacement_position(instruction) - dropped, 0
    if instruction.modrm_offset >= 0 and size != 4:
        modrm = instruction.modrm_offset - dropped
        code[modrm] = code[modrm] & 0x3F | 0x80  # mod 2: a 32-bit displacement follows
    code[where : where + size] = e.word(displacement + gs_base)
    return bytes(code)


def _displacement_position(instruction: Instruction) -> int:
    """Where a displacement would stand: behind ModRM, and SIB if there is one."""
    has_sib = instruction.raw[instruction.modrm_offset] & 7 == 4
    return instruction.modrm_offset + 1 + has_sib


def emit_single(instruction: Instruction, offset: int, gs_base: int | None) -> bytes:
    """One copied instruction alone, to stand at ``offset``, and the way back to the host."""
    code = fold(instruction, gs_base) if instruction.segment == Segment.GS else instruction.copy
    return code + e.jmp(runtime.STEPPED - (offset + len(code) + 5))
