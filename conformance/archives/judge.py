"""What must hold whatever an archive is: judged by what is on the disk afterwards."""

from __future__ import annotations

import os
import random
import shutil
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from conformance.archives.mutate import Mutant, mutant
from conformance.archives.sources import Source, all_sources, xor
from conformance.malformed.finding import Verdict, cause_of
from vx32py.archive import Archive, ArchiveError, Limits
from vx32py.archive.extracting import Extraction, extract

#: Little of everything, so that nothing lasts long.
_LIMITS: Final = Limits(memory="8M", seconds=0.5)


def judge_numbered(seed: int, number: int, _: object = None) -> tuple[str, Verdict]:
    """The case with this number: what it is, and what became of it."""
    sources = all_sources()
    case = mutant(seed, number, sources)
    dice = random.Random(f"{seed}/{number}/options")  # noqa: S311 - reproducible
    return case.label, judge(case, sources, decoded=dice.random() < 0.3, workers=dice.choice((1, 2)))


def judge(case: Mutant, sources: Sequence[Source], *, decoded: bool = False, workers: int = 1) -> Verdict:
    """Extract an archive into a directory of its own, and look at what came of it."""
    verdict = Verdict()
    base = Path(tempfile.mkdtemp(prefix="vx32py-archives-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))  # noqa: S108 - a fresh folder
    try:
        target = base / "outside" / "target"
        target.mkdir(parents=True)
        (base / "canary").write_text("alive")
        (base / "archive").write_bytes(case.data)
        try:
            with verdict.bounded(), Archive(base / "archive") as archive:
                for problem in archive.problems:
                    verdict.check_message(problem, "of the archive")
                done = extract(archive, target, decoded=decoded, limits=_LIMITS, workers=workers)
        except ArchiveError as error:
            verdict.end("no archive")
            verdict.check_message(str(error), "of a file that is no archive")
            if case.spared:
                verdict.wrong("good members were refused with the whole archive", str(error))
        except Exception as error:  # noqa: BLE001 - any other exception is what is looked for
            verdict.wrong(*cause_of(error))
        else:
            _check_report(verdict, done)
            _check_files(verdict, target, sources, case, decoded=decoded)
        if sorted(os.listdir(base)) != ["archive", "canary", "outside"] or os.listdir(base / "outside") != ["target"]:
            verdict.wrong("something was written outside", str(sorted(base.rglob("*"))))
        if (base / "canary").read_text() != "alive" or (base / "archive").read_bytes() != case.data:
            verdict.wrong("a file outside was changed")
    finally:
        for folder, folders, _ in os.walk(base):
            for name in folders:
                path = Path(folder, name)
                if not path.is_symlink():
                    path.chmod(0o700)  # or what is in it cannot be removed
        shutil.rmtree(base)
    return verdict


def _check_report(verdict: Verdict, done: Extraction) -> None:
    verdict.end(
        "all extracted" if done.ok else "some extracted" if done.files + done.folders + done.links else "none extracted"
    )
    for failure in done.failures:
        verdict.check_message(str(failure), "of a member")


def _check_files(verdict: Verdict, target: Path, sources: Sequence[Source], case: Mutant, *, decoded: bool) -> None:
    """Every file has a content that some source has: all others have a checksum that is not theirs."""
    contents = {content for source in sources for content in source.contents.values()} | {b""}
    contents |= {xor(content) for content in contents}
    there = set()
    for folder, folders, files in os.walk(target):
        for name in folders + files:
            path = Path(folder, name)
            status = path.lstat()
            kind = stat.S_IFMT(status.st_mode)
            there.add(str(path.relative_to(target)))
            if kind == stat.S_IFLNK:
                if os.readlink(path).startswith("/") or ".." in os.readlink(path):
                    verdict.wrong("a link that leads out", f"{name!r} -> {os.readlink(path)!r}")
                continue
            if kind not in (stat.S_IFREG, stat.S_IFDIR):
                verdict.wrong("neither file nor folder nor link", name)
            elif status.st_mode & 0o7000:
                verdict.wrong("a set-user-id, set-group-id or sticky bit", name)
            elif kind == stat.S_IFREG and name.endswith(".part"):
                verdict.wrong("a temporary file is left", name)
            elif kind == stat.S_IFREG and path.read_bytes() not in contents:
                verdict.wrong("a content that no archive has", name)
    missing = {name.rstrip("/") for name in case.spared} - there
    if missing - {"d/media.xor"} or ("d/media.xor" in missing and not (decoded and "d/media.raw" in there)):
        verdict.wrong("good members were not extracted", str(missing))
