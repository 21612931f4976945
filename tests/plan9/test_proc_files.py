"""``#p``: what a process's files tell, as proc(3) has it, and what can be done to it through them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from plan9_programs import main, program

from plan9_programs import compiled  # isort: skip
from conformance.plan9.kernels import put
from vx32py.plan9 import Error, Kernel
from vx32py.plan9.proc import Proc

#: What programs of these tests have: to open, read and write a file of a process's, and a child that does something.
HELP = r"""
static int pfile(int pid, char *name, int mode) { char b[64]; sprint(b, "/proc/%d/%s", pid, name); return open(b, mode); }
static int tell(int pid, char *name, char *what) { int fd = pfile(pid, name, OWRITE), n; if(fd < 0) return -1; n = write(fd, what, strlen(what)); close(fd); return n; }
static char got[4096];
static char *ask(int pid, char *name) { int fd = pfile(pid, name, OREAD), n; if(fd < 0) return "!"; n = read(fd, got, sizeof got - 1); close(fd); if(n < 0) return "?"; got[n] = 0; return got; }
static volatile int flag;
"""


@pytest.fixture
def kernel(engine_name: str) -> Iterator[Kernel]:
    with Kernel(engine=engine_name, timeout=60) as made:
        yield made


def holds(kernel: Kernel, body: str, before: str = "") -> None:
    proc = kernel.start_program(
        program(main("int pid, fd, n; char b[1000];" + body, HELP + before)), ["test", "two words", "it's"]
    )
    kernel.wait(proc)
    assert proc.status == ""


@pytest.fixture
def waiting(kernel: Kernel) -> Proc:
    """A process that waits in a read of a pipe, with a name space and descriptors of its own."""
    proc = kernel.start_program(
        program(
            main(
                """
        int p[2]; char b[10];
        check(bind("/env", "/n", MREPL|MCREATE) >= 0 && bind("#c", "/n", MBEFORE) >= 0);
        check(chdir("/env") == 0 && pipe(p) == 0);
        fork() ? read(p[0], b, 10) : read(p[1], b, 10);
        """
            )
        ),
        ["test", "two words", "it's"],
    )
    while proc.call != "pread":
        kernel.wait(kernel.start_program(program(main("sleep(5);"))))
    return proc


def text(kernel: Kernel, proc: Proc, name: str) -> str:
    return kernel.host.read(f"/proc/{proc.pid}/{name}").decode()


def test_status_has_its_columns(kernel: Kernel, waiting: Proc) -> None:
    found = text(kernel, waiting, "status")
    assert len(found) == 176
    assert (found[:28].rstrip(), found[28:56].rstrip()) == ("test", "glenda")
    assert found[56:68].rstrip() == "Pread"
    numbers = [found[start : start + 12] for start in range(68, 176, 12)]
    assert all(re.fullmatch(" *[0-9]+ ", each) for each in numbers)
    size = int(numbers[6])
    segments = [line.split() for line in text(kernel, waiting, "segment").splitlines()]
    assert size == sum(int(s[-2], 16) - int(s[-3], 16) for s in segments if s[0] != "Stack") >> 10


def test_segment_fd_args_and_ns_can_be_parsed(kernel: Kernel, waiting: Proc) -> None:
    lines = text(kernel, waiting, "segment").splitlines()
    assert [line.split()[0] for line in lines] == ["Stack", "Text", "Data", "Bss"]
    for line in lines:
        assert re.fullmatch("(Stack|Text|Data|Bss) +[R ][P ]? +[0-9a-f]{8} [0-9a-f]{8} +[0-9]+", line)
    assert lines[1].split()[2] == "00001000"
    first, *fds = text(kernel, waiting, "fd").splitlines()
    assert first == "/env"
    shape = r" *\d+ (r |w |rw) [a-zA-Z|/] +\d+ \([0-9a-f]{16} \d+ [0-9a-f]{2}\) +\d+ +\d+ (\S+)"
    matches = [re.fullmatch(shape, line) for line in fds]
    assert all(matches)
    assert [match[2] for match in matches if match][:3] == ["/dev/cons", "/dev/cons", "/dev/cons"] or len(matches) >= 5
    assert text(kernel, waiting, "args") == "test 'two words' 'it''s'"
    names = text(kernel, waiting, "ns").splitlines()
    assert names[-1] == "cd /env"
    assert all(re.fullmatch(r"(bind|mount) (-[abcC]+ )?\S+ \S+ ?\S*|cd \S+", line.replace("  ", " ")) for line in names)
    assert any(line.split() == ["bind", "-b", "#c", "/n"] for line in names)
    assert text(kernel, waiting, "noteid").strip().isdigit()
    assert kernel.host.read(f"/proc/{waiting.pid}/text")[:4] == bytes.fromhex("000001eb")
    assert len(kernel.host.read(f"/proc/{waiting.pid}/regs")) == 19 * 4
    assert len(kernel.host.read(f"/proc/{waiting.pid}/fpregs")) == 512


def test_a_process_is_stopped_and_started(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        if((pid = rfork(RFPROC|RFMEM|RFFDG)) == 0)for(;;) flag++;
        while(flag == 0) sleep(1);
        check(!is(pid, "Stopped"));
        check(tell(pid, "ctl", "stop") == 4 && is(pid, "Stopped"));
        n = flag;
        sleep(20);
        check(flag == n);
        check(tell(pid, "ctl", "waitstop") > 0);
        check(failed(tell(getpid_(), "ctl", "start"), "bad process or channel control request"));
        check(tell(pid, "ctl", "start") == 5 && !is(pid, "Stopped"));
        while(flag == n) sleep(1);
        check(tell(pid, "ctl", "stop") == 4 && tell(pid, "ctl", "kill") == 4);
        check(strcmp(wait(), "Killed") == 0);
        check(pfile(pid, "ctl", OWRITE) < 0);
        """,
        "static int getpid_(void) { return _tos->pid; }",
    )


