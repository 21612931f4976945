/* Signals: actions, masks, frames, faults, alternate stacks, queues, and calls that they interrupt. */
#include "harness.h"

static volatile int count, last;

static void counts(int number) {
    count++;
    last = number;
}

static void act(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    if (sigaction(number, &action, NULL))
        say("sigaction: %s", error_name());
}

static void act_with_info(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    if (sigaction(number, &action, NULL))
        say("sigaction: %s", error_name());
}

/* A child that signals its parent when that waits. */
static pid_t signal_later(int number) {
    pid_t child = fork();
    if (child == 0) {
        until_waiting(getppid());
        kill(getppid(), number);
        _exit(0);
    }
    return child;
}

CASE(a_handler_is_called) {
    act(SIGUSR1, counts, 0);
    T(raise(SIGUSR1));
    say("%d %d", count, last == SIGUSR1);
    T(kill(getpid(), SIGUSR1));
    say("%d", count);
    signal(SIGUSR1, SIG_IGN);
    T(raise(SIGUSR1));
    say("%d", count);
}

CASE(actions_are_remembered) {
    struct sigaction action = {.sa_handler = counts, .sa_flags = SA_RESTART | SA_NODEFER}, old;
    sigaddset(&action.sa_mask, SIGTERM);
    T(sigaction(SIGUSR1, &action, &old));
    say("%d", old.sa_handler == SIG_DFL);
    T(sigaction(SIGUSR1, NULL, &old));
    say("%d %x %d %d", old.sa_handler == counts, old.sa_flags & ~0x04000000, sigismember(&old.sa_mask, SIGTERM),
        sigismember(&old.sa_mask, SIGHUP));
    T(sigaction(SIGKILL, &action, NULL));
    T(sigaction(SIGSTOP, &action, NULL));
    T(sigaction(SIGKILL, NULL, &old));
    T(sigaction(65, &action, NULL));
    T(sigaction(0, &action, NULL));
    T(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 4));
    T(syscall(SYS_rt_sigaction, SIGUSR1, NOWHERE, NULL, 8));
    T(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NOWHERE, 8));
    T(signal(SIGUSR2, counts) == SIG_DFL);
    T(signal(SIGUSR2, SIG_DFL) == counts);
}

CASE(default_actions) {
    T(raise(SIGCHLD));
    T(raise(SIGURG));
    T(raise(SIGWINCH));
    T(raise(SIGCONT));
    static const int fatal[] = {SIGHUP, SIGINT,  SIGQUIT,   SIGILL,  SIGTRAP, SIGBUS,  SIGFPE,    SIGUSR1, SIGSEGV, SIGPIPE,
                                SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGPROF, SIGVTALRM, SIGIO,   SIGPWR,  SIGSYS};
    for (unsigned i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        pid_t child = fork();
        if (child == 0) {
            raise(fatal[i]);
            _exit(0);
        }
        wait_for(child);
    }
    pid_t child = fork();
    if (child == 0) {
        raise(SIGRTMIN);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    say("%d", WTERMSIG(status) == SIGRTMIN);
}

CASE(masks_hold_signals_back) {
    sigset_t set, old, pending;
    act(SIGUSR1, counts, 0);
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    T(sigprocmask(SIG_BLOCK, &set, &old));
    say("%d", sigismember(&old, SIGUSR1));
    T(raise(SIGUSR1));
    T(raise(SIGUSR1));
    T(sigpending(&pending));
    say("%d pending %d %d", count, sigismember(&pending, SIGUSR1), sigismember(&pending, SIGUSR2));
    T(sigprocmask(SIG_SETMASK, &old, &set));
    say("%d %d", count, sigismember(&set, SIGUSR1));
    sigfillset(&set);
    T(sigprocmask(SIG_SETMASK, &set, NULL));
    T(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &old, 8));
    say("%d %d %d", sigismember(&old, SIGKILL), sigismember(&old, SIGSTOP), sigismember(&old, SIGTERM));
    T(sigprocmask(77, &set, NULL));
    T(sigprocmask(77, NULL, NULL));
    T(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4));
    T(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NOWHERE, NULL, 8));
    T(syscall(SYS_rt_sigpending, NOWHERE, 8));
}

