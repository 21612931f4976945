"""Pools of streams: several guests at once, and an end of all of them when there is one."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from streaming import program

from vx32py import Job, Sandbox, StreamPool


def pool(engine: str, how: str, guests: int = 2, **limits: object) -> StreamPool:
    """A pool of the streams' program, which does ``how``."""
    limits.setdefault("timeout", 60)
    return StreamPool(Sandbox(engine=engine, **limits), program(), [how], guests=guests)  # type: ignore[arg-type]


def test_results_come_in_order_whoever_is_first(engine_name: str) -> None:
    with pool(engine_name, "copy", guests=3) as decoders:
        sizes = [50_000, 1, 100, 70_000, 3, 0, 5] * 3
        done = list(decoders.map(Job(b"x" * size, key=size) for size in sizes))
        assert [each.job.key for each in done] == sizes
        assert [len(each.get().stdout) for each in done] == sizes
        assert all(each.error is None for each in done)


def test_results_come_as_they_are_done_if_nobody_wants_an_order(engine_name: str) -> None:
    gate_out, gate_in = os.pipe()
    try:
        with pool(engine_name, "copy") as decoders:
            jobs = [Job(gate_out, key="waits"), *(Job(b"x", key=i) for i in range(5))]
            order = []
            for done in decoders.map(jobs, ordered=False):
                order.append(done.job.key)
                if len(order) == 5:  # the last one is let go now
                    os.write(gate_in, b"late")
                    os.close(gate_in)
                    gate_in = -1
            assert order[-1] == "waits"
            assert sorted(map(str, order)) == sorted(["waits", *"01234"])
    finally:
        os.close(gate_out)
        if gate_in >= 0:
            os.close(gate_in)


def test_an_exception_is_one_jobs_own(engine_name: str) -> None:
    class Source:
        def read(self, _count: int) -> bytes:
            raise KeyError("broken")

    with pool(engine_name, "pick", fuel=100_000) as decoders:
        inputs = [b"a", Source(), b"trap", b"loop", "text", b"b"]
        done = list(decoders.map(Job(each) for each in inputs))  # type: ignore[arg-type]
        assert done[0].get().stdout == b"0 a"
        assert isinstance(done[1].error, KeyError)
        with pytest.raises(KeyError, match="broken"):
            done[1].get()
        assert done[2].get().trap is not None
        assert done[3].get().limit == "fuel"
        assert isinstance(done[4].error, TypeError)
        assert done[5].get().stdout == b"0 b"


def test_jobs_are_asked_for_only_a_few_ahead() -> None:
    asked = []

    def jobs() -> Iterator[Job]:
        for i in range(1000):
            asked.append(i)
            yield Job(b"%d" % i)

    with pool("auto", "copy") as decoders:
        results = decoders.map(jobs())
        for i in range(10):
            assert next(results).get().stdout == b"%d" % i
            assert len(asked) <= i + 1 + 4
        results.close()
        assert len(asked) < 20


def test_an_exception_of_the_iterable_ends_the_whole() -> None:
    def jobs() -> Iterator[Job]:
        yield Job(b"a")
        raise OSError("no more files")

    with pytest.raises(OSError, match="no more files"), pool("auto", "copy") as decoders:
        list(decoders.map(jobs()))


def test_files_of_an_owner_may_go_on_in_a_pool_and_others_never(engine_name: str) -> None:
    with pool(engine_name, "done", guests=1) as decoders:
        jobs = [Job(b"x", owner=owner) for owner in ("a", "a", "b", None, None)]
        assert [done.get().stdout for done in decoders.map(jobs)] == [b"1 x", b"2 x", b"1 x", b"1 x", b"1 x"]


def test_submitted_files_are_futures(engine_name: str) -> None:
    with pool(engine_name, "copy") as decoders:
        futures = [decoders.submit(b"%d" % i) for i in range(6)]
        assert [future.result().stdout for future in futures] == [b"%d" % i for i in range(6)]


def _begun(future: Future[Any]) -> None:
    deadline = time.monotonic() + 60
    while not future.running():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_closing_without_waiting_stops_guests_that_never_end(engine_name: str) -> None:
    decoders = pool(engine_name, "pick", timeout=None)
    futures = [decoders.submit(b"loop") for _ in range(5)]
    _begun(futures[0])
    _begun(futures[1])
    decoders.close(wait=False)
    assert all(future.done() for future in futures)
    for future in futures[:2]:
        assert isinstance(future.exception(), ValueError)
    assert all(future.cancelled() for future in futures[2:])
    with pytest.raises(ValueError, match="closed"):
        decoders.submit(b"x")


def test_pools_that_were_closed_leave_no_threads_and_no_descriptors(engine_name: str) -> None:
    def use() -> tuple[int, int]:
        decoders = pool(engine_name, "pick", timeout=None)
        futures = [decoders.submit(b"a"), *(decoders.submit(b"loop") for _ in range(5))]
        _begun(futures[1])
        decoders.close(wait=False)
        del decoders, futures
        gc.collect()
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    first, *_, last = [use() for _ in range(10)]
    assert last[0] <= first[0]
    assert last[1] < first[1] + 5  # of what is kept for the next guests there may be more or less


def test_an_exception_that_leaves_the_pool_ends_everything(engine_name: str) -> None:
    futures = []

    def work() -> None:
        with pool(engine_name, "pick", timeout=None) as decoders:
            futures.append(decoders.submit(b"loop"))
            _begun(futures[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert isinstance(futures[0].exception(), ValueError)


def test_control_c_ends_a_pool_with_guests_that_never_end(tmp_path: Path) -> None:
    path = tmp_path / "guest.elf"
    path.write_bytes(program().data)
    script = textwrap.dedent(
        """
        import sys, vx32py
        with vx32py.StreamPool(vx32py.Sandbox(), sys.argv[1], ["pick"], guests=2) as pool:
            print("ready", flush=True)
            list(pool.map(vx32py.Job(b"loop") for _ in range(10)))
        """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.5)  # in the middle of it; at any other time it must work as well
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode in (1, -signal.SIGINT), errors
    assert "KeyboardInterrupt" in errors


def test_a_pool_needs_a_guest_and_a_program() -> None:
    with pytest.raises(ValueError, match="guests"):
        StreamPool(Sandbox(), program(), guests=0)
    with pytest.raises(ValueError, match="not an ELF"):
        StreamPool(Sandbox(), b"no program")
