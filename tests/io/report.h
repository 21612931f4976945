/* What these programs say: the result of each expression, and errno where it is -1. The same natively and in the jail. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHOW(e) do { errno = 0; long r_ = (long)(e); \
    if (r_ == -1) printf("%s = -1 %s\n", #e, strerrorname_np(errno)); else printf("%s = %ld\n", #e, r_); fflush(stdout); } while (0)

static char buffer[1 << 20];

static int events(int fd, int wanted) {
    struct pollfd p = {fd, wanted, 0x7777};
    return poll(&p, 1, 0) < 0 ? -1 : p.revents;
}
#define EVERY (POLLIN | POLLPRI | POLLOUT | POLLRDNORM | POLLWRNORM | POLLRDHUP)
#define EVENTS(fd) printf("%d: events of " #fd ": %#x, unasked %#x\n", __LINE__, events(fd, EVERY), events(fd, 0))
