"""``python -m conformance.hashes``: a gigabyte through every hash plug-in, beside hashlib and native 32-bit programs.

The plug-ins are those that come with the PKI, at work in :class:`vx32py.pki.guest.GuestScheme`, with limits of time and memory
but without one of instructions, which nobody counts in a gigabyte. The native program is the same source, compiled by the same compiler with the same options. All three see the same bytes and must
have the same digest. They take turns, a part of the gigabyte at a time, so that a ratio compares neighbours.
"""

from __future__ import annotations

import hashlib
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
    """One hash: megabytes (10^6 bytes) a second as a guest, of the native program, and of hashlib (None: it has no such
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
    digests = []
    whole = hashlib.new(name) if known else None
    with GuestScheme(plugins.load(name), limits=Limits(fuel=None)) as scheme:
        hasher = scheme.hasher()
        for turn in range(turns):
            progress(f"{name}: {turn + 1} of {turns}")
            start = time.perf_counter()
            for _ in range(pieces):
                hasher.update(piece)
            seconds["guest"].append(time.perf_counter() - start)
            start = time.perf_counter()
            printed = _run(program, pieces, seed)
            seconds["native"].append(time.perf_counter() - start)
            if whole is not None:
                start = time.perf_counter()
                for _ in range(pieces):
                    whole.update(piece)
                seconds["hashlib"].append(time.perf_counter() - start)
        digests = [hasher.digest().hex(), _run(program, pieces * turns, seed)]
        if whole is not None:
            digests.append(whole.hexdigest())
    size = pieces * PIECE / 1e6
    ratios = [a / b for a, b in zip(seconds["guest"], seconds["native"], strict=True)]
    return Row(
        name, size / median(seconds["guest"]), size / median(seconds["native"]),
        size / median(seconds["hashlib"]) if known else None, median(ratios), len(set(digests)) == 1 and bool(printed),
    )  # fmt: skip


def _run(program: Path, pieces: int, seed: int) -> str:
    done = subprocess.run([program, str(pieces), str(seed)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _hashlib(name: str) -> bool:
    try:
        hashlib.new(name)
    except ValueError:
        return False
    return True
