/* Processes: fork, vfork, exit, wait, and who is whose parent. */
#include "harness.h"

#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK O_NONBLOCK
#endif

static void nothing(void) {}
static void exits_with_7(void) { _exit(7); }
static void exits_with_too_much(void) { _exit(0x12345); }
static void aborts(void) { abort(); }
static void kills_itself(void) { kill(getpid(), SIGKILL); }
static void waits(void) { pause(); }

CASE(exit_codes_reach_the_parent) {
    wait_for(start(nothing));
    wait_for(start(exits_with_7));
    wait_for(start(exits_with_too_much));
    wait_for(start(aborts));
    wait_for(start(kills_itself));
}

CASE(the_exit_code_of_a_program) { exit(42); }

CASE(a_program_that_ends_by_a_signal) {
    say("before");
    kill(getpid(), SIGTERM);
    say("not reached");
}

CASE(a_program_that_aborts) { abort(); }

CASE(a_program_that_faults) { *(volatile int *)8 = 1; }

CASE(a_program_that_divides_by_zero) {
    volatile int zero = 0, number = 12345;
    say("%d", number / zero);
}

CASE(fork_copies_memory) {
    int local = 1, *heap = malloc(sizeof *heap);
    *heap = 1;
    pid_t child = fork();
    if (child == 0) {
        local = *heap = 2;
        say("child %d %d", local, *heap);
        _exit(0);
    }
    wait_for(child);
    say("parent %d %d", local, *heap);
}

CASE(parents_and_children_know_each_other) {
    int ends[2];
    pid_t of_child[3], me = getpid();
    T(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        of_child[0] = getpid(), of_child[1] = getppid(), of_child[2] = syscall(SYS_gettid);
        _exit(write(ends[1], of_child, sizeof of_child) != sizeof of_child);
    }
    T(read(ends[0], of_child, sizeof of_child));
    say("%d %d %d %d", of_child[0] == child, of_child[1] == me, of_child[2] == child, child != me);
    wait_for(child);
    say("%d", syscall(SYS_gettid) == me);
}

CASE(wait_without_children) {
    int status;
    T(wait(&status));
    T(waitpid(-1, &status, WNOHANG));
    T(waitpid(getpid(), &status, 0));
    T(waitpid(1, &status, 0));
    T(waitpid(0x7fffffff, &status, 0));
    T(waitpid(INT_MIN, &status, 0));
    T(waitpid(-1, &status, 0x100));
    siginfo_t info;
    T(waitid(P_ALL, 0, &info, WEXITED));
    T(waitid(P_ALL, 0, &info, 0));
    T(waitid(P_PID, 0, &info, WEXITED));
    T(waitid(99, 0, &info, WEXITED));
}

CASE(waitpid_chooses_a_child) {
    pid_t one = start(nothing), two = start(exits_with_7);
    int status;
    T(waitpid(two, &status, 0) == two);
    ended(status);
    T(waitpid(two, &status, 0));
    T(waitpid(-1, &status, 0) == one);
    ended(status);
    T(waitpid(-1, &status, 0));
}

CASE(waitpid_with_nohang) {
    int status = 77, ends[2];
    T(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(ends[1]);
        _exit(3 + read(ends[0], &byte, 1));
    }
    T(waitpid(child, &status, WNOHANG));
    say("%d", status);
    close(ends[1]);
    T(waitpid(child, NULL, 0) == child);
    child = start(exits_with_7);
    T(syscall(SYS_waitpid, child, NOWHERE, 0));
    T(waitpid(child, &status, WNOHANG));
}

