"""Machine code as text, in Intel's syntax, through capstone. For people to read; nothing decides by it."""

from __future__ import annotations

from capstone import CS_ARCH_X86, CS_MODE_32, Cs


class Disassembler:
    """Turns bytes into lines."""

    def __init__(self) -> None:
        self._capstone = Cs(CS_ARCH_X86, CS_MODE_32)

    def one(self, code: bytes, address: int) -> tuple[int, bytes, str]:
        """The first instruction: its address, its bytes, its text. Where there is none, one byte, as data."""
        for found in self.lines(code, address, most=1):
            return found
        return address, b"", "(no code)"

    def lines(self, code: bytes, address: int, *, most: int = 0) -> list[tuple[int, bytes, str]]:
        """All instructions (or the first ``most``): address, bytes, text. Bytes that are none appear as data."""
        found: list[tuple[int, bytes, str]] = []
        position = 0
        while position < len(code) and not (most and len(found) == most):
            here = address + position
            for _, size, mnemonic, operands in self._capstone.disasm_lite(code[position:], here, 1):
                found.append((here, code[position : position + size], f"{mnemonic} {operands}".rstrip()))
                position += size
                break
            else:
                found.append((here, code[position : position + 1], f".byte {code[position]:#04x}"))
                position += 1
        return found
