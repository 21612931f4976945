"""System calls as text, as strace writes them: ``openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3``.

:mod:`.printer` is the observer that writes the lines, :mod:`.summary` the one that counts. What an argument is comes from
``vx32py/personality/linux/calls.txt``; :mod:`.decode`, :mod:`.structs`, :mod:`.processes`, :mod:`.descriptors` and :mod:`.sockets` make text of
it, with the names of :mod:`.flags`; :mod:`.results` of what a call returns.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from vx32py.strace.printer import Printer
from vx32py.strace.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Printer", "Summary", "printer", "selection", "to_stderr"]


def printer(
    write: Callable[[str], object], *, calls: str = "", string_limit: int = 32, relative: bool = False
) -> Printer:
    """An observer for ``process.observers`` that writes a line for each system call.

    ``calls``: names and classes of those to show, separated by commas; all when empty. Raises ValueError for one that is
    not known.
    """
    return Printer(write, only=selection(calls), string_limit=string_limit, relative=relative)


def to_stderr(text: str) -> None:
    """Write to stderr, where there is one that somebody reads."""
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        if text.endswith("\n"):
            sys.stderr.flush()


def selection(calls: str) -> frozenset[str] | None:
    """The names that ``read,%file`` means; None for all. Raises ValueError."""
    from vx32py.personality.linux.calls import select
    from vx32py.personality.vx import TABLE

    words = [word.strip() for word in calls.split(",") if word.strip()]
    others = {entry.name for entry in TABLE} | {"accept", "send", "recv"}
    return (select(word for word in words if word not in others) | others.intersection(words)) if words else None
