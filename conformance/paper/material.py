"""Files for the decoders to decode, made by the native libraries and Debian's tools: the same each time."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from conformance import busybox

MIB: Final = 1 << 20


class NoTool(RuntimeError):
    """A tool that makes the files is missing, or has failed."""


def _tool(*command: str | Path) -> None:
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError as error:
        raise NoTool(f"{command[0]} is not installed") from error
    if done.returncode:
        raise NoTool(f"{command[0]}: {done.stderr.decode(errors='replace').strip()[-200:]}")


def picture(side: int, file: Path) -> None:
    """A PPM of side by side pixels: waves, edges and noise."""
    import numpy as np

    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    noise = np.random.default_rng(1).integers(0, 24, (side, side), dtype=np.uint8)
    planes = [
        (100 + 80 * np.sin(x / (13 + 7 * i)) * np.cos(y / (31 - 5 * i))).astype(np.uint8) + noise // (i + 1)
        for i in range(3)
    ]
    pixels = np.stack(planes, axis=-1)
    pixels[(x.astype(int) // 64 + y.astype(int) // 64) % 5 == 0] ^= 0x40
    file.write_bytes(b"P6\n%d %d\n255\n" % (side, side) + pixels.tobytes())


def sound(seconds: int, file: Path) -> None:
    """A WAV of two channels at 44.1 kHz: chords that change, with noise."""
    import numpy as np

    rate = 44100
    random = np.random.default_rng(2)
    with file.open("wb") as out:
        size = 4 * rate * seconds
        out.write(
            struct.pack(
                "<4sI8sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, 2, rate, 4 * rate, 4, 16, b"data", size
            )
        )
        time = np.arange(rate, dtype=np.float32) / rate
        for second in range(seconds):
            left = sum(np.sin(2 * math.pi * 110 * 2 ** ((7 * k + second) % 36 / 12) * time) for k in range(4))
            right = np.roll(left, 40) * 0.8
            noise = random.normal(0, 0.01, (2, rate)).astype(np.float32)
            samples = np.stack([left, right]) * 0.2 + noise
            out.write((samples.T * 32000).clip(-32768, 32767).astype("<i2").tobytes())


def _picture(tool: Callable[[Path, Path], None]) -> Callable[[int, Path], None]:
    def make(side: int, file: Path) -> None:
        source = file.with_suffix(".ppm")
        picture(side, source)
        tool(source, file)
        source.unlink()

    return make


def _sound(tool: Callable[[Path, Path], None]) -> Callable[[int, Path], None]:
    def make(seconds: int, file: Path) -> None:
        source = file.with_suffix(".wav")
        sound(seconds, source)
        tool(source, file)
        source.unlink()

    return make


def _packed(pack: Callable[[bytes], bytes]) -> Callable[[int, Path], None]:
    def make(size: int, file: Path) -> None:
        file.write_bytes(pack(busybox.text(size * MIB)))

    return make


def _chapters(pack: Callable[[bytes], bytes], most: int = 8) -> Callable[[int, Path], None]:
    """So many MiB of text, in members of a few MiB behind each other that repeat."""

    def make(size: int, file: Path) -> None:
        members = [pack(busybox.text((i + 1) * 4 * MIB)[i * 4 * MIB :]) for i in range(min(most, max(size // 4, 1)))]
        with file.open("wb") as out:
            for i in range(max(size // 4, 1)):
                out.write(members[i % len(members)])

    return make


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _zstd(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=9).compress(data)


def _brotli(data: bytes) -> bytes:
    import brotli

    return bytes(brotli.compress(data, quality=5))


def _png(source: Path, file: Path) -> None:
    """Each line as differences to its left neighbours (PNG specification, section 9: filter type 1)."""
    import numpy as np

    head, _, rest = source.read_bytes().partition(b"\n255\n")
    side = int(head.split()[1])
    pixels = np.frombuffer(rest, np.uint8).reshape(side, side, 3)
    lines = pixels.copy()
    lines[:, 1:] -= pixels[:, :-1]
    data = zlib.compress(np.insert(lines.reshape(side, -1), 0, 1, axis=1).tobytes(), 6)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


#: What makes the file of each decoder, from a size: MiB of text, the side of a picture, seconds of sound.
MAKERS: Final[dict[str, Callable[[int, Path], None]]] = {
    "deflate": _packed(_deflated),
    "gzip": _chapters(lambda data: gzip.compress(data, 6, mtime=0)),
    "bzip2": _chapters(lambda data: bz2.compress(data, 9)),
    "xz": _chapters(lambda data: lzma.compress(data, preset=2)),
    "zstd": _chapters(_zstd),
    "brotli": _packed(_brotli),
    "jpeg": _picture(lambda source, file: _tool("cjpeg", "-quality", "90", "-outfile", file, source)),
    "jp2": _picture(lambda source, file: _tool("opj_compress", "-i", source, "-o", file, "-r", "8")),
    "png": _picture(_png),
    "vorbis": _sound(lambda source, file: _tool("oggenc", "-Q", "-q", "5", "-s", "1", "-o", file, source)),
    "flac": _sound(lambda source, file: _tool("flac", "-s", "-f", "-8", "-o", file, source)),
}
