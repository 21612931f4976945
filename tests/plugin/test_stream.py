"""Streams: one file after another through one guest, and nothing of one is left when the next one begins."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vx32py import Module, Sandbox
from vx32py._compile import compile_guest
from vx32py.plugin.stream import Stream

SOURCE = Path(__file__).with_name("streaming.c")
BUILT = Path(__file__).resolve().parents[2] / "build" / "tests"


@functools.cache
def program() -> Module:
    """The program of all these tests."""
    return Module.from_file(compile_guest([SOURCE], BUILT / f"streaming-{os.getpid()}.elf"))


@pytest.fixture(scope="module", autouse=True)
def _clean() -> Iterator[None]:
    yield
    for left in BUILT.glob(f"streaming-{os.getpid()}.elf"):
        left.unlink()


def stream(engine: str, how: str, **options: object) -> Stream:
    """A stream of the program, which does ``how``."""
    options.setdefault("timeout", 60)
    return Sandbox(engine=engine, **options).stream(program(), [how])  # type: ignore[arg-type]


def test_many_files_go_through_one_guest(engine_name: str) -> None:
    with stream(engine_name, "copy") as decoder:
        for data in (b"one", b"", b"two" * 50_000, b"three"):
            result = decoder.run(data)
            assert (result.exit_code, result.stdout, result.stderr, result.trap) == (0, data, b"", None)
        assert decoder.restored == 4


def test_a_guest_that_tries_remembers_nothing(engine_name: str) -> None:
    with stream(engine_name, "remember") as decoder:
        first = decoder.run(b"secret")
        assert first.stdout.startswith(b"seen= heap= count=0 places=0 break=3"), first
        for data in (b"other", b"", b"more"):
            assert decoder.run(data, owner="same").stdout == first.stdout


def test_done_goes_on_with_files_of_one_owner_only(engine_name: str) -> None:
    with stream(engine_name, "done") as decoder:
        assert decoder.run(b"a", owner=(1, 2, 0o644)).stdout == b"1 a"
        assert decoder.run(b"b", owner=(1, 2, 0o644)).stdout == b"2 b"
        assert decoder.run(b"c", owner=(1, 2, 0o600)).stdout == b"1 c"  # another mode
        assert decoder.run(b"d", owner=(1, 2, 0o600), fresh=True).stdout == b"1 d"  # asked for
        assert decoder.run(b"e", owner=(1, 2, 0o600)).stdout == b"2 e"
        failed = decoder.run(b"f!", owner=(1, 2, 0o600))
        assert (failed.exit_code, failed.stdout) == (3, b"3 f!")
        assert decoder.run(b"g", owner=(1, 2, 0o600)).stdout == b"1 g"  # after a failure
        assert decoder.run(b"h").stdout == b"1 h"  # nobody's
        assert decoder.run(b"i").stdout == b"1 i"
        assert (decoder.restored, decoder.continued) == (6, 3)


def test_done_means_nothing_to_a_program_that_is_run_once(engine_name: str) -> None:
    result = Sandbox(engine=engine_name).run(program(), ["done"], stdin=b"x")
    assert (result.exit_code, result.stdout) == (0, b"1 x(alone)")
