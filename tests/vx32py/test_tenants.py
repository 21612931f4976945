"""Tenants one after another: a guest finds nothing of the one that was at its place before, however that one has ended."""

from __future__ import annotations

import gc
import secrets
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from child import in_child
from images import DATA, image

from conformance import lifetimes
from reference.policy import Group
from vx32py import Module, Policy, Process, Sandbox, SystemCalls, Vector
from vx32py._engines import unavailable

HEAP = 0x0810_0000
HEAP_END = HEAP + (1 << 20)
#: Where a guest stores what it finds in the processor when it begins.
FOUND = DATA + 0x800

#: Stores all that the processor has, maps a heap, and stops. Then it fills all of this with EBX, writes some of it to its
#: standard output, and stops; and then it fills its heap for ever, or, with ESI 1, 2, exits, or makes call 200.
TENANT = f"""
    mov [{FOUND}], eax; mov [{FOUND + 4}], ebx; mov [{FOUND + 8}], ecx; mov [{FOUND + 12}], edx
    mov [{FOUND + 16}], esi; mov [{FOUND + 20}], edi; mov [{FOUND + 24}], ebp
    pushfd; pop dword ptr [{FOUND + 28}]
    stmxcsr [{FOUND + 32}]
    fnsave [{FOUND + 64}]
    VECTORS_OUT
    mov eax, 2; mov edx, {HEAP_END}; syscall
    int 0x41
    mov edi, {DATA}; mov ecx, 256; mov eax, ebx; rep stosd
    mov edi, {HEAP}; mov ecx, {(1 << 20) // 4}; rep stosd
    mov ecx, 512; 1: push ebx; loop 1b
    finit
    fild dword ptr [{DATA}]; fld st(0); fld st(0); fld st(0); fld st(0); fld st(0); fld st(0); fld st(0)
    movd mm3, ebx
    VECTORS_IN
    push esi
    mov ecx, {DATA}; mov eax, 4; mov edx, 1; push ebx; mov ebx, 64; syscall; pop ebx
    pop esi
    mov eax, ebx; mov ecx, ebx; mov edx, ebx; mov edi, ebx; mov ebp, ebx
    int 0x42
    cmp esi, 1; jne 2f
    mov eax, 1; syscall
2:  cmp esi, 2; jne 3f
    mov eax, 200; syscall
3:  mov edi, {HEAP}; mov ecx, {(1 << 20) // 4}; mov eax, ebx; rep stosd
    jmp 3b
"""
SSE_OUT = "; ".join(f"movups [{FOUND + 0x100 + 32 * n}], xmm{n}" for n in range(8))
AVX_OUT = "; ".join(f"vmovups [{FOUND + 0x100 + 32 * n}], ymm{n}" for n in range(8))
SSE_IN = "; ".join([f"movups xmm{n}, [{DATA}]" for n in range(8)])
AVX_IN = "; ".join([f"vmovups ymm{n}, [{DATA}]" for n in range(8)])


def programs() -> tuple[Policy, Module, Module]:
    """With the widest registers that there are; two programs that do the same."""
    policy = Policy.parse("host")
    avx = Group.AVX in policy.groups
    text = TENANT.replace("VECTORS_OUT", AVX_OUT if avx else SSE_OUT).replace("VECTORS_IN", AVX_IN if avx else SSE_IN)
    return policy, Module.from_bytes(image(text)), Module.from_bytes(image("nop; " + text))


def everything(process: Process) -> Iterator[tuple[str, bytes]]:
    """All that the guest can reach, and what the engine keeps for it."""
    for start, end, _ in process.memory.regions():
        yield f"memory at {start:#x}", process.engine.space.load(start, end - start)
    yield "registers", bytes(process.registers.words) + bytes(process.registers.fp)
    processor = process.engine.processor  # type: ignore[attr-defined]
    yield "control segment", bytes(processor.control[: 1 << 16])  # behind that are tables of code addresses only
    yield "code segment", bytes(processor.code[: 1 << 16])
    yield "standard output", process.stdout + process.stderr


def _exit(process: Process) -> None:
    process.registers.esi = 1
    process.run()
    assert process.exit_code is not None
    process.close()


def _kill(process: Process) -> None:
    process.kill()
    process.close()


