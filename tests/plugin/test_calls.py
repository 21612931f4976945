"""Calls of plug-ins: arguments, results and callbacks of every type come over as they are, with every compiler and engine."""

from __future__ import annotations

import gc
import random
import struct
import sys
import threading
import traceback
import weakref
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from plugin_images import compiled_plugin

import vx32py
from vx32py import GuestPointer, Plugin, PluginError, Sandbox
from vx32py._compile import CompilerName

pytestmark = pytest.mark.compiler

EXAMPLE = (Path(__file__).resolve().parents[2] / "examples" / "plugin.c").read_text()
VALUES = r"""
#include <stdlib.h>
#include <string.h>
#include <vxplugin.h>

int32_t i32(int32_t x) { return x; }            VX_EXPORT(i32, "i32 -> i32");
uint32_t u32(uint32_t x) { return x; }          VX_EXPORT(u32, "u32 -> u32");
int64_t i64(int64_t x) { return x; }            VX_EXPORT(i64, "i64 -> i64");
uint64_t u64(uint64_t x) { return x; }          VX_EXPORT(u64, "u64 -> u64");
double f64(double x) { return x; }              VX_EXPORT(f64, "f64 -> f64");
void *pointer(void *x) { return x; }            VX_EXPORT(pointer, "pointer -> pointer");
vx_bytes bytes(vx_bytes x) { return x; }        VX_EXPORT(bytes, "bytes -> bytes");
void nothing(void) {}                           VX_EXPORT(nothing, "none -> none");

/* Everything at once, in an order in which nothing is aligned by chance. */
vx_bytes all(vx_bytes a, int32_t b, double c, uint64_t d, vx_bytes e, void *f, int64_t g, uint32_t h, vx_bytes i)
{
    static uint8_t result[1024];
    uint8_t *to = result;

#define PUT(from, size) (memcpy(to, from, size), to += size)
    PUT(a.data, a.size); PUT(&b, 4); PUT(&c, 8); PUT(&d, 8); PUT(e.data, e.size); PUT(&f, 4); PUT(&g, 8); PUT(&h, 4);
    PUT(i.data, i.size);
    return (vx_bytes){ result, (uint32_t)(to - result) };
}
VX_EXPORT(all, "bytes a, i32 b, f64 c, u64 d, bytes e, pointer f, i64 g, u32 h, bytes i -> bytes");

VX_IMPORT(i32, host_i32, "i32", int32_t x);     int32_t via_i32(int32_t x) { return host_i32(x); }
VX_IMPORT(u32, host_u32, "u32", uint32_t x);    uint32_t via_u32(uint32_t x) { return host_u32(x); }
VX_IMPORT(i64, host_i64, "i64", int64_t x);     int64_t via_i64(int64_t x) { return host_i64(x); }
VX_IMPORT(u64, host_u64, "u64", uint64_t x);    uint64_t via_u64(uint64_t x) { return host_u64(x); }
VX_IMPORT(f64, host_f64, "f64", double x);      double via_f64(double x) { return host_f64(x); }
VX_IMPORT(bytes, host_bytes, "bytes", vx_bytes x);      vx_bytes via_bytes(vx_bytes x) { return host_bytes(x); }
VX_IMPORT(pointer, host_pointer, "pointer", void *x);   void *via_pointer(void *x) { return host_pointer(x); }
VX_IMPORT(none, host_none, "none", void);       void via_none(void) { host_none(); }
VX_EXPORT(via_i32, "i32 -> i32");
VX_EXPORT(via_u32, "u32 -> u32");
VX_EXPORT(via_i64, "i64 -> i64");
VX_EXPORT(via_u64, "u64 -> u64");
VX_EXPORT(via_f64, "f64 -> f64");
VX_EXPORT(via_bytes, "bytes -> bytes");
VX_EXPORT(via_pointer, "pointer -> pointer");
VX_EXPORT(via_none, "-> none");

/* Whether the callee-saved registers, and what is on the stack, survive a callback. */
VX_IMPORT(bytes, mixed, "u32 a, bytes b, f64 c, i64 d", uint32_t a, vx_bytes b, double c, int64_t d);
vx_bytes mix(uint32_t n)
{
    uint32_t sum = 0;
    double f = n;
    vx_bytes last = { 0, 0 };

    for (uint32_t i = 0; i < n; i++) {
        last = mixed(i, (vx_bytes){ (uint8_t *)&sum, 4 }, f / (i + 1), -(int64_t)i);
        sum += last.size;
        f += 0.5;
    }
    return last;
}
VX_EXPORT(mix, "u32 -> bytes");

VX_IMPORT(u32, never, "u32", uint32_t x);

uint32_t alignment(void) { return (uint32_t)(uintptr_t)__builtin_frame_address(0) & 15; }
VX_EXPORT(alignment, "-> u32");

/* Not exported. */
uint32_t plain(uint32_t a, vx_bytes b) { return a + b.size; }
"""

