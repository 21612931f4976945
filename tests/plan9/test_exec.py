"""exec: another program in place of this one; scripts; what stays and what goes. And programs started by the host."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable
from pathlib import Path

import needs
import pytest
from plan9_programs import aout, compiled, main

from conformance.plan9.kernels import put
from reference.translator import Fragment
from vx32py._errors import LimitExceeded
from vx32py._family import Family
from vx32py.plan9 import naming
from vx32py.plan9.chan import Caller, Chan
from vx32py.plan9.devices import hosttree
from vx32py.plan9.errors import Error
from vx32py.plan9.kernel import Kernel
from vx32py.vfs.host import HostTree

pytestmark = pytest.mark.compiler

#: Says what it was started with.
ECHO = main('int i; for(i = 0; i < argc; i++) print("%s%s", i ? "|" : "", argv[i]); print("\\n");')


def run(engine: str, body: str, before: str = "", files: dict[str, bytes] | None = None) -> tuple[str, str]:
    """The status and the output of a program, with ``echo`` and other files beside it."""
    with Kernel(engine=engine, timeout=60, memory="32M") as kernel:
        put(kernel, "test", compiled(main(body, before)))
        put(kernel, "echo", compiled(ECHO))
        for name, content in (files or {}).items():
            put(kernel, name, content)
        result = kernel.run(["test", "first"])
        return result.status, result.stdout.decode()


def test_another_program_takes_the_place_of_this_one(engine_name: str) -> None:
    body = """
    char *words[] = { "any name", "two", "", "four", nil };
    exec("/bin/echo", words);
    exits("exec has returned");
    """
    assert run(engine_name, body) == ("", "any name|two||four\n")


def test_a_script_is_run_by_its_interpreter(engine_name: str) -> None:
    body = 'char *words[] = { "zero", "one", "two", nil }; exec("/bin/script", words); check(0);'
    files = {"script": b"#!/bin/echo -x  y\nnothing of this\n"}
    assert run(engine_name, body, files=files) == ("", "script|-x|y|/bin/script|one|two\n")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "exec header invalid"),
        (b"nonsense", "exec header invalid"),
        (b"x" * 100, "exec header invalid"),
        (b"#!/bin/echo without an end", "exec header invalid"),
        (b"#!\n", "exec header invalid"),
        (b"#!   \n", "exec header invalid"),
        (b"#!/bin/again\n", "exec header invalid"),
        (aout(b"\x90" * 16, entry=0x2000), "exec header invalid"),
        (aout(b"\x90" * 16, bss=0x3000_0000), "virtual memory allocation failed"),
        (aout(b"\x90" * 16, bss=0x1F0_0000), "virtual memory allocation failed"),
    ],
)
def test_what_cannot_be_executed_is_an_error_and_nothing_has_happened(
    engine_name: str, content: bytes, error: str
) -> None:
    body = f"""
    char *words[] = {{ "x", nil }};
    check(failed(exec("/bin/again", words), "{error}"));
    print("still here");
    """
    assert run(engine_name, body, files={"again": content}) == ("", "still here")


def test_what_is_not_there_or_no_program_is_named(engine_name: str) -> None:
    body = """
    char *words[] = { "x", nil };
    check(exec("/bin/nosuch", words) == -1); print("%r;");
    check(exec("/bin", words) == -1); print("%r;");
    """
    status, output = run(engine_name, body)
    assert status == ""
    first, second, _ = output.split(";")
    assert first.endswith("file does not exist")
    assert "nosuch" in first
    assert second


def test_a_script_without_its_interpreter_is_an_error(engine_name: str) -> None:
    body = 'char *words[] = { "x", nil }; check(exec("/bin/script", words) == -1); print("%r");'
    status, output = run(engine_name, body, files={"script": b"#!/bin/nosuch\n"})
    assert (status, output.endswith("file does not exist")) == ("", True)


def test_arguments_that_are_nowhere_are_a_bad_address(engine_name: str) -> None:
    body = """
    char *words[] = { "x", (char*)0x10, nil };
    if(fork() == 0){ exec("/bin/echo", words); exits("no note"); }
    check(strncmp(wait(), "sys: bad address in syscall pc=", 31) == 0);
    if(fork() == 0){ exec("/bin/echo", (char**)0x10); exits("no note"); }
    check(strncmp(wait(), "sys: bad address in syscall pc=", 31) == 0);
    """
    assert run(engine_name, body) == ("", "")


def test_more_arguments_than_fit_are_refused(engine_name: str) -> None:
    body = """
    static char *words[20001]; int i;
    for(i = 0; i < 20000; i++) words[i] = "0123456789012345678901234567890123456789";
    check(failed(exec("/bin/echo", words), "virtual memory allocation failed"));
    words[3000] = nil;
    exec("/bin/echo", words);
    """
    status, output = run(engine_name, body)
    assert (status, output[:20], output.count("|")) == ("", "01234567890123456789", 2999)


def test_handlers_and_notes_do_not_survive_and_the_environment_and_number_do(engine_name: str) -> None:
    before = "void handler(void *u, char *t) { noted(NCONT); }"
    body = """
    char *words[] = { "other", nil }; char s[32];
    notify(handler);
    if(fork() == 0){ exec("/bin/other", words); exits("?"); }
    char *said = wait();
    check(strncmp(said, "sys: trap: fault write addr=0x10 pc=", 36) == 0);
    """
    other = 'char b[32]; sprint(b, "%u %u", _tos->pid, argc); print(b); *(int*)0x10 = 1;'
    status, output = run(engine_name, body, before, {"other": compiled(main(other))})
    assert (status, output) == ("", "3 1")


def test_an_attached_segment_stays_and_is_still_shared(engine_name: str) -> None:
    body = """
    int *p = segattach(0, "shared", (void*)0x1000000, 8192), *q = segattach(0, "memory", (void*)0x1100000, 4096);
    char *words[] = { "other", nil };
    check(p == (void*)0x1000000);
    p[1] = 5; q[1] = 6;
    if(fork() == 0){ exec("/bin/other", words); exits("?"); }
    check(strcmp(wait(), "") == 0);
    check(p[2] == 7 && q[2] == 0);
    """
    other = main("int *p = (int*)0x1000000, *q = (int*)0x1100000; check(p[1] == 5 && q[1] == 6); p[2] = q[2] = 7;")
    assert run(engine_name, body, files={"other": compiled(other)}) == ("", "")


def test_who_shares_memory_keeps_it_when_the_other_one_executes(engine_name: str) -> None:
    before = "int data = 1;"
    body = """
    char *words[] = { "echo", "child", nil }; int local = 1;
    if(rfork(RFPROC|RFMEM) == 0){ data = 2; local = 2; exec("/bin/echo", words); exits("?"); }
    check(strcmp(wait(), "") == 0);
    check(data == 2 && local == 1);
    """
    assert run(engine_name, body, before) == ("", "echo|child\n")


def test_descriptors_with_ocexec_are_closed(engine_name: str) -> None:
    body = """
    int kept = open("/bin/echo", OREAD), gone = open("/bin/echo", OREAD|OCEXEC);
    char a[8], b[8], *words[] = { "other", a, b, nil };
    sprint(a, "%d", kept); sprint(b, "%d", gone);
    check(kept == 3 && gone == 4);
    exec("/bin/other", words);
    """
    other = main(
        'char c; check(pread(3, &c, 1, 0LL) == 1 && failed(pread(4, &c, 1, 0LL), "fd out of range or not open"));'
    )
    assert run(engine_name, body, files={"other": compiled(other)}) == ("", "")


def test_a_process_is_called_as_its_program(engine_name: str) -> None:
    body = """
    char *words[] = { "zero", nil };
    if(fork() == 0) exec("/bin/other", words);
    int n = await(_waited, sizeof _waited - 1);
    _waited[n] = 0;
    print("%s", _waited);
    """
    _, output = run(engine_name, body, files={"other": compiled(main('exits("oh");'))})
    assert output.endswith(" 'other 3: oh'")


def test_the_host_starts_programs_and_collects_what_they_write(engine_name: str) -> None:
    cat = (
        'char b[100]; int n; while((n = read(0, b, sizeof b)) > 0) write(1, b, n); write(2, "done", 4); exits(argv[1]);'
    )
    with Kernel(engine=engine_name, timeout=60, memory="32M") as kernel:
        put(kernel, "cat", compiled(main(cat)))
        result = kernel.run(["cat", "bad"], stdin=b"some input\n" * 100)
        assert (result.status, result.stdout, result.stderr) == ("bad", b"some input\n" * 100, b"done")
        taken: list[bytes] = []
        proc = kernel.start(["/bin/cat", ""], stdin=None, stdout=taken.append, stderr=None)
        kernel.wait(proc)
        assert (proc.status, taken) == ("", [])


def test_output_without_end_is_stopped(engine_name: str) -> None:
    with Kernel(engine=engine_name, timeout=60, memory="32M") as kernel:
        put(kernel, "yes", compiled(main("static char b[4096]; for(;;) write(1, b, sizeof b);")))
        with pytest.raises(LimitExceeded):
            kernel.run(["yes"], output_limit=100_000)
        assert not list(kernel.procs())
        put(kernel, "echo", compiled(ECHO))
        assert kernel.run(["echo", "on"]).stdout == b"echo|on\n"


def test_a_program_that_is_not_there_is_an_error_for_the_host(engine_name: str) -> None:
    with Kernel(engine=engine_name, timeout=60, memory="32M") as kernel:
        with pytest.raises(Error, match="file does not exist"):
            kernel.run(["nosuch"])
        put(kernel, "bad", b"x" * 100)
        with pytest.raises(Error, match="exec header invalid"):
            kernel.run(["bad"])


def test_the_text_of_a_process_did_not_tell_where_its_program_is(engine_name: str) -> None:
    """Go's os.Executable asks fd2path of /proc/n/text, and programs start themselves so."""
    body = """
    char name[64]; char path[64]; char *words[] = { "x", "again", "and", nil };
    int fd, found;
    if (argc == 3) { print("again"); exits(nil); }
    fd = open("/dev/pid", OREAD);
    check(read(fd, path, sizeof path) == 12);
    path[11] = 0;
    for (found = 0; path[found] == ' '; found++);
    sprint(name, "/proc/%s/text", path + found);
    fd = open(name, OREAD);
    check(fd >= 0);
    check(fd2path(fd, path, sizeof path) == 0);
    print("%s ", path);
    check(exec(name, words));
    """
    assert run(engine_name, body) == ("", "/bin/test again")


