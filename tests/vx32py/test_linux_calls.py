"""The Linux personality: its calls through INT 0x80 on every engine, and whole static programs."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import DATA, ENTRY, Caller, image
from small_programs import compiled

from reference.memory import PAGE
from reference.traps import Access
from vx32py import Grant, MemoryFault, Policy, Sandbox, SystemCalls, Timeout

HEAP = DATA + PAGE
MINUS_1 = 0xFFFF_FFFF
AT_FDCWD = 0xFFFF_FF9C
PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 0, 1, 2, 4
PRIVATE, SHARED, FIXED, ANONYMOUS, NOREPLACE = 2, 1, 0x10, 0x20, 0x100000

_NUMBERS = {entry.name: entry.number for entry in SystemCalls.linux()}
READ, WRITE, OPEN, CLOSE = _NUMBERS["read"], _NUMBERS["write"], _NUMBERS["open"], _NUMBERS["close"]


class Linux(Caller):
    """A caller that names calls: ``call.brk(0)``."""

    def __init__(self, sandbox: Sandbox, **streams: object) -> None:
        super().__init__(sandbox, linux=True, **streams)

    def named(self, name: str, *arguments: int) -> int:
        return self(_NUMBERS[name], *arguments)


@pytest.fixture
def call(engine_name: str) -> Iterator[Linux]:
    caller = Linux(Sandbox(engine=engine_name, timeout=60), stdin=b"standard input")
    with caller.process:
        yield caller


@pytest.fixture
def quick() -> Iterator[Linux]:
    """For what does not depend on the engine."""
    files = {"/etc/motd": b"hello\n", "/dir/a": b"a", "/dir/b": b"b"}
    caller = Linux(Sandbox(engine="reference", timeout=60, files=files), stdin=b"standard input")
    with caller.process:
        yield caller


# -- memory ----------------------------------------------------------------------------------------------------------


def test_brk(call: Linux) -> None:
    assert call.named("brk", 0) == HEAP
    assert call.named("brk", HEAP + 100) == HEAP + 100
    call.process.memory.write(HEAP + PAGE - 1, b"x")
    assert call.named("brk", HEAP - 1) == HEAP + 100
    assert call.named("brk", MINUS_1) == HEAP + 100
    assert call.named("brk", HEAP) == HEAP
    assert call.named("brk", HEAP + 1) == HEAP + 1
    assert call.process.memory[HEAP + PAGE - 1] == 0


def mmap(call: Linux, length: int, prot: int = 3, flags: int = PRIVATE | ANONYMOUS, at: int = 0) -> int:
    return call.named("mmap2", at, length, prot, flags, MINUS_1, 0)


def test_anonymous_mappings(call: Linux) -> None:
    first = mmap(call, 100)
    assert first % PAGE == 0
    assert first + PAGE == call.process.layout.map_end
    second = mmap(call, 2 * PAGE, PROT_READ)
    assert second + 2 * PAGE == first
    call.process.memory.write(first, b"x" * PAGE)
    with pytest.raises(MemoryFault):
        call.process.memory.write(second, b"x")
    assert call.named("munmap", first, 1) == 0
    with pytest.raises(MemoryFault):
        call.process.memory.read(first, 1)
    assert mmap(call, 100) == first
    assert call.process.memory.read(first, PAGE) == bytes(PAGE)


def test_fixed_mappings(call: Linux) -> None:
    at = 0x0900_0000
    assert mmap(call, PAGE, flags=PRIVATE | ANONYMOUS | FIXED, at=at) == at
    call.process.memory.write(at, b"x")
    assert mmap(call, PAGE, flags=PRIVATE | ANONYMOUS | NOREPLACE, at=at) == -errno.EEXIST
    assert mmap(call, PAGE, flags=PRIVATE | ANONYMOUS | FIXED, at=at) == at
    assert call.process.memory[at] == 0
    assert mmap(call, PAGE, flags=PRIVATE | ANONYMOUS | FIXED, at=at + 1) == -errno.EINVAL
    assert mmap(call, PAGE, flags=PRIVATE | ANONYMOUS | FIXED, at=0) == -errno.EPERM
    assert mmap(call, PAGE, flags=PRIVATE | ANONYMOUS | FIXED, at=0xFFFF_F000) == -errno.ENOMEM
    assert mmap(call, PAGE, at=at + PAGE) == at + PAGE
    assert mmap(call, PAGE, at=at) != at


@pytest.mark.parametrize(
    ("length", "prot", "flags", "result"),
    [
        (0, 3, PRIVATE | ANONYMOUS, -errno.EINVAL),
        (PAGE, 3, ANONYMOUS, -errno.EINVAL),
        (PAGE, 0x100, PRIVATE | ANONYMOUS, -errno.EINVAL),
        (MINUS_1, 3, PRIVATE | ANONYMOUS, -errno.ENOMEM),
        (0x8000_0000, 3, PRIVATE | ANONYMOUS, -errno.ENOMEM),
        (PAGE, 3, PRIVATE, -errno.EBADF),
    ],
)
def test_bad_mappings(quick: Linux, length: int, prot: int, flags: int, result: int) -> None:
    assert quick.named("mmap2", 0, length, prot, flags, MINUS_1, 0) == result


def test_the_old_mmap(quick: Linux) -> None:
    quick.put(struct.pack("<6I", 0, PAGE, 3, PRIVATE | ANONYMOUS, MINUS_1, 0))
    assert quick.named("mmap", DATA) > 0
    quick.put(struct.pack("<6I", 0, PAGE, 3, PRIVATE | ANONYMOUS, MINUS_1, 1))
    assert quick.named("mmap", DATA) == -errno.EINVAL
    assert quick.named("mmap", 0) == -errno.EFAULT


def test_a_file_is_mapped_as_a_copy(quick: Linux) -> None:
    fd = quick(OPEN, quick.text("/etc/motd"), 0, 0)
    at = quick.named("mmap2", 0, 100, 3, PRIVATE, fd, 0)
    assert quick.process.memory[at : at + 8] == b"hello\n\0\0"
    assert quick.named("mmap2", 0, 100, 3, PRIVATE, 1, 0) == -errno.EACCES


def test_mprotect(call: Linux) -> None:
    at = mmap(call, 3 * PAGE)
    assert call.named("mprotect", at + PAGE, PAGE, PROT_READ) == 0
    with pytest.raises(MemoryFault):
        call.process.memory.write(at + PAGE, b"x")
    assert call.named("mprotect", at, 4 * PAGE, PROT_READ) in (0, -errno.ENOMEM)
    assert call.named("mprotect", at + 1, PAGE, PROT_READ) == -errno.EINVAL
    assert call.named("mprotect", 0x0900_0000, PAGE, PROT_READ) == -errno.ENOMEM
    assert call.named("mprotect", 0xFFFF_F000, PAGE, PROT_READ) == -errno.ENOMEM
    assert call.named("mprotect", at, PAGE, 0x800) == -errno.EINVAL
    assert call.named("mprotect", at, 0, PROT_READ) == 0


def test_code_can_be_made_and_run(call: Linux) -> None:
    at = mmap(call, PAGE, PROT_READ | PROT_WRITE)
    call.put(b"\xb8\x07\0\0\0\xcc", at)
    assert call.named("mprotect", at, PAGE, PROT_READ | PROT_EXEC) == 0
    call.process.registers.eip = at
    assert call.process.run().number == 3
    assert call.process.registers.eax == 7


def test_mremap(quick: Linux) -> None:
    at = mmap(quick, 2 * PAGE)
    quick.put(b"kept", at)
    assert quick.named("mremap", at, 2 * PAGE, PAGE, 0, 0) == at
    assert quick.named("mremap", at, PAGE, 2 * PAGE, 0, 0) == at
    assert quick.named("mremap", at, 2 * PAGE, 3 * PAGE, 0, 0) == -errno.ENOMEM
    moved = quick.named("mremap", at, 2 * PAGE, 16 * PAGE, 1, 0)
    assert quick.process.memory[moved : moved + 4] == b"kept"
    with pytest.raises(MemoryFault):
        quick.process.memory.read(at, 1)
    target = 0x0900_0000
    assert quick.named("mremap", moved, 16 * PAGE, PAGE, 3, target) == target
    assert quick.process.memory[target : target + 4] == b"kept"
    assert quick.named("mremap", target, PAGE, PAGE, 3, target) == -errno.EINVAL
    assert quick.named("mremap", 0x0A00_0000, PAGE, 2 * PAGE, 1, 0) == -errno.EFAULT
    assert quick.named("mremap", target, PAGE, 0x8000_0000, 1, 0) == -errno.ENOMEM


def test_memory_that_moves_may_take_more_than_half_of_what_there_is() -> None:
    caller = Linux(Sandbox(engine="reference", memory="16M"))
    with caller.process:
        at = mmap(caller, 8 << 20)
        below = mmap(caller, PAGE)
        assert below < at
        assert caller.named("mremap", at, 8 << 20, 10 << 20, 1, 0) > 0
        assert caller.process.engine.space.budget == 16 << 20
        assert mmap(caller, 8 << 20) == -errno.ENOMEM


def test_madvise_dontneed_gives_zeros(quick: Linux) -> None:
    at = mmap(quick, 2 * PAGE)
    quick.put(b"x" * 2 * PAGE, at)
    assert quick.named("madvise", at, PAGE, 4) == 0
    assert quick.process.memory.read(at, 2 * PAGE) == bytes(PAGE) + b"x" * PAGE
    assert quick.named("madvise", at, PAGE, 1) == 0
    assert quick.named("madvise", at, 4 * PAGE, 4) in (0, -errno.ENOMEM)
    assert quick.named("madvise", at + 1, PAGE, 4) == -errno.EINVAL


def test_munmap_of_nothing_is_fine(quick: Linux) -> None:
    assert quick.named("munmap", 0x0900_0000, PAGE) == 0
    assert quick.named("munmap", 0xF000_0000, PAGE) == 0
    assert quick.named("munmap", 1, PAGE) == -errno.EINVAL
    assert quick.named("munmap", PAGE, 0) == -errno.EINVAL


# -- bad pointers: the original passed them through ------------------------------------------------------------------

#: Address and length of buffers that a guest must not get at, and how many bytes of the page at DATA are in them before that.
BAD = [
    (0, 1, 0), (0x1000, 16, 0), (DATA + PAGE - 1, 2, 1), (DATA, PAGE + 1, PAGE), (DATA + PAGE, 1, 0),
    (DATA, 0x7FFF_FFFF, PAGE), (DATA, MINUS_1, PAGE), (MINUS_1, 1, 0), (MINUS_1, MINUS_1, 0), (0xFFFF_F000, PAGE, 0),
    (0xFFFF_FF00, 0x200, 0),
]  # fmt: skip


@pytest.mark.parametrize(("address", "count", "reach"), BAD)
def test_bad_buffers_are_efault_and_consume_nothing(call: Linux, address: int, count: int, reach: int) -> None:
    """A stream takes nothing of them; a file is read up to where the buffer is bad."""
    assert call(WRITE, 1, address, count) == -errno.EFAULT
    assert call(READ, 0, address, count) == (min(reach, 14) or -errno.EFAULT)
    assert call.named("lseek", 0, 0, 1) == min(reach, 14)
    assert call.named("lseek", 0, 0, 0) == 0
    call.put(struct.pack("<4I", DATA + 64, 4, address, count))
    too_long = count > 0x7FFF_FFFF  # a length is looked at before its buffer
    assert call.named("writev", 1, DATA, 2) == (-errno.EINVAL if too_long else -errno.EFAULT)
    assert call.named("getrandom", address, count, 0) == -errno.EFAULT
    read = 0 if too_long else min(4 + reach, 14)
    assert call.named("readv", 0, DATA, 2) == (read or -errno.EINVAL)
    assert call(READ, 0, DATA, 100) == 14 - read


@pytest.mark.parametrize("pointer", [1, ENTRY - 1, DATA + PAGE - 1, DATA + PAGE, 0xFFFF_F000, MINUS_1])
def test_calls_with_bad_pointers_are_efault(quick: Linux, pointer: int) -> None:
    quick.put(b"x", DATA + PAGE - 1)
    path = quick.text("/etc/motd")
    calls = {
        "open": (pointer, 0, 0), "stat64": (pointer, DATA), "access": (pointer, 0), "unlink": (pointer,),
        "readlink": (pointer, DATA, 10), "chdir": (pointer,), "execve": (pointer, 0, 0), "mkdir": (pointer, 0),
        "openat": (AT_FDCWD, pointer, 0, 0), "rename": (path, pointer), "fstat64": (0, pointer), "uname": (pointer,),
        "fstat": (0, pointer), "statx": (0, path, 0, 0, pointer), "_llseek": (0, 0, 0, pointer, 0),
        "clock_gettime": (0, pointer), "clock_gettime64": (0, pointer), "gettimeofday": (pointer, 0), "time": (pointer,),
        "times": (pointer,), "nanosleep": (pointer, 0), "sysinfo": (pointer,), "ugetrlimit": (3, pointer),
        "prlimit64": (0, 3, 0, pointer), "getrusage": (0, pointer), "set_thread_area": (pointer,),
        "get_thread_area": (pointer,), "rt_sigaction": (2, pointer, 0, 8), "rt_sigprocmask": (0, pointer, 0, 8),
        "sigaltstack": (pointer, 0), "pipe": (pointer,), "poll": (pointer, 1, 0), "_newselect": (1, pointer, 0, 0, 0),
        "select": (pointer,), "writev": (1, pointer, 1), "readv": (0, pointer, 1), "sched_getaffinity": (0, 4, pointer),
        "getresuid32": (pointer, DATA, DATA), "mmap": (pointer,), "futex": (pointer & ~3, 1, 1, 0),
        "prctl": (16, pointer), "getcpu": (pointer, 0), "clock_nanosleep": (0, 0, pointer, 0), "setitimer": (0, pointer, 0),
    }  # fmt: skip
    for name, arguments in calls.items():
        if name == "futex" and pointer == DATA + PAGE - 1:
            continue  # its word is in bounds
        assert quick.named(name, *arguments) == -errno.EFAULT, name
    assert len(quick.process.descriptors) == 3


def test_reads_stop_at_the_last_mapped_byte(call: Linux) -> None:
    """A defect of the original: a buffer that ends on a page boundary let the byte behind it through."""
    assert call(READ, 0, DATA + PAGE - 14, 14) == 14
    assert call.get(14, DATA + PAGE - 14) == b"standard input"
    assert call(WRITE, 1, DATA + PAGE - 1, 1) == 1
    assert call(WRITE, 1, DATA + PAGE - 1, 2) == -errno.EFAULT
    assert call(WRITE, 1, DATA, PAGE) == PAGE
    assert call(WRITE, 1, DATA, PAGE + 1) == -errno.EFAULT


# -- descriptors -----------------------------------------------------------------------------------------------------


def test_vectors(quick: Linux) -> None:
    quick.put(struct.pack("<6I", DATA + 64, 3, 0, 0, DATA + 80, 100))
    assert quick.named("readv", 0, DATA, 3) == 14
    assert quick.get(3, DATA + 64) + quick.get(11, DATA + 80) == b"standard input"
    assert quick.named("writev", 1, DATA, 1) == 3
    assert quick.named("writev", 1, DATA, 1025) == -errno.EINVAL
    assert quick.named("writev", 1, DATA, 0) == 0


def test_positions(quick: Linux) -> None:
    assert quick.named("pread64", 0, DATA, 5, 9, 0) == 5
    assert quick.get(5) == b"input"
    assert quick.named("pread64", 0, DATA, 5, MINUS_1, MINUS_1) == -errno.EINVAL
    assert quick.named("pread64", 0, DATA, 5, 0, 1) == 0
    assert quick.named("pwrite64", 1, DATA, 5, 0, 0) == -errno.ESPIPE
    assert quick.named("lseek", 0, 4, 0) == 4
    assert quick.named("_llseek", 0, MINUS_1, MINUS_1, DATA, 1) == 0
    assert quick.process.memory.read_u64(DATA) == 3
    assert quick.named("lseek", 1, 0, 0) == -errno.ESPIPE
    assert quick.named("lseek", 0, 0, 9) == -errno.EINVAL


def test_duplicates(quick: Linux) -> None:
    assert quick.named("dup", 1) == 3
    assert quick.named("dup2", 1, 10) == 10
    assert quick.named("dup2", 1, 1) == 1
    assert quick.named("dup3", 1, 11, os.O_CLOEXEC) == 11
    assert quick.named("fcntl64", 11, 1, 0) == 1
    assert quick.named("dup3", 1, 1, 0) == -errno.EINVAL
    assert quick.named("dup2", 1, 100_000) == -errno.EBADF
    assert quick.named("fcntl64", 1, 1030, 20) == 20
    assert quick.named("fcntl64", 20, 1, 0) == 1
    assert quick.named("close_range", 3, MINUS_1, 0) == 0
    assert list(quick.process.descriptors) == [0, 1, 2]


def test_flags(quick: Linux) -> None:
    assert quick.named("fcntl64", 0, 3, 0) & 3 == 0
    assert quick.named("fcntl64", 1, 3, 0) & 3 == 1
    assert quick.named("fcntl64", 1, 4, os.O_NONBLOCK) == 0
    assert quick.named("fcntl64", 1, 3, 0) & os.O_NONBLOCK
    assert quick.named("fcntl64", 1, 4, 0) == 0
    assert not quick.named("fcntl64", 1, 3, 0) & os.O_NONBLOCK


def test_streams_are_no_terminals(quick: Linux) -> None:
    for fd in (0, 1, 2):
        assert quick.named("ioctl", fd, 0x5401, DATA) == -errno.ENOTTY
        assert quick.named("ioctl", fd, 0x5413, DATA) == -errno.ENOTTY


def test_stat_of_streams_and_files(quick: Linux) -> None:
    assert quick.named("fstat64", 0, DATA) == 0
    assert struct.unpack_from("<I", quick.get(96), 16)[0] & 0o170000 == 0o100000
    assert struct.unpack_from("<q", quick.get(96), 44)[0] == 14
    assert quick.named("stat64", quick.text("/etc/motd"), DATA) == 0
    assert struct.unpack_from("<q", quick.get(96), 44)[0] == 6
    assert quick.named("statx", AT_FDCWD, quick.text("/etc/motd"), 0, 0x7FF, DATA) == 0
    assert struct.unpack_from("<Q", quick.get(256), 40)[0] == 6
    assert quick.named("statx", 0, quick.text(""), 0x1000, 0x7FF, DATA) == 0
    assert struct.unpack_from("<Q", quick.get(256), 40)[0] == 14
    assert quick.named("fstatat64", AT_FDCWD, quick.text("etc/motd"), DATA, 0) == 0
    assert quick.named("fstatat64", 77, quick.text("etc/motd"), DATA, 0) == -errno.EBADF
    assert quick.named("fstatat64", 0, quick.text("etc/motd"), DATA, 0) == -errno.ENOTDIR
    assert quick.named("stat", quick.text("/etc/motd"), DATA) == 0
    assert struct.unpack_from("<I", quick.get(64), 20)[0] == 6


def test_directories_are_listed(quick: Linux) -> None:
    fd = quick(OPEN, quick.text("/dir"), os.O_DIRECTORY, 0)
    count = quick.named("getdents64", fd, DATA, 1000)
    names, position, data = [], 0, quick.get(count)
    while position < count:
        size = struct.unpack_from("<H", data, position + 16)[0]
        names.append(data[position + 19 : position + size].rstrip(b"\0"))
        position += size
    assert names == [b".", b"..", b"a", b"b"]
    assert quick.named("getdents64", fd, DATA, 1000) == 0
    assert quick.named("lseek", fd, 0, 0) == 0
    assert quick.named("getdents64", fd, DATA, 10) == -errno.EINVAL
    assert quick.named("getdents64", 0, DATA, 1000) == -errno.ENOTDIR
    assert quick.named("openat", fd, quick.text("a"), 0, 0) == fd + 1
    assert quick.named("fchdir", fd) == 0
    assert quick.named("getcwd", DATA, 100) == 5
    assert quick(OPEN, quick.text("b"), 0, 0) == fd + 2


def test_paths_without_a_grant(quick: Linux) -> None:
    for path in ("/etc/passwd", "/proc/self/exe", "/dev/tty", "/etc/ld.so.cache"):
        assert quick(OPEN, quick.text(path), 0, 0) == -errno.ENOENT
        assert quick.named("access", quick.text(path), 0) == -errno.ENOENT
        assert quick.named("readlink", quick.text(path), DATA, 100) == -errno.ENOENT
    assert quick.named("unlink", quick.text("/etc/motd")) in (-errno.EBUSY, -errno.EROFS)
    assert quick.named("getcwd", DATA, 1) == -errno.ERANGE
    assert quick.named("getcwd", DATA, 2) == 2


def test_a_writable_grant(tmp_path: Path) -> None:
    caller = Linux(Sandbox(engine="reference", files={"/w": Grant(tmp_path, writable=True)}))
    with caller.process:
        assert caller.named("umask", 0o077) == 0o022
        fd = caller(OPEN, caller.text("/w/new"), os.O_CREAT | os.O_RDWR, 0o666)
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
        assert caller(WRITE, fd, caller.put(b"12345"), 5) == 5
        assert caller.named("ftruncate64", fd, 3, 0) == 0
        assert caller.named("symlink", caller.text("/etc/passwd"), caller.text("/w/sym", DATA + 0xD00)) == 0
        assert caller(OPEN, caller.text("/w/sym"), 0, 0) == -errno.ENOENT
        assert caller.named("readlink", caller.text("/w/sym"), DATA, 5) == 5
        assert caller.named("rename", caller.text("/w/new"), caller.text("/w/old", DATA + 0xD00)) == 0
        assert (tmp_path / "old").read_bytes() == b"123"
        assert caller.named("mkdirat", AT_FDCWD, caller.text("/w/d"), 0o777) == 0
        assert caller.named("unlink", caller.text("/w/d")) == -errno.EISDIR
        assert caller.named("rmdir", caller.text("/w/old")) == -errno.ENOTDIR
        assert caller.named("unlinkat", AT_FDCWD, caller.text("/w/d"), 0x200) == 0


def test_poll(quick: Linux) -> None:
    assert quick.named("pipe2", DATA + 64, os.O_NONBLOCK) == 0
    reader, writer = struct.unpack("<II", quick.get(8, DATA + 64))
    quick.put(struct.pack("<ihhihhihhihh", 0, 1, 0, reader, 1, 0, writer, 4, 0, 50, 1, 0))
    assert quick.named("poll", DATA, 4, MINUS_1) == 3
    assert [e[2] for e in struct.iter_unpack("<ihh", quick.get(32))] == [1, 0, 4, 0x20]
    quick.put(struct.pack("<ihh", reader, 1, 0))
    assert quick.named("poll", DATA, 1, 10) == 0
    assert quick.named("poll", DATA, 0x2000_0000, 0) == -errno.EINVAL
    assert quick(READ, reader, DATA, 1) == -errno.EAGAIN


# -- threads, signals, the system ------------------------------------------------------------------------------------


def test_the_thread_pointer(engine_name: str) -> None:
    code = """
    mov ebx, 0x0804a000; mov eax, 243; int 0x80
    mov eax, [0x0804a000]; lea eax, [eax * 8 + 3]; mov gs, ax
    mov ecx, gs:[0]
    mov edx, gs:[-4]
    mov eax, 1; mov ebx, 9; int 0x80
    """
    data = struct.pack("<IIII", MINUS_1, DATA + 0x104, 0xFFFFF, 0x51).ljust(0x100, b"\0") + struct.pack("<II", 7, 42)
    with Sandbox(engine=engine_name, timeout=60).spawn(image(code, data, linux=True)) as process:
        process.run()
        assert process.exit_code == 9
        assert process.memory.read_u32(DATA) == 6
        assert (process.registers.ecx, process.registers.edx) == (42, 7)


def test_thread_areas(quick: Linux) -> None:
    for entry in (6, 7, 8):
        quick.put(struct.pack("<IIII", MINUS_1, 0x1000 * entry, 0xFFFFF, 0x51))
        assert quick.named("set_thread_area", DATA) == 0
        assert quick.process.memory.read_u32(DATA) == entry
    quick.put(struct.pack("<IIII", MINUS_1, 1, 1, 0x51))
    assert quick.named("set_thread_area", DATA) == -errno.ESRCH
    quick.put(struct.pack("<I", 7))
    assert quick.named("get_thread_area", DATA) == 0
    assert struct.unpack("<III", quick.get(12)) == (7, 0x7000, 0xFFFFF)
    for entry in (0, 5, 9, 12, 0x7FFF_FFFF):
        quick.put(struct.pack("<IIII", entry, 1, 1, 0x51))
        assert quick.named("set_thread_area", DATA) == -errno.EINVAL
    quick.put(struct.pack("<IIII", 8, 0, 0, 0b101000))
    assert quick.named("set_thread_area", DATA) == 0
    assert quick.process.registers.gs_base == 0x6000  # the first one is as good as loaded, and stays
    quick.put(struct.pack("<IIII", 6, 0, 0, 0b101000))
    assert quick.named("set_thread_area", DATA) == 0
    assert quick.process.registers.gs_base is None


def test_futexes(quick: Linux) -> None:
    quick.put(struct.pack("<I", 5))
    assert quick.named("futex", DATA, 0, 6, 0) == -errno.EAGAIN
    assert quick.named("futex", DATA, 0x80, 5, 0) == -errno.EDEADLK  # nobody could ever wake it
    quick.put(struct.pack("<ii", 0, 1000), DATA + 16)
    assert quick.named("futex", DATA, 0x80, 5, DATA + 16) == -errno.ETIMEDOUT
    assert quick.named("futex", DATA, 0x81, 1, 0) == 0
    assert quick.named("futex", DATA + 1, 1, 1, 0) == -errno.EINVAL
    assert quick.named("futex", DATA, 6, 1, 0) == -errno.ENOSYS


def test_signal_actions_and_masks_are_kept(quick: Linux) -> None:
    action = struct.pack("<IIIQ", 0x1234, 0, 0, 0)
    quick.put(action)
    assert quick.named("rt_sigaction", 15, DATA, 0, 8) == 0
    assert quick.named("rt_sigaction", 15, 0, DATA + 64, 8) == 0
    assert quick.get(20, DATA + 64) == action
    assert quick.named("rt_sigaction", 9, DATA, 0, 8) == -errno.EINVAL
    assert quick.named("rt_sigaction", 65, DATA, 0, 8) == -errno.EINVAL
    assert quick.named("rt_sigaction", 2, DATA, 0, 4) == -errno.EINVAL
    quick.put(struct.pack("<Q", 0b1100))
    assert quick.named("rt_sigprocmask", 0, DATA, 0, 8) == 0
    assert quick.named("rt_sigprocmask", 1, 0, DATA + 8, 8) == 0
    assert quick.process.memory.read_u64(DATA + 8) == 0b1100
    assert quick.named("kill", 1, 9) == -errno.ESRCH
    assert quick.named("tgkill", 1, 1, 9) == -errno.ESRCH
    assert quick.named("kill", quick.process.pid, 0) == 0


@pytest.mark.parametrize(("name", "number"), [("kill", 6), ("tkill", 15), ("kill", 9)])
def test_a_fatal_signal_to_oneself(call: Linux, name: str, number: int) -> None:
    call.named(name, call.process.pid, number)
    assert (call.process.exit_code, call.process.signal) == (128 + number, number)


def test_writing_without_a_reader_is_sigpipe() -> None:
    code = f"""
    mov eax, 42; mov ebx, {DATA}; int 0x80
    mov eax, 6; mov ebx, [{DATA}]; int 0x80
    mov eax, 4; mov ebx, [{DATA + 4}]; mov ecx, {DATA}; mov edx, 1; int 0x80
    mov eax, 1; mov ebx, 0; int 0x80
    """
    assert Sandbox(engine="reference").run(image(code, linux=True)).exit_code == 128 + 13


def test_who_and_where(quick: Linux) -> None:
    for name in ("getuid32", "geteuid32", "getgid32", "getegid32", "getuid", "getegid"):
        assert quick.named(name) == 1000
    assert quick.named("getpid") == quick.named("gettid") == quick.named("set_tid_address", 0) == quick.process.pid
    assert quick.named("getppid") == 1
    assert quick.named("uname", DATA) == 0
    assert [quick.get(5, DATA + 65 * n).rstrip(b"\0") for n in (0, 4)] == [b"Linux", b"i686"]
    assert quick.named("setuid32", 0) == -errno.EPERM
    assert quick.named("sched_getaffinity", 0, 128, DATA) == 4
    assert quick.named("ugetrlimit", 3, DATA) == 0
    assert quick.process.memory.read_u32(DATA) == 8 << 20
    assert quick.named("ugetrlimit", 16, DATA) == -errno.EINVAL
    assert quick.named("sysinfo", DATA) == 0
    assert quick.process.memory.read_u32(DATA + 16) == 64 << 20


def test_clocks(quick: Linux) -> None:
    assert quick.named("clock_gettime", 1, DATA) == 0
    assert struct.unpack("<ii", quick.get(8))[0] < 3600
    assert quick.named("clock_gettime64", 0, DATA) == 0
    assert struct.unpack("<qi", quick.get(12))[0] > 1_600_000_000
    assert quick.named("clock_gettime", 99, DATA) == -errno.EINVAL
    quick.put(struct.pack("<ii", 0, 1000))
    assert quick.named("nanosleep", DATA, 0) == 0
    quick.put(struct.pack("<ii", -1, 0))
    assert quick.named("nanosleep", DATA, 0) == -errno.EINVAL
    quick.put(struct.pack("<ii", 0, 10**9))
    assert quick.named("clock_nanosleep", 1, 0, DATA, 0) == -errno.EINVAL


def test_random_numbers_follow_the_policy() -> None:
    def numbers(policy: Policy) -> bytes:
        caller = Linux(Sandbox(engine="reference", policy=policy))
        with caller.process:
            assert caller.named("getrandom", DATA, 32, 0) == 32
            return caller.get(32)

    assert numbers(Policy.deterministic()) == numbers(Policy.deterministic())
    assert numbers(Policy.default()) != numbers(Policy.default())


def test_unknown_calls_are_enosys(quick: Linux) -> None:
    for number in (31, 17, 1000, MINUS_1):
        assert quick(number) == -errno.ENOSYS
    assert sum(quick.process.unknown_calls.values()) == 4


@pytest.mark.parametrize("table", [SystemCalls.linux(), SystemCalls.vx()], ids=["linux", "vx"])
def test_every_call_survives_hostile_arguments(table: SystemCalls) -> None:
    """Whatever a guest passes, the host gets no exception but those that stop the guest."""
    hostile = (0, 1, DATA, DATA + PAGE - 2, 0x7FFF_FFFF, 0x8000_0000, MINUS_1)
    box = Sandbox(engine="reference", timeout=0.2, processes=3, policy=Policy.deterministic())
    for entry in table:
        caller = Caller(box, linux=table.name == "linux", stdin=b"x")
        with caller.process as process:
            for shift in range(len(hostile)):
                if not process.alive:
                    break
                arguments = [hostile[(shift + 3 * n) % len(hostile)] for n in range(len(entry.parameters))]
                try:
                    assert caller(entry.number, *arguments) is not None
                except Timeout:
                    break


# -- whole programs --------------------------------------------------------------------------------------------------

PROGRAM = r"""
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char line[64];
    char *big = malloc(1 << 20);
    memset(big, 'x', 1 << 20);
    big = realloc(big, 4 << 20);
    printf("%d %s %s %c\n", argc, argv[1], getenv("NAME"), big[(1 << 20) - 1]);
    while (fgets(line, sizeof line, stdin)) printf("<%s", line);
    errno = 0;
    if (open("/etc/passwd", 0) < 0) fprintf(stderr, "errno %d\n", errno);
    return time(NULL) > 1000 ? 42 : 1;
}
"""


@pytest.fixture(scope="session")
def glibc_program() -> Path:
    """A static program against the host's own 32-bit C library."""
    return compiled("#include <fcntl.h>\n" + PROGRAM)


