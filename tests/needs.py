"""What a test needs of the host: where that is not there, the test is skipped and says why."""

from __future__ import annotations

import pytest

from vx32py import _engines


def engine(name: str) -> None:
    """The engine of this name."""
    reason = _engines.unavailable(name)
    if reason is not None:
        pytest.skip(f"the {name} engine cannot run here: {reason}")
