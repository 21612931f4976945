"""Ctrl-C, SIGTERM and SIGHUP at a command that has something to clear away: it ends within a moment, wherever they come.

Python raises what a signal handler raises wherever its main thread is. Where that is a finalizer, or the callback of a weak
reference (each import has one), it prints a note, throws the exception away and goes on: then the signal is sent once more.
Threads that are asked to stop may be at something that cannot be left (compiling, for example): they are not waited for.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NoReturn

from vx32py.cli import EXIT_SIGNAL

if TYPE_CHECKING:
    from types import FrameType

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Seconds until a signal that was thrown away is sent again, and until threads that do not stop are left alone.
_AGAIN: Final = 0.01
_PATIENCE: Final = 2.0
_SHOW_CURSOR: Final = b"\x1b[?25h"


class Stop(KeyboardInterrupt):
    """The command has been sent a signal that ends it: ``number``."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Signals:
    """Those that have come to this process."""

    def __init__(self) -> None:
        #: The first one; 0 as long as there is none.
        self.came = 0
        #: What is left to do where threads do not stop.
        self.give_up: Callable[[], None] | None = None

    def handle(self, number: int, _: FrameType | None) -> None:
        """A signal handler. Only the first one raises: those behind it must not come in between while that clears away."""
        if not self.came:
            self.came = number
            _thread.start_new_thread(self._wait_no_longer, (number,))
            raise Stop(number)

    def send_again(self, number: int) -> None:
        """To the main thread, when that has left whatever it is in."""
        time.sleep(_AGAIN)
        self.came = 0
        with suppress(OSError, ValueError):
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    def _wait_no_longer(self, number: int) -> None:
        time.sleep(_PATIENCE)
        if self.came and self.give_up is not None:
            with suppress(Exception):
                self.give_up()
            with suppress(OSError):
                if os.isatty(2):
                    os.write(2, _SHOW_CURSOR)  # a progress bar hides it
            os._exit(EXIT_SIGNAL + number)


_SIGNALS_HERE: Final = _Signals()


def thrown_away(unraisable: sys.UnraisableHookArgs) -> None:
    """For ``sys.unraisablehook``: an interrupt comes again; what is to be said of the rest Python says."""
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    # With nothing that takes a lock: whoever has been interrupted may hold it.
    _thread.start_new_thread(_SIGNALS_HERE.send_again, (getattr(unraisable.exc_value, "number", signal.SIGINT),))


@contextmanager
def stoppable(give_up: Callable[[], None]) -> Iterator[None]:
    """In the block the signals raise Stop, once, and it does not end well after one. If the process is still there 2 s
    later, ``give_up`` is called by another thread and ends it. Those that the command was started to ignore stay
    ignored; other threads than the main one have no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    here = _SIGNALS_HERE
    here.came, here.give_up = 0, give_up
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    hook, sys.unraisablehook = sys.unraisablehook, thrown_away
    try:
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN and handler is not None:
                signal.signal(number, here.handle)
        yield
        if here.came:
            raise Stop(here.came)
    finally:
        if not here.came:  # else it is for the end of the interpreter, too, which waits for all threads
            here.give_up = None
        sys.unraisablehook = hook
        for number, handler in handlers.items():
            if handler is not signal.SIG_IGN and handler is not None:
                signal.signal(number, handler)


def leave(error: KeyboardInterrupt) -> NoReturn:
    """End as a program does that a signal ends."""
    sys.exit(EXIT_SIGNAL + getattr(error, "number", signal.SIGINT))
