"""Hostile plug-ins: whatever an image says and its code does, the host gets one clear error and the next call works."""

from __future__ import annotations

import contextlib
import errno
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from images import Elf, Load, R, W, X
from plugin_images import DATA, ENTRY, MARK, SECTION, compiled_plugin, import_address, plugin_image, texts

import vx32py
from vx32py import (
    BadImage,
    LimitExceeded,
    Module,
    PluginDataError,
    PluginError,
    PluginExited,
    PluginReturnError,
    PluginTrapped,
    Sandbox,
    Timeout,
)
from vx32py._errors import Vx32Error
from vx32py.plugin import declarations
from vx32py.plugin.signatures import Signature

#: Where `good` of :func:`hostile` is.
GOOD = ENTRY + 0x800
F = ENTRY + 0x10


def hostile(code: str, signature: str = "none -> u32", *, declared: Sequence[str] = (), **more: Any) -> bytes:
    """A plug-in with an initialisation that is in order, a function ``f`` with this code at F, and ``good``, which returns
    how often it was called since the last reset."""
    text = f"""
        ret
        .org {F - ENTRY}
        {code}
        .org {GOOD - ENTRY}
        inc dword ptr [{DATA}]
        mov eax, [{DATA}]
        ret
    """
    lines = [f"export f {signature}", "export good none -> u32", *declared]
    return plugin_image(text, lines, {"f": F, "good": GOOD}, **more)


def call_fails(image: bytes, error: type[Exception], engine: str, *arguments: Any, **options: Any) -> Any:
    """What a call of ``f`` raises; afterwards the plug-in is what it was in the beginning."""
    callbacks = options.pop("callbacks", {})
    with Sandbox(engine=engine, **{"memory": "16M", "timeout": 20, **options}).instantiate(image, callbacks) as plugin:
        assert [plugin.call("good"), plugin.call("good")] == [1, 2]
        for _ in range(2):
            with pytest.raises(error) as caught:
                plugin.call("f", *arguments)
            assert [plugin.call("good"), plugin.call("good")] == [1, 2]
    return caught.value


# -- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "size"),
    [
        (0xFFFF_FFF0, 0x7FFF_FFFF), (0, 5), (0xFFFF_FFFF, 0xFFFF_FFFF), (DATA + 0x1000, 1), (DATA + 0xFFF, 2),
        (DATA, 0x1001), (0x1000, 16), (DATA, 0xFFFF_FFFF),
    ],
)  # fmt: skip
def test_a_result_that_is_not_in_memory_is_refused_by_name_address_and_size(
    engine_name: str, address: int, size: int
) -> None:
    code = f"mov eax, [esp + 4]; mov dword ptr [eax], {address:#x}; mov dword ptr [eax + 4], {size:#x}; ret 4"
    error = call_fails(hostile(code, "none -> bytes"), PluginDataError, engine_name)
    assert str(error) == f"f: its result: {size:#x} bytes at {address:#010x} are not in the plug-in's memory"
    assert (error.function, error.address, error.size) == ("f", address, size)


def test_an_empty_result_may_be_anywhere(engine_name: str) -> None:
    code = "mov eax, [esp + 4]; mov dword ptr [eax], 0xfffffff0; mov dword ptr [eax + 4], 0; ret 4"
    with Sandbox(engine=engine_name).instantiate(hostile(code, "none -> bytes")) as plugin:
        assert plugin.call("f") == b""


@pytest.mark.parametrize(
    ("code", "difference"),
    [("ret 4", 4), ("pop eax; add esp, 64; jmp eax", 64), ("pop eax; sub esp, 16; jmp eax", -16)],
)
def test_a_function_that_returns_with_another_esp_is_found_out(engine_name: str, code: str, difference: int) -> None:
    error = call_fails(hostile(code), PluginReturnError, engine_name)
    assert error.esp - error.expected == difference
    assert str(error) == f"f: returned with esp {error.esp:#010x}, not {error.expected:#010x}"


def test_a_function_that_does_not_pop_the_place_of_its_result_is_found_out(engine_name: str) -> None:
    call_fails(hostile("ret", "none -> bytes"), PluginReturnError, engine_name)


