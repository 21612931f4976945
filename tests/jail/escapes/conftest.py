"""A world with something to lose for every attempt, and the question behind each what has become of the host."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import needs
import pytest
from prison import FREESTANDING, Canary, World, build, changes, host_state, jail


@pytest.fixture(scope="session")
def bird() -> Iterator[Canary]:
    """A process of the host's in a session of its own, which tells the signals that it gets."""
    canary = Canary()
    yield canary
    canary.close()


@pytest.fixture(scope="session", autouse=True)
def _settled() -> int:
    """What the first guest of a process sets up of its host (signal handlers, reserved memory) is no harm. How many
    descriptors there are then."""
    needs.engine("jit")
    jail(None, build("calls.c", *FREESTANDING), [])
    gc.collect()
    return len(host_state()["descriptors"])


@pytest.fixture
def world(tmp_path: Path, bird: Canary, _settled: int) -> Iterator[World]:
    """A place with something to lose; nothing of it may be lost."""
    world = World(tmp_path / "world")
    before = host_state()
    if len(before["descriptors"]) > _settled:
        gc.collect()  # what a failed test has left
        before = host_state()
    yield world
    assert world.harm() == []
    harm = changes(before, host_state())
    if harm:
        gc.collect()  # of a guest that has forked, some is kept until then
        harm = changes(before, host_state())
    assert harm == {}
    assert bird.heard() == ""


@pytest.fixture
def twin(tmp_path: Path) -> World:
    """Another one, which may be lost: for the native contrast."""
    return World(tmp_path / "twin")
