"""Process: one guest at work, under the hand of its host.

    process = box.spawn(module, ["-v"], stdin=b"data")
    trap = process.run()                 # system calls are handled; ends with exit, or with a trap that nobody handles
    process.exit_code, process.registers.eax, process.memory[0x8048000:0x8048010]

A trap that :meth:`Process.run` returns is not the end: the host may change registers and memory and run again.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

from reference.errors import OutOfMemory
from reference.traps import Trap
from vx32py._errors import LimitExceeded
from vx32py._snapshot import Snapshot, put_back, take
from vx32py._streams import Capture, FileObject, Input, Output, open_input, open_output
from vx32py._task import Task


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
        self.trap = self.family.run(self)
        self._settle()
        return self.trap

    def step(self) -> Trap:
        """Run one instruction; a system call is handled too. A SINGLE_STEP trap, or the one the instruction causes.

        A repeated string instruction is one instruction. Raises what :meth:`run` raises.
        """
        self._require_alive()
        self.trap = self.family.step(self)
        self._settle()
        return self.trap

    def connect(self, *, stdin: Input = None, stdout: Output = None, stderr: Output = None) -> None:
        """Give the process new standard streams, as ``Sandbox.spawn`` does; what was captured so far is forgotten."""
        limit = self.sandbox.output_limit
        self._outputs = open_output(stdout, "stdout", limit), open_output(stderr, "stderr", limit)
        for fd, file in enumerate((open_input(stdin), *self._outputs)):
            self.descriptors.install_at(fd, file)
            self.family.foreign_streams |= isinstance(file, FileObject)

    @property
    def stdout(self) -> bytes:
        """What has been captured of the guest's standard output so far."""
        return self._captured(0)

    @property
    def stderr(self) -> bytes:
        """What has been captured of the guest's standard error so far."""
        return self._captured(1)

    def _captured(self, index: int) -> bytes:
        file = self._outputs[index] if self._outputs else None
        return bytes(file.data) if isinstance(file, Capture) else b""

    def interrupt(self) -> None:
        """Make a running or the next :meth:`run` return an IRQ trap soon. From any thread or signal handler."""
        self.family.interrupt()

    def kill(self) -> None:
        """End the guest and all its children, as SIGKILL does. From any thread or signal handler."""
        if self.family.current is None:
            self.family.killed = True
            self._settle()
        else:
            self.family.kill()

    def snapshot(self) -> Snapshot:
        """The state of this process, to come back to with :meth:`restore`. Descriptors and files are not part of it.

        It can be taken whenever the process does not run, also when a handler of a system call has raised: then the call is
        made again after each :meth:`restore`, as it would be made again by :meth:`run`. Raises RuntimeError while the
        process runs, thus from a handler itself, and ValueError when it has ended.
        """
        self._require_alive()
        return take(self, self._pending, base=True)

    def restore(self, snapshot: Snapshot) -> None:
        """Make this process what it was when the snapshot was taken, also after it has exited or trapped.

        An exit has closed its descriptors; :meth:`connect` gives a restored process new standard streams. Views of its
        memory show what is there now. On the jit engine, to go back to the snapshot that was taken or restored last
        costs what has changed since; to go to another one costs mapping all of its memory.

        Raises ValueError for a snapshot of an address space of another size, and while the process runs or when it is
        closed; LimitExceeded("memory") where there is not that much for it.
        """
        if self._closed or self.family.current is not None:
            raise ValueError("a process can be restored when it is neither closed nor running")
        try:
            put_back(self, snapshot)
        except OutOfMemory as error:
            raise LimitExceeded("memory", str(error)) from error
        self._pending, self._waited_until, self._yielded = snapshot.pending, None, False
        self.exit_code = self.signal = self.trap = None
        self.expect_calls()
        self.family.killed = self.family.interrupted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _settle(self) -> None:
        """What has to be done when run() returns: end a family whose first process is gone, or that was killed."""
        if self.family.killed:
            for process in self.family.processes.values():
                if process.exit_code is None:
                    process.end(128 + 9)
        elif self.exit_code is not None and self.parent is None:
            for process in self.family.processes.values():
                if process is not self and process.exit_code is None:
                    process.end(128 + 9)
                    process.close()

    def _require_alive(self) -> None:
        if self.family.current is not None:
            raise RuntimeError("the process is running already")
        if self._closed:
            raise ValueError("the process is closed")
        if self.exit_code is not None:
            raise ValueError(f"the process has exited with code {self.exit_code}")
