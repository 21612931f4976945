"""``#U``: what of the host's is granted, and that nothing else is reached through it."""

from __future__ import annotations

import os
import socket
import stat as host_stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from plan9_programs import main, program

from vx32py.plan9 import Error, Kernel
from vx32py.plan9.chan import DMAPPEND, DMDIR, DMEXCL, OEXEC, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE, Chan
from vx32py.plan9.host import Host
from vx32py.plan9.naming import create_file, find
from vx32py.plan9.stat import Dir


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory beside others that were not granted."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("outside")
    root = tmp_path / "granted"
    (root / "folder/deep").mkdir(parents=True)
    root.chmod(0o777)
    (root / "file").write_text("content")
    (root / "folder/file").write_text("in a folder")
    return root


@pytest.fixture
def host(tree: Path) -> Iterator[Host]:
    """Who may write there."""
    with Kernel(engine="reference", root=tree, writable=True) as kernel:
        yield kernel.host


def wstat(host: Host, name: str, changes: Dir) -> None:
    async def change() -> None:
        chan = await find(host, name)
        await chan.device.wstat(host, chan, changes)

    host.do(change())


def write(host: Host, chan: Chan, data: bytes, offset: int = 0) -> int:
    return host.do(chan.device.write(host, chan, data, offset))


def names(host: Host, path: str) -> list[str]:
    return sorted(entry.name for entry in host.entries(path))


def test_without_the_grant_nothing_is_written(tree: Path, engine_name: str) -> None:
    before = {path: path.lstat() for path in tree.rglob("*")}
    with Kernel(engine=engine_name, root=tree, timeout=60) as kernel:
        proc = kernel.start_program(
            program(
                main(
                    r"""
            uchar d[100]; int n;
            check(open("/file", OREAD) >= 0);
            check(failed(open("/file", OWRITE), "permission denied") && failed(open("/file", ORDWR), "permission denied"));
            check(failed(open("/file", OREAD|OTRUNC), "permission denied"));
            n = open("/file", OREAD|ORCLOSE);
            close(n);
            check(create("/new", OWRITE, 0666) < 0 && create("/folder/new", OREAD, 0x80000000|0777) < 0);
            check(create("#U/new", OWRITE, 0666) < 0);
            check(create("/file", OWRITE, 0666) < 0);
            check(remove("/file") < 0 && remove("/folder/deep") < 0 && remove("#U/file") < 0);
            memset(d, 0xff, sizeof d);
            n = 49 + 3;
            d[0] = n - 2; d[1] = 0; d[41] = 3; d[42] = 0; d[43] = 'n'; d[44] = 'e'; d[45] = 'w';
            memset(d + 46, 0, 6);
            check(failed(wstat("/file", d, n), "permission denied"));
            d[41] = 0; memset(d + 42, 0, 7); n = 49; d[0] = 47;
            d[21] = d[22] = d[23] = d[24] = 0;	/* mode */
            check(failed(wstat("/file", d, n), "permission denied"));
            """
                )
            )
        )
        kernel.wait(proc)
        assert proc.status == ""
    after = {path: path.lstat() for path in tree.rglob("*")}
    assert {path: (s.st_mode, s.st_size, s.st_mtime_ns) for path, s in before.items()} == {
        path: (s.st_mode, s.st_size, s.st_mtime_ns) for path, s in after.items()
    }


