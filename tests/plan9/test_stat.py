"""stat, fstat, wstat, fwstat: entries of directories, what may be changed, what is left alone; and the calls of old programs."""

from __future__ import annotations

import pytest
from plan9_programs import holds

pytestmark = pytest.mark.compiler

#: Entries as bytes (stat(5)), and to look into them.
ENTRIES = """
uint at(uchar *p, int n) { uint v = 0; while(n--) v = v << 8 | p[n]; return v; }
enum { QTYPE = 8, VERSION = 9, PATH = 13, MODE = 21, ATIME = 25, MTIME = 29, LENGTH = 33, NAME = 41 };
char *string(uchar *e, int k)	/* name, uid, gid, muid */
{
    static char b[4][64]; uchar *p = e + NAME;
    int i; for(i = 0; i < k; i++) p += 2 + at(p, 2);
    memcpy(b[k], p + 2, at(p, 2)); b[k][at(p, 2)] = 0;
    return b[k];
}
int untouched(uchar *e, char *name, char *gid)	/* an entry that changes nothing but those */
{
    uchar *p = e + NAME;
    memset(e, 0xff, NAME);
    *p++ = strlen(name); *p++ = 0; strcpy(p, name); p += strlen(name);
    *p++ = 0; *p++ = 0;
    *p++ = strlen(gid); *p++ = 0; strcpy(p, gid); p += strlen(gid);
    *p++ = 0; *p++ = 0;
    e[0] = p - e - 2; e[1] = 0;
    return p - e;
}
uchar e[300]; int n;
"""


def test_an_entry_has_what_stat_of_section_five_says(engine_name: str) -> None:
    body = """
    uchar f[300]; int fd = create("/tmp/file", ORDWR, 0640), m;
    check(write(fd, "hello", 5) == 5);
    n = stat("/tmp/file", e, sizeof e); m = fstat(fd, f, sizeof f);
    check(n == at(e, 2) + 2 && n == 49 + strlen("file") + 3*strlen("glenda") && m == n);
    check(at(e + MODE, 4) == 0640 && at(e + LENGTH, 4) == 5 && at(e + LENGTH + 4, 4) == 0 && e[QTYPE] == 0);
    check(at(e + MTIME, 4) > 1500000000 && at(e + ATIME, 4) > 1500000000 && at(e + PATH, 4) == at(f + PATH, 4));
    check(strcmp(string(e, 0), "file") == 0 && strcmp(string(e, 1), "glenda") == 0 && strcmp(string(e, 3), "glenda") == 0);
    n = stat("/tmp", e, sizeof e);
    check(n > 0 && e[QTYPE] == 0x80 && at(e + MODE, 4) >> 24 == 0x80 && strcmp(string(e, 0), "tmp") == 0);
    check(stat("/", e, sizeof e) > 0 && strcmp(string(e, 0), "/") == 0);
    check(stat("/dev/null", e, sizeof e) > 0 && strcmp(string(e, 0), "null") == 0 && at(e + 2, 2) == 'c');
    int before = at(f + VERSION, 4);
    check(write(fd, "!", 1) == 1 && fstat(fd, f, sizeof f) == m && at(f + VERSION, 4) != before);
    """
    holds(engine_name, body, ENTRIES)


def test_a_buffer_without_room_is_told_how_much_is_needed(engine_name: str) -> None:
    body = """
    int fd = create("/tmp/file", ORDWR, 0666), all = fstat(fd, e, sizeof e);
    memset(e, 7, sizeof e);
    check(stat("/tmp/file", e, all - 1) == 2 && at(e, 2) == all - 2 && e[2] == 7);
    memset(e, 7, sizeof e);
    check(fstat(fd, e, 2) == 2 && at(e, 2) == all - 2 && e[2] == 7);
    check(fstat(fd, e, all) == all && e[all] == 7);
    check(failed(stat("/tmp/file", e, 1), "stat buffer too small") && failed(fstat(fd, e, 0), "stat buffer too small"));
    check(failed(stat("/tmp/no", e, sizeof e), "'/tmp/no' file does not exist"));
    check(failed(fstat(77, e, sizeof e), "fd out of range or not open"));
    """
    holds(engine_name, body, ENTRIES)


