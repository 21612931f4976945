/* The processes of the soak: a boss that keeps so many workers at work, each of which lives one story and says how it ended.
 * crew workers seconds seed
 * crew story name		lives that one, and ends well if it did
 * crew status			ends with that
 * Each second it prints: seconds, children made, children waited for, stories with a problem. */
#include <u.h>
#include <libc.h>
#include <tos.h>
#include <ureg.h>

static ulong seed;
static int notes, again;
static char last[ERRMAX];
static long sems[2];

static ulong any(ulong n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 12) % n;
}

#define CHECK(x) do { if (!(x)) fail(__LINE__, #x); } while (0)
static void fail(int line, char *what)
{
    char b[ERRMAX], error[ERRMAX];
    error[0] = 0;
    errstr(error, sizeof error);
    snprint(b, sizeof b, "crew.c:%d: %s: %s", line, what, error);
    exits(b);
}

static void handler(void *u, char *text)
{
    (void)u;
    notes++;
    strncpy(last, text, sizeof last - 1);
    if (again)
        alarm(again); /* the first one may come before the call that it is to end */
    noted(strncmp(text, "sys:", 4) == 0 && strncmp(text, "sys: write on closed pipe", 25) ? NDFLT : NCONT);
}

/* Wait for one child; how it ended, without its name. */
static char *ended(void)
{
    static char b[ERRMAX];
    Waitmsg *w = wait();
    char *p;
    if (w == nil)
        return "nobody";
    p = strchr(w->msg, ':');
    strncpy(b, p && p[1] == ' ' ? p + 2 : w->msg, sizeof b - 1);
    free(w);
    return b;
}
static void all_well(int n)
{
    while (n-- > 0) {
        char *s = ended();
        if (*s)
            exits(s);
    }
}
static int child(int flags)
{
    int pid = rfork(RFPROC | flags);
    if (pid < 0)
        exits("too many"); /* the boss lets that be */
    return pid;
}

/* -- stories ------------------------------------------------------------------------------------------------------ */

static void forks(void)
{
    int i, n = 1 + any(4), sum = 0, want = 0;
    char b[16];
    for (i = 0; i < n; i++) {
        want += i;
        if (child(RFFDG | RFREND) == 0) {
            sprint(b, "%d", i);
            exits(i ? b : nil);
        }
    }
    for (i = 0; i < n; i++)
        sum += atoi(ended());
    CHECK(sum == want && wait() == nil);
}

static void execs(void)
{
    char *words[] = {"crew", "ok", nil};
    if (child(RFFDG) == 0) {
        exec("/bin/crew", words);
        fail(__LINE__, "exec");
    }
    CHECK(strcmp(ended(), "ok") == 0);
    CHECK(exec("/bin/nothing", words) < 0);
}

static void pipes(void)
{
    static char b[8192];
    int ends[2], n, total = 0, size = 1 + any(60000), i, at = 0;
    CHECK(pipe(ends) == 0);
    if (child(RFFDG) == 0) {
        close(ends[0]);
        while (total < size) {
            n = 1 + any(sizeof b - 1);
            if (n > size - total)
                n = size - total;
            for (i = 0; i < n; i++)
                b[i] = total + i;
            CHECK(write(ends[1], b, n) == n);
            total += n;
        }
        exits(nil);
    }
    close(ends[1]);
    while ((n = read(ends[0], b, sizeof b)) > 0)
        for (i = 0; i < n; i++)
            CHECK((char)at++ == b[i]);
    CHECK(n == 0 && at == size);
    all_well(1);
    notify(handler);
    CHECK(write(ends[0], "x", 1) < 0 && notes == 1);
}

static void notes_to_each_other(void)
{
    int pid, me = getpid(), i;
    notify(handler);
    pid = child(RFFDG | RFNOTEG);
    if (pid == 0) {
        for (i = 0; i < 100 && notes == 0; i++)
            sleep(20);
        CHECK(notes && strcmp(last, "hello") == 0 && postnote(PNPROC, me, "back") == 0);
        exits(nil);
    }
    CHECK(postnote(PNPROC, pid, "hello") == 0);
    for (i = 0; i < 500 && notes == 0; i++)
        sleep(20);
    CHECK(notes == 1 && strcmp(last, "back") == 0);
    all_well(1);
}

static void meetings(void)
{
    int i, n = 1 + any(20);
    CHECK(rfork(RFREND) == 0);
    if (child(0) == 0) {
        for (i = 0; i < n; i++)
            CHECK(rendezvous((void *)7, (void *)(2 * i)) == (void *)(2 * i + 1));
        exits(nil);
    }
    for (i = 0; i < n; i++)
        CHECK(rendezvous((void *)7, (void *)(2 * i + 1)) == (void *)(2 * i));
    all_well(1);
}

