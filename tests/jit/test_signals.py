"""Signals: a guest can always be stopped, the host's own handlers work as before, and crashes of the host stay crashes."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

import pytest
from bare import CODE, DATA, Bare, Routine
from child import describe, dies_of, environment, in_child

from jit import gateway, hostarea, signals, system
from reference import layout
from reference.stop import StopKind

#: Spins, and counts in EAX and in memory.
_SPIN = f"mov ecx, {DATA}; again: inc eax; inc dword ptr [ecx]; jmp again"


class Surprise(Exception):
    """What the handlers of these tests raise."""


def _raise(number: int, frame: FrameType | None) -> None:
    raise Surprise(signal.Signals(number).name)


# -- interrupt() ---------------------------------------------------------------------------------------------------


@in_child
def test_interrupt_before_entering_stops_the_next_guest_once() -> None:
    bare = Bare()
    bare.load("nop")
    bare.processor.interrupt()
    bare.processor.interrupt()
    stop = bare.processor.enter(CODE)
    assert (stop.kind, stop.offset) == (StopKind.INTERRUPTED, CODE)
    assert bare.processor.enter(CODE).kind == StopKind.LEFT
    bare.processor.interrupt()
    assert bare.processor.enter(CODE, True).kind == StopKind.INTERRUPTED
    assert bare.processor.enter(CODE, True).kind == StopKind.STEPPED


@in_child
def test_interrupt_while_running() -> None:
    bare = Bare()
    bare.load(_SPIN)
    for _ in range(20):
        threading.Timer(0.01, bare.processor.interrupt).start()
        stop = bare.processor.enter(CODE)
        assert stop.kind == StopKind.INTERRUPTED
        while stop.offset != CODE + 5:
            stop = bare.processor.enter(stop.offset, True)
        assert bare.cpu.ecx == DATA
        assert bare.cpu.eax == bare.space.read_u32(DATA), "exact state at the interruption"


@pytest.mark.parametrize("single", [False, True])
@in_child
def test_no_interrupt_is_ever_lost(single: bool) -> None:
    """Thousands of requests at random moments of entering, running, faulting and leaving: each one stops the guest."""
    bare = Bare()
    bare.load("mov ecx, 20; again: dec ecx; jnz again" if single else _SPIN)
    bare.load("ud2", 0x3000)
    rounds = 4000
    asked = threading.Semaphore(0)
    seen = threading.Semaphore(0)

    def asker() -> None:
        random.seed(1)
        for _ in range(rounds):
            asked.acquire()
            for _ in range(random.randrange(60)):
                pass
            bare.processor.interrupt()
            assert seen.acquire(timeout=60), "lost"

    thread = threading.Thread(target=asker)
    thread.start()
    sys.setswitchinterval(1e-5)
    for i in range(rounds):
        asked.release()
        for _ in range(i % 50):
            pass
        stop = bare.processor.enter(0x3000 if i % 3 == 0 else CODE, single)
        while stop.kind != StopKind.INTERRUPTED:
            stop = bare.processor.enter(CODE, single)
        seen.release()
    thread.join()


@in_child
def test_kicks_at_random_moments_change_nothing_in_a_guest() -> None:
    bare = Bare()
    bare.load("mov ecx, 3000; again: add eax, ecx; rol eax, 3; pushad; popad; addss xmm0, xmm1; dec ecx; jnz again")
    bare.processor.enter(CODE)
    expected = bare.cpu.eax
    me, kick, end = threading.get_native_id(), signals.kick_signal(), threading.Event()
    assert kick is not None

    def kicker() -> None:
        while not end.is_set():
            system.call("SYS_TGKILL", os.getpid(), me, kick)

    threads = [threading.Thread(target=kicker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(120):
        bare.cpu.eax = 0
        assert bare.processor.enter(CODE).kind == StopKind.LEFT
        assert bare.cpu.eax == expected
    end.set()
    for thread in threads:
        thread.join()


@in_child
def test_interrupting_a_closed_or_idle_processor_is_harmless() -> None:
    bare = Bare()
    bare.processor.interrupt()
    bare.close()
    bare.processor.interrupt()
    with pytest.raises(ValueError, match="closed"):
        bare.processor.enter(CODE)
    assert Bare().run("nop").kind == StopKind.LEFT


# -- Python's handlers ---------------------------------------------------------------------------------------------


#: Says so as soon as another thread is in the guest.
_READY_INSIDE = (
    "threading.Thread(target=lambda: (bare.until_inside(), print('ready', flush=True)), daemon=True).start()"
)


def _ends_with_keyboard_interrupt(script: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", script], env=environment(), stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    output = child.communicate(timeout=60)[0]
    assert (output, describe(child.returncode)) == ("caught\n", "exit code 0")


@pytest.mark.ldt
def test_control_c_interrupts_a_spinning_guest() -> None:
    _ends_with_keyboard_interrupt(
        "from bare import *; import threading\n"
        "bare = Bare(); bare.load('again: jmp again')\n"
        f"{_READY_INSIDE}\n"
        "try: bare.processor.enter(CODE)\n"
        "except KeyboardInterrupt: print('caught'); assert bare.processor.last_stop().offset == CODE\n"
        "assert bare.run('nop').kind.value == 'left'"
    )


@pytest.mark.ldt
def test_control_c_reaches_the_main_thread_while_another_runs_a_guest() -> None:
    _ends_with_keyboard_interrupt(
        "from bare import *; import threading, time\n"
        "bare = Bare(); bare.load('again: jmp again')\n"
        "thread = threading.Thread(target=lambda: bare.processor.enter(CODE)); thread.start()\n"
        "bare.until_inside()\n"
        "try: print('ready', flush=True); time.sleep(600)\n"
        "except KeyboardInterrupt: print('caught')\n"
        "bare.processor.interrupt(); thread.join()"
    )


@pytest.mark.ldt
def test_control_c_taken_by_another_thread_fetches_the_main_thread_out_of_its_guest() -> None:
    _ends_with_keyboard_interrupt(
        "from bare import *; import threading, time, signal\n"
        "bare = Bare(); bare.load('again: jmp again')\n"
        f"{_READY_INSIDE}\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "try: bare.processor.enter(CODE)\n"
        "except KeyboardInterrupt: print('caught')\n"
    )


@pytest.mark.ldt
def test_control_c_taken_by_a_thread_in_its_guest_was_not_noticed_while_the_main_thread_waited() -> None:
    """It was fetched out of a guest, but not out of a lock. Whom the system gives a signal to depends on who is busy."""
    _ends_with_keyboard_interrupt(
        "from bare import *; import threading, signal\n"
        "bare = Bare(); bare.load('again: jmp again')\n"
        "thread = threading.Thread(target=lambda: bare.processor.enter(CODE)); thread.start()\n"
        "bare.until_inside()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "lock = threading.Lock(); lock.acquire()\n"
        "threading.Timer(0.2, print, ('ready',), {'flush': True}).start()\n"
        "try: lock.acquire()\n"
        "except KeyboardInterrupt: print('caught')\n"
        "bare.processor.interrupt(); thread.join()"
    )


@in_child
def test_handlers_run_on_time_and_an_exception_of_theirs_comes_out() -> None:
    bare = Bare()
    bare.load(_SPIN)
    ticks: list[int] = []
    signal.signal(signal.SIGALRM, lambda *_: ticks.append(bare.space.read_u32(DATA)))
    signal.signal(signal.SIGUSR1, _raise)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)

    def end_it() -> None:
        while len(set(ticks)) <= 20:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=end_it).start()
    with pytest.raises(Surprise, match="SIGUSR1"):
        bare.processor.enter(CODE)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert ticks == sorted(ticks), "and the guest went on after each"
    stop = bare.processor.last_stop()
    assert stop.kind == StopKind.INTERRUPTED
    assert CODE <= stop.offset < CODE + 16


@in_child
def test_a_handler_may_interrupt_the_guest() -> None:
    bare = Bare()
    bare.load(_SPIN)
    signal.signal(signal.SIGALRM, lambda *_: bare.processor.interrupt())
    for _ in range(50):
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 2e-3))
        assert bare.processor.enter(CODE).kind == StopKind.INTERRUPTED


@in_child
def test_a_signal_just_before_entering_is_not_missed() -> None:
    bare = Bare()
    bare.load(_SPIN)
    bare.cpu.eip = 0x1234
    signal.signal(signal.SIGALRM, _raise)

    def enter_soon_to_be_interrupted(delay: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, delay)
        bare.processor.enter(CODE)  # cannot end by itself

    for i in range(400):
        with pytest.raises(Surprise):
            enter_soon_to_be_interrupted(1e-6 * (1 + i % 40))
        stop = bare.processor.last_stop()
        if stop.kind == StopKind.LEFT:  # it was not even entered
            words = bare.processor.control.cast("I")
            assert (words[layout.control_word(layout.REASON)], bare.cpu.eip) == (layout.Reason.LOOKUP, 0x1234)
        else:
            assert (stop.kind, stop.offset >> 4) == (StopKind.INTERRUPTED, CODE >> 4)


@in_child
def test_a_handler_installed_after_the_run_began_is_noticed() -> None:
    """No check of ours sees it in time: the C handler runs unhooked, and the timer fetches the guest."""
    bare = Bare()
    bare.load(_SPIN)
    bare.processor.prepare()
    signal.signal(signal.SIGUSR2, _raise)
    pid = os.getpid()
    threading.Timer(0.05, lambda: os.kill(pid, signal.SIGUSR2)).start()
    with pytest.raises(Surprise):
        bare.processor.enter(CODE)


@in_child
def test_a_handler_finds_alignment_checks_off() -> None:
    bare = Bare()
    bare.load("pushfd; or dword ptr [esp], 0x40000; popfd; again: jmp again")
    reached = []

    def unaligned(*_: object) -> None:
        reached.append(int.from_bytes(bytes(bytearray(100))[1:9], "little"))

    def signal_and_interrupt(before: int) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        while len(reached) == before:
            time.sleep(0.001)
        bare.processor.interrupt()

    signal.signal(signal.SIGUSR1, unaligned)
    for i in range(3):
        threading.Timer(0.02, signal_and_interrupt, (i,)).start()
        assert bare.processor.enter(CODE).kind == StopKind.INTERRUPTED
        assert bare.cpu.eflags & 0x40000
    assert len(reached) == 3


@in_child
def test_a_native_handler_that_we_have_not_seen_yet_may_access_unaligned_memory() -> None:
    bare = Bare()
    bare.load("again: jmp again")
    bare.cpu.eflags |= 0x40000
    restorer = gateway.load().address_of("restorer")
    handler = Routine("add qword ptr [rip + counter], 1\n ret\n .p2align 6\n .byte 0\n counter: .quad 0")
    counter = ctypes.c_uint64.from_address(handler.address + handler.symbols["counter"])
    main = threading.main_thread().ident or 0

    def both_at_once() -> None:
        signal.pthread_kill(main, signal.SIGUSR1)
        bare.processor.interrupt()

    for i in range(50):
        bare.processor.prepare()
        signals._set(signal.SIGUSR1, handler.address, 0x0C00_0004, restorer, 0)
        threading.Timer(0.002, both_at_once).start()
        assert bare.processor.enter(CODE).kind == StopKind.INTERRUPTED
        assert bare.cpu.eflags & 0x40000
        assert counter.value == i + 1


@in_child
def test_without_timers_handlers_are_noticed_at_the_next_run() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_SIGPENDING)
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, hard))
    bare = Bare()
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (hard, hard))
    bare.load(_SPIN)
    signal.signal(signal.SIGUSR1, _raise)
    bare.processor.prepare()
    pid = os.getpid()
    threading.Timer(0.05, lambda: os.kill(pid, signal.SIGUSR1)).start()
    with pytest.raises(Surprise):
        bare.processor.enter(CODE)
    threading.Timer(0.05, bare.processor.interrupt).start()
    assert bare.processor.enter(CODE).kind == StopKind.INTERRUPTED


@in_child
def test_requests_arrive_when_the_signal_queue_is_full() -> None:
    bare = Bare()
    bare.load(_SPIN)
    _, hard = resource.getrlimit(resource.RLIMIT_SIGPENDING)
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, hard))
    for _ in range(20):
        threading.Timer(0.005, bare.processor.interrupt).start()
        bare.processor.prepare()
        assert bare.processor.enter(CODE).kind == StopKind.INTERRUPTED


@in_child
def test_a_timer_wrote_into_memory_that_python_had_freed_at_the_end_of_the_process() -> None:
    """Python drops what threads have before the process ends, without finalizers; the timer's last signal came after that."""
    bare = Bare()
    bare.load("nop")
    bare.processor.enter(CODE)
    time.sleep(0.05)
    bare.processor.prepare()  # sets the timer
    bare.processor.enter(CODE)
    bare.processor.forget_thread()
    thread = signals.this_thread()
    assert thread._finalizer is not None
    thread._finalizer.detach()
    del signals._process.threads.thread, thread
    pattern = bytes(range(1, 1 + hostarea.THREAD_RECORD_BYTES))
    others = [ctypes.create_string_buffer(pattern, len(pattern)) for _ in range(1000)]
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert [other.raw for other in others if other.raw != pattern] == []


