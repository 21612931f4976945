"""Devices made of nodes: objects that are files and directories.

A :class:`Node` is a file; a subclass says what reading, writing and so on mean. Methods of nodes are plain functions: one that
has to wait raises :class:`WouldBlock` before it has changed anything, and is called again.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from vx32py.plan9.chan import (
    DMDIR,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    SERVED,
    Caller,
    Chan,
    Device,
    Qid,
    Walked,
)
from vx32py.plan9.errors import Ebadspec, Efilename, Eisdir, Enonexist, Enotdir, Eperm, Error, Eshort, Etoolong
from vx32py.plan9.stat import Dir
from vx32py.plan9.waiting import patiently

if TYPE_CHECKING:
    from vx32py.plan9.stat import Dir as Changes

#: What each way to open a file needs: read 4, write 2, execute 1.
_NEEDED: Final = {OREAD: 4, OWRITE: 2, ORDWR: 6, OEXEC: 1}
#: No file has a longer name, nor a longer group: what counts little must not need much.
LONGEST_NAME: Final = 255
_numbers = itertools.count(1)


class Node:
    """A file: ``name``, ``qid``, ``mode`` with its DM bits, owner and group (None: whoever the caller is), times."""

    def __init__(
        self,
        name: str,
        mode: int = 0o444,
        *,
        path: int | None = None,
        owner: str | None = None,
        group: str | None = None,
    ) -> None:
        self.name = name
        self.mode = mode
        self.owner = owner
        self.group = group
        self.modifier = owner
        self.atime = self.mtime = int(time.time())
        self.qid = Qid(next(_numbers) if path is None else path, 0, mode >> 24)

    @property
    def length(self) -> int:
        """How many bytes it has, as far as that can be told."""
        return 0

    @property
    def is_folder(self) -> bool:
        """Whether it is a directory."""
        return bool(self.mode & DMDIR)

    def stat(self, caller: Caller) -> Dir:
        """What it is."""
        owner = self.owner if self.owner is not None else caller.user
        group = self.group if self.group is not None else owner
        modifier = self.modifier if self.modifier is not None else owner
        return Dir(self.name, self.qid, self.mode, self.atime, self.mtime, self.length, owner, group, modifier)

    # -- directories -------------------------------------------------------------------------------------------------

    def parent(self, caller: Caller) -> Node:
        """The directory that it is in; the root is in itself."""
        del caller
        return self

    def child(self, caller: Caller, name: str) -> Node:
        """What has this name in a directory. Raises Error."""
        for node in self.children(caller):
            if node.name == name:
                return node
        raise Error(Enonexist)

    def children(self, caller: Caller) -> Iterable[Node]:
        """What is in a directory."""
        del caller
        return ()

    def create(self, caller: Caller, name: str, mode: int, perm: int) -> Node:
        """Make something in a directory. Raises Error."""
        del caller, name, mode, perm
        raise Error(Eperm)

    # -- files -------------------------------------------------------------------------------------------------------

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        """It is opened, which the caller may do: another channel, to be used instead, or None. Raises Error."""
        del caller, chan, mode
        return None

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        """Up to ``count`` bytes. Raises Error."""
        del caller, chan, count, offset
        raise Error(Eperm)

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        """Write; how much. Raises Error."""
        del caller, chan, data, offset
        raise Error(Eperm)

    def close(self, chan: Chan) -> None:
        """A channel on which it was open ends."""
        del chan

    def remove(self, caller: Caller) -> None:
        """Remove it. Raises Error."""
        del caller
        raise Error(Eperm)

    def wstat(self, caller: Caller, changes: Changes) -> None:
        """Change what it is. Raises Error."""
        del caller, changes
        raise Error(Eperm)

    def permits(self, caller: Caller, needed: int) -> bool:
        """Whether the caller may read (4), write (2), execute (1) it."""
        owner = self.owner if self.owner is not None else caller.user
        shift = 6 if caller.user == owner else 3 if caller.user == (self.group or owner) else 0
        return (self.mode >> shift) & needed == needed


class Folder(Node):
    """A directory whose files are objects that stay: ``nodes`` by name."""

    def __init__(self, name: str, mode: int = 0o555, *, up: Folder | None = None, **options: Any) -> None:
        super().__init__(name, mode | DMDIR, **options)
        self.nodes: dict[str, Node] = {}
        self.up = up

    def parent(self, caller: Caller) -> Node:
        return self.up if self.up is not None else self

    def child(self, caller: Caller, name: str) -> Node:
        node = self.nodes.get(name)
        if node is None:
            raise Error(Enonexist)
        return node

    def children(self, caller: Caller) -> Iterable[Node]:
        return tuple(self.nodes.values())

    def add(self, node: Node) -> Node:
        """Put a file here: that file."""
        self.nodes[node.name] = node
        if isinstance(node, Folder):
            node.up = self
        return node


class TextFile(Node):
    """A file whose content is made when it is read, and which may take what is written to it."""

    def __init__(
        self,
        name: str,
        content: Callable[[Caller], str | bytes] | None = None,
        take: Callable[[Caller, bytes], None] | None = None,
        mode: int | None = None,
        **options: Any,
    ) -> None:
        if mode is None:
            mode = (0o444 if content is not None else 0) | (0o220 if take is not None else 0)
        super().__init__(name, mode, **options)
        self.content = content
        self.take = take

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        if self.content is None:
            return super().read(caller, chan, count, offset)
        if offset == 0 or chan.state is None:  # what is read piecewise does not change meanwhile
            found = self.content(caller)
            chan.state = found.encode(errors="surrogateescape") if isinstance(found, str) else found
        piece: bytes = chan.state[offset : offset + count]
        return piece

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        if self.take is None:
            return super().write(caller, chan, data, offset)
        self.take(caller, data)
        return len(data)


class NodeDevice(Device):
    """A device made of nodes; ``root(caller, spec)`` makes or finds the first one, and says which instance it is of."""

    is_plain = True

    def __init__(self, letter: str) -> None:
        self.letter = letter

    def root(self, caller: Caller, spec: str) -> tuple[Node, int]:
        """The root of an instance, and its number. Raises Error."""
        raise NotImplementedError

    async def attach(self, caller: Caller, spec: str) -> Chan:
        node, dev = self.root(caller, spec)
        return Chan(self, dev, node.qid, node)

    async def walk(self, caller: Caller, chan: Chan, names: Sequence[str]) -> Walked:
        node = self.node(chan)
        qids: list[Qid] = []
        for name in names:
            try:
                node = await patiently(_step, caller, node, name)
            except Error:
                if not qids:
                    raise
                return Walked(None, qids)
            qids.append(node.qid)
        return Walked(Chan(self, chan.dev, qids[-1] if qids else node.qid, node, chan.path), qids)

    @staticmethod
    def node(chan: Chan) -> Node:
        """The node of a channel."""
        node: Node = chan.aux
        return node

    async def open(self, caller: Caller, chan: Chan, mode: int) -> Chan:
        node = self.node(chan)
        needed = _NEEDED[mode & 3] | (2 if mode & OTRUNC else 0)
        if not node.permits(caller, needed):
            raise Error(Eperm)
        if mode & ORCLOSE and self.kind == SERVED and not node.parent(caller).permits(caller, 2):
            raise Error(Eperm)  # it is to be removed
        if node.is_folder and (mode & 3 not in (OREAD, OEXEC) or mode & (OTRUNC | ORCLOSE)):
            raise Error(Eisdir if mode & 3 == OEXEC or self.kind == SERVED else Eperm)
        other = await patiently(node.open, caller, chan, mode)
        if other is not None:
            return other
        chan.qid = node.qid
        return chan.opened(mode)

    async def create(self, caller: Caller, chan: Chan, name: str, mode: int, perm: int) -> Chan:
        folder = self.node(chan)
        if not folder.permits(caller, 2):
            raise Error(Eperm)
        if perm & DMDIR and mode & 3 not in (OREAD, OEXEC):
            raise Error(Eperm)
        check_length(name)
        node = await patiently(folder.create, caller, name, mode, perm)
        made = Chan(self, chan.dev, node.qid, node, chan.path)
        other = await patiently(node.open, caller, made, mode & ~OTRUNC)
        return other if other is not None else made.opened(mode)

    async def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        node = self.node(chan)
        if node.is_folder:
            return await patiently(self._entries, caller, chan, count, offset)
        return await patiently(node.read, caller, chan, count, offset)

    def read_plainly(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        return self.node(chan).read(caller, chan, count, offset)

    def _entries(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        """Whole entries of a directory."""
        if offset == 0 or chan.state is None:
            chan.state = _Listing(iter(self.node(chan).children(caller)))
        listing: _Listing = chan.state
        found = bytearray()
        while True:
            entry = listing.next(lambda node: self.described(caller, chan, node))
            if entry is None:
                break
            if len(found) + len(entry) > count:
                listing.put_back(entry)
                if not found:
                    raise Error(Eshort)
                break
            found += entry
        return bytes(found)

    def described(self, caller: Caller, chan: Chan, node: Node) -> bytes | None:
        """An entry, with the kernel's type and instance; None for what has gone meanwhile."""
        try:
            entry = node.stat(caller)
            entry.type, entry.dev = ord(self.kind), chan.dev
            return entry.pack()
        except Error:
            return None

    async def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        node = self.node(chan)
        if node.is_folder:
            raise Error(Eisdir)
        return await patiently(node.write, caller, chan, data, offset)

    def write_plainly(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        return self.node(chan).write(caller, chan, data, offset)

    async def stat(self, caller: Caller, chan: Chan) -> Dir:
        entry = await patiently(self.node(chan).stat, caller)
        entry.type, entry.dev = ord(self.kind), chan.dev
        return entry

    async def wstat(self, caller: Caller, chan: Chan, changes: Dir) -> None:
        node = self.node(chan)
        for name in (changes.name, changes.uid, changes.gid, changes.muid):
            check_length(name)
        if changes.name != node.name and (changes.name in (".", "..") or "/" in changes.name):
            raise Error(Efilename)
        await patiently(node.wstat, caller, changes)

    async def remove(self, caller: Caller, chan: Chan) -> None:
        await patiently(self.node(chan).remove, caller)

    def clunk(self, chan: Chan) -> None:
        self.node(chan).close(chan)
        chan.state = None


def check_length(name: str) -> None:
    """Whether a file may have this name. Raises Error."""
    if len(name) > LONGEST_NAME:
        raise Error(Etoolong)


def _step(caller: Caller, node: Node, name: str) -> Node:
    """One name further. Raises Error."""
    if not node.is_folder:
        raise Error(Enotdir)
    if not node.permits(caller, 1):
        raise Error(Eperm)
    if name == "..":
        return node.parent(caller)
    return node if name == "." else node.child(caller, name)


class _Listing:
    """A directory that is being read."""

    __slots__ = ("_kept", "_nodes")

    def __init__(self, nodes: Iterator[Node]) -> None:
        self._nodes = nodes
        self._kept: bytes | None = None

    def next(self, describe: Callable[[Node], bytes | None]) -> bytes | None:
        """The next entry; None at the end."""
        if self._kept is not None:
            entry, self._kept = self._kept, None
            return entry
        for node in self._nodes:
            found = describe(node)
            if found is not None:
                return found
        return None

    def put_back(self, entry: bytes) -> None:
        """It comes next."""
        self._kept = entry


class SingleDevice(NodeDevice):
    """A device with one tree."""

    def __init__(self, letter: str, root: Node) -> None:
        super().__init__(letter)
        self._root = root

    def root(self, caller: Caller, spec: str) -> tuple[Node, int]:
        if spec:
            raise Error(Ebadspec)
        return self._root, 0