def test_wstat_changes_what_it_is_told_and_nothing_else(engine_name: str) -> None:
    body = """
    uchar w[100]; int fd = create("/tmp/file", ORDWR, 0640), length;
    check(write(fd, "0123456789", 10) == 10);
    length = untouched(w, "", "");
    check(wstat("/tmp/file", w, length) == length && fwstat(fd, w, length) == length);
    n = fstat(fd, e, sizeof e);
    check(at(e + MODE, 4) == 0640 && at(e + LENGTH, 4) == 10 && strcmp(string(e, 0), "file") == 0);

    memset(w + MODE, 0, 4); w[MODE] = 0x80; w[MODE + 1] = 1;
    check(wstat("/tmp/file", w, length) == length && fstat(fd, e, sizeof e) == n && at(e + MODE, 4) == 0600);
    untouched(w, "", "");
    memset(w + LENGTH, 0, 8); w[LENGTH] = 4;
    check(fwstat(fd, w, length) == length && fstat(fd, e, sizeof e) == n && at(e + LENGTH, 4) == 4);
    untouched(w, "", "");
    memset(w + MTIME, 0, 4); w[MTIME] = 99;
    check(fwstat(fd, w, length) == length && fstat(fd, e, sizeof e) == n && at(e + MTIME, 4) == 99 && at(e + LENGTH, 4) == 4);
    length = untouched(w, "other", "staff");
    check(wstat("/tmp/file", w, length) == length && stat("/tmp/other", e, sizeof e) > 0);
    check(strcmp(string(e, 0), "other") == 0 && strcmp(string(e, 2), "staff") == 0 && at(e + MTIME, 4) == 99);
    check(failed(open("/tmp/file", OREAD), "'/tmp/file' file does not exist") && pread(fd, w, 10, 0) == 4);
    """
    holds(engine_name, body, ENTRIES)


def test_changes_that_cannot_be_are_refused(engine_name: str) -> None:
    body = """
    uchar w[100]; int fd = create("/tmp/file", ORDWR, 0640), length = untouched(w, "", "");
    check(create("/tmp/there", OWRITE, 0666) >= 0);
    check(failed(wstat("/tmp/no", w, length), "'/tmp/no' file does not exist"));
    check(failed(fwstat(77, w, length), "fd out of range or not open"));
    check(failed(wstat("/tmp/file", w, length - 1), "malformed stat buffer"));
    check(failed(wstat("/tmp/file", w, length + 1), "malformed stat buffer"));
    check(failed(fwstat(fd, w, 0), "malformed stat buffer"));
    w[NAME] = 200;
    check(failed(fwstat(fd, w, length), "malformed stat buffer"));
    length = untouched(w, "a/b", "");
    check(failed(wstat("/tmp/file", w, length), "bad character in file name: 'a/b'"));
    length = untouched(w, "there", "");
    check(failed(wstat("/tmp/file", w, length), "file already exists"));
    length = untouched(w, "x", "");
    check(failed(wstat("/tmp", w, length), "'/tmp' is a mount point"));
    check(failed(wstat("#c/null", w, length), "permission denied"));
    length = untouched(w, "", "");
    w[MODE + 3] = 0x80;
    check(failed(wstat("/tmp/file", w, length), "permission denied"));
    """
    holds(engine_name, body, ENTRIES)


def test_old_programs_find_their_entries_of_116_bytes(engine_name: str) -> None:
    body = """
    int fd = create("/tmp/file", ORDWR, 0640), k;
    check(write(fd, "hello", 5) == 5);
    for(k = 0; k < 2; k++){
        memset(e, 7, sizeof e);
        check((k ? _fstat(fd, e) : _stat("/tmp/file", e)) == 0 && e[116] == 7);
        check(strcmp(e, "file") == 0 && strcmp(e + 28, "glenda") == 0 && strcmp(e + 56, "glenda") == 0 && e[27] == 0);
        check(at(e + 92, 4) == 0640 && at(e + 96, 4) > 1500000000 && at(e + 100, 4) > 1500000000 && at(e + 104, 4) == 5);
    }
    check(_stat("/tmp", e) == 0 && at(e + 84, 4) >> 31 == 1 && at(e + 92, 4) >> 31 == 1);
    check(failed(_stat("/tmp/no", e), "'/tmp/no' file does not exist") && failed(_fstat(77, e), "fd out of range or not open"));
    fd = create("/tmp/a name that is so long that it does not fit into the entries of before the fourth edition", OREAD, 0666);
    check(fd >= 0 && failed(_fstat(fd, e), "old fstat system call - recompile"));
    """
    holds(engine_name, body, ENTRIES)


def test_old_calls_that_are_no_more_say_so(engine_name: str) -> None:
    body = """
    char b[4]; b[0] = 7; b[1] = 8;
    check(failed(_wstat("/tmp", b), "old wstat system call - recompile"));
    check(failed(_fwstat(0, b), "old fwstat system call - recompile"));
    check(_fsession(0, b, 2) == 0 && b[0] == 0 && b[1] == 8 && failed(_fsession(0, b, 0), "bad arg in system call"));
    check(sysr1() == 0);
    """
    holds(engine_name, body)
