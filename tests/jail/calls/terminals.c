/* Terminals, as far as there is none, and descriptors that are none. */
#include "harness.h"

CASE(files_are_no_terminals) {
    struct termios modes;
    struct winsize size;
    pid_t group;
    int ends[2];
    make("file", "");
    int fd = T(open("file", O_RDONLY));
    T(pipe(ends));
    T(isatty(fd));
    T(isatty(ends[0]));
    T(isatty(99));
    T(tcgetattr(fd, &modes));
    T(ioctl(fd, TCGETS, &modes));
    T(ioctl(ends[0], TCGETS, &modes));
    T(ioctl(ends[0], TIOCGWINSZ, &size));
    T(ioctl(1, TIOCGWINSZ, &size));
    T(ioctl(fd, TIOCGPGRP, &group));
    T(ioctl(fd, TIOCSCTTY, 0));
    T(tcgetpgrp(fd));
    T(tcsetpgrp(fd, getpgrp()));
    T(tcdrain(fd));
    T(ioctl(99, TCGETS, &modes));
    T(ioctl(fd, TCGETS, NULL));
    T(ttyname(fd) == NULL);
}

CASE(without_a_terminal) {
    setsid();
    pid_t child = fork();
    if (child == 0) {
        setsid();
        T(open("/dev/tty", O_RDWR));
        _exit(0);
    }
    wait_for(child);
}
