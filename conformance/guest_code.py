"""Guest code to order: instructions of every row of the table, programs of them, and Hypothesis strategies for both.

:func:`encode` makes one instruction of a row. A program is a list of pieces: bytes that stand for themselves, and
branches among them, whose displacements :func:`lay_out` fills in. Everything random comes from a ``random.Random``, so
that campaigns can make millions from seeds; the strategies at the end draw rows and seeds, so that Hypothesis can shrink
a failing program to the pieces that matter. What comes out need not be valid under a policy: refused rows, stray prefixes
and truncated ends are part of the order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from reference.isa.encoding import PREFIX_66, PREFIX_F2, PREFIX_F3, Space
from reference.isa.instruction import Kind
from reference.isa.lookup import FORMS, Form, ImmediateRule
from reference.isa.operands import MEMORY_ONLY, REGISTER_ONLY
from reference.policy import Group, Policy, with_needs
from reference.translator import FETCH_BYTES

_MANDATORY: Final = {PREFIX_66: b"\x66", PREFIX_F3: b"\xf3", PREFIX_F2: b"\xf2"}
_ESCAPES: Final = {Space.ONE_BYTE: b"", Space.MAP_0F: b"\x0f", Space.MAP_0F38: b"\x0f\x38", Space.MAP_0F3A: b"\x0f\x3a"}
_SEGMENTS: Final = b"\x26\x2e\x36\x3e\x64\x65"
_GS: Final = 0x65
_OTHER_PREFIXES: Final = b"\x66\x67\xf0\xf2\xf3"
_IMMEDIATES: Final = {
    ImmediateRule.NONE: (0, 0),
    ImmediateRule.BYTE: (1, 1),
    ImmediateRule.WORD: (2, 2),
    ImmediateRule.WORD_BYTE: (3, 3),
    ImmediateRule.OPERAND: (2, 4),
    ImmediateRule.OFFSET: (2, 4),
    ImmediateRule.FAR: (4, 6),
}

#: Rows by what the translator makes of them.
ADMITTED: Final = tuple(form for form in FORMS if form.row.kind is not Kind.REFUSE)
TRANSFERS: Final = tuple(form for form in ADMITTED if form.row.kind is Kind.REWRITE)
PLAIN: Final = tuple(form for form in ADMITTED if form.row.kind is Kind.COPY and form.row.group is Group.BASE)
INDIRECT: Final = tuple(form for form in TRANSFERS if not any(code.method == "J" for code in form.operands))


# -- one instruction -------------------------------------------------------------------------------------------------


def encode(form: Form, rng: random.Random) -> bytes:
    """An instruction of a row: registers, addresses and immediates at random, and now and then a prefix too many."""
    prefixes = bytearray()
    if rng.random() < 0.08:
        prefixes.append(_GS if rng.random() < 0.6 else rng.choice(_SEGMENTS))
    while rng.random() < 0.03:
        prefixes.append(rng.choice(_OTHER_PREFIXES))
    if form.encoding.space >= Space.VEX_0F:
        head = _vex_head(form, rng)
    else:
        chosen = rng.choice(form.encoding.classes) if form.encoding.mandatory else rng.choice((0, 0, 0, 1, 2, 3))
        prefixes += _MANDATORY.get(chosen, b"")
        if form.row.lock and rng.random() < 0.3:
            prefixes.append(0xF0)
        head = _ESCAPES[form.encoding.space] + _opcode(form, rng)
    narrow, wide = _IMMEDIATES[form.immediate]
    if form.immediate is ImmediateRule.OFFSET:
        size = narrow if 0x67 in prefixes else wide
    else:
        size = narrow if 0x66 in prefixes and form.encoding.classes != (PREFIX_66,) else wide
    address = _modrm(form, rng, 0x67 in prefixes) if form.encoding.has_modrm else b""
    return bytes(prefixes) + head + address + rng.randbytes(size)


def _opcode(form: Form, rng: random.Random) -> bytes:
    return bytes([form.encoding.opcode + (rng.randrange(8) if form.encoding.plus_register else 0)])


def _vex_head(form: Form, rng: random.Random) -> bytes:
    encoding = form.encoding
    width, length = rng.choice(encoding.widths), rng.choice(encoding.lengths)
    third = rng.randrange(8) if form.third or rng.random() < 0.02 else 0
    last = (~third & 0xF) << 3 | length << 2 | encoding.classes[0]
    if encoding.space is Space.VEX_0F and width == 0 and rng.random() < 0.5:
        return bytes([0xC5, 0x80 | last]) + _opcode(form, rng)
    inverted = 0xE0 if rng.random() < 0.99 else rng.choice((0xC0, 0xA0 | 0x40))
    return bytes([0xC4, inverted | encoding.space - Space.VEX_0F + 1, width << 7 | last]) + _opcode(form, rng)


def _modrm(form: Form, rng: random.Random, short: bool) -> bytes:
    """A ModRM byte that names the row, with SIB and displacement if it wants them; ``short`` for 16-bit addresses."""
    encoding = form.encoding
    if encoding.fixed is not None:
        return bytes([encoding.fixed + (rng.randrange(8) if encoding.any_rm else 0)])
    methods = {code.method for code in form.operands}
    reg = rng.randrange(8) if encoding.digit is None else encoding.digit
    mod, rm = rng.randrange(4), rng.randrange(8)
    if not methods.isdisjoint(MEMORY_ONLY) and mod == 3 and rng.random() < 0.99:
        mod = rng.randrange(3)
    if not methods.isdisjoint(REGISTER_ONLY) and rng.random() < 0.99:
        mod = 3
    if form.vsib and rng.random() < 0.97:
        rm = 4
    code = bytearray([mod << 6 | reg << 3 | rm])
    if mod == 3:
        return bytes(code)
    base = rm
    if rm == 4 and not short:
        code.append(rng.randrange(256))
        base = code[-1] & 7
    if short:
        size = mod or 2 * (rm == 6)
    elif mod == 0:
        size = 4 * (base == 5)
    else:
        size = 1 if mod == 1 else 4
    return bytes(code) + rng.randbytes(size)


# -- programs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Branch:
    """A direct branch to piece number ``target`` (modulo their number and one: behind the last is a place too).

    ``opcode`` is that of the 8-bit form: 70 to 7F, E0 to E3, EB, or E8 for a call, which has 32 bits always. ``near`` asks
    for 32 bits where there is such a form.
    """

    opcode: int
    target: int
    near: bool = False
    address_prefix: bool = False

    def encode(self, distance: int) -> bytes:
        """The branch over ``distance`` bytes from its end, which an 8-bit form may not reach: then somewhere else."""
        if self.opcode == 0xE8 or (self.opcode == 0xEB and self.near):
            return bytes([0xE8 if self.opcode == 0xE8 else 0xE9]) + distance.to_bytes(4, "little", signed=True)
        if self.opcode < 0x80 and self.near:
            return bytes([0x0F, self.opcode + 0x10]) + distance.to_bytes(4, "little", signed=True)
        prefix = b"\x67" if self.address_prefix else b""
        return prefix + bytes([self.opcode, distance & 0xFF])


Piece = bytes | Branch
_BRANCH_OPCODES: Final = (*range(0x70, 0x80), *range(0xE0, 0xE4), 0xEB, 0xEB, 0xE8, 0xE8, 0xE8)


def lay_out(pieces: Sequence[Piece]) -> bytes:
    """The program: every piece behind the other, branches leading where they say."""
    sizes = [len(piece.encode(0)) if isinstance(piece, Branch) else len(piece) for piece in pieces]
    starts = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    code = bytearray()
    for i, piece in enumerate(pieces):
        if isinstance(piece, Branch):
            code += piece.encode(starts[piece.target % len(starts)] - starts[i + 1])
        else:
            code += piece
    return bytes(code)


def random_branch(rng: random.Random) -> Branch:
    """A branch to anywhere."""
    return Branch(rng.choice(_BRANCH_OPCODES), rng.randrange(64), rng.random() < 0.5, rng.random() < 0.1)


def random_piece(rng: random.Random, forms: Sequence[Form] = ADMITTED) -> Piece:
    """Mostly an instruction of the given rows, often a transfer, seldom one that is refused, or noise."""
    kind = rng.random()
    if kind < 0.15:
        return random_branch(rng)
    if kind < 0.17:
        return encode(rng.choice(INDIRECT), rng)
    if kind < 0.995:
        return encode(rng.choice(forms), rng)
    return encode(rng.choice(FORMS), rng) if rng.random() < 0.5 else rng.randbytes(rng.randrange(1, 16))


def random_program(rng: random.Random, pieces: int = 80) -> bytes:
    """Up to ``pieces`` pieces, now and then cut off where a page might end.

    Half of the programs are of plain integer instructions only: those make the longest fragments.
    """
    forms = rng.choice((ADMITTED, PLAIN))
    code = lay_out([random_piece(rng, forms) for _ in range(rng.randrange(1, pieces + 1))])
    return code[: rng.randrange(len(code) + 1)] if rng.random() < 0.2 else code


# -- strategies ------------------------------------------------------------------------------------------------------

_SEEDS: Final = st.integers(0, (1 << 32) - 1)


def _encode_from_seed(form: Form, seed: int) -> bytes:
    return encode(form, random.Random(seed))  # noqa: S311 - reproducible, not secret


def instructions(forms: Sequence[Form] = ADMITTED) -> st.SearchStrategy[bytes]:
    """Single instructions of the given rows."""
    return st.builds(_encode_from_seed, st.sampled_from(forms), _SEEDS)


def branches() -> st.SearchStrategy[Branch]:
    """Direct branches among the pieces of a program."""
    return st.builds(Branch, st.sampled_from(_BRANCH_OPCODES), st.integers(0, 63), st.booleans(), st.booleans())


def programs(most_pieces: int = 40) -> st.SearchStrategy[bytes]:
    """Guest code: instructions of the table with branches among them, calls, returns, and some noise."""
    piece = st.one_of(
        instructions(),
        instructions(),
        instructions(INDIRECT),
        branches(),
        instructions(FORMS),
        st.binary(min_size=1, max_size=15),
    )
    return st.lists(piece, min_size=1, max_size=most_pieces).map(lay_out)


def fetches() -> st.SearchStrategy[bytes]:
    """What a translator is given: a program or noise, cut off somewhere where a page might end."""
    code = st.one_of(programs(), st.binary(max_size=FETCH_BYTES))
    return st.builds(lambda code, end: code[:end], code, st.one_of(st.just(FETCH_BYTES), st.integers(0, FETCH_BYTES)))


def policies() -> st.SearchStrategy[Policy]:
    """Policies: the named ones and any groups with what they need, with and without a thread pointer."""
    named = (Policy.default(), Policy.deterministic(), Policy.integer_only(), Policy.everything())
    groups = st.one_of(
        st.sampled_from([policy.groups for policy in named]),
        st.frozensets(st.sampled_from(list(Group))).map(with_needs),
    )
    return st.builds(Policy, groups, st.booleans())


def guest_addresses() -> st.SearchStrategy[int]:
    """EIPs, those at both ends of the address space above all."""
    return st.one_of(st.sampled_from((0, 0x1000, 0x0804_8000, 0xFFFF_FFF0, 0xFFFF_FFFF)), st.integers(0, 0xFFFF_FFFF))


def thread_pointers() -> st.SearchStrategy[int | None]:
    """Bases that GS may have, or None where it has none."""
    return st.one_of(
        st.none(), st.sampled_from((0, 0x0001_0000, 0x7FFF_FFFF, 0xFFFF_F000)), st.integers(0, 0xFFFF_FFFF)
    )
