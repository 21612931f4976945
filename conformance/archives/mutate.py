"""Mutations: damaged archives, each a function of a seed and a number."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from conformance.archives.sources import Source

#: What fields are set to.
_NUMBERS: Final = (
    0,
    1,
    2,
    8,
    0x7F,
    0xFF,
    0x100,
    0x7FFF,
    0xFFFF,
    0x10000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    (1 << 63),
    (1 << 64) - 1,
)
_NAMES: Final = (
    b"../x",
    b"/etc/x",
    b"\\..\\x",
    b"a\0b",
    b"\x1b[2J",
    b"C:\\x",
    b"..",
    b".",
    b"d/link/x",
    b"\xff\xfe",
    b"a//b/",
)
_SIGNATURES: Final = re.compile(rb"PK(?:\x01\x02|\x03\x04|\x05\x06|\x06\x06|\x06\x07|\x07\x08)")


@dataclass(frozen=True)
class Mutant:
    """A damaged archive. ``spared`` are the members that are as they were, and everything that they need, too."""

    label: str
    data: bytes
    spared: frozenset[str]


def mutant(seed: int, number: int, sources: Sequence[Source]) -> Mutant:
    """The archive with this number."""
    dice = random.Random(f"{seed}/{number}")  # noqa: S311 - reproducible
    source = dice.choice(sources)
    if dice.random() < 0.4:
        return _inside_one_member(dice, source)
    data = bytearray(source.data)
    done = []
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        change = dice.choice(_CHANGES)
        done.append(change.__name__.strip("_"))
        data = change(dice, data, sources)
    return Mutant(f"{source.name}: {', '.join(done)}", bytes(data), frozenset())


def _inside_one_member(dice: random.Random, source: Source) -> Mutant:
    """Nothing but one member's own bytes is changed, so that all others must be extracted."""
    name = dice.choice(list(source.regions))
    start, end = source.regions[name]
    data = bytearray(source.data)
    for _ in range(dice.choice((1, 1, 2, 5))):
        at = dice.randrange(start, end)
        count = min(dice.choice((1, 1, 2, 4, 8, 40)), end - at)
        data[at : at + count] = dice.choice((dice.randbytes(count), bytes(count), b"\xff" * count))
    return Mutant(f"{source.name}: within {name!r}", bytes(data), frozenset(source.regions) - {name})


def _bits(dice: random.Random, data: bytearray, __: Sequence[Source]) -> bytearray:
    for _ in range(dice.choice((1, 1, 2, 8))):
        if data:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return data


def _header_bits(dice: random.Random, data: bytearray, __: Sequence[Source]) -> bytearray:
    at = _record(dice, data)
    for _ in range(dice.choice((1, 2, 4))):
        where = at + dice.randrange(80)
        if where < len(data):
            data[where] ^= 1 << dice.randrange(8)
    return data


def _field(dice: random.Random, data: bytearray, __: Sequence[Source]) -> bytearray:
    at = _record(dice, data) + dice.randrange(4, 80)
    width = dice.choice((1, 2, 4, 8))
    number = dice.choice((*_NUMBERS, len(data), at, dice.randrange(len(data) + 1), -1, -at))
    data[at : at + width] = (number & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    return data


def _same_everywhere(dice: random.Random, data: bytearray, __: Sequence[Source]) -> bytearray:
    """A lie that local header and directory agree on."""
    at, width = _record(dice, data) + dice.randrange(6, 60), dice.choice((2, 4))
    old = bytes(data[at : at + width])
    number = dice.choice((*_NUMBERS, dice.randrange(len(data) + 1)))
    return data.replace(old, (number & ((1 << 8 * width) - 1)).to_bytes(width, "little")) if len(old) == width else data


def _name(dice: random.Random, data: bytearray, sources: Sequence[Source]) -> bytearray:
    names = [name.encode() for source in sources for name in source.contents]
    old = dice.choice([name for name in names if name in data] or [b"a"])
    new = dice.choice(_NAMES)
    return data.replace(old, (new * (len(old) // len(new) + 1))[: len(old)])


def _cut(dice: random.Random, data: bytearray, __: Sequence[Source]) -> bytearray:
    return data[
        : dice.choice((dice.randrange(len(data) + 1), max(len(data) - dice.randrange(100), 0), _record(dice, data)))
    ]


def _front(dice: random.Random, data: bytearray, __: Sequence[Source]) -> bytearray:
    return data[dice.choice((dice.randrange(len(data) + 1), _record(dice, data))) :]


def _remove(dice: random.Random, data: bytearray, __: Sequence[Source]) -> bytearray:
    at = dice.randrange(len(data) + 1)
    del data[at : at + dice.choice((1, 4, 30, 400))]
    return data


def _insert(dice: random.Random, data: bytearray, __: Sequence[Source]) -> bytearray:
    at = dice.choice((dice.randrange(len(data) + 1), _record(dice, data)))
    data[at:at] = dice.choice((dice.randbytes(dice.randrange(1, 50)), bytes(dice.randrange(1, 3000)), b"PK\5\6" * 6))
    return data


def _repeat(dice: random.Random, data: bytearray, __: Sequence[Source]) -> bytearray:
    """Records once more, elsewhere."""
    start, end = sorted((_record(dice, data), _record(dice, data)))
    at = _record(dice, data)
    data[at:at] = data[start : min(end, start + 5000)]
    return data


def _splice(dice: random.Random, data: bytearray, sources: Sequence[Source]) -> bytearray:
    other = bytearray(dice.choice(sources).data)
    return data[: _record(dice, data)] + other[_record(dice, other) :]


def _record(dice: random.Random, data: bytearray) -> int:
    """Where one of the records begins."""
    return dice.choice([found.start() for found in _SIGNATURES.finditer(data)] or [0])


_CHANGES: Final[tuple[Callable[[random.Random, bytearray, Sequence[Source]], bytearray], ...]] = (
    _bits, _header_bits, _header_bits, _field, _field, _field, _same_everywhere, _same_everywhere, _name, _cut, _front, _remove,
    _insert, _repeat, _splice,
)  # fmt: skip
