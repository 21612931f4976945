"""Fuel: whether every engine stops after exactly as many instructions as it is given, and in exactly the right state.

    python -m conformance.fuel --seconds 60 --seed 1

A case is first executed instruction by instruction, on each engine: that says how many instructions it has, and what the
guest looks like between any two of them. Then it runs again and again, with each small amount of fuel, and must stop where
the steps have been, having used just that much; with enough of it, it must come to its trap. An engine has to agree with
its own steps in every bit, and with the other engines wherever the case's outcome is defined.

Single steps share nothing with the counting of translated code: no fragment is executed.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

import click

from conformance import sequences
from conformance.case import DATA, ENTRY, LIMIT, MUTABLE, STACK, Case
from conformance.guest_code import Branch
from conformance.listing import policy_of
from conformance.oracles.bench import INITIAL_FP, State
from conformance.oracles.engines import EngineBench
from conformance.outcome import Outcome, differences
from reference.flags import STATUS
from reference.memory import AddressSpace
from reference.policy import Group, Policy
from reference.registers import EIP
from reference.traps import Trap, Vector
from vx32py import _engines

#: What is not the same in each run of a case.
_NOT_REPEATABLE: Final = frozenset({Group.TIME, Group.RANDOM})
#: Of an execution that is longer, only so many instructions are looked at.
MOST_STEPS: Final = 200
#: With up to so much fuel every amount is tried; beyond, some of them.
_ALL_UP_TO: Final = 20
_SOME: Final = 10


# -- running a case --------------------------------------------------------------------------------------------------


class FuelBench(EngineBench):
    """An engine that runs cases with so much ``fuel``; ``used`` is how much that took."""

    def __init__(self, name: str, policy: Policy, *, metered: bool = True) -> None:
        engine = _engines.create(name, limit=LIMIT, budget=LIMIT, policy=policy, metered=metered)

        def space(_limit: int) -> AddressSpace:
            return engine.space

        super().__init__(lambda _space, _policy: engine, policy, space)
        self.fuel = self.used = 0

    def steps(self, case: Case, most: int) -> list[Outcome]:
        """Execute a case in single steps to its trap, but no more than ``most``: the outcome of none of them, of one, …"""
        self._states: list[State] = []
        self.fuel, self._stepping = most, True
        try:
            self.run(case)
        finally:
            self._stepping = False
        return [self.outcome(case, state) for state in self._states]

    def _run(self) -> Trap | None:
        stats = self.engine.stats
        before = stats.instructions
        trap = self._step() if self._stepping else self.engine.run_for(self.fuel)
        self.used = stats.instructions - before
        return trap

    def _step(self) -> Trap | None:
        self._states.append(self._state(None))
        for _ in range(self.fuel):
            trap = self.engine.step()
            traps = trap.number != Vector.SINGLE_STEP
            self._states.append(self._state(trap if traps else None))
            if traps:
                return trap
        return None

    def _state(self, trap: Trap | None) -> State:
        regions = self._regions if self._mutable is not None else [(start, end) for start, end, _ in self._data]
        memory = tuple(self.space.load(start, end - start) for start, end in regions)
        return State(trap, bytes(self._words), bytes(self._fp), memory)


@dataclass(frozen=True, slots=True)
class Steps:
    """What single steps of an engine have shown: the state before each instruction and behind the last, and the trap of the
    last one if there was one."""

    outcomes: list[Outcome]

    @property
    def count(self) -> int:
        """How many instructions there were."""
        return len(self.outcomes) - 1

    @property
    def trap(self) -> Trap | None:
        """The trap of the last one."""
        return self.outcomes[-1].trap


class Comparison:
    """Engines, to be compared case by case; close it."""

    def __init__(self, engines: Sequence[str]) -> None:
        self._engines = engines
        self._benches: dict[Policy, dict[str, FuelBench]] = {}

    def problems(self, case: Case, rng: random.Random, *, most: int = MOST_STEPS) -> list[str]:
        """What is wrong with how the engines count the instructions of a case."""
        case = replace(case, fp=INITIAL_FP if case.fp is None else case.fp)
        found: list[str] = []
        shown: dict[str, Steps] = {}
        policy = policy_of(replace(case, groups=case.groups - _NOT_REPEATABLE))
        if policy not in self._benches:
            self._benches[policy] = {name: FuelBench(name, policy) for name in self._engines}
        for name, bench in self._benches[policy].items():
            bench.point_to(case.gs_base)
            steps = shown[name] = Steps(bench.steps(case, most))
            for fuel in _amounts(steps.count, rng):
                found += [f"{name}, fuel {fuel} of {steps.count}: {each}" for each in _check(bench, case, fuel, steps)]
        first, *others = shown
        for other in others:
            found += [f"{first} and {other}: {each}" for each in _disagreements(case, shown[first], shown[other])]
        return found

    def close(self) -> None:
        """Close all engines."""
        for benches in self._benches.values():
            for bench in benches.values():
                bench.close()


def _amounts(count: int, rng: random.Random) -> list[int]:
    """How much fuel to try where ``count`` instructions are known."""
    some = rng.sample(range(_ALL_UP_TO, count), min(_SOME, count - _ALL_UP_TO)) if count > _ALL_UP_TO else []
    return sorted({*range(min(count, _ALL_UP_TO) + 1), *some, max(count - 1, 0), count})


def _check(bench: FuelBench, case: Case, fuel: int, steps: Steps) -> list[str]:
    bench.fuel = fuel
    outcome = bench.run(case)
    found = differences(replace(case, undefined=0), steps.outcomes[fuel], outcome)
    if bench.used != fuel:
        found.append(f"used {bench.used}")
    if fuel == steps.count and steps.trap is not None:
        bench.fuel = fuel + 1 + (1 << 40)
        outcome = bench.run(case)
        found += [
            f"with more: {each}" for each in differences(replace(case, undefined=0), steps.outcomes[fuel], outcome)
        ]
        if bench.used != fuel:
            found.append(f"with more: used {bench.used}")
    return found


def _disagreements(case: Case, one: Steps, other: Steps) -> list[str]:
    found = []
    if one.count != other.count:
        found.append(f"{one.count} or {other.count} instructions")
    for count, (a, b) in enumerate(zip(one.outcomes, other.outcomes, strict=False)):
        if a.words[EIP] != b.words[EIP]:
            return [*found, f"after {count} instructions: eip {a.words[EIP]:#x} or {b.words[EIP]:#x}"]
    last = min(one.count, other.count)
    is_end = one.count == other.count and one.trap is not None
    found += differences(case, one.outcomes[last], other.outcomes[last], ignore_flags=0 if is_end else STATUS)
    return found


# -- programs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Address:
    """An instruction that ends with the address of piece number ``target``, or of a byte in it."""

    opcode: bytes
    target: int
    offset: int = 0
    behind: bytes = b""

    def encode(self, address: int) -> bytes:
        """Its bytes."""
        return self.opcode + (address + self.offset).to_bytes(4, "little") + self.behind


_Piece = bytes | Branch | _Address

#: What there is between branches. ESI, EDI and EBP point at data, ECX, EDX and EBX hold whatever comes along.
_PLAIN: Final = tuple(
    bytes.fromhex(code)
    for code in (
        "40", "43", "4a", "01d8", "11d3", "29c2", "19db", "8d4401 07".replace(" ", ""), "0fafc2", "d1d8", "9f", "0f9cc0",
        "0f45c2", "8b4604", "894508", "895ef8", "0102", "50 58".replace(" ", ""), "85c0", "f7d8", "f8", "f9", "90",
        "660f6fc1", "660ffec8", "d9e8", "ddd8", "b103", "b90300000 0".replace(" ", ""), "0fb6c8", "8bc8",
        "0fa2",  # cpuid: executed by the host
        "9c9d",  # pushf, popf: likewise
        "ce",  # into
        "b103f3aa", "f3a5", "b105f3a4", "5158f3ae",  # repeated, some of them zero times
        "ff4510", "60 61".replace(" ", ""), "c9", "b8efbeadde", "bb11223344", "ba00000000",
    )
)  # fmt: skip
#: What ends a program before its end.
_TRAPS: Final = tuple(
    bytes.fromhex(code)
    for code in ("0f0b", "cc", "0f05", "cd80", "a120000000", "f4", "31d2f7f2", "0fff", "b8ffffff7f40ce")
)
_COUNTERS: Final = DATA + 0x1800


def program(rng: random.Random) -> Case:
    """A program that goes round in loops, calls functions directly and not, and changes itself if it can. Many never end."""
    eip = rng.choice((ENTRY, ENTRY, MUTABLE + 0x40, MUTABLE + 0xFF0))
    count = rng.randint(2, 40)
    pieces: list[_Piece] = [_piece(rng, count, eip != ENTRY) for _ in range(count)]
    pieces.append(b"\xcc")
    for _ in range(3):
        pieces += [_piece(rng, count, eip != ENTRY), *(rng.choice(_PLAIN) for _ in range(rng.randrange(3))), b"\xc3"]
    code = _lay_out(pieces, eip)
    words = [rng.choice((0, 1, 3, 0x7FFF_FFFF, rng.getrandbits(32))) for _ in range(8)] + [eip, 0x202]
    words[2] = DATA + 0x900
    words[4], words[5], words[6], words[7] = STACK + 0x800, DATA + 0x400, DATA + 0x800, DATA + 0xC00
    counters = b"".join(rng.randint(1, 4).to_bytes(4, "little") for _ in range(8))
    return Case("program", code, tuple(words), ((_COUNTERS, counters),), groups=Policy.everything().groups)


def _piece(rng: random.Random, count: int, mutable: bool) -> _Piece:
    kind, target = rng.random(), rng.randrange(count)
    if kind < 0.60:
        return rng.choice(_PLAIN)
    if kind < 0.72:  # forward or back, as flags will have it
        return Branch(rng.randrange(0x70, 0x80), target, rng.random() < 0.3)
    if kind < 0.78:
        return Branch(rng.randrange(0xE0, 0xE4), target)
    if kind < 0.84:  # a loop that counts
        return b"\xff\x0d" + (_COUNTERS + 4 * rng.randrange(8)).to_bytes(4, "little")
    if kind < 0.89:
        return Branch(0xE8, count + 1 + rng.randrange(9))
    if kind < 0.91:
        return Branch(0xEB, target, rng.random() < 0.5)
    if kind < 0.95:  # push; ret, or mov; call
        if rng.random() < 0.5:
            return _Address(b"\x68", target, behind=b"\xc3")
        return _Address(b"\xba", count + 1 + rng.randrange(9), behind=b"\xff\xd2")
    if kind < 0.98 and mutable:  # mov byte [piece + offset], 0x43
        return _Address(b"\xc6\x05", target, rng.randrange(5), bytes([rng.choice((0x43, 0x40, 0x90))]))
    return rng.choice(_TRAPS)


def _lay_out(pieces: Sequence[_Piece], eip: int) -> bytes:
    sizes = [len(piece) if isinstance(piece, bytes) else len(piece.encode(0)) for piece in pieces]
    starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    code = bytearray()
    for i, piece in enumerate(pieces):
        if isinstance(piece, bytes):
            code += piece
            continue
        there = starts[piece.target % len(starts)]
        code += piece.encode(there - starts[i + 1]) if isinstance(piece, Branch) else piece.encode(eip + there)
    return bytes(code)


def random_cases(rng: random.Random) -> Iterator[Case]:
    """Programs, and the sequences of other campaigns, without end."""
    while True:
        yield program(rng) if rng.random() < 0.7 else sequences.batch(rng, 1).case(0)


@click.command()
@click.option("--seconds", type=float, default=60.0, show_default=True, help="How long to go on.")
@click.option("--seed", type=int, default=1, show_default=True, help="Where to begin.")
@click.option("--engines", default=",".join(_engines.NAMES), show_default=True, help="Which ones, with commas.")
def main(seconds: float, seed: int, engines: str) -> None:
    """Run programs with all amounts of fuel on all engines; exit code 1 if they disagree."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    end = time.monotonic() + seconds
    wrong = 0
    with closing(Comparison(engines.split(","))) as comparison:
        for number, case in enumerate(random_cases(rng)):
            if time.monotonic() > end:
                break
            problems = comparison.problems(case, rng)
            if problems:
                wrong += 1
                click.echo(f"case {number} of seed {seed}: {case.code.hex()} {case.words}")
                click.echo("".join(f"  {problem}\n" for problem in problems[:8]))
    click.echo(f"{number} cases, {wrong} with problems")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
