"""Foreseeing: what ``extract`` will refuse of an archive that is being made, said while the files are still there."""

from __future__ import annotations

import stat
from collections import Counter

from vx32py.archive.errors import printable
from vx32py.archive.limits import Limits
from vx32py.archive.names import Refused, check_link, parts_of


class Foresight:
    """Is shown all members, and knows what is to be said of them."""

    def __init__(self) -> None:
        #: For each reason the first member's name and how many there are.
        self._first: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()
        self._sizes: list[tuple[int, int]] = []
        self._members = 0

    def member(self, name: bytes, mode: int, link: bytes | None, compressed: int, size: int) -> None:
        """A member that goes into the archive; ``link`` is where it leads, if it is one."""
        self._members += 1
        if stat.S_ISREG(mode):
            self._sizes.append((compressed, size))
        text = name.decode("utf-8", "surrogateescape")
        try:
            parts = parts_of(text)
            if link is not None:
                check_link(link, len(parts) - 1)
        except Refused as error:
            self._first.setdefault(str(error), text)
            self._numbers[str(error)] += 1

    def lines(self) -> list[str]:
        """What ``extract`` will refuse without options that allow it: a line for each reason."""
        found = []
        for reason, number in self._numbers.items():
            others = f" and {number - 1:,} more" if number > 1 else ""
            found.append(f"extract will refuse {printable(self._first[reason])!r}{others}: {reason}")
        limits = Limits()
        whole = limits.refuse_files(self._members) or limits.refuse_all(self._sizes)
        if whole is not None:
            found.append(f"extract will refuse the archive: {whole}")
        one = next(filter(None, (limits.refuse(*each) for each in self._sizes)), None)
        if one is not None:
            found.append(f"extract will refuse a file: {one} (--max-ratio)")
        return found