# -- other code's handlers -----------------------------------------------------------------------------------------


@in_child
def test_our_handlers_are_put_back_after_others_have_taken_their_place() -> None:
    bare = Bare()
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP):
        signal.signal(number, _raise)
    bare.processor.prepare()
    assert bare.run("mov eax, [1]").vector == 14
    assert bare.run("ud2").vector == 6
    assert bare.run("int3").vector == 3
    assert bare.run("nop", single=True).kind == StopKind.STEPPED
    bare.cpu.eflags = 0x40202
    assert bare.run(f"mov eax, [{DATA + 1}]").vector == 17
    for _ in range(3):
        faulthandler.enable()
        bare.processor.prepare()
        assert bare.run("ud2").vector == 6
        faulthandler.disable()
        bare.processor.prepare()
        assert bare.run("ud2").vector == 6
    with pytest.raises(Surprise, match="SIGFPE"):
        signal.raise_signal(signal.SIGFPE)


@in_child
def test_a_blocked_mask_and_a_replaced_alternate_stack_are_put_right() -> None:
    bare = Bare()
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    bare.processor.prepare()
    assert bare.run("ud2").vector == 6
    threading.Timer(0.05, bare.processor.interrupt).start()
    assert bare.run(_SPIN).kind == StopKind.INTERRUPTED
    system.call("SYS_SIGALTSTACK", (0).to_bytes(8, "little") + (2).to_bytes(8, "little") + bytes(8), None)
    bare.processor.prepare()
    assert bare.run("ud2").vector == 6
    faulthandler.enable()  # brings a stack of its own
    bare.processor.prepare()
    assert bare.run("ud2").vector == 6
    assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, []), "what is not ours stays blocked"


