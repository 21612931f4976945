"""``vx32py jail`` on a terminal: signals of the terminal's and of other processes go to the guest; settings are put back."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import sys
import termios

from small_programs import compiled
from terminals import Terminal

#: include/uapi/asm-generic/ioctls.h.
TIOCGPTN = 0x80045430
#: Says which signals come, and the size of its window; ends of SIGTERM, in its own way.
LISTENER = r"""
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
static volatile sig_atomic_t last;
static void take(int number) { last = number; }
int main(void) {
    int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGUSR1};
    sigset_t all, none;
    for (int i = 0; i < 5; i++) signal(signals[i], take);
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &all, 0);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        struct winsize size = {0};
        sigsuspend(&none);
        ioctl(0, TIOCGWINSZ, &size);
        printf("signal %d, %d by %d\n", (int)last, size.ws_row, size.ws_col);
        fflush(stdout);
        if (last == SIGTERM) return 7;
    }
}
"""
#: Sets its terminal to raw mode, says whether it could, and leaves it so.
RAW = r"""
#include <errno.h>
#include <stdio.h>
#include <termios.h>
int main(void) {
    struct termios settings;
    if (tcgetattr(0, &settings)) return 1;
    cfmakeraw(&settings);
    printf("%d\n", tcsetattr(0, TCSANOW, &settings) ? errno : 0);
    return tcgetattr(0, &settings) || !(settings.c_lflag & ICANON) ? 3 : 4;
}
"""


def test_signals_go_to_the_guest_which_ends_in_its_own_way() -> None:
    with Terminal("jail", str(compiled(LISTENER))) as terminal:
        terminal.expect(b"ready")
        os.write(terminal.fd, b"\x03")
        terminal.expect(b"signal 2,")
        os.kill(terminal.pid, signal.SIGHUP)
        terminal.expect(b"signal 1,")
        fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        terminal.expect(b"signal 28, 33 by 99")
        os.kill(terminal.pid, signal.SIGUSR1)
        terminal.expect(b"signal 10,")
        os.kill(terminal.pid, signal.SIGTERM)
        terminal.expect(b"signal 15,")
        assert terminal.ended() == 7


def test_a_guest_that_does_not_say_otherwise_ends_of_an_interrupt() -> None:
    source = '#include <unistd.h>\nint main(void) { write(1, "ready", 5); for (;;); }'
    with Terminal("jail", str(compiled(source))) as terminal:
        terminal.expect(b"ready")
        os.write(terminal.fd, b"\x03")
        assert terminal.ended() == 128 + signal.SIGINT


def test_a_window_that_changes_does_not_end_a_guest_that_does_not_care() -> None:
    source = '#include <unistd.h>\nint main(void) { char c; write(1, "ready", 5); read(0, &c, 1); return 5; }'
    with Terminal("jail", str(compiled(source))) as terminal:
        terminal.expect(b"ready")
        fcntl.ioctl(terminal.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        os.write(terminal.fd, b"\n")
        assert terminal.ended() == 5


def test_a_terminal_is_the_guests_to_set_where_that_is_granted_and_is_put_back() -> None:
    with Terminal("jail", str(compiled(RAW))) as terminal:
        terminal.expect(b"1\r\n")  # EPERM
        assert terminal.ended() == 4
    with Terminal("jail", "--terminal", str(compiled(RAW))) as terminal:
        number = int.from_bytes(fcntl.ioctl(terminal.fd, TIOCGPTN, bytes(4)), sys.byteorder)
        ours = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY)  # a terminal that nobody has open forgets
        terminal.expect(re.compile(rb"0\r?\n"))
        assert terminal.ended() == 3
        assert termios.tcgetattr(ours)[3] & termios.ICANON
        os.close(ours)