CASE(an_ignored_signal_does_not_stay_pending) {
    sigset_t set, pending;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    T(raise(SIGUSR1));
    sigpending(&pending);
    say("%d", sigismember(&pending, SIGUSR1));
    signal(SIGUSR1, SIG_IGN);
    sigpending(&pending);
    say("%d", sigismember(&pending, SIGUSR1));
    signal(SIGUSR1, SIG_DFL);
    T(sigprocmask(SIG_UNBLOCK, &set, NULL));
}

static void shows_mask(int number) {
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    say("handling SIG%s: USR1 %d, USR2 %d, TERM %d", sigabbrev_np(number), sigismember(&mask, SIGUSR1),
        sigismember(&mask, SIGUSR2), sigismember(&mask, SIGTERM));
}

CASE(a_handler_runs_with_its_mask) {
    sigset_t mask;
    struct sigaction action = {.sa_handler = shows_mask};
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGUSR1, &action, NULL);
    action.sa_flags = SA_NODEFER;
    sigaction(SIGUSR2, &action, NULL);
    raise(SIGUSR1);
    raise(SIGUSR2);
    sigprocmask(SIG_BLOCK, NULL, &mask);
    say("%d %d", sigismember(&mask, SIGUSR1), sigismember(&mask, SIGTERM));
    act(SIGUSR1, shows_mask, SA_RESETHAND);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &action);
    say("%d", action.sa_handler == SIG_DFL);
}

static void nests(int number) {
    say("in SIG%s", sigabbrev_np(number));
    if (number == SIGUSR1)
        raise(SIGUSR2);
    if (number == SIGUSR2 && count++ == 0)
        raise(SIGUSR1);
    say("out of SIG%s", sigabbrev_np(number));
    if (count > 2)
        signal(SIGUSR1, SIG_IGN);
    count++;
}

CASE(handlers_nest) {
    act(SIGUSR1, nests, 0);
    act(SIGUSR2, nests, 0);
    raise(SIGUSR1);
    say("done");
}

static pid_t sender;

