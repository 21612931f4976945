"""9P2000: the codec against plan9port's (py9p), a server of ours and a client of plan9port's, and servers that misbehave."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import py9p
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vx32py.plan9 import stat
from vx32py.plan9.chan import Chan, Qid
from vx32py.plan9.errors import Error
from vx32py.plan9.host import Host
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.ninep import codec
from vx32py.plan9.ninep.codec import BadMessage
from vx32py.plan9.stat import Dir

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
OFFSET = st.integers(0, (1 << 63) - 1)
QID = st.builds(Qid, U64, U32, st.integers(0, 255))
DATA = st.binary(max_size=100)
#: The types of messages, with our fields: their names are plan9port's, but for the ones that are mapped.
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "Tversion": {"msize": U32, "version": TEXT}, "Rversion": {"msize": U32, "version": TEXT},
    "Tauth": {"afid": U32, "uname": TEXT, "aname": TEXT}, "Rauth": {"aqid": QID},
    "Tattach": {"fid": U32, "afid": U32, "uname": TEXT, "aname": TEXT}, "Rattach": {"qid": QID},
    "Rerror": {"ename": TEXT}, "Tflush": {"oldtag": U16}, "Rflush": {},
    "Twalk": {"fid": U32, "newfid": U32, "wname": st.lists(TEXT, max_size=16)},
    "Rwalk": {"wqid": st.lists(QID, max_size=16)}, "Topen": {"fid": U32, "mode": st.integers(0, 255)},
    "Ropen": {"qid": QID, "iounit": U32},
    "Tcreate": {"fid": U32, "name": TEXT, "perm": U32, "mode": st.integers(0, 255)},
    "Rcreate": {"qid": QID, "iounit": U32}, "Tread": {"fid": U32, "offset": OFFSET, "count": U32},
    "Rread": {"data": DATA}, "Twrite": {"fid": U32, "offset": OFFSET, "data": DATA}, "Rwrite": {"count": U32},
    "Tclunk": {"fid": U32}, "Rclunk": {}, "Tremove": {"fid": U32}, "Rremove": {}, "Tstat": {"fid": U32}, "Rwstat": {},
}  # fmt: skip
MESSAGES = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: st.tuples(st.just(name), U16, st.fixed_dictionaries(FIELDS[name]))
)
DIRS = st.builds(
    Dir, name=TEXT, qid=QID, mode=U32, atime=U32, mtime=U32, length=OFFSET, uid=TEXT, gid=TEXT, muid=TEXT, type=U16, dev=U32
)  # fmt: skip


def theirs(value: Any) -> Any:
    """A value as plan9port's has it."""
    if isinstance(value, Qid):
        return py9p.Qid(value.type, value.version, value.path)
    if isinstance(value, list):
        return tuple(theirs(each) for each in value)
    return value


@given(MESSAGES)
def test_messages_are_plan9ports(message: tuple[str, int, dict[str, Any]]) -> None:
    name, tag, fields = message
    data = codec.pack(name, tag, **fields)
    other = getattr(py9p, name)(tag=tag, **{key: theirs(value) for key, value in fields.items()})
    assert py9p.encode_message(other) == data
    ours = codec.unpack(data)
    assert (ours.name, ours.tag, ours.fields) == (name, tag, fields)


@given(DIRS)
def test_directory_entries_are_plan9ports(entry: Dir) -> None:
    data = entry.pack()
    assert data == py9p.encode_dir(
        py9p.Dir(
            entry.type, entry.dev, theirs(entry.qid), entry.mode, entry.atime, entry.mtime, entry.length, entry.name,
            entry.uid, entry.gid, entry.muid,
        )
    )  # fmt: skip
    assert Dir.unpack(data) == entry
    for message in ("Rstat", "Twstat"):
        fields = {"stat": data} if message == "Rstat" else {"fid": 1, "stat": data}
        assert codec.unpack(codec.pack(message, 1, **fields)).fields == fields


@given(MESSAGES, st.data())
def test_damaged_messages_are_refused_or_read_as_plan9port_reads_them(message: Any, data: st.DataObject) -> None:
    name, tag, fields = message
    damaged = bytearray(codec.pack(name, tag, **fields))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(damaged)))] if data.draw(st.booleans()) else damaged
    try:
        ours = codec.unpack(bytes(damaged))
    except BadMessage:
        return
    assert codec.pack(ours.name, ours.tag, **ours.fields) == bytes(damaged)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_entries_are_refused(data: bytes) -> None:
    try:
        found = stat.unpack_all(data)
    except Error as error:
        text = error.text
    else:
        text = "malformed stat buffer"
        assert b"".join(each.pack() for each in found) == data
    assert text == "malformed stat buffer"


