"""Encodings to order, made from the instruction table itself.

A :class:`Shape` is a row of the table in one of its guises, :func:`shapes` lists them, and :func:`encode` makes random
bytes of one. A row that is added to the table is tested without further ado.

What comes out is decoded again before it is handed on, so that whoever fills registers and memory for it knows its
operands. That the decoder reads it as it should is another matter: the processor tells.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from conformance.case import CODE, DATA, DATA_END, ENTRY, LIMIT, LOW, LOW_END, READ_ONLY, STACK_END
from reference.isa.decode import decode
from reference.isa.encoding import PREFIX_66, PREFIX_F2, PREFIX_F3, Space
from reference.isa.instruction import Instruction, InvalidOpcode, Kind, Memory
from reference.isa.lookup import FORMS, Form, ImmediateRule
from reference.isa.operands import EITHER, MEMORY_ONLY, REGISTER_ONLY
from reference.policy import Group, Policy
from reference.registers import EAX, EBP, EBX, ECX, EDX, ESP, MASK32

#: Values at which carries, signs and widths turn over.
BOUNDARY: Final = (
    0, 1, 2, 3, 7, 8, 0xF, 0x10, 0x1F, 0x20, 0x7E, 0x7F, 0x80, 0x81, 0xFE, 0xFF, 0x100, 0x7FFF, 0x8000, 0x8001, 0xFFFE,
    0xFFFF, 0x1_0000, 0x7FFF_FFFE, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE, 0xFFFF_FFFF,
)  # fmt: skip

#: Everything is admitted in generated cases; those with a GS override have a thread pointer as well.
POLICY: Final = Policy.everything()
POLICY_WITH_GS: Final = Policy(POLICY.groups, thread_pointer=True)

#: Instructions without operands that nevertheless have an operand size.
_SIZED: Final = frozenset({"cwde", "cdq", "pusha", "popa", "pushf", "popf", "enter", "leave"})
SHIFTS: Final = frozenset({"shl", "shr", "sar"})
ROTATIONS: Final = frozenset({"rol", "ror", "rcl", "rcr"})
DOUBLE_SHIFTS: Final = frozenset({"shld", "shrd"})
LOOPS: Final = frozenset({"loop", "loope", "loopne", "jecxz"})
#: What stores at DS:EDI without saying so in an operand, and how many bytes.
MASKED_STORES: Final = {"maskmovq": 8, "maskmovdqu": 16, "vmaskmovdqu": 16}
#: General registers that a mnemonic gives a meaning, and that an address should therefore leave alone.
_IMPLICIT: Final[dict[str, frozenset[int]]] = {
    **dict.fromkeys(("mul", "imul", "div", "idiv"), frozenset({EAX, EDX})),
    **dict.fromkeys((*SHIFTS, *ROTATIONS, *DOUBLE_SHIFTS), frozenset({ECX})),
    **dict.fromkeys(("push", "pop", "call", "ret"), frozenset({ESP})),
    **dict.fromkeys(("xsave", "xrstor", "xsaveopt", "xsavec"), frozenset({EAX, EDX})),
    **dict.fromkeys(("pcmpestri", "pcmpestrm", "vpcmpestri", "vpcmpestrm"), frozenset({EAX, EDX})),
    "cmpxchg": frozenset({EAX}),
    "cmpxchg8b": frozenset({EAX, EBX, ECX, EDX}),
    "mulx": frozenset({EDX}),
}
_MANDATORY: Final = {PREFIX_66: b"\x66", PREFIX_F3: b"\xf3", PREFIX_F2: b"\xf2"}
_ESCAPES: Final = {
    Space.ONE_BYTE: b"", Space.MAP_0F: b"\x0f", Space.MAP_0F38: b"\x0f\x38", Space.MAP_0F3A: b"\x0f\x3a",
}  # fmt: skip
_SCALED: Final = frozenset({"v", "z", "bs", "a", "en", "sv"})
#: Prefixes that mean nothing, or nothing new: ES, SS and DS overrides, and repetitions of those that are there.
_NO_OPS: Final = b"\x26\x36\x3e"
_GS: Final = 0x65


@dataclass(frozen=True, slots=True)
class Shape:
    """A row of the table in one of its guises: operand size, register or memory, prefixes, VEX.W and VEX.L."""

    form: Form
    operand_size: int
    memory: bool
    lock: bool = False
    repeat: int = 0
    address_size: int = 4
    width: int = 0
    length: int = 0

    @property
    def mnemonic(self) -> str:
        """Intel's name."""
        return self.form.row.mnemonic

    @property
    def row(self) -> int:
        """The index of the row."""
        return self.form.row.index

    @property
    def vex(self) -> bool:
        """Whether it has a VEX prefix."""
        return self.form.encoding.space >= Space.VEX_0F

    @property
    def label(self) -> str:
        """A name for reports; no two shapes share one."""
        row = self.form.row
        words = [" ".join(row.opcode.split()), row.mnemonic, ",".join(row.operands)]
        if self.vex:
            words += [f"w{self.width}", f"l{self.length}"]
        else:
            words.append(str(8 * self.operand_size))
        words += ["memory"] * self.memory + ["lock"] * self.lock + ["a16"] * (self.address_size == 2)
        if self.repeat:
            words.append("repne" if self.repeat == 0xF2 else "repe")
        return " ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Bytes of a shape, and how they decode at :data:`~conformance.case.ENTRY`."""

    shape: Shape
    code: bytes
    instruction: Instruction

    @property
    def thread(self) -> bool:
        """Whether it uses GS, so that there has to be a thread pointer."""
        return self.instruction.segment is not None and self.instruction.segment.name == "GS"


