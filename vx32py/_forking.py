"""What a guest's fork, vfork and clone make: other processes, and other threads of a process."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, TypeVar

from vx32py._errors import CallError
from vx32py._parking import new_engine
from vx32py._snapshot import put_back, put_registers, take

if TYPE_CHECKING:
    from vx32py._descriptors import Descriptors
    from vx32py._task import Task
    from vx32py.vfs.files import Files

AnyTask = TypeVar("AnyTask", bound="Task")
#: Threads beyond so many tasks of a family get small engines.
MOST_LARGE: Final = 8


def fork(task: AnyTask, *, descriptors: Descriptors | None = None, files: Files | None = None) -> AnyTask:
    """The guest's fork: a child that is the process all over, memory, registers, descriptors; of the same family. Of its
    threads it has this one. ``descriptors``, ``files``: those of the process, if the child is to share them. Raises
    CallError(EAGAIN)."""
    _check_number(task)
    space = task.engine.space
    # The quickest place is for programs: most children execute one.
    engine = new_engine(task, limit=space.limit, budget=space.budget, prefer_zero=not task.sandbox.allow_exec)
    child = type(task)(
        task.sandbox, engine, task.family, task.descriptors.clone() if descriptors is None else descriptors,
        files or task.files.clone(), task.tables, task.mm.copy(engine.space), creator=task,
    )  # fmt: skip
    try:
        put_back(child, take(task))
    except BaseException:
        child.group.reap()
        raise
    child.begin_as_copy()
    child.engine.take_code(task.engine.leave_code())
    return child


def fork_sharing(task: AnyTask, *, descriptors: Descriptors | None = None, files: Files | None = None) -> AnyTask:
    """The guest's vfork: a child that runs in the process's memory, and shares what it is given. Raises CallError(EAGAIN)."""
    _check_number(task)
    engine = new_engine(task, space=task.engine.space)
    child = type(task)(
        task.sandbox, engine, task.family, task.descriptors.clone() if descriptors is None else descriptors,
        files or task.files.clone(), task.tables, task.mm, creator=task,
    )  # fmt: skip
    child.states = {kind: state.fork() for kind, state in task.states.items()}
    _copy_registers(child, task)
    child.engine.take_code(task.engine.leave_code())
    return child


def new_thread(task: AnyTask) -> AnyTask:
    """Another thread of a process, whose registers are this one's. Raises CallError(EAGAIN)."""
    tasks = [each for each in task.family.tasks.values() if each.alive]
    if len(tasks) - len({each.pid for each in tasks}) >= task.sandbox.threads:
        raise CallError(errno.EAGAIN)
    engine = new_engine(task, space=task.engine.space, small=len(tasks) >= MOST_LARGE)
    thread = type(task)(
        task.sandbox, engine, task.family, task.descriptors, task.files, task.tables, task.mm, creator=task,
        group=task.group,
    )  # fmt: skip
    thread.states = {kind: state.fork() if kind.per_thread else state for kind, state in task.states.items()}
    _copy_registers(thread, task)
    return thread


def _check_number(task: Task) -> None:
    """Children that nobody has waited for count, too."""
    if len(task.family.processes) >= task.family.most:
        raise CallError(errno.EAGAIN)


def _copy_registers(child: Task, task: Task) -> None:
    put_registers(child.engine, task.engine.cpu)
    child.begin_as_copy()
