"""The process behind :class:`~conformance.campaign.isolation.Isolated`: it keeps a child that does the work.

Three processes take part::

    campaign ──socket── keeper ──pipe── child
                          └──── ticks, in shared memory ────┘

The keeper has no threads and opens nothing, so it can fork at any time, and since it has imported what its children need, a
fork costs milliseconds. The child opens oracles, which reserve low memory and LDT entries for the life of the process,
and keeps them from job to job. When it dies or hangs, the keeper reads from the shared memory which case it was at,
reports that, and forks the next child from the same clean state. Nothing of a child outlives it, the shared memory has
no name, and a keeper whose campaign has gone takes its child along; so nothing is left behind, however a campaign ends.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection, wait
from typing import IO, Any, Final, NoReturn

#: Words of the shared memory: the case at hand, or -1 before the first one; and the ticks so far.
NUMBER: Final = 0
TICKS: Final = 1
#: How often the keeper looks at the ticks, in seconds.
_INTERVAL: Final = 0.1
#: What a child may take before its first tick, in seconds: oracles are opened then, and some compile.
_START: Final = 120.0
#: What a child may take from the end of its pipe to its own, in seconds.
_GRACE: Final = 1.0
#: Length of what is kept of a dying child's output.
_LAST_WORDS: Final = 200


class _CampaignGone(Exception):
    """The other end of the socket was closed."""


class _Child:
    """A forked process and the keeper's end of everything that leads to it."""

    def __init__(self, pid: int, pipe: Connection, lifeline: int, output: IO[bytes]) -> None:
        self.pid = pid
        self.pipe = pipe
        #: Closed with the keeper, whatever ends it; the child then ends too.
        self._lifeline = lifeline
        self._output = output

    def forget_output(self) -> None:
        """What it wrote so far belongs to an earlier job."""
        self._output.truncate(0)

    def last_words(self) -> str:
        """The last line it wrote to stdout or stderr."""
        self._output.seek(max(0, self._output.seek(0, os.SEEK_END) - _LAST_WORDS))
        text = self._output.read().decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else ""

    def end(self, grace: float = 0.0) -> int:
        """Kill it if it still runs after so many seconds; the wait status."""
        deadline = time.monotonic() + grace
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return status
            if time.monotonic() >= deadline:
                os.kill(self.pid, signal.SIGKILL)
                return os.waitpid(self.pid, 0)[1]
            time.sleep(0.001)

    def close(self) -> None:
        """Close the keeper's ends."""
        self.pipe.close()
        os.close(self._lifeline)
        self._output.close()


class _Keeper:
    """Takes jobs from the campaign, one at a time, and has a child do them."""

    def __init__(self, campaign: Connection) -> None:
        self._campaign = campaign
        self._ticks = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")
        self._child: _Child | None = None

    def serve(self) -> None:
        """Do jobs until the campaign closes the socket."""
        try:
            while True:
                function, arguments, patience = self._campaign.recv()
                self._campaign.send(self._do(function, arguments, patience))
        except (_CampaignGone, EOFError, ConnectionError):
            pass
        finally:
            if self._child is not None:
                self._child.end()

    def _do(self, function: str, arguments: bytes, patience: float) -> tuple[Any, ...]:
        self._ticks[NUMBER], self._ticks[TICKS] = -1, 0
        if self._child is None:
            self._child = self._fork()
        child = self._child
        child.forget_output()
        try:
            child.pipe.send((function, arguments))
            if self._watch(child, patience):
                reply: tuple[Any, ...] = child.pipe.recv()
                if reply[0] == "done":
                    return reply
                _, why, words = reply
            else:
                why, words = f"hung: no progress in {patience:g} seconds", ""
        except (EOFError, ConnectionError):
            # A pipe ends a moment before its process: give the process the time to die of its own cause.
            why, words = _describe(child.end(_GRACE)), child.last_words()
        else:
            child.end()  # after an exception too the next job had better have a fresh child
        child.close()
        self._child = None
        return "failed", self._ticks[NUMBER], why, words

    def _watch(self, child: _Child, patience: float) -> bool:
        """Wait until the child has something to say (True) or makes no progress any more (False)."""
        ticks, since = 0, time.monotonic()
        while True:
            ready = wait([child.pipe, self._campaign], _INTERVAL)
            if self._campaign in ready:  # it has nothing to say while a job runs
                raise _CampaignGone
            if child.pipe in ready:
                return True
            now = time.monotonic()
            if self._ticks[TICKS] != ticks:
                ticks, since = self._ticks[TICKS], now
                self._campaign.send(("at", ticks))
            elif now - since > (patience if ticks else max(patience, _START)):
                return False

    def _fork(self) -> _Child:
        ours, theirs = _pipe()
        lifeline, end_of_lifeline = os.pipe()
        output = tempfile.TemporaryFile("a+b", buffering=0)  # noqa: SIM115 - closed with the child
        pid = os.fork()
        if pid == 0:
            for descriptor in (self._campaign.fileno(), ours.fileno(), end_of_lifeline):
                os.close(descriptor)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            _work(theirs, lifeline, self._ticks)
        theirs.close()
        os.close(lifeline)
        return _Child(pid, ours, end_of_lifeline, output)


def _pipe() -> tuple[Connection, Connection]:
    from multiprocessing import Pipe

    return Pipe()


def _describe(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            return signal.Signals(number).name
        except ValueError:  # a real-time signal
            return f"signal {number}"
    return f"exit with code {os.waitstatus_to_exitcode(status)}"


# -- in the child ----------------------------------------------------------------------------------------------------


def _work(keeper: Connection, lifeline: int, ticks: memoryview[int]) -> NoReturn:
    try:
        threading.Thread(target=_end_with_the_keeper, args=(lifeline,), daemon=True).start()

        def tick(number: int) -> None:
            ticks[NUMBER] = number
            ticks[TICKS] += 1

        while True:
            function, arguments = keeper.recv()
            keeper.send(_call(function, arguments, tick))
    except EOFError:
        os._exit(0)
    except BaseException:  # noqa: BLE001 - an exit, or a result that cannot be pickled: the keeper quotes it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def _end_with_the_keeper(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)


def _call(function: str, arguments: bytes, tick: Any) -> tuple[Any, ...]:
    module, _, name = function.partition(":")
    try:
        result = getattr(import_module(module), name)(*pickle.loads(arguments), tick)  # noqa: S301 - our own
    except Exception as error:  # noqa: BLE001 - whatever it is, the campaign is told
        why = f"raised {type(error).__name__}"
        return "raised", why, str(error)
    return "done", pickle.dumps(result)


def main(descriptor: int, preload: Sequence[str]) -> None:
    """Serve the campaign at the other end of a socket."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # children die for a living
    for name in preload:
        with contextlib.suppress(ImportError):  # the child that needs it will say so
            import_module(name)
    _Keeper(Connection(descriptor)).serve()
