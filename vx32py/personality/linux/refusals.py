"""Which errors the calls without a handler answer, out of ``calls.txt``: quickly, because a short program may ask once."""

from __future__ import annotations

import errno
import os
from functools import cache
from typing import Final

FILE: Final = os.path.join(os.path.dirname(__file__), "calls.txt")


@cache
def _errors() -> dict[int, int]:
    found = {}
    with open(FILE, encoding="ascii") as lines:
        for line in lines:
            if "| E" in line and line[0] != "#":
                name = line.partition("| ")[2].partition(":")[0]
                found[int(line.split(None, 1)[0])] = getattr(errno, name)
    return found


def error_of(number: int) -> int:
    """The errno that the call answers where it has no handler: ENOSYS where the file names no other."""
    return _errors().get(number, errno.ENOSYS)
