"""Translation at native speed: :func:`reference.translator.translate` through the compiled translator.

Fragments are the specification's, byte for byte. What is wrong with code that holds no instruction the specification says
itself: the compiled passes only find out that it is so.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, cast

from jit.compiled import TABLES, Compiled
from jit.passes.records import (
    MOST_ITEMS,
    MOST_WORDS,
    OUTPUT_BYTES,
    RESULT_WORDS,
    TRIPLE,
    Context,
    Fields,
    Item,
    Status,
    group_mask,
)
from reference.policy import Policy
from reference.translator import Exit, Fragment, Landing, Span
from reference.translator import translate as reference_translate

_RESULT_BYTES: Final = 4 * RESULT_WORDS
_TRIPLE_BYTES: Final = 4 * TRIPLE
_DONE: Final = int(Status.DONE)

Triple = TypeVar("Triple", Landing, Exit, Span)


class NumbaTranslator:
    """A compiled translator and its working memory. Not for several threads at once: an engine has its own."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._output = (ctypes.c_uint8 * OUTPUT_BYTES)()
        self._result = (ctypes.c_uint32 * MOST_WORDS)()
        self._fields = Fields()
        self._items = (Item * MOST_ITEMS)()
        self._context = Context(
            **dict(zip(TABLES, compiled.tables, strict=True)),
            fields=ctypes.addressof(self._fields),
            items=ctypes.addressof(self._items),
            output=ctypes.addressof(self._output),
            result=ctypes.addressof(self._result),
        )
        self._output_view = memoryview(self._output).cast("B")
        self._result_view = memoryview(self._result).cast("B")
        self._result_words = self._result_view.cast("I")[:RESULT_WORDS]
        self._address = ctypes.addressof(self._context)
        self._call = compiled.translate
        self._policy: Policy | None = None
        self._gs_base: int | None = None
        self._origin = 0

    def translate(
        self, code: bytes, eip: int, policy: Policy, *, offset: int, gs_base: int | None = None, origin: int = 0
    ) -> Fragment:
        """What :func:`reference.translator.translate` returns or raises for the same arguments."""
        if policy is not self._policy or gs_base != self._gs_base or origin != self._origin:
            self._configure(policy, gs_base, origin)
        if self._call(self._address, code, len(code), eip, offset) != _DONE:
            # Raises, with a message. (And if it does not, then it is right, and the tests of agreement have missed something.)
            return reference_translate(code, eip, policy, offset=offset, gs_base=gs_base, origin=origin)
        size, length, tail, landings, exits, spans = self._result_words
        first_exit = _RESULT_BYTES + _TRIPLE_BYTES * landings
        first_span = first_exit + _TRIPLE_BYTES * exits
        result = self._result_view
        fragment = _new(PackedFragment)
        _set_eip(fragment, eip)
        _set_length(fragment, length)
        _set_offset(fragment, offset)
        _set_code(fragment, bytes(self._output_view[:size]))
        _set_tail(fragment, tail)
        _set_landings(fragment, tuple(map(_landing, _triples(result[_RESULT_BYTES:first_exit]))))
        _set_exits(fragment, tuple(map(_exit, _triples(result[first_exit:first_span]))))
        _set_packed_spans(fragment, bytes(result[first_span : first_span + _TRIPLE_BYTES * spans]))
        return fragment

    def _configure(self, policy: Policy, gs_base: int | None, origin: int) -> None:
        self._context.groups = group_mask(policy.groups)
        self._context.thread_pointer = policy.thread_pointer
        self._context.reproducible = policy.reproducible
        self._context.gs_base = -1 if gs_base is None else gs_base
        self._context.origin = origin
        self._policy, self._gs_base, self._origin = policy, gs_base, origin


class PackedFragment(Fragment):
    """A fragment whose spans are made when they are first asked for: a fault needs those of one fragment among thousands.

    Until then they are triples of words.
    """

    __slots__ = ("_packed_spans",)

    _packed_spans: bytes

    def __getattr__(self, name: str) -> Any:
        if name == "spans":
            value: Any = tuple(map(_span, _triples(self._packed_spans)))
        elif name == "_starts":
            value = []
        else:
            raise AttributeError(name)
        object.__setattr__(self, name, value)
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fragment):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _COMPARED)

    __hash__ = Fragment.__hash__


_COMPARED: Final = ("eip", "length", "offset", "code", "spans", "tail", "exits", "landings")

_triples: Final = struct.Struct(f"{TRIPLE}I").iter_unpack


def _maker(kind: type[Triple]) -> Callable[[tuple[int, ...]], Triple]:
    """What makes a named tuple of a plain one; ``_make`` takes twice the time."""
    return partial(tuple.__new__, kind)


_landing: Final = _maker(Landing)
_exit: Final = _maker(Exit)
_span: Final = _maker(Span)


# A frozen dataclass is filled in through its slots: faster than its constructor, which would need the spans.
_new: Final = object.__new__


def _setter(kind: type, name: str) -> Callable[[Any, Any], None]:
    return cast("Callable[[Any, Any], None]", getattr(kind, name).__set__)


_set_eip: Final = _setter(Fragment, "eip")
_set_length: Final = _setter(Fragment, "length")
_set_offset: Final = _setter(Fragment, "offset")
_set_code: Final = _setter(Fragment, "code")
_set_tail: Final = _setter(Fragment, "tail")
_set_landings: Final = _setter(Fragment, "landings")
_set_exits: Final = _setter(Fragment, "exits")
_set_packed_spans: Final = _setter(PackedFragment, "_packed_spans")
