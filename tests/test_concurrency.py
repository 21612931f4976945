"""Guests beside each other, beside Python's signals, and beside forks of their host: nobody notices anybody."""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import functools
import gc
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import child
import needs
import pytest
from bare import Bare
from child import in_child
from images import DATA, PROGRAM, image
from threads import in_thread

import vx32py
from conformance import busybox, guests
from conformance.soak import lines, resources, run, shots
from jit import compiled, gateway, ldt, lending, library, lowmem, resting, segments, signals
from reference.segmentation import Descriptor
from reference.stop import StopKind
from vx32py import Module, _calls, _compile, _watchdog
from vx32py._wait import WouldBlock
from vx32py.personality import vx

pytestmark = pytest.mark.compiler

SPIN_SECONDS = 60.0
#: Where a bare processor has a page of data.
BARE_DATA = 0x0020_0000
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
    needs.engine("jit")
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
    say_hello(engine)
    try:
        print("ready", flush=True)
        vx32py.run(example("spin"), engine=engine, timeout=SPIN_SECONDS)
    except KeyboardInterrupt:
        say_hello(engine)
        print("interrupted")


def test_ctrl_c_ends_a_spinning_guest_and_the_process_remains_usable(engine_name: str) -> None:
    process = start(_spin_until_interrupted, engine=engine_name)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.5)  # in the midst of it; at any other time it must work as well
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


# -- Ctrl-C ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("story", ["run", "limit", "mutate", "fork", "go back", "forget"])
@in_child
def test_an_exception_at_any_line_comes_out_and_leaves_the_next_guest_as_good_as_any(story: str) -> None:
    """A sample of the lines; ``python -m conformance.soak lines`` takes all of them."""
    found = list(lines.sweep("jit", story, step=608, first=132))
    assert len(found) > 1
    assert [line for line in found if line.problem] == []


@in_child
def test_ctrl_c_was_lost_while_segments_were_wiped() -> None:
    """A finalizer wiped them, and exceptions do not come out of finalizers."""
    box, module = vx32py.Sandbox(engine="jit"), Module.from_bytes(image(PROGRAM))
    box.run(module)
    wipe = segments.Unit.wipe
    times = []

    def interrupted(unit: Any) -> None:
        times.append(unit)
        if len(times) == 1:
            raise KeyboardInterrupt
        wipe(unit)

    def run_some() -> None:
        for _ in range(3):
            box.run(module)

    with mock.patch.object(segments.Unit, "wipe", interrupted):
        with pytest.raises(KeyboardInterrupt):
            run_some()
        run_some()
    assert len(times) > 2, "what was interrupted is begun again"


@in_child
def test_a_data_segment_was_taken_for_another_one_after_an_exception_behind_modify_ldt() -> None:
    """The table said one thing and the note of what it says another: the next guest's memory was elsewhere."""
    write = ldt.write_entry

    def interrupted(index: int, descriptor: Descriptor | None) -> None:
        write(index, descriptor)
        raise KeyboardInterrupt

    for zero in (True, False):
        Bare(prefer_zero=zero).close()  # leaves segments that wait
        gc.collect()
        with mock.patch.object(ldt, "write_entry", interrupted), contextlib.suppress(KeyboardInterrupt):
            Bare(prefer_zero=not zero)
        gc.collect()
        bare = Bare(prefer_zero=zero)
        bare.space.write_u32(BARE_DATA, 5)
        assert bare.run(f"mov eax, [{BARE_DATA}]").kind == StopKind.LEFT
        assert bare.cpu.eax == 5
        bare.close()
        del bare
        segments.pool.empty()


@in_child
def test_a_process_ran_for_ever_after_an_exception_at_the_end_of_run() -> None:
    """An exception of a signal handler's on the way out left a note that somebody was in there."""
    process = vx32py.Sandbox(engine="jit").spawn(image("1: int3\n jmp 1b"))
    set_current = process.family.set_current

    def interrupted(task: Any) -> None:
        if task is None:
            raise KeyboardInterrupt
        set_current(task)

    with mock.patch.object(process.family, "set_current", interrupted), pytest.raises(KeyboardInterrupt):
        process.run()
    assert process.run().number == vx32py.Vector.BREAKPOINT
    process.restore(process.snapshot())


