"""What the processor that the tests run on can do."""

from __future__ import annotations

from functools import cache


@cache
def flags() -> frozenset[str]:
    """Linux's names of its features; none where there is no Linux to tell."""
    try:
        with open("/proc/cpuinfo", encoding="ascii") as info:
            return frozenset(next(line for line in info if line.startswith("flags")).split())
    except (OSError, StopIteration):
        return frozenset()


def lacks(*names: str) -> bool:
    """Whether one of these features is missing."""
    return not flags().issuperset(names)
