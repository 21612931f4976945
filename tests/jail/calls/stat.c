/* What the system says about files, in all its forms, and what can be changed of it. */
#include "harness.h"

#include <sys/sysmacros.h>
#include <utime.h>

static void say_mode(const char *path) {
    struct stat st;
    if (lstat(path, &st))
        say("%s: %s", path, error_name());
    else
        say("%s: %o, %d links, %lld bytes", path, st.st_mode, (int)st.st_nlink, (long long)st.st_size);
}

CASE(stat_in_all_forms) {
    struct stat st;
    struct stat64 a, b;
    make("file", "0123456789");
    T(symlink("file", "link"));
    T(stat("file", &st));
    say("%o, %d links, %d bytes, blocks of %d", st.st_mode, (int)st.st_nlink, (int)st.st_size, (int)st.st_blksize);
    T(syscall(SYS_stat64, "link", &a));
    T(syscall(SYS_lstat64, "link", &b));
    say("%o %d, %o %d", a.st_mode, (int)a.st_size, b.st_mode, (int)b.st_size);
    T(syscall(SYS_fstat64, open("file", O_RDONLY), &b));
    say("same %d", a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_blocks == b.st_blocks);
    say("same times %d", a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec);
    T(syscall(SYS_fstatat64, AT_FDCWD, "link", &a, 0));
    say("same %d", a.st_ino == b.st_ino);
    T(syscall(SYS_fstatat64, AT_FDCWD, "link", &a, AT_SYMLINK_NOFOLLOW));
    say("same %d", a.st_ino == b.st_ino);
    say("mine %d %d", b.st_uid == geteuid(), b.st_gid == getegid());
}

CASE(stat_refuses) {
    struct stat64 st;
    make("file", "");
    T(syscall(SYS_stat64, "missing", &st));
    T(syscall(SYS_stat64, "", &st));
    T(syscall(SYS_stat64, "file/", &st));
    T(syscall(SYS_stat64, NULL, &st));
    T(syscall(SYS_stat64, "file", NULL));
    T(syscall(SYS_stat64, "file", NOWHERE));
    T(syscall(SYS_stat64, "file", read_only()));
    T(syscall(SYS_stat64, "file", edge(sizeof st)));
    T(syscall(SYS_stat64, "file", edge(sizeof st - 1)));
    T(syscall(SYS_fstat64, 99, &st));
    T(syscall(SYS_fstat64, -1, NULL));
    T(syscall(SYS_fstatat64, 99, "file", &st, 0));
    T(syscall(SYS_fstatat64, AT_FDCWD, "file", &st, 0x8000));
    T(syscall(SYS_fstatat64, AT_FDCWD, "", &st, 0));
    T(syscall(SYS_fstatat64, AT_FDCWD, "", &st, AT_EMPTY_PATH));
    say("%o", st.st_mode & S_IFMT);
    int fd = T(open("file", O_RDONLY));
    T(syscall(SYS_fstatat64, fd, "", &st, AT_EMPTY_PATH));
    say("%o", st.st_mode & S_IFMT);
    T(syscall(SYS_fstatat64, fd, "x", &st, 0));
    T(syscall(SYS_fstatat64, fd, "", &st, 0));
}

CASE(statx_says_what_stat_says) {
    struct statx x;
    struct stat st;
    make("file", "0123456789");
    T(symlink("file", "link"));
    stat("file", &st);
    memset(&x, 0x55, sizeof x);
    T(syscall(SYS_statx, AT_FDCWD, "link", 0, STATX_BASIC_STATS, &x));
    say("%d", (x.stx_mask & STATX_BASIC_STATS) == STATX_BASIC_STATS);
    say("%o, %d links, %d bytes", x.stx_mode, (int)x.stx_nlink, (int)x.stx_size);
    say("same %d %d %d %d", x.stx_ino == st.st_ino, x.stx_uid == st.st_uid, x.stx_blocks == (uint64_t)st.st_blocks,
        x.stx_mtime.tv_sec == st.st_mtim.tv_sec && x.stx_mtime.tv_nsec == (uint32_t)st.st_mtim.tv_nsec);
    say("device %d", makedev(x.stx_dev_major, x.stx_dev_minor) == st.st_dev);
    T(syscall(SYS_statx, AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x));
    say("%o", x.stx_mode & S_IFMT);
    T(syscall(SYS_statx, open("file", O_RDONLY), "", AT_EMPTY_PATH, STATX_SIZE, &x));
    say("%d bytes", (int)x.stx_size);
    T(syscall(SYS_statx, AT_FDCWD, "file", 0x6000, STATX_BASIC_STATS, &x));
    T(syscall(SYS_statx, AT_FDCWD, "file", 0x20000, STATX_BASIC_STATS, &x));
    T(syscall(SYS_statx, AT_FDCWD, "file", 0, 0x80000000, &x));
    T(syscall(SYS_statx, AT_FDCWD, "missing", 0, STATX_BASIC_STATS, &x));
    T(syscall(SYS_statx, 99, "file", 0, STATX_BASIC_STATS, &x));
    T(syscall(SYS_statx, AT_FDCWD, "file", 0, STATX_BASIC_STATS, NULL));
    T(syscall(SYS_statx, AT_FDCWD, "", 0, STATX_BASIC_STATS, &x));
}

