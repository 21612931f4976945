"""Packed integers and vector moves: every encoding of the tables, on the processor and as translated code.

The native engine makes the processor the oracle. Cases are made from the rows of the tables for MMX, SSE and AVX: what is
not listed here as somebody else's is tested, so that a row without semantics, or one that the generator cannot make, fails.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import needs
import pytest

from conformance.case import DATA, DATA_END, ENTRY, LIMIT, READ_ONLY, STACK, Case
from conformance.oracles.engines import EngineBench, bench_of
from conformance.outcome import differences, report
from reference.engines import ReferenceEngine
from reference.flags import STATUS
from reference.isa.encoding import PREFIX_66, PREFIX_F2, PREFIX_F3, Space
from reference.isa.lookup import FORMS, Form, ImmediateRule
from reference.isa.operands import EITHER, MEMORY_ONLY
from reference.policy import Group, Policy
from reference.registers import CPU, EBP, EDI, ESP, MASK32

#: Cases of each shape, by engine.
PER_SHAPE: Final = {"jit": 16, "translated": 3}

#: The groups of the three tables, and what Linux calls those that are not called the same.
GROUPS: Final = {
    Group.MMX: "mmx", Group.SSE: "sse", Group.SSE2: "sse2", Group.SSE3: "pni", Group.SSSE3: "ssse3",
    Group.SSE41: "sse4_1", Group.SSE42: "sse4_2", Group.AVX: "avx", Group.AVX2: "avx2",
}  # fmt: skip

#: Those instructions of these groups that are neither packed integers nor moves, without the V of their AVX forms.
_OTHERS: Final = """
    addpd addps addsd addss addsubpd addsubps cmppd cmpps cmpsd cmpss comisd comiss cvtdq2pd cvtdq2ps cvtpd2dq cvtpd2pi
    cvtpd2ps cvtpi2pd cvtpi2ps cvtps2dq cvtps2pd cvtps2pi cvtsd2si cvtsd2ss cvtsi2sd cvtsi2ss cvtss2sd cvtss2si cvttpd2dq
    cvttpd2pi cvttps2dq cvttps2pi cvttsd2si cvttss2si divpd divps divsd divss dppd dpps haddpd haddps hsubpd hsubps
    maxpd maxps maxsd maxss minpd minps minsd minss mulpd mulps mulsd mulss rcpps rcpss roundpd roundps roundsd roundss
    rsqrtps rsqrtss sqrtpd sqrtps sqrtsd sqrtss subpd subps subsd subss ucomisd ucomiss
    pcmpestri pcmpestrm pcmpistri pcmpistrm
    clflush crc32 fisttp ldmxcsr lfence mfence movnti prefetchnta prefetcht0 prefetcht1 prefetcht2 sfence stmxcsr
    """
OTHERS: Final = frozenset(_OTHERS.split())

_MANDATORY: Final = {PREFIX_66: b"\x66", PREFIX_F3: b"\xf3", PREFIX_F2: b"\xf2"}
_ESCAPES: Final = {Space.MAP_0F: b"\x0f", Space.MAP_0F38: b"\x0f\x38", Space.MAP_0F3A: b"\x0f\x3a"}
_VEX_MAPS: Final = {Space.VEX_0F: 1, Space.VEX_0F38: 2, Space.VEX_0F3A: 3}
#: Numbers at which signs, carries and saturation turn over, for a lane of so many bits.
_BOUNDARIES: Final = {
    bits: tuple(n & (1 << bits) - 1 for half in (0, 1 << bits - 1, 1 << bits // 2) for n in range(half - 2, half + 3))
    for bits in (8, 16, 32, 64)
}


def _is_ours(form: Form) -> bool:
    mnemonic = form.row.mnemonic
    return form.row.group in GROUPS and mnemonic not in OTHERS and mnemonic.removeprefix("v") not in OTHERS


OURS: Final = [form for form in FORMS if _is_ours(form)]


# -- shapes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shape:
    """A row in one of its guises. ``length`` is that of a vector in bytes, 0 without VEX."""

    form: Form
    length: int
    memory: bool

    @property
    def label(self) -> str:
        """A name for reports; no two shapes share one."""
        row = self.form.row
        words = [row.opcode.strip(), row.mnemonic, ",".join(row.operands)]
        return " ".join(words + [f"L{8 * self.length}"] * (self.length > 0) + ["memory"] * self.memory)


def _shapes(form: Form) -> Iterator[Shape]:
    methods = {code.method for code in form.operands}
    memory_only = not methods.isdisjoint(MEMORY_ONLY)
    kinds = (True,) if memory_only else (False, True) if not methods.isdisjoint(EITHER) else (False,)
    vex = form.encoding.space >= Space.VEX_0F
    for long in form.encoding.lengths:
        for memory in kinds:
            yield Shape(form, (32 if long else 16) if vex else 0, memory)


# -- cases -----------------------------------------------------------------------------------------------------------


class _Maker:
    """Bytes, registers and memory for one instruction of a shape."""

    def __init__(self, shape: Shape, rng: random.Random) -> None:
        self.shape = shape
        self.rng = rng
        self.words = [rng.getrandbits(32) for _ in range(8)]
        self.words[ESP] = STACK + 0x800
        self.memory: dict[int, bytes] = {}
        self.image = bytearray(CPU().fp)

    def make(self) -> Case:
        """A case."""
        shape, rng = self.shape, self.rng
        self._fill_image()
        encoding = shape.form.encoding
        reg = encoding.digit if encoding.digit is not None else rng.randrange(8)
        third = rng.randrange(8) if shape.form.third else 0
        tail = b""
        if shape.form.vsib:
            reg, third, tail = self._gather()
        elif shape.memory:
            tail = self._memory_operand(reg)
        elif encoding.has_modrm:
            tail = bytes([0xC0 | reg << 3 | rng.randrange(8)])
        if "maskmov" in shape.form.row.mnemonic and not shape.memory:
            # Which faults MASKMOVDQU raises is the processor's affair.
            self.words[EDI] = DATA + 0x800 + rng.randrange(0x80)
            self._window(DATA + 0x7C0, DATA + 0x900)
        if shape.form.immediate is ImmediateRule.BYTE:
            tail += bytes([rng.choice((rng.randrange(256), rng.randrange(34)))])
        code = self._head(third) + bytes([encoding.opcode]) + tail
        return Case(
            label=shape.label,
            code=code,
            words=(*self.words, ENTRY, 0x202 | rng.getrandbits(12) & STATUS),
            memory=tuple(self.memory.items()),
            undefined=0,
            fp=bytes(self.image),
        )

    def _head(self, third: int) -> bytes:
        encoding = self.shape.form.encoding
        if encoding.space < Space.VEX_0F:
            mandatory = _MANDATORY.get(encoding.classes[0], b"") if len(encoding.classes) == 1 else b""
            return mandatory + _ESCAPES[encoding.space]
        last = encoding.classes[0] | (self.shape.length == 32) << 2 | (~third & 0xF) << 3
        width = self.rng.choice(encoding.widths)
        if width == 0 and encoding.space == Space.VEX_0F and self.rng.randrange(2):
            return bytes([0xC5, last | 0x80])
        return bytes([0xC4, 0xE0 | _VEX_MAPS[encoding.space], last | width << 7])

    # -- values --------------------------------------------------------------------------------------------------

    def _vector(self, size: int) -> bytes:
        """Lanes of one width, a few boundary numbers or random ones; or one small number, as counts are."""
        rng = self.rng
        bits = rng.choice((8, 16, 32, 64))
        kind = rng.randrange(8)
        if kind == 0:
            return rng.randrange(70).to_bytes(8, "little") + rng.randbytes(size - 8)
        if kind == 1:
            return b"".join(rng.randrange(70).to_bytes(bits // 8, "little") for _ in range(8 * size // bits))
        if kind < 4:
            return rng.randbytes(size)
        boundaries = _BOUNDARIES[bits]
        if kind == 4:
            boundaries = tuple(rng.choices(boundaries, k=2))
        lanes = [rng.choice(boundaries) for _ in range(8 * size // bits)]
        return b"".join(lane.to_bytes(bits // 8, "little") for lane in lanes)

    def _fill_image(self) -> None:
        """Random vector registers, some of them nearly alike; x87 state with TOP anywhere and nothing pending."""
        rng, image = self.rng, self.image
        image[0:2] = (0x037F | rng.randrange(4) << 10).to_bytes(2, "little")
        image[2:4] = (rng.randrange(8) << 11 | rng.getrandbits(16) & 0x473F).to_bytes(2, "little")
        image[4] = rng.getrandbits(8)
        image[24:28] = (0x1F80 | rng.getrandbits(6) | rng.randrange(4) << 13).to_bytes(4, "little")
        vectors = [self._vector(32) for _ in range(8)]
        for number in range(8):
            if rng.randrange(3) == 0:
                copy = bytearray(vectors[rng.randrange(8)])
                copy[rng.randrange(32)] = rng.getrandbits(8)
                vectors[number] = bytes(copy)
            image[160 + 16 * number : 176 + 16 * number] = vectors[number][:16]
            image[576 + 16 * number : 592 + 16 * number] = vectors[number][16:]
            image[32 + 16 * number : 42 + 16 * number] = self._vector(8) + rng.randbytes(2)

    # -- memory --------------------------------------------------------------------------------------------------

    def _target(self) -> int:
        """An address for a memory operand: mostly aligned, sometimes not, sometimes one that faults or is about to."""
        rng = self.rng
        kind = rng.randrange(32)
        if kind == 0:
            address = rng.choice((DATA - 0x1000, DATA_END + 0x100, 0x60_0000, MASK32 - 0x100)) + rng.randrange(64)
        elif kind == 1:
            address = DATA_END - rng.randrange(1, 48)
        elif kind == 2:
            address = DATA - rng.randrange(1, 48)
        elif kind == 3:
            address = READ_ONLY + rng.randrange(64)
        elif kind == 4:
            address = LIMIT + rng.choice((0, 8, -8, -64)) * rng.randrange(1, 4)
        elif kind < 12:
            address = DATA + 0x800 + rng.randrange(0x100)
        else:
            address = DATA + 0x800 + 32 * rng.randrange(8)
        self._window(address - 64, address + 96)
        return address

    def _window(self, start: int, end: int) -> None:
        """Fill what is mapped of [start, end)."""
        for low, high in ((DATA, DATA_END), (READ_ONLY, READ_ONLY + 0x1000)):
            first, last = max(start, low), min(end, high)
            if first < last:
                self.memory[first] = (self._vector(32) * 64)[: last - first]

    def _memory_operand(self, reg: int) -> bytes:
        """ModRM, displacement, and a base register that makes up for it."""
        rng = self.rng
        target = self._target()
        mod = rng.randrange(3)
        rm = rng.choice([number for number in range(8) if number != ESP and (mod or number != EBP)])
        if mod == 0 and rng.randrange(4) == 0:
            return bytes([reg << 3 | 5]) + (target & MASK32).to_bytes(4, "little")
        size = (0, 1, 4)[mod]
        displacement = rng.getrandbits(8 * size) if size else 0
        signed = displacement - 0x100 if size == 1 and displacement & 0x80 else displacement
        self.words[rm] = target - signed & MASK32
        return bytes([mod << 6 | reg << 3 | rm]) + displacement.to_bytes(size, "little")

    def _gather(self) -> tuple[int, int, bytes]:
        """Destination, mask, and ModRM to displacement; indices and mask go to the image.

        If an element faults, it is the highest of those that are wanted, and mask lanes are all ones or all zeros: what
        processors do beyond that differs.
        """
        shape, rng = self.shape, self.rng
        destination, index, mask = rng.sample(range(8), 3)
        scale = rng.randrange(4)
        base = rng.choice([number for number in range(8) if number != ESP])
        displacement = rng.getrandbits(32)
        middle = DATA + 0xA00
        self.words[base] = middle - displacement & MASK32
        for start in range(DATA + 0x800, DATA + 0xC00, 0x100):
            self._window(start, start + 0x100)
        code = shape.form.operands[1]
        index_bits = 32 if code.method == "VM32" else 64
        element_bits = 32 if code.memory_size == "d" else 64
        count = 32 if code.size == "qq" else 16
        indices = [rng.randrange(-60, 60) for _ in range(8 * count // index_bits)]
        wanted = [rng.randrange(4) != 0 for _ in range(256 // element_bits)]
        signs = [1 << element_bits - 1 if want else 0 for want in wanted]
        lanes = [sign | rng.getrandbits(element_bits - 1) for sign in signs]
        if rng.randrange(4) == 0:
            bad = rng.randrange(min(len(indices), 256 // element_bits))
            indices[bad] = rng.choice((0x8000, -0x8000, 0x2000_0000, (DATA_END - middle >> scale) - 1))
            lanes = [(1 << element_bits) - 1 if want and i <= bad else 0 for i, want in enumerate(wanted)]
        if index_bits == 64:
            indices = [i & MASK32 | rng.choice((0, 0, rng.getrandbits(32), MASK32)) << 32 for i in indices]
        self._set(index, [i & (1 << index_bits) - 1 for i in indices], index_bits)
        self._set(mask, lanes, element_bits)
        tail = bytes([0x80 | destination << 3 | 4, scale << 6 | index << 3 | base]) + displacement.to_bytes(4, "little")
        return destination, mask, tail

    def _set(self, register: int, lanes: list[int], bits: int) -> None:
        """The low lanes of a vector register."""
        data = b"".join(lane.to_bytes(bits // 8, "little") for lane in lanes)
        for start, part in ((160, data[:16]), (576, data[16:])):
            self.image[start + 16 * register : start + 16 * register + len(part)] = part


def _cases(shape: Shape, count: int) -> Iterator[Case]:
    rng = random.Random(f"packed {shape.label}")
    return (_Maker(shape, rng).make() for _ in range(count))


# -- tests -----------------------------------------------------------------------------------------------------------


def _flags_of_this_host() -> frozenset[str] | None:
    """What the processor has, as far as Linux says."""
    try:
        with open("/proc/cpuinfo", encoding="ascii") as info:
            return frozenset(next(line for line in info if line.startswith("flags")).split())
    except (OSError, StopIteration):
        return None


def _runs_here(name: str, form: Form) -> bool:
    flags = _flags_of_this_host()
    return name != "jit" or flags is None or {GROUPS[group] for group in form.groups} <= flags


def _shapes_of(section: str, name: str) -> Iterator[Shape]:
    for form in SECTIONS[section]:
        if _runs_here(name, form):
            yield from _shapes(form)


def _sections() -> dict[str, list[Form]]:
    sections: dict[str, list[Form]] = {}
    for form in OURS:
        sections.setdefault(form.row.group.value, []).append(form)
    return sections


SECTIONS: Final = _sections()


def _bench(name: str, *, stepping: bool) -> EngineBench:
    return bench_of(name, Policy.everything(), stepping=stepping, low_memory=False)


@pytest.mark.parametrize("section", sorted(SECTIONS))
@pytest.mark.parametrize("name", sorted(PER_SHAPE))
def test_packed_instructions_agree_with_the_reference(name: str, section: str) -> None:
    """As a single step and as translated code."""
    needs.engine(name)
    ours = EngineBench(ReferenceEngine, stepping=True)
    oracles = [_bench(name, stepping=stepping) for stepping in (True, False)]
    failures: list[str] = []
    try:
        for shape in _shapes_of(section, name):
            for case in _cases(shape, PER_SHAPE[name]):
                actual = ours.run(case)
                for oracle in oracles:
                    found = differences(case, oracle.run(case), actual)
                    if found:
                        failures.append(report(case, found))
    finally:
        for bench in (ours, *oracles):
            bench.close()
    assert not failures, f"{len(failures)} cases differ (reference second):\n" + "\n".join(failures[:5])


def test_cases_of_every_row_complete() -> None:
    """What only faults would prove nothing."""
    ours = EngineBench(ReferenceEngine, stepping=True)
    try:
        for form in OURS:
            shapes = list(_shapes(form))
            assert shapes, f"no shape of {form.row}"
            for shape in shapes:
                assert sum(ours.run(case).trap is None for case in _cases(shape, 16)) >= 3, shape.label
    finally:
        ours.close()
