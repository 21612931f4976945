/* Descriptors: dup, fcntl, close-on-exec, locks, ioctl. */
#include "harness.h"

CASE(dup_takes_the_lowest) {
    make("file", "0123456789");
    int fd = T(open("file", O_RDONLY));
    T(dup(fd));
    T(close(fd));
    T(dup(4));
    T(dup(99));
    T(dup(-1));
    char bytes[4];
    T(read(3, bytes, 3));
    T(lseek(4, 0, SEEK_CUR));
}

CASE(dup2_and_dup3) {
    make("file", "0123456789");
    int fd = T(open("file", O_RDONLY | O_CLOEXEC));
    T(dup2(fd, 10));
    T(fcntl(10, F_GETFD));
    T(fcntl(fd, F_GETFD));
    T(dup2(fd, fd));
    T(fcntl(fd, F_GETFD));
    T(dup3(fd, 11, O_CLOEXEC));
    T(fcntl(11, F_GETFD));
    T(dup3(fd, fd, 0));
    T(dup3(fd, 12, 0x7));
    T(dup2(99, 12));
    T(dup2(99, 99));
    T(dup2(fd, -1));
    T(dup2(fd, 1 << 24));
    T(dup2(10, fd));
    T(fcntl(fd, F_GETFD));
    int ends[2];
    T(pipe(ends));
    T(dup2(ends[0], ends[1]));
    char byte;
    T(read(ends[0], &byte, 1));
}

CASE(fcntl_flags) {
    make("file", "");
    int fd = T(open("file", O_RDWR | O_APPEND));
    say("%o", (int)T(fcntl(fd, F_GETFL)));
    T(fcntl(fd, F_SETFL, O_NONBLOCK));
    say("%o", (int)T(fcntl(fd, F_GETFL)));
    T(fcntl(fd, F_SETFL, O_WRONLY | O_APPEND | O_CREAT));
    say("%o", (int)T(fcntl(fd, F_GETFL)));
    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_SETFD, FD_CLOEXEC));
    T(fcntl(fd, F_GETFD));
    T(fcntl(fd, F_SETFD, 2));
    T(fcntl(fd, F_GETFD));
    T(fcntl(99, F_GETFD));
    T(fcntl(fd, 9999));
    T(fcntl(99, 9999));
    T(syscall(SYS_fcntl, fd, F_GETFL) == fcntl(fd, F_GETFL));
    int path = T(open("file", O_PATH));
    T(fcntl(path, F_GETFL) & O_PATH);
    T(fcntl(path, F_SETFL, 0));
    T(fcntl(path, F_GETFD));
}

CASE(fcntl_duplicates) {
    make("file", "");
    int fd = T(open("file", O_RDONLY));
    T(fcntl(fd, F_DUPFD, 20));
    T(fcntl(fd, F_DUPFD, 20));
    T(fcntl(fd, F_DUPFD_CLOEXEC, 5));
    T(fcntl(5, F_GETFD));
    T(fcntl(20, F_GETFD));
    T(fcntl(fd, F_DUPFD, -1));
    T(fcntl(fd, F_DUPFD, 1 << 24));
    T(fcntl(99, F_DUPFD, 0));
}

CASE(flags_belong_to_the_open_file) {
    make("file", "");
    int fd = T(open("file", O_RDWR)), same = T(dup(fd)), other = T(open("file", O_RDWR));
    T(fcntl(same, F_SETFL, O_APPEND));
    say("%d %d", !!(fcntl(fd, F_GETFL) & O_APPEND), !!(fcntl(other, F_GETFL) & O_APPEND));
    T(fcntl(same, F_SETFD, FD_CLOEXEC));
    say("%d %d", fcntl(fd, F_GETFD), fcntl(same, F_GETFD));
}

static void moves_it(void) {
    T(lseek(3, 5, SEEK_SET));
    T(close(3));
}

CASE(a_child_shares_the_position) {
    make("file", "0123456789");
    int fd = T(open("file", O_RDONLY));
    wait_for(start(moves_it));
    T(lseek(fd, 0, SEEK_CUR));
}

CASE(too_many_files) {
    struct rlimit limit = {20, 20};
    make("file", "");
    T(setrlimit(RLIMIT_NOFILE, &limit));
    int fd, last = 0;
    while ((fd = open("file", O_RDONLY)) >= 0)
        last = fd;
    say("the last is %d, then %s", last, error_name());
    T(dup(0));
    int ends[2];
    T(pipe(ends));
    T(socket(AF_UNIX, SOCK_STREAM, 0));
    T(epoll_create1(0));
    T(eventfd(0, 0));
    T(fcntl(0, F_DUPFD, 3));
    T(fcntl(0, F_DUPFD, 20));
    T(dup2(0, 20));
    T(dup2(0, 19));
    close(5);
    T(pipe(ends));
    T(dup(0));
    limit.rlim_cur = 10;
    T(setrlimit(RLIMIT_NOFILE, &limit));
    T(dup(0));
    T(fcntl(19, F_GETFD));
    T(close(3));
    T(dup(0));
}

