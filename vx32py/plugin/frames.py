"""Frames: arguments and results of a call as they lie in guest memory and registers.

A call of an export begins with this block at ESP, whose address plus 4 is a multiple of 16, as the System V ABI for i386
(figure 2-3, and section "Function Calling Sequence") has it::

    ESP ->  return address
            where the result goes                 of a function that returns bytes
            arguments, left to right upwards
            padding to a multiple of 16
            the result: address, size             of a function that returns bytes
            short byte strings                    longer ones are in the arena

A call of an import has the same words at [ECX], without the return address.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from reference.errors import MemoryFault
from reference.registers import EAX, EDX, MASK32
from vx32py.plugin.arena import ALIGNMENT
from vx32py.plugin.errors import PluginDataError, PluginError
from vx32py.plugin.pointer import GuestPointer
from vx32py.plugin.signatures import Signature, Type

if TYPE_CHECKING:
    from reference.memory import AddressSpace
    from vx32py.plugin.plugin import Plugin

Buffer = bytes | bytearray | memoryview

_CODES: Final = {
    Type.NONE: "", Type.I32: "i", Type.U32: "I", Type.I64: "q", Type.U64: "Q", Type.F64: "d", Type.BYTES: "II",
    Type.POINTER: "I",
}  # fmt: skip
_RANGES: Final = {
    Type.I32: (-(1 << 31), (1 << 31) - 1), Type.U32: (0, MASK32), Type.I64: (-(1 << 63), (1 << 63) - 1),
    Type.U64: (0, (1 << 64) - 1), Type.POINTER: (0, MASK32),
}  # fmt: skip
_PAIR: Final = struct.Struct("<II")
_F64: Final = struct.Struct("<d")
_WORDS: Final = {kind: struct.Struct("<" + _CODES[kind]) for kind in Type}
#: All byte strings of a call together go onto the stack up to so many bytes.
MOST_ON_STACK: Final = 16 << 10
#: Of the result on the stack, with its padding.
_RESULT_BYTES: Final = 16
#: How far below ESP the return stub for f64 leaves the result.
F64_BELOW: Final = 8


class Export:
    """A function of the plug-in, with all that can be known before it is called. ``popped`` is what ESP has grown by when
    it returns."""

    __slots__ = (
        "_byte_strings", "_fixed", "_format", "_pointers", "_slot", "_types", "address", "name", "popped", "result", "signature",
    )  # fmt: skip

    def __init__(self, name: str, address: int, signature: Signature) -> None:
        self.name = name
        self.address = address
        self.signature = signature
        self.result = signature.result
        self._types = signature.types
        self._byte_strings = [i for i, kind in enumerate(self._types) if kind is Type.BYTES]
        self._pointers = [i for i, kind in enumerate(self._types) if kind is Type.POINTER]
        hidden = self.result is Type.BYTES
        self.popped = 8 if hidden else 4
        codes = "".join(_CODES[kind] for kind in self._types)
        used = struct.calcsize(f"<I{'I' * hidden}{codes}")
        self._slot = used + -(used - 4) % ALIGNMENT
        self._fixed = self._slot + _RESULT_BYTES * hidden
        self._format = struct.Struct(f"<I{'I' * hidden}{codes}{self._fixed - used}x")

    def lay_out(self, plugin: Plugin, arguments: Sequence[Any], top: int, back: int) -> tuple[int, bytes]:
        """ESP and what goes there, for a stack that is free below ``top``, a multiple of 16; ``back`` is the return address.

        Raises TypeError and ValueError for arguments that do not fit, and LimitExceeded("memory").
        """
        if len(arguments) != len(self._types):
            raise TypeError(f"{self.name} takes {len(self._types)} arguments ({self.signature}), not {len(arguments)}")
        if self._pointers:
            arguments = list(arguments)
            for i in self._pointers:
                arguments[i] = self._pointer(plugin, i, arguments[i])
        if self._byte_strings:
            return self._with_byte_strings(plugin, arguments, top, back)
        esp = self._room(top - self._fixed)
        words = (back, esp + self._slot, *arguments) if self.result is Type.BYTES else (back, *arguments)
        try:
            return esp, self._format.pack(*words)
        except (struct.error, TypeError, OverflowError) as error:
            raise self._complaint(arguments, error) from None

    def _with_byte_strings(self, plugin: Plugin, arguments: Sequence[Any], top: int, back: int) -> tuple[int, bytes]:
        data = [self._byte_string(i, arguments[i]) for i in self._byte_strings]
        total = sum(len(each) + -len(each) % ALIGNMENT for each in data)
        on_stack = total <= plugin.stack_share
        esp = self._room(top - self._fixed - (total if on_stack else 0))
        here = esp + self._fixed
        words: list[Any] = [back, esp + self._slot] if self.result is Type.BYTES else [back]
        pieces: list[Buffer] = [b""]
        strings = iter(data)
        for kind, argument in zip(self._types, arguments, strict=True):
            if kind is not Type.BYTES:
                words.append(argument)
                continue
            each = next(strings)
            size = len(each)
            if on_stack:
                words += here, size
                padding = -size % ALIGNMENT
                pieces += each, bytes(padding)
                here += size + padding
            else:
                words += plugin.put(each), size
        try:
            pieces[0] = self._format.pack(*words)
        except (struct.error, TypeError, OverflowError) as error:
            raise self._complaint(arguments, error) from None
        return esp, b"".join(pieces)

    def _room(self, esp: int) -> int:
        if esp < 0:
            raise PluginError(f"no room on its stack: it would begin at {esp}", self.name)
        return esp

    def _byte_string(self, index: int, argument: Any) -> Buffer:
        if isinstance(argument, bytes):
            return argument
        try:
            return memoryview(argument).cast("B")
        except TypeError:
            raise TypeError(
                f"{self.name}: {self.signature.describe(index)} is bytes, not {type(argument).__name__}"
            ) from None

    def _pointer(self, plugin: Plugin, index: int, argument: Any) -> Any:
        if argument is None:
            return 0
        if not isinstance(argument, GuestPointer):
            return argument
        try:
            return argument.address_in(plugin)
        except ValueError as error:
            raise type(error)(f"{self.name}: {self.signature.describe(index)}: {error}") from None

    def _complaint(self, arguments: Sequence[Any], error: Exception) -> Exception:
        return complaint(self.name, self.signature, arguments) or error

    def read_result(self, plugin: Plugin, esp: int) -> Any:
        """The result, when the function has come back and ESP was ``esp`` when it was called. Raises PluginDataError."""
        words, kind = plugin.words, self.result
        if kind is Type.NONE:
            return None
        if kind is Type.U32:
            return words[EAX]
        if kind is Type.BYTES:
            slot = read_bytes(plugin.space, self.name, "the place of its result", esp + self._slot, 8)
            address, size = _PAIR.unpack(slot)
            return read_bytes(plugin.space, self.name, "its result", address, size)
        if kind is Type.F64:
            place = esp + self.popped - F64_BELOW
            return _F64.unpack(read_bytes(plugin.space, self.name, "the place of its result", place, 8))[0]
        if kind is Type.POINTER:
            return GuestPointer(plugin, words[EAX])
        return _WORDS[kind].unpack(_PAIR.pack(words[EAX], words[EDX])[: 4 * kind.words])[0]


class Callback:
    """A function of the host's that the plug-in imports."""

    __slots__ = ("_format", "_types", "function", "hidden", "name", "signature", "size")

    def __init__(self, name: str, signature: Signature, function: Callable[..., Any]) -> None:
        self.name = name
        self.signature = signature
        self.function = function
        self.hidden = signature.result is Type.BYTES
        self._types = signature.types
        self._format = struct.Struct(f"<{'I' * self.hidden}" + "".join(_CODES[kind] for kind in self._types))
        self.size = self._format.size

    def read_arguments(self, plugin: Plugin, address: int) -> tuple[int, list[Any]]:
        """Where a byte string that it returns goes (else 0), and its arguments. Raises PluginDataError."""
        block = read_bytes(plugin.space, self.name, "its arguments", address, self.size)
        words = iter(self._format.unpack(block))
        place = next(words) if self.hidden else 0
        arguments: list[Any] = []
        for index, kind in enumerate(self._types):
            value = next(words)
            if kind is Type.BYTES:
                value = read_bytes(plugin.space, self.name, self.signature.describe(index), value, next(words))
            elif kind is Type.POINTER:
                value = GuestPointer(plugin, value)
            arguments.append(value)
        return place, arguments

    def write_result(self, plugin: Plugin, place: int, value: Any) -> None:
        """Give the plug-in what the function has returned. Raises TypeError and ValueError for what does not fit."""
        kind, words = self.signature.result, plugin.words
        if kind is Type.NONE:
            return
        if kind is Type.BYTES:
            try:
                data = value if isinstance(value, bytes) else memoryview(value).cast("B")
            except TypeError:
                raise TypeError(f"callback {self.name}: its result is bytes, not {type(value).__name__}") from None
            try:
                plugin.space.write(place, _PAIR.pack(plugin.put(data), len(data)))
            except MemoryFault:
                raise PluginDataError(self.name, "the place for its result", place, 8) from None
            words[EAX] = place
            return
        if kind is Type.POINTER:
            value = 0 if value is None else value.address_in(plugin) if isinstance(value, GuestPointer) else value
        try:
            block = _WORDS[kind].pack(value)
        except (struct.error, TypeError, OverflowError) as error:
            found = _mismatch(kind, value)
            raise (found[0](f"callback {self.name}: its result {found[1]}") if found else error) from None
        words[EAX] = int.from_bytes(block[:4], "little")
        words[EDX] = int.from_bytes(block[4:], "little")


