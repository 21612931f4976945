"""A task's turn: its guest runs and its system calls are made, until it ends, has to wait, or others are to run.

What is true of the call that is being made is in the task, so that a turn can end in its midst: by an exception, also one of
a signal handler's, between any two lines. ``Task.pending`` is the trap that has not been dealt with: the next turn begins there.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from reference.registers import EAX, MASK32
from reference.traps import Trap, Vector
from vx32py._wait import Exited, WouldBlock

if TYPE_CHECKING:
    from vx32py._native import NativeAnswers
    from vx32py._task import Task

#: With fuel, tasks take turns of so many instructions: on every engine the same.
FUEL_SLICE: Final = 1_000_000
#: The number itself: comparing plain integers is quicker, and this is done at every trap.
IRQ: Final = int(Vector.IRQ)


def take(task: Task, *, single: bool) -> Trap | None:
    """See :meth:`vx32py._task.Task.advance`."""
    plain = not single and task.family.fuel is None
    native = task.answer_natively() if plain else None
    try:
        return run(task, native, plain=plain, single=single)
    except Exited:
        return _ended(task)
    finally:
        if native is not None and native is task.native:
            native.page.switch(False)
        if task.is_new_program and (task.has_used_turn or not task.family.has_turns):
            task.is_new_program = False
            task.family.find_better_place(task)


def run(task: Task, native: NativeAnswers | None, *, plain: bool, single: bool) -> Trap | None:
    """The loop of a turn: from one trap to the next. ``plain``: neither a single instruction nor with fuel. Raises Exited."""
    engine, group, tables = task.engine, task.group, task.tables
    words, resume = engine.cpu.words, engine.resume
    observers, foreign_streams = task.observers, task.family.foreign_streams
    # Whether the engine knows the thread: a call that was pending may have come from another one.
    entered = plain and engine.can_resume()
    # Whether nothing has happened since the last trap but a call and its answer, and whether code of the application's
    # had part in that.
    answered, foreign = entered and task.ended_turn, True
    task.ended_turn = False
    abandoned, task.waiting = task.waiting, None
    while True:
        if task.attention or group.stopped:
            if not _attend(task, abandoned):
                return None
            answered = False
        abandoned = None

        # To the next trap, which is not looked at where it is known to be the call that is expected. Nothing is called from
        # then on until the call is made: a signal's handler can raise an exception only where something is.
        trap, table = task.pending, task.table
        if trap is None:
            try:
                if not answered or resume(foreign) < 0:
                    trap = task.pending = engine.run() if plain else _run_limited(task, single=single)
                    entered = plain
                    if trap is None:
                        return None
            except BaseException:
                if answered:
                    engine.recover()
                raise
        if trap is not None:
            if trap.number == IRQ:
                task.pending, answered = None, False
                task.family.checkpoint()
                if not task.alive:  # somebody has ended the process
                    return _ended(task)
                if task.family.is_others_turn(task):
                    return None
                continue
            table = tables.get(trap.number)
        if table is None:
            task.pending, trap = None, trap or task.trap_of_call()
            if single or not _is_settled(task, trap):
                return trap
            answered = False
            continue

        if task.gave_up:
            task.gave_up = False
            words[EAX] = -errno.EDEADLK & MASK32
        else:
            try:
                try:
                    foreign = table.dispatch(task, words) or foreign_streams
                except WouldBlock as wait:
                    table.uncount(task, words[EAX])
                    # Without what the handler had, views of memory perhaps.
                    wait.__context__ = None
                    task.pending, task.waiting = trap or task.trap_of_call(), wait.with_traceback(None)
                    return None
            except Exited:
                raise
            except BaseException:
                # Interrupted: the call is made again. An exception of the host's: it may repair and run again, too.
                task.pending = trap or task.trap_of_call()
                raise
            answered = entered
        task.pending = None
        if observers and native is not None:
            native.page.switch(False)
        task.end_of_call()
        if single:
            if task.attention:  # a signal to itself has come by the time the call returns
                _attend(task, None)
            return trap
        if task.engine is not engine:  # another program
            return None
        if task.ends_turn:
            task.ends_turn, task.ended_turn = False, answered
            return None


def _attend(task: Task, abandoned: WouldBlock | None) -> bool:
    """Let the personality look at a task before it goes on, with ``abandoned``, what it has waited for. False if it has to
    wait: it is stopped. Raises Exited."""
    if task.group.stopped:
        task.waiting = abandoned
        return False
    if task.pending is not None and (abandoned is None or not abandoned.interruptible):
        return True  # a call that has not been made yet, or that must be completed
    task.attention = False
    if task.table is not None and task.table.hooks.deliver(task, abandoned):
        task.pending = None
        task.end_of_call()
    if task.group.stopped:
        task.waiting = abandoned if task.pending is not None else None
        return False
    return True


def _is_settled(task: Task, trap: Trap) -> bool:
    """Whether the personality has dealt with a trap that is no call of a table's, and the guest goes on."""
    try:
        return task.table is not None and task.table.hooks.fault(task, trap)
    except Exited:
        return False


def _ended(task: Task) -> Trap | None:
    """What a turn comes to in which the thread or its process has ended."""
    task.pending = None
    if task.group.exit_code is None or task.parent is not None:
        return None
    return task.trap_of_call()


def _run_limited(task: Task, *, single: bool) -> Trap | None:
    """Run one instruction, or as many as there is fuel for; None when it is another one's turn."""
    engine, family = task.engine, task.family
    if family.fuel is None:
        return engine.step()
    while True:
        # What the engine holds back has been paid for.
        left = family.fuel_left() if engine.held is None else 0
        most = min(left, FUEL_SLICE)
        before = engine.stats.instructions
        try:
            trap = engine.step() if single else engine.run_for(most)
        finally:
            family.use_fuel(engine.stats.instructions - before)
        if trap is not None:
            return trap
        if most < left and family.others_can_run(task):
            return None
