"""TCP: connections, and places to call."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Final

from vx32py.plan9.devices.ip.addresses import of_host
from vx32py.plan9.devices.ip.conversation import (
    ANNOUNCED,
    CONNECTED,
    CONNECTING,
    HUNGUP,
    IDLE,
    MOST_READ,
    Conversation,
    error_of,
    is_ready,
    kept,
)  # fmt: skip
from vx32py.plan9.errors import Error


class Tcp(Conversation):
    """A connection, or a place to call."""

    protocol = "tcp"
    kind = socket.SOCK_STREAM
    _NAMES: Final = {
        IDLE: "Closed", CONNECTING: "Syn_sent", CONNECTED: "Established", ANNOUNCED: "Listen", HUNGUP: "Closed",
    }  # fmt: skip

    def status(self) -> str:
        return (
            f"{self._NAMES[self.state]} qin 0 qout 0 rq 0.0 srtt 0 mdev 0 cwin 65535 swin 65535>>0 rwin 65535>>0 "
            "timer.start 10 timer.count 10 rerecv 0 katimer.start 200 katimer.count 0\n"
        )

    def setting(self, word: str, arguments: list[str]) -> bool:
        if word == "keepalive":
            if self.socket is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return True
        if word == "nodelay":
            if self.socket is not None:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return True
        return word == "tcpporthogdefense" or super().setting(word, arguments)

    def accept(self, other: Callable[[], Conversation]) -> Conversation:
        if self.state != ANNOUNCED or self.socket is None:
            raise Error("listen hungup" if self.state == HUNGUP else "not announced")
        if not is_ready(self.socket, select.POLLIN):
            raise self.wait(self.socket, select.POLLIN)
        made = other()
        try:
            host, name = self.socket.accept()
        except OSError as error:
            made.close()
            if isinstance(error, BlockingIOError | ConnectionAbortedError):
                raise self.wait(self.socket, select.POLLIN) from None
            raise error_of(error) from None
        try:
            made.socket, made.state, made.remote = kept(host), CONNECTED, of_host(name)
        except Error:
            made.close()
            raise
        return made

    def receive(self, count: int) -> bytes:
        if self.state == HUNGUP:
            return b""
        host = self.flowing(CONNECTED)
        try:
            return host.recv(min(count, MOST_READ))
        except BlockingIOError:
            raise self.wait(host, select.POLLIN) from None
        except OSError as error:
            raise error_of(error) from None

    def send(self, data: bytes) -> int:
        host = self.flowing(CONNECTED)
        try:
            return host.send(data)
        except BlockingIOError:
            raise self.wait(host, select.POLLOUT) from None
        except OSError as error:
            raise error_of(error) from None
