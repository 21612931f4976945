"""The host's side of ``programs/sockets.go``: plain sockets, in a thread."""

from __future__ import annotations

import socket
import threading
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_TIMEOUT: Final = 120.0
_SIZES: Final = (0, 1, 3_000_000)


class Peer:
    """Listens while it is a context; ``arguments`` say where."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_TIMEOUT)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the program is told."""
        host, port = self._listener.getsockname()
        return (f"{host}:{port}",)

    def _serve(self) -> None:
        try:
            guest, _ = self._listener.accept()
        except OSError:
            return
        with guest, guest.makefile("rw", encoding="utf-8", newline="\n") as lines:
            guest.settimeout(_TIMEOUT)
            try:
                verdict = self._converse(lines.readline, guest.sendall)
            except (OSError, ValueError) as error:
                verdict = str(error)
            guest.sendall(f"{verdict}\n".encode())

    @staticmethod
    def _converse(readline: Callable[[], str], send: Callable[[bytes], None]) -> str:
        if readline() != "hello, host\n":
            return "the guest does not say hello"
        send(b"hello, guest\n")
        port = int(readline())
        for size in _SIZES:
            data = bytes(number * number >> 3 & 0xFF for number in range(min(size, 1000))) * (size // 1000 or 1)
            data = data[:size]
            with socket.create_connection(("127.0.0.1", port), _TIMEOUT) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                while piece := connection.recv(100):
                    answer += piece
            if answer != f"{zlib.crc32(data):08x}".encode():
                return f"of {size} bytes the guest says {answer!r}"
        port = int(readline())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets:
            packets.settimeout(_TIMEOUT)
            for text in (b"one", b"x" * 1400, b"three"):
                packets.sendto(text, ("127.0.0.1", port))
                found, (_, where) = packets.recvfrom(4000)
                if found != b"back: " + text or where != port:
                    return f"to {text[:10]!r} the guest answers {found[:20]!r} from port {where}"
        return "all is well"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.close()
        self._thread.join(_TIMEOUT)
