"""What hostile guests have been able to do: each test is named after what went wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from images import DATA, Caller

from reference.memory import PAGE, AddressSpace
from reference.traps import Access
from vx32py import Sandbox


def test_view_of_no_bytes_for_writing_could_not_be_written_to() -> None:
    space = AddressSpace(16 * PAGE)
    space.map(0, PAGE, Access.RW)
    assert not space.view(8, 0, Access.WRITE).readonly


@pytest.mark.parametrize(("number", "name"), [(180, "pread64"), (145, "readv")])
def test_read_of_no_bytes_from_a_file_was_an_exception_of_the_host(number: int, name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as source:
        call = Caller(Sandbox(engine="reference"), linux=True, stdin=source.fileno())
        with call.process:
            if name == "readv":
                call.put(struct.pack("<4I", DATA + 64, 0, DATA + 128, 0))
                assert call(number, 0, DATA, 2) == 0
            else:
                assert call(number, 0, DATA, 0, 0, 0) == 0
