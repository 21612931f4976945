"""Networks: a guest that may connect to one port reaches that one, however it spells, splits or delays what it asks for.

What a guest gets at without any network is in test_system.py.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from prison import Calls, Got, Out, World, address4, address6

AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 10
TCP, UDP = 1, 2
#: MSG_FASTOPEN, and MSG_NOSIGNAL.
FASTOPEN = 0x2000_4000


class Servers:
    """One that the guest may reach and one that it may not, of both kinds, on the loopback address."""

    def __init__(self, stack: ExitStack) -> None:
        self.tcp, self.other_tcp = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        self.udp, self.other_udp = (
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)
        )
        for each in (self.udp, self.other_udp):
            each.bind(("127.0.0.1", 0))

    @staticmethod
    def port(server: socket.socket) -> int:
        """Where it listens."""
        return int(server.getsockname()[1])

    @property
    def rules(self) -> list[str]:
        """For the one of each kind."""
        return [f"127.0.0.1:{self.port(self.tcp)}", f"127.0.0.1:{self.port(self.udp)}/udp"]

    def reached(self) -> list[str]:
        """Those that have heard of somebody."""
        names = {self.tcp: "tcp", self.other_tcp: "other tcp", self.udp: "udp", self.other_udp: "other udp"}
        return sorted(names[server] for server in select.select(list(names), [], [], 0)[0])

    def forget(self) -> None:
        """What came before."""
        while ready := select.select([self.tcp, self.other_tcp, self.udp, self.other_udp], [], [], 0)[0]:
            for server in ready:
                if server.type == socket.SOCK_STREAM:
                    server.accept()[0].close()
                else:
                    server.recv(100)


@pytest.fixture
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


def test_what_is_allowed_is_reached(world: World, servers: Servers) -> None:
    """Or nothing below says anything."""
    to, datagrams = address4(servers.port(servers.tcp)), address4(servers.port(servers.udp))
    run = world.jail(
        ("socket", AF_INET, TCP, 0), ("connect", Got(0), to, 16), ("socket", AF_INET, UDP, 0),
        ("sendto", Got(2), b"in", 2, 0, datagrams, 16), net=servers.rules,
    )  # fmt: skip
    assert (run[1], run[3]) == (0, 2)
    assert servers.reached() == ["tcp", "udp"]


TO_OTHERS: dict[str, Callable[[bytes, bytes], Calls]] = {
    "connect": lambda own, other: (("socket", AF_INET, TCP, 0), ("connect", Got(0), other, 16)),
    "socketcall": lambda own, other: (("socketcall", 1, [AF_INET, TCP, 0]), ("socketcall", 3, [Got(0), other, 16])),
    "behind the first": lambda own, other: (
        ("socket", AF_INET, TCP, 0), ("connect", Got(0), own, 16), ("connect", Got(0), b"\0" * 16, 16),
        ("connect", Got(0), other, 16),
    ),
    "sendto on a stream": lambda own, other: (
        ("socket", AF_INET, TCP, 0), ("sendto", Got(0), b"out", 3, FASTOPEN, other, 16),
    ),
    "sendmsg on a stream": lambda own, other: (
        ("socket", AF_INET, TCP, 0), ("sendmsg", Got(0), [other, 16, [b"out", 3], 1, 0, 0, 0], FASTOPEN),
    ),
    "any address": lambda own, other: (("socket", AF_INET, TCP, 0), ("connect", Got(0), other[:4] + bytes(12), 16)),
    "loopback's others": lambda own, other: (
        ("socket", AF_INET, TCP, 0), ("connect", Got(0), other[:4] + b"\x7f\0\0\x01" + b"\xff" * 8, 16),
    ),
    "an IPv4 address in an IPv6 one": lambda own, other: (
        ("socket", AF_INET6, TCP, 0),
        ("connect", Got(0), address6(int.from_bytes(other[2:4], "big"), "::ffff:127.0.0.1"), 28),
    ),
    "nobody's address in an IPv6 one": lambda own, other: (
        ("socket", AF_INET6, TCP, 0), ("connect", Got(0), address6(int.from_bytes(other[2:4], "big"), "::ffff:0.0.0.0"), 28),
    ),
    "a longer address": lambda own, other: (
        ("socket", AF_INET, TCP, 0), ("connect", Got(0), other.ljust(128, b"\0"), 128),
    ),
    "without waiting": lambda own, other: (
        ("socket", AF_INET, TCP | 0o4000, 0), ("connect", Got(0), other, 16), ("poll", [Got(0), 0x40000], 1, 50),
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", TO_OTHERS)
def test_no_connection_goes_elsewhere(world: World, servers: Servers, how: str) -> None:
    attempt = TO_OTHERS[how](address4(servers.port(servers.tcp)), address4(servers.port(servers.other_tcp)))
    world.native(*attempt)
    assert "other tcp" in servers.reached() or how in {"sendto on a stream", "sendmsg on a stream"}
    servers.forget()
    run = world.jail(*attempt, net=servers.rules)
    assert "other tcp" not in servers.reached()
    assert {"EACCES", "EPERM", "EAFNOSUPPORT", "ENOTSUP", "EPIPE", "EINVAL", "ENETUNREACH", "ENOTCONN"} & set(
        run.results
    )


DATAGRAMS: dict[str, Callable[[bytes, bytes], Calls]] = {
    "sendto": lambda own, other: (("socket", AF_INET, UDP, 0), ("sendto", Got(0), b"out", 3, 0, other, 16)),
    "connect": lambda own, other: (
        ("socket", AF_INET, UDP, 0), ("connect", Got(0), other, 16), ("write", Got(0), b"out", 3),
    ),
    "sendto of one that is connected": lambda own, other: (
        ("socket", AF_INET, UDP, 0), ("connect", Got(0), own, 16), ("sendto", Got(0), b"out", 3, 0, other, 16),
    ),
    "connected again": lambda own, other: (
        ("socket", AF_INET, UDP, 0), ("connect", Got(0), own, 16), ("connect", Got(0), other, 16),
        ("write", Got(0), b"out", 3),
    ),
    "connected to nobody": lambda own, other: (
        ("socket", AF_INET, UDP, 0), ("connect", Got(0), own, 16), ("connect", Got(0), b"\0\0" + other[2:], 16),
        ("sendto", Got(0), b"out", 3, 0, other, 16),
    ),
    "no family": lambda own, other: (
        ("socket", AF_INET, UDP, 0), ("sendto", Got(0), b"out", 3, 0, b"\0\0" + other[2:], 16),
    ),
    "sendmsg": lambda own, other: (
        ("socket", AF_INET, UDP, 0), ("sendmsg", Got(0), [other, 16, [b"out", 3], 1, 0, 0, 0], 0),
    ),
    "sendmmsg": lambda own, other: (
        ("socket", AF_INET, UDP, 0),
        ("sendmmsg", Got(0), [own, 16, [b"in", 2], 1, 0, 0, 0, 0, other, 16, [b"out", 3], 1, 0, 0, 0, 0], 2, 0),
    ),
    "any address": lambda own, other: (
        ("socket", AF_INET, UDP, 0), ("sendto", Got(0), b"out", 3, 0, other[:4] + bytes(12), 16),
    ),
    "an IPv4 address in an IPv6 one": lambda own, other: (
        ("socket", AF_INET6, UDP, 0),
        ("sendto", Got(0), b"out", 3, 0, address6(int.from_bytes(other[2:4], "big"), "::ffff:127.0.0.1"), 28),
    ),
    "an IPv4 address of an IPv6 socket": lambda own, other: (
        ("socket", AF_INET6, UDP, 0), ("sendto", Got(0), b"out", 3, 0, other, 16),
    ),
    "with a source route": lambda own, other: (
        ("socket", AF_INET, UDP, 0), ("setsockopt", Got(0), 0, 4, b"\x83\x07\x04" + other[4:8] + b"\0", 8),
        ("sendto", Got(0), b"in", 2, 0, own, 16), ("sendto", Got(0), b"out", 3, 0, other, 16),
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", DATAGRAMS)
def test_no_datagram_goes_elsewhere(world: World, servers: Servers, how: str) -> None:
    attempt = DATAGRAMS[how](address4(servers.port(servers.udp)), address4(servers.port(servers.other_udp)))
    world.native(*attempt)
    assert "other udp" in servers.reached() or how == "with a source route"  # which the host's kernel may drop
    servers.forget()
    run = world.jail(*attempt, net=servers.rules)
    assert "other udp" not in servers.reached()
    assert [result for result in run.results if isinstance(result, str)] or how == "sendmmsg"


def test_nothing_is_bound_that_is_not_allowed(world: World, servers: Servers) -> None:
    """Other ports, other addresses, ports of the superuser's; a socket that listens without an address gets one itself."""

    def bound(address: bytes, kind: int = TCP) -> tuple[tuple[object, ...], ...]:
        return ("socket", AF_INET, kind, 0), ("bind", Got(0), address, 16), ("listen", Got(0), 5)

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert world.native(*bound(address4(port))).results[1:] == [0, 0]
    for address in (address4(port), address4(port, "0.0.0.0"), address4(80), address4(1), address4(port, "127.0.0.2")):
        run = world.jail(*bound(address), net=servers.rules)
        assert set(run.results[1:]) <= {"EACCES", "EPERM"}, (address, run.results)
        run = world.jail(*bound(address, UDP), net=servers.rules)
        assert run[1] in {"EACCES", "EPERM"}
    run = world.jail(("socket", AF_INET, TCP, 0), ("listen", Got(0), 5), net=servers.rules)
    assert run[1] in {"EACCES", "EPERM"}


