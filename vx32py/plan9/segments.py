"""Segments: what a process's memory consists of (segattach(2), ``/proc/n/segment``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from reference.records import dataclass

if TYPE_CHECKING:
    from reference.shared import Shared

Kind = Literal["Stack", "Text", "Data", "Bss", "Shared", "Memory"]


class Size:
    """Where a segment ends: one number for all processes that have the segment. ``users`` is how many these are."""

    __slots__ = ("top", "users")

    def __init__(self, top: int) -> None:
        self.top = top
        self.users = 1


@dataclass(slots=True)
class Segment:
    """Pages from ``base`` on to ``top``. ``memory`` is what a shared one is."""

    kind: Kind
    base: int
    size: Size
    memory: Shared | None = None

    @property
    def top(self) -> int:
        """Where it ends."""
        return self.size.top

    @property
    def readonly(self) -> bool:
        """Whether the process cannot change it."""
        return self.kind == "Text"