# -- our server, plan9port's client ------------------------------------------------------------------------------------


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    with Kernel(engine="reference", timeout=60) as made:
        yield made


def served(host: Host, work: Callable[[py9p.Client], None], root: str = "/") -> None:
    """Let a client of plan9port's do something with what is exported, in a thread of its own."""
    ours, other = socket.socketpair()
    chan = host.stream(ours.detach(), owned=True)
    export = host.export(chan, root)
    chan.close()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with py9p.Client(other) as client:
                client.negotiate()
                work(client)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)
        finally:
            other.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive() and not failures:
        host.attend()
        thread.join(0.001)
    for _ in range(100):
        host.attend()
    assert not failures, failures
    assert export.ended


def reached(client: py9p.Client, fid: int, newfid: int, names: list[str]) -> bool:
    """Whether a walk leads anywhere."""
    try:
        client.walk(fid, newfid, names)
        client.stat(newfid)
    except py9p.NinePError:
        return False
    return True


def test_plan9ports_client_reads_and_writes_what_we_export(kernel: Kernel) -> None:
    host = kernel.host
    host.write("/tmp/f", b"x" * 100_000)
    host.make_directory("/tmp/d")
    host.bind("/tmp/d", "/n")

    def work(client: py9p.Client) -> None:
        client.attach(1, uname="glenda")
        client.walk(1, 2, ["tmp", "f"])
        client.open(2, py9p.OREAD)
        pieces: list[bytes] = []
        while piece := client.read(2, 8000, sum(len(each) for each in pieces)):
            pieces.append(piece)
        assert b"".join(pieces) == b"x" * 100_000
        client.walk(1, 3, ["tmp"])
        client.create(3, "new", 0o644, py9p.ORDWR)
        assert client.write(3, b"hello") == 5
        assert client.stat(3).length == 5
        assert client.stat(3).name == "new"
        client.clunk(3)
        client.walk(1, 4, ["tmp", "new"])
        client.remove(4)
        for names in (["nothing"], ["tmp", "new"]):
            assert not reached(client, 1, 5, names)
        with pytest.raises(py9p.RemoteError, match="unknown fid"):
            client.clunk(77)

    served(host, work)
    assert "new" not in [entry.name for entry in host.entries("/tmp")]


def test_nobody_gets_above_what_is_exported(kernel: Kernel) -> None:
    host = kernel.host
    host.make_directory("/tmp/d")
    host.write("/tmp/secret", b"")
    host.write("/tmp/d/f", b"")

    def work(client: py9p.Client) -> None:
        client.attach(1, uname="glenda")
        client.walk(1, 2, ["..", "..", ".."])
        assert client.stat(2).qid == client.stat(1).qid
        for names in (["..", "secret"], ["secret"], ["f", "..", "secret"], ["../secret"], ["/tmp/secret"], ["#c"]):
            assert not reached(client, 1, 3, names)

    served(host, work, "/tmp/d")


# -- our client, our server --------------------------------------------------------------------------------------------


def mounted(host: Host, root: str, where: str) -> None:
    """What is exported from one end of a socket pair is mounted from the other one."""
    ends = [host.stream(each.detach(), owned=True) for each in socket.socketpair()]
    host.export(ends[0], root)
    host.mount(ends[1], where, 4)
    for end in ends:
        end.close()


def test_what_is_exported_and_mounted_is_the_same(kernel: Kernel) -> None:
    host = kernel.host
    content = random.Random(5).randbytes(200_000)
    mounted(host, "/tmp", "/n")
    host.write("/n/file", content)
    assert host.read("/tmp/file") == content == host.read("/n/file")
    host.make_directory("/n/folder")
    for number in range(300):
        host.write(f"/n/folder/{number}", b"")
    assert [each.name for each in host.entries("/n/folder")] == [str(number) for number in range(300)]
    assert [each.name for each in host.entries("/n/folder/..")] == ["file", "folder"]
    host.remove("/n/file")
    with pytest.raises(Error, match="'/n/file' file does not exist"):
        host.stat("/n/file")
    with pytest.raises(Error, match="directory not empty"):
        host.remove("/n/folder")


def test_mounts_of_mounts_have_an_end(kernel: Kernel) -> None:
    host = kernel.host
    host.write("/tmp/file", b"deep")
    mounted(host, "/tmp", "/n")
    for name in ("mnt", "net"):
        mounted(host, "/n", f"/{name}")
        assert host.read(f"/{name}/file") == b"deep"


# -- servers that lie, send garbage, or say nothing --------------------------------------------------------------------

