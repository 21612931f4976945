/*
 * vx.h - the VX ABI as a guest sees it: system calls, flags, structures.
 *
 * A guest reaches nothing but its own memory and what the host grants through these calls. A call is the instruction
 * SYSCALL: number in EAX, arguments in EDX, ECX, EBX, EDI, ESI, result in EAX; a negative result is -errno. No other
 * register changes, and in particular ECX does not (the processor's own SYSCALL would spoil it; a host never lets a
 * guest execute it in place).
 */
#ifndef VX_H
#define VX_H

#include <stdint.h>

/* System calls. */
#define VX_SYS_EXIT 1
#define VX_SYS_BRK 2 /* (new end): rounded up to VX_BRK_UNIT; returns 0, not the end */
#define VX_SYS_READ 3
#define VX_SYS_WRITE 4
#define VX_SYS_OPEN 5
#define VX_SYS_CLOSE 6
#define VX_SYS_LSEEK 7
#define VX_SYS_REMOVE 8
#define VX_SYS_GETTIMEOFDAY 9
#define VX_SYS_CLOCK 10
#define VX_SYS_STAT 11
#define VX_SYS_FSTAT 12
#define VX_SYS_GETCWD 13
#define VX_SYS_CHDIR 14
#define VX_SYS_CHMOD 15
#define VX_SYS_DUP 16 /* (fd, new): new is -1 for any free descriptor */
#define VX_SYS_LINK 17
#define VX_SYS_SELECT 18
#define VX_SYS_MKDIR 19
#define VX_SYS_FCNTL 20
#define VX_SYS_TRUNCATE 21
#define VX_SYS_FTRUNCATE 22
#define VX_SYS_LSTAT 23
#define VX_SYS_FORK 24
#define VX_SYS_WAITPID 25
#define VX_SYS_EXEC 26
#define VX_SYS_PIPE 27
#define VX_SYS_SLEEP 28
#define VX_SYS_GETPID 29
#define VX_SYS_DONE 30 /* (exit code): not of the original; see vx_done */

/* The end of the data segment moves in steps of this many bytes. */
#define VX_BRK_UNIT 0x100000u

/* Flags of VX_SYS_OPEN: bits 0-1 are the access mode. */
#define VX_O_RDONLY 0x000
#define VX_O_WRONLY 0x001
#define VX_O_RDWR 0x002
#define VX_O_ACCMODE 0x003
#define VX_O_CREAT 0x010
#define VX_O_EXCL 0x020
#define VX_O_NOCTTY 0x040
#define VX_O_TRUNC 0x080
#define VX_O_APPEND 0x100
#define VX_O_NONBLOCK 0x200
#define VX_O_SYNC 0x400

/* vx_stat.mode: a file type under VX_S_IFMT, three special bits, nine permission bits. */
#define VX_S_IFMT 070000
#define VX_S_IFREG 010000
#define VX_S_IFDIR 020000
#define VX_S_IFLNK 030000
#define VX_S_IFSOCK 040000
#define VX_S_IFIFO 050000
#define VX_S_IFBLK 060000
#define VX_S_IFCHR 070000
#define VX_S_ISUID 004000
#define VX_S_ISGID 002000
#define VX_S_ISVTX 001000

/* What stat, fstat and lstat fill in: thirteen words. */
struct vx_stat {
    uint32_t dev, ino, mode, nlink, uid, gid, rdev, blksize, blocks, size, atime, mtime, ctime;
};

/* What gettimeofday fills in. */
struct vx_timeval {
    int32_t sec, usec;
};

/* Any argument that is left out may be 0. The bytes are spelt out: 32-bit assemblers differ about the mnemonic. */
static inline __attribute__((always_inline)) int32_t vx_syscall(
    uint32_t number, uint32_t a, uint32_t b, uint32_t c, uint32_t d, uint32_t e)
{
    int32_t result;

    __asm__ volatile(".byte 0x0f, 0x05"
                     : "=a"(result)
                     : "0"(number), "d"(a), "c"(b), "b"(c), "D"(d), "S"(e)
                     : "memory", "cc");
    return result;
}

/*
 * For decoders: the file on standard input is done, with this exit code, and what is in memory may serve for the next one.
 * Returns 0 when that is there, with standard streams at their beginnings: a host that has several files of one owner
 * saves itself starting anew. Returns a negative number where nobody has more; then exit.
 *
 *     do
 *         code = decode();
 *     while (vx_done(code) == 0);
 *     return code;
 */
int vx_done(int code);

/* A pointer as a system-call argument. */
#define VX_PTR(p) ((uint32_t)(uintptr_t)(p))

#endif
