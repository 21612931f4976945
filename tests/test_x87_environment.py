"""What guests learn of the last x87 instruction, and of pending exceptions: the same on every engine, and nothing of the host."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from asm import assemble
from machine import CODE, DATA, LIMIT, STACK_TOP, guest
from one_instruction import FIELDS

from reference.engine import Engine
from reference.memory import PAGE
from reference.policy import Policy
from reference.registers import INITIAL_X87_CONTROL
from reference.traps import Access, Vector

#: Where tests have the environment stored, and what ends them.
ENV = DATA + 0x400
STORE = f"fnstenv [{ENV}]; int 0x80"
#: Unmasks every exception.
UNMASK = f"mov word ptr [{DATA}], 0x0340; fldcw [{DATA}];"
DIVIDE = "fld1; fldz; fdivp;"


def stored(engine: Engine, at: int = ENV) -> tuple[int, int, int]:
    """EIP, opcode and operand in an environment in memory, whose selectors must be zero."""
    eip, selector, opcode, operand, data_selector = struct.unpack("<IHHIH2x", engine.space.load(at + 12, 16))
    assert (selector, data_selector) == (0, 0)
    return eip, opcode, operand


def live(engine: Engine) -> tuple[int, int, int]:
    """EIP, opcode and operand in the image, whose selectors must be zero."""
    opcode, eip, selector, operand, data_selector = struct.unpack_from("<HIIII", engine.cpu.fp, 6)
    assert (selector, data_selector) == (0, 0)
    return eip, opcode, operand


def finish(engine: Engine, number: int = 0x280) -> None:
    trap = engine.run()
    assert trap.number == number, str(trap)


def test_a_guest_finds_its_own_address(engine_name: str) -> None:
    """The classic way of position-independent code to do that."""
    code = "nop; fldz; fnstenv [esp - 12]; pop ecx; int 0x80"
    with guest(engine_name, code) as engine:
        for _ in range(3):
            engine.cpu.eip, engine.cpu.esp = CODE, STACK_TOP - 64
            finish(engine)
            assert engine.cpu.ecx == CODE + 1


#: What runs before the environment is stored; offset of the last x87 instruction, its opcode, its operand.
BEFORE = [
    ("fld1", 0, 0x1E8, 0),
    (f"fld dword ptr [{DATA + 8}]", 0, 0x105, DATA + 8),
    (f"fld dword ptr [{DATA + 8}]; fchs", 6, 0x1E0, DATA + 8),
    (f"fld dword ptr [{DATA + 8}]; fldcw [{DATA + 16}]; fwait; fnclex; fnstsw ax", 0, 0x105, DATA + 8),
    (f"mov edx, {DATA}; fild word ptr [edx + 2]", 5, 0x742, DATA + 2),
    (".byte 0x3e, 0xd9, 0xee", 0, 0x1EE, 0),
    ("fld1; fnop", 2, 0x1D0, 0),
    ("fld1; ffree st(3)", 2, 0x5C3, 0),
    ("fld1; fninit", -CODE, 0, 0),
    ("fld1; jmp 1f; nop; 1: mov ebx, 5", 0, 0x1E8, 0),
    ("jmp 2f; 1: fldpi; ret; 2: call 1b", 2, 0x1EB, 0),
    ("mov ecx, 70; 1: fldz; fstp st(0); dec ecx; jnz 1b", 7, 0x5D8, 0),
    ("fld1; pushfd; popfd", 0, 0x1E8, 0),
    ("fld1; cpuid", 0, 0x1E8, 0),
    ("push esp; fild dword ptr [esp]", 1, 0x304, STACK_TOP - 68),
    (f"fld1; fnsave [{DATA}]; frstor [{DATA}]", 0, 0x1E8, 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "offset", "opcode", "operand"), BEFORE)
def test_the_last_instruction_is_remembered(
    engine_name: str, text: str, offset: int, opcode: int, operand: int
) -> None:
    """Across links that are not there yet, indirect branches, and instructions that the host executes."""
    with guest(engine_name, f"{text}; {STORE}") as engine:
        for _ in range(2):
            engine.cpu.reset()
            engine.cpu.eip, engine.cpu.esp = CODE, STACK_TOP - 64
            finish(engine)
            assert stored(engine) == (CODE + offset, opcode, operand)
            assert live(engine) == stored(engine)


@pytest.mark.parametrize(("text", "offset", "opcode", "operand"), BEFORE[:8])
def test_the_last_instruction_is_remembered_when_it_was_a_single_step(
    engine_name: str, text: str, offset: int, opcode: int, operand: int
) -> None:
    end = len(assemble(text))
    with guest(engine_name, f"{text}; nop; {STORE}") as engine:
        while engine.cpu.eip < CODE + end:
            assert engine.step().number == Vector.SINGLE_STEP
        assert live(engine) == (CODE + offset, opcode, operand)
        finish(engine)
        assert stored(engine) == (CODE + offset, opcode, operand)


@pytest.mark.parametrize("instruction", ["fxsave", "xsave", "fnsave"])
def test_other_ways_of_saving_agree(engine_name: str, instruction: str) -> None:
    code = f"fld dword ptr [{DATA + 8}]; mov eax, 7; xor edx, edx; {instruction} [{DATA + 0x800}]; int 0x80"
    with guest(engine_name, code, policy=Policy.everything()) as engine:
        finish(engine)
        if instruction == "fnsave":
            assert stored(engine, DATA + 0x800) == (CODE, 0x105, DATA + 8)
        else:
            opcode, eip, operand = struct.unpack("<HQQ", engine.space.load(DATA + 0x806, 18))
            assert (eip, opcode, operand) == (CODE, 0x105, DATA + 8)


def test_an_operand_through_the_thread_pointer(engine_name: str) -> None:
    """It is remembered by its address in the data segment, and the instruction by the guest's bytes, not the translator's."""
    code = f"fld dword ptr gs:[8]; nop; {STORE}; fadd dword ptr gs:[ecx + 4]; {STORE}"
    with guest(engine_name, code, policy=Policy(Policy.everything().groups, thread_pointer=True), ecx=4) as engine:
        engine.set_thread_pointer(0x33, DATA)
        finish(engine)
        assert stored(engine) == (CODE, 0x105, DATA + 8)
        eip = engine.cpu.eip
        finish(engine)
        assert stored(engine) == (eip, 0x041, DATA + 8)


def test_an_instruction_that_overwrites_itself(engine_name: str) -> None:
    """It is remembered as what it was."""
    policy = Policy(Policy.everything().groups, thread_pointer=True)
    with guest(
        engine_name, f"fldz; fst dword ptr gs:[ecx + 2]; nop; {STORE}", code_access=Access.RWX, policy=policy
    ) as engine:
        engine.cpu.ecx = 0
        engine.set_thread_pointer(0x33, CODE)
        trap = engine.run()
        assert trap.number in (0x280, Vector.PAGE_FAULT)
        assert live(engine) in ((CODE + 2, 0x151, CODE + 2), (0, 0, 0))


def test_the_host_may_change_what_is_remembered(engine_name: str) -> None:
    with guest(engine_name, f"nop; {STORE}; fld1; int 0x81") as engine:
        struct.pack_into("<HIIII", engine.cpu.fp, 6, 0x123, 0x11111111, 0, 0x22222222, 0)
        finish(engine)
        assert stored(engine) == (0x11111111, 0x123, 0x22222222)
        finish(engine, 0x281)
        assert live(engine)[:2] == (engine.cpu.eip - 4, 0x1E8)


def test_what_faults_in_between_costs_the_pointers_at_most(engine_name: str) -> None:
    """A signal makes AMD's processors forget them. They are whole or zero then, and never an address of translated code."""
    store = f"mov byte ptr [{CODE + 0x300}], 0x90"  # into a page with code
    with guest(engine_name, f"fld1; {store}; {STORE}", code_access=Access.RWX) as engine:
        finish(engine)
        assert stored(engine) in ((CODE, 0x1E8, 0), (0, 0, 0))
    with guest(engine_name, f"fld1; mov eax, [0x50000]; {STORE}") as engine:
        finish(engine, Vector.PAGE_FAULT)
        assert live(engine) in ((CODE, 0x1E8, 0), (0, 0, 0))
        engine.space.map(0x50000, PAGE, Access.RW)
        finish(engine)
        assert stored(engine) in ((CODE, 0x1E8, 0), (0, 0, 0))


