/* cat.c - what is in files, or on the standard input. */
#include <u.h>
#include <libc.h>

static void copy(int fd, char *name)
{
    static char buffer[8192];
    long n;

    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        if (write(1, buffer, n) != n)
            sysfatal("write error: %r");
    if (n < 0)
        sysfatal("reading %s: %r", name);
}

void main(int argc, char **argv)
{
    int fd, i;

    argv0 = "cat";
    if (argc == 1)
        copy(0, "<stdin>");
    for (i = 1; i < argc; i++) {
        fd = open(argv[i], OREAD);
        if (fd < 0)
            sysfatal("can't open %s: %r", argv[i]);
        copy(fd, argv[i]);
        close(fd);
    }
    exits(nil);
}
