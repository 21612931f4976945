"""Process: one guest at work, under the hand of its host.

    process = box.spawn(module, ["-v"], stdin=b"data")
    trap = process.run()                 # system calls are handled; ends with exit, or with a trap that nobody handles
    process.exit_code, process.registers.eax, process.memory[0x8048000:0x8048010]

A trap that :meth:`Process.run` returns is not the end: the host may change registers and memory and run again.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from reference.errors import OutOfMemory
from reference.traps import Trap
from vx32py._descriptors import OpenFile
from vx32py._errors import LimitExceeded
from vx32py._result import Result
from vx32py._snapshot import Snapshot, connect, put_back, take
from vx32py._streams import Capture, FileObject, Input, Output, open_input, open_output
from vx32py._task import Task

#: _NSIG of Linux.
MOST_SIGNAL: Final = 64


class Process(Task):
    """A guest with its registers, memory and descriptors. Made by ``Sandbox.spawn``; a context manager.

    ``registers`` is live: a :class:`reference.registers.CPU` with ``eax`` … ``eip``, ``eflags``. ``memory`` is checked
    access to guest memory. ``exit_code`` is 0 to 255 once the guest has exited (128 + n when a signal n ended it), else
    None. ``observers`` see every system call. ``calls`` and ``unknown_calls`` count them.
    """

    def run(self) -> Trap:
        """Run until the guest exits or stops at a trap that no table of calls handles; that trap.

        After an exit the trap is that of the exit call and ``exit_code`` is set. After :meth:`interrupt` it is an IRQ
        trap. Raises Timeout and LimitExceeded, NotModelled where the engine lacks an instruction, and whatever a handler
        of the host raises. ValueError when the process has ended.
        """
        self._require_alive()
        try:
            self.trap = self.family.run(self)
        finally:
            self._settle()
        return self.trap

    def step(self) -> Trap:
        """Run one instruction; a system call is handled too. A SINGLE_STEP trap, or the one the instruction causes.

        A repeated string instruction is one instruction. Raises what :meth:`run` raises.
        """
        self._require_alive()
        try:
            self.trap = self.family.run(self, single=True)
        finally:
            self._settle()
        return self.trap

    def connect(self, *, stdin: Input = None, stdout: Output = None, stderr: Output = None) -> None:
        """Give the process new standard streams, as ``Sandbox.spawn`` does; what was captured so far is forgotten."""
        limit = self.sandbox.output_limit
        outputs = open_output(stdout, "stdout", limit), open_output(stderr, "stderr", limit)
        self.streams = open_input(stdin), *outputs
        for fd, file in enumerate(self.streams):
            self.descriptors.install_at(fd, file)
        self.look_for_foreign_streams()

    @property
    def stdout(self) -> bytes:
        """What has been captured of the guest's standard output so far."""
        return self._captured(1)

    @property
    def stderr(self) -> bytes:
        """What has been captured of the guest's standard error so far."""
        return self._captured(2)

    def _captured(self, index: int) -> bytes:
        file = self.streams[index] if self.streams else None
        return bytes(file.data) if isinstance(file, Capture) else b""

    def result(self, trap: Trap | None, limit: LimitExceeded | None = None, *, exit_code: int | None = None) -> Result:
        """How a run ended, with what was captured: with the trap that :meth:`run` has returned, or the limit that it has raised;
        or with ``exit_code`` where the guest has told it without exiting."""
        code = self.exit_code if exit_code is None else exit_code
        if code is not None:
            trap = None
        return Result(
            exit_code=code,
            stdout=self._captured(1),
            stderr=self._captured(2),
            trap=trap,
            stats=self.stats,
            location=None if trap is None else self.module.symbol_at(trap.eip),
            limit=limit.limit if limit is not None else None,
            message=str(limit) if limit is not None else "",
        )

    def interrupt(self) -> None:
        """Make a running or the next :meth:`run` return an IRQ trap soon. From any thread or signal handler."""
        self.family.interrupt()

    def kill(self) -> None:
        """End the guest and all its children, as SIGKILL does. From any thread or signal handler."""
        self.family.kill()
        self._settle()

    def send_signal(self, number: int, *, foreground: bool = False) -> None:
        """Send the guest a signal, as kill(2) would; with ``foreground`` every process of the group in the foreground, as a
        terminal does. It comes before the guest's next instruction, or before its first. A guest without signal handling,
        such as one of the VX ABI, ends of any that would end it. From any thread or signal handler. ValueError for a number that is none."""
        if not 1 <= number <= MOST_SIGNAL:
            raise ValueError(f"signals are 1 to {MOST_SIGNAL}, not {number!r}")
        self.family.ask(lambda: self._take_signal(number, foreground=foreground))

    def _take_signal(self, number: int, *, foreground: bool) -> None:
        groups = [self.group]
        if foreground:
            groups = [group for group in self.family.processes.values() if group.pgid == self.family.foreground]
        for group in groups:
            leader = group.leader
            if group.alive and leader is not None:
                leader.send_signal_of_host(number)

    def snapshot(self) -> Snapshot:
        """The state of this process, to come back to with :meth:`restore`: memory with its rights, registers, floating-point
        state, descriptors with positions and what was captured, working directory, made-up time. :class:`Snapshot` says
        what is not part of it: children, and all that is outside.

        It can be taken whenever the process does not run, also when a handler of a system call has raised: then the call is
        made again after each :meth:`restore`, as it would be made again by :meth:`run`. It keeps a descriptor of each file
        that the guest has open on the host. Raises RuntimeError while the process runs, thus from a handler itself,
        ValueError when it has ended, and OSError where the host has no descriptor left.
        """
        self._require_alive()
        if len(self.group.tasks) > 1:
            raise ValueError("a process with several threads cannot be held in a snapshot")
        return take(self, self.pending, base=True, descriptors=True)

    def restore(self, snapshot: Snapshot) -> None:
        """Make this process what it was when the snapshot was taken, also after it has exited or trapped.

        Its children end. It has the standard streams that it had then; of another process's snapshot it takes everything
        but the standard streams, and gets copies of the other files, with positions of their own. An interrupt or kill that
        came before is forgotten; time, fuel and bytes that were used up stay so. Views of its memory show what is there
        now. On the jit engine, to go back to the snapshot that was taken or restored last costs what has changed since; to
        go to another one costs mapping all of its memory.

        Raises ValueError for a snapshot of an address space of another size, and while the process runs or when it is
        closed; LimitExceeded("memory") where there is not that much for it; OSError where a file cannot be opened again.
        """
        self.rewind(snapshot)

    def rewind(self, snapshot: Snapshot, streams: tuple[OpenFile, ...] = ()) -> None:
        """What :meth:`restore` does, of a snapshot of its own with other files in the places of its standard streams."""
        if self._closed or self.family.running:
            raise ValueError("a process can be restored when it is neither closed nor running")
        module = self.module
        try:
            put_back(self, snapshot)
        except OutOfMemory as error:
            raise LimitExceeded("memory", str(error)) from error
        self._end_children()
        connect(self, snapshot, streams)
        self.look_for_foreign_streams()
        if self.parent is None:
            self.family.next_number = snapshot.next_pid  # there is nobody else
        self.pending, self.waiting = snapshot.pending, None
        self.end_of_call()
        self.group.exit_code = self.group.signal = self.trap = None
        self.attention = self.ended = False
        if self.module is not module:
            self.expect_calls()
        self.family.killed = self.family.interrupted = False

    def fork(self) -> Process:
        """Another process that is what this one is, and goes its own way from here on: a guest with memory, descriptors and
        limits of its own, of which nothing has been used up.

        Like :meth:`snapshot` with ``Sandbox.spawn_from``, but with copies of the standard streams: what was captured so far
        both have; of regular files each has a position of its own; pipes, terminals and file objects of the host they
        share. Children stay with this one. Raises what :meth:`snapshot` and ``Sandbox.spawn_from`` raise.
        """
        return self.sandbox.fork(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def look_for_foreign_streams(self) -> None:
        """Note whether system calls may run code of the application's: see :class:`vx32py._family.Family`."""
        for file in self.streams:
            if isinstance(file, FileObject):
                self.family.foreign_streams = True

    def _end_children(self) -> None:
        """End all that have been forked from here, whether anybody has waited for them or not, and all other threads."""
        if len(self.family.processes) == len(self.family.tasks) == 1:
            return
        doomed = [self.group]
        for group in doomed:
            doomed += group.children
        for group in doomed[1:]:
            group.reap()
        for task in tuple(self.group.tasks):
            if task is not self:
                task.close()

    def _settle(self) -> None:
        """What has to be done after run(): end a family whose first process is gone, or that was killed. Of a family that
        runs this is the affair of the thread that runs it."""
        family = self.family
        with family.settling:
            if family.running or self._closed:
                return
            ended = self.exit_code is not None and self.parent is None  # of the first process
            if not family.killed and not ended:
                return
            for group in tuple(family.processes.values()):
                if group.exit_code is None and (family.killed or group is not self.group):
                    group.end(128 + 9)

    def _require_alive(self) -> None:
        if self.family.running:
            raise RuntimeError("the process is running already")
        if self._closed:
            raise ValueError("the process is closed")
        if self.exit_code is not None:
            raise ValueError(f"the process has exited with code {self.exit_code}")
