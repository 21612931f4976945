"""Every hostile archive ends in a clear refusal: nothing is written outside of the target, the good members are extracted."""

from __future__ import annotations

from pathlib import Path

import hostile
import hostile_members
import hostile_structure
import pytest

CASES = hostile.cases(hostile_members.all_cases(), hostile_structure.all_cases())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_hostile_archive_harms_nobody(case: hostile.Case, tmp_path: Path) -> None:
    hostile.judge(case, tmp_path, "auto")
