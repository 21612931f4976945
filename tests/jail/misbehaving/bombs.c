/* Guests that misbehave: bombs NAME [PATH] does so for ever, or until it is told that there is no more; then it says how
   often it got what, with the error that ended it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *path = "/";

static void ended(long count)
{
    int error = errno;
    char line[80];
    int n = snprintf(line, sizeof line, "%ld %s\n", count, strerrorname_np(error));
    (void)!write(1, line, n);
}

/* -- hangs ------------------------------------------------------------------------------------------------------- */

static void busy(void)
{
    for (;;)
        __asm__ volatile("");
}
static void busy_with_calls(void)
{
    for (;;)
        getppid();
}
static void paused(void)
{
    for (;;)
        pause();
}
static void asleep(void)
{
    for (;;)
        sleep(1000000);
}
static void reading_its_own_pipe(void)
{
    int ends[2];
    char byte;
    (void)!pipe(ends);
    for (;;)
        (void)!read(ends[0], &byte, 1);
}
static void waiting_for_a_futex(void)
{
    int word = 0;
    for (;;)
        syscall(SYS_futex, &word, 0, 0, 0, 0, 0);
}
static void polling(void)
{
    for (;;)
        select(0, 0, 0, 0, 0);
}
static void nothing(int signal) { (void)signal; }
static void ignoring_all_signals(void)
{
    for (int i = 1; i <= 64; i++)
        signal(i, i % 2 ? SIG_IGN : nothing);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, 0);
    busy();
}
static void faulting_in_a_loop(void)
{
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_NODEFER};
    sigaction(SIGSEGV, &action, 0);
    *(volatile int *)16 = 1;
}
static void again(int number) { raise(number); }
static void signals_in_a_loop(void)
{
    signal(SIGUSR1, again);
    for (;;)
        raise(SIGUSR1);
}
static void timers_in_a_loop(void)
{
    struct itimerval often = {{0, 1}, {0, 1}};
    signal(SIGALRM, nothing);
    setitimer(ITIMER_REAL, &often, 0);
    busy();
}
static void stopped(void)
{
    kill(getpid(), SIGSTOP);
    (void)!write(1, "went on\n", 8);
}
static void two_that_wait_for_each_other(void)
{
    int one[2], other[2];
    char byte;
    (void)!pipe(one), (void)!pipe(other);
    if (fork())
        (void)!read(one[0], &byte, 1), (void)!write(other[1], "x", 1);
    else
        (void)!read(other[0], &byte, 1), (void)!write(one[1], "x", 1);
}
static void in_turns_for_ever(void)
{
    fork();
    for (;;)
        sched_yield();
}

/* -- processes --------------------------------------------------------------------------------------------------- */

static void fork_bomb(void)
{
    for (;;)
        fork();
}
static void forks_until_refused(void)
{
    for (long i = 0;; i++) {
        pid_t child = fork();
        if (child == 0)
            paused();
        if (child < 0) {
            ended(i);
            return;
        }
    }
}
static void vforks(void)
{
    for (int i = 0; i < 300; i++) {
        pid_t child = vfork();
        if (child == 0)
            _exit(0);
        if (child < 0)
            break;
        waitpid(child, 0, 0);
    }
    errno = 0;
    ended(300);
}
static void vfork_bomb(void)
{
    for (;;)
        if (vfork() < 0)
            _exit(0);
}
static void zombies(void)
{
    for (long i = 0;; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child < 0) {
            ended(i);
            return;
        }
    }
}
static void children_one_after_the_other(void)
{
    for (int i = 0; i < 300; i++)
        if (fork())
            _exit(0);
    (void)!write(1, "the last\n", 9);
}
static void *wait_for_ever(void *unused)
{
    paused();
    return unused;
}
static void threads_until_refused(void)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    for (long i = 0;; i++) {
        pthread_t thread;
        int error = pthread_create(&thread, &small, wait_for_ever, 0);
        if (error) {
            errno = error;
            ended(i);
            _exit(0);
        }
    }
}
static void *thread_bomb_step(void *unused)
{
    pthread_t thread;
    for (;;)
        pthread_create(&thread, 0, thread_bomb_step, 0);
    return unused;
}
static void thread_bomb(void) { thread_bomb_step(0); }
static void exec_loop(void)
{
    char *words[] = {"bombs", "exec_loop", 0}, *none[] = {0};
    execve("/proc/self/exe", words, none);
    execve("/bin/bombs", words, none);
    ended(0);
}

