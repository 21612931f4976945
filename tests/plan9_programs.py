"""Programs of the tests: C, compiled by whatever compiles for the 386 here, linked into Plan 9's a.out; and to run them.

A program says in its status what does not hold (``check`` in plan9.h).
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

from vx32py import _compile, guest
from vx32py.plan9.aout import HEADER, MAGIC, TEXT, Program
from vx32py.plan9.kernel import Kernel
from vx32py.plan9.linking import aout_of
from vx32py.plan9.proc import Proc

LIB = Path(__file__).parent / "plan9" / "lib"
_OPTIONS = (
    "-march=i686", "-ffreestanding", "-fno-builtin", "-nostdlib", "-static", "-fno-pic", "-fno-stack-protector", "-g0",
    "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-w", f"-I{LIB}", f"-Wl,-T,{guest.PLAN9_LINKER_SCRIPT}",
    "-Wl,--build-id=none", "-Wl,-z,noexecstack", str(guest.PLAN9_CALLS), "-x", "c",
)  # fmt: skip
_COMMANDS = {
    "gcc": ("gcc", "-m32", "-no-pie", "-fcf-protection=none"),
    "zig": (sys.executable, "-m", "ziglang", "cc", "-target", "x86-freestanding-none", "-fno-sanitize=undefined"),
}


@functools.cache
def compiled(source: str, optimise: str = "-O1") -> bytes:
    """The a.out of a C program, whose text begins behind ``#include "plan9.h"``."""
    compiler = "gcc" if "gcc" in _compile.compilers() else "zig"
    with tempfile.TemporaryDirectory() as folder:
        file, output = Path(folder, "program.c"), Path(folder, "program")
        file.write_text('#include "plan9.h"\n' + source)
        command = [*_COMMANDS[compiler], optimise, *_OPTIONS, str(file), "-o", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return aout_of(output.read_bytes())


def aout(text: bytes, data: bytes = b"", bss: int = 0, entry: int = TEXT + HEADER.size, magic: int = MAGIC) -> bytes:
    """An a.out file."""
    return HEADER.pack(magic, len(text), len(data), bss, 0, entry, 0, 0) + text + data


def program(source: str) -> Program:
    """The same, ready to be started."""
    return Program.from_aout(compiled(source), "test")


def run(engine: str, source: str, *arguments: str, memory: str = "64M", processes: int = 200) -> Proc:
    """The process of a program that has ended, in a kernel with nothing else."""
    with Kernel(engine=engine, memory=memory, timeout=60, processes=processes) as kernel:
        proc = kernel.start_program(program(source), ["test", *arguments])
        kernel.wait(proc)
        return proc


def main(body: str, before: str = "") -> str:
    """A program of one function."""
    return before + "\nint main(int argc, char **argv)\n{\n" + body + "\nreturn 0;\n}\n"


def holds(engine: str, body: str, before: str = "", *, memory: str = "64M", processes: int = 200) -> None:
    """Run the body of a main that ends well if all of its checks hold."""
    status = run(engine, main(body, before), memory=memory, processes=processes).status
    assert status == "", status
