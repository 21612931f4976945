"""Run a case natively and in the jail, and compare: output, exit code, and the files that it leaves.

Both runs see the same paths: the tree as ``/``, and ``/work/NAME`` as a directory of their own, current and writable. The
jail is what people use, ``vx32py jail`` in a process of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from conformance.programs import native, roots
from conformance.programs.case import ENVIRONMENT, Case

SCRIPT: Final = "case.sh"
NATIVE: Final = "native"
BUILD_TIMEOUT: Final = 600.0
#: The jail says so where no guest has run before.
NOTICE: Final = re.compile(rb"^vx32py: compiling the translator .*\n", re.MULTILINE)
#: The reference engines take this much longer at most.
_PATIENCE: Final = {"jit": 2.0, "reference": 40.0, "translated": 40.0}
#: The C library asks CPUID which instructions it may use; the engines that are to be read model no SSE.
_POLICY: Final = {"reference": "integer,time,x87", "translated": "integer,time,x87"}


@dataclass(frozen=True)
class Outcome:
    """How a run ended. ``files`` is what is left: a line for each, by name. ``exit_code`` is None after a time-out."""

    exit_code: int | None
    stdout: bytes
    stderr: bytes
    files: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """What came of a case on an engine; ``difference`` is "" where nothing differs from the native run."""

    case: Case
    engine: str
    native: Outcome
    jailed: Outcome
    difference: str

    @property
    def agrees(self) -> bool:
        """Whether both did the same."""
        return not self.difference


def compare(case: Case, root: roots.Root, engine: str, expected: Outcome | None = None) -> Comparison:
    """Run both ways; `expected` is the native outcome if it is known already. Raises roots.Unavailable."""
    before = expected if expected is not None else run(case, root, NATIVE)
    after = run(case, root, engine)
    return Comparison(case, engine, before, after, difference(case, before, after))


def difference(case: Case, expected: Outcome, found: Outcome) -> str:
    """What differs first, in a line, or ""."""
    if found.exit_code != expected.exit_code:
        last = found.stderr.decode(errors="replace").strip().splitlines()[-1:]
        ends = ["time-out" if o.exit_code is None else f"exit code {o.exit_code}" for o in (found, expected)]
        return f"{ends[0]}, natively {ends[1]}" + (f": {last[0][:300]}" if last else "")
    streams = [("stdout", expected.stdout, found.stdout)]
    if case.stderr:
        streams.append(("stderr", expected.stderr, NOTICE.sub(b"", found.stderr)))
    for name, before, after in streams:
        if case.scrubbed(before) != case.scrubbed(after):
            return f"{name}: {_first_difference(case.scrubbed(before), case.scrubbed(after))}"
    lines = [line for line in found.files if line not in set(expected.files)]
    missing = [line for line in expected.files if line not in set(found.files)]
    if lines or missing:
        return f"files: {(lines or ['nothing'])[0]}, natively {(missing or ['nothing'])[0]}"
    return ""


def _first_difference(expected: bytes, found: bytes) -> str:
    ours, theirs = found.splitlines(), expected.splitlines()
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if one != other:
            return f"line {number} is {one[:160]!r}, natively {other[:160]!r}"
    if len(ours) != len(theirs):
        number = min(len(ours), len(theirs))
        extra = (ours[number:] or theirs[number:])[0]
        return f"{len(ours)} lines, natively {len(theirs)}; the first more is {extra[:160]!r}"
    return "the ends of lines differ"


def run(case: Case, root: roots.Root, engine: str) -> Outcome:
    """Run a case, natively if `engine` is "native". Raises roots.Unavailable."""
    ports = [_free_port() for _ in range(case.ports)]
    name = f"{case.name}-{os.getpid()}"
    guest_path = f"/work/{name}"
    # For the native run this is the directory itself, for the jail a place to mount on.
    inside = root.path / "work" / name
    inside.mkdir(parents=True)
    try:
        with tempfile.TemporaryDirectory(prefix="vx32py-programs-") as outside:
            place = inside if engine == NATIVE else Path(outside)
            place.chmod(0o755)
            environment = _environment(case, guest_path, ports)
            if case.build is not None:
                shutil.copytree(_built(case, root), place, dirs_exist_ok=True, symlinks=True)
            argv = _prepare(case, place)
            if engine == NATIVE:
                command = native.command(root.path, guest_path, argv)
                return _execute(case, command, place, environment, case.timeout)
            command = jail_command(case, root, place, guest_path, environment, ports, engine, argv)
            return _execute(case, command, place, None, case.timeout * _PATIENCE[engine])
    finally:
        shutil.rmtree(inside, ignore_errors=True)


def _built(case: Case, root: roots.Root) -> Path:
    """What the case's build script leaves: kept beside the tree, or made. Raises roots.Unavailable."""
    key = hashlib.sha256(repr((case.build, sorted(case.files.items()))).encode()).hexdigest()[:12]
    kept = root.path.parent / f"built-{case.name}-{key}"
    if not kept.is_dir():
        name = f"build-{case.name}-{os.getpid()}"
        place = root.path / "work" / name
        place.mkdir(parents=True)
        try:
            step = replace(case, script=case.build, argv=(), build=None, timeout=BUILD_TIMEOUT)
            command = native.command(root.path, f"/work/{name}", _prepare(step, place))
            done = _execute(step, command, place, _environment(step, f"/work/{name}", []), step.timeout)
            if done.exit_code != 0:
                raise roots.Unavailable(f"{case.name} cannot be built: {done.stderr.decode(errors='replace')[-300:]}")
            with contextlib.suppress(OSError):  # somebody else was faster
                place.rename(kept)
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return kept