def test_a_static_glibc_program(engine_name: str, glibc_program: Path) -> None:
    box = Sandbox(engine=engine_name, timeout=120, env={"NAME": "value"})
    result = box.run(glibc_program, ["arg"], stdin=b"one\ntwo\n")
    assert result.stdout == b"2 arg value x\n<one\n<two\n"
    assert result.stderr == b"errno 2\n"
    assert result.exit_code == 42
    assert not result.stats.unknown_calls


def test_rights_of_a_loaded_program(glibc_program: Path) -> None:
    with Sandbox(engine="reference").spawn(glibc_program) as process:
        rights = {access for _, _, access in process.memory.regions()}
        assert rights == {Access.READ, Access.RX, Access.RW}


@pytest.mark.compiler
def test_a_static_musl_program(engine_name: str, tmp_path: Path) -> None:
    from vx32py._compile import compile_guest, compilers

    if "zig" not in compilers():
        pytest.skip("needs zig")
    source = tmp_path / "a.c"
    source.write_text("#include <fcntl.h>\n" + PROGRAM)
    program = compile_guest([source], tmp_path / "a.elf", libc="musl")
    box = Sandbox(engine=engine_name, timeout=60, env={"NAME": "value"})
    result = box.run(program, ["arg"], stdin=b"one\ntwo\n")
    assert (result.describe(), result.stdout, result.stderr) == (
        "exit code 42",
        b"2 arg value x\n<one\n<two\n",
        b"errno 2\n",
    )


