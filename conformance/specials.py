"""What particular instructions need in registers and memory to be worth a case.

Most instructions are content with random operands from the pools. Some would nearly always do the same with them: a count
of shifts is too large, a quotient does not fit, a comparison finds a difference at once, a return leads nowhere. The
functions here are called with all states of a batch: those in :data:`REGISTERS` before addresses are chosen, those in
:data:`MEMORY` when operands have their places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from conformance.case import CODE, DATA, DATA_END, LIMIT, LOW, READ_ONLY, STACK, STACK_END
from conformance.encodings import DOUBLE_SHIFTS, LOOPS, ROTATIONS, SHIFTS, Encoded, value
from conformance.operands import REGIONS, Places, extended, fill, pieces
from conformance.states import FSW, States, draw
from reference.flags import DF, GUEST_WRITABLE
from reference.isa.instruction import File, Immediate, Memory, Register
from reference.registers import EAX, EBP, EBX, ECX, EDI, EDX, EFLAGS, ESI, ESP, MASK32

Prepare = Callable[[States, Encoded], None]
Finish = Callable[[States, Encoded, Places], None]

REGISTERS: Final[dict[str, Prepare]] = {}
MEMORY: Final[dict[str, Finish]] = {}

BIT_TESTS: Final = frozenset({"bt", "bts", "btr", "btc"})
STRINGS: Final = frozenset({"movs", "cmps", "stos", "lods", "scas"})
#: What moves ESP, or uses the stack otherwise.
STACK_USERS: Final = frozenset({
    "push", "pop", "pusha", "popa", "pushf", "popf", "call", "ret", "enter", "leave",
})  # fmt: skip
#: MM of MXCSR on AMD's processors, a reserved bit on all others.
_MISALIGNED_MODE: Final = 1 << 17
_STRING_COMPARISONS: Final = tuple(f"{v}pcmp{ei}str{im}" for v in ("", "v") for ei in "ei" for im in "im")
_VECTOR_SHIFTS: Final = tuple(
    f"{v}ps{way}{size}" for v in ("", "v") for way in ("ll", "rl", "ra") for size in "wdq" if way != "ra" or size != "q"
)


def _registers(*mnemonics: str) -> Callable[[Prepare], Prepare]:
    def register(function: Prepare) -> Prepare:
        REGISTERS.update(dict.fromkeys(mnemonics, function))
        return function

    return register


def _memory(*mnemonics: str) -> Callable[[Finish], Finish]:
    def register(function: Finish) -> Finish:
        MEMORY.update(dict.fromkeys(mnemonics, function))
        return function

    return register


def _register_of(encoded: Encoded, number: int) -> int | None:
    """The number of an operand's general register, or None where it is in memory."""
    operand = encoded.instruction.operands[number]
    return operand.number if isinstance(operand, Register) and operand.file is File.GENERAL else None


def _put(states: States, number: int, register: int, size: int, value: int) -> None:
    """A part of a general register of one state: AH, CH, DH and BH are numbers 4 to 7 of size 1."""
    shift = 8 if size == 1 and register > 3 else 0
    register -= 4 if shift else 0
    mask = (1 << 8 * size) - 1 << shift
    states.words[number, register] = int(states.words[number, register]) & ~mask | value << shift & mask


def _take(states: States, number: int, register: int, size: int) -> int:
    shift = 8 if size == 1 and register > 3 else 0
    register -= 4 if shift else 0
    return int(states.words[number, register]) >> shift & (1 << 8 * size) - 1


# -- integers --------------------------------------------------------------------------------------------------------


@_registers(*SHIFTS, *ROTATIONS)
def _shift(states: States, encoded: Encoded) -> None:
    """Counts up to a little more than the width, mostly."""
    any_ = states.dice.u32(states.count)
    count = states.words[:, ECX] & ~np.uint32(0xFF) | any_ % 36
    states.words[:, ECX] = np.where(any_ >> 28 < 12, count, states.words[:, ECX])


@_registers(*DOUBLE_SHIFTS)
def _double_shift(states: States, encoded: Encoded) -> None:
    """Counts that the manual defines: none beyond 16 bits."""
    any_ = states.dice.u32(states.count)
    most = 17 if encoded.shape.operand_size == 2 else 32
    states.words[:, ECX] = states.words[:, ECX] & ~np.uint32(0xFF) | any_ % most | any_ >> 24 & 0xE0


