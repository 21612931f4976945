/* libc.h - a compact C library with the names and meanings of Plan 9's (sections 2 and 3 of its manual). <u.h> goes first. */
#ifndef PLAN9_LIBC_H
#define PLAN9_LIBC_H

#define nelem(x) (sizeof(x) / sizeof((x)[0]))
#define offsetof(type, member) __builtin_offsetof(type, member)
#define assert(x) do { if (!(x)) _assert(#x); } while (0)

/* -- memory, strings, numbers ------------------------------------------------------------------------------------ */

extern void *memccpy(void *, void *, int, ulong);
extern void *memset(void *, int, ulong);
extern int memcmp(void *, void *, ulong);
extern void *memcpy(void *, void *, ulong);
extern void *memmove(void *, void *, ulong);
extern void *memchr(void *, int, ulong);

extern char *strcat(char *, char *);
extern char *strchr(char *, int);
extern int strcmp(char *, char *);
extern char *strcpy(char *, char *);
extern char *strecpy(char *, char *, char *);
extern char *strdup(char *);
extern char *strncat(char *, char *, ulong);
extern char *strncpy(char *, char *, ulong);
extern int strncmp(char *, char *, ulong);
extern char *strpbrk(char *, char *);
extern char *strrchr(char *, int);
extern char *strtok(char *, char *);
extern ulong strlen(char *);
extern ulong strspn(char *, char *);
extern ulong strcspn(char *, char *);
extern char *strstr(char *, char *);
extern int cistrcmp(char *, char *);
extern int cistrncmp(char *, char *, int);
extern int tokenize(char *, char **, int);
extern int getfields(char *, char **, int, int, char *);

extern int atoi(char *);
extern long atol(char *);
extern vlong atoll(char *);
extern long strtol(char *, char **, int);
extern ulong strtoul(char *, char **, int);
extern vlong strtoll(char *, char **, int);
extern uvlong strtoull(char *, char **, int);
extern int abs(int);
extern long labs(long);
extern void srand(long);
extern int rand(void);
extern long lrand(void);
extern int nrand(int);
extern long lnrand(long);
extern double frand(void);

extern void *malloc(ulong);
extern void *mallocz(ulong, int);
extern void *calloc(ulong, ulong);
extern void *realloc(void *, ulong);
extern void free(void *);
extern void qsort(void *, long, long, int (*)(void *, void *));
extern int setjmp(jmp_buf) __attribute__((returns_twice));
extern void longjmp(jmp_buf, int) __attribute__((noreturn));

/* -- characters: UTF-8 ------------------------------------------------------------------------------------------- */

enum { UTFmax = 4, Runesync = 0x80, Runeself = 0x80, Runeerror = 0xFFFD, Runemax = 0x10FFFF };

extern int runetochar(char *, Rune *);
extern int chartorune(Rune *, char *);
extern int runelen(long);
extern int fullrune(char *, int);
extern int utflen(char *);
extern int utfnlen(char *, long);
extern char *utfrune(char *, long);

/* -- print: %d %i %u %x %X %o %b %c %C %s %q %r %p %e %f %g %%, the flags - + # , 0 space u h l ll, width, precision, * - */

extern int print(char *, ...);
extern int fprint(int, char *, ...);
extern int vfprint(int, char *, va_list);
extern int sprint(char *, char *, ...);
extern int snprint(char *, int, char *, ...);
extern int vsnprint(char *, int, char *, va_list);
extern char *seprint(char *, char *, char *, ...);
extern char *vseprint(char *, char *, char *, va_list);
extern char *smprint(char *, ...);
extern char *vsmprint(char *, va_list);

/* A verb of one's own (fmtinstall(2)): the function takes its arguments from args, by va_arg. */
enum {
    FmtWidth = 1, FmtLeft = 2, FmtPrec = 4, FmtSharp = 8, FmtSpace = 16, FmtSign = 32, FmtZero = 64, FmtUnsigned = 128,
    FmtShort = 256, FmtLong = 512, FmtVLong = 1024, FmtComma = 2048, FmtByte = 4096
};

