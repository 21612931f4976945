"""Translation-time races: another process rewrites the code of a guest, through a mapping of its own, while it is translated
and executed. Nothing tells the engine of it: what runs may be any mixture that was there, but only what the translator has
seen and admitted."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import needs
import pytest
from child import run as run_child
from machine import CODE, DATA, LIMIT, SENTINELS, STACK_TOP, guest

from reference.dispatch import TranslatingEngine
from reference.engine import Engine
from reference.memory import PAGE, AddressSpace
from reference.model import TranslatedEngine
from reference.traps import Access, Trap, Vector
from vx32py import verify

#: The page that two have: code of the guest, right behind its own, so that fragments reach from one to the other.
SHARED = CODE + PAGE
#: What stands there in turn; any bytes of any of them may be there together. With EAX = 20, INT 80h would be getpid.
VARIANTS = [
    bytes.fromhex(text)
    for text in (
        "b8 cd 80 90 90 43 43 43 cc cc",  # mov eax, …; inc ebx
        "90 cd 80 90 90 43 43 43 cc cc",  # nop; int 80h
        "8e d8 8e c0 8e d0 43 43 cc cc",  # mov ds, eax; mov es, eax; mov ss, eax
        "2e 8b 05 00 00 00 00 43 cc cc",  # mov eax, cs:[0]
        "65 8b 0d 24 00 00 00 43 cc cc",  # mov ecx, gs:[the way to the host]
        "65 ff 2d 24 00 00 00 43 cc cc",  # jmp far gs:[the way to the host]
        "ea 00 00 00 00 33 00 43 cc cc",  # jmp far to 64-bit code
        "66 e9 00 00 90 90 90 43 cc cc",  # a 16-bit jump
        "ff e1 c3 ff d1 ff e0 c3 cc cc",  # jumps, calls and returns to whatever
        "0f 05 0f 34 0f 01 ee 43 cc cc",  # syscall; sysenter; rdpkru
        "c6 05 08 10 01 00 43 43 cc cc",  # a store into this page
        "c6 05 07 10 01 00 f4 43 cc cc",
        "0f a2 9c 9d 9c 58 0f a2 cc cc",  # cpuid; pushfd; popfd
        "d9 74 24 e4 0f ae 44 24 80 cc",  # fnstenv; fxsave
        "c5 f8 58 c1 f3 a4 f2 ae 90 cc",  # vaddps or lds; rep movsb
    )
]
#: How often the code is run at least, and at most: until it has been seen in different states.
ROUNDS, MOST = {"reference": 200, "translated": 200, "jit": 2000}, 200_000


@contextmanager
def rewriting(file: int) -> Iterator[None]:
    """Meanwhile another process stores the variants over each other, as fast as it can."""
    memory = mmap.mmap(file, PAGE, offset=SHARED)
    process = os.fork()
    if process == 0:
        place = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        texts = [(ctypes.create_string_buffer(code), len(code)) for code in VARIANTS]
        while True:
            for text, length in texts:
                ctypes.memmove(place, text, length)
    try:
        yield
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def shared_engine(name: str, file: int) -> tuple[Engine, Any]:
    """An engine whose page at SHARED is that of the file, and what closes it."""
    if name == "jit":
        made = guest("jit", "", code_access=Access.RWX)
        engine = made.__enter__()
        space: Any = engine.space
        function = ctypes.CDLL(None).mmap
        function.restype = ctypes.c_void_p
        function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        shared_fixed, read_write = 0x11, 3
        where = space.base + SHARED
        assert function(where, PAGE, read_write, shared_fixed, file, SHARED) == where
        return engine, lambda: made.__exit__(None, None, None)
    space = AddressSpace(LIMIT, buffer=memoryview(mmap.mmap(file, LIMIT)))
    if name == "translated":
        return TranslatedEngine(space), lambda: None
    from reference.engines import ReferenceEngine

    return ReferenceEngine(space), lambda: None


def race(name: str) -> None:
    """In a child: run code that is rewritten, from two bytes before it, again and again."""
    TranslatingEngine.verifier = verify
    file = os.memfd_create("shared")
    os.ftruncate(file, LIMIT)
    engine, close = shared_engine(name, file)
    space, cpu, pid = engine.space, engine.cpu, os.getpid()
    if name != "jit":
        space.map(CODE, 2 * PAGE, Access.RWX)
        space.map(DATA, 2 * PAGE, Access.RW)
        space.map(STACK_TOP - 2 * PAGE, 2 * PAGE, Access.RW)
    space.store(SHARED - 2, b"\x43\x43")
    space.store(SHARED + 16, b"\xcc" * 64)
    seen: set[int] = set()
    wanted = {Vector.BREAKPOINT, Vector.INVALID_OPCODE, Vector.PAGE_FAULT, 0x280}
    with rewriting(file):
        for round_ in range(MOST):
            for register, value in {**SENTINELS, "eax": 20, "ecx": 1, "esi": DATA, "edi": DATA + 64}.items():
                setattr(cpu, register, value)
            cpu.esp, cpu.eip, cpu.eflags = STACK_TOP - 64, SHARED - 2, 0x202
            space.store(SHARED + 0x800, bytes([round_ & 0xFF]))  # all is translated anew
            trap: Trap = engine.run()
            assert cpu.eax != pid, "a system call was made"
            assert trap.number in (*range(0x20), *range(0x200, 0x301)), trap
            seen.add(trap.number)
            if round_ >= ROUNDS[name] and wanted <= seen:
                break
    assert wanted <= seen, f"only {seen}: there was no race"
    close()


@pytest.mark.parametrize("name", ROUNDS)
def test_code_that_another_process_rewrites_never_runs_unseen(name: str) -> None:
    needs.engine(name)
    done = run_child(race, {"name": name})
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout}{done.stderr}"
