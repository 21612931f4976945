"""Fixtures for the tests of Plan 9."""

from __future__ import annotations

import pytest

from vx32py import _engines


@pytest.fixture(params=["reference", "jit"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The two engines that have least in common: what the kernel does is the same for all, and there is much of it."""
    name: str = request.param
    reason = _engines.unavailable(name)
    if reason is not None:
        pytest.skip(f"the {name} engine cannot run here: {reason}")
    return name
