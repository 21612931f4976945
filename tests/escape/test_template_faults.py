"""Faults in every memory access of every template, at every distance from the edge of what is mapped: the state that the host
sees is that of the specification, and going on afterwards leads to the same end."""

from __future__ import annotations

import pytest
from machine import CODE, DATA, LIMIT, STACK_TOP, End, all_agree, end_of, guest

from reference import layout as at
from reference.memory import PAGE
from reference.policy import Policy
from reference.traps import Access, Vector
from vx32py._engines import engines

#: The edges: unmapped below and above, read-only above, the end of the address space, its beginning.
LOW, HIGH = STACK_TOP - 2 * PAGE, STACK_TOP
#: An access of 4 bytes that begins at these distances from an edge touches it, or just does not.
AROUND = (-5, -4, -3, -2, -1, 0, 1, 3, 4)
TARGET = CODE + 0x200

#: Code, and the register that decides where its only access to memory is, with the offset of that access.
TEMPLATES = {
    "call": ("stc; call 1f; 1: nop", "esp", -4),
    "call register": (f"stc; mov ecx, {TARGET}; call ecx", "esp", -4),
    "call register ebx": (f"mov ebx, {TARGET}; stc; call ebx", "esp", -4),
    "call memory": ("stc; call [edi]", "edi", 0),
    "call memory by ecx": ("stc; call [ecx]", "ecx", 0),
    "call memory by ecx and displacement": ("stc; call [ecx + 0x10]", "ecx", 0x10),
    "call memory by esp": ("std; call [esp + 0x40]", "esp", 0x40),
    "jump memory": ("std; jmp [edi]", "edi", 0),
    "jump memory by ecx": ("std; jmp [ecx - 8]", "ecx", -8),
    "jump memory by esp": ("std; jmp [esp]", "esp", 0),
    "jump table": ("std; jmp [ecx * 2 + edi]", "edi", 4),
    "return": ("cmc; ret", "esp", 0),
    "return and release": ("cmc; ret 12", "esp", 0),
    "return behind a pop": ("pop eax; cmc; ret", "esp", 4),
    "push": ("push esi", "esp", -4),
    "pop": ("pop esi", "esp", 0),
    "push memory": ("push dword ptr [edi]", "edi", 0),
    "pop memory": ("pop dword ptr [edi]", "edi", 0),
    "pusha": ("pushad", "esp", -4),
    "pusha, the last": ("pushad", "esp", -32),
    "popa": ("popad", "esp", 0),
    "popa, the last": ("popad", "esp", 28),
    "enter": ("enter 16, 0", "esp", -4),
    "enter, nested": ("enter 16, 3", "esp", -8),
    "enter, frames": ("enter 16, 3", "ebp", -8),
    "leave": ("leave", "ebp", 0),
    "pushf": ("pushfd", "esp", -4),
    "popf": ("popfd", "esp", 0),
    "load behind a landing": (f"push {TARGET + 64}; ret; .org 0x240; mov eax, [edi]", "edi", 0),
    "store behind a landing": (f"mov eax, {TARGET + 64}; jmp eax; .org 0x240; mov [edi], eax", "edi", 0),
    "load behind a return": ("call 1f; mov eax, [edi]; int3; 1: ret", "edi", 0),
    "load behind an indirect call": (
        f"mov eax, {TARGET + 64}; call eax; mov eax, [edi]; int3; .org 0x240; ret",
        "edi",
        0,
    ),
    "load in a loop": ("mov ecx, 3; 1: dec edi; mov eax, [edi + 3]; loop 1b", "edi", 0),
    "movs, source": ("mov edi, edx; movsd", "esi", 0),
    "movs, destination": ("mov esi, edx; movsd", "edi", 0),
    "rep movs": ("mov esi, edx; mov ecx, 3; rep movsb", "edi", 0),
    "fld": ("fld dword ptr [edi]", "edi", 0),
    "fxsave": ("fxsave [edi]", "edi", 0),
    "fnsave": ("fnsave [edi]", "edi", 0),
    "lock xadd": ("lock xadd [edi], eax", "edi", 0),
    "xchg": ("xchg [edi], eax", "edi", 0),
    "movups": ("movups [edi], xmm0", "edi", 0),
    "vmovups": ("vmovups ymm0, [edi]", "edi", 0),
}
EDGES = {"below": LOW, "above": HIGH, "end": LIMIT, "beginning": 0}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_access_at_every_edge(template: str, edge: str) -> None:
    text, register, offset = TEMPLATES[template]
    tail = "" if ".org" in text else f"; int3; .org {TARGET - CODE}; inc esi; int3"
    expected: dict[int, End] = {}
    for name in engines():
        with guest(name, text + tail + "; int3", policy=Policy.everything()) as engine:
            engine.space.map(LIMIT - PAGE, PAGE, Access.RW)
            engine.space.map(DATA + PAGE, PAGE, Access.READ)
            start = list(engine.cpu.words)
            for around in AROUND:
                for i, word in enumerate(start):
                    engine.cpu.words[i] = word
                engine.cpu.ecx, engine.cpu.edx, engine.cpu.ebp = 2, DATA, DATA + 0x800
                setattr(engine.cpu, register, EDGES[edge] + around - offset & 0xFFFF_FFFF)
                for at_, what in ((HIGH - 8, TARGET), (HIGH - 4, TARGET), (LOW, TARGET), (LIMIT - 4, TARGET)):
                    engine.space.write_u32(at_, what)
                end = end_of(engine)
                assert expected.setdefault(around, end) == end, f"{name} differs from {engines()[0]} at {around}"
    assert Vector.PAGE_FAULT in {end.number for end in expected.values()}


