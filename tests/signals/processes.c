/* Children, how they end, stop and go on; process groups; what becomes of signals over fork and exec. */
#include "cases.h"

static volatile int count, last_code, last_status;
static void note(int number) { count++; }
static void child_changed(int number, siginfo_t *info, void *context) {
    count++;
    last_code = info->si_code;
    last_status = info->si_status;
}

static pid_t child_of(void (*run)(void)) {
    pid_t pid = fork();
    if (!pid) {
        run();
        _exit(0);
    }
    return pid;
}
static void wait_for_ever(void) {
    for (;;) pause();
}
static void exit_7(void) { _exit(7); }
static void spin(void) {
    for (;;) count++;
}

CASE(how_children_end) {
    int status;
    pid_t pid = child_of(exit_7);
    say("%d", waitpid(pid, &status, 0) == pid);
    say_status("exit", status);
    int signals[] = {SIGTERM, SIGKILL, SIGSEGV, SIGRTMIN + 3, SIGHUP, SIGPWR};
    for (int i = 0; i < 6; i++) {
        pid = child_of(i & 1 ? spin : wait_for_ever);
        kill(pid, signals[i]);
        say("%d", waitpid(pid, &status, 0) == pid);
        say_status("killed", status);
    }
    if (!(pid = fork())) {
        *(volatile int *)0 = 1;
    }
    waitpid(pid, &status, 0);
    say_status("fault", status);
    if (!(pid = fork())) abort();
    waitpid(pid, &status, 0);
    say_status("abort", status);
    told(waitpid(-1, &status, 0));
    told(waitpid(-1, &status, WNOHANG));
    told(waitpid(getpid(), &status, 0));
    told(waitpid(-1, &status, 0x1000));
}

CASE(sigchld_tells_what_happened) {
    on(SIGCHLD, child_changed, SA_SIGINFO | SA_RESTART);
    int status;
    pid_t pid = child_of(exit_7);
    waitpid(pid, &status, 0);
    say("count %d code %d status %d", count, last_code, last_status);
    pid = child_of(wait_for_ever);
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    say("count %d code %d status %d", count, last_code, last_status);
    kill(pid, SIGCONT);
    waitpid(pid, &status, WCONTINUED);
    while (count < 3) sleep_ms(5); /* who continues sends the signal himself, some time later */
    say("count %d code %d status %d", count, last_code, last_status);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    say("count %d code %d status %d", count, last_code, last_status);
    on(SIGCHLD, child_changed, SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP);
    pid = child_of(wait_for_ever);
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    say("count %d", count);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    say("count %d", count);
}

CASE(stop_and_continue) {
    int status;
    pid_t pid = child_of(spin);
    kill(pid, SIGSTOP);
    told(waitpid(pid, &status, WUNTRACED) == pid);
    say_status("child", status);
    told(waitpid(pid, &status, WNOHANG | WUNTRACED));
    kill(pid, SIGTERM);
    sleep_ms(20);
    told(waitpid(pid, &status, WNOHANG));
    kill(pid, SIGCONT);
    waitpid(pid, &status, 0);
    say_status("child", status);
    pid = child_of(wait_for_ever);
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGCONT);
    waitpid(pid, &status, WCONTINUED);
    say_status("child", status);
    kill(pid, SIGSTOP);
    waitpid(pid, &status, WUNTRACED);
    kill(pid, SIGKILL);
    waitpid(pid, &status, WUNTRACED);
    say_status("child", status);
}

static void stop_myself(void) {
    raise(SIGTSTP);
    _exit(count);
}
CASE(terminal_stops_and_orphans) {
    int status;
    pid_t pid = fork();
    if (!pid) {
        setpgid(0, 0);
        on(SIGCONT, note, 0);
        stop_myself();
    }
    waitpid(pid, &status, WUNTRACED);
    say_status("child", status);
    kill(pid, SIGCONT);
    waitpid(pid, &status, 0);
    say_status("child", status);
    pid = fork();
    if (!pid) {
        setsid(); /* nobody of its session looks after it */
        stop_myself();
    }
    waitpid(pid, &status, WUNTRACED);
    say_status("orphan", status);
}

