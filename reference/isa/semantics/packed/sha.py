"""SHA-1 and SHA-256: SHA1RNDS4 SHA1NEXTE SHA1MSG1 SHA1MSG2, SHA256RNDS2 SHA256MSG1 SHA256MSG2.

The letters are those of FIPS 180-4: the working variables ``a`` to ``h``, the message schedule ``w``. Of four words of the
schedule, SHA-1 keeps the first in the highest lane of a register, SHA-256 in the lowest (SDM volume 2, the instructions).

An operand in memory must be aligned like that of other instructions. AMD's processors do not insist on it (measured on
Zen 4), so a guest on the native engine gets away with one that is not.
"""

from __future__ import annotations

from typing import Final

from reference.isa.semantics.machine import Machine
from reference.isa.semantics.operation import Operation
from reference.isa.semantics.packed.lanes import U32
from reference.isa.semantics.registry import semantics
from reference.registers import MASK32

#: The constants of SHA-1's four groups of twenty rounds (FIPS 180-4, section 4.2.1).
_SHA1_CONSTANTS: Final = (0x5A82_7999, 0x6ED9_EBA1, 0x8F1B_BCDC, 0xCA62_C1D6)


def _words(value: int) -> tuple[int, ...]:
    """The four words of a register, lowest first."""
    return U32.split(value, 16)


def _join(*words: int) -> int:
    """The register of four words, lowest first, modulo 2^32."""
    return U32.wrap(words)


def _rotate_left(value: int, count: int) -> int:
    return (value << count | value >> 32 - count) & MASK32


def _rotate_right(value: int, count: int) -> int:
    return _rotate_left(value, 32 - count)


# -- SHA-1 -----------------------------------------------------------------------------------------------------------


def _sha1_function(group: int, b: int, c: int, d: int) -> int:
    """Ch, Parity, Maj, Parity: one for each group of rounds (FIPS 180-4, section 4.1.1)."""
    if group == 0:
        return b & c ^ ~b & d
    if group == 2:
        return b & c ^ b & d ^ c & d
    return b ^ c ^ d


@semantics("sha1rnds4")
def sha1rnds4(m: Machine, op: Operation) -> int:
    """Four rounds of the group that the immediate names; the first word of the schedule comes with ``e`` added."""
    d, c, b, a = _words(op.load())
    schedule = reversed(_words(op.source()))
    group, e = op.third() & 3, 0
    for w in schedule:
        new = _sha1_function(group, b, c, d) + _rotate_left(a, 5) + w + e + _SHA1_CONSTANTS[group]
        a, b, c, d, e = new & MASK32, a, _rotate_left(b, 30), c, d
    op.store(_join(d, c, b, a))
    return op.next


@semantics("sha1nexte")
def sha1nexte(m: Machine, op: Operation) -> int:
    """``e`` of the next four rounds, which is ``a`` of four rounds ago rotated, added to the first word of a schedule."""
    _, _, _, a = _words(op.load())
    w3, w2, w1, w0 = _words(op.source())
    op.store(_join(w3, w2, w1, w0 + _rotate_left(a, 30)))
    return op.next


@semantics("sha1msg1")
def sha1msg1(m: Machine, op: Operation) -> int:
    """The schedule's next four words, begun: ``w[t-16] ^ w[t-14]``."""
    w3, w2, w1, w0 = _words(op.load())
    _, _, w5, w4 = _words(op.source())
    op.store(_join(w3 ^ w5, w2 ^ w4, w1 ^ w3, w0 ^ w2))
    return op.next


@semantics("sha1msg2")
def sha1msg2(m: Machine, op: Operation) -> int:
    """The schedule's next four words, finished: ``^ w[t-3]``, rotated; the last of them needs the first."""
    t3, t2, t1, t0 = _words(op.load())
    w15, w14, w13, _ = _words(op.source())
    w16, w17, w18 = (_rotate_left(t ^ w, 1) for t, w in ((t0, w13), (t1, w14), (t2, w15)))
    op.store(_join(_rotate_left(t3 ^ w16, 1), w18, w17, w16))
    return op.next


# -- SHA-256 ---------------------------------------------------------------------------------------------------------


@semantics("sha256rnds2")
def sha256rnds2(m: Machine, op: Operation) -> int:
    """Two rounds; the low half of XMM0 holds their words of the schedule with the round constants added."""
    h, g, d, c = _words(op.load())
    f, e, b, a = _words(op.source())
    for w in _words(op.third())[:2]:
        sum1 = _rotate_right(e, 6) ^ _rotate_right(e, 11) ^ _rotate_right(e, 25)
        sum0 = _rotate_right(a, 2) ^ _rotate_right(a, 13) ^ _rotate_right(a, 22)
        t1 = h + sum1 + (e & f ^ ~e & g) + w
        t2 = sum0 + (a & b ^ a & c ^ b & c)
        a, b, c, d, e, f, g, h = t1 + t2 & MASK32, a, b, c, d + t1 & MASK32, e, f, g
    op.store(_join(f, e, b, a))
    return op.next


def _sigma0(value: int) -> int:
    return _rotate_right(value, 7) ^ _rotate_right(value, 18) ^ value >> 3


def _sigma1(value: int) -> int:
    return _rotate_right(value, 17) ^ _rotate_right(value, 19) ^ value >> 10


@semantics("sha256msg1")
def sha256msg1(m: Machine, op: Operation) -> int:
    """The schedule's next four words, begun: ``w[t-16] + sigma0(w[t-15])``."""
    w0, w1, w2, w3 = _words(op.load())
    w4 = _words(op.source())[0]
    op.store(_join(w0 + _sigma0(w1), w1 + _sigma0(w2), w2 + _sigma0(w3), w3 + _sigma0(w4)))
    return op.next


@semantics("sha256msg2")
def sha256msg2(m: Machine, op: Operation) -> int:
    """The schedule's next four words, finished: ``+ sigma1(w[t-2])``; the last two of them need the first two."""
    t0, t1, t2, t3 = _words(op.load())
    _, _, w14, w15 = _words(op.source())
    w16, w17 = t0 + _sigma1(w14) & MASK32, t1 + _sigma1(w15) & MASK32
    op.store(_join(w16, w17, t2 + _sigma1(w16), t3 + _sigma1(w17)))
    return op.next
