"""Programs that mean harm: wild arguments for every call. The kernel stays whole, and so do the other processes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plan9_programs import compiled, main, program

from conformance.plan9.kernels import put
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


EDGES = """
/* Calls at the very edges of what there is: each address in each place, with small numbers in the others. */
char *page; ulong edges[24]; int nedges;
void edge(ulong a) { edges[nedges++] = a; }
void find(void)
{
    char *shared = segattach(0, "shared", nil, 8192), *memory = segattach(0, "memory", (void*)0x500000, 8192);
    edge(0); edge(1); edge(0xfff); edge(0xffffffff); edge(0xfffffffc); edge(0x7ffffffe); edge(0x80000000);
    edge(0x1000); edge((ulong)TOP - 1); edge((ulong)TOP - 4); edge((ulong)TOP);
    edge((ulong)shared); edge((ulong)shared + 8191); edge((ulong)shared + 8192); edge((ulong)memory - 1); edge((ulong)memory + 8190);
    edge((ulong)(_tos + 1) - 1); edge((ulong)(_tos + 1) - 4); edge((ulong)(_tos + 1)); edge((ulong)find); edge((ulong)etext);
    memset(shared, 'x', 8192); memset(memory, 'y', 8192);
}
"""
#: exits, noted, sleep, rfork.
NOT_AT_EDGES = {8, 29, 17, 19}


def test_addresses_at_the_edges_of_memory_in_every_argument_of_every_call_leave_the_kernel_whole(
    engine_name: str,
) -> None:
    numbers = [entry.number for entry in complete_table() if entry.number not in NOT_AT_EDGES]
    if engine_name == "reference":
        numbers = numbers[::4]
    body = f"""
    static int numbers[] = {{ {", ".join(map(str, numbers))} }};
    int i, k, place, alive = 0;
    find();
    for(i = 0; i < nelem(numbers); i++){{
        if(rfork(RFPROC|RFFDG|RFREND|RFNOTEG|RFNAMEG|RFENVG) == 0){{
            notify(handler);
            for(place = 0; place < 5; place++) for(k = 0; k < nedges; k++){{
                ulong a[5] = {{ 1, 64, 64, 0, 0 }};
                a[place] = edges[k];
                alarm(20);
                wild(numbers[i], a[0], a[1], a[2], a[3], a[4]);
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
        proc = kernel.start_program(program(main(body, WILD + EDGES)), ["test"])
        kernel.wait(proc)
        assert proc.status == ""


#: Calls that wait, with a buffer in the page that goes meanwhile; the state of who waits, and what wakes it up.
WAITING = {
    "read": ("read(ends[0], p, 100)", "Pread", 'write(ends[1], "there", 5)'),
    "write": (
        "write(ends[0], big, 1<<20) == 1<<20 && write(ends[0], p, 4096)",
        "Pwrite",
        "for(k = 0; k < 1<<20; ) k += read(ends[1], big, sizeof big)",
    ),
    "await": ("await(p, 200)", "Await", "0"),
    "semacquire": ("semacquire((long*)p, 1)", "Semacquire", 'post(pid, "enough")'),
    "_wait": ("_wait(p)", "Wait", "0"),
    "fstat": ('(mount(server(), -1, "/n", MREPL, ""), stat("/n", p, 200))', "Mount", "0"),
}


@pytest.mark.parametrize("how", ["segdetach(p)", 'segdetach(p), segattach(0, "memory", p, 4096)'])
@pytest.mark.parametrize("name", WAITING)
def test_a_buffer_that_goes_while_a_call_waits_is_a_bad_address(engine_name: str, name: str, how: str) -> None:
    call, state, wake = WAITING[name]
    before = """
    int n, done[2]; char *p, b[1000]; static char big[1<<20];
    void handler(void *u, char *text) { n++; noted(NCONT); }
    int server(void) { int e[2]; static char m[100]; pipe(e); if(rfork(RFPROC|RFFDG|RFNOWAIT) == 0){ int k = read(e[1], m, 100); m[4]++; write(e[1], m, k); read(done[0], m, 1); close(e[0]); exits(nil); } close(e[1]); return e[0]; }
    """
    body = f"""
    int k, pid, ends[2];
    check(pipe(ends) == 0 && pipe(done) == 0);
    p = segattach(0, "memory", (void*)0x600000, 4096);
    if((pid = rfork(RFPROC|RFMEM)) == 0){{
        notify(handler);
        if(rfork(RFPROC) == 0){{ read(done[0], b, 1); exits("child"); }}
        {call};
        exits(nil);
    }}
    until(pid, "{state}");
    {how};
    {wake};
    write(done[1], "x", 1); write(done[1], "x", 1);
    check(wait() != nil);
    """
    with Kernel(engine=engine_name, timeout=60, memory="16M", processes=30) as kernel:
        proc = kernel.start_program(program(main(body, before)), ["test"])
        kernel.wait(proc)
        assert proc.status == ""


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
        full = kernel.start_program(program(main(bomb)), ["bomb"])
        waits = f'until({full.pid}, "Sleep"); exits("fine");'
        other = kernel.start_program(program(main(waits)), ["other"])
        kernel.wait(other)
        assert other.status == "fine"
        assert 5 < len(list(kernel.procs())) < 10
    assert not list(kernel.procs())


_WORDS = (0, 1, 0x1F, 0x20, 0xFFF, 0x1000, 0x101F, 0x1020, 0x1021, 0x10_0000, 0x3FFF_FFFF, 0x4000_0000, 0x7FFF_FFFF, 0xFFFF_F000, 0xFFFF_FFFF)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(st.integers(1, 7), st.sampled_from(_WORDS)), max_size=3),
    st.integers(0, 400),
    st.booleans(),
)
def test_damaged_programs_are_refused_or_end_and_others_go_on(
    engine_name: str, words: list[tuple[int, int]], cut: int, attached: bool
) -> None:
    image = bytearray(compiled(main('exits("as ever");')))
    for index, word in words:
        image[4 * index : 4 * index + 4] = word.to_bytes(4, "big")
    body = f"""
    char *words[] = {{ "bad", "x", nil }}, path[32]; int pid, fd; char *s;
    if({int(attached)}) segattach(0, "shared", (void*)0x2000, 0x2000) == (void*)-1 && segattach(0, "shared", nil, 4096);
    if((pid = fork()) == 0){{ exec("/bin/bad", words); exits("refused"); }}
    notify(handler);
    alarm(2000);
    if((s = wait()) == nil){{
        sprint(path, "#p/%d/ctl", pid);
        check((fd = open(path, OWRITE)) >= 0 && write(fd, "kill", 4) == 4 && (s = wait()) != nil);
    }}
    exits(s);
    """
    before = "void handler(void *u, char *text) { noted(NCONT); }"
    with Kernel(engine=engine_name, timeout=60, memory="4M", processes=10) as kernel:
        put(kernel, "bad", bytes(image[: len(image) - cut]))
        proc = kernel.start_program(program(main(body, before)), ["test"])
        kernel.wait(proc)
        assert proc.status is not None
        if not words and not cut:
            assert proc.status == "as ever"
        assert not proc.status.startswith(("8:", "9:", "10:", "11:", "12:", "13:"))
