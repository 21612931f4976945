"""Network rules: what they mean, what they never mean, and which texts are none."""

from __future__ import annotations

import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vx32py._network import Network, Rule

V4, V6 = socket.AF_INET, socket.AF_INET6
TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM

RULES = [
    "127.0.0.1:6379", "10.0.0.0/8:443", "[::1]:80", "[fd00::/8]:8000-8010", "*:53/udp", "localhost:1-2/any",
    "listen:127.0.0.1:8080", "listen:*:0", "*:*/any", "listen:[::]:99",
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "family", "kind", "address", "port", "allowed"),
    [
        ("127.0.0.1:6379", V4, TCP, "127.0.0.1", 6379, True),
        ("127.0.0.1:6379", V4, TCP | 0o4000 | 0o2000000, "127.0.0.1", 6379, True),  # SOCK_NONBLOCK, SOCK_CLOEXEC
        ("127.0.0.1:6379", V4, UDP, "127.0.0.1", 6379, False),
        ("127.0.0.1:6379", V4, TCP, "127.0.0.1", 6380, False),
        ("127.0.0.1:6379", V4, TCP, "127.0.0.2", 6379, False),
        # Linux connects to 0.0.0.0 as to 127.0.0.1, and to an IPv4 address in an IPv6 one as to itself.
        ("127.0.0.1:6379", V4, TCP, "0.0.0.0", 6379, True),
        ("10.0.0.0/8:443", V4, TCP, "0.0.0.0", 443, False),
        ("127.0.0.1:6379", V6, TCP, "::ffff:127.0.0.1", 6379, True),
        ("10.0.0.0/8:443", V6, TCP, "::ffff:7f00:1", 443, False),
        ("[::1]:80", V6, TCP, "::", 80, True),
        ("[::1]:80", V6, TCP, "::1", 80, True),
        ("[::1]:80", V4, TCP, "127.0.0.1", 80, False),
        ("[::ffff:10.0.0.0/104]:443", V4, TCP, "10.9.8.7", 443, True),
        ("10.0.0.0/8:443", V4, TCP, "10.255.255.255", 443, True),
        ("10.0.0.0/8:443", V4, TCP, "11.0.0.0", 443, False),
        ("[fd00::/8]:8000-8010", V6, TCP, "fdff::1", 8010, True),
        ("[fd00::]/8:8000-8010", V6, TCP, "fdff::1", 8011, False),
        ("[fd00::/8]:1", V6, TCP, "fd00::1%eth0", 1, True),
        ("*:53/udp", V4, UDP, "8.8.8.8", 53, True),
        ("*:53/udp", V6, UDP, "2001:db8::1", 53, True),
        ("*:53/udp", V4, TCP, "8.8.8.8", 53, False),
        ("*:53/any", V4, TCP, "8.8.8.8", 53, True),
        ("localhost:1", V6, TCP, "::1", 1, True),
        ("localhost:1", V4, TCP, "127.0.0.1", 1, True),
        ("listen:*:80", V4, TCP, "127.0.0.1", 80, False),
        # A family whose addresses these are not; a type that is neither TCP nor UDP.
        ("*:*/any", V6, TCP, "1.2.3.4", 80, False),
        ("*:*/any", V4, TCP, "::1", 80, False),
        ("*:*/any", V4, socket.SOCK_RAW, "1.2.3.4", 80, False),
        ("*:*/any", socket.AF_UNIX, TCP, "1.2.3.4", 80, False),
        ("*:*/any", V4, TCP, "1.2.3.4", -1, False),
        ("*:*/any", V4, TCP, "1.2.3.4", 65536, False),
    ],
)
def test_where_a_rule_lets_one_connect(
    rule: str, family: int, kind: int, address: str, port: int, *, allowed: bool
) -> None:
    network = Network.parse([rule])
    assert network.may_connect(family, kind, address, port) is allowed
    if "%" not in address:
        packed = socket.inet_pton(V6 if ":" in address else V4, address)
        assert network.may_connect(family, kind, packed, port) is allowed


