"""The templates: what else there may be in a fragment than instructions of the guest's, byte by byte.

These are the only uses of the control segment (GS) and the only transfers of control. Each is a pattern over all bytes of
the template, so there is nothing in it that has not been looked at. Named groups are what remains to be judged.
"""

from __future__ import annotations

import re
from functools import lru_cache
from re import Pattern
from typing import Final, NamedTuple

from vx32py.verify import control as at

TRAMPOLINE_SIZE: Final = 16
#: With which bytes templates begin.
FIRST_BYTES: Final = frozenset(
    bytes([byte]) for byte in (*range(0x70, 0x80), *range(0xE0, 0xE4), *b"\xeb\xe9\x0f\x67\x68\x65")
)


class Patterns(NamedTuple):
    """For fragments with one window; all match whole templates."""

    meter: Pattern[bytes]
    entry: Pattern[bytes]
    kinds: tuple[tuple[str, Pattern[bytes]], ...]


def word(value: int) -> bytes:
    """A 32-bit field."""
    return (value & 0xFFFF_FFFF).to_bytes(4, "little")


def _is(text: str, *words: int) -> bytes:
    """A pattern for hexadecimal digits, with ``#`` for a 32-bit word each."""
    parts = [bytes.fromhex(part) for part in text.split("#")]
    code = parts[0] + b"".join(word(value) + part for value, part in zip(words, parts[1:], strict=True))
    return re.escape(code)


def _any(name: str, size: int = 4) -> bytes:
    return b"(?P<%s>.{%d})" % (name.encode(), size)


@lru_cache(16)
def patterns(window: int | None) -> Patterns:
    """The templates for a direct entry table with a window of EIPs from ``window`` on, or for the hashed table (None)."""
    spill_ecx = _is("65 89 0d #", at.SPILL_ECX)
    if window is not None:
        spill = spill_ecx
        # jmp gs:[ecx * 8 + entry of EIP 0]: wherever it reads, segmentation has checked, and an entry or a constant is.
        dispatch = _is("65 ff 24 cd #", at.DIRECT_TABLE - 8 * window)
        store = b""
        landing = _is("65 8b 89") + _any("give_ecx")
    else:
        spill = _is("65 89 15 #", at.SPILL_EDX) + spill_ecx
        # movzx edx, cx; jmp gs:[edx * 4 + table]: an index of 16 bits, so it reads an entry.
        dispatch = _is("0f b7 d1 65 ff 24 95 #", at.HASHED_TABLE)
        store = _is("65 c7 05") + _any("slot") + _any("stored")
        landing = _is("65 8b 14 cd") + _any("give_edx") + _is("65 8b 89") + _any("give_ecx")
    load = b"(?P<load>.{2,15}?)"
    push = b"\x68" + _any("back")
    near, wide = b"\xeb" + _any("short", 1), b"\xe9" + _any("wide")
    trap = _is("65 c7 05 #", at.TRAP_EIP) + _any("reported") + _is("65 c7 05 #", at.REASON) + _any("reason") + wide
    release = b"(?:" + _is("8d a4 24") + _any("release") + b")?"
    kinds = {
        "jump": near + b"|" + wide,
        "branch": b"(?P<condition>[\x70-\x7f])"
        + _any("short", 1)
        + b"|\x0f(?P<condition32>[\x80-\x8f])"
        + _any("wide"),
        "loop": b"\x67?(?P<loop>[\xe0-\xe3])(?:" + _any("short", 1) + b"|\x02\xeb\x05\xe9" + _any("wide") + b")",
        "call": push + store + b"(?:" + near + b"|" + wide + b")" + landing,
        "return": spill + b"\x59" + release + dispatch,
        "call indirect": spill + load + push + store + dispatch + landing,
        "jump indirect": spill + load + dispatch,
        "trap": trap,
        "overflow": b"\x71\x1b" + trap,
    }
    meter = (
        spill_ecx
        + _is("65 8b 0d # 8d 49", at.FUEL)
        + _any("charge", 1)
        + _is("65 89 0d # 65 0f b6 0d # e3 01 f4 65 8b 0d #", at.FUEL, at.FUEL + 3, at.SPILL_ECX)
    )
    compiled = tuple((kind, re.compile(pattern, re.DOTALL)) for kind, pattern in kinds.items())
    return Patterns(re.compile(meter, re.DOTALL), re.compile(landing, re.DOTALL), compiled)


def landing(eip: int, window: int | None) -> bytes:
    """The landing of an EIP: it gives back what was spilled if ECX is this EIP, and faults if not."""
    give_ecx = b"\x65\x8b\x89" + word(at.SPILL_ECX - eip)
    return give_ecx if window is not None else b"\x65\x8b\x14\xcd" + word(at.SPILL_EDX - 8 * eip) + give_ecx


def trampoline(offset: int) -> bytes:
    """The trampoline at a code offset: it says which one it is, and leaves through the chain stub."""
    distance = at.stubs()["chain"] - (offset + TRAMPOLINE_SIZE)
    return b"\x65\xc7\x05" + word(at.SITE) + word(offset) + b"\xe9" + word(distance)
