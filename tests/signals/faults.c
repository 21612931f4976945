/* Signals of instructions, and what handlers do to registers and floating-point state. */
#include "cases.h"
#include <fenv.h>

static volatile int count;
static sigjmp_buf where;
static char *area;

static void note(int number) { count++; }

static void tell(int number, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    int at_eip = info->si_addr == (void *)r[REG_EIP];
    if (number == SIGSEGV || number == SIGBUS)
        say("signal %d code %d address %lx trap %d write %d user %d fetch %d", number, info->si_code,
            (long)info->si_addr - (area && (char *)info->si_addr >= area && (char *)info->si_addr < area + 0x4000 ? (long)area : 0),
            r[REG_TRAPNO], r[REG_ERR] >> 1 & 1, r[REG_ERR] >> 2 & 1, r[REG_ERR] >> 4 & 1);
    else
        say("signal %d code %d at eip %d trap %d error %d", number, info->si_code, at_eip, r[REG_TRAPNO], r[REG_ERR]);
    siglongjmp(where, 1);
}

static void tell_only_code(int number, siginfo_t *info, void *context) {
    say("signal %d code %d", number, info->si_code == SEGV_MAPERR || info->si_code == SEGV_ACCERR);
    siglongjmp(where, 1);
}

static void fault_again(int number) { *(volatile int *)0 = 2; }

static void repair(int number, siginfo_t *info, void *context) {
    count++;
    mprotect(area, 4096, PROT_READ | PROT_WRITE);
}

static void handle_all(void) {
    on(SIGSEGV, tell, SA_SIGINFO);
    on(SIGBUS, tell, SA_SIGINFO);
    on(SIGFPE, tell, SA_SIGINFO);
    on(SIGILL, tell, SA_SIGINFO);
    on(SIGTRAP, tell, SA_SIGINFO);
    /* What may only be read, nothing, what is not code, and nobody's. */
    area = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(area, 0x1000, PROT_READ);
    mprotect(area + 0x1000, 0x1000, PROT_NONE);
    munmap(area + 0x3000, 0x1000);
}
#define trying(...) do { if (!sigsetjmp(where, 1)) { __VA_ARGS__; say("went on"); } } while (0)

CASE(segmentation_faults) {
    handle_all();
    volatile int sink;
    trying(sink = *(volatile int *)0);
    trying(*(volatile int *)16 = 1);
    trying(*(volatile int *)(area + 0x0010) = 1);
    trying(sink = *(volatile int *)(area + 0x1010));
    trying(*(volatile int *)(area + 0x1010) = 1);
    trying(sink = *(volatile int *)(area + 0x3000));
    trying(((void (*)(void))(area + 0x2000))());
    trying(((void (*)(void))(area + 0x3000))());
    trying(sink = *(volatile int *)(area + 0x0ffe));
    trying(*(volatile char *)(area + 0x0fff) = 1);
    (void)sink;
}

CASE(addresses_of_nobody) {
    handle_all();
    volatile int sink;
    trying(sink = *(volatile int *)0xfffffff0);
    trying(*(volatile int *)0xdeadbeef = 1);
    trying(sink = *(volatile char *)-1);
    trying(asm volatile("movl $1, (%0, %1, 4)" ::"r"(0xf0000000), "r"(3) : "memory"));
    trying(memset((void *)0xf0000000, 1, 100));
    (void)sink;
}

CASE(arithmetic_and_other_faults) {
    handle_all();
    volatile int zero = 0, one = 1, least = 0x80000000, minus = -1;
    trying(say("%d", one / zero));
    trying(say("%d", least / minus));
    trying(asm volatile("ud2"));
    trying(asm volatile("int3"));
    trying(asm volatile("int $3"));
    trying(asm volatile("mov $0x7fffffff, %%eax; add $1, %%eax; into" ::: "eax"));
    trying(asm volatile("int $0x21"));
    trying(asm volatile("hlt"));
    trying(asm volatile("cli"));
    trying(asm volatile("in $0x60, %%al" ::: "eax"));
    static int bounds[2] = {1, 5};
    trying(asm volatile("bound %0, %1" ::"r"(9), "m"(bounds)));
}

