"""The reducer: from a case that diverges to the shortest program, and the smallest state, that still does.

    small = reduce(case, lambda candidate: bool(differences(candidate, reference.run(candidate), jit.run(candidate))))

A case is made smaller step by step: instructions are left out, or the case begins later; prefixes go, addresses become
numbers, memory operands become registers; immediates, registers, flags, memory and floating-point state become simple.
Every step is a guess (:mod:`.search`), and ``diverges`` decides. So a bug in a pass costs time, not truth.

What instructions a case has never changes, but for those that are left out. What *kind* of divergence it is,
``diverges`` must see to: :class:`~conformance.reduce.cause.SameCause` does, and runs cases where they can do no harm.

    search      which cases are tried, and when the search ends
    size        which of two cases is smaller; values: which of two numbers is simpler
    program     code as pieces that can be left out; encoding: one instruction, encoded differently
    code state  the passes; memory and trace are for them
    cause       whether two cases diverge for the same reason
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from conformance.case import Case
from conformance.reduce import code, state
from conformance.reduce.search import Search

#: So many cases are executed at most, unless somebody wants more.
BUDGET: Final = 4000

#: In the order of what they are likely to gain.
_PASSES: Final[tuple[Callable[[Search], None], ...]] = (
    code.drop_instructions,
    code.skip_beginning,
    code.simplify_instructions,
    state.clear_memory,
    state.clear_registers,
    state.clear_flags,
    state.clear_floating_point,
    code.move_data,
    code.move_home,
    code.drop_groups,
    state.clear_thread_pointer,
    state.simplify_memory,
    state.simplify_floating_point,
    state.compare_more,
)


def reduce(case: Case, diverges: Callable[[Case], bool], *, budget: int = BUDGET) -> Case:
    """The smallest case that ``diverges`` and that ``case`` leads to. The same every time, if ``diverges`` is.

    ``diverges`` is called ``budget`` times at most, and never twice for one case; a True from it is final. Raises
    ValueError if it does not hold for ``case`` itself.
    """
    if not diverges(case):
        raise ValueError(f"{case.label or 'the case'} does not diverge")
    search = Search(case, diverges, budget - 1)
    while True:
        before = search.case
        for simplify in _PASSES:
            simplify(search)
        if search.case == before or not search.left:
            return search.case
