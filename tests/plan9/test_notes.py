"""Notes: handlers and what they find on the stack, noted, alarms, faults, notes that nobody handles."""

from __future__ import annotations

import pytest
from plan9_programs import holds, main, program, run

from vx32py._family import MANY_TIMERS
from vx32py.plan9.kernel import Kernel

pytestmark = pytest.mark.compiler

#: A handler that remembers what it was told.
HANDLER = """
char got[ERRMAX]; int count; Ureg seen; void *where; int answer = NCONT; int skip;
void handler(void *u, char *text)
{
    Ureg *r = u;
    count++; where = u; seen = *r; strcpy(got, text);
    r->pc += skip;
    noted(answer);
    exits("noted has returned");
}
"""


def test_an_alarm_interrupts_a_sleep_and_the_handler_goes_on(engine_name: str) -> None:
    body = """
    check(notify(handler) == 0);
    do { count = 0; check(alarm(100) == 0); } while(sleep(3000) == 0);	/* once in a while the alarm comes before the sleep */
    check(failed(-1, "interrupted"));
    check(count == 1 && strcmp(got, "alarm") == 0 && seen.ax == 0xffffffff);
    check(sleep(1) == 0 && count == 1);
    """
    holds(engine_name, body, HANDLER)


def test_alarm_says_what_is_left_and_zero_takes_it_back(engine_name: str) -> None:
    body = """
    int left;
    check(alarm(100000) == 0);
    left = alarm(0);
    check(left > 1000 && left <= 100000);
    check(alarm(0) == 0);
    """
    holds(engine_name, body)