static void semaphores(void)
{
    int i, n = 1 + any(20), local = n;
    if (child(RFMEM) == 0) {
        for (i = 0; i < n; i++)
            CHECK(semacquire(&sems[0], 1) == 1 && semrelease(&sems[1], 1) >= 1);
        CHECK(local == n);
        local = 0;
        exits(nil);
    }
    for (i = 0; i < n; i++)
        CHECK(semrelease(&sems[0], 1) >= 1 && semacquire(&sems[1], 1) == 1);
    all_well(1);
    CHECK(local == n && tsemacquire(&sems[0], 1 + any(5)) == 0);
}

static void binds(void)
{
    char folder[32], b[64];
    int fd, i, n = 1 + any(8);
    CHECK(rfork(RFNAMEG) == 0);
    sprint(folder, "/tmp/%d", getpid());
    CHECK((fd = create(folder, OREAD, DMDIR | 0777)) >= 0);
    close(fd);
    sprint(b, "%s/file", folder);
    CHECK((fd = create(b, OWRITE, 0666)) >= 0 && write(fd, folder, strlen(folder)) > 0);
    close(fd);
    for (i = 0; i < n; i++) {
        CHECK(bind(folder, "/n", any(3) | MCREATE) > 0 && bind("/dev", "/n", MAFTER) > 0);
        CHECK((fd = open("/n/file", OREAD)) >= 0 && read(fd, b, sizeof b) == (long)strlen(folder));
        close(fd);
        CHECK((fd = open("/n/null", OREAD)) >= 0);
        close(fd);
        CHECK(unmount(folder, "/n") == 0 && unmount(nil, "/n") == 0);
    }
    sprint(b, "%s/file", folder);
    CHECK(remove(b) == 0 && remove(folder) == 0);
}

/* A server of 9P with one file, "name". */
static void serve(int fd)
{
    static uchar m[9000];
    int n, k;
    while ((n = read(fd, m, sizeof m)) > 0) {
        memset(m + n, 0, 20);
        switch (m[4]++) {
        case 100: break;
        case 104: memset(m + 7, 0, 13); m[7] = QTDIR; n = 20; break;
        case 110:
            k = m[15];
            if (k && strncmp((char *)m + 19, "name", 4)) goto error;
            if (k > 1) k = 1;
            m[7] = k; m[8] = 0; memset(m + 9, 0, 13); m[14] = 1; n = 9 + 13 * k;
            break;
        case 112: memset(m + 7, 0, 17); m[12] = 1; n = 24; break;
        case 116:
            k = m[11] == 0; m[7] = k ? 7 : 0; m[8] = m[9] = m[10] = 0;
            memcpy(m + 11, "content", 7); n = k ? 18 : 11;
            break;
        case 120: n = 7; break;
        default:
        error: m[4] = 107; m[7] = 2; m[8] = 0; m[9] = 'n'; m[10] = 'o'; n = 11;
        }
        m[0] = n; m[1] = n >> 8; m[2] = m[3] = 0;
        if (write(fd, m, n) != n)
            break;
    }
    exits(nil);
}

static void mounts(void)
{
    int ends[2], fd, i, n = 1 + any(4);
    char b[32];
    CHECK(rfork(RFNAMEG) == 0 && pipe(ends) == 0);
    if (child(RFFDG) == 0) {
        close(ends[0]);
        notify(handler);
        serve(ends[1]);
    }
    close(ends[1]);
    CHECK(mount(ends[0], -1, "/n", MREPL, "") > 0);
    for (i = 0; i < n; i++) {
        CHECK((fd = open("/n/name", OREAD)) >= 0 && read(fd, b, sizeof b) == 7 && memcmp(b, "content", 7) == 0);
        close(fd);
        CHECK(open("/n/other", OREAD) < 0);
    }
    CHECK(unmount(nil, "/n") == 0);
    all_well(1);
}

static void alarms(void)
{
    int ends[2], i, n = 1 + any(5);
    char b[8];
    notify(handler);
    CHECK(pipe(ends) == 0);
    for (i = 0; i < n; i++) {
        CHECK(alarm(100000) == 0 && alarm(0) > 0);
        notes = 0;
        again = 20;
        alarm(1 + any(10));
        CHECK((any(2) ? read(ends[0], b, sizeof b) : sleep(60000)) < 0);
        again = 0;
        alarm(0);
        CHECK(notes && strcmp(last, "alarm") == 0);
    }
    alarm(60000); /* goes with us */
}

