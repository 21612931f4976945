#include "report.h"

static int ep;
static void taken(void) {
    struct epoll_event e[8];
    memset(e, 0, sizeof e);
    int n = epoll_wait(ep, e, 8, 0);
    printf("  %d:", n);
    for (int i = 0; i < n; i++) printf(" %#x for %llx", e[i].events, (unsigned long long)e[i].data.u64);
    printf("\n");
}
static int ctl(int op, int fd, unsigned events) {
    struct epoll_event e = {events, {.u64 = 0x123456789abcull + fd}};
    return epoll_ctl(ep, op, fd, &e);
}

int main(void) {
    int p[2];
    SHOW(epoll_create(0)); SHOW(epoll_create1(1)); SHOW(ep = epoll_create1(EPOLL_CLOEXEC)); SHOW(fcntl(ep, F_GETFD));
    pipe2(p, O_NONBLOCK);
    SHOW(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN)); SHOW(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN)); SHOW(ctl(EPOLL_CTL_MOD, p[1], EPOLLIN));
    SHOW(ctl(EPOLL_CTL_DEL, p[1], 0)); SHOW(ctl(9, p[0], 0)); SHOW(ctl(EPOLL_CTL_ADD, ep, EPOLLIN)); SHOW(ctl(EPOLL_CTL_ADD, 99, EPOLLIN));
    SHOW(epoll_ctl(p[0], EPOLL_CTL_ADD, p[1], &(struct epoll_event){EPOLLIN})); SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, p[1], (void *)16));
    SHOW(ctl(EPOLL_CTL_ADD, 0, EPOLLIN)); /* a regular file */
    SHOW(epoll_wait(ep, (void *)buffer, 0, 0)); SHOW(epoll_wait(p[0], (void *)buffer, 1, 0)); SHOW(epoll_wait(99, (void *)buffer, 1, 0));
    taken(); SHOW(write(p[1], "abc", 3)); taken(); taken();
    EVENTS(ep);
    SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET)); taken(); taken(); write(p[1], "d", 1); taken(); taken();
    EVENTS(ep);
    SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT)); taken(); taken(); write(p[1], "e", 1); taken();
    SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT)); taken(); taken();
    SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLEXCLUSIVE)); SHOW(ctl(EPOLL_CTL_DEL, p[0], 0));
    SHOW(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLEXCLUSIVE)); taken();
    int copy = dup(p[0]);
    SHOW(ctl(EPOLL_CTL_ADD, copy, EPOLLIN)); taken(); SHOW(ctl(EPOLL_CTL_DEL, copy, 0));
    SHOW(ctl(EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLET)); taken(); taken();
    close(copy); close(p[0]); taken(); taken(); close(p[1]); taken();
    /* sets within sets */
    int inner = epoll_create1(0), counter;
    SHOW(counter = eventfd(0, EFD_NONBLOCK)); uint64_t number = 3;
    struct epoll_event e = {EPOLLIN, {.u64 = 77}};
    SHOW(epoll_ctl(inner, EPOLL_CTL_ADD, counter, &e)); SHOW(ctl(EPOLL_CTL_ADD, inner, EPOLLIN)); taken();
    SHOW(epoll_ctl(inner, EPOLL_CTL_ADD, ep, &e));
    SHOW(write(counter, &number, 8)); taken(); EVENTS(inner); EVENTS(counter);
    SHOW(read(counter, &number, 7)); SHOW(read(counter, &number, 8)); SHOW(number); SHOW(read(counter, &number, 8)); taken();
    number = -1; SHOW(write(counter, &number, 8)); number = -2; SHOW(write(counter, &number, 8)); EVENTS(counter);
    number = 1; SHOW(write(counter, &number, 8)); SHOW(write(counter, &number, 4));
    int permits = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int i = 0; i < 4; i++) { SHOW(read(permits, &number, 8)); printf("%llu\n", (unsigned long long)number); }
    SHOW(eventfd(1, 12345)); SHOW(lseek(permits, 0, SEEK_SET)); SHOW(pwrite(permits, &number, 8, 0));
    /* a wait that another process ends */
    int waited = eventfd(0, 0);
    if (!fork()) { number = 5; usleep(2000); _exit(write(waited, &number, 8) != 8); }
    SHOW(read(waited, &number, 8)); SHOW(number); wait(0);
    if (!fork()) { number = 5; usleep(2000); _exit(write(waited, &number, 8) != 8); }
    e.data.u64 = 5; SHOW(epoll_ctl(inner, EPOLL_CTL_ADD, waited, &e)); epoll_ctl(inner, EPOLL_CTL_DEL, counter, &e);
    SHOW(epoll_wait(ep, &e, 1, -1)); SHOW(epoll_wait(inner, &e, 1, -1)); wait(0);
    SHOW(epoll_ctl(inner, EPOLL_CTL_DEL, waited, &e)); SHOW(epoll_wait(inner, &e, 1, 2));
    SHOW(epoll_pwait(inner, &e, 1, 2, &(sigset_t){0}));
    /* timers */
    int timer; struct itimerspec t = {{0, 0}, {1000, 0}}, old = {{7, 7}, {7, 7}}; struct timespec now;
    SHOW(timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)); SHOW(timerfd_create(99, 0)); SHOW(timerfd_create(CLOCK_REALTIME, 1));
    SHOW(read(timer, &number, 8)); SHOW(timerfd_settime(timer, 0, &t, &old)); SHOW(old.it_value.tv_sec + old.it_interval.tv_nsec);
    SHOW(timerfd_gettime(timer, &old)); SHOW(old.it_value.tv_sec <= 1000 && old.it_value.tv_sec > 0);
    SHOW(read(timer, &number, 8)); EVENTS(timer); t.it_value.tv_sec = 0; t.it_value.tv_nsec = 1000000; SHOW(timerfd_settime(timer, 0, &t, &old)); SHOW(poll(&(struct pollfd){timer, POLLIN, 0}, 1, -1)); EVENTS(timer);
    SHOW(read(timer, &number, 4)); SHOW(read(timer, &number, 8)); SHOW(number); SHOW(read(timer, &number, 8));
    t.it_value.tv_nsec = 1000000000; SHOW(timerfd_settime(timer, 0, &t, 0)); t.it_value.tv_nsec = 1; SHOW(timerfd_settime(timer, 4, &t, 0));
    SHOW(timerfd_settime(counter, 0, &t, 0)); SHOW(timerfd_settime(99, 0, &t, 0)); SHOW(write(timer, &number, 8));
    clock_gettime(CLOCK_MONOTONIC, &now); t.it_value = now; t.it_value.tv_sec -= now.tv_sec > 0; t.it_interval.tv_sec = 100;
    SHOW(timerfd_settime(timer, TFD_TIMER_ABSTIME, &t, 0)); SHOW(poll(&(struct pollfd){timer, POLLIN, 0}, 1, 5000)); SHOW(read(timer, &number, 8)); SHOW(number);
    SHOW(timerfd_gettime(timer, &old)); SHOW(old.it_interval.tv_sec);
    int real = timerfd_create(CLOCK_REALTIME, 0); clock_gettime(CLOCK_REALTIME, &now); t.it_value = now; t.it_interval.tv_sec = 0;
    SHOW(timerfd_settime(real, TFD_TIMER_ABSTIME, &t, 0)); SHOW(read(real, &number, 8)); SHOW(number);
    t.it_value.tv_sec = t.it_value.tv_nsec = 0; SHOW(timerfd_settime(timer, 0, &t, 0)); SHOW(events(timer, POLLIN));
    return 0;
}
