"""The VX ABI: each of its calls, through the guest's own SYSCALL instruction, on every engine."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import DATA, ENTRY, Caller, image

from vx32py import Grant, Sandbox

(
    EXIT, BRK, READ, WRITE, OPEN, CLOSE, LSEEK, REMOVE, GETTIMEOFDAY, CLOCK, STAT, FSTAT, GETCWD, CHDIR, CHMOD, DUP, LINK,
    SELECT, MKDIR, FCNTL, TRUNCATE, FTRUNCATE, LSTAT, FORK, WAITPID, EXEC, PIPE, SLEEP, GETPID,
) = range(1, 30)  # fmt: skip
MINUS_1 = 0xFFFF_FFFF
RDONLY, WRONLY, RDWR, CREAT, EXCL, TRUNC, APPEND, NONBLOCK = 0, 1, 2, 0x10, 0x20, 0x80, 0x100, 0x200
HEAP = DATA + 0x1000
NAMES = (
    "dev", "ino", "mode", "nlink", "uid", "gid", "rdev", "blksize", "blocks", "size", "atime", "mtime", "ctime",
)  # fmt: skip


@pytest.fixture
def call(engine_name: str) -> Iterator[Caller]:
    caller = Caller(Sandbox(engine=engine_name, timeout=60), stdin=b"standard input")
    with caller.process:
        yield caller


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A host directory with what a guest may and may not reach."""
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "file").write_bytes(b"content of file")
    (inside / "sub" / "deep").write_bytes(b"deep")
    (tmp_path / "secret").write_bytes(b"secret")
    (inside / "link").symlink_to("sub/deep")
    (inside / "absolute").symlink_to("/data/file")
    (inside / "out").symlink_to("../secret")
    (inside / "out-absolute").symlink_to(tmp_path / "secret")
    (inside / "out-dir").symlink_to("..")
    (inside / "loop").symlink_to("loop")
    os.mkfifo(inside / "fifo")
    return inside


@pytest.fixture
def granted(engine_name: str, tree: Path) -> Iterator[Caller]:
    """A caller that sees the tree at /data, writable, and again at /ro, read-only."""
    files: dict[str, Grant | str | bytes] = {
        "/data": Grant(tree, writable=True),
        "/ro": str(tree),
        "/etc/motd": b"hello\n",
    }
    caller = Caller(Sandbox(engine=engine_name, timeout=60, files=files))
    with caller.process:
        yield caller


def stat_of(call: Caller) -> dict[str, int]:
    return dict(zip(NAMES, struct.unpack("<13I", call.get(52)), strict=True))


# -- memory ----------------------------------------------------------------------------------------------------------


def test_brk_rounds_up_to_a_mebibyte_and_returns_0(call: Caller) -> None:
    assert call(BRK, HEAP + 1) == 0
    end = (HEAP + (1 << 20)) & -(1 << 20)
    call.process.memory.write(end - 4, b"last")
    with pytest.raises(Exception, match="cannot write"):
        call.process.memory.write(end, b"x")
    assert call(BRK, end + 1) == 0
    call.process.memory.write(end, b"x")
    assert call(BRK, HEAP + 1) == 0
    with pytest.raises(Exception, match="cannot write"):
        call.process.memory.write(end, b"x")


@pytest.mark.parametrize("end", [0, HEAP - 1, 1 << 30, 0xFFF0_0000, MINUS_1])
def test_brk_refuses_what_is_out_of_reach(call: Caller, end: int) -> None:
    assert call(BRK, end) in (-errno.EINVAL, -errno.ENOMEM)
    assert call(BRK, HEAP + 1) == 0


# -- pointers --------------------------------------------------------------------------------------------------------

BAD_BUFFERS = [
    (0, 1),
    (0x1234, 100),
    (DATA + 0xFFF, 2),
    (DATA, 0x1001),
    (DATA + 0x1000, 1),
    (DATA, 0x7FFF_FFFF),
    (DATA, 0xFFFF_FFFF),
    (DATA + 1, 0xFFFF_FFFF),
    (0xFFFF_FFFF, 1),
    (0xFFFF_FFFF, 0xFFFF_FFFF),
    (0xFFFF_F000, 0x2000),
]