def test_what_was_executed_by_fragments_that_are_gone(engine_name: str) -> None:
    """The pointer was translated when the guest stopped, so that it does not matter what became of its fragment."""
    with guest(engine_name, f"fld1; int 0x80; {STORE}") as engine:
        finish(engine)
        engine.space.store(CODE, b"\x90" * 2)
        finish(engine)
        assert stored(engine) == (CODE, 0x1E8, 0)


@pytest.fixture(params=["data at zero", "data elsewhere"])
def prefer_zero(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "data at zero")


@pytest.fixture(params=["flat code", "based code"])
def placed(request: pytest.FixtureRequest, prefer_zero: bool) -> Iterator[Engine]:
    """The native engine with its segments at zero and elsewhere."""
    from jit.engine import JitEngine, available

    reason = available()
    if reason is not None:
        pytest.skip(reason)
    engine = JitEngine(limit=LIMIT, prefer_zero=prefer_zero, based_code=request.param == "based code")
    engine.space.map(CODE, PAGE, Access.RX)
    engine.space.map(DATA, PAGE, Access.RW)
    yield engine
    engine.close()


@pytest.mark.ldt
def test_segments_with_a_base_do_not_show(placed: Engine) -> None:
    placed.space.store(CODE, assemble(f"nop; fld dword ptr [{DATA + 8}]; {STORE}; fld1; {STORE}"))
    placed.cpu.eip = CODE
    finish(placed)
    assert stored(placed) == (CODE + 1, 0x105, DATA + 8)
    eip = placed.cpu.eip
    finish(placed)
    assert stored(placed) == (eip, 0x1E8, DATA + 8)


# -- exceptions --------------------------------------------------------------------------------------------------------

