"""Processes: rfork with its flags, exits and what parents are told, sleep, error strings, time."""

from __future__ import annotations

import sys
import time

import pytest
from plan9_programs import holds, main, program, run

from vx32py._family import TURN, Family
from vx32py._task import Task
from vx32py.plan9.kernel import Kernel

pytestmark = pytest.mark.compiler


def test_a_program_finds_its_arguments_and_the_tos_structure(engine_name: str) -> None:
    body = """
    check(argc == 3 && strcmp(argv[0], "test") == 0 && strcmp(argv[1], "one") == 0 && strcmp(argv[2], "") == 0);
    check(argv[3] == nil);
    check((ulong)_tos % 4 == 0 && (char*)(_tos + 1) > (char*)&argc && _tos->cyclefreq > 0);
    check((char*)argv + 4*sizeof(char*) <= argv[0] && argv[2] + 1 == (char*)_tos);
    print_pid: ;
    char pid[32]; sprint(pid, "%u", _tos->pid); exits(pid);
    """
    with Kernel(engine=engine_name, timeout=60) as kernel:
        proc = kernel.start_program(program(main(body)), ["test", "one", ""])
        kernel.wait(proc)
        assert proc.status == str(proc.pid)


def test_bss_is_zero_and_data_is_what_the_file_says(engine_name: str) -> None:
    before = 'int data[3] = {1, 2, 3}; int zeros[5000]; const char text[] = "text";'
    body = """
    int i;
    for(i = 0; i < nelem(zeros); i++) check(zeros[i] == 0);
    check(data[0] == 1 && data[2] == 3 && strcmp(text, "text") == 0);
    """
    holds(engine_name, body, before)


@pytest.mark.parametrize("status", ["", "it went wrong", "x" * 127])
def test_the_status_is_what_exits_says(engine_name: str, status: str) -> None:
    assert run(engine_name, main("exits(argv[1]);"), status).status == status


def test_a_status_that_is_too_long_is_cut_and_one_that_is_nowhere_is_named(engine_name: str) -> None:
    assert run(engine_name, main("exits(argv[1]);"), "x" * 300).status == "x" * 127
    assert run(engine_name, main("exits((char*)12);")).status == "invalid exit string"
    assert run(engine_name, main("exits(nil);")).status == ""


def test_a_child_has_copies_and_its_parent_is_told_how_it_ended(engine_name: str) -> None:
    before = "int value = 1;"
    body = """
    int local = 1, pid, n; char *p, want[64];
    pid = fork();
    if(pid == 0){ value = 2; local = 2; check(local == 2 && value == 2); exits("bad luck"); }
    check(pid > 0);
    n = await(_waited, sizeof _waited);
    check(n > 0 && _waited[n] == 0);
    sprint(want, "%d ", pid);
    check(strncmp(_waited, want, strlen(want)) == 0);
    sprint(want, " 'test %d: bad luck'", pid);
    check(strcmp(_waited + n - strlen(want), want) == 0);
    check(value == 1 && local == 1);
    check(failed(await(_waited, 100), "no living children"));
    """
    holds(engine_name, body, before)


def test_a_child_finds_its_own_number_in_its_tos_structure(engine_name: str) -> None:
    before = "int pid;"
    for flags in ("0", "RFMEM"):
        body = f"""
        int i, child;
        for(i = 0; i < 2; i++){{
            if((child = rfork(RFPROC|{flags})) == 0){{ char s[16]; sprint(s, "%u", _tos->pid); exits(s); }}
            char want[16]; sprint(want, "%d", child);
            check(strcmp(wait(), want) == 0 && _tos->pid != child);
        }}
        """
        holds(engine_name, body, before)


def test_a_good_end_is_an_empty_message_in_quotes(engine_name: str) -> None:
    body = """
    int n;
    if(fork() == 0) exits(nil);
    n = await(_waited, sizeof _waited);
    check(n > 3 && strcmp(_waited + n - 3, " ''") == 0);
    """
    holds(engine_name, body)


def test_a_message_is_cut_where_the_buffer_ends(engine_name: str) -> None:
    body = """
    char b[9];
    b[8] = 7;
    if(fork() == 0) exits("bad");
    check(await(b, 8) == 7 && b[7] == 0 && b[8] == 7);
    """
    holds(engine_name, body)


def test_messages_wait_and_none_is_lost(engine_name: str) -> None:
    body = """
    int i, n = 20;
    char seen[20];
    memset(seen, 0, sizeof seen);
    for(i = 0; i < n; i++) if(fork() == 0){ char s[2]; s[0] = 'a' + i; s[1] = 0; exits(s); }
    for(i = 0; i < n; i++){ char *s = wait(); check(s && s[0] >= 'a' && s[0] < 'a' + n && !seen[s[0] - 'a']); seen[s[0] - 'a'] = 1; }
    check(wait() == nil);
    """
    holds(engine_name, body)