def test_links_that_lead_out_of_the_tree_are_not_there(tree: Path, host: Host) -> None:
    for name, target in {
        "inside": "file", "through": "folder/../file", "to-folder": "folder", "out": "../secret", "absolute": str(tree / "file"),
        "outside": "../outside", "around": "folder/../../granted/file", "loop": "loop", "a": "b", "b": "a", "dangling": "nothing",
        "slash": "/", "above": "..", "self": "/proc/self/root", "deep-out": "folder/deep/../../../secret",
    }.items():  # fmt: skip
        (tree / name).symlink_to(target)
    (tree / "folder/up").symlink_to("../file")
    (tree / "folder/out").symlink_to("../../secret")
    for name in ("inside", "through", "folder/up"):
        assert host.read(f"/{name}") == b"content"
    assert names(host, "/to-folder") == ["deep", "file", "up"]
    assert host.stat("/inside").name == "inside"
    for name in ("out", "absolute", "outside", "outside/file", "around", "loop", "a", "dangling", "slash", "slash/etc", "above",
                 "self", "deep-out", "folder/out"):  # fmt: skip
        with pytest.raises(Error, match="does not exist"):
            host.stat(f"/{name}")
    assert {"inside", "through", "to-folder"} <= set(names(host, "/"))
    assert not {"out", "absolute", "outside", "slash", "above", "self", "loop", "dangling"} & set(names(host, "#U"))


def test_dot_dot_and_odd_names_stay_in_the_tree(host: Host) -> None:
    assert names(host, "#U/../../..") == names(host, "#U")
    for name in (
        "#U/folder/../../secret",
        "#U/../secret",
        "#U/..secret",
        "#U/" + "x" * 300,
        "#U/" + "../" * 50 + "secret",
    ):
        with pytest.raises(Error):
            host.read(name)


def test_only_files_and_directories_are_there(tree: Path, host: Host) -> None:
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tree / "socket"))
        for name in ("fifo", "socket"):
            with pytest.raises(Error, match="does not exist"):
                host.open(f"/{name}")
            with pytest.raises(Error):
                host.write(f"/{name}", b"x")
        assert names(host, "#U") == ["file", "folder"]


def test_names_that_programs_could_not_say_are_not_listed(tree: Path, host: Host) -> None:
    for name in (b"control\x01", b"del\x7f", b"new\nline"):
        (tree / os.fsdecode(name)).write_text("x")
    for name in (b"latin\xe9", "unicode-é".encode(), b"two words", b"quote's", b"#hash", b"-dash"):
        (tree / os.fsdecode(name)).write_bytes(name)
    listed = names(host, "#U")
    assert [name for name in listed if any(letter < " " or letter == "\x7f" for letter in name)] == []
    for name in (b"latin\xe9", "unicode-é".encode(), b"two words", b"quote's", b"#hash", b"-dash"):
        assert os.fsdecode(name) in listed
        assert host.read("/" + os.fsdecode(name)) == name


def test_modes_times_and_lengths_are_the_hosts(tree: Path, host: Host) -> None:
    (tree / "file").chmod(0o4751)
    os.utime(tree / "file", (1_000_000_000, 1_100_000_000))
    found = host.stat("/file")
    assert (found.mode, found.atime, found.mtime, found.length) == (0o751, 1_000_000_000, 1_100_000_000, 7)
    assert host.stat("/folder").mode == DMDIR | (tree / "folder").stat().st_mode & 0o777
    assert found.uid == found.gid == found.muid == "glenda"
    before = host.stat("/file").qid
    (tree / "file").write_text("changed")
    after = host.stat("/file").qid
    assert before.path == after.path
    assert before.version != after.version


