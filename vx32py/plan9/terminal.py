"""Terminal: the host's terminal as a Plan 9 console.

What is typed is edited and echoed by the host, until a program asks for each key as it is pressed (``rawon``, consctl):
then the host's terminal is raw, too, but for Enter, which remains a newline. Ctrl-C is what DEL is on a Plan 9 terminal: the
note "interrupt". Ctrl-D is the end of the file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import termios
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from vx32py.plan9 import notes
from vx32py.plan9.devices.cons import Cons
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.proc import Proc

#: So many Ctrl-C in so many seconds end the kernel, whatever its programs make of them.
_MANY: Final = 3
_SOON: Final = 1.0
_INTERRUPT_KEY: Final = b"\x03"
#: What a host's keyboard sends for the key that deletes to the left, and what Plan 9's does.
_HOST_BACKSPACE: Final = b"\x7f"
_BACKSPACE: Final = b"\b"
#: Indices of what tcgetattr returns.
_LFLAG, _CC = 3, 6
#: Puts the settings back if this process ends without a word. Its input is the terminal, its output a pipe of ours to read from;
#: on standard error it says when no signal can end it any more: where this process leads the session, its end is a SIGHUP.
_GUARDIAN: Final = (
    "trap '' INT QUIT HUP TERM TSTP TTOU; echo ready >&2; exec 2>/dev/null; read line <&1 || exec stty \"$1\""
)


class Terminal:
    """The terminal behind a descriptor, for a kernel's console; a context manager, after which its settings are what they
    were. ``end`` is called where the kernel is to end for too many Ctrl-C. On what is no terminal only :meth:`interrupt` does
    anything."""

    def __init__(self, kernel: Kernel, fd: int, end: Callable[[], None]) -> None:
        self._kernel = kernel
        self._fd = fd
        self._end = end
        self._times: deque[float] = deque(maxlen=_MANY)
        #: Who puts the settings back if this process dies, and a pipe to tell it that all is well.
        self._guardian: tuple[subprocess.Popen[bytes], int] | None = None
        self._touched = False
        self._settings: list[int | list[bytes | int]] | None = None
        #: Whose note group gets interrupts.
        self.proc: Proc | None = None
        with suppress(termios.error, OSError):
            self._settings = termios.tcgetattr(fd)
        cons = kernel.devices["c"]
        assert isinstance(cons, Cons)
        self._cons = cons
        if self._settings is not None:
            cons.on_raw = self.set_raw
            cons.console.taken = self._typed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()

    # -- keys --------------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Ctrl-C: a note for the console's note group. From a signal handler, too."""
        now = time.monotonic()
        self._times.append(now)
        if len(self._times) == _MANY and now - self._times[0] < _SOON:
            self._end()
        else:
            self._kernel.family.ask(self._send)

    def _send(self) -> None:
        if self.proc is not None:
            notes.post_group(self.proc, "interrupt")

    def _typed(self, data: bytes) -> bytes:
        """What has been read, as Plan 9's keyboard says it."""
        if not self._cons.raw:
            return data
        for _ in range(data.count(_INTERRUPT_KEY)):
            self._times.append(time.monotonic())
            if len(self._times) == _MANY and self._times[-1] - self._times[0] < _SOON:
                self._end()
        return data.replace(_HOST_BACKSPACE, _BACKSPACE)

    # -- settings ----------------------------------------------------------------------------------------------------

    def set_raw(self, raw: bool) -> None:
        """Have each key as it is pressed and not echoed, or not any more."""
        if self._settings is None:
            return
        if not raw:
            self._apply(self._settings)
            return
        self._watch()
        self._touched = True
        settings = [list(each) if isinstance(each, list) else each for each in self._settings]
        flags, keys = settings[_LFLAG], settings[_CC]
        assert isinstance(flags, int)
        assert isinstance(keys, list)
        settings[_LFLAG] = flags & ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
        keys[termios.VMIN], keys[termios.VTIME] = 1, 0
        self._apply(settings)

    def _apply(self, settings: list[int | list[bytes | int]]) -> None:
        with suppress(termios.error, OSError):  # it may have gone
            termios.tcsetattr(self._fd, termios.TCSADRAIN, settings)

    def _watch(self) -> None:
        """Start who puts the settings back if this process dies."""
        stty = shutil.which("stty")
        if self._guardian is not None or stty is None:
            return
        with suppress(OSError, subprocess.SubprocessError):
            saved = subprocess.run([stty, "-g"], stdin=self._fd, capture_output=True, text=True, check=True).stdout
            theirs, ours = os.pipe()
            try:
                guardian = subprocess.Popen(
                    ["/bin/sh", "-c", _GUARDIAN, "sh", saved.strip()],
                    stdin=self._fd, stdout=theirs, stderr=subprocess.PIPE, bufsize=0,
                )  # fmt: skip
            except OSError:
                os.close(ours)
                raise
            finally:
                os.close(theirs)
            self._guardian = guardian, ours
            assert guardian.stderr is not None
            with guardian.stderr as said:
                said.readline()

    def restore(self) -> None:
        """Put the settings back."""
        if self._settings is not None and self._touched:
            self._apply(self._settings)
        if self._guardian is not None:
            (guardian, ours), self._guardian = self._guardian, None
            with suppress(OSError):
                os.write(ours, b"\n")
            os.close(ours)
            guardian.wait()

    def size(self) -> tuple[int, int] | None:
        """Columns and lines, where that is known."""
        try:
            found = os.get_terminal_size(self._fd)
        except OSError:
            return None
        return (found.columns, found.lines) if found.columns and found.lines else None
