"""A short soak: many processes, all kinds of stories; no message is lost, and nothing is left."""

from __future__ import annotations

import pytest

from conformance.plan9.soak import run

pytestmark = pytest.mark.compiler


def test_a_crew_of_processes_leaves_nothing(engine_name: str) -> None:
    workers = 30 if engine_name == "jit" else 4
    report = run.soak(seconds=1, workers=workers, engine=engine_name, seed=7)
    assert report.complaints == []
    assert report.made == report.waited >= workers
    assert report.refused == 0
