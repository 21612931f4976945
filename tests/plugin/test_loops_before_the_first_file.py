"""Guests that never come to their files: each was run up to its limit twice, and in a pool that was closed nobody ended it."""

from __future__ import annotations

import threading
import time

import pytest
from images import image
from streaming import program

from vx32py import Sandbox, StreamPool, SystemCalls

LOOPS = image("1: jmp 1b")


def test_a_guest_that_never_reads_is_run_up_to_its_limit_once(engine_name: str) -> None:
    with Sandbox(engine=engine_name, fuel=50_000).stream(program(), ["loops first"]) as stream:
        instructions = []
        for _ in range(3):
            result = stream.run(b"a file")
            assert (result.limit, result.exit_code, result.stdout) == ("fuel", None, b"")
            instructions.append(result.stats.counters.instructions)
        assert instructions[0] == instructions[2]  # nothing of it runs again, for it would be the same


def test_a_guest_that_used_up_its_processor_time_before_it_read_is_not_run_again() -> None:
    with Sandbox(cpu_time=0.3).stream(LOOPS) as stream:
        before = time.process_time()
        assert [stream.run(b"").limit for _ in range(20)] == ["cpu"] * 20
        assert time.process_time() - before < 3  # it would be six seconds


def test_what_a_wall_clock_said_is_for_one_file_only(engine_name: str) -> None:
    hurries = [False]
    calls = SystemCalls.vx()

    @calls.define(100, "hurry")
    def hurry(_process: object) -> int:
        return int(hurries[0])

    code = "mov eax, 100; syscall; test eax, eax; 1: jz 1b; mov eax, 3; mov edx, 0; mov ecx, esp; mov ebx, 1; syscall; mov eax, 1; mov edx, 5; syscall"
    with Sandbox(engine=engine_name, timeout=1.0, calls=calls).stream(image(code)) as stream:
        assert stream.run(b"").limit == "time"
        hurries[0] = True
        assert stream.run(b"").exit_code == 5


def test_closing_a_pool_stops_guests_that_loop_before_they_read(engine_name: str) -> None:
    asked = threading.Event()
    calls = SystemCalls.vx()
    loops = [False]

    @calls.define(100, "loop")
    def loop(_process: object) -> int:
        asked.set()
        return int(loops[0])

    code = "mov eax, 100; syscall; test eax, eax; 1: jnz 1b; mov eax, 3; mov edx, 0; mov ecx, esp; mov ebx, 1; syscall; mov eax, 100; syscall; test eax, eax; 2: jnz 2b"
    pool = StreamPool(Sandbox(engine=engine_name, calls=calls), image(code), guests=2)
    loops[0] = True
    futures = [pool.submit(b"x") for _ in range(4)]
    assert asked.wait(60)
    while not all(future.running() for future in futures[:2]):
        time.sleep(0.01)
    time.sleep(0.2)
    closing = threading.Thread(target=pool.close, kwargs={"wait": False}, daemon=True)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
    for future in futures[:2]:
        with pytest.raises(ValueError, match="closed"):
            future.result(timeout=0)
    assert all(future.cancelled() for future in futures[2:])
