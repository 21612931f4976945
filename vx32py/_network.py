"""Network: which addresses and ports a guest may talk to, and on which it may listen.

A network is made of rules, one text each:

    127.0.0.1:6379              connect there, TCP
    10.0.0.0/8:443              any address of these
    [::1]:80  [fd00::/8]:8000-8010
    *:53/udp                    send datagrams to port 53 of anybody
    *:*/any                     TCP and UDP, everywhere
    localhost:8080              127.0.0.1 and ::1, the one name that is known here
    listen:127.0.0.1:8080       bind to that address and take connections; with /udp, datagrams

Addresses are compared as numbers and names are never looked up, so what a rule means does not change while a guest runs.
An IPv4 address in an IPv6 one (``::ffff:127.0.0.1``) is the IPv4 address; the unspecified address, to which Linux connects as
to the host itself, is the loopback address. Only TCP and UDP over IPv4 and IPv6 are ever allowed: raw, packet and netlink
sockets and other protocols are not, and local (AF_UNIX) sockets are the name space's affair.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from reference.records import dataclass

#: The lower bits of a socket's type; the others are SOCK_NONBLOCK and SOCK_CLOEXEC (include/linux/net.h).
TYPE_MASK: Final = 0xF
_PROTOCOLS: Final = {"tcp": (socket.SOCK_STREAM,), "udp": (socket.SOCK_DGRAM,),
                     "any": (socket.SOCK_STREAM, socket.SOCK_DGRAM)}  # fmt: skip
#: What socket(2) may be asked for: type → protocol numbers.
_PROTOCOLS_OF: Final[dict[int, tuple[int, int]]] = {
    socket.SOCK_STREAM: (0, socket.IPPROTO_TCP),
    socket.SOCK_DGRAM: (0, socket.IPPROTO_UDP),
}
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
MAX_PORT: Final = 0xFFFF
#: Longer texts are not rules; messages need not repeat them.
_LONGEST: Final = 200

Address = IPv4Address | IPv6Address
Block = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is allowed. No ``blocks`` stand for every address; ports are [``first``, ``last``]."""

    blocks: tuple[Block, ...]
    first: int
    last: int
    protocol: str
    listen: bool

    @classmethod
    def parse(cls, text: str) -> Rule:
        """A rule from its text. Raises ValueError, which says what is wrong.

        >>> Rule.parse("10.0.0.0/8:443").last
        443
        """
        if len(text) > _LONGEST:
            raise ValueError(f"a network rule of {len(text)} characters")
        rest, listen = text.removeprefix("listen:"), text.startswith("listen:")
        address, colon, port = rest.rpartition(":")
        port, slash, protocol = port.partition("/")
        if not colon or not address or not port:
            raise ValueError(f"{text!r} is not [listen:]ADDRESS:PORT[/tcp|/udp|/any]")
        if not slash:
            protocol = "tcp"
        if protocol not in _PROTOCOLS:
            raise ValueError(f"{text!r}: the protocol is tcp, udp or any, not {protocol!r}")
        blocks = _blocks(address, text)
        if not listen and any(int(b.network_address) == 0 and b.prefixlen == b.max_prefixlen for b in blocks):
            raise ValueError(f"{text!r}: nobody has this address; * stands for every one")
        return cls(blocks, *_ports(port, text), protocol, listen)

    def matches(self, kind: int, address: Address, port: int) -> bool:
        """Whether it is about this type of socket, address and port."""
        if kind not in _PROTOCOLS[self.protocol] or not self.first <= port <= self.last:
            return False
        return not self.blocks or any(block.version == address.version and address in block for block in self.blocks)

    def __str__(self) -> str:
        address = "*"
        if self.blocks == _LOCALHOST:
            address = "localhost"
        elif self.blocks:
            block = self.blocks[0]
            address = str(block.network_address if block.prefixlen == block.max_prefixlen else block)
            address = f"[{address}]" if block.version == 6 else address
        ports = "*" if (self.first, self.last) == (0, MAX_PORT) else f"{self.first}-{self.last}"
        ports = str(self.first) if self.first == self.last else ports
        return f"{'listen:' * self.listen}{address}:{ports}{'' if self.protocol == 'tcp' else '/' + self.protocol}"


_LOCALHOST: Final[tuple[Block, ...]] = (IPv4Network("127.0.0.1"), IPv6Network("::1"))


