"""``python -m conformance.hashes``: a gigabyte through every hash plug-in, beside hashlib and native 32-bit programs.

The plug-ins are those that come with the PKI, at work in :class:`vx32py.pki.guest.GuestScheme`, with limits of time and memory
but without one of instructions, which nobody counts in a gigabyte. The native program is the same source, compiled by the same
compiler with the same options. All three see the same bytes and must have the same digest. They take turns, a part of the
gigabyte at a time, so that a ratio compares neighbours; time is the processor's.
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from reference.records import dataclass, replace
from vx32py.pki import plugins
from vx32py.pki.guest import GuestScheme, Limits
from vx32py.upstream import building
from vx32py.upstream.building import Target

_HERE: Final = Path(__file__).resolve().parent
PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One hash: megabytes (10^6 bytes) per second of processor time as a guest, of the native program, and of hashlib (None: it has no such
    hash), each a median of the turns; ``ratio`` is the median of guest time over native time; ``agrees`` says whether all
    digests are the same."""

    name: str
    guest: float
    native: float
    hashlib: float | None
    ratio: float
    agrees: bool


def piece_of(seed: int) -> bytes:
    """The bytes that the native program makes, too."""
    made = bytearray(PIECE)
    word = seed
    for i in range(PIECE):
        word = (word * 1664525 + 1013904223) & 0xFFFF_FFFF
        made[i] = word >> 24
    return bytes(made)


def native(name: str) -> Path:
    """The native program of a hash, built if need be."""
    recipe = plugins.RECIPES[name]
    target = replace(
        recipe, name=f"{name}-native", files=(*recipe.files, _HERE / "native" / "main.c"),
        include=(_HERE / "native", *recipe.include), plugin=False,
    )  # fmt: skip
    output = _HERE.parents[1] / "build" / "hashes" / name
    building.build([Target(target, output, native=True)])
    return output


def measure(name: str, pieces: int, turns: int, piece: bytes, seed: int, progress: Callable[[str], None]) -> Row:
    """``turns`` turns of ``pieces`` pieces each."""
    program = native(name)
    plugins.load(name)
    known = _hashlib(name)
    seconds: dict[str, list[float]] = {"guest": [], "native": [], "hashlib": []}
    printed: set[str] = set()
    whole = hashlib.new(name) if known else None
    with GuestScheme(plugins.load(name), limits=Limits(fuel=None)) as scheme:
        hasher = scheme.hasher()
        for turn in range(turns):
            progress(f"{name}: {turn + 1} of {turns}")
            start = _seconds()
            for _ in range(pieces):
                hasher.update(piece)
            seconds["guest"].append(_seconds() - start)
            start = _seconds()
            printed.add(_run(program, pieces, seed))
            seconds["native"].append(_seconds() - start)
            if whole is not None:
                start = _seconds()
                for _ in range(pieces):
                    whole.update(piece)
                seconds["hashlib"].append(_seconds() - start)
        # The native program has printed digests of parts; one of everything is made where there is nobody else to ask.
        digests = [hasher.digest().hex(), whole.hexdigest() if whole else _run(program, pieces * turns, seed)]
    if known:
        parts = hashlib.new(name)
        for _ in range(pieces):
            parts.update(piece)
        printed.add(parts.hexdigest())
    size = pieces * PIECE / 1e6
    ratios = [a / b for a, b in zip(seconds["guest"], seconds["native"], strict=True)]
    return Row(
        name, size / median(seconds["guest"]), size / median(seconds["native"]),
        size / median(seconds["hashlib"]) if known else None, median(ratios), len(set(digests)) == len(printed) == 1,
    )  # fmt: skip


def _seconds() -> float:
    """Processor time of this process and of those it has waited for: what else the machine does has no part in it."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _run(program: Path, pieces: int, seed: int) -> str:
    done = subprocess.run([program, str(pieces), str(seed)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _hashlib(name: str) -> bool:
    try:
        hashlib.new(name)
    except ValueError:
        return False
    return True
