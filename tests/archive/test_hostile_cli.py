"""The commands of ``vx32py archive`` on hostile archives: one line for each member that fails, and the exit code tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import hostile
import hostile_decoders
import hostile_members
import hostile_structure
import pytest
from click.testing import CliRunner, Result

from conformance.archives import forge
from vx32py.commands.archive import archive

ROOT = Path(__file__).resolve().parents[2]
CASES = hostile.cases(hostile_members.all_cases(), hostile_structure.all_cases(), hostile_decoders.all_cases())
SAMPLE = [case for case in CASES if case.prepare is None and not case.decoded][::12]


def vx32py_archive(*arguments: str) -> Result:
    """What a command says, every line of which can be shown on a terminal."""
    done = CliRunner().invoke(archive, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    for line in done.output.splitlines():
        assert line.isprintable(), line
    return done


@pytest.mark.parametrize("chunk", range(8))
def test_any_archive_can_be_looked_at(chunk: int, tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    for case in CASES[chunk::8]:
        path.write_bytes(case.data())
        for command in ("list", "info"):
            done = vx32py_archive(command, str(path))
            expected = {125} if case.unreadable else {1} if case.problem else {0, 1}
            assert done.exit_code in expected, (case.name, done.output)


@pytest.mark.parametrize("case", SAMPLE, ids=str)
def test_extract_and_test_say_what_fails_and_exit_with_1(case: hostile.Case, tmp_path: Path) -> None:
    path, target = tmp_path / "archive.zip", tmp_path / "target"
    path.write_bytes(case.data())
    done = vx32py_archive(
        "extract", "--max-time", "0.1", "--memory", "8M", "--jobs", "2", "--to", str(target), str(path)
    )
    assert done.exit_code == (125 if case.unreadable else 1 if case.bad or case.problem else 0), done.output
    lines = done.stderr.splitlines()
    assert all(line.startswith(f"vx32py: {path}: ") for line in lines)
    assert len(lines) >= max(len(case.bad), 1 if case.unreadable or case.problem else 0)
    if not case.unreadable:
        assert hostile.contents(target) == case.files
    tested = vx32py_archive("test", "--max-time", "0.1", "--memory", "8M", str(path))
    assert tested.exit_code in ({125} if case.unreadable else {0, 1})
    if tested.exit_code == 0:
        # Names and links are bad for extraction only, what is in the archive is well.
        assert not case.problem


def _at_work(pid: int) -> int:
    """How many threads but the first have computed for a tenth of a second."""
    found = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            ticks = int((task / "stat").read_text().rpartition(")")[2].split()[11])
            found += task.name != str(pid) and ticks * 10 >= os.sysconf("SC_CLK_TCK")
    return found


def test_an_interrupt_ends_a_decoder_that_loops(tmp_path: Path) -> None:
    """Of "test"; "extract" is in test_signals.py."""
    evil = forge.Decoder(hostile.program("1: jmp 1b"), "evil")
    entries = [hostile.decoded_entry(f"m{i}", b"x" * 100, evil) for i in range(4)]
    path = tmp_path / "archive.zip"
    path.write_bytes(forge.archive(hostile.good(), evil, *entries))
    process = subprocess.Popen(
        [sys.executable, "-m", "vx32py", "archive", "test", "--jobs", "2", "--max-time", "1000", str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while _at_work(process.pid) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")
    finally:
        process.kill()
    assert process.returncode == 130