@pytest.mark.parametrize(("address", "count"), BAD_BUFFERS)
def test_a_bad_buffer_is_efault_and_consumes_nothing(call: Caller, address: int, count: int) -> None:
    assert call(READ, 0, address, count) == -errno.EFAULT
    assert call(WRITE, 1, address, count) == -errno.EFAULT
    assert call(READ, 0, DATA, 100) == 14
    assert call.get(14) == b"standard input"


def test_a_read_into_code_is_efault(call: Caller) -> None:
    assert call(READ, 0, ENTRY, 4) == -errno.EFAULT
    assert call(READ, 0, ENTRY + 0xFFE, 4) == -errno.EFAULT


def test_a_buffer_may_end_where_memory_ends(call: Caller) -> None:
    assert call(READ, 0, DATA + 0x1000 - 14, 14) == 14
    assert call(WRITE, 1, DATA + 0x1000 - 14, 14) == 14
    assert call(READ, 0, DATA + 0x1000, 0) == 0


@pytest.mark.parametrize("pointer", [0, DATA + 0x1000 - 2, 0xFFFF_FFFF, 0xFFFF_FFFE])
def test_structures_and_paths_at_bad_addresses(call: Caller, pointer: int) -> None:
    call.put(b"xx", DATA + 0x1000 - 2)  # no end of string on the last page
    for number in (STAT, LSTAT, OPEN, REMOVE, CHDIR, CHMOD, MKDIR, TRUNCATE, EXEC, LINK):
        assert call(number, pointer, DATA) == -errno.EFAULT
    assert call(FSTAT, 0, pointer) == -errno.EFAULT
    assert call(PIPE, pointer) == -errno.EFAULT
    assert len(call.process.descriptors) == 3
    assert call(SELECT, 1, pointer or 1, 0, 0, 0) == -errno.EFAULT
    assert call(GETTIMEOFDAY, pointer or 1, 0) == -errno.EFAULT


def test_a_path_without_end(call: Caller) -> None:
    call(BRK, HEAP + 0x10000)
    call.put(b"x" * 0x8000, HEAP)
    assert call(OPEN, HEAP, 0, 0) == -errno.ENAMETOOLONG


def test_unknown_calls_are_enosys_and_counted(call: Caller) -> None:
    for number in (0, 30, 0x7FFF_FFFF, MINUS_1):
        assert call(number) == -errno.ENOSYS
    assert sum(call.process.unknown_calls.values()) == 4


# -- descriptors -----------------------------------------------------------------------------------------------------


def test_bad_descriptors(call: Caller) -> None:
    for fd in (3, 63, 64, 1000, MINUS_1, 0x8000_0000):
        assert call(READ, fd, DATA, 1) == -errno.EBADF
        assert call(WRITE, fd, DATA, 1) == -errno.EBADF
        assert call(CLOSE, fd) == -errno.EBADF
        assert call(DUP, fd, MINUS_1) == -errno.EBADF
        assert call(FSTAT, fd, DATA) == -errno.EBADF
    assert call(READ, 1, DATA, 1) == -errno.EBADF
    assert call(WRITE, 0, DATA, 1) == -errno.EBADF


def test_dup_and_close(call: Caller) -> None:
    assert call(DUP, 0, MINUS_1) == 3
    assert call(DUP, 0, 9) == 9
    assert call(DUP, 0, 0) == 0
    assert call(DUP, 0, 64) == -errno.EBADF
    assert call(CLOSE, 0) == 0
    assert call(READ, 9, DATA, 8) == 8
    assert call(READ, 3, DATA, 100) == 6  # one position for all of them
    assert call(DUP, 3, MINUS_1) == 0


def test_there_are_only_so_many_descriptors(call: Caller) -> None:
    for _ in range(61):
        assert call(DUP, 0, MINUS_1) > 0
    assert call(DUP, 0, MINUS_1) == -errno.EMFILE
    assert call(PIPE, DATA) == -errno.EMFILE
    assert call(CLOSE, 9) == 0
    assert call(PIPE, DATA) == -errno.EMFILE
    assert call(DUP, 0, MINUS_1) == 9


