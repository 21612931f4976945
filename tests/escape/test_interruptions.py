"""Interruptions at every native instruction of fragments and stubs, and in the middle of translation: the guest never
notices, and whoever interrupts finds it between two of its instructions."""

from __future__ import annotations

import signal
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

import capstone
import pytest
from asm import assemble
from child import in_child
from machine import CODE, DATA, LIMIT, guest

from reference import layout as at
from reference import runtime
from reference.dispatch import TranslatingEngine
from reference.memory import PAGE
from reference.policy import Policy
from reference.stop import Stop, StopKind
from reference.traps import Access, Vector

#: Enough room between two pieces of code for the hashed table.
FAR = CODE + 8 * at.direct_entries(at.segment_size(LIMIT)) & -PAGE
#: Every template, every stub: calls and jumps of all kinds, taken and not, loops, copies, what the host executes, a store
#: into code that runs, one target that competes for the entry of another.
PROGRAM = f"""
        fld1
        mov     ecx, 3
1:      call    2f
        loop    1b
        jecxz   3f
        nop
2:      add     edx, ecx
        ret
3:      mov     eax, {CODE + 0x100}
        call    eax
        call    eax
        mov     dword ptr [{DATA}], {CODE + 0x140}
        call    dword ptr [{DATA}]
        push    7
        call    eax
        push    eax
        ret
.org 0x100
        add     ebx, 5
        cmp     ebx, 0x20
        jae     4f
        ret
4:      inc     esi
        cmp     esi, 2
        je      5f
        ret     4
5:      mov     edi, {CODE + 0x180}
        mov     dword ptr [{DATA + 4}], edi
        jmp     dword ptr [{DATA + 4}]
.org 0x140
        push    ebp
        mov     ebp, esp
        mov     esp, ebp
        pop     ebp
        stc
        ret
.org 0x180
        pushfd
        or      dword ptr [esp], 0x400
        popfd
        cld
        xor     eax, eax
        cpuid
        mov     byte ptr [{CODE + 0x1C1}], 0x43
        jmp     6f
.org 0x1c0
6:      .byte   0x90, 0x90
        fldpi
        fstp    qword ptr [{DATA + 8}]
        mov     eax, {{other}}
        mov     edi, 3
7:      call    eax
        mov     edx, {{rival}}
        call    edx
        dec     edi
        jnz     7b
        into
        int3
.org 0x400
        add     esi, 1
        ret
"""
ELSEWHERE = "add ebp, 1; ret"
REGISTERS = {"ebx": 0x11, "edx": 0, "esi": 0, "ebp": 0x0002_0800}

PUSHF = 0x9C
Point = tuple[int, bytes, bytes]


@contextmanager
def subject(name: str, hashed: bool) -> Iterator[Any]:
    """An engine with the program, whose far-apart half is there for the hashed table."""
    rival = FAR + (CODE + 0x400 & 0xFFFF) if hashed else CODE + 0x400
    other = rival + 0x1_0000 if hashed else CODE + 0x400
    code = assemble(PROGRAM.format(other=other, rival=rival))
    limit = FAR + 0x4_0000 if hashed else LIMIT
    with guest(name, code, code_access=Access.RWX, limit=limit, policy=Policy.default(), **REGISTERS) as engine:
        if hashed:
            for eip in (rival, other):
                engine.space.map(eip & -PAGE, PAGE, Access.RX)
                engine.space.store(eip, assemble(ELSEWHERE))
        yield engine


def state(engine: Any) -> Point:
    """EIP, registers, and what the guest can write."""
    space = engine.space
    memory = b"".join(space.load(start, PAGE) for start in (CODE, DATA)) + space.load(0x3_F000, PAGE)
    return engine.cpu.eip, bytes(engine.cpu.words.cast("B")[:40]), memory


@cache
def trace(hashed: bool) -> tuple[frozenset[Point], Point]:
    """The states between two instructions, and the last one, as the specification has them."""
    with subject("reference", hashed) as engine:
        points = {state(engine)}
        while (trap := engine.step()).number == Vector.SINGLE_STEP:
            points.add(state(engine))
        assert trap.number == Vector.BREAKPOINT
        return frozenset(points), state(engine)


class Interrupting:
    """In the place of an engine's way into translated code: executes so many native instructions one by one, and then
    stops as an interruption does. Afterwards it is out of the way."""

    def __init__(self, engine: TranslatingEngine, steps: int) -> None:
        self.engine = engine
        self.enter = engine._enter
        self.left = steps
        self.at: list[int] = []
        engine._enter = self  # type: ignore[method-assign]

    def __call__(self, offset: int, single: bool) -> Stop:
        if single or self.left <= 0:
            return self.enter(offset, single)
        while True:
            self.at.append(offset)
            stop = self.enter(offset, True)
            self.left -= 1
            if stop.kind != StopKind.STEPPED:
                return stop
            if self.engine._cache.code[offset] == PUSHF:  # has stored the trap flag, with which steps are made
                cpu, space = self.engine.cpu, self.engine.space
                space.write_u32(cpu.esp, space.read_u32(cpu.esp) & ~0x100)
            offset = stop.offset
            if self.left == 0:
                self.at.append(offset)
                self.engine._interrupted = True
                return Stop(StopKind.INTERRUPTED, offset)


