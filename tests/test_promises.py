"""SPECIFICATION.md names the tests that hold each promise: they exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "SPECIFICATION.md").read_text(encoding="utf-8")
PROMISES = re.findall(r"^\*\*([A-Z]\d+)\.\*\*(.*?)(?=^\*\*[A-Z]\d+\.\*\*|^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(("number", "text"), PROMISES, ids=[number for number, _ in PROMISES])
def test_each_promise_names_tests_that_exist(number: str, text: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`|`(conformance/corpus/[\w/*-]+)`", text)
    assert named, f"{number} names no test"
    for path, test, cases in named:
        if cases:
            assert list(ROOT.glob(f"{cases}*")), f"{number}: no case {cases}"
            continue
        assert (ROOT / path).is_file(), f"{number}: no file {path}"
        assert not test or test in functions_of(ROOT / path), f"{number}: no test {test} in {path}"


def test_promises_are_numbered_one_after_the_other() -> None:
    numbers = [number for number, _ in PROMISES]
    assert len(numbers) > 25
    for letter in dict.fromkeys(number[0] for number in numbers):
        of_letter = [int(number[1:]) for number in numbers if number[0] == letter]
        assert of_letter == list(range(1, len(of_letter) + 1))
