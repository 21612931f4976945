"""ELF images made by hand, and processes that make one system call at a time, for tests."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from asm import assemble

from vx32py import Process, Sandbox
from vx32py._calls import signed

BASE = 0x0804_8000
#: Where the code of :func:`image` begins, and its data.
ENTRY = BASE + 0x1000
DATA = BASE + 0x2000

#: Calls itself a function, and exits with what it returns.
PROGRAM = """
    call 1f
    mov edx, eax
    mov eax, 1
    syscall
.balign 16
1:  mov eax, 42
    ret
"""

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_TLS, PT_GNU_STACK = 1, 2, 3, 4, 7, 0x6474E551
R, W, X = 4, 2, 1


@dataclass
class Header:
    """The fields of an ELF header that a test may want to spoil."""

    magic: bytes = b"\x7fELF"
    ei_class: int = 1
    ei_data: int = 1
    ei_version: int = 1
    ei_osabi: int = 0
    e_type: int = 2
    e_machine: int = 3
    e_version: int = 1
    e_entry: int = ENTRY
    e_phoff: int = 52
    e_shoff: int = 0
    e_ehsize: int = 52
    e_phentsize: int = 32
    e_phnum: int | None = None
    e_shentsize: int = 0
    e_shnum: int = 0

    def pack(self, program_headers: int) -> bytes:
        """The 52 bytes."""
        ident = self.magic + bytes([self.ei_class, self.ei_data, self.ei_version, self.ei_osabi]) + bytes(8)
        number = program_headers if self.e_phnum is None else self.e_phnum
        return ident + struct.pack(
            "<HHIIIIIHHHHHH", self.e_type, self.e_machine, self.e_version, self.e_entry, self.e_phoff, self.e_shoff, 0,
            self.e_ehsize, self.e_phentsize, number, self.e_shentsize, self.e_shnum, 0,
        )  # fmt: skip


@dataclass
class Load:
    """A program header."""

    p_offset: int = 0x1000
    p_vaddr: int = ENTRY
    p_filesz: int = 0x1000
    p_memsz: int = 0x1000
    p_flags: int = R | X
    p_align: int = 0x1000
    p_type: int = PT_LOAD

    def pack(self) -> bytes:
        """The 32 bytes."""
        return struct.pack(
            "<8I", self.p_type, self.p_offset, self.p_vaddr, self.p_vaddr, self.p_filesz, self.p_memsz, self.p_flags,
            self.p_align,
        )  # fmt: skip


@dataclass
class Elf:
    """A file of three pages: headers, code, data."""

    header: Header = field(default_factory=Header)
    loads: list[Load] = field(default_factory=lambda: [Load(), Load(p_offset=0x2000, p_vaddr=DATA, p_flags=R | W)])
    code: bytes = b"\x0f\x05\xeb\xfc"
    data: bytes = b""

    def pack(self) -> bytes:
        """The whole file."""
        front = (self.header.pack(len(self.loads)) + b"".join(load.pack() for load in self.loads)).ljust(0x1000, b"\0")
        return front + self.code.ljust(0x1000, b"\x90") + self.data.ljust(0x1000, b"\0")


def image(code: str | bytes, data: bytes = b"", *, linux: bool = False, memory: int = 0x1000) -> bytes:
    """An image with ``code`` at ENTRY and ``data`` at DATA, ``memory`` bytes of it; with the marks of Linux if wanted."""
    loads = [Load(), Load(p_offset=0x2000, p_vaddr=DATA, p_memsz=memory, p_flags=R | W)]
    if linux:
        loads.append(Load(0, 0, 0, 0, R | W, 16, PT_GNU_STACK))
    return Elf(loads=loads, code=assemble(code) if isinstance(code, str) else code, data=data).pack()


class Caller:
    """A process whose only instruction is a system call, made with the registers that a test asks for."""

    def __init__(self, sandbox: Sandbox, *, linux: bool = False, **streams: Any) -> None:
        self.linux = linux
        self.process: Process = sandbox.spawn(image(b"\xcd\x80" if linux else b"\x0f\x05", linux=linux), **streams)
        self.process.memory.check(DATA, 0x1000, writable=True)

    def __call__(self, number: int, *arguments: int) -> int:
        """Make a call; its result, signed."""
        process = self.process
        cpu = process.registers
        names = ("ebx", "ecx", "edx", "esi", "edi", "ebp") if self.linux else ("edx", "ecx", "ebx", "edi", "esi")
        cpu.eip, cpu.eax = ENTRY, number
        for name, value in zip(names, (*arguments, *(0,) * len(names)), strict=False):
            setattr(cpu, name, value)
        process.step()
        return signed(cpu.eax)

    def put(self, data: bytes, address: int = DATA) -> int:
        """Store bytes in guest memory; their address."""
        self.process.memory.write(address, data)
        return address

    def text(self, text: str, address: int = DATA + 0xE00) -> int:
        """Store a C string; its address."""
        return self.put(text.encode() + b"\0", address)

    def get(self, count: int, address: int = DATA) -> bytes:
        """Bytes of guest memory."""
        return self.process.memory.read(address, count)
