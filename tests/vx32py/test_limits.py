"""Limits that a host can set: each is kept, on every engine, and its error says which it was and what the figure is."""

from __future__ import annotations

import fcntl
import gc
import io
import os
import subprocess
import sys
import termios
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import child
import pytest
from child import in_child
from images import DATA, ENTRY, Caller, image

from vx32py import DEVNULL, Grant, LimitExceeded, Process, Sandbox, SystemCalls, UnsupportedHost, Vector, _forking
from vx32py._engines import unavailable
from vx32py._family import Family

HEAP = 0x0810_0000
SPIN = "1: jmp 1b"
EXIT = "mov eax, 1; mov edx, 0; syscall"
#: Writes sixteen bytes a thousand times, and exits.
WRITE = f"""
    mov ebp, 1000
1:  mov eax, 4; mov edx, 1; mov ecx, {DATA}; mov ebx, 16; syscall
    dec ebp; jnz 1b
    {EXIT}
"""
SELECT_300_MS = f"""
    mov dword ptr [{DATA}], 0; mov dword ptr [{DATA + 4}], 300000
    mov eax, 18; mov edx, 0; mov ecx, 0; mov ebx, 0; mov edi, 0; mov esi, {DATA}; syscall
    {EXIT}
"""
#: A child that spins, and a parent that waits for it.
FORKED = """
    mov eax, 24; syscall; test eax, eax; jz 1f
    mov eax, 25; mov edx, -1; mov ecx, 0; mov ebx, 0; syscall
1:  jmp 1b
"""
#: One instruction that would store 4 GiB; there are 40 MiB, again and again.
LARGE_REP = f"""
    mov eax, 2; mov edx, {HEAP + (40 << 20)}; syscall
1:  mov edi, {HEAP}; mov ecx, {40 << 20}; rep stosb
    jmp 1b
"""
needs_jit = pytest.mark.skipif(unavailable("jit") is not None, reason=str(unavailable("jit")))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


# -- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [SPIN, FORKED, LARGE_REP], ids=["spin", "forked", "rep"])
def test_processor_time_ends_a_guest(engine_name: str, text: str) -> None:
    before = time.thread_time()
    result = Sandbox(engine=engine_name, cpu_time=0.05, timeout=60).run(image(text))
    assert (result.limit, result.exit_code) == ("cpu", None)
    assert result.message == "the guest used more than 0.05 s of processor time"
    assert time.thread_time() - before >= 0.05
    with pytest.raises(LimitExceeded, match=r"0\.05 s of processor"):
        result.check()


def test_waiting_takes_no_processor_time(engine_name: str) -> None:
    started = time.monotonic()
    Sandbox(engine=engine_name, cpu_time=0.2).run(image(SELECT_300_MS)).check()
    assert time.monotonic() - started >= 0.3


def test_processor_time_counts_over_all_runs(engine_name: str) -> None:
    with Sandbox(engine=engine_name, cpu_time=0.2).spawn(image(SPIN)) as process:
        before = time.thread_time()
        for _ in range(2):
            threading.Timer(0.05, process.interrupt).start()
            assert process.run().number == Vector.IRQ
        for _ in range(2):
            with pytest.raises(LimitExceeded, match="processor time") as caught:
                process.run()
            assert caught.value.limit == "cpu"
        used = time.thread_time() - before
    assert used >= 0.2
    assert process.family.cpu_seconds == pytest.approx(used, rel=0.5)


def test_a_step_is_timed_out_in_the_middle_of_an_instruction() -> None:
    """Of the interpreters: each iteration of this one takes microseconds."""
    text = f"mov eax, 2; mov edx, {HEAP + (32 << 20)}; syscall; mov esi, {HEAP}; mov ecx, {32 << 20}; rep lodsb"
    with Sandbox(engine="reference", timeout=1.0).spawn(image(text)) as process:
        for _ in range(5):
            process.step()
        with pytest.raises(TimeoutError):
            process.step()


