"""EFLAGS: the bits, and which of them a guest may have (SDM volume 1, section 3.4.3).

Guests run with alignment checking, single-stepping and nested tasks out of reach: POPF leaves TF, IOPL, NT, RF and AC
as they were. A guest that could set TF or AC would set them for the host's signal handlers too.
"""

from __future__ import annotations

from typing import Final

CF: Final = 1 << 0
PF: Final = 1 << 2
AF: Final = 1 << 4
ZF: Final = 1 << 6
SF: Final = 1 << 7
TF: Final = 1 << 8
IF: Final = 1 << 9
DF: Final = 1 << 10
OF: Final = 1 << 11
IOPL: Final = 3 << 12
NT: Final = 1 << 14
RF: Final = 1 << 16
VM: Final = 1 << 17
AC: Final = 1 << 18
VIF: Final = 1 << 19
VIP: Final = 1 << 20
ID: Final = 1 << 21

#: The six status flags that arithmetic writes.
STATUS: Final = CF | PF | AF | ZF | SF | OF
#: What POPF changes in a guest; everything else keeps its value.
GUEST_WRITABLE: Final = STATUS | DF | ID
#: Bits that always read as one for a guest: the fixed bit 1, and IF.
ALWAYS_SET: Final = 0x2 | IF

_LETTERS: Final = {"o": OF, "s": SF, "z": ZF, "a": AF, "p": PF, "c": CF, "d": DF}


def parse(letters: str) -> int:
    """The mask for a string of flag letters in the order of Intel's tables: ``"oszapc"``, ``"c"``, ``"-"``, ``"d"``.

    >>> hex(parse("zc"))
    '0x41'
    """
    mask = 0
    for letter in letters.replace("-", ""):
        mask |= _LETTERS[letter]
    return mask


def name(mask: int) -> str:
    """The letters of the flags in ``mask``, upper case, for messages.

    >>> name(0x41)
    'ZC'
    """
    return "".join(letter.upper() for letter, bit in _LETTERS.items() if mask & bit) or "-"
