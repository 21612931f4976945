/* process.c - the end of a process, its children, its environment, notes, locks, memory, time. */

extern int _brk(void *);
extern int _nsec(vlong *);
extern void *malloc9(ulong), *calloc9(ulong, ulong), *realloc9(void *, ulong);
extern void free9(void *);

enum { Exitmax = 33 };

char *argv0;
static char *break9 = end;
static void (*atexit9[Exitmax])(void);

int atexit(void (*function)(void))
{
    int i;

    for (i = 0; i < Exitmax; i++)
        if (!atexit9[i]) {
            atexit9[i] = function;
            return 1;
        }
    return 0;
}

void exits(char *status)
{
    int i;

    for (i = Exitmax - 1; i >= 0; i--) {
        void (*function)(void) = atexit9[i];

        atexit9[i] = nil;
        if (function)
            function();
    }
    _exits(status);
}

void abort(void)
{
    for (;;)
        *(volatile int *)nil = 0;
}

void sysfatal(char *f, ...)
{
    char text[512];
    va_list args;

    va_start(args, f);
    vsnprint(text, sizeof text, f, args);
    va_end(args);
    fprint(2, "%s: %s\n", argv0 ? argv0 : "<prog>", text);
    exits(text);
}

void _assert(char *condition)
{
    fprint(2, "assert failed: %s\n", condition);
    abort();
}

/* -- errors ------------------------------------------------------------------------------------------------------ */

void rerrstr(char *text, uint size)
{
    char own[ERRMAX];

    own[0] = 0;
    errstr(own, sizeof own);
    strecpy(text, text + size, own);
    errstr(own, sizeof own);
}

void werrstr(char *f, ...)
{
    char text[ERRMAX];
    va_list args;

    va_start(args, f);
    vsnprint(text, sizeof text, f, args);
    va_end(args);
    errstr(text, sizeof text);
}

void perror(char *what)
{
    if (what)
        fprint(2, "%s: %r\n", what);
    else
        fprint(2, "%r\n");
}

/* -- memory ------------------------------------------------------------------------------------------------------ */

int brk(void *address)
{
    if (_brk(address) < 0)
        return -1;
    break9 = address;
    return 0;
}

void *sbrk(ulong more)
{
    char *old = (char *)(((uintptr)break9 + 3) & ~3UL);

    if (more && brk(old + more) < 0)
        return (void *)-1;
    return old;
}

static Lock memory9;

#define LOCKED(type, call)                                                                                             \
    {                                                                                                                  \
        type result;                                                                                                   \
        lock(&memory9);                                                                                                \
        result = call;                                                                                                 \
        unlock(&memory9);                                                                                              \
        return result;                                                                                                 \
    }

void *malloc(ulong n) LOCKED(void *, malloc9(n))
void *calloc(ulong count, ulong size) LOCKED(void *, calloc9(count, size))
void *realloc(void *old, ulong n) LOCKED(void *, realloc9(old, n))
void *mallocz(ulong n, int clear) LOCKED(void *, clear ? calloc9(n, 1) : malloc9(n))

void free(void *old)
{
    lock(&memory9);
    free9(old);
    unlock(&memory9);
}

/* -- processes --------------------------------------------------------------------------------------------------- */

int fork(void) { return rfork(RFPROC | RFFDG | RFREND); }
int getpid(void) { return _tos->pid; }

int execl(char *file, ...)
{
    return exec(file, (char **)(&file + 1));
}

/* All of a small file of the kernel's, as a string. */
static char *read9(char *name, char *text, int size)
{
    int fd = open(name, OREAD), n = -1;

    if (fd >= 0) {
        n = read(fd, text, size - 1);
        close(fd);
    }
    text[n < 0 ? 0 : n] = 0;
    return n < 0 ? nil : text;
}

int getppid(void)
{
    char text[32];

    return read9("/dev/ppid", text, sizeof text) ? atoi(text) : 0;
}

