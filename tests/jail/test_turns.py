"""Threads and processes take turns, also beside one that never waits."""

from __future__ import annotations

import pytest
from small_programs import compiled

import vx32py

#: A generous time after which something has gone wrong.
PATIENCE = 60.0
#: The first thread makes calls that do not wait until another one has done something.
BUSY = r"""
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
static volatile int done, go;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t started = PTHREAD_COND_INITIALIZER;
static void *other(void *woken) {
    if (woken) {
        pthread_mutex_lock(&lock);
        while (!go) pthread_cond_wait(&started, &lock);
        pthread_mutex_unlock(&lock);
    }
    done = 1;
    return 0;
}
int main(int argc, char **argv) {
    pthread_t thread;
    pthread_create(&thread, 0, other, argc > 1 ? argv : 0);
    if (argc > 1) {
        usleep(100000);
        pthread_mutex_lock(&lock);
        go = 1;
        pthread_cond_signal(&started);
        pthread_mutex_unlock(&lock);
    }
    while (!done) syscall(SYS_getppid);
    pthread_join(thread, 0);
    return 5;
}
"""
#: The same with a process: its parent looks for its end again and again.
POLLING = r"""
#include <fcntl.h>
#include <unistd.h>
int main(void) {
    int ends[2];
    char c;
    pipe2(ends, O_NONBLOCK);
    if (fork() == 0) return write(ends[1], "x", 1) != 1;
    while (read(ends[0], &c, 1) != 1) {}
    return 5;
}
"""


@pytest.mark.parametrize("woken", [False, True], ids=["new", "woken"])
def test_a_thread_has_its_turn_beside_one_that_makes_calls_without_end(*, woken: bool) -> None:
    jail = vx32py.Jail(timeout=PATIENCE)
    assert jail.run([compiled(BUSY, "-pthread"), *["woken"] * woken]).exit_code == 5


def test_a_child_has_its_turn_beside_a_parent_that_never_waits() -> None:
    assert vx32py.Jail(timeout=PATIENCE).run([compiled(POLLING)]).exit_code == 5
