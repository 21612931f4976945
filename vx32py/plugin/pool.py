"""StreamPool: several guests of one decoder, each in a thread of its own.

    with vx32py.StreamPool(box, module, guests=2) as pool:
        for done in pool.map(vx32py.Job(path.open("rb"), key=path) for path in paths):
            print(done.job.key, done.result)

The jit engine runs guests without the interpreter lock, so that they compute on as many processors as there are. Work is
handed out in order; which guest gets it is left to chance.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from reference.records import dataclass
from vx32py.plugin.stream import Stream

if TYPE_CHECKING:
    from vx32py._result import Result
    from vx32py._sandbox import Program, Sandbox
    from vx32py._streams import Input, Output

#: So many jobs of :meth:`StreamPool.map` are taken from the caller's iterable for each guest before the first result of
#: them has been taken.
_AHEAD: Final = 2


@dataclass(frozen=True, slots=True)
class Job:
    """One file: the arguments of :meth:`vx32py.Stream.run`. ``key`` is the caller's, to know it by."""

    stdin: Input
    stdout: Output = None
    owner: Hashable = None
    fresh: bool = False
    output_limit: int | None = None
    key: Any = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """A job that is done: with a result, or with what :meth:`vx32py.Stream.run` has raised."""

    job: Job
    result: Result | None
    error: Exception | None

    def get(self) -> Result:
        """The result. Raises the error."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class StreamPool:
    """At most ``guests`` guests of a decoder at work at a time; as many as there are processors, if nobody says how many.

    The arguments are those of ``Sandbox.stream``. A context manager: leaving it waits for what has been handed out, or, when
    an exception leaves it, Ctrl-C for example, stops everything. For one thread or several.
    """

    def __init__(self, box: Sandbox, program: Program, *args: Any, guests: int | None = None, **how: Any) -> None:
        """Load the first guest; the others are loaded when there is work for them. Raises what ``Sandbox.stream`` raises,
        and ValueError."""
        if guests is None:
            guests = len(os.sched_getaffinity(0))
        if guests < 1:
            raise ValueError(f"guests must be at least 1, not {guests!r}")
        self.guests = guests
        self._make: Callable[..., Stream] = functools.partial(Stream, box, program, *args, **how)
        first = self._make()
        self._streams = [first]
        self._idle = [first]
        self._lock = threading.Lock()
        self._closed = False
        self._threads = ThreadPoolExecutor(guests, thread_name_prefix="vx32py decoder")

    def submit(
        self,
        stdin: Input,
        stdout: Output = None,
        *,
        owner: Hashable = None,
        fresh: bool = False,
        output_limit: int | None = None,
    ) -> Future[Result]:
        """Hand out one file; the arguments are those of :meth:`vx32py.Stream.run`, and the future has what that returns or
        raises. Cancelling it keeps a file from being begun. Raises ValueError when the pool is closed."""
        return self._submit(Job(stdin, stdout, owner, fresh, output_limit))

    def map(self, jobs: Iterable[Job], *, ordered: bool = True) -> Generator[Decoded]:
        """Decode many files. Their outcomes come in the order of the jobs, or as they are done; an exception that decoding one
        of them has raised is in its outcome, and the others go on.

        The iterable is asked for jobs, by the caller's thread, only a few ahead of what has been taken of the results; it
        may open files as it goes. What it raises ends the whole, as closing the generator does: what has not been begun by
        then is cancelled.
        """
        waiting: deque[tuple[Job, Future[Result]]] = deque()
        source = iter(jobs)
        try:
            self._fill(waiting, source)
            while waiting:
                if ordered:
                    index = 0
                else:
                    wait([future for _, future in waiting], return_when=FIRST_COMPLETED)
                    index = next(i for i, (_, future) in enumerate(waiting) if future.done())
                job, future = waiting[index]
                # Not an exception of this thread's: that is Ctrl-C, and the jobs are cancelled below.
                error = future.exception()
                del waiting[index]
                if error is not None and not isinstance(error, Exception):
                    raise error
                yield Decoded(job, None if error is not None else future.result(), error)
                del job, future, error
                self._fill(waiting, source)
        finally:
            for _, future in waiting:
                future.cancel()

    def _fill(self, waiting: deque[tuple[Job, Future[Result]]], source: Iterator[Job]) -> None:
        while len(waiting) < _AHEAD * self.guests:
            job = next(source, None)
            if job is None:
                return
            waiting.append((job, self._submit(job)))

    def _submit(self, job: Job) -> Future[Result]:
        try:
            return self._threads.submit(self._run, job)
        except RuntimeError as error:
            if self._closed:
                raise ValueError("the pool is closed") from error
            raise

    def _run(self, job: Job) -> Result:
        stream = self._take()
        try:
            return stream.run(
                job.stdin, job.stdout, owner=job.owner, fresh=job.fresh, output_limit=job.output_limit
            )  # fmt: skip
        finally:
            self._idle.append(stream)

    def _take(self) -> Stream:
        """A stream that nobody uses: there are as many as threads. Raises ValueError when the pool is being closed."""
        try:
            return self._idle.pop()
        except IndexError:
            pass
        stream = self._make(load=False)  # close() must know it before anything of it runs
        with self._lock:
            if not self._closed:
                self._streams.append(stream)
                return stream
        stream.close()
        raise ValueError("the pool is closed")

    def close(self, *, wait: bool = True) -> None:
        """Give everything back. With ``wait`` what has been handed out is done before; without it nothing is begun any more,
        and guests that are at work stop: their futures raise ValueError. Closing twice is fine."""
        if wait:
            self._threads.shutdown()
        with self._lock:
            self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for stream in self._streams:
            stream.close()
        self._threads.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(wait=kind is None)

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self._streams)} of {self.guests} guests"
        return f"<StreamPool {state}>"
