"""How the passes are compiled, and how they reach memory.

What numba makes of them is C with Python's syntax: no objects, no allocation, no reference counts, no exceptions. Memory
is reached through addresses, which are integers: an accessor turns one into a record of :mod:`jit.passes.records`, or
into the byte, half-word or word at an index. Nothing checks bounds; every index in the passes is bounded by what it is.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from jit.passes.records import Context, Fields, Form, Hole, Item, Result, Stencil

try:
    import numba
    import numpy as np
    from numba.core import types
    from numba.extending import intrinsic
except ImportError:
    HAS_NUMBA = False
else:
    HAS_NUMBA = True

#: No NRT: reference counts are a run-time library, and there is nothing to count.
OPTIONS: Final[dict[str, Any]] = {
    "nogil": True,
    "error_model": "numpy",
    "boundscheck": False,
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}

Function = TypeVar("Function", bound=Callable[..., Any])
Record = TypeVar("Record", bound=ctypes.Structure)


def compiled(function: Function) -> Function:
    """Mark a function to be compiled together with whoever calls it."""
    return cast(Function, numba.njit(**OPTIONS)(function)) if HAS_NUMBA else function


def record_type(kind: type[ctypes.Structure]) -> Any:
    """The numba type of a record."""
    return numba.from_dtype(np.dtype(kind))


def _missing(*arguments: int) -> Any:
    raise ImportError("the compiled translator needs numba")


def _record_accessor(kind: type[Record]) -> Callable[[int, int], Record]:
    """A function (address, index) -> record: the record itself, not a copy."""
    if not HAS_NUMBA:
        return _missing
    result = record_type(kind)

    @intrinsic
    def access(typing_context: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = context.get_value_type(signature.return_type)
            base = builder.inttoptr(arguments[0], pointer)
            return builder.gep(base, [arguments[1]])

        return result(types.int64, types.int64), generate

    return cast(Callable[[int, int], Record], access)


def _loader(name: str) -> Callable[[int, int], int]:
    """A function (address, index) -> integer of type ``name``, as an int64. The index counts integers of that type."""
    if not HAS_NUMBA:
        return _missing
    element = getattr(types, name)

    @intrinsic
    def load(typing_context: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base = builder.inttoptr(arguments[0], context.get_data_type(element).as_pointer())
            value = builder.load(builder.gep(base, [arguments[1]]), align=1)
            return context.cast(builder, value, element, types.int64)

        return types.int64(types.int64, types.int64), generate

    return cast(Callable[[int, int], int], load)


def _storer(name: str) -> Callable[[int, int, int], None]:
    """A function (address, index, value) that stores the low bits of an int64."""
    if not HAS_NUMBA:
        return _missing
    element = getattr(types, name)

    @intrinsic
    def store(typing_context: Any, address: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base = builder.inttoptr(arguments[0], context.get_data_type(element).as_pointer())
            value = context.cast(builder, arguments[2], types.int64, element)
            builder.store(value, builder.gep(base, [arguments[1]]), align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64), generate

    return cast(Callable[[int, int, int], None], store)


context_at = _record_accessor(Context)
fields_at = _record_accessor(Fields)
form_at = _record_accessor(Form)
hole_at = _record_accessor(Hole)
item_at = _record_accessor(Item)
result_at = _record_accessor(Result)
stencil_at = _record_accessor(Stencil)

load_byte = _loader("uint8")
load_signed_byte = _loader("int8")
load_half = _loader("uint16")
load_signed_half = _loader("int16")
load_signed_word = _loader("int32")
store_byte = _storer("uint8")
store_word = _storer("uint32")