CASE(waitid_says_how_a_child_ended) {
    siginfo_t info;
    pid_t child = start(exits_with_7);
    memset(&info, 0x55, sizeof info);
    T(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    say("%d %d %d %d %d", info.si_signo == SIGCHLD, info.si_code == CLD_EXITED, info.si_status, info.si_pid == child,
        info.si_uid == getuid());
    T(waitid(P_PID, child, &info, WEXITED));
    T(waitid(P_PID, child, &info, WEXITED));
    child = start(kills_itself);
    T(waitid(P_ALL, 0, &info, WEXITED));
    say("%d %d", info.si_code == CLD_KILLED, info.si_status);
    child = start(waits);
    T(waitid(P_PID, child, &info, WEXITED | WNOHANG));
    say("%d %d", info.si_pid, info.si_signo);
    T(kill(child, SIGTERM));
    T(waitid(P_PGID, 0, &info, WEXITED));
    say("%d", info.si_status);
    child = start(nothing);
    T(syscall(SYS_waitid, P_PID, child, NULL, WEXITED, NULL));
}

CASE(wait4_counts_what_was_used) {
    struct rusage usage;
    int status;
    memset(&usage, 0x55, sizeof usage);
    pid_t child = start(nothing);
    T(wait4(child, &status, 0, &usage) == child);
    say("%d %d", usage.ru_utime.tv_sec < 60, usage.ru_stime.tv_sec < 60);
    T(syscall(SYS_wait4, start(nothing), NULL, 0, NOWHERE));
    T(getrusage(RUSAGE_SELF, &usage));
    say("%d", usage.ru_utime.tv_sec < 60 && usage.ru_utime.tv_usec < 1000000);
    T(getrusage(RUSAGE_CHILDREN, &usage));
    T(getrusage(RUSAGE_THREAD, &usage));
    T(getrusage(77, &usage));
    T(syscall(SYS_getrusage, RUSAGE_SELF, NULL));
}

static int go[2];

/* Stops, and when it goes on, lives until the parent closes its end of `go`. */
static void stops_itself(void) {
    char byte;
    close(go[1]);
    raise(SIGSTOP);
    _exit(5 + read(go[0], &byte, 1));
}

CASE(a_child_stops_and_goes_on) {
    int status;
    T(pipe(go));
    pid_t child = start(stops_itself);
    T(waitpid(child, &status, WUNTRACED) == child);
    ended(status);
    T(waitpid(child, &status, WUNTRACED | WNOHANG));
    T(kill(child, SIGCONT));
    T(waitpid(child, &status, WCONTINUED) == child);
    ended(status);
    close(go[1]);
    wait_for(child);
}

CASE(waitid_sees_stopped_children) {
    siginfo_t info;
    T(pipe(go));
    pid_t child = start(stops_itself);
    T(waitid(P_PID, child, &info, WSTOPPED));
    say("%d %d", info.si_code == CLD_STOPPED, info.si_status);
    T(kill(child, SIGCONT));
    T(waitid(P_PID, child, &info, WCONTINUED));
    say("%d %d", info.si_code == CLD_CONTINUED, info.si_status);
    close(go[1]);
    T(waitid(P_PID, child, &info, WEXITED));
    say("%d %d", info.si_code == CLD_EXITED, info.si_status);
}

CASE(a_stopped_child_can_be_killed) {
    int status;
    T(pipe(go));
    pid_t child = start(stops_itself);
    T(waitpid(child, &status, WUNTRACED) == child);
    T(kill(child, SIGTERM));
    T(waitpid(child, &status, WNOHANG));
    T(kill(child, SIGKILL));
    wait_for(child);
}

CASE(a_zombie_can_be_signalled) {
    siginfo_t info;
    pid_t child = start(nothing);
    T(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    T(kill(child, 0));
    T(kill(child, SIGKILL));
    wait_for(child);
    T(kill(child, 0));
}

CASE(orphans_get_another_parent) {
    int ends[2], gone[2];
    T(pipe(ends));
    T(pipe(gone));
    pid_t child = fork();
    if (child == 0) {
        pid_t parent = getpid();
        if (fork() == 0) {
            char byte;
            close(gone[1]);
            if (read(gone[0], &byte, 1) != 1)
                _exit(1);
            byte = getppid() != parent;
            _exit(write(ends[1], &byte, 1) != 1);
        }
        _exit(0);
    }
    wait_for(child);
    char byte = 0;
    T(write(gone[1], &byte, 1));
    T(read(ends[0], &byte, 1));
    say("%d", byte);
    T(waitpid(-1, NULL, 0));
}

CASE(a_subreaper_gets_orphans) {
    T(prctl(PR_SET_CHILD_SUBREAPER, 1));
    int is = 0;
    T(prctl(PR_GET_CHILD_SUBREAPER, &is));
    say("%d", is);
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0)
            _exit(9);
        _exit(0);
    }
    int status, sum = 0;
    while (wait(&status) > 0)
        sum += WEXITSTATUS(status) + 100;
    say("%d", sum);
}

