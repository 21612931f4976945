"""What is enumerated: a tree of bytes, walked in order, and cut where nothing behind it matters.

A *unit* is a stretch of the enumeration that is run at once. Its encodings are a product: what stands before the opcode,
times opcodes, times ModRM. To each ModRM byte that has one belong a few SIB bytes, to each encoding one displacement and
one immediate. Units are numbered in the order of :func:`units`, encodings in the order of :func:`leaves`.

The decoder reads one byte after the other. If it refuses an encoding without asking for more (it says InvalidOpcode, and
not TruncatedCode, of these bytes alone), then it refuses whatever goes on from there. Such a *stem* is one leaf, which
counts for all encodings that it stands for.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final, NamedTuple

from conformance.case import DATA, LOW
from conformance.encodings import DOUBLE_SHIFTS, LOOPS, POLICY_WITH_GS
from reference.isa.decode import decode
from reference.isa.instruction import Instruction, InvalidOpcode, TruncatedCode
from reference.isa.lookup import FORMS, ImmediateRule

#: Where encodings are decoded if nobody says where they stand.
EIP: Final = 0x1000
#: The middle of the data, and of low memory, as displacements of operands that have nothing else.
ABSOLUTE: Final = DATA + 0x840
ABSOLUTE_16: Final = LOW + 0x840
#: Displacements of all others: a multiple of every alignment.
DISPLACEMENT: Final = 0x440
SHORT_DISPLACEMENT: Final = 0x40
#: Of branches, so that they arrive behind the code and before the next.
_BRANCH: Final = bytes((0x12, 0, 0, 0))

SEGMENTS: Final = (b"", b"\x26", b"\x2e", b"\x36", b"\x3e", b"\x64", b"\x65")
PREFIXES: Final = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"
#: Operand size and repetition, which are the mandatory prefixes, too.
_MANDATORY: Final = (b"", b"\x66", b"\xf2", b"\xf3", b"\x66\xf2", b"\x66\xf3")
#: Everything that can stand before an opcode, each prefix once, in one order.
CONTEXTS: Final = tuple(
    segment + lock + address + mandatory
    for address, lock, segment, mandatory in product((b"", b"\x67"), (b"", b"\xf0"), SEGMENTS, _MANDATORY)
)
#: What may stand before a VEX prefix, and what may not.
VEX_CONTEXTS: Final = (
    *(segment + address for address, segment in product((b"", b"\x67"), SEGMENTS)),
    b"\xf0", b"\x66", b"\xf2", b"\xf3",
)  # fmt: skip
MAPS: Final = {"one byte": b"", "0f": b"\x0f", "0f38": b"\x0f\x38", "0f3a": b"\x0f\x3a"}
#: Bytes of a map that are no opcodes.
_NO_OPCODES: Final = {"one byte": PREFIXES + b"\x0f", "0f": b"\x38\x3a", "0f38": b"", "0f3a": b""}
#: Opcodes whose register forms are the beginning of a longer prefix: EVEX and VEX. They have units of their own.
_OPENINGS: Final = b"\x62\xc4\xc5"

#: VEX.vvvv of registers 1, 2 and 4 to 7: 1111 is register 0, or none, and 1100 register 3.
_OTHER_THIRDS: Final = (14, 13, 11, 10, 9, 8)
#: Where prefixes that mean nothing, or only another address, make many encodings of one, so many have one bad state.
_FAULTS_ONE_IN: Final = 4

ALL: Final = tuple(range(256))
#: Four memory and four register forms, and one of each, for orders of prefixes.
FEW_MODRM: Final = (0x00, 0x4D, 0x9C, 0x3E, 0xC0, 0xD9, 0xEE, 0xF7)
TWO_MODRM: Final = (0x4D, 0xD9)
#: Each memory form with two registers, and eight pairs of registers.
SOME_MODRM: Final = tuple(
    mod << 6 | (mod + rm + turn) % 8 << 3 | rm for mod in range(3) for rm in range(8) for turn in (0, 5)
) + tuple(0xC0 | (rm + 1) % 8 << 3 | rm for rm in range(8))
#: SIB bytes beside one ModRM byte: so many, chosen by a digest of what stands before them.
SIBS: Final = 4
#: Instructions of all kinds for which every SIB byte is enumerated.
SIB_OPCODES: Final = tuple(
    bytes.fromhex(text)
    for text in (
        "8b", "88", "01", "8d", "83", "c7", "ff", "8f", "d9", "dd", "69", "62", "0fb6", "0fc1", "0fa4", "0fab", "0f6f",
        "0f28", "0f11", "0fc7", "0fae", "660f6f", "f30f7e", "f20f10", "660f3800", "660f3822", "0f38f0", "660f3a0f",
        "c5f810", "c5f058", "c4e27958", "c4e270f7", "c4e37514", "c4e26990", "c4e2e990", "c4e26991", "c4e26d93",
        "c4e2ed92",
    )
)  # fmt: skip
SIB_CONTEXTS: Final = (b"", b"\x36", b"\x65", b"\xf0")


class Unit(NamedTuple):
    """``part`` of the enumeration, and ``name`` of the stretch of it."""

    part: str
    name: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """An encoding, or, if ``instruction`` is None, what is refused and why: then ``weight`` encodings begin with the
    bytes of ``code`` up to ``stem``."""

    code: bytes
    instruction: Instruction | None
    weight: int = 1
    stem: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Product:
    """``head``, then one byte of each of ``levels`` (the last two are opcode and ModRM), and ``sibs`` to each ModRM."""

    head: bytes
    levels: tuple[Sequence[int], ...]
    sibs: int = SIBS


#: What the parts have, for those who read the counts.
PARTS: Final = {
    "legacy": "168 prefixes (segment or none, 67, LOCK, none 66 F2 F3 66F2 66F3) x 4 maps x 256 opcodes x 256 ModRM",
    "vex": "C4 and C5 x all values of all fields, but 6 of VEX.vvvv's 8 registers, x 256 opcodes x 256 ModRM",
    "vex third": "the other 6 registers of VEX.vvvv, likewise",
    "vex prefixed": "17 prefixes before C4 and C5 x all values of W, L, pp and map x 256 opcodes x 56 ModRM",
    "sib": f"{len(SIB_OPCODES)} opcodes of all kinds x 24 ModRM x 256 SIB, with and without prefixes",
    "order": "all pairs of prefixes x 8 ModRM, all triples x 2 ModRM",
    "length": "prefixes repeated up to and beyond 15 bytes",
    "openings": "EVEX, XOP and 3DNow!: all values of the first bytes",
}


def units(parts: Sequence[str] = tuple(PARTS)) -> list[Unit]:
    """The units of some parts, in the order of the enumeration. Raises ValueError for a part that is none."""
    found: list[Unit] = []
    for part in parts:
        if part not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, not {part!r}")
        found += [Unit(part, name) for name in _names(part)]
    return found


def _names(part: str) -> list[str]:
    if part == "legacy":
        return [f"{map_name}: {context.hex() or 'none'}" for context in CONTEXTS for map_name in MAPS]
    if part in ("vex", "vex third"):
        names = ["c5", *(f"c4 {number} {last:x}" for number in (1, 2, 3) for last in range(16))]
        return [*names, "c4 other"] if part == "vex" else names
    if part == "vex prefixed":
        return [f"{first} {context.hex()}" for context in VEX_CONTEXTS[1:] for first in ("c4", "c5")]
    if part == "sib":
        return [f"{opcode.hex()}" for opcode in SIB_OPCODES]
    if part == "order":
        return [f"{map_name}: {first:02x}" for first in PREFIXES for map_name in MAPS]
    if part == "length":
        return list(MAPS)
    return ["evex", "xop", "3dnow"]


def faults_one_in(unit: Unit) -> int:
    """One in how many encodings of a unit is executed in a bad state, too; 0 for none."""
    if unit.part == "vex third":
        return 0
    plain = {f"{map_name}: {context.hex() or 'none'}" for context in _MANDATORY for map_name in MAPS}
    return 1 if unit.part == "vex" or unit.name in plain else _FAULTS_ONE_IN


def leaves(unit: Unit) -> Iterator[Leaf]:
    """The encodings of a unit, in order."""
    for each in _products(unit):
        yield from _walk(each.head, each.levels, each.sibs)


def _products(unit: Unit) -> Iterator[_Product]:
    part, name = unit
    if part == "legacy":
        map_name, _, context = name.partition(": ")
        yield from _of_map(map_name, bytes.fromhex("" if context == "none" else context), ALL)
    elif part == "vex":
        yield from _vex(name, [vvvv for vvvv in range(15, -1, -1) if vvvv not in _OTHER_THIRDS])
    elif part == "vex third":
        yield from _vex(name, _OTHER_THIRDS)
    elif part == "vex prefixed":
        first, context = name.split()
        yield from _vex_prefixed(first, bytes.fromhex(context))
    elif part == "sib":
        yield from _sib(bytes.fromhex(name))
    elif part == "order":
        map_name, _, byte = name.partition(": ")
        one = bytes.fromhex(byte)
        for second in PREFIXES:
            yield from _of_map(map_name, one + bytes([second]), FEW_MODRM)
            for third in PREFIXES:
                yield from _of_map(map_name, one + bytes([second, third]), TWO_MODRM)
    elif part == "length":
        for prefix, count in product((b"\x3e", b"\x66", b"\x67", b"\xf3"), range(5, 15)):
            yield from _of_map(name, prefix * count, TWO_MODRM)
    elif name == "evex":
        yield _Product(b"\x62", (range(0xC0, 0x100), ALL, (0x08, 0x48, 0xC9), (0x58,), (0xC1,)))
    elif name == "xop":
        yield _Product(b"\x8f", (range(0xC8, 0x100), ALL, ALL, (0xC1,)))
    else:
        yield _Product(b"\x0f\x0f", (ALL, ALL))


def _of_map(map_name: str, context: bytes, modrm: Sequence[int]) -> Iterator[_Product]:
    head = context + MAPS[map_name]
    for opcode in range(256):
        if opcode in _NO_OPCODES[map_name]:
            continue
        if map_name == "one byte" and opcode in _OPENINGS:
            yield _Product(head, ((opcode,), [each for each in modrm if each < 0xC0]))
        else:
            yield _Product(head, ((opcode,), modrm))


def _vex(name: str, vvvv: Sequence[int]) -> Iterator[_Product]:
    """One unit of C5 or C4 with these values of VEX.vvvv, of which those below 8 are refused (C5 is LDS with them)."""
    if name == "c5":
        yield _Product(
            b"\xc5", ([0x80 | each << 3 | low for each in vvvv if each > 7 for low in range(8)], ALL, ALL), 2
        )
        return
    if name == "c4 other":  # maps that there are not, and a register above 7
        seconds = [byte for byte in range(0xC0, 0x100) if byte not in (0xE1, 0xE2, 0xE3)]
        yield _Product(b"\xc4", (seconds, ALL, ALL, ALL))
        return
    _, number, last = name.split()
    low = int(last, 16)
    thirds = [(low & 8) << 4 | each << 3 | low & 7 for each in vvvv]
    yield _Product(b"\xc4", ((0xE0 | int(number),), thirds, ALL, ALL), 2)


def _vex_prefixed(first: str, context: bytes) -> Iterator[_Product]:
    """With VEX.vvvv naming register 3, or with 1111 for those opcodes for which that is the only one."""
    if first == "c5":
        heads = [(context + bytes([0xC5]), 0x80 | low) for low in range(8)]
    else:
        heads = [
            (context + bytes([0xC4, 0xE0 | number]), (low & 8) << 4 | low & 7)
            for number in (1, 2, 3)
            for low in range(16)
        ]
    for head, low in heads:
        for opcode in range(256):
            third = 0x60 if _takes(head + bytes([low | 0x60, opcode])) else 0x78
            yield _Product(head, ((low | third,), (opcode,), SOME_MODRM), 2)


def _takes(stem: bytes) -> bool:
    """Whether some ModRM byte makes an instruction of it."""
    for modrm in (*range(0xC0, 0x100), *range(0x04, 0x40, 8)):
        try:
            decode(stem + bytes([modrm, 0x48]) + bytes(6), EIP, POLICY_WITH_GS)
        except InvalidOpcode:
            continue
        return True
    return False


def _sib(opcode: bytes) -> Iterator[_Product]:
    modrm = [mod << 6 | reg << 3 | 4 for mod in range(3) for reg in range(8)]
    for context in SIB_CONTEXTS:
        if context == b"\xf0" and opcode[0] in (0xC4, 0xC5):
            continue
        yield _Product(context + opcode[:-1], ((opcode[-1],), modrm), 256)


# -- walking ---------------------------------------------------------------------------------------------------------


def _walk(stem: bytes, levels: tuple[Sequence[int], ...], sibs: int) -> Iterator[Leaf]:
    if len(levels) == 1:
        yield from _opcode(stem, levels[0], sibs)
        return
    rest = levels[1:]
    weight = math.prod(map(len, rest))
    for byte in levels[0]:
        longer = stem + bytes([byte])
        reason = _refused(longer)
        if reason is None:
            yield from _walk(longer, rest, sibs)
        else:
            yield Leaf(_filled(longer), None, weight, len(longer), reason)


def _refused(stem: bytes) -> str | None:
    """Why the bytes are refused whatever follows; None where it depends on that."""
    try:
        decode(stem, EIP, POLICY_WITH_GS)
    except TruncatedCode:
        pass
    except InvalidOpcode as error:
        return error.reason
    return None


def _filled(stem: bytes) -> bytes:
    """A stem with something behind it that a processor might take for the rest of an instruction."""
    digest = zlib.crc32(stem)
    rest = bytes((0xC0 | digest & 0x3F if digest & 0x40 else digest >> 8 & 0xBF,)) + digest.to_bytes(4, "little")
    return (stem + rest * 3)[:15]


def _opcode(stem: bytes, modrms: Sequence[int], sibs: int) -> Iterator[Leaf]:
    """The encodings of one opcode."""
    probe = stem + b"\xc0" + bytes(14)
    try:
        without_modrm = decode(probe[:15], EIP, POLICY_WITH_GS).modrm_offset < 0
    except InvalidOpcode:
        without_modrm = False
    if without_modrm:
        yield leaf(stem)
        return
    short = 0x67 in stem[: len(stem) - len(stem.lstrip(PREFIXES))]
    for modrm in modrms:
        longer = stem + bytes([modrm])
        if modrm >= 0xC0 or short or modrm & 7 != 4:
            yield leaf(longer + _displacement(modrm, None, short))
        else:
            for sib in _sibs(longer, sibs):
                yield leaf(longer + bytes([sib]) + _displacement(modrm, sib, short))


def _sibs(stem: bytes, count: int) -> Iterator[int]:
    """``count`` different SIB bytes; a digest says which, so that all opcodes together meet all of them."""
    first = zlib.crc32(stem) >> 3 & 0xFF
    step = 256 // count
    for i in range(count):
        yield first + step * i + 5 * i & 0xFF if count < 256 else i


def _displacement(modrm: int, sib: int | None, short: bool) -> bytes:
    mod, rm = modrm >> 6, modrm & 7
    if mod == 3:
        return b""
    if mod == 1:
        return bytes([SHORT_DISPLACEMENT])
    if short:
        if mod == 2:
            return DISPLACEMENT.to_bytes(2, "little")
        return ABSOLUTE_16.to_bytes(2, "little") if rm == 6 else b""
    if mod == 2:
        return DISPLACEMENT.to_bytes(4, "little")
    alone = rm == 5 or (sib is not None and sib & 7 == 5)
    return ABSOLUTE.to_bytes(4, "little") if alone else b""


def leaf(stem: bytes) -> Leaf:
    """An encoding of which all is given but an immediate, or an offset that stands in its place."""
    try:
        found = decode((stem + _BRANCH * 4)[:15], EIP, POLICY_WITH_GS)
    except InvalidOpcode as error:
        return Leaf((stem + _BRANCH * 4)[:15], None, 1, min(len(stem), 15), error.reason)
    form = FORMS[found.row.index]
    if form.immediate is ImmediateRule.NONE or form.near or found.mnemonic in LOOPS:
        return Leaf(found.raw, found)
    if form.immediate is ImmediateRule.OFFSET:
        offset = ABSOLUTE if found.address_size == 4 else ABSOLUTE_16
        rest = offset.to_bytes(found.address_size, "little")
    else:
        size = found.immediate_size
        rest = zlib.crc32(stem).to_bytes(4, "little")[:size]
        if found.mnemonic in DOUBLE_SHIFTS and found.operand_size == 2:  # a count that the manual defines
            rest = bytes([rest[0] % 17 | zlib.crc32(stem) >> 24 & 0xE0])
        if form.immediate is ImmediateRule.WORD_BYTE:  # ENTER: what fits the stack
            rest = bytes((rest[0] & 0x7C, 0, rest[2] & 3))
    code = found.raw[: found.length - len(rest)] + rest
    return Leaf(code, decode(code, EIP, POLICY_WITH_GS))
