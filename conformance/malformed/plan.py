"""Sequences of system calls with random arguments: a function of the seed and the number, made before anything runs.

What an argument is drawn from follows from the name that the handler has for it: descriptors, paths, sizes, pointers to
structures that are random themselves. Now and then it is drawn from something else.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

from conformance.malformed.elf import PAGE, PT_GNU_STACK, Image, Part, R, W, X
from vx32py import Module, SystemCalls
from vx32py._loader import plan

#: The guest: a system call and a breakpoint; strings; room for structures; a page that nothing may touch, between gaps; a
#: page with nothing behind it.
CODE: Final = 0x0804_8000
STRINGS: Final = 0x0804_9000
SLOTS: Final = 0x0804_A000
SLOT: Final = 0x400
SLOT_COUNT: Final = 16
SENTINEL: Final = 0x0806_0000
EDGE: Final = 0x0806_4000
MEMORY: Final = 4 << 20
#: The world's directory on the host, put in when the guest is given a path.
ROOT: Final = b"@ROOT@"
OPEN_FILES: Final = 12


@dataclass(frozen=True)
class Call:
    """A call: what is stored in guest memory before it, its number and its arguments."""

    name: str
    number: int
    arguments: tuple[int, ...]
    stores: tuple[tuple[int, bytes], ...]

    def __str__(self) -> str:
        words = ", ".join(f"{word:#x}" for word in self.arguments)
        stored = "; ".join(f"{address:#x}: {data[:48]!r}" for address, data in self.stores)
        return f"{self.name} {self.number:#x}({words})" + (f" with {stored}" if stored else "")


@dataclass(frozen=True)
class Calls:
    """A sequence of calls by one process, and what that process is given. ``timed``: it has the host's clock.
    ``limited``: it has a time limit, though nothing should take that long."""

    linux: bool
    timed: bool
    limited: bool
    stdin: str
    stdout: str
    calls: tuple[Call, ...]

    @property
    def waits(self) -> bool:
        """Whether how it goes depends on the host's time."""
        return self.timed or self.stdin == "open pipe" or self.stdout == "pipe"

    def describe(self) -> str:
        """The sequence, a call a line."""
        kind = "linux" if self.linux else "vx"
        clock = "the host's clock" if self.timed else "a made-up clock"
        head = f"{kind}, {clock}, stdin {self.stdin}, stdout {self.stdout}"
        return "\n".join((head, *(f"  {index}: {call}" for index, call in enumerate(self.calls))))


@cache
def guest(linux: bool) -> bytes:
    """The program that makes the calls."""
    trap = bytes.fromhex("cd80cc" if linux else "0f05cc")
    parts = [
        Part(CODE, trap, R | X),
        Part(STRINGS, b"read-only\0" * 20, R),
        Part(SLOTS, b"", R | W, SLOT * SLOT_COUNT),
        Part(SENTINEL, bytes(range(256)) * 16, R | W),
        Part(EDGE, b"", R | W, PAGE),
    ]
    return Image(parts, CODE, markers=[PT_GNU_STACK] if linux else []).pack()


@cache
def _table(linux: bool) -> tuple[tuple[int, str, tuple[str, ...]], ...]:
    table = SystemCalls.linux() if linux else SystemCalls.vx()
    return tuple((entry.number, entry.name, entry.parameters) for entry in table)


@cache
def _addresses(linux: bool) -> tuple[int, ...]:
    """Where pointers go wrong, and where they had better not be right."""
    layout = plan(Module.from_bytes(guest(linux)), MEMORY)
    return (
        0, 1, 4, 0xFFF, PAGE, 0xFFFF, 0x1_0000, CODE, CODE + 1, CODE - 8, CODE + PAGE - 2, STRINGS, STRINGS + 0xFF0,
        SLOTS - 2, SLOTS + SLOT * SLOT_COUNT - 2, EDGE + PAGE - 1, EDGE + PAGE - 4, EDGE + PAGE - 8, EDGE + PAGE,
        layout.stack_start, layout.stack_start - 4, layout.stack_end - 4, layout.stack_end - 1, layout.stack_end,
        layout.heap, layout.heap + 5, layout.heap + PAGE, layout.heap + (1 << 20), layout.heap_limit,
        layout.heap_limit - PAGE, layout.limit - 1, layout.limit - 4, layout.limit - PAGE, layout.limit, layout.limit + 1,
        layout.limit + PAGE, 0x4000_0000, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_F000, 0xFFFF_FFF0,
        0xFFFF_FFFC, 0xFFFF_FFFF,
    )  # fmt: skip


