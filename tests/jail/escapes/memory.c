/* Hostile pointers and memory layouts: memory NAME makes one attempt, and tells in its last line what came of it. */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long raw(long n, long a, long b, long c, long d, long e)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
    return result;
}

static const unsigned long HOSTILE[] = {0, 1, 0xfff, 0x1000, 0x10000, 0x08048000, 0x7ffffff8, 0x7fffffff, 0x80000000, 0x90000000,
                                        0xbfffffff, 0xc0000000, 0xe0000000, 0xfffeffff, 0xffff0000, 0xffffe000, 0xfffff000,
                                        0xfffffff0, 0xfffffffc, 0xffffffff};
enum { COUNT = sizeof HOSTILE / sizeof *HOSTILE };

/* Those that end or stop the caller, or wait for ever. */
static int left_out(int n)
{
    static const short those[] = {SYS_exit, SYS_exit_group, SYS_pause, SYS_sigsuspend, SYS_rt_sigsuspend, SYS_sigreturn,
                                  SYS_rt_sigreturn, SYS_vfork, SYS_fork, SYS_clone, SYS_kill, SYS_tkill, SYS_tgkill, SYS_wait4,
                                  SYS_waitpid, SYS_waitid, SYS_close, SYS_dup2, SYS_dup3, 436, SYS_munmap, SYS_mmap2, SYS_mmap,
                                  SYS_mprotect, SYS_mremap, SYS_brk, SYS_alarm, SYS_setitimer, SYS_setrlimit, SYS_prlimit64,
                                  SYS_poll, SYS_nanosleep, SYS_clone3, SYS_execve, SYS_madvise, SYS_setsid, SYS_set_thread_area,
                                  SYS_personality, SYS_reboot, SYS_rt_sigtimedwait, 421, SYS_unshare, SYS_prctl, SYS_nice,
                                  SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_ppoll, 414, SYS__newselect, SYS_pselect6, 413,
                                  SYS_shmat, SYS_chroot, SYS_seccomp, 462, 453, SYS_signal, SYS_sigaction,
                                  SYS_rt_sigaction, SYS_timer_settime, SYS_ptrace, SYS_vm86, SYS_vm86old, SYS_remap_file_pages, 267, 407, SYS_futex, 422};
    for (unsigned i = 0; i < sizeof those / sizeof *those; i++)
        if (those[i] == n)
            return 1;
    return 0;
}

/* Every call there is with hostile words for arguments: numbers that are 0, and pointers that lead nowhere. */
static void everything(void)
{
    int answered = 0;
    for (int n = 0; n < 470; n++) {
        if (left_out(n))
            continue;
        for (int i = 0; i < COUNT; i++) {
            unsigned long p = HOSTILE[i], q = HOSTILE[(i * 7 + n) % COUNT];
            raw(n, p, p, p, p, p);
            raw(n, 0, p, q, p, q);
            raw(n, 1, p, 64, q, p);
            raw(n, p, 3, q, 0, p);
            answered += 4;
        }
    }
    printf("\nanswered %d\n", answered > 10000);
}

/* A buffer of which the end is outside of what is mapped, or of the segment. */
static void straddle(void)
{
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    int pipes[2];
    (void)!pipe(pipes);
    (void)!write(pipes[1], "0123456789abcdef", 16);
    memset(page, 'x', 4096);
    long got = raw(SYS_read, pipes[0], (long)(page + 4092), 16, 0, 0);
    printf("read %ld\n", got == 4 || got == -EFAULT ? 1 : got);
    long put = raw(SYS_write, pipes[1], (long)(page + 4092), 16, 0, 0);
    printf("write %ld\n", put == 4 || put == -EFAULT ? 1 : put);
    printf("getcwd %ld\n", raw(SYS_getcwd, (long)(page + 4095), 64, 0, 0, 0));
    printf("path %ld\n", raw(SYS_open, (long)(page + 4090), 0, 0, 0, 0));
    printf("uname %ld\n", raw(SYS_uname, (long)(page + 4000), 0, 0, 0, 0));
}

