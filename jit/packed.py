"""Fragments with their tables as bytes: what the compiled translator makes, and what a library keeps."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from itertools import starmap
from typing import Any, Final

from reference.translator.fragment import Exit, Fragment, Landing, Span

_TRIPLE: Final = struct.Struct("3I")
_triples: Final[Callable[[bytes], Iterator[Any]]] = _TRIPLE.iter_unpack


class PackedFragment(Fragment):
    """A fragment whose spans, exits and landings become objects when somebody asks for them: a fault needs the spans of one
    fragment among thousands, and the code cache is content with the words of the others. They are kept as bytes."""

    __slots__ = ("packed_exits", "packed_landings", "packed_spans")

    def __init__(
        self, eip: int, length: int, offset: int, code: bytes, tail: int, landings: bytes, exits: bytes, spans: bytes
    ) -> None:
        self.eip = eip
        self.length = length
        self.offset = offset
        self.code = code
        self.tail = tail
        self.packed_landings = landings
        self.packed_exits = exits
        self.packed_spans = spans

    @classmethod
    def of(cls, fragment: Fragment) -> PackedFragment:
        """The same fragment, packed."""
        if isinstance(fragment, cls):
            return fragment
        tables = (
            b"".join(starmap(_TRIPLE.pack, table)) for table in (fragment.landings, fragment.exits, fragment.spans)
        )
        return cls(fragment.eip, fragment.length, fragment.offset, fragment.code, fragment.tail, *tables)

    def landing_words(self) -> Iterator[tuple[int, int, int]]:
        """See :meth:`Fragment.landing_words`."""
        return _triples(self.packed_landings)

    def exit_words(self) -> Iterator[tuple[int, int, int]]:
        """See :meth:`Fragment.exit_words`."""
        return _triples(self.packed_exits)

    @property
    def landings(self) -> tuple[Landing, ...]:  # type: ignore[override]
        """See :class:`Fragment`."""
        return tuple(map(Landing._make, _triples(self.packed_landings)))

    @property
    def exits(self) -> tuple[Exit, ...]:  # type: ignore[override]
        """See :class:`Fragment`."""
        return tuple(map(Exit._make, _triples(self.packed_exits)))

    @property
    def spans(self) -> tuple[Span, ...]:  # type: ignore[override]
        """See :class:`Fragment`."""
        return tuple(map(Span._make, _triples(self.packed_spans)))

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fragment):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _COMPARED)


_COMPARED: Final = ("eip", "length", "offset", "code", "spans", "tail", "exits", "landings")
