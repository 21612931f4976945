"""More processes than there is room for below 4 GiB: those that wait are parked, and come back."""

from __future__ import annotations

import subprocess
import weakref

import pytest
from images import DATA, image
from small_programs import compiled

import vx32py
from vx32py import _family

SOURCE = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static __thread int own = 7;
static int shared_sum;
static int *together;

static void *thread(void *argument) {
    own += *(int *)argument;
    usleep(1000);
    __atomic_add_fetch(&shared_sum, own, __ATOMIC_SEQ_CST);
    return NULL;
}

int main(int count, char **arguments) {
    int many = atoi(arguments[1]);
    double number = many / 3.0;
    together = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *heap = malloc(100000);
    memset(heap, 'h', 100000);
    int turn[2];
    pipe(turn);
    for (int each = 0; each < many; each++)
        if (!fork()) {
            pthread_t id;
            int last[2];
            pipe(last);
            pthread_create(&id, NULL, thread, &each);
            memset(heap, 'a' + each, 50000);
            char byte;
            read(turn[0], &byte, 1);        /* everybody waits at the same time */
            pthread_join(id, NULL);
            __atomic_add_fetch(together, shared_sum, __ATOMIC_SEQ_CST);
            int right = heap[49999] == 'a' + each && heap[50000] == 'h' && number == many / 3.0 && own == 7;
            exit(right && shared_sum == 7 + each ? 0 : 1);
        }
    for (int each = 0; each < many; each++)
        write(turn[1], "x", 1);
    int failed = 0, status;
    while (wait(&status) > 0)
        failed += status != 0;
    printf("%d failed, %d together\n", failed, *together);
    return 0;
}
"""


def test_processes_with_threads_and_shared_memory_are_parked_and_come_back(
    engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = compiled(SOURCE, "-pthread")
    many = 20
    if engine_name != "jit":  # they take seconds for what the jit does in milliseconds
        many = 3
        monkeypatch.setattr(_family, "MOST_SPACES", 2)
    assert many > _family.MOST_SPACES
    native = subprocess.run([program, str(many)], capture_output=True, check=True, timeout=60)
    jail = vx32py.Jail(engine=engine_name, timeout=120, processes=many + 1)
    result = jail.run([str(program), str(many)])
    assert (result.exit_code, result.stdout, result.stderr) == (0, native.stdout, b"")
    assert native.stdout.startswith(b"0 failed")


def test_the_memory_of_a_parked_process_was_kept_by_what_it_had_waited_for(engine_name: str) -> None:
    """Where a handler finds out by an exception that it has to wait, that one's traceback held views of memory: half a GiB
    of addresses was lost as long as the call waited."""
    code = f"""
        mov eax, 328; xor ebx, ebx; xor ecx, ecx; int 0x80
        mov ebx, eax; mov ecx, {DATA}; mov edx, 8; mov eax, 3; int 0x80; ud2
    """
    jail = vx32py.Jail(engine=engine_name)
    with jail.sandbox.spawn(image(code, linux=True)) as process:
        assert process.advance() is None
        assert process.waiting is not None
        assert process.waiting.__traceback__ is None
        assert process.waiting.__context__ is None
        memory = weakref.ref(process.mm.space)
        window = weakref.ref(process.mm.space.buffer.obj) if engine_name == "jit" else lambda: None
        process.mm.park()
        process.come_back()
        assert memory() is not process.mm.space
        assert window() is None