def test_a_call_that_was_to_wait_was_lost_after_an_exception(engine_name: str) -> None:
    """An exception of a signal handler's came before there was a note of the call: the guest went on as if it had been made."""
    needs.engine(engine_name)
    table, made = vx32py.SystemCalls.vx(), []

    def wait(process: Any) -> int:
        made.append(process.progress)
        process.progress += 1
        if len(made) in {8, 10}:
            raise WouldBlock(lambda: True)
        return 7

    def interrupted(*arguments: Any) -> None:
        if len(made) == 8:
            raise KeyboardInterrupt

    wait.__module__ = vx.__name__  # one of our own: the jit engine goes on behind them without a look around
    table.define(1000, "wait")(wait)
    program = image(
        "mov ebp, 10\n 1: mov eax, 1000\n syscall\n cmp eax, 7\n jne 9f\n dec ebp\n jnz 1b\n"
        "9: mov edx, eax\n mov eax, 1\n syscall"
    )
    with (
        vx32py.Sandbox(engine=engine_name, calls=table).spawn(program) as process,
        mock.patch.object(vx32py.SystemCalls, "uncount", interrupted),
    ):
        with pytest.raises(KeyboardInterrupt):
            process.run()
        process.run()
        assert (process.exit_code, len(made)) == (7, 12)


@in_child
def test_hundreds_of_interrupts_at_random_moments() -> None:
    (interrupts,) = collections.deque(shots.at_programs("interrupts", "jit", 80, 1), maxlen=1)
    assert (interrupts.shots, interrupts.complaints) == (80, []), interrupts.complaints
    (handlers,) = collections.deque(shots.at_programs("handlers", "jit", 15, 1), maxlen=1)
    assert (handlers.shots, handlers.complaints) == (15, []), handlers.complaints
    (command_line,) = collections.deque(shots.at_command_line("jit", 2, 1), maxlen=1)
    assert (command_line.shots, command_line.complaints) == (2, []), command_line.complaints


# -- what threads share ----------------------------------------------------------------------------------------------


def test_calls_were_unknown_while_another_thread_filled_the_table() -> None:
    """A table takes over the calls of its personality when the first one is made, which may take a while."""
    table = vx32py.SystemCalls.vx()
    original = table._original
    entered, go_on = threading.Event(), threading.Event()

    def slowly() -> vx32py.SystemCalls:
        entered.set()
        assert go_on.wait(SPIN_SECONDS)
        assert original is not None
        return original()

    table._original = slowly
    box = vx32py.Sandbox(engine="reference", calls=table)
    module = Module.from_bytes(image(PROGRAM))
    first = in_thread(lambda: box.run(module))
    assert entered.wait(SPIN_SECONDS)
    second = in_thread(lambda: box.run(module))
    time.sleep(0.05)
    go_on.set()
    assert [first().exit_code, second().exit_code] == [42, 42]


def test_a_table_was_empty_after_an_exception_while_it_was_filled() -> None:
    table = vx32py.SystemCalls.vx()
    original = table._original
    times = []

    def interrupted() -> vx32py.SystemCalls:
        times.append(1)
        if len(times) == 1:
            raise KeyboardInterrupt
        assert original is not None
        return original()

    table._original = interrupted
    box = vx32py.Sandbox(engine="reference", calls=table)
    with pytest.raises(KeyboardInterrupt):
        box.run(image(PROGRAM))
    assert box.run(image(PROGRAM)).exit_code == 42


def test_one_table_one_module_and_one_snapshot_serve_many_threads(engine_name: str) -> None:
    table = vx32py.SystemCalls.vx()

    def twice(process: vx32py.Process, number: int) -> int:
        return 2 * number

    table.define(100, "twice")(twice)
    module = Module.from_bytes(image(f"mov eax, 100\n mov edx, [{DATA}]\n syscall\n mov [{DATA}], eax\n int3"))
    box = vx32py.Sandbox(engine=engine_name, calls=table)
    with box.spawn(module) as process:
        process.memory.write_u32(DATA, 21)
        snapshot = process.snapshot()

    def work() -> int:
        total = 0
        for number in range(5):
            table.define(200 + number, "more")(twice)
            with box.spawn_from(snapshot) as process:
                process.run()
                total += process.memory.read_u32(DATA)
        return total

    assert [join() for join in [in_thread(work) for _ in range(4)]] == [5 * 42] * 4


def test_closing_a_process_that_another_thread_runs_ends_that_with_a_value_error(engine_name: str) -> None:
    """At whatever it is: while code is translated it was an IndexError."""
    module = Module.from_bytes(image("1: " + "nop\n" * 500 + "jmp 1b"))
    for pause in (0.0, 0.0005, 0.001, 0.003, 0.01, 0.05):
        process = vx32py.Sandbox(engine=engine_name).spawn(module)
        join = in_thread(process.run)
        time.sleep(pause)
        process.close()
        with pytest.raises(ValueError, match="closed"):
            join()


