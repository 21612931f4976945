"""Files of the console's device that programs read as they are (cons(3))."""

from __future__ import annotations

from plan9_programs import holds


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