def test_a_pointer_may_lead_anywhere_until_it_is_used(engine_name: str) -> None:
    with Sandbox(engine=engine_name).instantiate(hostile("mov eax, 0xfffffffc; ret", "-> pointer")) as plugin:
        pointer = plugin.call("f")
        for use in (pointer.read_u32, pointer.string, lambda: pointer.bytes(16), lambda: pointer.write(b"x")):
            with pytest.raises(vx32py.MemoryFault):
                use()
        assert plugin.call("good") == 1


# -- traps, exits, endless loops -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ud2", "invalid opcode at eip 0x08049010 (f)"),
        ("nop; mov eax, [0]; ret", "page fault at eip 0x08049011 (f+0x1), read of 0x00000000"),
        ("xor eax, eax; jmp eax", "page fault at eip 0x00000000, execute of 0x00000000"),
        ("xor edx, edx; xor ecx, ecx; div ecx", "divide error at eip 0x08049014 (f+0x4)"),
        ("int 0x70", "software interrupt 0x70 at eip 0x08049012 (f+0x2)"),
        ("mov edx, 77; int 0x71", "software interrupt 0x71 at eip 0x08049017 (f+0x7)"),
        ("int 0x33", "software interrupt 0x33 at eip 0x08049012 (f+0x2)"),
        ("int 0x80", "software interrupt 0x80"),
        ("hlt", "at eip 0x08049010 (f)"),
        ("mov eax, [esp]; mov [eax], eax; ret", "page fault at eip 0x08049013 (f+0x3), write of 0x08048000"),
        (f"mov byte ptr [{ENTRY}], 0; ret", f"write of {ENTRY:#010x}"),
        ("mov esp, 0; push eax", "(f+0x5)"),
        ("mov ds, ax", "invalid opcode"),
    ],
)
def test_a_trap_names_function_eip_and_symbol(engine_name: str, code: str, message: str) -> None:
    image = hostile(code)
    if code == "int 0x80":  # a call that the host has, and the guest gets an answer: then it runs into padding
        image = hostile("mov eax, 0x7fffffff; int 0x80; ud2")
        message = "invalid opcode at eip 0x08049017 (f+0x7)"
    error = call_fails(image, PluginTrapped, engine_name)
    assert str(error).startswith("f: ")
    assert message in str(error)
    assert (error.function, error.eip) == ("f", error.trap.eip)


def test_a_stack_overflow_is_called_one(engine_name: str) -> None:
    error = call_fails(hostile("1: sub esp, 2048; push eax; jmp 1b"), PluginTrapped, engine_name)
    assert str(error).endswith(": its stack has overflowed")
    assert "page fault" in str(error)


def test_exit_in_a_call_is_an_error_of_its_own(engine_name: str) -> None:
    error = call_fails(hostile("mov eax, 1; mov edx, 7; syscall"), PluginExited, engine_name)
    assert (error.exit_code, str(error)) == (7, "f: the plug-in exited with code 7")


def test_a_function_that_never_returns_runs_into_the_timeout(engine_name: str) -> None:
    box = Sandbox(engine=engine_name, memory="16M", timeout=60)
    with box.instantiate(hostile("1: jmp 1b")) as plugin:
        family = plugin._process.family
        for _ in range(2):  # each call has all of the time to itself
            family.timeout = 60
            assert plugin.call("good") == 1
            family.timeout = 0.15
            with pytest.raises(Timeout) as caught:
                plugin.call("f")
            assert caught.value.__notes__ == ["in f, a function of the plug-in guest"]
        family.timeout = 60
        assert plugin.call("good") == 1


def test_fuel_is_for_each_call_and_the_same_on_every_engine(engine_name: str) -> None:
    code = "mov ecx, [esp + 4]; 1: loop 1b; ret"  # n + 2, and the two of the return page's
    with Sandbox(engine=engine_name, fuel=100).instantiate(hostile(code, "u32 -> none")) as plugin:
        for _ in range(3):
            plugin.call("f", 97)
            with pytest.raises(LimitExceeded) as caught:
                plugin.call("f", 98)
            assert caught.value.limit == "fuel"


def test_processor_time_is_for_each_call(engine_name: str) -> None:
    error = call_fails(hostile("1: jmp 1b"), LimitExceeded, engine_name, cpu_time=0.2)
    assert error.limit == "cpu"


