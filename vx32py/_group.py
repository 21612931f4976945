"""ThreadGroup: a process, that is, the threads that share descriptors, files, signal actions and a number.

A :class:`vx32py._task.Task` is one of them; a group outlives them until its parent has been told how it ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vx32py._family import Family
    from vx32py._task import Task

SIGKILL: Final = 9


class ThreadGroup:
    """A process. ``pid`` is its number, that of its first thread, too; ``tasks`` are its living threads. ``exit_code`` is 0
    to 255 once it has ended (128 + n when signal n ended it, which is ``signal`` then)."""

    def __init__(self, family: Family, parent: ThreadGroup | None, pid: int) -> None:
        self.family = family
        self.parent = parent
        self.pid = pid
        self.tasks: list[Task] = []
        self.exit_code: int | None = None
        self.signal: int | None = None
        #: Process group and session (credentials(7)).
        self.pgid: int = parent.pgid if parent is not None else pid
        self.sid: int = parent.sid if parent is not None else pid
        #: Whether a signal has stopped it: its threads do not run.
        self.stopped = False
        #: What personalities keep for the process.
        self.states: dict[Any, Any] = {}
        #: The code with which its first thread has ended by itself.
        self.leader_code = 0

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None

    @property
    def leader(self) -> Task | None:
        """The thread with the number of the process, if it is still there; else another one."""
        for task in self.tasks:
            if task.tid == self.pid:
                return task
        return self.tasks[0] if self.tasks else None

    @property
    def children(self) -> list[ThreadGroup]:
        """Those that nobody has waited for."""
        return [group for group in self.family.processes.values() if group.parent is self]

    @property
    def wait_status(self) -> int:
        """What waitpid tells of a process that has ended: the signal, or the exit code in the second byte."""
        assert self.exit_code is not None
        return self.signal if self.signal is not None else self.exit_code << 8

    def end(self, code: int, signal: int | None = None) -> None:
        """All of its threads have ended, with this exit code, or of a signal. The first process can still be looked at."""
        if self.exit_code is not None:
            return
        leader = self.leader
        for task in tuple(self.tasks):
            if not task.ended:
                task.before_end()
        self.exit_code, self.signal = code, signal
        for task in tuple(self.tasks):
            task.give_up_descriptors()
        if self.parent is not None:
            self.close()
            if not self.parent.alive:
                self.reap()
        if leader is not None:
            leader.tell_of_end()  # and somebody else may be given its children, those that have ended too
        if self.parent is not None:
            for child in self.children:
                if not child.alive:
                    child.reap()

    def terminate(self, number: int) -> None:
        """Let signal ``number`` end it."""
        self.end(128 + number, number)

    def close(self) -> None:
        """Give back the memory of all threads."""
        for task in tuple(self.tasks):
            task.close()

    def reap(self) -> None:
        """The parent has been told; forget it. If it has not ended it does so now."""
        if self.exit_code is None:
            self.exit_code, self.signal = 128 + SIGKILL, SIGKILL
        self.family.processes.pop(self.pid, None)
        self.close()

    def __repr__(self) -> str:
        state = f"exited {self.exit_code}" if self.exit_code is not None else f"{len(self.tasks)} threads"
        return f"<ThreadGroup {self.pid} {state}>"
