"""What is decoded: how each file is made, and what must come out of it.

What a tool decodes is compared with what the decoder does: bit for bit, but for Vorbis, whose floating-point sums may round
otherwise. General codecs must give back what was compressed.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from conformance.decoders.making import from_bmp, from_pam, from_wav, picture, pnm, raw, run, samples, sound, wav

#: What the decoder wrote, against what was expected: None, or what is wrong.
Check: TypeAlias = Callable[[bytes], str | None]


@dataclass(frozen=True)
class Size:
    """How much: bytes, width and height of pictures, seconds and rate of sounds."""

    name: str
    raw: int
    width: int
    height: int
    seconds: float
    rate: int


#: For engines that take a microsecond an instruction; for a test; for a measurement.
SMALL: Final = Size("small", 700, 11, 9, 0.02, 8_000)
MEDIUM: Final = Size("medium", 300_001, 317, 241, 1.2, 44_100)
LARGE: Final = Size("large", 32_000_003, 4001, 3001, 180, 44_100)


@dataclass(frozen=True)
class Case:
    """One kind of file. ``make`` gives the file, and what checks the output, from a folder of its own and a size."""

    name: str
    decoder: str
    make: Callable[[Path, Size], tuple[bytes, Check]]


def made(case: Case, size: Size) -> tuple[bytes, Check]:
    """The file and its check. Raises ToolMissing."""
    with tempfile.TemporaryDirectory(prefix="vx32py-") as folder:
        return case.make(Path(folder), size)


def exactly(expected: bytes) -> Check:
    """The same bytes."""

    def check(output: bytes) -> str | None:
        if output == expected:
            return None
        at = next((i for i, (a, b) in enumerate(zip(output, expected, strict=False)) if a != b), "the end")
        return f"{len(output)} bytes instead of {len(expected)}; they differ at {at}"

    return check


def _pixels(expected: Any) -> Check:
    def check(output: bytes) -> str | None:
        found = from_bmp(output)
        if found.shape != expected.shape:
            return f"a picture of {found.shape} instead of {expected.shape}"
        wrong = int((found != expected).sum())
        return f"{wrong} samples differ, by up to {abs(found - expected).max()}" if wrong else None

    return check


def _within_one(expected: bytes) -> Check:
    def check(output: bytes) -> str | None:
        if output[:44] != expected[:44] or len(output) != len(expected):
            return "another header or length"
        apart = abs(from_wav(output) - from_wav(expected))
        return f"samples differ by up to {apart.max()}" if apart.size and apart.max() > 1 else None

    return check


def _general(name: str, *commands: str, between: bytes = b"", before: bytes = b"") -> Case:
    """Compressed by each of the commands, one after the other, with something between."""

    def make(folder: Path, size: Size) -> tuple[bytes, Check]:
        data = raw(size.raw)
        step = -(-len(data) // len(commands))
        parts = [data[i * step : (i + 1) * step] for i in range(len(commands))]
        packed = between.join(run(command.split(), part) for command, part in zip(commands, parts, strict=True))
        return before + packed, exactly(data)

    decoder = commands[0].split()[0]
    return Case(f"{decoder} {name}", decoder, make)


def _deflate(level: int) -> Case:
    def make(folder: Path, size: Size) -> tuple[bytes, Check]:
        packer = zlib.compressobj(level, zlib.DEFLATED, -15)
        return packer.compress(raw(size.raw)) + packer.flush(), exactly(raw(size.raw))

    return Case(f"deflate -{level}", "deflate", make)


def _jpeg(name: str, options: str, *, grey: bool = False, transform: str = "") -> Case:
    def make(folder: Path, size: Size) -> tuple[bytes, Check]:
        source = pnm(picture(size.width, size.height, 1 if grey else 3))
        packed = run(["cjpeg", *options.split()], source)
        if transform:
            packed = run(["jpegtran", *transform.split()], packed)
        return packed, _pixels(from_bmp(run(["djpeg", "-dct", "int", "-bmp"], packed)))

    return Case(f"jpeg {name}", "jpeg", make)


def _jp2(name: str, options: str = "", *, suffix: str = "jp2", channels: int = 3, depth: int = 8) -> Case:
    def make(folder: Path, size: Size) -> tuple[bytes, Check]:
        source, packed, plain = folder / f"in.p{'gp'[channels == 3]}m", folder / f"packed.{suffix}", folder / "out.bmp"
        source.write_bytes(pnm(picture(size.width, size.height, channels, depth), depth))
        levels = ["-n", "1"] if size.width < 32 and "-n " not in options else []
        run(["opj_compress", "-i", source, "-o", packed, *options.split(), *levels])
        run(["opj_decompress", "-i", packed, "-o", plain])
        return packed.read_bytes(), _pixels(from_bmp(plain.read_bytes(), sized=False))

    return Case(f"jp2 {name}", "jp2", make)


def _ycc(folder: Path, size: Size) -> tuple[bytes, Check]:
    """Luma at full size and chroma at half of it, which opj_decompress takes for sYCC and turns to RGB."""
    width, height = size.width & ~1, size.height & ~1
    luma, chroma = picture(width, height, 1), picture(width // 2, height // 2, 2)
    source, packed, plain = folder / "in.yuv", folder / "packed.jp2", folder / "out.bmp"
    source.write_bytes(b"".join(plane.astype("u1").tobytes() for plane in (luma, chroma[..., 0], chroma[..., 1])))
    shape = f"{width},{height},3,8,u@1x1:2x2:2x2"
    run(["opj_compress", "-i", source, "-o", packed, "-F", shape, "-n", "1", "-mct", "0"])
    run(["opj_decompress", "-i", packed, "-o", plain])
    return packed.read_bytes(), _pixels(from_bmp(plain.read_bytes(), sized=False))


def _png(name: str, options: str = "", *, channels: int = 3, depth: int = 8) -> Case:
    def make(folder: Path, size: Size) -> tuple[bytes, Check]:
        import numpy as np

        pixels = picture(size.width, size.height, channels, depth)
        if "-transparent" in options:  # one colour, which must be there
            pixels = np.where(pixels > pixels.max() // 2, pixels, 0)
        if name.startswith("palette"):
            pixels = pixels // 86 * 86
        writer = "pamtopng" if channels in {2, 4} else "pnmtopng"
        packed = run([writer, *options.split()], pnm(pixels, depth))
        found, top = from_pam(run(["pngtopam", "-alphapam"], packed))
        alpha = channels in {2, 4} or "-transparent" in options
        if found.shape[2] < 3:
            found = np.concatenate([found[..., :1]] * 3 + [found[..., 1:2]], axis=-1)
        found = found if alpha else found[..., :3]
        return packed, _pixels((found * 510 + top) // (2 * top))

    return Case(f"png {name}", "png", make)


def joined(wavs: list[bytes]) -> bytes:
    """One WAV of several with the same short header. (Of a chain, oggdec loses what is shorter than a page or so.)"""
    data = b"".join(wav[44:] for wav in wavs)
    size = len(data)
    return wavs[0][:4] + (size + 36).to_bytes(4, "little") + wavs[0][8:40] + size.to_bytes(4, "little") + data


def _vorbis(name: str, options: str, *, channels: int = 2, rate: int = 0, chained: int = 1) -> Case:
    def make(folder: Path, size: Size) -> tuple[bytes, Check]:
        source, packed, plain = folder / "in.wav", folder / "packed.ogg", folder / "out.wav"
        wav(source, sound(size.seconds / chained, channels, rate or size.rate), rate or size.rate)
        parts, sounds = [], []
        for serial in range(1, chained + 1):
            run(["oggenc", "-Q", "-s", str(serial), *options.split(), source, "-o", packed])
            parts.append(packed.read_bytes())
            run(["oggdec", "-Q", packed, "-o", plain])
            sounds.append(plain.read_bytes())
        return b"".join(parts), _within_one(joined(sounds))

    return Case(f"vorbis {name}", "vorbis", make)


def _surround(channels: int) -> Case:
    """Whether each channel is where it was in the WAV that was encoded: oggdec does not bring them all back there."""

    def make(folder: Path, size: Size) -> tuple[bytes, Check]:
        source = sound(size.seconds / 2, channels, 48_000)
        packed = folder / "packed.ogg"
        run(["oggenc", "-Q", "-q", "8", wav(folder / "in.wav", source, 48_000), "-o", packed])

        def check(output: bytes) -> str | None:
            import numpy as np

            if len(output) != 68 + source.size * 2 or int.from_bytes(output[40:44], "little").bit_count() != channels:
                return "another length, or other speakers"
            found = np.frombuffer(output, dtype="<i2", offset=68).reshape(-1, channels).astype(np.int64)
            apart = [[int(abs(found[:, i] - source[:, j]).mean()) for j in range(channels)] for i in range(channels)]
            # The encoder takes the high tones out of the sixth speaker of 5.1, which is the fourth in a WAV.
            heard = [i for i in range(channels) if (channels, i) != (6, 3)]
            wrong = [i for i in heard if min(apart[i]) != apart[i][i] or apart[i][i] > 500]
            return f"channels {wrong} are not what they were" if wrong else None

        return packed.read_bytes(), check

    return Case(f"vorbis {channels} channels", "vorbis", make)


def _flac(name: str, options: str = "", *, channels: int = 2, bits: int = 16, rate: int = 0) -> Case:
    def make(folder: Path, size: Size) -> tuple[bytes, Check]:
        source, packed = folder / "in.raw", folder / "packed.flac"
        seconds = size.seconds * 2 * 16 / (channels * bits)  # the same number of bytes
        source.write_bytes(samples(sound(seconds, channels, rate or size.rate, bits), bits))
        sign = "unsigned" if bits == 8 else "signed"
        form = f"--endian=little --sign={sign} --channels={channels} --bps={bits} --sample-rate={rate or size.rate}"
        run(["flac", "-s", "-f", "--force-raw-format", *form.split(), *options.split(), source, "-o", packed])
        return packed.read_bytes(), exactly(run(["flac", "-s", "-d", "-c", packed]))

    return Case(f"flac {name}", "flac", make)


def _flac_of_a_pipe(folder: Path, size: Size) -> tuple[bytes, Check]:
    """`flac` writes to a pipe and cannot go back to say how long it was: the WAV cannot say it, either."""
    data = samples(sound(size.seconds, 2, size.rate), 16)
    form = f"--endian=little --sign=signed --channels=2 --bps=16 --sample-rate={size.rate}"
    packed = run(["flac", "-s", "-c", "--force-raw-format", *form.split(), "-"], data)
    unknown = b"\xff" * 4

    def check(output: bytes) -> str | None:
        if output[4:8] != unknown or output[40:44] != unknown:
            return "the WAV names a length"
        return None if output[44:] == data else "other samples"

    return packed, check


CASES: Final = (
    *(_deflate(level) for level in (1, 9)),
    _general("-1", "gzip -1"),
    _general("-9, three members", "gzip -9", "gzip -6", "gzip -1"),
    _general("-1", "bzip2 -1"),
    _general("-9, two streams", "bzip2 -9", "bzip2 -9"),
    _general("-0", "xz -0"),
    _general("-6", "xz -6"),
    _general("-9e SHA-256", "xz -9e --check=sha256"),
    _general("x86 filter, no check", "xz --check=none --x86 --lzma2=preset=3"),
    _general("delta and ARM filters, CRC-32", "xz --check=crc32 --delta=dist=4 --arm --lzma2=preset=1"),
    _general("blocks and padding", "xz -1 --block-size=131072", "xz -1", between=bytes(8)),
    _general("-1", "zstd -1"),
    _general("-3 without checksum", "zstd -3 --no-check"),
    _general("-19", "zstd -19"),
    _general("--long=27", "zstd -9 --long=27"),
    _general("frames", "zstd -1", "zstd -5", before=b"\x50\x2a\x4d\x18\x05\0\0\0other"),
    _general("-q 1", "brotli -c -q 1"),
    _general("-q 9", "brotli -c -q 9 -w 24"),
    _general("-q 5 -w 10", "brotli -c -q 5 -w 10"),
    _jpeg("4:2:0", "-quality 80"),
    _jpeg("4:4:4", "-quality 95 -sample 1x1"),
    _jpeg("4:2:2 optimised, restarts", "-quality 60 -sample 2x1 -optimize -restart 1"),
    _jpeg("progressive", "-quality 80", transform="-progressive"),
    _jpeg("progressive 4:4:4", "-quality 90 -sample 1x1 -progressive"),
    _jpeg("grey", "-quality 85", grey=True),
    _jpeg("grey progressive", "-progressive", grey=True),
    _jpeg("arithmetic", "-arithmetic"),
    _jpeg("RGB", "-rgb"),
    _jp2("lossless"),
    _jp2("irreversible", "-I -r 20", suffix="j2k"),
    _jp2("layers and tiles", "-I -r 40,20,10 -t 200,150 -p RPCL -SOP -EPH"),
    _jp2("bypass, 3 resolutions", "-M 1 -n 3 -b 32,32"),
    _jp2("grey", "", channels=1),
    _jp2("16 bits", "-r 4", depth=16),
    Case("jp2 sYCC 4:2:0", "jp2", _ycc),
    _png("RGB"),
    _png("RGB interlaced", "-interlace"),
    _png("RGB 16 bits", depth=16),
    _png("RGB transparent", "-transparent =black"),
    _png("palette", ""),
    _png("grey", channels=1),
    _png("grey 1 bit", channels=1, depth=1),
    _png("grey 2 bits interlaced", "-interlace", channels=1, depth=2),
    _png("grey 4 bits", channels=1, depth=4),
    _png("grey 16 bits", channels=1, depth=16),
    _png("grey and opacity", channels=2),
    _png("RGB and opacity", channels=4),
    _png("RGB and opacity 16 bits", channels=4, depth=16),
    _vorbis("-q 0", "-q 0"),
    _vorbis("-q 8", "-q 8"),
    _vorbis("mono", "-q 3", channels=1),
    *(_surround(channels) for channels in range(3, 9)),
    _vorbis("chained", "-q 2", chained=3),
    _flac("-5"),
    _flac("-8", "-8"),
    _flac("-0 mono", "-0", channels=1),
    _flac("8 bits", bits=8),
    _flac("24 bits", bits=24, rate=96_000),
    _flac("32 bits", bits=32),
    _flac("6 channels", channels=6),
    Case("flac of a pipe", "flac", _flac_of_a_pipe),
)  # fmt: skip
