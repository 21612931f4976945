"""Programs out of Debian's packages do in the jail what they do natively: output, exit code, files.

The packages are downloaded once for a machine. Without a network the tests are skipped, but on CI that is a failure.
`python -m conformance.programs` runs the same by hand, and with --all more.
"""

from __future__ import annotations

import functools
import os

import needs
import pytest

from conformance.programs import roots, sets
from conformance.programs.cases import CASES
from conformance.programs.run import NATIVE, Outcome, difference, run

SUITE = [(case, engine) for case in CASES if case.default for engine in case.engines]


@functools.cache
def tree(name: str) -> roots.Root:
    """A tree of packages; the test is skipped where it cannot be had, unless this is CI."""
    try:
        return sets.fetch(name)
    except roots.Unavailable as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@functools.cache
def native(index: int) -> Outcome:
    """How a case ends natively: run once for all engines."""
    case, _ = SUITE[index]
    return run(case, tree(case.root), NATIVE)


@pytest.mark.parametrize("index", range(len(SUITE)), ids=[f"{case.name}-{engine}" for case, engine in SUITE])
def test_a_program_does_in_the_jail_what_it_does_natively(index: int) -> None:
    case, engine = SUITE[index]
    needs.engine(engine)
    expected = native(next(i for i, (other, _) in enumerate(SUITE) if other is case))
    assert expected.exit_code is not None, "the native run was too slow"
    assert difference(case, expected, run(case, tree(case.root), engine)) == ""
