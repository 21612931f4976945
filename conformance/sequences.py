"""Sequences of two to five instructions: what goes wrong only between instructions.

    straight   any instructions one behind the other, sharing registers and memory
    branches   the same with direct branches forward among them
    calls      calls, returns, pushes and pops that match, with instructions between
    mutable    code that stores into itself: ahead and behind, within a page and across
    cut        an instruction that reaches beyond the last page of code

None of them can run for long: branches lead forward, but for loops that count. What a sequence changes in itself are
immediates, and opcodes of one byte that become others of the kind.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, TypeAlias

from conformance import operands, specials, tolerance
from conformance.case import CODE_END, DATA, ENTRY, MUTABLE
from conformance.cases import BATCH, Batch, batch_of_states, states_for
from conformance.dice import Dice
from conformance.encodings import DOUBLE_SHIFTS, POLICY, Shape, encode, shapes
from conformance.guest_code import Branch, Piece, lay_out
from conformance.listing import decode_all
from conformance.states import States
from reference.isa.encoding import Space
from reference.isa.instruction import Kind
from reference.isa.lookup import FORMS, ImmediateRule
from reference.policy import Group
from reference.registers import EBP, ECX, EDI, ESI, ESP

#: What has an outcome that is no function of the case, or that leads elsewhere.
_EXCLUDED_GROUPS: Final = frozenset({Group.TIME, Group.RANDOM, Group.SHA})
#: What loads MXCSR from where there may be anything; and CMPS: which of two faults it reports is the processor's affair.
_EXCLUDED: Final = frozenset({*operands.SAVE_AREAS, "ldmxcsr", "vldmxcsr", "fxrstor", "cmps"})
_FAMILIES: Final = (
    frozenset({Group.BASE, Group.CMOV, Group.BMI1, Group.BMI2, Group.ADX, Group.MOVBE, Group.POPCNT, Group.LZCNT}),
    frozenset({Group.X87, Group.MMX}),
    frozenset({Group.SSE, Group.SSE2, Group.SSE3, Group.SSSE3, Group.SSE41, Group.SSE42, Group.MMX}),
    frozenset({Group.AVX, Group.AVX2, Group.FMA, Group.F16C, Group.SSE, Group.SSE2}),
)


@cache
def _shapes(family: int | None) -> tuple[Shape, ...]:
    """What sequences are made of: instructions that go on behind themselves, exactly, with 32-bit addresses."""
    return tuple(
        shape
        for shape in shapes()
        if shape.form.row.kind in (Kind.COPY, Kind.APPROXIMATE, Kind.ASSIST)
        and not shape.form.thread
        and shape.address_size == 4
        and shape.form.row.group not in _EXCLUDED_GROUPS
        and tolerance.reason(shape.mnemonic) is None
        and shape.mnemonic not in _EXCLUDED
        and not (shape.mnemonic in DOUBLE_SHIFTS and shape.operand_size == 2)  # undefined from a count of 17 on
        and (family is None or shape.form.row.group in _FAMILIES[family])
    )


@cache
def _branch_opcodes() -> dict[int, int]:
    """The opcodes of direct branches with 8 bits of distance, and the flags that each reads."""
    return {
        form.encoding.opcode: form.row.reads
        for form in FORMS
        if form.near and form.immediate is ImmediateRule.BYTE and form.encoding.space is Space.ONE_BYTE
    }


def batch(rng: random.Random, count: int = BATCH) -> Batch:
    """Cases of one sequence, of any kind."""
    make = rng.choice((straight, straight, straight, branches, branches, calls, calls, mutable, mutable, cut))
    return make(rng, count)


# -- pieces ----------------------------------------------------------------------------------------------------------


class _Writer:
    """Picks instructions one after the other so that none reads a flag that is undefined by then. With ``branching`` a flag
    that was undefined once stays so: who knows which instructions are executed."""

    def __init__(self, rng: random.Random, *, branching: bool = False) -> None:
        self.rng = rng
        self.family = rng.choice((None, 0, 0, 1, 2, 3))
        self.flags = 0
        self.branching = branching

    def branch(self) -> Branch:
        """A branch, to be told where it leads."""
        opcode = self.rng.choice([opcode for opcode, reads in _branch_opcodes().items() if not reads & self.flags])
        return Branch(opcode, 0, self.rng.random() < 0.5, self.rng.random() < 0.1)

    def instruction(self, *, quiet: bool = False) -> bytes:
        """Any instruction; a ``quiet`` one leaves the stack alone."""
        while True:
            shape = self.rng.choice(_shapes(self.family))
            row = shape.form.row
            if row.reads & self.flags or (quiet and shape.mnemonic in specials.STACK_USERS):
                continue
            encoded = encode(shape, self.rng)
            if encoded.thread:
                continue
            self.flags = (self.flags if self.branching else self.flags & ~row.writes) | row.undefined
            return encoded.code

    def instructions(self, most: int, *, quiet: bool = False) -> list[bytes]:
        """One or more instructions."""
        return [self.instruction(quiet=quiet) for _ in range(self.rng.randint(1, most))]


def finish(label: str, code: bytes, eip: int, rng: random.Random, count: int) -> Batch:
    """The batch: registers that are pointers as often as not, a stack, and data about where they point."""
    instructions = decode_all(code, eip, POLICY)
    states = states_for(instructions or decode_all(b"\x90", eip, POLICY), Dice(rng), count)
    point_at_data(states)
    made = batch_of_states(label, code, eip, instructions, states)
    mask = 0
    for each in instructions:
        mask |= each.row.undefined
    made.undefined = mask
    return made


def point_at_data(states: States) -> None:
    """Make pointers of half of the registers, and fill what they point at."""
    any_ = states.dice.u32(states.count, 8)
    for register in range(8):
        if register in (ESP, ECX):
            continue
        pointers = DATA + 0x800 + (any_[:, register] >> 8 & 0xFC)
        keep = any_[:, register] & 1 if register not in (ESI, EDI, EBP) else any_[:, register] & 7 == 0
        states.words[:, register] = (states.words[:, register] * keep) | pointers * (1 - keep)
    # Repetitions that end, and counts of loops and shifts.
    states.words[:, ECX] = states.words[:, ECX] & 0x1F
    content = states.lanes(0x280).tobytes()
    for number in range(states.count):
        states.window(number, DATA + 0x780, content[0x280 * number : 0x280 * (number + 1)])
    specials.stack_window(states)


# -- kinds -----------------------------------------------------------------------------------------------------------


def straight(rng: random.Random, count: int = BATCH) -> Batch:
    """Instructions one behind the other."""
    writer = _Writer(rng)
    code = b"".join([writer.instruction(), *writer.instructions(4)])
    return finish("sequence", code, ENTRY, rng, count)


def branches(rng: random.Random, count: int = BATCH) -> Batch:
    """Branches forward, over instructions."""
    writer = _Writer(rng, branching=True)
    pieces: list[Piece] = []
    for _ in range(rng.randint(1, 2)):
        pieces += [writer.branch(), *writer.instructions(2, quiet=True)]
    ahead = [
        Branch(each.opcode, rng.randint(i + 1, len(pieces)), each.near, each.address_prefix)
        if isinstance(each, Branch)
        else each
        for i, each in enumerate(pieces)
    ]
    return finish("sequence with branches", lay_out(ahead), ENTRY, rng, count)


def calls(rng: random.Random, count: int = BATCH) -> Batch:
    """A call and its return, or pushes and pops, with something between."""
    writer = _Writer(rng)
    register = rng.choice((0, 1, 2, 3, 5, 6, 7))
    kind = rng.randrange(5)
    some = writer.instructions(2, quiet=True)
    if kind == 0:  # call f; some; jmp end; f: some; ret; end:
        other = writer.instructions(1, quiet=True)
        back = rng.choice((b"\xc3", b"\xc2\x08\x00", b"\xf3\xc3"))
        pieces: list[Piece] = [
            Branch(0xE8, len(some) + 2),
            *some,
            Branch(0xEB, len(some) + len(other) + 3),
            *other,
            back,
        ]
    elif kind == 1:  # the address of the next instruction
        pieces = [Branch(0xE8, 1), bytes([0x58 | register]), *some]
    elif kind == 2:  # push a return address, and return to it
        end = sum(map(len, some)) + 6
        pieces = [b"\x68" + (ENTRY + end).to_bytes(4, "little"), *some, b"\xc3", *writer.instructions(1)]
    elif kind == 3:
        pieces = [bytes([0x50 | register]), *some, bytes([0x58 | rng.choice((0, 1, 2, 3, 5, 6, 7))])]
    else:
        frame = rng.choice((b"\xc8\x10\x00\x00", b"\x55\x89\xe5", b"\xc8\x08\x00\x01"))
        pieces = [frame, *some, b"\xc9", *writer.instructions(1)]
    if kind in (3, 4) and rng.randrange(3) == 0 and not writer.flags:
        pieces = [b"\x9c", *pieces, b"\x9d"]
    return finish("sequence with a stack", lay_out(pieces), ENTRY, rng, count)


def mutable(rng: random.Random, count: int = BATCH) -> Batch:
    """Code that changes an instruction of its own, before it comes to it or before it comes back to it."""
    eip = MUTABLE + rng.choice((0x800, 0x1000 - rng.randrange(1, 24)))
    between = b"".join(_Writer(rng).instructions(1, quiet=True)) if rng.randrange(2) else b""
    if rng.randrange(2):
        target, offset, size = _target(rng)
        store = _store(rng, size, through_registers=not between)
        code = store(eip + len(store(0)) + len(between) + offset) + between + target
    else:
        # What is left of old code shows from the third time on. The loop may begin a page earlier than what it changes.
        head = b"\xb9" + rng.choice((2, 3, 4, 5)).to_bytes(4, "little")
        ahead = b"".join(_target(rng, avoid=ECX)[0] for _ in range(rng.randrange(4)))
        target, offset, size = _target(rng, avoid=ECX)
        body = ahead + target + _store(rng, size)(eip + len(head) + len(ahead) + offset)
        code = head + body + bytes([0xE2, -(len(body) + 2) & 0xFF])
    return finish("sequence that modifies itself", code, eip, rng, count)


def _target(rng: random.Random, avoid: int = 8) -> tuple[bytes, int, int]:
    """An instruction, and where in it how many bytes may be replaced by any others of their kind."""
    register = rng.choice([number for number in range(8) if number not in (ESP, avoid)])
    kind = rng.randrange(3)
    if kind == 0:
        return bytes([0xB8 | register]) + rng.randbytes(4), 1, 4
    if kind == 1:  # not ADC and SBB: the carry may be undefined here
        return bytes([0x81, 0xC0 | rng.choice((0, 1, 4, 5, 6, 7)) << 3 | register]) + rng.randbytes(4), 2, 4
    return bytes([0x40 | rng.randrange(2) << 3 | register]), 0, 1


def _store(rng: random.Random, size: int, *, through_registers: bool = True) -> Callable[[int], bytes]:
    """A store of so many bytes: a function of the address. Its length does not depend on that. Only what comes
    ``through_registers`` leaves a pointer to the code in one, for other instructions to use."""
    kind, register, content = rng.randrange(11 if through_registers else 9), rng.randrange(8) << 3 | 5, rng.randbytes(4)
    other = bytes([0x40 | rng.randrange(2) << 3 | rng.choice((0, 2, 3, 5, 6, 7))])

    def store(address: int) -> bytes:
        where = address.to_bytes(4, "little")
        if size == 1:
            return (
                b"\xc6\x05" + where + other,  # mov byte [address], other
                b"\xb0" + other + b"\xa2" + where,  # mov al, other; mov [address], al
                b"\x80\x35" + where + b"\x08",  # xor byte [address], 8
                b"\xb0" + other + b"\xbf" + where + b"\xaa",  # mov al, other; mov edi, address; stosb
            )[kind % (4 if through_registers else 3)]
        return (
            b"\xc7\x05" + where + content,  # mov dword [address], content
            b"\x89" + bytes([register]) + where,  # mov [address], register
            b"\x83\x05" + where + content[:1],  # add dword [address], content
            b"\xf0\x01" + bytes([register]) + where,  # lock add [address], register
            b"\x87\x05" + where,  # xchg [address], eax
            b"\xff\x05" + where,  # inc dword [address]
            b"\x66\x0f\x7e" + bytes([register]) + where,  # movd [address], xmm
            b"\xd9\x1d" + where,  # fstp dword [address]
            b"\xc6\x05" + where + content[:1],  # mov byte [address], content: one of four
            b"\xbc" + (address + 4).to_bytes(4, "little") + b"\x68" + content,  # mov esp, address + 4; push content
            b"\xbf" + where + b"\xab",  # mov edi, address; stosd
        )[kind]

    return store


def cut(rng: random.Random, count: int = BATCH) -> Batch:
    """An instruction that does not fit on its page: nothing can be executed behind it."""
    while True:
        encoded = encode(rng.choice(_shapes(None)), rng)
        if not encoded.thread and len(encoded.code) > 1:
            break
    kept = rng.randrange(1, len(encoded.code))
    return finish("instruction cut off", encoded.code[:kept], CODE_END - kept, rng, min(count, 8))


Maker: TypeAlias = Callable[[random.Random, int], Batch]
#: Every kind of sequence.
KINDS: Final[Sequence[Maker]] = (straight, branches, calls, mutable, cut)
