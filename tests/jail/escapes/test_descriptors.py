"""Descriptors of the host's: their numbers are nothing to a guest."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import socket
import struct
import termios
from collections.abc import Iterator

import pytest
from prison import FORK, Buffer, Canary, Got, Out, World, canary

SCM_RIGHTS = 1
O_ASYNC, F_SETFL, F_SETOWN, F_SETSIG, F_SETOWN_EX = 0o20000, 4, 8, 10, 15


@pytest.fixture
def treasure(world: World) -> Iterator[list[int]]:
    """Numbers of descriptors that the host has open, inheritable ones: a secret file, a pipe, a socket, a folder."""
    pipe = os.pipe()
    one, other = socket.socketpair()
    fds = [
        os.open(world.outside / "secret", os.O_RDWR),
        *pipe,
        os.dup(one.fileno()),
        os.open(world.outside, os.O_RDONLY),
    ]
    one.close()
    for i, fd in enumerate(fds):
        os.set_inheritable(fd, True)
        os.dup2(fd, 900 + i)
    os.write(pipe[1], world.secret)
    other.send(world.secret)
    yield fds + list(range(900, 905))
    assert os.read(pipe[0], 100) == world.secret
    for fd in fds + list(range(900, 905)):
        os.close(fd)
    with other:
        other.setblocking(False)
        # Nobody has read what the host had sent: the end that is closed with it in there says so.
        with pytest.raises(ConnectionResetError):
            other.recv(1)


def test_numbers_of_the_hosts_descriptors_are_nothing(world: World, treasure: list[int]) -> None:
    native = world.native(("read", treasure[0], Out(64), 64), ("lseek", treasure[0], 0, 0), pass_fds=treasure)
    assert world.secret in native.output
    for fd in treasure:
        run = world.jail(
            ("read", fd, Out(64), 64), ("write", fd, b"stolen", 6), ("lseek", fd, 0, 0), ("pread64", fd, Out(64), 64, 0, 0),
            ("fstat64", fd, Out(96)), ("dup", fd), ("dup2", fd, 50), ("fcntl64", fd, 0, 0), ("fcntl64", fd, 1030, 0),
            ("ftruncate", fd, 0), ("fchmod", fd, 0), ("openat", fd, "secret", 0), ("fchdir", fd), ("ioctl", fd, 0x541B, Out(4)),
            ("getdents64", fd, Out(512), 512), ("readv", fd, [Buffer(0), 8], 1), ("writev", fd, [Buffer(0), 8], 1),
            ("sendfile", 1, fd, 0, 64), ("mmap2", 0, 4096, 1, 2, fd, 0), ("fsync", fd), ("flock", fd, 2),
            ("fchown32", fd, 1, 1), ("utimensat", fd, 0, 0, 0), ("fallocate", fd, 0, 0, 0, 100, 0), ("close", fd),
        )  # fmt: skip
        # No folder, no file and no socket is there: what is not known at all is not known for these either.
        assert set(run.results) <= {"EBADF", "ENOSYS"}, (fd, run.results)
        assert run.results.count("EBADF") > 12
        assert world.secret not in run.output


def test_all_numbers_are_free(world: World, treasure: list[int]) -> None:
    for start in range(3, 1024, 200):
        run = world.jail(*[("fcntl64", fd, 1, 0) for fd in range(start, min(start + 200, 1024))])
        assert set(run.results) == {"EBADF"}
    run = world.jail(
        *[("read", fd & 0xFFFF_FFFF, Out(8), 8) for fd in (-1, -100, 1 << 31, (1 << 31) - 1, 1 << 20, 65536)]
    )
    assert set(run.results) == {"EBADF"}


def test_to_put_something_at_a_number_does_not_close_the_hosts(world: World, treasure: list[int]) -> None:
    calls = [("dup2", 0, fd) for fd in range(3, 60)] + [("close_range", 3, -1, 0)] + [("close", fd) for fd in range(60)]
    run = world.jail(*calls[:57], ("close_range", 3, -1, 0), ("dup2", 0, treasure[0]), ("dup3", 0, treasure[-1], 0))
    assert run.results[:40] == list(range(3, 43))
    world.jail(*[("close", fd) for fd in range(3, 200)], ("close", 0), ("close", 2), ("close", 1))


def test_a_program_that_is_executed_inherits_nothing_of_the_hosts(world: World, treasure: list[int]) -> None:
    program = world.granted / "program"
    program.write_bytes((world.outside / "program").read_bytes())
    program.chmod(0o755)
    words = ["program", "3", f"i{treasure[0]}", "o64", "i64", ";"]
    attempt = ("execve", "{granted}/program", [*words, 0], [0])
    assert world.secret in world.native(attempt, pass_fds=treasure).output
    os.lseek(treasure[0], 0, os.SEEK_SET)
    assert world.jail(attempt).results == ["EBADF"]


@pytest.mark.parametrize("path", ["/dev/fd/{}", "/proc/self/fd/{}", "/proc/thread-self/fd/{}", "/proc/self/fdinfo/{}"])
def test_names_of_the_hosts_descriptors_are_none(world: World, treasure: list[int], path: str) -> None:
    attempts = [("open", path.format(fd), 0) for fd in treasure]
    assert isinstance(world.native(attempts[0], pass_fds=treasure)[0], int)
    assert set(world.jail(*attempts).results) == {"ENOENT"}
    run = world.jail(("open", path.format("").rstrip("/"), os.O_DIRECTORY), ("getdents64", Got(0), Out(4096), 4096))
    for fd in treasure:
        assert f"{fd}\0".encode() not in run.output


def test_a_socket_passes_no_descriptors_of_the_hosts(world: World, treasure: list[int]) -> None:
    for fd in treasure:
        control = struct.pack("<IIIi", 16, 1, SCM_RIGHTS, fd)
        run = world.jail(
            ("socketpair", 1, 1, 0, Out(8)), ("sendmsg", 4, [0, 0, [control, 1], 1, control, 16, 0], 0),
            ("sendmsg", 3, [0, 0, [control, 1], 1, control, 16, 0], 0), ("read", fd, Out(64), 64),
        )  # fmt: skip
        assert set(run.results[1:]) <= {"EBADF", "ENOSYS", "EINVAL", "ENOTSOCK"}


def test_others_are_not_waited_on(world: World, treasure: list[int]) -> None:
    poll = b"".join(struct.pack("<ihh", fd, 7, 0) for fd in treasure)
    fd = treasure[1]
    run = world.jail(
        ("poll", poll, len(treasure), 0), ("epoll_create1", 0), ("epoll_ctl", Got(1), 1, fd, [1, 0, 0]),
        ("_newselect", fd + 1, (1 << fd).to_bytes(128, "little"), 0, 0, [0, 0]), ("write", 1, Buffer(0), len(poll)),
    )  # fmt: skip
    assert run[0] == len(treasure)  # POLLNVAL for each
    assert struct.pack("<ihh", fd, 7, 0x20) in run.output
    assert run[2] == "EBADF"
    assert run[3] == "EBADF"


# -- what is granted: the standard streams ---------------------------------------------------------------------------


def test_flags_of_the_hosts_pipes_stay_as_they_are(world: World) -> None:
    """Of a pipe that the host shares with others: O_NONBLOCK is a property of the open file, not of the descriptor."""
    for attempt in (("fcntl64", 0, F_SETFL, os.O_NONBLOCK), ("ioctl", 0, 0x5421, [1]), ("fcntl64", 0, 1031, 1 << 12)):
        read, write = os.pipe()
        size = fcntl.fcntl(read, 1032)
        world.native(attempt, stdin=read)
        changed = fcntl.fcntl(read, fcntl.F_GETFL) & os.O_NONBLOCK or fcntl.fcntl(read, 1032) != size
        assert changed
        os.close(read)
        os.close(write)
        read, write = os.pipe()
        world.jail(attempt, stdin=read)
        assert not fcntl.fcntl(read, fcntl.F_GETFL) & os.O_NONBLOCK
        assert fcntl.fcntl(read, 1032) == size
        os.close(read)
        os.close(write)


def test_signals_of_descriptors_are_the_jails_own(world: World, bird: Canary) -> None:
    """F_SETOWN: the kernel sends whom it says a signal when there is something to read."""

    def attempt(pid: int) -> tuple[tuple[object, ...], ...]:
        return (
            ("fcntl64", 0, F_SETOWN, pid), ("fcntl64", 0, F_SETSIG, 10), ("fcntl64", 0, F_SETFL, O_ASYNC | os.O_NONBLOCK),
            ("fcntl64", 0, F_SETOWN_EX, [1, pid]), ("ioctl", 0, 0x8901, [pid]), ("ioctl", 0, 0x5452, [1]),
        )  # fmt: skip

    with canary() as lost:
        one, other = socket.socketpair()
        world.native(*attempt(lost.pid), stdin=one)
        other.send(b"x")
        while not (heard := lost.heard()):
            pass
        assert "signal 10" in heard
        one.close()
        other.close()
    one, other = socket.socketpair()
    with one, other:
        world.jail(*attempt(bird.pid), stdin=one.fileno())
        other.send(b"x")
        assert not fcntl.fcntl(one, fcntl.F_GETFL) & O_ASYNC
        assert fcntl.fcntl(one, fcntl.F_GETOWN) == 0


def test_a_file_behind_standard_output_is_written_at_the_end_and_no_more(world: World) -> None:
    """It was opened to be appended to. Through /proc the same file could be opened to be read, and emptied."""
    log = world.folder / "log"
    log.write_bytes(world.secret)
    attempt = (
        ("open", "/proc/self/fd/1", os.O_RDONLY), ("read", Got(0), Out(64), 64), ("open", "/dev/stdout", os.O_RDWR | os.O_TRUNC),
        ("pread64", 1, Out(64), 64, 0, 0), ("fcntl64", 1, F_SETFL, 0), ("lseek", 1, 0, 0), ("pwrite64", 1, b"gone", 4, 0, 0),
    )  # fmt: skip
    with open(log, "ab") as file:
        run = world.jail(*attempt, stdout=file.fileno())
    content = log.read_bytes()
    assert content.startswith(world.secret)
    assert content.count(world.secret) == 1
    assert run.output == b""


# -- terminals -------------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of one that the host has, which is not its controlling terminal."""
    leader, follower = pty.openpty()
    yield leader, follower
    os.close(leader)
    os.close(follower)


