"""What goes wrong with archives.

Vx32Error
└── ArchiveError          the archive as a whole, or what it should be made of
    └── MemberError       one member; the others are as good as before
"""

from __future__ import annotations

from vx32py._errors import Vx32Error

__all__ = ["ArchiveError", "MemberError", "printable"]


def printable(text: str, most: int = 200) -> str:
    r"""A text from an archive or a guest as it may be shown: on one line, without control characters, not long.

    >>> printable("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


class ArchiveError(Vx32Error):
    """An archive cannot be read or made. One line: what is wrong, and where."""


class MemberError(ArchiveError):
    """A member cannot be read. ``name`` is the member's, ``reason`` what is wrong with it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{printable(name)}: {reason}")
        self.name = name
        self.reason = reason
