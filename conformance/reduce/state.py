"""Passes over the state that a case begins with: less memory, registers and flags as they are in a new guest, or simple."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from conformance.case import Case
from conformance.oracles.bench import INITIAL_FP
from conformance.outcome import FP_FIELDS
from conformance.reduce.memory import contents, with_contents
from conformance.reduce.program import exactly_undefined
from conformance.reduce.search import Search
from conformance.reduce.values import simplify
from reference.registers import EFLAGS, EIP

_INITIAL_FLAGS: Final = 0x202
_CONTROL: Final = ("fcw", "fsw", "ftw", "mxcsr")
#: Lanes of vectors that are cleared, in bytes.
_LANES: Final = (16, 8, 4, 2, 1)
#: What a lane is taken for when its value is simplified, in bytes.
_VALUES: Final = (8, 4)


def clear_memory(search: Search) -> None:
    """Leave out as much content of memory as possible."""
    search.attempt(with_contents(search.case, contents(search.case)))
    search.without(
        lambda case: tuple(contents(case)),
        lambda case, gone: [with_contents(case, {at: byte for at, byte in contents(case).items() if at not in gone})],
    )


def simplify_memory(search: Search) -> None:
    """Simplify what is left of it, byte by byte."""
    for address, byte in contents(search.case).items():
        simplify(
            byte,
            8,
            lambda value, address=address: search.attempt(  # type: ignore[misc]
                with_contents(search.case, contents(search.case) | {address: value})
            ),
        )


def clear_thread_pointer(search: Search) -> None:
    """No thread pointer, or a simple one."""
    if search.case.gs_base is not None and not search.attempt(replace(search.case, gs_base=None)):
        simplify(search.case.gs_base, 32, lambda value: search.attempt(replace(search.case, gs_base=value)))


# -- registers -------------------------------------------------------------------------------------------------------


def _general(case: Case) -> tuple[int, ...]:
    """The numbers of general registers that are not zero."""
    return tuple(i for i, word in enumerate(case.words) if word and i not in (EIP, EFLAGS))


def _with_words(case: Case, words: dict[int, int]) -> Case:
    return replace(case, words=tuple(words.get(i, word) for i, word in enumerate(case.words)))


def clear_registers(search: Search) -> None:
    """Zero in as many general registers as possible, and something simple in the others."""
    search.without(_general, lambda case, gone: [_with_words(case, dict.fromkeys(gone, 0))])
    for number in _general(search.case):
        simplify(
            search.case.words[number],
            32,
            lambda value, number=number: search.attempt(_with_words(search.case, {number: value})),  # type: ignore[misc]
        )


def clear_flags(search: Search) -> None:
    """Flags as they are in a new guest."""

    def differing(case: Case) -> tuple[int, ...]:
        return tuple(1 << i for i in range(32) if (case.words[EFLAGS] ^ _INITIAL_FLAGS) >> i & 1)

    search.without(differing, lambda case, gone: [_with_words(case, {EFLAGS: case.words[EFLAGS] ^ sum(gone)})])


# -- floating point --------------------------------------------------------------------------------------------------


def clear_floating_point(search: Search) -> None:
    """No floating-point state; or that of a new guest in as many fields, lanes and bits as possible."""
    if search.case.fp is None or search.attempt(replace(search.case, fp=None)):
        return
    search.without(_fields, lambda case, gone: [_with_initial(case, gone)])
    search.without(_control_bits, lambda case, gone: [_without_bits(case, gone)])
    for size in _LANES:
        search.without(lambda case, size=size: _lanes(case, size), lambda case, gone: [_with_initial(case, gone)])  # type: ignore[misc]


def simplify_floating_point(search: Search) -> None:
    """Simple values in the registers that are left."""
    for size in _VALUES:
        for start, length in _lanes(search.case, size):
            _simplify_field(search, start, length)
    if search.case.fp is not None:
        for name, start, length in FP_FIELDS:
            if name.startswith("st"):
                _simplify_field(search, start, length)


def _simplify_field(search: Search, start: int, length: int) -> None:
    def attempt(value: int) -> bool:
        return search.attempt(_with_bytes(search.case, start, value.to_bytes(length, "little")))

    assert search.case.fp is not None
    simplify(int.from_bytes(search.case.fp[start : start + length], "little"), 8 * length, attempt)


def _with_bytes(case: Case, start: int, content: bytes) -> Case:
    assert case.fp is not None
    return replace(case, fp=case.fp[:start] + content + case.fp[start + len(content) :])


def _with_initial(case: Case, places: Sequence[tuple[int, int]]) -> Case:
    """The case with parts of the image as they are in a new guest."""
    for start, length in places:
        case = _with_bytes(case, start, INITIAL_FP[start : start + length])
    return case


def _differs(case: Case, start: int, length: int) -> bool:
    return case.fp is not None and case.fp[start : start + length] != INITIAL_FP[start : start + length]


def _fields(case: Case) -> tuple[tuple[int, int], ...]:
    """First byte and length of the parts of the image that are not those of a new guest: registers, and what is between."""
    starts = sorted([(start, length) for _, start, length in FP_FIELDS])
    return tuple(place for place in (*starts, *_between(starts)) if _differs(case, *place))


def _between(places: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    position = 0
    for start, length in (*places, (len(INITIAL_FP), 0)):
        if start > position:
            yield position, start - position
        position = start + length


def _lanes(case: Case, size: int) -> tuple[tuple[int, int], ...]:
    """The lanes of vectors that are not zero."""
    return tuple(
        (at, size)
        for name, start, length in FP_FIELDS
        if name.startswith(("xmm", "ymm"))
        for at in range(start, start + length, size)
        if _differs(case, at, size)
    )


def _control_bits(case: Case) -> tuple[tuple[int, int], ...]:
    """Byte and bit of what differs in control and status words."""
    if case.fp is None:
        return ()
    return tuple(
        (at, bit)
        for name, start, length in FP_FIELDS
        if name in _CONTROL
        for at in range(start, start + length)
        for bit in range(8)
        if (case.fp[at] ^ INITIAL_FP[at]) >> bit & 1
    )


def _without_bits(case: Case, bits: Sequence[tuple[int, int]]) -> Case:
    for at, bit in bits:
        assert case.fp is not None
        case = _with_bytes(case, at, bytes([case.fp[at] ^ 1 << bit]))
    return case


# -- what is not compared --------------------------------------------------------------------------------------------


def compare_more(search: Search) -> None:
    """Declare nothing undefined that is not."""
    search.attempt(exactly_undefined(search.case))
