"""The README tells the truth: its tour runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import guests
from vx32py import _compile

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.compiler
def test_the_tour_runs_as_it_is_printed() -> None:
    if not _compile.compilers():
        pytest.skip("no compiler for guests here")
    assert guests.main() == 0
    (tour,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", tour], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "divide error at eip" in done.stdout


def test_every_path_that_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"\]\(([A-Za-z][\w/.]*)\)|`([a-z]+/)`", text):
        assert (ROOT / "".join(path)).exists()
