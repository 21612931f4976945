"""What the documentation says is true: examples in README, reading guide and docstrings run; what is named exists."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import guests
from vx32py import _compile

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("reference", "jit", "vx32py", "conformance")


@pytest.mark.compiler
def test_the_tour_runs_as_it_is_printed() -> None:
    if not _compile.compilers():
        pytest.skip("no compiler for guests here")
    assert guests.main() == 0
    (tour,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", tour], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "divide error at eip" in done.stdout


def test_the_reading_guide_runs() -> None:
    failed, tried = doctest.testfile(str(ROOT / "reference" / "README.md"), module_relative=False)
    assert tried > 40
    assert failed == 0


EXAMPLES = [
    path.relative_to(ROOT)
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text()
]


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_examples_in_docstrings_run(path: Path) -> None:
    result = doctest.testmod(importlib.import_module(".".join(path.with_suffix("").parts)))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_path_that_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"\]\(([A-Za-z][\w/.]*)\)|`([a-z]+/)`", text):
        assert (ROOT / "".join(path)).exists()


PAGES = sorted(path.relative_to(ROOT) for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(rf"`((?:{'|'.join(PACKAGES)}|tests)/[\w/.-]+)`", (ROOT / page).read_text())
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_within_a_page_leads_to_a_heading(page: Path) -> None:
    text = (ROOT / page).read_text()
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= anchors


def test_the_contents_of_the_architecture_page_are_its_sections() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert re.findall(r"^\d+\. \[(.*)\]", text, re.MULTILINE) == re.findall(r"^## (.*)", text, re.MULTILINE)