@pytest.mark.parametrize(
    ("family", "kind", "protocol"),
    [(AF_INET, 3, 255), (AF_INET, 3, 1), (AF_INET6, 3, 58), (17, 3, 0x300), (16, 3, 0), (AF_INET, 5, 132)],
)
@pytest.mark.parametrize("net", ["host", "*:*/any"])
def test_all_of_the_network_is_no_raw_network(world: World, family: int, kind: int, protocol: int, net: str) -> None:
    run = world.jail(("socket", family, kind, protocol), ("socketcall", 1, [family, kind, protocol]), net=net)
    assert set(run.results) <= {"EACCES", "EPERM", "EAFNOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"}


def test_options_that_lead_elsewhere_are_refused(world: World, servers: Servers) -> None:
    """SO_BINDTODEVICE, SO_MARK, SO_PRIORITY, SO_RCVBUFFORCE, SO_ATTACH_FILTER, IP_TRANSPARENT, IP_HDRINCL, IP_OPTIONS, IP_ADD_MEMBERSHIP,
    TCP_REPAIR, TCP_ULP, TCP_FASTOPEN_CONNECT."""
    options = [(1, 25), (1, 36), (1, 33), (1, 26), (0, 19), (0, 3), (0, 4), (0, 35), (6, 19), (6, 31), (1, 50), (41, 2)]
    calls: list[tuple[object, ...]] = [("socket", AF_INET, TCP, 0)]
    calls += [("setsockopt", Got(0), level, option, [1, 0, 0, 0, 0, 0, 0, 0], 8) for level, option in options]
    run = world.jail(*calls, net=servers.rules)
    assert all(isinstance(result, str) for result in run.results[1:]), run.results


