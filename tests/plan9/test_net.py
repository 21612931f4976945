"""``#I``: TCP and UDP through the host, names, and that nothing is reached but what was granted."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan9_programs import main, program

from vx32py.plan9 import Error, Kernel
from vx32py.plan9.chan import ORDWR, Chan
from vx32py.plan9.devices.ip.device import MOST_CONVERSATIONS
from vx32py.plan9.host import Host

#: What programs of these tests have: dial, announce, listen, accept, as dial(2) has them.
DIAL = r"""
static int number(int fd) { char b[16]; int n = pread(fd, b, 15, 0), k = 0, i; for(i = 0; i < n; i++) k = k*10 + b[i]-'0'; return k; }
static int file(char *proto, int n, char *name, int mode) { char b[64]; sprint(b, "/net/%s/%d/%s", proto, n, name); return open(b, mode); }
static int ctl(int fd, char *s) { return write(fd, s, strlen(s)); }
static int dial(char *proto, char *where, int *cfd)
{
	char b[100];
	sprint(b, "/net/%s/clone", proto);
	*cfd = open(b, ORDWR);
	if(*cfd < 0) return -1;
	sprint(b, "connect %s", where);
	if(ctl(*cfd, b) < 0) return -1;
	return file(proto, number(*cfd), "data", ORDWR);
}
"""


@contextlib.contextmanager
def echo(family: int = socket.AF_INET) -> Iterator[int]:
    """A server that gives back in capitals what it gets; its port."""
    with socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family) as listening:

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                with client:
                    while data := client.recv(1 << 16):
                        client.sendall(data.upper())

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def holds(kernel: Kernel, body: str, *arguments: str) -> None:
    proc = kernel.start_program(program(main(body, DIAL)), ["test", *arguments])
    kernel.wait(proc)
    assert proc.status == ""


def text(host: Host, name: str) -> str:
    return host.read(name).decode()


def say(host: Host, chan: Chan, data: bytes) -> int:
    return host.do(chan.device.write(host, chan, data, 0))


def hear(host: Host, chan: Chan, count: int = 8192, offset: int = 0) -> bytes:
    return host.do(chan.device.read(host, chan, count, offset))


def call(host: Host, protocol: str, *messages: str) -> tuple[Chan, str]:
    """A conversation that has been told something: its ctl, and its directory."""
    ctl = host.open(f"/net/{protocol}/clone", ORDWR)
    try:
        for message in messages:
            say(host, ctl, message.encode())
    except Error:
        ctl.close()
        raise
    return ctl, f"/net/{protocol}/{hear(host, ctl).decode()}"


def asked(host: Host, server: str, question: str) -> list[str]:
    chan = host.open(f"/net/{server}", ORDWR)
    try:
        say(host, chan, question.encode())
        found: list[str] = []
        while piece := hear(host, chan, 128, sum(len(each) for each in found)):
            found.append(piece.decode())
        return found
    finally:
        chan.close()


# -- what is not granted is not there ----------------------------------------------------------------------------------


def test_without_a_network_there_is_no_device(engine_name: str) -> None:
    with Kernel(engine=engine_name) as kernel:
        holds(
            kernel,
            """
            int fd;
            check(failed(open("#I/tcp/clone", ORDWR), "unknown device in # filename"));
            check(failed(open("/net/tcp/clone", ORDWR), "'/net/tcp' file does not exist"));
            """,
        )


def test_only_what_was_granted_is_connected_to() -> None:
    with echo() as port, Kernel(engine="reference", net=[f"127.0.0.1:{port}"]) as kernel:
        host = kernel.host
        call(host, "tcp", f"connect 127.0.0.1!{port}")[0].close()
        call(host, "tcp", f"connect ::ffff:127.0.0.1!{port}")[0].close()
        refused = [
            f"connect 127.0.0.1!{port + 1 if port < 65535 else 1024}", f"connect 127.0.0.2!{port}", f"connect ::1!{port}",
            "announce *!0", f"announce {port}", f"connect 127.0.0.1!{port} 127.0.0.1!80",
        ]  # fmt: skip
        for message in refused:
            with pytest.raises(Error, match="permission denied"):
                call(host, "tcp", message)
        for message in (f"connect 127.0.0.1!{port}", "announce *!0"):
            with pytest.raises(Error, match="permission denied"):
                call(host, "udp", message)
        assert text(host, "/net/tcp/0/status").startswith("Closed")
        assert len(host.entries("/net/tcp")) == 3  # clone, stats, and one conversation, which all of these had in turn


def test_names_are_looked_up_by_the_host_only_where_all_is_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[object] = []

    def getaddrinfo(name: str, *rest: object) -> list[object]:
        looked_up.append(name)
        if name == "unknown.example":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET6, 1, 6, "canon", ("2001:db8::1", 0)), (socket.AF_INET, 1, 6, "", ("192.0.2.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with Kernel(engine="reference", net="127.0.0.1:1", hosts={"Db": "10.0.0.5"}) as kernel:
        host = kernel.host
        assert asked(host, "cs", "tcp!db!http") == ["/net/tcp/clone 10.0.0.5!80"]
        assert asked(host, "dns", "db ip") == ["db ip\t10.0.0.5"]
        for server, question in (("cs", "tcp!www.example!http"), ("dns", "www.example ip"), ("dns", "192.0.2.1 ptr")):
            with pytest.raises(Error, match="name does not exist"):
                asked(host, server, question)
        assert not looked_up
    with Kernel(engine="reference", net="host") as kernel:
        host = kernel.host
        assert asked(host, "cs", "net!www.example!9fs") == [
            "/net/tcp/clone 192.0.2.7!564", "/net/tcp/clone 2001:db8::1!564",
        ]  # fmt: skip
        assert asked(host, "dns", "www.example ip")[0] == "www.example ip\t192.0.2.7"
        assert asked(host, "dns", "www.example cname") == ["www.example cname\tcanon"]
        with pytest.raises(Error, match=r"^dns: name does not exist$"):
            asked(host, "dns", "unknown.example ip")
        with pytest.raises(Error, match=r"^cs: can't translate address: dns: name does not exist$"):
            asked(host, "cs", "net!unknown.example!80")


def test_a_host_without_an_address_is_refused_at_the_door() -> None:
    with pytest.raises(ValueError, match=r"hosts: 'nowhere' is no address, but that of 'db'"):
        Kernel(engine="reference", net="host", hosts={"db": "nowhere"})


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        ("net!127.0.0.1!80", ["/net/tcp/clone 127.0.0.1!80"]),
        ("tcp!127.1!https", ["/net/tcp/clone 127.0.0.1!443"]),
        ("udp!localhost!dns", ["/net/udp/clone 127.0.0.1!53"]),
        ("tcp![::1]!9fs", ["/net/tcp/clone ::1!564"]),
        ("tcp!*!http", ["/net/tcp/clone 80"]),
        ("tcp!gnot!17!rest", ["/net/tcp/clone 127.0.0.1!17!rest"]),
        ("il!helix!9fs", ["/net/il/clone helix!9fs"]),
        ("!protocol=udp", ["protocol=udp ipv4proto=17"]),
        ("!protocol=igmp", ["protocol=igmp ipv4proto=2"]),
        ("!protocol=ipv6-icmp", ["protocol=ipv6-icmp ipv4proto=58"]),
        ("tcp!127.0.0.1!nothing", "cs: can't translate service"),
        ("tcp!127.0.0.1", "cs: can't translate service"),
        ("", "cs: can't translate address"),
        ("!nothing=x", "cs: no match"),
        ("x" * 5000, "cs: can't translate address"),
        ("tcp!\xff\x01!1", "cs: can't translate address: dns: name does not exist"),
    ],
)
def test_cs_translates(question: str, answers: list[str] | str) -> None:
    with Kernel(engine="reference", net="127.0.0.1:1") as kernel:
        if isinstance(answers, list):
            assert asked(kernel.host, "cs", question) == answers
        else:
            with pytest.raises(Error) as error:
                asked(kernel.host, "cs", question)
            assert error.value.text == answers


def test_the_device_tells_what_programs_ask_for() -> None:
    with Kernel(engine="reference", net="host") as kernel:
        host = kernel.host
        assert {entry.name for entry in host.entries("/net")} == {
            "cs", "dns", "ndb", "iproute", "ipselftab", "log", "ipifc", "tcp", "udp",
        }  # fmt: skip
        for line in text(host, "/net/iproute").splitlines():
            address, mask, gateway, tag, *_ = line.split()
            assert ip_address(address).version == ip_address(gateway).version == int(tag[0])
            assert mask.startswith("/")
        assert text(host, "/net/ipifc/0/status").split()[:4] == ["device", "/dev/null", "maxmtu", "16384"]
        host.write("/net/ndb", b"ip=127.0.0.1 sys=gnot\n")
        assert text(host, "/net/ndb") == "ip=127.0.0.1 sys=gnot\n"


# -- tcp ---------------------------------------------------------------------------------------------------------------


def test_a_guest_calls_the_host(engine_name: str) -> None:
    with echo() as port, Kernel(engine=engine_name, timeout=60, net=[f"127.0.0.1:{port}"]) as kernel:
        holds(
            kernel,
            r"""
            char b[100]; int cfd, fd, n, i, k;
            static char big[300000]; int most = argv[2][0] == 'j' ? sizeof big : 20000;
            sprint(b, "127.0.0.1!%s", argv[1]);
            fd = dial("tcp", b, &cfd);
            check(fd >= 0);
            check(write(fd, "hello", 5) == 5 && read(fd, b, 100) == 5 && strncmp(b, "HELLO", 5) == 0);
            n = read(file("tcp", number(cfd), "status", OREAD), b, 99);
            check(n > 11 && strncmp(b, "Established", 11) == 0);
            n = read(file("tcp", number(cfd), "remote", OREAD), b, 99); b[n] = 0;
            check(strncmp(b, "127.0.0.1!", 10) == 0 && strncmp(b+10, argv[1], strlen(argv[1])) == 0 && b[n-1] == '\n');
            for(i = 0; i < most; i++) big[i] = 'a' + i % 23;
            if(rfork(RFPROC|RFMEM|RFNOWAIT) == 0){ check(write(fd, big, most) == most); exits(0); }
            for(k = 0; k < most; k += n){
                n = read(fd, b, 100);
                check(n > 0);
                for(i = 0; i < n; i++) check(b[i] == 'A' + (k+i) % 23);
            }
            check(ctl(cfd, "hangup") == 6);
            check(read(fd, b, 100) == 0);
            check(failed(write(fd, "x", 1), "i/o on hungup channel"));
            close(fd); close(cfd);
            fd = open("/net/tcp/0/status", OREAD);
            check(read(fd, b, 6) == 6 && strncmp(b, "Closed", 6) == 0);
            """,
            str(port),
            engine_name,
        )


def test_the_host_calls_a_guest(engine_name: str) -> None:
    with Kernel(engine=engine_name, timeout=60, net="listen:127.0.0.1:*") as kernel:
        proc = kernel.start_program(
            program(
                main(
                    r"""
            char b[100]; int afd, lfd, fd, n, i;
            afd = open("/net/tcp/clone", ORDWR);
            check(ctl(afd, "announce *!0") > 0);
            n = read(file("tcp", number(afd), "local", OREAD), b, 99);
            fd = create("/env/port", OWRITE, 0666);
            check(write(fd, b, n-1) == n-1);
            close(fd);
            for(i = 0; i < 3; i++){
                lfd = file("tcp", number(afd), "listen", ORDWR);
                check(lfd >= 0);
                if(rfork(RFPROC|RFFDG|RFNOWAIT) == 0){
                    fd = file("tcp", number(lfd), "data", ORDWR);
                    n = read(fd, b, 100);
                    check(n > 0 && write(fd, b, n) == n);
                    exits(0);
                }
                close(lfd);
            }
            """,
                    DIAL,
                )
            )
        )
        kernel.host.env = proc.env
        answers: list[bytes] = []

        def client() -> None:
            while not (place := proc.env.variables.get("port")) or b"!" not in place.value:
                time.sleep(0.001)
            port = int(bytes(place.value).rpartition(b"!")[2])
            for number in range(3):
                with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                    connection.sendall(b"%d" % number)
                    answers.append(connection.recv(100))

        thread = threading.Thread(target=client, daemon=True)
        thread.start()
        kernel.wait(proc)
        assert proc.status == ""
        assert kernel.serve(timeout=60)
        thread.join(20)
        assert answers == [b"0", b"1", b"2"]


def test_calls_that_fail_say_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with Kernel(engine="reference", net="host") as kernel:
        host = kernel.host
        for message, why in (
            (f"connect 127.0.0.1!{port}", "connection refused"), ("connect 127.0.0.1", "malformed address"),
            ("connect x!1", "bad ip address syntax"), ("connect", "bad args to connect"), ("connect 1!2 3 4", "bad args"),
            ("connect 127.0.0.1!99999999", "malformed address"), ("announce 192.0.2.1!80", "not a local IP address"),
            ("announce 1 2", "bad args to announce"), ("bind", "bad args to bind"), ("nonsense", "unknown control request"),
            ("", "short control request"), ("connect 127.0.0.1!1 192.0.2.9!1", "not a local IP address"),
        ):  # fmt: skip
            with pytest.raises(Error) as error:
                call(host, "tcp", message)
            assert why in error.value.text
        ctl, folder = call(host, "tcp", "announce 127.0.0.1!0")
        with pytest.raises(Error, match="connection in use"):
            say(host, ctl, b"connect 127.0.0.1!1")
        port = int(text(host, f"{folder}/local").rpartition("!")[2])
        with pytest.raises(Error, match="address in use"):
            call(host, "tcp", f"announce 127.0.0.1!{port}")
        with pytest.raises(Error, match="i/o on hungup channel"):
            host.read(f"{folder}/data")
        say(host, ctl, b"hangup")
        with pytest.raises(Error, match="listen hungup"):
            host.open(f"{folder}/listen", ORDWR)


def test_who_waits_for_a_call_or_for_data_can_be_killed_and_hung_up(engine_name: str) -> None:
    with echo() as port, Kernel(engine=engine_name, timeout=60, net="host") as kernel:
        holds(
            kernel,
            r"""
            char b[100]; int cfd, afd, fd, pid, n;
            sprint(b, "127.0.0.1!%s", argv[1]);
            fd = dial("tcp", b, &cfd);
            check(fd >= 0);
            afd = open("/net/tcp/clone", ORDWR);
            check(ctl(afd, "announce 127.0.0.1!0") > 0);
            if((pid = fork()) == 0){ read(fd, b, 1); exits("was not killed"); }
            until(pid, "Pread");
            post(pid, "kill");
            check(strcmp(wait(), "kill") == 0);
            if((pid = fork()) == 0){ check(file("tcp", number(afd), "listen", ORDWR) < 0); exits("hung up"); }
            if((n = fork()) == 0){ check(read(fd, b, 1) == 0); exits("hung up"); }
            until(pid, "Open"); until(n, "Pread");
            check(ctl(afd, "hangup") > 0 && ctl(cfd, "hangup") > 0);
            check(strcmp(wait(), "hung up") == 0 && strcmp(wait(), "hung up") == 0);
            """,
            str(port),
        )


def test_a_connection_that_is_being_made_can_be_hung_up(engine_name: str) -> None:
    """The host's queue is full, so that connecting takes its time."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with Kernel(engine=engine_name, timeout=60, net="host") as kernel:
            holds(
                kernel,
                r"""
                char b[100]; int cfd, pid;
                cfd = open("/net/tcp/clone", ORDWR);
                sprint(b, "connect 127.0.0.1!%s", argv[1]);
                if((pid = fork()) == 0){ check(failed(ctl(cfd, b), "i/o on hungup channel")); exits("hung up"); }
                until(pid, "Pwrite");
                check(ctl(cfd, "hangup") > 0);
                check(strcmp(wait(), "hung up") == 0);
                """,
                str(port),
            )


