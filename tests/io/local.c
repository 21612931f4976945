#include "report.h"

static int server, client, accepted;

static struct sockaddr_un name; static socklen_t length;
static void abstract(const char *text) {
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    strcpy(name.sun_path + 1, text);
    length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(text);
}
#define NAME (struct sockaddr *)&name
static void named(int fd, int peer) {
    struct sockaddr_un found; socklen_t size = sizeof found;
    memset(&found, 'x', sizeof found);
    int r = peer ? getpeername(fd, (struct sockaddr *)&found, &size) : getsockname(fd, (struct sockaddr *)&found, &size);
    if (r) printf("  %s\n", strerrorname_np(errno));
    else printf("  family %d, %u bytes, %.10s\n", found.sun_family, (unsigned)size, size > 3 ? found.sun_path + 1 : "");
}
static int option(int fd, int which) {
    int value = -1; socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, which, &value, &size) ? -1 : value;
}
static int send_file(int fd, int file, const char *text, int twice) {
    struct iovec v = {(void *)text, strlen(text)};
    union { struct cmsghdr h; char b[CMSG_SPACE(8)]; } c;
    memset(&c, 0, sizeof c);
    c.h.cmsg_level = SOL_SOCKET; c.h.cmsg_type = SCM_RIGHTS; c.h.cmsg_len = CMSG_LEN(twice ? 8 : 4);
    ((int *)CMSG_DATA(&c.h))[0] = file; ((int *)CMSG_DATA(&c.h))[1] = file;
    struct msghdr m = {0, 0, &v, 1, &c, CMSG_SPACE(twice ? 8 : 4), 0};
    return sendmsg(fd, &m, 0);
}
static int received[4];
static int receive_file(int fd, size_t room, int flags) {
    char text[100]; struct iovec v = {text, sizeof text};
    union { struct cmsghdr h; char b[100]; } c;
    memset(&c, 0, sizeof c);
    struct msghdr m = {0, 0, &v, 1, room ? &c : 0, room, -1};
    int n = recvmsg(fd, &m, flags);
    printf("  %d %.*s flags %#x control %u", n, n < 0 ? 0 : n, text, m.msg_flags, (unsigned)m.msg_controllen);
    if (n >= 0 && m.msg_controllen) {
        printf(" len %u level %d type %d", (unsigned)c.h.cmsg_len, c.h.cmsg_level, c.h.cmsg_type);
        memcpy(received, CMSG_DATA(&c.h), c.h.cmsg_len - sizeof c.h);
        printf(" cloexec %d", fcntl(received[0], F_GETFD));
    }
    printf("\n");
    return n;
}

static void stream(int type) {
    int s[2];
    printf("-- type %d\n", type);
    SHOW(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s)); SHOW(fcntl(s[0], F_GETFL));
    EVENTS(s[0]); SHOW(read(s[0], buffer, 10)); SHOW(write(s[1], "hello", 5)); SHOW(write(s[1], "world", 5)); EVENTS(s[0]);
    SHOW(recv(s[0], buffer, 3, MSG_PEEK)); SHOW(recv(s[0], buffer, 3, MSG_TRUNC)); SHOW(read(s[0], buffer, 100)); SHOW(read(s[0], buffer, 100));
    named(s[0], 0); named(s[0], 1);
    SHOW(option(s[0], SO_TYPE)); SHOW(option(s[0], SO_DOMAIN)); SHOW(option(s[0], SO_PROTOCOL)); SHOW(option(s[0], SO_ERROR));
    SHOW(option(s[0], SO_ACCEPTCONN)); SHOW(option(s[0], 999)); SHOW(listen(s[0], 1)); SHOW(accept(s[0], 0, 0)); SHOW(lseek(s[0], 0, SEEK_SET));
    SHOW(sendto(s[0], "a", 1, 0, (struct sockaddr *)"\1\0abc", 5)); read(s[1], buffer, 10);
    SHOW(send_file(s[0], s[1], "one", 0)); SHOW(write(s[0], "two", 3)); SHOW(send_file(s[0], s[0], "three", 1)); SHOW(write(s[0], "four", 4));
    SHOW(receive_file(s[1], 100, 0)); SHOW(receive_file(s[1], 100, MSG_CMSG_CLOEXEC)); SHOW(receive_file(s[1], 16, 0)); SHOW(receive_file(s[1], 100, 0));
    SHOW(send_file(s[0], s[0], "five", 0)); SHOW(receive_file(s[1], 0, 0)); SHOW(send_file(s[0], 999, "six", 0));
    SHOW(send_file(s[0], s[0], "seven", 0)); SHOW(read(s[1], buffer, 10)); SHOW(receive_file(s[1], 100, 0));
    SHOW(shutdown(s[0], 7)); SHOW(shutdown(s[0], SHUT_WR)); EVENTS(s[0]); EVENTS(s[1]); SHOW(read(s[1], buffer, 10)); SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
    SHOW(write(s[1], "y", 1)); SHOW(read(s[0], buffer, 10));
    close(s[1]); EVENTS(s[0]); SHOW(send(s[0], "x", 1, MSG_NOSIGNAL)); SHOW(read(s[0], buffer, 10)); close(s[0]);
    for (int i = 0; i < 4; i++) close(received[i]);
}

