"""Signatures: what a function of a plug-in, or of its host, takes and returns.

    bytes data, u32 level -> bytes

Parameters are types with a name if they have one, separated by commas; ``none``, or nothing at all, for no parameters. The
result is one type, ``none`` for no result. In the calling convention (System V ABI for i386) a type is so many words:

=========  ======  ==========================================================================================
type       words   in C, and in Python
=========  ======  ==========================================================================================
i32, u32   1       int32_t, uint32_t; int
i64, u64   2       int64_t, uint64_t; int
f64        2       double; float. A result is in ST(0).
bytes      2       vx_bytes, a struct of pointer and size; bytes. Of a result the caller says where it goes.
pointer    1       any pointer; GuestPointer, and for an argument None, the null pointer, or an address
=========  ======  ==========================================================================================
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from reference.records import dataclass

#: More of either is refused: they come from the plug-in.
MOST_TEXT: Final = 2048
MOST_PARAMETERS: Final = 64

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)


class Type(Enum):
    """A type of the table above."""

    NONE = "none"
    I32 = "i32"
    U32 = "u32"
    I64 = "i64"
    U64 = "u64"
    F64 = "f64"
    BYTES = "bytes"
    POINTER = "pointer"

    @property
    def words(self) -> int:
        """How many words of the stack an argument takes."""
        return _WORDS[self]


_WORDS: Final = {
    Type.NONE: 0, Type.I32: 1, Type.U32: 1, Type.POINTER: 1, Type.I64: 2, Type.U64: 2, Type.F64: 2, Type.BYTES: 2,
}  # fmt: skip
_TYPES: Final = {kind.value: kind for kind in Type}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter; ``name`` is empty where the signature gives none."""

    type: Type
    name: str = ""

    def __str__(self) -> str:
        return f"{self.type.value} {self.name}" if self.name else self.type.value


@dataclass(frozen=True, slots=True)
class Signature:
    """Parameters and result of a function.

    >>> str(Signature.parse("bytes data,u32->bytes"))
    'bytes data, u32 -> bytes'
    >>> Signature.parse("u16 -> none")
    Traceback (most recent call last):
    ValueError: parameter 1: no type 'u16'; there are none, i32, u32, i64, u64, f64, bytes, pointer
    """

    parameters: tuple[Parameter, ...]
    result: Type

    @classmethod
    def parse(cls, text: str) -> Signature:
        """A signature from its text. Raises ValueError, in one line of printable text whatever the signature holds."""
        if len(text) > MOST_TEXT:
            raise ValueError(f"a signature of {len(text)} characters; {MOST_TEXT} are the most")
        before, arrow, after = text.partition("->")
        if not arrow:
            raise ValueError(f"no '->' in {text[:80]!a}")
        before, after = before.strip(" "), after.strip(" ")
        texts = before.split(",") if before and before != Type.NONE.value else []
        if len(texts) > MOST_PARAMETERS:
            raise ValueError(f"{len(texts)} parameters; {MOST_PARAMETERS} are the most")
        parameters = tuple(_parameter(each.strip(" "), f"parameter {i}") for i, each in enumerate(texts, 1))
        names = [parameter.name for parameter in parameters if parameter.name]
        if len(names) != len(set(names)):
            raise ValueError("two parameters have one name")
        return cls(parameters, _type(after, "result"))

    @property
    def types(self) -> tuple[Type, ...]:
        """The types of the parameters."""
        return tuple(parameter.type for parameter in self.parameters)

    def agrees_with(self, other: Signature) -> bool:
        """Whether they are the same but for the names of parameters."""
        return self.types == other.types and self.result is other.result

    def describe(self, index: int) -> str:
        """What messages call a parameter."""
        name = self.parameters[index].name
        return f"argument {index + 1} ({name})" if name else f"argument {index + 1}"

    def __str__(self) -> str:
        return f"{', '.join(map(str, self.parameters)) or 'none'} -> {self.result.value}"


def _parameter(text: str, what: str) -> Parameter:
    kind, space, name = text.partition(" ")
    name = name.strip(" ")
    found = _type(kind, what)
    if found is Type.NONE:
        raise ValueError(f"{what}: none is no type for a parameter")
    if space and not _NAME.fullmatch(name):
        raise ValueError(f"{what}: {name[:80]!a} is no name")
    return Parameter(found, name)


def _type(text: str, what: str) -> Type:
    found = _TYPES.get(text)
    if found is None:
        raise ValueError(f"{what}: no type {text[:80]!a}; there are {', '.join(_TYPES)}")
    return found
