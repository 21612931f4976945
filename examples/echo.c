/* echo.c - arguments and environment: prints argv[1..], or with -e the environment, one a line. */
#include <stdio.h>
#include <string.h>

extern char **environ;

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "-e")) {
        for (char **e = environ; *e; e++)
            puts(*e);
        return 0;
    }
    for (int i = 1; i < argc; i++)
        printf("%s%s", i > 1 ? " " : "", argv[i]);
    putchar('\n');
    return 0;
}