def test_numbers_without_end_were_errors_of_pythons() -> None:
    """int() refuses more than 4300 digits, and takes digits that are not ASCII."""
    with Kernel(engine="reference", net="host") as kernel:
        host = kernel.host
        call(host, "tcp")
        for digits in ("1" * 5000, "\u0661", "²", "+1", "1_0"):
            for message in (
                f"connect 127.0.0.1!{digits}",
                f"announce {digits}",
                f"connect {digits}!1",
                f"bind {digits}",
            ):
                with pytest.raises(Error, match=r"malformed address|bad ip address"):
                    call(host, "tcp", message)
            with pytest.raises(Error, match=r"does not exist|too long"):
                host.stat(f"/net/tcp/{digits}")


def test_a_name_with_a_zero_byte_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object) -> None:
        raise ValueError("embedded null character")  # as Python's has it

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with Kernel(engine="reference", net="host") as kernel:
        for server, question in (("dns", "a\0b ip"), ("cs", "tcp!a\0b!80")):
            with pytest.raises(Error, match="name does not exist"):
                asked(kernel.host, server, question)


def test_ipv6_is_an_address_like_any_other() -> None:
    try:
        server = echo(socket.AF_INET6)
        port = server.__enter__()
    except OSError:
        pytest.skip("this host has no IPv6")
    with contextlib.ExitStack() as stack, Kernel(engine="reference", net=f"[::1]:{port}") as kernel:
        stack.push(server)
        host = kernel.host
        _, folder = call(host, "tcp", f"connect ::1!{port}")
        data = host.open(f"{folder}/data", ORDWR)
        say(host, data, b"abc")
        assert hear(host, data) == b"ABC"
        assert text(host, f"{folder}/remote") == f"::1!{port}\n"


