"""Every encoding of the integer instructions, made from the instruction table itself.

A :class:`Shape` is a row of the table in one of its guises, :func:`shapes` lists them, and :func:`encode` makes random
bytes of one. A row that is added to the table is tested without further ado.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from conformance.case import DATA, DATA_END, LIMIT, LOW, LOW_END, READ_ONLY, STACK_END
from reference.isa.encoding import PREFIX_66, PREFIX_F2, PREFIX_F3, Space
from reference.isa.instruction import Kind
from reference.isa.lookup import FORMS, Form, ImmediateRule
from reference.isa.operands import EITHER, MEMORY_ONLY
from reference.policy import Group
from reference.registers import EAX, EBP, EBX, ECX, EDI, EDX, ESI, ESP, MASK32

#: Values at which carries, signs and widths turn over.
BOUNDARY: Final = (
    0, 1, 2, 3, 7, 8, 0xF, 0x10, 0x1F, 0x20, 0x7E, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x100, 0x7FFF, 0x8000, 0x8001, 0xFFFE,
    0xFFFF, 0x1_0000, 0x7FFF_FFFE, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE, 0xFFFF_FFFF,
)  # fmt: skip

_GROUPS: Final = frozenset({
    Group.BASE, Group.CMOV, Group.POPCNT, Group.LZCNT, Group.MOVBE, Group.BMI1, Group.BMI2, Group.ADX,
})  # fmt: skip
_OTHERS: Final = frozenset({"crc32", "movnti", "clflush", "lfence", "mfence", "sfence"})
#: Instructions without operands that nevertheless have an operand size.
_SIZED: Final = frozenset({"cwde", "cdq", "pusha", "popa", "pushf", "popf", "enter", "leave"})
SHIFTS: Final = frozenset({"shl", "shr", "sar"})
ROTATIONS: Final = frozenset({"rol", "ror", "rcl", "rcr"})
#: General registers that a mnemonic gives a meaning, and that an address should therefore leave alone.
_IMPLICIT: Final[dict[str, frozenset[int]]] = {
    **dict.fromkeys(("mul", "imul", "div", "idiv"), frozenset({EAX, EDX})),
    **dict.fromkeys((*SHIFTS, *ROTATIONS, "shld", "shrd"), frozenset({ECX})),
    **dict.fromkeys(("push", "pop", "call", "ret"), frozenset({ESP})),
    "cmpxchg": frozenset({EAX}),
    "cmpxchg8b": frozenset({EAX, EBX, ECX, EDX}),
    "mulx": frozenset({EDX}),
}
_MANDATORY: Final = {PREFIX_66: b"\x66", PREFIX_F3: b"\xf3", PREFIX_F2: b"\xf2"}
_ESCAPES: Final = {
    Space.ONE_BYTE: b"", Space.MAP_0F: b"\x0f", Space.MAP_0F38: b"\x0f\x38", Space.MAP_0F3A: b"\x0f\x3a",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """A row of the table in one of its guises: operand size, register or memory, prefixes."""

    form: Form
    operand_size: int
    memory: bool
    lock: bool = False
    repeat: int = 0
    address_size: int = 4

    @property
    def mnemonic(self) -> str:
        """Intel's name."""
        return self.form.row.mnemonic

    @property
    def label(self) -> str:
        """A name for reports; no two shapes share one."""
        row = self.form.row
        words = [row.opcode.strip(), row.mnemonic, ",".join(row.operands), str(8 * self.operand_size)]
        words += ["memory"] * self.memory + ["lock"] * self.lock + ["a16"] * (self.address_size == 2)
        if self.repeat:
            words.append("repne" if self.repeat == 0xF2 else "repe")
        return " ".join(word for word in words if word)


# -- which forms there are -------------------------------------------------------------------------------------------


def shapes() -> list[Shape]:
    """Every shape of every integer row whose effect is a function of the case alone."""
    found: list[Shape] = []
    for form in FORMS:
        row = form.row
        if row.group not in _GROUPS and row.mnemonic not in _OTHERS:
            continue
        if row.kind in (Kind.REFUSE, Kind.ASSIST) or (row.kind is Kind.TRAP and row.mnemonic != "into"):
            continue
        found += _shapes(form)
    return found


