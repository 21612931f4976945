"""AES, PCLMULQDQ and SHA: against the standards' own examples, against hashlib, and against the processor."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterator

import pytest
from asm import assemble
from one_instruction import DATA, Bench, image, register

from reference.isa.decode import decode
from reference.isa.instruction import InvalidOpcode
from reference.isa.semantics.packed import carryless
from reference.policy import Policy
from vx32py._engines import unavailable

#: Cases of each instruction that are compared with the processor.
CASES = 40


class Vectors:
    """Instructions on numbers: the first register of the assembly text is XMM1, the second XMM2, the third XMM0."""

    def __init__(self) -> None:
        self.bench = Bench("reference")

    def __call__(self, text: str, xmm1: int = 0, xmm2: int = 0, xmm0: int = 0) -> int:
        after = self.bench.run(assemble(text), fp=image(xmm0=xmm0, xmm1=xmm1, xmm2=xmm2))
        assert after.trap is None
        return register(after.fp, "xmm1")


@pytest.fixture(scope="module")
def execute() -> Iterator[Vectors]:
    vectors = Vectors()
    yield vectors
    vectors.bench.engine.close()


# -- AES: FIPS 197 ---------------------------------------------------------------------------------------------------


def number(text: str) -> int:
    """Bytes in hexadecimal, as the standard prints them, as the content of a register."""
    return int.from_bytes(bytes.fromhex(text), "little")


def expand_128(execute: Vectors, key: int) -> list[int]:
    """The eleven round keys of AES-128, made with AESKEYGENASSIST as in Intel's white paper on it."""
    keys, constant = [key], 1
    for _ in range(10):
        assist = execute(f"aeskeygenassist xmm1, xmm2, {constant}", xmm2=keys[-1]) >> 96
        words = struct.unpack("<4I", keys[-1].to_bytes(16, "little"))
        made = []
        for word in words:
            assist ^= word
            made.append(assist)
        keys.append(int.from_bytes(struct.pack("<4I", *made), "little"))
        constant = constant << 1 ^ (0x11B if constant & 0x80 else 0)
    return keys


def test_key_expansion_is_that_of_fips_197_appendix_a1(execute: Vectors) -> None:
    keys = expand_128(execute, number("2b7e151628aed2a6abf7158809cf4f3c"))
    assert keys[1] == number("a0fafe1788542cb123a339392a6c7605")
    assert keys[9] == number("ac7766f319fadc2128d12941575c006e")
    assert keys[10] == number("d014f9a8c9ee2589e13f0cc8b6630ca6")


@pytest.mark.parametrize(
    ("key", "plain", "cipher"),
    [
        ("2b7e151628aed2a6abf7158809cf4f3c", "3243f6a8885a308d313198a2e0370734", "3925841d02dc09fbdc118597196a0b32"),
        ("000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a"),
    ],
)
def test_aes_128_is_that_of_fips_197_appendices_b_and_c1(execute: Vectors, key: str, plain: str, cipher: str) -> None:
    keys = expand_128(execute, number(key))
    state = number(plain) ^ keys[0]
    for round_key in keys[1:10]:
        state = execute("aesenc xmm1, xmm2", state, round_key)
    assert execute("aesenclast xmm1, xmm2", state, keys[10]) == number(cipher)

    state = number(cipher) ^ keys[10]
    for round_key in keys[9:0:-1]:
        state = execute("aesdec xmm1, xmm2", state, execute("aesimc xmm1, xmm2", xmm2=round_key))
    assert execute("aesdeclast xmm1, xmm2", state, keys[0]) == number(plain)


# -- carry-less multiplication ---------------------------------------------------------------------------------------