ECHO: dict[str, Any] = {f"host_{kind}": lambda x: x for kind in ("i32", "u32", "i64", "u64", "f64", "bytes", "pointer")}


def instantiate(
    engine: str, compiler: CompilerName = "auto", *, callbacks: Mapping[str, Any] | None = None, **more: Any
) -> Plugin:
    functions = {**ECHO, "host_none": lambda: None, "mixed": lambda a, b, c, d: b"", **(callbacks or {}), **more}
    box = Sandbox(engine=engine, memory="32M", timeout=60)
    return box.instantiate(compiled_plugin(VALUES, compiler), functions)


CASES: list[tuple[str, list[Any]]] = [
    ("i32", [0, 1, -1, 2**31 - 1, -(2**31), True]),
    ("u32", [0, 1, 2**32 - 1, 2**31]),
    ("i64", [0, -1, 2**63 - 1, -(2**63), 1 << 32, 0x1234_5678_9ABC_DEF0]),
    ("u64", [0, 2**64 - 1, 1 << 63, 0xFEDC_BA98_7654_3210]),
    ("f64", [0.0, -0.0, 1.5, -1e308, 5e-324, float("inf"), 3]),
    ("bytes", [b"", b"x", bytes(range(256)), b"a" * 15, b"b" * 16, b"c" * 17, b"d" * 20_000]),
]


@pytest.mark.parametrize("compiler", ["zig", "gcc"])
def test_values_of_every_type_go_in_and_come_out_as_they_are(engine_name: str, compiler: CompilerName) -> None:
    with instantiate(engine_name, compiler) as plugin:
        for name, values in CASES:
            for value in values:
                for function in (name, f"via_{name}"):
                    found = plugin.call(function, value)
                    assert found == value
                    assert type(found) is (bytes if name == "bytes" else float if name == "f64" else int)
                    if name == "f64":
                        assert struct.pack("<d", found) == struct.pack("<d", value)
        assert plugin.call("nothing") is None
        assert plugin.call("via_none") is None


def test_arguments_of_all_types_together_keep_their_places(engine_name: str) -> None:
    with instantiate(engine_name) as plugin:
        here = plugin.symbol("all")
        for a, e, i in ((b"", b"", b""), (b"one", bytes(range(17)), b"the third"), (b"x" * 100, b"", b"y")):
            found = plugin.call("all", a, -5, 1.25, 2**63 + 7, e, here, -(2**40), 0xDEAD_BEEF, i)
            expected = struct.pack("<idQ", -5, 1.25, 2**63 + 7), struct.pack("<IqI", here.address, -(2**40), 0xDEADBEEF)
            assert found == a + expected[0] + e + expected[1] + i


def test_anything_that_has_bytes_is_a_byte_string(engine_name: str) -> None:
    with instantiate(engine_name) as plugin:
        for value in (
            bytearray(b"abcd"),
            memoryview(b"xabcdx")[1:5],
            memoryview(struct.pack("<I", 0x64636261)).cast("I"),
        ):
            assert plugin.call("bytes", value) == b"abcd"


