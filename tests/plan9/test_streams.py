"""Streams of the host's as files."""

from __future__ import annotations

import os

import pytest

from vx32py._wait import WouldBlock
from vx32py.plan9.chan import OWRITE
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
