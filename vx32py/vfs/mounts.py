"""What a guest can be given as its file system: the words that are mounted at guest paths.

    Files({"/": Overlay(root), "/proc": Proc(), "/dev": Dev(), "/tmp": Tmpfs("64M"), "/src": "/home/me/src",
           "/out": Grant("/home/me/out", writable=True), "/etc/hosts": b"127.0.0.1 localhost\\n"})

They only say what is wanted. Each guest that is spawned gets file systems of its own made from them; its children share
those.
"""

from __future__ import annotations

import os
from typing import Final

from reference.records import dataclass

#: Files, directories and links that may be made in a file system of the guest's own, unless it says otherwise.
MOST_FILES: Final = 1 << 16

_UNITS: Final = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def parse_size(size: int | str) -> int:
    """Bytes from a number, or from text such as "64M", "512K", "1G", "1 GiB". Raises ValueError.

    >>> parse_size("64M")
    67108864
    """
    if isinstance(size, int):
        return size
    text = size.strip().upper()
    digits = text.rstrip("BIKMG ")
    unit = text[len(digits) :].strip().removesuffix("IB") if text.endswith("IB") else text[len(digits) :].strip()
    unit = unit.removesuffix("B") if len(unit) == 2 else unit
    if not digits.isascii() or not digits.isdigit() or unit not in _UNITS:
        raise ValueError(f"not a size: {size!r} (a number of bytes, or such as 64M)")
    return int(digits) * _UNITS[unit]


@dataclass(frozen=True, slots=True)
class Grant:
    """A host directory or file, and whether the guest may change it."""

    path: str | os.PathLike[str]
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """An empty directory of the guest's own, gone with the guest. ``size``: bytes of all its files together, or such as
    "64M"; ``files``: how many files, directories and links. More fail with ENOSPC."""

    size: int | str = "64M"
    files: int = MOST_FILES
    mode: int = 0o1777


@dataclass(frozen=True, slots=True)
class Overlay:
    """A host directory that the guest may change as it likes, and that stays as it is: what the guest writes goes into a
    layer of its own. ``size`` and ``files`` limit that layer, as :class:`Tmpfs` does.

    ``upper``: a host directory to which the layer is saved when the guest has ended, and from which the next one goes on.
    It has the form of a layer of an OCI image (image-spec, layer.md): changed files as they are, ``.wh.NAME`` for what has
    been removed, ``.wh..wh..opq`` in a directory that hides the one below. None: the changes are gone with the guest.
    """

    path: str | os.PathLike[str]
    upper: str | os.PathLike[str] | None = None
    size: int | str = "1G"
    files: int = MOST_FILES


@dataclass(frozen=True, slots=True)
class Proc:
    """What programs look for in /proc, about the guest's own processes only."""


@dataclass(frozen=True, slots=True)
class Dev:
    """null, zero, full, random, urandom, tty (where a standard stream is a terminal), stdin, stdout, stderr, fd, shm.
    ``shm``: the size of /dev/shm."""

    shm: int | str = "64M"


@dataclass(frozen=True, slots=True)
class Default:
    """The content of a read-only file that is there where a root has no file of that name."""

    content: bytes


#: A host path (read-only), the content of a read-only file, or one of the words above.
Granted = str | os.PathLike[str] | bytes | Grant | Tmpfs | Overlay | Proc | Dev | Default