typedef struct Fmt Fmt;
struct Fmt {
    void *farg;
    va_list args;
    Rune r; /* the verb */
    int width, prec;
    ulong flags;
};

extern int fmtinstall(int, int (*)(Fmt *));
extern int fmtprint(Fmt *, char *, ...);
extern int fmtvprint(Fmt *, char *, va_list);
extern int fmtstrcpy(Fmt *, char *);
extern int fmtrune(Fmt *, int);
extern void quotefmtinstall(void); /* %q is always there */

/* -- the process ------------------------------------------------------------------------------------------------- */

enum { ERRMAX = 128 };
enum { NCONT, NDFLT, NSAVE, NRSTR };
enum {
    RFNAMEG = 1, RFENVG = 2, RFFDG = 4, RFNOTEG = 8, RFPROC = 16, RFMEM = 32, RFNOWAIT = 64,
    RFCNAMEG = 1024, RFCENVG = 2048, RFCFDG = 4096, RFREND = 8192, RFNOMNT = 16384
};
enum { PNPROC = 1, PNGROUP = 2 };

typedef struct Waitmsg Waitmsg;
struct Waitmsg {
    int pid;
    ulong time[3]; /* of loved one and descendants, in ms: user, system, real */
    char *msg;
};

extern char end[], edata[], etext[];
extern char *argv0;

extern int alarm(ulong);
extern int await(char *, int);
extern int brk(void *);
extern void *sbrk(ulong);
extern int errstr(char *, uint);
extern int exec(char *, char **);
extern int execl(char *, ...);
extern void exits(char *) __attribute__((noreturn));
extern void _exits(char *) __attribute__((noreturn));
extern int atexit(void (*)(void));
extern void abort(void) __attribute__((noreturn));
extern void sysfatal(char *, ...) __attribute__((noreturn));
extern void _assert(char *) __attribute__((noreturn));
extern int fork(void);
extern int getpid(void);
extern int getppid(void);
extern char *getuser(void);
extern char *sysname(void);
extern char *getenv(char *);
extern int putenv(char *, char *);
extern char *getwd(char *, int);
extern int notify(void (*)(void *, char *));
extern int noted(int);
extern int postnote(int, int, char *);
extern void perror(char *);
extern void rerrstr(char *, uint);
extern void werrstr(char *, ...);
extern void *rendezvous(void *, void *);
extern int rfork(int);
extern void *segattach(int, char *, void *, ulong);
extern void *segbrk(void *, void *);
extern int segdetach(void *);
extern int segflush(void *, ulong);
extern int segfree(void *, ulong);
extern int semacquire(long *, int);
extern int tsemacquire(long *, ulong);
extern long semrelease(long *, long);
extern int sleep(long);
extern int sysr1(void);
extern Waitmsg *wait(void);
extern int waitpid(void);

typedef struct Lock Lock;
struct Lock { /* all zero when nobody has it */
    long key, sem;
};

extern void lock(Lock *);
extern int canlock(Lock *);
extern void unlock(Lock *);

extern vlong nsec(void);
extern long time(long *);
extern double cputime(void);

/* -- files ------------------------------------------------------------------------------------------------------- */

enum { OREAD, OWRITE, ORDWR, OEXEC, OTRUNC = 16, OCEXEC = 32, ORCLOSE = 64, OEXCL = 0x1000 };
enum { AEXIST, AEXEC, AWRITE, AREAD = 4 };
enum { MREPL, MBEFORE, MAFTER, MORDER = 3, MCREATE = 4, MCACHE = 16 };
enum { QTDIR = 0x80, QTAPPEND = 0x40, QTEXCL = 0x20, QTMOUNT = 0x10, QTAUTH = 8, QTTMP = 4, QTFILE = 0 };
#define DMDIR 0x80000000
#define DMAPPEND 0x40000000
#define DMEXCL 0x20000000
#define DMMOUNT 0x10000000
#define DMAUTH 0x08000000
#define DMTMP 0x04000000
#define DMREAD 4
#define DMWRITE 2
#define DMEXEC 1
#define STATMAX 65535U
#define STATFIXLEN 49
#define DIRMAX (sizeof(Dir) + STATMAX)
#define IOUNIT 32768U

