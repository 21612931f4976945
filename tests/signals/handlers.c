/* Handlers: how they are entered and left, masks, flags, queues. */
#include "cases.h"

static volatile int count, order[64];
static char text[256];

static void note(int number) { order[count++ & 63] = number; }
static void say_order(void) {
    for (int i = 0; i < count; i++) printf("%d ", order[i]);
    say("in this order");
}

CASE(a_handler_gets_the_sender) {
    void handler(int number, siginfo_t *info, void *context) {
        say("%d %d code %d errno %d pid %d uid %d", number, info->si_signo, info->si_code, info->si_errno,
            info->si_pid == getpid(), info->si_uid == getuid());
        say("mask %d", sigismember(&((ucontext_t *)context)->uc_sigmask, SIGUSR1));
    }
    on(SIGUSR1, handler, SA_SIGINFO);
    kill(getpid(), SIGUSR1);
    raise(SIGUSR1);
    syscall(SYS_tkill, getpid(), SIGUSR1);
}

CASE(blocked_signals_wait_and_collapse) {
    on(SIGUSR1, note, 0);
    on(SIGUSR2, note, 0);
    block(SIG_BLOCK, SIGUSR1);
    block(SIG_BLOCK, SIGUSR2);
    for (int i = 0; i < 3; i++) {
        kill(getpid(), SIGUSR2);
        kill(getpid(), SIGUSR1);
    }
    sigset_t set;
    sigpending(&set);
    say("pending %d %d %d", sigismember(&set, SIGUSR1), sigismember(&set, SIGUSR2), sigismember(&set, SIGINT));
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    say_order();
}

CASE(real_time_signals_queue_in_order) {
    void handler(int number, siginfo_t *info, void *context) {
        say("%d value %d code %d", number - SIGRTMIN, info->si_value.sival_int, info->si_code);
    }
    for (int i = 0; i < 3; i++) {
        struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
        sigfillset(&action.sa_mask);
        sigaction(SIGRTMIN + i, &action, NULL);
        block(SIG_BLOCK, SIGRTMIN + i);
    }
    for (int i = 0; i < 6; i++) {
        union sigval value = {.sival_int = i};
        sigqueue(getpid(), SIGRTMIN + 2 - i % 3, value);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

CASE(nested_handlers_and_masks) {
    static sigset_t seen;
    void inner(int number) {
        sigprocmask(SIG_BLOCK, NULL, &seen);
        say("inner %d: %d %d %d", number, sigismember(&seen, SIGUSR1), sigismember(&seen, SIGUSR2), sigismember(&seen, SIGTERM));
    }
    void outer(int number) {
        sigprocmask(SIG_BLOCK, NULL, &seen);
        say("outer %d: %d %d %d", number, sigismember(&seen, SIGUSR1), sigismember(&seen, SIGUSR2), sigismember(&seen, SIGTERM));
        raise(SIGUSR2);
        raise(SIGTERM);
        say("outer ends");
    }
    struct sigaction action = {.sa_handler = outer};
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGUSR1, &action, NULL);
    on(SIGUSR2, inner, 0);
    on(SIGTERM, inner, 0);
    raise(SIGUSR1);
    sigprocmask(SIG_BLOCK, NULL, &seen);
    say("after: %d %d %d", sigismember(&seen, SIGUSR1), sigismember(&seen, SIGUSR2), sigismember(&seen, SIGTERM));
}

CASE(nodefer_and_resethand) {
    void again(int number) {
        if (count++ < 3) raise(number);
    }
    on(SIGUSR1, again, SA_NODEFER);
    raise(SIGUSR1);
    say("count %d", count);
    count = 0;
    on(SIGUSR2, note, SA_RESETHAND);
    raise(SIGUSR2);
    struct sigaction now;
    sigaction(SIGUSR2, NULL, &now);
    say("count %d default %d flags %x", count, now.sa_handler == SIG_DFL, now.sa_flags & ~0x04000000);
}

CASE(handlers_without_siginfo_and_the_old_calls) {
    struct { void *handler; unsigned long mask, flags; void *restorer; } action = {note, 0, SA_NODEFER, 0}, old;
    /* The library's own restorer is needed: without one, and without a vDSO, there is the one in the frame. */
    told(syscall(SYS_sigaction, SIGUSR1, &action, NULL));
    raise(SIGUSR1);
    told(syscall(SYS_sigaction, SIGUSR1, NULL, &old));
    say("same %d flags %lx count %d", old.handler == note, old.flags, count);
    say("signal %d", syscall(SYS_signal, SIGUSR1, note) == (long)note);
    raise(SIGUSR1);
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    say("count %d default %d", count, now.sa_handler == SIG_DFL);
    unsigned long set = 1 << (SIGUSR2 - 1), before = 99;
    told(syscall(SYS_sigprocmask, SIG_BLOCK, &set, &before));
    kill(getpid(), SIGUSR2);
    told(syscall(SYS_sigpending, &before));
    say("%lx", before);
    told(syscall(SYS_sgetmask));
    told(syscall(SYS_ssetmask, 0x100));
}

CASE(what_sigaction_refuses) {
    struct sigaction action = {.sa_handler = note};
    told(sigaction(SIGKILL, &action, NULL));
    told(sigaction(SIGSTOP, &action, NULL));
    told(sigaction(0, &action, NULL));
    told(sigaction(65, &action, NULL));
    told(sigaction(SIGKILL, NULL, &action));
    told(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 4));
    told(syscall(SYS_rt_sigaction, SIGUSR1, 16, NULL, 8));
    told(syscall(SYS_rt_sigaction, SIGUSR1, NULL, 16, 8));
    told(syscall(SYS_rt_sigprocmask, 3, &action, NULL, 8));
    told(syscall(SYS_rt_sigprocmask, 3, NULL, NULL, 8));
    told(kill(getpid(), 65));
    told(kill(getpid(), -1));
    told(kill(getpid(), 0));
    told(kill(0x7fffffff, 0));
    told(kill(0x80000000, 9));
    told(syscall(SYS_tkill, 0, 9));
    told(syscall(SYS_tgkill, getpid(), 0x7fffffff, 9));
    told(syscall(SYS_tgkill, getpid() + 1, getpid(), 9));
    told(syscall(SYS_restart_syscall));
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigprocmask(SIG_SETMASK, NULL, &all);
    say("%d %d %d", sigismember(&all, SIGKILL), sigismember(&all, SIGSTOP), sigismember(&all, SIGTERM));
}

