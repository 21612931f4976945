"""What the application wants done, while processes run: they may have to do something for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vx32py.plan9.errors import Eintr, Error
from vx32py.plan9.waiting import Result, finish, until

if TYPE_CHECKING:
    from vx32py.plan9.kernel import Kernel
    from vx32py.plan9.ninep.server import Export
    from vx32py.plan9.ninep.serving import Listener
    from vx32py.plan9.waiting import Running


def carry_out(kernel: Kernel, running: Running[Result], timeout: float) -> Result:
    """Carry something out, which may be the affair of a file server that is a process. Raises Error, also where it takes longer
    than ``timeout`` seconds, and what :meth:`Kernel.wait` raises."""
    if kernel.family.running or not any(proc.alive for proc in kernel.procs()):
        return finish(running, kernel.attendants, timeout)
    results: list[Result] = []
    failures: list[Error] = []
    over = False

    async def whole() -> None:
        nonlocal over
        try:
            results.append(await running)
        except Error as error:
            failures.append(error)
        finally:
            over = True

    attempt = whole()
    kernel.attendants.start(attempt)
    try:
        _drive(kernel, lambda: over, time.monotonic() + timeout)
    finally:
        kernel.attendants.stop(attempt)
    if results:
        return results[0]
    raise failures[0] if failures else Error(Eintr)


def serve(kernel: Kernel, exports: Sequence[Export | Listener], timeout: float | None) -> bool:
    """See :meth:`Kernel.serve`."""

    def done() -> bool:
        if exports:
            return all(each.ended for each in exports)
        return not any(proc.alive for proc in kernel.procs())

    _drive(kernel, done, None if timeout is None else time.monotonic() + timeout)
    return done()


def _drive(kernel: Kernel, done: Callable[[], bool], deadline: float | None) -> None:
    """Run processes, and what goes on beside them, until something is done, it is too late, or somebody interrupts."""
    over = False

    async def watch() -> None:
        nonlocal over
        await until(done, deadline)
        over = True
        kernel.family.interrupt()

    watching = watch()
    kernel.attendants.start(watching)
    try:
        while not over:
            proc = next((each for each in kernel.procs() if each.alive), None)
            if proc is None:
                finish(until(lambda: over), kernel.attendants)
            elif kernel.wait(proc) is not None and not over:
                return
    finally:
        kernel.attendants.stop(watching)
        if over:
            kernel.family.interrupted = False
    kernel.attendants.advance()  # what has gone wrong at last is told