# -- snapshots: what newer calls leave behind is part of them -----------------------------------------------------------


def test_a_snapshot_has_the_umask_and_the_signals_that_a_descriptor_is_for(quick: Linux) -> None:
    mask, usr1, usr2 = DATA, 1 << 9, 1 << 11
    quick.put(struct.pack("<Q", usr1), mask)
    assert quick.named("rt_sigprocmask", 0, mask, 0, 8) == 0
    fd = quick.named("signalfd4", MINUS_1, mask, 8, os.O_NONBLOCK)
    own = quick.named("pidfd_open", quick.process.pid, 0)
    assert quick.named("umask", 0o27) == 0o22
    snapshot = quick.process.snapshot()
    assert quick.named("umask", 0) == 0o27
    quick.put(struct.pack("<Q", usr2), mask)
    assert quick.named("signalfd4", fd, mask, 8, 0) == fd
    quick.process.restore(snapshot)
    assert quick.named("umask", 0) == 0o27
    assert quick.named("kill", quick.process.pid, 10) == 0
    assert quick(READ, fd, DATA, 128) == 128
    assert quick.process.memory.read_u32(DATA) == 10
    assert quick.named("pidfd_send_signal", own, 0, 0, 0) == 0


def test_another_guest_has_no_descriptors_for_the_processes_of_the_first(quick: Linux) -> None:
    own = quick.named("pidfd_open", quick.process.pid, 0)
    with quick.process.sandbox.spawn_from(quick.process.snapshot()) as other:
        assert own not in other.descriptors
