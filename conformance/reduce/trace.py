"""What a case looks like on the way: the specification, run step by step.

Only to make guesses: whether they are right, the search finds out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from conformance.case import MUTABLE, MUTABLE_END, Case
from conformance.listing import policy_of
from conformance.oracles.bench import at_int3
from conformance.oracles.engines import EngineBench
from conformance.reduce.memory import contents, with_contents
from conformance.reduce.program import Piece, pieces_of
from reference.engines import ReferenceEngine
from reference.errors import MemoryFault, NotModelled
from reference.isa.instruction import Relative
from reference.registers import EIP
from reference.traps import Trap, Vector

#: More steps than these tell nothing new.
_MOST: Final = 128
#: More than these are too many for a case.
_ENDLESS: Final = 300


class _Steps(EngineBench):
    """Runs so many steps and notes the registers before each."""

    def __init__(self, case: Case) -> None:
        super().__init__(ReferenceEngine, policy_of(case))
        self.most = _MOST
        self.words: list[tuple[int, ...]] = []

    def _run(self) -> Trap | None:
        self.words.clear()
        for _ in range(self.most):
            self.words.append(tuple(self.cpu.words))
            trap = self.engine.step()
            if trap.number != Vector.SINGLE_STEP:
                return at_int3(self.cpu, trap)
        return None


def ends(case: Case) -> bool:
    """Whether the specification comes to an end soon. Only a branch that leads back can keep it from that."""
    if not any(_leads_back(piece) for piece in pieces_of(case)):
        return True
    bench = _Steps(case)
    bench.most = _ENDLESS
    try:
        bench.run(case)
    except (NotModelled, MemoryFault):
        return True
    finally:
        bench.close()
    return len(bench.words) < _ENDLESS


def _leads_back(piece: Piece) -> bool:
    if piece.instruction is None or not piece.instruction.operands:
        return False
    target = piece.instruction.operands[-1]
    return isinstance(target, Relative) and target.target <= piece.eip


def registers_at(case: Case) -> dict[int, tuple[int, ...]]:
    """The registers when the specification first comes to an address; of those that it comes to."""
    bench = _Steps(case)
    try:
        bench.run(case)
    except (NotModelled, MemoryFault):
        pass  # up to there
    finally:
        found: dict[int, tuple[int, ...]] = {}
        for words in bench.words:
            found.setdefault(words[EIP], words)
        bench.close()
    return found


def later(case: Case, steps: int) -> Case | None:
    """The case as it is after some steps, without the code that it has left behind; None where they lead elsewhere."""
    bench = _Steps(case)
    bench.most = steps
    try:
        outcome = bench.run(case)
    except (NotModelled, MemoryFault):
        return None
    finally:
        bench.close()
    end = case.eip + len(case.code)
    eip = outcome.words[EIP]
    if outcome.trap is not None or outcome.failure or not case.eip < eip < end:
        return None
    changed = {address + i: byte for address, run in outcome.memory for i, byte in enumerate(run)}
    if any(MUTABLE <= address < MUTABLE_END and not case.eip <= address < end for address in changed):
        return None  # an instruction more
    content = contents(case) | changed
    code = bytes(content.pop(address, old) for address, old in enumerate(case.code[eip - case.eip :], eip))
    fp = None if case.fp is None else outcome.fp
    return with_contents(replace(case, code=code, words=outcome.words, fp=fp), content)
