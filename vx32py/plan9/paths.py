"""Paths: by which names a channel was found (/sys/src/9/port/chan.c, Path).

Besides the text, which fd2path(2) tells, a path remembers which mount points it has come through: ``..`` goes back to the
directory that was mounted upon, and on from there.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from vx32py.plan9.errors import Error

if TYPE_CHECKING:
    from vx32py.plan9.chan import Chan


#: No path is longer.
MOST_BYTES: Final = 16 << 10


class Path:
    """A text, and for each element of it (the first one is where it begins) the channel that was mounted upon, or None.
    Paths do not change: each step makes another one."""

    __slots__ = ("points", "text")

    def __init__(self, text: str, points: tuple[Chan | None, ...] = (None,)) -> None:
        self.text = text
        self.points = points

    def add(self, name: str, point: Chan | None = None) -> Path:
        """One name more, which may be ``..``; where it leads to was mounted upon ``point``. Raises Error: through mount points
        one can go round in circles, and paths would grow without end."""
        if name == ".":
            return self
        if name == "..":
            return Path(clean(self.text + "/.."), self.points[:-1] if len(self.points) > 1 else self.points)
        slash = "" if self.text.endswith("/") else "/"
        if len(self.text) + len(name) >= MOST_BYTES:
            raise Error("path too long")
        return Path(f"{self.text}{slash}{name}", (*self.points, point))

    def mounted_on(self, point: Chan) -> Path:
        """The same place, but on the other side of a mount point."""
        return Path(self.text, (*self.points[:-1], point))

    def leave_mount(self) -> tuple[Path, Chan | None]:
        """The same place without its mount point, and what was mounted upon there, if anything."""
        point = self.points[-1] if self.points else None
        return (Path(self.text, (*self.points[:-1], None)), point) if point is not None else (self, None)

    @property
    def last(self) -> str:
        """The last name of it; empty where there is none."""
        return self.text.rpartition("/")[2]

    def __str__(self) -> str:
        return self.text


def clean(text: str) -> str:
    """A name without ``.``, ``..`` and needless slashes (cleanname(2)); below a device, never above it.

    >>> clean("/a/../../b"), clean("#c/.."), clean("#//..")
    ('/b', '#c', '#/')
    """
    if text.startswith("#"):
        start = text.find("/", 1)
        if start < 0:
            return text
        device, rest = text[:start], _clean(text[start:])
        if rest == "/" and device != "#":
            return device
        return device + rest
    return _clean(text)


def _clean(text: str) -> str:
    cleaned = posixpath.normpath(text)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def parse(name: str) -> tuple[list[str], list[int], bool]:
    """The elements of a name; where each of them ends in it; whether it can only be a directory's.

    >>> parse("a/./b/")
    (['a', 'b'], [1, 5], True)
    """
    elements: list[str] = []
    ends: list[int] = []
    must_be_directory, here = False, 0
    for piece in name.split("/"):
        end = here + len(piece)
        must_be_directory = piece in ("", ".")
        if not must_be_directory:
            elements.append(piece)
            ends.append(end)
        here = end + 1
    return elements, ends, must_be_directory
