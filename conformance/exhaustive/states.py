"""What an encoding finds when it is executed: registers, floating-point state and memory, in two states.

In the *good* state the address of a memory operand leads to aligned, mapped memory, strings are short, divisions and
branches have a chance. In the *bad* one it leads to where nothing is mapped, to memory that cannot be written, across the
end of a region or beyond the limit. Everything else is drawn from pools, which are the same on every machine; a digest of
the encoding chooses.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Final

from conformance.case import CODE_END, DATA, DATA_END, LIMIT, LOW, LOW_END, READ_ONLY, STACK, STACK_END
from conformance.dice import Dice
from conformance.encodings import DOUBLE_SHIFTS, LOOPS, MASKED_STORES
from conformance.lanes import KINDS
from conformance.operands import lane_kind
from conformance.oracles.bench import Contents, pack_words
from conformance.specials import STACK_USERS
from conformance.states import draw
from reference.isa.instruction import File, Instruction, Memory, Register
from reference.isa.lookup import FORMS
from reference.policy import Group
from reference.registers import EAX, EBP, ECX, EDI, EDX, EFLAGS, EIP, ESI, ESP, MASK32, Segment

#: The thread pointer of all encodings.
GS_BASE: Final = 0x1000
#: Code that no encoding is put into: what branches with a made-up target lead to.
NOWHERE: Final = CODE_END - 0x20
#: States of each pool.
_POOL: Final = 16
_TARGET: Final = DATA + 0x840
_LOW_TARGET: Final = LOW + 0x840
_WINDOW: Final = 0x400
_LOADS_OF_MXCSR: Final = frozenset({"ldmxcsr", "vldmxcsr"})
#: Where bad operands are.
_BAD: Final = (DATA_END + 0x800, READ_ONLY + 0x200, DATA_END - 2, LIMIT + 0x1_0000, STACK_END - 3, DATA - 0x1000)
_BAD_LOW: Final = (LOW - 0x800, LOW_END - 2)


@dataclass(frozen=True, slots=True)
class Pool:
    """States that have one kind of lanes: registers, XSAVE images, and content of memory."""

    words: tuple[tuple[int, ...], ...]
    images: tuple[bytes, ...]
    memory: tuple[Contents, ...]


@cache
def pool(kind: str, seed: int) -> Pool:
    """The pool for a kind of lanes."""
    rng = random.Random(f"exhaustive {kind} {seed}")  # noqa: S311 - reproducible, not secret
    drawn = draw(_POOL, Dice(rng), kind=kind, vectors=range(8), width=32, x87=True)
    assert drawn.fp is not None
    content = [bytes(row) for row in drawn.lanes(2 * _WINDOW)]
    half = _WINDOW // 2
    memory = tuple(
        (
            (_LOW_TARGET - half, lanes[:_WINDOW]),
            (_TARGET - half, lanes[_WINDOW:]),
            (DATA_END - half, lanes[:half]),
            (STACK + 0x800 - half, lanes[half : half + _WINDOW]),
        )
        for lanes in content
    )
    words = tuple(tuple(int(word) for word in row) for row in drawn.words)
    return Pool(words, tuple(bytes(image) for image in drawn.fp), memory)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the row of an instruction says about its states."""

    kind: str
    string: bool
    stack: bool
    near: bool
    store: bool
    loop: bool


@cache
def _plan(row: int, kind: str) -> _Plan:
    form = FORMS[row]
    mnemonic = form.row.mnemonic
    return _Plan(
        kind if kind in KINDS else "d",
        form.string,
        mnemonic in STACK_USERS,
        form.near,
        mnemonic in MASKED_STORES,
        mnemonic in LOOPS,
    )


_kinds: Final[dict[tuple[int, int], _Plan]] = {}


def _plan_of(instruction: Instruction) -> _Plan:
    key = instruction.row.index, instruction.operand_size
    found = _kinds.get(key)
    if found is None:
        found = _kinds[key] = _plan(key[0], lane_kind(instruction))
    return found


State = tuple[list[int], bytes, Contents]


def touches_memory(instruction: Instruction) -> bool:
    """Whether another address may make a difference."""
    plan = _plan_of(instruction)
    return plan.string or plan.stack or plan.near or plan.store or _memory(instruction) is not None


def _memory(instruction: Instruction) -> Memory | None:
    for operand in instruction.operands:
        if isinstance(operand, Memory):
            return operand
    return None


