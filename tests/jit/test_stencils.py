"""Templates and stubs that LLVM assembled are those that the specification encodes by hand, byte for byte."""

from __future__ import annotations

import functools

import pytest

pytest.importorskip("llvmlite")

from hypothesis import given
from hypothesis import strategies as st

from jit import stencils
from reference import encode as e
from reference import layout as at
from reference import runtime
from reference.registers import ECX, EDX, ESP
from reference.translator.emit import dispatch, landing, trampoline
from reference.translator.place import (
    BRANCH_SIZES,
    JUMP_SIZES,
    LOOP_SIZES,
    POP_SIZE,
    RELEASE_SIZE,
    TRAMPOLINE_SIZE,
    TRAP_SIZE,
)
from reference.translator.shape import DIRECT_SIZES, HASHED_SIZES

WORDS = st.integers(0, 0xFFFF_FFFF)
#: Code offsets: the code segment is much smaller than the address space.
OFFSETS = st.integers(0, 1 << 28)


@functools.cache
def built() -> stencils.Stencils:
    return stencils.build()


def test_the_runtime_stubs_are_the_specification() -> None:
    stubs = built().stubs
    assert stubs.code == runtime.STUBS
    assert dict(stubs.symbols) == {
        "lookup": runtime.LOOKUP,
        "miss": runtime.MISS,
        "stepped": runtime.STEPPED,
        "chain": runtime.CHAIN,
        "exit": runtime.EXIT,
    }


def test_sizes_are_those_that_the_specification_places_with() -> None:
    sizes = {stencil.name: len(stencil.code) for stencil in built().all}
    for prefix, its in (("", DIRECT_SIZES), ("hashed_", HASHED_SIZES)):
        assert sizes[prefix + "landing"] == its.landing
        assert sizes[prefix + "push_return"] == its.call
        assert sizes[prefix + "spill"] == its.spill
        assert sizes[prefix + "dispatch"] == its.dispatch
    assert sizes["trampoline"] == TRAMPOLINE_SIZE
    assert sizes["trap"] == TRAP_SIZE
    assert sizes["overflow"] == 2 + TRAP_SIZE
    assert sizes["pop_target"] == POP_SIZE
    assert sizes["release"] == RELEASE_SIZE
    assert (sizes["jump_near"], sizes["jump_short"]) == JUMP_SIZES
    for condition in stencils.CONDITIONS:
        assert (sizes[f"branch_near_{condition}"], sizes[f"branch_short_{condition}"]) == BRANCH_SIZES
    for loop in stencils.LOOPS:
        assert (sizes[f"near_{loop}"], sizes[f"short_{loop}"]) == LOOP_SIZES


@given(here=OFFSETS, eip=WORDS)
def test_a_landing_is_the_specification(here: int, eip: int) -> None:
    assert built()["landing"].stamp(here, at.SPILL_ECX - eip) == landing(eip, 0)
    stamped = built()["hashed_landing"].stamp(here, at.SPILL_EDX - 8 * eip, at.SPILL_ECX - eip)
    assert stamped == landing(eip, None)


@given(here=OFFSETS)
def test_a_trampoline_is_the_specification(here: int) -> None:
    assert built()["trampoline"].stamp(here, here) == trampoline(here)


@given(back=WORDS, where=WORDS, released=st.integers(0, 0xFFFF))
def test_the_parts_of_calls_and_returns_are_the_specification(back: int, where: int, released: int) -> None:
    slot = at.hashed_slot(back)
    push, spill = e.push_immediate(back), e.mov_gs_from(at.SPILL_ECX, ECX)
    assert built()["push_return"].stamp(0, back) == push
    assert built()["hashed_push_return"].stamp(0, back, slot, where) == push + e.mov_gs_immediate(slot, where)
    assert built()["spill"].stamp(0) == spill
    assert built()["hashed_spill"].stamp(0) == e.mov_gs_from(at.SPILL_EDX, EDX) + spill
    assert built()["pop_target"].stamp(0) == e.pop(ECX)
    assert built()["release"].stamp(0, released) == e.lea(ESP, ESP, released)
    assert built()["dispatch"].stamp(0, at.DIRECT_TABLE - 8 * back) == dispatch(back)
    assert built()["hashed_dispatch"].stamp(0) == dispatch(None)


@given(here=OFFSETS, reported=WORDS, reason=st.integers(0, 0x1FFF))
def test_traps_are_the_specification(here: int, reported: int, reason: int) -> None:
    stores = e.mov_gs_immediate(at.TRAP_EIP, reported) + e.mov_gs_immediate(at.REASON, reason)
    trap = stores + e.jmp(runtime.EXIT - (here + len(stores) + 5))
    assert built()["trap"].stamp(here, reported, reason) == trap
    behind = stores + e.jmp(runtime.EXIT - (here + 2 + len(stores) + 5))
    assert built()["overflow"].stamp(here, reported, reason) == e.jump_short(0x71, len(behind)) + behind


@given(here=OFFSETS, destination=OFFSETS)
def test_near_branches_are_the_specification(here: int, destination: int) -> None:
    assert built()["jump_near"].stamp(here, destination) == e.jmp(destination - (here + 5))
    for number, condition in enumerate(stencils.CONDITIONS):
        stamped = built()[f"branch_near_{condition}"].stamp(here, destination)
        assert stamped == e.jcc(number, destination - (here + 6))
    for number, loop in enumerate(stencils.LOOPS):
        stamped = built()[f"near_{loop}"].stamp(here, destination)
        assert stamped == e.jump_short(0xE0 + number, 2) + e.jump_short(0xEB, 5) + e.jmp(destination - (here + 9))


@given(here=OFFSETS, distance=st.integers(-128, 127))
def test_short_branches_are_the_specification(here: int, distance: int) -> None:
    destination = here + 2 + distance
    assert built()["jump_short"].stamp(here, destination) == e.jump_short(0xEB, distance)
    for number, condition in enumerate(stencils.CONDITIONS):
        assert built()[f"branch_short_{condition}"].stamp(here, destination) == e.jump_short(0x70 + number, distance)
    for number, loop in enumerate(stencils.LOOPS):
        assert built()[f"short_{loop}"].stamp(here, destination) == e.jump_short(0xE0 + number, distance)


def test_the_address_size_prefix_is_one_byte() -> None:
    assert built()["address_prefix"].stamp(0) == b"\x67"
