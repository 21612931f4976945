"""rc and other programs of Plan 9's, built from Debian's 9base, on the kernel.

Their sources and a Linux build of them are downloaded once for a machine. Without a network the tests are skipped, but on CI that is a
failure. ``python -m conformance.plan9 tree`` builds all of the programs.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from conformance.plan9.tree import cases, comparing, layout, oracle
from vx32py.plan9.kernel import Kernel

PROGRAMS = ("cat", "echo", "grep", "ls", "rc", "sed")


@functools.cache
def tree() -> Path:
    """A tree with the programs; the test is skipped where it cannot be had, unless this is CI."""
    try:
        return layout.kept(PROGRAMS)
    except oracle.Unavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def test_the_tree_boots_and_its_shell_runs_a_pipeline(engine_name: str) -> None:
    with Kernel(engine=engine_name, root=tree(), timeout=120) as kernel:
        result = kernel.run(["rc", "-c", "x=(b a); echo $x | sed 's/a/c/'; ls -d /rc/lib; ~ $#x 2"])
    assert (result.status, result.stdout, result.stderr) == ("", b"b c\n/rc/lib\n", b"")


#: Those that need no other programs, of more than two hundred that ``python -m conformance.plan9 programs`` runs.
CASES = (
    "rc: lists", "rc: status of pipelines has parts", "rc: here documents", "rc: command substitution", "rc: the environment",
    "rc: many in the background", "sed: joining lines", "grep: expressions",
)  # fmt: skip


def test_programs_write_what_they_write_on_linux() -> None:
    chosen = [case for case in cases.all_cases() if case.title in CASES]
    assert len(chosen) == len(CASES)
    with comparing.comparer(tree()) as comparer:
        assert [f"{each.case.title}: {each.problem}" for each in comparer.compare_all(chosen) if each.problem] == []


def test_outcomes_that_differ_are_told() -> None:
    case, said = cases.Case("echo", "words", "echo a\n"), comparing.Outcome(b"a\nb\n", True, 0.0)
    differing = {
        "line 2 is b'b'": comparing.Outcome(b"a\nc\n", True, 0.0),
        "line 2 is b'b', not b'<end>'": comparing.Outcome(b"a\n", True, 0.0),
        "it ended well": comparing.Outcome(b"a\nb\n", False, 0.0),
    }
    for told, other in differing.items():
        comparison = comparing.Comparison(case, said, other)
        assert not comparison.agree
        assert comparison.problem.startswith(told)
    assert comparing.Comparison(case, said, said).problem == ""
