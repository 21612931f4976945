"""Translation at native speed: :func:`reference.translator.translate` through the compiled translator.

Fragments are the specification's, byte for byte. What is wrong with code that holds no instruction the specification says
itself: the compiled passes only find out that it is so.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

from jit.compiled import TABLES, Compiled
from jit.packed import PackedFragment
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
from reference.translator import Fragment
from reference.translator import translate as reference_translate

_RESULT_BYTES: Final = 4 * RESULT_WORDS
_TRIPLE_BYTES: Final = 4 * TRIPLE
_DONE: Final = int(Status.DONE)


class NumbaTranslator:
    """A compiled translator and its working memory. Not for several threads at once: an engine has its own."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        # Slices of arrays of characters are bytes, without a view in between.
        self._output: Any = (ctypes.c_char * OUTPUT_BYTES)()
        self._result: Any = (ctypes.c_char * (4 * MOST_WORDS))()
        self._fields = Fields()
        self._items = (Item * MOST_ITEMS)()
        self._context = Context(
            **dict(zip(TABLES, compiled.tables, strict=True)),
            fields=ctypes.addressof(self._fields),
            items=ctypes.addressof(self._items),
            output=ctypes.addressof(self._output),
            result=ctypes.addressof(self._result),
        )
        self._numbers = memoryview(self._result).cast("B").cast("I")[:RESULT_WORDS]
        self._pointer = ctypes.c_void_p(ctypes.addressof(self._context))
        self._call = compiled.translate
        self._policy: Policy | None = None
        self._gs_base: int | None = None
        self._origin = 0
        self._window: int | None = None
        self._metered = False

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
        metered: bool = False,
    ) -> Fragment:
        """What :func:`reference.translator.translate` returns or raises for the same arguments."""
        if (
            policy is not self._policy
            or gs_base != self._gs_base
            or origin != self._origin
            or window != self._window
            or metered != self._metered
        ):
            self._configure(policy, gs_base, origin, window, metered)
        if self._call(self._pointer, code, len(code), eip, offset) != _DONE:
            # Raises, with a message. (And if it does not, then it is right, and the tests of agreement have missed
            # something.)
            return reference_translate(
                code, eip, policy, offset=offset, gs_base=gs_base, origin=origin, window=window, metered=metered
            )
        size, length, tail, landings, exits, spans = self._numbers
        first_exit = _RESULT_BYTES + _TRIPLE_BYTES * landings
        first_span = first_exit + _TRIPLE_BYTES * exits
        result = self._result
        return PackedFragment(
            eip,
            length,
            offset,
            self._output[:size],
            tail,
            result[_RESULT_BYTES:first_exit],
            result[first_exit:first_span],
            result[first_span : first_span + _TRIPLE_BYTES * spans],
        )

    def _configure(self, policy: Policy, gs_base: int | None, origin: int, window: int | None, metered: bool) -> None:
        self._context.groups = group_mask(policy.groups)
        self._context.thread_pointer = policy.thread_pointer
        self._context.reproducible = policy.reproducible
        self._context.gs_base = -1 if gs_base is None else gs_base
        self._context.origin = origin
        self._context.window = -1 if window is None else window
        self._context.metered = metered
        self._policy, self._gs_base, self._origin, self._window = policy, gs_base, origin, window
        self._metered = metered