def test_callbacks_find_their_arguments_and_leave_the_callers_registers_alone(engine_name: str) -> None:
    seen: list[tuple[Any, ...]] = []

    def mixed(*arguments: Any) -> bytes:
        seen.append(arguments)
        return b"r" * (10 * len(seen))

    with instantiate(engine_name, mixed=mixed) as plugin:
        assert plugin.call("mix", 5) == b"r" * 50
    f, total, expected = 5.0, 0, []
    for i in range(5):
        expected.append((i, total.to_bytes(4, "little"), f / (i + 1), -i))
        total += 10 * (i + 1)
        f += 0.5
    assert seen == expected


def test_imports_that_nobody_calls_need_not_be_there(engine_name: str) -> None:
    with instantiate(engine_name) as plugin:
        assert "never" not in plugin.imports
        assert "mixed" in plugin.imports
    with pytest.raises(PluginError, match=r"imports host_i32 \(i32 -> i32\), and callbacks has no such function"):
        Sandbox(engine=engine_name).instantiate(compiled_plugin(VALUES))


def test_a_host_can_say_with_which_signature_a_function_is_imported(engine_name: str) -> None:
    with instantiate(engine_name, host_u32=("u32 x -> u32", lambda x: x + 1)) as plugin:
        assert plugin.call("via_u32", 1) == 2
    with pytest.raises(PluginError, match="imports host_u32 as u32 -> u32; the host has it as bytes -> u32"):
        instantiate(engine_name, host_u32=("bytes -> u32", len))


def test_any_function_with_a_symbol_can_be_called_by_a_signature_of_the_hosts(engine_name: str) -> None:
    with instantiate(engine_name) as plugin:
        assert plugin.function("plain", "u32, bytes -> u32")(40, b"ab") == 42
        with pytest.raises(vx32py.NoSuchFunction, match="exports no function 'plain'; it exports "):
            plugin.call("plain", 1, b"")
        with pytest.raises(vx32py.NoSuchFunction, match="no symbol 'absent'"):
            plugin.function("absent", "-> none")
        with pytest.raises(ValueError, match="no type 'u8'"):
            plugin.function("plain", "u8 -> none")
        assert plugin.function("u32")(7) == 7


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "message"),
    [
        ("u32", (), TypeError, r"u32 takes 1 arguments \(u32 -> u32\), not 0"),
        ("u32", (1, 2), TypeError, r"not 2"),
        ("u32", (-1,), ValueError, r"u32: argument 1 is u32, 0 to 4294967295, not -1"),
        ("u32", (2**32,), ValueError, r"not 4294967296"),
        ("u32", (1.0,), TypeError, r"u32: argument 1 is u32, not float"),
        ("u32", ("1",), TypeError, r"not str"),
        ("u32", (None,), TypeError, r"not NoneType"),
        ("i32", (2**31,), ValueError, r"i32: argument 1 is i32, -2147483648 to 2147483647, not 2147483648"),
        ("i64", (2**63,), ValueError, r"i64"),
        ("u64", (-1,), ValueError, r"u64"),
        ("f64", ("x",), TypeError, r"f64: argument 1 is f64, not str"),
        ("bytes", ("text",), TypeError, r"bytes: argument 1 is bytes, not str"),
        ("bytes", (5,), TypeError, r"not int"),
        ("pointer", (b"",), TypeError, r"pointer: argument 1 is pointer, not bytes"),
        ("pointer", (2**32,), ValueError, r"pointer"),
        ("all", (b"", 1, 1.0, 1, "e", 0, 1, 1, b""), TypeError, r"all: argument 5 \(e\) is bytes, not str"),
        ("all", (b"", 1, 1.0, 1, b"", 0, 1, -1, b""), ValueError, r"all: argument 8 \(h\) is u32, 0 to"),
    ],
)
def test_arguments_that_do_not_fit_are_named_before_anything_runs(
    name: str, arguments: tuple[Any, ...], kind: type[Exception], message: str
) -> None:
    with instantiate("auto") as plugin:
        generation = plugin.generation
        with pytest.raises(kind, match=message):
            plugin.call(name, *arguments)
        assert plugin.call("u32", 3) == 3
        assert plugin.generation == generation