static void segments(void)
{
    int i, n = 1 + any(3);
    for (i = 0; i < n; i++) {
        char *p = segattach(0, "shared", nil, 16384), *q = segattach(0, "memory", nil, 16384);
        CHECK(p != (void *)-1 && q != (void *)-1);
        p[16383] = q[16383] = 1;
        if (child(any(2) ? RFMEM : 0) == 0) {
            CHECK(p[16383] == 1 && q[16383] == 1);
            p[0] = 2;
            if (any(2))
                segdetach(q);
            exits(nil);
        }
        all_well(1);
        CHECK(p[0] == 2 && q[16383] == 1 && segdetach(p) == 0 && segdetach(q) == 0);
    }
}

static void heaps(void)
{
    ulong size = 4096 + any(1 << 20), i;
    char *p = malloc(size);
    CHECK(p != nil);
    for (i = 0; i < size; i += 4096)
        p[i] = i >> 12;
    if (child(0) == 0) {
        for (i = 0; i < size; i += 4096)
            CHECK(p[i]++ == (char)(i >> 12));
        exits(nil);
    }
    all_well(1);
    for (i = 0; i < size; i += 4096)
        CHECK(p[i] == (char)(i >> 12));
    free(p);
}

static void deaths(void)
{
    int pid, fd;
    char b[40];
    if (child(RFCFDG) == 0)
        *(volatile int *)0 = 1;
    CHECK(strncmp(ended(), "sys: trap: fault write addr=0x0 pc=", 35) == 0);
    pid = child(any(2) ? RFMEM : RFFDG);
    if (pid == 0)
        for (;;)
            ;
    sprint(b, "/proc/%d/ctl", pid);
    CHECK((fd = open(b, OWRITE)) >= 0);
    sleep(any(30));
    CHECK(write(fd, "kill", 4) == 4);
    close(fd);
    CHECK(strstr(ended(), "illed") != nil);
}

static void variables(void)
{
    char name[32], *value;
    CHECK(rfork(RFENVG) == 0);
    sprint(name, "v%d", getpid());
    CHECK(putenv(name, "value") >= 0);
    if (child(0) == 0) {
        CHECK((value = getenv(name)) != nil && strcmp(value, "value") == 0 && putenv(name, "other") >= 0);
        exits(nil);
    }
    all_well(1);
    CHECK((value = getenv(name)) != nil && strcmp(value, "other") == 0);
}

static void orphans(void)
{
    int i, n = 1 + any(3);
    for (i = 0; i < n; i++)
        if (child(RFNOWAIT | RFFDG | RFNAMEG | RFENVG | RFREND | RFNOTEG) == 0) {
            sleep(any(100));
            exits("nobody hears it");
        }
    CHECK(wait() == nil);
}

static struct {
    char *name;
    void (*tell)(void);
} stories[] = {
    {"forks", forks}, {"execs", execs}, {"pipes", pipes}, {"notes", notes_to_each_other}, {"meetings", meetings},
    {"semaphores", semaphores}, {"binds", binds}, {"mounts", mounts}, {"alarms", alarms}, {"segments", segments},
    {"heaps", heaps}, {"deaths", deaths}, {"variables", variables}, {"orphans", orphans},
};

/* -- the boss ----------------------------------------------------------------------------------------------------- */

void main(int argc, char **argv)
{
    int workers, made = 0, waited = 0, problems = 0, refused = 0, living = 0, told = -1, now, seconds, k, pid;
    vlong start;
    char *s;

    if (argc == 2)
        exits(argv[1]);
    if (argc == 3) {
        for (k = 0; k < (int)(sizeof stories / sizeof stories[0]); k++)
            if (strcmp(stories[k].name, argv[2]) == 0) {
                stories[k].tell();
                exits(nil);
            }
        exits("no such story");
    }
    workers = atoi(argv[1]);
    seconds = atoi(argv[2]);
    seed = atoi(argv[3]);
    start = nsec();
    for (;;) {
        now = (nsec() - start) / 1000000000;
        if (now != told) {
            print("%d %d %d %d %d\n", now, made, waited, problems, refused);
            told = now;
        }
        while (living < workers && now < seconds) {
            k = any(sizeof stories / sizeof stories[0]);
            any(2);
            pid = rfork(RFPROC | RFFDG | RFREND | RFNOTEG);
            if (pid < 0)
                break;
            if (pid == 0) {
                seed ^= getpid() * 2654435761U;
                stories[k].tell();
                exits(nil);
            }
            made++;
            living++;
        }
        if (!living)
            break;
        s = ended();
        if (strcmp(s, "nobody") == 0) {
            print("! a message was lost: %d made, %d waited for\n", made, waited);
            exits("lost");
        }
        waited++;
        living--;
        if (strcmp(s, "too many") == 0)
            refused++;
        else if (*s) {
            problems++;
            print("! %s\n", s);
        }
    }
    if (wait() != nil)
        print("! there was a child too many\n");
    print("%d %d %d %d %d\n", seconds, made, waited, problems, refused);
    exits(nil);
}
