"""Guests that want out, or want their host to suffer: each with the outcome that it must have.

``make(rng)`` chooses one. An outcome is how a :class:`vx32py.Result` may end: by exit code, trap vector, or limit; several
where it is the processor's or the scheduler's affair which.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import vx32py
from conformance.soak import programs
from conformance.soak.images import CODE, DATA, image
from conformance.soak.programs import EXIT, FORK, GETPID, GOOD, program
from reference.registers import EAX, EBX, ECX, EDI, EDX, ESI
from vx32py import Vector

_LEAVE: Final = f"\n mov edx, {GOOD}\n mov eax, {EXIT}\n syscall\n"
#: What ends code that is nobody's intention.
_ANY: Final = "any"
_SYSCALL: Final = b"\x0f\x05"


@dataclass(frozen=True)
class Hostile:
    """A guest and its outcomes: ``exit N``, the name of a vector, the name of a limit, or "any"."""

    name: str
    module: vx32py.Module
    outcomes: frozenset[str]
    #: Seconds that it may run, and bytes that it may write, if not as many as any.
    timeout: float | None = None
    output: int | None = None
    #: Bytes that it has written.
    written: int | None = None


def outcome(result: vx32py.Result) -> str:
    """How a run has ended."""
    if result.exit_code is not None:
        return f"exit {result.exit_code}"
    if result.trap is not None:
        number = result.trap.number
        return Vector(number).name if number in Vector._value2member_map_ else f"trap {number:#x}"
    return result.limit or "nothing"


def check(guest: Hostile, result: vx32py.Result) -> None:
    """Raise AssertionError if it has ended otherwise."""
    found = outcome(result)
    assert _ANY in guest.outcomes or found in guest.outcomes, f"{guest.name} ended with {found}: {result.describe()}"
    if guest.written is not None:
        assert result.stdout == bytes(guest.written), f"{guest.name} wrote {len(result.stdout)} bytes"


def _guest(name: str, text: str, *outcomes: str, timeout: float | None = None, mutable: bool = False) -> Hostile:
    return Hostile(name, program(text, mutable=mutable, memory=1 << 20), frozenset(outcomes), timeout)


def _spin(rng: random.Random) -> Hostile:
    loop = rng.choice(("1: jmp 1b", "1: inc dword ptr [DATA]\n jmp 1b", f"1: mov eax, {GETPID}\n syscall\n jmp 1b"))
    return _guest("spinner", loop, "time", timeout=rng.choice((0.002, 0.02, 0.1)))


def _fault(rng: random.Random) -> Hostile:
    address = rng.choice((0, 0x20, 0xFFF, 0x7FF_FFFF, 0x4000_0000, 0xFFFF_FFFC)) & ~3
    text = rng.choice(
        ("mov eax, [{0}]", "mov dword ptr [{0}], 1", "jmp 2f\n2: push dword ptr [{0}]", "fld qword ptr [{0}]")
    )
    return _guest("faulter", text.format(address), "PAGE_FAULT", "GENERAL_PROTECTION", "STACK_FAULT")


def _write_to_code(rng: random.Random) -> Hostile:
    return _guest("writer to code", f"mov byte ptr [CODE + {rng.randrange(16)}], 0xCC" + _LEAVE, "PAGE_FAULT")


def _wild_return(rng: random.Random) -> Hostile:
    target = rng.choice((0, 8, 0x2000_0000, 0x8000_0000, 0xFFFF_FFF0, DATA, CODE + 0x1000, 0x0010_0000))
    text = rng.choice((f"push {target}\n ret", f"mov eax, {target}\n jmp eax", f"mov eax, {target}\n call eax"))
    return _guest("wild return", text, "PAGE_FAULT", "GENERAL_PROTECTION")


def _flags(rng: random.Random) -> Hostile:
    flags = rng.choice((0x100, 0x4000, 0x4_0000, 0x3000, 0x400, 0x1_0000, 0x20_0000, 0xFFFF_FFFF, 0xFFFF_FEFF))
    return _guest("player with flags", f"push {flags}\n popfd\n pushfd\n pop ebx\n test ebx, 0x57100\n jnz 1f" + _LEAVE + "1: ud2",
                  f"exit {GOOD}")  # fmt: skip


def _odd_state(rng: random.Random) -> Hostile:
    control, mxcsr = rng.choice((0x0C7F, 0x007F, 0x047F, 0x0F7F)), rng.choice((0x7F80, 0xFFC0, 0x3F80, 0x9FC0))
    text = (
        f"push {control}\n fldcw [esp]\n push {mxcsr}\n ldmxcsr [esp]\n fld1\n fldz\n fld1\n fld1\n fld1\n fld1\n fld1\n fld1\n"
        "fld1\n std\n pcmpeqd xmm0, xmm0\n movdqa xmm7, xmm0" + _LEAVE
    )
    return _guest("odd floating-point state", text, f"exit {GOOD}")


def _unmasked(rng: random.Random) -> Hostile:
    if rng.random() < 0.5:
        text = "push 0x0340\n fldcw [esp]\n fld1\n fldz\n fdivp\n fwait"
        return _guest("unmasked x87 exception", text + _LEAVE, "FP_ERROR")
    text = "push 0\n ldmxcsr [esp]\n xorps xmm0, xmm0\n mov eax, 0x3F800000\n movd xmm1, eax\n divss xmm1, xmm0"
    return _guest("unmasked SSE exception", text + _LEAVE, "SIMD_ERROR")


def _pending(rng: random.Random) -> Hostile:
    """Leaves an exception pending, and exits: the host must not meet it."""
    return _guest(
        "pending exception", "push 0x0340\n fldcw [esp]\n fld1\n fldz\n fdivp" + _LEAVE, f"exit {GOOD}", "FP_ERROR"
    )


def _giant_repetition(rng: random.Random) -> Hostile:
    text = rng.choice(("rep stosb", "rep stosd", "rep movsd", "repe cmpsb", "std\n rep stosd", "rep lodsb"))
    return _guest(
        "giant repetition", f"mov edi, DATA + 0x8000\n mov esi, DATA\n mov ecx, -1\n {text}" + _LEAVE,
        "PAGE_FAULT", "GENERAL_PROTECTION", "time", "exit 42", timeout=1.0,
    )  # fmt: skip


def _fork_bomb(rng: random.Random) -> Hostile:
    tail = rng.choice((_LEAVE, f"mov edx, 0\n mov eax, 28\n syscall\n {_LEAVE}"))
    return _guest("fork bomb", f"1: mov eax, {FORK}\n syscall\n test eax, eax\n jns 1b\n" + tail, f"exit {GOOD}")


def _megabytes(rng: random.Random) -> Hostile:
    times, size = rng.choice(((4, 1 << 20), (64, 1 << 16), (1000, 100)))
    module = programs.writer(times, size)
    if rng.random() < 0.3:
        return Hostile("writer past the limit", module, frozenset({"output"}), output=times * size // 2)
    return Hostile("writer", module, frozenset({f"exit {GOOD}"}), written=times * size)


def _flood(rng: random.Random) -> Hostile:
    times = rng.choice((100, 5000, 30000))
    return Hostile("flood of calls", programs.caller(times), frozenset({f"exit {GOOD}"}))


def _bad_calls(rng: random.Random) -> Hostile:
    """Calls with random numbers and pointers to anywhere; never exit, sleep or a wait."""
    code = bytearray()
    for _ in range(20):
        number = rng.choice((3, 4, 5, 6, 7, 9, 11, 12, 13, 14, 16, 27, 29, 77, 0, 0xFFFF_FFFF, 0x8000_0000))
        for register in (EDX, ECX, EBX, EDI, ESI):
            value = rng.choice((0, 1, 2, DATA, DATA + 0xF_FFF0, CODE, 0xFFFF_FFFF, 0x7FFF_FFFF, rng.getrandbits(32)))
            code += _load(register, value)
        code += _load(EAX, number) + _SYSCALL
    code += _load(EDX, GOOD) + _load(EAX, EXIT) + _SYSCALL
    return Hostile("bad calls", _module(bytes(code)), frozenset({f"exit {GOOD}"}))


def _load(register: int, value: int) -> bytes:
    return bytes([0xB8 | register]) + value.to_bytes(4, "little")


def _many_entries(rng: random.Random) -> Hostile:
    """Calls every address of memory full of RET."""
    count = rng.choice((1000, 1000, 4000, 16000))
    text = (
        f"mov edi, CODE + 0x1000\n mov ecx, {count}\n mov al, 0xC3\n rep stosb\n"
        f"mov esi, CODE + 0x1000\n mov ebx, {count}\n1: call esi\n inc esi\n dec ebx\n jnz 1b" + _LEAVE
    )
    code = programs.assembled(text).ljust(0x1000, b"\x90") + bytes(0x4000)
    module = _module(code, mutable=True)
    return Hostile("many entry points", module, frozenset({f"exit {GOOD}"}))


def _smash(rng: random.Random) -> Hostile:
    text = rng.choice(
        (
            "1: push esp\n jmp 1b",
            "1: call 1b",
            "mov esp, 4\n push eax\n push eax",
            "mov esp, -1\n pop eax",
            "1: pushad\n jmp 1b",
        )
    )
    return _guest("stack smasher", text, "PAGE_FAULT", "STACK_FAULT", "GENERAL_PROTECTION")


def _noise(rng: random.Random) -> Hostile:
    return Hostile("noise", _module(rng.randbytes(0x2000), mutable=rng.random() < 0.5), frozenset({_ANY}), timeout=0.5)


def _random_program(rng: random.Random) -> Hostile:
    from conformance import guest_code  # Hypothesis comes with it

    code = b"".join(guest_code.random_program(rng, 40) for _ in range(8))
    return Hostile("random instructions", _module(code, mutable=rng.random() < 0.5), frozenset({_ANY}), timeout=0.5)


def _mutator(rng: random.Random) -> Hostile:
    return Hostile("mutator", programs.mutator(rng.choice((1, 10, 100, 300))), frozenset({f"exit {GOOD}"}))


def _module(code: bytes, *, mutable: bool = False) -> vx32py.Module:
    return vx32py.Module.from_bytes(image(code, mutable=mutable, memory=1 << 20), name="hostile")


_KINDS: Final[tuple[Callable[[random.Random], Hostile], ...]] = (
    _spin, _fault, _write_to_code, _wild_return, _flags, _odd_state, _unmasked, _pending, _giant_repetition, _fork_bomb,
    _megabytes, _flood, _bad_calls, _many_entries, _smash, _noise, _random_program, _mutator,
)  # fmt: skip


def make(rng: random.Random) -> Hostile:
    """One of them."""
    return rng.choice(_KINDS)(rng)


@cache
def kinds() -> tuple[str, ...]:
    """What they are called."""
    return tuple(kind.__name__.strip("_") for kind in _KINDS)
