/* Frames that no kernel has built: the program hands them to sigreturn and rt_sigreturn, and comes back from wherever that
 * leads, by way of a handler on a stack of its own. All that counts is that the host is none the worse. */
#include "cases.h"

static unsigned char frame[8192] __attribute__((aligned(64))), original[8192];
static unsigned size, state_at;
static sigjmp_buf where;
static uint64_t seed;
static int mortal;

static unsigned random_number(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 33;
}

static void take(int number, siginfo_t *info, void *context) {
    unsigned char *start = (unsigned char *)__builtin_frame_address(0) + 4;
    ucontext_t *uc = context;
    unsigned char *state = (unsigned char *)uc->uc_mcontext.fpregs;
    /* pretcode is in front of the arguments */
    size = state - start + 112 + 512 + 64 + 256 + 4;
    state_at = state - start;
    memcpy(original, start, size);
}

static void back(int number) { siglongjmp(where, 1); }

static void land(void) {
    float f[4];
    double d;
    unsigned mxcsr;
    asm volatile("fstl %0; movups %%xmm3, %1; stmxcsr %2; addps %%xmm1, %%xmm2; fld1; faddp; fwait" : "=m"(d), "=m"(f), "=m"(mxcsr));
    siglongjmp(where, 1);
}

static void give_back(int realtime) {
    unsigned char *esp = frame + (realtime ? 4 : 8);
    asm volatile("mov %0, %%esp; int $0x80" ::"r"(esp), "a"(realtime ? 173 : 119) : "memory");
}

int trial(int n) {
    memcpy(frame, original, size);
    unsigned *sc = (unsigned *)(frame + 16 + 128 + 20), *state = (unsigned *)(frame + state_at);
    sc[19] = (unsigned)state;
    int kind = n % 8, realtime = kind != 7;
    sc[14] = (unsigned)land;
    sc[7 - 4] = (unsigned)(frame + sizeof frame - 512);
    sc[7] = sc[3];
    ((unsigned *)(frame + 16 + 128))[2] = 0;
    if (kind == 0)
        for (unsigned i = 0; i < size; i++) frame[i] = random_number();
    else
        for (unsigned times = random_number() % 12; times; times--) {
            unsigned *word = kind < 3 ? sc + random_number() % 24 : kind < 6 ? state + random_number() % (28 + 128 + 16 + 32) : (unsigned *)frame + random_number() % (size / 4);
            if (kind == 2 && (word == sc + 14 || word == sc + 15 || word == sc + 18)) continue;
            switch (random_number() % 4) {
                case 0: *word = random_number(); break;
                case 1: *word ^= 1u << random_number() % 32; break;
                case 2: *word = 0xffffffff; break;
                case 3: *word = 0; break;
            }
        }
    if (random_number() % 4 == 0) {
        state[28 + 116] = 0x46505853; /* an extension, whether there is one or not */
        state[28 + 117] = random_number() % 2000;
        state[28 + 118] = random_number() % 256;
        state[28 + 120] = random_number() % 2 ? 576 : random_number() % 3000;
    }
    /* With these blocked, or without the stack, the next fault is the end: that is tried now and then. */
    if (mortal == 0 || n % 100 != 99) {
        sc[20] = sc[22] = sc[23] = 0;
        sc[-2] = 77;
        memcpy(sc, original + 16 + 128 + 20, 4); /* the library's siglongjmp needs GS */
        if (!realtime) {
            memmove(frame + 8, sc, 88);
            memset(frame + 8 + 88 + 624, 0, 4);
        }
    }
    give_back(realtime);
    return 0;
}

static char stack[65536];

static void try_many(void) {
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    seed = getenv("SEED") ? atoi(getenv("SEED")) : 1;
    on(SIGUSR1, take, SA_SIGINFO);
    kill(getpid(), SIGUSR1);
    int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGALRM, SIGSYS};
    for (int i = 0; i < 7; i++) on(signals[i], back, SA_ONSTACK | SA_NODEFER);
    volatile int n = 0;
    struct itimerval soon = {{0, 50000}, {0, 50000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    while (n < 400) {
        sigset_t none;
        sigemptyset(&none);
        sigaltstack(&alternate, NULL);
        if (!sigsetjmp(where, 1)) {
            n++;
            trial(n);
        }
        sigprocmask(SIG_SETMASK, &none, NULL);
    }
    say("%d", n);
}

CASE(frames_at_random) { try_many(); }

CASE(frames_that_may_be_the_end) {
    mortal = 1;
    try_many();
}