def test_nothing_is_typed_into_a_terminal(world: World, terminal: tuple[int, int]) -> None:
    """TIOCSTI: what it puts there is what the shell reads behind the guest's end."""
    run = world.jail(
        ("ioctl", 0, 0x5412, b"r"), ("ioctl", 0, 0x5412, b"m"), ("ioctl", 0, 0x5412, b"\n"), stdin=terminal[1]
    )
    assert set(run.results) <= {"EPERM", "ENOTTY", "EIO", "EINVAL"}
    assert not select.select([terminal[1]], [], [], 0)[0]


def test_a_terminal_is_not_taken_over(world: World, terminal: tuple[int, int]) -> None:
    before = termios.tcgetattr(terminal[1])
    size = fcntl.ioctl(terminal[1], termios.TIOCGWINSZ, bytes(8))
    hostile = {
        "TIOCSCTTY": 0x540E, "TIOCNOTTY": 0x5422, "TIOCSPGRP": 0x5410, "TIOCSETD": 0x5423, "TIOCCONS": 0x541D,
        "TIOCLINUX": 0x541C, "TIOCEXCL": 0x540C, "TIOCVHANGUP": 0x5437, "TIOCSLCKTRMIOS": 0x5457, "TIOCPKT": 0x5420,
        "TIOCSSERIAL": 0x541F, "KDSKBENT": 0x4B47, "KDSETMODE": 0x4B3A, "VT_ACTIVATE": 0x5606, "TIOCSIG": 0x40045436,
        "TIOCGPTPEER": 0x5441, "TIOCSPTLCK": 0x40045431,
    }  # fmt: skip
    run = world.jail(*[("ioctl", 0, number, [1, 0, 0]) for number in hostile.values()], stdin=terminal[1])
    wrong = {name: result for name, result in zip(hostile, run.results, strict=True) if isinstance(result, int)}
    assert set(wrong) <= {"TIOCNOTTY", "TIOCSPGRP", "TIOCSCTTY"}  # of the jail's own terminal, if it has one
    assert termios.tcgetattr(terminal[1]) == before
    assert fcntl.ioctl(terminal[1], termios.TIOCGWINSZ, bytes(8)) == size
    # Exclusive use would keep the host from opening it.
    os.close(os.open(os.ttyname(terminal[1]), os.O_RDWR | os.O_NOCTTY))