static void vectors(void)
{
    struct iovec v[1024];
    for (int i = 0; i < 1024; i++)
        v[i] = (struct iovec){(void *)HOSTILE[i % COUNT], 0xffffffff};
    printf("wrap %ld\n", raw(SYS_writev, 1, (long)v, 1024, 0, 0));
    for (int i = 0; i < 1024; i++)
        v[i].iov_len = 0x40000000;
    printf("sum %ld\n", raw(SYS_writev, 1, (long)v, 1024, 0, 0));
    for (int i = 0; i < 1024; i++)
        v[i] = (struct iovec){(void *)0xfffffff0, 0x20};
    printf("end %ld\n", raw(SYS_writev, 1, (long)v, 1024, 0, 0));
    printf("count %ld\n", raw(SYS_writev, 1, (long)v, 1025, 0, 0));
    printf("negative %ld\n", raw(SYS_writev, 1, (long)v, -1, 0, 0));
    printf("nowhere %ld\n", raw(SYS_writev, 1, 0xfffffff8, 4, 0, 0));
}

/* MAP_FIXED at every 16 MiB, and over everything at once. */
static void fixed(void)
{
    int outside = 0;
    for (unsigned long at = 0xff000000; at >= 0x80000000; at -= 0x1000000) {
        void *got = mmap((void *)at, 0x1000000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (got != MAP_FAILED)
            memset(got, 'x', 4096), outside += got != (void *)at;
    }
    printf("moved %d\n", outside);
    printf("zero %ld\n", raw(SYS_mmap2, 0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1));
    printf("top %ld\n", raw(SYS_mmap2, 0xfffff000, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1));
    printf("wrap %ld\n", raw(SYS_mmap2, 0xfffff000, 0x2000, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1));
    printf("all %ld\n", raw(SYS_mmap2, 0x10000, 0xfffe0000, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1));
    printf("protect %ld\n", raw(SYS_mprotect, 0xffff0000, 0x10000, 7, 0, 0));
    printf("unmap %ld\n", raw(SYS_munmap, 0xffff0000, 0x10000, 0, 0, 0));
}

static void remap(void)
{
    char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("top %ld\n", raw(SYS_mremap, (long)page, 4096, 4096, 3, 0xfffff000));
    printf("wrap %ld\n", raw(SYS_mremap, (long)page, 4096, 0xfffff000, 1, 0));
    printf("of nothing %ld\n", raw(SYS_mremap, 0xffff0000, 4096, 8192, 1, 0));
    printf("zero old %ld\n", raw(SYS_mremap, 0xffff0000, 0, 4096, 1, 0));
    printf("over itself %ld\n", raw(SYS_mremap, (long)page, 4096, 8192, 3, (long)page));
    printf("brk %d\n", (unsigned long)raw(SYS_brk, 0xfffff000, 0, 0, 0, 0) < 0xfffff000);
}

static void everything_unmapped(void)
{
    puts("going");
    fflush(stdout);
    raw(SYS_munmap, 0x1000, 0xbffff000, 0, 0, 0);
    raw(SYS_munmap, 0x1000, 0x7ffff000, 0, 0, 0);
    for (;;)
        raw(SYS_write, 1, 0x08048000, 10, 0, 0);
}

static void everything_protected(void)
{
    puts("going");
    fflush(stdout);
    for (unsigned long at = 0; at < 0xf0000000; at += 0x10000)
        raw(SYS_mprotect, at, 0x10000, PROT_NONE, 0, 0);
    for (unsigned long at = 0; at < 0xfffff000; at += 0x1000)
        raw(SYS_mprotect, at, 0x1000, PROT_NONE, 0, 0);
}

static void futexes(void)
{
    for (int i = 0; i < COUNT; i++)
        for (int op = 0; op < 14; op++) {
            struct {
                long s, n;
            } soon = {0, 1000};
            long r = raw(SYS_futex, HOSTILE[i], op, 0, (long)&soon, HOSTILE[(i + 3) % COUNT]);
            if (r > 0)
                printf("woke %ld at %lx with %d\n", r, HOSTILE[i], op);
        }
    puts("done");
}

static void caught(int signal) { (void)signal; }

static void on_a_stack(unsigned long at)
{
    unsigned long stack[] = {at, 0, 0x10000};
    printf("set %d\n", raw(SYS_sigaltstack, (long)stack, 0, 0, 0, 0) <= 0);
    fflush(stdout);
    struct sigaction action = {.sa_handler = caught, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR1, &action, 0);
    kill(getpid(), SIGUSR1);
    puts("came back");
}

static void stack_at_zero(void) { on_a_stack(0x1000); }
static void stack_at_the_top(void) { on_a_stack(0xfffe0000); }
static void stack_across_the_end(void) { on_a_stack(0xffffff00); }

/* A signal whose frame would be where the stack pointer leads: nowhere. */
static void signal_without_a_stack(void)
{
    struct sigaction action = {.sa_handler = caught};
    sigaction(SIGSEGV, &action, 0);
    puts("going");
    fflush(stdout);
    __asm__ volatile("mov $0xfffffff0, %%esp\n movl $0, 0xfffffff0\n hlt" ::: "memory");
}

/* struct sigcontext of asm/sigcontext.h for 32 bits, as a word each. */
enum { GS, FS, ES, DS, EDI_, ESI_, EBP_, ESP_, EBX_, EDX_, ECX_, EAX_, TRAPNO, ERR, EIP_, CS, EFLAGS, UESP, SS, FPSTATE, OLDMASK, CR2 };

static void resumed(void)
{
    static const char text[] = "resumed\n";
    raw(SYS_write, 1, (long)text, 8, 0, 0);
    raw(SYS_exit_group, 0, 0, 0, 0, 0);
}

/* sigreturn from a frame that no kernel has made. */
static void go_back(unsigned cs, unsigned ss, unsigned ds, unsigned gs, unsigned flags, unsigned eip, unsigned fpstate)
{
    static unsigned frame[64], stack[4096];
    frame[GS] = gs, frame[FS] = ds, frame[ES] = ds, frame[DS] = ds;
    frame[CS] = cs, frame[SS] = ss, frame[EFLAGS] = flags, frame[EIP_] = eip;
    frame[ESP_] = frame[UESP] = (unsigned)(stack + 4000);
    frame[FPSTATE] = fpstate;
    puts("going");
    fflush(stdout);
    __asm__ volatile("mov %0, %%esp\n mov $119, %%eax\n int $0x80\n hlt" ::"r"(frame) : "memory");
}

static void return_to_the_kernel(void) { go_back(0x10, 0x18, 0x18, 0, 0x202, (unsigned)resumed, 0); }
static void return_to_64_bits(void) { go_back(0x33, 0x2b, 0x2b, 0, 0x202, (unsigned)resumed, 0); }
static void return_to_an_ldt_entry(void) { go_back(7, 0xf, 0xf, 0x17, 0x202, (unsigned)resumed, 0); }
static void return_with_hostile_flags(void) { go_back(0x23, 0x2b, 0x2b, 0, 0xffffffff & ~0x100, (unsigned)resumed, 0); }
static void return_with_the_trap_flag(void) { go_back(0x23, 0x2b, 0x2b, 0, 0x302, (unsigned)resumed, 0); }
static void return_to_nowhere(void) { go_back(0x23, 0x2b, 0x2b, 0, 0x202, 0xfffffff0, 0); }
static void return_with_fpu_state_nowhere(void) { go_back(0x23, 0x2b, 0x2b, 0, 0x202, (unsigned)resumed, 0xffffff00); }
static void return_from_a_frame_nowhere(void)
{
    puts("going");
    fflush(stdout);
    __asm__ volatile("mov $0xffffffc0, %%esp\n mov $119, %%eax\n int $0x80\n hlt" ::: "memory");
}
static void rt_return_from_a_frame_nowhere(void)
{
    puts("going");
    fflush(stdout);
    __asm__ volatile("mov $0xfffffff0, %%esp\n mov $173, %%eax\n int $0x80\n hlt" ::: "memory");
}

/* Through GS with a base that leads out of the segment. */
static void thread_area(unsigned long base, unsigned limit)
{
    struct user_desc area = {.entry_number = 13, .base_addr = base, .limit = limit, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1};
    long set = raw(SYS_set_thread_area, (long)&area, 0, 0, 0, 0);
    static char line[40];
    int n = snprintf(line, sizeof line, "set %ld\n", set);
    raw(SYS_write, 1, (long)line, n, 0, 0);
    unsigned found = 0;
    __asm__ volatile("mov %1, %%gs\n mov %%gs:0x10, %0" : "=r"(found) : "r"((13 << 3) | 3));
    static const char text[] = "read\n";
    raw(SYS_write, 1, (long)text, 5, 0, 0);
    __asm__ volatile("mov %0, %%gs:0x10" ::"r"(found));
    raw(SYS_exit_group, 0, 0, 0, 0, 0);
}

static void thread_area_above(void) { thread_area(0xfff00000, 0xfffff); }
static void thread_area_that_wraps(void) { thread_area(0xffffffff, 0xfffff); }

static void selectors(void)
{
    puts("going");
    fflush(stdout);
    for (unsigned selector = 4; selector < 0x10000; selector += 4 + 3 * (selector > 0x200))
        for (int rpl = 0; rpl < 4; rpl++) {
            if (selector >> 3 == 6 || (selector >> 3 >= 12 && selector >> 3 <= 14)) /* those of set_thread_area, there and here */
                continue;
            if (fork() == 0) {
                __asm__ volatile("mov %0, %%gs\n mov %%gs:0, %%eax" ::"r"(selector | rpl) : "eax");
                raw(SYS_exit_group, 1, 0, 0, 0, 0);
            }
            int status;
            wait(&status);
            if (WIFEXITED(status)) {
                printf("selector %x\n", selector | rpl);
                return;
            }
            if (selector > 0x80)
                selector += 0x3000;
        }
    puts("none");
}

static void hostile_exec(void)
{
    char *there[] = {"x", 0};
    for (int i = 0; i < COUNT; i++) {
        char **bad = (char **)HOSTILE[i], *one[] = {"x", (char *)HOSTILE[i], 0};
        long a = raw(SYS_execve, (long)"/granted/file", (long)bad, 0, 0, 0);
        long b = raw(SYS_execve, (long)"/granted/file", (long)there, (long)bad, 0, 0);
        long c = raw(SYS_execve, (long)"/granted/file", (long)(i ? one : there), 0, 0, 0);
        if (a >= 0 || b >= 0 || c >= 0)
            puts("executed");
    }
    static char *many[200000];
    for (int i = 0; i < 199999; i++)
        many[i] = "0123456789012345678901234567890123456789";
    printf("too many %ld\n", raw(SYS_execve, (long)"/proc/self/exe", (long)many, 0, 0, 0) < 0);
}

static void hostile_clone(void)
{
    for (int i = 0; i < COUNT; i++) {
        pid_t child = fork();
        if (child == 0) {
            raw(SYS_clone, 0x11, HOSTILE[i], HOSTILE[i], HOSTILE[i], HOSTILE[i]);
            raw(SYS_clone, 0x01200011, HOSTILE[i], HOSTILE[(i + 1) % COUNT], 0, HOSTILE[i]);
            _exit(0);
        }
        int status;
        while (wait(&status) > 0)
            ;
    }
    puts("done");
}

#define EACH(f) f(everything) f(straddle) f(vectors) f(fixed) f(remap) f(everything_unmapped) f(everything_protected) f(futexes) \
    f(stack_at_zero) f(stack_at_the_top) f(stack_across_the_end) f(signal_without_a_stack) f(return_to_the_kernel) \
    f(return_to_64_bits) f(return_to_an_ldt_entry) f(return_with_hostile_flags) f(return_with_the_trap_flag) f(return_to_nowhere) \
    f(return_with_fpu_state_nowhere) f(return_from_a_frame_nowhere) f(rt_return_from_a_frame_nowhere) f(thread_area_above) \
    f(thread_area_that_wraps) f(selectors) f(hostile_exec) f(hostile_clone)
#define ROW(name) {#name, name},

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } attempts[] = {EACH(ROW)};
    setvbuf(stdout, 0, _IOLBF, 0);
    for (unsigned i = 0; i < sizeof attempts / sizeof *attempts; i++)
        if (argc > 1 && !strcmp(argv[1], attempts[i].name)) {
            attempts[i].run();
            return 0;
        }
    return 99;
}
