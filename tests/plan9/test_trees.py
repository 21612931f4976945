"""Trees of files as programs see them: granted ones of the host's, and those in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from vx32py.plan9 import naming
from vx32py.plan9.chan import OWRITE
from vx32py.plan9.errors import Error
from vx32py.plan9.host import Host
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.namespace import MCREATE, MREPL
from vx32py.plan9.stat import Dir


def test_files_of_trees_were_taken_for_devices(tmp_path: Path) -> None:
    """Go's os says that files are devices whose type is not M."""
    (tmp_path / "file").write_bytes(b"x")
    with Kernel(root=tmp_path) as kernel:
        kernel.host.write("#ktmp/memory", b"y")
        assert [chr(kernel.host.stat(name).type) for name in ("/file", "#ktmp/memory", "/dev/null", "/env/user")] == [
            "M",
            "M",
            "c",
            "e",
        ]
        assert {chr(each.type) for each in kernel.host.entries("/root")} == {"M"}


def test_what_is_mounted_in_trees_is_what_their_directories_show(tmp_path: Path) -> None:
    """Although all trees say that they are of one type."""
    (tmp_path / "there").mkdir()
    with Kernel(root=tmp_path, writable=True) as kernel:
        host = kernel.host
        for spec in ("one", "two"):
            host.bind(f"#k{spec}", "/there", MREPL | MCREATE)
            host.write("/there/" + spec, spec.encode())
            assert [each.name for each in host.entries("/there")] == [spec]
            shown = next(each for each in host.entries("/root") if each.name == "there")
            there = host.stat("/there")
            assert (shown.dev, shown.qid.path) == (there.dev, there.qid.path)
        devices = {host.stat(name).dev for name in ("#kone", "#ktwo", "#U")}
        assert len(devices) == 3


def test_a_file_that_was_created_to_be_read_only_could_be_written(tmp_path: Path) -> None:
    """Who creates it can write it, once (open(5)); Go's os.WriteFile is asked to fail the second time."""
    tmp_path.chmod(0o755)
    with Kernel(root=tmp_path, writable=True) as kernel:
        host = kernel.host
        host.write("/once", b"first", 0o444)
        assert host.stat("/once").mode == 0o444
        assert (tmp_path / "once").read_bytes() == b"first"
        with pytest.raises(Error, match="permission denied"):
            host.write("/once", b"second")
        assert (tmp_path / "once").read_bytes() == b"first"


def test_in_a_directory_that_is_read_only_names_could_be_removed_by_a_host_that_may_do_anything(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"x")
    (tmp_path / "folder").chmod(0o555)
    with Kernel(root=tmp_path, writable=True) as kernel:
        host = kernel.host
        with pytest.raises(Error, match="permission denied"):
            host.remove("/folder/file")
        with pytest.raises(Error, match="permission denied"):
            host.write("/folder/other", b"")
        renamed = Dir(name="renamed")
        with pytest.raises(Error, match="permission denied"):
            host.do(host_wstat(host, "/folder/file", renamed))
        (tmp_path / "folder").chmod(0o755)
        host.do(host_wstat(host, "/folder/file", renamed))
        host.remove("/folder/renamed")
    assert not list((tmp_path / "folder").iterdir())


async def host_wstat(host: Host, name: str, changes: Dir) -> None:
    chan = await naming.find(host, name)
    await chan.device.wstat(host, chan, changes)


def test_to_open_a_directory_for_writing_was_not_said_to_be_about_a_directory(tmp_path: Path) -> None:
    with Kernel(root=tmp_path, writable=True) as kernel:
        for name in ("/root", "#ktmp"):
            with pytest.raises(Error, match="file is a directory"):
                kernel.host.open(name, OWRITE)
        with pytest.raises(Error, match="permission denied"):
            kernel.host.open("/dev", OWRITE)
