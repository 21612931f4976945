"""Processes and threads that begin and end: fork, vfork, clone, execve, exit (kernel/fork.c, kernel/exit.c, fs/exec.c)."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, Final

from reference.errors import MemoryFault
from vx32py import _forking
from vx32py._errors import CallError
from vx32py._wait import WouldBlock
from vx32py.personality import common
from vx32py.personality.linux import delivery, filemaps, futex, paths
from vx32py.personality.linux.pending import of_process, of_thread
from vx32py.personality.linux.siginfo import SIGCHLD
from vx32py.personality.linux.table import TABLE, ThreadState, call
from vx32py.personality.linux.threads import set_thread_area

if TYPE_CHECKING:
    from vx32py._process import Process
    from vx32py._task import Task

CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND = 0x100, 0x200, 0x400, 0x800
CLONE_PIDFD, CLONE_VFORK, CLONE_PARENT, CLONE_THREAD = 0x1000, 0x4000, 0x8000, 0x10000
CLONE_SYSVSEM, CLONE_SETTLS, CLONE_PARENT_SETTID = 0x40000, 0x80000, 0x100000
CLONE_CHILD_CLEARTID, CLONE_DETACHED, CLONE_CHILD_SETTID = 0x200000, 0x400000, 0x1000000
#: What nothing comes of here: nobody traces, and there are no priorities of input and output.
CLONE_PTRACE, CLONE_UNTRACED, CLONE_IO = 0x2000, 0x80_0000, 0x8000_0000
#: The low byte: the signal that the parent gets when the child ends.
_EXIT_SIGNAL: Final = 0xFF
CLONE_NEWNS: Final = 0x20000
#: CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
_NAME_SPACES: Final = CLONE_NEWNS | 0x7E00_0000
_OF_THREADS: Final = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND
_KNOWN: Final = (
    _EXIT_SIGNAL | _OF_THREADS | CLONE_VFORK | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID
    | CLONE_CHILD_CLEARTID | CLONE_DETACHED | CLONE_CHILD_SETTID | CLONE_PTRACE | CLONE_UNTRACED | CLONE_IO
)  # fmt: skip


@call(1, "exit")
def exit_(process: Process, code: int) -> int:
    """End the thread, and with the last one the process."""
    return process.exit_thread(code)


@call(252, "exit_group")
def exit_group(process: Process, code: int) -> int:
    """End the process."""
    return process.exit(code)


@call(2, "fork")
def fork(process: Process) -> int:
    """A copy of the process, which runs when this one waits."""
    return _forking.fork(process).pid


@call(190, "vfork")
def vfork(process: Process) -> int:
    """A child in this process's memory, which waits until the child ends or executes another program."""
    return clone(process, CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0)


@call(120, "clone")
def clone(process: Process, flags: int, stack: int, parent_tid: int, tls: int, child_tid: int) -> int:
    """A thread (CLONE_THREAD) or a process, in memory of its own or (CLONE_VM) in this one's, with descriptors (CLONE_FILES),
    working directory and umask (CLONE_FS) of its own or this one's."""
    if process.kept is not None:  # the call of vfork, made again
        return _wait_for_exec(process, process.kept)
    if flags & CLONE_FS and flags & CLONE_NEWNS:
        raise CallError(errno.EINVAL)  # whoever asks
    if flags & _NAME_SPACES:
        raise CallError(errno.EPERM)  # they are the host's decision
    if flags & ~_KNOWN or (flags & CLONE_THREAD and flags & _OF_THREADS != _OF_THREADS):
        raise CallError(errno.EINVAL)
    if flags & CLONE_SIGHAND and not flags & CLONE_VM:
        raise CallError(errno.EINVAL)
    if flags & CLONE_PARENT_SETTID:
        process.memory.check(parent_tid, 4, writable=True)
    if flags & CLONE_THREAD:
        child = _forking.new_thread(process)
    else:
        make = _forking.fork_sharing if flags & CLONE_VM else _forking.fork
        descriptors = process.descriptors if flags & CLONE_FILES else None
        child = make(process, descriptors=descriptors, files=process.files if flags & CLONE_FS else None)
        if flags & CLONE_SIGHAND:
            of_process(child.group).actions = of_process(process.group).actions
    try:
        if stack:
            child.registers.esp = stack
        if flags & CLONE_SETTLS:
            set_thread_area(child, tls)
        if flags & CLONE_CHILD_SETTID:
            child.memory.write_u32(child_tid, child.tid)
        if not flags & CLONE_THREAD:
            of_process(child.group).exit_signal = flags & _EXIT_SIGNAL
        state = child.state(ThreadState)
        if flags & CLONE_VM and not flags & CLONE_VFORK:
            of_thread(child).stack.disarm()
        state.clear_child_tid = child_tid if flags & CLONE_CHILD_CLEARTID else 0
    except BaseException:
        # The caller is told that there is none.
        if flags & CLONE_THREAD:
            child.close()
        else:
            child.group.reap()
        raise
    if flags & CLONE_PARENT_SETTID:
        process.memory.write_u32(parent_tid, child.tid)
    if flags & CLONE_VFORK:
        process.kept = child
        return _wait_for_exec(process, child)
    return child.tid