def test_memory_of_a_closed_process_says_that_it_is_closed(engine_name: str) -> None:
    """Reads raised IndexError, or gave what had been there."""
    process = vx32py.Sandbox(engine=engine_name).spawn(image(PROGRAM))
    process.close()
    accesses: tuple[Callable[[], object], ...] = (
        lambda: process.memory[DATA], lambda: process.memory[DATA : DATA + 4], lambda: process.memory.read_u32(DATA),
        lambda: process.memory.write_u32(DATA, 1), lambda: process.memory.write(DATA, b"x"),
        lambda: process.memory.view(DATA, 4), lambda: process.memory.check(DATA, 4),
        lambda: process.memory.read_string(DATA),
    )  # fmt: skip
    for access in accesses:
        with pytest.raises(ValueError, match="closed"):
            access()


def test_a_process_outlives_the_thread_that_ran_it(engine_name: str) -> None:
    with vx32py.Sandbox(engine=engine_name).spawn(image("1: inc eax\n int3\n jmp 1b")) as process:
        for turn in range(4):
            assert in_thread(process.run)().number == vx32py.Vector.BREAKPOINT
            assert process.registers.eax == turn + 1
        process.run()
        assert process.registers.eax == 5


def test_a_running_process_cannot_be_run_stepped_restored_or_held_by_another_thread(engine_name: str) -> None:
    with vx32py.Sandbox(engine=engine_name).spawn(image("mov dword ptr [esp - 4], 1\n1: jmp 1b")) as process:
        snapshot = process.snapshot()
        join = in_thread(process.run)
        while not process.family.running:
            time.sleep(0.001)
        for method in (process.run, process.step, process.snapshot):
            with pytest.raises(RuntimeError, match="running already"):
                method()
        with pytest.raises(ValueError, match="nor running"):
            process.restore(snapshot)
        process.interrupt()
        assert join().number == vx32py.Vector.IRQ


@in_child
def test_processes_that_nobody_closes_are_collected() -> None:
    """Their memory kept their engines alive, which kept the memory: a few dozen of them, and there was no room for more."""
    box, module = vx32py.Sandbox(engine="jit"), Module.from_bytes(image("int3"))
    for _ in range(100):
        box.spawn(module).run()


@in_child
def test_counts_of_native_answers_are_exact_while_somebody_reads_them() -> None:
    times = 300_000
    text = f"mov ebp, {times}\n1: mov eax, 29\n syscall\n dec ebp\n jnz 1b\n mov eax, 1\n mov edx, 0\n syscall"
    with vx32py.Sandbox(engine="jit").spawn(image(text)) as process:
        join = in_thread(process.run)
        before = 0
        while process.exit_code is None:
            now = process.calls["getpid"]
            assert before <= now <= times
            before = now
        join()
        assert process.calls["getpid"] == times


# -- processes of the host -------------------------------------------------------------------------------------------


def _hash_in_pool(data: bytes) -> str:
    return sha256("jit", data)


@pytest.mark.ldt
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_processes_run_guests(method: str) -> None:
    example("sha256")
    data = [busybox.text(1000 + i) for i in range(4)]
    assert sha256("jit", data[0])  # this process has run guests before
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(_hash_in_pool, data)) == [hashlib.sha256(each).hexdigest() for each in data]


def test_pools_of_threads_and_event_loops_run_guests(engine_name: str) -> None:
    data = [busybox.text(300 + i) for i in range(4)]
    expected = [hashlib.sha256(each).hexdigest() for each in data]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(functools.partial(sha256, engine_name), data)) == expected

    async def gathered() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(sha256, engine_name, each) for each in data))

    assert asyncio.run(gathered()) == expected


@in_child
def test_forks_and_programs_while_other_threads_are_in_guests() -> None:
    module, box = Module.from_bytes(image("1: inc dword ptr [esp - 8]\n jmp 1b")), vx32py.Sandbox(engine="jit")
    program = Module.from_bytes(image(PROGRAM))
    box.run(program)  # a fork in the middle of an import leaves a child that cannot do that import
    spinning = [box.spawn(module) for _ in range(2)]
    joins = [in_thread(process.run, daemon=True) for process in spinning]
    for _ in range(10):
        child_id = os.fork()
        if child_id == 0:
            code = 1
            with contextlib.suppress(BaseException):
                for process in spinning:  # the child has copies, which nobody runs
                    process.interrupt()
                    process.close()
                code = 0 if all(box.run(program).exit_code == 42 for _ in range(3)) else 1
            os._exit(code)
        assert box.run(program).exit_code == 42
        assert os.waitstatus_to_exitcode(os.waitpid(child_id, 0)[1]) == 0
        assert subprocess.run(["/bin/echo", "1"], capture_output=True, check=True).stdout == b"1\n"
    for process in spinning:
        process.interrupt()
    assert [join().number for join in joins] == [vx32py.Vector.IRQ] * 2


