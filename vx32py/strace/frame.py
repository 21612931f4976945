"""One call as the decoder sees it: its arguments by name, and the guest's memory, read with every check."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from reference.errors import MemoryFault

if TYPE_CHECKING:
    from collections.abc import Callable

    from vx32py.personality.linux.calls import Parameter

    #: ``decoder(frame, parameter, value) -> text``.
    Decoder = Callable[["Frame", Parameter, int], str]

#: How many bytes of a string, and how many elements of an array, are shown unless told.
STRING_LIMIT: Final = 32
_LONGEST_PATH: Final = 4096
_ESCAPES: Final = {0x22: '\\"', 0x5C: "\\\\", 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x0B: "\\v", 0x0C: "\\f"}


class Frame:
    """``values``: parameter → number; ``result``: None until the call has returned; ``limit``: most bytes of a string."""

    __slots__ = ("_memory", "limit", "notes", "parameters", "result", "values")

    def __init__(self, memory: Any, parameters: tuple[Parameter, ...], values: dict[str, int], limit: int) -> None:
        self._memory = memory
        self.parameters = parameters
        self.values = values
        self.limit = limit
        self.result: int | None = None
        #: What a decoder has seen before the call and wants to compare afterwards.
        self.notes: dict[str, Any] = {}

    @property
    def failed(self) -> bool:
        """Whether the call has returned with an error."""
        return self.result is not None and -4096 < self.result < 0

    def read(self, address: int, size: int) -> bytes | None:
        """Guest memory, or None where the guest has none there."""
        try:
            return bytes(self._memory.read(address, size)) if 0 <= address <= 0xFFFF_FFFF else None
        except (MemoryFault, ValueError):
            return None

    def unpack(self, layout: str, address: int) -> tuple[Any, ...] | None:
        """A little-endian structure, or None."""
        data = self.read(address, struct.calcsize("<" + layout))
        return struct.unpack("<" + layout, data) if data is not None else None

    def text(self, address: int, most: int = _LONGEST_PATH) -> tuple[bytes, bool] | None:
        """A string up to its zero byte, and whether there was one within ``most`` bytes. None where it leaves memory."""
        found = bytearray()
        while len(found) < most:
            here = address + len(found)
            piece = self.read(here, min(most - len(found), 0x1000 - here % 0x1000))
            if piece is None:
                return None
            end = piece.find(0)
            if end >= 0:
                return bytes(found + piece[:end]), True
            found += piece
        return bytes(found), False

    def path(self, address: int) -> str:
        """A path, all of it."""
        found = self.text(address)
        if found is None:
            return pointer(address)
        text, whole = found
        return quoted(text) + ("" if whole else "...")

    def string(self, address: int) -> str:
        """A string, as much as is shown of one."""
        found = self.text(address, self.limit + 1)
        if found is None:
            return pointer(address)
        text, whole = found
        return quoted(text[: self.limit]) + ("" if whole and len(text) <= self.limit else "...")

    def bytes(self, address: int, count: int, *, most: int | None = None) -> str:
        """Bytes, as many as are shown."""
        limit = self.limit if most is None else most
        shown = self.read(address, min(count, limit)) if address else None
        if shown is None:
            return pointer(address)
        return quoted(shown) + ("..." if count > limit else "")

    def array(self, address: int, count: int, layout: str, show: Callable[..., str]) -> str:
        """An array of structures: ``show(*fields)`` makes the text of one."""
        if not address:
            return "NULL"
        size = struct.calcsize("<" + layout)
        found: list[str] = []
        for index in range(min(count, self.limit)):
            fields = self.unpack(layout, address + index * size)
            if fields is None:
                if not found:
                    return pointer(address)
                return f"[{', '.join(found)}, ... /* {pointer(address + index * size)} */]"
            found.append(show(*fields))
        if count > self.limit:
            found.append("...")
        return f"[{', '.join(found)}]"


def pointer(address: int) -> str:
    """An address, or NULL."""
    return f"{address:#x}" if address else "NULL"


def signed(value: int) -> int:
    """A 32-bit word with a sign."""
    return value - (1 << 32) if value & 0x8000_0000 else value


def quoted(text: bytes) -> str:
    r"""Bytes between quotes, the unprintable ones in octal.

    >>> print(quoted(b'a"\n\x01' + b'7\xff'))
    "a\"\n\0017\377"
    """
    out = []
    for index, byte in enumerate(text):
        if byte in _ESCAPES:
            out.append(_ESCAPES[byte])
        elif 0x20 <= byte < 0x7F:
            out.append(chr(byte))
        else:
            digit_follows = index + 1 < len(text) and 0x30 <= text[index + 1] < 0x38
            out.append(f"\\{byte:03o}" if digit_follows else f"\\{byte:o}")
    return f'"{"".join(out)}"'
