"""Many guests: one after another, at the same time, in threads and in forked processes, without leaving traces."""

from __future__ import annotations

import ctypes
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from bare import CODE, DATA, Bare
from child import environment, in_child

from jit import ldt, lowmem, native, segments, system
from jit.native import NativeProcessor
from reference import layout
from reference.segmentation import Descriptor
from reference.stop import StopKind
from reference.traps import Access

_SPIN = f"mov ecx, {DATA}; again: inc dword ptr [ecx]; jmp again"


def _footprint() -> tuple[int, int, int]:
    """Mappings, descriptors of the process's table, open files."""
    with open("/proc/self/maps", "rb") as file:
        maps = sum(1 for _ in file)
    return maps, sum(1 for raw in ldt.read_entries() if any(raw)), len(os.listdir("/proc/self/fd"))


@pytest.mark.slow
@in_child
def test_ten_thousand_guests_leave_nothing_behind() -> None:
    def one(i: int) -> None:
        processor = NativeProcessor(limit=(1 + i % 3) << 20, prefer_zero=i % 2 == 0)
        processor.space.map(0x8000, 4096, Access.RW)
        processor.space.write_u32(0x8000, i)
        processor.prepare()
        if i % 5:
            processor.close()

    for i in range(200):
        one(i)
    gc.collect()
    before = _footprint()
    for i in range(10_000):
        one(i)
    gc.collect()
    after = _footprint()
    assert all(now <= then + 8 for then, now in zip(before, after, strict=True)), (before, after)


@in_child
def test_more_guests_at_once_than_there_is_room_for() -> None:
    guests = [NativeProcessor(limit=256 << 20) for _ in range(12)]
    with pytest.raises(MemoryError):
        guests.extend(NativeProcessor(limit=256 << 20) for _ in range(8))
    for processor in guests:
        processor.close()
    guests.clear()
    guests = [NativeProcessor(limit=64 << 20) for _ in range(30)]
    assert len({processor.space.base for processor in guests}) == 30


@in_child
def test_two_guests_at_once_do_not_see_each_other() -> None:
    first, second = Bare(), Bare()
    assert first.space.base == 0
    assert "another guest" in str(second.space.placement)
    first.space.write_u32(DATA, 1)
    second.space.write_u32(DATA, 2)
    for i in range(100):
        assert first.run(f"mov eax, [{DATA}]; inc dword ptr [{DATA + 4}]").kind == StopKind.LEFT
        assert second.run(f"mov eax, [{DATA}]; dec dword ptr [{DATA + 4}]").kind == StopKind.LEFT
        assert (first.cpu.eax, second.cpu.eax) == (1, 2)
        assert first.space.read_u32(DATA + 4) == i + 1
    assert second.space.read_u32(DATA + 4) == 2**32 - 100


@in_child
def test_a_closed_guest_s_code_and_registers_are_gone() -> None:
    bare = Bare()
    bare.run("mov eax, 0x5EC2E7; movd xmm0, eax")
    bare.close()
    del bare
    gc.collect()
    processor = NativeProcessor(limit=1 << 20)
    assert bytes(processor.code) == bytes(len(processor.code))
    assert (0x5EC2E7).to_bytes(4, "little") not in bytes(processor.control)


@in_child
def test_guests_in_many_threads() -> None:
    stop_at = time.monotonic() + 4
    problems: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            rng = random.Random(seed)
            bare = Bare(prefer_zero=seed % 2 == 0)
            while time.monotonic() < stop_at:
                bare.cpu.eax = value = rng.getrandbits(32)
                bare.cpu.fp[160:176] = bytes([seed] * 16)
                match rng.randrange(3):
                    case 0:
                        assert bare.run("not eax; paddb xmm0, xmm0").kind == StopKind.LEFT
                        assert bare.cpu.eax == value ^ 0xFFFF_FFFF
                        assert bare.cpu.xmm(0) == bytes([2 * seed] * 16)
                    case 1:
                        stop = bare.run(f"mov ecx, [{DATA + 8192 + value % 4096}]")
                        assert (stop.vector, stop.address) == (14, DATA + 8192 + value % 4096)
                    case 2:
                        timer = threading.Timer(rng.uniform(0, 0.01), bare.processor.interrupt)
                        timer.start()
                        assert bare.run(_SPIN).kind == StopKind.INTERRUPTED
                        timer.join()
            bare.close()
        except BaseException as problem:
            problems.append(problem)
            raise

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


