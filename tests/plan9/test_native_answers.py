"""Reads and writes that are answered without Python do what those that are not do, and no more."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import needs
import pytest
from plan9_programs import compiled, main

from vx32py._hostfile import HostFile
from vx32py.plan9.answers import Plan9Answers
from vx32py.plan9.calls.files import channel
from vx32py.plan9.kernel import Kernel, Result
from vx32py.plan9.proc import Proc
from vx32py.vfs.host import HostTree

pytestmark = pytest.mark.compiler

CONTENT = bytes(range(256)) * 64


def run(
    engine: str, folder: Path, body: str, before: str = "", *, writable: bool = True, processes: int = 20
) -> tuple[Result, int]:
    """How a program has ended that has the folder as ``#Ut``, and how many calls were answered natively."""
    answered = 0
    (folder / "file").write_bytes(CONTENT)
    (folder / "program").write_bytes(compiled(main(body, before)))
    (folder / "program").chmod(0o755)

    def count(self: Plan9Answers) -> None:
        nonlocal answered
        answered += sum(count for _, count in self.page.counts())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan9Answers, "count", count)
        trees = {"t": HostTree(folder, writable=writable)}
        with Kernel(engine=engine, timeout=60, memory="32M", trees=trees, processes=processes) as kernel:
            result = kernel.run(["#Ut/program"])
    return result, answered


def holds(engine: str, folder: Path, body: str, before: str = "", *, least: int = 0, writable: bool = True) -> None:
    """The program ends well, and where an engine can answer calls it answers so many at least."""
    result, answered = run(engine, folder, body, before, writable=writable)
    assert (result.status, result.stderr) == ("", b"")
    if engine == "jit":
        assert answered >= least
    else:
        assert answered == 0


def test_reads_of_any_size_and_place_are_what_is_there(engine_name: str, tmp_path: Path) -> None:
    body = """
    int fd, i, n; uint sum = 0; vlong at = 0;
    check((fd = open("#Ut/file", OREAD)) >= 0);
    for(i = 1; i < 300; i++){
        n = read(fd, buf, i);
        check(n == (at + i > 16384 ? 16384 - at : i));
        for(; n > 0; n--) check(buf[n-1] == (uchar)(at + n - 1));
        at = seek(fd, 0, 1);
        check(at == (i*(i+1)/2 > 16384 ? 16384 : i*(i+1)/2));
    }
    check(read(fd, buf, 10) == 0);
    check(seek(fd, 100, 0) == 100 && read(fd, buf, 1) == 1 && buf[0] == 100);
    check(pread(fd, buf, 3, 250) == 3 && buf[0] == 250 && buf[2] == 252);
    check(read(fd, buf, 1) == 1 && buf[0] == 101);
    check(pread(fd, buf, 4, 1ULL<<40) == 0);
    check(failed(pread(fd, buf, 4, -2), "negative i/o offset"));
    check(read(fd, buf, 0) == 0);
    """
    holds(engine_name, tmp_path, body, "uchar buf[4096];", least=250)


def test_writes_are_there(engine_name: str, tmp_path: Path) -> None:
    body = """
    int fd, i;
    check((fd = create("#Ut/made", ORDWR, 0666)) >= 0);
    for(i = 0; i < 1000; i++){ buf[0] = i; check(write(fd, buf, 1 + i%7) == 1 + i%7); }
    check(pwrite(fd, "xyz", 3, 10) == 3);
    check(pread(fd, buf, 3, 10) == 3 && strncmp(buf, "xyz", 3) == 0);
    """
    holds(engine_name, tmp_path, body, "uchar buf[16];", least=900)
    wanted = bytearray().join(bytes([i & 255]) + bytes(i % 7) for i in range(1000))
    wanted[10:13] = b"xyz"
    assert hashlib.sha256((tmp_path / "made").read_bytes()).digest() == hashlib.sha256(wanted).digest()