def test_seek_on_standard_input_made_of_bytes(call: Caller) -> None:
    assert call(LSEEK, 0, 9, 0) == 9
    assert call(READ, 0, DATA, 100) == 5
    assert call(LSEEK, 0, 0xFFFF_FFFB, 2) == 9
    assert call(LSEEK, 0, 0xFFFF_FF00, 1) == -errno.EINVAL
    assert call(LSEEK, 0, 0, 7) == -errno.EINVAL
    assert call(LSEEK, 1, 0, 0) == -errno.ESPIPE


def test_fstat_tells_what_the_streams_are(call: Caller) -> None:
    assert call(FSTAT, 0, DATA) == 0
    assert stat_of(call)["mode"] & 0o070000 == 0o010000
    assert stat_of(call)["size"] == 14
    assert call(FSTAT, 1, DATA) == 0
    assert stat_of(call)["mode"] & 0o070000 == 0o050000


def test_fcntl(call: Caller) -> None:
    assert call(FCNTL, 1, 3, 0) == WRONLY
    assert call(FCNTL, 1, 4, NONBLOCK | APPEND) == 0
    assert call(FCNTL, 1, 3, 0) == WRONLY | NONBLOCK
    assert call(FCNTL, 1, 1, 0) == 0
    assert call(FCNTL, 1, 2, 1) == 0
    assert call(FCNTL, 1, 1, 0) == 1
    assert call(FCNTL, 1, 0, 10) == 10
    assert call(FCNTL, 1, 0, MINUS_1) == -errno.EINVAL
    assert call(FCNTL, 1, 99, 0) == -errno.EINVAL


def test_select(call: Caller) -> None:
    assert call(PIPE, DATA) == 0
    reader, writer = struct.unpack("<II", call.get(8))
    call.put(struct.pack("<II", 1 << 0 | 1 << reader, 1 << 1 | 1 << writer))
    call.put(struct.pack("<ii", 0, 1000), DATA + 16)
    assert call(SELECT, 8, DATA, DATA + 4, 0, DATA + 16) == 3
    assert struct.unpack("<II", call.get(8)) == (1, 1 << 1 | 1 << writer)
    call.put(struct.pack("<I", 1 << reader))
    assert call(SELECT, 8, DATA, 0, 0, DATA + 16) == 0
    call.put(struct.pack("<I", 1 << 7))
    assert call(SELECT, 8, DATA, 0, 0, DATA + 16) == -errno.EBADF
    assert call(SELECT, 1025, DATA, 0, 0, 0) == -errno.EINVAL


def test_clocks_and_numbers(call: Caller) -> None:
    assert call(GETTIMEOFDAY, DATA, 0) == 0
    seconds, microseconds = struct.unpack("<ii", call.get(8))
    assert seconds > 1_600_000_000
    assert 0 <= microseconds < 10**6
    assert call(CLOCK) >= 0
    assert call(SLEEP, 0) == 0
    assert call(GETPID) == call.process.pid


@pytest.mark.parametrize(("code", "shown"), [(0, 0), (7, 7), (0x1FF, 255), (MINUS_1, 255)])
def test_exit(call: Caller, code: int, shown: int) -> None:
    call(EXIT, code)
    assert call.process.exit_code == shown


# -- files -----------------------------------------------------------------------------------------------------------


def test_without_a_grant_there_are_no_files(call: Caller) -> None:
    for path in ("/", "."):
        assert call(STAT, call.text(path), DATA) == 0  # an empty root directory
    for path in ("/etc/passwd", "etc", "../../etc/passwd", "/proc/self/mem", "/dev/null"):
        assert call(OPEN, call.text(path), 0, 0) == -errno.ENOENT
        assert call(STAT, call.text(path), DATA) == -errno.ENOENT
        assert call(OPEN, call.text(path), CREAT | RDWR, 0o666) in (-errno.EROFS, -errno.ENOENT)
        assert call(MKDIR, call.text(path), 0o777) in (-errno.EROFS, -errno.ENOENT)
        assert call(REMOVE, call.text(path)) == -errno.ENOENT
        assert call(CHDIR, call.text(path)) == -errno.ENOENT
        assert call(EXEC, call.text(path), 0) == -errno.ENOENT
    assert call(OPEN, call.text(""), 0, 0) == -errno.ENOENT
    assert call(GETCWD, DATA, 100) == 1
    assert call.get(2) == b"/\0"