def test_output_is_limited_for_each_call(engine_name: str) -> None:
    write = f"push ebx; mov ebx, [esp + 8]; mov eax, 4; mov edx, 1; mov ecx, {ENTRY}; syscall; pop ebx; ret"
    box = Sandbox(engine=engine_name, output_limit=100)
    with box.instantiate(hostile(write, "u32 -> i32")) as plugin:
        for _ in range(3):
            assert plugin.call("f", 100) == 100
            assert len(plugin.stdout) == 100
            assert plugin.call("f", 60) == 60
            assert len(plugin.stdout) == 60  # of the last call
            with pytest.raises(LimitExceeded) as caught:
                plugin.call("f", 101)
            assert caught.value.limit == "output"


def test_a_plugin_that_has_taken_all_memory_leaves_none_for_arguments(engine_name: str) -> None:
    """brk by a MiB until there is no more; then long arguments do not fit, and a reset makes room again."""
    code = """
        push ebx
        mov ebx, [esp + 8]
    1:  mov eax, 2; mov edx, ebx; syscall
        test eax, eax; jnz 2f
        add ebx, 0x100000
        jmp 1b
    2:  mov eax, ebx
        pop ebx
        ret
    """
    with Sandbox(engine=engine_name, memory="8M").instantiate(
        hostile(code, "u32, bytes -> u32"), reset=False
    ) as plugin:
        end = plugin.call("f", DATA + 0x1000, b"short")
        assert end > DATA + 0x50_0000
        with pytest.raises(LimitExceeded) as caught:
            plugin.call("f", DATA, bytes(3 << 20))
        assert caught.value.limit == "memory"
        assert plugin.call("good") == 1
        plugin.reset()
        plugin.call("f", DATA, bytes(3 << 20))


def test_a_plugin_can_neither_fork_nor_execute_anything_nor_itself(engine_name: str, tmp_path: Path) -> None:
    path = tmp_path / "program"
    exec_itself = f"mov eax, 26; mov edx, {SECTION}; mov ecx, 0; syscall; ret"  # the section begins with the mark
    for code, expected in (("mov eax, 24; syscall; ret", -errno.EAGAIN), (exec_itself, -errno.EACCES)):
        image = hostile(code, "-> i32")
        for program in (image, Elf().pack()):
            path.write_bytes(program)
            path.chmod(0o755)
            box = Sandbox(engine=engine_name, files={f"/{MARK.decode()}": str(path)})
            with box.instantiate(image) as plugin:
                assert plugin.call("f") == expected
                assert plugin.call("good") == 1


def test_what_a_call_leaves_in_flags_and_floating_point_the_next_one_does_not_find(engine_name: str) -> None:
    spoil = f"""
        cmp dword ptr [esp + 4], 0
        jne 1f
        std; fld1; fld1; fldpi
        push 0x7f80; ldmxcsr [esp]; mov dword ptr [esp], 0x0e3f; fldcw [esp]; pop eax
        mov ebx, 5; mov esi, 6; mov edi, 7; mov ebp, 8
        ret
    1:  pushfd; pop eax; and eax, 0x400
        fnstsw word ptr [{DATA + 8}]; or ax, [{DATA + 8}]
        fnstcw word ptr [{DATA + 8}]; mov ecx, [{DATA + 8}]; shl ecx, 16; or eax, ecx
        or eax, ebx; or eax, esi; or eax, edi; or eax, ebp
        ret
    """
    with Sandbox(engine=engine_name).instantiate(hostile(spoil, "u32 -> u32")) as plugin:
        assert plugin.call("f", 1) == 0x037F_0000
        plugin.call("f", 0)
        assert plugin.call("f", 1) == 0x037F_0000


