"""Engines of tasks: made where there is room below 4 GiB, given up where others need it more (parked), and made again."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from reference.registers import CPU
from vx32py import _engines
from vx32py._errors import CallError, LimitExceeded, UnsupportedHost
from vx32py._snapshot import put_registers

if TYPE_CHECKING:
    from reference.engine import Engine, Stats
    from reference.memory import AddressSpace
    from reference.policy import Policy
    from reference.traps import Trap
    from vx32py._mm import Parked
    from vx32py._task import Task


class ParkedEngine(NamedTuple):
    """What is left of an engine that was given up."""

    cpu: CPU
    held: Trap | None
    stats: Stats
    policy: Policy
    code: object

    @classmethod
    def of(cls, engine: Engine) -> ParkedEngine:
        """What there is to be kept of one."""
        cpu = CPU()
        cpu.copy_from(engine.cpu)
        return cls(cpu, engine.held, engine.stats, engine.policy, engine.leave_code())


def new_engine(
    task: Task,
    *,
    limit: int = 0,
    budget: int = 0,
    space: AddressSpace | None = None,
    program: object = None,
    policy: Policy | None = None,
    prefer_zero: bool = True,
    small: bool = False,
) -> Engine:
    """An engine like a task's. Raises CallError(EAGAIN) where there is no room for another guest of this size."""
    family = task.family
    if space is not None:
        limit, budget = space.limit, space.budget
    else:
        family.limit_spaces(task.mm)
    policy = policy or task.engine.policy
    while True:
        try:
            return _engines.create(
                task.engine_name,
                limit=limit,
                budget=budget,
                policy=policy,
                program=program,
                verify=task.sandbox.verify,
                metered=family.fuel is not None,
                space=space,
                prefer_zero=prefer_zero and task.may_prefer_zero,
                small=small,
            )
        except UnsupportedHost as error:
            if not family.park_somebody(task.mm):
                raise CallError(errno.EAGAIN) from error


def come_back(task: Task, kept: Parked) -> None:
    """Have engines and memory again, for all tasks with a task's memory. Raises LimitExceeded("memory") where the host has
    no room for it."""
    mm = task.mm
    try:
        engine = new_engine(task, limit=kept.limit, budget=kept.budget, policy=_left(task).policy)
        left = []
        for user in mm.users:
            own = engine if user is task else new_engine(user, space=engine.space, policy=_left(user).policy)
            left.append(_go_on_with(user, own))
        kept.memory.put_back(engine.space)
    except CallError as error:
        raise LimitExceeded("memory", f"no room below 4 GiB for process {task.pid} to go on") from error
    except OSError as error:
        raise LimitExceeded("memory", f"process {task.pid} cannot go on: {error}") from error
    mm.space, mm.parked = engine.space, None
    for user, code in zip(mm.users, left, strict=True):
        user.engine.take_code(code)
        user.expect_calls()


def _left(task: Task) -> ParkedEngine:
    assert task.parked is not None
    return task.parked


def _go_on_with(task: Task, engine: Engine) -> object:
    """Have this engine, with the registers of the last one; the code that it left."""
    parked, task.parked = _left(task), None
    if len(task.mm.users) > 1:
        engine.leave_space()
    put_registers(engine, parked.cpu)
    engine.held = parked.held
    engine.stats.add(parked.stats)
    task.engine = engine
    return parked.code
