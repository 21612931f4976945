"""What programs begin with: loaded at the start, or in place of another one (execve(2))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vx32py import _loader
from vx32py._mm import Mm
from vx32py._parking import new_engine

if TYPE_CHECKING:
    from reference.engine import Engine
    from vx32py._module import Module
    from vx32py._task import Task


def start(task: Task, arguments: list[bytes], environment: list[bytes]) -> None:
    """Load a task's module into its empty address space and set the registers to its beginning."""
    _load(task, task.engine, task.mm, arguments, environment)
    task.expect_calls()


def execute(task: Task, module: Module, arguments: list[bytes], environment: list[bytes]) -> None:
    """Replace the program, in new memory; the other threads of the process end. Raises LimitExceeded, BadImage and
    CallError(EAGAIN) while the old one is still whole."""
    budget = task.sandbox.memory
    layout = _loader.plan(module, budget)
    _loader.check_arguments(layout, arguments, environment)
    engine = new_engine(
        task, limit=layout.limit, budget=budget, program=module.identity, policy=task.sandbox.policy_for(module)
    )
    mm = Mm(engine.space, module, layout)
    try:
        _load(task, engine, mm, arguments, environment)
    except BaseException:
        engine.close()
        engine.space.close()
        raise
    for other in tuple(task.group.tasks):
        if other is not task and other.alive:
            other.leave()
    _become_leader(task)
    task.retire_native()
    task.have_own_descriptors()
    task.descriptors.close_for_exec()
    task.states = {kind: state.execute() for kind, state in task.states.items()}
    task.become(engine, mm)


def _load(task: Task, engine: Engine, mm: Mm, arguments: list[bytes], environment: list[bytes]) -> None:
    mm.arguments, mm.environment = arguments, environment
    _loader.load(mm.module, mm.space, mm.layout)
    esp = _loader.build_stack(
        mm.module, mm.space, mm.layout, arguments, environment, engine.policy, task.clock.random(16)
    )
    cpu = engine.cpu
    cpu.reset()
    engine.set_thread_pointer(None, None)
    cpu.esp, cpu.eip = esp, mm.module.image.start
    mm.initial_stack = esp


def _become_leader(task: Task) -> None:
    """The thread that executes a program takes the place of the process's first one."""
    if task.tid == task.pid:
        return
    del task.family.tasks[task.tid]
    task.tid = task.pid
    task.family.add(task)
