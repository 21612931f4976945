"""Fuel: instructions are counted, and a guest is stopped, exactly and alike on every engine."""

from __future__ import annotations

import functools
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import FrameType
from unittest import mock

import needs
import pytest
from asm import assemble
from child import in_child
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images import DATA, image
from machine import CODE, SENTINELS, STACK_TOP, guest

import vx32py
from conformance import corpus, fuel, guests
from reference.dispatch import TranslatingEngine
from reference.engine import Engine
from reference.memory import PAGE
from reference.stop import Stop, StopKind
from reference.traps import Access, Vector
from vx32py import LimitExceeded, Module, Process, Sandbox, _compile, _engines

CASES = {path.stem: corpus.load(path)[0] for path in corpus.files()}
LONG = 1 << 40
TRANSLATING = [name for name in _engines.engines() if name != "reference"]


@pytest.fixture(scope="module")
def comparison() -> Iterator[fuel.Comparison]:
    with closing(fuel.Comparison(_engines.engines())) as made:
        yield made


# -- every engine against its own steps, and against the others -----------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_every_case_of_the_corpus_stops_at_each_amount_of_fuel(name: str, comparison: fuel.Comparison) -> None:
    assert not comparison.problems(CASES[name], random.Random(name), most=60)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, (1 << 32) - 1))
def test_any_program_stops_at_each_amount_of_fuel(comparison: fuel.Comparison, seed: int) -> None:
    rng = random.Random(seed)
    assert not comparison.problems(next(fuel.random_cases(rng)), rng, most=100)


def test_a_miscount_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from reference.translator import meter

    monkeypatch.setattr(meter, "ENDS_STRETCH", frozenset())
    monkeypatch.setattr(TranslatingEngine, "verifier", None)  # which would find it first
    cases = fuel.random_cases(random.Random(1))
    with closing(fuel.Comparison(["reference", "translated"])) as wrong:
        assert any(wrong.problems(next(cases), random.Random(1)) for _ in range(20))


# -- what counts: numbers that were counted by hand -----------------------------------------------------------------------

COUNTED = {
    "plain": ("inc eax; inc eax; int3", 3, Vector.BREAKPOINT),
    "repeated string": ("mov ecx, 100; mov edi, ebp; rep stosb; int3", 4, Vector.BREAKPOINT),
    "repeated no time at all": ("xor ecx, ecx; rep stosb; int3", 3, Vector.BREAKPOINT),
    "fault in a stretch": ("inc eax; mov eax, [0]; inc eax; inc eax; int3", 2, Vector.PAGE_FAULT),
    "fault of a push of a call": ("mov esp, 8; mov eax, 1; call 1f; 1: int3", 3, Vector.PAGE_FAULT),
    "fault of a push of an indirect call": ("mov esp, 8; mov eax, 1; call eax; inc eax; int3", 3, Vector.PAGE_FAULT),
    "division": ("xor edx, edx; div edx; inc eax; int3", 2, Vector.DIVIDE_ERROR),
    "invalid opcode": ("inc eax; ud2", 2, Vector.INVALID_OPCODE),
    "an opcode that there is not": ("inc eax; .byte 0x0f, 0xff; inc eax", 2, Vector.INVALID_OPCODE),
    "jump to nowhere": ("inc eax; .byte 0xe9, 0, 0, 0x10, 0", 3, Vector.PAGE_FAULT),
    "return to nowhere": ("push 16; ret", 3, Vector.PAGE_FAULT),
    "system call": ("inc eax; syscall; inc eax", 2, Vector.SYSCALL),
    "assisted": ("cpuid; cpuid; pushf; popf; inc eax; int3", 6, Vector.BREAKPOINT),
    "overflow": ("mov eax, 0x7fffffff; inc eax; into; inc eax; inc eax; int3", 3, Vector.OVERFLOW),
    "no overflow": ("xor eax, eax; into; inc eax; int3", 4, Vector.BREAKPOINT),
    "branches": ("xor eax, eax; jz 1f; inc eax; 1: jnz 2f; inc eax; 2: int3", 5, Vector.BREAKPOINT),
    "loop": ("mov ecx, 7; 1: inc eax; loop 1b; int3", 1 + 2 * 7 + 1, Vector.BREAKPOINT),
    "loop that does not reach": (f"mov ecx, 7; 1: {'inc eax;' * 62} loop 1b; int3", 1 + 63 * 7 + 1, Vector.BREAKPOINT),
    "jump if zero": ("xor ecx, ecx; jecxz 1f; inc eax; 1: int3", 3, Vector.BREAKPOINT),
    "calls": ("call 1f; call 1f; int3; 1: inc eax; ret", 2 + 2 * 2 + 1, Vector.BREAKPOINT),
    "indirect calls": (f"mov edx, {CODE + 9}; call edx; int3; .org 9; inc eax; ret", 5, Vector.BREAKPOINT),
    "recursion": ("mov ecx, 5; call 1f; int3; 1: dec ecx; jz 2f; call 1b; 2: ret", 2 + 3 * 5 + 4 + 1, Vector.BREAKPOINT),
    "long": ("inc eax;" * 500 + "int3", 501, Vector.BREAKPOINT),
    "call that ends a full fragment": ("inc eax;" * 63 + "call 1f; int3; 1: ret", 66, Vector.BREAKPOINT),
}  # fmt: skip


