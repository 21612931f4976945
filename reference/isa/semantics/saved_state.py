"""Saving and loading vector and x87 state: LDMXCSR STMXCSR, FXSAVE FXRSTOR, XSAVE XSAVEOPT XSAVEC XRSTOR.

What instructions store has the layout of the image that the engine keeps of the state anyway
(:class:`reference.registers.CPU`), SDM volume 1, sections 10.5.1 and 13.4:

    legacy region   0..23   x87 control, status, abridged tags, opcode and pointers
                   24..31   MXCSR, and the mask of the bits that it has
                   32..159  ST0 to ST7, ten bytes and six zeros each
                  160..287  XMM0 to XMM7; the rest, up to 511, is not touched outside 64-bit mode
    header        512..575  which components there are, and the layout of those behind it
    AVX           576..703  the upper halves of YMM0 to YMM7; the rest, up to 831, likewise

The components in use are x87 (bit 0), SSE (1) and AVX (2), as far as the policy admits them: that is XCR0. A component
counts as in use exactly if it is not in its initial state.

MXCSR has the bits 0 to 15, as everywhere but on AMD's processors: those have bit 17 (misaligned SSE) besides, and take it
from a guest's LDMXCSR, which is executed as it stands; no other instruction here admits it. The pointers to the last x87
instruction and operand are those of the image. Selectors are stored as zeros, as by processors that have deprecated them.
"""

from __future__ import annotations

from typing import Final

from reference.cpuid import xcr0
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import semantics
from reference.isa.semantics.x87 import state as x87_state
from reference.registers import EAX, EDX, INITIAL_MXCSR, INITIAL_X87_CONTROL, MASK32, Segment
from reference.segmentation import SegmentFault
from reference.traps import Access

#: The bits that MXCSR has. DAZ is among them.
MXCSR_MASK: Final = 0xFFFF

#: State components, as bits of XCR0.
X87, SSE, AVX = 1, 2, 4
#: In XCOMP_BV: the layout is the compacted one, in which the components that the other bits name follow one another.
_COMPACTED: Final = 1 << 63

_CONTROL: Final = slice(0, 24)
_MXCSR: Final = slice(24, 28)
_MXCSR_AND_MASK: Final = slice(24, 32)
_STACK: Final = slice(32, 160)
_XMM: Final = slice(160, 288)
_YMM_UPPER: Final = slice(576, 704)
_FXSAVE_BYTES: Final = 512
_HEADER: Final = 512
_HEADER_BYTES: Final = 64
_XSAVE_BYTES: Final = 576
_XSAVE_BYTES_WITH_AVX: Final = 832

Pieces = list[tuple[int, bytes]]


# -- MXCSR -----------------------------------------------------------------------------------------------------------


@semantics("ldmxcsr", "vldmxcsr")
def ldmxcsr(m: Machine, op: Operation) -> int:
    """MXCSR from memory; a bit that it does not have is a protection fault."""
    value = op.load()
    _check_mxcsr(value)
    m.cpu.fp[_MXCSR] = value.to_bytes(4, "little")
    return op.next


@semantics("stmxcsr", "vstmxcsr")
def stmxcsr(m: Machine, op: Operation) -> int:
    """MXCSR to memory."""
    op.store(int.from_bytes(m.cpu.fp[_MXCSR], "little"))
    return op.next


def _check_mxcsr(value: int) -> None:
    if value & ~MXCSR_MASK:
        raise SegmentFault(f"MXCSR {value:#010x} has reserved bits")


# -- FXSAVE and FXRSTOR ----------------------------------------------------------------------------------------------


@semantics("fxsave")
def fxsave(m: Machine, op: Operation) -> int:
    """x87 and SSE state to memory. An x87 exception that is pending stays so."""
    linear = _area(m, op, 16, _FXSAVE_BYTES, Access.WRITE)
    _write(m, linear, [*_x87_pieces(m), *_mxcsr_pieces(m), *_xmm_pieces(m)])
    return op.next