CASE(floating_point_exceptions) {
    handle_all();
    volatile double zero = 0, one = 1, big = 1e308, small = 1e-308, third = 3;
    volatile double result;
    for (int bit = 0; bit < 6; bit++) {
        if (bit == 1) continue;
        unsigned mxcsr = 0x1f80 & ~(0x80 << bit);
        unsigned short control = 0x37f & ~(1 << bit);
        say("sse %d", bit);
        trying(asm volatile("ldmxcsr %0" ::"m"(mxcsr)); double a, b;
               switch (bit) {
                   case 0: asm volatile("divsd %1, %0" : "=x"(a) : "x"(zero), "0"(zero)); result = a; break;
                   case 2: asm volatile("divsd %1, %0" : "=x"(a) : "x"(zero), "0"(one)); result = a; break;
                   case 3: asm volatile("mulsd %1, %0" : "=x"(a) : "x"(big), "0"(big)); result = a; break;
                   case 4: asm volatile("mulsd %1, %0" : "=x"(a) : "x"(small), "0"(small)); result = a; break;
                   case 5: asm volatile("divsd %1, %0" : "=x"(a) : "x"(third), "0"(one)); result = a; break;
               } (void)b);
        unsigned now;
        asm volatile("stmxcsr %0" : "=m"(now));
        say("mxcsr %x", now);
        mxcsr = 0x1f80;
        asm volatile("ldmxcsr %0" ::"m"(mxcsr));
        say("x87 %d", bit);
        trying(asm volatile("fninit; fldcw %0" ::"m"(control));
               switch (bit) {
                   case 0: asm volatile("fldz; fdivl %0; fwait" ::"m"(zero)); break;
                   case 2: asm volatile("fld1; fdivl %0; fwait" ::"m"(zero)); break;
                   case 3: asm volatile("fldl %0; fmull %0; fstpl %1; fwait" ::"m"(big), "m"(result)); break;
                   case 4: asm volatile("fldl %0; fmull %0; fstpl %1; fwait" ::"m"(small), "m"(result)); break;
                   case 5: asm volatile("fld1; fdivl %0; fwait" ::"m"(third)); break;
               });
        asm volatile("fninit");
    }
}

static volatile unsigned changed_to;
static void change_floats(int number, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    unsigned char *fp = (unsigned char *)uc->uc_mcontext.fpregs;
    unsigned mxcsr, inside;
    unsigned short control;
    asm volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(control));
    float before[4], mine[4] = {9, 9, 9, 9};
    asm volatile("movups %%xmm5, %0" : "=m"(before));
    asm volatile("movups %0, %%xmm5; movups %0, %%xmm6; fninit; fldpi" ::"m"(mine));
    memcpy(&inside, fp + 112 + 24, 4);
    say("handler has mxcsr %x control %x xmm5 %g; frame has mxcsr %x", mxcsr, control, before[0], inside);
    unsigned short top;
    memcpy(&top, fp + 4, 2);
    say("frame status %x control %x tags %x", top & 0x3800, fp[0] | fp[1] << 8, fp[8] | fp[9] << 8);
    long double st0;
    memcpy(&st0, fp + 28, 10);
    say("frame st0 %Lg magic %x", st0, fp[110] | fp[111] << 8);
    float xmm[4];
    memcpy(xmm, fp + 112 + 160 + 5 * 16, 16);
    say("frame xmm5 %g %g %g %g", xmm[0], xmm[1], xmm[2], xmm[3]);
    if (changed_to) {
        st0 *= 2;
        memcpy(fp + 28, &st0, 10);
        xmm[2] = 42;
        memcpy(fp + 112 + 160 + 5 * 16, xmm, 16);
        memcpy(fp + 112 + 24, (unsigned *)&changed_to, 4);
    }
}

static void float_state(int number) {
    float v[4] = {1, 2, 3, 4}, six[4] = {6, 6, 6, 6}, after[4], after6[4];
    unsigned mxcsr = 0x5f80, now;
    unsigned short control = 0x77f, control_now;
    long double st0, st1;
    int pid = getpid();
    asm volatile("fninit; fldcw %4; ldmxcsr %5; fldpi; fld1; fld1; faddp; movups %6, %%xmm5; movups %7, %%xmm6\n"
                 "int $0x80\n"
                 "movups %%xmm5, %0; movups %%xmm6, %1; stmxcsr %2; fnstcw %3"
                 : "=m"(after), "=m"(after6), "=m"(now), "=m"(control_now)
                 : "m"(control), "m"(mxcsr), "m"(v), "m"(six), "a"(SYS_kill), "b"(pid), "c"(number)
                 : "memory", "xmm5", "xmm6");
    asm volatile("fstpt %0; fstpt %1; fninit" : "=m"(st0), "=m"(st1));
    say("%g %g %g %g, %g, mxcsr %x control %x st %Lg %Lg", after[0], after[1], after[2], after[3], after6[0], now, control_now, st0, st1);
    mxcsr = 0x1f80;
    asm volatile("ldmxcsr %0" ::"m"(mxcsr));
}