def test_conversations_have_an_end_and_are_used_again() -> None:
    with Kernel(engine="reference", net="host") as kernel:
        host = kernel.host
        chans = [host.open("/net/udp/clone", ORDWR) for _ in range(MOST_CONVERSATIONS)]
        with pytest.raises(Error, match="no free devices"):
            host.open("/net/udp/clone", ORDWR)
        chans[7].close()
        again = host.open("/net/udp/clone", ORDWR)
        assert hear(host, again) == b"7"
        with pytest.raises(Error, match="file does not exist"):
            host.stat(f"/net/udp/{MOST_CONVERSATIONS}")


# -- udp ---------------------------------------------------------------------------------------------------------------


def test_datagrams_to_one_place(engine_name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]

        def serve() -> None:
            while True:
                data, sender = server.recvfrom(1000)
                server.sendto(data.upper(), sender)
                if data == b"end":
                    return

        threading.Thread(target=serve, daemon=True).start()
        with Kernel(engine=engine_name, timeout=60, net=f"127.0.0.1:{port}/udp") as kernel:
            holds(
                kernel,
                r"""
                char b[100]; int cfd, fd;
                sprint(b, "127.0.0.1!%s", argv[1]);
                fd = dial("udp", b, &cfd);
                check(fd >= 0);
                check(write(fd, "one", 3) == 3 && write(fd, "three", 5) == 5);
                check(read(fd, b, 100) == 3 && strncmp(b, "ONE", 3) == 0);
                check(read(fd, b, 2) == 2 && strncmp(b, "TH", 2) == 0);	/* the rest of a datagram is lost */
                check(write(fd, "end", 3) == 3 && read(fd, b, 100) == 3 && b[0] == 'E');
                check(read(file("udp", number(cfd), "status", OREAD), b, 4) == 4 && strncmp(b, "Open", 4) == 0);
                """,
                str(port),
            )


