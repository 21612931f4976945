/* streaming.c - guests that read standard input and write standard output, in the many ways there are: argv[1] says which. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vx.h>

static char buffer[65536];
static int count;

/* 0 for what has been copied, 1 for an error. */
static int copy(int from, int to)
{
    ssize_t n;

    while ((n = read(from, buffer, sizeof buffer)) > 0)
        for (char *p = buffer; n > 0;) {
            ssize_t written = write(to, p, (size_t)n);

            if (written <= 0)
                return 1;
            p += written;
            n -= written;
        }
    return n < 0;
}

/* Everything in which a guest could remember: data, heap, stack below it, descriptors, what it has made of its streams. */
static int memory_of_files(void)
{
    static char seen[4096];
    static char *heap;
    static int places;
    char line[4096];
    ssize_t n = read(0, line, sizeof line);
    int fds[2];

    if (heap == NULL)
        heap = calloc(1, 4096);
    printf("seen=%s heap=%s count=%d places=%d break=%d\n", seen, heap, count, places, dup(1));
    fflush(stdout);
    if (n > 0) {
        memcpy(seen, line, (size_t)n);
        memcpy(heap, line, (size_t)n);
    }
    count++;
    places += pipe(fds) == 0;
    sbrk(1 << 20);
    close(0);
    return 0;
}

static int done_after_each(void)
{
    int code;

    do {
        count++;
        printf("%d ", count);
        code = 0;
        for (int c; (c = getchar()) != EOF;) {
            putchar(c);
            if (c == '!')
                code = 3;
        }
    } while (vx_done(code) == 0);
    printf("(alone)");
    return code;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "copy";

    if (!strcmp(how, "copy"))
        return copy(0, 1);
    if (!strcmp(how, "remember"))
        return memory_of_files();
    if (!strcmp(how, "done"))
        return done_after_each();
    if (!strcmp(how, "exit"))
        return copy(0, 1) + 7;
    if (!strcmp(how, "banner")) {
        printf("banner %d ", count++);
        fflush(stdout);
        return copy(0, 1);
    }
    if (!strcmp(how, "never reads")) {
        printf("nothing %d", count++);
        return 0;
    }
    if (!strcmp(how, "nothing at all"))
        return 5;
    if (!strcmp(how, "closes")) {
        close(0);
        printf("%d %d %d", (int)read(0, buffer, 1), (int)write(1, "", 0), close(0));
        return 0;
    }
    if (!strcmp(how, "duplicate")) {
        int from = dup(0), to = dup(1);

        close(0);
        close(1);
        return copy(from, to);
    }
    if (!strcmp(how, "seeks")) {
        int end = (int)lseek(0, 0, SEEK_END);

        lseek(0, 1, SEEK_SET);
        printf("%d:", end);
        fflush(stdout);
        return copy(0, 1);
    }
    if (!strcmp(how, "half")) {
        write(1, buffer, (size_t)read(0, buffer, 2));
        return 0;
    }
    if (!strcmp(how, "pick")) { /* what the file says */
        ssize_t n = read(0, buffer, sizeof buffer - 1);

        buffer[n > 0 ? n : 0] = 0;
        if (!strcmp(buffer, "trap"))
            __builtin_trap();
        if (!strcmp(buffer, "wild"))
            *(volatile char *)8 = 1;
        if (!strcmp(buffer, "loop"))
            for (;;)
                ;
        if (!strcmp(buffer, "flood"))
            while (write(1, buffer, sizeof buffer) > 0)
                ;
        if (!strcmp(buffer, "errors"))
            for (int i = 0; i < 100; i++)
                write(2, buffer, sizeof buffer);
        if (!strcmp(buffer, "memory"))
            while (malloc(1 << 20))
                count++;
        if (!strcmp(buffer, "sleep"))
            sleep(100);
        if (!strcmp(buffer, "fork")) {
            pid_t child = fork();

            printf(child ? "parent " : "child ");
            fflush(stdout);
            if (child)
                waitpid(child, NULL, 0);
            return child == 0 ? 9 : 0;
        }
        if (!strcmp(buffer, "orphan") && fork() == 0)
            for (;;)
                ;
        if (!strcmp(buffer, "done by child") && fork() == 0) {
            printf("%d ", vx_done(0));
            return 0;
        }
        if (!strcmp(buffer, "done by child"))
            waitpid(-1, NULL, 0);
        if (!strcmp(buffer, "exec")) {
            char *again[] = {"guest", "copy", NULL};

            execv("/guest", again);
            return 1;
        }
        printf("%d %s", count++, buffer);
        return 0;
    }
    if (!strcmp(how, "forks first")) {
        if (fork() == 0)
            return copy(0, 1);
        waitpid(-1, NULL, 0);
        printf(" parent");
        return 0;
    }
    if (!strcmp(how, "forks before")) { /* and is alone again when it reads */
        if (fork() == 0)
            return 0;
        waitpid(-1, NULL, 0);
        count++;
        return copy(0, 1) + 10 * count;
    }
    if (!strcmp(how, "loops first"))
        for (;;)
            ;
    if (!strcmp(how, "traps first"))
        __builtin_trap();
    if (!strcmp(how, "executes first")) {
        char *again[] = {"guest", "copy", NULL};

        execv("/guest", again);
    }
    return 99;
}
