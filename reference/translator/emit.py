"""Pass 4, emit: write each template's bytes.

The templates, in the order of their frequency; R is the guest's return address, T[x] the entry table's entry for x:

    copied      the instruction itself
    jcc L       jcc L'                                      L' inside the fragment, or a trampoline until it is linked
    call L      push R; jmp L'; landing of R
    ret         spill ECX; pop ecx; jmp T[ecx]
    jmp r/m     spill ECX; mov ecx, r/m; jmp T[ecx]
    call r/m    spill ECX; mov ecx, r/m; push R; jmp T[ecx]; landing of R
    int n       store the guest's EIP and the trap number; jmp EXIT
    landing     mov ecx, gs:[spilled ECX + (ecx - R)]
    meter       see meter.py; only where fuel is limited

An indirect branch arrives at the landing that the entry table has for its target, with the target in ECX. T[ecx] is
``gs:[table + ecx * 8]``: segmentation checks that the target is in the table's window (layout.py). The product has lost
three bits, so the landing checks, too, while it gives back the register: for another target than R the distance is a
multiple of half a gigabyte, and the operand is beyond the limit of the segment. No flag is touched.

With the hashed table, for guests whose code is too far apart for a window, two registers are borrowed:

    call L      push R; mov gs:[T + 4 * low16(R)], landing; jmp L'; landing of R
    ret         spill EDX, ECX; pop ecx; movzx edx, cx; jmp gs:[T + edx * 4]
    landing     mov edx, gs:[spilled EDX + (ecx - R) * 8]; mov ecx, gs:[spilled ECX + (ecx - R)]

and the others likewise. Targets with equal low halves share an entry. If the target is R, the landing reads the spill
words; if not, the distance is a multiple of 64 KiB, eight times that is beyond the limit of the control
segment, and segmentation raises a fault. (Distances of half a gigabyte are lost in the first product; the second load
catches them.) A call stores its own landing, so that the return finds it. Where two targets compete for an entry, one fault
shows it, and the entry leads to the lookup stub from then on (reference/cache.py).
"""

from __future__ import annotations

from typing import Final

from reference import encode as e
from reference import layout as at
from reference import runtime
from reference.isa.instruction import Instruction, Memory
from reference.records import dataclass
from reference.registers import ECX, EDX, ESP, Segment
from reference.translator.fragment import Exit, Fragment, Landing, Span
from reference.translator.meter import METER_BORROWS, meter
from reference.translator.place import Placement, branch_end, leaves, released, return_landing
from reference.translator.scan import Item, Shape
from reference.translator.shape import Sizes, sizes

_GS_PREFIX: Final = 0x65
_DS_PREFIX: Final = 0x3E
_ADDRESS_PREFIX: Final = b"\x67"
_JNO: Final = 0x71


def emit(
    items: list[Item], placement: Placement, eip: int, offset: int, gs_base: int | None, origin: int, window: int | None
) -> Fragment:
    """The finished fragment. ``placement`` is what :func:`reference.translator.place.place` said for ``offset``."""
    its = sizes(window)
    templates = _Templates(items, placement, gs_base, origin, window, its)
    code = bytearray(landing(eip, window))
    landings = [Landing(eip, offset, placement.body)]
    spans: list[Span] = []
    exits: list[Exit] = []
    for item in items:
        assert offset + len(code) == item.offset, f"template of {item.shape.name} at {item.eip:#x} misplaced"
        if item.charge:
            code += meter(item.charge)
            spans.append(Span(item.offset, item.eip, item.offset + METER_BORROWS))
        code += templates.of(item)
        spans.append(Span(item.template, item.eip, _borrowed(item, its)))
        if item.shape in (Shape.CALL, Shape.CALL_INDIRECT):
            assert item.instruction is not None
            landings.append(Landing(item.instruction.next_eip, return_landing(item, its), item.offset + item.size))
        if leaves(item):
            exits.append(Exit(branch_end(item, its) - 4, item.target, placement.trampolines[item.target]))
    assert offset + len(code) == placement.tail
    for where in placement.trampolines.values():
        code += trampoline(where)
    assert offset + len(code) == placement.end
    last = items[-1].instruction
    length = (items[-1].eip - eip & 0xFFFF_FFFF) + (last.length if last is not None else 0)
    return Fragment(eip, length, offset, bytes(code), tuple(spans), placement.tail, tuple(exits), tuple(landings))


def landing(eip: int, window: int | None) -> bytes:
    """Where indirect branches to ``eip`` arrive; what follows is the code for ``eip``."""
    give_back = e.mov_from_gs_based(ECX, at.SPILL_ECX - eip, ECX)
    return give_back if window is not None else e.mov_from_gs_indexed8(EDX, at.SPILL_EDX - 8 * eip, ECX) + give_back