def test_datagrams_with_headers_go_only_where_they_may() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(20)
        port = peer.getsockname()[1]
        rules = [f"127.0.0.1:{port}/udp", "listen:127.0.0.1:*/udp"]
        with Kernel(engine="reference", net=rules) as kernel:
            host = kernel.host
            _, folder = call(host, "udp", "announce 127.0.0.1!0", "headers")
            own = int(text(host, f"{folder}/local").rpartition("!")[2])
            data = host.open(f"{folder}/data", ORDWR)
            peer.sendto(b"question", ("127.0.0.1", own))
            found = hear(host, data)
            mapped = bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1])
            assert found == mapped + mapped + bytes(16) + struct.pack("!HH", port, own) + b"question"
            assert say(host, data, found[:52] + b"answer") == 58
            assert peer.recv(100) == b"answer"
            for address, where, error in (
                (mapped[:-1] + b"\x02", port, "permission denied"), (mapped, 9, "permission denied"),
                (bytes(15) + b"\x01", port, "permission denied"), (bytes(16), port, "permission denied"),
            ):  # fmt: skip
                with pytest.raises(Error, match=error):
                    say(host, data, address + bytes(32) + struct.pack("!HH", where, own) + b"x")
            with pytest.raises(Error, match="i/o count too small"):
                say(host, data, b"short")
            with pytest.raises(Error, match="read or write too large"):
                say(host, data, found[:52] + bytes(70_000))


