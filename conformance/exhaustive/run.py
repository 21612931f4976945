"""One unit, in the process that it may kill: judged, executed, compared, counted.

Encodings stand in a page of code, 64 bytes apart, each followed by INT3, on the native engine and on the reference engine
alike. When the page is full, all of it is run: first in good states, then, what has to do with memory, in bad ones (one in
:func:`~conformance.exhaustive.space.faults_one_in`).
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any, Final

from conformance.campaign.finding import kinds
from conformance.case import CODE, CODE_END, INT3
from conformance.cases import Batch
from conformance.encodings import POLICY_WITH_GS
from conformance.exhaustive.judge import Judge
from conformance.exhaustive.space import Leaf, Unit, faults_one_in, leaves
from conformance.exhaustive.states import GS_BASE, packed, state, touches_memory
from conformance.isa import alike
from conformance.oracles.bench import Contents, State
from conformance.oracles.engines import EngineBench, bench_of, missing_groups
from conformance.outcome import differences
from reference.errors import NotModelled
from reference.isa.decode import decode
from reference.isa.instruction import Instruction, InvalidOpcode
from reference.isa.lookup import FORMS
from reference.isa.semantics.registry import SEMANTICS
from reference.traps import SOFTWARE_INTERRUPT, Vector
from vx32py._errors import UnsupportedHost

__all__ = ["PRELOAD", "UnitResult", "run_unit"]

#: What the process imports before it is forked.
PRELOAD: Final = ("conformance.exhaustive.run", "capstone", "numpy")
#: Bytes to an encoding on its page; the last place stays empty, for branches to lead to.
_STRIDE: Final = 64
_PLACES: Final = (CODE_END - CODE) // _STRIDE - 1
#: Of what is refused, one in so many is executed, too, and shown to capstone.
_REFUSED_ONE_IN: Final = 32
#: What a class of differences from capstone does not name: bytes, and operands.
_BYTES: Final = re.compile(r" is encoded as .*| \|.*|(?<=admitted: ).*\|")
#: Where nothing is executed in a bad state, one fragment in so many is shown to the verifier; elsewhere as many as are.
_VERIFIED_ONE_IN: Final = 4
#: Examples of each class of finding.
_EXAMPLES: Final = 3


@dataclass(slots=True)
class UnitResult:
    """What became of a unit.

    ``counts`` are by table of opcodes and what is counted; ``findings`` has for each class of finding how often and some
    examples, ``capstone`` the same for differences that are known, without examples.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[Any]] = field(default_factory=dict)
    capstone: Counter[str] = field(default_factory=Counter)

    def find(self, name: str, example: str) -> None:
        """Note down a finding of a class."""
        found = self.findings.setdefault(name, [0])
        found[0] += 1
        if len(found) <= _EXAMPLES:
            found.append(example)


@cache
def _equipment() -> tuple[Judge, EngineBench, EngineBench]:
    """Judge, native engine and reference engine of this process."""
    native, reference = bench_of("jit", POLICY_WITH_GS), bench_of("reference", POLICY_WITH_GS)
    for bench in (native, reference):
        if not bench.low_memory:
            raise UnsupportedHost("16-bit addresses need memory below 64 KiB, which this host keeps to itself")
        bench.point_to(GS_BASE)
    return Judge(), native, reference


def run_unit(
    part: str, name: str, seed: int, skip: frozenset[int], most: int, tick: Callable[[int], None]
) -> UnitResult:
    """Run a unit without the encodings whose numbers are in ``skip``, and no further than number ``most`` unless it is
    zero; ``tick(number)`` is called before each."""
    unit = Unit(part, name)
    run = _Run(seed, faults_one_in(unit), tick)
    for number, leaf in enumerate(leaves(unit)):
        if most and number >= most:
            break
        if number in skip:
            run.result.counts["all/killed the process"] += 1
            continue
        run.take(number, leaf)
    run.flush()
    return run.result


@dataclass(slots=True)
class _Placed:
    """An encoding on the page."""

    number: int
    leaf: Leaf
    table: str
    digest: int