@in_child
def test_signals_that_somebody_sends_are_no_exceptions() -> None:
    bare = Bare()
    caught: list[str] = []
    signal.signal(signal.SIGSEGV, lambda *_: caught.append("SEGV"))
    signal.signal(signal.SIGTRAP, lambda *_: caught.append("TRAP"))
    bare.processor.prepare()
    bare.load(_SPIN)

    def send() -> None:
        for count, number in enumerate((signal.SIGSEGV, signal.SIGTRAP)):
            os.kill(os.getpid(), number)
            while len(caught) == count:
                time.sleep(0.001)
        bare.processor.interrupt()

    threading.Timer(0.05, send).start()
    assert bare.processor.enter(CODE).kind == StopKind.INTERRUPTED
    assert caught == ["SEGV", "TRAP"]


@in_child
def test_ignored_and_default_signals_are_left_alone() -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    bare = Bare()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    bare.processor.prepare()
    bare.load(_SPIN)
    pid = os.getpid()
    threading.Timer(0.05, lambda: os.kill(pid, signal.SIGUSR1)).start()
    threading.Timer(0.05, lambda: os.kill(pid, signal.SIGUSR2)).start()
    threading.Timer(0.10, bare.processor.interrupt).start()
    assert bare.processor.enter(CODE).kind == StopKind.INTERRUPTED
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN


# -- crashes of the host -------------------------------------------------------------------------------------------


@dies_of(signal.SIGSEGV)
def test_a_null_pointer_in_the_host_kills_it() -> None:
    Bare().run("mov eax, [1]")
    ctypes.string_at(0)


@dies_of(signal.SIGSEGV)
def test_a_null_pointer_in_the_host_kills_it_when_faulthandler_came_first() -> None:
    faulthandler.enable()
    Bare().run("mov eax, [1]")
    ctypes.string_at(0)


@dies_of(signal.SIGSEGV)
def test_a_null_pointer_in_the_host_kills_it_when_faulthandler_came_later() -> None:
    bare = Bare()
    for _ in range(5):
        faulthandler.enable()
        bare.processor.prepare()
        faulthandler.disable()
        bare.processor.prepare()
        faulthandler.enable()
        bare.processor.prepare()
    ctypes.string_at(0)


@dies_of(signal.SIGSEGV)
def test_a_null_pointer_in_the_host_kills_it_when_faulthandler_has_come_and_gone() -> None:
    bare = Bare()
    faulthandler.enable()
    bare.processor.prepare()
    faulthandler.disable()
    ctypes.string_at(0)


@dies_of(signal.SIGTRAP)
def test_a_breakpoint_in_the_host_kills_it() -> None:
    Bare().run("int3")
    Routine("int3; ret")()