typedef struct Qid Qid;
struct Qid {
    uvlong path;
    ulong vers;
    uchar type;
};

typedef struct Dir Dir;
struct Dir {
    ushort type;
    uint dev;
    Qid qid;
    ulong mode, atime, mtime;
    vlong length;
    char *name, *uid, *gid, *muid;
};

extern int access(char *, int);
extern int bind(char *, char *, int);
extern int chdir(char *);
extern int close(int);
extern int create(char *, int, ulong);
extern int dup(int, int);
extern int fauth(int, char *);
extern int fd2path(int, char *, int);
extern int fversion(int, int, char *, int);
extern int mount(int, int, char *, int, char *);
extern int unmount(char *, char *);
extern int open(char *, int);
extern int pipe(int *);
extern long pread(int, void *, long, vlong);
extern long pwrite(int, void *, long, vlong);
extern long read(int, void *, long);
extern long readn(int, void *, long);
extern long write(int, void *, long);
extern vlong seek(int, vlong, int);
extern int remove(char *);
extern int iounit(int);

extern int stat(char *, uchar *, int);
extern int fstat(int, uchar *, int);
extern int wstat(char *, uchar *, int);
extern int fwstat(int, uchar *, int);
extern Dir *dirstat(char *);
extern Dir *dirfstat(int);
extern int dirwstat(char *, Dir *);
extern int dirfwstat(int, Dir *);
extern long dirread(int, Dir **);
extern long dirreadall(int, Dir **);
extern void nulldir(Dir *);
extern uint sizeD2M(Dir *);
extern uint convD2M(Dir *, uchar *, uint);
extern uint convM2D(uchar *, uint, Dir *, char *);
extern int statcheck(uchar *, uint);

/* -- the network: addresses such as tcp!host!port; directories have 40 bytes ------------------------------------- */

enum { NETPATHLEN = 40 };

extern int dial(char *, char *, char *, int *);
extern int announce(char *, char *);
extern int listen(char *, char *);
extern int accept(int, char *);
extern int reject(int, char *, char *);
extern int hangup(int);

/* -- arguments of a program: ARGBEGIN{ case 'x': ... }ARGEND ------------------------------------------------------ */

#define ARGBEGIN                                                                                                       \
    for ((argv0 || (argv0 = *argv)), argv++, argc--; argv[0] && argv[0][0] == '-' && argv[0][1]; argc--, argv++) {     \
        char *_args, *_argt;                                                                                           \
        Rune _argc;                                                                                                    \
        _args = &argv[0][1];                                                                                           \
        if (_args[0] == '-' && _args[1] == 0) {                                                                        \
            argc--;                                                                                                    \
            argv++;                                                                                                    \
            break;                                                                                                     \
        }                                                                                                              \
        _argc = 0;                                                                                                     \
        while (*_args && (_args += chartorune(&_argc, _args)))                                                         \
            switch (_argc)
#define ARGEND                                                                                                         \
    (void)_argt;                                                                                                       \
    }
#define ARGF()                                                                                                         \
    (_argt = _args, _args = "", (*_argt ? _argt : argv[1] ? (argc--, *++argv) : 0))
#define EARGF(x)                                                                                                       \
    (_argt = _args, _args = "", (*_argt ? _argt : argv[1] ? (argc--, *++argv) : ((x), abort(), (char *)0)))
#define ARGC() _argc

#endif