def test_the_old_wait_has_numbers_of_twelve_characters(engine_name: str) -> None:
    body = """
    struct { char pid[12], times[36], msg[64]; } w; char want[32]; int pid, i, n = 0;
    pid = fork();
    if(pid == 0) exits("oh");
    check(_wait(&w) == pid);
    for(i = 0; i < 11; i++) if(w.pid[i] != ' ') n = n*10 + w.pid[i] - '0';
    check(n == pid && w.pid[11] == ' ' && w.times[35] == ' ');
    sprint(want, "test %d: oh", pid);
    check(strcmp(w.msg, want) == 0);
    check(failed(_wait(&w), "no living children"));
    if((pid = fork()) == 0) exits(nil);
    check(_wait(nil) == pid);
    """
    holds(engine_name, body)


def test_nobody_waits_for_a_child_that_was_made_with_rfnowait(engine_name: str) -> None:
    body = """
    check(rfork(RFPROC|RFNOWAIT) >= 0);
    """
    holds(engine_name, body)
    body = """
    int pid = rfork(RFPROC|RFNOWAIT);
    if(pid == 0) exits(nil);
    check(failed(await(_waited, 100), "no living children"));
    """
    holds(engine_name, body)


def test_with_rfmem_data_and_bss_are_shared_and_the_stack_is_not(engine_name: str) -> None:
    before = "int data = 1, bss; int *where;"
    body = """
    int local = 1, pid;
    where = &local;
    pid = rfork(RFPROC|RFMEM);
    if(pid == 0){ data = 2; bss = 2; local = 2; check(where == &local && *where == 2); exits(nil); }
    check(strcmp(wait(), "") == 0);
    check(data == 2 && bss == 2 && local == 1 && *where == 1);
    pid = fork();
    if(pid == 0){ data = 3; check(local == 1); exits(nil); }
    check(strcmp(wait(), "") == 0);
    check(data == 2);
    """
    holds(engine_name, body, before)


def test_stacks_of_many_that_share_memory_stay_apart(engine_name: str) -> None:
    before = "int turns; int results[6];"
    body = """
    int i, k, me = -1, sum = 0;
    for(i = 0; i < 6; i++) if(rfork(RFPROC|RFMEM) == 0){ me = i; break; }
    if(me >= 0){
        int mine[300];
        for(k = 0; k < 5; k++){
            for(i = 0; i < nelem(mine); i++) mine[i] = me * 1000 + k;
            sleep(0);
            for(i = 0; i < nelem(mine); i++) check(mine[i] == me * 1000 + k);
        }
        results[me] = me + 1;
        exits(nil);
    }
    for(i = 0; i < 6; i++) check(strcmp(wait(), "") == 0);
    for(i = 0; i < 6; i++) sum += results[i];
    check(sum == 21);
    """
    holds(engine_name, body, before)


def test_brk_of_one_is_there_for_all_that_share_memory(engine_name: str) -> None:
    body = """
    char *top = TOP;
    if(rfork(RFPROC|RFMEM) == 0){ check(brk_(top + 8192) == 0); top[8000] = 5; exits(nil); }
    check(strcmp(wait(), "") == 0);
    check(top[8000] == 5);
    if(rfork(RFPROC|RFMEM) == 0){ sleep(100000); exits(nil); }
    check(failed(brk_(top), "device or object already in use"));
    """
    holds(engine_name, body)


@pytest.mark.parametrize(
    "flags", ["RFFDG|RFCFDG|RFPROC", "RFNAMEG|RFCNAMEG", "RFENVG|RFCENVG|RFPROC", "RFMEM", "RFNOWAIT"]
)
def test_flags_that_contradict_each_other_are_refused(engine_name: str, flags: str) -> None:
    holds(engine_name, f'check(failed(rfork({flags}), "bad arg in system call")); check(wait() == nil);')


def test_rfork_without_rfproc_changes_this_process(engine_name: str) -> None:
    holds(
        engine_name,
        "check(rfork(RFFDG|RFREND|RFENVG|RFNOTEG) == 0); check(rfork(RFCFDG|RFCENVG) == 0); check(rfork(0) == 0);",
    )


