"""Encoders: how files get compressed on their way into an archive. They run on the host, by libraries; decoders never do.

What they write must be what the decoders of `vx32py.decoders` read with little memory: windows have at most 8 MiB.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, Protocol

from vx32py.archive.errors import ArchiveError

Effort = Literal["fast", "normal", "best"]

#: The codecs that files are compressed with, in the order in which the first of equals is taken.
CODECS: Final = ("deflate", "zstd", "bzip2", "xz", "brotli")
#: What they need that does not come with Python.
_NEEDS: Final = {"zstd": "zstandard", "brotli": "brotli"}
#: Each library's own measure of effort, by ours.
_LEVELS: Final = {
    "deflate": {"fast": 1, "normal": 9, "best": 9},
    "bzip2": {"fast": 1, "normal": 9, "best": 9},
    "xz": {"fast": 0, "normal": 6, "best": 6},
    "zstd": {"fast": 3, "normal": 15, "best": 19},
    "brotli": {"fast": 4, "normal": 9, "best": 11},
}
#: Files of at most so many bytes are tried with every codec as a whole, of larger ones pieces of this many bytes in all.
WHOLE: Final = 1 << 20
PIECES: Final = 4
#: A codec that leaves more than this of a sample is not worth its decoder's time.
WORTH: Final = 0.98


class Encoder(Protocol):
    """Compresses a stream, piece by piece."""

    def compress(self, data: bytes, /) -> bytes:
        """Some of what has become of the data so far."""

    def flush(self) -> bytes:
        """The rest of it."""


def available() -> list[str]:
    """The codecs whose libraries are installed."""
    return [codec for codec in CODECS if codec not in _NEEDS or importlib.util.find_spec(_NEEDS[codec])]


def check(codecs: Iterable[str]) -> list[str]:
    """These codecs, which there must be, each once. Raises ValueError for unknown ones, ArchiveError for missing libraries."""
    chosen = list(dict.fromkeys(codecs))
    for codec in chosen:
        if codec not in CODECS:
            raise ValueError(f"a codec is one of {', '.join(CODECS)}, not {codec!r}")
        if codec in _NEEDS and importlib.util.find_spec(_NEEDS[codec]) is None:
            raise ArchiveError(
                f"compressing with {codec} needs the library {_NEEDS[codec]} (pip install 'vx32py[archive]')"
            )
    return chosen


def encoder(codec: str, effort: Effort = "normal", size: int | None = None) -> Encoder:
    """An encoder for one file of ``size`` bytes, if that is known."""
    return _ENCODERS[codec](_LEVELS[codec][effort], size)


def _deflate(level: int, _: int | None) -> Encoder:
    import zlib

    return zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 9)


def _bzip2(level: int, _: int | None) -> Encoder:
    import bz2

    return bz2.BZ2Compressor(level)


def _xz(level: int, _: int | None) -> Encoder:
    import lzma

    return lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC32, level)


def _zstd(level: int, size: int | None) -> Encoder:
    import zstandard

    window = zstandard.ZstdCompressionParameters.from_level(level, source_size=size or 0).window_log
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, source_size=size or 0, window_log=min(window, 23), write_content_size=size is not None
    )
    made: Encoder = zstandard.ZstdCompressor(compression_params=parameters).compressobj(-1 if size is None else size)
    return made


class _Brotli:
    def __init__(self, level: int) -> None:
        import brotli

        self._encoder: Any = brotli.Compressor(quality=level, lgwin=22)

    def compress(self, data: bytes) -> bytes:
        return bytes(self._encoder.process(data))

    def flush(self) -> bytes:
        return bytes(self._encoder.finish())


_ENCODERS: Final[dict[str, Callable[[int, int | None], Encoder]]] = {
    "deflate": _deflate, "bzip2": _bzip2, "xz": _xz, "zstd": _zstd, "brotli": lambda level, _: _Brotli(level),
}  # fmt: skip


def compress(codec: str, data: bytes, effort: Effort = "normal") -> bytes:
    """All of ``data`` as one stream."""
    made = encoder(codec, effort, len(data))
    return made.compress(data) + made.flush()


def best(codecs: Sequence[str], sample: bytes, effort: Effort = "normal") -> tuple[str, bytes] | None:
    """The codec that makes the least of a sample, and what it makes of it; None where all of them leave nearly all of it."""
    smallest: tuple[str, bytes] | None = None
    for codec in codecs:
        made = compress(codec, sample, effort)
        if smallest is None or len(made) < len(smallest[1]):
            smallest = codec, made
    return None if smallest is None or len(smallest[1]) > WORTH * len(sample) else smallest
