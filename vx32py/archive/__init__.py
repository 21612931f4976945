"""Archives that carry their decoders: ZIP files that can be read when the programs that made them are forgotten.

>>> from vx32py import archive
>>> archive.create("photos.zip", ["photos"])                        # doctest: +SKIP
>>> archive.extract("photos.zip", "there", decoded=True)            # doctest: +SKIP

The design is VXA's (Ford, USENIX FAST 2005): a decoder is in the archive once, as a guest program, and every member that it
reads says where it is. The format is in ``docs/archive.md``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_HOME_OF = {
    "Addition": "adding", "Archive": "reader", "ArchiveError": "errors", "Creation": "creating", "DecoderInfo": "listing",
    "Decoders": "decoding", "Extraction": "extracting", "Info": "listing", "Limits": "limits", "Member": "members",
    "MemberError": "errors", "Report": "testing", "add_decoder": "adding", "create": "creating", "extract": "api",
    "info": "api", "list": "api", "test": "api",
}  # fmt: skip

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - a list of str, made from the one table above


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
