"""rfork: what each flag means, for a new process and for this one; and what contradicts itself."""

from __future__ import annotations

import pytest
from plan9_programs import holds

pytestmark = pytest.mark.compiler


def test_rffdg_copies_descriptors_and_without_it_they_are_shared(engine_name: str) -> None:
    body = """
    int ends[2];
    check(pipe(ends) == 0);
    if(rfork(RFPROC) == 0){ check(dup(0, 20) == 20 && close(ends[0]) == 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && dup(20, -1) == ends[0]);
    if(rfork(RFPROC|RFFDG) == 0){ check(close(20) == 0 && dup(0, 30) == 30 && close(ends[1]) == 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && close(20) == 0 && failed(close(30), "fd out of range or not open") && close(ends[1]) == 0);
    if(rfork(RFPROC) == 0){ check(rfork(RFFDG) == 0 && close(1) == 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && close(1) == 0);
    """
    holds(engine_name, body)


def test_rfcfdg_begins_without_descriptors(engine_name: str) -> None:
    body = """
    if(rfork(RFPROC|RFCFDG) == 0) exits(failed(close(0), "fd out of range or not open") && open("#c/null", OREAD) == 0 ? nil : "no");
    check(strcmp(wait(), "") == 0 && dup(0, -1) == 3);
    check(rfork(RFCFDG) == 0 && failed(write(1, "x", 1), "fd out of range or not open") && open("#c/null", OREAD) == 0);
    """
    holds(engine_name, body)


def test_rfnameg_copies_the_name_space_and_without_it_it_is_shared(engine_name: str) -> None:
    body = """
    if(rfork(RFPROC) == 0){ check(bind("/dev", "/n", MREPL) > 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && open("/n/null", OREAD) >= 0);
    if(rfork(RFPROC|RFNAMEG) == 0){ check(open("/n/null", OREAD) >= 0 && unmount(nil, "/n") == 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && open("/n/null", OREAD) >= 0);
    if(rfork(RFPROC) == 0){ check(rfork(RFNAMEG) == 0 && unmount(nil, "/n") == 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && open("/n/null", OREAD) >= 0);
    """
    holds(engine_name, body)


def test_rfcnameg_begins_with_an_empty_name_space(engine_name: str) -> None:
    body = """
    if(rfork(RFPROC|RFCNAMEG) == 0){ check(failed(open("/dev/null", OREAD), "'/dev/null' file does not exist") && open("#c/null", OREAD) >= 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && open("/dev/null", OREAD) >= 0);
    check(rfork(RFCNAMEG) == 0 && failed(open("/dev/null", OREAD), "'/dev/null' file does not exist"));
    """
    holds(engine_name, body)


def test_rfenvg_copies_the_environment_and_without_it_it_is_shared(engine_name: str) -> None:
    body = """
    if(rfork(RFPROC) == 0){ check(create("#e/one", OWRITE, 0666) >= 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && open("#e/one", OREAD) >= 0);
    if(rfork(RFPROC|RFENVG) == 0){ check(remove("#e/one") == 0 && create("#e/two", OWRITE, 0666) >= 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && open("#e/one", OREAD) >= 0 && failed(open("#e/two", OREAD), "'#e/two' file does not exist"));
    if(rfork(RFPROC) == 0){ check(rfork(RFENVG) == 0 && remove("#e/one") == 0); exits(nil); }
    check(strcmp(wait(), "") == 0 && open("#e/one", OREAD) >= 0);
    """
    holds(engine_name, body)


def test_rfcenvg_begins_with_an_empty_environment(engine_name: str) -> None:
    body = """
    check(open("#e/user", OREAD) >= 0);
    if(rfork(RFPROC|RFCENVG) == 0){ check(failed(open("#e/user", OREAD), "'#e/user' file does not exist")); exits(nil); }
    check(strcmp(wait(), "") == 0 && open("#e/user", OREAD) >= 0);
    check(rfork(RFCENVG) == 0 && failed(open("#e/user", OREAD), "'#e/user' file does not exist"));
    """
    holds(engine_name, body)


def test_rfnoteg_keeps_the_notes_of_the_group_away(engine_name: str) -> None:
    before = """
    char b[64]; int n; void handler(void *u, char *t) { n++; noted(NCONT); }
    void tell(void) { sprint(b, "#p/%u/notepg", _tos->pid); int fd = open(b, OWRITE); check(fd >= 0 && write(fd, "hey", 3) == 3); }
    """
    body = """
    int i, pids[3], ends[2], me = _tos->pid;
    check(pipe(ends) == 0);
    notify(handler);
    if((pids[0] = rfork(RFPROC)) == 0){ check(failed(read(ends[0], b, 1), "interrupted")); exits(n == 1 ? nil : "no note"); }
    if((pids[1] = rfork(RFPROC|RFNOTEG)) == 0){ read(ends[0], b, 1); exits(n ? "a note" : nil); }
    if((pids[2] = rfork(RFPROC)) == 0){ check(rfork(RFNOTEG) == 0); read(ends[0], b, 1); exits(n ? "a note" : nil); }
    for(i = 0; i < 3; i++) until(pids[i], "Pread");
    tell();
    check(strcmp(wait(), "") == 0 && write(ends[1], "x", 1) == 1 && write(ends[1], "x", 1) == 1);
    check(strcmp(wait(), "") == 0 && strcmp(wait(), "") == 0 && n == 0);
    check(rfork(RFNOTEG) == 0);
    if(rfork(RFPROC) == 0){ until(me, "Sleep"); tell(); exits(nil); }
    check(failed(sleep(50000), "interrupted") && n == 1 && strcmp(wait(), "") == 0);
    """
    holds(engine_name, body, before)


