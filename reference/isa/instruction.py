"""What decoding yields: a row of the instruction table, and one instruction with its operands and its byte layout."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from reference.records import dataclass
from reference.registers import Segment

if TYPE_CHECKING:
    from reference.policy import Group


class Kind(Enum):
    """What the translator does with an instruction (DESIGN: the instruction table).

    APPROXIMATE is COPY, unless the policy wants the same result on every host: of these instructions the manual defines
    only the first bits, and processors differ in the others. Then it is ASSIST.
    """

    COPY = "copy"
    APPROXIMATE = "approximate"
    REWRITE = "rewrite"
    ASSIST = "assist"
    TRAP = "trap"
    REFUSE = "refuse"


class File(Enum):
    """Register files that an operand can name."""

    GENERAL = "general"
    SEGMENT = "segment"
    X87 = "x87"
    MMX = "mmx"
    XMM = "xmm"
    YMM = "ymm"


@dataclass(frozen=True, slots=True)
class Row:
    """One encoding: one line of the table in :mod:`reference.isa.opcodes`.

    ``opcode`` is the encoding in Intel's notation. ``operands`` are Intel's operand codes (SDM volume 2, appendix A.2:
    ``Eb``, ``Gv``, ``Iz`` …). ``reads``, ``writes`` and ``undefined`` are masks of EFLAGS; an undefined flag counts as
    written too. ``lock`` and ``rep`` tell whether LOCK and REP may stand before it (``rep``: "", "rep" or "repe").
    """

    index: int
    opcode: str
    mnemonic: str
    operands: tuple[str, ...]
    group: Group
    kind: Kind
    reads: int
    writes: int
    undefined: int
    lock: bool
    rep: str


@dataclass(frozen=True, slots=True)
class Register:
    """A register operand. ``size`` in bytes. AH, CH, DH, BH are numbers 4 to 7 of size 1."""

    file: File
    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory operand: ``segment:[base + index * scale + displacement]``, sums modulo 2^32 (or 2^16).

    ``base`` and ``index`` are numbers of general registers or None. ``displacement`` is unsigned, of the address size.
    ``segment`` is the effective one: the override or the default (SS for ESP and EBP bases, ES for string
    destinations). ``size`` is the operand's size in bytes, 0 where the instruction has no definite one (LEA, NOP, INVLPG
    …). ``address_size`` is 4 or 2. In a gather ``index`` is a vector register of the file ``index_file``, and ``size`` is
    that of one element.
    """

    segment: Segment
    base: int | None
    index: int | None
    scale: int
    displacement: int
    size: int
    address_size: int = 4
    index_file: File = File.GENERAL


@dataclass(frozen=True, slots=True)
class Immediate:
    """An immediate, already sign-extended where the encoding does so: unsigned, below ``1 << 8 * size``."""

    value: int
    size: int


@dataclass(frozen=True, slots=True)
class Relative:
    """The destination of a relative branch: a guest EIP."""

    target: int


Operand = Register | Memory | Immediate | Relative


@dataclass(frozen=True, slots=True)
class Instruction:
    """One decoded instruction.

    ``operand_size`` and ``address_size`` are in bytes (2 or 4). ``rep`` is the effective repeat prefix, 0xF2, 0xF3 or 0
    (0 where the byte was a mandatory prefix or has no meaning here). ``segment`` is an override, effective or not.

    Offsets count from the first byte, -1 where there is no such field: ``opcode_offset`` is that of the first byte
    after the legacy prefixes (an 0F escape or VEX byte counts as opcode), ``modrm_offset``, ``displacement_offset``
    with ``displacement_size`` and ``immediate_offset`` with ``immediate_size`` (all immediates together) as they say.

    ``vector_length`` is 16 or 32 with a VEX prefix, 0 without.

    ``copy`` is what a translator emits to execute the instruction elsewhere: ``raw`` without prefixes that mean nothing
    (a stray F2 or F3; a CS override on a NOP becomes DS).
    """

    eip: int
    raw: bytes
    row: Row
    operands: tuple[Operand, ...]
    operand_size: int
    address_size: int
    lock: bool
    rep: int
    segment: Segment | None
    opcode_offset: int
    modrm_offset: int
    displacement_offset: int
    displacement_size: int
    immediate_offset: int
    immediate_size: int
    vector_length: int
    copy: bytes

    @property
    def length(self) -> int:
        """The number of bytes it occupies in guest memory."""
        return len(self.raw)

    @property
    def mnemonic(self) -> str:
        """Intel's name, lower case."""
        return self.row.mnemonic

    @property
    def next_eip(self) -> int:
        """The EIP of the instruction behind it."""
        return (self.eip + len(self.raw)) & 0xFFFF_FFFF


class DecodeError(Exception):
    """Base of what the decoder raises. ``eip`` is that of the instruction."""

    def __init__(self, message: str, eip: int) -> None:
        super().__init__(message)
        self.eip = eip


class InvalidOpcode(DecodeError):
    """Not an instruction that the table and the policy admit. The message names the instruction where it has a name."""

    @property
    def reason(self) -> str:
        """The message without what a trap says anyway."""
        return str(self).removeprefix("invalid opcode: ")


class TruncatedCode(DecodeError):
    """The bytes end inside the instruction. ``missing`` is the address of the first byte that is not there."""

    def __init__(self, eip: int, missing: int) -> None:
        super().__init__(f"code ends at {missing:#010x} inside the instruction at {eip:#010x}", eip)
        self.missing = missing