CASE(ignored_signals_are_forgotten) {
    block(SIG_BLOCK, SIGUSR1);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    on(SIGUSR1, note, 0);
    block(SIG_UNBLOCK, SIGUSR1);
    say("count %d", count);
    raise(SIGCHLD);
    raise(SIGURG);
    raise(SIGWINCH);
    raise(SIGCONT);
    say("alive");
}

CASE(suspend_takes_what_was_pending) {
    on(SIGUSR1, note, 0);
    block(SIG_BLOCK, SIGUSR1);
    kill(getpid(), SIGUSR1);
    sigset_t none, now;
    sigemptyset(&none);
    told(sigsuspend(&none));
    sigprocmask(SIG_BLOCK, NULL, &now);
    say("count %d blocked %d", count, sigismember(&now, SIGUSR1));
}

CASE(ppoll_with_a_mask) {
    on(SIGUSR1, note, 0);
    block(SIG_BLOCK, SIGUSR1);
    kill(getpid(), SIGUSR1);
    sigset_t none, now;
    sigemptyset(&none);
    struct timespec t = {5, 0};
    told(ppoll(NULL, 0, &t, &none));
    sigprocmask(SIG_BLOCK, NULL, &now);
    say("count %d blocked %d", count, sigismember(&now, SIGUSR1));
}

