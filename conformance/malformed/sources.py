"""Valid images to spoil: made by hand, by the guest compiler, and by the host's own toolchain where there is one."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from conformance.malformed.elf import PT_GNU_STACK, Image, Part, R, W, X

CODE: Final = 0x0804_8000
DATA: Final = 0x0804_A000

#: VX: write(1, DATA, 6), then exit(7) from a function.
_VX: Final = bytes.fromhex(
    "b804000000 ba01000000 b900a00408 bb06000000 0f05"  # mov eax,4; mov edx,1; mov ecx,DATA; mov ebx,6; syscall
    "e802000000 0f05"  # call 1f; syscall
    "b801000000 ba07000000 c3"  # 1: mov eax,1; mov edx,7; ret
)
#: Linux: write(1, DATA, 6), then exit(7).
_LINUX: Final = bytes.fromhex(
    "b804000000 bb01000000 b900a00408 ba06000000 cd80"  # mov eax,4; mov ebx,1; mov ecx,DATA; mov edx,6; int 0x80
    "b801000000 bb07000000 cd80"
)
_HELLO: Final = b"hello\n"

_GUEST: Final = """
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    char *text = malloc(100);
    snprintf(text, 100, "%s %d", argc ? argv[0] : "nobody", argc);
    puts(text);
    return 7;
}
"""
_NATIVE: Final = """
int table[300] = {1, 2, 3};
__thread int own = 5;
static void leave(int code) { __asm__ volatile("int $0x80" : : "a"(1), "b"(code)); }
int used(int i) { return table[i]; }
void _start(void) { leave(used(1) + 5); }
"""


def by_hand() -> dict[str, bytes]:
    """Small images, the same on every machine."""
    symbols = [
        (b"_start", CODE, 22),
        (b"function", CODE + 29, 11),
        (b"data", DATA, 6),
        (b"_ZN3foo3barEv", CODE + 30, 0),
    ]
    parts = [Part(CODE, _VX, R | X), Part(DATA, _HELLO, R | W, 0x1800)]
    linux = [Part(CODE, _LINUX, R | X), Part(DATA, _HELLO, R | W, 0x1800)]
    position_independent = [Part(0x1000, bytes.fromhex("b801000000 ba07000000 0f05"), R | X), Part(0x2000, _HELLO, R)]
    return {
        "vx": Image(parts, CODE, symbols).pack(),
        "linux": Image(linux, CODE, symbols, markers=[PT_GNU_STACK]).pack(),
        "pie": Image(position_independent, 0x1000, [(b"start", 0x1000, 0)], e_type=3).pack(),
        "plain": Image(parts[:1], CODE).pack(),
    }


def compiled() -> dict[str, bytes]:
    """Images of compilers: a guest with its library, and static, dynamic and position-independent i386 programs."""
    from vx32py._compile import CompileError, compile_guest

    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="vx32py-malformed-") as name:
        folder = Path(name)
        guest, native = folder / "guest.c", folder / "native.c"
        guest.write_text(_GUEST)
        native.write_text(_NATIVE)
        with contextlib.suppress(CompileError):
            found["guest"] = compile_guest([guest], folder / "guest").read_bytes()
        gcc = shutil.which("gcc")
        for kind, flags in _NATIVE_KINDS.items():
            if gcc is None:
                break
            output = folder / kind
            command = [gcc, "-m32", "-nostdlib", "-O1", *flags, "-o", str(output), str(native)]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                found[f"gcc-{kind}"] = output.read_bytes()
    return found


_NATIVE_KINDS: Final = {
    "static": ("-static", "-fno-pie", "-no-pie"),
    "debug": ("-static", "-fno-pie", "-no-pie", "-g"),
    "static-pie": ("-static-pie", "-fpie"),
    "dynamic": ("-fpie", "-pie"),
}


def all_sources() -> dict[str, bytes]:
    """Everything there is here, by name."""
    return by_hand() | compiled()
