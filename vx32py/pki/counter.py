"""Counter: how often a file has changed, in a file beside it, so that an older copy that is put back is found out.

It is no protection from somebody who can write to both files: he can make a verifier forget, whatever it does. It is one from
backups, from copies, and from whoever can replace the one and not the other.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vx32py.pki.errors import BadState

_DIGITS: Final = 16
_TEXT: Final = re.compile(rb"([0-9]{1,16})\n?")


class Counter:
    """The number in a file, which is open and locked against others."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def set(self, number: int) -> None:
        """In one piece: it has always the same length. Raises OSError."""
        os.pwrite(self._fd, b"%0*d\n" % (_DIGITS, number), 0)
        os.fsync(self._fd)


def path_of(path: str) -> str:
    """The counter of a file."""
    return f"{path}.count"


def read(path: str) -> int | None:
    """The number in the counter of a file; None where there is no counter. Raises BadState and OSError."""
    name = path_of(path)
    try:
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(64)
    except FileNotFoundError:
        return None
    found = _TEXT.fullmatch(data) if data else None
    if data and found is None:
        raise BadState(f"{name}: not a number of up to {_DIGITS} digits")
    return 0 if found is None else int(found[1])  # it has just been made


@contextmanager
def locked(path: str) -> Iterator[Counter]:
    """The counter of a file, made if need be; whoever else wants to change the file waits. Raises OSError."""
    fd = os.open(path_of(path), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield Counter(fd)
    finally:
        os.close(fd)