SIZES: Final = (
    0, 1, 2, 3, 4, 7, 8, 12, 16, 20, 64, 100, 255, 256, 1000, 4095, 4096, 4097, 8192, 65535, 65536, 65537, 1 << 20,
    (1 << 20) + 1, 1 << 22, 0x7FFF_EFFF, 0x7FFF_F000, 0x7FFF_F001, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_F000,
    0xFFFF_FFFE, 0xFFFF_FFFF,
)  # fmt: skip
DESCRIPTORS: Final[tuple[int, ...]] = (
    *range(10), *range(6), OPEN_FILES - 1, OPEN_FILES, OPEN_FILES + 1, 63, 64, 1023, 1024, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000,
    0xFFFF_FF9C, 0xFFFF_FFFE, 0xFFFF_FFFF,
)  # fmt: skip
SECONDS: Final = (0, 0, 0, 1, 2, 60, 0x7FFF_FFFE, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x7FC0_0000, 0xFFF0_0000)
FRACTIONS: Final = (0, 0, 1, 1000, 999_999, 10**6, 999_999_999, 10**9, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)

#: Names in the guest's world, and beyond it.
PATHS: Final = (
    b"/ro/a.txt", b"/ro", b"/ro/", b"/ro/sub/b.txt", b"/ro/sub", b"/ro/out", b"/ro/up", b"/ro/loop", b"/ro/fifo", b"/ro/etc",
    b"/rw/f1", b"/rw", b"/rw/d1", b"/rw/d1/f2", b"/rw/new", b"/rw/new2", b"/rw/d2", b"/rw/d1/../f1", b"/rw/out", b"/rw/s",
    b"/rw/inner", b"/rw/inner/a.txt", b"/rw/inner/new", b"/mem", b"/deep/in/mem", b"/deep", b"/deep/in", b"/", b".", b"..",
    b"", b"a.txt", b"f1", b"d1", b"../rw/f1", b"/rw/..", b"/rw/.", b"/rw/d1/.", b"/rw/d1/..", b"/rw/f1/", b"/rw/f1/x",
    b"../../../../../../canary/secret", b"/ro/../canary/secret", b"/rw/../canary/secret", b"/../canary/secret",
    ROOT + b"/canary/secret", ROOT + b"/canary", b"/ro/out/x", b"/ro/etc/passwd", b"/rw/out/inner", b"/proc/self/mem",
    b"/proc/self/fd/0", b"/dev/null", b"/dev/zero", b"/etc/passwd", b"/rw/d1/" + b"x" * 255, b"/rw/" + b"x" * 256,
    b"/rw/" + b"../rw/" * 200 + b"f1", b"/" * 4000, b"a/" * 2040, b"x" * 4095, b"x" * 4096, b"x" * 5000, b"/rw/\xff\xfe",
    b"/rw/\xe2\x82", b"/rw/gr\xc3\xbc\xc3\x9f", b"/rw/new\nline", b"/rw/a\0b", b"/ro/caller\xff", b"/ro/program", b"/ro/broken",
    b"/ro/script", b"/rw/program", b"//rw//f1", b"/./rw/./f1", b"/rw/loop2/x",
)  # fmt: skip
#: What the calls that end or replace the process are weighed against all others.
_RARE: Final = {"exit": 0.1, "exit_group": 0.1, "execve": 0.7, "exec": 0.7, "kill": 0.3, "tkill": 0.2, "tgkill": 0.2}


def sequence(seed: int, number: int) -> Calls:
    """The sequence with this number."""
    rng = random.Random(f"{seed}:{number}:calls")  # noqa: S311 - reproducible, not secret
    linux = rng.random() < 0.65
    drawer = _Drawer(rng, linux)
    calls = [drawer.opening() for _ in range(rng.choice((0, 0, 1, 2, 4)))]
    calls += [drawer.call() for _ in range(rng.randint(1, 30 - len(calls)))]
    stdin = rng.choices(("bytes", "nothing", "file object", "open pipe", "closed pipe", "file"), (6, 3, 3, 0.3, 2, 3))[
        0
    ]
    stdout = rng.choices(("captured", "file object", "discarded", "file", "pipe"), (6, 3, 1, 3, 0.3))[0]
    return Calls(linux, rng.random() < 0.04, rng.random() < 0.1, stdin, stdout, tuple(calls))