@dies_of(signal.SIGFPE)
def test_a_division_by_zero_in_the_host_kills_it() -> None:
    Bare()
    Routine("xor ecx, ecx; div ecx; ret")()


@dies_of(signal.SIGSEGV)
def test_sigsegv_from_outside_kills() -> None:
    bare = Bare()
    pid = os.getpid()
    threading.Timer(0.1, lambda: os.kill(pid, signal.SIGSEGV)).start()
    bare.run(_SPIN)


@dies_of(signal.SIGTERM)
def test_sigterm_kills_a_spinning_guest() -> None:
    bare = Bare()
    pid = os.getpid()
    threading.Timer(0.1, lambda: os.kill(pid, signal.SIGTERM)).start()
    bare.run(_SPIN)


@dies_of(signal.SIGSEGV)
def test_an_ignored_exception_kills_as_the_kernel_would_have_it() -> None:
    bare = Bare()
    signal.signal(signal.SIGSEGV, signal.SIG_IGN)
    bare.processor.prepare()
    os.kill(os.getpid(), signal.SIGSEGV)
    ctypes.string_at(0)


@pytest.mark.ldt
@pytest.mark.parametrize("order", ["first", "later"])
def test_faulthandler_still_reports_crashes_of_the_host(order: str) -> None:
    script = (
        "import faulthandler, ctypes\nfrom bare import *\n"
        + ("faulthandler.enable()\nbare = Bare()\n" if order == "first" else "bare = Bare()\nfaulthandler.enable()\n")
        + "bare.processor.prepare()\nassert bare.run('ud2').vector == 6\ndef culprit(): ctypes.string_at(0)\nculprit()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert describe(done.returncode) == "SIGSEGV"
    assert done.stderr.count("Segmentation fault") == 1
    assert "in culprit" in done.stderr


@in_child
def test_host_area_is_what_the_assembly_takes_it_for() -> None:
    names = hostarea.constants()
    assert names["KIND_FAULT"] == 1
    assert names["FP_IMAGE"] == 0x400
    assert all(isinstance(value, int) for value in names.values())
