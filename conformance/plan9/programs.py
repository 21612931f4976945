"""Run Go programs on the kernel, and compare what they say with what the same source says on Linux, or with what it should."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from conformance.plan9 import golang, kernels
from conformance.plan9.cases import HOST, Case
from conformance.plan9.peer import Peer
from reference.records import dataclass
from vx32py import LimitExceeded
from vx32py.plan9.errors import Error
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.namespace import MCREATE, MREPL
from vx32py.vfs.host import HostTree

#: Seconds for one program.
TIMEOUT: Final = 300.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a program has said, and how it has ended; ``status`` is nothing where that was good."""

    stdout: bytes
    status: str
    stderr: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """``problem`` is empty where a program did what it should. ``native`` is how long it takes on Linux, in seconds, where it
    was run there."""

    name: str
    seconds: float
    native: float | None
    problem: str


def on_linux(case: Case, progress: golang.Progress = lambda line: None) -> Said:
    """Run it directly. Raises golang.Unavailable."""
    program = golang.build(case.source, golang.LINUX, case.options, progress)
    with tempfile.TemporaryDirectory(prefix="vx32py-go-") as name:
        Path(name).chmod(0o777)
        Path(name, "tmp").mkdir(mode=0o777)
        copy = Path(name, case.name)
        os.symlink(program, copy)
        started = time.monotonic()
        try:
            done = subprocess.run(
                [str(copy)], input=case.stdin(), capture_output=True, check=False, timeout=TIMEOUT, umask=0,
                cwd=Path(name, "tmp"), env={"PATH": "/usr/bin:/bin", "TZ": "UTC"},
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise golang.Unavailable(f"{case.name} on Linux: {error}") from None
        seconds = time.monotonic() - started
    return Said(done.stdout, str(done.returncode or ""), done.stderr, seconds)


def on_plan9(
    case: Case, engine: str = "auto", verify: bool = False, progress: golang.Progress = lambda line: None
) -> Said:
    """Run it in a kernel with nothing else. Raises golang.Unavailable, LimitExceeded, Error."""
    image = golang.build(case.source, golang.PLAN9, case.options, progress).read_bytes()
    with tempfile.TemporaryDirectory(prefix="vx32py-go-") as name:
        Path(name).chmod(0o777)
        trees = {"work": HostTree(name, writable=True)} if case.place == HOST else {}
        with Kernel(
            engine=engine, timeout=TIMEOUT, memory=case.memory, trees=trees, net=case.net, verify=verify
        ) as kernel:
            kernels.put(kernel, case.name, image)
            if trees:
                kernel.host.bind("#Uwork", "/tmp", MREPL | MCREATE)  # noqa: S108
            with Peer() if case.peer else nullcontext() as peer:
                command = [case.name, *(peer.arguments if peer is not None else ())]
                stdin, started = case.stdin(), time.monotonic()
                result = kernel.run(command, stdin=stdin, directory="/tmp")  # noqa: S108
    return Said(result.stdout, result.status, result.stderr, time.monotonic() - started)


def compare(case: Case, engine: str = "auto", progress: golang.Progress = lambda line: None) -> Outcome:
    """Run it on the kernel and see whether it does what it should. Raises golang.Unavailable."""
    expected, native = case.expected(), None
    if expected is None:
        there = on_linux(case, progress)
        native = there.seconds
        expected = there.stdout.decode(errors="surrogateescape").rstrip("\n"), there.status
    try:
        here = on_plan9(case, engine, progress=progress)
    except (LimitExceeded, Error) as error:
        return Outcome(case.title, 0.0, native, str(error))
    return Outcome(case.title, here.seconds, native, _problem(case, here, *expected))


def _problem(case: Case, here: Said, output: str, status: str) -> str:
    said = here.stdout.decode(errors="surrogateescape").rstrip("\n")
    if said != output:
        return _difference(said.split("\n"), output.split("\n")) + _rest(here)
    if here.status != status:
        return f"its status is {here.status!r}, not {status!r}" + _rest(here)
    return case.check(case.stdin(), here.stdout)


def _difference(said: list[str], expected: list[str]) -> str:
    for number, (one, other) in enumerate(zip(said, expected, strict=False), 1):
        if one != other:
            return f"line {number} is {one[:400]!r}, not {other[:400]!r}"
    if len(said) > len(expected):
        return f"there are {len(said)} lines, not {len(expected)}; the first more is {said[len(expected)][:400]!r}"
    return (
        f"there are {len(said)} lines, not {len(expected)}; the first that is missing is {expected[len(said)][:400]!r}"
    )


def _rest(here: Said) -> str:
    if not here.stderr:
        return f"; status {here.status!r}" if here.status else ""
    return f"; status {here.status!r}, stderr {here.stderr[:1000].decode(errors='replace')!r}"
