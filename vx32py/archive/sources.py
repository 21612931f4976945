"""Sources: the files, directories and links that go into an archive, and what they are called there."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from reference.records import dataclass
from vx32py.archive.bytestore import StrPath

#: The path that means standard input.
STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """Something that goes into an archive. ``path`` is None for standard input. ``name`` ends with ``/`` for directories."""

    path: bytes | None
    name: bytes
    mode: int
    mtime: float
    uid: int
    gid: int
    size: int

    @property
    def is_file(self) -> bool:
        """Whether it has content."""
        return stat.S_ISREG(self.mode)


def member_name(path: bytes) -> bytes:
    r"""What a path is called in an archive: relative, without ``.`` and ``..``.

    >>> [member_name(path) for path in (b"/etc/passwd", b"./a//b", b"../c", b".")]
    [b'etc/passwd', b'a/b', b'c', b'']
    """
    parts = os.path.normpath(path).split(b"/")
    return b"/".join(part for part in parts if part not in {b"", b".", b".."})


def walk(
    paths: Iterable[StrPath], *, stdin_name: str, leave_out: set[tuple[int, int]], skipped: Callable[[str], None]
) -> Iterator[Source]:
    """All that is to be found under these paths, in the order of their names; links are not followed.

    ``leave_out`` has device and inode numbers of files that must not go in (the archive itself). ``skipped`` is told of what
    cannot: what cannot be read, and what is neither file, directory nor link. A path twice is taken once.
    """
    seen: set[bytes] = set()
    for given in paths:
        if given == STDIN:
            name = stdin_name.encode("utf-8", "surrogateescape")
            found = os.fstat(0)
            if name not in seen:
                seen.add(name)
                mtime = found.st_mtime if stat.S_ISREG(found.st_mode) else _now()
                yield Source(None, name, stat.S_IFREG | 0o644, mtime, os.getuid(), os.getgid(), 0)
            continue
        for source in _under(os.fsencode(given), leave_out, skipped):
            if source.name not in seen:
                seen.add(source.name)
                yield source


def _under(path: bytes, leave_out: set[tuple[int, int]], skipped: Callable[[str], None]) -> Iterator[Source]:
    pending = [path]
    while pending:
        here = pending.pop()
        shown = os.fsdecode(here)
        try:
            found = os.lstat(here)
            names = sorted(os.listdir(here), reverse=True) if stat.S_ISDIR(found.st_mode) else []
        except OSError as error:
            skipped(f"{shown}: {error.strerror}")
            continue
        kind = stat.S_IFMT(found.st_mode)
        if (found.st_dev, found.st_ino) in leave_out:
            continue
        if kind not in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
            skipped(f"{shown}: neither file, directory nor link")
            continue
        name = member_name(here)
        if len(name) > 0xFFF0:
            skipped(f"{shown}: its name is too long")
            continue
        if name:
            suffix = b"/" if kind == stat.S_IFDIR else b""
            yield Source(here, name + suffix, found.st_mode, found.st_mtime, found.st_uid, found.st_gid, found.st_size)
        pending += [os.path.join(here, name) for name in names]


def _now() -> float:
    import time

    return time.time()