def test_reading_a_granted_file(granted: Caller) -> None:
    fd = granted(OPEN, granted.text("/data/file"), RDONLY, 0)
    assert fd == 3
    assert granted(READ, fd, DATA, 100) == 15
    assert granted.get(15) == b"content of file"
    assert granted(READ, fd, DATA, 100) == 0
    assert granted(WRITE, fd, DATA, 1) == -errno.EBADF
    assert granted(FSTAT, fd, DATA) == 0
    assert stat_of(granted)["size"] == 15
    assert granted(OPEN, granted.text("/etc/motd"), RDONLY, 0) == 4
    assert granted(READ, 4, DATA, 100) == 6
    assert granted(OPEN, granted.text("/etc/motd"), RDWR, 0) == -errno.EROFS


def test_writing_where_it_is_granted(granted: Caller, tree: Path) -> None:
    fd = granted(OPEN, granted.text("/data/new"), CREAT | EXCL | RDWR, 0o640)
    assert granted(WRITE, fd, granted.put(b"abcdef"), 6) == 6
    assert (tree / "new").read_bytes() == b"abcdef"
    assert (tree / "new").stat().st_mode & 0o777 == 0o640
    assert granted(LSEEK, fd, 2, 0) == 2
    assert granted(FTRUNCATE, fd, 4) == 0
    assert granted(READ, fd, DATA, 10) == 2
    assert granted(OPEN, granted.text("/data/new"), CREAT | EXCL | RDWR, 0o640) == -errno.EEXIST
    assert granted(TRUNCATE, granted.text("/data/new"), 1) == 0
    assert granted(CHMOD, granted.text("/data/new"), 0o7600) == 0
    assert (tree / "new").stat().st_mode & 0o7777 == 0o600
    assert granted(LINK, granted.text("/data/new"), granted.text("/data/other", DATA + 0xD00)) == 0
    assert (tree / "other").read_bytes() == b"a"
    assert granted(MKDIR, granted.text("/data/dir"), 0o755) == 0
    assert granted(REMOVE, granted.text("/data/dir")) == 0
    assert granted(REMOVE, granted.text("/data/other")) == 0
    assert granted(REMOVE, granted.text("/data/sub")) == -errno.ENOTEMPTY
    assert sorted(p.name for p in tree.iterdir() if p.name.startswith(("new", "other", "dir"))) == ["new"]


def test_append(granted: Caller, tree: Path) -> None:
    fd = granted(OPEN, granted.text("/data/file"), WRONLY | APPEND, 0)
    assert granted(WRITE, fd, granted.put(b"!"), 1) == 1
    assert (tree / "file").read_bytes() == b"content of file!"
    assert granted(FCNTL, fd, 3, 0) == WRONLY | APPEND
    granted(CLOSE, fd)
    granted(CLOSE, granted(OPEN, granted.text("/data/file"), WRONLY | TRUNC, 0))
    assert (tree / "file").read_bytes() == b""


def test_a_read_only_grant_is_read_only(granted: Caller, tree: Path) -> None:
    before = sorted(tree.rglob("*"))
    for flags in (WRONLY, RDWR, RDONLY | TRUNC, WRONLY | TRUNC):
        assert granted(OPEN, granted.text("/ro/file"), flags, 0) == -errno.EROFS
    assert granted(OPEN, granted.text("/ro/new"), CREAT | WRONLY, 0o666) == -errno.EROFS
    assert granted(MKDIR, granted.text("/ro/new"), 0o777) == -errno.EROFS
    assert granted(REMOVE, granted.text("/ro/file")) == -errno.EROFS
    assert granted(CHMOD, granted.text("/ro/file"), 0o777) == -errno.EROFS
    assert granted(TRUNCATE, granted.text("/ro/file"), 0) == -errno.EROFS
    assert granted(LINK, granted.text("/ro/file"), granted.text("/data/new", DATA + 0xD00)) == -errno.EXDEV
    assert granted(LINK, granted.text("/data/file"), granted.text("/ro/new", DATA + 0xD00)) == -errno.EROFS
    assert sorted(tree.rglob("*")) == before
    assert (tree / "file").read_bytes() == b"content of file"