@pytest.mark.parametrize("what", COUNTED)
def test_what_counts(engine_name: str, what: str) -> None:
    text, count, vector = COUNTED[what]
    with guest(engine_name, text) as engine:
        trap = engine.run_for(LONG)
        assert trap is not None
        assert (trap.number, engine.stats.instructions) == (vector, count)
    for given_fuel in (count - 1, count):
        with guest(engine_name, text) as engine:
            trap = engine.run_for(given_fuel)
            assert (trap is not None, engine.stats.instructions) == (given_fuel == count, given_fuel)


def test_a_store_into_its_own_stretch_is_paid_once(engine_name: str) -> None:
    text = "inc eax; mov byte ptr [ebx], 0x43; inc eax; 1: inc eax; inc eax; int3"
    where = CODE + assemble(text).index(b"\x40\x40\x40") + 1
    for given_fuel in range(1, 7):
        with guest(engine_name, text, code_access=Access.RX | Access.WRITE, eax=0, ebx=where) as engine:
            trap = engine.run_for(given_fuel)
            assert (trap is not None, engine.stats.instructions) == (given_fuel == 6, given_fuel)
            assert engine.cpu.ebx == where + (given_fuel >= 4)


def test_faults_that_the_host_repairs_count_each_time(engine_name: str) -> None:
    with guest(engine_name, "inc eax; mov ecx, [esi]; inc eax; int3", eax=0, esi=0x5_0000) as engine:
        trap = engine.run_for(LONG)
        assert trap is not None
        assert (trap.number, engine.stats.instructions, engine.cpu.ecx) == (Vector.PAGE_FAULT, 2, SENTINELS["ecx"])
        engine.space.map(0x5_0000, PAGE, Access.RW)
        assert engine.run_for(1) is None
        assert (engine.stats.instructions, engine.cpu.ecx) == (3, 0)
        assert engine.run_for(LONG) is not None
        assert engine.stats.instructions == 5


def test_no_fuel_is_nothing(engine_name: str) -> None:
    with guest(engine_name, "inc eax; int3", eip=0) as engine:
        assert engine.run_for(0) is None
        assert (engine.cpu.eip, engine.stats.instructions) == (0, 0)


def test_fuel_may_come_late_and_in_parts(engine_name: str) -> None:
    """An engine that was not made for it counts from the first time on; single steps and runs without limit count as well."""
    with guest(engine_name, "int3; mov ecx, 50; 1: inc eax; inc ebx; loop 1b; int3; int3", eax=0) as engine:
        engine.run()
        begin = engine.stats.instructions
        used = 0
        for part in (1, 2, 3, 5, 7, 60):
            assert engine.run_for(part) is None
            used += part
            assert engine.stats.instructions - begin == used
        assert engine.step().number == Vector.SINGLE_STEP
        assert engine.stats.instructions - begin == used + 1
        assert engine.run().number == Vector.BREAKPOINT
        assert engine.stats.instructions - begin == 1 + 3 * 50 + 1
        assert engine.run_for(1) is not None


