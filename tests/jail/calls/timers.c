/* Timers: alarm, itimers, timer_create, and those that count processor time. */
#include "harness.h"

static volatile int count;

static void counts(int number) {
    (void)number;
    count++;
}

static void wait_for_count(int wanted) {
    sigset_t set, old, none;
    sigfillset(&set), sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &set, &old);
    while (count < wanted)
        sigsuspend(&none);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

CASE(alarm_is_set_and_taken_back) {
    T(alarm(100));
    T(alarm(0) >= 50);
    T(alarm(0));
}

CASE(an_alarm_kills) {
    struct itimerval value = {{0, 0}, {0, 20000}};
    T(setitimer(ITIMER_REAL, &value, NULL));
    for (;;)
        pause();
}

CASE(interval_timers_repeat) {
    struct itimerval value = {{0, 10000}, {0, 5000}}, old;
    signal(SIGALRM, counts);
    T(setitimer(ITIMER_REAL, &value, NULL));
    wait_for_count(3);
    T(getitimer(ITIMER_REAL, &old));
    say("%d %d, left %d", (int)old.it_interval.tv_sec, (int)old.it_interval.tv_usec, old.it_value.tv_usec <= 10000);
    memset(&value, 0, sizeof value);
    T(setitimer(ITIMER_REAL, &value, &old));
    say("%d", (int)old.it_interval.tv_usec);
    T(getitimer(ITIMER_REAL, &old));
    say("%d", (int)old.it_value.tv_usec);
    say("%d", count >= 3);
    value.it_value.tv_usec = 1000000;
    T(setitimer(ITIMER_REAL, &value, NULL));
    value.it_value.tv_usec = -1;
    T(setitimer(ITIMER_REAL, &value, NULL));
    T(setitimer(77, &value, NULL));
    T(getitimer(77, &old));
    T(syscall(SYS_setitimer, ITIMER_REAL, NOWHERE, NULL));
    T(syscall(SYS_getitimer, ITIMER_REAL, NULL));
}

CASE(interval_timers_of_processor_time) {
    struct itimerval value = {{0, 0}, {0, 20000}};
    signal(SIGVTALRM, counts), signal(SIGPROF, counts);
    T(setitimer(ITIMER_VIRTUAL, &value, NULL));
    while (count < 1)
        ;
    T(setitimer(ITIMER_PROF, &value, NULL));
    while (count < 2)
        ;
    say("%d", count);
}

/* SIGUSR1 waits for wait_for_count: a case says what a call returned before its handler says anything. */
static void hold_back(void) {
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static void is_mine(int number, siginfo_t *info, void *context) {
    (void)context;
    count++;
    say("signal %d, code %d, value %d", number == SIGUSR1, info->si_code == SI_TIMER, info->si_value.sival_int);
}

CASE(timers_of_one_s_own) {
    struct sigaction action = {.sa_sigaction = is_mine, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    hold_back();
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    timer_t timer;
    struct itimerspec time = {{0, 0}, {0, 5000000}}, now;
    T(timer_create(CLOCK_MONOTONIC, &event, &timer));
    T(timer_gettime(timer, &now));
    say("%d %d", (int)now.it_value.tv_sec, (int)now.it_value.tv_nsec);
    T(timer_settime(timer, 0, &time, &now));
    wait_for_count(1);
    T(timer_getoverrun(timer));
    clock_gettime(CLOCK_MONOTONIC, &time.it_value);
    T(timer_settime(timer, TIMER_ABSTIME, &time, NULL));
    wait_for_count(2);
    time.it_value.tv_sec = 100, time.it_value.tv_nsec = 0, time.it_interval.tv_sec = 7;
    T(timer_settime(timer, 0, &time, NULL));
    T(timer_gettime(timer, &now));
    say("%d %d", (int)now.it_interval.tv_sec, now.it_value.tv_sec >= 50);
    T(timer_delete(timer));
    T(syscall(SYS_timer_delete, 77));
    T(syscall(SYS_timer_gettime64, 77, &now));
    T(timer_create(77, &event, &timer));
    event.sigev_signo = 99;
    T(timer_create(CLOCK_REALTIME, &event, &timer));
    T(syscall(SYS_timer_create, CLOCK_REALTIME, NULL, NULL));
}

CASE(a_timer_that_tells_nobody) {
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    timer_t timer;
    struct itimerspec time = {{0, 0}, {0, 1000000}}, now;
    T(timer_create(CLOCK_REALTIME, &event, &timer));
    T(timer_settime(timer, 0, &time, NULL));
    pause_ms(5);
    T(timer_gettime(timer, &now));
    say("%d %d", (int)now.it_value.tv_sec, (int)now.it_value.tv_nsec);
    time.it_value.tv_nsec = 1000000000;
    T(timer_settime(timer, 0, &time, NULL));
}

CASE(overruns_are_counted) {
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    struct itimerspec time = {{0, 1000000}, {0, 1000000}};
    T(timer_create(CLOCK_MONOTONIC, &event, &timer));
    T(timer_settime(timer, 0, &time, NULL));
    pause_ms(20);
    T(sigwaitinfo(&set, &info) == SIGUSR1);
    say("%d %d", info.si_overrun >= 5, timer_getoverrun(timer) == info.si_overrun);
}

static volatile int called;

static void notify(union sigval value) { called = value.sival_int; }

CASE(a_timer_that_starts_a_thread) {
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify, .sigev_value.sival_int = 5};
    timer_t timer;
    struct itimerspec time = {{0, 0}, {0, 1000000}};
    T(timer_create(CLOCK_MONOTONIC, &event, &timer));
    T(timer_settime(timer, 0, &time, NULL));
    for (int i = 0; i < 1000 && !called; i++)
        pause_ms(2);
    say("%d", called);
}

CASE(timers_are_not_inherited) {
    struct itimerval value = {{0, 0}, {100, 0}}, now;
    T(setitimer(ITIMER_REAL, &value, NULL));
    pid_t child = fork();
    if (child == 0) {
        getitimer(ITIMER_REAL, &now);
        _exit(now.it_value.tv_sec > 50);
    }
    wait_for(child);
    T(execl("./prog", "prog", "@alarm", NULL));
}

HELPER(alarm) {
    (void)argc, (void)argv;
    struct itimerval now;
    getitimer(ITIMER_REAL, &now);
    say("%d", now.it_value.tv_sec >= 50);
    return 0;
}