CASE(fchmodat2_has_flags) {
    struct stat st;
    make("file", "x");
    T(mkdir("dir", 0755));
    make("dir/file", "x");
    int dir = T(open("dir", O_RDONLY)), file = T(open("file", O_PATH));
    T(syscall(452, AT_FDCWD, "file", 0640, 0));
    T(syscall(452, dir, "file", 0604, 0));
    T(syscall(452, file, "", 0444, AT_EMPTY_PATH));
    T(syscall(452, file, "", 0440, 0));
    T(syscall(452, dir, "file", 0600, AT_SYMLINK_NOFOLLOW));
    T(syscall(452, dir, "file", 0600, AT_REMOVEDIR));
    T(syscall(452, 99, "file", 0600, 0));
    T(syscall(452, AT_FDCWD, "missing", 0600, 0));
    T(stat("file", &st));
    say("%o", st.st_mode);
    T(stat("dir/file", &st));
    say("%o", st.st_mode);
}

CASE(chmod_in_all_forms) {
    make("file", "");
    T(chmod("file", 0640));
    say_mode("file");
    T(chmod("file", 0));
    say_mode("file");
    T(fchmod(open("file", O_RDONLY), 0600) == 0 || errno == EBADF);
    T(chmod("file", 0777));
    int fd = T(open("file", O_RDONLY));
    T(fchmod(fd, 0604));
    say_mode("file");
    T(syscall(SYS_fchmodat, AT_FDCWD, "file", 0111));
    say_mode("file");
    T(chmod("file", 0170000 | 0644));
    say_mode("file");
    T(symlink("file", "link"));
    T(chmod("link", 0600));
    say_mode("file");
    say_mode("link");
    T(chmod("missing", 0600));
    T(chmod("file/", 0600));
    T(fchmod(99, 0600));
    T(fchmod(open("file", O_PATH), 0600));
    T(fchmodat(99, "file", 0600, 0));
    T(syscall(SYS_chmod, NULL, 0600));
    T(mkdir("dir", 0755));
    T(chmod("dir", 01700));
    say_mode("dir");
    T(rmdir("dir"));
}

CASE(chown_to_oneself) {
    make("file", "");
    T(symlink("missing", "link"));
    T(chown("file", geteuid(), getegid()));
    T(chown("file", -1, -1));
    T(lchown("link", -1, -1));
    T(chown("link", -1, -1));
    T(fchown(open("file", O_RDONLY), geteuid(), -1));
    T(fchown(99, -1, -1));
    T(fchownat(AT_FDCWD, "link", -1, -1, AT_SYMLINK_NOFOLLOW));
    T(fchownat(AT_FDCWD, "file", -1, -1, 0x8000));
    T(chown("missing", -1, -1));
}

static void say_times(const char *path) {
    struct stat st;
    lstat(path, &st);
    say("%s: %lld.%09ld %lld.%09ld", path, (long long)st.st_atim.tv_sec, st.st_atim.tv_nsec, (long long)st.st_mtim.tv_sec,
        st.st_mtim.tv_nsec);
}

CASE(times_can_be_set) {
    make("file", "");
    struct timespec times[2] = {{1000, 5}, {2000, 999999999}};
    T(utimensat(AT_FDCWD, "file", times, 0));
    say_times("file");
    times[0].tv_nsec = UTIME_OMIT, times[1].tv_sec = 3000;
    T(utimensat(AT_FDCWD, "file", times, 0));
    say_times("file");
    struct timeval values[2] = {{7, 8}, {9, 10}};
    T(utimes("file", values));
    say_times("file");
    struct utimbuf old = {100, 200};
    T(utime("file", &old));
    say_times("file");
    T(symlink("file", "link"));
    times[0].tv_nsec = 1;
    T(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW));
    say_times("link");
    say_times("file");
    int fd = T(open("file", O_RDONLY));
    times[0].tv_sec = 77;
    T(futimens(fd, times));
    say_times("file");
    times[0].tv_nsec = 1000000000;
    T(utimensat(AT_FDCWD, "file", times, 0));
    T(utimensat(AT_FDCWD, "missing", NULL, 0));
    T(utimensat(99, "file", NULL, 0));
    T(syscall(SYS_utimensat_time64, 99, NULL, NULL, 0));
    T(syscall(SYS_utimensat_time64, AT_FDCWD, NULL, NULL, 0));
    T(syscall(SYS_utimensat_time64, AT_FDCWD, "file", 1, 0));
    T(syscall(SYS_utimensat_time64, AT_FDCWD, "file", NULL, 0x8000));
    int times32[4] = {11, 12, 13, 14};
    T(syscall(SYS_utimensat, AT_FDCWD, "file", times32, 0));
    say_times("file");
    T(syscall(SYS_utime, "file", times32));
    say_times("file");
    T(syscall(SYS_utimes, "file", times32));
    say_times("file");
    values[0].tv_usec = 1000000;
    T(utimes("file", values));
}