def test_a_jump_out_of_a_dead_call_is_found_out(engine_name: str) -> None:
    source = r"""
    #include <setjmp.h>
    #include <vxplugin.h>
    static jmp_buf place;
    static int calls;
    __attribute__((noinline)) static uint32_t deeper(uint32_t n)
    {
        volatile uint32_t room[64];
        room[n & 63] = n;
        return setjmp(place) ? 99 : room[n & 63];
    }
    uint32_t mark(uint32_t n) { calls++; return deeper(n) + 0 * (uint32_t)calls; }    VX_EXPORT(mark, "u32 -> u32");
    uint32_t leap(void) { longjmp(place, 1); }      VX_EXPORT(leap, "-> u32");
    uint32_t count(void) { return (uint32_t)calls; }  VX_EXPORT(count, "-> u32");
    """
    with Sandbox(engine=engine_name, timeout=60).instantiate(compiled_plugin(source)) as plugin:
        assert plugin.call("mark", 5) == 5
        with contextlib.suppress(PluginError):  # the frame is gone, and what is there now decides what happens
            plugin.call("leap")
        plugin.reset()
        assert plugin.call("count") == 0
        assert plugin.call("mark", 6) == 6


# -- imports ---------------------------------------------------------------------------------------------------------

IMPORTS = ["import say bytes text -> u32", "import give u32 n -> bytes"]
_LINES = ["export f none -> u32", "export good none -> u32", *IMPORTS]


def importing(code: str) -> bytes:
    say, give = (import_address(_LINES, name) for name in ("say", "give"))
    return hostile(code.replace("SAY", f"{say:#x}").replace("GIVE", f"{give:#x}"), declared=IMPORTS)


CALLBACKS = {"say": len, "give": lambda n: b"x" * n}


def test_a_hand_written_import_works(engine_name: str) -> None:
    code = f"push 3; push {ENTRY}; mov ecx, esp; mov edx, SAY; int 0x71; add esp, 8; ret"
    with Sandbox(engine=engine_name).instantiate(importing(code), CALLBACKS) as plugin:
        assert plugin.call("f") == 3


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("mov ecx, 0; mov edx, SAY; int 0x71", "say: its arguments: 0x8 bytes at 0x00000000 are"),
        ("mov ecx, 0xfffffffc; mov edx, SAY; int 0x71", "say: its arguments: 0x8 bytes at 0xfffffffc are"),
        ("push -1; push 16; mov ecx, esp; mov edx, SAY; int 0x71", "say: argument 1 (text): 0xffffffff bytes at 0x00000010"),
        ("push 16; push -4; mov ecx, esp; mov edx, SAY; int 0x71", "say: argument 1 (text): 0x10 bytes at 0xfffffffc"),
        ("push 4; push 8; mov ecx, esp; mov edx, GIVE; int 0x71", "give: the place for its result: 0x8 bytes at 0x00000008"),
        (f"push 4; push {ENTRY}; mov ecx, esp; mov edx, GIVE; int 0x71", "give: the place for its result"),
    ],
)  # fmt: skip
def test_an_import_with_wild_addresses_is_refused(engine_name: str, code: str, message: str) -> None:
    error = call_fails(importing(code), PluginDataError, engine_name, callbacks=CALLBACKS)
    assert message in str(error)


@pytest.mark.parametrize("offset", [-1, 1, 7])
def test_an_import_is_named_by_the_beginning_of_its_text(engine_name: str, offset: int) -> None:
    code = f"mov edx, SAY; add edx, {offset}; mov ecx, esp; int 0x71; ret"
    call_fails(importing(code), PluginTrapped, engine_name, callbacks=CALLBACKS)


def test_strings_from_callbacks_without_end_run_into_the_limit_of_memory(engine_name: str) -> None:
    code = f"1: push 0x40000; push {DATA + 16}; mov ecx, esp; mov edx, GIVE; int 0x71; add esp, 8; jmp 1b"
    error = call_fails(importing(code), LimitExceeded, engine_name, callbacks=CALLBACKS)
    assert error.limit == "memory"


@pytest.mark.parametrize("esp", ["0", "0x10", "0xfffffff0", "0x1000", hex(ENTRY + 0x100)])
def test_a_callback_cannot_call_back_onto_a_stack_that_is_none(engine_name: str, esp: str) -> None:
    def say(text: bytes) -> int:
        with pytest.raises(PluginError, match="good: no room on its stack"):
            plugin.call("good")
        return 1

    image = importing(f"push 0; push 0; mov ecx, esp; mov edx, SAY; mov esp, {esp}; int 0x71; ret")
    plugin: vx32py.Plugin
    with Sandbox(engine=engine_name).instantiate(image, {**CALLBACKS, "say": say}) as plugin:
        with pytest.raises(PluginError):
            plugin.call("f")
        assert plugin.call("good") == 1


