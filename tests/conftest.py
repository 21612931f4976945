"""Fixtures for every test."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import needs
import pytest
from hypothesis import HealthCheck, settings

from reference.dispatch import TranslatingEngine
from vx32py import _engines, verify

# How long an example takes says more about the machine than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_finish() -> None:
    """What has been imported and collected by now stays: tests that collect garbage, some of them often, need not visit it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(params=["reference", "translated", "jit"])
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn; one that this host cannot run is skipped with the reason."""
    name: str = request.param
    needs.engine(name)
    return name


@pytest.fixture(params=["translated", "jit"])
def translating_name(request: pytest.FixtureRequest) -> str:
    """Each engine that translates."""
    name: str = request.param
    needs.engine(name)
    return name


@pytest.fixture(autouse=True, scope="session")
def _all_code_is_verified() -> None:
    """Every fragment that any engine is about to reach, in every test, must have been accepted by the verifier."""
    TranslatingEngine.verifier = verify


@pytest.fixture(autouse=True)
def _all_code_is_translated() -> Iterator[None]:
    """Guests borrow nothing that earlier runs of the tests have left on disk; tests/jit/test_library.py sees to that part."""
    if _engines.unavailable("jit") is not None:
        yield
        return
    from jit import library

    with library.unused():
        yield