Answer = Callable[[codec.Message], "bytes | None"]


def honest(message: codec.Message) -> bytes:
    """What a server says that has one file, whatever the name."""
    folder, file = Qid(1, 0, 0x80), Qid(2, 0, 0)
    fields: dict[str, dict[str, Any]] = {
        "Tversion": {"msize": 8192, "version": "9P2000"}, "Tattach": {"qid": folder}, "Tread": {"data": b"abc"},
        "Topen": {"qid": file, "iounit": 0}, "Tcreate": {"qid": file, "iounit": 0}, "Twrite": {"count": 1},
        "Tstat": {"stat": Dir("f", file, 0o666, 0, 0, 3, "u", "u", "u").pack()},
    }  # fmt: skip
    answer = fields.get(message.name, {})
    if message.name == "Twalk":
        answer = {"wqid": [file for _ in message["wname"]]}
    return codec.pack("R" + message.name[1:], message.tag, **answer)


def with_server(host: Host, answer: Answer, work: Callable[[Host], Any]) -> Any:
    """Do something with what such a server has at /n, while it is served by a thread."""
    ours, other = socket.socketpair()
    chan = host.stream(ours.detach(), owned=True)

    def serve() -> None:
        buffer = b""
        while True:
            try:
                piece = other.recv(65536)
            except OSError:
                return
            if not piece:
                return
            buffer += piece
            while len(buffer) >= 4 and len(buffer) >= int.from_bytes(buffer[:4], "little"):
                size = int.from_bytes(buffer[:4], "little")
                said = answer(codec.unpack(buffer[:size]))
                buffer = buffer[size:]
                if said is None:
                    other.shutdown(socket.SHUT_RDWR)
                    return
                try:
                    other.sendall(said)
                except OSError:  # nobody listens any more
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        host.mount(chan, "/n", 4)
        return work(host)
    finally:
        chan.close()
        other.close()


def instead(kind: str, said: Callable[[codec.Message], bytes | None]) -> Answer:
    return lambda message: said(message) if message.name == kind else honest(message)


def test_the_honest_server_is_believed(kernel: Kernel) -> None:
    assert with_server(kernel.host, honest, lambda host: host.open("/n/f").device.letter) == "M"


LIES: list[tuple[str, str, Callable[[codec.Message], bytes | None], str]] = [
    (
        "another version",
        "Tversion",
        lambda m: codec.pack("Rversion", m.tag, msize=8192, version="9P2001"),
        "bad 9P version",
    ),
    (
        "larger messages",
        "Tversion",
        lambda m: codec.pack("Rversion", m.tag, msize=1 << 31, version="9P2000"),
        "increase msize",
    ),
    ("tiny messages", "Tversion", lambda m: codec.pack("Rversion", m.tag, msize=8, version="9P2000"), "nonsense value"),
    ("an error for a version", "Tversion", lambda m: codec.pack("Rerror", m.tag, ename="go away"), "go away"),
    ("garbage for a version", "Tversion", lambda m: b"\xff" * 64, "bad fversion conversion"),
    ("another answer for a version", "Tversion", lambda m: codec.pack("Rclunk", m.tag), "unexpected reply type"),
    ("the end for a version", "Tversion", lambda m: None, "EOF receiving|i/o on hungup"),
    ("the end", "Topen", lambda m: None, "i/o on hungup channel"),
    ("another answer", "Topen", lambda m: codec.pack("Rclunk", m.tag), "mount rpc error"),
    ("a request", "Topen", lambda m: codec.pack("Tclunk", m.tag, fid=1), "mount rpc error"),
    ("a size of nothing", "Topen", lambda m: bytes(7), "mount rpc error"),
    ("a size of 4 GiB", "Topen", lambda m: b"\xff" * 7, "mount rpc error"),
    ("a type that is none", "Topen", lambda m: struct.pack("<IBH", 7, 99, m.tag), "mount rpc error"),
    ("half a message", "Topen", lambda m: struct.pack("<IBHB", 8, 113, m.tag, 0), "mount rpc error"),
    ("answers to nobody", "Topen", lambda m: codec.pack("Rclunk", 0x7777) * 1000, "mount rpc error"),
    ("too many qids", "Twalk", lambda m: codec.pack("Rwalk", m.tag, wqid=[Qid(1)] * 16), "too many QIDs"),
    ("no qids", "Twalk", lambda m: codec.pack("Rwalk", m.tag, wqid=[]), "mount rpc error|does not exist"),
    ("a long error", "Topen", lambda m: codec.pack("Rerror", m.tag, ename="e" * 5000), "^e{127}$"),
    (
        "more data than room",
        "Tread",
        lambda m: codec.pack("Rread", m.tag, data=bytes(m["count"] + 1)),
        "mount rpc error",
    ),
    ("more written than sent", "Twrite", lambda m: codec.pack("Rwrite", m.tag, count=100), "mount rpc error"),
    ("a bad entry", "Tstat", lambda m: codec.pack("Rstat", m.tag, stat=b"\xff" * 60), "malformed stat buffer"),
    ("an entry of nothing", "Tstat", lambda m: codec.pack("Rstat", m.tag, stat=b""), "malformed stat buffer"),
    (
        "a bad directory",
        "Topen",
        lambda m: codec.pack("Ropen", m.tag, qid=Qid(2, 0, 0x80), iounit=0),
        "malformed stat buffer",
    ),
]


