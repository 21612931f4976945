"""Every trap: the same number, EIP, registers, flags, memory and fault address on every engine."""

from __future__ import annotations

import threading
import time

import pytest
from asm import assemble
from machine import CODE, DATA, LIMIT, SENTINELS, STACK_TOP, all_agree, end_of, guest

from reference.memory import PAGE
from reference.policy import Policy
from reference.registers import ECX, EDX, ESP
from reference.traps import Access, Vector

ESP0 = STACK_TOP - 64

#: name, code, trap number, offset of the reported EIP, fault address, access, processor's vector
SIMPLE = [
    ("divide", "xor edx, edx; xor ecx, ecx; div ecx", Vector.DIVIDE_ERROR, 4, 0, Access.NONE),
    ("divide overflow", "mov edx, 1; xor eax, eax; mov ecx, 1; div ecx", Vector.DIVIDE_ERROR, 12, 0, Access.NONE),
    ("idiv overflow", "mov eax, 0x80000000; cdq; mov ecx, -1; idiv ecx", Vector.DIVIDE_ERROR, 11, 0, Access.NONE),
    ("aam by zero", ".byte 0xd4, 0", Vector.DIVIDE_ERROR, 0, 0, Access.NONE),
    ("breakpoint", "inc eax; int3", Vector.BREAKPOINT, 2, 0, Access.NONE),
    ("int 3 long form", "inc eax; .byte 0xcd, 3", 0x203, 3, 0, Access.NONE),
    ("int 0x80", "inc eax; int 0x80", 0x280, 3, 0, Access.NONE),
    ("int 0x40", "int 0x40", 0x240, 2, 0, Access.NONE),
    ("int 0xff", "int 0xff", 0x2FF, 2, 0, Access.NONE),
    ("syscall", "inc eax; .byte 0x0f, 0x05", Vector.SYSCALL, 3, 0, Access.NONE),
    ("into with overflow", "mov eax, 0x7fffffff; inc eax; into", Vector.OVERFLOW, 7, 0, Access.NONE),
    ("bound", f"mov dword ptr [{DATA}], 5; mov dword ptr [{DATA + 4}], 9; mov eax, 3; bound eax, [{DATA}]",
     Vector.BOUND, 25, 0, Access.NONE),
    ("ud2", "inc eax; ud2", Vector.INVALID_OPCODE, 1, 0, Access.NONE),
    ("hlt", "inc eax; hlt", Vector.INVALID_OPCODE, 1, 0, Access.NONE),
    ("cli", "inc eax; cli", Vector.INVALID_OPCODE, 1, 0, Access.NONE),
    ("invalid", "inc eax; .byte 0x0f, 0x04", Vector.INVALID_OPCODE, 1, 0, Access.NONE),
    ("lock nop", "inc eax; .byte 0xf0, 0x90", Vector.INVALID_OPCODE, 1, 0, Access.NONE),
    ("read unmapped", "inc eax; mov ecx, [0x50000]", Vector.PAGE_FAULT, 1, 0x50000, Access.READ),
    ("write unmapped", "inc eax; mov [0x50008], ecx", Vector.PAGE_FAULT, 1, 0x50008, Access.WRITE),
    ("write code", f"inc eax; mov [{CODE}], ecx", Vector.PAGE_FAULT, 1, CODE, Access.WRITE),
    ("rmw unmapped", "inc eax; add [0x50008], ecx", Vector.PAGE_FAULT, 1, 0x50008, Access.WRITE),
    ("straddle read", f"inc eax; mov ecx, [{DATA + 2 * PAGE - 2}]", Vector.PAGE_FAULT, 1, DATA + 2 * PAGE, Access.READ),
    ("straddle write", f"mov [{DATA + 2 * PAGE - 1}], ecx", Vector.PAGE_FAULT, 0, DATA + 2 * PAGE, Access.WRITE),
    ("execute unmapped", "mov eax, 0x50000; jmp eax", Vector.PAGE_FAULT, None, 0x50000, Access.EXECUTE),
    ("execute data", f"mov eax, {DATA}; call eax", Vector.PAGE_FAULT, None, DATA, Access.EXECUTE),
    ("execute direct", f".byte 0xe9; .long {0x50000 - CODE - 5}", Vector.PAGE_FAULT, None, 0x50000, Access.EXECUTE),
    ("return to nowhere", "push 0x50000; ret", Vector.PAGE_FAULT, None, 0x50000, Access.EXECUTE),
    ("read beyond the limit", f"inc eax; mov ecx, [{LIMIT}]", Vector.PAGE_FAULT, 1, 0, Access.NONE),
    ("read far beyond", "inc eax; mov ecx, [0xfffffff0]", Vector.PAGE_FAULT, 1, 0, Access.NONE),
    ("read across the limit", f"inc eax; mov ecx, [{LIMIT - 2}]", Vector.PAGE_FAULT, 1, 0, Access.NONE),
    ("write beyond the limit", f"inc eax; mov [{LIMIT}], ecx", Vector.PAGE_FAULT, 1, 0, Access.NONE),
    ("stack beyond the limit", f"mov ebp, {LIMIT}; mov eax, [ebp]", Vector.PAGE_FAULT, 5, 0, Access.NONE),
    ("push beyond the limit", f"mov esp, {LIMIT + 64}; push eax", Vector.PAGE_FAULT, 5, 0, Access.NONE),
    ("push to unmapped", "mov esp, 0x50010; push eax", Vector.PAGE_FAULT, 5, 0x5000C, Access.WRITE),
    ("execute beyond the limit", f"mov eax, {LIMIT}; jmp eax", Vector.PAGE_FAULT, None, LIMIT, Access.EXECUTE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "code", "number", "offset", "address", "access"), SIMPLE, ids=[row[0] for row in SIMPLE]
)
def test_trap_is_exact_on_every_engine(
    engine_name: str, name: str, code: str, number: int, offset: int | None, address: int, access: Access
) -> None:
    with guest(engine_name, code) as engine:
        trap = engine.run()
    assert trap.number == number
    assert trap.eip == (CODE + offset if offset is not None else address)
    assert (trap.address, trap.access) == (address, access)


