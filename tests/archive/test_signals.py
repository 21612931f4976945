"""Ctrl-C was lost once, and SIGTERM left files that are not whole: commands end when they are told to, and clear away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import hostile
import pytest

from conformance.archives import forge

ROOT = Path(__file__).resolve().parents[2]


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """An archive with four members that are never decoded to their ends."""
    # One byte at a time, so that there is something in each file.
    code = "again: mov eax, 4; mov edx, 1; mov ecx, esp; mov ebx, 1; syscall\n2: jmp 2b"
    evil = forge.Decoder(hostile.program(code), "evil")
    entries = [hostile.decoded_entry(f"m{i}", b"x" * 100, evil) for i in range(4)]
    path = tmp_path / "archive.zip"
    path.write_bytes(forge.archive(hostile.good(), evil, *entries))
    return path


def begun(target: Path, files: int) -> None:
    """Wait until the good file is there and so many others are being written."""
    deadline = time.monotonic() + 60
    while not all((target / name).exists() for name in hostile.GOOD) or _being_written(target) < files:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _being_written(target: Path) -> int:
    return sum(path.stat().st_size > 0 for path in target.glob(".vx32py-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_signal_ends_extraction_and_nothing_is_left_that_is_not_whole(
    endless: Path, tmp_path: Path, number: signal.Signals, jobs: str
) -> None:
    target = tmp_path / "target"
    arguments = [
        "archive",
        "extract",
        "--jobs",
        jobs,
        "--max-time",
        "1000",
        "--keep-broken",
        "--to",
        str(target),
        str(endless),
    ]
    process = python("from vx32py.cli import main; main()", *arguments)
    try:
        begun(target, int(jobs))
        process.send_signal(number)
        assert process.communicate(timeout=60) == ("", "")
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert hostile.contents(target) == hostile.GOOD


def test_an_interrupt_that_python_throws_away_comes_again(endless: Path, tmp_path: Path) -> None:
    """As it does in a finalizer, or in the callback of a weak reference, of which each import has one."""
    code = """
        import os, signal, sys, threading
        import vx32py.archive.testing as testing
        from vx32py.cli import main

        class Finalized:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000): pass

        inner = testing.judge
        def judge(*arguments, **how):
            Finalized()
            print("going on", flush=True)
            return inner(*arguments, **how)
        testing.judge = judge
        main()
    """
    process = python(code, "archive", "test", "--max-time", "1000", str(endless))
    try:
        said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, said) == (130, ("going on\n", ""))


def test_an_interrupt_that_somebody_swallows_is_not_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    path.write_bytes(forge.archive(hostile.good()))
    code = """
        import os, signal
        import vx32py.archive.testing as testing
        from vx32py.cli import main

        inner = testing.judge
        def judge(*arguments, **how):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000): pass
            except BaseException:
                pass
            return inner(*arguments, **how)
        testing.judge = judge
        main()
    """
    process = python(code, "archive", "test", "-q", str(path))
    said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, ("", ""))


@pytest.mark.parametrize("command", ["extract", "create"])
def test_threads_that_cannot_be_stopped_are_not_waited_for(tmp_path: Path, command: str) -> None:
    """A worker that compiles something, say. It was waited for."""
    path, target = tmp_path / "archive.zip", tmp_path / "target"
    path.write_bytes(forge.archive(hostile.good(), forge.Entry("other", b"y")))
    (tmp_path / "source").mkdir()
    for name in ("a", "b"):
        (tmp_path / "source" / name).write_bytes(b"x" * 100)
    code = """
        import time
        from vx32py.archive import decoding, packing
        from vx32py.cli import main

        def never(*_, **__):
            time.sleep(1000)
        decoding.Decoders.decode = packing.Packer.prepare = never
        main()
    """
    arguments = {
        "extract": ["extract", "--jobs", "2", "--to", str(target), str(path)],
        "create": ["create", "--jobs", "2", str(target / "new.zip"), str(tmp_path / "source")],
    }[command]
    target.mkdir()
    process = python(code, "archive", *arguments)
    try:
        deadline = time.monotonic() + 60
        while len(list(target.glob(".vx32py-*"))) < (2 if command == "extract" else 1):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    finally:
        process.kill()
    assert process.returncode == 130
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("command", ["extract", "create"])
def test_a_thread_that_is_being_started_is_not_waited_for_either(tmp_path: Path, command: str) -> None:
    """Its pool does not know it yet, and the interpreter waited for it at its end."""
    path = tmp_path / "archive.zip"
    path.write_bytes(forge.archive(hostile.good(), forge.Entry("other", b"y")))
    code = """
        import os, signal, threading, time
        from vx32py.archive import decoding, packing
        from vx32py.cli import main

        def never(*_, **__):
            time.sleep(1000)
        decoding.Decoders.decode = packing.Packer.prepare = never
        inner = threading.Thread.start
        def start(self):
            inner(self)
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000): pass
        threading.Thread.start = start
        main()
    """
    target = tmp_path / "target"
    target.mkdir()
    arguments = {
        "extract": ["extract", "--jobs", "2", "--to", str(target), str(path)],
        "create": ["create", "--jobs", "2", str(target / "new.zip"), str(path)],
    }[command]
    process = python(code, "archive", *arguments)
    try:
        said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, said) == (130, ("", ""))
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(
    "where",
    [
        "click/core.py",
        "vx32py/commands/group.py",
        "vx32py/commands/archive.py",
        "vx32py/archive/reader.py",
        "vx32py/archive/extracting.py",
    ],
)
def test_an_interrupt_while_modules_are_loaded_is_one_too(tmp_path: Path, where: str) -> None:
    """It was a traceback, or "Aborted!" with exit code 1."""
    path = tmp_path / "archive.zip"
    path.write_bytes(forge.archive(hostile.good()))
    code = f"""
        import sys
        from vx32py.cli import main
        def trace(frame, event, argument):
            if frame.f_code.co_filename.endswith({where!r}):
                sys.settrace(None)
                raise KeyboardInterrupt
        sys.settrace(trace)
        main()
    """
    process = python(code, "archive", "extract", "--to", str(tmp_path / "target"), str(path))
    said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, ("", ""))


def test_what_a_command_was_started_to_ignore_it_ignores(endless: Path, tmp_path: Path) -> None:
    code = """
        import os, signal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        from vx32py.cli import main
        main()
    """
    target = tmp_path / "target"
    process = python(code, "archive", "extract", "--jobs", "1", "--max-time", "1000", "--to", str(target), str(endless))
    try:
        begun(target, 1)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