def test_registers_and_memory_of_a_stopped_process_are_changed(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        ulong r[19]; volatile int *spins = segattach(0, "shared", nil, 4096);
        if((pid = fork()) == 0){
            __asm__ volatile("1: movl $1, %1; testl %%eax, %%eax; jz 1b" : : "a"(0), "m"(*spins));
            if(flag == 77) exits("released");
            exits("not as it was told");
        }
        while(!*spins) sleep(1);
        fd = pfile(pid, "regs", ORDWR);
        check(failed(pwrite(fd, r, sizeof r, 0), "bad process or channel control request"));
        check(tell(pid, "ctl", "stop") == 4);
        check(pread(fd, r, sizeof r, 0) == sizeof r && r[7] == 0);
        check(r[14] >= 0x1020 && r[14] < (ulong)etext && r[17] > (ulong)&n - 100000 && r[17] < (ulong)&n + 1000);
        r[7] = 1; r[15] = 0; r[18] = 0;	/* selectors stay what they are */
        check(pwrite(fd, r, sizeof r, 0) == sizeof r);
        check(failed(pwrite(fd, r, 3, 0), "bad arg in system call") && failed(pwrite(fd, r, 8, 72), "bad arg in system call"));
        n = 77;
        check(pwrite(pfile(pid, "mem", ORDWR), &n, 4, (ulong)&flag) == 4 && flag == 0);
        check(pread(pfile(pid, "mem", OREAD), &n, 4, (ulong)&flag) == 4 && n == 77);
        check(failed(pread(pfile(pid, "mem", OREAD), &n, 4, 0), "bad arg in system call"));
        check(failed(pread(pfile(pid, "mem", OREAD), &n, 4, 0xfffff000), "bad arg in system call"));
        check(tell(pid, "ctl", "start") == 5);
        check(strcmp(wait(), "released") == 0);
        """,
    )


def test_a_debugger_has_a_process_stop_at_exec_and_at_notes(kernel: Kernel) -> None:
    put(kernel, "child", compiled(main('exits("the other program");')))
    holds(
        kernel,
        """
        char *args[] = {"child", nil};
        if((pid = fork()) == 0){
            while(pread(pfile(_tos->pid, "args", OREAD), b, 10, 0) != 2) sleep(1);
            exec("/bin/child", args);
            exits("no exec");
        }
        check(tell(pid, "ctl", "hang") == 4 && tell(pid, "args", "go") == 2);
        check(tell(pid, "ctl", "waitstop") == 8 && is(pid, "Stopped"));
        check(strncmp(ask(pid, "status"), "child ", 6) == 0);
        check(tell(pid, "ctl", "nohang") == 6 && tell(pid, "ctl", "start") == 5);
        check(strcmp(wait(), "the other program") == 0);

        if((pid = fork()) == 0){ for(;;) sleep(1000); }
        until(pid, "Sleep");
        check(tell(pid, "ctl", "stop") == 4 && tell(pid, "ctl", "startstop") == 9 && !is(pid, "Stopped"));
        check(tell(pid, "note", "a note") == 6);
        check(tell(pid, "ctl", "waitstop") == 8 && is(pid, "Stopped"));
        check(tell(pid, "ctl", "start") == 5);
        check(strcmp(wait(), "a note") == 0);
        """,
    )


def test_descriptors_of_others_are_closed(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        int p[2], q[2];
        check(pipe(p) == 0 && pipe(q) == 0);
        if((pid = fork()) == 0){ close(p[0]); close(q[0]); for(;;) sleep(1000); }
        close(p[1]); close(q[1]);
        sprint(b, "closefd %d", p[1]);
        check(tell(pid, "ctl", b) > 0);
        check(read(p[0], b, 10) == 0);
        check(failed(tell(pid, "ctl", "closefd 99"), "fd out of range or not open"));
        check(tell(pid, "ctl", "closefiles") > 0);
        check(read(q[0], b, 10) == 0);
        check(strncmp(ask(pid, "fd"), "/\\n", 2) == 0 && got[2] == 0);
        check(tell(pid, "ctl", "kill") > 0 && strcmp(wait(), "Killed") == 0);
        """,
    )


