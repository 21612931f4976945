"""Extraction: members of an archive as files below a target directory, whatever the archive says, and nothing elsewhere.

First it is decided which member gets which path (:mod:`.plan`). Then folders are made; then files, decoded by several guests
at once, each of which gets its name when its checksums are right; then links, through which nothing is written any more;
and last the folders' modes and times. A member that cannot be extracted is a line in the report; the others are extracted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from reference.records import dataclass, field
from vx32py._errors import UnsupportedHost, Vx32Error
from vx32py.archive.bytestore import StrPath
from vx32py.archive.decoding import Decoders
from vx32py.archive.errors import MemberError
from vx32py.archive.limits import Limits
from vx32py.archive.members import Member
from vx32py.archive.names import Refused
from vx32py.archive.plan import Item, Plan, plan
from vx32py.archive.reader import Archive
from vx32py.archive.targets import NewFile, Target

#: More guests at once than this are of no use to anybody, and each maps memory.
_MOST_WORKERS: Final = 64

#: Is told how many bytes more have been dealt with, from several threads.
Progress = Callable[[int], None]


@dataclass(slots=True)
class Extraction:
    """What came of it: how many files, folders and links were made, the bytes in the files, and the members that could not be
    extracted, with the reasons."""

    files: int = 0
    folders: int = 0
    links: int = 0
    bytes: int = 0
    failures: list[MemberError] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every member was extracted."""
        return not self.failures


