"""interrupt() and kill() at random moments, from other threads, in every state of a guest: none is lost, none counts twice.

Each program stops by itself again and again with INT 0x41, so that an interrupt may come before, in, and behind a run.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from images import DATA, image
from threads import in_thread

from vx32py import LimitExceeded, Process, Sandbox, SystemCalls, Vector

#: So long may anything take before it counts as lost, in seconds.
SAFETY = 60.0
OWN_TRAP = 0x241

COMPUTE = "again: mov ecx, {turns}; 1: dec ecx; jnz 1b; int 0x41; jmp again"
CALLS = (
    f"again: mov ebp, {{turns}}; 1: mov eax, 4; mov edx, 1; mov ecx, {DATA}; mov ebx, 16; syscall; dec ebp; jnz 1b;"
    " int 0x41; jmp again"
)
HANDLER = "again: mov eax, 200; syscall; int 0x41; jmp again"
WAIT = f"""
again: mov dword ptr [{DATA}], 0; mov dword ptr [{DATA + 4}], 2000
    mov eax, 18; mov edx, 0; mov ecx, 0; mov ebx, 0; mov edi, 0; mov esi, {DATA}; syscall
    int 0x41; jmp again
"""
#: Two processes that pass a byte to and fro.
FAMILY = f"""
    mov eax, 27; mov edx, {DATA}; syscall
    mov eax, 27; mov edx, {DATA + 8}; syscall
    mov eax, 24; syscall; test eax, eax; jz child
again: mov ebp, {{turns}}
1:  mov eax, 4; mov edx, [{DATA + 4}]; mov ecx, {DATA + 64}; mov ebx, 1; syscall
    mov eax, 3; mov edx, [{DATA + 8}]; mov ecx, {DATA + 64}; mov ebx, 1; syscall
    dec ebp; jnz 1b
    int 0x41; jmp again
child:
    mov eax, 3; mov edx, [{DATA}]; mov ecx, {DATA + 64}; mov ebx, 1; syscall
    mov eax, 4; mov edx, [{DATA + 12}]; mov ecx, {DATA + 64}; mov ebx, 1; syscall
    jmp child
