"""Code that a guest finds already translated because another one of its program has run in this process, or has forked."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from small_programs import compiled

import vx32py
from jit import library

SOURCE = r"""
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int work(int n) { return n < 2 ? n : work(n - 1) + work(n - 2); }

int main(int count, char **arguments) {
    if (count > 1) {
        printf("again %d\n", work(10));
        return 0;
    }
    printf("first %d\n", work(10));
    fflush(stdout);
    for (int each = 0; each < 3; each++)
        if (!fork()) {
            if (each)
                execl("/proc/self/exe", "again", "x", (char *)0);
            printf("child %d\n", work(11));
            return 0;
        } else
            wait(NULL);
    return 0;
}
"""
MAPS = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    for (int each = 0; each < 2; each++) {
        if (!fork()) {
            int fd = open(each ? "/b" : "/a", O_RDONLY);
            int (*code)(void) = mmap((void *)0x5000000, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
            printf("%d\n", code());
            return 0;
        }
        wait(NULL);
    }
    return 0;
}
"""


@pytest.fixture
def held() -> Iterator[None]:
    """The fixture of all tests turns off what is held for the next guest; here it is what is tested."""
    needs.engine("jit")
    used, library._process.used = library._process.used, True
    yield
    library._process.used = used


def run(program: Path) -> vx32py.Result:
    jail = vx32py.Jail(engine="jit", timeout=60, processes=4)
    return jail.run([str(program)])


def test_children_and_new_programs_find_code_that_was_translated_before(held: None) -> None:
    program = compiled(SOURCE)
    expected = subprocess.run([program], capture_output=True, check=True, timeout=60).stdout
    with library.unused():
        alone = run(program)
    first, second = run(program), run(program)
    for result in (alone, first, second):
        assert (result.exit_code, result.stdout) == (0, expected)
    # What is translated by each program anew, its children included.
    fragments = [result.stats.counters.fragments for result in (alone, first, second)]
    assert fragments[2] < fragments[0]


def test_code_of_a_page_that_differs_is_not_used_again(held: None) -> None:
    # The program maps code from a file, at one place, and calls it; the file is another one the second time.
    program = compiled(MAPS)
    codes = [b"\xb8" + number.to_bytes(4, "little") + b"\xc3" for number in (1, 2)]
    for first, second in ((0, 1), (1, 0), (0, 1)):
        files = {"/a": codes[first].ljust(4096, b"\x90"), "/b": codes[second].ljust(4096, b"\x90")}
        jail = vx32py.Jail(dirs=files, engine="jit", timeout=60, processes=4)
        result = jail.run([str(program)])
        assert result.stdout == b"%d\n%d\n" % (first + 1, second + 1)
