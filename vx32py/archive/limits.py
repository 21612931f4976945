"""Limits: how much a member may decode to, and what its decoder may take to do that."""

from __future__ import annotations

from typing import Final

from reference.records import dataclass

#: Whatever deflate is given, it makes at most 1032 bytes of one.
MOST_RATIO: Final = 1100.0
#: Members that decode to so little are not worth a bomb.
FREE: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """What decoding one member may cost; what is beyond that is an error of that member.

    * ``memory``: what a decoder may map, a number of bytes or such as "64M"; None for what those that come with vx32py
      need for their codec (:data:`vx32py.decoders.MEMORY`), and 256 MiB for others.
    * ``seconds``: processor time for one member; None for 30 s, and one for each megabyte that goes in or comes out: a
      thousand times that on the engines that are not native.
    * ``most``: bytes that a member may decode to; None for no limit but the next one.
    * ``ratio``: how many times its data a member of more than ``free`` bytes may decode to; None for any.

    A decoder may never write more than the archive says that it will.
    """

    memory: int | str | None = None
    seconds: float | None = None
    most: int | None = None
    ratio: float | None = MOST_RATIO
    free: int = FREE

    def refuse(self, compressed: int, size: int) -> str | None:
        """Why a member is not to be decoded, by what the archive says of it; None if it may be."""
        if self.most is not None and size > self.most:
            return f"it decodes to {size} bytes; {self.most} are allowed"
        if self.ratio is not None and size > max(self.free, compressed * self.ratio):
            return f"{compressed} bytes that decode to {size}: more than {self.ratio:g} times as many, as bombs do"
        return None

    def cpu_time(self, compressed: int, size: int, *, native: bool) -> float:
        """Seconds of processor time for one member."""
        if self.seconds is not None:
            return self.seconds
        usual = 30 + (compressed + size) / 1e6
        return usual if native else 1000 * usual