@pytest.mark.parametrize(
    ("kind", "value", "error", "message"),
    [
        ("u32", -1, ValueError, "callback host_u32: its result is u32, 0 to 4294967295, not -1"),
        ("u32", None, TypeError, "callback host_u32: its result is u32, not NoneType"),
        ("f64", "x", TypeError, "callback host_f64: its result is f64, not str"),
        ("bytes", "x", TypeError, "callback host_bytes: its result is bytes, not str"),
        ("pointer", b"", TypeError, "callback host_pointer: its result is pointer, not bytes"),
    ],
)
def test_a_callback_that_returns_the_wrong_thing_is_named(
    kind: str, value: object, error: type[Exception], message: str
) -> None:
    with instantiate("auto", callbacks={f"host_{kind}": lambda x: value}) as plugin:
        with pytest.raises(error, match=message):
            plugin.call(f"via_{kind}", b"" if kind == "bytes" else 0)
        assert plugin.call("u32", 3) == 3


def test_the_stack_is_aligned_as_the_abi_says(engine_name: str) -> None:
    plugin: Plugin
    found = set()
    with instantiate(engine_name, host_u32=lambda x: plugin.call("alignment")) as plugin:
        plugin.call("bytes", b"x")
        found |= {plugin.call("alignment"), plugin.call("via_u32", 0)}
    assert found == {8}  # EBP behind the return address


@pytest.mark.ldt
def test_a_byte_string_may_fill_the_memory_and_no_more() -> None:
    data = random.Random(1).randbytes(1 << 20) * 100
    path = compiled_plugin(EXAMPLE, optimise="-O2")
    with Sandbox(engine="jit", memory="120M").instantiate(path, {"found": lambda x: 1}) as plugin:
        before = plugin.space.mapped
        assert plugin.call("crc32", data) == zlib.crc32(data)
        assert plugin.space.mapped == before  # nothing of it stays
        with pytest.raises(vx32py.LimitExceeded, match="of memory") as caught:
            plugin.call("crc32", data + data)
        assert caught.value.limit == "memory"
        assert any("crc32" in note for note in caught.value.__notes__)
        assert plugin.call("crc32", b"abc") == zlib.crc32(b"abc")


def test_byte_strings_of_every_length_around_the_stacks_share(engine_name: str) -> None:
    with instantiate(engine_name) as plugin:
        share = plugin.stack_share
        mapped = plugin.space.mapped
        for size in (share - 16, share - 1, share, share + 1, 3 * share):
            data = random.Random(size).randbytes(size)
            assert plugin.call("bytes", data) == data
            assert plugin.call("all", b"q", 1, 1.0, 1, b"", None, 1, 1, data[:700])[-700:] == data[:700]
        assert plugin.space.mapped - mapped <= 2 << 20


def test_long_byte_strings_of_changing_lengths_and_depths_do_not_get_into_each_others_way(engine_name: str) -> None:
    """Where they are kept grows, shrinks and is used by calls within calls."""
    rng = random.Random(3)
    longest = 300_000 if engine_name == "jit" else 60_000

    def data() -> bytes:
        return rng.randbytes(rng.choice((0, 5, 17_000, 40_000, 66_000, longest)))

    def deeper(given: bytes) -> bytes:
        for _ in range(2):
            inner = data()
            assert plugin.call("bytes", inner) == inner
        return given[::-1]

    plugin: Plugin
    with instantiate(engine_name, host_bytes=deeper) as plugin:
        mapped = plugin.space.mapped
        for _ in range(20 if engine_name == "jit" else 4):
            outer = data()
            assert plugin.call("via_bytes", outer) == outer[::-1]
            assert plugin.call("bytes", outer) == outer
            assert plugin._arena.mark() == (0, 0)  # nothing is in use
        assert plugin.space.mapped - mapped <= 4 << 20


# -- callbacks and exceptions ----------------------------------------------------------------------------------------


