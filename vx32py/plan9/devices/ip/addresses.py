"""Addresses as Plan 9 writes them: ``135.104.9.31!17008``, ``*!80``, ``80``, ``::1!80``."""

from __future__ import annotations

import socket
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, NamedTuple

from vx32py.plan9.errors import Ebadip, Error

MOST_PORT: Final = 0xFFFF
_LONGEST_PORT: Final = 5
#: The lengths of addresses: IPv4, and IPv6, which is also how IPv4 is told in headers of datagrams.
IPV4_BYTES: Final = 4
IPV6_BYTES: Final = 16
V4_PREFIX: Final = bytes(10) + b"\xff\xff"

Address = IPv4Address | IPv6Address
#: What is shown where there is none (IPnoaddr).
UNSPECIFIED: Final = IPv6Address(0)


class Place(NamedTuple):
    """An address, None for all there are, and a port."""

    address: Address | None
    port: int


def parse_address(text: str) -> Address:
    """An address from its text (parseip(2)); IPv4 in IPv6 is IPv4. Raises Error.

    >>> parse_address("127.1"), parse_address("::ffff:10.0.0.1")
    (IPv4Address('127.0.0.1'), IPv4Address('10.0.0.1'))
    """
    try:
        if ":" in text:
            address = IPv6Address(text.partition("%")[0])
            return address.ipv4_mapped or address
        parts = text.split(".")
        if 2 <= len(parts) < IPV4_BYTES:  # the last one is the last byte
            parts[-1:-1] = ["0"] * (IPV4_BYTES - len(parts))
        return IPv4Address(".".join(parts))
    except AddressValueError:
        raise Error(Ebadip) from None


def parse_place(text: str, *, local: bool) -> Place:
    """A place from ``[address!]port``, and perhaps ``!r``, which asks for a port that only a superuser has. Raises Error.

    >>> parse_place("*!80", local=True)
    Place(address=None, port=80)
    """
    parts = text.split("!")
    if parts[-1] == "r":
        parts.pop()
    if len(parts) == 1 and local:
        parts.insert(0, "*")
    if len(parts) != 2:
        raise Error("malformed address")
    address, port = parts
    if port == "*" and local:
        port = "0"
    if not (port.isascii() and port.isdigit() and len(port) <= _LONGEST_PORT and int(port) <= MOST_PORT):
        raise Error("malformed address")
    return Place(None if address == "*" and local else parse_address(address), int(port))


def of_host(name: tuple[object, ...] | str) -> Place:
    """A place from what the host calls an address."""
    if not isinstance(name, tuple) or len(name) < 2:
        return Place(UNSPECIFIED, 0)
    return Place(parse_address(str(name[0])), int(str(name[1])))


def to_host(address: Address, port: int, family: int) -> tuple[str, int]:
    """The same for a socket of the host's of this family. Raises Error where that cannot be."""
    if family == socket.AF_INET6 and isinstance(address, IPv4Address):
        return f"::ffff:{address}", port
    if family == socket.AF_INET and isinstance(address, IPv6Address):
        raise Error("no route")
    return str(address), port


def family_of(address: Address) -> int:
    """Of which family a socket for it is."""
    return socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6


def pack_address(address: Address) -> bytes:
    """Its sixteen bytes."""
    return V4_PREFIX + address.packed if isinstance(address, IPv4Address) else address.packed


def unpack_address(data: bytes) -> Address:
    """From sixteen bytes."""
    return IPv4Address(data[len(V4_PREFIX) :]) if data.startswith(V4_PREFIX) else IPv6Address(data)


def shown(place: Place) -> str:
    """As ``local`` and ``remote`` tell it.

    >>> shown(Place(IPv4Address("127.0.0.1"), 80))
    '127.0.0.1!80\\n'
    """
    return f"{place.address if place.address is not None else UNSPECIFIED}!{place.port}\n"
