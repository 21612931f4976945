/* unistd.c - the system calls, with errno. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <vx.h>

/* A negative result becomes errno and -1. */
static int32_t vx_call(uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
    int32_t result = vx_syscall(number, a, b, c, d, e);

    if (result < 0) {
        errno = -result;
        return -1;
    }
    return result;
}

void _exit(int code)
{
    for (;;)
        vx_syscall(VX_SYS_EXIT, (uint32_t)code, 0, 0, 0, 0);
}

ssize_t read(int fd, void *to, size_t n)
{
    return vx_call(VX_SYS_READ, (uint32_t)fd, VX_PTR(to), n, 0, 0);
}

ssize_t write(int fd, const void *from, size_t n)
{
    return vx_call(VX_SYS_WRITE, (uint32_t)fd, VX_PTR(from), n, 0, 0);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    uint32_t mode = 0;

    if (flags & O_CREAT) {
        va_start(ap, flags);
        mode = va_arg(ap, mode_t);
        va_end(ap);
    }
    return vx_call(VX_SYS_OPEN, VX_PTR(path), (uint32_t)flags, mode, 0, 0);
}

int creat(const char *path, mode_t mode)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

int fcntl(int fd, int command, ...)
{
    va_list ap;
    uint32_t argument;

    va_start(ap, command);
    argument = va_arg(ap, uint32_t);
    va_end(ap);
    return vx_call(VX_SYS_FCNTL, (uint32_t)fd, (uint32_t)command, argument, 0, 0);
}

int close(int fd)
{
    return vx_call(VX_SYS_CLOSE, (uint32_t)fd, 0, 0, 0, 0);
}

off_t lseek(int fd, off_t offset, int whence)
{
    return vx_call(VX_SYS_LSEEK, (uint32_t)fd, (uint32_t)offset, (uint32_t)whence, 0, 0);
}

int dup(int fd)
{
    return vx_call(VX_SYS_DUP, (uint32_t)fd, (uint32_t)-1, 0, 0, 0);
}

int dup2(int fd, int wanted)
{
    return vx_call(VX_SYS_DUP, (uint32_t)fd, (uint32_t)wanted, 0, 0, 0);
}

int pipe(int fds[2])
{
    return vx_call(VX_SYS_PIPE, VX_PTR(fds), 0, 0, 0, 0);
}

int ftruncate(int fd, off_t size)
{
    return vx_call(VX_SYS_FTRUNCATE, (uint32_t)fd, (uint32_t)size, 0, 0, 0);
}

int truncate(const char *path, off_t size)
{
    return vx_call(VX_SYS_TRUNCATE, VX_PTR(path), (uint32_t)size, 0, 0, 0);
}

int link(const char *from, const char *to)
{
    return vx_call(VX_SYS_LINK, VX_PTR(from), VX_PTR(to), 0, 0, 0);
}

int remove(const char *path)
{
    return vx_call(VX_SYS_REMOVE, VX_PTR(path), 0, 0, 0, 0);
}

int unlink(const char *path)
{
    return remove(path);
}

int rmdir(const char *path)
{
    return remove(path);
}

int chdir(const char *path)
{
    return vx_call(VX_SYS_CHDIR, VX_PTR(path), 0, 0, 0, 0);
}

char *getcwd(char *to, size_t n)
{
    return vx_call(VX_SYS_GETCWD, VX_PTR(to), n, 0, 0, 0) < 0 ? NULL : to;
}

int chmod(const char *path, mode_t mode)
{
    return vx_call(VX_SYS_CHMOD, VX_PTR(path), mode, 0, 0, 0);
}

int mkdir(const char *path, mode_t mode)
{
    return vx_call(VX_SYS_MKDIR, VX_PTR(path), mode, 0, 0, 0);
}

int stat(const char *restrict path, struct stat *restrict st)
{
    return vx_call(VX_SYS_STAT, VX_PTR(path), VX_PTR(st), 0, 0, 0);
}

int lstat(const char *restrict path, struct stat *restrict st)
{
    return vx_call(VX_SYS_LSTAT, VX_PTR(path), VX_PTR(st), 0, 0, 0);
}

int fstat(int fd, struct stat *st)
{
    return vx_call(VX_SYS_FSTAT, (uint32_t)fd, VX_PTR(st), 0, 0, 0);
}

pid_t fork(void)
{
    return vx_call(VX_SYS_FORK, 0, 0, 0, 0, 0);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    return vx_call(VX_SYS_WAITPID, (uint32_t)pid, VX_PTR(status), (uint32_t)options, 0, 0);
}

int execv(const char *path, char *const argv[])
{
    return vx_call(VX_SYS_EXEC, VX_PTR(path), VX_PTR(argv), 0, 0, 0);
}

unsigned sleep(unsigned seconds)
{
    return vx_call(VX_SYS_SLEEP, seconds, 0, 0, 0, 0) < 0 ? seconds : 0;
}

pid_t getpid(void)
{
    return vx_call(VX_SYS_GETPID, 0, 0, 0, 0, 0);
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    return vx_call(VX_SYS_GETTIMEOFDAY, VX_PTR(tv), VX_PTR(zone), 0, 0, 0);
}

time_t time(time_t *t)
{
    struct timeval tv;
    time_t now = gettimeofday(&tv, NULL) < 0 ? -1 : tv.tv_sec;

    if (t)
        *t = now;
    return now;
}

clock_t clock(void)
{
    return vx_syscall(VX_SYS_CLOCK, 0, 0, 0, 0, 0);
}

/* From the linker script: the end of .bss, and the end of its last page, which the loader has mapped as a whole. */
extern char _end[], vx_image_end[];

static char *vx_break = _end;         /* what the program has asked for */
static char *vx_limit = vx_image_end; /* what the host has given */

int brk(void *end)
{
    char *wanted = end;

    if (wanted < _end) {
        errno = ENOMEM;
        return -1;
    }
    if (wanted > vx_limit) {
        if (vx_call(VX_SYS_BRK, VX_PTR(wanted), 0, 0, 0, 0) < 0)
            return -1;
        /* The host rounds up; what it added is ours without another call. */
        vx_limit = (char *)((VX_PTR(wanted) + VX_BRK_UNIT - 1) & ~(VX_BRK_UNIT - 1));
    }
    vx_break = wanted;
    return 0;
}

void *sbrk(intptr_t increment)
{
    char *old = vx_break;
    uintptr_t wanted = VX_PTR(old) + (uintptr_t)increment;

    if ((increment > 0) != (wanted > VX_PTR(old)) && increment) {
        errno = ENOMEM;
        return (void *)-1;
    }
    return brk((void *)wanted) < 0 ? (void *)-1 : old;
}