char *getuser(void)
{
    static char text[64];

    return read9("/dev/user", text, sizeof text) ? text : "none";
}

char *sysname(void)
{
    static char text[128];

    return read9("#c/sysname", text, sizeof text);
}

Waitmsg *wait(void)
{
    char text[512], *fields[5];
    int n = await(text, sizeof text - 1), i;
    Waitmsg *message;

    if (n < 0)
        return nil;
    text[n] = 0;
    if (tokenize(text, fields, nelem(fields)) != nelem(fields)) {
        werrstr("couldn't parse wait message");
        return nil;
    }
    message = malloc(sizeof *message + strlen(fields[4]) + 1);
    if (!message)
        return nil;
    message->pid = strtol(fields[0], nil, 10);
    for (i = 0; i < 3; i++)
        message->time[i] = strtoul(fields[i + 1], nil, 10);
    message->msg = strcpy((char *)(message + 1), fields[4]);
    return message;
}

int waitpid(void)
{
    Waitmsg *message = wait();
    int pid = message ? message->pid : -1;

    free(message);
    return pid;
}

/* -- notes ------------------------------------------------------------------------------------------------------- */

int postnote(int group, int pid, char *note)
{
    char name[64];
    int fd, n;

    snprint(name, sizeof name, group == PNGROUP ? "/proc/%d/notepg" : "/proc/%d/note", pid);
    fd = open(name, OWRITE);
    if (fd < 0)
        return -1;
    n = write(fd, note, strlen(note));
    close(fd);
    return n < 0 ? -1 : 0;
}

/* -- the environment --------------------------------------------------------------------------------------------- */

static int env9(char *name, char *path, int size)
{
    if (!*name || strchr(name, '/') || strlen(name) + 6 > (ulong)size)
        return -1;
    snprint(path, size, "/env/%s", name);
    return 0;
}

char *getenv(char *name)
{
    char path[256], *text;
    long size, n, i;
    int fd;

    if (env9(name, path, sizeof path) < 0 || (fd = open(path, OREAD)) < 0)
        return nil;
    size = seek(fd, 0, 2);
    text = size < 0 ? nil : malloc(size + 1);
    if (text) {
        seek(fd, 0, 0);
        n = readn(fd, text, size);
        n = n < 0 ? 0 : n;
        for (i = 0; i < n - 1; i++) /* a list of rc's */
            if (!text[i])
                text[i] = ' ';
        text[n] = 0;
    }
    close(fd);
    return text;
}

int putenv(char *name, char *value)
{
    char path[256];
    long n = strlen(value);
    int fd;

    if (env9(name, path, sizeof path) < 0 || (fd = create(path, OWRITE, 0664)) < 0)
        return -1;
    n = write(fd, value, n) == n ? 0 : -1;
    close(fd);
    return n;
}

/* -- locks: whoever has to wait does so in the kernel ------------------------------------------------------------- */

void lock(Lock *l)
{
    if (__sync_fetch_and_add(&l->key, 1) > 0)
        while (semacquire(&l->sem, 1) < 0)
            ;
}

int canlock(Lock *l)
{
    return __sync_bool_compare_and_swap(&l->key, 0, 1);
}

void unlock(Lock *l)
{
    if (__sync_fetch_and_sub(&l->key, 1) > 1)
        semrelease(&l->sem, 1);
}

/* -- time -------------------------------------------------------------------------------------------------------- */

vlong nsec(void)
{
    vlong now;

    return _nsec(&now) < 0 ? -1 : now;
}

long time(long *where)
{
    long now = nsec() / 1000000000;

    if (where)
        *where = now;
    return now;
}

double cputime(void)
{
    char text[128], *fields[6];

    if (!read9("/dev/cputime", text, sizeof text) || tokenize(text, fields, 6) < 2)
        return 0;
    return (atol(fields[0]) + atol(fields[1])) / 1000.0;
}