# -- which shapes there are ------------------------------------------------------------------------------------------


@cache
def shapes() -> tuple[Shape, ...]:
    """Every shape of every row that a policy can admit."""
    return tuple(shape for form in FORMS if form.row.kind is not Kind.REFUSE for shape in _shapes(form))


def shapes_of(groups: Collection[Group]) -> list[Shape]:
    """The shapes of rows in these groups of the table."""
    return [shape for shape in shapes() if shape.form.row.group in groups]


def _shapes(form: Form) -> Iterator[Shape]:
    codes, encoding, row = form.operands, form.encoding, form.row
    methods = {code.method for code in codes}
    scaled = any({code.size, code.memory_size} & _SCALED or code.text == "eAX" for code in codes)
    sizes = [4]
    takes_66 = PREFIX_66 in encoding.classes and encoding.classes != (PREFIX_66,)
    beside = encoding.mandatory and encoding.classes in ((PREFIX_F3,), (PREFIX_F2,))
    if (scaled or row.mnemonic in _SIZED) and not form.near and (takes_66 or beside) and encoding.space < Space.VEX_0F:
        sizes.append(2)
    # Only ModRM says whether an operand is in memory; a fixed ModRM byte says that it is not.
    implicit = not methods.isdisjoint({"X", "Y", "BB", "O"}) or row.mnemonic in MASKED_STORES
    by_modrm = not methods.isdisjoint(MEMORY_ONLY)
    either = not methods.isdisjoint(EITHER)
    for width in encoding.widths:
        for length in encoding.lengths:
            for size in sizes:
                if implicit or by_modrm:
                    yield Shape(form, size, True, width=width, length=length)
                    if not form.vsib:
                        yield Shape(form, size, True, address_size=2, width=width, length=length)
                elif either:
                    yield Shape(form, size, False, width=width, length=length)
                    yield Shape(form, size, True, width=width, length=length)
                    yield Shape(form, size, True, address_size=2, width=width, length=length)
                else:
                    yield Shape(form, size, False, width=width, length=length)
                if row.lock:
                    yield Shape(form, size, True, lock=True)
                if row.rep:
                    yield Shape(form, size, True, repeat=0xF3)
                    yield Shape(form, size, True, repeat=0xF3, address_size=2)
                if row.rep == "repe":
                    yield Shape(form, size, True, repeat=0xF2)
    if row.mnemonic in LOOPS:
        yield Shape(form, 4, False, address_size=2)


# -- bytes -----------------------------------------------------------------------------------------------------------


