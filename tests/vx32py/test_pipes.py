"""Pipes of a family: what fits in, and what is in a copy of one."""

from __future__ import annotations

import errno
import os

import pytest

from vx32py import CallError
from vx32py._pipes import MOST_PIPE_BYTES, MOST_WIDE, PIPE_BYTES, PipeReader, PipeWriter, make_pipe
from vx32py._wait import WouldBlock


class Caller:
    """Whose call it is."""

    progress = 0

    def checkpoint(self) -> None:
        """It goes on."""


def busy_pipe(flags: int = 0) -> tuple[PipeReader, PipeWriter]:
    """A pipe whose writer has waited for its reader once."""
    reader, writer = make_pipe(flags)
    try:
        fill(writer, PIPE_BYTES + 1)
    except CallError:
        assert flags
    drain(reader)
    return reader, writer


def fill(writer: PipeWriter, count: int) -> int:
    """How much of so many bytes goes in before their writer waits."""
    caller = Caller()
    try:
        return writer.put(memoryview(os.urandom(count)), caller)  # type: ignore[arg-type]
    except WouldBlock:
        return caller.progress


def drain(reader: PipeReader) -> bytes:
    found = bytearray()
    while True:
        piece = bytearray(1 << 20)
        try:
            count = reader.read(memoryview(piece), Caller())  # type: ignore[arg-type]
        except (WouldBlock, CallError):
            return bytes(found)
        if not count:  # nobody writes any more
            return bytes(found)
        found += piece[:count]


def test_a_writer_that_nobody_reads_finds_what_the_kernel_has() -> None:
    reader, writer = make_pipe()
    try:
        assert fill(writer, 2 * MOST_PIPE_BYTES) == PIPE_BYTES
    finally:
        reader.close()
        writer.close()


def test_a_writer_that_would_wait_again_gets_a_larger_pipe_and_is_not_told() -> None:
    reader, writer = busy_pipe()
    try:
        assert fill(writer, 2 * MOST_PIPE_BYTES) == MOST_PIPE_BYTES
        assert reader.size == writer.size == PIPE_BYTES
    finally:
        reader.close()
        writer.close()


def test_a_writer_that_does_not_wait_finds_what_the_kernel_has() -> None:
    reader, writer = busy_pipe(os.O_NONBLOCK)
    try:
        assert fill(writer, 2 * MOST_PIPE_BYTES) == PIPE_BYTES
        with pytest.raises(CallError) as raised:
            fill(writer, 1)
        assert raised.value.errno == errno.EAGAIN
    finally:
        reader.close()
        writer.close()


def test_a_pipe_whose_size_was_set_keeps_it() -> None:
    reader, writer = make_pipe()
    try:
        assert writer.resize(4096) == reader.size == 4096
        assert fill(writer, 2 * MOST_PIPE_BYTES) == 4096
    finally:
        reader.close()
        writer.close()


@pytest.mark.parametrize("told", [False, True], ids=["widened", "resized"])
def test_what_is_in_a_large_pipe_is_in_its_copy(told: bool) -> None:
    reader, writer = busy_pipe()
    copies: dict[object, object] = {}
    try:
        if told:
            writer.resize(MOST_PIPE_BYTES)
        assert fill(writer, 300_000) == 300_000
        copy = reader.copy(reader.hold(), copies)
        assert isinstance(copy, PipeReader)
        try:
            assert drain(copy) == (content := drain(reader))
            assert len(content) == 300_000
        finally:
            copy.close()
    finally:
        reader.close()
        writer.close()


def test_only_so_many_pipes_are_made_larger() -> None:
    pipes = [busy_pipe() for _ in range(MOST_WIDE + 2)]
    try:
        held = [fill(writer, MOST_PIPE_BYTES) for _, writer in pipes]
        assert held.count(PIPE_BYTES) >= 2
        assert held.count(MOST_PIPE_BYTES) <= MOST_WIDE
    finally:
        for reader, writer in pipes:
            reader.close()
            writer.close()
    reader, writer = busy_pipe()  # those that have gone do not count any more
    try:
        assert fill(writer, MOST_PIPE_BYTES) == MOST_PIPE_BYTES
    finally:
        reader.close()
        writer.close()
