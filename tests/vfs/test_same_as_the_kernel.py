"""Random operations on a granted directory, a tmpfs and an overlay do what the kernel does with a directory of the host's.

The oracle is the kernel: every operation is made on a copy of the tree with the functions of ``os``, in a directory that
has another in it for paths that begin with ``..``.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from vx32py._errors import CallError
from vx32py.vfs.files import Files
from vx32py.vfs.mounts import Grant, Granted, Overlay, Tmpfs

NAMES = ("a", "b", "c", "d")
STEPS = 400


def grow(root: Path) -> None:
    """Something to begin with."""
    (root / "a/b/c").mkdir(parents=True)
    (root / "a/b/c/d").write_bytes(b"deep")
    (root / "a/c").write_bytes(b"file in a")
    (root / "b").mkdir()
    (root / "b/a").symlink_to("../a/b")
    (root / "b/d").symlink_to("nowhere")
    (root / "c").write_bytes(b"content of c")
    (root / "d").symlink_to("a")


def path(rng: random.Random) -> str:
    """A path of up to four names, with dots and slashes here and there."""
    names = [rng.choice((*NAMES, *NAMES, *NAMES, ".", "..")) for _ in range(rng.randint(1, 4))]
    return "/".join(names) + ("/" if rng.random() < 0.1 else "")


class Kernel:
    """What the host's kernel does, in a directory."""

    def __init__(self, root: Path) -> None:
        self.fd = os.open(root, os.O_RDONLY)

    def write(self, name: str, flags: int, data: bytes) -> int:
        fd = os.open(name, flags, 0o640, dir_fd=self.fd)
        try:
            return os.write(fd, data) if flags & os.O_ACCMODE else len(os.read(fd, 100))
        finally:
            os.close(fd)

    def mkdir(self, name: str) -> None:
        os.mkdir(name, 0o750, dir_fd=self.fd)

    def rmdir(self, name: str) -> None:
        os.rmdir(name, dir_fd=self.fd)

    def unlink(self, name: str) -> None:
        os.unlink(name, dir_fd=self.fd)

    def rename(self, name: str, other: str) -> None:
        os.rename(name, other, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def link(self, name: str, other: str) -> None:
        os.link(name, other, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)

    def symlink(self, text: str, name: str) -> None:
        os.symlink(text, name, dir_fd=self.fd)

    def readlink(self, name: str) -> str:
        return os.readlink(name, dir_fd=self.fd)

    def chmod(self, name: str, mode: int) -> None:
        os.chmod(name, mode, dir_fd=self.fd)

    def stat(self, name: str, follow: bool) -> tuple[int, int]:
        found = os.stat(name, dir_fd=self.fd, follow_symlinks=follow)
        return found.st_mode, found.st_size if stat.S_ISREG(found.st_mode) else 0

    def listing(self, name: str) -> list[str]:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.fd)
        try:
            return sorted(os.listdir(fd))
        finally:
            os.close(fd)


class Guest:
    """The same of a guest's files, below /w."""

    def __init__(self, files: Files) -> None:
        self.files = files
        files.chdir("/w")

    def write(self, name: str, flags: int, data: bytes) -> int:
        file = self.files.open(name, flags, 0o640)
        file.references += 1
        try:
            if flags & os.O_ACCMODE:
                return file.write(memoryview(data), None)  # type: ignore[arg-type]
            return file.read(memoryview(bytearray(100)), None)  # type: ignore[arg-type]
        finally:
            file.close()

    def mkdir(self, name: str) -> None:
        self.files.mkdir(name, 0o750)

    def rmdir(self, name: str) -> None:
        self.files.remove(name, directory=True)

    def unlink(self, name: str) -> None:
        self.files.remove(name, directory=False)

    def rename(self, name: str, other: str) -> None:
        self.files.rename(name, other)

    def link(self, name: str, other: str) -> None:
        self.files.link(name, other)

    def symlink(self, text: str, name: str) -> None:
        self.files.symlink(text, name)

    def readlink(self, name: str) -> str:
        return os.fsdecode(self.files.readlink(name))

    def chmod(self, name: str, mode: int) -> None:
        self.files.chmod(name, mode)

    def stat(self, name: str, follow: bool) -> tuple[int, int]:
        found = self.files.status(name, follow=follow)
        return found.mode, found.size if stat.S_ISREG(found.mode) else 0

    def listing(self, name: str) -> list[str]:
        directory = self.files.open(name, os.O_RDONLY | os.O_DIRECTORY)
        names = [entry[0] for entry in iter_entries(directory)]
        directory.close()
        return sorted(set(names) - {".", ".."})


