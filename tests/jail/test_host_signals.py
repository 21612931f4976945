"""Signals of the host's go to the guest: from another thread, from a signal handler, before it runs, while it waits."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest
from images import image

import vx32py

#: A generous time after which something has gone wrong.
PATIENCE = 60.0


def soon(function: Any) -> None:
    """Call it when the guest runs, in another thread."""
    timer = threading.Timer(0.1, function)
    timer.daemon = True
    timer.start()


def test_a_guest_without_signals_ends_of_one_while_it_spins(engine_name: str) -> None:
    with vx32py.Sandbox(engine=engine_name, timeout=PATIENCE).spawn(image("1: jmp 1b")) as process:
        soon(lambda: process.send_signal(15))
        process.run()
        assert (process.exit_code, process.signal) == (143, 15)


def test_a_signal_that_comes_before_the_guest_runs_ends_it_before_its_first_instruction() -> None:
    with vx32py.Sandbox(timeout=PATIENCE).spawn(image("mov dword ptr [0x804a000], 1; 1: jmp 1b")) as process:
        process.send_signal(2)
        process.run()
        assert process.exit_code == 130
        assert process.memory.read_u32(0x804A000) == 0


def test_a_guest_that_waits_for_the_host_ends_of_a_signal() -> None:
    ours, theirs = os.pipe()
    try:
        code = "mov edx, 0; mov ecx, 0x804a000; mov ebx, 1; mov eax, 3; syscall; 1: jmp 1b"
        with vx32py.Sandbox(timeout=PATIENCE).spawn(image(code), stdin=ours) as process:
            soon(lambda: process.send_signal(1))
            process.run()
            assert process.exit_code == 129
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_signal_handler_of_the_hosts_may_pass_a_signal_on() -> None:
    with vx32py.Sandbox(timeout=PATIENCE).spawn(image("1: jmp 1b")) as process:
        before = signal.signal(signal.SIGUSR1, lambda number, frame: process.send_signal(number))
        try:
            soon(lambda: os.kill(os.getpid(), signal.SIGUSR1))
            process.run()
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert process.signal == signal.SIGUSR1


@pytest.mark.parametrize("number", [0, -1, 65])
def test_a_number_that_is_no_signal_is_refused(number: int) -> None:
    with (
        vx32py.Sandbox().spawn(image("1: jmp 1b")) as process,
        pytest.raises(ValueError, match="signals are 1 to 64"),
    ):
        process.send_signal(number)


def test_errands_are_done_in_the_thread_that_runs_the_guest() -> None:
    with vx32py.Sandbox(timeout=PATIENCE).spawn(image("1: jmp 1b")) as process:
        done = []

        def errand() -> None:
            done.append(threading.get_ident())
            process.kill()

        soon(lambda: process.family.ask(errand))
        process.run()
        assert done == [threading.get_ident()]
