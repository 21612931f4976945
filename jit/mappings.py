"""How many mappings the host's kernel needs for all guests.

It allows a process a limited number, and a process without any left cannot even allocate memory for itself; so guests
get at most half of them.
"""

from __future__ import annotations

import functools


class _Process:
    count = 0


@functools.cache
def most() -> int:
    """How many there may be."""
    try:
        with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
            return int(file.read()) // 2
    except (OSError, ValueError):
        return 1 << 15


def count() -> int:
    """How many there are."""
    return _Process.count


def change(more: int) -> None:
    """There are so many more, or fewer."""
    _Process.count += more


def allow(more: int) -> bool:
    """Whether there may be so many more."""
    return _Process.count + more <= most()
