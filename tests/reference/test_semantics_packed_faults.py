"""Vector instructions that touch part of their operand, or fault halfway: gathers, masked moves, MMX on a busy x87.

Each case runs on every engine; the native one makes the processor the oracle. What the manuals leave to the processor is
compared on AMD's only, whose ways the reference follows; and where Zen 5 has other ways than Zen 4, on Zen 4's family only.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Final

import needs
import pytest
from asm import assemble

from conformance.case import CODE, DATA, DATA_END, ENTRY, LIMIT, READ_ONLY, STACK, Case
from conformance.oracles.engines import EngineBench, bench_of
from conformance.outcome import Outcome, changes, differences, report
from reference.engines import ReferenceEngine
from reference.policy import Policy
from reference.registers import CPU, EAX, EBP, EBX, EDI, ESI, ESP, MASK32
from reference.traps import Access, Vector
from vx32py import _engines

WAYS: Final = ("jit stepping", "jit running", "translated running")

Compare = Callable[[Case], Outcome]


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii") as info:
            return info.read(4096)
    except OSError:
        return ""


avx2 = pytest.mark.skipif("avx2" not in _processor(), reason="this processor has no AVX2")
amd = pytest.mark.skipif("AuthenticAMD" not in _processor(), reason="other processors than AMD's may do otherwise")
zen4 = pytest.mark.skipif(
    re.search(r"^vendor_id\s*: AuthenticAMD\n(?s:.*?)^cpu family\s*: 25\n", _processor(), re.MULTILINE) is None,
    reason="other processors than those of AMD's family 19h may do otherwise, and Zen 5 does",
)


@pytest.fixture(params=WAYS)
def compare(request: pytest.FixtureRequest) -> Iterator[Compare]:
    """Run a case on the reference and on another engine, which must agree."""
    name, way = request.param.split()
    needs.engine(name)
    oracle = bench_of(name, Policy.everything(), stepping=way == "stepping", low_memory=False)
    oracle.engine.set_thread_pointer(0x33, DATA + 0x1008)
    ours = EngineBench(ReferenceEngine)
    ours.engine.set_thread_pointer(0x33, DATA + 0x1008)

    def run(case: Case) -> Outcome:
        expected, actual = oracle.run(case), ours.run(case)
        found = differences(case, expected, actual)
        assert not found, report(case, found)
        return actual

    yield run
    ours.close()
    oracle.close()


def _lanes(values: list[int] | tuple[int, ...], bits: int) -> int:
    return sum((value & (1 << bits) - 1) << bits * i for i, value in enumerate(values))


def _image(
    vectors: dict[int, int] | None = None, mmx: dict[int, int] | None = None, fsw: int = 0, fcw: int = 0x37F
) -> bytes:
    """An XSAVE image with these vector registers, MMX registers (TOP being zero), x87 status and control."""
    image = bytearray(CPU().fp)
    image[0:4] = fcw.to_bytes(2, "little") + fsw.to_bytes(2, "little")
    for number, value in (vectors or {}).items():
        data = value.to_bytes(32, "little")
        image[160 + 16 * number : 176 + 16 * number] = data[:16]
        image[576 + 16 * number : 592 + 16 * number] = data[16:]
    for number, value in (mmx or {}).items():
        image[32 + 16 * number : 40 + 16 * number] = value.to_bytes(8, "little")
    return bytes(image)


def _case(text: str, fp: bytes, registers: dict[int, int], memory: tuple[tuple[int, bytes], ...] = ()) -> Case:
    words = [0x1111_1111 * n for n in range(8)]
    words[ESP] = STACK + 0x800
    for number, value in registers.items():
        words[number] = value & MASK32
    return Case(text, assemble(text), (*words, ENTRY, 0x202), memory, 0, fp=fp)


def _vector(outcome: Outcome, number: int) -> int:
    """A YMM register afterwards."""
    assert outcome.fp is not None
    low, high = 160 + 16 * number, 576 + 16 * number
    return int.from_bytes(outcome.fp[low : low + 16] + outcome.fp[high : high + 16], "little")


#: What lies at the ends of mapped memory.
EDGES: Final = (
    (DATA, bytes(range(0x20, 0x60))),
    (DATA_END - 0x40, bytes(range(0x80, 0xC0))),
    (READ_ONLY, bytes(range(0x40, 0x80))),
)
OLD: Final = int.from_bytes(bytes(range(0xC0, 0xE0)), "little")
SIGN32: Final = 1 << 31


# -- gathers ---------------------------------------------------------------------------------------------------------


@avx2
@pytest.mark.parametrize("bad", range(8))
def test_a_gather_keeps_what_it_has_gathered_before_a_fault(compare: Compare, bad: int) -> None:
    indices = [8 * i for i in range(8)]
    indices[bad] = 0x1_0000
    mask = [MASK32 if i <= bad else 0 for i in range(8)]
    fp = _image({1: OLD, 2: _lanes(indices, 32), 3: _lanes(mask, 32)})
    memory = ((DATA, bytes(range(0x40))),)
    outcome = compare(_case("vpgatherdd ymm1, [eax + ymm2], ymm3", fp, {EAX: DATA}, memory))
    assert outcome.trap is not None
    assert (outcome.trap.eip, outcome.trap.address, outcome.trap.access) == (ENTRY, DATA + 0x1_0000, Access.READ)
    new = [int.from_bytes(bytes(range(8 * i, 8 * i + 4)), "little") for i in range(8)]
    old = [OLD >> 32 * i & MASK32 for i in range(8)]
    assert _vector(outcome, 1) == _lanes([new[i] if i < bad else old[i] for i in range(8)], 32)
    assert _vector(outcome, 3) == _lanes([MASK32 if i == bad else 0 for i in range(8)], 32)


@avx2
def test_a_gather_that_is_resumed_completes(compare: Compare) -> None:
    """What a host does that maps the missing page and runs the guest on."""
    memory = ((DATA_END - 0x40, bytes(range(0x40))),)
    text = "vpgatherdd xmm1, [eax + xmm2], xmm3"
    indices = _lanes([0, 4, 0x40, 8], 32)
    first = compare(_case(text, _image({1: OLD, 2: indices, 3: (1 << 128) - 1}), {EAX: DATA_END - 0x40}, memory))
    assert first.trap is not None
    assert first.fp is not None
    second = compare(_case(text, first.fp, {EAX: DATA_END - 0x60}, ((DATA_END - 0x60, bytes(range(0x60))),)))
    assert second.trap is None
    gathered = bytes((0, 1, 2, 3, 4, 5, 6, 7, 64, 65, 66, 67, 8, 9, 10, 11))
    assert _vector(second, 1) == int.from_bytes(gathered, "little")
    assert _vector(second, 3) == 0


@avx2
@amd
def test_gathers_of_any_mask_and_any_faults(compare: Compare) -> None:
    """Mask lanes with other bits than their signs, and more than one address that faults."""
    rng = random.Random("gathers")
    kinds = (
        ("vpgatherdd", "x", "x", 32), ("vpgatherdd", "y", "y", 32), ("vpgatherdq", "x", "x", 32), ("vpgatherdq", "y", "x", 32),
        ("vpgatherqd", "x", "x", 64), ("vpgatherqd", "x", "y", 64), ("vpgatherqq", "x", "x", 64), ("vpgatherqq", "y", "y", 64),
    )  # fmt: skip
    for name, vector, index, bits in kinds * 40:
        base = rng.choice(("eax", "ebp", "ss:[eax", f"{DATA:#x}"))
        address = f"{base if ':' in base else '[' + base} + {index}mm2 * {rng.choice((1, 2, 4, 8))}]"
        text = f"{name} {vector}mm1, {address}, {vector}mm3"
        wild = (0x8000, 0x10_0000, -0x20_0000, 0x2000_0000, 0x1FF0, 0x1FFE)
        lanes = [rng.choice(wild) if rng.randrange(4) == 0 else rng.randrange(0x100) for _ in range(256 // bits)]
        fp = _image({1: OLD, 2: _lanes(lanes, bits), 3: rng.getrandbits(256)})
        compare(_case(text, fp, {EAX: DATA, EBP: DATA}, ((DATA, rng.randbytes(0x40)),)))


# -- masked moves ----------------------------------------------------------------------------------------------------


@avx2
@pytest.mark.parametrize(
    "where",
    [
        DATA - 8, DATA - 6, DATA_END - 8, DATA_END - 10, READ_ONLY - 8, READ_ONLY, LIMIT - 8,
        pytest.param(-8, marks=zen4),  # elements that wrap, or an operand that goes beyond the segment
    ],
)  # fmt: skip
def test_elements_that_are_not_selected_do_not_fault(compare: Compare, where: int) -> None:
    for chosen in product((0, SIGN32), repeat=4):
        fp = _image({1: OLD, 2: _lanes(chosen, 32)})
        compare(_case("vmaskmovps xmm1, xmm2, [eax]", fp, {EAX: where}, EDGES))
        compare(_case("vmaskmovps [eax], xmm2, xmm1", fp, {EAX: where}, EDGES))
    for low, high in product((0, 1 << 63), repeat=2):
        fp = _image({1: OLD, 2: low | high << 64})
        compare(_case("vpmaskmovq xmm1, xmm2, [ebp]", fp, {EBP: where}, EDGES))
        compare(_case("vpmaskmovq [ebp], xmm2, xmm1", fp, {EBP: where}, EDGES))


@avx2
@zen4
@pytest.mark.parametrize("where", [0xFFF4, 0xFFF8, 0xFFFE])
def test_the_elements_of_a_masked_move_wrap_at_16_bits(compare: Compare, where: int) -> None:
    """On Zen 5 the elements of one operand stand behind one another, also beyond 64 KiB."""
    _compare_elements(compare, where, range(4))


@avx2
@pytest.mark.parametrize("where", [0, 0xFFF0, 0xFFF4, 0xFFF8])
def test_masked_moves_have_16_bit_addresses_too(compare: Compare, where: int) -> None:
    _compare_elements(compare, where, range(min(4, (0x1_0000 - where) // 4)))


def _compare_elements(compare: Compare, where: int, elements: range) -> None:
    for chosen in elements:
        fp = _image({1: OLD, 2: SIGN32 << 32 * chosen})
        for text in ("vmaskmovps xmm1, xmm2, [si]", "vmaskmovps [bx + si], xmm2, xmm1"):
            trap = compare(_case(text, fp, {ESI: where, EBX: 0x5555_0000})).trap
            assert trap is not None
            assert trap.address == where + 4 * chosen & 0xFFFF


@avx2
def test_a_masked_store_that_faults_stores_nothing(compare: Compare) -> None:
    fp = _image({1: OLD, 2: (1 << 256) - 1})
    outcome = compare(_case("vpmaskmovd [eax], ymm2, ymm1", fp, {EAX: DATA_END - 20}, EDGES))
    assert outcome.trap is not None
    assert (outcome.trap.address, outcome.trap.access) == (DATA_END, Access.WRITE)
    assert outcome.memory == ()


@avx2
def test_a_masked_store_leaves_the_bytes_between_alone(compare: Compare) -> None:
    fp = _image({1: OLD, 2: _lanes((0, 1 << 63, 0, 1 << 63), 64)})
    outcome = compare(_case("vmaskmovpd [eax], ymm2, ymm1", fp, {EAX: DATA + 3}, EDGES))
    expected = bytearray(EDGES[0][1])
    expected[11:19], expected[27:35] = bytes(range(0xC8, 0xD0)), bytes(range(0xD8, 0xE0))
    assert outcome.memory == tuple(changes(*EDGES[0], bytes(expected)))


@pytest.mark.parametrize("text", ["maskmovdqu xmm1, xmm2", "vmaskmovdqu xmm1, xmm2"])
def test_maskmovdqu_stores_the_selected_bytes_at_edi(compare: Compare, text: str) -> None:
    fp = _image({1: OLD, 2: _lanes((0x80, 0x7F, 0, 0xFF) * 4, 8)})
    outcome = compare(_case(text, fp, {EDI: DATA + 5}, EDGES))
    expected = bytearray(EDGES[0][1])
    for i in range(0, 16, 4):
        expected[5 + i], expected[8 + i] = 0xC0 + i, 0xC3 + i
    assert outcome.memory == tuple(changes(*EDGES[0], bytes(expected)))
    faults = compare(_case("addr16 " + text, fp, {EDI: 0x5555_0010}, EDGES))
    assert faults.trap is not None
    assert faults.trap.address == 0x10


@amd
@pytest.mark.parametrize(
    "where", [DATA - 8, DATA - 4, DATA_END - 8, DATA_END - 4, READ_ONLY, LIMIT - 8, LIMIT - 4, LIMIT]
)
def test_maskmovdqu_needs_all_of_its_operand(compare: Compare, where: int) -> None:
    for mask in (0, 0x80, 0x80 << 120, (1 << 128) - 1, 0x8080 << 56, (1 << 64) - 1):
        assert compare(_case("maskmovdqu xmm1, xmm2", _image({1: OLD, 2: mask}), {EDI: where}, EDGES)).trap is not None


@amd
@pytest.mark.parametrize("where", [DATA - 4, DATA - 8, READ_ONLY, LIMIT - 4, LIMIT])
def test_maskmovq_takes_the_x87_registers_over_even_if_it_faults(compare: Compare, where: int) -> None:
    for mask in (0, 0x80, (1 << 64) - 1):
        fp = _image(mmx={1: OLD & (1 << 64) - 1, 2: mask}, fsw=3 << 11)
        outcome = compare(_case("maskmovq mm1, mm2", fp, {EDI: where}, EDGES))
        assert outcome.trap is not None
        assert outcome.fp is not None
        assert outcome.fp[2:5] == bytes((0, 0, 0xFF))


# -- MMX and the x87 -------------------------------------------------------------------------------------------------

_PENDING: Final = [
    "paddb mm1, mm2", "movq mm1, [eax]", "movq [eax], mm1", "movd ecx, mm1", "pmovmskb ecx, mm1", "psrlw mm1, 3",
    "maskmovq mm1, mm2", "movq2dq xmm1, mm2", "movdq2q mm1, xmm2", "emms", "pshufw mm1, [eax], 5",
]  # fmt: skip


@pytest.mark.parametrize("text", _PENDING)
def test_mmx_instructions_raise_a_pending_x87_exception(compare: Compare, text: str) -> None:
    """Invalid operation, unmasked; and before anything else, a fault of the operand included."""
    fp = _image({2: OLD}, {1: 0x0102_0304_0506_0708}, fsw=2 << 11 | 0x8081, fcw=0x37E)
    for address in (DATA, READ_ONLY, DATA - 8):
        outcome = compare(_case(text, fp, {EAX: address, EDI: address}, EDGES))
        assert outcome.trap is not None
        assert (outcome.trap.number, outcome.trap.eip) == (Vector.FP_ERROR, ENTRY)


@pytest.mark.parametrize("text", ["paddb xmm1, xmm2", "movq xmm1, [eax]", "movd ecx, xmm1", "vzeroupper"])
def test_other_vector_instructions_do_not(compare: Compare, text: str) -> None:
    fp = _image({1: OLD, 2: OLD}, fsw=2 << 11 | 0x8081, fcw=0x37E)
    assert compare(_case(text, fp, {EAX: DATA}, EDGES)).trap is None


@pytest.mark.parametrize("address", [DATA - 8, LIMIT])
def test_an_mmx_instruction_that_faults_leaves_the_x87_alone(compare: Compare, address: int) -> None:
    fp = _image(mmx={1: 1}, fsw=5 << 11)
    for text in ("paddb mm1, [eax]", "movq [eax], mm1", "movntq [eax], mm1", "pinsrw mm1, [eax], 2"):
        outcome = compare(_case(text, fp, {EAX: address}, EDGES))
        assert outcome.trap is not None
        assert outcome.fp == fp


# -- addresses -------------------------------------------------------------------------------------------------------


@avx2
def test_vector_operands_may_be_relative_to_the_thread_pointer(compare: Compare) -> None:
    """GS begins at an address that is a multiple of 8 only: alignment is that of the linear address."""
    fp = _image({1: OLD, 2: _lanes((0, 1, 2, 3), 32), 3: (1 << 128) - 1})
    memory = ((DATA + 0x1000, bytes(range(0x40))),)
    for text in (
        "movaps xmm1, gs:[eax]", "movups gs:[eax], xmm1", "paddd xmm1, gs:[eax]", "vpaddd xmm1, xmm1, gs:[eax]",
        "vmovdqa gs:[eax], xmm1", "vpgatherdd xmm1, gs:[eax + xmm2 * 4], xmm3", "vpmaskmovd gs:[eax], xmm3, xmm1",
    ):  # fmt: skip
        for offset in (0, 8, 3, -0x1008 - 8):
            compare(_case(text, fp, {EAX: offset}, memory))


@pytest.mark.parametrize("address", [DATA + 8, DATA_END - 8, DATA - 8, LIMIT - 8, DATA_END + 8])
def test_misalignment_comes_before_all_other_faults(compare: Compare, address: int) -> None:
    for text in ("movaps xmm1, [eax]", "movntdq [eax], xmm1", "pxor xmm1, [ebp + 0]", "movdqa [ebp + 0], xmm1"):
        outcome = compare(_case(text, _image({1: OLD}), {EAX: address, EBP: address}, EDGES))
        assert outcome.trap is not None
        assert outcome.trap.vector == Vector.GENERAL_PROTECTION


# -- code ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jit", "translated", "reference"])
@pytest.mark.parametrize(
    "text", ["movdqu [eax], xmm0", "maskmovdqu xmm0, xmm1", "vmaskmovps [eax], xmm1, xmm0", "movq [eax], xmm0"]
)
def test_vector_stores_change_the_code_that_follows(name: str, text: str) -> None:
    """Behind the store stand eight INC ECX, of which it makes six INC EDX."""
    needs.engine(name)
    engine = _engines.create(name, limit=LIMIT, budget=LIMIT, policy=Policy.everything())
    try:
        code = assemble(text)
        engine.space.map(CODE, 0x1000, Access.RWX)
        engine.space.store(ENTRY, code + b"\x41" * 8 + b"\xcc" * 16)
        patch = b"\x42" * 6 + b"\x41" * 2 + b"\xcc" * 8
        engine.cpu.fp[:] = _image({0: int.from_bytes(patch, "little"), 1: (1 << 128) - 1})
        engine.cpu.eip, engine.cpu.eax, engine.cpu.edi = ENTRY, ENTRY + len(code), ENTRY + len(code)
        trap = engine.run()
        assert (trap.number, trap.eip) == (Vector.BREAKPOINT, ENTRY + len(code) + 9)
        assert (engine.cpu.ecx, engine.cpu.edx) == (2, 6)
    finally:
        engine.close()
