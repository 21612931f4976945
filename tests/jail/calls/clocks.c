/* Clocks and sleeping. */
#define _TIME_BITS 64
#include "harness.h"

CASE(clocks_go_forward) {
    static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
                                 CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME};
    struct timespec a, b;
    for (int i = 0; i < 8; i++) {
        T(clock_gettime(clocks[i], &a));
        for (volatile int j = 0; j < 1000; j++)
            ;
        clock_gettime(clocks[i], &b);
        say("%d", b.tv_sec > a.tv_sec || (b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec));
        say("%d", (unsigned)b.tv_nsec < 1000000000);
    }
    T(clock_gettime(77, &a));
    T(clock_gettime(-1, &a) == -1);
    T(syscall(SYS_clock_gettime, CLOCK_REALTIME, NULL));
    T(syscall(SYS_clock_gettime64, CLOCK_REALTIME, NOWHERE));
}

CASE(clocks_agree) {
    struct timespec time;
    struct timeval value;
    long old[2];
    long long time64[2];
    clock_gettime(CLOCK_REALTIME, &time);
    T(gettimeofday(&value, NULL));
    say("%d", value.tv_sec - time.tv_sec <= 1);
    T(syscall(SYS_clock_gettime, CLOCK_REALTIME, old));
    T(syscall(SYS_clock_gettime64, CLOCK_REALTIME, time64));
    say("%d %d", old[0] - time.tv_sec <= 1, time64[0] - time.tv_sec <= 1);
    long second;
    T(syscall(SYS_time, &second) == second);
    say("%d", second - time.tv_sec <= 1);
    struct timezone zone;
    T(syscall(SYS_gettimeofday, &value, &zone));
    T(syscall(SYS_gettimeofday, NULL, NULL));
    T(syscall(SYS_gettimeofday, NOWHERE, NULL));
    T(syscall(SYS_time, NOWHERE));
}

CASE(clock_resolution) {
    struct timespec time;
    T(clock_getres(CLOCK_REALTIME, &time));
    say("%d %d", (int)time.tv_sec, (int)time.tv_nsec);
    T(clock_getres(CLOCK_MONOTONIC, &time));
    say("%d %d", (int)time.tv_sec, (int)time.tv_nsec);
    T(clock_getres(CLOCK_MONOTONIC, NULL));
    T(clock_getres(77, &time));
}

CASE(clocks_cannot_be_set) {
    struct timespec time = {1, 0};
    T(clock_settime(CLOCK_REALTIME, &time));
    T(clock_settime(CLOCK_MONOTONIC, &time));
    struct timeval value = {1, 0};
    T(settimeofday(&value, NULL));
}

CASE(clocks_that_nobody_can_set) {
    static const int clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW,
                                 CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI, 10, 77};
    long old[2] = {1, 0};
    for (int i = 0; i < 11; i++) {
        say("%d", clocks[i]);
        T(syscall(SYS_clock_settime, clocks[i], old));
        T(syscall(SYS_clock_settime, clocks[i], NOWHERE));
    }
    clockid_t own, others = ~0x7fffffff / 8 * 8;
    clock_getcpuclockid(0, &own);
    T(syscall(SYS_clock_settime, own, old));
    T(syscall(SYS_clock_settime, own, NULL));
    T(syscall(SYS_clock_settime, others, old));
    T(syscall(SYS_clock_settime, -1, old));
    struct timespec time = {-1, 0};
    T(clock_settime(CLOCK_REALTIME, &time));
    time.tv_sec = 1, time.tv_nsec = 1000000000;
    T(clock_settime(CLOCK_REALTIME, &time));
    time.tv_sec = 1LL << 62, time.tv_nsec = 0;
    T(clock_settime(CLOCK_REALTIME, &time));
    time.tv_sec = 8277292036;
    T(clock_settime(CLOCK_REALTIME, &time));
    time.tv_sec = 8277292035;
    T(clock_settime(CLOCK_REALTIME, &time));
    T(clock_settime(CLOCK_MONOTONIC, &time));
}

CASE(sleeping_takes_time) {
    long long before = now_ms();
    struct timespec time = {0, 20000000};
    T(nanosleep(&time, NULL));
    say("%d", now_ms() - before >= 20);
    before = now_ms();
    T(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL));
    say("%d", now_ms() - before >= 20);
    clock_gettime(CLOCK_MONOTONIC, &time);
    before = now_ms();
    time.tv_nsec += 20000000;
    if (time.tv_nsec >= 1000000000)
        time.tv_nsec -= 1000000000, time.tv_sec++;
    T(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL));
    say("%d", now_ms() - before >= 19);
    T(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL));
    long old[2] = {0, 1000000};
    T(syscall(SYS_nanosleep, old, NULL));
    T(syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, old, NULL));
    T(usleep(100));
    T(sleep(0));
}

CASE(sleeping_refuses) {
    struct timespec time = {0, 1000000000};
    T(nanosleep(&time, NULL));
    time.tv_nsec = -1;
    T(nanosleep(&time, NULL));
    time.tv_sec = -1, time.tv_nsec = 0;
    T(nanosleep(&time, NULL));
    T(syscall(SYS_nanosleep, NULL, NULL));
    T(syscall(SYS_clock_nanosleep_time64, 77, 0, &time, NULL));
    T(syscall(SYS_clock_nanosleep_time64, CLOCK_THREAD_CPUTIME_ID, 0, &time, NULL));
    T(syscall(SYS_clock_nanosleep_time64, CLOCK_MONOTONIC, 0, NOWHERE, NULL));
}

CASE(times_counts_ticks) {
    struct tms used;
    T(times(&used) != -1);
    say("%d", used.tms_utime < 6000 && used.tms_cutime == 0);
    T(syscall(SYS_times, NOWHERE));
    T(syscall(SYS_times, NULL) != -1);
    T(clock() != -1);
}

CASE(the_processor_clock_counts_work_alone) {
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    pause_ms(50);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    say("%d", (b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec < 45000000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    while ((b.tv_sec - a.tv_sec) * 1000000000LL + b.tv_nsec - a.tv_nsec < 5000000);
    say("worked");
    clockid_t clock;
    T(clock_getcpuclockid(0, &clock));
    T(clock_gettime(clock, &a));
}
