"""Programs that Go's compiler has made for Plan 9, on the kernel: ``python -m conformance.plan9`` runs all of them."""

from __future__ import annotations

import os

import pytest

from conformance.plan9 import golang, programs
from conformance.plan9.cases import CASES, Case


@pytest.fixture(scope="module")
def go() -> str:
    """The toolchain; in CI it is there."""
    try:
        return str(golang.root())
    except golang.Unavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"there is no Go: {error}")


def _case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize("name", ["hello", "processes"])
def test_programs_of_gos_do_what_they_should(go: str, name: str) -> None:
    """Of those the second has threads, pipes, an environment and notes, and begins itself. More takes too long here."""
    assert programs.compare(_case(name)).problem == ""


def test_every_program_says_what_it_is_about_and_where_it_differs_from_linux_what_it_says() -> None:
    assert len({case.title for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.source.read_text().startswith(("// ", "package main")), case.title
        if case.name in ("hello", "threads", "processes", "notes", "statuses"):
            assert case.expected() is not None
