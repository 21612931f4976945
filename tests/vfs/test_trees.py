"""tmpfs and overlays: quotas, what of the lower tree is seen, layers that are saved and loaded, what is given back."""

from __future__ import annotations

import gc
import os
import stat
import tempfile
from pathlib import Path

import pytest
from guest_files import content, read, refused

from vx32py._descriptors import OpenFile
from vx32py.vfs.content import TreeFile
from vx32py.vfs.files import Files
from vx32py.vfs.layers import changes
from vx32py.vfs.mounts import Overlay, Tmpfs
from vx32py.vfs.opened import DirectoryFile

WRITE = os.O_CREAT | os.O_RDWR


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    """A tree to put an overlay on."""
    root = tmp_path / "lower"
    (root / "d/e").mkdir(parents=True)
    (root / "d/e/f").write_bytes(b"f of d/e")
    (root / "d/g").write_bytes(b"g of d")
    (root / "file").write_bytes(b"content")
    (root / "link").symlink_to("d/g")
    (root / "file").chmod(0o640)
    return root


def put(files: Files, path: str, data: bytes, flags: int = WRITE) -> None:
    """Write a file."""
    file = files.open(path, flags)
    write(file, data)
    file.close()


def write(file: OpenFile, data: bytes) -> int:
    """Write to an open file."""
    return file.write(memoryview(data), None)  # type: ignore[arg-type]


def names(files: Files, path: str) -> list[str]:
    """What a directory has."""
    directory = files.open(path, os.O_RDONLY | os.O_DIRECTORY)
    assert isinstance(directory, DirectoryFile)
    found = []
    while (entry := directory.next_entry()) is not None:
        found.append(entry[0])
        directory.move_on()
    directory.close()
    assert len(found) == len(set(found))
    return sorted(found)[2:]


def snapshot_of(root: Path) -> dict[str, object]:
    """Everything in a host directory."""
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.is_file() and path.read_bytes(),
        )
        for path in sorted(root.rglob("*"))
    }


def test_the_lower_tree_stays_as_it_is(lower: Path) -> None:
    before = snapshot_of(lower)
    files = Files({"/": Overlay(lower)})
    put(files, "/file", b"CON")
    put(files, "/d/e/new", b"new")
    files.chmod("/d/g", 0o600)
    files.rename("/d/e", "/e")
    files.remove("/link")
    files.truncate("/e/f", 1)
    files.link("/d/g", "/other")
    files.utime(files.locate("/d"), 1, 2)
    assert content(files, "/file") == b"CONtent"
    assert (content(files, "/e/f"), content(files, "/e/new")) == (b"f", b"new")
    assert files.status("/other").nlink == 2
    assert refused(lambda: files.status("/link", follow=False)) == "ENOENT"
    assert (names(files, "/"), names(files, "/d"), names(files, "/e")) == (
        ["d", "e", "file", "other"],
        ["g"],
        ["f", "new"],
    )
    assert snapshot_of(lower) == before


def test_a_directory_made_in_place_of_a_removed_one_is_empty(lower: Path) -> None:
    files = Files({"/": Overlay(lower)})
    for path in ("/d/e/f", "/d/e", "/d/g", "/d"):
        files.remove(path)
    files.mkdir("/d", 0o700)
    assert names(files, "/d") == []
    assert refused(lambda: files.status("/d/g")) == "ENOENT"
    assert refused(lambda: files.status("/d/e/f")) == "ENOENT"
    files.mkdir("/d/e", 0o700)
    assert names(files, "/d/e") == []


def test_a_renamed_directory_keeps_what_is_below_it(lower: Path) -> None:
    files = Files({"/": Overlay(lower)})
    files.rename("/d", "/moved")
    assert content(files, "/moved/e/f") == b"f of d/e"
    assert refused(lambda: files.status("/d/e/f")) == "ENOENT"
    put(files, "/moved/e/f", b"F")
    files.rename("/moved", "/d")
    assert content(files, "/d/e/f") == b"F of d/e"
    assert names(files, "/d") == ["e", "g"]


