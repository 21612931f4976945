"""System calls as text, in the manner of strace. What an argument means follows from its name in the handler."""

from __future__ import annotations

import errno
from collections.abc import Callable

from reference.errors import MemoryFault
from vx32py._calls import Call, signed

#: How much of a string is shown.
MOST_SHOWN = 32
_DESCRIPTORS = frozenset({"fd", "new_fd", "old_fd", "directory_fd", "wanted", "pid", "offset", "milliseconds"})
_PATHS = frozenset({"path", "new_path", "content"})
_HEXADECIMAL = frozenset({"flags", "address", "end", "protection", "options", "request", "operation", "new_address"})
#: Results that are addresses.
_ADDRESSES = frozenset({"brk", "mmap", "mmap2", "mremap"})


class CallPrinter:
    """An observer that writes one line for each call: ``read(0, "abc", 4096) = 3``."""

    def __init__(self, write: Callable[[str], None], *, only: frozenset[str] = frozenset()) -> None:
        """``only``: names of the calls to show; all when empty."""
        self.write = write
        self.only = only
        self._before: list[str] = []

    def entered(self, call: Call) -> None:
        """Note what the call may overwrite: exec replaces the memory that its path is in."""
        self._before = [_before(call, index) for index in range(len(call.arguments))]

    def returned(self, call: Call, result: int | None) -> None:
        """Write the line."""
        if self.only and call.name not in self.only:
            return
        arguments = [text or _after(call, index, result) for index, text in enumerate(self._before)]
        prefix = f"[{call.process.pid}] " if len(call.process.family.processes) > 1 else ""
        self.write(f"{prefix}{call.name}({', '.join(arguments)}) = {_result(call, result)}")


def _before(call: Call, index: int) -> str:
    """The text of an argument that is known before the call, or nothing."""
    if call.entry is None:
        return f"{call.arguments[index]:#x}"
    name, value = call.entry.parameters[index], call.arguments[index]
    if name in _PATHS:
        return _string(call, value)
    if name == "data":
        following = call.arguments[index + 1] if index + 1 < len(call.arguments) else 0
        return _bytes(call, value, following)
    if name in _DESCRIPTORS:
        return "AT_FDCWD" if name.endswith("_fd") and signed(value) == -100 else str(signed(value))
    if name == "mode":
        return f"{value:#o}"
    if name in _HEXADECIMAL:
        return f"{value:#x}"
    if name == "buffer":
        return ""
    return str(signed(value)) if -4096 < signed(value) < 0x10000 else f"{value:#x}"


def _after(call: Call, index: int, result: int | None) -> str:
    """The text of a buffer that the call has filled."""
    value = call.arguments[index]
    return _bytes(call, value, result) if result is not None and result > 0 else f"{value:#x}"


def _result(call: Call, result: int | None) -> str:
    if result is None:
        return "?"
    if call.name in _ADDRESSES and not -4096 < result < 0:
        return f"{result & 0xFFFF_FFFF:#x}"
    return f"-{errno.errorcode[-result]}" if -result in errno.errorcode else str(result)


def _string(call: Call, address: int) -> str:
    try:
        text = call.process.memory.read_string(address, most=4096)
    except (MemoryFault, ValueError):
        return f"{address:#x}"
    return _quoted(text, len(text))


def _bytes(call: Call, address: int, count: int) -> str:
    try:
        return _quoted(call.process.memory.read(address, min(count, MOST_SHOWN + 1)), count)
    except MemoryFault:
        return f"{address:#x}"


def _quoted(text: bytes, length: int) -> str:
    shown = "".join(_character(byte) for byte in text[:MOST_SHOWN])
    return f'"{shown}"{"..." if length > MOST_SHOWN else ""}'


def _character(byte: int) -> str:
    named = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x22: '\\"', 0x5C: "\\\\"}
    return named.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}")