def test_null_and_zero_are_answered_too(engine_name: str, tmp_path: Path) -> None:
    body = """
    int i, from = open("/dev/zero", OREAD), to = open("/dev/null", ORDWR);
    for(i = 0; i < 200; i++){
        memset(buf, 1, sizeof buf);
        check(read(from, buf, sizeof buf) == sizeof buf && buf[0] == 0 && buf[sizeof buf - 1] == 0);
        check(write(to, buf, sizeof buf) == sizeof buf && read(to, buf, sizeof buf) == 0);
    }
    check(write(from, buf, 1) < 0);
    """
    holds(engine_name, tmp_path, body, "uchar buf[1000];", least=500)


def test_processes_that_share_a_channel_share_its_offset(engine_name: str, tmp_path: Path) -> None:
    body = """
    int fd, i, twice;
    check((fd = open("#Ut/file", OREAD)) >= 0);
    check((twice = dup(fd, -1)) >= 0);
    for(i = 0; i < 20; i++) check(read(i % 2 ? fd : twice, buf, 1) == 1 && buf[0] == i);
    if(fork() == 0){
        for(i = 20; i < 40; i++) check(read(fd, buf, 1) == 1 && buf[0] == i);
        exits(nil);
    }
    check(strcmp(wait(), "") == 0);
    check(read(twice, buf, 1) == 1 && buf[0] == 40);
    """
    holds(engine_name, tmp_path, body, "uchar buf[16];", least=30)


def test_what_was_not_opened_for_it_is_not_done(engine_name: str, tmp_path: Path) -> None:
    body = """
    int in, out, i;
    check((in = open("#Ut/file", OREAD)) >= 0 && (out = open("#Ut/file", OWRITE)) >= 0);
    for(i = 0; i < 20; i++){
        check(read(in, buf, 1) == 1 && write(out, buf, 1) == 1);
        check(failed(write(in, buf, 1), "inappropriate use of fd"));
        check(failed(read(out, buf, 1), "inappropriate use of fd"));
    }
    """
    holds(engine_name, tmp_path, body, "uchar buf[16];", least=20)


def test_a_descriptor_that_was_closed_or_given_away_is_not_used(engine_name: str, tmp_path: Path) -> None:
    """Other numbers, other groups of descriptors, processes that share them: what counts is what they lead to now."""
    body = """
    int i, fd, other, ready[2], done[2];
    check((fd = open("#Ut/file", OREAD)) >= 0);
    for(i = 0; i < 5; i++) check(read(fd, buf, 1) == 1 && buf[0] == i);
    close(fd);
    check(failed(read(fd, buf, 1), "fd out of range or not open"));
    check((other = open("/dev/zero", OREAD)) == fd);
    check(read(fd, buf, 1) == 1 && buf[0] == 0 && read(fd, buf, 1) == 1 && buf[0] == 0);
    check(dup(open("#Ut/file", OREAD), fd) == fd);
    for(i = 0; i < 5; i++) check(read(fd, buf, 1) == 1 && buf[0] == i);
    check(pipe(ready) == 0 && pipe(done) == 0);
    if(rfork(RFPROC) == 0){             /* the same descriptors */
        for(i = 5; i < 10; i++) check(read(fd, buf, 1) == 1 && buf[0] == i);
        check(write(ready[1], "x", 1) == 1 && read(done[0], buf, 1) == 1);
        check(failed(read(fd, buf, 1), "fd out of range or not open"));
        exits(nil);
    }
    check(read(ready[0], buf, 1) == 1);
    for(i = 10; i < 15; i++) check(read(fd, buf, 1) == 1 && buf[0] == i);
    close(fd);
    check(write(done[1], "x", 1) == 1);
    check(strcmp(wait(), "") == 0);
    check((fd = open("#Ut/file", OREAD)) >= 0);
    for(i = 0; i < 5; i++) check(read(fd, buf, 1) == 1 && buf[0] == i);
    if(rfork(RFPROC|RFMEM) == 0){       /* the same, until it has its own */
        for(i = 5; i < 10; i++) check(read(fd, buf, 1) == 1 && buf[0] == i);
        check(rfork(RFCFDG) == 0);
        check(read(fd, buf, 1) < 0);
        exits(nil);
    }
    check(strcmp(wait(), "") == 0);
    check(read(fd, buf, 1) == 1 && buf[0] == 10);
    check(rfork(RFCFDG) == 0);
    check(read(fd, buf, 1) < 0);
    """
    holds(engine_name, tmp_path, body, "uchar buf[16];", least=20)