@pytest.mark.parametrize("text", [SPIN, FORKED, LARGE_REP, WRITE.replace(EXIT, "jmp 1b")])
def test_wall_time_ends_whatever_a_guest_does(engine_name: str, text: str) -> None:
    assert Sandbox(engine=engine_name, timeout=0.05).run(image(text), stdout=DEVNULL).timed_out


def test_many_limits_of_time_run_at_once(engine_name: str) -> None:
    """One thread watches over all of them, each with its own time, also of those that come later and are earlier."""
    box = {limit: Sandbox(engine=engine_name, timeout=limit) for limit in (0.5, 0.3, 0.1, 100.0)}
    order: list[float] = []

    def work(limit: float) -> None:
        if box[limit].run(image(SPIN)).timed_out:
            order.append(limit)

    with box[100.0].spawn(image(SPIN)) as long:
        threads = [threading.Thread(target=long.run)]
        threads += [threading.Thread(target=work, args=(limit,)) for limit in (0.5, 0.3, 0.1)]
        for thread in threads:
            thread.start()
        for thread in threads[1:]:
            thread.join(60)
        assert sorted(order) == [0.1, 0.3, 0.5]
        long.kill()
        threads[0].join(60)
        assert long.exit_code == 128 + 9


@in_child
def test_a_fork_of_the_host_has_a_watchdog_of_its_own() -> None:
    """Also one that a handler makes: its guest goes on in both."""
    table = SystemCalls.vx()
    table.define(200, "fork_host")(lambda process: os.fork())
    code = "mov eax, 200; syscall; 1: jmp 1b"
    assert Sandbox(engine="jit", timeout=0.1).run(image(SPIN)).timed_out
    main = os.getpid()
    result = Sandbox(engine="jit", calls=table, timeout=0.2).run(image(code))
    again = Sandbox(engine="jit", timeout=0.1).run(image(SPIN))
    ok = result.timed_out and again.timed_out
    if os.getpid() != main:
        os._exit(0 if ok else 1)
    assert ok
    assert os.wait()[1] == 0


# -- output ----------------------------------------------------------------------------------------------------------


def _to_file_object(path: Path, box: Sandbox) -> str | None:
    with path.open("wb") as file:
        return box.run(image(WRITE), stdout=file).limit


def _to_descriptor(path: Path, box: Sandbox) -> str | None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        return box.run(image(WRITE), stdout=fd).limit
    finally:
        os.close(fd)


def _captured(path: Path, box: Sandbox) -> str | None:
    result = box.run(image(WRITE))
    path.write_bytes(result.stdout)
    return result.limit


@pytest.mark.parametrize("target", [_to_file_object, _to_descriptor, _captured])
def test_output_ends_at_the_limit_wherever_it_leads(
    engine_name: str, tmp_path: Path, target: Callable[[Path, Sandbox], str | None]
) -> None:
    path = tmp_path / "out"
    for limit, expected in ((1000, "output"), (15_999, "output"), (16_000, None), ("1M", None), (0, "output")):
        assert target(path, Sandbox(engine=engine_name, output_limit=limit)) == expected
        assert path.stat().st_size == (limit if expected else 16_000)
        path.unlink()


def test_output_that_is_thrown_away_counts(engine_name: str) -> None:
    result = Sandbox(engine=engine_name, output_limit=100).run(image(WRITE), stdout=DEVNULL)
    assert (result.limit, result.message) == ("output", "the guest wrote more than 100 bytes to stdout")


def test_stdout_and_stderr_have_a_limit_each_that_duplicates_share(engine_name: str) -> None:
    box = Sandbox(engine=engine_name, output_limit=100)
    call = Caller(box)
    assert call(16, 1, 9) == 9
    assert (call(4, 1, DATA, 60), call(4, 2, DATA, 100), call(4, 9, DATA, 40)) == (60, 100, 40)
    for fd, name in ((9, "stdout"), (1, "stdout"), (2, "stderr")):
        with pytest.raises(LimitExceeded, match=f"more than 100 bytes to {name}"):
            call(4, fd, DATA, 1)
    assert call(4, 1, DATA, 0) == 0
    assert (len(call.process.stdout), len(call.process.stderr)) == (100, 100)