/* -- files ------------------------------------------------------------------------------------------------------- */

static char block[1 << 16];

static int make(long i, int flags)
{
    char name[256];
    snprintf(name, sizeof name, "%s/file%ld", path, i);
    return open(name, O_CREAT | O_WRONLY | flags, 0600);
}
static void one_big_file(void)
{
    long long total = 0;
    int fd = make(0, 0);
    for (;;) {
        ssize_t n = write(fd, block, sizeof block);
        if (n <= 0)
            break;
        total += n;
    }
    ended(total >> 10);
}
static void a_file_with_holes(void)
{
    int fd = make(0, O_LARGEFILE);
    long i = 0;
    while (syscall(SYS_ftruncate64, fd, 0, 1u << (i % 20)) == 0 && i < 20)
        i++;
    ended(i);
    for (i = 0; i < 10; i++)
        if (syscall(SYS_pwrite64, fd, block, 1, 0, 1u << i) != 1)
            break;
}
static void many_small_files(void)
{
    long i = 0;
    for (;; i++) {
        int fd = make(i, 0);
        if (fd < 0 || write(fd, "x", 1) != 1)
            break;
        close(fd);
    }
    ended(i);
}
static void many_folders(void)
{
    char name[256];
    long i = 0;
    for (;; i++) {
        snprintf(name, sizeof name, "%s/folder%ld", path, i);
        if (mkdir(name, 0700))
            break;
    }
    ended(i);
}
static void many_links(void)
{
    char name[256], target[4000];
    memset(target, 'x', sizeof target - 1);
    target[sizeof target - 1] = 0;
    long i = 0;
    for (;; i++) {
        snprintf(name, sizeof name, "%s/link%ld", path, i);
        if (symlink(target, name))
            break;
    }
    ended(i);
}
static void a_deep_folder(void)
{
    long i = 0;
    char name[201];
    memset(name, 'd', 200);
    name[200] = 0;
    for (chdir(path); i < 100000; i++)
        if (mkdir(name, 0700) || chdir(name))
            break;
    ended(i);
}
static void removed_but_open(void)
{
    long i = 0;
    for (;; i++) {
        char name[256];
        int fd = make(i, 0);
        snprintf(name, sizeof name, "%s/file%ld", path, i);
        unlink(name);
        if (fd < 0 || write(fd, block, sizeof block) != sizeof block)
            break;
    }
    ended(i);
}

/* -- memory ------------------------------------------------------------------------------------------------------ */

static void maps(void)
{
    long i = 0;
    for (;; i++) {
        char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            break;
        memset(p, 1, 1 << 20);
    }
    ended(i);
}
static void small_maps(void)
{
    long i = 0;
    for (;; i++) {
        char *p = mmap(0, 4096, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || i == 5000)
            break;
    }
    ended(i);
}
static void shared_maps(void)
{
    long i = 0;
    for (;; i++) {
        char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            break;
        memset(p, 1, 1 << 20);
    }
    ended(i);
}
static void breaks(void)
{
    long i = 0;
    for (;; i++) {
        void *p = sbrk(1 << 20);
        if (p == (void *)-1)
            break;
        memset(p, 1, 1 << 20);
    }
    ended(i);
}
static int deep(int n)
{
    volatile char room[4096];
    room[0] = n;
    return deep(n + 1) + room[0];
}
static void a_deep_stack(void) { deep(0); }
static void memory_in_every_process(void)
{
    for (;;) {
        if (fork() == 0) {
            maps();
            paused();
        }
        sched_yield();
    }
}
static void pipes(void)
{
    long i = 0;
    int ends[2];
    for (;; i++) {
        if (pipe2(ends, O_NONBLOCK))
            break;
        fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
        while (write(ends[1], block, sizeof block) > 0)
            ;
    }
    ended(i);
}
static void pipes_in_every_process(void)
{
    while (fork() > 0)
        ;
    pipes();
    paused();
}
static void socket_buffers(void)
{
    long i = 0;
    int ends[2];
    for (;; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
            break;
        while (write(ends[1], block, sizeof block) > 0)
            ;
    }
    ended(i);
}
static void descriptors(void)
{
    long i = 0;
    while (dup(0) >= 0)
        i++;
    ended(i);
}
static void epolls(void)
{
    long i = 0;
    int last = 0;
    for (;; i++) {
        int fd = epoll_create1(0);
        if (fd < 0)
            break;
        struct epoll_event event = {EPOLLIN};
        epoll_ctl(fd, EPOLL_CTL_ADD, last, &event);
        last = fd;
    }
    ended(i);
}
static void timers(void)
{
    long i = 0;
    timer_t timer;
    for (; i < 100000; i++)
        if (timer_create(CLOCK_MONOTONIC, 0, &timer))
            break;
    ended(i);
}
static void queued_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, 0);
    long i = 0;
    for (; i < 200000; i++)
        if (sigqueue(getpid(), SIGRTMIN + i % 30, (union sigval){0}))
            break;
    ended(i);
}
static void descriptors_in_flight(void)
{
    long i = 0;
    int ends[2];
    struct msghdr message = {0};
    char control[CMSG_SPACE(sizeof(int))] = "", one = 'x';
    struct iovec vector = {&one, 1};
    message.msg_iov = &vector, message.msg_iovlen = 1;
    message.msg_control = control, message.msg_controllen = sizeof control;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    for (; i < 2000; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
            break;
        *(int *)CMSG_DATA(header) = ends[0];
        if (sendmsg(ends[1], &message, 0) < 0)
            break;
        *(int *)CMSG_DATA(header) = ends[1];
        if (sendmsg(ends[1], &message, 0) < 0)
            break;
        close(ends[0]), close(ends[1]);
    }
    ended(i);
}
static void locks(void)
{
    int fd = make(0, 0);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    long i = 0;
    for (; i < 20000; i++) {
        lock.l_start = 2 * i;
        if (fcntl(fd, F_SETLK, &lock))
            break;
    }
    ended(i);
}