def _fail(process: Process) -> None:
    process.registers.esi = 2
    with pytest.raises(KeyError):
        process.run()
    process.close()


def _trap(process: Process) -> None:
    process.close()


def _forget(process: Process) -> None:
    """Whoever has called closes it not, and forgets it."""


def _close_while_it_runs(process: Process) -> None:
    def run() -> None:
        with pytest.raises(ValueError, match="closed"):
            process.run()

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.01)
    process.close()
    thread.join(60)
    assert not thread.is_alive()


WAYS: dict[str, Callable[[Process], None]] = {
    "exit": _exit, "kill": _kill, "exception": _fail, "trap": _trap, "forgotten": _forget,
    "closed while it runs": _close_while_it_runs,
}  # fmt: skip


@in_child
def test_nothing_of_a_guest_is_left_to_the_next_one() -> None:
    policy, tenant, other = programs()
    calls = SystemCalls.vx()

    @calls.define(200, "fail")
    def fail(process: Process) -> int:
        raise KeyError("of the application")

    box = Sandbox(engine="jit", policy=policy, calls=calls)

    def move_in(module: Module) -> tuple[Process, int]:
        process = box.spawn(module)
        before = dict(everything(process))
        assert process.run().number == 0x241
        for what, content in (*before.items(), *everything(process)):
            for secret in known[-2:]:
                assert secret not in content, f"{what} holds what the guest before had"
        return process, process.engine.space.base  # type: ignore[attr-defined]

    def fill(process: Process) -> None:
        secret = secrets.token_bytes(4)
        known.append(secret)
        process.registers.ebx = int.from_bytes(secret, "little")
        assert process.run().number == 0x242
        # The test can find what it looks for.
        places = {what for what, content in everything(process) if secret in content}
        assert places >= {"registers", "control segment", "standard output"}
        assert len(places) > 4, places

    known: list[bytes] = []
    same_place = 0
    for end in WAYS.values():
        for following in (tenant, other):
            process, base = move_in(tenant)
            fill(process)
            end(process)
            del process
            gc.collect()
            process, following_base = move_in(following)
            same_place += base == following_base
            process.close()
            del process
    assert same_place > len(WAYS)


@in_child
def test_a_fork_and_a_restored_guest_have_nothing_of_later() -> None:
    """What was written behind the snapshot is seen neither by those that come from it, nor by the same process again."""
    policy, tenant, _ = programs()
    with Sandbox(engine="jit", policy=policy).spawn(tenant) as process:
        process.run()
        snapshot = process.snapshot()
        known = b"\xa5\x5a\xc3\x3c"
        process.registers.ebx = int.from_bytes(known, "little")
        process.run()
        with process.sandbox.spawn_from(snapshot) as other:
            assert not [what for what, content in everything(other) if known in content]
        process.restore(snapshot)
        found = {what for what, content in everything(process) if known in content}
        # Its own control block has what was spilled there, of which nothing reaches the guest.
        assert found <= {"control segment"}


@in_child
def test_guests_that_nobody_closed_were_never_given_back() -> None:
    """Their memory kept their engines alive: after twenty there was no room for another."""
    box, module = Sandbox(engine="jit"), Module.from_bytes(image("int3"))
    for _ in range(100):
        assert box.spawn(module).run().number == Vector.BREAKPOINT


@pytest.mark.skipif(unavailable("jit") is not None, reason=str(unavailable("jit")))
def test_lifetimes_of_many_guests_leave_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lifetimes, "SAMPLES", 10)
    assert lifetimes.main(["--guests", "600"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == lifetimes.SAMPLES + 3
    assert lines[-3].split()[0] == "600"


def test_a_leak_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Of open files: each life leaves one."""
    kept = []
    exits = lifetimes.Lives.live

    def leaky(lives: lifetimes.Lives) -> None:
        exits(lives)
        kept.append(open("/dev/null", "rb"))  # noqa: SIM115 - that is the leak

    monkeypatch.setattr(lifetimes.Lives, "live", leaky)
    monkeypatch.setattr(lifetimes, "SAMPLES", 8)
    assert lifetimes.main(["--guests", "35", "--engine", "reference"]) == 1
    assert "descriptors grew by" in capsys.readouterr().err
    for file in kept:
        file.close()