def read_bytes(space: AddressSpace, function: str, what: str, address: int, size: int) -> bytes:
    """A byte string that the plug-in has named. Raises PluginDataError."""
    if not size:
        return b""
    try:
        return space.read(address, size)
    except MemoryFault:
        raise PluginDataError(function, what, address, size) from None


def complaint(name: str, signature: Signature, arguments: Sequence[Any]) -> Exception | None:
    """What is wrong with arguments, as an exception to raise; None where nothing is."""
    for index, (parameter, argument) in enumerate(zip(signature.parameters, arguments, strict=True)):
        found = None if parameter.type is Type.BYTES else _mismatch(parameter.type, argument)
        if found is not None:
            return found[0](f"{name}: {signature.describe(index)} {found[1]}")
    return None


def _mismatch(kind: Type, value: Any) -> tuple[type[Exception], str] | None:
    """Why a value is none of the type, if it is not."""
    try:
        _WORDS[kind].pack(value)
    except (struct.error, TypeError, OverflowError):
        pass
    else:
        return None
    if kind is Type.F64:
        return TypeError, f"is f64, not {type(value).__name__}"
    if not hasattr(value, "__index__"):
        return TypeError, f"is {kind.value}, not {type(value).__name__}"
    low, high = _RANGES[kind]
    return ValueError, f"is {kind.value}, {low} to {high}, not {value}"
