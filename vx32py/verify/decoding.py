"""Instructions, as a verifier reads them: prefixes and opcodes by their bytes, everything else by capstone's word."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

from capstone import CS_ARCH_X86, CS_MODE_32, Cs

from vx32py.verify.control import stubs
from vx32py.verify.instructions import is_safe

#: The legacy prefixes (SDM volume 2, 2.1.1).
PREFIXES: Final = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")
_REPEATS: Final = frozenset(b"\xf2\xf3")
#: Overrides of segments that are not the guest's. (CS is execute-only, but nothing of it is to be tried.)
_FORBIDDEN: Final = {0x2E: "CS", 0x64: "FS", 0x65: "GS"}
#: What capstone may say before the name of an instruction that may be copied.
_SPOKEN: Final = frozenset({"lock", "rep", "repe", "repz", "repne", "repnz"})
#: Operands that no guest has: segment, control and debug registers, those of AVX-512 and MPX, operands in CS, FS or GS.
_FOREIGN: Final = re.compile(r"\b([cdefgs]s\b(?!:)|[cfg]s:|[cdt]r\d|[xyz]mm(1[6-9]|2\d|3[01])|zmm\d|k[0-7]\b|bnd\d)")
_ESCAPES: Final = {b"\x0f\x38": 3, b"\x0f\x3a": 3}
#: Hints, or reserved to become some.
_HINTS: Final = (b"\x0f\x0d", b"\x0f\x18", b"\x0f\x19", b"\x0f\x1c", b"\x0f\x1d", b"\x0f\x1e")
_STRINGS: Final = frozenset(b"\xa4\xa5\xaa\xab\xac\xad")


class Bytes(NamedTuple):
    """An instruction's prefixes, and the rest of it."""

    prefixes: bytes
    rest: bytes

    @property
    def whole(self) -> bytes:
        """All of it."""
        return self.prefixes + self.rest


@cache
def _capstone() -> Cs:
    return Cs(CS_ARCH_X86, CS_MODE_32)


def split(code: bytes) -> Bytes:
    """The legacy prefixes of an instruction, and its opcode with all that follows."""
    length = 0
    while length < len(code) and code[length] in PREFIXES:
        length += 1
    return Bytes(code[:length], code[length:])


@lru_cache(1 << 14)
def copy_problem(code: bytes) -> str | None:
    """What is wrong with these bytes as *one* instruction that is executed as it stands; None if nothing is."""
    prefixes, rest = split(code)
    for prefix, segment in _FORBIDDEN.items():
        if prefix in prefixes:
            return f"an operand in {segment}"
    if len(code) > 15 or not rest:
        return "not one instruction"
    if rest[0] == 0x62 and rest[1:2] >= b"\xc0":
        return "an instruction with an EVEX prefix"
    if rest[0] == 0x8F and rest[1:2] and rest[1] & 0x38:
        return "an instruction with an XOP prefix"
    for spelling in (code, _respelled(prefixes, rest)):
        for _, size, mnemonic, operands in _capstone().disasm_lite(spelling, 0, 1):
            if size != len(code):
                break
            *spoken, name = mnemonic.split(" ")
            if not is_safe(name):
                return f"{name}, which may not be copied"
            if not _SPOKEN.issuperset(spoken):
                return f"{mnemonic}, with a prefix that may not be copied"
            if _FOREIGN.search(operands):
                return f"{name} {operands}, with an operand that guests do not have"
            return None
    return "not one instruction"


def single_problems(code: bytes, offset: int) -> list[str]:
    """What is wrong with one instruction that stands alone at a code offset, to be executed as it is, and the way back."""
    instruction, way_back = code[:-5], code[-5:]
    problem = copy_problem(instruction)
    found = [] if problem is None else [f"single instruction at code offset {offset:#x}: {problem}: {code.hex(' ')}"]
    if way_back != b"\xe9" + (stubs()["stepped"] - offset - len(code) & 0xFFFF_FFFF).to_bytes(4, "little"):
        found.append(f"single instruction at code offset {offset:#x}: not followed by the way back: {code.hex(' ')}")
    return found