def test_a_new_thread_pointer_changes_nothing(engine_name: str) -> None:
    policy = replace(vx32py.Policy.default(), thread_pointer=True)
    text = "mov ecx, 9; 1: mov eax, gs:[0]; dec ecx; jnz 1b; int3"
    with guest(engine_name, text, policy=policy) as engine:
        for base in (0x2_0000, 0x2_0010):
            engine.set_thread_pointer(0x33, base)
            before, engine.cpu.eip = engine.stats.instructions, CODE
            assert engine.run_for(5) is None
            engine.set_thread_pointer(0x33, base + 4)
            assert engine.run_for(LONG) is not None
            assert engine.stats.instructions - before == 1 + 9 * 3 + 1


@pytest.mark.parametrize("engine_name", TRANSLATING)
def test_code_far_apart_is_counted_too(engine_name: str) -> None:
    """With the hashed entry table landings give two registers back, and meters stand behind them as ever."""
    far = 0x4000_0000
    text = f"mov esi, 20; 1: mov eax, {far}; call eax; dec esi; jnz 1b; int3"
    with guest(engine_name, text, limit=0x4010_0000) as engine:
        engine.space.map(far, PAGE, Access.RX)
        engine.space.store(far, assemble("inc ebx; nop; ret"))
        for part in (4, 7, 33):
            assert engine.run_for(part) is None
        assert engine.run_for(LONG) is not None
        assert engine.stats.instructions == 1 + 20 * 7 + 1


@pytest.mark.ldt
def test_billions() -> None:
    """More than a guest is lent at a time, hundreds of times over; to the last instruction."""
    needs.engine("jit")
    body = "nop;" * 62
    with guest("jit", f"1: {body} dec ecx; jnz 1b; int3", ecx=0xFFFF_FFFF) as engine:
        total = 5_000_000_003
        assert engine.run_for(total) is None
        assert engine.stats.instructions == total
        rounds, rest = divmod(total, 64)
        assert (engine.cpu.ecx, engine.cpu.eip) == (0xFFFF_FFFF - rounds, CODE + rest)


# -- interrupts -----------------------------------------------------------------------------------------------------------

#: Stretches of all kinds, round and round; 21 instructions each time, and one more at the end.
BUSY = f"""
1:  inc eax; add ebx, eax; push eax; call 2f; pop eax
    mov edx, {CODE + 0x80}; call edx; cmp eax, ebx; jb 4f
4:  push ecx; mov ecx, 3; mov edi, ebp; rep stosb; pop ecx
    dec ecx; jnz 1b; int3
2:  nop; ret
.org 0x80
    nop; nop; ret
"""
ROUND = 21


def run_to_the_end(engine: Engine, rng: random.Random) -> int:
    """Run with this much fuel and that to a trap that is not an interrupt; how many interrupts there were."""
    interrupts = 0
    while True:
        part = rng.choice((1, 2, 5, 100, 1000, LONG, LONG))
        before = engine.stats.instructions
        trap = engine.run_for(part)
        used = engine.stats.instructions - before
        assert used == part if trap is None else used <= part
        if trap is not None and trap.number != Vector.IRQ:
            assert trap.number == Vector.BREAKPOINT
            return interrupts
        interrupts += trap is not None


def test_interrupts_cost_nothing(engine_name: str) -> None:
    rounds = 20_000 if engine_name == "jit" else 60
    with guest(engine_name, BUSY, ecx=rounds, eax=0, ebx=0) as engine:
        rng, done = random.Random(1), threading.Event()
        engine.run_for(0)

        def disturb() -> None:
            own = random.Random(2)
            while not done.wait(own.random() * 2e-4):
                engine.interrupt()

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            interrupts = turns = 0
            while interrupts < 10:
                turns += 1
                assert turns < 2000
                engine.cpu.eip, engine.cpu.ecx, engine.cpu.eax, engine.cpu.ebx = CODE, rounds, 0, 0
                before = engine.stats.instructions
                interrupts += run_to_the_end(engine, rng)
                assert engine.stats.instructions - before == ROUND * rounds + 1
                assert engine.cpu.eax == rounds
        finally:
            done.set()
            thread.join()


