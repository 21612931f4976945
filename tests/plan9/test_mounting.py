"""bind, mount, unmount, fversion, fauth as programs call them; a server is a program, too. (What binds mean: test_namespace.py.)"""

from __future__ import annotations

import pytest
from plan9_programs import compiled, holds, main

from conformance.plan9.kernels import put
from vx32py.plan9.kernel import Kernel

pytestmark = pytest.mark.compiler

#: A server of 9P at the other end of a pipe. Its root is a directory with one file, ``name``, in which is "content".
SERVER = """
uint at(uchar *p, int n) { uint v = 0; while(n--) v = v << 8 | p[n]; return v; }
void serve(int fd)
{
    static uchar m[9000]; int n, k, folder;
    while((n = read(fd, m, sizeof m)) > 0){
        uint fid = at(m + 7, 4);
        folder = 1;
        memset(m + n, 0, 20);
        switch(m[4]++){
        case 100: break;	/* Tversion: agreed */
        case 102: memset(m + 7, 0, 13); m[7] = 8; n = 20; break;
        case 104: memset(m + 7, 0, 13); m[7] = 0x80; n = 20; break;
        case 110:
            k = at(m + 15, 2);
            if(k && strncmp(m + 19, "name", 4)) goto error;
            if(k > 1) k = 1;
            m[7] = k; m[8] = 0; memset(m + 9, 0, 13); m[14] = 1; n = 9 + 13*k; break;
        case 112: memset(m + 7, 0, 17); m[12] = 1; n = 24; break;
        case 116: k = m[11] == 0; m[7] = k ? 7 : 0; m[8] = m[9] = m[10] = 0; memcpy(m + 11, "content", 7); n = k ? 18 : 11; break;
        case 120: n = 7; break;
        default: error: m[4] = 107; m[7] = 2; m[8] = 0; m[9] = 'n'; m[10] = 'o'; n = 11;
        }
        m[0] = n; m[1] = n >> 8; m[2] = m[3] = 0;
        write(fd, m, n);
    }
    exits(nil);
}
int server(void)
{
    int ends[2];
    if(pipe(ends) < 0) exits("no pipe");
    if(rfork(RFPROC|RFFDG|RFNOWAIT) == 0){ close(ends[0]); serve(ends[1]); }
    close(ends[1]);
    return ends[0];
}
char b[200]; int fd;
"""


def test_bind_and_unmount(engine_name: str) -> None:
    body = """
    int i;
    check(create("/tmp/a", OREAD, 0x80000000|0777) >= 0 && create("/tmp/b", OREAD, 0x80000000|0777) >= 0);
    check(create("/tmp/a/one", OWRITE, 0666) >= 0 && create("/tmp/b/two", OWRITE, 0666) >= 0);
    check(bind("/tmp/a", "/n", MREPL|MCREATE) > 0 && open("/n/one", OREAD) >= 0);
    check(bind("/tmp/b", "/n", MAFTER) > 0 && open("/n/one", OREAD) >= 0 && open("/n/two", OREAD) >= 0);
    check(create("/n/new", OWRITE, 0666) >= 0 && open("/tmp/a/new", OREAD) >= 0);
    check(unmount("/tmp/a", "/n") == 0 && failed(open("/n/one", OREAD), "'/n/one' file does not exist"));
    check(open("/n/two", OREAD) >= 0 && unmount(nil, "/n") == 0);
    check(failed(open("/n/two", OREAD), "'/n/two' file does not exist") && failed(unmount(nil, "/n"), "not mounted"));
    """
    holds(engine_name, body)


