"""What may only be read stays as it is: a read-only grant, and the tree under an overlay."""

from __future__ import annotations

import os

import pytest
from prison import Argument, Got, Out, World, describe_tree

from vx32py import Grant, Overlay

AT_FDCWD = -100
O_TMPFILE, O_PATH = 0o20200000, 0o10000000
READ_WRITE, SHARED = 3, 1

#: Name → calls on {tree}/file and {tree}/inner. Natively each changes the tree; what an open for reading gives is Got(0).
CHANGES: dict[str, tuple[tuple[Argument, ...], ...]] = {
    "open to write": (("open", "{tree}/file", os.O_WRONLY), ("write", Got(0), b"changed", 7)),
    "open to read and write": (("open", "{tree}/file", os.O_RDWR), ("write", Got(0), b"changed", 7)),
    "O_TRUNC": (("open", "{tree}/file", os.O_RDONLY | os.O_TRUNC),),
    "O_APPEND": (("open", "{tree}/file", os.O_WRONLY | os.O_APPEND), ("write", Got(0), b"changed", 7)),
    "O_CREAT": (("open", "{tree}/new", os.O_RDONLY | os.O_CREAT, 0o600),),
    "O_TMPFILE": (("open", "{tree}", O_TMPFILE | os.O_RDWR, 0o600), ("linkat", Got(0), "", AT_FDCWD, "{tree}/new", 0x1000)),
    "creat": (("creat", "{tree}/file", 0o600),),
    "truncate": (("truncate", "{tree}/file", 3),),
    "truncate64": (("truncate64", "{tree}/file", 3, 0),),
    "ftruncate": (("open", "{tree}/file", 0), ("ftruncate", Got(0), 3), ("truncate", "{tree}/file", 2)),
    "chmod": (("chmod", "{tree}/file", 0),),
    "fchmod": (("open", "{tree}/file", 0), ("fchmod", Got(0), 0)),
    "fchmodat": (("fchmodat", AT_FDCWD, "{tree}/inner", 0o700),),
    "chown": (("chown32", "{tree}/file", 1, 1),),
    "fchown": (("open", "{tree}/file", 0), ("fchown32", Got(0), 1, 1)),
    "lchown": (("lchown32", "{tree}/file", 1, 1),),
    "utime": (("utime", "{tree}/file", [1, 1]),),
    "utimensat": (("utimensat", AT_FDCWD, "{tree}/file", [1, 0, 1, 0], 0),),
    "futimens": (("open", "{tree}/file", 0), ("utimensat", Got(0), 0, [1, 0, 1, 0], 0)),
    "utimensat_time64": (("utimensat_time64", AT_FDCWD, "{tree}/file", [1, 0, 0, 0, 1, 0, 0, 0], 0),),
    "setxattr": (("setxattr", "{tree}/file", "user.x", b"x", 1, 0),),
    "fsetxattr": (("open", "{tree}/file", 0), ("fsetxattr", Got(0), "user.x", b"x", 1, 0)),
    "mmap": (("open", "{tree}/file", os.O_RDWR), ("mmap2", 0, 4096, READ_WRITE, SHARED, Got(0), 0), ("time", Got(1))),
    "mprotect": (
        ("open", "{tree}/file", os.O_RDONLY), ("mmap2", 0, 4096, 1, SHARED, Got(0), 0), ("mprotect", Got(1), 4096, READ_WRITE),
        ("time", Got(1)), ("unlink", "{tree}/file"),
    ),
    "the same file opened again": (
        ("open", "{tree}/file", os.O_RDONLY), ("open", "/proc/self/fd/3", os.O_RDWR), ("write", Got(1), b"changed", 7),
    ),
    "O_PATH opened again": (
        ("open", "{tree}/file", O_PATH), ("open", "/proc/self/fd/3", os.O_WRONLY), ("write", Got(1), b"changed", 7),
    ),
    "unlink": (("unlink", "{tree}/file"),),
    "unlinkat": (("open", "{tree}", 0), ("unlinkat", Got(0), "file", 0)),
    "rename": (("rename", "{tree}/file", "{tree}/new"),),
    "renameat2": (("renameat2", AT_FDCWD, "{tree}/file", AT_FDCWD, "{tree}/inner", 2),),
    "rename of the parent": (("rename", "{tree}/inner", "{tree}/outer"),),
    "link": (("link", "{tree}/file", "{tree}/new"),),
    "linkat": (("open", "{tree}", 0), ("linkat", Got(0), "file", Got(0), "new", 0)),
    "symlink": (("symlink", "x", "{tree}/new"),),
    "mkdir": (("mkdir", "{tree}/new", 0o755),),
    "mkdirat": (("open", "{tree}/inner", 0), ("mkdirat", Got(0), "new", 0o755)),
    "rmdir": (("unlink", "{tree}/inner/file"), ("rmdir", "{tree}/inner")),
    "mknod": (("mknod", "{tree}/new", 0o100644, 0),),
    "fifo": (("mknod", "{tree}/new", 0o010644, 0),),
    "fallocate": (("open", "{tree}/file", os.O_RDWR), ("fallocate", Got(0), 0, 0, 0, 8192, 0)),
    "copy_file_range": (
        ("open", "{tree}/file", os.O_RDWR), ("open", "{tree}/inner/file", 0), ("copy_file_range", Got(1), 0, Got(0), 0, 3, 0),
        ("ftruncate", Got(0), 3),
    ),
    "sendfile": (("open", "{tree}/file", os.O_RDWR | os.O_TRUNC), ("open", "{tree}/inner/file", 0), ("sendfile", Got(0), Got(1), 0, 3)),
    "splice": (
        ("pipe", Out(8)), ("write", 4, b"changed", 7), ("open", "{tree}/file", os.O_WRONLY), ("splice", 3, 0, Got(2), 0, 7, 0),
    ),
    "pwritev": (("open", "{tree}/file", os.O_RDWR), ("pwritev", Got(0), [b"changed", 7], 1, 0, 0)),
    "bind": (("socket", 1, 1, 0), ("bind", Got(0), b"{sockaddr}", 100)),
    "flags": (("open", "{tree}/file", 0), ("ioctl", Got(0), 0x40046602, [0x40]), ("chmod", "{tree}/file", 0)),
}  # fmt: skip


