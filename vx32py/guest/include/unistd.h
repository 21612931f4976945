/* unistd.h - the system calls, with errno. */
#ifndef VX_UNISTD_H
#define VX_UNISTD_H

#include <sys/types.h>

#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2
#ifndef SEEK_SET
#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#endif

extern char **environ;

ssize_t read(int fd, void *to, size_t n);
ssize_t write(int fd, const void *from, size_t n);
int close(int fd);
off_t lseek(int fd, off_t offset, int whence);
int dup(int fd);
int dup2(int fd, int wanted);
int pipe(int fds[2]);
int ftruncate(int fd, off_t size);
int truncate(const char *path, off_t size);
int link(const char *from, const char *to);
int unlink(const char *path);
int rmdir(const char *path);
int chdir(const char *path);
char *getcwd(char *to, size_t n);
pid_t fork(void);
pid_t getpid(void);
pid_t waitpid(pid_t pid, int *status, int options);
int execv(const char *path, char *const argv[]);
unsigned sleep(unsigned seconds);
_Noreturn void _exit(int code);

int brk(void *end);
void *sbrk(intptr_t increment);

#endif