def test_a_socket_that_is_connected_by_a_write_stays_where_it_is(world: World, servers: Servers) -> None:
    """TCP_FASTOPEN_CONNECT puts a connection off until the first write; the address was asked about at once."""
    other = address4(servers.port(servers.other_tcp))
    run = world.jail(
        ("socket", AF_INET, TCP, 0), ("setsockopt", Got(0), 6, 30, [1], 4), ("connect", Got(0), other, 16),
        ("write", Got(0), b"out", 3), net=servers.rules,
    )  # fmt: skip
    assert run[2] in {"EACCES", "EPERM"}
    assert run.ended == 128 + 13  # SIGPIPE
    assert servers.reached() == []


def test_interfaces_are_not_shown(world: World, servers: Servers) -> None:
    """SIOCGIFCONF, SIOCGIFNAME, SIOCGIFADDR, SIOCGIFHWADDR, SIOCSIFADDR, SIOCSIFFLAGS, SIOCADDRT."""
    calls = [
        ("socket", AF_INET, UDP, 0),
        *(("ioctl", Got(0), n, Out(64)) for n in (0x8912, 0x8910, 0x8915, 0x8927, 0x8916, 0x8914, 0x890B)),
    ]
    run = world.jail(*calls, net=servers.rules)
    assert set(run.results[1:]) <= {"ENOTTY", "EPERM", "EACCES", "EINVAL", "ENODEV"}
    assert not any(map(any, run.buffers))