def test_a_server_for_everybody_is_one_where_it_is_granted() -> None:
    with Kernel(engine="reference", net="listen:127.0.0.1:0-65535") as kernel:
        host = kernel.host
        _, folder = call(host, "tcp", "announce 0")
        assert text(host, f"{folder}/local").startswith("127.0.0.1!")
    with Kernel(engine="reference", net="host") as kernel:
        host = kernel.host
        _, folder = call(host, "tcp", "announce *!0")
        address, _, port = text(host, f"{folder}/local").strip().partition("!")
        assert address in {"::", "0.0.0.0"}
        with socket.create_connection(("127.0.0.1", int(port)), timeout=60):
            chan = host.open(f"{folder}/listen", ORDWR)
            remote = text(host, f"/net/tcp/{hear(host, chan).decode()}/remote")
            assert remote.startswith("127.0.0.1!")


WORDS = st.sampled_from([
    "connect", "announce", "bind", "hangup", "close", "headers", "keepalive", "ttl", "127.0.0.1!1", "*!0", "0", "::1!1", "!", "!!",
    "1!2!3", "127.0.0.1!0", "127.0.0.1!65536", "-1", "[::1]!1", "::ffff:127.0.0.1!1", "0.0.0.0!1", "::!1", "r", "127.0.0.1!1!r", "\0",
    "x" * 300, "255.255.255.255!9", "224.0.0.1!9", "1e1", "\u0661", "fe80::1%lo!1",
])  # fmt: skip
MESSAGES = st.one_of(st.lists(WORDS, max_size=4).map(" ".join).map(str.encode), st.binary(max_size=60))


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["tcp", "udp"]),
    st.lists(st.tuples(st.sampled_from(["ctl", "data", "cs", "dns", "ndb"]), MESSAGES), max_size=8),
)
def test_whatever_is_written_to_net_is_done_or_is_an_error(protocol: str, writes: list[tuple[str, bytes]]) -> None:
    """Only the loopback, and no port of it where anybody listens, is granted; nobody is asked for names."""
    rules = ["127.0.0.1:1", "127.0.0.1:1/udp", "listen:127.0.0.1:0", "listen:127.0.0.1:0/udp", "[::1]:1"]
    with Kernel(engine="reference", net=rules) as kernel:
        host = kernel.host
        host.patience = 1.0
        chans = {"ctl": host.open(f"/net/{protocol}/clone", ORDWR)}
        chans["data"] = host.open(f"/net/{protocol}/0/data", ORDWR)
        chans |= {name: host.open(f"/net/{name}", ORDWR) for name in ("cs", "dns", "ndb")}
        for name, data in writes:
            with contextlib.suppress(Error):
                say(host, chans[name], data)
            for each in ("ctl", "local", "remote", "status"):
                assert text(host, f"/net/{protocol}/0/{each}")
            for server in ("cs", "dns", "ndb"):
                hear(host, chans[server], 100)
        for chan in chans.values():
            chan.close()
        assert text(host, f"/net/{protocol}/0/status").startswith("Closed")


