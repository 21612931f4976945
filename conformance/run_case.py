"""Running one case on an engine, and comparing what two of them made of it.

bench = EngineBench(ReferenceEngine)
outcome = bench.run(case)
assert not differences(case, outcome, other)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from conformance.case import CODE, ENTRY, LAYOUT, LIMIT, Case
from reference import flags as eflags
from reference.engine import Engine
from reference.memory import AddressSpace
from reference.policy import Policy
from reference.registers import EFLAGS, EIP, ESP, GENERAL_NAMES
from reference.traps import Access, Trap, Vector

#: The flags that a guest can change, and that are therefore compared.
COMPARED_FLAGS: Final = eflags.GUEST_WRITABLE

EngineFactory = Callable[[AddressSpace, Policy], Engine]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case led to. ``trap`` is None where the instruction completed; ``memory`` is in the order of the case's."""

    words: tuple[int, ...]
    memory: tuple[bytes, ...]
    trap: Trap | None
    fp: bytes | None = None


class EngineBench:
    """An engine over the memory layout of the cases; runs them one after the other.

    With ``stepping`` the engine executes the instruction as a single step. Without it runs freely, until the INT3 that
    stands behind the instruction and everywhere else on the page of code: an engine that translates then does so.
    """

    def __init__(
        self,
        factory: EngineFactory,
        policy: Policy | None = None,
        make_space: Callable[[int], AddressSpace] = AddressSpace,
        *,
        low_memory: bool = True,
        stepping: bool = True,
    ) -> None:
        self._stepping = stepping
        self.space = make_space(LIMIT)
        for start, length, access in LAYOUT:
            if low_memory or start >= 0x1_0000:
                self.space.map(start, length, access)
        self.space.store(CODE, b"\xcc" * 0x1000)
        self.engine = factory(self.space, policy if policy is not None else Policy.everything())
        self._code = b""

    def run(self, case: Case) -> Outcome:
        """Execute the case's instruction."""
        cpu, space = self.engine.cpu, self.space
        if case.code != self._code:
            space.store(ENTRY, case.code.ljust(max(len(case.code), len(self._code)), b"\xcc"))
            self._code = case.code
        for address, content in case.memory:
            space.store(address, content)
        for index, value in enumerate(case.words):
            cpu.words[index] = value
        if case.fp is not None:
            cpu.fp[:] = case.fp
        trap: Trap | None
        if self._stepping:
            trap = self.engine.step()
            if trap.number == Vector.SINGLE_STEP:
                trap = None
        else:
            trap = self.engine.run()
            if trap.number == Vector.BREAKPOINT:
                trap = None
                cpu.eip -= 1
        return Outcome(
            tuple(cpu.words),
            tuple(space.load(address, len(content)) for address, content in case.memory),
            trap,
            bytes(cpu.fp) if case.fp is not None else None,
        )

    def close(self) -> None:
        """Close engine and space."""
        self.engine.close()
        self.space.close()


def differences(case: Case, expected: Outcome, actual: Outcome, *, ignore_flags: int = 0) -> list[str]:
    """What the two outcomes disagree about, in words; undefined flags and half-done faults are left out."""
    found: list[str] = []
    trapped = expected.trap is not None
    if (expected.trap is None) != (actual.trap is None) or (
        expected.trap is not None and actual.trap is not None and not expected.trap.agrees_with(actual.trap)
    ):
        found.append(f"trap: {_trap(expected.trap)} or {_trap(actual.trap)}")
    partial = trapped and case.partial_if_trapped
    for index, name in enumerate((*GENERAL_NAMES, "eip")):
        a, b = expected.words[index], actual.words[index]
        if a != b and not (partial and index not in (ESP, EIP)):
            found.append(f"{name}: {a:#010x} or {b:#010x}")
    compared = COMPARED_FLAGS & ~(case.undefined | ignore_flags)
    if trapped:
        compared &= ~case.undefined_if_trapped
    a, b = expected.words[EFLAGS] & compared, actual.words[EFLAGS] & compared
    if a != b:
        found.append(f"flags: {eflags.name(a)} or {eflags.name(b)} (compared {eflags.name(compared)})")
    if not partial:
        for (address, _), one, other in zip(case.memory, expected.memory, actual.memory, strict=True):
            if one != other:
                at = next(i for i in range(len(one)) if one[i] != other[i])
                found.append(f"memory at {address + at:#010x}: {one[at : at + 8].hex()} or {other[at : at + 8].hex()}")
    if expected.fp is not None and actual.fp is not None:
        found += fp_differences(expected.fp, actual.fp)
    return found


#: Where the XSAVE image keeps what, by first byte and length. Pointers to the last x87 instruction and its operand are
#: left out, since not every processor keeps them unless an exception is pending, and so is the rest of the image.
_FP_FIELDS: Final = (
    ("fcw", 0, 2), ("fsw", 2, 2), ("ftw", 4, 1), ("mxcsr", 24, 4),
    *((f"st{i}", 32 + 16 * i, 10) for i in range(8)),
    *((f"xmm{i}", 160 + 16 * i, 16) for i in range(8)),
    *((f"ymm{i} high", 576 + 16 * i, 16) for i in range(8)),
)  # fmt: skip


def fp_differences(expected: bytes, actual: bytes) -> list[str]:
    """What two XSAVE images disagree about. Registers in the order of the image: highest byte first, as numbers."""
    found = []
    for name, start, length in _FP_FIELDS:
        a, b = expected[start : start + length], actual[start : start + length]
        if a != b:
            found.append(f"{name}: {a[::-1].hex()} or {b[::-1].hex()}")
    return found


def report(case: Case, found: list[str]) -> str:
    """One failed case, for people."""
    names = (*GENERAL_NAMES, "eip", "eflags")
    registers = " ".join(f"{name}={value:08x}" for name, value in zip(names, case.words, strict=True))
    return f"{case.label}: {case.code.hex(' ')}\n  before: {registers}\n  " + "\n  ".join(found)


def _trap(trap: Trap | None) -> str:
    if trap is None:
        return "none"
    access = f", {Access(trap.access).name} of {trap.address:#010x}" if trap.access else ""
    return f"{trap.number:#x} at {trap.eip:#010x} (vector {trap.vector}{access})"
