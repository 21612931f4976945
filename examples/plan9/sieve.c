/*
 * sieve.c - the primes up to a limit, by a process for each of them: it takes numbers from a pipe, and passes on to the next one
 * what its prime does not divide. (After McIlroy's "Squinting at power series" and Hoare's CSP.)
 *
 *     vx32py cc --libc plan9 examples/plan9/sieve.c -o sieve
 *     vx32py plan9 sieve -n 100
 */
#include <u.h>
#include <libc.h>

static void usage(void)
{
    fprint(2, "usage: %s [-n limit]\n", argv0);
    exits("usage");
}

/* The end of a pipe to read from, and to write to in a process of its own, in which this returns -1. */
static int begin(int *out)
{
    int ends[2];

    if (pipe(ends) < 0)
        sysfatal("pipe: %r");
    switch (rfork(RFPROC | RFFDG)) {
    case -1:
        sysfatal("rfork: %r");
    case 0:
        close(ends[0]);
        *out = ends[1];
        return -1;
    }
    close(ends[1]);
    return ends[0];
}

static int numbers(int limit)
{
    int out, in = begin(&out), n;

    if (in >= 0)
        return in;
    for (n = 2; n <= limit; n++)
        write(out, &n, sizeof n);
    exits(nil);
}

static int without(int prime, int from)
{
    int out, in = begin(&out), n;

    if (in >= 0) {
        close(from);
        return in;
    }
    while (readn(from, &n, sizeof n) == sizeof n)
        if (n % prime)
            write(out, &n, sizeof n);
    exits(nil);
}

void main(int argc, char **argv)
{
    int limit = 30, in, n;
    Waitmsg *w;

    ARGBEGIN {
    case 'n':
        limit = atoi(EARGF(usage()));
        break;
    default:
        usage();
    } ARGEND
    USED(argc);
    for (in = numbers(limit); readn(in, &n, sizeof n) == sizeof n; in = without(n, in))
        print("%d\n", n);
    while ((w = wait()) != nil) {
        if (w->msg[0])
            sysfatal("%s", w->msg);
        free(w);
    }
    exits(nil);
}
