"""What malformed images and random system calls have brought to light, each named after what went wrong."""

from __future__ import annotations

import errno
import gc
import io
import os
import select
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from child import in_child
from images import DATA, ENTRY, Caller, Elf, Load, image

from vx32py import BadImage, Grant, Module, Policy, Sandbox, SystemCalls, UnsupportedHost, _elf
from vx32py._calls import signed

PAGE = 0x1000
MINUS_1 = 0xFFFF_FFFF
_LINUX = {entry.name: entry.number for entry in SystemCalls.linux()}
_VX = {entry.name: entry.number for entry in SystemCalls.vx()}


def with_symbols(names: bytes, table: list[tuple[int, int]]) -> bytes:
    """An image whose symbols are functions, (offset of the name in ``names``, address)."""
    elf = Elf()
    start = len(elf.pack())
    symbols = b"".join(struct.pack("<IIIBBH", name, address, 0, 0x12, 0, 1) for name, address in table)
    sections = struct.pack("<10I", *[0] * 10)
    sections += struct.pack("<10I", 0, 2, 0, 0, start, len(symbols), 2, 0, 4, 16)
    sections += struct.pack("<10I", 0, 3, 0, 0, start + len(symbols), len(names), 0, 0, 1, 0)
    elf.header.e_shoff, elf.header.e_shentsize, elf.header.e_shnum = start + len(symbols) + len(names), 40, 3
    return elf.pack() + symbols + names + sections


# -- images ----------------------------------------------------------------------------------------------------------


def test_a_symbol_cannot_write_to_the_terminal_of_who_reads_of_it() -> None:
    names = b"\0one\nline\0\x1b[2J\0\xff\xfe\0gr\xc3\xbc\xc3\x9f\0"
    module = Module.from_bytes(with_symbols(names, [(1, ENTRY), (10, ENTRY + 1), (15, ENTRY + 2), (18, ENTRY + 3)]))
    found = [module.symbol_at(ENTRY + i) for i in range(4)]
    assert found == [r"one\nline", r"\x1b[2J", r"\xff\xfe", "grüß"]
    assert all(name is not None and name in module.symbols for name in found)


def test_names_that_share_a_long_string_do_not_take_more_memory_than_the_file() -> None:
    names = b"\0" + b"a" * 200_000 + b"\0"
    module = Module.from_bytes(with_symbols(names, [(1 + i, ENTRY) for i in range(20_000)]))
    with pytest.raises(BadImage, match="names"):
        _ = module.symbols
    assert module.symbol_at(ENTRY) is None


