"""What is exported by 9P2000: to plan9port's client, to clients that misbehave, while processes run and while none do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import py9p
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan9_programs import main, program

from vx32py.plan9 import Error, File, Kernel, Opened
from vx32py.plan9.chan import Qid
from vx32py.plan9.ninep import codec
from vx32py.plan9.stat import Dir


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel(engine="reference", timeout=60) as made:
        yield made


class Client:
    """A client of plan9port's in a thread of its own; what it raises comes out of :meth:`join`."""

    def __init__(self, connect: Callable[[], socket.socket], work: Callable[[py9p.Client], None]) -> None:
        self._failures: list[BaseException] = []
        self._connect = connect
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with contextlib.closing(self._connect()) as connection, py9p.Client(connection) as client:
                client.negotiate()
                client.attach(1, uname="glenda")
                self._work(client)
        except BaseException as error:  # noqa: BLE001
            self._failures.append(error)

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        for failure in self._failures:
            raise failure


def content(client: py9p.Client, fid: int, *names: str) -> bytes:
    client.walk(1, fid, list(names))
    client.open(fid, py9p.OREAD)
    found = b""
    while piece := client.read(fid, 8000, len(found)):
        found += piece
    client.clunk(fid)
    return found


def test_everybody_who_connects_is_served(kernel: Kernel) -> None:
    kernel.host.write("/tmp/file", b"served")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listener = kernel.export(listening, "/tmp")
        address = listening.getsockname()

    def work(client: py9p.Client) -> None:
        assert content(client, 2, "file") == b"served"

    clients = [Client(lambda: socket.create_connection(address), work) for _ in range(5)]
    assert not kernel.serve(listener, timeout=0.5)
    for client in clients:
        client.join()
    listener.close()
    assert listener.ended
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_connection_is_served_to_its_end(kernel: Kernel) -> None:
    ours, theirs = socket.socketpair()
    export = kernel.export(ours, "/tmp")
    ours.close()  # the kernel has one of its own

    def work(client: py9p.Client) -> None:
        client.walk(1, 2, [])
        client.create(2, "made", 0o666, py9p.OWRITE)
        client.write(2, b"content")

    client = Client(lambda: theirs, work)
    assert kernel.serve(export, timeout=60)
    client.join()
    assert kernel.host.read("/tmp/made") == b"content"


def test_what_is_exported_for_reading_cannot_be_changed(kernel: Kernel) -> None:
    kernel.host.write("/tmp/file", b"as it was")
    ours, theirs = socket.socketpair()
    export = kernel.export(ours, "/tmp", writable=False)
    ours.close()

    def work(client: py9p.Client) -> None:
        assert content(client, 2, "file") == b"as it was"
        client.walk(1, 3, [])
        attempts: list[Callable[[], Any]] = [
            lambda: client.create(3, "new", 0o666, py9p.OWRITE),
            lambda: client.open(4, py9p.OWRITE),
            lambda: client.open(4, py9p.OREAD | 0x10),
            lambda: client.open(4, py9p.OREAD | 0x40),
            lambda: client.wstat(4, client.stat(4)),
            lambda: client.remove(4),
        ]
        client.walk(1, 4, ["file"])
        for attempt in attempts:
            with pytest.raises(py9p.RemoteError, match="permission denied"):
                attempt()

    client = Client(lambda: theirs, work)
    assert kernel.serve(export, timeout=60)
    client.join()
    assert kernel.host.read("/tmp/file") == b"as it was"


