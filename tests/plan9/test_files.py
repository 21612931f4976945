"""Calls about files: open, create, close, dup, pipe, read and write at offsets, seek, chdir, fd2path, remove."""

from __future__ import annotations

import pytest
from plan9_programs import holds

from vx32py.plan9 import groups

pytestmark = pytest.mark.compiler

#: A file of ten bytes in memory.
TEN = 'int fd = create("/tmp/ten", ORDWR, 0666); char b[64]; check(fd >= 0 && write(fd, "0123456789", 10) == 10);'


def test_open_and_create_give_the_lowest_descriptor(engine_name: str) -> None:
    body = """
    check(create("/tmp/a", OWRITE, 0666) == 3 && open("/tmp/a", OREAD) == 4 && open("/tmp", OREAD) == 5);
    check(close(3) == 0 && open("#c/null", ORDWR) == 3);
    check(failed(close(77), "fd out of range or not open") && failed(close(-1), "fd out of range or not open"));
    check(close(4) == 0 && failed(close(4), "fd out of range or not open"));
    """
    holds(engine_name, body)


#: What fails, and how.
ERRORS = (
    ('open("/no/such", OREAD)', "'/no' file does not exist"),
    ('open("such", OREAD)', "'such' file does not exist"),
    ('open("/tmp/ten/x", OREAD)', "'/tmp/ten' not a directory"),
    ('open("", OREAD)', "empty file name"),
    ('open("/tmp/a\\nb", OREAD)', "bad character in file name: '/tmp/a\\nb'"),
    ('open("#?", OREAD)', "unknown device in # filename"),
    ('open("#M", OREAD)', "mount/attach disallowed"),
    ('open("/tmp", OWRITE)', "file is a directory"),
    ('open("/tmp", OREAD|OTRUNC)', "file is a directory"),
    ('open("/tmp/ten", 4)', "bad arg in system call"),
    ('open("/tmp/ten", -1)', "bad arg in system call"),
    ('open("/tmp/locked", OREAD)', "permission denied"),
    ('open("/tmp", OEXEC)', "'/tmp' cannot exec directory"),
    ('create("/no/such", OWRITE, 0666)', "'/no' file does not exist"),
    ('create("/tmp/ten/x", OWRITE, 0666)', "'/tmp/ten' not a directory"),
    ('create("/tmp/ten", OWRITE|OEXCL, 0666)', "file already exists"),
    ('create("/tmp/x/", OWRITE, 0666)', "'/tmp/x' create without DMDIR"),
    ('create("/", OREAD, 0)', "file already exists"),
    ('create("/tmp/d", OWRITE, 0x80000000|0777)', "permission denied"),
    ('create("/tmp/x", 77, 0666)', "bad arg in system call"),
    ('create("/bin/x", OWRITE, 0666)', "permission denied"),
    ('create("#c/x", OWRITE, 0666)', "permission denied"),
    ('remove("/tmp/no")', "'/tmp/no' file does not exist"),
    ('remove("/tmp/full")', "directory not empty"),
    ('remove("/tmp")', "is a mount point"),
    ('remove("#c/null")', "permission denied"),
    ('chdir("/tmp/ten")', "not a directory"),
    ('chdir("/tmp/no")', "'/tmp/no' file does not exist"),
    ("dup(77, -1)", "fd out of range or not open"),
    ("dup(fd, -2)", "fd out of range or not open"),
    ("dup(fd, 100000)", "fd out of range or not open"),
    ("fd2path(77, b, sizeof b)", "fd out of range or not open"),
    ("pread(77, b, 1, 0)", "fd out of range or not open"),
    ("pread(fd, b, 1, -2)", "negative i/o offset"),
    ("pread(writes, b, 1, 0)", "inappropriate use of fd"),
    ("pwrite(77, b, 1, 0)", "fd out of range or not open"),
    ("pwrite(fd, b, 1, -2)", "negative i/o offset"),
    ("pwrite(reads, b, 1, 0)", "inappropriate use of fd"),
    ("pwrite(folder, b, 1, 0)", "inappropriate use of fd"),
    ("pread(folder, b, 64, 5)", "seek in directory"),
    ("pread(folder, b, 4, 0)", "i/o count too small"),
    ("_read(77, b, 1)", "fd out of range or not open"),
    ("_write(reads, b, 1)", "inappropriate use of fd"),
    ("(int)seek(77, 0, 0)", "fd out of range or not open"),
    ("(int)seek(fd, -1, 0)", "negative i/o offset"),
    ("(int)seek(fd, -11, 1)", "negative i/o offset"),
    ("(int)seek(fd, -11, 2)", "negative i/o offset"),
    ("(int)seek(fd, 0, 3)", "bad arg in system call"),
    ("(int)seek(folder, 1, 0)", "file is a directory"),
    ("(int)seek(folder, 0, 1)", "file is a directory"),
    ("(int)seek(ends[0], 0, 0)", "seek on a stream"),
    ("oseek(fd, -1, 0)", "negative i/o offset"),
    ("oseek(ends[1], 0, 0)", "seek on a stream"),
)