@in_child
def test_a_child_waited_for_locks_that_threads_of_its_parent_had() -> None:
    box, program = vx32py.Sandbox(engine="jit", timeout=SPIN_SECONDS), Module.from_bytes(image(PROGRAM))
    idle = box.spawn(program)
    box.run(program)
    locks: list[Any] = [
        segments.pool._lock, resting._resting.lock, lowmem._process.lock, ldt.allocator._lock, gateway._process.lock,
        signals._process.lock, library._process.lock, lending._process.lock, lending._process.busy,
        compiled._loader._lock, _calls._process.changing, _watchdog.WATCHDOG._condition,
        idle.family._lock, idle.family.settling,
    ]  # fmt: skip
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            held.set()
            done.wait(SPIN_SECONDS)

    join = in_thread(hold)
    assert held.wait(SPIN_SECONDS)
    child_id = os.fork()
    if child_id == 0:
        signal.alarm(20)
        idle.interrupt()
        idle.close()
        fresh = Module.from_bytes(image(PROGRAM))
        os._exit(0 if all(box.run(each).exit_code == 42 for each in (program, fresh)) else 1)
    done.set()
    join()
    assert child.describe(os.waitstatus_to_exitcode(os.waitpid(child_id, 0)[1])) == "exit code 0"


@pytest.mark.parametrize("how", ["end", "exit", "exception"])
def test_an_interpreter_ends_while_daemon_threads_are_in_guests(engine_name: str, how: str) -> None:
    last = {"end": "pass", "exit": "sys.exit(0)", "exception": "raise SystemExit(0)"}[how]
    script = (
        "import sys, threading, time, vx32py\n"
        f"data = bytes.fromhex({image('1: jmp 1b').hex()!r})\n"
        f"for _ in range(2): threading.Thread(target=vx32py.run, args=(data,), kwargs={{'engine': {engine_name!r}}},"
        " daemon=True).start()\n"
        f"time.sleep(0.3)\nforgotten = vx32py.Sandbox(engine={engine_name!r}).spawn(data)\n{last}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=child.environment(), capture_output=True, text=True, timeout=SPIN_SECONDS,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), child.describe(done.returncode)


def test_the_jit_engine_refuses_to_run_without_the_interpreter_lock() -> None:
    with mock.patch.object(sys, "_is_gil_enabled", return_value=False, create=True):
        assert "interpreter lock" in str(gateway.supported())


# -- the soak --------------------------------------------------------------------------------------------------------


@pytest.mark.ldt
def test_a_short_soak() -> None:
    report = run.soak(seconds=3, threads=2, engine="jit", seed=1)
    assert report.complaints == []
    assert sum(report.done.values()) > 20
    left = {trend.name: trend.after - trend.before for trend in report.trends}
    assert (left["descriptors"], left["ldt"]) == (0, 0), left


def test_the_soak_failed_where_the_cache_that_it_copies_was_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process was about to write had another name a moment later."""
    (tmp_path / "cache").mkdir(mode=0o700)
    for name in "abc":
        (tmp_path / "cache" / name).write_text(name)
    monkeypatch.setenv("VX32PY_CACHE", str(tmp_path / "cache"))
    copy_file = shutil.copy2

    def late(source: str, to: str) -> None:
        if source.endswith("b"):
            os.unlink(source)
        copy_file(source, to)

    monkeypatch.setattr(shutil, "copy2", late)
    with run._cache() as environment:
        copied = Path(environment["VX32PY_CACHE"])
        assert copied != tmp_path / "cache"
        assert sorted(each.name for each in copied.iterdir()) == ["a", "c"]


def test_the_soak_tells_of_what_goes_wrong() -> None:
    """A story that fails is told with its seed, a process that dies with its signal."""
    failing = "import conformance.soak.crew as crew, conformance.soak.stories as s; s.choose = lambda rng: "
    bad = (("(lambda actor: 1 / 0)", "ZeroDivisionError"), ("(lambda actor: __import__('os').abort())", "SIGABRT"))
    for story, said in bad:
        with mock.patch.object(run, "CREW", ("-c", f"{failing}{story}; import sys; sys.exit(crew.main(sys.argv[1]))")):
            report = run.soak(seconds=1, threads=1, engine="reference", seed=1)
        assert not report.ok
        assert said in report.complaints[0]


def test_what_grows_does_not_pass_for_flat() -> None:
    steady = dict.fromkeys(resources.NAMES, 100)
    growing = [steady | {"descriptors": 100 + 4 * i} for i in range(80)]
    flat = {trend.name: trend.is_flat for trend in resources.trends(growing, steady, steady)}
    assert flat == dict.fromkeys(resources.NAMES, True) | {"descriptors": False}
    left = {trend.name: trend.is_flat for trend in resources.trends([steady] * 8, steady, steady | {"ldt": 140})}
    assert left == dict.fromkeys(resources.NAMES, True) | {"ldt": False}