@pytest.mark.parametrize("level", [0, 1, 2, 30, 31, 32, 255])
@pytest.mark.parametrize(
    "esp", [0, 4, 0x7C, 0x80, 0x84, LIMIT, LIMIT - 1, LIMIT - 4, LIMIT + 4, 0xFFFF_FFFC, 0xFFFF_FFFF, 0x8000_0000]
)
def test_stack_at_both_ends_of_memory(esp: int, level: int) -> None:
    """ENTER with every level, PUSHA, POPA and their like where the stack wraps around, or is just beyond the end."""
    for text in (
        f"enter 0xfff0, {level}",
        f"enter 0, {level}",
        "pushad; popad",
        "popad; pushad",
        "call 1f; 1: ret 0xfffc",
    ):
        end = all_agree(text + "; int3", esp=esp, ebp=esp)
        assert end.number in (Vector.PAGE_FAULT, Vector.BREAKPOINT)


def test_faults_with_the_hashed_table_are_as_precise(engine_name: str) -> None:
    """There two registers are borrowed; each of the indirect templates, with an unmapped operand and an unmapped stack."""
    far = CODE + 8 * at.direct_entries(at.segment_size(LIMIT)) & -PAGE
    bad = DATA + 2 * PAGE
    for text, registers in (
        ("call [ecx]", {"ecx": bad}),
        ("call [edx + ecx]", {"ecx": bad, "edx": 0}),
        ("jmp [edx]", {"edx": bad}),
        ("call edx", {"edx": CODE, "esp": bad + 4}),
        ("call ecx", {"ecx": CODE, "esp": bad + 4}),
        ("call 1f; 1:", {"esp": bad + 4}),
        ("ret", {"esp": bad}),
        ("ret 8", {"esp": bad - 2}),
    ):
        started = {"ecx": 0x1234, "edx": 0x5678, "ebx": 0x9ABC, "eflags": 0xED7, **registers}
        with guest(engine_name, text, limit=far + PAGE, **started) as engine:  # type: ignore[arg-type]
            engine.space.map(far, PAGE, Access.RX)
            trap = engine.run()
            assert (trap.number, trap.eip, trap.address & -PAGE) == (Vector.PAGE_FAULT, CODE, bad)
            for register, value in started.items():
                assert getattr(engine.cpu, register) == value, f"{text}: {register}"
            assert engine_name == "reference" or engine._cache.window is None  # type: ignore[attr-defined]
