"""Hypothesis strategies: instructions, programs, machine states and whole cases, biased towards where things go wrong.

    from hypothesis import given
    from conformance import strategies

    @given(strategies.cases())
    def test_engines_agree(case): ...

Boundaries of widths, signs and formats; operands that are the same register; addresses across pages and at the edges of
what is mapped; prefixes, needed or not; every encoding as often as any other, however rare in programs; code that
stores into itself. What is drawn are shapes and seeds, and values where Hypothesis can make them smaller.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from conformance import guest_code as _guest_code
from conformance import sequences
from conformance.case import DATA, DATA_END, ENTRY, READ_ONLY, STACK, Case
from conformance.cases import batch
from conformance.encodings import BOUNDARY, Shape, encode, shapes
from conformance.lanes import KINDS, POOL, extended_pool, pool, unit_size
from conformance.oracles.bench import INITIAL_FP
from reference.flags import DF, STATUS
from reference.registers import ESP

__all__ = [
    "MachineState",
    "cases",
    "guest_code",
    "instructions",
    "machine_states",
    "self_modifying_cases",
    "sequence_cases",
    "shapes_of_the_table",
]

_SEEDS: Final = st.integers(0, (1 << 32) - 1)


def _rng(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - reproducible, not secret


# -- code ------------------------------------------------------------------------------------------------------------


def shapes_of_the_table(chosen: Sequence[Shape] | None = None) -> st.SearchStrategy[Shape]:
    """Rows of the instruction table, each in all its guises: sizes, register and memory, prefixes, VEX.W and VEX.L."""
    return st.sampled_from(shapes() if chosen is None else chosen)


def instructions(chosen: Sequence[Shape] | None = None) -> st.SearchStrategy[bytes]:
    """Single instructions that are admitted, now and then with a prefix too many."""
    return st.builds(lambda shape, seed: encode(shape, _rng(seed)).code, shapes_of_the_table(chosen), _SEEDS)


def guest_code(most_pieces: int = 40) -> st.SearchStrategy[bytes]:
    """Programs, not all of them valid: instructions, branches among them, some that are refused, some noise."""
    return _guest_code.programs(most_pieces)


# -- states ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MachineState:
    """Registers, XSAVE image, and content of memory: what a :class:`~conformance.case.Case` has besides its code."""

    words: tuple[int, ...]
    fp: bytes
    memory: tuple[tuple[int, bytes], ...]

    def case(self, code: bytes, label: str = "") -> Case:
        """The case of some code in this state."""
        return Case(label, code, self.words, self.memory, fp=self.fp)


def _addresses() -> st.SearchStrategy[int]:
    """Where data is: in the middle, at both ends, across pages, where it cannot be written, where nothing is."""
    edges = (DATA, DATA + 0x1000, DATA_END, READ_ONLY, READ_ONLY + 0x1000)
    return st.one_of(
        st.integers(DATA + 0x800, DATA + 0x8FF),
        st.builds(lambda edge, offset: edge + offset, st.sampled_from(edges), st.integers(-33, 33)),
    )


def _registers() -> st.SearchStrategy[int]:
    return st.one_of(st.sampled_from(BOUNDARY), _addresses(), st.integers(0, 0xFFFF_FFFF))


def _lanes(length: int) -> st.SearchStrategy[bytes]:
    """Bytes made of lanes of one kind, drawn from its pool; the same ones often."""

    def of_kind(kind: str) -> st.SearchStrategy[bytes]:
        size = unit_size(kind)
        lane = st.integers(0, POOL - 1).map(lambda i: int(pool(kind)[i]).to_bytes(size, "little"))
        return st.one_of(
            st.lists(lane, min_size=length // size, max_size=length // size).map(b"".join),
            lane.map(lambda one: one * (length // size)),
        )

    return st.sampled_from(sorted(KINDS)).flatmap(of_kind)


def _extended() -> st.SearchStrategy[bytes]:
    mantissas, exponents = extended_pool()
    return st.integers(0, POOL - 1).map(
        lambda i: int(mantissas[i]).to_bytes(8, "little") + int(exponents[i]).to_bytes(2, "little")
    )


@st.composite
def machine_states(draw: st.DrawFn) -> MachineState:
    """States of a machine at the entry of a case: ESP in the stack, other registers anything; vectors, x87 and MMX
    registers, control words with all roundings, masks and modes; exceptions pending now and then."""
    words = [draw(_registers()) for _ in range(8)]
    words[ESP] = STACK + 0x800 + draw(st.integers(0, 127))
    flags = 0x202 | draw(st.integers(0, STATUS)) & STATUS | (DF if draw(st.booleans()) else 0)
    image = bytearray(INITIAL_FP)
    vectors = [draw(st.one_of(st.just(bytes(32)), _lanes(32))) for _ in range(8)]
    if draw(st.booleans()):  # aliases, as operands that are equal
        vectors[draw(st.integers(0, 7))] = vectors[draw(st.integers(0, 7))]
    for i, vector in enumerate(vectors):
        image[160 + 16 * i : 176 + 16 * i] = vector[:16]
        image[576 + 16 * i : 592 + 16 * i] = vector[16:]
        image[32 + 16 * i : 42 + 16 * i] = draw(st.one_of(st.just(bytes(10)), _extended()))
    masks, raised = draw(st.one_of(st.just(0x3F), st.integers(0, 0x3F))), draw(st.integers(0, 0x3F))
    pending = 0x8080 if raised & ~masks else 0
    control = 0x40 | masks | draw(st.integers(0, 15)) << 8
    status = raised | pending | draw(st.integers(0, 0x7F)) << 8
    mxcsr = draw(st.one_of(st.just(0x1F80), st.integers(0, 0xFFFF)))
    image[0:2], image[2:4] = control.to_bytes(2, "little"), status.to_bytes(2, "little")
    image[4] = draw(st.sampled_from((0xFF, 0)) | st.integers(0, 0xFF))
    image[24:28] = mxcsr.to_bytes(4, "little")
    windows = st.tuples(st.integers(DATA + 0x780, DATA + 0x880), _lanes(64))
    memory = draw(st.lists(windows, max_size=2))
    return MachineState((*words, ENTRY, flags), bytes(image), tuple(memory))


# -- cases -----------------------------------------------------------------------------------------------------------


def cases(chosen: Sequence[Shape] | None = None) -> st.SearchStrategy[Case]:
    """Single instructions with operands that suit them."""
    return st.builds(lambda shape, seed: batch(shape, _rng(seed), 1).case(0), shapes_of_the_table(chosen), _SEEDS)


def sequence_cases() -> st.SearchStrategy[Case]:
    """Two to five instructions: straight on, with branches, with calls and a stack, changing themselves, cut off."""
    return st.builds(lambda make, seed: make(_rng(seed), 1).case(0), st.sampled_from(sequences.KINDS), _SEEDS)


def self_modifying_cases() -> st.SearchStrategy[Case]:
    """Code that stores into itself, ahead and behind, within a page and across two."""
    return _SEEDS.map(lambda seed: sequences.mutable(_rng(seed), 1).case(0))
