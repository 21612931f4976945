"""Objects of the application's in the name space: what guests see of them, and what becomes of their errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from plan9_programs import compiled, main, program

from vx32py.plan9 import Directory, Error, File, Kernel, Opened, WouldBlock


@pytest.fixture
def kernel(engine_name: str) -> Iterator[Kernel]:
    with Kernel(engine=engine_name, timeout=60) as made:
        yield made


def run(kernel: Kernel, body: str) -> str | None:
    """The status of a program; an error of the application's comes out of this."""
    proc = kernel.start_program(program(main("char b[200]; int fd, n;" + body)))
    kernel.wait(proc)
    return proc.status


def holds(kernel: Kernel, body: str) -> None:
    assert run(kernel, body) == ""


def test_a_guest_reads_what_python_makes(kernel: Kernel) -> None:
    asked: list[int] = []

    def now() -> str:
        asked.append(1)
        return f"asked {len(asked)}\n"

    kernel.bind({"data": b"bytes", "text": "täxt", "now": now, "more": {"deep": b"er"}}, "/mnt/app")
    holds(
        kernel,
        """
        fd = open("/mnt/app/now", OREAD);
        check(read(fd, b, 3) == 3 && read(fd, b+3, 100) == 5);
        check(strncmp(b, "asked 1\\n", 8) == 0);
        check(read(fd, b, 100) == 0);
        close(fd);
        fd = open("/mnt/app/now", OREAD);
        check(read(fd, b, 100) == 8 && b[6] == '2');
        fd = open("/mnt/app/more/../text", OREAD);
        check(read(fd, b, 100) == 5);
        fd = open("/mnt/app/more/deep", OREAD);
        check(read(fd, b, 100) == 2 && b[0] == 'e');
        check(failed(open("/mnt/app/data", OWRITE), "permission denied"));
        check(failed(open("/mnt/app/nothing", OREAD), "'/mnt/app/nothing' file does not exist"));
        check(failed(create("/mnt/app/new", OWRITE, 0666), "mounted directory forbids creation"));
        check(failed(remove("/mnt/app/data"), "permission denied"));
        """,
    )
    assert len(asked) == 2
    assert [entry.name for entry in kernel.host.entries("/mnt/app")] == ["data", "text", "now", "more"]
    assert kernel.host.stat("/mnt/app/data").length == 5


def test_a_guest_changes_what_is_writable(kernel: Kernel) -> None:
    files: dict[str, Any] = {"log": bytearray(b"old"), "fixed": b"x"}
    kernel.bind(Directory(files), "/mnt/app")
    holds(
        kernel,
        """
        fd = open("/mnt/app/log", ORDWR|OTRUNC);
        check(pwrite(fd, "abc", 3, 2) == 3 && pread(fd, b, 100, 0) == 5 && b[0] == 0);
        fd = create("/mnt/app/new", OWRITE, 0666);
        check(write(fd, "made", 4) == 4);
        check(create("/mnt/app/dir", OREAD, 0x80000000|0777) >= 0);
        check(create("/mnt/app/dir/inside", OWRITE, 0666) >= 0);
        check(failed(remove("/mnt/app/dir"), "directory not empty"));
        check(remove("/mnt/app/fixed") == 0);
        """,
    )
    assert files == {"log": b"\0\0abc", "new": b"made", "dir": {"inside": b""}}


class Squares(File):
    """Says the square of what was written to it."""

    def __init__(self) -> None:
        self.users: list[tuple[str, int]] = []

    def open(self, opened: Opened) -> None:
        self.users.append((opened.user, opened.pid))

    def write(self, opened: Opened, data: bytes, offset: int) -> None:
        try:
            opened.state = int(data) ** 2
        except ValueError:
            raise Error("not a number") from None

    def read(self, opened: Opened, count: int, offset: int) -> bytes:
        return b"%d" % opened.state if offset < 3 else b""

    def close(self, opened: Opened) -> None:
        self.users.remove((opened.user, opened.pid))


def test_a_file_has_a_state_for_each_who_opens_it_and_errors_for_the_guest(kernel: Kernel) -> None:
    file = Squares()
    kernel.bind({"square": file}, "/mnt/app")
    holds(
        kernel,
        """
        int other = open("/mnt/app/square", ORDWR);
        fd = open("/mnt/app/square", ORDWR);
        check(write(fd, "12", 2) == 2 && write(other, "5", 1) == 1);
        check(pread(fd, b, 10, 0) == 3 && strncmp(b, "144", 3) == 0);
        check(failed(write(fd, "x", 1), "not a number"));
        """,
    )
    assert not file.users  # all that a process has open is closed at its end


def test_a_file_can_let_a_guest_wait(kernel: Kernel) -> None:
    queue: list[bytes] = []

    class Queue(File):
        def read(self, opened: Opened, count: int, offset: int) -> bytes:
            if not queue:
                raise WouldBlock(lambda: bool(queue))
            return queue.pop(0)

        def write(self, opened: Opened, data: bytes, offset: int) -> None:
            queue.append(data)

    kernel.bind({"queue": Queue()}, "/mnt/app")
    holds(
        kernel,
        """
        fd = open("/mnt/app/queue", ORDWR);
        int me = _tos->pid;
        if(fork() == 0){ until(me, "Pread"); write(fd, "late", 4); exits(0); }
        check(read(fd, b, 10) == 4);
        """,
    )


