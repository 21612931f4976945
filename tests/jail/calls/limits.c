/* Limits, priorities, and what the system says of its resources. */
#include "harness.h"

CASE(limits_can_be_lowered) {
    struct rlimit limit = {100, 200}, now;
    T(setrlimit(RLIMIT_NOFILE, &limit));
    T(getrlimit(RLIMIT_NOFILE, &now));
    say("%llu %llu", (unsigned long long)now.rlim_cur, (unsigned long long)now.rlim_max);
    limit.rlim_cur = 200;
    T(setrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 300;
    T(setrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_max = 300;
    T(setrlimit(RLIMIT_NOFILE, &limit));
    T(getrlimit(99, &now));
    T(setrlimit(99, &limit));
    T(syscall(SYS_ugetrlimit, RLIMIT_NOFILE, NULL));
    T(syscall(SYS_setrlimit, RLIMIT_NOFILE, NOWHERE));
    long old[2];
    T(syscall(SYS_getrlimit, RLIMIT_NOFILE, old));
    say("%ld %ld", old[0], old[1]);
}

CASE(limits_by_prlimit) {
    struct rlimit limit = {0, 0}, before, now;
    T(prlimit(0, RLIMIT_CORE, &limit, &before));
    T(prlimit(getpid(), RLIMIT_CORE, NULL, &now));
    say("%d %d", (int)now.rlim_cur, (int)now.rlim_max);
    limit.rlim_cur = 1;
    T(prlimit(0, RLIMIT_CORE, &limit, NULL));
    T(prlimit(0, RLIMIT_CORE, NULL, NULL));
    T(prlimit(0x7fffffff, RLIMIT_CORE, NULL, &now));
    T(prlimit(0, 99, NULL, &now));
    T(syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, NOWHERE));
}

static void says_its_limit(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    say("%d %d", (int)limit.rlim_cur, (int)limit.rlim_max);
    execl("./prog", "prog", "@limit", NULL);
}

HELPER(limit) {
    (void)argc, (void)argv;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    say("%d %d", (int)limit.rlim_cur, (int)limit.rlim_max);
    return 0;
}

CASE(limits_are_inherited) {
    struct rlimit limit = {50, 60};
    T(setrlimit(RLIMIT_NOFILE, &limit));
    wait_for(start(says_its_limit));
}

CASE(a_file_size_limit) {
    struct rlimit limit = {10, 20};
    signal(SIGXFSZ, SIG_IGN);
    T(setrlimit(RLIMIT_FSIZE, &limit));
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    T(write(fd, "12345678", 8));
    T(write(fd, "12345678", 8));
    T(write(fd, "1", 1));
    T(ftruncate(fd, 15));
    T(ftruncate(fd, 5));
    signal(SIGXFSZ, SIG_DFL);
    T(pwrite(fd, "x", 1, 30));
}

CASE(priorities) {
    T(getpriority(PRIO_PROCESS, 0));
    T(syscall(SYS_getpriority, PRIO_PROCESS, 0));
    T(setpriority(PRIO_PROCESS, 0, 5));
    T(getpriority(PRIO_PROCESS, 0));
    T(nice(3));
    T(setpriority(PRIO_PROCESS, 0, 2));
    T(getpriority(77, 0));
    T(getpriority(PRIO_PROCESS, 0x7fffffff));
    T(setpriority(PRIO_PROCESS, 0, 100));
    T(getpriority(PRIO_PROCESS, getpid()));
}

CASE(the_scheduler) {
    struct sched_param parameter = {0};
    cpu_set_t set;
    T(sched_yield());
    T(sched_getscheduler(0));
    T(sched_getparam(0, &parameter));
    T(parameter.sched_priority);
    T(sched_get_priority_max(SCHED_FIFO));
    T(sched_get_priority_min(SCHED_FIFO));
    T(sched_get_priority_max(SCHED_OTHER));
    T(sched_get_priority_max(99));
    T(sched_setscheduler(0, SCHED_OTHER, &parameter));
    T(sched_setscheduler(0, 99, &parameter));
    T(sched_getscheduler(0x7fffffff));
    T(sched_getscheduler(-1));
    T(sched_getaffinity(0, sizeof set, &set));
    T(CPU_COUNT(&set) > 0);
    T(sched_setaffinity(0, sizeof set, &set));
    T(syscall(SYS_sched_getaffinity, 0, 1, &set));
    T(syscall(SYS_sched_getaffinity, 0, 128, NULL));
    CPU_ZERO(&set);
    T(sched_setaffinity(0, sizeof set, &set));
    T(sched_getaffinity(0x7fffffff, sizeof set, &set));
    unsigned cpu = 9999, node = 9999;
    T(getcpu(&cpu, &node));
    say("%d %d", cpu < 9999, node < 9999);
    parameter.sched_priority = 1;
    T(sched_setparam(0, &parameter));
}

CASE(sysinfo_makes_sense) {
    struct sysinfo info;
    memset(&info, 0xff, sizeof info);
    T(sysinfo(&info));
    say("%d %d %d", info.uptime > 0, info.totalram >= info.freeram, info.mem_unit > 0);
    say("%d %d", info.procs > 0, info.totalram > 0);
    T(syscall(SYS_sysinfo, NULL));
    T(syscall(SYS_sysinfo, NOWHERE));
    T(sysconf(_SC_PAGESIZE));
    T(sysconf(_SC_CLK_TCK));
    T(sysconf(_SC_NPROCESSORS_ONLN) > 0);
}

CASE(the_uptime_is_rounded_up) {
    struct sysinfo info;
    struct timespec time, after;
    clock_gettime(CLOCK_BOOTTIME, &time);
    T(sysinfo(&info));
    clock_gettime(CLOCK_BOOTTIME, &after);
    say("%d %d", info.uptime >= time.tv_sec + (time.tv_nsec > 0), info.uptime <= after.tv_sec + (after.tv_nsec > 0));
}

CASE(memory_can_be_limited) {
    struct rlimit limit = {64 << 20, 64 << 20};
    T(setrlimit(RLIMIT_AS, &limit));
    T((long)mmap(0, 128 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    T(mmap(0, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    T(malloc(100 << 20) == NULL);
}

CASE(a_processor_time_limit) {
    struct rlimit limit = {1, 2}, now;
    T(setrlimit(RLIMIT_CPU, &limit));
    T(getrlimit(RLIMIT_CPU, &now));
    say("%d %d", (int)now.rlim_cur, (int)now.rlim_max);
}
