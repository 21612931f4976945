"""Limits: how much a member may decode to, what its decoder may take to do that, and what may come of all together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from reference.records import dataclass

#: Whatever deflate is given, it makes at most 1032 bytes of one.
MOST_RATIO: Final = 1100.0
#: Members that decode to so little are not worth a bomb.
FREE: Final = 1 << 30
#: And so much of all members together. What zstd and its like make of 20 MiB may be more than all disks can hold.
FREE_TOTAL: Final = 16 << 30
#: Files, folders and links. Each takes an inode, and a kilobyte of memory while an archive is extracted.
MOST_FILES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What decoding one member may cost; what is beyond that is an error of that member.

    * ``memory``: what a decoder may map, a number of bytes or such as "64M"; None for what those that come with vx32py
      need for their codec (:data:`vx32py.decoders.MEMORY`), and 256 MiB for others.
    * ``seconds``: processor time for one member; None for 30 s, and one for each megabyte that goes in or comes out: a
      thousand times that on the engines that are not native.
    * ``most``: bytes that a member may decode to; None for no limit but the next one.
    * ``ratio``: how many times its data a member of more than ``free`` bytes may decode to; None for any.

    What is beyond these is an error of the archive, of which nothing is extracted then:

    * ``files``: how many files, folders and links may come of it, folders among them that no member stands for; None for any.
    * ``total``: bytes that all members together may decode to; None for no limit but that of ``ratio``, which is for more
      than ``free_total`` bytes here.

    A decoder may never write more than the archive says that it will.
    """

    memory: int | str | None = None
    seconds: float | None = None
    most: int | None = None
    ratio: float | None = MOST_RATIO
    free: int = FREE
    files: int | None = MOST_FILES
    total: int | None = None
    free_total: int = FREE_TOTAL

    def refuse(self, compressed: int, size: int) -> str | None:
        """Why a member is not to be decoded, by what the archive says of it; None if it may be."""
        if self.most is not None and size > self.most:
            return f"it decodes to {size} bytes; {self.most} are allowed"
        if self.ratio is not None and size > max(self.free, compressed * self.ratio):
            return f"{compressed} bytes that decode to {size}: more than {self.ratio:g} times as many, as bombs do"
        return None

    def refuse_all(self, sizes: Iterable[tuple[int, int]]) -> str | None:
        """Why members are not to be decoded together, by their compressed sizes and sizes; None if they may be. Those that
        are refused by themselves do not count."""
        compressed = size = 0
        for one_compressed, one_size in sizes:
            if self.refuse(one_compressed, one_size) is None:
                compressed += one_compressed
                size += one_size
        if self.total is not None and size > self.total:
            return f"its members decode to {size:,} bytes, and {self.total:,} are allowed (--max-total)"
        if self.ratio is not None and size > max(self.free_total, compressed * self.ratio):
            return (
                f"{compressed:,} bytes that decode to {size:,}: more than {self.ratio:g} times as many, as bombs do "
                "(--max-ratio)"
            )
        return None

    def refuse_files(self, number: int) -> str | None:
        """Why so many files, folders and links are not to be made; None if they may be."""
        if self.files is None or number <= self.files:
            return None
        return f"more than {self.files:,} files, folders and links would come of it (--max-files)"

    def cpu_time(self, compressed: int, size: int, *, native: bool) -> float:
        """Seconds of processor time for one member."""
        if self.seconds is not None:
            return self.seconds
        usual = 30 + (compressed + size) / 1e6
        return usual if native else 1000 * usual
