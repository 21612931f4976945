"""Files that an extraction which was killed had left stayed for ever; now the next one takes away those, and no others."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import hostile
import pytest

from conformance.archives import forge
from vx32py import archive
from vx32py.archive import temporary
from vx32py.archive.creating import replacing

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.zip"
    path.write_bytes(forge.archive(hostile.good(), forge.Entry("folder/file", b"content")))
    return path


def left(target: Path) -> set[str]:
    return {path.name for path in target.rglob(".vx32py-*")}


def is_locked(path: Path) -> bool:
    """Whether somebody holds it: one that has just been made and is not yet held may be taken for one left behind."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # its maker found it locked just now, and makes another
        pass
    return False


def test_what_a_killed_extraction_has_left_the_next_one_clears(tmp_path: Path, good: Path) -> None:
    evil = forge.Decoder(hostile.program("1: jmp 1b"), "evil")
    entries = [hostile.decoded_entry(name, b"x" * 100, evil) for name in ("m", "folder/n")]
    (tmp_path / "evil.zip").write_bytes(forge.archive(evil, *entries))
    target = tmp_path / "target"
    process = subprocess.Popen(
        [sys.executable, "-m", "vx32py", "archive", "extract", "-j", "2", "--to", str(target), str(tmp_path / "evil.zip")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while sum(map(is_locked, target.rglob(".vx32py-*"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        before = left(target)
        assert archive.extract(good, target).ok
        assert left(target) == before  # for it is alive
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    shutil.rmtree(target / "folder" / "x", ignore_errors=True)
    assert archive.extract(good, target, overwrite=True).ok
    assert left(target) == set()


def test_only_own_files_that_nobody_holds_are_cleared(tmp_path: Path, good: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    names = [temporary.new_name() for _ in range(7)]
    dead, link, folder, fifo, second, held, another_host = [target / name for name in names]
    dead.write_bytes(b"x" * 10)
    link.symlink_to(tmp_path / "precious")
    folder.mkdir()
    os.mkfifo(fifo)
    os.link(tmp_path / "precious", second)
    another_host = another_host.with_name(".vx32py-00000000-" + "0" * 16 + ".part")
    another_host.write_bytes(b"x")
    alike = [target / name for name in (".vx32py-x.part", names[0] + "x", ".vx32py-important", names[0].upper())]
    for path in alike:
        path.write_bytes(b"x")
    with held.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert archive.extract(good, target).ok
        assert left(target) == {path.name for path in (link, folder, fifo, second, held, another_host, *alike)} - {
            names[0].upper()
        }
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (target / names[0].upper()).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have files of others")
def test_files_of_other_users_are_not_cleared(tmp_path: Path, good: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    theirs = target / temporary.new_name()
    theirs.write_bytes(b"x")
    os.chown(theirs, 12345, 12345)
    assert archive.extract(good, target).ok
    assert theirs.exists()


def test_a_link_in_the_place_of_a_folder_is_not_followed_to_clear(tmp_path: Path, good: Path) -> None:
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "target"
    elsewhere.mkdir()
    target.mkdir()
    (target / "folder").symlink_to(elsewhere)
    (elsewhere / temporary.new_name()).write_bytes(b"x")
    assert [failure.name for failure in archive.extract(good, target).failures] == ["folder/file"]
    assert left(elsewhere)


def test_a_file_that_is_found_before_it_has_its_lock_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who clears up may come right between the two."""
    folder = os.open(tmp_path, os.O_PATH)
    inner = fcntl.flock
    calls = []

    def flock(fd: int, how: int) -> None:
        calls.append(fd)
        if len(calls) == 1:
            for name in left(tmp_path):
                os.unlink(tmp_path / name)
        if len(calls) == 2:
            raise BlockingIOError
        inner(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert temporary.create(folder, temporary.new_name()) == -1
    assert temporary.create(folder, temporary.new_name()) == -1
    assert left(tmp_path) == set()
    fd = temporary.create(folder, temporary.new_name())
    assert os.fstat(fd).st_nlink == 1
    temporary.give_up()
    assert left(tmp_path) == set()
    os.close(fd)
    os.close(folder)


def test_an_archive_that_is_not_whole_is_cleared_by_the_next(tmp_path: Path) -> None:
    (tmp_path / temporary.new_name()).write_bytes(b"x")
    with replacing(tmp_path / "new.zip") as file:
        file.write(b"y")
    assert [path.name for path in tmp_path.iterdir()] == ["new.zip"]
    with pytest.raises(IsADirectoryError), replacing(tmp_path):
        raise AssertionError("it begins what cannot end")
