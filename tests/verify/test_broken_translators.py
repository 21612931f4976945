"""Translators that are broken on purpose, each in a way that could let a guest out: who stops it?

With the verifier, the code never becomes reachable. Without it, the guest runs, on the real processor, in a child process;
the table says what the hardware makes of it, so that it is known what rests on the translator and the verifier alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from asm import assemble
from child import describe, run, skip_without_ldt
from machine import CODE, DATA, LIMIT, SENTINELS, STACK_TOP

from reference import encode as e
from reference import layout as at
from reference import runtime
from reference.cache import CodeCache
from reference.dispatch import TranslatingEngine
from reference.errors import VerificationError
from reference.memory import PAGE, AddressSpace
from reference.policy import Policy
from reference.registers import ECX, EDX
from reference.translator import Fragment, emit, scan
from reference.traps import Access, Trap, Vector
from vx32py import verify

#: A long NOP of each size, which a broken translator mistakes for something else.
NOPS = ["", "90", "6690", "0f1f00", "0f1f4000", "0f1f440000", "660f1f440000", "0f1f8000000000", "0f1f840000000000"]


def copies(digits: str) -> Callable[[pytest.MonkeyPatch], None]:
    """The instruction table takes these bytes for an instruction that may be copied."""
    evil = bytes.fromhex(digits)
    original = emit._Templates.of

    def of(self: Any, item: Any) -> bytes:
        made = original(self, item)
        return evil if item.instruction is not None and item.instruction.raw.hex() == NOPS[len(evil)] else made

    return lambda patch: patch.setattr(emit._Templates, "of", of)


def wrong_dispatch(patch: pytest.MonkeyPatch) -> None:
    """Indirect branches use the entry of the next EIP but seven."""
    original = emit.dispatch
    patch.setattr(emit, "dispatch", lambda window: original(window - 8 if window is not None else None))


def unbounded_dispatch(patch: pytest.MonkeyPatch) -> None:
    """With the hashed table, the index is all of the target, not its low half."""
    patch.setattr(emit, "dispatch", lambda window: b"\x8b\xd1\x90" + e.jmp_gs_indexed4(at.HASHED_TABLE, EDX))


def unchecked_landing(patch: pytest.MonkeyPatch) -> None:
    """Landings give the register back without looking at the target."""

    def landing(eip: int, window: int | None) -> bytes:
        return b"\x90" * (8 if window is None else 0) + e.mov_from_gs(ECX, at.SPILL_ECX)

    patch.setattr(emit, "landing", landing)


def crooked_branch(patch: pytest.MonkeyPatch) -> None:
    """Branches lead one byte further: into the middle of instructions."""
    original = emit._Templates._distance
    patch.setattr(emit._Templates, "_distance", lambda self, item: original(self, item) + 1)


def wrong_way_out(patch: pytest.MonkeyPatch) -> None:
    """Traps jump to the lookup stub, which takes ECX for a target."""
    patch.setattr(runtime, "EXIT", runtime.LOOKUP)


def wrong_reason(patch: pytest.MonkeyPatch) -> None:
    """Traps tell the host what only stubs may tell it."""
    original = scan.classify

    def classify(*arguments: Any) -> Any:
        item = original(*arguments)
        item.reason = item.reason and at.Reason.CHAIN
        return item

    patch.setattr(scan, "classify", classify)


def wrong_trampoline(patch: pytest.MonkeyPatch) -> None:
    """Trampolines say that they are the one behind."""
    patch.setattr(emit, "trampoline", lambda offset: e.mov_gs_immediate(at.SITE, offset + 16) + emit_jump(offset))


def emit_jump(offset: int) -> bytes:
    return e.jmp(runtime.CHAIN - (offset + 16))


def wrong_stubs(patch: pytest.MonkeyPatch) -> None:
    """The exit stub goes through a word that a guest's ECX is in."""
    far = e.jmp_far_gs(at.LEAVE_POINTER)
    patch.setattr(runtime, "STUBS", runtime.STUBS.replace(far, e.jmp_far_gs(at.SPILL_ECX)))


def wrong_entries(patch: pytest.MonkeyPatch) -> None:
    """The entry table has the second byte of each landing."""
    original = CodeCache.install

    def install(self: CodeCache, fragment: Fragment) -> None:
        original(self, fragment)
        for landing in fragment.landings:
            self._set_entry(landing.eip, self._origin + landing.offset + 1)

    patch.setattr(CodeCache, "install", install)


@dataclass(frozen=True)
class Way:
    """One way to be broken: the guest that shows it, who is to stop it (the verifier, when it sees the ``fragment``, the
    ``stubs``, or ``all`` that is reachable), and what happens without: a trap's number, or "runs on", or "host dies"."""

    name: str
    break_it: Callable[[pytest.MonkeyPatch], None]
    guest: str
    verifier: str
    without: str
    hashed: bool = False


def nop(size: int) -> str:
    return "".join(f".byte 0x{byte:02x};" for byte in bytes.fromhex(NOPS[size]))