CASE(groups_and_sessions) {
    int ready[2];
    char c;
    pipe(ready);
    pid_t a = fork();
    if (!a) {
        told(setpgid(0, 0));
        told(getpgrp() == getpid());
        told(setsid() == getpid());
        write(ready[1], "r", 1);
        wait_for_ever();
    }
    read(ready[0], &c, 1);
    pid_t b = child_of(wait_for_ever), other = child_of(wait_for_ever);
    told(setpgid(b, 0));
    told(setpgid(other, b));
    told(getpgid(b) == b);
    told(getpgid(other) == b);
    told(getsid(other) == getsid(0));
    told(setpgid(other, 0x7fffffff));
    told(setpgid(0x7fffffff, 0));
    told(setpgid(0, -1));
    told(getpgid(0x7fffffff));
    told(kill(-b, SIGUSR1));
    int status;
    for (int i = 0; i < 2; i++) {
        pid_t pid = waitpid(-b, &status, 0);
        say("%d", pid == b || pid == other);
        say_status("of the group", status);
    }
    told(waitpid(-b, &status, 0));
    told(kill(-b, 0));
    kill(a, SIGKILL);
    told(waitpid(-1, &status, 0) == a);
    say_status("the first", status);
}

CASE(waitid_in_all_ways) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    pid_t pid = child_of(exit_7);
    told(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    say("%d code %d status %d pid %d uid %d", info.si_signo, info.si_code, info.si_status, info.si_pid == pid, info.si_uid == getuid());
    told(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
    told(waitid(P_ALL, 0, &info, WEXITED));
    say("%d code %d status %d pid %d", info.si_signo, info.si_code, info.si_status, info.si_pid == pid);
    told(waitid(P_ALL, 0, &info, WEXITED));
    pid = child_of(wait_for_ever);
    told(waitid(P_PID, pid, &info, WEXITED | WNOHANG));
    say("%d %d", info.si_signo, info.si_pid);
    kill(pid, SIGSTOP);
    told(waitid(P_PID, pid, &info, WSTOPPED));
    say("%d code %d status %d", info.si_signo, info.si_code, info.si_status);
    kill(pid, SIGCONT);
    told(waitid(P_PGID, getpgrp(), &info, WCONTINUED));
    say("%d code %d status %d", info.si_signo, info.si_code, info.si_status);
    kill(pid, SIGTERM);
    told(waitid(P_PID, pid, &info, WEXITED | WSTOPPED));
    say("%d code %d status %d", info.si_signo, info.si_code, info.si_status);
    told(waitid(P_PID, pid, &info, 0));
    told(waitid(P_PID, 0, &info, WEXITED));
    told(waitid(9, 0, &info, WEXITED));
}

CASE(children_that_nobody_waits_for) {
    signal(SIGCHLD, SIG_IGN);
    child_of(exit_7);
    child_of(exit_7);
    told(waitpid(-1, NULL, 0));
    on(SIGCHLD, note, SA_NOCLDWAIT | SA_RESTART);
    child_of(exit_7);
    told(waitpid(-1, NULL, 0));
    say("count %d", count);
}

CASE(fork_and_exec_keep_what_they_keep) {
    on(SIGUSR1, note, 0);
    signal(SIGUSR2, SIG_IGN);
    block(SIG_BLOCK, SIGUSR1);
    block(SIG_BLOCK, SIGTERM);
    kill(getpid(), SIGUSR1);
    alarm(100);
    pid_t pid = fork();
    if (!pid) {
        sigset_t set;
        sigpending(&set);
        say("child: pending %d", sigismember(&set, SIGUSR1));
        say("alarm %d", alarm(0));
        kill(getpid(), SIGTERM);
        block(SIG_UNBLOCK, SIGUSR1);
        kill(getpid(), SIGUSR1);
        say("count %d", count);
        execl(program, program, "after_exec", NULL);
        _exit(9);
    }
    int status;
    waitpid(pid, &status, 0);
    say_status("child", status);
}

CASE(after_exec) {
    struct sigaction one, two;
    sigset_t pending, blocked;
    sigaction(SIGUSR1, NULL, &one);
    sigaction(SIGUSR2, NULL, &two);
    sigpending(&pending);
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    say("default %d ignored %d pending %d blocked %d %d", one.sa_handler == SIG_DFL, two.sa_handler == SIG_IGN,
        sigismember(&pending, SIGTERM), sigismember(&blocked, SIGTERM), sigismember(&blocked, SIGUSR1));
}

CASE(a_signal_when_the_parent_ends) {
    int to_us[2];
    pipe(to_us);
    pid_t pid = fork();
    if (!pid) {
        if (!fork()) {
            on(SIGUSR1, note, 0);
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            int which;
            prctl(PR_GET_PDEATHSIG, &which);
            write(to_us[1], "r", 1);
            while (!count) sleep_ms(5);
            write(to_us[1], which == SIGUSR1 ? "s" : "?", 1);
            _exit(0);
        }
        char c;
        read(to_us[0], &c, 1);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    char c = 0;
    read(to_us[0], &c, 1);
    say("told %c", c);
}

CASE(write_without_a_reader) {
    int fds[2], status;
    pipe(fds);
    close(fds[0]);
    pid_t pid = fork();
    if (!pid) {
        write(fds[1], "x", 1);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    say_status("child", status);
    on(SIGPIPE, note, 0);
    told(write(fds[1], "x", 1));
    say("count %d", count);
    signal(SIGPIPE, SIG_IGN);
    told(write(fds[1], "x", 1));
}

/* A child that sends signals until something is in the pipe: the first ones may come too early. */
static pid_t child_that_interrupts(int until) {
    pid_t parent = getpid(), pid = fork();
    if (pid) return pid;
    struct pollfd wanted = {until, POLLIN, 0};
    do {
        sleep_ms(20);
        kill(parent, SIGUSR1);
    } while (!poll(&wanted, 1, 20));
    return 0;
}

CASE(a_read_is_interrupted) {
    int fds[2], done[2];
    char buffer[8];
    pipe(fds);
    pipe(done);
    on(SIGUSR1, note, 0);
    pid_t pid = child_that_interrupts(done[0]);
    if (!pid) {
        write(fds[1], "abc", 3);
        _exit(0);
    }
    told(read(fds[0], buffer, 8));
    signal(SIGUSR1, SIG_IGN);
    write(done[1], "x", 1);
    told(read(fds[0], buffer, 8));
    waitpid(pid, NULL, 0);
}

CASE(a_read_is_restarted) {
    int fds[2];
    char buffer[8];
    pipe(fds);
    on(SIGUSR1, note, SA_RESTART);
    pid_t parent = getpid(), pid = fork();
    if (!pid) {
        sleep_ms(30);
        for (int i = 0; i < 3; i++) {
            kill(parent, SIGUSR1);
            sleep_ms(10);
        }
        write(fds[1], "abc", 3);
        _exit(0);
    }
    told(read(fds[0], buffer, 8));
    say("%d", count > 0);
    waitpid(pid, NULL, 0);
}

CASE(a_long_write_that_is_interrupted_tells_what_it_wrote) {
    int fds[2], done[2];
    static char big[300000];
    pipe(fds);
    pipe(done);
    on(SIGUSR1, note, SA_RESTART);
    pid_t pid = child_that_interrupts(done[0]);
    if (!pid) {
        close(fds[1]);
        while (read(fds[0], big, sizeof big) > 0) {
        }
        _exit(0);
    }
    close(fds[0]);
    told(write(fds[1], big, sizeof big));
    write(done[1], "x", 1);
    close(fds[1]);
    while (waitpid(pid, NULL, 0) < 0) {
    }
}

CASE(wait_is_interrupted_or_restarted) {
    int done[2], status = 0;
    pipe(done);
    on(SIGUSR1, note, 0);
    pid_t pid = child_that_interrupts(done[0]);
    if (!pid) _exit(3);
    told(waitpid(pid, &status, 0));
    signal(SIGUSR1, SIG_IGN);
    write(done[1], "x", 1);
    told(waitpid(pid, &status, 0) == pid);
    say_status("child", status);
    on(SIGUSR1, note, SA_RESTART);
    pid_t parent = getpid();
    pid = fork();
    if (!pid) {
        sleep_ms(30);
        kill(parent, SIGUSR1);
        sleep_ms(30);
        _exit(4);
    }
    told(waitpid(pid, &status, 0) == pid);
    say_status("child", status);
}

CASE(who_may_be_killed) {
    pid_t pid = child_of(exit_7);
    siginfo_t info;
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    told(kill(pid, SIGTERM));
    told(kill(pid, 99));
    waitpid(pid, NULL, 0);
    told(kill(pid, 0));
}
