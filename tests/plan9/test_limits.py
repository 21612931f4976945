"""Every limit holds, and what one process uses another one gets when it has ended: nobody makes the host's memory grow."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
from plan9_programs import compiled, main, program

from conformance.plan9.kernels import put
from vx32py import LimitExceeded, Timeout
from vx32py.plan9 import paths
from vx32py.plan9.devices import ram
from vx32py.plan9.kernel import Kernel

pytestmark = pytest.mark.compiler

FORKS = """
int i, n = 0, pid, ends[2]; char c;
check(pipe(ends) == 0);
for(i = 0; i < 40; i++){ if((pid = rfork(RFPROC|FLAGS)) == 0){ read(ends[0], &c, 1); exits(nil); } if(pid < 0) break; n++; }
check(n > 1 && n < 30 && failed(-1, "virtual memory allocation failed"));
for(i = 0; i < n; i++) write(ends[1], "x", 1);
while(n-- > 0) check(strcmp(wait(), "") == 0);
if((pid = rfork(RFPROC|FLAGS)) == 0) exits(nil);
check(pid > 0 && strcmp(wait(), "") == 0);
"""


def test_processes_have_only_so_much_memory_together(engine_name: str) -> None:
    for flags in ("0", "RFMEM"):
        with Kernel(engine=engine_name, memory="16M", total_memory="40M", timeout=60) as kernel:
            proc = kernel.start_program(program(main(FORKS.replace("FLAGS", flags))), ["test"])
            kernel.wait(proc)
            assert proc.status == ""


def test_memory_that_is_asked_for_later_counts_too(engine_name: str) -> None:
    body = """
    int ends[2]; char c;
    check(pipe(ends) == 0);
    if(fork() == 0){ read(ends[0], &c, 1); exits(nil); }
    check(failed(brk_(TOP + (8<<20)), "virtual memory allocation failed"));
    check(failed((int)segattach(0, "memory", nil, 8<<20), "virtual memory allocation failed"));
    write(ends[1], "x", 1);
    check(strcmp(wait(), "") == 0 && brk_(TOP + (8<<20)) == 0);
    """
    with Kernel(engine=engine_name, memory="16M", total_memory="14M", timeout=60) as kernel:
        proc = kernel.start_program(program(main(body)), ["test"])
        kernel.start_program(program(main("sleep(1000);")), ["other"])
        with pytest.raises(LimitExceeded, match="the processes may have 14680064 bytes together"):
            kernel.start_program(program(main("static volatile char b[8<<20]; b[8] = 1; sleep(1000);")), ["third"])
        for other in tuple(kernel.procs()):
            if other is not proc:
                other.kill("enough")
        kernel.wait(proc)
        assert proc.status == ""


def test_all_processes_have_one_time_and_one_fuel(engine_name: str) -> None:
    spin = main("fork(); fork(); for(;;);")
    with Kernel(engine=engine_name, memory="16M", timeout=0.3) as kernel, pytest.raises(Timeout):
        kernel.wait(kernel.start_program(program(spin)))
    with Kernel(engine=engine_name, memory="16M", cpu_time=0.2) as kernel, pytest.raises(LimitExceeded) as caught:
        kernel.wait(kernel.start_program(program(spin)))
    assert caught.value.limit == "cpu"
    with Kernel(engine=engine_name, memory="16M", fuel=300_000) as kernel, pytest.raises(LimitExceeded) as caught:
        kernel.wait(kernel.start_program(program(spin)))
    assert caught.value.limit == "fuel"


#: Programs that use something up until they are refused; then they let it go, and it is there again.
GREEDY = {
    "pipes": """
        static char b[65536]; int ends[2], i, n = 0;
        for(i = 0; i < 100; i++){
            check(pipe(ends) == 0);
            if(write(ends[0], b, sizeof b) < 0) break;
        }
        check(i > 2 && i < 100 && failed(-1, "kernel allocate failed"));
        while(i-- > 0) close(3 + 2*i);
        for(i = 0; i < 100; i++) close(i);
        check(pipe(ends) == 0 && write(ends[0], b, sizeof b) == sizeof b && read(ends[1], b, 1000) == 1000);
    """,
    "a pipe": """
        int ends[2], i, n; char *p = TOP;
        check(brk_(p + (8<<20)) == 0 && pipe(ends) == 0);
        check(failed(write(ends[0], p, 8<<20), "kernel allocate failed"));
        check(write(ends[0], p, 100000) == 100000 && read(ends[1], p, 100000) == 65536 && read(ends[1], p, 100000) == 34464);
    """,
    "variables": """
        static char b[65536]; char name[32]; int fd, i;
        for(i = 0; i < 100; i++){
            sprint(name, "#e/v%d", i);
            if((fd = create(name, OWRITE, 0666)) < 0 || write(fd, b, sizeof b) < 0) break;
            close(fd);
        }
        check(i > 2 && i < 100 && failed(-1, "kernel allocate failed"));
        check(failed(rfork(RFPROC|RFENVG), "kernel allocate failed") && failed(rfork(RFENVG), "kernel allocate failed"));
        while(i-- > 0){ sprint(name, "#e/v%d", i); check(i % 2 ? remove(name) == 0 : open(name, OWRITE|OTRUNC) >= 0); }
        check((fd = create("#e/last", OWRITE, 0666)) >= 0 && write(fd, b, sizeof b) == sizeof b);
    """,
    "mounts": """
        char name[32]; int i, pid, fd;
        check(rfork(RFNAMEG) == 0);
        for(i = 0; i < 100; i++){
            sprint(name, "/tmp/%d", i);
            close(create(name, OREAD, 0x80000000|0777));
            if(bind("/dev", name, MREPL) < 0) break;
        }
        check(i == 100);
        for(i = 0; i < 40; i++){ if((pid = rfork(RFPROC|RFNAMEG)) == 0){ sleep(100000); exits(nil); } if(pid < 0) break; }
        check(i > 0 && i < 20 && failed(-1, "kernel allocate failed"));
        sprint(name, "#p/%d/notepg", _tos->pid);
        check((fd = open(name, OWRITE)) >= 0 && write(fd, "go", 2) == 2);
        while(i-- > 0) check(strcmp(wait(), "go") == 0);
        check((pid = rfork(RFPROC|RFNAMEG)) >= 0);
    """,
    "descriptors": """
        int i, k, pid, n;
        for(i = 0; i < 4000; i++) if(dup(0, -1) < 0) break;
        check(i > 100 && i < 2000 && failed(-1, "kernel allocate failed"));
        check(failed(open("/dev/null", OREAD), "kernel allocate failed") && failed(rfork(RFPROC|RFFDG), "kernel allocate failed"));
        check(failed(rfork(RFFDG), "kernel allocate failed") && rfork(RFCFDG) == 0 && open("#c/null", OREAD) == 0);
    """,
    "messages": """
        int i, n = 0;
        for(i = 0; i < 60; i++){ if(rfork(RFPROC|RFMEM) == 0) exits("a message"); sleep(0); }
        while(wait()) n++;
        check(n > 10);
    """,
}


@pytest.mark.parametrize("what", GREEDY)
def test_the_kernel_needs_only_so_much_for_its_processes_and_gets_it_back(engine_name: str, what: str) -> None:
    with Kernel(engine=engine_name, memory="16M", timeout=60) as kernel:
        kernel.account.left = free = 2 << 20 if what != "mounts" else 600 << 10
        proc = kernel.start_program(program(main(GREEDY[what])), ["test"])
        kernel.wait(proc)
        assert proc.status == ""
        for other in tuple(kernel.procs()):
            other.kill("")
        assert kernel.account.left == free


def test_a_file_without_end_is_not_executed_for_ever(engine_name: str) -> None:
    body = """
    char *words[] = { "x", nil };
    check(failed(exec("/bin/large", words), "kernel allocate failed"));
    """
    with Kernel(engine=engine_name, memory="16M", timeout=60) as kernel:
        put(kernel, "large", b"\0" * (4 << 20))
        put(kernel, "test", compiled(main(body)))
        kernel.account.left = free = 2 << 20
        assert kernel.run(["test"]).status == ""
        assert kernel.account.left == free


def test_paths_do_not_grow_for_ever(engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "MOST_BYTES", 300)
    body = """
    int i;
    check(bind("/", "/n", MREPL) > 0);
    for(i = 0; i < 1000; i++) if(chdir("n") < 0) break;
    check(i > 100 && i < 200 && failed(-1, "path too long") && chdir("..") == 0 && open("/dev/null", OREAD) >= 0);
    """
    with Kernel(engine=engine_name, memory="16M", timeout=60) as kernel:
        proc = kernel.start_program(program(main(body)))
        kernel.wait(proc)
        assert proc.status == ""


def test_files_in_memory_have_an_end(engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ram.Ram.__init__, "__defaults__", (1 << 17,))
    body = """
    static char b[65536]; char name[32]; int fd, i;
    check((fd = create("/tmp/f", OWRITE, 0666)) >= 0);
    for(i = 0; i < 40; i++) if(write(fd, b, sizeof b) < 0) break;
    check(i == 1 && failed(-1, "file system full") && failed(pwrite(fd, b, 1, 0x7fffffff), "file system full"));
    check(remove("/tmp/f") == 0 && close(fd) == 0);
    for(i = 0; i < 4000; i++){ sprint(name, "/tmp/%d", i); if((fd = create(name, OWRITE, 0666)) < 0) break; close(fd); }
    check(i > 150 && i < 256 && failed(-1, "file system full"));
    """
    with Kernel(engine=engine_name, memory="16M", timeout=60) as kernel:
        proc = kernel.start_program(program(main(body)))
        kernel.wait(proc)
        assert proc.status == ""


def test_notes_that_are_not_delivered_are_few(engine_name: str) -> None:
    before = "int n; char b[64]; void handler(void *u, char *t) { n++; noted(NCONT); }"
    body = """
    int i, fd, pid, ends[2];
    check(pipe(ends) == 0);
    pid = rfork(RFPROC|RFNOTEG);
    if(pid == 0){ notify(handler); write(ends[1], "x", 1); while(n < 5) sleep(10); sleep(1); exits(n == 5 ? nil : "not five"); }
    read(ends[0], b, 1);
    sprint(b, "#p/%d/ctl", pid);
    check((fd = open(b, OWRITE)) >= 0 && write(fd, "stop", 4) == 4);
    sprint(b, "#p/%d/note", pid);
    check((i = open(b, OWRITE)) >= 0);
    for(pid = 0; pid < 100; pid++) if(write(i, "note", 4) < 0) break;
    check(pid == 5 && failed(-1, "note not posted") && write(fd, "start", 5) == 5);
    check(strcmp(wait(), "") == 0);
    """
    with Kernel(engine=engine_name, memory="16M", timeout=60) as kernel:
        proc = kernel.start_program(program(main(body, before)))
        kernel.wait(proc)
        assert proc.status == ""


def test_where_the_host_has_few_descriptors_there_are_no_more_processes_and_no_traceback() -> None:
    script = """
import resource, sys
sys.path.insert(0, "tests")
from plan9_programs import main, program
from vx32py.plan9.kernel import Kernel
with Kernel(engine="auto", memory="8M", timeout=60) as kernel:
    proc = kernel.start_program(program(main(sys.argv[1])), ["test"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
    kernel.wait(proc)
    print(proc.status)
"""
    body = """
    int i, n = 0, pid = 0, ends[2]; char c;
    check(pipe(ends) == 0);
    for(i = 0; i < 300; i++){ if((pid = rfork(RFPROC|(i%3 ? RFMEM : 0))) == 0){ read(ends[0], &c, 1); exits(nil); } if(pid < 0) break; n++; }
    check(n > 20 && pid < 0 && failed(-1, "no procs"));
    for(i = 0; i < n; i++) write(ends[1], "x", 1);
    while(n-- > 0) check(strcmp(wait(), "") == 0);
    exits("done");
    """
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 150
    done = subprocess.run(
        [sys.executable, "-c", script, body], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
