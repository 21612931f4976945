"""``#|``: pipes (pipe(3)), two queues of what was written, in both directions.

A read gives what one write has written, or a part of it. When one end is closed the other reads its rest and then nothing;
who writes to it gets an error, and a note.
"""

from __future__ import annotations

import itertools
import time
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
_ENDS: Final = ("data", "data1")


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


class _Pipe:
    """The two queues, each by the number of the end that reads it; how many have opened each end, and when it was made.

    Files refer to it, but it to none: what nobody has any more goes at once.
    """

    def __init__(self, device: Pipes) -> None:
        self.queues = (_Queue(device.account), _Queue(device.account))
        self.users = [0, 0]
        self.made = int(time.time())
        self._device = device
        device.count += 1

    def __del__(self) -> None:
        self._device.count -= 1


class _End(Node):
    """``data`` or ``data1``: reads what the other one writes."""

    def __init__(self, pipe: _Pipe, number: int) -> None:
        super().__init__(_ENDS[number], 0o600, path=1 + number)
        self.atime = self.mtime = pipe.made
        self.incoming, self.outgoing = pipe.queues[number], pipe.queues[1 - number]
        self._pipe, self._number = pipe, number

    @property
    def length(self) -> int:
        return self.incoming.size

    def parent(self, caller: Caller) -> Node:
        return _PipeRoot(self._pipe)

    def open(self, caller: Caller, chan: Chan, mode: int) -> Chan | None:
        self._pipe.users[self._number] += 1
        return None

    def read(self, caller: Caller, chan: Chan, count: int, offset: int) -> bytes:
        return self.incoming.get(count)

    def write(self, caller: Caller, chan: Chan, data: bytes, offset: int) -> int:
        queue = self.outgoing
        if queue.closed:
            if not chan.speaks_9p:
                caller.note("sys: write on closed pipe")
            raise Error(Ehungup)
        if queue.is_full:
            raise WouldBlock(queue.can_write)
        queue.put(data)
        return len(data)

    def close(self, chan: Chan) -> None:
        users = self._pipe.users
        users[self._number] -= 1
        if users[self._number]:
            return
        # What this end has written can still be read; what was written to it cannot.
        self.outgoing.closed = self.incoming.closed = True
        self.incoming.clear()
        if not any(users):
            for queue in (self.incoming, self.outgoing):  # as good as new
                queue.clear()
                queue.closed, queue.ends = False, 0


class _PipeRoot(Node):
    def __init__(self, pipe: _Pipe) -> None:
        super().__init__("#|", 0o500 | DMDIR, path=0)
        self.atime = self.mtime = pipe.made
        self._pipe = pipe

    def children(self, caller: Caller) -> Iterable[Node]:
        return [_End(self._pipe, number) for number in range(len(_ENDS))]


class Pipes(NodeDevice):
    """The device: each attach is another pipe."""

    def __init__(self, account: Account) -> None:
        super().__init__("|")
        self.account = account
        self._instances = itertools.count(1)
        self.count = 0

    def root(self, caller: Caller, spec: str) -> tuple[Node, int]:
        if self.count >= MOST_PIPES:
            raise Error(Enomem)
        return _PipeRoot(_Pipe(self)), next(self._instances)
