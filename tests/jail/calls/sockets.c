/* Sockets: of one machine, and of the Internet over loopback; through their own calls and through socketcall. */
#include "harness.h"

#include <arpa/inet.h>
#include <linux/net.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

static struct sockaddr_un named(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    return address;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int port_of(int fd) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &length) ? -1 : ntohs(address.sin_port);
}

#define ADDRESS(a) ((struct sockaddr *)&(a)), sizeof(a)

/* A socket that listens on a port of the loopback that the system chooses. */
static int listening(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = loopback(0);
    if (fd < 0 || bind(fd, ADDRESS(address)) || listen(fd, 5))
        say("listening: %s", error_name());
    return fd;
}

CASE(socketpairs_carry_bytes_both_ways) {
    int ends[2];
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    T(write(ends[0], "hello", 5));
    T(send(ends[0], " world", 6, 0));
    show_descriptor(ends[1]);
    T(send(ends[1], "back", 4, MSG_NOSIGNAL));
    char bytes[10];
    T(recv(ends[0], bytes, 2, MSG_PEEK));
    T(recv(ends[0], bytes, 10, 0));
    T(recv(ends[0], bytes, 10, MSG_DONTWAIT));
    T(shutdown(ends[0], SHUT_WR));
    T(recv(ends[1], bytes, 10, 0));
    T(send(ends[0], "x", 1, MSG_NOSIGNAL));
    T(send(ends[1], "x", 1, MSG_NOSIGNAL));
    close(ends[0]);
    T(send(ends[1], "x", 1, MSG_NOSIGNAL));
    T(recv(ends[1], bytes, 10, 0));
}

CASE(socketpair_of_datagrams) {
    int ends[2];
    char bytes[10];
    T(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
    T(fcntl(ends[0], F_GETFD));
    T(fcntl(ends[0], F_GETFL));
    T(send(ends[0], "one", 3, 0));
    T(send(ends[0], "second", 6, 0));
    T(send(ends[0], "", 0, 0));
    T(recv(ends[1], bytes, 10, 0));
    T(recv(ends[1], bytes, 3, MSG_TRUNC));
    T(recv(ends[1], bytes, 10, 0));
    T(recv(ends[1], bytes, 10, 0));
    T(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
    T(write(ends[0], "packet", 6));
    T(write(ends[0], "next", 4));
    T(read(ends[1], bytes, 10));
    T(read(ends[1], bytes, 2));
    close(ends[0]);
    T(read(ends[1], bytes, 2));
}

CASE(sockets_that_cannot_be) {
    int ends[2];
    T(socket(99, SOCK_STREAM, 0));
    T(socket(AF_UNIX, 99, 0));
    T(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    T(socket(AF_UNIX, SOCK_STREAM, 99));
    T(socketpair(AF_INET, SOCK_STREAM, 0, ends));
    T(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, NULL));
    T(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    T(bind(0, NULL, 0));
    T(listen(99, 1));
    T(connect(99, NULL, 0));
    T(accept(0, NULL, NULL));
    T(getsockname(99, NULL, NULL));
    T(shutdown(99, 0));
    T(send(0, "x", 1, 0));
}

CASE(sockets_with_names_in_the_file_system) {
    int server = T(socket(AF_UNIX, SOCK_STREAM, 0)), client = T(socket(AF_UNIX, SOCK_STREAM, 0));
    struct sockaddr_un address = named("name"), got;
    struct stat st;
    T(chdir("private"));
    T(connect(client, ADDRESS(address)));
    T(bind(server, ADDRESS(address)));
    T(connect(client, ADDRESS(address)));
    T(stat("name", &st));
    say("%o", st.st_mode & S_IFMT);
    T(open("name", O_RDWR));
    T(accept(server, NULL, NULL));
    T(listen(server, 5));
    T(connect(client, ADDRESS(address)));
    int peer = T(accept4(server, NULL, NULL, SOCK_CLOEXEC));
    T(fcntl(peer, F_GETFD));
    T(write(client, "hello", 5));
    show_descriptor(peer);
    socklen_t length = sizeof got;
    T(getsockname(server, (struct sockaddr *)&got, &length));
    say("%d %d %s", length, got.sun_family, got.sun_path);
    length = sizeof got;
    T(getpeername(client, (struct sockaddr *)&got, &length));
    say("%d %s", length, got.sun_path);
    length = sizeof got;
    T(getpeername(peer, (struct sockaddr *)&got, &length));
    say("%d", length);
    int other = T(socket(AF_UNIX, SOCK_STREAM, 0));
    T(bind(other, ADDRESS(address)));
    T(unlink("name"));
    T(connect(other, ADDRESS(address)));
    address = named("missing/name");
    T(bind(other, ADDRESS(address)));
    T(bind(other, (struct sockaddr *)&address, 1000));
    make("file", "");
    address = named("file");
    T(connect(other, ADDRESS(address)));
}

CASE(credentials_of_a_peer) {
    int ends[2];
    struct { pid_t pid; uid_t uid; gid_t gid; } who;
    socklen_t length = sizeof who;
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    T(getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, &who, &length));
    say("%d %d %d", who.pid == getpid(), who.uid == getuid(), who.gid == getgid());
}

CASE(descriptors_can_be_sent) {
    int ends[2];
    char bytes[10], control[100] = {0};
    make("file", "content of the file");
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    pid_t child = fork();
    if (child == 0) {
        int fd = open("file", O_RDONLY);
        struct iovec piece = {"x", 1};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(4)};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(4);
        memcpy(CMSG_DATA(header), &fd, 4);
        _exit(sendmsg(ends[1], &message, 0) != 1);
    }
    struct iovec piece = {bytes, 10};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    T(recvmsg(ends[0], &message, MSG_CMSG_CLOEXEC));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    say("%d", header != NULL);
    if (header) {
        int fd;
        memcpy(&fd, CMSG_DATA(header), 4);
        say("%d %d %d", header->cmsg_level, header->cmsg_type, (int)header->cmsg_len);
        T(fcntl(fd, F_GETFD));
        show_descriptor(fd);
    }
    wait_for(child);
}

static void client_of(int port) {
    struct sockaddr_in address = loopback(port);
    char bytes[20];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, ADDRESS(address)))
        _exit(1);
    if (write(fd, "request", 7) != 7 || shutdown(fd, SHUT_WR))
        _exit(2);
    int length = read(fd, bytes, 20);
    _exit(length == 6 && !memcmp(bytes, "answer", 6) && read(fd, bytes, 20) == 0 ? 0 : 3);
}