@pytest.mark.parametrize("hashed", [False, True], ids=["direct", "hashed"])
def test_an_interruption_at_any_native_instruction_is_between_two_of_the_guests(
    translating_name: str, hashed: bool
) -> None:
    """All of them natively with the direct table; every second one with the hashed table, and a sample on the model."""
    points, last = trace(hashed)
    seen: set[int] = set()
    steps = 1
    while True:
        with subject(translating_name, hashed) as engine:
            interrupting = Interrupting(engine, steps)
            trap = engine.run()
            if trap.number == Vector.IRQ:
                assert state(engine) in points, f"after {steps} native instructions, at {interrupting.at[-1]:#x}"
                trap = engine.run()
            assert trap.number == Vector.BREAKPOINT
            assert state(engine) == last, f"after {steps} native instructions, at {interrupting.at[-1]:#x}"
            seen.update(interrupting.at)
            assert (engine._cache.window is None) == hashed
        if interrupting.left > 0:
            break
        steps += 13 if translating_name == "translated" else 2 if hashed else 1
    wanted = {offset for offset in stub_instructions() if hashed or offset >= runtime.STEPPED}
    missed = wanted - seen - ({runtime.STEPPED} if hashed else set())
    assert translating_name != "jit" or not missed, f"stubs at {sorted(map(hex, missed))} were not reached"


def stub_instructions() -> list[int]:
    """The code offsets of the stubs' instructions, as capstone reads them."""
    reader = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    return [each.address for each in reader.disasm(runtime.STUBS[at.NO_CODE :], at.NO_CODE)]


MANY = 300
#: So many short fragments, each of which leads on indirectly, and a sum.
MANY_FRAGMENTS = "".join(
    f"add eax, {i}; lea ecx, [edx + {16 * (i + 1)}]; jmp ecx; .org {16 * (i + 1)};" for i in range(MANY)
)


@in_child
def test_timers_during_translation_change_nothing() -> None:
    """Every few microseconds a signal, with a handler of Python's, while nearly all there is to do is translating."""
    ticks = 0

    def tick(*_: object) -> None:
        nonlocal ticks
        ticks += 1

    signal.signal(signal.SIGALRM, tick)
    for round_ in range(6):
        with guest("jit", MANY_FRAGMENTS + "int3", code_access=Access.RWX, eax=0, edx=CODE) as engine:
            engine.space.map(CODE, 2 * PAGE, Access.RWX)
            engine.space.store(CODE, assemble(MANY_FRAGMENTS + "int3"))
            microseconds = 20 + 43 * round_
            signal.setitimer(signal.ITIMER_REAL, microseconds * 1e-6, microseconds * 1e-6)
            try:
                assert engine.run().number == Vector.BREAKPOINT
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert engine.cpu.eax == sum(range(MANY))
            assert engine.stats.fragments >= MANY
    assert ticks > 6


@in_child
def test_an_exception_of_a_handler_during_translation_leaves_a_guest_that_goes_on() -> None:
    def surprise(*_: object) -> None:
        raise Surprise

    signal.signal(signal.SIGALRM, surprise)
    caught = 0
    code = assemble(MANY_FRAGMENTS + "1: int3; jmp 1b")  # whose trap may be lost when it comes out of run()
    for round_ in range(150):
        with guest("jit", code[: 4 * PAGE], code_access=Access.RWX, eax=0, edx=CODE) as engine:
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (30 + 97 * (round_ % 101)))
                trap = engine.run()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except Surprise:
                caught += 1
                trap = engine.run()
            assert trap.number == Vector.BREAKPOINT
            assert engine.cpu.eax == sum(range(MANY))
            assert struct.unpack("<I", engine.space.load(CODE, 4)) == struct.unpack("<I", code[:4])
    assert caught > 15


class Surprise(Exception):
    """What a signal handler raises."""


class Surprising:
    """Raises at the n-th moment at which Python runs signal handlers in the modules that run a guest: behind a call of
    native code, and at the beginning of a function."""

    MODULES = ("reference/dispatch.py", "reference/cache.py", "jit/engine.py", "jit/native.py")

    def __init__(self, moment: int) -> None:
        self.left = moment
        self.where = ""

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event not in ("call", "c_return") or not frame.f_code.co_filename.endswith(self.MODULES):
            return
        self.left -= 1
        if self.left == 0:
            self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
            raise Surprise


#: A little of everything that is not executed by the specification: calls, returns, stores into code, faults.
SURPRISED = f"""
        call    2f
        mov     edi, 2
1:      mov     eax, {CODE + 0x100}
        call    eax
        mov     byte ptr [{CODE + 0x142}], 0x11
        lock inc dword ptr [{CODE + 0x180}]
        call    3f
        dec     edi
        jnz     1b
        int3
2:      lea     edx, [edx + 1]
        ret
.org 0x100
        add     ebx, 7
        jmp     2b
.org 0x140
3:      add     esi, 0x10
        ret
.org 0x1000
"""


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a generator may be closed at that moment
@pytest.mark.parametrize("hashed", [False, True], ids=["direct", "hashed"])
def test_an_exception_at_any_moment_of_the_dispatcher_loses_nothing(translating_name: str, hashed: bool) -> None:
    def run(moment: int) -> tuple[str, Point, bool]:
        limit = FAR + PAGE if hashed else LIMIT
        with guest(translating_name, SURPRISED, code_access=Access.RWX, limit=limit, **REGISTERS) as engine:  # type: ignore[arg-type]
            assert isinstance(engine, TranslatingEngine)
            if hashed:
                engine.space.map(FAR, PAGE, Access.RX)
            surprising = Surprising(moment)
            sys.setprofile(surprising)
            try:
                trap = engine.run()
            except Surprise:
                sys.setprofile(None)
                trap = engine.run()
            finally:
                sys.setprofile(None)
            assert trap.number == Vector.BREAKPOINT, surprising.where
            assert engine._cache.sound
            return surprising.where, state(engine), surprising.left > 0

    _, expected, _ = run(1 << 30)
    moment, done = 1, False
    while not done:
        where, found, done = run(moment)
        assert found == expected, f"moment {moment}: {where}"
        moment += 7 if translating_name == "jit" else 23
    assert moment > 300
