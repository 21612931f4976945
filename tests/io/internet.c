#include "report.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>

static struct sockaddr_in at(const char *host, int port) {
    struct sockaddr_in a = {AF_INET, htons(port), {inet_addr(host)}};
    return a;
}
#define ADDRESS(a) (struct sockaddr *)&a, sizeof a

int main(int argc, char **argv) {
    int s, c, u, v, value = 1;
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in a = at("127.0.0.1", 0), from; socklen_t size = sizeof a;
    SHOW(s = socket(AF_INET, SOCK_STREAM, 0)); SHOW(socket(AF_INET, SOCK_STREAM, 17)); SHOW(socket(AF_INET, 77, 0)); SHOW(socket(AF_INET, SOCK_SEQPACKET, 0));
    EVENTS(s); SHOW(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value, 4)); SHOW(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &value, 3)); SHOW(setsockopt(s, SOL_SOCKET, 12345, &value, 4));
    SHOW(bind(s, (struct sockaddr *)&a, 5)); a.sin_family = 99; SHOW(bind(s, ADDRESS(a))); a.sin_family = AF_INET; SHOW(bind(s, ADDRESS(a))); SHOW(bind(s, ADDRESS(a)));
    SHOW(accept(s, 0, 0)); SHOW(listen(s, 5)); SHOW(getsockname(s, (struct sockaddr *)&a, &size)); SHOW(size); SHOW(a.sin_port != 0); SHOW(getpeername(s, (struct sockaddr *)&from, &size)); EVENTS(s);
    SHOW(c = socket(AF_INET, SOCK_STREAM, 0)); SHOW(write(c, "x", 1)); SHOW(read(c, buffer, 1));
    if (!fork()) {
        int p = accept(s, (struct sockaddr *)&from, &size);
        ssize_t n, total = 0;
        while ((n = read(p, buffer, 50000)) > 0) { total += n; write(p, &total, sizeof total); }
        char end[20]; int l = sprintf(end, "%ld", (long)total);
        send(p, end, l, 0);
        _exit(from.sin_family != AF_INET || from.sin_addr.s_addr != htonl(INADDR_LOOPBACK));
    }
    SHOW(connect(c, ADDRESS(a))); SHOW(connect(c, ADDRESS(a))); EVENTS(c);
    SHOW(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &value, 4)); value = 0; size = 4; SHOW(getsockopt(c, IPPROTO_TCP, TCP_NODELAY, &value, &size)); SHOW(value != 0);
    SHOW(write(c, buffer, 1 << 20)); SHOW(shutdown(c, SHUT_WR)); ssize_t n, total = 0; while ((n = read(c, buffer, 65536)) > 0) total += n;
    SHOW(n); SHOW(memcmp(buffer, "x", 0)); int status; wait(&status); SHOW(status); EVENTS(c); close(c);
    printf("-- nobody listens\n");
    close(s); c = socket(AF_INET, SOCK_STREAM, 0); SHOW(connect(c, ADDRESS(a))); close(c);
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0); SHOW(connect(c, ADDRESS(a))); SHOW(poll(&(struct pollfd){c, POLLOUT, 0}, 1, 5000)); EVENTS(c);
    size = 4; SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &value, &size)); SHOW(value == ECONNREFUSED); SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &value, &size)); SHOW(value); close(c);
    printf("-- datagrams\n");
    a = at("127.0.0.1", 0); size = sizeof a; SHOW(u = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)); SHOW(bind(u, ADDRESS(a))); SHOW(getsockname(u, (struct sockaddr *)&a, &size));
    SHOW(v = socket(AF_INET, SOCK_DGRAM, 0)); SHOW(send(v, "x", 1, 0)); SHOW(recv(u, buffer, 1, 0)); SHOW(sendto(v, "hello", 5, 0, ADDRESS(a))); SHOW(poll(&(struct pollfd){u, POLLIN, 0}, 1, 5000)); EVENTS(u);
    SHOW(recvfrom(u, buffer, 2, MSG_TRUNC, (struct sockaddr *)&from, &size)); SHOW(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK)); SHOW(connect(v, ADDRESS(a))); SHOW(send(v, "more", 4, 0)); SHOW(listen(u, 1)); SHOW(accept(u, 0, 0));
    SHOW(connect(v, &(struct sockaddr){AF_UNSPEC}, 16)); SHOW(send(v, "x", 1, 0));
    struct mmsghdr m[3]; struct iovec io[3] = {{"ab", 2}, {"cde", 3}, {"f", 1}}; memset(m, 0, sizeof m);
    for (int i = 0; i < 3; i++) { m[i].msg_hdr.msg_iov = io + i; m[i].msg_hdr.msg_iovlen = 1; m[i].msg_hdr.msg_name = &a; m[i].msg_hdr.msg_namelen = sizeof a; }
    SHOW(recv(u, buffer, 10, 0)); SHOW(sendmmsg(v, m, 3, 0)); printf("%u %u %u\n", m[0].msg_len, m[1].msg_len, m[2].msg_len);
    for (int i = 0; i < 3; i++) { io[i] = (struct iovec){buffer + 100 * i, 100}; m[i].msg_hdr.msg_name = 0; m[i].msg_hdr.msg_namelen = 0; }
    fcntl(u, F_SETFL, 0); SHOW(recvmmsg(u, m, 3, MSG_WAITFORONE, 0)); printf("%u %u %u\n", m[0].msg_len, m[1].msg_len, m[2].msg_len);
    SHOW(socket(AF_INET6, SOCK_STREAM, 0) >= 0);
    return 0;
}