@_registers("bextr", "bzhi", "shlx", "shrx", "sarx")
def _bit_field(states: States, encoded: Encoded) -> None:
    """Starts and lengths around the width."""
    third = _register_of(encoded, 2)
    assert third is not None
    any_ = states.dice.u32(states.count)
    field = states.words[:, third] & 0xFFFF_0000 | any_ % 40 | any_ // 40 % 40 << 8
    states.words[:, third] = np.where(any_ >> 28 < 12, field, states.words[:, third])


@_registers(*LOOPS)
def _loop(states: States, encoded: Encoded) -> None:
    counts = np.array((0, 1, 2, 0x1_0000, 0x1_0001, MASK32, 0xFFFF, 3), dtype=np.uint32)
    chosen = counts[states.dice.below(len(counts), states.count)]
    states.words[:, ECX] = np.where(states.dice.u8(states.count) < 200, chosen, states.words[:, ECX])


@_registers(*BIT_TESTS)
def _bit_test(states: States, encoded: Encoded) -> None:
    """In memory, bits about the operand that the offset leads to; seldom far away."""
    register = _register_of(encoded, 1) if isinstance(encoded.instruction.operands[1], Register) else None
    if register is None or not encoded.shape.memory:
        return
    any_ = states.dice.u32(states.count)
    near = (any_ & 0xFFF).astype(np.int64) - 0x800
    states.words[:, register] = np.where(any_ >> 28 > 0, near & MASK32, any_).astype(np.uint32)


@_memory(*BIT_TESTS)
def _bit_test_memory(states: States, encoded: Encoded, places: Places) -> None:
    if isinstance(encoded.instruction.operands[1], Register):
        fill(states, places, 0x100, 0x110)


@_registers("div", "idiv")
def _divide(states: States, encoded: Encoded) -> None:
    """A dividend whose quotient fits, or just does not; the divisor is put into its register, or remembered in EAX's
    stead by :func:`_divide_memory`."""
    operand = encoded.instruction.operands[0]
    assert isinstance(operand, Register | Memory)
    register = _register_of(encoded, 0)
    size = operand.size
    for number in range(states.count):
        if states.rng.randrange(4) == 0:
            continue
        divisor = value(states.rng) & (1 << 8 * size) - 1 or 1
        if register is not None:
            if register in (EAX, EDX, ESP) or (size == 1 and register & 3 in (EAX, EDX)):
                continue
            _put(states, number, register, size, divisor)
            _put_dividend(states, encoded, number, divisor, size)


@_memory("div", "idiv")
def _divide_memory(states: States, encoded: Encoded, places: Places) -> None:
    operand = encoded.instruction.operands[0]
    if not isinstance(operand, Memory):
        return
    for number, address in enumerate(places.tolist()):
        if address >= 0 and states.rng.randrange(4):
            divisor = value(states.rng) & (1 << 8 * operand.size) - 1 or 1
            states.poke(number, address, divisor.to_bytes(operand.size, "little"))
            _put_dividend(states, encoded, number, divisor, operand.size)