CASE(a_server_and_a_client) {
    int server = listening();
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    pid_t child = fork();
    if (child == 0)
        client_of(port_of(server));
    int fd = T(accept(server, (struct sockaddr *)&peer, &length));
    say("%d %d %d", length, peer.sin_family == AF_INET, peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    char bytes[20];
    T(read(fd, bytes, 20));
    T(read(fd, bytes, 20));
    T(send(fd, "answer", 6, 0));
    close(fd);
    wait_for(child);
}

CASE(connections_that_are_refused) {
    int fd = T(socket(AF_INET, SOCK_STREAM, 0)), server = listening();
    int port = port_of(server);
    struct sockaddr_in address = loopback(port);
    close(server);
    T(connect(fd, ADDRESS(address)));
    T(send(fd, "x", 1, MSG_NOSIGNAL));
    char byte;
    T(recv(fd, &byte, 1, 0));
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    T(getpeername(fd, (struct sockaddr *)&peer, &length));
    T(connect(fd, (struct sockaddr *)&address, 3));
    T(syscall(SYS_connect, fd, NOWHERE, 16));
    address.sin_family = AF_UNIX;
    T(connect(fd, ADDRESS(address)));
    T(listen(fd, 1));
    T(getsockname(fd, (struct sockaddr *)&peer, &length));
}

CASE(a_connection_without_waiting) {
    int server = listening(), fd = T(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    struct sockaddr_in address = loopback(port_of(server));
    T(fcntl(server, F_SETFL, O_NONBLOCK));
    T(accept(server, NULL, NULL));
    int result = connect(fd, ADDRESS(address));
    say("%d", result == 0 || errno == EINPROGRESS);
    struct pollfd one = {fd, POLLOUT, 0};
    T(poll(&one, 1, 1000));
    int error = 77;
    socklen_t length = sizeof error;
    T(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
    say("%d", error);
    one.fd = server, one.events = POLLIN;
    T(poll(&one, 1, 1000));
    int peer = T(accept(server, NULL, NULL));
    T(fcntl(peer, F_GETFL) & O_NONBLOCK);
    char byte;
    T(recv(fd, &byte, 1, 0));
    T(connect(fd, ADDRESS(address)));
    close(peer);
    one.fd = fd;
    T(poll(&one, 1, 1000));
    T(recv(fd, &byte, 1, 0));
}

CASE(datagrams) {
    int a = T(socket(AF_INET, SOCK_DGRAM, 0)), b = T(socket(AF_INET, SOCK_DGRAM, 0));
    struct sockaddr_in address = loopback(0), from;
    char bytes[20];
    T(bind(a, ADDRESS(address)));
    address = loopback(port_of(a));
    T(sendto(b, "datagram", 8, 0, ADDRESS(address)));
    socklen_t length = sizeof from;
    T(recvfrom(a, bytes, 20, 0, (struct sockaddr *)&from, &length));
    say("%d %d %s", length, ntohs(from.sin_port) == port_of(b), quoted(bytes, 8));
    T(sendto(a, "back", 4, 0, ADDRESS(from)));
    T(connect(b, ADDRESS(address)));
    T(recv(b, bytes, 20, 0));
    T(send(b, "again", 5, 0));
    T(recv(a, bytes, 2, 0));
    T(recv(a, bytes, 2, MSG_DONTWAIT));
    T(send(a, "x", 1, 0));
    T(sendto(a, "x", 1, 0, (struct sockaddr *)&from, 3));
    T(listen(a, 1));
    static char large[70000];
    T(send(b, large, sizeof large, 0));
}

CASE(options_of_sockets) {
    int fd = T(socket(AF_INET, SOCK_STREAM, 0)), value = 1;
    socklen_t length = sizeof value;
    T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof value));
    value = 0;
    T(getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &length));
    say("%d %d", value, length);
    T(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
    say("%d", value == SOCK_STREAM);
    T(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &length));
    say("%d", value == AF_INET);
    T(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length));
    say("%d", value);
    value = 1;
    T(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
    T(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
    T(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, 1));
    T(setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof value));
    T(setsockopt(fd, 9999, 1, &value, sizeof value));
    T(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, NOWHERE, 4));
    T(syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &value, NULL));
    T(getsockopt(0, SOL_SOCKET, SO_TYPE, &value, &length));
    length = 1;
    value = 0;
    T(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
    say("%d %d", value, length);
    struct timeval time = {0, 20000};
    int ends[2];
    char byte;
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    T(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    T(recv(ends[0], &byte, 1, 0));
}

CASE(addresses_in_use) {
    int a = listening(), b = T(socket(AF_INET, SOCK_STREAM, 0));
    struct sockaddr_in address = loopback(port_of(a));
    T(bind(b, ADDRESS(address)));
    address = loopback(0);
    T(bind(b, ADDRESS(address)));
    T(bind(b, ADDRESS(address)));
    address.sin_addr.s_addr = htonl(0x08080808);
    int c = T(socket(AF_INET, SOCK_STREAM, 0));
    T(bind(c, ADDRESS(address)));
    T(bind(c, (struct sockaddr *)&address, 3));
}

CASE(messages_in_pieces) {
    int ends[2];
    char a[3], b[10];
    T(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
    struct iovec out[2] = {{"abc", 3}, {"defg", 4}}, in[2] = {{a, 3}, {b, 10}};
    struct msghdr sent = {.msg_iov = out, .msg_iovlen = 2}, got = {.msg_iov = in, .msg_iovlen = 2};
    T(sendmsg(ends[0], &sent, 0));
    T(recvmsg(ends[1], &got, 0));
    say("%s", quoted(b, 4));
    T(sendmsg(ends[0], &sent, 0));
    got.msg_iovlen = 1;
    T(recvmsg(ends[1], &got, 0));
    say("%d", got.msg_flags == MSG_TRUNC);
    T(syscall(SYS_sendmsg, ends[0], NULL, 0));
    T(syscall(SYS_recvmsg, ends[1], NOWHERE, 0));
    struct mmsghdr many[2] = {{.msg_hdr = sent}, {.msg_hdr = sent}};
    T(sendmmsg(ends[0], many, 2, 0));
    say("%d %d", many[0].msg_len, many[1].msg_len);
    got.msg_iovlen = 2;
    many[0].msg_hdr = many[1].msg_hdr = got;
    T(recvmmsg(ends[1], many, 2, MSG_DONTWAIT, NULL));
    say("%d %d", many[0].msg_len, many[1].msg_len);
}

CASE(socketcall_does_the_same) {
    int ends[2];
    char bytes[10];
    long pair[] = {AF_UNIX, SOCK_STREAM, 0, (long)ends};
    T(syscall(SYS_socketcall, SYS_SOCKETPAIR, pair));
    long sending[] = {ends[0], (long)"hello", 5, 0};
    T(syscall(SYS_socketcall, SYS_SEND, sending));
    long receiving[] = {ends[1], (long)bytes, 10, 0};
    T(syscall(SYS_socketcall, SYS_RECV, receiving));
    say("%s", quoted(bytes, 5));
    long making[] = {AF_INET, SOCK_STREAM, 0};
    int fd = T(syscall(SYS_socketcall, SYS_SOCKET, making));
    struct sockaddr_in address = loopback(0);
    long binding[] = {fd, (long)&address, sizeof address};
    T(syscall(SYS_socketcall, SYS_BIND, binding));
    long listening_[] = {fd, 5};
    T(syscall(SYS_socketcall, SYS_LISTEN, listening_));
    socklen_t length = sizeof address;
    long naming[] = {fd, (long)&address, (long)&length};
    T(syscall(SYS_socketcall, SYS_GETSOCKNAME, naming));
    say("%d %d", length, address.sin_port != 0);
    int client = T(syscall(SYS_socketcall, SYS_SOCKET, making));
    long connecting[] = {client, (long)&address, sizeof address};
    T(syscall(SYS_socketcall, SYS_CONNECT, connecting));
    long accepting[] = {fd, 0, 0};
    int peer = T(syscall(SYS_socketcall, SYS_ACCEPT, accepting));
    T(write(client, "through", 7));
    T(read(peer, bytes, 10));
    long shutting[] = {client, 1};
    T(syscall(SYS_socketcall, SYS_SHUTDOWN, shutting));
    T(read(peer, bytes, 10));
    T(syscall(SYS_socketcall, 99, making));
    T(syscall(SYS_socketcall, 0, making));
    T(syscall(SYS_socketcall, SYS_SOCKET, NULL));
    T(syscall(SYS_socketcall, SYS_SOCKET, NOWHERE));
}

CASE(accept_waits_and_select_sees_it) {
    int server = listening();
    fd_set in;
    FD_ZERO(&in);
    FD_SET(server, &in);
    pid_t child = fork();
    if (child == 0) {
        pause_ms(10);
        client_of(port_of(server));
    }
    T(select(server + 1, &in, NULL, NULL, NULL));
    int fd = T(accept(server, NULL, NULL));
    char bytes[20];
    T(recv(fd, bytes, 7, MSG_WAITALL));
    T(sendmsg(fd, &(struct msghdr){.msg_iov = &(struct iovec){"answer", 6}, .msg_iovlen = 1}, 0));
    close(fd);
    wait_for(child);
}

CASE(epoll_of_sockets) {
    int ends[2], queue = T(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP}, got[2];
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    T(epoll_ctl(queue, EPOLL_CTL_ADD, ends[0], &event));
    T(epoll_wait(queue, got, 2, 0));
    say("%x", got[0].events);
    T(write(ends[1], "x", 1));
    T(epoll_wait(queue, got, 2, 0));
    say("%x", got[0].events);
    T(shutdown(ends[1], SHUT_WR));
    T(epoll_wait(queue, got, 2, 0));
    say("%x", got[0].events);
    close(ends[1]);
    T(epoll_wait(queue, got, 2, 0));
    say("%x", got[0].events);
}

CASE(large_transfers) {
    int ends[2];
    static char bytes[200000];
    T(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        for (int i = 0; i < 5; i++)
            if (send(ends[1], bytes, sizeof bytes, 0) != sizeof bytes)
                _exit(1);
        _exit(0);
    }
    close(ends[1]);
    long sum = 0, length;
    while ((length = recv(ends[0], bytes, sizeof bytes, 0)) > 0)
        sum += length;
    say("%ld", sum);
    wait_for(child);
}
