"""``#U``: directories of the host's that were granted, read-only unless the grant says otherwise.

Names are resolved beneath the granted directory as :mod:`vx32py.vfs.host` does it. Plan 9 has no symbolic links: one that
leads to something in the tree is that file, any other one is not there. What is neither file nor directory is not either.
"""

from __future__ import annotations

import errno
import os
import re
import stat as host_stat
import time
from collections.abc import Hashable, Iterable, Mapping
from typing import Final

from reference.weak import WeakGroup
from vx32py._errors import CallError
from vx32py._hostfile import HostFile, Transfers
from vx32py.plan9 import headroom
from vx32py.plan9.chan import (
    DMAPPEND,
    DMDIR,
    DMEXCL,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
    SERVED,
    Caller,
    Chan,
    HostDescriptor,
    Qid,
)  # fmt: skip
from vx32py.plan9.devices.nodes import Node, NodeDevice
from vx32py.plan9.errors import Ebadspec, Eexist, Eio, Eisdir, Enofd, Enomem, Enonexist, Enotdir, Eperm, Error
from vx32py.plan9.stat import Dir
from vx32py.vfs.host import HostNode, HostTree, rename_to_new
from vx32py.vfs.nodes import View

_MOST_LINKS: Final = 8
#: Apart from those of servers and of trees in memory.
_INSTANCES: Final = 0x6000_0000
_MOST: Final = 1 << 20
#: What modes say that the host's do not; and of so many files it is remembered.
_BITS: Final = DMAPPEND | DMEXCL
_MOST_BITS: Final = 100_000
#: The times of files may be coarser than the clock by so much, in ns.
_UNCERTAIN: Final = 100_000_000
#: No name that a program says has one of these.
_UNSAYABLE: Final = re.compile("[\\x00-\\x1f\\x7f]")
_FLAGS: Final = {OREAD: os.O_RDONLY, OWRITE: os.O_WRONLY, ORDWR: os.O_RDWR, OEXEC: os.O_RDONLY}
_TEXTS: Final = {
    errno.ENOENT: Enonexist, errno.EACCES: Eperm, errno.EPERM: Eperm, errno.EROFS: Eperm, errno.EEXIST: Eexist,
    errno.ENOTDIR: Enotdir, errno.EISDIR: Eisdir, errno.ENOTEMPTY: "directory not empty", errno.EIO: Eio,
    errno.EMFILE: Enofd, errno.ENFILE: Enofd, errno.ENOSPC: "file system full", errno.ENAMETOOLONG: "name too long", errno.ELOOP: Enonexist, errno.EXDEV: Enonexist,
}  # fmt: skip


class _Errors:
    """What the host says, in Plan 9's words."""

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, CallError | OSError) and error.errno is not None:
            raise Error(_TEXTS.get(error.errno) or os.strerror(error.errno).lower()) from None


_ERRORS: Final = _Errors()


