"""What the host gives programs to read."""

from __future__ import annotations

from vx32py.plan9.chan import Chan
from vx32py.plan9.devices.streams import Stream
from vx32py.plan9.kernel import Kernel


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
