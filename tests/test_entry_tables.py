"""How indirect branches find their targets: the window of the direct table, what is around it, and the hashed table."""

from __future__ import annotations

import capstone
import pytest
from asm import assemble
from machine import CODE, LIMIT, guest

from reference import layout as at
from reference.dispatch import TranslatingEngine
from reference.engine import Engine
from reference.memory import PAGE
from reference.policy import Policy
from reference.registers import MASK32
from reference.translator import placed, translate
from reference.translator.shape import sizes
from reference.traps import Access, Vector


def window(engine: Engine) -> int | None:
    assert isinstance(engine, TranslatingEngine)
    return engine._cache.window


def entries(engine: Engine) -> int:
    """How many words of the control segment are not 0 where entries are."""
    assert isinstance(engine, TranslatingEngine)
    words = engine._words[at.control_word(at.DIRECT_TABLE) :]
    return sum(word != 0 for word in words[::2])


def add_code(engine: Engine, eip: int, text: str) -> None:
    engine.space.map(eip & -PAGE, PAGE, Access.RX)
    engine.space.store(eip, assemble(text))


def test_no_target_makes_a_way_in_of_the_control_segments_other_words(translating_name: str) -> None:
    """Products of the index wrap around: for every word below the table that one can lead to, all eight targets that do, by
    a return, while every register holds the address of translated code."""
    with guest(translating_name, "ret") as engine:
        cpu, space = engine.cpu, engine.space
        esp = cpu.esp
        cpu.eip = CODE
        space.write_u32(esp, 0)
        engine.run()
        assert isinstance(engine, TranslatingEngine)
        start = window(engine)
        assert start is not None
        inside = engine._origin + at.FIRST_FRAGMENT + 1
        for offset in range(0, at.DIRECT_TABLE, 8):
            for alias in range(8):
                target = start + (offset - at.DIRECT_TABLE) // 8 + (alias << 29) & MASK32
                assert at.direct_slot(target, start) == offset
                for name in ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi"):
                    setattr(cpu, name, inside)
                cpu.eip, cpu.esp = CODE, esp
                space.write_u32(esp, target)
                trap = engine.run()
                assert (trap.number, trap.eip, trap.address) == (Vector.PAGE_FAULT, target, target), hex(offset)
                assert (cpu.ecx, cpu.esp, cpu.eip) == (inside, esp + 4, target)


