/* cat.c - bytes in, bytes out: stdin, or the files in argv that the host grants, to stdout. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

static char buffer[65536];

static int copy(FILE *from)
{
    size_t n;

    while ((n = fread(buffer, 1, sizeof buffer, from)) > 0)
        if (fwrite(buffer, 1, n, stdout) != n)
            return 1;
    return ferror(from);
}

int main(int argc, char **argv)
{
    int failed = 0;

    if (argc < 2)
        return copy(stdin);
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");

        if (!file) {
            fprintf(stderr, "cat: %s: %s\n", argv[i], strerror(errno));
            failed = 1;
            continue;
        }
        failed |= copy(file);
        fclose(file);
    }
    return failed;
}
