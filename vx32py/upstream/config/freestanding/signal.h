/* signal.h - what a header names that is never called: a guest has no signals. */
typedef unsigned sigset_t;
int sigprocmask(int how, const sigset_t *set, sigset_t *old);
