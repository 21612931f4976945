"""The bytes of an archive, read from several threads at once, and spans of them as files."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

StrPath = str | os.PathLike[str]
#: How much is read at a time.
PIECE: Final = 1 << 18


class Bytes:
    """A file that is read by position. What cannot seek (a pipe) is copied to a temporary file first."""

    def __init__(self, source: StrPath | BinaryIO) -> None:
        self._owned = isinstance(source, (str, os.PathLike))
        if isinstance(source, (str, os.PathLike)):
            self._file: BinaryIO = open(source, "rb")  # noqa: SIM115 - closed by close()
        elif source.seekable():
            self._file = source
        else:
            self._file = tempfile.TemporaryFile(prefix="vx32py-")  # noqa: SIM115 - closed by close()
            self._owned = True
            shutil.copyfileobj(source, self._file, PIECE)
        self._lock = threading.Lock()
        try:
            self._descriptor: int | None = self._file.fileno()
        except (OSError, AttributeError):
            self._descriptor = None
        else:
            if self._file.writable():
                self._file.flush()  # or pread does not see it
        try:
            self.size = self._file.seek(0, os.SEEK_END)
        except OSError:
            self.close()
            raise

    def read_at(self, offset: int, count: int) -> bytes:
        """At most ``count`` bytes from ``offset`` on; fewer only at the end."""
        if offset < 0 or count <= 0:
            return b""
        count = min(count, max(self.size - offset, 0))
        if self._descriptor is None:
            with self._lock:
                self._file.seek(offset)
                return self._file.read(count)
        parts = []
        while count:
            part = os.pread(self._descriptor, count, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def span(self, start: int, end: int) -> Span:
        """The bytes from ``start`` to ``end`` as a file."""
        return Span(self, start, end)

    def close(self) -> None:
        """Close what was opened here; a file that a caller passed stays open."""
        if self._owned:
            self._file.close()


class Span(io.RawIOBase):
    """Some of an archive's bytes, as a file to read from."""

    def __init__(self, source: Bytes, start: int, end: int) -> None:
        super().__init__()
        self._source = source
        self._at = start
        self._end = end

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Some bytes, or 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self._source.read_at(self._at, min(len(view), self._end - self._at))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