class _Run:
    """One unit at work."""

    def __init__(self, seed: int, faults: int, tick: Callable[[int], None]) -> None:
        self.seed = seed
        self.faults_one_in = faults
        self.tick = tick
        self.judge, self.native, self.reference = _equipment()
        self.result = UnitResult()
        self.placed: list[_Placed] = []
        self.missing = missing_groups()

    def take(self, number: int, leaf: Leaf) -> None:
        """Judge an encoding, and put it on the page if it is to be executed."""
        self.tick(number)
        counts, instruction = self.result.counts, leaf.instruction
        table = _table(leaf.code)
        eip = CODE + _STRIDE * len(self.placed)
        counts[f"{table}/enumerated"] += leaf.weight
        if instruction is None:
            counts[f"{table}/refused"] += leaf.weight
            counts[f"{table}/refused leaves"] += 1
            if self.judge.admits_refused(leaf, eip):
                self.result.find("refused by the decoder, admitted by the compiled translator", leaf.code.hex(" "))
            if number % _REFUSED_ONE_IN:
                return
            self._ask_capstone(leaf)
        else:
            verify = zlib.crc32(leaf.code) % (self.faults_one_in or _VERIFIED_ONE_IN) == 0
            verdict = self.judge.fragment(instruction, eip, verify=verify)
            counts[f"{table}/verified"] += verify
            counts[f"{table}/{verdict.kind}"] += 1
            for problem in verdict.problems:
                self.result.find(f"fragment of {instruction.mnemonic}", f"{leaf.code.hex(' ')}: {problem}")
            self._ask_capstone(leaf)
            if _is_repeated_elsewhere(instruction):
                counts[f"{table}/same template"] += 1
                return
            if instruction.mnemonic not in SEMANTICS:
                self.result.find(f"not modelled: {instruction.mnemonic}", leaf.code.hex(" "))
                return
            if FORMS[instruction.row.index].groups & self.missing:
                counts[f"{table}/not of this processor"] += 1
                return
        self.placed.append(_Placed(number, leaf, table, zlib.crc32(leaf.code)))
        if len(self.placed) == _PLACES:
            self.flush()

    def _ask_capstone(self, leaf: Leaf) -> None:
        found = self.judge.capstone(leaf)
        self.result.counts["all/shown to capstone"] += 1
        if found is None:
            return
        what, explained = found
        if explained:
            self.result.capstone[what] += 1
        else:
            self.result.find(f"capstone, unexplained: {_BYTES.sub('', what)}", f"{leaf.code.hex(' ')}: {what}")

    def flush(self) -> None:
        """Execute what is on the page, and empty it."""
        if not self.placed:
            return
        page = bytearray([INT3]) * (CODE_END - CODE)
        for place, each in enumerate(self.placed):
            start = _STRIDE * place
            page[start : start + len(each.leaf.code)] = each.leaf.code
        for bench in (self.native, self.reference):
            bench.space.store(CODE, bytes(page))
        for good, (place, each) in product((True, False), enumerate(self.placed)):
            instruction = each.leaf.instruction
            if instruction is None:
                if good:
                    self._run_refused(each, CODE + _STRIDE * place)
            elif good or (self.faults_one_in and each.digest % self.faults_one_in == 0 and touches_memory(instruction)):
                self._run_admitted(each, instruction, CODE + _STRIDE * place, good)
        self.placed.clear()

    def _run_refused(self, each: _Placed, eip: int) -> None:
        words, image, memory = state(_NOP, each.digest, good=True, seed=self.seed)
        before = packed(words, eip)
        self.result.counts[f"{each.table}/refused and executed"] += 1
        a, b = self._both(each.number, before, image, memory)
        for name, found in (("native", a), ("reference", b)):
            trap = found.trap
            if trap is None or trap.number != Vector.INVALID_OPCODE or trap.eip != eip or found.words != before:
                self.result.find(f"refused, but not by the {name} engine", f"{each.leaf.code.hex(' ')}: {trap}")

    def _both(self, number: int, words: bytes, image: bytes, memory: Contents) -> tuple[State, State]:
        self.tick(number)
        return self.native.execute(words, image, memory), self.reference.execute(words, image, memory)

    def _run_admitted(self, each: _Placed, instruction: Instruction, eip: int, good: bool) -> None:
        counts, table = self.result.counts, each.table
        words, image, memory = state(instruction, each.digest, good=good, seed=self.seed)
        before = packed(words, eip)
        try:
            a, b = self._both(each.number, before, image, memory)
        except NotModelled as error:
            self.result.find(f"not modelled: {error.instruction}", each.leaf.code.hex(" "))
            return
        name = "good" if good else "bad"
        counts[f"{table}/executed, {name} state"] += 1
        counts[f"all/{name} state: {_ending(a)}"] += 1
        if alike(b, a, True):
            counts[f"{table}/agreed to the last bit"] += 1
            return
        here = decode(each.leaf.code, eip, POLICY_WITH_GS)
        case = Batch(
            each.leaf.code.hex(" "), each.leaf.code, eip, (here,), (here.row.index,), [before], [image], [memory],
            gs_base=GS_BASE,
        ).case(0)  # fmt: skip
        found = differences(case, self.reference.outcome(case, b), self.native.outcome(case, a))
        if found:
            counts[f"{table}/differing"] += 1
            self.result.find(
                f"{here.mnemonic}: {kinds(found)}", f"{each.leaf.code.hex(' ')} ({name} state): {'; '.join(found[:4])}"
            )
        else:
            counts[f"{table}/agreed where defined"] += 1


_NOP: Final = decode(b"\x90", CODE, POLICY_WITH_GS)


def _ending(state: State) -> str:
    if state.trap is None:
        return "completed"
    number = state.trap.number
    return "INT n" if SOFTWARE_INTERRUPT <= number < Vector.SYSCALL else f"trap {number:#x}"


def _table(code: bytes) -> str:
    """The opcode map that an encoding belongs to, for the counts."""
    opcode = next((i for i, byte in enumerate(code) if byte not in b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3"), 0)
    first = code[opcode]
    after = code[opcode + 1] if opcode + 1 < len(code) else 0
    if first == 0x0F:
        return {0x38: "0f 38", 0x3A: "0f 3a"}.get(after, "0f")
    if first in (0xC4, 0xC5, 0x62) and after >= 0xC0:
        if first == 0x62:
            return "evex"
        return "vex c5" if first == 0xC5 else f"vex c4 {after & 31}" if after & 31 in (1, 2, 3) else "vex c4 other"
    return "x87" if first & 0xF8 == 0xD8 else "one byte"


def _is_repeated_elsewhere(instruction: Instruction) -> bool:
    """Whether the template is the one of the encoding without F2 and F3, which means the same, and is executed where that
    is enumerated. (Where a REPNE becomes REP, that is another encoding than the one without.)"""
    if instruction.copy == instruction.raw or instruction.rep or not _strays(instruction):
        return False
    try:
        other = decode(instruction.copy, instruction.eip, POLICY_WITH_GS)
    except InvalidOpcode:
        return False
    same = ("row", "operands", "operand_size", "address_size", "lock", "rep", "segment", "vector_length")
    if any(getattr(instruction, name) != getattr(other, name) for name in same if name != "operands"):
        return False
    return instruction.operands == other.operands and other.copy == other.raw


def _strays(instruction: Instruction) -> int:
    return sum(byte in (0xF2, 0xF3) for byte in instruction.raw[: instruction.opcode_offset])
