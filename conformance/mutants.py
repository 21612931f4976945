"""Fragments with one byte changed, for the verifier to find out.

A mutant is *relevant* if the change has an effect on segments, on control flow or on the control segment. That is judged
without the verifier, by the specification's decoder: from each place where the fragment can be entered, the instructions
that can be reached are followed, and what they are, where they lead and which segments they name is compared with the
original's. Other mutants (another constant, another register) compute something else, inside the same walls.

    python -m conformance.mutants --fragments 20000 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from conformance import translate as tasks
from conformance.isa import Task
from jit.native import NativeProcessor, available
from reference import layout as at
from reference.isa.decode import decode
from reference.isa.instruction import DecodeError, Instruction, InvalidOpcode, Kind, Memory, Relative
from reference.policy import Group, Policy
from reference.registers import EBX, EDX, ESI, Segment
from reference.stop import StopKind
from reference.translator import Fragment
from reference.traps import Access
from vx32py.verify import problems

#: All that the table has: what is refused to guests is no instruction for the judge either.
_EVERYTHING: Final = Policy(frozenset(Group), thread_pointer=True)
#: Templates have these two, and no guest: the far jump is the stubs', HLT the meter's.
_TRANSFERS: Final = frozenset(
    {
        "jmp",
        "call",
        "ret",
        "loop",
        "loope",
        "loopne",
        "jecxz",
        "jcxz",
        "into",
        "int",
        "int3",
        "syscall",
        "sysenter",
        "hlt",
    }
)
_OVERRIDES: Final = frozenset(b"\x26\x36\x3e")
#: The words of the control segment with which a trap is told.
_TOLD: Final = (at.TRAP_EIP.to_bytes(4, "little"), at.REASON.to_bytes(4, "little"))


class Mutant(NamedTuple):
    """A fragment with the byte at ``position`` changed, and what it was made from."""

    original: Fragment
    fragment: Fragment
    position: int
    context: dict[str, int | None]
    guest: bytes


@dataclass
class Tally:
    """How many mutants there were: all, those that are relevant, and of these the ones that the verifier accepted without
    and with the guest's code. ``accepted`` has those of the first kind, by what has changed."""

    fragments: int = 0
    mutants: int = 0
    relevant: int = 0
    accepted: int = 0
    accepted_with_code: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    escapes: list[str] = field(default_factory=list)


def fragments(
    seed: int, count: int, *, translator: str = "jit"
) -> Iterator[tuple[Fragment, dict[str, int | None], bytes]]:
    """Fragments of generated guest code, with what they were translated for, and the code."""
    task = Task("translate", seed, 0, count, (translator,))
    for number in range(count):
        case = tasks.case_of(task, number)
        made = tasks.made_by(translator, case)
        if isinstance(made, Fragment):
            words = case.words
            window = None if words[EBX] == 0xFFFF_FFFF else words[EBX]
            where = {"origin": words[EDX], "gs_base": case.gs_base, "window": window, "metered": bool(words[ESI])}
            yield made, where, case.code


def mutants(
    fragment: Fragment, context: dict[str, int | None], guest: bytes, rng: random.Random, count: int
) -> Iterator[Mutant]:
    """Some mutants of a fragment, the same number for each. Places and values are all as likely."""
    for _ in range(count):
        position = rng.randrange(len(fragment.code))
        code = bytearray(fragment.code)
        code[position] ^= rng.randrange(1, 256)
        yield Mutant(fragment, fragment.with_code(bytes(code)), position, context, guest)


# -- the judge -------------------------------------------------------------------------------------------------------


