"""Calling a function in a process of its own, so that what kills the process costs nothing but the call.

    with Isolated() as process:
        report = process.call("conformance.campaign.shard:judge", shard, patience=10)

The function gets one argument more, ``tick``, and calls ``tick(n)`` before it begins with item n. When its process dies, or
makes no progress for ``patience`` seconds, :class:`Failed` tells which item it was at. The next call has a new process; as
long as nothing happens, all calls have the same one, and what it opened stays open.

Why not :mod:`multiprocessing`: its spawned processes import the main module of the campaign again, its forked ones inherit
threads, terminal and database, and neither tells what a process died of while it did what. The process here is a fork of
a *keeper* (:mod:`conformance.campaign.keeper`), which is started from a fresh interpreter and does nothing else.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

_START: Final = "import sys; from conformance.campaign.keeper import main; main(int(sys.argv[1]), sys.argv[2:])"
#: How long a keeper may take to end when it is told to, in seconds.
_FAREWELL: Final = 5.0


class Failed(Exception):
    """The process died, or hung and was killed, or the function raised.

    ``number`` is the item it was at, None before the first. ``why`` is a signal's name, or ``exit with code 3``, or
    begins with ``hung`` or ``raised``. ``words`` is the last line it wrote, or the exception's text.
    """

    def __init__(self, number: int | None, why: str, words: str) -> None:
        super().__init__(number, why, words)
        self.number = number
        self.why = why
        self.words = words

    def __str__(self) -> str:
        text = self.why if self.why.startswith(("raised", "hung")) else f"killed the process: {self.why}"
        return f"{text} ({self.words})" if self.words else text


class Stopped(Exception):
    """:meth:`Isolated.stop` was called, or the keeper has gone."""


class Isolated:
    """A process for calls, one at a time. A thread may call :meth:`stop` while another waits in :meth:`call`.

    ``preload`` are modules that the calls will need. A process that follows one that has died need not import them again.
    They must not start threads, nor take anything that a fork could not share.
    """

    def __init__(self, preload: Sequence[str] = ()) -> None:
        ours, theirs = socket.socketpair()
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            # A seed means the same cases everywhere, even where a generator walks through a set.
            "PYTHONHASHSEED": "0",
            # NumPy's algebra, which nobody here needs, would start threads in the keeper.
            "OPENBLAS_NUM_THREADS": "1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno()), *preload],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=environment,
                process_group=0,  # Ctrl-C is for the campaign, which then closes the socket
            )
        self._socket = ours
        self._connection = Connection(os.dup(ours.fileno()))

    @property
    def pid(self) -> int:
        """The keeper's process id."""
        return self._process.pid

    def call(
        self, function: str, *arguments: Any, patience: float, progress: Callable[[int], None] | None = None
    ) -> Any:
        """What ``module:name`` returns for the arguments and ``tick``.

        ``progress`` is told the number of ticks from time to time. Raises Failed, and Stopped.
        """
        try:
            self._connection.send((function, pickle.dumps(arguments), patience))
            while True:
                what, *rest = self._connection.recv()
                if what == "done":
                    return pickle.loads(rest[0])  # noqa: S301 - from our own process
                if what == "failed":
                    number, why, words = rest
                    raise Failed(number if number >= 0 else None, why, words)
                if progress is not None:
                    progress(rest[0])
        except (EOFError, ConnectionError) as error:
            raise Stopped("the process is gone") from error

    def stop(self) -> None:
        """End the process at once; a call that is under way raises Stopped."""
        with contextlib.suppress(OSError):  # stopped already, or the keeper has gone
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the process and wait until it has ended."""
        self.stop()
        try:
            self._process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._connection.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