# -- initialisation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("ud2", PluginTrapped, "initialisation: invalid opcode at eip 0x08049000"),
        ("mov eax, 1; mov edx, 3; syscall", PluginExited, "initialisation: the plug-in exited with code 3"),
        ("ret 8", PluginReturnError, "initialisation: returned with esp"),
        ("1: jmp 1b", Timeout, "the guest ran for more than"),
    ],
)
def test_an_initialisation_that_fails_is_an_error(
    engine_name: str, code: str, error: type[Exception], message: str
) -> None:
    box = Sandbox(engine=engine_name, timeout=0.1 if error is Timeout else 60, guests=1)
    for _ in range(2):  # and gives back what it has taken
        with pytest.raises(error, match=message):
            box.instantiate(plugin_image(code))


def test_an_initialisation_may_call_the_host(engine_name: str) -> None:
    lines = ["import hello none -> none"]
    seen: list[str] = []
    code = f"mov ecx, esp; mov edx, {import_address(lines, 'hello'):#x}; int 0x71; ret"
    image = plugin_image(code, lines)
    with Sandbox(engine=engine_name).instantiate(image, {"hello": lambda: seen.append("hello")}) as plugin:
        assert seen == ["hello"]
        plugin.reset()
        assert seen == ["hello"]  # what a reset comes back to has been there already


# -- resets ----------------------------------------------------------------------------------------------------------


def test_with_reset_every_call_finds_the_state_after_initialisation(engine_name: str) -> None:
    with Sandbox(engine=engine_name).instantiate(hostile("ret", "bytes -> none"), reset=True) as plugin:
        mapped = plugin.space.mapped
        for size in (0, 100, 100_000, 3_000_000, 10):
            assert plugin.call("good") == 1
            plugin.call("f", bytes(size))
        plugin.call("good")
        assert plugin.space.mapped == mapped


def test_a_plugin_that_changes_its_code_has_its_old_code_after_a_reset(engine_name: str) -> None:
    image = bytearray(hostile(f"mov eax, 5; inc byte ptr [{F + 1}]; ret"))
    struct.pack_into("<I", image, 52 + 24, R | W | X)
    with Sandbox(engine=engine_name).instantiate(bytes(image)) as plugin:
        for _ in range(3):
            assert [plugin.call("f"), plugin.call("f"), plugin.call("f")] == [5, 6, 7]
            plugin.reset()


def test_a_plugin_cannot_be_reset_in_a_callback_but_closed(engine_name: str) -> None:
    def say(text: bytes) -> int:
        with pytest.raises(PluginError, match="cannot be reset in the middle of a call"):
            plugin.reset()
        return 1

    def close(text: bytes) -> int:
        plugin.close()
        return 1

    code = f"push 3; push {ENTRY}; mov ecx, esp; mov edx, SAY; int 0x71; add esp, 8; ret"
    plugin: vx32py.Plugin
    with Sandbox(engine=engine_name).instantiate(importing(code), {**CALLBACKS, "say": say}) as plugin:
        assert plugin.call("f") == 1
    box = Sandbox(engine=engine_name, guests=1)
    for _ in range(2):
        plugin = box.instantiate(importing(code), {**CALLBACKS, "say": close})
        with pytest.raises(vx32py.PluginClosed):
            plugin.call("f")
        with pytest.raises(vx32py.PluginClosed):
            plugin.call("good")