class _Drawer:
    """Draws calls and their arguments."""

    def __init__(self, rng: random.Random, linux: bool) -> None:
        self._rng = rng
        self._linux = linux
        self._entries = _table(linux)
        self._weights = [_RARE.get(name, 1.0) for _, name, _ in self._entries]
        self._stores: list[tuple[int, bytes]] = []

    def call(self) -> Call:
        """Any call."""
        rng = self._rng
        self._stores = []
        if rng.random() < 0.06:
            number = rng.choice((0, 17, 102, 117, 511, 512, 513, rng.randrange(600), 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF,
                                 rng.getrandbits(32)))  # fmt: skip
            known = {entry[0]: entry for entry in self._entries}
            number, name, names = known.get(number, (number, "unknown", ("",) * 6))
        else:
            number, name, names = rng.choices(self._entries, self._weights)[0]
        arguments = [self._argument(one, name) for one in names]
        arguments += [self._word() for _ in range((6 if self._linux else 5) - len(arguments))]
        return Call(name, number, tuple(arguments), tuple(self._stores))

    def opening(self) -> Call:
        """A call that succeeds and gives later ones something to work on."""
        rng, linux, self._stores = self._rng, self._linux, []
        numbers = {name: number for number, name, _ in self._entries}
        match rng.randrange(5):
            case 0:
                name, first = "open", (self._path(rng.choice((b"/rw/f1", b"/rw/new", b"/ro/a.txt", b"/mem", b"/ro"))),)
                flags = rng.choice((0, 1, 2, 0o102 if linux else 0x12, 0o1102 if linux else 0x92))
                arguments: tuple[int, ...] = (*first, flags, 0o644)
            case 1:
                name, arguments = "pipe", (self._slot(b""),)
            case 2:
                name, arguments = "fork", ()
            case 3 if linux:
                name = "mmap2"
                arguments = (0, rng.choice((PAGE, 3 * PAGE, 0x10_0000)), rng.choice((1, 3, 7)), 0x22, 0xFFFF_FFFF, 0)
            case _:
                name, arguments = "mkdir", (self._path(b"/rw/d2"), 0o755)
        padded = (*arguments, *(0,) * (6 if linux else 5))[: 6 if linux else 5]
        return Call(name, numbers[name], padded, tuple(self._stores))

    # -- arguments -----------------------------------------------------------------------------------------------------

    def _argument(self, name: str, call: str) -> int:
        if self._rng.random() < 0.1:
            return self._word()
        draw = _Drawer.program if (call, name) in _PROGRAMS else _BY_NAME.get(name.strip("_"))
        if draw is None:
            return self._pointer(self._words(8)) if name.endswith("_out") else self._word()
        return draw(self)

    def _word(self) -> int:
        """Anything."""
        rng = self._rng
        match rng.randrange(6):
            case 0:
                return rng.choice(SIZES)
            case 1:
                return rng.choice(_addresses(self._linux))
            case 2:
                return self.descriptor()
            case 3:
                return rng.getrandbits(32)
            case 4:
                return rng.randrange(10)
            case _:
                return 1 << rng.randrange(32)

    def _slot(self, data: bytes) -> int:
        """Store a structure in a slot; its address."""
        address = SLOTS + SLOT * self._rng.randrange(SLOT_COUNT)
        if data:
            self._stores.append((address, data))
        return address

    def _pointer(self, data: bytes) -> int:
        """A pointer to a structure; or to the end of what is mapped with a part of it; or nowhere."""
        rng = self._rng
        luck = rng.random()
        if luck < 0.02:  # strings without an end, arrays without a zero
            self._stores.append((SLOTS, rng.choice((b"n", b"\1", b"\xff")) * SLOT * SLOT_COUNT))
            return SLOTS
        if luck < 0.7:
            return self._slot(data)
        if luck < 0.8 and data:
            room = rng.randrange(min(len(data), PAGE)) + 1
            self._stores.append((EDGE + PAGE - room, data[:room]))
            return EDGE + PAGE - room
        return rng.choice(_addresses(self._linux))

    def _words(self, most: int) -> bytes:
        """A structure of random words."""
        rng = self._rng
        kind = rng.randrange(3)
        words = [
            0 if kind == 0 else rng.choice((*SIZES, *SECONDS)) if kind == 1 else self._word()
            for _ in range(rng.randint(1, most))
        ]
        return struct.pack(f"<{len(words)}I", *words)

    def _path(self, name: bytes | None = None) -> int:
        rng = self._rng
        text = rng.choice(PATHS) if name is None else name
        if len(text) > SLOT * 2 or (
            name is None and rng.random() < 0.05
        ):  # at the end of what is mapped, perhaps unended
            text += rng.choice((b"\0", b""))
            at = SLOTS + SLOT * SLOT_COUNT - len(text)
            self._stores.append((at, text))
            return at
        at = SLOTS + SLOT * rng.randrange(SLOT_COUNT - 2)
        self._stores.append((at, text + b"\0"))
        return at

    def program(self) -> int:
        """The path of a program, for exec, perhaps of one that is none."""
        names = (b"/ro/caller\xff", b"/ro/program", b"/ro/broken", b"/ro/script", b"/rw/program", b"/mem", b"/rw/f1")
        return self._path(self._rng.choice(names)) if self._rng.random() < 0.7 else self.path()

    def path(self) -> int:
        """A path, or a bad pointer."""
        return self._path() if self._rng.random() < 0.92 else self._pointer(b"")

    def size(self) -> int:
        """A number of bytes or pages."""
        return self._rng.choice(SIZES)

    def descriptor(self) -> int:
        """A descriptor, open or not."""
        return DESCRIPTORS[self._rng.randrange(len(DESCRIPTORS))]

    def buffer(self) -> int:
        """Where to read or write."""
        return self._pointer(self._rng.randbytes(32))

    def address(self) -> int:
        """For calls on memory: mostly whole pages."""
        value = self._rng.choice(_addresses(self._linux))
        return value & -PAGE if self._rng.random() < 0.8 else value

    def length(self) -> int:
        """For calls on memory."""
        rng = self._rng
        return rng.choice((PAGE, 2 * PAGE, 0x4000, 0x10_0000, 0x20_0000, rng.choice(SIZES)))

    def vector(self) -> int:
        """An array of struct iovec."""
        rng = self._rng
        count = rng.randint(1, 12)
        words = [word for _ in range(count) for word in (self._pointer(b"some data"), rng.choice(SIZES[:24]))]
        return self._pointer(struct.pack(f"<{2 * count}I", *words))

    def time(self) -> int:
        """A timespec or timeval, of either width."""
        rng = self._rng
        if rng.random() < 0.2:
            return 0
        seconds, fraction = rng.choice(SECONDS), rng.choice(FRACTIONS)
        if rng.random() < 0.5:
            return self._pointer(struct.pack("<II", seconds, fraction))
        return self._pointer(
            struct.pack("<IIII", seconds, rng.choice((0, 0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF)), fraction, 0)
        )

    def descriptor_set(self) -> int:
        """A bit map for select."""
        rng = self._rng
        if rng.random() < 0.3:
            return 0
        return self._pointer(
            struct.pack("<I", rng.choice((0, 1, 2, 7, 0x3F, 1 << rng.randrange(32))))
            + rng.choice((bytes(8), b"\xff" * 124))
        )

    def polled(self) -> int:
        """An array of struct pollfd; or two words for a pipe's descriptors."""
        rng = self._rng
        entries = [
            struct.pack(
                "<IHH",
                rng.choice(DESCRIPTORS),
                rng.choice((0, 1, 4, 5, 0xFFFF, rng.getrandbits(16))),
                rng.getrandbits(16),
            )
            for _ in range(rng.randint(1, 10))
        ]
        return self._pointer(b"".join(entries))

    def strings(self) -> int:
        """An array of pointers to strings, such as exec takes."""
        rng = self._rng
        words = [
            rng.choice((STRINGS, STRINGS + 9, SLOTS, CODE, EDGE + PAGE - 1)) for _ in range(rng.choice((0, 1, 3, 200)))
        ]
        if rng.random() < 0.2:
            words.append(rng.choice(_addresses(self._linux)))
        if rng.random() < 0.9:
            words.append(0)
        return self._pointer(struct.pack(f"<{len(words)}I", *words))

    def thread_area(self) -> int:
        """A struct user_desc."""
        rng = self._rng
        number = rng.choice((0xFFFF_FFFF, 6, 7, 8, 5, 9, 0, rng.getrandbits(32)))
        return self._pointer(
            struct.pack(
                "<4I",
                number,
                rng.choice(_addresses(self._linux)),
                rng.choice(SIZES),
                rng.choice((0x51, 0x28, 0, 0xFFFF_FFFF)),
            )
        )

    def block(self) -> int:
        """The arguments of old_mmap and of old_select, which are in memory."""
        rng = self._rng
        if rng.random() < 0.5:
            flags = rng.choice((0x22, 0x32, 2, 0x12))
            words = [self.address(), self.length(), rng.randrange(8), flags, self.descriptor(), 0]
        else:
            words = [rng.choice((0, 1, 8, 33, 1024, 1025)), *(self.descriptor_set() for _ in range(3)), self.time(), 0]
        return self._pointer(struct.pack("<6I", *words))

    def one_of(self, *values: int) -> int:
        """One of these, or rarely anything."""
        return self._rng.choice(values) if self._rng.random() < 0.9 else self._word()

    def flags(self) -> int:
        """Flags of any call: few bits, many bits, all bits."""
        rng = self._rng
        return rng.choice((0, 0, 1 << rng.randrange(24), 1 << rng.randrange(12) | 1 << rng.randrange(24), 0o102, 0o2102, 0o1101,
                           0o200000, 0x12, 0x92, 0x112, 0x22, 0x32, 2, 0x12, 0x10_0022, rng.getrandbits(32)))  # fmt: skip


