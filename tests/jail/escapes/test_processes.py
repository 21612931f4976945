"""Processes of the host's, and signals to them: to a guest there are none but those of its jail."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from prison import FORK, Buffer, Calls, Canary, Got, Out, World, canary

PTRACE_PEEKDATA, PTRACE_ATTACH, PTRACE_SEIZE = 2, 16, 0x4206
#: For one that has stopped itself, in seconds.
PATIENCE = 0.5
NOBODY = {"ESRCH", "ENOSYS", "EPERM"}


def siginfo(number: int) -> bytes:
    """A struct siginfo as sigqueue makes it (SI_QUEUE)."""
    return struct.pack("<iii", number, 0, -1).ljust(128, b"\0")


WAYS: dict[str, Callable[[int], Calls]] = {
    "kill": lambda pid: (("kill", pid, 10),),
    "SIGKILL": lambda pid: (("kill", pid, 9),),
    "SIGSTOP": lambda pid: (("kill", pid, 19),),
    "process group": lambda pid: (("kill", -pid, 10),),
    "tkill": lambda pid: (("tkill", pid, 10),),
    "tgkill": lambda pid: (("tgkill", pid, pid, 10),),
    "sigqueue": lambda pid: (("rt_sigqueueinfo", pid, 10, siginfo(10)),),
    "tgsigqueue": lambda pid: (("rt_tgsigqueueinfo", pid, pid, 10, siginfo(10)),),
    "pidfd": lambda pid: (("pidfd_open", pid, 0), ("pidfd_send_signal", Got(0), 10, 0, 0)),
    "/proc": lambda pid: (("open", f"/proc/{pid}", os.O_DIRECTORY), ("pidfd_send_signal", Got(0), 10, 0, 0)),
    "a child": lambda pid: (FORK, ("kill", pid, 10)),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_signal_leaves_the_jail(world: World, bird: Canary, way: str) -> None:
    with canary() as lost:
        assert world.native(*WAYS[way](lost.pid)).results[-1] == 0
        while not (heard := lost.heard()):
            pass
        assert heard
    for pid in (bird.pid, os.getpid(), os.getppid()):
        run = world.jail(*WAYS[way](pid))
        assert run.results[-1] in {*NOBODY, "EBADF"}


@pytest.mark.parametrize("number", [1, 2, 9, 10, 15, 19, 20])
def test_signals_to_everybody_reach_the_jail_alone(world: World, number: int) -> None:
    """kill(-1), kill(0), and the process group that the host would be in. Signal 0 asks whether there is somebody."""
    group = os.getpgrp()
    heard = []
    before = {n: signal.getsignal(n) for n in (1, 2, 10, 15, 20)}
    for n in before:
        signal.signal(n, lambda n, frame: heard.append(n))
    try:
        for call in (("kill", -1, number), ("kill", 0, number), ("kill", -group, number), ("kill", 1, number)):
            world.jail(call, timeout=PATIENCE)
    finally:
        for n, handler in before.items():
            signal.signal(n, handler)
    assert heard == []
    run = world.jail(("kill", os.getppid(), 0), ("kill", -group, 0), ("kill", os.getpid(), 0))
    assert set(run.results) == {"ESRCH"}


def test_threads_of_the_host_are_not_there(world: World) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    tid, pid = thread.native_id, os.getpid()
    try:
        assert world.native(("tgkill", pid, tid, 0))[0] == 0
        run = world.jail(
            ("tgkill", pid, tid, 9), ("tkill", tid, 9), ("rt_tgsigqueueinfo", pid, tid, 9, siginfo(9)),
            ("tkill", pid, 9), ("tgkill", 1, 1, 9), ("set_tid_address", 0),
        )  # fmt: skip
        assert set(run.results[:5]) <= NOBODY
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join()


def test_nobody_is_traced(world: World, bird: Canary) -> None:
    with canary() as lost:
        assert world.native(("ptrace", PTRACE_SEIZE, lost.pid, 0, 0))[0] == 0
    for pid in (bird.pid, os.getpid(), os.getppid(), 1):
        run = world.jail(
            ("ptrace", PTRACE_ATTACH, pid, 0, 0), ("ptrace", PTRACE_SEIZE, pid, 0, 0),
            ("ptrace", PTRACE_PEEKDATA, pid, 0x400000, Out(4)), ("ptrace", 0, 0, 0, 0), ("ptrace", 12, pid, 0, Out(128)),
        )  # fmt: skip
        assert set(run.results) <= NOBODY
        assert not any(map(any, run.buffers))


def test_memory_of_others_is_not_reached(world: World, bird: Canary) -> None:
    with open(f"/proc/{bird.pid}/maps", encoding="ascii") as file:
        at = int(next(file).split("-")[0], 16)
    read = ("process_vm_readv", bird.pid, [Buffer(0), 16], 1, [at, 16], 1, 0)
    assert (
        world.native(("getcwd", Out(16), 16), ("process_vm_readv", bird.pid, [Buffer(0), 4], 1, [at, 4], 1, 0))[1] == 4
    )
    for pid in (bird.pid, os.getpid(), 1):
        run = world.jail(
            ("getcwd", Out(16), 16), ("process_vm_readv", pid, *read[2:]),
            ("process_vm_writev", pid, [Buffer(0), 4], 1, [at, 4], 1, 0), ("kcmp", pid, pid, 0, 0, 0),
            ("process_madvise", pid, [at, 4096], 1, 4, 0), ("move_pages", pid, 0, 0, 0, 0, 0),
            ("get_robust_list", pid, Out(4), Out(4)),
        )  # fmt: skip
        assert set(run.results[1:]) <= {*NOBODY, "EBADF"}
    # Nor the host's by way of the guest's own number, at addresses that a guest has not.
    me = world.jail(("getpid",))[0]
    run = world.jail(("process_vm_readv", me, [0x0804_8000, 16], 1, [0xFFFF_F000, 16], 1, 0))
    assert run.results[0] in {"EFAULT", *NOBODY}


def test_descriptors_of_others_are_not_taken(world: World, bird: Canary) -> None:
    steal = ("pidfd_open", bird.pid, 0), ("pidfd_getfd", Got(0), 1, 0)
    assert isinstance(world.native(*steal)[1], int)
    for pid in (bird.pid, os.getpid()):
        run = world.jail(("pidfd_open", pid, 0), *steal[1:])
        assert run[0] in NOBODY
        assert run[1] in {"EBADF", "ENOSYS", "EPERM"}


def test_children_of_the_host_are_not_waited_for(world: World) -> None:
    """The host has one that has ended: a wait for any child would take it, and the host wait for ever."""
    child = subprocess.Popen(["true"])
    while b") Z" not in open(f"/proc/{child.pid}/stat", "rb").read():  # noqa: SIM115
        pass
    run = world.jail(
        ("wait4", -1, 0, 1, 0), ("wait4", child.pid, 0, 1, 0), ("waitid", 0, 0, Out(128), 5, 0),
        ("waitid", 1, child.pid, Out(128), 5, 0), ("wait4", 0, 0, 1 | 0x4000_0000, 0), ("waitpid", -1, 0, 1),
    )  # fmt: skip
    assert set(run.results) == {"ECHILD"}
    assert child.wait() == 0


def test_groups_sessions_and_priorities_are_the_jails_own(world: World, bird: Canary) -> None:
    """The host is in ``host_state``; here is the other process."""
    about = (
        ("getpgid", bird.pid), ("getsid", bird.pid), ("setpgid", bird.pid, 0), ("setpgid", 0, bird.pid),
        ("getpriority", 0, bird.pid), ("setpriority", 0, bird.pid, 11), ("sched_setscheduler", bird.pid, 3, [0]),
        ("sched_getaffinity", bird.pid, 4, Out(4)), ("sched_setaffinity", bird.pid, 4, [1]),
        ("ioprio_set", 1, bird.pid, 0x6000), ("prlimit64", bird.pid, 7, 0, Out(16)), ("prlimit64", bird.pid, 7, [9, 0, 9, 0], 0),
        ("sched_setparam", bird.pid, [0]), ("migrate_pages", bird.pid, 0, 0, 0), ("capget", [0x20080522, bird.pid], Out(24)),
    )  # fmt: skip
    limit = open(f"/proc/{bird.pid}/limits").read()  # noqa: SIM115
    priority = os.getpriority(os.PRIO_PROCESS, bird.pid)
    assert world.native(*about[:2]).results == [bird.pid, bird.pid]
    run = world.jail(*about)
    assert set(run.results) <= {*NOBODY, "EINVAL"}, run.results
    assert open(f"/proc/{bird.pid}/limits").read() == limit  # noqa: SIM115
    assert os.getpriority(os.PRIO_PROCESS, bird.pid) == priority
    assert os.sched_getaffinity(bird.pid) == os.sched_getaffinity(0)


def test_what_a_guest_sets_of_itself_is_not_the_hosts(world: World) -> None:
    """All that these change, natively, of the process that makes them; ``host_state`` looks at every one."""
    calls = (
        ("setpgid", 0, 0), ("setsid",), ("setpriority", 0, 0, 15), ("setpriority", 2, 0, 15), ("nice", 10),
        ("umask", 0o777), ("chdir", "/granted"), ("setrlimit", 7, [5, 5]), ("prlimit64", 0, 7, [5, 0, 5, 0], 0),
        ("setrlimit", 2, [0, 0]), ("setrlimit", 9, [4096, 4096]), ("setrlimit", 6, [0, 0]), ("setrlimit", 4, [-1, -1]),
        ("prctl", 15, "renamed"), ("prctl", 4, 0), ("prctl", 38, 1, 0, 0, 0), ("prctl", 22, 1), ("prctl", 1, 9),
        ("prctl", 36, 1), ("prctl", 24, 0), ("prctl", 23, 0), ("prctl", 47, 2, 0), ("prctl", 39), ("prctl", 26, 2),
        ("setuid32", 65534), ("setgid32", 65534), ("setresuid32", 1, 1, 1), ("setgroups32", 0, 0), ("setfsuid32", 1),
        ("setuid", 1), ("capset", [0x20080522, 0], [0] * 6), ("alarm", 1000), ("setitimer", 0, [0, 0, 1000, 0], 0),
        ("rt_sigprocmask", 0, b"\xff" * 8, 0, 8), ("rt_sigaction", 15, [1, 0, 0, 0, 0], 0, 8),
        ("sched_setaffinity", 0, 4, [1]), ("sched_setscheduler", 0, 5, [0]), ("ioprio_set", 1, 0, 0x6000),
        ("personality", 0x0040000), ("personality", 8), ("set_mempolicy", 0, 0, 0), ("seccomp", 0, 0, 0), ("sync",),
        ("membarrier", 16, 0), ("unshare", 0x2_0000), ("chroot", "/granted"), ("vhangup",),
    )  # fmt: skip
    run = world.jail(*calls)
    assert len(run.results) == len(calls) or run.ended != 0


def test_the_death_of_a_guest_is_its_own(world: World) -> None:
    for call in (
        ("exit", 3),
        ("exit_group", 3),
        ("kill", 0, 9),
        ("tkill", 100, 11),
        ("kill", -1, 15),
        ("setrlimit", 0, [0, 0]),
    ):
        run = world.jail(call)
        assert len(run.results) <= 1


def test_a_parent_that_dies_leaves_children_to_the_jail_alone(world: World) -> None:
    """Natively an orphan becomes a child of a process of the host's."""
    run = world.jail(FORK, FORK, ("getppid",), ("kill", os.getppid(), 0), ("prctl", 1, 9))
    assert run[0] != os.getpid()
    with suppress(IndexError):
        assert run[1] == "ESRCH"
