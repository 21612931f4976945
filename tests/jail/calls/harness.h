/* What the cases of this directory are written with.

A case is a function that calls the system and says what came of it, one line a call: the call as it stands in the source,
its result, and the name of the error. It must say nothing that differs between two runs on the same system: no address,
inode number, time or process number, but how they relate. Its working directory is empty but for `prog`, this program, and the
empty directory `private`, which in the jail is a file system of the jail's own: where it has FIFOs and sockets. */

#pragma once
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096

struct named {
    const char *file, *name;
    void (*run)(void);
    int (*help)(int, char **);
    struct named *next;
};
void add_named(struct named *);

/* A case: CASE(what_must_hold) { ... }. It is called `prog DIRECTORY file:what_must_hold`. */
#define CASE(title)                                                                                                    \
    static void case_##title(void);                                                                                    \
    static struct named named_##title = {__FILE__, #title, case_##title, 0, 0};                                        \
    __attribute__((constructor)) static void add_##title(void) { add_named(&named_##title); }                          \
    static void case_##title(void)

/* One whose answers the jail documents, and the kernel's file system may not give: it is not compared. */
#define JAIL_CASE(title) CASE(title)

/* What a case makes of this program with execve: HELPER(name) { argc, argv ... return status; }. Called `prog @name ...`. */
#define HELPER(title)                                                                                                  \
    static int help_##title(int, char **);                                                                             \
    static struct named helper_##title = {__FILE__, "@" #title, 0, help_##title, 0};                                   \
    __attribute__((constructor)) static void add_helper_##title(void) { add_named(&helper_##title); }                  \
    static int help_##title(int argc, char **argv)

/* Say "call = result", with the error's name after -1. OK is for results that are not comparable: it says only ok. */
#define T(call)                                                                                                        \
    ({                                                                                                                 \
        errno = 0;                                                                                                     \
        long long result_ = (long long)(call);                                                                         \
        report(#call, result_);                                                                                        \
        result_;                                                                                                       \
    })
#define OK(call)                                                                                                       \
    ({                                                                                                                 \
        errno = 0;                                                                                                     \
        __typeof__(call) result_ = (call);                                                                             \
        say((long)result_ == -1 ? "%s = -1 %s" : "%s = ok", #call, error_name());                                      \
        result_;                                                                                                       \
    })

extern const char *directory;                                       /* where the case runs, absolute */
void say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* one line, in one write */
void report(const char *call, long long result);
const char *error_name(void);
const char *quoted(const void *bytes, int count);                   /* in C's manner; valid until the next call */
void make(const char *path, const char *content);
void show(const char *path);                                        /* what the file contains */
void show_descriptor(int fd);                                       /* what can be read from fd, without waiting long */
void ended(int status);                                             /* say a wait status */
pid_t start(void (*run)(void));                                     /* a child that runs that, and exits with 0 */
void wait_for(pid_t child);                                         /* wait, and say how it ended */
void pause_ms(int milliseconds);
void until_waiting(pid_t process);                                  /* until it is in a call that waits */
void until_others_wait(void);                                       /* the same of all other threads of this process */
long long now_ms(void);                                             /* CLOCK_MONOTONIC */
char *edge(int count);                                              /* `count` zeros before a page that nobody may touch */
char *read_only(void);                                              /* a page of zeros that may only be read */
#define NOWHERE ((void *)edge(0))
void same_stat(const char *what, const struct stat *a, const struct stat *b);