_PROGRAMS: Final = frozenset({("exec", "path"), ("execve", "path")})


def _choice(*values: int) -> Callable[[_Drawer], int]:
    return lambda drawer: drawer.one_of(*values)


_BY_NAME: Final[dict[str, Callable[[_Drawer], int]]] = {
    **dict.fromkeys(("fd", "new_fd", "directory_fd", "old_fd", "wanted", "first", "last"), _Drawer.descriptor),
    **dict.fromkeys(("path", "new_path", "content"), _Drawer.path),
    **dict.fromkeys(
        ("buffer", "data", "status", "argument", "child_tid_out", "parent_tid_out", "word", "mask"), _Drawer.buffer
    ),
    **dict.fromkeys(("count", "size", "size_low", "offset", "offset_low", "page_offset"), _Drawer.size),
    **dict.fromkeys(("address", "new_address", "end", "stack"), _Drawer.address),
    **dict.fromkeys(("length", "old_length"), _Drawer.length),
    **dict.fromkeys(("timeout", "duration"), _Drawer.time),
    **dict.fromkeys(("readable", "writable", "exceptional"), _Drawer.descriptor_set),
    **dict.fromkeys(("fds", "fds_out"), _Drawer.polled),
    **dict.fromkeys(("argv", "envp"), _Drawer.strings),
    **dict.fromkeys(("flags", "options", "mode"), _Drawer.flags),
    "vector": _Drawer.vector,
    "descriptor": _Drawer.thread_area,
    "arguments": _Drawer.block,
    "whence": _choice(0, 1, 2, 3),
    "offset_high": _choice(0, 0, 0xFFFF_FFFF, 1, 0x7FFF_FFFF, 0x8000_0000),
    "size_high": _choice(0, 0, 0xFFFF_FFFF, 1, 0x7FFF_FFFF),
    "protection": _choice(0, 1, 2, 3, 4, 5, 7, 8),
    "command": _choice(*range(16), 1024, 1030, 1032),
    "operation": _choice(0, 1, 2, 3, 4, 5, 9, 10, 128, 137),
    "request": _choice(0x5401, 0x5413, 0x5421, 0x5402, 0),
    "option": _choice(1, 3, 4, 15, 16, 38, 39),
    "pid": _choice(0, 1, 100, 101, 102, 0xFFFF_FFFF, 0xFFFF_FF9C, 0xFFFF_FF9B, 0x8000_0000),
    "number": _choice(0, 1, 9, 13, 15, 17, 19, 32, 64, 65, 0xFFFF_FFFF),
    "action": _Drawer.buffer,
    "how": _choice(0, 1, 2, 3),
    "resource": _choice(*range(17)),
    "clock_id": _choice(*range(12), 0xFFFF_FFFF),
    "advice": _choice(*range(10)),
    "milliseconds": _choice(0, 0, 1, 100, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF),
    "seconds": _choice(*SECONDS),
    "code": _choice(0, 1, 255, 256, 0xFFFF_FFFF),
    "value": _choice(0, 0, 1, 0xFFFF_FFFF),
}
