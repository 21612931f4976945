"""Serving the name space: to who is connected, or to everybody who connects."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING, Final

from vx32py.plan9 import naming
from vx32py.plan9.errors import Error
from vx32py.plan9.ninep.server import Export
from vx32py.plan9.waiting import until

if TYPE_CHECKING:
    from vx32py.plan9.host import Host

#: So many clients of one listener are served at a time; more wait until one has gone.
MOST_CLIENTS: Final = 64


class Listener:
    """A listening socket; each client that connects is served what ``host`` sees at ``root``."""

    def __init__(self, host: Host, listening: socket.socket, root: str, *, writable: bool) -> None:
        self._host = host
        self._socket = listening
        self._root = root
        self._writable = writable
        self.exports: list[Export] = []
        self.ended = False
        listening.setblocking(False)
        self._accepting = self._accept()
        host.view.attendants.start(self._accepting)

    async def _accept(self) -> None:
        try:
            while True:
                await until(self._can_accept, fds=[(self._socket.fileno(), select.POLLIN)])
                try:
                    client, _ = self._socket.accept()
                except OSError:
                    continue  # it has gone again
                self.exports.append(_served(self._host, client.detach(), self._root, writable=self._writable))
        finally:
            self.ended = True
            self._socket.close()
            for export in self.exports:
                export.close()

    def _can_accept(self) -> bool:
        self.exports = [export for export in self.exports if not export.ended]
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return len(self.exports) < MOST_CLIENTS and bool(poll.poll(0))

    def close(self) -> None:
        """Listen no more, and serve nobody any more."""
        if not self.ended:
            self._host.view.attendants.stop(self._accepting)


def export(host: Host, fd: int, root: str, *, writable: bool) -> Export | Listener:
    """Serve at a descriptor, which is closed at the end. Raises Error."""
    try:
        if not host.do(naming.find(host, root)).is_directory:
            raise Error(f"'{root}' not a directory")  # noqa: TRY301
    except Error:
        os.close(fd)
        raise
    try:
        connection = socket.socket(fileno=fd)
        listens = bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # no socket
        return _served(host, fd, root, writable=writable)
    if listens:
        return Listener(host, connection, root, writable=writable)
    return _served(host, connection.detach(), root, writable=writable)


def _served(host: Host, fd: int, root: str, *, writable: bool) -> Export:
    chan = host.stream(fd, owned=True)
    try:
        served = Export(host, chan, root, writable=writable)
    finally:
        chan.close()
    served.start()
    return served