def test_messages_that_are_none_are_refused(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        char *bad[] = {"", "nothing", "kill me", "closefd", "closefd x", "closefd -1", "closefd \\xc2\\xb2", "start", "startstop", "\\xff\\xff", "stop\\n now"};
        n = _tos->pid;
        for(fd = 0; fd < nelem(bad); fd++) if(fd != 2 && fd != 10) check(tell(n, "ctl", bad[fd]) == -1);
        check(tell(n, "ctl", "pri 5") > 0 && tell(n, "ctl", "noswap") > 0);
        check(failed(tell(n, "noteid", "x"), "bad arg in system call") && failed(tell(n, "noteid", "99999"), "bad arg in system call"));
        check(failed(tell(n, "noteid", "\\xc2\\xb2"), "bad arg in system call"));
        static char digits[5001]; memset(digits, '1', 5000);
        check(failed(tell(n, "noteid", digits), "bad arg in system call"));
        check(pfile(n, "status", OWRITE) < 0 && pfile(n, "nothing", OREAD) < 0 && pfile(99999, "status", OREAD) < 0);
        check(create("/proc/new", OREAD, 0x80000000|0777) < 0 && remove("/proc/1") < 0);
        """,
    )


def test_files_of_one_who_has_ended_say_so(kernel: Kernel, waiting: Proc) -> None:
    host = kernel.host
    chans = [host.open(f"/proc/{waiting.pid}/{name}") for name in ("status", "regs", "mem", "segment", "ns")]
    waiting.kill("killed")
    for chan in chans:
        with pytest.raises(Error, match="process exited"):
            host.do(chan.device.read(host, chan, 100, 0))
    with pytest.raises(Error, match="does not exist"):
        host.stat(f"/proc/{waiting.pid}")
    assert str(waiting.pid) not in [entry.name for entry in host.entries("/proc")]


def test_what_children_said_is_read_from_wait(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        check(failed(read(pfile(_tos->pid, "wait", OREAD), b, 100), "no living children"));
        if((pid = fork()) == 0) exits("a status");
        fd = pfile(_tos->pid, "wait", OREAD);
        n = read(fd, b, 999); b[n > 0 ? n : 0] = 0;
        check(n > 0 && strncmp(b + n - 9, "a status'", 9) == 0);
        """,
    )