def extract(
    archive: Archive,
    target: StrPath,
    members: Iterable[Member] | None = None,
    *,
    decoded: bool = False,
    overwrite: bool = False,
    keep_broken: bool = False,
    engine: str = "auto",
    limits: Limits | None = None,
    workers: int | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Extraction:
    """Extract members (all, if None) below the directory ``target``, which is made if it is not there.

    * ``decoded``: files that were compressed before they came into the archive are extracted decoded; see :func:`.plan.plan`
      for their names. Otherwise as they are.
    * ``overwrite``: whether files and links that are there already are replaced. Folders never are, nor what this call made.
    * ``keep_broken``: what there is of a file that fails stays, as ``NAME.broken``.
    * ``engine``, ``limits``, ``fresh`` are those of :class:`.decoding.Decoders`.
    * ``workers``: how many members are decoded at the same time; as many as there are processors, if None.
    * ``progress`` is called with numbers of bytes whose sum is that of the members' sizes, whatever fails.

    Nothing is written where more would come of it than ``limits`` allow, in number or in bytes: that is an ArchiveError.
    Modes are applied without set-user-id, set-group-id and sticky bits and within the umask; owners are not. Raises
    UnsupportedHost where the engine cannot run here, OSError if the target is no directory, and ValueError for arguments
    that make no sense.
    """
    if workers is None:
        workers = os.cpu_count() or 1
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    workers = min(workers, _MOST_WORKERS)
    known = archive.members() if members is None else list(members)
    planned = plan(known, decoded=decoded, limits=limits)
    with (
        Target(target, overwrite=overwrite) as place,
        Decoders(archive, engine=engine, limits=limits, guests=workers, fresh=fresh) as decoders,
    ):
        work = _Work(place, decoders, planned, progress, keep_broken=keep_broken)
        if progress is not None:
            planned_sizes = sum(_size(item.member, decoded=item.decoded) for item in planned.files)
            progress(sum(_size(member, decoded=decoded) for member in known) - planned_sizes)
        work.all(workers)
    order = {member.name: i for i, member in reversed(list(enumerate(known)))}
    work.report.failures.sort(key=lambda failure: order.get(failure.name, len(order)))
    return work.report


class _Work:
    """One extraction."""

    def __init__(
        self, target: Target, decoders: Decoders, planned: Plan, progress: Progress | None, *, keep_broken: bool
    ) -> None:
        self.target = target
        self.decoders = decoders
        self.planned = planned
        self.progress = progress
        self.keep_broken = keep_broken
        self.report = Extraction(failures=planned.failures)
        self._lock = threading.Lock()
        self._stopped = False

    def all(self, workers: int) -> None:
        for item in self.planned.folders:
            if self._try(item, self._folder):
                self.report.folders += 1
        self._files(workers)
        for item in self.planned.links:
            if self._try(item, self._link):
                self.report.links += 1
        self._finish_folders()

    def _try(self, item: Item, make: Callable[[Item], None]) -> bool:
        """Whether it could be made. Otherwise the report has the reason."""
        try:
            make(item)
        except UnsupportedHost:
            raise  # it would be the same for all
        except MemberError as error:
            failure = error
        except (Refused, Vx32Error) as error:  # a limit, or an engine that lacks an instruction
            failure = MemberError(item.member.name, str(error))
        except OSError as error:
            failure = MemberError(item.member.name, f"the archive cannot be read: {error.strerror or error}")
        except MemoryError:
            failure = MemberError(item.member.name, "not enough memory")
        else:
            return True
        with self._lock:
            self.report.failures.append(failure)
        return False

    def _folder(self, item: Item) -> None:
        with self.target.folder(item.parts):
            pass

    def _link(self, item: Item) -> None:
        self.target.link(item.parts, item.member.link_target or b"")

    def _files(self, workers: int) -> None:
        items = iter(self.planned.files)
        if workers == 1 or len(self.planned.files) < 2:
            self._work(items)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="extract") as pool:
            try:
                for future in [pool.submit(self._work, items) for _ in range(workers)]:
                    future.result()
            except BaseException:
                self._stopped = True
                self.decoders.stop()
                raise

    def _work(self, items: Iterator[Item]) -> None:
        """Make one file after the other, as long as there are any."""
        while not self._stopped:
            with self._lock:
                item = next(items, None)
            if item is None:
                return
            made = self._try(item, self._file)
            with self._lock:
                self.report.files += made

    def _file(self, item: Item) -> None:
        member = item.member
        output = _Output(self)
        try:
            with self.target.file(item.parts) as new:
                output.file = new
                try:
                    self.decoders.decode(member, output, decoded=item.decoded)  # type: ignore[arg-type]
                    new.keep(member.permissions, int(member.mtime // 1) * 10**9 + int(member.mtime % 1 * 1e9))
                except (Vx32Error, OSError) as error:
                    reason = output.refusal or error
                    kept = new.keep_broken() if self.keep_broken and not self._stopped else None
                    if kept is None:
                        raise reason from None
                    raise MemberError(member.name, f"{_reason(reason)}; what there is of it is in {kept!r}") from None
            with self._lock:
                self.report.bytes += output.count
        finally:
            if self.progress is not None:
                self.progress(_size(member, decoded=item.decoded) - output.count)

    def _finish_folders(self) -> None:
        said = {item.parts: item.member for item in self.planned.folders}
        for parts in sorted(self.target.made_folders, key=len, reverse=True):
            member = said.get(parts)
            try:
                if member is None:
                    self.target.finish_folder(parts, None, None)
                else:
                    self.target.finish_folder(parts, member.permissions, int(member.mtime // 1) * 10**9)
            except Refused as error:
                self.report.failures.append(MemberError("/".join(parts) + "/", str(error)))


class _Output:
    """A new file as what decoders write to."""

    def __init__(self, work: _Work) -> None:
        self.file: NewFile | None = None
        self.count = 0
        #: Why the host does not take what is written, if it does not: the guest only knows that.
        self.refusal: Refused | None = None
        self._work = work

    def write(self, data: bytes | memoryview) -> int:
        """Write all of it. Raises OSError."""
        if self.file is None or self._work._stopped:  # noqa: SLF001 - the two are one
            raise OSError("stopped")
        try:
            self.file.write(data)
        except Refused as error:
            self.refusal = error
            raise OSError(str(error)) from None
        self.count += len(data)
        if self._work.progress is not None:
            self._work.progress(len(data))
        return len(data)


def _size(member: Member, *, decoded: bool) -> int:
    return member.decoded_size if decoded else member.size


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, MemberError) else str(error)
