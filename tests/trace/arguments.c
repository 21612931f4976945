/* Calls with all kinds of arguments, none of which is carried out: a tracer, or a table of made-up handlers, answers them.
   Everything is at fixed addresses, so that two tracers must print the same lines. */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static int call(int n, long a, long b, long c, long d, long e, long f) {
  int r;
  long arguments[7] = {a, b, c, d, e, f, n};
  __asm__ volatile("push %%ebp; push %%ebx; mov (%%eax), %%ebx; mov 4(%%eax), %%ecx; mov 8(%%eax), %%edx; mov 12(%%eax), %%esi;"
                   "mov 16(%%eax), %%edi; mov 20(%%eax), %%ebp; mov 24(%%eax), %%eax; int $0x80; pop %%ebx; pop %%ebp"
                   : "=a"(r) : "0"(arguments) : "ecx", "edx", "esi", "edi", "memory");
  return r;
}
#define PICK(n, a, b, c, d, e, f, ...) call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define S(...) PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define N(name) SYS_##name

static char buf[8192], text[] = "some text\n\t\"quoted\" \\ \1\0017\377 and so on, longer than what is shown";
static long long numbers[8] = {1, 0x123456789LL, 3, 4, 5, 6, 7, 8};
static char *argv[] = {"prog", "an argument", text, 0}, *envp[] = {"A=1", "B=2", 0}, *one[] = {"A=1", 0};
static struct iovec vectors[3] = {{"ab", 2}, {text, sizeof text - 1}, {0, 0}}, room[2] = {{buf, 2}, {buf + 10, 5}};
static struct timespec spec = {5, 123456789}, specs[2] = {{1, 2}, {0, UTIME_OMIT}}, nows[2] = {{0, UTIME_NOW}, {7, 0}};
static struct timeval val = {3, 250000}, vals[2] = {{1, 2}, {3, 0}};
static struct itimerval itval = {{1, 2}, {3, 4}};
static struct itimerspec itspec = {{1, 2}, {3, 4}};
static long long specs64[4] = {1, 2, 3, 4};
static struct pollfd polls[3] = {{4, POLLIN, 0}, {5, POLLOUT | POLLIN | POLLRDHUP, POLLOUT}, {-1, 0, 0}};
static fd_set reads, writes;
static struct epoll_event event = {EPOLLIN | EPOLLET | EPOLLONESHOT, {.u64 = 0x100000007ULL}};
static struct { void *h; unsigned long f; void *r; unsigned long long m; } action = {(void *)0x8049000, 0x14000004, (void *)0x1234, 0x4002}, ignore = {SIG_IGN};
static struct { void *h; unsigned long m, f; void *r; } old_action = {(void *)0x8049000, 0x4002, 0x10000000, 0};
static unsigned long long sets[] = {0, 0x0000000400000201ULL, ~0ULL, ~0x201ULL, 0xffffffff00000000ULL};
static struct { void *p; int f; unsigned n; } stack = {buf, SS_ONSTACK, 8192}, no_stack = {0, SS_DISABLE, 0};
static struct { unsigned a, b; } limit32 = {8192 * 1024, ~0u}, limit32b = {1000, 1025};
static struct { unsigned long long a, b; } limit64 = {4096, ~0ULL};
static struct sockaddr_in in4 = {AF_INET, 0x5000, {0x0100007f}};
static struct sockaddr_in6 in6 = {AF_INET6, 0x5000, 0, {{{[15] = 1}}}, 2};
static struct sockaddr_un un = {AF_UNIX, "/a/socket"}, hidden = {AF_UNIX, "\0hidden"};
static struct msghdr message = {&in4, 16, vectors, 2}, plain = {0, 0, room, 1};
static int length = 16, number = 42, four = 4;
static struct flock64 lock = {F_WRLCK, SEEK_SET, 100, 10};
static unsigned descriptor[4] = {6, 0x8050000, 0xfffff, 0x51};
static long map_arguments[6] = {0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}, socket_arguments[6];
static unsigned long long how[3] = {O_RDWR | O_CREAT, 0640, 8}, clone_arguments[8] = {CLONE_VM, 0, 0, 0, SIGCHLD, 0, 0, 0};
static struct stat64 status[3] = {{.st_mode = S_IFREG | 04755, .st_size = 0x123456789LL}, {.st_mode = S_IFDIR | S_ISVTX | 0777}, {.st_mode = S_IFCHR | 0620, .st_rdev = 0x8803}};
static unsigned info[32] = {SIGCHLD, 0, CLD_EXITED, 77, 1000, 3};

