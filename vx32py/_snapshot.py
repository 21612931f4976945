"""Snapshots: the state of a process, to come back to.

A snapshot holds memory with its rights, registers, heap, program, working directory, and what the personality keeps; and
the trap that the host has not seen yet, or whose system call has not been answered: that call is made again, from its
beginning, and what it waited for it waits for anew. It does not hold what is behind descriptors: they themselves, positions
of files and the content of pipes stay as they are, and so do the counters.

Memory is copied once, when the snapshot is taken. To come back costs what has changed, on the native engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reference.contents import Contents
from reference.records import dataclass
from reference.registers import CPU
from reference.traps import Trap

if TYPE_CHECKING:
    from vx32py._loader import Layout
    from vx32py._module import Module
    from vx32py._task import Task


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A process as it was. Made by ``Process.snapshot``; opaque, and good for ``Process.restore`` of any process of the
    same sandbox and address-space size, and for ``Sandbox.spawn_from``."""

    memory: Contents
    cpu: CPU
    module: Module
    layout: Layout
    heap_end: int
    arguments: list[bytes]
    environment: list[bytes]
    directory: str
    states: dict[Any, Any]
    pending: Trap | None


def take(task: Task, pending: Trap | None = None, *, base: bool = False) -> Snapshot:
    """The state of a process, with the trap whose call is to be made again. ``base``: it will go back there, perhaps often,
    and that is then to be quick."""
    engine = task.engine
    cpu = CPU()
    cpu.copy_from(engine.cpu)
    return Snapshot(
        memory=engine.space.capture(base=base),
        cpu=cpu,
        module=task.module,
        layout=task.layout,
        heap_end=task.heap_end,
        arguments=task.arguments,
        environment=task.environment,
        directory=task.files.cwd,
        states={kind: state.fork() for kind, state in task.states.items()},
        pending=pending or engine.held,
    )


def put_back(task: Task, snapshot: Snapshot) -> None:
    """Give a process the state of a snapshot, all but the pending trap. Raises ValueError for an
    address space of another size, OutOfMemory."""
    engine, limit = task.engine, snapshot.layout.limit
    if limit != engine.space.limit:
        raise ValueError(f"a snapshot of {limit:#x} bytes of addresses, not {engine.space.limit:#x}")
    engine.space.restore(snapshot.memory)
    cpu = snapshot.cpu
    if cpu.gs_base is not None or engine.cpu.gs_base is not None:
        engine.set_thread_pointer(cpu.gs_selector, cpu.gs_base)
    engine.cpu.copy_from(cpu)
    engine.held = None
    task.module, task.layout, task.heap_end = snapshot.module, snapshot.layout, snapshot.heap_end
    task.arguments, task.environment = snapshot.arguments, snapshot.environment
    task.files.cwd = snapshot.directory
    task.states = {kind: state.fork() for kind, state in snapshot.states.items()}