@pytest.mark.parametrize("row", SIMPLE, ids=[row[0] for row in SIMPLE])
def test_engines_agree_on_the_whole_state_at_a_trap(row: tuple[str, str]) -> None:
    all_agree(row[1])


#: Each template that touches guest memory, made to fault at each of its accesses: name, code, registers, EIP offset.
BAD = 0x50000
TEMPLATES = [
    ("call, push", "stc; call next; next: nop", {"esp": BAD + 4}, 1),
    ("call register, push", "stc; call ecx", {"esp": BAD + 4, "ecx": CODE}, 1),
    ("call memory, target", f"stc; call [{BAD}]", {}, 1),
    ("call memory, push", f"stc; call [{DATA}]", {"esp": BAD + 4}, 1),
    ("call memory by esp, push", "stc; call [esp + 8]", {"esp": BAD}, 1),
    ("call memory by ecx and ebx", "stc; call [ecx + ebx * 4]", {"ecx": BAD, "ebx": 3}, 1),
    ("jump memory", f"std; jmp [{BAD}]", {}, 1),
    ("jump table", "std; jmp [ecx * 4 + 0x50000]", {"ecx": 7}, 1),
    ("return", "cmc; ret", {"esp": BAD}, 1),
    ("return, straddling", "cmc; ret", {"esp": DATA + 2 * PAGE - 2}, 1),
    ("return and release", "cmc; ret 8", {"esp": BAD}, 1),
    ("popf", "popfd", {"esp": BAD}, 0),
    ("pushf", "pushfd", {"esp": BAD + 4}, 0),
    ("string copy, source", "rep movsd", {"esi": DATA + 2 * PAGE - 8, "edi": DATA, "ecx": 5}, 0),
    ("string copy, destination", "rep movsb", {"esi": DATA, "edi": DATA + 2 * PAGE - 3, "ecx": 50}, 0),
    ("string store backwards", "std; rep stosd", {"edi": DATA + 8, "ecx": 50, "eax": 7}, 1),
    ("pusha", "pusha", {"esp": STACK_TOP - 2 * PAGE + 12}, 0),
    ("popa, half-way", "popa", {"esp": DATA + 2 * PAGE - 12}, 0),
    ("enter", "enter 16, 0", {"esp": BAD + 4}, 0),
    ("leave", "leave", {"ebp": BAD}, 0),
    ("xchg", f"xchg [{BAD}], eax", {}, 0),
    ("cmpxchg", f"lock cmpxchg [{BAD}], ecx", {}, 0),
    ("cmpxchg8b", f"lock cmpxchg8b [{BAD}]", {}, 0),
    ("shift by zero", f"mov cl, 0; shl dword ptr [{BAD}], cl", {}, 2),
    ("bit beyond", f"bts [{DATA}], eax", {"eax": 8 * (BAD - DATA)}, 0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "registers", "offset"), TEMPLATES, ids=[row[0] for row in TEMPLATES])