static void shows_info(int number, siginfo_t *info, void *context) {
    ucontext_t *user = context;
    say("SIG%s: number %d, code %d, mine %d, value %d", sigabbrev_np(number), info->si_signo == number, info->si_code,
        info->si_pid == sender && info->si_uid == getuid(), info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
    say("stack %d", (uintptr_t)user->uc_mcontext.gregs[REG_ESP] > (uintptr_t)&user);
}

CASE(information_about_the_sender) {
    act_with_info(SIGUSR1, shows_info, 0);
    sender = getpid();
    T(kill(sender, SIGUSR1));
    T(sigqueue(sender, SIGUSR1, (union sigval){.sival_int = 77}));
    T(syscall(SYS_tgkill, sender, sender, SIGUSR1));
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sender = fork();
    if (sender == 0) {
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    wait_for(sender);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int order[20], ordered;

static void records(int number, siginfo_t *info, void *context) {
    (void)context;
    order[ordered++] = (number - SIGRTMIN) * 100 + info->si_value.sival_int;
}

CASE(realtime_signals_queue_in_order) {
    sigset_t set;
    sigfillset(&set);
    for (int i = 0; i < 3; i++) {
        struct sigaction action = {.sa_sigaction = records, .sa_flags = SA_SIGINFO, .sa_mask = set};
        sigaction(SIGRTMIN + i, &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 6; i++)
        T(sigqueue(getpid(), SIGRTMIN + 2 - i % 3, (union sigval){.sival_int = i}));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    for (int i = 0; i < ordered; i++)
        say("%d", order[i]);
}

CASE(the_lowest_signal_comes_first) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGTERM), raise(SIGHUP), raise(SIGUSR1), raise(SIGRTMIN);
    siginfo_t info;
    struct timespec no_time = {0, 0};
    for (int i = 0; i < 5; i++) {
        int got = sigtimedwait(&set, &info, &no_time);
        say("%s", got == -1 ? error_name() : got == SIGRTMIN ? "SIGRTMIN" : sigabbrev_np(got));
    }
}

static sigjmp_buf back;
static siginfo_t seen;
static uintptr_t where;

static void jumps(int number, siginfo_t *info, void *context) {
    (void)number;
    seen = *info;
    where = ((ucontext_t *)context)->uc_mcontext.gregs[REG_EIP];
    siglongjmp(back, 1);
}

#define FAULT(what, statement)                                                                                         \
    if (!sigsetjmp(back, 1)) {                                                                                         \
        statement;                                                                                                     \
        say(what ": no fault");                                                                                        \
    } else                                                                                                             \
        say(what ": SIG%s, code %d", sigabbrev_np(seen.si_signo), seen.si_code)

CASE(faults_are_signals) {
    static const int numbers[] = {SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGBUS};
    for (int i = 0; i < 5; i++)
        act_with_info(numbers[i], jumps, 0);
    volatile int zero = 0, number = INT_MIN, minus = -1;
    FAULT("null", *(volatile int *)0 = 1);
    say("at 0: %d", seen.si_addr == NULL);
    char *page = read_only();
    FAULT("read-only", *(volatile char *)page = 1);
    say("there: %d", seen.si_addr == page);
    FAULT("divide", number = number / zero);
    say("there: %d", (uintptr_t)seen.si_addr == where);
    number = INT_MIN;
    FAULT("overflow", number = number / minus);
    FAULT("invalid opcode", asm volatile("ud2"));
    say("there: %d", (uintptr_t)seen.si_addr == where);
    FAULT("breakpoint", asm volatile("int3"));
    FAULT("privileged", asm volatile("hlt"));
    FAULT("data is not code", ((void (*)(void))page)());
    say("there: %d %d", seen.si_addr == page, where == (uintptr_t)page);
    FAULT("nowhere", ((void (*)(void))16)());
    FAULT("nothing", (void)0);
}

CASE(a_fault_that_is_blocked_kills) {
    sigset_t set;
    sigfillset(&set);
    act(SIGSEGV, counts, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    *(volatile int *)0 = 1;
}

CASE(a_fault_that_is_ignored_kills) {
    signal(SIGSEGV, SIG_IGN);
    T(raise(SIGSEGV));
    *(volatile int *)0 = 1;
}

CASE(a_fault_in_its_handler_kills) {
    act(SIGSEGV, (void (*)(int))16, 0);
    *(volatile int *)0 = 1;
}

static char *repaired;

static void repairs(int number) {
    (void)number;
    count++;
    mprotect(repaired, PAGE, PROT_READ | PROT_WRITE);
}

CASE(a_handler_repairs_the_fault) {
    repaired = read_only();
    act(SIGSEGV, repairs, 0);
    strcpy(repaired, "written");
    say("%s after %d", repaired, count);
}

static void skips(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    registers[REG_EIP] += 2;
    registers[REG_EAX] = registers[REG_EBX] + 1;
    say("trap %d, error %d", registers[REG_TRAPNO], registers[REG_ERR]);
}

CASE(a_handler_changes_registers) {
    int result;
    act_with_info(SIGILL, skips, 0);
    asm volatile("ud2" : "=a"(result) : "b"(41));
    say("%d", result);
}

static void spoils(int number) {
    (void)number;
    asm volatile("fninit; fldpi; pxor %%xmm0, %%xmm0; std; cld; stc" ::: "memory");
}

CASE(registers_survive_a_handler) {
    unsigned a, b, c, d, flags;
    double x, y[2] = {1.25, 2.5}, z[2];
    act(SIGUSR1, spoils, 0);
    asm volatile("movupd %8, %%xmm0; fld1; fld1; faddp; movl $37, %%eax; int $0x80; pushf; pop %4; fstpl %5; movupd %%xmm0, %6"
                 : "=&a"(a), "=b"(b), "=c"(c), "=d"(d), "=&r"(flags), "=m"(x), "=m"(z)
                 : "b"(getpid()), "m"(y), "c"(SIGUSR1), "d"(0x12345678)
                 : "memory", "st", "st(1)");
    say("%d %d %d %x carry %d, %g, %g %g", a, b == (unsigned)getpid(), c, d, flags & 1, x, z[0], z[1]);
}

static char *stack_low, *stack_high;

static void on_stack(int number) {
    char local;
    stack_t now;
    sigaltstack(NULL, &now);
    say("SIG%s: on it %d, flags %d", sigabbrev_np(number), &local >= stack_low && &local < stack_high, now.ss_flags);
    stack_t other = {stack_low, 0, 8192};
    if (now.ss_flags == SS_ONSTACK)
        T(sigaltstack(&other, NULL));
}

CASE(an_alternate_stack) {
    stack_t stack = {stack_low = malloc(32768), 0, 32768}, old;
    stack_high = stack_low + 32768;
    T(sigaltstack(NULL, &old));
    say("%d", old.ss_flags == SS_DISABLE);
    T(sigaltstack(&stack, NULL));
    act(SIGUSR1, on_stack, SA_ONSTACK);
    act(SIGUSR2, on_stack, 0);
    raise(SIGUSR1);
    raise(SIGUSR2);
    T(sigaltstack(NULL, &old));
    say("%d %d %d", old.ss_sp == stack.ss_sp, (int)old.ss_size, old.ss_flags);
    stack.ss_size = 100;
    T(sigaltstack(&stack, NULL));
    stack.ss_flags = 77, stack.ss_size = 32768;
    T(sigaltstack(&stack, NULL));
    T(syscall(SYS_sigaltstack, NOWHERE, NULL));
    T(syscall(SYS_sigaltstack, NULL, NOWHERE));
    stack.ss_flags = SS_DISABLE;
    T(sigaltstack(&stack, NULL));
    raise(SIGUSR1);
}

static void overflowed(int number) {
    (void)number;
    say("the stack is full");
    _exit(3);
}

static int recurses(int depth) {
    volatile char large[5000];
    large[0] = depth;
    return depth > 0 ? recurses(depth + 1) + large[0] : 0;
}

CASE(a_full_stack_is_a_fault) {
    stack_t stack = {malloc(32768), 0, 32768};
    struct rlimit limit = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_STACK, &limit);
    T(sigaltstack(&stack, NULL));
    act(SIGSEGV, overflowed, SA_ONSTACK);
    recurses(1);
}

CASE(siglongjmp_restores_the_mask) {
    sigset_t mask;
    act_with_info(SIGUSR1, jumps, 0);
    for (volatile int i = 0; i < 3; i++) {
        if (!sigsetjmp(back, 1))
            raise(SIGUSR1);
        sigprocmask(SIG_BLOCK, NULL, &mask);
        say("%d", sigismember(&mask, SIGUSR1));
    }
}

CASE(read_is_restarted_or_interrupted) {
    int ends[2];
    char bytes[10];
    T(pipe(ends));
    act(SIGUSR1, counts, 0);
    pid_t child = signal_later(SIGUSR1);
    T(read(ends[0], bytes, 10));
    wait_for(child);
    act(SIGUSR1, counts, SA_RESTART);
    child = fork();
    if (child == 0) {
        pause_ms(30);
        kill(getppid(), SIGUSR1);
        pause_ms(30);
        _exit(write(ends[1], "data", 4) != 4);
    }
    T(read(ends[0], bytes, 10));
    wait_for(child);
    say("%d", count);
}

CASE(what_is_never_restarted) {
    act(SIGUSR1, counts, SA_RESTART);
    pid_t child = signal_later(SIGUSR1);
    struct timespec time = {50, 0}, left = {0, 0};
    T(nanosleep(&time, &left));
    say("left %d", left.tv_sec >= 3 && left.tv_sec < 50);
    wait_for(child);
    child = signal_later(SIGUSR1);
    T(poll(NULL, 0, 50000));
    wait_for(child);
    child = signal_later(SIGUSR1);
    T(pause());
    wait_for(child);
    child = signal_later(SIGUSR1);
    struct timeval value = {50, 0};
    T(select(0, NULL, NULL, NULL, &value));
    wait_for(child);
    child = signal_later(SIGUSR1);
    struct epoll_event event;
    T(epoll_wait(epoll_create1(0), &event, 1, 50000));
    wait_for(child);
    say("%d", count);
}

CASE(waitpid_is_restarted_or_interrupted) {
    act(SIGUSR1, counts, 0);
    pid_t child = fork();
    if (child == 0)
        pause();
    pid_t other = signal_later(SIGUSR1);
    T(waitpid(child, NULL, 0));
    wait_for(other);
    act(SIGUSR1, counts, SA_RESTART);
    other = fork();
    if (other == 0) {
        pause_ms(30);
        kill(getppid(), SIGUSR1);
        pause_ms(30);
        kill(child, SIGKILL);
        _exit(0);
    }
    wait_for(child);
    wait_for(other);
    say("%d", count);
}

CASE(ignored_signals_interrupt_nothing) {
    signal(SIGUSR1, SIG_IGN);
    int ends[2];
    char byte;
    T(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        pause_ms(20);
        kill(getppid(), SIGUSR1);
        kill(getppid(), SIGWINCH);
        pause_ms(20);
        _exit(write(ends[1], "x", 1) != 1);
    }
    T(read(ends[0], &byte, 1));
    wait_for(child);
}

CASE(sigsuspend_waits_with_another_mask) {
    sigset_t set, empty, now;
    sigemptyset(&empty);
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    act(SIGUSR1, counts, SA_RESTART);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    say("%d", count);
    T(sigsuspend(&empty));
    say("%d", count);
    sigprocmask(SIG_BLOCK, NULL, &now);
    say("%d", sigismember(&now, SIGUSR1));
    pid_t child = signal_later(SIGUSR1);
    T(sigsuspend(&empty));
    wait_for(child);
    say("%d", count);
    T(syscall(SYS_rt_sigsuspend, NULL, 8));
    T(syscall(SYS_rt_sigsuspend, &empty, 4));
}

CASE(sigwait_takes_signals) {
    sigset_t set;
    int number;
    siginfo_t info;
    sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    T(sigwait(&set, &number));
    say("SIG%s", sigabbrev_np(number));
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    T(sigwaitinfo(&set, &info) == SIGCHLD);
    say("%d %d %d", info.si_pid == child, info.si_code == CLD_EXITED, info.si_status);
    wait_for(child);
    struct timespec time = {0, 10000000};
    T(sigtimedwait(&set, &info, &time));
    time.tv_nsec = -1;
    T(sigtimedwait(&set, &info, &time));
    T(syscall(SYS_rt_sigtimedwait_time64, &set, &info, NULL, 4));
    T(syscall(SYS_rt_sigtimedwait_time64, NOWHERE, &info, NULL, 8));
    act(SIGUSR2, counts, SA_RESTART);
    child = signal_later(SIGUSR2);
    sigdelset(&set, SIGCHLD);
    T(sigwaitinfo(&set, &info));
    say("%d", count);
    wait_for(child);
}

static void reaps(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    say("SIGCHLD: code %d, status %d", info->si_code, info->si_status);
    count++;
}

CASE(sigchld_tells_of_children) {
    act_with_info(SIGCHLD, reaps, SA_RESTART);
    pid_t child = fork();
    if (child == 0)
        _exit(3);
    wait_for(child);
    child = fork();
    if (child == 0) {
        raise(SIGKILL);
    }
    wait_for(child);
    int status;
    child = fork();
    if (child == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    waitpid(child, &status, WUNTRACED);
    ended(status);
    act_with_info(SIGCHLD, reaps, SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT);
    kill(child, SIGCONT);
    T(waitpid(child, &status, 0));
    say("%d", count);
}

CASE(sigpipe_and_epipe) {
    int ends[2];
    T(pipe(ends));
    close(ends[0]);
    pid_t child = fork();
    if (child == 0)
        _exit(write(ends[1], "x", 1) == -1);
    wait_for(child);
    act(SIGPIPE, counts, 0);
    T(write(ends[1], "x", 1));
    say("%d", count);
    signal(SIGPIPE, SIG_IGN);
    T(write(ends[1], "x", 1));
    say("%d", count);
}

CASE(handlers_are_copied_by_fork) {
    sigset_t set, pending;
    act(SIGUSR1, counts, 0);
    sigemptyset(&set), sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGTERM);
    pid_t child = fork();
    if (child == 0) {
        raise(SIGUSR1);
        sigprocmask(SIG_BLOCK, NULL, &set);
        sigpending(&pending);
        say("%d %d %d", count, sigismember(&set, SIGTERM), sigismember(&pending, SIGTERM));
        _exit(0);
    }
    wait_for(child);
    say("%d", count);
}

CASE(sigqueue_refuses) {
    siginfo_t info = {.si_code = SI_QUEUE};
    T(sigqueue(getpid(), 0, (union sigval){0}));
    T(sigqueue(getpid(), 99, (union sigval){0}));
    T(sigqueue(0x7fffffff, 0, (union sigval){0}));
    T(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, NULL));
    info.si_code = 0;
    T(syscall(SYS_rt_sigqueueinfo, 1, SIGUSR1, &info));
    info.si_code = SI_QUEUE;
    act(SIGUSR1, counts, 0);
    T(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info));
    say("%d", count);
}