@pytest.mark.parametrize(
    "path",
    [
        "/data/../secret", "/data/out", "/data/out-absolute", "/data/out-dir/secret", "/data/sub/../../secret",
        "/data/out-dir/../secret", "/data/link/../../../secret", "/../../secret", "../secret", "/data/out/",
    ],
)  # fmt: skip
def test_no_path_leads_out(granted: Caller, path: str) -> None:
    for number in (OPEN, STAT, TRUNCATE, EXEC, CHMOD, CHDIR):
        assert granted(number, granted.text(path), DATA, 0) in (-errno.ENOENT, -errno.ENOTDIR), (path, number)


def test_links_lead_within_the_guests_name_space(granted: Caller) -> None:
    assert granted(READ, granted(OPEN, granted.text("/data/link"), 0, 0), DATA, 10) == 4
    assert granted(READ, granted(OPEN, granted.text("/data/absolute"), 0, 0), DATA, 20) == 15
    assert granted(OPEN, granted.text("/data/loop"), 0, 0) == -errno.ELOOP
    assert granted(LSTAT, granted.text("/data/link"), DATA) == 0
    assert stat_of(granted)["mode"] & 0o070000 == 0o030000
    assert granted(STAT, granted.text("/data/link"), DATA) == 0
    assert stat_of(granted)["mode"] & 0o070000 == 0o010000


def test_devices_and_pipes_are_no_part_of_a_grant(granted: Caller) -> None:
    assert granted(OPEN, granted.text("/data/fifo"), RDONLY, 0) == -errno.EACCES
    assert granted(OPEN, granted.text("/data/fifo"), RDWR, 0) == -errno.EACCES


def test_directories(granted: Caller) -> None:
    assert granted(CHDIR, granted.text("/data/sub")) == 0
    assert granted(GETCWD, DATA, 100) == 9
    assert granted.get(10) == b"/data/sub\0"
    assert granted(GETCWD, DATA, 9) == -errno.ERANGE
    assert granted(STAT, granted.text("deep"), DATA) == 0
    assert granted(STAT, granted.text("../file"), DATA) == 0
    assert granted(STAT, granted.text("deep/x"), DATA) == -errno.ENOTDIR
    assert granted(STAT, granted.text("deep/"), DATA) == -errno.ENOTDIR
    assert granted(CHDIR, granted.text("deep")) == -errno.ENOTDIR
    assert granted(STAT, granted.text("/data/"), DATA) == 0
    assert stat_of(granted)["mode"] & 0o070000 == 0o020000
    assert granted(OPEN, granted.text("/data"), WRONLY, 0) == -errno.EISDIR
    fd = granted(OPEN, granted.text("/data"), RDONLY, 0)
    assert granted(READ, fd, DATA, 10) == -errno.EISDIR
    for path in ("/data", "/data/sub/..", "/", "/ro"):
        assert granted(REMOVE, granted.text(path)) == -errno.EBUSY


# -- processes -------------------------------------------------------------------------------------------------------

