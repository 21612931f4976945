"""What the documentation says is true: examples in README, reading guide and docstrings run; what is named exists."""

from __future__ import annotations

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import guests
from vx32py import _compile
from vx32py._jailpolicy import WORDS, JailPolicy
from vx32py.commands import booting
from vx32py.plan9 import Kernel

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("reference", "jit", "vx32py", "conformance")


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code in a language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.compiler
def test_the_tour_runs_as_it_is_printed() -> None:
    if not _compile.compilers():
        pytest.skip("no compiler for guests here")
    assert guests.main() == 0
    tour = blocks("README.md", "python")[0]
    done = subprocess.run([sys.executable, "-c", tour], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "divide error at eip" in done.stdout


JAIL_EXAMPLES = [("README.md", blocks("README.md", "python")[1])] + [
    ("docs/jail.md", block) for block in blocks("docs/jail.md", "python")
]


@pytest.mark.compiler
@pytest.mark.parametrize(("page", "example"), JAIL_EXAMPLES, ids=[page for page, _ in JAIL_EXAMPLES])
def test_examples_of_jails_run_as_they_are_printed(page: str, example: str) -> None:
    if "zig" not in _compile.compilers():
        pytest.skip("static Linux programs need zig")
    program = ROOT / "build" / "guests" / "cat-linux"
    program.parent.mkdir(parents=True, exist_ok=True)
    _compile.compile_guest([ROOT / "examples" / "cat.c"], program, libc="musl")
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


PLAN9_EXAMPLES = [("README.md", blocks("README.md", "python")[2])] + [
    (page, block) for page in ("docs/plan9.md", "docs/plan9-names.md") for block in blocks(page, "python")
]


@pytest.mark.compiler
@pytest.mark.parametrize(("page", "example"), PLAN9_EXAMPLES, ids=[page for page, _ in PLAN9_EXAMPLES])
def test_examples_of_plan_9_run_as_they_are_printed(page: str, example: str) -> None:
    if not _compile.compilers():
        pytest.skip("no compiler for guests here")
    for name in ("cat", "sieve"):
        made = guests.example(name, "plan9")
        (guests.BUILD / f"{name}.8").write_bytes(made.read_bytes())
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


PRIMES = [n for n in range(2, 100) if all(n % m for m in range(2, n))]


@pytest.mark.compiler
def test_the_program_on_the_page_of_plan_9_runs(tmp_path: Path) -> None:
    if not _compile.compilers():
        pytest.skip("no compiler for guests here")
    (source,) = blocks("docs/plan9.md", "c")
    (tmp_path / "it.c").write_text(source)
    program = _compile.compile_guest([tmp_path / "it.c"], tmp_path / "it", libc="plan9")
    with Kernel(memory="32M", timeout=60) as kernel:
        kernel.bind({"it": program.read_bytes()}, "/bin")
        assert re.fullmatch(rb"it: 2 arguments, process \d+\n", kernel.run(["it", "a", "b"]).stdout)


def test_the_example_of_plan_9_runs() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "examples/plan9.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "hello from Python"
    assert lines[2:5] == ["1", "2", "101"]
    assert lines[-3:] == [" ".join(map(str, PRIMES)), "some input", "and more"]


def test_the_page_of_plan_9_has_every_option() -> None:
    text = (ROOT / "docs" / "plan9.md").read_text()
    others = {"--aout", "--stats"}
    flags = {option.flag for option in booting.OPTIONS if option.flag.startswith("--")} - others
    assert [flag for flag in sorted(flags) if f"`{flag}" not in text and f" {flag} " not in text] == []


def test_the_example_of_plugins_runs_as_it_is_printed() -> None:
    (example,) = blocks("README.md", "python")[3:]
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_the_policy_file_on_the_page_of_the_jail_is_one(tmp_path: Path) -> None:
    (example,) = blocks("docs/jail.md", "toml")
    path = tmp_path / "build.toml"
    path.write_text(example)
    policy = JailPolicy.from_file(path)
    assert policy.root == str(tmp_path / "debian-i386")
    assert policy.allow_exec


def test_the_page_of_the_jail_has_every_word_of_a_policy() -> None:
    text = (ROOT / "docs" / "jail.md").read_text()
    assert [word.name for word in WORDS if f"`{word.name}`" not in text] == []


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