"""
PROGRAMS = {"compute": COMPUTE, "calls": CALLS, "handler": HANDLER, "wait": WAIT, "family": FAMILY}
#: How long a program goes on between two of its traps: some milliseconds on each engine.
TURNS = {
    "compute": {"jit": 5_000_000, "translated": 500, "reference": 1000},
    "calls": {"jit": 5000, "translated": 20, "reference": 50},
    "family": {"jit": 50, "translated": 5, "reference": 10},
}
#: How long to wait before somebody disturbs a guest, at most: a random part of one of these, in seconds.
MOMENTS = (0.0, 0.0001, 0.0005, 0.002, 0.005)


def program(name: str, engine: str) -> bytes:
    """One of the programs, with its number of turns."""
    return image(PROGRAMS[name].replace("{turns}", str(TURNS.get(name, {}).get(engine, 0))))


@contextmanager
def spawned(name: str, engine: str) -> Iterator[Process]:
    table = SystemCalls.vx()

    @table.define(200, "nap")
    def nap(process: Process) -> None:
        time.sleep(0.001)

    null = os.open(os.devnull, os.O_WRONLY)
    try:
        with Sandbox(engine=engine, calls=table).spawn(program(name, engine), stdout=null) as process:
            yield process
    finally:
        os.close(null)


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_interrupt_counts_once(engine_name: str, name: str) -> None:
    dice, rounds = random.Random(name), 40 if engine_name == "jit" else 10
    seen, stop = threading.Semaphore(0), threading.Event()
    with spawned(name, engine_name) as process:

        def work() -> list[int]:
            numbers = []
            while not stop.is_set():
                numbers.append(process.run().number)
                if numbers[-1] == Vector.IRQ:
                    seen.release()
            return numbers

        join = in_thread(work, daemon=True)
        for _ in range(rounds):
            time.sleep(dice.choice(MOMENTS) * dice.random())
            process.interrupt()
            assert seen.acquire(timeout=SAFETY), "an interrupt was lost"
        stop.set()
        numbers = join()
        assert numbers.count(Vector.IRQ) == rounds
        assert set(numbers) <= {Vector.IRQ, OWN_TRAP}
        assert process.run().number == OWN_TRAP


@pytest.mark.parametrize("name", PROGRAMS)
def test_interrupts_from_many_threads_are_never_lost(engine_name: str, name: str) -> None:
    """Several may be one; but whoever asks finds that run() returns after that."""
    count = 3 if engine_name == "jit" else 2
    returned, done = [0], threading.Event()
    with spawned(name, engine_name) as process:

        def work() -> None:
            while not done.is_set():
                if process.run().number == Vector.IRQ:
                    returned[0] += 1

        def bother() -> None:
            dice = random.Random(name)
            for _ in range(10):
                before = returned[0]
                process.interrupt()
                deadline = time.monotonic() + SAFETY
                while returned[0] == before:
                    assert time.monotonic() < deadline, "an interrupt was lost"
                    time.sleep(0.0005 * dice.random())

        join = in_thread(work, daemon=True)
        for other in [in_thread(bother, daemon=True) for _ in range(count)]:
            other()
        done.set()
        process.interrupt()
        join()


@pytest.mark.parametrize("name", PROGRAMS)
def test_kill_at_any_moment_is_the_end(engine_name: str, name: str) -> None:
    dice = random.Random(name)
    for _ in range(20 if engine_name == "jit" else 5):
        with spawned(name, engine_name) as process:

            def work(process: Process = process) -> None:
                while process.exit_code is None:
                    process.run()

            join = in_thread(work, daemon=True)
            time.sleep(dice.choice(MOMENTS) * dice.random())
            process.kill()
            with contextlib.suppress(ValueError):  # it was killed between the look at the exit code and run()
                join()
            assert process.exit_code == 128 + 9
            assert not any(each.alive for each in process.family.processes.values())
            process.interrupt()
            process.kill()
            with pytest.raises(ValueError, match="exited with code 137"):
                process.run()
        process.kill()
        process.interrupt()


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_process_that_is_closed_while_it_runs_stops(engine_name: str, name: str) -> None:
    dice = random.Random(name)
    for _ in range(15 if engine_name == "jit" else 5):
        with spawned(name, engine_name) as process:

            def work(process: Process = process) -> None:
                while True:
                    process.run()

            join = in_thread(work, daemon=True)
            time.sleep(dice.choice(MOMENTS) * dice.random())
            process.close()
            with pytest.raises(ValueError, match="closed"):
                join()
            process.interrupt()
            process.kill()


def test_kill_or_exit_but_never_neither(engine_name: str) -> None:
    """The guest ends by itself at about the time when it is killed."""
    code = "mov ecx, {turns}; 1: dec ecx; jnz 1b; mov eax, 1; mov edx, 7; syscall".format(
        turns=4 * TURNS["compute"][engine_name]
    )
    dice = random.Random(1)
    for _ in range(40 if engine_name == "jit" else 20):
        with Sandbox(engine=engine_name).spawn(image(code)) as process:
            join = in_thread(process.run, daemon=True)
            time.sleep(0.006 * dice.random())
            process.kill()
            with contextlib.suppress(ValueError):  # before it ran at all
                join()
            assert process.exit_code in (7, 128 + 9)


def test_an_interrupt_in_a_handler_stops_the_guest_behind_the_call(engine_name: str) -> None:
    table = SystemCalls.vx()

    @table.define(200, "stop")
    def stop(process: Process) -> int:
        process.interrupt()
        return 5

    code = "mov eax, 200; syscall; mov edx, eax; mov eax, 1; syscall"
    with Sandbox(engine=engine_name, calls=table).spawn(image(code)) as process:
        assert process.run().number == Vector.IRQ
        assert process.registers.eax == 5
        process.run()
        assert (process.exit_code, process.calls["stop"]) == (5, 1)


def test_a_kill_in_a_handler_ends_the_guest(engine_name: str) -> None:
    table = SystemCalls.vx()
    table.define(200, "stop")(lambda process: process.kill())
    with Sandbox(engine=engine_name, calls=table).spawn(image("mov eax, 200; syscall; 1: jmp 1b")) as process:
        process.run()
        assert process.exit_code == 128 + 9


def test_only_one_thread_runs_a_process(engine_name: str) -> None:
    with spawned("compute", engine_name) as process:
        ready = threading.Barrier(3)

        def work() -> int:
            ready.wait()
            with contextlib.suppress(RuntimeError):
                return process.run().number
            return -1

        for _ in range(8):
            joins = [in_thread(work, daemon=True) for _ in range(2)]
            ready.wait()
            found = {join() for join in joins}
            assert found <= {-1, OWN_TRAP}
            assert OWN_TRAP in found


# -- what went wrong -------------------------------------------------------------------------------------------------


def test_interrupt_between_two_processes_of_a_family_was_lost(engine_name: str) -> None:
    """It was told to the engine of the one that had just given way; the other one ran, and nobody looked."""
    table = SystemCalls.vx()

    @table.define(200, "interrupt_and_give_way")
    def interrupt_and_give_way(process: Process) -> None:
        if not asked:
            asked.append(True)
            process.interrupt()
        process.give_way()

    asked: list[bool] = []
    code = "mov eax, 24; syscall; test eax, eax; jz 1f; mov eax, 200; syscall; int 0x41; 1: jmp 1b"
    with Sandbox(engine=engine_name, calls=table, timeout=60).spawn(image(code)) as process:
        assert process.run().number == Vector.IRQ
        assert process.alive


def test_close_of_a_guest_that_another_thread_interprets_left_it_running() -> None:
    for engine in ("reference", "translated"):
        process = Sandbox(engine=engine).spawn(image("1: jmp 1b"))
        join = in_thread(process.run, daemon=True)
        while not process.family.running:
            time.sleep(0.001)
        process.close()
        with pytest.raises(ValueError, match="closed while it ran"):
            join()


def test_kill_left_a_process_alive_whose_run_raised(engine_name: str) -> None:
    """Its limit of output was passed when it had been killed: nobody ended it until it was run again."""
    table = SystemCalls.vx()

    @table.define(200, "kill_and_fail")
    def kill_and_fail(process: Process) -> None:
        process.kill()
        raise LimitExceeded("output", "too much")

    with Sandbox(engine=engine_name, calls=table).spawn(image("mov eax, 200; syscall; int3")) as process:
        with pytest.raises(LimitExceeded):
            process.run()
        assert process.exit_code == 128 + 9
