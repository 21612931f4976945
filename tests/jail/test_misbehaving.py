"""Guests that die, hang, fork without end, fill disk quotas and memory: the host and other guests go on working.

Beside each of them a well-behaved guest runs in a jail of its own, in another thread of the same process, and must do what
it always does; and what the host had before, it has again afterwards.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import needs
import pytest
from prison import TIMEOUT, build

from conformance import lifetimes
from jit import resting, segments
from vx32py import Grant, Jail, Overlay, Result, Tmpfs

SOURCE = "../misbehaving/bombs.c"
MIB = 1 << 20
#: How long one that hangs is let do so, in seconds, and what it may use.
PATIENCE = 0.3
LIMITS: dict[str, Any] = {
    "timeout": TIMEOUT, "memory": "32M", "processes": 16, "open_files": 64, "output_limit": "1M", "write_limit": "4M",
    "allow_exec": True,
}  # fmt: skip
#: Of what guests have left behind some is kept for the next ones; the neighbours change how much that is.
#: The segments of some guests wait for the next ones, each with three entries, however many there have been.
BOUNDS = lifetimes.BOUNDS | {"descriptors": 16}
#: How far above what the host had before it may be while a guest does its worst: 16 processes of 32 MiB, and the engines.
WORST = 900 * MIB


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    needs.engine("jit")
    for _ in range(3):
        work()
        bomb("zombies")


def work() -> None:
    """A well-behaved guest does what it does natively."""
    result = Jail(memory="32M", timeout=TIMEOUT).run([str(build(SOURCE)), "work"])
    assert (result.describe(), result.stdout) == ("exit code 0", worked())


def worked() -> bytes:
    """What it prints."""
    return subprocess.run([str(build(SOURCE)), "work"], capture_output=True, check=True, timeout=TIMEOUT).stdout


def bomb(name: str, *words: str, **options: Any) -> Result:
    """Run one that misbehaves."""
    return Jail(**{**LIMITS, **options}).run([str(build(SOURCE)), name, *words])


@contextmanager
def neighbours() -> Iterator[None]:
    """Well-behaved guests, one after the other for as long as the context lasts, and one more."""
    over = threading.Event()
    failed: list[BaseException] = []
    count = 0

    def run() -> None:
        nonlocal count
        try:
            while not over.is_set():
                work()
                count += 1
            work()
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert failed == []


def _peak() -> int:
    """The most memory that the process has had since the last _reset_peak, in bytes."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s*(\d+)", status)
    assert found is not None
    return int(found[1]) << 10


def _zombies() -> int:
    """Children that nobody has waited for; other tests may have left some."""
    listed = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "stat="], capture_output=True, check=False)
    return listed.stdout.count(b"Z")


def _look() -> dict[str, int]:
    """The figures of this process without what waits for the next guest, of which there is more after many at a time."""
    segments.pool.empty()
    resting.empty()
    return lifetimes.look()


@contextmanager
def host_as_before() -> Iterator[None]:
    """Nothing of the guest is left, and it never had more than it may have."""
    before, zombies = _look(), _zombies()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    start = _peak()
    yield
    assert _peak() - start < WORST
    after = _look()
    grown = {name: after[name] - before[name] for name in before}
    assert {name: value for name, value in grown.items() if value > BOUNDS[name]} == {}
    assert _zombies() <= zombies


def misbehave(name: str, *words: str, **options: Any) -> str:
    """How it ended: what it printed, and an exit code or the name of a limit."""
    with host_as_before():
        with neighbours():
            result = bomb(name, *words, **options)
        said = result.stdout[:100].decode("ascii", "replace")
        ended = f"{said}{result.limit or result.describe()}"
        del result
        gc.collect()
    return ended


HANGS = [
    "busy", "busy_with_calls", "paused", "asleep", "reading_its_own_pipe", "waiting_for_a_futex", "polling",
    "ignoring_all_signals", "signals_in_a_loop", "timers_in_a_loop", "in_turns_for_ever", "stopped", "faulting_in_a_loop",
    "two_that_wait_for_each_other", "fork_bomb", "vfork_bomb", "thread_bomb", "exec_loop", "memory_in_every_process",
    "pipes_in_every_process", "endless_small_output",
]  # fmt: skip


@pytest.mark.parametrize("name", HANGS)
def test_one_that_never_ends_is_ended(name: str) -> None:
    assert re.fullmatch(r"(?s)([0-9]+ E\w+\n)*(time)", misbehave(name, timeout=PATIENCE))


