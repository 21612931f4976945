"""Small guests with known results, in assembly language."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import vx32py
from conformance.soak.images import CODE, DATA, assembled, image

__all__ = [
    "CODE",
    "DATA",
    "GOOD",
    "after",
    "assembled",
    "caller",
    "counter",
    "expect",
    "fault",
    "forker",
    "image",
    "mutator",
    "program",
    "writer",
]

#: The exit code of a guest that has met nothing unexpected.
GOOD: Final = 42
EXIT, READ, WRITE, FORK, WAIT, GETPID = 1, 3, 4, 24, 25, 29

_LEAVE: Final = f"\n mov edx, {GOOD}\n mov eax, {EXIT}\n syscall\n"
_FAIL: Final = f"\n bad: mov edx, 1\n mov eax, {EXIT}\n syscall\n"
_FACTOR, _INCREMENT = 1664525, 1013904223


@lru_cache(64)
def program(text: str, *, mutable: bool = False, memory: int = 1 << 16) -> vx32py.Module:
    """The module of a text: mostly the same one each time, so that it is shared by all who run it."""
    return vx32py.Module.from_bytes(image(assembled(text), mutable=mutable, memory=memory), name="soak")


def counter() -> vx32py.Module:
    """Takes as many steps of a congruential generator as the first word of DATA says, and stores the number that it has come
    to behind that."""
    return program(
        f"mov ecx, [DATA]\n xor eax, eax\n"
        f"1: imul eax, eax, {_FACTOR}\n add eax, {_INCREMENT}\n dec ecx\n jnz 1b\n mov [DATA + 4], eax" + _LEAVE
    )


@lru_cache(1024)
def after(steps: int) -> int:
    """The number that the generator comes to, by repeated squaring of the step."""
    factor, increment, a, c = 1, 0, _FACTOR, _INCREMENT
    while steps:
        if steps & 1:
            factor, increment = factor * a % 2**32, (increment * a + c) % 2**32
        a, c = a * a % 2**32, (c * a + c) % 2**32
        steps >>= 1
    return increment


def expect(process: vx32py.Process, steps: int) -> None:
    """A :func:`counter` has come to its end. Raises AssertionError."""
    assert process.exit_code == GOOD, f"{process}: {process.trap}, {process.registers}"
    found = process.memory.read_u32(DATA + 4)
    assert found == after(steps), f"{found:#x} after {steps} steps, not {after(steps):#x}"


def caller(times: int) -> vx32py.Module:
    """Asks for its number, and closes a descriptor that it does not have: one call may be answered natively, one not."""
    return program(
        f"mov ebp, {times}\n1: mov eax, {GETPID}\n syscall\n cmp eax, 100\n jne bad\n"
        f"mov eax, 6\n mov edx, -1\n syscall\n cmp eax, -9\n jne bad\n dec ebp\n jnz 1b" + _LEAVE + _FAIL
    )


def mutator(times: int) -> vx32py.Module:
    """Changes an instruction ahead of itself each time around, at offset 13 of its code, and adds up what that does."""
    return program(
        f"mov ecx, {times}\n xor ebx, ebx\n"
        f"1: mov [CODE + 14], ecx\n mov eax, 0\n add ebx, eax\n dec ecx\n jnz 1b\n"
        f"cmp ebx, {times * (times + 1) // 2}\n jne bad" + _LEAVE + _FAIL,
        mutable=True,
    )


def fault(address: int) -> vx32py.Module:
    """Reads where there is nothing."""
    return program(f"mov eax, [{address}]" + _LEAVE)


def forker(children: int) -> vx32py.Module:
    """Has children one after the other, each of which says with its exit code who it is."""
    return program(
        f"mov ebp, {children}\n1: mov eax, {FORK}\n syscall\n test eax, eax\n js bad\n jz 2f\n"
        f"mov esi, eax\n mov eax, {WAIT}\n mov edx, esi\n mov ecx, DATA\n xor ebx, ebx\n syscall\n cmp eax, esi\n jne bad\n"
        f"mov eax, [DATA]\n shr eax, 8\n cmp eax, ebp\n jne bad\n dec ebp\n jnz 1b" + _LEAVE + _FAIL +
        f"2: mov edx, ebp\n mov eax, {EXIT}\n syscall\n"
    )  # fmt: skip


def writer(times: int, size: int) -> vx32py.Module:
    """Writes zeros to its standard output."""
    return program(
        f"mov ebp, {times}\n1: mov eax, {WRITE}\n mov edx, 1\n mov ecx, DATA\n mov ebx, {size}\n syscall\n"
        f"cmp eax, {size}\n jne bad\n dec ebp\n jnz 1b" + _LEAVE + _FAIL,
        memory=max(1 << 16, size + 0x1000),
    )
