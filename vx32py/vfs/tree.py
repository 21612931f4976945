"""Trees: file systems of the guest's own, over nothing (tmpfs) or over a host directory that stays as it is (overlay).

A directory of a tree has *changes*: names and what they stand for now, None for a name that has been removed. Every other
name stands for what the lower directory has, if there is one. An inode that the guest has changed is kept; one of the
lower tree that it has only looked at is made anew when it is looked at again, so that a guest that reads a large tree
takes no memory. A renamed directory keeps its lower directory.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from vx32py._descriptors import OpenFile, Status
from vx32py._errors import CallError
from vx32py.vfs.content import Quota, Store, TreeFile, copy_bytes
from vx32py.vfs.host import HostTree
from vx32py.vfs.listing import list_directory
from vx32py.vfs.mounts import parse_size
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

if TYPE_CHECKING:
    from vx32py._task import Task

#: Inode numbers of what is new begin here; those of the lower tree are the host's.
_FIRST_INODE: Final = 0x4000_0000
_OVERLAYFS, _TMPFS = 0x794C7630, 0x01021994


class Tree:
    """One such file system. ``upper``: where it is to be saved, see :mod:`vx32py.vfs.layers`."""

    def __init__(
        self, view: View, device: int, size: int | str, files: int, mode: int, lower: HostTree | None = None
    ) -> None:
        self.view = view
        self.device = device
        self.lower = lower
        self.upper: str | os.PathLike[str] | None = None
        self.quota = Quota(parse_size(size), files)
        self.store = Store()
        #: The task whose call is being made.
        self.current: Callable[[], Task | None] = lambda: None
        self.last_inode = _FIRST_INODE
        #: Inodes with a lower path: those that differ from what is there, and others as long as somebody has them.
        self.kept: dict[str, Inode] = {}
        self.seen: WeakValueDictionary[str, Inode] = WeakValueDictionary()
        if lower is None:
            self.root = self.new(stat.S_IFDIR, mode)
        else:
            found = self.look_below("")
            assert found is not None
            self.root = self.kept[""] = found

    def new(self, kind: int, mode: int) -> Inode:
        """A new inode without a name. Raises CallError(ENOSPC)."""
        self.quota.take_file()
        self.last_inode += 1
        inode = Inode(self, kind, self.last_inode)
        inode.own = True
        inode.mode = mode & 0o7777
        inode.uid, inode.gid = self.view.uid, self.view.gid
        inode.accessed = inode.modified = inode.changed = time.time_ns()
        return inode

    def look_below(self, path: str) -> Inode | None:
        """What the lower tree has at a path, which has a slash before each name. Raises CallError."""
        found = self.kept.get(path) or self.seen.get(path)
        if found is not None:
            return found
        assert self.lower is not None
        try:
            fd = self.lower.open_path(path[1:])
        except CallError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        try:
            host = os.fstat(fd)
        finally:
            os.close(fd)
        inode = Inode(self, stat.S_IFMT(host.st_mode), host.st_ino)
        inode.lower, inode.host = path, host
        self.seen[path] = inode
        return inode


class Inode(Node):
    """A file, directory or link of a tree.

    ``lower``: its path in the lower tree, if it is there. ``own``: whether its attributes are here rather than there.
    ``content``: the number of a file's bytes in the store; None as long as they are those of the lower file. ``extra`` is
    what else it stands for: the pipe of a FIFO, the socket that is bound to it.
    """

    __slots__ = (
        "_above", "accessed", "changed", "changes", "content", "extra", "gid", "host", "ino", "kind", "links", "lower",
        "mode", "modified", "name", "opens", "own", "text", "tree", "uid",
    )  # fmt: skip

    def __init__(self, tree: Tree, kind: int, ino: int) -> None:
        self.tree = tree
        self.kind = kind
        self.ino = ino
        self.links = 1
        self.lower: str | None = None
        self.host: os.stat_result | None = None
        self.own = False
        self.mode = self.uid = self.gid = 0
        self.accessed = self.modified = self.changed = 0
        self.content: int | None = None
        self.text = b""
        self.changes: dict[str, Inode | None] = {}
        self.opens = 0
        self.extra: Any = None
        self._above: Inode | None = None
        #: The name by which it was found last.
        self.name = ""

    # -- attributes ----------------------------------------------------------------------------------------------

    def status(self) -> Status:
        tree = self.tree
        if not self.own:
            assert self.host is not None
            seen = tree.view.of(self.host)
            links = seen.nlink if self.kind != stat.S_IFDIR else 1
            return Status(
                seen.mode, seen.size, tree.device, self.ino, links, seen.uid, seen.gid, 0, 4096, seen.blocks,
                seen.atime, seen.mtime, seen.ctime,
            )  # fmt: skip
        size = blocks = 0
        accessed, modified, changed = self.accessed, self.modified, self.changed
        if self.kind == stat.S_IFREG:
            size, blocks, accessed, modified, changed = self._content_status()
        elif self.kind == stat.S_IFLNK:
            size = len(self.text)
        elif self.kind == stat.S_IFDIR:
            size = 4096 if tree.lower is not None else 40 + 20 * len(self.changes)
        return Status(
            self.kind | self.mode, size, tree.device, self.ino, self._link_count(), self.uid, self.gid, 0, 4096, blocks,
            accessed, modified, changed,
        )  # fmt: skip

    def _content_status(self) -> tuple[int, int, int, int, int]:
        if self.content is None:
            assert self.host is not None
            host = self.host
            return host.st_size, host.st_blocks, self.accessed, self.modified, self.changed
        try:
            host = os.stat(self.tree.store.path(self.content))
        except FileNotFoundError:  # somebody still has it open
            return 0, 0, self.accessed, self.modified, self.changed
        return host.st_size, host.st_blocks, host.st_atime_ns, host.st_mtime_ns, max(host.st_ctime_ns, self.changed)

    def _link_count(self) -> int:
        if self.kind != stat.S_IFDIR or not self.links:
            return self.links
        if self.lower is not None:
            return 1  # that is, not counted
        return 2 + sum(1 for node in self.changes.values() if node is not None and node.kind == stat.S_IFDIR)

    def filesystem(self) -> FileSystemStatus:
        quota = self.tree.quota
        blocks, free = quota.most_bytes // 4096, quota.bytes_left // 4096
        kind = _TMPFS if self.tree.lower is None else _OVERLAYFS
        return FileSystemStatus(kind, 4096, blocks, free, free, quota.most_files, quota.files_left)

    @property
    def read_only(self) -> bool:
        return False

    def make_own(self) -> None:
        """Have attributes that can be changed. Raises CallError(ENOSPC)."""
        if self.own:
            return
        assert self.host is not None
        assert self.lower is not None
        status = self.status()
        if self.kind == stat.S_IFLNK:
            self.text = self.readlink()
        self.tree.quota.take_file()
        self.own = True
        self.mode, self.uid, self.gid = stat.S_IMODE(status.mode), status.uid, status.gid
        self.accessed, self.modified, self.changed = status.atime, status.mtime, status.ctime
        self.tree.kept[self.lower] = self

    def _touch(self) -> None:
        """A directory's names have changed."""
        self.make_own()
        self.modified = self.changed = time.time_ns()

    def chmod(self, mode: int) -> None:
        self.tree.view.check_owner(self.status())
        if self.kind == stat.S_IFLNK:
            raise CallError(errno.EOPNOTSUPP)
        self.make_own()
        self.mode = mode & 0o7777
        self.changed = time.time_ns()

    def chown(self, uid: int, gid: int) -> None:
        status, view = self.status(), self.tree.view
        if view.uid and (uid not in (-1, status.uid) or gid not in (-1, status.gid, view.gid)):
            raise CallError(errno.EPERM)
        view.check_owner(status)
        self.make_own()
        self.uid = self.uid if uid == -1 else uid
        self.gid = self.gid if gid == -1 else gid
        if self.kind == stat.S_IFREG:
            self.mode &= ~(stat.S_ISUID | (stat.S_ISGID if self.mode & 0o010 else 0))
        self.changed = time.time_ns()

    def utime(self, accessed: int | None, modified: int | None) -> None:
        status = self.status()
        self.make_own()
        self.accessed = status.atime if accessed is None else accessed
        self.modified = status.mtime if modified is None else modified
        self.changed = time.time_ns()
        if self.content is not None and self.links:
            os.utime(self.tree.store.path(self.content), ns=(self.accessed, self.modified))

    # -- the place -----------------------------------------------------------------------------------------------

    def is_root(self) -> bool:
        return self is self.tree.root

    def place(self, above: Inode, name: str) -> None:
        """It was found in this directory, by this name."""
        self._above, self.name = above, name

    @property
    def above(self) -> Inode:
        """The directory in which it was found. Raises CallError(ENOENT)."""
        if self._above is None:
            if self.lower is None:
                raise CallError(errno.ENOENT)
            path, _, self.name = self.lower.rpartition("/")
            found = self.tree.look_below(path)
            if found is None:
                raise CallError(errno.ENOENT)
            self._above = found
        return self._above

    def parent(self) -> Node:
        if self.is_root():
            return self
        self._check_name()
        return self.above

    def path(self) -> str:
        names: list[str] = []
        here = self
        while not here.is_root():
            here._check_name()
            names.append(here.name)
            here = here.above
        return "".join("/" + name for name in reversed(names))

    def _check_name(self) -> None:
        """Raises CallError(ENOENT) where it has not the name any more by which it was found."""
        above = self.above
        if not self.links or above.look_up(self.name) is not self:
            raise CallError(errno.ENOENT)

    # -- directories ---------------------------------------------------------------------------------------------

    def look_up(self, name: str) -> Inode | None:
        """What has this name, found or not. Raises CallError."""
        if name in self.changes:
            return self.changes[name]
        if self.lower is None:
            return None
        return self.tree.look_below(f"{self.lower}/{name}")

    def child(self, name: str) -> Node | None:
        check_name(name)
        if self.own:
            self.may(1)
        found = self.look_up(name)
        if found is not None:
            found.place(self, name)
        return found

    def descend(self, names: list[str], under: Mapping[Hashable, Mapping[str, Any]]) -> tuple[Node, int] | None:
        lower, tree = self.lower, self.tree
        if lower is None or len(names) < 2:
            return None
        for i, name in enumerate(names):
            here = self if not i else tree.kept.get(lower)
            if here is not None and (name in here.changes or (here.own and not here.allows(1))):
                return None
            if under and here is not None and name in under.get(here, ()):
                return None
            lower = f"{lower}/{name}"
        try:
            found = tree.look_below(lower)
        except CallError as error:
            if error.errno == errno.ELOOP:
                return None
            raise
        if found is None:
            raise CallError(errno.ENOENT)
        return found, len(names)

    def entries(self) -> Iterator[Entry]:
        seen = dict(self.changes)
        for name, node in seen.items():
            if node is not None:
                yield name, node.ino, node.kind
        if self.lower is None:
            return
        assert self.tree.lower is not None
        fd = self.tree.lower.open_path(self.lower[1:])
        try:
            entries = list_directory(fd)
            first = next(entries, None)  # by now it has a descriptor of its own
        finally:
            os.close(fd)
        while first is not None:
            if first[0] not in seen:
                yield first
            first = next(entries, None)

    def allows(self, wanted: int) -> bool:
        """The same as an answer."""
        try:
            self.may(wanted)
        except CallError:
            return False
        return True

    def may(self, wanted: int) -> None:
        """Whether the mode permits something. Raises CallError(EACCES)."""
        view = self.tree.view
        if view.uid:
            bits = self.mode >> (6 if self.uid == view.uid else 3 if self.gid == view.gid else 0)
            if wanted & ~bits:
                raise CallError(errno.EACCES)

    def check_writable(self, name: str) -> None:
        """Before a name is made or removed here. Raises CallError."""
        check_name(name)
        if not self.links:
            raise CallError(errno.ENOENT)
        if self.tree.view.uid:
            self.tree.view.check(self.status(), 3)
        self.make_own()

    def check_sticky(self, child: Inode) -> None:
        """Before ``child`` is removed from here. Raises CallError(EPERM)."""
        view = self.tree.view
        if self.mode & stat.S_ISVTX and view.uid and view.uid not in (self.uid, child.status().uid):
            raise CallError(errno.EPERM)

    def put(self, name: str, node: Inode | None) -> None:
        """Let a name stand for something else, or for nothing."""
        if node is None and self.lower is None:
            self.changes.pop(name, None)
        else:
            self.changes[name] = node
        if node is not None:
            node.place(self, name)
        self._touch()

    def create(self, name: str, flags: int, mode: int) -> OpenFile:
        self.check_writable(name)
        inode = self._new_file(mode)
        self.put(name, inode)
        return inode.opened(flags)

    def create_unnamed(self, flags: int, mode: int) -> OpenFile:
        if self.tree.view.uid:
            self.tree.view.check(self.status(), 3)
        inode = self._new_file(mode)
        inode.links = 0
        if not flags & os.O_EXCL:
            inode.extra = "linkable"
        return inode.opened(flags)

    def _new_file(self, mode: int) -> Inode:
        inode = self.tree.new(stat.S_IFREG, mode)
        try:
            inode.content = self.tree.store.new()
        except BaseException:
            self.tree.quota.files_left += 1
            raise
        return inode

    def make(self, name: str, kind: int, mode: int, content: bytes = b"") -> None:
        self.check_writable(name)
        if kind == stat.S_IFREG:
            inode = self._new_file(mode)
        elif kind in (stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK):
            inode = self.tree.new(kind, mode)
            inode.text = content
        else:
            raise CallError(errno.EPERM)
        if self.mode & stat.S_ISGID:
            inode.gid = self.gid
        self.put(name, inode)

    def remove(self, name: str, child: Node) -> None:
        assert isinstance(child, Inode)
        self.check_writable(name)
        self.check_sticky(child)
        if child.kind == stat.S_IFDIR and next(child.entries(), None) is not None:
            raise CallError(errno.ENOTEMPTY)
        child.make_own()
        self.put(name, None)
        child.unlinked()

    def unlinked(self) -> None:
        """One name fewer."""
        self.links = 0 if self.kind == stat.S_IFDIR else self.links - 1
        self.changed = time.time_ns()
        self._free()

    def closed(self) -> None:
        """One open file fewer."""
        self.opens -= 1
        self._free()

    def _free(self) -> None:
        """Give back what it takes, if nobody can get at it any more."""
        if self.links or self.opens:
            return
        tree = self.tree
        if self.own:
            tree.quota.files_left += 1
            self.own = self.kind == stat.S_IFDIR  # which somebody may be in
        if self.lower is not None:
            tree.kept.pop(self.lower, None)
        if self.content is not None:
            tree.quota.bytes_left += os.stat(tree.store.path(self.content)).st_size
            tree.store.remove(self.content)
            self.content = None
            self.host = self.host or os.stat_result((0,) * 10)

    def link(self, name: str, node: Node) -> None:
        if not isinstance(node, Inode) or node.tree is not self.tree:
            raise CallError(errno.EXDEV)
        if node.kind == stat.S_IFDIR:
            raise CallError(errno.EPERM)
        if not node.links and node.extra != "linkable":
            raise CallError(errno.ENOENT)
        self.check_writable(name)
        node.make_own()
        node.links += 1
        node.changed = time.time_ns()
        self.put(name, node)

    def rename(self, name: str, target: Node, new_name: str, flags: int) -> None:
        if not isinstance(target, Inode) or target.tree is not self.tree:
            raise CallError(errno.EXDEV)
        moved, replaced = self.look_up(name), target.look_up(new_name)
        if moved is None:
            raise CallError(errno.ENOENT)
        if replaced is None and flags & RENAME_EXCHANGE:
            raise CallError(errno.ENOENT)
        if replaced is not None and flags & RENAME_NOREPLACE:
            raise CallError(errno.EEXIST)
        target.refuse_loop(moved)
        if replaced is not None and flags & RENAME_EXCHANGE:
            self.refuse_loop(replaced)
        self.check_writable(name)
        target.check_writable(new_name)
        self.check_sticky(moved)
        if moved is replaced:
            return
        if replaced is not None:
            target.check_sticky(replaced)
            if not flags & RENAME_EXCHANGE:
                target.refuse_replacement(moved, replaced)
            replaced.make_own()
        moved.make_own()
        if flags & RENAME_EXCHANGE:
            self.put(name, replaced)
            target.put(new_name, moved)
            return
        self.put(name, None)
        target.put(new_name, moved)
        moved.changed = time.time_ns()
        if replaced is not None:
            replaced.unlinked()

    def refuse_replacement(self, moved: Inode, replaced: Inode) -> None:
        """Only a directory replaces a directory, and only an empty one. Raises CallError."""
        if replaced.kind == stat.S_IFDIR:
            if moved.kind != stat.S_IFDIR:
                raise CallError(errno.EISDIR)
            if next(replaced.entries(), None) is not None:
                raise CallError(errno.ENOTEMPTY)
        elif moved.kind == stat.S_IFDIR:
            raise CallError(errno.ENOTDIR)

    def refuse_loop(self, moved: Inode) -> None:
        """A directory must not get into itself."""
        if moved.kind != stat.S_IFDIR:
            return
        here = self
        while True:
            if here is moved:
                raise CallError(errno.EINVAL)
            if here.is_root():
                return
            here = here.above

    # -- files and links -----------------------------------------------------------------------------------------

    def readlink(self) -> bytes:
        if self.kind != stat.S_IFLNK:
            raise CallError(errno.EINVAL)
        if self.own:
            return self.text
        fd = self._lower_descriptor()
        try:
            with HOST_ERRORS:
                return os.readlink(b"", dir_fd=fd)
        finally:
            os.close(fd)

    def _lower_descriptor(self) -> int:
        assert self.lower is not None
        assert self.tree.lower is not None
        return self.tree.lower.open_path(self.lower[1:])

    def open(self, flags: int) -> OpenFile:
        if self.kind == stat.S_IFIFO:
            from vx32py.vfs.fifos import open_fifo

            return open_fifo(self, flags)
        if self.kind != stat.S_IFREG:
            raise CallError(errno.ENXIO if self.kind == stat.S_IFSOCK else errno.EACCES)
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            self._take_content(keep=not flags & os.O_TRUNC)
        return self.opened(flags)

    def opened(self, flags: int) -> OpenFile:
        """Open it as it is. Raises CallError."""
        if self.content is not None:
            return TreeFile(self, self.tree.store.open(self.content, flags), flags)
        return TreeFile(self, self._open_lower(), flags)

    def _open_lower(self) -> int:
        fd = self._lower_descriptor()
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise CallError(errno.EACCES)
            try:
                return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise CallError(error.errno or errno.EIO) from error
        finally:
            os.close(fd)

    def _take_content(self, *, keep: bool) -> None:
        """Have bytes that can be written: those of the lower file, if they are to be kept. Raises CallError(ENOSPC)."""
        tree = self.tree
        if self.content is None:
            assert self.host is not None
            self.make_own()
            size = self.host.st_size if keep else 0
            tree.quota.take(size)
            number = tree.store.new()
            if size:
                source, target = self._open_lower(), tree.store.open(number, os.O_WRONLY)
                try:
                    copy_bytes(source, target, size)
                except BaseException:
                    tree.quota.bytes_left += size
                    tree.store.remove(number)
                    raise
                finally:
                    os.close(source)
                    os.close(target)
            os.utime(tree.store.path(number), ns=(self.accessed, self.modified if keep else time.time_ns()))
            self.content = number
        elif not keep:
            path = tree.store.path(self.content)
            tree.quota.bytes_left += os.stat(path).st_size
            os.truncate(path, 0)
