/* unistd.h - what sources take from Unix besides Plan 9's own calls, which have other arguments and are in sys9.h. */
#ifndef UNISTD_H
#define UNISTD_H

#include <stddef.h>
#include <stdint.h>

#define SEEK_SET 0
#define SEEK_CUR 1
#define SEEK_END 2
#define R_OK 4
#define W_OK 2
#define X_OK 1
#define F_OK 0

long lseek(int fd, long offset, int whence);
long read(int fd, void *to, long n);
long write(int fd, const void *from, long n);
int close(int fd);
long pread(int fd, void *to, long n, long long offset);
long pwrite(int fd, const void *from, long n, long long offset);
int pipe(int *fds);
int chdir(char *name);
char *getcwd(char *to, unsigned long size);
int execvp(char *name, char **argv);
int execlp(char *name, ...);
int fork(void);
int getpid(void);
int access(const char *path, int mode);
int isatty(int fd);
int unlink(const char *path);
int mkstemp(char *name);
void *sbrk(intptr_t increment);
void _exit(int code) __attribute__((noreturn));
void exit(int code) __attribute__((noreturn));

#endif