def _respelled(prefixes: bytes, rest: bytes) -> bytes:
    """The same instruction as capstone knows it: it wants mandatory prefixes last, and for some opcodes it does not know
    that a field means nothing. (tests/reference/test_decode_capstone.py has all that it does not know.)"""
    changed = bytearray(rest)
    opcode = rest[:2]
    if len(rest) > 2 and opcode in _HINTS and (opcode != b"\x0f\x0d" or rest[2] < 0xC0):
        changed[1] = 0x1F
    elif opcode == b"\x0f\xae" and len(rest) == 3 and rest[2] >= 0xE8:
        changed[2] &= 0xF8  # a fence
    elif rest[0] == 0xC4 and len(rest) > 4 and rest[2] & 3 == 1 and _ignores_w(rest[1] & 0x1F, rest[3]):
        changed[2] &= 0x7F
    elif rest == b"\x90":  # a pause, if there is F3
        prefixes = bytes(0x3E if prefix in b"\x66\x67" else prefix for prefix in prefixes)
    ordered = sorted(prefixes, key=lambda prefix: (prefix in _REPEATS, prefix == 0x66))
    return bytes(ordered) + bytes(changed)


def _ignores_w(map_number: int, opcode: int) -> bool:
    return (map_number == 2 and opcode in (0x06, 0x2B)) or (map_number == 3 and 0x60 <= opcode <= 0x63)


# -- the guest's instruction and what became of it -------------------------------------------------------------------


def is_copy(code: bytes, guest: bytes, gs_base: int | None) -> bool:
    """Whether ``code`` is the guest's instruction: with prefixes left out that mean nothing, DS for CS, and a thread
    pointer folded into the displacement."""
    if code == guest and 0x65 not in guest:
        return True
    ours, theirs = split(code), split(guest)
    if 0x65 in theirs.prefixes:
        folded = fold(theirs, gs_base)
        if folded is None:
            return False
        theirs = folded
    if ours.rest != theirs.rest:
        return False
    others = [sorted(0x3E if p == 0x2E else p for p in each.prefixes if p not in _REPEATS) for each in (ours, theirs)]
    kept, had = ({p for p in each.prefixes if p in _REPEATS} for each in (ours, theirs))
    return others[0] == others[1] and (kept <= had or (had == {0xF2} and ours.rest[0] in _STRINGS))


def fold(instruction: Bytes, gs_base: int | None) -> Bytes | None:
    """An instruction with one GS operand as one with a DS operand that is as much further on as GS begins; None if it cannot
    be done. The displacement is of 32 bits then."""
    prefixes, rest = instruction
    if gs_base is None or prefixes.count(0x65) != 1 or 0x67 in prefixes:
        return None
    if 0xA0 <= rest[0] <= 0xA3:
        start, size, head = 1, 4, rest[:1]
    else:
        at = _ESCAPES.get(rest[:2], 2 if rest[0] == 0x0F else {0xC5: 3, 0xC4: 4}.get(rest[0], 1))
        mode, has_sib = rest[at] >> 6, rest[at] & 7 == 4
        if mode == 3:
            return None
        no_base = mode == 0 and (rest[at + 1] if has_sib else rest[at]) & 7 == 5
        start, size = at + 1 + has_sib, 4 if no_base or mode == 2 else mode
        modrm = rest[at] if no_base or mode == 2 else rest[at] & 0x3F | 0x80
        head = rest[:at] + bytes([modrm]) + rest[at + 1 : start]
    moved = int.from_bytes(rest[start : start + size], "little", signed=True) + gs_base
    displacement = (moved & 0xFFFF_FFFF).to_bytes(4, "little")
    return Bytes(prefixes.replace(b"\x65", b"\x3e"), head + displacement + rest[start + size :])


def load_of(guest: Bytes, gs_base: int | None) -> Bytes | None:
    """``mov ecx, r/m`` with the operand of an indirect branch (FF /2, FF /4); None if it is none."""
    if guest.rest[:1] != b"\xff" or len(guest.rest) < 2 or guest.rest[1] & 0x38 not in (0x10, 0x20):
        return None
    found: Bytes | None = guest
    if 0x65 in guest.prefixes:
        found = fold(guest, gs_base)
    if found is None:
        return None
    return Bytes(found.prefixes, bytes([0x8B, found.rest[1] & 0xC7 | 8]) + found.rest[2:])