def test_a_handler_finds_the_registers_and_can_change_them(engine_name: str) -> None:
    body = """
    ulong a = 1, b = 2, sp;
    skip = 5;
    notify(handler);
    asm volatile("mov %%esp, %2\\n mov $0x11223344, %%eax\\n mov $0x55667788, %%ebx\\n mov $0x99, %%ecx\\n"
        "mov $0xaa, %%edx\\n .byte 0xa3\\n .long 0x10\\n mov %%eax, %0\\n mov %%ebx, %1"
        : "=m"(a), "=m"(b), "=m"(sp) : : "eax", "ebx", "ecx", "edx", "memory");
    check(count == 1);
    check(seen.ax == 0x11223344 && seen.bx == 0x55667788 && seen.cx == 0x99 && seen.dx == 0xaa);
    check(a == 0x11223344 && b == 0x55667788);
    check(seen.sp == sp && (ulong)where == sp - 256 - sizeof(Ureg));
    check(seen.cs == 0x23 && seen.ds == 0x1b && seen.ss == 0x1b && seen.gs == 0x1b);
    check(strncmp(got, "sys: trap: fault write addr=0x10 pc=0x0000", 42) == 0 && strlen(got) == 46);
    """
    holds(engine_name, body, HANDLER)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("*(volatile int*)0", "sys: trap: fault read addr=0x0 pc=0x"),
        ("*(volatile int*)0x20 = 1", "sys: trap: fault write addr=0x20 pc=0x"),
        ("*(volatile char*)main = 1", "sys: trap: fault write addr=0x1"),
        ("*(volatile int*)0xfffffff0 = 1", "sys: trap: fault write addr=0xfffffff0 pc=0x"),
        ("((void(*)(void))0x8)()", "sys: trap: fault read addr=0x8 pc=0x00000008"),
        ('asm volatile("ud2")', "sys: trap: invalid opcode pc=0x"),
        ('asm volatile("syscall")', "sys: trap: invalid opcode pc=0x"),
        ('asm volatile("hlt")', "sys: trap: general protection violation pc=0x"),
        ('asm volatile("int $0x80")', "sys: trap: general protection violation pc=0x"),
        ('asm volatile("int3")', "sys: breakpoint pc=0x"),
        ('asm volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; div %%ecx" ::: "eax", "ecx", "edx")', "sys: trap: divide error pc=0x"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_ends_a_process_with_a_note_that_names_it(engine_name: str, code: str, text: str) -> None:
    proc = run(engine_name, main(code + ";"))
    assert proc.status is not None
    assert proc.status.startswith(text)
    body = f"""
    if(fork() == 0){{ {code}; exits("nothing"); }}
    char *s = wait();
    check(s && strncmp(s, "{text}", {len(text)}) == 0);
    """
    holds(engine_name, body)


def test_a_breakpoint_is_where_the_note_says(engine_name: str) -> None:
    body = """
    skip = 1;
    notify(handler);
    asm volatile(".globl here\\nhere: int3");
    extern char here[];
    check(count == 1 && seen.pc == (ulong)here);
    """
    holds(engine_name, body, HANDLER)


def test_ndflt_ends_the_process_as_if_there_were_no_handler(engine_name: str) -> None:
    proc = run(engine_name, main("answer = NDFLT; notify(handler); alarm(10); sleep(10000);", HANDLER))
    assert proc.status == "alarm"


def test_noted_with_nonsense_ends_the_process(engine_name: str) -> None:
    assert run(engine_name, main("answer = 77; notify(handler); alarm(10); sleep(10000);", HANDLER)).status == "alarm"
    assert run(engine_name, main("noted(NCONT);")).status == "Suicide"


@pytest.mark.parametrize(
    "change", ["r->cs = 0", "r->ds = 0x17", "r->pc = 0", "r->sp = 16", "r->ss = 7", "r->gs = 0", "r->pc = 0xfffffff0"]
)
def test_registers_that_cannot_be_end_the_process(engine_name: str, change: str) -> None:
    before = f"void handler(void *u, char *text) {{ Ureg *r = u; {change}; noted(NCONT); }}"
    assert run(engine_name, main("notify(handler); alarm(10); sleep(10000);", before)).status == "Suicide"


def test_a_process_cannot_give_itself_flags_of_the_systems(engine_name: str) -> None:
    before = "void handler(void *u, char *text) { Ureg *r = u; r->flags = 0xffffffff; noted(NCONT); }"
    body = """
    ulong flags;
    notify(handler); interrupt("Sleep"); sleep(10000);
    asm volatile("pushfl; cld; popl %0" : "=r"(flags));
    check((flags & 0x3000) == 0 && (flags & 0x100) == 0 && (flags & 0x200) != 0);
    """
    holds(engine_name, body, before)


def test_floating_point_registers_survive_a_handler(engine_name: str) -> None:
    before = """
    double there; int count;
    void handler(void *u, char *text) { volatile double x = 3.5; x *= 2; asm volatile("fninit"); count++; noted(NCONT); }
    """
    body = """
    double x = 1.25;
    notify(handler);
    alarm(10);
    asm volatile("fldl %0" : : "m"(x));
    while(!*(volatile int*)&count) ;
    asm volatile("fstpl %0" : "=m"(there));
    check(there == 1.25);
    """
    holds(engine_name, body, before)


def test_a_note_that_comes_in_a_handler_waits(engine_name: str) -> None:
    before = """
    int depth, most, count; char texts[4][64];
    void handler(void *u, char *text)
    {
        strcpy(texts[count++], text);
        if(++depth > most) most = depth;
        if(count == 1){ alarm(10); sleep(50); sleep(1); }
        depth--;
        noted(NCONT);
    }
    """
    body = "notify(handler); alarm(10); while(count < 2) sleep(100); check(count == 2 && most == 1);"
    holds(engine_name, body, before)


def test_a_fault_in_a_handler_ends_the_process(engine_name: str) -> None:
    before = "void handler(void *u, char *text) { *(volatile int*)0x30 = 1; }"
    proc = run(engine_name, main("notify(handler); alarm(10); sleep(10000);", before))
    assert proc.status is not None
    assert proc.status.startswith("sys: trap: fault write addr=0x30 pc=")


def test_nsave_lets_the_handler_be_interrupted_and_nrstr_goes_back(engine_name: str) -> None:
    before = """
    int count, after; ulong outer, inner;
    void again(void *u, char *text) { inner = (ulong)u; count++; noted(NCONT); }
    void second(void *u)
    {
        after++;
        notify(again);
        alarm(10);
        while(count < 2) sleep(100);
        ((Ureg*)u)->ax = 77;
        noted(NRSTR);
    }
    void handler(void *u, char *text)
    {
        outer = (ulong)u; count++;
        ((Ureg*)u)->pc = ((Ureg*)u)->pc;
        static Ureg kept; kept = *(Ureg*)u;
        ((Ureg*)u)->pc = (ulong)second;
        noted(NSAVE);
    }
    """
    # The registers that NRSTR restores are those in the Ureg: second must put the old pc back.
    before = before.replace("static Ureg kept; kept", "kept").replace("int count,", "Ureg kept; int count,")
    before = before.replace("((Ureg*)u)->ax = 77;", "*(Ureg*)u = kept; ((Ureg*)u)->ax = 77;")
    body = 'notify(handler); interrupt("Sleep"); check(sleep(50000) == 77); check(after == 1 && count == 2 && inner < outer);'
    holds(engine_name, body, before)


def test_a_handler_without_a_stack_ends_the_process(engine_name: str) -> None:
    body = 'notify(handler); asm volatile("mov $0x40, %%esp\\n movl $1, 0" ::: "memory");'
    assert run(engine_name, main(body, HANDLER)).status == "Suicide"


def test_a_handler_must_be_somewhere(engine_name: str) -> None:
    proc = run(engine_name, main("notify((void*)0x10);"))
    assert proc.status is not None
    assert proc.status.startswith("sys: bad address in syscall pc=")
    holds(engine_name, "check(notify(nil) == 0);")


def test_a_child_has_its_parents_handler(engine_name: str) -> None:
    body = """
    notify(handler);
    if(fork() == 0){ alarm(10); while(!count) sleep(100); exits(count == 1 ? "once" : "?"); }
    check(strcmp(wait(), "once") == 0 && count == 0);
    """
    holds(engine_name, body, HANDLER)


def test_a_bad_pointer_is_an_error_for_who_has_a_handler(engine_name: str) -> None:
    body = """
    notify(handler);
    check(failed(await((char*)0x10, 100), "bad arg in system call"));
    check(count == 1 && strncmp(got, "sys: bad address in syscall pc=", 31) == 0);
    """
    holds(engine_name, body, HANDLER)


def test_an_alarm_ends_who_has_no_handler_also_in_a_loop(engine_name: str) -> None:
    assert run(engine_name, main("alarm(20); for(;;);")).status == "alarm"


def test_alarms_that_were_taken_back_take_no_memory(engine_name: str) -> None:
    with Kernel(engine=engine_name, timeout=60, memory="16M") as kernel:
        body = "int i; for(i = 0; i < 3000; i++) alarm(1000000 - i); alarm(0);"
        proc = kernel.start_program(program(main(body)), ["test"])
        kernel.wait(proc)
        assert proc.status == ""
        assert len(kernel.family._timers) <= MANY_TIMERS