@pytest.mark.parametrize("number", [0x0001, 0x0002, 0x1261, 0x125F, 0x1272, 0x40086602, 0x40047602, 0x5393, 0x2285, 0xC0481273,
                                    0x40049409, 0xC020660B, 0x4C00, 0x89A0, 0x8914, 0xAE01])  # fmt: skip
def test_ioctl_of_files_goes_nowhere(world: World, number: int) -> None:
    """FIBMAP, FIGETBSZ, FLUSHBUF, BLKRRPART, BLKGETSIZE64, flags of ext4, CD-ROM, SCSI, btrfs, loop, bridges, interfaces, KVM."""
    run = world.jail(
        ("open", "{granted}/file", os.O_RDWR), ("ioctl", Got(0), number, [0] * 32), ("ioctl", 1, number, [0] * 32),
        ("open", "{readonly}/file", 0), ("ioctl", Got(3), number, [0x10] * 32), ("open", "/dev/null", 2), ("ioctl", Got(5), number, [1] * 32)
    )  # fmt: skip
    assert {run[1], run[2], run[4]} <= {"ENOTTY", "EPERM", "EINVAL"}
    assert run[6] in {"ENOTTY", "EPERM", "EINVAL", "EBADF"}


def test_a_child_has_the_same_and_no_more(world: World, treasure: list[int]) -> None:
    run = world.jail(FORK, FORK, *[("read", fd, Out(64), 64) for fd in treasure])
    assert run.results == ["EBADF"] * len(treasure)