def test_an_interrupt_that_waits_already_costs_nothing(engine_name: str) -> None:
    with guest(engine_name, "inc eax; mov ecx, 3; mov edi, ebp; rep stosb; int3") as engine:
        for _ in range(3):
            engine.interrupt()
            trap = engine.run_for(LONG)
            assert trap is not None
            assert trap.number == Vector.IRQ
            assert engine.run_for(1) is None
        assert engine.run_for(LONG) is not None
        assert engine.stats.instructions == 5


@pytest.mark.parametrize("engine_name", TRANSLATING)
def test_an_interrupt_at_any_native_instruction_costs_nothing(
    engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In meters, stubs, landings and templates: the processor is stopped after each ``length`` of its instructions."""
    whole = ROUND * 2 + 1
    expected = {}
    for amount in (whole, whole - 3, 17):
        with guest("reference", BUSY, ecx=2, eax=0, ebx=0) as engine:
            engine.run_for(amount)
            expected[amount] = tuple(engine.cpu.words)
    lengths = range(1, 75) if engine_name == "jit" else (1, 2, 3, 4, 5, 6, 7, 8, 11, 29)
    with guest(engine_name, BUSY) as engine:
        assert isinstance(engine, TranslatingEngine)
        assert engine.run_for(0) is None
        enter = engine._enter
        length = 0

        def enter_for_a_moment(offset: int, single: bool) -> Stop:
            stop = enter(offset, True)
            for _ in range(0 if single else length - 1):
                if stop.kind != StopKind.STEPPED:
                    return stop
                stop = enter(stop.offset, True)
            return Stop(StopKind.INTERRUPTED, stop.offset) if stop.kind == StopKind.STEPPED and not single else stop

        monkeypatch.setattr(engine, "_enter", enter_for_a_moment)
        for length in lengths:
            for amount, words in expected.items():
                for register, value in {
                    **SENTINELS,
                    "esp": STACK_TOP - 64,
                    "eip": CODE,
                    "ecx": 2,
                    "eax": 0,
                    "ebx": 0,
                }.items():
                    setattr(engine.cpu, register, value)
                before = engine.stats.instructions
                trap = engine.run_for(amount)
                assert (trap is not None, engine.stats.instructions - before) == (amount == whole, amount), length
                assert tuple(engine.cpu.words) == words


class Surprise(Exception):
    """What a signal handler raises."""


def surprise(number: int, frame: FrameType | None) -> None:
    raise Surprise


def run_disturbed(engine: Engine, whole: int, rng: random.Random) -> int:
    """Run ``whole`` instructions, the last of which is INT3, among signals; how many there were."""
    surprises, left = 0, whole
    while True:
        before = engine.stats.instructions
        trap = None
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(2e-4, 2e-3))
            trap = engine.run_for(left)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except Surprise:
            surprises += 1
        left -= engine.stats.instructions - before
        if trap is not None:
            assert (trap.number, left) == (Vector.BREAKPOINT, 0), (trap, left, whole, surprises)
            return surprises


@pytest.mark.parametrize("engine_name", TRANSLATING)
def test_what_a_guest_had_used_was_forgotten_where_a_handler_raised_behind_its_run(
    engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call behind a run is where Python runs signal handlers; it came before the count."""
    with guest(engine_name, BUSY, ecx=2, eax=0, ebx=0) as engine:
        assert engine.run_for(ROUND) is None  # what comes is translated
        for run, amount in ((functools.partial(engine.run_for, 5), 5), (engine.step, 1)):
            before = engine.stats.instructions
            with monkeypatch.context() as patched:
                patched.setattr("reference.dispatch.time", mock.Mock(**{"perf_counter.side_effect": (0.0, Surprise)}))
                with pytest.raises(Surprise):
                    run()
            assert engine.stats.instructions - before == amount


@in_child
def test_exceptions_of_signal_handlers_cost_nothing() -> None:
    signal.signal(signal.SIGALRM, surprise)
    rng, rounds, surprises = random.Random(3), 200_000, 0
    with guest("jit", BUSY) as engine:
        while surprises < 10:
            engine.cpu.eip, engine.cpu.ecx, engine.cpu.eax, engine.cpu.ebx = CODE, rounds, 0, 0
            assert engine.run_for(3) is None
            surprises += run_disturbed(engine, ROUND * rounds + 1 - 3, rng)
            assert engine.cpu.eax == rounds


# -- guests ---------------------------------------------------------------------------------------------------------------

#: Examples, with so little to do that the reference is done in a second.
EXAMPLES = {
    "fib": ["10"], "sha256": [], "nbody": ["5"], "matmul": ["6"], "primes": ["2000"], "qsort": ["100"], "lz": ["-c"],
    "hello": [], "cat": [], "echo": ["a", "b"], "fault": [],
}  # fmt: skip
INPUT = b"the quick brown fox, the lazy dog and the quick fox again\n" * 3


def example(name: str) -> Module:
    if not _compile.compilers():
        pytest.skip("no compiler for guests (pip install 'vx32py[guest]')")
    return Module.from_file(guests.example(name))


def state_after(module: Module, engine: str, args: list[str], amount: int) -> tuple[object, ...]:
    """How a guest with that much fuel ends: how, how much it used, registers without undefined flags, and its memory."""
    with Sandbox(engine=engine, fuel=amount, policy=vx32py.Policy.deterministic()).spawn(
        module, args, stdin=INPUT, name="guest"
    ) as process:
        end = ended(process)
        memory = [process.memory.read(start, stop - start) for start, stop, _ in process.engine.space.regions()]
        return end, used(process), tuple(process.registers.words[:9]), memory, process.stdout


def ended(process: Process) -> object:
    try:
        trap = process.run()
    except LimitExceeded as error:
        return error.limit
    return process.exit_code if process.exit_code is not None else (trap.number, trap.eip)


def used(process: Process) -> int:
    """How many instructions the family has executed."""
    fuel_at_first = process.sandbox.fuel
    assert fuel_at_first is not None
    assert process.family.fuel is not None
    return fuel_at_first - process.family.fuel


@pytest.mark.compiler
@pytest.mark.parametrize("name", EXAMPLES)
def test_real_programs_use_the_same_fuel_on_every_engine(name: str) -> None:
    module, args = example(name), EXAMPLES[name]
    ends = {engine: state_after(module, engine, args, LONG) for engine in ("reference", "jit")}
    assert ends["jit"] == ends["reference"]
    total = ends["jit"][1]
    assert isinstance(total, int)
    assert total > 100
    if name in ("hello", "fib"):
        assert state_after(module, "translated", args, LONG) == ends["reference"]
    rng = random.Random(name)
    for amount in {total, total - 1, 1, *(rng.randrange(1, total) for _ in range(2))}:
        assert state_after(module, "jit", args, amount) == state_after(module, "reference", args, amount)


def test_fuel_is_exact_and_reproducible(engine_name: str) -> None:
    code = "mov ecx, 100; again: inc eax; dec ecx; jnz again; ud2"
    for _ in range(2):
        with Sandbox(engine=engine_name, fuel=1 + 3 * 10).spawn(image(code)) as process:
            with pytest.raises(LimitExceeded, match="fuel"):
                process.run()
            assert (process.registers.eax, process.registers.ecx) == (10, 90)
            assert process.stats.counters.instructions == 31
            with pytest.raises(LimitExceeded, match="fuel"):
                process.run()
            assert process.stats.counters.instructions == 31
    assert Sandbox(engine=engine_name, fuel=1 + 300 + 1).run(image(code)).limit is None
    assert Sandbox(engine=engine_name, fuel=1 + 300).run(image(code)).limit == "fuel"


#: Writes a byte, nine instructions a time, three times; then exits with three.
WRITER = f"""
    mov esi, 3
1:  inc dword ptr [{DATA}]; mov eax, 4; mov edx, 1; mov ecx, {DATA}; mov ebx, 1; syscall
    dec esi; nop; jnz 1b
    mov eax, 1; mov edx, 3; syscall
"""
WHOLE = 1 + 3 * 9 + 3


def test_each_amount_of_fuel_allows_just_the_calls_that_it_reaches(engine_name: str) -> None:
    for amount in range(1, WHOLE + 2) if engine_name != "translated" else range(6, WHOLE + 2, 4):
        with Sandbox(engine=engine_name, fuel=amount).spawn(image(WRITER)) as process:
            assert ended(process) == (3 if amount >= WHOLE else "fuel")
            assert process.stdout == b"\1\2\3"[: max(0, (amount + 2) // 9)]
            assert used(process) == process.stats.counters.instructions == min(amount, WHOLE)


def test_single_steps_use_fuel_too(engine_name: str) -> None:
    with Sandbox(engine=engine_name, fuel=WHOLE - 1).spawn(image(WRITER)) as process:
        for number in range(1, 12):
            process.step()
            assert used(process) == process.stats.counters.instructions == number
        assert ended(process) == "fuel"
        assert process.stdout == b"\1\2\3"
        with pytest.raises(LimitExceeded, match="fuel"):
            process.step()


def test_fuel_is_the_familys(engine_name: str) -> None:
    """A parent of 13 instructions, a child of 8, each in turn."""
    code = f"""
    mov eax, 24; syscall; test eax, eax; jz 1f
    mov eax, 25; mov edx, -1; mov ecx, {DATA}; mov ebx, 0; syscall; mov eax, 1; mov edx, [{DATA}]; shr edx, 8; syscall
1:  nop; mov edx, 7; mov eax, 1; syscall
    """
    whole = 4 + 5 + 4 + 2 + 4
    for amount in (1, 2, 3, 7, 12, whole - 2, whole - 1, whole, whole + 1):
        with Sandbox(engine=engine_name, fuel=amount).spawn(image(code)) as process:
            assert ended(process) == (7 if amount >= whole else "fuel")
            assert used(process) == min(amount, whole)


def test_a_restored_process_goes_on_with_what_fuel_there_is(engine_name: str) -> None:
    with Sandbox(engine=engine_name, fuel=100).spawn(image(WRITER)) as process:
        for _ in range(5):
            process.step()
        snapshot = process.snapshot()
        assert ended(process) == 3
        assert used(process) == WHOLE
        for times in (1, 2):
            process.restore(snapshot)
            process.connect()
            assert ended(process) == 3
            assert used(process) == WHOLE + times * (WHOLE - 5)
        process.restore(snapshot)
        process.connect()
        assert ended(process) == "fuel"
        assert process.stdout == b"\1\2"[: (100 - WHOLE - 2 * (WHOLE - 5) + 5 + 2) // 9]


def test_the_fastest_engine_has_fuel_too() -> None:
    result = Sandbox(fuel=WHOLE).run(image(WRITER))
    assert (result.exit_code, result.stats.engine) == (3, _engines.resolve("auto"))
    assert result.stats.counters.instructions == WHOLE


def test_fuel_and_a_time_limit_go_together(engine_name: str) -> None:
    with Sandbox(engine=engine_name, fuel=LONG, timeout=0.2).spawn(image("1: nop; jmp 1b")) as process:
        with pytest.raises(vx32py.Timeout):
            process.run()
        assert 2 <= used(process) < LONG


def test_guests_with_fuel_and_without_share_no_code() -> None:
    """One program, in turn: what the one has left must not be taken for what the other needs."""
    needs.engine("jit")
    module = Module.from_bytes(image("mov ecx, 9; 1: dec ecx; jnz 1b; mov eax, 1; mov edx, 5; syscall"))
    plain, limited = Sandbox(engine="jit"), Sandbox(engine="jit", fuel=LONG)
    made = []
    for box in (plain, limited, plain, limited, limited, plain):
        with box.spawn(module) as process:
            assert ended(process) == 5
            assert process.stats.counters.instructions == (1 + 2 * 9 + 3 if box is limited else 0)
            made.append(process.stats.counters.fragments)
        del process  # it holds the memory that the next one is to have
    assert made[0] > 0
    assert made[1] > 0
    assert sum(made[2:]) == 0, "and each finds its own again"