def _put_dividend(states: States, encoded: Encoded, number: int, divisor: int, size: int) -> None:
    rng = states.rng
    half = 1 << 8 * size
    quotient = value(rng) & half - 1
    if encoded.instruction.mnemonic == "div":
        quotient += half * (rng.randrange(8) == 0)
        dividend = quotient * divisor + rng.choice((0, divisor - 1, rng.randrange(divisor)))
    else:
        quotient = rng.choice((quotient - half // 2,) * 6 + (half // 2, -half // 2 - 1))
        signed = (divisor ^ half // 2) - half // 2
        dividend = quotient * signed + rng.choice((0, 1, -1)) * rng.randrange(abs(signed))
    dividend &= half * half - 1
    if size == 1:
        _put(states, number, EAX, 2, dividend)
    else:
        _put(states, number, EAX, size, dividend & half - 1)
        _put(states, number, EDX, size, dividend >> 8 * size)


@_registers("cmpxchg")
def _compare_exchange(states: States, encoded: Encoded) -> None:
    """The accumulator is what it is compared with, in half of the states."""
    operand, register = encoded.instruction.operands[0], _register_of(encoded, 0)
    assert isinstance(operand, Register | Memory)
    if register is not None:
        for number in np.flatnonzero(states.dice.chance(0.5, states.count)).tolist():
            _put(states, number, EAX, operand.size, _take(states, number, register, operand.size))


@_memory("cmpxchg")
def _compare_exchange_memory(states: States, encoded: Encoded, places: Places) -> None:
    operand = encoded.instruction.operands[0]
    if isinstance(operand, Memory):
        accumulators = states.words[:, EAX].astype("<u4").view(np.uint8).reshape(-1, 4)[:, : operand.size]
        for number, address, content in pieces(states, places, accumulators):
            if number & 1:
                states.poke(number, address, content)


@_memory("cmpxchg8b")
def _compare_exchange_8b(states: States, encoded: Encoded, places: Places) -> None:
    pair = states.words[:, [EAX, EDX]].astype("<u4", order="C").view(np.uint8).reshape(-1, 8)
    for number, address, content in pieces(states, places, pair):
        if number & 1:
            states.poke(number, address, content)


@_memory("bound")
def _bounds(states: States, encoded: Encoded, places: Places) -> None:
    size, register = encoded.shape.operand_size, _register_of(encoded, 0)
    assert register is not None
    mask, half = (1 << 8 * size) - 1, 1 << 8 * size - 1
    for number, address in enumerate(places.tolist()):
        if states.rng.randrange(4):
            signed = (_take(states, number, register, size) ^ half) - half
            lower, upper = signed - states.rng.randrange(3), signed + states.rng.randrange(3)
            states.poke(
                number, address, (lower & mask).to_bytes(size, "little") + (upper & mask).to_bytes(size, "little")
            )


@_memory("xlat")
def _translate(states: States, encoded: Encoded, places: Places) -> None:
    """XLAT adds AL to EBX; the table is in the middle of the data or around an edge."""
    low = encoded.shape.address_size == 2
    any_ = states.dice.u32(states.count).astype(np.int64)
    edges = np.array((DATA_END - 4, DATA, READ_ONLY, DATA + 0x1000), dtype=np.int64)
    middle = (LOW if low else DATA) + 0x800 + (any_ & 0x1FF)
    chosen = middle if low else np.where(any_ >> 28 == 0, edges[any_ >> 12 & 3] + (any_ & 7), middle)
    high = any_ & 0xFFFF_0000 if low else 0
    start = chosen - (states.words[:, EAX] & 0xFF)
    states.words[:, EBX] = (start & (0xFFFF if low else MASK32) | high).astype(np.uint32)
    fill(states, chosen, 8, 8)


# -- strings ---------------------------------------------------------------------------------------------------------


@_registers(*STRINGS)
def _string(states: States, encoded: Encoded) -> None:
    """ESI and EDI near each other, overlapping often; one of them at an edge sometimes, not both: which of two faults CMPS
    reports is the processor's affair. Few repetitions, both directions, and few different values to compare."""
    rng, words, shape = states.rng, states.words, encoded.shape
    low = shape.address_size == 2
    compares = shape.mnemonic in ("cmps", "scas")
    for number in range(states.count):
        for register in (ESI, EDI):
            words[number, register] = (LOW if low else DATA) + 0x800 + rng.randrange(0x80)
        if not low and rng.randrange(6) == 0:
            edge = rng.choice((DATA_END - rng.randrange(40), DATA + rng.randrange(40), READ_ONLY + 0x20))
            words[number, rng.choice((ESI, EDI))] = edge
        if shape.repeat:
            words[number, ECX] = rng.choice((0, 1, 2, 3, rng.randrange(12), rng.randrange(24)))
        if low:
            for register in (ESI, EDI, *((ECX,) if shape.repeat else ())):
                words[number, register] |= rng.getrandbits(16) << 16
        if rng.randrange(3) == 0:
            words[number, EFLAGS] ^= DF
        if compares and shape.repeat:
            few = rng.choice((b"\0", b"\0\0\0\0\0\1", b"\xff\xff\xff\xff\xff\xfe"))
            content = bytes(rng.choices(few, k=0x200))
            if rng.randrange(2):
                words[number, EAX] = rng.choice((0, MASK32))
        else:
            content = rng.randbytes(0x200)
        states.window(number, (LOW if low else DATA) + 0x780, content[:0x180])
        if not low:
            states.window(number, DATA, content[0x180:0x1E0])
            states.window(number, DATA_END - 0x60, content[0x1A0:])


# -- stack and control -----------------------------------------------------------------------------------------------


@_registers("leave", "enter")
def _frame(states: States, encoded: Encoded) -> None:
    """EBP in the stack, with the frame pointers that ENTER copies below it."""
    any_ = states.dice.u32(states.count)
    states.words[:, EBP] = STACK + 0x400 + (any_ & 0x1FC) + (any_ >> 28 & 3) * (any_ >> 30 == 0)
    for number, frame in enumerate(states.words[:, EBP].tolist()):
        states.window(number, frame - 0x90, states.rng.randbytes(0xA0))


def stack_edges(states: States) -> None:
    """ESP about an end of memory, in a state or two of a batch."""
    ends = np.array((STACK, STACK_END, DATA, DATA_END, READ_ONLY + 0x800, LIMIT), dtype=np.int64)
    any_ = states.dice.u32(states.count)
    tops = ends[any_ % len(ends)] + (any_ >> 8 & 0x3F).astype(np.int64) - 0x20
    states.words[:, ESP] = np.where(any_ >> 27 == 0, tops.astype(np.uint32), states.words[:, ESP])


def stack_window(states: States) -> None:
    """Content about the top of the stack."""
    for number, top in enumerate(states.words[:, ESP].tolist()):
        start, end = max(top - 0x20, STACK), min(top + 0x40, STACK_END)
        if STACK <= start < end <= STACK_END:
            states.window(number, start, states.rng.randbytes(end - start))


def _code_address(states: States) -> int:
    return CODE + states.rng.randrange(0x7F0)


@_memory("ret")
def _return(states: States, encoded: Encoded, places: Places) -> None:
    for number, top in enumerate(states.words[:, ESP].tolist()):
        states.poke(number, top, _code_address(states).to_bytes(4, "little"))


@_memory("popf")
def _pop_flags(states: States, encoded: Encoded, places: Places) -> None:
    for number, top in enumerate(states.words[:, ESP].tolist()):
        flags = states.rng.getrandbits(32) & GUEST_WRITABLE | 0x202
        states.poke(number, top, flags.to_bytes(4, "little"))


@_registers("jmp", "call")
def _indirect(states: States, encoded: Encoded) -> None:
    register = _register_of(encoded, 0)
    if register is not None:
        for number in range(states.count):
            states.words[number, register] = _code_address(states)


@_memory("jmp", "call")
def _indirect_memory(states: States, encoded: Encoded, places: Places) -> None:
    for number, address in enumerate(places.tolist()):
        if address >= 0:
            states.poke(number, address, _code_address(states).to_bytes(4, "little"))


# -- vectors ---------------------------------------------------------------------------------------------------------


def _vector_numbers(encoded: Encoded) -> list[int | None]:
    return [
        operand.number if isinstance(operand, Register) and operand.file in (File.XMM, File.YMM) else None
        for operand in encoded.instruction.operands
    ]


@_memory(*_VECTOR_SHIFTS)
def _vector_shift(states: States, encoded: Encoded, places: Places) -> None:
    """The count is the low quadword of the last operand: one about the width of a lane, mostly."""
    if isinstance(encoded.instruction.operands[-1], Immediate):
        return
    rng = states.rng
    operand = encoded.instruction.operands[-1]
    for number in np.flatnonzero(states.dice.chance(0.8, states.count)).tolist():
        count = rng.randrange(70) | (1 << rng.randrange(64) if rng.randrange(12) == 0 else 0)
        content = count.to_bytes(8, "little")
        if isinstance(operand, Memory):
            states.poke(number, int(places[number]), content)
        elif isinstance(operand, Register) and states.fp is not None:
            at = 160 + 16 * operand.number
            if operand.file is File.MMX:
                top = int(states.fp[number, FSW.start + 1]) >> 3 & 7
                at = 32 + 16 * (operand.number - top & 7)
            states.fp[number, at : at + 8] = np.frombuffer(content, dtype=np.uint8)


@_memory(*_STRING_COMPARISONS)
def _string_comparison(states: States, encoded: Encoded, places: Places) -> None:
    """Texts of few characters, among them ends; lengths about those of the registers."""
    count, rng = states.count, states.rng
    alphabet = np.frombuffer(
        bytes(rng.choices(b"abc\0\1\x80\xff", k=4)) * 8 + b"\0" + rng.randbytes(31), dtype=np.uint8
    )
    assert states.fp is not None
    for operand in encoded.instruction.operands[:2]:
        text = alphabet[states.dice.below(40, count, 16)]
        if isinstance(operand, Register):
            states.set_vector(operand.number, text)
        else:
            for number, address, content in pieces(states, places, text):
                states.poke(number, address, content)
    if "estr" in encoded.instruction.mnemonic:
        any_ = states.dice.u32(count, 2)
        short = (any_ & 0x3F).astype(np.int64) - 0x1F
        states.words[:, [EAX, EDX]] = np.where(any_ >> 29 > 0, short & MASK32, any_).astype(np.uint32)


@_memory("ldmxcsr", "vldmxcsr")
def _load_mxcsr(states: States, encoded: Encoded, places: Places) -> None:
    """Mostly without the reserved bits that make it fault; never with bit 17, which AMD's processors have."""
    for number, address in enumerate(places.tolist()):
        content = states.rng.getrandbits(16) | (1 << states.rng.randrange(32) if states.rng.randrange(6) == 0 else 0)
        states.poke(number, address, (content & ~_MISALIGNED_MODE).to_bytes(4, "little"))


def multiply_add(states: States, encoded: Encoded) -> None:
    """Of fused multiply-adds: an addend that nearly cancels the product, where all three are registers."""
    numbers = [number for number in _vector_numbers(encoded) if number is not None]
    if len(set(numbers)) != 3 or states.fp is None:
        return
    kind = np.float32 if states.kind == "single" else np.float64
    first, second, third = numbers
    order = encoded.instruction.mnemonic
    a, b, c = {"132": (first, third, second), "213": (second, first, third), "231": (second, third, first)}[
        next(each for each in ("132", "213", "231") if each in order)
    ]
    with np.errstate(all="ignore"):
        product = states.vector(a).view(kind) * states.vector(b).view(kind)
    keep = states.dice.chance(0.6, states.count)[:, None]
    addend = np.where(keep, states.vector(c), np.ascontiguousarray(product).view(np.uint8) ^ _signs(states, kind))
    states.set_vector(c, addend)


def _signs(states: States, kind: type[np.floating]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Bytes that change the sign of some lanes, and now and then the last bit."""
    size = np.dtype(kind).itemsize
    found = np.zeros((states.count, 32 // size, size), dtype=np.uint8)
    any_ = states.dice.u8(states.count, 32 // size)
    found[:, :, -1] = (any_ & 1) << 7
    found[:, :, 0] = any_ >> 1 & 1
    return found.reshape(states.count, 32)


# -- x87 and saved state ---------------------------------------------------------------------------------------------


def _set_st(states: States, register: int, content: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    assert states.fp is not None
    states.fp[:, 32 + 16 * register : 42 + 16 * register] = content


def _with_exponents(states: States, register: int, low: int, high: int) -> None:
    """Most states: an exponent in a range, the rest of the register as it is."""
    assert states.fp is not None
    at = 32 + 16 * register
    fields = states.fp[:, at + 8 : at + 10].copy().view("<u2").reshape(-1)
    exponent = 0x3FFF + low + states.dice.below(high - low, states.count)
    fields = np.where(states.dice.chance(0.6, states.count), fields & 0x8000 | exponent, fields)
    states.fp[:, at + 8 : at + 10] = fields.astype("<u2").view(np.uint8).reshape(-1, 2)


@_registers("f2xm1")
def _power(states: States, encoded: Encoded) -> None:
    _with_exponents(states, 0, -70, 0)


@_registers("fsin", "fcos", "fsincos", "fptan", "fyl2xp1", "fyl2x", "fpatan")
def _transcendental(states: States, encoded: Encoded) -> None:
    _with_exponents(states, 0, -66, 66)
    _with_exponents(states, 1, -66, 66)


@_registers("fscale")
def _scale(states: States, encoded: Encoded) -> None:
    """Integers for scales, small ones and such that overflow."""
    _with_exponents(states, 1, -3, 16)


@_registers("fprem", "fprem1")
def _remainder(states: States, encoded: Encoded) -> None:
    """Exponents so near each other that the reduction is complete, or just not."""
    assert states.fp is not None
    lower = states.fp[:, 56:58].copy().view("<u2").reshape(-1).astype(np.int64)
    exponent = np.clip((lower & 0x7FFF) + states.dice.below(70, states.count) - 3, 0, 0x7FFE)
    upper = np.where(states.dice.chance(0.8, states.count), exponent | lower & 0x8000, lower)
    states.fp[:, 40:42] = upper.astype("<u2").view(np.uint8).reshape(-1, 2)


@_memory("fld", "fstp")
def _extended_operand(states: States, encoded: Encoded, places: Places) -> None:
    operand = encoded.instruction.operands[0]
    if isinstance(operand, Memory) and operand.size == 10:
        for number, address, content in pieces(states, places, extended(states)):
            states.poke(number, address, content)


@_memory("fbld")
def _decimal_operand(states: States, encoded: Encoded, places: Places) -> None:
    """Decimal digits; seldom some that are none."""
    any_ = states.dice.u8(states.count, 10)
    digits = any_ % 10 | any_ // 10 % 10 << 4
    digits[:, 9] = any_[:, 9] & 0x80 | any_[:, 9] >> 7 * (any_[:, 0] > 8)
    content = np.where(states.dice.chance(0.9, states.count)[:, None], digits, states.dice.u8(states.count, 10))
    for number, address, piece in pieces(states, places, content):
        states.poke(number, address, piece)


def _images(states: States) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    other = draw(states.count, states.dice, kind=states.kind, vectors=range(8), width=32, x87=True)
    assert other.fp is not None
    return other.fp


@_memory("fxrstor", "xrstor")
def _restore(states: States, encoded: Encoded, places: Places) -> None:
    """An image to be restored: mostly one that could have been saved; sometimes with reserved bits set that fault."""
    images = _images(states)
    size, rng = (512 if encoded.instruction.mnemonic == "fxrstor" else 832), states.rng
    for number, address in enumerate(places.tolist()):
        image = bytearray(images[number].tobytes())
        image[512:520] = rng.choice((7, 7, rng.randrange(8))).to_bytes(8, "little")
        if size > 512 and rng.randrange(8) == 0:
            image[520 + rng.randrange(8)] = 1 << rng.randrange(8)
        elif rng.randrange(12) == 0:
            image[rng.choice((26, 27, 512, 519, 528))] ^= 1 << rng.choice((0, 2, 3, 4, 5, 6, 7))
        _write(states, number, address, bytes(image[:size]))


@_memory("frstor", "fldenv")
def _load_environment(states: States, encoded: Encoded, places: Places) -> None:
    """The environment in the format of the operand size (SDM volume 1, section 8.1.10), without pending exceptions."""
    images = _images(states)
    wide = encoded.shape.operand_size == 4
    registers = encoded.instruction.mnemonic == "frstor"
    for number, address in enumerate(places.tolist()):
        image = images[number].tobytes()
        control, status = int.from_bytes(image[0:2], "little"), int.from_bytes(image[2:4], "little")
        words = [control, status, states.rng.getrandbits(16)]
        step = 4 if wide else 2
        content = b"".join(word.to_bytes(step, "little") for word in words).ljust(28 if wide else 14, b"\0")
        if registers:
            content += b"".join(image[32 + 16 * i : 42 + 16 * i] for i in range(8))
        _write(states, number, address, content)


@_registers("xsave", "xrstor", "xsaveopt", "xsavec")
def _components(states: States, encoded: Encoded) -> None:
    """Which state components: all, some, none, and such as do not exist."""
    any_ = states.dice.u32(states.count)
    states.words[:, EAX] = np.where(any_ >> 30 > 0, any_ & 7, any_)
    states.words[:, EDX] = np.where(any_ >> 28 > 2, 0, states.words[:, EDX])


def _write(states: States, number: int, address: int, content: bytes) -> None:
    """Put content into memory instead of what is there, as far as there is memory."""
    for low, high in REGIONS:
        start, end = max(address, low), min(address + len(content), high)
        if start < end:
            states.memory[number] = {start: bytearray(content[start - address : end - address])}