def test_an_exception_of_a_callbacks_arrives_with_its_traceback(engine_name: str) -> None:
    def fails(x: int) -> int:
        raise KeyError(f"no {x}")

    with instantiate(engine_name, host_u32=fails) as plugin:
        for _ in range(3):
            with pytest.raises(KeyError, match="no 5") as caught:
                plugin.call("via_u32", 5)
            assert [frame.name for frame in traceback.extract_tb(caught.tb)][-1] == "fails"
            assert plugin.call("u32", 6) == 6


def test_a_callback_may_call_the_plugin_again(engine_name: str) -> None:
    plugin: Plugin

    def factorial(x: int) -> int:
        return 1 if x == 0 else x * int(plugin.call("via_u32", x - 1))

    with instantiate(
        engine_name, host_u32=factorial, host_bytes=lambda x: plugin.call("via_u32", len(x)).to_bytes(4)
    ) as plugin:
        assert plugin.call("via_u32", 8) == 40320
        assert plugin.call("via_bytes", b"12345") == (120).to_bytes(4)
        assert plugin.generation == 0


def test_floating_point_state_survives_a_call_within_a_callback(engine_name: str) -> None:
    plugin: Plugin
    with instantiate(
        engine_name, mixed=lambda a, b, c, d: plugin.call("bytes", str(plugin.call("f64", c)).encode())
    ) as plugin:
        assert plugin.call("mix", 3) == str((3 + 0.5 + 0.5) / 3).encode()


def test_an_exception_passes_through_calls_within_calls(engine_name: str) -> None:
    plugin: Plugin

    def deeper(x: int) -> int:
        if x == 0:
            raise LookupError("bottom")
        return int(plugin.call("via_u32", x - 1))

    with instantiate(engine_name, host_u32=deeper) as plugin:
        with pytest.raises(LookupError, match="bottom"):
            plugin.call("via_u32", 4)
        assert plugin.call("u32", 1) == 1


