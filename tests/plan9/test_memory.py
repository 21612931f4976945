"""Memory: brk, segments, what can be touched."""

from __future__ import annotations

import pytest
from plan9_programs import holds, main, run

pytestmark = pytest.mark.compiler


def test_brk_moves_the_end_of_the_bss(engine_name: str) -> None:
    body = """
    char *top = TOP; int i;
    check((char*)brk_(0) <= end && (ulong)brk_(0) % 4096 == 0);
    check(brk_(top + 1) == 0);
    for(i = 0; i < 4096; i++) check(top[i] == 0);
    top[100] = 3;
    if(fork() == 0){ top[4096] = 1; exits("beyond"); }
    check(strncmp(wait(), "sys: trap: fault write addr=", 28) == 0);
    check(brk_(top) == 0);
    check(brk_(top + 4096) == 0 && top[100] == 0);
    check(failed(brk_((void*)0x1000), "virtual memory allocation failed"));
    check(failed(brk_((char*)&top), "segments overlap"));
    check(failed(brk_((void*)0xfffff000), "virtual memory allocation failed"));
    """
    holds(engine_name, body)


def test_what_is_behind_the_bss_faults(engine_name: str) -> None:
    proc = run(engine_name, main("char *top = TOP; top[0] = 1;"))
    assert proc.status is not None
    assert proc.status.startswith("sys: trap: fault write addr=0x")


def test_there_is_no_more_memory_than_there_may_be(engine_name: str) -> None:
    body = """
    char *top = TOP;
    check(failed(brk_(top + (100<<20)), "virtual memory allocation failed"));
    check(brk_(top + (4<<20)) == 0);
    """
    holds(engine_name, body, memory="32M")


def test_the_stack_has_megabytes(engine_name: str) -> None:
    body = """
    char *p = (char*)&p - 8*1024*1024 + 65536;
    *p = 3;
    check(*p == 3);
    """
    holds(engine_name, body)


def test_data_and_stack_can_be_executed_or_not_but_text_cannot_be_written(engine_name: str) -> None:
    body = """
    static unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3};
    check(((int(*)(void))code)() == 42);
    code[1] = 43;
    check(segflush(code, sizeof code) == 0);
    check(((int(*)(void))code)() == 43);
    """
    holds(engine_name, body)


def test_a_shared_segment_is_shared_by_children_that_share_nothing_else(engine_name: str) -> None:
    before = "int data;"
    body = """
    int *p = segattach(0, "shared", nil, 10000);
    check(p != (void*)-1 && (ulong)p % 4096 == 0);
    p[0] = 1; p[2499] = 5;
    if(fork() == 0){ check(p[0] == 1 && p[2499] == 5); p[1] = 2; data = 2; exits(nil); }
    check(strcmp(wait(), "") == 0);
    check(p[1] == 2 && data == 0);
    check(segdetach(p) == 0);
    check(failed(segdetach(p), "bad arg in system call"));
    """
    holds(engine_name, body, before)


def test_a_memory_segment_is_copied(engine_name: str) -> None:
    body = """
    int *p = segattach(0, "memory", (void*)0x800000, 4096);
    check(p == (void*)0x800000);
    p[0] = 1;
    if(fork() == 0){ check(p[0] == 1); p[0] = 2; exits(nil); }
    check(strcmp(wait(), "") == 0);
    check(p[0] == 1);
    check(failed(segbrk(p, p + 2048), "segments overlap") == 0);
    """
    holds(engine_name, body)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ('(int)segattach(0, "nosuch", nil, 4096)', "bad arg in system call"),
        ('(int)segattach(0, "shared", nil, 0)', "bad arg in system call"),
        ('(int)segattach(0, "shared", (void*)0x1000, 4096)', "segments overlap"),
        ('(int)segattach(0, "shared", end, 4096)', "segments overlap"),
        ('(int)segattach(0, "shared", (void*)0xf0000000, 4096)', "bad arg in system call"),
        ('(int)segattach(0, "shared", (void*)12, 4096)', "segments overlap"),
        ('(int)segattach(0, "shared", nil, 0x7ffff000)', "virtual memory allocation failed"),
        ("segdetach(&argc)", "bad arg in system call"),
        ("segdetach((void*)0x500000)", "bad arg in system call"),
        ("segfree((void*)0x500000, 4096)", "bad arg in system call"),
        ("segflush((void*)0x500000, 4096)", "bad arg in system call"),
        ("segbrk((void*)0x500000, (void*)0x501000)", "bad arg in system call"),
        ("segbrk(main, main)", "bad arg in system call"),
        ("segbrk(&argc, &argc)", "bad arg in system call"),
    ],
)
def test_segments_that_cannot_be_are_refused(engine_name: str, call: str, error: str) -> None:
    before = "int pad[3000];"
    holds(engine_name, f'pad[2999] = 1; check(failed({call}, "{error}"));', before)