@semantics("fxrstor")
def fxrstor(m: Machine, op: Operation) -> int:
    """x87 and SSE state from memory; the upper halves of YMM registers stay as they are."""
    area = m.memory.read(_area(m, op, 16, _FXSAVE_BYTES, Access.READ), _FXSAVE_BYTES)
    _check_mxcsr(_mxcsr_of(area))
    _load_x87(m, area)
    fp = m.cpu.fp
    fp[_MXCSR] = area[_MXCSR]
    fp[_XMM] = area[_XMM]
    fp[_HEADER] = X87 | SSE | AVX  # the image leaves nothing out
    return op.next


# -- XSAVE and XRSTOR ------------------------------------------------------------------------------------------------


@semantics("xsave")
def xsave(m: Machine, op: Operation) -> int:
    """The components that EDX:EAX requests, whether or not they are in use."""
    return _save_standard(m, op, optimised=False)


@semantics("xsaveopt")
def xsaveopt(m: Machine, op: Operation) -> int:
    """XSAVE that does not store what is in its initial state."""
    return _save_standard(m, op, optimised=True)


def _save_standard(m: Machine, op: Operation, *, optimised: bool) -> int:
    """Of the header only XSTATE_BV is written, and only the bits of what was requested."""
    requested = _requested(m)
    linear = _area(m, op, 64, _area_bytes(requested), Access.WRITE)
    used = _used(m) & requested
    stored = used if optimised else requested
    pieces = _component_pieces(m, stored)
    if requested & (SSE | AVX):
        pieces += _mxcsr_pieces(m)
    before = int.from_bytes(m.memory.read(linear + _HEADER, 8), "little")
    pieces.append((_HEADER, (before & ~requested | used).to_bytes(8, "little")))
    _write(m, linear, pieces)
    return op.next


@semantics("xsavec")
def xsavec(m: Machine, op: Operation) -> int:
    """XSAVE in the compacted layout, which does not store what is in its initial state. MXCSR belongs to SSE."""
    requested = _requested(m)
    linear = _area(m, op, 64, _area_bytes(requested), Access.WRITE)
    stored = _used(m)
    if _mxcsr_of(m.cpu.fp) != INITIAL_MXCSR:
        stored |= SSE
    stored &= requested
    pieces = _component_pieces(m, stored)
    if stored & SSE:
        pieces += _mxcsr_pieces(m)
    pieces.append((_HEADER, stored.to_bytes(8, "little") + (_COMPACTED | requested).to_bytes(8, "little")))
    _write(m, linear, pieces)
    return op.next


@semantics("xrstor")
def xrstor(m: Machine, op: Operation) -> int:
    """The requested components from memory; those that the header does not name get their initial state.

    A header that makes no sense is a protection fault (SDM volume 1, section 13.8). In the standard layout MXCSR is
    loaded with SSE or AVX, even if the header names neither; in the compacted one it belongs to SSE.
    """
    requested = _requested(m)
    linear = _area(m, op, 64, _XSAVE_BYTES, Access.READ)
    header = m.memory.read(linear + _HEADER, _HEADER_BYTES)
    present, layout = int.from_bytes(header[:8], "little"), int.from_bytes(header[8:16], "little")
    compacted = bool(layout & _COMPACTED)
    _check_header(m, header, present, layout)
    size = _area_bytes(requested & layout if compacted else requested)
    area = m.memory.read(_area(m, op, 64, size, Access.READ), size)
    loads_mxcsr = requested & SSE & present if compacted else requested & (SSE | AVX)
    if loads_mxcsr:
        _check_mxcsr(_mxcsr_of(area))

    fp = m.cpu.fp
    fp[_HEADER] = X87 | SSE | AVX  # the image leaves nothing out
    if requested & X87:
        _load_x87(m, area if present & X87 else _INITIAL)
    if requested & SSE:
        fp[_XMM] = area[_XMM] if present & SSE else _INITIAL[_XMM]
    if requested & AVX:
        fp[_YMM_UPPER] = area[_YMM_UPPER] if present & AVX else _INITIAL[_YMM_UPPER]
    if loads_mxcsr:
        fp[_MXCSR] = area[_MXCSR]
    elif compacted and requested & SSE:
        fp[_MXCSR] = _INITIAL[_MXCSR]
    return op.next


