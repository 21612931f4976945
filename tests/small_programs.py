"""Small C programs for i386 Linux, compiled once: what tests put into jails, and run natively beside them."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "build" / "small-programs"


@functools.cache
def compiled(source: str, *options: str) -> Path:
    """A static program from one C source. The test is skipped where gcc has no -m32 with a static C library."""
    command = ["gcc", "-m32", "-static", "-O1", "-Wall", *options]
    key = hashlib.sha256("\0".join((*command, source)).encode()).hexdigest()[:24]
    output = FOLDER / key
    if output.exists():
        return output
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        made = Path(folder) / "program"
        done = subprocess.run(
            [*command, "-x", "c", "-", "-o", str(made)], input=source.encode(), capture_output=True, check=False
        )
        if done.returncode:
            if b"cannot find" in done.stderr or b"bits/libc-header-start.h" in done.stderr:
                pytest.skip("gcc has no -m32 with a static C library here")
            raise AssertionError(done.stderr.decode())
        os.replace(made, output)
    return output