def test_segments_of_one_that_executes_leave_room_for_those_that_shared_memory_with_it(engine_name: str) -> None:
    body = """
    char *words[] = { "echo", nil }; int i;
    for(i = 0; i < 7; i++){
        if(rfork(RFPROC|RFMEM) == 0){
            check(segattach(0, i%2 ? "memory" : "shared", (void*)((i + 1) * 0x400000), 0x400000) != (void*)-1);
            exec("/bin/echo", words);
            exits("?");
        }
        check(strcmp(wait(), "") == 0);
        check(segattach(0, "memory", (void*)((i + 1) * 0x400000), 4096) != (void*)-1);
        check(segdetach((void*)((i + 1) * 0x400000)) == 0);
    }
    """
    assert run(engine_name, body) == ("", "echo\n" * 7)


def test_a_memory_segment_is_ones_own_after_exec(engine_name: str) -> None:
    body = """
    char *words[] = { "other", nil }, *p = segattach(0, "memory", (void*)0x1000000, 8192);
    if(rfork(RFPROC|RFMEM) == 0){ exec("/bin/other", words); exits("?"); }
    check(strcmp(wait(), "") == 0);
    p[8191] = 1;
    check(segbrk(p, p + 1) == 0);
    """
    other = main("char *p = (char*)0x1000000; check(segbrk(p, p + 1) == 0); sleep(20); p[0] = 1;")
    assert run(engine_name, body, files={"other": compiled(other)}) == ("", "")