def test_a_symbol_table_that_is_refused_is_not_read_at_every_question(monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    table = _elf.symbols

    def counted(*arguments: Any) -> Any:
        nonlocal read
        read += 1
        return table(*arguments)

    monkeypatch.setattr(_elf, "symbols", counted)
    module = Module.from_bytes(with_symbols(b"\0never ended", [(1, ENTRY)]))
    assert [module.symbol_at(ENTRY + i) for i in range(5)] == [None] * 5
    for _ in range(3):
        with pytest.raises(BadImage, match="outside its string table"):
            _ = module.symbols
    assert read == 1


def test_symbols_with_one_name_are_not_too_many_names() -> None:
    names = b"\0" + b"a" * 1000 + b"\0"
    module = Module.from_bytes(with_symbols(names, [(1, ENTRY + i) for i in range(20_000)]))
    assert module.symbol_at(ENTRY) == "a" * 1000


def test_a_million_symbols_at_one_address_are_found_at_once() -> None:
    module = Module.from_bytes(with_symbols(b"\0name\0", [(1, ENTRY)] * 100_000))
    steps = 0

    def count(frame: object, event: str, argument: object) -> Any:
        nonlocal steps
        steps += event == "line"
        return count

    module.symbol_at(ENTRY)
    sys.settrace(count)
    try:
        assert module.symbol_at(ENTRY) == "name"
    finally:
        sys.settrace(None)
    assert steps < 100


def test_too_many_symbols_are_refused() -> None:
    elf = bytearray(with_symbols(b"\0name\0", [(1, ENTRY)]))
    count = (1 << 19) + 1
    at = len(elf) - 80  # the section header of the symbol table
    struct.pack_into("<I", elf, at + 20, 16 * count)
    struct.pack_into("<I", elf, at + 16, len(elf))
    module = Module.from_bytes(bytes(elf) + bytes(16 * count))
    with pytest.raises(BadImage, match="524289 symbols"):
        _ = module.symbols


def test_an_image_where_no_guest_has_room_is_an_error_of_its_own(engine_name: str) -> None:
    elf = Elf(loads=[Load(p_vaddr=0xF700_0000)])
    elf.header.e_entry = 0xF700_0000
    sandbox = Sandbox(engine=engine_name, memory="12M")
    if engine_name == "reference":
        assert sandbox.spawn(elf.pack()).alive
    else:
        with pytest.raises(UnsupportedHost, match="no room for a guest"):
            sandbox.spawn(elf.pack())


@pytest.mark.parametrize("linux", [False, True], ids=["vx", "linux"])
def test_a_guest_may_be_given_all_the_memory_there_is(engine_name: str, linux: bool) -> None:
    code = b"\x31\xc0\x40\x31\xdb\xcd\x80" if linux else b"\x31\xc0\x40\x31\xd2\x0f\x05"  # exit(0)
    assert Sandbox(engine=engine_name, memory="4G").run(image(code, linux=linux)).ok


# -- system calls ----------------------------------------------------------------------------------------------------


class Linux(Caller):
    """A caller that names calls."""

    def __init__(self, sandbox: Sandbox, **streams: object) -> None:
        super().__init__(sandbox, linux=True, **streams)

    def named(self, name: str, *arguments: int) -> int:
        return self(_LINUX[name], *arguments)


@pytest.fixture
def call(engine_name: str) -> Iterator[Linux]:
    caller = Linux(Sandbox(engine=engine_name, timeout=60, policy=Policy.deterministic()))
    with caller.process:
        yield caller


def test_a_thread_name_without_an_end_is_cut(call: Linux) -> None:
    assert call.named("brk", DATA + 3 * PAGE) == DATA + 3 * PAGE
    call.put(b"n" * 3 * PAGE)
    assert call.named("prctl", 15, DATA) == 0
    assert call.named("prctl", 16, DATA) == 0
    assert call.get(17) == b"n" * 15 + b"\0n"


def test_a_program_with_a_name_that_is_no_text_has_a_thread_name(engine_name: str, tmp_path: Path) -> None:
    program = image(b"\xcd\x80", linux=True)
    (tmp_path / "caller\udcff").write_bytes(program)
    (tmp_path / "caller\udcff").chmod(0o755)
    caller = Linux(Sandbox(engine=engine_name, timeout=60, files={"/bin": str(tmp_path)}))
    with caller.process:
        caller.put(b"/bin/caller\xff\0")
        caller.named("execve", DATA, 0, 0)
        assert caller.named("prctl", 16, DATA) == 0
        assert caller.get(16) == b"caller\xff".ljust(16, b"\0")


def test_a_program_that_has_slept_for_a_century_can_ask_what_it_used(call: Linux) -> None:
    call.put(struct.pack("<II", 0x7FFF_FFFF, 999_999_999))
    for _ in range(3):
        assert call.named("nanosleep", DATA, 0) == 0
    assert call.named("getrusage", 0, DATA) == 0
    assert struct.unpack("<i", call.get(4))[0] >= 0


def test_exec_with_too_many_arguments_leaves_the_program_whole(engine_name: str) -> None:
    program = image(b"\xcd\x80", linux=True)
    caller = Linux(Sandbox(engine=engine_name, memory="4M", timeout=60, files={"/program": program}))
    with caller.process:
        size = 0x10_0000
        address = caller.named("mmap2", 0, size, 3, 0x22, MINUS_1, 0) & MINUS_1
        caller.process.memory.write(address, b"a" * (size - PAGE))
        caller.put(b"/program\0")
        caller.put(struct.pack("<II", address, 0), DATA + 0x100)
        assert caller.named("execve", DATA, DATA + 0x100, 0) == -errno.E2BIG
        assert caller.get(9) == b"/program\0"
        assert caller.process.memory.read(address, 8) == b"aaaaaaaa"


def test_exec_of_a_file_larger_than_memory_does_not_read_it(engine_name: str, tmp_path: Path) -> None:
    program = image(b"\xcd\x80", linux=True)
    with open(tmp_path / "large", "wb") as file:
        file.write(program)
        file.truncate(1 << 29)
    (tmp_path / "large").chmod(0o755)
    caller = Linux(Sandbox(engine=engine_name, memory="4M", timeout=60, files={"/bin": str(tmp_path)}))
    with caller.process:
        caller.put(b"/bin/large\0")
        assert caller.named("execve", DATA, 0, 0) == -errno.ENOMEM


def test_a_mapping_of_a_file_that_cannot_be_read_leaves_memory_alone(engine_name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * PAGE)
    caller = Linux(Sandbox(engine=engine_name, timeout=60, files={"/rw": Grant(str(tmp_path), writable=True)}))
    with caller.process:
        caller.put(b"/rw/file\0")
        fd = caller.named("open", DATA, 1, 0)
        mapped = caller.process.engine.space.mapped
        assert caller.named("mmap2", DATA, PAGE, 1, 0x12, fd, 0) == -errno.EACCES
        assert caller.get(9) == b"/rw/file\0"
        assert caller.named("mmap2", 0, PAGE, 1, 2, fd, 0) == -errno.EACCES
        assert caller.process.engine.space.mapped == mapped


@pytest.mark.parametrize("name", ["pread64", "pwrite64"])
def test_nothing_is_read_into_no_room_at_all(engine_name: str, name: str) -> None:
    caller = Linux(Sandbox(engine=engine_name, timeout=60), stdin=b"content")
    with caller.process:
        expected = 0 if name == "pread64" else -errno.EBADF
        assert caller.named(name, 0, DATA, 0, 0, 0) == expected


@pytest.mark.parametrize("flag", [0x80000, 0x1000000], ids=["SETTLS", "CHILD_SETTID"])
def test_a_clone_that_fails_leaves_no_child(call: Linux, flag: int) -> None:
    before = set(call.process.family.processes)
    assert call.named("clone", 17 | flag, 0, 0, 1, 1) == -errno.EFAULT
    assert set(call.process.family.processes) == before
    assert call.named("waitpid", MINUS_1, 0, 0) == -errno.ECHILD


def test_a_wait_for_nothing_that_a_host_descriptor_can_bring_does_not_spin(engine_name: str) -> None:
    reader, writer = os.pipe()
    os.close(writer)
    try:
        caller = Linux(Sandbox(engine=engine_name, timeout=60, policy=Policy.deterministic()), stdin=reader)
        with caller.process:
            caller.put(struct.pack("<I", 1))
            assert caller.named("_newselect", 1, 0, 0, DATA, 0) == -errno.EDEADLK
            caller.put(struct.pack("<IHH", 0, 0, 0))
            assert caller.named("poll", DATA, 1, MINUS_1) == 1  # of the other end that is gone it is told, unasked
            assert caller.get(8) == struct.pack("<IHH", 0, 0, select.POLLHUP)
    finally:
        os.close(reader)


@pytest.mark.parametrize("stream", ["stdin", "stdout"])
def test_a_file_object_has_no_place_beyond_what_a_number_can_tell(engine_name: str, stream: str) -> None:
    caller = Linux(Sandbox(engine=engine_name, timeout=60), **{stream: io.BytesIO(b"content")})
    with caller.process:
        fd = ("stdin", "stdout").index(stream)
        assert caller.named("_llseek", fd, 0x7FFF_FFFF, MINUS_1, DATA, 0) in (0, -errno.EINVAL)
        assert caller.named("_llseek", fd, 0x7FFF_FFFF, MINUS_1, DATA, 1) in (0, -errno.EINVAL)


def test_a_guest_cannot_make_a_file_object_in_memory_larger_than_what_it_writes(engine_name: str) -> None:
    output = io.BytesIO()
    caller = Linux(Sandbox(engine=engine_name, timeout=60), stdout=output)
    with caller.process:
        caller.put(b"text")
        assert caller.named("write", 1, DATA, 4) == 4
        assert caller.named("lseek", 1, 0x1000_0000, 0) == -errno.EINVAL
        assert caller.named("lseek", 1, 1, 2) == -errno.EINVAL
        assert caller.named("lseek", 1, 1, 0) == 1
        assert caller.named("write", 1, DATA, 4) == 4
        assert caller.named("lseek", 1, 0, 2) == 5
    assert output.getvalue() == b"ttext"


def test_a_file_object_of_the_host_may_have_holes(engine_name: str, tmp_path: Path) -> None:
    with open(tmp_path / "output", "wb") as file:
        caller = Linux(Sandbox(engine=engine_name, timeout=60), stdout=file)
        with caller.process:
            caller.put(b"text")
            assert caller.named("lseek", 1, 0x1_0000, 0) == 0x1_0000
            assert caller.named("write", 1, DATA, 4) == 4
    assert (tmp_path / "output").stat().st_size == 0x1_0004


def test_unknown_calls_are_not_remembered_for_ever(engine_name: str) -> None:
    caller = Linux(Sandbox(engine=engine_name, timeout=60))
    with caller.process:
        for number in range(1000, 3000):
            assert caller(number) == -errno.ENOSYS
        counted = caller.process.unknown_calls
        assert sum(counted.values()) == 2000
        assert len(counted) <= 1025
        assert counted["linux", 1000] == 1
        assert counted["linux", -1] > 900


@in_child
def test_a_large_guest_has_room_again_when_others_have_gone() -> None:
    program = image(b"\xcd\x80\xcc", linux=True)
    small, large = Sandbox(engine="jit", memory="4M"), Sandbox(engine="jit", memory="2500M")
    larger = Sandbox(engine="jit", memory="3000M")

    def come_and_go() -> None:
        with small.spawn(program), large.spawn(program):  # the second is not at zero: it begins far below the top
            pass
        for process in [small.spawn(program) for _ in range(12)]:
            process.close()

    come_and_go()
    with larger.spawn(program) as process:
        assert process.alive


@in_child
def test_many_guests_have_room_when_a_large_one_has_gone() -> None:
    """What it had was kept, for the next large one, at linear address zero; here with another guest there already."""
    program = image(b"\xcd\x80\xcc", linux=True)
    for size in ("3000M", "2000M"):
        Sandbox(engine="jit", memory=size).spawn(program).close()
        guests = [Sandbox(engine="jit").spawn(program) for _ in range(10)]
        while guests:
            guests.pop().close()


@pytest.mark.parametrize("verify", [False, True], ids=["plain", "verified"])
@in_child
def test_children_hold_nothing_after_their_family_has_ended(verify: bool) -> None:
    from jit.ldt import read_entries

    def entries() -> int:
        return sum(any(raw) for raw in read_entries())

    sandbox, program = Sandbox(engine="jit", memory="4M", verify=verify), image(b"\xcd\x80\xcc", linux=True)
    counts = []
    gc.disable()
    for _ in range(12):
        with sandbox.spawn(program) as process:
            for _ in range(3):
                process.registers.eip, process.registers.eax = ENTRY, _LINUX["fork"]
                process.run()
                assert signed(process.registers.eax) > 0
        counts.append(entries())
    assert max(counts) <= 3 * 12, counts  # those that rest for the next guest, and no more
