"""A bare processor: assembly text straight in the code segment, without translator or dispatcher."""

from __future__ import annotations

import ctypes
import struct
import time
from typing import Any

from asm import assemble

from jit import assemble as jit_assemble
from jit import hostarea, lowmem, system
from jit.native import NativeProcessor
from reference import layout, runtime
from reference.registers import CPU, FP_IMAGE_BYTES
from reference.stop import Stop
from reference.traps import Access

#: Where a test's code, data and stack are.
CODE = 0x1000
DATA = 0x0020_0000
STACK = 0x0030_0000
LIMIT = 16 << 20


class Bare:
    """A processor with a page of data at DATA, and a stack that ends at STACK; ``run(text)`` executes a piece of code."""

    def __init__(self, **options: Any) -> None:
        self.processor = NativeProcessor(**{"limit": LIMIT, **options})
        control = self.processor.control
        self.cpu = CPU(control[:40].cast("I"), control[layout.FP_IMAGE : layout.FP_IMAGE + FP_IMAGE_BYTES])
        self.space = self.processor.space
        self.space.map(DATA, system.PAGE, Access.RW)
        self.space.map(STACK - 4 * system.PAGE, 4 * system.PAGE, Access.RW)
        self.cpu.esp = STACK
        self.processor.code[: len(runtime.STUBS)] = runtime.STUBS
        self.processor.prepare()

    def load(self, text: str | bytes, at: int = CODE) -> int:
        """Put code into the code segment, followed by a jump to the exit stub; its end."""
        code = assemble(text) if isinstance(text, str) else text
        end = at + len(code)
        code += b"\xe9" + struct.pack("<I", (runtime.EXIT - (end + 5)) & 0xFFFF_FFFF)
        self.processor.code[at : at + len(code)] = code
        return end

    def run(self, text: str | bytes, *, single: bool = False) -> Stop:
        """Execute a piece of code; how it stopped."""
        self.load(text)
        return self.processor.enter(CODE, single)

    def until_inside(self) -> None:
        """Wait until another thread is in the guest."""
        control = self.processor.control.cast("I")
        while not control[hostarea.INSIDE >> 2]:
            time.sleep(0.001)

    def close(self) -> None:
        """Give everything back."""
        self.processor.close()


class Routine:
    """64-bit code of a test's own, as a function of the test process."""

    def __init__(self, text: str, **constants: int) -> None:
        blob = jit_assemble.assemble(text, bits=64, constants=hostarea.constants() | constants)
        size = -(-len(blob.code) // system.PAGE) * system.PAGE
        self.address = lowmem.anywhere(size)
        ctypes.memmove(self.address, blob.code, len(blob.code))
        self.symbols = blob.symbols
        system.mprotect(self.address, size, system.READ | system.WRITE | system.EXECUTE)
        self.function = ctypes.PYFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p)(self.address)

    def __call__(self, first: int = 0, second: int = 0) -> int:
        return int(self.function(first, second))


def entry_address(bare: Bare) -> int:
    """The address of the native function that enters this processor."""
    return ctypes.cast(bare.processor._thunks.enter, ctypes.c_void_p).value or 0  # type: ignore[arg-type]
