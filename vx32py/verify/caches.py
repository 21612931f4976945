"""All translated code of a guest at once: the stubs, every fragment as it stands, with its links, and the entry table."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from vx32py.verify import control as at
from vx32py.verify.fragments import problems

if TYPE_CHECKING:
    from reference.cache import Translated

#: The control segment begins this far into the control area.
_CONTROL_BLOCK: Final = 0x1000
_PROBED_TABLE: Final = 0x1000
#: So much of a table is looked at in one go.
_CHUNK: Final = 1 << 14


def audit(translated: Translated) -> list[str]:
    """What is wrong with it, one line each."""
    code = translated.code
    found = at.stub_problems(bytes(code[: at.SCRATCH]))
    if found:
        return found
    fragments = translated.fragments
    for fragment, following in pairwise(fragments):
        if fragment.end > following.offset:
            found.append(f"fragment of {fragment.eip:#010x}: runs into that of {following.eip:#010x}")
    #: The EIP of each landing, by its own, and where the code of each EIP is.
    landings: dict[int, int] = {}
    places: set[tuple[int, int]] = set()
    for made in fragments:
        found += problems(
            made.with_code(bytes(code[made.offset : made.end])),
            origin=translated.origin,
            gs_base=translated.gs_base,
            window=translated.window,
            bodies=translated.bodies,
            metered=translated.metered,
        )
        for eip, offset, body in made.landings:
            landings[translated.origin + offset & 0xFFFF_FFFF] = eip
            places.add((eip, body))
    found += [
        f"the code for {eip:#010x} is said to be at code offset {body:#x}"
        for eip, body in translated.bodies.items()
        if (eip, body) not in places
    ]
    return found + (_hashed_problems if translated.window is None else _direct_problems)(translated, landings)


def _direct_problems(translated: Translated, landings: dict[int, int]) -> list[str]:
    """Every entry is zero, or the landing of its own EIP."""
    assert translated.window is not None
    found = []
    for offset, entry in _entries(translated.control, at.DIRECT_TABLE):
        eip = translated.window + (offset - at.DIRECT_TABLE) // 8
        if offset % 8 or landings.get(entry) != eip:
            found.append(f"entry table, at {offset:#x} of the control segment: {entry:#010x} for EIP {eip:#010x}")
    return found


def _hashed_problems(translated: Translated, landings: dict[int, int]) -> list[str]:
    """Every entry is the lookup stub, or a landing of an EIP that belongs there."""
    lookup = translated.origin + at.stubs()["lookup"] & 0xFFFF_FFFF
    control, found = translated.control, []
    first = _CONTROL_BLOCK + at.HASHED_TABLE >> 2
    for low, entry in enumerate(control[first : first + 0x1_0000].tolist()):
        if entry != lookup and landings.get(entry, -1) & 0xFFFF != low:
            found.append(f"hashed entry table: {entry:#010x} for EIPs that end in {low:#06x}")
    first = _CONTROL_BLOCK + _PROBED_TABLE >> 2
    words = control[first : _CONTROL_BLOCK + at.HASHED_TABLE >> 2].tolist()
    for eip, entry in zip(words[::2], words[1::2], strict=True):
        if entry and landings.get(entry) != eip:
            found.append(f"hashed entry table, second level: {entry:#010x} for EIP {eip:#010x}")
    return found


def _entries(control: memoryview, start: int) -> Iterator[tuple[int, int]]:
    """The words that are not zero, with their offsets in the control segment, from ``start`` on."""
    first = _CONTROL_BLOCK + start >> 2
    empty = bytes(4 * _CHUNK)
    for begin in range(first, len(control), _CHUNK):
        words = control[begin : begin + _CHUNK]
        if words.tobytes() == empty[: words.nbytes]:
            continue
        for index, entry in enumerate(words.tolist(), begin):
            if entry:
                yield 4 * index - _CONTROL_BLOCK, entry