def jail_command(
    case: Case, root: roots.Root, place: Path, guest_path: str, environment: dict[str, str], ports: list[int],
    engine: str, argv: Sequence[str],
) -> list[str]:  # fmt: skip
    """The command line of the jail."""
    options = [
        "--engine", engine, "--root", str(root.path), "--dir", f"{place}:{guest_path}:rw", "--tmpfs", "/tmp",  # noqa: S108
        "--cwd", guest_path, "--uid", "0", "--allow-exec", "--memory", case.memory, "--threads", str(case.threads),
    ]  # fmt: skip
    for key, value in environment.items():
        options += ["--env", f"{key}={value}"]
    for port in ports:
        options += ["--net", f"127.0.0.1:{port}/any", "--net", f"listen:127.0.0.1:{port}/any"]
    if engine in _POLICY:
        options += ["--instructions", _POLICY[engine]]
    return [sys.executable, "-m", "vx32py", "jail", *options, *argv]


def _environment(case: Case, home: str, ports: list[int]) -> dict[str, str]:
    numbered = {f"PORT{number if number > 1 else ''}": str(port) for number, port in enumerate(ports, 1)}
    return {**ENVIRONMENT, "HOME": home, "PWD": home, **numbered, **case.env}


def _prepare(case: Case, place: Path) -> list[str]:
    """Write the case's files; the command."""
    for path, content in case.files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content.encode() if isinstance(content, str) else content)
        (place / path).chmod(0o755 if path.endswith(".sh") else 0o644)
    if case.script is None:
        return list(case.argv)
    (place / SCRIPT).write_text(case.script)
    (place / SCRIPT).chmod(0o755)
    return [case.interpreter, SCRIPT]


def _execute(
    case: Case, command: list[str], place: Path, environment: dict[str, str] | None, patience: float
) -> Outcome:
    """Run a command in a session of its own and end what it leaves; output goes to files, which nobody can keep open."""
    if environment is not None:
        # The launcher is the host's, and found by the host's PATH.
        command = [shutil.which(command[0]) or command[0], *command[1:]]
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(case.stdin)
        stdin.seek(0)
        start = time.perf_counter()
        with subprocess.Popen(
            command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment, start_new_session=True
        ) as process:
            try:
                code: int | None = process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                code = None
            seconds = time.perf_counter() - start
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        stdout.seek(0)
        stderr.seek(0)
        files = tuple(_listing(case, place))
        return Outcome(code, stdout.read(), stderr.read(), files, seconds)


def _listing(case: Case, place: Path) -> list[str]:
    """What is there: path, kind, permissions, and the target or a digest of the content."""
    found = []
    for folder, folders, names in os.walk(place):
        for name in sorted([*folders, *names]):
            path = Path(folder, name)
            relative = path.relative_to(place).as_posix()
            if case.ignore is not None and re.search(case.ignore, relative):
                continue
            status = path.lstat()
            if path.is_symlink():
                content = os.readlink(path)
            elif path.is_file():
                content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            else:
                content = ""
            found.append(f"{relative} {status.st_mode:o} {content}".rstrip())
    return sorted(found)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
