"""Tests of Go's own library, built for Plan 9 and run on the kernel, and the same built for Linux and run directly."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from conformance.plan9 import golang
from reference.records import dataclass, field

PASS: Final = "PASS"  # noqa: S105
FAIL: Final = "FAIL"
SKIP: Final = "SKIP"
#: What tests may reach of the network.
NET: Final = "127.0.0.1:*/any,[::1]:*/any,listen:127.0.0.1:*/any,listen:[::1]:*/any"
#: Commands that tests take for granted.
SUPPORT: Final = Path(__file__).resolve().parent / "support"
#: So the tests that need the command go (in GO_GCFLAGS) know that they cannot have it.
NO_GO: Final = "none"
_OVER: Final = re.compile(r"--- (PASS|FAIL|SKIP): (\S+) \(")
_EVENT: Final = re.compile(r"^=== (RUN|PAUSE|CONT) +(\S+)", re.MULTILINE)
#: After so many tests that take the whole program with them it is given up.
_MOST_ROUNDS: Final = 12
_KEPT: Final = 3000


@dataclass(frozen=True, slots=True)
class Run:
    """Output and status of a program; ``status`` is empty where all was well."""

    output: str
    status: str
    seconds: float


@dataclass(slots=True)
class Results:
    """What became of the tests of a package: by name, without those within others. ``notes`` has the end of what was said
    about those that failed; ``problem`` is what kept it from running at all."""

    tests: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    problem: str = ""

    def count(self, result: str) -> int:
        """How many have come out so."""
        return sum(each == result for each in self.tests.values())


Runner = Callable[[list[str]], Run]


def on_plan9(package: str, program: Path, goroot: Path, engine: str, timeout: float, memory: str) -> Runner:
    """Runs it on the kernel, with these arguments. Raises golang.Unavailable."""
    commands = {source.stem: str(golang.build(source)) for source in SUPPORT.glob("*.go")}

    def run(arguments: list[str]) -> Run:
        with tempfile.TemporaryDirectory(prefix="vx32py-gotests-") as name:
            result, started = Path(name, "result"), time.monotonic()
            what = {
                "program": str(program), "goroot": str(goroot), "directory": str(goroot / "src" / package), "engine": engine,
                "timeout": timeout, "memory": memory, "net": NET, "go": NO_GO, "commands": commands, "arguments": arguments, "result": str(result),
            }  # fmt: skip
            command = [sys.executable, "-m", "conformance.plan9.guest", json.dumps(what)]
            output, code = _run(command, timeout + 30, str(Path(__file__).resolve().parents[2]), dict(os.environ))
            status = json.loads(result.read_text()) if result.is_file() else f"the kernel has died: {code}"
            return Run(output, status, time.monotonic() - started)

    return run


def on_linux(package: str, program: Path, goroot: Path, timeout: float) -> Runner:
    """Runs it directly."""

    def run(arguments: list[str]) -> Run:
        with tempfile.TemporaryDirectory(prefix="vx32py-gotests-") as name:
            environment = {
                "PATH": "/usr/bin:/bin", "GOROOT": str(goroot), "TMPDIR": name, "HOME": name, "TZ": "", "GO_GCFLAGS": NO_GO,
            }  # fmt: skip
            started = time.monotonic()
            output, code = _run([str(program), *arguments], timeout, str(goroot / "src" / package), environment)
            return Run(output, "" if code == 0 else str(code), time.monotonic() - started)

    return run


def _run(command: list[str], timeout: float, where: str, environment: dict[str, str]) -> tuple[str, int | None]:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd=where,
            env=environment, timeout=timeout,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        return (error.stdout or b"").decode(errors="replace"), None
    return done.stdout.decode(errors="replace"), done.returncode


def run_tests(run: Runner) -> Results:
    """Run all tests; where one takes the program with it, the rest once more without it."""
    results = Results()
    listed = run(["-test.list", "."])
    names = [line for line in listed.output.splitlines() if re.fullmatch(r"(Test|Example|Fuzz)\w*", line)]
    if not names:
        results.problem = f"it lists no tests: {listed.status} {listed.output[-500:]}"
        return results
    left = names
    for _ in range(_MOST_ROUNDS):
        chosen = ["-test.run", "^(" + "|".join(left) + ")$"] if left is not names else []
        done = run(["-test.v", "-test.short", *chosen])
        results.seconds += done.seconds
        found, unfinished = read(done.output)
        results.tests.update(found)
        for name in (name for name, result in found.items() if result == FAIL):
            results.notes[name] = _said_by(name, done.output)
        if not done.status or (unfinished == set() and FAIL in found.values() and not _crashed(done.output)):
            break
        lost = unfinished & set(left) or {name for name in left if name not in found}
        if not lost:
            break
        if not unfinished & set(left):
            results.problem = f"it ends with {done.status!r}: {done.output[-500:]}"
            break
        for name in unfinished & set(left):
            results.tests[name] = FAIL
            results.notes[name] = f"({done.status}) " + _crash(done.output)
        left = [name for name in left if name not in results.tests]
        if not left:
            break
    else:
        results.problem = (
            f"{len([name for name in names if name not in results.tests])} tests were not run: too many crashes"
        )
    return results


def read(output: str) -> tuple[dict[str, str], set[str]]:
    """Results by test, without those of tests within tests; and which ones were running at the end."""
    found = {name: result for result, name in _OVER.findall(output) if "/" not in name}
    running: set[str] = set()
    for kind, name in _EVENT.findall(output):
        if "/" not in name:
            (running.discard if kind == "PAUSE" else running.add)(name)
    return found, running - set(found)


def _crashed(output: str) -> bool:
    return re.search(r"^(panic: |fatal error: |runtime: )", output, re.MULTILINE) is not None


def _crash(output: str) -> str:
    """What was said about the end of a program."""
    found = re.search(r"^(panic: |fatal error: |runtime: |SIG)", output, re.MULTILINE)
    return output[found.start() :][:_KEPT] if found is not None else output[-_KEPT:]


def _said_by(name: str, output: str) -> str:
    """What a test has said, as far as that can be told."""
    place = output.find(f"=== RUN   {name}\n")
    over = output.find(f"--- FAIL: {name} (")
    rest = output[over : over + _KEPT]
    stop = re.search(r"^(=== RUN|--- (PASS|FAIL|SKIP): (?!" + re.escape(name) + r"\b))", rest[5:], re.MULTILINE)
    after = rest[: stop.start() + 5] if stop is not None else rest
    before = output[place:over] if 0 <= place < over else ""
    return before[-_KEPT:] + after


def compared(here: Results, there: Results) -> Mapping[str, tuple[str, str]]:
    """The tests that do not pass here but do there, with both results; of those that both have."""
    return {
        name: (result, there.tests[name])
        for name, result in here.tests.items()
        if result == FAIL and name in there.tests
    }


def run_package(
    package: str, *, engine: str = "auto", timeout: float = 240.0, memory: str = "512M", native: bool = True,
    progress: golang.Progress = lambda line: None,
) -> Iterable[tuple[str, Results]]:  # fmt: skip
    """The results in the guest and natively, by system. Raises golang.Unavailable."""
    goroot = golang.root(progress)
    limit = f"-test.timeout={max(int(timeout) - 20, 10)}s"

    def limited(run: Runner) -> Runner:
        return lambda arguments: run([*arguments, limit])

    program = golang.build_test(package, golang.PLAN9, progress)
    if native:
        other = golang.build_test(package, golang.LINUX, progress)
        yield golang.LINUX, run_tests(limited(on_linux(package, other, goroot, timeout)))
    yield golang.PLAN9, run_tests(limited(on_plan9(package, program, goroot, engine, timeout, memory)))