class _Known:
    """What is remembered of the host's files: small numbers for its devices; the bits of modes that it has no place for
    (append-only, exclusive use), as long as the kernel lives; and what is open for one alone."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._own = os.getuid(), os.getgid()
        self._devices: dict[int, int] = {}
        self._bits: dict[tuple[int, int], int] = {}
        self.taken: dict[tuple[int, int], HostFile] = {}
        #: What may be written to without this module, as long as no file of its is append-only.
        self._writers: WeakGroup[Chan] = WeakGroup()

    def device(self, number: int) -> int:
        """A small number for a device of the host's."""
        return self._devices.setdefault(number, len(self._devices))

    def names(self, found: os.stat_result) -> tuple[str, str]:
        """Whose a file is, and of which group: what is this process's own is the kernel's user's. The host's names for
        others are nobody's affair here."""
        uid, gid = self._own
        user, group = str(found.st_uid) if found.st_uid else "sys", str(found.st_gid) if found.st_gid else "sys"
        return self._user if found.st_uid == uid else user, self._user if found.st_gid == gid else group

    def let_go(self, file: HostFile) -> None:
        """It is closed, and may have been open for one alone."""
        if self.taken:
            now = os.fstat(file.fd)
            if self.taken.get((now.st_dev, now.st_ino)) is file:
                del self.taken[now.st_dev, now.st_ino]

    def bits(self, found: os.stat_result) -> int:
        """DMAPPEND and DMEXCL of a file."""
        return self._bits.get((found.st_dev, found.st_ino), 0)

    def set_bits(self, found: os.stat_result, bits: int) -> None:
        """Change them. Raises Error."""
        key = found.st_dev, found.st_ino
        if not bits & _BITS:
            self._bits.pop(key, None)
        elif len(self._bits) >= _MOST_BITS and key not in self._bits:
            raise Error(Enomem)
        else:
            self._bits[key] = bits & _BITS
            if bits & DMAPPEND:
                for chan in self._writers:
                    chan.keep_host()

    def let_use(self, chan: Chan, file: HostFile, mode: int) -> None:
        """A channel has been opened: it may be used without this module, if reads and writes are those of the host's file."""
        if file.transfers is not Transfers.LASTING or file.mapping is not None:
            return
        if mode & 3 in (OWRITE, ORDWR):
            if any(bits & DMAPPEND for bits in self._bits.values()):
                return
            self._writers.add(chan)
        chan.host = HostDescriptor(file.fd, _MOST, lasting=True)


