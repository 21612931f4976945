"""The bare processor as an oracle: a case's own bytes, untranslated, in 32-bit mode.

Segments, memory, signals and the way in and out are the native engine's (:mod:`jit.native`); what is left out is everything
that is made of the guest's code on the way: the bytes stand in the code segment as they are, with a jump to the exit stub
behind them. Where it disagrees with the native engine, the translator or the dispatcher is wrong.

What a guest must not execute as it stands is not executed here either: transfers, traps, whatever the translator rewrites
or the host does for the guest. The oracle then has nothing to say.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Final

from conformance.case import CODE_END, ENTRY, LIMIT, Case
from conformance.listing import instructions_of
from conformance.oracles.bench import Bench
from conformance.oracles.engines import missing_groups
from conformance.outcome import Outcome
from jit.native import NativeProcessor
from reference import layout, runtime
from reference.isa.instruction import Instruction, Kind
from reference.isa.lookup import FORMS
from reference.registers import CPU, EIP, FP_IMAGE_BYTES, REGISTER_WORDS, Segment
from reference.stop import StopKind
from reference.traps import Trap, Vector, page_fault, processor_trap, protection_fault

#: Where the code of cases is put in the code segment: with the alignment that it has in the guest's memory.
_HOME: Final = 0x1_0000 + (ENTRY & 0xFFF)
_MEMORY_VECTORS: Final = frozenset({Vector.GENERAL_PROTECTION, Vector.STACK_FAULT})
_VECTORS: Final = frozenset(int(vector) for vector in Vector)
#: Instructions that load more than a register holds, in an order of their own: which of the bytes that are out of reach
#: they report is the processor's affair.
_AREAS: Final = frozenset({"fldenv", "frstor", "fxrstor"})
#: Instructions that the host executes for the guest, but that do no harm and leak nothing where a case may run them. XRSTOR
#: is not among them: the processor may have components that guests do not have.
_HARMLESS: Final = _AREAS | {"popa"}


class ProcessorBench(Bench):
    """The processor over the memory layout of the cases."""

    def __init__(self) -> None:
        self.processor = processor = NativeProcessor(limit=LIMIT)
        control = processor.control
        cpu = CPU(control[: 4 * REGISTER_WORDS].cast("I"), control[layout.FP_IMAGE : layout.FP_IMAGE + FP_IMAGE_BYTES])
        processor.code[: len(runtime.STUBS)] = runtime.STUBS
        processor.prepare()
        super().__init__(cpu, processor.space)
        self._native = processor.code
        self._end = 0

    def load(self, code: bytes, eip: int) -> None:
        """Put the code into the guest's memory, where it is looked at, and into the code segment, where it runs."""
        super().load(code, eip)
        end = _HOME + len(code)
        leave = b"\xe9" + struct.pack("<I", (runtime.EXIT - (end + 5)) & 0xFFFF_FFFF)
        self._native[_HOME : end + len(leave)] = code + leave
        self._end = end

    def _run(self) -> Trap | None:
        cpu = self.cpu
        eip = cpu.words[EIP]
        stop = self.processor.enter(_HOME)
        if stop.kind == StopKind.LEFT:
            cpu.words[EIP] = eip + self._end - _HOME
            return None
        assert stop.kind == StopKind.FAULT, f"the processor stopped in a way that it should not: {stop}"
        assert _HOME <= stop.offset < self._end, f"a fault at code offset {stop.offset:#x}, outside the case"
        eip += stop.offset - _HOME
        cpu.words[EIP] = eip
        if stop.vector == Vector.PAGE_FAULT:
            return page_fault(eip, stop.address, stop.access)
        if stop.vector in _MEMORY_VECTORS:
            return protection_fault(eip, vector=Vector(stop.vector))
        return processor_trap(Vector(stop.vector), eip) if stop.vector in _VECTORS else Trap(stop.vector, eip)

    def close(self) -> None:
        """Give segments and memory back."""
        super().close()
        self.processor.close()


class ProcessorOracle:
    """The processor as an :class:`~conformance.oracles.Oracle`."""

    name = "processor"

    def __init__(self) -> None:
        self._bench: ProcessorBench | None = None
        self._missing = missing_groups()

    def cannot_judge(self, case: Case) -> str | None:
        """Only straight-line code that the translator copies can run as it stands."""
        if case.modifies_code:
            return "modifies its own code"
        instructions = instructions_of(case)
        length = sum(instruction.length for instruction in instructions)
        if length < len(case.code) or not instructions:
            return "not admitted as it stands"
        if case.eip + length > CODE_END - 1:
            return "reaches the end of its page"
        for instruction in instructions:
            reason = self._reason(instruction)
            if reason is not None:
                return reason
        if case.needs_low_memory and not self._only_bench().low_memory:
            return "no low memory"
        return None

    def _reason(self, instruction: Instruction) -> str | None:
        lacking = FORMS[instruction.row.index].groups & self._missing
        if lacking:
            return f"the processor lacks {min(group.value for group in lacking)}"
        kind = instruction.row.kind
        if kind is Kind.REWRITE:
            return "the translator rewrites it"
        if kind is Kind.TRAP:
            return "it is for the host"
        if kind is Kind.ASSIST and instruction.mnemonic not in _HARMLESS:
            return "the host does it for the guest"
        if instruction.segment in (Segment.CS, Segment.FS, Segment.GS) or instruction.copy != instruction.raw:
            return "a prefix that the translator changes"
        return None

    def bench_for(self, case: Case) -> ProcessorBench:
        """The bench, with the case's code."""
        bench = self._only_bench()
        bench.load(case.code, case.eip)
        return bench

    def _only_bench(self) -> ProcessorBench:
        if self._bench is None:
            self._bench = ProcessorBench()
        return self._bench

    def run(self, case: Case) -> Outcome:
        """What the case leads to."""
        return self._only_bench().run(case)

    def reconcile(self, case: Case, own: Outcome, other: Outcome) -> Outcome:
        """Its outcome; of an area that is out of reach, with the other oracle's description of the fault."""
        if own.trap is None or other.trap is None or not own.trap.number == other.trap.number == Vector.PAGE_FAULT:
            return own
        if not any(each.mnemonic in _AREAS for each in instructions_of(case)):
            return own
        return replace(own, trap=other.trap)

    def close(self) -> None:
        """Give the processor back."""
        if self._bench is not None:
            self._bench.close()
            self._bench = None