@in_child
def test_closing_a_guest_that_another_thread_is_in() -> None:
    for zero in (True, False):
        for _ in range(30):
            bare = Bare(prefer_zero=zero)
            problems: list[str] = []

            def spin(bare: Bare = bare, problems: list[str] = problems) -> None:
                try:
                    while True:
                        bare.processor.enter(CODE)
                except ValueError as problem:
                    problems.append(str(problem))

            bare.load(_SPIN)
            thread = threading.Thread(target=spin)
            thread.start()
            time.sleep(random.choice([0, 0.001, 0.01]))
            bare.close()
            other = Bare(prefer_zero=zero)
            assert other.run("nop").kind == StopKind.LEFT
            thread.join()
            assert "closed" in problems[0]
            other.close()


@in_child
def test_a_guest_may_move_from_thread_to_thread() -> None:
    bare = Bare()
    bare.load("inc eax; ud2")
    seen = []

    def turn() -> None:
        stop = bare.processor.enter(CODE)
        seen.append((stop.vector, bare.cpu.eax))

    turn()
    for _ in range(20):
        thread = threading.Thread(target=turn)
        thread.start()
        thread.join()
    turn()
    assert seen == [(6, i + 1) for i in range(22)]


@in_child
def test_threads_that_end_give_their_stacks_back() -> None:
    bare = Bare()
    bare.load("ud2")

    def one() -> None:
        thread = threading.Thread(target=lambda: bare.processor.enter(CODE))
        thread.start()
        thread.join()

    for _ in range(20):
        one()
    before = _footprint()
    for _ in range(300):
        one()
    after = _footprint()
    assert after[0] <= before[0] + 8, "mappings"
    with open("/proc/self/timers", "rb") as file:
        assert file.read().count(b"ID:") <= 2


@in_child
def test_foreign_threads_can_run_guests() -> None:
    bare = Bare()
    bare.load("ud2")
    done = threading.Event()
    found = []

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    def body(_: int) -> int:
        found.append(bare.processor.enter(CODE).vector)
        done.set()
        return 0

    pthread = ctypes.CDLL(None)
    handle = ctypes.c_ulong()
    assert pthread.pthread_create(ctypes.byref(handle), None, body, None) == 0
    assert done.wait(10)
    pthread.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
    pthread.pthread_join(handle, None)
    assert found == [6]


@in_child
def test_a_forked_child_goes_on_with_its_own_copy() -> None:
    bare = Bare()
    bare.load(f"inc dword ptr [{DATA}]; mov eax, [{DATA}]; mov ebx, [0x700000]")
    assert bare.processor.enter(CODE).address == 0x700000
    for parent_first in (True, False):
        child = os.fork()
        if child == 0:
            bare.cpu.esp = 0x0030_0000
            ok = all(bare.processor.enter(CODE).address == 0x700000 for _ in range(10))
            bare.processor.prepare()
            threading.Timer(0.05, bare.processor.interrupt).start()
            ok = ok and bare.run(_SPIN).kind == StopKind.INTERRUPTED
            ok = ok and bare.run("nop", single=True).kind == StopKind.STEPPED
            signal.signal(signal.SIGALRM, lambda *_: bare.processor.interrupt())
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            ok = ok and bare.run(_SPIN).kind == StopKind.INTERRUPTED
            other = Bare()
            ok = ok and other.run("nop").kind == StopKind.LEFT
            other.close()
            bare.close()
            os._exit(0 if ok else 1)
        if parent_first:
            assert bare.processor.enter(CODE).address == 0x700000
        assert os.waitpid(child, 0)[1] == 0
    assert bare.space.read_u32(DATA) == 2


