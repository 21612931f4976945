"""Damaged files: each decoder ends by itself, with a line that says what is wrong, or with something that can be."""

from __future__ import annotations

import base64
import random
import zlib
from typing import Final

import pytest
from decoder_guests import box, complaint, made, module

from conformance.decoders import making
from conformance.decoders.cases import CASES, Size
from vx32py import decoders

pytestmark = pytest.mark.ldt

#: Large enough to have every part that a format has.
SIZE: Final = Size("damaged", 5000, 61, 47, 0.2, 22_050)
#: No output of such a file is larger, whatever its header claims after the damage, or the limit says so.
LIMIT: Final = 32 << 20
DAMAGES: Final = 24


def _damaged(data: bytes, luck: random.Random) -> bytes:
    spoilt = bytearray(data)
    kind = luck.randrange(5)
    at = luck.randrange(len(spoilt)) if luck.random() < 0.6 else luck.randrange(min(80, len(spoilt)))
    if kind == 0:
        del spoilt[at:]
    elif kind == 1:
        spoilt[at] ^= 1 << luck.randrange(8)
    elif kind == 2:
        for _ in range(8):
            spoilt[luck.randrange(len(spoilt))] = luck.randrange(256)
    elif kind == 3:
        spoilt[at:at] = luck.randbytes(luck.randrange(1, 9))
    else:
        spoilt[at : at + 16] = luck.choice((b"\0", b"\xff")) * 16
    return bytes(spoilt)


@pytest.mark.parametrize("name", decoders.NAMES)
def test_a_damaged_file_ends_with_a_line_and_never_with_a_trap(name: str) -> None:
    files = [made(case, SIZE)[0] for case in CASES if case.decoder == name][:6]
    luck = random.Random(name)
    refused = 0
    with box(name).stream(module(name)) as stream:
        for turn in range(DAMAGES):
            data = _damaged(files[turn % len(files)], luck)
            result = stream.run(data, output_limit=LIMIT)
            if result.limit is not None and "output" in str(result.limit):
                continue  # a header that promises a larger picture, and data that go on with it
            assert complaint(result, name) is None, (turn, data.hex())
            refused += result.exit_code == 1
    assert refused >= DAMAGES // 3


@pytest.mark.parametrize("name", decoders.NAMES)
@pytest.mark.parametrize("data", [b"", b"\0", b"no such file\n", bytes(4000)], ids=["empty", "a byte", "text", "zeros"])
def test_what_is_no_file_of_the_kind_is_refused(name: str, data: bytes) -> None:
    with box(name).stream(module(name)) as stream:
        result = stream.run(data)
    assert result.exit_code == 1
    assert complaint(result, name) is None
    assert result.stdout == b""


#: 19 x 11 pixels with Adobe's marker, made by libjpeg: CMYK as it is, and as YCCK.
_CMYK: Final = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFB"
    "gSFBUU/8AAFAgACwATBEMRAE0RAFkRAEsRAP/EABgAAQEBAQEAAAAAAAAAAAAAAAgJAAcG/8QANhAAAAEHBQ8EAwAAAAAAAAAAAAECAwQFByMG"
    "ERIxQRMUFRYYMjM1RFFVZIGRoggiJHJCUmH/2gAOBEMATQBZAEsAAD8AEbiNn6DgGRbyHgB+7Z22ihbrBTKUEoMFUvdNMKKuI2foNkW8h4BVu2"
    "dtooW6wc0lA+nBVKPNN/Q1WLqpW+g2RbyHgEEz3bfCQwvx3Dwyf1Q3JMcbfdRf2EFXEbP0FeMUmPw9D2KCq7Znq8KCbYOlvYTpEV2onFNrqFFX"
    "EbP0GxSY/D0PYoVTtmerwoJtgGT2GuuIrtRWDza6g1WLqpW+g2KTH4eh7FCDZ7PV7yQwTc0GFpyjaZF9OQi4kzt4/9k="
)
_YCCK: Final = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAC/9sAQwADAgIDAgIDAwMDBAMDBAUIBQUEBAUKBwcGCAwKDAwLCgsLDQ4SEA0OEQ4LCxAWEBETFBUVFQwPFxgWFB"
    "gSFBUU/9sAQwEDBAQFBAUJBQUJFA0LDRQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU/8AAFAgACwAT"
    "BAEiAAIRAQMRAQQiAP/EABgAAAMBAQAAAAAAAAAAAAAAAAAHCAkF/8QALBAAAAIGCAYDAAAAAAAAAAAAAAMCBAUGJDEBBwgREhMiMhQVI1KRok"
    "FRYf/EABYBAQEBAAAAAAAAAAAAAAAAAAYFCP/EACARAAECBQUAAAAAAAAAAAAAAAABBQIDBAcxBhESISL/2gAOBAEAAhEDEQQAAD8Ap97LQe+J"
    "9gmXstB74n2E9PY3V/XFGeQmHsbq/rijPItuDPK7H+tbdUPrBpk8DwcqxarrgtHgrp5Vi69136OlWweYVnYUqUZyEZVsNdcKzsKwmjOQp5ZtBx"
    "CcT89wBCS03V/iE4oyYAOVmlbmX47dUPJcFBH2oco5JHi5U9wBm+03jadC+fRQuGbvsA//2Q=="
)


@pytest.mark.parametrize("data", [_CMYK, _YCCK], ids=["CMYK", "YCCK"])
def test_four_inks_become_three_colours_as_djpeg_has_it(data: bytes) -> None:
    with box("jpeg").stream(module("jpeg")) as stream:
        found = making.from_bmp(stream.run(data).stdout)
    expected = making.from_bmp(making.run(["djpeg", "-dct", "int", "-bmp"], data))
    assert found.tolist() == expected.tolist()


def test_a_jpeg_that_is_cut_is_finished_and_refused() -> None:
    data, _ = made(next(case for case in CASES if case.decoder == "jpeg"), SIZE)
    with box("jpeg").stream(module("jpeg")) as stream:
        result = stream.run(data[:-100])
    assert result.exit_code == 1
    assert complaint(result, "jpeg") is None
    assert making.from_bmp(result.stdout).shape == (SIZE.height, SIZE.width, 3)


def test_a_jpeg_that_goes_over_the_picture_for_ever_is_refused() -> None:
    case = next(case for case in CASES if case.name == "jpeg progressive")
    data, _ = made(case, SIZE)
    last = data.rindex(b"\xff\xda")
    with box("jpeg").stream(module("jpeg")) as stream:
        result = stream.run(data[:last] + data[last:-2] * 100 + data[-2:])
    assert (result.exit_code, result.stderr) == (1, b"jpeg: the picture has too many passes\n")


def test_a_picture_that_does_not_fit_is_refused() -> None:
    """Headers of 60,000 x 60,000 pixels: two pages of file, eleven gigabytes of picture."""
    header = b"\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\x01"  # interlaced
    chunks = b"".join(
        len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(3000))), (b"IEND", b""))
    )
    with box("png").stream(module("png")) as stream:
        result = stream.run(b"\x89PNG\r\n\x1a\n" + chunks)
    assert result.exit_code == 1
    assert complaint(result, "png") is None
    assert result.stderr in {b"png: not enough memory\n", b"png: the picture is too large for a BMP\n"}
