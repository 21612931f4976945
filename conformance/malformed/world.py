"""What a guest that makes random calls is granted, and what lies around it and must stay as it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from conformance.malformed import sources
from conformance.malformed.plan import guest
from vx32py import Grant

#: What is in the files that a guest must not reach: it may be nowhere in what a guest has.
SECRET: Final = b"secret-3f1b7c52-nobody-may-see-this"


def temporary() -> tempfile.TemporaryDirectory[str]:
    """A directory for worlds; in memory where there is such a place, because they are made anew for each case."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - what is made there is ours alone
    return tempfile.TemporaryDirectory(prefix="vx32py-calls-", dir=memory, ignore_cleanup_errors=True)


class World:
    """A directory with everything. ``ro`` and ``rw`` are granted, ``canary`` and ``cwd``, which is to
    be the host's working directory, are not."""

    def __init__(self, folder: str | None = None) -> None:
        """A new directory within ``folder``, whose owner removes it: a process that is killed cannot. Without one, it goes
        with this object."""
        if folder is None:
            self._own = temporary()
            folder = self._own.name
        folder = tempfile.mkdtemp(dir=folder)
        self.root = Path(folder)
        for name in ("canary/inner", "ro/sub", "cwd"):
            (self.root / name).mkdir(parents=True)
        for name in ("canary/secret", "canary/inner/secret"):
            (self.root / name).write_bytes(SECRET * 4)
        ro = self.root / "ro"
        (ro / "a.txt").write_bytes(b"a text\n" * 100)
        (ro / "sub/b.txt").write_bytes(b"another text\n")
        (ro / "out").symlink_to(self.root / "canary/secret")
        (ro / "up").symlink_to("../canary/secret")
        (ro / "etc").symlink_to("/etc")
        (ro / "loop").symlink_to("loop")
        os.mkfifo(ro / "fifo")
        (ro / "program").write_bytes(sources.by_hand()["vx"])
        (ro / "broken").write_bytes(b"\x7fELF\1\1\1")
        (ro / "script").write_bytes(b"#!/bin/sh\n")
        (ro / "caller\udcff").write_bytes(guest(linux=True))
        self.before = self.state()

    def reset(self) -> None:
        """Make the writable directory what it was."""
        rw = self.root / "rw"
        with contextlib.suppress(FileNotFoundError):
            os.chmod(rw, 0o700)
            for name, folders, _ in os.walk(rw):
                for folder in folders:
                    path = os.path.join(name, folder)
                    if not os.path.islink(path):
                        os.chmod(path, 0o700)
            shutil.rmtree(rw)
        (rw / "d1").mkdir(parents=True)
        (rw / "f1").write_bytes(b"0123456789" * 10)
        (rw / "d1/f2").write_bytes(b"in a directory")
        (rw / "out").symlink_to("../canary")
        (rw / "loop2").symlink_to("loop2/loop2")
        (rw / "program").write_bytes(sources.by_hand()["linux"])

    def grants(self) -> dict[str, str | Grant | bytes]:
        """What the guest is given."""
        root = str(self.root)
        return {
            "/ro": root + "/ro", "/rw": Grant(root + "/rw", writable=True), "/rw/inner": root + "/ro",
            "/mem": b"in memory " * 50, "/deep/in/mem": b"deep in memory",
        }  # fmt: skip

    def state(self) -> dict[str, tuple[int, ...]]:
        """Everything but the writable directory, with what changes when somebody touches it (ctime above all)."""
        found: dict[str, tuple[int, ...]] = {}
        for name in ("canary", "ro", "cwd"):
            for folder, folders, files in os.walk(self.root / name):
                for entry in (".", *folders, *files):
                    path = os.path.join(folder, entry)
                    status = os.lstat(path)
                    found[path] = (status.st_mode, status.st_size, status.st_ino, status.st_nlink, status.st_ctime_ns)
        root = sorted(name for name in os.listdir(self.root) if name != "rw")
        found["names"] = tuple(map(hash, root))
        return found

    def leaks(self) -> list[str]:
        """Files of the writable directory that hold the secret."""
        found = []
        for folder, _, files in os.walk(self.root / "rw"):
            for name in files:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    status = os.lstat(path)
                    if not os.path.islink(path) and status.st_size > 0 and status.st_blocks:
                        with open(path, "rb") as file:
                            if SECRET in file.read(1 << 20):
                                found.append(path)
        return found
