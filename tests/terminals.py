"""A command of ``vx32py``'s on a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import termios
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
#: A generous time after which something has gone wrong.
PATIENCE = 60.0


class Terminal:
    """The other end of it."""

    def __init__(self, *arguments: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, "-m", "vx32py", *arguments])  # noqa: S606
        self.seen = b""
        self.before = termios.tcgetattr(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, keys: bytes) -> None:
        os.write(self.fd, keys)

    def expect(self, text: bytes | re.Pattern[bytes]) -> None:
        """Read until something has been said that was not there before."""
        pattern = text if isinstance(text, re.Pattern) else re.compile(re.escape(text))
        end = time.monotonic() + PATIENCE
        while not (found := pattern.search(self.seen)):
            assert select.select([self.fd], [], [], max(end - time.monotonic(), 0))[0], self.seen
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            assert data, self.seen
            self.seen += data
        self.seen = self.seen[found.end() :]

    def ended(self, keys: bytes = b"") -> int:
        """The exit code. These keys are pressed again and again until then."""
        end = time.monotonic() + PATIENCE
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
            if keys:
                self.type(keys)
            time.sleep(0.05 if keys else 0.01)

    @property
    def settings_are_back(self) -> bool:
        return termios.tcgetattr(self.fd) == self.before

    def wait_for_settings(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self.settings_are_back:
            assert time.monotonic() < end, "the terminal was left as it was"
            time.sleep(0.01)
