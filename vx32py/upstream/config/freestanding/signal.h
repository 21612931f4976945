/* signal.h - what a header names that is never called: a guest has no signals. */
#ifdef __vx__
typedef unsigned sigset_t;
int sigprocmask(int how, const sigset_t *set, sigset_t *old);
#else /* the same program for a host, which has its own */
#include_next <signal.h>
#endif