int main(void) {
    int s[2];
    signal(SIGPIPE, SIG_IGN);
    SHOW(socket(AF_UNIX, 77, 0)); SHOW(socket(AF_UNIX, SOCK_STREAM, 6)); SHOW(socket(77, SOCK_STREAM, 0)); SHOW(socketpair(AF_INET, SOCK_STREAM, 0, s));
    SHOW(socket(AF_UNIX, SOCK_STREAM | 0x100000, 0)); SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)16));
    SHOW(bind(0, NAME, 3)); SHOW(bind(99, NAME, 3)); SHOW(shutdown(1, 0) == -1 && errno != 0);
    stream(SOCK_STREAM); stream(SOCK_SEQPACKET);
    printf("-- names\n");
    SHOW(server = socket(AF_UNIX, SOCK_STREAM, 0)); SHOW(client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); SHOW(fcntl(client, F_GETFD));
    EVENTS(server); abstract("vx32-test-name");
    SHOW(read(client, buffer, 1)); SHOW(write(client, buffer, 1)); SHOW(accept(server, 0, 0)); SHOW(listen(server, 1)); SHOW(shutdown(socket(AF_UNIX, SOCK_STREAM, 0), 2));
    SHOW(connect(client, NAME, length)); SHOW(bind(server, NAME, length)); SHOW(bind(server, NAME, length)); SHOW(bind(client, NAME, length));
    SHOW(connect(client, NAME, length)); SHOW(listen(server, 1)); SHOW(option(server, SO_ACCEPTCONN)); EVENTS(server); named(server, 0); named(server, 1);
    int many = epoll_create1(0); struct epoll_event e = {EPOLLIN, {.u32 = 9}}; SHOW(epoll_ctl(many, EPOLL_CTL_ADD, server, &e)); SHOW(epoll_wait(many, &e, 1, 0));
    SHOW(connect(client, NAME, length)); EVENTS(server); EVENTS(client); SHOW(connect(client, NAME, length)); SHOW(epoll_wait(many, &e, 1, 0));
    SHOW(write(client, "early", 5)); int second = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), third = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(connect(second, NAME, length)); SHOW(connect(third, NAME, length));
    struct sockaddr_un from; socklen_t size = sizeof from;
    SHOW(accept4(server, 0, 0, 1)); SHOW((accepted = accept4(server, (struct sockaddr *)&from, &size, SOCK_NONBLOCK)) >= 0); SHOW(size); SHOW(from.sun_family);
    SHOW(read(accepted, buffer, 100)); SHOW(read(accepted, buffer, 100)); named(accepted, 0); named(accepted, 1); named(client, 1); SHOW(write(accepted, "back", 4)); SHOW(read(client, buffer, 10));
    SHOW(close(accept(server, 0, 0))); SHOW(read(second, buffer, 1)); SHOW(fcntl(server, F_SETFL, O_NONBLOCK)); SHOW(accept(server, 0, 0)); SHOW(epoll_wait(many, &e, 1, 0));
    struct ucred who; size = sizeof who; SHOW(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &size)); SHOW(who.pid == getpid() && who.uid == getuid());
    int wrong = socket(AF_UNIX, SOCK_DGRAM, 0); SHOW(connect(wrong, NAME, length)); close(wrong);
    close(server); SHOW(connect(third, NAME, length));
    printf("-- datagrams\n");
    int one = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), two = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    abstract("vx32-inbox"); SHOW(bind(one, NAME, length)); SHOW(sendto(two, "nameless", 8, 0, NAME, length)); SHOW(send(two, "x", 1, 0)); SHOW(connect(two, NAME, length));
    abstract("vx32-sender"); SHOW(bind(two, NAME, length)); SHOW(send(two, "named", 5, 0)); SHOW(listen(one, 1)); SHOW(accept(one, 0, 0));
    for (int i = 0; i < 3; i++) { memset(&from, 0, sizeof from); size = sizeof from; SHOW(recvfrom(one, buffer, 4, MSG_TRUNC, (struct sockaddr *)&from, &size)); printf("  %u %.11s\n", (unsigned)size, from.sun_path + 1); }
    SHOW(sendto(two, "z", 1, 0, (struct sockaddr *)"\1", 2)); SHOW(send(two, buffer, 0, 0)); SHOW(recv(one, buffer, 10, 0)); SHOW(recv(one, buffer, 10, 0));
    SHOW(send_file(two, one, "carried", 0)); SHOW(receive_file(one, 100, 0)); close(received[0]);
    close(one); SHOW(send(two, "gone", 4, 0));
    SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, s)); SHOW(write(s[0], "dgram", 5)); SHOW(write(s[0], "two", 3)); SHOW(read(s[1], buffer, 2)); SHOW(read(s[1], buffer, 20));
    printf("-- processes\n");
    abstract("vx32-service"); server = socket(AF_UNIX, SOCK_STREAM, 0); bind(server, NAME, length); listen(server, 5);
    for (int i = 0; i < 3; i++) if (!fork()) {
        int mine = socket(AF_UNIX, SOCK_STREAM, 0), p[2]; pipe(p);
        if (connect(mine, NAME, length)) _exit(9);
        send_file(mine, p[1], "pipe", 0); close(p[1]);
        _exit(read(p[0], buffer, 10) == 3 && !memcmp(buffer, "ok\n", 3) && read(p[0], buffer, 10) == 0 ? 0 : 8);
    }
    for (int i = 0; i < 3; i++) { int a = accept(server, 0, 0); receive_file(a, 100, 0); SHOW(write(received[0], "ok\n", 3)); close(received[0]); close(a); }
    for (int i = 0; i < 3; i++) { int status; wait(&status); SHOW(status); }
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    if (!fork()) { close(s[0]); for (int i = 0; i < 1 << 20; i++) buffer[i] = i >> 4; _exit(write(s[1], buffer, 1 << 20) != 1 << 20); }
    close(s[1]); SHOW(recv(s[0], buffer, 1 << 20, MSG_WAITALL)); SHOW((unsigned char)buffer[999999]); SHOW(read(s[0], buffer, 1)); int status; wait(&status); SHOW(status);
    struct timeval t = {0, 3000}; socketpair(AF_UNIX, SOCK_STREAM, 0, s); SHOW(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t)); SHOW(read(s[0], buffer, 1));
    size = sizeof t; t.tv_usec = 0; SHOW(getsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, &size)); SHOW(t.tv_usec <= 4000 && t.tv_usec >= 3000); SHOW(setsockopt(s[0], 999, 1, &t, 4));
    return 0;
}
