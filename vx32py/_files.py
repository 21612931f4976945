"""Files: the part of the host's file system that a guest is granted, and nothing of the rest.

A guest's name space is made of mounts: guest paths that stand for a host directory (read-only unless it says otherwise),
a host file, or bytes. A path is walked one component at a time, as the kernel does it, with a descriptor for each
directory and never following a host symbolic link: links are read and walked *in the guest's name space*, and ``..``
stops at its root. So no path leads out, whatever the guest, or another process of the host, renames in the meantime.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from reference.records import dataclass
from vx32py._descriptors import GUEST_ID, BytesFile, Meter, OpenFile, Status
from vx32py._errors import CallError, UnsupportedHost
from vx32py._hostfile import HostFile
from vx32py.vfs.mounts import Dev, Grant, Granted, Overlay, Proc, Tmpfs

#: Symbolic links on one path before the walk gives up (path_resolution(7)).
MAX_LINKS: Final = 40
MAX_PATH: Final = 4096

#: Linux alone can name a file without opening it; host files can be granted there only.
_PATH: Final = getattr(os, "O_PATH", 0) | os.O_CLOEXEC
#: What a guest's open may pass on to the host.
_OPEN_FLAGS: Final = os.O_ACCMODE | os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_APPEND | os.O_SYNC


class DirectoryFile(OpenFile):
    """An open directory: its entries, read once when it was opened, as (name, inode, file type in mode)."""

    def __init__(self, status: Status, entries: list[tuple[str, int, int]], path: str) -> None:
        super().__init__(os.O_RDONLY | os.O_DIRECTORY)
        self._status = status
        self.entries = entries
        self.position = 0
        self.path = path

    def read(self, view: memoryview, waiter: object) -> int:
        raise CallError(errno.EISDIR)

    def hold(self) -> int:
        return self.position

    def go_back(self, held: int) -> bool:
        self.position = held
        return True

    def copy(self, held: int, copies: object) -> DirectoryFile:
        other = DirectoryFile(self._status, self.entries, self.path)
        other.position = held
        return other

    def seek(self, offset: int, whence: int) -> int:
        if whence != os.SEEK_SET or not 0 <= offset <= len(self.entries):
            raise CallError(errno.EINVAL)
        self.position = offset
        return offset

    def status(self) -> Status:
        return self._status


@dataclass(slots=True)
class _Node:
    """One step of a walk. ``fd`` is an O_PATH descriptor in a host directory; None for made-up directories and bytes."""

    path: str
    fd: int | None = None
    writable: bool = False
    data: bytes | None = None
    mount: bool = False

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


@dataclass(slots=True)
class _Place:
    """Where a path leads: ``node`` if it exists, else what is missing is ``name`` in directory ``parent``."""

    parent: _Node | None
    name: str
    node: _Node | None


class Files:
    """What a guest sees as its file system. Paths are bytes-as-str (surrogateescape), absolute or relative to ``cwd``."""

    def __init__(
        self, grants: Mapping[str, Granted] | None = None, *, uid: int = GUEST_ID, gid: int = GUEST_ID
    ) -> None:
        """``grants``: absolute guest path → what it stands for. Raises ValueError, OSError for a missing host
        path, UnsupportedHost where there is no way to keep a guest inside a directory."""
        self.cwd = "/"
        #: For what is written to the host's files.
        self.meter: Meter | None = None
        self._mounts: dict[str, Grant | bytes] = {}
        self._parents: set[str] = set()
        for guest_path, granted in (grants or {}).items():
            if not guest_path.startswith("/") or "\0" in guest_path:
                raise ValueError(f"a guest path must be absolute, not {guest_path!r}")
            parts = [part for part in guest_path.split("/") if part not in ("", ".")]
            if ".." in parts:
                raise ValueError(f"a guest path must not contain .., as {guest_path!r} does")
            if isinstance(granted, (Tmpfs, Overlay, Proc, Dev)):
                raise TypeError(f"{type(granted).__name__} cannot be mounted yet")
            if isinstance(granted, (bytes, bytearray, memoryview)):
                mount: Grant | bytes = bytes(granted)
            else:
                if not hasattr(os, "O_PATH"):
                    raise UnsupportedHost("host files can be granted on Linux only; grant bytes instead")
                grant = granted if isinstance(granted, Grant) else Grant(granted)
                mount = Grant(os.path.realpath(grant.path, strict=True), grant.writable)
            self._mounts["/" + "/".join(parts)] = mount
            self._parents.update("/" + "/".join(parts[:i]) for i in range(len(parts)))

    def clone(self) -> Files:
        """The same grants with a working directory of its own, for a forked process."""
        other = Files()
        other.cwd, other._mounts, other._parents = self.cwd, self._mounts, self._parents
        other.meter = self.meter
        return other

    # -- what system calls do ------------------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o666, *, start: str | None = None) -> OpenFile:
        """Open a file or directory. ``flags`` with the host's values. Raises CallError."""
        follow = not flags & os.O_NOFOLLOW and flags & (os.O_CREAT | os.O_EXCL) != os.O_CREAT | os.O_EXCL
        with self._walk(path, follow=follow, start=start) as place:
            if place.node is None:
                if not flags & os.O_CREAT:
                    raise CallError(errno.ENOENT)
                return self._create(place, flags, mode)
            if flags & os.O_CREAT and flags & os.O_EXCL:
                raise CallError(errno.EEXIST)
            return self._open_node(place.node, flags)

    def status(self, path: str, *, follow: bool = True, start: str | None = None) -> Status:
        """What stat (or lstat) tells. Raises CallError."""
        with self._walk(path, follow=follow, start=start) as place:
            return self._status(self._existing(place))

    def readlink(self, path: str, *, start: str | None = None) -> bytes:
        """Where a symbolic link points. Raises CallError(EINVAL) for anything else."""
        with self._walk(path, follow=False, start=start) as place:
            node = self._existing(place)
            if node.fd is None or not stat.S_ISLNK(os.fstat(node.fd).st_mode):
                raise CallError(errno.EINVAL)
            return os.readlink(b"", dir_fd=node.fd)

    def access(self, path: str, mode: int, *, start: str | None = None) -> None:
        """Whether the guest may read (4), write (2), execute (1). Raises CallError."""
        with self._walk(path, follow=True, start=start) as place:
            node = self._existing(place)
            if mode & 2 and not node.writable:
                raise CallError(errno.EROFS)
            if mode & 1 and not stat.S_ISDIR(self._status(node).mode) and not self._status(node).mode & 0o111:
                raise CallError(errno.EACCES)

    def remove(self, path: str, *, directory: bool | None = None, start: str | None = None) -> None:
        """Remove a file, or an empty directory; ``directory`` says which it has to be. Raises CallError."""
        with self._walk(path, follow=False, start=start) as place:
            node = self._existing(place)
            if node.mount or node.fd is None:
                raise CallError(errno.EBUSY)
            parent = self._changeable(place)
            is_directory = stat.S_ISDIR(self._status(node).mode)
            if directory is False and is_directory:
                raise CallError(errno.EISDIR)
            if directory and not is_directory:
                raise CallError(errno.ENOTDIR)
            with _host_errors():
                (os.rmdir if is_directory else os.unlink)(place.name, dir_fd=parent)

    def mkdir(self, path: str, mode: int, *, start: str | None = None) -> None:
        """Make a directory. Raises CallError."""
        with self._walk(path, follow=False, start=start) as place:
            if place.node is not None:
                raise CallError(errno.EEXIST)
            parent = self._changeable(place)
            with _host_errors():
                os.mkdir(place.name, mode & 0o777, dir_fd=parent)

    def link(self, old: str, new: str) -> None:
        """Make a hard link, both ends within writable grants. Raises CallError."""
        with self._walk(old, follow=False) as source, self._walk(new, follow=False) as target:
            self._existing(source)
            if target.node is not None:
                raise CallError(errno.EEXIST)
            source_parent, target_parent = self._changeable(source), self._changeable(target)
            with _host_errors():
                os.link(
                    source.name,
                    target.name,
                    src_dir_fd=source_parent,
                    dst_dir_fd=target_parent,
                    follow_symlinks=False,
                )

    def rename(self, old: str, new: str, *, old_start: str | None = None, new_start: str | None = None) -> None:
        """Rename, both ends within writable grants. Raises CallError."""
        with (
            self._walk(old, follow=False, start=old_start) as source,
            self._walk(new, follow=False, start=new_start) as target,
        ):
            if self._existing(source).mount or (target.node is not None and target.node.mount):
                raise CallError(errno.EBUSY)
            source_parent, target_parent = self._changeable(source), self._changeable(target)
            with _host_errors():
                os.rename(source.name, target.name, src_dir_fd=source_parent, dst_dir_fd=target_parent)

    def symlink(self, content: str, path: str, *, start: str | None = None) -> None:
        """Make a symbolic link; what it says is only ever walked within the guest's name space. Raises CallError."""
        with self._walk(path, follow=False, start=start) as place:
            if place.node is not None:
                raise CallError(errno.EEXIST)
            parent = self._changeable(place)
            with _host_errors():
                os.symlink(content, place.name, dir_fd=parent)

    def chmod(self, path: str, mode: int, *, start: str | None = None) -> None:
        """Change the nine permission bits; set-user-id and the like are dropped. Raises CallError."""
        with self._walk(path, follow=True, start=start) as place:
            node = self._existing(place)
            if not node.writable or node.fd is None:
                raise CallError(errno.EROFS)
            with _host_errors():
                # fchmod refuses an O_PATH descriptor; its name under /proc cannot lead elsewhere.
                os.chmod(f"/proc/self/fd/{node.fd}", mode & 0o777)

    def truncate(self, path: str, size: int) -> None:
        """Set the size of a file. Raises CallError."""
        file = self.open(path, os.O_WRONLY)
        try:
            file.truncate(size)
        finally:
            file.close()

    def chdir(self, path: str) -> None:
        """Change the directory that relative paths start from. Raises CallError."""
        with self._walk(path, follow=True) as place:
            node = self._existing(place)
            if not stat.S_ISDIR(self._status(node).mode):
                raise CallError(errno.ENOTDIR)
            self.cwd = node.path

    # -- the walk ------------------------------------------------------------------------------------------------

    @contextmanager
    def _walk(self, path: str, *, follow: bool, start: str | None = None) -> Iterator[_Place]:
        """Walk a path; the descriptors that it took live as long as the context. Raises CallError."""
        if not path:
            raise CallError(errno.ENOENT)
        if len(path) >= MAX_PATH:
            raise CallError(errno.ENAMETOOLONG)
        stack = [self._mounted("/")]
        try:
            base = start if start is not None else self.cwd
            if not path.startswith("/") and base != "/":
                self._follow(stack, base, follow=True)
            yield self._follow(stack, path, follow=follow)
        finally:
            for node in stack:
                node.close()

    def _follow(self, stack: list[_Node], path: str, *, follow: bool) -> _Place:
        pending = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        must_be_directory = path.endswith(("/", "/."))
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                if len(stack) > 1:
                    stack.pop().close()
                continue
            here = stack[-1]
            child = self._child(here, name)
            if child is None:
                if pending:
                    raise CallError(errno.ENOENT)
                return _Place(here, name, None)
            if child.fd is not None and (pending or follow or must_be_directory):
                target = self._link(child)
                if target is not None:
                    child.close()
                    links += 1
                    if links > MAX_LINKS:
                        raise CallError(errno.ELOOP)
                    if target.startswith("/"):
                        while len(stack) > 1:
                            stack.pop().close()
                    pending += [part for part in reversed(target.split("/")) if part not in ("", ".")]
                    continue
            stack.append(child)
            if pending and not self._is_directory(child):
                raise CallError(errno.ENOTDIR)
        if must_be_directory and not self._is_directory(stack[-1]):
            raise CallError(errno.ENOTDIR)
        # Not the last component of the path, which may be "..": the name of what was found, within its own directory.
        return _Place(stack[-2] if len(stack) > 1 else None, os.path.basename(stack[-1].path), stack[-1])

    def _child(self, parent: _Node, name: str) -> _Node | None:
        path = parent.path.rstrip("/") + "/" + name
        if path in self._mounts or path in self._parents:
            return self._mounted(path)
        if parent.fd is None:
            return None
        if len(os.fsencode(name)) > 255:
            raise CallError(errno.ENAMETOOLONG)
        try:
            return _Node(path, os.open(name, _PATH | os.O_NOFOLLOW, dir_fd=parent.fd), parent.writable)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise CallError(getattr(error, "errno", None) or errno.EINVAL) from error

    def _mounted(self, path: str) -> _Node:
        mount = self._mounts.get(path)
        if mount is None:
            return _Node(path)
        if isinstance(mount, bytes):
            return _Node(path, data=mount, mount=True)
        with _host_errors():
            return _Node(path, os.open(mount.path, _PATH), mount.writable, mount=True)

    @staticmethod
    def _link(node: _Node) -> str | None:
        """Where a node points if it is a symbolic link."""
        assert node.fd is not None
        if not stat.S_ISLNK(os.fstat(node.fd).st_mode):
            return None
        return os.fsdecode(os.readlink(b"", dir_fd=node.fd))

    @staticmethod
    def _is_directory(node: _Node) -> bool:
        if node.fd is None:
            return node.data is None
        return stat.S_ISDIR(os.fstat(node.fd).st_mode)

    @staticmethod
    def _existing(place: _Place) -> _Node:
        if place.node is None:
            raise CallError(errno.ENOENT)
        return place.node

    @staticmethod
    def _changeable(place: _Place) -> int:
        """The descriptor of the directory in which ``place.name`` may be changed. Raises CallError(EROFS)."""
        if place.parent is None:
            raise CallError(errno.EBUSY)
        if place.parent.fd is None or not place.parent.writable:
            raise CallError(errno.EROFS)
        return place.parent.fd

    def _status(self, node: _Node) -> Status:
        if node.data is not None:
            return BytesFile(node.data, ino=_inode(node.path)).status()
        if node.fd is None:
            return Status(stat.S_IFDIR | 0o555, ino=_inode(node.path), nlink=2)
        return Status.of(os.fstat(node.fd))

    # -- opening -------------------------------------------------------------------------------------------------

    def _create(self, place: _Place, flags: int, mode: int) -> OpenFile:
        parent = self._changeable(place)
        with _host_errors():
            fd = os.open(
                place.name,
                flags & _OPEN_FLAGS | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY,
                mode & 0o777,
                dir_fd=parent,
            )
        return self._regular(fd, flags)

    def _open_node(self, node: _Node, flags: int) -> OpenFile:
        wants_write = flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC
        if self._is_directory(node):
            if wants_write or flags & os.O_CREAT:
                raise CallError(errno.EISDIR)
            return DirectoryFile(self._status(node), self._entries(node), node.path)
        if flags & os.O_DIRECTORY:
            raise CallError(errno.ENOTDIR)
        if wants_write and not node.writable:
            raise CallError(errno.EROFS)
        if node.data is not None:
            return BytesFile(node.data, ino=_inode(node.path))
        assert node.fd is not None
        mode = os.fstat(node.fd).st_mode
        if stat.S_ISLNK(mode):
            raise CallError(errno.ELOOP)
        if not stat.S_ISREG(mode):
            raise CallError(errno.EACCES)  # a device or a host's pipe in a granted directory is not part of the grant
        with _host_errors():
            # The name under /proc reopens exactly the file that the walk found.
            fd = os.open(f"/proc/self/fd/{node.fd}", flags & _OPEN_FLAGS & ~os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY)
        return self._regular(fd, flags)

    def _regular(self, fd: int, flags: int) -> OpenFile:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise CallError(errno.EACCES)
        file = HostFile(fd, flags & (os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC), owned=True)
        file.meter = self.meter
        return file

    def _entries(self, node: _Node) -> list[tuple[str, int, int]]:
        found = {
            ".": (_inode(node.path), stat.S_IFDIR),
            "..": (_inode(os.path.dirname(node.path)), stat.S_IFDIR),
        }
        if node.fd is not None:
            with _host_errors():
                fd = os.open(f"/proc/self/fd/{node.fd}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        found[entry.name] = entry.inode(), _type_of(entry)
            finally:
                os.close(fd)
        prefix = node.path.rstrip("/") + "/"
        for path in (*self._mounts, *self._parents):
            if path.startswith(prefix) and path != prefix and "/" not in path[len(prefix) :]:
                mount = self._mounts.get(path)
                is_file = isinstance(mount, bytes) or (isinstance(mount, Grant) and not os.path.isdir(mount.path))
                found[path[len(prefix) :]] = _inode(path), stat.S_IFREG if is_file else stat.S_IFDIR
        return [(name, ino, kind) for name, (ino, kind) in sorted(found.items())]


def _inode(path: str) -> int:
    """A made-up inode number that depends on the path alone."""
    number = 5381
    for byte in os.fsencode(path):
        number = (number * 33 + byte) & 0x7FFF_FFFF
    return number


def _type_of(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    if entry.is_dir(follow_symlinks=False):
        return stat.S_IFDIR
    return stat.S_IFREG


@contextmanager
def _host_errors() -> Iterator[None]:
    """What the host's file system refuses is what the guest sees."""
    try:
        yield
    except OSError as error:
        raise CallError(error.errno or errno.EIO) from error
    except ValueError as error:  # a NUL or a lone surrogate in a name
        raise CallError(errno.EINVAL) from error
