/* poll, select, and their variants. */
#define _TIME_BITS 64
#include "harness.h"

static void say_events(int fd, short events) {
    struct pollfd one = {fd, events, 0x5555};
    int result = poll(&one, 1, 0);
    say("%d: %s%s%s%s%s%s", result, one.revents & POLLIN ? " in" : "", one.revents & POLLOUT ? " out" : "",
        one.revents & POLLHUP ? " hup" : "", one.revents & POLLERR ? " err" : "", one.revents & POLLNVAL ? " nval" : "",
        one.revents & POLLRDHUP ? " rdhup" : "");
}

CASE(poll_of_pipes) {
    int ends[2];
    static char bytes[65536];
    T(pipe(ends));
    say_events(ends[0], POLLIN | POLLOUT);
    say_events(ends[1], POLLIN | POLLOUT);
    T(write(ends[1], "x", 1));
    say_events(ends[0], POLLIN);
    say_events(ends[0], 0);
    say_events(99, POLLIN);
    say_events(-1, POLLIN);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    T(write(ends[1], bytes, sizeof bytes));
    say_events(ends[1], POLLOUT);
    close(ends[1]);
    say_events(ends[0], POLLIN);
    T(read(ends[0], bytes, sizeof bytes));
    say_events(ends[0], POLLIN);
    T(pipe(ends));
    close(ends[0]);
    say_events(ends[1], POLLOUT);
}

CASE(poll_of_files) {
    make("file", "x");
    say_events(open("file", O_RDONLY), POLLIN | POLLOUT);
    say_events(open(".", O_RDONLY), POLLIN | POLLOUT);
    say_events(open("file", O_PATH), POLLIN);
}

CASE(poll_waits) {
    int ends[2];
    T(pipe(ends));
    struct pollfd one = {ends[0], POLLIN, 0};
    long long before = now_ms();
    T(poll(&one, 1, 20));
    say("%d", now_ms() - before >= 20);
    pid_t child = fork();
    if (child == 0) {
        pause_ms(10);
        _exit(write(ends[1], "x", 1) != 1);
    }
    T(poll(&one, 1, -1));
    say("%d", one.revents);
    wait_for(child);
    T(syscall(SYS_poll, NULL, 1, 0));
    T(syscall(SYS_poll, NULL, 0, 0));
    T(syscall(SYS_poll, &one, 10000000, 0));
    struct timespec none = {0, 0}, bad = {0, -1};
    T(ppoll(&one, 1, &none, NULL));
    T(ppoll(&one, 1, &bad, NULL));
    T(syscall(SYS_ppoll, &one, 1, NOWHERE, NULL, 8));
    T(syscall(SYS_ppoll, &one, 1, NULL, NOWHERE, 8));
}

static volatile int count;
static void counts(int number) { (void)number, count++; }

CASE(ppoll_changes_the_mask) {
    sigset_t set, empty;
    sigemptyset(&empty);
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    signal(SIGUSR1, counts);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    T(poll(NULL, 0, 0));
    say("%d", count);
    T(ppoll(NULL, 0, NULL, &empty));
    say("%d", count);
    raise(SIGUSR1);
    T(pselect(0, NULL, NULL, NULL, NULL, &empty));
    say("%d", count);
    sigprocmask(SIG_BLOCK, NULL, &set);
    say("%d", sigismember(&set, SIGUSR1));
}

CASE(select_of_pipes) {
    int ends[2], more[2];
    fd_set in, out;
    struct timeval none = {0, 0};
    T(pipe(ends));
    T(pipe(more));
    T(write(more[1], "x", 1));
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(ends[0], &in), FD_SET(more[0], &in), FD_SET(ends[1], &out);
    T(select(10, &in, &out, NULL, &none));
    say("%d %d %d", FD_ISSET(ends[0], &in) != 0, FD_ISSET(more[0], &in) != 0, FD_ISSET(ends[1], &out) != 0);
    FD_ZERO(&in);
    FD_SET(more[0], &in);
    T(select(more[0], &in, NULL, NULL, &none));
    FD_SET(50, &in);
    T(select(60, &in, NULL, NULL, &none));
    T(select(-1, NULL, NULL, NULL, &none));
    none.tv_usec = -1;
    T(select(0, NULL, NULL, NULL, &none));
    T(syscall(SYS__newselect, 10, NOWHERE, NULL, NULL, NULL));
    T(syscall(SYS__newselect, 0, NULL, NULL, NULL, NOWHERE));
    struct timeval some = {0, 10000};
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    T(select(10, &in, NULL, NULL, &some));
    say("%d %d", FD_ISSET(ends[0], &in) != 0, (int)some.tv_usec);
    close(ends[1]);
    FD_SET(ends[0], &in);
    T(select(10, &in, NULL, NULL, NULL));
    struct timespec time = {0, 1000000};
    FD_ZERO(&in);
    T(pselect(10, &in, NULL, NULL, &time, NULL));
}