CASE(vfork_shares_and_waits) {
    volatile int shared = 1;
    pid_t child = vfork();
    if (child == 0) {
        shared = 2;
        _exit(4);
    }
    say("%d", shared);
    wait_for(child);
}

static int clone_child(void *argument) {
    *(int *)argument = 5;
    return 6;
}

CASE(clone_with_and_without_memory) {
    char *stack = malloc(65536);
    int value = 1;
    wait_for(clone(clone_child, stack + 65536, SIGCHLD, &value));
    say("%d", value);
    wait_for(clone(clone_child, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, &value));
    say("%d", value);
    pid_t child = clone(clone_child, stack + 65536, 0, &value);
    T(waitpid(child, NULL, 0));
    T(waitpid(child, NULL, __WALL) == child);
    T(clone(clone_child, stack + 65536, CLONE_THREAD | SIGCHLD, &value));
    T(clone(clone_child, stack + 65536, CLONE_SIGHAND | SIGCHLD, &value));
    T(clone(clone_child, stack + 65536, CLONE_FS | CLONE_NEWNS | SIGCHLD, &value));
}

static int clone_files(void *argument) {
    (void)argument;
    close(0);
    chdir("dir");
    umask(077);
    return 0;
}

CASE(clone_shares_what_it_is_told_to) {
    char *stack = malloc(65536);
    T(mkdir("dir", 0755));
    make("dir/file", "x");
    T(fcntl(0, F_GETFD));
    wait_for(clone(clone_files, stack + 65536, SIGCHLD, NULL));
    T(fcntl(0, F_GETFD));
    T(access("file", F_OK));
    wait_for(clone(clone_files, stack + 65536, CLONE_FILES | SIGCHLD, NULL));
    T(fcntl(0, F_GETFD));
    T(access("file", F_OK));
    wait_for(clone(clone_files, stack + 65536, CLONE_FS | SIGCHLD, NULL));
    T(access("file", F_OK));
    T(umask(022));
}

static int clone_opens(void *argument) {
    (void)argument;
    char byte;
    say("child: %d", open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    write(5, "from the child", 14);
    dup2(5, 9);
    fcntl(9, F_SETFD, FD_CLOEXEC);
    say("child: %d", (int)read(3, &byte, 1));
    say("child: %d", byte);
    return 0;
}

CASE(clone_with_one_table_of_descriptors) {
    char *stack = malloc(65536), text[20] = "";
    int ends[2];
    T(pipe(ends));
    T(fcntl(5, F_GETFD));
    pid_t child = clone(clone_opens, stack + 65536, CLONE_FILES | SIGCHLD, NULL);
    while (fcntl(9, F_GETFD) != FD_CLOEXEC)
        sched_yield();
    T(lseek(5, 0, SEEK_CUR));
    T(pread(9, text, 14, 0));
    say("%s", text);
    T(close(5));
    if (write(4, "x", 1) != 1)
        say("no write");
    wait_for(child);
    T(fcntl(9, F_GETFD));
    T(read(9, text, 4));
    T(dup(9));
    T(lseek(5, 0, SEEK_CUR));
}

static int alone[2];

static int clone_then_ends(void *argument) {
    char byte;
    read(alone[0], &byte, 1);
    say("%d", fcntl(8, F_GETFD));
    write(8, argument, strlen(argument));
    return 0;
}

CASE(descriptors_outlive_who_made_them) {
    char *stack = malloc(65536), text[20] = "";
    int ends[2];
    T(pipe(ends));
    T(pipe(alone));
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 8);
        clone(clone_then_ends, stack + 65536, CLONE_FILES | SIGCHLD, "orphaned");
        _exit(0);
    }
    wait_for(child);
    T(close(ends[1]));
    write(alone[1], "x", 1);
    int count = 0;
    while (count < 20 && read(ends[0], text + count, 1) == 1)
        count++;
    say("%s", text);
}