CASE(floating_point_state_in_frames) {
    on(SIGUSR1, change_floats, SA_SIGINFO);
    float_state(SIGUSR1);
    changed_to = 0x3f80;
    float_state(SIGUSR1);
}

CASE(raw_handlers_without_restorers) {
    struct { void *handler; unsigned long flags; void *restorer; unsigned long mask[2]; } action = {note, SA_SIGINFO, 0, {0, 0}};
    told(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8));
    raise(SIGUSR1);
    action.flags = 0;
    told(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8));
    raise(SIGUSR1);
    say("count %d", count);
}

/* Where things are in a frame, as a handler without the library's help finds it. */
extern char raw_entry[];
__attribute__((used)) unsigned at[4];
asm("raw_entry: mov %esp, at; mov %eax, at + 4; mov %edx, at + 8; mov %ecx, at + 12; ret");
CASE(layout_of_frames) {
    struct { void *handler; unsigned long flags; void *restorer; unsigned long mask[2]; } action = {raw_entry, SA_SIGINFO, 0, {0x800, 0x10}};
    for (int realtime = 0; realtime < 2; realtime++) {
        action.flags = realtime ? SA_SIGINFO : 0;
        syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8);
        block(SIG_BLOCK, 40);
        kill(getpid(), SIGUSR1);
        /* Nothing has been put on the stack since but what the library has pushed: what it says is above. */
        unsigned *frame = (unsigned *)at[0], *sc = frame + (realtime ? 41 : 2);
        unsigned words[24], numbers[4];
        unsigned extra = sc[22 + 156];
        memcpy(numbers, frame, 16);
        memcpy(words, sc, sizeof words);
        say("aligned %d signal %u eax %u edx %d ecx %d", (at[0] + 4) % 16, numbers[1], at[1], at[2] ? at[2] - at[0] : 0, at[3] ? at[3] - at[0] : 0);
        if (realtime) say("info %d context %d", numbers[2] - at[0], numbers[3] - at[0]);
        say("state %d eax %u ebx same %d ecx %u oldmask %x", words[19] - at[0], words[11], words[8] == getpid(), words[10], words[20]);
        say("segments same %d %d zero %d", (words[2] & 0xffff) == (words[3] & 0xffff), words[18] == (words[3] & 0xffff), words[1] & 0xffff);
        say("mask %x", realtime ? words[23] : extra);
    }
}

static char other_stack[65536];
static volatile int deep;
static int overflow(int n) {
    volatile char space[4096];
    space[0] = n;
    deep++;
    return overflow(n + 1) + space[0];
}
CASE(stack_overflow_on_an_alternate_stack) {
    stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    struct rlimit few = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_STACK, &few);
    sigaltstack(&stack, NULL);
    on(SIGSEGV, tell_only_code, SA_SIGINFO | SA_ONSTACK);
    if (!sigsetjmp(where, 1)) overflow(0);
    say("deep %d", deep > 50);
}

CASE(stack_overflow_without_one) {
    struct rlimit few = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_STACK, &few);
    on(SIGSEGV, tell_only_code, SA_SIGINFO);
    overflow(0);
}

CASE(a_blocked_fault_is_the_end) {
    on(SIGSEGV, tell, SA_SIGINFO);
    block(SIG_BLOCK, SIGSEGV);
    *(volatile int *)0 = 1;
}

CASE(an_ignored_fault_is_the_end) {
    signal(SIGFPE, SIG_IGN);
    volatile int zero = 0, one = 1;
    say("%d", one / zero);
}

CASE(a_fault_in_the_handler_is_the_end) {
    on(SIGSEGV, fault_again, SA_SIGINFO);
    *(volatile int *)0 = 1;
}

CASE(a_handler_may_repair) {
    area = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    on(SIGSEGV, repair, SA_SIGINFO);
    *(volatile int *)(area + 8) = 7;
    say("%d count %d", *(volatile int *)(area + 8), count);
}