def _shapes(form: Form) -> Iterator[Shape]:
    codes = form.operands
    methods = {code.method for code in codes}
    scaled = any({code.size, code.memory_size} & {"v", "z", "bs", "a"} for code in codes)
    sizes = [4]
    if (scaled or form.row.mnemonic in _SIZED) and not form.near and PREFIX_66 in form.encoding.classes:
        sizes.append(2)
    either = not methods.isdisjoint(EITHER)
    # Only ModRM says whether an operand is in memory; a fixed ModRM byte says that it is not.
    implicit = not methods.isdisjoint({"X", "Y", "BB", "O"})
    by_modrm = not methods.isdisjoint(MEMORY_ONLY)
    for size in sizes:
        if implicit or by_modrm:
            yield Shape(form, size, True)
            yield Shape(form, size, True, address_size=2)
        elif either:
            yield Shape(form, size, False)
            yield Shape(form, size, True)
            yield Shape(form, size, True, address_size=2)
        else:
            yield Shape(form, size, False)
        if form.row.lock:
            yield Shape(form, size, True, lock=True)
        if form.row.rep:
            yield Shape(form, size, True, repeat=0xF3)
            yield Shape(form, size, True, repeat=0xF3, address_size=2)
        if form.row.rep == "repe":
            yield Shape(form, size, True, repeat=0xF2)
    if form.row.mnemonic in ("loop", "loope", "loopne", "jecxz"):
        yield Shape(form, 4, False, address_size=2)


# -- bytes -----------------------------------------------------------------------------------------------------------


