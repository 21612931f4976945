"""The bugs: each changes one thing in the running process, as a slip of the keyboard might have in a source file.

What a campaign is good for is finding such things. So none of them is gross: each shows in some operands only, or in one
instruction, or between two.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from reference.dispatch import TranslatingEngine
from reference.flags import OF
from reference.isa import semantics as _families  # noqa: F401 - fills the registry
from reference.isa.lookup import FORMS, ImmediateRule
from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.registry import SEMANTICS
from reference.memory import AddressSpace
from reference.registers import EFLAGS
from reference.traps import Vector

_ROUNDING: Final = 0xC00
_CONTROL_WORD: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug: what it is called, what is wrong, and how to get it into this process."""

    name: str
    what: str
    plant: Callable[[], None]


BUGS: Final[dict[str, Bug]] = {}
_planted: Final[list[str]] = []


def plant(name: str) -> None:
    """Plant a bug in this process, for good. Nothing happens if it is there already, or if ``name`` is empty."""
    if name and name not in _planted:
        assert not _planted, f"{_planted[0]} is planted already"
        _planted.append(name)
        BUGS[name].plant()


def _bug(name: str, what: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def register(function: Callable[[], None]) -> Callable[[], None]:
        BUGS[name] = Bug(name, what, function)
        return function

    return register


def _instead(mnemonic: str, run: Callable[[Machine, Operation, Callable[[Machine, Operation], int]], int]) -> None:
    """Give an instruction another meaning, which is told the right one."""
    right = SEMANTICS[mnemonic]
    SEMANTICS[mnemonic] = lambda machine, operation: run(machine, operation, right)


# -- in what instructions do ------------------------------------------------------------------------------------------


@_bug("flag", "SAR leaves OF as it was")
def _flag() -> None:
    def sar(m: Machine, op: Operation, right: Callable[[Machine, Operation], int]) -> int:
        before = m.words[EFLAGS] & OF
        eip = right(m, op)
        m.words[EFLAGS] = m.words[EFLAGS] & ~OF | before
        return eip

    _instead("sar", sar)


@_bug("carry", "ADOX adds without the carry")
def _carry() -> None:
    def adox(m: Machine, op: Operation, right: Callable[[Machine, Operation], int]) -> int:
        m.words[EFLAGS] &= ~OF
        return right(m, op)

    _instead("adox", adox)


@_bug("operands", "SUBPS subtracts the wrong way round")
def _operands() -> None:
    def subps(m: Machine, op: Operation, right: Callable[[Machine, Operation], int]) -> int:
        first, second = op.load, op.source
        op.load, op.source = second, first
        try:
            return right(m, op)
        finally:
            op.load, op.source = first, second

    _instead("subps", subps)


@_bug("lane", "PSHUFB does not clear the lanes whose selectors are negative")
def _lane() -> None:
    def pshufb(m: Machine, op: Operation, right: Callable[[Machine, Operation], int]) -> int:
        source = op.source
        op.source = lambda: source() & 0x7F7F_7F7F_7F7F_7F7F_7F7F_7F7F_7F7F_7F7F
        try:
            return right(m, op)
        finally:
            op.source = source

    _instead("pshufb", pshufb)


@_bug("rounding", "FADD rounds to nearest, whatever the control word says")
def _rounding() -> None:
    def fadd(m: Machine, op: Operation, right: Callable[[Machine, Operation], int]) -> int:
        control = m.image[0] & _CONTROL_WORD
        m.image[0] &= ~_ROUNDING
        try:
            return right(m, op)
        finally:
            m.image[0] = m.image[0] & ~_CONTROL_WORD | control

    _instead("fadd", fadd)


@_bug("alignment", "MULPD takes an operand that is not aligned")
def _alignment() -> None:
    right: Callable[..., bool] = Operation._must_be_aligned  # noqa: SLF001 - what is broken is inside

    def must_be_aligned(self: Operation, operand: Any) -> bool:
        return self.instruction.mnemonic != "mulpd" and right(self, operand)

    Operation._must_be_aligned = must_be_aligned  # type: ignore[method-assign]  # noqa: SLF001


# -- in what they are ------------------------------------------------------------------------------------------------


@_bug("length", "TEST Ev,Iz has an immediate of one byte")
def _length() -> None:
    index = next(form.row.index for form in FORMS if form.row.opcode == "F7 /0")
    FORMS._made[index] = replace(FORMS[index], immediate=ImmediateRule.BYTE)  # noqa: SLF001


# -- in translation --------------------------------------------------------------------------------------------------


@_bug("stencil", "the native translator's JAE is a JA")
def _stencil() -> None:
    from jit import compiled, stencils

    right = compiled.unpack
    made = stencils.build()
    start = sum(len(stencil.code) for stencil in made.all[: stencils.NUMBERS["branch_near_ae"]])

    def unpack(payload: bytes) -> compiled.Compiled | None:
        header = compiled._HEADER  # noqa: SLF001
        tables = header.unpack_from(payload)[2:]
        opcode = header.size + tables[compiled.TABLES.index("stencil_code")] + start + 1
        assert payload[opcode] == 0x83
        return right(payload[:opcode] + b"\x87" + payload[opcode + 1 :])

    compiled.unpack = unpack
    compiled.build()


@_bug("borrowed", "a fault inside a template leaves ECX to the guest as the template had it")
def _borrowed() -> None:
    right = TranslatingEngine._precise  # noqa: SLF001

    def precise(self: TranslatingEngine, offset: int) -> int:
        ecx = self.cpu.ecx
        eip = right(self, offset)
        self.cpu.ecx = ecx
        return eip

    TranslatingEngine._precise = precise  # type: ignore[method-assign]  # noqa: SLF001


@_bug("invalidation", "a store into translated code drops it only when the guest stops")
def _invalidation() -> None:
    right, run = TranslatingEngine._code_changes, TranslatingEngine._run  # noqa: SLF001
    waiting: list[tuple[int, int]] = []
    running: list[TranslatingEngine] = []

    def code_changes(self: TranslatingEngine, first: int, last: int) -> None:
        if running:
            waiting.append((first, last))
        else:
            right(self, first, last)

    def run_and_drop(self: TranslatingEngine) -> Any:
        running.append(self)
        try:
            return run(self)
        finally:
            running.pop()
            while waiting:
                right(self, *waiting.pop())

    TranslatingEngine._code_changes = code_changes  # type: ignore[method-assign]  # noqa: SLF001
    TranslatingEngine._run = run_and_drop  # type: ignore[method-assign]  # noqa: SLF001


@_bug("second-page", "of the pages that a fragment was made from, only the first is watched")
def _second_page() -> None:
    right = AddressSpace.watch

    def watch(self: AddressSpace, first_page: int, last_page: int) -> None:
        right(self, first_page, min(last_page, first_page + 1))

    AddressSpace.watch = watch  # type: ignore[method-assign]


@_bug("death", "the native engine's process dies of a division by zero")
def _death() -> None:
    right = TranslatingEngine._fault  # noqa: SLF001

    def fault(self: TranslatingEngine, stop: Any) -> Any:
        if stop.vector == Vector.DIVIDE_ERROR and self.name == "jit":
            os.kill(os.getpid(), signal.SIGSEGV)
        return right(self, stop)

    TranslatingEngine._fault = fault  # type: ignore[method-assign]  # noqa: SLF001
