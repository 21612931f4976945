"""Cases for the integer instructions: every encoding of the table, with boundary and random operands.

    for shape in shapes():
        for case in cases(shape, 200, seed=1): ...

The same seed gives the same cases on every machine. About one memory operand in ten is chosen so that it faults.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

from conformance.case import (
    CODE,
    DATA,
    DATA_END,
    ENTRY,
    LOW,
    READ_ONLY,
    STACK,
    Case,
)
from conformance.integer_encodings import ROTATIONS, SHIFTS, Encoded, Shape, encode, good_or_bad_address, shapes, value
from reference.flags import AF, CF, DF, GUEST_WRITABLE, OF, STATUS
from reference.registers import EAX, EBP, EBX, ECX, EDI, EDX, ESI, ESP, MASK32

__all__ = ["Shape", "cases", "shapes"]

BIT_TESTS: Final = frozenset({"bt", "bts", "btr", "btc"})
STRINGS: Final = frozenset({"movs", "cmps", "stos", "lods", "scas"})


def cases(shape: Shape, count: int, seed: int = 1) -> Iterator[Case]:
    """``count`` cases of one shape. Several in a row share their bytes and differ in registers and memory."""
    rng = random.Random(f"{seed} {shape.label}")  # noqa: S311 - reproducible, not secret
    encoding: Encoded | None = None
    for number in range(count):
        if encoding is None or number % 8 == 0:
            encoding = encode(shape, rng)
        yield _Maker(shape, encoding, rng).make()


class _Maker:
    """Registers and memory for one encoded instruction."""

    def __init__(self, shape: Shape, encoded: Encoded, rng: random.Random) -> None:
        self.shape = shape
        self.encoded = encoded
        self.rng = rng
        self.mnemonic = shape.mnemonic
        self.regs = [value(rng) for _ in range(8)]
        # An ESP that is valid whatever else it is: signal handlers and debuggers like one.
        self.regs[ESP] = STACK + 0x800 + 4 * rng.randrange(32)
        if rng.randrange(8) == 0:
            self.regs[ESP] += rng.randrange(4)
        self.flags = 0x202 | rng.getrandbits(12) & STATUS
        self.contents: dict[int, bytearray] = {}
        self.operand_address: int | None = None
        self.divisor: int | None = None
        first = shape.form.operands[0] if shape.form.operands else None
        self.width = 1 if first is not None and first.memory_size == "b" else shape.operand_size

    def make(self) -> Case:
        shape, mnemonic = self.shape, self.mnemonic
        self._special_registers()
        if shape.memory and mnemonic not in STRINGS:
            self._place_operand()
        self._fill_memory()
        self._special_memory()
        return Case(
            label=shape.label,
            code=self.encoded.code,
            words=(*(value & MASK32 for value in self.regs), ENTRY, self.flags),
            memory=tuple((address, bytes(content)) for address, content in self.contents.items()),
            undefined=self._undefined(),
            undefined_if_trapped=STATUS if mnemonic in ("cmps", "scas") and shape.repeat else 0,
            partial_if_trapped=mnemonic in ("pusha", "popa", "enter"),
            repeats=bool(shape.repeat),
        )

    # -- registers -----------------------------------------------------------------------------------------------

    def _special_registers(self) -> None:
        rng, regs, mnemonic = self.rng, self.regs, self.mnemonic
        if mnemonic in STRINGS:
            self._string_registers()
        elif mnemonic in SHIFTS | ROTATIONS and rng.randrange(4):
            regs[ECX] = regs[ECX] & ~0xFF | rng.randrange(36)
        elif mnemonic in ("shld", "shrd"):
            most = 17 if self.shape.operand_size == 2 else 32
            regs[ECX] = regs[ECX] & ~0xFF | rng.randrange(most) | rng.choice((0, 0x20, 0xC0))
        elif mnemonic in ("div", "idiv") and rng.randrange(4):
            self._dividend()
        elif mnemonic in ("leave", "enter"):
            regs[EBP] = STACK + 0x400 + 4 * rng.randrange(128) + (rng.randrange(4) if rng.randrange(8) == 0 else 0)
        elif mnemonic.startswith("loop") or mnemonic == "jecxz":
            regs[ECX] = rng.choice((0, 1, 2, 0x1_0000, 0x1_0001, 0xFFFF_FFFF, value(rng)))
        elif mnemonic in BIT_TESTS and self.shape.memory and self.encoded.immediate == b"":
            span = 8 * 0x100 if rng.randrange(16) else 1 << 31
            regs[self.encoded.reg] = rng.randrange(-span, span) & MASK32
        if mnemonic in ("cmpxchg", "jmp", "call", "bextr", "bzhi", "pusha"):
            self._special_pairs()
        if mnemonic in ("bextr", "bzhi", "shlx", "shrx", "sarx") and rng.randrange(4):
            regs[self.encoded.third] = regs[self.encoded.third] & ~0xFFFF | rng.randrange(40) | rng.randrange(40) << 8

    def _special_pairs(self) -> None:
        rng, regs, rm = self.rng, self.regs, self.encoded.rm
        if rm is None:
            return
        if self.mnemonic == "cmpxchg" and rng.randrange(2):
            if self.width == 1 and rm >= 4:
                regs[EAX] = regs[EAX] & ~0xFF | regs[rm - 4] >> 8 & 0xFF
            else:
                regs[EAX] = regs[rm]
        if self.mnemonic in ("jmp", "call"):
            regs[rm] = CODE + rng.randrange(0x7F0)

    def _string_registers(self) -> None:
        rng, regs, shape = self.rng, self.regs, self.shape
        low = shape.address_size == 2
        for register in (ESI, EDI):
            regs[register] = rng.randrange(LOW + 0x800, LOW + 0x880) if low else DATA + 0x800 + rng.randrange(0x80)
            if low:
                regs[register] |= rng.getrandbits(16) << 16
        if not low and rng.randrange(6) == 0:
            # One of them at an edge, not both: which of two faults CMPS reports is the processor's affair.
            edge = rng.choice((DATA_END - rng.randrange(40), DATA + rng.randrange(40), READ_ONLY + 0x20))
            regs[rng.choice((ESI, EDI))] = edge
        if shape.repeat:
            regs[ECX] = rng.choice((0, 1, 2, 3, rng.randrange(12), rng.randrange(24)))
            if low:
                regs[ECX] |= rng.getrandbits(16) << 16
        if rng.randrange(3) == 0:
            self.flags |= DF

    def _dividend(self) -> None:
        """A dividend whose quotient fits, or just does not."""
        rng, regs = self.rng, self.regs
        bits = 8 * self.width
        half = 1 << bits
        divisor = value(rng) & half - 1 or 1
        quotient = value(rng) & half - 1
        if self.mnemonic == "div":
            quotient += half * (rng.randrange(8) == 0)
            dividend = quotient * divisor + rng.choice((0, divisor - 1, rng.randrange(divisor)))
        else:
            quotient = rng.choice((quotient - half // 2,) * 6 + (half // 2, -half // 2 - 1))
            signed_divisor = (divisor ^ half // 2) - half // 2
            dividend = quotient * signed_divisor + rng.choice((0, 1, -1)) * rng.randrange(abs(signed_divisor))
        dividend &= half * half - 1
        if self.width == 1:
            regs[EAX] = regs[EAX] & ~0xFFFF | dividend
        else:
            regs[EAX] = regs[EAX] & ~(half - 1) | dividend & half - 1
            regs[EDX] = regs[EDX] & ~(half - 1) | dividend >> bits
        self.divisor = divisor
        rm = self.encoded.rm
        if rm is not None and rm not in (EAX, EDX, ESP) and self.width > 1:
            regs[rm] = regs[rm] & ~(half - 1) | divisor
        elif rm in (EBX, ECX) and self.width == 1:
            regs[rm] = regs[rm] & ~0xFF | divisor

    # -- memory --------------------------------------------------------------------------------------------------

    def _place_operand(self) -> None:
        """Choose registers so that the address in the encoding leads somewhere sensible."""
        shape, encoded, regs = self.shape, self.encoded, self.regs
        if self.mnemonic == "xlat":
            target = good_or_bad_address(shape, self.rng, 1)
            regs[EBX] = target - (regs[EAX] & 0xFF)
            if shape.address_size == 2:
                regs[EBX] = regs[EBX] & 0xFFFF | self.rng.getrandbits(16) << 16
            self.operand_address = target
            return
        wrap = MASK32 if shape.address_size == 4 else 0xFFFF
        target = good_or_bad_address(shape, self.rng, self.width)
        if encoded.base is not None:
            rest = encoded.displacement + (regs[encoded.index] * encoded.scale if encoded.index is not None else 0)
            if encoded.base == ESP and self.mnemonic == "pop":
                rest += shape.operand_size
            high = self.rng.getrandbits(16) << 16 if shape.address_size == 2 else 0
            regs[encoded.base] = (target - rest) & wrap | high
            if encoded.index == encoded.base:
                return
            self.operand_address = target
        elif encoded.index is not None:
            # displacement + index * scale: an index that comes close, the low bits as they fall.
            quotient = (target - encoded.displacement) // encoded.scale
            regs[encoded.index] = quotient & MASK32
            self.operand_address = encoded.displacement + quotient * encoded.scale & wrap
        else:
            self.operand_address = encoded.displacement

    def _fill_memory(self) -> None:
        rng, shape = self.rng, self.shape
        uses_stack = self.mnemonic in ("push", "pop", "pusha", "popa", "pushf", "popf", "call", "ret", "enter", "leave")
        if shape.memory:
            if shape.address_size == 2:
                self._window(LOW + 0x700, 0x400)
            else:
                self._window(DATA + 0x700, 0x400)
                self._window(DATA, 0xC0)
                self._window(DATA_END - 0xC0, 0xC0)
                self._window(READ_ONLY, 0x220)
        if uses_stack or self.encoded.base == ESP:
            self._window(STACK + 0x300, 0x700)
        if self.mnemonic in ("cmps", "scas") and shape.repeat:
            for content in self.contents.values():
                few = rng.choice((b"\0", b"\0\0\0\0\0\1", b"\xff\xff\xff\xff\xff\xfe"))
                content[:] = bytes(rng.choices(few, k=len(content)))
            if rng.randrange(2):
                self.regs[EAX] = rng.choice((0, MASK32))

    def _window(self, address: int, length: int) -> None:
        self.contents[address] = bytearray(self.rng.randbytes(length))

    def _poke(self, address: int | None, data: bytes) -> None:
        """Write into a window, if the address is wholly in one."""
        for start, content in self.contents.items():
            if address is not None and start <= address and address + len(data) <= start + len(content):
                content[address - start : address - start + len(data)] = data

    def _special_memory(self) -> None:
        rng, regs, mnemonic, where = self.rng, self.regs, self.mnemonic, self.operand_address
        top = regs[ESP]
        if mnemonic == "ret":
            self._poke(top, (CODE + rng.randrange(0x7F0)).to_bytes(4, "little"))
        elif mnemonic == "popf":
            self._poke(top, (rng.getrandbits(32) & GUEST_WRITABLE | 0x202).to_bytes(4, "little"))
        elif mnemonic in ("jmp", "call"):
            self._poke(where, (CODE + rng.randrange(0x7F0)).to_bytes(4, "little"))
        elif self.divisor is not None:
            self._poke(where, self.divisor.to_bytes(self.width, "little"))
        elif mnemonic == "cmpxchg" and rng.randrange(2):
            self._poke(where, regs[EAX].to_bytes(4, "little")[: self.width])
        elif mnemonic == "cmpxchg8b" and rng.randrange(2):
            self._poke(where, (regs[EDX] << 32 | regs[EAX]).to_bytes(8, "little"))
        elif mnemonic == "bound" and rng.randrange(4):
            self._bounds(where)
        elif rng.randrange(2) and where is not None:
            self._poke(where, value(rng).to_bytes(4, "little"))

    def _bounds(self, where: int | None) -> None:
        size = self.shape.operand_size
        value, half = self.regs[self.encoded.reg] & MASK32 >> 32 - 8 * size, 1 << 8 * size - 1
        signed = (value ^ half) - half
        lower, upper = signed - self.rng.randrange(3), signed + self.rng.randrange(3)
        mask = (1 << 8 * size) - 1
        self._poke(where, (lower & mask).to_bytes(size, "little") + (upper & mask).to_bytes(size, "little"))

    # -- flags ---------------------------------------------------------------------------------------------------

    def _undefined(self) -> int:
        """The undefined flags of exactly these operands; the table only knows those of some operands."""
        mnemonic, row = self.mnemonic, self.shape.form.row
        if mnemonic not in SHIFTS | ROTATIONS | {"shld", "shrd"}:
            return row.undefined
        last = row.operands[-1]
        if last == "1":
            count = 1
        elif last == "CL":
            count = self.regs[ECX] & 31
        else:
            count = self.encoded.immediate[-1] & 31
        if count == 0:
            return 0
        undefined = 0 if count == 1 else OF
        if mnemonic in ROTATIONS:
            return undefined
        if mnemonic in ("shl", "shr") and count >= 8 * self.width:
            undefined |= CF
        return undefined | AF
