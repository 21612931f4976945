"""Creation: files, directories and links become an archive, each file by the codec that makes the least of it.

A file that is compressed already (:mod:`.recognise`) is stored as it is, if its decoder reads all of it: the decoder is run over
it, in the sandbox, and what it makes of the file is what ``test`` will ask for. Files are prepared by several threads and
written in order, so the archive is the same whatever their number.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from reference.records import dataclass, field
from vx32py.archive import temporary
from vx32py.archive.bytestore import StrPath
from vx32py.archive.codecs import Effort
from vx32py.archive.foreseeing import Foresight
from vx32py.archive.guests import Guests
from vx32py.archive.limits import Limits
from vx32py.archive.packing import Decoder, Packer, Prepared, Progress, Shelf
from vx32py.archive.sources import Source, walk
from vx32py.archive.writer import Writer, with_decoder

#: So many files are prepared ahead of the one that is being written, for each thread.
_AHEAD: Final = 2


@dataclass(slots=True)
class Creation:
    """What came of it: how many files, folders and links went in, the bytes of the files and of the archive, how many files
    each codec has ("stored" for none), what could not go in, one line each, and ``warnings``: what ``extract`` will refuse, one
    line for each reason."""

    files: int = 0
    folders: int = 0
    links: int = 0
    bytes: int = 0
    size: int = 0
    codecs: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything is in the archive."""
        return not self.failures


def create(
    archive: StrPath | BinaryIO,
    paths: Iterable[StrPath],
    *,
    codecs: Iterable[str] | None = None,
    precompressed: bool = True,
    decoders: Mapping[str, Decoder] | None = None,
    effort: Effort = "normal",
    engine: str = "auto",
    limits: Limits | None = None,
    workers: int | None = None,
    stdin_name: str = "stdin",
    comment: bytes = b"",
    progress: Progress | None = None,
) -> Creation:
    """Make an archive of files, directories with all that is in them, and links, which are not followed.

    * ``archive``: a path, where an archive appears when all of it is written, or a binary file, which need not seek.
    * ``paths``: "-" is standard input, which is called ``stdin_name`` in the archive.
    * ``codecs``: what files may be compressed with (:data:`.codecs.CODECS`); None for all whose library and decoder are
      there, none at all for no compression. Each file gets the one that makes the least of it.
    * ``precompressed``: whether files that are compressed already are recognised.
    * ``decoders``: decoders to put into the archive instead of those that come with vx32py, by codec.
    * ``effort``: fast, normal or best.
    * ``engine`` and ``limits`` are for the decoders that precompressed files are tried with.
    * ``workers``: how many files are prepared at the same time; as many as there are processors, if None.
    * ``progress`` is called with numbers of bytes, whose sum is that of the files' sizes.

    A file that cannot be read is a line in the report. Raises ArchiveError, DecoderMissing, UnsupportedHost, OSError where the
    archive cannot be written, and ValueError for arguments that make no sense.
    """
    if effort not in {"fast", "normal", "best"}:
        raise ValueError(f"effort is 'fast', 'normal' or 'best', not {effort!r}")
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError("paths is a list of paths, not one path")
    workers = os.cpu_count() or 1 if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    limits = limits or Limits()
    shelf = Shelf(decoders or {})
    chosen = shelf.choose(codecs)
    report = Creation()
    with _output(archive) as (output, leave_out), Guests(engine=engine, memory=limits.memory, kept=workers) as guests:
        packer = Packer(shelf, chosen, effort, guests, limits, progress, precompressed=precompressed)
        writer = Writer(output)
        foresight = Foresight()
        sources = walk(paths, stdin_name=stdin_name, leave_out=leave_out, skipped=report.failures.append)
        with closing(_in_order(packer, sources, workers)) as all_of_them:
            for prepared in all_of_them:
                if isinstance(prepared, str):
                    report.failures.append(prepared)
                    continue
                with prepared:
                    _write(writer, prepared, shelf, report, foresight)
        writer.finish(comment)
        report.size = writer.offset
        report.warnings = foresight.lines()
    return report


def _write(writer: Writer, prepared: Prepared, shelf: Shelf, report: Creation, foresight: Foresight) -> None:
    packed = prepared.packed
    if prepared.codec is not None:
        place = writer.decoder(prepared.codec, shelf.module(prepared.codec).data)
        packed = with_decoder(packed, prepared.codec, place)
    writer.add(packed, prepared.pieces())
    link = prepared.data if stat.S_ISLNK(packed.mode) and isinstance(prepared.data, bytes) else None
    foresight.member(packed.name, packed.mode, link, packed.compressed_size, packed.size)
    if stat.S_ISDIR(packed.mode):
        report.folders += 1
    elif stat.S_ISLNK(packed.mode):
        report.links += 1
    else:
        report.files += 1
        report.bytes += packed.size
        report.codecs[prepared.codec or "stored"] += 1


def _in_order(packer: Packer, sources: Iterable[Source], workers: int) -> Generator[Prepared | str]:
    """What becomes of the sources, in their order, prepared by several threads a little ahead of the caller."""
    waiting: deque[Future[Prepared | str]] = deque()
    threads = ThreadPoolExecutor(workers, thread_name_prefix="vx32py archive")
    try:
        for source in sources:
            waiting.append(threads.submit(packer.prepare, source))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BaseException:
        packer.stop()
        raise
    finally:
        threads.shutdown(cancel_futures=True)


@contextmanager
def _output(archive: StrPath | BinaryIO) -> Iterator[tuple[BinaryIO, set[tuple[int, int]]]]:
    """The file to write to, and which files are the archive itself. A path gets its new content when all is well."""
    if not isinstance(archive, (str, os.PathLike)):
        yield archive, set()
        return
    path = Path(archive)
    with replacing(path) as file:
        leave_out = {_identity(os.fstat(file.fileno()))}
        if path.exists():
            leave_out.add(_identity(path.stat()))
        yield file, leave_out


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of ``path`` when the block ends well. What was left there by one that was killed goes.
    Raises OSError."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    name, fd = "", -1
    try:
        temporary.clear(folder)
        while fd < 0:
            name = temporary.new_name()
            fd = temporary.create(folder, name, 0o666)
        with open(fd, "wb") as file:
            yield file
            file.flush()
            os.rename(name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        temporary.remove(folder, name)
        os.close(folder)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