#: Bomb → what it says in the end, as a regular expression.
ENDS = {
    "forks_until_refused": r"1\d EAGAIN\nexit code 0",
    "zombies": r"1\d EAGAIN\nexit code 0",
    "vforks": r"300 0\nexit code 0",
    "children_one_after_the_other": r"the last\nexit code 0|exit code 0",
    "threads_until_refused": r"\d+ EAGAIN\nexit code 0",
    "maps": r"2\d ENOMEM\nexit code 0",
    "small_maps": r"\d+ (ENOMEM|0)\nexit code 0",
    "shared_maps": r"2\d ENOMEM\nexit code 0",
    "breaks": r"2\d ENOMEM\nexit code 0",
    "a_deep_stack": r"page fault.*|exit code 139|.*SIGSEGV.*",
    "pipes": r"30 EMFILE\nexit code 0",
    "socket_buffers": r"30 EMFILE\nexit code 0",
    "descriptors": r"61 EMFILE\nexit code 0",
    "epolls": r"61 EMFILE\nexit code 0",
    "timers": r"\d{1,4} EAGAIN\nexit code 0",
    "queued_signals": r"\d{1,5} EAGAIN\nexit code 0",
    "descriptors_in_flight": r"2000 0\nexit code 0|\d+ (ETOOMANYREFS|EINVAL|EPERM|EMFILE|EOPNOTSUPP)\nexit code 0",
    "endless_output": r"x+output",
    "closes_everything": r"exit code 0",
    "unknown_calls": r"50000 ENOSYS\nexit code 0",
    "long_arguments": r"0 E2BIG\nexit code 0",
}


@pytest.mark.parametrize("name", ENDS)
def test_one_that_takes_all_there_is_gets_no_more(name: str) -> None:
    ended = misbehave(name)
    assert re.fullmatch("(?s)" + ENDS[name], ended), ended


FILLERS = {
    "one_big_file": r"\d+ ENOSPC\nexit code 0|write",
    "a_file_with_holes": r"\d+ (ENOSPC|EFBIG)\nexit code 0|write",
    "many_small_files": r"\d+ ENOSPC\nexit code 0|write",
    "many_folders": r"\d+ ENOSPC\nexit code 0|write",
    "many_links": r"\d+ ENOSPC\nexit code 0|write",
    "a_deep_folder": r"\d+ (ENOSPC|ENAMETOOLONG)\nexit code 0|write",
    "removed_but_open": r"\d+ (ENOSPC|EMFILE)\nexit code 0|write",
    "locks": r"\d{1,4} ENOLCK\nexit code 0",
}


@pytest.mark.parametrize("kind", ["grant", "tmpfs", "overlay"])
@pytest.mark.parametrize("name", FILLERS)
def test_one_that_fills_its_disk_gets_no_more_than_its_share(tmp_path: Path, kind: str, name: str) -> None:
    """The share is 4 MiB."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "kept").write_bytes(b"as it was")
    kinds: dict[str, dict[str, Any]] = {
        "grant": {"dirs": [f"{folder}:/w:rw"]},
        "tmpfs": {"dirs": {"/w": Tmpfs("4M", files=500)}},
        "overlay": {"dirs": {"/w": Overlay(folder, size="4M", files=500)}},
    }
    try:
        ended = misbehave(name, "/w", **kinds[kind])
        assert re.fullmatch(FILLERS[name], ended), ended
        assert (folder / "kept").read_bytes() == b"as it was"
        assert (
            int(subprocess.run(["du", "-s", str(folder)], capture_output=True, check=True).stdout.split()[0]) < 10 << 10
        )
        assert kind == "grant" or [path.name for path in folder.iterdir()] == ["kept"]
    finally:
        # Deeper than Python's own way to remove it goes.
        subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.parametrize("number", [n for n in range(1, 32) if n not in {19, 20, 21, 22}])
def test_one_that_dies_of_a_signal_dies_alone(number: int) -> None:
    native = subprocess.run([str(build(SOURCE)), "die", str(number)], capture_output=True, check=False, timeout=TIMEOUT)
    expected = native.returncode if native.returncode >= 0 else 128 - native.returncode
    result = bomb("die", str(number))
    assert result.exit_code == expected, signal.Signals(number).name
    work()


def test_descriptors_come_back_without_the_garbage_collector(tmp_path: Path) -> None:
    """A host with a loop of jails has them back before it has none left."""
    dirs: dict[str, Any] = {"/w": Grant(tmp_path, writable=True), "/t": Tmpfs("1M")}
    bomb("forks_until_refused", dirs=dirs)
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(8):
            bomb("forks_until_refused", dirs=dirs)
            bomb("one_big_file", "/w", dirs=dirs)
        assert len(os.listdir("/proc/self/fd")) <= before + 4
    finally:
        gc.enable()