def test_memory_that_is_not_the_programs_is_a_bad_address(engine_name: str, tmp_path: Path) -> None:
    body = """
    int fd, i, n = 0; char *end_ = (char*)(((ulong)end + 4095) & ~4095UL);
    check(notify(handler) == 0);
    check((fd = open("#Ut/file", ORDWR)) >= 0);
    check(read(fd, end_ - 16, 16) == 16);
    for(i = 1; i < 16; i++) check(read(fd, end_ - 16, 16 + i) < 0);
    check(read(fd, (void*)0x1020, 4) < 0 && read(fd, 0, 4) < 0 && read(fd, (void*)-4, 8) < 0 && read(fd, (void*)0x50000000, 4) < 0);
    check(write(fd, (void*)0x1020, 4) == 4);
    check(write(fd, 0, 4) < 0 && write(fd, (void*)-4, 8) < 0 && write(fd, end_, 4) < 0);
    check(seek(fd, 0, 1) == 20);
    check(noticed == 15 + 4 + 3);
    """
    before = 'int noticed; void handler(void *u, char *s) { noticed += strncmp(s, "sys: bad address", 16) == 0; noted(NCONT); }'
    holds(engine_name, tmp_path, body, before)


def test_arguments_may_be_anywhere_on_a_stack(engine_name: str, tmp_path: Path) -> None:
    """Also where there is none, at odd addresses, and with alignment checks on."""
    body = """
    int fd, i, r;
    check((fd = open("#Ut/file", OREAD)) >= 0);
    check(read(fd, buf, 1) == 1);
    for(i = 0; i < 64; i++){
        char *sp = stack + 4096 - 24 - i;
        *(int*)(sp+4) = fd; *(char**)(sp+8) = buf; *(int*)(sp+12) = 1; *(vlong*)(sp+16) = i;
        r = called(sp);
        check(r == 1 && buf[0] == i);
    }
    check(notify(handler) == 0);
    called((char*)-8);
    check(0);
    """
    before = """
    uchar buf[16]; char stack[4096];
    void handler(void *u, char *s) { exits(s); }
    int called(char *sp) {
        int r; static char *kept;
        __asm__ volatile("movl %%esp, %2\\n pushfl\\n orl $0x40000, (%%esp)\\n popfl\\n movl %1, %%esp\\n movl $50, %%eax\\n int $0x40\\n"
            "movl %2, %%esp\\n pushfl\\n andl $~0x40000, (%%esp)\\n popfl" : "=&a"(r) : "r"(sp), "m"(kept) : "memory", "cc");
        return r;
    }
    """
    result, _ = run(engine_name, tmp_path, body, before)
    assert (result.status, result.stderr[-31:]) == ("Suicide", b"suicide: bad address in notify\n")  # it has no stack


@pytest.mark.ldt
def test_a_file_where_9p_is_spoken_is_nobodys_to_read(tmp_path: Path) -> None:
    """From the moment on at which it is, in whatever process."""
    body = """
    int fd = open("#Ut/file", OREAD);
    for(;;){ if(read(fd, buf, 1) < 0) exits("stopped"); sleep(0); }
    """
    needs.engine("jit")
    (tmp_path / "file").write_bytes(CONTENT * 100)
    (tmp_path / "program").write_bytes(compiled(main(body, "uchar buf[16];")))
    (tmp_path / "program").chmod(0o755)
    with Kernel(engine="jit", timeout=60, trees={"t": HostTree(tmp_path, writable=False)}) as kernel:
        proc = kernel.start(["#Ut/program"])

        def speak() -> None:
            if proc.native is not None:
                proc.native.count()
            if proc.tally.get("pread", 0) > 10:
                channel(proc, 3).speaks_9p = True
            else:
                kernel.family.add_timer(time.monotonic() + 0.02, speak)

        speak()
        kernel.wait(proc)
        assert proc.tally["pread"] > 10
        assert proc.status == "stopped"


