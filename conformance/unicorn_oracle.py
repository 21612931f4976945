"""Unicorn (QEMU's processor model) as an outside oracle for integer cases.

It has no segment limits and reports page faults less exactly than a processor does: the address where the access began,
a read where a read-modify-write is a write. Of a store that reaches into a page that faults it has stored the first bytes
by then. :func:`reconcile` takes that into account.
"""

from __future__ import annotations

from typing import Any, Final

import unicorn as _unicorn
from unicorn import x86_const as x86

from conformance.case import CODE, ENTRY, LAYOUT, Case
from conformance.run_case import Outcome
from reference.traps import Access, Trap, Vector, page_fault, processor_trap

unicorn: Any = _unicorn  # it ships no types

_PROTECTIONS: Final = {
    Access.READ: unicorn.UC_PROT_READ,
    Access.RW: unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE,
    Access.RX: unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC,
}
_REGISTERS: Final = (
    x86.UC_X86_REG_EAX, x86.UC_X86_REG_ECX, x86.UC_X86_REG_EDX, x86.UC_X86_REG_EBX, x86.UC_X86_REG_ESP,
    x86.UC_X86_REG_EBP, x86.UC_X86_REG_ESI, x86.UC_X86_REG_EDI, x86.UC_X86_REG_EIP, x86.UC_X86_REG_EFLAGS,
)  # fmt: skip
_MEMORY_ERRORS: Final = frozenset({
    unicorn.UC_ERR_READ_UNMAPPED, unicorn.UC_ERR_WRITE_UNMAPPED, unicorn.UC_ERR_READ_PROT, unicorn.UC_ERR_WRITE_PROT,
})  # fmt: skip
_AFTER_THE_INSTRUCTION: Final = frozenset({Vector.BREAKPOINT, Vector.OVERFLOW})


class UnicornBench:
    """Runs cases one after the other, like :class:`~conformance.run_case.EngineBench`."""

    def __init__(self) -> None:
        self.uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
        self.uc.ctl_set_cpu_model(x86.UC_CPU_X86_SKYLAKE_CLIENT)
        for start, length, access in LAYOUT:
            self.uc.mem_map(start, length, _PROTECTIONS[access])
        self.uc.mem_write(CODE, b"\xcc" * 0x1000)
        self.uc.hook_add(unicorn.UC_HOOK_INTR, self._exception)
        self._code = b""
        self._vector: int | None = None
        self._fresh = self.uc.context_save()

    def run(self, case: Case) -> Outcome:
        """Execute the case's instruction."""
        uc = self.uc
        if case.code != self._code:
            uc.mem_write(ENTRY, case.code.ljust(16, b"\xcc"))
            uc.ctl_remove_cache(ENTRY, ENTRY + 16)
            self._code = case.code
        for address, content in case.memory:
            uc.mem_write(address, content)
        uc.reg_write_batch(tuple(zip(_REGISTERS, case.words, strict=True)))
        self._vector = None
        memory_fault = False
        try:
            if case.repeats:  # an iteration counts as an instruction
                uc.emu_start(ENTRY, ENTRY + len(case.code))
            else:
                uc.emu_start(ENTRY, 0, count=1)
        except unicorn.UcError as error:
            if error.errno == unicorn.UC_ERR_INSN_INVALID:
                self._vector = Vector.INVALID_OPCODE
            elif error.errno in _MEMORY_ERRORS:
                memory_fault = True
            else:
                raise
        trap: Trap | None = None
        if memory_fault:
            trap = page_fault(ENTRY, 0, Access.NONE)
        elif self._vector is not None:
            vector = Vector(self._vector)
            behind = len(case.code) if vector in _AFTER_THE_INSTRUCTION else 0
            trap = processor_trap(vector, ENTRY + behind)
            outcome = self._outcome(case, trap)
            uc.context_restore(self._fresh)  # nobody handled the exception: the next would be a double fault
            return outcome
        return self._outcome(case, trap)

    def _outcome(self, case: Case, trap: Trap | None) -> Outcome:
        return Outcome(
            tuple(self.uc.reg_read_batch(_REGISTERS)),
            tuple(bytes(self.uc.mem_read(address, len(content))) for address, content in case.memory),
            trap,
        )

    def _exception(self, uc: Any, number: int, user_data: object) -> None:
        self._vector = number
        uc.emu_stop()


def reconcile(oracle: Outcome, ours: Outcome) -> Outcome:
    """The oracle's outcome with our description of a memory fault, and of memory after it, if it found one too."""
    if oracle.trap is None or ours.trap is None or oracle.trap.number != ours.trap.number:
        return oracle
    words = list(oracle.words)
    words[8] = ours.words[8]
    memory = ours.memory if ours.trap.number == Vector.PAGE_FAULT else oracle.memory
    return Outcome(tuple(words), memory, ours.trap)