WAITING = [
    "fwait", "fnop", "fld1", "fadd st, st(1)", f"fld dword ptr [{DATA + 8}]", f"fst dword ptr [{DATA + 8}]", "fxam",
    "fcomi st, st(1)", "ffree st(0)", "fincstp", "fxch", f"fldcw [{DATA + 8}]", f"fldenv [{DATA + 8}]",
    f"frstor [{DATA + 8}]", "emms", "paddb mm0, mm1", f"movq mm0, [{DATA + 8}]", f"movq [{DATA + 8}], mm1",
    "cvtps2pi mm0, xmm0", "movq2dq xmm0, mm0", "fld dword ptr [0x50000]", "fst dword ptr [0x50000]",
]  # fmt: skip
NOT_WAITING = [
    "fnstsw ax", f"fnstsw [{DATA + 8}]", f"fnstcw [{DATA + 8}]", "fninit", "fnclex", f"fnstenv [{DATA + 8}]",
    f"fnsave [{DATA + 8}]", "nop", "addps xmm0, xmm1", f"fxsave [{DATA + 16}]",
]  # fmt: skip


def state(engine: Engine) -> tuple[object, ...]:
    fp = bytes(engine.cpu.fp)
    return (*(fp[start : start + length] for start, length in FIELDS), live(engine), tuple(engine.cpu.words))


@pytest.mark.parametrize("text", WAITING)
def test_pending_exception_traps_at_the_next_waiting_instruction(engine_name: str, text: str) -> None:
    """And before what that one would do; the state is that behind the instruction that raised it, on every engine."""
    before = f"{UNMASK} {DIVIDE}"
    ends = []
    for name in dict.fromkeys((engine_name, "reference")):
        with guest(name, f"{before} mov ebx, 1; {text}; int 0x80", policy=Policy.everything()) as engine:
            trap = engine.run()
            at = CODE + len(assemble(f"{before} mov ebx, 1"))
            assert (trap.number, trap.eip, trap.vector) == (Vector.FP_ERROR, at, Vector.FP_ERROR)
            assert engine.cpu.fp[2:4].hex() == "84b0", "division by zero, pending; nothing was popped"
            assert live(engine) == (CODE + len(assemble(f"{UNMASK} fld1; fldz")), 0x6F9, 0)
            ends.append(state(engine))
            assert engine.run().agrees_with(trap), "again, until somebody clears it"
            engine.cpu.fp[2] = 0
            engine.cpu.fp[3] &= 0x7F
            engine.cpu.fp[0] = INITIAL_X87_CONTROL & 0xFF
            assert engine.run().number in (0x280, Vector.PAGE_FAULT)
    assert all(end == ends[0] for end in ends)


@pytest.mark.parametrize("text", NOT_WAITING)
def test_pending_exception_does_not_disturb_what_does_not_wait(engine_name: str, text: str) -> None:
    ends = []
    for name in dict.fromkeys((engine_name, "reference")):
        with guest(name, f"{UNMASK} {DIVIDE} {text}; int 0x80", policy=Policy.everything()) as engine:
            finish(engine)
            ends.append((state(engine), engine.space.load(DATA, PAGE)))
    assert all(end == ends[0] for end in ends)


def test_unmasking_makes_an_exception_pending(engine_name: str) -> None:
    code = f"{DIVIDE} mov word ptr [{DATA}], 0x037b; fldcw [{DATA}]; nop; fwait; int 0x80"
    with guest(engine_name, code) as engine:
        trap = engine.run()
        assert (trap.number, trap.eip) == (Vector.FP_ERROR, CODE + len(assemble(code)) - 3)
        assert live(engine)[:2] == (CODE + 4, 0x6F9)


def test_every_exception_traps_where_its_mask_is_clear(engine_name: str) -> None:
    """The instruction, what it leaves in status word and ST(0), on every engine as on the reference."""
    causes = [
        (0, "fldz; fldz; fdivp"), (1, f"fld dword ptr [{DATA + 8}]"), (2, "fld1; fldz; fdivp"),
        (3, f"fld tbyte ptr [{DATA + 16}]; fadd st, st(0)"), (4, f"fld tbyte ptr [{DATA + 32}]; fmul st, st(0)"),
        (5, "fldpi; fsqrt"), (0, "fstp st(0)"), (0, "fld1; " * 9),
    ]  # fmt: skip
    data = (1).to_bytes(4, "little").ljust(8, b"\0") + (0x7FFE << 64 | (1 << 64) - 1).to_bytes(16, "little")
    data += (1 << 64 | 1 << 63).to_bytes(16, "little")
    for bit, cause in causes:
        ends = []
        for name in dict.fromkeys((engine_name, "reference")):
            code = f"mov word ptr [{DATA}], {0x37F & ~(1 << bit):#x}; fldcw [{DATA}]; {cause}; fwait; int 0x80"
            with guest(name, code) as engine:
                engine.space.store(DATA + 8, data)
                trap = engine.run()
                assert trap.number == Vector.FP_ERROR, (bit, cause, str(trap))
                assert engine.cpu.fp[2] & (0x80 | 1 << bit) == 0x80 | 1 << bit
                ends.append((trap.eip, state(engine)))
        assert all(end == ends[0] for end in ends)
