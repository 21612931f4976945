"""Host trees: a directory or file of the host's, and what is beneath it.

The host's kernel follows no symbolic link here and goes to no ``..``: names are resolved below a descriptor with openat2 and
RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS, or where that is missing one at a time with O_NOFOLLOW. A
node holds an O_PATH descriptor, which always is the same file, whatever anybody renames.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final

from vx32py._descriptors import Meter, OpenFile, Status
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py.vfs.listing import list_directory
from vx32py.vfs.nodes import (
    HOST_ERRORS,
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    Entry,
    FileSystemStatus,
    Node,
    View,
    check_name,
)

#: Linux alone can name a file without opening it; host files can be granted there only.
O_PATH: Final = getattr(os, "O_PATH", 0)
_PATH: Final = O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW
#: What a guest's open may pass on to the host.
_OPEN_FLAGS: Final = os.O_ACCMODE | os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_APPEND | os.O_SYNC
_SHOWN_FLAGS: Final = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC

_NR_OPENAT2: Final = 437
_NR_RENAMEAT2: Final = {"x86_64": 316, "aarch64": 276}
#: struct open_how (include/uapi/linux/openat2.h): RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH.
_HOW: Final = struct.pack("<QQQ", _PATH, 0, 0x02 | 0x04 | 0x08)
_PROC_MAGIC: Final = 0x9FA0


class _Kernel:
    """System calls that Python does not have. ctypes is imported when the first is made."""

    def __init__(self) -> None:
        self._syscall: Callable[..., int] | None = None
        self._errno: Callable[[], int] = lambda: 0
        self.has_openat2 = True

    def call(self, number: int, *arguments: Any) -> int:
        """The result, or -errno."""
        if self._syscall is None:
            import ctypes

            library = ctypes.CDLL(None, use_errno=True)
            library.syscall.restype = ctypes.c_long
            self._syscall, self._errno = library.syscall, ctypes.get_errno
        result = self._syscall(number, *arguments)
        return result if result >= 0 else -self._errno()

    def openat2(self, fd: int, path: str) -> int:
        """An O_PATH descriptor of ``path`` beneath ``fd``, or -errno; -ENOSYS where there is no such call, -ELOOP where
        there is a symbolic link before its end."""
        if not self.has_openat2:
            return -errno.ENOSYS
        result = self.call(_NR_OPENAT2, fd, os.fsencode(path), _HOW, len(_HOW))
        # A container's filter may refuse it with EPERM, which the call itself does not return for O_PATH.
        if result in (-errno.ENOSYS, -errno.EPERM):
            self.has_openat2 = False
            return -errno.ENOSYS
        return result


KERNEL: Final = _Kernel()


def rename_to_new(folder: int, name: str, new_name: str) -> None:
    """Rename within a directory, to a name that nothing has. Raises OSError, FileExistsError where something has it."""
    number = _NR_RENAMEAT2.get(os.uname().machine)
    if number is not None:
        result = KERNEL.call(number, folder, os.fsencode(name), folder, os.fsencode(new_name), RENAME_NOREPLACE)
        if result >= 0:
            return
        if result not in (-errno.ENOSYS, -errno.EINVAL, -errno.EPERM):  # no such call, or not on this file system
            raise OSError(-result, os.strerror(-result))
    os.link(name, new_name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    os.unlink(name, dir_fd=folder)


class HostTree:
    """What is granted: ``path`` with all that is beneath. One per grant, shared by all guests of a sandbox."""

    def __init__(self, path: str | os.PathLike[str], *, writable: bool) -> None:
        """Raises OSError for a path that is not there."""
        self.path = os.path.realpath(path, strict=True)
        self.writable = writable
        self._fd = os.open(self.path, _PATH)
        status = os.fstat(self._fd)
        self.identity = status.st_dev, status.st_ino

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)

    def root(self, view: View) -> HostNode:
        """Its root as a guest with this view sees it."""
        return HostNode(self, view, os.dup(self._fd))

    def relative_path(self, fd: int) -> str:
        """Where in the tree a descriptor is now: empty for the root, else beginning with a slash. Raises CallError(ENOENT)."""
        with HOST_ERRORS:
            root, path = os.readlink(f"/proc/self/fd/{self._fd}"), os.readlink(f"/proc/self/fd/{fd}")
        if path == root:
            return ""
        prefix = root.rstrip("/") + "/"
        if not path.startswith(prefix) or (path.endswith(" (deleted)") and os.fstat(fd).st_nlink == 0):
            raise CallError(errno.ENOENT)
        return path[len(prefix) - 1 :]

    def open_path(self, path: str, start: int | None = None) -> int:
        """An O_PATH descriptor of a path beneath the root or ``start``: names and slashes, of which the last alone may be a
        symbolic link. Raises CallError, with ELOOP for another one."""
        return open_beneath(self._fd if start is None else start, path)


def open_beneath(fd: int, path: str) -> int:
    """An O_PATH descriptor of a path beneath a folder: names and slashes, of which the last alone may be a symbolic link.
    Raises CallError, with ELOOP for another one."""
    if not path:
        return os.dup(fd)
    result = KERNEL.openat2(fd, path)
    if result == -errno.EAGAIN:  # somebody renamed meanwhile
        result = KERNEL.openat2(fd, path)
    if result >= 0:
        return result
    if result not in (-errno.ENOSYS, -errno.EAGAIN):
        raise CallError(-result)
    return _walk(fd, path)


def _walk(fd: int, path: str) -> int:
    """The same name by name."""
    here = os.dup(fd)
    for name in path.split("/"):
        if not name:
            continue
        try:
            with HOST_ERRORS:
                if stat.S_ISLNK(os.fstat(here).st_mode):
                    raise CallError(errno.ELOOP)
                following = os.open(name, _PATH, dir_fd=here)
        finally:
            os.close(here)
        here = following
    return here


class HostNode(Node):
    """A file of the host's, by an O_PATH descriptor (or any other of a directory) that it owns."""

    __slots__ = ("fd", "kind", "seen", "tree", "view")

    def __init__(self, tree: HostTree, view: View, fd: int) -> None:
        self.tree = tree
        self.view = view
        self.fd = fd
        #: Its state when it was found.
        self.seen = os.fstat(fd)
        self.kind = stat.S_IFMT(self.seen.st_mode)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)

    def status(self) -> Status:
        return self.view.of(os.fstat(self.fd))

    def first_status(self) -> Status:
        """What it was when it was found."""
        return self.view.of(self.seen)

    def filesystem(self) -> FileSystemStatus:
        with HOST_ERRORS:
            host = os.statvfs(self.host_name())
        flags = host.f_flag & 0x7F | (0 if self.tree.writable else 1)
        return FileSystemStatus(
            0xEF53, host.f_bsize, host.f_blocks, host.f_bfree, host.f_bavail, host.f_files, host.f_ffree, flags
        )

    @property
    def read_only(self) -> bool:
        return not self.tree.writable

    def key(self) -> Hashable:
        try:
            return self.path()
        except CallError:
            return None

    def is_root(self) -> bool:
        return (self.seen.st_dev, self.seen.st_ino) == self.tree.identity

    def path(self) -> str:
        return "" if self.is_root() else self.tree.relative_path(self.fd)

    def parent(self) -> Node:
        try:
            path = self.path()
        except CallError:  # removed, but it still has a directory above
            with HOST_ERRORS:
                node = HostNode(self.tree, self.view, os.open("..", _PATH, dir_fd=self.fd))
            node.path()  # that must be in the tree
            return node
        return HostNode(self.tree, self.view, self.tree.open_path(os.path.dirname(path)[1:]))

    def host_name(self) -> str:
        """A name that the host's kernel has for just this file."""
        return f"/proc/self/fd/{self.fd}"

    def readlink(self) -> bytes:
        with HOST_ERRORS:
            return os.readlink(b"", dir_fd=self.fd) if self.kind == stat.S_IFLNK else super().readlink()

    # -- names ---------------------------------------------------------------------------------------------------

    def child(self, name: str) -> Node | None:
        check_name(name)
        try:
            with HOST_ERRORS:
                return HostNode(self.tree, self.view, os.open(name, _PATH, dir_fd=self.fd))
        except CallError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def descend(self, names: list[str], under: Mapping[Hashable, Mapping[str, Any]]) -> tuple[Node, int] | None:
        count = len(names)
        if under:
            count = self._until_mount(names, under)
        if not count or not KERNEL.has_openat2:
            return None
        try:
            fd = self.tree.open_path("/".join(names[:count]), self.fd)
        except CallError as error:
            if error.errno in (errno.ELOOP, errno.EXDEV):
                return None
            raise
        return HostNode(self.tree, self.view, fd), count

    def _until_mount(self, names: list[str], under: Mapping[Hashable, Mapping[str, Any]]) -> int:
        """How many names lead to no mount."""
        here = self.key()
        if here is None:
            return len(names)
        for i, name in enumerate(names):
            if name in under.get(here, ()):
                return i
            here = f"{here}/{name}"
        return len(names)

    def entries(self) -> Iterator[Entry]:
        return list_directory(self.fd)

    # -- changes -------------------------------------------------------------------------------------------------

    def changeable(self) -> int:
        """Its descriptor, if it may be changed. Raises CallError(EROFS)."""
        if not self.tree.writable:
            raise CallError(errno.EROFS)
        return self.fd

    def _made_in(self, directory: Node) -> int:
        """The descriptor of another directory that something of this one is to be moved to."""
        if not isinstance(directory, HostNode) or directory.tree is not self.tree:
            raise CallError(errno.EXDEV)
        return directory.changeable()

    def create(self, name: str, flags: int, mode: int) -> OpenFile:
        check_name(name)
        extra = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
        with HOST_ERRORS:
            return self._file(os.open(name, flags & _OPEN_FLAGS | extra, 0o600, dir_fd=self.changeable()), flags, mode)

    def create_unnamed(self, flags: int, mode: int) -> OpenFile:
        self.changeable()
        keep = flags & (_OPEN_FLAGS | os.O_EXCL) & ~os.O_CREAT
        with HOST_ERRORS:
            return self._file(os.open(self.host_name(), keep | os.O_TMPFILE | os.O_CLOEXEC, 0o600), flags, mode)

    def _file(self, fd: int, flags: int, mode: int | None = None) -> OpenFile:
        try:
            if mode is not None:
                os.fchmod(fd, mode & 0o777)  # the host's umask is no affair of the guest's
            file = HostFile(fd, flags & _SHOWN_FLAGS, owned=True)
        except BaseException:
            os.close(fd)
            raise
        file.owner = self.view.uid, self.view.gid
        return file

    def open(self, flags: int) -> OpenFile:
        if self.kind != stat.S_IFREG or _is_proc(self):
            raise CallError(errno.EACCES)  # a device or a host's pipe in a granted directory is not part of the grant
        with HOST_ERRORS:
            # The name under /proc reopens exactly the file that the walk found.
            fd = os.open(self.host_name(), flags & _OPEN_FLAGS & ~(os.O_CREAT | os.O_EXCL) | os.O_CLOEXEC | os.O_NOCTTY)
        return self._file(fd, flags)

    def opened_directory(self) -> HostNode:
        """The same directory by a descriptor from which its entries can be read. Raises CallError."""
        if _is_proc(self):
            raise CallError(errno.EACCES)
        with HOST_ERRORS:
            fd = os.open(self.host_name(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return HostNode(self.tree, self.view, fd)

    def make(self, name: str, kind: int, mode: int, content: bytes = b"") -> None:
        check_name(name)
        directory = self.changeable()
        with HOST_ERRORS:
            if kind == stat.S_IFDIR:
                os.mkdir(name, 0o700, dir_fd=directory)
                made = self.child(name)
                if made is not None and made.kind == stat.S_IFDIR:
                    made.chmod(mode)
            elif kind == stat.S_IFLNK:
                os.symlink(content, os.fsencode(name), dir_fd=directory)
            elif kind == stat.S_IFREG:
                self.create(name, os.O_WRONLY, mode).close()
            else:
                raise CallError(errno.EPERM)  # nothing that another program of the host could take for its own

    def remove(self, name: str, child: Node) -> None:
        directory = self.changeable()
        with HOST_ERRORS:
            (os.rmdir if child.kind == stat.S_IFDIR else os.unlink)(name, dir_fd=directory)

    def link(self, name: str, node: Node) -> None:
        check_name(name)
        if not isinstance(node, HostNode) or node.tree is not self.tree:
            raise CallError(errno.EXDEV)
        directory = self.changeable()
        with HOST_ERRORS:
            os.link(node.host_name(), name, dst_dir_fd=directory, follow_symlinks=True)

    def rename(self, name: str, target: Node, new_name: str, flags: int) -> None:
        check_name(new_name)
        source, destination = self.changeable(), self._made_in(target)
        with HOST_ERRORS:
            if not flags:
                os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=destination)
                return
            number = _NR_RENAMEAT2.get(os.uname().machine)
            if number is None or flags & ~(RENAME_EXCHANGE | RENAME_NOREPLACE):
                raise CallError(errno.EINVAL)
            result = KERNEL.call(number, source, os.fsencode(name), destination, os.fsencode(new_name), flags)
            if result < 0:
                raise CallError(-result)

    def chmod(self, mode: int) -> None:
        self.changeable()
        if self.kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise CallError(errno.EOPNOTSUPP)
        with HOST_ERRORS:
            # fchmod refuses an O_PATH descriptor; set-user-id and the like would be the host's.
            os.chmod(self.host_name(), mode & 0o1777)

    def chown(self, uid: int, gid: int) -> None:
        self.changeable()
        status = self.status()
        if uid not in (-1, status.uid) or gid not in (-1, status.gid):
            raise CallError(errno.EPERM)

    def utime(self, accessed: int | None, modified: int | None) -> None:
        self.changeable()
        now = os.fstat(self.fd)
        times = now.st_atime_ns if accessed is None else accessed, now.st_mtime_ns if modified is None else modified
        with HOST_ERRORS:
            os.utime(self.host_name(), ns=times)  # of a symbolic link itself, too


def metered(file: OpenFile, meter: Meter | None) -> OpenFile:
    """Count what is written to a host's file."""
    if type(file) is HostFile:
        file.meter = meter
    return file


def _is_proc(node: HostNode) -> bool:
    """Whether it is a file of a /proc: there lies the memory of this process, too."""
    if node.seen.st_dev >> 8 & 0xFFF:
        return False  # on a disk
    found = _proc_devices.get(node.seen.st_dev)
    if found is None:
        import ctypes

        buffer = ctypes.create_string_buffer(256)
        number = {"x86_64": 138, "aarch64": 44}.get(os.uname().machine, 138)
        result = KERNEL.call(number, node.fd, buffer)  # fstatfs
        found = result < 0 or int.from_bytes(buffer.raw[:8], "little") == _PROC_MAGIC
        _proc_devices[node.seen.st_dev] = found
    return found


_proc_devices: Final[dict[int, bool]] = {}