def test_there_are_no_more_processes_than_there_may_be(engine_name: str) -> None:
    body = """
    int i, n = 0, ends[2]; char b[2];
    check(pipe(ends) == 0);
    for(i = 0; i < 20; i++){ int pid = fork(); if(pid == 0){ close(ends[1]); read(ends[0], b, 1); exits(nil); } if(pid < 0) break; n++; }
    check(i < 20 && n > 3);
    check(failed(-1, "no procs"));
    close(ends[1]);
    while(n-- > 0) check(strcmp(wait(), "") == 0);
    check(fork() >= 0);
    """
    holds(engine_name, body, processes=8)


def test_sleep_sleeps_and_lets_others_run(engine_name: str) -> None:
    before = "int shared;"
    body = """
    vlong before = nsec();
    check(sleep(30) == 0);
    check(nsec() - before >= 29000000);
    if(rfork(RFPROC|RFMEM) == 0){ shared = 1; exits(nil); }
    while(!shared) sleep(0);
    check(sleep(-1) == 0);
    """
    holds(engine_name, body, before)


def test_a_process_that_spins_does_not_stop_the_others(engine_name: str) -> None:
    before = "volatile int shared;"
    body = """
    if(rfork(RFPROC|RFMEM) == 0){ sleep(20); shared = 1; exits(nil); }
    while(!shared)
        ;
    check(strcmp(wait(), "") == 0);
    """
    holds(engine_name, body, before)


def test_errstr_exchanges_the_error_and_the_buffer(engine_name: str) -> None:
    body = """
    char b[ERRMAX], small[9];
    strcpy(b, "mine");
    check(await(_waited, 10) == -1);
    check(errstr(b, sizeof b) == 0 && strcmp(b, "no living children") == 0);
    check(errstr(b, sizeof b) == 0 && strcmp(b, "mine") == 0);
    check(await(_waited, 10) == -1);
    small[8] = 7; small[0] = 0;
    check(errstr(small, 8) == 0 && strcmp(small, "no livi") == 0 && small[8] == 7);
    check(failed(errstr(b, 0), "bad arg in system call"));
    strcpy(b, "old");
    check(_errstr(b) == 0 && strcmp(b, "") == 0);
    check(_errstr(b) == 0 && strcmp(b, "old") == 0);
    """
    holds(engine_name, body)


def test_each_process_has_an_error_of_its_own(engine_name: str) -> None:
    body = """
    check(await(_waited, 10) == -1);
    if(fork() == 0){ check(brk_((void*)1) == -1); exits(nil); }
    check(strcmp(wait(), "") == 0);
    check(failed(-1, "no living children"));
    """
    holds(engine_name, body)


def test_nsec_is_the_time_of_day(engine_name: str) -> None:
    body = """
    vlong a = nsec(), b = nsec();
    check(a > 1500000000000000000LL && b >= a && b - a < 60000000000LL);
    """
    holds(engine_name, body)


def test_a_call_that_does_not_exist_ends_the_process(engine_name: str) -> None:
    proc = run(engine_name, main("nosuchcall();"))
    assert proc.status is not None
    assert proc.status.startswith("sys: bad sys call pc=0x0000")


#: To write to a file of another process's.
CTL = """
char path[64];
int ctl(int pid, char *message)
{
    int fd, n;
    sprint(path, "#p/%d/ctl", pid);
    if((fd = open(path, OWRITE)) < 0) return -1;
    n = write(fd, message, strlen(message));
    close(fd);
    return n < 0 ? -1 : 0;
}
"""


def test_kill_ends_a_process_whatever_it_does_about_notes(engine_name: str) -> None:
    before = CTL + "int n; void handler(void *u, char *t) { n++; noted(NCONT); }"
    body = """
    int i, pid, ends[2]; char b[8];
    int *ready = segattach(0, "shared", nil, 4096);
    check(pipe(ends) == 0);
    for(i = 0; i < 4; i++){
        if((pid = rfork(RFPROC|(i%2 ? RFMEM : RFFDG))) == 0){ notify(handler); ready[i] = 1; if(i < 2) for(;;); read(ends[0], b, 8); exits("?"); }
        while(!((volatile int*)ready)[i]) sleep(1);
        if(i >= 2) until(pid, "Pread");
        check(ctl(pid, "kill") == 0 && strcmp(wait(), "Killed") == 0);
        check(failed(ctl(pid, "kill"), path) == 0);
    }
    if((pid = fork()) == 0){ ctl(_tos->pid, "kill"); exits("alive"); }
    check(strcmp(wait(), "Killed") == 0);
    if((pid = fork()) == 0){ for(;;); }
    check(ctl(pid, "stop") == 0 && ctl(pid, "kill") == 0 && strcmp(wait(), "Killed") == 0);
    """
    holds(engine_name, body, before)


