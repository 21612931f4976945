"""What is run: a module for each kind of program, each with a tuple `CASES`. The order is that of the table in docs."""

from __future__ import annotations

from typing import Final

from conformance.programs.case import Case
from conformance.programs.cases import archives, compilers, languages, others, servers, shells, text

CASES: Final[tuple[Case, ...]] = (
    *shells.CASES,
    *text.CASES,
    *archives.CASES,
    *languages.CASES,
    *compilers.CASES,
    *servers.CASES,
    *others.CASES,
)


def chosen(names: tuple[str, ...], *, everything: bool = False) -> list[Case]:
    """The cases whose name, package or tree is one of `names`; without names those of the test suite, or everything.

    Raises KeyError for a name that is nothing.
    """
    for name in names:
        if not any(name in {case.name, case.package, case.root} for case in CASES):
            raise KeyError(name)
    if names:
        return [case for case in CASES if {case.name, case.package, case.root} & set(names)]
    return [case for case in CASES if everything or case.default]