@pytest.mark.parametrize(
    ("rule", "address", "port", "bind", "listen"),
    [
        ("listen:127.0.0.1:8080", "127.0.0.1", 8080, True, True),
        ("listen:127.0.0.1:8080", "0.0.0.0", 8080, False, False),  # all interfaces are more than one
        ("listen:127.0.0.1:8080", "127.0.0.1", 0, False, False),
        ("listen:*:8080", "0.0.0.0", 8080, True, True),
        ("listen:0.0.0.0:8080", "0.0.0.0", 8080, True, True),
        ("listen:0.0.0.0:8080", "127.0.0.1", 8080, False, False),
        ("listen:127.0.0.1:0", "127.0.0.1", 0, True, True),
        ("127.0.0.1:80", "127.0.0.1", 80, False, False),
        ("127.0.0.1:80", "0.0.0.0", 0, True, False),  # who connects may bind to no port in particular
        ("127.0.0.1:80/udp", "0.0.0.0", 0, False, False),  # … with a socket that could connect
    ],
)
def test_where_a_rule_lets_one_bind_and_listen(rule: str, address: str, port: int, *, bind: bool, listen: bool) -> None:
    network = Network.parse([rule])
    assert network.may_bind(V4, TCP, address, port) is bind
    assert network.may_listen(V4, TCP, address, port) is listen


def test_no_network_allows_nothing_and_the_hosts_all_of_tcp_and_udp() -> None:
    for network, allowed in ((Network.none(), False), (Network.host(), True)):
        for family, address in ((V4, "1.2.3.4"), (V6, "::1")):
            for kind in (TCP, UDP):
                assert network.may_open(family, kind) is allowed
                assert network.may_connect(family, kind, address, 80) is allowed
                assert network.may_bind(family, kind, address, 80) is allowed
                assert network.may_listen(family, kind, address, 80) is allowed
        assert not network.may_open(V4, socket.SOCK_RAW)
        assert not network.may_open(socket.AF_NETLINK, UDP)
        assert not network.may_open(socket.AF_PACKET, UDP)
        assert not network.may_open(socket.AF_UNIX, TCP)
        assert not network.may_open(V4, UDP, socket.IPPROTO_ICMP)
        assert not network.may_open(V4, TCP, 262)  # MPTCP


def test_a_socket_of_a_kind_that_no_rule_is_about_is_not_made() -> None:
    network = Network.parse("127.0.0.1:80")
    assert network.may_open(V4, TCP)
    assert network.may_open(V4, TCP, socket.IPPROTO_TCP)
    assert not network.may_open(V4, UDP)


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "80", "127.0.0.1", "127.0.0.1:", ":80", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:80-70",
        "127.0.0.1:-1", "127.0.0.1:٣", "127.0.0.1:8_0", "127.0.0.1:+80", "127.0.0.1: 80", "127.0.0.1:80/sctp",
        "127.0.0.1:80/", "127.1:80", "0x7f000001:80", "2130706433:80", "127.0.0.01:80", "10.0.0.1/8:80", "10.0.0.0/33:80",
        "example.com:80", "::1:80", "[::1:80", "[::1]x:80", "[127.0.0.1]:80", "[fe80::1%eth0]:80", "0.0.0.0:80", "[::]:80",
        "listen:", "listen:listen:*:80", "connect:*:80", "*:*:*", "127.0.0.1\0:80", "1" * 1000 + ":1",
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        Rule.parse(text)
    assert len(str(caught.value)) < 200


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="0123456789.:/[]*-abcdefltsinohucpx%", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_rule_that_says_itself_again_or_a_value_error(text: str) -> None:
    try:
        rule = Rule.parse(text)
    except ValueError:
        return
    assert Rule.parse(str(rule)) == rule


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(), st.integers(), st.text(max_size=20) | st.binary(max_size=20), st.integers())
def test_nothing_that_a_guest_passes_makes_a_match_fail(
    family: int, kind: int, address: str | bytes, port: int
) -> None:
    for network in (Network.host(), Network.parse(RULES)):
        for ask in (network.may_connect, network.may_bind, network.may_listen):
            assert ask(family, kind, address, port) in {True, False}


@pytest.mark.parametrize("text", RULES)
def test_a_rule_is_printed_as_it_was_written(text: str) -> None:
    assert str(Rule.parse(text)) == text


def test_several_rules_come_as_a_list_or_with_commas() -> None:
    assert Network.parse("127.0.0.1:1, [::1]:2").words() == Network.parse(["127.0.0.1:1", "[::1]:2"]).words()
    assert Network.parse("none").nothing
    assert Network.parse("host").everything
    for words in ("host,127.0.0.1:1", ["none", "host"]):
        with pytest.raises(ValueError, match="stands alone"):
            Network.parse(words)