@call(435, "clone3")
def clone3(process: Process, arguments: int, size: int) -> int:
    """Not there; C libraries do with clone."""
    raise CallError(errno.ENOSYS)


@call(310, "unshare")
def unshare(process: Process, flags: int) -> None:
    """Share descriptors (CLONE_FILES), or working directory and umask (CLONE_FS), with nobody any more."""
    if flags & ~(_NAME_SPACES | CLONE_THREAD | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VM | CLONE_SYSVSEM):
        raise CallError(errno.EINVAL)
    if flags & _NAME_SPACES:
        raise CallError(errno.EPERM)  # they are the host's decision
    if flags & (CLONE_THREAD | CLONE_SIGHAND | CLONE_VM) and sum(1 for task in process.group.tasks if task.alive) > 1:
        raise CallError(errno.EINVAL)
    if flags & CLONE_VM and len(process.mm.users) > 1:
        raise CallError(errno.EINVAL)
    if flags & CLONE_FILES:
        process.have_own_descriptors()
    if flags & CLONE_FS:
        process.files = process.files.clone()
        process.files.attach(process.family)


def _wait_for_exec(process: Process, child: Task) -> int:
    """What is left of vfork when there is a child: wait until it is done with this process's memory."""

    def is_done() -> bool:
        return not child.alive or child.mm is not process.mm

    if not is_done():
        raise WouldBlock(is_done, interruptible=False)
    return child.pid


@call(11, "execve")
def execve(process: Process, path: int, argv: int, envp: int) -> int:
    """Run another program, from a granted file."""
    return common.execute(process, path, argv, envp)


@call(358, "execveat")
def execveat(process: Process, directory_fd: int, path: int, argv: int, envp: int, flags: int) -> int:
    """The same, relative to a directory, or of an open file."""
    if flags & ~(paths.AT_SYMLINK_NOFOLLOW | paths.AT_EMPTY_PATH):
        raise CallError(errno.EINVAL)
    name = common.path_argument(process, path)
    arguments = common.string_array(process, argv) if argv else []
    environment = common.string_array(process, envp) if envp else []
    follow = not flags & paths.AT_SYMLINK_NOFOLLOW
    found = paths.locate(process, directory_fd, name, follow=follow, empty=bool(flags & paths.AT_EMPTY_PATH))
    if found.node.kind == stat.S_IFLNK:
        raise CallError(errno.ELOOP)
    return common.execute_path(process, found.path(), arguments, environment)


@call(258, "set_tid_address")
def set_tid_address(process: Process, address: int) -> int:
    """Where to store zero when the thread ends; its number."""
    process.state(ThreadState).clear_child_tid = address
    return process.tid


@call(311, "set_robust_list")
def set_robust_list(process: Process, head: int, size: int) -> None:
    """Where the list of locks is that the thread holds."""
    if size != futex.ROBUST_HEAD.size:
        raise CallError(errno.EINVAL)
    process.state(ThreadState).robust_list = head


@call(312, "get_robust_list")
def get_robust_list(process: Process, tid: int, head_out: int, size_out: int) -> None:
    """The same of a thread of this process; 0 for this one."""
    found = process if tid == 0 else process.family.tasks.get(tid)
    if found is None:
        raise CallError(errno.ESRCH)
    if found.group is not process.group:
        raise CallError(errno.EPERM)
    process.memory.write_u32(size_out, futex.ROBUST_HEAD.size)
    process.memory.write_u32(head_out, found.state(ThreadState).robust_list)


def thread_ends(task: Task) -> None:
    """Give up its locks, and tell who waits for the thread (kernel/fork.c, mm_release)."""
    delivery.thread_ends(task)
    if len(task.mm.users) == 1:
        filemaps.write_back(task, 0, task.engine.space.limit)
    state = task.state(ThreadState)
    if state.robust_list:
        futex.give_up_locks(task, state.robust_list)
    if state.clear_child_tid and len(task.mm.users) > 1:
        try:
            task.memory.write_u32(state.clear_child_tid, 0)
        except MemoryFault:
            return
        futex.wake(task, futex.key_of(task, state.clear_child_tid, private=False), 1)
        futex.wake(task, futex.key_of(task, state.clear_child_tid, private=True), 1)
    state.clear_child_tid = state.robust_list = 0


TABLE.hooks.thread_ends = thread_ends