# -- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (b"", "does not say vxplugin 1"),
        (texts("export f -> u32"), "does not say vxplugin 1"),
        (MARK, "offset 0x0: the last text has no zero byte"),
        (texts(MARK) + b"export f -> u32", "offset 0xb: the last text has no zero byte"),
        (texts("vxplugin 2"), "offset 0x0: vxplugin 2; what is known is vxplugin 1"),
        (texts("vxplugin \x1b[2J"), "no version; what is known"),
        (texts(MARK, "exprot f -> u32"), "'exprot f -> u32' is neither vxplugin nor export nor import"),
        (texts(MARK, b"export \xff -> u32"), "offset 0x12: not ASCII"),
        (texts(MARK, "export"), "'' is no name of a function"),
        (texts(MARK, "export 1f -> u32"), "'1f' is no name of a function"),
        (texts(MARK, "export f\x1b[0m -> u32"), "is no name of a function"),
        (texts(MARK, "export f u32"), "export f: no '->' in 'u32'"),
        (texts(MARK, "export f -> u32 -> u32"), "export f: result: no type 'u32 -> u32'"),
        (texts(MARK, "export f u32, -> u32"), "export f: parameter 2: no type ''"),
        (texts(MARK, "export f none, u32 -> u32"), "parameter 1: none is no type for a parameter"),
        (texts(MARK, "export f u32 a, u32 a -> u32"), "two parameters have one name"),
        (texts(MARK, "export f u32 0 -> u32"), "parameter 1: '0' is no name"),
        (texts(MARK, "export f " + "u32," * 64 + "u32 -> u32"), "65 parameters; 64 are the most"),
        (texts(MARK, "export f -> u32" + " " * 1990 + " x"), "there are none, i32|characters"),
        (texts(MARK, "export f -> u32", "export f -> i32"), "export f is there before, with another signature"),
        (texts(MARK, "import f -> u32", "import f -> i32"), "import f is there before, with another signature"),
        (texts(MARK, "export f -> u32"), "export f: the image has no symbol 'f'"),
    ],
)  # fmt: skip
def test_a_section_of_nonsense_is_refused_with_the_place(section: bytes, message: str) -> None:
    with pytest.raises(BadImage, match=message) as caught:
        Sandbox().instantiate(plugin_image("ret", section))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_padding_and_repetition_in_the_section_do_no_harm(engine_name: str) -> None:
    section = b"\0\0" + texts("export f -> u32", "", MARK, "", "export f none -> u32", MARK) + b"\0\0\0"
    with Sandbox(engine=engine_name).instantiate(plugin_image("ret", section, {"f": ENTRY})) as plugin:
        assert {name: str(signature) for name, signature in plugin.functions.items()} == {"f": "none -> u32"}


@pytest.mark.parametrize("address", [0, DATA, ENTRY - 1, ENTRY + 0x1000, 0xFFFF_FFFF])
def test_an_export_outside_the_code_is_refused(address: int) -> None:
    with pytest.raises(BadImage, match=f"symbol f: {address:#010x} is in no executable segment"):
        Sandbox().instantiate(plugin_image("ret", ["export f -> none"], {"f": address}))


def test_a_program_is_no_plugin() -> None:
    with pytest.raises(
        BadImage, match=r"not a plug-in: it has no section \.vx_plugin \(vx32py cc --plugin makes one\)"
    ):
        Sandbox().instantiate(Elf().pack())


def test_a_section_without_contents_or_twice_or_beyond_the_file_is_refused() -> None:
    with pytest.raises(BadImage, match="it has no contents"):
        Sandbox().instantiate(plugin_image("ret", section_type=8))
    with pytest.raises(BadImage, match="there is another one of that name"):
        Sandbox().instantiate(plugin_image("ret", sections=[(1, 1, 2, SECTION, 0x2800, 4, 0, 0, 1, 0)]))
    image = bytearray(plugin_image("ret"))
    (at,) = struct.unpack_from("<I", image, 32)
    for offset, size, message in ((len(image), 1, "truncated"), (0x2800, 1 << 20, "262144 are the most")):
        struct.pack_into("<II", image, at + 40 + 16, offset, size)
        with pytest.raises(BadImage, match=message):
            Sandbox().instantiate(bytes(image))


def test_an_image_at_the_bottom_of_memory_leaves_no_room_for_the_hosts_page() -> None:
    image = bytearray(plugin_image("ret"))
    for index, address in enumerate((0x10000, 0x11000)):
        struct.pack_into("<II", image, 52 + 32 * index + 8, address, address)
    struct.pack_into("<I", image, 24, 0x10000)
    with pytest.raises(BadImage, match="the image begins at 0x10000, which leaves no room"):
        Sandbox().instantiate(bytes(image))


