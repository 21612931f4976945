"""The C programs of tests/io, compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from small_programs import compiled

FOLDER: Final = Path(__file__).parent / "io"


def program(name: str) -> Path:
    """One of them. The test is skipped where it cannot be compiled."""
    source = (FOLDER / f"{name}.c").read_text(encoding="utf-8")
    return compiled((FOLDER / "report.h").read_text(encoding="utf-8") + source.replace('#include "report.h"', ""))
