"""Archives that carry their decoders: ZIP files that can be read when the programs that made them are forgotten.

>>> from vx32py import archive
>>> archive.create("photos.zip", ["photos"])                        # doctest: +SKIP
>>> archive.extract("photos.zip", "there", decoded=True)            # doctest: +SKIP

The design is VXA's (Ford, USENIX FAST 2005): a decoder is in the archive once, as a guest program, and every member that it
reads says where it is. The format is in ``docs/archive.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vx32py._lazy import exports

if TYPE_CHECKING:
    from vx32py.archive.adding import Addition as Addition
    from vx32py.archive.adding import add_decoder as add_decoder
    from vx32py.archive.api import extract as extract
    from vx32py.archive.api import info as info
    from vx32py.archive.api import list as list  # noqa: A004 - the command's word
    from vx32py.archive.api import test as test
    from vx32py.archive.creating import Creation as Creation
    from vx32py.archive.creating import create as create
    from vx32py.archive.decoding import Decoders as Decoders
    from vx32py.archive.errors import ArchiveError as ArchiveError
    from vx32py.archive.errors import MemberError as MemberError
    from vx32py.archive.extracting import Extraction as Extraction
    from vx32py.archive.limits import Limits as Limits
    from vx32py.archive.listing import DecoderInfo as DecoderInfo
    from vx32py.archive.listing import Info as Info
    from vx32py.archive.members import Member as Member
    from vx32py.archive.reader import Archive as Archive
    from vx32py.archive.testing import Report as Report

_HOMES = {
    "vx32py.archive.adding": ("Addition", "add_decoder"),
    "vx32py.archive.api": ("extract", "info", "list", "test"),
    "vx32py.archive.creating": ("Creation", "create"),
    "vx32py.archive.decoding": ("Decoders",),
    "vx32py.archive.errors": ("ArchiveError", "MemberError"),
    "vx32py.archive.extracting": ("Extraction",),
    "vx32py.archive.limits": ("Limits",),
    "vx32py.archive.listing": ("DecoderInfo", "Info"),
    "vx32py.archive.members": ("Member",),
    "vx32py.archive.reader": ("Archive",),
    "vx32py.archive.testing": ("Report",),
}

__all__ = sorted(name for names in _HOMES.values() for name in names)  # noqa: PLE0605 - a list of str, made from the one table above
__getattr__, __dir__ = exports(__name__, _HOMES)