def test_what_cannot_be_bound_or_mounted_is_refused(engine_name: str) -> None:
    body = """
    int ends[2], reads = open("/tmp", OREAD);
    check(pipe(ends) == 0 && create("/tmp/f", OWRITE, 0666) >= 0);
    check(failed(bind("/tmp", "/n", MBEFORE|MAFTER), "bad arg in system call"));
    check(failed(bind("/tmp", "/n", 8), "bad arg in system call"));
    check(failed(bind("/no", "/n", MREPL), "'/no' file does not exist") && failed(bind("/tmp", "/no", MREPL), "'/no' file does not exist"));
    check(failed(bind("/tmp/f", "/n", MREPL), "inconsistent mount") && failed(bind("/tmp/f", "/tmp/f", MAFTER), "inconsistent mount"));
    check(failed(unmount("/no", "/n"), "not mounted") || failed(unmount("/no", "/n"), "'/no' file does not exist"));
    check(failed(unmount("/tmp", "/n"), "not mounted"));
    check(bind("/tmp", "/n", MREPL) > 0 && failed(unmount("/dev", "/n"), "not in union"));
    check(failed(mount(77, -1, "/n", MREPL, ""), "fd out of range or not open"));
    check(failed(mount(reads, -1, "/n", MREPL, ""), "inappropriate use of fd"));
    check(failed(mount(ends[0], 77, "/n", MREPL, ""), "fd out of range or not open"));
    check(failed(mount(ends[0], -1, "/n", 3, ""), "bad arg in system call"));
    check(failed(_mount(77, "/n", MREPL, ""), "fd out of range or not open"));
    check(failed(_mount(reads, "/n", MREPL, ""), "inappropriate use of fd"));
    check(failed(fversion(77, 0, "9P2000", 7), "fd out of range or not open"));
    check(failed(fversion(reads, 0, strcpy((char[8]){0}, "9P2000"), 7), "inappropriate use of fd"));
    check(failed(fversion(ends[0], 0, strcpy((char[8]){0}, "9P2000"), 6), "bad arg in system call"));
    check(failed(fversion(ends[0], 0, strcpy((char[8]){0}, "9P2000"), 0), "bad arg in system call"));
    check(failed(fversion(ends[0], 0, strcpy((char[8]){0}, "8P2000"), 7), "bad 9P version specification"));
    check(failed(fauth(77, ""), "fd out of range or not open") && failed(fauth(reads, ""), "inappropriate use of fd"));
    close(ends[1]);
    check(failed(mount(ends[0], -1, "/n", MREPL, ""), "i/o on hungup channel"));
    """
    holds(
        engine_name, body.replace('fversion(77, 0, "9P2000", 7)', 'fversion(77, 0, strcpy((char[8]){0}, "9P2000"), 7)')
    )


@pytest.mark.parametrize("call", ['mount(fd, -1, "/n", MREPL, "")', '_mount(fd, "/n", MREPL, "")'])
def test_the_files_of_a_server_that_is_a_program_are_found_where_it_is_mounted(engine_name: str, call: str) -> None:
    body = f"""
    fd = server();
    check({call} > 0 && failed(close(fd), "fd out of range or not open"));
    fd = open("/n/name", OREAD);
    check(fd >= 0 && read(fd, b, sizeof b) == 7 && strncmp(b, "content", 7) == 0 && read(fd, b, sizeof b) == 0);
    check(fd2path(fd, b, sizeof b) == 0 && strcmp(b, "/n/name") == 0);
    check(failed(open("/n/other", OREAD), "'/n/other' no") && failed(open("/n/name/x", OREAD), "'/n/name' not a directory"));
    close(fd);
    check(unmount(nil, "/n") == 0 && failed(open("/n/name", OREAD), "'/n/name' file does not exist"));
    """
    holds(engine_name, body, SERVER)


def test_a_connection_is_agreed_upon_once_and_is_nothing_else_from_then_on(engine_name: str) -> None:
    body = """
    char version[16]; int other;
    fd = server();
    strcpy(version, "9P2000");
    check(fversion(fd, 8192, version, sizeof version) == 6 && strcmp(version, "9P2000") == 0);
    check(fversion(fd, 0, version, sizeof version) == 6 && failed(fversion(fd, 1000, version, sizeof version), "incompatible 9P versions 9P2000 9P2000"));
    check(failed(read(fd, b, 10), "inappropriate use of fd") && failed(write(fd, b, 10), "inappropriate use of fd"));
    check(mount(fd, -1, "/n", MREPL, "") > 0 && open("/n/name", OREAD) >= 0);
    """
    holds(engine_name, body, SERVER)


def test_who_is_convinced_by_fauth_may_mount(engine_name: str) -> None:
    body = """
    char number[16], *words[] = { "other", number, nil };
    fd = server();
    int auth = fauth(fd, "");
    check(auth > fd && read(auth, b, 7) == 7 && strncmp(b, "content", 7) == 0);
    check(failed(mount(fd, fd, "/n", MREPL, ""), "inappropriate use of fd"));
    check(mount(fd, auth, "/n", MREPL, "") > 0 && open("/n/name", OREAD) >= 0);
    sprint(number, "%d", auth);
    exec("/bin/other", words);
    """
    other = main('char c; check(failed(pread(argv[1][0] - 48, &c, 1, 0LL), "fd out of range or not open"));')
    with Kernel(engine=engine_name, timeout=60, memory="32M") as kernel:
        put(kernel, "test", compiled(main(body, SERVER)))
        put(kernel, "other", compiled(other))
        assert kernel.run(["test"]).status == ""


def test_a_server_is_left_when_nothing_of_it_is_mounted_or_open_any_more(engine_name: str) -> None:
    body = """
    int ends[2], file;
    check(pipe(ends) == 0);
    if(rfork(RFPROC|RFFDG) == 0){ close(ends[0]); serve(ends[1]); }
    close(ends[1]);
    check(mount(ends[0], -1, "/n", MREPL, "") > 0 && (file = open("/n/name", OREAD)) >= 0);
    check(unmount(nil, "/n") == 0 && read(file, b, sizeof b) == 7 && close(file) == 0);
    check(strcmp(wait(), "") == 0);
    """
    holds(engine_name, body, SERVER)