/* -- the rest ---------------------------------------------------------------------------------------------------- */

static void endless_output(void)
{
    memset(block, 'x', sizeof block);
    for (;;)
        (void)!write(1, block, sizeof block);
}
static void endless_small_output(void)
{
    for (;;)
        (void)!write(2, "x", 1);
}
static void closes_everything(void)
{
    for (int i = 0; i < 300; i++)
        close(i);
    for (int i = 0; i < 100; i++)
        (void)!write(1, "x", 1);
}
static void unknown_calls(void)
{
    for (long i = 0; i < 50000; i++)
        syscall(1000 + i, 0);
    ended(50000);
}
static void long_arguments(void)
{
    static char *words[100000];
    static char text[100000];
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < 99999; i++)
        words[i] = text;
    execve("/bin/bombs", words, words);
    ended(0);
}

#define EACH(f) f(busy) f(busy_with_calls) f(paused) f(asleep) f(reading_its_own_pipe) f(waiting_for_a_futex) f(polling) \
    f(ignoring_all_signals) f(faulting_in_a_loop) f(signals_in_a_loop) f(timers_in_a_loop) f(stopped) \
    f(two_that_wait_for_each_other) f(in_turns_for_ever) f(fork_bomb) f(forks_until_refused) f(vforks) f(vfork_bomb) \
    f(zombies) f(children_one_after_the_other) f(threads_until_refused) f(thread_bomb) f(exec_loop) f(one_big_file) \
    f(a_file_with_holes) f(many_small_files) f(many_folders) f(many_links) f(a_deep_folder) f(removed_but_open) f(maps) \
    f(small_maps) f(shared_maps) f(breaks) f(a_deep_stack) f(memory_in_every_process) f(pipes) f(pipes_in_every_process) \
    f(socket_buffers) f(descriptors) f(epolls) f(timers) f(queued_signals) f(descriptors_in_flight) f(locks) \
    f(endless_output) f(endless_small_output) f(closes_everything) f(unknown_calls) f(long_arguments)
#define ROW(name) {#name, name},

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } bombs[] = {EACH(ROW)};
    if (argc > 2)
        path = argv[2];
    if (!strcmp(argv[1], "die")) {
        kill(getpid(), atoi(argv[2]));
        return 0;
    }
    if (!strcmp(argv[1], "work")) { /* what well-behaved ones do: some arithmetic, calls, and output */
        unsigned sum = 0;
        for (int round = 0; round < 40; round++) {
            for (unsigned i = 0; i < 50000; i++)
                sum = sum * 1664525 + i;
            if (getpid() <= 0)
                return 1;
            printf("%u\n", sum);
            fflush(stdout);
        }
        return 0;
    }
    for (unsigned i = 0; i < sizeof bombs / sizeof *bombs; i++)
        if (!strcmp(argv[1], bombs[i].name)) {
            bombs[i].run();
            return 0;
        }
    return 99;
}