def iter_entries(directory: object) -> list[tuple[str, int, int]]:
    """All entries of an open directory."""
    found = []
    while (entry := directory.next_entry()) is not None:  # type: ignore[attr-defined]
        found.append(entry)
        directory.move_on()  # type: ignore[attr-defined]
    return found


def attempt(operation: Callable[[], object]) -> object:
    """The result, or the name of the error."""
    try:
        return operation()
    except (CallError, OSError) as error:
        return errno.errorcode.get(error.errno or 0)


def operation(rng: random.Random) -> tuple[str, tuple[object, ...]]:
    """What to do next, and with what."""
    which = rng.choice(
        (
            "write",
            "write",
            "mkdir",
            "rmdir",
            "unlink",
            "rename",
            "rename",
            "link",
            "symlink",
            "readlink",
            "chmod",
            "stat",
            "listing",
        )
    )
    if which == "write":
        flags = rng.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND))
        flags |= rng.choice((0, os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_NOFOLLOW, os.O_CREAT | os.O_NOFOLLOW))
        return which, (path(rng), flags, rng.randbytes(rng.randint(1, 50)))
    if which in {"rename", "link"}:
        return which, (path(rng), path(rng))
    if which == "symlink":
        return which, (path(rng).rstrip("/"), path(rng))
    if which == "chmod":
        return which, (path(rng), rng.choice((0o600, 0o755, 0o444, 0o777)))
    if which == "stat":
        return which, (path(rng), rng.random() < 0.5)
    return which, (path(rng),)


def whole(what: Kernel | Guest, name: str = ".") -> dict[str, object]:
    """Everything in a tree: types, modes, contents, where links point."""
    found: dict[str, object] = {}
    for entry in what.listing(name):
        inner = f"{name}/{entry}"
        mode, size = what.stat(inner, False)
        found[inner] = mode, size, what.readlink(inner) if stat.S_ISLNK(mode) else None
        if stat.S_ISDIR(mode):
            found |= whole(what, inner)
    return found


@pytest.mark.parametrize("kind", ["grant", "overlay", "tmpfs"])
@pytest.mark.parametrize("seed", range(6))
def test_random_operations_do_what_the_kernel_does(kind: str, seed: int, tmp_path: Path) -> None:
    # The root's parent is a directory that has nothing else in it: a path with too many dots stays comparable.
    native, granted = tmp_path / "native/w", tmp_path / "granted/w"
    native.mkdir(parents=True)
    granted.mkdir(parents=True)
    mask = os.umask(0)
    try:
        grow(native)
        grow(granted)
        mounts: dict[str, Granted] = {
            "grant": Grant(granted, writable=True),
            "overlay": Overlay(granted),
            "tmpfs": Tmpfs("1M", mode=0o777),
        }
        view = {"uid": os.getuid(), "gid": os.getgid()}
        kernel, guest = Kernel(native), Guest(Files({"/w": mounts[kind]}, **view))
        if kind == "tmpfs":
            shutil.rmtree(native)
            native.mkdir()
            kernel = Kernel(native)
            native.chmod(0o777)
        rng, made = random.Random(f"{kind} {seed}"), 0
        for step in range(STEPS):
            which, arguments = operation(rng)
            if any(_leads_out(native, name) for name in arguments if isinstance(name, str)):
                continue
            made += 1
            expected = attempt(lambda: getattr(kernel, which)(*arguments))  # noqa: B023 - called at once
            got = attempt(lambda: getattr(guest, which)(*arguments))  # noqa: B023
            assert got == expected, f"step {step}: {which}{arguments}"
        assert made > STEPS // 2
        assert whole(guest) == whole(kernel)
        if kind == "overlay":
            assert whole(Kernel(granted)) == whole(Kernel(_fresh(tmp_path))), "the lower tree is as it was"
    finally:
        os.umask(mask)


def _fresh(folder: Path) -> Path:
    fresh = folder / "fresh"
    fresh.mkdir()
    grow(fresh)
    return fresh


def _leads_out(root: Path, name: str) -> bool:
    """Whether a path goes above the directory, where the two differ: there are other mounts."""
    here = str(root)
    for part in name.split("/"):
        here = f"{here}/{part}"
        if not os.path.realpath(here).startswith(str(root)):
            return True
    return os.path.realpath(here) == str(root) and ".." in name
