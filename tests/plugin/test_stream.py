"""Streams: one file after another through one guest, and nothing of one is left when the next one begins."""

from __future__ import annotations

import gc
import io
import os
import threading
import time
import weakref
from pathlib import Path

import pytest
from images import image
from streaming import program

import vx32py
from vx32py import Sandbox
from vx32py.plugin.stream import MOST_STDERR, Stream


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


# -- what guests do with their streams -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "data", "expected"),
    [
        ("banner", b"x", (0, b"banner 0 x")),  # written before anything is read: by every file
        ("never reads", b"x", (0, b"nothing 0")),
        ("nothing at all", b"x", (5, b"")),
        ("closes", b"x", (0, b"-1 0 -1")),
        ("duplicate", b"through", (0, b"through")),
        ("seeks", b"abc", (0, b"3:bc")),
        ("half", b"abc", (0, b"ab")),
        ("exit", b"x", (7, b"x")),
        ("forks first", b"x", (0, b"x parent")),
        ("forks before", b"x", (10, b"x")),
    ],
)
def test_guests_use_their_streams_as_they_like(
    engine_name: str, how: str, data: bytes, expected: tuple[int, bytes]
) -> None:
    with stream(engine_name, how) as decoder:
        for _ in range(3):
            result = decoder.run(data)
            assert (result.exit_code, result.stdout) == expected, result.describe()


def test_a_guest_that_fails_before_it_reads_fails_with_every_file(engine_name: str) -> None:
    with stream(engine_name, "traps first") as decoder:
        for _ in range(2):
            result = decoder.run(b"x")
            assert result.exit_code is None
            assert result.trap is not None
            assert "invalid opcode" in result.describe()


def test_a_guest_that_loops_before_it_reads_ends_with_every_file(engine_name: str) -> None:
    with stream(engine_name, "loops first", fuel=50_000) as decoder:
        for _ in range(2):
            assert decoder.run(b"x").limit == "fuel"


def test_a_guest_may_execute_another_program_before_it_reads_or_afterwards(engine_name: str) -> None:
    files = {"/guest": program().data}
    with stream(engine_name, "executes first", files=files) as decoder:
        assert [decoder.run(data).stdout for data in (b"a", b"b")] == [b"a", b"b"]
    with stream(engine_name, "pick", files=files) as decoder:
        assert decoder.run(b"exec").exit_code == 0  # nothing is left to be copied
        assert decoder.run(b"after").stdout == b"0 after"


# -- files that end badly ----------------------------------------------------------------------------------------------


def test_the_next_file_does_not_notice_how_one_ended(engine_name: str) -> None:
    with stream(engine_name, "pick", fuel=150_000, memory="8M", output_limit=1 << 20) as decoder:

        def fine() -> None:
            result = decoder.run(b"fine", owner="me")
            assert (result.exit_code, result.stdout, result.stderr) == (0, b"0 fine", b"")

        fine()
        trapped = decoder.run(b"trap", owner="me")
        assert (trapped.exit_code, trapped.limit) == (None, None)
        assert trapped.location is not None
        assert trapped.location.startswith("main")
        fine()
        assert "page fault" in decoder.run(b"wild").describe()
        fine()
        assert decoder.run(b"loop").limit == "fuel"
        fine()
        flooded = decoder.run(b"flood")
        assert (flooded.limit, len(flooded.stdout)) == ("output", 1 << 20)
        fine()
        assert len(decoder.run(b"flood", output_limit=10).stdout) == 10
        fine()
        noisy = decoder.run(b"errors")
        assert (noisy.exit_code, noisy.stdout, len(noisy.stderr)) == (0, b"0 errors", MOST_STDERR)
        fine()
        assert decoder.run(b"memory").exit_code == 0  # malloc says no
        fine()
        assert decoder.run(b"fork").stdout == b"parent child "
        fine()
        assert decoder.run(b"orphan").stdout == b"0 orphan"  # its child, which loops, ends with it
        fine()
        assert decoder.run(b"done by child").exit_code == 0
        fine()


def test_time_is_each_files_own(engine_name: str) -> None:
    for timeout in (2, 20):  # the other file may take as long on a busy host
        with stream(engine_name, "pick", timeout=timeout) as decoder:
            assert decoder.run(b"sleep").timed_out
            result = decoder.run(b"fine")
        if not result.timed_out:
            break
    assert result.stdout == b"0 fine"


def test_processor_time_is_each_files_own(engine_name: str) -> None:
    with stream(engine_name, "pick", timeout=None, cpu_time=1) as decoder:
        assert decoder.run(b"loop").limit == "cpu"
        assert decoder.run(b"fine").stdout == b"0 fine"


def test_fuel_that_one_file_used_is_there_for_the_next(engine_name: str) -> None:
    box = Sandbox(engine=engine_name, fuel=1_000_000)
    alone = box.run(program(), ["copy"], stdin=b"x" * 3000).stats.counters.instructions
    just_enough = Sandbox(engine=engine_name, fuel=alone)
    with just_enough.stream(program(), ["copy"]) as decoder:
        for _ in range(3):
            assert decoder.run(b"x" * 3000).exit_code == 0
    with Sandbox(engine=engine_name, fuel=alone - 1).stream(program(), ["copy"]) as decoder:
        for _ in range(2):
            assert decoder.run(b"x" * 3000).limit == "fuel"


# -- streams of all kinds ----------------------------------------------------------------------------------------------


