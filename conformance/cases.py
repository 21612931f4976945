"""Cases for every row of the instruction table: every encoding, with boundary and random operands.

    for shape in shapes():
        for case in cases(shape, 200, seed=1): ...

They are made in batches: one encoding, and many states to run it in. A :class:`Batch` has them as bytes, as the benches of
:mod:`conformance.oracles.bench` take them; :meth:`Batch.case` makes a :class:`~conformance.case.Case` of one. The same seed
gives the same cases on every machine.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from conformance import operands, specials, undefined
from conformance.case import ENTRY, Case
from conformance.dice import Dice
from conformance.encodings import Encoded, Shape, encode, shapes
from conformance.oracles.bench import Contents
from conformance.states import States, draw
from reference.flags import STATUS
from reference.isa.instruction import Instruction
from reference.registers import EIP, MASK32, REGISTER_WORDS

__all__ = ["BATCH", "Batch", "batch", "batch_of_states", "cases", "shapes"]

#: States to an encoding.
BATCH: Final = 64
_WORDS: Final = struct.Struct(f"<{REGISTER_WORDS}I")
#: Thread pointers: of cases that use one, a little above the beginning of memory, or below it by going round.
_GS_BASES: Final = (0x40, 0x1000, 0xFFFF_F000, 0xFFFF_FFC0)
_PARTIAL: Final = frozenset({"pusha", "popa", "enter"})


@dataclass(slots=True)
class Batch:
    """Cases that have their code in common. ``words``, ``fp`` and ``memory`` are those of each; ``fp`` is None where the
    code has nothing to do with it. ``code`` stands at ``eip``; ``instructions`` are what it decodes to."""

    label: str
    code: bytes
    eip: int
    instructions: tuple[Instruction, ...]
    rows: tuple[int, ...]
    words: list[bytes]
    fp: list[bytes] | None
    memory: list[Contents]
    gs_base: int | None = None
    undefined: int = 0

    def __len__(self) -> int:
        return len(self.words)

    def case(self, number: int, origin: str = "") -> Case:
        """One of them."""
        words = _WORDS.unpack(self.words[number])
        single = len(self.instructions) == 1
        first = self.instructions[0] if self.instructions else None
        rep = any(each.rep and each.row.rep == "repe" for each in self.instructions)
        status = registers = 0
        for each in self.instructions:
            status |= undefined.status_word(each)
            registers |= undefined.registers(each)
        return Case(
            label=self.label,
            code=self.code,
            words=words,
            memory=self.memory[number],
            undefined=undefined.flags(first, words) if single and first is not None else self.undefined,
            undefined_if_trapped=STATUS if rep else 0,
            partial_if_trapped=any(each.mnemonic in _PARTIAL for each in self.instructions),
            repeats=any(each.rep for each in self.instructions),
            fp=None if self.fp is None else self.fp[number],
            undefined_registers=registers,
            undefined_fsw=status,
            gs_base=self.gs_base,
            rows=self.rows,
            origin=origin,
        )


def batch(shape: Shape, rng: random.Random, count: int = BATCH, *, encoded: Encoded | None = None) -> Batch:
    """Cases of one shape, all of one encoding."""
    if encoded is None:
        encoded = encode(shape, rng)
    thread = encoded.thread or shape.form.thread
    gs_base = rng.choice(_GS_BASES) if thread else None
    states = states_for((encoded.instruction,), Dice(rng), count)
    prepare, finish = specials.REGISTERS.get(shape.mnemonic), specials.MEMORY.get(shape.mnemonic)
    if shape.mnemonic in specials.STACK_USERS:
        specials.stack_edges(states)
    if prepare is not None:
        prepare(states, encoded)
    if shape.form.row.group.value == "fma":
        specials.multiply_add(states, encoded)
    if shape.mnemonic in specials.STRINGS:
        places = np.full(count, -1, dtype=np.int64)
    else:
        places = operands.place(states, encoded, gs_base)
    if shape.mnemonic in specials.STACK_USERS:
        specials.stack_window(states)
    if finish is not None:
        finish(states, encoded, places)
    found = batch_of_states(shape.label, encoded.code, ENTRY, (encoded.instruction,), states)
    found.gs_base = gs_base
    return found


def states_for(instructions: Sequence[Instruction], dice: Dice, count: int) -> States:
    """States with everything drawn that the instructions may look at."""
    vectors, width = operands.vector_registers(instructions)
    kind = operands.lane_kind(instructions[0])
    if dice.rng.randrange(10) == 0:
        kind = dice.rng.choice(("b", "w", "d", "q", "single", "double"))
    return draw(count, dice, kind=kind, vectors=vectors, width=width, x87=operands.uses_x87(instructions))


def batch_of_states(label: str, code: bytes, eip: int, instructions: tuple[Instruction, ...], states: States) -> Batch:
    """A batch of code at ``eip`` and states."""
    states.words[:, EIP] = eip & MASK32
    data = states.words.astype("<u4").tobytes()
    size = _WORDS.size
    words = [data[i : i + size] for i in range(0, len(data), size)]
    fp = None
    if states.fp is not None:
        image = states.fp.shape[1]
        data = states.fp.tobytes()
        fp = [data[i : i + image] for i in range(0, len(data), image)]
    memory = [tuple([(at, bytes(content)) for at, content in windows.items()]) for windows in states.memory]
    rows = tuple(dict.fromkeys(each.row.index for each in instructions))
    return Batch(label, code, eip, instructions, rows, words, fp, memory)


def cases(shape: Shape, count: int, seed: int = 1) -> Iterator[Case]:
    """``count`` cases of one shape. Several in a row share their bytes and differ in registers and memory."""
    rng = random.Random(f"{seed} {shape.label}")  # noqa: S311 - reproducible, not secret
    while count > 0:
        made = batch(shape, rng, min(count, 16))
        for number in range(len(made)):
            yield replace(made.case(number), origin=f"{shape.label} seed {seed}")
        count -= len(made)
