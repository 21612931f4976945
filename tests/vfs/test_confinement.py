"""No path leads out of what has been granted: links, dots, mounts, renames by the guest and by others of the host."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from guest_files import content, read, refused

from vx32py._errors import CallError
from vx32py.vfs.files import Files
from vx32py.vfs.host import KERNEL
from vx32py.vfs.mounts import Default, Dev, Grant, Granted, Overlay, Tmpfs
from vx32py.vfs.opened import location_of

SECRET = b"the host's secret"


@pytest.fixture(params=["openat2", "walk"])
def _kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With openat2, and as on a kernel without it."""
    if request.param == "walk":
        monkeypatch.setattr(KERNEL, "has_openat2", False)
    elif not KERNEL.has_openat2:
        pytest.skip("this kernel has no openat2")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory to grant, beside a secret, with every kind of link to it."""
    (tmp_path / "secret").write_bytes(SECRET)
    inside = tmp_path / "inside"
    (inside / "sub/deep").mkdir(parents=True)
    (inside / "file").write_bytes(b"granted")
    (inside / "sub/file").write_bytes(b"granted, too")
    (inside / "up").symlink_to("../secret")
    (inside / "sub/up").symlink_to("../../secret")
    (inside / "absolute").symlink_to(tmp_path / "secret")
    (inside / "out").symlink_to("..")
    (inside / "sub/out").symlink_to("../..")
    (inside / "root").symlink_to("/")
    (inside / "proc").symlink_to("/proc/self/root")
    return inside


@pytest.mark.usefixtures("_kernel")
@pytest.mark.parametrize("mount", ["/", "/w", "/w/deep/in"])
@pytest.mark.parametrize("kind", [Grant, Overlay])
def test_links_of_the_tree_lead_nowhere_else(tree: Path, mount: str, kind: type) -> None:
    files = Files({mount: kind(tree)})
    names = [
        "up", "sub/up", "absolute", "out/secret", "sub/out/secret", f"root{tree.parent}/secret", "out/../secret",
        f"proc{tree.parent}/secret", f"proc/proc/self/root{tree.parent}/secret", "../secret", "../../../../secret",
        "sub/../../secret", "root/../secret", "sub/deep/../../../secret",
    ]  # fmt: skip
    for name in names:
        assert refused(lambda: content(files, f"{mount}/{name}")) in {"ENOENT", "ENOTDIR", "ELOOP"}, name  # noqa: B023
    assert content(files, f"{mount}/file") == b"granted"
    assert content(files, f"{mount}/sub/deep/../file") == b"granted, too"


@pytest.mark.usefixtures("_kernel")
def test_the_root_is_above_itself(tree: Path) -> None:
    files = Files({"/": tree})
    assert content(files, "/../../../file") == b"granted"
    assert content(files, "/root/root/root/sub/file") == b"granted, too"
    files.chdir("/sub/deep")
    assert content(files, "../../../../file") == b"granted"


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Another thread of the host exchanges two names, again and again."""
    stop = threading.Event()
    spare = one.with_name("spare")

    def swap() -> None:
        while not stop.is_set():
            os.rename(one, spare)
            os.rename(other, one)
            os.rename(spare, other)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.usefixtures("_kernel")