def test_a_removed_file_that_is_open_is_still_there(lower: Path) -> None:
    for files in (Files({"/": Overlay(lower)}), Files({"/": Tmpfs("1M")})):
        put(files, "/file", b"12")
        file = files.open("/file", os.O_RDWR)
        files.remove("/file")
        assert file.status().nlink == 0
        assert read(file)[:2] == b"12"
        file.close()


def test_what_is_open_for_reading_sees_what_is_written(lower: Path) -> None:
    files = Files({"/": Tmpfs("1M")})
    put(files, "/x", b"one")
    reader, writer = files.open("/x", os.O_RDONLY), files.open("/x", os.O_WRONLY | os.O_APPEND)
    write(writer, b" two")
    assert read(reader) == b"one two"
    assert reader.status() == writer.status() == files.status("/x")


def test_more_bytes_than_there_may_be_are_enospc() -> None:
    files = Files({"/": Tmpfs(10000)})
    file = files.open("/x", WRITE)
    assert write(file, bytes(9000)) == 9000
    assert write(file, bytes(5000)) == 1000
    assert refused(lambda: write(file, b"x")) == "ENOSPC"
    assert refused(lambda: file.write_at(memoryview(b"x"), 10000)) == "ENOSPC"
    assert refused(lambda: file.truncate(10001)) == "ENOSPC"
    assert isinstance(file, TreeFile)
    assert refused(lambda: file.allocate(0, 10001)) == "ENOSPC"
    assert file.write_at(memoryview(bytes(10000)), 0) == 10000  # what is there may be written again
    file.truncate(100)
    assert file.write_at(memoryview(b"x"), 5000) == 1
    put(files, "/y", bytes(4000))
    assert files.filesystem("/").free == (10000 - 9001) // 4096
    files.remove("/x")
    put(files, "/z", bytes(6000))
    assert files.status("/z").size == 999
    file.close()  # only now it is gone
    files.remove("/z")
    put(files, "/z", bytes(6000))
    assert files.status("/z").size == 6000


def test_more_files_than_there_may_be_are_enospc() -> None:
    files = Files({"/": Tmpfs("1M", files=5)})
    put(files, "/a", b"")
    files.mkdir("/b", 0o700)
    files.symlink("x", "/c")
    files.mknod("/d", stat.S_IFIFO | 0o600)
    for make in (lambda: put(files, "/e", b""), lambda: files.mkdir("/e", 0o700), lambda: files.symlink("x", "/e")):
        assert refused(make) == "ENOSPC"
    files.link("/a", "/e")  # which takes none
    for name in ("/e", "/a"):
        files.remove(name)
    files.mkdir("/e", 0o700)
    assert refused(lambda: files.mkdir("/f", 0o700)) == "ENOSPC"


def test_a_copy_of_a_lower_file_counts(lower: Path) -> None:
    (lower / "large").write_bytes(bytes(100_000))
    files = Files({"/": Overlay(lower, size=50_000)})
    assert refused(lambda: files.open("/large", os.O_RDWR)) == "ENOSPC"
    files.open("/large", os.O_RDONLY).close()
    files.open("/large", os.O_WRONLY | os.O_TRUNC).close()
    assert files.status("/large").size == 0
    assert (lower / "large").stat().st_size == 100_000