def test_an_image_of_linuxs_layout_is_as_good(engine_name: str) -> None:
    """A compiler of another language's: with the marks of Linux its stack is at the top, and its calls are INT 0x80."""
    image = bytearray(hostile("mov eax, 20; int 0x80; ret"))
    struct.pack_into("<H", image, 44, 3)
    image[52 + 64 : 52 + 96] = Load(0, 0, 0, 0, R | W, 16, 0x6474E551).pack()
    module = Module.from_bytes(bytes(image))
    assert module.abi == "linux"
    with Sandbox(engine=engine_name).instantiate(module) as plugin:
        assert plugin.call("f") == 100  # getpid
        assert [plugin.call("good"), plugin.call("good")] == [1, 2]
        plugin.call("good")
        plugin.reset()
        assert plugin.call("good") == 1


def test_of_two_functions_with_one_name_the_global_one_is_called(tmp_path: Path) -> None:
    """A static function of another file's, at a lower address, was called in place of the export."""
    from vx32py._compile import compile_guest

    first, second = tmp_path / "first.c", tmp_path / "second.c"
    first.write_text("__attribute__((used)) static unsigned f(void) { return 1; }\n")
    second.write_text('#include <vxplugin.h>\nuint32_t f(void) { return 2; }\nVX_EXPORT(f, "-> u32");\n')
    made = compile_guest([first, second], tmp_path / "plugin.elf", plugin=True)
    module = Module.from_file(made)
    assert len([s for s in module._symbols[1] if s.name == "f"]) == 2  # type: ignore[index]
    with Sandbox().instantiate(module) as plugin:
        assert plugin.call("f") == 2


def test_images_with_random_damage_are_refused_or_work() -> None:
    """Section, symbols, headers; the code is left alone, but its addresses are not."""
    rng = random.Random(20)
    whole = plugin_image(
        "ret; nop; mov eax, 7; ret; nop; nop; mov eax, [esp + 4]; ret 4",
        ["export f -> u32", "export g bytes data, f64 -> bytes", "import h u32 -> f64"],
        {"f": ENTRY + 2, "g": ENTRY + 10},
    )
    places = [*range(24, 52), *range(52, 52 + 64), *range(0x2800, 0x2880), *range(0x3000, len(whole))]
    box = Sandbox(memory="8M", timeout=0.5)
    outcomes = {"worked": 0, "refused": 0}
    for _ in range(250):
        image = bytearray(whole)
        for _ in range(rng.choice((1, 1, 2, 5))):
            place = rng.choice(places)
            image[place] = rng.choice(
                (0, 1, 0x7F, 0x80, 0xFF, image[place] ^ 1 << rng.randrange(8), rng.randrange(256))
            )
        try:
            with box.instantiate(bytes(image), {"h": lambda x: 1.0}) as plugin:
                for name, signature in plugin.functions.items():
                    values = {"bytes": b"x", "f64": 1.0}
                    plugin.call(name, *(values.get(kind.value, 1) for kind in signature.types))
            outcomes["worked"] += 1
        except Vx32Error:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


def _parsed(text: str) -> Signature | str:
    try:
        return Signature.parse(text)
    except ValueError as error:
        return str(error)


def test_signatures_of_random_text_are_refused_or_mean_what_they_say() -> None:
    rng = random.Random(5)
    words = ["u32", "bytes", "none", "->", ",", " ", "f64", "x", "\x1b", "é", "pointer", "-", ">", "i64", "  ", "1"]
    found = [_parsed("".join(rng.choice(words) for _ in range(rng.randrange(1, 9)))) for _ in range(5000)]
    signatures = [each for each in found if isinstance(each, Signature)]
    assert len(signatures) > 20
    assert all(_parsed(str(signature)) == signature for signature in signatures)
    assert all(each.isprintable() and each.isascii() for each in found if isinstance(each, str))


def test_what_a_declaration_says_is_read_back(tmp_path: Path) -> None:
    module = Module.from_bytes(plugin_image("ret", _LINES, {"f": F, "good": GOOD}))
    found = declarations.read(module)
    assert {i.name: address for address, i in found.imports.items()} == {
        name: import_address(_LINES, name) for name in ("say", "give")
    }
    assert [str(i.signature) for i in found.imports.values()] == ["bytes text -> u32", "u32 n -> bytes"]
