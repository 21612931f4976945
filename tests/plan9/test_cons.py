"""Files of the console's device that programs read as they are (cons(3))."""

from __future__ import annotations

import time

import pytest
from plan9_programs import holds, main, program

from vx32py.plan9 import Error, Kernel, naming
from vx32py.plan9.chan import OWRITE
from vx32py.plan9.host import Host


def test_zero_and_random_can_be_read(engine_name: str) -> None:
    holds(
        engine_name,
        r"""
        uchar buf[64], other[64]; int i, fd, same = 1;
        memset(buf, 1, sizeof buf);
        check((fd = open("/dev/zero", OREAD)) >= 0);
        check(read(fd, buf, sizeof buf) == sizeof buf);
        for(i = 0; i < sizeof buf; i++) check(buf[i] == 0);
        check(open("/dev/zero", OWRITE) < 0);
        check((fd = open("/dev/random", OREAD)) >= 0);
        check(read(fd, buf, sizeof buf) == sizeof buf && read(fd, other, sizeof other) == sizeof other);
        for(i = 0; i < sizeof buf; i++) if(buf[i] != other[i]) same = 0;
        check(!same);
        """,
    )


def test_the_files_of_cons_have_the_formats_of_section_three(engine_name: str) -> None:
    with Kernel(engine=engine_name, timeout=60, user="rob", sysname="bootes") as kernel:
        proc = kernel.start_program(
            program(
                main(
                    r"""
            char b[300]; int fd, n, i;
            struct { char *name; int size; } fixed[] = {{"pid", 12}, {"ppid", 12}, {"pgrpid", 12}, {"time", 78}, {"bintime", 24}, {"cputime", 72}};
            for(i = 0; i < nelem(fixed); i++){
                sprint(b, "/dev/%s", fixed[i].name);
                check((fd = open(b, OREAD)) >= 0);
                check((n = read(fd, b, sizeof b)) == fixed[i].size);
                if(i < 3) check(b[11] == ' ');
                check(read(fd, b, sizeof b) == 0 || i == 4);
                close(fd);
            }
            fd = open("/dev/pid", OREAD);
            n = read(fd, b, 12);
            for(i = 0, n = 0; i < 11; i++) if(b[i] != ' ') n = n*10 + b[i]-'0';
            check(n == _tos->pid);
            fd = open("/dev/user", ORDWR);
            check(read(fd, b, 100) == 3 && strncmp(b, "rob", 3) == 0);
            check(failed(pwrite(fd, "root", 4, 0), "permission denied"));
            check(pwrite(fd, "none", 4, 0) == 4 && pread(fd, b, 100, 0) == 4 && strncmp(b, "none", 4) == 0);
            check((fd = open("/dev/null", ORDWR)) >= 0 && write(fd, "gone", 4) == 4 && read(fd, b, 10) == 0);
            check((fd = open("/dev/sysstat", OREAD)) >= 0 && (n = read(fd, b, sizeof b)) == 121 && b[120] == '\n');
            check((fd = open("/dev/osversion", OREAD)) >= 0 && read(fd, b, 100) == 4);
            check((fd = open("/dev/swap", OREAD)) >= 0 && (n = read(fd, b, sizeof b)) > 0);
            check(open("/dev/pid", OWRITE) < 0);
            check(create("/dev/new", OWRITE, 0666) < 0 && remove("/dev/null") < 0);
            """
                )
            )
        )
        kernel.wait(proc)
        assert proc.status == ""
        host = kernel.host
        assert (host.read("/dev/sysname"), host.read("/dev/hostowner")) == (b"bootes", b"rob")
        host.write("/dev/sysname", b"helix\n")
        assert (host.read("/dev/sysname"), kernel.sysname) == (b"helix", "helix")
        for bad in (b"", b"x" * 65, b"a\x01b"):
            with pytest.raises(Error, match="bad value"):
                host.write("/dev/sysname", bad) if bad else host.do(_empty_write(host))
        seconds, nanoseconds, ticks, frequency = map(int, host.read("/dev/time").split())
        assert abs(seconds - time.time()) < 100
        assert seconds == nanoseconds // 10**9
        assert frequency == 10**9
        assert ticks > 0
        assert {line.split()[0] for line in host.read("/dev/drivers").decode().splitlines()} >= {"#c", "#/", "#p", "#M"}


async def _empty_write(host: Host) -> int:
    chan = await naming.open_file(host, "/dev/sysname", OWRITE)
    return await chan.device.write(host, chan, b"", 0)
