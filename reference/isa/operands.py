"""Intel's operand codes: where an operand is encoded, and how large it is.

SDM volume 2, appendix A.2. The first letter is the addressing method:

    A  far pointer in the instruction             M  memory by ModRM.rm, never a register
    B  general register by VEX.vvvv               N  MMX register by ModRM.rm
    C  control register                           O  memory at an offset in the instruction
    D  debug register                             P  MMX register by ModRM.reg
    E  general register or memory by ModRM.rm     Q  MMX register or memory by ModRM.rm
    G  general register by ModRM.reg              R  general register by ModRM.rm, never memory
    H  vector register by VEX.vvvv                S  segment register by ModRM.reg
    I  immediate                                  U  vector register by ModRM.rm
    J  relative to the next instruction           V  vector register by ModRM.reg
    L  vector register by bits 7:4 of a byte      W  vector register or memory by ModRM.rm
                                                  X  memory at DS:ESI        Y  memory at ES:EDI

and ours: ``Z`` a general register by the low three bits of the opcode; ``BB`` memory at DS:EBX, to which XLAT adds AL;
``VM32xd`` … ``VM64yq`` memory by VSIB, Intel's vm32x with the size of an element: indices of 32 or 64 bits in an XMM
(x) or YMM (y) register, elements of 4 (d) or 8 (q) bytes.

The rest is the size: ``b w d q dq qq`` of 1 to 32 bytes; ``v z`` the operand size; ``y`` 4; ``x ps pd`` the vector
length; ``ss sd`` scalars of 4 and 8; ``a p s t`` bounds, far pointer, descriptor register, 80-bit real; and ours: ``bs``
a byte sign-extended to the operand size, ``en sv`` x87 environment and state, ``fx`` 512 bytes. None: no definite size.
A vector register is YMM where its size is 32, otherwise XMM.

``Rv/Mw`` gives the register form and the memory form different sizes. Registers that an encoding implies stand under
their names: ``AL CL AX DX eAX`` (EAX or AX), ``ES`` … ``GS``, ``ST0``, ``STi`` (x87 by ModRM.rm), ``XMM0``, and ``1``.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from reference.isa.instruction import File, Register
from reference.records import dataclass
from reference.registers import Segment

_FIXED_SIZES: Final = {
    "": 0, "b": 1, "w": 2, "d": 4, "q": 8, "dq": 16, "qq": 32, "y": 4, "ss": 4, "sd": 8, "s": 6, "t": 10, "fx": 512,
}  # fmt: skip
_VECTOR_SIZES: Final = ("x", "ps", "pd")
#: By operand size: {2: …, 4: …}.
_SCALED_SIZES: Final = {
    "v": {2: 2, 4: 4},
    "z": {2: 2, 4: 4},
    "bs": {2: 2, 4: 4},
    "a": {2: 4, 4: 8},
    "p": {2: 4, 4: 6},
    "en": {2: 14, 4: 28},
    "sv": {2: 94, 4: 108},
}
#: Implied registers; eAX has the operand size.
NAMED: Final = {
    "AL": Register(File.GENERAL, 0, 1),
    "CL": Register(File.GENERAL, 1, 1),
    "AX": Register(File.GENERAL, 0, 2),
    "DX": Register(File.GENERAL, 2, 2),
    **{segment.name: Register(File.SEGMENT, segment, 2) for segment in Segment},
    "ST0": Register(File.X87, 0, 10),
    "XMM0": Register(File.XMM, 0, 16),
}
_OTHER_WORDS: Final = ("eAX", "STi", "1")
_METHODS: Final = "ABCDEGHIJLMNOPQRSUVWXYZ"

#: Methods that read ModRM.rm, by what they take.
MEMORY_ONLY: Final = frozenset({"M", "VM32", "VM64"})
REGISTER_ONLY: Final = frozenset({"N", "R", "U"})
EITHER: Final = frozenset({"E", "Q", "W"})


@dataclass(frozen=True, slots=True)
class OperandCode:
    """A parsed operand code: ``method`` (a letter, ``BB``, ``VM32``, ``VM64``, or "" for an implied operand, whose name
    is ``text``), ``size`` of the operand, of its register form or of the index of a gather, ``memory_size`` of its
    memory form."""

    text: str
    method: str
    size: str
    memory_size: str


@cache
def parse_operand(text: str) -> OperandCode:
    """Read one operand code. Raises ValueError for one that is not among those above.

    >>> parse_operand("Rv/Mw").memory_size
    'w'
    """
    if text in NAMED or text in _OTHER_WORDS:
        return OperandCode(text, "", "", "")
    register, slash, memory = text.partition("/")
    if slash:
        if register[0] not in "RNU" or memory[0] != "M":
            raise ValueError(f"operand code {text!r}")
        method = {"R": "E", "N": "Q", "U": "W"}[register[0]]
        return _checked(OperandCode(text, method, register[1:], memory[1:]))
    if text.startswith("VM"):
        return _checked(OperandCode(text, text[:4], {"x": "dq", "y": "qq"}[text[4]], text[5:]))
    method = "BB" if text.startswith("BB") else text[0]
    size = text[len(method) :]
    return _checked(OperandCode(text, method, size, size))


def _checked(code: OperandCode) -> OperandCode:
    known = code.method in _METHODS or code.method in ("BB", "VM32", "VM64")
    for size in (code.size, code.memory_size):
        known = known and (size in _FIXED_SIZES or size in _VECTOR_SIZES or size in _SCALED_SIZES)
    if not known:
        raise ValueError(f"operand code {code.text!r}")
    return code


def size_of(size: str, operand_size: int, vector_length: int) -> int:
    """Bytes of a size letter, under an operand size of 2 or 4 and a vector length of 16 or 32 (0 counts as 16).

    >>> size_of("v", 2, 0), size_of("x", 4, 32)
    (2, 32)
    """
    if size in _VECTOR_SIZES:
        return vector_length or 16
    if size in _SCALED_SIZES:
        return _SCALED_SIZES[size][operand_size]
    return _FIXED_SIZES[size]
