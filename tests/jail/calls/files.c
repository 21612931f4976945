/* open, read, write, seek, truncate and their like on regular files. */
#include "harness.h"

#include <sys/file.h>

CASE(open_of_what_is_not_there) {
    T(open("missing", O_RDONLY));
    T(open("missing/below", O_RDONLY));
    T(open("", O_RDONLY));
    make("file", "x");
    T(open("file/below", O_RDONLY));
    T(open("file/", O_RDONLY));
    T(open("missing/", O_RDONLY | O_CREAT, 0600));
    T(open("missing/../file", O_RDONLY));
    T(open("file/../file", O_RDONLY));
}

CASE(open_creates_with_mode_and_umask) {
    struct stat st;
    T(umask(027));
    T(close(open("a", O_RDWR | O_CREAT, 0777)));
    stat("a", &st);
    say("%o", st.st_mode);
    T(umask(0));
    T(close(creat("b", 0642)));
    stat("b", &st);
    say("%o", st.st_mode);
    T(umask(07777777));
    T(umask(022));
    T(close(open("c", O_RDWR | O_CREAT, 0)));
    stat("c", &st);
    say("%o", st.st_mode);
}

CASE(open_exclusively) {
    T(close(open("a", O_WRONLY | O_CREAT | O_EXCL, 0600)));
    T(open("a", O_WRONLY | O_CREAT | O_EXCL, 0600));
    T(symlink("nowhere", "link"));
    T(open("link", O_WRONLY | O_CREAT | O_EXCL, 0600));
    T(close(open("link", O_WRONLY | O_CREAT, 0600)));
    T(access("nowhere", F_OK));
    T(mkdir("dir", 0700));
    T(open("dir", O_RDONLY | O_CREAT | O_EXCL, 0600));
    T(open("dir", O_RDONLY | O_CREAT, 0600));
}

CASE(open_a_directory_for_writing) {
    T(mkdir("dir", 0755));
    T(open("dir", O_WRONLY));
    T(open("dir", O_RDWR));
    T(open(".", O_RDWR));
    T(open("dir", O_RDONLY | O_TRUNC));
    int fd = T(open("dir", O_RDONLY));
    char byte;
    T(read(fd, &byte, 1));
    T(write(fd, &byte, 1));
    T(pread(fd, &byte, 1, 0));
    T(ftruncate(fd, 0));
    make("file", "");
    T(open("file", O_RDONLY | O_DIRECTORY));
    T(open("missing", O_RDONLY | O_DIRECTORY));
}

