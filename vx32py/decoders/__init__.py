"""Decoders that run as guests: what a compressed file or a picture or a sound needs to be read anywhere.

Each reads a file from standard input and writes what is in it to standard output: plain bytes, a BMP picture, or WAV
sound. It ends with exit code 0, or with 1 and one line on standard error where the input is damaged, cut short, or more
than its memory can hold. They are built by ``python -m vx32py.decoders`` from the sources of well-kept libraries, need
SSE2 and nothing beyond the VX ABI's calls for reading, writing and memory, and give the same output on every host.

>>> sorted(NAMES) == sorted(MEMORY)
True
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from vx32py._errors import Vx32Error

if TYPE_CHECKING:
    from vx32py._module import Module

__all__ = ["BUILT", "MEMORY", "NAMES", "DecoderMissing", "load", "path"]

#: Where they are.
BUILT: Final = Path(__file__).resolve().parent / "built"

MIB: Final = 1 << 20
#: The memory limit that is enough for what each promises to decode, in bytes: image, stack and heap. Those of pictures
#: grow with the picture; the limit given here is for the largest that is promised (docs/decoders.md).
MEMORY: Final = {
    "deflate": 8 * MIB,
    "gzip": 8 * MIB,
    "bzip2": 16 * MIB,
    "xz": 80 * MIB,
    "zstd": 144 * MIB,
    "brotli": 48 * MIB,
    "jpeg": 256 * MIB,
    "jp2": 512 * MIB,
    "png": 256 * MIB,
    "vorbis": 80 * MIB,
    "flac": 16 * MIB,
}
NAMES: Final = tuple(MEMORY)


class DecoderMissing(Vx32Error):
    """A decoder has not been built here; the message says what to do."""


def path(name: str) -> Path:
    """Where the decoder is. Raises DecoderMissing, and ValueError for a name that none has."""
    if name not in MEMORY:
        raise ValueError(f"no decoder is called {name!r}; there are {', '.join(NAMES)}")
    found = BUILT / f"{name}.elf"
    if not found.is_file():
        raise DecoderMissing(f"the decoder {name!r} has not been built: run make decoders (python -m vx32py.decoders)")
    return found


def load(name: str) -> Module:
    """The decoder as a module that a sandbox can run. Raises DecoderMissing, and ValueError for a name that none has."""
    from vx32py._module import Module

    return Module.from_file(path(name))