CASE(old_calls_of_signals) {
    unsigned long old = 0, mask = 1 << (SIGUSR1 - 1);
    act(SIGUSR1, counts, 0);
    T(syscall(SYS_sigprocmask, SIG_BLOCK, &mask, &old));
    say("%lx", old);
    raise(SIGUSR1);
    T(syscall(SYS_sigpending, &old));
    say("%lx", old);
    T(syscall(SYS_sgetmask));
    T(syscall(SYS_ssetmask, 0));
    say("%d", count);
    T(syscall(SYS_signal, SIGUSR1, SIG_IGN) == (long)counts);
    raise(SIGUSR1);
    say("%d", count);
    T(syscall(SYS_signal, SIGKILL, SIG_IGN));
}

static void spins(int number) {
    (void)number;
    count = 1;
}

CASE(a_signal_interrupts_a_loop) {
    act(SIGUSR1, spins, 0);
    pid_t child = fork();
    if (child == 0) {
        pause_ms(30);
        _exit(kill(getppid(), SIGUSR1));
    }
    while (!count)
        ;
    say("%d", count);
    wait_for(child);
}

CASE(a_child_is_killed_in_a_loop) {
    pid_t child = fork();
    if (child == 0)
        for (;;)
            asm volatile("" ::: "memory");
    pause_ms(20);
    T(kill(child, SIGTERM));
    wait_for(child);
}

/* Calls that wait for nobody are not interrupted, also where they let others run. */
CASE(what_does_not_wait_does_not_fail_with_eintr) {
    act(SIGCHLD, counts, 0);
    act(SIGUSR1, counts, 0);
    int status, got, failed = 0;
    pid_t parent = getpid(), child = fork();
    if (child == 0)
        _exit(5);
    while ((got = waitpid(child, &status, WNOHANG)) == 0)
        continue;
    say("%d, exit code %d, %d signals", got == child, WEXITSTATUS(status), count);
    child = fork();
    if (child == 0) {
        kill(parent, SIGUSR1);
        _exit(0);
    }
    while (count < 2)
        failed |= sched_yield();
    say("%d", failed);
    while ((got = waitpid(child, &status, 0)) < 0 && errno == EINTR)
        continue;
    say("%d", got == child);
}