def test_input_and_output_are_bytes_files_or_descriptors(engine_name: str, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    with stream(engine_name, "copy") as decoder:
        assert decoder.run(bytearray(data)).stdout == data
        assert decoder.run(memoryview(data)[1:]).stdout == data[1:]
        assert decoder.run(io.BytesIO(data)).stdout == data
        with source.open("rb") as file:
            file.seek(5)
            assert decoder.run(file).stdout == data[5:]
        with source.open("rb") as file, target.open("wb") as out:
            assert decoder.run(file.fileno(), out.fileno()).stdout == b""
        assert target.read_bytes() == data
        sink = io.BytesIO()
        decoder.run(data, sink)
        assert sink.getvalue() == data
        assert decoder.run(None).stdout == b""
        with source.open("rb") as file, target.open("wb") as out:
            assert decoder.run(file.fileno(), out.fileno(), output_limit=1000).limit == "output"
        assert target.stat().st_size == 1000
        assert decoder.run(data[:10]).stdout == data[:10]


def test_a_stream_that_is_none_is_refused_and_the_next_file_works(engine_name: str) -> None:
    with stream(engine_name, "copy") as decoder:
        with pytest.raises(TypeError, match="stdin"):
            decoder.run("text")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="stdout"):
            decoder.run(b"", "text")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="output_limit"):
            decoder.run(b"", output_limit=-1)
        assert decoder.run(b"fine").stdout == b"fine"


class _Broken(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, _buffer: object) -> int:
        raise KeyError("the caller's own")

    def write(self, _data: object) -> int:
        raise KeyError("the caller's own")


def test_an_exception_of_the_callers_file_comes_out_and_the_next_file_works(engine_name: str) -> None:
    with stream(engine_name, "copy") as decoder:
        for arguments in ((_Broken(),), (b"x", _Broken())):
            with pytest.raises(KeyError, match="the caller's own"):
                decoder.run(*arguments)
            assert decoder.run(b"fine").stdout == b"fine"


def test_a_large_file_is_not_held_in_memory(tmp_path: Path) -> None:
    """128 MiB go through, and the process does not grow by an eighth of that."""
    source = tmp_path / "sparse"
    with source.open("wb") as file:
        file.truncate(128 << 20)
    with stream("auto", "copy") as decoder, source.open("rb") as file, open(os.devnull, "wb") as out:
        before = _resident()
        result = decoder.run(file, out)
        assert result.exit_code == 0
        assert file.tell() == 128 << 20
        assert _resident() - before < 16 << 20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_input_of_one_file_is_not_kept_until_the_next(engine_name: str) -> None:
    class Source(io.BytesIO):
        pass

    with stream(engine_name, "copy") as decoder:
        source = Source(b"x" * 1000)
        gone = weakref.ref(source)
        decoder.run(source)
        del source
        gc.collect()
        assert gone() is None


# -- its life ------------------------------------------------------------------------------------------------------------


def test_a_stream_is_for_one_thread_at_a_time_and_closing_is_for_all(engine_name: str) -> None:
    decoder = stream(engine_name, "pick", timeout=None)
    raised: list[BaseException] = []

    def work() -> None:
        try:
            decoder.run(b"loop")
        except BaseException as error:  # noqa: BLE001 - told to the test
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                decoder.run(b"fine")
            except RuntimeError as error:
                assert "at work" in str(error)  # noqa: PT017 - until it is
                break
            assert time.monotonic() < deadline
    finally:
        decoder.close()
        thread.join(60)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [ValueError]
    assert "closed" in str(raised[0])
    with pytest.raises(ValueError, match="closed"):
        decoder.run(b"fine")
    decoder.close()


def test_a_closed_stream_gives_its_place_among_the_guests_back(engine_name: str) -> None:
    box = Sandbox(engine=engine_name, guests=1)
    for _ in range(3):
        with box.stream(program(), ["pick"]) as decoder:
            assert decoder.run(b"a").stdout == b"0 a"
            with pytest.raises(vx32py.LimitExceeded, match="guests"):
                box.stream(program())


def test_no_descriptor_is_left_after_many_files(engine_name: str) -> None:
    with stream(engine_name, "remember") as decoder:
        decoder.run(b"x")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            decoder.run(b"x")
        assert len(os.listdir("/proc/self/fd")) == before


def test_memory_that_many_guests_took_is_given_back(engine_name: str) -> None:
    with stream(engine_name, "remember") as decoder:
        mapped = {decoder.run(b"x").stats.memory for _ in range(5)}
    assert len(mapped) == 1


def test_a_pipe_that_nobody_writes_to_ends_with_the_time(engine_name: str) -> None:
    """A pipe of the host's with nothing in it, whose other end stays open: the time is up, and nothing else hangs."""
    reader, writer = os.pipe()
    try:
        with stream(engine_name, "copy", timeout=1.0) as decoder:
            assert decoder.run(reader).timed_out
            os.write(writer, b"late")
            os.close(writer)
            writer = -1
            assert decoder.run(reader).stdout == b"late"
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def test_a_program_that_never_reads_can_be_ended_while_it_is_loaded(engine_name: str) -> None:
    """It could not: what loaded it was the constructor, and nobody had the stream to close."""
    decoder = Sandbox(engine=engine_name, timeout=600).stream(image("1: jmp 1b"), load=False)
    closer = threading.Timer(0.5, decoder.close)
    closer.start()
    with pytest.raises(ValueError, match="closed"):
        decoder.run(b"data")
    closer.join()


def test_a_stream_that_is_loaded_late_is_as_any_other(engine_name: str) -> None:
    with Sandbox(engine=engine_name, timeout=60).stream(program(), ["copy"], load=False) as decoder:
        assert [decoder.run(data).stdout for data in (b"one", b"two")] == [b"one", b"two"]
        assert decoder.restored == 2