def test_there_are_only_so_many_segments(engine_name: str) -> None:
    body = """
    int i;
    for(i = 0; i < 20; i++) if(segattach(0, "memory", nil, 4096) == (void*)-1) break;
    check(i == 6 && failed(-1, "virtual memory allocation failed"));
    """
    holds(engine_name, body)


def test_segfree_makes_whole_pages_zero(engine_name: str) -> None:
    body = """
    char *p = segattach(0, "shared", nil, 3*4096), *q = segattach(0, "memory", nil, 3*4096); int i;
    memset(p, 5, 3*4096); memset(q, 5, 3*4096);
    check(segfree(p + 1, 2*4096) == 0 && segfree(q + 1, 2*4096) == 0);
    check(p[4095] == 5 && p[4096] == 0 && p[8191] == 0 && p[8192] == 5);
    check(q[4095] == 5 && q[4096] == 0 && q[8191] == 0 && q[8192] == 5);
    """
    holds(engine_name, body)


def test_what_a_program_began_with_can_be_detached_but_not_its_stack(engine_name: str) -> None:
    before = "int data = 1; int bss[10000];"
    body = """
    bss[9999] = data;
    if(rfork(RFPROC|RFMEM) == 0){ check(segdetach(TOP - 4096) == 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && bss[9999] == 1);
    check(segdetach(TOP - 4096) == 0 && failed(brk_(TOP), "bad arg in system call"));
    bss[9999] = 2;
    """
    status = run(engine_name, main(body, before)).status
    assert status is not None
    assert status.startswith("sys: trap: fault write addr=0x")


def test_segbrk_moves_the_end_of_an_attached_segment(engine_name: str) -> None:
    body = """
    char *p = segattach(0, "memory", (void*)0x800000, 4096);
    check(segbrk(p, p + 8192) == 0);
    p[8000] = 1;
    check(segbrk(p, p + 100) == 0);
    check((char*)segbrk(p, 0) == p);
    p[4095] = 1;
    if(fork() == 0){ p[4096] = 1; exits("beyond"); }
    check(strncmp(wait(), "sys: trap: fault write addr=0x801000", 36) == 0);
    """
    holds(engine_name, body)


def test_a_segment_stays_for_the_other_one_that_shares_memory(engine_name: str) -> None:
    body = """
    int *p = segattach(0, "shared", (void*)0x800000, 4096), *q = segattach(0, "memory", (void*)0x900000, 4096);
    p[0] = q[0] = 1;
    if(rfork(RFPROC|RFMEM) == 0){ check(segdetach(p) == 0 && segdetach(q) == 0); exits(nil); }
    check(strcmp(wait(), "") == 0);
    check(p[0] == 1 && q[0] == 1);
    if(fork() == 0){ check(segdetach(p) == 0 && segdetach(q) == 0); p[0] = 2; exits(nil); }
    check(strncmp(wait(), "sys: trap: fault write addr=0x800000 pc=", 40) == 0);
    check(p[0] == 1 && q[0] == 1);
    check(segdetach(p) == 0);
    p[0] = 2;
    """
    proc = run(engine_name, main(body))
    assert proc.status is not None
    assert proc.status.startswith("sys: trap: fault write addr=0x800000 pc=")


def test_segments_of_one_that_has_ended_leave_room_for_others(engine_name: str) -> None:
    # All seven places together are more than the memory that the stack leaves.
    body = """
    int i;
    for(i = 0; i < 21; i++){
        if(rfork(RFPROC|RFMEM) == 0){
            char *p = segattach(0, "memory", (void*)((i%7 + 1) * 0x400000), 0x400000);
            check(p != (void*)-1 && p[0x3fffff] == 0);
            p[0x3fffff] = 1;
            exits(nil);
        }
        check(strcmp(wait(), "") == 0);
    }
    """
    holds(engine_name, body, memory="32M")
