"""Names of hosts and services: what ``/net/cs`` and ``/net/dns`` answer (ndb(8)).

A name is an address, one of those that the application has given, or the host's resolver is asked, in a thread of its own:
only where the whole network is granted, since names that are looked up tell somebody something.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Final

from vx32py._wait import WouldBlock
from vx32py.plan9 import headroom
from vx32py.plan9.devices.ip.addresses import parse_address
from vx32py.plan9.errors import Enodev, Error

#: So many lookups of the host's at a time.
_MOST_LOOKUPS: Final = 16
_LONGEST: Final = 1024
_SERVICES: Final = {
    "echo": 7, "discard": 9, "systat": 11, "daytime": 13, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "time": 37,
    "whois": 43, "domain": 53, "dns": 53, "bootp": 67, "tftp": 69, "gopher": 70, "finger": 79, "http": 80, "kerberos": 88,
    "pop3": 110, "sunrpc": 111, "ident": 113, "nntp": 119, "ntp": 123, "imap4": 143, "imap": 143, "snmp": 161,
    "https": 443, "submission": 587, "ldap": 389, "imaps": 993, "pop3s": 995, "9fs": 564, "whoami": 565, "ticket": 567,
    "rexexec": 17009, "ncpu": 17010, "cpu": 17013, "rcpu": 17019, "exportfs": 17007, "venti": 17034, "wiki": 17035,
    "secstore": 5356, "postgresql": 5432, "mysql": 3306, "redis": 6379,
}  # fmt: skip
_PROTOCOLS: Final = {"icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "icmpv6": 58, "ipv6-icmp": 58}
_NETWORKS: Final = ("tcp", "udp")


class Lookup:
    """A question to the host's resolver, being answered by a thread."""

    _running = threading.BoundedSemaphore(_MOST_LOOKUPS)

    def __init__(self, ask: Callable[[], list[str]]) -> None:
        if not self._running.acquire(blocking=False):
            raise Error("dns failure")
        self._ask = ask
        self._answer: list[str] | None = None
        self._failure = ""
        self._reader = self._writer = -1
        try:
            self._reader, self._writer = os.pipe()
            if not headroom.is_spare(self._writer):
                raise Error(Enodev)  # noqa: TRY301
            threading.Thread(target=self._run, daemon=True).start()
        except (OSError, RuntimeError, Error):  # the host has no descriptors, or no threads
            self._running.release()
            self._close(self._writer)
            raise Error("dns failure") from None

    def _run(self) -> None:
        try:
            self._answer = self._ask()
        except socket.gaierror as error:
            unknown = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
            self._failure = "dns: name does not exist" if error.errno in unknown else "dns failure"
        except (OSError, ValueError):
            self._failure = "dns: name does not exist"
        except Exception:  # noqa: BLE001 - whatever it is, somebody waits
            self._failure = "dns failure"
        finally:
            self._running.release()
            os.close(self._writer)

    def answer(self) -> list[str]:
        """What the host says. Raises Error, WouldBlock."""
        if self._answer is None and not self._failure:
            raise WouldBlock(
                lambda: self._answer is not None or bool(self._failure), fds=[(self._reader, select.POLLIN)]
            )
        self._reader = self._close(self._reader)
        if self._failure:
            raise Error(self._failure)
        assert self._answer is not None
        return self._answer

    def __del__(self) -> None:
        if hasattr(self, "_reader"):
            self._close(self._reader)

    @staticmethod
    def _close(fd: int) -> int:
        """Close a descriptor, if it is one; what stands for none."""
        if fd >= 0:
            os.close(fd)
        return -1