def test_messages_to_ctl_that_mean_nothing_say_so(engine_name: str) -> None:
    body = """
    int me = _tos->pid;
    check(failed(ctl(me, "nonsense x"), "unknown control message \\"nonsense x\\""));
    check(failed(ctl(me, "pri"), "wrong #args in control message \\"pri\\""));
    check(failed(ctl(me, "kill me"), "wrong #args in control message \\"kill me\\""));
    check(failed(ctl(me, " "), "empty control message") && failed(ctl(me, "pri x"), "bad arg in system call"));
    check(failed(ctl(me, "pri 11"), "permission denied") && failed(ctl(me, "closefd 77"), "fd out of range or not open"));
    check(ctl(me, "pri 3") == 0 && ctl(me, "closefd 0") == 0 && failed(close(0), "fd out of range or not open"));
    check(ctl(me, "closefiles") == 0 && failed(write(1, "", 0), "fd out of range or not open"));
    """
    holds(engine_name, body, CTL)


def test_a_process_of_low_priority_has_shorter_turns_but_has_them(
    engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = CTL + "volatile int count[2]; volatile int over;"
    body = """
    int i, pid[2]; char b[200];
    for(i = 0; i < 2; i++) if((pid[i] = rfork(RFPROC|RFMEM)) == 0){ while(!over) count[i]++; exits(nil); }
    check(ctl(pid[0], "pri 0") == 0);
    sprint(b, "#p/%d/status", pid[0]);
    i = open(b, OREAD);
    check(read(i, b, 176) == 176 && strncmp(b + 152, "          0           0 ", 24) == 0);
    while(count[0] < 10 || count[1] < 10) sleep(10);
    over = 1;
    check(strcmp(wait(), "") == 0 && strcmp(wait(), "") == 0);
    """
    turns: dict[int, float] = {}
    begin_turn = Family._begin_turn

    def noting(family: Family, task: Task, turn: float = TURN) -> None:
        begin_turn(family, task, turn)
        turns[task.tid] = task.share * turn

    monkeypatch.setattr(Family, "_begin_turn", noting)
    holds(engine_name, body, before)
    assert 0 < turns[3] < TURN / 2
    assert turns[4] > TURN / 2


def test_a_turn_that_is_over_before_its_process_runs_is_over(engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host may be so busy that it takes longer to let a process run than that may run."""
    set_current, interval = Family.set_current, sys.getswitchinterval()
    slow: list[Task] = []

    def slowly(family: Family, task: Task | None) -> None:
        if task is not None and len(family.tasks) == 3 and len(slow) < 12:
            slow.append(task)
            over = time.monotonic() + 1.2 * TURN
            while time.monotonic() < over:
                pass
        set_current(family, task)

    monkeypatch.setattr(Family, "set_current", slowly)
    sys.setswitchinterval(1)  # no other thread runs meanwhile, the watchdog neither
    body = """
    int i, pids[2];
    for(i = 0; i < 2; i++) if((pids[i] = fork()) == 0) for(;;);
    sleep(50);
    for(i = 0; i < 2; i++) check(ctl(pids[i], "kill") == 0);
    for(i = 0; i < 2; i++) check(strcmp(wait(), "Killed") == 0);
    """
    try:
        holds(engine_name, body, CTL)
    finally:
        sys.setswitchinterval(interval)


def test_processes_that_spin_do_not_stop_others_that_share_nothing_with_them(engine_name: str) -> None:
    body = """
    int i, pids[8], ends[2]; char b[4];
    check(pipe(ends) == 0);
    for(i = 0; i < 8; i++) if((pids[i] = fork()) == 0) for(;;);
    if(fork() == 0){ check(read(ends[0], b, 4) == 4 && write(ends[0], "back", 4) == 4); sleep(10); exits("done"); }
    check(write(ends[1], "there", 4) == 4 && read(ends[1], b, 4) == 4 && strcmp(wait(), "done") == 0);
    for(i = 0; i < 8; i++) check(ctl(pids[i], "kill") == 0);
    for(i = 0; i < 8; i++) check(strcmp(wait(), "Killed") == 0);
    """
    holds(engine_name, body, CTL)


def test_hundreds_of_processes_live_at_a_time(engine_name: str) -> None:
    count = 150 if engine_name == "jit" else 30
    body = f"""
    int i, n = 0, ends[2]; char b;
    check(pipe(ends) == 0);
    for(i = 0; i < {count}; i++) if(rfork(RFPROC|(i%3 ? 0 : RFMEM)) == 0){{ char c; read(ends[0], &c, 1); exits(nil); }}
    for(i = 0; i < {count}; i++) write(ends[1], "x", 1);
    while(wait()) n++;
    check(n == {count});
    """
    holds(engine_name, body, memory="2M", processes=400)
