"""``#s``: channels by name (srv(3)): who writes the number of a descriptor to a new file leaves it there for others to open."""

from __future__ import annotations

import time
from typing import Final

from vx32py.plan9.chan import DMDIR, ORCLOSE, ORDWR, OTRUNC, OWRITE, Caller, Chan, open_mode
from vx32py.plan9.devices.nodes import Folder, Node, SingleDevice, check_length
from vx32py.plan9.errors import Ebadarg, Ebadusefd, Eexist, Eisdir, Enomem, Enonexist, Eperm, Error, Eshutdown
from vx32py.plan9.stat import Dir

_MOST: Final = 10_000
_MOST_NUMBER: Final = 32


class _Service(Node):
    def __init__(self, name: str, mode: int, owner: str, folder: _Services) -> None:
        super().__init__(name, mode & 0o777, owner=owner)
        self._folder = folder
        self.chan: Chan | None = None

    def parent(self, caller: Caller) -> Node:
        return self._folder

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        if mode & OTRUNC:
            raise Error(Eexist)
        if mode & ORCLOSE:
            raise Error(Eperm)
        if self.chan is None:
            if open_mode(mode) != OWRITE or chan.state != "new":
                raise Error(Eshutdown)
            return None
        if open_mode(mode) != self.chan.mode and self.chan.mode != ORDWR:
            raise Error(Eperm)
        return self.chan.incref()

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        if self.chan is not None:
            raise Error(Ebadusefd)
        if len(data) >= _MOST_NUMBER:
            raise Error(Ebadarg)
        digits = bytes(data.split(b"\0")[0]).strip().split()[:1]
        if not digits or not digits[0].isdigit():
            raise Error(Ebadarg)
        there = caller.fds.get(int(digits[0]))
        if not isinstance(there, Chan):
            raise Error(Ebadusefd)
        if there.device.letter == "s" and there.aux is self:
            raise Error(Ebadusefd)
        self.chan = there.incref()
        return len(data)

    def remove(self, caller: Caller) -> None:
        if self._folder.nodes.get(self.name) is not self:
            raise Error(Enonexist)
        if not self.permits(caller, 2):
            raise Error(Eperm)
        del self._folder.nodes[self.name]
        chan, self.chan = self.chan, None
        if chan is not None:
            chan.close()

    def wstat(self, caller: Caller, changes: Dir) -> None:
        if not self.permits(caller, 2):
            raise Error(Eperm)
        untouched = Dir()
        if changes.name and changes.name != self.name:
            if self._folder.nodes.get(self.name) is not self:
                raise Error(Enonexist)
            if changes.name in self._folder.nodes:
                raise Error(Eexist)
            del self._folder.nodes[self.name]
            self.name = changes.name
            self._folder.nodes[self.name] = self
        if changes.mode != untouched.mode:
            self.mode = changes.mode & 0o777
        self.mtime = int(time.time())


class _Services(Folder):
    def create(self, caller: Caller, name: str, mode: int, perm: int) -> Node:
        if open_mode(mode) != OWRITE:
            raise Error(Eperm)
        if perm & DMDIR:
            raise Error(Eisdir)
        if name in self.nodes:
            raise Error(Eexist)
        if len(self.nodes) >= _MOST:
            raise Error(Enomem)
        node = self.nodes[name] = _Service(name, perm, caller.user, self)
        return node


class Services(SingleDevice):
    """The device: one for all processes of a kernel."""

    def __init__(self) -> None:
        self.folder = _Services("#s", 0o777)
        super().__init__("s", self.folder)

    async def create(self, caller: Caller, chan: Chan, name: str, mode: int, perm: int) -> Chan:
        check_length(name)
        node = self.folder.create(caller, name, mode, perm)
        made = Chan(self, chan.dev, node.qid, node, chan.path)
        made.state = "new"
        return made.opened(mode)

    def post(self, name: str, chan: Chan, owner: str) -> None:
        """Leave a channel of the host's there, of which this takes a reference."""
        if name in self.folder.nodes:
            raise Error(Eexist)
        node = self.folder.nodes[name] = _Service(name, 0o600, owner, self.folder)
        node.chan = chan.incref()

    def name_of(self, chan: Chan) -> str | None:
        """By which name a channel can be found, if it can."""
        for name, node in self.folder.nodes.items():
            if isinstance(node, _Service) and node.chan is chan:
                return f"#s/{name}"
        return None

    def close(self) -> None:
        """Let all go."""
        for node in tuple(self.folder.nodes.values()):
            if isinstance(node, _Service) and node.chan is not None:
                chan, node.chan = node.chan, None
                chan.close()
        self.folder.nodes.clear()