def test_a_file_that_becomes_append_only_is_written_at_its_end(engine_name: str, tmp_path: Path) -> None:
    body = """
    int fd, i, n; uchar d[200];
    check((fd = open("#Ut/file", ORDWR)) >= 0);
    for(i = 0; i < 10; i++) check(write(fd, "x", 1) == 1);
    memset(d, 0xff, sizeof d);
    n = 49; d[0] = n - 2; d[1] = 0;
    for(i = 41; i < n; i++) d[i] = 0;
    *(uint*)(d + 21) = 0x40000000 | 0666;
    check(fwstat(fd, d, n) == n);
    for(i = 0; i < 5; i++) check(write(fd, "y", 1) == 1);
    check(pwrite(fd, "z", 1, 0) == 1);
    check((i = open("#Ut/file", OWRITE)) >= 0 && write(i, "w", 1) == 1);
    """
    holds(engine_name, tmp_path, body, least=5)
    assert (tmp_path / "file").read_bytes() == b"x" * 10 + CONTENT[10:] + b"yyyyyzw"


def test_reading_without_end_does_not_stop_the_others(engine_name: str, tmp_path: Path) -> None:
    body = """
    int fd, child;
    check((fd = open("/dev/zero", OREAD)) >= 0);
    if((child = fork()) == 0)
        for(;;) read(fd, buf, sizeof buf);
    sleep(30);
    sprint(name, "/proc/%d/note", child);
    check((fd = open(name, OWRITE)) >= 0 && write(fd, "kill", 4) == 4);
    check(strncmp(wait(), "kill", 4) == 0);
    """
    holds(engine_name, tmp_path, body, "char buf[4096], name[64];")


def test_time_is_the_hosts(engine_name: str, tmp_path: Path) -> None:
    body = """
    vlong t, before = nsec(); int i;
    for(i = 0; i < 100; i++){ t = nsec(); check(t >= before); before = t; }
    check(before > 1600000000000000000LL);
    """
    holds(engine_name, tmp_path, body, least=90)


@pytest.mark.ldt
def test_a_closed_file_of_the_hosts_is_forgotten(tmp_path: Path) -> None:
    """Its number may be another file's at once."""
    needs.engine("jit")
    (tmp_path / "file").write_bytes(CONTENT)
    source = main("""
    int i, fd;
    for(i = 0; i < 50; i++){ check((fd = open("#Ut/file", OREAD)) >= 0); check(read(fd, &fd, 0) == 0); close(fd); }
    """)
    (tmp_path / "program").write_bytes(compiled(source))
    (tmp_path / "program").chmod(0o755)
    with Kernel(engine="jit", timeout=60, trees={"t": HostTree(tmp_path, writable=False)}) as kernel:
        proc = kernel.start(["#Ut/program"])
        assert isinstance(proc, Proc)
        kernel.wait(proc)
        assert proc.status == ""
        assert proc.native is None
        assert not proc.fds.watchers


def test_nothing_is_granted_of_a_file_that_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then somebody has to be told of what is written."""
    monkeypatch.setattr(HostFile, "mapping", object())
    (tmp_path / "file").write_bytes(CONTENT)
    with Kernel(engine="reference", trees={"t": HostTree(tmp_path, writable=False)}) as kernel:
        chan = kernel.host.open("#Ut/file", 0)
        assert chan.host is None
        chan.close()
