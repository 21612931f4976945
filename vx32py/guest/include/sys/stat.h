/* sys/stat.h - the state of a file, as the VX ABI lays it out. */
#ifndef VX_SYS_STAT_H
#define VX_SYS_STAT_H

#include <sys/types.h>
#include <vx.h>

struct stat {
    uint32_t st_dev, st_ino, st_mode, st_nlink, st_uid, st_gid, st_rdev;
    uint32_t st_blksize, st_blocks, st_size, st_atime, st_mtime, st_ctime;
};

#define S_IFMT VX_S_IFMT
#define S_IFREG VX_S_IFREG
#define S_IFDIR VX_S_IFDIR
#define S_IFLNK VX_S_IFLNK
#define S_IFSOCK VX_S_IFSOCK
#define S_IFIFO VX_S_IFIFO
#define S_IFBLK VX_S_IFBLK
#define S_IFCHR VX_S_IFCHR
#define S_ISREG(mode) (((mode) & S_IFMT) == S_IFREG)
#define S_ISDIR(mode) (((mode) & S_IFMT) == S_IFDIR)
#define S_ISLNK(mode) (((mode) & S_IFMT) == S_IFLNK)
#define S_ISCHR(mode) (((mode) & S_IFMT) == S_IFCHR)
#define S_ISBLK(mode) (((mode) & S_IFMT) == S_IFBLK)
#define S_ISFIFO(mode) (((mode) & S_IFMT) == S_IFIFO)
#define S_ISSOCK(mode) (((mode) & S_IFMT) == S_IFSOCK)

int stat(const char *restrict path, struct stat *restrict st);
int lstat(const char *restrict path, struct stat *restrict st);
int fstat(int fd, struct stat *st);
int chmod(const char *path, mode_t mode);
int mkdir(const char *path, mode_t mode);

#endif