def value(rng: random.Random) -> int:
    """A boundary value, a number of random length, or its complement."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(BOUNDARY)
    value = rng.getrandbits(rng.randint(1, 32)) if kind == 1 else rng.getrandbits(32)
    return value ^ MASK32 if kind == 2 else value


def encode(shape: Shape, rng: random.Random, *, plain: bool = False) -> Encoded:
    """Random bytes of this shape; now and then with prefixes that change nothing, unless it is to be ``plain``."""
    while True:
        prefixes, rest = _encode(shape, rng)
        if not plain and rng.random() < 0.12:
            extra = _with_more_prefixes(shape, rng, prefixes)
            found = _decoded(shape, extra + rest)
            if found is not None:
                return found
        found = _decoded(shape, prefixes + rest)
        if found is not None:
            return found


def _decoded(shape: Shape, code: bytes) -> Encoded | None:
    """The bytes, if they are an instruction of the shape's row. A gather with a register twice is none, and of SHA only
    such are wanted whose operand can be aligned: what becomes of others, processors do not agree on."""
    if len(code) > 15:
        return None
    try:
        instruction = decode(code, ENTRY, POLICY_WITH_GS)
    except InvalidOpcode:
        return None
    if instruction.row is not shape.form.row or instruction.length != len(code):
        return None
    if shape.form.row.group is Group.SHA and any(
        isinstance(operand, Memory) and operand.base is None for operand in instruction.operands
    ):
        return None
    return Encoded(shape, code, instruction)


def _with_more_prefixes(shape: Shape, rng: random.Random, prefixes: bytes) -> bytes:
    """Prefixes that leave the instruction what it is, in any order: overrides without effect, repetitions, GS."""
    found = list(prefixes)
    kind = rng.randrange(4)
    if kind == 0 and found:
        found.append(rng.choice(found))
    elif kind == 1 and not shape.form.encoding.mandatory and not shape.form.row.rep:
        found.append(rng.choice((0xF2, 0xF3)))
    elif kind == 2 and shape.form.addressable and shape.address_size == 4:
        found.append(_GS)
    else:
        found.append(rng.choice(_NO_OPS))
    rng.shuffle(found)
    return bytes(found)


def _encode(shape: Shape, rng: random.Random) -> tuple[bytes, bytes]:
    """Legacy prefixes, and the rest of the instruction."""
    form = shape.form
    encoding = form.encoding
    prefixes = b""
    if shape.lock:
        prefixes += b"\xf0"
    if shape.repeat:
        prefixes += bytes([shape.repeat])
    if shape.operand_size == 2 and encoding.classes != (PREFIX_66,):
        prefixes += b"\x66"
    if shape.address_size == 2:
        prefixes += b"\x67"
    opcode = bytes([encoding.opcode + (rng.randrange(8) if encoding.plus_register else 0)])
    reg = rng.randrange(8)
    if encoding.space >= Space.VEX_0F:
        third = (reg if rng.randrange(5) == 0 and not form.vsib else rng.randrange(8)) if form.third else 0
        head = _vex(shape, third, short=rng.randrange(2) == 0) + opcode
    else:
        mandatory = _MANDATORY.get(encoding.classes[0], b"") if len(encoding.classes) == 1 else b""
        prefixes += mandatory
        head = _ESCAPES[encoding.space] + opcode
    tail = b""
    if encoding.has_modrm:
        tail = _modrm(shape, rng, reg)
    elif form.immediate is ImmediateRule.OFFSET:
        tail = good_or_bad_address(shape, rng).to_bytes(shape.address_size, "little")
    return prefixes, head + tail + _immediate(shape, rng)


def _vex(shape: Shape, third: int, *, short: bool) -> bytes:
    """The VEX prefix: of two bytes where that is possible and wanted, else of three."""
    encoding = shape.form.encoding
    last = encoding.classes[0] | shape.length << 2 | (~third & 0xF) << 3
    if short and encoding.space is Space.VEX_0F and shape.width == 0:
        return bytes([0xC5, 0x80 | last])
    return bytes([0xC4, 0xE0 | encoding.space - Space.VEX_0F + 1, last | shape.width << 7])


def _modrm(shape: Shape, rng: random.Random, reg: int) -> bytes:
    form = shape.form
    encoding = form.encoding
    if encoding.fixed is not None:
        return bytes([encoding.fixed + (rng.randrange(8) if encoding.any_rm else 0)])
    if encoding.digit is not None:
        reg = encoding.digit
    methods = {code.method for code in form.operands}
    if not shape.memory or not methods.isdisjoint(REGISTER_ONLY):
        rm = reg if rng.randrange(5) == 0 else rng.randrange(8)
        if form.near and rm == ESP:  # CALL ESP would push onto the code page
            rm = EBP
        return bytes([0xC0 | reg << 3 | rm])
    if shape.address_size == 2:
        return _address_16(rng, reg)
    return _address_32(shape, rng, reg)


def _address_16(rng: random.Random, reg: int) -> bytes:
    mod, rm = rng.randrange(3), rng.randrange(8)
    modrm = bytes([mod << 6 | reg << 3 | rm])
    if mod == 0 and rm == 6:
        return modrm + rng.randrange(LOW, LOW_END - 0x100).to_bytes(2, "little")
    return modrm + rng.randbytes(mod)


def _address_32(shape: Shape, rng: random.Random, reg: int) -> bytes:
    avoid = _IMPLICIT.get(shape.mnemonic, frozenset())
    free = [number for number in range(8) if number not in avoid]
    vsib = shape.form.vsib
    kind = rng.choice(("sib", "sib", "index") if vsib else ("base", "base", "sib", "sib", "index", "absolute"))
    if kind == "absolute":
        field = good_or_bad_address(shape, rng).to_bytes(4, "little")
        if rng.randrange(4) == 0:  # the longer form, with a SIB byte that has neither base nor index
            return bytes([reg << 3 | 4, rng.randrange(4) << 6 | 0x25]) + field
        return bytes([reg << 3 | 5]) + field
    if kind == "index":
        # Displacement and index: of a gather, the displacement is the whole address.
        index = rng.randrange(8) if vsib else rng.choice([number for number in free if number != ESP])
        displacement = good_or_bad_address(shape, rng) if vsib else value(rng)
        sib = rng.randrange(4) << 6 | index << 3 | 5
        return bytes([reg << 3 | 4, sib]) + displacement.to_bytes(4, "little")
    base = rng.choice(free)
    sib_byte = b""
    if kind == "sib" or base == ESP:
        # An index other than the base: the base is then free to make up for it.
        index = rng.choice([number for number in range(8) if vsib or number not in (ESP, base)])
        if kind != "sib" or (not vsib and rng.randrange(8) == 0):
            index = ESP  # none
        sib_byte = bytes([rng.randrange(4) << 6 | index << 3 | base])
    mod = rng.choice((1, 2)) if base == EBP else rng.randrange(3)
    if mod == 2 and rng.randrange(2):
        field = rng.randrange(-0x200, 0x200).to_bytes(4, "little", signed=True)
    else:
        field = rng.randbytes((0, 1, 4)[mod])
    return bytes([mod << 6 | reg << 3 | (4 if sib_byte else base)]) + sib_byte + field


def _immediate(shape: Shape, rng: random.Random) -> bytes:
    rule, mnemonic = shape.form.immediate, shape.mnemonic
    if rule in (ImmediateRule.NONE, ImmediateRule.OFFSET):
        return b""
    if shape.form.near or mnemonic in LOOPS:  # never back onto itself
        if rule is ImmediateRule.BYTE:
            return bytes([rng.randrange(0xF0)])
        if rule is ImmediateRule.OPERAND:
            return (rng.choice((-1, 1)) * rng.randrange(0x10, 0x700) & MASK32).to_bytes(4, "little")
        return rng.randrange(64).to_bytes(2, "little")  # RET
    if rule is ImmediateRule.WORD_BYTE:  # ENTER
        return rng.randrange(128).to_bytes(2, "little") + bytes([rng.choice((0, 1, 2, 3, 31, 32, 35))])
    if rule is ImmediateRule.BYTE:
        if mnemonic in DOUBLE_SHIFTS and shape.operand_size == 2:
            return bytes([rng.randrange(17) | rng.choice((0, 0x20, 0xE0))])
        if mnemonic in SHIFTS | ROTATIONS | DOUBLE_SHIFTS and rng.randrange(4):
            return bytes([rng.randrange(34)])
        kind = rng.randrange(3)
        if kind == 0:
            return bytes([value(rng) & 0xFF])
        return bytes([rng.randrange(256 if kind == 1 else 36)])
    size = 2 if rule is ImmediateRule.WORD else shape.operand_size
    return (value(rng) & (1 << 8 * size) - 1).to_bytes(size, "little")


def good_or_bad_address(shape: Shape, rng: random.Random) -> int:
    """An address for a memory operand: mostly good, sometimes one that faults or is about to."""
    if shape.address_size == 2:
        return rng.randrange(LOW + 0x800, LOW + 0xA00)
    kind = rng.randrange(40)
    if kind == 0:
        return rng.choice((DATA - 0x1000, DATA_END, STACK_END, LIMIT - 0x1000)) + rng.randrange(0x800)
    if kind == 1:
        return DATA_END - rng.randrange(1, 33)
    if kind == 2:
        return READ_ONLY + rng.randrange(0x200)
    if kind == 3 and not shape.mnemonic.startswith("f"):  # the x87 may meet the page before the limit
        return rng.choice((LIMIT - rng.randrange(1, 33), LIMIT + rng.getrandbits(8), MASK32 - rng.randrange(33)))
    if kind == 4:
        return DATA + rng.randrange(32)
    if kind == 5:
        return CODE + rng.randrange(0x400)
    if kind in (6, 7):
        return DATA + 0x1000 - rng.randrange(1, 33)
    address = DATA + 0x800 + rng.randrange(0x200)
    return address & -32 if rng.randrange(2) else address
