"""The program of the tests of streams: ``tests/plugin/streaming.c``, compiled once a run."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from vx32py import Module
from vx32py._compile import compile_guest

SOURCE = Path(__file__).with_name("plugin") / "streaming.c"


@functools.cache
def program() -> Module:
    """The program, which does what its first argument says."""
    with tempfile.TemporaryDirectory() as folder:
        return Module.from_file(compile_guest([SOURCE], Path(folder, "streaming.elf")))