@pytest.mark.parametrize("kind", ["grant", "overlay"])
def test_a_directory_that_becomes_a_link_during_the_walk_leads_nowhere_else(tmp_path: Path, kind: str) -> None:
    """A host process changes sub, or its parent, into a link to a directory of the host's between two steps."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    for folder, text in ((outside, SECRET), (inside / "a/sub", b"granted")):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(text)
        (folder / "sub").mkdir()
        (folder / "sub/file").write_bytes(text)
    (inside / "a/link").symlink_to(outside)
    mounted: Granted = Grant(inside, writable=True) if kind == "grant" else Overlay(inside)
    files = Files({"/": mounted})
    seen: dict[object, int] = {}
    with swapping(inside / "a/sub", inside / "a/link"):
        for _ in range(600):
            for path in ("/a/sub/file", "/a/sub/sub/file", "/a/sub/../sub/file", "/a/link/sub/../file"):
                try:
                    found: object = content(files, path)
                except CallError as error:
                    found = errno.errorcode[error.errno]
                seen[found] = seen.get(found, 0) + 1
    assert SECRET not in seen
    assert set(seen) <= {b"granted", "ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EIO"}
    assert seen[b"granted"]


def test_a_directory_that_is_moved_out_of_the_tree_has_nothing_above_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    inside = tmp_path / "inside"
    (inside / "sub/deep").mkdir(parents=True)
    files = Files({"/": Grant(inside, writable=True)})
    files.chdir("/sub/deep")
    os.rename(inside / "sub", tmp_path / "moved")
    assert refused(lambda: content(files, "../../secret")) == "ENOENT"
    assert refused(lambda: content(files, "..")) == "ENOENT"
    assert refused(files.getcwd) == "ENOENT"
    assert files.cwd == "(unreachable)"


def test_a_guest_cannot_put_a_link_in_place_of_what_is_granted_elsewhere(tmp_path: Path) -> None:
    """A grant is a directory, not a path: what another writable grant makes of that path changes nothing."""
    outer = tmp_path / "outer"
    (outer / "inner").mkdir(parents=True)
    (outer / "inner/file").write_bytes(b"granted")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_bytes(SECRET)
    files = Files({"/rw": Grant(outer, writable=True), "/ro": Grant(outer / "inner")})
    files.rename("/rw/inner", "/rw/elsewhere")
    files.symlink(os.fspath(tmp_path / "secret"), "/rw/inner")
    assert content(files, "/ro/file") == b"granted"
    assert content(files.clone(), "/ro/file") == b"granted"


def test_an_open_directory_stays_the_same_when_it_is_renamed(tmp_path: Path) -> None:
    (tmp_path / "lower").mkdir()
    for mounted in (Overlay(tmp_path / "lower"), Tmpfs("1M"), Grant(tmp_path, writable=True)):
        files = Files({"/": mounted})
        files.mkdir("/one", 0o777)
        files.mkdir("/one/sub", 0o777)
        directory = files.open("/one/sub", os.O_RDONLY | os.O_DIRECTORY)
        files.chdir("/one/sub")
        files.rename("/one", "/two")
        files.mkdir("/one", 0o777)
        start = location_of(directory)
        files.open("x", os.O_CREAT | os.O_WRONLY, start=start).close()
        assert files.status("/two/sub/x").size == 0
        assert files.cwd == "/two/sub"
        assert files.status("../sub/x").ino == files.status("/two/sub/x").ino
        files.remove("x")
        files.remove("/two/sub", directory=True)
        assert refused(files.getcwd) == "ENOENT"
        assert refused(lambda: files.open("y", os.O_CREAT | os.O_WRONLY)) == "ENOENT"  # noqa: B023
        directory.close()


def test_mounts_stay_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    files = Files({"/": Grant(tmp_path, writable=True), "/a/b/m": Tmpfs("1M"), "/x/y": b"bytes"})
    for path in ("/a/b/m", "/a/b", "/a"):
        assert refused(lambda: files.rename(path, "/elsewhere")) == "EBUSY"  # noqa: B023
    assert refused(lambda: files.remove("/a/b/m", directory=True)) == "EBUSY"
    assert refused(lambda: files.rename("/x", "/z")) == "EBUSY"
    assert refused(lambda: files.remove("/x/y")) in {"EBUSY", "EROFS"}
    files.open("/a/b/m/f", os.O_CREAT | os.O_WRONLY).close()
    assert refused(lambda: files.link("/a/b/m/f", "/a/f")) == "EXDEV"
    assert refused(lambda: files.rename("/a/b/m/f", "/a/f")) == "EXDEV"
    assert not (tmp_path / "a/f").exists()
    assert os.listdir(tmp_path / "a/b") == []
    files.chdir("/a/b/m")
    assert files.status("..").ino == files.status("/a/b").ino
    assert content(files, "../../../x/y") == b"bytes"


def test_files_of_the_hosts_proc_are_not_opened(tmp_path: Path) -> None:
    """/proc/self/mem of a granted / would be the memory of the host's process."""
    files = Files({"/host": "/"})
    for path in ("/host/proc/self/mem", "/host/proc/1/cmdline", "/host/proc/self/environ", "/host/proc/version"):
        assert refused(lambda: content(files, path)) in {"EACCES", "ENOENT"}  # noqa: B023
    assert refused(lambda: files.open("/host/proc/self/fd", os.O_RDONLY)) in {"EACCES", "ENOENT"}
    assert refused(lambda: content(files, "/host/dev/null")) == "EACCES"


def test_devices_are_the_ones_they_are_said_to_be() -> None:
    files = Files({"/dev": Dev()})
    null, zero, full = (files.open(f"/dev/{name}", os.O_RDWR) for name in ("null", "zero", "full"))
    assert read(null) == b""
    assert read(zero) == bytes(1000)
    assert refused(lambda: full.write(memoryview(b"x"), None)) == "ENOSPC"  # type: ignore[arg-type]
    assert len(set(read(files.open("/dev/urandom", os.O_RDONLY)))) > 100
    assert refused(lambda: files.open("/dev/tty", os.O_RDWR)) == "ENXIO"
    assert refused(lambda: files.open("/dev/new", os.O_CREAT | os.O_WRONLY)) == "EROFS"
    files.open("/dev/shm/new", os.O_CREAT | os.O_WRONLY).close()  # noqa: S108 - the guest's


def test_a_default_is_there_where_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_bytes(b"the root's")
    grants: dict[str, Granted] = {"/etc": tmp_path, "/etc/hosts": Default(b"ours"), "/etc/passwd": Default(b"ours")}
    files = Files(grants)
    assert content(files, "/etc/hosts") == b"the root's"
    assert content(files, "/etc/passwd") == b"ours"


def test_each_guest_has_file_systems_of_its_own() -> None:
    template = Files({"/tmp": Tmpfs("1M")})  # noqa: S108 - the guest's
    one, other = template.clone(), template.clone()
    one.mkdir("/tmp/x", 0o777)  # noqa: S108
    assert refused(lambda: other.status("/tmp/x")) == "ENOENT"  # noqa: S108
    assert one.clone().status("/tmp/x").ino > 1  # noqa: S108 - a child's are the same
