"""Shots: signals at random moments at programs that run guests (:mod:`conformance.soak.targets`), and at the command line.

A shot is good if what was to come of it comes, and nothing else: a KeyboardInterrupt, or the exit code 130 and nothing on
stderr; of a burst at handlers that return, a call of the handler of the last one. And the next guest in the same process
must be as good as any.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from conformance.guests import ROOT
from conformance.soak import programs
from conformance.soak.images import assembled, image

#: Seconds after which something counts as hanging.
PATIENCE: Final = 60.0
#: Delays before a shot are spread evenly over the powers of ten between these, in seconds.
_SHORTEST, _LONGEST = -6.0, -1.7
#: How many signals a burst may have.
_BURST: Final = 200
#: Shots at one process, after which a new one is made.
_PER_PROCESS: Final = 250
_EXIT_INTERRUPTED: Final = 130
#: What is sent in a burst, before the last one.
_OTHERS: Final = (signal.SIGALRM, signal.SIGTERM, signal.SIGUSR1)


@dataclass
class Tally:
    """What has come of the shots of one kind."""

    shots: int = 0
    signals: int = 0
    complaints: list[str] = field(default_factory=list)
    #: What processes had at their ends.
    footprints: list[dict[str, int]] = field(default_factory=list)


class Missed(Exception):
    """A shot has had another consequence than it should, or none."""


class _Target:
    """A program that is shot at."""

    def __init__(self, kind: str, engine: str, seed: int) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the target
        command = [sys.executable, "-X", "faulthandler", "-m", "conformance.soak.targets", kind, engine, str(seed)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, bufsize=1
        )

    def say(self) -> None:
        """Ask for the next round."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")

    def hear(self, expected: str | None = None) -> str:
        """The next line. Raises Missed where it does not come, or is another one than expected."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.send_signal(signal.SIGABRT)  # faulthandler shows where it stands
            self.process.wait()
            raise Missed(f"no answer within {PATIENCE:.0f} s\n{self.complaint()}")
        line = self.process.stdout.readline().strip()
        if expected is not None and line != expected:
            code = self.process.wait() if not line else None
            raise Missed(f"{line or _ending(code)}\n{self.complaint()}")
        return line

    def complaint(self) -> str:
        """What it has said on stderr."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace").strip()

    def end(self) -> dict[str, int]:
        """Let it end; what it had then. Raises Missed."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        found: dict[str, int] = json.loads(self.hear() or "{}")
        code = self.process.wait(PATIENCE)
        if code != 0 or self.complaint():
            raise Missed(f"{_ending(code)} in the end\n{self.complaint()}")
        return found

    def close(self) -> None:
        """Make an end of it in any case."""
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.errors):
            if file is not None:
                with contextlib.suppress(BrokenPipeError):
                    file.close()


def _ending(code: int | None) -> str:
    if code is None:
        return "nothing was said"
    return f"died of {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _wait(rng: random.Random) -> None:
    """A moment: too short ones for sleep are spent."""
    until = time.perf_counter() + 10 ** rng.uniform(_SHORTEST, _LONGEST)
    while (left := until - time.perf_counter()) > 0:
        if left > 0.001:
            time.sleep(left / 2)


def _interrupt(target: _Target, rng: random.Random) -> int:
    """One SIGINT, or several right behind each other, of which Python may make one."""
    target.say()
    target.hear("ready")
    _wait(rng)
    count = rng.choice((1, 1, 1, 2, 10))
    for _ in range(count):
        target.process.send_signal(signal.SIGINT)
    target.hear("well")
    return count


def _burst(target: _Target, rng: random.Random) -> int:
    """Many signals, the last of which is the one that is waited for."""
    target.say()
    target.hear("ready")
    count = rng.randrange(_BURST)
    pause = rng.random() < 0.5
    for _ in range(count):
        if pause:
            _wait(rng)
            if rng.random() < 0.5:
                break
        target.process.send_signal(rng.choice(_OTHERS))
    _wait(rng)
    target.process.send_signal(signal.SIGUSR2)
    target.hear("well")
    return count + 1


def at_programs(kind: str, engine: str, count: int, seed: int) -> Iterator[Tally]:
    """Shoot at a program of that kind, ``interrupts`` or ``handlers``; the tally after each shot."""
    shoot: Callable[[_Target, random.Random], int] = {"interrupts": _interrupt, "handlers": _burst}[kind]
    tally = Tally()
    while tally.shots < count and len(tally.complaints) < 3:
        name = seed + tally.shots
        rng = random.Random(name)  # noqa: S311 - reproducible, not secret
        target = _Target(kind, engine, name)
        try:
            for _ in range(min(_PER_PROCESS, count - tally.shots)):
                tally.signals += shoot(target, rng)
                tally.shots += 1
                yield tally
            tally.footprints.append(target.end())
        except Missed as problem:
            tally.shots += 1
            tally.complaints.append(f"{kind}, {engine}, seed {name}: {problem}")
            yield tally
        finally:
            target.close()


#: Says that it is there, and goes on for ever, in a loop or in system calls.
_SPINNERS: Final = ("9: jmp 9b", "9: mov eax, 29\n syscall\n jmp 9b", "9: mov eax, 6\n mov edx, -1\n syscall\n jmp 9b")


def at_command_line(engine: str, count: int, seed: int) -> Iterator[Tally]:
    """Shoot at ``vx32py run`` of guests that go on for ever; the tally after each shot."""
    tally = Tally()
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, loop in enumerate(_SPINNERS):
            say = f"mov eax, {programs.WRITE}\n mov edx, 1\n mov ecx, DATA\n mov ebx, 1\n syscall\n"
            path = Path(folder) / f"spinner{number}.elf"
            path.write_bytes(image(assembled(say + loop)))
            paths.append(path)
        while tally.shots < count and len(tally.complaints) < 3:
            problem = _shoot_at_run(engine, rng.choice(paths), rng)
            tally.shots += 1
            tally.signals += 1
            if problem:
                tally.complaints.append(f"command line, {engine}, seed {seed}, shot {tally.shots}: {problem}")
            yield tally


def _shoot_at_run(engine: str, path: Path, rng: random.Random) -> str:
    """What was wrong, if anything."""
    command = [sys.executable, "-m", "vx32py", "run", "--engine", engine, str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    with process:
        assert process.stdout is not None
        if process.stdout.read(1) != b"\0":
            return f"the guest did not begin: {_ending(process.wait())}, {process.communicate()[1]!r}"
        _wait(rng)
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return f"still there {PATIENCE:.0f} s later"
    if process.returncode == _EXIT_INTERRUPTED and not errors:
        return ""
    return f"{_ending(process.returncode)}, {errors.decode(errors='replace')!r}"
