/* fcntl.h - open, with the flags of the VX ABI. */
#ifndef VX_FCNTL_H
#define VX_FCNTL_H

#include <sys/types.h>
#include <vx.h>

#define O_RDONLY VX_O_RDONLY
#define O_WRONLY VX_O_WRONLY
#define O_RDWR VX_O_RDWR
#define O_ACCMODE VX_O_ACCMODE
#define O_CREAT VX_O_CREAT
#define O_EXCL VX_O_EXCL
#define O_NOCTTY VX_O_NOCTTY
#define O_TRUNC VX_O_TRUNC
#define O_APPEND VX_O_APPEND
#define O_NONBLOCK VX_O_NONBLOCK
#define O_SYNC VX_O_SYNC

int open(const char *path, int flags, ...);
int creat(const char *path, mode_t mode);
int fcntl(int fd, int command, ...);

#endif
