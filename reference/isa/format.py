"""An Intel-syntax listing of instructions, for people: ``mov eax, dword ptr [ebp + 8]``.

The names are those of the table, with two exceptions that the operand size decides: CWDE is CBW and CDQ is CWD in 16
bits. Effective prefixes are shown (``lock``, ``rep``), prefixes that mean nothing are not.
"""

from __future__ import annotations

from typing import Final

from reference.isa.instruction import File, Immediate, Instruction, Memory, Operand, Register
from reference.registers import BYTE_NAMES, EBP, ESP, GENERAL_NAMES, WORD_NAMES, Segment

_GENERAL_NAMES: Final = {1: BYTE_NAMES, 2: WORD_NAMES, 4: GENERAL_NAMES}
_VECTOR_NAMES: Final = {File.MMX: "mm", File.XMM: "xmm", File.YMM: "ymm"}
_POINTERS: Final = {
    1: "byte", 2: "word", 4: "dword", 6: "fword", 8: "qword", 10: "tbyte", 16: "xmmword", 32: "ymmword",
}  # fmt: skip
_NAMES_16: Final = {"cwde": "cbw", "cdq": "cwd", "jecxz": "jcxz"}


def format_instruction(instruction: Instruction) -> str:
    """One line of Intel syntax.

    >>> from reference.isa.decode import decode
    >>> from reference.policy import Policy
    >>> format_instruction(decode(bytes.fromhex("f00fb14df8"), 0, Policy.default()))
    'lock cmpxchg dword ptr [ebp - 8], ecx'
    """
    words = []
    if instruction.lock:
        words.append("lock")
    if instruction.rep:
        words.append(_repeat_name(instruction))
    words.append(format_mnemonic(instruction))
    if instruction.operands:
        words.append(", ".join(format_operand(operand, instruction.segment) for operand in instruction.operands))
    return " ".join(words)


def format_mnemonic(instruction: Instruction) -> str:
    """The name that an assembler would take, lower case."""
    name = instruction.row.mnemonic
    size = instruction.address_size if name == "jecxz" else instruction.operand_size
    return _NAMES_16.get(name, name) if size == 2 else name


def _repeat_name(instruction: Instruction) -> str:
    if instruction.rep == 0xF2:
        return "repne"
    return "repe" if instruction.row.rep == "repe" else "rep"


def format_operand(operand: Operand, override: Segment | None = None) -> str:
    """One operand. A segment is shown where it is not what the base register implies, or is an ``override``."""
    if isinstance(operand, Register):
        return _format_register(operand)
    if isinstance(operand, Memory):
        return _format_memory(operand, override)
    return _hex(operand.value if isinstance(operand, Immediate) else operand.target)


def _format_register(register: Register) -> str:
    if register.file is File.GENERAL:
        return _GENERAL_NAMES[register.size][register.number]
    if register.file is File.SEGMENT:
        return Segment(register.number).name.lower()
    if register.file is File.X87:
        return f"st({register.number})" if register.number else "st"
    return f"{_VECTOR_NAMES[register.file]}{register.number}"


def _format_memory(memory: Memory, override: Segment | None) -> str:
    names = _GENERAL_NAMES[memory.address_size]
    terms = []
    if memory.base is not None:
        terms.append(names[memory.base])
    if memory.index is not None:
        vector = _VECTOR_NAMES.get(memory.index_file)
        name = f"{vector}{memory.index}" if vector else names[memory.index]
        terms.append(f"{name}*{memory.scale}" if memory.scale > 1 else name)
    address = " + ".join(terms)
    if not terms:
        address = _hex(memory.displacement)
    elif memory.displacement:
        bits = 8 * memory.address_size
        negative = memory.displacement >> (bits - 1)
        address += f" - {_hex((1 << bits) - memory.displacement)}" if negative else f" + {_hex(memory.displacement)}"
    implied = Segment.SS if memory.base in (ESP, EBP) else Segment.DS
    shown = memory.segment is not implied or memory.segment is override or not terms
    segment = f"{memory.segment.name.lower()}:" if shown else ""
    pointer = _POINTERS.get(memory.size)
    return f"{pointer} ptr {segment}[{address}]" if pointer else f"{segment}[{address}]"


def _hex(value: int) -> str:
    return str(value) if value < 10 else f"{value:#x}"
