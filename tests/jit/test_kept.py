"""Code that was translated for one guest serves the next one with the same program, and no other."""

import contextlib
import faulthandler
import threading
import time
from typing import Any

import pytest
from child import in_child
from images import DATA, ENTRY, PROGRAM, image

from jit import hostarea, resting
from reference.memory import PAGE
from reference.traps import Access, Vector
from vx32py import Module, Policy, Process, Sandbox, SystemCalls
from vx32py._engines import unavailable

pytestmark = pytest.mark.skipif(unavailable("jit") is not None, reason=str(unavailable("jit")))


def test_the_second_run_translates_nothing() -> None:
    module, box = Module.from_bytes(image(PROGRAM)), Sandbox(engine="jit")
    first, second = box.run(module), box.run(module)
    assert (first.exit_code, second.exit_code) == (42, 42)
    assert first.stats.counters.fragments > 0
    assert second.stats.counters.fragments == 0


def test_other_modules_and_policies_share_nothing() -> None:
    data = image(PROGRAM)
    module = Module.from_bytes(data)
    assert Sandbox(engine="jit").run(module).exit_code == 42
    for box, program in (
        (Sandbox(engine="jit"), Module.from_bytes(data)),
        (Sandbox(engine="jit", policy=Policy.integer_only()), module),
    ):
        result = box.run(program)
        assert result.exit_code == 42
        assert result.stats.counters.fragments > 0


def test_code_that_the_host_has_changed_before_the_run_is_translated_anew() -> None:
    module, box = Module.from_bytes(image(PROGRAM)), Sandbox(engine="jit")
    assert box.run(module).exit_code == 42
    where = image(PROGRAM)[0x1000:].index(b"\xb8\x2a\0\0\0")
    for code in (43, 42, 44):
        with box.spawn(module) as process:
            process.engine.space.store(ENTRY + where + 1, bytes([code]))
            process.run()
            assert process.exit_code == code
    assert box.run(module).exit_code == 42


def test_code_that_was_changed_and_made_executable_again_is_not_taken_for_the_program() -> None:
    module, box = Module.from_bytes(image(PROGRAM)), Sandbox(engine="jit")
    where = image(PROGRAM)[0x1000:].index(b"\xb8\x2a\0\0\0")
    assert box.run(module).exit_code == 42
    with box.spawn(module) as process:
        process.step()  # the call, so that some of it is translated in any case
        process.run()
    with box.spawn(module) as process:
        snapshot = process.snapshot()
        process.run()
        process.restore(snapshot)
        process.engine.space.store(ENTRY + where + 1, b"\x2b")
        process.run()
        assert process.exit_code == 43
    assert box.run(module).exit_code == 42


def test_a_guest_that_never_ran_gives_the_code_on() -> None:
    module, box = Module.from_bytes(image(PROGRAM)), Sandbox(engine="jit")
    box.run(module)
    box.spawn(module).close()
    assert box.run(module).stats.counters.fragments == 0


def test_registers_and_memory_of_the_last_guest_are_gone() -> None:
    text = f"mov eax, [{DATA}]\nmov dword ptr [{DATA}], 7\nmovd xmm0, esp\nmov edx, eax\nmov eax, 1\nsyscall"
    module = Module.from_bytes(image(text))
    box = Sandbox(engine="jit")
    for _ in range(3):
        with box.spawn(module) as process:
            assert not any(process.registers.xmm(0))
            process.run()
            assert process.exit_code == 0


def test_a_spinning_guest_does_not_keep_the_interpreter_to_itself() -> None:
    """It has made many short stays before, so it is entered with the lock held."""
    text = "mov ebp, 200\n1: mov eax, 6\nmov edx, -1\nsyscall\ndec ebp\njnz 1b\nmov eax, 200\nsyscall\n2: jmp 2b"
    table = SystemCalls.vx()
    about_to_spin = threading.Event()
    table.define(200, "spin")(lambda process: about_to_spin.set())
    seen: list[float] = []

    def watch(process: Process) -> None:
        assert about_to_spin.wait(60)
        for _ in range(20):
            seen.append(time.monotonic())
            time.sleep(0.001)
        process.interrupt()

    with Sandbox(engine="jit", calls=table, timeout=60).spawn(image(text)) as process:
        thread = threading.Thread(target=watch, args=(process,))
        thread.start()
        process.run()
        thread.join()
    assert len(seen) == 20


