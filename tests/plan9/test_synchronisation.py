"""Rendezvous and semaphores."""

from __future__ import annotations

import pytest
from plan9_programs import holds

pytestmark = pytest.mark.compiler


def test_two_that_meet_exchange_their_values(engine_name: str) -> None:
    body = """
    int me = _tos->pid;
    if(rfork(RFPROC) == 0){ check(rendezvous((void*)5, (void*)1) == (void*)2); exits(nil); }
    check(rendezvous((void*)5, (void*)2) == (void*)1);
    check(strcmp(wait(), "") == 0);
    if(rfork(RFPROC) == 0){ until(me, "Rendez"); check(rendezvous((void*)5, (void*)3) == (void*)4); exits(nil); }
    check(rendezvous((void*)5, (void*)4) == (void*)3);
    check(strcmp(wait(), "") == 0);
    """
    holds(engine_name, body)


def test_tags_and_groups_keep_meetings_apart(engine_name: str) -> None:
    before = "int n; void handler(void *u, char *t) { n++; noted(NCONT); }"
    body = """
    int me = _tos->pid, one, other;
    notify(handler);
    if((one = rfork(RFPROC)) == 0){ check(rendezvous((void*)5, (void*)1) == (void*)-1 && n == 1); exits(nil); }
    if((other = rfork(RFPROC|RFREND)) == 0){ check(rendezvous((void*)6, (void*)1) == (void*)-1); exits(nil); }
    if(rfork(RFPROC|RFNOWAIT) == 0){
        until(one, "Rendez"); until(other, "Rendez"); until(me, "Rendez");
        post(one, "enough"); post(other, "enough"); post(me, "enough");
        exits(nil);
    }
    check(rendezvous((void*)6, (void*)2) == (void*)-1);
    check(strcmp(wait(), "") == 0 && strcmp(wait(), "") == 0);
    /* Nobody who has given up is there any more. */
    if(rfork(RFPROC) == 0){ until(me, "Rendez"); check(rendezvous((void*)5, (void*)8) == (void*)9); exits(nil); }
    check(rendezvous((void*)5, (void*)9) == (void*)8);
    """
    holds(engine_name, body, before)


def test_a_semaphore_is_counted_and_waited_for(engine_name: str) -> None:
    before = "long s = 2;"
    body = """
    int i, pids[3];
    check(semacquire(&s, 1) == 1 && semacquire(&s, 0) == 1 && s == 0);
    check(semacquire(&s, 0) == 0);
    check(semrelease(&s, 3) == 3 && s == 3);
    s = 0;
    for(i = 0; i < 3; i++) if((pids[i] = rfork(RFPROC|RFMEM)) == 0){ check(semacquire(&s, 1) == 1); exits(nil); }
    for(i = 0; i < 3; i++) until(pids[i], "Semacquire");
    check(s == 0);
    check(semrelease(&s, 2) == 2);
    check(strcmp(wait(), "") == 0 && strcmp(wait(), "") == 0);
    check(s == 0 && semrelease(&s, 1) == 1);
    check(strcmp(wait(), "") == 0);
    check(s == 0);
    """
    holds(engine_name, body, before)


def test_a_semaphore_in_a_shared_segment_is_one_for_all(engine_name: str) -> None:
    body = """
    long *s = segattach(0, "shared", nil, 4096);
    int pid = fork();
    if(pid == 0){ check(semacquire(&s[3], 1) == 1); check(semrelease(&s[4], 1) == 1); exits(nil); }
    until(pid, "Semacquire");
    check(semrelease(&s[3], 1) == 1 && semacquire(&s[4], 1) == 1);
    check(strcmp(wait(), "") == 0);
    """
    holds(engine_name, body)


def test_semaphores_on_the_stacks_of_those_that_share_memory_are_different(engine_name: str) -> None:
    body = """
    long s = 0;
    if(rfork(RFPROC|RFMEM) == 0){ check(semrelease(&s, 1) == 1); exits(nil); }
    check(strcmp(wait(), "") == 0);
    check(s == 0 && tsemacquire(&s, 5) == 0);
    """
    holds(engine_name, body)


def test_a_semaphore_is_waited_for_no_longer_than_wanted(engine_name: str) -> None:
    before = "long s;"
    body = """
    int me = _tos->pid;
    vlong before = nsec();
    check(tsemacquire(&s, 30) == 0);
    check(nsec() - before >= 29000000);
    check(tsemacquire(&s, 0) == 0);
    if(rfork(RFPROC|RFMEM) == 0){ until(me, "Tsemacquire"); semrelease(&s, 1); exits(nil); }
    check(tsemacquire(&s, 50000) == 1);
    """
    holds(engine_name, body, before)


def test_a_note_ends_a_wait_for_a_semaphore_and_wakes_another_one(engine_name: str) -> None:
    before = "long s; int n; void handler(void *u, char *t) { n++; noted(NCONT); }"
    body = """
    int pid;
    notify(handler);
    interrupt("Semacquire");
    check(failed(semacquire(&s, 1), "interrupted") && n == 1);
    if((pid = rfork(RFPROC|RFMEM)) == 0){ check(semacquire(&s, 1) == 1); exits(nil); }
    until(pid, "Semacquire");
    semrelease(&s, 1);
    check(strcmp(wait(), "") == 0);
    interrupt("Tsemacquire");
    check(failed(tsemacquire(&s, -1), "interrupted") && n == 2);
    """
    holds(engine_name, body, before)


def test_a_semaphore_may_be_anywhere(engine_name: str) -> None:
    body = """
    char *page = segattach(0, "shared", nil, 8192); long *s = (long*)(page + 4094);
    check(semrelease(s, 1) == 1);
    int pid = fork();
    if(pid == 0){ check(semacquire(s, 1) == 1 && semacquire(s, 1) == 1); exits(nil); }
    until(pid, "Semacquire");
    check(*s == 0 && semrelease(s, 1) == 1 && strcmp(wait(), "") == 0 && *s == 0);
    """
    holds(engine_name, body)


def test_semaphores_that_cannot_be_are_refused(engine_name: str) -> None:
    before = "long s = -1, big = 0x7fffffff;"
    body = """
    check(failed(semacquire(&s, 1), "bad arg in system call"));
    check(failed(tsemacquire(&s, 1), "bad arg in system call"));
    check(failed(semrelease(&s, 1), "bad arg in system call"));
    s = 0;
    check(failed(semrelease(&s, -1), "bad arg in system call"));
    check(failed(semrelease(&big, 1), "bad arg in system call"));
    """
    holds(engine_name, body, before)
