"""Translation at native speed: :func:`reference.translator.translate` through the compiled translator.

Fragments are the specification's, byte for byte. What is wrong with code that holds no instruction the specification says
itself: the compiled passes only find out that it is so.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
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
        self._window: int | None = None

    def translate(
        self,
        code: bytes,
        eip: int,
        policy: Policy,
        *,
        offset: int,
        gs_base: int | None = None,
        origin: int = 0,
        window: int | None = None,
    ) -> Fragment:
        """What :func:`reference.translator.translate` returns or raises for the same arguments."""
        if policy is not self._policy or gs_base != self._gs_base or origin != self._origin or window != self._window:
            self._configure(policy, gs_base, origin, window)
        if self._call(self._address, code, len(code), eip, offset) != _DONE:
            # Raises, with a message. (And if it does not, then it is right, and the tests of agreement have missed something.)
            return reference_translate(code, eip, policy, offset=offset, gs_base=gs_base, origin=origin, window=window)
        size, length, tail, landings, exits, spans = self._result_words
        end = _RESULT_BYTES + _TRIPLE_BYTES * (landings + exits + spans)
        fragment = _new(PackedFragment)
        _set_eip(fragment, eip)
        _set_length(fragment, length)
        _set_offset(fragment, offset)
        _set_code(fragment, bytes(self._output_view[:size]))
        _set_tail(fragment, tail)
        _set_packed(fragment, bytes(self._result_view[_RESULT_BYTES - 12 : end]))
        return fragment

    def _configure(self, policy: Policy, gs_base: int | None, origin: int, window: int | None) -> None:
        self._context.groups = group_mask(policy.groups)
        self._context.thread_pointer = policy.thread_pointer
        self._context.reproducible = policy.reproducible
        self._context.gs_base = -1 if gs_base is None else gs_base
        self._context.origin = origin
        self._context.window = -1 if window is None else window
        self._policy, self._gs_base, self._origin, self._window = policy, gs_base, origin, window


class PackedFragment(Fragment):
    """A fragment whose spans, exits and landings are made when they are first asked for: most are asked for exits and
    landings only, and a fault needs the spans of one fragment among thousands.

    Until then they are words: the numbers of landings, exits and spans, then their triples.
    """

    __slots__ = ("_packed",)

    _packed: bytes

    def __getattr__(self, name: str) -> Any:
        if name == "landings":
            value: Any = tuple(map(_make_landing, *self._columns(0)))
        elif name == "exits":
            value = tuple(map(_make_exit, *self._columns(1)))
        elif name == "spans":
            value = tuple(map(_make_span, *self._columns(2)))
        elif name == "_starts":
            value = []
        else:
            raise AttributeError(name)
        object.__setattr__(self, name, value)
        return value

    def _columns(self, which: int) -> tuple[memoryview, memoryview, memoryview]:
        """The first, second and third words of the triples of one kind."""
        words = memoryview(self._packed).cast("I")
        first = TRIPLE * (1 + sum(words[:which]))
        end = first + TRIPLE * words[which]
        return words[first:end:TRIPLE], words[first + 1 : end : TRIPLE], words[first + 2 : end : TRIPLE]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fragment):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _COMPARED)

    __hash__ = Fragment.__hash__


_COMPARED: Final = ("eip", "length", "offset", "code", "spans", "tail", "exits", "landings")

# Frozen dataclasses are filled in through their slots: faster than their constructors by the factor four, and for a fragment
# the constructor would need everything unpacked.
_new: Final = object.__new__


def _setter(kind: type, name: str) -> Callable[[Any, Any], None]:
    return cast("Callable[[Any, Any], None]", getattr(kind, name).__set__)


def _maker(kind: type[Triple]) -> Callable[[int, int, int], Triple]:
    set_first, set_second, set_third = (_setter(kind, name) for name in kind.__match_args__)

    def make(first: int, second: int, third: int) -> Triple:
        triple = _new(kind)
        set_first(triple, first)
        set_second(triple, second)
        set_third(triple, third)
        return triple

    return make


_make_landing: Final = _maker(Landing)
_make_exit: Final = _maker(Exit)
_make_span: Final = _maker(Span)
_set_eip: Final = _setter(Fragment, "eip")
_set_length: Final = _setter(Fragment, "length")
_set_offset: Final = _setter(Fragment, "offset")
_set_code: Final = _setter(Fragment, "code")
_set_tail: Final = _setter(Fragment, "tail")
_set_packed: Final = _setter(PackedFragment, "_packed")