def state(instruction: Instruction, digest: int, *, good: bool, seed: int = 1) -> State:
    """Registers (EIP among them is not set), image and memory for an encoding."""
    plan = _plan_of(instruction)
    if not good:
        digest = digest >> 7 ^ digest << 5 & MASK32
    chosen = pool(plan.kind, seed)
    words = list(chosen.words[digest & _POOL - 1])
    image = chosen.images[digest >> 4 & _POOL - 1]
    memory = chosen.memory[digest >> 8 & _POOL - 1]
    operand = _memory(instruction)
    counted = instruction.mnemonic in DOUBLE_SHIFTS and instruction.operand_size == 2
    if counted:
        words[ECX] = words[ECX] & ~0xFF | (digest >> 20) % 17 | digest >> 4 & 0xE0
    if plan.string or plan.store:
        _string(words, instruction, digest, good)
    elif operand is not None:
        low = operand.address_size == 2
        if good:
            target = _LOW_TARGET if low else _TARGET
        elif low:
            target = _BAD_LOW[digest >> 12 & 1]
        else:
            target = _BAD[(digest >> 12) % len(_BAD)]
        if counted and ECX in (operand.base, operand.index):
            target &= -32  # CL is then part of the address; what a count beyond 16 makes, the manual does not say
        if instruction.row.group is Group.SHA:
            target &= -16  # AMD's processors let these operands stand anywhere
        if operand.index_file is not File.GENERAL:
            image = _gather(words, image, operand, target, good)
        else:
            _place(words, operand, target)
        if instruction.mnemonic in _LOADS_OF_MXCSR and good:
            memory = (*memory, (target, _mxcsr(digest)))
        if plan.near and good:
            memory = (*memory, (target, NOWHERE.to_bytes(4, "little")))
    elif plan.near:
        first = instruction.operands[0] if instruction.operands else None
        if isinstance(first, Register) and good:
            words[first.number] = NOWHERE
    if plan.stack:
        _stack(words, instruction, digest, good, operand)
        if instruction.mnemonic == "ret" and good:
            memory = (*memory, (words[ESP], NOWHERE.to_bytes(4, "little")))
    if plan.loop:
        words[ECX] = digest >> 20 & 3
    if instruction.mnemonic in ("div", "idiv") and good:
        _dividend(words, operand)
    return words, image, memory


def _mxcsr(digest: int) -> bytes:
    """Mostly without the reserved bits that make the load fault; never with bit 17, which AMD's processors have."""
    return (digest & 0xFFBF | (0x5 << 16 if digest >> 28 == 0 else 0)).to_bytes(4, "little")


def _place(words: list[int], operand: Memory, target: int) -> None:
    """Registers that make the operand's address ``target``, or one near it."""
    low = operand.address_size == 2
    mask = 0xFFFF if low else MASK32
    displacement = operand.displacement + (GS_BASE if operand.segment is Segment.GS else 0)
    base, index = operand.base, operand.index
    if base is not None and base == index:
        words[base] = (target - displacement & mask) // (1 + operand.scale) & -32
    elif base is not None:
        rest = displacement
        if index is not None:
            words[index] &= 0x1E0
            rest += words[index] * operand.scale
        high = words[base] & ~mask & MASK32
        words[base] = target - rest & mask | high
    elif index is not None:
        words[index] = (target - displacement & mask) // operand.scale


def _gather(words: list[int], image: bytes, operand: Memory, target: int, good: bool) -> bytes:
    """A base that makes element 0 of a good state be at the target, and indices that stay near it."""
    if operand.base is not None:
        words[operand.base] = target - operand.displacement & MASK32
    if not good:
        return image
    assert operand.index is not None
    changed = bytearray(image)
    for start in (160 + 16 * operand.index, 576 + 16 * operand.index):
        changed[start : start + 16] = bytes(
            byte & 0x3F if i % 8 == 0 or (operand.size == 4 and i % 4 == 0) else 0
            for i, byte in enumerate(changed[start : start + 16])
        )
    return bytes(changed)


def _string(words: list[int], instruction: Instruction, digest: int, good: bool) -> None:
    """ESI, EDI and EBX in memory, a short count; one of them elsewhere in the bad state."""
    low = instruction.address_size == 2
    target = _LOW_TARGET if low else _TARGET
    keep = 0xFFFF_0000 if low else 0
    words[ECX] = words[ECX] & keep | digest >> 20 & 7
    places = [target, target + 0x20, target - 0x40]
    if not good:
        bad = _BAD_LOW[digest >> 12 & 1] if low else _BAD[(digest >> 12) % len(_BAD)]
        places[digest >> 24 & 1] = places[2] = bad
    if instruction.segment is Segment.GS:
        places[0] -= GS_BASE
        places[2] -= GS_BASE
    for register, place in zip((ESI, EDI, 3), places, strict=True):
        words[register] = words[register] & keep | place & (0xFFFF if low else MASK32)


def _stack(words: list[int], instruction: Instruction, digest: int, good: bool, operand: Memory | None) -> None:
    if instruction.mnemonic in ("leave", "enter"):
        words[EBP] = STACK + 0x900
    if good or (operand is not None and ESP in (operand.base, operand.index)):
        return
    if operand is None or digest >> 28 & 1:
        words[ESP] = (STACK, STACK + 2, STACK_END, STACK_END - 2, LIMIT + 4, 0, DATA, READ_ONLY + 0x80)[
            digest >> 20 & 7
        ]
        if instruction.mnemonic == "leave":
            words[EBP] = words[ESP]


def _dividend(words: list[int], operand: Memory | None) -> None:
    """A quotient that may fit: small dividends, unless the operand's address needs the registers."""
    used = () if operand is None else (operand.base, operand.index)
    if EDX not in used:
        words[EDX] = 0
    if EAX not in used:
        words[EAX] &= 0x7F


def packed(words: list[int], eip: int) -> bytes:
    """Registers as a bench takes them, with EIP where the encoding stands."""
    words[EIP] = eip
    words[EFLAGS] |= 2
    return pack_words(tuple(words))
