"""What the kernel itself needs for its processes, besides their memory: what is in pipes, in the environment, of mounts and
open files. All of it together has an end, so that no program can make the host's memory grow without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vx32py.plan9.errors import Enomem, Error

#: Of one kernel, in bytes.
MOST_BYTES: Final = 256 << 20
#: What an open file counts: also what a directory's has read ahead.
FILE: Final = 4096
#: The same of something that is mounted, and of a variable besides its bytes.
MOUNT: Final = 1024
VARIABLE: Final = 512
#: The same of a request to a file server that has not been answered.
REQUEST: Final = 4096


class Account:
    """``left`` is how many bytes there still are."""

    __slots__ = ("left",)

    def __init__(self, left: int = MOST_BYTES) -> None:
        self.left = left

    def take(self, count: int) -> None:
        """Use so many; a negative number gives back. Raises Error where there are not as many."""
        if count > self.left:
            raise Error(Enomem)
        self.left -= count

    def give(self, count: int) -> None:
        """So many are not used any more."""
        self.left += count

    @contextmanager
    def using(self, count: int) -> Iterator[None]:
        """So many, for the time of a block. Raises Error."""
        self.take(count)
        try:
            yield
        finally:
            self.left += count
