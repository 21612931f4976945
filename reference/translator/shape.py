"""The shapes of templates, and how large a fragment may become: what is to be known without translating anything."""

from __future__ import annotations

from enum import Enum
from typing import Final

from reference.layout import CODE_ALIGNMENT
from reference.records import dataclass

#: A fragment ends after this many instructions, or where this many guest bytes are reached.
MOST_INSTRUCTIONS: Final = 64
MOST_BYTES: Final = 512
#: How much guest code the caller should supply: a fragment and one longest instruction.
FETCH_BYTES: Final = MOST_BYTES + 15


class Shape(Enum):
    """Which template an instruction becomes."""

    COPY = "copied"
    FOLD = "copied, with the thread pointer folded into its address"
    JUMP = "direct jump"
    BRANCH = "conditional jump"
    LOOP = "jump on ECX"
    CALL = "direct call"
    JUMP_INDIRECT = "indirect jump"
    CALL_INDIRECT = "indirect call"
    RETURN = "return"
    TRAP = "trap to the host"
    OVERFLOW = "trap to the host on overflow"
    ASSIST = "executed by the host"
    FALL = "continues in another fragment"


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes in bytes of what depends on the kind of the entry table: ``landing``, with which every fragment begins;
    ``call``, what a call does before it branches; ``spill`` and ``dispatch``, before and at an indirect branch."""

    landing: int
    call: int
    spill: int
    dispatch: int


DIRECT_SIZES: Final = Sizes(landing=7, call=5, spill=7, dispatch=8)
HASHED_SIZES: Final = Sizes(landing=15, call=16, spill=14, dispatch=11)


def sizes(window: int | None) -> Sizes:
    """Those for a direct table with a window of EIPs from ``window`` on, or for the hashed table."""
    return HASHED_SIZES if window is None else DIRECT_SIZES


def placed(free: int, eip: int, window: int | None, *, indirect: bool = False) -> int:
    """The first code offset from ``free`` on for a fragment whose body is to be aligned as ``eip`` is. If ``indirect`` branches
    lead to it, it is its landing where the two would be in different lines of the cache."""
    landing = sizes(window).landing
    apart = eip % CODE_ALIGNMENT < landing
    return free + (eip - free - (0 if indirect and apart else landing)) % CODE_ALIGNMENT
