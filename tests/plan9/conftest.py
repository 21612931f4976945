"""Fixtures for the tests of Plan 9."""

from __future__ import annotations

import needs
import pytest


@pytest.fixture(params=["reference", "jit"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The two engines that have least in common: what the kernel does is the same for all, and there is much of it."""
    name: str = request.param
    needs.engine(name)
    return name