static int clone_executes(void *argument) {
    execl("./prog", "prog", "@shares", (char *)argument, NULL);
    return 1;
}

HELPER(shares) {
    struct stat st;
    say("executed: %d %d", fcntl(3, F_GETFD), fcntl(4, F_GETFD));
    close(4);
    open("file", O_RDONLY);
    chdir(argv[2]);
    umask(0);
    say("executed: %d %d", argc, stat("file", &st));
    return 0;
}

CASE(execve_unshares_descriptors_but_no_directory) {
    char *stack = malloc(65536);
    make("file", "x");
    make("private/file", "x");
    T(open("file", O_RDONLY | O_CLOEXEC));
    T(open("file", O_RDONLY));
    wait_for(clone(clone_executes, stack + 65536, CLONE_FILES | CLONE_FS | SIGCHLD, "private"));
    T(fcntl(3, F_GETFD));
    T(fcntl(4, F_GETFD));
    T(fcntl(5, F_GETFD));
    T(access("../prog", F_OK));
    T(umask(022));
    T(chdir(".."));
    wait_for(clone(clone_executes, stack + 65536, CLONE_FILES | CLONE_VM | CLONE_VFORK | SIGCHLD, "private"));
    T(fcntl(3, F_GETFD));
    T(access("prog", F_OK));
    T(umask(022));
}

static int clone_unshares(void *argument) {
    (void)argument;
    T(unshare(CLONE_FILES));
    T(close(0));
    T(unshare(CLONE_FS));
    T(chdir("dir"));
    T(umask(0));
    return 0;
}

CASE(unshare_makes_own_ones) {
    char *stack = malloc(65536);
    T(mkdir("dir", 0755));
    wait_for(clone(clone_unshares, stack + 65536, CLONE_FILES | CLONE_FS | SIGCHLD, NULL));
    T(fcntl(0, F_GETFD));
    T(access("dir", F_OK));
    T(umask(022));
    T(unshare(0));
    T(unshare(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM));
    T(unshare(CLONE_VM));
    T(unshare(CLONE_THREAD | CLONE_SIGHAND));
    T(unshare(CLONE_NEWNS));
    T(unshare(CLONE_PARENT));
    T(unshare(1));
    T(fcntl(0, F_GETFD));
}

static void *thread_unshares(void *argument) {
    T(unshare(CLONE_THREAD));
    T(unshare(CLONE_FILES));
    T(close(0));
    T(dup2(1, 7));
    T(unshare(CLONE_FS));
    T(chdir("dir"));
    return argument;
}

CASE(a_thread_can_have_its_own_descriptors) {
    pthread_t thread;
    T(mkdir("dir", 0755));
    if (pthread_create(&thread, NULL, thread_unshares, NULL))
        say("no thread");
    T(pthread_join(thread, NULL));
    T(fcntl(0, F_GETFD));
    T(fcntl(7, F_GETFD));
    T(access("dir", F_OK));
}

static volatile int handled;
static void handler_of_all(int number) {
    handled = number;
}

static int clone_sets_handler(void *argument) {
    (void)argument;
    signal(SIGUSR1, handler_of_all);
    return 0;
}

CASE(clone_shares_signal_handlers) {
    char *stack = malloc(65536);
    struct sigaction action;
    pid_t child = clone(clone_sets_handler, stack + 65536, CLONE_VM | CLONE_SIGHAND | CLONE_FILES | CLONE_FS | SIGCHLD, NULL);
    wait_for(child);
    T(sigaction(SIGUSR1, NULL, &action));
    T(action.sa_handler == handler_of_all);
    T(raise(SIGUSR1));
    T(handled == SIGUSR1);
    wait_for(clone(clone_sets_handler, stack + 65536, CLONE_IO | CLONE_UNTRACED | CLONE_PTRACE | SIGCHLD, NULL));
}

static int pidfd(pid_t pid, int flags) {
    return syscall(434, pid, flags);
}

static int send_by(int fd, int number, void *info, int flags) {
    return syscall(424, fd, number, info, flags);
}

