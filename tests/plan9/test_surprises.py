"""What programs did that the kernel had not expected: an error for them, and nothing comes out of ``Kernel.wait``."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from plan9_programs import main, program
from threads import PATIENCE

from vx32py.plan9 import Directory, Error, Kernel, WouldBlock
from vx32py.plan9.devices.nodes import LONGEST_NAME
from vx32py.vfs.mounts import Grant

pytestmark = pytest.mark.compiler

_CHANGES = """
/* What wstat is given to change a name, or the group, and nothing else. */
int renaming(uchar *b, char *name, int length, int group)
{
    int n;
    memset(b, 0xff, 41);
    b[41] = group ? 0 : length, b[42] = group ? 0 : length >> 8;
    for(n = 0; n < length; n++) b[43 + n + 4 * (group != 0)] = name ? name[n] : 'n';
    if(!group) memset(b + 43 + length, 0, 6);
    else { b[43] = b[44] = 0; b[45] = length, b[46] = length >> 8; b[47 + length] = b[48 + length] = 0; }
    n = 49 + length;
    b[0] = n - 2, b[1] = n - 2 >> 8;
    return n;
}
uchar change[66000];
int rename(char *file, char *name) { return wstat(file, change, renaming(change, name, strlen(name), 0)); }
int frename(int fd, char *name) { return fwstat(fd, change, renaming(change, name, strlen(name), 0)); }
"""


@pytest.fixture
def kernel(engine_name: str) -> Iterator[Kernel]:
    with Kernel(engine=engine_name, timeout=60, memory="32M", processes=30) as made:
        yield made


def holds(kernel: Kernel, body: str, before: str = "") -> None:
    declared = "char b[200]; int fd, n, i, fds[2];"
    proc = kernel.start_program(program(main(declared + body, _CHANGES + before)), ["test"])
    kernel.wait(proc)
    assert proc.status == ""


@pytest.mark.parametrize("name", ["/tmp/file", "#s/file"])
def test_a_file_that_has_been_removed_was_renamed_and_that_was_a_traceback(kernel: Kernel, name: str) -> None:
    holds(
        kernel,
        f"""
        fd = create("{name}", OWRITE, 0666);
        check(fd >= 0 && remove("{name}") == 0);
        check(failed(frename(fd, "other"), "file does not exist"));
        n = create("{name}", OWRITE, 0666);
        check(n >= 0 && failed(frename(fd, "other"), "file does not exist"));
        check(stat("{name}", change, sizeof change) > 0);
        """,
    )


def test_no_file_can_be_renamed_to_what_is_no_name(kernel: Kernel, tmp_path: Path) -> None:
    files: dict[str, object] = {"file": bytearray(b"content")}
    kernel.bind(Directory(files), "/mnt/app")
    holds(
        kernel,
        """
        static char *places[] = { "/mnt/app/file", "/tmp/file", "#s/file" };
        static char *names[] = { ".", "..", "/" };
        check(create("/tmp/file", OWRITE, 0666) >= 0 && create("#s/file", OWRITE, 0666) >= 0);
        for(i = 0; i < 3; i++) for(n = 0; n < 3; n++){
            check(rename(places[i], names[n]) == -1);
            check(stat(places[i], change, sizeof change) > 0);
        }
        fd = open("/mnt/app", OREAD);
        check(read(fd, b, 200) > 0);
        """,
    )
    assert list(files) == ["file"]


def test_names_and_groups_have_an_end_which_files_in_memory_did_not_mind(kernel: Kernel) -> None:
    files: dict[str, object] = {"file": bytearray(b"content")}
    kernel.bind(Directory(files), "/mnt/app")
    holds(
        kernel,
        """
        static char name[70000];
        static char *places[] = { "/mnt/app/file", "/tmp/file", "#s/file" };
        check(create("/tmp/file", OWRITE, 0666) >= 0 && create("#s/file", OWRITE, 0666) >= 0);
        for(i = 0; i < 3; i++) check(failed(wstat(places[i], change, renaming(change, nil, 60000, 0)), "name too long"));
        check(failed(wstat("/tmp/file", change, renaming(change, nil, 60000, 1)), "name too long"));
        strcpy(name, "#s/");
        memset(name + 3, 'x', 60000);
        check(failed(create(name, OWRITE, 0666), "name too long"));
        strcpy(name, "#e/"), name[3] = 'x';
        check(failed(create(name, OWRITE, 0666), "name too long"));
        """,
    )
    assert LONGEST_NAME < 1000


def test_what_guests_write_into_a_directory_of_the_applications_has_an_end(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of 10,000 files in each of any number of directories could have 64 MiB."""
    monkeypatch.setattr("vx32py.plan9.devices.objects.MOST_TOGETHER", 300_000)
    files: dict[str, object] = {}
    kernel.bind(Directory(files), "/mnt/app")
    holds(
        kernel,
        """
        static char data[100000];
        check(close(create("/mnt/app/d", OREAD, 0x800001ff)) == 0);
        for(n = 0; n < 3; n++){
            for(i = 0; i < 2; i++){
                sprint(b, i ? "/mnt/app/d/%d" : "/mnt/app/%d", i);
                fd = create(b, OWRITE, 0666);
                check(write(fd, data, sizeof data) == sizeof data);
                close(fd);
            }
            fd = create("/mnt/app/third", OWRITE, 0666);
            check(failed(write(fd, data, sizeof data), "file system full"));
            close(fd);
            check(remove("/mnt/app/0") == 0 && remove("/mnt/app/third") == 0);
        }
        """,
    )
    assert list(files) == ["d"]