CASE(record_locks_of_one_process) {
    make("file", "0123456789");
    int fd = T(open("file", O_RDWR));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3};
    T(fcntl(fd, F_SETLK, &lock));
    T(fcntl(fd, F_GETLK, &lock));
    say("%d", lock.l_type == F_UNLCK);
    lock.l_type = F_WRLCK;
    T(fcntl(fd, F_SETLK, &lock));
    lock.l_type = 99;
    T(fcntl(fd, F_SETLK, &lock));
    T(syscall(SYS_fcntl64, fd, F_SETLK, NULL));
    lock.l_type = F_UNLCK;
    T(fcntl(fd, F_SETLK, &lock));
    T(fcntl(99, F_SETLK, &lock));
    lock.l_type = F_WRLCK;
    int reading = T(open("file", O_RDONLY));
    T(fcntl(reading, F_SETLK, &lock));
}

static void tries_to_lock(void) {
    int fd = open("file", O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 4, .l_len = 3};
    T(fcntl(fd, F_SETLK, &lock) == -1 && (errno == EAGAIN || errno == EACCES));
    T(fcntl(fd, F_GETLK, &lock));
    say("%d %d %d, my parent's: %d", lock.l_type == F_WRLCK, (int)lock.l_start, (int)lock.l_len, lock.l_pid == getppid());
    lock.l_type = F_WRLCK, lock.l_start = 7, lock.l_len = 1;
    T(fcntl(fd, F_SETLK, &lock));
}

CASE(record_locks_of_two_processes) {
    make("file", "0123456789");
    int fd = T(open("file", O_RDWR));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3};
    T(fcntl(fd, F_SETLK, &lock));
    wait_for(start(tries_to_lock));
}

#include <sys/file.h>

static void tries_flock(void) {
    int fd = open("file", O_RDWR);
    T(flock(fd, LOCK_EX | LOCK_NB));
    T(flock(fd, LOCK_SH | LOCK_NB));
}

CASE(flock_locks_the_open_file) {
    make("file", "");
    int fd = T(open("file", O_RDWR)), same = T(dup(fd)), other = T(open("file", O_RDWR));
    T(flock(fd, LOCK_EX));
    T(flock(same, LOCK_EX | LOCK_NB));
    T(flock(other, LOCK_EX | LOCK_NB));
    T(flock(other, LOCK_SH | LOCK_NB));
    wait_for(start(tries_flock));
    T(flock(fd, LOCK_SH));
    T(flock(other, LOCK_SH | LOCK_NB));
    T(flock(fd, LOCK_UN));
    T(flock(99, LOCK_UN));
    T(flock(fd, 77));
}

CASE(ioctl_on_files_and_pipes) {
    int count = -1, ends[2], on = 1;
    char bytes[4];
    make("file", "0123456789");
    int fd = T(open("file", O_RDONLY));
    T(read(fd, bytes, 3));
    T(ioctl(fd, FIONREAD, &count));
    say("%d", count);
    T(pipe(ends));
    T(write(ends[1], "1234", 4));
    T(ioctl(ends[0], FIONREAD, &count));
    say("%d", count);
    T(ioctl(ends[0], FIONBIO, &on));
    T(fcntl(ends[0], F_GETFL) & O_NONBLOCK);
    T(ioctl(ends[0], FIOCLEX));
    T(fcntl(ends[0], F_GETFD));
    T(ioctl(ends[0], FIONCLEX));
    T(fcntl(ends[0], F_GETFD));
    T(ioctl(99, FIONREAD, &count));
    T(ioctl(ends[0], FIONREAD, NULL));
    T(ioctl(fd, 0x12345678, &count));
}

/* A server's processes have it on the sockets between them. */
CASE(signals_of_readiness_can_be_asked_for_where_there_are_any) {
    int ends[2], on = 1, off = 0;
    int fd = T(open("file", O_RDONLY));
    T(ioctl(fd, FIOASYNC, &off));
    T(ioctl(fd, FIOASYNC, &on));
    T(pipe(ends));
    T(ioctl(ends[0], FIOASYNC, &on));
    T(fcntl(ends[0], F_GETFL) & O_ASYNC);
    T(ioctl(ends[0], FIOASYNC, &off));
    T(fcntl(ends[0], F_GETFL) & O_ASYNC);
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    T(ioctl(ends[0], FIOASYNC, &on));
    T(fcntl(ends[0], F_SETOWN, getpid()));
    T(fcntl(ends[0], F_GETFL) & O_ASYNC);
    T(ioctl(ends[0], FIOASYNC, NULL));
}

CASE(descriptors_are_copied_by_fork) {
    int ends[2];
    T(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        _exit(write(ends[1], "child", 5));
    }
    close(ends[1]);
    char bytes[10];
    T(read(ends[0], bytes, 10));
    T(read(ends[0], bytes, 10));
    wait_for(child);
}

CASE(close_range_with_cloexec) {
    for (int i = 3; i < 8; i++)
        dup2(1, i);
    T(syscall(SYS_close_range, 4, 6, 4 /* CLOSE_RANGE_CLOEXEC */));
    for (int i = 3; i < 8; i++)
        say("%d: %d", i, fcntl(i, F_GETFD));
    T(syscall(SYS_close_range, 5, ~0u, 0));
    for (int i = 3; i < 8; i++)
        say("%d: %d", i, fcntl(i, F_GETFD));
}