def test_a_call_cannot_go_on_when_one_within_it_has_failed(engine_name: str) -> None:
    plugin: Plugin

    def swallows(x: int) -> int:
        with pytest.raises(ZeroDivisionError):
            plugin.call("via_i32", 1)
        with pytest.raises(PluginError, match="has not come back"):
            plugin.call("u32", 1)
        return 5

    with instantiate(engine_name, host_u32=swallows, host_i32=lambda x: x // 0) as plugin:
        with pytest.raises(
            PluginError, match="host_u32: the plug-in was called in there, and that call has not come back"
        ):
            plugin.call("via_u32", 1)
        assert plugin.call("u32", 1) == 1


def test_endless_recursion_through_callbacks_ends(engine_name: str) -> None:
    plugin: Plugin
    with instantiate(engine_name, host_u32=lambda x: plugin.call("via_u32", x)) as plugin:
        with pytest.raises(RecursionError):
            plugin.call("via_u32", 1)
        assert plugin.call("u32", 1) == 1


# -- threads ---------------------------------------------------------------------------------------------------------


def test_calls_from_several_threads_take_turns() -> None:
    path = compiled_plugin(EXAMPLE)
    results: list[bool] = []
    with Sandbox().instantiate(path, {"found": lambda x: 1}) as plugin:

        def work(seed: int) -> None:
            data = random.Random(seed).randbytes(3000)
            found = {(plugin.call("crc32", data), plugin.call("search", data, data[5:9]) > 0) for _ in range(50)}
            results.append(found == {(zlib.crc32(data), True)})

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [True] * 4


def test_many_plugins_work_at_once() -> None:
    path = compiled_plugin(EXAMPLE)
    box = Sandbox(memory="8M")
    module = vx32py.Module.from_file(path)
    plugins = [box.instantiate(module, {"found": lambda x: 1}) for _ in range(6)]
    try:
        for number, plugin in enumerate(plugins):
            plugin.call("add", bytes([number]))
        assert [plugin.call("sum") for plugin in plugins] == [zlib.crc32(bytes([n])) for n in range(6)]
    finally:
        for plugin in plugins:
            plugin.close()


def test_a_plugin_that_nobody_wants_any_more_goes() -> None:
    plugin = instantiate("auto")
    gone = weakref.ref(plugin)
    del plugin
    gc.collect()
    assert gone() is None


# -- pointers --------------------------------------------------------------------------------------------------------


def test_pointers_are_checked_before_anything_is_read(engine_name: str) -> None:
    with instantiate(engine_name) as plugin:
        code = plugin.symbol("all")
        with pytest.raises(vx32py.MemoryFault):
            code.write(b"x")
        end = plugin.module.end
        last = plugin.pointer(end - 4)
        assert last.bytes(4) == last.unpack("4s")[0]
        for read in (
            lambda: last.bytes(5), (last + 1).read_u32, last.read_u64, last.read_i64, last.read_f64,
            lambda: plugin.pointer(0).read_u8(), lambda: last.bytes(1 << 31), lambda: last.unpack("<5B"),
            lambda: plugin.pointer(2**32 - 1).read_u16(), lambda: last.write(b"12345"), lambda: last.write_u64(1),
        ):  # fmt: skip
            with pytest.raises(vx32py.MemoryFault):
                read()
        with pytest.raises(ValueError, match="size must be 0 or more"):
            last.bytes(-1)
        for address in (-1, 1 << 32):
            with pytest.raises(ValueError, match="an address is"):
                plugin.pointer(address)
            with pytest.raises(ValueError, match="an address is"):
                code + (address - code.address)


def test_pointers_read_and_write_what_they_say(engine_name: str) -> None:
    with Sandbox(engine=engine_name).instantiate(compiled_plugin(EXAMPLE), {"found": lambda x: 1}) as plugin:
        table = plugin.call("lookup")
        assert isinstance(table, GuestPointer)
        assert table == plugin.symbol("table")
        assert table.unpack("<3I") == (0, 0x77073096, 0xEE0E612C)
        other = table + 16
        assert (other - table, other - 16, other > table, bool(table), int(table)) == (
            16,
            table,
            True,
            True,
            table.address,
        )
        assert hash(other - 16) == hash(table)
        assert not plugin.pointer(0)
        other.write_u32(0xFFFF_FFFE)
        assert (other.read_u32(), other.read_i32(), other.read_u16(), other.read_u8()) == (2**32 - 2, -2, 0xFFFE, 0xFE)
        other.write_u64(2**64 - 3)
        assert (other.read_u64(), other.read_i64()) == (2**64 - 3, -3)
        other.write_f64(-2.5)
        assert (other.read_f64(), other.bytes(8)) == (-2.5, struct.pack("<d", -2.5))
        other.write_pointer(table)
        assert other.read_pointer() == table
        other.write_pointer(None)
        assert not other.read_pointer()
        other.pack("HBx", 513, 7)
        assert other.bytes(4) == b"\1\2\7\0"
        other.write_u16(0x4241)
        other.write_u8(0x58)
        (other + 2).write(b"CD\0")
        assert other.string() == b"XBCD"
        with pytest.raises(ValueError, match="no end of string within 3 bytes"):
            other.string(most=3)


def test_a_pointer_from_before_a_reset_is_refused(engine_name: str) -> None:
    with instantiate(engine_name) as plugin:
        pointer = plugin.symbol("all")
        later = pointer + 4
        plugin.reset()
        for use in (pointer.read_u32, later.read_u8, lambda: plugin.call("pointer", pointer)):
            with pytest.raises(vx32py.StalePointer, match="before the plug-in was reset"):
                use()
        assert plugin.call("pointer", plugin.symbol("all")) == plugin.symbol("all")
    with pytest.raises(vx32py.PluginClosed):
        pointer.read_u8()


def test_a_pointer_into_another_plugin_is_refused(engine_name: str) -> None:
    with instantiate(engine_name) as one, instantiate(engine_name) as other:
        with pytest.raises(ValueError, match="pointer: argument 1: the pointer is another plug-in's"):
            one.call("pointer", other.symbol("all"))
        with pytest.raises(ValueError, match="two plug-ins'"):
            one.symbol("all") - other.symbol("all")
        assert one.symbol("all") != other.symbol("all")
    assert sys.getrefcount(one) < 10