INDIRECT = "mov eax, offset 1f; mov ebx, 2; jmp eax; .byte 0x90,0x90; 1: mov ebx, 1; int3"
WAYS = [
    Way("a segment load is copied", copies("8ee8"), f"mov eax, 0xffff; {nop(2)} mov ebx, 1; int3", "fragment", "trap 13"),
    Way("a flat stack segment is loaded", copies("8ed0"), f"mov eax, 0x2b; {nop(2)} mov ebx, 1; int3", "fragment", "runs on"),
    Way("a read of the control segment is copied", copies("65a124000000"), f"{nop(6)} mov ebx, 1; int3", "fragment", "runs on"),
    Way("a store to the control segment is copied", copies("65890d1c100000"), f"{nop(7)} mov ebx, 1; int3", "fragment", "runs on"),
    Way("a read through CS is copied", copies("2ea100020000"), f"{nop(6)} mov ebx, 1; int3", "fragment", "trap 13"),
    Way("a call of the kernel is copied", copies("cd80"), f"mov eax, 20; {nop(2)} mov ebx, 1; int3", "fragment", "runs on"),
    Way("an indirect jump is copied", copies("ffe1"), f"mov ecx, {DATA}; {nop(2)} mov ebx, 1; int3", "fragment", "trap 14"),
    Way("a return is copied", copies("c3"), f"push {DATA}; {nop(1)} mov ebx, 1; int3", "fragment", "trap 14"),
    Way("POPF is copied", copies("9d"), f"push 0x40000; popf; pushf; {nop(1)} mov ebx, 1; int3", "fragment", "runs on"),
    Way("a far jump to the host's mode is copied", copies("ea000000003300"), f"{nop(7)} mov ebx, 1; int3", "fragment", "host dies"),
    Way("HLT is copied", copies("f4"), f"{nop(1)} mov ebx, 1; int3", "fragment", "trap 13"),
    Way("another entry is used", wrong_dispatch, INDIRECT, "fragment", "runs on"),
    Way("the index is not bounded", unbounded_dispatch, INDIRECT, "fragment", "trap 13", hashed=True),
    Way("landings do not look", unchecked_landing, INDIRECT, "fragment", "runs on"),
    Way("branches lead into instructions", crooked_branch, "mov ebx, 1\njmp 1f\nnop\n1: mov eax, 0x0b0f\nint3", "fragment", "host error"),
    Way("traps leave by another stub", wrong_way_out, "mov ebx, 1; int3", "fragment", "trap 14"),
    Way("traps tell what only stubs may tell", wrong_reason, "mov ebx, 1; int3", "fragment", "host error"),
    Way("trampolines name another", wrong_trampoline, "mov ebx, 1\njmp 1f\n.fill 600, 1, 0x90\n1: int3", "fragment", "host error"),
    Way("the exit stub leads elsewhere", wrong_stubs, "mov ecx, 7; mov ebx, 1; int3", "stubs", "host error"),
    Way("entries are crooked", wrong_entries, INDIRECT, "all", "runs on"),
]  # fmt: skip


def engine_for(name: str, way: Way) -> TranslatingEngine:
    """An engine with the specification's translator and the guest of a way at CODE."""
    engine: TranslatingEngine
    if name == "jit":
        from jit.engine import JitEngine

        engine = JitEngine(limit=LIMIT, policy=Policy.default(), translator="reference")
    else:
        from reference.model import TranslatedEngine

        engine = TranslatedEngine(AddressSpace(LIMIT), Policy.default())
    space = engine.space
    space.map(CODE, 4 * PAGE, Access.RX)
    text = way.guest
    if "offset 1f" in text:  # which the assembler cannot do
        text = text.replace("offset 1f", str(CODE + target_of(text)))
    space.store(CODE, assemble(text))
    space.map(DATA, 2 * PAGE, Access.RW)
    space.map(STACK_TOP - 2 * PAGE, 2 * PAGE, Access.RW)
    for register, value in {**SENTINELS, "esp": STACK_TOP - 64, "eip": CODE}.items():
        setattr(engine.cpu, register, value)
    if way.hashed:
        engine._begin_anew(None)
        engine._bound_control(at.HASHED_SIZE)
    return engine


def target_of(text: str) -> int:
    """Where ``1:`` is in INDIRECT."""
    return len(assemble(text.split("1:", maxsplit=1)[0].replace("offset 1f", "0x10000")))


@pytest.fixture(params=["translated", "jit"])
def translating_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "jit":
        skip_without_ldt()
    return name


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_the_verifier_stops_a_broken_translator(
    way: Way, translating_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TranslatingEngine, "verifier", verify)
    way.break_it(monkeypatch)
    caught = "nobody"
    engine: TranslatingEngine | None = None
    try:
        engine = engine_for(translating_name, way)
        if way.verifier == "all":
            engine._make_fragment(CODE)
            caught = "all"
            engine.audit()
        else:
            caught = "fragment"
            engine.run()
        caught = "nobody"
    except VerificationError:
        caught = "stubs" if engine is None else caught
    finally:
        if engine is not None:
            assert engine.cpu.ebx == SENTINELS["ebx"], "the guest has run"
            engine.close()
    assert caught == way.verifier


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_the_verifier_accepts_the_same_guest_from_the_whole_translator(way: Way, translating_name: str) -> None:
    engine = engine_for(translating_name, way)
    try:
        trap = engine.run()
        engine.audit()
        assert trap.number in (Vector.BREAKPOINT, Vector.INVALID_OPCODE, Vector.PAGE_FAULT)
    finally:
        engine.close()


@pytest.mark.ldt
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_what_hardware_makes_of_a_broken_translator_without_verifier(way: Way) -> None:
    skip_without_ldt()
    done = run(without_verifier, {"name": way.name})
    if done.returncode < 0:
        assert way.without == "host dies", describe(done.returncode) + done.stderr
    else:
        assert done.stdout.strip().splitlines()[-1:] == [way.without], done.stdout + done.stderr


def without_verifier(name: str) -> None:
    """In a child process: what comes of it."""
    way = next(way for way in WAYS if way.name == name)
    patch = pytest.MonkeyPatch()
    way.break_it(patch)
    try:
        engine = engine_for("jit", way)
        trap: Trap = engine.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the host's
        print(f"{type(error).__name__}: {error}\nhost error")
        return
    ran_on = trap.number == Vector.BREAKPOINT and engine.cpu.ebx == 1
    print("runs on" if ran_on else f"trap {trap.vector or trap.number}")
