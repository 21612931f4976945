"""Programs that mean harm: wild arguments for every call. The kernel stays whole, and so do the other processes."""

from __future__ import annotations

import pytest
from plan9_programs import main, program

from vx32py.plan9.calls.table import complete_table
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.tracing import Tracer

pytestmark = pytest.mark.compiler

#: Calls with arguments made of whatever goes wrong; one child for each number, and whatever becomes of it is right.
WILD = """
extern char end[];
int wild(int number, ulong a, ulong b, ulong c, ulong d, ulong e)
{
    int result;
    asm volatile("push %6\\n push %5\\n push %4\\n push %3\\n push %2\\n push $0\\n int $0x40\\n add $24, %%esp"
        : "=a"(result) : "0"(number), "m"(a), "m"(b), "m"(c), "m"(d), "m"(e) : "memory", "cc");
    return result;
}
/* The alarm may come before the call that waits. */
void handler(void *u, char *text) { alarm(20); noted(strncmp(text, "sys: trap", 9) == 0 ? NDFLT : NCONT); }
ulong seed;
ulong any(void)
{
    static ulong values[] = { 0, 1, 2, 7, 0x10, 0xfff, 0x1000, 0x1001, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, 64, 100, 4096, 0x40000000, 0x3fffffff };
    static char text[] = "/a/../#c/x//..";
    seed = seed * 1103515245 + 12345;
    ulong n = (seed >> 16) % (nelem(values) + 5);
    if(n < nelem(values)) return values[n];
    switch(n - nelem(values)){
    case 0: return (ulong)text;
    case 1: return (ulong)&text[sizeof text - 1];
    case 2: return (ulong)TOP - 3;
    case 3: return (ulong)&n;
    }
    return seed;
}
"""
#: exits ends it; noted too; sleep, alarm take long; rfork makes children, which have a test of their own.
LEFT_OUT = {8, 17, 19}


@pytest.mark.parametrize("traced", [False, True], ids=["", "traced"])
def test_wild_arguments_of_every_call_leave_the_kernel_whole(engine_name: str, traced: bool) -> None:
    numbers = [entry.number for entry in complete_table() if entry.number not in LEFT_OUT]
    rounds = 40 if engine_name == "jit" and not traced else 4
    lines: list[str] = []
    body = f"""
    static int numbers[] = {{ {", ".join(map(str, numbers))} }};
    int i, k, alive = 0;
    for(i = 0; i < nelem(numbers); i++){{
        seed = numbers[i] + 1;
        if(rfork(RFPROC|RFFDG|RFREND|RFNOTEG|RFNAMEG|RFENVG) == 0){{
            for(k = 0; k < {rounds}; k++){{
                notify(handler);
                alarm(20);
                wild(numbers[i], any(), any(), any(), any(), any());
                alarm(0);
            }}
            exits("alive");
        }}
        char *s = wait();
        check(s != nil);
        alive += strcmp(s, "alive") == 0;
    }}
    check(alive > {len(numbers) // 2});
    """
    with Kernel(engine=engine_name, timeout=120, memory="16M", processes=30) as kernel:
        if traced:
            kernel.observers.append(Tracer(lines.append))
        proc = kernel.start_program(program(main(body, WILD)), ["test"])
        kernel.wait(proc)
        assert proc.status == ""
    assert all(line[:-1].isascii() and line[:-1].isprintable() and line[-1] == "\n" for line in lines)
    assert (len(lines) > len(numbers)) == traced


def test_a_stack_pointer_that_leads_nowhere_is_a_bad_address(engine_name: str) -> None:
    body = """
    if(fork() == 0) asm volatile("mov $0x10, %esp\\n mov $47, %eax\\n int $0x40");
    check(strncmp(wait(), "sys: bad address in syscall pc=", 31) == 0);
    if(fork() == 0) asm volatile("mov $0xfffffffc, %esp\\n mov $47, %eax\\n int $0x40");
    check(strncmp(wait(), "sys: bad address in syscall pc=", 31) == 0);
    """
    with Kernel(engine=engine_name, timeout=60, memory="16M") as kernel:
        proc = kernel.start_program(program(main(body)), ["test"])
        kernel.wait(proc)
        assert proc.status == ""


def test_a_fork_bomb_meets_a_limit_and_goes_when_the_kernel_is_closed(engine_name: str) -> None:
    with Kernel(engine=engine_name, timeout=60, memory="16M", processes=10) as kernel:
        bomb = "int i; for(i = 0; i < 40; i++) if(rfork(RFPROC|RFNOWAIT) < 0) break; sleep(100000);"
        kernel.start_program(program(main(bomb)), ["bomb"])
        other = kernel.start_program(program(main('sleep(200); exits("fine");')), ["other"])
        kernel.wait(other)
        assert other.status == "fine"
        assert 5 < len(list(kernel.procs())) < 10
    assert not list(kernel.procs())
