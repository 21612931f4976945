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

static void show_signal(int fd) {
    struct signalfd_siginfo info;
    int count = T(read(fd, &info, sizeof info));
    if (count != sizeof info)
        return;
    say("signal %d, error %d, code %d, from me %d, from a user %d", info.ssi_signo, info.ssi_errno, info.ssi_code,
        info.ssi_pid == (unsigned)getpid(), info.ssi_uid == getuid() && info.ssi_pid);
    say("fd %d, band %d, tid %d, overrun %d, trap %d, status %d, int %d, ptr %llx", info.ssi_fd, info.ssi_band, info.ssi_tid, info.ssi_overrun,
        info.ssi_trapno, info.ssi_status, info.ssi_int, (unsigned long long)info.ssi_ptr);
    say("addr %llx, lsb %d, syscall %d, %llx, arch %x", (unsigned long long)info.ssi_addr, info.ssi_addr_lsb, info.ssi_syscall, (unsigned long long)info.ssi_call_addr,
        info.ssi_arch);
}

static int all_signals(int flags) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return T(signalfd(-1, &set, flags));
}

CASE(signalfd_tells_what_the_siginfo_has) {
    int fd = all_signals(SFD_NONBLOCK | SFD_CLOEXEC);
    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_GETFL) & (O_NONBLOCK | O_ACCMODE));
    T(kill(getpid(), SIGTERM));
    show_signal(fd);
    T(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
    show_signal(fd);
    union sigval value = {.sival_int = -5};
    T(sigqueue(getpid(), SIGRTMIN + 1, value));
    T(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 77}));
    show_signal(fd);
    show_signal(fd);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
    struct itimerspec time = {{0, 0}, {0, 1000000}};
    timer_t timer;
    T(timer_create(CLOCK_MONOTONIC, &event, &timer));
    T(timer_settime(timer, 0, &time, NULL));
    struct pollfd one = {fd, POLLIN | POLLOUT, 0};
    T(poll(&one, 1, 5000));
    show_signal(fd);
    struct itimerval again = {{0, 0}, {0, 1000}};
    T(setitimer(ITIMER_REAL, &again, NULL));
    T(poll(&one, 1, 5000));
    show_signal(fd);
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    T(poll(&one, 1, 5000));
    show_signal(fd);
    wait_for(child);
    child = fork();
    if (child == 0)
        raise(SIGKILL);
    T(poll(&one, 1, 5000));
    show_signal(fd);
    wait_for(child);
    static const int codes[][2] = {{SIGSEGV, SEGV_MAPERR}, {SIGFPE, FPE_INTDIV}, {SIGBUS, BUS_ADRALN}, {SIGILL, 40}, {SIGCHLD, CLD_STOPPED}, {SIGIO, POLL_IN},
                                   {SIGUSR1, 3}, {SIGUSR2, 7}, {SIGUSR2, SI_KERNEL}, {SIGUSR2, SI_QUEUE}, {SIGUSR2, SI_TIMER}, {SIGUSR2, SI_SIGIO}, {SIGUSR2, SI_MESGQ}};
    for (int i = 0; i < 13; i++) {
        int info[32] = {codes[i][0], 9, codes[i][1], 0x1234, 0x5678, 0x9abc, 0xdef0, 0x1111};
        say("%d %d", codes[i][0], codes[i][1]);
        T(syscall(SYS_rt_sigqueueinfo, getpid(), codes[i][0], info));
        show_signal(fd);
    }
}

CASE(signalfd_reads_several_at_once) {
    struct signalfd_siginfo infos[5];
    int fd = all_signals(SFD_NONBLOCK);
    T(kill(getpid(), SIGUSR2));
    T(kill(getpid(), SIGUSR2));
    T(raise(SIGUSR1));
    T(kill(getpid(), SIGRTMIN + 2));
    T(kill(getpid(), SIGRTMIN + 2));
    T(kill(getpid(), SIGHUP));
    T(read(fd, infos, 2 * sizeof *infos + 100));
    say("%d %d", infos[0].ssi_signo, infos[1].ssi_signo);
    T(read(fd, infos, sizeof infos));
    say("%d %d %d", infos[0].ssi_signo, infos[1].ssi_signo, infos[2].ssi_signo);
    T(read(fd, infos, sizeof infos));
    T(read(fd, infos, 0));
    T(read(fd, infos, 127));
    T(raise(SIGUSR1));
    T(syscall(SYS_read, fd, NOWHERE, 128));
    T(write(fd, infos, 128));
    T(lseek(fd, 0, SEEK_SET));
    T(pread(fd, infos, 128, 0));
}