class Names:
    """What names mean. ``hosts`` are the application's, from names to addresses; ``sysname`` tells the machine's own; with
    ``ask_host`` all others are the host's resolver's."""

    def __init__(self, hosts: Mapping[str, str], sysname: Callable[[], str], *, ask_host: bool) -> None:
        self._hosts: dict[str, str] = {}
        for name, address in hosts.items():
            try:
                self._hosts[name.lower()] = str(parse_address(address))
            except Error:
                raise ValueError(f"hosts: {address!r} is no address, but that of {name!r}") from None
        self._sysname = sysname
        self._ask_host = ask_host

    def known(self, name: str) -> str | None:
        """The address of a name that nobody need be asked about."""
        bare = name.removeprefix("[").removesuffix("]")
        try:
            return str(parse_address(bare))
        except Error:
            pass
        found = self._hosts.get(name.lower())
        if found is None and name.lower() in {"localhost", self._sysname().lower()}:
            return "127.0.0.1"
        return found

    def addresses(self, name: str) -> list[str] | Lookup:
        """Its addresses, or who is being asked. Raises Error."""
        found = self.known(name)
        if found is not None:
            return [found]
        return self._asked(lambda: _addresses(name, socket.AF_UNSPEC))

    def _asked(self, ask: Callable[[], list[str]]) -> Lookup:
        if not self._ask_host:
            raise Error("dns: name does not exist")
        return Lookup(ask)

    # -- /net/cs -----------------------------------------------------------------------------------------------------

    def translate(self, query: str) -> Callable[[], list[str]]:
        """What cs is asked: ``net!host!service``, or ``!attribute=value``; what is called for the answers until it need
        not wait any more. Raises Error."""
        if query.startswith("!"):
            lines = self._attributes(query[1:])
            return lambda: lines
        if len(query) > _LONGEST or not query:
            raise Error("cs: can't translate address")
        words = query.split("!", 3)
        if len(words) == 1:
            words.insert(0, "net")
        network, host, service, rest = (*words, "", "")[:4]
        suffix = f"!{rest}" if rest else ""
        if network != "net" and network not in _NETWORKS:  # the kernel will say that there is none
            line = f"/net/{network}/clone {host}" + (f"!{service}" if service else "") + suffix
            return lambda: [line]
        protocol = "tcp" if network == "net" else network
        port = _port(service)
        if host in {"*", "::"}:
            return lambda: [f"/net/{protocol}/clone {port}{suffix}"]
        try:
            found = self.addresses(host)
        except Error as error:
            raise Error(f"cs: can't translate address: {error.text}") from None

        def answers() -> list[str]:
            try:
                places = found.answer() if isinstance(found, Lookup) else found
            except Error as error:
                raise Error(f"cs: can't translate address: {error.text}") from None
            return [f"/net/{protocol}/clone {place}!{port}{suffix}" for place in places]

        return answers

    def _attributes(self, query: str) -> list[str]:
        """An entry of a network database. Raises Error."""
        attribute, _, value = query.split(" ", maxsplit=1)[0].partition("=")
        if attribute == "protocol" and value in _PROTOCOLS:
            return [f"protocol={value} ipv4proto={_PROTOCOLS[value]}"]
        if attribute in {"sys", "dom"}:
            found = self.known(value)
            if found is not None:
                return [f"{attribute}={value} ip={found}"]
        if attribute in _NETWORKS and value in _SERVICES:
            return [f"{attribute}={value} port={_SERVICES[value]}"]
        raise Error("cs: no match")

    # -- /net/dns ----------------------------------------------------------------------------------------------------

    def resolve(self, query: str) -> Callable[[], list[str]]:
        """What dns is asked, ``name type``; see :meth:`translate`."""
        name, _, kind = query.strip().partition(" ")
        kind = kind.strip() or "ip"
        if len(query) > _LONGEST or not name:
            raise Error("dns: bad request")
        found: list[str] | Lookup
        if kind in {"ip", "ipv6"}:
            family = socket.AF_INET if kind == "ip" else socket.AF_INET6
            known = self.known(name)
            found = [known] if known is not None else self._asked(lambda: _addresses(name, family))
        elif kind == "ptr":
            address = _reverse(name)
            own = {address: each for each, address in self._hosts.items()}.get(address)
            found = [own] if own is not None else self._asked(lambda: [socket.gethostbyaddr(address)[0]])
        elif kind == "cname":
            found = self._asked(lambda: _canonical(name))
        else:
            raise Error("dns: resource does not exist; negrcode 0")
        return lambda: [f"{name} {kind}\t{each}" for each in (found.answer() if isinstance(found, Lookup) else found)]


def _addresses(name: str, family: int) -> list[str]:
    found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in sorted(found, key=lambda each: each[0] != socket.AF_INET)))


def _canonical(name: str) -> list[str]:
    return [socket.getaddrinfo(name, None, 0, socket.SOCK_STREAM, 0, socket.AI_CANONNAME)[0][3]]


def _reverse(name: str) -> str:
    """The address that is meant by its reverse name. Raises Error."""
    words = name.lower().removesuffix(".").split(".")
    if words[-2:] == ["in-addr", "arpa"]:
        return str(parse_address(".".join(reversed(words[:-2]))))
    if words[-2:] == ["ip6", "arpa"]:
        digits = "".join(reversed(words[:-2]))
        return str(parse_address(":".join(digits[i : i + 4] for i in range(0, len(digits), 4))))
    return str(parse_address(name))


def _port(service: str) -> str:
    """The number of a service. Raises Error."""
    if service == "*" or (service.isascii() and service.isdigit()):
        return service
    if service in _SERVICES:
        return str(_SERVICES[service])
    raise Error("cs: can't translate service")
