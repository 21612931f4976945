"""Guests beside each other, beside Python's signals, and beside forks of their host: nobody notices anybody."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import child
import pytest

import vx32py
from conformance import busybox, guests
from vx32py import _compile, _engines

pytestmark = pytest.mark.compiler

SPIN_SECONDS = 60.0
#: How much an engine hashes while somebody waits.
SIZES = {"jit": 24 << 20, "translated": 600, "reference": 600}


@functools.cache
def example(name: str) -> vx32py.Module:
    """An example as a guest; the test is skipped without a compiler."""
    if not _compile.compilers():
        pytest.skip("no compiler for guests (pip install 'vx32py[guest]')")
    return vx32py.Module.from_file(guests.example(name))


def sha256(engine: str, data: bytes, **limits: Any) -> str:
    """The digest of ``data``, by a guest."""
    return vx32py.Sandbox(engine=engine, **limits).run(example("sha256"), stdin=data).check().stdout.decode().strip()


def in_thread(function: Callable[[], Any]) -> Callable[[], Any]:
    """Start a thread; the function returned waits for its result, or raises what it raised."""
    outcome: list[Any] = []

    def body() -> None:
        try:
            outcome.append((function(), None))
        except BaseException as error:  # noqa: BLE001 - raised again where the thread is waited for
            outcome.append((None, error))

    thread = threading.Thread(target=body)
    thread.start()

    def join() -> Any:
        thread.join(SPIN_SECONDS)
        assert not thread.is_alive()
        result, error = outcome[0]
        if error is not None:
            raise error
        return result

    return join


def start(function: Callable[..., None], **arguments: Any) -> subprocess.Popen[str]:
    """A function of this file in a process of its own, which says ``ready`` when it is about to spin."""
    example("spin"), example("hello")  # compiled here, so that children need not wait for each other
    command = [sys.executable, child.__file__, __file__, function.__name__, json.dumps(arguments)]
    return subprocess.Popen(command, env=child.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def output_of(process: subprocess.Popen[str]) -> str:
    """What a child printed; it must have ended well."""
    out, err = process.communicate(timeout=SPIN_SECONDS)
    assert process.returncode == 0, f"{child.describe(process.returncode)}\n{out}{err}"
    return out


def say_hello(engine: str) -> None:
    """This process is as able as it was to run guests."""
    assert vx32py.run(example("hello"), engine=engine).stdout == b"hello, world\n"


# -- threads ---------------------------------------------------------------------------------------------------------


def test_two_guests_in_two_threads_both_compute(
    engine_name: str, record_property: Callable[[str, object], None]
) -> None:
    data = [busybox.text(SIZES[engine_name] + i) for i in range(2)]
    expected = [hashlib.sha256(each).hexdigest() for each in data]
    started = time.perf_counter()
    assert [sha256(engine_name, each) for each in data] == expected
    one_by_one = time.perf_counter() - started
    started = time.perf_counter()
    waiting = [in_thread(functools.partial(sha256, engine_name, each)) for each in data]
    assert [join() for join in waiting] == expected
    together = time.perf_counter() - started
    record_property("two threads, throughput of one thread = 1", round(one_by_one / together, 2))


def test_many_short_guests_in_many_threads(engine_name: str) -> None:
    count = 20 if engine_name == "jit" else 3

    def work(number: int) -> list[bytes]:
        box = vx32py.Sandbox(engine=engine_name)
        return [box.run(example("echo"), [f"{number}.{turn}"]).stdout for turn in range(count)]

    waiting = [in_thread(functools.partial(work, number)) for number in range(4)]
    for number, join in enumerate(waiting):
        assert join() == [f"{number}.{turn}\n".encode() for turn in range(count)]


def test_a_guest_runs_in_a_thread_that_is_not_the_main_one(engine_name: str) -> None:
    data = busybox.text(SIZES[engine_name])
    assert in_thread(lambda: sha256(engine_name, data))() == hashlib.sha256(data).hexdigest()
    assert in_thread(lambda: vx32py.run(example("spin"), engine=engine_name, timeout=0.2))().timed_out
    trapped = in_thread(lambda: vx32py.run(example("fault"), ["null"], engine=engine_name))()
    assert trapped.trap is not None
    assert trapped.trap.number == vx32py.Vector.PAGE_FAULT
    say_hello(engine_name)


def test_python_goes_on_while_a_guest_computes(engine_name: str) -> None:
    with vx32py.Sandbox(engine=engine_name).spawn(example("spin")) as process:
        join = in_thread(process.run)
        turns = 0
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            turns += 1
        process.interrupt()
        assert join().number == vx32py.Vector.IRQ
    assert turns > 100


@pytest.mark.ldt
def test_a_guest_at_address_zero_and_guests_elsewhere_say_the_same() -> None:
    reason = _engines.unavailable("jit")
    if reason is not None:
        pytest.skip(f"the jit engine cannot run here: {reason}")
    work: tuple[tuple[str, list[str], bytes], ...] = (
        ("sha256", [], busybox.text(1 << 20)),
        ("qsort", ["20000"], b""),
        ("lisp", ["-d", "sort", "60"], b""),
    )
    box = vx32py.Sandbox(engine="jit")
    for program, args, stdin in work:
        outputs = [io.BytesIO() for _ in range(3)]
        processes = [box.spawn(example(program), args, stdin=stdin, stdout=output) for output in outputs]
        engines: list[Any] = [process.engine for process in processes]
        # The first one is at zero where this host has room there; all are in different places.
        assert len({engine.processor.space.base for engine in engines}) == len(engines)
        for join in [in_thread(process.run) for process in processes]:
            join()
        assert [process.exit_code for process in processes] == [0, 0, 0]
        for process in processes:
            process.close()
        assert outputs[0].getvalue()
        assert len({output.getvalue() for output in outputs}) == 1


# -- signals ---------------------------------------------------------------------------------------------------------


def _spin_until_interrupted(engine: str) -> None:
    print("ready", flush=True)
    try:
        vx32py.run(example("spin"), engine=engine, timeout=SPIN_SECONDS)
    except KeyboardInterrupt:
        say_hello(engine)
        print("interrupted")


def test_ctrl_c_ends_a_spinning_guest_and_the_process_remains_usable(engine_name: str) -> None:
    process = start(_spin_until_interrupted, engine=engine_name)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    assert output_of(process) == "interrupted\n"


def _count_ticks(engine: str) -> None:
    ticks = []
    with vx32py.Sandbox(engine=engine, timeout=SPIN_SECONDS).spawn(example("spin")) as process:

        def tick(number: int, frame: object) -> None:
            ticks.append(time.monotonic())
            if len(ticks) == 10:
                process.interrupt()

        signal.signal(signal.SIGALRM, tick)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        trap = process.run()
        signal.setitimer(signal.ITIMER_REAL, 0)
        assert trap.number == vx32py.Vector.IRQ
        # And once more, from where it was: the state is whole.
        process.interrupt()
        assert process.run().number == vx32py.Vector.IRQ
    print(len(ticks) >= 10)


def test_handlers_of_python_run_while_a_guest_spins(engine_name: str) -> None:
    assert output_of(start(_count_ticks, engine=engine_name)) == "True\n"


def _compute_under_a_timer(engine: str, size: int) -> None:
    ticks = []
    signal.signal(signal.SIGALRM, lambda number, frame: ticks.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    data = busybox.text(size)
    for _ in range(3):
        assert sha256(engine, data) == hashlib.sha256(data).hexdigest()
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(len(ticks) > 3)


def test_a_guest_computes_the_same_under_hundreds_of_signals(engine_name: str) -> None:
    assert output_of(start(_compute_under_a_timer, engine=engine_name, size=SIZES[engine_name])) == "True\n"


# -- time-outs -------------------------------------------------------------------------------------------------------


def test_a_time_out_ends_a_guest_and_the_next_one_runs(engine_name: str) -> None:
    started = time.monotonic()
    result = vx32py.Sandbox(engine=engine_name, timeout=0.3).run(example("spin"))
    assert result.timed_out
    assert time.monotonic() - started < SPIN_SECONDS / 4
    say_hello(engine_name)


def test_the_command_line_ends_a_spinning_guest_with_124(engine_name: str, tmp_path: Path) -> None:
    program = tmp_path / "spin.elf"
    program.write_bytes(example("spin").data)
    command = [sys.executable, "-m", "vx32py", "run", "--engine", engine_name, "--timeout", "0.3", str(program)]
    done = subprocess.run(
        command, env=child.environment(), capture_output=True, text=True, timeout=SPIN_SECONDS, check=False
    )
    assert done.returncode == 124, done.stderr
    assert len(done.stderr.splitlines()) == 1


# -- fork ------------------------------------------------------------------------------------------------------------


def _fork_while_a_guest_exists(engine: str) -> None:
    box = vx32py.Sandbox(engine=engine, timeout=SPIN_SECONDS)
    data = busybox.text(600)
    with box.spawn(example("spin")) as spinning:
        threading.Timer(0.3, spinning.interrupt).start()
        assert spinning.run().number == vx32py.Vector.IRQ
        spinning.memory.write_u32(spinning.registers.esp - 64, 1)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                # The child has a copy of the guest, and can run others.
                say_hello(engine)
                assert sha256(engine, data) == hashlib.sha256(data).hexdigest()
                spinning.memory.write_u32(spinning.registers.esp - 64, 2)
                threading.Timer(0.3, spinning.interrupt).start()
                assert spinning.run().number == vx32py.Vector.IRQ
                code = 0
            finally:
                os._exit(code)
        assert sha256(engine, data) == hashlib.sha256(data).hexdigest()
        _, status = os.waitpid(pid, 0)
        assert status == 0
        assert spinning.memory.read_u32(spinning.registers.esp - 64) == 1
        threading.Timer(0.3, spinning.interrupt).start()
        assert spinning.run().number == vx32py.Vector.IRQ
    print("done")


def test_a_fork_of_the_host_runs_guests_and_its_copy_of_one(engine_name: str) -> None:
    assert output_of(start(_fork_while_a_guest_exists, engine=engine_name)).splitlines() == ["done"]
