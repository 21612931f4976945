"""What a case led to, and what two oracles disagree about.

    expected, actual = reference.run(case), jit.run(case)
    assert not differences(case, expected, actual), report(case, differences(case, expected, actual))

An :class:`Outcome` holds registers in full, and of memory only what has changed: two oracles that were given the same
case can be compared without looking at all of memory, and an outcome in a file is short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from conformance import tolerance
from conformance.case import Case
from reference import flags as eflags
from reference.registers import EFLAGS, EIP, ESP, GENERAL_NAMES
from reference.traps import Access, Trap

#: The flags that a guest can change, and that are therefore compared.
COMPARED_FLAGS: Final = eflags.GUEST_WRITABLE

#: Where the XSAVE image keeps what, by first byte and length. The pointers to the last x87 instruction and its operand are
#: left out, since not every processor keeps them unless an exception is pending, and so is the rest of the image.
FP_FIELDS: Final = (
    ("fcw", 0, 2), ("fsw", 2, 2), ("ftw", 4, 1), ("mxcsr", 24, 4),
    *((f"st{i}", 32 + 16 * i, 10) for i in range(8)),
    *((f"xmm{i}", 160 + 16 * i, 16) for i in range(8)),
    *((f"ymm{i} high", 576 + 16 * i, 16) for i in range(8)),
)  # fmt: skip


#: Bytes that are looked at together where nothing has changed.
_STEP: Final = 512


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case led to.

    ``words`` are the registers, ``fp`` the XSAVE image if the case has one. ``memory`` are (address, content) of the
    stretches that have changed, in ascending order, each as long as can be. ``trap`` is None where EIP has reached an INT3;
    EIP is then that of the INT3. ``failure`` is not empty where the oracle itself failed, and says how.
    """

    words: tuple[int, ...]
    memory: tuple[tuple[int, bytes], ...]
    trap: Trap | None
    fp: bytes | None = None
    failure: str = ""


def changes(start: int, before: bytes, after: bytes) -> list[tuple[int, bytes]]:
    """The stretches at ``start`` that two contents of equal length do not agree in, with the second content.

    >>> changes(0x1000, b"abcdef", b"aXYdeZ")
    [(4097, b'XY'), (4101, b'Z')]
    """
    found: list[tuple[int, bytes]] = []
    if before == after:
        return found
    assert len(before) == len(after)
    i, length = 0, len(before)
    while i < length:
        step = min(_STEP, length - i)
        while step and before[i : i + step] != after[i : i + step]:
            step //= 2
        if step:
            i += step
            continue
        first = i
        while i < length and before[i] != after[i]:
            i += 1
        found.append((start + first, after[first:i]))
    return found


def differences(case: Case, expected: Outcome, actual: Outcome, *, ignore_flags: int = 0) -> list[str]:
    """What the two outcomes disagree about, in words.

    What the case declares undefined is left out, and what its instructions leave open (:mod:`conformance.tolerance`).
    """
    if expected.failure or actual.failure:
        if expected.failure == actual.failure:
            return []
        return [f"failure: {expected.failure or 'none'} or {actual.failure or 'none'}"]
    found: list[str] = []
    trapped = expected.trap is not None
    if (expected.trap is None) != (actual.trap is None) or (
        expected.trap is not None and actual.trap is not None and not expected.trap.agrees_with(actual.trap)
    ):
        found.append(f"trap: {_trap(expected.trap)} or {_trap(actual.trap)}")
    partial = trapped and case.partial_if_trapped
    for index, name in enumerate((*GENERAL_NAMES, "eip")):
        a, b = expected.words[index], actual.words[index]
        if a != b and not (partial and index not in (ESP, EIP)) and not case.undefined_registers >> index & 1:
            found.append(f"{name}: {a:#010x} or {b:#010x}")
    compared = COMPARED_FLAGS & ~(case.undefined | ignore_flags)
    if trapped:
        compared &= ~case.undefined_if_trapped
    a, b = expected.words[EFLAGS] & compared, actual.words[EFLAGS] & compared
    if a != b:
        found.append(f"flags: {eflags.name(a)} or {eflags.name(b)} (compared {eflags.name(compared)})")
    if expected.memory != actual.memory and not partial:
        found += _memory_differences(case, expected, actual)
    if expected.fp is not None and actual.fp is not None and expected.fp != actual.fp:
        found += fp_differences(case, expected.fp, actual.fp)
    return found


def _memory_differences(case: Case, expected: Outcome, actual: Outcome) -> list[str]:
    one, other = _by_address(expected), _by_address(actual)
    differing = sorted(address for address in one.keys() | other.keys() if one.get(address) != other.get(address))
    found: list[str] = []
    end = 0
    for address in differing:
        if address < end:
            continue
        end = address + 8
        before = case.before(address, end)
        shown = [bytes(bytes_.get(address + i, before[i]) for i in range(8)).hex() for bytes_ in (one, other)]
        found.append(f"memory at {address:#010x}: {shown[0]} or {shown[1]} (before {before.hex()})")
    return found


def _by_address(outcome: Outcome) -> dict[int, int]:
    return {address + i: byte for address, content in outcome.memory for i, byte in enumerate(content)}


def fp_differences(case: Case, expected: bytes, actual: bytes) -> list[str]:
    """What two XSAVE images disagree about. Registers in the order of the image: highest byte first, as numbers."""
    found = []
    rules = tolerance.of_rows(case.rows)
    for name, start, length in FP_FIELDS:
        a, b = expected[start : start + length], actual[start : start + length]
        if a == b:
            continue
        ignored = case.undefined_fsw | rules.status if name == "fsw" else 0
        if (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")) & ~ignored == 0:
            continue
        if name not in ("fcw", "fsw", "ftw", "mxcsr") and rules.accepts(name, a, b):
            continue
        found.append(f"{name}: {a[::-1].hex()} or {b[::-1].hex()}")
    return found


def report(case: Case, found: list[str]) -> str:
    """One failed case, for people."""
    names = (*GENERAL_NAMES, "eip", "eflags")
    registers = " ".join(f"{name}={value:08x}" for name, value in zip(names, case.words, strict=True))
    origin = f" ({case.origin})" if case.origin else ""
    return f"{case.label}{origin}: {case.code.hex(' ')}\n  before: {registers}\n  " + "\n  ".join(found)


def _trap(trap: Trap | None) -> str:
    if trap is None:
        return "none"
    access = f", {Access(trap.access).name} of {trap.address:#010x}" if trap.access else ""
    return f"{trap.number:#x} at {trap.eip:#010x} (vector {trap.vector}{access})"
