"""Fixtures for every test."""

from __future__ import annotations

import pytest

from vx32py import _engines


@pytest.fixture(params=["reference", "translated", "jit"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn; one that this host cannot run is skipped with the reason."""
    name: str = request.param
    reason = _engines.unavailable(name)
    if reason is not None:
        pytest.skip(f"the {name} engine cannot run here: {reason}")
    return name
