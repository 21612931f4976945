/* eventfd, timerfd, signalfd, inotify. */
#include "harness.h"

#include <sys/inotify.h>

CASE(eventfd_counts) {
    uint64_t value;
    int fd = T(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
    T(fcntl(fd, F_GETFD));
    T(read(fd, &value, 8));
    say("%d", (int)value);
    T(read(fd, &value, 8));
    value = 5;
    T(write(fd, &value, 8));
    T(write(fd, &value, 8));
    T(read(fd, &value, 4));
    T(write(fd, &value, 7));
    T(read(fd, &value, 8));
    say("%d", (int)value);
    value = -1;
    T(write(fd, &value, 8));
    value = -2;
    T(write(fd, &value, 8));
    value = 1;
    T(write(fd, &value, 8));
    struct pollfd one = {fd, POLLIN | POLLOUT, 0};
    T(poll(&one, 1, 0));
    say("%x", one.revents);
    T(eventfd(0, 0x1));
    T(lseek(fd, 0, SEEK_SET));
}

CASE(eventfd_as_a_semaphore) {
    uint64_t value;
    int fd = T(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
    T(read(fd, &value, 8));
    say("%d", (int)value);
    T(read(fd, &value, 8));
    T(read(fd, &value, 8));
}

CASE(eventfd_between_processes) {
    uint64_t value = 9;
    int fd = T(eventfd(0, 0));
    pid_t child = fork();
    if (child == 0)
        _exit(write(fd, &value, 8) != 8);
    T(read(fd, &value, 8));
    say("%d", (int)value);
    wait_for(child);
}

CASE(timerfd_expires) {
    uint64_t value = 0;
    int fd = T(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
    struct itimerspec time = {{0, 0}, {0, 5000000}}, now;
    T(timerfd_gettime(fd, &now));
    say("%d", (int)now.it_value.tv_nsec);
    T(timerfd_settime(fd, 0, &time, NULL));
    T(read(fd, &value, 8));
    say("%d", (int)value);
    time.it_interval.tv_nsec = 2000000;
    T(timerfd_settime(fd, 0, &time, &now));
    say("%d %d", (int)now.it_interval.tv_nsec, (int)now.it_value.tv_nsec);
    pause_ms(20);
    T(read(fd, &value, 8));
    say("%d", value >= 4);
    T(timerfd_gettime(fd, &now));
    say("%d", (int)now.it_interval.tv_nsec);
    memset(&time, 0, sizeof time);
    T(timerfd_settime(fd, 0, &time, NULL));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    T(read(fd, &value, 8));
    clock_gettime(CLOCK_MONOTONIC, &time.it_value);
    T(timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, NULL));
    struct pollfd one = {fd, POLLIN, 0};
    T(poll(&one, 1, 1000));
    T(read(fd, &value, 4));
    T(read(fd, &value, 8));
    T(write(fd, &value, 8));
}

CASE(timerfd_refuses) {
    struct itimerspec time = {{0, 0}, {0, 1000000000}};
    int fd = T(timerfd_create(CLOCK_REALTIME, 0));
    T(timerfd_settime(fd, 0, &time, NULL));
    time.it_value.tv_nsec = -1;
    T(timerfd_settime(fd, 0, &time, NULL));
    T(timerfd_create(77, 0));
    T(timerfd_create(CLOCK_REALTIME, 1));
    T(timerfd_settime(99, 0, &time, NULL));
    T(timerfd_settime(0, 0, &time, NULL));
    T(timerfd_gettime(0, &time));
    time.it_value.tv_nsec = 0;
    T(timerfd_settime(fd, 77, &time, NULL));
    T(syscall(SYS_timerfd_settime, fd, 0, NULL, NULL));
}

CASE(signalfd_reads_signals) {
    sigset_t set;
    struct signalfd_siginfo info;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = T(signalfd(-1, &set, SFD_NONBLOCK));
    T(read(fd, &info, sizeof info));
    raise(SIGUSR1);
    struct pollfd one = {fd, POLLIN, 0};
    T(poll(&one, 1, 0));
    T(read(fd, &info, sizeof info));
    say("%d %d", info.ssi_signo == SIGUSR1, info.ssi_pid == (unsigned)getpid());
    T(poll(&one, 1, 0));
    T(read(fd, &info, 10));
    T(signalfd(0, &set, 0));
    T(signalfd(99, &set, 0));
    T(signalfd(-1, &set, 0x1));
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    T(signalfd(fd, &set, 0) == fd);
    raise(SIGUSR2);
    T(read(fd, &info, sizeof info));
    say("%d", info.ssi_signo == SIGUSR2);
}

CASE(epoll_of_events) {
    int queue = T(epoll_create1(0)), fd = T(eventfd(0, 0)), timer = T(timerfd_create(CLOCK_MONOTONIC, 0));
    struct epoll_event event = {.events = EPOLLIN, .data.fd = 1}, got[4];
    T(epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event));
    event.data.fd = 2;
    T(epoll_ctl(queue, EPOLL_CTL_ADD, timer, &event));
    T(epoll_wait(queue, got, 4, 0));
    struct itimerspec time = {{0, 0}, {0, 1000000}};
    T(timerfd_settime(timer, 0, &time, NULL));
    T(epoll_wait(queue, got, 4, 5000));
    say("%d", got[0].data.fd);
    uint64_t value = 1;
    T(write(fd, &value, 8));
    T(epoll_wait(queue, got, 4, 5000));
}
