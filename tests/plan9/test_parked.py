"""Address spaces that have no room: processes go on as if nothing had been."""

from __future__ import annotations

import time

import pytest
from plan9_programs import main, program

from reference.traps import Trap
from vx32py._task import Task
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.proc import Proc

pytestmark = pytest.mark.compiler

SOURCE = """
int data; long sems[8];
int child(int me)
{
    int local = me, i;
    data = me;
    if(rfork(RFPROC|RFMEM) == 0){
        local = me + 100;
        for(i = 0; i < 5; i++){ check(semacquire(&sems[0], 1) == 1); check(local == me + 100 && data == me + i); data++; check(semrelease(&sems[1], 1) == 1); sleep(0); }
        exits(nil);
    }
    for(i = 0; i < 5; i++){ check(semrelease(&sems[0], 1) == 1); check(semacquire(&sems[1], 1) == 1); check(local == me && data == me + i + 1); sleep(1); }
    check(strcmp(wait(), "") == 0);
    exits(nil);
}
"""


def test_processes_that_share_memory_are_parked_and_come_back_with_their_stacks(engine_name: str) -> None:
    body = """
    int i;
    long *shared = segattach(0, "shared", nil, 4096);
    for(i = 0; i < 4; i++) if(fork() == 0){ shared[i] = i + 1; child(i * 10); }
    for(i = 0; i < 4; i++) check(strcmp(wait(), "") == 0);
    for(i = 0; i < 4; i++) check(shared[i] == i + 1);
    """
    with Kernel(engine=engine_name, timeout=60, memory="16M") as kernel:
        kernel.family.most_spaces = 2
        proc = kernel.start_program(program(main(body, SOURCE)), ["test"])
        kernel.wait(proc)
        assert proc.status == ""


def test_memory_of_a_process_can_be_looked_at_whoever_has_its_stack_mapped(engine_name: str) -> None:
    before = "int *where = (int*)1;"
    body = """
    int local = 1;
    where = &local;
    if(rfork(RFPROC|RFMEM) == 0){ local = 2; sleep(100000); }
    sleep(100000);
    """
    with Kernel(engine=engine_name, timeout=60, memory="16M") as kernel:
        proc = kernel.start_program(program(main(body, before)), ["test"])
        while len(list(kernel.procs())) < 2 or any(each.waiting is None for each in kernel.procs()):
            kernel.family.add_timer(time.monotonic() + 0.05, kernel.family.interrupt)
            kernel.wait(proc)
        first, second = kernel.procs()
        word = first.segments[3].base
        data = next(each for each in first.segments if each.kind == "Data")
        found = {int.from_bytes(first.peek(a, 4), "little") for a in range(data.base, word, 4)}
        stack = next(each for each in first.segments if each.kind == "Stack")
        (address,) = {a for a in found if stack.base < a < stack.top - 64}
        assert int.from_bytes(first.peek(address, 4), "little") == 1
        assert int.from_bytes(second.peek(address, 4), "little") == 2
        second.poke(address, b"\3")
        assert int.from_bytes(first.peek(address, 4), "little") == 1


def test_the_turn_of_who_had_to_come_back_was_over_before_it_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time had been counted from before its memory was there again."""
    left: list[float] = []

    def come_back(proc: Proc) -> None:
        slow.append(proc)
        Task.come_back(proc)
        time.sleep(0.1)
        back[:] = [time.monotonic()]

    def advance(proc: Proc, *, single: bool = False) -> Trap | None:
        if slow and slow.pop() is proc and proc.has_others():
            left.append(proc.family._turn_ends - back[0])
        return proper(proc, single=single)

    slow: list[Proc] = []
    back: list[float] = []
    proper = Proc.advance
    monkeypatch.setattr(Proc, "come_back", come_back)
    monkeypatch.setattr(Proc, "advance", advance)
    body = """
    int i, k;
    for(i = 0; i < 2; i++) if(fork() == 0){ for(k = 0; k < 3; k++) sleep(0); exits(nil); }
    for(i = 0; i < 2; i++) check(strcmp(wait(), "") == 0);
    """
    with Kernel(timeout=60, memory="16M") as kernel:
        kernel.family.most_spaces = 1
        proc = kernel.start_program(program(main(body)), ["test"])
        kernel.wait(proc)
        assert proc.status == ""
    assert left
    assert min(left) > 0