@pytest.mark.parametrize(("kind", "said", "text"), [each[1:] for each in LIES], ids=[each[0] for each in LIES])
def test_lies_end_in_an_error(kernel: Kernel, kind: str, said: Any, text: str) -> None:
    def work(host: Host) -> None:
        if kind == "Tstat":
            host.stat("/n/f")
        elif kind == "Twrite":
            host.write("/n/f", b"abc")
        else:
            host.entries("/n/f")

    with pytest.raises(Error, match=text):
        with_server(kernel.host, instead(kind, said), work)
    kernel.host.write("/tmp/f", b"all the rest is unharmed")


def test_files_and_directories_without_end_are_not_read_for_ever(kernel: Kernel) -> None:
    def directory(message: codec.Message) -> bytes:
        if message.name == "Topen":
            return codec.pack("Ropen", message.tag, qid=Qid(2, 0, 0x80), iounit=0)
        if message.name == "Tread":
            entry = Dir("x", Qid(3), 0o444, 0, 0, 0, "u", "u", "u").pack()
            return codec.pack("Rread", message.tag, data=entry * (message["count"] // len(entry)))
        return honest(message)

    def read(host: Host) -> None:
        with pytest.raises(Error, match="read or write too large"):
            host.read("/n/f", 100_000)

    def entries(host: Host) -> None:
        with pytest.raises(Error, match="read or write too large"):
            host.entries("/n/f", 5000)

    def full(message: codec.Message) -> bytes:
        return codec.pack("Rread", message.tag, data=bytes(message["count"]))

    with_server(kernel.host, instead("Tread", full), read)
    with_server(kernel.host, directory, entries)


def test_a_server_that_stops_answering_can_be_left(kernel: Kernel) -> None:
    host = kernel.host
    flushed = threading.Event()

    def silent(message: codec.Message) -> bytes:
        if message.name == "Tflush":
            flushed.set()
        return b"" if message.name == "Topen" else honest(message)

    def work(host: Host) -> None:
        from vx32py.plan9 import naming

        with pytest.raises(Error, match="interrupted"):
            host.do(naming.open_file(host, "/n/f", 0), timeout=0.1)
        host.attend()
        assert flushed.wait(10)
        with pytest.raises(Error, match="interrupted"):
            host.do(naming.open_file(host, "/n/f", 0), timeout=0.1)
        assert host.stat("/n/f").length == 3  # others are answered

    with_server(host, silent, work)


@pytest.mark.parametrize("seed", range(8))
def test_a_server_that_answers_at_random_does_no_harm(kernel: Kernel, seed: int) -> None:
    random_ = random.Random(seed)

    def damaged(message: codec.Message) -> bytes | None:
        said = bytearray(honest(message))
        if message.name == "Tversion" or random_.random() < 0.5:
            return bytes(said)
        for _ in range(random_.randrange(1, 4)):
            said[random_.randrange(len(said))] = random_.randrange(256)
        return bytes(said)

    def work(host: Host) -> None:
        for _ in range(10):
            for action in (host.stat, lambda name: host.open(name).close(), host.entries):
                with contextlib.suppress(Error):
                    action("/n/f")

    kernel.host.patience = 0.05
    with contextlib.suppress(Error):
        with_server(kernel.host, damaged, work)
    kernel.host.write("/tmp/f", b"all the rest is unharmed")


def test_a_client_that_sends_garbage_is_left(kernel: Kernel) -> None:
    host = kernel.host
    for garbage in (b"\xff" * 100, bytes(100), os.urandom(100), codec.pack("Rclunk", 1)):
        ours, other = socket.socketpair()
        chan: Chan = host.stream(ours.detach(), owned=True)
        export = host.export(chan)
        chan.close()
        other.sendall(garbage)
        other.shutdown(socket.SHUT_WR)
        for _ in range(50):
            host.attend()
        assert export.ended
        other.close()
