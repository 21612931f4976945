"""PCMPxSTRx: against the manual's tables written out element by element, against what the idioms are for, and against
the processor."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from asm import assemble
from one_instruction import DATA, Bench, image, register

from reference.flags import AF, CF, OF, PF, SF, ZF
from reference.policy import Group, Policy
from vx32py._engines import unavailable

#: Operands for each of the 128 immediates, by oracle.
OPERANDS = {"manual": 4, "processor": 3}

ANY, RANGES, EACH, ORDERED = 0, 4, 8, 12
NEGATED, MASKED = 0x10, 0x20
HIGHEST = WIDE = 0x40
WORDS, SIGNED = 1, 2


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench("reference") as made:
        yield made


# -- the manual ------------------------------------------------------------------------------------------------------


def by_the_manual(first: bytes, second: bytes, lengths: tuple[int, int] | None, control: int) -> tuple[int, int]:
    """IntRes2 and the flags, by SDM volume 2, section 4.1: a matrix of comparisons, some of them overridden."""
    size = 2 if control & WORDS else 1
    count = 16 // size
    a, b = (
        [int.from_bytes(x[i : i + size], "little", signed=bool(control & SIGNED)) for i in range(0, 16, size)]
        for x in (first, second)
    )
    if lengths is None:
        ends = [next((i for i in range(count) if x[i] == 0), count) for x in (a, b)]
    else:
        ends = [min(abs(length), count) for length in lengths]
    mode = control & 12

    def compare(j: int, i: int) -> bool:
        """Element j of the second operand with element i of the first; figures in table 4-7."""
        invalid_a, invalid_b = i >= ends[0], j >= ends[1]
        if mode in (ANY, RANGES) and (invalid_a or invalid_b):
            return False
        if mode == EACH and (invalid_a or invalid_b):
            return invalid_a and invalid_b
        if mode == ORDERED and (invalid_a or invalid_b):
            return invalid_a
        if mode == RANGES:
            return b[j] <= a[i] if i % 2 else b[j] >= a[i]
        return a[i] == b[j]

    results = []
    for j in range(count):
        if mode == ANY:
            results.append(any(compare(j, i) for i in range(count)))
        elif mode == RANGES:
            results.append(any(compare(j, i) and compare(j, i + 1) for i in range(0, count, 2)))
        elif mode == EACH:
            results.append(compare(j, j))
        else:
            results.append(all(compare(j + i, i) for i in range(count - j)))
    for j in range(count):
        if control & NEGATED and not (control & MASKED and j >= ends[1]):
            results[j] = not results[j]
    mask = sum(1 << j for j in range(count) if results[j])
    flags = CF * (mask != 0) | ZF * (ends[1] < count) | SF * (ends[0] < count) | OF * results[0]
    return mask, flags


def fragments(rng: random.Random) -> tuple[bytes, bytes]:
    """Two fragments that have something in common, with a null here and there."""
    alphabet = rng.choice(([0x61, 0x62], [0x61, 0x62, 0x63, 0], [0, 1, 0x7F, 0x80, 0xFF, 0x61]))

    def fragment() -> bytes:
        if rng.randrange(2):
            return bytes(rng.choice(alphabet) for _ in range(16))
        words = (rng.choice((0x61, 0x62, 0x6161, 0x8000, 0x7FFF, 0xFF61)) for _ in range(8))
        return b"".join((word if rng.randrange(8) else 0).to_bytes(2, "little") for word in words)

    return fragment(), fragment()


def length(rng: random.Random) -> int:
    return rng.choice((rng.randrange(18), -rng.randrange(18), -(2**31), 2**31 - 1, rng.getrandbits(32) - 2**31))


@pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "implicit"])
def test_every_immediate_does_what_the_manual_says(bench: Bench, explicit: bool) -> None:
    rng = random.Random(1)
    letter = "e" if explicit else "i"
    for control in range(128):
        index = assemble(f"pcmp{letter}stri xmm1, xmm2, {control}")
        mask = assemble(f"pcmp{letter}strm xmm1, xmm2, {control}")
        for _ in range(OPERANDS["manual"]):
            first, second = fragments(rng)
            lengths = (length(rng), length(rng)) if explicit else None
            eax, edx = (value & 0xFFFF_FFFF for value in lengths or (0, 0))
            expected, flags = by_the_manual(first, second, lengths, control)
            fp = image(xmm0=bytes(range(16)), xmm1=first, xmm2=second)
            count = 8 if control & WORDS else 16

            after = bench.run(index, fp=fp, eax=eax, edx=edx, eflags=0x202 | AF | PF)
            assert after.words[9] == flags, (control, first, second)
            ones = [i for i in range(count) if expected >> i & 1]
            assert after.words[1] == (ones[-1 if control & HIGHEST else 0] if ones else count), (control, first, second)

            after = bench.run(mask, fp=fp, eax=eax, edx=edx, eflags=0x202)
            assert after.words[9] == flags, (control, first, second)
            assert after.words[1] == 0
            if control & WIDE:
                wide = b"".join((b"\xff" if expected >> i & 1 else b"\0") * (16 // count) for i in range(count))
                assert register(after.fp, "xmm0") == int.from_bytes(wide, "little")
            else:
                assert register(after.fp, "xmm0") == expected


# -- what it is for --------------------------------------------------------------------------------------------------


def index_of(bench: Bench, first: bytes, second: bytes, control: int) -> int:
    code = assemble(f"pcmpistri xmm1, xmm2, {control}")
    return bench.run(code, fp=image(xmm1=first.ljust(16, b"\0"), xmm2=second.ljust(16, b"\0"))).words[1]


def test_it_finds_characters_ranges_differences_and_substrings(bench: Bench) -> None:
    text = b"the quick, brown"
    assert index_of(bench, b",;", text, ANY) == text.index(b",")
    assert index_of(bench, b"pqxz", text, RANGES) == text.index(b"q")
    assert index_of(bench, b"az  ", text, RANGES | NEGATED) == text.index(b",")
    assert index_of(bench, b"the quiet", text, EACH | NEGATED) == 7
    assert index_of(bench, b"brow", text, ORDERED) == text.index(b"brow")
    assert index_of(bench, b"owner", text, ORDERED) == text.index(b"own")  # it may go on behind the register
    assert index_of(bench, b"cow", text, ORDERED) == 16
    assert index_of(bench, b"", b"length", EACH | HIGHEST) == 15
    assert index_of(bench, b"", b"length", EACH) == 6  # where both have ended
    assert index_of(bench, b"e", text, ANY | HIGHEST) == text.rindex(b"e")


def test_operand_in_memory_may_stand_anywhere(bench: Bench) -> None:
    for offset, form in itertools.product((0, 1, 15), ("pcmpistri", "vpcmpistri", "pcmpestrm", "vpcmpestrm")):
        code = assemble(f"{form} xmm1, [ebx], 0")
        after = bench.run(
            code, fp=image(xmm1=b"x" * 16), data=b"....x..........." * 2, at=DATA + offset, ebx=DATA + offset
        )
        assert after.trap is None
        if form.endswith("i"):
            assert after.words[1] == 4


def test_only_the_vex_form_clears_the_upper_half_of_ymm0(bench: Bench) -> None:
    fp = image(ymm0=2**128 - 1, ymm1=2**128 - 1, xmm1=b"x" * 16)
    for form, upper in (("pcmpistrm", 2**128 - 1), ("vpcmpistrm", 0)):
        after = bench.run(assemble(f"{form} xmm1, xmm1, 0x48"), fp=fp)
        assert register(after.fp, "xmm0") == 2**128 - 1
        assert register(after.fp, "ymm0") == upper
        assert register(after.fp, "ymm1") == 2**128 - 1


# -- the processor ---------------------------------------------------------------------------------------------------


@pytest.mark.ldt
@pytest.mark.parametrize("form", ["pcmpestri", "pcmpestrm", "pcmpistri", "pcmpistrm"])
def test_the_processor_does_the_same(form: str) -> None:
    reason = unavailable("jit")
    if reason is not None:
        pytest.skip(f"no processor to compare with: {reason}")
    if not {Group.SSE42, Group.AVX} <= Policy.host().groups:
        pytest.skip("the processor has no SSE4.2 or no AVX")
    rng = random.Random(3)
    with Bench("jit") as processor, Bench("reference") as reference:
        for control in range(256):
            for name, source in ((form, "xmm2"), (f"v{form}", "[ebx + 1]")):
                code = assemble(f"{name} xmm1, {source}, {control}")
                for _ in range(OPERANDS["processor"]):
                    first, second = fragments(rng)
                    fp = image(xmm0=rng.randbytes(16), ymm0=rng.randbytes(16), xmm1=first, xmm2=second)
                    eax, edx = length(rng) & 0xFFFF_FFFF, length(rng) & 0xFFFF_FFFF
                    flags = 0x202 | rng.choice((0, 0x8D5))
                    expected, actual = (
                        bench.run(code, fp=fp, data=b"?" + second, eflags=flags, eax=eax, edx=edx, ebx=DATA)
                        for bench in (processor, reference)
                    )
                    assert actual == expected, (name, control, first, second)