def test_who_may_not_remove_a_file_does_not_by_closing_it(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        check(close(create("/tmp/d", OREAD, 0x800001ed)) == 0);
        check(close(create("/tmp/d/file", OWRITE, 0666)) == 0);
        fd = open("#c/user", OWRITE);
        check(write(fd, "none", 4) == 4);
        check(failed(remove("/tmp/d/file"), "permission denied"));
        fd = open("/tmp/d/file", OREAD|ORCLOSE);
        close(fd);
        check(stat("/tmp/d/file", change, sizeof change) > 0);
        """,
    )


def test_descriptors_of_deep_paths_needed_ten_times_what_they_counted(kernel: Kernel) -> None:
    """A path has a place for each of its elements, of which there were thousands."""
    holds(
        kernel,
        """
        static char name[9000];
        check(create("/tmp/a", OREAD, 0x800001ff) >= 0 && bind("/tmp", "/tmp/a", MREPL) > 0);
        strcpy(name, "/tmp");
        for(i = 0; i < 1000; i++){
            strcpy(name + 4 + 2 * i, "/a");
            if((fd = open(name, OREAD)) < 0) break;
            close(fd);
        }
        check(i > 400 && i < 600);
        check(chdir("/tmp") == 0);
        for(i = 0; i < 1000; i++) if(chdir("a") < 0) break;
        check(i > 400 && i < 600 && failed(-1, "'a' name too long"));
        check(chdir("..") == 0);
        """,
    )


def test_a_read_whose_buffer_went_while_it_waited_held_its_channel_for_ever(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        char *there = (char*)0x1000000;
        check(pipe(fds) == 0);
        int pid = rfork(RFPROC|RFMEM|RFFDG);
        if(pid == 0){
            close(fds[0]);
            if(segattach(0, "memory", there, 4096) != there) exits("no segment");
            read(fds[1], there, 10);
            exits("read");
        }
        close(fds[1]);
        until(pid, "Pread");
        check(segattach(0, "memory", there, 4096) == there && segdetach(there) == 0);
        check(write(fds[0], "x", 1) == 1);
        check(strncmp(wait(), "sys: bad address", 16) == 0);
        notify(handler);
        check(failed(write(fds[0], "x", 1), "i/o on hungup channel"));
        """,
        "void handler(void *u, char *text) { noted(NCONT); }",
    )


def test_numbers_with_thousands_of_digits_and_of_other_scripts_are_no_numbers(engine_name: str) -> None:
    with Kernel(engine=engine_name, timeout=60, memory="32M", net="127.0.0.1:1") as kernel:
        holds(
            kernel,
            """
            static char digits[6000], name[7000];
            memset(digits, '1', sizeof digits - 1);
            sprint(b, "/proc/%d/noteid", _tos->pid);
            fd = open(b, OWRITE);
            check(fd >= 0 && write(fd, digits, 4090) == -1 && write(fd, digits, 5999) == -1);
            check(failed(write(fd, "\\302\\262", 2), "bad arg in system call"));
            strcpy(name, "/net/tcp/"), strcpy(name + 9, digits);
            check(open(name, OREAD) == -1);
            fd = open("/net/tcp/clone", ORDWR);
            strcpy(name, "connect 127.0.0.1!"), strcpy(name + 18, digits);
            check(failed(write(fd, name, 18 + 300), "malformed address"));
            check(write(fd, name, strlen(name)) == -1);
            """,
        )


