"""exec(2): another program in place of this one (/sys/src/9/port/sysproc.c, sysexec)."""

from __future__ import annotations

import os
from _blake2 import blake2b
from typing import TYPE_CHECKING, Final

from reference.errors import OutOfMemory
from reference.memory import page_ceil
from reference.traps import Access
from vx32py._errors import BadImage, CallError, LimitExceeded
from vx32py._parking import new_engine
from vx32py.plan9 import headroom, loading, memory, naming
from vx32py.plan9.aout import HEADER, Program
from vx32py.plan9.chan import OEXEC
from vx32py.plan9.errors import Ebadexec, Enovmem, Error
from vx32py.plan9.notes import Notes
from vx32py.plan9.segments import Segment, Size

if TYPE_CHECKING:
    from collections.abc import Hashable

    from reference.engine import Engine
    from vx32py._loader import Layout
    from vx32py.plan9.chan import Caller
    from vx32py.plan9.kernel import Kernel
    from vx32py.plan9.paths import Path
    from vx32py.plan9.proc import Proc

#: Of a script so many bytes are looked at for the path of its interpreter. (Plan 9 looks at 32.)
MOST_LINE: Final = 256
#: An executable may have so many bytes.
MOST_FILE: Final = 256 << 20
#: So many programs are kept: to check them anew takes time, and an engine knows their code.
_MOST_KEPT: Final = 64
_MOST_KEPT_BYTES: Final = 128 << 20
#: Of the name of a process.
_MOST_NAME: Final = 63


class Programs:
    """The programs that have been executed, by what is in their files."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Program] = {}
        #: Which of them is in a file, as long as that is the same: see :meth:`vx32py.plan9.chan.Device.stamp`.
        self._in_files: dict[Hashable, bytes] = {}

    def in_file(self, stamp: Hashable | None) -> Program | None:
        """The program of a file, if that has been executed and has not changed."""
        key = self._in_files.get(stamp) if stamp is not None else None
        found = self._kept.pop(key, None) if key is not None else None
        if key is not None and found is not None:
            self._kept[key] = found  # the one that was asked for last
        return found

    def get(self, data: bytes, name: str, stamp: Hashable | None = None) -> Program:
        """The program of an a.out, in a file with that stamp. Raises BadImage."""
        key = blake2b(data, digest_size=32).digest()
        found = self._kept.pop(key, None) or Program.from_aout(data, name)
        self._kept[key] = found
        if stamp is not None:
            self._in_files[stamp] = key
            while len(self._in_files) > _MOST_KEPT:
                del self._in_files[next(iter(self._in_files))]
        while len(self._kept) > _MOST_KEPT or sum(len(each.data) for each in self._kept.values()) > _MOST_KEPT_BYTES:
            del self._kept[next(iter(self._kept))]
        return found


async def find(
    kernel: Kernel, caller: Caller, path: str, arguments: list[bytes]
) -> tuple[Program, list[bytes], str, Path]:
    """The program at a path, its arguments, the name of the process, and where the program was found: for a script they are
    those of its first line. Raises Error."""
    name = (os.path.basename(path.rstrip("/")) or path)[:_MOST_NAME]
    program, found = await _read(kernel, caller, path, name)
    if isinstance(program, bytes):
        words = _first_line(program)
        arguments = [os.fsencode(name), *words[1:], os.fsencode(path), *arguments[1:]]
        program, found = await _read(kernel, caller, os.fsdecode(words[0]), name)
        if isinstance(program, bytes):
            raise Error(Ebadexec)
    return program, arguments, name, found


async def _read(kernel: Kernel, caller: Caller, path: str, name: str) -> tuple[Program | bytes, Path]:
    """The program in a file that a caller may execute, or the script; and where it was found. Raises Error."""
    chan = await naming.open_file(caller, path, OEXEC)
    try:
        stamp = chan.device.stamp(chan)
        known = kernel.programs.in_file(stamp)
        if known is not None:
            return known, chan.path
        data = await naming.read_all(caller, chan, MOST_FILE + 1)
        if chan.device.stamp(chan) != stamp:
            stamp = None
    finally:
        chan.close()
    if len(data) > MOST_FILE:
        raise Error(Enovmem)
    if data.startswith(b"#!"):
        return data, chan.path
    if len(data) < HEADER.size:
        raise Error(Ebadexec)
    try:
        return kernel.programs.get(data, name, stamp), chan.path
    except BadImage:
        raise Error(Ebadexec) from None


def _first_line(data: bytes) -> list[bytes]:
    """The words of a script's first line. Raises Error."""
    line, end, _ = data[2:MOST_LINE].partition(b"\n")
    words = line.split()
    if not end or not words:
        raise Error(Ebadexec)
    return words


async def execute(proc: Proc, path: str, arguments: list[bytes]) -> None:
    """Run another program; as long as this fails nothing has changed. Raises Error."""
    program, words, name, found = await find(proc.kernel, proc, path, arguments)
    try:
        layout = loading.plan(program, proc.sandbox.memory)
        proc.kernel.check_room(loading.needed(program, layout))
        headroom.require()
        engine = new_engine(proc, limit=layout.limit, budget=proc.sandbox.memory, program=program.identity)
    except BadImage:
        raise Error(Ebadexec) from None
    except (LimitExceeded, CallError, OSError):
        raise Error(Enovmem) from None
    try:
        loading.begin(engine, program, layout, words, proc.pid)
        attached = [
            each for each in proc.segments if each.kind in ("Shared", "Memory") and _fits(each, program, layout)
        ]
        for segment in attached:
            _attach_again(proc, engine, segment)
        space = memory.Memory(engine.space, program, layout)
    except BaseException as error:
        engine.close()
        engine.space.close()
        if isinstance(error, LimitExceeded | OutOfMemory | OSError):
            raise Error(Enovmem) from None
        raise
    old, before = proc.mm, proc.segments
    proc.become(engine, space)
    kept = [Segment(each.kind, each.base, Size(each.top)) if each.memory is None else each for each in attached]
    proc.segments = [*loading.segments_of(program, layout), *kept]
    for segment in before:
        if segment not in kept:
            memory.leave(segment)
        memory.drop(proc, segment, old)
    proc.fds.close_for_exec()
    proc.notes, proc.attention = Notes(), False
    proc.text, proc.args, proc.program_path = name, loading.shown(words), found


def _fits(segment: Segment, program: Program, layout: Layout) -> bool:
    return program.header.end <= segment.base and page_ceil(segment.top) <= layout.stack_start


def _attach_again(proc: Proc, engine: Engine, segment: Segment) -> None:
    """Attached segments stay. Raises OutOfMemory."""
    size = segment.top - segment.base
    if segment.memory is not None:
        engine.space.map_shared(segment.base, size, Access.RWX, segment.memory, 0)
    else:
        engine.space.map(segment.base, size, Access.RWX)
        engine.space.store(segment.base, proc.engine.space.load(segment.base, size))
