"""Sandbox and Process: how guests are started, stopped, limited, and looked at."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import pytest
from images import DATA, ENTRY, Elf, Load, R, W, image

import vx32py
from reference.memory import PAGE
from vx32py import (
    BadImage,
    GuestFailed,
    GuestTrapped,
    LimitExceeded,
    MemoryFault,
    Module,
    Policy,
    Sandbox,
    SystemCalls,
    Timeout,
    Vector,
)

EXIT_3 = "mov eax, 1; mov edx, 3; syscall"
SPIN = "again: jmp again"
#: read(0, DATA, 4096), write(1, DATA, what was read), until the end; exit(0).
CAT = f"""
again:  mov eax, 3; mov edx, 0; mov ecx, {DATA}; mov ebx, 4096; syscall
        test eax, eax; jle done
        mov ebx, eax; mov eax, 4; mov edx, 1; mov ecx, {DATA}; syscall
        jmp again
done:   mov edx, eax; mov eax, 1; syscall
"""


# -- results ---------------------------------------------------------------------------------------------------------


def test_the_exit_code_comes_back(engine_name: str) -> None:
    result = Sandbox(engine=engine_name).run(image(EXIT_3))
    assert (result.exit_code, result.trap, result.ok, result.timed_out) == (3, None, False, False)
    assert result.stats.engine == engine_name
    assert result.stats.calls == {"exit": 1}
    with pytest.raises(GuestFailed, match="exit code 3"):
        result.check()


def test_streams_pass_through_and_are_captured(engine_name: str) -> None:
    data = os.urandom(10_000)
    result = vx32py.run(image(CAT), stdin=data, engine=engine_name)
    assert result.check().stdout == data


def test_a_trap_is_in_the_result(engine_name: str) -> None:
    result = Sandbox(engine=engine_name).run(image("mov dword ptr [0x1234], 5"))
    assert result.exit_code is None
    assert result.trap is not None
    assert (result.trap.number, result.trap.eip, result.trap.address) == (Vector.PAGE_FAULT, ENTRY, 0x1234)
    assert result.describe() == f"page fault at eip {ENTRY:#010x}, write of 0x00001234"
    with pytest.raises(GuestTrapped):
        result.check()


def test_check_is_an_option_of_run() -> None:
    with pytest.raises(GuestFailed, match="exit code 3"):
        vx32py.run(image(EXIT_3), check=True, engine="reference")


def test_arguments_and_environment_arrive_on_the_stack(engine_name: str) -> None:
    code = "ud2"
    with Sandbox(engine=engine_name, env={"A": "1"}).spawn(image(code), ["x", b"\xff"], name="prog") as process:
        assert process.run().number == Vector.INVALID_OPCODE
        cpu, memory = process.registers, process.memory
        assert [getattr(cpu, r) for r in ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi")] == [0] * 7
        assert cpu.esp % 16 == 0
        assert memory.read_u32(cpu.esp) == 3
        strings = [memory.read_string(memory.read_u32(cpu.esp + 4 + 4 * i)) for i in (0, 1, 2, 4)]
        assert strings == [b"prog", b"x", b"\xff", b"A=1"]
        assert memory.read_u32(cpu.esp + 16) == 0
        assert memory.read_u32(cpu.esp + 24) == 0


def test_the_stack_of_a_vx_guest_is_right_below_the_image() -> None:
    with Sandbox(engine="reference").spawn(image("ud2")) as process:
        assert process.layout.style == "vx"
        assert process.layout.stack_end == ENTRY
        assert process.registers.esp < ENTRY
        with pytest.raises(MemoryFault):
            process.memory.check(process.layout.stack_start - 1, 1)


def test_the_stack_of_a_linux_program_is_at_the_top() -> None:
    with Sandbox(engine="reference").spawn(image("ud2", linux=True)) as process:
        assert process.layout.style == "linux"
        assert process.layout.stack_end == process.engine.space.limit - PAGE
        assert process.engine.policy.thread_pointer


def test_a_vx_guest_without_room_below_gets_its_stack_at_the_top() -> None:
    elf = Elf()
    elf.header.e_entry = 0x20000
    elf.loads = [Load(p_vaddr=0x20000), Load(p_offset=0x2000, p_vaddr=0x30000, p_flags=R | W)]
    with Sandbox(engine="reference").spawn(elf.pack()) as process:
        assert process.layout.style == "linux"


# -- the process -----------------------------------------------------------------------------------------------------


def test_memory_of_a_process(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image("ud2", b"hello")) as process:
        memory = process.memory
        assert memory[DATA : DATA + 5] == b"hello"
        assert memory[DATA] == ord("h")
        memory[DATA : DATA + 2] = b"HE"
        memory[DATA + 2] = 0x4C
        assert memory.read_string(DATA) == b"HELlo"
        memory.write_u16(DATA + 8, 0x1FFFF)
        memory.write_u32(DATA + 10, -1)
        memory.write_u64(DATA + 16, 1 << 40)
        assert (memory.read_u16(DATA + 8), memory.read_u32(DATA + 10), memory.read_u64(DATA + 16)) == (
            0xFFFF,
            0xFFFF_FFFF,
            1 << 40,
        )
        with memory.view(DATA, 4, writable=True) as view:
            view[:] = b"view"
        assert memory[DATA : DATA + 4] == b"view"
        assert memory.view(DATA, 4).readonly


def test_permissions_count_for_the_host_too(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image("ud2")) as process:
        memory = process.memory
        with pytest.raises(MemoryFault) as caught:
            memory.write(ENTRY, b"x")
        assert caught.value.address == ENTRY
        with pytest.raises(MemoryFault) as caught:
            memory.read(DATA + 0xFF0, 0x20)
        assert caught.value.address == DATA + 0x1000
        with pytest.raises(MemoryFault):
            memory[0]
        with pytest.raises(ValueError, match="cannot take 3"):
            memory[DATA : DATA + 2] = b"abc"
        with pytest.raises(ValueError, match="range"):
            memory[DATA : DATA + 8 : 2]


@pytest.mark.parametrize("length", [1, PAGE - 1, PAGE, PAGE + 1])
def test_the_last_page_of_a_buffer_is_checked(engine_name: str, length: int) -> None:
    """A buffer that ends on a page boundary must not make the byte behind it readable (a defect of the original)."""
    with Sandbox(engine=engine_name).spawn(image("ud2", memory=2 * PAGE)) as process:
        end = DATA + 2 * PAGE
        process.memory.check(end - length, length)
        with pytest.raises(MemoryFault) as caught:
            process.memory.check(end - length, length + 1)
        assert caught.value.address == end
        with pytest.raises(MemoryFault):
            process.memory.check(end, 1)


def test_a_host_can_handle_a_trap_and_go_on(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image(f"int 0x40; mov ecx, eax; {EXIT_3}")) as process:
        trap = process.run()
        assert (trap.number, process.exit_code) == (0x240, None)
        process.registers.eax = 77
        process.run()
        assert (process.registers.ecx, process.exit_code) == (77, 3)
        with pytest.raises(ValueError, match="exited with code 3"):
            process.run()


def test_single_steps(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image("mov eax, 29; syscall; mov ecx, eax; ud2")) as process:
        assert process.step().number == Vector.SINGLE_STEP
        assert process.step().number == Vector.SYSCALL
        assert process.step().number == Vector.SINGLE_STEP
        assert process.registers.ecx == process.pid
        assert process.step().number == Vector.INVALID_OPCODE


def test_a_closed_process_says_so() -> None:
    process = Sandbox(engine="reference").spawn(image(EXIT_3))
    process.close()
    process.close()
    with pytest.raises(ValueError, match="closed"):
        process.run()
    assert process.stats.engine == "reference"
    assert "closed" in repr(process)


def test_a_snapshot_brings_everything_back(engine_name: str) -> None:
    code = f"""
    int 0x41
    mov eax, 2; mov edx, 0x08100000; syscall
    inc dword ptr [{DATA}]; mov dword ptr [0x080fff00], 7; inc esi; push 5
    mov eax, 1; mov edx, [{DATA}]; syscall
    """
    with Sandbox(engine=engine_name).spawn(image(code)) as process:
        assert process.run().number == 0x241
        snapshot, regions = process.snapshot(), process.memory.regions()
        before = process.registers.general()
        for _ in range(3):
            process.run()
            assert (process.exit_code, process.memory.read_u32(0x080F_FF00)) == (1, 7)
            process.restore(snapshot)
            assert process.registers.general() == before
            assert process.memory.regions() == regions
            assert process.exit_code is None


def test_a_restored_process_works_on_other_input(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image(f"int 0x41; {CAT}")) as process:
        process.run()
        snapshot = process.snapshot()
        for data in (b"one", b"two", b""):
            process.restore(snapshot)
            process.connect(stdin=data)
            process.run()
            assert (process.exit_code, process.stdout, process.stderr) == (0, data, b"")


def test_a_snapshot_fits_its_own_kind_only() -> None:
    process = Sandbox(engine="reference").spawn(image("int 3"))
    other = Sandbox(engine="reference", memory="32M").spawn(image("int 3"))
    with process, other, pytest.raises(ValueError, match="snapshot of"):
        other.restore(process.snapshot())


# -- limits ----------------------------------------------------------------------------------------------------------


def test_a_spinning_guest_is_timed_out(engine_name: str) -> None:
    started = time.monotonic()
    result = Sandbox(engine=engine_name, timeout=0.2).run(image(SPIN))
    assert result.timed_out
    assert result.limit == "time"
    assert time.monotonic() - started > 0.15
    with pytest.raises(Timeout):
        result.check()


def test_time_counts_over_all_runs_of_a_process(engine_name: str) -> None:
    with Sandbox(engine=engine_name, timeout=0.2).spawn(image(SPIN)) as process:
        with pytest.raises(TimeoutError):
            process.run()
        with pytest.raises(TimeoutError):
            process.run()


def test_a_guest_that_waits_for_input_is_timed_out(engine_name: str) -> None:
    reader, writer = os.pipe()
    try:
        result = Sandbox(engine=engine_name, timeout=0.2).run(image(CAT), stdin=reader)
        assert result.timed_out
    finally:
        os.close(reader)
        os.close(writer)


def test_a_guest_that_writes_into_a_full_pipe_is_timed_out() -> None:
    reader, writer = os.pipe()
    code = f"again: mov eax, 4; mov edx, 1; mov ecx, {DATA}; mov ebx, 4096; syscall; jmp again"
    try:
        assert Sandbox(engine="reference", timeout=0.3).run(image(code), stdout=writer).timed_out
    finally:
        os.close(reader)
        os.close(writer)


def test_a_sleeping_guest_is_timed_out() -> None:
    result = Sandbox(engine="reference", timeout=0.2).run(image("mov eax, 28; mov edx, 1000; syscall"))
    assert result.timed_out


def test_interrupt_from_another_thread(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image(SPIN)) as process:
        timer = threading.Timer(0.1, process.interrupt)
        timer.start()
        assert process.run().number == Vector.IRQ
        timer.join()
        assert process.alive
        assert process.step().number == Vector.SINGLE_STEP


def test_interrupt_before_run(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image(EXIT_3)) as process:
        process.interrupt()
        assert process.run().number == Vector.IRQ
        process.run()
        assert process.exit_code == 3


def test_an_interrupted_read_is_made_again() -> None:
    reader, writer = os.pipe()
    try:
        with Sandbox(engine="reference").spawn(image(CAT), stdin=reader) as process:
            timer = threading.Timer(0.1, process.interrupt)
            timer.start()
            assert process.run().number == Vector.IRQ
            os.write(writer, b"data")
            os.close(writer)
            process.run()
            assert process.exit_code == 0
            assert process.stats.calls["write"] == 1
    finally:
        os.close(reader)


def test_kill_from_another_thread(engine_name: str) -> None:
    with Sandbox(engine=engine_name).spawn(image(SPIN)) as process:
        timer = threading.Timer(0.1, process.kill)
        timer.start()
        process.run()
        timer.join()
        assert process.exit_code == 128 + 9


def test_kill_between_runs() -> None:
    with Sandbox(engine="reference").spawn(image(SPIN)) as process:
        process.kill()
        assert process.exit_code == 128 + 9


def test_output_is_limited() -> None:
    result = Sandbox(engine="reference", output_limit=10).run(image(CAT), stdin=b"x" * 4096)
    assert (result.limit, result.stdout) == ("output", b"x" * 10)
    assert "more than 10 bytes to stdout" in result.message


def test_an_image_that_does_not_fit_the_memory() -> None:
    with pytest.raises(LimitExceeded, match="memory is limited to 0x2000"):
        Sandbox(engine="reference", memory=8192).run(image(EXIT_3))
    with pytest.raises(LimitExceeded, match="arguments"):
        Sandbox(engine="reference", memory="1M").run(image(EXIT_3), ["x" * 1_000_000])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "fast"}, "engine must be one of"),
        ({"memory": "lots"}, "not a size"),
        ({"memory": 0}, "memory must be"),
        ({"timeout": 0}, "timeout"),
        ({"fuel": -1}, "fuel"),
        ({"files": {"relative": b""}}, "absolute"),
        ({"files": {"/a/../b": b""}}, r"\.\."),
    ],
)
def test_arguments_are_checked_at_the_door(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sandbox(**options)  # type: ignore[arg-type]


def test_streams_are_checked_at_the_door() -> None:
    box = Sandbox(engine="reference")
    with pytest.raises(TypeError, match="stdin must be bytes"):
        box.run(image(EXIT_3), stdin="text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="stdout must be"):
        box.run(image(EXIT_3), stdout=io.StringIO())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="NUL"):
        box.run(image(EXIT_3), ["a\0b"])
    with pytest.raises(BadImage):
        box.run(b"nothing")


def test_file_objects_as_streams(tmp_path: Path) -> None:
    out = io.BytesIO()
    result = Sandbox(engine="reference").run(image(CAT), stdin=io.BytesIO(b"from an object"), stdout=out)
    assert (out.getvalue(), result.stdout) == (b"from an object", b"")
    with (tmp_path / "in").open("wb+") as file:
        file.write(b"from a file")
        file.seek(0)
        assert Sandbox(engine="reference").run(image(CAT), stdin=file).stdout == b"from a file"
    assert Sandbox(engine="reference").run(image(CAT), stdin=b"x", stdout=vx32py.DEVNULL).stdout == b""


# -- calls of the host's own -----------------------------------------------------------------------------------------


def test_a_host_adds_a_call(engine_name: str) -> None:
    table = SystemCalls.vx()

    @table.define(100, "add")
    def add(process: vx32py.Process, a: int, b: int) -> int:
        process.memory.write_u32(DATA, a * b)
        return a + b

    code = f"mov eax, 100; mov edx, 6; mov ecx, 7; syscall; mov edx, eax; add edx, [{DATA}]; mov eax, 1; syscall"
    result = Sandbox(engine=engine_name, calls=table).run(image(code))
    assert (result.exit_code, result.stats.calls["add"]) == (13 + 42, 1)


def test_an_exception_of_a_handler_arrives_with_its_traceback(engine_name: str) -> None:
    table = SystemCalls.vx()

    @table.define(100)
    def broken(process: vx32py.Process) -> int:
        missing: dict[str, int] = {}
        return missing["key"]

    with Sandbox(engine=engine_name, calls=table).spawn(image("mov eax, 100; syscall")) as process:
        with pytest.raises(KeyError) as caught:
            process.run()
        assert "broken" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_bad_pointers_in_a_handler_are_the_guests_fault() -> None:
    table = SystemCalls.vx()

    @table.define(100)
    def reads(process: vx32py.Process, address: int) -> int:
        return process.memory.read_u32(address)

    code = "mov eax, 100; mov edx, 0xFFFFFFFE; syscall; mov edx, eax; neg edx; mov eax, 1; syscall"
    assert Sandbox(engine="reference", calls=table).run(image(code)).exit_code == 14


def test_only_the_given_tables_answer() -> None:
    result = Sandbox(engine="reference", calls=SystemCalls.vx()).run(image("int 0x80"))
    assert result.trap is not None
    assert result.trap.number == 0x280
    result = Sandbox(engine="reference", calls=SystemCalls.vx().remove("exit")).run(image(f"{EXIT_3}; ud2"))
    assert result.trap is not None
    assert result.stats.unknown_calls == {("vx", 1): 1}
    with pytest.raises(KeyError):
        SystemCalls.vx().remove("nothing")


def test_handlers_are_checked_when_they_are_defined() -> None:
    table = SystemCalls.vx()
    with pytest.raises(TypeError, match="positional"):
        table.define(1)(lambda process, *rest: 0)
    with pytest.raises(TypeError, match="at most 5"):
        table.define(1)(lambda process, a, b, c, d, e, f: 0)


# -- determinism -----------------------------------------------------------------------------------------------------


def test_a_deterministic_policy_makes_up_time(engine_name: str) -> None:
    code = (
        f"mov eax, 9; mov edx, {DATA}; syscall; mov eax, 4; mov edx, 1; mov ecx, {DATA}; mov ebx, 8; syscall; {EXIT_3}"
    )
    box = Sandbox(engine=engine_name, policy=Policy.deterministic())
    first, second = box.run(image(code)), box.run(image(code))
    assert first.stdout == second.stdout
    assert int.from_bytes(first.stdout[:4], "little") == 1_000_000_000
    real = Sandbox(engine=engine_name).run(image(code))
    assert abs(int.from_bytes(real.stdout[:4], "little") - time.time()) < 5


# -- Ctrl-C, imports -------------------------------------------------------------------------------------------------


def test_ctrl_c_stops_a_spinning_guest(engine_name: str, tmp_path: Path) -> None:
    program = tmp_path / "spin.elf"
    program.write_bytes(image(SPIN))
    code = f"""