def test_an_offset_that_the_host_does_not_like_is_an_error(engine_name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with Kernel(engine=engine_name, timeout=60, memory="32M", trees={"t": Grant(tmp_path, writable=True)}) as kernel:
        holds(
            kernel,
            """
            fd = open("/mnt/t/file", ORDWR);
            check(fd >= 0);
            for(i = 40; i < 63; i++){
                seek(fd, 1LL << i, 0);
                read(fd, b, 10);
                write(fd, "", 0);
            }
            seek(fd, 0x7fffffffffffffffLL, 0);
            check(read(fd, b, 10) <= 0);
            check(seek(fd, 3, 0) == 3 && read(fd, b, 10) == 4 && b[0] == 't');
            """,
        )


def test_a_call_that_waits_was_another_one_when_its_registers_had_been_written(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        Ureg u;
        static int numbers[] = { 37, 15, 20, 47, 7, 14, 52, 999 };
        for(i = 0; i < nelem(numbers); i++){
            int pid = rfork(RFPROC);
            if(pid == 0){
                n = (int)rendezvous((void*)5, (void*)6);
                exits(n == 7 ? "met" : "not met");
            }
            until(pid, "Rendez");
            sprint(b, "/proc/%d/ctl", pid);
            fd = open(b, OWRITE);
            check(write(fd, "stop", 4) == 4);
            sprint(b, "/proc/%d/regs", pid);
            n = open(b, ORDWR);
            check(n >= 0 && read(n, &u, sizeof u) == sizeof u);
            u.ax = numbers[i];
            check(pwrite(n, &u, sizeof u, 0) == sizeof u);
            check(write(fd, "start", 5) == 5);
            sleep(1);
            check((int)rendezvous((void*)5, (void*)7) == 6);
            check(strcmp(wait(), "met") == 0);
            close(fd), close(n);
        }
        """,
    )


def test_a_note_that_came_behind_an_answer_took_it_away(kernel: Kernel) -> None:
    """The partner of a rendezvous had been told that they had met."""
    holds(
        kernel,
        """
        int pid = rfork(RFPROC);
        if(pid == 0){
            notify(handler);
            n = (int)rendezvous((void*)5, (void*)6);
            while(!noticed)
                sleep(10);
            exits(n == 7 ? "met" : "not met");
        }
        until(pid, "Rendez");
        sprint(b, "/proc/%d/note", pid);
        fd = open(b, OWRITE);
        check((int)rendezvous((void*)5, (void*)7) == 6);
        check(write(fd, "hello", 5) == 5);
        check(strcmp(wait(), "met") == 0);
        """,
        "int noticed; void handler(void *u, char *text) { noticed = 1; noted(NCONT); }",
    )


def test_a_process_whose_call_was_interrupted_was_said_to_make_it_for_ever(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        int pid = rfork(RFPROC);
        if(pid == 0){
            notify(handler);
            sleep(100000);
        }
        until(pid, "Sleep");
        post(pid, "hello");
        while(is(pid, "Sleep")) sleep(1);
        """,
        "void handler(void *u, char *text) { for(;;); }",
    )


def test_messages_to_processes_have_an_end(kernel: Kernel) -> None:
    """Of 16 MiB of blanks or zeros the kernel made as many words."""
    holds(
        kernel,
        """
        static char text[20000];
        memset(text, 'x', sizeof text);
        static char *files[] = { "note", "notepg", "ctl", "noteid" };
        for(i = 0; i < 4; i++){
            sprint(b, "/proc/%d/%s", _tos->pid, files[i]);
            fd = open(b, OWRITE);
            check(fd >= 0 && failed(write(fd, text, sizeof text), "read or write too large"));
        }
        fd = open("#c/consctl", OWRITE);
        check(failed(write(fd, text, sizeof text), "read or write too large"));
        """,
    )


def test_last_words_that_nobody_reads_are_not_kept_for_ever(kernel: Kernel) -> None:
    holds(
        kernel,
        """
        check(pipe(fds) == 0);
        static char full[65536];
        int pids[5];
        for(i = 0; i < 5; i++) if((pids[i] = rfork(RFPROC|RFMEM)) == 0){ for(;;) write(fds[0], full, sizeof full); }
        for(i = 0; i < 5; i++) until(pids[i], "Pwrite");
        dup(fds[0], 2);
        for(i = 0; i < 120; i++){
            if(rfork(RFPROC) == 0) *(int*)0 = 1;
            check(strncmp(wait(), "sys: trap: fault write", 22) == 0);
        }
        """,
    )
    assert len(kernel.attendants.waits()) <= 64


def test_requests_that_no_server_answers_are_counted(kernel: Kernel) -> None:
    """Each connection had thousands of its own, for which nobody paid, and there could be any number of connections."""
    before = kernel.account.left
    holds(
        kernel,
        r"""
        static char version[] = "\023\0\0\0\145\377\377\030\040\0\0\006\0009P2000";
        static char root[] = "\024\0\0\0\151\0\0\200\0\0\0\0\0\0\0\0\0\0\0\0";
        check(pipe(fds) == 0);
        if(rfork(RFPROC|RFFDG) == 0){
            close(fds[0]);
            read(fds[1], change, 8192); write(fds[1], version, 19);
            n = read(fds[1], change, 8192); root[5] = change[5], root[6] = change[6]; write(fds[1], root, 20);
            sleep(100000);
        }
        close(fds[1]);
        check(mount(fds[0], -1, "/mnt", MREPL, "") > 0);
        int pids[10];
        for(i = 0; i < 10; i++) if((pids[i] = rfork(RFPROC|RFMEM)) == 0){ open("/mnt/nothing", OREAD); exits(""); }
        for(i = 0; i < 10; i++) until(pids[i], "Open");
        """,
    )
    assert before - kernel.account.left > 60_000  # descriptors and the mount are 36,000


def test_a_directory_is_read_a_piece_at_a_time(kernel: Kernel) -> None:
    """However much room there is: with very many entries one call took seconds."""
    kernel.bind({f"{number:0100}": b"" for number in range(4000)}, "/mnt/app")
    holds(
        kernel,
        """
        static char room[1<<20];
        fd = open("/mnt/app", OREAD);
        check((n = read(fd, room, sizeof room)) > 0 && n <= 128 << 10);
        int all = n;
        while((n = read(fd, room, sizeof room)) > 0) all += n;
        check(all >= 4000 * 149);
        """,
    )


def test_a_way_that_is_long_does_not_keep_the_others_waiting(kernel: Kernel) -> None:
    """One call went through a union of thousands of directories thousands of times, and nobody else had a turn."""
    holds(
        kernel,
        """
        static char name[9000];
        for(i = 0; i < 8; i++){
            sprint(b, "/tmp/%d", i);
            close(create(b, OREAD, 0x800001ff));
            check(bind(b, "/mnt", MAFTER) > 0);
        }
        check(create("/tmp/7/x", OREAD, 0x800001ff) >= 0);
        strcpy(name, "/mnt");
        for(i = 0; i < 1000; i++) strcpy(name + 4 + 5 * i, "/x/..");
        if(rfork(RFPROC|RFMEM) == 0) for(;;){ turns++; sleep(0); }
        while(!turns) sleep(1);
        n = turns;
        check(open(name, OREAD) >= 0);
        check(turns - n > 3);
        """,
        "volatile int turns;",
    )


@pytest.mark.parametrize("error", [ValueError("embedded null character"), SystemError("anything")])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_lookup_that_failed_in_an_unusual_way_was_waited_for_for_ever(error: Exception) -> None:
    from vx32py.plan9.devices.ip.names import Lookup

    def ask() -> list[str]:
        raise error

    lookup = Lookup(ask)
    for _ in range(1000):
        try:
            lookup.answer()
        except WouldBlock as wait:
            select.select([fd for fd, _ in wait.fds], [], [], 0.1)
        except Error as failure:
            assert failure.text.startswith("dns")  # noqa: PT017
            return
    pytest.fail("it still waits")


def test_lookups_that_were_answered_kept_descriptors_of_the_host() -> None:
    from vx32py.plan9.devices.ip.names import Lookup

    before, lookups = len(os.listdir("/proc/self/fd")), []
    for _ in range(20):
        lookup = Lookup(lambda: ["127.0.0.1"])
        lookups.append(lookup)
        while True:
            try:
                assert lookup.answer() == ["127.0.0.1"]
                break
            except WouldBlock as wait:
                select.select([fd for fd, _ in wait.fds], [], [])
    until = time.monotonic() + PATIENCE
    while len(os.listdir("/proc/self/fd")) > before:  # threads that have answered may still be about to end
        assert time.monotonic() < until, f"{before} descriptors before, {len(os.listdir('/proc/self/fd'))} now"
        time.sleep(0.01)
    assert lookups[0].answer() == ["127.0.0.1"]
