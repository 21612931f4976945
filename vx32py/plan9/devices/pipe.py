"""``#|``: pipes (pipe(3)), two queues of what was written, in both directions.

A read gives what one write has written, or a part of it. When one end is closed the other reads its rest and then nothing;
who writes to it gets an error, and a note.
"""

from __future__ import annotations

import gc
import itertools
from collections import deque
from collections.abc import Iterable
from typing import Final

from vx32py._wait import WouldBlock
from vx32py.plan9.account import Account
from vx32py.plan9.chan import DMDIR, Caller, Chan
from vx32py.plan9.devices.nodes import Node, NodeDevice
from vx32py.plan9.errors import Ehungup, Enomem, Error

#: So much is in a queue before its writers wait (conf.pipeqsize), and more than that is not in one piece (Maxatomic).
QUEUE_BYTES: Final = 256 << 10
MOST_ATOMIC: Final = 64 << 10
#: Each piece counts as so many bytes more: even empty ones need memory.
_OVERHEAD: Final = 64
#: So often one may read nothing from a pipe whose other end is closed (qread).
_MOST_ENDS: Final = 3
MOST_PIPES: Final = 20_000


class _Queue:
    """What was written at one end, and not been read at the other one yet."""

    def __init__(self, account: Account) -> None:
        self.pieces: deque[bytes] = deque()
        self._account = account
        self.size = 0
        self.closed = False
        self.ends = 0

    @property
    def is_full(self) -> bool:
        return self.size + _OVERHEAD * len(self.pieces) >= QUEUE_BYTES

    def can_read(self) -> bool:
        return bool(self.pieces) or self.closed

    def can_write(self) -> bool:
        return self.closed or not self.is_full

    def get(self, count: int) -> bytes:
        if not self.pieces:
            if not self.closed:
                raise WouldBlock(self.can_read)
            self.ends += 1
            if self.ends > _MOST_ENDS:
                raise Error(Ehungup)
            return b""
        piece = self.pieces.popleft()
        if len(piece) > count:
            self.pieces.appendleft(piece[count:])
            piece = piece[:count]
            self._account.give(len(piece))
        else:
            self._account.give(len(piece) + _OVERHEAD)
        self.size -= len(piece)
        return piece

    def put(self, data: bytes) -> None:
        starts = range(0, len(data) or 1, MOST_ATOMIC)
        self._account.take(len(data) + _OVERHEAD * len(starts))
        for start in starts:
            self.pieces.append(data[start : start + MOST_ATOMIC])
        self.size += len(data)

    def clear(self) -> None:
        self._account.give(self.size + _OVERHEAD * len(self.pieces))
        self.pieces.clear()
        self.size = 0


class _End(Node):
    """``data`` or ``data1``: reads what the other one writes."""

    def __init__(self, name: str, root: _PipeRoot) -> None:
        super().__init__(name, 0o600)
        self.root = root
        self.incoming = _Queue(root.account)
        self.other: _End
        self.users = 0

    @property
    def length(self) -> int:
        return self.incoming.size

    def parent(self, caller: Caller) -> Node:
        return self.root

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        self.users += 1
        return None

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        return self.incoming.get(count)

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        queue = self.other.incoming
        if queue.closed:
            if not chan.speaks_9p:
                caller.note("sys: write on closed pipe")
            raise Error(Ehungup)
        if queue.is_full:
            raise WouldBlock(queue.can_write)
        queue.put(data)
        return len(data)

    def close(self, chan: Chan) -> None:
        self.users -= 1
        if self.users:
            return
        # What this end has written can still be read; what was written to it cannot.
        self.other.incoming.closed = self.incoming.closed = True
        self.incoming.clear()
        if not self.other.users:
            for queue in (self.incoming, self.other.incoming):  # as good as new
                queue.clear()
                queue.closed, queue.ends = False, 0


class _PipeRoot(Node):
    def __init__(self, device: Pipes) -> None:
        super().__init__("#|", 0o500 | DMDIR)
        self.account = device.account
        self.ends = (_End("data", self), _End("data1", self))
        self.ends[0].other, self.ends[1].other = self.ends[1], self.ends[0]
        self._device = device
        device.count += 1

    def __del__(self) -> None:
        self._device.count -= 1

    def children(self, caller: Caller) -> Iterable[Node]:
        return self.ends


class Pipes(NodeDevice):
    """The device: each attach is another pipe."""

    def __init__(self, account: Account) -> None:
        super().__init__("|")
        self.account = account
        self._instances = itertools.count(1)
        self.count = 0

    def root(self, caller: Caller, spec: str) -> tuple[Node, int]:
        if self.count >= MOST_PIPES:
            gc.collect()  # those that nobody has are still in each other's hands
        if self.count >= MOST_PIPES:
            raise Error(Enomem)
        return _PipeRoot(self), next(self._instances)