def test_carryless_product_is_addition_of_shifted_polynomials(execute: Vectors) -> None:
    rng = random.Random(1)
    for _ in range(50):
        a, b = rng.getrandbits(128), rng.getrandbits(128)
        for selector in (0x00, 0x01, 0x10, 0x11, 0xEE, 0xFF):
            one, other = (a >> 64 * (selector & 1)) % 2**64, (b >> 64 * (selector >> 4 & 1)) % 2**64
            expected = 0
            for bit in range(64):
                if other >> bit & 1:
                    expected ^= one << bit
            assert execute(f"pclmulqdq xmm1, xmm2, {selector}", a, b) == expected


def test_carryless_product_of_every_small_pair() -> None:
    for a in range(32):
        for b in range(32):
            bits = [sum((a >> i & 1) * (b >> n - i & 1) for i in range(n + 1)) % 2 for n in range(10)]
            assert carryless.product(a, b) == sum(bit << n for n, bit in enumerate(bits))


# -- SHA: hashlib ----------------------------------------------------------------------------------------------------


def padded(message: bytes) -> Iterator[tuple[int, ...]]:
    """The blocks of a message, as words (FIPS 180-4, section 5.1.1)."""
    text = message + b"\x80"
    text += bytes(-(len(text) + 8) % 64) + struct.pack(">Q", 8 * len(message))
    for start in range(0, len(text), 64):
        yield struct.unpack_from(">16I", text, start)


def lanes(*words: int) -> int:
    """A register of four words, lowest first."""
    return sum(word % 2**32 << 32 * i for i, word in enumerate(words))


def words_of(value: int) -> list[int]:
    return [value >> 32 * i & 0xFFFF_FFFF for i in range(4)]


def primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def fraction_of_cube_root(value: int) -> int:
    """The first 32 bits of the fraction of a cube root, which is what SHA-256's constants are."""
    scaled, root = value << 96, 0
    for bit in range(36, -1, -1):
        if (root | 1 << bit) ** 3 <= scaled:
            root |= 1 << bit
    return root & 0xFFFF_FFFF


def sha256(execute: Vectors, message: bytes) -> bytes:
    constants = [fraction_of_cube_root(prime) for prime in primes(64)]
    h = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
    for block in padded(message):
        schedule = [lanes(*block[i : i + 4]) for i in range(0, 16, 4)]
        while len(schedule) < 16:
            w16, w12, w8, w4 = schedule[-4:]
            begun = words_of(execute("sha256msg1 xmm1, xmm2", w16, w12))
            w7 = (*words_of(w8)[1:], words_of(w4)[0])
            begun = [word + earlier for word, earlier in zip(begun, w7, strict=True)]
            schedule.append(execute("sha256msg2 xmm1, xmm2", lanes(*begun), w4))
        words = [word for four in schedule for word in words_of(four)]
        a, b, c, d, e, f, g, hh = h
        abef, cdgh = lanes(f, e, b, a), lanes(hh, g, d, c)
        for i in range(0, 64, 2):
            wk = lanes(words[i] + constants[i], words[i + 1] + constants[i + 1], 0xDEAD, 0xBEEF)
            abef, cdgh = execute("sha256rnds2 xmm1, xmm2", cdgh, abef, wk), abef
        f, e, b, a = words_of(abef)
        hh, g, d, c = words_of(cdgh)
        h = [x + y & 0xFFFF_FFFF for x, y in zip(h, (a, b, c, d, e, f, g, hh), strict=True)]
    return struct.pack(">8I", *h)


def sha1(execute: Vectors, message: bytes) -> bytes:
    h = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0]
    for block in padded(message):
        schedule = [lanes(*reversed(block[i : i + 4])) for i in range(0, 16, 4)]
        while len(schedule) < 20:
            w16, w12, w8, w4 = schedule[-4:]
            begun = execute("sha1msg1 xmm1, xmm2", w16, w12) ^ w8
            schedule.append(execute("sha1msg2 xmm1, xmm2", begun, w4))
        abcd, before = lanes(*reversed(h[:4])), None
        for i, four in enumerate(schedule):
            if before is None:
                with_e = lanes(*words_of(four)[:3], words_of(four)[3] + h[4])
            else:
                with_e = execute("sha1nexte xmm1, xmm2", before, four)
            before, abcd = abcd, execute(f"sha1rnds4 xmm1, xmm2, {i // 5}", abcd, with_e)
        assert before is not None
        e = words_of(execute("sha1nexte xmm1, xmm2", before, 0))[3]
        h = [x + y & 0xFFFF_FFFF for x, y in zip(h, (*reversed(words_of(abcd)), e), strict=True)]
    return struct.pack(">5I", *h)


