"""The kernel's interface that Python does not have: memory protection at given addresses, and system calls by number.

Numbers and constants are those of x86-64 Linux. On another system this module can be imported, but everything in it raises
OSError.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import Any, Final

PAGE: Final = 4096

NONE: Final = 0
READ: Final = 1
WRITE: Final = 2
EXECUTE: Final = 4

MAP_SHARED: Final = 0x01
MAP_PRIVATE: Final = 0x02
MAP_PRIVATE_ANONYMOUS: Final = 0x22
MAP_FIXED: Final = 0x10
MAP_NORESERVE: Final = 0x4000
MAP_FIXED_NOREPLACE: Final = 0x10_0000
_MADV_DONTNEED: Final = 4

#: System calls, under the names that the assembly text uses, too.
CALLS: Final = {
    "SYS_READ": 0,
    "SYS_WRITE": 1,
    "SYS_RT_SIGACTION": 13,
    "SYS_RT_SIGPROCMASK": 14,
    "SYS_RT_SIGRETURN": 15,
    "SYS_PREAD64": 17,
    "SYS_GETPID": 39,
    "SYS_SIGALTSTACK": 131,
    "SYS_MODIFY_LDT": 154,
    "SYS_GETTID": 186,
    "SYS_TIMER_CREATE": 222,
    "SYS_TIMER_SETTIME": 223,
    "SYS_TIMER_DELETE": 226,
    "SYS_TGKILL": 234,
    "SYS_PREADV2": 327,
    "SYS_PWRITEV2": 328,
}


def _absent(*_: object) -> int:
    raise OSError(errno.ENOSYS, f"this is {sys.platform}, not Linux")


def _function(name: str, result: Any, *arguments: Any) -> Any:
    if sys.platform != "linux":
        return _absent
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    function.restype, function.argtypes = result, arguments or None
    return function


_ADDRESS, _INT = ctypes.c_size_t, ctypes.c_int
_mmap = _function("mmap", ctypes.c_ssize_t, _ADDRESS, ctypes.c_size_t, _INT, _INT, _INT, ctypes.c_long)
_mprotect = _function("mprotect", _INT, _ADDRESS, ctypes.c_size_t, _INT)
_madvise = _function("madvise", _INT, _ADDRESS, ctypes.c_size_t, _INT)
_ioctl = _function("ioctl", _INT, _INT, ctypes.c_ulong, ctypes.c_void_p)
_munmap = _function("munmap", _INT, _ADDRESS, ctypes.c_size_t)
_syscall = _function("syscall", ctypes.c_long)
_getauxval = _function("getauxval", ctypes.c_ulong, ctypes.c_ulong)


def _error(what: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{what}: {os.strerror(code)}")


def mmap(address: int, size: int, protection: int, flags: int) -> int:
    """Private anonymous memory; where it is. Raises OSError."""
    found = int(_mmap(address, size, protection, MAP_PRIVATE_ANONYMOUS | flags, -1, 0))
    if found == -1:
        raise _error(f"mmap of {size:#x} bytes at {address:#x}")
    return found


def mmap_into(kept: list[int], address: int, size: int, protection: int, flags: int) -> int:
    """The same, and ``kept`` has the address as soon as there is a mapping: no signal handler comes in between."""
    before = len(kept)
    tried = map(_mmap, (address,), (size,), (protection,), (MAP_PRIVATE_ANONYMOUS | flags,), (-1,), (0,))
    kept.extend(filter((-1).__ne__, tried))
    if len(kept) == before:
        raise _error(f"mmap of {size:#x} bytes at {address:#x}")
    return kept[-1]


def munmap_from(kept: list[int], size: int) -> None:
    """Remove the mapping at the last address in ``kept``, which has it no more then, if there is one. Raises OSError."""
    if not kept:
        return
    if any(map(_munmap, map(kept.pop, (-1,)), (size,))):  # in one call, as above
        raise _error(f"munmap of {size:#x} bytes")


def map_file(address: int, size: int, protection: int, file: int, offset: int) -> None:
    """Replace what is mapped there by a private mapping of a file. Raises OSError."""
    if _mmap(address, size, protection, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file, offset) == -1:
        raise _error(f"mmap of {size:#x} bytes of a file at {address:#x}")


def map_shared(address: int, size: int, protection: int, file: int, offset: int) -> None:
    """Replace what is mapped there by a shared mapping of a file. Raises OSError."""
    if _mmap(address, size, protection, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file, offset) == -1:
        raise _error(f"mmap of {size:#x} bytes of a file at {address:#x}")


def ioctl(file: int, request: int, argument: int) -> int:
    """A request to a file's driver, with the address of its argument. Raises OSError."""
    result = int(_ioctl(file, request, argument))
    if result == -1:
        raise _error(f"ioctl {request:#x}")
    return result


def mprotect(address: int, size: int, protection: int) -> None:
    """Change what may be done with pages. Raises OSError."""
    if _mprotect(address, size, protection) != 0:
        raise _error(f"mprotect of {size:#x} bytes at {address:#x}")


def forget(address: int, size: int) -> None:
    """Make mapped pages read as zeros again, and give back the memory behind them. Raises OSError."""
    if _madvise(address, size, _MADV_DONTNEED) != 0:
        raise _error(f"madvise of {size:#x} bytes at {address:#x}")


def munmap(address: int, size: int) -> None:
    """Remove pages. Raises OSError."""
    if _munmap(address, size) != 0:
        raise _error(f"munmap of {size:#x} bytes at {address:#x}")


def call(name: str, *arguments: int | ctypes.Array[ctypes.c_char] | bytes | None) -> int:
    """A system call by name; integers, and buffers whose address is passed. Raises OSError."""
    ctypes.set_errno(0)
    converted = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result = int(_syscall(ctypes.c_long(CALLS[name]), *converted))
    if result == -1:
        raise _error(name[4:].lower())
    return result


def auxiliary_value(kind: int) -> int:
    """An entry of the auxiliary vector, 0 where there is none."""
    return int(_getauxval(kind))
