"""Guests that want more fragments than there is room for, or all of them in one place of a table: right, and bounded."""

from __future__ import annotations

import needs
import pytest

from conformance.thrash import AREA, colliding, thrash
from reference import layout as at

#: Each engine, and how many entries it does in a moment.
ENTRIES = {"reference": 500, "translated": 700, "jit": 6000}


def runs_here(engine: str) -> None:
    needs.engine(engine)


@pytest.mark.parametrize("hashed", [False, True], ids=["direct", "hashed"])
@pytest.mark.parametrize("engine", ENTRIES)
def test_every_byte_of_an_area_is_an_entry(engine: str, hashed: bool) -> None:
    runs_here(engine)
    found = thrash(engine, ENTRIES[engine], hashed=hashed, rounds=2)
    assert found.calls == 2 * ENTRIES[engine]
    assert engine == "reference" or found.fragments > ENTRIES[engine]


@pytest.mark.parametrize("hashed", [False, True], ids=["direct", "hashed"])
def test_a_small_cache_is_flushed_again_and_again(hashed: bool) -> None:
    runs_here("jit")
    found = thrash("jit", ENTRIES["jit"], hashed=hashed, rounds=2, code_size=96 << 10)
    assert found.flushes > 4
    assert found.fragments > 2 * ENTRIES["jit"], "the second round finds nothing of the first"


def test_memory_follows_the_cache_and_not_the_entries() -> None:
    runs_here("jit")
    thrash("jit", 3000, code_size=96 << 10)
    found = thrash("jit", 30_000, code_size=96 << 10)
    assert found.flushes > 10
    assert found.grown < 8 << 20


def test_colliding_entries_do_collide() -> None:
    places = colliding(60)
    assert len(places) == 60
    assert {at.hashed_slot(eip) for eip in places} == {at.hashed_slot(AREA)}
    probes = {at.first_probe(eip) for eip in places}
    assert max(probes) - min(probes) <= 2 * at.PROBES


@pytest.mark.parametrize("engine", ENTRIES)
def test_entries_that_all_compete_for_one_place_of_the_hashed_table(engine: str) -> None:
    runs_here(engine)
    rounds = 200 if engine == "jit" else 4
    found = thrash(engine, 60, collisions=True, rounds=rounds)
    assert found.calls == 60 * rounds
    assert engine == "reference" or found.fragments < 100, "none is made twice"
