"""Trees of files as programs see them: granted ones of the host's, and those in memory."""

from __future__ import annotations

from pathlib import Path

from vx32py.plan9.kernel import Kernel
from vx32py.plan9.namespace import MCREATE, MREPL


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