import os, signal, threading, vx32py
threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    vx32py.run({str(program)!r}, engine={engine_name!r}, timeout=20)
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "interrupted\n", done.stderr


def test_the_package_imports_nothing_heavy() -> None:
    code = """
import sys, vx32py
from vx32py import Module, Sandbox, Policy, SystemCalls, Result, BadImage
heavy = {"numba", "llvmlite", "rich", "click", "elftools", "capstone", "numpy"} & set(sys.modules)
print(sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_every_public_name_exists() -> None:
    for name in vx32py.__all__:
        assert getattr(vx32py, name) is not None
    with pytest.raises(AttributeError):
        _ = vx32py.nothing


def test_doctor_tells_which_engine_and_why() -> None:
    diagnosis = vx32py.doctor()
    assert diagnosis.chosen in vx32py.engines()
    assert diagnosis.reason
    assert {fact.name for fact in diagnosis.facts} >= {"system", "python", "processor", "modify_ldt"}


def test_modules_describe_themselves() -> None:
    module = Module.from_bytes(image(EXIT_3), "name")
    assert repr(module).startswith("Module('name', entry=0x08049000")


def test_a_sandbox_that_verifies_raises_for_what_is_refused_and_else_changes_nothing(
    engine_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reference.dispatch import TranslatingEngine
    from reference.errors import VerificationError
    from vx32py import verify

    monkeypatch.setattr(TranslatingEngine, "verifier", None)
    code = "mov eax, 1; mov edx, 7; syscall"
    assert Sandbox(engine=engine_name, verify=True).run(image(code)).exit_code == 7
    if engine_name != "reference":
        monkeypatch.setattr(verify, "problems", lambda *_, **__: ["not this one"])
        with pytest.raises(VerificationError, match="not this one"):
            Sandbox(engine=engine_name, verify=True).run(image(code))
        assert Sandbox(engine=engine_name).run(image(code)).exit_code == 7
