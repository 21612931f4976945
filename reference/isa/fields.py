"""The fields of one encoded instruction, and how operands are read from them.

Decoding goes through here twice: :mod:`reference.isa.decode` fills a :class:`Fields` from bytes, then a row's readers
make the operands that its codes name.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Final

from reference.isa.instruction import File, Immediate, Memory, Operand, Register, Relative
from reference.isa.operands import EITHER, MEMORY_ONLY, NAMED, OperandCode, parse_operand, size_of
from reference.registers import EAX, EBP, EBX, EDI, ESI, ESP, MASK32, Segment


class Fields:
    """What the bytes of one instruction say, before anyone asks what it means.

    ``repeat`` is the last of F2 and F3, or 0. ``barred`` is a CS, FS or GS override that another one follows. ``third``
    is the register of VEX.vvvv. ``cursor`` is where the next immediate begins. The other names are those of
    :class:`~reference.isa.instruction.Instruction` and :class:`~reference.isa.instruction.Memory`.
    """

    __slots__ = (
        "address_size", "barred", "base", "code", "cursor", "displacement", "displacement_offset", "displacement_size",
        "eip", "immediate_offset", "immediate_size", "index", "length", "lock", "modrm", "modrm_offset", "opcode",
        "opcode_offset", "operand_prefix", "operand_size", "position", "reg", "repeat", "rm", "scale", "segment",
        "third", "vector_length",
    )  # fmt: skip

    def __init__(self, code: bytes, eip: int) -> None:
        self.code = code
        self.eip = eip
        self.position = 0
        self.length = 0
        self.operand_prefix = False
        self.operand_size = 4
        self.address_size = 4
        self.lock = False
        self.repeat = 0
        self.segment: Segment | None = None
        self.barred: Segment | None = None
        self.opcode = 0
        self.opcode_offset = 0
        self.modrm = 0
        self.modrm_offset = -1
        self.reg = 0
        self.rm = 0
        self.base: int | None = None
        self.index: int | None = None
        self.scale = 1
        self.displacement = 0
        self.displacement_offset = -1
        self.displacement_size = 0
        self.immediate_offset = -1
        self.immediate_size = 0
        self.cursor = 0
        self.third = 0
        self.vector_length = 0


Reader = Callable[[Fields], Operand]


def _bank(file: File, size: int) -> tuple[Register, ...]:
    return tuple(Register(file, number, size) for number in range(8))


_GENERAL: Final = {size: _bank(File.GENERAL, size) for size in (1, 2, 4)}
_X87: Final = _bank(File.X87, 10)
_MMX: Final = _bank(File.MMX, 8)
_XMM: Final = _bank(File.XMM, 16)
_YMM: Final = _bank(File.YMM, 32)
#: Where a method finds the number of its register.
_NUMBER_OF: Final = {
    "B": "third", "H": "third",
    "G": "reg", "P": "reg", "V": "reg",
    "E": "rm", "N": "rm", "Q": "rm", "R": "rm", "U": "rm", "W": "rm",
}  # fmt: skip
_VECTOR_METHODS: Final = frozenset("HUVW")
_OPERAND_SIZED: Final = ("v", "z")


def _register_reader(method: str, size: str) -> Reader:
    if method == "Z":
        if size == "v":
            return lambda f: _GENERAL[f.operand_size][f.opcode & 7]
        bank = _GENERAL[size_of(size, 4, 0)]
        return lambda f: bank[f.opcode & 7]
    number = attrgetter(_NUMBER_OF[method])
    if method in _VECTOR_METHODS:
        if size_of(size, 4, 16) == size_of(size, 4, 32):
            bank = _YMM if size == "qq" else _XMM
            return lambda f: bank[number(f)]
        return lambda f: (_YMM if f.vector_length == 32 else _XMM)[number(f)]
    if size in _OPERAND_SIZED:
        return lambda f: _GENERAL[f.operand_size][number(f)]
    bank = _MMX if method in "NPQ" else _GENERAL[size_of(size, 4, 0)]
    return lambda f: bank[number(f)]


def _memory(f: Fields, size: int, index_file: File = File.GENERAL) -> Memory:
    segment = f.segment
    if segment is None:
        segment = Segment.SS if f.base in (EBP, ESP) else Segment.DS
    return Memory(segment, f.base, f.index, f.scale, f.displacement, size, f.address_size, index_file)


def _memory_reader(code: OperandCode) -> Reader:
    size = code.memory_size
    if code.method.startswith("VM"):
        index_file = File.YMM if code.size == "qq" else File.XMM
        element = size_of(size, 4, 16)
        return lambda f: _memory(f, element, index_file)
    if size in _OPERAND_SIZED:
        return lambda f: _memory(f, f.operand_size)
    if size_of(size, 2, 16) == size_of(size, 4, 32):
        fixed = size_of(size, 4, 16)
        return lambda f: _memory(f, fixed)
    return lambda f: _memory(f, size_of(size, f.operand_size, f.vector_length))


def _implicit_memory_reader(code: OperandCode) -> Reader:
    """Operands of string instructions and of XLAT. The segment of the destination cannot be overridden."""
    base = {"X": ESI, "Y": EDI, "BB": EBX}[code.method]
    destination = code.method == "Y"

    def read(f: Fields) -> Operand:
        segment = Segment.ES if destination else Segment.DS if f.segment is None else f.segment
        return Memory(segment, base, None, 1, 0, size_of(code.size, f.operand_size, 0), f.address_size)

    return read


def _offset_reader(size: str) -> Reader:
    def read(f: Fields) -> Operand:
        segment = Segment.DS if f.segment is None else f.segment
        return Memory(segment, None, None, 1, f.displacement, size_of(size, f.operand_size, 0), f.address_size)

    return read


def _next_immediate(f: Fields, size: int) -> int:
    start = f.cursor
    f.cursor = start + size
    return int.from_bytes(f.code[start : start + size], "little")


def _immediate_reader(size: str) -> Reader:
    def sign_extended(f: Fields) -> Operand:
        value = _next_immediate(f, 1)
        wide = f.operand_size
        return Immediate((value - 0x100) & ((1 << 8 * wide) - 1) if value & 0x80 else value, wide)

    def plain(f: Fields) -> Operand:
        bytes_ = size_of(size, f.operand_size, 0)
        return Immediate(_next_immediate(f, bytes_), bytes_)

    return sign_extended if size == "bs" else plain


def _relative_reader(size: str) -> Reader:
    def read(f: Fields) -> Operand:
        bytes_ = size_of(size, f.operand_size, 0)
        distance = _next_immediate(f, bytes_)
        if distance >> (8 * bytes_ - 1):
            distance -= 1 << 8 * bytes_
        return Relative((f.eip + f.length + distance) & MASK32)

    return read


def _named_reader(name: str) -> Reader:
    if name == "eAX":
        return lambda f: _GENERAL[f.operand_size][EAX]
    if name == "STi":
        return lambda f: _X87[f.rm]
    fixed: Operand = Immediate(1, 1) if name == "1" else NAMED[name]
    return lambda f: fixed


@cache
def reader_of(text: str) -> Reader:
    """The function that reads the operand of a code from fields.

    Raises KeyError for codes that only refused rows have (control and debug registers, far pointers).
    """
    code = parse_operand(text)
    method = code.method
    if not method:
        return _named_reader(text)
    if method in MEMORY_ONLY:
        return _memory_reader(code)
    if method in EITHER:
        register, memory = _register_reader(method, code.size), _memory_reader(code)
        return lambda f: register(f) if f.modrm >= 0xC0 else memory(f)
    if method == "I":
        return _immediate_reader(code.size)
    if method == "J":
        return _relative_reader(code.size)
    if method == "O":
        return _offset_reader(code.size)
    if method in ("X", "Y", "BB"):
        return _implicit_memory_reader(code)
    if method == "L":
        bank = {"dq": (_XMM, _XMM), "x": (_XMM, _YMM)}[code.size]
        return lambda f: bank[f.vector_length == 32][_next_immediate(f, 1) >> 4 & 7]
    return _register_reader(method, code.size)
