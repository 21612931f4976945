"""System calls as text, as strace writes them: ``openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3``.

:mod:`.printer` is the observer that writes the lines, :mod:`.summary` the one that counts. What an argument is comes from
``vx32py/personality/linux/calls.txt``; :mod:`.decode`, :mod:`.structs`, :mod:`.processes` and :mod:`.sockets` make text of
it, with the names of :mod:`.flags`; :mod:`.results` of what a call returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from vx32py.strace.printer import Printer


def printer(
    write: Callable[[str], object], *, calls: str = "", string_limit: int = 32, relative: bool = False
) -> Printer:
    """An observer for ``process.observers`` that writes a line for each system call.

    ``calls``: names and classes of those to show, separated by commas; all when empty. Raises ValueError for one that is
    not known.
    """
    from vx32py.strace.printer import Printer

    return Printer(write, only=selection(calls), string_limit=string_limit, relative=relative)


def selection(calls: str) -> frozenset[str] | None:
    """The names that ``read,%file`` means; None for all. Raises ValueError."""
    from vx32py.personality.linux.calls import select

    words = [word.strip() for word in calls.split(",") if word.strip()]
    return select(words) if words else None