def test_datagrams_from_everybody_are_calls_from_each(engine_name: str) -> None:
    """Without headers each sender is a conversation, as in Plan 9."""
    with Kernel(engine=engine_name, timeout=60, net="host") as kernel:
        proc = kernel.start_program(
            program(
                main(
                    r"""
            char b[100]; int afd, lfd, fd, n, i, k;
            afd = open("/net/udp/clone", ORDWR);
            check(ctl(afd, "announce 127.0.0.1!0") > 0);
            check(read(file("udp", number(afd), "data", ORDWR), b, 10) < 0);
            n = read(file("udp", number(afd), "local", OREAD), b, 99);
            fd = create("/env/port", OWRITE, 0666);
            check(write(fd, b, n-1) == n-1);
            close(fd);
            for(i = 0; i < 3; i++){
                lfd = file("udp", number(afd), "listen", ORDWR);
                check(lfd >= 0);
                if(rfork(RFPROC|RFFDG) == 0){
                    fd = file("udp", number(lfd), "data", ORDWR);
                    for(k = 0; k < 3; k++){
                        n = read(fd, b, 100);
                        check(n > 0 && write(fd, b, n) == n);
                    }
                    exits("three");
                }
                close(lfd);
            }
            for(i = 0; i < 3; i++) check(strcmp(wait(), "three") == 0);
            """,
                    DIAL,
                )
            )
        )
        answers: dict[int, list[bytes]] = {}

        def clients() -> None:
            while not (place := proc.env.variables.get("port")) or b"!" not in place.value:
                time.sleep(0.001)
            port = int(bytes(place.value).rpartition(b"!")[2])
            with contextlib.ExitStack() as stack:
                made = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)]
                for turn in range(3):
                    for number, each in enumerate(made):
                        each.settimeout(20)
                        each.sendto(b"%d of %d" % (turn, number), ("127.0.0.1", port))
                    for number, each in enumerate(made):
                        answers.setdefault(number, []).append(each.recv(100))

        thread = threading.Thread(target=clients, daemon=True)
        thread.start()
        kernel.wait(proc)
        thread.join(20)
        assert proc.status == ""
        assert answers == {number: [b"%d of %d" % (turn, number) for turn in range(3)] for number in range(3)}
