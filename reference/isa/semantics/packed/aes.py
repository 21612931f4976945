"""AES: AESENC AESENCLAST AESDEC AESDECLAST, AESIMC, AESKEYGENASSIST and their VEX forms.

The state is a vector register of sixteen bytes, byte 0 lowest: column ``c`` of the cipher's four by four bytes are bytes
``4c`` to ``4c + 3`` (FIPS 197, section 3.4; SDM volume 1, chapter 12).
"""

from __future__ import annotations

from typing import Final

from reference.isa.semantics.packed.form import one_source, one_source_control, two_sources


def _multiply(a: int, b: int) -> int:
    """The product of two bytes as polynomials over GF(2), modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, section 4.2)."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def _affine(value: int) -> int:
    """The map of bits in the S-box: the byte added to four of its rotations, and a constant (FIPS 197, section 5.1.1)."""
    result = 0x63
    for count in range(5):
        result ^= (value << count | value >> 8 - count) & 0xFF
    return result


def _substitutions() -> bytes:
    """The S-box: the inverse of each byte, 0 for 0, through the affine map."""
    powers = [1]
    while len(powers) < 255:
        powers.append(_multiply(powers[-1], 3))  # 3 generates the multiplicative group
    inverses = {value: powers[-exponent % 255] for exponent, value in enumerate(powers)}
    return bytes(_affine(inverses.get(value, 0)) for value in range(256))


def _inverse(box: bytes) -> bytes:
    return bytes(box.index(value) for value in range(256))


_SUBSTITUTE: Final = _substitutions()
_SUBSTITUTE_BACK: Final = _inverse(_SUBSTITUTE)
#: Where each byte of the state comes from when row ``r`` has moved left by ``r`` columns, and back right.
_SHIFT_ROWS: Final = [(place + 4 * (place % 4)) % 16 for place in range(16)]
_SHIFT_ROWS_BACK: Final = [(place - 4 * (place % 4)) % 16 for place in range(16)]
#: The first column of the matrices of MixColumns and its inverse; each further one is the one before, moved down by one.
_MIX: Final = (2, 1, 1, 3)
_MIX_BACK: Final = (14, 9, 13, 11)
_PRODUCTS: Final = {
    factor: bytes(_multiply(factor, value) for value in range(256)) for factor in (1, 2, 3, 9, 11, 13, 14)
}


def _permuted(state: int, order: list[int], box: bytes) -> bytes:
    """The bytes of the state in another order, each replaced by its entry in ``box``."""
    data = state.to_bytes(16, "little")
    return bytes(box[data[place]] for place in order)


def _mixed(state: bytes, factors: tuple[int, int, int, int]) -> bytes:
    """Each column multiplied by the matrix with that first column."""
    mixed = bytearray(16)
    for place in range(16):
        first, row = place & ~3, place & 3
        for other in range(4):
            mixed[place] ^= _PRODUCTS[factors[row - other & 3]][state[first + other]]
    return bytes(mixed)


def _number(state: bytes) -> int:
    return int.from_bytes(state, "little")


@two_sources("aesenc", "vaesenc")
def aesenc(state: int, key: int, size: int) -> int:
    """A round of encryption."""
    return _number(_mixed(_permuted(state, _SHIFT_ROWS, _SUBSTITUTE), _MIX)) ^ key


@two_sources("aesenclast", "vaesenclast")
def aesenclast(state: int, key: int, size: int) -> int:
    """The last round of encryption, which does not mix columns."""
    return _number(_permuted(state, _SHIFT_ROWS, _SUBSTITUTE)) ^ key


@two_sources("aesdec", "vaesdec")
def aesdec(state: int, key: int, size: int) -> int:
    """A round of decryption in the order of the equivalent inverse cipher (FIPS 197, section 5.3.5)."""
    return _number(_mixed(_permuted(state, _SHIFT_ROWS_BACK, _SUBSTITUTE_BACK), _MIX_BACK)) ^ key


@two_sources("aesdeclast", "vaesdeclast")
def aesdeclast(state: int, key: int, size: int) -> int:
    """The last round of decryption, which does not mix columns."""
    return _number(_permuted(state, _SHIFT_ROWS_BACK, _SUBSTITUTE_BACK)) ^ key


@one_source("aesimc", "vaesimc")
def aesimc(key: int, size: int) -> int:
    """The inverse of MixColumns: makes a round key for encryption one for decryption."""
    return _number(_mixed(key.to_bytes(16, "little"), _MIX_BACK))


@one_source_control("aeskeygenassist", "vaeskeygenassist")
def aeskeygenassist(key: int, round_constant: int, size: int) -> int:
    """Of the second and the fourth word of the source, each: the word substituted, and that rotated with the immediate."""
    words = bytes(_SUBSTITUTE[byte] for byte in key.to_bytes(16, "little"))
    result = b""
    for word in (words[4:8], words[12:16]):
        result += word + bytes([word[1] ^ round_constant, word[2], word[3], word[0]])
    return _number(result)