def test_a_client_and_a_guest_meet_in_a_pipe_of_the_name_space(engine_name: str) -> None:
    """A guest posts a pipe in /srv, a client writes to it from outside, and reads the answer."""
    with Kernel(engine=engine_name, timeout=60) as kernel:
        ours, theirs = socket.socketpair()
        export = kernel.export(ours)
        ours.close()
        proc = kernel.start_program(
            program(
                main(
                    """
            int fd, p[2], n; char b[100];
            check(pipe(p) == 0);
            fd = create("/srv/meet", OWRITE, 0666);
            n = sprint(b, "%d", p[1]);
            check(write(fd, b, n) == n);
            close(fd); close(p[1]);
            n = read(p[0], b, 100);
            check(n == 5);
            for(n = 0; n < 5; n++) b[n] -= 32;
            check(write(p[0], b, 5) == 5);
            """
                )
            )
        )

        def work(client: py9p.Client) -> None:
            for _ in range(1000):
                try:
                    client.walk(1, 2, ["srv", "meet"])
                    break
                except py9p.NinePError:
                    continue
            client.open(2, py9p.ORDWR)
            client.write(2, b"hello")
            assert client.read(2, 100) == b"HELLO"

        client = Client(lambda: theirs, work)
        assert kernel.serve(export, timeout=60)
        client.join()
        kernel.wait(proc)
        assert proc.status == ""


def test_a_request_that_waits_can_be_flushed_and_no_answer_is_torn(kernel: Kernel) -> None:
    """Reads of a pipe wait; they are flushed while long answers are on their way."""
    host = kernel.host
    host.write("/tmp/long", bytes(60_000))

    class Silent(File):
        def read(self, opened: Opened, count: int, offset: int) -> bytes:
            from vx32py.plan9 import WouldBlock

            raise WouldBlock(lambda: False)

    kernel.bind({"silent": Silent()}, "/mnt/app")
    ours, theirs = socket.socketpair()
    export = kernel.export(ours)
    ours.close()
    theirs.settimeout(20)
    requests = [
        codec.pack("Tversion", 0xFFFF, msize=64 << 10, version="9P2000"),
        codec.pack("Tattach", 1, fid=1, afid=0xFFFF_FFFF, uname="u", aname=""),
        codec.pack("Twalk", 1, fid=1, newfid=2, wname=["mnt", "app", "silent"]),
        codec.pack("Twalk", 1, fid=1, newfid=3, wname=["tmp", "long"]),
        codec.pack("Topen", 1, fid=2, mode=0),
        codec.pack("Topen", 1, fid=3, mode=0),
    ]
    answers: list[codec.Message] = []

    def receive(count: int) -> None:
        for _ in range(count):
            size = int.from_bytes(exactly(4), "little")
            answers.append(codec.unpack(size.to_bytes(4, "little") + exactly(size - 4)))

    def exactly(count: int) -> bytes:
        found = b""
        while len(found) < count:
            found += theirs.recv(count - len(found)) or b"\xff" * count
        return found

    def work() -> None:
        for request in requests:
            theirs.sendall(request)
            receive(1)
        for tag in range(10, 30):
            theirs.sendall(codec.pack("Tread", tag, fid=2, offset=0, count=100))
            theirs.sendall(codec.pack("Tread", 1, fid=3, offset=0, count=60_000))
            theirs.sendall(codec.pack("Tflush", 2, oldtag=tag))
            receive(2)
            if answers[-1].tag == tag or answers[-2].tag == tag:  # it may be answered, but before the flush is
                receive(1)
        theirs.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert kernel.serve(export, timeout=60)
    thread.join(10)
    kinds = [answer.name for answer in answers]
    assert kinds.count("Rread") == kinds.count("Rflush") == 20
    assert all(len(answer["data"]) == 60_000 for answer in answers if answer.name == "Rread")


def test_an_error_of_the_applications_is_answered_and_told(kernel: Kernel) -> None:
    class Broken(File):
        def read(self, opened: Opened, count: int, offset: int) -> bytes:
            raise ValueError("mine")

    kernel.bind({"broken": Broken()}, "/mnt/app")
    ours, theirs = socket.socketpair()
    export = kernel.export(ours)
    ours.close()

    def work(client: py9p.Client) -> None:
        client.walk(1, 2, ["mnt", "app", "broken"])
        client.open(2, py9p.OREAD)
        with pytest.raises(py9p.RemoteError, match="i/o error"):
            client.read(2, 10)
        assert client.stat(2).name == "broken"

    client = Client(lambda: theirs, work)
    with pytest.raises(ValueError, match="mine"):
        kernel.serve(export, timeout=60)
    assert kernel.serve(export, timeout=60)
    client.join()