def calls_on(tree: str, what: str) -> tuple[tuple[Argument, ...], ...]:
    """The calls with the tree in place."""

    def put(word: Argument) -> Argument:
        if word == b"{sockaddr}":
            return (b"\1\0" + tree.encode() + b"/new").ljust(100, b"\0")
        return word.replace("{tree}", tree) if isinstance(word, str) else word

    return tuple(tuple(put(word) for word in call) for call in CHANGES[what])


@pytest.mark.parametrize("what", CHANGES)
def test_a_read_only_grant_is_not_changed(world: World, twin: World, what: str) -> None:
    """The world looks at content, names, modes, owners, times, links and attributes behind every test."""
    twin.native(*calls_on(str(twin.readonly), what))
    assert twin.harm() != []
    run = world.jail(*calls_on("/readonly", what))
    refusals = {
        "EROFS",
        "EACCES",
        "EPERM",
        "ENOENT",
        "EINVAL",
        "EBADF",
        "EXDEV",
        "ENOTSUP",
        "EFAULT",
        "ENOSYS",
        "ENOTTY",
    }
    assert set(run.results[-1:]) <= refusals
    assert not (world.granted / "new").exists()


@pytest.mark.parametrize("what", ["open to write", "O_TRUNC", "truncate", "chmod", "unlink", "utimensat", "setxattr"])
def test_a_single_read_only_file_is_not_changed(world: World, what: str) -> None:
    """Its place in the guest's tree is under a folder that may be changed."""
    dirs = {"/granted": Grant(world.granted, writable=True), "/granted/file": Grant(world.readonly / "file")}
    run = world.jail(*calls_on("/granted", what), dirs=dirs)
    assert run.results[-1] in {"EROFS", "EACCES", "EPERM", "EBUSY", "EBADF", "ENOTSUP"}
    assert (world.granted / "file").read_bytes() == b"what is in here"


@pytest.mark.parametrize("start", range(0, len(CHANGES), 5))
def test_the_tree_under_an_overlay_is_never_changed(world: World, start: int) -> None:
    """The guest sees its changes, and the host does not."""
    before = describe_tree(world.readonly)
    done = 0
    for what in list(CHANGES)[start : start + 5]:
        run = world.jail(*calls_on("/tree", what), dirs={"/tree": Overlay(world.readonly)})
        done += not isinstance(run.results[-1], str)
    assert done
    assert describe_tree(world.readonly) == before


def test_an_overlay_is_changed_for_the_guest_alone(world: World) -> None:
    attempt = (
        ("open", "/tree/file", os.O_RDWR), ("write", Got(0), b"CHANGED", 7), ("pread64", Got(0), Out(16), 16, 0, 0),
        ("open", "/tree/file", 0), ("read", Got(3), Out(16), 16), ("rename", "/tree/inner/file", "/tree/moved"),
        ("open", "/tree/moved", os.O_RDWR), ("mmap2", 0, 4096, READ_WRITE, SHARED, Got(6), 0), ("unlink", "/tree/file"),
        ("access", "/tree/file", 0), ("access", "/tree/inner/file", 0),
    )  # fmt: skip
    run = world.jail(*attempt, dirs={"/tree": Overlay(world.readonly)})
    assert run.buffers[1].rstrip(b"\0") == b"CHANGED in here"
    assert run.results[8:] == [0, "ENOENT", "ENOENT"]
