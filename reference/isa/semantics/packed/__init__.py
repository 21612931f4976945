"""Vectors of integers, moves and shuffles of vectors, and what computes on whole ones: AES, PCLMULQDQ, SHA, string
compares."""

from reference.isa.semantics.packed import (
    aes,
    arithmetic,
    carryless,
    convert,
    form,
    gather,
    lanes,
    logic,
    masked_move,
    move,
    sha,
    shift,
    shuffle,
    string_compare,
)

__all__ = [
    "aes",
    "arithmetic",
    "carryless",
    "convert",
    "form",
    "gather",
    "lanes",
    "logic",
    "masked_move",
    "move",
    "sha",
    "shift",
    "shuffle",
    "string_compare",
]
