"""Tasks of the kind ``translate``: the fragments of the specification's translator against those of the compiled one.

Of the same guest bytes, policy, thread pointer and place the two make the same fragment, byte for byte, with the same
tables; or they refuse with the same error. A case here is only code: it is translated, and never run. Its registers say
what else the translators are given: ECX the code offset of the fragment, EDX the EIP of code offset 0, EBX the first EIP of
the window, ESI 1 for a metered fragment.

What is translated: instructions of every row, programs of them, programs with bytes changed, and noise; cut off now and
then, as where a page ends. The verifier (:mod:`vx32py.verify`) judges every fragment too.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Final, TypeAlias

from conformance import guest_code
from conformance.case import Case
from conformance.isa import Divergence, ShardResult, Task
from conformance.listing import policy_of
from conformance.outcome import Outcome, changes
from reference.isa.instruction import DecodeError, InvalidOpcode, TruncatedCode
from reference.isa.lookup import FORMS
from reference.policy import Group, Policy, with_needs
from reference.registers import EBX, ECX, EDX, EIP, ESI, MASK32
from reference.translator import FETCH_BYTES, Fragment, translate
from reference.traps import Access, Vector, page_fault, processor_trap
from vx32py._errors import UnsupportedHost
from vx32py.verify import problems

__all__ = ["Divergence", "ShardResult", "Task", "available", "case_of", "made_by", "run_task"]

#: The specification's translator, and the compiled one.
ORACLES: Final = ("reference", "jit")
_OFFSETS: Final = (0x200, 0x1_2340, 0xFF_0000)
_ORIGINS: Final = (0, 0, 0x4000_0000, 0xF000_0000)
#: In place of the first EIP of a window.
_HASHED: Final = MASK32
_EIPS: Final = (0, 0x1000, 0x0804_8000, 0xFFFF_FFF0, 0xFFFF_FFFF)

Translator: TypeAlias = Callable[..., Fragment]


# -- which cases -----------------------------------------------------------------------------------------------------


def case_of(task: Task, number: int) -> Case:
    """Case ``number`` of a task, as :func:`run_task` makes it."""
    rng = random.Random(f"translate {task.seed} {task.shard} {number}")  # noqa: S311 - reproducible, not secret
    rows: tuple[int, ...] = ()
    kind = rng.randrange(10) if task.rows is None else 0
    if kind < 4:
        form = FORMS[rng.choice(sorted(task.rows)) if task.rows else rng.randrange(len(FORMS))]
        rows, label = (form.row.index,), "translation of one instruction"
        code = guest_code.encode(form, rng) + b"\xc3"
    elif kind < 7:
        code, label = guest_code.random_program(rng), "translation of a program"
    elif kind < 9:
        code, label = mutated(guest_code.random_program(rng), rng), "translation of a changed program"
    else:
        code, label = rng.randbytes(rng.randrange(1, 64)), "translation of noise"
    if rng.randrange(8) == 0:
        code = code[: rng.randrange(len(code) + 1)]
    words = [0] * 8 + [rng.choice((*_EIPS, rng.getrandbits(32))), 0x202]
    words[ECX], words[EDX] = rng.choice((*_OFFSETS, 16 * rng.randrange(0x20, 0xF_0000))), rng.choice(_ORIGINS)
    words[EBX] = rng.choice((_HASHED, words[EIP] & -0x1000, rng.getrandbits(32)))
    words[ESI] = rng.randrange(2)
    return Case(
        label,
        code[:FETCH_BYTES],
        tuple(words),
        groups=_groups(rng),
        gs_base=rng.choice((None, 0, 0x0001_0000, 0xFFFF_F000, rng.getrandbits(32))),
        rows=rows,
        origin=f"translate seed {task.seed} shard {task.shard} number {number}",
    )


def _groups(rng: random.Random) -> frozenset[Group]:
    kind = rng.randrange(4)
    if kind < 2:
        return frozenset(Group)
    if kind == 2:
        return Policy.default().groups
    return with_needs([group for group in Group if rng.randrange(3)])


def mutated(code: bytes, rng: random.Random) -> bytes:
    """Code with a few bytes or bits changed, left out, put in or repeated."""
    changed = bytearray(code)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and at < len(changed):
            changed[at] = rng.randrange(256)
        elif kind == 2:
            del changed[at : at + rng.randint(1, 4)]
        elif kind == 3:
            changed[at:at] = rng.randbytes(rng.randint(1, 4))
        else:
            changed[at:at] = changed[at : at + rng.randint(1, 12)]
    return bytes(changed)


# -- running them ----------------------------------------------------------------------------------------------------


def available(name: str) -> str | None:
    """None where this host has the translator, else the reason why not. Raises ValueError for a name that is none."""
    if name not in ORACLES:
        raise ValueError(f"translator must be one of {', '.join(ORACLES)}, not {name!r}")
    if name == "jit" and find_spec("numba") is None:
        return "numba is not installed"
    return None


@cache
def _compiled() -> Translator:
    """The compiled translator of this process; built if there is none yet."""
    from jit import compiled
    from jit.translate import NumbaTranslator

    try:
        return NumbaTranslator(compiled.build()).translate
    except compiled.BuildError as error:
        raise UnsupportedHost(f"no compiled translator: {error}") from error


def _translator(name: str) -> Translator:
    return translate if name == "reference" else _compiled()


def run_task(task: Task, tick: Callable[[int], None]) -> ShardResult:
    """Run a task; ``tick(number)`` is called before each case. Raises ValueError for an oracle that is no translator,
    UnsupportedHost where there is no compiled one."""
    translators: dict[str, Translator] = {}
    for name in task.oracles:
        reason = available(name)
        if reason is not None:
            raise UnsupportedHost(f"no compiled translator: {reason}")
        translators[name] = _translator(name)
    result = ShardResult(
        rows={name: Counter() for name in task.oracles},
        seconds=dict.fromkeys(task.oracles, 0.0),
        unjudged={name: {} for name in task.oracles},
        unjudged_rows={name: {} for name in task.oracles},
    )
    for number in range(task.count):
        if number not in task.skip:
            tick(number)
            _run(case_of(task, number), number, translators, result)
    return result


Made: TypeAlias = Fragment | DecodeError


def _run(case: Case, number: int, translators: dict[str, Translator], result: ShardResult) -> None:
    made: dict[str, Made] = {}
    for name, translator in translators.items():
        begin = time.perf_counter()
        made[name] = _make(translator, case)
        result.seconds[name] += time.perf_counter() - begin
        for row in case.rows:
            result.rows[name][row] += 1
    first, *others = made
    found: list[str] = []
    for other in others:
        found += fragment_differences(made[first], made[other])
    fragment = made[first]
    if isinstance(fragment, Fragment):
        complaints = problems(
            fragment,
            origin=case.words[EDX],
            gs_base=case.gs_base,
            window=_window(case),
            metered=bool(case.words[ESI]),
            guest=case.code,
        )
        found += [f"verifier: {problem}" for problem in complaints]
    if found:
        outcomes = {name: outcome_of(case, each) for name, each in made.items()}
        result.divergences.append(Divergence(case, outcomes, found, number))
    result.cases += 1


def made_by(name: str, case: Case) -> Made:
    """What the translator of that name makes of a case."""
    return _make(_translator(name), case)


def _window(case: Case) -> int | None:
    return None if case.words[EBX] == _HASHED else case.words[EBX]


def _make(translator: Translator, case: Case) -> Made:
    words = case.words
    try:
        return translator(
            case.code,
            words[EIP],
            policy_of(case),
            offset=words[ECX],
            gs_base=case.gs_base,
            origin=words[EDX],
            window=_window(case),
            metered=bool(words[ESI]),
        )
    except DecodeError as error:
        return error


def fragment_differences(one: Made, other: Made) -> list[str]:
    """What two translations disagree about, in words."""
    if isinstance(one, DecodeError) or isinstance(other, DecodeError):
        shown = [_refusal(each) for each in (one, other)]
        return [] if shown[0] == shown[1] else [f"refusal: {shown[0]} or {shown[1]}"]
    found: list[str] = []
    for name in ("eip", "length", "offset", "tail", "landings", "exits", "spans"):
        a, b = getattr(one, name), getattr(other, name)
        if a != b:
            found.append(f"{name}: {a} or {b}")
    if one.code != other.code:
        length = min(len(one.code), len(other.code))
        at = next((at - one.offset for at, _ in changes(one.offset, one.code[:length], other.code[:length])), length)
        found.append(
            f"code at {one.offset + at:#x}: {one.code[at : at + 12].hex(' ')} or {other.code[at : at + 12].hex(' ')}"
        )
    return found


def _refusal(made: Made) -> str:
    if isinstance(made, TruncatedCode):
        return f"code ends at {made.missing:#010x}"
    return str(made) if isinstance(made, DecodeError) else "none"


def outcome_of(case: Case, made: Made) -> Outcome:
    """A translation as an outcome: the bytes of the fragment as memory at its code offset, a refusal as the trap that the
    guest would see."""
    if isinstance(made, TruncatedCode):
        return Outcome(case.words, (), page_fault(made.eip, made.missing & MASK32, Access.EXECUTE))
    if isinstance(made, InvalidOpcode):
        return Outcome(case.words, (), processor_trap(Vector.INVALID_OPCODE, made.eip, str(made)))
    assert isinstance(made, Fragment)
    return Outcome(case.words, ((made.offset, made.code),), None)