def _check_header(m: Machine, header: bytes, present: int, layout: int) -> None:
    """Raise SegmentFault for what XRSTOR refuses."""
    if layout & _COMPACTED:
        located = layout & ~_COMPACTED
        wrong = located & ~xcr0(m.policy) or present & ~located or any(header[16:])
    else:
        wrong = present & ~xcr0(m.policy) or any(header[8:24])
    if wrong:
        raise SegmentFault(f"XRSTOR of an area with the header {header[:24].hex(' ', 8)}")


# -- components ------------------------------------------------------------------------------------------------------


def _initial_area() -> bytes:
    area = bytearray(_XSAVE_BYTES_WITH_AVX)
    area[0:2] = INITIAL_X87_CONTROL.to_bytes(2, "little")
    area[_MXCSR] = INITIAL_MXCSR.to_bytes(4, "little")
    return bytes(area)


#: An area in which every component is in its initial state.
_INITIAL: Final = _initial_area()


def _requested(m: Machine) -> int:
    """The components that EDX:EAX names, as far as there are any."""
    return (m.words[EDX] << 32 | m.words[EAX]) & xcr0(m.policy)


def _used(m: Machine) -> int:
    """The components that are not in their initial state. MXCSR does not count."""
    fp = m.cpu.fp
    x87 = _x87_of(fp) != _x87_of(_INITIAL)
    return x87 * X87 | any(fp[_XMM]) * SSE | any(fp[_YMM_UPPER]) * AVX


def _area_bytes(components: int) -> int:
    return _XSAVE_BYTES_WITH_AVX if components & AVX else _XSAVE_BYTES


def _mxcsr_of(area: bytes | memoryview) -> int:
    return int.from_bytes(area[_MXCSR], "little")


def _component_pieces(m: Machine, components: int) -> Pieces:
    """What the components store, without MXCSR. Standard and compacted layout differ in components that there are not."""
    pieces: Pieces = []
    if components & X87:
        pieces += _x87_pieces(m)
    if components & SSE:
        pieces += _xmm_pieces(m)
    if components & AVX:
        pieces.append((_YMM_UPPER.start, bytes(m.cpu.fp[_YMM_UPPER])))
    return pieces


def _x87_of(area: bytes | memoryview) -> tuple[bytes, bytes]:
    """Control with the pointers but not the selectors, and the registers but not what pads them; the opcode has 11 bits."""
    control, stack = bytearray(area[_CONTROL]), bytearray(area[_STACK])
    control[5] = 0
    control[7] &= 7
    control[12:16] = control[20:24] = bytes(4)
    for start in range(0, len(stack), 16):
        stack[start + 10 : start + 16] = bytes(6)
    return bytes(control), bytes(stack)


def _x87_pieces(m: Machine) -> Pieces:
    control, stack = _x87_of(m.cpu.fp)
    return [(_CONTROL.start, control), (_STACK.start, stack)]


def _mxcsr_pieces(m: Machine) -> Pieces:
    return [(_MXCSR_AND_MASK.start, bytes(m.cpu.fp[_MXCSR]) + MXCSR_MASK.to_bytes(4, "little"))]


def _xmm_pieces(m: Machine) -> Pieces:
    return [(_XMM.start, bytes(m.cpu.fp[_XMM]))]


def _load_x87(m: Machine, area: bytes) -> None:
    """Control, pointers and registers. Fixed bits stay fixed, and whether an exception is pending follows from the
    others."""
    fp = m.cpu.fp
    fp[_CONTROL], fp[_STACK] = _x87_of(area)
    x87_state.set_control_word(m, x87_state.control_word(m))


# -- memory ----------------------------------------------------------------------------------------------------------


def _area(m: Machine, op: Operation, alignment: int, size: int, access: Access) -> int:
    """The linear address of an area of ``size`` bytes, all of which permit ``access``.

    Alignment comes first, as on a processor, and every byte must permit it even where only some are stored.
    """
    offset = op.address()
    start = m.segments.linear(op.segment, offset, 1, access) if op.segment == Segment.GS else offset
    if start & alignment - 1:
        raise SegmentFault(f"the operand at {offset:#010x} is not aligned to {alignment} bytes")
    linear = m.segments.linear(op.segment, offset, size, access)
    m.memory.check(linear, size, access)
    return linear


def _write(m: Machine, linear: int, pieces: Pieces) -> None:
    for offset, data in pieces:
        m.memory.write(linear + offset & MASK32, data)