def _decode(code: bytes, offset: int) -> Instruction:
    """As the specification's decoder does. An instruction with a VEX prefix that it refuses is taken for the one with the
    usual VEX.vvvv and VEX.W: processors refuse it, too, or execute that one. None of them names a segment or branches."""
    try:
        return decode(code, offset, _EVERYTHING)
    except DecodeError:
        opcode = next((at for at, byte in enumerate(code) if byte not in _OVERRIDES), len(code))
        if code[opcode : opcode + 1] == b"\xc5" and code[opcode + 1 : opcode + 2] >= b"\xc0":
            usual = [code[: opcode + 1] + bytes([code[opcode + 1] | 0x78]) + code[opcode + 2 :]]
        elif (
            code[opcode : opcode + 1] == b"\xc4" and code[opcode + 1 : opcode + 2] >= b"\xc0" and len(code) > opcode + 2
        ):
            head, third, rest = code[: opcode + 2], code[opcode + 2], code[opcode + 3 :]
            usual = [
                head + bytes([changed]) + rest for v in (third | 0x40, third | 0x78) for changed in (v & 0x7F, v | 0x80)
            ]
        else:
            raise
    for spelling in usual:
        with contextlib.suppress(DecodeError):
            return decode(spelling, offset, _EVERYTHING)
    raise InvalidOpcode("no instruction", offset)


def effects(fragment: Fragment) -> frozenset[tuple[object, ...]]:
    """What the code of a fragment does to segments, control flow and the control segment, wherever it may be entered: one
    entry for each instruction that can be reached, which says where it begins and, for those that do such things, what."""
    found: dict[int, tuple[object, ...]] = {}
    waiting = [entry for landing in fragment.landings for entry in (landing.offset, landing.body)]
    while waiting:
        offset = waiting.pop()
        if offset in found:
            continue
        position = offset - fragment.offset
        if not 0 <= position < len(fragment.code):
            continue  # the transfer that leads there is on record
        try:
            instruction = _decode(fragment.code[position : position + 15], offset)
        except DecodeError:
            found[offset] = (offset, "refused", fragment.code[position : position + 15])
            continue
        found[offset] = (offset, *_effect(instruction))
        waiting += _successors(instruction)
    return frozenset(found.values())


def _effect(instruction: Instruction) -> tuple[object, ...]:
    memory = [operand for operand in instruction.operands if isinstance(operand, Memory)]
    named = instruction.segment in (Segment.GS, Segment.FS, Segment.CS) or any(
        operand.segment in (Segment.GS, Segment.FS, Segment.CS) for operand in memory
    )
    if named or instruction.row.kind not in (Kind.COPY, Kind.APPROXIMATE) or instruction.mnemonic in _TRANSFERS:
        return instruction.mnemonic, instruction.raw
    return ()


def _successors(instruction: Instruction) -> list[int]:
    targets = [operand.target for operand in instruction.operands if isinstance(operand, Relative)]
    conditional = bool(targets) and instruction.mnemonic not in ("jmp", "call")
    ends = instruction.mnemonic in ("jmp", "ret", "hlt", "int3", "ud2")
    return targets if ends and not conditional else [*targets, instruction.next_eip & 0xFFFF_FFFF]


def is_relevant(mutant: Mutant, before: frozenset[tuple[object, ...]]) -> bool:
    """Whether a mutant's effects are others than those of the original, which are ``before``."""
    return effects(mutant.fragment) != before


def what_changed(mutant: Mutant) -> str:
    """In words, for a table."""
    offset = mutant.original.offset + mutant.position
    span = mutant.original.span_at(offset)
    if span is None:
        return "landing, or trampoline"
    start = span.offset - mutant.original.offset
    try:
        return decode(mutant.original.code[start : start + 15], span.offset, _EVERYTHING).mnemonic
    except DecodeError:
        return "?"


def _operands(fragment: Fragment, position: int) -> list[Relative]:
    try:
        instruction = _decode(fragment.code[position : position + 15], fragment.offset + position)
    except DecodeError:
        return []
    return [operand for operand in instruction.operands if isinstance(operand, Relative)]


@cache
def _processor() -> NativeProcessor:
    processor = NativeProcessor(limit=0x10_0000, prefer_zero=False)
    processor.space.map(0, 0x10_0000, Access.RW)
    return processor


