"""Where waiting and moving bytes ends: no address that is not granted, no name of the host's, no signal for the host."""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import child
import pytest
from images import DATA, Caller
from io_programs import program

from vx32py import Sandbox, SystemCalls
from vx32py._network import Network

NUMBERS = {entry.name: entry.number for entry in SystemCalls.linux()}
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
STREAM, DGRAM, NONBLOCK = 1, 2, 0o4000


class Linux(Caller):
    """A caller that names calls."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox, linux=True)

    def named(self, name: str, *arguments: int) -> int:
        return self(NUMBERS[name], *arguments)

    def address(self, raw: bytes) -> tuple[int, int]:
        """Store an address; where, and how long it is."""
        return self.put(raw, DATA + 0x800), len(raw)


def inet(host: str, port: int) -> bytes:
    """struct sockaddr_in."""
    return struct.pack("<H", INET) + struct.pack(">H", port) + socket.inet_pton(INET, host) + bytes(8)


def inet6(host: str, port: int) -> bytes:
    """struct sockaddr_in6."""
    return struct.pack("<H", INET6) + struct.pack(">HI", port, 0) + socket.inet_pton(INET6, host) + bytes(4)


@pytest.fixture
def listeners() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two TCP servers of the host's on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        one.settimeout(30)
        other.settimeout(0)
        yield one, other


def test_only_what_is_granted_can_be_connected_to(listeners: tuple[socket.socket, socket.socket]) -> None:
    granted, refused = (server.getsockname()[1] for server in listeners)
    caller = Linux(Sandbox(engine="reference", timeout=60, network=Network.parse(f"127.0.0.1:{granted}/any")))
    with caller.process:
        tcp, tcp6 = caller.named("socket", INET, STREAM, 0), caller.named("socket", INET6, STREAM, 0)
        udp = caller.named("socket", INET, DGRAM, 0)
        for host in ("127.0.0.1", "0.0.0.0"):
            assert caller.named("connect", tcp, *caller.address(inet(host, refused))) == -errno.EACCES
        for host in ("::ffff:127.0.0.1", "::1", "::"):
            assert caller.named("connect", tcp6, *caller.address(inet6(host, refused))) == -errno.EACCES
        assert caller.named("connect", udp, *caller.address(inet("127.0.0.1", refused))) == -errno.EACCES
        assert caller.named("sendto", udp, DATA, 1, 0, *caller.address(inet("127.0.0.1", refused))) == -errno.EACCES
        assert caller.named("bind", tcp, *caller.address(inet("127.0.0.1", refused))) == -errno.EACCES
        assert caller.named("listen", tcp, 1) == -errno.EACCES
        assert caller.named("connect", tcp, *caller.address(inet("127.0.0.1", granted))) == 0
        caller.put(b"hello")
        assert caller.named("sendto", tcp, DATA, 5, 0, 0, 0) == 5
        peer, _ = listeners[0].accept()
        with peer:
            assert peer.recv(5, socket.MSG_WAITALL) == b"hello"
            peer.sendall(b"and back")
            caller.put(bytes(8))
            assert caller.named("recvfrom", tcp, DATA, 8, 0x100, 0, 0) == 8
            assert caller.get(8) == b"and back"
        with pytest.raises(BlockingIOError):
            listeners[1].accept()


def test_a_message_names_its_destination_and_it_is_refused_as_well() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        port = server.getsockname()[1]
        caller = Linux(Sandbox(engine="reference", timeout=60, network=Network.parse("127.0.0.1:1/udp")))
        with caller.process:
            udp = caller.named("socket", INET, DGRAM, 0)
            name, length = caller.address(inet("127.0.0.1", port))
            caller.put(struct.pack("<7I", name, length, DATA + 0x100, 1, 0, 0, 0))
            caller.put(struct.pack("<II", DATA, 4), DATA + 0x100)
            assert caller.named("sendmsg", udp, DATA, 0) == -errno.EACCES
            caller.put(struct.pack("<8I", name, length, DATA + 0x100, 1, 0, 0, 0, 0))
            assert caller.named("sendmmsg", udp, DATA, 1, 0) == -errno.EACCES
        with pytest.raises(BlockingIOError):
            server.recv(10)


def test_without_a_network_there_are_no_sockets_but_local_ones(engine_name: str) -> None:
    caller = Linux(Sandbox(engine=engine_name, timeout=60))
    with caller.process:
        assert caller.named("socket", INET, STREAM, 0) == -errno.EACCES
        assert caller.named("socket", INET6, DGRAM, 0) == -errno.EACCES
        assert caller.named("socket", INET, 3, 1) == -errno.EPERM
        assert caller.named("socket", NETLINK, 3, 0) == -errno.EAFNOSUPPORT
        assert caller.named("socket", UNIX, STREAM, 0) == 3
        caller.put(struct.pack("<3I", INET, STREAM, 0))
        assert caller.named("socketcall", 1, DATA) == -errno.EACCES
        assert caller.named("socketcall", 99, DATA) == -errno.EINVAL


def test_local_names_are_not_the_hosts() -> None:
    mine, theirs = f"\0vx32py-host-{os.getpid()}".encode(), f"\0vx32py-guest-{os.getpid()}".encode()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(mine)
        server.listen()
        server.settimeout(0)
        caller = Linux(Sandbox(engine="reference", timeout=60))
        with caller.process:
            guest = caller.named("socket", UNIX, STREAM, 0)
            assert caller.named("connect", guest, *caller.address(b"\1\0" + mine)) == -errno.ECONNREFUSED
            assert caller.named("bind", guest, *caller.address(b"\1\0" + theirs)) == 0
            assert caller.named("listen", guest, 1) == 0
            with pytest.raises(ConnectionRefusedError):
                client.connect(theirs)
        other = Linux(Sandbox(engine="reference", timeout=60))
        with pytest.raises(BlockingIOError):
            server.accept()
        with other.process:
            assert other.named("bind", other.named("socket", UNIX, STREAM, 0), *other.address(b"\1\0" + theirs)) == 0


def test_a_name_of_the_hosts_file_system_cannot_be_connected_to(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        caller = Linux(Sandbox(engine="reference", timeout=60, files={"/here": tmp_path}))
        with caller.process:
            guest = caller.named("socket", UNIX, STREAM, 0)
            assert caller.named("connect", guest, *caller.address(b"\1\0/here/s\0")) == -errno.ECONNREFUSED


@pytest.mark.parametrize("name", ["pipes", "local"])
def test_a_guest_that_writes_to_nobody_does_not_end_a_host_that_has_not_ignored_sigpipe(name: str) -> None:
    script = (
        "import signal, sys; signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "from vx32py import Sandbox\n"
        "result = Sandbox(timeout=60).run(sys.argv[1], stdin=open(sys.argv[1], 'rb').read())\n"
        "sys.exit(result.exit_code)"
    )
    command = [sys.executable, "-c", script, str(program(name))]
    done = subprocess.run(command, env=child.environment(), capture_output=True, timeout=120, check=False)
    assert done.returncode != -signal.SIGPIPE
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_without_writers_has_what_was_in_it_after_going_back() -> None:
    caller = Linux(Sandbox(engine="reference", timeout=60))
    with caller.process as process:
        assert caller.named("pipe", DATA) == 0
        reader, writer = struct.unpack("<II", caller.get(8))
        caller.put(b"content")
        assert caller.named("write", writer, DATA, 7) == 7
        assert caller.named("close", writer) == 0
        snapshot = process.snapshot()
        assert caller.named("read", reader, DATA + 8, 100) == 7
        assert caller.named("read", reader, DATA + 8, 100) == 0
        process.restore(snapshot)
        assert caller.named("read", reader, DATA + 8, 4) == 4
        assert caller.named("read", reader, DATA + 8, 100) == 3
        assert caller.named("read", reader, DATA + 8, 100) == 0
        process.restore(snapshot)
        with process.fork() as other:
            twin = Caller.__new__(Linux)
            twin.linux, twin.process = True, other
            assert twin.named("read", reader, DATA + 8, 100) == 7
            assert twin.named("read", reader, DATA + 8, 100) == 0
        assert caller.named("read", reader, DATA + 8, 100) == 7


def test_a_set_of_files_is_what_it_was_after_going_back() -> None:
    caller = Linux(Sandbox(engine="reference", timeout=60))
    with caller.process as process:
        assert caller.named("epoll_create1", 0) == 3
        assert caller.named("eventfd2", 1, NONBLOCK) == 4
        caller.put(struct.pack("<IQ", 1, 55))
        assert caller.named("epoll_ctl", 3, 1, 4, DATA) == 0
        snapshot = process.snapshot()
        assert caller.named("read", 4, DATA, 8) == 8
        assert caller.named("epoll_ctl", 3, 2, 4, 0) == 0
        assert caller.named("epoll_wait", 3, DATA, 5, 0) == 0
        process.restore(snapshot)
        for again in (process, process.fork()):
            caller.process = again
            assert caller.named("epoll_wait", 3, DATA, 5, 0) == 1
            assert caller.get(12) == struct.pack("<IQ", 1, 55)
            assert caller.named("read", 4, DATA, 8) == 8
            assert caller.named("epoll_wait", 3, DATA, 5, 0) == 0
        caller.process.close()