def test_rfrend_keeps_meetings_apart(engine_name: str) -> None:
    before = "int n; void handler(void *u, char *t) { n++; noted(NCONT); }"
    body = """
    notify(handler);
    int one, other;
    if((one = rfork(RFPROC|RFREND)) == 0){ check(rendezvous((void*)1, (void*)2) == (void*)-1 && n == 1); exits(nil); }
    if((other = rfork(RFPROC)) == 0){ rfork(RFREND); check(rendezvous((void*)1, (void*)2) == (void*)-1 && n == 1); exits(nil); }
    until(one, "Rendez"); until(other, "Rendez");
    if(rfork(RFPROC) == 0){ check(rendezvous((void*)1, (void*)3) == (void*)4); exits(nil); }
    check(rendezvous((void*)1, (void*)4) == (void*)3);
    check(strcmp(wait(), "") == 0 && is(one, "Rendez") && is(other, "Rendez"));
    post(one, "enough"); post(other, "enough");
    check(strcmp(wait(), "") == 0 && strcmp(wait(), "") == 0);
    """
    holds(engine_name, body, before)


def test_rfnomnt_allows_only_devices_that_do_no_harm(engine_name: str) -> None:
    body = """
    int ends[2];
    check(open("#s", OREAD) >= 0);
    if(rfork(RFPROC|RFNAMEG|RFNOMNT) == 0){
        check(failed(open("#s", OREAD), "mount/attach disallowed") && failed(open("#ktmp", OREAD), "mount/attach disallowed"));
        check(open("#c/null", OREAD) >= 0 && open("#e", OREAD) >= 0 && open("#d", OREAD) >= 0 && open("#p", OREAD) >= 0);
        check(pipe(ends) == 0 && failed(mount(ends[0], -1, "/n", MREPL, ""), "mount/attach disallowed"));
        check(rfork(RFNAMEG) == 0 && failed(open("#s", OREAD), "mount/attach disallowed"));
        check(rfork(RFCNAMEG) == 0 && failed(open("#s", OREAD), "mount/attach disallowed"));
        exits(nil);
    }
    check(strcmp(wait(), "") == 0 && open("#s", OREAD) >= 0);
    check(rfork(RFNOMNT) == 0 && failed(open("#s", OREAD), "mount/attach disallowed"));
    """
    holds(engine_name, body)


def test_rfnowait_makes_a_child_of_nobody(engine_name: str) -> None:
    body = """
    char b[16]; int ends[2];
    check(pipe(ends) == 0);
    if(rfork(RFPROC|RFNOWAIT) == 0){ int fd = open("#c/ppid", OREAD); read(fd, b, 12); write(ends[1], b, 12); exits(nil); }
    check(read(ends[0], b, 12) == 12 && strncmp(b, "          0 ", 12) == 0);
    check(failed(await(b, sizeof b), "no living children"));
    """
    holds(engine_name, body)


def test_all_combinations_of_flags_do_something_or_are_refused(engine_name: str) -> None:
    body = """
    static int all[] = {RFNAMEG, RFENVG, RFFDG, RFNOTEG, RFMEM, RFNOWAIT, RFCNAMEG, RFCENVG, RFCFDG, RFREND, RFNOMNT};
    int i, k, seed = 1, refused = 0, made = 0;
    for(i = 0; i < 40; i++){
        int flags = 0, wrong;
        seed = seed * 1103515245 + 12345;
        for(k = 0; k < nelem(all); k++) if(seed >> k + 8 & 1) flags |= all[k];
        if(i % 4) flags |= RFPROC;
        wrong = flags & RFFDG && flags & RFCFDG || flags & RFNAMEG && flags & RFCNAMEG || flags & RFENVG && flags & RFCENVG
            || !(flags & RFPROC) && flags & (RFMEM|RFNOWAIT);
        if(wrong){ refused++; check(failed(rfork(flags), "bad arg in system call")); continue; }
        made++;
        if(flags & RFPROC){ int pid = rfork(flags); if(pid == 0) exits(nil); check(pid > 0); if(!(flags & RFNOWAIT)) check(strcmp(wait(), "") == 0); continue; }
        if(rfork(RFPROC|RFFDG|RFNAMEG|RFENVG) == 0){ int r = rfork(flags); exits(r == 0 ? nil : "no"); }
        check(strcmp(wait(), "") == 0);
    }
    check(refused > 5 && made > 5 && wait() == nil);
    """
    holds(engine_name, body)
