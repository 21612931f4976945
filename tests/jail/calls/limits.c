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

static volatile int too_large, from_me;

static void count_too_large(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    too_large++;
    from_me = info->si_code == SI_USER && info->si_pid == getpid();
}

static void limit_files(int size) {
    struct rlimit limit = {size, RLIM_INFINITY};
    struct sigaction action = {.sa_sigaction = count_too_large, .sa_flags = SA_SIGINFO};
    sigaction(SIGXFSZ, &action, NULL);
    T(setrlimit(RLIMIT_FSIZE, &limit));
}

#define L(call)                                                                                                        \
    do {                                                                                                               \
        too_large = from_me = 0;                                                                                       \
        T(call);                                                                                                       \
        say("  signals: %d %d, size %lld, at %lld", too_large, from_me, (long long)size_of(fd), (long long)lseek(fd, 0, SEEK_CUR));  \
    } while (0)

static off_t size_of(int fd) {
    struct stat st;
    return fstat(fd, &st) ? -1 : st.st_size;
}

CASE(every_way_to_write_is_limited) {
    static const char *const paths[] = {"file", "private/file", ""};
    char bytes[100] = "0123456789";
    limit_files(10);
    for (int i = 0; i < 3; i++) {
        say("%s", paths[i]);
        int fd = i < 2 ? T(open(paths[i], O_RDWR | O_CREAT, 0600)) : memfd_create("file", 0);
        struct iovec out[3] = {{bytes, 4}, {bytes, 4}, {bytes, 4}};
        L(write(fd, bytes, 0));
        L(write(fd, bytes, 4));
        L(write(fd, bytes, 10));
        L(write(fd, bytes, 1));
        L(write(fd, bytes, 0));
        L(ftruncate(fd, 0));
        L(lseek(fd, 0, SEEK_SET));
        L(writev(fd, out, 3));
        L(writev(fd, out, 3));
        L(pwrite(fd, bytes, 4, 8));
        L(pwrite(fd, bytes, 4, 10));
        L(pwrite(fd, bytes, 0, 30));
        L(pwrite(fd, bytes, 4, 3000000000));
        L(pwritev(fd, out, 3, 2));
        L(pwritev(fd, out, 3, 12));
        L(pwritev2(fd, out, 1, -1, 0));
        L(ftruncate(fd, 11));
        L(ftruncate(fd, 10));
        L(ftruncate(fd, 2));
        L(ftruncate(fd, 9));
        if (i < 2) {
            L(truncate(paths[i], 11));
            L(truncate(paths[i], 10));
            L(truncate(paths[i], 3));
        }
        L(fallocate(fd, 0, 0, 11));
        L(fallocate(fd, 0, 0, 10));
        L(lseek(fd, 20, SEEK_SET));
        L(write(fd, bytes, 1));
        if (i < 2) {
            close(fd);
            fd = T(open(paths[i], O_RDWR | O_APPEND));
            L(write(fd, bytes, 1));
            L(ftruncate(fd, 8));
            L(write(fd, bytes, 10));
            L(pwrite(fd, bytes, 1, 0));
        }
        close(fd);
    }
}

