"""Calls that wait in their midst: coroutines, driven a piece at a time.

To open a file may take several messages to several servers, each of which has to be answered first. So what deals with
names and channels is written as coroutines. Where one cannot go on it yields a :class:`WouldBlock`; the call is given up
for now, and when it is made again the coroutine goes on from there.
"""

from __future__ import annotations

import functools
import inspect
import select
import time
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeAlias, TypeVar, cast

from vx32py._wait import HostEvents, WouldBlock
from vx32py.plan9.errors import Eintr, Error

if TYPE_CHECKING:
    from vx32py.plan9.proc import Proc

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")
#: Something that has begun, and waits now and then.
Running: TypeAlias = Coroutine[WouldBlock, None, Result]

#: How long the host waits at a time where nobody else could run, in seconds.
_SLICE: Final = 0.02


@types.coroutine
def suspend(wait: WouldBlock) -> Generator[WouldBlock, None, None]:
    """Give up for now; what ``wait`` says may hold when it goes on, or not."""
    yield wait


async def let_others_run() -> None:
    """Give up for now, and go on in the next turn: for what may take long and waits for nobody."""
    await suspend(WouldBlock(lambda: True))


async def until(ready: Callable[[], bool], deadline: float | None = None, fds: HostEvents = ()) -> bool:
    """Wait for something; False if the deadline has passed before."""
    while not ready():
        if deadline is not None and time.monotonic() >= deadline:
            return False
        await suspend(WouldBlock(ready, deadline, fds))
    return True


async def patiently(
    function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
) -> Result:
    """Call a function that may raise WouldBlock, again and again until it does not."""
    while True:
        try:
            return function(*args, **kwargs)
        except WouldBlock as error:
            wait = error.with_traceback(None)  # whose frames know it
        await suspend(wait)


class Suspended(WouldBlock):
    """A call whose coroutine waits. A note ends it: see :mod:`vx32py.plan9.delivery`."""

    def __init__(self, wait: WouldBlock, running: Running[Any]) -> None:
        super().__init__(wait.ready, wait.deadline, wait.fds)
        self._running = running

    def interrupted(self) -> bool | None:
        """A note has come, or the process has ended: let it clean up."""
        abandon(self._running)
        return None


def abandon(running: Running[Any]) -> None:
    """Let a coroutine that waits end now: its wait fails with "interrupted". One that has ended, or is at work just now, is left."""
    if inspect.getcoroutinestate(running) in {inspect.CORO_CLOSED, inspect.CORO_RUNNING}:
        return
    try:
        running.throw(Error(Eintr))
    except (Error, StopIteration):
        return
    running.close()


def go_on(proc: Proc, running: Running[int | None]) -> int | None:
    """Let the coroutine of a call begin or go on; its result. Raises Suspended where it waits: it is in ``proc.kept`` then."""
    try:
        wait = running.send(None)
    except StopIteration as done:
        result: int | None = done.value
        return result
    except BaseException:
        proc.kept = None  # where it is an error of the application's, the call is made again from its beginning
        raise
    proc.kept = running
    raise Suspended(wait, running) from None


def waits(
    handler: Callable[Concatenate[Proc, Parameters], Running[int | None]],
) -> Callable[Concatenate[Proc, Parameters], int | None]:
    """A decorator: the handler of a call, from a coroutine."""

    @functools.wraps(handler)
    def made(proc: Proc, *args: Parameters.args, **kwargs: Parameters.kwargs) -> int | None:
        return go_on(proc, proc.kept or handler(proc, *args, **kwargs))

    made.__signature__ = inspect.signature(handler)  # type: ignore[attr-defined]
    return cast("Callable[Concatenate[Proc, Parameters], int | None]", made)


class Attendants:
    """What goes on beside the processes: farewells to servers, name spaces that are served. One of these a kernel.

    ``later`` takes what is to be done soon, from anywhere, also while an object is being destroyed.
    """

    def __init__(self) -> None:
        self.later: deque[Callable[[], None]] = deque()
        self._running: list[tuple[Running[None], WouldBlock]] = []
        self._busy = False
        #: Nobody is to wait for anything any more.
        self.closed = False

    def start(self, running: Running[None]) -> None:
        """Begin something; where it waits, it goes on by and by. If it ends with an Error that is nobody's; anything else
        that it raises comes out of :meth:`advance`."""
        self._step(running)

    def _step(self, running: Running[None]) -> None:
        if inspect.getcoroutinestate(running) == inspect.CORO_CLOSED:
            return
        try:
            wait = running.send(None)
        except (Error, StopIteration):
            return
        except Exception as error:  # noqa: BLE001
            self.fail(error)
            return
        self._running.append((running, wait))

    def fail(self, error: Exception) -> None:
        """Something of the application's has raised this where nobody can be told now; :meth:`advance` raises it."""
        self.later.append(functools.partial(_raise, error))

    def stop(self, running: Running[None]) -> None:
        """End something that was begun here."""
        abandon(running)
        self._running = [each for each in self._running if each[0] is not running]

    def advance(self) -> None:
        """Let all go on that can."""
        if self._busy:
            return
        self._busy = True
        try:
            while self.later:
                self.later.popleft()()
            now, there, self._running = time.monotonic(), deque(self._running), []
            try:
                while there:
                    running, wait = there.popleft()
                    if wait.ready() or (wait.deadline is not None and now >= wait.deadline):
                        self._step(running)
                    else:
                        self._running.append((running, wait))
            finally:
                self._running += there  # Ctrl-C, or the application's ready() has raised something: the others go on
        finally:
            self._busy = False

    def can_run(self) -> bool:
        """Whether one of them could go on."""
        return bool(self.later) or any(wait.ready() for _, wait in self._running)

    def waits(self) -> list[WouldBlock]:
        """What they wait for."""
        return [wait for _, wait in self._running]

    def close(self) -> None:
        """End all."""
        self.closed = True
        running, self._running = self._running, []
        for each, _ in running:
            abandon(each)
        while self.later:
            with suppress(Exception):  # of the application's: it has stopped to listen
                self.later.popleft()()


def _raise(error: Exception) -> None:
    raise error


def finish(running: Running[Result], attendants: Attendants, timeout: float | None = None) -> Result:
    """Carry something out while no process runs; what they would have to do does not happen. Raises Error, also where it
    waits for longer than ``timeout`` seconds or for what cannot happen."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            wait = running.send(None)
        except StopIteration as done:
            result: Result = done.value
            return result
        while not wait.ready() and (wait.deadline is None or time.monotonic() < wait.deadline):
            attendants.advance()
            if wait.ready():
                break
            everybody = [wait, *attendants.waits()]
            events = [event for each in everybody for event in each.fds]
            stuck = not events and not any(each.deadline for each in everybody) and not attendants.can_run()
            if stuck or (deadline is not None and time.monotonic() >= deadline):
                abandon(running)
                raise Error(Eintr)
            if not attendants.can_run():
                poll = select.poll()
                for fd, wanted in events:
                    poll.register(fd, wanted)
                poll.poll(_SLICE * 1000)
