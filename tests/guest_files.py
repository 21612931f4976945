"""What tests do with a guest's files."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from vx32py._descriptors import OpenFile
from vx32py._errors import CallError
from vx32py.vfs.files import Files


def content(files: Files, path: str, **how: object) -> bytes:
    """What is in a file."""
    file = files.open(path, os.O_RDONLY, **how)  # type: ignore[arg-type]
    try:
        return read(file)
    finally:
        file.close()


def read(file: OpenFile) -> bytes:
    """What an open file begins with."""
    buffer = bytearray(1000)
    return bytes(buffer[: file.read_at(memoryview(buffer), 0)])


def refused(operation: Callable[[], object]) -> str:
    """The error that an operation ends with."""
    with pytest.raises(CallError) as caught:
        operation()
    return errno.errorcode[caught.value.errno]