@in_child
def test_a_handler_of_the_hosts_may_take_over_a_signal_between_two_calls() -> None:
    """faulthandler would kill the process at the guest's next fault, if its handlers were not displaced again first."""
    table = SystemCalls.vx()
    table.define(200, "enable")(lambda process: faulthandler.enable())
    close = "mov eax, 6\nmov edx, -1\nsyscall\n"
    result = Sandbox(engine="jit", calls=table).run(image(f"{close}{close}mov eax, 200\nsyscall\nmov eax, [0]"))
    assert result.trap is not None
    assert result.trap.number == Vector.PAGE_FAULT


def test_segments_of_other_sizes_do_not_keep_code_from_being_kept() -> None:
    """As many of them as wait at most wait already: that which has waited longest goes."""
    module, program = Module.from_bytes(image(PROGRAM)), image(PROGRAM)
    for size in range(8, 20):
        assert Sandbox(engine="jit", memory=size << 20).run(Module.from_bytes(program)).exit_code == 42
    box = Sandbox(engine="jit", memory="1M")
    assert box.run(module).stats.counters.fragments > 0
    assert box.run(module).stats.counters.fragments == 0


def test_memory_of_a_closed_guest_did_not_rest_because_its_engine_still_held_a_view() -> None:
    resting.empty()
    module, box = Module.from_bytes(image(PROGRAM)), Sandbox(engine="jit")
    for _ in range(2):
        assert box.run(module).exit_code == 42
        assert len(resting._resting.rests) == 1


@in_child
def test_closed_space_changed_the_memory_of_the_guest_that_came_after_it() -> None:
    """As a system call does that is under way in one thread while another one closes the process: at once, or in the middle."""
    module, box = Module.from_bytes(image("int3", memory=0x2000)), Sandbox(engine="jit")
    for middle in (False, True):
        for change in ("map", "protect", "unmap"):
            process = box.spawn(module)
            space: Any = process.engine.space
            account = space._account
            others: list[Process] = []

            def close_and_spawn(process: Process = process, others: list[Process] = others) -> None:
                process.close()
                others.append(box.spawn(module))
                others[0].memory.write_u32(DATA, 77)

            def interrupted(*arguments: Any, account: Any = account, close: Any = close_and_spawn) -> None:
                account(*arguments)
                close()

            if middle:
                space._account = interrupted
            else:
                close_and_spawn()
            with contextlib.suppress(ValueError):
                getattr(space, change)(DATA, PAGE, *([Access.READ] if change != "unmap" else []))
            assert others[0].memory.read_u32(DATA) == 77
            others[0].memory.write_u32(DATA, 78)
            others[0].close()
            space._account = account


@in_child
def test_code_was_kept_of_a_guest_that_was_still_running_it() -> None:
    """It was in there again after a system call, and stored where its calls return to in a table that was the next guest's."""
    text = "mov ebp, 5; 1: mov eax, 30; syscall; dec ebp; jne 1b; inc edi; 2: jmp 2b"
    module, box = Module.from_bytes(image(text)), Sandbox(engine="jit")
    process = box.spawn(module)
    control = process.engine._words  # type: ignore[attr-defined]

    def run_until_closed(process: Process) -> None:
        with pytest.raises(ValueError, match="closed"):
            process.run()

    thread = threading.Thread(target=run_until_closed, args=(process,))
    thread.start()
    while sum(process.unknown_calls.values()) < 5 or not control[hostarea.INSIDE >> 2]:
        time.sleep(0.001)
    process.engine.close()  # at once: a process that is closed sees that its guest is left first
    process.close()
    thread.join()
    del process, control, thread
    with box.spawn(module) as after:
        assert after.engine.processor.kept is None  # type: ignore[attr-defined]