def dispatch(window: int | None) -> bytes:
    """The end of an indirect branch, target in ECX: to the landing that the entry table has."""
    if window is not None:
        return e.jmp_gs_indexed8(at.direct_slot(0, window), ECX)
    return e.movzx_word(EDX, ECX) + e.jmp_gs_indexed4(at.HASHED_TABLE, EDX)


def trampoline(offset: int) -> bytes:
    """Where an unlinked branch ends up: tell the host which one it was, and leave."""
    return e.mov_gs_immediate(at.SITE, offset) + e.jmp(runtime.CHAIN - (offset + 16))


@dataclass(frozen=True, slots=True)
class _Templates:
    """The templates for the items of one fragment."""

    items: list[Item]
    placement: Placement
    gs_base: int | None
    origin: int
    window: int | None
    its: Sizes

    def of(self, item: Item) -> bytes:
        """The bytes for an item."""
        instruction = item.instruction
        if instruction is None:
            return self._jump(item)
        match item.shape:
            case Shape.COPY:
                return instruction.copy
            case Shape.FOLD:
                return fold(instruction, self.gs_base)
            case Shape.JUMP:
                return self._jump(item)
            case Shape.BRANCH:
                return self._branch(item, instruction)
            case Shape.LOOP:
                return self._loop(item, instruction)
            case Shape.CALL:
                back = instruction.next_eip
                return self._push_return(item, back) + self._jump(item) + landing(back, self.window)
            case Shape.CALL_INDIRECT:
                back = instruction.next_eip
                push = self._push_return(item, back)
                return self._take_target(instruction) + push + dispatch(self.window) + landing(back, self.window)
            case Shape.JUMP_INDIRECT:
                return self._take_target(instruction) + dispatch(self.window)
            case Shape.RETURN:
                release = released(instruction)
                pop = e.pop(ECX) + (e.lea(ESP, ESP, release) if release else b"")
                return self._spill() + pop + dispatch(self.window)
            case Shape.OVERFLOW:
                trap = _trap(item, item.template + 2)
                return e.jump_short(_JNO, len(trap)) + trap
            case _:
                return _trap(item, item.template)

    def _distance(self, item: Item) -> int:
        inside = item.inside
        there = self.placement.trampolines[item.target] if inside is None else self.items[inside].offset
        return there - branch_end(item, self.its)

    def _jump(self, item: Item) -> bytes:
        distance = self._distance(item)
        return e.jump_short(0xEB, distance) if item.short else e.jmp(distance)

    def _branch(self, item: Item, instruction: Instruction) -> bytes:
        distance, condition = self._distance(item), _condition(instruction)
        return e.jump_short(0x70 + condition, distance) if item.short else e.jcc(condition, distance)

    def _loop(self, item: Item, instruction: Instruction) -> bytes:
        """LOOP and JECXZ have only an 8-bit form: ``loop +2; jmp +5; jmp L'``."""
        prefix = _ADDRESS_PREFIX if instruction.address_size == 2 else b""
        opcode = instruction.raw[instruction.opcode_offset]
        distance = self._distance(item)
        if item.short:
            return prefix + e.jump_short(opcode, distance)
        return prefix + e.jump_short(opcode, 2) + e.jump_short(0xEB, 5) + e.jmp(distance)

    def _spill(self) -> bytes:
        spill_ecx = e.mov_gs_from(at.SPILL_ECX, ECX)
        return spill_ecx if self.window is not None else e.mov_gs_from(at.SPILL_EDX, EDX) + spill_ecx

    def _take_target(self, instruction: Instruction) -> bytes:
        return self._spill() + _load_target(instruction, self.gs_base)

    def _push_return(self, item: Item, back: int) -> bytes:
        push = e.push_immediate(back)
        if self.window is not None:
            return push
        return push + e.mov_gs_immediate(at.hashed_slot(back), self.origin + return_landing(item, self.its))


def _condition(instruction: Instruction) -> int:
    """The condition is the low half of the last opcode byte, in both the 8-bit and the 32-bit form."""
    opcode = instruction.raw[instruction.opcode_offset]
    return (instruction.raw[instruction.opcode_offset + 1] if opcode == 0x0F else opcode) & 0xF


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
    stores = e.mov_gs_immediate(at.TRAP_EIP, item.reported) + e.mov_gs_immediate(at.REASON, item.reason)
    return stores + e.jmp(runtime.EXIT - (offset + len(stores) + 5))


def _borrowed(item: Item, its: Sizes) -> int:
    """In an indirect call the push can fault when ECX already holds the target."""
    if item.shape != Shape.CALL_INDIRECT:
        return 0
    return return_landing(item, its) - its.dispatch - its.call


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