@pytest.mark.parametrize("message", [b"", b"abc", bytes(range(200))], ids=["empty", "abc", "four blocks"])
def test_sha_instructions_make_what_hashlib_makes(execute: Vectors, message: bytes) -> None:
    assert sha256(execute, message) == hashlib.sha256(message).digest()
    assert sha1(execute, message) == hashlib.sha1(message, usedforsecurity=False).digest()


# -- the processor ---------------------------------------------------------------------------------------------------

ROUNDS = ["aesenc", "aesenclast", "aesdec", "aesdeclast"]
SHA = ["sha1nexte", "sha1msg1", "sha1msg2", "sha256msg1", "sha256msg2"]
INSTRUCTIONS = [
    *(f"{name} xmm1, {source}" for name in (*ROUNDS, "aesimc", *SHA) for source in ("xmm2", "xmm1", "[ebx]")),
    *(f"v{name} xmm1, xmm3, {source}" for name in ROUNDS for source in ("xmm2", "xmm1", "[ebx + 3]")),
    *(f"sha256rnds2 xmm1, {source}" for source in ("xmm2", "xmm0", "[ebx]")),
    *(f"aeskeygenassist xmm1, {source}, IMM" for source in ("xmm2", "[ebx]")),
    *(f"pclmulqdq xmm1, {source}, IMM" for source in ("xmm2", "[ebx]")),
    *(f"sha1rnds4 xmm1, {source}, IMM" for source in ("xmm2", "[ebx]")),
    "vaesimc xmm1, xmm2", "vaesimc xmm1, [ebx + 5]",
    "vaeskeygenassist xmm1, [ebx + 1], IMM",
    "vpclmulqdq xmm1, xmm3, xmm2, IMM", "vpclmulqdq xmm1, xmm3, [ebx + 9], IMM",
    # Misaligned
    "aesenc xmm1, [ebx + 8]", "aesimc xmm1, [ebx + 1]", "pclmulqdq xmm1, [ebx + 4], IMM",
]  # fmt: skip


def random_image(rng: random.Random) -> bytes:
    registers: dict[str, int | bytes] = {}
    for i in range(8):
        registers[f"xmm{i}"] = rng.choice((rng.randbytes(16), rng.randbytes(16), bytes(16), b"\xff" * 16))
        registers[f"ymm{i}"] = rng.randbytes(16)
    return image(mxcsr=0x1F80 | rng.getrandbits(6), **registers)


@pytest.mark.ldt
def test_the_processor_does_the_same() -> None:
    reason = unavailable("jit")
    if reason is not None:
        pytest.skip(f"no processor to compare with: {reason}")
    rng = random.Random(2)
    with Bench("jit", Policy.host()) as processor, Bench("reference") as reference:
        for text in INSTRUCTIONS:
            if not _is_admitted(assemble(text.replace("IMM", "0")), Policy.host()):
                continue
            for _ in range(CASES):
                immediate = rng.choice((0, 1, 16, 17, rng.getrandbits(8)))
                code, fp, data = assemble(text.replace("IMM", str(immediate))), random_image(rng), rng.randbytes(48)
                expected = processor.run(code, fp=fp, data=data, ebx=DATA)
                assert reference.run(code, fp=fp, data=data, ebx=DATA) == expected, text


def _is_admitted(code: bytes, policy: Policy) -> bool:
    try:
        decode(code, 0, policy)
    except InvalidOpcode:
        return False
    return True
