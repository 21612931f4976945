/* What a signal does, said on stdout: each CASE runs natively and as a guest, and must say the same.
 * Numbers that differ from run to run (processes, addresses of the stack) are not said. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

struct a_case { const char *name; void (*run)(void); struct a_case *next; };
static struct a_case *cases;
static const char *program;

#define CASE(n)                                                          \
    static void run_##n(void);                                           \
    static struct a_case case_##n = {#n, run_##n, 0};                    \
    __attribute__((constructor)) static void add_##n(void) {             \
        case_##n.next = cases;                                           \
        cases = &case_##n;                                               \
    }                                                                    \
    static void run_##n(void)

#define say(...) (printf(__VA_ARGS__), printf("\n"), fflush(stdout))
#define told(call)                                                                            \
    do {                                                                                      \
        errno = 0;                                                                            \
        long result_ = (long)(call);                                                          \
        say("%s = %ld %s", #call, result_, errno ? strerrorname_np(errno) : "");              \
    } while (0)

__attribute__((unused)) static void on(int number, void *handler, int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
    action.sa_flags = flags;
    if (sigaction(number, &action, NULL)) say("sigaction: %s", strerrorname_np(errno));
}

__attribute__((unused)) static void block(int how, int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(how, &set, NULL);
}

__attribute__((unused)) static void sleep_ms(long ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t)) {
    }
}

/* How a child ended. */
__attribute__((unused)) static void say_status(const char *who, int status) {
    if (WIFEXITED(status)) say("%s: exit %d", who, WEXITSTATUS(status));
    else if (WIFSIGNALED(status)) say("%s: signal %d", who, WTERMSIG(status));
    else if (WIFSTOPPED(status)) say("%s: stopped by %d", who, WSTOPSIG(status));
    else if (WIFCONTINUED(status)) say("%s: continued", who);
}

int main(int argc, char **argv) {
    program = argv[0];
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (struct a_case *c = cases; c; c = c->next)
        if (argc > 1 && !strcmp(c->name, argv[1])) {
            c->run();
            return 0;
        }
    return 99;
}
