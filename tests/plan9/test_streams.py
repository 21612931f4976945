"""Streams of the host's as files."""

from __future__ import annotations

import os
import threading

import pytest
from plan9_programs import main, program

from vx32py._wait import WouldBlock
from vx32py.plan9.chan import OWRITE, Chan
from vx32py.plan9.devices.streams import Stream
from vx32py.plan9.kernel import Kernel


def test_a_write_that_was_given_up_takes_nothing_from_the_next_one() -> None:
    reader, writer = os.pipe()
    try:
        with Kernel(engine="reference") as kernel:
            chan = kernel.host.channel("sink", None, writer, OWRITE)
            given_up, following = b"a" * (1 << 20), b"b" * 5000
            with pytest.raises(WouldBlock):
                chan.aux.write(kernel.host, chan, given_up, 0)
            os.set_blocking(reader, False)
            found = os.read(reader, 1 << 20)
            assert set(found) == {ord("a")}
            assert chan.aux.write(kernel.host, chan, following, 0) == 5000
            assert os.read(reader, 1 << 20) == following
            chan.close()
    finally:
        os.close(reader)
        os.close(writer)


def test_a_write_to_a_full_pipe_of_the_hosts_writes_everything_once(engine_name: str) -> None:
    """The call waits again and again, and other processes run meanwhile."""
    reader, writer = os.pipe()
    with Kernel(engine=engine_name, timeout=60) as kernel:
        body = """
            static char big[200000]; int i;
            for(i = 0; i < sizeof big; i += 61) big[i] = i*7 + (i>>8);
            check(write(1, big, sizeof big) == sizeof big);
            check(write(1, "end", 3) == 3);
        """
        found = bytearray()

        def read() -> None:
            while piece := os.read(reader, 1000):
                found.extend(piece)

        thread = threading.Thread(target=read)
        proc = kernel.start_program(program(main(body)), streams=(None, writer, writer))
        thread.start()
        kernel.wait(proc)
        os.close(writer)
        thread.join(20)
        os.close(reader)
        assert proc.status == ""
    assert found == bytes(0 if i % 61 else (i * 7 + (i >> 8)) & 0xFF for i in range(200_000)) + b"end"


def test_bytes_for_a_program_were_copied_at_every_read() -> None:
    """All that was left of them: with 100 MB most of the time went into that."""
    data = bytes(range(256)) * 40
    node = Stream("stdin", data)
    with Kernel() as kernel:
        chan = Chan(kernel.devices["o"], 0, node.qid, node)
        pieces = []
        while piece := node.read(kernel.host, chan, 1000, 0):
            pieces.append(piece)
            assert node.source is data
    assert b"".join(pieces) == data
    assert [len(piece) for piece in pieces] == [1000] * 10 + [240]