def test_permissions_are_looked_at() -> None:
    files = Files({"/": Tmpfs("1M")})
    put(files, "/x", b"x")
    files.chmod("/x", 0o000)
    assert refused(lambda: files.open("/x", os.O_RDONLY)) == "EACCES"
    files.mkdir("/d", 0o700)
    put(files, "/d/y", b"y")
    files.chmod("/d", 0o600)
    assert refused(lambda: files.status("/d/y")) == "EACCES"
    files.chmod("/d", 0o500)
    assert refused(lambda: files.remove("/d/y")) == "EACCES"
    assert refused(lambda: files.chown(files.locate("/x"), 0, 0)) == "EPERM"
    root = Files({"/": Tmpfs("1M")}, uid=0, gid=0)
    put(root, "/x", b"x")
    root.chmod("/x", 0)
    assert content(root, "/x") == b"x"
    root.chown(root.locate("/x"), 5, 6)
    assert (root.status("/x").uid, root.status("/x").gid) == (5, 6)


def test_changes_are_listed(lower: Path) -> None:
    files = Files({"/": Overlay(lower)})
    assert changes(files.space.trees["/"]) == []
    content(files, "/d/e/f")
    names(files, "/d")
    assert changes(files.space.trees["/"]) == []
    put(files, "/d/e/f", b"F")
    put(files, "/d/new", b"new")
    files.remove("/file")
    listed = {(change.what, change.path) for change in changes(files.space.trees["/"])}
    assert {("changed", "/d/e/f"), ("added", "/d/new"), ("removed", "/file")} <= listed
    assert {path for _, path in listed} <= {"/", "/d", "/d/e/f", "/d/new", "/file"}


def test_a_layer_that_was_saved_is_gone_on_from(lower: Path, tmp_path: Path) -> None:
    def use(files: Files) -> None:
        put(files, "/d/e/f", b"F")
        files.chmod("/d/g", 0o600)
        files.remove("/file")
        files.rename("/d/e", "/e")
        files.remove("/link")
        files.mkdir("/link", 0o700)
        put(files, "/link/x", b"x")
        files.symlink("/e/f", "/s")

    def everything(files: Files, path: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for name in names(files, path):
            inner = f"{path.rstrip('/')}/{name}"
            status = files.status(inner, follow=False)
            kind = stat.S_IFMT(status.mode)
            found[inner] = status.mode
            if kind == stat.S_IFDIR:
                found |= everything(files, inner)
            elif kind == stat.S_IFREG:
                found[inner] = status.mode, status.mtime, content(files, inner)
            else:
                found[inner] = files.readlink(inner)
        return found

    upper = tmp_path / "upper"
    first = Files({"/": Overlay(lower, upper)}).clone()
    use(first)
    first.save()
    assert (upper / ".wh.file").is_file()
    assert (upper / "e/.wh..wh..opq").is_file()
    assert (upper / "e/f").read_bytes() == b"F of d/e"
    second = Files({"/": Overlay(lower, upper)}).clone()
    assert everything(second, "/") == everything(first, "/")
    second.remove("/s")
    second.save()
    third = Files({"/": Overlay(lower, upper)})
    assert everything(third, "/") == everything(second, "/")
    assert not os.path.lexists(f"{upper}.new")


def test_bytes_and_descriptors_are_given_back(lower: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    files = Files({"/": Overlay(lower), "/t": Tmpfs("1M")})
    for i in range(50):
        files.mkdir(f"/t/{i}", 0o700)
        put(files, f"/t/{i}/x", bytes(100))
        put(files, f"/d/{i}", bytes(100))
    assert len(os.listdir("/proc/self/fd")) <= before + 4
    assert len([name for name in os.listdir(tmp_path) if name.startswith("vx32py-files-")]) == 2
    del files
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    assert not [name for name in os.listdir(tmp_path) if name.startswith("vx32py-files-")]


def test_names_have_at_most_255_bytes() -> None:
    files = Files({"/": Tmpfs("1M")})
    for name, error in (("x" * 256, "ENAMETOOLONG"), ("x" * 5000, "ENAMETOOLONG"), ("\udcff" * 256, "ENAMETOOLONG")):
        assert refused(lambda: files.mkdir("/" + name, 0o700)) == error  # noqa: B023
    files.mkdir("/" + "\udcff" * 255, 0o700)
    assert names(files, "/") == ["\udcff" * 255]