CASE(times_move_with_writing) {
    struct stat before, after;
    make("file", "");
    struct timespec times[2] = {{1000, 0}, {2000, 0}};
    T(utimensat(AT_FDCWD, "file", times, 0));
    stat("file", &before);
    int fd = T(open("file", O_WRONLY));
    stat("file", &after);
    same_stat("opened", &before, &after);
    T(write(fd, "x", 1));
    stat("file", &after);
    say("mtime later %d, atime kept %d", after.st_mtim.tv_sec > 2000, after.st_atim.tv_sec == 1000);
    T(utimensat(AT_FDCWD, "file", NULL, 0));
    stat("file", &after);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    say("now %d", now.tv_sec - after.st_mtim.tv_sec <= 2);
    times[0].tv_nsec = UTIME_OMIT, times[1].tv_nsec = UTIME_NOW;
    T(utimensat(AT_FDCWD, "file", times, 0));
    stat("file", &after);
    say("now %d", now.tv_sec - after.st_mtim.tv_sec <= 2);
}

CASE(special_files) {
    struct stat st;
    T(chdir("private"));
    T(mkfifo("fifo", 0640));
    say_mode("fifo");
    T(mkfifo("fifo", 0640));
    T(mknod("node", S_IFREG | 0600, 0));
    say_mode("node");
    T(mknod("zero", 0600, 0));
    say_mode("zero");
    T(mknod("fifo2", S_IFIFO | 0600, 0));
    say_mode("fifo2");
    T(mknod("dir", S_IFDIR | 0600, 0));
    T(mknod("odd", 0130000 | 0600, 0));
    T(mknod("missing/x", S_IFREG | 0600, 0));
    T(open("fifo", O_WRONLY | O_NONBLOCK));
    int in = T(open("fifo", O_RDONLY | O_NONBLOCK)), out = T(open("fifo", O_WRONLY | O_NONBLOCK));
    T(write(out, "through", 7));
    show_descriptor(in);
    T(fstat(in, &st));
    say("%o", st.st_mode);
    char byte;
    T(read(in, &byte, 1));
    close(out);
    T(read(in, &byte, 1));
}

static void through_a_fifo(void) {
    int fd = open("fifo", O_WRONLY);
    if (write(fd, "from the child", 14) != 14)
        _exit(1);
}

CASE(a_fifo_waits_for_its_other_end) {
    char bytes[20];
    T(chdir("private"));
    T(mkfifo("fifo", 0600));
    pid_t child = start(through_a_fifo);
    int fd = T(open("fifo", O_RDONLY));
    T(read(fd, bytes, 14));
    say("%s", quoted(bytes, 14));
    wait_for(child);
    T(read(fd, bytes, 1));
}

CASE(statfs_is_answered) {
    struct statfs fs;
    make("file", "");
    T(statfs(".", &fs));
    say("%d %d %d", fs.f_bsize > 0, fs.f_blocks >= fs.f_bfree, (int)fs.f_namelen);
    T(fstatfs(open("file", O_RDONLY), &fs));
    T(statfs("missing", &fs));
    T(statfs("file/", &fs));
    T(fstatfs(99, &fs));
    T(syscall(SYS_statfs64, ".", sizeof fs, NULL));
    T(syscall(SYS_statfs64, ".", 7, &fs));
}

CASE(stat_of_pipes_and_sockets) {
    struct stat st;
    int ends[2];
    T(pipe(ends));
    T(fstat(ends[0], &st));
    say("%o, %d bytes, %d links", st.st_mode & S_IFMT, (int)st.st_size, (int)st.st_nlink);
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    T(fstat(ends[0], &st));
    say("%o", st.st_mode & S_IFMT);
    struct stat null, zero;
    T(stat("/dev/null", &null));
    T(stat("/dev/zero", &zero));
    say("%o %o %d", null.st_mode & S_IFMT, zero.st_mode & S_IFMT, null.st_rdev == makedev(1, 3));
}

CASE(sparse_files_have_few_blocks) {
    struct stat st;
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    T(ftruncate(fd, 100 << 20));
    fstat(fd, &st);
    say("%d bytes, few blocks: %d", (int)st.st_size, st.st_blocks < 100);
}
