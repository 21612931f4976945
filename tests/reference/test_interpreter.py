"""The reference engine: order of accesses, precise faults, self-modifying code, stepping, interrupts.

What all engines must agree on is tested in tests/test_traps.py; here is what the golden model itself promises.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from asm import assemble

from reference.engine import Engine
from reference.engines import ReferenceEngine, execute_one
from reference.errors import NotModelled
from reference.flags import GUEST_WRITABLE
from reference.isa.instruction import Kind
from reference.isa.opcodes import ROWS
from reference.isa.semantics.registry import SEMANTICS
from reference.memory import PAGE, WATCHED, AddressSpace
from reference.policy import Group, Policy
from reference.registers import CPU
from reference.traps import Access, Trap, Vector

CODE = 0x1_0000
DATA = 0x2_0000
READ_ONLY = 0x3_0000
STACK = 0x4_0000
STACK_END = STACK + PAGE
#: Nothing is mapped at these two.
BAD, WORSE = 0x5_0000, 0x6_0000
LIMIT = 0x10_0000

SENTINELS = {"eax": 0xA0A0_0001, "ecx": 0xC1C1_0002, "edx": 0xD2D2_0003, "ebx": 0xB3B3_0004, "ebp": 0xBBBB_0005}
DEFAULT = Policy.default()
NAMES = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")


def machine(code: str | bytes, policy: Policy = DEFAULT, /, **registers: int) -> ReferenceEngine:
    """A guest about to execute ``code``, with a page each of code, data, read-only data and stack."""
    space = AddressSpace(LIMIT)
    for start, access in ((CODE, Access.RWX), (DATA, Access.RW), (READ_ONLY, Access.READ), (STACK, Access.RW)):
        space.map(start, PAGE, access)
    space.store(CODE, assemble(code) if isinstance(code, str) else code)
    engine = ReferenceEngine(space, policy)
    for name, value in {**SENTINELS, "eip": CODE, "esp": STACK_END - 64, **registers}.items():
        setattr(engine.cpu, name, value)
    return engine


def registers_of(engine: ReferenceEngine) -> dict[str, int]:
    return {name: getattr(engine.cpu, name) for name in NAMES}


def is_an_engine(engine: Engine) -> str:
    """Compiles only if the protocol is met."""
    return engine.name


def test_reference_engine_is_an_engine() -> None:
    assert is_an_engine(machine("nop")) == "reference"


# -- which access comes first, and how it is reported ------------------------------------------------------------------

#: name, code, registers, address and kind of the fault. Measured on a processor (AMD family 19h).
FAULTS = [
    ("push memory reads before it stores", "push [eax]", {"eax": BAD, "esp": WORSE}, BAD, Access.READ),
    ("push memory, then the stack", "push [eax]", {"eax": DATA, "esp": WORSE}, WORSE - 4, Access.WRITE),
    ("call memory reads its target first", "call [eax]", {"eax": BAD, "esp": WORSE}, BAD, Access.READ),
    ("call pushes before it arrives", "call eax", {"eax": BAD, "esp": WORSE}, WORSE - 4, Access.WRITE),
    ("pop memory reads the stack first", "pop [eax]", {"eax": BAD, "esp": WORSE}, WORSE, Access.READ),
    ("pop memory, then the destination", "pop [eax]", {"eax": BAD}, BAD, Access.WRITE),
    ("movs reads first", "movsd", {"esi": BAD, "edi": WORSE}, BAD, Access.READ),
    ("movs, then stores", "movsd", {"esi": DATA, "edi": WORSE}, WORSE, Access.WRITE),
    ("cmps reads its second operand first", "cmpsd", {"esi": BAD, "edi": WORSE}, WORSE, Access.READ),
    ("cmps, then its first", "cmpsd", {"esi": BAD, "edi": DATA}, BAD, Access.READ),
    ("enter stores before it copies pointers", "enter 0, 3", {"ebp": BAD, "esp": WORSE}, WORSE - 4, Access.WRITE),
    ("enter copies pointers", "enter 0, 3", {"ebp": BAD}, BAD - 4, Access.READ),
    ("enter tries the final top", "enter 4092, 0", {"esp": STACK + 8}, STACK + 8 - 4 - 4092, Access.WRITE),
    ("bound reads both bounds", "bound eax, [ecx]", {"eax": 1 << 31, "ecx": STACK_END - 4}, STACK_END, Access.READ),
    ("cmov reads what it does not move", "cmp eax, eax; cmovne ecx, [ebx]", {"ebx": BAD}, BAD, Access.READ),
    ("xlat", "xlatb", {"eax": 5, "ebx": BAD}, BAD + 5, Access.READ),
    ("pusha stores downwards", "pusha", {"esp": STACK + 14}, STACK - 2, Access.WRITE),
    ("popa", "popa", {"esp": STACK_END - 8}, STACK_END, Access.READ),
    ("leave", "leave", {"ebp": BAD}, BAD, Access.READ),
    ("ret", "ret 8", {"esp": BAD}, BAD, Access.READ),
    ("bit test beyond its operand", "bt [eax], ecx", {"eax": DATA, "ecx": -8 * PAGE & 0xFFFF_FFFF}, DATA - PAGE, Access.READ),
    ("bit set beyond its operand", "bts [eax], ecx", {"eax": DATA, "ecx": 8 * PAGE}, DATA + PAGE, Access.WRITE),
    ("read-modify-write of nothing is a write", "add [eax], ecx", {"eax": BAD}, BAD, Access.WRITE),
    ("read-modify-write of what is read-only", "inc dword ptr [eax]", {"eax": READ_ONLY}, READ_ONLY, Access.WRITE),
    ("shift by zero is a write", "shl dword ptr [eax], cl", {"eax": READ_ONLY, "ecx": 32}, READ_ONLY, Access.WRITE),
    ("double shift by zero is a write", "shld [eax], edx, 0", {"eax": READ_ONLY}, READ_ONLY, Access.WRITE),
    ("failing cmpxchg is a write", "cmpxchg [ebx], ecx", {"eax": 1, "ebx": READ_ONLY}, READ_ONLY, Access.WRITE),
    ("failing cmpxchg8b is a write", "cmpxchg8b [ebx]", {"ebx": READ_ONLY}, READ_ONLY, Access.WRITE),
    ("xchg is a write", "xchg [ebx], eax", {"ebx": READ_ONLY}, READ_ONLY, Access.WRITE),
    ("xadd is a write", "xadd [ebx], eax", {"ebx": BAD}, BAD, Access.WRITE),
    ("setcc is a write", "sete [ebx]", {"ebx": BAD}, BAD, Access.WRITE),
    ("test reads", "test [ebx], eax", {"ebx": BAD}, BAD, Access.READ),
    ("mul reads", "mul dword ptr [ebx]", {"ebx": BAD}, BAD, Access.READ),
    ("straddling load: the page that is not there", "mov eax, [ebx]", {"ebx": STACK_END - 2}, STACK_END, Access.READ),
    ("straddling load: the first byte", "mov eax, [ebx]", {"ebx": STACK - 2}, STACK - 2, Access.READ),
    ("straddling store", "mov [ebx], eax", {"ebx": STACK_END - 1}, STACK_END, Access.WRITE),
    ("prefetching nothing", "prefetcht0 [ebx]; mov eax, [ebx]", {"ebx": BAD}, BAD, Access.READ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "registers", "address", "access"), FAULTS, ids=[row[0] for row in FAULTS])
def test_fault_is_exact_and_changes_no_register(
    name: str, code: str, registers: dict[str, int], address: int, access: Access
) -> None:
    engine = machine(code, DEFAULT, **registers)
    before = registers_of(engine)
    trap = engine.run()
    assert (trap.number, trap.address, trap.access, trap.vector) == (Vector.PAGE_FAULT, address, access, 14)
    assert engine.cpu.eip == trap.eip
    assert trap.eip == CODE + len(assemble(code.rpartition(";")[0]))
    assert registers_of(engine) == before


def test_faulting_multiple_push_has_stored_what_came_first() -> None:
    engine = machine("pusha", esp=STACK + 12)
    assert engine.run().number == Vector.PAGE_FAULT
    stored = engine.space.read(STACK, 12)
    assert stored == b"".join(SENTINELS[name].to_bytes(4, "little") for name in ("edx", "ecx", "eax"))


def test_repetition_that_faults_shows_the_iterations_that_completed() -> None:
    engine = machine("rep movsd", esi=DATA, edi=STACK_END - 10, ecx=8)
    engine.space.store(DATA, bytes(range(32)))
    trap = engine.run()
    assert (trap.eip, trap.address, trap.access) == (CODE, STACK_END, Access.WRITE)
    assert (engine.cpu.ecx, engine.cpu.esi, engine.cpu.edi) == (6, DATA + 8, STACK_END - 2)
    assert engine.space.read(STACK_END - 10, 10) == bytes(range(8)) + b"\0\0"
    assert engine.run() == trap, "and faults again"
    engine.space.map(STACK_END, PAGE, Access.RW)
    engine.space.store(CODE + 2, b"\xcc")
    assert engine.run().number == Vector.BREAKPOINT
    assert engine.space.read(STACK_END - 10, 32) == bytes(range(32))


def test_long_copies_in_pieces_equal_copies_byte_by_byte() -> None:
    """Overlapping in either direction, from any offset, across pages."""
    for source, destination, count in ((0, 1, 5000), (0, 7, 6000), (9, 0, 7000), (3, 4099, 3000), (4090, 2, 4000)):
        engine = machine("rep movsb; int3", esi=DATA + source, edi=DATA + destination, ecx=count)
        engine.space.map(DATA, 4 * PAGE, Access.RW)
        content = bytearray(i * 7 & 0xFF for i in range(4 * PAGE))
        engine.space.store(DATA, content)
        assert engine.run().number == Vector.BREAKPOINT
        for i in range(count):
            content[destination + i] = content[source + i]
        assert engine.space.read(DATA, 4 * PAGE) == content
        assert (engine.cpu.esi, engine.cpu.edi) == (DATA + source + count, DATA + destination + count)


# -- limits --------------------------------------------------------------------------------------------------------------

LIMIT_FAULTS = [
    ("load at the limit", "mov eax, [ebx]", {"ebx": LIMIT}, 13),
    ("load across the limit, page missing too", "mov eax, [ebx]", {"ebx": LIMIT - 2}, 13),
    ("store at the top of the address space", "mov [ebx], eax", {"ebx": 0xFFFF_FFFF}, 13),
    ("wrapped sum beyond", "mov eax, [ebx + ecx*8]", {"ebx": 0xF000_0000, "ecx": 0x1000_0000}, 13),
    ("through the stack segment", "mov eax, [ebp]", {"ebp": LIMIT}, 12),
    ("push wraps", "push eax", {"esp": 0}, 12),
    ("push far away", "push eax", {"esp": LIMIT + 8}, 12),
    ("pop at the limit", "pop eax", {"esp": LIMIT - 2}, 12),
    ("overridden to the data segment", "mov eax, ds:[ebp]", {"ebp": LIMIT}, 13),
    ("string destination", "stosd", {"edi": LIMIT - 3}, 13),
    ("enter's final top", "enter 0x1000, 0", {"esp": 0x800}, 12),
    ("read-modify-write", "lock add [ebx], ecx", {"ebx": LIMIT - 1}, 13),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "registers", "vector"), LIMIT_FAULTS, ids=[row[0] for row in LIMIT_FAULTS])
def test_limit_is_checked_before_pages_and_hides_the_address(
    name: str, code: str, registers: dict[str, int], vector: int
) -> None:
    engine = machine(code, DEFAULT, **registers)
    engine.space.map(0, PAGE, Access.RW)
    trap = engine.run()
    assert trap.agrees_with(Trap(Vector.PAGE_FAULT, CODE, 0, Access.NONE, vector))
    assert engine.cpu.esp == registers.get("esp", STACK_END - 64)


def test_addresses_wrap_at_four_gigabytes() -> None:
    engine = machine("mov eax, [ebx + ecx*4 + 8]; int3", ebx=0xFFFF_FFF0, ecx=(DATA + 8) // 4)
    engine.space.write_u32(DATA, 42)
    assert engine.run().number == Vector.BREAKPOINT
    assert engine.cpu.eax == 42


def test_sixteen_bit_addresses_wrap_at_sixty_four_kilobytes() -> None:
    engine = machine("mov eax, [bx + si]; int3", ebx=0x1234_FFF0, esi=0x5678_0020)
    engine.space.map(0, PAGE, Access.RW)
    engine.space.write_u32(0x10, 42)
    engine.run()
    assert engine.cpu.eax == 42


# -- fetching ------------------------------------------------------------------------------------------------------------


def test_instruction_that_runs_off_its_page_faults_at_the_missing_byte() -> None:
    engine = machine("nop", eip=CODE + PAGE - 3)
    engine.space.store(CODE + PAGE - 3, b"\xb8\x01\x02")  # mov eax, imm32, three of five bytes
    trap = engine.run()
    assert trap.agrees_with(Trap(14, CODE + PAGE - 3, CODE + PAGE, Access.EXECUTE, 14))
    engine.space.map(CODE + PAGE, PAGE, Access.RX)
    engine.space.store(CODE + PAGE, b"\x03\x04\xcc")
    assert engine.run().number == Vector.BREAKPOINT
    assert engine.cpu.eax == 0x0403_0201


def test_code_is_not_executed_without_permission() -> None:
    for eip, present in ((DATA, True), (BAD, False), (LIMIT, False), (0xFFFF_FFF0, False)):
        engine = machine("nop", eip=eip)
        assert engine.run().agrees_with(Trap(14, eip, eip, Access.EXECUTE, 14)), present


def test_execution_off_the_end_of_the_space() -> None:
    engine = machine("nop", eip=LIMIT - 1)
    engine.space.map(LIMIT - PAGE, PAGE, Access.RX)
    engine.space.store(LIMIT - 1, b"\x90")
    assert engine.run().agrees_with(Trap(14, LIMIT, LIMIT, Access.EXECUTE, 14))
    engine.cpu.eip = LIMIT - 1
    engine.space.store(LIMIT - 1, b"\xb8")
    assert engine.run().agrees_with(Trap(14, LIMIT - 1, LIMIT, Access.EXECUTE, 14))


def test_invalid_instruction_is_named() -> None:
    for code, name in (("in al, dx", "in"), ("mov ds, eax", "mov"), ("hlt", "hlt"), ("ud2", "ud2"), ("iret", "iret")):
        engine = machine("nop; " + code)
        trap = engine.run()
        assert trap.agrees_with(Trap(6, CODE + 1, vector=6))
        assert name in trap.detail


# -- self-modifying code -------------------------------------------------------------------------------------------------


def test_store_to_the_next_instruction_takes_effect_at_once() -> None:
    # inc ecx (41) becomes inc edx (42), after it has been executed once.
    code = "xor ecx, ecx; xor edx, edx; call f; mov byte ptr [f], 0x42; call f; int3; .org 0x40; f: inc ecx; ret"
    engine = machine(assemble(code.replace("[f]", f"[{CODE + 0x40}]")))
    assert engine.run().number == Vector.BREAKPOINT
    assert (engine.cpu.ecx, engine.cpu.edx) == (1, 1)
    engine = machine(f"xor eax, eax; mov byte ptr [{CODE + 9}], 0x48; inc eax; int3")
    engine.run()
    assert engine.cpu.eax == 0xFFFF_FFFF, "0x48 is dec eax"


def test_instruction_may_overwrite_itself() -> None:
    engine = machine("rep stosb; nop; nop; int3", edi=CODE, ecx=3, eax=0x40)  # inc eax, three times
    assert engine.run().number == Vector.BREAKPOINT
    engine.cpu.eip = CODE
    engine.run()
    assert engine.cpu.eax == 0x40 + 1 + 3


def test_every_way_to_change_code_is_noticed() -> None:
    changes: list[tuple[str, Callable[[AddressSpace], object]]] = [
        ("store", lambda space: space.store(CODE, b"\x42")),
        ("write", lambda space: space.write(CODE, b"\x42")),
        ("write_u8", lambda space: space.write_u8(CODE, 0x42)),
        ("write_u16", lambda space: space.write_u16(CODE, 0xCC42)),
        ("write_u32", lambda space: space.write_u32(CODE, 0xCCCC_CC42)),
        ("write_u64", lambda space: space.write_u64(CODE, 0xCCCC_CCCC_CCCC_CC42)),
        ("view", lambda space: space.view(CODE, 1, Access.WRITE).__setitem__(0, 0x42)),
    ]
    for name, change in changes:
        engine = machine("inc ecx; int3", ecx=0, edx=0)
        engine.run()
        change(engine.space)
        engine.cpu.eip = CODE
        assert engine.run().number == Vector.BREAKPOINT
        assert (engine.cpu.ecx, engine.cpu.edx) == (1, 1), name


def test_code_that_loses_its_right_to_execute_stops() -> None:
    for change in ("protect", "unmap", "map"):
        engine = machine("inc ecx; int3")
        engine.run()
        if change == "protect":
            engine.space.protect(CODE, PAGE, Access.RW)
        elif change == "unmap":
            engine.space.unmap(CODE, PAGE)
        else:
            engine.space.map(CODE, PAGE, Access.RW)
        engine.cpu.eip = CODE
        assert engine.run().agrees_with(Trap(14, CODE, CODE, Access.EXECUTE, 14)), change


def test_instruction_across_two_pages_is_forgotten_when_either_changes() -> None:
    for change in (CODE + PAGE - 1, CODE + PAGE):
        engine = machine("nop", eip=CODE + PAGE - 1)
        engine.space.map(CODE + PAGE, PAGE, Access.RWX)
        engine.space.store(CODE + PAGE - 1, b"\xb0\x01\xcc")  # mov al, 1
        engine.run()
        assert engine.cpu.eax & 0xFF == 1
        engine.space.write_u8(change, 0xB4 if change < CODE + PAGE else 9)  # mov ah, 1 or mov al, 9
        engine.cpu.eip, engine.cpu.eax = CODE + PAGE - 1, 0
        engine.run()
        assert engine.cpu.eax == (0x100 if change < CODE + PAGE else 9)


def test_two_engines_on_one_space_see_each_others_code() -> None:
    first = machine(f"inc eax; mov byte ptr [{CODE + 0x80}], 0x41; int3", eax=0)
    first.space.store(CODE + 0x80, b"\x40\xcc")
    second = ReferenceEngine(first.space)
    for expected in ((1, 0), (1, 1)):
        second.cpu.eip = CODE + 0x80
        second.run()
        assert (second.cpu.eax, second.cpu.ecx) == expected
        first.cpu.eip = CODE
        first.run()


def test_closing_stops_watching() -> None:
    engine = machine("inc eax; int3")
    engine.run()
    assert engine.space.permissions[CODE // PAGE] & WATCHED
    engine.close()
    engine.close()
    engine.space.store(CODE, b"\x90")
    assert not engine.space._watchers


# -- stepping, counting, interrupting ------------------------------------------------------------------------------------


def test_step_is_one_instruction_and_a_repetition_is_one() -> None:
    engine = machine("mov ecx, 100; mov edi, 0x20000; rep stosb; jmp over; nop; over: int 0x80")
    for eip in (5, 10, 12, 15):
        trap = engine.step()
        assert trap.agrees_with(Trap(Vector.SINGLE_STEP, CODE + eip))
    assert engine.cpu.ecx == 0
    assert engine.step().agrees_with(Trap(0x280, CODE + 17))
    assert engine.stats.instructions == 5


def test_run_for_counts_instructions() -> None:
    engine = machine("again: inc eax; jmp again", eax=0)
    assert engine.run_for(1000) is None
    assert (engine.cpu.eax, engine.stats.instructions) == (500, 1000)
    assert engine.run_for(0) is None
    assert engine.cpu.eax == 500


def test_interrupt_comes_between_instructions_and_only_once() -> None:
    engine = machine("again: inc eax; jmp again", eax=0)
    engine.interrupt()
    assert engine.run().agrees_with(Trap(Vector.IRQ, CODE))
    assert engine.cpu.eax == 0
    timer = threading.Timer(0.02, engine.interrupt)
    timer.start()
    trap = engine.run()
    assert trap.number == Vector.IRQ
    assert trap.eip == engine.cpu.eip
    assert engine.step().number == Vector.SINGLE_STEP


def interrupt_at_next_read(engine: ReferenceEngine) -> None:
    """Interrupt the engine when it reads a run of memory."""
    read = engine.space.read

    def interrupting_read(address: int, length: int) -> bytes:
        engine.interrupt()
        return read(address, length)

    engine.space.read = interrupting_read  # type: ignore[method-assign]


@pytest.mark.parametrize("direction", ["down, one by one", "up, in runs"])
def test_interrupted_repetition_stays_at_its_instruction(direction: str) -> None:
    code, start = ("std", 0xE_FFFF) if direction.startswith("down") else ("cld", 0x8_0000)
    engine = machine(f"{code}; repne scasb; int3", DEFAULT, edi=start, ecx=0x7_0000, eax=1)
    engine.space.map(0x8_0000, 0x7_0000, Access.READ)
    if code == "std":
        threading.Timer(0.02, engine.interrupt).start()
    else:
        interrupt_at_next_read(engine)
    assert engine.run().agrees_with(Trap(Vector.IRQ, CODE + 1))
    done = abs(engine.cpu.edi - start)
    assert 0 < done < 0x7_0000
    assert engine.cpu.ecx == 0x7_0000 - done
    engine.cpu.ecx = 1
    assert engine.run().number == Vector.BREAKPOINT
    assert engine.cpu.ecx == 0


# -- flags and the stack's fine print ------------------------------------------------------------------------------------


def test_popf_changes_what_a_guest_may_change() -> None:
    engine = machine("push -1; popfd; pushfd; pop eax; push 0; popfd; pushfd; pop ecx; int3")
    engine.run()
    assert engine.cpu.eax == GUEST_WRITABLE | 0x202
    assert engine.cpu.ecx == 0x202
    engine = machine("push -1; popfw; int3")
    engine.run()
    assert engine.cpu.eflags == GUEST_WRITABLE & 0xFFFF | 0x202


def test_the_stack_pointer_as_its_own_operand() -> None:
    engine = machine("push esp; pop eax; push [esp + 4]; pop [esp + 8]; push 7; pop esp; int3")
    top = engine.cpu.esp
    engine.space.store(top - 8, bytes(range(32)))
    engine.run()
    assert engine.cpu.eax == top
    assert engine.space.read_u32(top + 8) == int.from_bytes(bytes(range(12, 16)), "little"), "address after the pop"
    assert engine.cpu.esp == 7


# -- what the machine looks like -----------------------------------------------------------------------------------------


def cpuid(policy: Policy, leaf: int, subleaf: int = 0) -> tuple[int, int, int, int]:
    engine = machine("cpuid; int3", policy, eax=leaf, ecx=subleaf)
    assert engine.run().number == Vector.BREAKPOINT
    cpu = engine.cpu
    return cpu.eax, cpu.ebx, cpu.ecx, cpu.edx


#: (leaf, register number, bit, group)
FEATURES = [
    (1, 3, 0, Group.X87), (1, 3, 4, Group.TIME), (1, 3, 15, Group.CMOV), (1, 3, 23, Group.MMX), (1, 3, 24, Group.FXSR),
    (1, 3, 25, Group.SSE), (1, 3, 26, Group.SSE2), (1, 2, 0, Group.SSE3), (1, 2, 9, Group.SSSE3),
    (1, 2, 19, Group.SSE41), (1, 2, 20, Group.SSE42), (1, 2, 22, Group.MOVBE), (1, 2, 23, Group.POPCNT),
    (1, 2, 25, Group.AES), (1, 2, 1, Group.PCLMUL), (1, 2, 30, Group.RANDOM), (7, 1, 3, Group.BMI1),
    (7, 1, 8, Group.BMI2), (7, 1, 19, Group.ADX), (7, 1, 29, Group.SHA), (0x8000_0001, 2, 5, Group.LZCNT),
]  # fmt: skip
#: AVX state must be enabled by an operating system, which a guest asks with XGETBV.
AVX_FEATURES = [(1, 2, 28, Group.AVX), (1, 2, 12, Group.FMA), (1, 2, 29, Group.F16C), (7, 1, 5, Group.AVX2)]
OSXSAVE = 1 << 27


@pytest.mark.parametrize(("leaf", "register", "bit", "group"), FEATURES, ids=[row[3].value for row in FEATURES])
def test_cpuid_reports_a_feature_exactly_if_the_policy_has_it(leaf: int, register: int, bit: int, group: Group) -> None:
    everything = Policy.everything()
    assert cpuid(everything, leaf)[register] >> bit & 1
    assert not cpuid(everything.without_groups(group), leaf)[register] >> bit & 1


def test_cpuid_reports_avx_only_together_with_xgetbv() -> None:
    everything = Policy.everything()
    without_xgetbv = everything.without_groups(Group.XSAVE)
    for leaf, register, bit, group in AVX_FEATURES:
        assert cpuid(everything, leaf)[register] >> bit & 1, group
        assert not cpuid(without_xgetbv, leaf)[register] >> bit & 1, group
    assert cpuid(everything, 1)[2] & OSXSAVE
    assert not cpuid(without_xgetbv, 1)[2] & OSXSAVE
    assert not cpuid(Policy.default(), 1)[2] & OSXSAVE
    assert cpuid(everything, 0xD)[:3] == (7, 832, 832)


def test_cpuid_has_no_ragged_edges() -> None:
    highest, ebx, ecx, edx = cpuid(Policy.default(), 0)
    assert b"".join(word.to_bytes(4, "little") for word in (ebx, edx, ecx)) == b"Vx32 machine"
    assert highest >= 7
    assert cpuid(Policy.default(), highest + 1) == (0, 0, 0, 0)
    assert cpuid(Policy.default(), 7, 1) == (0, 0, 0, 0)
    assert cpuid(Policy.default(), 0x8000_0000)[0] == 0x8000_0004
    name = b"".join(
        word.to_bytes(4, "little") for leaf in (2, 3, 4) for word in cpuid(Policy.default(), 0x8000_0000 + leaf)
    )
    assert name.rstrip(b"\0") == b"vx32 virtual processor"


def test_time_comes_from_the_engines_clock() -> None:
    times = iter([0x1_2345_6789, 0x2_0000_0000])
    space = machine("rdtsc; mov ebx, eax; rdtscp; int3").space
    engine = ReferenceEngine(space, clock=lambda: next(times))
    engine.cpu.eip = CODE
    assert engine.run().number == Vector.BREAKPOINT
    assert (engine.cpu.ebx, engine.cpu.eax, engine.cpu.edx, engine.cpu.ecx) == (0x2345_6789, 0, 2, 0)


# -- the thread pointer --------------------------------------------------------------------------------------------------

THREADS = Policy(Policy.default().groups, thread_pointer=True)


def test_gs_is_refused_without_a_thread_pointer() -> None:
    for code in ("mov eax, gs:[0]", "mov eax, gs", "mov gs, eax"):
        assert machine(code).run().number == Vector.INVALID_OPCODE


def test_gs_adds_its_base_and_stays_inside_the_limit() -> None:
    engine = machine("mov eax, gs:[8]; mov gs:[ebx - 4], ecx; int3", THREADS, ebx=0x10)
    engine.set_thread_pointer(0x33, DATA + 0x100)
    engine.space.write_u32(DATA + 0x108, 42)
    assert engine.run().number == Vector.BREAKPOINT
    assert engine.cpu.eax == 42
    assert engine.space.read_u32(DATA + 0x10C) == SENTINELS["ecx"]
    engine = machine("mov eax, gs:[8]", THREADS)
    engine.set_thread_pointer(0x33, LIMIT - 8)
    assert engine.run().agrees_with(Trap(14, CODE, 0, Access.NONE, 13))
    engine.set_thread_pointer(0x33, (DATA - 8 - (1 << 32)) & 0xFFFF_FFFF)
    assert engine.run_for(1) is None, "a sum that wraps"
    engine.cpu.eip = CODE
    engine.set_thread_pointer(0x33, BAD)
    assert engine.run().agrees_with(Trap(14, CODE, BAD + 8, Access.READ, 14))
    engine.set_thread_pointer(None, None)
    assert engine.run().agrees_with(Trap(14, CODE, 0, Access.NONE, 13))


def test_only_the_selector_that_was_handed_out_can_be_loaded() -> None:
    engine = machine("mov eax, gs; mov gs, ecx; mov edx, gs; mov gs, ebx; int3", THREADS, ecx=0x33, ebx=0)
    engine.set_thread_pointer(0x33, DATA)
    assert engine.run().number == Vector.BREAKPOINT
    assert (engine.cpu.eax, engine.cpu.edx) == (0x33, 0x33)
    for wrong in (0x2B, 0x23, 0x7, 0x63):
        engine = machine("mov gs, ecx", THREADS, ecx=wrong)
        engine.set_thread_pointer(0x33, DATA)
        assert engine.run().agrees_with(Trap(14, CODE, 0, Access.NONE, 13))
    engine = machine("mov eax, gs; push gs; pop edx; int3", THREADS)
    engine.run()
    assert (engine.cpu.eax, engine.cpu.edx) == (0, 0)
    engine = machine("push gs; pop ecx; push ecx; pop gs; mov [ebx], gs; push 0x2b; pop gs", THREADS, ebx=DATA)
    engine.set_thread_pointer(0x33, DATA)
    engine.space.write_u32(DATA, 0xFFFF_FFFF)
    top = engine.cpu.esp
    trap = engine.run()
    assert (trap.number, trap.vector, trap.eip) == (
        14,
        13,
        CODE + len(assemble("push gs; pop ecx; push ecx; pop gs; mov [ebx], gs; push 0x2b")),
    )
    assert (engine.cpu.ecx, engine.cpu.esp) == (0x33, top - 4), "a refused selector stays on the stack"
    assert engine.space.read_u32(DATA) == 0xFFFF_0033, "memory gets 16 bits"


# -- one instruction for another engine ----------------------------------------------------------------------------------


def test_execute_one_executes_one_and_leaves_no_trace() -> None:
    engine = machine("cpuid; int3", eax=0, ecx=0)
    cpu = CPU()
    cpu.copy_from(engine.cpu)
    assert execute_one(cpu, engine.space, Policy.default()) is None
    assert (cpu.eip, cpu.ebx) == (CODE + 2, int.from_bytes(b"Vx32", "little"))
    trap = execute_one(cpu, engine.space, Policy.default())
    assert trap is not None
    assert trap.agrees_with(Trap(3, CODE + 3, vector=3))
    assert cpu.eip == CODE + 3
    assert not engine.space._watchers
    assert not engine.space.permissions[CODE // PAGE] & WATCHED


def test_a_row_without_semantics_says_so_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(SEMANTICS, "fldpi")  # as if somebody had only added it to the table
    engine = machine("inc eax; fldpi; int3", eax=0)
    with pytest.raises(NotModelled, match="fldpi at eip 0x00010001"):
        engine.run()
    assert (engine.cpu.eip, engine.cpu.eax) == (CODE + 1, 1)
    cpu = machine("fldpi").cpu
    with pytest.raises(NotModelled):
        execute_one(cpu, machine("fldpi").space, Policy.default())
    assert cpu.eip == CODE


def test_every_admitted_row_is_modelled() -> None:
    """But those whose whole meaning is a trap, which the interpreter knows by their kind."""
    for row in ROWS:
        if row.kind is not Kind.REFUSE:
            assert row.mnemonic in SEMANTICS, row.opcode
