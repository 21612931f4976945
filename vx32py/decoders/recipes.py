"""How each decoder is put together: a driver in ``src``, and libraries of :mod:`vx32py.upstream`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vx32py.upstream.libraries import (
    BROTLI,
    BZIP2,
    CONFIG,
    FLAC,
    FREESTANDING,
    JPEG,
    MATHEMATICS,
    OGG,
    OPENJPEG,
    PNG,
    VORBIS,
    XZ,
    ZLIB,
    ZSTD,
    listed,
)  # fmt: skip
from vx32py.upstream.recipes import Recipe

SRC: Final = Path(__file__).resolve().parent / "src"

RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe("deflate", SRC / "deflate.c", (ZLIB,)),
        Recipe("gzip", SRC / "gzip.c", (ZLIB,)),
        Recipe("bzip2", SRC / "bzip2.c", (BZIP2,)),
        Recipe("xz", SRC / "xz.c", (XZ,), include=(FREESTANDING,)),
        Recipe("zstd", SRC / "zstd.c", (ZSTD,)),
        Recipe("brotli", SRC / "brotli.c", (BROTLI,), include=(FREESTANDING,)),
        Recipe(
            "jpeg",
            SRC / "jpeg.c",
            (JPEG,),
            listed("libjpeg-turbo", "jaricom jdarith"),
            flags=("-DD_ARITH_CODING_SUPPORTED=1", "-DNO_GETENV", "-DNO_PUTENV"),
        ),
        Recipe("jp2", SRC / "jp2.c", (OPENJPEG, MATHEMATICS), include=(FREESTANDING,), flags=("-flto",)),
        Recipe("png", SRC / "png.c", (PNG, ZLIB), include=(CONFIG / "png", FREESTANDING)),
        Recipe(
            "vorbis",
            SRC / "vorbis.c",
            (OGG, VORBIS, MATHEMATICS),
            include=(FREESTANDING,),
            flags=("-flto", "-DHAVE_ALLOCA_H"),
        ),
        Recipe(
            "flac",
            SRC / "flac.c",
            (FLAC,),
            include=(FREESTANDING,),
            flags=("-DFLAC__INTEGER_ONLY_LIBRARY", "-include", "offsets.h"),
        ),
    )
}
