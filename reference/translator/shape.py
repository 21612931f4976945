"""The shapes of templates, and how large a fragment may become: what is to be known without translating anything."""

from __future__ import annotations

from enum import Enum
from typing import Final

from reference.layout import CODE_ALIGNMENT

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


#: The size in bytes of a landing, with which every fragment begins.
LANDING_SIZE: Final = 15


def placed(free: int, eip: int) -> int:
    """The first code offset from ``free`` on for a fragment whose body is to be aligned as ``eip`` is."""
    return free + (eip - free - LANDING_SIZE) % CODE_ALIGNMENT
