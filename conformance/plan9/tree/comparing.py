"""Run cases on the kernel and on Linux, and compare what they write and whether they end well."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from conformance.plan9.tree import building, inputs, oracle
from conformance.plan9.tree.cases import Case
from reference.records import dataclass
from vx32py import LimitExceeded
from vx32py.plan9.errors import Error
from vx32py.plan9.kernel import Kernel
from vx32py.vfs.host import HostTree

#: Seconds for one case on Linux, and for all cases on the kernel.
TIMEOUT: Final = 300.0
TIMEOUT_OF_ALL: Final = 3600.0
#: No time zone, on whatever host.
_ZONE: Final = "/nothing"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a script wrote, whether it ended well, and how long it took. ``note`` is for people: what it said besides."""

    stdout: bytes
    well: bool
    seconds: float
    note: str = ""


class OnKernel:
    """Runs cases on one kernel, one after another; a context manager. ``given`` has the files that they read."""

    def __init__(self, tree: Path, given: Path, *, engine: str = "auto") -> None:
        self.kernel = Kernel(
            root=tree, engine=engine, trees={"in": HostTree(given, writable=False)}, memory="192M", env={"timezone": _ZONE},
            timeout=TIMEOUT_OF_ALL, processes=1000,
        )  # fmt: skip
        host = self.kernel.host
        host.make_directory("/tmp/in")  # noqa: S108
        host.bind("#Uin", "/tmp/in")  # noqa: S108
        self._number = 0

    def run(self, case: Case) -> Outcome:
        """Run a case in a directory of its own."""
        host, self._number = self.kernel.host, self._number + 1
        place = f"/tmp/{self._number}"  # noqa: S108
        host.make_directory(place)
        host.write("/tmp/script.rc", case.script.encode())  # noqa: S108
        started = time.monotonic()
        try:
            result = self.kernel.run(["rc", "../script.rc"], directory=place)
        except (LimitExceeded, Error) as error:
            return Outcome(b"", False, time.monotonic() - started, str(error))
        note = f"{result.status!r} {result.stderr.decode(errors='replace')}"
        return Outcome(result.stdout, not result.status, time.monotonic() - started, note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kernel.close()


class OnLinux:
    """Runs cases with the programs that Debian built, in a directory in which ``in`` has the files that they read. Raises
    Unavailable."""

    def __init__(self, place: Path) -> None:
        self._programs = oracle.programs()
        self._place = place
        self._shell = oracle.shell()
        # What programs look for in plan9port's tree.
        (self._place / "plan9").mkdir()
        (self._place / "plan9" / "bin").symlink_to(self._programs)
        (self._place / "plan9" / "yacc").symlink_to(building.source() / "yacc")
        self._environment = {
            "PATH": f".:{self._shell}:{self._programs}", "timezone": _ZONE, "LC_ALL": "C.UTF-8", "PLAN9": str(self._place / "plan9"),
            "DWBHOME": f"{building.source()}/troff/",
        }  # fmt: skip
        self._number = 0

    def run(self, case: Case) -> Outcome:
        """Run a case in a directory of its own."""
        self._number += 1
        place = self._place / str(self._number)
        place.mkdir()
        (self._place / "script.rc").write_text(case.script)
        started = time.monotonic()
        try:
            done = subprocess.run(
                [str(self._shell / "rc"), "../script.rc"], cwd=place, env=self._environment, stdin=subprocess.DEVNULL,
                capture_output=True, check=False, timeout=TIMEOUT,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Outcome(b"", False, TIMEOUT, "it took too long")
        note = f"{done.returncode} {done.stderr.decode(errors='replace')}"
        return Outcome(done.stdout, done.returncode == 0, time.monotonic() - started, note)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A case and its two outcomes."""

    case: Case
    plan9: Outcome
    linux: Outcome

    @property
    def agree(self) -> bool:
        """Whether they are the same."""
        if self.case.output is not None:
            return self.plan9.stdout == self.linux.stdout
        return (self.plan9.stdout, self.plan9.well) == (self.linux.stdout, self.linux.well)

    @property
    def problem(self) -> str:
        """The first line in which they differ; nothing where they agree."""
        if self.agree:
            return ""
        ours, theirs = self.plan9.stdout.splitlines(), self.linux.stdout.splitlines()
        for number, (our, their) in enumerate(zip([*ours, b"<end>"], [*theirs, b"<end>"], strict=False), 1):
            if our != their:
                return f"line {number} is {our[:120]!r}, not {their[:120]!r} ({self.plan9.note.strip()[:200]})"
        return f"it ended {'well' if self.plan9.well else 'not well'}: {self.plan9.note.strip()[:200]}"


@contextmanager
def comparer(tree: Path, *, engine: str = "auto", large: bool = False) -> Iterator[_Comparer]:
    """Something that compares; ``large``: also the cases of ``stress``. Raises Unavailable."""
    with tempfile.TemporaryDirectory(prefix="vx32py-") as name:
        given = Path(name, "in")
        given.mkdir()
        inputs.write(given)
        if large:
            inputs.write_large(given)
        with OnKernel(tree, given, engine=engine) as kernel:
            yield _Comparer(kernel, OnLinux(Path(name)))


class _Comparer:
    def __init__(self, kernel: OnKernel, linux: OnLinux) -> None:
        self._kernel, self._linux = kernel, linux

    def compare(self, case: Case) -> Comparison:
        """Run a case twice; on the kernel alone where it says what it writes."""
        if case.output is not None:
            return Comparison(case, self._kernel.run(case), Outcome(case.output.encode(), True, 0.0))
        return Comparison(case, self._kernel.run(case), self._linux.run(case))

    def compare_all(self, cases: Sequence[Case]) -> Iterator[Comparison]:
        """Run cases, one after another."""
        for case in cases:
            yield self.compare(case)