def test_only_a_directory_is_exported(kernel: Kernel) -> None:
    kernel.host.write("/tmp/file", b"")
    for root, text in (("/nothing", "file does not exist"), ("/tmp/file", "not a directory")):
        ours, theirs = socket.socketpair()
        with ours, theirs, pytest.raises(Error, match=text):
            kernel.export(ours, root)


FIDS = st.integers(0, 4)
NAMES = st.sampled_from(
    ["tmp", "f", "d", "..", ".", "", "dev", "null", "env", "a/b", "x\x01", "proc", "1", "srv", "fd"]
)
COUNTS = st.integers(0, 1 << 32).map(lambda value: min(value, (1 << 32) - 1))
REQUESTS = st.one_of(
    st.builds(lambda **f: ("Twalk", f), fid=FIDS, newfid=FIDS, wname=st.lists(NAMES, max_size=6)),
    st.builds(lambda **f: ("Topen", f), fid=FIDS, mode=st.integers(0, 255)),
    st.builds(lambda **f: ("Tcreate", f), fid=FIDS, name=NAMES, perm=COUNTS, mode=st.integers(0, 255)),
    st.builds(lambda **f: ("Tread", f), fid=FIDS, offset=st.sampled_from([0, 1, 100, 1 << 63, (1 << 64) - 1]), count=COUNTS),
    st.builds(lambda **f: ("Twrite", f), fid=FIDS, offset=st.sampled_from([0, 1, 100, 1 << 40, (1 << 64) - 1]),
              data=st.binary(max_size=20)),
    st.builds(lambda **f: ("Tclunk", f), fid=FIDS), st.builds(lambda **f: ("Tremove", f), fid=FIDS),
    st.builds(lambda **f: ("Tstat", f), fid=FIDS), st.builds(lambda **f: ("Tflush", f), oldtag=st.integers(0, 5)),
    st.builds(lambda **f: ("Tattach", f), fid=FIDS, afid=st.just(codec.NOFID), uname=NAMES, aname=st.just("")),
    st.builds(lambda **f: ("Tversion", f), msize=COUNTS, version=st.sampled_from(["9P2000", "9P2000.u", ""])),
    st.builds(lambda name, **f: ("Twstat", {**f, "stat": Dir(name=name, mode=f.pop("mode"), length=f.pop("length")).pack()}),
              name=NAMES, fid=FIDS, mode=COUNTS, length=st.sampled_from([0, 10, 1 << 62, (1 << 64) - 1])),
    st.builds(lambda **f: ("Twstat", f), fid=FIDS, stat=st.binary(max_size=60)),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(REQUESTS, max_size=40))
def test_whatever_a_client_asks_for_it_gets_an_answer_or_waits(requests: list[tuple[str, dict[str, Any]]]) -> None:
    with Kernel(engine="reference") as kernel:
        host = kernel.host
        host.write("/tmp/f", b"content")
        host.make_directory("/tmp/d")
        ours, theirs = socket.socketpair()
        export = kernel.export(ours)
        ours.close()
        theirs.setblocking(False)
        asked: list[tuple[str, dict[str, Any]]] = [
            ("Tversion", {"msize": 8192, "version": "9P2000"}),
            ("Tattach", {"fid": 0, "afid": codec.NOFID, "uname": "glenda", "aname": ""}),
            *requests,
        ]
        received, free = b"", list(range(1, 200))
        for name, fields in asked:
            theirs.sendall(codec.pack(name, free.pop(), **fields))
            for _ in range(5):
                host.attend()
            with contextlib.suppress(BlockingIOError):
                received += theirs.recv(1 << 20)
        answers = []
        while received:
            size = int.from_bytes(received[:4], "little")
            answers.append(codec.unpack(received[:size]))
            received = received[size:]
        assert len({answer.tag for answer in answers}) == len(answers)
        assert all(answer.name[0] == "R" for answer in answers)
        assert not export.ended
        theirs.close()
        for _ in range(5):
            host.attend()
        assert export.ended
        assert isinstance(host.stat("/dev/null").qid, Qid)