CASE(descriptors_for_processes) {
    int ends[2];
    char byte;
    struct epoll_event event = {EPOLLIN, {0}};
    T(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) + 4);
    }
    int fd = T(pidfd(child, 0)), own = T(pidfd(getpid(), PIDFD_NONBLOCK)), epoll = T(epoll_create1(0));
    struct pollfd one = {fd, POLLIN, 0};
    siginfo_t info;
    T(fcntl(fd, F_GETFD));
    T(fcntl(own, F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    T(poll(&one, 1, 0));
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    T(epoll_wait(epoll, &event, 1, 0));
    T(send_by(fd, 0, NULL, 0));
    T(send_by(fd, 0, NULL, 0x100));
    T(send_by(fd, 65, NULL, 0));
    T(send_by(ends[0], 0, NULL, 0));
    T(send_by(99, 0, NULL, 0));
    int made_up[32] = {SIGUSR1, 0, SI_USER};
    T(send_by(fd, SIGUSR1, made_up, 0));
    T(send_by(fd, SIGUSR2, made_up, 0));
    T(send_by(fd, 0, NOWHERE, 0));
    T(write(ends[1], "x", 1));
    T(poll(&one, 1, 5000));
    T(one.revents);
    T(epoll_wait(epoll, &event, 1, 5000));
    T(send_by(fd, 0, NULL, 0));
    T(waitid(3, fd, &info, WEXITED | WNOWAIT));
    say("%d %d", info.si_pid == child, info.si_status);
    T(waitid(3, fd, &info, WEXITED));
    say("%d %d", info.si_pid == child, info.si_status);
    T(waitid(3, fd, &info, WEXITED));
    T(poll(&one, 1, 0));
    T(send_by(fd, 0, NULL, 0));
    T(send_by(fd, SIGTERM, NULL, 0));
    T(waitid(3, own, &info, WEXITED));
    T(waitid(3, ends[0], &info, WEXITED));
    T(waitid(3, 99, &info, WEXITED));
    T(waitid(3, -1, &info, WEXITED));
    T(pidfd(child, 0));
    T(pidfd(0, 0));
    T(pidfd(-1, 0));
    T(pidfd(getpid(), 1));
    T(pidfd(0x7fffffff, 0));
    T(read(fd, &byte, 1));
    T(write(fd, &byte, 1));
    child = fork();
    if (child == 0)
        pause();
    fd = pidfd(child, PIDFD_NONBLOCK);
    T(waitid(3, fd, &info, WEXITED));
    T(send_by(fd, SIGTERM, NULL, 0));
    struct pollfd two = {fd, POLLIN, 0};
    T(poll(&two, 1, 5000));
    T(waitid(3, fd, &info, WEXITED));
    say("%d %d", info.si_pid == child, info.si_status);
    signal(SIGUSR1, handler_of_all);
    handled = 0;
    T(send_by(own, SIGUSR1, made_up, 0));
    T(handled == SIGUSR1);
}

CASE(clone_tells_thread_ids) {
    pid_t in_parent = 0;
    static pid_t in_child;
    pid_t child =
        syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, NULL, &in_parent, NULL, &in_child);
    if (child == 0)
        _exit(in_child != getpid());
    say("%d %d", in_parent == child, in_child);
    wait_for(child);
}

CASE(process_groups) {
    T(getpgrp() == getpgid(0));
    T(getpgid(getpid()) == getpgrp());
    T(getpgid(0x7fffffff));
    T(getpgid(-1));
    int ends[2];
    T(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(ends[1]);
        read(ends[0], &byte, 1);
        _exit(getpgrp() != getpid());
    }
    T(getpgid(child) == getpgrp());
    T(setpgid(child, child));
    T(getpgid(child) == child);
    T(setpgid(child, 0x7ffffff0));
    T(setpgid(0x7ffffff0, 0));
    T(setpgid(child, -1));
    T(waitpid(-getpgrp(), NULL, WNOHANG));
    T(waitpid(0, NULL, WNOHANG));
    T(waitpid(-child, NULL, WNOHANG));
    close(ends[1]);
    wait_for(child);
    T(getpgid(child));
    T(setpgid(child, 0));
}