#: A pipe; the child writes "child" into it and exits with 5; the parent reads, waits, writes what it read.
FORK_AND_PIPE = f"""
    mov eax, {PIPE}; mov edx, {DATA}; syscall
    mov eax, {FORK}; syscall
    test eax, eax; jnz parent
    mov dword ptr [{DATA + 16}], 0x6C696863
    mov byte ptr [{DATA + 20}], 0x64
    mov eax, {WRITE}; mov edx, [{DATA + 4}]; mov ecx, {DATA + 16}; mov ebx, 5; syscall
    mov eax, {EXIT}; mov edx, 5; syscall
parent:
    mov esi, eax
    mov eax, {CLOSE}; mov edx, [{DATA + 4}]; syscall
    mov eax, {READ}; mov edx, [{DATA}]; mov ecx, {DATA + 32}; mov ebx, 100; syscall
    mov ebp, eax
    mov eax, {READ}; mov edx, [{DATA}]; mov ecx, {DATA + 64}; mov ebx, 100; syscall
    test eax, eax; jnz wrong
    mov eax, {WAITPID}; mov edx, -1; mov ecx, {DATA + 8}; mov ebx, 0; syscall
    cmp eax, esi; jne wrong
    mov eax, {WRITE}; mov edx, 1; mov ecx, {DATA + 32}; mov ebx, ebp; syscall
    mov edx, [{DATA + 8}]; shr edx, 8
    mov eax, {EXIT}; syscall
wrong:
    ud2
"""


def test_fork_pipe_and_waitpid(engine_name: str) -> None:
    result = Sandbox(engine=engine_name, timeout=60).run(image(FORK_AND_PIPE))
    assert (result.describe(), result.stdout) == ("exit code 5", b"child")


def test_a_child_that_traps_dies_of_a_signal(engine_name: str) -> None:
    code = f"""
    mov eax, 24; syscall
    test eax, eax; jnz parent
    mov eax, [0]
parent:
    mov eax, {WAITPID}; mov edx, -1; mov ecx, {DATA}; syscall
    mov edx, [{DATA}]; mov eax, 1; syscall
    """
    assert Sandbox(engine=engine_name, timeout=60).run(image(code)).exit_code == 11


def test_a_fork_bomb_runs_out_of_processes(engine_name: str) -> None:
    code = """
again: mov eax, 24; syscall; test eax, eax; jns again
    neg eax; mov edx, eax; mov eax, 1; syscall
    """
    result = Sandbox(engine=engine_name, timeout=60, processes=5).run(image(code))
    assert result.exit_code == errno.EAGAIN


def test_everybody_waits_for_somebody_else(engine_name: str) -> None:
    code = f"""
    mov eax, {PIPE}; mov edx, {DATA}; syscall
    mov eax, {READ}; mov edx, [{DATA}]; mov ecx, {DATA}; mov ebx, 1; syscall
    neg eax; mov edx, eax; mov eax, 1; syscall
    """
    assert Sandbox(engine=engine_name, timeout=60).run(image(code)).exit_code == errno.EDEADLK


def test_wait_without_children(call: Caller) -> None:
    assert call(WAITPID, MINUS_1, 0, 0) == -errno.ECHILD
    assert call(WAITPID, 5, 0, 1) == -errno.ECHILD


def test_exec(engine_name: str) -> None:
    code = f"""
    mov eax, {EXEC}; mov edx, {DATA}; mov ecx, {DATA + 32}; syscall
    neg eax; mov edx, eax; mov eax, 1; syscall
    """
    echo = "mov ecx, [esp + 8]; mov eax, 4; mov edx, 1; mov ebx, 3; syscall; mov edx, [esp]; mov eax, 1; syscall"
    data = b"/bin/echo".ljust(32, b"\0") + struct.pack("<III", DATA, DATA + 48, 0).ljust(16, b"\0") + b"arg\0"
    box = Sandbox(engine=engine_name, timeout=60, files={"/bin/echo": image(echo), "/bin/text": b"no image"})
    result = box.run(image(code, data))
    assert (result.describe(), result.stdout) == ("exit code 2", b"arg")
    result = box.run(image(code, data.replace(b"/bin/echo", b"/bin/text")))
    assert result.exit_code == errno.ENOEXEC


def test_sleeping_children_let_others_run() -> None:
    code = f"""
    mov eax, 24; syscall
    test eax, eax; jnz parent
    mov eax, {SLEEP}; mov edx, 1; syscall
    mov eax, {EXIT}; mov edx, 4; syscall
parent:
    mov eax, {WAITPID}; mov edx, -1; mov ecx, {DATA}; syscall
    mov edx, [{DATA}]; shr edx, 8; mov eax, 1; syscall
    """
    assert Sandbox(engine="reference", timeout=60).run(image(code)).exit_code == 4
