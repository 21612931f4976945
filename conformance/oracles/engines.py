"""The engines as oracles: the specification, its translator on the modelled processor, and the native engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from conformance.case import LIMIT, Case
from conformance.listing import instructions_of, policy_of
from conformance.oracles import CannotJudge
from conformance.oracles.bench import Bench, at_int3
from conformance.outcome import Outcome
from reference.engine import Engine
from reference.errors import NotModelled
from reference.isa.lookup import FORMS
from reference.isa.semantics.registry import SEMANTICS
from reference.memory import AddressSpace
from reference.policy import Group, Policy, host_groups
from reference.traps import Trap, Vector
from vx32py import _engines

#: A null selector's thread pointer cannot be loaded; which selector it is does not show in a case.
_SELECTOR: Final = 0x33
#: Engines that are kept, of one policy each.
_MOST_BENCHES: Final = 4


def missing_groups() -> frozenset[Group]:
    """The groups of the instruction table that this processor does not have, as far as one can ask it."""
    found = host_groups()
    return frozenset() if found is None else frozenset(Group) - found


class EngineBench(Bench):
    """An engine over the memory layout of the cases.

    With ``stepping`` the engine executes a case's one instruction as a single step. Without it runs freely, until the INT3
    that stands behind the code: an engine that translates then does so.
    """

    def __init__(
        self,
        factory: Callable[[AddressSpace, Policy], Engine],
        policy: Policy | None = None,
        make_space: Callable[[int], AddressSpace] = AddressSpace,
        *,
        low_memory: bool = True,
        stepping: bool = False,
    ) -> None:
        space = make_space(LIMIT)
        self.engine = factory(space, policy if policy is not None else Policy.everything())
        self._stepping = stepping
        super().__init__(self.engine.cpu, space, low_memory=low_memory)

    def _run(self) -> Trap | None:
        if self._stepping:
            trap = self.engine.step()
            return None if trap.number == Vector.SINGLE_STEP else at_int3(self.cpu, trap)
        return at_int3(self.cpu, self.engine.run())

    def point_to(self, gs_base: int | None) -> None:
        """Give the guest a thread pointer, or none."""
        if gs_base != self.cpu.gs_base:
            self.engine.set_thread_pointer(None if gs_base is None else _SELECTOR, gs_base)

    def close(self) -> None:
        """Close engine and space."""
        super().close()
        self.engine.close()
        self.space.close()


def bench_of(name: str, policy: Policy, *, stepping: bool = False, low_memory: bool = True) -> EngineBench:
    """A bench with an engine of :mod:`vx32py._engines`."""
    engine = _engines.create(name, limit=LIMIT, budget=LIMIT, policy=policy, verify=True)
    return EngineBench(
        lambda space, policy: engine, policy, lambda limit: engine.space, stepping=stepping, low_memory=low_memory
    )


class EngineOracle:
    """An engine as an :class:`~conformance.oracles.Oracle`. Each policy has an engine of its own."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._benches: dict[Policy, EngineBench] = {}
        #: Groups that are not here because the processor does not have them.
        self._missing = missing_groups() if name == "jit" else frozenset()

    def cannot_judge(self, case: Case) -> str | None:
        """The reference cannot judge what it does not model, the native engine what its processor does not have."""
        for instruction in instructions_of(case):
            if self._missing:
                lacking = FORMS[instruction.row.index].groups & self._missing
                if lacking:
                    return f"the processor lacks {min(group.value for group in lacking)}"
            if self.name != "jit" and instruction.mnemonic not in SEMANTICS:
                return f"not modelled: {instruction.mnemonic}"
        if case.needs_low_memory and not self._bench(policy_of(case)).low_memory:
            return "no low memory"
        return None

    def bench_for(self, case: Case) -> EngineBench:
        """The bench of the case's policy, with its thread pointer and its code."""
        bench = self._bench(policy_of(case))
        bench.point_to(case.gs_base)
        bench.load(case.code, case.eip)
        return bench

    def _bench(self, policy: Policy) -> EngineBench:
        found = self._benches.get(policy)
        if found is None:
            if len(self._benches) >= _MOST_BENCHES:
                self._benches.pop(next(iter(self._benches))).close()
            found = self._benches[policy] = bench_of(self.name, policy)
        return found

    def run(self, case: Case) -> Outcome:
        """What the case leads to. Raises CannotJudge where an instruction turns out not to be modelled."""
        bench = self._bench(policy_of(case))
        bench.point_to(case.gs_base)
        try:
            return bench.run(case)
        except NotModelled as error:
            raise CannotJudge(f"not modelled: {error.instruction}") from None

    def close(self) -> None:
        """Close all engines."""
        for bench in self._benches.values():
            bench.close()
        self._benches.clear()