CASE(signalfd_refuses) {
    sigset_t set;
    sigemptyset(&set);
    T(syscall(SYS_signalfd4, -1, &set, 4, 0));
    T(syscall(SYS_signalfd4, -1, &set, 16, 0));
    T(syscall(SYS_signalfd4, -1, NOWHERE, 8, 0));
    T(syscall(SYS_signalfd4, -1, NOWHERE, 8, 1));
    T(syscall(SYS_signalfd4, -2, &set, 8, 0));
    T(syscall(SYS_signalfd4, 1000, &set, 8, 0));
    T(syscall(SYS_signalfd, -1, &set, 8) >= 0);
    T(syscall(SYS_signalfd, 1, &set, 8));
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = T(syscall(SYS_signalfd4, -1, &set, 8, O_NONBLOCK));
    kill(getpid(), SIGUSR1);
    sigemptyset(&set), sigaddset(&set, SIGUSR2);
    T(signalfd(fd, &set, 0) == fd);
    show_signal(fd);
    sigaddset(&set, SIGUSR1);
    T(signalfd(fd, &set, SFD_CLOEXEC) == fd);
    T(fcntl(fd, F_GETFD));
    show_signal(fd);
}

static int ready_by(int fd, int epoll, int how, int timeout) {
    struct pollfd one = {fd, POLLIN | POLLRDNORM | POLLOUT, 0};
    struct epoll_event event;
    fd_set set;
    struct timeval time = {timeout / 1000, timeout % 1000 * 1000};
    FD_ZERO(&set);
    FD_SET(fd, &set);
    switch (how) {
    case 0: return poll(&one, 1, timeout) ? one.revents : 0;
    case 1: return select(fd + 1, &set, NULL, NULL, &time);
    default: return epoll_wait(epoll, &event, 1, timeout) ? (int)event.events : 0;
    }
}

CASE(signalfd_wakes_who_waits) {
    int fd = all_signals(0), epoll = epoll_create1(0), over = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {0}};
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    T(epoll_ctl(over, EPOLL_CTL_ADD, epoll, &event));
    for (int how = 0; how < 5; how++) {
        say("%d", how);
        T(ready_by(fd, how == 3 ? over : epoll, how, 0));
        pid_t child = fork();
        if (child == 0) {
            pause_ms(20);
            _exit(kill(getppid(), SIGUSR1));
        }
        if (how == 4) {
            struct signalfd_siginfo info;
            T(read(fd, &info, sizeof info));
            say("%d %d", info.ssi_signo, info.ssi_pid == (unsigned)child);
            ready_by(fd, 0, 0, 5000);
        } else {
            T(ready_by(fd, how == 3 ? over : epoll, how, 5000));
            show_signal(fd);
        }
        ready_by(fd, 0, 0, 5000);
        show_signal(fd);
        wait_for(child);
    }
}

CASE(signalfd_tells_edges) {
    int fd = all_signals(SFD_NONBLOCK), epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLIN | EPOLLET, {0}};
    T(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    T(epoll_wait(epoll, &event, 1, 0));
    raise(SIGUSR1);
    T(epoll_wait(epoll, &event, 1, 0));
    T(epoll_wait(epoll, &event, 1, 0));
    raise(SIGUSR2);
    T(epoll_wait(epoll, &event, 1, 0));
    T(epoll_wait(epoll, &event, 1, 0));
    show_signal(fd);
    show_signal(fd);
    T(epoll_wait(epoll, &event, 1, 0));
    event.events = EPOLLIN | EPOLLONESHOT;
    T(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
    raise(SIGUSR1);
    T(epoll_wait(epoll, &event, 1, 0));
    T(epoll_wait(epoll, &event, 1, 0));
    T(epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event));
    T(epoll_wait(epoll, &event, 1, 0));
}

static int signals_in;
static int signal_reader;

static void reads_its_own(void) {
    show_signal(signal_reader);
    raise(SIGUSR2);
    struct pollfd one = {signal_reader, POLLIN, 0};
    T(poll(&one, 1, 0));
    show_signal(signal_reader);
}

static void *thread_reads(void *argument) {
    (void)argument;
    struct pollfd one = {signal_reader, POLLIN, 0};
    T(poll(&one, 1, 0));
    show_signal(signal_reader);
    T(pthread_kill(pthread_self(), SIGUSR1));
    T(poll(&one, 1, 0));
    show_signal(signal_reader);
    return NULL;
}

CASE(signalfd_is_about_who_reads) {
    pthread_t thread;
    signal_reader = all_signals(SFD_NONBLOCK);
    raise(SIGUSR1);
    if (pthread_create(&thread, NULL, thread_reads, NULL))
        say("no thread");
    T(pthread_join(thread, NULL));
    show_signal(signal_reader);
    raise(SIGUSR1);
    wait_for(start(reads_its_own));
    show_signal(signal_reader);
    signals_in = T(dup(signal_reader));
    T(close(signal_reader));
    show_signal(signals_in);
}

static void handle_nothing(int number) {
    (void)number;
}

CASE(a_handler_interrupts_a_read_of_signals) {
    sigset_t set;
    struct signalfd_siginfo info;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = T(signalfd(-1, &set, 0));
    struct sigaction action = {.sa_handler = handle_nothing};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval time = {{0, 10000}, {0, 10000}}; /* the first one may come before the read */
    setitimer(ITIMER_REAL, &time, NULL);
    T(read(fd, &info, sizeof info));
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    pid_t child = fork();
    if (child == 0) {
        pause_ms(50);
        _exit(kill(getppid(), SIGUSR1));
    }
    setitimer(ITIMER_REAL, &time, NULL);
    T(read(fd, &info, sizeof info));
    wait_for(child);
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