@in_child
def test_a_fork_while_another_thread_is_in_its_guest() -> None:
    bare, mine = Bare(), Bare()
    thread = threading.Thread(target=lambda: bare.run(_SPIN))
    thread.start()
    bare.until_inside()
    for _ in range(20):
        child = os.fork()
        if child == 0:
            bare.processor.interrupt()  # nobody there any more
            os._exit(0 if mine.run("nop").kind == StopKind.LEFT else 1)
        assert os.waitpid(child, 0)[1] == 0
    done = subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    bare.processor.interrupt()
    thread.join()


@in_child
def test_an_executable_at_a_fixed_address_leads_to_a_based_segment() -> None:
    system.mmap(0x40_0000, 4096, system.READ, system.MAP_FIXED_NOREPLACE)
    bare = Bare()
    assert bare.space.base >= 1 << 24
    assert "0x400000" in bare.space.placement.reason
    assert bare.run("mov eax, 5").kind == StopKind.LEFT
    assert "0x400000" in native.facts()["guest memory at linear address zero"]


@in_child
def test_reservation_at_zero_grows_and_stays() -> None:
    assert lowmem.place(1 << 20).base == 0
    assert lowmem.place(1 << 20).base != 0
    lowmem.give_back(lowmem.Placement(0, 1 << 20))
    assert lowmem.place(512 << 20).base == 0
    lowmem.give_back(lowmem.Placement(0, 512 << 20))
    assert lowmem.place(2 << 20).base == 0
    assert lowmem.mappings()[0] == (lowmem.lowest(), 512 << 20)


def _place(view: memoryview) -> tuple[int, int]:
    return ctypes.addressof(ctypes.c_char.from_buffer(view)), len(view)


@in_child
def test_descriptors_are_what_they_are_said_to_be() -> None:
    bare = Bare(prefer_zero=False, based_code=True)
    table = {raw for raw in ldt.read_entries() if any(raw)}
    where, size = _place(bare.processor.code)
    code = Descriptor.execute_only(where, size)
    area, room = _place(bare.processor.control)
    control = Descriptor.data(area + layout.CONTROL_BLOCK, room - layout.CONTROL_BLOCK)
    data = Descriptor.data(bare.space.base, bare.space.limit)
    assert table == {descriptor.pack() for descriptor in (code, control, data)}


@in_child
def test_descriptors_of_others_are_left_alone_and_the_table_can_fill_up() -> None:
    ldt.write_entry(0, Descriptor.data(0, 4096))
    ldt.write_entry(2, Descriptor.data(0, 4096))
    found = [ldt.allocator.allocate(Descriptor.data(0, 1)) for _ in range(4)]
    assert found == [1, 3, 4, 5]
    for index in found:
        ldt.allocator.free(index)
    assert ldt.allocator.allocate(Descriptor.data(0, 1)) == 1
    with pytest.raises(ldt.LdtError, match="8192"):
        found.extend(ldt.allocator.allocate(Descriptor.data(0, 1)) for _ in range(8192))
    with pytest.raises(ValueError, match="index"):
        ldt.write_entry(8192, None)


@in_child
def test_facts_name_what_the_host_has() -> None:
    Bare()
    facts = native.facts()
    assert facts["available"] is True
    assert facts["descriptors in use"] >= 3
    assert facts["private signal"] > 34


@pytest.mark.ldt
def test_a_warm_start_imports_neither_llvmlite_nor_numba(tmp_path: Path) -> None:
    script = (
        "import sys; from jit.native import NativeProcessor\n"
        "NativeProcessor(limit=1 << 20).prepare(); print('llvmlite' in sys.modules, 'numba' in sys.modules)"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=environment() | {"VX32PY_CACHE": str(tmp_path / "cache")},
            capture_output=True, text=True, check=True,
        ).stdout
        for _ in range(2)
    ]  # fmt: skip
    assert outputs == ["True False\n", "False False\n"]


@in_child
def test_the_function_that_enters_a_guest_outlived_its_definition() -> None:
    """Python reads the definition of a built-in function once more when that goes, and it had been freed: now and then a
    process died of that at its end, when the memory around it had gone as well."""
    bare = Bare()
    call = bare.processor.call
    bare.close()
    del bare
    segments.pool.empty()
    gc.collect()
    others = [ctypes.create_string_buffer(b"\xff" * 32, 32) for _ in range(10_000)]  # where it was, perhaps
    assert "method call of" in repr(call)
    del call, others