def test_a_vector_is_written_up_to_the_limit(engine_name: str, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    try:
        call = Caller(Sandbox(engine=engine_name, output_limit=10), linux=True, stdout=fd)
        vector = call.put(b"".join(word.to_bytes(4, "little") for word in (DATA, 6, DATA, 6)), DATA + 0x100)
        with pytest.raises(LimitExceeded, match="10 bytes to stdout"):
            call(146, 1, vector, 2)
    finally:
        os.close(fd)
    assert (tmp_path / "out").stat().st_size == 10


@needs_jit
def test_only_limited_output_is_not_answered_natively(tmp_path: Path) -> None:
    for limit, least, most in ((None, 990, 1000), ("1M", 0, 0)):
        fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
        with Sandbox(engine="jit", output_limit=limit).spawn(image(WRITE), stdout=fd) as process:
            process.run()
            assert least <= process.engine.answers.total() <= most  # type: ignore[attr-defined]
        os.close(fd)


def test_a_write_limit_is_shared_by_all_files_and_processes(engine_name: str, tmp_path: Path) -> None:
    box = Sandbox(engine=engine_name, files={"/d": Grant(tmp_path, writable=True)}, write_limit=100)
    call = Caller(box)
    assert call(5, call.text("/d/one"), 0x11, 0o600) == 3
    assert call(5, call.text("/d/two"), 0x12, 0o600) == 4
    assert (call(4, 3, DATA, 60), call(4, 4, DATA, 30)) == (60, 30)
    assert call(7, 4, 0, 0) == 0
    assert call(3, 4, DATA, 30) == 30  # to read costs nothing
    assert call(4, 1, DATA, 500) == 500  # nor does standard output
    child = _forking.fork(call.process)
    with pytest.raises(LimitExceeded, match="more than 100 bytes to files") as caught:
        call(4, 3, DATA, 11)
    assert caught.value.limit == "write"
    assert (tmp_path / "one").stat().st_size == 70
    assert child.files.meter is call.process.files.meter
    assert call.process.fork().files.meter is not child.files.meter
    call.process.close()


def test_truncate_and_pwrite_count_as_written(engine_name: str, tmp_path: Path) -> None:
    box = Sandbox(engine=engine_name, files={"/d": Grant(tmp_path, writable=True)}, write_limit=100)
    call = Caller(box, linux=True)
    assert call(5, call.text("/d/file"), os.O_RDWR | os.O_CREAT, 0o600) == 3
    assert call(93, 3, 50) == 0
    assert call(93, 3, 10) == 0
    assert call(92, call.text("/d/file"), 30) == 0
    assert call(181, 3, DATA, 25, 0, 0) == 25
    with pytest.raises(LimitExceeded, match="100 bytes to files"):
        call(93, 3, 1 << 30)
    assert (tmp_path / "file").stat().st_size == 30
    assert call(181, 3, DATA, 25, 0, 0) == 5
    with pytest.raises(LimitExceeded, match="100 bytes to files"):
        call(181, 3, DATA, 25, 0, 0)


@needs_jit
def test_native_answers_do_not_get_around_a_write_limit(tmp_path: Path) -> None:
    text = f"""
        mov eax, 5; mov edx, {DATA + 64}; mov ecx, 0x11; mov ebx, 0x180; syscall
        mov ebp, 1000
    1:  mov eax, 4; mov edx, 3; mov ecx, {DATA}; mov ebx, 16; syscall
        dec ebp; jnz 1b
        {EXIT}
    """
    program = image(text, bytes(64) + b"/d/file\0")
    for limit, size in ((None, 16_000), (8_000, 8_000)):
        box = Sandbox(engine="jit", files={"/d": Grant(tmp_path, writable=True)}, write_limit=limit)
        assert box.run(program).limit == (None if limit is None else "write")
        assert (tmp_path / "file").stat().st_size == size
        (tmp_path / "file").unlink()


# -- guests ----------------------------------------------------------------------------------------------------------


def test_there_are_only_so_many_guests_at_a_time(engine_name: str) -> None:
    box = Sandbox(engine=engine_name, guests=2)
    first, second = box.spawn(image(EXIT)), box.spawn(image(EXIT))
    snapshot = second.snapshot()
    ways: tuple[Callable[[], Process], ...] = (
        lambda: box.spawn(image(EXIT)), first.fork, lambda: box.spawn_from(snapshot),
    )  # fmt: skip
    for way in ways:
        with pytest.raises(LimitExceeded, match="has 2 guests") as caught:
            way()
        assert caught.value.limit == "guests"
    first.run()
    with pytest.raises(LimitExceeded):
        box.spawn(image(EXIT))
    first.close()
    first.close()
    third = second.fork()
    with pytest.raises(LimitExceeded):
        box.run(image(EXIT))
    third.close()
    del second, third, first
    gc.collect()  # nobody has closed the second one
    for _ in range(3):
        assert box.run(image(EXIT)).ok


def test_a_guest_that_could_not_begin_has_no_place() -> None:
    box = Sandbox(engine="reference", guests=1, memory="1M")
    for _ in range(3):
        with pytest.raises(LimitExceeded, match="arguments"):
            box.spawn(image(EXIT), ["x" * 1_000_000])
        with pytest.raises(TypeError):
            box.spawn(image(EXIT), stdin="text")  # type: ignore[arg-type]
    assert box.run(image(EXIT)).ok


def test_guests_are_counted_by_all_threads(engine_name: str) -> None:
    box, there, refused, most = Sandbox(engine=engine_name, guests=3), [0], [0], [0]
    lock = threading.Lock()

    def work() -> None:
        for _ in range(10 if engine_name == "jit" else 2):
            try:
                process = box.spawn(image(EXIT))
            except LimitExceeded:
                refused[0] += 1
                continue
            with lock:
                there[0] += 1
                most[0] = max(most[0], there[0])
            process.run()
            with lock:
                there[0] -= 1
            process.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 1 <= most[0] <= 3
    held = [box.spawn(image(EXIT)) for _ in range(3)]  # all places are free again, and no more than there were
    with pytest.raises(LimitExceeded):
        box.spawn(image(EXIT))
    for process in held:
        process.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cpu_time": 0}, "cpu_time must be a positive"),
        ({"cpu_time": -1.0}, "cpu_time must be a positive"),
        ({"guests": 0}, "guests must be at least 1"),
        ({"output_limit": -1}, "output_limit must be"),
        ({"write_limit": "many"}, "not a size"),
    ],
)
def test_limits_are_checked_at_the_door(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sandbox(engine="reference", **options)  # type: ignore[arg-type]


# -- what went wrong -------------------------------------------------------------------------------------------------


@in_child
def test_fork_without_room_for_another_guest_raised_in_the_host() -> None:
    """It was a MemoryError out of run(), and of spawn()."""
    text = "1: mov eax, 24; syscall; test eax, eax; jns 1b; int3"
    box = Sandbox(engine="jit", memory="1200M", processes=6)
    with ExitStack() as stack:
        process = stack.enter_context(box.spawn(image(text)))
        assert process.run().number == Vector.BREAKPOINT  # those that wait are parked meanwhile
        assert process.registers.eax == 0xFFFF_FFF5  # -EAGAIN
        guests = (stack.enter_context(box.spawn(image(text))) for _ in range(4))
        with pytest.raises(UnsupportedHost, match="no room for another guest"):
            list(guests)


def test_write_to_a_full_pipe_without_time_limit_could_not_be_interrupted(
    engine_name: str, pipe: tuple[int, int]
) -> None:
    text = f"mov eax, 4; mov edx, 1; mov ecx, {ENTRY}; mov ebx, 0x1000; syscall; int3"
    os.set_blocking(pipe[1], False)
    while True:
        try:
            os.write(pipe[1], bytes(4096))
        except BlockingIOError:
            break
    os.set_blocking(pipe[1], True)
    safety = threading.Timer(60, os.read, (pipe[0], 1 << 20))
    safety.start()
    with Sandbox(engine=engine_name).spawn(image(text), stdout=pipe[1]) as process:
        threading.Timer(0.1, process.interrupt).start()
        assert process.run().number == Vector.IRQ
        os.read(pipe[0], 1 << 20)
        assert process.run().number == Vector.BREAKPOINT
        assert process.registers.eax == 0x1000
    safety.cancel()


def test_a_large_write_to_a_pipe_arrives_whole_while_it_waits(engine_name: str, pipe: tuple[int, int]) -> None:
    """More than a pipe holds: it waits in the middle. After an interruption there the call goes on where it was."""
    size = 300_000
    text = f"""
        mov eax, 2; mov edx, {HEAP + (1 << 20)}; syscall
        mov edi, {HEAP}; mov ecx, {size // 4}; mov eax, 0x12345678; rep stosd
        mov eax, 4; mov edx, 1; mov ecx, {HEAP}; mov ebx, {size}; syscall; int3
    """
    found = bytearray()

    def read(most: int) -> None:
        while len(found) < most:
            found.extend(os.read(pipe[0], min(1 << 16, most - len(found))))

    def interrupt_when_full(process: Process) -> None:
        filled = array("i", [0])
        while filled[0] < 1 << 16:
            time.sleep(0.01)
            fcntl.ioctl(pipe[0], termios.FIONREAD, filled)
        process.interrupt()

    with Sandbox(engine=engine_name).spawn(image(text), stdout=pipe[1]) as process:
        reader = threading.Thread(target=read, args=(size,))
        reader.start()
        assert process.run().number == Vector.BREAKPOINT
        reader.join(30)
        assert process.registers.eax == size == len(found)
        assert found == process.memory.read(HEAP, size)
    found.clear()
    with Sandbox(engine=engine_name).spawn(image(text), stdout=pipe[1]) as process:
        threading.Thread(target=interrupt_when_full, args=(process,)).start()
        assert process.run().number == Vector.IRQ
        reader = threading.Thread(target=read, args=(size,))
        reader.start()
        assert process.run().number == Vector.BREAKPOINT  # the call goes on where it was
        reader.join(30)
        assert found == process.memory.read(HEAP, size)
        assert process.registers.eax == size


def test_a_host_call_that_takes_long_is_timed_out_behind_it(engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = SystemCalls.vx()
    late, inner = threading.Event(), Family.time_is_up

    def time_is_up(family: Family) -> None:
        inner(family)
        if family.deadline is not None and time.monotonic() >= family.deadline:
            late.set()

    monkeypatch.setattr(Family, "time_is_up", time_is_up)

    @table.define(200, "nap")
    def nap(process: Process) -> None:
        assert late.wait(60)

    text = "1: mov eax, 200; syscall; jmp 1b"
    for timeout in (0.1, 1.0, 10.0):
        late.clear()
        result = Sandbox(engine=engine_name, calls=table, timeout=timeout).run(image(text))
        assert result.timed_out
        if "nap" in result.stats.calls:  # on a busy host the time may be over before
            break
    assert result.stats.calls["nap"] == 1


def test_a_file_object_gets_its_bytes_in_pieces(engine_name: str) -> None:
    """A guest cannot have the host copy gigabytes at a stroke."""
    size = 5 << 20
    text = f"mov eax, 2; mov edx, {HEAP + (8 << 20)}; syscall; mov eax, 4; mov edx, 1; mov ecx, {HEAP}; mov ebx, {size}; syscall; int3"
    out = io.BytesIO()
    with Sandbox(engine=engine_name).spawn(image(text), stdout=out) as process:
        process.run()
        assert 0 < process.registers.eax == len(out.getvalue()) < size


def test_the_command_line_has_limits_of_bytes(tmp_path: Path) -> None:
    program = tmp_path / "writer.elf"
    program.write_bytes(image(WRITE))
    command = [sys.executable, "-m", "vx32py", "run", "--engine", "reference", "--output-limit", "100", str(program)]
    done = subprocess.run(command, env=child.environment(), capture_output=True, timeout=60, check=False)
    assert (done.returncode, len(done.stdout)) == (124, 100)
    assert done.stderr.decode() == f"vx32py: {program}: the guest wrote more than 100 bytes to stdout\n"