def test_what_cannot_be_done_with_files_has_the_kernels_text(engine_name: str) -> None:
    checks = "".join(f'    check(failed({call}, "{error}"));\n' for call, error in ERRORS)
    body = f"""
    {TEN}
    int ends[2], reads = open("/tmp/ten", OREAD), writes = open("/tmp/ten", OWRITE), folder = open("/tmp", OREAD);
    check(pipe(ends) == 0 && create("/tmp/locked", OWRITE, 0) >= 0 && create("/tmp/full", OREAD, 0x80000000|0777) >= 0);
    check(create("/tmp/full/x", OWRITE, 0666) >= 0);
{checks}
    """
    holds(engine_name, body)


def test_reading_and_writing_at_the_offset_and_elsewhere(engine_name: str) -> None:
    body = f"""
    {TEN}
    check(read(fd, b, 5) == 0 && seek(fd, 2, 0) == 2 && read(fd, b, 3) == 3 && b[0] == '2' && seek(fd, 0, 1) == 5);
    check(pread(fd, b, 64, 8) == 2 && b[1] == '9' && pread(fd, b, 1, 100) == 0 && seek(fd, 0, 1) == 5);
    check(pwrite(fd, "AB", 2, 0) == 2 && seek(fd, 0, 1) == 5 && pread(fd, b, 2, 0) == 2 && b[1] == 'B');
    check(_read(fd, b, 2) == 2 && b[0] == '5' && _write(fd, "CD", 2) == 2 && seek(fd, 0, 1) == 9);
    check(pwrite(fd, "end", 3, 20) == 3 && seek(fd, 0, 2) == 23 && pread(fd, b, 64, 9) == 14 && b[1] == 0 && b[11] == 'e');
    check(pread(fd, b, 0, 0) == 0 && pwrite(fd, b, 0, 0) == 0);
    """
    holds(engine_name, body)


def test_offsets_have_64_bits(engine_name: str) -> None:
    body = f"""
    {TEN}
    vlong big = 0x123456789aLL, result = 77; uint *half = (uint*)&result;
    check(_seek(&result, fd, big, 0) == 0 && result == big && half[0] == 0x3456789a && half[1] == 0x12);
    check(seek(fd, -0x1000000000LL, 1) == 0x23456789aLL && seek(fd, 0x100000000LL, 2) == 0x10000000aLL);
    check(read(fd, b, 1) == 0);
    check(_seek(&result, 99, 0, 0) == -1 && result == big);
    result = 5;
    check(_seek(&result, fd, -1, 0) == -1 && result == 5);
    check(oseek(fd, 3, 0) == 3 && oseek(fd, -1, 1) == 2 && oseek(fd, -1, 2) == 9 && read(fd, b, 2) == 1 && b[0] == '9');
    """
    holds(engine_name, body)


def test_create_makes_files_empty_and_otrunc_too(engine_name: str) -> None:
    body = f"""
    {TEN}
    int again = create("/tmp/ten", ORDWR, 0);
    check(again == fd + 1 && seek(fd, 0, 2) == 0 && write(again, "xyz", 3) == 3);
    check(open("/tmp/ten", OREAD) >= 0 && seek(fd, 0, 2) == 3 && open("/tmp/ten", OWRITE|OTRUNC) >= 0 && seek(fd, 0, 2) == 0);
    int folder = create("/tmp/d", OREAD, 0x80000000|0777), gone = create("/tmp/d/gone", ORDWR|ORCLOSE, 0666);
    check(folder >= 0 && gone >= 0 && failed(remove("/tmp/d"), "directory not empty"));
    check(write(gone, "x", 1) == 1 && close(gone) == 0 && failed(open("/tmp/d/gone", OREAD), "'/tmp/d/gone' file does not exist"));
    check(remove("/tmp/d") == 0 && remove("/tmp/ten") == 0 && write(fd, "there", 5) == 5 && pread(fd, b, 9, 0) == 5);
    """
    holds(engine_name, body)