def test_fault_in_every_template_leaves_a_precise_state(
    name: str, code: str, registers: dict[str, int], offset: int
) -> None:
    end = all_agree(code, **registers)
    assert end.number == Vector.PAGE_FAULT
    assert end.eip == CODE + offset
    started = {**SENTINELS, "esp": ESP0, **registers}
    assert end.words[ESP] == started["esp"], "the stack pointer moved although the instruction faulted"
    if "rep" not in code:
        names = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
        changed = {"ecx"} if "mov cl" in code else set()
        for number, register in enumerate(names):
            if register not in changed:
                assert end.words[number] == started[register], f"{register} was lost"


def test_fault_behind_indirect_transfers_has_the_guests_registers(engine_name: str) -> None:
    """ECX and EDX are borrowed by calls, jumps and returns; behind each of them a fault must find the guest's own."""
    for transfer in ("call eax; nop", "jmp eax", "push eax; ret", "push eax; ret 4"):
        target = CODE + 0x100
        with guest(engine_name, transfer + f"; .org 0x100; mov esi, [{BAD}]", eax=target) as engine:
            end = end_of(engine)
        assert (end.number, end.eip, end.address) == (Vector.PAGE_FAULT, target, BAD), transfer
        assert (end.words[ECX], end.words[EDX]) == (SENTINELS["ecx"], SENTINELS["edx"]), transfer


def test_single_step_executes_exactly_one_instruction(engine_name: str) -> None:
    code = "mov eax, 1; add eax, 2; call over; .org 0x20; over: push eax; pop ecx; mov ecx, 4; rep stosb; jmp over"
    program = assemble(code.replace("rep stosb", f"mov edi, {DATA}; rep stosb"))
    eips = [5, 8, 0x20, 0x21, 0x22, 0x27, 0x2C, 0x2E, 0x20]
    with guest(engine_name, program) as engine:
        for eip in eips:
            trap = engine.step()
            assert (trap.number, trap.eip) == (Vector.SINGLE_STEP, CODE + eip)
            assert engine.cpu.eip == CODE + eip
        assert engine.cpu.eax == 3
        assert engine.cpu.ecx == 0
        assert engine.space.read(DATA, 5) == b"\x03\x03\x03\x03\x00"


def test_single_step_reports_the_instructions_own_trap(engine_name: str) -> None:
    with guest(engine_name, "nop; int 0x80; mov eax, [0x50000]") as engine:
        assert engine.step().number == Vector.SINGLE_STEP
        assert engine.step().number == 0x280
        trap = engine.step()
        assert (trap.number, trap.address, trap.eip) == (Vector.PAGE_FAULT, 0x50000, CODE + 3)
        assert engine.step() == trap, "a faulting instruction can be tried again"