def natively(code: bytes) -> str | None:
    """What this host's processor does with bytes that the specification's decoder refuses, alone, in a single step: None if
    it refuses them, too, or goes on behind them as behind one instruction, the control segment being as it was; else what."""
    reason = available()
    if reason is not None:
        return f"no processor to ask: {reason}"
    processor = _processor()
    offset = at.FIRST_FRAGMENT
    processor.code[offset : offset + len(code) + 16] = code + b"\xf4" * 16
    words = processor.control.cast("I")
    words[:8] = memoryview(b"\x00\x10\x00\x00" * 8).cast("I")
    before = bytes(processor.control[at.CONTROL_BLOCK :])
    stop = processor.enter(offset, single=True)
    if bytes(processor.control[at.CONTROL_BLOCK :]) != before:
        return "it changes the control segment"
    if stop.kind == StopKind.FAULT or (stop.kind == StopKind.STEPPED and stop.offset in (offset, offset + len(code))):
        return None
    return f"it stops with {stop}"


def harm(mutant: Mutant) -> str | None:
    """Whether a mutant could let a guest out, judged by its effects alone: nothing in it is refused, the instructions that
    name other segments or leave indirectly are those of the original, where they were, and direct branches lead to where
    a template begins or to a trampoline. None if it could not."""
    fragment = mutant.original
    before = effects(fragment)
    places = {span.offset for span in fragment.spans} | {leaving.trampoline for leaving in fragment.exits}
    for effect in effects(mutant.fragment) - before:
        offset, *what = effect
        if not what:
            continue
        position = int(str(offset)) - fragment.offset
        try:
            instruction = _decode(mutant.fragment.code[position : position + 15], int(str(offset)))
        except DecodeError:
            length = min(place for place in [*places, fragment.end] if place > fragment.offset + position) - int(
                str(offset)
            )
            reason = natively(mutant.fragment.code[position : position + length])
            if reason is not None:
                return f"{effect}: {reason}"
            continue
        targets = {operand.target for operand in instruction.operands if isinstance(operand, Relative)}
        if targets and targets <= places | {operand.target for operand in _operands(fragment, position)}:
            continue
        if what[0] == "mov" and instruction.raw[:3] == b"\x65\xc7\x05" and instruction.raw[3:7] in _TOLD:
            continue  # another trap number, or another EIP that is reported with it
        return f"{effect} in place of {[other for other in before if other[0] == offset]}"
    return None


def judge(seed: int, count: int, *, per_fragment: int = 20, translator: str = "jit") -> Tally:
    """Mutants of so many generated cases, before the verifier."""
    rng, tally = random.Random(f"mutants {seed}"), Tally()  # noqa: S311 - reproducible, not secret
    for fragment, context, guest in fragments(seed, count, translator=translator):
        tally.fragments += 1
        before = effects(fragment)
        for mutant in mutants(fragment, context, guest, rng, per_fragment):
            tally.mutants += 1
            if not is_relevant(mutant, before):
                continue
            tally.relevant += 1
            if problems(mutant.fragment, **context):  # type: ignore[arg-type]
                continue
            tally.accepted += 1
            tally.kinds[what_changed(mutant)] += 1
            if escape := harm(mutant):
                tally.escapes.append(escape)
            if not problems(mutant.fragment, guest=guest, **context):  # type: ignore[arg-type]
                tally.accepted_with_code += 1
                tally.kinds[f"also with the guest's code: {what_changed(mutant)}"] += 1
    return tally


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code is 1 if a mutant could do harm."""
    parser = argparse.ArgumentParser(prog="python -m conformance.mutants", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--fragments", type=int, default=20_000, help="how many cases to translate")
    parser.add_argument("--mutants", type=int, default=20, help="how many mutants of each fragment")
    parser.add_argument("--seed", type=int, default=1, help="which cases, and which mutants")
    options = parser.parse_args(arguments)
    tally = judge(options.seed, options.fragments, per_fragment=options.mutants)
    show(tally)
    return 1 if tally.escapes else 0


def show(tally: Tally) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("", "mutants", "rejected", title=f"{tally.fragments:,} fragments, {tally.mutants:,} mutants")
    for text, accepted in (("without", tally.accepted), ("with", tally.accepted_with_code)):
        share = 1 - accepted / max(tally.relevant, 1)
        table.add_row(f"relevant, {text} the guest's code", f"{tally.relevant:,}", f"{share:.4%}")
    console = Console()
    console.print(table)
    for kind, number in tally.kinds.most_common():
        console.print(f"accepted: {number:,} of {kind}")
    for escape in tally.escapes[:20]:
        console.print(f"HARMFUL: {escape}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
