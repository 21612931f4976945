/* Timers and sleep. Nothing here says how long anything took. */
#include "cases.h"

static volatile int count, code, value, overruns;
static void note(int number) { count++; }
static void note_info(int number, siginfo_t *info, void *context) {
    count++;
    code = info->si_code;
    value = info->si_value.sival_int;
    if (info->si_overrun > overruns) overruns = info->si_overrun;
}

/* Until a signal that is blocked has been handled: it may come before this begins. */
static void wait_for(int number) {
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    sigdelset(&set, number);
    told(sigsuspend(&set));
    block(SIG_UNBLOCK, number);
}

CASE(a_sleep_ends_with_what_remains) {
    on(SIGALRM, note, SA_RESTART);
    struct itimerval soon = {{0, 50000}, {0, 50000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &soon, NULL);
    struct timespec t = {100, 0}, left = {0, 0};
    told(nanosleep(&t, &left));
    say("%d %d", left.tv_sec >= 50, count > 0);
    told(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &left));
    say("%d %d", left.tv_sec >= 50, count > 0);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += 100;
    left.tv_sec = 5;
    told(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &now, &left));
    say("%d %d", (int)left.tv_sec, count > 0);
    setitimer(ITIMER_REAL, &never, NULL);
    now.tv_sec -= 200;
    told(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &now, &left));
    t.tv_nsec = 1000000000;
    told(nanosleep(&t, NULL));
    t.tv_sec = -1;
    told(nanosleep(&t, NULL));
    t = (struct timespec){0, 1};
    told(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL));
    told(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &t, NULL));
    told(clock_nanosleep(77, 0, &t, NULL));
}

CASE(alarms) {
    on(SIGALRM, note, 0);
    told(alarm(100));
    told(alarm(200) >= 50);
    told(alarm(0) >= 50);
    told(alarm(0));
    struct itimerval soon = {{0, 0}, {0, 20000}}, old;
    block(SIG_BLOCK, SIGALRM);
    told(setitimer(ITIMER_REAL, &soon, &old));
    say("%d %d", (int)old.it_value.tv_sec, (int)old.it_value.tv_usec);
    wait_for(SIGALRM);
    say("count %d", count);
    told(getitimer(ITIMER_REAL, &old));
    say("%d %d", (int)old.it_value.tv_sec, (int)old.it_value.tv_usec);
    told(setitimer(3, &soon, NULL));
    soon.it_value.tv_usec = 1000000;
    told(setitimer(ITIMER_REAL, &soon, NULL));
    told(getitimer(5, &old));
}

CASE(a_timer_preempts_a_loop) {
    on(SIGALRM, note, 0);
    struct itimerval often = {{0, 5000}, {0, 5000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, NULL);
    volatile unsigned turns = 0;
    while (count < 5) turns++;
    setitimer(ITIMER_REAL, &never, NULL);
    say("count %d", count >= 5);
}

CASE(timers_of_processor_time) {
    on(SIGPROF, note, 0);
    on(SIGVTALRM, note, 0);
    struct itimerval soon = {{0, 0}, {0, 20000}};
    volatile unsigned turns = 0;
    setitimer(ITIMER_PROF, &soon, NULL);
    while (!count) turns++;
    setitimer(ITIMER_VIRTUAL, &soon, NULL);
    while (count < 2) turns++;
    struct timespec t;
    told(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t));
    say("%d", t.tv_sec * 1000000000LL + t.tv_nsec >= 30000000);
    told(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t));
    struct rusage usage;
    told(getrusage(RUSAGE_SELF, &usage));
    say("%d", usage.ru_utime.tv_sec * 1000000LL + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec >= 20000);
    told(getrusage(7, &usage));
}

CASE(an_alarm_ends_the_process) {
    struct itimerval soon = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    for (;;) count++;
}

CASE(timers_of_timer_create) {
    on(SIGRTMIN, note_info, SA_SIGINFO);
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN;
    event.sigev_value.sival_int = 4711;
    timer_t timer, other;
    told(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec soon = {{0, 0}, {0, 20000000}}, old;
    block(SIG_BLOCK, SIGRTMIN);
    told(timer_settime(timer, 0, &soon, NULL));
    wait_for(SIGRTMIN);
    say("count %d code %d value %d", count, code, value);
    told(timer_gettime(timer, &old));
    say("%d %d", (int)old.it_value.tv_sec, (int)old.it_value.tv_nsec);
    block(SIG_BLOCK, SIGRTMIN);
    soon.it_interval.tv_nsec = 2000000;
    told(timer_settime(timer, 0, &soon, &old));
    sleep_ms(100);
    block(SIG_UNBLOCK, SIGRTMIN);
    say("%d overruns %d", count >= 2, overruns >= 5);
    told(timer_getoverrun(timer) >= 0);
    told(timer_delete(timer));
    told(timer_delete(timer) == -1 && errno == EINVAL);
    event.sigev_notify = SIGEV_NONE;
    told(timer_create(CLOCK_REALTIME, &event, &other));
    soon.it_value.tv_sec = 100;
    told(timer_settime(other, 0, &soon, NULL));
    told(timer_gettime(other, &old));
    say("%d", old.it_value.tv_sec >= 50);
    told(timer_create(77, &event, &other));
    event.sigev_notify = 55;
    told(timer_create(CLOCK_REALTIME, &event, &other));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 99;
    told(timer_create(CLOCK_REALTIME, &event, &other));
    soon.it_value.tv_nsec = -1;
    told(timer_settime(other, 0, &soon, NULL));
}

CASE(a_timer_that_names_its_thread) {
    on(SIGUSR1, note_info, SA_SIGINFO);
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event.sigev_value.sival_int = 5;
    event._sigev_un._tid = getpid();
    timer_t timer;
    told(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec soon = {{0, 0}, {0, 1}};
    told(timer_settime(timer, TIMER_ABSTIME, &soon, NULL));
    while (!count) {
    }
    say("code %d value %d", code, value);
    event._sigev_un._tid = 0x7fffffff;
    told(timer_create(CLOCK_MONOTONIC, &event, &timer));
}

CASE(clocks) {
    struct timespec t;
    for (int clock = 0; clock < 13; clock++) {
        int result = clock_gettime(clock, &t);
        say("%d: %d %s, %d", clock, result, result ? strerrorname_np(errno) : "", clock_getres(clock, &t));
    }
    told(clock_getres(CLOCK_MONOTONIC, &t));
    say("%d %d", (int)t.tv_sec, (int)t.tv_nsec);
}

CASE(the_clock_is_not_ours) {
    if (!getuid() && setresuid(1000, 1000, 1000)) say("still root");
    struct timespec t = {5, 0};
    struct timeval v = {5, 0};
    told(clock_settime(CLOCK_REALTIME, &t));
    told(settimeofday(&v, NULL));
}
