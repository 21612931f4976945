"""Test: does each member still decode to what went into the archive, by the decoder that the archive has?"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from reference.records import dataclass, field
from vx32py.archive.decoding import Decoders
from vx32py.archive.errors import ArchiveError, MemberError
from vx32py.archive.limits import Limits
from vx32py.archive.members import Member
from vx32py.archive.reader import Archive

#: Is told how many bytes more have been dealt with, from several threads.
Progress = Callable[[int], None]


@dataclass(slots=True)
class Report:
    """How many members are as they should be, how many of them an archived decoder has read, and what is wrong with the others
    and with the archive."""

    good: int = 0
    decoded: int = 0
    bytes: int = 0
    failures: list[MemberError] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failures and not self.problems


def judge(
    archive: Archive,
    *,
    engine: str = "auto",
    limits: Limits | None = None,
    workers: int | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Decode all members, several at a time, and compare sizes and checksums; of files that were compressed before, both
    forms. The arguments are those of :func:`vx32py.archive.extract`. Raises ArchiveError where ``limits`` do not allow all of
    it together, UnsupportedHost, OSError, and ValueError for
    arguments that make no sense."""
    workers = os.cpu_count() or 1 if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    report = Report(problems=list(archive.problems))
    members = archive.members()
    refused = (limits or Limits()).refuse_all(
        (member.compressed_size, size)
        for member in members
        if not member.problems
        for size in ((member.size, member.decoded_size) if member.is_precompressed else (member.size,))
    )
    if refused is not None:
        raise ArchiveError(refused)
    with (
        Decoders(archive, engine=engine, limits=limits, guests=workers, fresh=fresh) as decoders,
        ThreadPoolExecutor(workers, thread_name_prefix="vx32py archive") as threads,
    ):

        def outcome_of(member: Member) -> MemberError | int:
            try:
                count = decoders.decode(member)
                if member.is_precompressed:
                    count = decoders.decode(member, decoded=True)
            except MemberError as error:
                return error
            finally:
                if progress is not None:
                    progress(member.decoded_size)
            return count

        try:
            for member, outcome in zip(members, threads.map(outcome_of, members), strict=True):
                if isinstance(outcome, MemberError):
                    report.failures.append(outcome)
                else:
                    report.good += 1
                    report.decoded += member.decoder is not None
                    report.bytes += outcome
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            decoders.stop()
            raise
    return report
