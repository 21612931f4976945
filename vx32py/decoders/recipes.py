"""How each decoder is put together: a driver in ``src``, and libraries of :mod:`vx32py.upstream`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vx32py.upstream.libraries import BZIP2, ZLIB
from vx32py.upstream.recipes import Recipe

SRC: Final = Path(__file__).resolve().parent / "src"

RECIPES: Final = {
    recipe.name: recipe
    for recipe in (
        Recipe("deflate", SRC / "deflate.c", (ZLIB,)),
        Recipe("gzip", SRC / "gzip.c", (ZLIB,)),
        Recipe("bzip2", SRC / "bzip2.c", (BZIP2,)),
    )
}