def test_owners_are_the_kernels_user_root_and_numbers(tree: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid():
        pytest.skip("only root gives files away")
    os.chown(tree / "file", 4711, 0)
    found = host.stat("/file")
    assert (found.uid, found.gid, found.muid) == ("4711", "glenda", "4711")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    monkeypatch.setattr(os, "getgid", lambda: 4712)
    with Kernel(engine="reference", root=tree, user="rob") as kernel:
        found = kernel.host.stat("/file")
        assert (found.uid, found.gid) == ("rob", "sys")
        assert next(each for each in kernel.host.entries("/root") if each.name == "folder").uid == "sys"


def test_changes_of_wstat_are_made_to_the_hosts_file(tree: Path, host: Host) -> None:
    wstat(host, "/file", Dir(mode=0o600))
    wstat(host, "/file", Dir(length=3))
    wstat(host, "/file", Dir(mtime=1_200_000_000))
    wstat(host, "/file", Dir(name="renamed"))
    made = (tree / "renamed").stat()
    assert (made.st_mode & 0o7777, int(made.st_mtime), made.st_size) == (0o600, 1_200_000_000, 3)
    assert not (tree / "file").exists()
    (tree / "other").write_text("other")
    with pytest.raises(Error, match="file already exists"):
        wstat(host, "/renamed", Dir(name="other"))
    for name in ("..", ".", "a/b", "../up"):
        with pytest.raises(Error):
            wstat(host, "/renamed", Dir(name=name))
    for changes in (Dir(mode=DMDIR | 0o777), Dir(length=1 << 63)):
        with pytest.raises(Error):
            wstat(host, "/renamed", changes)
    with pytest.raises(Error):
        wstat(host, "/folder", Dir(length=0))
    assert (tree / "other").read_text() == "other"
    wstat(host, "/folder", Dir(name="moved"))
    assert host.read("/moved/file") == b"in a folder"


def test_what_is_created_has_of_its_modes_what_the_directory_has(tree: Path, host: Host) -> None:
    (tree / "folder").chmod(0o750)
    host.do(create_file(host, "/folder/new", OWRITE, 0o777)).close()
    host.do(create_file(host, "/folder/plain", OWRITE, 0o666)).close()
    host.make_directory("/folder/made", 0o777)
    modes = {path.name: host_stat.S_IMODE(path.stat().st_mode) for path in (tree / "folder").iterdir()}
    assert (modes["new"], modes["plain"], modes["made"]) == (0o751, 0o640, 0o750)
    with pytest.raises(Error, match="directory not empty"):
        host.remove("/folder")
    chan = host.do(create_file(host, "/folder/brief", ORDWR | ORCLOSE, 0o666))
    write(host, chan, b"x")
    assert (tree / "folder/brief").exists()
    chan.close()
    assert not (tree / "folder/brief").exists()


def test_a_file_that_can_only_be_appended_to_is_written_at_its_end(tree: Path, host: Host) -> None:
    chan = host.do(create_file(host, "/log", ORDWR, DMAPPEND | 0o666))
    write(host, chan, b"one ")
    write(host, chan, b"two ", 0)
    other = host.open("/log", OWRITE | OTRUNC)  # what is only appended to is not made empty
    write(host, other, b"three", 100)
    assert host.read("/log") == b"one two three" == (tree / "log").read_bytes()
    found = host.stat("/log")
    assert found.mode == DMAPPEND | 0o666
    assert found.qid.type == DMAPPEND >> 24 == chan.qid.type
    assert next(each for each in host.entries("/") if each.name == "log").mode & DMAPPEND
    wstat(host, "/log", Dir(mode=0o644))
    assert host.stat("/log").mode == 0o644
    wstat(host, "/log", Dir(mode=DMAPPEND | 0o644))
    assert host.stat("/log").mode == DMAPPEND | 0o644
    host.remove("/log")
    host.write("/log", b"not the same")
    assert not host.stat("/log").mode & DMAPPEND


def test_a_file_for_one_at_a_time_is_opened_by_one_at_a_time(host: Host) -> None:
    chan = host.do(create_file(host, "/lock", ORDWR, DMEXCL | 0o666))
    with pytest.raises(Error, match="exclusive use file already open"):
        host.open("/lock", OREAD)
    with pytest.raises(Error, match="exclusive use file already open"):
        host.do(create_file(host, "/lock", ORDWR, DMEXCL | 0o666))
    chan.close()
    again = host.open("/lock", ORDWR)
    with pytest.raises(Error, match="exclusive use file already open"):
        host.open("/lock", ORDWR)
    again.close()
    assert host.stat("/lock").mode == DMEXCL | 0o666


def test_a_directory_with_thousands_of_files_is_read_piece_by_piece(tree: Path, host: Host) -> None:
    (tree / "huge").mkdir()
    for number in range(2000):
        (tree / f"huge/{number:05}").touch()
    assert names(host, "/huge") == [f"{number:05}" for number in range(2000)]
    chan = host.open("/huge")
    first = host.do(chan.device.read(host, chan, 8192, 0))
    for number in range(2000):
        (tree / f"huge/{number:05}").unlink()
    rest = host.do(chan.device.read(host, chan, 8192, len(first)))
    assert len(first) > 7000
    assert len(rest) < 200  # what has gone is not shown, but for one that was read already


def test_what_is_removed_while_it_is_open_can_still_be_read(tree: Path, host: Host) -> None:
    chan = host.open("/file")
    (tree / "file").unlink()
    assert host.do(chan.device.read(host, chan, 100, 0)) == b"content"
    with pytest.raises(Error, match="does not exist"):
        host.stat("/file")


def test_only_what_may_be_executed_is(tree: Path, host: Host) -> None:
    with pytest.raises(Error, match="permission denied"):
        host.open("/file", OEXEC)
    (tree / "file").chmod(0o755)
    host.open("/file", OEXEC).close()


def test_without_a_grant_there_is_no_tree_and_never_a_raw_one() -> None:
    with Kernel(engine="reference") as kernel:
        for name in ("#U", "#Z", "#Z/etc", "#U/etc"):
            with pytest.raises(Error, match="unknown device in # filename"):
                kernel.host.stat(name)


def test_of_several_trees_each_has_its_name(tmp_path: Path) -> None:
    from vx32py.vfs.host import HostTree

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    trees = {"one": HostTree(tmp_path / "one", writable=False), "two": HostTree(tmp_path / "two", writable=True)}
    with Kernel(engine="reference", trees=trees) as kernel:
        host = kernel.host
        assert (host.read("#Uone/file"), host.read("#Utwo/file")) == (b"one", b"two")
        host.write("#Utwo/file", b"changed")
        with pytest.raises(Error, match="permission denied"):
            host.write("#Uone/file", b"changed")
        for name in ("#U", "#Uthree"):
            with pytest.raises(Error, match="bad attach specifier"):
                host.stat(name)
        assert host.stat("#Uone").qid.path != host.stat("#Utwo").qid.path


def test_a_guest_appends_to_what_can_only_be_appended_to(tree: Path, engine_name: str) -> None:
    with Kernel(engine=engine_name, root=tree, writable=True, timeout=60) as kernel:
        proc = kernel.start_program(
            program(
                main(
                    r"""
            int fd, other; uchar d[500];
            check((fd = create("/log", ORDWR, 0x40000000|0666)) >= 0 && (other = open("/log", OWRITE|OTRUNC)) >= 0);
            check(write(fd, "one ", 4) == 4 && pwrite(other, "two ", 4, 0) == 4 && write(fd, "three ", 6) == 6);
            check(seek(fd, 0, 0) == 0 && write(fd, "four", 4) == 4);
            check(open("/file", ORDWR) >= 0);
            fd = open("/file", ORDWR);
            check(write(fd, "C", 1) == 1 && pwrite(fd, "T", 1, 3) == 1);
            check(fstat(fd, d, sizeof d) > 0);
            memset(d + 2, 0xff, 39); d[0] = 47; d[1] = 0; memset(d + 41, 0, 8);	/* nothing but a mode */
            d[21] = 0xb6; d[22] = 1; d[23] = 0; d[24] = 0x40;
            check(fwstat(fd, d, 49) == 49);
            check(pwrite(fd, "!", 1, 0) == 1);	/* from now on it is one, also for who has it open */
            """
                )
            )
        )
        kernel.wait(proc)
        assert proc.status == ""
    assert (tree / "log").read_bytes() == b"one two three four"
    assert (tree / "file").read_bytes() == b"ConTent!"