@pytest.mark.parametrize("distance", [-4, -1, 1, 2, 4, 8, 64, 1 << 16, 1 << 28, 1 << 29, 3 << 29, 1 << 31])
@pytest.mark.parametrize("branch", ["call eax", "jmp eax", "push eax; ret", "push eax; ret 8"])
def test_a_target_near_or_alike_a_landing_is_no_way_in(engine_name: str, branch: str, distance: int) -> None:
    """What the table has for one target, it has for no other: elsewhere is no code, or other code."""
    landing = CODE + 0x800
    target = landing + distance & MASK32
    code = f"""
        mov eax, {landing}; mov edi, {CODE + 0x40}; stc; {branch}
    .org 0x40
        mov eax, {target}; mov edi, {CODE + 0x80}; stc; {branch}
    .org 0x80
        int3
    .org 0x7f8
        .fill 8, 1, 0xcc
    .org 0x800
        mov edx, 1
        jmp edi
    """
    with guest(engine_name, code, edx=0, ecx=11) as engine:
        first = engine.run()
        executable = target < LIMIT and engine.space.permissions[target // PAGE] & Access.EXECUTE
        if executable:  # an INT3, or zeros, or the middle of the MOV: whatever the interpreter makes of it
            with guest("reference", code, edx=0, ecx=11) as other:
                trap = other.run()
                assert (first.number, first.eip, first.address) == (trap.number, trap.eip, trap.address)
                assert list(engine.cpu.words) == list(other.cpu.words)
        else:
            assert (first.number, first.eip, first.address) == (Vector.PAGE_FAULT, target, target)
            assert engine.cpu.edx == 1
            assert engine.cpu.ecx == 11
            assert engine.cpu.eflags & 1


def test_code_that_comes_later_below_the_window_moves_it(translating_name: str) -> None:
    """The guest calls code far below what it began with: the window is chosen anew, and all works on."""
    low = CODE
    with guest(translating_name, "int3", limit=LIMIT) as engine:
        engine.space.unmap(CODE, 4 * PAGE)
        high = CODE + 0xA000
        add_code(engine, high, f"mov eax, {low}; call eax; call eax; int3")
        engine.cpu.eip = high
        assert engine.run().number == Vector.PAGE_FAULT
        before = window(engine)
        add_code(engine, low, "inc edx; ret")
        engine.cpu.eip, engine.cpu.edx = high, 0
        assert engine.run().number == Vector.BREAKPOINT
        assert engine.cpu.edx == 2
        assert before is not None
        assert before > low
        assert window(engine) is not None
        assert window(engine) != before


def test_code_too_far_apart_for_a_window_uses_the_hashed_table(translating_name: str) -> None:
    limit = 4 * LIMIT
    far = CODE + 8 * at.direct_entries(at.segment_size(limit)) & -PAGE
    text = f"mov edi, 30; 1: mov eax, {far}; call eax; dec edi; jnz 1b; int3"
    with guest(translating_name, text, limit=max(limit, far + PAGE), edx=0) as engine:
        add_code(engine, far, "inc edx; ret")
        trap = engine.run()
        assert (trap.number, engine.cpu.edx) == (Vector.BREAKPOINT, 30)
        assert window(engine) is None


def test_a_guest_that_gets_too_far_apart_while_it_runs_goes_on_with_the_hashed_table(translating_name: str) -> None:
    far = CODE + 8 * at.direct_entries(at.segment_size(LIMIT)) & -PAGE
    text = f"mov eax, {CODE + 0x100}; call eax; mov eax, {far}; call eax; call eax; int3; .org 0x100; inc ebx; ret"
    with guest(translating_name, text, limit=far + PAGE, edx=0, ebx=0) as engine:
        trap = engine.run()
        assert (trap.number, trap.eip, engine.cpu.ebx) == (Vector.PAGE_FAULT, far, 1)
        assert window(engine) is not None
        add_code(engine, far, "inc edx; ret")
        trap = engine.run()
        assert (trap.number, engine.cpu.edx, engine.cpu.ebx) == (Vector.BREAKPOINT, 2, 1)
        assert window(engine) is None


def test_a_call_that_ends_the_last_page_of_code_returns_behind_it(engine_name: str) -> None:
    """Its landing has no entry in a table that ends there."""
    last = LIMIT - PAGE
    with guest(engine_name, f"1: ret; .org 0x40; mov eax, {LIMIT - 5}; jmp eax") as engine:
        call = b"\xe8" + (CODE - LIMIT & MASK32).to_bytes(4, "little")
        engine.space.map(last, PAGE, Access.RX)
        engine.space.store(LIMIT - 5, call)
        engine.cpu.eip = CODE + 0x40
        trap = engine.run()
        assert (trap.number, trap.eip, trap.address) == (Vector.PAGE_FAULT, LIMIT, LIMIT)


def test_entries_of_dropped_fragments_are_not_set(translating_name: str) -> None:
    with guest(translating_name, "1: call 2f; int3; .org 0x1000; 2: ret") as engine:
        assert engine.run().number == Vector.BREAKPOINT
        assert entries(engine) >= 3
        engine.space.unmap(CODE, 4 * PAGE)
        assert entries(engine) == 0


def test_templates_are_no_longer_than_they_were() -> None:
    """How many instructions of the host each template has, besides the guest's own: by capstone's count."""
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)

    def count(text: str | bytes, window: int | None) -> int:
        """Of everything but the fragment's landing and its trampolines."""
        made = translate(
            text if isinstance(text, bytes) else assemble(text), CODE, Policy.default(), offset=0x200, window=window
        )
        code = made.code[made.landings[0].body - made.offset : made.tail - made.offset]
        return sum(1 for _ in disassembler.disasm(code, 0))

    for text, direct, hashed in (
        ("inc eax; int3", 4, 4),
        (b"\xe9\x40\0\0\0", 1, 1),
        (b"\x74\x40\xcc", 4, 4),
        ("ret", 3, 5),
        ("ret 8", 4, 6),
        ("jmp eax", 3, 5),
        ("jmp [eax * 4 + 64]", 3, 5),
        (b"\xe8\x40\0\0\0\xcc", 3 + 3, 5 + 3),
        ("call eax; int3", 5 + 3, 9 + 3),
        ("cpuid", 3, 3),
    ):
        assert (count(text, 0), count(text, None)) == (direct, hashed), text


@pytest.mark.parametrize("window", [0, None])
def test_landing_and_body_are_in_one_line_of_the_cache_for_who_comes_by_the_landing(window: int | None) -> None:
    landing, line = sizes(window).landing, at.CODE_ALIGNMENT
    for eip in range(CODE, CODE + line):
        for free in range(0x200, 0x200 + line):
            direct, indirect = (placed(free, eip, window, indirect=each) for each in (False, True))
            assert free <= direct < free + line
            assert free <= indirect < free + line
            assert (direct + landing - eip) % line == 0
            assert indirect // line == (indirect + landing) // line
            assert (indirect + landing - eip) % line in (0, landing)