class _HostNode(Node):
    """A file or directory of the host's; ``host`` holds a descriptor of just that."""

    def __init__(self, host: HostNode, name: str, up: _HostNode | None, known: _Known) -> None:
        self.host = host
        self.name = name
        self.up = up
        self.owner = self.group = self.modifier = None
        self._known = known
        #: What it may be used for as soon as who has created it has opened it.
        self._wanted: int | None = None

    def _now(self) -> os.stat_result:
        with _ERRORS:
            return os.fstat(self.host.fd)

    @property
    def is_folder(self) -> bool:
        """Whether it is a directory."""
        return self.host.kind == host_stat.S_IFDIR

    @property
    def mode(self) -> int:  # type: ignore[override]
        """As the host has it; nobody may write where that was not granted."""
        return self._mode_of(self._now())

    def _mode_of(self, found: os.stat_result) -> int:
        mode = found.st_mode & (0o777 if self.host.tree.writable else 0o555)
        return mode | (DMDIR if host_stat.S_ISDIR(found.st_mode) else self._known.bits(found))

    @property
    def qid(self) -> Qid:  # type: ignore[override]
        """From the number of the file and of the host's device."""
        return self._qid_of(self._now())

    def _qid_of(self, found: os.stat_result) -> Qid:
        return Qid(
            (self._known.device(found.st_dev) << 56 | found.st_ino) & (1 << 64) - 1,
            found.st_mtime_ns // 1000 & 0xFFFF_FFFF,
            QTDIR if host_stat.S_ISDIR(found.st_mode) else self._known.bits(found) >> 24,
        )

    def permits(self, caller: Caller, needed: int) -> bool:
        """What the owner may; the host has the last word."""
        return self.mode >> 6 & needed == needed

    def stat(self, caller: Caller) -> Dir:
        return self.entry(caller, self.name, self._now())

    def entry(self, caller: Caller, name: str, found: os.stat_result) -> Dir:
        """What a file of the same tree is."""
        mode, (user, group) = self._mode_of(found), self._known.names(found)
        return Dir(
            name, self._qid_of(found), mode, int(found.st_atime) & 0xFFFF_FFFF, int(found.st_mtime) & 0xFFFF_FFFF,
            0 if mode & DMDIR else found.st_size, user, group, user,
        )  # fmt: skip

    def stamp(self) -> Hashable | None:
        """See Device; none for a file that has changed just now, and may change again without its times showing it."""
        found = self._now()
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _UNCERTAIN:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    # -- names -------------------------------------------------------------------------------------------------------

    def parent(self, caller: Caller) -> Node:
        return self.up if self.up is not None else self

    def child(self, caller: Caller, name: str) -> Node:
        found = self._resolved(self, name, _MOST_LINKS)
        if found is None:
            raise Error(Enonexist)
        return _HostNode(found.host, name, self, self._known)

    def _resolved(self, folder: _HostNode, name: str, links: int) -> _HostNode | None:
        """What has this name in a directory, or what a link of that name leads to."""
        if not name or "/" in name or name in (".", ".."):
            return None
        with _ERRORS:
            host = folder.host.child(name)
        if not isinstance(host, HostNode):
            return None
        if host.kind in (host_stat.S_IFREG, host_stat.S_IFDIR):
            return _HostNode(host, name, folder, self._known)
        if host.kind != host_stat.S_IFLNK or not links:
            return None
        with _ERRORS:
            target = os.fsdecode(host.readlink())
        if target.startswith("/"):
            return None
        here: _HostNode | None = folder
        for each in target.split("/"):
            if here is None or not here.is_folder:
                return None
            if each == "..":
                here = here.up  # None above the root
            elif each not in ("", "."):
                here = self._resolved(here, each, links - 1)
        return here

    def children(self, caller: Caller) -> Iterable[Node]:
        with _ERRORS:
            folder = self.host.opened_directory()
            found = [(name, kind) for name, _, kind in folder.entries()]
        for name, kind in found:
            if _UNSAYABLE.search(name):
                continue
            try:
                if kind == host_stat.S_IFLNK:
                    yield self.child(caller, name)
                elif kind:
                    with _ERRORS:
                        yield _Listed(self, name, os.stat(name, dir_fd=folder.fd, follow_symlinks=False))
            except Error:
                continue

    # -- files -------------------------------------------------------------------------------------------------------

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        if self.is_folder:
            return None
        now = self._now()
        bits, key = self._known.bits(now), (now.st_dev, now.st_ino)
        truncates = mode & OTRUNC and not bits & DMAPPEND
        flags = _FLAGS[mode & 3] | (os.O_TRUNC if truncates else 0)
        if (flags & ~os.O_RDONLY or mode & OTRUNC) and not self.host.tree.writable:
            raise Error(Eperm)
        if bits & DMEXCL and key in self._known.taken:
            raise Error("exclusive use file already open")
        with _ERRORS:
            file = self.host.open(flags)
            assert isinstance(file, HostFile)
            if not headroom.is_spare(file.fd):
                file.close()
                raise Error(Enofd)
            if self._wanted is not None and self._wanted & 0o600 != 0o600:
                os.fchmod(file.fd, self._wanted)
            self._wanted = None
        if bits & DMEXCL:
            self._known.taken[key] = file
        chan.state = file
        self._known.let_use(chan, file, mode)
        return None

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        with _ERRORS:
            return os.pread(chan.state.fd, min(count, _MOST), offset)

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        done = 0
        if self.host.tree.writable and self._known.bits(now := self._now()) & DMAPPEND:
            offset = now.st_size
        with _ERRORS:
            while done < len(data):
                done += os.pwrite(chan.state.fd, data[done:], offset + done)
        chan.state.changed(offset, done)
        return done

    def close(self, chan: Chan) -> None:
        if chan.state is not None and isinstance(chan.state, HostFile):
            self._known.let_go(chan.state)
            chan.state.close()
        if chan.flags & ORCLOSE and self.up is not None:
            try:
                self._remove()
            except Error:
                return

    def create(self, caller: Caller, name: str, mode: int, perm: int) -> Node:
        with _ERRORS:
            # Of the permissions only those that the directory has, too (open(5)).
            most = self._now().st_mode
            if perm & DMDIR:
                self.host.make(name, host_stat.S_IFDIR, perm & (~0o777 | most & 0o777) & 0o777)
            else:
                allowed = perm & (~0o666 | most & 0o666) & 0o777
                self.host.make(name, host_stat.S_IFREG, allowed | 0o600)
            found = self.host.child(name)
        if not isinstance(found, HostNode):
            raise Error(Enonexist)
        made = _HostNode(found, name, self, self._known)
        if not perm & DMDIR:
            self._known.set_bits(found.seen, perm)
            made._wanted = allowed
        return made

    def remove(self, caller: Caller) -> None:
        # Also where the host would not mind, because it may do anything.
        if self.up is not None and not self.up.permits(caller, 2):
            raise Error(Eperm)
        self._remove()

    def _remove(self) -> None:
        if self.up is None:
            raise Error(Eperm)
        with _ERRORS:
            there = self.up.host.child(self.name)
            if there is None:
                raise Error(Enonexist)
            if isinstance(there, HostNode):
                last = there.seen.st_nlink == 1
                if there.kind != host_stat.S_IFLNK and not os.path.samestat(there.seen, self.host.seen):
                    raise Error(Enonexist)  # something else has this name now
            self.up.host.remove(self.name, there)
            if isinstance(there, HostNode) and last:
                self._known.set_bits(there.seen, 0)

    def wstat(self, caller: Caller, changes: Dir) -> None:
        as_it_is = Dir()
        renames = bool(changes.name) and changes.name != self.name
        if renames and (self.up is None or "/" in changes.name or changes.name in (".", "..")):
            raise Error(Eperm)
        if renames and self.up is not None and not self.up.permits(caller, 2):
            raise Error(Eperm)
        if changes.mode != as_it_is.mode and bool(changes.mode & DMDIR) != self.is_folder:
            raise Error(Eperm)
        if changes.length != as_it_is.length and (self.is_folder or changes.length >= 1 << 63):
            raise Error(Eperm)
        with _ERRORS:
            self.host.changeable()
            if renames:
                assert self.up is not None
                rename_to_new(self.up.host.changeable(), self.name, changes.name)
                self.name = changes.name
            if changes.mode != as_it_is.mode:
                self.host.chmod(changes.mode & 0o777)
                if not self.is_folder:
                    self._known.set_bits(self._now(), changes.mode)
            if changes.length != as_it_is.length:
                os.truncate(self.host.host_name(), changes.length)
            accessed = changes.atime * 10**9 if changes.atime != as_it_is.atime else None
            modified = changes.mtime * 10**9 if changes.mtime != as_it_is.mtime else None
            if accessed is not None or modified is not None:
                self.host.utime(accessed, modified)


class _Listed(Node):
    """A file in a directory that is being read: all that is asked of it is what it is."""

    def __init__(self, folder: _HostNode, name: str, found: os.stat_result) -> None:
        self.name = name
        self._folder = folder
        self._found = found

    def stat(self, caller: Caller) -> Dir:
        return self._folder.entry(caller, self.name, self._found)


class HostTrees(NodeDevice):
    """The device: ``trees`` by name; that without a name is the root that programs see."""

    def __init__(self, trees: Mapping[str, HostTree], user: str) -> None:
        super().__init__("U")
        self._trees = list(trees.items())
        self.names = [name for name in trees if name]
        self._known = _Known(user)

    def stamp(self, chan: Chan) -> Hashable | None:
        node = self.node(chan)
        assert isinstance(node, _HostNode)
        return node.stamp()

    def root(self, caller: Caller, spec: str) -> tuple[Node, int]:
        for number, (name, tree) in enumerate(self._trees):
            if name == spec:
                return _HostNode(tree.root(View()), "/", None, self._known), _INSTANCES + number
        raise Error(Ebadspec)

    @property
    def kind(self) -> str:
        """Ordinary files, as those of a file server."""
        return SERVED