def test_interrupt_ends_an_endless_loop_at_an_instruction_boundary(engine_name: str) -> None:
    loops = {
        "jmp": "again: jmp again",
        "count": "again: inc eax; adc edx, 0; jmp again",
        "calls": "again: call f; jmp again; f: inc eax; ret",
        "indirect": f"mov ecx, {CODE + 5}; jmp ecx",
        "memory": f"again: push eax; pop edx; jmp [{DATA}]",
    }
    for name, code in loops.items():
        with guest(engine_name, code) as engine:
            engine.space.write_u32(DATA, CODE)
            timer = threading.Timer(0.05, engine.interrupt)
            timer.start()
            trap = engine.run()
            timer.join()
            assert trap.number == Vector.IRQ, name
            assert trap.eip == engine.cpu.eip
            assert CODE <= trap.eip < CODE + 32, name
            # It can go on from there, and be stopped again.
            threading.Timer(0.02, engine.interrupt).start()
            assert engine.run().number == Vector.IRQ


def test_interrupt_before_run_is_not_lost(engine_name: str) -> None:
    with guest(engine_name, "again: jmp again") as engine:
        engine.interrupt()
        assert engine.run().number == Vector.IRQ


def test_interrupted_arithmetic_is_exact(engine_name: str) -> None:
    """A loop whose registers satisfy an invariant at every boundary is interrupted many times and never caught out."""
    code = "again: call f; lea edx, [edx + 1]; jmp again; f: push eax; pop ebx; inc eax; ret"
    with guest(engine_name, code, eax=0, edx=0, ebx=0) as engine:
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            threading.Timer(0.0005, engine.interrupt).start()
            assert engine.run().number == Vector.IRQ
            assert engine.cpu.esp in (ESP0, ESP0 - 4, ESP0 - 8)
            assert engine.cpu.ecx == SENTINELS["ecx"]
            assert (engine.cpu.eax - engine.cpu.edx) & 0xFFFF_FFFF in (0, 1)
            assert (engine.cpu.eax - engine.cpu.ebx) & 0xFFFF_FFFF in (0, 1)


def test_interrupted_rep_goes_on_where_it_was(engine_name: str) -> None:
    count = 1 << 19
    with guest(engine_name, "cld; rep stosb; int3", edi=0x80000, ecx=count, eax=0x5A) as engine:
        engine.space.map(0x80000, 1 << 19, Access.RW)
        stopped = 0
        while True:
            timer = threading.Timer(0.001, engine.interrupt)
            timer.start()
            trap = engine.run()
            timer.join()
            if trap.number == Vector.BREAKPOINT:
                break
            assert trap.number == Vector.IRQ
            stopped += 1
            assert engine.cpu.edi + engine.cpu.ecx == 0x80000 + count
        assert engine.space.read(0x80000, count) == b"\x5a" * count


def test_refused_instruction_is_named_with_its_group(engine_name: str) -> None:
    with guest(engine_name, "vaddps ymm0, ymm1, ymm2", policy=Policy.integer_only()) as engine:
        trap = engine.run()
    assert trap.number == Vector.INVALID_OPCODE
    assert "vaddps" in trap.detail
    assert "avx" in trap.detail


def test_flags_survive_indirect_transfers(engine_name: str) -> None:
    """All six status flags, in all 64 combinations, through a call, an indirect jump and a return (and their misses)."""
    code = "popfd; call eax; jmp over; .org 0x40; ret; .org 0x80; over: mov edx, back; jmp edx; .org 0xc0; back: pushfd; pop ebx; int3"
    program = assemble(code.replace("mov edx, back", f"mov edx, {CODE + 0xC0}"))
    status = (1, 4, 16, 64, 128, 2048)
    with guest(engine_name, program) as engine:
        for number in range(64):
            flags = sum(bit for i, bit in enumerate(status) if number >> i & 1)
            engine.cpu.eip, engine.cpu.esp, engine.cpu.eax = CODE, ESP0, CODE + 0x40
            engine.space.write_u32(ESP0, flags)
            trap = engine.run()
            assert trap.number == Vector.BREAKPOINT
            assert engine.cpu.ebx & 0x8D5 == flags
            assert engine.cpu.eflags & 0x8D5 == flags
