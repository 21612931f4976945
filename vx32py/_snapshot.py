"""Snapshots: the state of a process, to come back to.

A snapshot holds memory with its rights, registers with the floating-point state, heap, program, working directory, and
what the personality keeps; the descriptors; made-up time and random numbers; and the trap that the host has not seen yet,
or whose system call has not been answered: that call is made again, from its beginning, and what it waited for it waits
for anew.

Of the descriptors it holds which file each of them stands for and whether exec closes it, which of them share a file, and
each file's flags and state: the position in a regular file of the host, in bytes and in a directory, what is in a pipe,
what has been captured. What is outside stays as it is: the contents of the host's files, what has been written to its
pipes, terminals and file objects, or read from them. Counters, and time, fuel and written bytes that have been used up, are
not given back, but for those of a standard stream that has a limit of its own.

It is one process. Children are no part of it: where a process goes back to a snapshot its children end.

Memory is copied once, when the snapshot is taken. To come back costs what has changed, on the native engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.records import dataclass
from reference.registers import CPU
from reference.traps import Trap
from vx32py._mm import HeldMemory

if TYPE_CHECKING:
    from reference.engine import Engine
    from vx32py._descriptors import HeldTable, OpenFile
    from vx32py._loader import Layout
    from vx32py._module import Module
    from vx32py._task import Task
    from vx32py.vfs.files import HeldDirectory


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A process as it was. Made by ``Process.snapshot``; opaque, and good for ``Process.restore`` of any process of the
    same sandbox and address-space size, and for ``Sandbox.spawn_from``."""

    #: In a snapshot that is kept, what was shared is private.
    memory: HeldMemory
    cpu: CPU
    module: Module
    layout: Layout
    heap_end: int
    arguments: list[bytes]
    environment: list[bytes]
    directory: HeldDirectory
    states: dict[Any, Any]
    pending: Trap | None
    #: Not where a guest forks: its child gets the descriptors themselves.
    descriptors: HeldTable | None
    #: Which files were the standard streams, whatever descriptors they had.
    streams: tuple[OpenFile, ...]
    clock: tuple[int, int]
    next_pid: int


def put_registers(engine: Engine, cpu: CPU) -> None:
    """Give an engine registers, with the thread pointer."""
    if cpu.gs_base is not None or engine.cpu.gs_base is not None:
        engine.set_thread_pointer(cpu.gs_selector, cpu.gs_base)
    engine.cpu.copy_from(cpu)


def take(task: Task, pending: Trap | None = None, *, base: bool = False, descriptors: bool = False) -> Snapshot:
    """The state of a process, with the trap whose call is to be made again. ``base``: it will go back there, perhaps often,
    and that is then to be quick. Raises OSError where the host has no descriptor left."""
    engine = task.engine
    cpu = CPU()
    cpu.copy_from(engine.cpu)
    return Snapshot(
        memory=HeldMemory(engine.space.capture(base=True)) if base else HeldMemory.of(engine.space),
        cpu=cpu,
        module=task.module,
        layout=task.layout,
        heap_end=task.heap_end,
        arguments=task.arguments,
        environment=task.environment,
        directory=task.files.hold(),
        states={kind: state.fork() for kind, state in task.states.items()},
        pending=pending or engine.held,
        descriptors=task.descriptors.hold(*task.streams) if descriptors else None,
        streams=task.streams,
        clock=task.clock.hold(),
        next_pid=task.family.next_number,
    )


def put_back(task: Task, snapshot: Snapshot) -> None:
    """Give a process the state of a snapshot, all but the pending trap and what concerns others: descriptors and clock.
    Raises ValueError for an address space of another size, OutOfMemory."""
    engine, limit = task.engine, snapshot.layout.limit
    if limit != engine.space.limit:
        raise ValueError(f"a snapshot of {limit:#x} bytes of addresses, not {engine.space.limit:#x}")
    snapshot.memory.put_back(engine.space)
    put_registers(engine, snapshot.cpu)
    engine.held = None
    mm = task.mm
    mm.module, mm.layout, mm.heap_end = snapshot.module, snapshot.layout, snapshot.heap_end
    mm.arguments, mm.environment = snapshot.arguments, snapshot.environment
    task.files.go_back(snapshot.directory)
    task.states = {kind: state.fork() for kind, state in snapshot.states.items()}


def connect(task: Task, snapshot: Snapshot, streams: tuple[OpenFile, ...] = ()) -> None:
    """Give a process the descriptors and the clock of a snapshot: the same files where it is its own, with ``streams`` in the
    places of the standard streams, if there are any; else copies, with the standard streams that the process has in place
    of the others, if it has any. Raises OSError."""
    held = snapshot.descriptors
    assert held is not None
    if held.table is task.descriptors:
        task.descriptors.go_back(held, dict(zip(snapshot.streams, streams, strict=bool(streams))))
        task.streams = streams or snapshot.streams
        if task.clock.virtual:
            task.clock.go_on_from(snapshot.clock)
        return
    copies: dict[object, Any] = dict(zip(snapshot.streams, task.streams, strict=False))
    task.descriptors.copy(held, copies, task.files.meter)
    task.streams = tuple(copies[file] for file in snapshot.streams)
    task.clock.go_on_from(snapshot.clock)
