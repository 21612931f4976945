"""What is kept about signals: of a process its actions and what is pending for all of its threads, of a thread its mask, its
stack and what is pending for it alone (struct sighand_struct, signal_struct and task_struct)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Final, Self

from reference.records import dataclass, field
from vx32py.personality.linux.frames import Action, LastFault, SignalStack
from vx32py.personality.linux.siginfo import SI_USER, SIGCHLD, SIGRTMIN, SYNCHRONOUS, UNBLOCKABLE, bit, code, pack

if TYPE_CHECKING:
    from vx32py._group import ThreadGroup
    from vx32py._task import Task
    from vx32py.personality.linux.timers import Timers

SIG_DFL, SIG_IGN = 0, 1
DEFAULT: Final = Action()
#: How many signals may wait for a process with all that is to be said about them (RLIMIT_SIGPENDING).
MOST_QUEUED: Final = 4096


class Queue:
    """Signals that are pending: ``bits`` says which, and ``entries`` what is known of them, in the order they came."""

    def __init__(self) -> None:
        self.bits = 0
        #: How many have come so far.
        self.arrivals = 0
        self.entries: list[tuple[int, bytes, object]] = []

    def add(self, number: int, info: bytes, source: object = None) -> bool:
        """Take a signal in. One that is no real-time signal is pending once at most. ``source``: the timer it is from.
        False if it has been lost: there are too many."""
        if number < SIGRTMIN and self.bits & bit(number):
            return True
        if len(self.entries) >= MOST_QUEUED and number >= SIGRTMIN and code(info) != SI_USER:
            return False
        self.bits |= bit(number)
        self.arrivals += 1
        if len(self.entries) < MOST_QUEUED or number < SIGRTMIN:
            self.entries.append((number, info, source))
        return True

    def take(self, mask: int) -> tuple[int, bytes, object] | None:
        """The next signal of those in ``mask``: one of an instruction, else the lowest, the oldest if there are several."""
        found = self.bits & mask
        if not found:
            return None
        found = found & SYNCHRONOUS or found
        number = (found & -found).bit_length()
        mine = [entry for entry in self.entries if entry[0] == number]
        if len(mine) <= 1:
            self.bits &= ~bit(number)
        if not mine:
            return number, pack(number, SI_USER), None
        self.entries.remove(mine[0])
        return mine[0]

    def discard(self, mask: int) -> None:
        """Forget all signals in ``mask``."""
        self.bits &= ~mask
        self.entries = [entry for entry in self.entries if not mask & bit(entry[0])]


@dataclass
class ThreadSignals:
    """A thread's. ``saved_mask``: what the mask will be when the call is over that has set another one, None for no such call.
    ``fault``: what the processor has told last."""

    mask: int = 0
    saved_mask: int | None = None
    stack: SignalStack = field(default_factory=SignalStack)
    fault: LastFault = field(default_factory=LastFault)
    pending: Queue = field(default_factory=Queue)

    per_thread: ClassVar[bool] = True

    def fork(self) -> Self:
        """A child's or a snapshot's, or a new thread's (whose stack is to be disarmed if it shares memory): nothing pending."""
        stack = SignalStack(self.stack.start, self.stack.size, self.stack.flags)
        fault = LastFault(self.fault.vector, self.fault.error, self.fault.address)
        return type(self)(self.mask, self.saved_mask, stack, fault)

    def execute(self) -> Self:
        """That of another program: its mask and what is pending stay."""
        return type(self)(self.mask, self.saved_mask, pending=self.pending)


@dataclass
class ProcessSignals:
    """A process's. ``news``: (CLD_STOPPED or CLD_CONTINUED, signal) that its parent has not waited for. ``executed``: whether it
    has executed another program since it was forked. ``used``: processor time of threads that have ended, and of children that
    have been waited for, in nanoseconds. ``exit_signal``: what its parent gets when it ends, 0 for nothing."""

    actions: dict[int, Action] = field(default_factory=dict)
    pending: Queue = field(default_factory=Queue)
    news: tuple[int, int] | None = None
    parent_death_signal: int = 0
    exit_signal: int = SIGCHLD
    executed: bool = False
    used: int = 0
    used_by_children: int = 0
    timers: Timers | None = None

    per_thread: ClassVar[bool] = False

    def fork(self) -> Self:
        """A child's, or a snapshot's: no timers, and nothing pending."""
        return type(self)(dict(self.actions))

    def execute(self) -> Self:
        """That of another program: it has no handlers, but ignores what was ignored."""
        if self.timers is not None:
            self.timers.execute()
        ignored = {number: Action(SIG_IGN) for number, action in self.actions.items() if action.handler == SIG_IGN}
        self.actions, self.executed, self.exit_signal = ignored, True, SIGCHLD
        return self


def of_thread(task: Task) -> ThreadSignals:
    """What is kept of a thread."""
    return task.state(ThreadSignals)


def of_process(group: ThreadGroup) -> ProcessSignals:
    """What is kept of a process, also when it has ended."""
    found: ProcessSignals | None = group.states.get(ProcessSignals)
    if found is None:
        found = group.states[ProcessSignals] = ProcessSignals()
    return found


def living(group: ThreadGroup) -> Iterator[Task]:
    """The threads of a process that run Linux programs, the first one first."""
    tasks = [task for task in group.tasks if task.alive and not task.ended]
    return iter(sorted(tasks, key=lambda task: task.tid != group.pid))


def set_mask(task: Task, mask: int) -> None:
    """Block these signals in a thread, and no others. What was pending may have to be delivered, here or in another one."""
    thread, process = of_thread(task), of_process(task.group)
    thread.mask = mask & ~UNBLOCKABLE
    if (thread.pending.bits | process.pending.bits) & ~thread.mask:
        task.attention = True
    retarget(task.group)


def retarget(group: ThreadGroup) -> None:
    """See that whatever is pending for a process comes to the notice of a thread that does not block it."""
    shared = of_process(group).pending.bits
    if not shared:
        return
    for task in living(group):
        wanted = shared & ~of_thread(task).mask
        if wanted:
            task.attention = True
            shared &= ~wanted
            if not shared:
                return