def value(rng: random.Random) -> int:
    """A boundary value, a number of random length, or its complement."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(BOUNDARY)
    value = rng.getrandbits(rng.randint(1, 32)) if kind == 1 else rng.getrandbits(32)
    return value ^ MASK32 if kind == 2 else value


@dataclass(slots=True)
class Encoded:
    """Bytes, and how the address in them is made: base, index, scale and displacement of a memory operand."""

    code: bytes
    reg: int = 0
    rm: int | None = None
    third: int = 0
    base: int | None = None
    index: int | None = None
    scale: int = 1
    displacement: int = 0
    immediate: bytes = b""


def encode(shape: Shape, rng: random.Random) -> Encoded:
    """Random bytes of this shape."""
    form = shape.form
    encoding = form.encoding
    out = Encoded(b"")
    prefixes = b""
    if shape.lock:
        prefixes += b"\xf0"
    if shape.repeat:
        prefixes += bytes([shape.repeat])
    if shape.operand_size == 2 and encoding.classes != (PREFIX_66,):
        prefixes += b"\x66"
    if shape.address_size == 2:
        prefixes += b"\x67"
    tail = b""
    if encoding.has_modrm:
        tail = _encode_modrm(shape, rng, out)
    elif any(code.method == "O" for code in form.operands):
        out.displacement = good_or_bad_address(shape, rng, 4)
        tail = out.displacement.to_bytes(shape.address_size, "little")
    opcode = encoding.opcode + (rng.randrange(8) if encoding.plus_register else 0)
    if encoding.plus_register:
        out.reg = opcode & 7
    if encoding.space >= Space.VEX_0F:
        out.third = rng.randrange(8) if form.third else 0
        head = _vex(form, out.third)
    else:
        mandatory = _MANDATORY.get(encoding.classes[0], b"") if len(encoding.classes) == 1 else b""
        head = prefixes + mandatory + _ESCAPES[encoding.space]
    out.immediate = _immediate(shape, rng)
    out.code = head + bytes([opcode]) + tail + out.immediate
    return out


def _vex(form: Form, third: int) -> bytes:
    """The three-byte VEX prefix of a row."""
    encoding = form.encoding
    space = {Space.VEX_0F: 1, Space.VEX_0F38: 2, Space.VEX_0F3A: 3}[encoding.space]
    last = encoding.classes[0] | encoding.lengths[0] << 2 | (~third & 0xF) << 3 | encoding.widths[0] << 7
    return bytes([0xC4, 0xE0 | space, last])


def _encode_modrm(shape: Shape, rng: random.Random, out: Encoded) -> bytes:
    encoding = shape.form.encoding
    if encoding.fixed is not None:
        return bytes([encoding.fixed + (rng.randrange(8) if encoding.any_rm else 0)])
    out.reg = rng.randrange(8) if encoding.digit is None else encoding.digit
    if not shape.memory:
        out.rm = rng.randrange(8)
        if shape.form.near and out.rm == ESP:  # CALL ESP would push onto the code page
            out.rm = EBP
        return bytes([0xC0 | out.reg << 3 | out.rm])
    if shape.address_size == 2:
        return _encode_address_16(rng, out)
    return _encode_address_32(shape, rng, out)


def _encode_address_16(rng: random.Random, out: Encoded) -> bytes:
    pairs = ((EBX, ESI), (EBX, EDI), (EBP, ESI), (EBP, EDI), (ESI, None), (EDI, None), (EBP, None), (EBX, None))
    mod, rm = rng.randrange(3), rng.randrange(8)
    out.base, out.index = pairs[rm]
    size = mod
    if mod == 0 and rm == 6:
        out.base, size = None, 2
        out.displacement = rng.randrange(LOW, LOW_END - 0x100)
    elif size:
        out.displacement = rng.getrandbits(8 * size)
    modrm = bytes([mod << 6 | out.reg << 3 | rm])
    field = out.displacement.to_bytes(size, "little")
    if size == 1 and out.displacement & 0x80:
        out.displacement |= 0xFF00
    return modrm + field


def _encode_address_32(shape: Shape, rng: random.Random, out: Encoded) -> bytes:
    avoid = _IMPLICIT.get(shape.mnemonic, frozenset())
    free = [number for number in range(8) if number not in avoid]
    kind = rng.choice(("base", "base", "sib", "sib", "index", "absolute"))
    if kind == "absolute":
        out.displacement = good_or_bad_address(shape, rng, 4)
        return bytes([out.reg << 3 | 5]) + out.displacement.to_bytes(4, "little")
    if kind == "index":
        out.index, shift = rng.choice([number for number in free if number != ESP]), rng.randrange(4)
        out.scale = 1 << shift
        out.displacement = value(rng)
        sib = shift << 6 | out.index << 3 | 5
        return bytes([out.reg << 3 | 4, sib]) + out.displacement.to_bytes(4, "little")
    out.base = rng.choice(free)
    sib_byte = b""
    if kind == "sib" or out.base == ESP:
        # An index other than the base: the base is then free to make up for it.
        index = rng.choice([number for number in range(8) if number not in (ESP, out.base)])
        shift = rng.randrange(4)
        if kind == "sib":
            out.index, out.scale = index, 1 << shift
        sib_byte = bytes([shift << 6 | (index if kind == "sib" else 4) << 3 | out.base])
    mod = rng.choice((1, 2)) if out.base == EBP else rng.randrange(3)
    size = (0, 1, 4)[mod]
    out.displacement = rng.getrandbits(8 * size) if size else 0
    modrm = bytes([mod << 6 | out.reg << 3 | (4 if sib_byte else out.base)])
    field = out.displacement.to_bytes(size, "little")
    if size == 1 and out.displacement & 0x80:
        out.displacement |= 0xFFFF_FF00
    return modrm + sib_byte + field


def _immediate(shape: Shape, rng: random.Random) -> bytes:
    rule, mnemonic = shape.form.immediate, shape.mnemonic
    if rule in (ImmediateRule.NONE, ImmediateRule.OFFSET):
        return b""
    if shape.form.near or mnemonic.startswith("loop") or mnemonic == "jecxz":  # never back onto itself
        if rule is ImmediateRule.BYTE:
            return bytes([rng.randrange(0xF0)])
        if rule is ImmediateRule.OPERAND:
            return (rng.choice((-1, 1)) * rng.randrange(0x10, 0x700) & MASK32).to_bytes(4, "little")
        return rng.randrange(64).to_bytes(2, "little")  # RET
    if rule is ImmediateRule.WORD_BYTE:  # ENTER
        return rng.randrange(128).to_bytes(2, "little") + bytes([rng.choice((0, 1, 2, 3, 31, 32, 35))])
    if rule is ImmediateRule.BYTE:
        if mnemonic in ("shld", "shrd") and shape.operand_size == 2:
            return bytes([rng.randrange(17) | rng.choice((0, 0x20, 0xE0))])
        if mnemonic in SHIFTS | ROTATIONS | {"shld", "shrd"} and rng.randrange(4):
            return bytes([rng.randrange(34)])
        return bytes([value(rng) & 0xFF])
    size = 2 if rule is ImmediateRule.WORD else shape.operand_size
    return (value(rng) & (1 << 8 * size) - 1).to_bytes(size, "little")


def good_or_bad_address(shape: Shape, rng: random.Random, size: int) -> int:
    """An address for a memory operand: mostly good, sometimes one that faults or is about to."""
    if shape.address_size == 2:
        return rng.randrange(LOW + 0x800, LOW + 0xA00)
    kind = rng.randrange(40)
    if kind == 0:
        return rng.choice((DATA - 0x1000, DATA_END, STACK_END, LIMIT - 0x1000)) + rng.randrange(0x800)
    if kind == 1:
        return DATA_END - rng.randrange(1, 9)
    if kind == 2:
        return READ_ONLY + rng.randrange(0x200)
    if kind == 3:
        return rng.choice((LIMIT - rng.randrange(1, 9), LIMIT + rng.getrandbits(8), MASK32 - rng.randrange(12)))
    if kind == 4:
        return DATA + rng.randrange(8)
    return DATA + 0x800 + rng.randrange(0x200)
