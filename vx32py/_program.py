"""Programs as guests name them: a path that leads to an ELF image, with its interpreter, or to a script.

What has been read and checked is kept, for guests run the same programs again and again: a shell script of a hundred lines
may start ``sed`` a hundred times.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING, Final

from vx32py._descriptors import BytesFile, OpenFile, Status
from vx32py._errors import CallError
from vx32py._hostfile import HostFile
from vx32py._module import MAX_FILE, Module

if TYPE_CHECKING:
    from vx32py.vfs.files import Files

#: Of a script so many bytes are looked at for the path of its interpreter (BINPRM_BUF_SIZE).
_MOST_OF_SCRIPT: Final = 256
#: Scripts whose interpreters are scripts (fs/exec.c).
_MOST_SCRIPTS: Final = 5
#: So many programs are kept, and none whose file has changed within so many nanoseconds: it may change again, unnoticed.
_MOST_KEPT: Final = 64
_SETTLED: Final = 2 * 10**9

_Key = tuple[int, ...]


class Programs:
    """What guests of a sandbox have executed."""

    def __init__(self) -> None:
        self._kept: dict[tuple[_Key, ...], Module] = {}

    def find(self, files: Files, path: str, arguments: list[bytes], most: int = MAX_FILE) -> tuple[Module, list[bytes]]:
        """The program at a guest path, and the arguments that it gets: with those of a script's first line. ``most``: how
        large a file may be. Raises BadImage, and CallError as execve(2) says."""
        for _ in range(_MOST_SCRIPTS):
            file, status = _open(files, path)
            try:
                key = _key(file, status)
                kept = self._kept.get((key,)) if key else None
                head = b"" if kept is not None else _read(file, min(status.size, _MOST_OF_SCRIPT))
                if not head.startswith(b"#!"):
                    module = kept or Module.from_bytes(_read(file, _checked(status.size, most)), _name(path))
                    if kept is None and key:
                        self._keep((key,), module)
                    return self._complete(files, module, key, most), arguments
            finally:
                file.close()
            interpreter, argument = _first_line(head, status.size)
            arguments = [interpreter, *argument, os.fsencode(path), *arguments[1:]]
            path = os.fsdecode(interpreter)
        raise CallError(errno.ELOOP)

    def complete(self, files: Files, module: Module) -> Module:
        """A module with the interpreter that it needs, if there is one; else as it is. Raises BadImage."""
        try:
            return self._complete(files, module, None, MAX_FILE)
        except CallError:
            return module

    def _complete(self, files: Files, module: Module, key: _Key | None, most: int) -> Module:
        if module.is_complete:
            return module
        file, status = _open(files, module.image.interpreter)
        try:
            other = _key(file, status)
            kept = self._kept.get((key, other)) if key and other else None
            if kept is None:
                kept = module.with_interpreter(_read(file, _checked(status.size, most)))
                if key and other:
                    self._keep((key, other), kept)
            return kept
        finally:
            file.close()

    def _keep(self, key: tuple[_Key, ...], module: Module) -> None:
        while len(self._kept) >= _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = module


def _open(files: Files, path: str) -> tuple[OpenFile, Status]:
    file = files.open(path, os.O_RDONLY)
    status = file.status()
    if not stat.S_ISREG(status.mode) or not (status.mode & 0o111 or isinstance(file, BytesFile)):
        file.close()
        raise CallError(errno.EACCES)
    return file, status


def _key(file: OpenFile, status: Status) -> _Key | None:
    """What tells a file of the host, with its content, from every other one; None for a file that may change unnoticed."""
    if not isinstance(file, HostFile):
        return None
    host = os.fstat(file.fd)
    if time.time_ns() - max(host.st_ctime_ns, host.st_mtime_ns) < _SETTLED:
        return None
    return host.st_dev, host.st_ino, host.st_size, host.st_mtime_ns, host.st_ctime_ns


def _checked(size: int, most: int) -> int:
    if size > most:  # it takes the host's memory on behalf of the guest
        raise CallError(errno.ENOMEM)
    return size


def _read(file: OpenFile, size: int) -> bytes:
    data = bytearray(size)
    count = 0
    while count < size:
        done = file.read_at(memoryview(data)[count:], count)
        if not done:
            break
        count += done
    return bytes(data[:count])


def _first_line(head: bytes, size: int) -> tuple[bytes, list[bytes]]:
    """Interpreter and argument, if there is one, of a script that begins with ``head`` (fs/binfmt_script.c)."""
    line, newline, _ = head[2:].partition(b"\n")
    words = line.replace(b"\t", b" ").strip(b" ").split(b" ", 1)
    if not words[0] or 0 in line or (not newline and size > len(head) and len(words) == 1):
        raise CallError(errno.ENOEXEC)
    return words[0], [word.strip(b" ") for word in words[1:] if word.strip(b" ")]


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
