"""``#k``: trees of files in memory; ``#kname`` is the tree with that name, which is made when it is first asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from vx32py.plan9.chan import DMAPPEND, DMDIR, DMEXCL, ORCLOSE, OTRUNC, SERVED, Caller, Chan, Qid
from vx32py.plan9.devices.nodes import Node, NodeDevice
from vx32py.plan9.errors import Ebadarg, Eexist, Enomem, Enonexist, Eperm, Error
from vx32py.plan9.stat import Dir

#: Of all trees of a kernel together: bytes, and each file and directory counts as so many.
MOST_BYTES: Final = 64 << 20
_OVERHEAD: Final = 512
_MOST_TREES: Final = 100
#: Apart from those of servers and of the host's trees.
_INSTANCES: Final = 0x4000_0000


class _Room:
    """How much may still be stored."""

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, count: int) -> None:
        if count > self.left:
            raise Error("file system full")
        self.left -= count


class _Ram(Node):
    def __init__(self, name: str, mode: int, owner: str, up: _Folder | None, room: _Room) -> None:
        room.take(_OVERHEAD)
        super().__init__(name, mode, owner=owner)
        self.up = up
        self.room = room
        self.users = 0

    def parent(self, caller: Caller) -> Node:
        return self.up if self.up is not None else self

    def remove(self, caller: Caller) -> None:
        up = self.up
        if up is None or not up.permits(caller, 2):
            raise Error(Eperm)
        if up.files.get(self.name) is not self:
            raise Error(Enonexist)
        if isinstance(self, _Folder) and self.files:
            raise Error("directory not empty")
        del up.files[self.name]
        up.mtime = int(time.time())
        self.room.left += _OVERHEAD
        if not self.users:
            self.gone()

    def gone(self) -> None:
        """It is in no directory, and nobody has it open."""

    @property
    def is_there(self) -> bool:
        """Whether it is in its directory."""
        return self.up is None or self.up.files.get(self.name) is self

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        if self.mode & DMEXCL and self.users:
            raise Error("exclusive use file already open")
        self.users += 1
        chan.aux = self
        return None

    def close(self, chan: Chan) -> None:
        self.users -= 1
        if (
            chan.flags & ORCLOSE
            and self.up is not None
            and self.is_there
            and not (isinstance(self, _Folder) and self.files)
        ):
            del self.up.files[self.name]
            self.room.left += _OVERHEAD
        if not self.users and not self.is_there:
            self.gone()

    def wstat(self, caller: Caller, changes: Dir) -> None:
        as_it_is, owns = Dir(), caller.user == self.owner
        rename = bool(changes.name) and changes.name != self.name
        if rename:
            if self.up is None or not self.up.permits(caller, 2):
                raise Error(Eperm)
            if not self.is_there:
                raise Error(Enonexist)
            if changes.name in self.up.files:
                raise Error(Eexist)
        changed_mode = changes.mode != as_it_is.mode
        if changed_mode and (not owns or (changes.mode ^ self.mode) & DMDIR):
            raise Error(Eperm)
        if (changes.mtime != as_it_is.mtime or changes.gid not in ("", self.group or self.owner)) and not owns:
            raise Error(Eperm)
        if changes.length != as_it_is.length:
            if not self.permits(caller, 2):
                raise Error(Eperm)
            self.resize(changes.length)
        if rename:
            assert self.up is not None
            del self.up.files[self.name]
            self.name = changes.name
            self.up.files[self.name] = self
        if changed_mode:
            self.mode = changes.mode
            self.qid = self.qid._replace(type=changes.mode >> 24)
        if changes.gid:
            self.group = changes.gid
        if changes.mtime != as_it_is.mtime:
            self.mtime = changes.mtime

    def resize(self, length: int) -> None:
        """Have so many bytes. Raises Error."""
        del length
        raise Error(Eperm)


class _File(_Ram):
    def __init__(self, name: str, mode: int, owner: str, up: _Folder, room: _Room) -> None:
        super().__init__(name, mode, owner, up, room)
        self.content = bytearray()

    @property
    def length(self) -> int:
        return len(self.content)

    def _changed(self, user: str) -> None:
        self.mtime, self.modifier = int(time.time()), user
        self.qid = Qid(self.qid.path, self.qid.version + 1 & 0xFFFF_FFFF, self.qid.type)

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        super().open(caller, chan, mode)
        if mode & OTRUNC and self.content and not self.mode & DMAPPEND:
            self.resize(0)
            self._changed(caller.user)
        return None

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        return bytes(self.content[offset : offset + count])

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        if self.mode & DMAPPEND:
            offset = len(self.content)
        end = offset + len(data)
        if end > len(self.content):
            self.resize(end)
        self.content[offset:end] = data
        self._changed(caller.user)
        return len(data)

    def resize(self, length: int) -> None:
        more = length - len(self.content)
        self.room.take(more)
        if more > 0:
            self.content.extend(bytes(more))
        else:
            del self.content[length:]

    def gone(self) -> None:
        self.room.left += len(self.content)
        self.content.clear()


class _Folder(_Ram):
    def __init__(self, name: str, mode: int, owner: str, up: _Folder | None, room: _Room) -> None:
        super().__init__(name, mode | DMDIR, owner, up, room)
        self.files: dict[str, _Ram] = {}

    def child(self, caller: Caller, name: str) -> Node:
        found = self.files.get(name)
        if found is None:
            raise Error(Enonexist)
        return found

    def children(self, caller: Caller) -> Iterable[Node]:
        return tuple(self.files.values())

    def create(self, caller: Caller, name: str, mode: int, perm: int) -> Node:
        if not self.is_there:
            raise Error(Enonexist)
        if name in self.files:
            raise Error(Eexist)
        # Of the permissions only those that the directory has, too (open(5)).
        made: _Ram
        if perm & DMDIR:
            made = _Folder(name, perm & (~0o777 | self.mode & 0o777), caller.user, self, self.room)
        else:
            made = _File(name, perm & (~0o666 | self.mode & 0o666), caller.user, self, self.room)
        self.files[name] = made
        self.mtime = int(time.time())
        return made


class Ram(NodeDevice):
    """The device."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        super().__init__("k")
        self._trees: dict[str, _Folder] = {}
        self._room = _Room(most)

    def root(self, caller: Caller, spec: str) -> tuple[Node, int]:
        tree = self._trees.get(spec)
        if tree is None:
            if len(self._trees) >= _MOST_TREES:
                raise Error(Enomem)
            if len(spec) > 255:
                raise Error(Ebadarg)
            tree = self._trees[spec] = _Folder("/", 0o777, caller.user, None, self._room)
        return tree, _INSTANCES + list(self._trees).index(spec)

    @property
    def kind(self) -> str:
        """Ordinary files, as those of ramfs(4)."""
        return SERVED
