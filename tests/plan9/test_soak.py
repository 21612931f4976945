"""A short soak: many processes, all kinds of stories; no message is lost, and nothing is left."""

from __future__ import annotations

import pytest

from conformance.plan9.soak import lines, run

pytestmark = pytest.mark.compiler


def test_a_crew_of_processes_leaves_nothing(engine_name: str) -> None:
    workers = 30 if engine_name == "jit" else 4
    report = run.soak(seconds=1, workers=workers, engine=engine_name, seed=7)
    assert report.complaints == []
    assert report.made == report.waited >= workers
    assert report.refused == 0


def test_ctrl_c_at_any_line_leaves_nothing(engine_name: str) -> None:
    """A few of all lines; ``python -m conformance.plan9 lines`` meets more."""
    found = list(lines.sweep(engine_name, "run", step=5003))
    assert len(found) > 1
    assert [line for line in found if line.problem] == []