CASE(every_way_to_copy_is_limited) {
    char bytes[8192] = "0123456789";
    int source = T(open("source", O_RDWR | O_CREAT, 0600));
    T(write(source, bytes, sizeof bytes));
    limit_files(6000);
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    off_t offset = 0, to = 0;
    L(sendfile(fd, source, &offset, 100));
    L(sendfile(fd, source, &offset, 100000));
    L(sendfile(fd, source, &offset, 100));
    L(ftruncate(fd, 0));
    offset = 0;
    L(copy_file_range(source, &offset, fd, &to, 8192, 0));
    L(copy_file_range(source, &offset, fd, &to, 8192, 0));
    say("%lld %lld", (long long)offset, (long long)to);
    L(ftruncate(fd, 0));
    L(lseek(fd, 5990, SEEK_SET));
    int ends[2], count = -1;
    T(pipe(ends));
    T(write(ends[1], bytes, 10));
    L(splice(ends[0], NULL, fd, NULL, 10, 0));
    T(write(ends[1], bytes, 10));
    L(splice(ends[0], NULL, fd, NULL, 10, 0));
    T(ioctl(ends[0], FIONREAD, &count));
    say("%d", count);
    L(lseek(fd, 5996, SEEK_SET));
    L(splice(ends[0], NULL, fd, NULL, 10, 0));
    T(ioctl(ends[0], FIONREAD, &count));
    say("%d", count);
    T(write(ends[1], bytes, 10));
    to = 5997;
    L(splice(ends[0], NULL, fd, &to, 10, 0));
    say("%lld", (long long)to);
    to = 5995;
    L(splice(ends[0], NULL, fd, &to, 5, 0));
    say("%lld", (long long)to);
    T(write(ends[1], bytes, 8192));
    T(write(open("/dev/null", O_WRONLY), bytes, 8192));
}

CASE(mapped_files_are_not_limited) {
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    T(ftruncate(fd, 100));
    limit_files(10);
    char *at = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    at[50] = 'x';
    T(msync(at, PAGE, MS_SYNC));
    T(munmap(at, PAGE));
    char byte;
    T(pread(fd, &byte, 1, 50));
    T(byte == 'x');
    L(ftruncate(fd, 90));
    L(ftruncate(fd, 91));
    L(pwrite(fd, "y", 1, 50));
}

static void writes_more(void) {
    char bytes[5] = "1234";
    int fd = T(open("file", O_WRONLY | O_CREAT, 0600));
    for (int i = 0; i < 10; i++)
        write(fd, bytes, 4);
    say("not ended");
}

HELPER(writes) {
    (void)argc, (void)argv;
    char bytes[8] = "";
    int fd = open("other", O_RDWR | O_CREAT, 0600);
    int first = write(fd, bytes, 8), second = write(fd, bytes, 8);
    say("%d %d", first, second);
    write(fd, bytes, 8);
    say("not ended");
    return 0;
}

static void executes_a_writer(void) {
    execl("./prog", "prog", "@writes", NULL);
}

CASE(children_inherit_the_file_size_limit) {
    char bytes[8] = "1234567";
    int fd = T(open("native", O_RDWR | O_CREAT, 0600));
    for (int i = 0; i < 20; i++)
        if (write(fd, bytes, 8) != 8)
            say("not yet");
    struct rlimit limit = {10, 200}, none = {RLIM_INFINITY, RLIM_INFINITY};
    int go[2];
    T(pipe(go));
    pid_t child = fork();
    if (child == 0) {
        char byte;
        if (read(go[0], &byte, 1) != 1) say("nobody writes"); /* the limit is there then */
        int own = open("own", O_RDWR | O_CREAT, 0600), count = 0;
        while (write(own, bytes, 1) == 1)
            count++;
        say("%d, %s", count, error_name());
        _exit(0);
    }
    T(prlimit(child, RLIMIT_FSIZE, &limit, NULL) == 0);
    if (write(go[1], "x", 1) != 1) say("nobody reads");
    waitpid(child, NULL, 0);
    T(setrlimit(RLIMIT_FSIZE, &limit));
    wait_for(start(writes_more));
    wait_for(start(executes_a_writer));
    signal(SIGXFSZ, SIG_IGN);
    T(write(fd, bytes, 8));
    T(pwrite(fd, bytes, 8, 6));
    limit.rlim_cur = 200;
    T(setrlimit(RLIMIT_FSIZE, &limit));
    for (int i = 0; i < 10; i++)
        if (write(fd, bytes, 8) != 8)
            say("%d %s", i, error_name());
    T(setrlimit(RLIMIT_FSIZE, &none));
    show("own");
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
