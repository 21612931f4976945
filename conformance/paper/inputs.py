"""What programs get on standard input: the same bytes every time, made when they are needed and kept in ``build/paper``.

Texts are those of :mod:`conformance.busybox`, packed by Python's own libraries. Pictures and sounds come from the
drivers of ``upstream``, whose libraries encode as well as decode: they are made natively, by the very program that then
decodes them.
"""

from __future__ import annotations

import bz2
import os
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import vx32py
from conformance import busybox, guests
from conformance.paper.recipes import DRIVERS
from jit import diskcache

BUILD: Final = guests.ROOT / "build" / "paper"
#: Makes input from the native program that will read it.
Input = Callable[[Path], bytes]


def text(size: int) -> Input:
    """Text of so many bytes."""
    return lambda program: busybox.text(size)


def zlib_stream(size: int) -> Input:
    """So much text, as a zlib stream."""
    return lambda program: zlib.compress(busybox.text(size), 6)


def bzip2_stream(size: int) -> Input:
    """So much text, as a bzip2 stream."""
    return lambda program: bz2.compress(busybox.text(size), 9)


def lz_stream(size: int) -> Input:
    """So much text as a stream of the lz example, from the guest that makes it."""

    def of(program: Path) -> bytes:
        content = busybox.text(size)
        kept = BUILD / f"lz-{diskcache.key_of(content, (guests.EXAMPLES / 'lz.c').read_bytes())[:12]}"

        def make() -> bytes:
            return vx32py.run(guests.example("lz", using=guests.compiler()), ["-c"], content, check=True).stdout

        return _kept(kept, make)

    return of


def encoded(size: int) -> Input:
    """What the program itself encodes: a picture of that width, or a sound of so many seconds."""

    def of(program: Path) -> bytes:
        kept = BUILD / f"{program.name}-input-{size}"
        command = [str(program), "-c", str(size)]
        return _kept(kept, lambda: subprocess.run(command, capture_output=True, check=True).stdout)

    return of


def script(name: str) -> Input:
    """A file from among the drivers."""
    return lambda program: (DRIVERS / name).read_bytes()


def packed(job: busybox.Job, size: int) -> Input:
    """What a job of busybox reads."""
    return lambda program: busybox.packed(job.input, size)


def _kept(place: Path, make: Callable[[], bytes]) -> bytes:
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f".{place.name}.{os.getpid()}")
        fresh.write_bytes(make())
        fresh.replace(place)
    return place.read_bytes()