def test_a_program_that_is_replaced_is_the_new_one(engine_name: str, tmp_path: Path) -> None:
    """Programs are kept by the times of their files; these are the same size, and may be made at the same time."""
    file = tmp_path / "program"
    with Kernel(engine=engine_name, timeout=60, trees={"t": HostTree(tmp_path, writable=False)}) as kernel:
        for old in (0, 10**9):
            for said in ("one", "two", "one"):
                file.write_bytes(compiled(main(f'exits("{said}");')))
                file.chmod(0o755)
                before = time.time_ns() - old
                os.utime(file, ns=(before, before))
                assert [kernel.run(["#Ut/program"]).status for _ in range(2)] == [said] * 2


def test_a_program_whose_file_has_not_changed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program").write_bytes(compiled(main("")))
    (tmp_path / "program").chmod(0o755)
    monkeypatch.setattr(hosttree, "_UNCERTAIN", 0)
    read, read_all = [], naming.read_all

    def noting(caller: Caller, chan: Chan, most: int) -> Awaitable[bytes]:
        read.append(chan)
        return read_all(caller, chan, most)

    monkeypatch.setattr(naming, "read_all", noting)
    with Kernel(engine="reference", timeout=60, trees={"t": HostTree(tmp_path, writable=False)}) as kernel:
        assert [kernel.run(["#Ut/program"]).status for _ in range(3)] == [""] * 3
    assert len(read) == 1


def test_a_program_that_takes_its_time_moves_to_the_quick_place(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []
    monkeypatch.setattr(Family, "find_better_place", lambda family, task: moved.append(task.text))
    long = main("vlong t = nsec(); while(nsec() - t < 100000000) ;")
    body = """
    int i; char *words[] = { "x", nil };
    for(i = 0; i < 2; i++){
        if(fork() == 0){ exec(i ? "/bin/long" : "/bin/echo", words); exits("exec"); }
        check(strcmp(wait(), "") == 0);
    }
    """
    assert run("reference", body, files={"long": compiled(long)})[0] == ""
    assert moved.count("long") == 1


@pytest.mark.ldt
def test_what_forked_processes_have_translated_is_there_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    needs.engine("jit")
    from jit import library
    from jit.engine import JitEngine

    translated, translate = [], JitEngine._translate

    def noting(engine: JitEngine, code: bytes, eip: int, offset: int) -> Fragment:
        translated.append(eip)
        return translate(engine, code, eip, offset)

    monkeypatch.setattr(JitEngine, "_translate", noting)
    monkeypatch.setattr(library, "in_use", lambda: True)
    body = """
    int i;
    for(i = 0; i < 60; i++){
        if(fork() == 0){ if(i % 2) exits(nil); else exits(""); }
        check(wait() != nil);
    }
    """
    assert run("jit", body) == ("", "")
    assert 10 < len(translated) < 60