CASE(sessions) {
    T(getsid(0) == getsid(getpid()));
    T(getsid(0x7fffffff));
    pid_t child = fork();
    if (child == 0) {
        T(setsid() == getpid());
        T(getsid(0) == getpid());
        T(getpgrp() == getpid());
        T(setsid());
        T(setpgid(0, 0));
        T(getsid(getppid()) == getsid(0));
        _exit(0);
    }
    wait_for(child);
}

CASE(kill_of_a_group) {
    pid_t one = fork();
    if (one == 0) {
        setpgid(0, 0);
        pause();
    }
    setpgid(one, one);
    pid_t two = fork();
    if (two == 0) {
        pause();
    }
    T(setpgid(two, one));
    T(kill(-one, 0));
    T(kill(-one, SIGUSR1));
    wait_for(one);
    wait_for(two);
    T(kill(-one, 0));
    T(killpg(one, SIGUSR1));
}

CASE(kill_refuses) {
    T(kill(getpid(), 0));
    T(kill(getpid(), 65));
    T(kill(getpid(), -1));
    T(kill(0x7fffffff, 0));
    T(kill(INT_MIN, 0));
    T(syscall(SYS_tkill, 0x7fffffff, 0));
    T(syscall(SYS_tkill, -1, 0));
    T(syscall(SYS_tgkill, getpid(), 0x7fffffff, 0));
    T(syscall(SYS_tgkill, -1, getpid(), 0));
    T(syscall(SYS_tgkill, getpid(), getpid(), 0));
    T(syscall(SYS_tgkill, getpid(), getpid(), 99));
    T(syscall(SYS_tgkill, 0x7fffffff, getpid(), 0));
}

CASE(many_children) {
    int sum = 0, status;
    for (int i = 0; i < 8; i++)
        if (fork() == 0)
            _exit(i);
    while (wait(&status) > 0)
        sum += WEXITSTATUS(status);
    say("%d", sum);
}

CASE(children_of_children) {
    int depth = 0;
    while (depth < 5) {
        pid_t child = fork();
        if (child) {
            int status;
            waitpid(child, &status, 0);
            say("at %d the child exited with %d", depth, WEXITSTATUS(status));
            if (depth)
                _exit(WEXITSTATUS(status) + 1);
            return;
        }
        depth++;
    }
    _exit(10);
}

CASE(a_parent_that_ignores_children_has_no_zombies) {
    signal(SIGCHLD, SIG_IGN);
    pid_t child = start(exits_with_7);
    T(waitpid(child, NULL, 0));
    T(kill(child, 0));
}

CASE(the_parent_death_signal) {
    int ends[2];
    T(pipe(ends));
    int number = 77;
    T(prctl(PR_SET_PDEATHSIG, SIGUSR1));
    T(prctl(PR_GET_PDEATHSIG, &number));
    say("%d", number);
    T(prctl(PR_SET_PDEATHSIG, 99));
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_GET_PDEATHSIG, &number);
        _exit(number);
    }
    wait_for(child);
    child = fork();
    if (child == 0) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (write(ends[1], "r", 1) == 1)
                pause();
        }
        char byte;
        _exit(read(ends[0], &byte, 1) != 1);
    }
    close(ends[1]);
    wait_for(child);
    char byte;
    T(read(ends[0], &byte, 1));
}

CASE(names_by_prctl) {
    char name[17] = "";
    T(prctl(PR_GET_NAME, name));
    say("%s", name);
    T(prctl(PR_SET_NAME, "a name that is too long"));
    T(prctl(PR_GET_NAME, name));
    say("%s", name);
    T(prctl(PR_SET_NAME, NULL));
    T(prctl(PR_GET_NAME, NULL));
    T(prctl(12345));
    T(prctl(PR_GET_DUMPABLE));
    T(prctl(PR_SET_DUMPABLE, 0));
    T(prctl(PR_GET_DUMPABLE));
    T(prctl(PR_SET_DUMPABLE, 7));
    T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    T(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    T(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    T(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    T(prctl(PR_GET_KEEPCAPS));
}
