"""What can be done with an archive, in one call each, as on the command line; an archive is a path, a file or an Archive."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from vx32py.archive.bytestore import StrPath
from vx32py.archive.errors import ArchiveError
from vx32py.archive.extracting import Extraction
from vx32py.archive.extracting import extract as extract_members
from vx32py.archive.listing import Info
from vx32py.archive.listing import info as info_of
from vx32py.archive.members import Member
from vx32py.archive.reader import Archive
from vx32py.archive.testing import Report, judge

Readable = Archive | StrPath | BinaryIO
Members = list[Member]


@contextmanager
def opened(archive: Readable) -> Iterator[Archive]:
    """An archive to read from, closed afterwards if it was opened here. Raises ArchiveError and OSError."""
    if isinstance(archive, Archive):
        yield archive
    else:
        with Archive(archive) as mine:
            yield mine


def selected(archive: Archive, patterns: Iterable[str]) -> Members:
    """The members whose names match one of the patterns, as in the shell, or lie in a directory that does; all, if there
    are no patterns. Raises ArchiveError for a pattern that none matches."""
    members = archive.members()
    wanted = [pattern.rstrip("/") for pattern in patterns]
    if not wanted:
        return members
    used: set[str] = set()
    chosen = []
    for member in members:
        parts = member.name.rstrip("/").split("/")
        above = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
        matching = {pattern for pattern in wanted if any(fnmatch.fnmatchcase(name, pattern) for name in above)}
        used |= matching
        if matching:
            chosen.append(member)
    for pattern in wanted:
        if pattern not in used:
            raise ArchiveError(f"no member matches {pattern!r}")
    return chosen


def extract(
    archive: Readable, target: StrPath = ".", *, members: Iterable[str] | None = None, **how: Any
) -> Extraction:
    """Extract an archive, or the members that match these patterns, below a directory; ``how`` is what
    :func:`.extracting.extract` takes: decoded, overwrite, keep_broken, engine, limits, workers, fresh, progress. A member that
    cannot be extracted is in ``failures``, and what is wrong with the archive in its ``problems``. Raises what that raises, and
    ArchiveError for what is no archive."""
    with opened(archive) as source:
        return extract_members(source, target, None if members is None else selected(source, members), **how)


def list(archive: Readable) -> Members:  # noqa: A001 - the command's word
    """The members of an archive, in its order. Raises ArchiveError and OSError."""
    with opened(archive) as source:
        return source.members()


def test(archive: Readable, **how: Any) -> Report:
    """Decode every member by its archived decoder and compare checksums; ``how`` is what :func:`.testing.judge` takes:
    engine, limits, workers, fresh, progress. Raises what that raises, and ArchiveError for what is no archive."""
    with opened(archive) as source:
        return judge(source, **how)


def info(archive: Readable) -> Info:
    """What there is in an archive, without decoding any of it. Raises ArchiveError and OSError."""
    with opened(archive) as source:
        return info_of(source)