CASE(sigtimedwait_takes_without_a_handler) {
    on(SIGUSR1, note, 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    siginfo_t info;
    struct timespec t = {0, 1000000};
    told(sigtimedwait(&set, &info, &t));
    union sigval value = {.sival_int = 77};
    sigqueue(getpid(), SIGRTMIN + 3, value);
    kill(getpid(), SIGUSR1);
    int found = sigtimedwait(&set, &info, &t);
    say("%d code %d", found, info.si_code);
    found = sigtimedwait(&set, &info, &t);
    say("%d code %d value %d", found - SIGRTMIN, info.si_code, info.si_value.sival_int);
    t.tv_nsec = -1;
    told(sigtimedwait(&set, &info, &t));
    if (!fork()) {
        sleep_ms(20);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    found = sigwaitinfo(&set, &info);
    say("%d pid %d", found, info.si_pid != getpid());
    wait(NULL);
    on(SIGALRM, note, SA_RESTART);
    struct itimerval often = {{0, 20000}, {0, 20000}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, NULL);
    told(sigwaitinfo(&set, &info));
    setitimer(ITIMER_REAL, &never, NULL);
    say("%d", count > 0);
}

CASE(queueinfo) {
    void handler(int number, siginfo_t *info, void *context) {
        say("%d code %d pid %d uid %d value %x", number, info->si_code, info->si_pid, info->si_uid, info->si_value.sival_int);
    }
    on(SIGUSR1, handler, SA_SIGINFO);
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = -1;
    info.si_pid = 5;
    info.si_uid = 6;
    info.si_value.sival_int = 0x1234;
    told(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
    told(syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), SIGUSR1, &info));
    info.si_code = 0;
    told(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
    told(syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &info));
    told(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, 16));
}

CASE(longjmp_out_of_handlers) {
    static sigjmp_buf where;
    void handler(int number) { siglongjmp(where, 1); }
    on(SIGUSR1, handler, 0);
    volatile int times = 0;
    while (times < 10000)
        if (!sigsetjmp(where, 1)) kill(getpid(), SIGUSR1);
        else times++;
    say("times %d", times);
}

CASE(alternate_stacks) {
    static char stack[16384];
    static stack_t new;
    stack_t old;
    void handler(int number) {
        char here;
        stack_t now;
        sigaltstack(NULL, &now);
        say("on it %d flags %x", &here > stack && &here < stack + sizeof stack, now.ss_flags);
        told(sigaltstack(&new, NULL));
    }
    new.ss_sp = stack;
    new.ss_size = sizeof stack;
    sigaltstack(NULL, &old);
    say("flags %x size %d", old.ss_flags, (int)old.ss_size);
    told(sigaltstack(&new, &old));
    on(SIGUSR1, handler, SA_ONSTACK);
    raise(SIGUSR1);
    sigaltstack(NULL, &old);
    say("flags %x same %d", old.ss_flags, old.ss_sp == stack);
    new.ss_flags = 1u << 31;
    told(sigaltstack(&new, NULL));
    raise(SIGUSR1);
    sigaltstack(NULL, &old);
    say("flags %x same %d", old.ss_flags, old.ss_sp == stack);
    new.ss_flags = 0;
    new.ss_size = 100;
    told(sigaltstack(&new, NULL));
    new.ss_flags = 77;
    told(sigaltstack(&new, NULL));
    new.ss_flags = SS_DISABLE;
    told(sigaltstack(&new, NULL));
    raise(SIGUSR1);
}

CASE(a_full_alternate_stack_is_the_end) {
    static char stack[2048 + 256];
    stack_t new = {.ss_sp = stack, .ss_size = sizeof stack};
    void handler(int number) {
        text[0] = number;
        if (count++ < 20) raise(SIGUSR1);
    }
    sigaltstack(&new, NULL);
    on(SIGUSR1, handler, SA_ONSTACK | SA_NODEFER);
    raise(SIGUSR1);
    say("not reached");
}

extern char skip[];
CASE(registers_come_back) {
    void handler(int number, siginfo_t *info, void *context) {
        greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
        say("eax %x edx %x esi %x edi %x trap %d error %d at %d", r[REG_EAX], r[REG_EDX], r[REG_ESI], r[REG_EDI],
            r[REG_TRAPNO], r[REG_ERR], info->si_addr == (void *)r[REG_EIP]);
        r[REG_EDX] = 0x11111111;
        r[REG_EDI] = 0x22222222;
        r[REG_EFL] |= 1 | 0x40 | 0x3000;
        r[REG_EIP] = (greg_t)skip;
        asm volatile("mov $0x55, %%esi" ::: "esi");
    }
    on(SIGILL, handler, SA_SIGINFO);
    unsigned a = 1, d = 2, s = 3, t = 4, f;
    asm volatile("clc; ud2; hlt; skip: pushf; pop %4" : "+a"(a), "+d"(d), "+S"(s), "+D"(t), "=c"(f)::"memory", "cc");
    say("%x %x %x %x %x", a, d, s, t, f & 0x3041);
}