static int requests[12] = {TCGETS, TIOCGPGRP, TIOCSPGRP, TIOCGWINSZ, TIOCSWINSZ, FIONREAD, FIONBIO, TIOCNOTTY, TIOCGSID, TIOCSCTTY, TCFLSH + 0x1000, TCSBRK};

static void socketcall(int n, long a, long b, long c, long d, long e, long f) {
  long given[6] = {a, b, c, d, e, f};
  for (int i = 0; i < 6; i++) socket_arguments[i] = given[i];
  S(N(socketcall), n, socket_arguments);
}

void _start(void) {
  int i;
  reads.fds_bits[0] = 0x11; writes.fds_bits[0] = 0x20;
  for (i = 0; i < 64; i++) buf[i] = i < 20 ? 'a' + i : i * 7;
  /* every bit by itself */
  for (i = 0; i < 32; i++) {
    unsigned b = 1u << i;
    S(N(openat), AT_FDCWD, "f", b, 0644); S(N(mprotect), 0x8000, 4096, b); S(N(mmap2), 0, 4096, PROT_READ, b & ~0xfc000000, -1, 0);
    S(N(mremap), 0x8000, 1, 2, b, 0x9000); S(N(msync), 0x8000, 1, b); S(N(unlinkat), 7, "f", b); S(N(fchownat), 3, "f", 1, -1, b); S(N(faccessat2), 3, "f", b, b);
    S(N(statx), 3, "f", b, b, 0); S(N(renameat2), 3, "f", 4, "g", b); S(N(pipe2), 0, b); S(N(dup3), 3, 4, b); S(N(eventfd2), 1, b); S(N(epoll_create1), b);
    S(N(timerfd_create), i, b); S(N(signalfd4), -1, &sets[1], 8, b); S(N(wait4), -1, 0, b, 0); S(N(sendto), 3, "x", 1, b, 0, 0); S(N(getrandom), buf, 2, b); S(N(memfd_create), "m", b & 7);
    S(N(splice), 3, 0, 4, 0, 5, b); S(N(flock), 3, b); S(N(fallocate), 3, b, 0, 0, 5, 0); S(N(mlockall), b); S(N(inotify_add_watch), 3, "p", b); S(N(socket), AF_UNIX, SOCK_STREAM | b & 0xfffffff0, 0);
    S(N(accept4), 3, 0, 0, b); S(N(umount2), "p", b); S(N(setxattr), "p", "n", "v", 1, b); S(N(access), "p", b); S(N(close_range), 1, 2, b); S(N(fcntl64), 3, F_SETFL, b);
    S(N(fcntl64), 3, F_SETFD, b); S(N(timerfd_settime), 3, b, &itspec, 0); S(N(sync_file_range), 3, 0, 0, 5, 0, b); S(N(poll), (polls[0].events = b, polls), 1, 0);
    event.events = b; S(N(epoll_ctl), 3, EPOLL_CTL_ADD, 4, &event); action.f = b; S(N(rt_sigaction), SIGINT, &action, 0, 8); S(N(clone), b & ~0xff, 0, 0, 0, 0); S(N(unshare), b & ~0xff);
    S(N(linkat), 3, "a", 4, "b", b); S(N(preadv2), 3, room, 1, 5, 0, b & 31); S(N(shutdown), 3, i); S(N(mkdir), "d", b); S(N(chmod), "d", b); S(N(fchmod), 3, b - 1); S(N(mknod), "d", b | 0600, 0x803);
  }
  polls[0].events = POLLIN; event.events = EPOLLIN | EPOLLET; action.f = 0x14000004;
  /* every small value */
  for (i = 0; i < 48; i++) {
    S(N(lseek), 3, -i, i); S(N(madvise), 0x8000, 4096, i); S(N(rt_sigprocmask), i, 0, 0, 8); S(N(clock_gettime), i, 0); S(N(getrlimit), i, 0); S(N(getpriority), i, 0); S(N(futex), &number, i, 1, 0, 0, 0);
    if (i != AF_AX25 && i < AF_NETLINK) S(N(socket), i, SOCK_DGRAM, i); S(N(socket), AF_INET, i & 15, i < 26 ? i : 0); if (i != SO_LINGER && i != SO_ATTACH_FILTER) S(N(setsockopt), 3, SOL_SOCKET, i, &number, 4); if (i < 16) S(N(setsockopt), 3, i, i, &number, 4); if (i != SO_ATTACH_FILTER) S(N(getsockopt), 3, SOL_SOCKET, i, &number, &four);
    S(N(kill), i, i); S(N(epoll_ctl), 3, i, 4, &event); S(N(getitimer), i, 0); S(N(fadvise64_64), 3, 0, 0, 5, 0, i);
    S(N(getrusage), i, 0); S(N(sched_get_priority_max), i); S(N(ioctl), 3, requests[i % 12], 0); S(N(tgkill), 1, 2, 32 + i);
  }
  for (i = 0; i < 11; i++) { S(N(fcntl64), 3, i, 0); S(N(fcntl64), 3, F_DUPFD_CLOEXEC - 6 + i, 5); }
  /* strings, buffers, structures */
  S(N(read), 3, buf, 100); S(N(read), -1, 0, 10); S(N(write), 1, text, sizeof text - 1); S(N(write), 1, text, 5); S(N(write), 1, 0, 0); S(N(write), 1, 8, 3); S(N(write), 1, text, 0);
  S(N(pread64), 3, buf, 9, -1, 0); S(N(pwrite64), 3, text, 9, 5, 1); S(N(_llseek), 3, 1, 2, numbers, SEEK_END); S(N(lseek), 3, -5, SEEK_CUR);
  S(N(writev), 1, vectors, 3); S(N(writev), 1, vectors, 0); S(N(writev), 1, 0, 2); S(N(writev), 1, 8, 2); S(N(readv), 0, room, 2); S(N(preadv), 3, room, 2, 7, 0); S(N(pwritev), 3, vectors, 1, 7, 1);
  S(N(open), "f", O_RDONLY); S(N(open), "f", O_RDWR | O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | O_SYNC | O_NONBLOCK, 0600); S(N(open), 8, 3); S(N(open), 0, O_WRONLY | O_DIRECTORY); S(N(openat), AT_FDCWD, text, 0);
  S(N(open), "f", O_TMPFILE | O_RDWR, 0600); S(N(creat), "f", 0644); S(N(openat2), 3, "x", how, 24); S(N(close), -1);
  S(N(execve), "prog", argv, envp); S(N(execve), "prog", 0, 0); S(N(execve), "prog", 8, one); S(N(execveat), AT_FDCWD, "prog", argv, one, AT_EMPTY_PATH);
  S(N(stat64), "f", &status[0]); S(N(lstat64), "f", &status[1]); S(N(fstat64), 3, &status[2]); S(N(fstatat64), 3, "f", &status[0], AT_SYMLINK_NOFOLLOW); S(N(stat64), "f", 8);
  S(N(readlink), "l", buf, 100); S(N(readlinkat), AT_FDCWD, "l", buf, 100); S(N(symlink), "a", "b"); S(N(symlinkat), "a", 3, "b"); S(N(link), "a", "b"); S(N(rename), "a", "b"); S(N(renameat), 3, "a", AT_FDCWD, "b");
  S(N(truncate64), "f", 5, 1); S(N(ftruncate64), 3, 5, 0); S(N(truncate), "f", 5); S(N(chown32), "f", 0, -1); S(N(chown), "f", 1, -1); S(N(umask), 077); S(N(umask), 07);
  S(N(utimensat), AT_FDCWD, "f", specs, 0); S(N(utimensat), 3, 0, nows, AT_SYMLINK_NOFOLLOW); S(N(utimensat_time64), 3, "f", specs64, 0); S(N(utimes), "f", vals); S(N(utimes), "f", 0); S(N(utime), "f", &val); S(N(futimesat), 3, "f", vals);
  S(N(getcwd), buf, 100); S(N(chdir), "d"); S(N(mknodat), 3, "n", S_IFBLK | 0600, 0x803); S(N(mount), "a", "b", "ext4", MS_NOSUID | MS_RDONLY, 0); S(N(pivot_root), "a", "b");
  S(N(copy_file_range), 3, numbers, 4, numbers + 1, 10, 0); S(N(sendfile64), 3, 4, 0, 10); S(N(tee), 3, 4, 5, 0); S(N(fallocate), 3, 0, 1, 0, 5, 1); S(N(readahead), 3, 5, 0, 10);
  S(N(fcntl64), 3, F_SETLK64, &lock); S(N(fcntl64), 3, F_SETLKW, 0); S(N(fcntl64), 3, 0x3e7, 5); S(N(fcntl64), 3, F_ADD_SEALS, 3); S(N(ioctl), 3, 0x12345678, 5); S(N(ioctl), 3, FIONBIO, &number); S(N(ioctl), 3, FIOCLEX, 0);
  S(N(poll), polls, 3, -1); S(N(poll), 0, 0, 1000); S(N(ppoll), polls, 2, &spec, &sets[1], 8); S(N(_newselect), 6, &reads, &writes, 0, &val); S(N(_newselect), 0, 0, 0, 0, 0); S(N(pselect6), 6, &reads, 0, 0, &spec, 0);
  S(N(epoll_wait), 3, buf, 4, 100); S(N(epoll_ctl), 3, EPOLL_CTL_DEL, 4, 0); S(N(eventfd), 3); S(N(timerfd_gettime), 3, &itspec); S(N(signalfd), 3, &sets[1], 8);
  S(N(mmap), map_arguments); S(N(mmap2), 0x10000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_FIXED, 3, 5); S(N(munmap), 0x10000, 4096); S(N(brk), 0); S(N(brk), 0x9000000); S(N(mprotect), 0x1000, 4096, 0); S(N(mremap), 0x1000, 1, 2, 3, 0x2000);
  for (i = 0; i < 5; i++) { S(N(rt_sigprocmask), SIG_BLOCK, &sets[i], 0, 8); S(N(rt_sigpending), &sets[i], 8); S(N(rt_sigsuspend), &sets[i], 8); }
  S(N(rt_sigaction), SIGUSR1, &action, &ignore, 8); S(N(rt_sigaction), SIGKILL, &ignore, 0, 8); S(N(rt_sigaction), 40, 0, 0, 8); S(N(sigaction), SIGUSR2, &old_action, 0); S(N(signal), SIGPIPE, 1); S(N(signal), 2, 0x8049000);
  S(N(sigprocmask), SIG_SETMASK, &sets[1], &sets[2]); S(N(sigaltstack), &stack, &no_stack); S(N(rt_sigtimedwait), &sets[1], 0, &spec, 8); S(N(tkill), 5, SIGTERM); S(N(kill), -1, 0); S(N(pause)); S(N(alarm), 5);
  S(N(nanosleep), &spec, &spec); S(N(nanosleep), 8, 0); S(N(clock_nanosleep), CLOCK_MONOTONIC, TIMER_ABSTIME, &spec, 0); S(N(clock_gettime), CLOCK_REALTIME, &spec); S(N(clock_gettime64), CLOCK_MONOTONIC, specs64); S(N(clock_getres), 1, &spec); S(N(gettimeofday), &val, vals); S(N(setitimer), ITIMER_REAL, &itval, 0);
  S(N(setitimer), ITIMER_PROF, 0, &itval); S(N(clock_settime), 0, &spec); S(N(settimeofday), &val, 0); S(N(timer_gettime), 3, &itspec); S(N(timer_settime), 3, TIMER_ABSTIME, &itspec, 0); S(N(clock_nanosleep_time64), 0, 0, specs64, 0);
  S(N(setrlimit), RLIMIT_NOFILE, &limit32); S(N(ugetrlimit), RLIMIT_STACK, &limit32b); S(N(prlimit64), 0, RLIMIT_NOFILE, &limit64, 0); S(N(prlimit64), 5, RLIMIT_AS, 0, &limit64); S(N(waitpid), -1, &number, WNOHANG | WUNTRACED); S(N(waitid), P_PID, 5, 0, WEXITED | WNOWAIT, 0); S(N(waitid), P_ALL, 0, info, WEXITED, 0);
  for (i = 0; i < 4; i++) { int states[] = {0x300, 9, 0x137f, 0xffff}; number = states[i]; S(N(wait4), -1, &number, 0, 0); }
  S(N(clone), CLONE_VM | CLONE_VFORK | SIGCHLD, 0x9000, 0, 0, 0); S(N(clone3), clone_arguments, 64); S(N(set_thread_area), descriptor); S(N(set_tid_address), &number); S(N(set_robust_list), buf, 12); S(N(setpgid), 0, 5); S(N(getpgid), 5); S(N(getsid), 0); S(N(setsid));
  S(N(prctl), PR_SET_NAME, "name", 1, 2, 3); S(N(prctl), PR_SET_PDEATHSIG, SIGKILL); S(N(prctl), PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); S(N(prctl), PR_SET_DUMPABLE, 0); S(N(personality), 0xffffffff);
  S(N(futex), &number, FUTEX_WAIT_PRIVATE, 5, &spec, 0, 0); S(N(futex), &number, FUTEX_WAKE, 1); S(N(futex), &number, FUTEX_CMP_REQUEUE_PRIVATE, 1, 2, buf, 3); S(N(futex), &number, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, 0, 0, -1); S(N(futex), &number, FUTEX_WAKE_BITSET_PRIVATE, 5, 0, 0, 3);
  S(N(sched_setscheduler), 0, SCHED_RR, &number); S(N(sched_setparam), 0, &number); S(N(sched_yield)); S(N(getpid)); S(N(nice), -5); S(N(setuid32), 0); S(N(setresuid32), 1, -1, 2); S(N(setreuid), 1, -1); S(N(getresuid32), 0, 8, 0);
  S(N(bind), 3, &in4, 16); S(N(connect), 3, &in6, 28); S(N(connect), 3, &un, 110); S(N(connect), 3, &hidden, 9); S(N(connect), 3, 0, 0); S(N(listen), 3, 5); S(N(sendto), 3, "abc", 3, MSG_NOSIGNAL | MSG_DONTWAIT, &in4, 16); S(N(sendmsg), 3, &message, 0); S(N(recvmsg), 3, &plain, MSG_PEEK); S(N(recvfrom), 3, buf, 10, 0, 0, 0);
  S(N(getsockname), 3, &in4, &length); S(N(getpeername), 3, &un, &length); S(N(accept4), 3, &in4, &length, SOCK_CLOEXEC); S(N(socketpair), AF_UNIX, SOCK_STREAM, 0, buf); S(N(setsockopt), 3, IPPROTO_TCP, 1, &number, 4); S(N(pipe), buf);
  socketcall(1, AF_INET, SOCK_STREAM, 0, 0, 0, 0); socketcall(3, 3, (long)&in4, 16, 0, 0, 0); socketcall(4, 3, 5, 0, 0, 0, 0); socketcall(9, 3, (long)text, 5, MSG_DONTWAIT, 0, 0); socketcall(5, 3, 0, 0, 0, 0, 0); socketcall(11, 3, (long)text, 2, 0, (long)&in4, 16);
  __asm__ volatile("int $0x80" :: "a"(1), "b"(0));
}
