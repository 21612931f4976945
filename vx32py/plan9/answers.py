"""Native answers to calls that need no decision: pread and pwrite on plain files, nsec (see :mod:`vx32py._native`).

A descriptor can be read and written without Python where its channel has a descriptor of the host's, :attr:`Chan.host`: a
file of a granted tree, /dev/null, /dev/zero. What may be done is what the channel was opened for; its offset is the position
of the host's descriptor, so that it does not matter who answers. What an answer finds not to be plain it leaves to the
handler.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vx32py._native import LASTING, READ, WRITE, NativeAnswers
from vx32py.plan9.chan import ORDWR, OREAD, OWRITE, Chan

if TYPE_CHECKING:
    from vx32py._clock import Clock
    from vx32py._native import Page
    from vx32py.plan9.calls.table import Plan9Calls
    from vx32py.plan9.groups import Channel, FdGroup

_RIGHTS: Final = {OREAD: READ, OWRITE: WRITE, ORDWR: READ | WRITE}


class Plan9Answers(NativeAnswers):
    """The native answers of one process, whose descriptors are ``fds``."""

    def __init__(self, page: Page, table: Plan9Calls, clock: Clock, tally: dict[str, int], fds: FdGroup) -> None:
        super().__init__(page, table, clock, (0, 0), tally)
        self._fds = fds
        self.watch(fds)

    def watch(self, fds: FdGroup) -> None:
        """It has these descriptors from now on."""
        self._fds.watchers.discard(self)
        for fd in tuple(self._granted):
            self.channel_changed(fd, None)
        self._fds = fds
        fds.watchers.add(self)
        for fd, chan in fds:
            self.channel_changed(fd, chan)

    def channel_changed(self, fd: int, chan: Channel | None) -> None:
        """A descriptor leads to a channel from now on, or to none."""
        if fd in self._granted:
            self._granted.remove(fd)
            self.page.revoke(fd)
        if not isinstance(chan, Chan) or chan.host is None or chan.speaks_9p:
            return
        host = chan.host
        self._granted.add(fd)
        host.users.add(self)
        self.page.grant(fd, host.fd, _RIGHTS[chan.mode] | (LASTING if host.lasting else 0), host.most)

    def withdraw(self, chan: Chan) -> None:
        """See HostUser."""
        for fd, there in self._fds:
            if there is chan:
                self.channel_changed(fd, None)

    def retire(self) -> None:
        """There are no calls any more: another program, or none."""
        self._fds.watchers.discard(self)
        super().retire()