CASE(epoll_reports_what_is_ready) {
    int ends[2], queue = T(epoll_create1(EPOLL_CLOEXEC));
    T(fcntl(queue, F_GETFD));
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x123456789abcdefULL}, got[4];
    T(pipe(ends));
    T(epoll_ctl(queue, EPOLL_CTL_ADD, ends[0], &event));
    T(epoll_wait(queue, got, 4, 0));
    T(write(ends[1], "x", 1));
    T(epoll_wait(queue, got, 4, -1));
    say("%x %llx", got[0].events, (unsigned long long)got[0].data.u64);
    T(epoll_wait(queue, got, 4, 0));
    event.events = EPOLLOUT, event.data.u64 = 7;
    T(epoll_ctl(queue, EPOLL_CTL_ADD, ends[1], &event));
    T(epoll_wait(queue, got, 4, 0));
    T(epoll_wait(queue, got, 1, 0));
    event.events = 0;
    T(epoll_ctl(queue, EPOLL_CTL_MOD, ends[0], &event));
    T(epoll_wait(queue, got, 4, 0));
    say("%x %d", got[0].events, (int)got[0].data.u64);
    T(epoll_ctl(queue, EPOLL_CTL_DEL, ends[1], NULL));
    T(epoll_wait(queue, got, 4, 0));
    close(ends[1]);
    T(epoll_wait(queue, got, 4, 0));
    say("%x", got[0].events);
    close(ends[0]);
    T(epoll_wait(queue, got, 4, 0));
}

CASE(epoll_edges_and_single_shots) {
    int ends[2], queue = T(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN | EPOLLET}, got[4];
    T(pipe(ends));
    T(epoll_ctl(queue, EPOLL_CTL_ADD, ends[0], &event));
    T(write(ends[1], "x", 1));
    T(epoll_wait(queue, got, 4, 0));
    T(epoll_wait(queue, got, 4, 0));
    T(write(ends[1], "x", 1));
    T(epoll_wait(queue, got, 4, 0));
    event.events = EPOLLIN | EPOLLONESHOT;
    T(epoll_ctl(queue, EPOLL_CTL_MOD, ends[0], &event));
    T(epoll_wait(queue, got, 4, 0));
    T(write(ends[1], "x", 1));
    T(epoll_wait(queue, got, 4, 0));
    T(epoll_ctl(queue, EPOLL_CTL_MOD, ends[0], &event));
    T(epoll_wait(queue, got, 4, 0));
}

CASE(epoll_refuses) {
    int ends[2], queue = T(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN}, got[4];
    make("file", "");
    T(pipe(ends));
    T(epoll_create(0));
    T(epoll_create1(0x1));
    T(epoll_ctl(queue, EPOLL_CTL_MOD, ends[0], &event));
    T(epoll_ctl(queue, EPOLL_CTL_DEL, ends[0], &event));
    T(epoll_ctl(queue, EPOLL_CTL_ADD, ends[0], &event));
    T(epoll_ctl(queue, EPOLL_CTL_ADD, ends[0], &event));
    T(epoll_ctl(queue, EPOLL_CTL_ADD, 99, &event));
    T(epoll_ctl(99, EPOLL_CTL_ADD, ends[0], &event));
    T(epoll_ctl(ends[0], EPOLL_CTL_ADD, ends[1], &event));
    T(epoll_ctl(queue, EPOLL_CTL_ADD, queue, &event));
    T(epoll_ctl(queue, EPOLL_CTL_ADD, open("file", O_RDONLY), &event));
    T(epoll_ctl(queue, 77, ends[1], &event));
    T(syscall(SYS_epoll_ctl, queue, EPOLL_CTL_ADD, ends[1], NULL));
    T(epoll_wait(queue, got, 0, 0));
    T(epoll_wait(queue, got, -1, 0));
    T(epoll_wait(ends[0], got, 1, 0));
    T(epoll_wait(99, got, 1, 0));
    T(write(ends[1], "x", 1));
    T(syscall(SYS_epoll_wait, queue, NOWHERE, 1, 0));
    T(epoll_wait(queue, got, 1, 0));
}

CASE(epoll_waits_for_another_process) {
    int ends[2], queue = T(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = 5}, got[4];
    T(pipe(ends));
    T(epoll_ctl(queue, EPOLL_CTL_ADD, ends[0], &event));
    T(epoll_wait(queue, got, 4, 5));
    pid_t child = fork();
    if (child == 0) {
        pause_ms(10);
        _exit(write(ends[1], "x", 1) != 1);
    }
    T(epoll_wait(queue, got, 4, -1));
    say("%d", got[0].data.fd);
    wait_for(child);
    struct pollfd itself = {queue, POLLIN, 0};
    T(syscall(SYS_poll, &itself, 1, 0));
    int outer = T(epoll_create1(0));
    T(epoll_ctl(outer, EPOLL_CTL_ADD, queue, &event));
    T(epoll_wait(outer, got, 4, 0));
    T(epoll_pwait(outer, got, 4, 0, NULL));
}
