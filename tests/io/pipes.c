#include "report.h"

static int selected(int fd) {
    fd_set sets[3];
    struct timeval none = {0, 0};
    for (int i = 0; i < 3; i++) { FD_ZERO(&sets[i]); FD_SET(fd, &sets[i]); }
    int n = select(fd + 1, &sets[0], &sets[1], &sets[2], &none);
    return n * 1000 + FD_ISSET(fd, &sets[0]) * 100 + FD_ISSET(fd, &sets[1]) * 10 + FD_ISSET(fd, &sets[2]);
}

static long available(int fd) { int n = -1; return ioctl(fd, FIONREAD, &n) ? -1 : n; }

static void pass_through(size_t size) {
    int p[2];
    pipe(p);
    if (!fork()) {
        close(p[0]);
        for (size_t i = 0; i < size; i++) buffer[i] = i * 31 >> 3;
        struct iovec v[3] = {{buffer, size / 3}, {buffer + size / 3, 1}, {buffer + size / 3 + 1, size - size / 3 - 1}};
        _exit(writev(p[1], v, 3) != (ssize_t)size);
    }
    close(p[1]);
    unsigned long sum = 0, total = 0;
    for (ssize_t n; (n = read(p[0], buffer, 5000)) > 0;)
        for (ssize_t i = 0; i < n; i++) sum = sum * 33 + (unsigned char)buffer[i], total++;
    close(p[0]);
    int status;
    wait(&status);
    printf("%lu bytes, sum %lx, writer %d\n", total, sum, WEXITSTATUS(status));
}

/* Through a pipe whose reader comes later, by sendfile or (between pipes) splice. */
static void send_through(int socket, size_t size) {
    int p[2], q[2];
    if (socket) socketpair(AF_UNIX, SOCK_STREAM, 0, p); else pipe(p);
    if (!fork()) {
        close(p[0]);
        off_t at = 0;
        while (at < (off_t)size) if (sendfile(p[1], 0, &at, size - at) <= 0) _exit(1);
        _exit(0);
    }
    close(p[1]);
    pipe(q);
    if (!fork()) {
        close(q[0]);
        size_t moved = 0;
        for (ssize_t n; (n = splice(p[0], 0, q[1], 0, 100000, 0)) > 0;) moved += n;
        _exit(moved != size);
    }
    close(p[0]); close(q[1]);
    unsigned long sum = 0, total = 0;
    for (ssize_t n; (n = read(q[0], buffer, 3000)) > 0;)
        for (ssize_t i = 0; i < n; i++) sum = sum * 33 + (unsigned char)buffer[i], total++;
    int one, other;
    wait(&one); wait(&other);
    close(q[0]);
    printf("%lu bytes, sum %lx, %d\n", total, sum, one | other);
}

int main(void) {
    int p[2], q[2];
    signal(SIGPIPE, SIG_IGN);
    SHOW(pipe2(p, O_NONBLOCK));
    SHOW(pipe2(q, 12345));
    SHOW(fcntl(p[0], F_GETFL));
    SHOW(fcntl(p[1], F_GETFL));
    EVENTS(p[0]); EVENTS(p[1]);
    SHOW(read(p[0], buffer, 10));
    SHOW(read(p[1], buffer, 10));
    SHOW(write(p[0], buffer, 10));
    SHOW(write(p[1], "hello", 5));
    SHOW(available(p[0])); SHOW(available(p[1]));
    EVENTS(p[0]); EVENTS(p[1]);
    SHOW(selected(p[0])); SHOW(selected(p[1]));
    SHOW(read(p[0], buffer, 3)); SHOW(read(p[0], buffer, 10)); SHOW(read(p[0], buffer, 10));
    SHOW(write(p[1], buffer, 200000));
    EVENTS(p[1]); SHOW(selected(p[1]));
    SHOW(write(p[1], buffer, 1)); SHOW(available(p[0]));
    SHOW(read(p[0], buffer, 4095)); SHOW(write(p[1], buffer, 4096)); SHOW(read(p[0], buffer, 1)); EVENTS(p[1]);
    SHOW(write(p[1], buffer, 4097)); SHOW(write(p[1], buffer, 4096));
    SHOW(fcntl(p[0], F_GETPIPE_SZ)); SHOW(fcntl(p[1], F_SETPIPE_SZ, 100000)); SHOW(fcntl(p[1], F_SETPIPE_SZ, 4096));
    SHOW(fcntl(0, F_GETPIPE_SZ) < 0);
    SHOW(lseek(p[0], 0, SEEK_CUR)); SHOW(pread(p[0], buffer, 1, 0)); SHOW(ftruncate(p[1], 1));
    struct stat st;
    SHOW(fstat(p[0], &st)); SHOW(S_ISFIFO(st.st_mode)); SHOW(st.st_size);
    close(p[0]);
    EVENTS(p[1]); SHOW(selected(p[1]));
    SHOW(write(p[1], "x", 1)); SHOW(write(p[1], "", 0));
    SHOW(fcntl(p[1], F_GETPIPE_SZ) > 0);
    close(p[1]);
    SHOW(events(p[1], EVERY)); SHOW(selected(p[1]));
    pipe(p);
    write(p[1], "tail", 4);
    close(p[1]);
    EVENTS(p[0]); SHOW(read(p[0], buffer, 10)); EVENTS(p[0]); SHOW(read(p[0], buffer, 10)); SHOW(selected(p[0]));
    close(p[0]);
    int file = 0; /* a regular file */
    EVENTS(file); SHOW(selected(file));
    struct pollfd several[4] = {{-1, EVERY, 1}, {file, POLLIN, 1}, {999, POLLIN, 1}, {file, POLLPRI, 1}};
    SHOW(poll(several, 4, -1));
    for (int i = 0; i < 4; i++) printf("%#x\n", several[i].revents);
    SHOW(poll(several, 1, 1)); SHOW(poll((struct pollfd *)16, 1, 0)); SHOW(poll(several, 100000000, 0));
    struct timespec wrong = {0, 1000000000}, none = {0, 0};
    SHOW(ppoll(several, 1, &wrong, 0)); SHOW(ppoll(several, 1, &none, 0));
    struct timeval negative = {-1, 0}, soon = {0, 2000};
    SHOW(select(0, 0, 0, 0, &negative)); SHOW(select(-1, 0, 0, 0, &soon));
    SHOW(select(0, 0, 0, 0, &soon)); SHOW(soon.tv_sec + soon.tv_usec);
    pass_through(1000); pass_through(300000); pass_through(1 << 20);
    send_through(0, 500000); send_through(1, 500000);
    if (!fork()) {
        signal(SIGPIPE, SIG_DFL);
        pipe(p);
        close(p[0]);
        write(p[1], "x", 1);
        _exit(3);
    }
    int status;
    wait(&status);
    SHOW(WIFSIGNALED(status)); SHOW(WTERMSIG(status));
    return 0;
}
