"""Guests that compute, with results that somebody else has computed: the examples, in C.

What Python can say in a moment it says; the rest comes from the same source as a native program, once.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import vx32py
from conformance import guests
from vx32py import _compile


@dataclass(frozen=True)
class Job:
    """A program, what it gets, and what it must say."""

    name: str
    args: tuple[str, ...]
    stdin: bytes
    expected: bytes

    @property
    def module(self) -> vx32py.Module:
        """The program, the same object each time."""
        return module(self.name)


@cache
def module(name: str) -> vx32py.Module:
    """An example as a guest."""
    return vx32py.Module.from_file(guests.example(name))


@cache
def _native(name: str, *args: str) -> bytes:
    command = [str(guests.example(name, "native", using=guests.compiler())), *args]
    return subprocess.run(command, capture_output=True, check=True).stdout


def available() -> bool:
    """Whether there is a compiler for them."""
    return bool(_compile.compilers())


def prepare() -> None:
    """Compile all of them, and have the native ones say what is to be said."""
    for make in _JOBS:
        make(random.Random(0), 1)  # noqa: S311 - reproducible, not secret
    for name in ("fib", "sha256", "matmul", "nbody", "lz", "qsort", "echo"):
        _ = module(name).identity


def _sha256(rng: random.Random, scale: int) -> Job:
    data = rng.randbytes(rng.choice((0, 55, 3000, 20_000 * scale)))
    return Job("sha256", (), data, hashlib.sha256(data).hexdigest().encode() + b"\n")


def _fib(rng: random.Random, scale: int) -> Job:
    number = rng.choice((5, 10, 12 + 4 * (scale > 1)))
    found = [0, 1]
    while len(found) <= number:
        found.append(found[-1] + found[-2])
    return Job("fib", (str(number),), b"", b"%d\n" % found[number])


def _program(name: str, args: tuple[str, ...]) -> Job:
    return Job(name, args, b"", _native(name, *args))


def _matmul(rng: random.Random, scale: int) -> Job:
    return _program("matmul", (str(rng.choice((4, 8, 12 + 20 * (scale > 1)))),))


def _nbody(rng: random.Random, scale: int) -> Job:
    return _program("nbody", (str(rng.choice((1, 2, 3 * scale))),))


def _qsort(rng: random.Random, scale: int) -> Job:
    return _program("qsort", (str(rng.choice((50, 200, 200 * scale))),))


def _echo(rng: random.Random, scale: int) -> Job:
    text = f"{rng.getrandbits(64):x}"
    return Job("echo", (text,), b"", text.encode() + b"\n")


_JOBS: Final[tuple[Callable[[random.Random, int], Job], ...]] = (_sha256, _fib, _matmul, _nbody, _qsort, _echo)


def make(rng: random.Random, scale: int) -> Job:
    """One of them; ``scale`` says how much the engine can do in a moment."""
    return rng.choice(_JOBS)(rng, scale)


def round_trip(rng: random.Random, scale: int) -> tuple[vx32py.Module, bytes]:
    """The compressor, and something to be compressed and restored."""
    words = [rng.randbytes(rng.randrange(1, 12)) for _ in range(20)]
    return module("lz"), b" ".join(rng.choice(words) for _ in range(rng.choice((0, 10, 100 * scale))))
