"""What a guest sees as its file system, and what system calls do with it: one object for each process.

Every path is walked in the guest's own name space (:mod:`vx32py.vfs.walk`), so none leads out of what has been granted,
whatever the guest, or another process of the host, renames in the meantime.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING
from weakref import ref

from reference.records import dataclass
from vx32py._descriptors import GUEST_ID, Meter, OpenFile, Status
from vx32py._errors import CallError, UnsupportedHost
from vx32py._hostfile import HostFile
from vx32py.vfs.host import O_PATH, HostNode, HostTree
from vx32py.vfs.mounts import Default, Dev, Grant, Granted, Overlay, Proc, Tmpfs
from vx32py.vfs.namespace import NameSpace, Prepared
from vx32py.vfs.nodes import RENAME_EXCHANGE, RENAME_NOREPLACE, FileSystemStatus, MagicLink, Node, View
from vx32py.vfs.opened import DirectoryFile, OpenedNode, PathFile, location_of
from vx32py.vfs.walk import MAX_PATH, Location, Parent, Walker

if TYPE_CHECKING:
    from vx32py._family import Family

_TMPFILE = getattr(os, "O_TMPFILE", 0o20200000)


@dataclass(frozen=True, slots=True, eq=False)
class HeldDirectory:
    """A working directory as a snapshot has it."""

    space: NameSpace
    location: Location
    path: str
    umask: int


class Files:
    """What a guest sees as its file system. Paths are bytes-as-str (surrogateescape), absolute or relative to ``cwd``, or to
    ``start``, the place of an open directory."""

    def __init__(
        self, grants: Mapping[str, Granted] | None = None, *, uid: int = GUEST_ID, gid: int = GUEST_ID
    ) -> None:
        """``grants``: absolute guest path → what it stands for. ``uid``, ``gid``: who the guest believes to be. Raises
        ValueError, OSError for a missing host path, UnsupportedHost where there is no way to keep a guest inside a
        directory."""
        self.view = View(uid, gid)
        #: For what is written to the host's files.
        self.meter: Meter | None = None
        #: For names that are made on the host: each takes room there, however little is written.
        self.names: Meter | None = None
        self.prepared = {_guest_path(path): _prepare(granted) for path, granted in (grants or {}).items()}
        #: Whether no guest has it: each guest gets file systems of its own.
        self.is_template = True
        self._family: ref[Family] | None = None
        self.made: NameSpace | None = None
        #: Permission bits that new files do not get, as far as system calls go.
        self.umask = 0o022
        self.directory: Location | None = None

    def clone(self) -> Files:
        """For another process: of files that have just been made, file systems of its own; else the same ones, with a
        working directory and a umask of its own."""
        other = Files(uid=self.view.uid, gid=self.view.gid)
        other.umask = self.umask
        other.meter, other.names, other.prepared, other.is_template = self.meter, self.names, self.prepared, False
        if not self.is_template:
            other.made, other.directory = self.space, self.directory
        elif self.directory is not None:
            other.chdir(self.cwd)
        return other

    def attach(self, family: Family) -> None:
        """Let /proc tell of these processes, and whatever else has to know who makes a call."""
        self._family = ref(family)
        if self.made is not None:
            self.made.family = self._family

    @property
    def space(self) -> NameSpace:
        """The mounts, made when they are first needed."""
        if self.made is None:
            self.made = NameSpace(self.prepared, self.view)
            self.made.family = self._family
        return self.made

    @property
    def has_locks(self) -> bool:
        """Whether anybody ever locked a file."""
        return self.made is not None and self.made.has_locks

    @property
    def here(self) -> Location:
        """The working directory."""
        if self.directory is None:
            self.directory = self.space.root
        return self.directory

    @property
    def cwd(self) -> str:
        """The working directory's path, as far as it has one."""
        try:
            return self.here.path()
        except CallError:
            return "(unreachable)"

    @cwd.setter
    def cwd(self, path: str) -> None:
        self.chdir(path)

    def getcwd(self) -> str:
        """The working directory's path. Raises CallError(ENOENT) where it has been removed."""
        return self.here.path()

    def hold(self) -> HeldDirectory:
        """The working directory and the umask, for :meth:`go_back`."""
        return HeldDirectory(self.space, self.here, self.cwd, self.umask)

    def go_back(self, held: HeldDirectory) -> None:
        """Take a working directory again; another guest's by its path, or the root where there is no such path. And a umask."""
        self.umask = held.umask
        if held.space is self.space:
            self.directory = held.location
            return
        try:
            self.chdir(held.path)
        except CallError:
            self.directory = self.space.root

    # -- opening -------------------------------------------------------------------------------------------------

    def open(
        self,
        path: str,
        flags: int,
        mode: int = 0o666,
        *,
        start: Location | None = None,
        walker: Walker | None = None,
    ) -> OpenFile:
        """Open a file or directory. ``flags`` with the host's values. ``walker``: one that does not go everywhere. Raises
        CallError."""
        follow = not flags & os.O_NOFOLLOW
        walker, begin = walker or self.space.walker, self._start(path, start)
        if flags & O_PATH:
            found = walker.find(begin, path, follow=follow)
            if flags & os.O_DIRECTORY and found.node.kind != stat.S_IFDIR:
                raise CallError(errno.ENOTDIR)
            return PathFile(found, flags)
        if flags & _TMPFILE == _TMPFILE:
            if flags & os.O_ACCMODE == os.O_RDONLY or flags & os.O_CREAT:
                raise CallError(errno.EINVAL)
            found = walker.find(begin, path, follow=follow)
            if found.node.kind != stat.S_IFDIR:
                raise CallError(errno.ENOTDIR)
            self._count_name(found.node)
            return self._place(found.node.create_unnamed(flags, mode), found)
        if not flags & os.O_CREAT:
            return self._open_found(walker.find(begin, path, follow=follow), flags)
        if flags & os.O_DIRECTORY:
            raise CallError(errno.EINVAL)
        exclusive = bool(flags & os.O_EXCL)
        parent = walker.find_parent(begin, path)
        if parent.slash and parent.name:
            raise CallError(errno.EISDIR)
        for attempt in range(2):
            opened = walker.look(parent, follow=follow and not exclusive)
            if opened is not None:
                if exclusive:
                    raise CallError(errno.EEXIST)
                return self._open_found(opened, flags)
            here = self._changeable(parent)
            self._count_name(here.node)
            try:
                return self._place(here.node.create(parent.name, flags, mode), here, parent.name)
            except CallError as error:
                if error.errno != errno.EEXIST or exclusive or attempt:
                    raise  # else somebody of the host's has just made it
        raise CallError(errno.EEXIST)

    def _count_name(self, directory: Node) -> None:
        """Something is about to be made there. Raises LimitExceeded("write")."""
        if self.names is not None and isinstance(directory, HostNode):
            self.names.take(1)

    def _open_found(self, found: Location, flags: int) -> OpenFile:
        node = found.node
        writes = flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC
        if node.kind == stat.S_IFDIR:
            if writes or flags & os.O_CREAT:
                raise CallError(errno.EISDIR)
            if self.view.uid:
                self.view.check(node.status(), 4)
            if isinstance(node, HostNode):
                found = Location(found.mount, node.opened_directory())
            return DirectoryFile(found, flags)
        if flags & os.O_DIRECTORY:
            raise CallError(errno.ENOTDIR)
        if node.kind == stat.S_IFLNK:
            raise CallError(errno.ELOOP)
        if writes and node.read_only and node.kind == stat.S_IFREG:
            raise CallError(errno.EROFS)
        if self.view.uid and not isinstance(node, OpenedNode):
            access = {os.O_RDONLY: 4, os.O_WRONLY: 2}.get(flags & os.O_ACCMODE, 6)
            self.view.check(node.status(), access | (2 if flags & os.O_TRUNC else 0))
        return self._place(node.open(flags), found)

    def _place(self, file: OpenFile, found: Location, name: str = "") -> OpenFile:
        """Let an open file know where it is."""
        if type(file) is HostFile and isinstance(found.node, HostNode):
            file.meter = self.meter
            file.location = found.mount
        elif name:
            node = found.node.child(name)
            file.location = found if node is None else Location(found.mount, node)
        elif file.location is None:
            file.location = self._unnamed(file, found)
        return file

    @staticmethod
    def _unnamed(file: OpenFile, found: Location) -> Location:
        inode = getattr(file, "inode", None)
        return Location(found.mount, inode) if isinstance(inode, Node) else found

    # -- looking -------------------------------------------------------------------------------------------------

    def status(self, path: str, *, follow: bool = True, start: Location | None = None) -> Status:
        """What stat (or lstat) tells. Raises CallError."""
        found = self._find(path, start, follow=follow)
        node = found.node
        if (
            isinstance(node, HostNode)
            and node is not found.mount.root
            and found is not start
            and found is not self.here
        ):
            return node.first_status()  # it has been found just now
        return node.status()

    def filesystem(self, path: str) -> FileSystemStatus:
        """What statfs tells. Raises CallError."""
        return self._find(path, None, follow=True).node.filesystem()

    def readlink(self, path: str, *, start: Location | None = None) -> bytes:
        """Where a symbolic link points. Raises CallError(EINVAL) for anything else."""
        return self._find(path, start, follow=False).node.readlink()

    def access(self, path: str, mode: int, *, start: Location | None = None, follow: bool = True) -> None:
        """Whether the guest may read (4), write (2), execute (1). Raises CallError."""
        self.check_access(self._find(path, start, follow=follow).node, mode)

    def check_access(self, node: Node, mode: int) -> None:
        """The same of a node. Raises CallError."""
        if mode & 2 and node.read_only and node.kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            raise CallError(errno.EROFS)
        if mode:
            self.view.check(node.status(), mode)

    def locate(self, path: str, *, follow: bool = True, start: Location | None = None) -> Location:
        """What a path leads to. Raises CallError."""
        return self._find(path, start, follow=follow)

    # -- changing ------------------------------------------------------------------------------------------------

    def remove(self, path: str, *, directory: bool | None = None, start: Location | None = None) -> None:
        """Remove a file, or an empty directory; ``directory`` says which it has to be. Raises CallError."""
        parent = self._parent(path, start)
        if directory and _ends_in_dot(path):
            raise CallError(errno.ENOTEMPTY if path.rstrip("/").endswith("..") else errno.EINVAL)
        if not parent.name:
            raise CallError(errno.EISDIR if directory is False else errno.EBUSY)
        slash, parent.slash = parent.slash, False
        found = self._last(parent)
        is_directory = found.node.kind == stat.S_IFDIR
        if slash and not is_directory:
            raise CallError(errno.ENOTDIR)
        if directory is False and is_directory:
            raise CallError(errno.EISDIR)
        if directory and not is_directory:
            raise CallError(errno.ENOTDIR)
        self._refuse_busy(found, parent)
        self._changeable(parent).node.remove(parent.name, found.node)

    def mkdir(self, path: str, mode: int, *, start: Location | None = None) -> None:
        """Make a directory. Raises CallError."""
        self._make(path, start, stat.S_IFDIR, mode)

    def mknod(self, path: str, mode: int, *, start: Location | None = None) -> None:
        """Make an empty file, a FIFO or a socket, as the type in ``mode`` says. Raises CallError(EPERM) for devices."""
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        if kind not in (stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK):
            raise CallError(errno.EPERM if kind == stat.S_IFDIR else errno.EINVAL)
        self._make(path, start, kind, mode)

    def symlink(self, content: str, path: str, *, start: Location | None = None) -> None:
        """Make a symbolic link; what it says is only ever walked within the guest's name space. Raises CallError."""
        if not content:
            raise CallError(errno.ENOENT)
        self._make(path, start, stat.S_IFLNK, 0o777, os.fsencode(content))

    def _make(self, path: str, start: Location | None, kind: int, mode: int, content: bytes = b"") -> None:
        parent = self._parent(path, start)
        slash, parent.slash = parent.slash, False
        if self._look(parent) is not None:
            raise CallError(errno.EEXIST)
        if slash and kind != stat.S_IFDIR:
            raise CallError(errno.ENOENT)
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            raise CallError(errno.EPERM)
        here = self._changeable(parent)
        self._count_name(here.node)
        here.node.make(parent.name, kind, stat.S_IMODE(mode), content)

    def link(
        self,
        old: str,
        new: str,
        *,
        old_start: Location | None = None,
        new_start: Location | None = None,
        follow: bool = False,
    ) -> None:
        """Make a hard link, within one file system. Raises CallError."""
        self.link_location(self._find(old, old_start, follow=follow), new, new_start)

    def link_location(self, source: Location, new: str, new_start: Location | None = None) -> None:
        """Give what is at a place another name. Raises CallError."""
        parent = self._parent(new, new_start)
        slash, parent.slash = parent.slash, False
        if self._look(parent) is not None:
            raise CallError(errno.EEXIST)
        if slash:
            raise CallError(errno.ENOENT)
        directory = self._changeable(parent)
        if source.mount is not parent.here.mount:
            raise CallError(errno.EXDEV)
        if source.node.kind == stat.S_IFDIR:
            raise CallError(errno.EPERM)
        self._count_name(directory.node)
        directory.node.link(parent.name, source.node)

    def rename(
        self,
        old: str,
        new: str,
        *,
        old_start: Location | None = None,
        new_start: Location | None = None,
        flags: int = 0,
    ) -> None:
        """Rename, within one file system; ``flags`` are renameat2's. Raises CallError."""
        if flags & ~(RENAME_EXCHANGE | RENAME_NOREPLACE) or flags == RENAME_EXCHANGE | RENAME_NOREPLACE:
            raise CallError(errno.EINVAL)
        source, target = self._parent(old, old_start), self._parent(new, new_start)
        if source.here.mount is not target.here.mount:
            raise CallError(errno.EXDEV)
        if not source.name or not target.name or _ends_in_dot(old) or _ends_in_dot(new):
            raise CallError(errno.EBUSY)
        slashes, source.slash, target.slash = source.slash or target.slash, False, False
        moved, replaced = self._last(source), self._look(target)
        if replaced is not None and flags & RENAME_NOREPLACE:
            raise CallError(errno.EEXIST)
        if replaced is None and flags & RENAME_EXCHANGE:
            raise CallError(errno.ENOENT)
        if slashes and moved.node.kind != stat.S_IFDIR:
            raise CallError(errno.ENOTDIR)
        self._refuse_busy(moved, source)
        if replaced is not None:
            self._refuse_busy(replaced, target)
        destination = self._changeable(target)
        self._changeable(source).node.rename(source.name, destination.node, target.name, flags)

    def chmod(self, path: str, mode: int, *, start: Location | None = None, follow: bool = True) -> None:
        """Change the permission bits. Raises CallError."""
        self.chmod_location(self._find(path, start, follow=follow), mode)

    def chmod_location(self, found: Location, mode: int) -> None:
        """The same of what is at a place. Raises CallError."""
        node = self._writable(found)
        self.view.check_owner(node.status())
        node.chmod(mode)

    def chown(self, found: Location, uid: int, gid: int) -> None:
        """Change owner and group; -1 stays. Raises CallError."""
        self._writable(found).chown(uid, gid)

    def utime(self, found: Location, accessed: int | None, modified: int | None, *, now: bool = False) -> None:
        """Change the times, in nanoseconds; None stays. ``now``: whoever may write may do that. Raises CallError."""
        node = self._writable(found)
        status = node.status()
        if self.view.uid not in (0, status.uid):
            if not now:
                raise CallError(errno.EPERM)
            self.view.check(status, 2)
        node.utime(accessed, modified)

    def truncate(self, path: str, size: int) -> None:
        """Set the size of a file. Raises CallError."""
        found = self._find(path, None, follow=True)
        if found.node.kind != stat.S_IFREG:
            raise CallError(errno.EISDIR if found.node.kind == stat.S_IFDIR else errno.EINVAL)
        file = self._open_found(found, os.O_WRONLY)
        try:
            file.truncate(size)
        finally:
            file.close()

    def chdir(self, path: str) -> None:
        """Change the directory that relative paths start from. Raises CallError."""
        self.enter(self._find(path, None, follow=True))

    def enter(self, found: Location) -> None:
        """The same, to a place. Raises CallError."""
        if found.node.kind != stat.S_IFDIR:
            raise CallError(errno.ENOTDIR)
        self.check_access(found.node, 1)
        self.directory = found

    def save(self) -> None:
        """Save the layers of overlays that have a directory for them. Raises OSError."""
        if self.made is not None:
            self.made.save()

    # -- parts ---------------------------------------------------------------------------------------------------

    def _start(self, path: str, start: Location | None) -> Location:
        if len(path) >= MAX_PATH:
            raise CallError(errno.ENAMETOOLONG)
        return self.here if start is None else start

    def _find(self, path: str, start: Location | None, *, follow: bool) -> Location:
        return self.space.walker.find(self._start(path, start), path, follow=follow)

    def _parent(self, path: str, start: Location | None) -> Parent:
        return self.space.walker.find_parent(self._start(path, start), path)

    def _look(self, parent: Parent) -> Location | None:
        return self.space.walker.look(parent, follow=False)

    def _last(self, parent: Parent) -> Location:
        return self.space.walker.last(parent, follow=False)

    @staticmethod
    def _changeable(parent: Parent) -> Location:
        """The directory in which the last name may be changed. Raises CallError."""
        node = parent.here.node
        if node.read_only:
            raise CallError(errno.EROFS)
        return parent.here

    @staticmethod
    def _writable(found: Location) -> Node:
        node = found.node
        if isinstance(node, OpenedNode):
            raise CallError(errno.EPERM)
        if node.read_only:
            raise CallError(errno.EROFS)
        return node

    @staticmethod
    def _refuse_busy(found: Location, parent: Parent) -> None:
        """Mounts stay where they are, and so do the directories above them."""
        mount = parent.here.mount
        if found.mount is not mount:
            raise CallError(errno.EBUSY)
        if mount.busy and found.node.kind == stat.S_IFDIR and found.node.key() in mount.busy:
            raise CallError(errno.EBUSY)


def _ends_in_dot(path: str) -> bool:
    return path.rstrip("/").rpartition("/")[2] in (".", "..")


def _guest_path(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"a guest path must be absolute, not {path!r}")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"a guest path must not contain .., as {path!r} does")
    return "/" + "/".join(parts)


def _prepare(granted: Granted) -> Prepared:
    """Open what of the host is granted. Raises OSError, ValueError, UnsupportedHost."""
    if isinstance(granted, (bytes, bytearray, memoryview)):
        return bytes(granted), None
    if isinstance(granted, (Tmpfs, Proc, Dev, Default)):
        return granted, None
    if not O_PATH:
        raise UnsupportedHost("host files can be granted on Linux only; grant bytes instead")
    if isinstance(granted, Overlay):
        if not os.path.isdir(granted.path):
            raise NotADirectoryError(errno.ENOTDIR, "an overlay needs a directory below", os.fspath(granted.path))
        return granted, HostTree(granted.path, writable=False)
    grant = granted if isinstance(granted, Grant) else Grant(granted)
    return grant, HostTree(grant.path, writable=grant.writable)


__all__ = ["DirectoryFile", "Files", "HeldDirectory", "MagicLink", "location_of"]