def test_errors_of_the_application_come_out_of_wait_and_the_call_is_made_again(kernel: Kernel) -> None:
    failures: list[Exception] = [ValueError("mine"), OSError("mine")]

    class Broken(File):
        def read(self, opened: Opened, count: int, offset: int) -> bytes:
            if failures:
                raise failures.pop(0)
            return b"whole again"[offset:]

    kernel.bind({"broken": Broken()}, "/mnt/app")
    proc = kernel.start_program(
        program(
            main(
                """
        char b[100]; int fd = open("/mnt/app/broken", OREAD);
        check(read(fd, b, 100) == 11);
                """
            )
        )
    )
    for kind in (ValueError, OSError):
        with pytest.raises(kind, match="mine"):
            kernel.wait(proc)
        assert proc.alive
    kernel.wait(proc)
    assert proc.status == ""


def test_an_error_in_close_comes_out_of_wait_and_everything_else_is_closed(kernel: Kernel) -> None:
    closed: list[str] = []

    class Closing(File):
        def __init__(self, name: str) -> None:
            self.name = name

        def read(self, opened: Opened, count: int, offset: int) -> bytes:
            return b""

        def close(self, opened: Opened) -> None:
            closed.append(self.name)
            if self.name == "a":
                raise RuntimeError("in close")

    kernel.bind({"a": Closing("a"), "b": Closing("b")}, "/mnt/app")
    proc = kernel.start_program(program(main('open("/mnt/app/a", OREAD); open("/mnt/app/b", OREAD);')))
    with pytest.raises(RuntimeError, match="in close"):
        kernel.wait(proc)
    assert proc.status == ""
    assert closed == ["a", "b"]


@pytest.mark.parametrize(
    ("served", "action", "error"),
    [
        ({"x": 5}, "read", TypeError),
        ({"x": lambda: 5}, "read", TypeError),
        ({"a/b": b""}, "entries", ValueError),
        ({5: b""}, "entries", ValueError),
    ],
)
def test_what_cannot_be_a_file_is_an_error_of_the_applications(
    served: Any, action: str, error: type[Exception]
) -> None:
    with Kernel(engine="reference") as kernel:
        kernel.bind(served, "/mnt/app")
        with pytest.raises(error):
            getattr(kernel.host, action)("/mnt/app/x" if action == "read" else "/mnt/app")
        kernel.host.write("/tmp/other", b"all the rest is unharmed")


def test_a_mapping_may_make_its_files_when_they_are_asked_for() -> None:
    class Powers(Mapping[str, bytes]):
        def __getitem__(self, name: str) -> bytes:
            if not name.isdigit():
                raise KeyError(name)
            return str(2 ** int(name)).encode()

        def __iter__(self) -> Iterator[str]:
            return iter(["0", "1"])

        def __len__(self) -> int:
            return 2

    with Kernel(engine="reference") as kernel:
        kernel.bind(Powers(), "/mnt/powers")
        host = kernel.host
        assert host.read("/mnt/powers/10") == b"1024"
        assert [entry.name for entry in host.entries("/mnt/powers")] == ["0", "1"]
        with pytest.raises(Error, match="'/mnt/powers/x' file does not exist"):
            host.read("/mnt/powers/x")
        assert host.stat("/mnt/powers/10").qid == host.stat("/mnt/powers/../powers/10").qid
        assert host.stat("/mnt/powers/10").qid != host.stat("/mnt/powers/11").qid


def test_a_file_is_bound_where_there_was_none_and_names_are_bound_to_names() -> None:
    with Kernel(engine="reference") as kernel:
        kernel.bind(b"alpha beta", "/lib/words")
        kernel.bind("/lib", "/n")
        assert kernel.host.read("/n/words") == b"alpha beta"
        kernel.bind({"x": b"1"}, "/tmp/deep/er")
        assert kernel.host.read("/tmp/deep/er/x") == b"1"


def test_a_place_is_not_made_in_what_was_granted(tmp_path: Any) -> None:
    (tmp_path / "usr").mkdir()
    with Kernel(engine="reference", root=tmp_path, writable=True) as kernel:
        with pytest.raises(Error, match="file does not exist"):
            kernel.bind({"x": b"1"}, "/usr/app")
        kernel.bind({"x": b"1"}, "/mnt/app")
        kernel.bind({"x": b"2"}, "/usr")
        assert kernel.host.read("/mnt/app/x") + kernel.host.read("/usr/x") == b"12"
    assert [each.name for each in tmp_path.rglob("*")] == ["usr"]


def test_programs_among_the_objects_can_be_executed_and_other_bytes_cannot(kernel: Kernel) -> None:
    script = b"#!/mnt/app/program\n"
    files = {"program": compiled(main('exits(argc > 1 ? "script" : "itself");')), "script": script, "text": b"x" * 100}
    kernel.bind(files, "/mnt/app")
    assert kernel.run(["/mnt/app/program"]).status == "itself"
    assert kernel.run(["/mnt/app/script"]).status == "script"
    with pytest.raises(Error, match="permission denied"):
        kernel.run(["/mnt/app/text"])
