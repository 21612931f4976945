"""Raw material (bytes, pictures, sounds), the tools of Debian that make files of it, and what is in a BMP or a WAV."""

from __future__ import annotations

import functools
import itertools
import shutil
import struct
import subprocess
import sysconfig
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.int64]

#: No tool takes longer, in seconds.
TIMEOUT: Final = 600.0
#: Which of Debian's packages has a tool.
_PACKAGES: Final = {
    "cjpeg": "libjpeg-turbo-progs", "djpeg": "libjpeg-turbo-progs", "jpegtran": "libjpeg-turbo-progs",
    "opj_compress": "libopenjp2-tools", "opj_decompress": "libopenjp2-tools", "oggenc": "vorbis-tools",
    "oggdec": "vorbis-tools", "xz": "xz-utils", "pnmtopng": "netpbm", "pngtopam": "netpbm", "pnmremap": "netpbm",
}  # fmt: skip


class ToolMissing(Exception):
    """A tool is not installed here; the message names its package."""


def run(command: Sequence[str | Path], stdin: bytes = b"", folder: Path | None = None) -> bytes:
    """What the tool writes to standard output. Raises ToolMissing, and RuntimeError with what it complains about."""
    name = str(command[0])
    if shutil.which(name) is None:
        raise ToolMissing(f"{name} is missing: apt-get install {_PACKAGES.get(name, name)}")
    done = subprocess.run(
        [str(part) for part in command], input=stdin, cwd=folder, capture_output=True, timeout=TIMEOUT, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


@functools.lru_cache(maxsize=4)
def raw(size: int) -> bytes:
    """Programs and texts, as a system has them: the standard library's sources and its extension modules, in turn."""
    folder = Path(sysconfig.get_path("stdlib"))
    texts, programs = sorted(folder.rglob("*.py")), sorted(folder.rglob("*.so"))
    found = bytearray()
    while len(found) < size:
        for text, program in itertools.zip_longest(texts, programs):
            found += text.read_bytes() if text else b""
            found += program.read_bytes() if program else b""
            if len(found) >= size:
                break
    return bytes(found[:size])


@functools.lru_cache(maxsize=8)
def picture(width: int, height: int, channels: int, depth: int = 8) -> Any:
    """Slopes, waves, edges and a little noise: an array (height, width, channels) of 0 to 2**depth - 1."""
    import numpy as np

    top = (1 << depth) - 1
    noise = np.random.default_rng(20080625)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for channel in range(channels):
        value = 0.5 + 0.4 * np.sin(x / (17 + 3 * channel)) * np.cos(y / (11 + channel))
        value = np.where((x // 40 + y // 30) % 5 == 0, ((3 * x + (channel + 1) * y) % 256) / 255, value)
        value += noise.normal(0, 0.01, value.shape)
        planes.append(np.clip(np.rint(value * top), 0, top).astype(np.int64))
    return np.stack(planes, axis=-1)


def pnm(pixels: Any, depth: int = 8) -> bytes:
    """A PGM, PPM, or PAM with opacity, of an array (height, width, channels)."""
    height, width, channels = pixels.shape
    top = (1 << depth) - 1
    if channels in {2, 4}:
        kind = "GRAYSCALE_ALPHA" if channels == 2 else "RGB_ALPHA"
        header = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH {channels}\nMAXVAL {top}\nTUPLTYPE {kind}\nENDHDR\n"
    else:
        header = f"P{5 if channels == 1 else 6}\n{width} {height}\n{top}\n"
    data: bytes = pixels.astype(">u2" if depth > 8 else "u1").tobytes()
    return header.encode() + data


def from_pam(data: bytes) -> tuple[Any, int]:
    """The array (height, width, channels) of a PAM, and its largest value."""
    import numpy as np

    header, _, rest = data.partition(b"ENDHDR\n")
    fields = dict(line.split(None, 1) for line in header.decode().splitlines()[1:] if " " in line)
    width, height, channels, top = (int(fields[name]) for name in ("WIDTH", "HEIGHT", "DEPTH", "MAXVAL"))
    found = np.frombuffer(rest, dtype=">u2" if top > 255 else "u1")
    return found.reshape(height, width, channels).astype(np.int64), top


def from_bmp(data: bytes, *, sized: bool = True) -> Any:
    """The array (height, width, channels) of a BMP of 8 bits (grey), 24 or 32: rows from the top, red, green, blue, opacity.

    ``sized``: its header must tell the length of the file, which that of opj_decompress does not always."""
    import numpy as np

    magic, size, offset = struct.unpack_from("<2sI4xI", data)
    width, height, bits, kind = struct.unpack_from("<ii2xHI", data, 18)
    assert magic == b"BM"
    assert size == len(data) or not sized, f"the BMP says {size} bytes and has {len(data)}"
    assert kind == (3 if bits == 32 else 0)
    row = (width * bits // 8 + 3) & ~3
    rows = np.frombuffer(data, dtype="u1", offset=offset, count=row * abs(height)).reshape(abs(height), row)
    pixels = rows[:, : width * bits // 8].reshape(abs(height), width, bits // 8)
    if height > 0:
        pixels = pixels[::-1]
    return (pixels[..., [2, 1, 0, 3][: bits // 8]] if bits > 8 else pixels).astype(np.int64)


@functools.lru_cache(maxsize=8)
def sound(seconds: float, channels: int, rate: int, bits: int = 16) -> Any:
    """Tones and a little noise: an array (samples, channels) of signed numbers of that many bits."""
    import numpy as np

    count = round(seconds * rate)
    noise = np.random.default_rng(20080625)
    at = np.arange(count)
    top = (1 << (bits - 1)) - 1
    planes = [
        0.3 * np.sin(at / (20 + 7 * channel)) + 0.2 * np.sin(at * at / (9e6 + channel)) + noise.normal(0, 0.01, count)
        for channel in range(channels)
    ]
    return np.clip(np.rint(np.stack(planes, axis=-1) * top), -top - 1, top).astype(np.int64)


def samples(array: Any, bits: int) -> bytes:
    """Little-endian samples of 8 (unsigned), 16, 24 or 32 bits."""
    if bits == 8:
        return bytes((array + 128).astype("u1").tobytes())
    if bits == 24:
        wide = array.astype("<i4").tobytes()
        return b"".join((wide[i : i + 3]) for i in range(0, len(wide), 4))
    return bytes(array.astype(f"<i{bits // 8}").tobytes())


def wav(path: Path, array: Any, rate: int, bits: int = 16) -> Path:
    """A WAV file of that sound."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(array.shape[1])
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(samples(array, bits))
    return path


def from_wav(data: bytes) -> Any:
    """The samples of a WAV of 16 bits with the short header."""
    import numpy as np

    assert data[:4] == b"RIFF"
    assert data[12:16] == b"fmt "
    assert data[36:40] == b"data"
    riff, size = struct.unpack_from("<4xI", data)[0], struct.unpack_from("<I", data, 40)[0]
    assert riff == len(data) - 8
    assert size == len(data) - 44
    return np.frombuffer(data, dtype="<i2", offset=44).astype(np.int64)