def test_dup_shares_the_channel_and_its_offset(engine_name: str) -> None:
    body = f"""
    {TEN}
    int other = dup(fd, -1);
    check(other == fd + 1 && seek(fd, 4, 0) == 4 && read(other, b, 1) == 1 && b[0] == '4' && seek(fd, 0, 1) == 5);
    check(dup(fd, 20) == 20 && close(fd) == 0 && close(other) == 0 && read(20, b, 1) == 1 && b[0] == '5');
    int ends[2];
    check(pipe(ends) == 0 && dup(20, ends[0]) == ends[0] && read(ends[1], b, 1) == 0);
    check(dup(20, 20) == 20 && read(20, b, 1) == 1);
    """
    holds(engine_name, body)


def test_a_pipe_has_two_ends_that_read_and_write(engine_name: str) -> None:
    before = "int n; char got[64]; void handler(void *u, char *t) { n++; strcpy(got, t); noted(NCONT); }"
    body = """
    int ends[2]; char b[64];
    check(pipe(ends) == 0 && ends[0] == 3 && ends[1] == 4);
    check(write(ends[0], "one", 3) == 3 && write(ends[0], "two", 3) == 3 && write(ends[1], "back", 4) == 4);
    check(read(ends[1], b, 64) == 3 && read(ends[1], b, 2) == 2 && b[0] == 't' && read(ends[1], b, 64) == 1 && b[0] == 'o');
    check(read(ends[0], b, 64) == 4);
    if(fork() == 0){ close(ends[0]); check(read(ends[1], b, 64) == 4 && strncmp(b, "more", 4) == 0); exits(nil); }
    check(write(ends[0], "more", 4) == 4 && strcmp(wait(), "") == 0);
    check(write(ends[0], "last", 4) == 4 && close(ends[0]) == 0);
    check(read(ends[1], b, 64) == 4 && read(ends[1], b, 64) == 0);
    notify(handler);
    check(failed(write(ends[1], "x", 1), "i/o on hungup channel") && n == 1);
    check(strncmp(got, "sys: write on closed pipe pc=", 29) == 0);
    """
    holds(engine_name, body, before)


def test_a_note_ends_a_read_and_nothing_is_lost(engine_name: str) -> None:
    before = "int n; void handler(void *u, char *t) { n++; noted(NCONT); }"
    body = """
    int ends[2]; char b[8];
    notify(handler);
    check(pipe(ends) == 0);
    interrupt("Pread");
    check(failed(read(ends[0], b, 8), "interrupted") && n == 1);
    check(write(ends[1], "there", 5) == 5 && read(ends[0], b, 8) == 5);
    """
    holds(engine_name, body, before)


def test_chdir_changes_where_names_begin_and_children_begin_there(engine_name: str) -> None:
    body = """
    char b[64];
    check(create("/tmp/d", OREAD, 0x80000000|0777) >= 0 && chdir("/tmp/d") == 0 && create("f", OWRITE, 0666) >= 0);
    if(fork() == 0){ check(open("/tmp/d/f", OREAD) >= 0 && open("../d/f", OREAD) >= 0 && chdir("/") == 0); exits(nil); }
    check(strcmp(wait(), "") == 0);
    int fd = open(".", OREAD);
    check(fd2path(fd, b, sizeof b) == 0 && strcmp(b, "/tmp/d") == 0);
    """
    holds(engine_name, body)


def test_fd2path_tells_by_which_name_and_cuts_it(engine_name: str) -> None:
    body = """
    char b[64]; int fd = create("/tmp/caf\\xc3\\xa9", OWRITE, 0666), ends[2];
    check(fd2path(fd, b, sizeof b) == 0 && strcmp(b, "/tmp/caf\\xc3\\xa9") == 0);
    b[10] = 7;
    check(fd2path(fd, b, 10) == 0 && strcmp(b, "/tmp/caf") == 0 && b[10] == 7);
    check(fd2path(fd, b, 5) == 0 && strcmp(b, "/tmp") == 0 && fd2path(fd, b, 0) == 0 && b[0] == '/');
    check(pipe(ends) == 0 && fd2path(ends[1], b, sizeof b) == 0 && strcmp(b, "#|/data1") == 0);
    """
    holds(engine_name, body)


def test_descriptors_have_an_end(engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_FDS", 150)
    body = """
    int i, ends[2];
    for(i = 0; i < 1000; i++) if(dup(0, -1) < 0) break;
    check(i == 147 && failed(-1, "no free file descriptors"));
    check(failed(open("/tmp", OREAD), "no free file descriptors") && failed(pipe(ends), "no free file descriptors"));
    check(failed(create("/tmp/x", OWRITE, 0666), "no free file descriptors"));
    check(close(100) == 0 && failed(pipe(ends), "no free file descriptors") && open("/tmp", OREAD) == 100);
    """
    holds(engine_name, body)
