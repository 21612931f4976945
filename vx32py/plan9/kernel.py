"""Kernel: Plan 9 as a library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reference.policy import Group, Policy
from vx32py._clock import HostClock, VirtualClock
from vx32py._descriptors import Descriptors
from vx32py._family import Family
from vx32py._group import ThreadGroup
from vx32py._sandbox import Sandbox
from vx32py.plan9.calls.table import TABLE
from vx32py.plan9.proc import Proc
from vx32py.vfs.files import Files

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The number of who starts the first processes: the kernel itself.
BOOT_PID: Final = 1


class Kernel:
    """A Plan 9 kernel.

    ``engine``, ``memory`` (of each process), ``timeout``, ``fuel``, ``policy`` are a :class:`vx32py.Sandbox`'s;
    ``processes`` is how many there may be at a time. ``user`` and ``sysname`` are what programs are told.
    """

    def __init__(
        self,
        *,
        engine: str = "auto",
        memory: int | str = "256M",
        timeout: float | None = None,
        cpu_time: float | None = None,
        fuel: int | None = None,
        policy: Policy | None = None,
        processes: int = 500,
        user: str = "glenda",
        sysname: str = "gnot",
        verify: bool = False,
    ) -> None:
        self.sandbox = Sandbox(
            engine=engine, memory=memory, timeout=timeout, cpu_time=cpu_time, fuel=fuel, policy=policy, calls=TABLE,
            processes=processes, native_answers=False, verify=verify,
        )  # fmt: skip
        self.user = user
        self.sysname = sysname
        clock = HostClock() if Group.TIME in self.sandbox.policy.groups else VirtualClock()
        self.family = Family(clock, timeout=timeout, fuel=fuel, most=processes, cpu_time=cpu_time, endless=True)
        self.family.next_number = BOOT_PID
        #: Who has started the first processes.
        self.boot = ThreadGroup(self.family, None, self.family.new_number())
        self.descriptors = Descriptors(3)
        self.files = Files({})

    def procs(self) -> Iterator[Proc]:
        """All processes, by number."""
        return (task for _, task in sorted(self.family.tasks.items()) if isinstance(task, Proc))

    def proc(self, pid: int) -> Proc | None:
        """A process by its number."""
        task = self.family.tasks.get(pid)
        return task if isinstance(task, Proc) else None