class Network:
    """What a guest may reach: nothing (:meth:`none`), whatever the host can (:meth:`host`), or what rules say.

    >>> network = Network.parse(["127.0.0.1:6379", "listen:127.0.0.1:8080"])
    >>> network.may_connect(socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1", 6379)
    True
    """

    def __init__(self, rules: Iterable[Rule] = (), *, everything: bool = False) -> None:
        self.rules = tuple(rules)
        self.everything = everything

    @classmethod
    def none(cls) -> Network:
        """No network."""
        return cls()

    @classmethod
    def host(cls) -> Network:
        """All that the host's user may do with TCP and UDP."""
        return cls(everything=True)

    @classmethod
    def parse(cls, words: str | Iterable[str]) -> Network:
        """From "none", "host", or rules: one text with commas between them, or several. Raises ValueError."""
        texts = [word.strip() for text in ([words] if isinstance(words, str) else words) for word in text.split(",")]
        if "host" in texts or "none" in texts:
            if len(set(texts)) > 1:
                raise ValueError(f"{'host' if 'host' in texts else 'none'!r} stands alone, without rules")
            return cls(everything=texts[0] == "host")
        return cls(Rule.parse(text) for text in texts)

    @property
    def nothing(self) -> bool:
        """Whether there is no network at all."""
        return not self.everything and not self.rules

    def may_open(self, family: int, kind: int, protocol: int = 0) -> bool:
        """Whether socket(2) may make such a socket: TCP or UDP over IP, and something allowed that it could be for."""
        kind &= TYPE_MASK
        if family not in _FAMILIES or protocol not in _PROTOCOLS_OF.get(kind, ()):
            return False
        return self.everything or any(kind in _PROTOCOLS[rule.protocol] for rule in self.rules)

    def may_connect(self, family: int, kind: int, address: str | bytes, port: int) -> bool:
        """Whether a socket may connect, or send a datagram, to an address: text, or its 4 or 16 bytes."""
        return self._allows(family, kind, address, port, listen=False)

    def may_bind(self, family: int, kind: int, address: str | bytes, port: int) -> bool:
        """Whether a socket may have an address of its own. Port 0, which leaves the port to the host, is also for those who
        connect, and for datagrams then means no more than sending without bind does."""
        if self._allows(family, kind, address, port, listen=True):
            return True
        return port == 0 and _number(family, address) is not None and any(
            kind & TYPE_MASK in _PROTOCOLS[rule.protocol] for rule in self.rules if not rule.listen
        )  # fmt: skip

    def may_listen(self, family: int, kind: int, address: str | bytes, port: int) -> bool:
        """Whether a socket may take connections. Address and port are those that its bind *asked for*: port 0 is a matter of
        ``listen:ADDRESS:0``. A socket without bind has the unspecified address and port 0."""
        return self._allows(family, kind, address, port, listen=True)

    def _allows(self, family: int, kind: int, address: str | bytes, port: int, *, listen: bool) -> bool:
        number = _number(family, address)
        kind &= TYPE_MASK
        if number is None or kind not in _PROTOCOLS_OF or not 0 <= port <= MAX_PORT:
            return False
        if self.everything:
            return True
        if not listen and int(number) == 0:
            number = ip_address("127.0.0.1" if number.version == 4 else "::1")
        return any(rule.listen == listen and rule.matches(kind, number, port) for rule in self.rules)

    def words(self) -> list[str]:
        """The texts that :meth:`parse` makes the same network of."""
        return ["host"] if self.everything else [str(rule) for rule in self.rules] or ["none"]

    def __repr__(self) -> str:
        return f"Network({', '.join(self.words())})"


def _number(family: int, address: str | bytes) -> Address | None:
    """An address of this family as a number, IPv4 where it is one in disguise; None for anything else."""
    try:
        number = ip_address(address if isinstance(address, bytes) else address.partition("%")[0])
    except ValueError:
        return None
    if family not in _FAMILIES or (number.version == 4) != (family == socket.AF_INET):
        return None
    mapped = number.ipv4_mapped if isinstance(number, IPv6Address) else None
    return mapped if mapped is not None else number


def _blocks(address: str, text: str) -> tuple[Block, ...]:
    if address == "*":
        return ()
    if address == "localhost":
        return _LOCALHOST
    bare = address
    if address.startswith("["):
        bare, bracket, behind = address[1:].partition("]")
        if not bracket or (behind and not behind.startswith("/")) or ":" not in bare:
            raise ValueError(f"{text!r}: an IPv6 address is [ADDRESS] or [ADDRESS/BITS]")
        bare += behind
    elif ":" in address:
        raise ValueError(f"{text!r}: an IPv6 address is in brackets: [{address}]")
    if "%" in bare:
        raise ValueError(f"{text!r}: an address without a zone, please")
    try:
        block = ip_network(bare)
    except ValueError as error:
        if not any(character.isdigit() for character in bare):
            raise ValueError(f"{text!r}: names are not looked up; say the address") from None
        raise ValueError(f"{text!r}: {error}") from None
    if isinstance(block, IPv6Network) and (mapped := block.network_address.ipv4_mapped) and block.prefixlen >= 96:
        return (IPv4Network((int(mapped), block.prefixlen - 96)),)
    return (block,)


def _ports(port: str, text: str) -> tuple[int, int]:
    if port == "*":
        return 0, MAX_PORT
    low, dash, high = port.partition("-")
    numbers = [low, high] if dash else [low, low]
    if not all(number.isascii() and number.isdigit() and len(number) <= 5 for number in numbers):
        raise ValueError(f"{text!r}: a port is a number, a range such as 8000-8010, or *")
    first, last = map(int, numbers)
    if not first <= last <= MAX_PORT:
        raise ValueError(f"{text!r}: ports are 0 to 65535, the smaller one first")
    return first, last