CASE(open_with_nofollow) {
    make("file", "content");
    T(symlink("file", "link"));
    T(symlink("missing", "dangling"));
    T(open("link", O_RDONLY | O_NOFOLLOW));
    T(open("dangling", O_RDONLY | O_NOFOLLOW));
    T(open("dangling", O_RDONLY));
    T(open("file", O_RDONLY | O_NOFOLLOW));
    int fd = T(open("link", O_PATH | O_NOFOLLOW));
    struct stat st;
    T(fstat(fd, &st));
    say("%o %d", st.st_mode & S_IFMT, (int)st.st_size);
    char target[20];
    T(readlinkat(fd, "", target, sizeof target));
    T(open("link", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
}

CASE(a_name_that_is_too_long) {
    char name[5000];
    memset(name, 'a', sizeof name);
    name[255] = 0;
    T(close(open(name, O_CREAT | O_RDWR, 0600)));
    name[255] = 'a', name[256] = 0;
    T(open(name, O_CREAT | O_RDWR, 0600));
    T(mkdir(name, 0700));
    struct stat st;
    T(stat(name, &st));
    for (int i = 1; i < 4999; i += 2)
        name[i] = '/', name[i - 1] = '.';
    name[4095] = 0;
    T(stat(name, &st));
    name[4095] = '/', name[4096] = 0;
    T(stat(name, &st));
    T(open(name, O_RDONLY));
    T(chdir(name));
    name[4096] = '.', name[4999] = 0;
    T(rename(name, "x"));
    T(symlink(name, "link"));
}

CASE(open_with_paths_at_bad_addresses) {
    T(syscall(SYS_open, NULL, O_RDONLY));
    T(syscall(SYS_open, NOWHERE, O_RDONLY));
    T(syscall(SYS_open, -1L, O_RDONLY));
    T(syscall(SYS_open, 0xfffff000, O_RDONLY));
    make("abc", "x");
    T(syscall(SYS_open, memcpy(edge(4), "abc", 4), O_RDONLY));
    T(syscall(SYS_open, memcpy(edge(3), "abc", 3), O_RDONLY));
    T(syscall(SYS_openat, -100, memcpy(edge(3), "abc", 3), O_RDONLY));
    T(syscall(SYS_openat, 77, NULL, O_RDONLY));
}

CASE(read_and_write_keep_one_position) {
    char bytes[20];
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    T(write(fd, "0123456789", 10));
    T(lseek(fd, 0, SEEK_CUR));
    T(read(fd, bytes, 5));
    T(lseek(fd, 2, SEEK_SET));
    T(read(fd, bytes, 3));
    say("%s", quoted(bytes, 3));
    T(write(fd, "XY", 2));
    T(lseek(fd, -1, SEEK_END));
    T(read(fd, bytes, 20));
    T(read(fd, bytes, 20));
    T(read(fd, bytes, 0));
    T(write(fd, bytes, 0));
    show("file");
    int other = T(open("file", O_RDONLY));
    T(lseek(other, 0, SEEK_CUR));
    int same = T(dup(fd));
    T(lseek(same, 4, SEEK_SET));
    T(lseek(fd, 0, SEEK_CUR));
}

CASE(read_from_what_is_open_for_writing) {
    char byte = 'x';
    int in = T(open("file", O_RDONLY | O_CREAT, 0600)), out = T(open("file", O_WRONLY));
    T(read(out, &byte, 1));
    T(write(in, &byte, 1));
    T(read(99, &byte, 1));
    T(write(99, &byte, 1));
    T(read(-1, &byte, 1));
    int neither = T(open("file", 3));
    T(read(neither, &byte, 1));
    T(write(neither, &byte, 1));
    T(fcntl(neither, F_GETFL) & O_ACCMODE);
    int path = T(open("file", O_PATH));
    T(read(path, &byte, 1));
    T(lseek(path, 0, SEEK_SET));
    T(ftruncate(in, 0));
    T(pread(out, &byte, 1, 0));
    T(pwrite(in, &byte, 1, 0));
}

CASE(open_for_neither_reading_nor_writing) {
    char byte = 'x';
    struct stat st;
    make("file", "0123456789");
    static const char *const paths[] = {"file", "private/file", "/dev/null", "/dev/zero"};
    make("private/file", "0123456789");
    for (int i = 0; i < 4; i++) {
        struct iovec one = {&byte, 1};
        int fd = T(open(paths[i], 3 | O_CLOEXEC));
        T(read(fd, &byte, 1));
        T(write(fd, &byte, 1));
        T(readv(fd, &one, 1));
        T(writev(fd, &one, 1));
        T(pread(fd, &byte, 1, 0));
        T(pwrite(fd, &byte, 1, 0));
        T(fstat(fd, &st));
        T(ftruncate(fd, 3));
        T(fallocate(fd, 0, 0, 3));
        T(mmap(0, PAGE, PROT_NONE, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EACCES);
        T(sendfile(fd, fd, NULL, 1));
        T(fcntl(fd, F_GETFL) & O_ACCMODE);
        T(fcntl(fd, F_GETFD));
        T(close(fd));
    }
    int fd = T(open("file", 3));
    T(lseek(fd, 3, SEEK_SET));
    T(lseek(fd, 0, SEEK_CUR));
    T(fsync(fd));
    struct flock lock = {.l_type = F_RDLCK};
    T(fcntl(fd, F_SETLK, &lock));
    lock.l_type = F_WRLCK;
    T(fcntl(fd, F_SETLK, &lock));
    T(flock(fd, LOCK_EX | LOCK_NB));
    T(close(open("file", 3 | O_TRUNC)));
    show("file");
    T(open("new", 3 | O_CREAT, 0600));
    T(access("new", F_OK));
    T(open("new", 3 | O_CREAT | O_EXCL, 0600));
    T(open(".", 3));
    T(open("missing", 3));
    T(chmod("file", 0400));
    T(open("file", 3));
    T(chmod("file", 0200));
    T(open("file", 3));
    T(chmod("file", 0600));
    T(open("file", 3));
    T(fcntl(open("file", 3 | O_PATH), F_GETFL));
    T(mkfifo("private/fifo", 0600));
    T(open("private/fifo", 3));
    T(open("private/fifo", 3 | O_NONBLOCK));
    T(open("private", 3 | O_TMPFILE, 0600));
    int ends[2];
    char name[40];
    T(pipe(ends));
    sprintf(name, "/proc/self/fd/%d", ends[0]);
    T(open(name, 3));
}

CASE(read_to_bad_addresses) {
    make("file", "0123456789");
    int fd = T(open("file", O_RDWR));
    T(syscall(SYS_read, fd, NULL, 4));
    T(syscall(SYS_read, fd, NOWHERE, 4));
    T(syscall(SYS_read, fd, read_only(), 4));
    T(lseek(fd, 0, SEEK_CUR));
    T(syscall(SYS_read, fd, NULL, 0));
    T(syscall(SYS_read, fd, 0xffffff00, 0x1000));
    T(syscall(SYS_write, fd, NULL, 4));
    T(syscall(SYS_write, fd, NOWHERE, 4));
    T(syscall(SYS_write, fd, NULL, 0));
    T(syscall(SYS_read, 99, NULL, 4));
    show("file");
}

CASE(seek_beyond_the_end_leaves_a_hole) {
    char bytes[10];
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    T(lseek(fd, 5, SEEK_SET));
    T(read(fd, bytes, 5));
    T(write(fd, "x", 1));
    show("file");
    T(lseek(fd, -7, SEEK_CUR));
    T(lseek(fd, -1, SEEK_SET));
    T(lseek(fd, -7, SEEK_END));
    T(lseek(fd, 0, 9));
    T(lseek(fd, 0x100000000LL, SEEK_SET));
    T(lseek(fd, 0, SEEK_CUR));
    long long result = 7;
    T(syscall(SYS__llseek, fd, 1, 2, &result, SEEK_SET));
    say("%lld", result);
    T(syscall(SYS__llseek, fd, 0, 2, NULL, SEEK_SET));
    T(syscall(SYS__llseek, 99, 0, 2, &result, SEEK_SET));
    T(lseek(fd, 2, SEEK_DATA) >= 0);
    T(lseek(fd, 6, SEEK_DATA));
    T(lseek(fd, 2, SEEK_HOLE) >= 2);
    T(lseek(fd, 7, SEEK_HOLE));
}

CASE(seek_in_a_pipe) {
    int ends[2];
    char byte;
    T(pipe(ends));
    T(lseek(ends[0], 0, SEEK_SET));
    T(pread(ends[0], &byte, 1, 0));
    T(pwrite(ends[1], "x", 1, 0));
    T(ftruncate(ends[1], 0));
    T(fsync(ends[1]));
    T(lseek(ends[0], 0, 77));
    T(read(ends[1], &byte, 1));
    T(write(ends[0], "x", 1));
    T(fallocate(ends[1], 0, 0, 10));
}

CASE(append_writes_at_the_end) {
    make("file", "12345");
    int fd = T(open("file", O_RDWR | O_APPEND));
    T(lseek(fd, 0, SEEK_CUR));
    T(write(fd, "6", 1));
    T(lseek(fd, 0, SEEK_CUR));
    T(lseek(fd, 0, SEEK_SET));
    T(write(fd, "7", 1));
    T(pwrite(fd, "8", 1, 0));
    show("file");
    T(fcntl(fd, F_SETFL, 0));
    T(pwrite(fd, "x", 1, 0));
    show("file");
    T(fcntl(fd, F_GETFL) & O_APPEND);
}

CASE(pread_and_pwrite_leave_the_position) {
    char bytes[10] = "";
    make("file", "0123456789");
    int fd = T(open("file", O_RDWR));
    T(pread(fd, bytes, 3, 4));
    say("%s", quoted(bytes, 3));
    T(pwrite(fd, "ab", 2, 8));
    T(lseek(fd, 0, SEEK_CUR));
    T(pread(fd, bytes, 3, -1));
    T(pwrite(fd, bytes, 3, -1));
    T(pread(fd, bytes, 3, 100));
    T(pread(fd, bytes, 3, 0x7fffffff00000000LL));
    T(pread(99, bytes, 3, -1));
    T(syscall(SYS_pread64, fd, NULL, 3, 0, 0));
    T(syscall(SYS_pwrite64, fd, NULL, 3, 0, 0));
    T(pwrite(fd, "c", 1, 12));
    show("file");
}

CASE(readv_and_writev) {
    char a[4] = "", b[4] = "";
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    struct iovec out[3] = {{"abc", 3}, {NULL, 0}, {"def", 3}}, in[2] = {{a, 2}, {b, 3}};
    T(writev(fd, out, 3));
    T(lseek(fd, 0, SEEK_SET));
    T(readv(fd, in, 2));
    say("%s %s", a, b);
    T(readv(fd, in, 2));
    T(readv(fd, in, 2));
    T(writev(fd, out, 0));
    T(writev(fd, out, -1));
    T(writev(fd, out, 1025));
    T(syscall(SYS_writev, fd, NULL, 2));
    struct iovec negative = {a, -1};
    T(writev(fd, &negative, 1));
    struct iovec bad[2] = {{"gh", 2}, {NOWHERE, 2}};
    T(writev(fd, bad, 2));
    T(preadv(fd, in, 2, 1));
    say("%s %s", a, b);
    T(pwritev(fd, out, 3, 5));
    T(preadv(fd, in, 2, -1));
    T(preadv2(fd, in, 2, -1, 0));
    T(preadv2(fd, in, 2, 0, 0x8000));
    T(pwritev2(fd, out, 1, 0, RWF_APPEND));
    show("file");
}

CASE(a_transfer_ends_where_memory_does) {
    static const char *const paths[] = {"file", "private/file"};
    char good[4] = "";
    for (int i = 0; i < 2; i++) {
        make(paths[i], "0123456789");
        int fd = T(open(paths[i], O_RDWR));
        char *end = edge(3);
        struct iovec in[4] = {{good, 2}, {NULL, 0}, {end, 5}, {good, 2}}, bad = {NOWHERE, 4}, late[2] = {{good, 1}, {NOWHERE, 4}};
        T(syscall(SYS_read, fd, end, 5));
        say("%s", quoted(end, 3));
        T(lseek(fd, 0, SEEK_CUR));
        T(syscall(SYS_readv, fd, in, 4));
        say("%s %s", quoted(good, 3), quoted(end, 3));
        T(lseek(fd, 0, SEEK_CUR));
        T(readv(fd, &bad, 1));
        T(readv(fd, late, 2));
        T(syscall(SYS_readv, fd, in, 4));
        T(syscall(SYS_readv, fd, in, 4));
        T(readv(fd, &bad, 1));
        T(syscall(SYS_read, fd, NOWHERE, 4));
        T(pread(fd, NOWHERE, 4, 20));
        T(pread(fd, NOWHERE, 4, 9));
        T(syscall(SYS_pread64, fd, end, 5, 1, 0));
        T(preadv(fd, in, 4, 2));
        say("%s %s", quoted(good, 3), quoted(end, 3));
        T(preadv(fd, &bad, 1, 2));
        memcpy(good, "AB", 2), memcpy(end, "CDE", 3);
        T(lseek(fd, 0, SEEK_SET));
        T(syscall(SYS_write, fd, end, 5));
        T(syscall(SYS_writev, fd, in, 4));
        T(writev(fd, &bad, 1));
        T(writev(fd, late, 2));
        T(lseek(fd, 0, SEEK_CUR));
        show(paths[i]);
        T(syscall(SYS_pwrite64, fd, end, 5, 1, 0));
        T(pwritev(fd, in, 4, 4));
        T(pwritev(fd, late, 2, 20));
        T(pwritev(fd, &bad, 1, 0));
        show(paths[i]);
        T(syscall(SYS_write, fd, read_only(), 0));
        T(syscall(SYS_read, fd, read_only(), 2));
        T(syscall(SYS_lseek, fd, 0, SEEK_SET));
        T(syscall(SYS_read, fd, read_only(), 2));
    }
    struct iovec huge[2] = {{good, 1}, {NOWHERE, 0x7fffffff}};
    int fd = T(open("file", O_RDWR | O_TRUNC)), zero = T(open("/dev/zero", O_RDWR));
    T(writev(fd, huge, 2));
    T(readv(zero, huge, 2));
    huge[0].iov_len = -1;
    T(writev(fd, huge, 2));
    char whole[64];
    make("file", "0123456789");
    T(syscall(SYS_read, open("file", O_RDONLY), whole, -1));
}

CASE(a_pipe_gives_and_takes_what_memory_holds) {
    int ends[2];
    char good[4] = "", *end = edge(3), *much = edge(2 * PAGE + 100);
    T(pipe2(ends, O_NONBLOCK));
    struct iovec both[2] = {{good, 2}, {end, 5}}, bad = {NOWHERE, 4};
    T(readv(ends[0], both, 2));
    T(writev(ends[1], both, 2));
    T(writev(ends[1], &bad, 1));
    T(syscall(SYS_write, ends[1], end, 5));
    T(ioctl(ends[0], FIONREAD, &(int){0}));
    T(write(ends[1], "abcd", 4));
    T(readv(ends[0], both, 2));
    say("%s %s", quoted(good, 3), quoted(end, 3));
    T(write(ends[1], "123456789", 9));
    T(readv(ends[0], both, 2));
    T(syscall(SYS_read, ends[0], end, 8));
    char all[10] = "";
    T(read(ends[0], all, 9));
    say("%s", all);
    T(syscall(SYS_write, ends[1], much, 3 * PAGE));
    int count = 0;
    T(ioctl(ends[0], FIONREAD, &count));
    say("%d", count);
    int sockets[2];
    T(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets));
    T(readv(sockets[0], both, 2));
    T(writev(sockets[1], both, 2));
    T(write(sockets[1], "abcd", 4));
    T(readv(sockets[0], both, 2));
    T(write(sockets[1], "123456789", 9));
    T(readv(sockets[0], both, 2));
    T(read(sockets[0], all, 9));
    pid_t child = fork();
    if (child == 0) {
        pause_ms(50);
        _exit(write(sockets[1], "late", 4) != 4);
    }
    T(fcntl(sockets[0], F_SETFL, O_RDWR));
    T(readv(sockets[0], both, 2));
    say("%s %s", quoted(good, 3), quoted(end, 3));
    wait_for(child);
}

CASE(truncate_shrinks_and_grows) {
    struct stat st;
    make("file", "0123456789");
    T(truncate("file", 4));
    show("file");
    T(truncate("file", 6));
    show("file");
    int fd = T(open("file", O_RDWR));
    T(ftruncate(fd, 0x123456789LL));
    T(fstat(fd, &st));
    say("%lld", (long long)st.st_size);
    T(ftruncate(fd, 1));
    T(ftruncate(fd, -1));
    T(truncate("file", -1));
    T(truncate("missing", 1));
    T(truncate(".", 1));
    T(ftruncate(99, 1));
    T(syscall(SYS_truncate, "file", 3));
    T(syscall(SYS_ftruncate, fd, 2));
    T(syscall(SYS_truncate64, NULL, 0, 0));
    T(close(open("file", O_RDWR | O_TRUNC)));
    show("file");
}

CASE(fallocate_and_fadvise) {
    struct stat st;
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    T(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    T(posix_fadvise(fd, 0, 0, 99) == EINVAL);
    T(posix_fadvise(99, 0, 0, 0) == EBADF);
    T(fallocate(fd, 0, 0, 0));
    T(fallocate(fd, 0, -1, 5));
    T(fallocate(99, 0, 0, 5));
    T(fallocate(fd, 0, 0, 5));
    fstat(fd, &st);
    say("%d", (int)st.st_size);
    T(readahead(fd, 0, 5));
}

CASE(sync_calls) {
    int fd = T(open("file", O_RDWR | O_CREAT, 0600));
    T(write(fd, "x", 1));
    T(fsync(fd));
    T(fdatasync(fd));
    T(fsync(99));
    T(fdatasync(-1));
    T(syncfs(99));
    T(sync_file_range(fd, 0, 0, 2));
    T(fsync(open(".", O_RDONLY)));
}

CASE(close_closes_once) {
    make("file", "x");
    int fd = T(open("file", O_RDONLY));
    T(close(fd));
    T(close(fd));
    T(close(-1));
    T(close(1000000));
    T(open("file", O_RDONLY));
    T(syscall(SYS_close_range, 3, 5, 0));
    T(close(3));
    T(syscall(SYS_close_range, 5, 3, 0));
    T(syscall(SYS_close_range, 3, 5, 0x100));
}

CASE(what_is_deleted_while_open_lives_on) {
    char bytes[10];
    struct stat st;
    make("file", "content");
    int fd = T(open("file", O_RDWR));
    T(unlink("file"));
    T(open("file", O_RDONLY));
    T(read(fd, bytes, 10));
    T(pwrite(fd, "C", 1, 0));
    T(fstat(fd, &st));
    say("%d links, %d bytes", (int)st.st_nlink, (int)st.st_size);
    make("file", "other");
    T(pread(fd, bytes, 1, 0));
    say("%c", bytes[0]);
    show("file");
}

CASE(sendfile_copies_a_file) {
    make("in", "0123456789");
    int in = T(open("in", O_RDONLY)), out = T(open("out", O_WRONLY | O_CREAT, 0600));
    off_t at = 4;
    T(sendfile(out, in, &at, 3));
    say("%d", (int)at);
    T(lseek(in, 0, SEEK_CUR));
    T(sendfile(out, in, NULL, 100));
    T(lseek(in, 0, SEEK_CUR));
    T(sendfile(out, in, NULL, 100));
    show("out");
    int ends[2];
    T(pipe(ends));
    at = 8;
    T(sendfile(ends[1], in, &at, 100));
    show_descriptor(ends[0]);
    T(sendfile(in, out, NULL, 1));
    T(sendfile(99, in, NULL, 1));
    T(sendfile(out, 99, NULL, 1));
    at = -1;
    T(sendfile(out, in, &at, 1));
    T(syscall(SYS_sendfile64, out, in, NOWHERE, 1));
    long at32 = 2;
    T(syscall(SYS_sendfile, out, in, &at32, 3));
    say("%ld", at32);
    int append = T(open("out", O_WRONLY | O_APPEND));
    T(sendfile(append, in, NULL, 1));
}

CASE(copy_file_range_copies) {
    make("in", "0123456789");
    int in = T(open("in", O_RDONLY)), out = T(open("out", O_RDWR | O_CREAT, 0600));
    off_t from = 2, to = 1;
    T(copy_file_range(in, &from, out, &to, 4, 0));
    say("%d %d", (int)from, (int)to);
    T(copy_file_range(in, NULL, out, NULL, 2, 0));
    T(lseek(in, 0, SEEK_CUR));
    T(lseek(out, 0, SEEK_CUR));
    show("out");
    from = 10;
    T(copy_file_range(in, &from, out, NULL, 4, 0));
    T(copy_file_range(in, NULL, out, NULL, 4, 1));
    T(copy_file_range(out, NULL, in, NULL, 4, 0));
    T(copy_file_range(99, NULL, out, NULL, 4, 0));
    int ends[2];
    T(pipe(ends));
    T(copy_file_range(ends[0], NULL, out, NULL, 4, 0));
    from = 0, to = 2;
    int both = T(open("in", O_RDWR));
    T(copy_file_range(both, &from, both, &to, 5, 0));
    from = 0, to = 5;
    T(copy_file_range(both, &from, both, &to, 5, 0));
    show("in");
    int directory_fd = T(open(".", O_RDONLY));
    T(copy_file_range(directory_fd, NULL, out, NULL, 4, 0));
}

/* The sum of a file's bytes, each with its place. */
static void sum(const char *name) {
    static unsigned char piece[1 << 16];
    unsigned total = 0, at = 0;
    int fd = open(name, O_RDONLY);
    for (int got; (got = read(fd, piece, sizeof piece)) > 0;)
        for (int i = 0; i < got; i++)
            total += piece[i] * ++at;
    close(fd);
    say("%s: %u bytes, %x", name, at, total);
}

CASE(megabytes_are_copied_from_file_to_file) {
    enum { MUCH = 3 << 20 };
    static unsigned numbers[MUCH / sizeof(unsigned)];
    for (unsigned i = 0; i < MUCH / sizeof *numbers; i++)
        numbers[i] = i * 2654435761u;
    int in = T(open("in", O_RDWR | O_CREAT, 0600)), out = T(open("out", O_RDWR | O_CREAT, 0600));
    T(write(in, numbers, MUCH));
    off_t from = 5, to = 70000;
    T(copy_file_range(in, &from, out, &to, 2000001, 0));
    say("%d %d", (int)from, (int)to);
    sum("out");
    T(lseek(out, 100, SEEK_SET));
    from = MUCH - 1000003;
    T(sendfile(out, in, &from, MUCH));
    say("%d %d", (int)from, (int)T(lseek(out, 0, SEEK_CUR)));
    sum("out");
    T(sendfile(out, in, &from, 1));
    const unsigned char *shown = mmap(NULL, MUCH, PROT_READ, MAP_SHARED, out, 0);
    from = 4, to = 8;
    T(copy_file_range(in, &from, out, &to, 300000, 0));
    say("%d", memcmp(shown + 8, (const char *)numbers + 4, 300000));
    T(lseek(out, 8, SEEK_SET));
    from = 40;
    T(sendfile(out, in, &from, 300000));
    say("%d", memcmp(shown + 8, (const char *)numbers + 40, 300000));
    munmap((void *)shown, MUCH);
    int sparse = T(open("sparse", O_RDWR | O_CREAT, 0600));
    T(ftruncate(sparse, MUCH));
    from = to = 0;
    T(copy_file_range(sparse, &from, out, &to, MUCH, 0));
    sum("out");
}

CASE(splice_between_files_and_pipes) {
    int ends[2], more[2];
    make("in", "0123456789");
    int in = T(open("in", O_RDONLY)), out = T(open("out", O_RDWR | O_CREAT, 0600));
    T(pipe(ends));
    T(pipe(more));
    loff_t at = 3;
    T(splice(in, &at, ends[1], NULL, 4, 0));
    say("%d", (int)at);
    T(tee(ends[0], more[1], 2, 0));
    T(splice(ends[0], NULL, out, NULL, 100, 0));
    show("out");
    show_descriptor(more[0]);
    T(splice(ends[0], NULL, out, NULL, 100, SPLICE_F_NONBLOCK));
    T(splice(in, NULL, out, NULL, 1, 0));
    at = 0;
    T(splice(ends[0], &at, out, NULL, 1, 0));
    T(splice(99, NULL, ends[1], NULL, 1, 0));
    T(splice(in, NULL, 99, NULL, 1, 0));
    T(splice(in, NULL, ends[1], NULL, 1, 0x100));
    struct iovec piece = {"piece", 5};
    T(vmsplice(ends[1], &piece, 1, 0));
    T(splice(ends[0], NULL, more[1], NULL, 3, 0));
    show_descriptor(more[0]);
    show_descriptor(ends[0]);
    T(tee(in, ends[1], 1, 0));
    close(ends[1]);
    T(splice(ends[0], NULL, out, NULL, 100, 0));
}

CASE(access_checks_what_there_is) {
    make("file", "x");
    T(mkdir("dir", 0755));
    T(symlink("missing", "dangling"));
    T(access("file", F_OK));
    T(access("file", R_OK | W_OK));
    T(access("file", X_OK));
    T(access("dir", X_OK));
    T(access("missing", F_OK));
    T(access("dangling", F_OK));
    T(access("file/", F_OK));
    T(access("file", 8));
    T(access("", F_OK));
    T(syscall(SYS_access, NULL, 0));
    T(faccessat(AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
    T(syscall(SYS_faccessat, 99, "file", F_OK));
    T(syscall(SYS_faccessat2, AT_FDCWD, "file", R_OK, AT_EACCESS));
    T(syscall(SYS_faccessat2, AT_FDCWD, "file", R_OK, 0x8000));
    int fd = T(open("file", O_PATH));
    T(syscall(SYS_faccessat2, fd, "", R_OK, AT_EMPTY_PATH));
}

CASE(openat_with_directories) {
    T(mkdir("dir", 0755));
    make("dir/file", "below");
    make("file", "above");
    int dir = T(open("dir", O_RDONLY | O_DIRECTORY));
    int fd = T(openat(dir, "file", O_RDONLY));
    show_descriptor(fd);
    fd = T(openat(dir, "../file", O_RDONLY));
    show_descriptor(fd);
    T(openat(99, "file", O_RDONLY));
    T(openat(fd, "file", O_RDONLY));
    T(openat(fd, "", O_RDONLY));
    T(openat(dir, "missing", O_RDONLY));
    char path[5000];
    snprintf(path, sizeof path, "%s/file", directory);
    T(close(openat(99, path, O_RDONLY)));
    T(close(openat(dir, "new", O_WRONLY | O_CREAT, 0600)));
    T(access("dir/new", F_OK));
    T(rename("dir", "moved"));
    T(close(openat(dir, "file", O_RDONLY)));
    int way = T(open("moved", O_PATH | O_DIRECTORY));
    T(close(openat(way, "file", O_RDONLY)));
    T(openat(way, ".", O_WRONLY));
    T(unlinkat(dir, "file", 0));
    T(unlinkat(dir, "new", 0));
    T(rmdir("moved"));
    T(openat(dir, "file", O_RDONLY | O_CREAT, 0600));
    T(openat(dir, ".", O_RDONLY) >= 0);
}

CASE(openat2_checks_its_argument) {
    struct { uint64_t flags, mode, resolve, more; } how = {O_RDONLY, 0, 0, 0};
    make("file", "x");
    T(mkdir("dir", 0755));
    T(symlink("../file", "dir/out"));
    T(symlink("file", "link"));
    T(syscall(SYS_openat2, AT_FDCWD, "file", &how, 24));
    T(syscall(SYS_openat2, AT_FDCWD, "file", &how, 32));
    T(syscall(SYS_openat2, AT_FDCWD, "file", &how, 23));
    how.more = 1;
    T(syscall(SYS_openat2, AT_FDCWD, "file", &how, 32));
    how.mode = 0600;
    T(syscall(SYS_openat2, AT_FDCWD, "file", &how, 24));
    how.mode = 0, how.resolve = 0x1000;
    T(syscall(SYS_openat2, AT_FDCWD, "file", &how, 24));
    how.resolve = 4; /* RESOLVE_NO_SYMLINKS */
    T(syscall(SYS_openat2, AT_FDCWD, "link", &how, 24));
    how.resolve = 8; /* RESOLVE_BENEATH */
    int dir = T(open("dir", O_RDONLY));
    T(syscall(SYS_openat2, dir, "out", &how, 24));
    T(syscall(SYS_openat2, dir, "../file", &how, 24));
    T(syscall(SYS_openat2, AT_FDCWD, "file", &how, 24));
    how.resolve = 16; /* RESOLVE_IN_ROOT */
    T(syscall(SYS_openat2, dir, "out", &how, 24));
    T(syscall(SYS_openat2, dir, "../dir", &how, 24));
    how.resolve = 0;
    T(syscall(SYS_openat2, AT_FDCWD, "file", NULL, 24));
}

struct how { uint64_t flags, mode, resolve; };
enum { NO_XDEV = 1, NO_MAGICLINKS = 2, NO_SYMLINKS = 4, BENEATH = 8, IN_ROOT = 16, CACHED = 32 };

/* A new descriptor says nothing but that there is one. */
static int how_opens(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct how how = {flags, mode, resolve};
    int fd, tries = 0; /* the kernel says EAGAIN where somebody renames anything anywhere just then */
    do
        fd = syscall(SYS_openat2, directory, path, &how, sizeof how);
    while (fd == -1 && errno == EAGAIN && ++tries < 1000);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : -1;
}

CASE(openat2_flags_and_modes) {
    make("file", "x");
    T(mkdir("dir", 0755));
    T(how_opens(AT_FDCWD, "file", O_RDONLY, 0600, 0));
    T(how_opens(AT_FDCWD, "new", O_RDWR | O_CREAT, 0640, 0));
    T(how_opens(AT_FDCWD, "new2", O_RDWR | O_CREAT, 010000, 0));
    T(how_opens(AT_FDCWD, "new2", O_RDWR | O_CREAT, 1ULL << 40, 0));
    T(how_opens(AT_FDCWD, "file", 1ULL << 40, 0, 0));
    T(how_opens(AT_FDCWD, "file", 0x80000000, 0, 0));
    T(how_opens(AT_FDCWD, "file", 04, 0, 0));
    T(how_opens(AT_FDCWD, "file", O_CLOEXEC | O_NOCTTY | O_APPEND | O_NONBLOCK | O_SYNC | O_LARGEFILE, 0, 0));
    T(how_opens(AT_FDCWD, "dir", O_DIRECTORY | O_CREAT, 0700, 0));
    T(how_opens(AT_FDCWD, "dir", O_DIRECTORY, 0, 0));
    T(how_opens(AT_FDCWD, "file", O_DIRECTORY, 0, 0));
    T(how_opens(AT_FDCWD, ".", O_TMPFILE | O_RDWR, 0600, 0));
    T(how_opens(AT_FDCWD, ".", O_TMPFILE | O_RDONLY, 0600, 0));
    T(how_opens(AT_FDCWD, ".", O_TMPFILE | O_CREAT | O_RDWR, 0600, 0));
    T(how_opens(AT_FDCWD, ".", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR, 0600, 0));
    T(how_opens(AT_FDCWD, "file", O_PATH | O_CLOEXEC | O_NOFOLLOW, 0, 0));
    T(how_opens(AT_FDCWD, "file", O_PATH | O_RDWR, 0, 0));
    T(how_opens(AT_FDCWD, "file", O_PATH | O_CREAT, 0600, 0));
    T(how_opens(AT_FDCWD, "file", 3, 0, 0));
    T(how_opens(AT_FDCWD, "", O_RDONLY, 0, 0));
    T(how_opens(AT_FDCWD, "missing", O_RDONLY, 0, 0));
    T(how_opens(AT_FDCWD, NOWHERE, O_RDONLY, 0, 0));
    T(how_opens(99, "file", O_RDONLY, 0, 0));
    T(how_opens(AT_FDCWD, "file", O_RDONLY, 0, BENEATH | IN_ROOT));
    T(how_opens(AT_FDCWD, "file", O_RDONLY, 0, 64));
    T(how_opens(AT_FDCWD, "file", O_RDONLY, 0, 1ULL << 33));
    T(how_opens(AT_FDCWD, "file", O_RDONLY, 0, CACHED));
    T(how_opens(AT_FDCWD, "file", O_WRONLY | O_TRUNC, 0, CACHED));
    T(how_opens(AT_FDCWD, "new3", O_WRONLY | O_CREAT, 0600, CACHED));
    T(how_opens(AT_FDCWD, ".", O_TMPFILE | O_RDWR, 0600, CACHED));
    struct stat st;
    T(stat("new", &st));
    say("%o", st.st_mode);
    char *page = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    T(syscall(SYS_openat2, AT_FDCWD, "file", page, PAGE) > 0);
    T(syscall(SYS_openat2, AT_FDCWD, "file", page, PAGE + 1));
    T(syscall(SYS_openat2, AT_FDCWD, "file", page, 0));
    page[PAGE - 1] = 1;
    T(syscall(SYS_openat2, AT_FDCWD, "file", page, PAGE));
    T(syscall(SYS_openat2, AT_FDCWD, "file", edge(30), 40));
    T(syscall(SYS_openat2, AT_FDCWD, "file", edge(10), 24));
    T(open(".", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR, 0600));
    T(open(".", O_TMPFILE | O_CREAT | O_RDWR, 0600));
    struct how how = {O_RDONLY | O_CLOEXEC | O_APPEND, 0, NO_SYMLINKS};
    int fd = syscall(SYS_openat2, AT_FDCWD, "file", &how, sizeof how);
    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_GETFL) & ~O_LARGEFILE);
    T(open("new", O_PATH | O_CREAT | O_RDWR | O_DIRECTORY, 0600));
    T(open("new4", O_PATH | O_CREAT | O_RDWR, 0600));
}

CASE(openat2_keeps_to_what_it_is_told) {
    static const char *const paths[] = {
        "file", "dir/file", "./dir/../file", "..", "../dir/file", "dir/..", "dir/../..", "up", "up/file", "absolute", "relative", "dir/out", "dir/in",
        "self", "dir/root", "/", "/proc", "/proc/self/status", "/dir/file", "/../dir/file", "magic", "dangling", "loop", "missing", "dir/self/file",
    };
    static const int resolves[] = {0, NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH, IN_ROOT, CACHED, NO_SYMLINKS | BENEATH, NO_MAGICLINKS | IN_ROOT};
    make("file", "x");
    T(mkdir("dir", 0755));
    make("dir/file", "y");
    T(symlink("..", "up"));
    T(symlink("/dir/file", "absolute"));
    T(symlink("dir/file", "relative"));
    T(symlink("../file", "dir/out"));
    T(symlink("../dir/file", "dir/in"));
    T(symlink(".", "self"));
    T(symlink(".", "dir/self"));
    T(symlink("/", "dir/root"));
    T(symlink("/proc/self/fd/0", "magic"));
    T(symlink("nowhere", "dangling"));
    T(symlink("loop", "loop"));
    int here = T(open(".", O_RDONLY | O_DIRECTORY)), dir = T(open("dir", O_PATH | O_DIRECTORY));
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < 25; j++) {
            if (resolves[i] == NO_XDEV && paths[j][0] != '/' && (strstr(paths[j], "..") || !strncmp(paths[j], "up", 2)))
                continue; /* what is a mount differs */
            if (resolves[i] == CACHED && !strcmp(paths[j], "magic"))
                continue; /* /proc is not in the kernel's cache */
            say("%d %s", resolves[i], paths[j]);
            T(how_opens(here, paths[j], O_RDONLY, 0, resolves[i]));
            if (resolves[i] != NO_XDEV || j < 2)
                T(how_opens(dir, paths[j], O_RDONLY, 0, resolves[i]));
            T(how_opens(AT_FDCWD, paths[j], O_PATH | O_NOFOLLOW, 0, resolves[i]));
        }
    T(how_opens(here, "dangling", O_RDWR | O_CREAT, 0600, BENEATH));
    T(access("nowhere", F_OK));
    T(how_opens(here, "../made", O_RDWR | O_CREAT, 0600, BENEATH));
    T(how_opens(here, "/made", O_RDWR | O_CREAT, 0600, IN_ROOT));
    T(access("made", F_OK));
    T(how_opens(dir, "../../made2", O_RDWR | O_CREAT, 0600, IN_ROOT));
    T(access("dir/made2", F_OK));
    T(how_opens(here, "/dir", O_TMPFILE | O_RDWR, 0600, IN_ROOT));
    T(how_opens(99, "/proc", O_RDONLY, 0, IN_ROOT));
    T(how_opens(99, "/proc", O_RDONLY, 0, BENEATH));
    T(how_opens(99, "/proc", O_RDONLY, 0, NO_SYMLINKS));
    int file = T(open("file", O_RDONLY));
    T(how_opens(file, "file", O_RDONLY, 0, BENEATH));
    T(how_opens(file, "/file", O_RDONLY, 0, IN_ROOT));
}

CASE(openat2_and_proc) {
    char name[40];
    int proc = T(open("/proc", O_RDONLY)), root = T(open("/", O_RDONLY)), own = T(open("/proc/self", O_RDONLY));
    sprintf(name, "/proc/self/fd/%d", root);
    T(how_opens(root, "proc", O_RDONLY, 0, NO_XDEV));
    T(how_opens(root, "proc/self", O_RDONLY, 0, NO_XDEV));
    T(how_opens(root, "/proc", O_RDONLY, 0, NO_XDEV));
    T(how_opens(proc, "..", O_RDONLY, 0, NO_XDEV));
    T(how_opens(proc, ".", O_RDONLY, 0, NO_XDEV));
    T(how_opens(proc, "self/status", O_RDONLY, 0, NO_XDEV));
    T(how_opens(proc, "self/root", O_RDONLY, 0, NO_XDEV));
    T(how_opens(proc, "self/cwd", O_RDONLY, 0, NO_MAGICLINKS));
    T(how_opens(proc, "self/cwd/file", O_RDONLY, 0, NO_MAGICLINKS));
    T(how_opens(proc, "self/cwd", O_RDONLY, 0, BENEATH));
    T(how_opens(proc, "self/cwd", O_RDONLY, 0, IN_ROOT));
    T(how_opens(proc, "self/cwd", O_PATH | O_NOFOLLOW, 0, NO_MAGICLINKS));
    T(how_opens(proc, "self/cwd", O_PATH | O_NOFOLLOW, 0, NO_MAGICLINKS | NO_SYMLINKS));
    T(how_opens(proc, "self/status", O_RDONLY, 0, NO_MAGICLINKS));
    T(how_opens(proc, "self/status", O_RDONLY, 0, BENEATH));
    T(how_opens(AT_FDCWD, name, O_RDONLY, 0, NO_MAGICLINKS));
    T(how_opens(AT_FDCWD, name, O_RDONLY, 0, 0));
    T(how_opens(own, "fd/..", O_RDONLY, 0, BENEATH));
    T(how_opens(own, "fd/../..", O_RDONLY, 0, BENEATH));
    T(how_opens(own, "fd/../../status", O_RDONLY, 0, IN_ROOT));
    T(how_opens(root, "..", O_RDONLY, 0, NO_XDEV));
    T(how_opens(root, "..", O_RDONLY, 0, BENEATH));
    T(how_opens(root, "../..", O_RDONLY, 0, IN_ROOT));
}

CASE(a_file_without_a_name) {
    struct stat st;
    int fd = T(open(".", O_TMPFILE | O_RDWR, 0600));
    T(write(fd, "content", 7));
    T(fstat(fd, &st));
    say("%o, %d links, %d bytes", st.st_mode, (int)st.st_nlink, (int)st.st_size);
    T(open(".", O_TMPFILE | O_RDONLY, 0600));
    T(open("missing", O_TMPFILE | O_RDWR, 0600));
}

CASE(memfd_is_a_file) {
    char bytes[10];
    struct stat st;
    int fd = T(memfd_create("name", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    T(fcntl(fd, F_GETFD));
    T(write(fd, "content", 7));
    T(pread(fd, bytes, 10, 3));
    say("%s", quoted(bytes, 4));
    T(fstat(fd, &st));
    say("%o, %d links, %d bytes", st.st_mode & S_IFMT, (int)st.st_nlink, (int)st.st_size);
    T(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    T(fcntl(fd, F_GET_SEALS));
    T(ftruncate(fd, 3));
    T(ftruncate(fd, 30));
    T(memfd_create("name", 0x8000));
    T(syscall(SYS_memfd_create, NULL, 0));
    int plain = T(memfd_create("plain", 0));
    T(fcntl(plain, F_GET_SEALS));
    T(fcntl(plain, F_ADD_SEALS, F_SEAL_SHRINK));
}
